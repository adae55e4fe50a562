//! Restores into a real OpenBao server, from a Vault and from AWS, and back; what is there is read by hvac.
#![cfg(feature = "vault")]

use std::{collections::BTreeMap, process::Command};

use futures::TryStreamExt as _;
use lifeboat::{
    emulator::{Sandbox, SandboxOptions},
    provider::{
        FetchedValue, Listed, Source as _,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, NOWHERE, PEOPLE, Ran, SHEETS, binary},
    servers::{Bao, program},
};

/// A desk whose tokens are the server's root token.
struct World {
    bao: Bao,
    desk: Desk,
}

impl World {
    fn new(endpoint: &str) -> Self {
        Self { bao: Bao::start(), desk: Desk::new(endpoint, "111111111111") }
    }

    fn run(&self, words: &str) -> Ran {
        let mut command = self.desk.command(binary());
        self.desk.finish(command.env("VAULT_TOKEN", Bao::ROOT).args(words.split_whitespace()))
    }

    fn mount(&self, path: &str) -> String {
        self.bao.run(&["secrets", "enable", &format!("-path={path}"), "kv-v2"]);
        // It is upgraded for a moment.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        self.address(path)
    }

    fn address(&self, mount: &str) -> String {
        format!("vault:{}/{mount}", self.bao.endpoint)
    }

    fn init(&self, source: &str) {
        self.run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
    }

    /// What another client sees.
    fn dump(&self, mount: &str) -> Json {
        python("vault_dump.py", &[&self.bao.endpoint, Bao::ROOT, mount])
    }

    fn seed(&self) -> Json {
        python("vault_seed.py", &[&self.bao.endpoint, Bao::ROOT])
    }
}

