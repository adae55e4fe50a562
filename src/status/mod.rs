//! How things stand: one judgement of a backup from facts that others gathered. Pure.

mod metrics;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use crate::repo::Severity;
use crate::{
    model::{RepositoryId, SnapshotId},
    repo::{Counts, Fault, FaultKind, Manifest},
};
pub use metrics::{metrics, unknown};

/// How old things may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The newest snapshot.
    pub snapshot: SignedDuration,
    /// The newest snapshot of a copy that is not up to date.
    pub copy: SignedDuration,
    /// The newest drill that passed.
    pub drill: SignedDuration,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The repository.
    pub repository: RepositoryId,
    /// Where it is.
    pub address: String,
    /// The newest verified snapshot of the configured source.
    pub snapshot: Option<Newest>,
    /// The newest one of each source, where several are configured; `snapshot` is then the newest of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<OfSource>,
    /// Verified snapshots.
    pub snapshots: u64,
    /// What is wrong with the history, by itself and by what others remember.
    pub history: Vec<Fault>,
    /// Forged, damaged or missing drill records; they stop no restore.
    pub drill_faults: Vec<Fault>,
    /// Forged or damaged attestations; they stop no restore.
    pub sheet_faults: Vec<Fault>,
    /// Removals that are ordered and not done, in words.
    pub pending: Vec<String>,
    /// How many outside the repository remember a head that was compared.
    pub witnesses: u64,
    /// The configured copies.
    pub copies: Vec<Copy>,
    /// The newest drill record that verifies.
    pub drill: Option<Drill>,
    /// Turns at which a drill file wants a drill and none was held nor explained, such as `monthly in 2026-09`.
    pub missed_drills: Vec<String>,
    /// Sheets in force.
    pub sheets: u64,
    /// Who is to prove a sheet, by name.
    pub due: Vec<String>,
    /// When the next proof is due.
    pub next_proof: Option<Timestamp>,
    /// A run of this host is at work.
    pub running: bool,
}

/// One source of several.
#[derive(Clone, Debug, Serialize)]
pub struct OfSource {
    /// Where it is, as far as anyone knows.
    pub source: Whose,
    /// Its newest verified snapshot.
    pub newest: Option<Newest>,
}

/// A source that was captured, or one that is configured and never was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Whose {
    /// The account, where the configuration or a snapshot says.
    pub account: Option<String>,
    /// The region.
    pub region: String,
}

/// The newest snapshot.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the manifest's own fields")]
pub struct Newest {
    pub snapshot: SnapshotId,
    pub sequence: u64,
    pub time: Timestamp,
    pub counts: Counts,
}

/// One copy.
#[derive(Clone, Debug, Serialize)]
pub struct Copy {
    /// Where it is.
    pub url: String,
    /// Its region, as configured.
    pub region: Option<String>,
    /// Its newest verified snapshot; as last remembered when the copy could not be asked.
    pub newest: Option<CopyHead>,
    /// Snapshots it lacks.
    pub behind: u64,
    /// Until when a retention lock keeps its newest snapshot from being removed, where the storage says so.
    pub locked_until: Option<Timestamp>,
    /// Why it could not be asked, or what is wrong with its own history.
    pub error: Option<String>,
    /// Whether what is wrong is tampering or damage, and not a network.
    pub fault: Option<FaultKind>,
}

/// The newest snapshot of a copy.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the manifest's own fields")]
pub struct CopyHead {
    pub sequence: u64,
    pub time: Timestamp,
}

/// The newest drill.
#[derive(Clone, Debug, Serialize)]
pub struct Drill {
    /// The record's name.
    pub name: String,
    /// When the newest one began.
    pub time: Timestamp,
    /// Whether it passed.
    pub passed: bool,
    /// Seconds to recovery, as measured.
    pub rto_seconds: f64,
    /// When the newest one that passed began.
    pub last_passed: Option<Timestamp>,
}

/// One thing somebody must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// `snapshot`, `history`, `copy`, `drill`, `sheets`.
    pub subject: &'static str,
    /// One sentence.
    pub text: String,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{account}:{}", self.region),
            None => write!(f, "aws:{}", self.region),
        }
    }
}

