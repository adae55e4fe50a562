//! References to secrets in texts that somebody else wrote. Whatever else such a text holds is left where it is.

use std::collections::{BTreeSet, HashSet};

use crate::{
    model::{Secret, SecretArn},
    provider::Fixes,
};

/// The longest text that is searched: an environment of Lambda has 4 KiB, a task definition 64 KiB.
const LONGEST: usize = 64 << 10;
/// References of one text.
const MOST: usize = 100;

/// The names of the backup: a text that is one of them refers to it.
pub(super) struct Known<'a>(HashSet<&'a str>);

impl<'a> Known<'a> {
    pub(super) fn of(secrets: &'a [Secret]) -> Self {
        Self(secrets.iter().map(|secret| secret.name.as_str()).collect())
    }

    /// The references in a text: identifiers anywhere in it, or the whole text where it is a name.
    pub(super) fn in_text(&self, text: &str) -> Vec<String> {
        if text.len() > LONGEST {
            return Vec::new();
        }
        if let Some(name) = self.0.get(text) {
            return vec![(*name).to_owned()];
        }
        let starts = text.match_indices("arn:").take(MOST);
        let mut found: Vec<String> = starts.filter_map(|(at, _)| identifier(&text[at..])).collect();
        found.dedup();
        found
    }
}

/// The identifier that a text begins with. A name has letters, digits and `/_+=.@-`; what ECS and dynamic references put behind it
/// (`:KEY:STAGE:VERSION`) is no part of it.
pub(in super::super) fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "/_+=.@-:".contains(c))).unwrap_or(text.len());
    let head: Vec<&str> = text[..end].splitn(8, ':').take(7).collect();
    let arn = head.join(":");
    SecretArn::parse(&arn).map(|_| arn.clone())
}

/// What an identifier fixes; a name fixes nothing.
pub(super) fn fixes(reference: &str) -> BTreeSet<Fixes> {
    let mut fixes = BTreeSet::new();
    let Some(arn) = SecretArn::parse(reference) else { return fixes };
    let is_fixed = |part: &str| !part.contains(['*', '?']) && !part.is_empty();
    if is_fixed(arn.region) {
        fixes.insert(Fixes::Region);
    }
    if is_fixed(arn.account) {
        fixes.insert(Fixes::Account);
    }
    let is_ending = |end: &str| end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric());
    if arn.resource.rsplit_once('-').is_some_and(|(_, end)| is_ending(end)) {
        fixes.insert(Fixes::Ending);
    }
    fixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_found_and_nothing_beside_it() {
        let secret = Secret { name: "app/db".into(), ..Secret::default() };
        let secrets = [secret];
        let known = Known::of(&secrets);
        let arn = "arn:aws:secretsmanager:eu-central-1:111:secret:app/db-AbCdEf";
        for (text, found) in [
            ("app/db", vec!["app/db"]),
            ("app/db ", vec![]),
            ("hunter2", vec![]),
            (arn, vec![arn]),
            (&format!("{arn}:password::"), vec![arn]),
            (&format!("{{\"pw\":\"hunter2\",\"s\":\"{arn}\"}}"), vec![arn]),
            ("arn:aws:s3:::bucket", vec![]),
        ] {
            assert_eq!(known.in_text(text), found, "{text}");
        }
        assert!(known.in_text(&"arn:".repeat(1 << 20)).is_empty());
    }

    #[test]
    fn what_an_identifier_fixes() {
        let all = BTreeSet::from([Fixes::Ending, Fixes::Region, Fixes::Account]);
        let arn = "arn:aws:secretsmanager:eu-central-1:111:secret:app/db";
        assert_eq!(fixes(&format!("{arn}-AbCdEf")), all);
        assert_eq!(fixes(&format!("{arn}-??????")), BTreeSet::from([Fixes::Region, Fixes::Account]));
        assert_eq!(fixes("arn:aws:secretsmanager:*:111:secret:app/*"), BTreeSet::from([Fixes::Account]));
        assert!(fixes("app/db").is_empty() && fixes("*").is_empty());
    }
}
