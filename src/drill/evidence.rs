//! The evidence of an audit period: one archive that stock tools can verify offline. Pure; the same bytes every time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    DrillFile, Past,
    past::turns,
    record::{Control, Review, Verdict, controls},
    report,
};
use crate::{
    model::Digest,
    repo::{StoredEpoch, Trust},
};

/// What goes into it.
pub struct Request<'a> {
    /// The first day.
    pub from: Date,
    /// The day after the last.
    pub to: Date,
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
    /// Each plan.
    pub plans: Vec<PlanSummary>,
    /// Records of the period.
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

/// One plan in the period.
#[derive(Clone, Debug, Serialize)]
pub struct PlanSummary {
    /// Its name; empty for drills described on the command line.
    pub name: String,
    /// Its rhythm.
    pub every_days: Option<u32>,
    /// Each turn and what became of it.
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

/// Summarises the period.
pub fn summary(request: &Request<'_>) -> Summary {
    let period: Vec<&Past> = request.past.iter().filter(|past| in_period(past, request)).collect();
    let verified: Vec<_> = period.iter().filter_map(|past| Some((*past, past.verified()?))).collect();
    let passed = verified.iter().filter(|(_, facts)| facts.result == Verdict::Passed).count() as u64;
    let mut names: Vec<String> = request.plans.keys().cloned().collect();
    names.extend(verified.iter().map(|(_, facts)| facts.plan().to_owned()));
    names.sort();
    names.dedup();
    let drills = verified.len() as u64;
    #[expect(clippy::cast_precision_loss, reason = "far fewer drills than 2^52")]
    let pass_rate = (drills > 0).then(|| passed as f64 / drills as f64);
    let faults = period.iter().filter_map(|past| Some(format!("{}: {}", past.stored.name, past.fault.as_ref()?)));
    Summary {
        from: request.from,
        to: request.to,
        plans: names.iter().map(|name| plan(name, request, &period)).collect(),
        drills,
        passed,
        pass_rate,
        attestations: request.attestations.keys().filter_map(|name| name.strip_suffix(".json")).count() as u64,
        faults: faults.collect(),
        controls: controls(),
    }
}

fn plan(name: &str, request: &Request<'_>, period: &[&Past]) -> PlanSummary {
    let file = request.plans.get(name);
    let own: Vec<_> = period
        .iter()
        .filter_map(|past| Some((past, past.verified()?)))
        .filter(|(_, facts)| facts.plan() == name)
        .collect();
    let every_days = file.and_then(|file| file.every_days);
    let slots = every_days.map_or_else(Vec::new, |every| turns(request.from, request.to, every));
    let slots = slots.into_iter().map(|turn| {
        let within = |day: Option<Date>| day.is_some_and(|day| (turn.from..turn.to).contains(&day));
        let held = own.iter().filter(|(past, _)| within(day(past)));
        TurnSummary {
            held: held.map(|(past, facts)| (past.stored.name.clone(), facts.result)).collect(),
            explained: file.and_then(|file| file.missed.get(&turn.name).cloned()),
            turn: turn.name,
        }
    });
    PlanSummary {
        name: name.to_owned(),
        every_days,
        turns: slots.collect(),
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

fn day(past: &Past) -> Option<Date> {
    past.facts.as_ref()?.started().map(|time| TimeZone::UTC.to_datetime(time).date())
}

/// A record without a date that can be read belongs to every period: it must not disappear.
fn in_period(past: &Past, request: &Request<'_>) -> bool {
    day(past).is_none_or(|day| (request.from..request.to).contains(&day))
}

/// Every file of the archive by name.
fn files(request: &Request<'_>, summary: &Summary) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut add = |name: String, bytes: &[u8]| {
        files.insert(name, bytes.to_vec());
    };
    for (position, past) in request.past.iter().enumerate().filter(|(_, past)| in_period(past, request)) {
        let stored = &past.stored;
        add(format!("drills/{}.json", stored.name), &stored.bytes);
        add(format!("drills/{}.json.sig", stored.name), stored.signature.as_bytes());
        if let Some(record) = past.record() {
            let page = report::html(&record, &request.past[..position]);
            add(format!("reports/{}.html", stored.name), page.as_bytes());
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
    add("README.md".into(), readme(summary).as_bytes());
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
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

/// The archive.
pub fn archive(request: &Request<'_>, summary: &Summary) -> Vec<u8> {
    let mut files = files(request, summary);
    let mut sums = String::new();
    for (name, bytes) in &files {
        sums.push_str(&format!("{}  {name}\n", Digest::of(bytes)));
    }
    files.insert("SHA256SUMS".into(), sums.into_bytes());
    let root = format!("lifeboat-evidence-{}-{}", request.from, request.to);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(if name == "verify.sh" { 0o755 } else { 0o644 });
        header.set_mtime(
            u64::try_from(TimeZone::UTC.to_timestamp(request.to.into()).map_or(0, Timestamp::as_second)).unwrap_or(0),
        );
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, format!("{root}/{name}"), bytes.as_slice()).expect("memory does not fail");
    }
    tar.into_inner().expect("memory does not fail")
}

fn readme(summary: &Summary) -> String {
    let mut text = format!(
        "# Restore drills from {} until {}\n\n{} records, {} passed{}. {} custody attestations.\n\n\
         `sh verify.sh` checks everything here offline, with `sha256sum` and `ssh-keygen` alone. Compare the line `root` of \
         `allowed_signers` with the root key on record outside this archive: everything rests on it.\n",
        summary.from,
        summary.to,
        summary.drills,
        summary.passed,
        summary.pass_rate.map_or(String::new(), |rate| format!(" ({:.0} %)", rate * 100.0)),
        summary.attestations,
    );
    for plan in &summary.plans {
        let name = if plan.name.is_empty() { "by hand" } else { &plan.name };
        text.push_str(&format!("\n## {name}\n\n"));
        if !plan.turns.is_empty() {
            text.push_str("| turn | drill | result | reviewed |\n|---|---|---|---|\n");
        }
        for turn in &plan.turns {
            for (record, verdict) in &turn.held {
                let reviewed = plan.reviews.iter().filter(|review| review.record == *record);
                let reviewed: Vec<String> = reviewed.map(|it| format!("{}, {}", it.reviewer, it.date)).collect();
                let reviewed = if reviewed.is_empty() { "–".to_owned() } else { reviewed.join("; ") };
                text.push_str(&format!("| {} | {record} | {} | {reviewed} |\n", turn.turn, verdict.as_str()));
            }
            if turn.held.is_empty() {
                let why =
                    turn.explained.as_ref().map_or("NOT HELD, not explained".into(), |why| format!("not held: {why}"));
                text.push_str(&format!("| {} | – | {why} | |\n", turn.turn));
            }
        }
        let trend: Vec<String> =
            plan.rto_seconds.iter().map(|(_, rto)| rto.map_or_else(|| "–".into(), report::duration)).collect();
        if !trend.is_empty() {
            text.push_str(&format!("\nRTO in order: {}\n", trend.join(", ")));
        }
    }
    if !summary.faults.is_empty() {
        text.push_str("\n## Records that do not verify\n\n");
        summary.faults.iter().for_each(|fault| text.push_str(&format!("- {fault}\n")));
    }
    text.push_str("\n## Controls\n\n| framework | control | asks |\n|---|---|---|\n");
    for control in &summary.controls {
        text.push_str(&format!("| {} | {} | {} |\n", control.framework, control.control, control.asks));
    }
    text
}

/// Needs POSIX sh, sha256sum and ssh-keygen.
const VERIFY: &str = "\
#!/bin/sh
# Checks digests, signatures and the chain of this evidence. Needs no network and nothing but sha256sum and ssh-keygen.
set -u
cd \"$(dirname \"$0\")\" || exit 1
bad=0
sha256sum --check --quiet SHA256SUMS || bad=1
check() {
    for file in \"$1\"/*.json; do
        [ -e \"$file\" ] || continue
        ssh-keygen -Y verify -f allowed_signers -I \"$2\" -n \"$3\" -s \"$file.sig\" < \"$file\" > /dev/null 2>&1 \\
            || { echo \"the signature of $file does not verify\"; bad=1; }
    done
}
check epochs root lifeboat-epoch
check drills host lifeboat-drill
check attestations host lifeboat-audit
# Records name the one before them: exactly one of them, the oldest, names one that is not here, and no two name the same.
sums=' '
befores=
for file in drills/*.json; do
    [ -e \"$file\" ] || continue
    sums=\"$sums$(sha256sum < \"$file\" | cut -d' ' -f1) \"
done
first=0
for file in drills/*.json; do
    [ -e \"$file\" ] || continue
    before=$(sed -n 's/^  \"previous\": \"\\([0-9a-f]*\\)\".*/\\1/p' \"$file\")
    case \"$sums\" in
        *\" ${before:-none} \"*) ;;
        *) first=$((first + 1)) ;;
    esac
    case \" $befores \" in
        *\" ${before:-none} \"*) echo \"$file takes the place of another record\"; bad=1 ;;
    esac
    befores=\"$befores ${before:-none}\"
done
if [ \"$first\" -gt 1 ]; then
    echo \"$first records do not follow one that is here: one was removed\"
    bad=1
fi
[ \"$bad\" = 0 ] && echo 'everything verifies'
exit \"$bad\"
";

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
