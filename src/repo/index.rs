//! Indexes: `age(zstd(JSON lines))`, one record each, sorted by name.

use bytes::Bytes;

use super::{RepoError, SealedFile};
use crate::{
    crypto::{Opener, Recipient},
    model::Record,
};

/// Writes one index file as a stream.
pub struct IndexWriter {}

/// Reads one index file as a stream of records.
pub struct IndexReader {}

impl IndexWriter {
    /// Starts an index that any of `recipients` can open.
    pub fn new(_recipients: &[Recipient]) -> Self {
        todo!()
    }

    /// Appends a record; names must not decrease.
    ///
    /// # Panics
    /// When names are out of order.
    pub fn push(&mut self, _record: &Record) {
        todo!()
    }

    /// Ends the file.
    pub fn finish(self) -> SealedFile {
        todo!()
    }
}

impl IndexReader {
    /// Opens an index; `file` is its name for errors.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`].
    pub fn open(_file: &str, _sealed: Bytes, _opener: Opener<'_>) -> Result<Self, RepoError> {
        todo!()
    }
}

impl Iterator for IndexReader {
    type Item = Result<Record, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
