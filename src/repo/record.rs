//! Signed records of later kinds: verified, shown, copied, and obeyed as far as they say what a reader that does not know them
//! must not do.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    FORMAT_VERSION, Fault, FaultKind, RepoError, Repository, Response, Signed, Tombstone, Trust,
    consumer_map::{self, MapPart},
    content::SignedFile,
    from_json, layout, response, tombstone, untrusted,
};
use crate::{
    crypto::{Namespace, PublicKey, Signer, verify},
    model::{Digest, RepositoryId, SnapshotId},
};

/// `records/<UTC time>-<short id>.json`, signed by a signer of its epoch (namespace `lifeboat-record`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaterRecord {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// This record.
    pub record: SnapshotId,
    /// What it is, in `a` to `z` and `_`.
    pub kind: String,
    /// When it was made, whole seconds, UTC.
    pub time: Timestamp,
    /// The key epoch of the signer.
    pub epoch: u32,
    /// Who signs.
    pub signer: PublicKey,
    /// What a reader that does not know the kind must not do while it is in force.
    pub halts: Vec<Halt>,
    /// The digest of an earlier record that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Digest>,
    /// The kind's own.
    pub body: serde_json::Map<String, serde_json::Value>,
}

/// What a record may forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// Removing snapshots.
    Remove,
    /// Restoring anything.
    Restore,
    /// Writing snapshots.
    Snapshot,
}

/// A record whose signature reaches the root.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifiedRecord {
    /// The content.
    pub record: LaterRecord,
    /// Its file.
    pub file: String,
    /// SHA-256 of the exact bytes.
    #[serde(skip)]
    pub(super) digest: Digest,
}

/// The records of a repository.
#[derive(Clone, Debug, Default)]
pub(super) struct LaterRecords {
    /// Those of unknown kinds that count and were not taken back, oldest first.
    pub(super) in_force: Vec<VerifiedRecord>,
    /// The tombstones among them.
    pub(super) tombstones: Vec<Tombstone>,
    /// Reports of answers to a compromise among them.
    pub(super) responses: Vec<Response>,
    /// Parts of maps of consumers among them.
    pub(super) maps: Vec<MapPart>,
    /// What is wrong with the others.
    pub(super) faults: Vec<Fault>,
    /// The files of those that count, undone and undoing ones included.
    pub(super) counting: Vec<(String, Digest)>,
}

impl Halt {
    fn words(self) -> &'static str {
        match self {
            Self::Remove => "removing snapshots",
            Self::Restore => "restoring",
            Self::Snapshot => "taking snapshots",
        }
    }
}

impl VerifiedRecord {
    /// That this build does not know what it is about.
    pub(super) fn fault(&self) -> Fault {
        let LaterRecord { kind, halts, .. } = &self.record;
        let words: Vec<&str> = halts.iter().map(|halt| halt.words()).collect();
        if words.is_empty() {
            return Fault::new(
                &self.file,
                FaultKind::Unknown,
                format!("a signed record of kind {kind}, unknown to this build"),
            );
        }
        let detail = format!("a signed record of kind {kind}, unknown to this build, forbids {}", words.join(" and "));
        Fault::new(&self.file, FaultKind::Halted, detail)
    }
}

impl Repository {
    /// Signs and stores a record of a later kind. Gives its file.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when it is another repository's or another signer's; [`RepoError::Storage`].
    pub async fn put_record(&self, record: &LaterRecord, signer: &Signer) -> Result<String, RepoError> {
        let name = layout::record(layout::RECORDS, &layout::stem(record.time, record.record));
        let is_own = record.repository == self.id && record.signer == signer.public();
        if !is_own || record.version != FORMAT_VERSION {
            return Err(untrusted(&name, "not a record of this repository and signer"));
        }
        let bytes: Bytes = super::to_json(record);
        self.put_signed(&name, bytes, Namespace::Record, signer).await?;
        Ok(name)
    }

    pub(super) async fn later_records(&self, trust: &Trust) -> Result<LaterRecords, RepoError> {
        let mut found = LaterRecords::default();
        let mut all = Vec::new();
        for file in self.signed_files(layout::RECORDS, &mut found.faults).await? {
            match judge(self.id, &file, trust) {
                Ok(record) => {
                    let digest = Digest::of(&file.bytes);
                    found.counting.push((file.name.clone(), digest));
                    all.push(VerifiedRecord { record, file: file.name, digest });
                }
                Err((kind, detail)) => found.faults.push(Fault::new(&file.name, kind, detail)),
            }
        }
        let undone: BTreeSet<Digest> = all.iter().filter_map(|each| each.record.undoes).collect();
        all.retain(|each| !undone.contains(&each.digest));
        all.sort_by_key(|each| (each.record.time, each.file.clone()));
        for each in all {
            let signers = trust.epochs().iter().rev().flat_map(|epoch| &epoch.signers);
            let read = match each.record.kind.as_str() {
                tombstone::KIND => Tombstone::read(&each, signers).map(|read| found.tombstones.extend(read)),
                consumer_map::KIND => MapPart::read(&each).map(|read| found.maps.push(read)),
                response::KIND => Response::read(&each).map(|read| found.responses.push(read)),
                _ => {
                    found.in_force.push(each);
                    continue;
                }
            };
            if let Err(reason) = read {
                found.faults.push(Fault::new(&each.file, FaultKind::Damaged, reason));
            }
        }
        Ok(found)
    }
}

fn judge(repository: RepositoryId, file: &SignedFile, trust: &Trust) -> Result<LaterRecord, (FaultKind, String)> {
    let record: LaterRecord = from_json(&file.bytes).map_err(|reason| (FaultKind::Damaged, reason))?;
    let Some(signature) = &file.signature else { return Err((FaultKind::Unsigned, "it has no signature".into())) };
    if record.repository != repository {
        return Err((FaultKind::Untrusted, "it belongs to another repository".into()));
    }
    trust
        .counts(Signed::Record, record.epoch, &record.signer, &Digest::of(&file.bytes))
        .map_err(|reason| (FaultKind::Untrusted, reason))?;
    verify(&record.signer, Namespace::Record, &file.bytes, signature)
        .map_err(|error| (FaultKind::Untrusted, error.to_string()))?;
    if layout::stem(record.time, record.record) != file.stem {
        return Err((FaultKind::Renamed, "it is genuine, but has the name of another file".into()));
    }
    let is_word = |kind: &str| !kind.is_empty() && kind.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    if is_word(&record.kind) { Ok(record) } else { Err((FaultKind::Damaged, "its kind is not a word".into())) }
}
