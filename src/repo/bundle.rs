//! Bundles: the manifests of four folders in one file, so that a reader without memory asks once instead of 512 times.
//!
//! A bundle proves nothing: what it says is judged like the files themselves, and only what the folders list counts. One is made
//! when its folders have 16, 32, 64, 128 and 256 snapshots: together they are twice as large as the last one, and what the newest
//! lacks is read file by file.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read as _,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{RepoError, Repository, content::SignedFile, layout, sweep::SweepReport};
use crate::{
    cores,
    model::Digest,
    storage::{Entry, StorageError},
};

/// A bundle's content, in bytes: 256 manifests of the largest size, and their signatures.
const MOST: u64 = 32 << 20;
/// Files of one number that are tried, the largest first: others are earlier ones, or junk that somebody put there.
const TRIED: usize = 4;
/// Manifests that are sooner read one by one.
const FEW: usize = 8;
/// Snapshots of its folders that a bundle is made after, the first time.
const FIRST: u64 = 16;
/// Snapshots of its folders.
const WHOLE: u64 = layout::FOLDER * layout::BUNDLED;
const LEVEL: i32 = 3;

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    manifest: String,
    signature: String,
}

/// The files of a bundle by their name in the repository.
type Files = HashMap<String, Bytes>;

/// A bundle as it is listed.
struct Listed {
    digest: Digest,
    name: String,
    size: u64,
}

impl Repository {
    /// Makes the bundles that are due after the snapshots from the number after `before` to `last`. What fails is made up for when
    /// the next one is due.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn bundle_after(&self, before: u64, last: u64) -> Result<(), RepoError> {
        for number in due(before, last) {
            self.put_bundle(number).await?;
        }
        Ok(())
    }

    /// Puts the manifests of four folders, as they are now, into one file; what is in it is for readers to judge.
    async fn put_bundle(&self, number: u64) -> Result<(), RepoError> {
        let entries = self.folders_of(number).await?;
        let bundled = self.bundled(&entries).await?;
        let bytes = make(&self.signed_of(entries, &bundled, &mut Vec::new()).await?);
        self.put_same(&layout::bundle(number, &Digest::of(&bytes)), bytes).await.map(drop)
    }

    async fn folders_of(&self, number: u64) -> Result<Vec<Entry>, RepoError> {
        let mut entries = Vec::new();
        for folder in number * layout::BUNDLED..(number + 1) * layout::BUNDLED {
            entries.extend(self.storage.list(&layout::folder(folder)).await?);
        }
        Ok(entries)
    }

    /// The bundles of each number, the largest first.
    async fn bundles_by_number(&self) -> Result<BTreeMap<u64, Vec<Listed>>, RepoError> {
        let mut found: BTreeMap<u64, Vec<Listed>> = BTreeMap::new();
        for Entry { name, size, .. } in self.storage.list(layout::BUNDLES).await? {
            if let Some((number, digest)) = layout::bundle_parts(&name).filter(|_| size <= MOST) {
                found.entry(number).or_default().push(Listed { digest, name, size });
            }
        }
        for bundles in found.values_mut() {
            bundles.sort_by_key(|listed| std::cmp::Reverse(listed.size));
        }
        Ok(found)
    }

    /// The digests and names of every bundle.
    pub(super) async fn bundles(&self) -> Result<Vec<(Digest, String)>, RepoError> {
        let found = self.bundles_by_number().await?;
        Ok(found.into_values().flatten().map(|listed| (listed.digest, listed.name)).collect())
    }

    /// Of the files that folders list, those that bundles hold with the same size.
    pub(super) async fn bundled(&self, entries: &[Entry]) -> Result<Files, RepoError> {
        let mut by_number: BTreeMap<u64, HashMap<&str, u64>> = BTreeMap::new();
        for entry in entries {
            if let Some(folder) = layout::manifest_folder(&entry.name) {
                by_number.entry(folder / layout::BUNDLED).or_default().insert(&entry.name, entry.size);
            }
        }
        by_number.retain(|_, listed| listed.len() > 2 * FEW);
        let mut files = Files::new();
        if by_number.is_empty() {
            return Ok(files);
        }
        let bundles = self.bundles_by_number().await?;
        for (number, listed) in &by_number {
            for Listed { digest, name, .. } in bundles.get(number).into_iter().flatten().take(TRIED) {
                let bytes = match self.storage.get_at_most(name, layout::most_bytes(name)).await {
                    Err(StorageError::NotFound { .. } | StorageError::Unfit { .. }) => continue,
                    other => other?,
                };
                let (digest, number) = (*digest, *number);
                let Some(opened) = cores::aside(move || open(&bytes, number, &digest)).await else { continue };
                let before = files.len();
                files.extend(
                    opened.into_iter().filter(|(name, bytes)| listed.get(name.as_str()) == Some(&(bytes.len() as u64))),
                );
                // A smaller one is an earlier one of the same folders.
                if files.len() > before {
                    break;
                }
            }
        }
        Ok(files)
    }

    /// Removes the bundles that may name one of these snapshots, before its manifest goes: what a bundle holds would stay otherwise.
    /// Gives their numbers.
    pub(super) async fn remove_bundles_of(
        &self,
        sequences: impl Iterator<Item = u64>,
        report: &mut SweepReport,
    ) -> Result<BTreeSet<u64>, RepoError> {
        let numbers: BTreeSet<u64> = sequences.map(number_of).collect();
        if numbers.is_empty() {
            return Ok(numbers);
        }
        let bundles = self.bundles_by_number().await?.into_iter().filter(|(number, _)| numbers.contains(number));
        for listed in bundles.flat_map(|(_, found)| found) {
            if self.remove(&listed.name, report).await? {
                report.files += 1;
            }
        }
        Ok(numbers)
    }

    /// Makes bundles of these numbers anew where there is still enough for one.
    pub(super) async fn put_bundles_again(&self, numbers: BTreeSet<u64>) -> Result<(), RepoError> {
        for number in numbers {
            if self.folders_of(number).await?.len() > 2 * FEW {
                self.put_bundle(number).await?;
            }
        }
        Ok(())
    }
}

