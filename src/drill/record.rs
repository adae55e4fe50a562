//! The record of a drill, version 2 (docs/drills.md): what an auditor asks for, and never a value.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    crypto::PublicKey,
    isolation::Lost,
    model::{Digest, Place, RepositoryId, SnapshotId},
    repo::AcceptedFault,
    restore::Aspect,
};

/// The version that this build writes.
pub const RECORD_VERSION: u32 = 2;

/// Everything about one drill, as signed. Names of secrets only where something is wrong with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format version, 2.
    pub version: u32,
    /// The drill.
    pub drill: SnapshotId,
    /// The repository.
    pub repository: RepositoryId,
    /// The tool, such as `lifeboat 0.1.0`.
    pub tool: String,
    /// SHA-256 of its program file.
    pub tool_sha256: Option<Digest>,
    /// SHA-256 of the configuration file.
    pub config_sha256: Option<Digest>,
    /// The plan.
    pub plan: PlanFacts,
    /// Who said that it be held, before the first write.
    pub approval: Approval,
    /// Which controls it is evidence for.
    pub controls: Vec<Control>,
    /// Who signs.
    pub signer: PublicKey,
    /// SHA-256 of the record before this one.
    pub previous: Option<Digest>,
    /// When it began.
    pub started: Timestamp,
    /// When its last phase ended.
    pub ended: Timestamp,
    /// Phases in order.
    pub phases: Vec<Phase>,
    /// Where the secrets came from.
    pub source: Place,
    /// Where they were restored to; never the source's account.
    pub target: Place,
    /// What kept the drill in its sandbox.
    pub isolation: IsolationFacts,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// Its place in the chain: the witness against rollback.
    pub sequence: u64,
    /// The recovery point.
    pub recovery_point: RecoveryPoint,
    /// Who opened it.
    pub opening: OpeningFacts,
    /// What the source held, against what was captured.
    pub inventory: Inventory,
    /// What of it was restored.
    pub sample: Sample,
    /// Secrets left out by rule.
    pub left_out: Vec<Reason>,
    /// Secrets and parts that could not be restored.
    pub not_restored: Vec<Reason>,
    /// What was compared.
    pub checks: Vec<Check>,
    /// Faults planted beside the drill, and whether they were caught.
    pub negative_controls: Vec<NegativeControl>,
    /// What was tried with restored values.
    pub probes: Vec<ProbeResult>,
    /// What differed.
    pub differences: Vec<RecordedDifference>,
    /// Whether names of secrets were left out.
    pub redacted: bool,
    /// Seconds from the start of the drill to the end of verification, when it got there.
    pub rto_seconds: Option<f64>,
    /// What a server of break glass took; only where the drill was on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ServedFacts>,
    /// Seconds from the recovery point to the start of the drill.
    pub rpo_seconds: f64,
    /// The objectives.
    pub objectives: ObjectiveFacts,
    /// The verdict.
    pub result: Verdict,
    /// What did not go as planned.
    pub deviations: Vec<Deviation>,
    /// What was created and destroyed again.
    pub clean_up: CleanUp,
    /// The drills before this one.
    pub history: History,
    /// Reviews of earlier records of this plan, as the drill file states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<Review>,
}

/// Which plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see DrillFile")]
pub struct PlanFacts {
    pub name: String,
    pub version: Option<String>,
    /// SHA-256 of the drill file; `None` for one described on the command line.
    pub sha256: Option<Digest>,
    pub scenario: String,
    pub every_days: Option<u32>,
    pub owner: Option<String>,
    pub reviewer: Option<String>,
    pub runbook_sha256: Option<Digest>,
    pub retention: Option<String>,
}

/// Who said that it be held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who holds the drill.
    pub operator: String,
    /// Who allowed it, when that is stated. Nobody here can prove either name.
    #[serde(default)]
    pub approver: Option<String>,
    /// How the operator confirmed it: `prompt`, `--yes`, `unattended`.
    pub how: String,
    /// What started it.
    #[serde(default)]
    pub trigger: Trigger,
    /// Where the drill and what it finds are followed.
    #[serde(default)]
    pub ticket: Option<String>,
    /// When the operator confirmed it.
    pub time: Timestamp,
}

