//! From configured sources to connections: each account and region once.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    Host, HostError, NoSuchRegion, files, known_region,
    vaults::{self, SignedIn},
};
use crate::{
    config::{Access, OrganizationSection, ProviderAddress, SourceAddress, SourceSection, Sources},
    crypto::VersionKey,
    model::{Place, PlaceFilter},
    provider::{
        ErrorKind, ProviderError, Source,
        aws::{Aws, AwsSettings, Organization, organization},
    },
    text,
};
#[cfg(feature = "vault")]
use crate::{outward::BadSetting, provider::vault::BadVaultAddress};

/// What a run is to capture.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// One entry for each account and region, or mount.
    pub sections: Vec<SourceSection>,
    /// Accounts and mounts that are no source, and why.
    pub left_out: Vec<LeftOut>,
    /// Whether one address of the configuration stands for several sources.
    pub is_expanded: bool,
    pub(super) signed_in: SignedIn,
}

/// An account of an organization, or a mount of a server, that is not captured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// The account.
    pub account: String,
    /// The mount, where it is one of the account that is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// `excluded`, `not in the organization`, or the provider's word for its state.
    pub reason: String,
}

impl LeftOut {
    pub(super) const EXCLUDED: &str = "excluded";
    const STRANGER: &str = "not in the organization";
    const GONE: &str = "it was captured before, and this host does not see it any more";

    fn account(account: &str, reason: &str) -> Self {
        Self { account: account.to_owned(), mount: None, reason: reason.to_owned() }
    }

    #[cfg(feature = "vault")]
    pub(super) fn mount(account: &str, mount: &str, reason: &str) -> Self {
        Self { mount: Some(mount.to_owned()), ..Self::account(account, reason) }
    }

    /// What it is, for people.
    pub fn name(&self) -> String {
        match &self.mount {
            None => format!("account {}", text::line(&self.account)),
            Some(mount) => format!("mount {}", text::line(mount)),
        }
    }

    /// Whether the configuration itself leaves it out.
    pub fn is_excluded(&self) -> bool {
        self.reason == Self::EXCLUDED
    }

    /// Whether the configuration asks for it.
    pub fn is_missed(&self) -> bool {
        self.reason == Self::STRANGER || self.reason == Self::GONE
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.name(), text::line(&self.reason))
    }
}

