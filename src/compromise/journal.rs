//! How far a run is, beside the plan: lines that are only added, so that a run that was stopped goes on where it was.

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

/// One secret that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The plan.
    pub plan: Digest,
    /// The provider's identifier of the secret.
    pub id: String,
    /// The version that is current now, where somebody saw it.
    pub version: Option<String>,
    /// When.
    pub time: Timestamp,
}

/// The journal of one plan.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    plan: Digest,
    done: BTreeMap<String, Done>,
}

impl Journal {
    /// Reads the journal beside a plan file. A line that is none, such as the last one of a run that was killed, is skipped; lines
    /// of another plan do not count.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn beside(file: &Path, plan: Digest) -> io::Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(".journal");
        let path = PathBuf::from(name);
        let lines: Vec<Done> = fsutil::read_lines(&path)?;
        let done = lines.into_iter().filter(|line| line.plan == plan).map(|line| (line.id.clone(), line)).collect();
        Ok(Self { path, plan, done })
    }

    /// What was done to a secret.
    pub fn find(&self, id: &str) -> Option<&Done> {
        self.done.get(id)
    }

    /// Notes it, durably.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&mut self, id: &str, version: Option<String>, time: Timestamp) -> io::Result<()> {
        let done = Done { plan: self.plan, id: id.to_owned(), version, time };
        fsutil::append_line(&self.path, &done, Access::Private)?;
        self.done.insert(id.to_owned(), done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_goes_on_where_it_was_and_knows_its_plan() {
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.json");
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let mut journal = Journal::beside(&plan, one).unwrap();
        journal.note("a", Some("v".into()), Timestamp::UNIX_EPOCH).unwrap();
        fsutil::append(&folder.path().join("plan.json.journal"), b"{\"plan\":", Access::Private).unwrap();
        let again = Journal::beside(&plan, one).unwrap();
        assert_eq!(again.find("a").unwrap().version.as_deref(), Some("v"));
        assert!(again.find("b").is_none() && Journal::beside(&plan, other).unwrap().find("a").is_none());
    }
}
