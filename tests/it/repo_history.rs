//! The chain of manifests and the epochs it rests on, under attack.

use bytes::Bytes;
use lifeboat::{
    crypto::{Namespace, RecoveryKey, Signer},
    model::{Digest, RepositoryId, SnapshotId},
    repo::{Chain, FaultKind, Manifest, RepoError, Repository, TrustAnchor},
    storage::Storage,
};

use crate::repo_sample::{Sample, altered, block_on};

async fn chain(storage: Storage, anchor: &TrustAnchor) -> Chain {
    let repository = Repository::open(storage).await.unwrap();
    let trust = repository.trust(anchor).await.unwrap();
    repository.chain(&trust).await.unwrap()
}

fn sequences(chain: &Chain) -> Vec<u64> {
    chain.manifests.iter().map(|found| found.manifest().sequence).collect()
}

fn kinds(chain: &Chain) -> Vec<FaultKind> {
    chain.faults.iter().map(|fault| fault.kind).collect()
}

/// The history after the manifest of `sequence` is removed with its signature.
async fn without(sample: &Sample, sequence: u64) -> Chain {
    let whole = sample.repository.chain(&sample.repository.trust(&sample.anchor()).await.unwrap()).await.unwrap();
    let gone = whole.manifests[usize::try_from(sequence).unwrap() - 1].name().to_owned();
    let seen = altered(sample.repository.storage(), |name, bytes| (!name.contains(&gone)).then_some(bytes)).await;
    chain(seen, &sample.anchor()).await
}

/// A manifest that fits after the sample's last one.
async fn next(sample: &Sample) -> Manifest {
    let chain = chain(sample.repository.storage().clone(), &sample.anchor()).await;
    let head = chain.head().unwrap();
    let (records, packs) = sample.seal().await;
    sample.manifest(head.manifest().sequence + 1, Some(head.digest()), &records, &packs).await
}

/// Stores a manifest as someone who can write to the storage would.
async fn plant(storage: &Storage, manifest: &Manifest, signer: &Signer, namespace: Namespace) {
    let stem = format!("{}-{}", manifest.time.strftime("%Y%m%dT%H%M%SZ"), manifest.snapshot.short());
    let bytes = serde_json::to_vec_pretty(manifest).unwrap();
    let signature = signer.sign(namespace, &bytes);
    storage.put_new(&format!("snapshots/0/{stem}.json"), bytes.into()).await.unwrap();
    storage.put_new(&format!("snapshots/0/{stem}.json.sig"), signature.into()).await.unwrap();
}

#[test]
fn a_removed_snapshot_is_a_gap_but_for_the_newest() {
    let sample = Sample::new(Storage::memory(), 4);
    block_on(async {
        let gap = without(&sample, 1).await;
        assert_eq!((sequences(&gap), kinds(&gap)), (vec![2, 3, 4], vec![FaultKind::Gap]));
        let gap = without(&sample, 2).await;
        assert_eq!((sequences(&gap), kinds(&gap)), (vec![1, 3, 4], vec![FaultKind::Gap]));
        assert_eq!(gap.faults[0].detail, "snapshot 2 is missing before it");
        let head = without(&sample, 4).await;
        assert_eq!((sequences(&head), kinds(&head)), (vec![1, 2, 3], vec![]), "only a witness knows of the fourth");
    });
}

#[test]
fn several_that_are_missing_are_one_gap() {
    let sample = Sample::new(Storage::memory(), 5);
    block_on(async {
        let whole = chain(sample.repository.storage().clone(), &sample.anchor()).await;
        let is_gone = |name: &str| whole.manifests[2..4].iter().any(|gone| name.contains(gone.name()));
        let seen = altered(sample.repository.storage(), |name, bytes| (!is_gone(name)).then_some(bytes)).await;
        let seen = chain(seen, &sample.anchor()).await;
        assert_eq!((sequences(&seen), kinds(&seen)), (vec![1, 2, 5], vec![FaultKind::Gap]));
        assert_eq!(seen.faults[0].detail, "snapshots 3 to 4 are missing before it");
    });
}

