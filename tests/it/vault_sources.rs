//! Vault's states, engines, namespaces and connections on a real OpenBao server: what each comes back as.
#![cfg(feature = "vault")]

use std::{path::Path, process::Command, time::Instant};

use lifeboat::{
    model::Withheld,
    provider::{
        ErrorKind, Fetched, FetchedValue, Source as _,
        vault::{Vault, VaultAddress, VaultServer},
    },
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, PEOPLE, Ran, SHEETS, binary},
    servers::{Bao, program},
    vault::{listed, read},
};

const READ_ALL: &str = "path \"*\" { capabilities = [\"read\", \"list\"] }\n";

/// A server, a role on it that may do what a policy says, and a host.
struct World {
    bao: Bao,
    desk: Desk,
    /// `auth=approle&…`.
    login: String,
}

impl World {
    fn new() -> Self {
        let world = Self { bao: Bao::start(), desk: Desk::offline("111111111111"), login: String::new() };
        world.bao.run(&["auth", "enable", "approle"]);
        world.may(READ_ALL);
        Self { login: world.role("backup", "1h"), ..world }
    }

    /// Makes a role of the policy `backup`; gives how an address signs in by it.
    fn role(&self, name: &str, ttl: &str) -> String {
        let path = format!("auth/approle/role/{name}");
        self.bao.run(&["write", &path, "token_policies=backup", &format!("token_ttl={ttl}")]);
        let role = self.bao.run(&["read", "-field=role_id", &format!("{path}/role-id")]);
        let secret = self.bao.run(&["write", "-field=secret_id", "-f", &format!("{path}/secret-id")]);
        let file = self.desk.path(name);
        std::fs::write(&file, secret).unwrap();
        format!("auth=approle&role_id={}&secret_id_file={}", role.trim(), file.display())
    }

    /// What the role may do.
    fn may(&self, policy: &str) {
        let file = self.desk.path("policy.hcl");
        std::fs::write(&file, policy).unwrap();
        self.bao.run(&["policy", "write", "backup", file.to_str().unwrap()]);
    }

    fn address(&self, mount: &str) -> String {
        format!("vault:{}/{mount}?{}", self.bao.endpoint, self.login)
    }

    async fn connect(&self, mount: &str) -> Vault {
        connect(&self.address(mount)).await
    }

