//! Break glass: one endpoint that answers as AWS Secrets Manager does, from snapshots, while the provider is down.
//!
//! It only reads. It is its own source of credentials, so that an unmodified SDK needs environment variables alone: a person
//! grants a consumer some secrets for some hours, the consumer gets keys at `/creds` for the token of that grant, and every
//! request is signed with them. A request is in the audit log before it is answered; when that log cannot be written,
//! nothing is served any more.
//!
//! What it rests on: the snapshots were judged by the caller, and the quorum was there at the start. The recovery key stays
//! in locked memory, because index files and packs are opened when something of them is asked for. So the start and the memory
//! do not grow with the number of secrets (docs/performance.md).

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::SignedDuration;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::{clock::Clock, crypto::Signer, fsutil};

mod audit;
pub mod client;
mod entry;
mod estate;
mod grants;
mod guard;
mod hot;
mod identity;
mod list;
mod metrics;
mod ops;
mod reach;
mod recipe;
mod report;
mod sigv4;
mod socket;
mod trail;
mod values;
mod wire;

#[cfg(test)]
mod sample;

pub use audit::{Asked, Audit, Certificate, CertificateBody, Event, NoAudit, Served, Touched};
pub use entry::{Entry, stages};
pub use estate::{AllOverdue, Estate, Overdue, Shelf, Unreadable, Unresolved};
pub use grants::{Credentials, Grant, GrantRequest, Grants, KEY_PREFIX, LONGEST, NotGranted};
pub use recipe::{Language, UNSET, recipe};
pub use report::{Consumer, LogFault, ReadSecret, RefusedWrite, Report, Seal, read as read_log};
pub use sigv4::{Unverified, Verified, verify};
pub use socket::{AskError, ask, revoke};
pub use trail::cloud_trail;
pub use values::{Packs, Values};
pub use wire::SNAPSHOT_HEADER;

/// Files that are open beside connections: packs that are read, the log, the socket.
const FILES_BESIDE: usize = 64;

