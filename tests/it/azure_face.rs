//! The sandbox as Azure Key Vault, judged by Microsoft's clients for Python and JavaScript, and by the tool itself.
#![cfg(feature = "azure")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use lifeboat::{
    emulator::{AzureSandbox, AzureSandboxOptions},
    provider::azure::{Azure, AzureSettings},
};
use serde_json::Value as Json;

use crate::servers::program;

/// A sandbox, and its certificate in a file.
pub struct World {
    pub sandbox: AzureSandbox,
    folder: tempfile::TempDir,
}

impl World {
    pub async fn start() -> Self {
        Self::with(AzureSandboxOptions::default()).await
    }

    pub async fn with(options: AzureSandboxOptions) -> Self {
        let sandbox = AzureSandbox::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sandbox.pem"), sandbox.certificate()).unwrap();
        Self { sandbox, folder }
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("sandbox.pem")
    }

    pub fn settings(&self) -> AzureSettings {
        AzureSettings {
            authority: Some(self.sandbox.authority()),
            client_id: Some("backup".into()),
            client_secret: Some(self.sandbox.client_secret().to_owned().into()),
            certificate: Some(self.sandbox.certificate().to_owned()),
            ..AzureSettings::default()
        }
    }

    pub async fn connect(&self, vault: &str) -> Azure {
        let address = self.sandbox.source(vault).parse().unwrap();
        Azure::connect_by(&address, self.settings(), 1.0, None).await.unwrap()
    }

    /// Runs a script of tests/python with a vault, and reads what it prints.
    pub async fn python(&self, script: &str, vault: &str) -> Json {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
        let mut python = Command::new(program("python"));
        python.arg("-B").arg(script).args([&self.sandbox.vault(vault), &self.sandbox.authority()]);
        python.arg(self.certificate()).arg(self.sandbox.client_secret());
        let ran = tokio::task::spawn_blocking(move || python.output().unwrap()).await.unwrap();
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{errors}");
        serde_json::from_slice(&ran.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_python_client_finds_every_operation_as_it_expects_it() {
    let world = World::start().await;
    let told = world.python("azure_face.py", "v1").await;
    assert!(told["checks"].as_u64().unwrap() >= 30, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_javascript_client_does_too() {
    let world = World::start().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.arg(root.join("tests/node/azure_face.cjs")).args([world.sandbox.vault("v1"), world.sandbox.authority()]);
    node.arg(world.sandbox.client_secret());
    node.env("NODE_EXTRA_CA_CERTS", world.certificate()).env("NODE_PATH", root.join("target/node/node_modules"));
    let ran = tokio::task::spawn_blocking(move || node.output().unwrap()).await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_and_foreign_hosts_get_no_answer_and_the_switches_need_their_token() {
    let world = World::start().await;
    let port = world.sandbox.vault("v1").rsplit_once(':').unwrap().1.to_owned();
    let send = |path: &str, headers: &[String]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-i", "--cacert"]).arg(world.certificate());
        curl.arg(format!("https://127.0.0.1:{port}{path}"));
        for header in headers {
            curl.args(["-H", header]);
        }
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    let path = "/secrets?api-version=2025-07-01";
    let host = format!("Host: v1.vault.localhost:{port}");
    let told = send(path, std::slice::from_ref(&host));
    assert!(told.starts_with("HTTP/1.1 401") && told.contains("www-authenticate: Bearer authorization="), "{told}");
    for odd in ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"] {
        assert!(send(path, &[host.clone(), odd.into()]).starts_with("HTTP/1.1 403"), "{odd}");
    }
    for foreign in ["Host: evil.example", "Host: v1.vault.localhost:1", "Host: .vault.localhost"] {
        assert!(send(path, &[foreign.into()]).starts_with("HTTP/1.1 403"), "{foreign}");
    }
    assert!(send("/_sandbox/calls", &[]).starts_with("HTTP/1.1 403"));
    let told = send("/_sandbox/calls", &[format!("X-Lifeboat-Sandbox: {}", world.sandbox.token())]);
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    let outside = AzureSandboxOptions { bind: "0.0.0.0:0".parse().unwrap(), ..AzureSandboxOptions::default() };
    assert!(AzureSandbox::start(outside).await.is_err());
}

#[test]
fn every_field_of_the_models_has_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("tests/python/azure_fields.py");
    let ran = Command::new(program("python")).arg("-B").arg(script).output().unwrap();
    let model = String::from_utf8(ran.stdout).unwrap();
    let known: BTreeSet<&str> = model.lines().collect();
    assert!(ran.status.success() && known.len() > 30, "{model}");
    let page = std::fs::read_to_string(root.join("docs/fidelity.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("What a key vault tells")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| model"));
    let rows: Vec<Vec<&str>> = rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 5 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
    let told: Vec<String> = rows.iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    assert_eq!(told.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}
