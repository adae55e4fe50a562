//! The paths of `auth/`: tokens, and roles of AppRole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    answer::{Answer, uuid},
    durations,
    json::{Fields, Node},
    request::{Operation, Request},
    route::Call,
    state::State,
    tokens::{Role, Wanted},
};

const OWN_ID: &str = "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure \
     SHA2-256 HMAC for token obfuscation. SHA1 hashed tokens on the wire leads to less secure lookups.";

/// Signing in by a role, which needs no token; `None`: the request is another one.
pub(super) fn login(
    state: &mut State,
    request: &Request,
    namespace: &str,
    path: &str,
    now: Timestamp,
) -> Option<Result<Answer, Answer>> {
    let method = path.strip_prefix("auth/")?.strip_suffix("login").filter(|_| request.operation == Operation::Write)?;
    let roles = state.namespaces.get(namespace)?.methods.get(method)?;
    let text = |name: &str| request.body.get(name).and_then(Node::text).filter(|text| !text.is_empty());
    let Some(role_id) = text("role_id") else { return Some(Err(Answer::refused(500, "missing role_id"))) };
    let Some(secret_id) = text("secret_id") else { return Some(Err(Answer::refused(400, "missing secret_id"))) };
    let found = roles.iter().find(|(_, role)| role.id == role_id);
    let found = found.filter(|(_, role)| role.secrets.iter().any(|secret| secret.as_str() == secret_id));
    let Some((name, role)) = found else { return Some(Err(Answer::refused(400, "invalid role or secret ID"))) };
    let wanted = Wanted {
        policies: with_default(role.policies.clone()),
        namespace: namespace.to_owned(),
        path: format!("auth/{method}login"),
        display_name: method.trim_end_matches('/').to_owned(),
        metadata: Some([("role_name".to_owned(), name.clone())].into()),
        ttl: role.ttl,
        ..Wanted::default()
    };
    let id = state.tokens.make(wanted, now);
    Some(Ok(told(state, &id, now, &[])))
}

fn told(state: &State, id: &str, now: Timestamp, warnings: &[&str]) -> Answer {
    let Some(token) = state.tokens.find(id, now) else { return Answer::no_token() };
    Answer::auth(&token.auth(id, token.ttl()), warnings)
}

fn with_default(mut policies: Vec<String>) -> Vec<String> {
    if !policies.iter().any(|policy| policy == "root") {
        policies.push("default".into());
    }
    policies.sort();
    policies.dedup();
    policies
}

/// Carries out a request below `auth/`.
pub(super) fn answer(state: &mut State, call: &Call<'_>, path: &str, now: Timestamp) -> Result<Answer, Answer> {
    let (method, rest) = path.split_once('/').unwrap_or((path, ""));
    if method == "token" {
        return token(state, call, rest, now);
    }
    let Some(namespace) = state.namespaces.get_mut(&call.namespace) else { return Err(Answer::missing()) };
    let method =
        namespace.methods.keys().filter(|at| format!("{path}/").starts_with(at.as_str())).max_by_key(|at| at.len());
    let Some((at, roles)) = method.cloned().and_then(|at| Some((at.clone(), namespace.methods.get_mut(&at)?))) else {
        let words = format!("no handler for route \"auth/{path}\". route entry not found.");
        return Err(Answer::refused(404, &words));
    };
    role(roles, call.request, path.get(at.len()..).unwrap_or_default())
}

fn token(state: &mut State, call: &Call<'_>, path: &str, now: Timestamp) -> Result<Answer, Answer> {
    let (operation, body) = (call.request.operation, &call.request.body);
    let named = || body.get("token").and_then(Node::text).map(str::to_owned);
    let own = call.request.token.clone();
    match (path, operation) {
        ("lookup-self", Operation::Read | Operation::Write) => Ok(Answer::data(&call.token.json(&own, now))),
        ("lookup", Operation::Read | Operation::Write) => {
            let id = named().unwrap_or(own);
            let found = state.tokens.find(&id, now).ok_or_else(|| Answer::refused(403, "bad token"))?;
            Ok(Answer::data(&found.json(&id, now)))
        }
        ("renew-self" | "renew", Operation::Write) => {
            let id = if path == "renew" { named().unwrap_or(own) } else { own };
            let lease = state.tokens.renew(&id, seconds(body, "increment"), now);
            let lease = lease.ok_or_else(|| Answer::refused(400, "lease is not renewable"))?;
            let found = state.tokens.find(&id, now).ok_or_else(Answer::no_token)?;
            Ok(Answer::auth(&found.auth(&id, lease), &[]))
        }
        ("revoke-self" | "revoke", Operation::Write) => {
            let id = if path == "revoke" { named().unwrap_or_default() } else { own };
            state.tokens.revoke(&id);
            Ok(Answer::done())
        }
        ("create" | "create-orphan", Operation::Write) => Ok(create(state, call, path == "create-orphan", now)),
        _ => Err(Answer::unsupported()),
    }
}