fn python(script: &str, words: &[&str]) -> Json {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let ran = Command::new(program("python")).arg("-B").arg(script).args(words).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// What a restore can bring back of a key: everything but times and who did it.
fn lasting(key: &Json) -> Json {
    let metadata = &key["metadata"];
    let rows: serde_json::Map<String, Json> = metadata["versions"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(number, row)| {
            let gone = row["destroyed"] == json!(true) || key["values"][number].is_null();
            (number.clone(), json!({ "destroyed": row["destroyed"], "gone": gone }))
        })
        .collect();
    let settings = ["current_version", "custom_metadata", "max_versions", "cas_required", "delete_version_after"];
    let settings: Vec<&Json> = settings.iter().map(|name| &metadata[*name]).collect();
    json!({ "rows": rows, "settings": settings, "values": key["values"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_states_settings_and_values_come_back_as_another_client_reads_them() {
    let world = World::new(NOWHERE);
    world.seed();
    world.bao.run(&["kv", "metadata", "put", "-max-versions=3", "secret/lowered"]);
    for number in 0..60 {
        world.bao.run(&["kv", "put", "secret/lowered", &format!("v={number}")]);
    }
    world.bao.run(&["kv", "delete", "-versions=59", "secret/lowered"]);
    world.bao.run(&["kv", "destroy", "-versions=58", "secret/lowered"]);
    world.init(&world.address("secret"));
    world.run("snapshot").expect(0);
    let before = world.dump("secret");
    let target = world.mount("copy");
    let told = world.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(0);
    assert_eq!(told.json()["complete"], true);
    let after = world.dump("copy");
    let names = |from: &Json| from.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    for name in names(&before) {
        assert_eq!(lasting(&after[&name]), lasting(&before[&name]), "{name}");
    }
    // Once more: everything is there, and nothing is written.
    let again = world.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(0).json();
    assert_eq!((&again["writes"], &again["counts"]["identical"]), (&json!(0), &json!(names(&before).len())));
    assert_eq!(world.dump("copy"), after);
    // A place is not its address: the source under another name is still the source.
    let itself = world.address("secret").replace("127.0.0.1", "localhost");
    world.run(&format!("restore --to {itself} --yes {SHEETS}")).expect(4).says("the target is the source itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_of_the_name_is_left_alone_unless_a_person_says_what_to_do() {
    let world = World::new(NOWHERE);
    for value in ["one", "two", "three"] {
        world.bao.run(&["kv", "put", "secret/app", &format!("v={value}")]);
    }
    world.init(&world.address("secret"));
    world.run("snapshot").expect(0);
    let target = world.mount("copy");
    world.bao.run(&["kv", "put", "copy/app", "v=theirs"]);
    let before = world.dump("copy");
    let restore = format!("restore --to {target} --yes --json {SHEETS}");
    world.run(&restore).expect(4).says("1 conflict in the target, nothing was written");
    world.run(&format!("{restore} --on-conflict skip")).expect(3);
    assert_eq!(world.dump("copy"), before);
    world.run(&format!("{restore} --on-conflict new-version")).expect(0);
    let after = world.dump("copy");
    assert_eq!(after["app"]["values"], json!({ "1": { "v": "theirs" }, "2": { "v": "three" } }));
    world.run(&format!("{restore} --on-conflict replace")).expect(0);
    let values = &world.dump("copy")["app"]["values"];
    let expected = [("1", "theirs"), ("2", "three"), ("3", "one"), ("4", "two"), ("5", "three")];
    for (number, value) in expected {
        assert_eq!(values[number]["v"], value, "{values}");
    }
}

/// A restore that was stopped after each of its writes goes on and ends the same; what it began is told from another's.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_completed_from_wherever_it_stopped() {
    let world = World::new(NOWHERE);
    for number in 1..=6 {
        world.bao.run(&["kv", "put", "secret/app", &format!("v={number}")]);
    }
    world.bao.run(&["kv", "destroy", "-versions=2", "secret/app"]);
    world.bao.run(&["kv", "metadata", "put", "-custom-metadata=owner=us", "secret/app"]);
    world.init(&world.address("secret"));
    world.run("snapshot").expect(0);
    let wanted = lasting(&world.dump("secret")["app"]);
    let target = world.mount("copy");
    let plan = world.run(&format!("restore --to {target} --plan --json {SHEETS}")).expect(0).json();
    let secret = &plan["secrets"][0];
    let mark = secret["first"][0]["write"]["tags"].as_array().unwrap();
    let mark = mark.iter().find(|tag| tag["key"] == "lifeboat.restore").unwrap()["value"].as_str().unwrap().to_owned();
    for stop in 0..6 {
        let name = format!("-custom-metadata=lifeboat.restore={mark}");
        let words = ["kv", "metadata", "put", "-max-versions=6", "-custom-metadata=owner=us", &name, "copy/app"];
        world.bao.run(&words);
        for number in 1..=stop {
            let value = if number == 2 { "{}".to_owned() } else { format!("{{\"v\":\"{number}\"}}") };
            let file = world.desk.path("value.json");
            std::fs::write(&file, value).unwrap();
            world.bao.run(&["kv", "put", "copy/app", &format!("@{}", file.display())]);
        }
        let told = world.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(0).json();
        assert_eq!(told["counts"]["completed"], 1, "{stop}");
        assert_eq!(lasting(&world.dump("copy")["app"]), wanted, "{stop}");
        world.bao.run(&["kv", "metadata", "delete", "copy/app"]);
    }
    // Somebody else's value in between is found when it is read back, and nothing calls it restored.
    let mark = format!("-custom-metadata=lifeboat.restore={mark}");
    world.bao.run(&["kv", "metadata", "put", "-max-versions=6", "-custom-metadata=owner=us", &mark, "copy/app"]);
    world.bao.run(&["kv", "put", "copy/app", "v=theirs"]);
    let told = world.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(3);
    assert!(told.err.contains("version 1") && !told.err.contains("theirs"), "{}", told.err);
}

/// Secrets of every form that AWS has.
pub fn plant(sandbox: &Sandbox) {
    let control = sandbox.control();
    let id = |number: u32| format!("{number:08}-0000-4000-8000-000000000000");
    let version = |number: u32, stages: &[&str], value: Json| {
        let mut version =
            json!({ "VersionId": id(number), "VersionStages": stages, "CreatedDate": 1_700_000_000 + number });
        version.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        version
    };
    let text = |text: &str| json!({ "SecretString": text });
    let many: Vec<Json> = (1..=30)
        .map(|number| {
            let stages: &[&str] = match number {
                30 => &["AWSCURRENT", "BLUE"],
                29 => &["AWSPREVIOUS"],
                7 => &["GREEN and more"],
                _ => &[],
            };
            version(number, stages, text(&format!("value {number}")))
        })
        .collect();
    let tags = json!([{ "Key": "team", "Value": "payments é" }, { "Key": "empty", "Value": "" }]);
    for secret in [
        json!({ "Name": "app/many", "Versions": many, "Tags": tags, "Description": "größe 🔑" }),
        json!({ "Name": "app/json", "Versions": [version(1, &["AWSCURRENT"],
            text(r#"{"host":"db","port":5432,"deep":{"a":[1,null]}}"#))] }),
        json!({ "Name": "app/large-number", "Versions": [version(1, &["AWSCURRENT"], text(r#"{"n":9007199254740993}"#))] }),
        json!({ "Name": "app/ours", "Versions": [version(1, &["AWSCURRENT"], text(r#"{"value":"x"}"#))] }),
        json!({ "Name": "app/binary", "Versions": [version(1, &["AWSCURRENT"], json!({ "SecretBinary": "AAH/" }))] }),
        json!({ "Name": "app/spaces", "Versions": [version(1, &["AWSCURRENT"], text("{ \"b\": 1,\n \"a\": 2 }"))] }),
        json!({ "Name": "app/pending", "Versions": [version(1, &["AWSCURRENT"], text("one")),
            version(2, &["AWSPENDING"], text("two"))] }),
        json!({ "Name": "app/rolled-back", "Versions": [version(1, &["AWSCURRENT"], text("one")),
            version(2, &["AWSPREVIOUS"], text("two"))] }),
        json!({ "Name": "app/leads-back", "Versions": [version(1, &["AWSCURRENT"],
            text("arn:aws:sqs:eu-central-1:111111111111:orders"))] }),
        json!({ "Name": "empty" }),
    ] {
        control.seed_raw("111111111111", "eu-central-1", &secret).unwrap();
    }
}

/// Everything of a region, without what AWS chooses itself.
pub async fn estate(sandbox: &Sandbox, region: &str) -> BTreeMap<String, Json> {
    let credentials = StaticCredentials { access_key: "111111111111".into(), secret_key: "x".to_owned().into() };
    let settings = AwsSettings {
        endpoint: Some(sandbox.endpoint()),
        credentials: Some(credentials),
        ..AwsSettings::region(region)
    };
    let aws = Aws::connect(settings).await.unwrap();
    let listed: Vec<Listed> = aws.list().try_collect().await.unwrap();
    let mut estate = BTreeMap::new();
    for listed in listed {
        let fetched = aws.fetch(&listed, &|_, _| false).await.unwrap();
        let value = |value: &FetchedValue| match value {
            FetchedValue::Value(value) => json!([format!("{:?}", value.kind()), value.expose()]),
            _ => Json::Null,
        };
        let versions: BTreeMap<&String, Json> =
            fetched.versions.iter().map(|it| (&it.id, json!([it.labels, value(&it.value)]))).collect();
        let mut tags = fetched.secret.facets.tags.clone();
        tags.sort();
        estate
            .insert(listed.name, json!({ "tags": tags, "d": fetched.secret.facets.description, "versions": versions }));
    }
    estate
}

/// An outage of AWS is lived through in a Vault, and the way back gives what was there.
#[tokio::test(flavor = "multi_thread")]
async fn across_from_aws_to_vault_and_back() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    plant(&sandbox);
    let world = World::new(&sandbox.endpoint());
    world.init("aws:eu-central-1");
    world.run("snapshot").expect(0);
    let target = world.mount("aws");
    let told = world.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(0).json();
    assert_eq!((&told["complete"], &told["counts"]["created"]), (&json!(true), &json!(10)));
    let leads_back = json!([{ "name": "app/leads-back", "version": "1", "arns": [] }]);
    assert_eq!(told["verification"]["old_arns"], leads_back, "an ARN stays behind wherever it is restored to");
    let there = world.dump("aws");
    assert_eq!(there["app/json"]["values"]["1"], json!({ "host": "db", "port": 5432, "deep": { "a": [1, null] } }));
    assert_eq!(there["app/binary"]["values"]["1"], json!({ "base64": "AAH/" }));
    assert_eq!(there["app/rolled-back"]["values"], json!({ "1": { "value": "two" }, "2": { "value": "one" } }));
    assert_eq!(there["app/many"]["values"].as_object().unwrap().len(), 30, "none was pruned");
    assert_eq!(there["app/many"]["metadata"]["custom_metadata"]["team"], "payments é");
    // From the Vault, as a source of its own, back into another region.
    let back = World { bao: world.bao, desk: Desk::new(&sandbox.endpoint(), "111111111111") };
    back.init(&target);
    back.run("snapshot").expect(0);
    let told = back.run(&format!("restore --to aws:us-west-2 --account 111111111111 --yes --json {SHEETS}"));
    let told = told.expect(3).json();
    assert_eq!(told["verification"]["differences"], json!([]));
    let (mut before, after) = (estate(&sandbox, "eu-central-1").await, estate(&sandbox, "us-west-2").await);
    // What is named as changed: the spelling of an object.
    let spaces = before.get_mut("app/spaces").unwrap();
    let id = "00000001-0000-4000-8000-000000000000";
    spaces["versions"][id][1][1] = json!(br#"{"a":2,"b":1}"#.as_slice());
    before.get_mut("app/json").unwrap()["versions"][id][1][1] =
        json!(br#"{"deep":{"a":[1,null]},"host":"db","port":5432}"#.as_slice());
    for (name, secret) in &before {
        assert_eq!(after.get(name), Some(secret), "{name}");
    }
    assert_eq!(after.len(), before.len());
}

/// Vault's own states, numbers and settings survive a stay in AWS as far as AWS can hold them, and what it cannot is named.
#[tokio::test(flavor = "multi_thread")]
async fn across_from_vault_to_aws_and_back() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let world = World::new(&sandbox.endpoint());
    for number in 1..=5 {
        world.bao.run(&["kv", "put", "secret/app/db", &format!("v={number}")]);
    }
    world.bao.run(&["kv", "destroy", "-versions=2", "secret/app/db"]);
    world.bao.run(&["kv", "metadata", "put", "-max-versions=9", "-custom-metadata=owner=us", "secret/app/db"]);
    world.bao.run(&["kv", "put", "secret/odd name", "v=1"]);
    world.init(&world.address("secret"));
    world.run("snapshot").expect(0);
    let wanted = lasting(&world.dump("secret")["app/db"]);
    let restore = format!("restore --to aws:eu-west-1 --account 111111111111 --yes --json {SHEETS}");
    let told = world.run(&restore).expect(3).json();
    assert_eq!((&told["counts"]["created"], &told["counts"]["cannot"]), (&json!(1), &json!(1)), "{told}");
    let there = estate(&sandbox, "eu-west-1").await;
    let versions = there["app/db"]["versions"].as_object().unwrap();
    let labels: Vec<(&str, &Json)> = versions.iter().map(|(id, version)| (&id[..15], &version[0])).collect();
    let none = json!([]);
    let expected = [
        ("vault-00000001-", &none),
        ("vault-00000003-", &none),
        ("vault-00000004-", &json!(["AWSPREVIOUS"])),
        ("vault-00000005-", &json!(["AWSCURRENT"])),
    ];
    assert_eq!(labels, expected);
    let plan = world.run(&format!("restore --to aws:eu-west-1 --account 111111111111 --plan {SHEETS}")).expect(3).out;
    assert!(plan.contains("max_versions") && plan.contains("it has the character ' '"), "{plan}");
    let back = World { bao: world.bao, desk: Desk::new(&sandbox.endpoint(), "111111111111") };
    back.init("aws:eu-west-1");
    back.run("snapshot").expect(0);
    let target = back.mount("back");
    let told = back.run(&format!("restore --to {target} --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(told["complete"], true);
    assert_eq!(lasting(&back.dump("back")["app/db"]), wanted);
}

/// The drill of an outage of AWS that is lived through in a Vault: held without anybody, and its record says what did not carry.
#[tokio::test(flavor = "multi_thread")]
async fn a_regional_outage_drill_restores_across_into_a_vault_unattended() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    plant(&sandbox);
    let policy = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},
        "Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
    let version = json!([{ "VersionId": "00000001-0000-4000-8000-000000000000", "VersionStages": ["AWSCURRENT"],
        "SecretString": "marker-of-the-drill" }]);
    let with_policy = json!({ "Name": "with-policy", "Versions": version, "ResourcePolicy": policy });
    let world = World::new(&sandbox.endpoint());
    world.init("aws:eu-central-1 --copy west");
    world.run("snapshot").expect(0);
    let target = world.mount("sandbox");
    let file = format!(
        "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n[target]\nurl = \"{target}\"\n"
    );
    crate::drill_cli::write(&world.desk, "outage", &file);
    let held = world.run(&format!("drill run outage --json {SHEETS}")).expect(0).json();
    let record = &held["record"];
    assert_eq!((&record["result"], &record["target"]["provider"]), (&json!("passed"), &json!("vault")), "{record}");
    assert_eq!(record["sample"]["restored"], 10);
    assert_eq!(record["clean_up"]["destroyed"], 10, "{}", record["clean_up"]);
    assert_eq!(world.dump("sandbox"), json!({}), "nothing is left");
    // What a Vault cannot hold is in the record, and such a drill is not passed as if all had come.
    sandbox.control().seed_raw("111111111111", "eu-central-1", &with_policy).unwrap();
    world.run("snapshot").expect(0);
    world.bao.run(&["kv", "put", "sandbox/somebody", "v=else"]);
    let held = world.run(&format!("drill run outage --json {SHEETS}")).expect(3).json();
    let record = &held["record"];
    assert_eq!(record["result"], "partial", "{record}");
    let reason = &record["not_restored"][0]["reason"];
    assert_eq!(reason, "a Vault's policies belong to paths, not to secrets", "{record}");
    let left = world.dump("sandbox");
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["somebody"], "and nothing else was touched");
    // The source under another name is no sandbox, and neither is another source.
    let source = World { bao: world.bao, desk: Desk::new(&sandbox.endpoint(), "111111111111") };
    source.init(&source.address("sandbox"));
    source.run("snapshot").expect(0);
    let itself = source.address("sandbox").replace("127.0.0.1", "localhost");
    source.run(&format!("drill run --to {itself} --yes {SHEETS}")).expect(4).says("the source of the secrets");
    let printed = String::from_utf8_lossy(&source.desk.printed()).into_owned();
    assert!(!printed.contains("marker-of-the-drill") && !printed.contains(Bao::ROOT));
}
