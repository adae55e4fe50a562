//! systemd's `EnvironmentFile=` (`src/basic/env-file.c`, systemd.exec(5)): a state machine over bytes.

use zeroize::Zeroizing;

use super::{FaultKind, Found, Text};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeName,
    Name,
    BeforeValue,
    Value,
    Escape,
    Single,
    Double,
    DoubleEscape,
    Comment,
    CommentEscape,
}

/// The pair that is being read.
struct Half {
    line: usize,
    name: Vec<u8>,
    value: Zeroizing<Vec<u8>>,
    /// The length of the value without the white space at its end.
    solid: usize,
}

pub(super) fn read(mut text: Text<'_>, found: &mut Found) {
    let mut state = State::BeforeName;
    let mut half = Half::new(text.bytes.len());
    let is_break = |byte: u8| byte == b'\n' || byte == b'\r';
    while let Some(byte) = text.peek() {
        let line = text.line();
        text.next();
        state = match state {
            State::BeforeName if b"#;".contains(&byte) => State::Comment,
            State::BeforeName if is_white(byte) => State::BeforeName,
            State::BeforeName => {
                half.line = line;
                half.name.push(byte);
                State::Name
            }
            State::Name if is_break(byte) => {
                found.fault(half.line, FaultKind::NoValue);
                half.name.clear();
                State::BeforeName
            }
            State::Name if byte == b'=' => State::BeforeValue,
            State::Name => {
                half.name.push(byte);
                State::Name
            }
            State::BeforeValue | State::Value if is_break(byte) => {
                half.push(found, state == State::Value);
                State::BeforeName
            }
            State::BeforeValue if byte == b'\'' => State::Single,
            State::BeforeValue if byte == b'"' => State::Double,
            State::BeforeValue | State::Value if byte == b'\\' => State::Escape,
            State::BeforeValue if is_white(byte) => State::BeforeValue,
            State::BeforeValue | State::Value => half.add(byte, is_white(byte)),
            State::Escape if is_break(byte) => half.keep_all(),
            State::Escape => half.add(byte, false),
            State::Single if byte == b'\'' => State::BeforeValue,
            State::Double if byte == b'"' => State::BeforeValue,
            State::Double if byte == b'\\' => State::DoubleEscape,
            State::Single | State::Double => {
                half.value.push(byte);
                state
            }
            State::DoubleEscape => {
                if !b"\"\\`$\n".contains(&byte) {
                    half.value.push(b'\\');
                }
                if byte != b'\n' {
                    half.value.push(byte);
                }
                State::Double
            }
            State::Comment if byte == b'\\' => State::CommentEscape,
            State::Comment | State::CommentEscape if is_break(byte) => State::BeforeName,
            State::Comment | State::CommentEscape => State::Comment,
        };
    }
    match state {
        State::Single | State::Double | State::DoubleEscape => found.fault(half.line, FaultKind::Unterminated),
        State::Name => found.fault(half.line, FaultKind::NoValue),
        State::BeforeValue | State::Value | State::Escape => half.push(found, state == State::Value),
        State::BeforeName | State::Comment | State::CommentEscape => {}
    }
}

impl Half {
    fn new(room: usize) -> Self {
        Self { line: 1, name: Vec::new(), value: Zeroizing::new(Vec::with_capacity(room)), solid: 0 }
    }

    fn add(&mut self, byte: u8, is_white: bool) -> State {
        self.value.push(byte);
        if is_white { State::Value } else { self.keep_all() }
    }

    fn keep_all(&mut self) -> State {
        self.solid = self.value.len();
        State::Value
    }

    fn push(&mut self, found: &mut Found, is_open: bool) {
        let end = if is_open { self.solid } else { self.value.len() };
        let name = self.name.trim_ascii_end();
        found.pair(self.line, name, Zeroizing::new(self.value[..end].to_vec()), None);
        self.name.clear();
        zeroize::Zeroize::zeroize(&mut self.value[..]);
        self.value.clear();
        self.solid = 0;
    }
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
