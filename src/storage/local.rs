//! A local folder that need not exist before the first write.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use bytes::Bytes;
use object_store::{Error, local::LocalFileSystem, path::Path as Name};

use crate::{
    fsutil::{self, exclusive::SYSTEM},
    model::{Digest, Hashing},
};

/// What is read at once of a file that is hashed.
const PIECE: usize = 64 * 1024;
/// In the name of a file that cannot be named: in no name of a repository.
const STAND_IN: &str = "\u{fffd}";
/// `ELOOP` of Linux.
const LOOP: i32 = 40;

/// A folder, opened when it is first there.
///
/// Writes below it are crash-safe ([`fsutil::exclusive`]): a crash leaves at most a `name#N`, which listings do not show and later
/// writes step around.
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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> io::Result<Arc<LocalFileSystem>> {
        let store = LocalFileSystem::new_with_prefix(&self.path).map_err(io::Error::other)?.with_fsync(true);
        Ok(Arc::clone(self.opened.get_or_init(|| Arc::new(store))))
    }
}

/// A file of a listing: name, length, time of its last change, and whether it is one: pipes and devices have a name, and nobody reads
/// them.
pub(super) type Found = (String, u64, SystemTime, bool);

/// Every file below a folder and the folders there, or, not `deep`, those right below it. What an interrupted write left is no file.
/// What has a name that no repository can have gets a stand-in, as in a bucket: it is listed, and never read. Links to
/// folders are not followed, so that none leads out or round in a circle.
pub(super) fn list(root: &Path, below: &str, deep: bool) -> io::Result<(Vec<Found>, Vec<String>)> {
    let (mut found, mut seen, mut ahead) = (Vec::new(), Vec::new(), vec![(root.join(below), below.to_owned())]);
    while let Some((path, folder)) = ahead.pop() {
        let entries = match fs::read_dir(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let file = entry.file_name();
            let file = file.to_string_lossy().replace(char::is_control, STAND_IN);
            let name = if folder.is_empty() { file.clone() } else { format!("{folder}/{file}") };
            let name = if Name::parse(&name).is_ok() { name } else { format!("{name}{STAND_IN}") };
            if entry.file_type()?.is_dir() {
                if deep {
                    ahead.push((entry.path(), name.clone()));
                }
                seen.push(name);
                continue;
            }
            match fs::metadata(entry.path()) {
                Ok(about) if about.is_dir() || is_unfinished(&file) => {}
                Ok(about) => found.push((name, about.len(), about.modified()?, about.is_file())),
                // A link to nowhere, or a file that was removed just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A link that goes round in a circle is no file either.
                Err(error) if error.raw_os_error() == Some(LOOP) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok((found, seen))
}

/// `name#3`: what a write that was cut off left.
fn is_unfinished(file: &str) -> bool {
    let number = file.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes a new file below `root`, which is made if it is not there.
pub(super) fn put_new(root: &Path, name: &Name, bytes: &[u8]) -> io::Result<()> {
    if root.exists() && !root.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let path = root.join(name.as_ref());
    let temp = || {
        let random = getrandom::u64().expect("the operating system gives randomness");
        PathBuf::from(format!("{}#{random}", path.display()))
    };
    fsutil::exclusive::write_new(&path, bytes, temp, SYSTEM)
}

/// A whole file of at most `most` bytes.
pub(super) fn read(store: &LocalFileSystem, name: &Name, most: u64) -> object_store::Result<Bytes> {
    read_into(Vec::new(), store, name, most)
}

/// The same in memory that the caller brings: what one thread takes and another gives back is slow to be used again.
pub(super) fn read_into(
    mut bytes: Vec<u8>,
    store: &LocalFileSystem,
    name: &Name,
    most: u64,
) -> object_store::Result<Bytes> {
    let (file, length) = open(store, name)?;
    if length > most {
        return Err(super::larger(length, most));
    }
    bytes.reserve_exact(usize::try_from(length).unwrap_or_default());
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
    if leaves(&path, name).map_err(|error| failed(name, error))? {
        return Err(super::unfit("it is a link that leaves the repository".into()));
    }
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

/// Whether a file, or a folder on the way to it, is a link to something outside the storage's own folder.
fn leaves(path: &Path, name: &Name) -> io::Result<bool> {
    let below: Vec<&Path> = path.ancestors().take(name.parts().count()).collect();
    let is_link = |path: &&&Path| fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    let Some(root) = below.last().and_then(|last| last.parent()) else { return Ok(false) };
    if below.iter().find(is_link).is_none() {
        return Ok(false);
    }
    Ok(!fs::canonicalize(path)?.starts_with(fs::canonicalize(root)?))
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
