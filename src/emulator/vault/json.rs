//! JSON as the server reads and writes it: what it keeps, changes and refuses of a request's text.
//!
//! A value that goes in and comes out is not the same bytes: keys are sorted, the last of two equal keys counts, what is not
//! UTF-8 becomes U+FFFD, and KV version 2 takes every number for a float. Tests of a backup need exactly that.

use std::{collections::BTreeMap, fmt::Write as _};

/// Strings in one request, keys and values together; OpenBao's `max_request_json_strings`.
const MOST_STRINGS: usize = 1000;
/// Levels below one another; past it the reader stops, and so does the server.
const DEEPEST: usize = 10_000;

/// A JSON value. Numbers keep their text.
#[derive(Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Fields(Fields),
}

pub(super) type Fields = BTreeMap<String, Node>;

/// Whether numbers keep their text or are floats by now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Exact,
    Floats,
}

impl Node {
    /// Reads one value, or says in the server's words why it is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader { text: &text, at: 0, strings: 0 };
        let node = reader.value(0)?;
        reader.space();
        match reader.peek() {
            None => Ok(node),
            Some(found) => Err(unexpected(found, "looking for beginning of value")),
        }
    }

    pub(super) fn fields(&self) -> Option<&Fields> {
        match self {
            Self::Fields(fields) => Some(fields),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What the server's messages call its type.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Number(_) => "json.Number",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Fields(_) => "map[string]interface {}",
        }
    }

    /// Its text, as the server writes it; `None`: a number that is no float.
    pub(super) fn write(&self, numbers: Numbers) -> Option<String> {
        let mut out = String::new();
        self.write_into(&mut out, numbers)?;
        Some(out)
    }

    fn write_into(&self, out: &mut String, numbers: Numbers) -> Option<()> {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
            Self::Number(text) if numbers == Numbers::Exact => out.push_str(text),
            Self::Number(text) => out.push_str(&float(text)?),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                out.push('[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    item.write_into(out, numbers)?;
                }
                out.push(']');
            }
            Self::Fields(fields) => {
                out.push('{');
                for (position, (key, item)) in fields.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    quote(key, out);
                    out.push(':');
                    item.write_into(out, numbers)?;
                }
                out.push('}');
            }
        }
        Some(())
    }

    /// The first number that is no float.
    pub(super) fn beyond_floats(&self) -> Option<&str> {
        match self {
            Self::Number(text) if float(text).is_none() => Some(text),
            Self::List(items) => items.iter().find_map(Self::beyond_floats),
            Self::Fields(fields) => fields.values().find_map(Self::beyond_floats),
            _ => None,
        }
    }
}

/// A number as Go writes the float that it is.
fn float(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return Some(if text.contains("e-") { text } else { text.replace('e', "e+") });
    }
    Some(number.to_string())
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0}'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The text of a string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote(text, &mut out);
    out
}

