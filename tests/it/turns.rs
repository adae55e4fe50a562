//! Several hosts add snapshots to one repository: one linear history, whoever dies, pauses or meddles.

use std::{collections::BTreeSet, sync::Arc};

use lifeboat::{
    crypto::Signer,
    model::SnapshotId,
    repo::{CheckDepth, Manifest, RepoError, Repository, Trust, VerifiedManifest},
    storage::{Storage, faults::Faults},
};

use crate::repo_sample::{Sample, block_on};

/// A sample, what it believes, and a manifest to be added again and again.
struct Scene {
    sample: Sample,
    trust: Trust,
    draft: Manifest,
}

impl Scene {
    fn new(storage: Storage) -> Self {
        let sample = Sample::empty(storage);
        let trust = sample.trust();
        let draft = block_on(async {
            let (records, packs) = sample.seal().await;
            sample.manifest(1, None, &records, &packs).await
        });
        Self { sample, trust, draft }
    }

    fn draft(&self) -> Manifest {
        Manifest { snapshot: SnapshotId::random(), ..self.draft.clone() }
    }

    /// Adds as another host would: from what it finds.
    async fn append(&self, repository: &Repository) -> Result<VerifiedManifest, RepoError> {
        let tip = repository.chain(&self.trust).await?.tip();
        repository.append(self.draft(), &self.trust, &self.sample.signer, &tip).await
    }

    /// The ids in order, of a history that must be whole.
    async fn history(&self) -> Vec<SnapshotId> {
        let chain = self.sample.repository.chain(&self.trust).await.unwrap();
        assert_eq!(chain.faults, []);
        let numbers: Vec<u64> = chain.manifests.iter().map(|found| found.manifest().sequence).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        let report = self.sample.repository.check(&self.trust, CheckDepth::Index(&self.sample.index)).await.unwrap();
        assert_eq!(report.faults, []);
        chain.manifests.iter().map(|found| found.manifest().snapshot).collect()
    }

    async fn turns(&self) -> Vec<String> {
        let entries = self.sample.repository.storage().list("turns").await.unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    /// The same repository through a storage that breaks.
    fn through(&self, faults: Faults) -> Repository {
        let storage = self.sample.repository.storage().with_faults(Arc::new(faults));
        block_on(Repository::open(storage)).unwrap()
    }
}

/// Every host adds `each` snapshots, all at the same time; all of them are there afterwards. No signer made the first turn of
/// the numbers that are `spoiled`.
fn race(address: &str, hosts: usize, each: usize, spoiled: &[u64]) {
    let scene = Scene::new(Storage::open(address).unwrap());
    block_on(async {
        for number in spoiled {
            let name = format!("turns/{number}-1.json");
            scene.sample.repository.storage().put_new(&name, "garbage".into()).await.unwrap();
        }
    });
    // A host is a thread with a runtime of its own.
    let host = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let repository = Repository::open(Storage::open(address).unwrap()).await.unwrap();
            let mut added = Vec::new();
            for _ in 0..each {
                added.push(scene.append(&repository).await.unwrap().manifest().snapshot);
            }
            added
        })
    };
    let added: BTreeSet<SnapshotId> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..hosts).map(|_| scope.spawn(host)).collect();
        running.into_iter().flat_map(|host| host.join().unwrap()).collect()
    });
    let there = block_on(scene.history());
    assert_eq!(there.len(), hosts * each);
    assert_eq!(added, there.into_iter().collect(), "every snapshot that was told is there, and no other");
}

#[test]
fn hosts_that_append_at_once_to_a_folder_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    race(folder.path().join("repository").to_str().unwrap(), 8, 6, &[]);
}

#[test]
fn a_second_try_for_one_number_is_the_first_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let odd: Vec<u64> = (1..=24).step_by(2).collect();
    race(folder.path().join("repository").to_str().unwrap(), 6, 4, &odd);
}

