//! Every alteration of every file is noticed, at the depth that should.

use std::sync::Arc;

use bytes::Bytes;
use lifeboat::{
    crypto::{IndexKey, RecoveryKey},
    model::{Digest, Record, Secret, SecretValue, ValueKind, ValueState, Version, VersionFacets},
    repo::{
        CheckDepth, CheckOptions, CheckReport, Extent, Fault, FaultKind, PackWriter, RepoError, Repository, Restorable,
        Subset, Trust,
    },
    storage::{Storage, faults::Faults},
};

use crate::repo_sample::{Sample, altered, block_on, time, values};

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

fn stored(record: &mut Record) -> (&mut Digest, &mut u32, &mut ValueKind, &mut u32) {
    match &mut record.versions[0].value {
        ValueState::Stored { pack, line, kind, size } => (pack, line, kind, size),
        _ => panic!("the sample stores every value"),
    }
}

fn kinds(report: &CheckReport) -> Vec<FaultKind> {
    report.faults.iter().map(|fault: &Fault| fault.kind).collect()
}

#[test]
fn a_reference_to_another_value_is_noticed_by_a_quorum() {
    type Change = fn(&mut Vec<Record>);
    let changes: [(&str, Change); 6] = [
        ("line", |records| *stored(&mut records[0]).1 = 1),
        ("no line", |records| *stored(&mut records[0]).1 = 99),
        ("kind", |records| *stored(&mut records[0]).2 = ValueKind::Bytes),
        ("size", |records| *stored(&mut records[0]).3 += 1),
        ("version", |records| records[0].versions[0].id = "another".into()),
        ("secret", |records| records[0].secret.id = "another".into()),
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
    let (sample, trust) = lying(|records| *stored(&mut records[0]).0 = Digest::of(b"elsewhere"));
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
            .put_new("snapshots/0/20260101T000000Z-00000000.json.sig", Bytes::new())
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

/// Forty packs of a value each, in one snapshot.
fn many_packs() -> (Sample, Trust) {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (mut records, mut packs) = (Vec::new(), Vec::new());
        for number in 0..40 {
            let (name, version) = (format!("s{number:02}"), "v".to_owned());
            let value = SecretValue::text(format!("value {number}"));
            let mut writer = PackWriter::new(&[sample.recovery.recipient()]);
            let line = writer.push(&name, &version, &value);
            let sealed = writer.finish();
            packs.push(sealed.file);
            let value = ValueState::Stored { pack: sealed.file.sha256, line, kind: value.kind(), size: value.size() };
            let version = Version {
                id: version,
                current: false,
                labels: vec![],
                created: None,
                facets: VersionFacets::default(),
                value,
            };
            let secret = Secret { name: name.clone(), id: name, ..Secret::default() };
            records.push(Record { secret, versions: vec![version], read: time(1), listing: None });
            sample.repository.put_pack(sealed).await.unwrap();
        }
        packs.sort();
        sample.snapshot(1, None, &records, &packs).await;
    });
    let trust = sample.trust();
    (sample, trust)
}

async fn checked_part(repository: &Repository, trust: &Trust, depth: CheckDepth<'_>, subset: Subset) -> CheckReport {
    let options = CheckOptions { subset: Some(subset), ..CheckOptions::default() };
    let history = repository.history(trust).await.unwrap();
    repository.check_history(trust, &history, depth, &options).await.unwrap()
}

#[test]
fn the_parts_together_read_everything_once() {
    let (sample, trust) = many_packs();
    block_on(async {
        let storage = sample.repository.storage();
        let rotten = storage.list("packs").await.unwrap()[17].name.clone();
        let faults = Arc::new(Faults::none());
        let bytes = storage.get(&rotten).await.unwrap();
        faults.alter(&rotten, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>().into());
        let seen = Repository::open(storage.with_faults(faults)).await.unwrap();
        let (mut values, mut read, mut found) = (0, 0, 0);
        for part in 1..=7 {
            let subset = Subset { part, of: 7 };
            let depth = CheckDepth::Values(&sample.recovery);
            let report = checked_part(&seen, &trust, depth, subset).await;
            values += report.values;
            read += 40 - report.skipped;
            found += u64::from(!report.faults.is_empty());
            assert_eq!(report.references, 40, "every reference is resolved every time");
        }
        assert_eq!((values, read, found), (39, 40, 1));
    });
}

#[test]
fn what_is_not_read_is_still_looked_at() {
    let (sample, trust) = many_packs();
    block_on(async {
        let storage = sample.repository.storage();
        let gone = storage.list("packs").await.unwrap()[3].name.clone();
        for content in [None, Some(Bytes::from_static(b"short"))] {
            let seen = altered(storage, |name, bytes| if name == gone { content.clone() } else { Some(bytes) }).await;
            let seen = Repository::open(seen).await.unwrap();
            for part in 1..=12 {
                let report = checked_part(&seen, &trust, CheckDepth::Structure, Subset { part, of: 12 }).await;
                assert_eq!(report.faults.len(), 1, "part {part}: {:?}", report.faults);
                assert_eq!(report.faults[0].file, gone);
            }
        }
    });
}

#[test]
fn the_report_says_what_can_still_be_restored() {
    let (sample, trust) = many_packs();
    block_on(async {
        let head = sample.repository.chain(&trust).await.unwrap().head().unwrap().digest();
        let (records, packs) = sample.seal().await;
        sample.snapshot(2, Some(head), &records, &packs).await;
        let extents = async |gone: &str, depth: CheckDepth<'_>| {
            let seen = altered(sample.repository.storage(), |name, bytes| (name != gone).then_some(bytes)).await;
            let report = Repository::open(seen).await.unwrap().check(&trust, depth).await.unwrap();
            let of = |each: &Restorable| (each.sequence, each.extent, each.bad_packs, each.values_lost);
            report.restorable.iter().map(of).collect::<Vec<_>>()
        };
        let second = format!("packs/{}/{}.age", &packs[0].sha256.to_string()[..2], packs[0].sha256);
        assert_eq!(
            extents("", CheckDepth::Structure).await,
            [(1, Extent::Whole, 0, None), (2, Extent::Whole, 0, None)]
        );
        assert_eq!(
            extents(&second, CheckDepth::Structure).await,
            [(1, Extent::Whole, 0, None), (2, Extent::Partly, 1, None)]
        );
        assert_eq!(
            extents(&second, CheckDepth::Index(&sample.index)).await,
            [(1, Extent::Whole, 0, Some(0)), (2, Extent::Partly, 1, Some(3))]
        );
        let chain = sample.repository.chain(&trust).await.unwrap();
        let index = format!("indexes/{}.age", chain.manifests[0].manifest().indexes[0].files[0].sha256);
        assert_eq!(
            extents(&index, CheckDepth::Index(&sample.index)).await,
            [(1, Extent::Nothing, 0, None), (2, Extent::Whole, 0, Some(0))]
        );
    });
}
