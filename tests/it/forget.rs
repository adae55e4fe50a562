//! Forgetting: marked first, removed later, never a file that is needed, and the chain stays verifiable.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use lifeboat::{
    crypto::{Namespace, Signer},
    model::Digest,
    repo::{
        CheckDepth, CheckReport, FaultKind, ForgetError, PackWriter, Repository, Standing, Trust, VerifiedForget,
        VerifiedManifest, Witness, copy,
    },
    storage::{Storage, faults::Faults},
};

use crate::{
    cli::estate,
    command::{Desk, SHEETS},
    repo_sample::{Sample, altered, block_on, forget, later, sweep, time},
};

/// Five snapshots: each has packs of its own, and refers to those of the first as well.
fn five() -> (Sample, Trust) {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (first, shared) = sample.seal().await;
        let mut previous = None;
        for sequence in 1..=5 {
            let found = if sequence == 1 {
                sample.snapshot(sequence, previous, &first, &shared).await
            } else {
                let (mut records, mut packs) = sample.seal().await;
                records[0] = first[0].clone();
                packs.extend(&shared);
                packs.sort();
                sample.snapshot(sequence, previous, &records, &packs).await
            };
            previous = Some(found.digest());
        }
    });
    let trust = sample.trust();
    (sample, trust)
}

async fn names(repository: &Repository, trust: &Trust, sequences: &[u64]) -> BTreeSet<String> {
    let chain = repository.chain(trust).await.unwrap();
    let wanted = |found: &&VerifiedManifest| sequences.contains(&found.manifest().sequence);
    chain.manifests.iter().filter(wanted).map(|found| found.name().to_owned()).collect()
}

/// Marks with a window that ended in the sample's past.
async fn mark(sample: &Sample, trust: &Trust, sequences: &[u64]) -> VerifiedForget {
    let names = names(&sample.repository, trust, sequences).await;
    forget(&sample.repository, trust, &names, (time(3), time(4)), &sample.signer).await.unwrap()
}

async fn deep(repository: &Repository, trust: &Trust, sample: &Sample) -> CheckReport {
    repository.check(trust, CheckDepth::Values(&sample.recovery)).await.unwrap()
}

async fn count(storage: &Storage, folder: &str) -> usize {
    storage.list(folder).await.unwrap().len()
}

fn none() -> BTreeSet<Digest> {
    BTreeSet::new()
}

#[test]
fn what_is_forgotten_goes_and_everything_else_stays_whole() {
    let (sample, trust) = five();
    block_on(async {
        let (repository, storage) = (&sample.repository, sample.repository.storage());
        assert_eq!((count(storage, "packs").await, count(storage, "indexes").await), (10, 5));
        let second = repository.chain(&trust).await.unwrap().manifests[1].witness();
        mark(&sample, &trust, &[1, 2, 3]).await;
        let report = deep(repository, &trust, &sample).await;
        assert_eq!((report.snapshots, report.faults.len()), (5, 0), "a mark removes nothing");

        let swept = sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        // The first one's two packs are needed by all; the second's and third's are not, nor are three indexes.
        assert_eq!((swept.snapshots, swept.files, swept.refused.len(), swept.waiting), (3, 4 + 3, 0, 0));
        assert_eq!(
            (count(storage, "packs").await, count(storage, "indexes").await, count(storage, "snapshots").await),
            (6, 2, 4)
        );
        let report = deep(repository, &trust, &sample).await;
        assert_eq!((report.snapshots, report.orphans, report.faults.len()), (2, 0, 0), "{:?}", report.faults);
        let chain = repository.chain(&trust).await.unwrap();
        assert_eq!(chain.standing(&second), Standing::Contained { newer: 3 }, "who remembers it misses nothing");

        let again = sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        assert_eq!((again.snapshots, again.files), (0, 0));
        // The next one goes on with the chain, and more can be forgotten.
        let head = chain.head().unwrap().digest();
        let (records, packs) = sample.seal().await;
        sample.snapshot(6, Some(head), &records, &packs).await;
        mark(&sample, &trust, &[4, 5]).await;
        sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        let report = deep(repository, &trust, &sample).await;
        assert_eq!((report.snapshots, report.orphans, report.faults.len()), (1, 0, 0), "{:?}", report.faults);
    });
}

