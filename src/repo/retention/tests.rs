use proptest::prelude::*;

use super::*;
use crate::{
    crypto::Signer,
    model::{Digest, RepositoryId, SnapshotId},
    repo::{Counts, Manifest},
};

fn at(hours: i64) -> Timestamp {
    // A Monday, 2026-01-05, at noon.
    Timestamp::from_second(1_767_614_400 + 3_600 * hours).unwrap()
}

pub(in crate::repo) fn snapshot(sequence: u64, time: Timestamp, complete: bool) -> VerifiedManifest {
    let signer = Signer::generate().public();
    let manifest = Manifest {
        version: 1,
        repository: RepositoryId::from_bytes([1; 16]),
        snapshot: SnapshotId::from_bytes([2; 16]),
        sequence,
        previous: None,
        time,
        finished: time,
        epoch: 1,
        signer,
        source: Place { provider: "aws".into(), account: "1".into(), region: "eu-central-1".into() },
        packs: crate::repo::PackSet::default(),
        indexes: vec![],
        counts: Counts { unreadable: u64::from(!complete), ..Counts::default() },
        accepted: None,
        full: crate::repo::FullPass { sequence: 1, time },
        holds: None,
        readings: crate::repo::Readings::default(),
        sweeps: vec![],
        seals: vec![],
        config: None,
        excluded: vec![],
        unreadable: vec![],
        tool: String::new(),
    };
    VerifiedManifest::new(manifest, Digest::of(&sequence.to_be_bytes()), format!("s{sequence}"))
}

/// A snapshot a day for `days` days, complete.
fn daily(days: i64) -> Vec<VerifiedManifest> {
    (0..days).map(|day| snapshot(u64::try_from(day + 1).unwrap(), at(24 * day), true)).collect()
}

fn kept(chain: &[VerifiedManifest], retention: &Retention, now: Timestamp) -> Vec<u64> {
    let plan = plan(&chain.iter().collect::<Vec<_>>(), retention, now);
    assert_eq!(plan.snapshots.len(), chain.len());
    plan.snapshots.iter().filter(|fate| fate.is_kept()).map(|fate| fate.sequence).collect()
}

#[test]
fn each_rule_keeps_the_newest_of_its_slots() {
    let chain = daily(40);
    let now = at(24 * 40);
    let rule = |change: fn(&mut Retention)| {
        let mut retention = Retention::default();
        change(&mut retention);
        kept(&chain, &retention, now)
    };
    assert_eq!(rule(|_| {}), (1..=40).collect::<Vec<_>>(), "no rule keeps everything");
    assert_eq!(rule(|r| r.keep_last = 3), [38, 39, 40]);
    assert_eq!(rule(|r| r.keep_daily = 2), [39, 40]);
    // Day 1 is a Monday: weeks end on days 7, 14, 21, 28, 35.
    assert_eq!(rule(|r| r.keep_weekly = 3), [28, 35, 40]);
    assert_eq!(rule(|r| r.keep_monthly = 9), [27, 40], "January ends on day 27");
    assert_eq!(rule(|r| r.keep_yearly = 2), [40]);
    assert_eq!(rule(|r| r.keep_within = Some(SignedDuration::from_hours(48))), [38, 39, 40]);
}

#[test]
fn rules_add_up_and_the_newest_always_stays() {
    let chain = daily(40);
    let retention = Retention { keep_last: 1, keep_weekly: 2, keep_monthly: 2, ..Retention::default() };
    assert_eq!(kept(&chain, &retention, at(24 * 40)), [27, 35, 40]);
    let only_within = Retention { keep_within: Some(SignedDuration::ZERO), ..Retention::default() };
    assert_eq!(
        kept(&chain, &only_within, at(24 * 4000)),
        [40],
        "age is measured from the newest snapshot, not from today"
    );
}

#[test]
fn an_incomplete_snapshot_takes_no_complete_ones_place() {
    let mut chain = daily(3);
    chain.push(snapshot(4, at(24 * 2 + 1), false));
    let retention = Retention { keep_daily: 1, ..Retention::default() };
    assert_eq!(kept(&chain, &retention, at(100)), [3, 4], "the newest, and the newest complete one");
    let last = Retention { keep_last: 1, ..Retention::default() };
    assert_eq!(kept(&chain, &last, at(100)), [3, 4], "whatever the rules");
    chain.push(snapshot(5, at(24 * 2 + 2), true));
    assert_eq!(kept(&chain, &retention, at(100)), [5]);
    let never: Vec<_> = (1..=4).map(|n| snapshot(n, at(24 * i64::try_from(n).unwrap()), false)).collect();
    let retention = Retention { keep_daily: 2, ..Retention::default() };
    assert_eq!(kept(&never, &retention, at(200)), [3, 4], "where all are incomplete they count");
    let one_day: Vec<_> = (1..=2).map(|n| snapshot(n, at(i64::try_from(n).unwrap()), false)).collect();
    let chain = [one_day, vec![snapshot(3, at(24), true)]].concat();
    assert_eq!(kept(&chain, &retention, at(200)), [2, 3], "of a day the newest");
    let chain = [(1, 0, true), (2, 1, false), (3, 24, true)].map(|(n, hours, whole)| snapshot(n, at(hours), whole));
    assert_eq!(kept(&chain, &retention, at(200)), [1, 3], "of a day the complete one");
}

