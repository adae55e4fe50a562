//! Who may sign, after rights were removed; and what strangers in `epochs/` cannot bring about.

use bytes::Bytes;
use lifeboat::{
    crypto::{Namespace, RecoveryKey, Signer},
    model::{Digest, SnapshotId},
    repo::{Chain, FaultKind, Manifest, RepoError, Signed, Trust, TrustAnchor},
    storage::Storage,
};

use crate::repo_sample::{Sample, block_on, time};

async fn trust(sample: &Sample) -> Trust {
    sample.repository.trust(&sample.anchor()).await.unwrap()
}

/// The snapshot after the newest one, by a signer for an epoch; not stored.
async fn next(sample: &Sample, chain: &Chain, signer: &Signer, epoch: u32) -> Manifest {
    let head = chain.head().unwrap();
    let mut manifest = head.manifest().clone();
    manifest.sequence += 1;
    manifest.previous = Some(head.digest());
    manifest.snapshot = SnapshotId::random();
    manifest.time = time(100 + i64::try_from(manifest.sequence).unwrap());
    manifest.full.time = manifest.time;
    (manifest.signer, manifest.epoch) = (signer.public(), epoch);
    sample.repository.put_manifest(manifest.clone(), signer).await.unwrap();
    manifest
}

fn numbers(chain: &Chain) -> Vec<u64> {
    chain.manifests.iter().map(|found| found.manifest().sequence).collect()
}

#[test]
fn what_a_removed_signer_made_counts_up_to_the_closing_list_and_never_after() {
    let (sample, other) = (Sample::new(Storage::memory(), 3), Signer::generate());
    block_on(async {
        let first = trust(&sample).await;
        sample.succeed(&first, &sample.recovery, (&sample.signer, &[&sample.signer, &other]), None).await;
        let both = trust(&sample).await;
        sample.drill().await;
        sample.succeed(&both, &sample.recovery, (&sample.signer, &[&other]), None).await;
        let after = trust(&sample).await;
        let chain = sample.repository.chain(&after).await.unwrap();
        assert_eq!((numbers(&chain), chain.faults.len()), (vec![1, 2, 3], 0), "what was there still counts");
        assert_eq!(sample.repository.check(&after, lifeboat::repo::CheckDepth::Structure).await.unwrap().faults, []);

        // For the first epoch, for the second, with the next number and with the first: none of them counts.
        for epoch in [1, 2] {
            next(&sample, &chain, &sample.signer, epoch).await;
        }
        let mut earlier = chain.manifests[0].manifest().clone();
        earlier.snapshot = SnapshotId::random();
        earlier.epoch = 2;
        sample.repository.put_manifest(earlier, &sample.signer).await.unwrap();
        let found = sample.repository.chain(&after).await.unwrap();
        let kinds: Vec<FaultKind> = found.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!((numbers(&found), kinds), (vec![1, 2, 3], vec![FaultKind::Untrusted; 3]));
        let late =
            sample.repository.put_drill(time(200), SnapshotId::random(), Bytes::from_static(b"{ }\n"), &sample.signer);
        let late = Digest::of(&late.await.unwrap().bytes);
        assert!(after.counts_by_signer(Signed::Drill, &sample.signer.public(), &late).is_err());
        let early = Digest::of(&sample.repository.drills().await.unwrap()[0].bytes);
        assert!(after.counts_by_signer(Signed::Drill, &sample.signer.public(), &early).is_ok());
        assert!(after.counts(Signed::Forget, 1, &sample.signer.public(), &late).is_err());
        let unknown = after.counts(Signed::Manifest, 9, &other.public(), &late);
        assert_eq!(unknown.unwrap_err(), "epoch 9 is not trusted");
        sample
            .repository
            .put_drill(time(201), SnapshotId::random(), Bytes::from_static(b"{}\n"), &Signer::generate())
            .await
            .unwrap();
        let report = sample.repository.check(&after, lifeboat::repo::CheckDepth::Structure).await.unwrap();
        let drills = report.faults.iter().filter(|fault| fault.file.starts_with("drills/")).count();
        assert_eq!(drills, 2, "the late one and the stranger's: {:?}", report.faults);
    });
}

#[test]
fn a_thief_s_snapshots_are_cut_off() {
    let (sample, other) = (Sample::new(Storage::memory(), 4), Signer::generate());
    block_on(async {
        let first = trust(&sample).await;
        sample.succeed(&first, &sample.recovery, (&sample.signer, &[&other]), Some(2)).await;
        let chain = sample.repository.chain(&trust(&sample).await).await.unwrap();
        assert_eq!((numbers(&chain), chain.faults.len()), (vec![1, 2], 2));
    });
}

