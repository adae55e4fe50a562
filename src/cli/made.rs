//! What a run wrote that means nothing unless the run ends well: removed again when it does not.

use std::path::{Path, PathBuf};

use super::{Failure, Output};
use crate::fsutil::{self, Access, Existing};

/// The files and folders of this run. Dropped before [`Made::keep`], by an error or a ^C, it removes them; nothing that was
/// there before.
#[derive(Default)]
pub(super) struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Pages that a printer has.
    pub(super) printed: usize,
}

impl Made {
    /// Writes a new file.
    pub(super) fn write(&mut self, path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
        fsutil::write(path, bytes, access, Existing::Keep)?;
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Makes a folder, if there is none.
    pub(super) fn folder(&mut self, path: &Path, access: Access) -> Result<(), Failure> {
        let is_new = !path.exists();
        fsutil::create_folder(path, access)?;
        if is_new {
            self.folders.push(path.to_owned());
        }
        Ok(())
    }

    /// The run ended well.
    pub(super) fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
        self.printed = 0;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let output = Output { json: false };
        let left: Vec<String> = self
            .files
            .iter()
            .filter_map(|file| fsutil::remove(file).err().map(|_| file.display().to_string()))
            .collect();
        // A folder in which something else is stays.
        self.folders.iter().rev().for_each(|folder| fsutil::remove_empty_folder(folder));
        if !left.is_empty() {
            output.warn(&format!("destroy these files, which could not be removed: {}", left.join(", ")));
        } else if !self.files.is_empty() {
            output.warn("the sheets and keys of this run were removed; nothing opens them");
        }
        if self.printed > 0 {
            output.warn(&format!("destroy the {} sheets that were printed", self.printed));
        }
    }
}
