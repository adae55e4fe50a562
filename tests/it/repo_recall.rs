//! What a host remembers of a long history costs what is new, and is believed only while it is as it was.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use lifeboat::{
    model::{Digest, SnapshotId},
    progress::Silent,
    repo::{Chain, CheckDepth, FaultKind, Manifest, Repository, Standing, StoredDrill, Trust, Witness, copy_with},
    storage::{Storage, faults::Faults},
};

use crate::repo_sample::{Sample, block_on, forget, sweep, time};

/// Adds snapshots up to a number, all of one index.
pub async fn grow(sample: &Sample, until: u64) {
    let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
    let chain = sample.repository.chain(&trust).await.unwrap();
    let (mut last, mut manifest) = if let Some(head) = chain.head() {
        (Some(head.witness()), head.manifest().clone())
    } else {
        let (records, packs) = sample.seal().await;
        (None, sample.manifest(1, None, &records, &packs).await)
    };
    for sequence in last.map_or(0, |last| last.sequence) + 1..=until {
        manifest.sequence = sequence;
        manifest.previous = last.map(|last| last.manifest);
        manifest.snapshot =
            SnapshotId::from_bytes(Digest::of(&sequence.to_be_bytes()).as_bytes()[..16].try_into().unwrap());
        manifest.time = time(i64::try_from(sequence).unwrap());
        manifest.full.time = manifest.time;
        manifest.source.region = format!("eu-{}-1", sequence % 3);
        let found = sample.repository.put_manifest(manifest.clone(), &sample.signer).await.unwrap();
        last = Some(found.witness());
    }
}

/// A history of runs that make bundles as they are due.
pub async fn grow_with_bundles(sample: &Sample, until: u64) {
    for last in (64..=until).step_by(64).chain(Some(until)) {
        grow(sample, last).await;
        sample.repository.bundle_after((last - 1) / 64 * 64, last).await.unwrap();
    }
}

struct Seen {
    chain: Chain,
    reads: u64,
}

async fn recent(storage: &Storage, trust: &Trust, memory: &Path) -> Seen {
    let faults = Arc::new(Faults::none());
    let repository = Repository::open(storage.clone().with_faults(Arc::clone(&faults))).await.unwrap();
    let before = faults.reads();
    let chain = repository.remembering(memory.to_owned()).recent_chain(trust).await.unwrap();
    Seen { chain, reads: faults.reads() - before }
}

fn same(recent: &Chain, whole: &Chain) {
    assert!(whole.is_whole() && recent.faults.is_empty() && whole.faults.is_empty());
    assert_eq!((recent.count(), recent.witness()), (whole.count(), whole.witness()));
    let newest = |chain: &Chain| {
        chain.newest().into_iter().map(|(place, found)| (place.clone(), found.witness())).collect::<Vec<_>>()
    };
    assert_eq!(newest(recent), newest(whole));
    for found in &whole.manifests {
        let witness = found.witness();
        assert_eq!(recent.standing(&witness), whole.standing(&witness), "number {}", witness.sequence);
        let other = Witness { manifest: Digest::of(b"another"), ..witness };
        assert_eq!(recent.standing(&other), Standing::Forked);
        assert_eq!(recent.newer_than(witness.sequence), whole.newer_than(witness.sequence));
    }
}

#[test]
fn the_cost_of_a_look_does_not_grow_with_the_history() {
    let (sample, folder) = (Sample::empty(Storage::memory()), tempfile::tempdir().unwrap());
    let memory = folder.path().join("history");
    block_on(async {
        let storage = sample.repository.storage().clone();
        let mut reads = Vec::new();
        for until in [10, 300, 700, 1_200, 1_500] {
            grow(&sample, until).await;
            let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
            // The second look remembers what it did not read.
            for _ in 0..2 {
                recent(&storage, &trust, &memory).await;
            }
            let seen = recent(&storage, &trust, &memory).await;
            same(&seen.chain, &sample.repository.chain(&trust).await.unwrap());
            reads.push(seen.reads);
        }
        assert!(reads.iter().all(|count| *count <= reads[0] + 3), "{reads:?}");
        assert!(std::fs::metadata(&memory).unwrap().len() < 2 << 20);
    });
}

