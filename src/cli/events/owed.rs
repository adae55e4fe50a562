//! What a change owes to its consumers: noted before the change is captured, gone when their hooks ran. So a `watch` that was killed
//! between the two leaves no hook out; one may run twice.

use std::{
    collections::BTreeSet,
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

/// Takes from the notes of a source, but for `own`, those of these secrets, which `own` names too. What else they name stays noted.
pub(super) fn take_over(folder: &Path, (own, place): (&Note, &Place), names: &[String]) -> io::Result<Vec<String>> {
    let mut taken = BTreeSet::new();
    for (note, owed) in left(folder)? {
        if note.identity == own.identity || owed.place != *place {
            continue;
        }
        let (now, later): (Vec<String>, Vec<String>) =
            owed.names.iter().cloned().partition(|name| names.contains(name));
        if now.is_empty() {
            continue;
        }
        if !later.is_empty() {
            Note::put(folder, &Owed { names: later, ..owed })?;
        }
        note.settle()?;
        taken.extend(now);
    }
    Ok(taken.into_iter().collect())
}

/// Makes one note of all that are left of a source, so that a source that fails for days leaves one.
pub(super) fn join(folder: &Path, place: &Place) -> io::Result<()> {
    let all: Vec<(Note, Owed)> = left(folder)?.into_iter().filter(|(_, owed)| owed.place == *place).collect();
    let [_, .., (_, newest)] = &all[..] else { return Ok(()) };
    let names: BTreeSet<String> = all.iter().flat_map(|(_, owed)| owed.names.iter().cloned()).collect();
    let joined = Note::put(folder, &Owed { names: names.into_iter().collect(), ..newest.clone() })?;
    all.iter().filter(|(note, _)| note.identity != joined.identity).try_for_each(|(note, _)| note.settle())
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

    #[test]
    fn what_failed_captures_owe_is_joined_and_taken_over_secret_by_secret() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let place = |region: &str| Place { provider: "aws".into(), account: "1".into(), region: region.into() };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let put = |second: i64, region: &str, of: &[&str]| {
            let time = Timestamp::from_second(second).unwrap();
            Note::put(folder, &Owed { time, place: place(region), names: names(of) }).unwrap()
        };
        let there = || left(folder).unwrap().into_iter().map(|(_, owed)| (owed.place.region, owed.names));
        let there = || there().collect::<Vec<_>>();
        put(1, "r", &["a", "b"]);
        put(2, "r", &["c"]);
        put(3, "r", &["a"]);
        put(4, "s", &["a"]);
        for _ in 0..2 {
            join(folder, &place("r")).unwrap();
            assert_eq!(there(), [("r".into(), names(&["a", "b", "c"])), ("s".into(), names(&["a"]))]);
        }
        let own = put(5, "r", &["a", "c", "d"]);
        assert_eq!(take_over(folder, (&own, &place("r")), &names(&["a", "c", "d"])).unwrap(), names(&["a", "c"]));
        assert_eq!(
            there(),
            [("r".into(), names(&["b"])), ("s".into(), names(&["a"])), ("r".into(), names(&["a", "c", "d"]))]
        );
        assert_eq!(take_over(folder, (&own, &place("r")), &names(&["a"])).unwrap(), names(&[]));
        assert_eq!(take_over(folder, (&own, &place("r")), &names(&["b"])).unwrap(), names(&["b"]));
        assert_eq!(there().len(), 2);
    }
}
