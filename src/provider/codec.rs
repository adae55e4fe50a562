//! Values on their way into a target of another kind: how each is written, and whether what was read back is that.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::keys;
use crate::model::{Codec, SecretValue};

/// The field of a text that is no object.
const TEXT: &str = "value";
/// The field of bytes.
const BYTES: &str = "base64";
/// Digits that every reader of numbers keeps (IEEE 754 double precision).
const SAFE_DIGITS: usize = 15;
/// The first whole number that doubles do not tell from its neighbour.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;
/// Exponents within which that is so.
const SAFE_EXPONENT: i32 = 290;
/// Keys and values of an object above which it is written as one text: OpenBao takes 1,000 strings in a request.
const MOST_STRINGS: usize = 900;

/// The value as it is written; `None`: as it is.
///
/// # Errors
/// A value that the codec has no form for, in words that do not show it.
pub fn encode(codec: &Codec, value: &SecretValue) -> Result<Option<SecretValue>, String> {
    match (codec, value) {
        (Codec::Stand, _) => Ok(Some(SecretValue::bytes(vec![0]))),
        (Codec::EmptyText, _) => Ok(Some(SecretValue::text(String::new()))),
        (Codec::EmptyBytes, _) => Ok(Some(SecretValue::bytes(Vec::new()))),
        (Codec::Text, SecretValue::Bytes(bytes)) => {
            Ok(std::str::from_utf8(bytes).ok().map(|text| SecretValue::text(text.to_owned())))
        }
        (Codec::FieldsOfText | Codec::ObjectOfText, value) => {
            let inner = if *codec == Codec::FieldsOfText { Codec::Fields } else { Codec::Object };
            let text = encode(&Codec::Text, value)?;
            encode(&inner, text.as_ref().unwrap_or(value))
        }
        (Codec::TextOrBase64 | Codec::UnwrappedText, value) => {
            let first = if *codec == Codec::TextOrBase64 { Codec::TextOrBytes } else { Codec::Unwrapped };
            let inner = encode(&first, value)?;
            let plain = encode(&Codec::Plain, inner.as_ref().unwrap_or(value))?;
            Ok(plain.or(inner))
        }
        (Codec::FieldsOfFile, value) => {
            let text = encode(&Codec::Text, value)?;
            match text.as_ref().unwrap_or(value) {
                SecretValue::Text(text) if !is_spelled_alike(text) => Ok(Some(lone(TEXT, text))),
                value => encode(&Codec::Fields, value),
            }
        }
        (Codec::UnwrappedBytes, value) => {
            let unwrapped = encode(&Codec::Unwrapped, value)?;
            let bytes = encode(&Codec::Bytes, unwrapped.as_ref().unwrap_or(value))?;
            Ok(bytes.or(unwrapped))
        }
        (Codec::AsIs, _)
        | (Codec::Fields | Codec::Object | Codec::Keys(_), SecretValue::Fields(_))
        | (Codec::Text, SecretValue::Text(_) | SecretValue::Fields(_))
        | (Codec::JsonText | Codec::Unwrapped, SecretValue::Text(_) | SecretValue::Bytes(_))
        | (Codec::TextOrBytes | Codec::Plain, SecretValue::Text(_))
        | (Codec::Bytes | Codec::Contents, SecretValue::Bytes(_))
        | (Codec::Base64, SecretValue::Bytes(_) | SecretValue::Fields(_)) => Ok(None),
        (Codec::Plain, SecretValue::Bytes(bytes)) => Ok(Some(SecretValue::text(STANDARD.encode(bytes)))),
        (Codec::Base64, SecretValue::Text(text)) => Ok(STANDARD.decode(text.as_str()).ok().map(SecretValue::bytes)),
        (Codec::Contents, SecretValue::Fields(text)) => Ok(Some(SecretValue::bytes(unwrapped(text).expose().to_vec()))),
        (Codec::Keys(dialect), value) => Ok(Some(SecretValue::Fields(keys::object(value.expose(), dialect)?))),
        (Codec::KeysText(dialect), value) => Ok(Some(SecretValue::Text(keys::object(value.expose(), dialect)?))),
        (Codec::Lines(dialect), value) => keys::lines(value.expose(), dialect).map(Some),
        (Codec::Bytes, SecretValue::Text(text) | SecretValue::Fields(text))
        | (Codec::Contents, SecretValue::Text(text)) => Ok(Some(SecretValue::bytes(text.as_bytes().to_vec()))),
        (Codec::Object, SecretValue::Text(text)) if json(text).is_some_and(|value| value.is_object()) => {
            Ok(Some(SecretValue::fields(text.to_string())))
        }
        (Codec::Fields | Codec::Object, SecretValue::Text(text)) => {
            Ok(Some(own_fields(text).unwrap_or_else(|| lone(TEXT, text.as_str()))))
        }
        (Codec::Fields | Codec::Object, SecretValue::Bytes(bytes)) => {
            let text = Zeroizing::new(STANDARD.encode(bytes));
            Ok(Some(lone(BYTES, &text)))
        }
        (Codec::JsonText | Codec::TextOrBytes | Codec::Plain, SecretValue::Fields(text)) => {
            Ok(Some(SecretValue::Text(Zeroizing::new(text.to_string()))))
        }
        (Codec::Unwrapped, SecretValue::Fields(text)) => Ok(Some(unwrapped(text))),
        (Codec::TextOrBytes, SecretValue::Bytes(bytes)) => Ok(match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.contains('\0') => Some(SecretValue::text(text.to_owned())),
            _ => None,
        }),
    }
}

