//! The evidence of an audit period: one archive that stock tools can verify offline. Pure; the same bytes every time.

mod readme;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use serde::Serialize;

use super::{
    DrillFile, Past, Rhythm, Turn,
    past::{day, turns},
    record::{Control, Review, Verdict, controls},
    report,
};
use crate::{
    crypto::{Namespace, Signer},
    model::Digest,
    repo::{StoredEpoch, Trust},
};

/// Needs POSIX sh, sha256sum and ssh-keygen.
const VERIFY: &str = include_str!("verify.sh");
/// The list of every file with its digest, which the host signs.
const LIST: &str = "SHA256SUMS";

/// What goes into it.
pub struct Request<'a> {
    /// The first day.
    pub from: Date,
    /// The day after the last.
    pub to: Date,
    /// When it is: what is not over cannot be missed.
    pub now: Timestamp,
    /// Every drill record, judged.
    pub past: &'a [Past],
    /// The drill files there are, by name.
    pub plans: &'a BTreeMap<String, DrillFile>,
    /// Files of custody attestations by their name in the repository, signatures included.
    pub attestations: &'a BTreeMap<String, Bytes>,
    /// The key epochs.
    pub epochs: &'a [StoredEpoch],
    /// Those of them that reach the root.
    pub trust: &'a Trust,
}

/// The front page, as data.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The first day.
    pub from: Date,
    /// The day after the last.
    pub to: Date,
    /// The day the repository was made: nothing was due before.
    pub born: Date,
    /// The day from which on a turn is not over.
    pub until: Date,
    /// Each plan.
    pub plans: Vec<PlanSummary>,
    /// Every record of the archive, in order.
    pub records: Vec<DrillSummary>,
    /// Records that verify.
    pub drills: u64,
    /// Of those, passed.
    pub passed: u64,
    /// Passed by held, from 0 to 1; nothing when none was held.
    pub pass_rate: Option<f64>,
    /// Files of attestations of the period.
    pub attestations: u64,
    /// Records that do not verify, and why.
    pub faults: Vec<String>,
    /// The controls this is evidence for.
    pub controls: Vec<Control>,
}

/// One record of the archive.
#[derive(Clone, Debug, Serialize)]
pub struct DrillSummary {
    /// Its name in the repository.
    pub record: String,
    /// When the drill began.
    pub started: Option<Timestamp>,
    /// The plan; empty for a drill described on the command line.
    pub plan: String,
    /// The beginning of the snapshot's id; not in records of version 1.
    pub snapshot: Option<String>,
    /// The snapshot's number.
    pub number: Option<u64>,
    /// The verdict; nothing when the record does not verify.
    pub result: Option<Verdict>,
    /// Seconds, where it was measured.
    pub rto_seconds: Option<f64>,
    /// Seconds.
    pub rpo_seconds: Option<f64>,
    /// Who said that it be held; not in records of version 1.
    pub operator: Option<String>,
    /// The report in the archive, where there is one.
    pub report: Option<String>,
}

/// One plan in the period.
#[derive(Clone, Debug, Serialize)]
pub struct PlanSummary {
    /// Its name; empty for drills described on the command line.
    pub name: String,
    /// Its rhythm.
    pub every_days: Option<u32>,
    /// Its first day, as its file says.
    pub since: Option<Date>,
    /// Each turn that ended in the period, and what became of it.
    pub turns: Vec<TurnSummary>,
    /// RTO of each drill, in order, with its record.
    pub rto_seconds: Vec<(String, Option<f64>)>,
    /// Reviews of these drills, as later records carry them.
    pub reviews: Vec<Review>,
}

/// What became of one turn.
#[derive(Clone, Debug, Serialize)]
pub struct TurnSummary {
    /// `2026-09`, or its first day.
    pub turn: String,
    /// The records, with verdicts.
    pub held: Vec<(String, Verdict)>,
    /// Why there is none.
    pub explained: Option<String>,
}

