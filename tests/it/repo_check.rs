//! Every alteration of every file is noticed, at the depth that should.

use std::sync::Arc;

use bytes::Bytes;
use lifeboat::{
    crypto::{IndexKey, RecoveryKey},
    model::{Record, ValueKind, ValueState},
    repo::{CheckDepth, CheckReport, Fault, FaultKind, RepoError, Repository, Trust, TrustAnchor},
    storage::{Storage, faults::Faults},
};

use crate::repo_sample::{Sample, altered, block_on, values};

/// What a reader sees first: opening, trust, then check.
async fn look(storage: Storage, anchor: &TrustAnchor) -> Result<CheckReport, RepoError> {
    let repository = Repository::open(storage).await?;
    let trust = repository.trust(anchor).await?;
    repository.check(&trust, CheckDepth::Structure).await
}

fn noticed(outcome: &Result<CheckReport, RepoError>) -> bool {
    outcome.as_ref().map_or(true, |report| !report.faults.is_empty())
}

async fn depth(repository: &Repository, trust: &Trust, depth: CheckDepth<'_>) -> CheckReport {
    repository.check(trust, depth).await.unwrap()
}

#[test]
fn a_sound_repository_has_no_fault_at_any_depth() {
    let sample = Sample::new(Storage::memory(), 3);
    block_on(sample.drill());
    let trust = sample.trust();
    block_on(async {
        let check = async |at| depth(&sample.repository, &trust, at).await;
        let report = check(CheckDepth::Structure).await;
        assert_eq!((report.snapshots, report.references, report.values, report.orphans), (3, 0, 0, 0));
        assert_eq!(report.files, 18, "3 public, epoch 2, manifests 6, packs 2, indexes 3, drill 2");
        assert_eq!(report.faults, []);
        let report = check(CheckDepth::Index(&sample.index)).await;
        assert_eq!((report.references, report.values, report.faults.len()), (3 * values().len() as u64, 0, 0));
        let report = check(CheckDepth::Values(&sample.recovery)).await;
        assert_eq!((report.values, report.faults.len()), (values().len() as u64, 0));
        assert!(report.unopened.is_empty());
    });
}

#[test]
fn every_flipped_byte_is_noticed() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(sample.drill());
    let anchor = sample.anchor();
    block_on(async {
        let storage = sample.repository.storage();
        for entry in storage.list("").await.unwrap() {
            let bytes = storage.get(&entry.name).await.unwrap();
            let step = if bytes.len() > 4096 { 97 } else { 1 };
            let faults = Arc::new(Faults::none());
            let seen = storage.with_faults(Arc::clone(&faults));
            for at in (0..bytes.len()).step_by(step) {
                let bit = [0x01, 0x20, 0x80, 0x02][at % 4];
                let mut flipped = bytes.to_vec();
                flipped[at] ^= bit;
                faults.alter(&entry.name, flipped.into());
                let outcome = look(seen.clone(), &anchor).await;
                assert!(noticed(&outcome), "{} byte {at} bit {bit:#x}", entry.name);
            }
        }
    });
}

#[test]
fn every_shorter_or_longer_file_is_noticed() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(sample.drill());
    let anchor = sample.anchor();
    block_on(async {
        let storage = sample.repository.storage();
        for entry in storage.list("").await.unwrap() {
            let bytes = storage.get(&entry.name).await.unwrap();
            let faults = Arc::new(Faults::none());
            let seen = storage.with_faults(Arc::clone(&faults));
            let step = if bytes.len() > 4096 { 101 } else { 1 };
            for end in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
                faults.alter(&entry.name, bytes.slice(..end));
                assert!(noticed(&look(seen.clone(), &anchor).await), "{} cut to {end}", entry.name);
            }
            faults.alter(&entry.name, [&bytes[..], b"\n"].concat().into());
            assert!(noticed(&look(seen.clone(), &anchor).await), "{} with a newline more", entry.name);
        }
    });
}

#[test]
fn every_removed_file_is_noticed_but_for_the_newest_signed_ones() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(sample.drill());
    let anchor = sample.anchor();
    block_on(async {
        let storage = sample.repository.storage();
        for removed in storage.list("").await.unwrap() {
            let seen = altered(storage, |name, bytes| (name != removed.name).then_some(bytes)).await;
            let outcome = look(seen, &anchor).await;
            // The newest manifest and a drill record: only who remembers them can miss them.
            let head = ["snapshots/", "drills/"].iter().any(|folder| removed.name.starts_with(folder))
                && !removed.name.ends_with(".json.sig");
            assert_eq!(noticed(&outcome), !head, "{}", removed.name);
        }
    });
}

#[test]
fn swapped_files_are_noticed() {
    let sample = Sample::new(Storage::memory(), 2);
    let anchor = sample.anchor();
    block_on(async {
        let storage = sample.repository.storage();
        for (folder, ending) in [("packs", ".age"), ("indexes", ".age"), ("snapshots", ".json"), ("snapshots", ".sig")]
        {
            let names: Vec<String> = storage
                .list(folder)
                .await
                .unwrap()
                .into_iter()
                .map(|e| e.name)
                .filter(|n| n.ends_with(ending))
                .collect();
            let [one, two] = &names[..] else { panic!("two files {ending} in {folder}") };
            let (first, second) = (storage.get(one).await.unwrap(), storage.get(two).await.unwrap());
            let seen = altered(storage, |name, bytes| {
                Some(if name == one {
                    second.clone()
                } else if name == two {
                    first.clone()
                } else {
                    bytes
                })
            });
            let report = look(seen.await, &anchor).await.unwrap();
            assert!(report.faults.len() >= 2, "{folder} {ending}: {:?}", report.faults);
        }
    });
}

