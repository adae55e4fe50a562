//! One judge of the history: nothing forged, altered, removed or rolled back is read from without a word, and nothing that
//! anybody can write denies recovery for good.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    crypto::{Namespace, Signer},
    model::{Digest, Place, PlaceFilter, SnapshotId},
    repo::{
        AcceptedFault, CheckDepth, Chosen, Fault, FaultKind, ForgetError, FullPass, Halt, Judgement, LaterRecord,
        Manifest, NoChoice, Remembered, RepoError, Repository, Retention, Severity, Sweep, SweepReport, Trust,
        VerifiedForget, copy,
    },
    storage::{Read, Storage},
};

use crate::{
    cli::estate,
    command::{Desk, SHEETS},
    repo_sample::{Sample, altered, block_on, forget, later, sweep, time},
};

const ODD: [&str; 4] = ["snapshots/é.json", "snapshots/a~.json", "snapshots/a%41.json", "snapshots/x[1].json"];

/// A complete pass of that time.
fn pass(time: Timestamp) -> FullPass {
    FullPass { sequence: 1, time }
}

async fn judged(storage: &Storage, sample: &Sample) -> Judgement {
    let repository = Repository::open(storage.clone()).await.unwrap();
    repository.judge(&repository.trust(&sample.anchor()).await.unwrap(), &[]).await.unwrap()
}

fn number(found: Result<lifeboat::repo::Chosen, NoChoice>) -> u64 {
    found.unwrap().manifest().sequence
}