#[test]
fn what_a_removed_signer_took_back_stays_taken_back_and_what_it_ordered_lapses() {
    let (sample, other) = (Sample::new(Storage::memory(), 4), Signer::generate());
    block_on(async {
        let first = trust(&sample).await;
        sample.succeed(&first, &sample.recovery, (&sample.signer, &[&sample.signer, &other]), None).await;
        let both = trust(&sample).await;
        let judgement = sample.repository.judge(&both, &[]).await.unwrap();
        let names = |at: usize| [judgement.chain().manifests[at].name().to_owned()].into();
        let window = (time(300), time(400));
        let (theirs, ours) = (&other, &sample.signer);
        let honest = sample.repository.forget(&judgement, &both, &names(0), window, None, theirs).await;
        honest.unwrap();
        sample.repository.undo_forget(&both, "latest", time(310), ours).await.unwrap();
        sample.repository.forget(&judgement, &both, &names(1), window, None, ours).await.unwrap();
        let known = sample.repository.chain(&both).await.unwrap();
        let list = sample.repository.closing_list(&both, &known, None).await.unwrap();
        assert_eq!(list.records.len(), 1, "what took another one back, and no order");
        sample.succeed(&both, &sample.recovery, (&sample.signer, &[&other]), None).await;
        let after = trust(&sample).await;
        assert!(after.allows_now(&other.public()) && !after.allows_now(&sample.signer.public()));
        let chain = sample.repository.chain(&after).await.unwrap();
        assert!(chain.records.is_empty(), "{:?}", chain.records);
        let kinds: Vec<FaultKind> = chain.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!((numbers(&chain), kinds), (vec![1, 2, 3, 4], vec![FaultKind::Junk]));
        // An undo that is not on the list is worth nothing: an order of today stays.
        let judgement = sample.repository.judge(&after, &[]).await.unwrap();
        sample.repository.forget(&judgement, &after, &names(0), window, None, theirs).await.unwrap();
        sample.repository.undo_forget(&both, "latest", time(320), ours).await.unwrap();
        assert_eq!(sample.repository.chain(&after).await.unwrap().records.len(), 1);
    });
}

#[test]
fn a_closing_list_that_is_gone_or_altered_is_a_fault_and_lists_nothing() {
    let (sample, other) = (Sample::new(Storage::memory(), 2), Signer::generate());
    block_on(async {
        let first = trust(&sample).await;
        sample.succeed(&first, &sample.recovery, (&sample.signer, &[&other]), None).await;
        let storage = sample.repository.storage();
        for (kind, altered_to) in [(FaultKind::Missing, None), (FaultKind::Damaged, Some(Bytes::from_static(b"{}")))] {
            let seen = crate::repo_sample::altered(storage, |name, bytes| {
                if name.starts_with("closings/") { altered_to.clone() } else { Some(bytes) }
            });
            let repository = lifeboat::repo::Repository::open(seen.await).await.unwrap();
            let trust = repository.trust(&sample.anchor()).await.unwrap();
            assert_eq!(trust.faults().iter().map(|fault| fault.kind).collect::<Vec<_>>(), [kind]);
            assert!(repository.chain(&trust).await.unwrap().manifests.is_empty());
        }
    });
}

