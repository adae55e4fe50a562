//! Captures between two complete passes: what the provider told of is in a snapshot at once, and the snapshot is complete.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::FixedClock,
    crypto::Opener,
    model::{Record, Secret},
    progress::Silent,
    provider::{
        Hint,
        memory::{HeldVersion, Memory},
    },
    repo::{self, CheckDepth, Extent, Manifest, Repository, Retention, VerifiedManifest},
    snapshot::{self, SnapshotError},
    storage::faults::Faults,
};

use crate::{
    cli::estate,
    command::Desk,
    layers::{Host, day, name},
};

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

/// What a repository costs whoever reads it.
#[derive(Debug)]
struct Costs {
    snapshots: u64,
    files: u64,
    /// The judgement of the history.
    list: Cost,
    /// The same of a host that judged it before.
    again: Cost,
    /// One reading of every record of the newest snapshot.
    restore: Cost,
    /// A check of everything, every value included.
    check: Cost,
}

async fn costs(host: &Host, secrets: u64) -> Costs {
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
    let memory = tempfile::tempdir().unwrap();
    let warm = async || {
        let (repository, faults, begun) = open().await;
        let chain = repository.remembering(memory.path().join("history")).recent_chain(&trust).await.unwrap();
        assert_eq!(chain.count(), judgement.chain().count());
        spent(&faults, begun)
    };
    warm().await;
    let again = warm().await;
    let (repository, faults, begun) = open().await;
    let newest = judgement.newest(None).unwrap();
    let records = repository.records(&newest, Opener::Recovery(&sample.recovery)).await.unwrap();
    assert_eq!(records.len() as u64, secrets);
    let restore = spent(&faults, begun);
    let (repository, faults, begun) = open().await;
    let report = repository.check(&trust, CheckDepth::Values(&sample.recovery)).await.unwrap();
    assert_eq!(report.faults, []);
    let files = sample.repository.storage().list("").await.unwrap().len() as u64;
    Costs { snapshots: judgement.chain().count(), files, list, again, restore, check: spent(&faults, begun) }
}

