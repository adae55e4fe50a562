//! The HTTP face: one POST route for AWS's two protocols, `/creds` for credentials, `/ping`.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;

use super::{
    audit::{Asked, Audit, Event, Touched},
    estate::{Estate, Shelf},
    grants::{Grant, Grants},
    guard::Guard,
    identity,
    metrics::Counters,
    ops::{self, Call, Refusal},
    sigv4::{self, Unverified},
    values::Values,
};
use crate::clock::Clock;

/// The largest request that is read: a batch of twenty ARNs is below 8 KB.
const BODY_LIMIT: usize = 64 << 10;
/// How long a client may take for a head, a body, or a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
const JSON: &str = "application/x-amz-json-1.1";
const PLAIN_JSON: &str = "application/json";
const XML: &str = "text/xml";
/// Characters of a client's name that are kept.
const LONGEST_AGENT: usize = 160;
/// The header that says how old an answer is.
pub const SNAPSHOT_HEADER: &str = "x-lifeboat-snapshot";

/// What answers a connection.
pub(super) struct Face {
    pub(super) estate: Arc<Estate>,
    pub(super) values: Box<dyn Values>,
    pub(super) grants: Grants,
    pub(super) audit: Audit,
    pub(super) guard: Guard,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) most_stale: Option<SignedDuration>,
}

/// An answer before it is in the log.
struct Draft {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    asked: Asked,
    /// Whether the keys or the token of the request are good.
    is_known: bool,
}

