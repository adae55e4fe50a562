//! Break glass as applications meet it: SDKs that nobody here wrote, with environment variables alone, while the provider is
//! down; and what is left of it afterwards.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::{
    command::{Desk, SHEETS, binary, files},
    search::holds,
    servers::program,
};

const ACCOUNT: &str = "111111111111";
/// The seed's own secret.
const NAME: &str = "orrange-p2p/database/production";
/// Found nowhere but in packs and in answers.
pub const VALUE: &str = "{\"password\":\"planted-7f3a9c-value\"}";
const OTHER: &str = "payments/other";
/// What a client wanted to write.
const PLANTED: &str = "planted-write-51c2";

/// A desk whose provider is gone, and a copy.
pub struct Outage {
    /// The desk.
    pub desk: Desk,
}

/// A running server.
pub struct Glass {
    /// The process.
    pub child: Child,
    /// What it printed when it was ready.
    pub started: Json,
}

impl Outage {
    /// Takes a snapshot of a few secrets, then the provider is gone.
    pub async fn new() -> Self {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let control = sandbox.control();
        let rest = [OTHER, "orrange-p2p/a", "orrange-p2p/b", "orrange-p2p/c"];
        control.put(ACCOUNT, "eu-central-1", NAME, VALUE).unwrap();
        for name in rest {
            control.put(ACCOUNT, "eu-central-1", name, "planted-other-88aa").unwrap();
        }
        let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
        desk.init();
        desk.run("snapshot").expect(0);
        desk.run("copy").expect(0);
        sandbox.shutdown().await;
        Self { desk }
    }

    /// Starts a server on a clean machine: the copy and three sheets, no configuration.
    pub fn serve(&self, more: &str) -> Glass {
        let words =
            format!("break-glass serve --json --config none.toml --repo west {SHEETS} --listen 127.0.0.1:0 {more}");
        self.serve_by(self.desk.command(binary()).args(words.split_whitespace()))
    }

    /// The same from another repository than the copy.
    pub fn serve_of(&self, repository: &str) -> Glass {
        let words =
            format!("break-glass serve --json --config none.toml --repo {repository} {SHEETS} --listen 127.0.0.1:0");
        self.serve_by(self.desk.command(binary()).args(words.split_whitespace()))
    }

    pub fn serve_by(&self, command: &mut Command) -> Glass {
        let log = std::fs::File::create(self.desk.path("serve.err")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let err = || std::fs::read_to_string(self.desk.path("serve.err")).unwrap();
        let started = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it did not start: {line}{}", err()));
        Glass { child, started }
    }

    /// Grants `web` the secrets of the seed.
    pub fn grant(&self, more: &str) -> Json {
        self.desk.run(&format!("break-glass grant web --json {more}")).expect(0).json()
    }

    /// A client with nothing but what the recipe sets.
    pub fn client(&self, program: &Path, grant: &Json) -> Command {
        let endpoint = grant["endpoint"].as_str().unwrap();
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.desk.folder.path()).stdin(Stdio::null()).env("PATH", "/usr/bin:/bin");
        command.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint).env("AWS_ENDPOINT_URL_STS", endpoint);
        command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{endpoint}/creds"));
        command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", grant["container_token_file"].as_str().unwrap());
        command.env("HOME", self.desk.folder.path()).env("PLANTED", PLANTED);
        command
    }
}

impl Glass {
    fn text(&self, field: &str) -> &str {
        self.started[field].as_str().unwrap()
    }

    /// The log.
    pub fn audit(&self) -> PathBuf {
        self.text("audit").into()
    }

    /// Stops it as a service manager does, and gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// Runs a client; its output is for the failure alone, and holds no value.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    out
}

