//! The repository format, version 1 (docs/format.md): a folder of immutable files on a [`Storage`].

mod check;
mod copy;
mod epoch;
mod index;
mod manifest;
mod pack;

use bytes::Bytes;

pub use check::{CheckDepth, CheckReport, Fault, FaultKind};
pub use copy::{CopyReport, copy};
pub use epoch::{AllowedSigner, Custodian, Epoch, PreviousEpoch, StoredEpoch};
pub use index::{IndexReader, IndexWriter};
pub use manifest::{Counts, Excluded, FileRef, Manifest, UnreadableCount, VerifiedManifest};
pub use pack::{PackEntry, PackReader, PackWriter};

use crate::{
    crypto::{PublicKey, Recipient, Signer},
    model::{Digest, RepositoryId, SnapshotId},
    storage::{Storage, StorageError},
};

/// The newest format this build writes; it reads this and older ones, and opens newer ones not at all or read-only.
pub const FORMAT_VERSION: u32 = 1;

/// A repository on one storage.
#[derive(Clone)]
pub struct Repository {}

/// What a reader believes without asking the repository: pinned in the config, or derived from the recovered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// The root signing key's public half.
    pub root: PublicKey,
    /// The recovery recipient.
    pub recipient: Recipient,
}

/// Epochs whose signatures reach a [`TrustAnchor`], and so the signers that count.
#[derive(Clone, Debug)]
pub struct Trust {}

/// Every snapshot in chain order, and everything that is wrong with the history.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Manifests whose signature reaches the root, oldest first.
    pub manifests: Vec<VerifiedManifest>,
    /// Forged, unreadable or unsigned manifests; gaps, forks, wrong order.
    pub faults: Vec<Fault>,
}

/// A sealed pack or index, ready to be stored.
pub struct SealedFile {
    /// Digest and size of `bytes`.
    pub file: FileRef,
    /// The ciphertext.
    pub bytes: Bytes,
}

/// A signed record of a drill as stored. The repository does not look inside.
#[derive(Clone, Debug)]
pub struct StoredDrill {
    /// The file name below `drills/`, without `.json`.
    pub name: String,
    /// The exact signed bytes.
    pub bytes: Bytes,
    /// The armored signature.
    pub signature: String,
}

/// A repository that cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// There is no repository at the address.
    #[error("there is no repository at {0}")]
    NotARepository(String),
    /// There is one already.
    #[error("there is a repository at {0} already")]
    Exists(String),
    /// Written by a newer version of the format.
    #[error("{address} has format version {found}; this build knows {FORMAT_VERSION}")]
    Newer {
        /// The storage.
        address: String,
        /// Its version.
        found: u32,
    },
    /// A file is missing, or its content is not what its digest or format says.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A signature does not reach the root, or the history contradicts itself.
    #[error("{file} is not to be trusted: {reason}")]
    Untrusted {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Sealed to keys other than the one at hand.
    #[error("{file} is sealed to another key")]
    WrongKey {
        /// The file.
        file: String,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Repository {
    /// Creates a repository: RECOVER.md, recover.py, the first epoch and its signature, and lifeboat.json last.
    /// Running it again after a crash finishes it; a finished repository is refused.
    ///
    /// # Errors
    /// [`RepoError::Exists`], [`RepoError::Storage`].
    pub async fn create(_storage: Storage, _epoch: &Epoch, _root: &Signer) -> Result<Self, RepoError> {
        todo!()
    }

    /// Opens a repository by its lifeboat.json.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`], [`RepoError::Newer`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn open(_storage: Storage) -> Result<Self, RepoError> {
        todo!()
    }

    /// The identity; copies share it.
    pub fn id(&self) -> RepositoryId {
        todo!()
    }

    /// The storage it is on.
    pub fn storage(&self) -> &Storage {
        todo!()
    }

    /// The key epochs as stored, by number, none of them believed: for attributing sheets before there is a key.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when one cannot be parsed, [`RepoError::Storage`].
    pub async fn epochs(&self) -> Result<Vec<StoredEpoch>, RepoError> {
        todo!()
    }

    /// Verifies the epochs against what the reader believes.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when no epoch reaches the anchor or one that should does not verify.
    pub async fn trust(&self, _anchor: &TrustAnchor) -> Result<Trust, RepoError> {
        todo!()
    }

    /// Reads and verifies every manifest.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with the history is in the answer.
    pub async fn chain(&self, _trust: &Trust) -> Result<Chain, RepoError> {
        todo!()
    }

    /// Stores a sealed pack under its digest; storing it again is no error.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn put_pack(&self, _pack: SealedFile) -> Result<(), RepoError> {
        todo!()
    }

    /// Stores a sealed index under its digest; storing it again is no error.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn put_index(&self, _index: SealedFile) -> Result<(), RepoError> {
        todo!()
    }

    /// Signs and stores a manifest: the moment a snapshot exists. Gives the stored, verified form.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; `AlreadyExists` when another run took the place.
    pub async fn put_manifest(&self, _manifest: Manifest, _signer: &Signer) -> Result<VerifiedManifest, RepoError> {
        todo!()
    }

    /// A pack's ciphertext, its digest and size checked.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn pack(&self, _digest: &Digest) -> Result<Bytes, RepoError> {
        todo!()
    }

    /// An index's ciphertext, its digest and size checked.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn index(&self, _file: &FileRef) -> Result<Bytes, RepoError> {
        todo!()
    }

    /// Stores a drill record and its signature.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn put_drill(
        &self,
        _time: jiff::Timestamp,
        _id: SnapshotId,
        _bytes: Bytes,
        _signer: &Signer,
    ) -> Result<StoredDrill, RepoError> {
        todo!()
    }

    /// Every drill record, oldest first.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn drills(&self) -> Result<Vec<StoredDrill>, RepoError> {
        todo!()
    }
}

impl Trust {
    /// The epoch new snapshots are sealed to: the newest one.
    pub fn current(&self) -> &Epoch {
        todo!()
    }

    /// Every verified epoch, by number.
    pub fn epochs(&self) -> &[Epoch] {
        todo!()
    }

    /// Whether `key` may sign for `epoch`.
    pub fn allows(&self, _epoch: u32, _key: &PublicKey) -> bool {
        todo!()
    }
}

impl Chain {
    /// The newest verified snapshot: the highest sequence number, never the newest file.
    pub fn head(&self) -> Option<&VerifiedManifest> {
        todo!()
    }

    /// Finds a snapshot by `latest` or an unambiguous prefix of its id.
    pub fn find(&self, _wanted: &str) -> Option<&VerifiedManifest> {
        todo!()
    }
}
