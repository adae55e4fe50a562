//! Bundles of what retention leaves: few requests for a reader that remembers nothing, and no word of theirs is believed.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use lifeboat::{
    model::Digest,
    progress::Silent,
    repo::{Chain, CheckDepth, Fault, FaultKind, Repository, Trust, copy_with},
    storage::{Storage, faults::Faults},
};

use crate::{
    repo_recall::{grow, grow_with_bundles},
    repo_sample::{Sample, altered, block_on, forget, sweep, time},
};

/// Long after every window.
fn late() -> jiff::Timestamp {
    time(10 * 365 * 86_400)
}

/// Forgets all snapshots but every so many'th, in so many records, and removes them.
async fn thin(sample: &Sample, trust: &Trust, (each, records): (usize, usize)) {
    let chain = sample.repository.chain(trust).await.unwrap();
    let last = chain.manifests.len() - 1;
    let going: Vec<String> = (chain.manifests.iter().enumerate())
        .filter(|(at, _)| at % each != 0 && *at != last)
        .map(|(_, found)| found.name().to_owned())
        .collect();
    for (number, part) in (0_i64..).zip(going.chunks(going.len().div_ceil(records))) {
        let names = part.iter().cloned().collect();
        // Of before the newest snapshot, which has a minute for each number.
        let times = (time(1_900 + number), time(1_901 + number));
        forget(&sample.repository, trust, &names, times, &sample.signer).await.unwrap();
    }
    let newest = chain.last_number();
    grow(sample, newest + 1).await;
    sample.repository.bundle_after(newest, newest + 1).await.unwrap();
    let newest = sample.repository.chain(trust).await.unwrap().head().unwrap().clone();
    assert_eq!(newest.manifest().sequence, last as u64 + 2);
}

/// 2,100 snapshots, of which every hundredth and the newest two stay when what so many records forget is swept.
fn forgetting(records: usize) -> (Sample, Trust, Storage) {
    let sample = Sample::empty(Storage::memory());
    let trust = block_on(async {
        grow_with_bundles(&sample, 2_100).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        thin(&sample, &trust, (100, records)).await;
        trust
    });
    let storage = sample.repository.storage().clone();
    (sample, trust, storage)
}

async fn sweep_all(sample: &Sample, trust: &Trust) -> u64 {
    sweep(&sample.repository, trust, &sample.signer, late(), &BTreeSet::new()).await.unwrap().snapshots
}

/// The history as a machine reads it that remembers nothing, and the requests.
async fn cold(storage: &Storage, trust: &Trust) -> (Chain, u64) {
    let faults = Arc::new(Faults::none());
    let repository = Repository::open(storage.clone().with_faults(Arc::clone(&faults))).await.unwrap();
    let before = faults.reads();
    let chain = repository.chain(trust).await.unwrap();
    (chain, faults.reads() - before)
}

async fn bundles(storage: &Storage, of: &str) -> Vec<String> {
    let entries = storage.list("bundles").await.unwrap().into_iter();
    entries.map(|entry| entry.name).filter(|name| name.starts_with(&format!("bundles/{of}-"))).collect()
}

/// The lines of a bundle.
async fn text(storage: &Storage, name: &str) -> String {
    let bytes = zstd::bulk::decompress(&storage.get(name).await.unwrap(), 32 << 20).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn same(seen: &Chain, whole: &Chain) {
    assert_eq!(
        (seen.count(), seen.witness(), seen.records.len()),
        (whole.count(), whole.witness(), whole.records.len())
    );
    assert_eq!((&seen.faults[..], &whole.faults[..]), (&[][..], &[][..]));
}

async fn faults_of_check(storage: Storage, trust: &Trust) -> Vec<Fault> {
    let repository = Repository::open(storage).await.unwrap();
    repository.check(trust, CheckDepth::Structure).await.unwrap().faults
}

/// One byte is another one.
fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bytes.into()
}

