//! Text inside a value that must change on the way: a host, an ARN, the name of a region.
//!
//! A rule names a place in a JSON value by its pointer (RFC 6901) and what is replaced in the text there. Exact means: the
//! replaced characters change and no other byte does. Order, spaces, numbers, escapes and line ends stay as they were, because
//! the value is never written anew from what was parsed.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use zeroize::Zeroizing;

use super::SecretValue;

/// Old text and new text.
pub type Replacements = BTreeMap<String, String>;
/// Replacements by the JSON pointer to the text they are made in.
pub type Edits = BTreeMap<String, Replacements>;

/// What a rule does to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Text is replaced.
    Changed,
    /// The place is there, the text to replace is not in it.
    Unchanged,
    /// The value is no JSON.
    NoJson,
    /// The value has no such place.
    NotThere,
    /// What is there is no text.
    NoText,
    /// A key on the way is there twice: readers disagree about which one counts.
    Ambiguous,
}

impl Effect {
    /// In words, after the name of the value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "the text to replace is not in it",
            Self::NoJson => "the value is no JSON",
            Self::NotThere => "the value has no such place",
            Self::NoText => "what is there is no text",
            Self::Ambiguous => "a key on the way is there twice",
        }
    }
}

/// The value with every rule applied; `None` when that changes nothing.
pub fn edited(edits: &Edits, value: &SecretValue) -> Option<SecretValue> {
    let text = if edits.is_empty() { None } else { json(value) }?;
    let mut changes: Vec<(Range<usize>, &str)> = Vec::new();
    for (pointer, replacements) in edits {
        changes.extend(locate(text, pointer).map(|at| matches(text, at, replacements)).unwrap_or_default());
    }
    if changes.is_empty() {
        return None;
    }
    changes.sort_by_key(|(at, _)| at.start);
    let new: Vec<(Range<usize>, String)> = changes.into_iter().map(|(at, to)| (at, escaped(to))).collect();
    // All the room at once: a text that grows leaves copies behind.
    let room = text.len() + new.iter().map(|(_, to)| to.len()).sum::<usize>();
    let mut written = Zeroizing::new(String::with_capacity(room));
    let mut from = 0;
    for (at, to) in new {
        written.push_str(&text[from..at.start]);
        written.push_str(&to);
        from = at.end;
    }
    written.push_str(&text[from..]);
    Some(match value {
        SecretValue::Text(_) => SecretValue::Text(written),
        SecretValue::Fields(_) => SecretValue::Fields(written),
        SecretValue::Bytes(_) => SecretValue::bytes(written.as_bytes().to_vec()),
    })
}

/// What one rule does to a value.
pub fn effect(pointer: &str, replacements: &Replacements, value: &SecretValue) -> Effect {
    let Some(text) = json(value) else { return Effect::NoJson };
    match locate(text, pointer) {
        Ok(at) => {
            let is_changed = !matches(text, at, replacements).is_empty();
            if is_changed { Effect::Changed } else { Effect::Unchanged }
        }
        Err(why) => why,
    }
}

/// Why a pointer or its replacements can mean nothing.
pub fn edit_fault(pointer: &str, replacements: &Replacements) -> Option<&'static str> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Some("a JSON pointer begins with /");
    }
    if pointer.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        return Some("in a JSON pointer ~ is written ~0 and / is written ~1");
    }
    if replacements.is_empty() || replacements.keys().any(String::is_empty) {
        return Some("the text to replace is missing");
    }
    None
}

/// The text of a value that is JSON.
fn json(value: &SecretValue) -> Option<&str> {
    let text = std::str::from_utf8(value.expose()).ok()?;
    serde_json::from_str::<IgnoredAny>(text).is_ok().then_some(text)
}

/// Where the text of a pointer is, without its quotes. `text` is known to be JSON.
fn locate(text: &str, pointer: &str) -> Result<Range<usize>, Effect> {
    let mut at = spaces(text, 0);
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        at = match text.as_bytes().get(at) {
            Some(b'{') => member(text, at, &token)?,
            Some(b'[') => element(text, at, &token)?,
            _ => return Err(Effect::NotThere),
        };
    }
    match text.as_bytes().get(at) {
        Some(b'"') => Ok(at + 1..value_end(text, at) - 1),
        _ => Err(Effect::NoText),
    }
}

/// Where the value of a key begins, in the object at `at`.
fn member(text: &str, at: usize, key: &str) -> Result<usize, Effect> {
    let mut found = None;
    let mut at = spaces(text, at + 1);
    while text.as_bytes().get(at) == Some(&b'"') {
        let end = value_end(text, at);
        let named: Option<Zeroizing<String>> = serde_json::from_str(&text[at..end]).ok().map(Zeroizing::new);
        // Behind the colon.
        let value = spaces(text, spaces(text, end) + 1);
        if named.is_some_and(|named| *named == key) && found.replace(value).is_some() {
            return Err(Effect::Ambiguous);
        }
        at = spaces(text, value_end(text, value));
        if text.as_bytes().get(at) == Some(&b',') {
            at = spaces(text, at + 1);
        }
    }
    found.ok_or(Effect::NotThere)
}