/// Whether a value that was read back is the one that was written. A service that holds objects writes their text in its own
/// way, so fields are compared as JSON.
pub fn is_same(written: &SecretValue, found: &SecretValue) -> bool {
    match (written, found) {
        (SecretValue::Fields(written), SecretValue::Fields(found)) => {
            written == found
                || matches!((json(written), json(found)), (Some(written), Some(found)) if is_equal(&written, &found))
        }
        _ => written.same_as(found),
    }
}

/// A service may write `1.0` as `1` and `1e3` as `1000`: a number is what it says.
fn is_equal(written: &Json, found: &Json) -> bool {
    match (written, found) {
        (Json::Object(written), Json::Object(found)) => {
            let is_there = |(key, value): (&String, &Json)| found.get(key).is_some_and(|found| is_equal(value, found));
            written.len() == found.len() && written.iter().all(is_there)
        }
        (Json::Array(written), Json::Array(found)) => {
            written.len() == found.len() && written.iter().zip(found).all(|(written, found)| is_equal(written, found))
        }
        (Json::Number(one), Json::Number(other)) if one.is_f64() != other.is_f64() => {
            // Whole numbers beyond these are not told apart as floats.
            let is_exact = |number: &f64| number.abs() < MOST_EXACT;
            matches!((one.as_f64().filter(is_exact), other.as_f64().filter(is_exact)), (Some(one), Some(other))
                if one.to_bits() == other.to_bits())
        }
        _ => written == found,
    }
}

/// A service reads back nothing as an object without fields.
fn json(text: &str) -> Option<Json> {
    let value: Json = serde_json::from_str(text).ok()?;
    Some(if value.is_null() { Json::Object(serde_json::Map::new()) } else { value })
}

/// The object of a text, when nothing of it would change on the way: no number loses a digit, no key is there twice, and it
/// is not to be taken for what [`lone`] makes.
fn own_fields(text: &str) -> Option<SecretValue> {
    let Unique(object @ Json::Object(fields)) = &serde_json::from_str::<Unique>(text).ok()? else { return None };
    let is_lone = fields.len() == 1 && [TEXT, BYTES].iter().any(|name| fields.get(*name).is_some_and(Json::is_string));
    if is_lone || strings(object) > MOST_STRINGS || !numbers(text).all(is_safe) {
        return None;
    }
    Some(SecretValue::fields(serde_json::to_string(object).expect("JSON is JSON")))
}

/// Whether a text is an object in the very spelling in which an engine of objects gives it back: compact, with sorted keys, without
/// fractions, and with five characters escaped that Go does not write into JSON as they are.
fn is_spelled_alike(text: &str) -> bool {
    let Some(SecretValue::Fields(fields)) = own_fields(text) else { return false };
    let escaped = ['<', '>', '&', '\u{2028}', '\u{2029}'].into_iter().fold(fields, |text, c| {
        if !text.contains(c) {
            return text;
        }
        Zeroizing::new(text.replace(c, &format!("\\u{:04x}", u32::from(c))))
    });
    *escaped == *text && numbers(text).all(|number| number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()))
}

fn lone(field: &str, text: &str) -> SecretValue {
    let fields = BTreeMap::from([(field, text)]);
    SecretValue::fields(serde_json::to_string(&fields).expect("strings are JSON"))
}

