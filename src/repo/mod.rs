//! The repository format, version 1 (docs/format.md): a folder of immutable files on a [`Storage`].

mod attestation;
mod audit;
mod audit_trail;
mod blocks;
mod bundle;
mod chain;
mod check;
mod closing;
mod consumer_map;
mod content;
mod copy;
mod deep;
mod epoch;
mod epoch_files;
mod fault;
mod forget;
mod forgotten_by;
mod identity;
mod index;
mod judge;
mod layers;
mod layout;
mod lines;
mod lists;
mod lookup;
mod loss;
mod manifest;
mod memory;
mod open_index;
mod pack;
mod pack_set;
mod readings;
mod recall;
mod record;
mod resolve;
mod response;
mod restorable;
mod retention;
mod served;
mod side_by_side;
mod spool;
mod subset;
mod sweep;
mod tally;
mod tiers;
mod tombstone;
mod trust;
mod turn;
mod witness;

use std::path::PathBuf;

use bytes::Bytes;

pub use attestation::{Attestation, Attestations, Finding};
pub use audit::{AuditEntry, AuditHead, AuditRun, Note, Put, chain_of, random_chain};
pub use audit_trail::{AuditAnchor, AuditChain, AuditTrail, VerifiedEntry, audit_anchors};
pub use chain::Chain;
pub use check::{CheckDepth, CheckOptions, CheckReport, History};
pub use closing::ClosingList;
pub use consumer_map::ConsumerMap;
pub use content::StoredDrill;
pub use copy::{CopyReport, copy, copy_known, copy_with, who_is_at};
pub use epoch::{AllowedSigner, Custodian, Epoch, PreviousEpoch, StoredEpoch};
pub use epoch_files::SignedEpoch;
pub use fault::{AcceptedFault, Fault, FaultKind, NoFault, Severity};
pub use forget::{ForgetError, ForgetRecord, ForgetRecords, ForgetRules, Forgotten, Orders, VerifiedForget};
pub use forgotten_by::ForgottenBy;
pub use index::{IndexLine, IndexReader, IndexWriter, RecordKey};
pub use judge::{Appending, Chosen, Judgement, NoChoice, Refusal};
pub use layers::{Layer, LayerLines, merge_layers};
pub use layout::pack as pack_name;
pub use lists::PackLists;
pub use lookup::Lookup;
pub use loss::{Accepted, LossGuard};
pub use manifest::{Counts, DRILL, Excluded, FileRef, FullPass, Manifest, Seal, UnreadableCount, VerifiedManifest};
pub use open_index::{OpenIndex, OpenSnapshot, Records, Wanted};
pub use pack::{PackEntry, PackReader, PackWriter};
pub use pack_set::{OpenSet, PackSet};
pub use readings::{Age, MOST_ARCS, ReadingCount, Readings, SweepArc, hash_of};
pub use record::{Halt, LaterRecord, VerifiedRecord};
pub use response::Response;
pub use restorable::{Extent, Restorable};
pub use retention::{Fate, Going, Held, Retention, RetentionPlan, plan};
pub use served::{ServedFacts, ServedLog, ServedLogs};
pub use spool::{Line, Order, Sorted, Spool, Walk};
pub use subset::{NoSubset, Subset, SubsetRule};
pub use sweep::{Sweep, SweepReport};
pub use tiers::{LayerPlan, plan_addition, plan_layers};
pub use tombstone::{Mark, Marked, Tombstone, told};
pub use trust::{Signed, Trust, TrustAnchor};
pub use turn::Tip;
pub use witness::{Remembered, Standing, Witness};

use crate::{
    crypto::{Namespace, Signer},
    model::{Digest, RepositoryId},
    storage::{Storage, StorageError},
    text::{line, sentence},
};
use identity::Identity;

/// The newest format this build writes; it reads this and older ones, and opens newer ones not at all or read-only.
pub const FORMAT_VERSION: u32 = 1;

