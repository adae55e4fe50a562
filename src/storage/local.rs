//! A local folder that need not exist before the first write.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use object_store::{Error, local::LocalFileSystem, path::Path as Name};

use crate::{
    fsutil::{self, Access},
    model::{Digest, Hashing},
};

/// What is read at once of a file that is hashed.
const PIECE: usize = 64 * 1024;

/// A folder, opened when it is first there.
///
/// Writes below it are crash-safe: `name#N`, fsync, hard link to `name`, fsync of the folder, unlink of `name#N`.
/// A crash leaves at most a `name#N`, which listings do not show and later writes step around.
pub(super) struct LocalFolder {
    path: PathBuf,
    opened: OnceLock<Arc<LocalFileSystem>>,
}

impl LocalFolder {
    /// Names the folder; touches nothing.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, opened: OnceLock::new() }
    }

    /// The folder for reading; `None` while it does not exist.
    pub(super) fn existing(&self) -> io::Result<Option<Arc<LocalFileSystem>>> {
        if let Some(store) = self.opened.get() {
            return Ok(Some(Arc::clone(store)));
        }
        match fs::metadata(&self.path) {
            Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => self.open().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folder for writing, durably created if need be.
    pub(super) fn create(&self) -> io::Result<Arc<LocalFileSystem>> {
        if let Some(store) = self.existing()? {
            return Ok(store);
        }
        let missing: Vec<&Path> = self.path.ancestors().take_while(|folder| !folder.exists()).collect();
        fsutil::create_folder(&self.path, Access::Public)
            .map_err(|error| io::Error::new(error.kind(), "the folder cannot be created"))?;
        for folder in missing {
            sync_folder(folder.parent().unwrap_or(folder))?;
        }
        self.open()
    }

    fn open(&self) -> io::Result<Arc<LocalFileSystem>> {
        let store = LocalFileSystem::new_with_prefix(&self.path).map_err(io::Error::other)?.with_fsync(true);
        Ok(Arc::clone(self.opened.get_or_init(|| Arc::new(store))))
    }
}

/// A whole file.
pub(super) fn read(store: &LocalFileSystem, name: &Name) -> object_store::Result<Bytes> {
    let (mut file, length) = open(store, name)?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.read_to_end(&mut bytes).map_err(|error| failed(name, error))?;
    Ok(bytes.into())
}

/// A file's digest and length; its content goes through one buffer.
pub(super) fn measure(store: &LocalFileSystem, name: &Name) -> object_store::Result<(Digest, u64)> {
    let (mut file, _) = open(store, name)?;
    let mut hashing = Hashing::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hashing.finish()),
            Ok(read) => hashing.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(name, error)),
        }
    }
}

/// An open file and its length. A folder is no file.
fn open(store: &LocalFileSystem, name: &Name) -> object_store::Result<(File, u64)> {
    let path = store.path_to_filesystem(name)?;
    let file = File::open(path).map_err(|error| failed(name, error))?;
    let found = file.metadata().map_err(|error| failed(name, error))?;
    if found.is_dir() { Err(failed(name, io::ErrorKind::NotFound.into())) } else { Ok((file, found.len())) }
}

fn failed(name: &Name, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path: name.to_string(), source: error.into() },
        _ => Error::Generic { store: "LocalFileSystem", source: error.into() },
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