    fn init(&self, source: &str) -> Ran {
        self.desk.run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}"))
    }

    /// Puts a version of fields in JSON.
    fn put(&self, mount: &str, name: &str, fields: &Json) {
        let file = self.desk.path("fields.json");
        std::fs::write(&file, fields.to_string()).unwrap();
        self.bao.run(&["kv", "put", &format!("-mount={mount}"), name, &format!("@{}", file.display())]);
    }

    /// A request of its HTTP API, with a body in JSON.
    fn ask(&self, method: &str, path: &str, body: &str) {
        let url = format!("{}/v1/{path}", self.bao.endpoint);
        let token = format!("X-Vault-Token: {}", Bao::ROOT);
        let ran = Command::new("curl").args(["-sSf", "-X", method, "-H", &token, "-d", body, &url]).output().unwrap();
        assert!(ran.status.success(), "{path}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

async fn connect(address: &str) -> Vault {
    let address: VaultAddress = address.parse().unwrap();
    let engine = VaultServer::connect(&address, None).await.unwrap().engine(&address.mount).await.unwrap();
    // Long enough to tell values apart, and no digest of anything.
    engine.with_version_ids(std::sync::Arc::new(|name: &str, value: &[u8]| format!("{name}-{}", value.len())))
}

/// Version by version what came back, in a word.
fn words(fetched: &Fetched) -> Vec<(String, bool, &'static str)> {
    let word = |value: &FetchedValue| match value {
        FetchedValue::Value(_) => "value",
        FetchedValue::Known => "known",
        FetchedValue::None => "none",
        FetchedValue::Withheld(Withheld::Destroyed) => "destroyed",
        FetchedValue::Withheld(Withheld::Deleted) => "deleted",
        FetchedValue::Withheld(_) => "withheld",
        FetchedValue::Unreadable(_) => "unreadable",
    };
    fetched.versions.iter().map(|it| (it.id.clone(), it.current, word(&it.value))).collect()
}

fn text(fetched: &Fetched, version: usize) -> String {
    match &fetched.versions[version].value {
        FetchedValue::Value(value) => String::from_utf8(value.expose().to_vec()).unwrap(),
        _ => panic!("no value"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_a_version_comes_back_as_what_it_is() {
    let world = World::new();
    let put = |name: &str, value: u32| world.put("secret", name, &json!({ "v": value }));
    for value in 1..=3 {
        put("destroyed", value);
        put("deleted", value);
        put("shrunk", value);
        put("lapses", value);
        put("lapsed", value);
    }
    world.bao.run(&["kv", "destroy", "-mount=secret", "-versions=1,2,3", "destroyed"]);
    world.bao.run(&["kv", "delete", "-mount=secret", "deleted"]);
    world.bao.run(&["kv", "metadata", "put", "-mount=secret", "-max-versions=2", "shrunk"]);
    world.bao.run(&["kv", "metadata", "put", "-mount=secret", "-delete-version-after=1h", "lapses"]);
    world.bao.run(&["kv", "metadata", "put", "-mount=secret", "-delete-version-after=2s", "lapsed"]);
    put("shrunk", 4);
    put("lapses", 4);
    put("lapsed", 4);
    world.bao.run(&["kv", "metadata", "put", "-mount=secret", "-custom-metadata=a=b", "nothing-yet"]);
    let wide: serde_json::Map<String, Json> =
        (0..600).map(|number| (format!("field-{number:03}"), json!(number))).collect();
    world.put("secret", "wide", &Json::Object(wide.clone()));
    world.put("secret", "long", &json!({ "v": "x".repeat(1024 * 1024) }));
    let vault = world.connect("secret").await;
    let found = listed(&vault).await;
    let version = |number: u32, current: bool, word: &'static str| (number.to_string(), current, word);
    let said = words(&read(&vault, &found["destroyed"]).await);
    assert_eq!(said, [version(1, false, "destroyed"), version(2, false, "destroyed"), version(3, true, "destroyed")]);
    let said = words(&read(&vault, &found["deleted"]).await);
    assert_eq!(said, [version(1, false, "value"), version(2, false, "value"), version(3, true, "deleted")]);
    let said = words(&read(&vault, &found["shrunk"]).await);
    assert_eq!(said, [version(3, false, "value"), version(4, true, "value")], "the server prunes at the next write");
    let lapses = read(&vault, &found["lapses"]).await;
    assert_eq!(words(&lapses).last(), Some(&version(4, true, "value")), "a deletion to come can be read until then");
    assert_eq!(words(&read(&vault, &found["nothing-yet"]).await), []);
    let fields: Json = serde_json::from_str(&text(&read(&vault, &found["wide"]).await, 0)).unwrap();
    assert_eq!(fields, Json::Object(wide));
    assert!(text(&read(&vault, &found["long"]).await, 0).len() > 1024 * 1024);
    // After the deletion that was to come, nobody reads it, and what is known stays known.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(words(&read(&vault, &found["lapsed"]).await).last(), Some(&version(4, true, "deleted")));
    let again = vault.fetch(&found["lapsed"], &|_, version| version == "4").await.unwrap();
    assert_eq!(words(&again).last(), Some(&version(4, true, "known")));
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_two_deep_and_a_mount_with_a_space_are_places_of_their_own() {
    let world = World::new();
    world.bao.run(&["namespace", "create", "team"]);
    world.bao.run(&["namespace", "create", "-namespace=team", "sub"]);
    world.bao.run(&["secrets", "enable", "-namespace=team/sub", "-path=a b/kv", "kv-v2"]);
    world.bao.run(&["kv", "put", "-namespace=team/sub", "-mount=a b/kv", "deep", "v=in the namespace"]);
    world.bao.run(&["auth", "enable", "-namespace=team/sub", "approle"]);
    world.bao.run(&["secrets", "enable", "-path=a b/kv", "kv-v2"]);
    world.put("a b/kv", "deep", &json!({ "v": "in the root" }));
    // Its own token: a role of the root does not reach down into it.
    let desk = &world.desk;
    let run =
        |words: &str| desk.finish(desk.command(binary()).env("BAO_TOKEN", Bao::ROOT).args(words.split_whitespace()));
    let source = format!("vault:{}/a%20b/kv?namespace=team/sub", world.bao.endpoint);
    run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
    let place = run("snapshot --json").expect(0).json()["source"].clone();
    assert!(place["account"].as_str().unwrap().ends_with("/team/sub"), "{place}");
    assert!(place["region"].as_str().unwrap().starts_with("a b/kv@"), "{place}");
    assert_eq!(run("snapshot --json").expect(0).json()["counts"]["values_read"], 0);
    run("status").expect(0);
    let root = world.connect("a%20b/kv").await;
    assert_eq!(text(&read(&root, &listed(&root).await["deep"]).await, 0), "{\"v\":\"in the root\"}");
    assert_ne!(json!(root.place().await.unwrap()), place);
}

/// Numbers stay as the server writes them, an unchanged value is stored once, and what is stored comes out again.
#[tokio::test(flavor = "multi_thread")]
async fn kv_version_1_is_captured_by_its_values() {
    let world = World::new();
    world.bao.run(&["secrets", "enable", "-path=old/kv", "-version=1", "kv"]);
    let text_of = "{\"exact\":9007199254740993,\"tenth\":1.10,\"ttl\":\"1h\"}";
    world.ask("POST", "old/kv/app/numbers", text_of);
    for (name, value) in [("app", "a key"), ("app/below", "below a key"), ("odd%20name%2Fwith", "odd")] {
        world.ask("POST", &format!("old/kv/{name}"), &json!({ "v": value }).to_string());
    }
    let vault = world.connect("old/kv").await;
    let found = listed(&vault).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["app", "app/below", "app/numbers", "odd name/with"]);
    let numbers = read(&vault, &found["app/numbers"]).await;
    assert_eq!(text(&numbers, 0), text_of);
    assert_eq!((numbers.secret.facets.other["engine"].clone(), numbers.versions[0].current), (json!("kv-1"), true));
    assert_eq!(numbers.secret.raw["read"]["lease_duration"], 3600);
    assert!(numbers.versions[0].labels.is_empty() && numbers.versions[0].created.is_none());
    // It can only be read.
    let refused = Vault::connect(&world.address("old/kv").parse().unwrap(), None).await.err().unwrap();
    assert_eq!((refused.kind, refused.code.as_str()), (ErrorKind::Invalid, "KvVersion1"));

    let (desk, run) = (&world.desk, |words: &str| world.desk.run(words));
    world.init(&world.address("old/kv")).expect(0);
    let counts = run("snapshot --json").expect(0).json()["counts"].clone();
    assert_eq!((counts["captured"].clone(), counts["values_read"].clone()), (json!(4), json!(4)));
    assert_eq!(
        run("snapshot --json").expect(0).json()["counts"]["values_read"],
        0,
        "the same value is not stored twice"
    );
    world.ask("POST", "old/kv/app", &json!({ "v": "another" }).to_string());
    world.ask("DELETE", "old/kv/app/below", "");
    let third = run("snapshot --json").expect(0).json();
    assert_eq!((third["counts"]["values_read"].clone(), third["counts"]["captured"].clone()), (json!(1), json!(3)));
    // One path is denied: it is named, the others are captured, and what was captured of it before is still referred to.
    world.may(&format!("{READ_ALL}path \"old/kv/app/numbers\" {{ capabilities = [\"deny\"] }}\n"));
    let denied = run("snapshot --json").expect(3).json();
    assert_eq!(
        (denied["unreadable"][0]["name"].clone(), denied["counts"]["captured"].clone()),
        (json!("app/numbers"), json!(2))
    );
    world.may(READ_ALL);
    assert_eq!(run("snapshot --json").expect(0).json()["counts"]["values_read"], 0);
    run("check").expect(0);
    run("doctor").expect(0);
    run(&format!("check --depth values {SHEETS}")).expect(0);
    let script = desk.path("repository/recover.py");
    let sheets = ["02-bo", "04-dee", "05-eli"].map(|name| desk.path(&format!("sheets/{name}.txt")));
    let mut recover = Command::new(program("python"));
    recover.arg("-B").arg(script).arg("extract").arg(desk.path("repository")).arg("--json");
    let out = String::from_utf8(recover.arg("--share").args(sheets).output().unwrap().stdout).unwrap();
    assert!(out.contains("9007199254740993") && out.contains("1.10,"), "the numbers are as the server writes them");
    assert!(!String::from_utf8_lossy(&desk.printed()).contains("9007199254740993"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_mount_captures_every_engine_and_misses_none_without_a_word() {
    let world = World::new();
    world.bao.run(&["secrets", "enable", "-path=team a/kv", "kv-v2"]);
    world.bao.run(&["secrets", "enable", "-path=old", "-version=1", "kv"]);
    world.bao.run(&["secrets", "enable", "-path=empty", "kv-v2"]);
    world.bao.run(&["secrets", "enable", "transit"]);
    world.put("secret", "one", &json!({ "v": 1 }));
    world.put("team a/kv", "two", &json!({ "v": 2 }));
    world.put("old", "three", &json!({ "v": 3 }));
    let (desk, run) = (&world.desk, |words: &str| world.desk.run(words));
    let source = format!("vault:{}?{}", world.bao.endpoint, world.login);
    world.init(&source).expect(0);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    assert!(config.contains("account = "), "the cluster is pinned");
    let first = run("snapshot --json").expect(0);
    assert!(first.err.contains("mount transit is left out: it is no KV engine (transit)"), "{}", first.err);
    let first = first.json();
    let regions = |ran: &Json| -> Vec<String> {
        let of = |source: &Json| {
            source["source"]["region"].as_str().map(|region| region.split('@').next().unwrap().to_owned())
        };
        ran["sources"].as_array().unwrap().iter().filter_map(of).collect()
    };
    assert_eq!(regions(&first), ["empty", "old", "secret", "team a/kv"]);
    assert_eq!(
        first["left_out"],
        json!([{ "account": first["sources"][0]["source"]["account"], "mount": "transit",
        "reason": "it is no KV engine (transit)" }])
    );
    let second = run("snapshot --json").expect(0).json();
    assert!(
        second["sources"].as_array().unwrap().iter().all(|source| source["counts"]["values_read"] == 0),
        "{second}"
    );
    let status = run("status --json").expect(0).json();
    assert!(status.to_string().matches("team a/kv@").count() > 0, "{status}");
    let doctor = run("doctor").expect(0).out;
    assert!(doctor.contains("mount transit") && doctor.contains("list team a/kv@"), "{doctor}");
    let page = run("runbook --to aws:eu-west-1").expect(0).out;
    assert!(page.contains("team a/kv@") && page.contains("old@"), "{page}");
    let policy = run("doctor --policy backup").expect(0).out;
    for path in ["secret/data/*", "team a/kv/metadata/*", "old/*"] {
        assert!(policy.contains(&format!("path \"{path}\"")), "{path}: {policy}");
    }
    // Named by its place, one is captured alone.
    let old = first["sources"][1]["source"].clone();
    let filter = format!("{}:{}", old["account"].as_str().unwrap(), old["region"].as_str().unwrap());
    let one = run(&format!("snapshot --json --source {filter}")).expect(0).json();
    assert_eq!(regions(&one), ["old"]);

    // A token that is told of a mount and may read nothing in it: that source alone fails.
    let but_old = "path \"sys/mounts\" { capabilities = [\"read\"] }\npath \"secret/*\" { capabilities = [\"read\", \"list\"] }\n\
                   path \"empty/*\" { capabilities = [\"read\", \"list\"] }\npath \"team a/*\" { capabilities = [\"read\", \"list\"] }\n";
    world.may(but_old);
    let denied = run("snapshot --json").expect(3).json();
    assert_eq!(regions(&denied), ["empty", "secret", "team a/kv"]);
    assert!(denied["sources"][1]["error"].as_str().unwrap().contains("there is no mount old"), "{denied}");
    // A token that is told of it no more: it is missed, because it was captured before.
    world.may(&but_old.replace("sys/mounts", "sys/mounts-not"));
    let missed = run("snapshot --json").expect(3);
    assert!(missed.err.contains("mount old is left out: it was captured before"), "{}", missed.err);
    // Until a person says that it is not meant.
    let without =
        config.replace(&world.bao.endpoint, &format!("{}/", world.bao.endpoint)).replace("?auth=", "?except=old&auth=");
    let without = without.replace("//?", "/?");
    std::fs::write(desk.path("lifeboat.toml"), without).unwrap();
    assert_eq!(regions(&run("snapshot --json").expect(0).json()), ["empty", "secret", "team a/kv"]);
    // Nothing to be seen is no complete backup of nothing.
    world.may("path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n");
    let ran = run("snapshot").expect(1);
    assert!(ran.err.contains("the token sees no KV engine"), "{}", ran.err);
    world.bao.run(&["operator", "seal"]);
    let ran = run("snapshot").expect(1);
    assert!(ran.err.contains("sealed"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_denied_keeps_what_was_captured_of_it() {
    let world = World::new();
    for name in ["a/kept", "a/denied", "b"] {
        world.put("secret", name, &json!({ "v": name }));
    }
    let run = |words: &str| world.desk.run(words);
    world.init(&world.address("secret")).expect(0);
    assert_eq!(run("snapshot --json").expect(0).json()["counts"]["values_read"], 3);
    // Neither its metadata nor its values; OpenBao's page of a folder would still tell of it.
    let deny = "path \"secret/metadata/a/denied\" { capabilities = [\"deny\"] }\npath \"secret/data/a/denied\" { capabilities = [\"deny\"] }\n";
    world.may(&format!("{READ_ALL}{deny}path \"secret/detailed-metadata/*\" {{ capabilities = [\"deny\"] }}\n"));
    let denied = run("snapshot --json").expect(3).json();
    assert_eq!(denied["counts"]["unreadable"], 1, "{denied}");
    let told = &denied["unreadable"][0];
    assert_eq!((told["name"].clone(), told["reason"].clone()), (json!("a/denied"), json!("PermissionDenied")));
    world.may(READ_ALL);
    let after = run("snapshot --json").expect(0).json();
    assert_eq!(after["counts"]["values_read"], 0, "the value was still referred to: {after}");
    // A value alone that is denied: the operation is the provider's word.
    world.put("secret", "b", &json!({ "v": "second" }));
    world.may(&format!("{READ_ALL}path \"secret/data/b\" {{ capabilities = [\"deny\"] }}\n"));
    let denied = run("snapshot --json").expect(3).json();
    let told = &denied["unreadable"][0];
    assert_eq!(
        (told["operation"].clone(), told["part"].clone(), told["version"].clone()),
        (json!("read"), json!("value"), json!("2"))
    );
    assert!(!denied.to_string().contains("GetSecretValue"));
    let page = run("show").expect(3);
    assert!(!page.err.contains("policies, replicas"), "{}", page.err);
    // A folder that may not be listed ends the run: a shorter backup would be none.
    world.may(&format!("{READ_ALL}path \"secret/metadata/a/*\" {{ capabilities = [\"deny\"] }}\npath \"secret/metadata/a/\" {{ capabilities = [\"deny\"] }}\n\
        path \"secret/detailed-metadata/*\" {{ capabilities = [\"deny\"] }}\n"));
    run("snapshot").expect(1).says("list of a/: PermissionDenied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_with_a_block_is_waited_for_and_nothing_is_lost() {
    let world = World::new();
    for number in 0..12 {
        world.put("secret", &format!("many/{number:02}"), &json!({ "v": number }));
    }
    let vault = world.connect("secret").await;
    world.ask(
        "POST",
        "sys/quotas/rate-limit/tight",
        "{\"rate\":8,\"interval\":\"1s\",\"block_interval\":\"2s\",\"path\":\"secret/\"}",
    );
    let begun = Instant::now();
    let found = listed(&vault).await;
    let mut values = 0;
    for entry in found.values() {
        values +=
            read(&vault, entry).await.versions.iter().filter(|it| matches!(it.value, FetchedValue::Value(_))).count();
    }
    assert_eq!((found.len(), values), (12, 12));
    assert!(begun.elapsed().as_secs() >= 2, "it was blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_in_the_middle_ends_the_run() {
    let world = World::new();
    world.put("secret", "one", &json!({ "v": 1 }));
    let short = world.role("short", "2s");
    let vault = connect(&format!("vault:{}/secret?{short}", world.bao.endpoint)).await;
    let found = listed(&vault).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let error = vault.fetch(&found["one"], &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "TokenEnded"));
}

#[test]
fn a_wrapped_secret_id_opens_once() {
    let world = World::new();
    world.put("secret", "one", &json!({ "v": 1 }));
    let wrap = || {
        let words = ["write", "-wrap-ttl=5m", "-field=wrapping_token", "-f", "auth/approle/role/backup/secret-id"];
        std::fs::write(world.desk.path("backup"), world.bao.run(&words)).unwrap();
    };
    wrap();
    let source = format!("{}&secret_id_wrapped=true", world.address("secret"));
    world.init(&source).expect(0);
    let told = world.desk.run("snapshot").expect(1).says("WrappingTokenSpent");
    assert!(told.err.contains("find out by whom"), "{}", told.err);
    wrap();
    world.desk.run("snapshot").expect(0);
}

#[test]
fn the_variables_of_every_client_are_read_and_openbaos_own_count_before_vaults() {
    let world = World::new();
    world.put("secret", "one", &json!({ "v": 1 }));
    let desk = &world.desk;
    let run = |variables: &[(&str, &str)], words: &str| {
        desk.finish(desk.command(binary()).envs(variables.iter().copied()).args(words.split_whitespace()))
    };
    let init = format!("init --repo repository {PEOPLE} --sheets sheets --yes --source");
    run(&[], &format!("{init} vault:")).expect(2).says("VAULT_ADDR is not set");
    run(&[("VAULT_RATE_LIMIT", "fast")], &format!("{init} vault:http://127.0.0.1:9/kv"))
        .expect(2)
        .says("VAULT_RATE_LIMIT must be");
    let address = world.bao.endpoint.as_str();
    let both =
        [("VAULT_ADDR", "http://127.0.0.1:9"), ("BAO_ADDR", address), ("VAULT_TOKEN", "x"), ("BAO_TOKEN", Bao::ROOT)];
    run(&both, &format!("{init} vault:/secret")).expect(0);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    assert!(config.contains(&format!("\"vault:{address}/secret\"")), "the configuration is complete: {config}");
    // The file of a sign-in, and a slower pace.
    std::fs::write(desk.path(".vault-token"), Bao::ROOT).unwrap();
    let begun = Instant::now();
    run(&[("VAULT_RATE_LIMIT", "4"), ("VAULT_NAMESPACE", "elsewhere")], "snapshot").expect(0);
    assert!(begun.elapsed().as_millis() >= 1_000, "four requests a second at most");
    std::fs::write(desk.path(".vault-token"), "wrong").unwrap();
    std::fs::write(desk.path("other"), Bao::ROOT).unwrap();
    run(&[], "snapshot").expect(1);
    run(&[("BAO_TOKEN_PATH", desk.path("other").to_str().unwrap())], "snapshot").expect(0);
    let printed = String::from_utf8_lossy(&desk.printed()).into_owned();
    assert!(!printed.contains(Bao::ROOT));
}

/// An authority of its own, a certificate for `vault.example` by it, and one for a client.
fn certificates(folder: &Path) {
    let openssl = |words: &[&str]| {
        let ran = Command::new("openssl").current_dir(folder).args(words).output().unwrap();
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let made = |words: &[&str]| openssl(&[&["req"][..], &key[..], words].concat());
    made(&[
        "-x509",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "9",
        "-subj",
        "/CN=Tests",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
    ]);
    std::fs::write(folder.join("names"), "subjectAltName=DNS:vault.example\nextendedKeyUsage=serverAuth,clientAuth\n")
        .unwrap();
    for name in ["server", "client"] {
        let (own, request, signed) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        made(&["-keyout", &own, "-out", &request, "-subj", "/CN=backup.example"]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            &signed,
            "-days",
            "9",
            "-extfile",
            "names",
        ]);
    }
}

#[test]
fn a_connection_trusts_the_named_authority_and_comes_with_its_certificate() {
    let desk = Desk::offline("111111111111");
    certificates(desk.folder.path());
    let at = |name: &str| desk.path(name).display().to_string();
    let (bao, server) = Bao::start_tls(desk.folder.path());
    bao.run(&["kv", "put", "-mount=secret", "one", "v=1"]);
    bao.run(&["auth", "enable", "cert"]);
    std::fs::write(desk.path("policy.hcl"), READ_ALL).unwrap();
    bao.run(&["policy", "write", "backup", &at("policy.hcl")]);
    bao.run(&["write", "auth/cert/certs/backup", &format!("certificate=@{}", at("ca.pem")), "token_policies=backup"]);
    let source = format!("vault:{server}/secret?auth=cert&role=backup");
    let run = |variables: &[(&str, &str)], words: &str| {
        desk.finish(desk.command(binary()).envs(variables.iter().copied()).args(words.split_whitespace()))
    };
    let (ca, cert, key) = (at("ca.pem"), at("client.pem"), at("client.key"));
    let own = [("VAULT_CLIENT_CERT", &*cert), ("VAULT_CLIENT_KEY", &*key)];
    let name = [("VAULT_TLS_SERVER_NAME", "vault.example")];
    let trusted = [&[("VAULT_CACERT", &*ca)][..], &own, &name].concat();
    run(&trusted, &format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
    run(&trusted, "snapshot").expect(0);
    // A folder of authorities is as good; OpenBao's own variable counts first.
    std::fs::create_dir(desk.path("authorities")).unwrap();
    std::fs::copy(desk.path("ca.pem"), desk.path("authorities/ca.pem")).unwrap();
    let folder = at("authorities");
    run(&[&[("BAO_CAPATH", &*folder)][..], &own, &name].concat(), "snapshot").expect(0);
    let untrusted = [&own[..], &name].concat();
    run(&untrusted, "snapshot").expect(1).says("VAULT_CACERT names the authority");
    run(&[&[("VAULT_CACERT", &*ca)][..], &own].concat(), "snapshot").expect(1).says("certificate is not trusted");
    run(&[&[("VAULT_CACERT", &*ca)][..], &name].concat(), "snapshot").expect(1).says("needs VAULT_CLIENT_CERT");
    run(&[&trusted[..], &[("VAULT_SKIP_VERIFY", "true")]].concat(), "snapshot").expect(2).says("verifies nobody");
    run(&[&[("VAULT_CLIENT_CERT", &*cert), ("VAULT_CLIENT_KEY", &*ca)][..]].concat(), "snapshot")
        .expect(2)
        .says("is not a key in PEM format");
    // By a token, without the certificate that the listener asks for.
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    std::fs::write(desk.path("lifeboat.toml"), config.replace("?auth=cert&auth_mount=cert&role=backup", "")).unwrap();
    let bare = [&[("VAULT_CACERT", &*ca), ("BAO_TOKEN", Bao::ROOT)][..], &name].concat();
    run(&bare, "snapshot").expect(1).says("requires a client certificate");
    run(&[&bare[..], &own].concat(), "snapshot").expect(0);
}
