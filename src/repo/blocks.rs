//! The lines of an index file in memory, in blocks that are compressed: a block is found by its first key and unpacked alone.
//!
//! Names, tags and labels repeat, so that ten megabytes of lines take about one. What is compressed holds no value.

use std::{borrow::Cow, io};

use bytes::Bytes;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{RecordKey, RepoError, damaged, lines::Lines};
use crate::crypto::Opener;

/// Plaintext after which a block ends: some dozens of records.
const BLOCK: usize = 32 << 10;
/// The quickest that still finds what repeats.
const LEVEL: i32 = 1;

/// A whole index file, checked: its lines have keys, in order.
pub(super) struct Blocks {
    file: String,
    all: Vec<Block>,
    bytes: usize,
}

struct Block {
    /// Of its first line.
    first: RecordKey,
    packed: Vec<u8>,
    plain: usize,
}

/// What a line is sorted by, without the rest of it.
#[derive(Deserialize)]
struct KeyLine<'a> {
    #[serde(borrow, default)]
    secret: Option<KeyPair<'a>>,
    #[serde(borrow, default)]
    removed: Option<KeyPair<'a>>,
}

#[derive(Deserialize)]
struct KeyPair<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Name and identifier of a line; `None` where it is neither a record nor a removal.
pub(super) fn key_of(line: &[u8]) -> Option<RecordKey> {
    let KeyLine { secret, removed } = serde_json::from_slice(line).ok()?;
    let ((Some(KeyPair { name, id }), None) | (None, Some(KeyPair { name, id }))) = (secret, removed) else {
        return None;
    };
    Some(RecordKey { name: name.into_owned(), id: id.into_owned() })
}

impl Blocks {
    /// Opens an index file and reads all of it; `file` is its name for errors.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`]; [`RepoError::Damaged`], for a line without a key or out of order too.
    pub(super) fn open(file: &str, sealed: Bytes, opener: Opener<'_>) -> Result<Self, RepoError> {
        let mut lines = Lines::open(file, io::Cursor::new(sealed), opener)?;
        let mut packer = zstd::bulk::Compressor::new(LEVEL).expect("the level exists, and memory does not fail");
        let mut made = Self { file: file.to_owned(), all: Vec::new(), bytes: 0 };
        let mut plain = Zeroizing::new(Vec::with_capacity(2 * BLOCK));
        let (mut first, mut last): (Option<RecordKey>, Option<RecordKey>) = (None, None);
        while let Some(next) = lines.advance() {
            next?;
            let Some(key) = key_of(lines.line()) else { return Err(lines.fault("not a record")) };
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(lines.fault("out of order"));
            }
            if plain.len() >= BLOCK
                && let Some(first) = first.take()
            {
                made.push(first, &plain, &mut packer);
                plain.clear();
            }
            if first.is_none() {
                first = Some(key.clone());
            }
            plain.extend_from_slice(lines.line());
            plain.push(b'\n');
            last = Some(key);
        }
        if let Some(first) = first {
            made.push(first, &plain, &mut packer);
        }
        Ok(made)
    }

    fn push(&mut self, first: RecordKey, plain: &[u8], packer: &mut zstd::bulk::Compressor<'_>) {
        let mut packed = packer.compress(plain).expect("memory does not fail");
        packed.shrink_to_fit();
        self.bytes += packed.len() + first.name.len() + first.id.len() + size_of::<Block>();
        self.all.push(Block { first, packed, plain: plain.len() });
    }

    /// The key of its first line; `None` where it has no line.
    pub(super) fn first(&self) -> Option<&RecordKey> {
        self.all.first().map(|block| &block.first)
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first block that can have `key` or what comes after it.
    pub(super) fn block_of(&self, key: &RecordKey) -> usize {
        self.all.partition_point(|block| block.first <= *key).saturating_sub(1)
    }

    /// The lines of a block, each with its newline; none for a block that there is not.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], which only broken memory can cause.
    pub(super) fn lines(&self, at: usize) -> Result<Zeroizing<Vec<u8>>, RepoError> {
        let Some(block) = self.all.get(at) else { return Ok(Zeroizing::default()) };
        let plain = zstd::bulk::decompress(&block.packed, block.plain);
        plain.map(Zeroizing::new).map_err(|_| self.not_a_record())
    }

    /// A line that is none, found later than when the file was opened.
    pub(super) fn not_a_record(&self) -> RepoError {
        damaged(&self.file, "not a record")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        crypto::RecoveryKey,
        model::{Record, Secret},
        repo::{IndexLine, IndexWriter, lines::to_line},
    };

    fn record(name: &str) -> Record {
        let mut secret = Secret { name: name.into(), id: format!("arn:{name}"), ..Secret::default() };
        secret.facets.description = Some("it says the same of every secret ".repeat(20));
        Record { secret, versions: vec![], read: Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn every_line_is_in_the_block_that_its_key_leads_to() {
        let key = RecoveryKey::generate();
        let mut writer = IndexWriter::new(&[key.recipient()]);
        let names: Vec<String> = (0..300).map(|number| format!("n\"{number:03}")).collect();
        let mut plain = 0;
        for name in &names {
            writer.push(&record(name));
            plain += to_line(&record(name)).len();
        }
        writer.push_line(&IndexLine::removal("ü", "x"));
        let blocks = Blocks::open("i", writer.finish().bytes, Opener::Recovery(&key)).unwrap();
        assert!(blocks.count() > 3 && blocks.bytes() * 4 < plain, "{} of {plain} bytes", blocks.bytes());
        assert_eq!(blocks.first().unwrap().name, names[0]);
        for (name, id) in
            names.iter().map(|name| (name.clone(), format!("arn:{name}"))).chain([("ü".into(), "x".into())])
        {
            let key = RecordKey { name, id };
            let lines = blocks.lines(blocks.block_of(&key)).unwrap();
            let keys: Vec<RecordKey> =
                lines.split_inclusive(|byte| *byte == b'\n').map(|line| key_of(line).unwrap()).collect();
            assert!(keys.contains(&key), "{key:?}");
        }
        assert!(blocks.lines(blocks.count()).unwrap().is_empty());
    }

    #[test]
    fn a_key_is_that_of_the_whole_line_and_what_is_no_line_has_none() {
        let whole = record("a\\b");
        assert_eq!(key_of(&to_line(&whole)), Some(RecordKey { name: "a\\b".into(), id: "arn:a\\b".into() }));
        let removal = IndexLine::removal("a", "b");
        assert_eq!(key_of(&to_line(&removal)), Some(RecordKey { name: "a".into(), id: "b".into() }));
        for none in ["", "{}", "[]", "{\"secret\":{\"name\":\"a\"}}", "{\"removed\":{\"name\":1,\"id\":\"b\"}}"] {
            assert_eq!(key_of(none.as_bytes()), None, "{none}");
        }
    }
}
