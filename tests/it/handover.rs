//! Sheets that do not become files in the clear: sealed to a custodian's own key, or given to a printer.

use std::{path::Path, process::Stdio};

use crate::{
    cli::estate,
    command::{Desk, NOWHERE, Ran, binary, files},
};

const ACCOUNT: &str = "111111111111";
const INIT: &str = "init --repo repository --source aws:eu-central-1 --threshold 2 --yes";
const THREE: &str = "--custodian Ana --custodian Bo --custodian Cy";

/// A desk with a key of each kind: `bo` (ed25519), `cy` (age), `rsa`, and their public halves.
fn desk(endpoint: &str) -> Desk {
    let desk = Desk::new(endpoint, ACCOUNT);
    for words in ["ssh-keygen -q -t ed25519 -f bo -N", "ssh-keygen -q -t rsa -b 2048 -f rsa -N"] {
        let mut words = words.split(' ');
        desk.finish(desk.command(words.next().unwrap()).args(words).arg("")).expect(0);
    }
    desk.finish(desk.command("age-keygen").args(["-o", "cy"])).expect(0);
    let public = desk.finish(desk.command("age-keygen").args(["-y", "cy"])).expect(0).out;
    std::fs::write(desk.path("cy.pub"), format!("# Cy's\n{public}")).unwrap();
    desk
}