#[test]
fn what_retention_leaves_in_many_folders_is_read_at_once() {
    let (sample, trust, storage) = forgetting(12);
    block_on(async {
        assert_eq!(sweep_all(&sample, &trust).await, 2_078);
        // The 21 that stay are in 21 folders, and the records are of one month.
        assert_eq!((bundles(&storage, "kept").await.len(), bundles(&storage, "forgotten-202609").await.len()), (1, 1));
        let whole = sample.repository.chain(&trust).await.unwrap();
        let (seen, reads) = cold(&storage, &trust).await;
        same(&seen, &whole);
        assert!(reads < 12, "{reads}");

        // Without them the same is read file by file.
        let bare = altered(&storage, |name, bytes| (!name.starts_with("bundles/")).then_some(bytes)).await;
        let (seen, reads) = cold(&bare, &trust).await;
        same(&seen, &whole);
        assert!(reads > 2 * (21 + 12), "{reads}");

        // A copy has them too.
        let copy = Storage::memory();
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        copy_with(&sample.repository, &trust, &judgement, &copy, (None, &Silent)).await.unwrap();
        let (seen, reads) = cold(&copy, &trust).await;
        same(&seen, &whole);
        assert!(reads < 12, "{reads}");

        // A second sweep has nothing to add.
        let before = storage.list("bundles").await.unwrap();
        assert_eq!(sweep_all(&sample, &trust).await, 0);
        assert_eq!(storage.list("bundles").await.unwrap(), before);
    });
}

#[test]
fn what_goes_is_in_no_bundle_and_a_months_records_are_in_one() {
    let (sample, trust, storage) = forgetting(4);
    block_on(async {
        sweep_all(&sample, &trust).await;
        let (kept, records) = (bundles(&storage, "kept").await, bundles(&storage, "forgotten-202609").await);
        let chain = sample.repository.chain(&trust).await.unwrap();
        let copy = Storage::memory();
        let copied = async || {
            let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
            copy_with(&sample.repository, &trust, &judgement, &copy, (None, &Silent)).await.unwrap();
        };
        copied().await;
        let gone = &chain.manifests[3];
        for (at, number) in [3, 5, 7].into_iter().zip(0_i64..) {
            let names = [chain.manifests[at].name().to_owned()].into();
            let times = (time(2_000 + number), time(2_001 + number));
            forget(&sample.repository, &trust, &names, times, &sample.signer).await.unwrap();
        }
        grow(&sample, chain.last_number() + 1).await;
        // Cut off when the bundle is gone and the manifest is not, and run again.
        let cut = Repository::open(storage.clone().with_faults(Arc::new(Faults::from_remove(2)))).await.unwrap();
        sweep(&cut, &trust, &sample.signer, late(), &BTreeSet::new()).await.unwrap_err();
        assert!(storage.exists(&gone.file()).await.unwrap() && bundles(&storage, "kept").await.is_empty());
        assert_eq!(sweep_all(&sample, &trust).await, 3);
        let again = (bundles(&storage, "kept").await, bundles(&storage, "forgotten-202609").await);
        assert_eq!((again.0.len(), again.1.len()), (1, 1));
        assert!(again.0 != kept && again.1 != records, "{again:?}");
        assert!(!text(&storage, &again.0[0]).await.contains(&gone.manifest().snapshot.to_string()));
        assert_eq!(text(&storage, &again.1[0]).await.lines().count(), 7);
        let (seen, reads) = cold(&storage, &trust).await;
        same(&seen, &sample.repository.chain(&trust).await.unwrap());
        assert!(reads < 12, "{reads}");

        // A copy gets the new ones, and loses those that they replace when it is swept.
        copied().await;
        assert_eq!((bundles(&copy, "kept").await.len(), bundles(&copy, "forgotten-202609").await.len()), (2, 2));
        let there = Repository::open(copy.clone()).await.unwrap();
        sweep(&there, &trust, &sample.signer, late(), &BTreeSet::new()).await.unwrap();
        assert_eq!((bundles(&copy, "kept").await, bundles(&copy, "forgotten-202609").await), again);
        same(&cold(&copy, &trust).await.0, &sample.repository.chain(&trust).await.unwrap());
    });
}

