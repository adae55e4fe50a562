//! Indexes: `age(zstd(JSON lines))`, one record each, sorted by name.

use std::io::{self, Write as _};

use bytes::Bytes;

use super::{
    RepoError, SealedFile, file_ref,
    lines::{Lines, to_line},
};
use crate::{
    crypto::{Opener, Recipient, Sealer},
    model::Record,
};

/// Plaintext after which an index is ended: thousands of records, and little to hold in memory.
const FULL: u64 = 8 << 20;

/// Writes one index file as a stream.
pub struct IndexWriter {
    sealer: Sealer<Vec<u8>>,
    last: Option<String>,
    plaintext: u64,
}

/// Reads one index file as a stream of records.
pub struct IndexReader {
    lines: Lines,
    last: Option<String>,
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

    /// Appends a record; names must not decrease.
    ///
    /// # Panics
    /// When names are out of order.
    pub fn push(&mut self, record: &Record) {
        let name = &record.secret.name;
        assert!(self.last.as_ref().is_none_or(|last| last <= name), "records are pushed in name order");
        let line = to_line(record);
        self.sealer.write_all(&line).expect("memory does not fail");
        self.plaintext += line.len() as u64;
        self.last = Some(name.clone());
    }

    /// Whether the next names belong into another file.
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
    /// Opens an index; `file` is its name for errors.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`].
    pub fn open(file: &str, sealed: Bytes, opener: Opener<'_>) -> Result<Self, RepoError> {
        Ok(Self { lines: Lines::open(file, io::Cursor::new(sealed), opener)?, last: None })
    }
}

impl Iterator for IndexReader {
    type Item = Result<Record, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.lines.advance()? {
            return Some(Err(error));
        }
        let Ok(record) = serde_json::from_slice::<Record>(self.lines.line()) else {
            return Some(Err(self.lines.fault("not a record")));
        };
        if self.last.as_ref().is_some_and(|last| *last > record.secret.name) {
            return Some(Err(self.lines.fault("out of name order")));
        }
        self.last = Some(record.secret.name.clone());
        Some(Ok(record))
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
        for name in ["A", "a", "a", "ü"] {
            writer.push(&record(name));
        }
        let sealed = writer.finish().bytes;
        for opener in [Opener::Recovery(&recovery), Opener::Index(&index)] {
            let found: Vec<_> = IndexReader::open("i", sealed.clone(), opener).unwrap().map(Result::unwrap).collect();
            assert_eq!(found, ["A", "a", "a", "ü"].map(record));
        }
        let other = IndexReader::open("i", sealed, Opener::Index(&IndexKey::generate()));
        assert!(matches!(other, Err(RepoError::WrongKey { .. })));
    }

    #[test]
    #[should_panic(expected = "name order")]
    fn records_out_of_order_are_a_bug() {
        let mut writer = IndexWriter::new(&[RecoveryKey::generate().recipient()]);
        writer.push(&record("b"));
        writer.push(&record("a"));
    }

    #[test]
    fn a_foreign_line_or_order_is_damage() {
        let key = RecoveryKey::generate();
        let line = |name: &str| to_line(&record(name)).to_vec();
        for plain in [b"{}\n".to_vec(), b"\n".to_vec(), [line("b"), line("a")].concat()] {
            let mut sealer = Sealer::new(&[key.recipient()], Vec::new()).unwrap();
            sealer.write_all(&plain).unwrap();
            let reader = IndexReader::open("i", sealer.finish().unwrap().into(), Opener::Recovery(&key)).unwrap();
            assert!(matches!(reader.last(), Some(Err(RepoError::Damaged { .. }))));
        }
    }
}
