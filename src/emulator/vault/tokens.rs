//! Tokens, and the roles that give them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::answer::uuid;
use crate::emulator::ops::random_text;

/// How long a token of the root policy's child lives where nothing is said: 32 days.
const LONGEST: i64 = 2_764_800;

/// One token.
#[derive(Clone)]
pub(super) struct Token {
    accessor: String,
    pub(super) policies: Vec<String>,
    /// Where it was made; ends in `/` unless it is the root.
    pub(super) namespace: String,
    /// Who made it; with it this one ends.
    parent: Option<String>,
    path: String,
    display_name: String,
    metadata: Option<BTreeMap<String, String>>,
    issued: Timestamp,
    ttl: i64,
    expires: Option<Timestamp>,
    is_batch: bool,
}

/// What a token is to be.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) id: Option<String>,
    pub(super) policies: Vec<String>,
    pub(super) namespace: String,
    pub(super) parent: Option<String>,
    pub(super) path: String,
    pub(super) display_name: String,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    /// Seconds.
    pub(super) ttl: Option<i64>,
    pub(super) is_batch: bool,
}

/// A role of AppRole.
#[derive(Default)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) policies: Vec<String>,
    pub(super) ttl: Option<i64>,
    pub(super) secrets: Vec<Zeroizing<String>>,
}

/// All tokens of a server, by what is sent.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, Token>);

impl Tokens {
    /// Makes the root token.
    pub(super) fn root(&mut self, id: &str, now: Timestamp) {
        let token = Token {
            accessor: random_text(24),
            policies: vec!["root".into()],
            namespace: String::new(),
            parent: None,
            path: "auth/token/create".into(),
            display_name: "token".into(),
            metadata: None,
            issued: now,
            ttl: 0,
            expires: None,
            is_batch: false,
        };
        self.0.insert(id.to_owned(), token);
    }

    /// Makes a token; answers what is sent with requests.
    pub(super) fn make(&mut self, wanted: Wanted, now: Timestamp) -> String {
        let prefix = if wanted.is_batch { "b" } else { "s" };
        let id = wanted.id.unwrap_or_else(|| format!("{prefix}.{}", random_text(24)));
        let ttl = wanted.ttl.filter(|ttl| *ttl > 0).unwrap_or(LONGEST);
        let token = Token {
            accessor: if wanted.is_batch { String::new() } else { random_text(24) },
            policies: wanted.policies,
            namespace: wanted.namespace,
            parent: wanted.parent,
            path: wanted.path,
            display_name: wanted.display_name,
            metadata: wanted.metadata,
            issued: now,
            ttl,
            expires: now.checked_add(SignedDuration::from_secs(ttl)).ok(),
            is_batch: wanted.is_batch,
        };
        self.0.insert(id.clone(), token);
        id
    }

    /// A token that is still good.
    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<&Token> {
        self.0.get(id).filter(|token| token.expires.is_none_or(|time| time > now))
    }

    /// Lets a token live longer, from now on; answers the seconds.
    pub(super) fn renew(&mut self, id: &str, seconds: Option<i64>, now: Timestamp) -> Option<i64> {
        let token = self.0.get_mut(id).filter(|token| !token.is_batch && token.expires.is_some())?;
        let ttl = seconds.filter(|ttl| *ttl > 0).unwrap_or(token.ttl).min(LONGEST);
        token.expires = now.checked_add(SignedDuration::from_secs(ttl)).ok();
        Some(ttl)
    }

    /// Ends a token and those that it made.
    pub(super) fn revoke(&mut self, id: &str) {
        let mut ended = vec![id.to_owned()];
        while let Some(id) = ended.pop() {
            self.0.remove(&id);
            let children = self.0.iter().filter(|(_, token)| token.parent.as_deref() == Some(&id));
            ended.extend(children.map(|(child, _)| child.clone()).collect::<Vec<_>>());
        }
    }

    /// Ends every token that a method gave.
    pub(super) fn revoke_below(&mut self, path: &str) {
        self.0.retain(|_, token| !token.path.starts_with(path));
    }

    /// Ends every token but one.
    pub(super) fn revoke_but(&mut self, kept: &str) {
        self.0.retain(|id, _| id == kept);
    }
}

impl Token {
    pub(super) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// What `lookup-self` tells.
    pub(super) fn json(&self, id: &str, now: Timestamp) -> Json {
        let left = self.expires.map_or(0, |time| time.duration_since(now).as_secs().max(0));
        json!({
            "accessor": self.accessor, "creation_time": self.issued.as_second(), "creation_ttl": self.ttl,
            "display_name": self.display_name, "entity_id": "", "expire_time": self.expires, "explicit_max_ttl": 0,
            "id": id, "issue_time": self.issued, "meta": self.metadata, "num_uses": 0, "orphan": self.parent.is_none(),
            "path": self.path, "policies": self.policies, "renewable": self.is_renewable(), "ttl": left,
            "type": self.kind(),
        })
    }

    /// What making it tells.
    pub(super) fn auth(&self, id: &str, lease: i64) -> Json {
        let entity =
            if self.metadata.as_ref().is_some_and(|it| it.contains_key("role_name")) { uuid() } else { String::new() };
        json!({
            "client_token": id, "accessor": self.accessor, "policies": self.policies, "token_policies": self.policies,
            "metadata": self.metadata, "lease_duration": lease, "renewable": self.is_renewable(), "entity_id": entity,
            "token_type": self.kind(), "orphan": self.parent.is_none(), "mfa_requirement": null, "num_uses": 0,
        })
    }

    pub(super) fn ttl(&self) -> i64 {
        self.ttl
    }

    fn is_renewable(&self) -> bool {
        !self.is_batch && self.expires.is_some()
    }

    fn kind(&self) -> &'static str {
        if self.is_batch { "batch" } else { "service" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_ends_in_time_and_with_its_parent() {
        let mut tokens = Tokens::default();
        tokens.root("root", now(0));
        let child = |parent: &str, ttl| Wanted { parent: Some(parent.into()), ttl: Some(ttl), ..Wanted::default() };
        let first = tokens.make(child("root", 60), now(0));
        let second = tokens.make(child(&first, 600), now(0));
        assert!(tokens.find("root", now(1_000_000)).is_some_and(Token::is_root));
        assert!(tokens.find(&first, now(59)).is_some() && tokens.find(&first, now(60)).is_none());
        assert_eq!(tokens.renew(&first, Some(120), now(10)), Some(120));
        assert!(tokens.find(&first, now(129)).is_some());
        assert_eq!(tokens.renew("root", None, now(0)), None);
        tokens.revoke(&first);
        assert!(tokens.find(&second, now(1)).is_none() && tokens.find("root", now(1)).is_some());
    }
}
