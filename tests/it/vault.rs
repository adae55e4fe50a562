//! Vault's KV version 2 on a real OpenBao server, seeded and read by hvac, a client nobody here wrote.
#![cfg(feature = "vault")]

use std::{collections::BTreeMap, process::Command};

use futures::TryStreamExt as _;
use lifeboat::{
    model::Withheld,
    provider::{ErrorKind, Fetched, FetchedValue, Listed, Source as _, vault::Vault},
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, SHEETS, binary},
    servers::{Bao, program},
};

/// A server with odd keys, what hvac sees of them, and an address that signs in by a role that may only read.
struct World {
    bao: Bao,
    told: Json,
    address: String,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let bao = Bao::start();
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vault_seed.py");
        let words = [bao.endpoint.as_str(), Bao::ROOT];
        let ran = Command::new(program("python")).arg("-B").arg(script).args(words).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let told: Json = serde_json::from_slice(&ran.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret-id");
        std::fs::write(&file, format!("{}\n", told["secret_id"].as_str().unwrap())).unwrap();
        let role = told["role_id"].as_str().unwrap();
        let address = format!(
            "vault:{}/secret?auth=approle&role_id={role}&secret_id_file={}",
            bao.endpoint,
            file.to_str().unwrap()
        );
        Self { bao, told, address, _folder: folder }
    }

    async fn connect(&self) -> Vault {
        Vault::connect(&self.address.parse().unwrap(), None).await.unwrap()
    }
}

pub async fn listed(vault: &Vault) -> BTreeMap<String, Listed> {
    let all: Vec<Listed> = vault.list().try_collect().await.unwrap();
    let count = all.len();
    let by_name: BTreeMap<_, _> = all.into_iter().map(|listed| (listed.name.clone(), listed)).collect();
    assert_eq!(by_name.len(), count, "no name twice");
    by_name
}

pub async fn read(vault: &Vault, listed: &Listed) -> Fetched {
    vault.fetch(listed, &|_, _| false).await.unwrap()
}

