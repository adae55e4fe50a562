//! The composition root: from configuration to objects.

mod apart;
mod drill;
mod sources;
mod standby;
mod targets;
mod trail;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    config::{Config, ConfigError},
    crypto::{IndexKey, KeyFileError, PublicKey, Recipient, RecipientError, Signer, VersionKey},
    drill::DrillFileError,
    fsutil::{self, Access, Existing},
    model::{Digest, RepositoryId},
    provider::NoSuchRegion,
    repo::{RepoError, Repository, Trust, TrustAnchor, VerifiedForget, VerifiedManifest, Witness},
    storage::{Storage, StorageError},
};

pub use self::drill::Site;
pub use apart::{
    Elsewhere, Known, Neighbours, TooClose, Whereabouts, allowed, apart, beside, closeness, key_of_a_source,
    whereabouts,
};
pub use sources::{Estate, EstateError, Found, connect, hidden_from_listings, may_be, plain, refuse_twins};
pub use standby::DriftSeen;
pub use targets::connect_target;
pub use trail::{Left, OpenRun, leave_alone};

/// What a host remembers of a repository.
const HEAD: &str = "head.json";
/// What a host remembers of its copies.
const COPIES: &str = "copies.json";
/// When a host first saw each forget record.
const FORGOTTEN: &str = "forgotten.json";
/// The key of version ids, in the folder of the index key.
pub const VERSION_KEY: &str = "versions";
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What a copy held when this host last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySeen {
    /// Its head.
    pub head: Witness,
    /// The recovery point of that head.
    pub time: Timestamp,
}

/// A backup host: its configuration and where that lies.
pub struct Host {
    /// The configuration.
    pub config: Config,
    /// Its file, byte for byte.
    file: Vec<u8>,
    folder: PathBuf,
}

/// Something of the host that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The configuration does not parse.
    #[error("{path}: {error}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ConfigError,
    },
    /// A drill file does not parse.
    #[error("{path}: {error}")]
    Drill {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: DrillFileError,
    },
    /// The runbook of a drill file is not there.
    #[error(
        "{path}: runbook = {runbook:?}: there is no file {found}; the path is relative to the folder of the configuration"
    )]
    Runbook {
        /// The drill file.
        path: PathBuf,
        /// The runbook, as the file names it.
        runbook: PathBuf,
        /// Where it was looked for.
        found: PathBuf,
    },
    /// `[lost]` of a drill file names a region that does not exist.
    #[error("[lost] regions: {0}")]
    LostRegion(NoSuchRegion),
    /// A target in a region that does not exist.
    #[error(transparent)]
    Region(#[from] NoSuchRegion),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A key file holds something else.
    #[error("{path}: {error}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: KeyFileError,
    },
    /// `[trust]` does not hold a key.
    #[error("[trust] root: {0}")]
    Root(KeyFileError),
    /// `[trust]` does not hold a recipient.
    #[error("[trust] recipient: {0}")]
    Recipient(#[from] RecipientError),
    /// A storage address.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// Another run of this host writes to the repository.
    #[error("another run is writing to repository {0}")]
    Locked(RepositoryId),
    /// `[trust]` could not be rewritten without touching anything else.
    #[error("{path}: [trust] cannot be rewritten: set root {root:?} and recipient {recipient:?} by hand")]
    Repin {
        /// The file.
        path: PathBuf,
        /// The new root.
        root: String,
        /// The new recipient.
        recipient: String,
    },
    /// The remembered head of a repository cannot be read.
    #[error("{0}: not the remembered head of a repository")]
    Witness(PathBuf),
}

/// Makes a configuration believe another key, in one step; every other character of the file stays.
///
/// # Errors
/// [`HostError::Repin`] when the file is not written the way `init` writes it; [`HostError::Io`].
pub fn repin(path: &Path, anchor: &TrustAnchor) -> Result<(), HostError> {
    let text = String::from_utf8(fsutil::read(path)?).unwrap_or_default();
    let (root, recipient) = (anchor.root.to_string(), anchor.recipient.to_string());
    match repinned(&text, &root, &recipient) {
        Some(text) => Ok(fsutil::write(path, text.as_bytes(), Access::Public, Existing::Replace)?),
        None => Err(HostError::Repin { path: path.to_owned(), root, recipient }),
    }
}

fn repinned(text: &str, root: &str, recipient: &str) -> Option<String> {
    let mut expected = Config::parse(text).ok()?;
    let changed = text
        .replace(&format!("{:?}", expected.trust.root), &format!("{root:?}"))
        .replace(&format!("{:?}", expected.trust.recipient), &format!("{recipient:?}"));
    (expected.trust.root, expected.trust.recipient) = (root.to_owned(), recipient.to_owned());
    (Config::parse(&changed).ok()? == expected).then_some(changed)
}

