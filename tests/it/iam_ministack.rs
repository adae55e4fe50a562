//! The printed policies on a server that evaluates IAM policies and that nobody here wrote.

use std::path::Path;

use serde_json::Value as Json;

use crate::{
    command::{Desk, Ran},
    servers::{self, Ministack},
};

const REGION: &str = "eu-central-1";

/// The checks of a `doctor --json` that are in this state.
fn in_state(ran: &Ran, state: &str) -> Vec<String> {
    let all = ran.json()["checks"].as_array().unwrap().clone();
    let found = all.iter().filter(|check| check["state"] == state);
    found.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

/// The policy with one action taken out of it.
fn without(policy: &Json, action: &str) -> Json {
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        if let Some(actions) = statement["Action"].as_array_mut() {
            actions.retain(|known| known != action);
        }
    }
    policy
}

#[test]
fn the_printed_policies_are_enough_and_what_they_lack_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start(folder.path());
    let desk = Desk::new(&ministack.endpoint, "test");
    desk.init();
    let policy = |words: &str| -> Json {
        let ran = desk.run(&format!("doctor --account 000000000000 --policy {words}")).expect(0);
        serde_json::from_str(&ran.out).expect("a policy as IAM takes it")
    };
    let backup = policy("backup");
    let restore = policy(&format!("restore --to aws:{REGION}"));
    let drill = policy(&format!("drill --to aws:{REGION} --name-prefix drill/"));
    let mut users = Vec::new();
    for (name, policy) in [
        ("backup", &backup),
        ("restore", &restore),
        ("drill", &drill),
        ("blind", &without(&backup, "secretsmanager:GetResourcePolicy")),
    ] {
        std::fs::write(desk.path(name), policy.to_string()).unwrap();
        users.push(format!("{name}={name}"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/iam_user.py");
    let mut command = desk.command(servers::program("python"));
    command.arg("-B").arg(script).args([ministack.endpoint.as_str(), REGION]).args(&users);
    let keys: Json = serde_json::from_str(&desk.finish(&mut command).expect(0).out).unwrap();
    let run = |user: &str, words: &str| {
        desk.run_with(keys[user][0].as_str().unwrap(), keys[user][1].as_str().unwrap(), words)
    };

    let well = run("backup", "doctor --json").expect(0);
    assert!(in_state(&well, "ok").contains(&"GetSecretValue".to_owned()));
    let snapshot = run("backup", "snapshot --json").expect(0).json();
    assert_eq!(snapshot["counts"]["captured"], 3, "the least policy is enough for a snapshot");

    let blind = run("blind", "doctor --json").expect(3);
    assert_eq!(in_state(&blind, "wrong"), ["GetResourcePolicy"], "exactly what is lacking is named");
    let partial = run("blind", "snapshot --full --json").expect(3);
    assert!(partial.err.contains("GetResourcePolicy"), "{}", partial.err);

    let target = format!("doctor --json --to aws:{REGION}");
    let denied = in_state(&run("backup", &target).expect(3), "wrong");
    for write in ["CreateSecret", "TagResource", "PutSecretValue", "UpdateSecretVersionStage", "PutResourcePolicy"] {
        assert!(denied.contains(&write.to_owned()), "a backup host may not {write}: {denied:?}");
    }
    let allowed = run("restore", &target);
    assert_eq!(in_state(&allowed, "wrong"), Vec::<String>::new(), "{}", allowed.out);

    let sandbox = format!("{target} --drill");
    assert!(in_state(&run("restore", &sandbox).expect(3), "wrong").contains(&"DeleteSecret".to_owned()));
    let beyond = in_state(&run("drill", &sandbox).expect(3), "wrong");
    assert!(beyond.contains(&"CreateSecret".to_owned()), "a drill stays within its names: {beyond:?}");
}