/// Where an element begins, in the array at `at`.
fn element(text: &str, at: usize, number: &str) -> Result<usize, Effect> {
    let is_number = number == "0" || (!number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit()));
    let wanted: usize = number.parse().ok().filter(|_| is_number).ok_or(Effect::NotThere)?;
    let mut at = spaces(text, at + 1);
    for place in 0.. {
        if matches!(text.as_bytes().get(at), None | Some(b']')) {
            break;
        }
        if place == wanted {
            return Ok(at);
        }
        at = spaces(text, value_end(text, at));
        if text.as_bytes().get(at) == Some(&b',') {
            at = spaces(text, at + 1);
        }
    }
    Err(Effect::NotThere)
}

fn spaces(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

/// The end of the value that begins at `at`.
fn value_end(text: &str, at: usize) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (place, byte) in text.bytes().enumerate().skip(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return place + 1;
                }
            }
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            // That of what it is in.
            b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return place,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// What is replaced in the text at `at`, from left to right: of two that begin at one place the longer one. What was replaced is
/// not looked into again.
fn matches<'r>(text: &str, at: Range<usize>, replacements: &'r Replacements) -> Vec<(Range<usize>, &'r str)> {
    let mut found = Vec::new();
    let mut from = at.start;
    while from < at.end {
        let ends = replacements.iter().filter_map(|(old, new)| Some((end_of(text, from..at.end, old)?, new)));
        if let Some((end, new)) = ends.max_by_key(|(end, _)| *end) {
            found.push((from..end, new.as_str()));
            from = end;
        } else {
            from = character(text, from).1;
        }
    }
    found
}

/// The end of `wanted`, if it is what the characters from the beginning of `within` say.
fn end_of(text: &str, within: Range<usize>, wanted: &str) -> Option<usize> {
    let mut at = within.start;
    for character_wanted in wanted.chars() {
        let (found, next) = character(text, at);
        if at >= within.end || found != Some(character_wanted) {
            return None;
        }
        at = next;
    }
    Some(at)
}

/// One character of a JSON string and where the next one begins; `None` stands for half a pair of surrogates.
fn character(text: &str, at: usize) -> (Option<char>, usize) {
    let rest = text.get(at..).unwrap_or_default();
    let Some(escape) = rest.strip_prefix('\\') else {
        let plain = rest.chars().next();
        return (plain, at + plain.map_or(1, char::len_utf8));
    };
    let plain = match escape.as_bytes().first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(rest, at),
        Some(byte) => char::from(*byte),
        None => return (None, at + 1),
    };
    (Some(plain), at + 2)
}