#[track_caller]
fn refused(found: Result<lifeboat::repo::Chosen, NoChoice>) -> lifeboat::repo::Refusal {
    match found {
        Err(NoChoice::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// A manifest as somebody stores it who can write to the storage, under its own name.
async fn plant(storage: &Storage, manifest: &Manifest, signer: &Signer) -> String {
    let stem = format!("{}-{}", manifest.time.strftime("%Y%m%dT%H%M%SZ"), manifest.snapshot.short());
    let name = format!("snapshots/{}/{stem}.json", manifest.sequence.saturating_sub(1) / 64);
    let mut bytes = serde_json::to_vec_pretty(manifest).unwrap();
    bytes.push(b'\n');
    let signature = signer.sign(Namespace::Manifest, &bytes);
    storage.put_new(&format!("{name}.sig"), signature.into()).await.unwrap();
    storage.put_new(&name, bytes.into()).await.unwrap();
    name
}

/// A manifest that follows the newest one.
async fn next(sample: &Sample) -> Manifest {
    let chain = sample.repository.chain(&sample.trust_now().await).await.unwrap();
    let head = chain.manifests.last().unwrap();
    let (records, packs) = sample.seal().await;
    let mut manifest = sample.manifest(head.manifest().sequence + 1, Some(head.digest()), &records, &packs).await;
    manifest.snapshot = SnapshotId::random();
    manifest
}

#[test]
fn the_newest_is_refused_while_anything_is_wrong_and_a_person_may_accept_it() {
    let sample = Sample::new(Storage::memory(), 3);
    block_on(async {
        let chain = sample.repository.chain(&sample.trust_now().await).await.unwrap();
        let file = chain.head().unwrap().file();
        let signature = format!("{file}.sig");
        let storage = sample.repository.storage();
        let edit = |name: &str, bytes: Bytes| {
            let text = String::from_utf8_lossy(&bytes).replace("lifeboat test", "lifeboat tesT");
            Some(if name == file { text.into_bytes().into() } else { bytes })
        };
        let cut = |name: &str, bytes: Bytes| Some(if name == file { bytes.slice(..50) } else { bytes });
        let unsigned = |name: &str, bytes| (name != signature).then_some(bytes);
        let cases = [
            ("a byte", altered(storage, edit).await, FaultKind::Untrusted, Severity::Refused),
            ("cut off", altered(storage, cut).await, FaultKind::Damaged, Severity::Damaged),
            ("its signature", altered(storage, unsigned).await, FaultKind::Unsigned, Severity::Refused),
        ];
        for (what, seen, kind, severity) in cases {
            let judgement = judged(&seen, &sample).await;
            let refusal = refused(judgement.newest(None));
            assert_eq!((refusal.faults[0].kind, refusal.severity()), (kind, severity), "{what}");
            assert!(refusal.to_string().contains(&format!("{file}: {kind}")), "{refusal}");
            refused(judgement.at(None, time(100), later()));
            let old = judgement.chain().manifests[0].manifest().snapshot.to_string();
            assert_eq!(number(judgement.by_id(&old, None)), 1, "{what}: another one by id");
            let own = chain.head().unwrap().manifest().snapshot.to_string();
            let never = refused(judgement.by_id(&own[..8], None));
            assert!(!never.is_acceptable, "{what}: what is not believed is never read");
            let accepted = refusal.flags();
            let accepted: Vec<AcceptedFault> = accepted.iter().map(|flag| flag.to_string().parse().unwrap()).collect();
            let judgement = judgement.accepting(&accepted);
            let found = judgement.newest(None).unwrap();
            assert_eq!((found.manifest().sequence, found.accepted()), (2, &accepted[..]), "{what}");
        }
        // Moved to another name, with its signature or without.
        for name in
            ["snapshots/0/20990101T000000Z-00000000.json", "snapshots/0/x.json", "snapshots/1/y.json", "snapshots/z"]
        {
            let (bytes, signed) = (storage.get(&file).await.unwrap(), storage.get(&signature).await.unwrap());
            for with in [true, false] {
                let seen =
                    altered(storage, |other, bytes| (other != file && (with || other != signature)).then_some(bytes))
                        .await;
                seen.put_new(name, bytes.clone()).await.unwrap();
                let beside =
                    if with && name != "snapshots/z" { format!("{name}.sig") } else { format!("{name}.other") };
                if with {
                    seen.put_new(&beside, Bytes::from_static(b"no")).await.unwrap();
                } else {
                    seen.put_new(&format!("{name}.sig"), signed.clone()).await.unwrap();
                }
                let judgement = judged(&seen, &sample).await;
                let refusal = refused(judgement.newest(None));
                let kinds: Vec<FaultKind> = refusal.faults.iter().map(|fault| fault.kind).collect();
                let is_stem = name.ends_with("00000000.json");
                assert!(kinds == [FaultKind::Renamed] || (is_stem && with), "{name} {with}: {kinds:?}");
            }
        }
    });
}

#[test]
fn a_fork_by_a_current_signer_is_never_chosen_between() {
    let sample = Sample::new(Storage::memory(), 3);
    block_on(async {
        let storage = sample.repository.storage();
        let mut twin = next(&sample).await;
        let chain = sample.repository.chain(&sample.trust_now().await).await.unwrap();
        (twin.sequence, twin.previous) = (3, Some(chain.manifests[1].digest()));
        let forged = plant(storage, &twin, &sample.signer).await;
        let judgement = judged(storage, &sample).await;
        let refusal = refused(judgement.newest(None));
        assert_eq!(refusal.severity(), Severity::Refused);
        assert!(refusal.faults.iter().all(|fault| fault.kind == FaultKind::Fork));
        let lost = Manifest { snapshot: SnapshotId::random(), previous: Some(Digest::of(b"none")), ..twin.clone() };
        let seen = altered(storage, |_, bytes| Some(bytes)).await;
        plant(&seen, &lost, &sample.signer).await;
        let several = refused(judged(&seen, &sample).await.newest(None));
        assert!(several.flags().len() < several.faults.len(), "a file that is wrong in two ways is accepted once");
        let accepting = judged(&seen, &sample).await.accepting(&several.flags());
        assert_eq!(accepting.for_copying().unwrap(), several.flags());
        assert_eq!(accepting.for_appending().unwrap().accepted(), several.flags());
        for found in judgement.chain().manifests.iter().filter(|found| found.manifest().sequence == 3) {
            let id = found.manifest().snapshot.to_string();
            refused(judgement.by_id(&id, None));
            let accepting = judgement.clone().accepting(&refusal.flags());
            assert_eq!(accepting.by_id(&id, None).unwrap().digest(), found.digest());
        }
        assert_eq!(number(judgement.by_id(&judgement.chain().manifests[1].manifest().snapshot.to_string(), None)), 2);
        let accepting = judgement.clone().accepting(&refusal.flags());
        assert!(matches!(accepting.newest(None), Err(NoChoice::Ambiguous(3))));
        assert!(matches!(accepting.at(None, later(), later()), Err(NoChoice::Ambiguous(3))));
        assert_eq!(number(accepting.at(None, time(2), later())), 2);
        assert!(matches!(judgement.for_appending(), Err(NoChoice::Refused(_))));
        assert!(matches!(judgement.for_copying(), Err(NoChoice::Refused(_))));
        assert!(forged.starts_with("snapshots/0/"));
    });
}

#[test]
fn odd_names_have_no_meaning_and_are_named_and_never_copied() {
    let folder = tempfile::tempdir().unwrap();
    for storage in [Storage::memory(), Storage::open(folder.path().join("r").to_str().unwrap()).unwrap()] {
        let sample = Sample::new(storage.clone(), 2);
        block_on(async {
            let trust = sample.trust_now().await;
            for name in ODD.iter().copied().chain(["snapshots/0/readme.txt", "drills/é.json", "notes", "packs/x.age"])
            {
                storage.put_new(name, Bytes::from_static(b"anything")).await.unwrap();
                assert_eq!(storage.get(name).await.unwrap(), "anything", "{name}");
                let read = storage.get_all(&[name.to_owned()], 8).await.unwrap().remove(0);
                assert_eq!(read, Read::Whole("anything".into()));
                assert!(storage.exists(name).await.unwrap() && storage.measure(name).await.unwrap().1 == 8);
            }
            let judgement = judged(&storage, &sample).await;
            assert_eq!((number(judgement.newest(None)), Fault::worst(judgement.faults())), (2, None));
            assert_eq!(judgement.for_appending().unwrap().faults(), []);
            let report = sample.repository.check(&trust, CheckDepth::Structure).await.unwrap();
            assert!(report.faults.iter().all(|fault| fault.kind == FaultKind::Unknown), "{:?}", report.faults);
            let named: BTreeSet<&str> = report.faults.iter().map(|fault| fault.file.as_str()).collect();
            assert_eq!(named.len(), ODD.len() + 4, "{named:?}");
            let far = Storage::memory();
            copy(&sample.repository, &trust, &far).await.unwrap();
            assert!(far.list("").await.unwrap().iter().all(|entry| !named.contains(entry.name.as_str())));
            storage.remove(ODD[0]).await.unwrap();
            assert!(!storage.exists(ODD[0]).await.unwrap());
        });
    }
}

#[test]
fn numbers_are_bounded_and_never_wrap() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let trust = sample.trust_now().await;
        for sequence in [u64::MAX, 1 << 53] {
            let manifest = Manifest { sequence, ..next(&sample).await };
            plant(sample.repository.storage(), &manifest, &sample.signer).await;
        }
        let judgement = judged(sample.repository.storage(), &sample).await;
        // The folder of the highest is none that a repository has.
        let kinds: BTreeSet<FaultKind> = judgement.faults().iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, [FaultKind::Damaged, FaultKind::Unknown].into());
        let tip = judgement.for_appending().unwrap().tip();
        let added = sample.repository.append(next(&sample).await, &trust, &sample.signer, &tip).await.unwrap();
        assert_eq!(added.manifest().sequence, 2);
        let (last, draft) = (Manifest { sequence: (1 << 53) - 1, ..next(&sample).await }, next(&sample).await);
        plant(sample.repository.storage(), &last, &sample.signer).await;
        let tip = judged(sample.repository.storage(), &sample).await.for_appending().unwrap().tip();
        let error = sample.repository.append(draft, &trust, &sample.signer, &tip).await.unwrap_err();
        assert!(matches!(error, RepoError::Untrusted { .. }), "{error}");
    });
}

/// Five snapshots, and a second signer of today.
fn two_signers() -> (Sample, Trust, Signer) {
    let sample = Sample::empty(Storage::memory());
    let (trust, other) = block_on(six(&sample));
    (sample, trust, other)
}

async fn six(sample: &Sample) -> (Trust, Signer) {
    let (first, mut previous) = (sample.seal().await, None);
    for sequence in 1..=5 {
        let found = sample.snapshot(sequence, previous, &first.0, &first.1).await;
        previous = Some(found.digest());
    }
    let other = Signer::generate();
    let trust = sample.trust_now().await;
    sample.succeed(&trust, &sample.recovery, (&sample.signer, &[&sample.signer, &other]), None).await;
    let trust = sample.trust_now().await;
    // One in the new epoch, so that the newest is later than any window below.
    let manifest =
        Manifest { epoch: 2, time: time(60), finished: time(60), full: pass(time(60)), ..next(sample).await };
    sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
    (trust, other)
}

