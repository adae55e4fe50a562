//! Index files: `age(zstd(JSON lines))`, one record or removal each, sorted by name and then by identifier.

use std::io::{self, Write as _};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    RepoError, SealedFile, file_ref,
    lines::{Lines, to_line},
};
use crate::{
    crypto::{Opener, Recipient, Sealer},
    model::Record,
};

/// Plaintext after which an index file is ended: thousands of records, and little to hold in memory.
const FULL: u64 = 8 << 20;

/// A line of an index: a record, or that there is none any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly every line is a record")]
pub enum IndexLine {
    /// A record.
    Record(Record),
    /// No record: what older layers have under this name and identifier does not count.
    Removed {
        /// Which.
        removed: RecordKey,
    },
}

/// What records are sorted by, and told apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordKey {
    /// The secret's name.
    pub name: String,
    /// The provider's identifier.
    pub id: String,
}

/// Writes one index file as a stream.
pub struct IndexWriter {
    sealer: Sealer<Vec<u8>>,
    last: Option<RecordKey>,
    plaintext: u64,
}

/// Reads one index file as a stream of lines.
pub struct IndexReader {
    lines: Lines,
    last: Option<RecordKey>,
}

impl IndexLine {
    /// Name and identifier.
    pub fn key(&self) -> (&str, &str) {
        match self {
            Self::Record(record) => (&record.secret.name, &record.secret.id),
            Self::Removed { removed } => (&removed.name, &removed.id),
        }
    }

    /// The record, where it is one.
    pub fn into_record(self) -> Option<Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Removed { .. } => None,
        }
    }

    /// The removal of a record.
    pub fn removal(name: &str, id: &str) -> Self {
        Self::Removed { removed: RecordKey { name: name.to_owned(), id: id.to_owned() } }
    }

    /// A record first: only a line that is none is tried as a removal. Serde's own way would copy each line.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Removal {
            removed: RecordKey,
        }
        if let Ok(record) = serde_json::from_slice(line) {
            return Some(Self::Record(record));
        }
        let Removal { removed } = serde_json::from_slice(line).ok()?;
        Some(Self::Removed { removed })
    }
}

impl RecordKey {
    pub(super) fn of((name, id): (&str, &str)) -> Self {
        Self { name: name.to_owned(), id: id.to_owned() }
    }

    pub(super) fn pair(&self) -> (&str, &str) {
        (&self.name, &self.id)
    }
}

impl IndexWriter {
    /// Starts an index that any of `recipients` can open.
    ///
    /// # Panics
    /// When there is no recipient.
    pub fn new(recipients: &[Recipient]) -> Self {
        let sealer = Sealer::new(recipients, Vec::new()).expect("there is a recipient, and memory does not fail");
        Self { sealer, last: None, plaintext: 0 }
    }

    /// Appends a record.
    ///
    /// # Panics
    /// When it does not come after the one before, by name and then by identifier.
    pub fn push(&mut self, record: &Record) {
        self.append((&record.secret.name, &record.secret.id), &to_line(record));
    }

    /// Appends a line.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_line(&mut self, line: &IndexLine) {
        self.append(line.key(), &to_line(line));
    }

    fn append(&mut self, key: (&str, &str), line: &[u8]) {
        assert!(self.last.as_ref().is_none_or(|last| last.pair() < key), "lines come in order, each name and id once");
        self.sealer.write_all(line).expect("memory does not fail");
        self.plaintext += line.len() as u64;
        self.last = Some(RecordKey::of(key));
    }

    /// Whether the next lines belong into another file.
    pub(super) fn is_full(&self) -> bool {
        self.plaintext >= FULL
    }

    /// Ends the file.
    pub fn finish(self) -> SealedFile {
        let bytes = Bytes::from(self.sealer.finish().expect("memory does not fail"));
        SealedFile { file: file_ref(&bytes), bytes }
    }
}

impl IndexReader {
    /// Opens an index file; `file` is its name for errors.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`].
    pub fn open(file: &str, sealed: Bytes, opener: Opener<'_>) -> Result<Self, RepoError> {
        Ok(Self { lines: Lines::open(file, io::Cursor::new(sealed), opener)?, last: None })
    }

