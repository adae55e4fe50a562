//! Lines that one reader of `.env` files reads back equal. Each is read before it counts; where no way of quoting comes back
//! equal, the name is refused and nothing is written for it.

use std::fmt;

use zeroize::Zeroizing;

use super::{Dialect, read};

/// A line that follows each candidate while it is tried: what swallows it is no good line.
const NEXT: &[u8] = b"LIFEBOAT_NEXT=1\n";
/// Bytes of a value that every reader takes without quotes.
const PLAIN: &[u8] = b"_./:@%+,=-";

/// A file for one reader. No Debug: it holds values.
#[derive(Default)]
pub struct Writing {
    /// The lines.
    pub bytes: Zeroizing<Vec<u8>>,
    /// How many names are in them.
    pub count: u64,
    /// The names that are not, and why.
    pub refused: Vec<(String, Unwritable)>,
}

/// Why a name is not written. It repeats no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// It is no name for this reader.
    Name(Dialect),
    /// The value has a NUL, which no environment can hold.
    Nul,
    /// No way of quoting is read back equal.
    Value(Dialect),
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(dialect) => write!(f, "it is no name of a variable for the dialect {dialect}"),
            Self::Nul => f.write_str("the value has a NUL byte, which no environment can hold"),
            Self::Value(dialect) => write!(f, "the dialect {dialect} would not read the value back equal"),
        }
    }
}

/// A way to write a value.
#[derive(Clone, Copy)]
enum Style {
    /// As it is.
    Bare,
    /// As it is, with `\n` for a line break.
    Sops,
    /// Between these quotes, as it is.
    Between(u8),
    /// Between these quotes, with these bytes written as these texts.
    Escaped(u8, &'static [(u8, &'static [u8])]),
    /// `export NAME='…'`, with `'\''` for a quote: exact for everything without a NUL.
    Shell,
}

