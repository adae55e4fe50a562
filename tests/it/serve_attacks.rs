//! Break glass under attack: requests made by hand, signed by the SDK's own signer, against a server with a clock of its own.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::Clock,
    crypto::{RecoveryKey, Signer},
    model::{Digest, Place, Record, RepositoryId, SecretValue, SnapshotId},
    serve::{Certificate, Estate, Grant, GrantRequest, Options, Server, Shelf, Values},
};
use serde_json::json;

const NAME: &str = "app/db";
const OTHER: &str = "payments/db";
const VALUE: &str = "planted-value-0c9d";
const REGION: &str = "eu-central-1";

/// A clock that a test moves.
struct Moved(Mutex<Timestamp>);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct InMemory;

#[async_trait]
impl Values for InMemory {
    async fn value(&self, _: &Digest, _: u32, _: &str, _: &str) -> Result<Arc<SecretValue>, String> {
        Ok(Arc::new(SecretValue::text(VALUE.into())))
    }
}

/// A server with two secrets, and `web`, which was granted one of them.
struct Arena {
    server: Server,
    clock: Arc<Moved>,
    folder: tempfile::TempDir,
    keys: Keys,
    token: String,
}

#[derive(Clone)]
struct Keys {
    id: String,
    secret: String,
    session: String,
}

/// A request before it is sent.
#[derive(Clone)]
struct Wire {
    line: String,
    headers: BTreeMap<String, String>,
    more: Vec<(String, String)>,
    body: Vec<u8>,
}

fn estate(taken: Timestamp) -> Estate {
    let mut estate = Estate::default();
    let place = Place { provider: "aws".into(), account: "111111111111".into(), region: REGION.into() };
    estate.open(Shelf { place, snapshot: SnapshotId::from_bytes([7; 16]), number: 3, taken });
    for name in [NAME, OTHER] {
        let record: Record = serde_json::from_value(json!({
            "secret": { "name": name, "id": format!("arn:aws:secretsmanager:{REGION}:111111111111:secret:{name}-AbCdEf") },
            "versions": [{ "id": "v1", "current": true, "labels": ["AWSCURRENT"],
                "value": { "state": "stored", "pack": Digest::of(b"p"), "line": 0, "kind": "text", "size": 18 } }],
            "read": taken
        }))
        .unwrap();
        estate.add(record);
    }
    estate
}

impl Arena {
    async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let now = Timestamp::now();
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Moved(Mutex::new(now))));
        let mut options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            names: Vec::new(),
            tls: None,
            metrics: None,
            socket: Some(folder.path().join("socket")),
            audit: folder.path().join("audit"),
            most_stale: None,
            most_connections: 50,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        change(&mut options);
        let socket = options.socket.clone().unwrap();
        let session = Signer::generate();
        let repository = RepositoryId::from_bytes([9; 16]);
        let certificate = Certificate::issue(&RecoveryKey::generate(), repository, &session, (now, vec!["Ana".into()]));
        let server = Server::start(options, estate(now), Box::new(InMemory), (session, certificate)).await.unwrap();
        let request = GrantRequest { consumer: "web".into(), secrets: vec!["app/*".into()], seconds: 600 };
        let given = lifeboat::serve::ask(&socket, &request).await.unwrap();
        let keys = Keys {
            id: given.access_key_id.clone(),
            secret: given.secret_access_key.clone(),
            session: given.session_token.clone(),
        };
        let token = given.container_token.clone();
        Self { server, clock, folder, keys, token }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// A good request for a secret.
    fn request(&self, secret: &str) -> Wire {
        self.signed("secretsmanager.GetSecretValue", &json!({ "SecretId": secret }).to_string(), "secretsmanager")
    }

    fn signed(&self, target: &str, body: &str, service: &str) -> Wire {
        let host = self.address().to_string();
        let mut headers = BTreeMap::from([("host".to_owned(), host.clone())]);
        headers.insert("content-type".into(), "application/x-amz-json-1.1".into());
        headers.insert("x-amz-target".into(), target.into());
        let Keys { id, secret, session } = self.keys.clone();
        let identity = Credentials::new(id, secret, Some(session), None, "test").into();
        let now = self.clock.now().as_second().unsigned_abs();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-gov-east-1")
            .name(service)
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(now))
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = format!("http://{host}/");
        let request = SignableRequest::new("POST", &url, given, SignableBody::Bytes(body.as_bytes())).unwrap();
        let (made, _) = sign(request, &params.into()).unwrap().into_parts();
        headers.extend(made.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Wire { line: "POST / HTTP/1.1".into(), headers, more: Vec::new(), body: body.into() }
    }

    /// Sends a request, and gives the status and what follows the head.
    fn send(&self, wire: &Wire) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut text = format!("{}\r\n", wire.line);
        for (name, value) in wire.headers.iter().chain(wire.more.iter().map(|(name, value)| (name, value))) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", wire.body.len()));
        stream.write_all(text.as_bytes()).unwrap();
        let _ = stream.write_all(&wire.body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    /// Checks that a request is refused with a code, and that no value is in the answer.
    #[track_caller]
    fn refused(&self, wire: &Wire, status: u16, code: &str) {
        let (found, answer) = self.send(wire);
        assert!(!answer.contains(VALUE), "it was answered");
        assert_eq!(found, status, "{answer}");
        assert!(answer.contains(code), "expected {code}: {answer}");
    }

    #[track_caller]
    fn answered(&self, wire: &Wire) {
        let (status, answer) = self.send(wire);
        assert_eq!(status, 200, "{}", answer.split("\r\n\r\n").next().unwrap_or_default());
        assert!(answer.contains(VALUE));
    }

    fn later(&self, seconds: i64) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    fn creds(&self, token: &str) -> Wire {
        let headers =
            BTreeMap::from([("host".into(), self.address().to_string()), ("authorization".into(), token.into())]);
        Wire { line: "GET /creds HTTP/1.1".into(), headers, more: Vec::new(), body: Vec::new() }
    }

    async fn stop(self) -> String {
        self.server.stop().await.unwrap();
        std::fs::read_to_string(self.folder.path().join("audit")).unwrap()
    }
}

