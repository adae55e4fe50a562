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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> io::Result<Arc<LocalFileSystem>> {
        let store = LocalFileSystem::new_with_prefix(&self.path).map_err(io::Error::other)?.with_fsync(true);
        Ok(Arc::clone(self.opened.get_or_init(|| Arc::new(store))))
    }
}

/// A whole file of at most `most` bytes.
pub(super) fn read(store: &LocalFileSystem, name: &Name, most: u64) -> object_store::Result<Bytes> {
    let (file, length) = open(store, name)?;
    if length > most {
        return Err(super::larger(length, most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    // One that grows meanwhile is no longer than it may be either.
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(name, error))?;
    if read as u64 > most { Err(super::larger(read as u64, most)) } else { Ok(bytes.into()) }
}

/// Whether there is a file of this name.
pub(super) fn is_there(store: &LocalFileSystem, name: &Name) -> object_store::Result<bool> {
    match fs::metadata(store.path_to_filesystem(name)?) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(failed(name, error)),
    }
}

/// Names below a folder that are neither file nor folder, nor a link to one. Opening them could wait for ever, or read for ever.
pub(super) fn no_files(root: &Path, below: &str) -> io::Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![below.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let mut kind = entry.file_type()?;
            if kind.is_symlink() {
                match fs::metadata(entry.path()) {
                    Ok(found) if !found.is_dir() => kind = found.file_type(),
                    _ => continue,
                }
            }
            if kind.is_dir() {
                folders.push(name);
            } else if !kind.is_file() {
                found.push(name);
            }
        }
    }
    Ok(found)
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

/// An open file and its length. A folder is no file. A pipe that nobody writes to is opened without waiting, and not read.
fn open(store: &LocalFileSystem, name: &Name) -> object_store::Result<(File, u64)> {
    let path = store.path_to_filesystem(name)?;
    let file = without_waiting(&path).map_err(|error| failed(name, error))?;
    let found = file.metadata().map_err(|error| failed(name, error))?;
    if found.is_dir() {
        Err(failed(name, io::ErrorKind::NotFound.into()))
    } else if found.is_file() {
        Ok((file, found.len()))
    } else {
        Err(super::unfit("it is not a regular file".into()))
    }
}

/// For files the flag means nothing.
#[cfg(unix)]
fn without_waiting(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    Ok(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
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
