//! Every byte flipped, every length cut, every file removed, every two files swapped: check notices, a restore gives the
//! right value or none, and nothing panics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use lifeboat::{
    crypto::Opener,
    model::ValueState,
    repo::{CheckDepth, Repository, Trust},
    restore::{ValueRef, Values},
    storage::{Storage, faults::Faults},
};

use crate::repo_sample::{Sample, altered, arn, block_on, forget, values};

/// One snapshot with every kind of value, a drill record and a forget record.
fn sample() -> Sample {
    let sample = Sample::new(Storage::memory(), 2);
    let trust = sample.trust();
    block_on(async {
        sample.drill().await;
        let first = sample.repository.chain(&trust).await.unwrap().manifests[0].name().to_owned();
        let window = (crate::repo_sample::time(3), crate::repo_sample::time(4));
        forget(&sample.repository, &trust, &[first].into(), window, &sample.signer).await.unwrap();
    });
    sample
}

/// Whether a reader without a key notices: at opening, at the epochs, or in the report.
async fn noticed(sample: &Sample, storage: Storage) -> bool {
    let Ok(repository) = Repository::open(storage).await else { return true };
    let Ok(trust) = repository.trust(&sample.anchor()).await else { return true };
    repository.check(&trust, CheckDepth::Structure).await.map_or(true, |report| !report.faults.is_empty())
}

/// Restores as an emergency would, without a check before. Gives how many values came back; a wrong one ends the test.
async fn restored(sample: &Sample, storage: Storage, what: &str) -> usize {
    let Ok(repository) = Repository::open(storage).await else { return 0 };
    let Ok(trust) = repository.trust(&sample.anchor()).await else { return 0 };
    let Ok(judgement) = repository.judge(&trust, &[]).await else { return 0 };
    let Ok(head) = judgement.newest(None) else { return 0 };
    let opener = Opener::Recovery(&sample.recovery);
    let Ok(records) = repository.records(&head, opener).await else { return 0 };
    let reader = Values::new(&repository, &head, &sample.recovery);
    let mut count = 0;
    for record in &records {
        for version in &record.versions {
            let ValueState::Stored { pack, line, kind, .. } = version.value else { continue };
            let at = ValueRef { pack, line, kind };
            let Ok(value) = reader.get(&at, &record.secret.id, &version.id).await else { continue };
            let known = values();
            let expected = known.iter().find(|(name, id, _)| arn(name) == record.secret.id && *id == version.id);
            assert!(expected.is_some_and(|(_, _, right)| right.same_as(&value)), "{what}: a wrong value was restored");
            count += 1;
        }
    }
    count
}

/// Runs `job` for every number below `count`, on two threads.
fn both(count: usize, job: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    job(number);
                }
            });
        }
    });
}

fn files(sample: &Sample) -> Vec<(String, Bytes)> {
    let storage = sample.repository.storage();
    block_on(async {
        let mut files = Vec::new();
        for entry in storage.list("").await.unwrap() {
            files.push((entry.name.clone(), storage.get(&entry.name).await.unwrap()));
        }
        files
    })
}

/// The guides decide nothing about a restore; every other file may.
fn matters(name: &str) -> bool {
    !name.starts_with("recover") && !name.starts_with("RECOVER")
}

/// The repository as it would be with another content of one file.
struct Altering {
    sample: Sample,
    /// A repository without snapshots: the same guides, and quicker to check, for their three quarters of all bytes.
    bare: Sample,
    trust: Trust,
}

impl Altering {
    fn new() -> Self {
        let bare = Sample::empty(Storage::memory());
        let trust = bare.trust();
        Self { sample: sample(), bare, trust }
    }

    /// Whether a check notices; a restore from it gives no wrong value. Gives how many values came back.
    fn check(&self, name: &str, content: Bytes, what: &str) -> usize {
        let faults = Arc::new(Faults::none());
        faults.alter(name, content);
        block_on(async {
            if !matters(name) {
                let seen = Repository::open(self.bare.repository.storage().with_faults(faults)).await.unwrap();
                let report = seen.check(&self.trust, CheckDepth::Structure).await.unwrap();
                assert_eq!(report.faults.len(), 1, "{what}");
                return 0;
            }
            let seen = self.sample.repository.storage().with_faults(faults);
            assert!(noticed(&self.sample, seen.clone()).await, "{what}");
            restored(&self.sample, seen, what).await
        })
    }
}

#[test]
fn every_byte_of_every_file_counts() {
    let altering = Altering::new();
    let (sample, files) = (&altering.sample, files(&altering.sample));
    let all = values().len();
    assert_eq!(block_on(restored(sample, sample.repository.storage().clone(), "whole")), all);
    let flips: Vec<(usize, usize)> =
        files.iter().enumerate().flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |at| (file, at))).collect();
    let partial = AtomicUsize::new(0);
    both(flips.len(), |number| {
        let (file, at) = flips[number];
        let (name, bytes) = &files[file];
        let mut flipped = bytes.to_vec();
        flipped[at] ^= [0x01, 0x20, 0x80, 0x02][at % 4];
        let came = altering.check(name, flipped.into(), &format!("{name} byte {at}"));
        partial.fetch_add(usize::from(matters(name) && came < all), Ordering::Relaxed);
    });
    println!(
        "{} bytes of {} files flipped, all noticed; {partial:?} of them cost a restore something",
        flips.len(),
        files.len()
    );
    assert!(partial.into_inner() > 1_000, "the flips reach what a restore reads");
}

#[test]
fn every_shorter_length_of_every_file_is_noticed() {
    let altering = Altering::new();
    let files = files(&altering.sample);
    let cuts: Vec<(usize, usize)> =
        files.iter().enumerate().flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |end| (file, end))).collect();
    both(cuts.len(), |number| {
        let (file, end) = cuts[number];
        let (name, bytes) = &files[file];
        altering.check(name, bytes.slice(..end), &format!("{name} cut to {end}"));
    });
    for (name, bytes) in &files {
        let longer = [&bytes[..], b"\n"].concat();
        altering.check(name, longer.into(), &format!("{name} with a newline more"));
    }
    println!("{} lengths of {} files, all noticed", cuts.len(), files.len());
}

#[test]
fn every_removed_and_every_two_swapped_files_are_noticed() {
    let sample = sample();
    let files = files(&sample);
    let storage = sample.repository.storage();
    let mut pairs = 0;
    for (one, (name, content)) in files.iter().enumerate() {
        let gone = block_on(altered(storage, |other, bytes| (other != name).then_some(bytes)));
        // Only who remembers the newest manifest and a drill can miss them whole; the first one is forgotten, and a mark that
        // is gone forgets nothing.
        let unseen = ["snapshots/", "drills/", "forgotten/"].iter().any(|folder| name.starts_with(folder));
        let unseen = unseen && !name.ends_with(".json.sig");
        assert_eq!(block_on(noticed(&sample, gone.clone())), !unseen, "{name} removed");
        block_on(restored(&sample, gone, name));
        for (other, swapped) in &files[one + 1..] {
            let exchange = |file: &str, bytes: Bytes| match file {
                file if file == name => Some(swapped.clone()),
                file if file == other => Some(content.clone()),
                _ => Some(bytes),
            };
            let seen = block_on(altered(storage, exchange));
            let what = format!("{name} and {other} swapped");
            assert!(block_on(noticed(&sample, seen.clone())), "{what}");
            block_on(restored(&sample, seen, &what));
            pairs += 1;
        }
    }
    println!("{} files removed, {pairs} pairs swapped", files.len());
    assert!(pairs > 100);
}