/// `\uXXXX`, or two of them that are one character.
fn unicode(rest: &str, at: usize) -> (Option<char>, usize) {
    const LENGTH: usize = "\\uXXXX".len();
    let unit = |from: usize| {
        let digits = rest.get(from..from + LENGTH)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (first, second) = (unit(0), unit(LENGTH));
    let pair = first.zip(second).and_then(|(first, second)| char::decode_utf16([first, second]).next()?.ok());
    match pair {
        Some(found) if found.len_utf16() == 2 => (Some(found), at + 2 * LENGTH),
        _ => (first.and_then(|unit| char::from_u32(unit.into())), at + LENGTH),
    }
}

/// As it stands in a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(pointer: &str, pairs: &[(&str, &str)]) -> Edits {
        let pairs = pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        [(pointer.to_owned(), pairs)].into()
    }

    fn apply(text: &str, edits: &Edits) -> Option<String> {
        edited(edits, &SecretValue::text(text.into())).map(|value| String::from_utf8(value.expose().to_vec()).unwrap())
    }

    fn judged(text: &str, pointer: &str) -> Effect {
        effect(pointer, &rules("", &[("old", "new")])[""], &SecretValue::text(text.into()))
    }

    #[test]
    fn every_other_byte_stays() {
        let text = "\n{ \"port\":5432.0e+00,\t\"host\" : \"db.old\\/\\u0061-old\" ,\"host2\":\"old\",\"\\u0061\":\"old\", \"n\":1E5}\r\n";
        let new = apply(text, &rules("/host", &[("old", "new")])).unwrap();
        assert_eq!(new, text.replace("db.old\\/\\u0061-old", "db.new\\/\\u0061-new"));
        assert_eq!(
            apply(text, &rules("/a", &[("old", "x")])).unwrap(),
            text.replace("\"\\u0061\":\"old\"", "\"\\u0061\":\"x\"")
        );
    }

    #[test]
    fn what_stands_escaped_is_found_and_what_is_new_is_escaped() {
        for (old, new, text, expected) in [
            ("a/b", "c", r#"{"k":"xa\/by"}"#, r#"{"k":"xcy"}"#),
            ("é😀", "e", r#"{"k":"\u00e9\ud83d\ude00!"}"#, r#"{"k":"e!"}"#),
            ("\"", "\\\n", r#"{"k":"a\"b"}"#, r#"{"k":"a\\\nb"}"#),
            ("x", "\u{1}", r#"{"k":"x"}"#, r#"{"k":"\u0001"}"#),
            ("é", "e", r#"{"k":"é"}"#, r#"{"k":"e"}"#),
        ] {
            assert_eq!(apply(text, &rules("/k", &[(old, new)])).as_deref(), Some(expected), "{old:?}");
        }
        // Half a character is no character, and nothing of it is touched.
        assert_eq!(apply(r#"{"k":"\ud83d"}"#, &rules("/k", &[("\u{fffd}", "x")])), None);
    }

    #[test]
    fn the_longer_text_wins_and_what_was_replaced_is_not_replaced_again() {
        let pairs = [("eu", "us"), ("eu-central-1", "eu-west-1"), ("us", "ap"), ("a", "aa")];
        assert_eq!(apply(r#"["eu-central-1 eu us a"]"#, &rules("/0", &pairs)).unwrap(), r#"["eu-west-1 us ap aa"]"#);
    }

    #[test]
    fn pointers_lead_through_objects_and_arrays() {
        let text = r#"{"a/b":{"~":["x",{"":"old"},[["old"]]]},"c":{"}":"]","d":"old"}}"#;
        for pointer in ["/a~1b/~0/1/", "/a~1b/~0/2/0/0", "/c/d"] {
            assert_eq!(judged(text, pointer), Effect::Changed, "{pointer}");
        }
        for pointer in ["/a", "/c/e", "/a~1b/~0/3", "/a~1b/~0/01", "/a~1b/~0/-", "/a~1b/~0/", "/c/d/0", "/c/}/x"] {
            assert_eq!(judged(text, pointer), Effect::NotThere, "{pointer}");
        }
        assert_eq!(judged("\"old\"", ""), Effect::Changed);
    }

    #[test]
    fn what_cannot_be_done_is_told_and_nothing_changes() {
        for (text, effect) in [
            ("", Effect::NoJson),
            ("old", Effect::NoJson),
            (r#"{"k":"old""#, Effect::NoJson),
            ("{\"k\":'old'}", Effect::NoJson),
            ("\u{feff}{\"k\":\"old\"}", Effect::NoJson),
            (r#"{"k":"old"} {"k":"old"}"#, Effect::NoJson),
            (r#"{"K":"old"}"#, Effect::NotThere),
            ("[]", Effect::NotThere),
            ("{}", Effect::NotThere),
            ("7", Effect::NotThere),
            (r#"{"k":["old"]}"#, Effect::NoText),
            (r#"{"k":7}"#, Effect::NoText),
            (r#"{"k":null}"#, Effect::NoText),
            (r#"{"k":"old","k":"old"}"#, Effect::Ambiguous),
            (r#"{"k":"old","\u006b":"old"}"#, Effect::Ambiguous),
            (r#"{"k":"OLD"}"#, Effect::Unchanged),
            (r#"{"k":""}"#, Effect::Unchanged),
        ] {
            assert_eq!(judged(text, "/k"), effect, "{text}");
            assert_eq!(apply(text, &rules("/k", &[("old", "new")])), None, "{text}");
        }
        assert_eq!(effect("", &Replacements::new(), &SecretValue::bytes(vec![0xff])), Effect::NoJson);
    }

    #[test]
    fn the_kind_of_a_value_stays() {
        let edits = rules("/k", &[("old", "new")]);
        let text = r#"{"k":"old"}"#;
        for value in [SecretValue::text(text.into()), SecretValue::fields(text.into()), SecretValue::bytes(text.into())]
        {
            let new = edited(&edits, &value).unwrap();
            assert_eq!((new.kind(), new.expose()), (value.kind(), br#"{"k":"new"}"#.as_slice()));
        }
    }

    #[test]
    fn a_rule_that_can_mean_nothing_is_refused() {
        let pair: Replacements = [("a".to_owned(), "b".to_owned())].into();
        for pointer in ["", "/", "/a~0~1", "/a/b"] {
            assert_eq!(edit_fault(pointer, &pair), None, "{pointer}");
        }
        for pointer in ["a", "host", "/a~", "/a~2b"] {
            assert!(edit_fault(pointer, &pair).is_some(), "{pointer}");
        }
        assert!(edit_fault("/a", &Replacements::new()).is_some());
        assert!(edit_fault("/a", &[(String::new(), "b".to_owned())].into()).is_some());
    }
}
