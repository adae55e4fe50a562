//! `lifeboat status`: one screen, one exit code, and who holds the good head.

use std::{path::Path, time::Duration};

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary},
};

const ACCOUNT: &str = "111111111111";

fn texts(status: &serde_json::Value) -> Vec<String> {
    let findings = status["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|found| format!("{}: {}", found["subject"].as_str().unwrap(), found["text"].as_str().unwrap()))
        .collect()
}

/// Takes the newest snapshot's manifest and signature away, as someone who can write to the storage would.
pub fn roll_back(repository: &Path) {
    let mut names: Vec<_> =
        std::fs::read_dir(repository.join("snapshots/0")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort_by_key(|path| {
        let manifest = std::fs::read_to_string(path).unwrap();
        let of = |path: &Path| -> u64 {
            let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            json["sequence"].as_u64().unwrap()
        };
        if manifest.starts_with('{') { of(path) } else { of(&path.with_extension("")) }
    });
    for path in names.iter().rev().take(2) {
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_goes_from_nothing_to_all_is_well() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let status = desk.run("status --json").expect(0).json();
    let found = texts(&status);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(status["findings"].as_array().unwrap().iter().all(|found| found["due"].is_string()), "{status}");
    assert!(found[0].starts_with("snapshot: there is no snapshot") && found[1].starts_with("copy: "), "{found:?}");
    desk.run("snapshot").expect(0);
    desk.run("snapshot --no-copy").expect(0);
    let found = texts(&desk.run("status --json").expect(0).json());
    assert!(found.len() == 1 && found[0].starts_with("drill: no drill was run yet, due by "), "{found:?}");
    desk.run_as("999999999999", &format!("drill run --to aws:us-east-1 {SHEETS}")).expect(0);
    let screen = desk.run("status").expect(0).out;
    for words in [
        "number 2",
        "complete: 2 of 2",
        "agrees with 3 heads",
        "1 snapshot behind",
        "passed",
        "5 in force, 0 due",
        "all is well",
    ] {
        assert!(screen.contains(words), "{words} in\n{screen}");
    }
    // Needs no key at all.
    std::fs::remove_dir_all(desk.path("keys")).unwrap();
    desk.run("status").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_refused_by_name_and_the_good_head_is_shown() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    for _ in 0..3 {
        desk.run("snapshot").expect(0);
    }
    roll_back(&desk.path("repository"));
    let found = texts(&desk.run("status --json").expect(4).json());
    assert!(
        found[0]
            .contains("rolled back: the newest snapshot is number 2, number 3 is known to this host and the copy at"),
        "{found:?}"
    );
    assert!(found[0].contains("the good head, number 3, is in the copy at") && found[0].contains("west"), "{found:?}");
    let checked = desk.run("check --json").expect(4).json();
    assert_eq!(checked["faults"][0]["kind"], "rolled_back", "{checked}");
    desk.run("snapshot").expect(4).says("rolled back");

    // Without the host's memory the copy alone gives it away; without any copy the memory does.
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    desk.run("check").expect(4);
    // A copy that is rolled back is held to what this host saw there.
    desk.run("check --repo west").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_rolled_back_is_held_to_what_was_seen_there() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("snapshot").expect(0);
    roll_back(&desk.path("west"));
    let status = desk.run("status --json").expect(4).json();
    assert!(
        texts(&status)[0].contains("west: snapshots: rolled_back: rolled back: the newest snapshot is number 1"),
        "{status}"
    );
    desk.run("check").expect(0);
    let west = desk.path("west").display().to_string();
    desk.run(&format!("check --repo {west}")).expect(4);
    std::fs::remove_dir_all(desk.path("west")).unwrap();
    let status = desk.run("status --json").expect(3).json();
    assert!(texts(&status)[0].contains("there is no repository"), "{status}");
    assert_eq!(status["facts"]["copies"][0]["newest"]["sequence"], 2, "as last seen");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_say_when_nothing_is_known() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("status --prometheus lifeboat.prom").expect(0);
    let text = std::fs::read_to_string(desk.path("lifeboat.prom")).unwrap();
    assert!(
        text.contains("\nlifeboat_status_exit_code 0\n") && text.contains("\nlifeboat_snapshot_sequence 1\n"),
        "{text}"
    );
    std::fs::rename(desk.path("repository"), desk.path("gone")).unwrap();
    desk.run("status --prometheus lifeboat.prom").expect(1);
    let text = std::fs::read_to_string(desk.path("lifeboat.prom")).unwrap();
    assert!(text.contains("\nlifeboat_status_exit_code 1\n") && !text.contains("sequence"), "{text}");
    desk.run("status --prometheus no/such/folder/x").expect(1);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_at_work_is_seen_and_a_lock_left_behind_is_none() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    sandbox.control().set_latency(Duration::from_secs(3));
    let mut first = desk.command(binary()).arg("snapshot").stderr(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(desk.run("status --json").json()["facts"]["running"], true);
    first.kill().unwrap();
    first.wait().unwrap();
    sandbox.control().set_latency(Duration::ZERO);
    assert!(
        desk.path("state").read_dir().unwrap().any(|entry| entry
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "lock"))
    );
    assert_eq!(desk.run("status --json").json()["facts"]["running"], false);
    desk.run("snapshot").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_damaged_drill_record_is_told() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run_as("999999999999", &format!("drill run --to aws:us-east-1 {SHEETS}")).expect(0);
    desk.run("status").expect(0);
    let found = crate::command::files(&desk.path("repository/drills"));
    let (path, whole) = found.into_iter().find(|(path, _)| path.extension().unwrap() == "json").unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let other = String::from_utf8(whole.clone()).unwrap().replacen("\"sequence\": 1", "\"sequence\": 7", 1);
    assert!(other.as_bytes() != whole);
    let signature = path.with_extension("json.sig");
    let signed = std::fs::read(&signature).unwrap();
    let cases: [(&str, i32, Box<dyn Fn() + '_>); 4] = [
        ("untrusted", 4, Box::new(|| std::fs::write(&path, &other).unwrap())),
        ("unsigned", 4, Box::new(|| std::fs::remove_file(&signature).unwrap())),
        ("damaged", 6, Box::new(|| std::fs::write(&path, b"{").unwrap())),
        ("damaged", 6, Box::new(|| std::fs::write(&path, vec![b' '; (16 << 20) + 1]).unwrap())),
    ];
    for (kind, exit, spoil) in cases {
        spoil();
        let status = desk.run("status --json").expect(exit).json();
        let fault = &status["facts"]["drill_faults"][0];
        assert_eq!((&fault["kind"], &fault["file"]), (&kind.into(), &format!("drills/{name}").into()), "{status}");
        assert!(desk.run("status").expect(exit).out.contains(&format!("drill: drills/{name}: {kind}")));
        assert_ne!(desk.run("drill verify").code, Some(0));
        std::fs::write(&path, &whole).unwrap();
        std::fs::write(&signature, &signed).unwrap();
        desk.run("drill verify").expect(0);
    }
    sandbox.shutdown().await;
}
