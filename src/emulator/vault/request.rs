//! Requests: what the path, the query and the body of one say, and what is refused before anybody looks at its token.

use std::collections::BTreeMap;

use super::{
    answer::Answer,
    json::{Fields, Node},
};

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    List,
    Scan,
    /// Creates or updates; which of the two decides what is there.
    Write,
    Patch,
    Delete,
}

/// One request, read.
pub(super) struct Request {
    pub(super) operation: Operation,
    /// Without `/v1/`; a listing's ends in `/`.
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Fields,
    /// Of the header; empty is the root.
    pub(super) namespace: String,
    pub(super) token: String,
}

/// One request, as it came.
pub(super) struct Raw<'a> {
    pub(super) method: &'a str,
    /// Escaped.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) content_type: &'a str,
    pub(super) namespace: &'a str,
    pub(super) token: &'a str,
    pub(super) body: &'a [u8],
}

const MERGE: &str = "application/merge-patch+json";

impl Request {
    pub(super) fn read(raw: &Raw<'_>) -> Result<Self, Answer> {
        if let Some(clean) = cleaned(raw.path) {
            let query = if raw.query.is_empty() { String::new() } else { format!("?{}", raw.query) };
            let location = format!("{clean}{query}");
            let mut answer = Answer::empty(307);
            if raw.method == "GET" {
                answer.body = format!("<a href=\"{location}\">Temporary Redirect</a>.\n\n").into_bytes();
            }
            return Err(answer.with("location", location));
        }
        let Some(path) = unescaped(raw.path, false) else { return Err(Answer::empty(400)) };
        let Ok(path) = String::from_utf8(path) else {
            return Err(Answer::listed(500, &["string field contains invalid UTF-8".to_owned()]));
        };
        if path.chars().any(|c| !is_printable(c)) {
            return Err(Answer::empty(400));
        }
        let Some(path) = path.strip_prefix("/v1/") else { return Err(Answer::missing()) };
        let query = query(raw.query).ok_or_else(|| Answer::empty(400))?;
        let mut operation = match raw.method {
            "GET" => Operation::Read,
            "LIST" => Operation::List,
            "SCAN" => Operation::Scan,
            "POST" | "PUT" => Operation::Write,
            "PATCH" => Operation::Patch,
            "DELETE" => Operation::Delete,
            "HEAD" => return Err(Answer::empty(405)),
            "OPTIONS" => return Err(Answer::refused(400, "cannot handle internal-only request operation")),
            _ => return Err(Answer::listed_none(405)),
        };
        if operation == Operation::Read {
            for (name, becomes) in [("list", Operation::List), ("scan", Operation::Scan)] {
                match query.get(name).map(|value| truth(value)) {
                    Some(None) => return Err(Answer::listed_none(400)),
                    Some(Some(true)) => operation = becomes,
                    _ => {}
                }
            }
        }
        if operation == Operation::Patch && !raw.content_type.starts_with(MERGE) {
            let words = format!("PATCH requires Content-Type of {MERGE}, provided {}", raw.content_type);
            return Err(Answer::refused(415, &words));
        }
        let body = match operation {
            Operation::Write | Operation::Patch => fields(raw)?,
            _ => Fields::new(),
        };
        let mut path = path.to_owned();
        if matches!(operation, Operation::List | Operation::Scan) && !path.ends_with('/') {
            path.push('/');
        }
        let namespace = raw.namespace.trim_matches('/');
        let namespace =
            if namespace.is_empty() || namespace == "root" { String::new() } else { format!("{namespace}/") };
        Ok(Self { operation, path, query, body, namespace, token: raw.token.to_owned() })
    }

    /// A whole number of the query; the server's words for what is none.
    pub(super) fn number(&self, name: &str) -> Result<i64, Answer> {
        match self.query.get(name) {
            None => Ok(0),
            Some(text) if text.is_empty() => Ok(0),
            Some(text) => text
                .parse()
                .map_err(|_| Answer::refused(400, &format!("Field validation failed: {}", not_a_number(name)))),
        }
    }
}

