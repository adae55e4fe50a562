//! The paths of `sys/`: health, mounts, namespaces, policies, quotas, and what a token may do.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{
    answer::Answer,
    auth::{seconds, words},
    json::{Node, Numbers},
    policy::Policy,
    quotas::Quota,
    request::{Operation, Request},
    route::Call,
    state::{Engine, Mount, Namespace, State, World},
};

const VERSION: &str = "2.7.2";

type Answered = Result<Answer, Answer>;

/// What is answered to anybody, sealed or not.
pub(super) fn open(world: &World, state: &State, request: &Request) -> Option<Answer> {
    let is_read = request.operation == Operation::Read;
    let answer = match request.path.as_str() {
        "sys/health" if is_read => health(world, state, request),
        "sys/leader" if is_read => Answer::bare(200, &json!({ "ha_enabled": false })),
        "sys/init" if is_read => Answer::bare(200, &json!({ "initialized": true })),
        "sys/seal-status" if is_read => {
            let mut told = json!({
                "type": "shamir", "initialized": true, "sealed": state.is_sealed, "t": 1, "n": 1, "progress": 0,
                "nonce": "", "recovery_seal": false, "version": VERSION, "commit_date": "2026-10-26T20:32:27Z", "migration": false,
                "storage_type": "raft",
            });
            if !state.is_sealed {
                told["cluster_id"] = world.cluster.as_str().into();
                told["cluster_name"] = cluster_name(world).into();
            }
            Answer::bare(200, &told)
        }
        _ => return None,
    };
    let is_root = request.namespace.is_empty();
    Some(if is_root { answer } else { Answer::refused(400, "operation unavailable in namespaces") })
}

fn cluster_name(world: &World) -> String {
    format!("vault-cluster-{}", &world.cluster[..8])
}

fn health(world: &World, state: &State, request: &Request) -> Answer {
    let sealed = state.is_sealed;
    let code = |name: &str, usual: u16| request.query.get(name).and_then(|code| code.parse().ok()).unwrap_or(usual);
    let mode = if sealed { "unknown" } else { "disabled" };
    let mut told = json!({
        "initialized": true, "sealed": sealed, "standby": sealed, "replication_performance_mode": mode,
        "replication_dr_mode": mode, "server_time_utc": world.now().as_second(), "version": VERSION,
    });
    if sealed {
        return Answer::bare(code("sealedcode", 503), &told);
    }
    told["cluster_name"] = cluster_name(world).into();
    told["cluster_id"] = world.cluster.as_str().into();
    Answer::bare(code("activecode", 200), &told)
}

/// `sys/internal/ui/…`: what a token may see is looked up with the token's own eyes; `None`: the request is another one.
pub(super) fn internal(state: &State, call: &Call<'_>) -> Option<Answered> {
    let path = call.path.strip_prefix("sys/internal/ui/")?.trim_end_matches('/');
    let namespace = state.namespaces.get(&call.namespace)?;
    let sees = |at: &str| state.reaches(&call.token, &call.namespace, at);
    if path == "namespaces" {
        let keys: Vec<String> =
            children(state, &call.namespace).map(|(name, _, _)| name).filter(|name| sees(name)).collect();
        return Some(Ok(Answer::data(&if keys.is_empty() { json!({}) } else { json!({ "keys": keys }) })));
    }
    if path == "mounts" {
        let shown = |at: &&String| sees(at) || matches!(at.as_str(), "cubbyhole/" | "identity/" | "sys/");
        let mounts: Map<String, Json> =
            namespace.mounts.iter().filter(|(at, _)| shown(at)).map(|(at, it)| (at.clone(), it.json())).collect();
        return Some(Ok(Answer::data(&json!({ "secret": mounts, "auth": methods(namespace) }))));
    }
    let wanted = path.strip_prefix("mounts/")?;
    let Some((at, mount)) = namespace.mount(wanted).filter(|(at, _)| sees(at)) else {
        let words = format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{wanted}/\""
        );
        return Some(Err(Answer::refused(403, &words)));
    };
    let mut told = mount.json();
    told["path"] = at.into();
    Some(Ok(Answer::data(&told)))
}