#[test]
fn forged_times_drop_nothing_that_is_good() {
    let good = daily(30);
    let retention = Retention { keep_last: 2, keep_daily: 5, keep_weekly: 4, ..Retention::default() };
    let now = at(24 * 30);
    let before = kept(&good, &retention, now);
    // Ahead of today, or earlier than snapshots before them: kept, and in nobody's place.
    for forged in [at(24 * 31), at(24 * 4_000), at(-24 * 300), at(24 * 3), at(0)] {
        let mut chain = good.clone();
        chain.extend((0..20).map(|number| snapshot(31 + number, forged, true)));
        let after = kept(&chain, &retention, now);
        assert!(before[..before.len() - 2].iter().all(|sequence| after.contains(sequence)), "{forged}: {after:?}");
        assert!((31..=50).all(|sequence| after.contains(&sequence)), "{forged}");
    }
}

#[test]
fn a_clock_that_jumped_ahead_and_back_costs_one_snapshot_its_trust() {
    let mut chain = daily(10);
    chain.insert(5, snapshot(100, at(24 * 3_000), true));
    let order: Vec<VerifiedManifest> =
        (1..).zip(&chain).map(|(n, found)| snapshot(n, found.manifest().time, true)).collect();
    let retention = Retention { keep_daily: 3, ..Retention::default() };
    assert_eq!(kept(&order, &retention, at(24 * 10)), [6, 9, 10, 11]);
    // Also later, when that day has come.
    assert_eq!(kept(&order, &retention, at(24 * 4_000)), [6, 9, 10, 11]);
}

#[test]
fn snapshots_of_one_second_contradict_nothing() {
    let chain = [1, 2, 3].map(|number| snapshot(number, at(0), true));
    let retention = Retention { keep_last: 1, ..Retention::default() };
    assert_eq!(kept(&chain, &retention, at(0)), [3]);
}

#[test]
fn a_capture_goes_at_once_only_if_a_later_snapshot_holds_all_of_it() {
    let own = Signer::generate().public();
    let made = |sequence: u64, hours: i64, is_pass: bool, holds: Option<u64>, change: &dyn Fn(&mut Manifest)| {
        let mut manifest = snapshot(sequence, at(hours), true).manifest().clone();
        manifest.signer = own.clone();
        manifest.holds = holds.map(|sequence| Digest::of(&sequence.to_be_bytes()));
        if !is_pass {
            manifest.full = crate::repo::FullPass { sequence: 1, time: at(0) };
        }
        change(&mut manifest);
        VerifiedManifest::new(manifest, Digest::of(&sequence.to_be_bytes()), format!("s{sequence}"))
    };
    let orders = |change: &dyn Fn(&mut Manifest), now: Timestamp| {
        let chain = [
            made(1, 0, true, None, &|_| {}),
            made(2, 1, false, None, &|_| {}),
            made(3, 2, false, Some(2), change),
            made(4, 3, true, Some(3), &|_| {}),
        ];
        let retention = Retention { keep_last: 1, ..Retention::default() };
        let Going { later, at_once } = plan(&chain.iter().collect::<Vec<_>>(), &retention, now).going(now, &own);
        [later, at_once].map(|names| names.into_iter().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(orders(&|_| {}, at(25)), ["s1", "s2 s3"]);
    assert_eq!(orders(&|_| {}, at(4)), ["s1", "s2"], "held for an hour only: a restore may have begun with it");
    assert_eq!(orders(&|_| {}, at(3)), ["s1", ""]);
    let first_waits = ["s1 s2", "s3"];
    assert_eq!(orders(&|next| next.holds = None, at(25)), first_waits, "a value is gone");
    assert_eq!(orders(&|next| next.holds = Some(Digest::of(b"another")), at(25)), first_waits, "it rests on another");
    assert_eq!(orders(&|next| next.counts.unreadable = 1, at(25)), first_waits, "less could be read");
    let thief = Signer::generate().public();
    assert_eq!(orders(&|next| next.signer = thief.clone(), at(25)), first_waits, "another signer says so");
    assert_eq!(orders(&|next| next.source.region = "eu-west-1".into(), at(25)), ["s1 s2", ""], "another source's");
    assert_eq!(orders(&|next| next.full.time = next.time, at(25)), ["s1 s3", "s2"], "a pass has its window");
}

#[test]
fn each_source_has_its_own_history() {
    let mut chain = daily(4);
    let mut manifest = chain[1].manifest().clone();
    manifest.source.region = "eu-west-1".into();
    chain[1] = VerifiedManifest::new(manifest, chain[1].digest(), chain[1].name().to_owned());
    let retention = Retention { keep_last: 1, ..Retention::default() };
    assert_eq!(kept(&chain, &retention, at(24 * 5)), [2, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever the times: the newest and the last ones stay. With times in order, planning again for what stays keeps all of it.
    #[test]
    fn plans_are_stable(hours in prop::collection::vec(-500_i64..500, 1..40), last in 0_u32..4, day in 0_u32..6, week in 0_u32..4) {
        let chain: Vec<_> = (1..).zip(&hours).map(|(n, hours)| snapshot(n, at(*hours), n % 3 != 0)).collect();
        let retention = Retention { keep_last: last, keep_daily: day, keep_weekly: week, ..Retention::default() };
        let now = at(600);
        let first = kept(&chain, &retention, now);
        prop_assert!(first.contains(&(hours.len() as u64)));
        for n in 0..u64::from(last).min(hours.len() as u64) {
            prop_assert!(first.contains(&(hours.len() as u64 - n)));
        }
        let times: Vec<_> = hours.iter().map(|hours| at(*hours)).collect();
        if times.is_sorted() && !retention.is_empty() {
            let rest: Vec<_> = chain.iter().filter(|found| first.contains(&found.manifest().sequence)).cloned().collect();
            prop_assert_eq!(kept(&rest, &retention, now), first);
        }
    }
}