#[test]
fn forgotten_is_not_removed() {
    let (sample, trust) = five();
    block_on(async {
        mark(&sample, &trust, &[2]).await;
        let repository = &sample.repository;
        sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        let third = repository.chain(&trust).await.unwrap().manifests[1].name().to_owned();
        let seen = altered(repository.storage(), |name, bytes| (!name.contains(&third)).then_some(bytes)).await;
        let chain = Repository::open(seen).await.unwrap().chain(&trust).await.unwrap();
        assert_eq!(chain.faults.len(), 1);
        assert_eq!(
            (chain.faults[0].kind, &*chain.faults[0].detail),
            (FaultKind::Gap, "snapshot 3 is missing before it")
        );
        // Without its record the second one is missing too.
        let seen =
            altered(repository.storage(), |name, bytes| (!name.starts_with("forgotten/")).then_some(bytes)).await;
        let chain = Repository::open(seen).await.unwrap().chain(&trust).await.unwrap();
        assert_eq!(chain.faults[0].detail, "snapshot 2 is missing before it");
    });
}

#[test]
fn nothing_goes_before_the_window_has_passed_and_a_newer_snapshot_exists() {
    let (sample, trust) = five();
    block_on(async {
        let repository = &sample.repository;
        let some = names(repository, &trust, &[1, 2]).await;
        forget(repository, &trust, &some, (time(3), time(10)), &sample.signer).await.unwrap();
        let waits = async |now: Timestamp| sweep(repository, &trust, &sample.signer, now, &none()).await.unwrap();
        assert_eq!((waits(time(9)).await.snapshots, waits(time(9)).await.waiting), (0, 1), "too early");
        assert_eq!(
            waits(later()).await.snapshots,
            0,
            "the newest snapshot is older: backups stand still, or a clock is wrong"
        );
        let chain = repository.chain(&trust).await.unwrap();
        let (records, packs) = sample.seal().await;
        let mut manifest = sample.manifest(6, Some(chain.head().unwrap().digest()), &records, &packs).await;
        (manifest.time, manifest.finished) = (time(11), time(11));
        manifest.full.time = manifest.time;
        repository.put_manifest(manifest, &sample.signer).await.unwrap();
        assert_eq!(waits(time(9)).await.snapshots, 0);
        assert_eq!(waits(later()).await.snapshots, 2);
    });
}

#[test]
fn a_sweep_cut_off_at_any_removal_loses_nothing_and_the_next_one_finishes() {
    let removals = {
        let (sample, trust) = five();
        block_on(async {
            mark(&sample, &trust, &[1, 2, 4]).await;
            let faults = Arc::new(Faults::none());
            let seen = Repository::open(sample.repository.storage().with_faults(Arc::clone(&faults))).await.unwrap();
            sweep(&seen, &trust, &sample.signer, later(), &none()).await.unwrap();
            faults.removes()
        })
    };
    assert_eq!(removals, 3 * 2 + 4 + 3);
    for n in 1..=removals {
        let (sample, trust) = five();
        block_on(async {
            mark(&sample, &trust, &[1, 2, 4]).await;
            let storage = sample.repository.storage();
            let cut = Repository::open(storage.with_faults(Arc::new(Faults::from_remove(n)))).await.unwrap();
            assert!(sweep(&cut, &trust, &sample.signer, later(), &none()).await.is_err(), "removal {n}");
            let report = deep(&sample.repository, &trust, &sample).await;
            assert_eq!(report.faults, [], "removal {n}");
            sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap();
            let report = deep(&sample.repository, &trust, &sample).await;
            assert_eq!((report.snapshots, report.orphans, report.faults.len()), (2, 0, 0), "removal {n}");
        });
    }
}

