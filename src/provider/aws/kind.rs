//! AWS as a kind: an address is a region, and the credentials decide the account.

use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{
    Aws, AwsRules, AwsSettings, SCHEME, StaticCredentials,
    ops::AwsOps,
    organization::{Organization, organization},
};
use crate::{
    isolation::{Isolation, REGIONS, region_name},
    model::Place,
    provider::{
        Access, Address, BadAddress, Connected, Connection, Expanded, Kind, LeftOut, Members, NoSuchRegion, Ops, Part,
        ProviderError, Purpose, Rules, Source, of_region,
    },
    text,
};

/// The kind.
pub struct AwsKind;

/// How to reach what an address means.
pub(super) fn settings(address: &Address, connection: &Connection<'_>) -> AwsSettings {
    let Access { role, role_external_id, profile, resource: _ } = connection.access.clone();
    AwsSettings {
        profile,
        role,
        role_external_id,
        endpoint: connection.endpoint.clone(),
        rate_share: connection.rate_share,
        isolation: connection.isolation.clone(),
        ..AwsSettings::region(address.rest())
    }
}

#[async_trait]
impl Kind for AwsKind {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn rules(&self) -> &'static dyn Rules {
        &AwsRules
    }

    fn ops(&self) -> &'static dyn Ops {
        &AwsOps
    }

    fn is_plausible(&self, rest: &str) -> bool {
        rest.contains('-') && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }

    async fn settle(&self, address: &Address, _: Purpose) -> Result<Address, BadAddress> {
        self.known_region(address.rest()).await?;
        Ok(address.clone())
    }

    fn has_organizations(&self) -> bool {
        true
    }

    async fn members(&self, members: &Members<'_>) -> Result<Expanded, ProviderError> {
        let region = members.regions.first().map(String::as_str).unwrap_or_default();
        let mut settings = AwsSettings::region(region);
        settings.profile.clone_from(&members.access.profile);
        Ok(entered(members, &organization(settings).await?))
    }

    async fn connect_source(
        &self,
        address: &Address,
        connection: &Connection<'_>,
    ) -> Result<Arc<dyn Source>, ProviderError> {
        Ok(Arc::new(Aws::connect(settings(address, connection)).await?))
    }

    async fn connect_target(&self, address: &Address, connection: &Connection<'_>) -> Result<Connected, ProviderError> {
        Ok(Connected::new(Aws::connect(settings(address, connection)).await?))
    }

    fn place(&self, address: &Address, account: &str) -> Option<Place> {
        Some(Place { provider: SCHEME.into(), account: account.to_owned(), region: address.rest().to_owned() })
    }

    fn leads_to(&self, address: &Address, place: &Place) -> bool {
        place.region == address.rest()
    }

    fn region<'a>(&self, address: &'a Address) -> Option<&'a str> {
        Some(address.rest())
    }

    /// One that is newer than this build has an address.
    async fn known_region(&self, region: &str) -> Result<(), NoSuchRegion> {
        let name = region_name(region);
        if REGIONS.contains(&name.as_str()) {
            return Ok(());
        }
        let host = format!("secretsmanager.{name}.amazonaws.com");
        if tokio::net::lookup_host((host, 443)).await.is_ok_and(|mut found| found.next().is_some()) {
            return Ok(());
        }
        Err(NoSuchRegion { likely: text::likely(&name, &REGIONS), region: region.to_owned() })
    }

    fn regions(&self) -> &'static [&'static str] {
        &REGIONS
    }

    fn hidden_from_listings(&self) -> Option<&'static str> {
        Some("policies, replicas and older versions")
    }

    async fn knock(
        &self,
        region: &str,
        endpoint: Option<&str>,
        isolation: &Arc<Isolation>,
    ) -> Option<Result<(), ProviderError>> {
        let knocked = async {
            let mut settings = AwsSettings::region(region);
            settings.endpoint = endpoint.map(str::to_owned);
            // Credentials of nobody: should it get through, it would still be refused there.
            let secret_key = Zeroizing::new("sandbox".to_owned());
            settings.credentials = Some(StaticCredentials { access_key: "lifeboat-guard-probe".into(), secret_key });
            settings.isolation = Some(Arc::clone(isolation));
            Aws::connect(settings).await
        };
        Some(match knocked.await {
            Ok(aws) => Source::place(&aws).await.map(drop),
            Err(error) => Err(error),
        })
    }
}

