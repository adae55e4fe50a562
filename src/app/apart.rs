//! A copy that would be lost together with its source is none.

use std::collections::BTreeSet;

use crate::{
    config::{Config, CopySection, PolicySection, Sources},
    isolation::region_name,
    model::Place,
    storage::{self, Owner, Storage},
};

/// Why a place is no place for a copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooClose {
    /// The same region.
    #[error("the copy at {url} is in {region}, the region of the source: one outage would stop both")]
    Region {
        /// The copy.
        url: String,
        /// The region.
        region: String,
    },
    /// The same account.
    #[error(
        "the copy at {url} is in account {account} ({known}), the source's: an attacker in that account reaches both"
    )]
    Account {
        /// The copy.
        url: String,
        /// The account.
        account: String,
        /// How it is known.
        known: Known,
    },
    /// The bucket is not the configured account's.
    #[error("the bucket of the copy at {url} belongs to {owner}, but the configuration has account {configured}")]
    OtherOwner {
        /// The copy.
        url: String,
        /// `account 1…`, or `another account`.
        owner: String,
        /// The configured account.
        configured: String,
    },
    /// A region where no copy may be.
    #[error("the copy at {url}: {elsewhere}")]
    Elsewhere {
        /// The copy.
        url: String,
        /// Where it is.
        elsewhere: Elsewhere,
    },
}

/// A region in which `[policy]` allows no copy and no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{region} is not one of the regions of [policy]: {}", allowed.join(", "))]
pub struct Elsewhere {
    region: String,
    allowed: Vec<String>,
}

/// How the account of a copy is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// The service proves whose the bucket is.
    Proven,
    /// The configuration names it.
    #[default]
    Configured,
    /// The credentials that reach the copy are of that account; the bucket may be another's.
    Credentials,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven => "the owner of the bucket",
            Self::Configured => "[[copy]] account",
            Self::Credentials => "the account of the credentials that reach it",
        })
    }
}

/// What a copy has to be apart from, and where it may be.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    regions: BTreeSet<String>,
    accounts: BTreeSet<String>,
    policy: PolicySection,
}

/// Where a copy is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The region: of the configuration, of the address, or of the AWS SDK's settings.
    pub region: Option<String>,
    /// The account: the bucket's owner where the service proves it; else of the configuration, or of the credentials the
    /// copy is reached with.
    pub account: Option<String>,
    /// How the account is known.
    pub known: Known,
    /// What S3 says of the bucket's owner; `None` for other storages.
    pub owner: Option<Owner>,
}

impl Neighbours {
    /// The sources of a configuration. Where it does not name every account, those of `captured` are the sources' too.
    pub fn new<'a>(config: &Config, captured: impl IntoIterator<Item = &'a Place>) -> Self {
        let mut accounts: BTreeSet<String> = config.sources.accounts().into_iter().map(str::to_owned).collect();
        if !names_every_account(&config.sources) {
            accounts.extend(captured.into_iter().map(|place| place.account.clone()));
        }
        let regions = config.sources.regions().into_iter().map(region_name).collect();
        Self { regions, accounts, policy: config.policy.clone() }
    }

    /// Whether there is a rule where copies may be.
    pub fn has_policy(&self) -> bool {
        !self.policy.regions.is_empty()
    }

    /// The same with more accounts of sources.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = String>) -> Self {
        self.accounts.extend(accounts);
        self
    }
}

fn names_every_account(sources: &Sources) -> bool {
    match sources {
        Sources::Organization(section) => !section.accounts.is_empty(),
        listed => listed.listed().iter().all(|section| section.account.is_some()),
    }
}

/// Where a configured copy is. What cannot be found out is not known, which refuses nothing.
pub async fn whereabouts(neighbours: &Neighbours, copy: &CopySection, storage: &Storage) -> Whereabouts {
    let mut found =
        Whereabouts { region: copy.region.clone(), account: copy.account.clone(), ..Whereabouts::default() };
    found.region = found.region.or_else(|| storage.region().map(str::to_owned));
    let Ok(Some(signed)) = storage.signed().await else { return found };
    found.region = found.region.or_else(|| signed.region());
    if found.account.is_none() && signed.has_accounts() {
        found.account = signed.account().await;
        found.known = Known::Credentials;
    }
    // The likeliest first: the answer is the same in any order.
    let sources = neighbours.accounts.iter().filter(|account| found.account.as_ref() != Some(account));
    let candidates: Vec<String> = found.account.iter().chain(sources).cloned().collect();
    found.owner = storage.owner(&candidates).await.ok().flatten();
    match &found.owner {
        Some(Owner::Account(account)) => (found.account, found.known) = (Some(account.clone()), Known::Proven),
        Some(Owner::Another) => found.account = None,
        Some(Owner::Unknown(_)) | None => {}
    }
    found
}

