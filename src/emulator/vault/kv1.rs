//! The paths of a plain engine: one value a key, exactly as it was written, and no history.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    answer::Answer,
    durations,
    json::{Node, Numbers},
    request::{Operation, Request},
    tree,
};

/// The lease that an answer names where the value names none: 32 days.
const LEASE: u64 = 2_764_800;

/// Carries out a request; `path` is the part within the engine.
pub(super) fn answer(keys: &mut BTreeMap<String, Node>, request: &Request, path: &str) -> Result<Answer, Answer> {
    match request.operation {
        Operation::List => {
            let names = tree::names(keys, path.trim_start_matches('/'));
            Ok(if names.is_empty() { Answer::missing() } else { Answer::data(&json!({ "keys": names })) })
        }
        Operation::Scan => {
            let names = tree::scan(keys, path.trim_start_matches('/'));
            Ok(if names.is_empty() { Answer::missing() } else { Answer::data(&json!({ "keys": names })) })
        }
        Operation::Read => {
            let Some(value) = keys.get(path) else { return Ok(Answer::missing()) };
            Ok(Answer::text(200, &value.write(Numbers::Exact).unwrap_or_default(), lease(value)))
        }
        Operation::Write if path.is_empty() || path.ends_with('/') => {
            Err(Answer::refused(400, "cannot write to a path ending in '/'"))
        }
        Operation::Write if request.body.is_empty() => Err(Answer::refused(400, "missing data fields")),
        Operation::Write => {
            keys.insert(path.to_owned(), Node::Fields(request.body.clone()));
            Ok(Answer::done())
        }
        Operation::Delete => {
            keys.remove(path);
            Ok(Answer::done())
        }
        Operation::Patch => Ok(Answer::unsupported()),
    }
}

/// What the value itself says, in `ttl` or `lease`.
fn lease(value: &Node) -> u64 {
    let field = |name: &str| match value.fields()?.get(name)? {
        Node::Text(text) | Node::Number(text) => durations::parse(text).ok(),
        _ => None,
    };
    let nanos = field("ttl").or_else(|| field("lease"));
    nanos.and_then(|nanos| u64::try_from(nanos / 1_000_000_000).ok()).unwrap_or(LEASE)
}
