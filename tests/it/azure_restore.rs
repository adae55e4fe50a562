//! Restores into key vaults by the command line: from another one, from AWS and from a Vault, and back.
#![cfg(all(feature = "azure", feature = "vault"))]

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    azure_face::World,
    command::{Desk, NOWHERE, PEOPLE, Ran, SHEETS, binary},
    servers::Bao,
    vault_restore::{estate, plant},
};

/// A desk that signs in at the sandbox.
struct Host<'w> {
    world: &'w World,
    desk: Desk,
}

impl<'w> Host<'w> {
    fn new(world: &'w World, aws: &str) -> Self {
        Self { world, desk: Desk::new(aws, "111111111111") }
    }

    fn run(&self, words: &str) -> Ran {
        let mut command = self.desk.command(binary());
        let sandbox = &self.world.sandbox;
        command.env("AZURE_AUTHORITY_HOST", sandbox.authority()).env("AZURE_CLIENT_ID", "backup");
        command.env("AZURE_CLIENT_SECRET", sandbox.client_secret()).env("AWS_CA_BUNDLE", self.world.certificate());
        self.desk.finish(command.env("VAULT_TOKEN", Bao::ROOT).args(words.split_whitespace()))
    }

    fn init(&self, source: &str) {
        self.run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
    }
}