/// Every region of every account that is entered.
fn entered(members: &Members<'_>, organization: &Organization) -> Expanded {
    let mut estate = Expanded::default();
    let is_member = |account: &&String| organization.members.iter().any(|member| member.account == **account);
    for account in members.accounts.iter().filter(|account| !is_member(account)) {
        estate.left_out.push(LeftOut::account(account, LeftOut::STRANGER));
    }
    for member in &organization.members {
        let account = &member.account;
        let wanted = members.accounts.is_empty() || members.accounts.contains(account);
        let reason = match member.is_active() {
            _ if !wanted || members.exclude_accounts.contains(account) => Some(LeftOut::EXCLUDED),
            false => Some(member.state.as_str()),
            true => None,
        };
        if let Some(reason) = reason {
            estate.left_out.push(LeftOut::account(account, reason));
            continue;
        }
        for region in members.regions {
            estate.parts.push(Part {
                address: of_region(region).expect("the configuration's regions are regions"),
                account: Some(account.clone()),
                access: Some(Access { role: Some(organization.role(account, members.role)), ..members.access.clone() }),
                reached: None,
            });
        }
    }
    estate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::organization::Member;

    fn organization() -> Organization {
        let member =
            |account: &str, state: &str| Member { account: account.into(), name: "n".into(), state: state.into() };
        let members = vec![member("1", "ACTIVE"), member("2", "SUSPENDED"), member("3", "ACTIVE")];
        Organization { partition: "aws-cn".into(), members }
    }

    fn estate(accounts: &[&str], exclude: &[&str]) -> Expanded {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        let members = Members {
            role: "lifeboat-backup",
            regions: &all(&["cn-north-1", "cn-northwest-1"]),
            accounts: &all(accounts),
            exclude_accounts: &all(exclude),
            access: Access { role_external_id: Some("x".into()), ..Access::default() },
        };
        entered(&members, &organization())
    }

    #[test]
    fn every_active_account_is_entered_in_every_region() {
        let estate = estate(&[], &[]);
        let accounts: Vec<_> = estate.parts.iter().map(|it| it.account.as_deref().unwrap()).collect();
        assert_eq!(accounts, ["1", "1", "3", "3"]);
        let first = estate.parts[0].access.clone().unwrap();
        assert_eq!(first.role.as_deref(), Some("arn:aws-cn:iam::1:role/lifeboat-backup"));
        assert_eq!(first.role_external_id.as_deref(), Some("x"));
        assert_eq!(estate.left_out, [LeftOut::account("2", "SUSPENDED")]);
    }

    #[test]
    fn what_is_excluded_is_named_and_strangers_are_missed() {
        let without = estate(&[], &["1"]);
        assert_eq!(without.parts.len(), 2);
        assert_eq!(without.left_out[0], LeftOut::account("1", "excluded"));
        assert!(estate(&["2"], &[]).parts.is_empty());
        let missed = estate(&["3", "9"], &[]).left_out;
        assert!(missed[0].is_missed() && missed[0].account == "9", "{missed:?}");
        // An account that was closed and is gone must not stop the others.
        assert_eq!(estate(&[], &["9"]).parts.len(), 4);
    }

    #[test]
    fn a_typo_has_a_likely_meaning() {
        for (typo, meant) in
            [("eu-cental-1", "eu-central-1"), ("euwest-1", "eu-west-1"), ("us-gov-esat-1", "us-gov-east-1")]
        {
            assert_eq!(text::likely(typo, &REGIONS), meant);
        }
    }
}
