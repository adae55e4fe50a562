//! `lifeboat.toml`: what a backup host knows. Plain data; nothing here opens anything.

mod after;
mod alarms;
mod sources;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{isolation::region_name, text::distance};
pub use after::{AfterSection, DrillHooks, HookKind, Occasion};
pub use alarms::AlarmsSection;
pub use sources::{CaptureSection, OrganizationSection, SourceSection, Sources, queue_name};

/// Policies and deprecated versions at most a month old, for a thirtieth of the calls a day.
pub const DEFAULT_SWEEP_DAYS: u32 = 30;

/// The configuration of one backup host (docs/config.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The repository snapshots are written to.
    pub repository: RepositorySection,
    /// Where the secrets live.
    #[serde(rename = "source")]
    pub sources: Sources,
    /// What this host believes, whatever the repository says.
    pub trust: TrustSection,
    /// The host's own keys.
    pub keys: KeysSection,
    /// How old things may be before `status` says so.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: StatusSection,
    /// Which snapshots `forget` keeps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retention: RetentionSection,
    /// Restore drills.
    #[serde(default, skip_serializing_if = "is_default")]
    pub drill: DrillSection,
    /// How a restore goes about it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restore: RestoreSection,
    /// Where copies and targets may be.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: PolicySection,
    /// What sheets and runbook say of whom to ask.
    #[serde(default, skip_serializing_if = "is_default")]
    pub custody: CustodySection,
    /// What the estate wants to be told about.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alarms: AlarmsSection,
    /// What makes consumers take restored and rotated values.
    #[serde(default, rename = "after", skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<AfterSection>,
    /// Copies kept elsewhere.
    #[serde(default, rename = "copy", skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopySection>,
}

/// `[retention]`; rules add up, and 0 keeps nothing by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSection {
    /// The newest so many.
    pub keep_last: u32,
    /// One of each of the last so many days that have one.
    pub keep_daily: u32,
    /// The same for ISO weeks.
    pub keep_weekly: u32,
    /// The same for months.
    pub keep_monthly: u32,
    /// The same for years.
    pub keep_yearly: u32,
    /// Everything so many days older than the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_within_days: Option<u32>,
    /// Days in which a forgetting can be undone.
    pub undo_days: u32,
}

/// `[drill]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrillSection {
    /// The accounts drills may write to; empty allows every one but the source's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// The drill key's recipient, `age1…`: canaries are sealed to it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The drill key: a file, relative to the configuration file. Only where drills run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The names of canaries and of the configured sample, with `*` and `?`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<String>,
    /// Seal every value to the drill key, not canaries alone: whoever has it can read every secret.
    #[serde(skip_serializing_if = "is_default")]
    pub full: bool,
    /// What a drill does about hooks.
    #[serde(skip_serializing_if = "is_default")]
    pub hooks: DrillHooks,
}

/// `[status]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusSection {
    /// The newest snapshot, in hours.
    pub snapshot_hours: u32,
    /// The newest snapshot of a copy that lags, in hours.
    pub copy_hours: u32,
    /// The newest drill that passed, in days.
    pub drill_days: u32,
    /// The oldest reading behind the newest snapshot, in days.
    pub reading_days: u32,
    /// The newest comparison with a standby place, in hours.
    pub drift_hours: u32,
}

/// `[repository]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySection {
    /// A path or `file://` URL.
    pub url: String,
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

/// `[custody]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustodySection {
    /// Whose backup it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Whom a custodian or an engineer calls: a name and a telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// `[policy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySection {
    /// The regions in which copies and the targets of restores and drills may be; empty for every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// `[[copy]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopySection {
    /// A path or `file://` URL.
    pub url: String,
    /// The region it is in, where the address does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The account it is in, where the credentials do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Accept the region of the source.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_same_region: bool,
    /// Accept the account of the source.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_same_account: bool,
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, a missing key, a wrong type.
    #[error("{0}")]
    Syntax(String),
    /// No sweep at all.
    #[error("sweep_days must be at least 1")]
    SweepDays,
    /// A share of nothing, or of more than everything.
    #[error("drop_percent must be from 1 to 100")]
    DropPercent,
    /// A rate share that is none.
    #[error("rate_share must be above 0")]
    RateShare,
    /// Sources that cannot be meant.
    #[error("{0}")]
    Sources(String),
    /// A hook that cannot be meant.
    #[error("[[after]] {name:?}: {fault}")]
    After {
        /// Its name.
        name: String,
        /// What is wrong.
        fault: String,
    },
}

impl Config {
    /// One that leaves everything else as it is by default.
    pub fn new(url: String, sources: Sources, trust: TrustSection, keys: KeysSection) -> Self {
        Self {
            repository: RepositorySection { url },
            sources,
            trust,
            keys,
            status: StatusSection::default(),
            retention: RetentionSection::default(),
            drill: DrillSection::default(),
            restore: RestoreSection::default(),
            policy: PolicySection::default(),
            custody: CustodySection::default(),
            alarms: AlarmsSection::default(),
            hooks: Vec::new(),
            copies: Vec::new(),
        }
    }

