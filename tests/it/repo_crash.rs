//! Creation, snapshots and copies cut off at every write: what is left is valid, and running again completes it.

use std::sync::Arc;

use bytes::Bytes;
use lifeboat::{
    crypto::{RecoveryKey, Signer},
    model::RepositoryId,
    repo::{CheckDepth, Epoch, RepoError, Repository, copy},
    storage::{Storage, StorageError, faults::Faults},
};

use crate::repo_sample::{Sample, altered, block_on, epoch};

fn cuts(n: u64) -> [Faults; 3] {
    [Faults::from_put(n), Faults::put(n), Faults::put_unanswered(n)]
}

#[test]
fn creation_is_finished_by_running_it_again() {
    let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
    let epoch = epoch(&recovery, &signer);
    let root = recovery.root_signer();
    block_on(async {
        for n in 1..=5 {
            for faults in cuts(n) {
                let storage = Storage::memory();
                let cut = Repository::create(storage.with_faults(Arc::new(faults)), &epoch, &root).await;
                assert!(matches!(cut, Err(RepoError::Storage(StorageError::Unavailable { .. }))), "put {n}");
                match Repository::create(storage.clone(), &epoch, &root).await {
                    Ok(_) => {}
                    Err(RepoError::Exists(_)) => assert_eq!(n, 5, "the last write was made, its answer lost"),
                    Err(error) => panic!("put {n}: {error}"),
                }
                assert_eq!(storage.list("").await.unwrap().len(), 5);
                Repository::open(storage).await.unwrap();
            }
        }
        let faults = Arc::new(Faults::none());
        let storage = Storage::memory().with_faults(Arc::clone(&faults));
        Repository::create(storage.clone(), &epoch, &root).await.unwrap();
        assert_eq!(faults.puts(), 5, "every put of a creation was cut");
        let again = Repository::create(storage, &epoch, &root).await;
        assert!(matches!(again, Err(RepoError::Exists(_))));
    });
}

#[test]
fn another_epoch_does_not_finish_an_interrupted_creation() {
    let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
    let first = epoch(&recovery, &signer);
    block_on(async {
        let storage = Storage::memory();
        let cut = storage.with_faults(Arc::new(Faults::from_put(5)));
        assert!(Repository::create(cut, &first, &recovery.root_signer()).await.is_err());
        assert!(matches!(Repository::open(storage.clone()).await, Err(RepoError::NotARepository(_))));
        let other = RecoveryKey::generate();
        let again = Repository::create(storage, &epoch(&other, &signer), &other.root_signer()).await;
        assert!(matches!(again, Err(RepoError::Damaged { .. })));
        let wrong = Repository::create(Storage::memory(), &first, &other.root_signer()).await;
        assert!(matches!(wrong, Err(RepoError::Untrusted { .. })));
        let number = Epoch { number: 2, ..first };
        let wrong = Repository::create(Storage::memory(), &number, &recovery.root_signer()).await;
        assert!(matches!(wrong, Err(RepoError::Untrusted { .. })));
    });
}

#[test]
fn a_snapshot_exists_wholly_or_not_at_all() {
    let sample = Sample::new(Storage::memory(), 1);
    let trust = sample.trust();
    block_on(async {
        let head = sample.repository.chain(&trust).await.unwrap().head().unwrap().digest();
        let (records, packs) = sample.seal().await;
        let manifest = sample.manifest(2, Some(head), &records, &packs).await;
        for n in 1..=2 {
            let storage = altered(sample.repository.storage(), |_, bytes| Some(bytes)).await;
            let cut = Repository::open(storage.with_faults(Arc::new(Faults::from_put(n)))).await.unwrap();
            assert!(cut.put_manifest(manifest.clone(), &sample.signer).await.is_err());
            let repository = Repository::open(storage).await.unwrap();
            let report = repository.check(&trust, CheckDepth::Structure).await.unwrap();
            assert_eq!((report.snapshots, report.faults.len()), (1, 0), "put {n}");
            repository.put_manifest(manifest.clone(), &sample.signer).await.unwrap();
            let report = repository.check(&trust, CheckDepth::Structure).await.unwrap();
            assert_eq!((report.snapshots, report.faults.len()), (2, 0), "put {n}");
        }
    });
}