#[test]
fn whatever_is_changed_in_an_old_folder_is_seen_within_a_few_looks() {
    let (sample, folder) = (Sample::empty(Storage::memory()), tempfile::tempdir().unwrap());
    block_on(async {
        grow(&sample, 1_100).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let whole = sample.repository.chain(&trust).await.unwrap();
        let victim = whole.manifests[300].file();
        let newest = whole.head().unwrap().file();
        let memory = folder.path().join("history");
        recent(sample.repository.storage(), &trust, &memory).await;
        let remembered = std::fs::read(&memory).unwrap();
        for (what, change) in [("removed", None), ("altered", Some(Bytes::from_static(b"{}\n")))] {
            let seen = crate::repo_sample::altered(sample.repository.storage(), |name, bytes| {
                if name == victim { change.clone() } else { Some(bytes) }
            });
            let storage = seen.await;
            std::fs::write(&memory, &remembered).unwrap();
            let mut found = false;
            // One of the sixteen full folders in each look.
            for _ in 0..16 {
                found |= !recent(&storage, &trust, &memory).await.chain.faults.is_empty();
            }
            assert!(found, "{what}");
            assert!(!Repository::open(storage).await.unwrap().chain(&trust).await.unwrap().faults.is_empty());
        }
        // The newest ones are looked at each time.
        let storage =
            crate::repo_sample::altered(sample.repository.storage(), |name, bytes| (name != newest).then_some(bytes));
        std::fs::write(&memory, &remembered).unwrap();
        let seen = recent(&storage.await, &trust, &memory).await;
        let head = whole.witness().unwrap();
        assert_eq!(seen.chain.standing(&head), Standing::RolledBack { newest: 1_099 });
        let storage = crate::repo_sample::altered(sample.repository.storage(), |name, bytes| {
            Some(if name == newest { Bytes::from_static(b"{}\n") } else { bytes })
        });
        std::fs::write(&memory, &remembered).unwrap();
        let seen = recent(&storage.await, &trust, &memory).await;
        assert_eq!(seen.chain.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Damaged]);
        // A file that is no memory, or of another trust, is none.
        std::fs::write(&memory, "{}").unwrap();
        same(&recent(sample.repository.storage(), &trust, &memory).await.chain, &whole);
    });
}

#[test]
fn a_reader_without_memory_asks_for_bundles_and_believes_none() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        grow_with_bundles(&sample, 1_100).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let storage = sample.repository.storage().clone();
        let faults = Arc::new(Faults::none());
        let cold = Repository::open(storage.clone().with_faults(Arc::clone(&faults))).await.unwrap();
        let whole = sample.repository.chain(&trust).await.unwrap();
        let before = faults.reads();
        let seen = cold.chain(&trust).await.unwrap();
        assert_eq!((seen.count(), seen.witness(), seen.faults.len()), (whole.count(), whole.witness(), 0));
        // 12 manifests with their signatures are in no bundle yet; and a few listings and bundles.
        assert!(faults.reads() - before < 2 * 12 + 20, "{}", faults.reads() - before);

        // A bundle full of lies: what it says of other files is not believed, and what folders list is.
        let bundle = storage.list("bundles").await.unwrap()[0].name.clone();
        let lies = zstd_of(&format!(
            "{{\"name\":\"0/20260921T143320Z-00000000.json\",\"manifest\":{},\"signature\":\"x\"}}\n",
            serde_json::to_string(&forged(&whole.manifests[3].manifest().clone())).unwrap()
        ));
        let name = format!("bundles/0-{}.zst", Digest::of(&lies));
        let storage = crate::repo_sample::altered(&storage, |name, bytes| (name != bundle).then_some(bytes)).await;
        storage.put_new(&name, lies.into()).await.unwrap();
        let seen = Repository::open(storage).await.unwrap().chain(&trust).await.unwrap();
        assert_eq!((seen.count(), seen.witness(), seen.faults.len()), (whole.count(), whole.witness(), 0));
    });
}

