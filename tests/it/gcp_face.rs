//! The sandbox as Google Cloud Secret Manager: two clients of Google's drive it through every operation that the tool uses, and
//! every answer is held against Google's discovery document.
#![cfg(feature = "gcp")]

use std::{path::Path, process::Command};

use lifeboat::emulator::{FaultWhen, GcpFault, GcpFaultKind, GcpSandbox, GcpSandboxOptions};
use serde_json::{Value as Json, json};

use crate::servers::program;

pub async fn sandbox() -> GcpSandbox {
    GcpSandbox::start(GcpSandboxOptions::default()).await.unwrap()
}

/// What a script of Google's client prints.
pub async fn script(name: &'static str, arguments: Vec<String>) -> Json {
    let run = move || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name);
        let ran = Command::new(program("python")).arg("-B").arg(script).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        serde_json::from_slice(&ran.stdout).unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_of_googles_drive_it_and_every_answer_is_in_the_discovery_document() {
    let sandbox = sandbox().await;
    let told = script("gcp_face.py", vec![sandbox.endpoint()]).await;
    assert!(told["answers"].as_u64().unwrap() > 50 && told["refusals"].as_u64().unwrap() > 25, "{told}");
    let methods = told["methods"].as_array().unwrap();
    for method in [
        "secrets.addVersion",
        "secrets.create",
        "secrets.delete",
        "secrets.get",
        "secrets.getIamPolicy",
        "secrets.list",
        "secrets.patch",
        "secrets.setIamPolicy",
        "secrets.testIamPermissions",
        "secrets.versions.access",
        "secrets.versions.destroy",
        "secrets.versions.disable",
        "secrets.versions.enable",
        "secrets.versions.get",
        "secrets.versions.list",
        "locations.list",
        "locations.secrets.create",
        "locations.secrets.list",
    ] {
        assert!(methods.contains(&json!(format!("secretmanager.projects.{method}"))), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_and_faults_are_refusals_in_googles_form() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    control.set_quotas(true);
    let list = || control.request("GET", "/v1/projects/quota-test/secrets", &Json::Null);
    let refused = (0..700).filter(|_| list().is_err()).count();
    assert!((90..=100).contains(&refused), "600 a minute at once: {refused} of 700 refused");
    control.set_quotas(false);
    control.add_fault(GcpFault {
        path: Some("/secrets".into()),
        when: FaultWhen::Nth(2),
        kind: GcpFaultKind::Unavailable,
    });
    assert!(list().is_ok() && list().is_err() && list().is_ok());
    control.set_token(Some("t".into()));
    let answer = reqwest(&sandbox.endpoint(), "").await;
    assert_eq!(answer["error"]["status"], "UNAUTHENTICATED");
    assert!(reqwest(&sandbox.endpoint(), "t").await["error"].is_null());
}

async fn reqwest(endpoint: &str, token: &str) -> Json {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /v1/projects/quota-test/secrets HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
