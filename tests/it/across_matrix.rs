//! From each kind into each and back: the name and the value are what they were.
#![cfg(all(feature = "azure", feature = "gcp", feature = "vault", feature = "dotenv"))]

use std::fs;

use lifeboat::emulator::{GcpSandbox, Sandbox, SandboxOptions, VaultSandbox, VaultSandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    azure_face,
    command::{Desk, PEOPLE, Ran, SHEETS, binary},
    gcp_face,
};

const KINDS: [&str; 5] = ["aws", "vault", "gcp", "azure", "env"];
const ACCOUNT: &str = "111111111111";
/// Spelled so that every kind of text or object keeps it: an object of JSON with one field.
const VALUE: &str = r#"{"password":"marker of the matrix"}"#;

/// A place of every kind, three times.
struct World {
    aws: Sandbox,
    vault: VaultSandbox,
    gcp: GcpSandbox,
    azure: azure_face::World,
    files: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let world = Self {
            aws: Sandbox::start(SandboxOptions::default()).await.unwrap(),
            vault: VaultSandbox::start(VaultSandboxOptions::default()).await.unwrap(),
            gcp: gcp_face::sandbox().await,
            azure: azure_face::World::start().await,
            files: tempfile::tempdir().unwrap(),
        };
        for mount in ["target", "back"] {
            let engine = json!({ "type": "kv", "options": { "version": "2" } });
            world.vault.control().request("POST", &format!("sys/mounts/{mount}"), &engine).unwrap();
        }
        world
    }

    /// The address of one of the three places of a kind: `source`, `target`, `back`.
    fn address(&self, kind: &str, role: &str) -> String {
        let region = match role {
            "source" => "eu-central-1",
            "target" => "us-west-2",
            _ => "eu-west-1",
        };
        match kind {
            "aws" => format!("aws:{region}"),
            "vault" => self.vault.source(if role == "source" { "secret" } else { role }),
            "gcp" => format!("gcp:{role}-project/global"),
            "azure" => self.azure.sandbox.source(role),
            // What other kinds give a file has any name.
            _ => format!("env:{}?include=*", self.files.path().join(role).display()),
        }
    }

    fn plant(&self, kind: &str) {
        match kind {
            "aws" => drop(self.aws.control().put(ACCOUNT, "eu-central-1", "app-one", VALUE).unwrap()),
            "vault" => {
                let data = json!({ "data": serde_json::from_str::<Json>(VALUE).unwrap() });
                self.vault.control().request("POST", "secret/data/app-one", &data).unwrap();
            }
            "gcp" => {
                let send = |path: &str, body: &Json| {
                    let path = format!("/v1/projects/source-project/secrets{path}");
                    self.gcp.control().request("POST", &path, body).unwrap();
                };
                send("?secretId=app-one", &json!({ "replication": { "automatic": {} } }));
                send("/app-one:addVersion", &json!({ "payload": { "data": base64(VALUE.as_bytes()) } }));
            }
            "azure" => {
                let secret = json!({ "value": VALUE, "contentType": "application/json" });
                self.azure.sandbox.control().request("source", "PUT", "secrets/app-one", &secret).unwrap();
            }
            _ => {
                let folder = self.files.path().join("source/app");
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(".env"), "PASSWORD='marker of the matrix'\n").unwrap();
            }
        }
    }

    fn run(&self, desk: &Desk, words: &str) -> Ran {
        let mut command = desk.command(binary());
        let (azure, gcp) = (&self.azure.sandbox, self.gcp.endpoint());
        command
            .env("AZURE_AUTHORITY_HOST", azure.authority())
            .env("AZURE_CLIENT_ID", "backup")
            .env("AZURE_CLIENT_SECRET", azure.client_secret())
            .env("AWS_CA_BUNDLE", self.azure.certificate())
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", &gcp)
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", &gcp)
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
            .env("VAULT_TOKEN", self.vault.root_token());
        desk.finish(command.args(words.split_whitespace()))
    }

    fn host(&self, source: &str) -> Desk {
        let desk = Desk::new(&self.aws.endpoint(), ACCOUNT);
        self.run(&desk, &format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
        let told = self.run(&desk, "snapshot --json").expect(0).json();
        assert_eq!(told["counts"]["captured"], 1, "{told}");
        desk
    }

    fn restore(&self, desk: &Desk, kind: &str, role: &str) -> Json {
        let account = if kind == "aws" { format!("--account {ACCOUNT}") } else { String::new() };
        let to = self.address(kind, role);
        let ran = self.run(desk, &format!("restore --to {to} {account} --yes --json {SHEETS}"));
        assert!(matches!(ran.code, Some(0 | 3)), "{kind} {role}: {:?} {} {}", ran.code, ran.out, ran.err);
        let told = ran.json();
        assert_eq!(told["verification"]["differences"], json!([]), "{kind} {role}: {told}");
        told
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// From one kind into every kind and back.
async fn there_and_back(source: &str) {
    for target in KINDS {
        let world = World::start().await;
        world.plant(source);
        let host = world.host(&world.address(source, "source"));
        let told = world.restore(&host, target, "target");
        assert_eq!(told["counts"]["created"], 1, "{source} to {target}: {told}");
        let there = world.host(&world.address(target, "target"));
        let told = world.restore(&there, source, "back");
        assert_eq!(told["counts"]["created"], 1, "{source} from {target}: {told}");
        // What came back is what was captured, byte for byte, read from the place itself.
        let back = world.host(&world.address(source, "back"));
        let value = |desk: &Desk, name: &str| world.run(desk, &format!("get {name} {SHEETS}")).expect(0).out;
        let name = if source == "env" { "app/.env" } else { "app-one" };
        assert_eq!(value(&back, name), value(&host, name), "{source} over {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_aws() {
    there_and_back("aws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_vault() {
    there_and_back("vault").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_google() {
    there_and_back("gcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_azure() {
    there_and_back("azure").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_files() {
    there_and_back("env").await;
}
