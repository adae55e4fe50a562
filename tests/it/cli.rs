//! The subcommands by hand, against the embedded sandbox.

use lifeboat::emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions, WriteCall};

use crate::command::{Desk, SHEETS, binary};

const ACCOUNT: &str = "111111111111";

/// A sandbox with a small estate, seeded by boto3-like raw values through the control.
pub async fn estate() -> Sandbox {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    for (name, values) in [("app/database", vec!["one", "two", "three", "four"]), ("app/api", vec!["key"])] {
        for value in values {
            control.put(ACCOUNT, "eu-central-1", name, value).unwrap();
        }
    }
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_by_hand() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let snapshot = desk.run("snapshot --json").expect(0).json();
    assert_eq!(snapshot["counts"]["captured"], 2);
    assert_eq!(snapshot["counts"]["values_read"], 5);
    assert_eq!(snapshot["copies"][0]["ok"], true);
    assert_eq!(desk.run("snapshot --json").expect(0).json()["counts"]["values_carried"], 5);
    assert_eq!(desk.run("list --json").expect(0).json()["snapshots"].as_array().unwrap().len(), 2);
    let shown = desk.run("show").expect(0).out;
    assert!(shown.contains("app/database") && shown.contains("AWSPREVIOUS"), "{shown}");
    desk.run("check").expect(0);
    desk.run("check --depth index").expect(0);
    let values = desk.run(&format!("check --json --depth values {SHEETS}")).expect(0).json();
    assert_eq!(values["values"], 5);
    desk.run("copy").expect(0);

    sandbox.control().set_region_down("eu-central-1", true);
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    std::fs::remove_file(desk.path("lifeboat.toml")).unwrap();
    let restore = format!("restore --repo west --to aws:eu-west-1 {SHEETS}");
    let plan = desk.run(&format!("{restore} --plan --json")).expect(0).json();
    assert_eq!(plan["secrets"].as_array().unwrap().len(), 2);
    desk.run(&restore).expect(2).says("confirmation");
    let restored = desk.run(&format!("{restore} --yes --json")).expect(0).json();
    assert_eq!(restored["verification"]["values"], 5);
    assert_eq!(restored["complete"], true);
    let again = desk.run(&format!("{restore} --yes --json")).expect(0).json();
    assert_eq!(again["writes"], 0, "nothing is written twice");
    let writes = sandbox.control().writes();
    let bad = |call: &&WriteCall| call.rotates_at_once || call.by_force || call.region == "eu-central-1";
    assert_eq!(writes.iter().filter(bad).count(), 0, "{writes:?}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_leaves_a_record_that_ssh_keygen_accepts() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run(&format!("drill run --to aws:us-east-1 {SHEETS}")).expect(4).says("another account");
    let drill = desk.run_as("999999999999", &format!("drill run --json --to aws:us-east-1 {SHEETS}")).expect(0).json();
    assert_eq!(drill["record"]["result"], "passed");
    assert_eq!(drill["record"]["clean_up"]["destroyed"], 2);
    let writes = sandbox.control().writes();
    let bad = |call: &&WriteCall| call.rotates_at_once || call.account != "999999999999";
    assert_eq!(writes.iter().filter(bad).count(), 0, "a drill writes to its sandbox alone: {writes:?}");
    desk.run("drill list").expect(0);
    desk.run("drill verify").expect(0);
    let file = desk.path("repository").join(drill["file"].as_str().unwrap());
    std::fs::write(desk.path("allowed"), format!("host {}\n", drill["record"]["signer"].as_str().unwrap())).unwrap();
    let verify = |namespace: &str| {
        let mut command = desk.command("ssh-keygen");
        command.args(["-Y", "verify", "-f", "allowed", "-I", "host", "-n", namespace, "-s"]);
        command.arg(format!("{}.sig", file.display())).stdin(std::fs::File::open(&file).unwrap());
        desk.finish(&mut command)
    };
    verify("lifeboat-drill").expect(0);
    assert_ne!(verify("lifeboat-manifest").code, Some(0), "a signature counts for one purpose");

    let text = std::fs::read_to_string(&file).unwrap().replace("\"passed\"", "\"failed\"");
    std::fs::write(&file, text).unwrap();
    desk.run("drill verify").expect(4);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_denied_secret_is_named_and_the_rest_captured() {
    let sandbox = estate().await;
    sandbox.control().add_fault(Fault {
        operation: Some("GetSecretValue".into()),
        secret: Some("app/api".into()),
        account: None,
        region: None,
        when: FaultWhen::Always,
        kind: FaultKind::Error { code: "AccessDeniedException".into(), message: "not authorized".into() },
    });
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let ran = desk.run("snapshot --json").expect(3);
    assert!(ran.err.contains("app/api") && ran.err.contains("AccessDeniedException"), "{}", ran.err);
    let report = ran.json();
    assert_eq!((&report["counts"]["captured"], &report["counts"]["unreadable"]), (&1.into(), &1.into()));
    assert_eq!(report["complete"], false);
    let shown = desk.run("show").expect(3).out;
    assert!(shown.contains("NOT CAPTURED: AccessDeniedException"), "{shown}");
    let restored = desk.run(&format!("restore --repo west --to aws:eu-west-1 --yes {SHEETS}")).expect(3);
    assert!(restored.err.contains("CANNOT"), "{}", restored.err);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_and_an_interrupted_one() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    sandbox.control().set_latency(std::time::Duration::from_secs(2));
    let mut first = desk.command(binary()).arg("snapshot").stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    desk.run("snapshot").expect(7).says("another run");
    let pid = first.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(first.wait().unwrap().code(), Some(130));
    sandbox.control().set_latency(std::time::Duration::ZERO);
    assert_eq!(desk.run("list --json").expect(0).json()["snapshots"].as_array().unwrap().len(), 0);
    desk.run("snapshot").expect(0);
    desk.run("check --depth index").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_overwrites_nothing() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    let init = |more: &str| {
        desk.run(&format!(
            "init --source aws:eu-central-1 --threshold 2 --custodian A --custodian B --custodian C --yes {more}"
        ))
    };
    init("--sheets sheets").expect(2).says("no repository");
    init("--repo repository --sheets sheets --config one.toml").expect(0);
    init("--repo repository --sheets other --config two.toml").expect(4).says("already");
    init("--repo second --sheets sheets --config two.toml").expect(4).says("not empty");
    init("--repo second --sheets other --config one.toml").expect(4).says("already");
    desk.run("init --repo r --source aws:eu-central-1 --threshold 4 --custodian A --custodian B --sheets s --config elsewhere/c.toml --yes")
        .expect(2)
        .says("threshold 4 of 2");
    assert!(!desk.path("second").exists() && !desk.path("r").exists() && !desk.path("s").exists());
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_holds_and_its_comparison_can_fail() {
    let desk = Desk::offline(ACCOUNT);
    let demo = desk.run("demo --json --out good").expect(0).json();
    assert_eq!(demo["complete"], true);
    assert!(demo["verification"]["values"].as_u64().unwrap() > 40);
    assert_eq!(demo["drill"]["result"], "passed");
    let broken = desk.run("demo --out broken --break value").expect(3);
    let planted = broken.err.lines().find(|line| line.contains("planted")).unwrap();
    let version = planted.rsplit(' ').next().unwrap();
    let named = format!("orrange-p2p/database/production version {version}: value differs");
    assert!(broken.err.contains(&named), "{}", broken.err);
    assert!(broken.out.contains("FAILED"), "{}", broken.out);
    let crossed = broken.err.lines().skip_while(|line| !line.contains("across kinds")).nth(1);
    assert!(
        crossed.is_some_and(|line| line.contains("8 versions and 8 values compared with the snapshot: all equal")),
        "{}",
        broken.err
    );
}

#[test]
fn help_reference_and_pages_are_true() {
    let desk = Desk::offline(ACCOUNT);
    let mut reference =
        String::from("# Command line\n\nMade from the program's own help; a test holds the two together.\n");
    let mut command = lifeboat::cli::command();
    command.build();
    write_reference(&command, "", &mut reference);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::fs::read_to_string(&path).unwrap_or_default() != reference {
        std::fs::write(&path, &reference).unwrap();
        panic!("docs/cli.md was out of date and has been written anew: look at it and commit it");
    }
    // Where kinds are listed, all are.
    let count = |form: &str| reference.matches(&format!("`{form}")).count();
    let of_azure = count("azure:VAULT`");
    assert!(of_azure > 2 && of_azure == count("gcp:PROJECT`") && of_azure == count("vault:https://HOST/MOUNT`"));
    assert!(desk.run("completions bash").expect(0).out.contains("lifeboat"));
    desk.run("man --out man").expect(0);
    assert!(desk.path("man/lifeboat-restore.1").exists());
    desk.run("--version").expect(0);
    desk.run("").expect(2);
    desk.run("restore --to fax:europe").expect(2);
}

fn write_reference(command: &clap::Command, prefix: &str, reference: &mut String) {
    let name = format!("{prefix}{}", command.get_name());
    let help = command.clone().bin_name(&name).term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    reference.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write_reference(sub, &format!("{name} "), reference);
    }
}
