//! From the identifiers of secrets that a restore replaced to the new ones, in texts that somebody else wrote.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::super::consumers::reference::identifier;
use crate::provider::{Moves, NotRedeployed};

/// Letters and digits that end an identifier, behind a dash.
const ENDING: usize = 6;

/// What the references of one text become.
pub(super) struct Mapping(BTreeMap<String, String>);

impl Mapping {
    /// Looks up every reference in a text. A reference without the ending leads to what the whole identifier leads to.
    ///
    /// # Errors
    /// What changed cannot be read.
    pub(super) fn of(json: &Json, moves: &Moves<'_>) -> Result<Self, NotRedeployed> {
        let mut found = BTreeSet::new();
        references(json, &mut found);
        let mut map = BTreeMap::new();
        if !found.is_empty() {
            let mut take = |old: &str, new: &str| {
                for (old, new) in [(old, new), (without_ending(old), without_ending(new))] {
                    if old != new && found.contains(old) {
                        map.insert(old.to_owned(), new.to_owned());
                    }
                }
            };
            moves(&mut take).map_err(NotRedeployed::Failed)?;
        }
        Ok(Self(map))
    }

    /// Puts the new identifiers into the place of the old ones, and gives how many.
    pub(super) fn apply(&self, json: &mut Json) -> u64 {
        match json {
            Json::String(text) => match self.applied(text) {
                Some((changed, count)) => {
                    *text = changed;
                    count
                }
                None => 0,
            },
            Json::Array(items) => items.iter_mut().map(|item| self.apply(item)).sum(),
            Json::Object(fields) => fields.values_mut().map(|field| self.apply(field)).sum(),
            _ => 0,
        }
    }

    fn applied(&self, text: &str) -> Option<(String, u64)> {
        let (mut changed, mut rest, mut count) = (String::new(), text, 0);
        while let Some(at) = rest.find("arn:") {
            let (before, from) = rest.split_at(at);
            changed.push_str(before);
            let found = identifier(from).and_then(|old| Some((old.len(), self.0.get(&old)?)));
            let (taken, written) = match found {
                Some((length, new)) => {
                    count += 1;
                    (length, new.as_str())
                }
                None => ("arn:".len(), "arn:"),
            };
            changed.push_str(written);
            rest = &from[taken..];
        }
        changed.push_str(rest);
        (count > 0).then_some((changed, count))
    }
}

fn references(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => {
            found.extend(text.match_indices("arn:").filter_map(|(at, _)| identifier(&text[at..])));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        Json::Object(fields) => fields.values().for_each(|field| references(field, found)),
        _ => {}
    }
}

/// The identifier as a policy or a task definition may write it: without the six characters that a new secret gets.
fn without_ending(arn: &str) -> &str {
    match arn.rsplit_once('-') {
        Some((head, end)) if end.len() == ENDING && end.bytes().all(|byte| byte.is_ascii_alphanumeric()) => head,
        _ => arn,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OLD: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:app/db-AbCdEf";
    const NEW: &str = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:dr/db-GhIjKl";

    #[test]
    fn only_what_moved_is_changed_wherever_it_stands() {
        let moves = |take: &mut dyn FnMut(&str, &str)| {
            take(OLD, NEW);
            take("arn:aws:secretsmanager:eu-central-1:111111111111:secret:app/same-AbCdEf", NEW);
            Ok(())
        };
        let other = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:other-AbCdEf";
        let (partial, new_partial) = (&OLD[..OLD.len() - 7], &NEW[..NEW.len() - 7]);
        let mut json = json!({ "secrets": [{ "valueFrom": format!("{OLD}:password::") }, { "valueFrom": other }],
            "text": format!("{{\"a\":\"{OLD}\",\"b\":\"{OLD}\"}}"), "partial": partial, "plain": "arn:aws:s3:::b", "n": 7 });
        let mapping = Mapping::of(&json, &moves).unwrap();
        assert_eq!(mapping.apply(&mut json), 4);
        assert_eq!(
            json,
            json!({ "secrets": [{ "valueFrom": format!("{NEW}:password::") }, { "valueFrom": other }],
                "text": format!("{{\"a\":\"{NEW}\",\"b\":\"{NEW}\"}}"), "partial": new_partial, "plain": "arn:aws:s3:::b",
                "n": 7 })
        );
        assert_eq!(Mapping::of(&json, &moves).unwrap().apply(&mut json), 0, "a second time changes nothing");
    }

    #[test]
    fn a_map_that_cannot_be_read_is_an_error_where_it_is_needed() {
        let moves = |_: &mut dyn FnMut(&str, &str)| Err("it is gone".into());
        assert!(Mapping::of(&json!({ "a": OLD }), &moves).is_err());
        assert!(Mapping::of(&json!({ "a": "x" }), &moves).is_ok());
    }
}
