//! A sandbox that answers as Google Cloud Secret Manager does: REST v1, global and regional secrets, on loopback.
//!
//! Everything is in memory. Nobody here has an account at Google, so it is held against what Google publishes: every answer
//! against the discovery document, and Google's own Python client drives it (`tests/it/gcp_face.rs`). Decisions where a
//! sandbox must differ, or where nothing is published:
//!
//! - Web pages are kept out, and the switches under `/_sandbox/` need a token, as in the AWS face.
//! - One address serves every location: at Google each has a host of its own, and the path says the same.
//! - A project exists as soon as it is named. Its number is made from its id, or is the number that was named.
//! - No token is needed, unless a switch asks for one. IAM policies are stored and decide nothing (use a [`GcpFault`]).
//! - Adding a version does not change the secret's etag.
//! - Topics, keys and members of policies are taken as existing. Nothing is rotated.
//! - `cloudresourcemanager`'s `projects.get` (v3) is answered beside it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::net::TcpListener;

use super::{front::Running, guard};
use crate::clock::{Clock, SystemClock};

mod answer;
mod check;
mod control;
mod faults;
mod http;
mod iam;
mod quotas;
mod request;
mod route;
mod secrets;
mod state;
mod update;
mod versions;

pub use control::{Control as GcpControl, ControlError as GcpControlError};
pub use faults::{Fault as GcpFault, FaultKind as GcpFaultKind};

/// How a sandbox of this kind starts.
#[derive(Clone)]
pub struct GcpSandboxOptions {
    /// Where to listen; loopback only, port 0 takes a free one.
    pub bind: SocketAddr,
    /// The time written into dates, and the time that expiry, delayed destruction and quotas count.
    pub clock: Arc<dyn Clock>,
    /// Whether Google's request quotas are enforced.
    pub quotas: bool,
    /// Added to every answer.
    pub latency: Duration,
    /// What the switches need; without it a new one.
    pub switches: Option<String>,
}

impl Default for GcpSandboxOptions {
    fn default() -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { bind, clock: Arc::new(SystemClock), quotas: false, latency: Duration::ZERO, switches: None }
    }
}

/// A running server; dropping it stops it.
pub struct GcpSandbox {
    control: GcpControl,
    running: Running,
}

impl GcpSandbox {
    /// Listens and answers until [`GcpSandbox::shutdown`] or drop, on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` if the address is not loopback, otherwise what binding says.
    pub async fn start(options: GcpSandboxOptions) -> io::Result<Self> {
        let listener = super::listen(options.bind).await?;
        Self::serve(listener, options)
    }

    fn serve(listener: TcpListener, options: GcpSandboxOptions) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let world = Arc::new(state::World::new(options.clock, options.quotas, options.latency));
        let control = GcpControl { world, is_down: Arc::new(AtomicBool::new(false)) };
        let guard = Arc::new(match options.switches {
            Some(token) => guard::Guard::with_token(address, token),
            None => guard::Guard::new(address),
        });
        let face = http::Face { control: control.clone(), guard: Arc::clone(&guard) };
        let running = Running::start(address, guard, |stopped| http::serve(listener, face, stopped));
        Ok(Self { control, running })
    }

    /// The endpoint as clients take it: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// What the header `x-lifeboat-sandbox` of a request under `/_sandbox/` must hold.
    pub fn token(&self) -> &str {
        self.running.token()
    }

    /// The switches.
    pub fn control(&self) -> GcpControl {
        self.control.clone()
    }

    /// Closes every connection and stops listening.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
    }
}