impl Host {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn load(path: &Path) -> Result<Self, HostError> {
        let bytes = fsutil::read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let config = Config::parse(&text).map_err(|error| HostError::Config { path: path.to_owned(), error })?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { config, file: bytes, folder })
    }

    /// The configuration file, byte for byte, as a snapshot keeps it.
    pub fn config_file(&self) -> &[u8] {
        &self.file
    }

    /// Opens the configured repository and verifies its epochs against the pinned trust.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn repository(&self) -> Result<(Repository, Trust), HostError> {
        self.repository_at(&self.config.repository.url).await
    }

    /// The same for a copy, or any other address.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn repository_at(&self, address: &str) -> Result<(Repository, Trust), HostError> {
        let repository = Repository::open(Storage::open(address)?).await?;
        let trust = repository.trust(&self.anchor()?).await?;
        // The main repository and each copy have a history of their own: a copy lags, or was tampered with.
        let of = Digest::of(repository.storage().address().as_bytes()).short();
        let memory = self.state_file(repository.id(), &format!("{of}.history.json"));
        let is_main = address == self.config.repository.url;
        let head = if is_main { self.audit_head(repository.id())?.map(|(chain, head, _)| (chain, head)) } else { None };
        Ok((repository.remembering(memory).audited(head), trust))
    }

    /// What this host believes.
    ///
    /// # Errors
    /// When `[trust]` does not parse.
    pub fn anchor(&self) -> Result<TrustAnchor, HostError> {
        let root: PublicKey = self.config.trust.root.parse().map_err(HostError::Root)?;
        let recipient: Recipient = self.config.trust.recipient.parse()?;
        Ok(TrustAnchor { root, recipient })
    }

    /// The signer.
    ///
    /// # Errors
    /// When the file cannot be read or is no key.
    pub fn signer(&self) -> Result<Signer, HostError> {
        self.key(&self.config.keys.signer, Signer::from_file)
    }

    /// The index key.
    ///
    /// # Errors
    /// When the file cannot be read or is no key.
    pub fn index_key(&self) -> Result<IndexKey, HostError> {
        self.key(&self.config.keys.index, IndexKey::from_file)
    }

    /// The key of version ids, for sources whose service gives none. A host that was set up without one makes one; every
    /// value of such a source is then read as new once.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is no key.
    pub fn version_key(&self) -> Result<VersionKey, HostError> {
        let name = self.version_key_path();
        let path = self.folder.join(&name);
        if !self.has_version_key() {
            fsutil::check_folder(path.parent().unwrap_or(Path::new("")))?;
            let made = VersionKey::generate().to_file();
            match fsutil::write(&path, made.as_bytes(), Access::Private, Existing::Keep) {
                // Another run was faster: its key counts.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        self.key(&name, VersionKey::from_file)
    }

    /// Whether this host has a key of version ids.
    pub fn has_version_key(&self) -> bool {
        self.folder.join(self.version_key_path()).symlink_metadata().is_ok()
    }

    /// The file of that key, relative to the configuration like the others.
    pub fn version_key_path(&self) -> PathBuf {
        self.config.keys.index.with_file_name(VERSION_KEY)
    }

    /// Keeps other runs of this host from writing to the repository while the answer is held.
    ///
    /// # Errors
    /// [`HostError::Locked`] when another process holds the lock.
    pub fn lock(&self, repository: RepositoryId) -> Result<fsutil::Lock, HostError> {
        fsutil::create_folder(&self.scratch(), Access::Private)?;
        let path = self.state_file(repository, "lock");
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = fsutil::lock(&path)? {
                return Ok(lock);
            }
            // `is_running` holds it for an instant.
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(HostError::Locked(repository))
    }

    /// Whether a run of this host writes to the repository now. A lock left by a run that was killed is none.
    ///
    /// # Errors
    /// When the lock's file cannot be opened.
    pub fn is_running(&self, repository: RepositoryId) -> Result<bool, HostError> {
        Ok(fsutil::is_locked(&self.state_file(repository, "lock"))?)
    }

    /// The newest snapshot this host remembers having seen.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn witness(&self, repository: RepositoryId) -> Result<Option<Witness>, HostError> {
        self.recall(repository, HEAD)
    }

    /// Remembers a snapshot.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember(&self, manifest: &VerifiedManifest) -> Result<(), HostError> {
        self.keep(manifest.manifest().repository, HEAD, &manifest.witness())
    }

    /// What each copy held when this host last looked, by address.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn copies_seen(&self, repository: RepositoryId) -> Result<BTreeMap<String, CopySeen>, HostError> {
        Ok(self.recall(repository, COPIES)?.unwrap_or_default())
    }

    /// Remembers what copies hold now; the others stay as they were.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remember_copies(&self, repository: RepositoryId, seen: BTreeMap<String, CopySeen>) -> Result<(), HostError> {
        let mut all = self.copies_seen(repository)?;
        all.extend(seen);
        self.keep(repository, COPIES, &all)
    }

    /// Remembers an earlier snapshot as the head, of this host and of every copy that was seen with a later one: a quorum cut the
    /// history there.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn remember_cut(&self, head: &VerifiedManifest) -> Result<(), HostError> {
        let (repository, witness) = (head.manifest().repository, head.witness());
        if self.witness(repository)?.is_some_and(|known| known.sequence > witness.sequence) {
            self.remember(head)?;
        }
        let seen = CopySeen { head: witness, time: head.manifest().time };
        let later = self.copies_seen(repository)?.into_iter().filter(|(_, seen)| seen.head.sequence > witness.sequence);
        self.remember_copies(repository, later.map(|(url, _)| (url, seen)).collect())
    }

    /// Notes which forget records there are and gives when this host first saw each, by digest: whoever can write to the storage
    /// may say anything about when a file appeared.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn see_forgotten(
        &self,
        repository: RepositoryId,
        records: &[VerifiedForget],
        now: Timestamp,
    ) -> Result<BTreeMap<Digest, Timestamp>, HostError> {
        let known: BTreeMap<Digest, Timestamp> = self.recall(repository, FORGOTTEN)?.unwrap_or_default();
        let first = |each: &VerifiedForget| (each.digest, known.get(&each.digest).copied().unwrap_or(now));
        let seen: BTreeMap<Digest, Timestamp> = records.iter().map(first).collect();
        if seen != known {
            self.keep(repository, FORGOTTEN, &seen)?;
        }
        Ok(seen)
    }

    /// The file of a next epoch that waits for confirmation; public, and gone when it is in force or given up.
    pub fn pending_path(&self, repository: RepositoryId) -> PathBuf {
        self.state_file(repository, "pending-epoch.json")
    }

    /// The folder in which an unfinished run notes what it has sealed.
    pub fn journal_path(&self, repository: RepositoryId) -> PathBuf {
        self.state_file(repository, "run")
    }

    /// Which hooks of which plan ran.
    pub fn hooks_path(&self, repository: RepositoryId) -> PathBuf {
        self.state_file(repository, "hooks.journal")
    }

    /// The folder for what does not fit in memory.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn recall<T: DeserializeOwned>(&self, repository: RepositoryId, name: &str) -> Result<Option<T>, HostError> {
        let path = self.state_file(repository, name);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| HostError::Witness(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn keep<T: Serialize>(&self, repository: RepositoryId, name: &str, state: &T) -> Result<(), HostError> {
        let bytes = serde_json::to_vec(state).expect("what a host remembers is plain data");
        fsutil::create_folder(&self.scratch(), Access::Private)?;
        Ok(fsutil::write(&self.state_file(repository, name), &bytes, Access::Private, Existing::Replace)?)
    }

    fn state_file(&self, repository: RepositoryId, name: &str) -> PathBuf {
        self.folder.join("state").join(format!("{repository}.{name}"))
    }

    fn key<K>(&self, path: &Path, parse: impl Fn(&str) -> Result<K, KeyFileError>) -> Result<K, HostError> {
        let path = self.folder.join(path);
        let bytes = zeroize::Zeroizing::new(fsutil::read(&path)?);
        check_key(&path)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        parse(text).map_err(|error| HostError::Key { path, error })
    }
}

