//! A backup host that is new, and one that is not trusted any more: the same sheets, other signers.

use lifeboat::emulator::Sandbox;

use crate::{
    cli::estate,
    command::{Desk, Ran, SHEETS, binary},
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