#[test]
fn snapshots_are_found_by_latest_or_an_unambiguous_prefix() {
    let sample = Sample::new(Storage::memory(), 3);
    let chain = block_on(chain(sample.repository.storage().clone(), &sample.anchor()));
    let second = &chain.manifests[1];
    let id = second.manifest().snapshot.to_string();
    for wanted in [&id[..4], &id[..8], &id, &id.to_uppercase()] {
        assert_eq!(chain.find(wanted), Some(second), "{wanted}");
    }
    assert_eq!(chain.find("latest"), chain.manifests.last());
    for wanted in ["", "late", &id[..3], &format!("{id}0"), "zzzz"] {
        assert_eq!(chain.find(wanted), None, "{wanted}");
    }
}

#[test]
fn an_ambiguous_prefix_finds_nothing() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let mut manifest = next(&sample).await;
        let mut id = *Digest::of(&1_u64.to_be_bytes()).as_bytes();
        id[15] ^= 1;
        manifest.snapshot = SnapshotId::from_bytes(id[..16].try_into().unwrap());
        sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
        let chain = chain(sample.repository.storage().clone(), &sample.anchor()).await;
        let id = chain.manifests[1].manifest().snapshot.to_string();
        assert_eq!(chain.find(&id[..8]), None);
        assert_eq!(chain.find(&id), Some(&chain.manifests[1]));
    });
}

#[test]
fn forged_manifests_do_not_count() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, FaultKind, Change); 6] = [
        ("another repository", FaultKind::Untrusted, |m| m.repository = RepositoryId::from_bytes([1; 16])),
        ("an unknown epoch", FaultKind::Untrusted, |m| m.epoch = 2),
        ("a newer version", FaultKind::Damaged, |m| m.version = 2),
        ("version 0", FaultKind::Damaged, |m| m.version = 0),
        ("sequence 0", FaultKind::Damaged, |m| m.sequence = 0),
        ("another signer", FaultKind::Untrusted, |m| m.signer = Signer::generate().public()),
    ];
    for (what, kind, change) in changes {
        let sample = Sample::new(Storage::memory(), 1);
        block_on(async {
            let mut manifest = next(&sample).await;
            change(&mut manifest);
            let storage = sample.repository.storage();
            plant(storage, &manifest, &sample.signer, Namespace::Manifest).await;
            let chain = chain(storage.clone(), &sample.anchor()).await;
            assert_eq!((sequences(&chain), kinds(&chain)), (vec![1], vec![kind]), "{what}");
        });
    }
}

#[test]
fn a_foreign_signature_or_purpose_does_not_count() {
    let foreign = Signer::generate();
    for purpose in [None, Some(Namespace::Drill), Some(Namespace::Epoch)] {
        let sample = Sample::new(Storage::memory(), 1);
        block_on(async {
            let mut manifest = next(&sample).await;
            let signer = if purpose.is_none() { &foreign } else { &sample.signer };
            let storage = sample.repository.storage();
            plant(storage, &manifest, signer, purpose.unwrap_or(Namespace::Manifest)).await;
            manifest.snapshot = SnapshotId::from_bytes([5; 16]);
            manifest.signer = foreign.public();
            plant(storage, &manifest, &foreign, Namespace::Manifest).await;
            let chain = chain(storage.clone(), &sample.anchor()).await;
            assert_eq!((sequences(&chain), kinds(&chain)), (vec![1], vec![FaultKind::Untrusted; 2]), "{purpose:?}");
        });
    }
}