#[test]
fn a_mark_cut_off_at_any_write_is_none() {
    for n in 1..=2 {
        for faults in [Faults::from_put(n), Faults::put_unanswered(n)] {
            let (sample, trust) = five();
            block_on(async {
                let some = names(&sample.repository, &trust, &[1]).await;
                let cut = Repository::open(sample.repository.storage().with_faults(Arc::new(faults))).await.unwrap();
                assert!(forget(&cut, &trust, &some, (time(3), time(4)), &sample.signer).await.is_err());
                assert_eq!(deep(&sample.repository, &trust, &sample).await.faults, []);
                mark(&sample, &trust, &[1]).await;
                assert!(
                    sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap().snapshots == 1
                );
                assert_eq!(deep(&sample.repository, &trust, &sample).await.faults, []);
            });
        }
    }
}

#[test]
fn a_locked_file_is_reported_and_tried_again() {
    let (sample, trust) = five();
    block_on(async {
        mark(&sample, &trust, &[1, 2]).await;
        let storage = sample.repository.storage();
        let locked = Repository::open(storage.with_faults(Arc::new(Faults::locked()))).await.unwrap();
        let swept = sweep(&locked, &trust, &sample.signer, later(), &none()).await.unwrap();
        assert_eq!((swept.snapshots, swept.files), (0, 0));
        assert!(
            swept.refused.len() == 2 && swept.refused.iter().all(|name| name.starts_with("snapshots/")),
            "{swept:?}"
        );
        assert_eq!(deep(&sample.repository, &trust, &sample).await.faults, []);
        assert_eq!(sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap().snapshots, 2);
    });
}

#[test]
fn it_can_be_undone_until_it_is_done() {
    let (sample, trust) = five();
    block_on(async {
        let repository = &sample.repository;
        let record = mark(&sample, &trust, &[1, 2]).await;
        repository.undo_forget(&trust, "latest", time(5), &sample.signer).await.unwrap();
        assert_eq!(sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap().snapshots, 0);
        let again = repository.undo_forget(&trust, &record.name, time(5), &sample.signer).await;
        assert!(matches!(again, Err(ForgetError::NoRecord(_))));
        mark(&sample, &trust, &[2]).await;
        sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        let late = repository.undo_forget(&trust, "latest", time(5), &sample.signer).await;
        assert!(matches!(late, Err(ForgetError::Gone(2))));
        assert_eq!(deep(repository, &trust, &sample).await.faults, []);
    });
}

#[test]
fn only_a_signers_record_excuses_an_absence() {
    let (sample, trust) = five();
    block_on(async {
        let record = mark(&sample, &trust, &[2]).await;
        let storage = sample.repository.storage();
        let file = format!("forgotten/{}.json", record.name);
        sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        let (bytes, signature) =
            (storage.get(&file).await.unwrap(), storage.get(&format!("{file}.sig")).await.unwrap());
        let foreign = Signer::generate();
        let named = String::from_utf8(bytes.to_vec())
            .unwrap()
            .replace(&sample.signer.public().to_string(), &foreign.public().to_string());
        let edited =
            Bytes::from(String::from_utf8(bytes.to_vec()).unwrap().replace("\"sequence\": 2", "\"sequence\": 3"));
        let sign = |signer: &Signer, namespace, bytes: &[u8]| Bytes::from(signer.sign(namespace, bytes));
        let cases: Vec<(&str, Bytes, Option<Bytes>, FaultKind)> = vec![
            ("unsigned", bytes.clone(), None, FaultKind::Unsigned),
            ("edited", edited, Some(signature.clone()), FaultKind::Untrusted),
            (
                "another purpose",
                bytes.clone(),
                Some(sign(&sample.signer, Namespace::Manifest, &bytes)),
                FaultKind::Untrusted,
            ),
            ("another key", bytes.clone(), Some(sign(&foreign, Namespace::Forget, &bytes)), FaultKind::Untrusted),
            (
                "a stranger",
                named.clone().into(),
                Some(sign(&foreign, Namespace::Forget, named.as_bytes())),
                FaultKind::Untrusted,
            ),
            ("nonsense", Bytes::from_static(b"{\"version\":1}"), Some(signature.clone()), FaultKind::Damaged),
            ("newer", Bytes::from_static(b"{\"version\":2}"), Some(signature), FaultKind::Damaged),
        ];
        for (what, content, signature, kind) in cases {
            let seen = altered(storage, |name, bytes| {
                if name == file {
                    Some(content.clone())
                } else if name.starts_with(&file) {
                    signature.clone()
                } else {
                    Some(bytes)
                }
            });
            let seen = Repository::open(seen.await).await.unwrap();
            let chain = seen.chain(&trust).await.unwrap();
            let kinds: BTreeSet<String> = chain.faults.iter().map(|fault| format!("{:?}", fault.kind)).collect();
            assert!(kinds.contains("Gap") && kinds.contains(&format!("{kind:?}")), "{what}: {:?}", chain.faults);
            assert!(
                matches!(sweep(&seen, &trust, &sample.signer, later(), &none()).await, Err(ForgetError::Refused(_))),
                "{what}"
            );
        }
    });
}

