//! The sandbox as a Vault: the same conversation with it and with OpenBao, by hvac and by OpenBao's own command line.
#![cfg(feature = "vault")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use futures::TryStreamExt as _;
use lifeboat::{
    emulator::{FaultWhen, VaultFault, VaultFaultKind, VaultSandbox, VaultSandboxOptions},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Listed, Source as _, vault::Vault},
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, SHEETS, binary},
    servers::{Bao, program},
};

async fn sandbox() -> VaultSandbox {
    VaultSandbox::start(VaultSandboxOptions::default()).await.unwrap()
}

/// Everything that a server answers in the conversation, by case.
fn conversation(endpoint: &str, token: &str) -> Json {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vault_face.py");
    let mut python = Command::new(program("python"));
    let ran = python.arg("-B").arg(script).args([endpoint, token]).arg(program("bao")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_answers_as_openbao_does() {
    let bao = Bao::start();
    let real = tokio::task::spawn_blocking(move || conversation(&bao.endpoint, Bao::ROOT));
    let sandbox = sandbox().await;
    let (endpoint, root) = (sandbox.endpoint(), sandbox.root_token().to_owned());
    let ours = tokio::task::spawn_blocking(move || conversation(&endpoint, &root));
    let (real, ours) = (real.await.unwrap(), ours.await.unwrap());
    let (real, ours) = (real.as_object().unwrap(), ours.as_object().unwrap());
    assert!(real.len() > 60, "{} cases", real.len());
    let mut differences = Vec::new();
    for (name, expected) in real {
        let (expected, found) = (expected.as_array().unwrap(), ours[name].as_array().unwrap());
        assert_eq!(expected.len(), found.len(), "{name}");
        for (position, (expected, found)) in expected.iter().zip(found).enumerate() {
            if expected != found {
                differences.push(format!("{name} #{position}\n  OpenBao: {expected}\n  sandbox: {found}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// What the seed script leaves, as the tool reads it.
async fn read_by_the_tool(endpoint: &str, token: &str) -> BTreeMap<String, Json> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vault_seed.py");
    let ran = Command::new(program("python")).arg("-B").arg(script).args([endpoint, token]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let told: Json = serde_json::from_slice(&ran.stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret-id");
    std::fs::write(&file, told["secret_id"].as_str().unwrap()).unwrap();
    let (role, file) = (told["role_id"].as_str().unwrap(), file.display());
    let address = format!("vault:{endpoint}/secret?auth=approle&role_id={role}&secret_id_file={file}");
    let vault = Vault::connect(&address.parse().unwrap(), None).await.unwrap();
    let mut found = BTreeMap::new();
    let listed: Vec<Listed> = vault.list().try_collect().await.unwrap();
    for listed in listed {
        let fetched = vault.fetch(&listed, &|_, _| false).await.unwrap();
        assert!(fetched.agrees, "{}", listed.name);
        let version = |version: &FetchedVersion| {
            let value = match &version.value {
                FetchedValue::Value(value) => String::from_utf8(value.expose().to_vec()).unwrap(),
                FetchedValue::Withheld(withheld) => format!("{withheld:?}"),
                FetchedValue::Unreadable(code) => code.clone(),
                FetchedValue::Known => "known".into(),
                FetchedValue::None => "none".into(),
            };
            json!([version.id, version.current, value])
        };
        let versions: Vec<Json> = fetched.versions.iter().map(version).collect();
        let tags = serde_json::to_value(&fetched.secret.facets.tags).unwrap();
        found.insert(listed.name, json!({ "versions": versions, "tags": tags, "other": fetched.secret.facets.other }));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_reads_the_sandbox_as_it_reads_openbao() {
    let bao = Bao::start();
    let sandbox = sandbox().await;
    let real = read_by_the_tool(&bao.endpoint, Bao::ROOT).await;
    let ours = read_by_the_tool(&sandbox.endpoint(), sandbox.root_token()).await;
    assert!(real.len() > 50);
    assert_eq!(real.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (name, expected) in &real {
        assert_eq!(expected, &ours[name], "{name}");
    }
}

/// `lifeboat sandbox --vault --seed`, and what it printed.
struct Started {
    child: Child,
    told: Json,
}

impl Started {
    fn new(desk: &Desk) -> Self {
        let mut command = desk.command(binary());
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--vault=127.0.0.1:0", "--seed", "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        Self { child, told: serde_json::from_str(&line).unwrap() }
    }

    fn text(&self, name: &str) -> &str {
        self.told["vault"][name].as_str().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_host_backs_up_the_vault_of_the_sandbox() {
    let desk = Desk::offline("111111111111");
    let sandbox = Started::new(&desk);
    let (token, source) = (sandbox.text("token"), sandbox.text("source"));
    let run = |words: &str| {
        let mut command = desk.command(binary());
        desk.finish(command.env("VAULT_TOKEN", token).args(words.split_whitespace()))
    };
    let people = "--custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli --threshold 3";
    run(&format!("init --repo repository {people} --sheets sheets --copy west --yes --source {source}")).expect(0);
    let first = run("snapshot --json").expect(0).json();
    assert_eq!((&first["counts"]["captured"], &first["counts"]["values_read"]), (&json!(14), &json!(51)), "{first}");
    let second = run("snapshot --json").expect(0).json();
    assert_eq!(second["counts"]["values_read"], 0, "{second}");
    run("check").expect(0);
    let show = run(&format!("show --json {SHEETS}")).expect(0);
    assert!(show.out.contains("orrange-p2p/reserved/next-quarter"), "{}", show.out);
    let printed = String::from_utf8_lossy(&desk.printed()).into_owned();
    assert!(!printed.contains(token));
    // The line for people is one to paste.
    let mut command = desk.command(binary());
    command
        .args(["sandbox", "--listen", "127.0.0.1:0", "--vault=127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(5).map(Result::unwrap).collect::<Vec<_>>();
    child.kill().unwrap();
    child.wait().unwrap();
    for (line, begins) in lines[2..].iter().zip([
        "export VAULT_ADDR=http://127.0.0.1:",
        "export VAULT_TOKEN=s.",
        "# lifeboat init --source vault:http://127.0.0.1:",
    ]) {
        assert!(line.starts_with(begins), "{line}");
    }
}

/// An address that signs in at the sandbox, and the folder of its secret id.
fn signed_in(sandbox: &VaultSandbox, more: &str) -> (String, tempfile::TempDir) {
    let control = sandbox.control();
    let send = |path: &str, body: Json| control.request("POST", path, &body).unwrap();
    send("sys/policies/acl/all", json!({ "policy": "path \"*\" { capabilities = [\"read\", \"list\"] }" }));
    send("sys/auth/approle", json!({ "type": "approle" }));
    send("auth/approle/role/backup", json!({ "token_policies": ["all"], "token_ttl": "1h" }));
    send("auth/approle/role/backup/role-id", json!({ "role_id": "r" }));
    send("auth/approle/role/backup/custom-secret-id", json!({ "secret_id": "s" }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret-id");
    std::fs::write(&file, "s").unwrap();
    let address =
        format!("{}?auth=approle&role_id=r&secret_id_file={}{more}", sandbox.source("secret"), file.display());
    (address, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_on_order_are_met_by_the_tool_as_those_of_a_server() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    let (address, _folder) = signed_in(&sandbox, "");
    control.request("POST", "secret/data/a", &json!({ "data": { "v": "1" } })).unwrap();
    let vault = Vault::connect(&address.parse().unwrap(), None).await.unwrap();
    let listed: Vec<Listed> = vault.list().try_collect().await.unwrap();
    let fault = |path: &str, when, kind| VaultFault { path: Some(path.into()), when, kind };
    control.reset_calls();
    control.add_fault(fault("secret/data/", FaultWhen::Nth(1), VaultFaultKind::RateLimited(1)));
    control.add_fault(fault("secret/data/", FaultWhen::Nth(2), VaultFaultKind::Drop));
    let begun = std::time::Instant::now();
    let fetched = vault.fetch(&listed[0], &|_, _| false).await.unwrap();
    assert!(matches!(fetched.versions[0].value, FetchedValue::Value(_)));
    assert!(begun.elapsed().as_millis() >= 1000, "the pause that is asked for is kept");
    assert_eq!(control.calls()["read data"], 1, "what is refused is not carried out");
    control.clear_faults();
    control.add_fault(fault("secret/data/", FaultWhen::Always, VaultFaultKind::Denied));
    let fetched = vault.fetch(&listed[0], &|_, _| false).await.unwrap();
    assert!(matches!(&fetched.versions[0].value, FetchedValue::Unreadable(code) if code == "PermissionDenied"));
    control.clear_faults();
    control.end_tokens();
    let error = vault.fetch(&listed[0], &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "TokenEnded"));
    let vault = Vault::connect(&address.parse().unwrap(), None).await.unwrap();
    control.set_sealed(true);
    let error = vault.fetch(&listed[0], &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "Sealed"));
    control.set_sealed(false);
    let before = vault.fetch(&listed[0], &|_, _| false).await.unwrap();
    assert_eq!(control.corrupt_value("secret", "a", 0).unwrap(), 1);
    let after = vault.fetch(&listed[0], &|_, _| false).await.unwrap();
    let bytes = |fetched: &Fetched| match &fetched.versions[0].value {
        FetchedValue::Value(value) => value.expose().to_vec(),
        _ => Vec::new(),
    };
    assert_ne!(bytes(&before), bytes(&after));
    sandbox.shutdown().await;
}

/// A value of 1 MiB is refused as raft's storage refuses it; a development server of OpenBao would take it.
#[tokio::test(flavor = "multi_thread")]
async fn what_raft_cannot_hold_is_refused() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    let put = |size: usize| control.request("POST", "secret/data/a", &json!({ "data": { "v": "x".repeat(size) } }));
    assert!(put(1_048_000).is_ok());
    let refused = put(1_048_400).err().unwrap().to_string();
    assert!(refused.contains("500"), "{refused}");
    assert_eq!(control.request("GET", "secret/metadata/a", &Json::Null).unwrap()["data"]["current_version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_and_foreign_hosts_get_no_answer() {
    let sandbox = sandbox().await;
    let send = |path: &str, headers: &[(&'static str, String)]| {
        let mut words = vec!["-s".to_owned(), "-i".to_owned(), format!("{}{path}", sandbox.endpoint())];
        for (name, value) in headers {
            words.extend(["-H".to_owned(), format!("{name}: {value}")]);
        }
        let ran = Command::new("curl").args(words).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let token = ("X-Vault-Token", sandbox.root_token().to_owned());
    let read = "/v1/secret/config";
    assert!(send(read, std::slice::from_ref(&token)).starts_with("HTTP/1.1 200"));
    for odd in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Host", "evil.example")] {
        let told = send(read, &[token.clone(), (odd.0, odd.1.to_owned())]);
        assert!(told.starts_with("HTTP/1.1 403") && !told.contains("max_versions"), "{told}");
    }
    assert!(send("/_sandbox/calls", std::slice::from_ref(&token)).starts_with("HTTP/1.1 403"));
    let own = ("X-Lifeboat-Sandbox", sandbox.token().to_owned());
    let told = send("/_sandbox/calls", &[own]);
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("\"read config\":1"), "{told}");
    let outside = VaultSandboxOptions { bind: "0.0.0.0:0".parse().unwrap(), ..VaultSandboxOptions::default() };
    assert!(VaultSandbox::start(outside).await.is_err());
}

/// The health of a cluster is told in the root namespace alone: a source two deep asks for it there.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_in_a_namespace_is_captured() {
    let bao = Bao::start();
    bao.run(&["namespace", "create", "team"]);
    bao.run(&["namespace", "create", "-namespace=team", "sub"]);
    bao.run(&["secrets", "enable", "-namespace=team/sub", "-path=kv", "kv-v2"]);
    bao.run(&["kv", "put", "-namespace=team/sub", "-mount=kv", "a", "v=1"]);
    let sandbox = sandbox().await;
    let send = |path: &str, body: Json| sandbox.control().request("POST", path, &body).unwrap();
    send("sys/namespaces/team", json!({}));
    send("team/sys/namespaces/sub", json!({}));
    send("team/sub/sys/mounts/kv", json!({ "type": "kv-v2" }));
    send("team/sub/kv/data/a", json!({ "data": { "v": "1" } }));
    for (endpoint, token) in [(bao.endpoint.clone(), Bao::ROOT), (sandbox.endpoint(), sandbox.root_token())] {
        let desk = Desk::offline("111111111111");
        let run = |words: &str| {
            let mut command = desk.command(binary());
            desk.finish(command.env("VAULT_TOKEN", token).args(words.split_whitespace()))
        };
        let people = "--custodian Ana --custodian Bo --custodian Cy --threshold 2 --sheets sheets --yes";
        run(&format!("init --repo repository {people} --source vault:{endpoint}/kv?namespace=team/sub")).expect(0);
        let told = run("snapshot --json").expect(0).json();
        assert_eq!((&told["counts"]["captured"], &told["counts"]["values_read"]), (&json!(1), &json!(1)), "{told}");
        assert!(told["source"]["account"].as_str().unwrap().ends_with("/team/sub"), "{told}");
    }
}

#[test]
fn the_demo_tells_the_same_story_with_a_vault() {
    let desk = Desk::offline("111111111111");
    let demo = desk.run("demo --source vault --json --out good").expect(0).json();
    assert_eq!((&demo["complete"], &demo["drill"]["result"]), (&json!(true), &json!("passed")), "{demo}");
    assert!(demo["verification"]["values"].as_u64().unwrap() > 40, "{demo}");
    let broken = desk.run("demo --source vault --out broken --break value").expect(3);
    assert!(broken.err.contains("orrange-p2p/database/production"), "{}", broken.err);
}