    /// Reads the text of a configuration file. Unknown keys are refused.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Syntax(with_suggestion(&error.to_string())))?;
        config.sources.validate()?;
        after::validate(&config.hooks)?;
        Ok(config)
    }

    /// The text of the configuration file, with a line of explanation on top.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).expect("the configuration holds nothing TOML cannot express");
        format!("# Lifeboat's configuration for this backup host; docs/config.md explains every key.\n\n{body}")
    }
}

impl PolicySection {
    /// Whether copies and targets may be in a region, however it is written.
    pub fn allows(&self, region: &str) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|allowed| region_name(allowed) == region_name(region))
    }
}

impl CopySection {
    /// A copy about which nothing else is known.
    pub fn new(url: String) -> Self {
        Self { url, region: None, account: None, allow_same_region: false, allow_same_account: false }
    }
}

impl Default for StatusSection {
    /// A run a day with two hours of grace; a drill a month with four days; everything read again within a month.
    fn default() -> Self {
        Self { snapshot_hours: 26, copy_hours: 26, drill_days: 35, reading_days: 30, drift_hours: 26 }
    }
}

impl Default for RetentionSection {
    /// No rule, and a week to notice a wrong one.
    fn default() -> Self {
        Self {
            keep_last: 0,
            keep_daily: 0,
            keep_weekly: 0,
            keep_monthly: 0,
            keep_yearly: 0,
            keep_within_days: None,
            undo_days: 7,
        }
    }
}

/// serde's words, and the known key that an unknown one resembles.
pub fn with_suggestion(words: &str) -> String {
    let words = words.trim_end();
    match suggestion(words) {
        Some(known) => format!("{words}\ndid you mean `{known}`?"),
        None => words.to_owned(),
    }
}

/// Of "unknown field `x`, expected one of `a`, `b`" the expected one that is at most half its letters away.
fn suggestion(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.lines().next()?.split('`').skip(1).step_by(2);
    let (distance, nearest) = known.map(|known| (distance(unknown, known), known)).min()?;
    let letters = nearest.chars().count().max(unknown.chars().count());
    (2 * distance <= letters).then_some(nearest)
}

fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Config {
        Config {
            repository: RepositorySection { url: "/srv/lifeboat".into() },
            sources: Sources::One(SourceSection {
                capture: CaptureSection {
                    exclude: vec!["scratch/*".into()],
                    exclude_deleted: true,
                    sweep_days: 7,
                    sweep_minutes: 3,
                    rate_share: 0.5,
                    drop_percent: 20,
                    drop_minimum: 9,
                },
                ..SourceSection::new("aws:eu-central-1".parse().unwrap(), Some("111111111111".into()))
            }),
            trust: TrustSection { root: "ssh-ed25519 AAAA".into(), recipient: "age1x".into() },
            keys: KeysSection { signer: "signer".into(), index: "index.age".into() },
            retention: RetentionSection { keep_last: 3, keep_within_days: Some(9), ..RetentionSection::default() },
            drill: DrillSection::default(),
            status: StatusSection { snapshot_hours: 50, ..StatusSection::default() },
            restore: RestoreSection { first: vec!["app/*".into()] },
            policy: PolicySection { regions: vec!["eu-west-1".into(), "eu-central-1".into()] },
            custody: CustodySection { organisation: Some("Example Ltd".into()), call: Some("+49 30".into()) },
            alarms: AlarmsSection { critical: vec!["app/*".into()], backup_hours: vec![2], ..AlarmsSection::default() },
            hooks: Vec::new(),
            copies: vec![CopySection { region: Some("eu-west-1".into()), ..CopySection::new("/mnt/west".into()) }],
        }
    }

    #[test]
    fn text_round_trips() {
        assert_eq!(Config::parse(&example().to_text()).unwrap(), example());
    }

    #[test]
    fn what_resembles_nothing_gets_no_suggestion() {
        let text = example().to_text().replace("rate_share", "colour");
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains("colour") && !error.contains("did you mean"), "{error}");
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("same", "same")), (3, 3, 0));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        let good = example().to_text();
        for (from, to, says) in [
            ("rate_share = 0.5", "rate_share = 0.0", "rate_share"),
            ("rate_share = 0.5", "rate_share = inf", "rate_share"),
            ("rate_share = 0.5", "rate_shar = 0.5", "did you mean `rate_share`?"),
            ("sweep_days = 7", "sweep_day = 7", "did you mean `sweep_days`?"),
            ("sweep_days = 7", "sweep_days = 0", "at least 1"),
            ("keep_last = 3", "keeplast = 3", "did you mean `keep_last`?"),
            ("[[copy]]", "[[copies]]", "did you mean `copy`?"),
            ("[policy]\nregions", "[policy]\nregion", "did you mean `regions`?"),
            ("[status]", "[statsu]", "did you mean `status`?"),
            ("aws:eu-central-1", "fax:eu", "aws:REGION"),
            ("[trust]", "[trusted]", "trusted"),
            ("root = \"ssh-ed25519 AAAA\"\n", "", "root"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Config::parse(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
