//! Everything a server keeps: namespaces with their engines and policies, tokens, and whether it is sealed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{
    answer::uuid,
    faults::Fault,
    json::Node,
    kv,
    policy::{self, Policy},
    quotas::Quotas,
    tokens::{Role, Token, Tokens},
};
use crate::{
    clock::Clock,
    emulator::{faults::Faults, front::Latency, ops::random_text},
};

/// All state of one server.
pub(super) struct World {
    clock: Arc<dyn Clock>,
    /// What a place is known by, whatever its address.
    pub(super) cluster: String,
    /// The token that may do everything.
    pub(super) root: String,
    pub(super) latency: Latency,
    pub(super) faults: Faults<Fault>,
    state: Mutex<State>,
}

/// What requests read and change.
pub(super) struct State {
    pub(super) is_sealed: bool,
    /// By path: empty is the root, every other ends in `/`.
    pub(super) namespaces: BTreeMap<String, Namespace>,
    pub(super) tokens: Tokens,
    pub(super) quotas: Quotas,
    /// Requests by operation and by what they are about, such as `read data`.
    pub(super) calls: BTreeMap<String, u64>,
}

/// One namespace.
pub(super) struct Namespace {
    pub(super) id: String,
    pub(super) uuid: String,
    pub(super) custom: Json,
    /// By path, which ends in `/`.
    pub(super) mounts: BTreeMap<String, Mount>,
    pub(super) policies: BTreeMap<String, (String, Policy)>,
    /// AppRole methods by path, which ends in `/`; their roles by name.
    pub(super) methods: BTreeMap<String, BTreeMap<String, Role>>,
}

/// One engine.
pub(super) struct Mount {
    pub(super) uuid: String,
    pub(super) accessor: String,
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) options: Option<BTreeMap<String, String>>,
    pub(super) engine: Engine,
}

/// What an engine holds.
pub(super) enum Engine {
    Versioned(kv::Engine),
    Plain(BTreeMap<String, Node>),
    /// Another kind, of which only the name is known here.
    Other,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>, latency: Duration) -> Self {
        let root = format!("s.{}", random_text(24));
        let mut tokens = Tokens::default();
        tokens.root(&root, clock.now());
        let mut top = Namespace::new(Json::Null);
        top.mounts.insert("secret/".into(), Mount::kv("key/value secret storage".into(), true));
        for (path, kind, description) in [
            ("cubbyhole/", "cubbyhole", "per-token private secret storage"),
            ("identity/", "identity", "identity store"),
            ("sys/", "system", "system endpoints used for control, policy and debugging"),
        ] {
            top.mounts.insert(path.into(), Mount::other(kind, description));
        }
        let state = State {
            is_sealed: false,
            namespaces: [(String::new(), top)].into(),
            tokens,
            quotas: Quotas::default(),
            calls: BTreeMap::new(),
        };
        Self {
            clock,
            cluster: uuid(),
            root,
            latency: latency.into(),
            faults: Faults::default(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The namespace that a path is in, of those below `base`, and the rest of the path.
    pub(super) fn locate(&self, base: &str, path: &str) -> Option<(String, String)> {
        self.namespaces.contains_key(base).then_some(())?;
        let full = format!("{base}{path}");
        let fits = |namespace: &&String| namespace.len() >= base.len() && full.starts_with(namespace.as_str());
        let namespace = self.namespaces.keys().filter(fits).max_by_key(|namespace| namespace.len())?;
        Some((namespace.clone(), full[namespace.len()..].to_owned()))
    }

    /// What a token may do at a path of a namespace; `deny` if nothing.
    pub(super) fn capabilities<'a>(&'a self, token: &'a Token, namespace: &str, path: &str) -> Vec<&'a str> {
        if token.is_root() {
            return vec!["root"];
        }
        let Some(below) = namespace.strip_prefix(token.namespace.as_str()) else { return vec!["deny"] };
        Policy::capabilities(self.policies(token), &format!("{below}{path}"))
    }

    /// Whether a token may do anything below a mount of a namespace.
    pub(super) fn reaches(&self, token: &Token, namespace: &str, mount: &str) -> bool {
        let Some(below) = namespace.strip_prefix(token.namespace.as_str()) else { return false };
        token.is_root() || self.policies(token).any(|policy| policy.reaches(&format!("{below}{mount}")))
    }

    fn policies<'a>(&'a self, token: &'a Token) -> impl Iterator<Item = &'a Policy> + Clone + 'a {
        let all = self.namespaces.get(&token.namespace).map(|namespace| &namespace.policies);
        token.policies.iter().filter_map(move |name| all?.get(name)).map(|(_, policy)| policy)
    }
}

impl Namespace {
    pub(super) fn new(custom: Json) -> Self {
        let default = Policy::parse(policy::DEFAULT).unwrap_or_default();
        Self {
            id: random_text(6),
            uuid: uuid(),
            custom,
            mounts: BTreeMap::new(),
            policies: [("default".to_owned(), (policy::DEFAULT.trim().to_owned(), default))].into(),
            methods: BTreeMap::new(),
        }
    }

    /// The mount that a path is in, with its own path.
    pub(super) fn mount(&self, path: &str) -> Option<(&str, &Mount)> {
        let path = format!("{path}/");
        let found = self.mounts.iter().filter(|(mount, _)| path.starts_with(mount.as_str()));
        found.max_by_key(|(mount, _)| mount.len()).map(|(at, mount)| (at.as_str(), mount))
    }

    pub(super) fn json(&self, path: &str) -> Json {
        json!({
            "custom_metadata": self.custom, "id": self.id, "locked": false, "path": path, "tainted": false,
            "uuid": self.uuid,
        })
    }
}

impl Mount {
    /// A key-value engine, versioned or plain.
    pub(super) fn kv(description: String, is_versioned: bool) -> Self {
        let engine =
            if is_versioned { Engine::Versioned(kv::Engine::default()) } else { Engine::Plain(BTreeMap::new()) };
        let options = if is_versioned { [("version".to_owned(), "2".to_owned())].into() } else { BTreeMap::new() };
        Self { description, options: Some(options), engine, ..Self::other("kv", "") }
    }

    /// An engine that answers nothing.
    pub(super) fn other(kind: &str, description: &str) -> Self {
        Self {
            uuid: uuid(),
            accessor: format!("{kind}_{}", &uuid()[..8]),
            kind: kind.to_owned(),
            description: description.to_owned(),
            options: None,
            engine: Engine::Other,
        }
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "accessor": self.accessor,
            "config": { "default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0 },
            "deprecation_status": "supported", "description": self.description, "external_entropy_access": false,
            "local": false, "options": self.options, "plugin_version": "",
            "running_plugin_version": "v2.7.2+builtin.bao", "running_sha256": "", "seal_wrap": false,
            "type": self.kind, "uuid": self.uuid,
        })
    }
}
