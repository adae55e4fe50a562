//! What the records of a snapshot come to, held against what its manifest says. Pure.

use std::{collections::HashMap, sync::Arc};

use super::{Counts, Fault, FaultKind, Layer, OpenSet, ReadingCount, VerifiedManifest, layout};
use crate::model::{Digest, Record, ValueState};

/// Records counted, and how many values are in each pack.
#[derive(Default)]
pub(super) struct Tally {
    counts: Counts,
    by_pack: HashMap<Digest, u64>,
}

/// How many values of one snapshot are in each pack: those it has in common with its neighbours, and the others.
pub(super) struct PackValues {
    common: Arc<Tally>,
    own: Tally,
}

impl Tally {
    pub(super) fn add(&mut self, record: &Record) {
        self.counts.add(record);
        for version in &record.versions {
            if let ValueState::Stored { pack, .. } = &version.value {
                *self.by_pack.entry(*pack).or_default() += 1;
            }
        }
    }
}

impl PackValues {
    pub(super) fn new(common: Arc<Tally>, own: Tally) -> Self {
        Self { common, own }
    }

    /// How many values a pack holds.
    pub(super) fn of(&self, pack: &Digest) -> u64 {
        let of = |tally: &Tally| tally.by_pack.get(pack).copied().unwrap_or_default();
        of(&self.common) + of(&self.own)
    }

    /// How many values are in packs that the set does not name.
    pub(super) fn outside(&self, set: &OpenSet) -> u64 {
        self.packs().filter(|(pack, _)| set.find(pack).is_none()).map(|(_, values)| values).sum()
    }

    /// Values.
    pub(super) fn values(&self) -> u64 {
        self.common.counts.values_carried + self.own.counts.values_carried
    }

    fn packs(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.common.by_pack.iter().chain(&self.own.by_pack).map(|(pack, values)| (pack, *values))
    }

    /// References to packs that the manifest does not name, where its lists could be read, and counts and readings that are not those
    /// of the manifest.
    pub(super) fn faults(&self, found: &VerifiedManifest, set: Option<&OpenSet>, readings: ReadingCount) -> Vec<Fault> {
        let file = layout::record(layout::SNAPSHOTS, found.name());
        let mut unlisted: Vec<&Digest> = match set {
            Some(set) => self.packs().map(|(pack, _)| pack).filter(|pack| set.find(pack).is_none()).collect(),
            None => Vec::new(),
        };
        unlisted.sort_unstable();
        unlisted.dedup();
        let dangling = unlisted.into_iter().map(|pack| {
            let detail = format!("a record refers to pack {}, which it does not list", pack.short());
            Fault::new(&file, FaultKind::Dangling, detail)
        });
        let wrong = self.differing(&found.manifest().counts).map(|(what, found, stated)| {
            Fault::new(&file, FaultKind::Damaged, format!("it counts {stated} {what}, its index has {found}"))
        });
        let readings = (found.manifest().readings != readings.finish()).then(|| {
            Fault::new(&file, FaultKind::Damaged, "what it says of the age of its readings is not so in its index")
        });
        dangling.chain(wrong).chain(readings).collect()
    }

    /// What is counted, how many there are, and how many the manifest says there are, where these are not the same.
    fn differing(&self, stated: &Counts) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let (common, own) = (&self.common.counts, &self.own.counts);
        let sum = |of: fn(&Counts) -> u64| of(common) + of(own);
        let listed = stated.captured + stated.excluded + stated.unreadable + stated.vanished;
        let counts = [
            ("secrets", sum(|it| it.captured + it.unreadable), stated.captured + stated.unreadable),
            ("unreadable secrets", sum(|it| it.unreadable), stated.unreadable),
            ("labelled versions", sum(|it| it.labelled), stated.labelled),
            ("versions", sum(|it| it.versions), stated.versions),
            ("values", self.values(), stated.values_read + stated.values_carried),
            ("absent values", sum(|it| it.values_absent), stated.values_absent),
            ("unreadable values", sum(|it| it.values_unreadable), stated.values_unreadable),
            ("listed secrets", listed, stated.listed),
        ];
        counts.into_iter().filter(|(_, found, stated)| found != stated)
    }
}

/// What is wrong with the numbers of a layer that was read to its end.
pub(super) fn layer_fault(found: &VerifiedManifest, layer: &Layer, (records, removed): (u64, u64)) -> Option<Fault> {
    if (layer.records, layer.removed) == (records, removed) {
        return None;
    }
    let Layer { records: stated_records, removed: stated_removed, .. } = layer;
    let detail = format!(
        "it counts {stated_records} records and {stated_removed} removals in a layer of its index, which has {records} and {removed}"
    );
    Some(Fault::new(&layout::record(layout::SNAPSHOTS, found.name()), FaultKind::Damaged, detail))
}
