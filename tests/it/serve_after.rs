//! What a server holds while it runs, and what becomes of it when its snapshot goes.

use lifeboat::emulator::{Sandbox, SandboxOptions};

use crate::{
    command::{Desk, SHEETS},
    serve::Outage,
    servers::program,
};

const ACCOUNT: &str = "111111111111";
const NAME: &str = "orrange-p2p/only";
const VALUE: &str = "planted-first-5d20aa";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_forgotten_while_it_is_served_gives_no_wrong_value() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(ACCOUNT, "eu-central-1", NAME, VALUE).unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let outage = Outage { desk };
    let glass = outage.serve_of("repository");
    let grant = outage.grant("--secrets orrange-p2p/* --for 1h");
    // What a forgetting does in the end: the packs go that nothing newer needs.
    let packs = crate::command::files(&outage.desk.path("repository/packs"));
    assert_eq!(packs.len(), 1);
    for (pack, _) in packs {
        std::fs::remove_file(pack).unwrap();
    }
    let words =
        format!("secretsmanager get-secret-value --region us-east-1 --secret-id {NAME} --query Name --output text");
    let mut client = outage.client(&program("aws"), &grant);
    let read = client.env("AWS_MAX_ATTEMPTS", "1").args(words.split_whitespace()).output().unwrap();
    let said = String::from_utf8_lossy(&read.stderr).into_owned();
    assert!(!read.status.success() && said.contains("the value cannot be read from the snapshot"), "{said}");
    // What needs no value is still answered, and the server stops in order.
    let words =
        format!("secretsmanager describe-secret --region us-east-1 --secret-id {NAME} --query Name --output text");
    assert!(outage.client(&program("aws"), &grant).args(words.split_whitespace()).output().unwrap().status.success());
    let log = glass.audit();
    assert_eq!(glass.stop(), Some(0));
    let report = outage.desk.run(&format!("break-glass report {} --json", log.display())).expect(0).json();
    assert_eq!(report["rotate"].as_array().unwrap().len(), 0, "no value left");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_is_in_memory_before_it_is_asked_for_and_none_can_reach_the_disk() {
    let outage = Outage::new().await;
    let glass = outage.serve("");
    let process = format!("/proc/{}", glass.child.id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "no core dump: {core}");
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap().trim();
    assert_ne!(locked, "0 kB", "the key is in locked memory");
    // Only a privileged process can look; where this one can, no value is there yet.
    if let Some(found) = crate::process_memory::holds(glass.child.id(), crate::serve::VALUE.as_bytes()) {
        assert!(!found, "a pack was opened that nobody asked for");
    }
    assert_eq!(glass.stop(), Some(0));
    let words = format!("break-glass report --json {SHEETS}");
    assert_eq!(outage.desk.run(&words).expect(0).json()["seal"]["is_closed"], true);
}
