//! One field of a value that is JSON: exactly as it is written, by a pointer of RFC 6901.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::model::SecretValue;

/// What a field is; numbers and everything nested keep their text.
pub enum Field {
    /// A string, without its quotes and escapes.
    Text(Zeroizing<String>),
    /// A number, `true` or `false`: its text.
    Plain(Zeroizing<String>),
    /// An object or an array: its text.
    Nested(Zeroizing<String>),
    /// `null`
    Null,
}

impl Field {
    /// What is given out for it: a string itself, and the JSON text of everything else.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Plain(text) | Self::Nested(text) => text,
            Self::Null => "null",
        }
    }

    fn of(raw: &RawValue) -> Result<Self, FieldError> {
        let text = raw.get().trim();
        let own = || Zeroizing::new(text.to_owned());
        Ok(match text.as_bytes().first() {
            Some(b'"') => Self::Text(Zeroizing::new(serde_json::from_str(text).map_err(|_| FieldError::NotJson)?)),
            Some(b'{' | b'[') => Self::Nested(own()),
            Some(b'n') => Self::Null,
            _ => Self::Plain(own()),
        })
    }
}

/// The value has no such field. No error repeats a part of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Not a pointer.
    #[error("a JSON pointer begins with /")]
    NotAPointer,
    /// `~` must be followed by 0 or 1.
    #[error("in a JSON pointer ~ is written ~0, and / within a key ~1")]
    BadEscape,
    /// The value is not JSON.
    #[error("the value is not JSON")]
    NotJson,
    /// The value is JSON, and no object.
    #[error("the value is not a JSON object")]
    NotAnObject,
    /// There is nothing at this part of the pointer.
    #[error("the value has no field {0}")]
    Missing(String),
    /// A key comes twice, and readers disagree which one counts.
    #[error("the value has the key {0} twice")]
    Twice(String),
}

/// The field at a pointer such as `/password`; the empty pointer is the whole.
///
/// # Errors
/// [`FieldError`].
pub fn field(value: &[u8], pointer: &str) -> Result<Field, FieldError> {
    let mut raw: &RawValue = serde_json::from_slice(value).map_err(|_| FieldError::NotJson)?;
    if pointer.is_empty() {
        return Field::of(raw);
    }
    let mut at = String::new();
    for token in pointer.strip_prefix('/').ok_or(FieldError::NotAPointer)?.split('/') {
        let key = unescaped(token)?;
        at.push('/');
        at.push_str(token);
        let missing = || FieldError::Missing(at.clone());
        raw = match raw.get().trim_start().as_bytes().first() {
            Some(b'{') => {
                let Entries(entries) = serde_json::from_str(raw.get()).map_err(|_| FieldError::NotJson)?;
                let mut named = entries.into_iter().filter(|(name, _)| *name == key);
                let (_, found) = named.next().ok_or_else(missing)?;
                if named.next().is_some() {
                    return Err(FieldError::Twice(key));
                }
                found
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| FieldError::NotJson)?;
                let is_index = key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
                let index = key.parse::<usize>().ok().filter(|_| is_index).ok_or_else(missing)?;
                items.get(index).copied().ok_or_else(missing)?
            }
            _ => return Err(missing()),
        };
    }
    Field::of(raw)
}

/// Every key of an object with its field, in the order in which they are written.
///
/// # Errors
/// [`FieldError::NotJson`], [`FieldError::NotAnObject`], [`FieldError::Twice`].
pub fn keys(value: &[u8]) -> Result<Vec<(String, Field)>, FieldError> {
    let raw: &RawValue = serde_json::from_slice(value).map_err(|_| FieldError::NotJson)?;
    let Ok(Entries(entries)) = serde_json::from_str(raw.get()) else { return Err(FieldError::NotAnObject) };
    let mut found: Vec<(String, Field)> = Vec::with_capacity(entries.len());
    for (key, raw) in entries {
        if found.iter().any(|(known, _)| *known == key) {
            return Err(FieldError::Twice(key));
        }
        found.push((key, Field::of(raw)?));
    }
    Ok(found)
}

/// What of a value tells how it hangs together with others, and is none itself: the names of its fields, and the ARNs of
/// masters that it names. Nothing, where it is no object.
pub fn structure(value: &SecretValue) -> (Vec<String>, Vec<String>) {
    let Ok(fields) = keys(value.expose()) else { return (Vec::new(), Vec::new()) };
    let masters = fields.iter().filter(|(name, _)| name == "masterarn").filter_map(|(_, field)| match field {
        Field::Text(text) if text.starts_with("arn:") => Some(text.to_string()),
        _ => None,
    });
    (fields.iter().map(|(name, _)| name.clone()).collect(), masters.collect())
}

fn unescaped(token: &str) -> Result<String, FieldError> {
    let mut key = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        key.push(match character {
            '~' => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(FieldError::BadEscape),
            },
            other => other,
        });
    }
    Ok(key)
}

/// The entries of an object, those that come twice too.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    entries.push((key, map.next_value::<&RawValue>()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &[u8] = br#" {"a":"x\n\u00e9","n":1.50e3,"big":123456789012345678901234567890,"t":true,"z":null,
        "o":{"b/c":[10,{"~":"deep"}]},"":"empty"} "#;

    fn at(pointer: &str) -> String {
        field(VALUE, pointer).unwrap().text().to_owned()
    }

    #[test]
    fn a_field_is_given_as_it_is_written() {
        assert_eq!(at("/a"), "x\n\u{e9}");
        assert_eq!(at("/n"), "1.50e3");
        assert_eq!(at("/big"), "123456789012345678901234567890");
        assert_eq!((at("/t"), at("/z")), ("true".to_owned(), "null".to_owned()));
        assert_eq!(at("/o/b~1c/0"), "10");
        assert_eq!(at("/o/b~1c/1/~0"), "deep");
        assert_eq!(at("/o"), r#"{"b/c":[10,{"~":"deep"}]}"#);
        assert_eq!(at("/"), "empty");
        assert!(at("").starts_with('{') && at("").ends_with('}'));
    }

    #[test]
    fn what_is_not_there_is_named_and_no_value_is_repeated() {
        let fault = |value: &str, pointer: &str| field(value.as_bytes(), pointer).err().unwrap();
        assert_eq!(fault(r#"{"a":1}"#, "a"), FieldError::NotAPointer);
        assert_eq!(fault(r#"{"a":1}"#, "/a~2"), FieldError::BadEscape);
        assert_eq!(fault("hunter2", "/a"), FieldError::NotJson);
        assert_eq!(fault(r#"{"a":1}"#, "/b"), FieldError::Missing("/b".into()));
        assert_eq!(fault(r#"{"a":1}"#, "/a/b"), FieldError::Missing("/a/b".into()));
        assert_eq!(fault("[1]", "/01"), FieldError::Missing("/01".into()));
        assert_eq!(fault("[1]", "/1"), FieldError::Missing("/1".into()));
        assert_eq!(fault(r#"{"a":1,"a":2}"#, "/a"), FieldError::Twice("a".into()));
    }

    #[test]
    fn the_keys_of_an_object_come_in_their_order() {
        let names: Vec<String> = keys(VALUE).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(names, ["a", "n", "big", "t", "z", "o", ""]);
        assert_eq!(keys(b"[1]").err(), Some(FieldError::NotAnObject));
        assert_eq!(keys(b"x").err(), Some(FieldError::NotJson));
        assert_eq!(keys(br#"{"a":1,"a":1}"#).err(), Some(FieldError::Twice("a".into())));
    }
}
