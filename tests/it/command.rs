//! The binary as a person runs it, in a folder and an environment of its own.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::Value as Json;

/// Where nobody listens.
pub const NOWHERE: &str = "http://127.0.0.1:9";

/// A backup host: a working folder, an endpoint, and everything it ever printed.
pub struct Desk {
    /// The working folder.
    pub folder: tempfile::TempDir,
    endpoint: String,
    account: String,
    printed: std::sync::Mutex<Vec<u8>>,
}

/// What a run left.
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Desk {
    /// A desk in front of `endpoint`.
    pub fn new(endpoint: &str, account: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, endpoint: endpoint.into(), account: account.into(), printed: std::sync::Mutex::default() }
    }

    /// One without a provider: nobody listens at its endpoint.
    pub fn offline(account: &str) -> Self {
        Self::new(NOWHERE, account)
    }

    /// Where the provider answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A path in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, not yet run, with nothing of the tester's own environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_ACCESS_KEY_ID", &self.account);
        command
            .env("AWS_SECRET_ACCESS_KEY", "x")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", self.folder.path());
        command.env("PATH", "/usr/bin:/bin").env("RUST_LOG", "trace");
        command
    }

    /// Runs `lifeboat` with words separated by spaces.
    pub fn run(&self, words: &str) -> Ran {
        self.finish(self.command(binary()).args(words.split_whitespace()))
    }

    /// Runs as another account.
    pub fn run_as(&self, account: &str, words: &str) -> Ran {
        self.finish(self.command(binary()).env("AWS_ACCESS_KEY_ID", account).args(words.split_whitespace()))
    }

    /// Runs with these credentials.
    pub fn run_with(&self, access_key: &str, secret_key: &str, words: &str) -> Ran {
        let mut command = self.command(binary());
        command.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key);
        self.finish(command.args(words.split_whitespace()))
    }

    /// Runs a prepared command and remembers what it printed.
    pub fn finish(&self, command: &mut Command) -> Ran {
        let output = command.output().expect("it starts");
        let mut printed = self.printed.lock().unwrap();
        printed.extend_from_slice(&output.stdout);
        printed.extend_from_slice(&output.stderr);
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Everything printed so far.
    pub fn printed(&self) -> Vec<u8> {
        self.printed.lock().unwrap().clone()
    }

    /// `init` with five custodians, three needed, and a copy in `west`.
    pub fn init(&self) {
        let custodians = "--custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli";
        self.run(&format!(
            "init --repo repository --source aws:eu-central-1 --threshold 3 {custodians} --sheets sheets --copy west --yes"
        ))
        .expect(0);
    }
}

/// A desk in front of a sandbox with one secret, a repository with one snapshot, a copy, and five sheets.
pub async fn with_a_copy() -> (Sandbox, Desk) {
    let account = "111111111111";
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(account, "eu-central-1", "app/one", "value").unwrap();
    let desk = Desk::new(&sandbox.endpoint(), account);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("copy").expect(0);
    (sandbox, desk)
}

impl Ran {
    /// Checks the exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\nstdout: {}\nstderr: {}", self.out, self.err);
        assert!(!self.err.contains("bug in itself"), "it panicked: {}", self.err);
        self
    }

    /// Checks that the error, one line of it, says `words`.
    pub fn says(self, words: &str) -> Self {
        let line = self.err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(line.contains(words), "expected {words:?} in {line:?}\n{}", self.err);
        self
    }

    /// The one JSON object on stdout.
    pub fn json(&self) -> Json {
        assert_eq!(self.out.trim_end().lines().count(), 1, "not one line: {}", self.out);
        serde_json::from_str(&self.out).expect("stdout is one JSON object")
    }
}

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lifeboat"))
}

/// Whom `init` makes sheets for, and how many of these open the repository.
pub const PEOPLE: &str = "--custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli --threshold 3";

/// Three sheets of the five, never the first three.
pub const SHEETS: &str = "--share sheets/02-bo.txt --share sheets/04-dee.txt --share sheets/05-eli.txt";

/// The same of a repository without its audit trail: every run that may write leaves an entry there.
pub fn files_beside_audit(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files(folder).into_iter().filter(|(path, _)| !path.starts_with(folder.join("audit"))).collect()
}

/// Every file below a folder with its content.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found.sort();
    found
}
