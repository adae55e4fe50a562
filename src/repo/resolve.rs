//! What records refer to, and whether it is there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Fault, FaultKind, PackEntry, Readings, RepoError, VerifiedManifest, layout};
use crate::model::{Digest, Record, ValueKind, ValueState};

/// Every value that records refer to, by pack; the same reference of many snapshots once.
#[derive(Default)]
pub(super) struct Expected(BTreeMap<Digest, Lines>);

/// The lines of one pack that are referred to.
#[derive(Default)]
pub(super) struct Lines(BTreeSet<Reference>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    line: u32,
    secret: String,
    version: String,
    binary: bool,
}

/// One snapshot's records, counted as its manifest counts them.
pub(super) struct Tally<'a> {
    found: &'a VerifiedManifest,
    packs: BTreeSet<Digest>,
    secrets: u64,
    incomplete: u64,
    versions: u64,
    stored: u64,
    absent: u64,
    unreadable: u64,
    read_now: u64,
    oldest: Option<Timestamp>,
    by_pack: BTreeMap<Digest, u64>,
    dangling: Vec<Fault>,
}

impl Expected {
    pub(super) fn into_packs(self) -> BTreeMap<Digest, Lines> {
        self.0
    }
}

impl<'a> Tally<'a> {
    pub(super) fn new(found: &'a VerifiedManifest) -> Self {
        let packs = found.manifest().packs.iter().map(|file| file.sha256).collect();
        Self {
            found,
            packs,
            secrets: 0,
            incomplete: 0,
            versions: 0,
            stored: 0,
            absent: 0,
            unreadable: 0,
            read_now: 0,
            oldest: None,
            by_pack: BTreeMap::new(),
            dangling: Vec::new(),
        }
    }

    /// Counts one record and notes what it refers to.
    pub(super) fn add(&mut self, record: &Record, expected: &mut Expected) {
        self.secrets += 1;
        self.incomplete += u64::from(record.is_incomplete());
        self.read_now += u64::from(record.read == self.found.manifest().time);
        self.oldest = Some(self.oldest.map_or(record.read, |oldest| oldest.min(record.read)));
        for version in &record.versions {
            self.versions += 1;
            match &version.value {
                ValueState::Stored { pack, line, kind } => {
                    self.stored += 1;
                    *self.by_pack.entry(*pack).or_default() += 1;
                    if !self.packs.contains(pack) {
                        let detail = format!("a record refers to pack {}, which it does not list", pack.short());
                        self.dangling.push(Fault::new(&self.file(), FaultKind::Dangling, detail));
                    }
                    expected.0.entry(*pack).or_default().0.insert(Reference {
                        line: *line,
                        secret: record.secret.arn.clone(),
                        version: version.id.clone(),
                        binary: *kind == ValueKind::Binary,
                    });
                }
                ValueState::None | ValueState::ScheduledForDeletion => self.absent += 1,
                ValueState::Unreadable { .. } => self.unreadable += 1,
            }
        }
    }

    /// References looked at.
    pub(super) fn references(&self) -> u64 {
        self.stored
    }

    /// How many values each pack holds of this snapshot.
    pub(super) fn take_by_pack(&mut self) -> BTreeMap<Digest, u64> {
        std::mem::take(&mut self.by_pack)
    }

    /// Dangling references, and counts that are not those of the manifest.
    pub(super) fn faults(self) -> Vec<Fault> {
        let counts = self.found.manifest().counts;
        let file = self.file();
        let differing = [
            ("secrets", self.secrets, counts.captured + counts.unreadable),
            ("unreadable secrets", self.incomplete, counts.unreadable),
            ("versions", self.versions, counts.versions),
            ("values", self.stored, counts.values_read + counts.values_carried),
            ("absent values", self.absent, counts.values_absent),
            ("unreadable values", self.unreadable, counts.values_unreadable),
            ("listed secrets", counts.captured + counts.excluded + counts.unreadable + counts.vanished, counts.listed),
        ];
        let stated = self.found.manifest().readings;
        let found = Readings { now: self.read_now, kept: self.secrets - self.read_now, oldest: self.oldest };
        let readings = stated.filter(|stated| *stated != found).map(|_| {
            Fault::new(&file, FaultKind::Damaged, "what it says of the age of its readings is not so in its index")
        });
        let wrong = differing.into_iter().filter(|(_, found, stated)| found != stated).map(|(what, found, stated)| {
            Fault::new(&file, FaultKind::Damaged, format!("it counts {stated} {what}, its index has {found}"))
        });
        let mut faults = self.dangling;
        faults.extend(wrong);
        faults.extend(readings);
        faults
    }

    fn file(&self) -> String {
        layout::record(layout::SNAPSHOTS, self.found.name())
    }
}

impl Lines {
    /// Compares a pack with what is expected of it: how many references lead to their value, and the others.
    pub(super) fn compare(
        &self,
        file: &str,
        entries: impl Iterator<Item = Result<PackEntry, RepoError>>,
    ) -> Result<(u64, Vec<Fault>), RepoError> {
        let mut wanted: BTreeMap<u32, Vec<&Reference>> = BTreeMap::new();
        for reference in &self.0 {
            wanted.entry(reference.line).or_default().push(reference);
        }
        let (mut values, mut faults) = (0, Vec::new());
        let mut dangling = |line: u32, what: &str| {
            faults.push(Fault::new(file, FaultKind::Dangling, format!("line {line} {what}")));
        };
        for (line, entry) in (0..).zip(entries) {
            let entry = entry?;
            for reference in wanted.remove(&line).unwrap_or_default() {
                if reference.matches(&entry) {
                    values += 1;
                } else {
                    dangling(line, "holds another value than a record says");
                }
            }
        }
        for line in wanted.keys() {
            dangling(*line, "does not exist");
        }
        Ok((values, faults))
    }
}

impl Reference {
    fn matches(&self, entry: &PackEntry) -> bool {
        let binary = entry.value.kind() == ValueKind::Binary;
        (&self.secret, &self.version, self.binary) == (&entry.secret, &entry.version, binary)
    }
}
