//! From configured sources to connections: each account and region once.

use std::{collections::BTreeSet, sync::Arc};

use super::{Host, HostError, NoSuchRegion, known_region};
#[cfg(feature = "vault")]
use crate::provider::vault::{self, BadVaultAddress, Vault, VaultAddress};
use crate::{
    config::{Access, OrganizationSection, ProviderAddress, SourceAddress, SourceSection, Sources},
    crypto::VersionKey,
    isolation::Isolation,
    model::{Place, PlaceFilter},
    provider::{
        ErrorKind, ProviderError, Source,
        aws::{Aws, AwsSettings, Organization, organization},
    },
};

/// What a run is to capture.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// One entry for each account and region.
    pub sections: Vec<SourceSection>,
    /// Accounts that are no source, and why.
    pub left_out: Vec<LeftOut>,
}

/// An account of an organization that is not captured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// The account.
    pub account: String,
    /// `excluded`, `not in the organization`, or the provider's word for its state.
    pub reason: String,
}

impl LeftOut {
    const EXCLUDED: &str = "excluded";
    const STRANGER: &str = "not in the organization";

    /// Whether the configuration itself leaves it out.
    pub fn is_excluded(&self) -> bool {
        self.reason == Self::EXCLUDED
    }

    /// Whether the configuration asks for it.
    pub fn is_missed(&self) -> bool {
        self.reason == Self::STRANGER
    }
}

/// A source that was found, or why it was not.
pub struct Found {
    /// What the configuration says.
    pub section: SourceSection,
    /// The connection and where it leads.
    pub outcome: Result<(Arc<dyn Source>, Place), ProviderError>,
}

