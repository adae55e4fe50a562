//! From a request to its answer: seal, namespace, token, policy, engine.

use serde_json::json;

use super::{
    answer::Answer,
    auth,
    faults::Verdict,
    kv1, kv2,
    request::{Operation, Raw, Request},
    state::{Engine, State, World},
    sys,
    tokens::Token,
};

/// What becomes of a request.
pub(super) enum Outcome {
    Answered(Answer),
    /// The connection closes without an answer.
    Dropped,
}

/// A request whose token is known, in the namespace where it belongs.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    /// Empty, or ends in `/`.
    pub(super) namespace: String,
    /// Within the namespace.
    pub(super) path: String,
    pub(super) token: Token,
}

/// Answers one request.
pub(super) fn answer(world: &World, raw: &Raw<'_>) -> Outcome {
    let request = match Request::read(raw) {
        Ok(request) => request,
        Err(refusal) => return Outcome::Answered(refusal),
    };
    let verdict = world.faults.judge(&request.path);
    match verdict {
        Verdict::Drop => return Outcome::Dropped,
        Verdict::Refuse(refusal) => return Outcome::Answered(refusal),
        _ => {}
    }
    let mut answer = carried_out(world, &request).unwrap_or_else(|refusal| refusal);
    if !raw.namespace.is_empty() {
        answer = answer.with("x-vault-namespace", raw.namespace);
    }
    if matches!(verdict, Verdict::DropAfter) { Outcome::Dropped } else { Outcome::Answered(answer) }
}

fn carried_out(world: &World, request: &Request) -> Result<Answer, Answer> {
    let mut state = world.state();
    let now = world.now();
    *state.calls.entry(named(request)).or_default() += 1;
    if let Some(answer) = sys::open(world, &state, request) {
        return Ok(answer);
    }
    if state.is_sealed {
        return Err(Answer::refused(503, "Vault is sealed"));
    }
    let (namespace, path) =
        state.locate(&request.namespace, &request.path).ok_or_else(|| Answer::refused(404, "namespace not found"))?;
    let full = format!("{namespace}{path}");
    let headers = state.quotas.take(&full, &path, now)?;
    if let Some(answer) = auth::login(&mut state, request, &namespace, &path, now) {
        return answer;
    }
    if request.token.is_empty() && path == "sys/internal/ui/mounts" {
        return Ok(Answer::data(&json!({ "auth": {}, "secret": {} })));
    }
    let token = state.tokens.find(&request.token, now).cloned().ok_or_else(Answer::no_token)?;
    let call = Call { request, namespace, path, token };
    let mut answer = dispatch(world, &mut state, &call)?;
    answer.headers.extend(headers);
    Ok(answer)
}

fn dispatch(world: &World, state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    // These look at the token themselves.
    if let Some(answer) = sys::internal(state, call) {
        return answer;
    }
    if !may(state, call) {
        return Err(Answer::denied());
    }
    match call.path.split_once('/').map_or((call.path.as_str(), ""), |(first, rest)| (first, rest)) {
        ("sys", rest) => sys::answer(world, state, call, rest.trim_end_matches('/')),
        ("auth", rest) => auth::answer(state, call, rest.trim_end_matches('/'), world.now()),
        _ => engine(world, state, call),
    }
}

fn engine(world: &World, state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    let namespace = state.namespaces.get_mut(&call.namespace);
    let at = namespace.as_ref().and_then(|it| it.mount(&call.path)).map(|(at, _)| at.to_owned());
    let mount = at.as_ref().and_then(|at| namespace?.mounts.get_mut(at));
    let Some((at, mount)) = at.as_ref().zip(mount) else {
        let words = format!("no handler for route \"{}\". route entry not found.", call.path);
        return Err(Answer::refused(404, &words));
    };
    let within = call.path.get(at.len()..).unwrap_or_default();
    if within.split('/').any(|segment| segment == "..") {
        return Err(Answer::refused(400, "relative paths not supported"));
    }
    match &mut mount.engine {
        Engine::Versioned(engine) => kv2::answer(engine, call.request, within, world.now()),
        Engine::Plain(keys) => kv1::answer(keys, call.request, within),
        Engine::Other => Err(Answer::listed(404, &["unsupported path".to_owned()])),
    }
}

/// Whether the token's policies let the request through.
fn may(state: &State, call: &Call<'_>) -> bool {
    let needed = match call.request.operation {
        Operation::Read => "read",
        Operation::List => "list",
        Operation::Scan => "scan",
        Operation::Patch => "patch",
        Operation::Delete => "delete",
        Operation::Write if creates(state, call) => "create",
        Operation::Write => "update",
    };
    let allowed = |path: &str| {
        let found = state.capabilities(&call.token, &call.namespace, path);
        found.iter().any(|it| *it == needed || *it == "root")
    };
    // A rule for a folder may be written without its last slash.
    allowed(&call.path) || (needed == "list" && allowed(call.path.trim_end_matches('/')))
}

fn creates(state: &State, call: &Call<'_>) -> bool {
    let found = state.namespaces.get(&call.namespace).and_then(|namespace| namespace.mount(&call.path));
    let Some((at, mount)) = found else { return false };
    let within = call.path.get(at.len()..).unwrap_or_default();
    match &mount.engine {
        Engine::Versioned(engine) => kv2::creates(engine, within),
        Engine::Plain(keys) => !keys.contains_key(within),
        Engine::Other => false,
    }
}

/// What a request is counted as: what it does, and the part of an engine or of `sys` that it is about.
fn named(request: &Request) -> String {
    let operation = match request.operation {
        Operation::Read => "read",
        Operation::List => "list",
        Operation::Scan => "scan",
        Operation::Write => "write",
        Operation::Patch => "patch",
        Operation::Delete => "delete",
    };
    let mut segments = request.path.split('/').filter(|segment| !segment.is_empty());
    let first = segments.next().unwrap_or_default();
    let parts = ["data", "metadata", "detailed-metadata", "subkeys", "delete", "undelete", "destroy", "config"];
    let about = match first {
        "sys" | "auth" => first,
        _ => segments.find(|segment| parts.contains(segment)).unwrap_or("other"),
    };
    format!("{operation} {about}")
}
