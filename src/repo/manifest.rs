//! The manifest: the signed public face of a snapshot. Holds no secret's name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    crypto::PublicKey,
    model::{Digest, Place, Record, RepositoryId, SnapshotId, ValueState},
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
    /// What was left out by rule.
    pub excluded: Vec<Excluded>,
    /// What could not be read, by reason. The names are in the index.
    pub unreadable: Vec<UnreadableCount>,
    /// The tool that wrote it, such as `lifeboat 0.1.0`.
    pub tool: String,
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

impl Counts {
    /// Counts what `records` hold; what was listed, excluded and vanished stays. `read`: values this run sealed.
    #[must_use]
    pub fn of_records(self, records: &[Record], read: u64) -> Self {
        let Self { listed, excluded, vanished, .. } = self;
        let mut counts = Self { listed, excluded, vanished, values_read: read, ..Self::default() };
        let mut stored = 0;
        for record in records {
            *if record.is_incomplete() { &mut counts.unreadable } else { &mut counts.captured } += 1;
            for version in &record.versions {
                counts.versions += 1;
                match version.value {
                    ValueState::Stored { .. } => stored += 1,
                    ValueState::None | ValueState::ScheduledForDeletion => counts.values_absent += 1,
                    ValueState::Unreadable { .. } => counts.values_unreadable += 1,
                }
            }
        }
        counts.values_carried = stored - read;
        counts
    }
}

impl UnreadableCount {
    /// What `records` say could not be read, by operation and reason.
    pub fn of_records(records: &[Record]) -> Vec<Self> {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for record in records {
            for part in &record.secret.unreadable {
                *counts.entry((&part.part, &part.reason)).or_default() += 1;
            }
            for version in &record.versions {
                if let ValueState::Unreadable { reason } = &version.value {
                    *counts.entry(("GetSecretValue", reason)).or_default() += 1;
                }
            }
        }
        let count = |((operation, reason), count): ((&str, &str), u64)| Self {
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

    /// The file name below `snapshots/`, without `.json`.
    pub fn name(&self) -> &str {
        &self.name
    }
}
