//! `restore`, `diff` and `doctor` as a person runs them: plan files, kill -9, the line between refused and incomplete.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use lifeboat::emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, SHEETS, binary},
    servers::program,
};

const ACCOUNT: &str = "111111111111";
const SOURCE: &str = "eu-central-1";
const TARGET: &str = "eu-west-1";

/// A sandbox with `count` secrets of three versions, a desk, and one snapshot.
async fn backed_up(count: usize) -> (Sandbox, Desk) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    for number in 0..count {
        for value in ["marker-one", "marker-two", "marker-three"] {
            control.put(ACCOUNT, SOURCE, &format!("app/{number:02}"), value).unwrap();
        }
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

/// The writes to the target so far.
fn written(sandbox: &Sandbox) -> usize {
    sandbox.control().writes().iter().filter(|call| call.region == TARGET).count()
}

/// Nothing was rotated at once, destroyed, or written to where the secrets came from.
fn audit(sandbox: &Sandbox) {
    let bad = |call: &lifeboat::emulator::WriteCall| call.rotates_at_once || call.by_force || call.region == SOURCE;
    let found: Vec<_> = sandbox.control().writes().into_iter().filter(bad).collect();
    assert_eq!(found, []);
}

/// Runs until so many writes reached the target, then kills it.
fn kill_after(desk: &Desk, sandbox: &Sandbox, words: &str, writes: usize) -> bool {
    let before = written(sandbox);
    let mut command = desk.command(binary());
    command.args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    let begun = Instant::now();
    let killed = loop {
        if running.try_wait().unwrap().is_some() {
            break false;
        }
        if written(sandbox) >= before + writes {
            running.kill().unwrap();
            break true;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "it hangs");
        std::thread::sleep(Duration::from_millis(1));
    };
    running.wait().unwrap();
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_it_goes_on_where_it_was() {
    let (sandbox, desk) = backed_up(12).await;
    let restore = format!("restore --repo west --to aws:{TARGET} --yes --json {SHEETS}");
    let mut killed = 0;
    for writes in [1, 5, 3, 11, 2, 7] {
        killed += usize::from(kill_after(&desk, &sandbox, &restore, writes));
    }
    assert!(killed >= 4, "only {killed} were killed in the middle");
    let done = desk.run(&restore).expect(0).json();
    assert_eq!((&done["complete"], &done["verification"]["versions"]), (&true.into(), &36.into()));
    let again = desk.run(&restore).expect(0).json();
    assert_eq!((&again["writes"], &again["versions"]["identical"]), (&0.into(), &36.into()));
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_without_network_or_with_expired_credentials_it_goes_on() {
    let (sandbox, desk) = backed_up(8).await;
    let restore = format!("restore --repo west --to aws:{TARGET} --yes --json {SHEETS}");
    let control = sandbox.control();
    let expired = FaultKind::Error { code: "ExpiredTokenException".into(), message: "expired".into() };
    let (operation, when) = (Some("PutSecretValue".into()), FaultWhen::Nth(4));
    control.add_fault(Fault { operation, secret: None, account: None, region: None, when, kind: expired });
    let stopped = desk.run(&restore).expect(1);
    assert!(stopped.err.contains("ExpiredTokenException") && stopped.err.contains("credentials"), "{}", stopped.err);
    control.clear_faults();

    let down = |control: &lifeboat::emulator::Control| control.set_region_down(TARGET, true);
    control.on_call("UpdateSecretVersionStage", 2, Box::new(down)).unwrap();
    let stopped = desk.run(&restore).expect(1);
    assert!(stopped.err.contains("run again to continue"), "{}", stopped.err);
    control.set_region_down(TARGET, false);

    control.set_latency(Duration::from_millis(300));
    let mut running = desk.command(binary());
    running.args(restore.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = running.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    let pid = running.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    control.set_latency(Duration::ZERO);

    let done = desk.run(&restore).expect(0).json();
    assert_eq!((&done["complete"], &done["verification"]["versions"]), (&true.into(), &24.into()));
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_file_is_approved_executed_resumed_and_refused_when_stale() {
    let (sandbox, desk) = backed_up(6).await;
    let plan = desk.run(&format!("restore --to aws:{TARGET} --plan-out plan.json --json")).expect(0).json();
    assert_eq!((&plan["counts"]["created"], &plan["complete"]), (&6.into(), &true.into()));
    assert!(plan["estimate"]["total_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(written(&sandbox), 0, "a plan writes nothing");
    let file = std::fs::read_to_string(desk.path("plan.json")).unwrap();
    assert!(!file.contains("marker-"), "a plan holds no value");
    desk.run(&format!("restore --to aws:{TARGET} --plan-out plan.json")).expect(1).says("plan.json");
    desk.run(&format!("restore --to aws:{TARGET} --plan-out stale.json")).expect(0);

    let execute = |more: &str| desk.run(&format!("restore --plan plan.json --yes --json {SHEETS} {more}"));
    execute("--include x").expect(2).says("sets what is restored");
    desk.run_as("222222222222", &format!("restore --plan plan.json --yes {SHEETS}")).expect(4).says("the target is");
    let tampered = file.replacen("\"step\": \"create\"", "\"step\": \"destroy\"", 1);
    assert_ne!(tampered, file);
    std::fs::write(desk.path("tampered.json"), tampered).unwrap();
    desk.run(&format!("restore --plan tampered.json --yes {SHEETS}"))
        .expect(4)
        .says("differs from the plan that lifeboat makes");
    assert_eq!(written(&sandbox), 0);

    assert!(kill_after(&desk, &sandbox, &format!("restore --plan plan.json --yes {SHEETS}"), 4));
    let done = execute("").expect(0).json();
    assert_eq!((&done["complete"], &done["versions"]["different"]), (&true.into(), &Json::Null));
    sandbox.control().put(ACCOUNT, TARGET, "app/03", "someone else").unwrap();
    let before = written(&sandbox);
    desk.run(&format!("restore --plan stale.json --yes {SHEETS}")).expect(4).says("app/03");
    assert_eq!(written(&sandbox), before);
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_changes_before_the_yes_is_not_written_to() {
    let (sandbox, desk) = backed_up(2).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/confirm_late.py");
    let mut command = desk.command(program("python"));
    command.arg("-B").arg(script).args([sandbox.endpoint().as_str(), TARGET, "app/01"]).arg(binary());
    command.args(format!("restore --to aws:{TARGET} {SHEETS}").split_whitespace());
    let ran = desk.finish(&mut command).expect(4);
    assert!(ran.out.contains("the target changed after the plan was made"), "{}", ran.out);
    assert_eq!(written(&sandbox), 1, "only what somebody else put there");
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_refused_skipped_or_replaced_as_told() {
    let (sandbox, desk) = backed_up(2).await;
    sandbox.control().put(ACCOUNT, TARGET, "app/00", "someone else's").unwrap();
    let restore = |more: &str| desk.run(&format!("restore --to aws:{TARGET} --yes --json {SHEETS} {more}"));
    restore("").expect(4).says("app/00: another secret with this name");
    assert_eq!(written(&sandbox), 0);
    restore("--on-conflict overwrite").expect(2);
    let skipped = restore("--on-conflict skip").expect(3).json();
    assert_eq!((&skipped["counts"]["conflict"], &skipped["complete"]), (&1.into(), &false.into()));
    let replaced = restore("--on-conflict replace --arn-map arns.json").expect(0).json();
    assert_eq!((&replaced["counts"]["replaced"], &replaced["counts"]["identical"]), (&1.into(), &1.into()));
    let arns: Json = serde_json::from_slice(&std::fs::read(desk.path("arns.json")).unwrap()).unwrap();
    assert_eq!(arns.as_object().unwrap().len(), 2);
    assert!(
        arns.as_object()
            .unwrap()
            .iter()
            .all(|(old, new)| old.contains(SOURCE) && new.as_str().unwrap().contains(TARGET))
    );
    desk.run(&format!("restore --to aws:{SOURCE} --yes {SHEETS}")).expect(4).says("the source itself");
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_a_selection_and_a_mapping_file() {
    let (sandbox, desk) = backed_up(3).await;
    let listed = desk.run("list --json").expect(0).json();
    let first = listed["snapshots"][0]["time"].as_str().unwrap().to_owned();
    std::thread::sleep(Duration::from_millis(1_100));
    sandbox.control().put(ACCOUNT, SOURCE, "app/00", "marker-four").unwrap();
    desk.run("snapshot").expect(0);
    std::fs::write(desk.path("map.toml"), "name_prefix = \"dr/\"\n[name]\n\"app/*\" = \"web/*\"\n").unwrap();
    let select = "--include app/* --exclude app/02 --map map.toml";
    let restored =
        desk.run(&format!("restore --to aws:{TARGET} --at {first} {select} --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(restored["verification"]["versions"], 6, "the moment before the fourth version");
    let names: Vec<&str> =
        restored["verification"]["states"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("dr/web/0")) && !names.contains(&"dr/web/02"), "{names:?}");
    desk.run(&format!("restore --to aws:{TARGET} --at 2020-01-01T00:00Z {SHEETS}")).expect(2).says("no snapshot taken");
    desk.run(&format!("restore --to aws:{TARGET} --at yesterday {SHEETS}")).expect(2);
    std::fs::write(desk.path("bad.toml"), "[nmae]\n").unwrap();
    desk.run(&format!("restore --to aws:{TARGET} --map bad.toml --plan {SHEETS}")).expect(2).says("bad.toml");
    desk.run(&format!("restore {SHEETS}")).expect(2).says("the restore target is missing");
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_names_what_changed_and_never_a_value() {
    let (sandbox, desk) = backed_up(3).await;
    desk.run("diff").expect(0);
    let first = desk.run("list --json").expect(0).json()["snapshots"][0]["snapshot"].as_str().unwrap()[..8].to_owned();
    let control = sandbox.control();
    control.put(ACCOUNT, SOURCE, "app/00", "marker-four").unwrap();
    control.put(ACCOUNT, SOURCE, "new", "marker-five").unwrap();
    let live = desk.run("diff --json").expect(3).json();
    assert_eq!(live["diff"]["added"], json!(["new"]));
    let whats: Vec<&str> =
        live["diff"]["changes"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert!(whats.contains(&"version added") && whats.contains(&"labels"), "{whats:?}");
    assert_eq!(live["diff"]["values_unknown"], 9, "without a quorum values are not compared");

    control.corrupt_value(ACCOUNT, SOURCE, "app/01", None).unwrap();
    let opened = desk.run(&format!("diff --json {SHEETS}")).expect(3).json();
    let values: Vec<&Json> =
        opened["diff"]["changes"].as_array().unwrap().iter().filter(|it| it["what"] == "value").collect();
    assert_eq!((values.len(), &values[0]["name"]), (1, &"app/01".into()));
    assert_eq!((&opened["diff"]["values_same"], &opened["diff"]["values_unknown"]), (&8.into(), &0.into()));

    desk.run("snapshot").expect(0);
    let two = desk.run(&format!("diff {first} latest --json")).expect(3).json();
    assert_eq!((&two["diff"]["added"], &two["diff"]["same"]), (&json!(["new"]), &2.into()));
    assert_eq!(desk.run(&format!("diff {first} {first} --json")).expect(0).json()["differs"], false);
    desk.run("diff 00000000").expect(2);
    desk.run_as("222222222222", "diff").expect(4).says("the credentials are for");
    let printed = String::from_utf8_lossy(&desk.printed()).into_owned();
    assert!(!printed.contains("marker-"), "no value is printed");
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_is_wrong_before_it_matters() {
    let (sandbox, desk) = backed_up(1).await;
    let checks = |ran: Json| -> Vec<(String, String)> {
        let all = ran["checks"].as_array().unwrap().clone();
        let text = |it: &Json, key: &str| it[key].as_str().unwrap().to_owned();
        all.iter().map(|it| (text(it, "check"), text(it, "state"))).collect()
    };
    let well = checks(desk.run("doctor --json").expect(0).json());
    for wanted in ["configuration", "signing key", "signer allowed", "repository", "account", "GetSecretValue", "clock"]
    {
        assert!(well.contains(&(wanted.into(), "ok".into())), "{wanted}: {well:?}");
    }
    desk.run(&format!("doctor --to aws:{TARGET}")).expect(0);
    let secrets_before = sandbox.control().calls().get("CreateSecret").copied();
    assert_eq!(secrets_before, Some(1), "asked once");
    let plan = desk.run(&format!("restore --to aws:{TARGET} --plan --json {SHEETS}")).expect(0).json();
    assert_eq!(plan["counts"]["created"], 1, "and nothing was made");

    for operation in ["GetResourcePolicy", "PutSecretValue"] {
        sandbox.control().add_fault(Fault {
            operation: Some(operation.into()),
            secret: None,
            account: None,
            region: None,
            when: FaultWhen::Always,
            kind: FaultKind::Error { code: "AccessDeniedException".into(), message: "no".into() },
        });
    }
    let ill = checks(desk.run("doctor --json").expect(3).json());
    assert!(ill.contains(&("GetResourcePolicy".into(), "wrong".into())), "{ill:?}");
    let ill = checks(desk.run(&format!("doctor --to aws:{TARGET} --json")).expect(3).json());
    assert!(ill.contains(&("PutSecretValue".into(), "wrong".into())), "{ill:?}");
    assert!(ill.contains(&("CreateSecret".into(), "ok".into())), "{ill:?}");

    sandbox.control().clear_faults();
    std::fs::remove_file(desk.path("keys/index.age")).unwrap();
    let ill = checks(desk.run("doctor --json").expect(3).json());
    assert!(ill.contains(&("index key".into(), "wrong".into())), "{ill:?}");
    let other = checks(desk.run_as("222222222222", "doctor --json").expect(3).json());
    assert!(other.contains(&("account".into(), "wrong".into())), "{other:?}");
    audit(&sandbox);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_counts_replicas_and_tells_whether_the_lost_region_signs_us_in() {
    let (sandbox, desk) = backed_up(1).await;
    let replica = json!({ "Name": "app/replica", "PrimaryRegion": SOURCE, "Versions": [] });
    sandbox.control().seed_raw(ACCOUNT, TARGET, &replica).unwrap();
    let row = |ran: &Ran, check: &str| -> (String, String) {
        let checks = ran.json()["checks"].as_array().unwrap().clone();
        let found = checks.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("no {check}"));
        (found["state"].as_str().unwrap().to_owned(), found["detail"].as_str().unwrap().to_owned())
    };
    let words = format!("doctor --to aws:{TARGET} --json");
    let told = desk.run(&words).expect(0);
    let (state, detail) = row(&told, "replicas");
    assert_eq!(state, "note");
    assert!(detail.starts_with("1 of 1 secrets") && detail.contains("--on-replica promote"), "{detail}");
    assert_eq!(row(&told, "sign-in").0, "ok");
    for (region, expected) in [(SOURCE, "wrong"), (TARGET, "ok"), ("us-east-2", "note")] {
        let profile = format!(
            "[default]\nsso_session = corp\nsso_account_id = {ACCOUNT}\nsso_role_name = r\n\
             [sso-session corp]\nsso_region = {region}\nsso_start_url = http://127.0.0.1:9/start\n"
        );
        std::fs::write(desk.path("aws"), profile).unwrap();
        let mut command = desk.command(binary());
        command.env("AWS_CONFIG_FILE", "aws").env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let told = desk.finish(command.args(words.split(' '))).expect(3);
        let (state, detail) = row(&told, "sign-in");
        assert_eq!(state, expected, "{detail}");
        assert!(detail.contains(&format!("IAM Identity Center {}in {region}", if state == "ok" { "" } else { "is " })));
    }
    let policy = desk.run(&format!("doctor --policy restore --to aws:{TARGET} --promotion")).expect(0);
    assert!(policy.out.contains("secretsmanager:StopReplicationToReplica"), "{}", policy.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_prints_policies_for_the_actual_configuration() {
    let (_sandbox, desk) = backed_up(1).await;
    // Raw for a file, and as one field of the envelope with --json.
    let policy = |words: &str| {
        let raw = desk.run(&format!("doctor --policy {words}")).expect(0).out;
        let told = desk.run(&format!("doctor --policy {words} --json")).expect(0).json();
        assert_eq!((&told["text"], &told["command"]), (&raw.as_str().into(), &"doctor".into()), "{told}");
        assert!(told.get("Statement").is_none(), "{told}");
        serde_json::from_str::<serde_json::Value>(&raw).unwrap()
    };
    let backup = policy("backup");
    let text = backup.to_string();
    assert!(text.contains(&format!("arn:aws:secretsmanager:{SOURCE}:{ACCOUNT}:secret:*")), "{text}");
    let deny = backup["Statement"].as_array().unwrap().iter().find(|it| it["Effect"] == "Deny").unwrap();
    assert!(deny["Action"].to_string().contains("secretsmanager:Put*"));
    desk.run("doctor --policy restore").expect(2).says("region");
    let restore = policy(&format!("restore --to aws:{TARGET} --rotation")).to_string();
    assert!(restore.contains("\"secretsmanager:RotateImmediately\":\"false\""), "{restore}");
    let drill = policy("drill --to aws:eu-west-1 --account 222222222222 --name-prefix drill/").to_string();
    assert!(drill.contains("arn:aws:secretsmanager:eu-west-1:222222222222:secret:drill/*"), "{drill}");
    desk.run("doctor --policy everything").expect(2);
}
