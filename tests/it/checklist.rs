//! The boxes of docs/checklist.md that are ticked before an emergency: each command is run, and what proves it is there.

use std::path::Path;

use lifeboat::emulator::{Sandbox, SandboxOptions};

use crate::command::{Desk, SHEETS};

const ACCOUNT: &str = "111111111111";

/// The boxes of the page: what, the command without the program's name, the proof.
fn boxes() -> Vec<(String, String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checklist.md");
    let page = std::fs::read_to_string(page).unwrap();
    let table = page.split("## Before an emergency").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    cells
        .map(|cells| {
            let [what, command, proof] = cells[..] else { panic!("three cells: {cells:?}") };
            let command = command.trim_matches('`').strip_prefix("lifeboat ").unwrap();
            (what.to_owned(), command.to_owned(), proof.to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_box_has_a_command_that_proves_it() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "value").unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("copy").expect(0);
    desk.run_as("999999999999", &format!("drill run --to aws:eu-west-1 {SHEETS} --yes")).expect(0);
    let boxes = boxes();
    assert_eq!(boxes.len(), 10);
    for (what, command, proof) in boxes {
        let ran = desk.run(&command);
        // Nobody has a trail here, and the report says so.
        let expected = if command == "access report" { 3 } else { 0 };
        assert_eq!(ran.code, Some(expected), "{what}: `lifeboat {command}`: {} {}", ran.out, ran.err);
        assert!(proof.contains("exit code 0") || ran.out.contains("AWSTemplateFormatVersion"), "{what}: {}", ran.out);
    }
    // A box that nothing proves is not ticked: a copy that lost a file, a history that lost its head, a cut trail.
    let lost = crate::command::files(&desk.path("west/packs"))[0].0.clone();
    std::fs::remove_file(desk.path("west/packs").join(&lost)).or_else(|_| std::fs::remove_file(&lost)).unwrap();
    assert_ne!(desk.run("check --repo west").code, Some(0));
    std::fs::remove_dir_all(desk.path("repository/audit")).unwrap();
    assert_ne!(desk.run("audit verify").code, Some(0));
    sandbox.shutdown().await;
}
