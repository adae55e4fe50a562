//! Text that somebody else chose steers no terminal and begins no line, wherever it is planted and whatever prints it.

use std::{fs, process::Command};

use lifeboat::{
    crypto::{Namespace, Signer},
    emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions},
    model::Digest,
    repo::Epoch,
};
use serde_json::{Value as Json, json};

use crate::command::{Desk, Ran, SHEETS};

const ACCOUNT: &str = "111111111111";
const SANDBOX: &str = "999999999999";
/// Every way to steer a terminal, and a line of its own; `mark` tells where it was planted.
fn hostile(mark: &str) -> String {
    format!("{mark}\u{1b}[31m\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{8}\r\u{202e}\u{2028}\nFORGED {mark}")
}

/// Nothing that steers is in what was printed, no line was begun by others, and what was planted is there all the same.
fn clean(what: &str, ran: &Ran, marks: &[&str]) {
    for (stream, text) in [("stdout", &ran.out), ("stderr", &ran.err)] {
        let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{2028}".contains(*c));
        assert_eq!(bad, None, "{what}, {stream}:\n{text:?}");
        let forged = text.lines().find(|line| line.trim_start_matches([' ', '│', '─']).starts_with("FORGED"));
        assert_eq!(forged, None, "{what}, {stream}:\n{text}");
    }
    assert!(!ran.err.contains("bug in itself"), "{what}: {}", ran.err);
    assert_ne!(ran.code, Some(2), "{what}: {}", ran.err);
    for mark in marks {
        assert!(
            format!("{}{}", ran.out, ran.err).contains(mark),
            "{what} does not say {mark}:\n{}\n{}",
            ran.out,
            ran.err
        );
    }
}

fn plant(sandbox: &Sandbox, name: &str, more: &Json) {
    let mut secret = json!({
        "Name": name,
        "Description": hostile("description"),
        "Tags": [{ "Key": hostile("key"), "Value": hostile("tag") }],
        "Versions": [
            { "VersionId": "11111111-1111-1111-1111-111111111111", "SecretString": "v", "VersionStages": ["AWSCURRENT", hostile("label")] },
        ],
    });
    secret.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sandbox.control().seed_raw(ACCOUNT, "eu-central-1", &secret).unwrap();
}

