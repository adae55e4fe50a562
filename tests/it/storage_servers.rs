//! The same storage on services that nobody here wrote, and the main job from a copy in an object-locked bucket.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use lifeboat::storage::{Entry, Storage, StorageError};

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary},
    gcs_relay,
    servers::{Azurite, FakeGcs, Moto, SEAWEED_KEY, Seaweed, program, s3_bucket},
};

const ACCOUNT: &str = "111111111111";

/// What a repository needs of a storage; the unit tests hold folders and memory to the same.
async fn conformance(storage: &Storage) {
    assert!(storage.list("").await.unwrap().is_empty());
    assert!(!storage.exists("a/b.json").await.unwrap());
    assert!(matches!(storage.get("a/b.json").await, Err(StorageError::NotFound { .. })));
    storage.put_new("a/b.json", "one".into()).await.unwrap();
    storage.put_new("a/b.json.sig", "sig".into()).await.unwrap();
    storage.put_new("ab/c", "three".into()).await.unwrap();
    let large = Bytes::from(vec![7; 9 << 20]);
    storage.put_new("z", large.clone()).await.unwrap();
    let again = storage.put_new("a/b.json", "two".into()).await;
    assert!(matches!(again, Err(StorageError::AlreadyExists { ref name, .. }) if name == "a/b.json"), "{again:?}");
    assert_eq!(storage.get("a/b.json").await.unwrap(), "one");
    assert_eq!(storage.get("z").await.unwrap(), large);
    assert!(storage.exists("a/b.json").await.unwrap());
    let names = |entries: Vec<Entry>| entries.into_iter().map(|e| (e.name, e.size)).collect::<Vec<_>>();
    let a = [("a/b.json".to_owned(), 3), ("a/b.json.sig".to_owned(), 3)];
    assert_eq!(names(storage.list("a").await.unwrap()), a, "a folder is not a prefix of names");
    assert_eq!(names(storage.list("").await.unwrap()).len(), 4);
    assert!(storage.list("nothing").await.unwrap().is_empty());
    storage.remove("ab/c").await.unwrap();
    storage.remove("ab/c").await.unwrap();
    assert!(!storage.exists("ab/c").await.unwrap());
    // Two runs at once: exactly one of them writes.
    let (one, two) = tokio::join!(storage.put_new("race", "1".into()), storage.put_new("race", "2".into()));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    // More names than one page of a listing.
    for block in 0..11 {
        let puts = (0..100).map(|number| {
            let name = format!("many/{:04}", block * 100 + number);
            async move { storage.put_new(&name, "x".into()).await.unwrap() }
        });
        futures::future::join_all(puts).await;
    }
    assert_eq!(storage.list("many").await.unwrap().len(), 1_100);
}

