//! Packs: `age(zstd(JSON lines))`, one version's value each.

use std::io::{self, Write};

use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{
    RepoError, SealedFile, file_ref,
    lines::{Lines, to_line},
};
use crate::{
    crypto::{Opener, Recipient, Sealer},
    model::SecretValue,
};

/// Writes one pack as a stream; the plaintext is never whole in memory.
pub struct PackWriter {
    sealer: Sealer<Vec<u8>>,
    lines: u32,
    plaintext: u64,
}

/// Reads one pack as a stream, in line order.
pub struct PackReader(Lines);

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
    /// Plaintext after which a pack is ended: thousands of ordinary values, and little to hold in memory.
    pub const FULL: usize = 4 << 20;

    /// Starts a pack that any of `recipients` can open.
    ///
    /// # Panics
    /// When there is no recipient.
    pub fn new(recipients: &[Recipient]) -> Self {
        let sealer = Sealer::new(recipients, Vec::new()).expect("there is a recipient, and memory does not fail");
        Self { sealer, lines: 0, plaintext: 0 }
    }

    /// Appends a value and gives its line, from 0.
    pub fn push(&mut self, secret: &str, version: &str, value: &SecretValue) -> u32 {
        let (mut text, mut bytes, mut fields) = (None, None, None);
        match value {
            SecretValue::Text(value) => text = Some(value.as_str()),
            SecretValue::Bytes(value) => bytes = Some(AsBase64(value)),
            SecretValue::Fields(value) => fields = Some(value.as_str()),
        }
        let line = to_line(&WrittenLine { secret, version, text, bytes, fields });
        self.sealer.write_all(&line).expect("memory does not fail");
        self.plaintext += line.len() as u64;
        self.lines += 1;
        self.lines - 1
    }

    /// Whether the next values belong into another pack.
    pub fn is_full(&self) -> bool {
        self.plaintext >= Self::FULL as u64
    }

    /// Ends the pack.
    pub fn finish(self) -> SealedFile {
        let bytes = Bytes::from(self.sealer.finish().expect("memory does not fail"));
        SealedFile { file: file_ref(&bytes), bytes }
    }
}

impl PackReader {
    /// Opens a pack; `file` is its name for errors.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`].
    pub fn open(file: &str, sealed: Bytes, opener: Opener<'_>) -> Result<Self, RepoError> {
        Lines::open(file, io::Cursor::new(sealed), opener).map(Self)
    }
}

impl Iterator for PackReader {
    type Item = Result<PackEntry, RepoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.0.advance()? {
            return Some(Err(error));
        }
        Some(parse(self.0.line()).ok_or_else(|| self.0.fault("not a value")))
    }
}

#[derive(Serialize)]
struct WrittenLine<'a> {
    secret: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<AsBase64<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a str>,
}

/// Encodes while it is written, so that no second copy of the value is made.
struct AsBase64<'a>(&'a [u8]);

impl Serialize for AsBase64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &BASE64_STANDARD))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine {
    secret: String,
    version: String,
    #[serde(default, deserialize_with = "wiped")]
    text: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    bytes: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    fields: Option<Zeroizing<String>>,
}

/// The text goes straight into a wiped string. serde_json's own scratch buffer, used for text with escapes, is left to
/// the program's allocator.
fn wiped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(Zeroizing::new(text)))
}

