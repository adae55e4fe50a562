//! Complete means complete: nothing restored is not everything, one secret's trouble is not every secret's, and what nobody
//! touched is identical.

use std::process::Command;

use lifeboat::{
    emulator::{Sandbox, SandboxOptions},
    restore::{Maps, OnConflict, Options, Outcome},
};
use serde_json::{Value as Json, json};

use crate::{
    bench::{Bench, OTHER, SOURCE, TARGET, id, new_arn, planned, reason},
    command::{Desk, SHEETS, binary},
};

const ACCOUNT: &str = "111111111111";

fn secret(name: &str) -> Json {
    json!({ "Name": name, "Versions": [
        { "VersionId": id(1), "SecretString": "ours", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1 }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn restoring_nothing_is_incomplete_and_said_in_one_sentence() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot --accept-drop 111111111111:eu-central-1=0").expect(0);
    let restore = |more: &str| desk.run(&format!("restore --to aws:{TARGET} {SHEETS} {more}"));
    let empty = restore("--yes").expect(3);
    assert!(empty.out.contains("nothing was restored: the snapshot has no secret"), "{}", empty.out);
    assert!(!empty.out.contains("verified"), "{}", empty.out);
    assert_eq!(restore("--yes --json").expect(3).json()["complete"], false);
    assert_eq!(restore("--yes --include app/* --json").expect(3).json()["verification"]["secrets"], 0);
    let planned = restore("--plan").expect(3);
    assert!(planned.err.contains("this plan restores nothing: the snapshot has no secret"), "{}", planned.err);

    sandbox.control().put(ACCOUNT, SOURCE, "app/only", "value").unwrap();
    desk.run("snapshot").expect(0);
    desk.run(&format!("restore --to aws:{TARGET} {SHEETS} --exclude app/* --yes")).expect(2).says("* without app/*");
    assert_eq!(sandbox.control().writes().iter().filter(|call| call.region == TARGET).count(), 0);
    restore("--yes").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_by_rule_alone_restores_nothing() {
    let mut bench = Bench::new().await;
    bench.seed(&secret("app"));
    let client = bench.client(SOURCE).await;
    bench.snapshot().await;
    bench.may_write_to_source();
    client.delete_secret().secret_id("app").send().await.unwrap();
    let report = bench.snapshot().await;
    let summary = bench.plan(&report, &Options::default()).await.summary().unwrap();
    assert_eq!((summary.complete, summary.nothing().as_deref()), (false, Some("1 left out")));
    let back = Options { deletion: true, ..Options::default() };
    let summary = bench.plan(&report, &back).await.summary().unwrap();
    assert_eq!((summary.complete, summary.nothing()), (true, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_nothing_does_not_pass() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot --accept-drop 111111111111:eu-central-1=0").expect(0);
    std::fs::create_dir_all(desk.path("drills")).unwrap();
    std::fs::write(desk.path("drills/all.toml"), "scenario = \"a test\"\n[target]\nsandbox = true\n").unwrap();
    let ran = desk.run(&format!("drill run all --yes --json {SHEETS}")).expect(3);
    assert_ne!(ran.json()["record"]["result"], "passed");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_maps_spoil_are_in_the_plan_and_the_others_come_back() {
    let mut bench = Bench::new().await;
    for name in ["a/short", "b/short", "c/short"] {
        bench.seed(&secret(name));
    }
    let report = bench.snapshot().await;
    let name = [("a/short", "x".repeat(513)), ("b/short", "b short".to_owned())];
    let maps = Maps { name: name.map(|(old, new)| (old.to_owned(), new)).into(), ..Maps::default() };
    let options = Options { maps, ..Options::default() };
    let restored = bench.restore(&report, &options).await;
    assert_eq!(restored.execution.failed, [], "nothing is found out at the write");
    for (name, says) in
        [("x".repeat(513), "a/short: it has 513 characters"), ("b short".into(), "b/short: it has the character ' '")]
    {
        let planned = planned(&restored.plan, &name);
        assert!(matches!(planned.outcome, Outcome::Impossible(_)) && reason(&planned).contains(says), "{planned:?}");
    }
    assert_eq!(planned(&restored.plan, "c/short").outcome, Outcome::Create);
    let summary = restored.plan.summary().unwrap();
    assert_eq!((summary.complete, summary.verified, restored.verification.passed()), (false, 1, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_secret_without_a_value_does_not_refuse_the_replacing_of_the_others() {
    let mut bench = Bench::new().await;
    bench.seed(&json!({ "Name": "empty", "Description": "ours" }));
    bench.seed(&json!({ "Name": "never", "Description": "ours" }));
    bench.seed(&secret("full"));
    let report = bench.snapshot().await;
    for name in ["empty", "full"] {
        bench.seed_target(&json!({ "Name": name, "Versions": [
            { "VersionId": id(9), "SecretString": "theirs", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1 }] }));
    }
    bench.seed_target(&json!({ "Name": "never", "Description": "theirs" }));
    for mode in [OnConflict::Replace, OnConflict::NewVersion] {
        let plan = bench.plan(&report, &Options { on_conflict: mode, ..Options::default() }).await;
        let summary = plan.summary().unwrap();
        assert_eq!((summary.conflicts.len(), summary.complete), (0, false), "{mode:?}");
        assert!(reason(&planned(&plan, "empty")).contains("no value to write"));
    }
    let restored = bench.restore(&report, &Options { on_conflict: OnConflict::Replace, ..Options::default() }).await;
    assert!(restored.verification.passed(), "{:?}", restored.verification.differences);
    assert_eq!(planned(&restored.plan, "full").outcome, Outcome::Replace);
    assert_eq!(planned(&restored.plan, "never").outcome, Outcome::Replace, "no value is there to stand against it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_touched_is_identical_however_much_of_it_could_not_be_restored() {
    let mut bench = Bench::new().await;
    let many: Vec<Json> = (1..=120)
        .map(|number| {
            let labels: &[&str] = if number == 120 { &["AWSCURRENT"] } else { &[] };
            json!({ "VersionId": id(number), "SecretString": format!("value {number}"), "VersionStages": labels,
                "CreatedDate": number })
        })
        .collect();
    let many = bench.seed(&json!({ "Name": "many", "Versions": many }));
    let public =
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
    let mut open = secret("open");
    open["ResourcePolicy"] = public.into();
    bench.seed(&open);
    let mut half = secret("half");
    half["Versions"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "VersionId": id(2), "VersionStages": ["AWSPENDING"], "CreatedDate": 2 }));
    bench.seed(&half);
    let report = bench.snapshot().await;
    bench.may_write_to_source();
    let source = bench.provider(SOURCE).await;
    let options = Options { allow_source: true, ..Options::default() };
    let restored = bench.restore_to(&report, &source, &options).await.expect_complete();
    for name in ["many", "open", "half"] {
        assert_eq!(planned(&restored.plan, name).outcome, Outcome::Present, "{name}");
    }
    assert_eq!((restored.execution.done, restored.verification.versions), (0, 120 + 1 + 1));
    assert_eq!(new_arn(&restored.verification, &many), many);

    // Elsewhere, and once somebody touches it, the limits count again.
    let elsewhere =
        bench.plan_for(&report, &bench.provider_of(OTHER, TARGET).await, &Options::default()).await.unwrap();
    assert_eq!(planned(&elsewhere, "many").lost.len(), 120 - 98);
    assert_eq!(planned(&elsewhere, "open").lost.len(), 1);
    bench.control().put(ACCOUNT, SOURCE, "many", "newer").unwrap();
    let plan = bench.plan_for(&report, &source, &options).await.unwrap();
    assert!(matches!(planned(&plan, "many").outcome, Outcome::Conflict(_)));
}

/// Marks all but the newest snapshot, with a newer one behind the mark, so that the next `forget` removes them.
fn marked(desk: &Desk) {
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let with_rule = config.replace("[[copy]]", "[retention]\nkeep_last = 1\nundo_days = 0\n\n[[copy]]");
    std::fs::write(desk.path("lifeboat.toml"), with_rule).unwrap();
    desk.run("forget --yes").expect(0);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    desk.run("snapshot").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_elsewhere_is_not_called_damaged() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    // Another secret takes the name of the first, so that no later snapshot needs what the first one holds.
    let seed = |number: usize| {
        let version = json!({ "VersionId": id(number), "SecretString": "a value", "VersionStages": ["AWSCURRENT"],
            "CreatedDate": number });
        sandbox.control().seed_raw(ACCOUNT, SOURCE, &json!({ "Name": "app", "Versions": [version] })).unwrap();
    };
    seed(1);
    let first = desk.run("snapshot --json").expect(0).json()["snapshot"].as_str().unwrap().to_owned();
    seed(2);
    desk.run("snapshot").expect(0);
    desk.run(&format!("restore --to aws:{TARGET} --snapshot {first} --plan-out plan.json")).expect(0);
    marked(&desk);

    // Another host removes it while it is being restored: after the look at the target, before the first value is read.
    let (folder, program) = (desk.folder.path().to_owned(), binary().to_owned());
    let forget = move || {
        let mut command = Command::new(program);
        command.env_clear().current_dir(folder).env("HOME", ".").args(["forget", "--yes"]);
        assert!(command.output().unwrap().status.success());
    };
    sandbox.control().on_call("DescribeSecret", 1, Box::new(move |_| forget())).unwrap();
    let restore = format!("restore --to aws:{TARGET} --snapshot {first} --yes {SHEETS}");
    let gone = desk.run(&restore).expect(1);
    for words in ["number 1, was forgotten by ", "SHA256:", " on 20", "while it was read", "packs/"] {
        assert!(gone.err.contains(words), "{words} in {}", gone.err);
    }

    for command in [restore, format!("show {first}"), format!("diff {first} latest")] {
        desk.run(&command).expect(2).says("number 1, was forgotten by ");
    }
    desk.run(&format!("restore --plan plan.json --yes {SHEETS}")).expect(4).says("was forgotten by ");
    desk.run("show 00000000").expect(2).says("there is no snapshot 00000000");

    // Without a record, what is missing is damage.
    std::fs::remove_dir_all(desk.path("repository/packs")).unwrap();
    std::fs::create_dir(desk.path("repository/packs")).unwrap();
    desk.run(&format!("restore --to aws:{TARGET} --yes {SHEETS}")).expect(6).says("is missing");
    sandbox.shutdown().await;
}