/// The bundle that a snapshot's manifest is in.
fn number_of(sequence: u64) -> u64 {
    sequence.saturating_sub(1) / WHOLE
}

/// The bundles to make after the snapshots from the number after `before` to `last`: of folders that have got twice as many, and of
/// those before, where another host may have added something since.
fn due(before: u64, last: u64) -> BTreeSet<u64> {
    let mut due = BTreeSet::new();
    for number in number_of(before + 1)..=number_of(last) {
        let is_due = |count: &u64| (before + 1..=last).contains(&(number * WHOLE + count));
        let mut counts = std::iter::successors(Some(FIRST), |count| Some(count * 2).filter(|count| *count <= WHOLE));
        if let Some(first) = counts.find(is_due) {
            due.insert(number);
            due.extend(number.checked_sub(1).filter(|_| first == FIRST));
        }
    }
    due
}

fn make(files: &[SignedFile]) -> Bytes {
    let mut lines = Vec::new();
    for file in files {
        let (Ok(manifest), Some(signature)) = (std::str::from_utf8(&file.bytes), &file.signature) else { continue };
        let name = file.name.trim_start_matches(layout::SNAPSHOTS).trim_start_matches('/');
        let line = Line { name: name.into(), manifest: manifest.into(), signature: signature.clone() };
        serde_json::to_writer(&mut lines, &line).expect("lines are plain data");
        lines.push(b'\n');
    }
    zstd::bulk::compress(&lines, LEVEL).expect("memory does not fail").into()
}

/// The files of a bundle; `None` when it is none, or holds something of another one's folders.
fn open(bytes: &[u8], number: u64, digest: &Digest) -> Option<Files> {
    if Digest::of(bytes) != *digest {
        return None;
    }
    let mut text = Vec::new();
    zstd::Decoder::new(bytes).ok()?.take(MOST + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > MOST {
        return None;
    }
    let mut files = Files::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Line { name, manifest, signature } = serde_json::from_slice(line).ok()?;
        let name = layout::in_bundle(number, &name)?;
        files.insert(layout::signature(&name), signature.into());
        files.insert(name, manifest.into());
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u32) -> SignedFile {
        let stem = format!("20261127T{number:06}Z-0000000a");
        SignedFile::new(
            format!("snapshots/{}/{stem}.json", 8 + number),
            stem,
            Bytes::from(format!("{{{number}}}\n")),
            Some("s\n".into()),
        )
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let files: Vec<SignedFile> = (0..3).map(file).collect();
        let bytes = make(&files);
        let opened = open(&bytes, 2, &Digest::of(&bytes)).unwrap();
        assert_eq!(opened.len(), 6);
        for SignedFile { name, bytes, signature, .. } in files {
            assert_eq!(opened[&name], bytes);
            assert_eq!(opened[&layout::signature(&name)], signature.unwrap());
        }
    }

    #[test]
    fn a_bundle_is_due_when_there_is_twice_as_much() {
        let made: Vec<u64> = (0..600).filter(|before| !due(*before, before + 1).is_empty()).map(|it| it + 1).collect();
        assert_eq!(made, [16, 32, 64, 128, 256, 272, 288, 320, 384, 512, 528, 544, 576]);
        assert_eq!(due(271, 272), [0, 1].into());
        assert_eq!(due(272, 287), [].into());
        assert_eq!(due(10, 700), [0, 1, 2].into(), "a run of many sources makes each once");
        assert_eq!(due(7, 7), [].into());
    }

    #[test]
    fn what_is_no_bundle_is_none() {
        let lines = |text: &str| zstd::bulk::compress(text.as_bytes(), 1).unwrap();
        let large = zstd::bulk::compress(&vec![b'\n'; usize::try_from(MOST).unwrap() + 1], 1).unwrap();
        let outside = r#"{"name":"../../epochs/1.json","manifest":"","signature":""}"#;
        let other = r#"{"name":"20261127T000000Z-0000000a.json","manifest":"","signature":"","more":1}"#;
        for bytes in [b"junk".to_vec(), lines("junk"), lines(outside), lines(other), large] {
            assert!(open(&bytes, 3, &Digest::of(&bytes)).is_none());
        }
        let good = make(&[file(1)]);
        assert!(open(&good, 2, &Digest::of(b"other")).is_none());
        assert!(open(&make(&[file(4)]), 2, &Digest::of(&make(&[file(4)]))).is_none(), "of the next one's folders");
    }
}
