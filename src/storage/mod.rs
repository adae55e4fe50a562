//! Where encrypted bytes live: a folder of immutable files behind one address.
//!
//! [`object_store`] does the work; this room fixes what a repository needs of it: names relative to one
//! prefix, writes that never replace a file, whole-file reads, listings that are complete.

mod address;
mod bucket;
mod cause;
pub mod faults;
mod local;
mod reading;
mod whose;
mod writing;

use std::{error::Error as _, fmt, io, sync::Arc};

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use tokio::sync::OnceCell;

use crate::{
    cores,
    isolation::{Isolation, Refused},
    text::{line, sentence},
};
use address::{Address, Bucket, Target};
use bucket::Connected;
pub use bucket::Owner;
pub use cause::Cause;
use faults::Faults;
use local::LocalFolder;
pub use reading::Read;
pub use whose::{Signed, account_of_key};

/// One storage prefix.
#[derive(Clone)]
pub struct Storage {
    place: Arc<Place>,
    faults: Option<Arc<Faults>>,
}

/// A file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name relative to the prefix, with `/` between folders.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When the storage says that it appeared, as exactly as it says; files are never replaced.
    pub modified: Timestamp,
    /// Whether it is a file, and not a pipe or a device of that name.
    pub is_file: bool,
}

/// A storage that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address is not one of `PATH`, `file://`, `s3://`, `gs://`, `az://`.
    #[error("{}: {}", line(address), sentence(reason))]
    Address {
        /// The address as given, without credentials.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting of the environment or of the AWS configuration that cannot be used.
    #[error("{address}: {reason}")]
    Setting {
        /// The storage.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such file.
    #[error("{} does not exist in {}", line(name), line(address))]
    NotFound {
        /// The storage.
        address: String,
        /// The file.
        name: String,
    },
    /// The file exists, and files are never replaced.
    #[error("{} already exists in {}", line(name), line(address))]
    AlreadyExists {
        /// The storage.
        address: String,
        /// The file.
        name: String,
    },
    /// It is no file: a pipe, a device; or it is larger than it may be. None of it was read.
    #[error("{} in {} is not read: {}", line(name), line(address), sentence(reason))]
    Unfit {
        /// The storage.
        address: String,
        /// The file.
        name: String,
        /// Why not.
        reason: String,
        /// Its bytes, where these are why.
        size: Option<u64>,
    },
    /// It counts as lost in this run.
    #[error(transparent)]
    Lost(#[from] Refused),
    /// The storage does not let this be removed: permission, or a retention lock.
    #[error("{} in {} cannot be removed: {}", line(name), line(address), sentence(reason))]
    Refused {
        /// The storage.
        address: String,
        /// The file.
        name: String,
        /// The storage's words.
        reason: String,
    },
    /// It replaces files that are there, or may.
    #[error("{} can overwrite existing files: {reason}", line(address))]
    NotExclusive {
        /// The storage.
        address: String,
        /// How that was seen.
        reason: &'static str,
    },
    /// No space, no permission, no network.
    #[error("{} in {}: {}", line(name), line(address), sentence(reason))]
    Unavailable {
        /// The storage.
        address: String,
        /// The file.
        name: String,
        /// The system's words.
        reason: String,
    },
}

/// Files of a listing. A repository of ten years has some ten thousand.
const MOST_FILES: usize = 2_000_000;

/// Marks errors of [`unfit`].
const UNFIT: &str = "unfit";

enum Place {
    Local { address: String, folder: LocalFolder },
    Bucket { address: String, bucket: Bucket, connected: OnceCell<Box<Connected>>, isolation: Option<Arc<Isolation>> },
    Memory(Arc<dyn ObjectStore>),
}

impl Storage {
    /// Opens an address: a path, `file://`, `s3://`, `gs://` or `az://` URL. Asks nobody, creates nothing and does not
    /// require it to exist.
    ///
    /// # Errors
    /// [`StorageError::Address`].
    pub fn open(address: &str) -> Result<Self, StorageError> {
        Ok(Self::at(Address::parse(address)?, None))
    }

    /// The same for an address that is in `region`, as far as anyone says, behind a guard.
    ///
    /// # Errors
    /// [`StorageError::Lost`] when it counts as lost, [`StorageError::Address`].
    pub fn open_within(address: &str, region: Option<&str>, isolation: &Arc<Isolation>) -> Result<Self, StorageError> {
        let storage = Self::at(Address::parse(address)?, Some(Arc::clone(isolation)));
        isolation.admit_storage(storage.address(), storage.region().or(region))?;
        Ok(storage)
    }

    fn at(Address { shown: address, target }: Address, isolation: Option<Arc<Isolation>>) -> Self {
        let place = match target {
            Target::Folder(folder) => Place::Local { address, folder: LocalFolder::new(folder) },
            Target::Bucket(bucket) => Place::Bucket { address, bucket, connected: OnceCell::new(), isolation },
        };
        Self { place: Arc::new(place), faults: None }
    }

    /// A new empty storage in memory.
    pub fn memory() -> Self {
        Self { place: Arc::new(Place::Memory(Arc::new(InMemory::new()))), faults: None }
    }

    /// The same storage with planned failures, for tests.
    #[must_use]
    pub fn with_faults(&self, faults: Arc<Faults>) -> Self {
        Self { place: Arc::clone(&self.place), faults: Some(faults) }
    }

    /// The address, for people; holds no credentials.
    pub fn address(&self) -> &str {
        match &*self.place {
            Place::Local { address, .. } | Place::Bucket { address, .. } => address,
            Place::Memory(_) => "memory",
        }
    }

    /// The region the address names, where it names one.
    pub fn region(&self) -> Option<&str> {
        match &*self.place {
            Place::Bucket { bucket, .. } => bucket.option("region"),
            _ => None,
        }
    }

    /// Until when a retention lock keeps a file from being removed, where the storage says so.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Unavailable`].
    pub async fn locked_until(&self, name: &str) -> Result<Option<Timestamp>, StorageError> {
        match self.connected(name).await? {
            Some(connected) => connected.locked_until(name).await.map_err(|error| self.error(name, &error)),
            None => Ok(None),
        }
    }

    /// Whether a file exists.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn exists(&self, name: &str) -> Result<bool, StorageError> {
        if let Some(store) = self.folder(name)? {
            let path = self.path(name)?;
            return local::is_there(&store, &path).map_err(|error| self.error(name, &error));
        }
        let Some(store) = self.existing(name).await? else { return Ok(false) };
        match store.head(&self.path(name)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.error(name, &error)),
        }
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when the storage forbids it, [`StorageError::Unavailable`].
    pub async fn remove(&self, name: &str) -> Result<(), StorageError> {
        if let Some(reason) = self.faults.as_ref().and_then(|faults| faults.on_remove(name)) {
            return Err(reason(self, name));
        }
        let Some(store) = self.existing(name).await? else { return Ok(()) };
        match store.delete(&self.path(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error @ object_store::Error::PermissionDenied { .. }) => {
                let (address, name) = (self.address().into(), name.into());
                Err(StorageError::Refused { address, name, reason: short_reason(&error) })
            }
            Err(error) => Err(self.error(name, &error)),
        }
    }

    /// Every file below `folder` (`""` for all), sorted by name. What an interrupted write left is not a file.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>, StorageError> {
        self.planned(folder)?;
        let Some(store) = self.existing(folder).await? else { return Ok(Vec::new()) };
        if let Place::Local { folder: local, .. } = &*self.place {
            return Ok(self.list_local(local, folder, true).await?.0);
        }
        let prefix = if folder.is_empty() { None } else { Some(self.path(folder)?) };
        let mut stream = store.list(prefix.as_ref());
        let mut entries = Vec::new();
        loop {
            match stream.try_next().await {
                Ok(Some(_)) if entries.len() == MOST_FILES => {
                    return Err(self.unavailable(folder, format!("its listing has more than {MOST_FILES} files")));
                }
                Ok(Some(meta)) => entries.push(entry(&meta)),
                Ok(None) => break,
                Err(error) => return Err(self.error(folder, &error)),
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        // A page that came twice brings nothing new.
        entries.dedup_by(|a, b| a.name == b.name);
        Ok(entries)
    }

    /// Not by the crate: its stream ends at the first name that it cannot express, and what it gave looks like everything.
    async fn list_local(
        &self,
        local: &LocalFolder,
        folder: &str,
        deep: bool,
    ) -> Result<(Vec<Entry>, Vec<String>), StorageError> {
        let (root, below) = (local.path().to_owned(), folder.to_owned());
        let found = cores::aside(move || local::list(&root, &below, deep)).await;
        let (files, mut folders) = found.map_err(|error| self.unavailable(folder, reason(&error)))?;
        let mut entries: Vec<Entry> = files.into_iter().map(local_entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        folders.sort();
        Ok((entries, folders))
    }

    /// Whether it is a local folder, where asking for one file costs next to nothing.
    pub fn is_folder(&self) -> bool {
        matches!(&*self.place, Place::Local { .. })
    }

    /// A name as it is: what a listing gives can be asked for again.
    fn path(&self, name: &str) -> Result<Path, StorageError> {
        Path::parse(name).map_err(|_| self.not_found(name))
    }

    /// The folders right below `folder`, and the files there, sorted by name: one look, however much is below.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn folders(&self, folder: &str) -> Result<(Vec<String>, Vec<Entry>), StorageError> {
        self.planned(folder)?;
        let Some(store) = self.existing(folder).await? else { return Ok(Default::default()) };
        if let Place::Local { folder: local, .. } = &*self.place {
            let (files, folders) = self.list_local(local, folder, false).await?;
            return Ok((folders, files));
        }
        let prefix = (!folder.is_empty()).then(|| Path::from(folder));
        let found = store.list_with_delimiter(prefix.as_ref()).await;
        let found = found.map_err(|error| self.error(folder, &error))?;
        let mut folders: Vec<String> = found.common_prefixes.iter().map(ToString::to_string).collect();
        let mut files: Vec<Entry> = found.objects.iter().map(entry).collect();
        folders.sort();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((folders, files))
    }

    async fn existing(&self, name: &str) -> Result<Option<Arc<dyn ObjectStore>>, StorageError> {
        match &*self.place {
            Place::Local { .. } => Ok(self.folder(name)?.map(|store| store as Arc<dyn ObjectStore>)),
            Place::Memory(store) => Ok(Some(Arc::clone(store))),
            Place::Bucket { .. } => Ok(self.connected(name).await?.map(|connected| Arc::clone(&connected.store))),
        }
    }

    /// The bucket's connection, made when it is first needed.
    async fn connected(&self, name: &str) -> Result<Option<&Connected>, StorageError> {
        let Place::Bucket { bucket, connected, isolation, .. } = &*self.place else { return Ok(None) };
        let connect = async || bucket::connect(bucket, isolation.clone()).await.map(Box::new);
        // Boxed, or every read of a folder would carry the room for it.
        let made = Box::pin(connected.get_or_try_init(connect)).await;
        made.map(|connected| Some(&**connected)).map_err(|error| self.error(name, &error))
    }

    fn not_found(&self, name: &str) -> StorageError {
        StorageError::NotFound { address: self.address().into(), name: name.into() }
    }

    fn unavailable(&self, name: &str, reason: impl Into<String>) -> StorageError {
        let name = if name.is_empty() { "the folder" } else { name };
        StorageError::Unavailable { address: self.address().into(), name: name.into(), reason: reason.into() }
    }

    fn error(&self, name: &str, error: &object_store::Error) -> StorageError {
        match error {
            object_store::Error::NotFound { source, .. } => match short_reason(error) {
                reason if Cause::of(&reason) == Some(Cause::Bucket) => self.unavailable(name, reason),
                _ if source.to_string().to_ascii_lowercase().contains("<html") => {
                    self.unavailable(name, "404 Not Found (a web page)")
                }
                _ => self.not_found(name),
            },
            object_store::Error::AlreadyExists { .. } => {
                StorageError::AlreadyExists { address: self.address().into(), name: name.into() }
            }
            object_store::Error::Generic { store: UNFIT, source } => {
                let size = source.downcast_ref::<Larger>().map(|larger| larger.size);
                StorageError::Unfit {
                    address: self.address().into(),
                    name: name.into(),
                    reason: source.to_string(),
                    size,
                }
            }
            object_store::Error::Generic { store: bucket::SETTING, source } => {
                StorageError::Setting { address: self.address().into(), reason: source.to_string() }
            }
            other => self.unavailable(name, short_reason(other)),
        }
    }
}

/// What is not read at all, as an error of the crate below.
fn unfit(reason: String) -> object_store::Error {
    object_store::Error::Generic { store: UNFIT, source: reason.into() }
}

fn larger(size: u64, most: u64) -> object_store::Error {
    object_store::Error::Generic { store: UNFIT, source: Box::new(Larger { size, most }) }
}

#[derive(Debug, thiserror::Error)]
#[error("it has {size} bytes; such a file has at most {most}")]
struct Larger {
    size: u64,
    most: u64,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({})", self.address())
    }
}

fn local_entry((name, size, modified, is_file): local::Found) -> Entry {
    // Not only the second: what was changed right after it was written is seen too.
    Entry { name, size, modified: Timestamp::try_from(modified).unwrap_or_default(), is_file }
}

fn entry(meta: &object_store::ObjectMeta) -> Entry {
    let modified = Timestamp::from_second(meta.last_modified.timestamp()).unwrap_or_default();
    Entry { name: meta.location.to_string(), size: meta.size, modified, is_file: true }
}

/// The system's own error under the crate's wrapping.
fn io_error(error: &object_store::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

fn short_reason(error: &object_store::Error) -> String {
    match io_error(error) {
        Some(error) => reason(error),
        None => service_reason(&error.source().map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

/// A service's page of XML or JSON becomes its code.
fn service_reason(text: &str) -> String {
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(['<', '{']).next().unwrap_or_default().trim_end_matches([' ', ':', '\u{feff}']);
    let is_page = text.to_ascii_lowercase().contains("<html");
    match code {
        None if is_page => format!("{line} (a web page)"),
        Some(code) => format!("{line} ({code})"),
        None => line.to_owned(),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "no space left".into(),
        io::ErrorKind::QuotaExceeded => "quota exceeded".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        io::ErrorKind::NotADirectory => "not a folder".into(),
        _ => without_number(&error.to_string()),
    }
}

/// `Input/output error (os error 5)` → `input/output error`.
fn without_number(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for (at, part) in text.split(" (os error ").enumerate() {
        words.push_str(if at == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) });
    }
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
