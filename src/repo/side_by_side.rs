//! The indexes of consecutive snapshots read at once: they share most of their layers, and each layer is read once.
//!
//! Memory is one file of each layer, and for each snapshot what it does not have in common with the others.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::TryStreamExt as _;

use super::{
    IndexLine, Layer, LayerLines, ReadingCount, RepoError, Repository, VerifiedManifest,
    readings::hash_of,
    resolve::Expected,
    tally::{SnapshotTally, Tally},
};
use crate::{crypto::Opener, model::Record};

/// Layers that are open at once; each takes about half a megabyte, and more where its records are many.
const MOST_OPEN: usize = 48;

/// Snapshots whose indexes have one base.
pub(super) struct Group<'m> {
    /// Positions among all snapshots, in chain order.
    pub(super) snapshots: Vec<usize>,
    layers: Vec<&'m Layer>,
    /// The layers of each snapshot, by position in `layers`, the oldest first.
    of: Vec<Vec<usize>>,
}

/// What reading a group showed.
pub(super) struct GroupTally {
    /// For each snapshot of the group; `None` where a layer could not be read.
    pub(super) snapshots: Vec<Option<(SnapshotTally, ReadingCount)>>,
    /// Why layers could not be read.
    pub(super) failed: Vec<RepoError>,
    /// Layers read to their end that have other numbers of lines than their manifests say: the layer, and what it has.
    pub(super) miscounted: Vec<(Layer, (u64, u64))>,
}

struct Reading<'a> {
    lines: LayerLines<'a>,
    head: Option<IndexLine>,
    counted: (u64, u64),
    /// Is read to its end, not merely to the first damage.
    ended: bool,
}

/// Puts snapshots with one base side by side, as many as may be open at once.
pub(super) fn groups(manifests: &[VerifiedManifest]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut newest: HashMap<Option<&Layer>, usize> = HashMap::new();
    for (at, found) in manifests.iter().enumerate() {
        let layers = &found.manifest().indexes;
        let base = layers.first();
        if let Some(group) = newest.get(&base).copied().filter(|group| groups[*group].has_room(layers)) {
            groups[group].add(at, layers);
            continue;
        }
        newest.insert(base, groups.len());
        let mut group = Group { snapshots: Vec::new(), layers: Vec::new(), of: Vec::new() };
        group.add(at, layers);
        groups.push(group);
    }
    groups
}

impl<'m> Group<'m> {
    fn has_room(&self, layers: &[Layer]) -> bool {
        let more = layers.iter().filter(|layer| !self.layers.contains(layer)).count();
        self.layers.len() + more <= MOST_OPEN
    }

    fn add(&mut self, snapshot: usize, layers: &'m [Layer]) {
        let mut positions = Vec::with_capacity(layers.len());
        for layer in layers {
            let known = self.layers.iter().position(|known| *known == layer);
            positions.push(known.unwrap_or_else(|| {
                self.layers.push(layer);
                self.layers.len() - 1
            }));
        }
        self.snapshots.push(snapshot);
        self.of.push(positions);
    }
}

/// The work on one group.
struct Work<'g, 'm> {
    group: &'g Group<'m>,
    expected: Option<&'g mut Expected>,
    /// Of records that every snapshot has from the base.
    common: Tally,
    own: Vec<Tally>,
    readings: Vec<ReadingCount>,
    /// Snapshots all of whose layers could be read so far.
    alive: Vec<bool>,
    failed: Vec<RepoError>,
}

