//! Drills that were held: which records count, in which order, and when one is missing. Pure.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    file::DrillFile,
    record::{Record, Verdict},
};
use crate::{
    crypto::{self, Namespace, PublicKey},
    model::{Digest, Place},
    repo::{Fault, FaultKind, Signed, StoredDrill, Trust},
};

/// A record of any version, as far as lists and trends need it.
#[derive(Clone, Debug, Deserialize)]
pub struct Facts {
    /// The format version.
    pub version: u32,
    /// Who signs.
    pub signer: PublicKey,
    /// SHA-256 of the record before it.
    pub previous: Option<Digest>,
    /// The place in the chain of the snapshot that was restored.
    pub sequence: u64,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// Whose snapshot that was.
    pub source: Option<Place>,
    /// The verdict.
    pub result: Verdict,
    /// Seconds, where it was measured.
    pub rto_seconds: Option<f64>,
    /// Seconds.
    pub rpo_seconds: f64,
    /// When it began; of version 1 the first phase says so.
    started: Option<Timestamp>,
    #[serde(default)]
    phases: Vec<Start>,
    plan: Option<Name>,
    opening: Option<Opened>,
}

#[derive(Clone, Debug, Deserialize)]
struct Opened {
    by: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Start {
    start: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
struct Name {
    name: String,
}

/// One stored record: what it says, and what is wrong with its signature or its place in the chain.
#[derive(Clone, Debug)]
pub struct Past {
    /// As stored.
    pub stored: StoredDrill,
    /// What it says.
    pub facts: Option<Facts>,
    /// Why it does not count.
    pub fault: Option<String>,
    /// What kind of fault that is.
    pub kind: Option<FaultKind>,
}

impl Facts {
    /// When the drill began.
    pub fn started(&self) -> Option<Timestamp> {
        self.started.or_else(|| self.phases.first().map(|phase| phase.start))
    }

    /// Whether the drill key opened the snapshot, so that no custodian was needed.
    pub fn needs_nobody(&self) -> bool {
        self.opening.as_ref().is_some_and(|opened| opened.by != "quorum")
    }

    /// The name of its plan; empty for one described on the command line, and in version 1.
    pub fn plan(&self) -> &str {
        self.plan.as_ref().map_or("", |plan| &plan.name)
    }
}

impl Past {
    /// What it says, if it counts.
    pub fn verified(&self) -> Option<&Facts> {
        self.facts.as_ref().filter(|_| self.fault.is_none())
    }

    /// Whether a signer who counts made it, whatever is missing before it.
    pub fn is_genuine(&self) -> bool {
        matches!(self.kind, None | Some(FaultKind::Gap))
    }

    /// What is wrong with it, as a fault of the repository.
    pub fn as_fault(&self) -> Option<Fault> {
        let (detail, kind) = (self.fault.as_ref()?, self.kind?);
        Some(Fault::new(&format!("drills/{}.json", self.stored.name), kind, detail.clone()))
    }

    /// The whole record, if it counts and is of this version.
    pub fn record(&self) -> Option<Record> {
        self.verified().and_then(|_| Record::parse(&self.stored.bytes))
    }
}

/// Judges records, oldest first: each one's signature, and that it names the one before it.
pub fn judge(stored: Vec<StoredDrill>, trust: &Trust) -> Vec<Past> {
    let mut previous = None;
    let mut judged = Vec::with_capacity(stored.len());
    for (stored, facts) in chained(stored) {
        let fault = fault(&stored, facts.as_ref(), previous, trust);
        previous = Some(Digest::of(&stored.bytes));
        let (kind, fault) = fault.unzip();
        judged.push(Past { stored, facts, fault, kind });
    }
    judged
}

/// The same at a moment: a record that is dated more than a day ahead of it proves nothing.
pub fn as_of(mut past: Vec<Past>, now: Timestamp) -> Vec<Past> {
    let latest = now.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    for each in &mut past {
        let is_ahead = each.verified().and_then(Facts::started).is_some_and(|started| started > latest);
        if is_ahead {
            each.fault = Some("it is dated more than a day in the future".to_owned());
            each.kind = Some(FaultKind::Damaged);
        }
    }
    past
}

/// In the order in which they name each other; where that breaks, the oldest by name goes on.
fn chained(mut stored: Vec<StoredDrill>) -> Vec<(StoredDrill, Option<Facts>)> {
    stored.sort_by(|a, b| (&a.name, &a.bytes).cmp(&(&b.name, &b.bytes)));
    stored.dedup_by(|a, b| a.name == b.name && a.bytes == b.bytes);
    let facts = stored.iter().map(|stored| serde_json::from_slice::<Facts>(&stored.bytes).ok()).collect::<Vec<_>>();
    let mut left: Vec<_> = stored.into_iter().zip(facts).collect();
    let mut ordered: Vec<(StoredDrill, Option<Facts>)> = Vec::with_capacity(left.len());
    let mut last = None;
    while !left.is_empty() {
        let names_last = |facts: &Option<Facts>| facts.as_ref().is_some_and(|facts| facts.previous == last);
        let next = left.iter().position(|(_, facts)| names_last(facts)).unwrap_or(0);
        let found = left.remove(next);
        last = Some(Digest::of(&found.0.bytes));
        ordered.push(found);
    }
    ordered
}

fn fault(
    stored: &StoredDrill,
    facts: Option<&Facts>,
    previous: Option<Digest>,
    trust: &Trust,
) -> Option<(FaultKind, String)> {
    let Some(facts) = facts else { return Some((FaultKind::Damaged, "not a drill record".into())) };
    if stored.signature.is_empty() {
        return Some((FaultKind::Unsigned, "it has no signature".into()));
    }
    if let Err(reason) = trust.counts_by_signer(Signed::Drill, &facts.signer, &Digest::of(&stored.bytes)) {
        return Some((FaultKind::Untrusted, reason));
    }
    if let Err(error) = crypto::verify(&facts.signer, Namespace::Drill, &stored.bytes, &stored.signature) {
        return Some((FaultKind::Untrusted, error.to_string()));
    }
    (facts.previous != previous).then(|| (FaultKind::Gap, "the record before it was removed or replaced".into()))
}

/// A turn at which a drill was to be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// `2026-09` for monthly drills, the first day otherwise.
    pub name: String,
    /// Its first day.
    pub from: Date,
    /// The day after its last.
    pub to: Date,
}

/// From when on the turns of a plan are counted, and from when on they are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// The plan's first day: turns are counted from it, whenever drills were held.
    since: Date,
    /// The day the repository was made: no turn that began before it was due.
    born: Date,
    every_days: u32,
}

