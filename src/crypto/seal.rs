//! age over zstd: how packs and indexes are sealed and opened.

use std::io::{self, Read, Write};

use super::{IndexKey, Recipient, RecoveryKey};

/// Whoever can open sealed files: the recovery key, or the index key for indexes.
#[derive(Clone, Copy)]
pub enum Opener<'a> {
    /// Opens everything.
    Recovery(&'a RecoveryKey),
    /// Opens indexes.
    Index(&'a IndexKey),
}

/// A sealed file that does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Sealed to other keys.
    #[error("sealed to another key")]
    WrongKey,
    /// Not age, not zstd, or altered.
    #[error("damaged ({0})")]
    Damaged(&'static str),
}

/// Streams plaintext into `age(zstd(…))`. Dropping it unfinished leaves a file that does not open.
pub struct Sealer<W: Write> {
    _inner: W, // zstd encoder over age stream writer
}

impl<W: Write> Sealer<W> {
    /// Starts a file that any of `recipients` can open.
    ///
    /// # Errors
    /// When `output` fails.
    pub fn new(_recipients: &[Recipient], _output: W) -> io::Result<Self> {
        todo!()
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(self) -> io::Result<W> {
        todo!()
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, _buf: &[u8]) -> io::Result<usize> {
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
}

/// Opens a sealed file for streaming; nothing the reader returns before an error is authentic as a whole,
/// each chunk read is.
///
/// # Errors
/// See [`OpenError`].
pub fn open<'a, R: Read + 'a>(_opener: Opener<'_>, _sealed: R) -> Result<Box<dyn Read + 'a>, OpenError> {
    todo!()
}