/// Not the address of a source, told before anybody is asked.
#[derive(Debug, thiserror::Error)]
pub enum BadSource {
    /// A region that does not exist.
    #[error(transparent)]
    Region(#[from] NoSuchRegion),
    /// Not the address of a Vault's engine.
    #[cfg(feature = "vault")]
    #[error(transparent)]
    Vault(#[from] BadVaultAddress),
}

/// A configuration that an organization contradicts.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    /// The organization cannot be asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// An address that leads nowhere.
    #[error("[source]: {0}")]
    Address(#[from] BadSource),
    /// Nothing is left.
    #[error("every account of the organization is excluded, so there is nothing to capture")]
    Empty,
    /// The same account and region twice.
    #[error("two sources lead to the same place, {0}")]
    Twice(Place),
}

impl Host {
    /// Every source, an organization's accounts included.
    ///
    /// # Errors
    /// See [`EstateError`].
    pub async fn estate(&self) -> Result<Estate, EstateError> {
        for section in self.config.sources.listed() {
            known_source(&section.url).await?;
        }
        match &self.config.sources {
            Sources::Organization(section) => {
                for region in &section.regions {
                    known_region(region).await.map_err(BadSource::from)?;
                }
                let region = section.regions.first().map(String::as_str).unwrap_or_default();
                let mut settings = AwsSettings::region(region);
                settings.profile.clone_from(&section.profile);
                estate_of(section, &organization(settings).await?)
            }
            listed => Ok(Estate { sections: listed.listed().to_vec(), left_out: Vec::new() }),
        }
    }
}

/// Connects to a source. The key of version ids is asked for where the kind has none of its own.
///
/// # Errors
/// When no credentials can be found, or the key cannot be read.
pub async fn connect(
    section: &SourceSection,
    versions: impl FnOnce() -> Result<VersionKey, HostError> + Send,
) -> Result<Arc<dyn Source>, ProviderError> {
    // Until a kind needs it, here is the one place that gives it.
    let _ = versions;
    match &section.url {
        SourceAddress::Aws(address) => Ok(Arc::new(Aws::connect(settings(section, address)).await?)),
        #[cfg(feature = "vault")]
        SourceAddress::Vault(address) => connect_vault(address).await,
        #[cfg(not(feature = "vault"))]
        SourceAddress::Vault(_) => Err(without_vault()),
    }
}

/// Refuses an address that can lead to no source: before a key is made for it, and before anything is captured.
///
/// # Errors
/// [`BadSource`].
pub async fn known_source(url: &SourceAddress) -> Result<(), BadSource> {
    match url {
        SourceAddress::Aws(address) => known_region(&address.region).await?,
        #[cfg(feature = "vault")]
        SourceAddress::Vault(address) => drop(address.parse::<VaultAddress>()?),
        #[cfg(not(feature = "vault"))]
        SourceAddress::Vault(_) => {}
    }
    Ok(())
}

/// How to reach a source in AWS.
pub fn settings(section: &SourceSection, address: &ProviderAddress) -> AwsSettings {
    let Access { role, role_external_id, profile } = section.access.clone();
    let rate_share = section.capture.rate_share;
    AwsSettings { profile, role, role_external_id, rate_share, ..AwsSettings::region(&address.region) }
}

#[cfg(feature = "vault")]
async fn connect_vault(address: &str) -> Result<Arc<dyn Source>, ProviderError> {
    Ok(Arc::new(vault_at(address, None).await?))
}

/// A connection to a Vault's engine.
#[cfg(feature = "vault")]
pub(super) async fn vault_at(address: &str, isolation: Option<Arc<Isolation>>) -> Result<Vault, ProviderError> {
    let address = address.parse::<VaultAddress>().map_err(|bad| unusable("BadAddress", &bad.to_string()))?;
    Vault::connect(&address, isolation).await
}

/// What a build without Vault says.
#[cfg(not(feature = "vault"))]
pub(super) fn without_vault() -> ProviderError {
    unusable("NotInThisBuild", "this build lacks the feature vault")
}

/// The least policy of a backup of a Vault, in its own language; `None` where none can be written.
#[cfg(feature = "vault")]
pub fn vault_policy(address: &str) -> Option<String> {
    vault::backup_policy(&address.parse().ok()?)
}

/// A build that cannot read a Vault knows no policy for it.
#[cfg(not(feature = "vault"))]
pub fn vault_policy(_: &str) -> Option<String> {
    None
}

/// A source that cannot be connected to as its address is.
fn unusable(code: &str, message: &str) -> ProviderError {
    let (kind, operation, secret) = (ErrorKind::Invalid, "connect", None);
    let provider = "vault";
    ProviderError { provider, kind, operation, secret, code: code.into(), message: message.into() }
}

/// Whether a place is what an address leads to, as far as the address tells: of a Vault not which cluster it is.
pub fn leads_to(url: &SourceAddress, place: &Place) -> bool {
    match url {
        SourceAddress::Aws(address) => place.provider == "aws" && place.region == address.region,
        SourceAddress::Vault(address) => place.provider == "vault" && is_of_mount(address, place),
    }
}

#[cfg(feature = "vault")]
fn is_of_mount(address: &str, place: &Place) -> bool {
    address.parse::<VaultAddress>().is_ok_and(|address| address.may_be(place))
}

#[cfg(not(feature = "vault"))]
fn is_of_mount(_: &str, _: &Place) -> bool {
    false
}

/// Connects to a source and finds out where it leads: the configuration's word where it names the account, which the snapshot holds
/// it to; else the provider's.
pub async fn find(section: SourceSection, host: &Host) -> Found {
    let outcome = async {
        let source = connect(&section, || host.version_key()).await?;
        let place = match (&section.account, section.url.region()) {
            (Some(account), Some(region)) => {
                Place { provider: "aws".into(), account: account.clone(), region: region.to_owned() }
            }
            _ => source.place().await?,
        };
        Ok((source, place))
    };
    let outcome = outcome.await;
    Found { section, outcome }
}

/// Refuses two sources that lead to one place: each would keep the other's journal and index for its own.
///
/// # Errors
/// [`EstateError::Twice`].
pub fn refuse_twins(found: &[Found]) -> Result<(), EstateError> {
    let mut seen = BTreeSet::new();
    let places = found.iter().filter_map(|found| found.outcome.as_ref().ok());
    match places.map(|(_, place)| place).find(|place| !seen.insert(*place)) {
        Some(place) => Err(EstateError::Twice(place.clone())),
        None => Ok(()),
    }
}

/// Whether a filter may mean a source, before anybody is asked where it leads.
pub fn may_be(section: &SourceSection, filter: &PlaceFilter) -> bool {
    let account = section.account.as_ref().is_none_or(|account| *account == filter.account);
    let region = |wanted: &String| section.url.region().is_none_or(|region| wanted == region);
    account && filter.region.as_ref().is_none_or(region)
}

fn estate_of(section: &OrganizationSection, organization: &Organization) -> Result<Estate, EstateError> {
    let mut estate = Estate::default();
    let is_member = |account: &&String| organization.members.iter().any(|member| member.account == **account);
    for account in section.accounts.iter().filter(|account| !is_member(account)) {
        estate.left_out.push(LeftOut { account: account.clone(), reason: LeftOut::STRANGER.into() });
    }
    for member in &organization.members {
        let account = &member.account;
        let wanted = section.accounts.is_empty() || section.accounts.contains(account);
        let reason = match member.is_active() {
            _ if !wanted || section.exclude_accounts.contains(account) => Some(LeftOut::EXCLUDED),
            false => Some(member.state.as_str()),
            true => None,
        };
        if let Some(reason) = reason {
            estate.left_out.push(LeftOut { account: account.clone(), reason: reason.to_owned() });
            continue;
        }
        for region in &section.regions {
            let url = format!("aws:{region}").parse().expect("the configuration's regions are regions");
            estate.sections.push(SourceSection {
                capture: section.capture.clone(),
                access: Access {
                    role: Some(organization.role(account, &section.role)),
                    role_external_id: section.role_external_id.clone(),
                    profile: section.profile.clone(),
                },
                ..SourceSection::new(url, Some(account.clone()))
            });
        }
    }
    if estate.sections.is_empty() { Err(EstateError::Empty) } else { Ok(estate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::CaptureSection, provider::aws::Member};

    fn section() -> OrganizationSection {
        OrganizationSection {
            role: "lifeboat-backup".into(),
            regions: vec!["cn-north-1".into(), "cn-northwest-1".into()],
            accounts: vec![],
            exclude_accounts: vec![],
            capture: CaptureSection { sweep_days: 9, rate_share: 0.4, ..CaptureSection::default() },
            profile: None,
            role_external_id: Some("x".into()),
        }
    }

    fn organization() -> Organization {
        let member =
            |account: &str, state: &str| Member { account: account.into(), name: "n".into(), state: state.into() };
        let members = vec![member("1", "ACTIVE"), member("2", "SUSPENDED"), member("3", "ACTIVE")];
        Organization { partition: "aws-cn".into(), members }
    }

    #[test]
    fn every_active_account_is_entered_in_every_region() {
        let estate = estate_of(&section(), &organization()).unwrap();
        let accounts: Vec<_> = estate.sections.iter().map(|it| it.account.as_deref().unwrap()).collect();
        assert_eq!(accounts, ["1", "1", "3", "3"]);
        let first = &estate.sections[0];
        assert_eq!(first.access.role.as_deref(), Some("arn:aws-cn:iam::1:role/lifeboat-backup"));
        assert_eq!((first.access.role_external_id.as_deref(), first.capture.sweep_days), (Some("x"), 9));
        assert_eq!(estate.left_out, [LeftOut { account: "2".into(), reason: "SUSPENDED".into() }]);
    }

    #[test]
    fn what_is_excluded_is_named_and_strangers_are_missed() {
        let without = OrganizationSection { exclude_accounts: vec!["1".into()], ..section() };
        let estate = estate_of(&without, &organization()).unwrap();
        assert_eq!(estate.sections.len(), 2);
        assert_eq!(estate.left_out[0], LeftOut { account: "1".into(), reason: "excluded".into() });
        let only = OrganizationSection { accounts: vec!["2".into()], ..section() };
        assert!(matches!(estate_of(&only, &organization()), Err(EstateError::Empty)));
        let stranger = OrganizationSection { accounts: vec!["3".into(), "9".into()], ..section() };
        let missed: Vec<_> = estate_of(&stranger, &organization()).unwrap().left_out;
        assert!(missed[0].is_missed() && missed[0].account == "9", "{missed:?}");
        // An account that was closed and is gone must not stop the others.
        let gone = OrganizationSection { exclude_accounts: vec!["9".into()], ..section() };
        assert_eq!(estate_of(&gone, &organization()).unwrap().sections.len(), 4);
    }
}
