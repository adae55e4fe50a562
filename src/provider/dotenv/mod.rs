//! `.env` files below a folder. One file is one secret, its bytes are the value: there is no one format, and what a reader
//! makes of the bytes is an interpretation ([`crate::dialect`]).
//!
//! A file has no history: its versions are the bytes that a run found. Reading changes nothing, not even a time of access
//! that the system would not have changed.

mod address;
mod at_rest;
mod book;
mod examine;
mod file;
mod kind;
mod ops;
mod owner;
mod rules;
mod target;
mod walk;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tokio::task;

pub use address::{BadEnvAddress, EnvAddress};
pub use examine::{Examined, Finding, examine};
pub use kind::DotenvKind;
pub use rules::DotenvRules;

use super::{
    ErrorKind, Fetched, FetchedValue, FetchedVersion, Known, Listed, ProviderError, Source, VersionIds, held::Budget,
};
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Part, Place, Secret, SecretValue, Unreadable, VersionFacets},
};
use book::Book;
use file::{Look, Refused};
use walk::Entry;

/// The scheme of its addresses and places.
pub(super) const SCHEME: &str = "env";
/// Values that may be in memory at once, in bytes.
const VALUES: u32 = 64 * 1024 * 1024;

/// The `.env` files of one folder.
#[derive(Clone)]
pub struct Dotenv {
    files: Arc<Files>,
    versions: VersionIds,
    place: Place,
    budget: Budget,
    /// The version ids that a restore gave to what it wrote, by name, each with the id that the bytes have here: under
    /// another name, or from another kind, that is another one.
    claims: Arc<Mutex<BTreeMap<String, (String, String)>>>,
}

/// Where the files are, and which of those that are there.
struct Files {
    root: PathBuf,
    address: EnvAddress,
    /// What a restore or a drill notes there; a source has no use for it.
    book: Option<Book>,
    /// Whether it is a drill's: each file that it made is known by its identity, and has the tags that were noted.
    is_sandbox: bool,
}

impl Dotenv {
    /// Finds the folder.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn connect(address: &EnvAddress, versions: VersionIds) -> Result<Self, ProviderError> {
        let root = address.root().map_err(|error| failed("connect", None, &error))?;
        Self::at(Files { root, address: address.clone(), book: None, is_sandbox: false }, versions)
    }

    /// The same for a folder that may not be there yet; the first file makes it.
    ///
    /// # Errors
    /// It cannot be read, or something else has its name.
    pub fn connect_target(address: &EnvAddress, versions: VersionIds) -> Result<Self, ProviderError> {
        Self::to_write(address, versions, false)
    }

    /// The same for a drill, which knows again what it made, and removes that alone.
    ///
    /// # Errors
    /// It cannot be read, or something else has its name.
    pub fn connect_sandbox(address: &EnvAddress, versions: VersionIds) -> Result<Self, ProviderError> {
        Self::to_write(address, versions, true)
    }

    fn to_write(address: &EnvAddress, versions: VersionIds, is_sandbox: bool) -> Result<Self, ProviderError> {
        let root = match address.root() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && address.only.is_none() => {
                to_be(&address.path)
            }
            other => other,
        };
        let root = root.map_err(|error| failed("connect", None, &error))?;
        let book = Book::open(&root).map_err(|error| failed("connect", None, &error))?;
        Self::at(Files { root, address: address.clone(), book: Some(book), is_sandbox }, versions)
    }

    fn at(files: Files, versions: VersionIds) -> Result<Self, ProviderError> {
        let Files { root, address, .. } = &files;
        let account = match &address.host {
            Some(host) => host.clone(),
            None => owner::host_name().ok_or_else(|| {
                let words = "this machine has no name; add ?host=NAME to the address";
                refused(ErrorKind::Invalid, "connect", None, "NoHostName", words)
            })?,
        };
        let shown = match &address.only {
            Some(only) => root.join(only),
            None => root.clone(),
        };
        let region = shown
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| refused(ErrorKind::Invalid, "connect", None, "NotUtf8", "the folder's name is not UTF-8"))?;
        let place = Place { provider: SCHEME.into(), account, region };
        let files = Arc::new(files);
        let claims = Arc::default();
        Ok(Self { files, versions, place, budget: Budget::new(VALUES), claims })
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let files = Arc::clone(&self.files);
        task::spawn_blocking(move || work(&files)).await.expect("reading files does not panic")
    }
}

