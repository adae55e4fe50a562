//! What can still be restored from each snapshot, whatever a check found.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Fault, Manifest, OpenSet, PackLists, PackSet, RepoError, Repository, VerifiedManifest, layout, tally::ValuesByPack,
};
use crate::model::{Digest, Place, SnapshotId};

/// How much of a snapshot can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// All of it, as far as was looked.
    Whole,
    /// What is not in the bad packs, nor in those that only a bad list names.
    Partly,
    /// Nothing: its index is gone.
    Nothing,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restorable {
    /// Which.
    pub snapshot: SnapshotId,
    /// Whose it is.
    pub source: Place,
    /// Its number.
    pub sequence: u64,
    /// Its recovery point.
    pub time: Timestamp,
    /// How much.
    pub extent: Extent,
    /// Its packs that are missing or bad.
    pub bad_packs: u64,
    /// Values in those packs, where the index was read.
    pub values_lost: Option<u64>,
}

/// What of a snapshot has faults.
struct Bad<'a> {
    files: BTreeSet<&'a str>,
    packs: BTreeSet<Digest>,
}

impl Repository {
    /// Judges each snapshot by the files that have faults.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub(super) async fn restorable(
        &self,
        manifests: &[VerifiedManifest],
        faults: &[Fault],
        values: &ValuesByPack,
        lists: &PackLists,
    ) -> Result<Vec<Restorable>, RepoError> {
        let files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
        let packs = files.iter().filter_map(|name| layout::pack_digest(name)).collect();
        let bad = Bad { files, packs };
        let mut judged = Vec::with_capacity(manifests.len());
        for (at, found) in manifests.iter().enumerate() {
            judged.push(self.one(found, &bad, (at, values), lists).await?);
        }
        Ok(judged)
    }

    async fn one(
        &self,
        found: &VerifiedManifest,
        bad: &Bad<'_>,
        (at, values): (usize, &ValuesByPack),
        lists: &PackLists,
    ) -> Result<Restorable, RepoError> {
        let manifest = found.manifest();
        let no_index = manifest.index_files().any(|file| bad.files.contains(layout::index(&file.sha256).as_str()));
        let no_list = manifest.packs.lists.iter().any(|file| bad.files.contains(layout::list(&file.sha256).as_str()));
        let set = if bad.packs.is_empty() && !no_list { None } else { Some(self.readable(manifest, lists).await?) };
        let is_named = |pack: &&Digest| set.as_ref().is_some_and(|set| set.find(pack).is_some());
        let bad_packs: Vec<&Digest> = bad.packs.iter().filter(is_named).collect();
        // What a list named that is gone cannot be told apart: every pack that no other names counts as lost.
        let unnamed = set.as_ref().filter(|_| no_list).and_then(|set| values.outside(at, set)).unwrap_or_default();
        Ok(Restorable {
            snapshot: manifest.snapshot,
            source: manifest.source.clone(),
            sequence: manifest.sequence,
            time: manifest.time,
            extent: match (no_index, bad_packs.is_empty() && !no_list) {
                (true, _) => Extent::Nothing,
                (false, true) => Extent::Whole,
                (false, false) => Extent::Partly,
            },
            bad_packs: bad_packs.len() as u64,
            values_lost: values.of(at, bad_packs).map(|lost| lost + unnamed),
        })
    }

    /// The packs of a snapshot, without those that only a damaged list names.
    async fn readable(&self, manifest: &Manifest, lists: &PackLists) -> Result<OpenSet, RepoError> {
        let PackSet { new, lists: files } = &manifest.packs;
        let mut packs = OpenSet::new(new.clone(), Vec::new());
        for file in files {
            let one = PackSet { new: Vec::new(), lists: vec![*file] };
            match self.open_set(&one, lists).await {
                Ok(set) => packs.extend(set),
                Err(error @ RepoError::Storage(_)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(packs)
    }
}