/// The ways of a dialect, the ones that most readers share first.
fn styles(dialect: Dialect) -> &'static [Style] {
    use Style::{Bare, Between, Escaped, Shell, Sops};
    const BREAKS: &[(u8, &[u8])] = &[(b'\n', br"\n"), (b'\r', br"\r")];
    match dialect {
        Dialect::Dotenv => &[Between(b'\''), Between(b'"'), Escaped(b'"', BREAKS), Between(b'`'), Bare],
        Dialect::Node => &[Between(b'\''), Between(b'"'), Between(b'`'), Bare],
        Dialect::Python => &[
            Between(b'\''),
            Escaped(b'\'', &[(b'\\', br"\\"), (b'\'', br"\'")]),
            Escaped(b'"', &[(b'\\', br"\\"), (b'"', br#"\""#), (b'\n', br"\n"), (b'\r', br"\r")]),
            Bare,
        ],
        Dialect::Shell | Dialect::Direnv => &[Shell],
        Dialect::Compose => &[
            Between(b'\''),
            Escaped(b'\'', &[(b'\'', br"\'")]),
            Escaped(b'"', &[(b'\\', br"\\"), (b'"', br#"\""#), (b'$', b"$$"), (b'\n', br"\n"), (b'\r', br"\r")]),
        ],
        Dialect::Docker => &[Bare],
        Dialect::Systemd => {
            &[Between(b'\''), Escaped(b'"', &[(b'\\', br"\\"), (b'"', br#"\""#), (b'$', br"\$"), (b'`', br"\`")])]
        }
        Dialect::Sops => &[Sops],
    }
}

impl Style {
    fn line(self, name: &str, value: &[u8]) -> Zeroizing<Vec<u8>> {
        // The most that any style makes of a byte is four: a growing vector would leave unwiped copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(name.len() + 4 * value.len() + 16));
        if matches!(self, Self::Shell) {
            line.extend_from_slice(b"export ");
        }
        line.extend_from_slice(name.as_bytes());
        line.push(b'=');
        let quote = match self {
            Self::Bare | Self::Sops => None,
            Self::Between(quote) | Self::Escaped(quote, _) => Some(quote),
            Self::Shell => Some(b'\''),
        };
        line.extend(quote);
        let escapes: &[(u8, &[u8])] = match self {
            Self::Bare | Self::Between(_) => &[],
            Self::Sops => &[(b'\n', br"\n")],
            Self::Escaped(_, escapes) => escapes,
            Self::Shell => &[(b'\'', br"'\''")],
        };
        for byte in value {
            match escapes.iter().find(|(from, _)| from == byte) {
                Some((_, to)) => line.extend_from_slice(to),
                None => line.push(*byte),
            }
        }
        line.extend(quote);
        line.push(b'\n');
        line
    }
}

/// Writes names and values so that `dialect` reads them back equal.
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>, dialect: Dialect) -> Writing {
    let mut writing = Writing::default();
    for (name, value) in pairs {
        match line(name, value, dialect) {
            Ok(line) => {
                let mut bytes = Zeroizing::new(Vec::with_capacity(writing.bytes.len() + line.len()));
                bytes.extend_from_slice(&writing.bytes);
                bytes.extend_from_slice(&line);
                writing.bytes = bytes;
                writing.count += 1;
            }
            Err(why) => writing.refused.push((name.to_owned(), why)),
        }
    }
    writing
}

/// The line, with its line break, by which `dialect` gets the value.
///
/// # Errors
/// [`Unwritable`].
pub fn line(name: &str, value: &[u8], dialect: Dialect) -> Result<Zeroizing<Vec<u8>>, Unwritable> {
    if !dialect.is_name(name) {
        return Err(Unwritable::Name(dialect));
    }
    if value.contains(&0) {
        return Err(Unwritable::Nul);
    }
    let is_plain = value.iter().all(|byte| byte.is_ascii_alphanumeric() || PLAIN.contains(byte));
    let bare: &[Style] =
        if is_plain && !matches!(dialect, Dialect::Shell | Dialect::Direnv) { &[Style::Bare] } else { &[] };
    // Some readers take a quote inside the same quotes. Most do not, so that is the last way.
    let holds_its_quote = |style: &&Style| matches!(style, Style::Between(quote) if value.contains(quote));
    let (last, first): (Vec<&Style>, Vec<&Style>) = styles(dialect).iter().partition(holds_its_quote);
    let mut lines = bare.iter().chain(first).chain(last).map(|style| style.line(name, value));
    lines.find(|line| comes_back(line, name, value, dialect)).ok_or(Unwritable::Value(dialect))
}

/// Whether the reader gets exactly this, and then goes on with the next line.
fn comes_back(line: &[u8], name: &str, value: &[u8], dialect: Dialect) -> bool {
    let mut tried = Zeroizing::new(Vec::with_capacity(line.len() + NEXT.len()));
    tried.extend_from_slice(line);
    tried.extend_from_slice(NEXT);
    let reading = read(&tried, dialect);
    let [pair, next] = &reading.pairs[..] else { return false };
    reading.faults.is_empty()
        && pair.caveat.is_none()
        && (pair.name.as_str(), &**pair.value) == (name, value)
        && (next.name.as_str(), &**next.value) == ("LIFEBOAT_NEXT", b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str, dialect: Dialect) -> Option<String> {
        line("A", value.as_bytes(), dialect).ok().map(|line| String::from_utf8(line.to_vec()).unwrap())
    }

    #[test]
    fn each_dialect_quotes_in_its_own_way() {
        for (value, dialect, expected) in [
            ("plain", Dialect::Dotenv, Some("A=plain\n")),
            ("", Dialect::Docker, Some("A=\n")),
            ("a b", Dialect::Dotenv, Some("A='a b'\n")),
            ("it's", Dialect::Dotenv, Some("A=\"it's\"\n")),
            ("it's", Dialect::Shell, Some("export A='it'\\''s'\n")),
            ("it's", Dialect::Compose, Some("A='it\\'s'\n")),
            ("a$b", Dialect::Compose, Some("A='a$b'\n")),
            ("a b", Dialect::Docker, Some("A=a b\n")),
            ("a\nb", Dialect::Docker, None),
            ("'a'", Dialect::Docker, None),
            ("a\nb", Dialect::Sops, Some("A=a\\nb\n")),
            (r"a\nb", Dialect::Sops, None),
            ("${x}", Dialect::Python, None),
            ("a'\"`b", Dialect::Node, Some("A=a'\"`b\n")),
            (r"back\slash", Dialect::Python, Some("A='back\\slash'\n")),
        ] {
            assert_eq!(text(value, dialect).as_deref(), expected, "{value:?} {dialect}");
        }
    }

    #[test]
    fn what_is_refused_is_named_and_the_others_are_there() {
        let pairs: [(&str, &[u8]); 5] = [("A", b"1"), ("B.C", b"2"), ("D", b"a\0b"), ("E", b"x\ny"), ("F", b"6")];
        let written = write(pairs, Dialect::Docker);
        assert_eq!((written.count, &**written.bytes), (3, &b"A=1\nB.C=2\nF=6\n"[..]));
        assert_eq!(
            written.refused,
            [("D".to_owned(), Unwritable::Nul), ("E".to_owned(), Unwritable::Value(Dialect::Docker))]
        );
        let written = write(pairs, Dialect::Systemd);
        assert_eq!(written.refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["B.C", "D"]);
        assert!(!written.refused.iter().any(|(_, why)| why.to_string().contains('\0')));
    }

    #[test]
    fn any_bytes_come_back_or_are_refused() {
        use proptest::prelude::*;
        let alphabet = prop::sample::select(
            br#"aZ0 	'"`\$#={}();&|<>*!~%
e"#
            .to_vec(),
        );
        let values = prop::collection::vec(prop_oneof![alphabet, any::<u8>()], 0..24);
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) };
        proptest!(config, |(all in prop::collection::vec(values, 1..6))| {
            for dialect in Dialect::ALL {
                let names: Vec<String> = (0..all.len()).map(|number| format!("V{number}")).collect();
                let written = write(names.iter().map(String::as_str).zip(all.iter().map(Vec::as_slice)), dialect);
                let reading = read(&written.bytes, dialect);
                prop_assert!(reading.faults.is_empty() && reading.pairs.len() as u64 == written.count, "{dialect}");
                for pair in &reading.pairs {
                    let at: usize = pair.name[1..].parse().unwrap();
                    prop_assert!(**pair.value == *all[at] && pair.caveat.is_none(), "{dialect} {:?}", all[at]);
                }
            }
        });
    }
}