#[test]
fn a_bundle_of_records_is_believed_in_nothing() {
    let (sample, trust, storage) = forgetting(6);
    block_on(async {
        sweep_all(&sample, &trust).await;
        let name = bundles(&storage, "forgotten-202609").await.remove(0);
        let text = text(&storage, &name).await;
        let whole = sample.repository.chain(&trust).await.unwrap();
        let of = |text: &str| {
            let bytes = Bytes::from(zstd::bulk::compress(text.as_bytes(), 1).unwrap());
            (format!("bundles/forgotten-202609-{}.zst", Digest::of(&bytes)), bytes)
        };
        let put = async |(other, lies): (String, Bytes)| {
            let to = altered(&storage, |file, bytes| (*file != *name).then_some(bytes)).await;
            to.put_new(&other, lies).await.unwrap();
            to
        };

        // Records that no folder lists, and nothing else.
        let unlisted = of(&text.replace('T', "t"));
        let (seen, _) = cold(&put(unlisted).await, &trust).await;
        same(&seen, &whole);
        let moved = text.lines().next().unwrap().replace("20260922T", "20260923T");
        let (seen, _) = cold(&put(of(&moved)).await, &trust).await;
        same(&seen, &whole);

        // A record that is gone is not brought back by a bundle: what it excused is missing.
        let record = storage.list("forgotten").await.unwrap()[0].name.clone();
        let gone =
            altered(&storage, |file, bytes| (*file != *record && *file != *format!("{record}.sig")).then_some(bytes));
        let (seen, _) = cold(&gone.await, &trust).await;
        assert!(seen.faults.iter().any(|fault| fault.kind == FaultKind::Gap), "{:?}", seen.faults);

        // The right size and another text: it is judged, as the file is.
        let line = text.lines().next().unwrap();
        let forged = line.replacen("\\\"version\\\": 1", "\\\"version\\\": 2", 1);
        assert_ne!(forged, line);
        let (seen, _) = cold(&put(of(&text.replace(line, &forged))).await, &trust).await;
        assert!(seen.faults.iter().any(|fault| fault.file.starts_with("forgotten/")), "{:?}", seen.faults);
    });
}

/// A bundle has the whole text of a file that is damaged: readers go on with it, and whoever checks looks at the file.
#[test]
fn a_check_reads_the_files_that_bundles_hold() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        grow_with_bundles(&sample, 2_100).await;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let mut victims = vec![sample.repository.chain(&trust).await.unwrap().manifests[700].file()];
        let before = sample.repository.storage().clone();
        let before = altered(&before, |_, bytes| Some(bytes)).await;
        thin(&sample, &trust, (100, 6)).await;
        sweep_all(&sample, &trust).await;
        let after = sample.repository.storage().clone();
        victims.push(sample.repository.chain(&trust).await.unwrap().manifests[8].file());
        victims.push(after.list("forgotten").await.unwrap()[2].name.clone());
        for (storage, victim) in [&before, &after, &after].into_iter().zip(&victims) {
            assert_eq!(faults_of_check(storage.clone(), &trust).await, []);
            for victim in [victim.clone(), format!("{victim}.sig")] {
                let bytes = storage.get(victim.trim_end_matches(".sig")).await.unwrap();
                assert!(bytes.len() > 100, "{victim}");
                let damaged =
                    altered(storage, |name, bytes| Some(if *name == *victim { flipped(&bytes) } else { bytes }));
                let damaged = damaged.await;
                let (seen, _) = cold(&damaged, &trust).await;
                assert_eq!(seen.faults, [], "{victim}: its text is in a bundle");
                let found = faults_of_check(damaged, &trust).await;
                let file = victim.trim_end_matches(".sig");
                assert!(found.iter().any(|fault| fault.file == file), "{victim}: {found:?}");
            }
        }
    });
}