#[test]
fn a_host_that_dies_at_any_write_has_its_snapshot_or_no_number() {
    // The turn, the signature, the manifest; answered or not.
    for (faults, comes_through) in [
        (Faults::from_put(1), false),
        (Faults::from_put(2), true),
        (Faults::from_put(3), true),
        (Faults::put_unanswered(1), true),
        (Faults::put_unanswered(2), true),
        (Faults::put_unanswered(3), true),
    ] {
        let scene = Scene::new(Storage::memory());
        let dying = scene.through(faults);
        block_on(async {
            assert!(scene.append(&dying).await.is_err());
            let next = scene.append(&scene.sample.repository).await.unwrap();
            let history = scene.history().await;
            assert_eq!(history.len(), 1 + usize::from(comes_through));
            assert_eq!(history.last(), Some(&next.manifest().snapshot));
            assert!(scene.turns().await.is_empty(), "old turns go");
        });
    }
}

#[test]
fn a_host_that_slept_through_others_does_not_fork() {
    let scene = Scene::new(Storage::memory());
    let repository = &scene.sample.repository;
    let (blind, storage) = (scene.through(Faults::gets("snapshots")), repository.storage());
    block_on(async {
        let old = repository.chain(&scene.trust).await.unwrap();
        let (stale, staler) = (old.tip(), old.tip());
        for _ in 0..3 {
            scene.append(repository).await.unwrap();
        }
        // It takes the first turn again, which was removed, and dies before it can see that the number is given away.
        assert!(blind.append(scene.draft(), &scene.trust, &scene.sample.signer, &stale).await.is_err());
        assert_eq!(scene.turns().await, ["turns/1-1.json"]);
        // One that knows as little finds that turn, and believes the history more.
        let added = repository.append(scene.draft(), &scene.trust, &scene.sample.signer, &staler).await.unwrap();
        assert_eq!(added.manifest().sequence, 4);
        assert_eq!(scene.history().await.len(), 4);
        assert!(storage.list("turns").await.unwrap().is_empty());
    });
}

#[test]
fn what_no_signer_made_costs_a_try_and_nothing_else() {
    let scene = Scene::new(Storage::memory());
    let repository = &scene.sample.repository;
    let (storage, dying) = (repository.storage(), scene.through(Faults::from_put(2)));
    block_on(async {
        // A genuine turn of a number that was given since, and one of a stranger.
        drop(scene.append(&dying).await);
        let genuine = storage.get("turns/1-1.json").await.unwrap();
        scene.append(repository).await.unwrap();
        let stranger = Signer::generate();
        let (theirs, tip) = (scene.draft(), repository.chain(&scene.trust).await.unwrap().tip());
        let theirs = Manifest { signer: stranger.public(), ..theirs };
        let blind = repository.storage().with_faults(Arc::new(Faults::gets("snapshots")));
        let blind = Repository::open(blind).await.unwrap();
        assert!(blind.append(theirs, &scene.trust, &stranger, &tip).await.is_err());
        assert_eq!(scene.turns().await, ["turns/3-1.json"], "the stranger's");
        for (attempt, bytes) in
            [(5, "garbage".into()), (2, genuine.clone()), (3, "{\"version\":1}".into()), (4, "".into())]
        {
            drop(storage.put_new(&format!("turns/3-{attempt}.json"), bytes).await);
        }
        let added = scene.append(repository).await.unwrap();
        assert_eq!(added.manifest().sequence, 3);
        assert_eq!(scene.history().await.len(), 3);
        assert!(scene.turns().await.is_empty());
        // One less than what must be said.
        for attempt in 1..=99 {
            storage.put_new(&format!("turns/4-{attempt}.json"), "garbage".into()).await.unwrap();
        }
        assert_eq!(scene.append(repository).await.unwrap().manifest().sequence, 4);
        // So many that it must be said.
        for attempt in 1..=100 {
            storage.put_new(&format!("turns/5-{attempt}.json"), "garbage".into()).await.unwrap();
        }
        let error = scene.append(repository).await.unwrap_err();
        assert!(matches!(&error, RepoError::Untrusted { file, .. } if file.starts_with("turns/5-")), "{error}");
        assert_eq!(scene.history().await.len(), 4);
    });
}

