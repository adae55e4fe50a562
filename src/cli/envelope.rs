//! With `--json` stdout is one object: what ran, how it ended, what was found, then the command's own fields.
//!
//! The end of a command is known last, so its fields wait here; those that may not fit in memory are written at once, in the
//! middle of the object.

use std::{
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value as Json, json};

use super::{Exit, streams};
use crate::text;

/// More warnings than these are counted, not kept.
const MOST_FINDINGS: usize = 1_000;

static STATE: Mutex<State> = Mutex::new(State::new());

struct State {
    /// `drill run`; empty before the arguments are understood.
    command: String,
    /// The fields, without the braces.
    fields: String,
    stage: Stage,
    findings: Vec<Json>,
    more: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was written.
    Waiting,
    /// The beginning and fields were written.
    Open,
    /// It is complete.
    Sent,
}

impl State {
    const fn new() -> Self {
        Self { command: String::new(), fields: String::new(), stage: Stage::Waiting, findings: Vec::new(), more: 0 }
    }

    /// `"schema":…,"command":…,`
    fn beginning(&self) -> String {
        let schema =
            format!("lifeboat/{}/1", if self.command.is_empty() { "usage" } else { &self.command }.replace(' ', "-"));
        format!("{{\"schema\":{},\"command\":{}", json!(schema), json!(self.command))
    }

    fn end(&self, exit: Exit) -> String {
        let mut findings = self.findings.clone();
        if self.more > 0 {
            findings.push(json!({ "text": format!("and {} more", self.more) }));
        }
        format!(",\"outcome\":{},\"exit\":{},\"findings\":{}}}\n", json!(exit.name()), exit as u8, json!(findings))
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which command it is.
pub(super) fn begin(command: String) {
    state().command = command;
}

/// Which command it is: `drill run`.
pub(super) fn command() -> String {
    state().command.clone()
}

/// Something that was found: an object with a `text`.
pub(super) fn finding(found: Json) {
    let mut state = state();
    if state.findings.len() < MOST_FINDINGS {
        state.findings.push(found);
    } else {
        state.more += 1;
    }
}

/// Fields of the object, as serde made an object of them.
pub(super) fn add(object: &str) {
    let fields = object.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    if !fields.is_empty() {
        let mut state = state();
        state.fields.push(',');
        state.fields.push_str(fields);
    }
}

/// Fields that are written as they are read: the beginning of the object, then what `write` writes as an object. Where that ends
/// in the middle of it, what is open is closed, so that the whole is an object all the same; its `error` says why.
pub(super) fn stream(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let beginning = {
        let mut state = state();
        state.stage = Stage::Open;
        format!("{}{}", state.beginning(), std::mem::take(&mut state.fields))
    };
    out.write_all(text::json(&beginning).as_bytes())?;
    write(&mut Inner { out, is_begun: false, place: Place::default(), is_lost: false })
}

/// The whole object now, before the command ends: for one that runs until it is stopped.
pub(super) fn send() {
    finish(Exit::Complete);
}

/// Ends the object, once.
pub(super) fn finish(exit: Exit) {
    let whole = {
        let mut state = state();
        let whole = match state.stage {
            Stage::Waiting => format!("{}{}{}", state.beginning(), state.fields, state.end(exit)),
            Stage::Open => format!("{}{}", state.fields, state.end(exit)),
            Stage::Sent => return,
        };
        state.stage = Stage::Sent;
        whole
    };
    streams::print(text::json(&whole).as_bytes());
}

/// An object without its braces, ended whenever it is dropped, also by a panic.
struct Inner<'a> {
    out: &'a mut dyn Write,
    is_begun: bool,
    place: Place,
    /// Whether a write failed: then nobody reads on.
    is_lost: bool,
}

/// Where in a JSON text its writer is, between two writes of serde_json, which writes escapes, numbers and words in one.
#[derive(Default)]
struct Place {
    /// What closes what is open, the outermost first.
    closers: Vec<u8>,
    in_string: bool,
    is_escaped: bool,
    /// Whether the newest string is a key.
    is_key: bool,
    /// The last byte that was no part of a string.
    last: u8,
}

impl Place {
    fn see(&mut self, byte: u8) {
        if self.in_string {
            (self.in_string, self.is_escaped) = (self.is_escaped || byte != b'"', !self.is_escaped && byte == b'\\');
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.is_key = self.closers.last() == Some(&b'}') && matches!(self.last, b'{' | b',');
            }
            b'{' => self.closers.push(b'}'),
            b'[' => self.closers.push(b']'),
            b'}' | b']' => drop(self.closers.pop()),
            _ => {}
        }
        self.last = byte;
    }

