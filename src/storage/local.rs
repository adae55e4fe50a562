//! A local folder that need not exist before the first write.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use object_store::{ObjectStore, local::LocalFileSystem};

use crate::fsutil::{self, Access};

/// A folder, opened when it is first there.
///
/// Writes below it are crash-safe: `name#N`, fsync, hard link to `name`, fsync of the folder, unlink of `name#N`.
/// A crash leaves at most a `name#N`, which listings do not show and later writes step around.
pub(super) struct LocalFolder {
    path: PathBuf,
    opened: OnceLock<Arc<dyn ObjectStore>>,
}

impl LocalFolder {
    /// Names the folder; touches nothing.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, opened: OnceLock::new() }
    }

    /// The folder for reading; `None` while it does not exist.
    pub(super) fn existing(&self) -> io::Result<Option<Arc<dyn ObjectStore>>> {
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
    pub(super) fn create(&self) -> io::Result<Arc<dyn ObjectStore>> {
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

    fn open(&self) -> io::Result<Arc<dyn ObjectStore>> {
        let store = LocalFileSystem::new_with_prefix(&self.path).map_err(io::Error::other)?.with_fsync(true);
        Ok(Arc::clone(self.opened.get_or_init(|| Arc::new(store))))
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
