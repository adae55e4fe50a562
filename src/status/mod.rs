//! How things stand: one judgement of a backup from facts that others gathered. Pure.

mod figures;
mod metrics;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use crate::repo::Severity;
use crate::{
    model::{Place, RepositoryId, SnapshotId},
    repo::{Accepted, Counts, Fault, FaultKind, Manifest},
    text::plural,
};
pub use figures::{DIMENSION, Figure, NAMESPACE, emf, figures, metric_data};
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
    /// The oldest reading that the newest snapshot rests on.
    pub reading: SignedDuration,
    /// The newest comparison with a standby place, where there was one.
    pub drift: SignedDuration,
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
    /// When the repository was made.
    pub born: Timestamp,
    /// Drills of each source that was captured.
    pub drilled: Vec<Drilled>,
    /// When canaries were last opened with the drill key; where canaries are configured.
    pub canaries: Option<Canaries>,
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
    /// The newest comparison of each source with each standby place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drifts: Vec<Drifted>,
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

/// A comparison with a standby place.
#[derive(Clone, Debug, Serialize)]
pub struct Drifted {
    /// The place.
    pub to: String,
    /// The source whose backup was compared.
    pub source: Place,
    /// When.
    pub time: Timestamp,
    /// Secrets compared.
    pub compared: u64,
    /// Secrets that were missing or different.
    pub lacking: u64,
}

/// The drills of one source.
#[derive(Clone, Debug, Serialize)]
pub struct Drilled {
    /// Where it is.
    pub source: Whose,
    /// The recovery point of its first snapshot.
    pub since: Timestamp,
    /// When the newest drill of it that passed began.
    pub last_passed: Option<Timestamp>,
}

/// The drills that need nobody: with canaries, opened by the drill key.
#[derive(Clone, Debug, Serialize)]
pub struct Canaries {
    /// When the newest one that passed began.
    pub last_passed: Option<Timestamp>,
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
    /// What its source had, where it lost more than it may.
    pub loss: Option<Accepted>,
    /// The recovery point of the complete pass that it rests on.
    pub pass: Timestamp,
    /// The oldest reading that it rests on.
    pub oldest_reading: Option<Timestamp>,
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
    /// The endpoint to which its connection is not encrypted, beyond this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_clear: Option<String>,
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
    /// Seconds to recovery, where a drill measured them.
    pub rto_seconds: Option<f64>,
    /// When the newest one that passed began.
    pub last_passed: Option<Timestamp>,
}

/// One thing somebody must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// `snapshot`, `history`, `copy`, `drill`, `drift`, `sheets`.
    pub subject: &'static str,
    /// One sentence.
    pub text: String,
    /// From when on it counts; before that it informs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
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
        let loss = manifest.loss();
        let (pass, oldest_reading) = (manifest.full.time, manifest.readings.oldest);
        Self { snapshot, sequence, time, counts, loss, pass, oldest_reading }
    }

    /// Whether nothing is missing that should be there.
    pub fn is_complete(&self) -> bool {
        self.counts.is_complete() && self.loss.is_none()
    }
}

impl Finding {
    /// Whether somebody must look at it now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_none_or(|due| due <= now)
    }
}

/// Everything that needs somebody, the worst first; empty when all is well.
pub fn judge(facts: &Facts, limits: &Limits, now: Timestamp) -> Vec<Finding> {
    let of = |subject| move |fault: &Fault| Some(finding(fault.severity()?, subject, &fault.to_string()));
    let mut findings: Vec<Finding> = facts.history.iter().filter_map(of("history")).collect();
    findings.extend(facts.drill_faults.iter().filter_map(of("drill")));
    findings.extend(facts.sheet_faults.iter().filter_map(of("sheets")));
    if facts.sources.is_empty() {
        findings.extend(snapshot(facts.snapshot.as_ref(), facts.born, limits, now));
    }
    for OfSource { source, newest } in &facts.sources {
        let named = |found: Finding| Finding { text: format!("{source}: {}", found.text), ..found };
        findings.extend(snapshot(newest.as_ref(), facts.born, limits, now).into_iter().map(named));
    }
    let since = facts.drilled.iter().map(|drilled| drilled.since).min().unwrap_or(facts.born);
    findings.extend(facts.copies.iter().filter_map(|copy| self::copy(copy, since, limits, now)));
    findings.extend(facts.copies.iter().filter_map(in_clear));
    findings.extend(drill(facts, limits, now));
    findings.extend(facts.drifts.iter().flat_map(|drifted| drift(drifted, limits, now)));
    if !facts.missed_drills.is_empty() {
        findings.push(attention("drill", format!("not held: {}", facts.missed_drills.join(", "))));
    }
    if !facts.due.is_empty() {
        findings.push(attention("sheets", format!("prove that these sheets are readable: {}", facts.due.join(", "))));
    }
    findings.sort_by_key(|found| (!found.is_due(now), std::cmp::Reverse(found.severity), found.due));
    findings
}