/// What the server says of a field that is no number.
pub(super) fn not_a_number(name: &str) -> String {
    format!(
        "error converting input for field \"{name}\": '' cannot parse value as 'int': strconv.ParseInt: invalid syntax"
    )
}

impl Answer {
    fn listed_none(status: u16) -> Self {
        let mut answer = Self::missing();
        answer.status = status;
        answer
    }
}

fn fields(raw: &Raw<'_>) -> Result<Fields, Answer> {
    let refused = |error: String| Answer::refused(400, &error);
    let body = raw.body.trim_ascii();
    let is_form = raw.content_type.starts_with("application/x-www-form-urlencoded");
    if body.is_empty() || (is_form && !body.starts_with(b"{") && !body.starts_with(b"[")) {
        return Ok(Fields::new());
    }
    match Node::parse(body).map_err(refused)? {
        Node::Fields(fields) => Ok(fields),
        Node::Null => Ok(Fields::new()),
        other => {
            let kind = match other {
                Node::List(_) => "array",
                Node::Text(_) => "string",
                Node::Number(_) => "number",
                _ => "bool",
            };
            Err(refused(format!(
                "failed to decode JSON input: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )))
        }
    }
}

/// Where the server redirects to: a path without `.`, `..` and empty segments. `None`: it has none.
fn cleaned(path: &str) -> Option<String> {
    let mut clean: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "" | "." => {}
            ".." => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    let slash = if path.ends_with('/') && !clean.is_empty() { "/" } else { "" };
    let clean = format!("/{}{slash}", clean.join("/"));
    (clean != path).then_some(clean)
}

fn unescaped(text: &str, is_query: bool) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' if is_query => b' ',
            byte => byte,
        });
    }
    Some(plain)
}

fn query(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| String::from_utf8(unescaped(text, true)?).ok();
        found.entry(plain(name)?).or_insert(plain(value)?);
    }
    Some(found)
}

/// As Go reads a truth; `None`: it is none.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// What Go takes for printable: the space alone of all that is white, and nothing that is for control or form.
pub(super) fn is_printable(c: char) -> bool {
    let is_form = matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e007f}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, path: &str, body: &str) -> Result<Request, (u16, String)> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (content_type, namespace, token) = ("application/json", "", "");
        let raw = Raw { method, path, query, content_type, namespace, token, body: body.as_bytes() };
        Request::read(&raw).map_err(|answer| {
            let location = answer.headers.into_iter().map(|(_, value)| value).next();
            (answer.status, location.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned()))
        })
    }

    #[test]
    fn paths_are_read_or_sent_elsewhere() {
        let path = |text: &str| read("GET", &format!("/v1/{text}"), "").map(|request| request.path);
        assert_eq!(path("a/b%20c%2Fd%252F%3F").unwrap(), "a/b c/d%2F?");
        assert_eq!(path("m/a?list=true").unwrap(), "m/a/");
        for (from, to) in [("a/../b", "/v1/b"), ("a//b", "/v1/a/b"), ("a/./b?x=1", "/v1/a/b?x=1"), ("a/..", "/v1")] {
            assert_eq!(path(from), Err((307, to.to_owned())), "{from}");
        }
        for odd in ["a%00", "a%09", "%zz", "%", "%7F", "a%C2%85b", "a%E2%80%8Bb"] {
            assert_eq!(path(odd), Err((400, String::new())), "{odd}");
        }
    }

    #[test]
    fn methods_and_bodies_are_looked_at_before_the_token() {
        let status = |method: &str, path: &str, body: &str| read(method, path, body).err().map(|(status, _)| status);
        assert_eq!(status("FOO", "/v1/a", ""), Some(405));
        assert_eq!(status("GET", "/v1/a?list=x", ""), Some(400));
        assert_eq!(status("PATCH", "/v1/a", "{}"), Some(415));
        assert_eq!(status("POST", "/v1/a", "[]"), Some(400));
        assert_eq!(status("POST", "/v1/a", ""), None);
    }
}
