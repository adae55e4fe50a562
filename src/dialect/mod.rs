//! What the readers of `.env` files make of the same bytes. There is no one format: each reader has its own.
//!
//! Pure: bytes in, pairs out. Nothing is executed and nothing is expanded. A line that a reader misreads is a fault with
//! the number of the line, never its text, and does not lose the others.

mod compose;
mod lines;
mod node;
mod npm;
mod python;
mod shell;
mod systemd;
mod write;

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

pub use write::{Unwritable, Writing, line, write};

/// A reader of `.env` files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// The package dotenv of npm, version 16 and later; nothing is expanded.
    #[default]
    Dotenv,
    /// `node --env-file`.
    Node,
    /// The package python-dotenv; it expands `${NAME}`, in single quotes too.
    Python,
    /// bash, by `set -a; . FILE`: the file is a program.
    Shell,
    /// Docker Compose (compose-go).
    Compose,
    /// `docker run --env-file`: a line is a pair, and quotes belong to the value.
    Docker,
    /// systemd's `EnvironmentFile=`.
    Systemd,
    /// The dotenv store of sops: a line is a pair, and `\n` is a line break.
    Sops,
    /// direnv's `.envrc`, a program for bash.
    Direnv,
}

/// What a reader makes of a file. No Debug: it holds values.
#[derive(Default)]
pub struct Reading {
    /// The pairs in the order of the file; of a name that is there twice, the last one counts.
    pub pairs: Vec<Pair>,
    /// The lines that are not read, or not read as they look.
    pub faults: Vec<Fault>,
}

/// One name with its value. No Debug, Clone or Serialize; the value is wiped on drop.
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value without its quotes and escapes; references to variables are left as they stand.
    pub value: Zeroizing<Vec<u8>>,
    /// The line it begins on, from 1.
    pub line: usize,
    /// Why an application may get something else.
    pub caveat: Option<Caveat>,
}

/// Why the value an application gets may be another one than [`Pair::value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// The reader puts something in the place of a variable or a command.
    Expanded,
    /// Releases of the reader differ: some take the quotes off.
    Varies,
}

/// A line that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// There is a name and no `=`: some readers take the value from their own environment, others misread what follows.
    NoValue,
    /// What stands before the `=` is no name for this reader.
    Name,
    /// A quote has no end.
    Unterminated,
    /// Something follows the value that is neither a comment nor the end of the line.
    Trailing,
    /// The shell runs a command here, or fails.
    Command,
    /// The value is not UTF-8, and this reader needs that.
    NotUtf8,
    /// There is a NUL byte, which no environment can hold.
    Nul,
    /// The file is in UTF-16.
    Utf16,
    /// The file begins with a byte order mark, which this reader takes for a part of the first name.
    ByteOrderMark,
}

impl Dialect {
    /// Every one, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Dotenv,
        Self::Node,
        Self::Python,
        Self::Shell,
        Self::Compose,
        Self::Docker,
        Self::Systemd,
        Self::Sops,
        Self::Direnv,
    ];

    /// As the command line names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dotenv => "dotenv",
            Self::Node => "node",
            Self::Python => "python",
            Self::Shell => "shell",
            Self::Compose => "compose",
            Self::Docker => "docker",
            Self::Systemd => "systemd",
            Self::Sops => "sops",
            Self::Direnv => "direnv",
        }
    }

    /// Whether a byte order mark at the beginning is passed over.
    fn skips_mark(self) -> bool {
        matches!(self, Self::Dotenv | Self::Python | Self::Compose | Self::Docker)
    }

    /// Whether a value may be any bytes.
    fn takes_bytes(self) -> bool {
        matches!(self, Self::Shell | Self::Direnv | Self::Sops)
    }

    /// Whether this reader takes `name` for one.
    pub fn is_name(self, name: &str) -> bool {
        let identifier = || {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        !name.is_empty()
            && match self {
                Self::Dotenv => name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)),
                Self::Shell | Self::Direnv | Self::Systemd => identifier(),
                Self::Compose => name.chars().all(|c| c.is_alphanumeric() || "_.-[]".contains(c)),
                Self::Node | Self::Python | Self::Docker | Self::Sops => {
                    !name.chars().any(|c| c.is_whitespace() || c.is_control() || "=#".contains(c))
                }
            }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a reader that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a dialect of .env files")]
pub struct NoDialect(String);

impl FromStr for Dialect {
    type Err = NoDialect;

    fn from_str(text: &str) -> Result<Self, NoDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text).ok_or_else(|| NoDialect(text.to_owned()))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoValue => "there is no =",
            Self::Name => "the name is not valid",
            Self::Unterminated => "a quote has no end",
            Self::Trailing => "something follows the value",
            Self::Command => "the shell would run a command",
            Self::NotUtf8 => "the value is not UTF-8",
            Self::Nul => "there is a NUL byte",
            Self::Utf16 => "the file is in UTF-16",
            Self::ByteOrderMark => "the file begins with a byte order mark",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

