//! A drill that is under way, remembered on the host, so that one that was killed is recorded by the next.

use std::{io, path::Path};

use super::record::{Record, Verdict};
use crate::fsutil::{self, Access, Existing};

/// A drill that ended before its end.
pub struct Unfinished {
    /// Its record as far as it got.
    pub record: Record,
}

/// Remembers how far a drill is.
pub(super) fn note(path: Option<&Path>, draft: &Record) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    if let Some(folder) = path.parent() {
        fsutil::create_folder(folder, Access::Private)?;
    }
    fsutil::write(path, &draft.to_bytes(), Access::Private, Existing::Replace)
}

/// The drill that was under way when the last process ended. A file that is none is treated as not there.
///
/// # Errors
/// When it is there and cannot be read.
pub fn unfinished(path: &Path) -> io::Result<Option<Unfinished>> {
    match fsutil::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => Ok(Record::parse(&other?).map(|record| Unfinished { record })),
    }
}

/// Forgets it.
///
/// # Errors
/// When the file cannot be removed.
pub fn forget_unfinished(path: &Path) -> io::Result<()> {
    fsutil::remove(path)
}

impl Unfinished {
    /// The record of the aborted drill, after what it left was removed by the one with the id `by`.
    pub(super) fn closed(mut self, removed: u64, by: &Record) -> Record {
        let last = self.record.phases.last().map_or("its start", |phase| phase.name.as_str());
        let what = format!("the process ended after phase {last:?}");
        self.record.deviations.push(super::record::Deviation {
            what,
            cause: format!("unknown; drill {} found and removed what it had left", by.drill),
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
