//! The drill file, `drills/NAME.toml`: everything a drill does, decided before it runs. Pure.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{isolation::Lost, model::PlaceFilter, restore::Aspect};

/// A drill as described (docs/drills.md).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillFile {
    /// What is supposed to have happened, in a sentence.
    pub scenario: String,
    /// The version of this plan, as its owner counts.
    #[serde(default)]
    pub version: Option<String>,
    /// The first day of the plan, from which its turns are counted; otherwise the day the repository was made.
    #[serde(default)]
    pub since: Option<Date>,
    /// How often it is to be held, in days.
    #[serde(default)]
    pub every_days: Option<u32>,
    /// Who answers for what a drill finds.
    #[serde(default)]
    pub owner: Option<String>,
    /// Who allows drills of this plan; not who holds them.
    #[serde(default)]
    pub approver: Option<String>,
    /// Who reviews the records.
    #[serde(default)]
    pub reviewer: Option<String>,
    /// Where drills of this plan and what they find are followed.
    #[serde(default)]
    pub ticket: Option<String>,
    /// The runbook that is exercised, relative to the configuration.
    #[serde(default)]
    pub runbook: Option<PathBuf>,
    /// How long records are kept, in words.
    #[serde(default)]
    pub retention: Option<String>,
    /// After which a drill is given up and cleaned up.
    #[serde(default = "two_hours")]
    pub time_limit: SignedDuration,
    /// Why a drill was not held, by month (`2026-08`) or by the day its turn began.
    #[serde(default)]
    pub missed: BTreeMap<String, String>,
    /// Which snapshot.
    #[serde(default)]
    pub snapshot: SnapshotSection,
    /// What counts as lost.
    #[serde(default)]
    pub lost: Lost,
    /// Where to.
    pub target: TargetSection,
    /// What.
    #[serde(default)]
    pub restore: RestoreSection,
    /// Opened by whom.
    #[serde(default)]
    pub open: OpenSection,
    /// What is compared.
    #[serde(default)]
    pub checks: ChecksSection,
    /// What is tried with restored values.
    #[serde(default, rename = "probe")]
    pub probes: Vec<Probe>,
    /// What is to be reached.
    #[serde(default)]
    pub objectives: Objectives,
    /// What is written for people.
    #[serde(default)]
    pub report: ReportSection,
    /// Who is told.
    #[serde(default, rename = "notify")]
    pub notifiers: Vec<Notifier>,
    /// Reviews of earlier records; the next record carries them, signed.
    #[serde(default, rename = "review")]
    pub reviews: Vec<ReviewSection>,
}

/// `[snapshot]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSection {
    /// How it is chosen.
    pub select: Select,
    /// `random`: among the newest so many.
    pub last: Option<u32>,
    /// `random`: what decides; a random one otherwise, and recorded.
    pub seed: Option<u64>,
    /// `id`: the beginning of its id.
    pub id: Option<String>,
    /// `time`: the newest one that is not younger.
    pub time: Option<Timestamp>,
    /// Of which source, `ACCOUNT:REGION`; needed where the repository has several.
    pub source: Option<PlaceFilter>,
    /// The repository or copy, by URL or by the region of a copy; otherwise the first one that is not lost.
    pub from: Option<String>,
}

/// How a snapshot is chosen; what is newest, the chain says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The newest.
    #[default]
    Newest,
    /// One of the last.
    Random,
    /// The one with this id.
    Id,
    /// The one of this time.
    Time,
}

/// `[target]`: an account, the embedded sandbox, or an address of another kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSection {
    /// Whether secrets are restored, or served by break glass.
    pub kind: TargetKind,
    /// The embedded sandbox, started for this drill alone.
    pub sandbox: bool,
    /// The account it must be.
    pub account: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// A role to take.
    pub role: Option<String>,
    /// A profile of the AWS configuration.
    pub profile: Option<String>,
    /// Another endpoint than AWS's own.
    pub endpoint: Option<String>,
    /// A place that its address alone decides, such as `vault:https://HOST/MOUNT`.
    pub url: Option<String>,
    /// Put before every name.
    pub prefix: String,
}

/// What a drill does with the secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// They are restored into a provider.
    #[default]
    Provider,
    /// The server of break glass is started, and a client reads them from it.
    BreakGlass,
}

/// `[restore]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreSection {
    /// All, a sample, or the canaries.
    pub what: What,
    /// `sample`: how many, `25` or `"10%"`.
    pub sample: Option<Size>,
    /// `sample`: what decides; a random one otherwise, and recorded.
    pub seed: Option<u64>,
    /// `sample`: names that are always in it.
    pub always: Vec<String>,
    /// `canaries`: their names; `[drill] canaries` of the configuration otherwise.
    pub canaries: Vec<String>,
}

/// What is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Everything.
    #[default]
    All,
    /// Some, chosen by chance that can be repeated.
    Sample,
    /// The planted ones and the configured sample.
    Canaries,
}

/// The size of a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// So many.
    Count(u64),
    /// `"10%"`.
    Percent(String),
}

/// `[open]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenSection {
    /// By whom.
    pub by: OpenedBy,
}

/// Who opens the packs of a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenedBy {
    /// Nobody: the drill key opens canaries and the configured sample.
    Canary,
    /// The drill key, to which everything is sealed.
    DrillKey,
    /// Custodians with their sheets.
    #[default]
    Quorum,
}

/// `[checks]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChecksSection {
    /// Those that count; all of them otherwise.
    pub run: Vec<Aspect>,
}

/// `[[probe]]`: a command that is given one restored value on stdin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// For people.
    pub name: String,
    /// The secret, by its name in the source.
    pub secret: String,
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// After which it is ended.
    #[serde(default = "ten_seconds")]
    pub time_limit: SignedDuration,
    /// The exit code that is right.
    #[serde(default)]
    pub exit: i32,
}

/// `[objectives]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objectives {
    /// From the start of the drill to the end of verification.
    pub rto: Option<SignedDuration>,
    /// `[target] kind = "break-glass"`: from the opening by the quorum to the first secret that a client got.
    pub first_secret: Option<SignedDuration>,
    /// The age of the snapshot at the start.
    pub rpo: Option<SignedDuration>,
}

/// `[report]`: files, relative to the configuration; `{drill}` is the record's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSection {
    /// One page without network.
    pub html: Option<String>,
    /// The same to print.
    pub pdf: Option<String>,
    /// Leave names of secrets out of the record and of every report.
    pub redact_names: bool,
}

/// `[[notify]]`: a command that is given the summary as JSON on stdin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifier {
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// After which it is ended.
    #[serde(default = "ten_seconds")]
    pub time_limit: SignedDuration,
    /// When; always otherwise.
    #[serde(default)]
    pub on: Vec<On>,
}

/// `[[review]]`: what became of an earlier record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewSection {
    /// The record, by the stem of its file.
    pub record: String,
    /// Who reviewed it; not who held the drill.
    pub reviewer: String,
    /// The day, `2026-11-05`.
    pub date: Date,
    /// What came of it.
    #[serde(default)]
    pub note: Option<String>,
}

/// When somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The first write is about to be made.
    Start,
    /// It passed.
    Success,
    /// It did not.
    Failure,
}

impl Default for ChecksSection {
    fn default() -> Self {
        Self { run: Aspect::ALL.to_vec() }
    }
}

fn two_hours() -> SignedDuration {
    SignedDuration::from_hours(2)
}

fn ten_seconds() -> SignedDuration {
    SignedDuration::from_secs(10)
}
