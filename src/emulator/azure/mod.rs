//! A sandbox that answers as Azure Key Vault does: secrets of any number of vaults, and the sign-in that they ask for, on
//! loopback and over TLS.
//!
//! Everything is in memory. It is judged by Microsoft's clients for Python and JavaScript (`tests/it/azure_face.rs`). Decisions
//! where a sandbox must differ, or where only a part is there:
//!
//! - A vault is named by the host: `NAME.vault.localhost`; the first request to a name makes the vault. Sign-ins are at
//!   `localhost`. The certificate is made at the start and signs itself.
//! - Every client id is known; the secret is the one that [`AzureSandbox::client_secret`] tells. There are no roles: what a token
//!   may do is a [`Fault`](AzureFault).
//! - The Resource Manager is at `localhost` too. It shows a vault, its role assignments and four roles, and changes nothing.
//! - Keys and certificates are missing. A secret becomes a certificate's by a switch.
//! - Deleting, purging and recovering end at once, unless a switch says otherwise. Nothing is purged when its time comes.

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
mod blob;
mod certificate;
mod control;
mod faults;
mod http;
mod quotas;
mod rights;
mod route;
mod secrets;
mod sign_in;
mod state;

pub use control::{Control as AzureControl, ControlError as AzureControlError};
pub use faults::{Fault as AzureFault, FaultKind as AzureFaultKind};

/// The domain of the vaults.
pub(super) const DOMAIN: &str = "vault.localhost";

/// How a sandbox of this kind starts.
#[derive(Clone)]
pub struct AzureSandboxOptions {
    /// Where to listen; loopback only, port 0 takes a free one.
    pub bind: SocketAddr,
    /// The time written into dates, and the time that tokens and quotas count.
    pub clock: Arc<dyn Clock>,
    /// Whether the service limits are enforced.
    pub quotas: bool,
    /// Added to every answer.
    pub latency: Duration,
    /// What the switches need; without it a new one.
    pub switches: Option<String>,
}

impl Default for AzureSandboxOptions {
    fn default() -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { bind, clock: Arc::new(SystemClock), quotas: false, latency: Duration::ZERO, switches: None }
    }
}

/// A running server; dropping it stops it.
pub struct AzureSandbox {
    certificate: String,
    control: AzureControl,
    running: Running,
}

impl AzureSandbox {
    /// Listens and answers until [`AzureSandbox::shutdown`] or drop, on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` if the address is not loopback, otherwise what binding says.
    pub async fn start(options: AzureSandboxOptions) -> io::Result<Self> {
        let listener = super::listen(options.bind).await?;
        Self::serve(listener, options)
    }

    fn serve(listener: TcpListener, options: AzureSandboxOptions) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let own = certificate::Own::make(options.clock.now());
        let acceptor = own.acceptor()?;
        let world = state::World::new(options.clock, options.quotas, options.latency, address.port());
        let control = AzureControl { world: Arc::new(world), is_down: Arc::new(AtomicBool::new(false)) };
        let guard = match options.switches {
            Some(token) => guard::Guard::with_token(address, token),
            None => guard::Guard::new(address),
        };
        let guard = Arc::new(guard.with_names_below(DOMAIN));
        let face = http::Face { control: control.clone(), guard: Arc::clone(&guard) };
        let running = Running::start(address, guard, |stopped| http::serve(listener, acceptor, face, stopped));
        Ok(Self { certificate: own.pem(), control, running })
    }

    /// The address of a vault as clients take it: `https://NAME.vault.localhost:PORT`.
    pub fn vault(&self, name: &str) -> String {
        format!("https://{name}.{DOMAIN}:{}", self.running.address.port())
    }

    /// Where one signs in: `AZURE_AUTHORITY_HOST`.
    pub fn authority(&self) -> String {
        format!("https://localhost:{}", self.running.address.port())
    }

    /// The certificate to trust, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The tenant of new vaults: `AZURE_TENANT_ID`.
    pub fn tenant(&self) -> &str {
        &self.control.world.tenant
    }

    /// What every client signs in with: `AZURE_CLIENT_SECRET`; new with every start.
    pub fn client_secret(&self) -> &str {
        &self.control.world.client_secret
    }

    /// What the header `x-lifeboat-sandbox` of a request under `/_sandbox/` must hold.
    pub fn token(&self) -> &str {
        self.running.token()
    }

    /// The address of a vault, as a source or a target.
    pub fn source(&self, name: &str) -> String {
        format!("azure:{}", self.vault(name))
    }

    /// The id of a vault's resource, behind the address of its Resource Manager, as `resource` of a source takes it.
    pub fn resource(&self, name: &str) -> String {
        format!("{}{}", self.control.world.manager(), rights::resource(name))
    }

    /// The switches.
    pub fn control(&self) -> AzureControl {
        self.control.clone()
    }

    /// Closes every connection and stops listening.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
    }
}
