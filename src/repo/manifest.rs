//! The manifest: the signed public face of a snapshot. Holds no secret's name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Witness, layout};
use crate::{
    crypto::{PublicKey, Recipient},
    model::{Digest, Part, Place, Record, Refusal, RepositoryId, SnapshotId, ValueState},
};

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
    /// Every pack that holds a value of this snapshot, sorted by digest; older snapshots' packs included.
    pub packs: Vec<FileRef>,
    /// The index files, in name order of their records.
    pub indexes: Vec<FileRef>,
    /// Completeness.
    pub counts: Counts,
    /// How old the readings are that the records rest on; missing in manifests of the first builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readings: Option<Readings>,
    /// What a drill key opens; missing when no drill key is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillSeal>,
    /// What was left out by rule.
    pub excluded: Vec<Excluded>,
    /// What could not be read, by reason. The names are in the index.
    pub unreadable: Vec<UnreadableCount>,
    /// The tool that wrote it, such as `lifeboat 0.1.0`.
    pub tool: String,
}

/// The packs that are sealed to a drill key beside the recovery key. They hold canaries and the configured sample, and nothing
/// else unless the owner asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillSeal {
    /// The drill key's recipient.
    pub recipient: Recipient,
    /// Whether every value was to be sealed to it.
    pub full: bool,
    /// Of `packs`, those it opens, sorted.
    pub packs: Vec<Digest>,
}

/// A pack or an index by its ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Versions recorded.
    pub versions: u64,
    /// Values sealed by this run.
    pub values_read: u64,
    /// Values referred to in older packs.
    pub values_carried: u64,
    /// Versions that hold no value, or whose secret is scheduled for deletion without an earlier copy.
    pub values_absent: u64,
    /// Values the provider refused.
    pub values_unreadable: u64,
}

/// How old readings are: what a listing shows is as new as the snapshot, policies, replicas and deprecated versions are as
/// old as the last reading of their secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// Records read by this run: their time of reading is the snapshot's time.
    pub now: u64,
    /// Records kept from earlier readings, their entry in the listing being the same.
    pub kept: u64,
    /// The oldest reading that a record rests on; `None` without records.
    pub oldest: Option<Timestamp>,
}

impl Manifest {
    /// Every pack and index by its name in the repository.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, FileRef)> {
        let packs = self.packs.iter().map(|file| (layout::pack(&file.sha256), *file));
        packs.chain(self.indexes.iter().map(|file| (layout::index(&file.sha256), *file)))
    }
}

impl Counts {
    /// Whether everything that was listed and not excluded is there.
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0 && self.values_unreadable == 0
    }

    /// Counts one more record; its values count as carried until [`Self::with_read`] says how many were not.
    pub fn add(&mut self, record: &Record) {
        *if record.is_incomplete() { &mut self.unreadable } else { &mut self.captured } += 1;
        for version in &record.versions {
            self.versions += 1;
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

    /// The file name below `snapshots/`, without `.json`.
    pub fn name(&self) -> &str {
        &self.name
    }
}
