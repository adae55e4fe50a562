//! A file that CloudTrail delivered (`Records`), or the output of `aws cloudtrail lookup-events` (`Events`), perhaps under gzip:
//! read record by record, so that no file takes more memory than its largest record.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufRead as _, BufReader, Read},
};

use flate2::bufread::MultiGzDecoder;
use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::{of_lookup, record};
use crate::provider::Sink;

/// Bytes of the largest record. CloudTrail's own have at most 256 KiB.
const LARGEST_RECORD: u64 = 2 << 20;
/// Bytes of the largest file, unpacked. CloudTrail's own have some 50 MiB.
const LARGEST_FILE: u64 = 4 << 30;

/// Reads it to its end.
pub(super) fn read(file: Box<dyn Read>, sink: &mut Sink<'_>) -> Result<(), String> {
    let mut file = BufReader::new(file);
    let is_packed = file.fill_buf().map_err(|error| unreadable(&error))?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read> =
        if is_packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
    let since = Cell::new(0);
    let mut json = serde_json::Deserializer::from_reader(Counted { plain, since: &since, total: 0 });
    let top = json.deserialize_map(Top { sink, since: &since }).and_then(|found| json.end().map(|()| found));
    match top {
        Ok(true) => Ok(()),
        Ok(false) => Err("it has no list of records".into()),
        Err(error) => Err(sentence(error)),
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

/// The parser's own words could hold a part of the file.
fn sentence(error: serde_json::Error) -> String {
    let line = error.line();
    if error.is_io() {
        let error = io::Error::from(error);
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends in the middle".into(),
            io::ErrorKind::FileTooLarge => error.to_string(),
            _ => unreadable(&error),
        };
    }
    if error.is_eof() { "it ends in the middle".into() } else { format!("it is not the JSON of a trail (line {line})") }
}

/// Counts what is read, and ends a record or a file that is too large to be one.
struct Counted<'a> {
    plain: Box<dyn Read>,
    since: &'a Cell<u64>,
    total: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        let more = count as u64;
        self.since.set(self.since.get() + more);
        self.total += more;
        let too_large = |what: &str| Err(io::Error::new(io::ErrorKind::FileTooLarge, what.to_owned()));
        if self.since.get() > LARGEST_RECORD {
            return too_large("a record has more than 2 MiB");
        }
        if self.total > LARGEST_FILE {
            return too_large("it has more than 4 GiB");
        }
        Ok(count)
    }
}

/// The object of the file; whether it had a list.
struct Top<'a, 'b> {
    sink: &'a mut Sink<'b>,
    since: &'a Cell<u64>,
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            let is_lookup = key == "Events";
            if is_lookup || key == "Records" {
                map.next_value_seed(List { sink: &mut *self.sink, since: self.since, is_lookup })?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct List<'a, 'b> {
    sink: &'a mut Sink<'b>,
    since: &'a Cell<u64>,
    is_lookup: bool,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        self.since.set(0);
        while let Some(json) = records.next_element::<Json>()? {
            self.since.set(0);
            (self.sink)(if self.is_lookup { of_lookup(&json) } else { record::event(&json) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::provider::Entry;

    const RECORD: &str = r#"{"eventTime":"2026-10-05T10:00:00Z","eventID":"1"}"#;

    fn read_all(bytes: Vec<u8>) -> (usize, Result<(), String>) {
        let mut count = 0;
        let ended = read(Box::new(io::Cursor::new(bytes)), &mut |entry: Entry| count += usize::from(entry.is_some()));
        (count, ended)
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn a_file_is_read_packed_or_not() {
        let text = format!(r#"{{"Records":[{RECORD},{RECORD},7,null]}}"#);
        assert_eq!(read_all(text.clone().into_bytes()), (2, Ok(())));
        assert_eq!(read_all(packed(text.as_bytes())), (2, Ok(())));
        let lookup = serde_json::json!({ "Events": [{ "CloudTrailEvent": RECORD }, { "CloudTrailEvent": "{" }] });
        assert_eq!(read_all(lookup.to_string().into_bytes()), (1, Ok(())));
    }

    #[test]
    fn half_a_file_is_said() {
        let text = format!(r#"{{"Records":[{RECORD},{RECORD}]}}"#);
        let said = |bytes: Vec<u8>| read_all(bytes).1.unwrap_err();
        assert_eq!(read_all(text.as_bytes()[..text.len() - 4].to_vec()).0, 1);
        assert_eq!(said(text.as_bytes()[..text.len() - 4].to_vec()), "it ends in the middle");
        let gz = packed(text.as_bytes());
        assert_eq!(said(gz[..gz.len() - 9].to_vec()), "it ends in the middle");
        assert_eq!(said(b"{}".to_vec()), "it has no list of records");
        assert_eq!(said(b"".to_vec()), "it ends in the middle");
        for other in ["[]", "hello", r#"{"Records":7}"#, r#"{"Records":[]} x"#] {
            assert!(said(other.as_bytes().to_vec()).contains("not the JSON"), "{other}");
        }
    }

    #[test]
    fn what_unpacks_without_end_takes_no_memory() {
        // 64 MiB in one record, under gzip some 64 KiB.
        let mut bomb = format!(r#"{{"Records":[{RECORD},{{"x":""#).into_bytes();
        bomb.resize(bomb.len() + (64 << 20), b'a');
        assert_eq!(read_all(packed(&bomb)), (1, Err("a record has more than 2 MiB".into())));
        let mut before = br#"{"x":""#.to_vec();
        before.resize(64 << 20, b'a');
        assert_eq!(read_all(before).1.unwrap_err(), "a record has more than 2 MiB");
    }
}