fn sha(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Puts the seed's snippet beside the SDK, with one line after it.
fn seed(outage: &Outage) -> &'static str {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules");
    let sdk = modules.join("@aws-sdk/client-secrets-manager");
    assert!(sdk.exists(), "the SDK is missing: run scripts/setup, which installs it (npm ci in tests/node)");
    std::os::unix::fs::symlink(&modules, outage.desk.path("node_modules")).unwrap();
    let seed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/seed.mjs")).unwrap();
    // The test may not print a value: it hashes what the snippet got.
    let after = "\nimport { createHash } from 'node:crypto';\nconsole.log(createHash('sha256').update(secret).digest('hex'));\n";
    std::fs::write(outage.desk.path("seed.mjs"), seed + after).unwrap();
    "seed.mjs"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seeds_own_snippet_runs_unmodified() {
    let outage = Outage::new().await;
    let glass = outage.serve("");
    let grant = outage.grant("--secrets orrange-p2p/* --for 1h");
    let seed = seed(&outage);
    assert_eq!(run(outage.client(&program("node"), &grant).arg(seed)).trim(), sha(VALUE));
    assert_eq!(glass.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_and_the_aws_command_read_and_cannot_write_and_nothing_is_left() {
    let outage = Outage::new().await;
    let glass = outage.serve("--metrics 127.0.0.1:0");
    let grant = outage.grant("--secrets orrange-p2p/* --for 1h");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/serve_boto3.py");
    let said = run(outage.client(&program("python"), &grant).arg("-B").arg(script).args([NAME, &sha(VALUE), OTHER]));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 23, "{said}");
    let words = format!(
        "secretsmanager get-secret-value --region us-east-1 --secret-id {NAME} --query VersionStages --output text"
    );
    let said = run(outage.client(&program("aws"), &grant).args(words.split_whitespace()));
    assert_eq!(said.trim(), "AWSCURRENT");
    let metrics = scrape(glass.text("metrics"));
    assert!(metrics.contains("lifeboat_requests_total{operation=\"GetSecretValue\",result=\"ok\"}"), "{metrics}");
    assert!(!metrics.contains("orrange") && !metrics.contains("web"), "{metrics}");
    let audit = glass.audit();
    assert_eq!(glass.stop(), Some(0));

    let report = outage.desk.run(&format!("break-glass report {} --json", audit.display())).expect(0).json();
    let rotate: Vec<&str> =
        report["rotate"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(rotate, [NAME]);
    assert_eq!(report["root_is_ours"], true);
    stored_where_it_was_served_and_at_home(&outage, &report);
    assert_eq!((&report["seal"]["is_closed"], &report["seal"]["unsigned"]), (&true.into(), &0.into()));
    assert_eq!(report["consumers"][0]["name"], "web");
    let writes: Vec<&str> =
        report["refused_writes"].as_array().unwrap().iter().map(|it| it["operation"].as_str().unwrap()).collect();
    assert_eq!(writes, ["PutSecretValue", "CreateSecret", "DeleteSecret", "RotateSecret"]);
    let trail = outage.desk.run(&format!("break-glass report {} --cloudtrail", audit.display())).expect(0);
    let trail: Json = serde_json::from_str(&trail.out).unwrap();
    let records = trail["Records"].as_array().unwrap();
    assert!(
        records.iter().any(
            |it| it["eventName"] == "GetSecretValue" && it["userIdentity"]["accessKeyId"] == grant["access_key_id"]
        )
    );
    outage.desk.run(&format!("break-glass report {}", audit.display())).expect(0);

    // Neither a value, nor what a client wanted to write, nor a key is in a file or in anything printed.
    let err = std::fs::read(outage.desk.path("serve.err")).unwrap();
    let printed = outage.desk.printed();
    let secret_key = grant["secret_access_key"].as_str().unwrap();
    for planted in [VALUE, "planted-7f3a9c", "planted-other-88aa", PLANTED, secret_key] {
        for (file, bytes) in files(outage.desk.folder.path()) {
            assert!(!holds(&bytes, planted), "{} holds a planted text", file.display());
        }
        assert!(!holds(&err, planted));
        assert!(planted == secret_key || !holds(&printed, planted));
    }
}

/// The log is in the copy, where the server ran, and in the repository, where somebody read it on the host.
fn stored_where_it_was_served_and_at_home(outage: &Outage, report: &Json) {
    let name = report["stored"].as_str().unwrap();
    let again = outage.desk.run(&format!("break-glass report --stored {name} --json")).expect(0).json();
    assert_eq!((&again["rotate"], &again["seal"]), (&report["rotate"], &report["seal"]), "the index key opens it");
    let words = format!("break-glass report --stored {name} --json --config none.toml --repo west");
    outage.desk.run(&format!("{words} --share sheets/02-bo.txt")).expect(5);
    let far = outage.desk.run(&format!("{words} {SHEETS}")).expect(0).json();
    assert_eq!(far["rotate"], report["rotate"], "sheets open it anywhere");
    outage.desk.run("break-glass report --stored 20300101T000000Z-00000000").expect(2).says("no such log");
    outage.desk.run("copy").expect(0);
    for repo in ["repository", "west"] {
        outage.desk.run(&format!("check --repo {repo}")).expect(0);
    }
    // Its names are sealed there.
    for (file, bytes) in files(&outage.desk.path("west/served")) {
        assert!(!holds(&bytes, NAME) && !holds(&bytes, "web"), "{} names something", file.display());
    }
}

fn scrape(url: &str) -> String {
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_a_log_that_says_so_and_a_socket_that_the_next_takes() {
    let outage = Outage::new().await;
    let mut glass = outage.serve("");
    let grant = outage.grant("--secrets orrange-p2p/* --for 1h");
    let words =
        format!("secretsmanager get-secret-value --region us-east-1 --secret-id {NAME} --query Name --output text");
    run(outage.client(&program("aws"), &grant).args(words.split_whitespace()));
    glass.child.kill().unwrap();
    glass.child.wait().unwrap();
    let log = glass.audit();
    let report = outage.desk.run(&format!("break-glass report {} --json", log.display())).expect(3).json();
    assert_eq!(report["seal"]["is_closed"], false);
    assert_eq!(report["rotate"][0]["name"], NAME, "what was answered is in the log");
    assert!(report["stored"].is_string(), "what a crash left is stored by whoever reads it");
    let newest = outage.desk.run("break-glass report --json").expect(3).json();
    assert_eq!(newest["stored"], report["stored"], "and found without its name");

    // A line that is changed or removed, or another root, does not count.
    let text = std::fs::read_to_string(&log).unwrap();
    let changed = outage.desk.path("changed.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    let without = [&lines[..2], &lines[3..], &[""]].concat().join("\n");
    for bad in [text.replace("\"consumer\":\"web\"", "\"consumer\":\"xxx\""), without, "{}\n".into(), String::new()] {
        std::fs::write(&changed, bad).unwrap();
        outage.desk.run("break-glass report changed.jsonl").expect(4).says("does not count");
    }
    let torn = format!("{text}{{\"seq\":");
    std::fs::write(&changed, torn).unwrap();
    let report = outage.desk.run("break-glass report changed.jsonl --json").expect(3).json();
    assert_eq!(report["seal"]["is_torn"], true);

    let again = outage.serve("");
    let old = outage.client(&program("aws"), &grant).args(words.split_whitespace()).output().unwrap();
    assert!(!old.status.success(), "keys end with the server that gave them");
    outage.grant("--secrets orrange-p2p/* --for 1h");
    let second = outage.desk.run(&format!("break-glass serve --repo west {SHEETS} --listen 127.0.0.1:0"));
    second.expect(1).says("another break-glass server has this socket");
    let revoked = outage.desk.run("break-glass revoke web --json").expect(0).json();
    assert_eq!(revoked["revoked"], 1);
    let read = outage.client(&program("aws"), &grant).args(words.split_whitespace()).output().unwrap();
    assert!(!read.status.success(), "keys end with their grant");
    outage.desk.run("break-glass revoke web").expect(2).says("no grant in force");
    assert_eq!(again.stop(), Some(0));
    // The next server stored the log of the killed one beside its own.
    let stored = std::fs::read_dir(outage.desk.path("west/served")).unwrap();
    let records = stored.filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|end| end == "json"));
    assert_eq!(records.count(), 2);
    outage.desk.run("break-glass grant web --secrets * --for 1h").expect(1).says("no break-glass server answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_grow_stops_the_server() {
    let outage = Outage::new().await;
    // The file may have 8 KiB: after that each write fails, as on a full disk.
    let words = format!("break-glass serve --json --repo west {SHEETS} --listen 127.0.0.1:0 --audit small.jsonl");
    let script = format!("trap '' XFSZ; ulimit -f 8; exec \"$0\" {words}");
    let mut glass = outage.serve_by(outage.desk.command("/bin/bash").arg("-c").arg(script).arg(binary()));
    let grant = outage.grant("--secrets orrange-p2p/* --for 1h");
    let words =
        format!("secretsmanager get-secret-value --region us-east-1 --secret-id {NAME} --query Name --output text");
    let (mut answered, mut refused) = (0, false);
    for _ in 0..60 {
        let mut client = outage.client(&program("aws"), &grant);
        let output = client.env("AWS_MAX_ATTEMPTS", "1").args(words.split_whitespace()).output().unwrap();
        if output.status.success() {
            assert!(!refused, "it answered after its log was full");
            answered += 1;
        } else {
            refused = true;
            break;
        }
    }
    assert!(answered > 0 && refused, "{answered} answers, refused: {refused}");
    assert_eq!(glass.child.wait().unwrap().code(), Some(1));
    let err = std::fs::read_to_string(outage.desk.path("serve.err")).unwrap();
    assert!(err.contains("the audit log cannot be written, so nothing is served"), "{err}");
    let log = std::fs::read_to_string(outage.desk.path("small.jsonl")).unwrap();
    let whole = log.lines().filter(|line| line.contains("\"value\":true") && line.ends_with('}')).count();
    assert!(whole >= answered, "{answered} answers and {whole} lines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_served_is_refused_at_the_start() {
    let outage = Outage::new().await;
    let serve = |more: &str| outage.desk.run(&format!("break-glass serve --repo west {SHEETS} {more}"));
    serve("--listen 0.0.0.0:0").expect(2).says("not a loopback address");
    serve("--listen 127.0.0.1:0 --metrics 0.0.0.0:0").expect(1).says("loopback only");
    std::thread::sleep(std::time::Duration::from_secs(2));
    serve("--listen 127.0.0.1:0 --max-staleness 1s").expect(4).says("more than --max-staleness");
    serve("--listen 127.0.0.1:0 --snapshot ffffffff").expect(2);
    serve("--listen 127.0.0.1:0 --source 222222222222").expect(2);
    std::fs::write(outage.desk.path("there.jsonl"), "").unwrap();
    serve("--listen 127.0.0.1:0 --audit there.jsonl").expect(4).says("never overwritten");
    std::fs::write(outage.desk.path("bad.pem"), "x").unwrap();
    serve("--listen 127.0.0.1:0 --tls-cert bad.pem --tls-key bad.pem").expect(2).says("certificate or key");
    let two = "--share sheets/02-bo.txt --share sheets/04-dee.txt";
    outage.desk.run(&format!("break-glass serve --repo west {two} --listen 127.0.0.1:0")).expect(5);
    for client in ["js", "python", "java", "go", "cli", "eso"] {
        let text = outage.desk.run(&format!("break-glass env --for {client} --consumer web")).expect(0).out;
        assert!(text.contains("http://127.0.0.1:4590"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_it_answers_to_its_names_alone() {
    let outage = Outage::new().await;
    let openssl = |words: &str| run(outage.desk.command("openssl").args(words.split_whitespace()));
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("req -x509 {key} -subj /CN=test-authority -keyout ca.key -out ca.pem"));
    openssl(&format!("req -new {key} -subj /CN=localhost -keyout leaf.key -out leaf.csr"));
    std::fs::write(outage.desk.path("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl("x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out leaf.pem");
    let glass = outage.serve("--tls-cert leaf.pem --tls-key leaf.key --host localhost");
    let grant = outage.grant("--secrets orrange-p2p/* --for 1h");
    let endpoint = grant["endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("https://localhost:"), "{endpoint}");
    let words =
        format!("secretsmanager get-secret-value --region us-east-1 --secret-id {NAME} --query Name --output text");
    // boto3 and aws trust AWS_CA_BUNDLE for the service, and not for credentials: with an authority of one's own they need keys.
    let mut client = outage.client(&program("aws"), &grant);
    client.env("AWS_CA_BUNDLE", outage.desk.path("ca.pem"));
    let no_credentials = client.args(words.split_whitespace()).output().unwrap();
    assert!(!no_credentials.status.success(), "boto3 has changed: correct the recipe");
    for (variable, field) in [
        ("ACCESS_KEY_ID", "access_key_id"),
        ("SECRET_ACCESS_KEY", "secret_access_key"),
        ("SESSION_TOKEN", "session_token"),
    ] {
        client.env(format!("AWS_{variable}"), grant[field].as_str().unwrap());
    }
    assert_eq!(run(&mut client).trim(), NAME);
    let node = seed(&outage);
    let mut client = outage.client(&program("node"), &grant);
    assert_eq!(run(client.env("NODE_EXTRA_CA_CERTS", outage.desk.path("ca.pem")).arg(node)).trim(), sha(VALUE));
    let mut blind = outage.client(&program("aws"), &grant);
    assert!(!blind.env("AWS_MAX_ATTEMPTS", "1").args(words.split_whitespace()).output().unwrap().status.success());
    assert_eq!(glass.stop(), Some(0));
}
