//! Everything a server keeps: secrets with their versions, by project and location.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{answer::Refusal, check, faults::Fault, quotas::Quotas, request::Scope};
use crate::{
    clock::Clock,
    emulator::{faults::Faults, front::Latency},
};

/// The locations that secrets can be bound to here.
pub(super) const LOCATIONS: [&str; 5] = ["europe-west1", "europe-west3", "europe-west4", "us-central1", "us-east1"];

/// All state of one server.
pub(super) struct World {
    clock: Arc<dyn Clock>,
    pub(super) latency: Latency,
    pub(super) faults: Faults<Fault>,
    state: Mutex<State>,
}

/// What requests read and change.
pub(super) struct State {
    /// By the project's number and the location.
    pub(super) scopes: BTreeMap<Scope, BTreeMap<String, Secret>>,
    /// Ids of projects by their numbers.
    pub(super) projects: BTreeMap<String, String>,
    /// What requests must be signed with, where anything is asked for.
    pub(super) token: Option<String>,
    pub(super) quotas: Quotas,
    /// Requests by what they do.
    pub(super) calls: BTreeMap<String, u64>,
    /// Counts every change, for etags and the order of listings.
    changes: u64,
}

/// One secret.
pub(super) struct Secret {
    pub(super) created: Timestamp,
    /// Its place in listings: the newest comes first.
    pub(super) order: u64,
    pub(super) etag: String,
    /// What the caller said of it, as it was said.
    pub(super) fields: Map<String, Json>,
    /// The first one has the number 1.
    pub(super) versions: Vec<Version>,
    pub(super) policy: Option<Json>,
}

/// What can be done with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionState {
    Enabled,
    Disabled,
    Destroyed,
}

/// One version.
pub(super) struct Version {
    pub(super) created: Timestamp,
    pub(super) state: VersionState,
    pub(super) destroyed: Option<Timestamp>,
    pub(super) scheduled: Option<Timestamp>,
    pub(super) etag: String,
    pub(super) has_checksum: bool,
    pub(super) data: Option<Zeroizing<Vec<u8>>>,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>, quotas: bool, latency: Duration) -> Self {
        let state = State {
            scopes: BTreeMap::new(),
            projects: BTreeMap::new(),
            token: None,
            quotas: Quotas::new(quotas),
            calls: BTreeMap::new(),
            changes: 0,
        };
        Self { clock, latency: latency.into(), faults: Faults::default(), state: Mutex::new(state) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The number of a project that is named by its id or its number.
    pub(super) fn number(&mut self, project: &str) -> String {
        if project.bytes().all(|byte| byte.is_ascii_digit()) {
            return project.to_owned();
        }
        let digest = Sha256::digest(project);
        let bytes: [u8; 8] = digest[..8].try_into().expect("a digest has more bytes");
        let number = (100_000_000_000 + u64::from_be_bytes(bytes) % 900_000_000_000).to_string();
        self.projects.entry(number.clone()).or_insert_with(|| project.to_owned());
        number
    }

    /// The scope by the project's number; a location must be one.
    pub(super) fn settled(&mut self, scope: &Scope) -> Result<Scope, Refusal> {
        let number = self.number(&scope.project);
        if let Some(location) = scope.location.as_ref().filter(|it| !LOCATIONS.contains(&it.as_str())) {
            return Err(Refusal::missing("Location", &format!("projects/{number}/locations/{location}")));
        }
        Ok(Scope { project: number, location: scope.location.clone() })
    }

    pub(super) fn secret(&mut self, scope: &Scope, id: &str) -> Result<&mut Secret, Refusal> {
        let missing = || Refusal::missing("Secret", &name(scope, id));
        self.scopes.get_mut(scope).and_then(|secrets| secrets.get_mut(id)).ok_or_else(missing)
    }

    /// The number of the next change.
    pub(super) fn change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// Lets pass what time brings: secrets expire, and versions whose destruction was asked for are destroyed.
    pub(super) fn tick(&mut self, now: Timestamp) {
        for secrets in self.scopes.values_mut() {
            let is_over = |secret: &Secret| {
                let end = secret.fields.get("expireTime").and_then(Json::as_str);
                end.and_then(|end| end.parse::<Timestamp>().ok()).is_some_and(|end| end <= now)
            };
            secrets.retain(|_, secret| !is_over(secret));
            for version in secrets.values_mut().flat_map(|secret| &mut secret.versions) {
                if version.scheduled.is_some_and(|at| at <= now) {
                    version.destroy(now);
                }
            }
        }
    }
}

/// The name of a secret.
pub(super) fn name(scope: &Scope, id: &str) -> String {
    format!("{}/secrets/{id}", parent(scope))
}

/// The name of a project or of one of its locations.
pub(super) fn parent(scope: &Scope) -> String {
    match &scope.location {
        Some(location) => format!("projects/{}/locations/{location}", scope.project),
        None => format!("projects/{}", scope.project),
    }
}

/// An etag: a number in quotes.
pub(super) fn etag(change: u64) -> String {
    format!("\"{:014x}\"", 0x16_0000_0000_0000 + change)
}

/// As Google writes times: with microseconds.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

impl Secret {
    pub(super) fn json(&self, scope: &Scope, id: &str) -> Json {
        let mut json = self.fields.clone();
        json.insert("name".into(), json!(name(scope, id)));
        json.insert("createTime".into(), json!(time(self.created)));
        json.insert("etag".into(), json!(self.etag));
        Json::Object(json)
    }

    /// The position of a version by its number, by an alias or as the latest one.
    pub(super) fn position(&self, scope: &Scope, id: &str, version: &str) -> Result<usize, Refusal> {
        let alias = || self.fields.get("versionAliases")?.get(version)?.as_str()?.parse::<usize>().ok();
        let number = match version {
            "latest" => Some(self.versions.len()),
            _ => version.parse().ok().or_else(alias),
        };
        let position = number.and_then(|number| number.checked_sub(1)).filter(|at| *at < self.versions.len());
        position.ok_or_else(|| Refusal::missing("Secret Version", &format!("{}/versions/{version}", name(scope, id))))
    }

    /// Whether an alias leads to a version that is not there.
    pub(super) fn has_wrong_alias(&self) -> bool {
        let numbers = self.fields.get("versionAliases").and_then(Json::as_object);
        numbers.into_iter().flat_map(Map::values).any(|number| {
            let number = number.as_str().and_then(|text| text.parse::<usize>().ok());
            number.is_none_or(|number| number == 0 || number > self.versions.len())
        })
    }

    /// After how many seconds a version is destroyed whose destruction is asked for.
    pub(super) fn delay(&self) -> Option<i64> {
        let ttl = self.fields.get("versionDestroyTtl").and_then(Json::as_str)?;
        check::seconds(ttl).ok().filter(|seconds| *seconds > 0)
    }
}

impl VersionState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Destroyed => "DESTROYED",
        }
    }
}