#[async_trait]
impl Source for Dotenv {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let found = self.blocking(|files| {
            // A target may not be there yet; a source that is gone is an error.
            if files.book.is_some() && !files.root.exists() {
                return Ok(Vec::new());
            }
            let entries = walk::files(&files.root, &files.address)?;
            let now = SystemClock.now();
            let mut listed: Vec<Listed> = entries.iter().map(|entry| listed(files, entry, now)).collect();
            // What a drill made is found whatever its name is.
            let made = files.book.iter().filter(|_| files.is_sandbox).flat_map(Book::names);
            for name in made.filter(|name| entries.iter().all(|entry| entry.name != *name)) {
                let entry = walk::entry(&files.root, &name);
                if file::look(&files.root, &entry).is_ok_and(|look| look.is_some()) {
                    listed.push(self::listed(files, &entry, now));
                }
            }
            Ok(listed)
        });
        stream::once(found)
            .flat_map(|found| match found {
                Ok(found) => stream::iter(found).map(Ok).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let name = listed.name.clone();
        let mut held = self.budget.reserve(file::LARGEST).await;
        let read = self.blocking(move |files| {
            let entry = walk::entry(&files.root, &name);
            let read = file::read(&files.root, &entry).map_err(|error| failed("read", Some(&name), &error))?;
            Ok(read)
        });
        let Some((look, outcome)) = read.await? else {
            return Err(refused(ErrorKind::NotFound, "read", Some(&listed.name), "NotFound", "the file is gone"));
        };
        let mut secret = self.files.secret(&listed.name, Some(&look));
        let mut versions = Vec::new();
        match outcome {
            Ok(bytes) => {
                held.shrink(bytes.len());
                if let Some(kind) = at_rest::kind(&listed.name, &bytes)
                    && let Some(file) = secret.facets.other.get_mut("file")
                {
                    file["encrypted"] = json!(kind);
                }
                versions.push(self.version(&secret, &look, &bytes, known));
            }
            Err(refused) => secret.unreadable.push(refused.unreadable()),
        }
        let agrees = listed.fingerprint.is_some_and(|fingerprint| fingerprint == look.fingerprint());
        Ok(Fetched { secret, versions, agrees, held: Some(held) })
    }
}

impl Dotenv {
    /// The version id of what has a name.
    fn id_of(&self, name: &str, look: &Look, bytes: &[u8]) -> String {
        if let Some(made) = self.files.made(name, look) {
            return made.version;
        }
        let own = (self.versions)(name, bytes);
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        match claims.get(name) {
            Some((claimed, of)) if *of == own => claimed.clone(),
            _ => own,
        }
    }

    /// What is written under a name is this version from now on, for as long as this connection is there.
    fn claim(&self, name: &str, version: &str, bytes: &[u8]) {
        let own = (self.versions)(name, bytes);
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.insert(name.to_owned(), (version.to_owned(), own));
    }

    fn version(&self, secret: &Secret, look: &Look, bytes: &[u8], known: &Known<'_>) -> FetchedVersion {
        let id = self.id_of(&secret.name, look, bytes);
        let value = if known(&secret.id, &id) {
            FetchedValue::Known
        } else {
            FetchedValue::Value(SecretValue::bytes(bytes.to_vec()))
        };
        let (created, facets) = (look.modified(), VersionFacets::default());
        FetchedVersion { id, current: true, labels: Vec::new(), created, facets, value }
    }
}

/// The entry of a listing. A file that changed a moment ago may change again within the same tick of the clock: until that
/// has passed its look says nothing.
fn listed(files: &Files, entry: &Entry, now: Timestamp) -> Listed {
    let look = file::look(&files.root, entry).ok().flatten();
    let fingerprint = look.as_ref().filter(|look| look.is_settled(now)).map(Look::fingerprint);
    let secret = files.secret(&entry.name, look.as_ref());
    Listed { name: entry.name.clone(), id: secret.id.clone(), secret, fingerprint }
}

impl Files {
    /// What was noted of a file, if it is still the very one.
    fn made(&self, name: &str, look: &Look) -> Option<book::Made> {
        self.book.as_ref()?.made(name, &look.identity())
    }

    /// A path has one file at a time, and a version id is of the name and the bytes: the name is identity enough. A drill's is
    /// told from any other that has its name.
    fn secret(&self, name: &str, look: Option<&Look>) -> Secret {
        let mut secret = Secret {
            name: name.to_owned(),
            id: name.to_owned(),
            changed: look.and_then(Look::modified),
            raw: Json::Null,
            ..Secret::default()
        };
        let Some(look) = look else { return secret };
        secret.facets.other.insert("file".into(), look.facet());
        if self.is_sandbox {
            secret.id = format!("{name}@{}", look.identity());
            if let Some(made) = self.made(name, look) {
                secret.created = Some(made.time);
                secret.facets.tags = made.tags;
            }
        }
        secret
    }
}

/// Where a folder that is not there is going to be: links in what is there of its path are followed.
fn to_be(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for above in path.ancestors() {
        if let Ok(real) = std::fs::canonicalize(above) {
            return Ok(real.join(path.strip_prefix(above).unwrap_or(Path::new(""))));
        }
    }
    Ok(path)
}

impl Refused {
    fn unreadable(self) -> Unreadable {
        Unreadable { part: Part::Versions, operation: "read".into(), reason: self.code().into() }
    }
}

/// A failure of the file system, with its own words: they hold a path and never a value.
fn failed(operation: &'static str, secret: Option<&str>, error: &std::io::Error) -> ProviderError {
    use std::io::ErrorKind as Io;
    let (kind, code) = match error.kind() {
        Io::NotFound => (ErrorKind::NotFound, "NotFound"),
        Io::PermissionDenied => (ErrorKind::Denied, "PermissionDenied"),
        Io::NotADirectory => (ErrorKind::Invalid, "NotAFolder"),
        Io::InvalidInput | Io::InvalidData => (ErrorKind::Invalid, "Invalid"),
        _ => (ErrorKind::Unavailable, "IoError"),
    };
    refused(kind, operation, secret, code, &error.to_string())
}

fn refused(kind: ErrorKind, operation: &'static str, secret: Option<&str>, code: &str, message: &str) -> ProviderError {
    ProviderError {
        provider: SCHEME,
        kind,
        operation,
        secret: secret.map(str::to_owned),
        code: code.into(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