/// The methods by which one signs in.
fn methods(namespace: &Namespace) -> Map<String, Json> {
    let told = |kind: &str| {
        let mut told = Mount::other(kind, "").json();
        told["config"]["token_type"] = "default-service".into();
        told
    };
    let own = namespace.methods.keys().map(|at| (at.clone(), told("approle")));
    own.chain([("token/".to_owned(), told("token"))]).collect()
}

/// Namespaces directly below one: name, path and what is said of it.
fn children<'a>(state: &'a State, parent: &'a str) -> impl Iterator<Item = (String, &'a str, &'a Namespace)> {
    below(state, parent).filter(|(name, _, _)| name.matches('/').count() == 1)
}

fn below<'a>(state: &'a State, parent: &'a str) -> impl Iterator<Item = (String, &'a str, &'a Namespace)> {
    let name = move |path: &str| path.strip_prefix(parent).filter(|name| !name.is_empty()).map(str::to_owned);
    state.namespaces.iter().filter_map(move |(path, namespace)| Some((name(path)?, path.as_str(), namespace)))
}

/// Carries out a request below `sys/`.
pub(super) fn answer(world: &World, state: &mut State, call: &Call<'_>, path: &str) -> Answered {
    let operation = call.request.operation;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match (first, operation) {
        ("seal", Operation::Write) => {
            state.is_sealed = true;
            Ok(Answer::done())
        }
        ("mounts", _) => mounts(state, call, rest),
        ("namespaces", _) => namespaces(state, call, rest),
        ("policies" | "policy", _) => policies(state, call, path, world),
        ("capabilities-self", Operation::Write) => capabilities(state, call),
        ("auth", _) => methods_of(state, call, rest),
        ("leases", Operation::Write) => {
            let prefix = rest.strip_prefix("revoke-prefix/").ok_or_else(unsupported)?;
            state.tokens.revoke_below(prefix);
            Ok(Answer::done())
        }
        ("quotas", _) => quotas(world, state, call, rest),
        _ => Err(unsupported()),
    }
}

fn unsupported() -> Answer {
    Answer::listed(404, &["unsupported path".to_owned()])
}

fn refused(words: &str) -> Answer {
    Answer::refused(400, words)
}

fn mounts(state: &mut State, call: &Call<'_>, path: &str) -> Answered {
    let Some(namespace) = state.namespaces.get_mut(&call.namespace) else { return Err(Answer::missing()) };
    let at = format!("{path}/");
    match call.request.operation {
        Operation::Read if path.is_empty() => {
            let all: Map<String, Json> = namespace.mounts.iter().map(|(at, it)| (at.clone(), it.json())).collect();
            Ok(Answer::doubled(&all.into()))
        }
        Operation::Read if path.ends_with("/tune") => {
            let at = path.strip_suffix("tune").unwrap_or_default();
            let mount = namespace.mounts.get(at).ok_or_else(|| refused("cannot fetch sysview for path"))?;
            let ttl = 2_764_800;
            let mut told = json!({
                "default_lease_ttl": ttl, "description": mount.description, "force_no_cache": false, "max_lease_ttl": ttl
            });
            if let Some(options) = mount.options.as_ref().filter(|options| !options.is_empty()) {
                told["options"] = json!(options);
            }
            Ok(Answer::doubled(&told))
        }
        Operation::Read => {
            let mount = namespace.mounts.get(&at).ok_or_else(|| refused(&format!("No secret engine mount at {at}")))?;
            Ok(Answer::doubled(&mount.json()))
        }
        Operation::Write if !path.is_empty() => {
            let body = &call.request.body;
            let kind = body.get("type").and_then(Node::text).filter(|kind| !kind.is_empty());
            let kind = kind.ok_or_else(|| refused("backend type must be specified as a string"))?;
            let text = |name: &str| body.get(name).and_then(Node::text).unwrap_or_default().to_owned();
            let version = body.get("options").and_then(|options| options.fields()?.get("version"));
            let is_second = matches!(version, Some(Node::Text(text) | Node::Number(text)) if text == "2");
            let mount = match kind {
                "kv" => Mount::kv(text("description"), is_second),
                "kv-v2" => Mount::kv(text("description"), true),
                "kv-v1" | "generic" => Mount::kv(text("description"), false),
                "transit" | "pki" | "database" | "ssh" | "totp" => Mount::other(kind, &text("description")),
                other => return Err(refused(&format!("plugin not found in the catalog: {other}"))),
            };
            let overlaps = |used: &&String| used.starts_with(&at) || at.starts_with(used.as_str());
            if let Some(used) = namespace.mounts.keys().find(overlaps) {
                return Err(refused(&format!("path is already in use at {used}")));
            }
            namespace.mounts.insert(at, mount);
            Ok(Answer::done())
        }
        Operation::Delete => {
            if matches!(namespace.mounts.get(&at), Some(Mount { engine: Engine::Other, kind, .. }) if kind == "system")
            {
                return Err(refused("cannot unmount \"sys/\""));
            }
            namespace.mounts.remove(&at);
            Ok(Answer::done())
        }
        _ => Err(Answer::unsupported()),
    }
}