/// Refuses a copy that is too close: the first of [`closeness`].
///
/// # Errors
/// [`TooClose`].
pub fn apart(neighbours: &Neighbours, copy: &CopySection, found: &Whereabouts) -> Result<(), TooClose> {
    closeness(neighbours, copy, found).into_iter().next().map_or(Ok(()), Err)
}

/// Everything for which a copy is refused: it is in the region or account of a source, unless the configuration allows that; it
/// is not the configured account's; it is where `[policy]` allows none.
pub fn closeness(neighbours: &Neighbours, copy: &CopySection, found: &Whereabouts) -> Vec<TooClose> {
    let url = || copy.url.clone();
    let mut close = Vec::new();
    let same_region = found.region.clone().filter(|region| neighbours.regions.contains(&region_name(region)));
    if let Some(region) = same_region.filter(|_| !copy.allow_same_region) {
        close.push(TooClose::Region { url: url(), region });
    }
    if let Some(Err(elsewhere)) = found.region.as_deref().map(|region| allowed(&neighbours.policy, region)) {
        close.push(TooClose::Elsewhere { url: url(), elsewhere });
    }
    if let Some(configured) = copy.account.clone() {
        let owner = match &found.owner {
            Some(Owner::Account(account)) if *account != configured => Some(format!("account {account}")),
            Some(Owner::Another) => Some("another account".to_owned()),
            _ => None,
        };
        if let Some(owner) = owner {
            close.push(TooClose::OtherOwner { url: url(), owner, configured });
        }
    }
    let account = found.account.clone().filter(|account| neighbours.accounts.contains(account));
    if let Some(account) = account.filter(|_| !copy.allow_same_account) {
        close.push(TooClose::Account { url: url(), account, known: found.known });
    }
    close
}

/// What a copy shares with the repository, in a sentence: an outage or an attacker there reaches both. No refusal: the repository
/// may well be where only the source must not be.
pub fn beside(copy: &Whereabouts, repository: &Whereabouts) -> Option<String> {
    let region = |place: &Whereabouts| place.region.as_deref().map(region_name);
    let region = region(copy).filter(|found| Some(found) == region(repository).as_ref());
    let account = copy.account.clone().filter(|found| Some(found) == repository.account.as_ref());
    let shared = match (region, account) {
        (None, None) => return None,
        (Some(region), None) => format!("region {region}"),
        (None, Some(account)) => format!("account {account}"),
        (Some(region), Some(account)) => format!("region {region} and account {account}"),
    };
    Some(format!("in {shared}, as the repository is: what happens there happens to both"))
}

/// Refuses a region in which `[policy]` allows neither copies nor targets.
///
/// # Errors
/// [`Elsewhere`].
pub fn allowed(policy: &PolicySection, region: &str) -> Result<(), Elsewhere> {
    if policy.allows(region) {
        return Ok(());
    }
    Err(Elsewhere { region: region.to_owned(), allowed: policy.regions.clone() })
}