fn unwrapped(text: &Zeroizing<String>) -> SecretValue {
    let whole = || SecretValue::Text(Zeroizing::new(text.to_string()));
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, Json>>(text) else { return whole() };
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some((field, Json::String(inner))), None) if field == TEXT => SecretValue::text(inner),
        (Some((field, Json::String(inner))), None) if field == BYTES => {
            STANDARD.decode(inner).map_or_else(|_| whole(), SecretValue::bytes)
        }
        _ => whole(),
    }
}

/// Keys and values that are strings.
fn strings(value: &Json) -> usize {
    match value {
        Json::String(_) => 1,
        Json::Array(items) => items.iter().map(strings).sum(),
        Json::Object(fields) => fields.len() + fields.values().map(strings).sum::<usize>(),
        _ => 0,
    }
}

/// The numbers in a text that is JSON, as they are written.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let (mut at, bytes) = (0, text.as_bytes());
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    at += 1;
                    while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'-' | b'0'..=b'9' => {
                    let from = at;
                    while bytes
                        .get(at)
                        .is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    {
                        at += 1;
                    }
                    return Some(&text[from..at]);
                }
                _ => at += 1,
            }
        }
        None
    })
}

/// Whether a number comes back equal from whoever keeps numbers in double precision.
fn is_safe(number: &str) -> bool {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let significant = digits.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    let is_negative_zero = number.starts_with('-') && significant == 0;
    significant <= SAFE_DIGITS
        && !is_negative_zero
        && exponent.parse::<i32>().is_ok_and(|exponent| exponent.abs() <= SAFE_EXPONENT)
}

