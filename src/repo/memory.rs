//! What a host remembers of a history that it verified, so that the next run reads only what is new.
//!
//! Manifests in folders that are full are remembered by what was concluded from them, those in the last folders whole. A folder is
//! believed to be as it was while its listing says the same; one of the full ones is looked at in each run. What others
//! must not be able to change lies in the host's own state folder, like the head it remembers.

use std::{collections::BTreeMap, fs, io, path::Path};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Manifest, Trust, VerifiedManifest, Witness, content::SignedFile, from_json, layout};
use crate::{
    fsutil::{self, Access, Existing},
    model::{Digest, Hashing, Place},
    storage::Entry,
};

const VERSION: u32 = 3;

/// The file of a host's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    version: u32,
    /// Under which epochs and closing lists this was judged.
    trust: Option<Digest>,
    pub(super) settled: Settled,
    /// Verified manifests of later folders, by name.
    pub(super) kept: BTreeMap<String, Kept>,
    /// Verified forget records and drill records, by name.
    pub(super) records: BTreeMap<String, KeptRecord>,
}

/// What the full folders from the first one on come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settled {
    /// The digest of each folder's listing.
    pub(super) folders: Vec<Digest>,
    /// Manifests in them.
    pub(super) manifests: u64,
    /// Their last place.
    pub(super) last: Option<Witness>,
    /// The newest epoch in them.
    pub(super) epoch: u32,
    /// The newest snapshot of each source in them, by the exact text of its manifest.
    pub(super) newest: Vec<String>,
    /// The recovery point of the first snapshot of each source in them.
    pub(super) first: Vec<(Place, Timestamp)>,
    /// The digest at each number from 1 on: hex, one after the other.
    places: String,
    /// The full folder that is looked at next.
    pub(super) next: u64,
}

/// A file as it was when it was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    size: u64,
    modified: i64,
    /// Of its signature.
    signature_size: u64,
    signature_modified: i64,
    pub(super) text: String,
}

/// A record as it was when it was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptRecord {
    file: Kept,
    /// Armored.
    signature: String,
}

/// Signed records of folders, some of which need not be read again.
#[derive(Default)]
pub(super) struct Recall {
    known: BTreeMap<String, KeptRecord>,
    /// What the listing says of each record that has a signature.
    listed: BTreeMap<String, (Entry, Entry)>,
    /// What is to be remembered.
    now: BTreeMap<String, KeptRecord>,
}

impl Recall {
    pub(super) fn of(known: BTreeMap<String, KeptRecord>) -> Self {
        Self { known, ..Self::default() }
    }

    /// Takes a listing, and splits it into records that are as they were and those to be read, by their stems.
    pub(super) fn split(&mut self, folder: &str, listing: &[Entry]) -> (Vec<SignedFile>, Vec<(String, Entry)>) {
        let signatures: BTreeMap<&str, &Entry> =
            listing.iter().filter_map(|entry| Some((entry.name.strip_suffix(layout::SIGNATURE)?, entry))).collect();
        let (mut known, mut fresh) = (Vec::new(), Vec::new());
        for entry in listing {
            let Some(stem) = layout::stem_of(folder, &entry.name).map(str::to_owned) else { continue };
            let signature = signatures.get(entry.name.as_str()).copied();
            match self.known.get(&entry.name).filter(|known| known.file.is_as_it_was(entry, signature)) {
                Some(KeptRecord { file, signature }) => {
                    let bytes = Bytes::from(file.text.clone());
                    let file = SignedFile::new(entry.name.clone(), stem, bytes, Some(signature.clone()));
                    known.push(SignedFile { modified: entry.modified, is_known: true, ..file });
                }
                None => fresh.push((stem, entry.clone())),
            }
            if let Some(signature) = signature {
                self.listed.insert(entry.name.clone(), (entry.clone(), signature.clone()));
            }
        }
        (known, fresh)
    }

    /// Remembers a record that was verified.
    pub(super) fn keep(&mut self, name: &str, bytes: &Bytes, signature: &str) {
        if let (Some((entry, of_signature)), Ok(text)) = (self.listed.get(name), str::from_utf8(bytes)) {
            let file = Kept::new(entry, of_signature, text.to_owned());
            self.now.insert(name.to_owned(), KeptRecord { file, signature: signature.to_owned() });
        }
    }