/// What a restore can bring back: everything but the ids, and the tag that stands for them.
fn lasting(estate: &Json) -> Json {
    let mut estate = estate.clone();
    for (_, secret) in estate.as_object_mut().unwrap() {
        let versions = secret["versions"].as_array_mut().unwrap();
        for version in versions.iter_mut() {
            version["tags"].as_object_mut().unwrap().remove("lifeboat-version");
        }
        versions.sort_by_key(Json::to_string);
    }
    estate
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_captured_and_restored_into_another_and_nothing_is_written_twice() {
    let world = World::start().await;
    let told = world.python("azure_seed.py", "prod").await;
    let before = world.python("azure_dump.py", "prod").await;
    let host = Host::new(&world, NOWHERE);
    host.init(&world.sandbox.source("prod"));
    // One secret is deleted, and a vault shows no version of it.
    let first = host.run("snapshot --json").expect(3).json();
    let names = told["names"].as_array().unwrap().len();
    assert_eq!(
        (&first["counts"]["captured"], &first["counts"]["listed"]),
        (&json!(names), &json!(names + 1)),
        "{first}"
    );
    let second = host.run("snapshot --json").expect(3).json();
    assert_eq!(second["counts"]["values_read"], 0, "{second}");
    host.run("check").expect(0);
    let target = world.sandbox.source("copy");
    let restore = format!("restore --to {target} --yes --json {SHEETS}");
    let told = host.run(&restore).expect(3).json();
    assert_eq!(told["verification"]["differences"], json!([]), "{told}");
    assert_eq!(told["counts"]["created"], json!(names), "{told}");
    assert_eq!(lasting(&world.python("azure_dump.py", "copy").await), lasting(&before));
    world.sandbox.control().reset_calls();
    let again = host.run(&restore).expect(3).json();
    assert_eq!((&again["writes"], &again["counts"]["identical"]), (&json!(0), &json!(names)), "{again}");
    assert!(world.sandbox.control().calls().keys().all(|call| call.starts_with("GET")));
    let itself = world.sandbox.source("PROD");
    host.run(&format!("restore --to {itself} --yes {SHEETS}")).expect(4).says("the target is the source itself");
    let printed = String::from_utf8_lossy(&host.desk.printed()).into_owned();
    assert!(!printed.contains(world.sandbox.client_secret()) && !printed.contains("password"));
}

/// A listing of long ago is believed: what it shows as before is not read again.
#[tokio::test(flavor = "multi_thread")]
async fn the_day_after_reads_what_changed_and_nothing_else() {
    let clock = std::sync::Arc::new(lifeboat::clock::FixedClock("2026-01-01T00:00:00Z".parse().unwrap()));
    let world = World::with(lifeboat::emulator::AzureSandboxOptions { clock, ..Default::default() }).await;
    let control = world.sandbox.control();
    let set = |name: &str, value: &str| {
        let tags = json!({ "value": value, "tags": { "value": value } });
        control.request("prod", "PUT", &format!("secrets/{name}"), &tags).unwrap();
    };
    for number in 0..30 {
        set(&format!("app-{number:02}"), "one");
    }
    let host = Host::new(&world, NOWHERE);
    host.init(&world.sandbox.source("prod"));
    // Without the day's share of reading again, which so few secrets all fall into.
    let config = host.desk.path("lifeboat.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (before, after) = text.split_once("sweep_minutes = ").expect("the configuration says it");
    let after = after.split_once('\n').unwrap().1;
    std::fs::write(&config, format!("{before}sweep_minutes = 0\n{after}")).unwrap();
    host.run("snapshot").expect(0);
    let asked = |wanted: &str| -> u64 {
        control.calls().iter().filter(|(call, _)| call.contains(wanted)).map(|(_, count)| count).sum()
    };
    control.reset_calls();
    let told = host.run("snapshot --json").expect(0).json();
    assert_eq!((&told["counts"]["values_read"], &told["counts"]["captured"]), (&0.into(), &30.into()), "{told}");
    assert!(asked("") < 15, "{:?}", control.calls());
    set("app-07", "two");
    control.reset_calls();
    let told = host.run("snapshot --json").expect(0).json();
    assert_eq!((&told["counts"]["values_read"], &told["counts"]["captured"]), (&1.into(), &30.into()), "{told}");
    assert!(asked("") < 18, "{:?}", control.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_keeps_what_a_snapshot_has_of_it() {
    let world = World::start().await;
    let control = world.sandbox.control();
    let set = |name: &str, value: &str| {
        control.request("prod", "PUT", &format!("secrets/{name}"), &json!({ "value": value })).unwrap();
    };
    let delete = |name: &str| control.request("prod", "DELETE", &format!("secrets/{name}"), &Json::Null).unwrap();
    for (name, value) in [("kept", "k"), ("old", "one"), ("old", "two")] {
        set(name, value);
    }
    let host = Host::new(&world, NOWHERE);
    host.init(&world.sandbox.source("prod"));
    host.run("snapshot").expect(0);
    let get = |more: &str| host.run(&format!("get old {more} {SHEETS}")).expect(0).out;
    let shown = || {
        let shown = host.run("show --json").expect(0).json();
        shown["records"].as_array().unwrap().iter().find(|it| it["secret"]["name"] == "old").unwrap().clone()
    };
    let id = shown()["versions"][0]["id"].as_str().unwrap().to_owned();
    let old = get(&format!("--version {id}"));
    delete("old");
    for _ in 0..2 {
        let told = host.run("snapshot --json").expect(0).json();
        let counts = &told["counts"];
        assert_eq!(
            (&counts["listed"], &counts["captured"], &counts["values_read"]),
            (&2.into(), &2.into(), &0.into()),
            "{told}"
        );
        assert_eq!((get(""), get(&format!("--version {id}"))), ("two".into(), old.clone()));
        assert!(shown()["secret"]["deleted"].is_string(), "{}", shown());
    }
    // It comes back, and nothing of it is read again.
    control.request("prod", "POST", "deletedsecrets/old/recover", &Json::Null).unwrap();
    assert_eq!(host.run("snapshot --json").expect(0).json()["counts"]["values_read"], 0);
    // Another one of that name, deleted before any snapshot had it, has none of the first one's values.
    delete("old");
    control.request("prod", "DELETE", "deletedsecrets/old", &Json::Null).unwrap();
    set("old", "three");
    delete("old");
    assert!(host.run("snapshot").expect(3).err.contains("old was not captured"));
    host.run(&format!("get old {SHEETS}")).expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn across_from_aws_to_azure_and_back() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    plant(&sandbox);
    let world = World::start().await;
    let host = Host::new(&world, &sandbox.endpoint());
    host.init("aws:eu-central-1");
    host.run("snapshot").expect(0);
    let target = world.sandbox.source("aws");
    let told = host.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(3).json();
    // A vault keeps no secret without a version.
    assert_eq!((&told["counts"]["created"], &told["counts"]["cannot"]), (&json!(9), &json!(1)), "{told}");
    assert_eq!(told["verification"]["differences"], json!([]), "{told}");
    let there = world.python("azure_dump.py", "aws").await;
    assert_eq!(there["app-x2F-rolled-back"]["current"], "one");
    assert_eq!(there["app-x2F-binary"]["versions"][0]["type"], "application/octet-stream;base64");
    assert_eq!(there["app-x2F-many"]["versions"].as_array().unwrap().len(), 30);
    let back = Host::new(&world, &sandbox.endpoint());
    back.init(&target);
    back.run("snapshot").expect(0);
    let told = back.run(&format!("restore --to aws:us-west-2 --account 111111111111 --yes --json {SHEETS}")).json();
    assert_eq!(told["verification"]["differences"], json!([]), "{told}");
    let (mut before, after) = (estate(&sandbox, "eu-central-1").await, estate(&sandbox, "us-west-2").await);
    before.remove("empty").unwrap();
    for (name, secret) in &before {
        assert_eq!(after.get(name), Some(secret), "{name}");
    }
    assert_eq!(after.len(), before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn across_from_a_vault_to_azure_and_back() {
    let bao = Bao::start();
    for number in 1..=5 {
        bao.run(&["kv", "put", "secret/app/db", &format!("v={number}")]);
    }
    bao.run(&["kv", "destroy", "-versions=2", "secret/app/db"]);
    bao.run(&["kv", "delete", "-versions=3", "secret/app/db"]);
    bao.run(&["kv", "metadata", "put", "-max-versions=9", "-custom-metadata=owner=us", "secret/app/db"]);
    let world = World::start().await;
    let host = Host::new(&world, NOWHERE);
    host.init(&format!("vault:{}/secret", bao.endpoint));
    host.run("snapshot").expect(0);
    let target = world.sandbox.source("bao");
    let told = host.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(3).json();
    assert_eq!(told["verification"]["differences"], json!([]), "{told}");
    let there = world.python("azure_dump.py", "bao").await;
    assert_eq!(there["app-x2F-db"]["current"], r#"{"v":"5"}"#);
    let back = Host::new(&world, NOWHERE);
    back.init(&target);
    back.run("snapshot").expect(0);
    bao.run(&["secrets", "enable", "-path=back", "kv-v2"]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let told = back.run(&format!("restore --to vault:{}/back --yes --json {SHEETS}", bao.endpoint)).json();
    assert_eq!(told["verification"]["differences"], json!([]), "{told}");
    let metadata = bao.run(&["kv", "metadata", "get", "-format=json", "back/app/db"]);
    let metadata: Json = serde_json::from_str(&metadata).unwrap();
    let metadata = &metadata["data"];
    assert_eq!((&metadata["current_version"], &metadata["max_versions"]), (&json!(5), &json!(9)), "{metadata}");
    assert_eq!(metadata["custom_metadata"], json!({ "owner": "us" }));
    assert_eq!(metadata["versions"]["2"]["destroyed"], true);
    assert!(metadata["versions"]["3"]["deletion_time"].as_str().unwrap().starts_with("20"), "{metadata}");
    assert_eq!(bao.run(&["kv", "get", "-field=v", "-version=4", "back/app/db"]).trim(), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn across_from_aws_to_azure_the_second_of_two_names_that_differ_by_case_is_refused() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for name in ["app/Key", "app/key"] {
        sandbox.control().put("111111111111", "eu-central-1", name, name).unwrap();
    }
    let world = World::start().await;
    let host = Host::new(&world, &sandbox.endpoint());
    host.init("aws:eu-central-1");
    host.run("snapshot").expect(0);
    let restore = format!("restore --to {} --yes --json {SHEETS}", world.sandbox.source("folded"));
    let told = host.run(&restore).expect(3).json();
    assert_eq!((&told["counts"]["created"], &told["counts"]["cannot"]), (&json!(1), &json!(1)), "{told}");
    let there = world.python("azure_dump.py", "folded").await;
    assert_eq!(there["app-x2F-Key"]["current"], "app/Key", "and the first one is whole");
    assert_eq!(there.as_object().unwrap().len(), 1);
}

/// `lifeboat sandbox --azure --seed`, and what it printed.
#[test]
fn a_host_backs_up_the_vault_of_the_sandbox_command() {
    let desk = Desk::offline("111111111111");
    let mut command = desk.command(binary());
    command.args(["sandbox", "--listen", "127.0.0.1:0", "--azure=127.0.0.1:0", "--seed", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let told: Json = serde_json::from_str(&line).unwrap();
    let text = |name: &str| told["azure"][name].as_str().unwrap().to_owned();
    let run = |words: &str| {
        let mut command = desk.command(binary());
        command.env("AZURE_AUTHORITY_HOST", text("authority")).env("AZURE_CLIENT_ID", text("client"));
        command.env("AZURE_CLIENT_SECRET", text("secret")).env("AWS_CA_BUNDLE", text("certificate"));
        desk.finish(command.args(words.split_whitespace()))
    };
    run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {}", text("source"))).expect(0);
    let told = run("snapshot --json").expect(3).json();
    assert_eq!((&told["counts"]["captured"], &told["counts"]["values_read"]), (&json!(9), &json!(36)), "{told}");
    let role = run("doctor --policy backup").expect(0).out;
    assert!(role.contains("readMetadata") && !role.contains("setSecret"), "{role}");
    drop(child.kill());
    drop(child.wait());
}
/// An outage of AWS is drilled in a vault: everything that the drill made is purged again, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_restores_across_into_a_vault_and_leaves_nothing() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for number in 1..=3 {
        sandbox.control().put("111111111111", "eu-central-1", &format!("app/{number}"), "marker").unwrap();
    }
    let world = World::start().await;
    let host = Host::new(&world, &sandbox.endpoint());
    host.init("aws:eu-central-1 --copy west");
    host.run("snapshot").expect(0);
    let target = world.sandbox.source("drill");
    let file = format!(
        "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n[target]\nurl = \"{target}\"\n"
    );
    crate::drill_cli::write(&host.desk, "outage", &file);
    let held = host.run(&format!("drill run outage --json {SHEETS}")).expect(0).json();
    let record = &held["record"];
    assert_eq!((&record["result"], &record["target"]["provider"]), (&json!("passed"), &json!("azure")), "{record}");
    assert_eq!((&record["sample"]["restored"], &record["clean_up"]["destroyed"]), (&json!(3), &json!(3)), "{record}");
    assert_eq!(world.python("azure_dump.py", "drill").await, json!({}), "nothing is left");
    assert!(
        world.sandbox.control().request("drill", "GET", "deletedsecrets", &Json::Null).unwrap()["value"] == json!([])
    );
}

/// Files do not say which of them are text: in a vault text is text, and anything else is base64 with a content type that says so.
/// A repeated restore writes nothing, and the files come back byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn across_from_files_to_azure_text_is_text_and_comes_back() {
    let world = World::start().await;
    let host = Host::new(&world, NOWHERE);
    let files = [("one", b"A=1\n".as_slice()), ("two", b"\0\xff".as_slice()), ("three", b"{\"a\": \"<\"}".as_slice())];
    std::fs::create_dir_all(host.desk.path("app")).unwrap();
    for (name, bytes) in files {
        std::fs::write(host.desk.path("app").join(name), bytes).unwrap();
    }
    host.init(&format!("env:{}?include=*", host.desk.path("app").display()));
    host.run("snapshot").expect(0);
    let restore = format!("restore --to {} --yes --json {SHEETS}", world.sandbox.source("copy"));
    let told = host.run(&restore).json();
    assert_eq!((&told["verification"]["differences"], &told["counts"]["created"]), (&json!([]), &json!(3)), "{told}");
    let again = host.run(&restore).json();
    assert_eq!((&again["writes"], &again["counts"]["identical"]), (&json!(0), &json!(3)), "{again}");
    let there = world.python("azure_dump.py", "copy").await;
    let of = |name: &str| (there[name]["versions"][0]["value"].clone(), there[name]["versions"][0]["type"].clone());
    assert_eq!(of("one").0, "A=1\n", "{there}");
    assert_eq!(of("two"), (json!("AP8="), json!("application/octet-stream;base64")));
    assert_eq!(of("three").0, "{\"a\": \"<\"}");
    assert!(!["one", "three"].iter().any(|name| of(name).1.as_str().is_some_and(|kind| kind.contains("base64"))));
    let host = Host::new(&world, NOWHERE);
    host.init(&world.sandbox.source("copy"));
    host.run("snapshot").expect(0);
    let back = host.desk.path("back");
    let told = host.run(&format!("restore --to env:{}?include=* --yes --json {SHEETS}", back.display())).json();
    assert_eq!(told["verification"]["differences"], json!([]), "{told}");
    for (name, bytes) in files {
        assert_eq!(std::fs::read(back.join(name)).unwrap(), bytes, "{name}");
    }
}