#[test]
fn nothing_is_concluded_from_a_history_with_faults_and_the_newest_never_goes() {
    let (sample, trust) = five();
    block_on(async {
        let newest = names(&sample.repository, &trust, &[1, 5]).await;
        let refused = forget(&sample.repository, &trust, &newest, (time(3), time(4)), &sample.signer).await;
        assert!(matches!(refused, Err(ForgetError::Newest)));
        let stranger = forget(&sample.repository, &trust, &none_names(), (time(3), time(4)), &Signer::generate()).await;
        assert!(matches!(stranger, Err(ForgetError::NotASigner(1))));
        mark(&sample, &trust, &[1, 2]).await;
        let third = names(&sample.repository, &trust, &[3]).await.pop_first().unwrap();
        let storage =
            altered(sample.repository.storage(), |name, bytes| (!name.contains(&third)).then_some(bytes)).await;
        let before = storage.list("").await.unwrap();
        let repository = Repository::open(storage).await.unwrap();
        assert!(matches!(
            sweep(&repository, &trust, &sample.signer, later(), &none()).await,
            Err(ForgetError::Refused(_))
        ));
        assert_eq!(repository.storage().list("").await.unwrap(), before);
    });
}

fn none_names() -> BTreeSet<String> {
    BTreeSet::new()
}

#[test]
fn what_an_interrupted_run_left_goes_after_the_window_unless_it_will_be_resumed() {
    let (sample, trust) = five();
    block_on(async {
        let repository = &sample.repository;
        let pack = |value: &str| {
            let mut writer = PackWriter::new(&[sample.recovery.recipient()]);
            writer.push("arn", "v", &lifeboat::model::SecretValue::text(value.into()));
            writer.finish()
        };
        let (left, resumed) = (pack("left"), pack("resumed"));
        let keep: BTreeSet<Digest> = [resumed.file.sha256].into();
        repository.put_pack(left).await.unwrap();
        repository.put_pack(resumed).await.unwrap();
        mark(&sample, &trust, &[1]).await;
        // Sealed after the mark: not in the record, so not touched by its sweep.
        repository.put_pack(pack("at work now")).await.unwrap();
        assert_eq!(deep(repository, &trust, &sample).await.orphans, 3);
        let swept = sweep(repository, &trust, &sample.signer, later(), &keep).await.unwrap();
        assert_eq!((swept.snapshots, swept.files), (1, 1 + 1), "its index and what was left");
        assert_eq!(deep(repository, &trust, &sample).await.orphans, 2);
    });
}

