//! What a run counts as complete: what is gone, what is missing and what never was.

use lifeboat::emulator::Sandbox;
use serde_json::{Value as Json, json};

use crate::{
    command::Desk,
    emulator_wire::Wire,
    proxy::{Answer, Proxy},
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

async fn sandbox(secrets: usize) -> Sandbox {
    let sandbox = Sandbox::start(lifeboat::emulator::SandboxOptions::default()).await.unwrap();
    for number in 0..secrets {
        sandbox.control().put(ACCOUNT, REGION, &format!("app/{number:02}"), "value").unwrap();
    }
    sandbox
}

async fn wire(sandbox: &Sandbox) -> Wire {
    Wire::connect_as(sandbox.address(), ACCOUNT, REGION).await
}

async fn destroy(wire: &mut Wire, name: &str) {
    wire.ok("DeleteSecret", json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true })).await;
}

fn findings(desk: &Desk, code: i32) -> String {
    desk.run("status --json").expect(code).json()["findings"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lost_much_is_no_good_backup_until_somebody_accepts_that() {
    let sandbox = sandbox(12).await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let mut config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    config.push_str("\n[retention]\nkeep_last = 1\n");
    std::fs::write(desk.path("lifeboat.toml"), config).unwrap();
    desk.run("snapshot").expect(0);
    let mut wire = wire(&sandbox).await;
    for number in 0..4 {
        destroy(&mut wire, &format!("app/{number:02}")).await;
    }
    desk.run("snapshot").expect(0);
    for number in 4..12 {
        destroy(&mut wire, &format!("app/{number:02}")).await;
    }
    // To none, twice: the second empty run is no better than the first.
    for _ in 0..2 {
        let ran = desk.run("snapshot --json").expect(3);
        let report = ran.json();
        assert_eq!((&report["complete"], &report["loss"]["listed"]), (&false.into(), &12.into()), "{report}");
        assert!(ran.err.contains("0 of 12 secrets are listed"), "{}", ran.err);
        assert!(ran.err.contains("--accept-drop 111111111111:eu-central-1=0"), "{}", ran.err);
    }
    assert!(findings(&desk, 3).contains("0 of 12 secrets are listed"));
    let plan = desk.run("forget --plan --json").out;
    let kept: Vec<u64> = serde_json::from_str::<Json>(&plan).unwrap()["plan"]["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|fate| !fate["reasons"].as_array().unwrap().is_empty())
        .map(|fate| fate["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(kept, [2, 4], "the newest, and the newest that counts: {plan}");
    desk.run("snapshot --accept-drop 111111111111:eu-central-1=1").expect(3);
    desk.run("snapshot --accept-drop 222222222222:eu-central-1=0").expect(2).says("no source of this run");
    desk.run("snapshot --accept-drop eu-central-1=0").expect(2);
    desk.run("snapshot --accept-drop 111111111111:eu-central-1=0").expect(0);
    assert!(!findings(&desk, 0).contains("lost"));
    desk.run("snapshot").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_never_listed_a_secret_is_no_backup_until_somebody_accepts_that() {
    let sandbox = sandbox(0).await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    for _ in 0..2 {
        let ran = desk.run("snapshot --json").expect(3);
        assert_eq!(ran.json()["complete"], false, "{}", ran.out);
        assert!(ran.err.contains("lists no secret; check its region"), "{}", ran.err);
        assert!(ran.err.contains("--accept-drop 111111111111:eu-central-1=0"), "{}", ran.err);
    }
    assert!(findings(&desk, 3).contains("the source lists no secret"));
    let listed = desk.run("list --json").expect(0).json();
    assert_eq!(listed["snapshots"][0]["complete"], false, "{listed}");
    assert!(desk.run("list").expect(0).out.contains("NO SECRETS"));
    desk.run("snapshot --accept-drop 111111111111:eu-central-1=0").expect(0);
    desk.run("snapshot").expect(0);
    assert!(!findings(&desk, 0).contains("no secret"));
    sandbox.control().put(ACCOUNT, REGION, "app/one", "value").unwrap();
    desk.run("snapshot").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_region_of_the_configuration_is_refused_wherever_a_source_is_asked() {
    let sandbox = sandbox(1).await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let says = "there is no region eu-cental-1; did you mean eu-central-1?";
    let several = "[[source]]\nurl = \"aws:eu-west-1\"\naccount = \"111111111111\"\n\n[[source]]";
    for sources in ["[source]", several] {
        let text = config.replace("aws:eu-central-1", "aws:eu-cental-1").replace("[source]", sources);
        std::fs::write(desk.path("lifeboat.toml"), text).unwrap();
        desk.run("snapshot").expect(2).says(&format!("[source]: {says}"));
        desk.run("diff --source 111111111111:eu-central-1").expect(2).says(says);
        let doctor = desk.run("doctor --json").expect(3).json();
        assert!(doctor["checks"].to_string().contains(says), "{doctor}");
    }
    std::fs::write(desk.path("lifeboat.toml"), config).unwrap();
    desk.run("doctor --to aws:eu-cental-1").expect(2).says(says);
    desk.run("doctor --policy restore --to aws:eu-cental-1").expect(2).says(says);
    desk.run("diff --source aws:eu-cental-1").expect(2).says(says);
    desk.run("drill run --to aws:eu-cental-1").expect(2).says(says);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_is_named_and_must_be_gone_in_a_second_listing_too() {
    let sandbox = sandbox(3).await;
    let lists = std::sync::atomic::AtomicUsize::new(0);
    let gone = json!({ "__type": "ResourceNotFoundException", "Message": "no" }).to_string().into_bytes();
    let proxy = Proxy::start(&sandbox.endpoint(), move |operation, body, pass| match operation {
        "DescribeSecret" if body["SecretId"].as_str().unwrap_or_default().contains("app/01") => {
            Answer { status: 400, body: gone.clone() }
        }
        "ListSecrets" => {
            // The second listing of the first run does not have app/01; both listings of the second run do.
            let number = lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut answer = pass();
            if number == 1 {
                let mut json: Json = serde_json::from_slice(&answer.body).unwrap();
                json["SecretList"].as_array_mut().unwrap().retain(|entry| entry["Name"] != "app/01");
                answer.body = json.to_string().into_bytes();
            }
            answer
        }
        _ => pass(),
    });
    let desk = Desk::new(&proxy.endpoint, ACCOUNT);
    desk.init();
    let ran = desk.run("snapshot --json").expect(0);
    let report = ran.json();
    assert_eq!((&report["vanished"], &report["counts"]["vanished"]), (&json!(["app/01"]), &1.into()), "{report}");
    assert!(ran.err.contains("app/01 was listed and deleted"), "{}", ran.err);
    let report = desk.run("snapshot --json").expect(3).json();
    assert_eq!(report["unreadable"][0]["name"], "app/01", "{report}");
    assert_eq!(report["unreadable"][0]["reason"], "ListedAndNotFound", "{report}");
    assert_eq!(report["counts"]["vanished"], 0, "{report}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_for_deletion_and_was_never_captured_is_missing() {
    let sandbox = sandbox(3).await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let mut wire = wire(&sandbox).await;
    wire.ok("DeleteSecret", json!({ "SecretId": "app/00" })).await;
    let report = desk.run("snapshot --json").expect(3).json();
    assert_eq!(report["unreadable"][0]["reason"], "ScheduledForDeletion", "{report}");
    assert!(findings(&desk, 3).contains("1 of 3 secrets were not completely captured"));
    // One that was captured before may go.
    wire.ok("DeleteSecret", json!({ "SecretId": "app/01" })).await;
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let config = config.replacen("[source]\n", "[source]\nexclude_deleted = true\n", 1);
    std::fs::write(desk.path("lifeboat.toml"), config).unwrap();
    let report = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&report["counts"]["captured"], &report["counts"]["excluded"]), (&2.into(), &1.into()), "{report}");
    wire.ok("RestoreSecret", json!({ "SecretId": "app/00" })).await;
    let report = desk.run("snapshot --json").expect(0).json();
    assert_eq!(report["counts"]["captured"], 3, "{report}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_said_something_else_than_what_was_read_proves_nothing_later() {
    let sandbox = sandbox(2).await;
    let old = std::sync::Mutex::new(None::<Vec<u8>>);
    let proxy = Proxy::start(&sandbox.endpoint(), move |operation, _, pass| {
        let answer = pass();
        if operation != "ListSecrets" {
            return answer;
        }
        // The listing is behind: it says for ever what it said first.
        let body = old.lock().unwrap().get_or_insert_with(|| answer.body.clone()).clone();
        Answer { status: 200, body }
    });
    let desk = Desk::new(&proxy.endpoint, ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let mut wire = wire(&sandbox).await;
    wire.ok("TagResource", json!({ "SecretId": "app/00", "Tags": [{ "Key": "a", "Value": "b" }] })).await;
    let report = desk.run("snapshot --full --json").expect(0).json();
    assert_eq!(report["readings"]["now"], 2, "{report}");
    // app/01 is as its entry says; app/00 is not, so that its entry, unchanged, stands for nothing.
    sandbox.control().reset_calls();
    desk.run("snapshot --json").expect(0);
    assert_eq!(sandbox.control().calls()["ListSecretVersionIds"], 1, "{:?}", sandbox.control().calls());
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_left_out_by_name() {
    let sandbox = sandbox(1).await;
    let mut other = Wire::connect_as(sandbox.address(), ACCOUNT, "eu-west-1").await;
    let replica = json!({ "Name": "app/replica", "SecretString": "x", "AddReplicaRegions": [{ "Region": REGION }] });
    other.ok("CreateSecret", replica).await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let ran = desk.run("snapshot --json").expect(0);
    assert_eq!(ran.json()["replicas"], json!(["app/replica"]));
    assert!(ran.err.contains("app/replica is left out: it is a replica"), "{}", ran.err);
    sandbox.shutdown().await;
}
