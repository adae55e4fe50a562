//! Policies: as much of the language as tells who may do what at which path.

use std::collections::{BTreeMap, BTreeSet};

/// Rules by path pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy(BTreeMap<String, BTreeSet<String>>);

/// What every token may that is not made without it.
pub(super) const DEFAULT: &str = r#"
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
"#;

const KNOWN: [&str; 10] = ["create", "delete", "deny", "list", "patch", "read", "recover", "scan", "sudo", "update"];

impl Policy {
    /// Reads `path "…" { capabilities = ["…"] }` as often as it is there, in HCL; other attributes are passed over.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut words = words(text).ok_or("failed to parse policy: literal not terminated")?.into_iter().peekable();
        let mut rules = BTreeMap::<String, BTreeSet<String>>::new();
        while let Some(word) = words.next() {
            let bad = || Err("failed to parse policy: expected path \"…\" { capabilities = [\"…\"] }".to_owned());
            let (true, Some(Word::Text(path))) = (word == Word::plain("path"), words.next()) else { return bad() };
            if words.next() != Some(Word::Mark('{')) {
                return bad();
            }
            let mut depth = 1;
            let rule = rules.entry(path).or_default();
            let mut is_capability = false;
            while depth > 0 {
                match words.next() {
                    None => return bad(),
                    Some(Word::Mark('{')) => depth += 1,
                    Some(Word::Mark('}')) => depth -= 1,
                    Some(Word::Mark(']')) => is_capability = false,
                    Some(Word::Plain(name)) => is_capability = depth == 1 && name == "capabilities",
                    Some(Word::Text(name)) if is_capability => {
                        if !KNOWN.contains(&name.as_str()) {
                            return Err(format!("failed to parse policy: invalid capability \"{name}\""));
                        }
                        rule.insert(name);
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(Self(rules))
    }

    /// What the rules of several policies allow at a path, sorted: the most specific pattern decides, and `deny` ends it.
    pub(super) fn capabilities<'a>(policies: impl Iterator<Item = &'a Self> + Clone, path: &str) -> Vec<&'a str> {
        let patterns = policies.clone().flat_map(|policy| policy.0.keys()).filter(|pattern| matches(pattern, path));
        let Some(best) = patterns.max_by_key(|pattern| weight(pattern)) else { return vec!["deny"] };
        let found: BTreeSet<&str> =
            policies.filter_map(|policy| policy.0.get(best)).flatten().map(String::as_str).collect();
        if found.contains("deny") || found.is_empty() { vec!["deny"] } else { found.into_iter().collect() }
    }

    /// Whether anything below a mount is allowed.
    pub(super) fn reaches(&self, mount: &str) -> bool {
        let overlaps = |pattern: &String| {
            let fixed = pattern.split(['*', '+']).next().unwrap_or_default();
            fixed.starts_with(mount) || (fixed.len() < pattern.len() && mount.starts_with(fixed))
        };
        self.0.iter().any(|(pattern, allowed)| overlaps(pattern) && !allowed.contains("deny"))
    }
}

/// `*` at the end stands for anything, `+` for one segment.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, is_prefix) = pattern.strip_suffix('*').map_or((pattern, false), |pattern| (pattern, true));
    if !pattern.contains('+') {
        return if is_prefix { path.starts_with(pattern) } else { path == pattern };
    }
    let (mut left, mut right) = (pattern.split('/').peekable(), path.split('/'));
    while let Some(segment) = left.next() {
        let Some(found) = right.next() else { return false };
        let is_last = left.peek().is_none();
        let fits = match segment {
            "+" => true,
            segment if is_last && is_prefix => found.starts_with(segment),
            segment => found == segment,
        };
        if !fits {
            return false;
        }
        if is_last && is_prefix {
            return true;
        }
    }
    right.next().is_none()
}

/// Exact before patterns; the later wildcard, the fewer of them, the longer pattern.
fn weight(pattern: &str) -> (bool, usize, bool, std::cmp::Reverse<usize>, usize) {
    let segments = pattern.split('/').filter(|segment| *segment == "+").count();
    let first = pattern.find(['*', '+']);
    let is_exact = !pattern.ends_with('*') && segments == 0;
    (is_exact, first.unwrap_or(pattern.len()), !pattern.ends_with('*'), std::cmp::Reverse(segments), pattern.len())
}

#[derive(PartialEq, Eq)]
enum Word {
    Plain(String),
    Text(String),
    Mark(char),
}

impl Word {
    fn plain(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

/// The words of a text in HCL without its comments; `None`: a string has no end.
fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Some(words) };
        if first == '#' || rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = &comment[comment.find("*/")? + 2..];
        } else if first == '"' {
            let mut string = String::new();
            let mut chars = rest.char_indices().skip(1);
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => string.push(chars.next()?.1),
                    (_, c) => string.push(c),
                }
            };
            words.push(Word::Text(string));
            rest = &rest[end + 1..];
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(Word::plain(&rest[..end]));
            rest = &rest[end..];
        } else {
            words.push(Word::Mark(first));
            rest = &rest[first.len_utf8()..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse(text).unwrap()
    }

    fn allowed<'a>(policy: &'a Policy, path: &str) -> Vec<&'a str> {
        Policy::capabilities([policy].into_iter(), path)
    }

    #[test]
    fn the_most_specific_rule_decides_and_nothing_is_denied() {
        let policy = policy(
            "# a comment\npath \"secret/data/*\" { capabilities = [\"read\"] }\n\
             path \"secret/data/l/*\" { capabilities = [\"deny\"] } // another\n\
             path \"secret/data/l/x\" {\n  capabilities = [\"update\", \"create\"]\n  allowed_parameters = { \"a\" = [\"b\"] }\n}\n\
             path \"secret/+/deep/*\" { capabilities = [\"list\"] }",
        );
        assert_eq!(allowed(&policy, "secret/data/a"), ["read"]);
        assert_eq!(allowed(&policy, "secret/data/l/a"), ["deny"]);
        assert_eq!(allowed(&policy, "secret/data/l/x"), ["create", "update"]);
        assert_eq!(allowed(&policy, "secret/meta/deep/a/b"), ["list"]);
        assert_eq!(allowed(&policy, "secret/data/deep/a"), ["read"], "the later wildcard is the more specific one");
        assert_eq!(allowed(&policy, "other"), ["deny"]);
    }

    #[test]
    fn several_policies_add_up_at_one_pattern() {
        let one = policy("path \"a/*\" { capabilities = [\"read\"] }");
        let other = policy("path \"a/*\" { capabilities = [\"list\"] }");
        assert_eq!(Policy::capabilities([&one, &other].into_iter(), "a/b"), ["list", "read"]);
        assert!(one.reaches("a/") && one.reaches("a/b/") && !one.reaches("b/") && !policy("").reaches("a/"));
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in ["nope {", "path \"a\" {", "path a {}", "path \"a", "path \"a\" { capabilities = [\"write\"] }"] {
            assert!(Policy::parse(text).is_err_and(|error| error.starts_with("failed to parse policy")), "{text}");
        }
    }
}