/// What started a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person.
    #[default]
    ByHand,
    /// A timer, by a file that `lifeboat drill schedule` wrote.
    Scheduled,
}

/// A review of an earlier record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The record, by the stem of its file.
    pub record: String,
    /// Who reviewed it.
    pub reviewer: String,
    /// The day.
    pub date: Date,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A control of a framework.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Control {
    pub framework: String,
    pub control: String,
    pub asks: String,
}

/// One timed phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// `select`, `preflight`, `approve`, `fetch`, `open`, `restore`, `verify`, `probe`, `controls`, `clean up`; on break
    /// glass `serve` and `first secret` instead of `fetch` and `restore`.
    pub name: String,
    /// Start, UTC.
    pub start: Timestamp,
    /// End, UTC.
    pub end: Timestamp,
}

/// What kept the drill in its sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsolationFacts {
    /// What was made sure of before the first write.
    pub made_sure: Vec<String>,
    /// What counted as lost.
    pub lost: Lost,
    /// Connections to it that this process refused; at least one for each thing lost, as a probe of the guard.
    pub refused: u64,
    /// Every host and storage that was contacted.
    pub contacted: Vec<String>,
    /// Before every name.
    pub prefix: String,
    /// What earlier drills had left there and this one removed.
    pub leftovers_removed: u64,
    /// How many names of the plan were looked up in the target before the first write; none of them existed. `None` where
    /// the drill ended before that.
    #[serde(default)]
    pub looked_up: Option<u64>,
}

/// The recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryPoint {
    /// Its time.
    pub time: Timestamp,
    /// The time of the complete pass that it rests on, where it is none itself: what no event told of is as old as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Timestamp>,
    /// The oldest reading that its records rest on: policies, replicas and versions without labels may be that old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_reading: Option<Timestamp>,
    /// How it was chosen, such as `random of the last 10, seed 7`.
    pub selected: String,
    /// Who signed it, `SHA256:…`.
    pub signer: String,
    /// The signature reaches the root of this epoch.
    pub epoch: u32,
    /// Where it was fetched from.
    pub storage: String,
    /// Whether that is a copy.
    pub is_copy: bool,
    /// Files fetched and held against their digests before anything was opened.
    pub files: u64,
    /// Faults of the history that a person accepted, as `FILE:KIND`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedFault>,
}

/// Who opened it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpeningFacts {
    /// `canary`, `drill-key` or `quorum`.
    pub by: String,
    /// The recipient that opened the packs.
    pub recipient: String,
    /// Sheets that were there.
    pub sheets: u64,
    /// Sheets that are needed.
    pub threshold: u8,
    /// Who held them.
    pub custodians: Vec<String>,
}

/// What the source held, against what was captured, by the signed manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see repo::Counts")]
pub struct Inventory {
    pub listed: u64,
    pub captured: u64,
    pub excluded: Vec<Reason>,
    pub unreadable: Vec<Reason>,
    pub vanished: u64,
    pub versions: u64,
}

/// What of the snapshot was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Secrets in the snapshot.
    pub population: u64,
    /// Secrets chosen.
    pub chosen: u64,
    /// Secrets that the plan restores.
    #[serde(default)]
    pub planned: u64,
    /// Secrets that were read back.
    pub restored: u64,
    /// `all`, `sample`, `canaries`.
    pub method: String,
    /// What decided.
    pub seed: Option<u64>,
}

/// A reason, and how many it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// One check. Every number was counted where the comparison was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What.
    pub name: Aspect,
    /// How.
    pub method: String,
    /// Whether the drill file asks for it. Of a check that it does not ask for, nothing but `expected` is counted.
    pub chosen: bool,
    /// How many the signed inventory and the plan put in scope.
    pub expected: u64,
    /// How many of them were read back and compared.
    pub compared: u64,
    /// How many of those were equal.
    pub equal: u64,
    /// How many could not be compared because their secret or version is not there.
    pub missing: u64,
    /// How many are there besides.
    pub unexpected: u64,
    /// The outcome.
    pub state: State,
}

