//! Lines of work put in order without holding them all in memory: records on their way into an index, the steps of a plan.
//!
//! What does not fit waits in files that have no name, sealed to a key that only this process has: nothing of them can
//! be read, or is left, after the process ends however it ends.

use std::{
    cmp::Ordering,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, Serializer, de::DeserializeOwned, ser::Error as _, ser::SerializeSeq as _};

use super::{
    RepoError, damaged,
    lines::{Lines, line_length, to_line},
};
use crate::{
    crypto::{IndexKey, Opener, Sealer},
    fsutil::{self, Scratch},
    model::Record,
};

/// Memory for lines before they are written out, in bytes of JSON.
const HELD: usize = 16 << 20;
/// How many files are merged at once; each takes about 1 MiB while it is read.
const FAN_IN: usize = 8;
const BUFFER: usize = 1 << 16;

/// Which of two comes first.
pub type Order<T> = fn(&T, &T) -> Ordering;

/// What waits in a spool: plain data without values.
pub trait Line: Clone + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + 'static> Line for T {}

/// Takes lines in any order.
pub struct Spool<T> {
    folder: Option<PathBuf>,
    limit: usize,
    order: Order<T>,
    distinct: bool,
    key: Arc<IndexKey>,
    held: Vec<T>,
    held_bytes: usize,
    count: u64,
    runs: Vec<Scratch>,
    /// Files written from memory so far; merged ones are not counted.
    written: usize,
}

/// Lines in order, to be walked through as often as need be; equal ones stay side by side.
#[derive(Clone)]
pub struct Sorted<T> {
    folder: Option<PathBuf>,
    order: Order<T>,
    key: Arc<IndexKey>,
    held: Arc<Vec<T>>,
    runs: Vec<Scratch>,
    count: u64,
}

/// A walk through sorted lines. It ends after the first error.
pub struct Walk<T> {
    order: Order<T>,
    runs: Vec<Run<T>>,
    failed: bool,
}

struct Run<T> {
    lines: Box<dyn Iterator<Item = Result<T, RepoError>>>,
    head: Option<T>,
}

impl Spool<Record> {
    /// A spool of records, by name and then by identifier, whose files are in `folder`.
    pub fn of_records(folder: Option<&Path>) -> Self {
        Self::new(folder, |a, b| by_name(a).cmp(&by_name(b)))
    }
}

impl<T: Line> Spool<T> {
    /// A spool whose files are in `folder`; without one everything stays in memory.
    pub fn new(folder: Option<&Path>, order: Order<T>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            limit: HELD,
            order,
            distinct: false,
            key: Arc::new(IndexKey::generate()),
            held: Vec::new(),
            held_bytes: 0,
            count: 0,
            runs: Vec::new(),
            written: 0,
        }
    }

    /// A spool that gives up lines which are the same (in `order` too) as soon as they meet, in memory or in a merge. Some may
    /// come back more than once, side by side.
    pub fn of_distinct(folder: Option<&Path>, order: Order<T>) -> Self {
        Self { distinct: true, ..Self::new(folder, order) }
    }

    /// Takes a line.
    ///
    /// # Errors
    /// [`RepoError::Spool`] when the folder cannot be written.
    pub fn push(&mut self, line: T) -> Result<(), RepoError> {
        if self.folder.is_some() || self.distinct {
            self.held_bytes += line_length(&line);
        }
        self.count += 1;
        self.held.push(line);
        if self.held_bytes >= self.limit { self.relieve() } else { Ok(()) }
    }

    /// Makes room: by what is the same where that is half of it, else by writing.
    fn relieve(&mut self) -> Result<(), RepoError> {
        self.sort_held();
        if self.held_bytes <= self.limit / 2 {
            return Ok(());
        }
        if self.folder.is_none() {
            self.limit = 2 * self.held_bytes;
            return Ok(());
        }
        self.write_run()
    }

    /// Ends the input.
    ///
    /// # Errors
    /// [`RepoError::Spool`] when the folder cannot be written or read.
    pub fn sorted(mut self) -> Result<Sorted<T>, RepoError> {
        if self.runs.is_empty() {
            self.sort_held();
        } else {
            self.write_run()?;
        }
        while self.runs.len() > FAN_IN {
            let next = self.runs.split_off(FAN_IN);
            let oldest = std::mem::replace(&mut self.runs, next);
            self.merge(&oldest)?;
        }
        let held = Arc::new(std::mem::take(&mut self.held));
        Ok(Sorted { folder: self.folder, order: self.order, key: self.key, held, runs: self.runs, count: self.count })
    }

    fn sort_held(&mut self) {
        self.held.sort_by(self.order);
        if self.distinct {
            let before = self.held.len().max(1);
            self.held.dedup_by(|a, b| (self.order)(a, b) == Ordering::Equal);
            self.held_bytes = self.held_bytes / before * self.held.len();
        }
    }

    fn write_run(&mut self) -> Result<(), RepoError> {
        self.sort_held();
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let run = self.write(held.into_iter().map(Ok))?;
        self.runs.push(run);
        self.written += 1;
        if self.distinct { self.collapse() } else { Ok(()) }
    }

    /// Merges files of one size as soon as there are enough, so that what is the same does not fill the disk.
    fn collapse(&mut self) -> Result<(), RepoError> {
        let mut alike = self.written;
        while alike.is_multiple_of(FAN_IN) {
            let newest = self.runs.split_off(self.runs.len() - FAN_IN);
            self.merge(&newest)?;
            alike /= FAN_IN;
        }
        Ok(())
    }

    fn merge(&mut self, runs: &[Scratch]) -> Result<(), RepoError> {
        let merged = Walk::of(runs.iter().map(|run| read(run, &self.key)).collect::<Result<_, _>>()?, self.order)?;
        let run = self.write(merged)?;
        self.runs.push(run);
        Ok(())
    }

    fn write(&self, lines: impl Iterator<Item = Result<T, RepoError>>) -> Result<Scratch, RepoError> {
        let folder = self.folder.as_deref().expect("only a spool with a folder writes");
        let file = fsutil::scratch(folder).map_err(RepoError::Spool)?;
        let mut sealer = Sealer::new(&[self.key.recipient()], file).map_err(RepoError::Spool)?;
        let mut last = None;
        for line in lines {
            let line = to_line(&line?);
            if !self.distinct || last.as_ref() != Some(&line) {
                sealer.write_all(&line).map_err(RepoError::Spool)?;
                last = Some(line);
            }
        }
        sealer.finish().map_err(RepoError::Spool)
    }
}