/// A sentence where a copy is encrypted with a KMS key of a source's account: who takes that account takes the key. Both
/// the key that the address asks for and the one that the service names are looked at.
pub async fn key_of_a_source(neighbours: &Neighbours, copy: &CopySection, storage: &Storage) -> Option<String> {
    if copy.allow_same_account {
        return None;
    }
    let named = storage.encryption_key("lifeboat.json").await.ok().flatten();
    let keys = storage.wanted_key().map(str::to_owned).into_iter().chain(named);
    keys.into_iter().find_map(|key| {
        let account = storage::account_of_key(&key).filter(|account| neighbours.accounts.contains(*account))?;
        let copy = &copy.url;
        Some(format!("the copy at {copy} is encrypted with {key} of account {account}, the source's: without that account nobody can read the copy"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(policy: &[&str]) -> Neighbours {
        let set = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let policy = PolicySection { regions: policy.iter().map(|region| (*region).to_owned()).collect() };
        Neighbours { regions: set(&["us-east-1", "eu-central-1"]), accounts: set(&["9", "1"]), policy }
    }

    fn verdict(region: Option<&str>, account: Option<&str>, change: impl Fn(&mut CopySection)) -> Result<(), TooClose> {
        let mut copy = CopySection::new("s3://b".into());
        change(&mut copy);
        let found = Whereabouts {
            region: region.map(str::to_owned),
            account: account.map(str::to_owned),
            ..Whereabouts::default()
        };
        apart(&neighbours(&[]), &copy, &found)
    }

    #[test]
    fn the_same_region_or_account_is_refused_unless_allowed() {
        let none = |_: &mut CopySection| {};
        assert_eq!(verdict(None, None, none), Ok(()));
        assert_eq!(verdict(Some("eu-west-1"), Some("2"), none), Ok(()));
        assert!(matches!(verdict(Some("eu-central-1"), Some("2"), none), Err(TooClose::Region { .. })));
        assert!(matches!(verdict(Some(" EU-Central-1"), Some("2"), none), Err(TooClose::Region { .. })));
        assert!(matches!(verdict(Some("eu-west-1"), Some("1"), none), Err(TooClose::Account { .. })));
        let region = |copy: &mut CopySection| copy.allow_same_region = true;
        assert_eq!(verdict(Some("eu-central-1"), Some("2"), region), Ok(()));
        assert!(matches!(verdict(Some("eu-central-1"), Some("1"), region), Err(TooClose::Account { .. })));
        let account = |copy: &mut CopySection| copy.allow_same_account = true;
        assert_eq!(verdict(None, Some("1"), account), Ok(()));
        assert!(matches!(verdict(Some("eu-central-1"), None, account), Err(TooClose::Region { .. })));
    }

    #[test]
    fn a_bucket_that_is_not_the_configured_accounts_is_refused() {
        let copy = |account: &str| CopySection { account: Some(account.into()), ..CopySection::new("s3://b".into()) };
        let with = |owner: Option<Owner>, account: &str| {
            let found = Whereabouts { account: Some(account.into()), owner, ..Whereabouts::default() };
            apart(&neighbours(&[]), &copy("2"), &found)
        };
        assert_eq!(with(Some(Owner::Account("2".into())), "2"), Ok(()));
        assert_eq!(with(Some(Owner::Unknown("why".into())), "2"), Ok(()));
        let other = with(Some(Owner::Account("3".into())), "3").unwrap_err().to_string();
        assert!(other.contains("belongs to account 3") && other.contains("has account 2"), "{other}");
        let another = with(Some(Owner::Another), "2").unwrap_err().to_string();
        assert!(another.contains("belongs to another account"), "{another}");
    }

    #[test]
    fn every_reason_is_told_and_how_the_account_is_known() {
        let found = |known| Whereabouts {
            region: Some("us-east-1".into()),
            account: Some("9".into()),
            known,
            ..Whereabouts::default()
        };
        let copy = CopySection::new("s3://b".into());
        let words = |known| {
            let close = closeness(&neighbours(&["eu-west-1"]), &copy, &found(known));
            close.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let all = words(Known::Credentials);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].contains("us-east-1, the region of the source") && all[1].contains("[policy]"), "{all:?}");
        assert!(all[2].contains("account 9 (the account of the credentials that reach it), the source's"), "{all:?}");
        assert!(words(Known::Proven)[2].contains("account 9 (the owner of the bucket), the source's"));
    }

    #[test]
    fn what_a_copy_shares_with_the_repository_is_named() {
        let at = |region: Option<&str>, account: Option<&str>| Whereabouts {
            region: region.map(str::to_owned),
            account: account.map(str::to_owned),
            ..Whereabouts::default()
        };
        let repository = at(Some("eu-west-1"), Some("2"));
        let shared = |region, account| beside(&at(region, account), &repository);
        assert_eq!(shared(Some("eu-west-2"), Some("3")), None);
        assert_eq!(beside(&at(None, None), &at(None, None)), None, "what is not known is not shared");
        assert!(shared(Some("EU-West-1"), Some("3")).unwrap().starts_with("in region eu-west-1, as"));
        assert!(shared(None, Some("2")).unwrap().starts_with("in account 2, as"));
        assert!(shared(Some("eu-west-1"), Some("2")).unwrap().starts_with("in region eu-west-1 and account 2, as"));
    }

    #[test]
    fn the_policy_says_where_copies_may_be() {
        let found = |region: &str| Whereabouts { region: Some(region.into()), ..Whereabouts::default() };
        let (copy, neighbours) = (CopySection::new("s3://b".into()), neighbours(&["EU-West-1", "eu-west-2"]));
        assert_eq!(apart(&neighbours, &copy, &found("eu-west-1")), Ok(()));
        assert_eq!(apart(&neighbours, &copy, &Whereabouts::default()), Ok(()));
        let error = apart(&neighbours, &copy, &found("us-west-2")).unwrap_err().to_string();
        assert_eq!(error, "the copy at s3://b: us-west-2 is not one of the regions of [policy]: EU-West-1, eu-west-2");
    }
}