/// The outcome of a check, a planted fault or a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not asked for, or not compared although it is in scope.
    NotRun,
    /// There is nothing of this kind.
    NotApplicable,
}

/// A fault planted beside the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NegativeControl {
    /// What was planted.
    pub planted: String,
    /// What should have been found.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// `passed`: it was caught; `not_applicable`: no check of the drill looks at it, and it was not planted.
    pub state: State,
}

/// What was tried with a restored value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeResult {
    /// As the drill file calls it.
    pub name: String,
    /// The outcome.
    pub state: State,
    /// Why it is so; never what the command printed.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
}

/// A difference as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see restore::Difference")]
pub struct RecordedDifference {
    pub name: String,
    pub version: Option<String>,
    pub what: String,
    pub detail: String,
}

/// How a server of break glass did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedFacts {
    /// Seconds from the opening by the quorum to the first secret that a client got; `None` where there was none to get.
    pub first_secret_seconds: Option<f64>,
    /// Seconds from the opening to the last comparison.
    pub all_seconds: f64,
    /// Requests of the comparison, each signed, verified and in the log.
    pub requests: u64,
    /// The log of the server, in the repository.
    pub log: Option<String>,
}

/// Objectives and whether they were met.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct ObjectiveFacts {
    pub rto_seconds: Option<f64>,
    pub rto_met: Option<bool>,
    pub rpo_seconds: Option<f64>,
    pub rpo_met: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_secret_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_secret_met: Option<bool>,
}

/// The verdict of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something was compared, and everything held.
    Passed,
    /// Something did not, or was in scope and not compared.
    Failed,
    /// What was restored is right, but something that was asked for could not be.
    Partial,
    /// Given up at its time limit.
    TimedOut,
    /// A planted fault was not caught: its comparisons prove nothing.
    Void,
    /// It ended before its end; what it left was removed.
    Aborted,
}

/// Something that did not go as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// What.
    pub what: String,
    /// Why, as far as it is known.
    pub cause: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where it is followed.
    pub ticket: Option<String>,
    /// When the next drill shows whether it is mended.
    pub retest: Option<Timestamp>,
}

/// The proof that the sandbox is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanUp {
    /// Secrets created.
    pub created: u64,
    /// Of those, destroyed again.
    pub destroyed: u64,
    /// Of those, still there, or not proven to be gone.
    pub left_over: Vec<String>,
    /// Names of the drill that had something which it did not create: left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<String>,
}

/// The drills before this one, of this plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// How many were looked at, at most 12.
    pub drills: u64,
    /// Of those, passed.
    pub passed: u64,
    /// Their RTO, oldest first, where it was measured.
    pub rto_seconds: Vec<f64>,
}

impl Record {
    /// The exact bytes that are signed and stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record is plain data");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a record of this version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|record: &Self| record.version == RECORD_VERSION)
    }
}

impl State {
    /// The word in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "not run",
            Self::NotApplicable => "not applicable",
        }
    }
}

impl Verdict {
    /// The word in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::TimedOut => "timed out",
            Self::Void => "void",
            Self::Aborted => "aborted",
        }
    }
}

/// The controls a restore drill is evidence for.
pub fn controls() -> Vec<Control> {
    let all = [
        ("SOC 2", "A1.3", "recovery plan procedures are tested"),
        ("SOC 2", "CC7.5", "recovery from security incidents is tested and improved"),
        ("ISO/IEC 27001:2022", "A.8.13", "backup copies are tested in line with the backup policy"),
        ("NIST SP 800-53", "CP-4", "the contingency plan is tested"),
        ("NIST SP 800-53", "CP-9 (1)(2)", "backups are tested for reliability by restoring a sample"),
        ("PCI DSS 4.0.1", "12.10.2", "the response plan, backup included, is tested at least once a year"),
        ("DORA", "Article 12", "restoration from backup is tested in separated systems"),
    ];
    let control = |(framework, control, asks): (&str, &str, &str)| Control {
        framework: framework.into(),
        control: control.into(),
        asks: asks.into(),
    };
    all.into_iter().map(control).collect()
}
