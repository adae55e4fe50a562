//! Captures between two complete passes: what the provider told of is in a snapshot at once, and the snapshot is complete.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    crypto::Opener,
    model::{Record, Secret},
    provider::memory::HeldVersion,
    repo::{self, CheckDepth, Extent, Manifest, Repository, Retention, VerifiedManifest},
    snapshot::SnapshotError,
    storage::faults::Faults,
};

use crate::layers::{Host, day, name};

fn at(number: i64, minutes: i64) -> Timestamp {
    day(number) + SignedDuration::from_mins(minutes)
}

fn host(secrets: u64) -> Host {
    tokio::task::block_in_place(|| Host::with(secrets, |number| format!("first {number}")))
}

async fn records(host: &Host, manifest: &VerifiedManifest) -> Vec<Record> {
    let records = host.records(&host.sample.repository, manifest).await;
    records.into_iter().map(unlisted).collect()
}

/// An event reads no listing.
fn unlisted(record: Record) -> Record {
    Record { listing: None, ..record }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_events_between_passes_is_as_a_full_reading_each_time() {
    let host = host(40);
    let first = host.run(0).await.manifest.manifest().clone();
    assert!(first.is_pass());
    let (mut captures, mut version) = (0, 1_000);
    for number in 0..30 {
        if number > 0 {
            assert!(host.run(number).await.manifest.manifest().is_pass());
        }
        for round in 1..=4_i64 {
            let mut told = BTreeSet::new();
            for salt in 0..3_u64 {
                version += 1;
                let pick = (number.unsigned_abs() * 7_919 + salt * 104_729 + round.unsigned_abs() * 31) % 44;
                host.put(&name(pick), version, &format!("value {version}"));
                told.insert(name(pick));
            }
            if round == 2 {
                host.source.edit(&name(3), |secret| secret.facets.description = Some(format!("day {number}")));
                told.insert(name(3));
            }
            if round == 3 {
                // The name of before, another secret; one that a rule leaves out; one that is not there; one that is as it was.
                let again = Secret { name: name(5), id: format!("id-{number}"), ..Secret::default() };
                host.source.insert(again, vec![HeldVersion::text("v1", &["AWSCURRENT"], "another")]);
                host.put("hidden/1", version, "left out by rule");
                told.extend([name(5), "hidden/1".into(), "nobody".into(), name(39)]);
            }
            if round == 4 {
                // So many that the index is walked through.
                told.extend((0..40).map(name));
            }
            let told: Vec<String> = told.into_iter().collect();
            let report = host.event(at(number, 60 * round), &told).await.unwrap();
            assert_eq!(report.failed, []);
            let manifest = report.manifest.expect("something changed");
            captures += 1;
            let Manifest { full, time, counts, readings, .. } = manifest.manifest();
            assert!(!manifest.manifest().is_pass() && full.time == day(number) && *time == at(number, 60 * round));
            assert_eq!(counts.listed, counts.captured + counts.excluded);
            assert_eq!(readings.now, report.changed.len() as u64);
            if round == 3 {
                assert_eq!((report.excluded, report.gone), (vec!["hidden/1".to_owned()], vec!["nobody".to_owned()]));
            }
            let full: Vec<Record> = host.full(number).await.into_iter().map(unlisted).collect();
            assert_eq!(records(&host, &manifest).await, full, "day {number}, round {round}");
        }
    }
    let report = host.check(CheckDepth::Values(&host.sample.recovery)).await;
    assert_eq!((report.faults, report.orphans), (vec![], 0), "counts and readings are those of the index");
    assert_eq!(report.snapshots, captures + 30);
    assert!(report.restorable.iter().all(|each| each.extent == Extent::Whole && each.values_lost == Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_changes_nothing_by_itself() {
    let host = host(5);
    host.run(0).await;
    // Told of and as it was, told of and not there: nothing is written, and nothing is taken away.
    host.source.remove(&name(1));
    let told: Vec<String> = (0..5).map(name).collect();
    let before = host.sample.repository.storage().list("").await.unwrap().len();
    let report = host.event(at(0, 1), &told).await.unwrap();
    assert!(report.manifest.is_none() && report.changed.is_empty(), "{report:?}");
    assert_eq!((report.read.len(), report.gone), (4, vec![name(1)]));
    assert_eq!(host.sample.repository.storage().list("").await.unwrap().len(), before);

    // One that cannot be read stays as it was captured, and the others are captured.
    host.put(&name(2), 7, "new");
    host.put(&name(3), 7, "new");
    host.source.refuse(&name(2), "DescribeSecret", "AccessDeniedException");
    let report = host.event(at(0, 2), &told).await.unwrap();
    assert_eq!(report.failed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), [name(2)]);
    let manifest = report.manifest.unwrap();
    let found = records(&host, &manifest).await;
    let values =
        |name: &str| found.iter().find(|record| record.secret.name == name).map(|record| record.versions[0].id.clone());
    assert_eq!(
        (values(&name(1)), values(&name(2)), values(&name(3))),
        (Some("v0".into()), Some("v0".into()), Some("v7".into()))
    );
    assert_eq!(manifest.manifest().counts.captured, 5);
    // The next complete pass takes the secret away that is gone.
    assert_eq!(host.run(1).await.manifest.manifest().counts.listed, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_rise_and_a_clock_that_is_behind_captures_nothing() {
    let host = host(2);
    host.run(3).await;
    host.put(&name(0), 9, "new");
    let late = host.event(at(2, 0), &[name(0)]).await;
    assert!(matches!(late, Err(SnapshotError::NoPass(..))), "{late:?}");
    assert!(host.event(at(3, 1), &[name(0)]).await.unwrap().manifest.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_counts_passes_and_keeps_events_until_the_next_one() {
    let host = host(3);
    let mut chain = Vec::new();
    for number in 0..5 {
        chain.push(host.run(number).await.manifest);
        for minute in [10, 20] {
            host.put(&name(0), number * 100 + minute, &format!("value {number} {minute}"));
            chain.push(host.event(at(number, minute), &[name(0)]).await.unwrap().manifest.unwrap());
        }
    }
    let chain: Vec<&VerifiedManifest> = chain.iter().collect();
    let kept = |retention: Retention, chain: &[&VerifiedManifest]| -> Vec<u64> {
        let plan = repo::plan(chain, &retention, at(9, 0));
        plan.snapshots.iter().filter(|fate| fate.is_kept()).map(|fate| fate.sequence).collect()
    };
    // Numbers 1, 4, 7, 10 and 13 are passes.
    assert_eq!(kept(Retention { keep_last: 3, ..Retention::default() }, &chain), [7, 10, 13, 14, 15]);
    assert_eq!(kept(Retention { keep_daily: 2, ..Retention::default() }, &chain), [10, 13, 14, 15]);
    assert_eq!(kept(Retention { keep_yearly: 1, ..Retention::default() }, &chain), [13, 14, 15]);
    let within = Some(SignedDuration::from_hours(30));
    assert_eq!(kept(Retention { keep_within: within, ..Retention::default() }, &chain), [10, 13, 14, 15]);
    assert_eq!(kept(Retention::default(), &chain).len(), 15);
    let with_pass = &chain[..13];
    assert_eq!(kept(Retention { keep_last: 2, ..Retention::default() }, with_pass), [10, 13]);
}

/// As every run does.
async fn bundle(host: &Host, made: &VerifiedManifest) {
    let number = made.manifest().sequence;
    host.sample.repository.bundle_after(number - 1, number).await.unwrap();
}

/// Requests of a reader that remembers nothing, and how long it takes.
type Cost = (u64, Duration);

/// After so many days with a pass each and so many events after it, and retention at the end of each day: what the judgement of the
/// history (`list`), one whole reading (`restore`) and a check of everything cost, and how many snapshots and files there are.
async fn cost(days: i64, secrets: u64, events: u64) -> ([Cost; 3], [u64; 2]) {
    let host = host(secrets);
    let rules = Retention { keep_last: 7, keep_daily: 14, ..Retention::default() };
    for number in 0..days {
        host.put(&name(number.unsigned_abs()), number, "of the day");
        bundle(&host, &host.run(number).await.manifest).await;
        for event in 0..events {
            let told = name((number.unsigned_abs() * 131 + event * 17) % secrets);
            let version = 10_000 + number * 1_000 + event.cast_signed();
            host.put(&told, version, &format!("value {version}"));
            let minutes = 30 + (1_380 * event / events.max(1)).cast_signed();
            let captured = host.event(at(number, minutes), &[told]).await.unwrap().manifest;
            bundle(&host, &captured.expect("it changed")).await;
        }
        host.forget(&rules, at(number, 1_430)).await;
    }
    let (sample, trust) = (&host.sample, host.sample.trust_now().await);
    let open = async || {
        let faults = Arc::new(Faults::none());
        let storage = sample.repository.storage().clone().with_faults(Arc::clone(&faults));
        (Repository::open(storage).await.unwrap(), faults, Instant::now())
    };
    let spent = |faults: &Faults, begun: Instant| -> Cost { (faults.reads(), begun.elapsed()) };
    let (repository, faults, begun) = open().await;
    let judgement = repository.judge(&trust, &[]).await.unwrap();
    let list = spent(&faults, begun);
    let (repository, faults, begun) = open().await;
    let newest = judgement.newest(None).unwrap();
    let records = repository.records(&newest, Opener::Recovery(&sample.recovery)).await.unwrap();
    assert_eq!(records.len() as u64, secrets);
    let restore = spent(&faults, begun);
    let (repository, faults, begun) = open().await;
    let report = repository.check(&trust, CheckDepth::Values(&sample.recovery)).await.unwrap();
    assert_eq!(report.faults, []);
    let stored = sample.repository.storage().list("").await.unwrap().len() as u64;
    ([list, restore, spent(&faults, begun)], [judgement.chain().count(), stored])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_events_cost_readers_does_not_grow_with_the_days() {
    const DAYS: i64 = 18;
    const EVENTS: u64 = 20;
    let ((without, [passes, few]), (with, [snapshots, many])) =
        (Box::pin(cost(DAYS, 400, 0)).await, Box::pin(cost(DAYS, 400, EVENTS)).await);
    println!(
        "{DAYS} days: {passes} snapshots in {few} files without events, {snapshots} in {many} with {EVENTS} a day"
    );
    println!("{without:?}\n{with:?}");
    // What was forgotten is removed by the run after.
    assert_eq!(snapshots, passes + 2 * EVENTS, "those of the last two days are left, of 360");
    let [list, restore, check] = [0, 1, 2].map(|at| (without[at].0, with[at].0));
    assert!(list.1 <= list.0 + 2 * EVENTS, "bundles hold most of {snapshots} manifests: {list:?}");
    assert!(restore.1 <= 2 * restore.0, "{restore:?}");
    assert!(check.1 * few <= check.0 * many * 5 / 4, "a check reads what is stored, and no file more often: {check:?}");
    // Passes put the small packs of events together, and what nobody needs is removed.
    assert!(many < 800, "{many} files are left of 360 events");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures 10,000 events over a month"]
async fn ten_thousand_events_over_a_month() {
    for events in [0, 334] {
        let (costs, snapshots) = Box::pin(cost(30, 1_000, events)).await;
        println!("{events} a day: snapshots and files {snapshots:?}, list, restore, check: {costs:?}");
    }
}