impl Rhythm {
    /// That of a drill file, where it has one, in a repository made at `born`.
    pub fn of(file: &DrillFile, born: Timestamp) -> Option<Self> {
        let born = day(born);
        Some(Self { since: file.since.unwrap_or(born), born, every_days: file.every_days?.max(1) })
    }

    /// The first day of the first turn that is due: of a month that had begun nothing was due.
    fn first(self) -> Option<Date> {
        let first = self.since.max(self.born);
        if self.is_monthly() {
            let month = first.first_of_month();
            return if month == first { Some(month) } else { month.checked_add(1.month()).ok() };
        }
        let every = i64::from(self.every_days);
        let days = i64::from((first - self.since).get_days());
        let ahead = (days + every - 1) / every * every;
        self.since.checked_add(ahead.days()).ok()
    }

    fn is_monthly(self) -> bool {
        (28..=31).contains(&self.every_days)
    }
}

/// The UTC day of a moment.
pub(super) fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

/// Whole months for drills of 28 to 31 days, else so many days each, that were due and are over at `to`.
pub fn turns(rhythm: Rhythm, to: Date) -> Vec<Turn> {
    let monthly = rhythm.is_monthly();
    let mut turns = Vec::new();
    let Some(mut start) = rhythm.first() else { return turns };
    loop {
        let step = if monthly { 1.month() } else { i64::from(rhythm.every_days).days() };
        let Ok(end) = start.checked_add(step) else { return turns };
        if end > to {
            return turns;
        }
        let day = start.to_string();
        let name = if monthly { day[..7].to_owned() } else { day };
        turns.push(Turn { name, from: start, to: end });
        start = end;
    }
}

