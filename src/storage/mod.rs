//! Where encrypted bytes live: a folder of immutable files behind one address.
//!
//! [`object_store`] does the work; this room fixes what a repository needs of it: names relative to one
//! prefix, writes that never replace a file, whole-file reads, listings that are complete.

use bytes::Bytes;

/// One storage prefix.
#[derive(Clone)]
pub struct Storage {
    // the helper decides: Arc<dyn ObjectStore>, prefix, address
}

/// A file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name relative to the prefix, with `/` between folders.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A storage that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address is not one of `PATH`, `file:///PATH`, `memory:NAME`.
    #[error("{address}: {reason}")]
    Address {
        /// The address as given, without credentials.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such file.
    #[error("{name} does not exist in {address}")]
    NotFound {
        /// The storage.
        address: String,
        /// The file.
        name: String,
    },
    /// The file exists, and files are never replaced.
    #[error("{name} already exists in {address}")]
    AlreadyExists {
        /// The storage.
        address: String,
        /// The file.
        name: String,
    },
    /// No space, no permission, no network.
    #[error("{name} in {address}: {reason}")]
    Unavailable {
        /// The storage.
        address: String,
        /// The file.
        name: String,
        /// The system's words.
        reason: String,
    },
}

impl Storage {
    /// Opens an address: a path or `file://` URL. Does not create anything and does not require it to exist.
    ///
    /// # Errors
    /// [`StorageError::Address`].
    pub fn open(_address: &str) -> Result<Self, StorageError> {
        todo!()
    }

    /// A new empty storage in memory.
    pub fn memory() -> Self {
        todo!()
    }

    /// The address, for people; holds no credentials.
    pub fn address(&self) -> &str {
        todo!()
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Unavailable`].
    pub async fn get(&self, _name: &str) -> Result<Bytes, StorageError> {
        todo!()
    }

    /// Whether a file exists.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn exists(&self, _name: &str) -> Result<bool, StorageError> {
        todo!()
    }

    /// Writes a new file, durably, in one step: it is there whole or not at all.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`], [`StorageError::Unavailable`].
    pub async fn put_new(&self, _name: &str, _bytes: Bytes) -> Result<(), StorageError> {
        todo!()
    }

    /// Every file below `folder` (`""` for all), sorted by name.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn list(&self, _folder: &str) -> Result<Vec<Entry>, StorageError> {
        todo!()
    }
}