/// Refuses a key that other users can read, or in whose place they can put another one; also behind a link.
fn check_key(path: &Path) -> io::Result<()> {
    let real = fs::canonicalize(path)?;
    for path in [path, &real] {
        fsutil::check_folder(path.parent().unwrap_or(Path::new("")))?;
    }
    match fsutil::exposed(path, fsutil::Others::Nothing)? {
        None => Ok(()),
        Some(exposed) => Err(io::Error::new(io::ErrorKind::PermissionDenied, exposed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\n[repository]\nurl = \"r\"\n[source]\nurl = \"aws:eu-west-1\"\n\
        [trust]\nroot = \"ssh-ed25519 A\"\nrecipient = \"age1old\"\n[keys]\nsigner = \"s\"\nindex = \"i\"\n";

    #[test]
    fn only_the_trust_changes() {
        let changed = repinned(TEXT, "ssh-ed25519 B", "age1new").unwrap();
        assert_eq!(changed, TEXT.replace("ssh-ed25519 A", "ssh-ed25519 B").replace("age1old", "age1new"));
    }

    #[cfg(unix)]
    #[test]
    fn a_host_without_a_version_key_makes_one_and_keeps_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("lifeboat.toml");
        fsutil::write(&config, TEXT.as_bytes(), Access::Public, Existing::Keep).unwrap();
        let host = Host::load(&config).unwrap();
        assert!(!host.has_version_key());
        let id = host.version_key().unwrap().version_id("n", b"v");
        assert!(host.has_version_key());
        assert_eq!(host.version_key().unwrap().version_id("n", b"v"), id, "it is the same the next time");
        let file = folder.path().join(VERSION_KEY);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fsutil::write(&file, b"something else\n", Access::Private, Existing::Replace).unwrap();
        assert!(matches!(host.version_key(), Err(HostError::Key { .. })), "a damaged file is not replaced");
    }

    #[test]
    fn a_file_that_cannot_be_changed_safely_is_left_to_people() {
        let literal = TEXT.replace("\"age1old\"", "'age1old'");
        let elsewhere = TEXT.replace("url = \"r\"", "url = \"age1old\"");
        for text in ["", "[trust]", &literal, &elsewhere] {
            assert!(repinned(text, "ssh-ed25519 B", "age1new").is_none(), "{text}");
        }
    }
}
