//! Lines of sealed plaintext, in buffers that are wiped.

use std::io::{self, Read};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{RepoError, damaged};
use crate::crypto::{self, OpenError, Opener};

/// Longer lines do not occur: AWS gives values of at most 64 KiB and metadata of a few more.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// A pack's or index file's most plaintext. Writers end them after 8 MiB and a line; what compresses better than that is made to be opened.
const MOST: u64 = 64 << 20;
const CHUNK: usize = 64 * 1024;

/// Reads a sealed file line by line. Every line ends with a newline; a file that ends otherwise is damaged.
pub(super) struct Lines {
    file: String,
    reader: Box<dyn Read + Send>,
    chunk: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    line: Zeroizing<Vec<u8>>,
    number: u64,
    /// Bytes that may still come.
    left: u64,
    ended: bool,
}

impl Lines {
    /// Opens a pack or index file; `file` is its name for errors.
    pub(super) fn open(file: &str, sealed: impl Read + Send + 'static, opener: Opener<'_>) -> Result<Self, RepoError> {
        Ok(Self { left: MOST, ..Self::of_own(file, sealed, opener)? })
    }

    /// Opens what this process sealed itself, however long it is.
    pub(super) fn of_own(
        file: &str,
        sealed: impl Read + Send + 'static,
        opener: Opener<'_>,
    ) -> Result<Self, RepoError> {
        let reader = crypto::open(opener, sealed).map_err(|error| match error {
            OpenError::WrongKey => RepoError::WrongKey { file: file.to_owned() },
            damage @ OpenError::Damaged(_) => damaged(file, damage.to_string()),
        })?;
        let reader = small(reader).map_err(|error| damaged(file, error.to_string()))?;
        let chunk = Zeroizing::new(vec![0; CHUNK]);
        let line = Zeroizing::new(Vec::with_capacity(CHUNK));
        Ok(Self {
            file: file.to_owned(),
            reader,
            chunk,
            start: 0,
            end: 0,
            line,
            number: 0,
            left: u64::MAX,
            ended: false,
        })
    }

    /// Reads the next line into [`Self::line`]; `false` at the end. After an error there are no more lines.
    pub(super) fn advance(&mut self) -> Option<Result<(), RepoError>> {
        if self.ended {
            return None;
        }
        let next = self.read_line();
        match next {
            Ok(true) => Some(Ok(())),
            Ok(false) => {
                self.ended = true;
                None
            }
            Err(reason) => {
                self.ended = true;
                Some(Err(damaged(&self.file, reason)))
            }
        }
    }

    /// The line, without its newline.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Damage in the current line; what is said must hold nothing of its content. No lines follow.
    pub(super) fn fault(&mut self, reason: &str) -> RepoError {
        self.ended = true;
        damaged(&self.file, format!("line {}: {reason}", self.number))
    }

    fn read_line(&mut self) -> Result<bool, String> {
        self.line.clear();
        loop {
            if self.start == self.end {
                self.start = 0;
                self.end = self.read_chunk()?;
                self.left = self.left.checked_sub(self.end as u64).ok_or_else(too_much)?;
                if self.end == 0 {
                    return if self.line.is_empty() { Ok(false) } else { Err("its last line is cut short".into()) };
                }
            }
            let rest = &self.chunk[self.start..self.end];
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(rest.len());
            append(&mut self.line, &rest[..taken]);
            self.start += taken + usize::from(newline.is_some());
            if newline.is_some() {
                self.number += 1;
                return Ok(true);
            }
            if self.line.len() > MAX_LINE {
                return Err("a line is too long".into());
            }
        }
    }

    fn read_chunk(&mut self) -> Result<usize, String> {
        loop {
            match self.reader.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| error.to_string()),
            }
        }
    }
}

/// Reads what is small at once, so that its decoder, whose window takes two megabytes, goes before others are opened.
fn small(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut first = Zeroizing::new(Vec::with_capacity(CHUNK));
    reader.by_ref().take(CHUNK as u64).read_to_end(&mut first)?;
    let is_whole = first.len() < CHUNK;
    let first = io::Cursor::new(Wiped(first));
    Ok(if is_whole { Box::new(first) } else { Box::new(first.chain(reader)) })
}

/// Bytes that are wiped, as a reader takes them.
struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn too_much() -> String {
    format!("it has more than {} MiB", MOST >> 20)
}

/// Appends without leaving an unwiped copy behind, as a growing vector would.
fn append(line: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    let needed = line.len() + bytes.len();
    if needed > line.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(line);
        *line = larger;
    }
    line.extend_from_slice(bytes);
}

/// A value as one JSON line, in a buffer that is wiped and was never too small.
pub(super) fn to_line<T: Serialize>(value: &T) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(line_length(value)));
    serde_json::to_writer(&mut *line, value).expect("the format's lines are plain data");
    line.push(b'\n');
    line
}

/// The length of a value's line, its newline included.
pub(super) fn line_length<T: Serialize>(value: &T) -> usize {
    let mut length = Length(1);
    serde_json::to_writer(&mut length, value).expect("the format's lines are plain data");
    length.0
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::crypto::{RecoveryKey, Sealer};

    fn lines(plain: &[u8]) -> Result<Vec<Vec<u8>>, RepoError> {
        let key = RecoveryKey::generate();
        let mut sealer = Sealer::new(&[key.recipient()], Vec::new()).unwrap();
        sealer.write_all(plain).unwrap();
        let mut lines = Lines::open("file", io::Cursor::new(sealer.finish().unwrap()), Opener::Recovery(&key))?;
        let mut all = Vec::new();
        while let Some(next) = lines.advance() {
            next?;
            all.push(lines.line().to_vec());
        }
        Ok(all)
    }

    #[test]
    fn lines_of_every_length_come_back() {
        assert!(lines(b"").unwrap().is_empty());
        let lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK];
        let plain: Vec<u8> = lengths.iter().flat_map(|n| [vec![b'x'; *n], vec![b'\n']].concat()).collect();
        let found: Vec<usize> = lines(&plain).unwrap().iter().map(Vec::len).collect();
        assert_eq!(found, lengths);
    }

    #[test]
    fn an_unfinished_or_endless_line_is_damage() {
        for plain in [b"a\nb".to_vec(), b"a".to_vec(), vec![b'x'; MAX_LINE + CHUNK + 1]] {
            assert!(matches!(lines(&plain), Err(RepoError::Damaged { .. })));
        }
    }

    #[test]
    fn what_is_small_and_opens_to_no_end_is_damage() {
        let line = [vec![b'x'; (1 << 20) - 1], vec![b'\n']].concat();
        let whole = line.repeat(64);
        assert_eq!(lines(&whole).unwrap().len(), 64);
        let error = lines(&[whole, line].concat()).unwrap_err().to_string();
        assert!(error.contains("it has more than 64 MiB"), "{error}");
    }

    #[test]
    fn the_buffer_is_exact() {
        let line = to_line(&"a\"\u{1}ü");
        assert_eq!(&**line, "\"a\\\"\\u0001ü\"\n".as_bytes());
        assert_eq!(line.len(), line.capacity());
    }
}