#[test]
fn a_bundle_does_not_hide_what_is_gone() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        grow_with_bundles(&sample, 800).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let storage = sample.repository.storage().clone();
        let victim = sample.repository.chain(&trust).await.unwrap().manifests[20].file();
        for (gone, kind) in [(victim.clone(), FaultKind::Gap), (format!("{victim}.sig"), FaultKind::Unsigned)] {
            let storage = crate::repo_sample::altered(&storage, |name, bytes| (*name != gone).then_some(bytes)).await;
            let seen = Repository::open(storage).await.unwrap().chain(&trust).await.unwrap();
            assert!(seen.faults.iter().any(|fault| fault.kind == kind), "{gone}: {:?}", seen.faults);
        }
    });
}

#[test]
fn a_bundle_goes_with_a_manifest_that_is_forgotten() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        grow_with_bundles(&sample, 800).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let storage = sample.repository.storage().clone();
        let bundles = async |number: &str| {
            let entries = storage.list("bundles").await.unwrap().into_iter();
            let names = entries.map(|entry| entry.name).filter(|name| name.starts_with(&format!("bundles/{number}-")));
            names.collect::<Vec<_>>()
        };
        let before = bundles("1").await;
        assert_eq!((bundles("0").await.len(), before.len(), bundles("2").await.len()), (3, 3, 3), "of 64, 128 and 256");
        let chain = sample.repository.chain(&trust).await.unwrap();
        let forgotten = &chain.manifests[300];
        let id = forgotten.manifest().snapshot.to_string();
        let names = [forgotten.name().to_owned()].into();
        forget(&sample.repository, &trust, &names, (time(801), time(802)), &sample.signer).await.unwrap();
        grow(&sample, 803).await;
        let none = std::collections::BTreeSet::new();
        let late = time(10 * 365 * 86_400);
        // Cut off when the bundles are gone and the manifest is not, and run again.
        let cut = Repository::open(storage.clone().with_faults(Arc::new(Faults::from_remove(4)))).await.unwrap();
        sweep(&cut, &trust, &sample.signer, late, &none).await.unwrap_err();
        assert!(storage.exists(&forgotten.file()).await.unwrap() && bundles("1").await.is_empty());
        sweep(&sample.repository, &trust, &sample.signer, late, &none).await.unwrap();
        let again = bundles("1").await;
        assert!(again.len() == 1 && !before.contains(&again[0]), "{again:?}");
        assert_eq!((bundles("0").await.len(), bundles("2").await.len()), (3, 3), "others stay");
        for entry in storage.list("bundles").await.unwrap() {
            let bytes = zstd::bulk::decompress(&storage.get(&entry.name).await.unwrap(), 32 << 20).unwrap();
            assert!(!String::from_utf8(bytes).unwrap().contains(&id), "{}", entry.name);
        }
        let faults = Arc::new(Faults::none());
        let cold = Repository::open(storage.clone().with_faults(Arc::clone(&faults))).await.unwrap();
        let before = faults.reads();
        assert!(cold.chain(&trust).await.unwrap().faults.is_empty());
        assert!(faults.reads() - before < 2 * 35 + 20, "{}", faults.reads() - before);
    });
}

#[test]
fn a_daily_copy_costs_what_is_new_and_a_copy_that_lost_something_is_looked_at_whole() {
    let (sample, folder) = (Sample::empty(Storage::memory()), tempfile::tempdir().unwrap());
    block_on(async {
        grow(&sample, 700).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let (from, to) = (sample.repository.storage().clone(), Storage::memory());
        let host =
            || async { Repository::open(from.clone()).await.unwrap().remembering(folder.path().join("history")) };
        let first = host().await;
        let judgement = first.judge_recent(&trust, &[]).await.unwrap();
        copy_with(&first, &trust, &judgement, &to, (None, &Silent)).await.unwrap();
        let held = judgement.chain().witness();
        let manifests = async |storage: &Storage| storage.list("snapshots").await.unwrap().len();
        assert_eq!(manifests(&to).await, 1_400, "a first copy is whole, also of a history that was not read whole");

        grow(&sample, 702).await;
        let faults = Arc::new(Faults::none());
        let counted = to.clone().with_faults(Arc::clone(&faults));
        let host = host().await;
        let judgement = host.judge_recent(&trust, &[]).await.unwrap();
        assert!(!judgement.chain().is_whole());
        let report = copy_with(&host, &trust, &judgement, &counted, (held, &Silent)).await.unwrap();
        assert_eq!((report.behind, manifests(&to).await), (2, 1_404));
        assert!(faults.reads() < 40 && faults.puts() < 8, "{} reads, {} puts", faults.reads(), faults.puts());

        // The head that this host saw there is gone: everything is looked at, and brought back.
        let head = judgement.chain().head().unwrap();
        for name in [head.file(), judgement.chain().manifests[0].file()] {
            to.remove(&name).await.unwrap();
        }
        let report = copy_with(&host, &trust, &judgement, &to, (judgement.chain().witness(), &Silent)).await.unwrap();
        assert_eq!((report.behind, manifests(&to).await), (2, 1_404));
        let copy = Repository::open(to).await.unwrap();
        assert!(copy.check(&trust, CheckDepth::Structure).await.unwrap().faults.is_empty());
    });
}