/// How a missing file is described wherever its presence was expected.
const MISSING: &str = "it is missing";

/// A repository on one storage.
#[derive(Clone, Debug)]
pub struct Repository {
    storage: Storage,
    id: RepositoryId,
    /// Where this host remembers what it verified.
    memory: Option<PathBuf>,
    /// The audit chain of the host that runs, and its head: what it signs carries it.
    audited: Option<(String, AuditHead)>,
}

/// A sealed pack or index, ready to be stored.
pub struct SealedFile {
    /// Digest and size of `bytes`.
    pub file: FileRef,
    /// The ciphertext.
    pub bytes: Bytes,
}

/// A repository that cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// There is no repository at the address.
    #[error("there is no repository at {}", line(.0))]
    NotARepository(String),
    /// There is one already.
    #[error("a repository already exists at {}", line(.0))]
    Exists(String),
    /// Written by a newer version of the format.
    #[error("{} has format version {found}; this build knows {FORMAT_VERSION}", line(address))]
    Newer {
        /// The storage.
        address: String,
        /// Its version.
        found: u32,
    },
    /// A file is missing, or its content is not what its digest or format says.
    #[error("{} is damaged: {}", line(file), sentence(reason))]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A signature does not reach the root, or the history contradicts itself.
    #[error("{} is not trusted: {}", line(file), sentence(reason))]
    Untrusted {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Sealed to keys other than the one at hand.
    #[error("{} is sealed to another key", line(file))]
    WrongKey {
        /// The file.
        file: String,
    },
    /// A tombstone that the key at hand does not open: which versions it marks is not known.
    #[error("{} marks versions as leaked and is sealed to another key", line(file))]
    TombstoneClosed {
        /// The file.
        file: String,
    },
    /// Records that wait on this host's disk cannot be written or read.
    #[error("cannot write temporary files on this host: {0}")]
    Spool(std::io::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for RepoError {
    /// What is not fit to be read is damage like any other.
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unfit { name, reason, .. } => damaged(&name, reason),
            other => Self::Storage(other),
        }
    }
}

impl Repository {
    /// Creates a repository: RECOVER.md, recover.py, the first epoch's signature, the first epoch, and lifeboat.json last.
    /// Running it again after a crash finishes it; a finished repository is refused.
    ///
    /// # Errors
    /// [`RepoError::Exists`]; [`RepoError::Damaged`] when an interrupted creation left another epoch there;
    /// [`RepoError::Untrusted`] when `root` is not the epoch's; [`RepoError::Storage`].
    pub async fn create(storage: Storage, epoch: &Epoch, root: &Signer) -> Result<Self, RepoError> {
        if storage.exists(layout::IDENTITY).await? {
            return Err(RepoError::Exists(storage.address().to_owned()));
        }
        let name = layout::epoch(epoch.number, &Digest::of(&epoch.to_bytes()));
        if epoch.root != root.public() || epoch.version != FORMAT_VERSION || epoch.number != 1 {
            return Err(untrusted(&name, "not a first epoch signed by its own root"));
        }
        let repository = Self { storage, id: epoch.repository, memory: None, audited: None };
        let there = repository.storage.list(layout::EPOCHS).await?;
        if let Some(other) = there.iter().find(|entry| !entry.name.starts_with(&name)) {
            return Err(damaged(&other.name, "it is left from an interrupted creation"));
        }
        for (name, text) in layout::GUIDES {
            repository.put_same(name, Bytes::from_static(text.as_bytes())).await?;
        }
        repository.storage.prove_exclusive_by(layout::GUIDES[0].0).await?;
        repository.put_epoch(epoch, root).await?;
        repository.put_same(layout::IDENTITY, Identity::of(epoch).to_bytes()).await?;
        Ok(repository)
    }

