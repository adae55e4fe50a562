//! The files below a folder that an address means. Links are not followed to folders, so a walk ends.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::{EnvAddress, book, failed};
use crate::provider::ProviderError;

/// Files in one folder tree that are looked at; beyond it, something else is meant.
const MOST: usize = 1_000_000;

/// A file that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path below the root, with `/`.
    pub(super) name: String,
    /// The same for the system. A name that is not UTF-8 leads nowhere a second time.
    pub(super) path: PathBuf,
    /// Whether the name is the path: one that is not UTF-8 cannot be asked for by its name.
    pub(super) is_text: bool,
}

/// The file of a name that a listing gave.
pub(super) fn entry(root: &Path, name: &str) -> Entry {
    let path = root.join(name);
    // A name that was made from bytes that are no text has none of them.
    Entry { name: name.to_owned(), path, is_text: !name.contains(char::REPLACEMENT_CHARACTER) }
}

/// Every file that is meant, by name.
///
/// # Errors
/// A folder that cannot be read: what is in it would look deleted.
pub(super) fn files(root: &Path, address: &EnvAddress) -> Result<Vec<Entry>, ProviderError> {
    let mut waiting = vec![(root.to_owned(), String::new())];
    let (mut found, mut looked_at) = (Vec::new(), 0_usize);
    while let Some((folder, prefix)) = waiting.pop() {
        let shown = if prefix.is_empty() { "." } else { prefix.as_str() };
        let mut names = names(&folder).map_err(|error| failed("list", Some(shown), &error))?;
        names.sort();
        for name in names {
            looked_at += 1;
            if looked_at > MOST {
                let error = io::Error::new(io::ErrorKind::InvalidInput, format!("more than {MOST} files"));
                return Err(failed("list", Some(shown), &error));
            }
            let path = folder.join(&name);
            let is_text = name.to_str().is_some();
            let part = name.to_string_lossy();
            let name = if prefix.is_empty() { part.into_owned() } else { format!("{prefix}/{part}") };
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
            if is_folder {
                if address.enters(&name) {
                    waiting.push((path, name));
                }
            } else if address.means(&name) && name != book::FILE {
                found.push(Entry { name, path, is_text });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}