fn snapshot(newest: Option<&Newest>, born: Timestamp, limits: &Limits, now: Timestamp) -> Vec<Finding> {
    let Some(newest) = newest else {
        return vec![due_by("snapshot", "there is no snapshot yet", after(born, limits.snapshot))];
    };
    let mut findings = Vec::new();
    let age = now.duration_since(newest.time);
    let pass = now.duration_since(newest.pass);
    if age > limits.snapshot {
        findings.push(attention("snapshot", format!("the newest snapshot is {} old", span(age))));
    } else if pass > limits.snapshot {
        let text = format!("the newest complete pass is {} old; since then events alone were captured", span(pass));
        findings.push(attention("snapshot", text));
    }
    if age < -SignedDuration::from_mins(5) {
        let text = format!("the newest snapshot is dated {} in the future: a clock is wrong", span(-age));
        findings.push(attention("snapshot", text));
    }
    if !newest.counts.is_complete() {
        let counts = &newest.counts;
        let text = format!("{} of {} were not completely captured", counts.unreadable, plural(counts.listed, "secret"));
        findings.push(attention("snapshot", text));
    }
    if newest.loss.is_some_and(|had| had.never_had_any()) {
        let text = "the source lists no secret: check its region, its account and the permissions; \
                    `lifeboat snapshot` shows how to accept this";
        findings.push(attention("snapshot", text.into()));
    } else if let Some(had) = &newest.loss {
        let counts = &newest.counts;
        let text = format!(
            "the source lost more than is allowed: {} of {} secrets are listed, {} of {} labelled versions are there; \
             `lifeboat snapshot` shows how to accept this",
            counts.listed, had.listed, counts.labelled, had.labelled
        );
        findings.push(attention("snapshot", text));
    }
    if let Some(age) =
        newest.oldest_reading.map(|oldest| now.duration_since(oldest)).filter(|age| *age > limits.reading)
    {
        findings.push(attention("snapshot", format!("parts of it were last read {} ago", span(age))));
    }
    findings
}

/// Names, sizes and times can be read on the way, and answers changed.
fn in_clear(copy: &Copy) -> Option<Finding> {
    let endpoint = copy.in_clear.as_ref()?;
    Some(attention("copy", format!("{}: the connection to {endpoint} is not encrypted", copy.url)))
}

/// `since`: when there was something to copy for the first time.
fn copy(copy: &Copy, since: Timestamp, limits: &Limits, now: Timestamp) -> Option<Finding> {
    let url = &copy.url;
    if let (Some(error), kind) = (&copy.error, copy.fault) {
        if kind.is_none() && copy.newest.is_none() {
            // Nobody ever saw it: it may not be there yet.
            return Some(due_by("copy", &format!("{url}: {error}"), after(since, limits.copy)));
        }
        return Some(finding(
            kind.and_then(FaultKind::severity).unwrap_or(Severity::Attention),
            "copy",
            &format!("{url}: {error}"),
        ));
    }
    match copy.newest {
        None => Some(due_by("copy", &format!("{url} has no snapshot"), after(since, limits.copy))),
        Some(newest) if copy.behind > 0 && now.duration_since(newest.time) > limits.copy => {
            Some(attention("copy", format!("{url} is {} behind", plural(copy.behind, "snapshot"))))
        }
        Some(_) => None,
    }
}

/// The newest drill, the drills of each source, and those with canaries.
fn drill(facts: &Facts, limits: &Limits, now: Timestamp) -> Vec<Finding> {
    let Some(newest) = &facts.drill else {
        let since = facts.drilled.iter().map(|drilled| drilled.since).min().unwrap_or(facts.born);
        return vec![due_by("drill", "no drill was run yet", after(since, limits.drill))];
    };
    let mut findings = Vec::new();
    if !newest.passed {
        findings.push(attention("drill", format!("the newest drill, {}, failed", newest.name)));
    }
    let passed = |which: &str, since: Timestamp, last: Option<Timestamp>| {
        let due = after(last.unwrap_or(since), limits.drill);
        match last {
            None => Some(due_by("drill", &format!("no drill {which} has passed yet"), due)),
            Some(last) if due < now => {
                let age = span(now.duration_since(last));
                Some(attention("drill", format!("the newest drill {which} that passed is {age} old")))
            }
            Some(_) => None,
        }
    };
    let of = |drilled: &Drilled| passed(&format!("of {}", drilled.source), drilled.since, drilled.last_passed);
    findings.extend(facts.drilled.iter().filter_map(of));
    let canaries = facts.canaries.as_ref();
    findings.extend(canaries.and_then(|canaries| passed("with canaries", facts.born, canaries.last_passed)));
    findings
}

/// What a fail-over would have missed, and when nobody has looked for too long.
fn drift(drifted: &Drifted, limits: &Limits, now: Timestamp) -> Vec<Finding> {
    let Drifted { to, source, time, compared, lacking } = drifted;
    let mut findings = Vec::new();
    let age = now.duration_since(*time);
    if *compared == 0 {
        findings.push(attention("drift", format!("{to}: nothing of {source} was compared")));
    } else if *lacking > 0 {
        let all = plural(*compared, "secret");
        findings.push(attention("drift", format!("{to} lacks {lacking} of {all} of {source}, or has them different")));
    }
    if age > limits.drift {
        findings.push(attention("drift", format!("{to} was last compared with {source} {} ago", span(age))));
    }
    findings
}

fn after(time: Timestamp, limit: SignedDuration) -> Timestamp {
    time.checked_add(limit).unwrap_or(Timestamp::MAX)
}

/// What is missing, and from when on that counts.
fn due_by(subject: &'static str, text: &str, due: Timestamp) -> Finding {
    let text = format!("{text}, due by {}", due.strftime("%Y-%m-%d %H:%M UTC"));
    Finding { due: Some(due), ..attention(subject, text) }
}

fn attention(subject: &'static str, text: String) -> Finding {
    Finding { severity: Severity::Attention, subject, text, due: None }
}

fn finding(severity: Severity, subject: &'static str, text: &str) -> Finding {
    Finding { severity, subject, text: text.to_owned(), due: None }
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