/// Names and sizes; when a file appeared is the storage's own.
async fn listed(storage: &Storage) -> Vec<(String, u64)> {
    storage.list("").await.unwrap().into_iter().map(|entry| (entry.name, entry.size)).collect()
}

#[test]
fn a_copy_is_valid_after_every_cut_and_completed_by_the_next_run() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(sample.drill());
    let trust = sample.trust();
    block_on(async {
        let whole = Storage::memory();
        let faults = Arc::new(Faults::none());
        let report =
            copy(&sample.repository, &sample.trust_now().await, &whole.with_faults(Arc::clone(&faults))).await.unwrap();
        assert_eq!(report.copied, faults.puts());
        assert_eq!(report.present, 0);
        let files = listed(&whole).await;
        assert_eq!(files, listed(sample.repository.storage()).await);
        assert_eq!(report.bytes, files.iter().map(|(_, size)| size).sum::<u64>());
        for n in 1..=faults.puts() {
            for faults in cuts(n) {
                let far = Storage::memory();
                assert!(
                    copy(&sample.repository, &sample.trust_now().await, &far.with_faults(Arc::new(faults)))
                        .await
                        .is_err(),
                    "put {n}"
                );
                if let Ok(half) = Repository::open(far.clone()).await {
                    let found = half.check(&trust, CheckDepth::Structure).await.unwrap();
                    assert_eq!(found.faults, [], "put {n}");
                }
                let finished = copy(&sample.repository, &sample.trust_now().await, &far).await.unwrap();
                assert_eq!(finished.copied + finished.present, report.copied, "put {n}");
                assert_eq!(listed(&far).await, files, "put {n}");
            }
        }
        let again = copy(&sample.repository, &sample.trust_now().await, &whole).await.unwrap();
        assert_eq!((again.copied, again.bytes, again.present), (0, 0, report.copied));
    });
}

#[test]
fn an_update_of_a_copy_never_shows_a_snapshot_that_is_not_whole() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let before = altered(sample.repository.storage(), |_, bytes| Some(bytes)).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let head = sample.repository.chain(&trust).await.unwrap().head().unwrap().digest();
        let (records, packs) = sample.seal().await;
        sample.snapshot(2, Some(head), &records, &packs).await;
        for n in 1..=5 {
            let far = altered(&before, |_, bytes| Some(bytes)).await;
            assert!(
                copy(&sample.repository, &sample.trust_now().await, &far.with_faults(Arc::new(Faults::from_put(n))))
                    .await
                    .is_err()
            );
            let half = Repository::open(far).await.unwrap();
            let report = half.check(&trust, CheckDepth::Values(&sample.recovery)).await.unwrap();
            assert_eq!((report.snapshots, report.faults.len()), (1, 0), "put {n}");
        }
    });
}

#[test]
fn a_copy_cut_off_among_several_new_epochs_can_still_be_opened() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(async {
        let far = Storage::memory();
        copy(&sample.repository, &sample.trust_now().await, &far).await.unwrap();
        let before = altered(&far, |_, bytes| Some(bytes)).await;
        for _ in 0..6 {
            let trust = sample.trust_now().await;
            sample.succeed(&trust, &sample.recovery, (&sample.signer, &[&sample.signer]), None).await;
        }
        let trust = sample.trust_now().await;
        for n in 1..=12 {
            let far = altered(&before, |_, bytes| Some(bytes)).await;
            assert!(copy(&sample.repository, &trust, &far.with_faults(Arc::new(Faults::from_put(n)))).await.is_err());
            let half = Repository::open(far).await.unwrap();
            let trust = half.trust(&sample.anchor()).await.unwrap();
            let report = half.check(&trust, CheckDepth::Values(&sample.recovery)).await.unwrap();
            assert_eq!((report.snapshots, report.faults.len()), (2, 0), "put {n}: {:?}", report.faults);
        }
    });
}

