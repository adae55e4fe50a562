//! A file that only grows, each addition durable before it counts.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Access, at, exclusive::sync_folder, no_link, restrict};

/// A new file that is added to. It is locked as long as this is there, so that others can tell a log in use from one that a
/// crash left ([`super::is_locked`]).
#[derive(Debug)]
pub struct LogFile {
    file: File,
    path: PathBuf,
}

impl LogFile {
    /// Makes the file, durably; the owner alone can read it.
    ///
    /// # Errors
    /// The system's error, its message naming the path; [`io::ErrorKind::AlreadyExists`] when it is there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        restrict(&mut options, Access::Private);
        no_link(&mut options);
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let lock = |file: File| match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => Err(error),
        };
        let made = options.open(path).and_then(lock).and_then(|file| sync_folder(folder).map(|()| file));
        made.map(|file| Self { file, path: path.to_owned() }).map_err(|error| at(path, &error))
    }

    /// Adds `bytes`, durably. After an error a part of them may be there.
    ///
    /// # Errors
    /// The system's error, its message naming the path.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).and_then(|()| self.file.sync_data()).map_err(|error| at(&self.path, &error))
    }

    /// Adds `bytes`: they outlive this process, and the system only once [`LogSync::sync`] was there. After an error a part of
    /// them may be there.
    ///
    /// # Errors
    /// The system's error, its message naming the path.
    pub fn add_soon(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).map_err(|error| at(&self.path, &error))
    }

    /// What makes additions durable beside whoever adds.
    ///
    /// # Errors
    /// The system's error, its message naming the path.
    pub fn syncer(&self) -> io::Result<LogSync> {
        let file = self.file.try_clone().map_err(|error| at(&self.path, &error))?;
        Ok(LogSync { file, path: self.path.clone() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the additions to a log durable.
#[derive(Debug)]
pub struct LogSync {
    file: File,
    path: PathBuf,
}

impl LogSync {
    /// Makes everything durable that was added before.
    ///
    /// # Errors
    /// The system's error, its message naming the path.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| at(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_new_grows_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::create(&path).unwrap();
        log.add(b"one\n").unwrap();
        log.add_soon(b"two\n").unwrap();
        log.syncer().unwrap().sync().unwrap();
        assert!(super::super::is_locked(&path).unwrap());
        assert_eq!(super::super::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(LogFile::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(log.path()).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