#[test]
fn an_unsigned_or_misnamed_or_strange_manifest_does_not_count() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let storage = sample.repository.storage();
        let stem = chain(storage.clone(), &sample.anchor()).await.manifests[0].name().to_owned();
        let name = format!("snapshots/0/{stem}.json");
        let (bytes, signature) =
            (storage.get(&name).await.unwrap(), storage.get(&format!("{name}.sig")).await.unwrap());
        for (copy, bytes, signature) in [
            ("snapshots/0/20260101T000000Z-00000000.json", bytes.clone(), Some(signature.clone())),
            ("snapshots/0/20260101T000000Z-11111111.json", bytes.clone(), None),
            (
                "snapshots/0/20260101T000000Z-22222222.json",
                Bytes::from_static(b"{\"version\":1}"),
                Some(signature.clone()),
            ),
            ("snapshots/0/20260101T000000Z-33333333.json", Bytes::from_static(b"\xff"), Some(signature)),
        ] {
            storage.put_new(copy, bytes).await.unwrap();
            if let Some(signature) = signature {
                storage.put_new(&format!("{copy}.sig"), signature).await.unwrap();
            }
        }
        let chain = chain(storage.clone(), &sample.anchor()).await;
        let kinds = kinds(&chain);
        assert_eq!(sequences(&chain), [1]);
        assert_eq!(kinds, [FaultKind::Renamed, FaultKind::Unsigned, FaultKind::Damaged, FaultKind::Damaged]);
    });
}

#[test]
fn forks_are_named_and_both_branches_kept() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(async {
        let mut twin = next(&sample).await;
        sample.repository.put_manifest(twin.clone(), &sample.signer).await.unwrap();
        twin.snapshot = SnapshotId::from_bytes([5; 16]);
        let fork = sample.repository.put_manifest(twin.clone(), &sample.signer).await.unwrap();
        let seen = chain(sample.repository.storage().clone(), &sample.anchor()).await;
        assert_eq!((sequences(&seen), kinds(&seen)), (vec![1, 2, 3, 3], vec![FaultKind::Fork]));
        twin.sequence = 4;
        twin.snapshot = SnapshotId::from_bytes([6; 16]);
        twin.previous = Some(fork.digest());
        sample.repository.put_manifest(twin.clone(), &sample.signer).await.unwrap();
        let seen = chain(sample.repository.storage().clone(), &sample.anchor()).await;
        assert_eq!((sequences(&seen), kinds(&seen)), (vec![1, 2, 3, 3, 4], vec![FaultKind::Fork]));
        twin.sequence = 5;
        twin.snapshot = SnapshotId::from_bytes([8; 16]);
        sample.repository.put_manifest(twin, &sample.signer).await.unwrap();
        let seen = chain(sample.repository.storage().clone(), &sample.anchor()).await;
        assert_eq!(kinds(&seen), [FaultKind::Fork; 2], "the fifth follows the third");
    });
}

#[test]
fn a_manifest_is_stored_once_and_by_its_own_signer() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let manifest = next(&sample).await;
        let put = async |manifest: &Manifest, signer| sample.repository.put_manifest(manifest.clone(), signer).await;
        let other = Signer::generate();
        assert!(matches!(put(&manifest, &other).await, Err(RepoError::Untrusted { .. })));
        let foreign = Manifest { repository: RepositoryId::from_bytes([1; 16]), ..manifest.clone() };
        assert!(matches!(put(&foreign, &sample.signer).await, Err(RepoError::Untrusted { .. })));
        let newer = Manifest { version: 2, ..manifest.clone() };
        assert!(matches!(put(&newer, &sample.signer).await, Err(RepoError::Untrusted { .. })));
        put(&manifest, &sample.signer).await.unwrap();
        assert!(matches!(put(&manifest, &sample.signer).await, Err(RepoError::Storage(_))));
    });
}

#[test]
fn a_pass_of_its_own_has_the_number_of_its_snapshot() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        for (before, after) in [(0, 2), (1, 1)] {
            let mut manifest = next(&sample).await;
            manifest.snapshot = lifeboat::model::SnapshotId::random();
            (manifest.sequence, manifest.full.sequence) = (2, before);
            let stored = sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
            assert_eq!((stored.manifest().sequence, stored.manifest().full.sequence), (2, after));
            assert_eq!(sample.repository.locked_until(&stored).await.unwrap(), None);
        }
    });
}