impl TurnSummary {
    /// Whether nobody knows why there was no drill.
    pub fn is_missed(&self) -> bool {
        self.held.is_empty() && self.explained.is_none()
    }
}

impl Summary {
    /// Whether every turn was held or explained, and every record verifies.
    pub fn is_complete(&self) -> bool {
        self.faults.is_empty() && self.plans.iter().flat_map(|plan| &plan.turns).all(|turn| !turn.is_missed())
    }
}

/// Summarises the period: what was due in it, and the records of it.
pub fn summary(request: &Request<'_>) -> Summary {
    let due: BTreeMap<&String, Vec<Turn>> =
        request.plans.iter().map(|(name, file)| (name, due(file, request))).collect();
    let records: Vec<&Past> = records(request, &due).collect();
    let verified: Vec<_> = records.iter().filter_map(|past| Some((*past, past.verified()?))).collect();
    let passed = verified.iter().filter(|(_, facts)| facts.result == Verdict::Passed).count() as u64;
    let mut names: Vec<String> = request.plans.keys().cloned().collect();
    names.extend(verified.iter().map(|(_, facts)| facts.plan().to_owned()));
    names.sort();
    names.dedup();
    let drills = verified.len() as u64;
    #[expect(clippy::cast_precision_loss, reason = "far fewer drills than 2^52")]
    let pass_rate = (drills > 0).then(|| passed as f64 / drills as f64);
    let faults = records.iter().filter_map(|past| Some(format!("{}: {}", past.stored.name, past.fault.as_ref()?)));
    let turns = |name: &String| due.get(name).map_or(&[][..], Vec::as_slice);
    Summary {
        from: request.from,
        to: request.to,
        born: day(request.trust.born()),
        until: until(request),
        plans: names.iter().map(|name| plan(name, turns(name), request, &records)).collect(),
        drills,
        passed,
        pass_rate,
        attestations: request.attestations.keys().filter_map(|name| name.strip_suffix(".json")).count() as u64,
        faults: faults.collect(),
        records: records.into_iter().map(DrillSummary::of).collect(),
        controls: controls(),
    }
}

/// What is not over by then is not due: the end of the period, or today.
fn until(request: &Request<'_>) -> Date {
    request.to.min(day(request.now))
}

/// The turns that ended in the period: each turn belongs to one period.
fn due(file: &DrillFile, request: &Request<'_>) -> Vec<Turn> {
    let Some(rhythm) = Rhythm::of(file, request.trust.born()) else { return Vec::new() };
    let mut turns = turns(rhythm, until(request));
    turns.retain(|turn| turn.to > request.from);
    turns
}

/// The records of the archive: those of the period, and of turns that began before it and ended in it. One without a date that
/// can be read belongs to every period: it must not disappear.
fn records<'a>(request: &Request<'a>, due: &BTreeMap<&String, Vec<Turn>>) -> impl Iterator<Item = &'a Past> + use<'a> {
    let from = due.values().flatten().map(|turn| turn.from).min().map_or(request.from, |first| first.min(request.from));
    let to = request.to;
    request.past.iter().filter(move |past| started(past).is_none_or(|day| (from..to).contains(&day)))
}

fn plan(name: &str, due: &[Turn], request: &Request<'_>, records: &[&Past]) -> PlanSummary {
    let file = request.plans.get(name);
    let own: Vec<_> = records
        .iter()
        .filter_map(|past| Some((past, past.verified()?)))
        .filter(|(_, facts)| facts.plan() == name)
        .collect();
    let turns = due.iter().map(|turn| {
        let within = |day: Option<Date>| day.is_some_and(|day| (turn.from..turn.to).contains(&day));
        let held = own.iter().filter(|(past, _)| within(started(past)));
        TurnSummary {
            held: held.map(|(past, facts)| (past.stored.name.clone(), facts.result)).collect(),
            explained: file.and_then(|file| file.missed.get(&turn.name).cloned()),
            turn: turn.name.clone(),
        }
    });
    PlanSummary {
        name: name.to_owned(),
        every_days: file.and_then(|file| file.every_days),
        since: file.and_then(|file| file.since),
        turns: turns.collect(),
        rto_seconds: own.iter().map(|(past, facts)| (past.stored.name.clone(), facts.rto_seconds)).collect(),
        reviews: reviews(request.past, &own.iter().map(|(past, _)| past.stored.name.as_str()).collect()),
    }
}

