//! A proxy as companies have them, before an internet of our own: it speaks CONNECT, ends TLS with a certificate of a
//! private authority, and passes what it gets to servers of the test.

use std::{
    collections::BTreeSet,
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::bucket_stub::{Asked, request};

/// The names that the private authority vouches for.
const NAMES: &str = "DNS:*.eu-central-1.amazonaws.com,DNS:*.eu-west-1.amazonaws.com,DNS:*.us-east-1.amazonaws.com,\
                     DNS:*.us-gov-west-1.amazonaws.com,DNS:*.cn-north-1.amazonaws.com.cn,\
                     DNS:*.dualstack.eu-west-1.amazonaws.com,DNS:*.vpce-1.s3.eu-west-1.vpce.amazonaws.com,\
                     DNS:storage.googleapis.com,DNS:*.blob.core.windows.net";

/// What became of a request for a tunnel.
type Route = dyn Fn(&str) -> String + Send + Sync;

/// The proxy; it ends with the process.
pub struct Gateway {
    /// `HOST:PORT`.
    pub address: String,
    passed: Arc<Mutex<BTreeSet<String>>>,
    authorizations: Arc<Mutex<BTreeSet<String>>>,
}

impl Gateway {
    /// Starts it. `route` gives the server (`HOST:PORT`) that stands behind a name; an empty one is refused.
    pub fn start(route: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gateway = Self { address, passed: Arc::default(), authorizations: Arc::default() };
        let (passed, authorizations) = (Arc::clone(&gateway.passed), Arc::clone(&gateway.authorizations));
        let route: Arc<Route> = Arc::new(route);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (passed, authorizations) = (Arc::clone(&passed), Arc::clone(&authorizations));
                let route = Arc::clone(&route);
                std::thread::spawn(move || serve(socket, &passed, &authorizations, &*route));
            }
        });
        gateway
    }

    /// The hosts that were asked for so far; those in clear with `http://` before them.
    pub fn passed(&self) -> BTreeSet<String> {
        self.passed.lock().unwrap().clone()
    }

    /// Every `Proxy-Authorization` so far, empty where there was none.
    pub fn authorizations(&self) -> BTreeSet<String> {
        self.authorizations.lock().unwrap().clone()
    }
}

/// The file of the private authority's certificate.
pub fn authority() -> PathBuf {
    certificates().join("ca.pem")
}

/// Makes an authority and a certificate once, by OpenSSL.
fn certificates() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |words: &str| {
            let output = Command::new("openssl").args(words.split_whitespace()).current_dir(folder.path()).output();
            let output = output.expect("openssl starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        openssl(&format!("req -x509 {key} -subj /CN=test-authority -keyout ca.key -out ca.pem"));
        openssl(&format!("req -new {key} -subj /CN=test -keyout leaf.key -out leaf.csr"));
        std::fs::write(folder.path().join("names"), format!("subjectAltName={}", NAMES.replace(' ', ""))).unwrap();
        openssl("x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out leaf.pem");
        folder
    });
    folder.path()
}

fn tls() -> Arc<ServerConfig> {
    let read = |name: &str| std::fs::read(certificates().join(name)).unwrap();
    let chain = CertificateDer::pem_slice_iter(&read("leaf.pem")).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(&read("leaf.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

fn serve(
    socket: TcpStream,
    passed: &Mutex<BTreeSet<String>>,
    authorizations: &Mutex<BTreeSet<String>>,
    route: &Route,
) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    let (first, body) = request(&mut reader)?;
    let authorization = first.headers.get("proxy-authorization").cloned().unwrap_or_default();
    authorizations.lock().unwrap().insert(authorization);
    if first.method != "CONNECT" {
        let host = first.path.strip_prefix("http://")?.split('/').next()?.to_owned();
        passed.lock().unwrap().insert(format!("http://{host}"));
        let path = first.path.strip_prefix(&format!("http://{host}"))?.to_owned();
        let answer = pass(&route(&host), &Asked { path, ..first }, &body)?;
        // Said before it is done: a client that keeps the connection would send its next request into nothing.
        let line = answer.windows(2).position(|it| it == b"\r\n")? + 2;
        let (line, rest) = answer.split_at(line);
        return socket.write_all(&[line, b"connection: close\r\n", rest].concat()).ok();
    }
    let host = first.path.trim_end_matches(":443").to_owned();
    passed.lock().unwrap().insert(host.clone());
    let upstream = route(&host);
    if upstream.is_empty() || upstream == "407" {
        let status = if upstream.is_empty() { "403 Forbidden" } else { "407 Proxy Authentication Required" };
        return socket.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok();
    }
    socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let connection = ServerConnection::new(tls()).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    loop {
        let (request, body) = request(&mut stream)?;
        let answer = pass(&upstream, &request, &body)?;
        stream.get_mut().write_all(&answer).ok()?;
        stream.get_mut().flush().ok()?;
    }
}

/// Asks the server behind a name on a connection of its own, and gives its answer as it is.
fn pass(upstream: &str, request: &Asked, body: &[u8]) -> Option<Vec<u8>> {
    let mut socket = TcpStream::connect(upstream).ok()?;
    // The sandbox answers to its own name only.
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {upstream}\r\n", request.method, request.path);
    for (name, value) in request.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "connection" | "host")) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).ok()?;
    socket.write_all(body).ok()?;
    let (mut reader, mut answer, mut length) = (BufReader::new(socket), Vec::new(), 0);
    loop {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).ok().filter(|read| *read > 0)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        // The connection to the client stays.
        if !line.to_ascii_lowercase().starts_with("connection:") {
            answer.extend_from_slice(line.as_bytes());
        }
        if line.trim().is_empty() {
            break;
        }
    }
    if request.method != "HEAD" {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        answer.extend(body);
    }
    Some(answer)
}