fn create(state: &mut State, call: &Call<'_>, is_orphan: bool, now: Timestamp) -> Answer {
    let body = &call.request.body;
    let text = |name: &str| body.get(name).and_then(Node::text).map(str::to_owned);
    let policies = words(body, "policies").unwrap_or_else(|| call.token.policies.clone());
    let is_bare = body.get("no_default_policy") == Some(&Node::Bool(true));
    let metadata = body.get("meta").and_then(Node::fields).map(|fields| {
        fields.iter().map(|(name, value)| (name.clone(), value.text().unwrap_or_default().to_owned())).collect()
    });
    let is_orphan = is_orphan || body.get("no_parent") == Some(&Node::Bool(true));
    let own_id = text("id").filter(|id| !id.is_empty());
    let warnings: &[&str] = if own_id.is_some() { &[OWN_ID] } else { &[] };
    let wanted = Wanted {
        id: own_id,
        policies: if is_bare { policies } else { with_default(policies) },
        namespace: call.namespace.clone(),
        parent: (!is_orphan).then(|| call.request.token.clone()),
        path: "auth/token/create".into(),
        display_name: text("display_name").map_or_else(|| "token".into(), |name| format!("token-{name}")),
        metadata,
        ttl: seconds(body, "ttl"),
        is_batch: text("type").as_deref() == Some("batch"),
    };
    let id = state.tokens.make(wanted, now);
    told(state, &id, now, warnings)
}

fn role(roles: &mut BTreeMap<String, Role>, request: &Request, path: &str) -> Result<Answer, Answer> {
    let mut parts = path.split('/');
    let (Some("role"), name, what) = (parts.next(), parts.next().unwrap_or_default(), parts.next()) else {
        return Err(Answer::listed(404, &["unsupported path".to_owned()]));
    };
    let body = &request.body;
    if name.is_empty() {
        let keys: Vec<&String> = roles.keys().collect();
        return Ok(if keys.is_empty() { Answer::missing() } else { Answer::data(&json!({ "keys": keys })) });
    }
    if what.is_none() && request.operation == Operation::Write {
        let role = roles.entry(name.to_owned()).or_insert_with(|| Role { id: uuid(), ..Role::default() });
        role.policies = words(body, "token_policies").or_else(|| words(body, "policies")).unwrap_or_default();
        role.ttl = seconds(body, "token_ttl");
        return Ok(Answer::done());
    }
    if what.is_none() && request.operation == Operation::Delete {
        roles.remove(name);
        return Ok(Answer::done());
    }
    let role = roles.get_mut(name).ok_or_else(Answer::missing)?;
    let text = |field: &str| body.get(field).and_then(Node::text).map(str::to_owned);
    match (what, request.operation) {
        (None, Operation::Read) => Ok(Answer::data(
            &json!({ "token_policies": role.policies, "token_ttl": role.ttl.unwrap_or(0), "bind_secret_id": true }),
        )),
        (Some("role-id"), Operation::Read) => Ok(Answer::data(&json!({ "role_id": role.id }))),
        (Some("role-id"), Operation::Write) => {
            role.id = text("role_id").unwrap_or_default();
            Ok(Answer::done())
        }
        (Some("secret-id" | "custom-secret-id"), Operation::Write) => {
            let secret = text("secret_id").unwrap_or_else(uuid);
            role.secrets.push(Zeroizing::new(secret.clone()));
            Ok(Answer::data(&json!({
                "secret_id": secret, "secret_id_accessor": uuid(), "secret_id_num_uses": 0, "secret_id_ttl": 0,
            })))
        }
        _ => Err(Answer::unsupported()),
    }
}

/// Words in a list, or in one text with commas.
pub(super) fn words(body: &Fields, name: &str) -> Option<Vec<String>> {
    match body.get(name)? {
        Node::Text(text) => {
            Some(text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect())
        }
        Node::List(items) => Some(items.iter().filter_map(Node::text).map(str::to_owned).collect()),
        _ => None,
    }
}

/// A duration of a request, in seconds.
pub(super) fn seconds(body: &Fields, name: &str) -> Option<i64> {
    match body.get(name)? {
        Node::Text(text) | Node::Number(text) => durations::parse(text).ok().map(|nanos| nanos / 1_000_000_000),
        _ => None,
    }
}