#[test]
fn a_copy_follows_with_its_own_sweep() {
    let (sample, trust) = five();
    block_on(async {
        let far = Storage::memory();
        copy(&sample.repository, &trust, &far).await.unwrap();
        mark(&sample, &trust, &[1, 2, 3]).await;
        sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        copy(&sample.repository, &trust, &far).await.unwrap();
        let there = Repository::open(far).await.unwrap();
        let report = deep(&there, &trust, &sample).await;
        assert_eq!((report.snapshots, report.faults.len()), (5, 0));
        sweep(&there, &trust, &sample.signer, later(), &none()).await.unwrap();
        let names = async |storage: &Storage| -> Vec<String> {
            storage.list("").await.unwrap().into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(names(there.storage()).await, names(sample.repository.storage()).await);
        // A copy begun after the sweep is as whole.
        let late = Storage::memory();
        copy(&sample.repository, &trust, &late).await.unwrap();
        assert_eq!(deep(&Repository::open(late).await.unwrap(), &trust, &sample).await.faults, []);
        let head: Witness = sample.repository.chain(&trust).await.unwrap().witness().unwrap();
        assert_eq!(head.sequence, 5);
    });
}

#[test]
fn a_copy_that_does_not_know_of_an_undo_yet_loses_nothing() {
    let (sample, trust) = five();
    block_on(async {
        let (repository, far) = (&sample.repository, Storage::memory());
        mark(&sample, &trust, &[1, 2, 3]).await;
        copy(repository, &trust, &far).await.unwrap();
        repository.undo_forget(&trust, "latest", time(5), &sample.signer).await.unwrap();
        let there = Repository::open(far.clone()).await.unwrap();
        let judgement = there.judge(&trust, &[]).await.unwrap();
        let orders = lifeboat::repo::Sweep {
            now: later(),
            rules: lifeboat::repo::Retention::default(),
            window: jiff::SignedDuration::ZERO,
            signer: sample.signer.public(),
            seen: &std::collections::BTreeMap::new(),
            keep: &none(),
            but: None,
        };
        let swept = there.sweep_copy(&judgement, &orders, repository).await.unwrap();
        assert_eq!((swept.snapshots, swept.files), (0, 0));
        copy(repository, &trust, &far).await.unwrap();
        assert_eq!(deep(&there, &trust, &sample).await.faults, []);
        // What the repository itself removed goes there too.
        mark(&sample, &trust, &[1]).await;
        copy(repository, &trust, &far).await.unwrap();
        sweep(repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        let judgement = there.judge(&trust, &[]).await.unwrap();
        assert_eq!(there.sweep_copy(&judgement, &orders, repository).await.unwrap().snapshots, 1);
        assert_eq!(deep(&there, &trust, &sample).await.faults, []);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_plan_mark_undo_sweep_and_an_independent_reader_agrees() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    for _ in 0..3 {
        desk.run("snapshot").expect(0);
    }
    desk.run("forget --yes").expect(2).says("no rule");
    let plan = desk.run("forget --plan --keep-last 1 --json").expect(0).json();
    assert_eq!(plan["forgets"], 2);
    desk.run("forget --keep-last 1").expect(2).says("confirmation");
    desk.run("forget --keep-last 1 --undo-days 0 --yes").expect(0);
    let listed = desk.run("list --json").expect(0).json();
    assert!(
        listed["snapshots"][0]["forgotten"].is_string() && listed["snapshots"][2]["forgotten"].is_null(),
        "{listed}"
    );
    desk.run("forget --undo").expect(0);
    assert!(desk.run("list --json").expect(0).json()["snapshots"][0]["forgotten"].is_null());
    desk.run("forget --undo").expect(2);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let with_rule = config.replace("[[copy]]", "[retention]\nkeep_last = 1\nundo_days = 0\n\n[[copy]]");
    std::fs::write(desk.path("lifeboat.toml"), with_rule).unwrap();
    let marked = desk.run("forget --yes --json").expect(0).json();
    assert_eq!(marked["record"]["snapshots"].as_array().unwrap().len(), 2);
    // A run without the recovery key does it all; the window ends with the next snapshot.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    desk.run("snapshot").expect(0);
    let swept = desk.run("forget --yes --json").expect(0).json();
    assert_eq!(swept["swept"].as_array().unwrap().len(), 2, "{swept}");
    assert_eq!(
        (&swept["swept"][0]["report"]["snapshots"], &swept["swept"][1]["report"]["snapshots"]),
        (&2.into(), &2.into())
    );
    for place in ["", " --repo west"] {
        desk.run(&format!("check --depth values{place} {SHEETS}")).expect(0);
    }
    let verified = desk.run("status --json").json();
    assert_eq!(verified["facts"]["history"].as_array().unwrap().len(), 0, "{verified}");
    let mut command = desk.command("python3");
    let independent = desk.finish(command.args(["west/recover.py", "verify", "west"])).expect(0);
    assert!(independent.out.contains("2 snapshots"), "{}", independent.out);
    std::fs::remove_dir_all(desk.path("west/forgotten")).unwrap();
    let mut command = desk.command("python3");
    let gap = desk.finish(command.args(["west/recover.py", "verify", "west"])).expect(4);
    assert!(gap.err.contains("gap: snapshots before it are missing"), "{}", gap.err);
    desk.run("check --repo west").expect(4);
    sandbox.shutdown().await;
}

#[test]
fn each_mark_names_its_snapshots_until_they_are_gone() {
    let (sample, trust) = five();
    block_on(async {
        let record = mark(&sample, &trust, &[1, 2]).await;
        let chain = sample.repository.chain(&trust).await.unwrap();
        let by: Vec<_> = chain.manifests.iter().map(|found| chain.forgotten(found).map(|by| by.digest)).collect();
        assert_eq!(by, [Some(record.digest), Some(record.digest), None, None, None]);
        let pending = |chain: &lifeboat::repo::Chain| chain.pending().iter().map(|(by, n)| (by.digest, *n)).collect();
        let there: Vec<(Digest, u64)> = pending(&chain);
        assert_eq!(there, [(record.digest, 2)]);
        sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        let there: Vec<(Digest, u64)> = pending(&sample.repository.chain(&trust).await.unwrap());
        assert_eq!(there, []);
    });
}

#[test]
fn what_was_removed_before_its_signer_was_is_excused_by_the_closing_list() {
    let (sample, trust) = five();
    let other = Signer::generate();
    block_on(async {
        mark(&sample, &trust, &[1, 2]).await;
        sweep(&sample.repository, &trust, &sample.signer, later(), &none()).await.unwrap();
        sample.succeed(&trust, &sample.recovery, (&sample.signer, &[&other]), None).await;
        let chain = sample.repository.chain(&sample.trust_now().await).await.unwrap();
        assert!(chain.records.is_empty() && chain.faults.iter().all(|fault| fault.kind == FaultKind::Junk));
        assert_eq!(chain.manifests.len(), 3);
    });
}

#[test]
fn a_record_that_is_renamed_or_names_an_impossible_number_changes_nothing() {
    let (sample, trust) = five();
    block_on(async {
        let record = mark(&sample, &trust, &[2]).await;
        let storage = sample.repository.storage();
        for (name, number, kinds) in [
            ("20260101T000000Z-00000000".to_owned(), 2, vec![FaultKind::Renamed]),
            (record.name.clone(), u64::MAX, vec![]),
            (record.name.clone(), 0, vec![]),
        ] {
            let mut forged = record.record.clone();
            forged.snapshots[0].sequence = number;
            forged.snapshots[0].manifest = Digest::of(b"none");
            let bytes = Bytes::from(serde_json::to_vec_pretty(&forged).unwrap());
            let seen = altered(storage, |name, bytes| (!name.starts_with("forgotten/")).then_some(bytes)).await;
            let signature = sample.signer.sign(Namespace::Forget, &bytes);
            seen.put_new(&format!("forgotten/{name}.json.sig"), signature.into()).await.unwrap();
            seen.put_new(&format!("forgotten/{name}.json"), bytes).await.unwrap();
            let chain = Repository::open(seen).await.unwrap().chain(&trust).await.unwrap();
            let found: Vec<FaultKind> = chain.faults.iter().map(|fault| fault.kind).collect();
            assert_eq!((found, chain.records.len()), (kinds.clone(), usize::from(kinds.is_empty())), "{name} {number}");
        }
    });
}

#[test]
fn a_period_in_a_record_is_kept_as_it_is_and_a_very_long_one_is_for_ever() {
    let rules = |keep_within| lifeboat::repo::ForgetRules {
        keep_last: 0,
        keep_daily: 0,
        keep_weekly: 0,
        keep_monthly: 0,
        keep_yearly: 0,
        keep_within,
    };
    for (seconds, expected) in [(None, None), (Some(3600), Some(3600)), (Some(u64::MAX), Some(1 << 40))] {
        let within = rules(seconds).retention().keep_within;
        assert_eq!(within.map(|within| within.as_secs()), expected);
    }
}

#[test]
fn an_order_for_another_repository_counts_in_none() {
    let (sample, trust) = five();
    block_on(async {
        let mut record = mark(&sample, &trust, &[2]).await.record;
        record.repository = lifeboat::model::RepositoryId::from_bytes([1; 16]);
        record.forget = lifeboat::model::SnapshotId::random();
        let name = format!("forgotten/{}-{}.json", record.time.strftime("%Y%m%dT%H%M%SZ"), record.forget.short());
        let bytes = Bytes::from(serde_json::to_vec_pretty(&record).unwrap());
        let storage = sample.repository.storage();
        let signature = sample.signer.sign(Namespace::Forget, &bytes);
        storage.put_new(&format!("{name}.sig"), signature.into()).await.unwrap();
        storage.put_new(&name, bytes).await.unwrap();
        let chain = sample.repository.chain(&trust).await.unwrap();
        let faults: Vec<(&str, FaultKind)> = chain.faults.iter().map(|fault| (&*fault.file, fault.kind)).collect();
        assert_eq!((faults, chain.records.len()), (vec![(&*name, FaultKind::Untrusted)], 1));
    });
}

#[test]
fn of_several_orders_the_one_that_is_named_is_taken_back_or_the_latest() {
    let (sample, trust) = five();
    block_on(async {
        let repository = &sample.repository;
        let before = repository.check(&trust, CheckDepth::Structure).await.unwrap().files;
        let mut marked = Vec::new();
        for number in [1, 2, 3] {
            let names = names(repository, &trust, &[number]).await;
            let minute = i64::try_from(number).unwrap();
            let window = (time(minute), time(100));
            marked.push(forget(repository, &trust, &names, window, &sample.signer).await.unwrap());
        }
        let after = repository.check(&trust, CheckDepth::Structure).await.unwrap().files;
        assert_eq!(after, before + 6, "each with its signature");
        let undo = async |wanted: &str| repository.undo_forget(&trust, wanted, time(5), &sample.signer).await;
        for (wanted, which) in [(&marked[1].name[..18], 1), ("latest", 2)] {
            assert_eq!(undo(wanted).await.unwrap().digest, marked[which].digest, "{wanted}");
        }
        assert!(matches!(undo("x").await, Err(ForgetError::NoRecord(_))));
        assert_eq!(repository.chain(&trust).await.unwrap().records.len(), 1);
    });
}

#[test]
fn where_there_is_no_snapshot_an_order_names_what_was_left_behind() {
    let sample = Sample::empty(Storage::memory());
    let trust = sample.trust();
    block_on(async {
        sample.seal().await;
        let window = (time(3), time(4));
        let record = forget(&sample.repository, &trust, &none_names(), window, &sample.signer).await.unwrap();
        assert_eq!((record.record.snapshots.len(), record.record.files.len()), (0, 2));
    });
}
