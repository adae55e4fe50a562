//! Bundles: the manifests of four full folders in one file, so that a reader without memory asks once instead of 512 times.
//!
//! A bundle proves nothing: what it says is judged like the files themselves, and only what the folders list counts.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read as _,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{RepoError, Repository, content::SignedFile, layout};
use crate::{
    cores,
    model::Digest,
    storage::{Entry, StorageError},
};

/// A bundle's content, in bytes: 256 manifests of the largest size, and their signatures.
const MOST: u64 = 32 << 20;
/// Files of one number that are tried: others are junk that somebody put there.
const TRIED: usize = 4;
/// Manifests that are sooner read one by one.
const FEW: usize = 8;
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

impl Repository {
    /// Puts the manifests of full folders into one file, unless that is done; what is in it is for readers to judge.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub(super) async fn put_bundle(&self, number: u64, files: &[SignedFile]) -> Result<(), RepoError> {
        let bytes = make(files);
        let name = layout::bundle(number, &Digest::of(&bytes));
        self.put_same(&name, bytes).await.map(drop)
    }

    /// The digests and names of the bundles of each number.
    pub(super) async fn bundles(&self) -> Result<BTreeMap<u64, Vec<(Digest, String)>>, RepoError> {
        let mut found: BTreeMap<u64, Vec<(Digest, String)>> = BTreeMap::new();
        for Entry { name, size, .. } in self.storage.list(layout::BUNDLES).await? {
            if let Some((number, digest)) = layout::bundle_parts(&name).filter(|_| size <= MOST) {
                found.entry(number).or_default().push((digest, name));
            }
        }
        Ok(found)
    }

    /// Of the files that folders list, those that bundles hold with the same size.
    pub(super) async fn bundled(&self, entries: &[Entry]) -> Result<Files, RepoError> {
        let mut by_number: BTreeMap<u64, HashMap<&str, u64>> = BTreeMap::new();
        for entry in entries {
            if let Some(folder) = layout::manifest_folder(&entry.name) {
                by_number.entry(folder / layout::BUNDLED).or_default().insert(&entry.name, entry.size);
            }
        }
        // The last one is not full.
        by_number.pop_last();
        by_number.retain(|_, listed| listed.len() > 2 * FEW);
        let mut files = Files::new();
        if by_number.is_empty() {
            return Ok(files);
        }
        let bundles = self.bundles().await?;
        for (number, listed) in &by_number {
            for (digest, name) in bundles.get(number).into_iter().flatten().take(TRIED) {
                let bytes = match self.storage.get_at_most(name, layout::most_bytes(name)).await {
                    Err(StorageError::NotFound { .. } | StorageError::Unfit { .. }) => continue,
                    other => other?,
                };
                let (digest, number) = (*digest, *number);
                let Some(opened) = cores::aside(move || open(&bytes, number, &digest)).await else { continue };
                files.extend(
                    opened.into_iter().filter(|(name, bytes)| listed.get(name.as_str()) == Some(&(bytes.len() as u64))),
                );
                if listed.keys().all(|name| files.contains_key(*name)) {
                    break;
                }
            }
        }
        Ok(files)
    }
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