impl Reading {
    /// The pair that counts for a name: the last one.
    pub fn get(&self, name: &str) -> Option<&Pair> {
        self.pairs.iter().rev().find(|pair| pair.name == name)
    }

    /// The pairs that count, in the order of the file: of each name the last one.
    pub fn effective(&self) -> Vec<&Pair> {
        let mut seen = std::collections::BTreeSet::new();
        let mut pairs: Vec<&Pair> = self.pairs.iter().rev().filter(|pair| seen.insert(&pair.name)).collect();
        pairs.reverse();
        pairs
    }
}

/// Reads a file as a reader would.
pub fn read(bytes: &[u8], dialect: Dialect) -> Reading {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Reading { pairs: Vec::new(), faults: vec![Fault { line: 1, kind: FaultKind::Utf16 }] };
    }
    let marked = bytes.strip_prefix("\u{feff}".as_bytes());
    let text = Text::new(marked.unwrap_or(bytes));
    let mut found = Found { dialect, reading: Reading::default() };
    if marked.is_some() && !dialect.skips_mark() {
        found.fault(1, FaultKind::ByteOrderMark);
    }
    match dialect {
        Dialect::Dotenv => npm::read(&text, &mut found),
        Dialect::Node => node::read(&text, &mut found),
        Dialect::Python => python::read(&text, &mut found),
        Dialect::Shell | Dialect::Direnv => shell::read(text, &mut found),
        Dialect::Compose => compose::read(text, &mut found),
        Dialect::Docker => lines::docker(text, &mut found),
        Dialect::Systemd => systemd::read(text, &mut found),
        Dialect::Sops => lines::sops(text, &mut found),
    }
    found.reading
}

/// What has been found so far.
struct Found {
    dialect: Dialect,
    reading: Reading,
}

impl Found {
    fn fault(&mut self, line: usize, kind: FaultKind) {
        self.reading.faults.push(Fault { line, kind });
    }

    /// A pair, if it is one for this reader.
    fn pair(&mut self, line: usize, name: &[u8], value: Zeroizing<Vec<u8>>, caveat: Option<Caveat>) {
        let name = std::str::from_utf8(name).ok().filter(|name| self.dialect.is_name(name));
        let kind = match name {
            _ if value.contains(&0) => FaultKind::Nul,
            None => FaultKind::Name,
            Some(_) if !self.dialect.takes_bytes() && std::str::from_utf8(&value).is_err() => FaultKind::NotUtf8,
            Some(name) => return self.reading.pairs.push(Pair { name: name.to_owned(), value, line, caveat }),
        };
        self.fault(line, kind);
    }
}

/// Bytes and a position among them.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The line of `counted`.
    line: usize,
    counted: usize,
}

impl<'a> Text<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1, counted: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Goes on while `is` holds; what was passed.
    fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The rest of the line without its end; the position is then behind the line break.
    fn take_line(&mut self) -> &'a [u8] {
        let line = self.take_while(|byte| byte != b'\n');
        self.next();
        line
    }

    /// The number of the line at the position, which never goes back.
    fn line(&mut self) -> usize {
        let end = self.at.min(self.bytes.len());
        if end > self.counted {
            self.line += count_breaks(&self.bytes[self.counted..end]);
            self.counted = end;
        }
        self.line
    }
}

fn count_breaks(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

/// A space or a tab, not a line break.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r')
}

fn is_space(byte: u8) -> bool {
    byte == b'\n' || is_blank(byte)
}

/// Without the white space around it, of any script where the bytes are text.
fn trimmed(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').as_bytes(),
        Err(_) => bytes.trim_ascii(),
    }
}

/// The same at the end alone.
fn trimmed_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_end().as_bytes(),
        Err(_) => bytes.trim_ascii_end(),
    }
}

/// How long what is between quotes can be: up to the next quote that no backslash escapes. Room for it is made at once, so
/// that no buffer grows and leaves a copy behind.
fn room(quoted: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < quoted.len() && quoted[at] != quote {
        at += if quoted[at] == b'\\' { 2 } else { 1 };
    }
    at.min(quoted.len())
}

/// A wiped copy.
fn kept(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}

/// A wiped copy in which every `\r\n`, and every `\r` where `alone`, is `\n`.
fn with_plain_breaks(bytes: &[u8], alone: bool) -> Zeroizing<Vec<u8>> {
    // The exact capacity: a growing vector would leave unwiped copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\r' if alone => plain.push(b'\n'),
            byte => plain.push(*byte),
        }
    }
    plain
}

/// A wiped copy with every `from` of two bytes as `to`, read from the left.
fn replaced(bytes: &[u8], pairs: &[(&[u8; 2], u8)]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut at = 0;
    while at < bytes.len() {
        if let Some((_, to)) = pairs.iter().find(|(from, _)| bytes[at..].starts_with(&from[..])) {
            plain.push(*to);
            at += 2;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    plain
}