fn unexpected(found: char, place: &str) -> String {
    format!("failed to decode JSON input: invalid character '{found}' {place}")
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    strings: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Result<char, String> {
        let next = self.peek().ok_or("failed to decode JSON input: unexpected EOF")?;
        self.at += next.len_utf8();
        Ok(next)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEEPEST {
            return Err("failed to decode JSON input: exceeded max depth".into());
        }
        self.space();
        let first = self.next()?;
        match first {
            '{' => self.object(depth),
            '[' => self.list(depth),
            '"' => self.string().map(Node::Text),
            't' => self.word("rue", Node::Bool(true)),
            'f' => self.word("alse", Node::Bool(false)),
            'n' => self.word("ull", Node::Null),
            '-' | '0'..='9' => self.number(),
            other => Err(unexpected(other, "looking for beginning of value")),
        }
    }

    fn word(&mut self, rest: &str, node: Node) -> Result<Node, String> {
        for expected in rest.chars() {
            let found = self.next()?;
            if found != expected {
                return Err(unexpected(found, &format!("in literal (expecting '{expected}')")));
            }
        }
        Ok(node)
    }

    fn number(&mut self) -> Result<Node, String> {
        let start = self.at - 1;
        while matches!(self.peek(), Some('0'..='9' | '.' | 'e' | 'E' | '+' | '-')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        // A grammar that is known to be right reads it.
        let is_number = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        if is_number { Ok(Node::Number(text.to_owned())) } else { Err(unexpected('.', "in numeric literal")) }
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Node::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.next()? {
                ',' => {}
                ']' => return Ok(Node::List(items)),
                other => return Err(unexpected(other, "after array element")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, String> {
        let mut fields = Fields::new();
        self.space();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Node::Fields(fields));
        }
        loop {
            self.space();
            match self.next()? {
                '"' => {}
                other => return Err(unexpected(other, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            self.space();
            match self.next()? {
                ':' => {}
                other => return Err(unexpected(other, "after object key")),
            }
            let value = self.value(depth + 1)?;
            fields.insert(key, value);
            self.space();
            match self.next()? {
                ',' => {}
                '}' => return Ok(Node::Fields(fields)),
                other => return Err(unexpected(other, "after object key:value pair")),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.strings += 1;
        if self.strings > MOST_STRINGS {
            return Err("refused JSON input due to high complexity: exceeded maximum number of strings".into());
        }
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Ok(text),
                '\\' => self.escape(&mut text)?,
                c if c < ' ' => return Err(unexpected(c, "in string literal")),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        text.push(match self.next()? {
            c @ ('"' | '\\' | '/') => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.unit()?;
                let is_pair = (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u");
                let start = self.at;
                let low = if is_pair {
                    self.at += 2;
                    self.unit().ok().filter(|low| (0xdc00..0xe000).contains(low))
                } else {
                    None
                };
                let found = if let Some(low) = low {
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                } else {
                    // Half of a pair is U+FFFD; what follows it stands for itself.
                    self.at = start;
                    char::from_u32(high)
                };
                found.unwrap_or('\u{fffd}')
            }
            other => return Err(unexpected(other, "in string escape code")),
        });
        Ok(())
    }

    fn unit(&mut self) -> Result<u32, String> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next()?;
            let digit = digit.to_digit(16).ok_or_else(|| unexpected(digit, "in \\u hexadecimal character escape"))?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &str, numbers: Numbers) -> String {
        Node::parse(text.as_bytes()).map_or_else(|error| error, |node| node.write(numbers).unwrap_or_default())
    }

    #[test]
    fn what_comes_out_is_what_the_server_makes_of_it() {
        let text = r#" {"z":1,"a":2,"z":3,"s":"<&>\u2028\u0000\ud800 é\ud83d\ude00\ud800\u0041"} "#;
        let out = "{\"a\":2,\"s\":\"\\u003c\\u0026\\u003e\\u2028\\u0000\u{fffd} é😀\u{fffd}A\",\"z\":3}";
        assert_eq!(through(text, Numbers::Exact), out);
        assert_eq!(Node::parse(b"\"\xff\xfe\"").ok().unwrap().text(), Some("\u{fffd}\u{fffd}"));
    }

    #[test]
    fn numbers_are_exact_or_floats_as_go_writes_them() {
        for (exact, float) in [
            ("9007199254740993", "9007199254740992"),
            ("1.10", "1.1"),
            ("-0", "-0"),
            ("12345678901234567890", "12345678901234567000"),
            ("1e21", "1e+21"),
            ("0.0000001", "1e-7"),
            ("1E5", "100000"),
            ("123456.0", "123456"),
            ("1e20", "100000000000000000000"),
        ] {
            assert_eq!(through(exact, Numbers::Exact), exact);
            assert_eq!(through(exact, Numbers::Floats), float);
        }
        assert_eq!(Node::parse(b"{\"a\":[1,1e400]}").ok().unwrap().beyond_floats(), Some("1e400"));
    }

    #[test]
    fn what_is_no_json_is_refused_in_the_servers_words() {
        for (text, words) in [
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{\"a\":1", "unexpected EOF"),
            ("{} x", "invalid character 'x' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{a:1}", "looking for beginning of object key string"),
            ("tru", "unexpected EOF"),
            ("01", "invalid character"),
            ("\"\\x\"", "in string escape code"),
        ] {
            assert!(through(text, Numbers::Exact).contains(words), "{text}: {}", through(text, Numbers::Exact));
        }
    }

    #[test]
    fn a_thousand_strings_are_the_most() {
        let fields = |count: usize| {
            let fields: Vec<String> = (0..count).map(|n| format!("\"k{n}\":\"v\"")).collect();
            format!("{{\"data\":{{{}}}}}", fields.join(","))
        };
        assert!(Node::parse(fields(499).as_bytes()).is_ok());
        let refused = Node::parse(fields(500).as_bytes()).err().unwrap();
        assert!(refused.ends_with("exceeded maximum number of strings"), "{refused}");
    }
}