    /// What makes a whole object of what was written, without the outermost brace.
    fn rest(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        if self.in_string {
            rest.push(b'"');
        }
        match self.last {
            b'"' if self.is_key => rest.extend(b":null"),
            b':' => rest.extend(b"null"),
            b',' if self.closers.last() == Some(&b']') => rest.extend(b"null"),
            b',' => rest.extend(b"\"\":null"),
            _ => {}
        }
        rest.extend(self.closers.iter().skip(1).rev());
        rest
    }
}

impl Inner<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let comma: &[u8] = if self.is_begun { b"" } else { b"," };
        self.is_begun = true;
        let written = self.out.write_all(comma).and_then(|()| self.out.write_all(bytes));
        self.is_lost |= written.is_err();
        written
    }
}

impl Write for Inner<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut within = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let is_outer = self.place.closers.is_empty();
            self.place.see(*byte);
            if !is_outer && !self.place.closers.is_empty() {
                within.push(*byte);
            }
        }
        self.put(&within)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Inner<'_> {
    fn drop(&mut self) {
        // Before the first byte and after the last one nothing is open.
        if !self.is_lost && !self.place.closers.is_empty() {
            let rest = self.place.rest();
            let _ = self.put(&rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Serialize, Serializer, ser::Error as _, ser::SerializeMap as _};

    use super::*;

    const WHOLE: &str = r#"{"a\"{":[{"b":"c\\","d":[1,-2.5e3]},[],{}],"e":{"f":null,"g]":true},"h":"é, \u001b"}"#;

    /// What becomes of an object of which only the beginning is written.
    fn streamed(begun: &[&[u8]]) -> Json {
        let mut out = b"{\"schema\":1".to_vec();
        let mut inner = Inner { out: &mut out, is_begun: false, place: Place::default(), is_lost: false };
        for part in begun {
            inner.write_all(part).unwrap();
        }
        drop(inner);
        out.extend(b",\"exit\":1}");
        let text = String::from_utf8(out).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn an_object_that_is_cut_anywhere_is_an_object() {
        let (mut cuts, mut place) = (0, Place::default());
        for (at, byte) in WHOLE.bytes().enumerate() {
            // serde_json writes no half of a character, escape, number or word.
            let (before, after) = WHOLE.as_bytes().split_at(at);
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            let after_word = !place.in_string && before.last().is_some_and(is_word);
            let is_within = place.is_escaped || before.ends_with(b"\\u") || !WHOLE.is_char_boundary(at);
            let is_hex = before.iter().rev().take(5).any(|byte| *byte == b'u') && place.in_string;
            if !(is_within || is_hex || after_word) {
                let told = streamed(&[before]);
                assert_eq!((&told["schema"], &told["exit"]), (&1.into(), &1.into()), "{told}");
                let both = streamed(&[before, after]);
                assert_eq!(both["h"], "é, \u{1b}", "{both}");
                cuts += 1;
            }
            place.see(byte);
        }
        assert!(cuts > 50, "{cuts}");
        assert_eq!(streamed(&[b"{}"]), json!({ "schema": 1, "exit": 1 }));
        assert_eq!(streamed(&[]), json!({ "schema": 1, "exit": 1 }));
    }

    /// Fails after so many entries.
    struct Failing(u32);

    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for number in 0..self.0 {
                map.serialize_entry(&number.to_string(), &[number, 1])?;
            }
            map.serialize_entry("last", &Cut)?;
            map.end()
        }
    }

    struct Cut;

    impl Serialize for Cut {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("it is damaged"))
        }
    }

    #[test]
    fn what_fails_in_the_middle_leaves_what_was_written() {
        for entries in 0..3 {
            let mut text = Vec::new();
            assert!(serde_json::to_writer(&mut text, &Failing(entries)).is_err());
            let told = streamed(&[&text]);
            assert_eq!(told["last"], Json::Null, "{told}");
            assert_eq!(u32::try_from(told.as_object().unwrap().len()).unwrap(), entries + 3, "{told}");
        }
    }
}