/// What later records say of these, whether they are of the period or not; each review once.
fn reviews(past: &[Past], records: &BTreeSet<&str>) -> Vec<Review> {
    let all = past.iter().filter_map(Past::record).flat_map(|record| record.reviews);
    let mut found: Vec<Review> = all.filter(|review| records.contains(review.record.as_str())).collect();
    found.sort();
    found.dedup();
    found
}

fn started(past: &Past) -> Option<Date> {
    past.facts.as_ref()?.started().map(day)
}

impl DrillSummary {
    fn of(past: &Past) -> Self {
        let (facts, record) = (past.facts.as_ref(), past.record());
        Self {
            record: past.stored.name.clone(),
            started: facts.and_then(super::Facts::started),
            plan: facts.map_or_else(String::new, |facts| facts.plan().to_owned()),
            snapshot: record.as_ref().map(|record| record.snapshot.short()),
            number: facts.map(|facts| facts.sequence),
            result: past.verified().map(|facts| facts.result),
            rto_seconds: facts.and_then(|facts| facts.rto_seconds),
            rpo_seconds: facts.map(|facts| facts.rpo_seconds),
            operator: record.as_ref().map(|record| record.approval.operator.clone()),
            report: record.map(|_| report_name(past)),
        }
    }
}

fn report_name(past: &Past) -> String {
    format!("reports/{}.html", past.stored.name)
}

/// Every file of the archive by name.
fn files(request: &Request<'_>, summary: &Summary) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut add = |name: String, bytes: &[u8]| {
        files.insert(name, bytes.to_vec());
    };
    let named = |past: &Past| summary.records.iter().any(|drill| drill.record == past.stored.name);
    for (position, past) in request.past.iter().enumerate().filter(|(_, past)| named(past)) {
        let stored = &past.stored;
        add(format!("drills/{}.json", stored.name), &stored.bytes);
        add(format!("drills/{}.json.sig", stored.name), stored.signature.as_bytes());
        if let Some(record) = past.record() {
            let page = report::html(&record, &request.past[..position]);
            add(report_name(past), page.as_bytes());
        }
    }
    for (name, bytes) in request.attestations {
        add(name.clone(), bytes);
    }
    for epoch in request.epochs {
        let name = epoch.epoch.file_name();
        add(format!("{name}.sig"), epoch.signature.as_bytes());
        add(name, &epoch.bytes);
    }
    add("allowed_signers".into(), allowed_signers(request.trust).as_bytes());
    add("summary.json".into(), &(serde_json::to_vec_pretty(summary).expect("a summary is plain data")));
    add("README.md".into(), readme::page(summary).as_bytes());
    add("verify.sh".into(), VERIFY.as_bytes());
    files
}

