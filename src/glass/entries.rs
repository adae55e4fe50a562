//! From secrets to names and texts: the keys of a JSON object as they are, or a whole value under a name that somebody gives it.

use std::{convert::Infallible, str::FromStr};

use zeroize::Zeroizing;

use super::{Field, FieldError, Name, field, keys};
use crate::{
    model::{SecretValue, ValueKind},
    text,
};

/// `NAME`, `VARIABLE=NAME`, or `VARIABLE=NAME#/POINTER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What the whole value is to be called; without it the keys of the value's JSON object name its parts.
    pub variable: Option<String>,
    /// The secret.
    pub name: Name,
    /// The one field of its JSON that is meant; the whole value otherwise. Only with a variable.
    pub pointer: Option<String>,
}

/// How keys become names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// As they are.
    #[default]
    Keep,
    /// In capital letters.
    Upper,
}

/// A name and its text or bytes. No Debug: it holds a value.
pub struct Pair {
    /// The name.
    pub name: String,
    /// The text or the bytes.
    pub value: Zeroizing<Vec<u8>>,
    /// The JSON text of a value that is no string: `5432`, `true`, `{"a":1}`.
    pub json: Option<Zeroizing<String>>,
    /// The secret that it is from.
    pub secret: String,
}

/// What becomes of one secret.
pub struct Entries {
    /// Its names and values.
    pub pairs: Vec<Pair>,
    /// Keys whose value is `null`, which no environment and no file has.
    pub nulls: Vec<String>,
}

/// A secret that gives no names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is no JSON object, and nobody named it.
    #[error("the value of {} is no JSON object, so it has no keys to name variables after", text::line(.0))]
    NoKeys(String),
    /// It is one that cannot be used.
    #[error("the JSON object in {} cannot be used: {why}", text::line(secret))]
    Field {
        /// The secret.
        secret: String,
        /// Why not.
        why: FieldError,
    },
}

impl FromStr for Given {
    type Err = Infallible;

    /// No name of AWS holds `#`, so that `#/` begins a pointer. A name of AWS may hold `=`: what is before the first one is a variable only where it can be one; `=NAME` is a name alone.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let name = |text: &str| Self { variable: None, name: Name::new(text), pointer: None };
        Ok(match text.split_once('=') {
            Some(("", rest)) => name(rest),
            Some((variable, rest)) if is_variable(variable) && !rest.is_empty() => {
                let (rest, pointer) = match rest.split_once("#/") {
                    Some((secret, pointer)) if !secret.is_empty() => (secret, Some(format!("/{pointer}"))),
                    _ => (rest, None),
                };
                Self { variable: Some(variable.to_owned()), name: Name::new(rest), pointer }
            }
            _ => name(text),
        })
    }
}