#[test]
fn a_reshared_epoch_counts_and_its_retired_signer_does_not() {
    let sample = Sample::new(Storage::memory(), 1);
    let newer = Signer::generate();
    block_on(async {
        let before = sample.repository.trust(&sample.anchor()).await.unwrap();
        let epoch = sample.succeed(&before, &sample.recovery, (&sample.signer, &[&newer]), None).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        assert_eq!((trust.current(), trust.epochs().len()), (&epoch, 2));
        assert!(trust.allows(1, &sample.signer.public()) && !trust.allows(2, &sample.signer.public()));
        let manifest = Manifest { epoch: 2, signer: newer.public(), ..next(&sample).await };
        sample.repository.put_manifest(manifest, &newer).await.unwrap();
        let late = next(&sample).await;
        sample.repository.put_manifest(late, &sample.signer).await.unwrap();
        let chain = chain(sample.repository.storage().clone(), &sample.anchor()).await;
        assert_eq!((sequences(&chain), kinds(&chain)), (vec![1, 2], vec![FaultKind::Untrusted]));
    });
}

#[test]
fn a_new_key_is_trusted_by_its_own_anchor_and_reaches_back() {
    let sample = Sample::new(Storage::memory(), 1);
    let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
    block_on(async {
        let before = sample.repository.trust(&sample.anchor()).await.unwrap();
        sample.succeed(&before, &recovery, (&sample.signer, &[&sample.signer, &signer]), None).await;
        let newer = TrustAnchor { root: recovery.root_signer().public(), recipient: recovery.recipient() };
        let trust = sample.repository.trust(&newer).await.unwrap();
        assert_eq!(trust.epochs().len(), 2, "the new root vouches for the old epoch's bytes");
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        assert_eq!(
            (trust.current().number, trust.superseded()),
            (1, Some(2)),
            "the old root does not vouch for the new one"
        );
        assert!(!trust.allows(2, &signer.public()));
        let mixed = TrustAnchor { root: newer.root, recipient: sample.recovery.recipient() };
        assert!(matches!(sample.repository.trust(&mixed).await, Err(RepoError::Untrusted { .. })));
    });
}

#[test]
fn an_epoch_that_should_count_and_does_not_is_refused() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let before = sample.repository.trust(&sample.anchor()).await.unwrap();
        let epoch = sample.succeed(&before, &sample.recovery, (&sample.signer, &[&sample.signer]), None).await;
        let storage = sample.repository.storage();
        let first = format!("epochs/1-{}.json", epoch.previous.as_ref().unwrap().sha256);
        let cases: [(_, _, fn(&RepoError) -> bool); 3] = [
            (
                first.clone(),
                None,
                |error| matches!(error, RepoError::Damaged { reason, .. } if reason == "it is missing"),
            ),
            (
                first.clone(),
                Some(Bytes::from_static(b"no")),
                |error| matches!(error, RepoError::Damaged { reason, .. } if reason.contains("digest")),
            ),
            (format!("{first}.sig"), None, |error| matches!(error, RepoError::Untrusted { .. })),
        ];
        for (file, content, is_expected) in cases {
            let seen = altered(storage, |name, bytes| if name == file { content.clone() } else { Some(bytes) }).await;
            // Another broken one of the number is not what is missed.
            let beside = format!("epochs/1-{}.json", "0".repeat(64));
            seen.put_new(&beside, Bytes::from_static(b"junk")).await.unwrap();
            let error = Repository::open(seen).await.unwrap().trust(&sample.anchor()).await.unwrap_err();
            assert!(is_expected(&error) && error.to_string().contains(&first), "{file}: {error}");
        }
        // The newest one without its signature might be one that removes a signer.
        let second = format!("{}.sig", epoch.file_name());
        let seen = altered(storage, |name, bytes| (*name != second).then_some(bytes)).await;
        let trust = Repository::open(seen).await.unwrap().trust(&sample.anchor()).await.unwrap();
        assert_eq!((trust.current().number, trust.faults()[0].kind), (1, FaultKind::Unsigned));
        let other = TrustAnchor { root: Signer::generate().public(), recipient: sample.recovery.recipient() };
        assert!(matches!(sample.repository.trust(&other).await, Err(RepoError::Untrusted { .. })));
        let foreign = RecoveryKey::generate();
        let refused = sample.repository.put_epoch(&epoch, &foreign.root_signer()).await;
        assert!(matches!(refused, Err(RepoError::Untrusted { .. })));
    });
}
