//! What a change owes to its consumers: noted before the change is captured, gone when their hooks ran. So a `watch` that was killed
//! between the two leaves no hook out; one may run twice.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    fsutil::{self, Access, Existing},
    model::{Digest, Place},
};

/// A note's content: names, and no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owed {
    /// When the messages were read.
    pub(super) time: Timestamp,
    /// The source.
    pub(super) place: Place,
    /// The secrets that the messages name.
    pub(super) names: Vec<String>,
}

/// The file of a note.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
    /// What the journal of hooks calls it.
    pub(super) identity: Digest,
}

impl Note {
    /// Notes, durably, below `folder`.
    pub(super) fn put(folder: &Path, owed: &Owed) -> io::Result<Self> {
        let bytes = serde_json::to_vec(owed).expect("plain data becomes JSON");
        let identity = Digest::of(&bytes);
        fsutil::create_folder(folder, Access::Private)?;
        let path = folder.join(format!("{identity}.json"));
        fsutil::write(&path, &bytes, Access::Private, Existing::Replace)?;
        Ok(Self { path, identity })
    }

    /// Nothing is owed any more.
    pub(super) fn settle(&self) -> io::Result<()> {
        fsutil::remove(&self.path)
    }
}

/// What runs that were killed left, the oldest first. A file that is no note is left where it is.
pub(super) fn left(folder: &Path) -> io::Result<Vec<(Note, Owed)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut left = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let bytes = match fsutil::read(&path) {
            // Another `watch` settled it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let identity = Digest::of(&bytes);
        if path.file_name().is_some_and(|name| *name == *format!("{identity}.json"))
            && let Ok(owed) = serde_json::from_slice(&bytes)
        {
            left.push((Note { path, identity }, owed));
        }
    }
    left.sort_by_key(|(_, owed): &(Note, Owed)| owed.time);
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_left_until_it_is_settled_and_what_is_no_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("owed");
        assert_eq!(left(&folder).unwrap().len(), 0);
        let place = Place { provider: "aws".into(), account: "1".into(), region: "r".into() };
        let owed = |second: i64| {
            let time = Timestamp::from_second(second).unwrap();
            Owed { time, place: place.clone(), names: vec!["app/db".into()] }
        };
        let (late, early) = (Note::put(&folder, &owed(7)).unwrap(), Note::put(&folder, &owed(3)).unwrap());
        let put = |name: &str, text: &[u8]| fsutil::write(&folder.join(name), text, Access::Private, Existing::Keep);
        put("notes.txt", b"{}").unwrap();
        put(&format!("{}.json", Digest::of(b"cut")), b"{\"ti").unwrap();
        let found: Vec<Owed> = left(&folder).unwrap().into_iter().map(|(_, owed)| owed).collect();
        assert_eq!(found, [owed(3), owed(7)]);
        early.settle().unwrap();
        late.settle().unwrap();
        assert_eq!(left(&folder).unwrap().len(), 0);
    }
}
