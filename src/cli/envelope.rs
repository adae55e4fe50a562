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

/// Fields that are written as they are read: the beginning of the object, then what `write` writes as an object.
pub(super) fn stream(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let beginning = {
        let mut state = state();
        state.stage = Stage::Open;
        format!("{}{},", state.beginning(), std::mem::take(&mut state.fields))
    };
    out.write_all(text::json(&beginning).as_bytes())?;
    let mut inner = Inner { out, is_begun: false, held: None };
    write(&mut inner)
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

/// An object without its braces.
struct Inner<'a> {
    out: &'a mut dyn Write,
    is_begun: bool,
    /// The last byte, which may be the closing brace.
    held: Option<u8>,
}

impl Write for Inner<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        if !self.is_begun && !rest.is_empty() {
            self.is_begun = true;
            rest = &rest[1..];
        }
        if let Some((last, before)) = rest.split_last() {
            if let Some(held) = self.held.replace(*last) {
                self.out.write_all(&[held])?;
            }
            self.out.write_all(before)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
