//! `.env` files as keys: an object of texts on one side, lines for one reader on the other.
//!
//! What a file says depends on its reader, so the reader is chosen by a person, and what that reader would not read, would read
//! otherwise or would put something else in the place of is refused by name, never guessed.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{
    dialect::{self, Caveat, Dialect},
    model::SecretValue,
    text,
};

/// The object of a file: its names and their values, as the reader of the dialect gives them.
///
/// # Errors
/// A line or a value that has no place in it; by its number or its name, never by its text.
pub(super) fn object(bytes: &[u8], dialect: &str) -> Result<Zeroizing<String>, String> {
    let dialect = understood(dialect)?;
    let reading = dialect::read(bytes, dialect);
    if let Some(fault) = reading.faults.first() {
        let more = reading.faults.len() - 1;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return Err(format!("the file cannot be read as {dialect}: {fault}{more}"));
    }
    let mut fields = BTreeMap::new();
    for pair in reading.effective() {
        let name = text::line(&pair.name);
        match pair.caveat {
            Some(Caveat::Expanded) => {
                return Err(format!("{dialect} puts something else in the place of a variable in {name}"));
            }
            Some(Caveat::Varies) => return Err(format!("releases of {dialect} read {name} differently")),
            None => {}
        }
        let value = std::str::from_utf8(&pair.value).map_err(|_| format!("the value of {name} is not UTF-8"))?;
        fields.insert(pair.name.as_str(), value);
    }
    Ok(Zeroizing::new(serde_json::to_string(&fields).expect("texts are JSON")))
}

/// The lines of an object: a text as it is, a number or a nested value as its JSON.
///
/// # Errors
/// What is no object, and a name or a value that the reader of the dialect would not read back equal.
pub(super) fn lines(value: &[u8], dialect: &str) -> Result<SecretValue, String> {
    let dialect = understood(dialect)?;
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(value)
        .map_err(|_| "the value is no JSON object, so it cannot be lines of a .env file".to_owned())?;
    let mut pairs = Vec::with_capacity(fields.len());
    for (name, raw) in &fields {
        let raw = raw.get();
        if raw == "null" {
            return Err(format!("{} is null: a .env file has no such value", text::line(name)));
        }
        let value = if raw.starts_with('"') {
            serde_json::from_str(raw).map_err(|_| format!("the value of {} is no text", text::line(name)))?
        } else {
            raw.to_owned()
        };
        pairs.push((name.as_str(), Zeroizing::new(value)));
    }
    let writing = dialect::write(pairs.iter().map(|(name, value)| (*name, value.as_bytes())), dialect);
    if let Some((name, why)) = writing.refused.first() {
        return Err(format!("{}: {why}", text::line(name)));
    }
    // Each line was tried alone; this is the file as its reader gets it.
    let back = dialect::read(&writing.bytes, dialect);
    let is_equal = |(name, value): &(&str, Zeroizing<String>)| {
        back.get(name).is_some_and(|pair| pair.value.as_slice() == value.as_bytes())
    };
    if !back.faults.is_empty() || back.pairs.len() != pairs.len() || !pairs.iter().all(is_equal) {
        return Err(format!("{dialect} would not read the file back equal"));
    }
    Ok(SecretValue::bytes(writing.bytes.to_vec()))
}

fn understood(dialect: &str) -> Result<Dialect, String> {
    dialect.parse().map_err(|unknown: dialect::NoDialect| unknown.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_its_keys_and_what_cannot_be_read_is_named_by_its_line() {
        let file = b"# a comment\nB='x y'\nexport A=\"1\"\nB=2\nKEY='-----BEGIN\nEND'\n";
        assert_eq!(object(file, "dotenv").unwrap().as_str(), r#"{"A":"1","B":"2","KEY":"-----BEGIN\nEND"}"#);
        assert_eq!(object(b"", "dotenv").unwrap().as_str(), "{}");
        for (file, dialect, words) in [
            (b"A=1\nsecret-text\n".as_slice(), "shell", "line 2"),
            (b"A=${B}\n", "python", "in the place of a variable in A"),
            (b"A=1\n", "yaml", "not a dialect"),
        ] {
            let told = object(file, dialect).err().unwrap();
            assert!(told.contains(words) && !told.contains("secret-text"), "{told}");
        }
    }

    #[test]
    fn an_object_becomes_lines_and_what_would_not_come_back_is_named() {
        let value = br#"{"PORT": 5432, "NAME": "it's", "DEEP": {"a": [1]}, "ON": true, "PEM": "a\nb"}"#;
        let written = lines(value, "dotenv").unwrap();
        let back = object(written.expose(), "dotenv").unwrap();
        assert_eq!(back.as_str(), r#"{"DEEP":"{\"a\": [1]}","NAME":"it's","ON":"true","PEM":"a\nb","PORT":"5432"}"#);
        for (value, dialect, words) in [
            (r#""text""#, "dotenv", "no JSON object"),
            (r#"{"A":null}"#, "dotenv", "A is null"),
            (r#"{"a b":"secret-text"}"#, "dotenv", "a b: it is no name"),
            (r#"{"A":"secret\ntext"}"#, "docker", "A: the dialect docker would not read the value back equal"),
        ] {
            let told = lines(value.as_bytes(), dialect).err().unwrap();
            assert!(told.contains(words) && !told.contains("secret"), "{told}");
        }
    }
}