/// JSON in which no object has a key twice.
struct Unique(Json);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without a key that is there twice")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut all = serde_json::Map::new();
        while let Some((key, Unique(value))) = fields.next_entry::<String, Unique>()? {
            if all.insert(key, value).is_some() {
                return Err(serde::de::Error::custom("a key is there twice"));
            }
        }
        Ok(Json::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(text: &str) -> String {
        let value = encode(&Codec::Fields, &SecretValue::text(text.into())).unwrap().unwrap();
        assert_eq!(value.kind(), crate::model::ValueKind::Fields);
        String::from_utf8(value.expose().to_vec()).unwrap()
    }

    #[test]
    fn an_object_becomes_fields_where_nothing_of_it_would_change() {
        for (text, expected) in [
            (r#"{"b": 1, "a": {"x": [true, null, -2.5e3]}}"#, r#"{"a":{"x":[true,null,-2500.0]},"b":1}"#),
            ("{}", "{}"),
            (r#"{"value": "x", "other": 1}"#, r#"{"other":1,"value":"x"}"#),
            (r#"{"value": 7}"#, r#"{"value":7}"#),
            (r#"{"n": 999999999999999}"#, r#"{"n":999999999999999}"#),
            (r#"{"s": "9007199254740993 \" 1e999"}"#, r#"{"s":"9007199254740993 \" 1e999"}"#),
        ] {
            assert_eq!(fields(text), expected);
        }
    }

    #[test]
    fn any_other_text_is_one_field() {
        for text in [
            "plain",
            "",
            "[1]",
            "null",
            r#""text""#,
            r#"{"a":1,"a":2}"#,
            r#"{"n":9007199254740993}"#,
            r#"{"n":0.12345678901234567}"#,
            r#"{"n":1e400}"#,
            r#"{"n":-0}"#,
            r#"{"value":"looks like ours"}"#,
            r#"{"base64":"aGk="}"#,
            "{\"a\":1} trailing",
            "line\nline\0",
        ] {
            assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&fields(text)).unwrap()["value"], text);
        }
        let many: BTreeMap<String, u32> = (0..1_000).map(|n| (format!("k{n}"), n)).collect();
        assert!(fields(&serde_json::to_string(&many).unwrap()).starts_with(r#"{"value":"#));
    }

    #[test]
    fn a_foreign_object_without_our_form_keeps_its_text() {
        for text in [r#"{"value":1}"#, r#"{"base64":"no base64!"}"#, r#"{"a":1.10}"#, "null", "{}"] {
            let value = encode(&Codec::Unwrapped, &SecretValue::fields(text.into())).unwrap().unwrap();
            assert_eq!((value.kind(), value.expose()), (crate::model::ValueKind::Text, text.as_bytes()));
        }
    }

    #[test]
    fn a_file_is_fields_where_they_are_spelled_as_they_come_back() {
        let own = [r#"{"a":1,"b":"x y"}"#, r#"{"a":"\u003cb\u003e \u0026"}"#, "{}"];
        let other =
            [r#"{"b":1,"a":2}"#, r#"{"a": 1}"#, r#"{"a":1.0}"#, r#"{"a":"<"}"#, "A=1\n", "", r#"{"value":"x"}"#, "[1]"];
        for text in own.into_iter().chain(other) {
            let file = SecretValue::bytes(text.as_bytes().to_vec());
            let written = encode(&Codec::FieldsOfFile, &file).unwrap().unwrap();
            let fields: Json = serde_json::from_slice(written.expose()).unwrap();
            assert_eq!(fields == serde_json::json!({ "value": text }), other.contains(&text), "{text}");
            // As Go spells it.
            let back = String::from_utf8(written.expose().to_vec()).unwrap();
            let back = if own.contains(&text) { SecretValue::fields(text.into()) } else { SecretValue::fields(back) };
            let back = encode(&Codec::Contents, &back).unwrap().unwrap();
            assert_eq!(back.expose(), text.as_bytes());
        }
        let file = SecretValue::bytes(vec![0, 255]);
        assert_eq!(encode(&Codec::FieldsOfFile, &file).unwrap().unwrap().expose(), br#"{"base64":"AP8="}"#);
    }

    #[test]
    fn bytes_are_text_where_they_can_be_and_base64_elsewhere() {
        for (bytes, text) in
            [(&b"plain"[..], "plain"), (b"aGk=", "aGk="), (&[0, 255], "AP8="), (b"a\0", "YQA="), (b"", "")]
        {
            let value = encode(&Codec::TextOrBase64, &SecretValue::bytes(bytes.to_vec())).unwrap().unwrap();
            assert_eq!((value.kind(), value.expose()), (crate::model::ValueKind::Text, text.as_bytes()));
        }
        assert!(encode(&Codec::TextOrBase64, &SecretValue::text("as it is".into())).unwrap().is_none());
        for (fields, text) in
            [(r#"{"value":"x"}"#, "x"), (r#"{"base64":"AP8="}"#, "AP8="), (r#"{"a":1}"#, r#"{"a":1}"#)]
        {
            let value = encode(&Codec::UnwrappedText, &SecretValue::fields(fields.into())).unwrap().unwrap();
            assert_eq!((value.kind(), value.expose()), (crate::model::ValueKind::Text, text.as_bytes()));
        }
    }

    #[test]
    fn fields_are_compared_as_what_they_say() {
        let fields = |text: &str| SecretValue::fields(text.into());
        assert!(is_same(&fields(r#"{"a":"<","b":1}"#), &fields("{\"b\": 1, \"a\": \"\\u003c\"}")));
        assert!(is_same(&fields("null"), &fields("{}")));
        assert!(is_same(&fields(r#"{"a":[1.0,-2.5e3]}"#), &fields(r#"{"a":[1,-2500]}"#)));
        assert!(!is_same(&fields(r#"{"a":1.5}"#), &fields(r#"{"a":1}"#)));
        assert!(!is_same(&fields(r#"{"a":9007199254740993}"#), &fields(r#"{"a":9007199254740992.0}"#)));
        assert!(!is_same(&fields(r#"{"a":1,"b":2}"#), &fields(r#"{"a":1}"#)));
        assert!(!is_same(&fields(r#"{"a":[1]}"#), &fields(r#"{"a":[1,2]}"#)));
        assert!(!is_same(&fields(r#"{"a":1}"#), &fields(r#"{"a":2}"#)));
        assert!(!is_same(&fields(r#"{"a":1}"#), &fields(r#"{"a":"1"}"#)));
        assert!(!is_same(&fields("{}"), &SecretValue::text("{}".into())));
    }

    proptest! {
        #[test]
        fn what_is_written_as_fields_comes_back(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for value in [SecretValue::text(text), SecretValue::bytes(bytes)] {
                let written = encode(&Codec::Fields, &value).unwrap().unwrap();
                let back = encode(&Codec::Unwrapped, &written).unwrap().unwrap();
                let is_object = value.kind() == crate::model::ValueKind::Text
                    && std::str::from_utf8(value.expose()).is_ok_and(|text| own_fields(text).is_some());
                prop_assert!(is_object || back.same_as(&value));
            }
        }
    }
}
