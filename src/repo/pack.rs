//! Packs: `age(zstd(JSON lines))`, one version's value each.

use bytes::Bytes;

use super::{RepoError, SealedFile};
use crate::{
    crypto::{Opener, Recipient},
    model::SecretValue,
};

/// Writes one pack as a stream; the plaintext is never whole in memory.
pub struct PackWriter {}

/// Reads one pack as a stream, in line order.
pub struct PackReader {}

/// One line of a pack: a value and what it is the value of.
pub struct PackEntry {
    /// The provider's identifier of the secret (AWS: its ARN).
    pub secret: String,
    /// The version id.
    pub version: String,
    /// The value.
    pub value: SecretValue,
}

impl PackWriter {
    /// Starts a pack that any of `recipients` can open.
    pub fn new(_recipients: &[Recipient]) -> Self {
        todo!()
    }

    /// Appends a value and gives its line, from 0.
    pub fn push(&mut self, _secret: &str, _version: &str, _value: &SecretValue) -> u32 {
        todo!()
    }

    /// Plaintext bytes so far, to decide when to end the pack.
    pub fn plaintext_len(&self) -> u64 {
        todo!()
    }

    /// Ends the pack.
    pub fn finish(self) -> SealedFile {
        todo!()
    }
}

impl PackReader {
    /// Opens a pack; `file` is its name for errors.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`].
    pub fn open(_file: &str, _sealed: Bytes, _opener: Opener<'_>) -> Result<Self, RepoError> {
        todo!()
    }
}

impl Iterator for PackReader {
    type Item = Result<PackEntry, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
