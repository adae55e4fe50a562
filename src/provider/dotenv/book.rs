//! What a restore or a drill makes in a folder, noted there before each file has its name: a file has no place for a mark, and
//! its version id may be of another name or another kind.
//!
//! A line means one very file: its device, its inode and the time at which its bytes were written. What was written to since, or
//! put in its place, is somebody else's. The notes of a restore are gone when it is whole, those of a drill with its last file.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    fsutil::{self, Access},
    model::Tag,
};

/// The file, in the root.
pub(super) const FILE: &str = ".lifeboat-made";

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    /// Its path below the root.
    pub name: String,
    /// Which one it is.
    pub file: String,
    /// The version that was written.
    pub version: String,
    /// When.
    pub time: Timestamp,
    /// The tags that it would have, if files had any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    File(Made),
    /// A folder that was made on the way: its path below the root, and which one it is.
    Folder {
        path: String,
        folder: String,
    },
}

/// The notes of one folder.
pub(super) struct Book {
    root: PathBuf,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    files: BTreeMap<String, Made>,
    folders: Vec<(String, String)>,
    /// Whether the last line has no end: the process ended while it was written.
    is_torn: bool,
}

/// Which file it is that has these bytes.
pub(super) fn identity(metadata: &fs::Metadata) -> String {
    identity_of((metadata.dev(), metadata.ino()), (metadata.mtime(), metadata.mtime_nsec()))
}

pub(super) fn identity_of((device, inode): (u64, u64), (seconds, nanos): (i64, i64)) -> String {
    format!("{device:x}-{inode:x}-{seconds}.{nanos:09}")
}

/// Whether a text is such an identity.
pub(super) fn is_identity(text: &str) -> bool {
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_time = |part: &str| {
        part.split_once('.').is_some_and(|(seconds, nanos)| {
            seconds.parse::<i64>().is_ok() && nanos.len() == 9 && nanos.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let mut parts = text.splitn(3, '-');
    parts.next().is_some_and(is_hex) && parts.next().is_some_and(is_hex) && parts.next().is_some_and(is_time)
}

impl Book {
    /// What was noted in a folder, which may not be there yet. A line that does not read says nothing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let bytes = match fs::read(root.join(FILE)) {
            Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Vec::new(),
            other => other?,
        };
        let is_torn = bytes.last().is_some_and(|byte| *byte != b'\n');
        let mut lines = Lines { is_torn, ..Lines::default() };
        for line in bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()) {
            match line {
                Line::File(made) => drop(lines.files.insert(made.name.clone(), made)),
                Line::Folder { path, folder } => lines.folders.push((path, folder)),
            }
        }
        Ok(Self { root: root.to_owned(), lines: Mutex::new(lines) })
    }

    /// What was noted of the file of a name, if that is still the very file.
    pub(super) fn made(&self, name: &str, identity: &str) -> Option<Made> {
        self.lines().files.get(name).filter(|made| made.file == identity).cloned()
    }

    /// Every name of which something was noted.
    pub(super) fn names(&self) -> Vec<String> {
        self.lines().files.keys().cloned().collect()
    }

    /// Notes a file, durably.
    pub(super) fn note(&self, made: Made) -> io::Result<()> {
        let mut lines = self.lines();
        self.append(&mut lines, &Line::File(made.clone()))?;
        lines.files.insert(made.name.clone(), made);
        Ok(())
    }

    /// Notes a folder that was made, durably.
    pub(super) fn note_folder(&self, path: &str) -> io::Result<()> {
        let metadata = fs::symlink_metadata(self.root.join(path))?;
        let folder = format!("{:x}-{:x}", metadata.dev(), metadata.ino());
        let mut lines = self.lines();
        self.append(&mut lines, &Line::Folder { path: path.to_owned(), folder: folder.clone() })?;
        lines.folders.push((path.to_owned(), folder));
        Ok(())
    }

    fn append(&self, lines: &mut Lines, line: &Line) -> io::Result<()> {
        let mut text = if std::mem::take(&mut lines.is_torn) { b"\n".to_vec() } else { Vec::new() };
        text.extend(serde_json::to_vec(line).expect("plain data"));
        text.push(b'\n');
        fsutil::append(&self.root.join(FILE), &text, Access::Private)
    }

    /// What was noted of a name is gone; with the last one go the notes, and the folders that were made, if they are empty.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        let mut lines = self.lines();
        lines.files.remove(name);
        if !lines.files.is_empty() {
            return Ok(());
        }
        fsutil::remove(&self.root.join(FILE))?;
        let mut folders = std::mem::take(&mut lines.folders);
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        for (path, folder) in folders {
            let path = if path.is_empty() { self.root.clone() } else { self.root.join(path) };
            let is_it = fs::symlink_metadata(&path)
                .is_ok_and(|metadata| format!("{:x}-{:x}", metadata.dev(), metadata.ino()) == folder);
            if is_it {
                fsutil::remove_empty_folder(&path);
            }
        }
        Ok(())
    }

    /// No later run needs it any more; this one still reads back what it wrote.
    pub(super) fn end(&self) -> io::Result<()> {
        if self.lines().files.is_empty() {
            return Ok(());
        }
        fsutil::remove(&self.root.join(FILE))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, file: &str) -> Made {
        let time = "2026-11-24T06:00:00Z".parse().unwrap();
        Made { name: name.into(), file: file.into(), version: "v".into(), time, tags: Vec::new() }
    }

    #[test]
    fn notes_are_read_back_and_a_torn_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let book = Book::open(root).unwrap();
        assert!(book.names().is_empty());
        book.note(made("a", "1-2-3.000000004")).unwrap();
        fsutil::append(&root.join(FILE), b"{\"file\":{\"name\":\"b\"", Access::Private).unwrap();
        let book = Book::open(root).unwrap();
        book.note(made("c", "1-3-3.000000004")).unwrap();
        let book = Book::open(root).unwrap();
        assert_eq!(book.names(), ["a", "c"]);
        assert_eq!(book.made("a", "1-2-3.000000004"), Some(made("a", "1-2-3.000000004")));
        assert_eq!(book.made("a", "1-2-3.000000005"), None, "it was written to since");
        book.end().unwrap();
        assert!(!root.join(FILE).exists() && book.made("a", "1-2-3.000000004").is_some());
    }

    #[test]
    fn an_identity_is_told_from_a_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_identity(&identity(&fs::metadata(folder.path()).unwrap())));
        assert!(is_identity(&identity_of((64, 7), (-1, 5))));
        for text in ["", "1-2", "1-2-3", "1-2-3.4", "x-2-3.000000004", "example.com"] {
            assert!(!is_identity(text), "{text}");
        }
    }
}