    /// What is to be remembered: what was kept, and what was known of folders that were not looked at.
    pub(super) fn finish(self, looked_at: &[&str]) -> BTreeMap<String, KeptRecord> {
        let elsewhere = |name: &String| !looked_at.iter().any(|folder| layout::stem_of(folder, name).is_some());
        let known = self.known.into_iter().filter(|(name, _)| elsewhere(name));
        known.chain(self.now).collect()
    }
}

impl Memory {
    /// What was remembered under this trust; nothing when there is no such file, or it is of another version or trust.
    pub(super) fn load(path: &Path, trust: &Trust) -> Self {
        let now = Some(trust.digest());
        let read = || -> Option<Self> { serde_json::from_slice(&fs::read(path).ok()?).ok() };
        match read() {
            Some(memory) if memory.version == VERSION && memory.trust == now => memory,
            _ => Self { version: VERSION, trust: now, ..Self::default() },
        }
    }

    /// The same without full folders: one of them is not as it was.
    pub(super) fn unsettled(self) -> Self {
        Self { settled: Settled::default(), ..self }
    }

    /// The same with other files.
    pub(super) fn keeping(&self, kept: BTreeMap<String, Kept>, records: BTreeMap<String, KeptRecord>) -> Self {
        Self { kept, records, ..self.clone() }
    }

    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).expect("it is plain data");
        if let Some(folder) = path.parent() {
            fsutil::create_folder(folder, Access::Private)?;
        }
        fsutil::write(path, &bytes, Access::Private, Existing::Replace)
    }
}

impl Settled {
    /// Whether a head that somebody remembers is among the places.
    pub(super) fn holds(&self, head: &Witness) -> bool {
        self.digest(head.sequence) == Some(head.manifest)
    }

    /// The highest number in it.
    pub(super) fn through(&self) -> u64 {
        (self.places.len() / 64) as u64
    }

    /// The digest at a number.
    pub(super) fn digest(&self, sequence: u64) -> Option<Digest> {
        let at = usize::try_from(sequence.checked_sub(1)?).ok()?.checked_mul(64)?;
        self.places.get(at..at.checked_add(64)?)?.parse().ok()
    }

    /// Takes note of a snapshot of a source; its earliest one stays.
    pub(super) fn note_first(&mut self, source: &Place, time: Timestamp) {
        match self.first.iter_mut().find(|(place, _)| place == source) {
            Some((_, first)) => *first = time.min(*first),
            None => self.first.push((source.clone(), time)),
        }
    }

    pub(super) fn push_place(&mut self, digest: &Digest) {
        self.places.push_str(&digest.to_string());
    }

    /// The newest snapshots of its sources.
    pub(super) fn newest(&self) -> Option<Vec<VerifiedManifest>> {
        self.newest.iter().map(|text| verified(text)).collect()
    }
}

impl Kept {
    /// A verified file with what its listing says of it and of its signature.
    pub(super) fn new(file: &Entry, signature: &Entry, text: String) -> Self {
        Self {
            size: file.size,
            modified: file.modified.as_microsecond(),
            signature_size: signature.size,
            signature_modified: signature.modified.as_microsecond(),
            text,
        }
    }

    /// Whether the listing still says the same.
    pub(super) fn is_as_it_was(&self, file: &Entry, signature: Option<&Entry>) -> bool {
        signature.is_some_and(|signature| *self == Self::new(file, signature, self.text.clone()))
    }
}

/// A manifest that was verified before.
pub(super) fn verified(text: &str) -> Option<VerifiedManifest> {
    let manifest: Manifest = from_json(text.as_bytes()).ok()?;
    let stem = layout::stem(manifest.time, manifest.snapshot);
    Some(VerifiedManifest::new(manifest, Digest::of(text.as_bytes()), stem))
}

/// The digest of a folder's listing.
pub(super) fn listing(entries: &[Entry]) -> Digest {
    let mut hashing = Hashing::default();
    for Entry { name, size, modified, .. } in entries {
        hashing.update(format!("{name}\0{size}\0{}\n", modified.as_microsecond()).as_bytes());
    }
    hashing.finish().0
}