/// Somebody who may only create files adds an epoch of their own, a copy of the first with other names.
fn foreign_epoch(desk: &Desk, repository: &str) {
    let folder = desk.path(repository).join("epochs");
    let first = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let first = first.into_iter().find(|path| path.to_string_lossy().ends_with(".json")).unwrap();
    let mut epoch: Json = serde_json::from_slice(&fs::read(first).unwrap()).unwrap();
    let root = Signer::generate();
    epoch["number"] = 2.into();
    epoch["root"] = root.public().to_string().into();
    for custodian in epoch["custodians"].as_array_mut().unwrap() {
        custodian["name"] = hostile("custodian").into();
    }
    let epoch: Epoch = serde_json::from_value(epoch).unwrap();
    let bytes = epoch.to_bytes();
    let name = format!("2-{}.json", Digest::of(&bytes));
    fs::write(folder.join(format!("{name}.sig")), root.sign(Namespace::Epoch, &bytes)).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_labels_and_reasons_of_a_provider() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    control.put(ACCOUNT, "eu-central-1", "app/api", "v").unwrap();
    plant(&sandbox, &hostile("name"), &json!({}));
    plant(&sandbox, &hostile("managed"), &json!({ "OwningService": hostile("service") }));
    plant(
        &sandbox,
        &hostile("typed"),
        &json!({ "Type": hostile("type"), "KmsKeyId": hostile("kms"), "ResourcePolicy": hostile("policy") }),
    );
    let refused = |secret: &str, operation: &str| {
        control.add_fault(Fault {
            operation: Some(operation.into()),
            secret: Some(secret.into()),
            account: None,
            region: None,
            when: FaultWhen::Always,
            kind: FaultKind::Error { code: hostile("code"), message: hostile("message") },
        });
    };
    plant(&sandbox, &hostile("unreadable"), &json!({}));
    refused(&hostile("unreadable"), "GetSecretValue");
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let run = |words: &str| {
        desk.finish(desk.command(crate::command::binary()).env_remove("RUST_LOG").args(words.split_whitespace()))
    };
    clean("snapshot", &run("snapshot"), &["unreadable"]);
    clean("snapshot, again", &run("snapshot --json"), &[]);
    for (words, marks) in [
        ("list", &[][..]),
        ("list --json", &[]),
        ("show", &["name"]),
        ("show --json", &["name", "label"]),
        ("diff", &[]),
        ("diff --json", &[]),
        ("check --depth index", &[]),
        ("status", &[]),
        ("status --json", &[]),
        ("doctor", &[]),
        ("doctor --json", &[]),
        ("restore --to aws:eu-west-1 --plan", &["name"]),
        ("restore --to aws:eu-west-1 --plan --json", &["name"]),
        ("forget --keep-last 1 --plan", &[]),
    ] {
        clean(words, &run(words), marks);
    }
    clean("restore", &run(&format!("restore --to aws:eu-west-1 --yes {SHEETS}")), &[]);
    clean("restore, json", &run(&format!("restore --to aws:eu-west-1 --yes --json {SHEETS}")), &[]);
    control.add_fault(Fault {
        operation: Some("ListSecrets".into()),
        secret: None,
        account: None,
        region: None,
        when: FaultWhen::Always,
        kind: FaultKind::Error { code: hostile("code"), message: hostile("message") },
    });
    for words in ["snapshot", "snapshot --json", "diff"] {
        clean(words, &run(words), &["code"]);
    }
    clean("doctor", &run("doctor"), &[]);
    // With every log line on.
    clean("snapshot, traced", &desk.run("snapshot"), &["code"]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_epochs_of_a_repository() {
    let sandbox = crate::cli::estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    foreign_epoch(&desk, "repository");
    foreign_epoch(&desk, "west");
    for (folder, name) in
        [("snapshots/0", "a"), ("packs", "b"), ("forgotten", "c"), ("drills", "d"), ("epochs", "e"), (".", "f")]
    {
        let folder = desk.path("repository").join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}\u{1b}[31m\u{202e}\nFORGED.json")), "x").unwrap();
    }
    let few = "--share sheets/01-ana.txt";
    let plan = format!("restore --repo repository --to aws:eu-west-1 --plan {few}");
    clean("a quorum", &desk.run(&plan).expect(5), &[]);
    for (words, marks) in [
        ("check", &["FORGED.json"][..]),
        ("check --json", &["FORGED.json"]),
        ("list", &[]),
        ("status", &[]),
        ("show", &[]),
        ("snapshot", &[]),
        ("copy", &[]),
        ("custody verify sheets/01-ana.txt", &[]),
        ("doctor", &[]),
        ("forget --keep-last 1 --plan", &[]),
        ("drill list", &[]),
    ] {
        clean(words, &desk.run(words), marks);
    }
    clean("restore", &desk.run(&format!("restore --repo repository --to aws:eu-west-1 --yes {SHEETS}")), &[]);
    let recover = desk.path("repository/recover.py");
    let mut python = Command::new("python3");
    python.arg(recover).args(["verify", "repository"]).current_dir(desk.folder.path());
    clean("recover.py", &desk.finish(&mut python), &[]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drill_file_says_reaches_its_record_page_and_list() {
    let sandbox = crate::cli::estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    fs::create_dir_all(desk.path("drills")).unwrap();
    let quoted = |mark: &str| {
        serde_json::to_string(&format!("<script>{}</script>", hostile(mark))).unwrap().replace('\u{7f}', "\\u007f")
    };
    let text = format!(
        "scenario = {}\nowner = {}\napprover = {}\nticket = {}\n[target]\naccount = \"{SANDBOX}\"\nregion = \"eu-west-1\"\n",
        quoted("scenario"),
        quoted("owner"),
        quoted("approver"),
        quoted("ticket"),
    );
    fs::write(desk.path("drills/odd.toml"), text).unwrap();
    let run = |words: &str| desk.run_as(SANDBOX, words);
    clean("drill run", &run(&format!("drill run odd --yes --html page.html {SHEETS}")), &[]);
    for words in [
        "drill list",
        "drill list --json",
        "status",
        "status --json",
        "drill show latest",
        "drill show latest --json",
        "drill verify",
    ] {
        clean(words, &desk.run(words), &[]);
    }
    if let Ok(page) = fs::read_to_string(desk.path("page.html")) {
        assert!(!page.contains("<script>scenario") && !page.contains("<script>owner"), "a script of somebody else");
        assert!(!page.contains('\u{1b}'), "a page holds no control characters");
    }
    sandbox.shutdown().await;
}