/// How a server starts.
pub struct Options {
    /// Where to listen; port 0 takes a free one. Addresses that are not loopback need [`Options::tls`].
    pub listen: SocketAddr,
    /// Names beside the address that a Host header may have.
    pub names: Vec<String>,
    /// The certificate and key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where the counts for Prometheus are.
    pub metrics: Option<SocketAddr>,
    /// The socket for grants; without one, only [`Server::grant`] gives keys.
    pub socket: Option<PathBuf>,
    /// The new file of the audit log.
    pub audit: PathBuf,
    /// The oldest snapshot that is served.
    pub most_stale: Option<SignedDuration>,
    /// Connections that may be open.
    pub most_connections: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A running server.
pub struct Server {
    face: Arc<wire::Face>,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    endpoint: String,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everybody in the network would see the values.
    #[error("{0} is not a loopback address: values may leave this machine by TLS only")]
    NeedsTls(SocketAddr),
    /// The certificate or the key.
    #[error("the certificate or key cannot be used: {0}")]
    Tls(String),
    /// The address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The socket or the log.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Server {
    /// Listens and answers until [`Server::stop`] or drop, on the current tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        options: Options,
        estate: Estate,
        values: Box<dyn Values>,
        (session, certificate): (Signer, Certificate),
    ) -> Result<Self, StartError> {
        let tls = match &options.tls {
            Some((certificate, key)) => Some(acceptor(certificate, key)?),
            None if options.listen.ip().is_loopback() => None,
            None => return Err(StartError::NeedsTls(options.listen)),
        };
        let failed = |error| StartError::Listen(options.listen, error);
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr()?;
        let metrics = match options.metrics {
            Some(at) => Some(metrics::listen(at).await.map_err(|error| StartError::Listen(at, error))?),
            None => None,
        };
        let socket = match &options.socket {
            Some(path) => Some(socket::Socket::bind(path).await?),
            None => None,
        };
        let first = Event::Start {
            time: options.clock.now(),
            version: env!("CARGO_PKG_VERSION").into(),
            listen: address.to_string(),
            snapshots: served(&estate),
            session: session.public(),
            certificate,
        };
        let audit = Audit::start(&options.audit, session, &first, Arc::clone(&options.clock))?;
        let is_tls = tls.is_some();
        let face = Arc::new(wire::Face {
            estate: Arc::new(estate),
            values,
            grants: Grants::default(),
            audit,
            guard: guard::Guard::new(address, &options.names, is_tls),
            counters: metrics::Counters::default(),
            clock: options.clock,
            most_stale: options.most_stale,
        });
        let (stop, stopped) = watch::channel(false);
        let endpoint = endpoint(address, &options.names, is_tls);
        let at_metrics = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
        let most = room_for(options.most_connections);
        let mut tasks = vec![tokio::spawn(wire::serve(listener, tls, Arc::clone(&face), most, stopped.clone()))];
        if let Some(socket) = socket {
            tasks.push(tokio::spawn(socket.serve(Arc::clone(&face), endpoint.clone(), stopped.clone())));
        }
        if let Some(listener) = metrics {
            tasks.push(tokio::spawn(metrics::serve(listener, Arc::clone(&face), stopped)));
        }
        Ok(Self { face, address, metrics: at_metrics, endpoint, stop, tasks })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the counts.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The endpoint as clients take it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What is served.
    pub fn estate(&self) -> &Arc<Estate> {
        &self.face.estate
    }

    /// Who may read what.
    pub fn grants(&self) -> &Grants {
        &self.face.grants
    }

    /// Gives keys to a consumer, as the socket does; who got them is in the log before.
    ///
    /// # Errors
    /// [`AskError::Refused`].
    pub async fn grant(&self, request: GrantRequest) -> Result<Credentials, AskError> {
        socket::grant(request, &self.face, &self.endpoint).await
    }

    /// Takes back every grant of a consumer; gives how many there were.
    ///
    /// # Errors
    /// [`AskError::Refused`].
    pub async fn revoke(&self, consumer: &str) -> Result<u64, AskError> {
        socket::take_back_own(consumer, &self.face).await
    }

    /// Waits until the log cannot be written any more, and gives the reason.
    pub async fn failed(&self) -> String {
        self.face.audit.failed().await
    }

    /// Closes every connection, stops listening, and ends the log. Gives the number of its lines.
    ///
    /// # Errors
    /// [`NoAudit`] when the end of the log could not be written.
    pub async fn stop(self) -> Result<u64, NoAudit> {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        let mut face = self.face;
        // Connections let go of it one after the other.
        let face = loop {
            match Arc::try_unwrap(face) {
                Ok(face) => break face,
                Err(shared) => face = shared,
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        };
        let lines = face.audit.lines();
        tokio::task::spawn_blocking(move || face.audit.close()).await.map_err(|_| NoAudit)??;
        Ok(lines + 1)
    }
}

/// How many connections can be open at the same time: as many as are wanted, and leave files for everything else.
fn room_for(wanted: usize) -> usize {
    let most = fsutil::open_files(wanted + FILES_BESIDE);
    if most < wanted + FILES_BESIDE {
        let room = most.saturating_sub(FILES_BESIDE).max(1);
        tracing::warn!("the system allows {most} open files (ulimit -n): {room} connections can be open at once");
        return room;
    }
    wanted
}

/// The snapshots, as the log and people see them.
pub fn served(estate: &Estate) -> Vec<Served> {
    let of = |shelf: &Shelf| Served {
        source: shelf.place.short(),
        snapshot: shelf.snapshot.to_string(),
        taken: shelf.taken,
    };
    estate.shelves().iter().map(of).collect()
}

fn endpoint(address: SocketAddr, names: &[String], is_tls: bool) -> String {
    match (is_tls, names.first()) {
        (false, _) => format!("http://{address}"),
        (true, Some(name)) => format!("https://{name}:{}", address.port()),
        (true, None) => format!("https://{address}"),
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
    let chain = fsutil::read(certificate)?;
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    // A parser's message could quote the key.
    let key = PrivateKeyDer::from_pem_slice(&fsutil::read_secret(key, 64 << 10)?)
        .map_err(|_| StartError::Tls(format!("{} is not a PEM private key", key.display())))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| failed(&error))?;
    let config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| failed(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
