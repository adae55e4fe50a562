//! The manifest: the signed public face of a snapshot. Holds no secret's name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Accepted, FORMAT_VERSION, Layer, PackSet, Readings, RepoError, SweepArc, Witness, damaged, from_json, layout,
    readings, to_json,
};
use crate::{
    crypto::{PublicKey, Recipient},
    model::{Digest, Part, Place, Record, Refusal, RepositoryId, SnapshotId, ValueState},
};

/// A manifest's most bytes, written and read.
const MOST_BYTES: usize = 64 << 10;
/// What a drill key opens.
pub const DRILL: &str = "drill";

/// `snapshots/<UTC time>-<short id>.json`, signed by a signer of its epoch (namespace `lifeboat-manifest`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// This snapshot.
    pub snapshot: SnapshotId,
    /// Its place in the chain, from 1, without gaps.
    pub sequence: u64,
    /// SHA-256 of the exact bytes of the manifest before; `None` for the first.
    #[serde(deserialize_with = "Option::deserialize")]
    pub previous: Option<Digest>,
    /// When reading the source began: the recovery point. Whole seconds, UTC.
    pub time: Timestamp,
    /// When the last pack was written.
    pub finished: Timestamp,
    /// The key epoch it is sealed to.
    pub epoch: u32,
    /// Who signs it.
    pub signer: PublicKey,
    /// What was captured.
    pub source: Place,
    /// Every pack that holds a value of this snapshot; older snapshots' packs included.
    pub packs: PackSet,
    /// The layers of its index, the oldest first.
    pub indexes: Vec<Layer>,
    /// Completeness.
    pub counts: Counts,
    /// The counts against which the next snapshot of this source is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// The newest complete pass over the whole listing that it rests on.
    pub full: FullPass,
    /// SHA-256 of the manifest that an event made and this snapshot was made after, where each version of which that one holds a
    /// value has one here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Digest>,
    /// How old the readings are that the records rest on.
    pub readings: Readings,
    /// Which secrets were read again when, the newest arc first.
    pub sweeps: Vec<SweepArc>,
    /// Further keys that open parts of it.
    pub seals: Vec<Seal>,
    /// The sealed configuration of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<FileRef>,
    /// What was left out by rule.
    pub excluded: Vec<Excluded>,
    /// What could not be read, by reason. The names are in the index.
    pub unreadable: Vec<UnreadableCount>,
    /// The tool that wrote it, such as `lifeboat 0.1.0`.
    pub tool: String,
}

/// A key beside the recovery key, and what it opens. A drill key opens canaries and the configured sample, and nothing else unless
/// the owner asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// What the key is for: [`DRILL`], or a purpose that this build does not know.
    pub purpose: String,
    /// The key's recipient.
    pub recipient: Recipient,
    /// Whether every value was to be sealed to it.
    pub full: bool,
    /// Of the snapshot's packs, those it opens.
    pub packs: PackSet,
    /// An index of what it opens, sealed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes: Option<Vec<Layer>>,
}

/// A complete pass over a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullPass {
    /// The number of the snapshot that made it; 0 until the snapshot has its own number, which is then filled in.
    pub sequence: u64,
    /// The recovery point of that snapshot.
    pub time: Timestamp,
}

/// A sealed file, or a list of packs, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// The completeness count. `listed = captured + excluded + unreadable + vanished`, in secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Secrets the provider listed.
    pub listed: u64,
    /// Secrets wholly captured.
    pub captured: u64,
    /// Secrets left out by rule.
    pub excluded: u64,
    /// Secrets of which some part could not be read.
    pub unreadable: u64,
    /// Secrets deleted between listing and reading.
    pub vanished: u64,
    /// Versions with a label or current.
    pub labelled: u64,
    /// Versions recorded.
    pub versions: u64,
    /// Values sealed by this run.
    pub values_read: u64,
    /// Values referred to in older packs.
    pub values_carried: u64,
    /// Versions that hold no value, or whose state keeps it from being read without an earlier copy.
    pub values_absent: u64,
    /// Values the provider refused.
    pub values_unreadable: u64,
}

impl Manifest {
    /// Whether everything that was listed and not excluded is there, and as much was listed as was to be expected.
    pub fn is_complete(&self) -> bool {
        self.counts.is_complete() && self.loss().is_none()
    }

    /// Whether it is a complete pass over the listing. The others hold what a complete pass has, and the secrets of which the provider
    /// told that they changed.
    pub fn is_pass(&self) -> bool {
        // One that was resealed after a change of the key has the number of the pass, and its time.
        self.full.time == self.time
    }

    /// What its source had, where it lost more than it may and nobody accepted that.
    pub fn loss(&self) -> Option<Accepted> {
        self.accepted.filter(|accepted| accepted.lost)
    }

    /// What the next snapshot of the source is held against.
    pub fn held_against(&self) -> Accepted {
        let Counts { listed, labelled, .. } = self.counts;
        self.accepted.unwrap_or(Accepted { listed, labelled, lost: false })
    }