impl<T: Line> Sorted<T> {
    /// Walks through them from the first to the last.
    ///
    /// # Errors
    /// [`RepoError::Spool`] when the folder cannot be read.
    pub fn walk(&self) -> Result<Walk<T>, RepoError> {
        if self.runs.is_empty() {
            let held = Arc::clone(&self.held);
            return Walk::of(vec![Box::new((0..held.len()).map(move |at| Ok(held[at].clone())))], self.order);
        }
        Walk::of(self.runs.iter().map(|run| read(run, &self.key)).collect::<Result<_, _>>()?, self.order)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Where its files are.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What `make` makes of each, in another order.
    ///
    /// # Errors
    /// [`RepoError::Spool`] when the folder cannot be written or read.
    pub fn reordered<U: Line>(
        &self,
        order: Order<U>,
        mut make: impl FnMut(T) -> Option<U>,
    ) -> Result<Sorted<U>, RepoError> {
        let mut spool = Spool::new(self.folder(), order);
        for line in self.walk()? {
            if let Some(made) = make(line?) {
                spool.push(made)?;
            }
        }
        spool.sorted()
    }
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        let (key, held) = (Arc::new(IndexKey::generate()), Arc::new(Vec::new()));
        Self { folder: None, order: |_, _| Ordering::Equal, key, held, runs: Vec::new(), count: 0 }
    }
}

impl<T: fmt::Debug> fmt::Debug for Sorted<T> {
    /// Those in memory; of others their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runs.is_empty() { self.held.fmt(f) } else { write!(f, "[{} lines]", self.count) }
    }
}

/// A sequence.
impl<T: Line> Serialize for Sorted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lines = serializer.serialize_seq(None)?;
        for line in self.walk().map_err(S::Error::custom)? {
            lines.serialize_element(&line.map_err(S::Error::custom)?)?;
        }
        lines.end()
    }
}

impl<T> Walk<T> {
    fn of(sources: Vec<Box<dyn Iterator<Item = Result<T, RepoError>>>>, order: Order<T>) -> Result<Self, RepoError> {
        let open = |mut lines: Box<dyn Iterator<Item = Result<T, RepoError>>>| {
            let head = lines.next().transpose()?;
            Ok(Run { lines, head })
        };
        Ok(Self { order, runs: sources.into_iter().map(open).collect::<Result<_, RepoError>>()?, failed: false })
    }
}

