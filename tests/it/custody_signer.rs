//! A backup host that is new, and one that is not trusted any more: the same sheets, other signers.

use std::collections::BTreeSet;

use lifeboat::emulator::Sandbox;
use serde_json::{Value as Json, json};

use crate::{
    cli::estate,
    command::{Desk, Ran, SHEETS, binary, files},
    emulator_wire::Wire,
};

const ACCOUNT: &str = "111111111111";

async fn desk() -> (Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.finish(desk.command("ssh-keygen").args(["-q", "-t", "ed25519", "-C", "", "-N", "", "-f", "second"])).expect(0);
    desk.finish(desk.command("ssh-keygen").args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"])).expect(0);
    (sandbox, desk)
}

fn signer(desk: &Desk, action: &str, name: &str, rest: &str) -> Ran {
    let mut command = desk.command(binary());
    command.args(["custody", "signer", action, "--name", name]).args(rest.split_whitespace());
    desk.finish(&mut command)
}

/// Lets this desk be the host whose key that is.
fn become_host(desk: &Desk, key: &str) {
    std::fs::copy(desk.path(key), desk.path("keys/signer")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_replaced_and_the_sheets_stay_the_same() {
    let (sandbox, desk) = desk().await;
    desk.run("custody verify sheets/02-bo.txt").expect(0);
    std::fs::copy(desk.path("keys/signer"), desk.path("first")).unwrap();
    let added = signer(&desk, "add", "backup-2", &format!("--key second.pub --yes --json {SHEETS}")).expect(0).json();
    assert_eq!((&added["epoch"], added["signers"].as_array().unwrap().len()), (&2.into(), 2));
    let second = |folder: &str| {
        let names = std::fs::read_dir(desk.path(folder)).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("2-")).count()
    };
    assert_eq!(second("west/epochs"), 2, "the copies know");

    let register = desk.run("custody register --json").expect(0).json();
    let sheets = register["sheets"].as_array().unwrap();
    assert!(sheets.len() == 5 && sheets.iter().all(|sheet| sheet["epoch"] == 2 && sheet["current"] == true));
    assert!(!sheets[1]["last_proof"].is_null(), "a proof from before still counts");
    assert!(desk.run("custody verify sheets/04-dee.pdf").expect(0).out.contains("intact, current"));
    desk.run("check").expect(0);
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    become_host(&desk, "second");
    assert_eq!(desk.run("snapshot --json").expect(0).json()["counts"]["values_carried"], 5);

    signer(&desk, "remove", "backup host", &format!("--yes {SHEETS}")).expect(0);
    let left = desk.run("custody signer list --json").expect(0).json();
    assert_eq!((left["signers"].as_array().unwrap().len(), &left["signers"][0]["name"]), (1, &"backup-2".into()));
    desk.run("snapshot").expect(0);
    become_host(&desk, "first");
    desk.run("snapshot").expect(4).says("not allowed by key epoch 3");
    desk.run("check").expect(0);
    desk.run(&format!("restore --repo west --to aws:eu-west-1 --yes {SHEETS}")).expect(0);

    become_host(&desk, "second");
    let new = "--threshold 2 --custodian Ana --custodian Bo --custodian Fay --sheets new --yes";
    desk.run(&format!("custody reshare {new} {SHEETS}")).expect(0);
    desk.run("custody reshare --confirm --share new").expect(0);
    assert!(desk.run("custody verify sheets/04-dee.txt").expect(5).out.contains("RETIRED"));
    assert_eq!(desk.run("custody register --json").expect(0).json()["sheets"].as_array().unwrap().len(), 3 + 5);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_signers_that_cannot_be_is_refused_and_changes_nothing() {
    let (sandbox, desk) = desk().await;
    let few = "--share sheets/02-bo.txt --share sheets/04-dee.txt";
    for (action, name, rest, code) in [
        ("add", "second", format!("--key second.pub --yes {few}"), 5),
        ("add", "second", format!("--key second.pub {SHEETS}"), 2),
        ("add", "second", format!("--key rsa.pub --yes {SHEETS}"), 2),
        ("add", "second", format!("--key second --yes {SHEETS}"), 2),
        ("add", "backup host", format!("--key second.pub --yes {SHEETS}"), 2),
        ("remove", "backup host", format!("--yes {SHEETS}"), 2),
        ("remove", "nobody", format!("--yes {SHEETS}"), 2),
    ] {
        signer(&desk, action, name, &rest).expect(code);
    }
    let new = "--threshold 2 --custodian Ana --custodian Bo --custodian Fay --sheets new --yes";
    desk.run(&format!("custody reshare {new} {SHEETS}")).expect(0);
    let busy = signer(&desk, "add", "second", &format!("--key second.pub --yes {SHEETS}"));
    busy.expect(4).says("wait to be read back");
    assert_eq!(std::fs::read_dir(desk.path("repository/epochs")).unwrap().count(), 2);
    sandbox.shutdown().await;
}

/// Copies a folder with everything below it.
fn copied(desk: &Desk, from: &str, to: &str) {
    desk.finish(desk.command("cp").args(["-r", from, to])).expect(0);
}

fn renamed(desk: &Desk, from: &str, to: &str) {
    std::fs::rename(desk.path(from), desk.path(to)).unwrap();
}

/// Paths below a folder, relative to it.
fn names(desk: &Desk, folder: &str) -> BTreeSet<String> {
    let root = desk.path(folder);
    let name = |(path, _): (std::path::PathBuf, _)| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files(&root).into_iter().map(name).collect()
}

fn kinds(faults: &Json) -> Vec<String> {
    let mut kinds: Vec<String> =
        faults.as_array().unwrap().iter().map(|fault| fault["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

/// Three snapshots by the first host; both hosts may sign, and the second has ordered snapshot 1 to be forgotten.
async fn two_hosts() -> (Sandbox, Desk) {
    let (sandbox, desk) = desk().await;
    std::fs::create_dir_all(desk.path("drills")).unwrap();
    std::fs::write(desk.path("drills/plain.toml"), "scenario = \"a test\"\n[target]\nsandbox = true\n").unwrap();
    desk.run("snapshot").expect(0);
    desk.run("snapshot").expect(0);
    std::fs::copy(desk.path("keys/signer"), desk.path("first")).unwrap();
    signer(&desk, "add", "backup-2", &format!("--key second.pub --yes {SHEETS}")).expect(0);
    become_host(&desk, "second");
    desk.run("forget --keep-last 2 --undo-days 7 --yes").expect(0);
    (sandbox, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_host_writes_counts_nowhere() {
    let (sandbox, desk) = two_hosts().await;
    copied(&desk, "repository", "before");
    copied(&desk, "state", "state-before");
    signer(&desk, "remove", "backup host", &format!("--yes {SHEETS}")).expect(0);
    desk.run("snapshot").expect(0);

    // The removed host goes on with its key and with the repository as it was.
    renamed(&desk, "repository", "now");
    renamed(&desk, "state", "state-now");
    renamed(&desk, "before", "repository");
    renamed(&desk, "state-before", "state");
    become_host(&desk, "first");
    let before = names(&desk, "repository");
    desk.run("custody verify sheets/02-bo.txt").expect(0);
    desk.run("forget --undo").expect(0);
    desk.run("forget --keep-last 1 --undo-days 7 --yes").expect(0);
    desk.run(&format!("drill run plain --yes --json {SHEETS}")).expect(0);
    desk.run("snapshot --no-copy").expect(0);
    let made: Vec<String> = names(&desk, "repository").difference(&before).cloned().collect();
    let count = |folder: &str| made.iter().filter(|name| name.starts_with(folder) && !name.ends_with(".sig")).count();
    assert_eq!(
        (count("drills"), count("attestations"), count("forgotten"), count("snapshots")),
        (1, 1, 2, 1),
        "{made:?}"
    );

    // It puts all of that into the repository as it is.
    for name in made.iter().filter(|name| !name.starts_with("turns")) {
        std::fs::create_dir_all(desk.path("now").join(name).parent().unwrap()).unwrap();
        std::fs::copy(desk.path("repository").join(name), desk.path("now").join(name)).unwrap();
    }
    renamed(&desk, "repository", "old");
    renamed(&desk, "state", "state-old");
    renamed(&desk, "now", "repository");
    renamed(&desk, "state-now", "state");
    become_host(&desk, "second");

    let status = desk.run("status --json").expect(4).json();
    let facts = &status["facts"];
    assert_eq!(kinds(&facts["drill_faults"]), ["untrusted"], "{facts}");
    assert_eq!(kinds(&facts["sheet_faults"]), ["untrusted"], "{facts}");
    assert!(facts["drill"].is_null() && facts["snapshot"]["sequence"] == 4 && facts["snapshots"] == 4, "{facts}");
    assert_eq!(facts["pending"].as_array().unwrap().len(), 1, "the honest order is in force, and no other: {facts}");
    let drills = desk.run("drill list --json").expect(4);
    assert!(drills.out.contains("untrusted") || drills.out.contains("may not sign"), "{}", drills.out);
    let register = desk.run("custody register --json").expect(4).json();
    assert!(register["sheets"].as_array().unwrap().iter().all(|sheet| sheet["last_proof"].is_null()), "{register}");
    assert_eq!(
        (kinds(&register["faults"]), kinds(&register["history"])[0].as_str()),
        (vec!["untrusted".into()], "untrusted")
    );
    assert_eq!(register["newest_snapshot"]["number"], 4);
    let listed = desk.run("list --json").expect(4).json();
    let numbers: Vec<u64> =
        listed["snapshots"].as_array().unwrap().iter().map(|each| each["sequence"].as_u64().unwrap()).collect();
    assert!(numbers.len() == 4 && (1..=4).all(|number| numbers.contains(&number)), "{listed}");
    assert_eq!(listed["pending"].as_array().unwrap().len(), 1, "{listed}");
    let there = names(&desk, "repository");
    desk.run("forget --keep-last 9 --yes").expect(4);
    assert!(there.is_subset(&names(&desk, "repository")), "nothing is removed while something is forged");
    for name in made.iter().filter(|name| name.starts_with("snapshots")) {
        std::fs::remove_file(desk.path("repository").join(name)).unwrap();
    }
    desk.run("forget --keep-last 9 --yes").expect(0);
    let left = names(&desk, "repository");
    assert_eq!(left.iter().filter(|name| name.starts_with("snapshots") && !name.ends_with(".sig")).count(), 4);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_dated_next_year_proves_nothing() {
    let (sandbox, desk) = desk().await;
    desk.run("custody verify sheets/02-bo.txt").expect(0);
    let (path, bytes) = files(&desk.path("repository/attestations"))
        .into_iter()
        .find(|(path, _)| path.extension().unwrap() == "json")
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let time = text.split("\"time\": \"").nth(1).unwrap()[..20].to_owned();
    let year = time[..4].parse::<u32>().unwrap();
    let ahead = time.replacen(&year.to_string(), &(year + 1).to_string(), 1).replace("02-29", "02-28");
    let name = path.file_name().unwrap().to_str().unwrap();
    let planned = path.with_file_name(name.replacen(&name[..16], &ahead.replace(['-', ':'], ""), 1));
    std::fs::write(&planned, text.replace(&time, &ahead)).unwrap();
    let sign = ["-Y", "sign", "-q", "-n", "lifeboat-audit", "-f", "keys/signer", planned.to_str().unwrap()];
    desk.finish(desk.command("ssh-keygen").args(sign)).expect(0);
    let register = desk.run("custody register --json").expect(4).json();
    assert_eq!(kinds(&register["faults"]), ["untrusted"], "{register}");
    assert!(register["faults"][0]["detail"].as_str().unwrap().contains("in the future"), "{register}");
    assert!(register["sheets"][1]["last_proof"].as_str().unwrap().starts_with(&time[..10]), "{register}");
    let status = desk.run("status --json").expect(4).json();
    assert_eq!(kinds(&status["facts"]["sheet_faults"]), ["untrusted"], "{status}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_after_a_number_cuts_what_the_thief_made() {
    let (sandbox, desk) = two_hosts().await;
    let after = |number: &str| signer(&desk, "remove", "backup host", &format!("--after {number} --yes {SHEETS}"));
    after("4").expect(2).says("there is no snapshot number 4");
    let removed = after("2").expect(0);
    assert!(removed.err.contains("keeps 2 snapshots up to number 2"), "{}", removed.err);
    let listed = desk.run("list --json").json();
    let numbers: Vec<&Json> = listed["snapshots"].as_array().unwrap().iter().map(|each| &each["sequence"]).collect();
    assert!(numbers.len() == 2 && numbers.contains(&&1.into()) && numbers.contains(&&2.into()), "{listed}");
    assert!(kinds(&listed["faults"]).contains(&"untrusted".to_owned()), "{listed}");
    // The thief's file is still there and is named; nobody remembers it as the head any more, and the days go on.
    assert!(!kinds(&listed["faults"]).contains(&"rolled_back".to_owned()), "{listed}");
    desk.run(&format!("restore --to aws:eu-west-1 --plan {SHEETS}")).expect(4);
    let next = desk.run("snapshot --json").expect(3).json();
    assert_eq!(next["sequence"], 3, "{next}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_the_trust_of_before_a_rotation_seals_nothing() {
    let (sandbox, desk) = desk().await;
    let config = std::fs::read(desk.path("lifeboat.toml")).unwrap();
    let new = "--threshold 2 --custodian Ana --custodian Bo --sheets new --yes";
    desk.run(&format!("custody rotate {new}")).expect(0);
    desk.run("custody rotate --confirm --share new").expect(0);
    std::fs::write(desk.path("lifeboat.toml"), config).unwrap();
    let mut wire = Wire::connect_as(sandbox.address(), ACCOUNT, "eu-central-1").await;
    wire.ok("CreateSecret", json!({ "Name": "app/new", "SecretString": "new" })).await;
    // But for the entry of the run itself.
    let written = || {
        let all = files(&desk.path("repository"));
        all.into_iter().filter(|(path, _)| !path.to_string_lossy().contains("/audit/")).collect::<Vec<_>>()
    };
    let there = written();
    sandbox.control().reset_calls();
    desk.run("snapshot").expect(4).says("newer key");
    assert!(written() == there, "nothing is sealed, and nothing written");
    assert!(!sandbox.control().calls().iter().any(|(name, _)| name == "GetSecretValue"), "and no value is read");
    sandbox.shutdown().await;
}
