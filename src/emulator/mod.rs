//! A sandbox that answers as AWS Secrets Manager does: one HTTP endpoint on loopback, with switches for what goes wrong.
//!
//! It speaks AWS JSON 1.1 (and enough of STS to know accounts), keeps everything in memory, and is held against answers
//! recorded from the real service (`tests/it/emulator_recordings.rs`). Decisions where AWS leaves room, or where a
//! sandbox must differ:
//!
//! - Web pages are kept out: a request with an `Origin`, or for another host than the listening address, is 403. The
//!   switches under `/_sandbox/` need the token of [`Sandbox::token`] in the header `x-lifeboat-sandbox`.
//! - Signatures are not verified. The access key id names the account: twelve digits are the account itself,
//!   credentials from `AssumeRole` carry theirs, anything else is account `000000000000`. The region is the one in the
//!   credential scope.
//! - Rotation functions do not exist. A function ARN `arn:aws:lambda:…` of the caller's account and region is taken as
//!   existing unless [`Control::set_function_missing`] says otherwise; rotating at once stores a fresh random value the
//!   way a well-behaved function would, and is counted in [`Control::immediate_rotations`].
//! - Resource policies are stored, checked for syntax and public access, and decide whether another account may come in
//!   by ARN; `Deny` statements and single actions are not evaluated (use a [`Fault`]).
//! - KMS answers DescribeKey only: every key is there and enabled unless [`Control::set_key_state`] says otherwise.
//! - `DeletedDate` is the end of the recovery window; nothing is purged when it passes.
//! - `LastChangedDate` moves on every modification, always forward.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use zeroize::Zeroizing;

use self::front::Running;
use crate::{
    clock::{Clock, SystemClock},
    isolation::Isolation,
    provider::{
        Connected, ProviderError,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};

#[cfg(feature = "azure")]
mod azure;
mod connections;
mod control;
mod control_http;
mod diary;
mod entry;
mod faces;
mod faults;
mod front;
#[cfg(feature = "gcp")]
mod gcp;
mod guard;
mod http;
mod keys;
mod labels;
mod limits;
mod ops;
mod quotas;
mod refusal;
#[cfg(any(feature = "vault", feature = "gcp", feature = "azure"))]
mod rest;
mod secret;
mod seed;
mod stage;
mod state;
mod sts;
#[cfg(feature = "vault")]
mod vault;

#[cfg(feature = "azure")]
pub use azure::{AzureControl, AzureControlError, AzureFault, AzureFaultKind, AzureSandbox, AzureSandboxOptions};
pub use control::{Control, ControlError};
pub use diary::WriteCall;
pub use faces::{Face, FaceOptions, face};
pub use faults::{Fault, FaultKind, FaultWhen};
#[cfg(feature = "gcp")]
pub use gcp::{GcpControl, GcpControlError, GcpFault, GcpFaultKind, GcpSandbox, GcpSandboxOptions};
pub use keys::KeyState;
pub use stage::{Across, DATABASE, STAGES, Stage, StageError, stage};
#[cfg(feature = "vault")]
pub use vault::{VaultControl, VaultControlError, VaultFault, VaultFaultKind, VaultSandbox, VaultSandboxOptions};

/// How a sandbox starts.
#[derive(Clone)]
pub struct SandboxOptions {
    /// Where to listen; loopback only, port 0 takes a free one.
    pub bind: SocketAddr,
    /// The time written into dates. Quotas use the machine's monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Whether AWS's request quotas are enforced.
    pub quotas: bool,
    /// Added to every answer.
    pub latency: Duration,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Arc::new(SystemClock),
            quotas: false,
            latency: Duration::ZERO,
        }
    }
}

/// A running endpoint; dropping it stops it.
pub struct Sandbox {
    world: Arc<state::World>,
    running: Running,
}

impl Sandbox {
    /// Listens and answers until [`Sandbox::shutdown`] or drop, on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` if the address is not loopback, otherwise what binding says.
    pub async fn start(options: SandboxOptions) -> io::Result<Self> {
        let listener = listen(options.bind).await?;
        let address = listener.local_addr()?;
        let world = Arc::new(state::World::new(options.clock, options.quotas, options.latency));
        let guard = Arc::new(guard::Guard::new(address));
        let face = http::Face { world: Arc::clone(&world), guard: Arc::clone(&guard) };
        let running = Running::start(address, guard, |stopped| http::serve(listener, face, stopped));
        Ok(Self { world, running })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// The endpoint as AWS clients take it: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// What the header `x-lifeboat-sandbox` of a request under `/_sandbox/` must hold; new with every start.
    pub fn token(&self) -> &str {
        self.running.token()
    }

    /// A connection to one of its accounts, in a region.
    ///
    /// # Errors
    /// A setting of the environment that cannot be used.
    pub async fn connect(
        &self,
        account: &str,
        region: &str,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Connected, ProviderError> {
        let mut settings = AwsSettings::region(region);
        settings.endpoint = Some(self.endpoint());
        let secret_key = Zeroizing::new("sandbox".to_owned());
        settings.credentials = Some(StaticCredentials { access_key: account.to_owned(), secret_key });
        settings.isolation = isolation;
        Ok(Connected::new(Aws::connect(settings).await?))
    }

    /// The switches.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.world))
    }

    /// Closes every connection and stops listening.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
    }
}

/// Listens on loopback and nowhere else.
async fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    if !bind.ip().is_loopback() {
        let message = format!("the sandbox listens on loopback only, not on {}", bind.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    TcpListener::bind(bind).await
}