/// A source that was found, or why it was not.
pub struct Found {
    /// What the configuration says.
    pub section: SourceSection,
    /// Whether it is one of several that the configuration asks for without naming them: one that is empty is no sign of a mistake.
    pub is_one_of_many: bool,
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
    /// Not an address of `.env` files.
    #[cfg(all(unix, feature = "dotenv"))]
    #[error(transparent)]
    Env(#[from] crate::provider::dotenv::BadEnvAddress),
    /// A variable that cannot be understood.
    #[cfg(feature = "vault")]
    #[error(transparent)]
    Setting(#[from] BadSetting),
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
    /// Every source, an organization's accounts and a server's mounts included.
    ///
    /// # Errors
    /// See [`EstateError`].
    pub async fn estate(&self) -> Result<Estate, EstateError> {
        let mut estate = Estate::default();
        for section in self.config.sources.listed() {
            let section = SourceSection { url: known_source(&section.url).await?, ..section.clone() };
            match &section.url {
                SourceAddress::Vault(address) => vaults::expand(&section, address, &mut estate).await,
                SourceAddress::Aws(_) | SourceAddress::Env(_) => estate.sections.push(section),
            }
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
            Sources::One(_) | Sources::Several(_) => Ok(estate),
        }
    }
}

impl Estate {
    /// Whether it is one source and can be no more.
    pub fn is_one(&self, sources: &Sources) -> bool {
        matches!(sources, Sources::One(_)) && !self.is_expanded
    }

    /// Connects to one of its sources and finds out where it leads: the configuration's word where it names the account, which the
    /// snapshot holds it to; else the provider's.
    pub async fn find(&self, section: SourceSection, host: &Host) -> Found {
        let outcome = async {
            let source = connect_in(&section, &self.signed_in, || host.version_key()).await?;
            let place = match (&section.account, section.url.region()) {
                (Some(account), Some(region)) => {
                    Place { provider: "aws".into(), account: account.clone(), region: region.to_owned() }
                }
                _ => source.place().await?,
            };
            Ok((source, place))
        };
        let outcome = outcome.await;
        let is_one_of_many =
            matches!(host.config.sources, Sources::Organization(_)) || self.signed_in.holds(&section.url);
        Found { section, is_one_of_many, outcome }
    }

    /// Takes note of mounts that were captured before and are not among its sources any more: a policy that lost a line must not
    /// make the backup shorter without a word.
    pub fn miss<'p>(&mut self, before: impl Iterator<Item = &'p Place>, sources: &Sources) {
        let of_all: Vec<&SourceSection> =
            sources.listed().iter().filter(|section| is_of_every_mount(&section.url)).collect();
        let is_there = |place: &Place| self.sections.iter().any(|section| leads_to(&section.url, place));
        let is_meant = |place: &&Place| {
            of_all.iter().any(|section| {
                section.account.as_ref().is_none_or(|account| *account == place.account)
                    && leads_to(&section.url, place)
            })
        };
        let gone = before.filter(is_meant).filter(|place| !is_there(place)).map(|place| LeftOut {
            mount: Some(place.region.rsplit_once('@').map_or(&*place.region, |(mount, _)| mount).to_owned()),
            ..LeftOut::account(&place.account, LeftOut::GONE)
        });
        let gone: Vec<LeftOut> = gone.collect();
        self.left_out.extend(gone);
    }
}

fn is_of_every_mount(url: &SourceAddress) -> bool {
    match url {
        SourceAddress::Aws(_) | SourceAddress::Env(_) => false,
        SourceAddress::Vault(address) => vaults::is_of_every_mount(address),
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
    connect_in(section, &SignedIn::default(), versions).await
}

async fn connect_in(
    section: &SourceSection,
    signed_in: &SignedIn,
    versions: impl FnOnce() -> Result<VersionKey, HostError> + Send,
) -> Result<Arc<dyn Source>, ProviderError> {
    match &section.url {
        SourceAddress::Aws(address) => Ok(Arc::new(Aws::connect(settings(section, address)).await?)),
        SourceAddress::Vault(address) => vaults::connect(&section.url, address, signed_in, versions).await,
        SourceAddress::Env(address) => files::connect(address, versions),
    }
}

/// The account that an address leads to, as a place has it.
///
/// # Errors
/// When the provider cannot be reached or refuses.
pub async fn account_of(url: &SourceAddress) -> Result<String, ProviderError> {
    match url {
        SourceAddress::Aws(address) => {
            let section = SourceSection::new(url.clone(), None);
            Ok(Source::place(&Aws::connect(settings(&section, address)).await?).await?.account)
        }
        SourceAddress::Vault(address) => vaults::account(address).await,
        SourceAddress::Env(address) => files::account(address).await,
    }
}

/// Refuses an address that can lead to no source: before a key is made for it, and before anything is captured. Gives it as it is
/// with what the environment says of it.
///
/// # Errors
/// [`BadSource`].
pub async fn known_source(url: &SourceAddress) -> Result<SourceAddress, BadSource> {
    match url {
        SourceAddress::Aws(address) => {
            known_region(&address.region).await?;
            Ok(url.clone())
        }
        SourceAddress::Vault(address) => vaults::settled(address),
        SourceAddress::Env(address) => files::settled(address),
    }
}

/// Refuses an address that can lead to no target; gives it complete, as [`known_source`] does.
///
/// # Errors
/// [`BadSource`].
pub async fn known_target(url: &SourceAddress) -> Result<SourceAddress, BadSource> {
    match url {
        SourceAddress::Aws(_) | SourceAddress::Env(_) => known_source(url).await,
        SourceAddress::Vault(address) => vaults::one_engine(address),
    }
}

/// How to reach a source in AWS.
pub fn settings(section: &SourceSection, address: &ProviderAddress) -> AwsSettings {
    let Access { role, role_external_id, profile } = section.access.clone();
    let rate_share = section.capture.rate_share;
    AwsSettings { profile, role, role_external_id, rate_share, ..AwsSettings::region(&address.region) }
}

/// A source that cannot be connected to as its address is.
pub(super) fn unusable(code: &str, message: &str) -> ProviderError {
    let (kind, operation, secret) = (ErrorKind::Invalid, "connect", None);
    let provider = "vault";
    ProviderError { provider, kind, operation, secret, code: code.into(), message: message.into() }
}

/// Whether a place is what an address leads to, as far as the address tells: of a Vault not which cluster it is.
pub fn leads_to(url: &SourceAddress, place: &Place) -> bool {
    match url {
        SourceAddress::Aws(address) => place.provider == "aws" && place.region == address.region,
        SourceAddress::Vault(address) => place.provider == "vault" && vaults::may_be(address, place),
        SourceAddress::Env(address) => place.provider == "env" && files::may_be(address, place),
    }
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

/// What of a secret does not show in a listing of its kind, and so is as old as its last reading; `None` where all of it shows.
pub fn hidden_from_listings(place: &Place) -> Option<&'static str> {
    (place.provider == "aws").then_some("policies, replicas and older versions")
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
        estate.left_out.push(LeftOut::account(account, LeftOut::STRANGER));
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
            estate.left_out.push(LeftOut::account(account, reason));
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
        assert_eq!(estate.left_out, [LeftOut::account("2", "SUSPENDED")]);
    }

    #[test]
    fn what_is_excluded_is_named_and_strangers_are_missed() {
        let without = OrganizationSection { exclude_accounts: vec!["1".into()], ..section() };
        let estate = estate_of(&without, &organization()).unwrap();
        assert_eq!(estate.sections.len(), 2);
        assert_eq!(estate.left_out[0], LeftOut::account("1", "excluded"));
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
