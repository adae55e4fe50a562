//! What a host remembers of a history that it verified, so that the next run reads only what is new.
//!
//! Manifests in folders that are full are remembered by what was concluded from them, those in the last folders whole. A folder is
//! believed to be as it was while its listing says the same; one of the full ones is looked at in each run. What others
//! must not be able to change lies in the host's own state folder, like the head it remembers.

use std::{collections::BTreeMap, fs, io, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Manifest, Trust, VerifiedManifest, Witness, from_json, layout};
use crate::{
    fsutil::{self, Access, Existing},
    model::{Digest, Hashing, Place},
    storage::Entry,
};

const VERSION: u32 = 2;

/// The file of a host's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    version: u32,
    /// Under which epochs and closing lists this was judged.
    trust: Option<Digest>,
    pub(super) settled: Settled,
    /// Verified manifests of later folders, and records, by name.
    pub(super) kept: BTreeMap<String, Kept>,
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
    pub(super) fn keeping(&self, kept: BTreeMap<String, Kept>) -> Self {
        Self { kept, ..self.clone() }
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