async fn names(repository: &Repository, trust: &Trust, numbers: &[u64]) -> BTreeSet<String> {
    let chain = repository.chain(trust).await.unwrap();
    let wanted = chain.manifests.iter().filter(|found| numbers.contains(&found.manifest().sequence));
    wanted.map(|found| found.name().to_owned()).collect()
}

async fn ordered(
    sample: &Sample,
    trust: &Trust,
    by: &Signer,
    numbers: &[u64],
    rules: Option<&Retention>,
) -> VerifiedForget {
    let names = names(&sample.repository, trust, numbers).await;
    let judgement = sample.repository.judge(trust, &[]).await.unwrap();
    sample.repository.forget(&judgement, trust, &names, (time(3), time(4)), rules, by).await.unwrap()
}

/// What the first host sweeps with these rules.
async fn swept(sample: &Sample, trust: &Trust, rules: Retention) -> Result<SweepReport, ForgetError> {
    swept_at(sample, trust, rules, later(), &BTreeMap::new()).await
}

async fn swept_at(
    sample: &Sample,
    trust: &Trust,
    rules: Retention,
    now: Timestamp,
    seen: &BTreeMap<Digest, Timestamp>,
) -> Result<SweepReport, ForgetError> {
    let judgement = sample.repository.judge(trust, &[]).await.unwrap();
    let window = SignedDuration::from_hours(24);
    let order = Sweep { now, rules, window, signer: sample.signer.public(), seen, keep: &BTreeSet::new(), but: None };
    sample.repository.sweep(&judgement, &order).await
}

#[test]
fn another_hosts_record_removes_only_what_the_rules_agree_to() {
    let last = |keep_last| Retention { keep_last, ..Retention::default() };
    let (sample, trust, other) = two_signers();
    block_on(async {
        ordered(&sample, &trust, &other, &[1, 2, 3, 4, 5], None).await;
        let report = swept(&sample, &trust, Retention::default()).await.unwrap();
        assert_eq!((report.snapshots, report.waiting), (0, 1), "a host without rules removes nobody else's");
        let report = swept(&sample, &trust, last(4)).await.unwrap();
        assert_eq!((report.snapshots, report.disagreed.len()), (2, 3), "{report:?}");
        assert!(report.disagreed.iter().all(|name| name.starts_with("snapshots/0/")));
        let report = swept(&sample, &trust, last(1)).await.unwrap();
        assert_eq!((report.snapshots, report.disagreed.len()), (3, 0), "what the own rules let go");
    });
    // The record's own rules count as well; a host's own records are not judged again.
    let (sample, trust, other) = two_signers();
    block_on(async {
        ordered(&sample, &trust, &other, &[1, 2, 5], Some(&last(3))).await;
        let report = swept(&sample, &trust, last(100)).await.unwrap();
        assert_eq!((report.snapshots, report.disagreed.len()), (2, 1), "{report:?}");
        ordered(&sample, &trust, &sample.signer, &[3, 4, 5], None).await;
        let report = swept(&sample, &trust, last(100)).await.unwrap();
        assert_eq!((report.snapshots, report.disagreed.len()), (3, 0), "{report:?}");
    });
}

#[test]
fn the_window_counts_from_when_the_record_appeared_and_not_from_what_it_says() {
    let (sample, trust, other) = two_signers();
    block_on(async {
        let rules = Retention { keep_last: 1, ..Retention::default() };
        // Dated long ago, with a window of a minute.
        let record = ordered(&sample, &trust, &other, &[1, 2], None).await;
        let now: Timestamp = sample.repository.forget_records(&trust).await.unwrap().in_force[0].appeared;
        assert!(now > record.record.after);
        let hours = |hours| now + SignedDuration::from_hours(hours);
        let at = async |now, seen: &BTreeMap<Digest, Timestamp>| {
            swept_at(&sample, &trust, rules, now, seen).await.unwrap().snapshots
        };
        assert_eq!(at(hours(23), &BTreeMap::new()).await, 0, "this host's own window is the shortest");
        let seen_late: BTreeMap<Digest, Timestamp> = [(record.digest, hours(10))].into();
        assert_eq!(at(hours(25), &seen_late).await, 0, "it counts from when this host first saw it");
        let seen_early: BTreeMap<Digest, Timestamp> = [(record.digest, hours(-1000))].into();
        assert_eq!(at(hours(23), &seen_early).await, 0);
        assert_eq!(at(hours(35), &seen_late).await, 2);
    });
}

#[test]
fn a_removed_signer_orders_undoes_and_excuses_nothing() {
    let (sample, trust, other) = two_signers();
    block_on(async {
        let honest = ordered(&sample, &trust, &sample.signer, &[1], None).await;
        sample.succeed(&trust, &sample.recovery, (&sample.signer, &[&sample.signer]), None).await;
        let now = sample.trust_now().await;
        // It still has its key, and knows only the trust of its time.
        ordered(&sample, &trust, &other, &[2, 3, 4, 5], Some(&Retention { keep_last: 1, ..Retention::default() }))
            .await;
        sample.repository.undo_forget(&trust, &honest.name, time(5), &other).await.unwrap();
        let judgement = sample.repository.judge(&now, &[]).await.unwrap();
        assert_eq!(judgement.chain().records.iter().map(|each| &each.name).collect::<Vec<_>>(), [&honest.name]);
        assert_eq!(Fault::worst(judgement.faults()), None, "{:?}", judgement.faults());
        assert_eq!(judgement.faults().iter().filter(|fault| fault.kind == FaultKind::Junk).count(), 2);
        let report = swept(&sample, &now, Retention { keep_last: 1, ..Retention::default() }).await.unwrap();
        assert_eq!((report.snapshots, report.disagreed.len()), (1, 0), "{report:?}");
        // What it claims to have forgotten is a gap.
        let gone = names(&sample.repository, &now, &[3]).await.pop_first().unwrap();
        let seen = altered(sample.repository.storage(), |name, bytes| (!name.contains(&gone)).then_some(bytes)).await;
        let kinds: Vec<FaultKind> =
            refused(judged(&seen, &sample).await.newest(None)).faults.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [FaultKind::Gap]);
        // Its manifest with number 1 does not make anything of before stop counting.
        let mut forged = next(&sample).await;
        (forged.sequence, forged.previous, forged.epoch, forged.signer) = (1, None, 2, other.public());
        plant(sample.repository.storage(), &forged, &other).await;
        let judgement = sample.repository.judge(&now, &[]).await.unwrap();
        assert_eq!(judgement.chain().manifests.len(), 5);
        assert!(judgement.faults().iter().any(|fault| fault.kind == FaultKind::Untrusted));
        // And junk does not travel.
        let far = Storage::memory();
        copy(&sample.repository, &now, &far).await.unwrap();
        assert_eq!((far.list("forgotten").await.unwrap().len(), far.list("snapshots").await.unwrap().len()), (2, 10));
        let far = Repository::open(far).await.unwrap();
        assert_eq!(Fault::worst(far.judge(&now, &[]).await.unwrap().faults()), None);
    });
}

