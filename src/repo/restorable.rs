//! What can still be restored from each snapshot, whatever a check found.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Fault, VerifiedManifest, layout};
use crate::model::{Digest, SnapshotId};

/// How much of a snapshot can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// All of it, as far as was looked.
    Whole,
    /// What is not in the bad packs.
    Partly,
    /// Nothing: its index is gone.
    Nothing,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restorable {
    /// Which.
    pub snapshot: SnapshotId,
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

/// How many values of each snapshot (by number) are in each pack.
pub(super) type ValuesByPack = BTreeMap<u64, BTreeMap<Digest, u64>>;

/// Judges each snapshot by the files that have faults.
pub(super) fn restorable(manifests: &[VerifiedManifest], faults: &[Fault], values: &ValuesByPack) -> Vec<Restorable> {
    let bad: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    manifests.iter().map(|found| one(found, &bad, values.get(&found.manifest().sequence))).collect()
}

fn one(found: &VerifiedManifest, bad: &BTreeSet<&str>, values: Option<&BTreeMap<Digest, u64>>) -> Restorable {
    let manifest = found.manifest();
    let no_index = manifest.indexes.iter().any(|file| bad.contains(layout::index(&file.sha256).as_str()));
    let packs = manifest.packs.iter().map(|file| file.sha256);
    let bad_packs: Vec<Digest> = packs.filter(|pack| bad.contains(layout::pack(pack).as_str())).collect();
    let lost = |values: &BTreeMap<Digest, u64>| bad_packs.iter().filter_map(|pack| values.get(pack)).sum();
    Restorable {
        snapshot: manifest.snapshot,
        sequence: manifest.sequence,
        time: manifest.time,
        extent: match (no_index, bad_packs.is_empty()) {
            (true, _) => Extent::Nothing,
            (false, true) => Extent::Whole,
            (false, false) => Extent::Partly,
        },
        bad_packs: bad_packs.len() as u64,
        values_lost: values.map(lost),
    }
}