/// The turns in which no drill was held, until `now`. `held` are the starts of drills that count.
pub fn missed(rhythm: Rhythm, now: Timestamp, held: &[Timestamp]) -> Vec<Turn> {
    let days: Vec<Date> = held.iter().copied().map(day).collect();
    let is_held = |turn: &Turn| days.iter().any(|day| (turn.from..turn.to).contains(day));
    turns(rhythm, day(now)).into_iter().filter(|turn| !is_held(turn)).collect()
}

/// Days as a duration.
pub(super) fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(count))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// A rhythm in a repository of 2026-01-01.
    fn rhythm(since: Date, every_days: u32) -> Rhythm {
        Rhythm { since, born: date(2026, 1, 1), every_days }
    }

    fn midnight(day: Date) -> Timestamp {
        TimeZone::UTC.to_timestamp(day.into()).unwrap()
    }

    fn names(turns: Vec<Turn>) -> Vec<String> {
        turns.into_iter().map(|turn| turn.name).collect()
    }

    #[test]
    fn a_month_without_a_drill_is_missed_and_the_running_one_is_not() {
        let held: Vec<Timestamp> = ["2026-01-31T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-20T00:00:00Z"]
            .map(|time| time.parse().unwrap())
            .into();
        let missed_since = |since, until, held: &[Timestamp]| names(missed(rhythm(since, 31), midnight(until), held));
        assert_eq!(missed_since(date(2026, 1, 15), date(2026, 5, 20), &held), ["2026-02", "2026-04"]);
        assert_eq!(missed_since(date(2026, 5, 1), date(2026, 5, 31), &[]), [""; 0], "May is not over");
        assert_eq!(missed_since(date(2026, 5, 1), date(2026, 6, 1), &[]), ["2026-05"]);
        assert_eq!(missed_since(date(2026, 5, 2), date(2026, 7, 1), &[]), ["2026-06"], "of May a day was over");
    }

    #[test]
    fn turns_are_counted_from_the_plan_whenever_drills_were_held() {
        let held = ["2026-01-03T12:00:00Z".parse().unwrap()];
        let missed_by =
            |since, every, held: &[Timestamp]| names(missed(rhythm(since, every), midnight(date(2026, 1, 22)), held));
        assert_eq!(missed_by(date(2026, 1, 1), 7, &held), ["2026-01-08", "2026-01-15"]);
        assert_eq!(missed_by(date(2026, 1, 1), 92, &held), [""; 0]);
        // The second drill is a day late: by the first record its turn would begin on the third, and hold it.
        let late = ["2026-01-03T12:00:00Z".parse().unwrap(), "2026-01-15T00:00:00Z".parse().unwrap()];
        assert_eq!(missed_by(date(2026, 1, 1), 7, &late), ["2026-01-08"]);
        assert_eq!(missed_by(date(2026, 1, 9), 7, &[]), ["2026-01-09"], "a plan that was never held is due too");
        assert_eq!(turns(rhythm(date(2026, 1, 1), 1), date(2026, 1, 4)).len(), 3);
    }

    #[test]
    fn nothing_was_due_before_the_repository_was_made() {
        let first = |since, every| turns(rhythm(since, every), date(2026, 12, 31)).first().map(|turn| turn.from);
        assert_eq!(first(date(2025, 12, 30), 7), Some(date(2026, 1, 6)), "in the steps of the plan");
        assert_eq!(first(date(2025, 12, 25), 7), Some(date(2026, 1, 1)));
        assert_eq!(first(date(1, 1, 1), 1), Some(date(2026, 1, 1)));
        assert_eq!(first(date(2025, 3, 9), 31), Some(date(2026, 1, 1)));
        assert_eq!(first(date(2027, 1, 1), 1), None);
    }
}
