//! Records on their way into an index, put in name order without holding them all in memory.
//!
//! What does not fit waits in files that have no name, sealed to a key that only this process has: nothing of them can
//! be read, or is left, after the process ends however it ends.

use std::path::{Path, PathBuf};

use super::{IndexReader, IndexWriter, RepoError, lines::line_length};
use crate::{
    crypto::{IndexKey, Opener},
    fsutil::{self, Scratch},
    model::Record,
};

/// Memory for records before they are written out, in bytes of JSON.
const HELD: usize = 16 << 20;
/// How many files are merged at once; each takes about 1 MiB while it is read.
const FAN_IN: usize = 8;

/// Takes records in any order.
pub struct Spool {
    folder: Option<PathBuf>,
    limit: usize,
    key: IndexKey,
    held: Vec<Record>,
    held_bytes: usize,
    runs: Vec<Scratch>,
}

/// Gives the records back, sorted by name and then by identifier; equal ones stay side by side.
pub struct Sorted {
    runs: Vec<Run>,
    failed: bool,
}

struct Run {
    records: Box<dyn Iterator<Item = Result<Record, RepoError>>>,
    head: Option<Record>,
}

impl Spool {
    /// A spool whose files are in `folder`; without one everything stays in memory.
    pub fn new(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            limit: HELD,
            key: IndexKey::generate(),
            held: Vec::new(),
            held_bytes: 0,
            runs: Vec::new(),
        }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// [`RepoError::Spool`] when the folder cannot be written.
    pub fn push(&mut self, record: Record) -> Result<(), RepoError> {
        if self.folder.is_some() {
            self.held_bytes += line_length(&record);
        }
        self.held.push(record);
        if self.held_bytes >= self.limit { self.write_run() } else { Ok(()) }
    }

    /// Ends the input.
    ///
    /// # Errors
    /// [`RepoError::Spool`] when the folder cannot be written or read.
    pub fn sorted(mut self) -> Result<Sorted, RepoError> {
        if self.runs.is_empty() {
            self.sort_held();
            return Sorted::of(vec![Box::new(self.held.into_iter().map(Ok))]);
        }
        self.write_run()?;
        while self.runs.len() > FAN_IN {
            let merged =
                Sorted::of(self.runs.drain(..FAN_IN).map(|run| read(run, &self.key)).collect::<Result<_, _>>()?)?;
            let run = self.write(merged)?;
            self.runs.push(run);
        }
        let key = &self.key;
        Sorted::of(self.runs.drain(..).map(|run| read(run, key)).collect::<Result<_, _>>()?)
    }

    fn sort_held(&mut self) {
        self.held.sort_by(|a, b| order(a).cmp(&order(b)));
    }

    fn write_run(&mut self) -> Result<(), RepoError> {
        self.sort_held();
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let run = self.write(held.into_iter().map(Ok))?;
        self.runs.push(run);
        Ok(())
    }

    fn write(&self, records: impl Iterator<Item = Result<Record, RepoError>>) -> Result<Scratch, RepoError> {
        let folder = self.folder.as_deref().expect("only a spool with a folder writes");
        let file = fsutil::scratch(folder).map_err(RepoError::Spool)?;
        let mut writer = IndexWriter::to(&[self.key.recipient()], file).map_err(RepoError::Spool)?;
        for record in records {
            writer.write(&record?).map_err(RepoError::Spool)?;
        }
        let mut file = writer.end().map_err(RepoError::Spool)?;
        file.rewind().map_err(RepoError::Spool)?;
        Ok(file)
    }
}

impl Sorted {
    fn of(sources: Vec<Box<dyn Iterator<Item = Result<Record, RepoError>>>>) -> Result<Self, RepoError> {
        let open = |mut records: Box<dyn Iterator<Item = Result<Record, RepoError>>>| {
            let head = records.next().transpose()?;
            Ok(Run { records, head })
        };
        Ok(Self { runs: sources.into_iter().map(open).collect::<Result<_, RepoError>>()?, failed: false })
    }
}

impl Iterator for Sorted {
    type Item = Result<Record, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let first = self.runs.iter_mut().filter(|run| run.head.is_some());
        let run = first.min_by(|a, b| a.head.as_ref().map(order).cmp(&b.head.as_ref().map(order)))?;
        let record = run.head.take();
        match run.records.next().transpose() {
            Ok(next) => {
                run.head = next;
                record.map(Ok)
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

fn order(record: &Record) -> (&str, &str) {
    (&record.secret.name, &record.secret.arn)
}

fn read(run: Scratch, key: &IndexKey) -> Result<Box<dyn Iterator<Item = Result<Record, RepoError>>>, RepoError> {
    Ok(Box::new(IndexReader::from_scratch("the spool", run, Opener::Index(key))?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Secret;

    fn record(name: u16, arn: u16) -> Record {
        let secret = Secret {
            name: format!("n{name:05}"),
            arn: format!("a{arn:05}"),
            description: Some("MARKER-IN-THE-CLEAR".into()),
            ..Secret::default()
        };
        Record { secret, versions: vec![], read: jiff::Timestamp::UNIX_EPOCH, listing: None }
    }

    fn sorted(limit: usize, folder: Option<&Path>, records: &[(u16, u16)]) -> (usize, Vec<Record>) {
        let mut spool = Spool { limit, ..Spool::new(folder) };
        for &(name, arn) in records {
            spool.push(record(name, arn)).unwrap();
        }
        let runs = spool.runs.len();
        (runs, spool.sorted().unwrap().map(Result::unwrap).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
        #[test]
        fn any_order_comes_back_sorted_and_whole(records in proptest::collection::vec((0_u16..50, 0_u16..9), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let mut expected = records.clone();
            expected.sort_unstable();
            let expected: Vec<Record> = expected.into_iter().map(|(name, arn)| record(name, arn)).collect();
            for (limit, on_disk) in [(HELD, false), (1_000, true), (3_000, true), (1_000, false)] {
                let (runs, found) = sorted(limit, on_disk.then_some(folder.path()), &records);
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(runs > 0, on_disk && records.len() * line_length(&record(0, 0)) >= limit);
            }
        }
    }

    #[test]
    fn its_files_have_no_name_and_cannot_be_read() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool { limit: 500, ..Spool::new(Some(folder.path())) };
        (0..50).for_each(|number| spool.push(record(number, 0)).unwrap());
        assert!(spool.runs.len() > FAN_IN);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut bytes = Vec::new();
        spool.runs[0].read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1"));
        assert!(!bytes.windows(6).any(|window| window == b"MARKER"));
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut spool = Spool { limit: 1, ..Spool::new(Some(&file.path().join("folder"))) };
        assert!(spool.push(record(0, 0)).is_err());
    }
}