impl Version {
    pub(super) fn destroy(&mut self, now: Timestamp) {
        self.state = VersionState::Destroyed;
        (self.destroyed, self.scheduled, self.data) = (Some(now), None, None);
    }

    pub(super) fn json(&self, scope: &Scope, id: &str, number: usize, fields: &Map<String, Json>) -> Json {
        let mut json = json!({
            "name": format!("{}/versions/{number}", name(scope, id)),
            "createTime": time(self.created),
            "state": self.state.name(),
            "etag": self.etag,
        });
        if self.has_checksum {
            json["clientSpecifiedPayloadChecksum"] = true.into();
        }
        if let Some(at) = self.destroyed {
            json["destroyTime"] = time(at).into();
        }
        if let Some(at) = self.scheduled {
            json["scheduledDestroyTime"] = time(at).into();
        }
        let key = |holder: &Json| {
            let key = holder["customerManagedEncryption"]["kmsKeyName"].as_str()?;
            Some(json!({ "kmsKeyVersionName": format!("{key}/cryptoKeyVersions/1") }))
        };
        if let Some(replication) = fields.get("replication") {
            let status = match replication["userManaged"]["replicas"].as_array() {
                Some(replicas) => {
                    let replica = |replica: &Json| {
                        let mut status = json!({ "location": replica["location"] });
                        if let Some(key) = key(replica) {
                            status["customerManagedEncryption"] = key;
                        }
                        status
                    };
                    json!({ "userManaged": { "replicas": replicas.iter().map(replica).collect::<Vec<_>>() } })
                }
                None => match key(&replication["automatic"]) {
                    Some(key) => json!({ "automatic": { "customerManagedEncryption": key } }),
                    None => json!({ "automatic": {} }),
                },
            };
            json["replicationStatus"] = status;
        } else if let Some(key) = key(&Json::Object(fields.clone())) {
            json["customerManagedEncryption"] = key;
        }
        json
    }
}