#[test]
fn a_name_that_an_attacker_took_is_given_up() {
    let scene = Scene::new(Storage::memory());
    let storage = scene.sample.repository.storage();
    let dying = scene.through(Faults::from_put(2));
    block_on(async {
        drop(scene.append(&dying).await);
        let turn: serde_json::Value = serde_json::from_slice(&storage.get("turns/1-1.json").await.unwrap()).unwrap();
        let manifest: Manifest = serde_json::from_str(turn["manifest"].as_str().unwrap()).unwrap();
        let stem = format!("{}-{}", manifest.time.strftime("%Y%m%dT%H%M%SZ"), manifest.snapshot.short());
        storage.put_new(&format!("snapshots/0/{stem}.json.sig"), "mine".into()).await.unwrap();
        let added = scene.append(&scene.sample.repository).await.unwrap();
        assert_eq!(scene.history().await, [added.manifest().snapshot]);
    });
}

#[test]
fn old_turns_that_may_not_be_removed_do_no_harm() {
    let scene = Scene::new(Storage::memory());
    let locked = scene.through(Faults::locked());
    block_on(async {
        for number in 1..=3 {
            assert_eq!(scene.append(&locked).await.unwrap().manifest().sequence, number);
        }
        assert_eq!(scene.turns().await.len(), 3);
        assert_eq!(scene.history().await.len(), 3);
        let copy = Storage::memory();
        lifeboat::repo::copy(&scene.sample.repository, &scene.trust, &copy).await.unwrap();
        assert!(copy.list("turns").await.unwrap().is_empty(), "a copy is no place to append to");
    });
}

#[test]
fn a_host_whose_snapshot_others_stored_and_followed_adds_it_once() {
    // Whichever of the two is listed first.
    for follower in [0, 2] {
        let scene = Scene::new(Storage::memory());
        let (repository, dying) = (&scene.sample.repository, scene.through(Faults::from_put(2)));
        let signer = &scene.sample.signer;
        let draft = |id| Manifest { snapshot: SnapshotId::from_bytes([id; 16]), ..scene.draft() };
        block_on(async {
            let empty = repository.chain(&scene.trust).await.unwrap();
            let [tip, other, stale] = [(); 3].map(|()| empty.tip());
            drop(dying.append(draft(1), &scene.trust, signer, &tip).await);
            repository.append(draft(follower), &scene.trust, signer, &other).await.unwrap();
            assert_eq!(scene.history().await.len(), 2);
            let added = repository.append(draft(1), &scene.trust, signer, &stale).await.unwrap();
            assert_eq!((added.manifest().sequence, added.manifest().snapshot), (1, draft(1).snapshot));
            assert_eq!(scene.history().await.len(), 2);
            assert!(scene.turns().await.is_empty());
        });
    }
}

#[test]
fn a_turn_of_an_earlier_epoch_is_not_stored_after_a_later_one() {
    let scene = Scene::new(Storage::memory());
    let (repository, signer) = (&scene.sample.repository, &scene.sample.signer);
    let dying = [(); 2].map(|()| scene.through(Faults::from_put(2)));
    block_on(async {
        scene.append(repository).await.unwrap();
        let stale = repository.chain(&scene.trust).await.unwrap().tip();
        scene.sample.succeed(&scene.trust, &scene.sample.recovery, (signer, &[signer]), None).await;
        let trust = scene.sample.trust_now().await;
        let now = async || repository.chain(&trust).await.unwrap().tip();
        let draft = || Manifest { epoch: 2, ..scene.draft() };
        repository.append(draft(), &trust, signer, &now().await).await.unwrap();
        // Both knew when they began that the second epoch was in use.
        for (number, tip, dying) in [(3, now().await, &dying[0]), (4, stale, &dying[1])] {
            drop(dying.append(scene.draft(), &trust, signer, &now().await).await);
            assert_eq!(scene.turns().await, [format!("turns/{number}-1.json")]);
            let added = repository.append(draft(), &trust, signer, &tip).await.unwrap();
            assert_eq!((added.manifest().sequence, added.manifest().epoch), (number, 2));
            assert_eq!(repository.chain(&trust).await.unwrap().faults, []);
        }
    });
}