/// Whether every shell and every reader takes a word as the name of a variable.
pub(super) fn is_variable(word: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    word.bytes().next().is_some_and(is_first) && word.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// The names and values that a secret gives.
///
/// # Errors
/// [`EntryError`].
pub fn entries(given: &Given, secret: &str, value: &SecretValue, case: Case) -> Result<Entries, EntryError> {
    let unfit = |why| EntryError::Field { secret: secret.to_owned(), why };
    if let (Some(variable), Some(pointer)) = (&given.variable, &given.pointer) {
        let json = match field(value.expose(), pointer).map_err(unfit)? {
            Field::Null => return Ok(Entries { pairs: Vec::new(), nulls: vec![variable.clone()] }),
            Field::Text(text) => {
                let value = Zeroizing::new(text.as_bytes().to_vec());
                let pair = Pair { name: variable.clone(), value, json: None, secret: secret.to_owned() };
                return Ok(Entries { pairs: vec![pair], nulls: Vec::new() });
            }
            Field::Plain(text) | Field::Nested(text) => text,
        };
        let value = Zeroizing::new(json.as_bytes().to_vec());
        let pair = Pair { name: variable.clone(), value, json: Some(json), secret: secret.to_owned() };
        return Ok(Entries { pairs: vec![pair], nulls: Vec::new() });
    }
    if let Some(variable) = &given.variable {
        let value = Zeroizing::new(value.expose().to_vec());
        let pair = Pair { name: variable.clone(), value, json: None, secret: secret.to_owned() };
        return Ok(Entries { pairs: vec![pair], nulls: Vec::new() });
    }
    let no_keys = || EntryError::NoKeys(secret.to_owned());
    if value.kind() == ValueKind::Bytes && std::str::from_utf8(value.expose()).is_err() {
        return Err(no_keys());
    }
    let fields = keys(value.expose()).map_err(|why| match why {
        FieldError::NotJson | FieldError::NotAnObject => no_keys(),
        why => unfit(why),
    })?;
    let (mut pairs, mut nulls) = (Vec::with_capacity(fields.len()), Vec::new());
    for (key, field) in fields {
        let name = if case == Case::Upper { key.to_ascii_uppercase() } else { key };
        let json = match field {
            Field::Null => {
                nulls.push(name);
                continue;
            }
            Field::Text(text) => {
                let value = Zeroizing::new(text.as_bytes().to_vec());
                pairs.push(Pair { name, value, json: None, secret: secret.to_owned() });
                continue;
            }
            Field::Plain(text) | Field::Nested(text) => text,
        };
        let value = Zeroizing::new(json.as_bytes().to_vec());
        pairs.push(Pair { name, value, json: Some(json), secret: secret.to_owned() });
    }
    Ok(Entries { pairs, nulls })
}

/// A name that two secrets, or two keys of one, would give.
pub(super) fn twice(pairs: &[Pair]) -> Option<&str> {
    let mut names: Vec<&str> = pairs.iter().map(|pair| pair.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|two| two[0] == two[1]).map(|two| two[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> (Option<String>, String) {
        let given: Given = text.parse().unwrap();
        (given.variable, given.name.as_str().to_owned())
    }

    #[test]
    fn a_variable_is_told_from_a_name_with_an_equals_sign() {
        assert_eq!(given("app/db"), (None, "app/db".into()));
        assert_eq!(given("KEY=app/db"), (Some("KEY".into()), "app/db".into()));
        assert_eq!(given("KEY=a=b"), (Some("KEY".into()), "a=b".into()));
        assert_eq!(given("app/a=b"), (None, "app/a=b".into()));
        assert_eq!(given("=a=b"), (None, "a=b".into()));
        assert_eq!(given("1A=b"), (None, "1A=b".into()));
    }

    #[test]
    fn one_field_gets_a_name_of_its_own() {
        let value = SecretValue::text(r#"{"host":"h","port":5432,"old":null,"n":{"a":[1, 2]}}"#.into());
        let of = |given: &str| entries(&given.parse().unwrap(), "app", &value, Case::Keep);
        for (given, expected) in [("H=app#/host", "h"), ("P=app#/port", "5432"), ("A=app#/n/a", "[1, 2]")] {
            let found = of(given).ok().unwrap();
            assert!(found.pairs.len() == 1 && **found.pairs[0].value == *expected.as_bytes(), "{given}");
            assert_eq!(found.pairs[0].name, given[..1]);
        }
        assert_eq!(of("O=app#/old").ok().unwrap().nulls, ["O"]);
        let missing = of("X=app#/none").err().unwrap();
        assert!(matches!(missing, EntryError::Field { why: FieldError::Missing(_), .. }), "{missing}");
        let parsed: Given = "app#/host".parse().unwrap();
        assert_eq!((parsed.variable, parsed.name.as_str()), (None, "app#/host"), "without a variable it is a name");
    }

    #[test]
    fn keys_become_names_as_they_are_or_in_capitals() {
        let value = SecretValue::text(r#"{"host":"h","port":5432,"tls":true,"old":null,"n":{"a":[1, 2]}}"#.into());
        let found = |case| entries(&"app".parse().unwrap(), "app", &value, case).ok().unwrap();
        let lower = found(Case::Keep);
        let seen: Vec<(&str, &[u8])> = lower.pairs.iter().map(|pair| (&*pair.name, &**pair.value)).collect();
        let expected: [(&str, &[u8]); 4] =
            [("host", b"h"), ("port", b"5432"), ("tls", b"true"), ("n", br#"{"a":[1, 2]}"#)];
        assert_eq!(seen, expected);
        assert_eq!(lower.nulls, ["old"]);
        assert_eq!(found(Case::Upper).pairs[1].name, "PORT");
        assert!(lower.pairs[0].json.is_none() && lower.pairs[1].json.as_ref().is_some_and(|json| **json == "5432"));
    }

    #[test]
    fn what_is_no_object_needs_a_name() {
        for text in ["plain", "[1]", "\"x\"", "1"] {
            let value = SecretValue::text(text.into());
            let of = |given: &str| entries(&given.parse().unwrap(), "app", &value, Case::Keep);
            assert_eq!(of("app").err(), Some(EntryError::NoKeys("app".into())), "{text}");
            let named = of("KEY=app").ok().unwrap();
            assert!(named.pairs.len() == 1 && **named.pairs[0].value == *text.as_bytes());
        }
        let twice_there = SecretValue::fields(r#"{"a":1,"a":2}"#.into());
        assert!(entries(&"app".parse().unwrap(), "app", &twice_there, Case::Keep).is_err());
    }
}