    /// Goes on where the file before it ended: every line comes after `last`.
    pub(super) fn after(self, last: Option<RecordKey>) -> Self {
        Self { last, ..self }
    }

    /// Name and identifier of the newest line.
    pub(super) fn into_last(self) -> Option<RecordKey> {
        self.last
    }

    /// The records alone.
    pub fn records(self) -> impl Iterator<Item = Result<Record, RepoError>> {
        self.filter_map(|line| line.map(IndexLine::into_record).transpose())
    }
}

impl Iterator for IndexReader {
    type Item = Result<IndexLine, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.lines.advance()? {
            return Some(Err(error));
        }
        let Some(line) = IndexLine::parse(self.lines.line()) else {
            return Some(Err(self.lines.fault("not a record")));
        };
        if self.last.as_ref().is_some_and(|last| last.pair() >= line.key()) {
            return Some(Err(self.lines.fault("out of order")));
        }
        self.last = Some(RecordKey::of(line.key()));
        Some(Ok(line))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        crypto::{IndexKey, RecoveryKey},
        model::Secret,
    };

    fn record(name: &str) -> Record {
        let secret = Secret { name: name.into(), id: format!("arn:{name}"), ..Secret::default() };
        Record { secret, versions: vec![], read: Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn both_keys_read_the_records_back() {
        let (recovery, index) = (RecoveryKey::generate(), IndexKey::generate());
        let mut writer = IndexWriter::new(&[recovery.recipient(), index.recipient()]);
        writer.push(&record("A"));
        writer.push(&record("a"));
        writer.push_line(&IndexLine::removal("b", "x"));
        writer.push_line(&IndexLine::Record(record("ü")));
        let sealed = writer.finish().bytes;
        for opener in [Opener::Recovery(&recovery), Opener::Index(&index)] {
            let found: Vec<_> = IndexReader::open("i", sealed.clone(), opener).unwrap().map(Result::unwrap).collect();
            let removed = IndexLine::removal("b", "x");
            let [first, second, third] = ["A", "a", "ü"].map(|name| IndexLine::Record(record(name)));
            assert_eq!(found, [first, second, removed, third]);
            let records = IndexReader::open("i", sealed.clone(), opener).unwrap().records();
            assert_eq!(records.count(), 3);
        }
        let other = IndexReader::open("i", sealed, Opener::Index(&IndexKey::generate()));
        assert!(matches!(other, Err(RepoError::WrongKey { .. })));
    }

    #[test]
    #[should_panic(expected = "in order")]
    fn records_out_of_order_are_a_bug() {
        let mut writer = IndexWriter::new(&[RecoveryKey::generate().recipient()]);
        writer.push(&record("b"));
        writer.push(&record("a"));
    }

    #[test]
    fn a_removal_is_as_specified() {
        let line = to_line(&IndexLine::removal("a", "b"));
        assert_eq!(&**line, b"{\"removed\":{\"name\":\"a\",\"id\":\"b\"}}\n");
        assert_eq!(IndexLine::parse(&line), Some(IndexLine::removal("a", "b")));
    }

    #[test]
    fn a_foreign_line_or_order_is_damage() {
        let key = RecoveryKey::generate();
        let line = |name: &str| to_line(&record(name)).to_vec();
        let twice = [line("a"), line("a")].concat();
        let more = b"{\"removed\":{\"name\":\"a\",\"id\":\"b\"},\"more\":1}\n".to_vec();
        for plain in [b"{}\n".to_vec(), b"\n".to_vec(), [line("b"), line("a")].concat(), twice, more] {
            let mut sealer = Sealer::new(&[key.recipient()], Vec::new()).unwrap();
            sealer.write_all(&plain).unwrap();
            let reader = IndexReader::open("i", sealer.finish().unwrap().into(), Opener::Recovery(&key)).unwrap();
            assert!(matches!(reader.last(), Some(Err(RepoError::Damaged { .. }))));
        }
    }
}