#[test]
fn a_late_twin_does_not_move_the_head_back() {
    let scene = Scene::new(Storage::memory());
    let repository = &scene.sample.repository;
    block_on(async {
        for _ in 0..3 {
            scene.append(repository).await.unwrap();
        }
        let chain = repository.chain(&scene.trust).await.unwrap();
        let twin = Manifest { snapshot: SnapshotId::random(), ..chain.manifests[1].manifest().clone() };
        repository.put_manifest(twin, &scene.sample.signer).await.unwrap();
        let tip = chain.tip();
        let added = repository.append(scene.draft(), &scene.trust, &scene.sample.signer, &tip).await.unwrap();
        assert_eq!(
            (added.manifest().sequence, added.manifest().previous),
            (4, chain.head().map(lifeboat::repo::VerifiedManifest::digest))
        );
    });
}

#[test]
fn only_an_own_manifest_takes_a_turn() {
    let scene = Scene::new(Storage::memory());
    let (repository, stranger) = (&scene.sample.repository, Signer::generate());
    block_on(async {
        let foreign = Manifest { repository: lifeboat::model::RepositoryId::from_bytes([1; 16]), ..scene.draft() };
        let newer = Manifest { version: 2, ..scene.draft() };
        for (draft, signer) in
            [(foreign, &scene.sample.signer), (newer, &scene.sample.signer), (scene.draft(), &stranger)]
        {
            let tip = repository.chain(&scene.trust).await.unwrap().tip();
            let refused = repository.append(draft, &scene.trust, signer, &tip).await;
            assert!(matches!(refused, Err(RepoError::Untrusted { .. })), "{refused:?}");
        }
        assert!(scene.turns().await.is_empty());
    });
}

#[test]
fn what_is_no_manifest_or_turn_that_can_be_read_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repository");
    let scene = Scene::new(Storage::open(root.to_str().unwrap()).unwrap());
    let (repository, storage) = (&scene.sample.repository, scene.sample.repository.storage());
    block_on(async {
        let tip = repository.chain(&scene.trust).await.unwrap().tip();
        std::fs::create_dir_all(root.join("snapshots/0/20260101T000000Z-00000000.json/x")).unwrap();
        let socket = root.join("snapshots/0/20260101T000000Z-00000001.json");
        let _socket = std::os::unix::net::UnixListener::bind(socket).unwrap();
        storage.put_new("turns/1-1.json", vec![b' '; (16 << 20) + 1].into()).await.unwrap();
        storage.put_new("turns/9-1.json", "of a later number".into()).await.unwrap();
        storage.put_new("turns/readme", "of none".into()).await.unwrap();
        let added = repository.append(scene.draft(), &scene.trust, &scene.sample.signer, &tip).await.unwrap();
        assert_eq!(added.manifest().sequence, 1);
        assert_eq!(scene.turns().await, ["turns/9-1.json", "turns/readme"]);
    });
}

#[test]
fn what_is_known_is_read_once() {
    let scene = Scene::new(Storage::memory());
    let faults = Arc::new(Faults::none());
    block_on(async {
        for _ in 0..3 {
            scene.append(&scene.sample.repository).await.unwrap();
        }
        let storage = scene.sample.repository.storage().with_faults(faults.clone());
        let counted = Repository::open(storage).await.unwrap();
        let tip = counted.chain(&scene.trust).await.unwrap().tip();
        // No manifest has so many bytes: it is not read at all.
        let large = "snapshots/0/20260101T000000Z-00000000.json";
        counted.storage().put_new(large, vec![b' '; (64 << 10) + 1].into()).await.unwrap();
        let mut costs = BTreeSet::new();
        for _ in 0..3 {
            let before = (faults.reads(), faults.puts());
            counted.append(scene.draft(), &scene.trust, &scene.sample.signer, &tip).await.unwrap();
            costs.insert((faults.reads() - before.0, faults.puts() - before.1));
        }
        assert_eq!(costs.len(), 1, "reads and writes: {costs:?}");
        assert_eq!(costs.first().unwrap().1, 3, "the turn, the signature and the manifest");
    });
}