fn namespaces(state: &mut State, call: &Call<'_>, name: &str) -> Answered {
    let path = format!("{}{name}/", call.namespace);
    match call.request.operation {
        Operation::List | Operation::Scan => {
            let is_scan = call.request.operation == Operation::Scan;
            let found: Vec<_> = if is_scan {
                below(state, &call.namespace).collect()
            } else {
                children(state, &call.namespace).collect()
            };
            if found.is_empty() {
                return Ok(Answer::missing());
            }
            let info: Map<String, Json> = found.iter().map(|(name, path, it)| (name.clone(), it.json(path))).collect();
            let keys: Vec<&String> = found.iter().map(|(name, _, _)| name).collect();
            Ok(Answer::data(&json!({ "keys": keys, "key_info": info })))
        }
        Operation::Read => {
            let found = state.namespaces.get(&path).filter(|_| !name.is_empty());
            Ok(found.map_or_else(Answer::missing, |namespace| Answer::data(&namespace.json(&path))))
        }
        Operation::Write => {
            let reserved = ["root", "sys", "audit", "auth", "cubbyhole", "identity"];
            let words = match name {
                name if name.contains('/') => "namespace name cannot contain /".to_owned(),
                name if name.contains(' ') => {
                    format!("\"{name}\" contains space characters that cannot be used in a namespace name")
                }
                name if reserved.contains(&name) => {
                    format!("\"{name}/\" is a reserved path and cannot be used as a namespace name")
                }
                _ => String::new(),
            };
            if !words.is_empty() {
                return Err(refused(&words));
            }
            let custom = call.request.body.get("custom_metadata").and_then(|it| it.write(Numbers::Exact));
            let custom = custom.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(|| json!({}));
            let namespace = state.namespaces.entry(path.clone()).or_insert_with(|| Namespace::new(Json::Null));
            namespace.custom = custom;
            Ok(Answer::data(&namespace.json(&path)))
        }
        Operation::Delete => {
            state.namespaces.retain(|at, _| !at.starts_with(&path));
            Ok(Answer::data(&json!({ "status": "in-progress" })))
        }
        Operation::Patch => Err(Answer::unsupported()),
    }
}

fn policies(state: &mut State, call: &Call<'_>, path: &str, world: &World) -> Answered {
    let (name, is_old) = match path.strip_prefix("policies/acl") {
        Some(name) => (name, false),
        None => (path.strip_prefix("policy").ok_or_else(unsupported)?, true),
    };
    let name = name.trim_matches('/').to_lowercase();
    let Some(namespace) = state.namespaces.get_mut(&call.namespace) else { return Err(Answer::missing()) };
    let policies = &mut namespace.policies;
    match call.request.operation {
        Operation::List | Operation::Read if name.is_empty() => {
            let keys: Vec<&str> = policies.keys().map(String::as_str).chain(["root"]).collect();
            Ok(Answer::data(&json!({ "keys": keys })))
        }
        Operation::Read => {
            let Some((text, _)) = policies.get(&name) else { return Ok(Answer::missing()) };
            let field = if is_old { "rules" } else { "policy" };
            let mut told = json!({
                "allow_slashes_in_identity_templates": false, "allow_wildcards_in_identity_templates": false,
                "cas_required": false, "modified": world.now(), "name": name, "version": 1,
            });
            told[field] = text.as_str().into();
            Ok(if is_old { Answer::doubled(&told) } else { Answer::data(&told) })
        }
        Operation::Write => {
            let text = call.request.body.get("policy").and_then(Node::text);
            let text = text.ok_or_else(|| refused("'policy' parameter not supplied or empty"))?;
            let policy = Policy::parse(text).map_err(|error| refused(&error))?;
            policies.insert(name, (text.to_owned(), policy));
            Ok(Answer::done())
        }
        Operation::Delete => {
            policies.remove(&name);
            Ok(Answer::done())
        }
        _ => Err(Answer::unsupported()),
    }
}

