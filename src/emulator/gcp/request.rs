//! Requests: what the path, the query and the body of one say.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::answer::Refusal;

/// A project, or one of its locations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    /// As the request names it; the state knows it by its number.
    pub(super) project: String,
    pub(super) location: Option<String>,
}

/// What a path is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Project(String),
    Locations(String),
    Location(String, String),
    Secrets(Scope),
    Secret(Scope, String),
    Versions(Scope, String),
    Version(Scope, String, String),
}

/// One request, as it came.
pub(super) struct Raw<'a> {
    pub(super) method: &'a str,
    /// Escaped.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) token: &'a str,
    pub(super) body: &'a [u8],
}

/// One request, read.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) at: At,
    /// What stands behind the colon of a custom method.
    pub(super) verb: Option<String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Map<String, Json>,
}

impl Request {
    pub(super) fn read(raw: &Raw<'_>) -> Result<Self, Refusal> {
        let segments: Option<Vec<String>> = raw.path.trim_start_matches('/').split('/').map(unescaped).collect();
        let segments = segments.ok_or_else(|| Refusal::invalid("Invalid path."))?;
        let mut parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let mut verb = None;
        if let Some(last) = parts.last_mut()
            && let Some((name, method)) = last.split_once(':')
        {
            verb = Some(method.to_owned());
            *last = name;
        }
        let at = at(&parts).ok_or_else(Refusal::unknown)?;
        let body = match serde_json::from_slice(raw.body.trim_ascii()) {
            Ok(Json::Object(fields)) => fields,
            _ if raw.body.trim_ascii().is_empty() => Map::new(),
            _ => return Err(Refusal::invalid("Invalid JSON payload received.")),
        };
        let query = query(raw.query).ok_or_else(|| Refusal::invalid("Invalid query."))?;
        Ok(Self { method: raw.method.to_owned(), at, verb, query, body })
    }

    /// Whether enums are to be numbers in the answer.
    pub(super) fn wants_numbers(&self) -> bool {
        self.query.get("$alt").is_some_and(|alt| alt.contains("enum-encoding=int"))
    }

    /// A text of the query; empty is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}

fn at(parts: &[&str]) -> Option<At> {
    let (project, rest) = match parts {
        ["v3", "projects", project] => return Some(At::Project((*project).to_owned())),
        ["v1", "projects", project, rest @ ..] if !project.is_empty() => ((*project).to_owned(), rest),
        _ => return None,
    };
    let (location, rest) = match rest {
        ["locations"] => return Some(At::Locations(project)),
        ["locations", location] => return Some(At::Location(project, (*location).to_owned())),
        ["locations", location, rest @ ..] => (Some((*location).to_owned()), rest),
        rest => (None, rest),
    };
    let scope = Scope { project, location };
    let own = |text: &&str| (**text).to_owned();
    match rest {
        ["secrets"] => Some(At::Secrets(scope)),
        ["secrets", secret] => Some(At::Secret(scope, own(secret))),
        ["secrets", secret, "versions"] => Some(At::Versions(scope, own(secret))),
        ["secrets", secret, "versions", version] => Some(At::Version(scope, own(secret), own(version))),
        _ => None,
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(plain).ok()
}

fn query(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| unescaped(&text.replace('+', " "));
        found.insert(plain(name)?, plain(value)?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, query: &str) -> Option<(At, Option<String>, bool)> {
        let raw = Raw { method: "GET", path, query, token: "", body: b"" };
        Request::read(&raw).ok().map(|it| (it.at.clone(), it.verb.clone(), it.wants_numbers()))
    }

    #[test]
    fn a_path_says_what_it_is_about() {
        let scope = |location: Option<&str>| Scope { project: "p".into(), location: location.map(str::to_owned) };
        let version = At::Version(scope(Some("l")), "s".into(), "latest".into());
        let int = "%24alt=json%3Benum-encoding%3Dint";
        assert_eq!(
            read("/v1/projects/p/locations/l/secrets/s/versions/latest:access", int),
            Some((version, Some("access".into()), true))
        );
        assert_eq!(read("/v1/projects/p/secrets", ""), Some((At::Secrets(scope(None)), None, false)));
        assert_eq!(read("/v1/projects/p/secrets/a%2", ""), None);
        assert_eq!(read("/v2/projects/p/secrets", ""), None);
    }
}
