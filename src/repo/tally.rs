//! What the records of a snapshot come to, held against what its manifest says. Pure.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::{Counts, Fault, FaultKind, Layer, OpenSet, ReadingCount, VerifiedManifest, layout};
use crate::model::{Digest, Record, ValueState};

/// Records counted, and how many values are in each pack.
#[derive(Default)]
pub(super) struct Tally {
    counts: Counts,
    by_pack: HashMap<Digest, u64>,
}

/// The records of one snapshot counted: those it has in common with its neighbours, and the others.
pub(super) struct SnapshotTally {
    common: Arc<Tally>,
    own: Tally,
}

/// How many values are in each pack, for each snapshot in the order of the chain. Of thousands of snapshots that share most packs it
/// takes eight bytes for each pack and snapshot, and less where they share their values too.
#[derive(Default)]
pub(super) struct ValuesByPack {
    numbers: HashMap<Digest, u32>,
    /// The values of every snapshot by the number of their pack, in one piece of memory: each part is sorted.
    values: Vec<(u32, u32)>,
    /// What of `values` is one snapshot's: in common with its neighbours, and its own. `None` where the index was not read.
    snapshots: Vec<Option<[Range<usize>; 2]>>,
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

impl SnapshotTally {
    pub(super) fn new(common: Arc<Tally>, own: Tally) -> Self {
        Self { common, own }
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
        let manifest = found.manifest();
        let readings = (!manifest.readings.are(&readings.finish(), manifest.is_pass()))
            .then(|| Fault::new(&file, FaultKind::Damaged, "the age of its readings differs from its index"));
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

impl ValuesByPack {
    /// For so many snapshots, no index of which was read.
    pub(super) fn unread(snapshots: usize) -> Self {
        Self { snapshots: vec![None; snapshots], ..Self::default() }
    }

    /// Notes the values of snapshots that have their `common` values together, by their position in the chain.
    pub(super) fn note(&mut self, tallies: impl IntoIterator<Item = (usize, SnapshotTally)>) {
        let mut shared: Option<(Arc<Tally>, Range<usize>)> = None;
        for (at, SnapshotTally { common, own }) in tallies {
            let common = match &shared {
                Some((tally, part)) if Arc::ptr_eq(tally, &common) => part.clone(),
                _ => shared.insert((common.clone(), self.push(&common))).1.clone(),
            };
            self.snapshots[at] = Some([common, self.push(&own)]);
        }
    }

    /// How many values of a snapshot are in these packs; `None` where its index was not read.
    pub(super) fn of<'d>(&self, at: usize, packs: impl IntoIterator<Item = &'d Digest>) -> Option<u64> {
        let parts = self.snapshots.get(at)?.as_ref()?;
        let of = |part: &Range<usize>, pack: u32| {
            let values = &self.values[part.clone()];
            values.binary_search_by_key(&pack, |(number, _)| *number).map_or(0, |at| u64::from(values[at].1))
        };
        let numbers = packs.into_iter().filter_map(|pack| self.numbers.get(pack));
        Some(numbers.map(|number| parts.iter().map(|part| of(part, *number)).sum::<u64>()).sum())
    }

    /// How many values of a snapshot are in packs that the set does not name.
    pub(super) fn outside(&self, at: usize, set: &OpenSet) -> Option<u64> {
        self.of(at, self.numbers.keys().filter(|pack| set.find(pack).is_none()))
    }

    fn push(&mut self, tally: &Tally) -> Range<usize> {
        let start = self.values.len();
        for (pack, count) in &tally.by_pack {
            let next = u32::try_from(self.numbers.len()).expect("a repository has fewer than 2^32 packs");
            let number = *self.numbers.entry(*pack).or_insert(next);
            self.values.push((number, u32::try_from(*count).expect("a pack has fewer than 2^32 lines")));
        }
        self.values[start..].sort_unstable();
        start..self.values.len()
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