#[test]
fn strangers_in_epochs_stop_nobody() {
    let sample = Sample::new(Storage::memory(), 1);
    let (stranger, theirs) = (RecoveryKey::generate(), Signer::generate());
    block_on(async {
        let before = trust(&sample).await;
        let storage = sample.repository.storage();
        let zeros = "0".repeat(64);
        for name in
            [format!("epochs/9-{zeros}.json"), "epochs/9.json".into(), "epochs/2.json".into(), "epochs/x".into()]
        {
            storage.put_new(&name, Bytes::from_static(b"junk")).await.unwrap();
            storage.put_new(&format!("{name}.sig"), Bytes::from_static(b"junk")).await.unwrap();
        }
        // A whole epoch of another root, signed by it, countersigned by nobody who may.
        let mut epoch = crate::repo_sample::epoch(&stranger, &theirs);
        epoch.number = 2;
        epoch.previous = Some(lifeboat::repo::PreviousEpoch { number: 1, sha256: before.current_digest() });
        let (name, bytes) = (epoch.file_name(), epoch.to_bytes());
        let sign = |signer: &Signer| Bytes::from(signer.sign(Namespace::Epoch, &bytes));
        storage.put_new(&format!("{name}.sig"), sign(&stranger.root_signer())).await.unwrap();
        storage.put_new(&format!("{name}.countersig"), sign(&theirs)).await.unwrap();
        storage.put_new(&name, bytes.clone()).await.unwrap();
        let now = trust(&sample).await;
        assert_eq!((now.current().number, now.superseded(), now.faults().len(), now.junk().len()), (1, None, 0, 2));
        assert_eq!(sample.repository.epochs().await.unwrap().len(), 2, "sheets of both could be attributed");

        // What may be the damaged newest epoch is a fault, and stops no ceremony.
        storage.put_new(&format!("epochs/2-{zeros}.json"), Bytes::from_static(b"junk")).await.unwrap();
        let now = trust(&sample).await;
        assert_eq!((now.current().number, now.faults()[0].kind), (1, FaultKind::Damaged));
        assert!(now.faults()[0].detail.ends_with(": it may be the newest epoch, which nobody can read"));
        sample.succeed(&now, &sample.recovery, (&sample.signer, &[&sample.signer]), None).await;
        let now = trust(&sample).await;
        assert_eq!((now.current().number, now.faults().len(), now.junk().len()), (2, 0, 3));
    });
}

#[test]
fn a_new_key_is_seen_by_the_old_one_only_with_a_countersignature() {
    let (sample, newer) = (Sample::new(Storage::memory(), 1), RecoveryKey::generate());
    block_on(async {
        let before = trust(&sample).await;
        sample.succeed(&before, &newer, (&sample.signer, &[&sample.signer]), None).await;
        let old = trust(&sample).await;
        assert_eq!((old.superseded(), old.faults()[0].kind), (Some(2), FaultKind::Superseded));
        // Another ceremony of the old key looks first.
        let mut late = crate::repo_sample::epoch(&sample.recovery, &sample.signer);
        (late.number, late.previous) =
            (2, Some(lifeboat::repo::PreviousEpoch { number: 1, sha256: before.current_digest() }));
        let (bytes, root) = (late.to_bytes(), sample.recovery.root_signer());
        let signature = root.sign(Namespace::Epoch, &bytes);
        let next =
            lifeboat::repo::SignedEpoch { bytes: &bytes, signature: &signature, closing: None, countersigner: None };
        let refused = sample.repository.put_signed_epoch(next, &root.public(), &before).await;
        assert!(matches!(refused, Err(RepoError::Damaged { .. })), "{refused:?}");
        let storage = sample.repository.storage();
        let seen =
            crate::repo_sample::altered(storage, |name, bytes| (!name.ends_with(".countersig")).then_some(bytes));
        let repository = lifeboat::repo::Repository::open(seen.await).await.unwrap();
        let old = repository.trust(&sample.anchor()).await.unwrap();
        assert_eq!((old.superseded(), old.junk().len()), (None, 1));
        let anchor = TrustAnchor { root: newer.root_signer().public(), recipient: newer.recipient() };
        assert_eq!(repository.trust(&anchor).await.unwrap().current().number, 2);
    });
}

#[test]
fn two_ceremonies_that_knew_nothing_of_each_other_are_told_and_settled_alike_for_everybody() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let before = trust(&sample).await;
        let root = sample.recovery.root_signer();
        let mut epoch = crate::repo_sample::epoch(&sample.recovery, &sample.signer);
        epoch.number = 2;
        epoch.previous = Some(lifeboat::repo::PreviousEpoch { number: 1, sha256: before.current_digest() });
        for minute in [70, 60] {
            epoch.created = time(minute);
            sample.repository.put_epoch(&epoch, &root).await.unwrap();
        }
        let now = trust(&sample).await;
        assert_eq!((now.current().created, now.faults()[0].kind), (time(70), FaultKind::Fork));
        assert_eq!((&now.faults()[0].file, now.junk()), (&epoch.file_name(), &[][..]));
        let stranger = RecoveryKey::generate();
        let theirs = crate::repo_sample::epoch(&stranger, &sample.signer);
        sample.repository.put_epoch(&theirs, &stranger.root_signer()).await.unwrap();
        assert_eq!(trust(&sample).await.junk()[0].file, theirs.file_name(), "a fault hides no other file");
        // A ceremony that looks first refuses.
        epoch.created = time(80);
        let bytes = epoch.to_bytes();
        let signature = root.sign(Namespace::Epoch, &bytes);
        let next =
            lifeboat::repo::SignedEpoch { bytes: &bytes, signature: &signature, closing: None, countersigner: None };
        let refused = sample.repository.put_signed_epoch(next, &root.public(), &before).await;
        assert!(matches!(refused, Err(RepoError::Damaged { .. })));
    });
}