impl<T> Iterator for Walk<T> {
    type Item = Result<T, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let heads = self.runs.iter().enumerate().filter_map(|(at, run)| Some((at, run.head.as_ref()?)));
        let (first, _) = heads.min_by(|a, b| (self.order)(a.1, b.1))?;
        let run = &mut self.runs[first];
        let line = run.head.take();
        match run.lines.next().transpose() {
            Ok(next) => {
                run.head = next;
                line.map(Ok)
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

fn by_name(record: &Record) -> (&str, &str) {
    (&record.secret.name, &record.secret.id)
}

const SPOOL: &str = "the spool";

fn read<T: Line>(run: &Scratch, key: &IndexKey) -> Result<Box<dyn Iterator<Item = Result<T, RepoError>>>, RepoError> {
    let start = io::BufReader::with_capacity(BUFFER, run.reader());
    let mut lines = Lines::of_own(SPOOL, start, Opener::Index(key))?;
    Ok(Box::new(std::iter::from_fn(move || {
        let advanced = lines.advance()?;
        let parse = |()| serde_json::from_slice(lines.line()).map_err(|_| damaged(SPOOL, "a line has another kind"));
        Some(advanced.and_then(parse))
    })))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{Facets, Secret};

    fn record(name: u16, id: u16) -> Record {
        let secret = Secret {
            name: format!("n{name:05}"),
            id: format!("a{id:05}"),
            facets: Facets { description: Some("MARKER-IN-THE-CLEAR".into()), ..Facets::default() },
            ..Secret::default()
        };
        Record { secret, versions: vec![], read: jiff::Timestamp::UNIX_EPOCH, listing: None }
    }

    fn sorted(limit: usize, folder: Option<&Path>, records: &[(u16, u16)]) -> (usize, Vec<Record>) {
        let mut spool = Spool { limit, ..Spool::of_records(folder) };
        for &(name, id) in records {
            spool.push(record(name, id)).unwrap();
        }
        let runs = spool.runs.len();
        let sorted = spool.sorted().unwrap();
        assert_eq!(sorted.count(), records.len() as u64);
        let walk = || sorted.walk().unwrap().map(Result::unwrap);
        let (mut one, mut other) = (walk(), walk());
        // Two walks at once do not disturb each other.
        for _ in 0..records.len() / 2 {
            assert_eq!(one.next(), other.next());
        }
        assert!(other.eq(one));
        (runs, walk().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
        #[test]
        fn any_order_comes_back_sorted_and_whole(records in proptest::collection::vec((0_u16..50, 0_u16..9), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            let mut expected = records.clone();
            expected.sort_unstable();
            let expected: Vec<Record> = expected.into_iter().map(|(name, id)| record(name, id)).collect();
            for (limit, on_disk) in [(HELD, false), (1_000, true), (3_000, true), (1_000, false)] {
                let (runs, found) = sorted(limit, on_disk.then_some(folder.path()), &records);
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(runs > 0, on_disk && records.len() * line_length(&record(0, 0)) >= limit);
            }
        }
    }

    #[test]
    fn what_is_the_same_takes_room_once() {
        let folder = tempfile::tempdir().unwrap();
        for (folder, limit) in [(None, 500), (Some(folder.path()), 500), (Some(folder.path()), 30_000)] {
            let mut spool = Spool { limit, ..Spool::<u64>::of_distinct(folder, u64::cmp) };
            let (mut most, mut files) = (0, 0);
            for number in 0..40_000 {
                spool.push(number * 7 % 1_000).unwrap();
                most = most.max(spool.held.len());
                files = files.max(spool.runs.len());
            }
            assert!(most < 13_000, "{most} held at once");
            assert!(files < 3 * FAN_IN, "{files} files of {} at once", spool.written);
            let runs = spool.runs.len();
            assert_eq!(runs > 0, folder.is_some() && limit == 500, "{runs} files");
            let mut found: Vec<u64> = spool.sorted().unwrap().walk().unwrap().map(Result::unwrap).collect();
            assert!(found.is_sorted() && found.len() <= FAN_IN * 1_000, "{}", found.len());
            found.dedup();
            assert!(found.into_iter().eq(0..1_000));
        }
    }

    #[test]
    fn its_files_have_no_name_and_cannot_be_read() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool { limit: 500, ..Spool::of_records(Some(folder.path())) };
        (0..50).for_each(|number| spool.push(record(number, 0)).unwrap());
        assert!(spool.runs.len() > FAN_IN);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut bytes = Vec::new();
        spool.runs[0].reader().read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1"));
        assert!(!bytes.windows(6).any(|window| window == b"MARKER"));
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut spool = Spool { limit: 1, ..Spool::of_records(Some(&file.path().join("folder"))) };
        assert!(spool.push(record(0, 0)).is_err());
    }
}