#[test]
fn a_late_snapshot_keeps_its_place_and_is_nobodys_newest() {
    let (sample, trust, _) = two_signers();
    block_on(async {
        let late = next(&sample).await;
        assert_eq!((late.epoch, late.sequence), (1, 7));
        plant(sample.repository.storage(), &late, &sample.signer).await;
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        let refusal = refused(judgement.newest(None));
        assert_eq!(refusal.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Late]);
        assert_eq!(refusal.severity(), Severity::Refused, "nothing is read: that is no success with something missing");
        assert_eq!(Fault::worst(judgement.faults()), Some(Severity::Attention));
        let accepting = judgement.clone().accepting(&refusal.flags());
        assert_eq!(number(accepting.newest(None)), 6);
        let recent = accepting.recent(None, 3).unwrap();
        assert_eq!(recent.iter().map(|found| found.manifest().sequence).collect::<Vec<_>>(), [6, 5, 4]);
        assert_eq!(number(accepting.at(None, later(), later())), 6);
        let appending = judgement.for_appending().unwrap();
        let any = appending.newest_where(&late.source, |_| true).unwrap();
        assert_eq!((any.manifest().sequence, appending.faults().len()), (6, 1));
        // As the last of the chain it stays, whoever marks it.
        let marked: BTreeSet<String> = names(&sample.repository, &trust, &[7]).await;
        let window = (time(3), time(4));
        sample.repository.forget(&accepting, &trust, &marked, window, None, &sample.signer).await.unwrap();
        let marking = sample.repository.judge(&trust, &[]).await.unwrap().accepting(&refusal.flags());
        let (seen, keep) = (BTreeMap::new(), BTreeSet::new());
        let order = Sweep {
            now: later(),
            rules: Retention::default(),
            window: SignedDuration::ZERO,
            signer: sample.signer.public(),
            seen: &seen,
            keep: &keep,
            but: None,
        };
        assert_eq!(sample.repository.sweep(&marking, &order).await.unwrap().snapshots, 0);
        sample.repository.undo_forget(&trust, "latest", time(5), &sample.signer).await.unwrap();
        let id = late.snapshot.to_string();
        refused(judgement.by_id(&id, None));
        assert_eq!(number(accepting.by_id(&id, None)), 7);
        // The next one follows it, and is the newest.
        let tip = judgement.for_appending().unwrap().tip();
        let draft = Manifest { epoch: 2, snapshot: SnapshotId::random(), ..next(&sample).await };
        let added = sample.repository.append(draft, &trust, &sample.signer, &tip).await.unwrap();
        assert_eq!(added.manifest().sequence, 8);
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        assert_eq!(judgement.chain().head().unwrap().digest(), added.digest());
        assert_eq!(judgement.faults().iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Late]);
    });
}

#[test]
fn a_snapshot_in_flight_over_a_change_of_epochs_is_not_written() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(async {
        let trust = sample.trust_now().await;
        let tip = sample.repository.judge(&trust, &[]).await.unwrap().for_appending().unwrap().tip();
        let draft = next(&sample).await;
        sample.succeed(&trust, &sample.recovery, (&sample.signer, &[&sample.signer]), None).await;
        let error = sample.repository.append(draft, &trust, &sample.signer, &tip).await.unwrap_err();
        assert!(error.to_string().contains("key epoch 2 was added"), "{error}");
        assert_eq!(sample.repository.chain(&trust).await.unwrap().manifests.len(), 2);
    });
}

#[test]
fn a_host_with_an_old_key_writes_nothing_and_reads_by_id_alone() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(async {
        let trust = sample.trust_now().await;
        let (key, signer) = (lifeboat::crypto::RecoveryKey::generate(), &sample.signer);
        sample.succeed(&trust, &key, (signer, &[signer]), None).await;
        let old = sample.trust_now().await;
        let judgement = sample.repository.judge(&old, &[]).await.unwrap();
        let superseded = |error| matches!(error, NoChoice::Superseded { known: 1, newest: 2 });
        assert!(superseded(judgement.newest(None).unwrap_err()));
        assert!(superseded(judgement.at(None, later(), later()).unwrap_err()));
        assert!(judgement.for_appending().is_err_and(superseded));
        assert!(judgement.for_copying().is_err_and(superseded));
        let id = judgement.chain().manifests[1].manifest().snapshot.to_string();
        assert_eq!(number(judgement.by_id(&id, None)), 2);
    });
}

#[test]
fn a_time_that_contradicts_the_chain_its_epoch_or_today_is_nobodys() {
    let sample = Sample::new(Storage::memory(), 3);
    block_on(async {
        for moment in ["1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let moment: Timestamp = moment.parse().unwrap();
            let manifest = Manifest { time: moment, finished: moment, full: pass(moment), ..next(&sample).await };
            sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
        }
        let judgement = judged(sample.repository.storage(), &sample).await;
        let now = time(1_000);
        for (at, expected) in
            [(time(1), Some(1)), (time(2), Some(2)), (time(900), Some(3)), (later(), Some(3)), (time(0), None)]
        {
            match (judgement.at(None, at, now), expected) {
                (Ok(found), Some(number)) => assert_eq!(found.manifest().sequence, number, "{at}"),
                (Err(NoChoice::NoneAt(_)), None) => {}
                (other, _) => panic!("{at}: {other:?}"),
            }
        }
        assert_eq!(number(judgement.newest(None)), 5, "the newest is the chain's business");
    });
}

