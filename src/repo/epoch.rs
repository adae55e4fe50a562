//! Key epochs: one recovery key, its share set and its allowed signers. Public.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{layout, to_json};
use crate::{
    crypto::{PublicKey, Recipient},
    model::{Digest, RepositoryId},
};

/// `epochs/<n>-<digest>.json`, signed by its own root (namespace `lifeboat-epoch`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// From 1.
    pub number: u32,
    /// When the ceremony was.
    pub created: Timestamp,
    /// The recovery recipient.
    pub recipient: Recipient,
    /// The root signing key.
    pub root: PublicKey,
    /// Shares needed.
    pub threshold: u8,
    /// Shares made.
    pub total: u8,
    /// The share-set id, 8 lowercase hex digits.
    pub share_set: String,
    /// Who holds which share.
    pub custodians: Vec<Custodian>,
    /// Who may sign manifests and drill records.
    pub signers: Vec<AllowedSigner>,
    /// The epoch this one replaces and thereby retires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousEpoch>,
    /// SHA-256 of the closing list: what counts of the signers that this epoch lacks and the one before has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<Digest>,
}

impl Epoch {
    /// The exact bytes of its file, which are what is signed.
    pub fn to_bytes(&self) -> Bytes {
        to_json(self)
    }

    /// The name of its file in the repository.
    pub fn file_name(&self) -> String {
        layout::epoch(self.number, &Digest::of(&self.to_bytes()))
    }
}

/// A custodian and the public digest of their share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custodian {
    /// The name as printed on the sheet.
    pub name: String,
    /// The share's index x.
    pub share: u8,
    /// SHA-256 of the 46 bytes of the share.
    pub sha256: Digest,
}

/// A key that may sign for this epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedSigner {
    /// Which host.
    pub name: String,
    /// Its public key.
    pub key: PublicKey,
}

/// The epoch before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousEpoch {
    /// Its number.
    pub number: u32,
    /// SHA-256 of its exact bytes.
    pub sha256: Digest,
}

/// An epoch as stored, not believed.
#[derive(Clone, Debug)]
pub struct StoredEpoch {
    /// The parsed content.
    pub epoch: Epoch,
    /// The exact bytes.
    pub bytes: Bytes,
    /// The armored signature by its own root; empty when there is none.
    pub signature: String,
    /// The armored signature by a signer of the epoch before, where its root is another one.
    pub countersignature: Option<String>,
}
