//! `lifeboat.toml`: what a backup host knows. Plain data; nothing here opens anything.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// The configuration of one backup host (docs/config.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The repository snapshots are written to.
    pub repository: RepositorySection,
    /// Where the secrets live.
    pub source: SourceSection,
    /// What this host believes, whatever the repository says.
    pub trust: TrustSection,
    /// The host's own keys.
    pub keys: KeysSection,
    /// How a restore goes about it.
    #[serde(default, skip_serializing_if = "RestoreSection::is_default")]
    pub restore: RestoreSection,
    /// Copies kept elsewhere.
    #[serde(default, rename = "copy", skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopySection>,
}

/// `[repository]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySection {
    /// A path or `file://` URL.
    pub url: String,
}

/// `[source]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSection {
    /// `aws:REGION`.
    pub url: ProviderAddress,
    /// The account this must be; a run that lands elsewhere is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Names to leave out: `*` and `?` patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The share of each request quota to use, above 0 and at most 1.
    #[serde(default = "default_rate_share")]
    pub rate_share: f64,
}

/// `[trust]`, pinned at init.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSection {
    /// The root signing key's public half, `ssh-ed25519 AAAA…`.
    pub root: String,
    /// The recovery recipient, `age1…`.
    pub recipient: String,
}

/// `[keys]`: files, relative to the configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysSection {
    /// The signer: an OpenSSH private key.
    pub signer: PathBuf,
    /// The index key: an age identity.
    pub index: PathBuf,
}

/// `[restore]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreSection {
    /// Names whose current versions come back before all others', most urgent first: `*` and `?` patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<String>,
}

impl RestoreSection {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[[copy]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopySection {
    /// A path or `file://` URL.
    pub url: String,
    /// The region it is in, for people and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A provider and a region: `aws:eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderAddress {
    /// The region.
    pub region: String,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, a missing key, a wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A provider address that is not `aws:REGION`.
    #[error("{0:?} is not a provider address (expected aws:REGION, such as aws:eu-central-1)")]
    Address(String),
    /// A rate share outside ]0, 1].
    #[error("rate_share must be above 0 and at most 1")]
    RateShare,
}

impl Config {
    /// Reads the text of a configuration file. Unknown keys are refused.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string().trim_end().to_owned()))?;
        if config.source.rate_share > 0.0 && config.source.rate_share <= 1.0 {
            Ok(config)
        } else {
            Err(ConfigError::RateShare)
        }
    }

    /// The text of the configuration file, with a line of explanation on top.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).expect("the configuration holds nothing TOML cannot express");
        format!("# Lifeboat's configuration for this backup host; docs/config.md explains every key.\n\n{body}")
    }
}

impl FromStr for ProviderAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let region = text.strip_prefix("aws:").unwrap_or_default();
        let plausible = region.contains('-') && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if plausible { Ok(Self { region: region.to_owned() }) } else { Err(ConfigError::Address(text.to_owned())) }
    }
}

impl TryFrom<String> for ProviderAddress {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<ProviderAddress> for String {
    fn from(address: ProviderAddress) -> String {
        address.to_string()
    }
}

impl fmt::Display for ProviderAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aws:{}", self.region)
    }
}

fn default_rate_share() -> f64 {
    0.9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Config {
        Config {
            repository: RepositorySection { url: "/srv/lifeboat".into() },
            source: SourceSection {
                url: "aws:eu-central-1".parse().unwrap(),
                account: Some("111111111111".into()),
                exclude: vec!["scratch/*".into()],
                rate_share: 0.5,
            },
            trust: TrustSection { root: "ssh-ed25519 AAAA".into(), recipient: "age1x".into() },
            keys: KeysSection { signer: "signer".into(), index: "index.age".into() },
            restore: RestoreSection { first: vec!["app/*".into()] },
            copies: vec![CopySection { url: "/mnt/west".into(), region: Some("eu-west-1".into()) }],
        }
    }

    #[test]
    fn text_round_trips() {
        assert_eq!(Config::parse(&example().to_text()).unwrap(), example());
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        let good = example().to_text();
        for (from, to, says) in [
            ("rate_share = 0.5", "rate_share = 0.0", "rate_share"),
            ("rate_share = 0.5", "rate_share = 1.5", "rate_share"),
            ("rate_share = 0.5", "rate_shar = 0.5", "rate_shar"),
            ("aws:eu-central-1", "gcp:eu", "aws:REGION"),
            ("[trust]", "[trusted]", "trusted"),
            ("root = \"ssh-ed25519 AAAA\"\n", "", "root"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Config::parse(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