#[test]
fn the_number_after_another_hosts_begins_with_its_first_turn() {
    let scene = Scene::new(Storage::memory());
    let (dying, locked) = (scene.through(Faults::from_put(3)), scene.through(Faults::locked()));
    block_on(async {
        scene.sample.repository.storage().put_new("turns/1-1.json", "garbage".into()).await.unwrap();
        drop(scene.append(&dying).await);
        assert_eq!(scene.append(&locked).await.unwrap().manifest().sequence, 2);
        assert_eq!(scene.turns().await, ["turns/1-1.json", "turns/1-2.json", "turns/2-1.json"]);
    });
}

#[test]
fn another_id_is_taken_where_a_file_has_the_name_of_the_own() {
    let scene = Scene::new(Storage::memory());
    let repository = &scene.sample.repository;
    block_on(async {
        let (draft, tip) = (scene.draft(), repository.chain(&scene.trust).await.unwrap().tip());
        let stem = format!("{}-{}", draft.time.strftime("%Y%m%dT%H%M%SZ"), draft.snapshot.short());
        repository.storage().put_new(&format!("snapshots/0/{stem}.json.sig"), "mine".into()).await.unwrap();
        let added = repository.append(draft.clone(), &scene.trust, &scene.sample.signer, &tip).await.unwrap();
        assert_eq!(added.manifest().sequence, 1);
        assert_ne!(added.manifest().snapshot, draft.snapshot);
    });
}

/// A manifest's exact text as the format has it.
fn text(manifest: &Manifest) -> String {
    format!("{}\n", serde_json::to_string_pretty(manifest).unwrap())
}

#[test]
fn a_turn_that_does_not_follow_the_head_is_nobodys() {
    for (sequence, previous) in [(2, None), (1, Some(lifeboat::model::Digest::of(b"none")))] {
        let scene = Scene::new(Storage::memory());
        let (repository, signer) = (&scene.sample.repository, &scene.sample.signer);
        block_on(async {
            let manifest = text(&Manifest { sequence, previous, ..scene.draft() });
            let signature = signer.sign(lifeboat::crypto::Namespace::Manifest, manifest.as_bytes());
            let turn = serde_json::json!({ "version": 1, "manifest": manifest, "signature": signature });
            repository.storage().put_new("turns/1-1.json", turn.to_string().into()).await.unwrap();
            let added = scene.append(repository).await.unwrap();
            assert_eq!(scene.history().await, [added.manifest().snapshot], "{sequence}");
        });
    }
}

#[test]
fn a_manifest_of_the_greatest_size_is_seen_and_none_that_is_larger() {
    for (size, number) in [(64 << 10, 2), ((64 << 10) + 1, 1)] {
        let scene = Scene::new(Storage::memory());
        let (repository, signer) = (&scene.sample.repository, &scene.sample.signer);
        block_on(async {
            let tip = repository.chain(&scene.trust).await.unwrap().tip();
            let mut large = scene.draft();
            large.tool = "x".repeat(size - text(&large).len() + large.tool.len());
            let (bytes, stem) = (text(&large), large.time.strftime("%Y%m%dT%H%M%SZ"));
            assert_eq!(bytes.len(), size);
            let name = format!("snapshots/0/{stem}-{}.json", large.snapshot.short());
            let signature = signer.sign(lifeboat::crypto::Namespace::Manifest, bytes.as_bytes());
            repository.storage().put_new(&format!("{name}.sig"), signature.into()).await.unwrap();
            repository.storage().put_new(&name, bytes.into()).await.unwrap();
            let added = repository.append(scene.draft(), &scene.trust, signer, &tip).await.unwrap();
            assert_eq!(added.manifest().sequence, number);
        });
    }
}