fn forged(manifest: &Manifest) -> String {
    serde_json::to_string_pretty(manifest).unwrap()
}

fn zstd_of(text: &str) -> Vec<u8> {
    zstd::bulk::compress(text.as_bytes(), 1).unwrap()
}

#[test]
fn records_of_forgetting_and_of_drills_are_read_once_and_looked_at_each_time() {
    let (sample, folder) = (Sample::empty(Storage::memory()), tempfile::tempdir().unwrap());
    let memory = folder.path().join("history");
    block_on(async {
        grow(&sample, 30).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let look = async |storage: &Storage| {
            let faults = Arc::new(Faults::none());
            let repository = Repository::open(storage.clone().with_faults(Arc::clone(&faults))).await.unwrap();
            let before = faults.reads();
            let history = repository.remembering(memory.clone()).recent_history(&trust).await.unwrap();
            (faults.reads() - before, history)
        };
        let storage = sample.repository.storage().clone();
        look(&storage).await;
        let few = look(&storage).await.0;
        let whole = sample.repository.chain(&trust).await.unwrap();
        for found in &whole.manifests[..20] {
            let names = [found.name().to_owned()].into();
            let window = (time(40), time(50));
            crate::repo_sample::forget(&sample.repository, &trust, &names, window, &sample.signer).await.unwrap();
            let id = SnapshotId::random();
            sample.repository.put_drill(time(60), id, Bytes::from_static(b"{}\n"), &sample.signer).await.unwrap();
        }
        assert!(look(&storage).await.0 >= few + 80);
        let (many, history) = look(&storage).await;
        assert_eq!(many, few, "nothing new is read");
        let again = sample.repository.history(&trust).await.unwrap();
        assert_eq!((history.chain.records.len(), history.drills.len()), (20, 20));
        assert_eq!(history.chain.records, again.chain.records);
        let bytes =
            |drills: &[StoredDrill]| drills.iter().map(|it| (it.name.clone(), it.bytes.clone())).collect::<Vec<_>>();
        assert_eq!(bytes(&history.drills), bytes(&again.drills));

        let record = format!("forgotten/{}.json", again.chain.records[3].name);
        let drill = format!("drills/{}.json", again.drills[3].name);
        for (name, change) in [(&record, None), (&record, Some("{} \n")), (&drill, None), (&drill, Some("{} \n"))] {
            let storage = crate::repo_sample::altered(&storage, |file, bytes| {
                if file == name { change.map(|text| Bytes::from_static(text.as_bytes())) } else { Some(bytes) }
            });
            let (_, seen) = look(&storage.await).await;
            let forged = seen.drills.iter().filter(|drill| drill.bytes != "{}\n").count();
            let gone = (20 - seen.chain.records.len(), 20 - seen.drills.len(), forged, seen.chain.faults.len());
            let is_drill = name == &drill;
            let expected = match (is_drill, change) {
                (false, None) => (1, 0, 0, 0),
                (false, Some(_)) => (1, 0, 0, 1),
                (true, None) => (0, 1, 0, 0),
                (true, Some(_)) => (0, 0, 1, 0),
            };
            assert_eq!(gone, expected, "{name} {change:?}");
        }
    });
}