/// After so many days with a pass each, retention after it, and so many rotations that day, each told of by an event or none of
/// them: what it costs at the end of the last day, and after the pass and the retention that follow.
async fn month(days: i64, secrets: u64, rotations: u64, told: bool) -> [Costs; 2] {
    let host = host(secrets);
    let rules = Retention { keep_last: 7, keep_daily: 14, ..Retention::default() };
    let begin = async |number: i64| {
        bundle(&host, &host.run(number).await.manifest).await;
        host.forget(&rules, 7, at(number, 90)).await;
    };
    for number in 0..days {
        begin(number).await;
        for rotation in 0..rotations {
            let name = name((number.unsigned_abs() * 131 + rotation * 17) % secrets);
            let version = 10_000 + number * 1_000 + rotation.cast_signed();
            host.rotate(&name, version, &format!("value {version}"));
            if told {
                let minutes = 100 + (1_300 * rotation / rotations).cast_signed();
                let captured = host.event(at(number, minutes), &[name]).await.unwrap().manifest;
                bundle(&host, &captured.expect("it changed")).await;
            }
        }
    }
    let evening = costs(&host, secrets).await;
    begin(days).await;
    [evening, costs(&host, secrets).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_events_cost_readers_is_a_days_events_and_nothing_after_the_next_pass() {
    const DAYS: i64 = 18;
    const EVENTS: u64 = 20;
    let without = Box::pin(month(DAYS, 400, EVENTS, false)).await;
    let with = Box::pin(month(DAYS, 400, EVENTS, true)).await;
    println!(
        "{DAYS} days, at the end of the last and after the next pass\n{without:#?}\n{EVENTS} events a day\n{with:#?}"
    );
    let [evening, after] = [0, 1].map(|at| (&without[at], &with[at]));
    assert_eq!(evening.1.snapshots, evening.0.snapshots + EVENTS, "those of the day");
    assert_eq!(after.1.snapshots, after.0.snapshots, "the pass holds every value of them");
    for (without, with) in [evening, after] {
        assert!(with.restore.0 <= 2 * without.restore.0, "{without:?} {with:?}");
        let factor = |of: fn(&Costs) -> u64| of(with) * 100 / of(without);
        assert!(factor(|it| it.check.0) <= factor(|it| it.files) * 5 / 4, "no file is read more often");
    }
    let (without, with) = after;
    assert!(with.again.0 <= 2 * without.again.0, "{without:?} {with:?}");
    assert!(with.files <= 2 * without.files, "{without:?} {with:?}");
    assert!(with.list.0 <= 2 * without.list.0, "{without:?} {with:?}");
    assert!(with.check.0 <= 2 * without.check.0, "{without:?} {with:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures 10,000 events over a month"]
async fn ten_thousand_events_over_a_month() {
    for told in [false, true] {
        println!("{told}: {:#?}", Box::pin(month(30, 1_000, 334, told)).await);
    }
}

/// What a later snapshot holds too goes at once. The others wait for the time of undoing, and so does what was covered just now.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_snapshot_holds_too_goes_at_once_and_the_rest_waits() {
    let rules = Retention { keep_last: 3, ..Retention::default() };
    for (minute, left) in [(20, &[4, 7][..]), (90, &[4])] {
        let host = host(6);
        host.run(0).await;
        let mut made = Vec::new();
        for (number, minute) in (1..).zip([10, 20, 30, 40, 50, 60]) {
            let told = name(number % 3);
            if minute == 40 {
                // The last version of before is gone at the source: what number 4 holds of it, nothing after it holds.
                host.put(&told, 400, "another");
            } else {
                host.rotate(&told, 100 + minute, &format!("value {minute}"));
            }
            made.push(host.event(at(0, minute), &[told]).await.unwrap().manifest.unwrap());
        }
        assert!(host.run(1).await.manifest.manifest().holds.is_some());
        let stored = async || {
            let list = host.sample.repository.storage().list("snapshots").await.unwrap();
            let is_there = |found: &&VerifiedManifest| list.iter().any(|entry| entry.name == found.file());
            made.iter().filter(is_there).map(|found| found.manifest().sequence).collect::<Vec<_>>()
        };
        host.forget(&rules, 7, at(1, minute)).await;
        assert_eq!(stored().await, left, "number 5 lacks a value of 4; number 7 was covered by the pass a while ago");
        let report = host.check(CheckDepth::Values(&host.sample.recovery)).await;
        assert_eq!((report.faults, report.orphans), (vec![], 0));
        // When a snapshot is there that is younger than the window, they go too.
        host.run(9).await;
        host.forget(&rules, 7, at(9, 90)).await;
        assert_eq!(stored().await, [0_u64; 0]);
        assert_eq!(host.check(CheckDepth::Values(&host.sample.recovery)).await.faults, []);
    }
}

/// A secret that is rotated and then deleted for good between two passes: the pass does not hold it, so the last capture waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_waits_that_alone_holds_a_secret_that_is_gone() {
    let host = host(4);
    let rules = Retention { keep_last: 3, ..Retention::default() };
    host.run(0).await;
    host.rotate(&name(1), 7, "the last one");
    let last = host.event(at(0, 10), &[name(1)]).await.unwrap().manifest.unwrap();
    host.source.remove(&name(1));
    assert_eq!(host.run(1).await.manifest.manifest().holds, None);
    host.forget(&rules, 7, at(1, 90)).await;
    let found = records(&host, &last).await;
    assert!(found.iter().any(|record| record.secret.name == name(1) && record.versions.len() == 2), "{found:?}");
}

/// By hand, on a repository whose snapshots are three hours old.
#[tokio::test(flavor = "multi_thread")]
async fn forget_removes_what_a_pass_holds_at_once_and_undoes_the_rest() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    let here = lifeboat::app::Host::load(&desk.path("lifeboat.toml")).unwrap();
    let (repository, trust) = here.repository().await.unwrap();
    let (signer, index_key) = (here.signer().unwrap(), here.index_key().unwrap());
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    let secret = || Secret { name: "app/db".into(), ..Secret::default() };
    source.insert(secret(), vec![HeldVersion::text("v1", &["AWSCURRENT"], "first")]);
    let begun = lifeboat::clock::to_seconds(Timestamp::now()) - SignedDuration::from_hours(5);
    for hour in 0..4 {
        let clock = FixedClock(begun + SignedDuration::from_hours(hour));
        let request = snapshot::Request {
            repository: &repository,
            source: Arc::<Memory>::clone(&source) as Arc<dyn lifeboat::provider::Source>,
            account: None,
            trust: &trust,
            witness: None,
            signer: &signer,
            index_key: &index_key,
            rules: snapshot::Rules::default(),
            journal: None,
            scratch: None,
            drill: None,
            config: None,
            clock: &clock,
            progress: &Silent,
        };
        let made = if hour % 3 == 0 {
            snapshot::run(&request).await.unwrap().manifest
        } else {
            source.edit_versions("app/db", |versions| {
                versions[0].labels.clear();
                versions.insert(0, HeldVersion::text(&format!("v{}", hour + 1), &["AWSCURRENT"], "next"));
            });
            let judgement = repository.judge(&trust, &[]).await.unwrap();
            let appending = judgement.for_appending().unwrap();
            let hint = Hint { name: "app/db".into(), id: None };
            snapshot::capture(&request, (&appending, &appending.tip()), &[hint]).await.unwrap().manifest.unwrap()
        };
        here.remember(&made).unwrap();
    }
    let numbers = |listed: &serde_json::Value| -> Vec<(u64, bool)> {
        let of = |it: &serde_json::Value| (it["sequence"].as_u64().unwrap(), it["forgotten"].is_string());
        listed["snapshots"].as_array().unwrap().iter().map(of).collect()
    };
    let plan = desk.run("forget --keep-last 1 --plan").expect(0);
    assert_eq!(
        (plan.out.matches("FORGET").count(), plan.out.matches("FORGET at once").count()),
        (3, 2),
        "{}",
        plan.out
    );
    desk.run("copy").expect(0);
    let done = desk.run("forget --keep-last 1 --yes").expect(0);
    assert!(
        done.out.contains("2 snapshots by events forgotten at once: later ones hold all their values"),
        "{}",
        done.out
    );
    assert!(done.out.contains("2 snapshots and"), "{}", done.out);
    assert!(done.out.contains("1 snapshot forgotten; removed after"), "{}", done.out);
    assert_eq!(numbers(&desk.run("list --json").expect(0).json()), [(1, true), (4, false)]);
    desk.run("check").expect(0);
    let mut command = desk.command("python3");
    let independent = desk.finish(command.args(["repository/recover.py", "verify", "repository"])).expect(0);
    assert!(independent.out.contains("2 snapshots"), "{}", independent.out);
    // What can be undone is the record with a window, though both are of one second.
    let undone = desk.run("forget --undo").expect(0);
    assert!(undone.out.contains("1 snapshot of record"), "{}", undone.out);
    assert_eq!(numbers(&desk.run("list --json").expect(0).json()), [(1, false), (4, false)]);
    desk.run("forget --undo").expect(4).says("number 2 is already removed");
    sandbox.shutdown().await;
}