impl Wire {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    fn twice(mut self, name: &str, value: &str) -> Self {
        self.more.push((name.into(), value.into()));
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_skewed_forwarded_and_foreign_requests_get_nothing() {
    let arena = Arena::new(|_| {}).await;
    arena.answered(&arena.request(NAME));
    let good = || arena.request(NAME);

    let authorization = good().headers["authorization"].clone();
    let last = if authorization.ends_with('0') { "1" } else { "0" };
    let wrong = format!("{}{last}", &authorization[..authorization.len() - 1]);
    arena.refused(&good().with("authorization", &wrong), 400, "InvalidSignatureException");
    let mut swapped = good();
    swapped.body = json!({ "SecretId": "app/dc" }).to_string().into_bytes();
    arena.refused(&swapped, 400, "InvalidSignatureException");
    let hash = hex::encode([0; 32]);
    arena.refused(&good().with("x-amz-content-sha256", &hash), 400, "InvalidSignatureException");
    arena.refused(&good().with("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), 400, "InvalidSignatureException");
    let target = "secretsmanager.BatchGetSecretValue";
    arena.refused(&good().with("x-amz-target", target), 400, "InvalidSignatureException");
    arena.refused(&good().with("x-amz-security-token", &"x".repeat(64)), 400, "UnrecognizedClientException");
    arena.refused(&good().twice("x-amz-date", "20300101T000000Z"), 400, "IncompleteSignatureException");
    let other = arena.signed("secretsmanager.GetSecretValue", "{}", "sts");
    arena.refused(&other, 400, "InvalidSignatureException");
    let mut presigned = good();
    presigned.line = "POST /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0 HTTP/1.1".into();
    arena.refused(&presigned, 400, "IncompleteSignatureException");
    let mut unsigned = good();
    unsigned.headers.remove("authorization");
    arena.refused(&unsigned, 400, "MissingAuthenticationTokenException");

    // Browsers and proxies.
    let port = arena.address().port();
    for (name, value) in [
        ("x-forwarded-for", "10.0.0.1"),
        ("origin", "http://evil.example"),
        ("via", "1.1 proxy"),
        ("forwarded", "for=x"),
    ] {
        arena.refused(&good().with(name, value), 403, "AccessDeniedException");
    }
    arena.refused(&good().with("host", &format!("evil.example:{port}")), 403, "AccessDeniedException");
    arena.refused(&good().twice("host", "evil.example"), 403, "AccessDeniedException");
    let rebound = arena.creds(&arena.token).with("host", &format!("evil.example:{port}"));
    assert!(!arena.send(&rebound).1.contains("SecretAccessKey"));

    // Another consumer's secret, and one that is not there: the same answer.
    arena.refused(&arena.request(OTHER), 400, "was not granted");
    arena.refused(&arena.request("payments/absent"), 400, "was not granted");
    arena.refused(&arena.request("app/absent"), 400, "ResourceNotFoundException");

    // Clocks.
    let early = good();
    arena.later(301);
    arena.refused(&early, 400, "InvalidSignatureException");
    arena.answered(&arena.request(NAME));
    arena.later(300);
    arena.refused(&arena.request(NAME), 400, "ExpiredTokenException");
    let (status, text) = arena.send(&arena.creds(&arena.token));
    assert_eq!((status, text.contains("ExpiredToken")), (403, true));

    let log = arena.stop().await;
    assert!(!log.contains(VALUE) && log.matches("\"value\":true").count() == 2, "two answers, two lines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_for_the_token_alone() {
    let arena = Arena::new(|_| {}).await;
    let (status, text) = arena.send(&arena.creds(&arena.token));
    assert_eq!(status, 200);
    assert!(text.contains(&arena.keys.id) && text.contains("\"Expiration\""));
    let Keys { secret, session, .. } = &arena.keys;
    for wrong in
        ["", "x", &arena.token[1..], &format!("{}x", arena.token), &format!("Bearer {}", arena.token), secret, session]
    {
        let (status, text) = arena.send(&arena.creds(wrong));
        assert_eq!((status, text.contains("SecretAccessKey")), (403, false), "{}", wrong.len());
    }
    let mut post = arena.creds(&arena.token);
    post.line = "POST /creds HTTP/1.1".into();
    assert_eq!(arena.send(&post).0, 403);
    let keys = [secret.clone(), session.clone(), arena.token.clone()];
    let log = arena.stop().await;
    assert!(!keys.iter().any(|key| log.contains(key.as_str())), "no key is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_grows_too_old_is_not_served_any_more() {
    let arena = Arena::new(|options| options.most_stale = Some(SignedDuration::from_mins(2))).await;
    arena.answered(&arena.request(NAME));
    arena.later(121);
    arena.refused(&arena.request(NAME), 400, "longer ago than --max-staleness allows");
    arena.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_and_slow_ones_leave_room_for_the_next() {
    let arena = Arena::new(|_| {}).await;
    let begun = Instant::now();
    let mut held = Vec::new();
    // Most of the room is taken by clients that never end their head.
    for _ in 0..50 {
        let mut stream = TcpStream::connect(arena.address()).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: ").unwrap();
        held.push(stream);
    }
    for _ in 0..10_000 {
        drop(TcpStream::connect(arena.address()).unwrap());
    }
    let flooded = begun.elapsed();
    let answer = loop {
        // While the room is full, a connection is closed at once.
        let (status, answer) =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.send(&arena.request(NAME))))
                .unwrap_or_default();
        if status == 200 {
            break answer;
        }
        assert!(begun.elapsed() < flooded + Duration::from_secs(30), "the slow ones hold the room");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(answer.contains(VALUE));
    assert!(begun.elapsed() > Duration::from_secs(5), "the room was not full");
    println!("10000 connections in {flooded:?}; an answer after {:?}", begun.elapsed());
    drop(held);

    // A body that does not come, and one that is too long.
    let mut slow = TcpStream::connect(arena.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\r\n{{", arena.address());
    slow.write_all(head.as_bytes()).unwrap();
    let mut long = arena.request(NAME);
    long.body = vec![b' '; 70_000];
    arena.refused(&long, 400, "too large");
    let mut text = String::new();
    let _ = slow.read_to_string(&mut text);
    assert!(text.contains("came too slowly"), "{text}");
    arena.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cannot_fill_the_log() {
    let arena = Arena::new(|_| {}).await;
    let mut unsigned = arena.request(NAME);
    unsigned.headers.remove("authorization");
    for _ in 0..600 {
        assert_eq!(arena.send(&unsigned).0, 400);
    }
    let grant: Option<Arc<Grant>> = arena.server.grants().by_key(&arena.keys.id);
    assert!(grant.is_some());
    let log = arena.stop().await;
    let report = lifeboat::serve::read_log(log.as_bytes(), Timestamp::now()).unwrap();
    assert_eq!(report.strangers, 600);
    assert!(report.seal.lines < 560, "{} lines", report.seal.lines);
}