#[test]
fn what_others_remember_refuses_and_names_who_holds_the_good_head() {
    let sample = Sample::new(Storage::memory(), 3);
    block_on(async {
        let trust = sample.trust_now().await;
        let chain = sample.repository.chain(&trust).await.unwrap();
        let (head, gone) = (chain.witness().unwrap(), chain.head().unwrap().name().to_owned());
        let remembered = [Remembered { by: "the copy at west".into(), head, holds: true, outside: true }];
        let whole = sample.repository.judge(&trust, &remembered).await.unwrap();
        let found = whole.newest(None).unwrap();
        assert!(found.is_compared() && found.manifest().sequence == 3);
        assert!(!sample.repository.judge(&trust, &[]).await.unwrap().newest(None).unwrap().is_compared());
        let seen = altered(sample.repository.storage(), |name, bytes| (!name.contains(&gone)).then_some(bytes)).await;
        let seen = Repository::open(seen).await.unwrap();
        let judgement = seen.judge(&trust, &remembered).await.unwrap();
        let refusal = refused(judgement.newest(None));
        assert_eq!(refusal.faults[0].kind, FaultKind::RolledBack);
        assert!(refusal.to_string().contains("the good head, number 3, is in the copy at west"), "{refusal}");
        assert_eq!(refusal.holders, ["the copy at west"]);
        assert_eq!((whole.compared(), judgement.compared()), (1, 1));
        // Of those that hold a head the newest is named; a head inside the repository excludes no rollback.
        let old = chain.manifests[0].witness();
        let by = |by: &str, head, holds| Remembered { by: by.into(), head, holds, outside: false };
        let several = [by("a drill", head, false), by("west", old, true)];
        let inside = seen.judge(&trust, &several).await.unwrap();
        assert_eq!((refused(inside.newest(None)).holders, inside.compared()), (vec!["west".to_owned()], 0));
        let several = [by("a drill", head, false), by("west", old, true), by("east", head, true)];
        let inside = seen.judge(&trust, &several).await.unwrap();
        assert_eq!(refused(inside.newest(None)).holders, ["east"]);
        assert!(judgement.for_appending().is_err());
        let accepting = judgement.accepting(&["snapshots:rolled_back".parse().unwrap()]);
        assert_eq!(number(accepting.newest(None)), 2);
        // Told by a person.
        let alone = seen.judge(&trust, &[]).await.unwrap();
        assert_eq!(number(alone.clone().expecting(Some(2)).newest(None)), 2);
        assert!(alone.clone().expecting(Some(2)).newest(None).unwrap().is_compared());
        refused(alone.expecting(Some(3)).newest(None));
    });
}

#[test]
fn a_record_of_a_later_kind_is_shown_and_halts_what_it_says() {
    let sample = Sample::new(Storage::memory(), 3);
    block_on(async {
        let trust = sample.trust_now().await;
        let mut record = LaterRecord {
            version: 1,
            repository: sample.repository.id(),
            record: SnapshotId::random(),
            kind: "hold".into(),
            time: time(10),
            epoch: 1,
            signer: sample.signer.public(),
            halts: vec![Halt::Remove, Halt::Restore],
            undoes: None,
            body: serde_json::from_str(r#"{"why":{"deep":[1,2]}}"#).unwrap(),
        };
        let file = sample.repository.put_record(&record, &sample.signer).await.unwrap();
        forget(
            &sample.repository,
            &trust,
            &names(&sample.repository, &trust, &[1]).await,
            (time(1), time(2)),
            &sample.signer,
        )
        .await
        .unwrap();
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        assert_eq!(judgement.later_records()[0].record, record);
        assert_eq!(number(judgement.newest(None)), 3, "looking is not restoring");
        assert!(judgement.refuse_halted(Halt::Restore).is_err() && judgement.for_appending().is_ok());
        let halted = sweep(&sample.repository, &trust, &sample.signer, later(), &BTreeSet::new()).await;
        assert!(matches!(halted, Err(ForgetError::Refused(_))), "{halted:?}");
        let accepted: AcceptedFault = format!("{file}:halted").parse().unwrap();
        assert_eq!(
            judgement.clone().accepting(std::slice::from_ref(&accepted)).refuse_halted(Halt::Restore).unwrap(),
            [accepted]
        );
        let report = sample.repository.check(&trust, CheckDepth::Structure).await.unwrap();
        assert_eq!(report.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Halted]);
        let far = Storage::memory();
        copy(&sample.repository, &trust, &far).await.unwrap();
        assert_eq!(far.list("records").await.unwrap().len(), 2);
        let stop = LaterRecord { halts: vec![Halt::Snapshot], record: SnapshotId::random(), ..record.clone() };
        let stopped = sample.twin(Storage::memory()).await;
        stopped.put_record(&stop, &sample.signer).await.unwrap();
        let judgement = stopped.judge(&stopped.trust(&sample.anchor()).await.unwrap(), &[]).await.unwrap();
        assert!(matches!(judgement.for_appending(), Err(NoChoice::Refused(_))) && judgement.for_copying().is_ok());
        // Taken back by another record; one that nobody signed is a fault.
        let digest = Digest::of(&sample.repository.storage().get(&file).await.unwrap());
        (record.undoes, record.halts, record.record) = (Some(digest), vec![], SnapshotId::random());
        sample.repository.put_record(&record, &sample.signer).await.unwrap();
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        assert!(judgement.refuse_halted(Halt::Restore).is_ok());
        let storage = sample.repository.storage();
        storage.put_new("records/20260101T000000Z-00000000.json", storage.get(&file).await.unwrap()).await.unwrap();
        let refusal = refused(sample.repository.judge(&trust, &[]).await.unwrap().newest(None));
        assert_eq!(refusal.faults[0].kind, FaultKind::Unsigned);
    });
}

#[test]
fn what_is_published_is_there() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let manifest = next(&sample).await;
        assert_eq!(sample.repository.missing_of(&manifest).await.unwrap(), None);
        let lists = lifeboat::repo::PackLists::default();
        let named = sample.repository.packs_of(&manifest, &lists).await.unwrap();
        let name = lifeboat::repo::pack_name(&named.packs().next().unwrap().sha256);
        sample.repository.storage().remove(&name).await.unwrap();
        assert_eq!(sample.repository.missing_of(&manifest).await.unwrap(), Some(name));
    });
}

// By the binary.

async fn desk() -> (lifeboat::emulator::Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    for _ in 0..3 {
        desk.run("snapshot").expect(0);
    }
    (sandbox, desk)
}

