//! `lifeboat drill` by hand, against the embedded sandbox and its own.

use futures::TryStreamExt;
use lifeboat::{
    emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions},
    provider::{
        Source,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary},
    servers::{Moto, SEAWEED_KEY, Seaweed},
};

pub const ACCOUNT: &str = "111111111111";

/// Writes a drill file.
pub fn write(desk: &Desk, name: &str, text: &str) {
    std::fs::create_dir_all(desk.path("drills")).unwrap();
    std::fs::write(desk.path(&format!("drills/{name}.toml")), text).unwrap();
}

pub const OUTAGE: &str = "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n[target]\nsandbox = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_outage_touches_nothing_that_is_lost() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "outage", OUTAGE);
    sandbox.control().reset_calls();
    std::fs::rename(desk.path("repository"), desk.path("gone")).unwrap();
    let drill = desk.run(&format!("drill run outage --json {SHEETS}")).expect(0).json();
    assert!(sandbox.control().calls().is_empty(), "{:?}", sandbox.control().calls());
    let isolation = &drill["record"]["isolation"];
    assert_eq!(isolation["refused"], 2, "the region and the storage, tried once each");
    let contacted: Vec<&str> =
        isolation["contacted"].as_array().unwrap().iter().map(|host| host.as_str().unwrap()).collect();
    assert!(
        contacted.len() == 2 && contacted[1].starts_with("127.0.0.1:") && contacted[0].ends_with("/west"),
        "{contacted:?}"
    );
    assert!(!contacted[1].ends_with(&sandbox.address().port().to_string()));
    assert_eq!(drill["record"]["recovery_point"]["is_copy"], true);
    std::fs::rename(desk.path("gone"), desk.path("repository")).unwrap();
    desk.run("drill verify").expect(0);
    desk.run("drill run outage --json --share sheets/").expect(0);
    assert!(desk.run("drill list").expect(0).out.contains("outage"));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_compares_with_what_a_person_and_another_copy_know() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "outage", OUTAGE);
    let run = |more: &str| desk.run(&format!("drill run outage --yes {more} {SHEETS}"));
    run("--compare repository").expect(4).says("lost");
    let plain = "scenario = \"a test\"\n[target]\nsandbox = true\n";
    write(&desk, "plain", plain);
    let run = |more: &str| desk.run(&format!("drill run plain --yes {more} {SHEETS}"));
    let held = run("--expect-number 1 --compare west").expect(0);
    assert!(held.err.contains(" s ago; newest by the chain)"), "{}", held.err);
    assert!(!held.err.contains("rollback"), "{}", held.err);
    run("--expect-number 2").expect(4).says("number 2 was expected");
    let held = run("--expect-number 2 --accept-fault snapshots:rolled_back --json").expect(0);
    assert_eq!(held.json()["record"]["recovery_point"]["accepted"][0], "snapshots:rolled_back");
    sandbox.shutdown().await;
}

/// A drill file for account 999999999999 at the same endpoint, opened by a quorum.
pub fn into_account(more: &str) -> String {
    format!(
        "scenario = \"a test\"\nevery_days = 31\n[target]\naccount = \"999999999999\"\nregion = \"eu-west-1\"\n{more}"
    )
}

