//! Where secrets live.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One account and region of a provider: the scope of a snapshot, a plan and a drill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The provider's scheme: `aws`.
    pub provider: String,
    /// The account as the provider itself reports it (AWS: STS GetCallerIdentity).
    pub account: String,
    /// The region.
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (account {})", self.provider, self.region, self.account)
    }
}

/// One account, in one region or in all: `ACCOUNT:REGION` or `ACCOUNT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlaceFilter {
    /// The account.
    pub account: String,
    /// The region; all without one.
    pub region: Option<String>,
}

/// Not a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a source (expected ACCOUNT:REGION such as 111111111111:eu-central-1, ACCOUNT, or HOST:/FOLDER)")]
pub struct NoPlace(String);

impl Place {
    /// `ACCOUNT:REGION`, as `--source` takes it.
    pub fn short(&self) -> String {
        format!("{}:{}", self.account, self.region)
    }

    /// The operation that reads a value here, as the provider names it; records of a refused value have its error code alone.
    pub fn reads_value(&self) -> &'static str {
        if self.provider == "aws" { "GetSecretValue" } else { "read" }
    }
}

impl PlaceFilter {
    /// Whether it means a place.
    pub fn means(&self, place: &Place) -> bool {
        self.account == place.account && self.region.as_ref().is_none_or(|region| *region == place.region)
    }
}

impl fmt::Display for PlaceFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{}:{region}", self.account),
            None => f.write_str(&self.account),
        }
    }
}

impl From<PlaceFilter> for String {
    fn from(filter: PlaceFilter) -> String {
        filter.to_string()
    }
}

impl TryFrom<String> for PlaceFilter {
    type Error = NoPlace;

    fn try_from(text: String) -> Result<Self, NoPlace> {
        text.parse()
    }
}

impl FromStr for PlaceFilter {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (account, region) = match text.split_once(':') {
            Some((account, region)) => (account, Some(region)),
            None => (text, None),
        };
        let number = !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit());
        if let Some((_, uuid)) = region.and_then(|region| region.rsplit_once('@'))
            && is_uuid(uuid)
            && is_uuid(account.split('/').next().unwrap_or_default())
        {
            return Ok(Self { account: account.to_owned(), region: region.map(str::to_owned) });
        }
        // A folder of files on a machine.
        if region.is_some_and(|region| region.starts_with('/')) && is_host(account) {
            return Ok(Self { account: account.to_owned(), region: region.map(str::to_owned) });
        }
        let plausible = |region: &str| {
            region == "global"
                || (region.contains('-') && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        };
        if number && region.is_none_or(plausible) {
            Ok(Self { account: account.to_owned(), region: region.map(str::to_owned) })
        } else {
            Err(NoPlace(text.to_owned()))
        }
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// The form in which clusters and mounts of a Vault are named.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_means_one_region_or_all() {
        let place = Place { provider: "aws".into(), account: "111".into(), region: "eu-west-1".into() };
        let means = |text: &str| text.parse::<PlaceFilter>().unwrap().means(&place);
        assert!(means("111") && means(&place.short()));
        let (cluster, mount) = ("c0d46f59-821f-71e1-8d8b-04cb47d2dca2", "fe5eb294-cdb7-eb7b-5ab2-20db29d5bf61");
        let (account, region) = (format!("{cluster}/team/a"), format!("kv/x@{mount}"));
        let vault = Place { provider: "vault".into(), account, region };
        assert!(vault.short().parse::<PlaceFilter>().unwrap().means(&vault) && !means(&vault.short()));
        let env = Place { provider: "env".into(), account: "web-1".into(), region: "/srv/a:b".into() };
        assert!(env.short().parse::<PlaceFilter>().unwrap().means(&env) && !means("web-1:/srv"));
        assert!(!means("112") && !means("111:eu-west-2") && !means("112:eu-west-1"));
        for text in [
            "",
            ":",
            "111:",
            "aws:eu-west-1",
            "111/eu-west-1",
            "111:eu-west-1:",
            "eu-west-1",
            "111:*",
            ":/srv",
            "web-1",
            "a b:/srv",
        ] {
            assert!(text.parse::<PlaceFilter>().is_err(), "{text}");
        }
    }
}
