//! A copy that would be lost together with its source is none.

use crate::{
    config::{CopySection, Sources},
    storage::Storage,
};

/// Why a place is no place for a copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooClose {
    /// The same region.
    #[error("the copy at {url} is in {region}, the region of the source: both would be gone at once")]
    Region {
        /// The copy.
        url: String,
        /// The region.
        region: String,
    },
    /// The same account.
    #[error("the copy at {url} is in account {account}, the source's: whoever takes one has both")]
    Account {
        /// The copy.
        url: String,
        /// The account.
        account: String,
    },
}

/// Where a copy is, as far as anyone says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The region: of the configuration, of the address, or of the AWS SDK's settings.
    pub region: Option<String>,
    /// The account: of the configuration, or of the credentials it is reached with.
    pub account: Option<String>,
}

/// Where a configured copy is. What cannot be found out is not known, which refuses nothing.
pub async fn whereabouts(copy: &CopySection, storage: &Storage) -> Whereabouts {
    let mut found = Whereabouts { region: copy.region.clone(), account: copy.account.clone() };
    found.region = found.region.or_else(|| storage.region().map(str::to_owned));
    let Ok(Some(sdk)) = storage.sdk().await else { return found };
    found.region = found.region.or_else(|| sdk.region().map(ToString::to_string));
    // Another endpoint is not AWS, and its accounts are not AWS's.
    if found.account.is_none() && !storage.has_own_endpoint() {
        let client = aws_sdk_sts::Client::new(&sdk);
        found.account = client.get_caller_identity().send().await.ok().and_then(|answer| answer.account);
    }
    found
}

/// Refuses a copy in the region or account of a source, unless the configuration allows it.
///
/// # Errors
/// [`TooClose`].
pub fn apart(sources: &Sources, copy: &CopySection, found: &Whereabouts) -> Result<(), TooClose> {
    let url = copy.url.clone();
    let same_region = found.region.clone().filter(|region| sources.regions().contains(region.as_str()));
    if let Some(region) = same_region.filter(|_| !copy.allow_same_region) {
        return Err(TooClose::Region { url, region });
    }
    let account = found.account.clone().filter(|account| sources.accounts().contains(account.as_str()));
    match account.filter(|_| !copy.allow_same_account) {
        Some(account) => Err(TooClose::Account { url, account }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceSection;

    fn verdict(region: Option<&str>, account: Option<&str>, change: impl Fn(&mut CopySection)) -> Result<(), TooClose> {
        let source = |url: &str, account: &str| SourceSection::new(url.parse().unwrap(), Some(account.into()));
        let sources = Sources::Several(vec![source("aws:us-east-1", "9"), source("aws:eu-central-1", "1")]);
        let mut copy = CopySection::new("s3://b".into());
        change(&mut copy);
        let found = Whereabouts { region: region.map(str::to_owned), account: account.map(str::to_owned) };
        apart(&sources, &copy, &found)
    }

    #[test]
    fn the_same_region_or_account_is_refused_unless_allowed() {
        let none = |_: &mut CopySection| {};
        assert_eq!(verdict(None, None, none), Ok(()));
        assert_eq!(verdict(Some("eu-west-1"), Some("2"), none), Ok(()));
        assert!(matches!(verdict(Some("eu-central-1"), Some("2"), none), Err(TooClose::Region { .. })));
        assert!(matches!(verdict(Some("eu-west-1"), Some("1"), none), Err(TooClose::Account { .. })));
        let region = |copy: &mut CopySection| copy.allow_same_region = true;
        assert_eq!(verdict(Some("eu-central-1"), Some("2"), region), Ok(()));
        assert!(matches!(verdict(Some("eu-central-1"), Some("1"), region), Err(TooClose::Account { .. })));
        let account = |copy: &mut CopySection| copy.allow_same_account = true;
        assert_eq!(verdict(None, Some("1"), account), Ok(()));
        assert!(matches!(verdict(Some("eu-central-1"), None, account), Err(TooClose::Region { .. })));
    }
}
