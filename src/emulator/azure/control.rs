//! The switches of a running server, for tests, drills and the demo; over HTTP at `/_sandbox/`.
//!
//! `POST /_sandbox/control` takes an object; what is present is done, in this order: `{"down": bool, "latency_ms": n,`
//! `"quotas": bool, "lag": n, "clear_faults": true, "fault": {request?, when: "always" | {"nth": n} | {"rate": f}, kind:`
//! `{"throttled": seconds} | "denied" | "firewall" | "policy" | "unauthorized" | "internal_error" | "drop" | "drop_after"},`
//! `"end_tokens": true, "tenant": {vault, tenant}, "protect": vault, "managed": {vault, secret},`
//! `"corrupt": {vault, secret, version?}, "reset_calls": true}`. `GET /_sandbox/calls` counts requests.

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
    rights,
    secrets::{self, Call},
    state::{Secret, World},
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
    #[error("the sandbox has no {0}")]
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
    down: Option<bool>,
    latency_ms: Option<u64>,
    quotas: Option<bool>,
    lag: Option<u32>,
    clear_faults: bool,
    fault: Option<Fault>,
    end_tokens: bool,
    tenant: Option<Tenant>,
    protect: Option<String>,
    managed: Option<Named>,
    corrupt: Option<Named>,
    reset_calls: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenant {
    vault: String,
    tenant: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    vault: String,
    secret: String,
    #[serde(default)]
    version: String,
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

    /// Enforces the service limits, or stops that.
    pub fn set_quotas(&self, are_enforced: bool) {
        self.world.quotas.store(are_enforced, Ordering::Relaxed);
    }

    /// For so many requests what is deleted from now on, or recovered, is not found in its new place.
    pub fn set_lag(&self, requests: u32) {
        self.world.state().lag = requests;
    }

    /// Orders a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Ends every token: what expires in the middle of a run.
    pub fn end_tokens(&self) {
        self.world.state().tokens.clear();
    }

    /// Moves a vault to another tenant: its tokens are no longer taken.
    pub fn set_tenant(&self, vault: &str, tenant: &str) {
        tenant.clone_into(&mut self.world.state().vault(vault, &self.world.tenant).tenant);
    }

    /// From now on nothing of a vault is purged before its time.
    pub fn protect(&self, vault: &str) {
        self.world.state().vault(vault, &self.world.tenant).is_protected = true;
    }

    /// Gives somebody a role by its name: at the vault, at something below it (`/secrets/NAME`), or at another scope.
    pub fn grant(&self, vault: &str, scope: &str, principal: &str, role: &str) {
        let at =
            if scope.is_empty() || scope.starts_with("/secrets/") { rights::resource(vault) } else { String::new() };
        let assignment = [format!("{at}{scope}"), principal.to_owned(), role.to_owned()];
        self.world.state().vault(vault, &self.world.tenant).rights.assignments.push(assignment);
    }

    /// Gives a vault access policies, which then count instead of roles.
    pub fn set_access_policies(&self, vault: &str, policies: Vec<Json>) {
        self.world.state().vault(vault, &self.world.tenant).rights.policies = policies;
    }

    /// Makes a secret that of a certificate.
    ///
    /// # Errors
    /// No such secret.
    pub fn set_managed(&self, vault: &str, secret: &str) -> Result<(), ControlError> {
        self.with(vault, secret, |secret| secret.is_managed = true)
    }

    /// Requests since start or reset, by method and by what they are about, such as `GET secret`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.world.state().calls.clone()
    }

    /// Sets all counters to zero.
    pub fn reset_calls(&self) {
        self.world.state().calls.clear();
    }

    /// Changes one character of a stored value and nothing else; an empty version is the current one.
    ///
    /// # Errors
    /// No such secret or version.
    pub fn corrupt_value(&self, vault: &str, secret: &str, version: &str) -> Result<(), ControlError> {
        let missing = || ControlError::NotFound(format!("version of {vault}/{secret}"));
        self.with(vault, secret, |secret| {
            let found = match version {
                "" => secret.versions.last_mut(),
                id => secret.versions.iter_mut().find(|version| version.id == id),
            };
            let found = found.ok_or_else(missing)?;
            let last = found.value.pop().unwrap_or('a');
            found.value.push(if last == 'x' { 'y' } else { 'x' });
            Ok(())
        })?
    }

    /// Sends a request without a connection and without a token: a method, a path below the vault, and a body.
    ///
    /// # Errors
    /// What is answered is no success.
    pub fn request(&self, vault: &str, method: &str, path: &str, body: &Json) -> Result<Json, ControlError> {
        let segments: Vec<&str> = path.split('/').collect();
        let (address, now) = (self.world.vault(vault), self.world.now());
        let mut state = self.world.state();
        let lag = state.lag;
        let call = Call {
            method,
            segments: &segments,
            body,
            most: secrets::MOST_PAGE,
            skip: None,
            version: "2025-07-01",
            address: &address,
            now,
            lag,
        };
        match secrets::answer(state.vault(vault, &self.world.tenant), &call).1 {
            Ok(answer) => Ok(serde_json::from_slice(&answer.body).unwrap_or_default()),
            Err(refusal) => Err(ControlError::Refused { path: path.to_owned(), status: refusal.status }),
        }
    }

    fn with<T>(&self, vault: &str, secret: &str, change: impl FnOnce(&mut Secret) -> T) -> Result<T, ControlError> {
        let mut state = self.world.state();
        let vaults = state.vault(vault, &self.world.tenant);
        let found = vaults.secrets.get_mut(&secret.to_ascii_lowercase());
        found.map(change).ok_or_else(|| ControlError::NotFound(format!("secret {vault}/{secret}")))
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
        if let Some(requests) = switches.lag {
            self.set_lag(requests);
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
        if let Some(Tenant { vault, tenant }) = switches.tenant {
            self.set_tenant(&vault, &tenant);
        }
        if let Some(vault) = switches.protect {
            self.protect(&vault);
        }
        if let Some(Named { vault, secret, .. }) = switches.managed {
            self.set_managed(&vault, &secret)?;
        }
        if let Some(Named { vault, secret, version }) = switches.corrupt {
            self.corrupt_value(&vault, &secret, &version)?;
        }
        if switches.reset_calls {
            self.reset_calls();
        }
        Ok(json!({}))
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
