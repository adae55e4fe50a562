//! Servers that tests start for themselves and stop when they are done.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take until it answers: Python on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// A moto server of its own: empty, on a free port, gone when dropped.
pub struct Moto {
    /// Where it listens.
    pub endpoint: String,
    process: Child,
}

impl Moto {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("moto_server starts");
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = process.try_wait().expect("its state can be asked");
            assert!(ended.is_none(), "moto_server ended before it answered: {ended:?}");
            assert!(begun.elapsed() < PATIENCE, "moto_server does not answer on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { endpoint: format!("http://127.0.0.1:{port}"), process }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A ministack server of its own that evaluates IAM policies, gone when dropped.
pub struct Ministack {
    /// Where it listens.
    pub endpoint: String,
    process: Child,
}

impl Ministack {
    /// Starts it and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new(program("ministack"));
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string()).env("AUTH", "true");
        command.env("IOT_MTLS_ENABLED", "0").env("S3_DATA_DIR", folder).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("ministack starts");
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = process.try_wait().expect("its state can be asked");
            assert!(ended.is_none(), "ministack ended before it answered: {ended:?}");
            assert!(begun.elapsed() < PATIENCE, "ministack does not answer on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { endpoint: format!("http://127.0.0.1:{port}"), process }
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
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