/// A signed snapshot whose records are changed by `change` after sealing.
fn lying(change: impl Fn(&mut Vec<Record>)) -> (Sample, Trust) {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (mut records, packs) = sample.seal().await;
        change(&mut records);
        sample.snapshot(1, None, &records, &packs).await;
    });
    let trust = sample.trust();
    (sample, trust)
}

fn stored(record: &mut Record) -> (&mut lifeboat::model::Digest, &mut u32, &mut ValueKind) {
    match &mut record.versions[0].value {
        ValueState::Stored { pack, line, kind } => (pack, line, kind),
        _ => panic!("the sample stores every value"),
    }
}

fn kinds(report: &CheckReport) -> Vec<FaultKind> {
    report.faults.iter().map(|fault: &Fault| fault.kind).collect()
}

#[test]
fn a_reference_to_another_value_is_noticed_by_a_quorum() {
    type Change = fn(&mut Vec<Record>);
    let changes: [(&str, Change); 5] = [
        ("line", |records| *stored(&mut records[0]).1 = 1),
        ("no line", |records| *stored(&mut records[0]).1 = 99),
        ("kind", |records| *stored(&mut records[0]).2 = ValueKind::Binary),
        ("version", |records| records[0].versions[0].id = "another".into()),
        ("secret", |records| records[0].secret.arn = "another".into()),
    ];
    for (what, change) in changes {
        let (sample, trust) = lying(change);
        block_on(async {
            let report = depth(&sample.repository, &trust, CheckDepth::Index(&sample.index)).await;
            assert_eq!(kinds(&report), [], "{what}: the host cannot see it");
            let report = depth(&sample.repository, &trust, CheckDepth::Values(&sample.recovery)).await;
            assert!(!report.faults.is_empty(), "{what}");
            assert!(kinds(&report).iter().all(|kind| *kind == FaultKind::Dangling), "{what}: {:?}", report.faults);
        });
    }
}

#[test]
fn a_reference_beyond_the_manifest_or_a_wrong_count_is_noticed_with_the_index_key() {
    let (sample, trust) = lying(|records| *stored(&mut records[0]).0 = lifeboat::model::Digest::of(b"elsewhere"));
    let report = block_on(depth(&sample.repository, &trust, CheckDepth::Index(&sample.index)));
    assert_eq!(kinds(&report), [FaultKind::Dangling]);
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (records, packs) = sample.seal().await;
        let mut manifest = sample.manifest(1, None, &records, &packs).await;
        manifest.counts.captured -= 1;
        manifest.counts.values_carried += 1;
        sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
    });
    let trust = sample.trust();
    let report = block_on(depth(&sample.repository, &trust, CheckDepth::Structure));
    assert_eq!(kinds(&report), []);
    let report = block_on(depth(&sample.repository, &trust, CheckDepth::Index(&sample.index)));
    assert_eq!(kinds(&report), [FaultKind::Damaged; 3], "{:?}", report.faults);
}

#[test]
fn another_key_opens_nothing_and_says_so() {
    let sample = Sample::new(Storage::memory(), 1);
    let trust = sample.trust();
    let (index, recovery) = (IndexKey::generate(), RecoveryKey::generate());
    for at in [CheckDepth::Index(&index), CheckDepth::Values(&recovery)] {
        let report = block_on(depth(&sample.repository, &trust, at));
        assert_eq!((report.references, report.values, report.faults.len(), report.unopened.len()), (0, 0, 0, 1));
    }
}

#[test]
fn what_an_interrupted_run_left_is_no_fault() {
    let sample = Sample::new(Storage::memory(), 1);
    let trust = sample.trust();
    block_on(async {
        sample.seal().await;
        sample
            .repository
            .storage()
            .put_new("snapshots/20260101T000000Z-00000000.json.sig", Bytes::new())
            .await
            .unwrap();
        let report = depth(&sample.repository, &trust, CheckDepth::Structure).await;
        assert_eq!((report.orphans, report.faults.len()), (2, 0));
    });
}

#[test]
fn a_failing_storage_is_not_a_fault() {
    let sample = Sample::new(Storage::memory(), 1);
    let trust = sample.trust();
    for prefix in ["packs", "indexes", "snapshots", "epochs", "drills", "lifeboat.json", "recover.py"] {
        let storage = sample.repository.storage().with_faults(Arc::new(Faults::gets(prefix)));
        block_on(async {
            let repository = match Repository::open(storage).await {
                Ok(repository) => repository,
                Err(error) => return assert!(matches!(error, RepoError::Storage(_)), "{prefix}"),
            };
            let outcome = repository.check(&trust, CheckDepth::Structure).await;
            assert!(matches!(outcome, Err(RepoError::Storage(_))), "{prefix}");
        });
    }
}
