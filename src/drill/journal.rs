//! A drill that is under way, remembered on the host, so that one that was killed is recorded by the next, and what it
//! created is known by identifier.
//!
//! Two files: the record as far as it got, replaced after each phase, and beside it (`.made`) lines that are only ever
//! added: the drill, the names it is about to create, the identifiers that were answered.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::record::{Record, Verdict};
use crate::{
    fsutil::{self, Access, Existing},
    model::SnapshotId,
};

/// A drill that ended before its end.
pub struct Unfinished {
    /// Its record as far as it got.
    pub record: Record,
    /// What it was about to create, with the identifier where one was answered.
    pub(super) made: BTreeMap<String, Intent>,
    /// Whether its sandbox was of its own process, and ended with it.
    pub(super) embedded: bool,
}

/// A creation that was sent, or was about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    /// Whether it has room for a mark.
    pub has_room: bool,
    /// The identifier that was answered.
    pub id: Option<String>,
}

/// One line of the list.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// First.
    Drill { drill: SnapshotId, embedded: bool },
    /// Before the creation.
    Plan { name: String, mark: bool },
    /// After its answer.
    Made { name: String, id: String },
}

/// Remembers how far a drill is.
pub(super) fn note(path: Option<&Path>, draft: &Record) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    if let Some(folder) = path.parent() {
        fsutil::create_folder(folder, Access::Private)?;
    }
    fsutil::write(path, &draft.to_bytes(), Access::Private, Existing::Replace)
}

/// Remembers what is about to be created, by name and whether it has room for a mark.
pub(super) fn plan<'a>(
    path: Option<&Path>,
    drill: SnapshotId,
    embedded: bool,
    names: impl Iterator<Item = (&'a str, bool)>,
) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut lines = text(&Line::Drill { drill, embedded });
    for (name, mark) in names {
        lines.extend(text(&Line::Plan { name: name.to_owned(), mark }));
    }
    fsutil::write(&beside(path), &lines, Access::Private, Existing::Replace)
}

/// Remembers the identifier of what was created, durably.
pub(super) fn made(path: Option<&Path>, name: &str, id: &str) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    fsutil::append(&beside(path), &text(&Line::Made { name: name.to_owned(), id: id.to_owned() }), Access::Private)
}

/// The drill that was under way when the last process ended. A file that is none is treated as not there.
///
/// # Errors
/// When it is there and cannot be read.
pub fn unfinished(path: &Path) -> io::Result<Option<Unfinished>> {
    let Some(bytes) = there(path)? else { return Ok(None) };
    let Some(record) = Record::parse(&bytes) else { return Ok(None) };
    let lines = there(&beside(path))?.unwrap_or_default();
    let (embedded, made) = read(&lines, record.drill);
    Ok(Some(Unfinished { record, made, embedded }))
}

/// Forgets it.
///
/// # Errors
/// When a file cannot be removed.
pub fn forget_unfinished(path: &Path) -> io::Result<()> {
    fsutil::remove(&beside(path))?;
    fsutil::remove(path)
}

/// A list of another drill says nothing of this one; a line that was cut off by the end of the process says nothing.
fn read(lines: &[u8], drill: SnapshotId) -> (bool, BTreeMap<String, Intent>) {
    let mut lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let mut made = BTreeMap::new();
    let embedded = match lines.next() {
        Some(Line::Drill { drill: of, embedded }) if of == drill => embedded,
        _ => return (false, made),
    };
    for line in lines {
        match line {
            Line::Drill { .. } => {}
            Line::Plan { name, mark } => drop(made.insert(name, Intent { has_room: mark, id: None })),
            Line::Made { name, id } => {
                if let Some(intent) = made.get_mut(&name) {
                    intent.id = Some(id);
                }
            }
        }
    }
    (embedded, made)
}

fn there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fsutil::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("made")
}

fn text(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a line is plain data");
    bytes.push(b'\n');
    bytes
}

impl Unfinished {
    /// The record of the aborted drill, after `removed` of what it left was removed by the drill `by`.
    pub(super) fn closed(mut self, removed: u64, by: &Record) -> Record {
        let last = self.record.phases.last().map_or("its start", |phase| phase.name.as_str());
        let what = format!("the process ended after phase {last:?}");
        let cause = if self.embedded {
            "unknown; its sandbox ended with it".to_owned()
        } else {
            format!("unknown; drill {} removed {removed} that it had left", by.drill)
        };
        self.record.deviations.push(super::record::Deviation {
            what,
            cause,
            owner: self.record.plan.owner.clone(),
            ticket: None,
            retest: Some(by.started),
        });
        self.record.result = Verdict::Aborted;
        self.record.clean_up.created = removed;
        self.record.clean_up.destroyed = removed;
        self.record.previous = by.previous;
        self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_read_back_and_a_torn_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.drill.json");
        let (drill, other) = (SnapshotId::from_bytes([1; 16]), SnapshotId::from_bytes([2; 16]));
        plan(Some(&path), drill, false, [("a", true), ("b", false), ("c", true)].into_iter()).unwrap();
        made(Some(&path), "a", "arn:a").unwrap();
        made(Some(&path), "b", "arn:b").unwrap();
        made(Some(&path), "stranger", "arn:s").unwrap();
        let mut lines = fsutil::read(&beside(&path)).unwrap();
        lines.extend_from_slice(b"{\"made\":{\"name\":\"c\",\"id\":\"arn");
        let (embedded, found) = read(&lines, drill);
        assert!(!embedded);
        let intent = |has_room, id: Option<&str>| Intent { has_room, id: id.map(str::to_owned) };
        let expected =
            [("a", intent(true, Some("arn:a"))), ("b", intent(false, Some("arn:b"))), ("c", intent(true, None))];
        assert_eq!(found, expected.map(|(name, intent)| (name.to_owned(), intent)).into());
        assert!(read(&lines, other).1.is_empty(), "the list of another drill");
        assert_eq!(read(b"", drill), (false, BTreeMap::new()));
        plan(Some(&path), drill, true, std::iter::empty()).unwrap();
        assert_eq!(read(&fsutil::read(&beside(&path)).unwrap(), drill), (true, BTreeMap::new()));
    }

    #[test]
    fn without_a_path_nothing_is_remembered() {
        plan(None, SnapshotId::from_bytes([1; 16]), false, std::iter::empty()).unwrap();
        made(None, "a", "b").unwrap();
    }
}