fn fields(value: &FetchedValue) -> Option<Json> {
    match value {
        FetchedValue::Value(value) => Some(serde_json::from_slice(value.expose()).unwrap()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_as_another_client_reads_it() {
    let world = World::new();
    let vault = world.connect().await;
    let found = listed(&vault).await;
    let estate = world.told["estate"].as_object().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), estate.keys().collect::<Vec<_>>());
    assert!(found.len() > 50 && found.contains_key("both") && found.contains_key("both/below"));
    for (name, expected) in estate {
        let entry = &found[name];
        let fetched = read(&vault, entry).await;
        assert!(fetched.agrees, "{name}");
        assert_eq!(fetched.secret.id, entry.id, "{name}");
        assert_eq!(fetched.secret.raw["metadata"], expected["metadata"], "{name}: nothing of it is dropped");
        let rows = expected["metadata"]["versions"].as_object().unwrap();
        assert_eq!(fetched.versions.len(), rows.len(), "{name}");
        for version in &fetched.versions {
            let row = &rows[&version.id];
            let value = expected["values"].get(&version.id);
            match &version.value {
                FetchedValue::Withheld(Withheld::Destroyed) => assert_eq!(row["destroyed"], true, "{name}"),
                FetchedValue::Withheld(Withheld::Deleted) => assert_ne!(row["deletion_time"], "", "{name}"),
                FetchedValue::Unreadable(code) => {
                    assert_eq!((name.as_str(), code.as_str()), ("denied/key", "PermissionDenied"));
                    continue;
                }
                value => assert!(matches!(value, FetchedValue::Value(_)), "{name} {}", version.id),
            }
            assert_eq!(fields(&version.value).as_ref(), value, "{name} {}", version.id);
        }
        let current = fetched.versions.iter().find(|version| version.current).map(|version| version.id.clone());
        let number = expected["metadata"]["current_version"].as_u64().unwrap();
        assert_eq!(current, (number > 0).then(|| number.to_string()), "{name}");
    }
    let tags = &read(&vault, &found["app/db"]).await.secret.facets.tags;
    assert_eq!((tags[0].key.as_str(), tags[0].value.as_str()), ("owner", "team é"));
    let pruned = read(&vault, &found["pruned"]).await;
    assert_eq!(pruned.versions.iter().map(|it| it.id.as_str()).collect::<Vec<_>>()[..2], ["4", "5"], "by number");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_changes_with_everything_and_a_key_made_anew_is_another_one() {
    let world = World::new();
    let vault = world.connect().await;
    let before = listed(&vault).await;
    let again = listed(&vault).await;
    let print = |from: &BTreeMap<String, Listed>, name: &str| from[name].fingerprint.unwrap();
    assert!(before.keys().all(|name| print(&before, name) == print(&again, name)), "reading changes nothing");
    world.bao.run(&["kv", "put", "secret/many/01", "v=new"]);
    world.bao.run(&["kv", "delete", "-versions=1", "secret/many/02"]);
    world.bao.run(&["kv", "metadata", "put", "-custom-metadata=a=b", "secret/many/03"]);
    world.bao.run(&["kv", "metadata", "delete", "secret/many/04"]);
    world.bao.run(&["kv", "put", "secret/many/04", "v=anew"]);
    let after = listed(&vault).await;
    let changed: Vec<_> = after.keys().filter(|name| print(&before, name) != print(&after, name)).collect();
    assert_eq!(changed, ["many/01", "many/02", "many/03", "many/04"]);
    assert_eq!(before["many/01"].id, after["many/01"].id);
    assert_ne!(before["many/04"].id, after["many/04"].id);
    // The old listing leads to the new key: what is known of the old one's version 1 says nothing of the new one's.
    let known = before["many/04"].id.clone();
    let fetched = vault.fetch(&before["many/04"], &|id, _| id == known).await.unwrap();
    assert_eq!(fields(&fetched.versions[0].value).unwrap()["v"], "anew");
    assert!(!fetched.agrees);
    let same =
        vault.fetch(&after["many/05"], &|id, version| (id, version) == (&after["many/05"].id, "1")).await.unwrap();
    assert!(matches!(same.versions[0].value, FetchedValue::Known));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_one_sentence_and_shows_no_secret() {
    let world = World::new();
    let connect = |address: String| async move {
        let error = Vault::connect(&address.parse().unwrap(), None).await.err().unwrap();
        (error.kind, error.to_string())
    };
    let with = |from: &str, to: &str| world.address.replace(from, to);
    let (kind, words) = connect(with("/secret?", "/none?")).await;
    assert!(kind == ErrorKind::Denied && words.contains("no mount none"), "{words}");
    let (kind, words) = connect(with("/secret?", "/secret/app?")).await;
    assert!(kind == ErrorKind::Invalid && words.contains("within the mount secret"), "{words}");
    let (kind, words) = connect(with("secret-id", "nothing")).await;
    assert!(kind == ErrorKind::Credentials && words.contains("cannot be read"), "{words}");
    let role = world.told["role_id"].as_str().unwrap();
    let (kind, words) = connect(with(role, "another")).await;
    assert!(kind == ErrorKind::Credentials && words.contains("does not let this role in"), "{words}");
    assert!(!words.contains(world.told["secret_id"].as_str().unwrap()));
    let (kind, words) = connect("vault:http://vault.example/kv".into()).await;
    assert!(kind == ErrorKind::Invalid && words.contains("https://"), "{words}");
    // A token that is revoked in the middle ends the run: nothing after it is "permission denied" by name.
    let vault = world.connect().await;
    let found = listed(&vault).await;
    world.bao.run(&["token", "revoke", "-mode=path", "auth/approle"]);
    let error = vault.fetch(&found["big"], &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "TokenEnded"));
    world.bao.run(&["operator", "seal"]);
    let error = vault.fetch(&found["big"], &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "Sealed"));
}

#[test]
fn an_address_that_can_lead_nowhere_is_refused_before_there_is_a_key() {
    let desk = Desk::offline("111111111111");
    let people = "--custodian Ana --custodian Bo --custodian Cy --threshold 2 --sheets sheets --yes";
    for (address, words) in [
        ("vault:kv", "the server is not a URL"),
        ("vault:https://v/kv?except=a", "for an address without a mount"),
        ("vault:https://v/kv?token=s3cret", "token is not an option"),
    ] {
        let told = desk.run(&format!("init --repo repository {people} --source {address}")).expect(2).says(words);
        assert!(!told.err.contains("s3cret"), "{}", told.err);
        assert_eq!(std::fs::read_dir(desk.folder.path()).unwrap().count(), 0, "nothing was made");
    }
    desk.run(&format!("init --repo repository {people} --source vault:http://127.0.0.1:9/kv")).expect(0);
    let told = desk.run("snapshot").expect(1).says("there is no token");
    assert!(told.err.contains("hint: set VAULT_TOKEN") && !told.err.contains("AWS_PROFILE"), "{}", told.err);
    let mut command = desk.command(binary());
    let told = desk.finish(command.env("VAULT_TOKEN", "t").arg("snapshot")).expect(1).says("connection refused");
    assert!(told.err.contains("hint: check the network, the address"), "{}", told.err);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    std::fs::write(desk.path("lifeboat.toml"), config.replace("127.0.0.1:9/kv", "127.0.0.1:9/kv?token=t")).unwrap();
    desk.run("snapshot").expect(2).says("[source]: token is not an option");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_backs_up_a_vault_from_the_first_command_to_the_second_day() {
    let world = World::new();
    let desk = Desk::offline("111111111111");
    let source = &world.address;
    let custodians = "--custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli";
    let init = "init --repo repository --threshold 3 --sheets sheets --copy west --yes";
    desk.run(&format!("{init} --source {source} {custodians}")).expect(0);
    // One value is denied by policy: captured as far as it goes, and said.
    let first = desk.run("snapshot --json").expect(3);
    assert!(first.err.contains("denied/key"), "{}", first.err);
    let counts = &first.json()["counts"];
    assert!(counts["values_read"] == 60, "{counts}");
    let place = first.json()["source"].clone();
    assert_eq!(place["provider"], "vault");
    assert!(place["region"].as_str().unwrap().starts_with("secret@"), "{place}");
    world.bao.run(&["kv", "put", "secret/many/07", "v=marker-of-the-second-day"]);
    let second = desk.run("snapshot --json").expect(3).json();
    assert_eq!(second["counts"]["values_read"], 1, "{second}");
    desk.run("check").expect(0);
    let show = desk.run(&format!("show --json {SHEETS}")).expect(3);
    assert!(show.out.contains("\"only-metadata\"") && show.out.contains("\"reason\":\"destroyed\""), "{}", show.out);
    let filter = format!("{}:{}", place["account"].as_str().unwrap(), place["region"].as_str().unwrap());
    desk.run(&format!("show --source {filter}")).expect(3);
    desk.run("status").expect(3);
    desk.run("doctor").expect(0);
    let page = desk.run("runbook --to vault:https://west.example/secret --to aws:eu-west-1").expect(0).out;
    assert!(page.contains("--to vault:https://west.example/secret") && page.contains("--to aws:eu-west-1"), "{page}");
    // Without this tool: what the server sent is what comes out.
    let script = desk.path("repository/recover.py");
    let sheets = ["02-bo", "04-dee", "05-eli"].map(|name| desk.path(&format!("sheets/{name}.txt")));
    let mut recover = Command::new(program("python"));
    recover.arg("-B").arg(script).arg("extract").arg(desk.path("repository")).arg("--json");
    let ran = recover.arg("--share").args(sheets).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert!(out.contains("two \\\\u0026 \\\\u003cthree\\\\u003e"), "{}", String::from_utf8_lossy(&ran.stderr));
    // With the policy that doctor prints, and nothing besides, all of it is read.
    let policy = desk.run("doctor --policy backup").expect(0).out;
    let file = desk.path("backup.hcl");
    std::fs::write(&file, policy).unwrap();
    world.bao.run(&["policy", "write", "backup", file.to_str().unwrap()]);
    let third = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&third["counts"]["unreadable"], &third["counts"]["captured"]), (&json!(0), &json!(53)));
    desk.run("status").expect(0);
    let printed = String::from_utf8_lossy(&desk.printed()).into_owned();
    for value in ["marker-of-the-second-day", "two & <three>", world.told["secret_id"].as_str().unwrap(), Bao::ROOT] {
        assert!(!printed.contains(value), "{value} is printed");
    }
}