/// What is in an account of the sandbox.
pub async fn names(sandbox: &Sandbox, account: &str, region: &str) -> Vec<String> {
    let mut settings = AwsSettings::region(region);
    settings.endpoint = Some(sandbox.endpoint());
    let secret_key = zeroize::Zeroizing::new("x".to_owned());
    settings.credentials = Some(StaticCredentials { access_key: account.into(), secret_key });
    let target = Aws::connect(settings).await.unwrap();
    let listed: Vec<_> = target.list().try_collect().await.unwrap();
    listed.into_iter().map(|listed| listed.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misconfigured_target_is_refused_in_all_combinations_before_any_write() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    for mistakes in 0..16_u8 {
        let made = |bit: u8| mistakes & (1 << bit) != 0;
        let region = if made(1) { "eu-central-1" } else { "eu-west-1" };
        let mut text = format!("scenario = \"a test\"\n[target]\naccount = \"999999999999\"\nregion = {region:?}\n");
        if made(2) {
            text.push_str("role = \"arn:aws:iam::222222222222:role/elsewhere\"\n");
        }
        if made(3) {
            text.push_str(&format!("endpoint = {0:?}\n[lost]\nendpoints = [{0:?}]\n", sandbox.endpoint()));
        }
        write(&desk, "mistake", &text);
        sandbox.control().reset_calls();
        let account = if made(0) { ACCOUNT } else { "999999999999" };
        let ran = desk.run_as(account, &format!("drill run mistake --yes {SHEETS}"));
        let ran = ran.expect(if mistakes == 0 { 0 } else { 4 });
        let calls = sandbox.control().calls();
        let writes: u64 = calls
            .iter()
            .filter(|(name, _)| !["ListSecrets", "DescribeSecret"].contains(&name.as_str()))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(writes == 0, mistakes != 0, "{mistakes:04b}: {calls:?}\n{}", ran.err);
    }
    assert_eq!(names(&sandbox, ACCOUNT, "eu-central-1").await.len(), 2);
    sandbox.shutdown().await;
}

/// Starts a drill and waits until its journal says that `phase` is over.
pub fn started(desk: &Desk, sandbox: &Sandbox, phase: &str) -> std::process::Child {
    sandbox.control().set_latency(std::time::Duration::from_millis(60));
    let mut command = desk.command(binary());
    command.env("AWS_ACCESS_KEY_ID", "999999999999").args(["drill", "run", "slow", "--yes"]);
    command.args(SHEETS.split(' ')).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let state = desk.path("state");
    let begun = std::time::Instant::now();
    loop {
        let journal = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        let journal = journal
            .filter(|path| path.to_string_lossy().ends_with(".drill.json"))
            .find_map(|path| std::fs::read_to_string(path).ok());
        if journal.is_some_and(|text| text.contains(&format!("\"name\": {phase:?}"))) {
            return child;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before {phase} was over");
        assert!(begun.elapsed().as_secs() < 60, "{phase} is never over");
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_any_phase_the_next_drill_cleans_up_and_keeps_its_record() {
    let sandbox = estate().await;
    for number in 0..12 {
        sandbox.control().put(ACCOUNT, "eu-central-1", &format!("more/{number}"), "value").unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "slow", &into_account(""));
    let mut left_something = 0;
    for phase in ["approve", "fetch", "open", "plan", "restore", "verify", "controls"] {
        let mut child = started(&desk, &sandbox, phase);
        if phase == "plan" {
            // In the middle of the restore.
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        sandbox.control().set_latency(std::time::Duration::ZERO);
        left_something += usize::from(!names(&sandbox, "999999999999", "eu-west-1").await.is_empty());
        let next = desk.run_as("999999999999", &format!("drill run slow --yes --json {SHEETS}")).expect(0).json();
        assert_eq!(next["record"]["result"], "passed", "after {phase}");
        assert!(names(&sandbox, "999999999999", "eu-west-1").await.is_empty(), "after {phase}");
    }
    assert!(left_something >= 3, "the kill never came in time: {left_something}");
    let drills = desk.run("drill list --json").expect(0).json();
    let results: Vec<&str> =
        drills["drills"].as_array().unwrap().iter().map(|drill| drill["record"]["result"].as_str().unwrap()).collect();
    assert_eq!(results.iter().filter(|result| **result == "aborted").count(), 7, "{results:?}");

    let mut child = started(&desk, &sandbox, "plan");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    sandbox.control().set_latency(std::time::Duration::ZERO);
    assert!(names(&sandbox, "999999999999", "eu-west-1").await.is_empty(), "^C cleans up");
    let shown = desk.run("drill show").expect(0).out;
    assert!(shown.contains("asked to stop during") && shown.contains("no RTO was measured, RPO "), "{shown}");
    desk.run("drill verify").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_target_and_a_bad_value_end_in_a_record() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let notify = "[[notify]]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> heard\"]\n[[notify]]\ncommand = [\"/bin/false\"]\non = [\"failure\"]\n";
    write(&desk, "told", &into_account(notify));
    let fault = |operation: &str, when, kind| Fault {
        operation: Some(operation.into()),
        secret: None,
        account: Some("999999999999".into()),
        region: None,
        when,
        kind,
    };
    sandbox.control().add_fault(fault(
        "PutSecretValue",
        FaultWhen::Nth(1),
        FaultKind::Error { code: "ThrottlingException".into(), message: String::new() },
    ));
    let drill = desk.run_as("999999999999", &format!("drill run told --json {SHEETS}")).expect(0).json();
    assert_eq!(drill["record"]["approval"]["how"], "unattended");
    let heard = std::fs::read_to_string(desk.path("heard")).unwrap();
    assert!(heard.contains("\"event\":\"start\"") && heard.contains("\"event\":\"success\""), "{heard}");

    sandbox.control().clear_faults();
    let control = sandbox.control();
    sandbox
        .control()
        .on_call(
            "PutSecretValue",
            1,
            Box::new(move |_| {
                let _ = control.corrupt_value("999999999999", "eu-west-1", "app/api", None);
            }),
        )
        .unwrap();
    let ran = desk.run_as("999999999999", &format!("drill run told --json {SHEETS}")).expect(3);
    assert!(ran.err.contains("app/api") && ran.err.contains("value differs"), "{}", ran.err);
    assert!(ran.err.contains("the notifier /bin/false ended with 1"), "{}", ran.err);
    assert_eq!(ran.json()["record"]["result"], "failed");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_verified_by_stock_tools_and_altered_evidence_is_not() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "outage", OUTAGE);
    for _ in 0..3 {
        desk.run(&format!("drill run outage {SHEETS}")).expect(0);
    }
    desk.run("custody verify sheets/01-ana.txt").expect(0);
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let month = today[..7].to_owned();
    desk.run(&format!("drill evidence --from {month}-01 --to {today} one.tar")).expect(0);
    desk.run(&format!("drill evidence --from {month}-01 --to {today} two.tar")).expect(0);
    assert_eq!(std::fs::read(desk.path("one.tar")).unwrap(), std::fs::read(desk.path("two.tar")).unwrap());
    desk.finish(desk.command("tar").args(["-xf", "one.tar"])).expect(0);
    let root = std::fs::read_dir(desk.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let root = root
        .into_iter()
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("lifeboat-evidence"))
        .unwrap();
    let verify = || desk.finish(desk.command("sh").arg(root.join("verify.sh")));
    assert!(verify().expect(0).out.contains("everything verifies"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("3 records, 3 passed (100 %). 1 custody attestation."), "{readme}");

    let record = std::fs::read_dir(root.join("drills"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().unwrap() == "json")
        .unwrap();
    let good = std::fs::read(&record).unwrap();
    std::fs::write(&record, String::from_utf8(good.clone()).unwrap().replace("\"passed\"", "\"failed\"")).unwrap();
    assert!(verify().expect(1).out.contains("does not verify"));
    std::fs::write(&record, &good).unwrap();
    verify().expect(0);

    let runbook = desk.run("runbook --to aws:eu-west-1").expect(0).out;
    for words in [
        "Any 3 of these 5",
        "| 4 | Dee |",
        "west`",
        "--to aws:eu-west-1 --share sheets/ --expect-number 1 --plan",
        "as in the drill of",
        "**Serve, or restore?**",
        "lifeboat break-glass serve --repo ",
    ] {
        assert!(runbook.contains(words), "{words} in\n{runbook}");
    }
    sandbox.shutdown().await;
}

#[test]
fn schedules_are_accepted_by_their_own_tools() {
    let desk = Desk::offline(ACCOUNT);
    desk.run("init --repo repository --source aws:eu-central-1 --threshold 2 --custodian A --custodian B --custodian C --sheets sheets --yes");
    write(&desk, "outage", OUTAGE);
    desk.run("drill schedule outage --systemd").expect(2).says("quorum");
    desk.run("drill schedule outage").expect(2);
    write(&desk, "booked", &format!("runbook = \"docs/book.md\"\n{OUTAGE}"));
    for words in ["drill schedule booked --cron --out units", "drill run booked --yes"] {
        let refused = desk.run(words).expect(2).says("runbook = \"docs/book.md\": there is no file docs/book.md");
        assert!(refused.err.contains("relative to the folder of the configuration"), "{}", refused.err);
    }
    // Whoever only asks how often it is held needs no runbook.
    assert_ne!(desk.run("status").code, Some(2));
    std::fs::create_dir(desk.path("docs")).unwrap();
    std::fs::write(desk.path("docs/book.md"), "1. Stay calm.").unwrap();
    desk.run("drill schedule booked --cron --out units").expect(2).says("quorum");
    std::fs::remove_file(desk.path("drills/booked.toml")).unwrap();
    write(&desk, "monthly", include_str!("../../docs/examples/drills/canary.toml"));
    for kind in ["systemd", "cron", "github", "ecs"] {
        desk.run(&format!("drill schedule monthly --{kind} --out units")).expect(0);
    }
    let units = desk.path("units");
    let text = |name: &str| std::fs::read_to_string(units.join(name)).unwrap();
    let mut checked = desk.command("systemd-analyze");
    checked
        .args(["verify", "--man=no"])
        .args(["service", "timer"].map(|kind| units.join(format!("lifeboat-drill-monthly.{kind}"))));
    if std::path::Path::new("/usr/bin/systemd-analyze").exists() {
        desk.finish(&mut checked).expect(0);
    }
    for name in ["lifeboat-drill-monthly.task-definition.json", "lifeboat-drill-monthly.schedule.json"] {
        serde_json::from_str::<serde_json::Value>(&text(name)).unwrap();
    }
    let mut python = desk.command(crate::servers::program("python"));
    python.args(["-c", "import yaml; w = yaml.safe_load(open('units/lifeboat-drill-monthly.yml')); assert w[True]['schedule'][0]['cron'].endswith('3 2 * *'), w; assert w['jobs']['drill']['steps'][-1]['if'] == 'always()'"]);
    desk.finish(&mut python).expect(0);
    let cron = text("lifeboat-drill-monthly");
    assert!(cron.lines().last().unwrap().contains(" 3 2 * * root cd "), "{cron}");
}

const UNATTENDED: &str = "scenario = \"eu-central-1 is gone, and nobody is there\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n[target]\nsandbox = true\n[restore]\nwhat = \"canaries\"\n[open]\nby = \"canary\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn unattended_a_drill_opens_canaries_and_nothing_else() {
    let sandbox = estate().await;
    for value in ["canary one", "canary two"] {
        sandbox.control().put(ACCOUNT, "eu-central-1", "canary/one", value).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "canary", UNATTENDED);
    desk.run("drill run canary").expect(2).says("[drill] key");
    let key = desk.run("drill key --json").expect(0).json();
    assert!(desk.run("drill key").code != Some(0), "a key is never overwritten");
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let with = |more: &str| {
        let drill = format!(
            "\n[drill]\nrecipient = {}\nkey = \"keys/drill.age\"\ncanaries = [\"canary/*\"]\n{more}",
            key["recipient"]
        );
        std::fs::write(desk.path("lifeboat.toml"), format!("{config}{drill}")).unwrap();
    };
    with("");
    // The older snapshot's packs are not for drills, and a drill says so instead of passing.
    let refused = desk.run("drill run canary --json").expect(1);
    let why = "snapshot number 1 is sealed to a drill key: [drill] recipient was not set when it was taken";
    assert!(refused.err.contains(why) && refused.err.contains("lifeboat snapshot"), "{}", refused.err);

    let counts = |ran: crate::command::Ran| {
        let json = ran.expect(0).json();
        (json["counts"]["values_read"].as_u64().unwrap(), json["counts"]["values_carried"].as_u64().unwrap())
    };
    assert_eq!(counts(desk.run("snapshot --json")), (2, 5), "canaries are sealed anew, and nothing else");
    assert_eq!(counts(desk.run("snapshot --json")), (0, 7), "and then they are known");
    std::fs::remove_dir_all(desk.path("sheets")).unwrap();
    sandbox.control().reset_calls();
    let drill = desk.run("drill run canary --json").expect(0).json();
    assert!(sandbox.control().calls().is_empty());
    let record = &drill["record"];
    assert_eq!((&record["result"], &record["opening"]["by"]), (&"passed".into(), &"canary".into()));
    assert_eq!((&record["sample"]["restored"], &record["sample"]["population"]), (&1.into(), &3.into()));

    let all = UNATTENDED.replace("\"canaries\"", "\"all\"").replace("\"canary\"", "\"drill-key\"");
    write(&desk, "all", &all);
    let refused = desk.run("drill run all").expect(1);
    let why = "the drill key does not open 2 secrets of snapshot number 3, such as ";
    assert!(refused.err.contains(why), "{}", refused.err);
    desk.run("drill key --out keys/other.age").expect(0);
    let own = std::fs::read(desk.path("keys/drill.age")).unwrap();
    std::fs::rename(desk.path("keys/other.age"), desk.path("keys/drill.age")).unwrap();
    desk.run("drill run canary").expect(1).says("are sealed to another drill key than [drill] key");
    std::fs::write(desk.path("keys/drill.age"), own).unwrap();
    with("full = true\n");
    let full = desk.run("snapshot --json").expect(0);
    assert!(full.err.contains("can read every secret"), "{}", full.err);
    assert_eq!(counts(full), (5, 2));
    let drill = desk.run("drill run all --json").expect(0).json();
    assert_eq!(
        (&drill["record"]["sample"]["restored"], &drill["record"]["opening"]["by"]),
        (&3.into(), &"drill-key".into())
    );
    desk.run("check --depth index").expect(0);
    desk.run("drill verify").expect(0);
    sandbox.shutdown().await;
}

/// On servers that nobody here wrote: moto as source and, through a role of another account, as target; SeaweedFS as copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_regional_outage_on_moto_and_seaweedfs_with_a_quorum_and_without_anybody() {
    let (moto, seaweed) = tokio::task::block_in_place(|| (Moto::start(), Seaweed::start(None)));
    let desk = Desk::new(&moto.endpoint, "test");
    let [key, secret] = SEAWEED_KEY;
    std::fs::create_dir_all(desk.path(".aws")).unwrap();
    let profile = format!("[copy]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(desk.path(".aws/credentials"), profile).unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/moto_round_trip.py");
    let mut python = desk.command(crate::servers::program("python"));
    desk.finish(python.arg("-B").arg(&script).args(["seed", &moto.endpoint, "eu-central-1"])).expect(0);
    desk.init();
    let recipient = desk.run("drill key --json").expect(0).json()["recipient"].clone();
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let kept = config.split("[[copy]]").next().unwrap();
    let copy = format!("s3://backups/prod?region=eu-west-1&profile=copy&endpoint={}", seaweed.endpoint);
    let drill = format!(
        "[drill]\naccounts = [\"999999999999\"]\nrecipient = {recipient}\nkey = \"keys/drill.age\"\ncanaries = [\"*1\"]\n"
    );
    std::fs::write(desk.path("lifeboat.toml"), format!("{kept}{drill}\n[[copy]]\nurl = {copy:?}\n")).unwrap();
    desk.run("snapshot").expect(0);
    std::fs::rename(desk.path("repository"), desk.path("gone")).unwrap();
    let target = "[target]\naccount = \"999999999999\"\nregion = \"eu-west-1\"\nrole = \"arn:aws:iam::999999999999:role/drill\"\nprefix = \"outage/\"\n";
    let head = "scenario = \"eu-central-1 is gone\"\n[lost]\nregions = [\"eu-central-1\"]\n";
    write(&desk, "quorum", &format!("{head}{target}"));
    write(&desk, "canary", &format!("{head}{target}[restore]\nwhat = \"canaries\"\n[open]\nby = \"canary\"\n"));
    for (name, shares, least) in [("quorum", SHEETS, 120), ("canary", "", 10)] {
        let record = desk.run(&format!("drill run {name} --json {shares}")).expect(0).json()["record"].clone();
        assert!(record["sample"]["restored"].as_u64().unwrap() >= least, "{}", record["sample"]);
        assert_eq!(
            (&record["target"]["account"], &record["clean_up"]["left_over"]),
            (&"999999999999".into(), &serde_json::json!([]))
        );
        let contacted = record["isolation"]["contacted"].to_string();
        assert!(contacted.contains("s3://backups/prod") && !contacted.contains("/repository"), "{contacted}");
        assert_eq!(record["isolation"]["refused"], 2);
    }
}

/// `cargo test --test it five_thousand -- --ignored --nocapture` says how long it takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: AWS's own request quotas pace it"]
async fn five_thousand_secrets_and_three() {
    for count in [3, 5_000] {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        for number in 0..count {
            sandbox
                .control()
                .put(ACCOUNT, "eu-central-1", &format!("app/{number:04}"), &format!("value {number}"))
                .unwrap();
        }
        let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
        desk.init();
        desk.run("snapshot").expect(0);
        let begun = std::time::Instant::now();
        let drill =
            desk.run(&format!("drill run --target sandbox --json --html r.html --pdf r.pdf {SHEETS}")).expect(0).json();
        println!(
            "{count} secrets: RTO {} s, whole drill {:.0} s, page {} bytes",
            drill["record"]["rto_seconds"],
            begun.elapsed().as_secs_f64(),
            std::fs::metadata(desk.path("r.html")).unwrap().len()
        );
        assert_eq!(drill["record"]["sample"]["restored"], count);
        sandbox.shutdown().await;
    }
}

/// As processes, against a service that is meddled with between restore and comparison: what the checks look at fails the
/// drill, and only that.
#[tokio::test(flavor = "multi_thread")]
async fn a_meddled_service_fails_the_drill_that_looks_at_it() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let (target, region) = ("999999999999", "eu-west-1");
    let value = || {
        let control = sandbox.control();
        let meddle = move |_: &_| drop(control.corrupt_value(target, region, "app/api", None));
        sandbox.control().on_call("ListSecretVersionIds", 1, Box::new(meddle)).unwrap();
    };
    let version = || {
        let control = sandbox.control();
        let meddle = move |_: &_| drop(control.put(target, region, "app/api", "one more"));
        sandbox.control().on_call("CreateSecret", 2, Box::new(meddle)).unwrap();
    };
    let secret = || {
        let kind = FaultKind::Error { code: "ResourceNotFoundException".into(), message: String::new() };
        sandbox.control().add_fault(Fault {
            operation: Some("DescribeSecret".into()),
            secret: Some("app/api".into()),
            account: Some(target.into()),
            region: None,
            when: FaultWhen::Always,
            kind,
        });
    };
    let meddlings: [(&dyn Fn(), &str, i32); 6] = [
        (&value, "\"values\"", 3),
        (&value, "\"labels\"", 0),
        (&version, "\"ids\", \"tags\"", 3),
        (&version, "\"labels\"", 3),
        (&secret, "\"values\"", 3),
        (&secret, "\"labels\", \"tags\"", 3),
    ];
    for (place, (meddle, run, code)) in meddlings.into_iter().enumerate() {
        write(&desk, "meddled", &into_account(&format!("[checks]\nrun = [{run}]\n")));
        meddle();
        let ran = desk.run_as(target, &format!("drill run meddled --yes --json {SHEETS}")).expect(code);
        let record = ran.json()["record"].clone();
        assert_eq!(record["result"], if code == 0 { "passed" } else { "failed" }, "{place}: {run}");
        let uncaught = record["negative_controls"].as_array().unwrap().iter().filter(|it| it["state"] == "failed");
        assert_eq!(uncaught.count(), 0);
        sandbox.control().clear_faults();
        desk.run_as(target, &format!("drill run meddled --yes {SHEETS}")).expect(0);
    }
    sandbox.shutdown().await;
}