/// The manifests of a folder, oldest first, relative to the desk.
fn manifests(desk: &Desk, place: &str) -> Vec<String> {
    let listed = desk.run(&format!("list --json --repo {place}")).json();
    let snapshots = listed["snapshots"].as_array().unwrap().clone();
    let folder = desk.path(place).join("snapshots/0");
    let name = |snapshot: &serde_json::Value| {
        let id = snapshot["snapshot"].as_str().unwrap()[..8].to_owned();
        let mut files =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        files.find(|file| file.ends_with(&format!("-{id}.json"))).unwrap()
    };
    snapshots.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_reads_asks_the_same_judge() {
    let (sandbox, desk) = desk().await;
    let newest = manifests(&desk, "repository").pop().unwrap();
    let file = desk.path("repository/snapshots/0").join(&newest);
    let whole = std::fs::read(&file).unwrap();
    let old = desk.run("list --json").expect(0).json()["snapshots"][0]["snapshot"].as_str().unwrap().to_owned();
    let restore = format!("restore --to aws:eu-west-1 {SHEETS}");
    let signed = std::fs::read(desk.path("repository/snapshots/0").join(format!("{newest}.sig"))).unwrap();
    let flag = |kind: &str| format!("--accept-fault snapshots/0/{newest}:{kind} --accept-fault snapshots:rolled_back");
    let sig = desk.path("repository/snapshots/0").join(format!("{newest}.sig"));
    let edited = String::from_utf8(whole.clone()).unwrap().replace("\"lifeboat ", "\"lifeboaT ");
    let cases: [(&str, i32, Box<dyn Fn() + '_>); 3] = [
        ("untrusted", 4, Box::new(|| std::fs::write(&file, &edited).unwrap())),
        ("unsigned", 4, Box::new(|| std::fs::remove_file(&sig).unwrap())),
        ("damaged", 6, Box::new(|| std::fs::write(&file, b"{").unwrap())),
    ];
    for (kind, exit, spoil) in cases {
        spoil();
        for words in
            ["show", "diff", "list", "status", "check", &format!("{restore} --plan"), &format!("{restore} --yes")]
        {
            let ran = desk.run(words).expect(exit);
            assert!(format!("{}{}", ran.out, ran.err).contains(&newest), "{kind} {words}: {}{}", ran.out, ran.err);
        }
        let refused = desk.run("show").expect(exit);
        assert!(refused.err.contains(&format!("--accept-fault snapshots/0/{newest}:{kind}")), "{}", refused.err);
        assert!(refused.err.contains("rolled back: the newest snapshot is number 2"), "{}", refused.err);
        // By id, and accepted.
        desk.run(&format!("show {old}")).expect(0);
        let shown = desk.run(&format!("show --json {}", flag(kind))).expect(0).json();
        assert_eq!((&shown["manifest"]["sequence"], shown["accepted"].as_array().unwrap().len()), (&2.into(), 2));
        let planned = desk.run(&format!("{restore} --plan --json {}", flag(kind))).expect(0).json();
        assert_eq!(
            (&planned["chosen"]["number"], planned["chosen"]["accepted"].as_array().unwrap().len()),
            (&2.into(), 2)
        );
        // A copy is whole.
        desk.run(&format!("{restore} --repo west --plan")).expect(0);
        // Without a head that is certain nothing is added and nothing spread.
        desk.run("snapshot --no-copy").expect(4);
        desk.run("copy").expect(4);
        std::fs::write(&file, &whole).unwrap();
        std::fs::write(&sig, &signed).unwrap();
        desk.run("check").expect(0);
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_beside_the_chain_stops_nothing() {
    let (sandbox, desk) = desk().await;
    for name in ODD {
        std::fs::write(desk.path("repository").join(name), "anything").unwrap();
    }
    let restore = format!("restore --to aws:eu-west-1 {SHEETS}");
    for words in ["list", "show", "snapshot", "check", "copy", &format!("{restore} --plan")] {
        desk.run(words).expect(0);
    }
    assert!(desk.run("check").expect(0).out.contains("snapshots/x[1].json: unknown"));
    assert!(!desk.path("west").join(ODD[1]).exists());
    // A forged manifest beside it is named; the snapshot is taken, and the exit code says that something is wrong.
    let forged = "snapshots/0/20990101T000000Z-00000000.json";
    std::fs::write(desk.path("repository").join(forged), "{}").unwrap();
    let ran = desk.run("snapshot --json").expect(3);
    assert!(ran.err.contains(forged) && ran.json()["sequence"] == 5, "{}", ran.err);
    assert!(!desk.path("west").join(forged).exists());
    let refused = desk.run(&format!("{restore} --plan")).expect(6);
    assert!(refused.err.contains(&format!("--accept-fault {forged}:damaged")), "{}", refused.err);
    desk.run(&format!("{restore} --plan --accept-fault {forged}:damaged")).expect(0);
    let restored = desk.run(&format!("{restore} --yes --json --accept-fault {forged}:damaged")).expect(0).json();
    assert_eq!(restored["chosen"]["accepted"][0], format!("{forged}:damaged"));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_machine_says_that_a_rollback_could_not_be_excluded() {
    let (sandbox, desk) = desk().await;
    let newest = manifests(&desk, "repository").pop().unwrap();
    std::fs::rename(desk.path("lifeboat.toml"), desk.path("away.toml")).unwrap();
    let restore = format!("restore --repo repository --to aws:eu-west-1 {SHEETS} --plan");
    let ran = desk.run(&format!("{restore} --json")).expect(0);
    assert!(ran.err.contains("a rollback could not be excluded"), "{}", ran.err);
    assert_eq!(ran.json()["chosen"]["rollback_excluded"], false);
    for told in ["--compare west", "--expect-number 3"] {
        let ran = desk.run(&format!("{restore} --json {told}")).expect(0);
        assert!(!ran.err.contains("could not be excluded") && ran.json()["chosen"]["rollback_excluded"] == true);
    }
    for ending in ["", ".sig"] {
        std::fs::remove_file(desk.path("repository/snapshots/0").join(format!("{newest}{ending}"))).unwrap();
    }
    desk.run(&restore).expect(0);
    for told in ["--compare west", "--expect-number 3"] {
        let ran = desk.run(&format!("{restore} {told}")).expect(4);
        assert!(ran.err.contains("number 3"), "{}", ran.err);
    }
    assert!(desk.run(&format!("{restore} --compare west")).err.contains("the good head, number 3, is in the copy at"));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_drills_and_sheets_are_told_and_stop_no_restore() {
    let (sandbox, desk) = desk().await;
    std::fs::create_dir_all(desk.path("repository/drills")).unwrap();
    std::fs::write(desk.path("repository/drills/20260101T000000Z-00000000.json"), "{}").unwrap();
    std::fs::create_dir_all(desk.path("repository/attestations")).unwrap();
    std::fs::write(desk.path("repository/attestations/20260101T000000Z-00000000.json"), "{}").unwrap();
    let status = desk.run("status --json").expect(6).json();
    let facts = &status["facts"];
    assert_eq!(
        (facts["drill_faults"].as_array().unwrap().len(), facts["sheet_faults"].as_array().unwrap().len()),
        (1, 1)
    );
    desk.run(&format!("restore --to aws:eu-west-1 {SHEETS} --plan")).expect(0);
    desk.run("snapshot").expect(0);
    desk.run("check").expect(6);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_removals_are_shown_with_who_signed_them() {
    let (sandbox, desk) = desk().await;
    desk.run("forget --keep-last 1 --undo-days 7 --yes").expect(0);
    let listed = desk.run("list --json").expect(0).json();
    assert_eq!((&listed["pending"][0]["snapshots"], listed["pending"].as_array().unwrap().len()), (&2.into(), 1));
    let checked = desk.run("check --json").expect(0).json();
    assert!(checked["pending"][0]["signer"].as_str().unwrap().starts_with("ssh-ed25519 "));
    let status = desk.run("status --json").json();
    assert!(status["facts"]["pending"][0].as_str().unwrap().contains("forgets 2 snapshots"), "{status}");
    for words in ["list", "check"] {
        assert!(desk.run(words).expect(0).err.contains("forgets 2 snapshots"), "{words}");
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_or_too_large_is_damaged_and_nobody_waits_for_it() {
    let (sandbox, desk) = desk().await;
    let run = |words: &str| {
        let mut command = desk.command("timeout");
        command.arg("60").arg(crate::command::binary()).args(words.split_whitespace());
        desk.finish(&mut command)
    };
    let make = |program: &str, words: &[&str]| drop(desk.finish(desk.command(program).args(words)).expect(0));
    let newest = manifests(&desk, "repository").pop().unwrap();
    let at = |name: &str| format!("repository/{name}");
    let odd = "snapshots/0/20990101T000000Z-00000000.json";
    let restore = format!("restore --to aws:eu-west-1 {SHEETS} --plan");
    let pipe = |name: &str| make("mkfifo", &[&at(name)]);
    let device = |name: &str| make("ln", &["-s", "/dev/zero", &at(name)]);
    let large = |name: &str| std::fs::write(desk.path(&at(name)), vec![b' '; (64 << 10) + 1]).unwrap();
    let makers: [&dyn Fn(&str); 3] = [&pipe, &device, &large];
    for make in makers {
        make(odd);
        for words in ["list", "show", "check", "status", &restore] {
            let ran = run(words).expect(6);
            assert!(
                format!("{}{}", ran.out, ran.err).contains(&format!("{odd}: damaged")),
                "{words}: {}{}",
                ran.out,
                ran.err
            );
        }
        run(&format!("{restore} --accept-fault {odd}:damaged")).expect(0);
        run("snapshot --no-copy").expect(3);
        std::fs::remove_file(desk.path(&at(odd))).unwrap();
    }
    // Beside what is signed, and where other signed files are.
    let aside = desk.path("aside");
    let signature = format!("snapshots/0/{newest}.sig");
    for make in makers {
        std::fs::rename(desk.path(&at(&signature)), &aside).unwrap();
        make(&signature);
        let ran = run("list").expect(6);
        assert!(ran.err.contains(&format!("snapshots/0/{newest}: damaged: its signature")), "{}", ran.err);
        std::fs::remove_file(desk.path(&at(&signature))).unwrap();
        std::fs::rename(&aside, desk.path(&at(&signature))).unwrap();
        for folder in ["attestations", "drills", "forgotten", "records"] {
            std::fs::create_dir_all(desk.path(&at(folder))).unwrap();
            let name = format!("{folder}/20260101T000000Z-00000000.json");
            make(&name);
            let status = run("status --json").expect(6);
            assert!(status.out.contains(&name), "{}", status.out);
            std::fs::remove_file(desk.path(&at(&name))).unwrap();
        }
        let next = format!("epochs/2-{}.json", "0".repeat(64));
        make(&next);
        assert!(run("list").expect(6).err.contains(&format!("{next}: damaged")));
        std::fs::remove_file(desk.path(&at(&next))).unwrap();
        run("list").expect(0);
    }
    sandbox.shutdown().await;
}

#[test]
fn the_source_is_named_where_there_are_several() {
    let sample = Sample::new(Storage::memory(), 2);
    let filter = |text: &str| text.parse::<PlaceFilter>().unwrap();
    let (ours, theirs, nobodys) = (filter("111122223333"), filter("444455556666:eu-west-1"), filter("9"));
    block_on(async {
        let judgement = judged(sample.repository.storage(), &sample).await;
        assert_eq!(number(judgement.newest(None)), 2);
        let mut manifest = next(&sample).await;
        manifest.source = Place { account: "444455556666".into(), region: "eu-west-1".into(), ..manifest.source };
        let other = sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
        let judgement = judged(sample.repository.storage(), &sample).await;
        let several =
            |found: Result<_, NoChoice>| matches!(found, Err(NoChoice::SeveralSources(all)) if all.len() == 2);
        let none =
            |found: Result<_, NoChoice>| matches!(found, Err(NoChoice::NoSuchSource { there, .. }) if there.len() == 2);
        let numbers = |found: Result<Vec<Chosen>, NoChoice>| {
            found.unwrap().iter().map(|found| found.manifest().sequence).collect::<Vec<_>>()
        };
        assert!(several(judgement.newest(None)) && none(judgement.newest(Some(&nobodys))));
        assert_eq!((number(judgement.newest(Some(&ours))), number(judgement.newest(Some(&theirs)))), (2, 3));
        assert!(several(judgement.at(None, later(), later())) && none(judgement.at(Some(&nobodys), later(), later())));
        assert_eq!(number(judgement.at(Some(&ours), later(), later())), 2);
        assert_eq!(numbers(judgement.recent(Some(&ours), 9)), [2, 1]);
        assert_eq!(numbers(judgement.recent(Some(&ours), 1)), [2]);
        let id = other.manifest().snapshot.to_string();
        assert_eq!(number(judgement.by_id(&id, Some(&theirs))), 3);
        assert!(matches!(judgement.by_id(&id, Some(&ours)), Err(NoChoice::OtherSource { .. })));
        let appending = judgement.for_appending().unwrap();
        let place = &judgement.chain().manifests[0].manifest().source;
        let number = |found: Option<Chosen>| found.map(|found| found.manifest().sequence);
        assert_eq!(number(appending.newest_where(place, |_| true)), Some(2));
        assert_eq!(number(appending.newest_where(place, |found| found.manifest().sequence < 2)), Some(1));
        assert_eq!((number(appending.newest(place)), appending.faults()), (Some(2), vec![]));
    });
    let empty = Sample::empty(Storage::memory());
    block_on(async {
        let judgement = judged(empty.repository.storage(), &empty).await;
        assert!(matches!(judgement.newest(Some(&ours)), Err(NoChoice::None(_))));
        assert!(judgement.recent(None, 3).unwrap().is_empty());
    });
}

#[test]
fn an_id_that_is_not_believed_names_its_own_faults_or_all_of_them() {
    let sample = Sample::new(Storage::memory(), 9);
    block_on(async {
        let whole = judged(sample.repository.storage(), &sample).await;
        let is_cut = |name: &str| whole.chain().manifests[1..8].iter().any(|found| found.file() == name);
        let cut = |name: &str, bytes: Bytes| Some(if is_cut(name) { bytes.slice(..9) } else { bytes });
        let seen = altered(sample.repository.storage(), cut).await;
        seen.put_new("epochs/7-x.json", Bytes::from_static(b"of no meaning")).await.unwrap();
        let zeros = format!("epochs/9-{}.json", "0".repeat(64));
        seen.put_new(&zeros, Bytes::from_static(b"junk")).await.unwrap();
        let judgement = judged(&seen, &sample).await;
        assert!(judgement.faults().iter().any(|fault| fault.kind == FaultKind::Junk && fault.file == zeros));
        let (own, id) = (whole.chain().manifests[2].file(), whole.chain().manifests[2].manifest().snapshot.to_string());
        for length in [4, 6, 8, id.len()] {
            let refusal = refused(judgement.by_id(&id[..length], None));
            let files: BTreeSet<&str> = refusal.faults.iter().map(|fault| fault.file.as_str()).collect();
            assert_eq!((files, refusal.is_acceptable), ([own.as_str()].into(), false), "{length}");
        }
        for wanted in [&id[..3], "ffff0000", &id[4..8]] {
            let refusal = refused(judgement.by_id(wanted, None));
            assert_eq!(refusal.faults.len(), 8, "{wanted}: seven that are cut, and the gap: {:?}", refusal.faults);
            assert!(refusal.to_string().ends_with("; and 3 more"), "{refusal}");
        }
        // What is accepted is told once, in order.
        let refusal = refused(judgement.newest(None));
        let mut flags = refusal.flags();
        assert_eq!(judgement.clone().accepting(&flags).newest(None).unwrap().accepted(), flags);
        flags.reverse();
        flags.extend(flags.clone());
        assert_eq!(judgement.accepting(&flags).newest(None).unwrap().accepted(), refusal.flags());
    });
}

#[test]
fn a_snapshot_of_the_second_in_which_its_epoch_was_made_counts() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (records, packs) = sample.seal().await;
        let manifest = sample.manifest(1, None, &records, &packs).await;
        let first = Manifest { time: time(0), finished: time(0), full: pass(time(0)), ..manifest };
        sample.repository.put_manifest(first, &sample.signer).await.unwrap();
        assert_eq!(number(judged(sample.repository.storage(), &sample).await.at(None, time(0), time(0))), 1);
    });
}

#[test]
fn a_time_before_its_epoch_is_nobodys_even_where_the_chain_agrees() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (records, packs) = sample.seal().await;
        let mut previous = None;
        for (sequence, minute) in [(1, -5), (2, 0), (3, 5)] {
            let manifest = sample.manifest(sequence, previous, &records, &packs).await;
            let manifest =
                Manifest { time: time(minute), finished: time(minute), full: pass(time(minute)), ..manifest };
            previous = Some(sample.repository.put_manifest(manifest, &sample.signer).await.unwrap().digest());
        }
        let judgement = judged(sample.repository.storage(), &sample).await;
        for before in [-5, -1] {
            assert!(matches!(judgement.at(None, time(before), later()), Err(NoChoice::NoneAt(_))), "{before}");
        }
        assert_eq!(number(judgement.at(None, time(4), later())), 2);
    });
}

#[test]
fn the_newest_is_not_chosen_as_if_latest_were_an_id() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(async {
        let judgement = judged(sample.repository.storage(), &sample).await;
        for wanted in ["latest", "LATEST", "ffff0000"] {
            let none = judgement.by_id(wanted, None);
            assert!(matches!(none, Err(NoChoice::None(ref name)) if *name == wanted.to_lowercase()), "{none:?}");
        }
    });
}

#[test]
fn each_fault_is_accepted_by_itself_and_the_worst_is_named_first() {
    let sample = Sample::new(Storage::memory(), 7);
    block_on(async {
        let chain = sample.repository.chain(&sample.trust_now().await).await.unwrap();
        let file = |number: usize| chain.manifests[number - 1].file();
        let (unsigned, cut) = (format!("{}.sig", file(2)), file(6));
        let spoil = |name: &str, bytes: Bytes| {
            (name != unsigned).then(|| if name == cut { bytes.slice(..9) } else { bytes.clone() })
        };
        let judgement = judged(&altered(sample.repository.storage(), spoil).await, &sample).await;
        let refusal = refused(judgement.newest(None));
        assert_eq!((refusal.faults[0].kind, &refusal.faults[0].file), (FaultKind::Damaged, &cut));
        let flags = refusal.flags();
        let [unsigned, gap, cut, last] = &flags[..] else { panic!("{flags:?}") };
        let rest = refused(judgement.clone().accepting(&[gap.clone(), cut.clone()]).newest(None));
        assert_eq!(rest.flags(), [unsigned.clone(), last.clone()]);
        assert_eq!(judgement.accepting(&flags).newest(None).unwrap().accepted(), flags);
    });
}