/// serde's errors may quote the line, so they end here.
fn parse(line: &[u8]) -> Option<PackEntry> {
    let ReadLine { secret, version, text, bytes, fields } = serde_json::from_slice(line).ok()?;
    let value = match (text, bytes, fields) {
        (Some(text), None, None) => SecretValue::Text(text),
        (None, Some(text), None) => SecretValue::Bytes(Zeroizing::new(BASE64_STANDARD.decode(text.as_bytes()).ok()?)),
        (None, None, Some(text)) => SecretValue::Fields(text),
        _ => return None,
    };
    Some(PackEntry { secret, version, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::RecoveryKey, model::ValueKind};

    #[test]
    fn values_come_back_byte_for_byte() {
        let (key, drill) = (RecoveryKey::generate(), RecoveryKey::generate());
        let mut writer = PackWriter::new(&[key.recipient(), drill.recipient()]);
        let values = [
            SecretValue::text(String::new()),
            SecretValue::text("plain".into()),
            SecretValue::text("line\nbreak \"quoted\" \u{0}\u{1f} ünïcödé 🔑 \u{2028}".into()),
            SecretValue::text("x".repeat(65_536)),
            SecretValue::bytes(vec![]),
            SecretValue::bytes((0..=255).collect()),
            SecretValue::bytes(b"plain".to_vec()),
            SecretValue::fields("{}".into()),
            SecretValue::fields(r#"{"a":"\u0000","ü":{"b":[1,null]}}"#.into()),
        ];
        for (line, value) in values.iter().enumerate() {
            assert_eq!(writer.push("arn", &line.to_string(), value) as usize, line);
        }
        assert!(writer.plaintext > 65_536);
        let sealed = writer.finish();
        assert_eq!(sealed.file, file_ref(&sealed.bytes));
        for key in [&key, &drill] {
            let reader = PackReader::open("p", sealed.bytes.clone(), Opener::Recovery(key)).unwrap();
            let entries: Vec<_> = reader.map(Result::unwrap).collect();
            assert_eq!(entries.len(), values.len());
            for (line, (entry, value)) in entries.iter().zip(&values).enumerate() {
                assert!(entry.value.same_as(value) && entry.version == line.to_string() && entry.secret == "arn");
            }
        }
        let other = RecoveryKey::generate();
        let wrong = PackReader::open("p", sealed.bytes, Opener::Recovery(&other));
        assert!(matches!(wrong, Err(RepoError::WrongKey { file }) if file == "p"));
    }

    #[test]
    fn only_the_three_shapes_are_values() {
        assert_eq!(parse(br#"{"secret":"s","version":"v","text":""}"#).unwrap().value.kind(), ValueKind::Text);
        assert_eq!(parse(br#"{"secret":"s","version":"v","bytes":"AA=="}"#).unwrap().value.expose(), [0]);
        assert_eq!(parse(br#"{"secret":"s","version":"v","fields":"{}"}"#).unwrap().value.kind(), ValueKind::Fields);
        for bad in [
            "",
            "null",
            r#"{"secret":"s","version":"v"}"#,
            r#"{"secret":"s","version":"v","text":null}"#,
            r#"{"secret":"s","version":"v","text":"","bytes":""}"#,
            r#"{"secret":"s","version":"v","text":"a","text":"b"}"#,
            r#"{"secret":"s","version":"v","text":"","fields":"{}"}"#,
            r#"{"secret":"s","version":"v","fields":{}}"#,
            r#"{"secret":"s","version":"v","text":1}"#,
            r#"{"secret":"s","version":"v","bytes":"AA"}"#,
            r#"{"secret":"s","version":"v","bytes":"AB=="}"#,
            r#"{"secret":"s","version":"v","bytes":"*"}"#,
            r#"{"secret":"s","text":""}"#,
            r#"{"version":"v","text":""}"#,
            r#"{"secret":"s","version":"v","text":"","more":1}"#,
            r#"{"secret":"s","version":"v","text":""} x"#,
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_broken_line_is_named_and_not_quoted() {
        let key = RecoveryKey::generate();
        let mut sealer = Sealer::new(&[key.recipient()], Vec::new()).unwrap();
        sealer.write_all(b"{\"secret\":\"s\",\"version\":\"v\",\"text\":\"a\"}\n{\"hunter2\":1}\n{}\n").unwrap();
        let pack = sealer.finish().unwrap().into();
        let found: Vec<_> = PackReader::open("p", pack, Opener::Recovery(&key)).unwrap().collect();
        assert_eq!(found.len(), 2, "nothing follows damage");
        let Err(error) = &found[1] else { panic!("the second line is broken") };
        assert_eq!(error.to_string(), "p is damaged: line 2: not a value");
    }
}
