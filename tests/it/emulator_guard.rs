//! The sandbox against web pages: another origin, another name for loopback, no token.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::Stdio,
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::Value as Json;

use crate::{
    command::{Desk, binary},
    emulator_wire::{ACCOUNT, Answered, REGION, Wire},
};

const PUT: &[u8] =
    br#"{"SecretId":"app","SecretString":"changed","ClientRequestToken":"00000000-0000-4000-a000-000000000001"}"#;
const CONTROL: &str = r#"{"put":{"account":"111111111111","region":"us-east-1","secret":"app","value":"changed"}}"#;

async fn sandbox() -> (Sandbox, Wire) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(ACCOUNT, REGION, "app", "first").unwrap();
    let wire = Wire::connect(sandbox.address()).await;
    (sandbox, wire)
}

fn signed(operation: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/secretsmanager/aws4_request, \
         SignedHeaders=host, Signature=0\r\nX-Amz-Target: secretsmanager.{operation}\r\n"
    )
}

/// In the shape of an AWS error: a code, and one sentence.
#[track_caller]
fn assert_refused(answered: &Answered, what: &str) {
    assert_eq!(answered.status, 403, "{what}: {}", answered.head);
    let body = answered.json();
    assert_eq!(body["__type"], "AccessDeniedException", "{what}");
    let sentence = body["Message"].as_str().unwrap();
    assert!(sentence.ends_with('.') && sentence.matches(". ").count() == 0, "one sentence: {sentence}");
    assert!(!answered.head.contains("access-control-allow"), "{what}: {}", answered.head);
}

async fn value(wire: &mut Wire) -> Json {
    wire.ok("GetSecretValue", serde_json::json!({ "SecretId": "app" })).await["SecretString"].clone()
}

#[tokio::test]
async fn a_page_of_another_origin_changes_and_reads_nothing() {
    let (sandbox, mut wire) = sandbox().await;
    let token = format!("X-Lifeboat-Sandbox: {}\r\n", sandbox.token());
    for of_a_page in
        ["Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin:\r\n", "Sec-Fetch-Site: cross-site\r\n"]
    {
        // What fetch() sends without asking: text/plain, so that there is no preflight.
        let headers = format!("{of_a_page}Content-Type: text/plain\r\n");
        let put = wire.send("POST", "/", &format!("{headers}{}", signed("PutSecretValue")), PUT).await.unwrap();
        assert_refused(&put, of_a_page);
        for (method, path, body) in [("POST", "/_sandbox/control", CONTROL), ("GET", "/_sandbox/calls", "")] {
            let switch = wire.send(method, path, &format!("{headers}{token}"), body.as_bytes()).await.unwrap();
            assert_refused(&switch, path);
        }
        assert_refused(&wire.send("OPTIONS", "/", &headers, b"").await.unwrap(), "preflight");
    }
    assert_eq!(value(&mut wire).await, "first");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn another_name_for_loopback_is_not_answered() {
    let (sandbox, mut wire) = sandbox().await;
    let port = sandbox.address().port();
    let token = format!("X-Lifeboat-Sandbox: {}\r\n", sandbox.token());
    let read = signed("GetSecretValue");
    for host in [
        format!("Host: evil.example:{port}\r\n"),
        "Host: 127.0.0.1\r\n".into(),
        format!("Host: localhost:{port}\r\nHost: evil.example\r\n"),
        String::new(),
    ] {
        let answered = wire.send_as("POST", "/", &format!("{host}{read}"), br#"{"SecretId":"app"}"#).await.unwrap();
        assert_refused(&answered, &host);
        let calls = wire.send_as("GET", "/_sandbox/calls", &format!("{host}{token}"), b"").await.unwrap();
        assert_refused(&calls, &host);
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        let headers = format!("Host: {host}\r\n{read}");
        let answered = wire.send_as("POST", "/", &headers, br#"{"SecretId":"app"}"#).await.unwrap();
        assert_eq!((answered.status, &answered.json()["SecretString"]), (200, &"first".into()), "{host}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_switches_need_the_token() {
    let (sandbox, mut wire) = sandbox().await;
    let wrong = format!("X-Lifeboat-Sandbox: {}\r\n", "0".repeat(32));
    for headers in ["", "X-Lifeboat-Sandbox:\r\n", &wrong] {
        let turned = wire.send("POST", "/_sandbox/control", headers, CONTROL.as_bytes()).await.unwrap();
        assert_refused(&turned, headers);
        assert_refused(&wire.send("GET", "/_sandbox/calls", headers, b"").await.unwrap(), headers);
    }
    assert_eq!(value(&mut wire).await, "first");
    let right = format!("X-Lifeboat-Sandbox: {}\r\n", sandbox.token());
    let turned = wire.send("POST", "/_sandbox/control", &right, CONTROL.as_bytes()).await.unwrap();
    assert_eq!(turned.status, 200);
    assert_eq!(value(&mut wire).await, "changed");
    sandbox.shutdown().await;
}

/// What the help says is typed into a shell as it stands there.
#[test]
fn the_examples_of_the_help_work() {
    let desk = Desk::offline(ACCOUNT);
    let help = desk.run("sandbox --help").expect(0).out;
    let (_, lines) = help.split_once("In another terminal").unwrap();
    let lines: Vec<&str> = lines.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 3, "{help}");
    let mut child = desk.command(binary());
    child.args(["sandbox", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let printed = BufReader::new(child.stdout.take().unwrap()).lines().take(2).map(Result::unwrap);
    let printed: Vec<String> = printed.collect();
    let script = format!("set -e\n{}\n{}\n", printed.join("\n"), lines.join("\n"));
    let aws = crate::servers::program("aws");
    let path = format!("{}:/usr/bin:/bin", aws.parent().unwrap().display());
    let ran = desk.finish(desk.command("sh").env("PATH", path).args(["-c", &script])).expect(0);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ran.out.contains("\"Name\": \"app/one\"") && ran.out.contains("CreateSecret"), "{}", ran.out);
}

#[tokio::test]
async fn the_command_prints_endpoint_and_token() {
    let desk = Desk::offline(ACCOUNT);
    for json in [true, false] {
        let mut command = desk.command(binary());
        command.args(["sandbox", "--listen", "127.0.0.1:0"]).args(json.then_some("--json"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        let (endpoint, token) = if json {
            let started: Json = serde_json::from_str(&first).unwrap();
            (started["endpoint"].as_str().unwrap().to_owned(), started["token"].as_str().unwrap().to_owned())
        } else {
            let second = lines.next().unwrap();
            let of = |line: &str, name: &str| line.strip_prefix(&format!("export {name}=")).unwrap().to_owned();
            (of(&first, "AWS_ENDPOINT_URL"), of(&second, "LIFEBOAT_SANDBOX_TOKEN"))
        };
        let address: SocketAddr = endpoint.trim_start_matches("http://").parse().unwrap();
        let mut wire = Wire::connect(address).await;
        let header = format!("X-Lifeboat-Sandbox: {token}\r\n");
        assert_eq!(wire.send("GET", "/_sandbox/calls", &header, b"").await.unwrap().status, 200);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
