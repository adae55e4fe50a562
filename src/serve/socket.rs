//! Where grants are asked for: a Unix socket of this user alone.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
};

use serde::{Deserialize, Serialize};

use super::{
    audit::Event,
    grants::{Credentials, GrantRequest},
    wire::Face,
};
use crate::fsutil::{self, Access};

/// The longest request and answer.
const LONGEST: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked at the socket.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Grant(GrantRequest),
    Revoke { consumer: String },
}

/// An answer at the socket.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Granted(Credentials),
    Revoked(u64),
    Refused(String),
}

/// A request at the socket that gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no server.
    #[error("no break-glass server answers at {0}")]
    Nobody(PathBuf),
    /// The server is another user's.
    #[error("the server at {0} belongs to another user")]
    OtherUser(PathBuf),
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// The connection.
    #[error("the break-glass server does not answer: {0}")]
    Failed(#[from] io::Error),
}

/// The socket of a running server; its file goes when this goes.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens at `path`, in a folder in which nobody else can put files. What a server that was killed left is removed.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fsutil::create_folder(folder, Access::Private)?;
        if path.exists() {
            if UnixStream::connect(path).await.is_ok() {
                let message = format!("{}: another break-glass server has this socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
            }
            fsutil::remove(path)?;
        }
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Ok(Self { listener: UnixListener::bind(path).map_err(failed)?, path: path.to_owned() })
    }

    /// Answers until told to stop, one after the other.
    pub(super) async fn serve(self, face: Arc<Face>, endpoint: String, mut stopped: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                _ = stopped.changed() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            let _ = tokio::time::timeout(PATIENCE, answer(stream, &face, &endpoint)).await;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fsutil::remove(&self.path);
    }
}

async fn answer(stream: UnixStream, face: &Face, endpoint: &str) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader).take(LONGEST).read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Request>(&line) {
        Ok(Request::Grant(request)) => issue(request, face, endpoint, peer.pid()).await,
        Ok(Request::Revoke { consumer }) => take_back(consumer, face, peer.pid()).await,
        Err(_) => Reply::Refused("the request is not one of this version of lifeboat".into()),
    };
    let mut text = zeroize::Zeroizing::new(serde_json::to_vec(&reply)?);
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.shutdown().await
}

/// Gives keys; who got them is in the log before.
async fn issue(request: GrantRequest, face: &Face, endpoint: &str, pid: Option<i32>) -> Reply {
    let now = face.clock.now();
    let (grant, token) = match face.grants.issue_with_token(request, now) {
        Ok(issued) => issued,
        Err(reason) => return Reply::Refused(reason.to_string()),
    };
    let event = Event::Grant {
        time: now,
        consumer: grant.consumer().to_owned(),
        secrets: grant.secrets().to_vec(),
        until: grant.until(),
        key: grant.access_key_id().to_owned(),
        pid,
    };
    if face.audit.write_durably(&event).await.is_err() {
        return Reply::Refused("the audit log cannot be written; nothing is granted".into());
    }
    Reply::Granted(Credentials {
        access_key_id: grant.access_key_id().to_owned(),
        secret_access_key: grant.secret_access_key().to_owned(),
        session_token: grant.session_token().to_owned(),
        expiration: crate::clock::to_seconds(grant.until()),
        container_token: token.to_string(),
        endpoint: endpoint.to_owned(),
    })
}

/// The same without a socket, for whoever holds the server.
pub(super) async fn grant(request: GrantRequest, face: &Face, endpoint: &str) -> Result<Credentials, AskError> {
    match issue(request, face, endpoint, None).await {
        Reply::Granted(credentials) => Ok(credentials),
        other => Err(unexpected(other)),
    }
}

/// The same for taking back.
pub(super) async fn take_back_own(consumer: &str, face: &Face) -> Result<u64, AskError> {
    match take_back(consumer.to_owned(), face, None).await {
        Reply::Revoked(count) => Ok(count),
        other => Err(unexpected(other)),
    }
}

/// Takes keys back, whether or not that can be written down.
async fn take_back(consumer: String, face: &Face, pid: Option<i32>) -> Reply {
    let time = face.clock.now();
    let keys = face.grants.revoke(&consumer, time);
    if keys.is_empty() {
        return Reply::Refused("this consumer has no grant in force".into());
    }
    let count = keys.len() as u64;
    if face.audit.write_durably(&Event::Revoke { time, consumer, keys, pid }).await.is_err() {
        return Reply::Refused("the grants are taken back, but the audit log cannot be written".into());
    }
    Reply::Revoked(count)
}

/// Asks the server at `socket` for a grant.
///
/// # Errors
/// See [`AskError`].
pub async fn ask(socket: &Path, request: &GrantRequest) -> Result<Credentials, AskError> {
    match talk(socket, &Request::Grant(request.clone())).await? {
        Reply::Granted(credentials) => Ok(credentials),
        other => Err(unexpected(other)),
    }
}

/// Asks the server at `socket` to take back every grant of a consumer; gives how many there were.
///
/// # Errors
/// See [`AskError`].
pub async fn revoke(socket: &Path, consumer: &str) -> Result<u64, AskError> {
    match talk(socket, &Request::Revoke { consumer: consumer.to_owned() }).await? {
        Reply::Revoked(count) => Ok(count),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> AskError {
    match reply {
        Reply::Refused(reason) => AskError::Refused(reason),
        _ => io::Error::other("its answer is not one of this version of lifeboat").into(),
    }
}

async fn talk(socket: &Path, request: &Request) -> Result<Reply, AskError> {
    if let Some(folder) = socket.parent().filter(|folder| folder.is_dir()) {
        fsutil::check_folder(folder)?;
    }
    let stream = UnixStream::connect(socket).await.map_err(|_| AskError::Nobody(socket.to_owned()))?;
    if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
        return Err(AskError::OtherUser(socket.to_owned()));
    }
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
    line.push(b'\n');
    let mut answer = zeroize::Zeroizing::new(String::new());
    let exchange = async {
        writer.write_all(&line).await?;
        BufReader::new(reader).take(LONGEST).read_line(&mut answer).await
    };
    tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let unreadable = |_| io::Error::other("its answer is not one of this version of lifeboat").into();
    serde_json::from_str(&answer).map_err(unreadable)
}