/// Accepts connections until told to stop. Beyond the most that may be open a connection is closed at once.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    face: Arc<Face>,
    most: usize,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(most));
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // No file descriptors, say: others have to go first.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            face.counters.turned_away.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let _: io::Result<()> = stream.set_nodelay(true);
        let (face, tls, mut stopped) = (Arc::clone(&face), tls.clone(), stopped.clone());
        tokio::spawn(async move {
            let _place = place;
            face.counters.connections.fetch_add(1, Ordering::Relaxed);
            let talk = async {
                match tls {
                    None => talk(stream, peer, &face).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                            talk(stream, peer, &face).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = talk => {}
                _ = stopped.changed() => {}
            }
            face.counters.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr, face: &Arc<Face>) {
    let service = service_fn(move |request| {
        let face = Arc::clone(face);
        async move { Ok::<_, Infallible>(face.answer(peer, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 << 10);
    let _: Result<(), hyper::Error> = http.serve_connection(TokioIo::new(stream), service).await;
}

impl Face {
    /// Answers a request; what it answers is in the log before.
    async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let now = self.clock.now();
        if head.uri.path() == "/ping" && self.guard.admit(&head).is_ok() {
            return self.respond(200, "text/plain", b"healthy".to_vec(), None, now);
        }
        let id = request_id();
        let asked = Asked {
            time: now,
            id: id.clone(),
            consumer: None,
            key: None,
            operation: "unknown".into(),
            region: None,
            result: "ok".into(),
            secrets: Vec::new(),
            from: peer.to_string(),
            agent: agent(&head),
            bytes: 0,
        };
        let mut draft = self.draft(&head, body, asked, now).await;
        draft.asked.bytes = draft.body.len() as u64;
        self.counters.note(&draft.asked);
        // The age of an answer about one secret is that of its snapshot; of the others, that of the oldest.
        let snapshot = match &draft.asked.secrets[..] {
            [only] => only.snapshot.clone(),
            _ => None,
        };
        let event = Event::Request(Box::new(draft.asked));
        let written =
            if draft.is_known { self.audit.write(&event).await } else { self.audit.write_stranger(&event).await };
        if written.is_err() {
            let refusal = Refusal::new("InternalServiceError", "the audit log cannot be written; nothing is served");
            return self.respond(refusal.status(), JSON, refusal.body(), Some(&id), now);
        }
        let mut response = self.respond(draft.status, draft.content_type, draft.body, Some(&id), now);
        let own = |shelf: &&Shelf| snapshot.as_ref().is_some_and(|snapshot| *snapshot == shelf.snapshot.short());
        if let Some(age) = self.estate.shelves().iter().find(own).and_then(|shelf| age_of(shelf, now)) {
            response.headers_mut().insert(SNAPSHOT_HEADER, age);
        }
        response
    }

    async fn draft(&self, head: &Parts, body: Incoming, mut asked: Asked, now: Timestamp) -> Draft {
        if let Err(reason) = self.guard.admit(head) {
            let mut draft = refuse(asked, &Refusal::new("AccessDeniedException", reason), false);
            draft.status = 403;
            return draft;
        }
        if head.uri.path() == "/creds" {
            "GetContainerCredentials".clone_into(&mut asked.operation);
            return self.credentials(head, asked, now);
        }
        let read = tokio::time::timeout(PATIENCE, Limited::new(body, BODY_LIMIT).collect()).await;
        let Ok(Ok(body)) = read else {
            let refusal = Refusal::new("SerializationException", "the request is too large, or came too slowly");
            return refuse(asked, &refusal, false);
        };
        let body = body.to_bytes();
        let target = head.headers.get("x-amz-target").map(|target| target.to_str().unwrap_or_default());
        let service = if target.is_some() { "secretsmanager" } else { "sts" };
        let verified = match sigv4::verify(head, &body, service, &self.grants, now) {
            Ok(verified) => verified,
            Err(reason) => return refuse_stranger(asked, reason, service),
        };
        let (grant, region) = (verified.grant, verified.region);
        asked.consumer = Some(grant.consumer().to_owned());
        asked.key = Some(grant.access_key_id().to_owned());
        let is_region = |c: char| c.is_ascii_alphanumeric() || c == '-';
        asked.region = Some(region.chars().filter(|c| is_region(*c)).take(40).collect());
        match target {
            None => {
                let (status, result, xml) = identity::answer(&self.estate, &grant, &region, &body);
                "GetCallerIdentity".clone_into(&mut asked.operation);
                result.clone_into(&mut asked.result);
                Draft { status, content_type: XML, body: xml, asked, is_known: true }
            }
            Some(target) => {
                let operation = target.strip_prefix("secretsmanager.").unwrap_or_default();
                ops::known_name(operation).clone_into(&mut asked.operation);
                self.secrets(&grant, &region, operation, &body, asked, now).await
            }
        }
    }

    async fn secrets(
        &self,
        grant: &Grant,
        region: &str,
        operation: &str,
        body: &[u8],
        mut asked: Asked,
        now: Timestamp,
    ) -> Draft {
        if let Some(reason) = self.too_stale(now) {
            return refuse(asked, &Refusal::new("AccessDeniedException", reason), true);
        }
        let (estate, values) = (&self.estate, &*self.values);
        let call = Call { estate, values, grant, region, now, touched: Vec::new() };
        let done = ops::dispatch(call, operation, body).await;
        asked.secrets = done.touched;
        match done.outcome {
            Ok(body) => Draft { status: 200, content_type: JSON, body, asked, is_known: true },
            Err(refusal) => {
                asked.secrets.iter_mut().for_each(|touched: &mut Touched| touched.value = false);
                refuse(asked, &refusal, true)
            }
        }
    }

    /// A token that was granted, and nothing else, gets the keys of its consumer.
    fn credentials(&self, head: &Parts, mut asked: Asked, now: Timestamp) -> Draft {
        let mut tokens = head.headers.get_all(AUTHORIZATION).iter();
        let grant = match (tokens.next(), tokens.next()) {
            (Some(token), None) if head.method == Method::GET => self.grants.by_token(token.as_bytes()),
            _ => None,
        };
        let refused = |mut asked: Asked, code: &str| {
            code.clone_into(&mut asked.result);
            let body = serde_json::json!({ "code": code, "message": "use a token that break-glass grant gave" });
            let body = body.to_string().into_bytes();
            Draft { status: 403, content_type: PLAIN_JSON, body, asked, is_known: false }
        };
        let Some(grant) = grant else { return refused(asked, "InvalidToken") };
        asked.consumer = Some(grant.consumer().to_owned());
        asked.key = Some(grant.access_key_id().to_owned());
        if grant.until() <= now {
            return refused(asked, "ExpiredToken");
        }
        let body = identity::container_credentials(&grant);
        Draft { status: 200, content_type: PLAIN_JSON, body, asked, is_known: true }
    }

    fn too_stale(&self, now: Timestamp) -> Option<String> {
        let (most, oldest) = (self.most_stale?, self.estate.oldest()?);
        let age = now.duration_since(oldest.taken);
        let taken = format!("{} ({})", oldest.taken, ops::ago(age));
        (age > most).then(|| format!("the snapshot was taken {taken}, longer ago than --max-staleness allows"))
    }

    fn respond(
        &self,
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
        id: Option<&str>,
        now: Timestamp,
    ) -> Response<Full<Bytes>> {
        let mut response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
        if let Some(id) = id {
            response = response.header("x-amzn-RequestId", id);
        }
        if let Some(age) = self.estate.oldest().and_then(|oldest| age_of(oldest, now)) {
            response = response.header(SNAPSHOT_HEADER, age);
        }
        response
            .header("cache-control", "no-store")
            .body(Full::new(Bytes::from(body)))
            .expect("status and headers are well-formed")
    }
}

/// `3f2a91c0; taken=2026-11-28T03:00:00Z; age=3600`
fn age_of(shelf: &Shelf, now: Timestamp) -> Option<HeaderValue> {
    let age = now.duration_since(shelf.taken).as_secs();
    HeaderValue::from_str(&format!("{}; taken={}; age={age}", shelf.snapshot.short(), shelf.taken)).ok()
}

fn refuse(mut asked: Asked, refusal: &Refusal, is_known: bool) -> Draft {
    refusal.code.clone_into(&mut asked.result);
    Draft { status: refusal.status(), content_type: JSON, body: refusal.body(), asked, is_known }
}

/// A request that is not from a consumer. JSON services answer 400, STS 403 in its own form.
fn refuse_stranger(mut asked: Asked, reason: Unverified, service: &str) -> Draft {
    if service == "secretsmanager" {
        return refuse(asked, &Refusal::new(reason.code(), reason.to_string()), false);
    }
    reason.code().clone_into(&mut asked.result);
    let body = identity::refusal(reason.code(), &reason.to_string());
    Draft { status: 403, content_type: XML, body, asked, is_known: false }
}

/// The client's own name, as far as it is plain text.
fn agent(head: &Parts) -> String {
    let agent = head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.chars().filter(char::is_ascii_graphic).take(LONGEST_AGENT).collect()
}

/// A random UUID.
fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