/// Stores an epoch of `key` with this number and this epoch before it, and the countersignature of a host.
async fn plant(sample: &Sample, key: &RecoveryKey, number: u32, previous: Option<(u32, Digest)>) -> String {
    let mut epoch = crate::repo_sample::epoch(key, &sample.signer);
    epoch.number = number;
    epoch.previous = previous.map(|(number, sha256)| lifeboat::repo::PreviousEpoch { number, sha256 });
    let countersignature = sample.signer.sign(Namespace::Epoch, &epoch.to_bytes());
    let name = format!("{}.countersig", epoch.file_name());
    sample.repository.storage().put_new(&name, countersignature.into()).await.unwrap();
    sample.repository.put_epoch(&epoch, &key.root_signer()).await.unwrap();
    epoch.file_name()
}

#[test]
fn an_epoch_whose_numbers_do_not_follow_is_refused() {
    for (number, before) in [(2, None), (3, Some(2)), (3, Some(1))] {
        let sample = Sample::new(Storage::memory(), 1);
        block_on(async {
            let first = trust(&sample).await.current_digest();
            let name = plant(&sample, &sample.recovery, number, before.map(|before| (before, first))).await;
            let found = sample.repository.trust(&sample.anchor()).await;
            assert!(matches!(found, Err(RepoError::Untrusted { .. })), "{name}: {found:?}");
        });
    }
}

#[test]
fn a_new_key_is_seen_only_right_after_the_newest_epoch_whichever_signer_vouches_for_it() {
    let (sample, other) = (Sample::new(Storage::memory(), 1), Signer::generate());
    block_on(async {
        let before = trust(&sample).await;
        sample.succeed(&before, &sample.recovery, (&sample.signer, &[&other, &sample.signer]), None).await;
        let second = trust(&sample).await.current_digest();
        let unlike = [
            (5, Some((2, second))),
            (3, Some((7, second))),
            (2, Some((2, second))),
            (3, Some((2, before.current_digest()))),
            (3, None),
        ];
        for (number, previous) in unlike {
            plant(&sample, &RecoveryKey::generate(), number, previous).await;
            let now = trust(&sample).await;
            assert_eq!((now.superseded(), now.faults().len()), (None, 0), "{number} after {previous:?}");
        }
        plant(&sample, &RecoveryKey::generate(), 3, Some((2, second))).await;
        assert_eq!(trust(&sample).await.superseded(), Some(3));
    });
}

#[test]
fn an_order_of_a_removed_signer_lapses_even_if_a_closing_list_names_it() {
    let (sample, other) = (Sample::new(Storage::memory(), 3), Signer::generate());
    block_on(async {
        let first = trust(&sample).await;
        let judgement = sample.repository.judge(&first, &[]).await.unwrap();
        let names = [judgement.chain().manifests[0].name().to_owned()].into();
        let window = (time(300), time(400));
        let order = sample.repository.forget(&judgement, &first, &names, window, None, &sample.signer).await.unwrap();
        let mut list = sample.repository.closing_list(&first, judgement.chain(), None).await.unwrap();
        list.records.push(order.digest);
        let next = lifeboat::repo::Epoch {
            number: 2,
            created: time(51),
            previous: Some(lifeboat::repo::PreviousEpoch { number: 1, sha256: first.current_digest() }),
            closing: Some(list.digest()),
            ..crate::repo_sample::epoch(&sample.recovery, &other)
        };
        let (bytes, root, list) = (next.to_bytes(), sample.recovery.root_signer(), list.to_bytes());
        let signed = lifeboat::repo::SignedEpoch {
            bytes: &bytes,
            signature: &root.sign(Namespace::Epoch, &bytes),
            closing: Some(&list),
            countersigner: None,
        };
        sample.repository.put_signed_epoch(signed, &root.public(), &first).await.unwrap();
        let after = trust(&sample).await;
        assert!(after.counts(Signed::Forget, 1, &sample.signer.public(), &order.digest).is_ok());
        let chain = sample.repository.chain(&after).await.unwrap();
        let kinds: Vec<FaultKind> = chain.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!((numbers(&chain), chain.records.len(), kinds), (vec![1, 2, 3], 0, vec![FaultKind::Junk]));
    });
}