    /// Opens a repository by its lifeboat.json.
    ///
    /// # Errors
    /// [`RepoError::NotARepository`], [`RepoError::Newer`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn open(storage: Storage) -> Result<Self, RepoError> {
        let identity = Identity::read(&storage).await?;
        let Some(identity) = identity else { return Err(RepoError::NotARepository(storage.address().to_owned())) };
        Ok(Self { storage, id: identity.repository, memory: None, audited: None })
    }

    /// The same, for a host that remembers in a file what it verified: [`Self::recent_chain`] then reads only what is new.
    #[must_use]
    pub fn remembering(self, memory: PathBuf) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// The identity; copies share it.
    pub fn id(&self) -> RepositoryId {
        self.id
    }

    /// The storage it is on.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Signs `bytes` and stores first the signature, then the file: the file's appearance is the commit
    /// (docs/design/0001-signature-before-manifest.md).
    async fn put_signed(
        &self,
        name: &str,
        bytes: Bytes,
        namespace: Namespace,
        signer: &Signer,
    ) -> Result<String, RepoError> {
        if self.storage.exists(name).await? {
            let address = self.storage.address().to_owned();
            return Err(StorageError::AlreadyExists { address, name: name.to_owned() }.into());
        }
        if bytes.len() as u64 > layout::most_bytes(name) {
            return Err(damaged(name, "it is larger than a reader takes, so it was not stored"));
        }
        let signature = signer.sign(namespace, &bytes);
        self.put_same(&layout::signature(name), Bytes::from(signature.clone())).await?;
        match self.storage.put_new(name, bytes.clone()).await {
            // A retry of our own write whose answer was lost: its random id is nobody else's.
            Err(StorageError::AlreadyExists { .. })
                if self.storage.get_at_most(name, layout::most_bytes(name)).await? == bytes => {}
            other => other?,
        }
        Ok(signature)
    }

    /// Stores a file that may be there already with the same content. Gives whether it was written.
    async fn put_same(&self, name: &str, bytes: Bytes) -> Result<bool, RepoError> {
        match self.storage.put_new(name, bytes.clone()).await {
            Ok(()) => Ok(true),
            Err(StorageError::AlreadyExists { .. })
                if self.storage.get_at_most(name, layout::most_bytes(name)).await? == bytes =>
            {
                Ok(false)
            }
            Err(StorageError::AlreadyExists { .. }) => Err(damaged(name, "another file has this name")),
            Err(error) => Err(error.into()),
        }
    }

    /// A file's bytes; a file that is missing is damage.
    async fn expect(&self, name: &str) -> Result<Bytes, RepoError> {
        match self.storage.get_at_most(name, layout::most_bytes(name)).await {
            Err(StorageError::NotFound { .. }) => Err(damaged(name, MISSING)),
            other => Ok(other?),
        }
    }
}

fn damaged(file: &str, reason: impl Into<String>) -> RepoError {
    RepoError::Damaged { file: file.to_owned(), reason: reason.into() }
}

fn untrusted(file: &str, reason: impl Into<String>) -> RepoError {
    RepoError::Untrusted { file: file.to_owned(), reason: reason.into() }
}

/// Every JSON file of the format: two spaces, declared field order, a newline at the end.
fn to_json<T: serde::Serialize>(value: &T) -> Bytes {
    let mut bytes = serde_json::to_vec_pretty(value).expect("the format's structs are plain data");
    bytes.push(b'\n');
    bytes.into()
}

/// Reads a JSON file of the format: its version first, then strictly.
fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(bytes).map_err(|_| "not JSON with a version".to_owned())?;
    match version {
        FORMAT_VERSION => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        0 => Err("format version 0 does not exist".into()),
        newer => Err(format!("format version {newer} is newer than this build knows ({FORMAT_VERSION})")),
    }
}

fn file_ref(bytes: &[u8]) -> FileRef {
    FileRef { sha256: Digest::of(bytes), size: bytes.len() as u64 }
}