    /// Reads the bytes of a manifest. Says what is wrong where they are none, or break a rule that one file alone can break.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        within_limit(bytes)?;
        let manifest: Self = from_json(bytes)?;
        for set in manifest.pack_sets() {
            set.check()?;
        }
        readings::check_arcs(&manifest.sweeps)?;
        if manifest.full.time > manifest.time {
            return Err("it rests on a complete pass that is later than itself".into());
        }
        Ok(manifest)
    }

    /// The bytes that are signed and stored under `name`.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when they are more than a manifest may have, so that none is stored that nobody would read.
    pub(super) fn to_bytes(&self, name: &str) -> Result<bytes::Bytes, RepoError> {
        debug_assert_eq!(self.version, FORMAT_VERSION, "callers compare the version");
        let bytes = to_json(self);
        within_limit(&bytes).map_err(|reason| damaged(name, reason))?;
        Ok(bytes)
    }

    /// Gives the manifest its place; a pass that it made itself has the same number.
    pub(super) fn place(&mut self, sequence: u64, previous: Option<Digest>, own_pass: bool) {
        (self.sequence, self.previous) = (sequence, previous);
        if own_pass {
            self.full.sequence = sequence;
        }
    }

    /// The seal of the drill key, where there is one.
    pub fn drill(&self) -> Option<&Seal> {
        self.seals.iter().find(|seal| seal.purpose == DRILL)
    }

    /// Its own packs and those of its seals.
    pub(super) fn pack_sets(&self) -> impl Iterator<Item = &PackSet> {
        std::iter::once(&self.packs).chain(self.seals.iter().map(|seal| &seal.packs))
    }

    /// Its own layers and those of its seals.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.indexes.iter().chain(self.seals.iter().filter_map(|seal| seal.indexes.as_ref()).flatten())
    }

    /// The index files of all its layers.
    pub fn index_files(&self) -> impl Iterator<Item = &FileRef> {
        self.indexes.iter().flat_map(|layer| &layer.files)
    }
}

fn within_limit(bytes: &[u8]) -> Result<(), String> {
    match bytes.len() {
        length if length > MOST_BYTES => Err(format!("it has {length} bytes; a manifest has at most {MOST_BYTES}")),
        _ => Ok(()),
    }
}

impl Counts {
    /// Versions of which it holds a value.
    pub fn stored(&self) -> u64 {
        self.values_read + self.values_carried
    }

    /// Whether everything that was listed and not excluded is there.
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0 && self.values_unreadable == 0
    }

    /// Counts one more record; its values count as carried until [`Self::with_read`] says how many were not.
    pub fn add(&mut self, record: &Record) {
        *if record.is_incomplete() { &mut self.unreadable } else { &mut self.captured } += 1;
        for version in &record.versions {
            self.versions += 1;
            self.labelled += u64::from(version.current || !version.labels.is_empty());
            *match version.value {
                ValueState::Stored { .. } => &mut self.values_carried,
                ValueState::None | ValueState::Withheld { .. } => &mut self.values_absent,
                ValueState::Unreadable { .. } => &mut self.values_unreadable,
            } += 1;
        }
    }

    /// Of the values counted so far, this run sealed so many.
    #[must_use]
    pub fn with_read(self, read: u64) -> Self {
        Self { values_read: read, values_carried: self.values_carried - read, ..self }
    }

    /// Takes records out and others in; what was excluded and vanished stays. `read`: values that this run sealed.
    #[must_use]
    pub fn exchange(self, out: &Self, taken: &Self, read: u64) -> Self {
        let change = |of: fn(&Self) -> u64| (of(&self) + of(taken)).saturating_sub(of(out));
        let (captured, unreadable) = (change(|it| it.captured), change(|it| it.unreadable));
        Self {
            listed: captured + unreadable + self.excluded + self.vanished,
            captured,
            excluded: self.excluded,
            unreadable,
            vanished: self.vanished,
            labelled: change(|it| it.labelled),
            versions: change(|it| it.versions),
            values_read: 0,
            values_carried: change(|it| it.values_read + it.values_carried),
            values_absent: change(|it| it.values_absent),
            values_unreadable: change(|it| it.values_unreadable),
        }
        .with_read(read)
    }

    /// Counts what `records` hold; what was listed, excluded and vanished stays. `read`: values this run sealed.
    #[must_use]
    pub fn of_records(self, records: &[Record], read: u64) -> Self {
        let Self { listed, excluded, vanished, .. } = self;
        let mut counts = Self { listed, excluded, vanished, ..Self::default() };
        for record in records {
            counts.add(record);
        }
        counts.with_read(read)
    }
}

impl UnreadableCount {
    /// Counts refusals by part, operation and reason.
    pub fn of<'a>(refusals: impl Iterator<Item = Refusal<'a>>) -> Vec<Self> {
        let mut counts: BTreeMap<(Part, &str, &str), u64> = BTreeMap::new();
        refusals.for_each(|it| *counts.entry((it.part, it.operation, it.reason)).or_default() += 1);
        let count = |((part, operation, reason), count): ((Part, &str, &str), u64)| Self {
            part,
            operation: operation.into(),
            reason: reason.into(),
            count,
        };
        counts.into_iter().map(count).collect()
    }
}

/// A rule and how many secrets it left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// The rule.
    pub rule: String,
    /// Secrets.
    pub secrets: u64,
}

/// A reason and how often it occurred.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadableCount {
    /// What could not be read.
    pub part: Part,
    /// The provider's operation.
    pub operation: String,
    /// The provider's error code.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A manifest whose signature reaches the root.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedManifest {
    manifest: Manifest,
    digest: Digest,
    name: String,
}

impl VerifiedManifest {
    /// For the two places that verified it: reading the chain, and signing.
    pub(super) fn new(manifest: Manifest, digest: Digest, name: String) -> Self {
        Self { manifest, digest, name }
    }

    /// The content.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What whoever saw it remembers.
    pub fn witness(&self) -> Witness {
        Witness { sequence: self.manifest.sequence, manifest: self.digest }
    }

    /// The stem of its file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file in the repository.
    pub fn file(&self) -> String {
        layout::manifest(self.manifest.sequence, &self.name)
    }
}