/// What ssh-keygen is told: who may sign what.
fn allowed_signers(trust: &Trust) -> String {
    let mut lines = Vec::new();
    for epoch in trust.epochs() {
        lines.push(format!("root namespaces=\"lifeboat-epoch\" {}", epoch.root));
        for signer in &epoch.signers {
            lines.push(format!("host namespaces=\"lifeboat-drill,lifeboat-audit\" {}", signer.key));
        }
    }
    // A list that is made today counts only from who may sign today.
    for signer in &trust.current().signers {
        lines.push(format!("host namespaces=\"{}\" {}", Namespace::Evidence.as_str(), signer.key));
    }
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

/// The archive. `signer` signs the list of everything in it, so that nothing can be taken out of it or added.
pub fn archive(request: &Request<'_>, summary: &Summary, signer: &Signer) -> Vec<u8> {
    let mut files = files(request, summary);
    let mut sums = String::new();
    for (name, bytes) in &files {
        sums.push_str(&format!("{}  {name}\n", Digest::of(bytes)));
    }
    let signature = signer.sign(Namespace::Evidence, sums.as_bytes());
    files.insert(format!("{LIST}.sig"), signature.into_bytes());
    files.insert(LIST.into(), sums.into_bytes());
    let root = format!("lifeboat-evidence-{}-{}", request.from, request.to);
    let times = Times::of(request, files.keys());
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(if name == "verify.sh" { 0o755 } else { 0o644 });
        header.set_mtime(u64::try_from(times.get(name).as_second()).unwrap_or(0));
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, format!("{root}/{name}"), bytes.as_slice()).expect("memory does not fail");
    }
    tar.into_inner().expect("memory does not fail")
}

/// When each file of the archive was made: a record and its report at the time in their name, an epoch when it was created, and
/// what is made of them when the newest of them was. Not when the archive was: it is the same bytes every time.
struct Times {
    epochs: BTreeMap<String, Timestamp>,
    newest: Timestamp,
}

impl Times {
    fn of<'n>(request: &Request<'_>, names: impl Iterator<Item = &'n String>) -> Self {
        let created = |stored: &StoredEpoch| (stored.epoch.file_name(), stored.epoch.created);
        let epochs: BTreeMap<String, Timestamp> = request.epochs.iter().map(created).collect();
        let newest = names.filter_map(|name| named_time(name)).chain(epochs.values().copied()).max();
        Self { epochs, newest: newest.unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    fn get(&self, name: &str) -> Timestamp {
        let epoch = self.epochs.get(name.trim_end_matches(".sig")).copied();
        epoch.or_else(|| named_time(name)).unwrap_or(self.newest)
    }
}

/// The time in `drills/20261101T020300Z-….json` and its like.
fn named_time(name: &str) -> Option<Timestamp> {
    let (_, file) = name.split_once('/')?;
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", file.get(..16)?).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drill::{plain, record::Record},
        repo::StoredDrill,
    };

    fn past(name: &str, record: &Record) -> Past {
        let bytes = Bytes::from(record.to_bytes());
        let facts = serde_json::from_slice(&bytes).ok();
        let stored = StoredDrill { name: name.into(), bytes, signature: String::new() };
        Past { stored, facts, fault: None, kind: None }
    }

    #[test]
    fn the_time_of_a_record_is_in_its_name() {
        for name in ["drills/20261101T020300Z-0a0a0a0a.json", "drills/20261101T020300Z-0a0a0a0a.json.sig"] {
            assert_eq!(named_time(name), Some("2026-11-01T02:03:00Z".parse().unwrap()), "{name}");
        }
        for name in ["README.md", "epochs/1-ab.json", "drills/first.json", "drills/20261301T020300Z-x.json", "drills/é"]
        {
            assert_eq!(named_time(name), None, "{name}");
        }
    }

    #[test]
    fn a_review_stands_once_beside_the_drill_it_is_of() {
        let review = |record: &str, reviewer: &str| Review {
            record: record.into(),
            reviewer: reviewer.into(),
            date: "1970-01-02".parse().unwrap(),
            note: None,
        };
        let mut later = plain::record();
        later.reviews = vec![review("first", "Bo"), review("of-another-plan", "Bo")];
        let mut last = plain::record();
        last.reviews = vec![review("first", "Bo"), review("first", "Ana")];
        let all = [past("first", &plain::record()), past("later", &later), past("last", &last)];
        let found = reviews(&all, &BTreeSet::from(["first", "later"]));
        assert_eq!(found, [review("first", "Ana"), review("first", "Bo")]);
        let mut forged = past("last", &last);
        forged.fault = Some("it has no signature".into());
        assert_eq!(reviews(&[forged], &BTreeSet::from(["first"])), []);
    }
}