impl Repository {
    /// Reads every layer of a group once, and notes what the records refer to.
    ///
    /// # Errors
    /// [`RepoError::Storage`], [`RepoError::Spool`]; what is wrong with layers is in the answer.
    pub(super) async fn tally_group(
        &self,
        manifests: &[VerifiedManifest],
        group: &Group<'_>,
        opener: Opener<'_>,
        expected: Option<&mut Expected>,
    ) -> Result<GroupTally, RepoError> {
        let snapshots = group.snapshots.iter().map(|at| manifests[*at].manifest());
        let mut work = Work {
            group,
            expected,
            common: Tally::default(),
            own: snapshots.clone().map(|_| Tally::default()).collect(),
            readings: snapshots
                .map(|manifest| ReadingCount::new(manifest.time, manifest.full.time, &manifest.sweeps))
                .collect(),
            alive: vec![true; group.snapshots.len()],
            failed: Vec::new(),
        };
        let mut open = Vec::with_capacity(group.layers.len());
        for (at, layer) in group.layers.iter().enumerate() {
            let lines = self.layer_lines(layer, opener);
            let mut reading = Reading { lines, head: None, counted: (0, 0), ended: false };
            work.advance(at, &mut reading).await?;
            open.push(reading);
        }
        while let Some(here) = first(&open) {
            work.take(&open, &here)?;
            for at in here {
                work.advance(at, &mut open[at]).await?;
            }
        }
        Ok(work.finish(&open))
    }
}

/// The layers that have a line for the first name and identifier of all.
fn first(open: &[Reading<'_>]) -> Option<Vec<usize>> {
    let mut here: Vec<usize> = Vec::new();
    let mut least = None;
    for (at, reading) in open.iter().enumerate() {
        let Some(key) = reading.head.as_ref().map(IndexLine::key) else { continue };
        if least.is_none_or(|least| key < least) {
            here.clear();
            least = Some(key);
        }
        if least == Some(key) {
            here.push(at);
        }
    }
    least.map(|_| here)
}

impl Work<'_, '_> {
    async fn advance(&mut self, at: usize, reading: &mut Reading<'_>) -> Result<(), RepoError> {
        reading.head = match reading.lines.try_next().await {
            Ok(line) => line,
            Err(error @ (RepoError::Storage(_) | RepoError::Spool(_))) => return Err(error),
            Err(error) => {
                self.failed.push(error);
                for (alive, layers) in self.alive.iter_mut().zip(&self.group.of) {
                    *alive &= !layers.contains(&at);
                }
                reading.head = None;
                return Ok(());
            }
        };
        match &reading.head {
            Some(IndexLine::Record(_)) => reading.counted.0 += 1,
            Some(IndexLine::Removed { .. }) => reading.counted.1 += 1,
            None => reading.ended = true,
        }
        Ok(())
    }

    /// Counts the lines that the layers `here` have for one name and identifier.
    fn take(&mut self, open: &[Reading<'_>], here: &[usize]) -> Result<(), RepoError> {
        let record = |at: usize| match &open[at].head {
            Some(IndexLine::Record(record)) => Some(record),
            _ => None,
        };
        if *here == [0] {
            // The base alone, which is in every snapshot of a group.
            if let Some(record) = record(0) {
                self.common.add(record);
                self.note(record)?;
                let hash = hash_of(&record.secret.id);
                self.readings.iter_mut().for_each(|readings| readings.add_read(record.read, hash));
            }
            return Ok(());
        }
        let (group, mut noted) = (self.group, BTreeSet::new());
        for snapshot in 0..self.alive.len() {
            let newest = group.of[snapshot].iter().rev().find(|layer| here.contains(layer));
            let Some(newest) = newest.filter(|_| self.alive[snapshot]) else { continue };
            if let Some(record) = record(*newest) {
                self.own[snapshot].add(record);
                self.readings[snapshot].add(record);
                if noted.insert(*newest) {
                    self.note(record)?;
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, record: &Record) -> Result<(), RepoError> {
        self.expected.as_mut().map_or(Ok(()), |expected| expected.note(record))
    }

    fn finish(self, open: &[Reading<'_>]) -> GroupTally {
        let common = Arc::new(self.common);
        let whole = self.own.into_iter().zip(self.readings).zip(self.alive);
        let snapshots = whole.map(|((own, readings), alive)| {
            let tally = SnapshotTally::new(common.clone(), own);
            alive.then_some((tally, readings))
        });
        let miscounted = self
            .group
            .layers
            .iter()
            .zip(open)
            .filter(|(layer, reading)| reading.ended && (layer.records, layer.removed) != reading.counted);
        GroupTally {
            snapshots: snapshots.collect(),
            failed: self.failed,
            miscounted: miscounted.map(|(layer, reading)| ((*layer).clone(), reading.counted)).collect(),
        }
    }
}