#[test]
fn damage_is_not_spread() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        for folder in ["packs/", "indexes/"] {
            let seen = altered(sample.repository.storage(), |name, bytes| {
                Some(if name.starts_with(folder) { Bytes::from_static(b"rot") } else { bytes })
            });
            let far = Storage::memory();
            let seen = Repository::open(seen.await).await.unwrap();
            let outcome = copy(&seen, &seen.trust(&sample.anchor()).await.unwrap(), &far).await;
            assert!(matches!(outcome, Err(RepoError::Damaged { ref file, .. }) if file.starts_with(folder)));
            assert!(far.list("snapshots").await.unwrap().is_empty() && !far.exists("lifeboat.json").await.unwrap());
        }
        let seen = altered(sample.repository.storage(), |name, bytes| (!name.ends_with(".age")).then_some(bytes));
        let seen = Repository::open(seen.await).await.unwrap();
        let outcome = copy(&seen, &sample.trust_now().await, &Storage::memory()).await;
        assert!(matches!(outcome, Err(RepoError::Damaged { .. })));
        // A manifest that does not count is not copied.
        let unsigned =
            |name: &str, bytes| (!name.starts_with("snapshots/") || !name.ends_with(".sig")).then_some(bytes);
        let seen = Repository::open(altered(sample.repository.storage(), unsigned).await).await.unwrap();
        let far = Storage::memory();
        copy(&seen, &sample.trust_now().await, &far).await.unwrap();
        assert_eq!(far.list("snapshots").await.unwrap(), []);
    });
}

#[test]
fn a_copy_is_never_written_over_anything_else() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
        let other = Epoch { repository: RepositoryId::from_bytes([8; 16]), ..epoch(&recovery, &signer) };
        let far = Storage::memory();
        Repository::create(far.clone(), &other, &recovery.root_signer()).await.unwrap();
        let before = far.list("").await.unwrap();
        let refused = copy(&sample.repository, &sample.trust_now().await, &far).await.unwrap_err();
        assert!(matches!(refused, RepoError::Exists(_)), "{refused}");
        assert!(refused.to_string().contains("08080808"), "{refused}");
        assert_eq!(far.list("").await.unwrap(), before);

        let newer = Storage::memory();
        newer.put_new("lifeboat.json", r#"{"version":2,"more":true}"#.into()).await.unwrap();
        assert!(matches!(
            copy(&sample.repository, &sample.trust_now().await, &newer).await,
            Err(RepoError::Newer { found: 2, .. })
        ));
        assert!(matches!(Repository::open(newer).await, Err(RepoError::Newer { found: 2, .. })));

        let epochs = sample.repository.storage().list("epochs").await.unwrap();
        for name in ["recover.py", &epochs[0].name] {
            let far = Storage::memory();
            far.put_new(name, "something else".into()).await.unwrap();
            let outcome = copy(&sample.repository, &sample.trust_now().await, &far).await;
            assert!(matches!(outcome, Err(RepoError::Damaged { ref file, .. }) if file == name), "{name}");
        }
    });
}

#[test]
fn a_copy_that_reads_back_differently_is_noticed() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        for entry in sample.repository.storage().list("").await.unwrap() {
            let faults = Arc::new(Faults::none());
            faults.alter(&entry.name, Bytes::from_static(b"rot"));
            let far = Storage::memory();
            let outcome = copy(&sample.repository, &sample.trust_now().await, &far.with_faults(faults)).await;
            assert!(outcome.is_err(), "{}", entry.name);
        }
    });
}

#[test]
fn what_is_no_repository_is_not_opened() {
    block_on(async {
        let open = |text: Option<&'static str>| async move {
            let storage = Storage::memory();
            if let Some(text) = text {
                storage.put_new("lifeboat.json", text.into()).await.unwrap();
            }
            Repository::open(storage).await
        };
        assert!(matches!(open(None).await, Err(RepoError::NotARepository(_))));
        for text in ["", "{}", "[]", r#"{"version":0}"#, r#"{"version":1}"#, r#"{"version":"1"}"#, "\u{0}"] {
            assert!(matches!(open(Some(text)).await, Err(RepoError::Damaged { .. })), "{text}");
        }
    });
}