/// A desk whose profile `copy` has the keys of the copy's account.
fn desk_with_profile(endpoint: &str) -> Desk {
    let desk = Desk::new(endpoint, ACCOUNT);
    let [key, secret] = SEAWEED_KEY;
    std::fs::create_dir_all(desk.path(".aws")).unwrap();
    let profile = format!("[copy]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(desk.path(".aws/credentials"), profile).unwrap();
    desk
}

fn set_copy(desk: &Desk, entry: &str) {
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let kept = config.split("[[copy]]").next().unwrap();
    std::fs::write(desk.path("lifeboat.toml"), format!("{kept}[[copy]]\n{entry}\n")).unwrap();
}

fn bucket(server: &Seaweed, rest: &str) -> String {
    format!("s3://backups/prod{rest}?region=eu-west-1&profile=copy&endpoint={}", server.endpoint)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_from_an_object_locked_bucket_when_the_primary_is_gone() {
    let server = tokio::task::block_in_place(|| Seaweed::start(Some("COMPLIANCE")));
    let sandbox = estate().await;
    let desk = desk_with_profile(&sandbox.endpoint());
    desk.init();
    let copy = bucket(&server, "/west");
    set_copy(&desk, &format!("url = \"{copy}\""));
    let first = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&first["copies"][0]["ok"], &first["copies"][0]["was_behind"]), (&true.into(), &1.into()), "{first}");
    let second = desk.run("snapshot --json").expect(0).json();
    assert!(second["copies"][0]["files"].as_u64().unwrap() <= 4, "only what is new: {second}");

    // The service itself checked the digest, and keeps what is written.
    let [key, secret] = SEAWEED_KEY;
    let owner = |action, name: &str| s3_bucket(&[action, &server.endpoint, "eu-west-1", "backups", key, secret, name]);
    let head = owner("head", "prod/west/lifeboat.json");
    assert!(head["ChecksumSHA256"].as_str().is_some_and(|sum| sum.len() == 44), "{head}");
    assert_eq!(head["ObjectLockMode"], "COMPLIANCE");
    let status = desk.run("status --json").json();
    assert!(status["facts"]["copies"][0]["locked_until"].is_string(), "{status}");
    let versions = owner("versions", "prod/west/");
    assert!(versions.as_array().unwrap().len() > 10);
    assert!(versions.as_array().unwrap().iter().all(|version| version["removed"] == false), "{versions}");

    // What is forgotten is hidden there and no more: without the markers it is back.
    desk.run("forget --keep-last 1 --undo-days 0 --yes").expect(0);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    desk.run("snapshot").expect(0);
    let swept = desk.run("forget --keep-last 9 --yes --json").expect(0).json();
    assert_eq!(swept["swept"][1]["report"]["snapshots"], 1, "{swept}");
    let checked = desk.run(&format!("check --json --repo {copy}")).expect(0).json();
    assert_eq!(checked["snapshots"], 2);
    // The manifest and its signature: packs, lists and layers are the other snapshots' too.
    assert!(owner("undelete", "prod/west/").as_u64().unwrap() >= 2);
    let checked = desk.run(&format!("check --json --repo {copy}")).expect(0).json();
    assert_eq!(checked["snapshots"], 3);
    desk.run(&format!("check --depth values --repo {copy} {SHEETS}")).expect(0);

    sandbox.control().set_region_down("eu-central-1", true);
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    let drill = format!("drill run --json --repo {copy} --to aws:us-east-1 {SHEETS}");
    let drill = desk.run_as("999999999999", &drill).expect(0).json();
    assert_eq!(drill["record"]["result"], "passed");
    std::fs::remove_file(desk.path("lifeboat.toml")).unwrap();
    let restored =
        desk.run(&format!("restore --repo {copy} --to aws:eu-west-1 --yes --json {SHEETS}")).expect(0).json();
    assert_eq!((&restored["complete"], &restored["verification"]["values"]), (&true.into(), &5.into()));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_conforms_and_wrong_keys_are_a_sentence() {
    let server = tokio::task::block_in_place(|| Seaweed::start(None));
    let address = format!("s3://backups/conformance/of?region=eu-west-1&endpoint={}", server.endpoint);
    conforms(&address, &[("AWS_ACCESS_KEY_ID", SEAWEED_KEY[0]), ("AWS_SECRET_ACCESS_KEY", SEAWEED_KEY[1])]);
    let sandbox = estate().await;
    let desk = desk_with_profile(&sandbox.endpoint());
    desk.init();
    // A repository that lives in the bucket from the beginning, not only as a copy.
    let url = bucket(&server, "/primary");
    desk.run(&format!("copy --to {url}")).expect(0);
    desk.run(&format!("snapshot --repo {url} --no-copy")).expect(0);
    desk.run(&format!("check --repo {url} --depth values {SHEETS}")).expect(0);

    std::fs::write(desk.path(".aws/credentials"), "[copy]\naws_access_key_id = AKID\naws_secret_access_key = wrong\n")
        .unwrap();
    let refused = desk.run(&format!("check --repo {url}")).expect(1);
    assert!(!refused.err.contains("wrong") && !refused.err.contains("<?xml"), "{}", refused.err);
    std::fs::write(desk.path(".aws/credentials"), "[other]\n").unwrap();
    desk.run(&format!("check --repo {url}")).expect(1);
    desk.run("check --repo s3://backups/x?regoin=eu").expect(2).says("known: region");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_beside_the_source_is_refused_unless_it_is_allowed() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    set_copy(&desk, "url = \"west\"\nregion = \"eu-central-1\"");
    let ran = desk.run("snapshot --json").expect(3);
    assert!(ran.err.contains("the region of the source"), "{}", ran.err);
    assert_eq!((&ran.json()["copies"][0]["ok"], &ran.json()["copies"][0]["behind"]), (&false.into(), &1.into()));
    assert!(!desk.path("west").exists());
    desk.run("copy").expect(4);
    // The doctor says what is the same and what to do, and not that nothing is there.
    let told = desk.run("doctor --json").expect(3).json();
    let of_copy: Vec<String> = told["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["check"].as_str().unwrap().starts_with("copy "))
        .map(|row| row["detail"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(of_copy.len(), 1, "{of_copy:?}");
    assert!(of_copy[0].contains("is in eu-central-1, the region of the source"), "{of_copy:?}");
    assert!(of_copy[0].contains("; keep the copy in another region, or set allow_same_region"), "{of_copy:?}");
    desk.run("copy --allow-same-region").expect(0);
    set_copy(&desk, &format!("url = \"west\"\naccount = \"{ACCOUNT}\""));
    let ran = desk.run("copy --json").expect(4);
    assert!(ran.err.contains("an attacker in that account reaches both"), "{}", ran.err);
    set_copy(&desk, &format!("url = \"west\"\naccount = \"{ACCOUNT}\"\nallow_same_account = true"));
    desk.run("copy").expect(0);
    // The address tells the region too, before anything is sent anywhere.
    set_copy(&desk, "url = \"s3://nowhere/x?region=eu-central-1&endpoint=http://127.0.0.1:9\"");
    desk.run("copy").expect(4);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_as_the_secondary_region_gives_everything_back() {
    let moto = tokio::task::block_in_place(Moto::start);
    s3_bucket(&["create", &moto.endpoint, "eu-west-1", "backups", "test", "test", "none"]);
    let sandbox = estate().await;
    let desk = desk_with_profile(&sandbox.endpoint());
    desk.init();
    let conformance = format!("s3://backups/conformance?region=eu-west-1&endpoint={}", moto.endpoint);
    conforms(&conformance, &[("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    let copy = format!("s3://backups/west?region=eu-west-1&profile=copy&endpoint={}", moto.endpoint);
    set_copy(&desk, &format!("url = \"{copy}\""));
    desk.run("snapshot").expect(0);
    let encrypted = |options: &str, prefix: &str| {
        let url = format!("s3://backups/{prefix}?region=eu-west-1&profile=copy&endpoint={}&{options}", moto.endpoint);
        desk.run(&format!("copy --to {url}")).expect(0);
        let words = ["head", &moto.endpoint, "eu-west-1", "backups", "test", "test"];
        s3_bucket(&[&words[..], &[&format!("{prefix}/lifeboat.json")]].concat())["ServerSideEncryption"].clone()
    };
    assert_eq!(encrypted("sse=AES256", "sse"), "AES256");
    assert_eq!(encrypted("kms=arn%3Aaws%3Akms%3Aeu-west-1%3A1%3Akey%2Fk", "kms"), "aws:kms");
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    sandbox.control().set_region_down("eu-central-1", true);
    desk.run(&format!("check --repo {copy} --depth values {SHEETS}")).expect(0);
    let restored =
        desk.run(&format!("restore --repo {copy} --to aws:eu-west-1 --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(restored["verification"]["values"], 5);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azurite_keeps_a_copy_and_gives_everything_back() {
    let server = tokio::task::block_in_place(Azurite::start);
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let conformance = format!("az://devstoreaccount1/backups/conformance?endpoint={}", server.endpoint);
    conforms(&conformance, &[("AZURE_STORAGE_ACCOUNT_KEY", Azurite::KEY)]);
    let copy = format!("az://devstoreaccount1/backups/prod?endpoint={}", server.endpoint);
    let run = |words: &str| {
        let mut command = desk.command(binary());
        desk.finish(command.env("AZURE_STORAGE_ACCOUNT_KEY", Azurite::KEY).args(words.split_whitespace()))
    };
    run(&format!("copy --json --to {copy}")).expect(0);
    let second = run(&format!("copy --json --to {copy}")).expect(0).json();
    // The entry of the run before, and nothing else.
    assert_eq!(second["copies"][0]["files"], 1, "{second}");
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    run(&format!("check --repo {copy} --depth values {SHEETS}")).expect(0);
    let restored = run(&format!("restore --repo {copy} --to aws:eu-west-1 --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(restored["verification"]["values"], 5);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_googles_storage_keeps_a_copy_and_gives_everything_back() {
    let server = tokio::task::block_in_place(FakeGcs::start);
    let (endpoint, pages) = gcs_relay::start(&server.endpoint);
    conforms(&format!("gs://backups/conformance/of?endpoint={endpoint}"), &[]);
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let copy = format!("gs://backups/prod?endpoint={endpoint}");
    set_copy(&desk, &format!("url = \"{copy}\""));
    desk.run("snapshot").expect(0);
    let second = desk.run("snapshot --json").expect(0).json();
    assert!(second["copies"][0]["files"].as_u64().unwrap() <= 4, "only what is new: {second}");
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    desk.run(&format!("check --repo {copy} --depth values {SHEETS}")).expect(0);
    let restored =
        desk.run(&format!("restore --repo {copy} --to aws:eu-west-1 --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(restored["verification"]["values"], 5);
    assert!(pages.load(Ordering::Relaxed) > 20, "listings went on: {pages:?}");
    // Without what stands in front of it, the refusal is told, and never passes for a copy.
    let plain = format!("gs://backups/plain?endpoint={}", server.endpoint);
    let refused = desk.run(&format!("copy --repo {copy} --to {plain}"));
    assert!(refused.code != Some(0) && refused.err.contains("400 Bad Request"), "{} {}", refused.out, refused.err);
    sandbox.shutdown().await;
}

/// Why something stands in front of that server. With Google's own client, the condition holds in the JSON API alone. By the XML API,
/// which a signed URL and an upload in parts are of too, a write is replaced or refused. When this fails, the server has
/// learnt it, and `gcs_relay` can go.
#[test]
fn google_says_that_the_fault_is_the_servers() {
    let server = FakeGcs::start();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/gcs_vendor.py");
    let ran =
        std::process::Command::new(program("python")).arg("-B").arg(script).arg(&server.endpoint).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told["json"], serde_json::json!([200, 412, "one"]));
    assert_eq!(told["signed"], serde_json::json!([200, 200, "two"]), "it replaced what was not to be replaced");
    assert_eq!(told["header"], serde_json::json!([400, "invalid uploadType"]));
    assert_eq!(told["parts"], "<Response [400]>");
}

/// The conformance test in a process of its own, with the credentials in its environment.
fn conforms(address: &str, environment: &[(&str, &str)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "storage_servers::conformance_of_an_address", "--ignored", "--nocapture"]);
    let output = command.env("LIFEBOAT_TEST_STORAGE", address).envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "needs a server: the tests of each server run it"]
#[expect(clippy::disallowed_methods, reason = "told by the test that starts it")]
async fn conformance_of_an_address() {
    conformance(&Storage::open(&std::env::var("LIFEBOAT_TEST_STORAGE").unwrap()).unwrap()).await;
}

/// Keys that no path can name.
const ODD: [&str; 6] = [
    "prod/west/snapshots//x.json",
    "prod/west/snapshots/0/20990101T000000Z-00000000.json/",
    "prod/west/snapshots/0/\\x01.json",
    "prod/west//lifeboat.json",
    "prod/west/epochs//",
    "prod/west/packs//a/b",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_path_can_name_stops_no_command() {
    let server = tokio::task::block_in_place(Moto::start);
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let owner = |words: &[&str]| {
        s3_bucket(&[&[words[0], &server.endpoint, "eu-west-1", "backups", ACCOUNT, "x"], &words[1..]].concat())
    };
    owner(&["create", "none"]);
    let copy = format!("s3://backups/prod/west?region=eu-west-1&endpoint={}", server.endpoint);
    set_copy(&desk, &format!("url = \"{copy}\""));
    desk.run("snapshot").expect(0);
    let sound = desk.run(&format!("list --json --repo {copy}")).expect(0).json();
    assert_eq!(owner(&[&["put"], &ODD[..]].concat()), ODD.len());
    let listed = desk.run(&format!("list --json --repo {copy}")).expect(0).json();
    assert_eq!(listed["snapshots"], sound["snapshots"]);
    let checked = desk.run(&format!("check --repo {copy}")).expect(0);
    for name in
        ["snapshots/\u{fffd}/x.json: unknown", "00000000.json/\u{fffd}: unknown", "snapshots/0/\u{fffd}.json: unknown"]
    {
        assert!(checked.out.contains(name), "{name}: {}", checked.out);
    }
    for words in ["snapshot", "copy", "status"] {
        desk.run(words).expect(0);
    }
    desk.run(&format!("restore --repo {copy} --to aws:eu-west-1 --plan {SHEETS}")).expect(0);
    desk.run(&format!("check --depth values --repo {copy} {SHEETS}")).expect(0);
    sandbox.shutdown().await;
}
