//! The switches of a running server, for tests, drills and the demo; over HTTP at `/_sandbox/`.
//!
//! `POST /_sandbox/control` takes an object; what is present is done, in this order: `{"down": bool, "latency_ms": n,`
//! `"quotas": bool, "token": "TEXT", "clear_faults": true, "fault": {path?, when: "always" | {"nth": n} | {"rate": f}, kind:`
//! `"exhausted" | "unavailable" | "internal_error" | "denied" | "token_ended" | "key_disabled" | "drop" | "drop_after"},`
//! `"corrupt": {project, location?, secret, version}, "reset_calls": true}`. `GET /_sandbox/calls` counts requests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    faults::Fault,
    request::{Raw, Scope},
    route::{self, Outcome},
    state::World,
};

/// The switches of one server.
#[derive(Clone)]
pub struct Control {
    pub(super) world: Arc<World>,
    pub(super) is_down: Arc<AtomicBool>,
}

/// A switch that cannot be turned.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is nothing of this name.
    #[error("the sandbox has no {0} that can be read")]
    NotFound(String),
    /// The switches are not in the known form.
    #[error("the switches are not in the known form")]
    BadRequest,
    /// The server answers something else than a success.
    #[error("the sandbox answers {path} with {status}: {message}")]
    Refused {
        /// The path of the request.
        path: String,
        /// The status.
        status: u16,
        /// What it says.
        message: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Switches {
    down: Option<bool>,
    latency_ms: Option<u64>,
    quotas: Option<bool>,
    token: Option<String>,
    clear_faults: bool,
    fault: Option<Fault>,
    corrupt: Option<Corrupt>,
    reset_calls: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corrupt {
    project: String,
    #[serde(default)]
    location: Option<String>,
    secret: String,
    version: u64,
}

impl Control {
    /// Makes every connection close without an answer, or takes that back.
    pub fn set_down(&self, down: bool) {
        self.is_down.store(down, Ordering::Relaxed);
    }

    /// Answers after this much more time.
    pub fn set_latency(&self, latency: Duration) {
        self.world.latency.set(latency);
    }

    /// Enforces Google's request quotas, or stops that.
    pub fn set_quotas(&self, are_enforced: bool) {
        self.world.state().quotas.are_enforced = are_enforced;
    }

    /// Asks every request for this token; `None` asks for none.
    pub fn set_token(&self, token: Option<String>) {
        self.world.state().token = token;
    }

    /// Orders a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Requests since start or reset, by method, such as `versions.access`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.world.state().calls.clone()
    }

    /// Sets all counters to zero.
    pub fn reset_calls(&self) {
        self.world.state().calls.clear();
    }

    /// The number of a project that is named by its id.
    pub fn project_number(&self, id: &str) -> String {
        self.world.state().number(id)
    }

    /// Changes one byte of a stored value and nothing else; its checksum is that of the changed value.
    ///
    /// # Errors
    /// No such secret or version, or one without a value.
    pub fn corrupt_value(
        &self,
        (project, location): (&str, Option<&str>),
        secret: &str,
        version: u64,
    ) -> Result<(), ControlError> {
        let mut state = self.world.state();
        let scope = Scope { project: state.number(project), location: location.map(str::to_owned) };
        let missing = || ControlError::NotFound(format!("version {version} of {secret}"));
        let at = usize::try_from(version).ok().and_then(|number| number.checked_sub(1)).ok_or_else(missing)?;
        let found = state.secret(&scope, secret).map_err(|_| missing())?.versions.get_mut(at);
        let byte = found.and_then(|version| version.data.as_mut()?.first_mut()).ok_or_else(missing)?;
        *byte ^= 1;
        Ok(())
    }

    /// Sends a request without a connection: a path with its query, escaped, and a body.
    ///
    /// # Errors
    /// What is answered is no success.
    pub fn request(&self, method: &str, path: &str, body: &Json) -> Result<Json, ControlError> {
        let refused = |status, message: &str| ControlError::Refused {
            path: path.to_owned(),
            status,
            message: message.to_owned(),
        };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let token = self.world.state().token.clone().unwrap_or_default();
        let raw = Raw { method, path: bare, query, token: &token, body: &bytes };
        match route::answer(&self.world, &raw) {
            Outcome::Answered(200, answer) => Ok(answer),
            Outcome::Answered(status, answer) => {
                Err(refused(status, answer["error"]["message"].as_str().unwrap_or_default()))
            }
            Outcome::Dropped => Err(refused(0, "no answer")),
        }
    }

    fn turn(&self, switches: Switches) -> Result<Json, ControlError> {
        if let Some(down) = switches.down {
            self.set_down(down);
        }
        if let Some(millis) = switches.latency_ms {
            self.set_latency(Duration::from_millis(millis));
        }
        if let Some(quotas) = switches.quotas {
            self.set_quotas(quotas);
        }
        if let Some(token) = switches.token {
            self.set_token(Some(token).filter(|token| !token.is_empty()));
        }
        if switches.clear_faults {
            self.clear_faults();
        }
        if let Some(fault) = switches.fault {
            self.add_fault(fault);
        }
        if let Some(Corrupt { project, location, secret, version }) = switches.corrupt {
            self.corrupt_value((&project, location.as_deref()), &secret, version)?;
        }
        if switches.reset_calls {
            self.reset_calls();
        }
        Ok(json!({}))
    }
}

/// The status and JSON for a request under `/_sandbox/`.
pub(super) fn answer(control: &Control, method: &Method, path: &str, body: &[u8]) -> (u16, Json) {
    let answer = match (method, path) {
        (&Method::GET, "/_sandbox/calls") => Ok(json!({ "calls": control.calls() })),
        (&Method::POST, "/_sandbox/control") => match serde_json::from_slice(body) {
            Ok(switches) => control.turn(switches),
            Err(_) => Err(ControlError::BadRequest),
        },
        _ => return (404, json!({ "error": "no such switch" })),
    };
    match answer {
        Ok(done) => (200, done),
        Err(error) => (400, json!({ "error": error.to_string() })),
    }
}