impl Newest {
    /// The face of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        let Manifest { snapshot, sequence, time, counts, .. } = *manifest;
        Self { snapshot, sequence, time, counts }
    }
}

/// Everything that needs somebody, the worst first; empty when all is well.
pub fn judge(facts: &Facts, limits: &Limits, now: Timestamp) -> Vec<Finding> {
    let of = |subject| move |fault: &Fault| Some(finding(fault.severity()?, subject, &fault.to_string()));
    let mut findings: Vec<Finding> = facts.history.iter().filter_map(of("history")).collect();
    findings.extend(facts.drill_faults.iter().filter_map(of("drill")));
    findings.extend(facts.sheet_faults.iter().filter_map(of("sheets")));
    if facts.sources.is_empty() {
        findings.extend(snapshot(facts.snapshot.as_ref(), limits, now));
    }
    for OfSource { source, newest } in &facts.sources {
        let named = |found: Finding| Finding { text: format!("{source}: {}", found.text), ..found };
        findings.extend(snapshot(newest.as_ref(), limits, now).into_iter().map(named));
    }
    findings.extend(facts.copies.iter().filter_map(|copy| self::copy(copy, limits, now)));
    findings.extend(drill(facts.drill.as_ref(), limits, now));
    if !facts.missed_drills.is_empty() {
        findings.push(attention("drill", format!("not held: {}", facts.missed_drills.join(", "))));
    }
    if !facts.due.is_empty() {
        findings.push(attention("sheets", format!("sheets are to be proven readable: {}", facts.due.join(", "))));
    }
    findings.sort_by_key(|found| std::cmp::Reverse(found.severity));
    findings
}

fn snapshot(newest: Option<&Newest>, limits: &Limits, now: Timestamp) -> Vec<Finding> {
    let Some(newest) = newest else { return vec![attention("snapshot", "there is no snapshot yet".into())] };
    let mut findings = Vec::new();
    let age = now.duration_since(newest.time);
    if age > limits.snapshot {
        findings.push(attention("snapshot", format!("the newest snapshot is {} old", span(age))));
    }
    if age < -SignedDuration::from_mins(5) {
        let text = format!("the newest snapshot is dated {} ahead: a clock is wrong", span(-age));
        findings.push(attention("snapshot", text));
    }
    if !newest.counts.is_complete() {
        let counts = &newest.counts;
        let text = format!("{} of {} secrets were not wholly captured", counts.unreadable, counts.listed);
        findings.push(attention("snapshot", text));
    }
    findings
}

fn copy(copy: &Copy, limits: &Limits, now: Timestamp) -> Option<Finding> {
    let url = &copy.url;
    if let (Some(error), kind) = (&copy.error, copy.fault) {
        return Some(finding(
            kind.and_then(FaultKind::severity).unwrap_or(Severity::Attention),
            "copy",
            &format!("{url}: {error}"),
        ));
    }
    match copy.newest {
        None => Some(attention("copy", format!("{url} holds no snapshot"))),
        Some(newest) if copy.behind > 0 && now.duration_since(newest.time) > limits.copy => {
            Some(attention("copy", format!("{url} lacks the newest {} snapshots", copy.behind)))
        }
        Some(_) => None,
    }
}

fn drill(drill: Option<&Drill>, limits: &Limits, now: Timestamp) -> Option<Finding> {
    let Some(drill) = drill else { return Some(attention("drill", "no drill was ever run".into())) };
    if !drill.passed {
        return Some(attention("drill", format!("the newest drill, {}, failed", drill.name)));
    }
    let age = now.duration_since(drill.last_passed?);
    (age > limits.drill).then(|| attention("drill", format!("the newest drill is {} old", span(age))))
}

fn attention(subject: &'static str, text: String) -> Finding {
    Finding { severity: Severity::Attention, subject, text }
}

fn finding(severity: Severity, subject: &'static str, text: &str) -> Finding {
    Finding { severity, subject, text: text.to_owned() }
}

/// `45 min`, `26 h`, `12 days`: the coarsest unit that still says something.
pub fn span(age: SignedDuration) -> String {
    match age.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..259_200 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
