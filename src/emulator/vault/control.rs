//! The switches of a running server, for tests, drills and the demo; over HTTP at `/_sandbox/`.
//!
//! `POST /_sandbox/control` takes an object; what is present is done, in this order: `{"sealed": bool, "down": bool,`
//! `"latency_ms": n, "clear_faults": true, "fault": {path?, when: "always" | {"nth": n} | {"rate": f}, kind:`
//! `{"rate_limited": seconds} | "sealed" | "denied" | "token_ended" | "internal_error" | "drop" | "drop_after"},`
//! `"end_tokens": true, "corrupt": {mount, key, version?}, "reset_calls": true}`. `GET /_sandbox/calls` counts requests.

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
    request::Raw,
    route::{self, Outcome},
    state::{Engine, World},
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
    #[error("the sandbox answers {path} with {status}")]
    Refused {
        /// The path of the request.
        path: String,
        /// The status.
        status: u16,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Switches {
    sealed: Option<bool>,
    down: Option<bool>,
    latency_ms: Option<u64>,
    clear_faults: bool,
    fault: Option<Fault>,
    end_tokens: bool,
    corrupt: Option<Corrupt>,
    reset_calls: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corrupt {
    mount: String,
    key: String,
    #[serde(default)]
    version: u64,
}

impl Control {
    /// Seals the server, or opens it again.
    pub fn set_sealed(&self, sealed: bool) {
        self.world.state().is_sealed = sealed;
    }

    /// Makes every connection close without an answer, or takes that back.
    pub fn set_down(&self, down: bool) {
        self.is_down.store(down, Ordering::Relaxed);
    }

    /// Answers after this much more time.
    pub fn set_latency(&self, latency: Duration) {
        self.world.latency.set(latency);
    }

    /// Orders a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Ends every token but the root one: what expires in the middle of a run.
    pub fn end_tokens(&self) {
        let root = self.world.root.clone();
        self.world.state().tokens.revoke_but(&root);
    }

    /// Requests since start or reset, by operation and by what they are about, such as `read data`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.world.state().calls.clone()
    }

    /// Sets all counters to zero.
    pub fn reset_calls(&self) {
        self.world.state().calls.clear();
    }

    /// Changes one byte of a stored value and nothing else; answers the version. 0 is the current one.
    ///
    /// # Errors
    /// No such engine, key or version, or one without a value.
    pub fn corrupt_value(&self, mount: &str, key: &str, version: u64) -> Result<u64, ControlError> {
        let mut state = self.world.state();
        let found = state.namespaces.get_mut("").and_then(|top| top.mounts.get_mut(&format!("{mount}/")));
        let changed = match found.map(|found| &mut found.engine) {
            Some(Engine::Versioned(engine)) => engine.corrupt(key, version),
            _ => None,
        };
        changed.ok_or_else(|| ControlError::NotFound(format!("version of {mount}/{key}")))
    }

    /// Sends a request as root, without a connection: a path below `/v1/`, escaped, and a body.
    ///
    /// # Errors
    /// What is answered is no success.
    pub fn request(&self, method: &str, path: &str, body: &Json) -> Result<Json, ControlError> {
        let refused = |status| ControlError::Refused { path: path.to_owned(), status };
        let escaped = format!("/v1/{path}");
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let raw = Raw {
            method,
            path: &escaped,
            query: "",
            content_type: "application/json",
            namespace: "",
            token: &self.world.root,
            body: &body,
        };
        match route::answer(&self.world, &raw) {
            Outcome::Answered(answer) if answer.status < 300 => {
                Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
            }
            Outcome::Answered(answer) => Err(refused(answer.status)),
            Outcome::Dropped => Err(refused(0)),
        }
    }

    fn turn(&self, switches: Switches) -> Result<Json, ControlError> {
        if let Some(sealed) = switches.sealed {
            self.set_sealed(sealed);
        }
        if let Some(down) = switches.down {
            self.set_down(down);
        }
        if let Some(millis) = switches.latency_ms {
            self.set_latency(Duration::from_millis(millis));
        }
        if switches.clear_faults {
            self.clear_faults();
        }
        if let Some(fault) = switches.fault {
            self.add_fault(fault);
        }
        if switches.end_tokens {
            self.end_tokens();
        }
        let mut done = json!({});
        if let Some(Corrupt { mount, key, version }) = switches.corrupt {
            done["corrupted"] = self.corrupt_value(&mount, &key, version)?.into();
        }
        if switches.reset_calls {
            self.reset_calls();
        }
        Ok(done)
    }
}

/// The status and JSON for a request under `/_sandbox/`.
pub(super) fn answer(control: &Control, method: &Method, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let answer = match (method, path) {
        (&Method::GET, "/_sandbox/calls") => Ok(json!({ "calls": control.calls() })),
        (&Method::POST, "/_sandbox/control") => match serde_json::from_slice(body) {
            Ok(switches) => control.turn(switches),
            Err(_) => Err(ControlError::BadRequest),
        },
        _ => return (404, json!({ "error": "no such switch" }).to_string().into_bytes()),
    };
    match answer {
        Ok(done) => (200, done.to_string().into_bytes()),
        Err(error) => (400, json!({ "error": error.to_string() }).to_string().into_bytes()),
    }
}