/// Opens a sealed sheet with stock age.
fn opened(desk: &Desk, key: &str, sealed: &str, to: &str) -> Ran {
    desk.finish(desk.command("age").args(["-d", "-i", key, "-o", to, sealed]))
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// Files that hold a share in the clear.
fn shares_on_disk(desk: &Desk) -> Vec<String> {
    let is_share = |word: &str| word.len() == 90 && word.starts_with("LB1");
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).split_whitespace().any(is_share);
    let clear = files(desk.folder.path()).into_iter().filter(|(_, bytes)| holds(bytes) || bytes.starts_with(b"%PDF"));
    clear.map(|(path, _)| path.display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_sheet_opened_with_stock_age_is_a_sheet_like_any_other() {
    let sandbox = estate().await;
    let desk = desk(&sandbox.endpoint());
    let recipient = desk.finish(desk.command("age-keygen").args(["-y", "cy"])).out;
    let seal = format!("--seal-to Bo=bo.pub --seal-to Cy={}", recipient.trim());
    let made = desk.run(&format!("{INIT} {THREE} --sheets sheets {seal} --json")).expect(0);
    assert_eq!(names(&desk.path("sheets")), ["01-ana.pdf", "01-ana.txt", "02-bo.txt.age", "03-cy.txt.age"]);
    let value = made.json();
    assert_eq!((value["sealed"][0]["custodian"].as_str(), value["pdfs"].as_array().unwrap().len()), (Some("Bo"), 1));
    assert!(made.err.contains("shred -u -- sheets/*.pdf sheets/*.txt"), "the sealed ones stay: {}", made.err);
    let script = std::fs::read_to_string(desk.path("ceremony.txt")).unwrap();
    assert!(script.contains("sheets/02-bo.txt.age") && script.contains("Each of the 1 PDF files"), "{script}");

    desk.run("snapshot").expect(0);
    assert_eq!(opened(&desk, "cy", "sheets/02-bo.txt.age", "not.txt").code, Some(1), "only the custodian opens it");
    opened(&desk, "bo", "sheets/02-bo.txt.age", "bo.txt").expect(0);
    opened(&desk, "cy", "sheets/03-cy.txt.age", "cy.txt").expect(0);
    let verified = desk.run("custody verify bo.txt --json").expect(0).json();
    assert_eq!(verified["sheet"]["custodian"], "Bo");
    let mut piped = desk.command(binary());
    piped.args(["custody", "verify", "-"]).stdin(Stdio::from(std::fs::File::open(desk.path("cy.txt")).unwrap()));
    assert!(desk.finish(&mut piped).expect(0).out.contains("Cy"));
    desk.run("check --depth values --share bo.txt --share cy.txt").expect(0);
    desk.run("restore --repo repository --to aws:eu-west-1 --yes --share cy.txt --share sheets/01-ana.pdf").expect(0);
    desk.run("custody verify sheets/02-bo.txt.age").expect(5).says("is sealed to a custodian's own key");
    sandbox.shutdown().await;
}

#[test]
fn with_every_sheet_sealed_nothing_that_opens_is_on_disk() {
    let desk = desk(NOWHERE);
    let seal = "--seal-to Ana=rsa.pub --seal-to Bo=bo.pub --seal-to Cy=cy.pub";
    let made = desk.run(&format!("{INIT} {THREE} --sheets sheets {seal}")).expect(0);
    assert!(!made.err.contains("shred") && made.err.contains("age -d"), "{}", made.err);
    assert_eq!(shares_on_disk(&desk), Vec::<String>::new());
    assert!(!std::fs::read_to_string(desk.path("ceremony.txt")).unwrap().contains("shred -u"));
    opened(&desk, "rsa", "sheets/01-ana.txt.age", "ana.txt").expect(0);
    assert_eq!(shares_on_disk(&desk).len(), 1, "the search finds a share where there is one");

    let new = "--threshold 2 --custodian Ana --custodian Fay --seal-to Ana=bo.pub --sheets new --yes";
    opened(&desk, "bo", "sheets/02-bo.txt.age", "bo.txt").expect(0);
    let mut process = desk.command(binary());
    process.args(["custody", "reshare"]).args(new.split(' ')).args(["--share", "ana.txt", "--share", "bo.txt"]);
    let renewed = desk.finish(process.args(["--print", "tee -a printed.pdf", "--json"])).expect(0).json();
    assert_eq!((&renewed["printed"], renewed["sealed"].as_array().unwrap().len()), (&1.into(), 1));
    assert_eq!(names(&desk.path("new")), ["01-ana.txt.age"]);
    let script = std::fs::read_to_string(desk.path("ceremony-epoch-2.txt")).unwrap();
    assert!(script.contains("new sheets of the same key") && script.contains("custody reshare --abort"), "{script}");
    opened(&desk, "bo", "new/01-ana.txt.age", "new-ana.txt").expect(0);
    desk.run("custody reshare --confirm --share new-ana.txt").expect(3);
    desk.run("custody reshare --confirm --share printed.pdf").expect(0);
}

#[test]
fn what_cannot_be_sealed_is_refused_before_there_is_a_key() {
    let desk = desk(NOWHERE);
    for (words, says) in [
        ("--sheets sheets --seal-to Dee=bo.pub", "not a custodian"),
        ("--sheets sheets --seal-to Bo=bo.pub --seal-to Bo=cy.pub", "twice"),
        ("--sheets sheets --seal-to bo.pub", "not NAME=KEY"),
        ("--sheets sheets --seal-to Bo=bo", "the key of Bo cannot be used"),
        ("--sheets sheets --seal-to Bo=nowhere.pub", "the key of Bo cannot be used"),
        ("--print cat --seal-to Bo=bo.pub", "needs --sheets"),
        ("--print cat --sheets sheets", "not both"),
        (
            "--print cat --sheets s --seal-to Ana=rsa.pub --seal-to Bo=bo.pub --seal-to Cy=cy.pub",
            "every sheet is sealed",
        ),
        ("", "--sheets or --print is missing"),
    ] {
        desk.run(&format!("{INIT} {THREE} {words}")).expect(2).says(says);
        for name in ["sheets", "repository", "keys", "lifeboat.toml", "ceremony.txt"] {
            assert!(!desk.path(name).exists(), "{words}: {name}");
        }
    }
    let private = desk.run(&format!("{INIT} {THREE} --sheets sheets --seal-to Bo=bo")).err;
    assert!(private.contains("never a private key"), "{private}");
}
