//! Which hooks of a plan are due and which ran: lines that are only added, so that a run that was killed goes on where it was.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    fsutil::{self, Access},
    model::Digest,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    /// Secrets of it are about to be written.
    Due,
    /// It ended well.
    Done,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    plan: Digest,
    hook: String,
    event: Event,
    time: Timestamp,
}

/// How a hook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is to run.
    Due,
    /// It ran at this time, and nothing of it was written since.
    Ran(Timestamp),
    /// Nothing of it was ever written.
    Idle,
}

/// The journal of one plan.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    plan: Digest,
    standings: BTreeMap<String, Standing>,
}

impl Journal {
    /// Reads the lines of a plan. A line that is none, such as the last one of a run that was killed, is skipped.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(path: &Path, plan: Digest) -> io::Result<Self> {
        let mut journal = Self { path: path.to_owned(), plan, standings: BTreeMap::new() };
        let lines: Vec<Line> = fsutil::read_lines(path)?;
        lines.into_iter().filter(|line| line.plan == plan).for_each(|line| journal.take(line));
        Ok(journal)
    }

    /// How a hook stands.
    pub fn standing(&self, hook: &str) -> Standing {
        self.standings.get(hook).copied().unwrap_or(Standing::Idle)
    }

    /// Notes, durably and before anything is written, that a hook is to run. What ran before is to run again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn due(&mut self, hook: &str, time: Timestamp) -> io::Result<()> {
        if self.standing(hook) == Standing::Due {
            return Ok(());
        }
        self.note(hook, Event::Due, time)
    }

    /// Notes, durably, that it ended well.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn done(&mut self, hook: &str, time: Timestamp) -> io::Result<()> {
        self.note(hook, Event::Done, time)
    }

    fn note(&mut self, hook: &str, event: Event, time: Timestamp) -> io::Result<()> {
        let line = Line { plan: self.plan, hook: hook.to_owned(), event, time };
        if let Some(folder) = self.path.parent() {
            fsutil::create_folder(folder, Access::Private)?;
        }
        fsutil::append_line(&self.path, &line, Access::Private)?;
        self.take(line);
        Ok(())
    }

    fn take(&mut self, line: Line) {
        let standing = match line.event {
            Event::Due => Standing::Due,
            Event::Done => Standing::Ran(line.time),
        };
        self.standings.insert(line.hook, standing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_goes_on_where_it_was_and_knows_its_plan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/hooks.journal");
        let (one, other, now) = (Digest::of(b"1"), Digest::of(b"2"), Timestamp::UNIX_EPOCH);
        let mut journal = Journal::open(&path, one).unwrap();
        assert_eq!(journal.standing("a"), Standing::Idle);
        journal.due("a", now).unwrap();
        journal.due("b", now).unwrap();
        journal.done("b", now).unwrap();
        fsutil::append(&path, b"{\"plan\":", Access::Private).unwrap();
        let mut again = Journal::open(&path, one).unwrap();
        assert_eq!((again.standing("a"), again.standing("b")), (Standing::Due, Standing::Ran(now)));
        again.due("b", now).unwrap();
        assert_eq!(Journal::open(&path, one).unwrap().standing("b"), Standing::Due, "written again, it runs again");
        assert_eq!(Journal::open(&path, other).unwrap().standing("a"), Standing::Idle);
    }
}