fn capabilities(state: &State, call: &Call<'_>) -> Answered {
    let body = &call.request.body;
    let paths = words(body, "paths").or_else(|| words(body, "path")).unwrap_or_default();
    if paths.is_empty() {
        return Err(refused("paths must be supplied"));
    }
    let found = |path: &String| state.capabilities(&call.token, &call.namespace, path);
    let mut told: BTreeMap<String, Vec<&str>> = paths.iter().map(|path| (path.clone(), found(path))).collect();
    if let [only] = paths.as_slice() {
        told.insert("capabilities".into(), found(only));
    }
    Ok(Answer::doubled(&json!(told)))
}

fn methods_of(state: &mut State, call: &Call<'_>, path: &str) -> Answered {
    let Some(namespace) = state.namespaces.get_mut(&call.namespace) else { return Err(Answer::missing()) };
    let at = format!("{path}/");
    match call.request.operation {
        Operation::Read if path.is_empty() => Ok(Answer::doubled(&methods(namespace).into())),
        Operation::Write => {
            if call.request.body.get("type").and_then(Node::text) != Some("approle") {
                return Err(refused("the sandbox has AppRole and no other method"));
            }
            if namespace.methods.contains_key(&at) {
                return Err(refused(&format!("path is already in use at {at}")));
            }
            namespace.methods.insert(at, BTreeMap::new());
            Ok(Answer::done())
        }
        Operation::Delete => {
            namespace.methods.remove(&at);
            Ok(Answer::done())
        }
        _ => Err(Answer::unsupported()),
    }
}

fn quotas(world: &World, state: &mut State, call: &Call<'_>, path: &str) -> Answered {
    let (body, operation) = (&call.request.body, call.request.operation);
    if path == "config" && operation == Operation::Write {
        state.quotas.tells_headers = body.get("enable_rate_limit_response_headers") == Some(&Node::Bool(true));
        return Ok(Answer::done());
    }
    let name = path.strip_prefix("rate-limit").ok_or_else(unsupported)?.trim_matches('/');
    match operation {
        Operation::List => {
            let names = state.quotas.names();
            Ok(if names.is_empty() { Answer::missing() } else { Answer::data(&json!({ "keys": names })) })
        }
        Operation::Read => Ok(state.quotas.get(name).map_or_else(Answer::missing, |quota| Answer::data(&quota))),
        Operation::Write => {
            let rate = match body.get("rate") {
                Some(Node::Number(text) | Node::Text(text)) => text.parse().unwrap_or(0.0),
                _ => 0.0,
            };
            if rate <= 0.0 {
                return Err(refused("'rate' is invalid"));
            }
            let at = body.get("path").and_then(Node::text).unwrap_or_default();
            let mounts = state.namespaces.get(&call.namespace).map(|namespace| &namespace.mounts);
            if !at.is_empty() && mounts.is_none_or(|mounts| !mounts.keys().any(|mount| at.starts_with(mount.as_str())))
            {
                return Err(refused(&format!("invalid mount path \"{at}\"")));
            }
            let full = format!("{}{at}", call.namespace);
            let interval = seconds(body, "interval").filter(|it| *it > 0).unwrap_or(1);
            let block = seconds(body, "block_interval").unwrap_or(0);
            state.quotas.set(name, Quota::new(rate, interval, block, full, world.now()));
            Ok(Answer::done())
        }
        Operation::Delete => {
            state.quotas.remove(name);
            Ok(Answer::done())
        }
        _ => Err(Answer::unsupported()),
    }
}
