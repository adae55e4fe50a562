//! A sandbox that answers as a Vault does: KV engines of both versions, namespaces, tokens and policies, on loopback.
//!
//! Everything is in memory. It is held against OpenBao 2.7.2, answer by answer (`tests/it/vault_face.rs`). Decisions where a
//! sandbox must differ, or where only a part is there:
//!
//! - Web pages are kept out, and the switches under `/_sandbox/` need a token, as in the AWS face.
//! - The engine `secret` of version 2 is there from the start; more are mounted through `sys/mounts`. Engines of other kinds
//!   can be mounted and answer nothing.
//! - An entry is at most 1 MiB, as raft's storage has it; a development server of OpenBao takes more.
//! - Of policies the paths and their capabilities count, parameters do not. One signs in by a token or by AppRole.
//! - Sealing is a switch: there are no keys, and `sys/unseal` is missing.
//! - Quotas count in whole intervals from their first request on.

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
mod auth;
mod control;
mod durations;
mod faults;
mod http;
mod json;
mod kv;
mod kv1;
mod kv2;
mod policy;
mod quotas;
mod request;
mod route;
mod state;
mod sys;
mod tokens;
mod tree;

pub use control::{Control as VaultControl, ControlError as VaultControlError};
pub use faults::{Fault as VaultFault, FaultKind as VaultFaultKind};

/// How a sandbox of this kind starts.
#[derive(Clone)]
pub struct VaultSandboxOptions {
    /// Where to listen; loopback only, port 0 takes a free one.
    pub bind: SocketAddr,
    /// The time written into dates, and the time that tokens and quotas count.
    pub clock: Arc<dyn Clock>,
    /// Added to every answer.
    pub latency: Duration,
    /// What the switches need; without it a new one.
    pub switches: Option<String>,
}

impl Default for VaultSandboxOptions {
    fn default() -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { bind, clock: Arc::new(SystemClock), latency: Duration::ZERO, switches: None }
    }
}

/// A running server; dropping it stops it.
pub struct VaultSandbox {
    control: VaultControl,
    running: Running,
}

impl VaultSandbox {
    /// Listens and answers until [`VaultSandbox::shutdown`] or drop, on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` if the address is not loopback, otherwise what binding says.
    pub async fn start(options: VaultSandboxOptions) -> io::Result<Self> {
        let listener = super::listen(options.bind).await?;
        Self::serve(listener, options)
    }

    fn serve(listener: TcpListener, options: VaultSandboxOptions) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let world = Arc::new(state::World::new(options.clock, options.latency));
        let control = VaultControl { world, is_down: Arc::new(AtomicBool::new(false)) };
        let guard = Arc::new(match options.switches {
            Some(token) => guard::Guard::with_token(address, token),
            None => guard::Guard::new(address),
        });
        let face = http::Face { control: control.clone(), guard: Arc::clone(&guard) };
        let running = Running::start(address, guard, |stopped| http::serve(listener, face, stopped));
        Ok(Self { control, running })
    }

    /// The server as clients take it: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// The token that may do everything; new with every start.
    pub fn root_token(&self) -> &str {
        &self.control.world.root
    }

    /// What the header `x-lifeboat-sandbox` of a request under `/_sandbox/` must hold.
    pub fn token(&self) -> &str {
        self.running.token()
    }

    /// The address of an engine, as a source or a target.
    pub fn source(&self, mount: &str) -> String {
        format!("vault:{}/{mount}", self.endpoint())
    }

    /// The switches.
    pub fn control(&self) -> VaultControl {
        self.control.clone()
    }

    /// Closes every connection and stops listening.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
    }
}
