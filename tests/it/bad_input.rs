//! Bad input: one clear sentence, the right exit code, nothing damaged.

use std::{fs, path::PathBuf};

use lifeboat::emulator::{Fault, FaultKind, FaultWhen, Sandbox};

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary, files, files_beside_audit},
};

const ACCOUNT: &str = "111111111111";

/// A host with one snapshot.
async fn scene() -> (Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

/// The one file below `repository/FOLDER` with this ending.
fn only(desk: &Desk, folder: &str, ending: &str) -> PathBuf {
    let found = files(&desk.path("repository").join(folder));
    found.into_iter().map(|(path, _)| path).find(|path| path.to_string_lossy().ends_with(ending)).unwrap()
}

fn alter(path: &PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn restore() -> String {
    format!("restore --repo repository --to aws:eu-west-1 --yes {SHEETS}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_pack_a_truncated_index_a_changed_manifest() {
    let (_sandbox, desk) = scene().await;
    let pack = only(&desk, "packs", ".age");
    let whole = fs::read(&pack).unwrap();
    alter(&pack, |bytes| *bytes.last_mut().unwrap() ^= 1);
    desk.run("check").expect(6);
    desk.run(&restore()).expect(6).says("is damaged");
    let told = |words: &str, code: i32| {
        let told = desk.run(&format!("{words} --json")).expect(code).json();
        assert_eq!((&told["exit"], &told["outcome"]), (&code.into(), &"damaged".into()), "{words}: {told}");
        told
    };
    assert!(told(&restore(), 6)["error"].is_string());
    assert!(told(&format!("check --depth values {SHEETS}"), 6)["faults"][0]["file"].is_string());
    fs::write(&pack, whole).unwrap();
    desk.run("check").expect(0);

    let index = only(&desk, "indexes", ".age");
    let whole = fs::read(&index).unwrap();
    alter(&index, |bytes| bytes.truncate(bytes.len() / 2));
    desk.run("check").expect(6);
    desk.run("show").expect(6).says("is damaged");
    assert!(told("show", 6)["error"].as_str().unwrap().contains("is damaged"));
    desk.run(&restore()).expect(6).says("is damaged");
    fs::write(&index, whole).unwrap();

    let manifest = only(&desk, "snapshots", ".json");
    alter(&manifest, |bytes| {
        let at = bytes.windows(10).position(|window| window == b"\"captured\"").unwrap() + 12;
        bytes[at] ^= 1;
    });
    desk.run("check").expect(4);
    desk.run(&restore()).expect(4).says("signature");
    desk.run("list").expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_no_repository_and_a_foreign_one() {
    let (_sandbox, desk) = scene().await;
    desk.run("list --repo nowhere").expect(1).says("no repository");
    desk.run("list --repo sftp://host/prefix").expect(2).says("s3://");
    let identity = desk.path("repository/lifeboat.json");
    alter(&identity, |bytes| {
        *bytes = String::from_utf8_lossy(bytes).replace("\"version\": 1", "\"version\": 9").into_bytes();
    });
    desk.run("list").expect(1).says("format version 9");
    desk.run(&restore()).expect(1).says("format version 9");
    desk.run("snapshot").expect(1).says("format version 9");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sheets_and_too_few() {
    let (sandbox, desk) = scene().await;
    let other = Desk::new(&sandbox.endpoint(), ACCOUNT);
    other.init();
    fs::copy(other.path("sheets/03-cy.txt"), desk.path("foreign.txt")).unwrap();
    let plan = "restore --repo west --to aws:eu-west-1 --plan --share sheets/01-ana.txt --share sheets/05-eli.txt";
    let few = desk.run(plan).expect(5).says("have 2 of 3 sheets");
    assert!(few.err.contains("Bo, Cy, Dee"), "{}", few.err);
    let foreign = desk.run(&format!("{plan} --share foreign.txt")).expect(5).says("foreign.txt");
    assert!(foreign.err.contains("another key"), "{}", foreign.err);
    desk.run(&format!("{plan} --share sheets/05-eli.txt")).expect(5).says("repeats");
    desk.run(&format!("{plan} --share missing.txt")).expect(5).says("missing.txt");
    fs::write(desk.path("prose.txt"), "nothing of use").unwrap();
    desk.run(&format!("{plan} --share prose.txt")).expect(5).says("has no share in it");
    desk.run(&format!("{plan} --share sheets")).expect(0);
    let slip = fs::read_to_string(desk.path("sheets/03-cy.txt")).unwrap();
    let at = slip.find("2: ").unwrap() + 4;
    let mut bytes = slip.into_bytes();
    bytes[at] = if bytes[at] == b'Q' { b'P' } else { b'Q' };
    let text = String::from_utf8(bytes).unwrap();
    let whole = text.lines().position(|line| line.contains("LB1") && line.trim().len() > 60).unwrap();
    let typed: Vec<&str> =
        text.lines().enumerate().filter(|(number, _)| *number != whole).map(|(_, line)| line).collect();
    fs::write(desk.path("slip.txt"), typed.join("\n")).unwrap();
    desk.run(&format!("{plan} --share slip.txt")).expect(5).says("row 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_network_no_permission_no_configuration() {
    let (sandbox, desk) = scene().await;
    let before = files_beside_audit(&desk.path("repository"));
    let mut offline = desk.command(binary());
    desk.finish(offline.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_MAX_ATTEMPTS", "1").arg("snapshot"))
        .expect(1);
    sandbox.control().add_fault(Fault {
        operation: Some("ListSecrets".into()),
        secret: None,
        account: None,
        region: None,
        when: FaultWhen::Always,
        kind: FaultKind::Error { code: "AccessDeniedException".into(), message: "not authorized".into() },
    });
    desk.run("snapshot").expect(1).says("AccessDeniedException");
    assert_eq!(files_beside_audit(&desk.path("repository")), before, "a failed run changes nothing");
    desk.run("snapshot --config nowhere.toml").expect(2).says("no configuration");
    let text = fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    fs::write(desk.path("bad.toml"), text.replace("rate_share", "rate_shar")).unwrap();
    desk.run("snapshot --config bad.toml").expect(2).says("bad.toml");
    desk.run_as("222222222222", "snapshot").expect(4).says("account 222222222222");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    let (sandbox, desk) = scene().await;
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/large", &"x".repeat(60_000)).unwrap();
    let mut noise = String::new();
    for number in 0..3000 {
        noise.push_str(&lifeboat::model::Digest::of(&u32::to_le_bytes(number)).to_string()[..20]);
    }
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/noise", &noise).unwrap();
    // A limit on the size of files is the full disk that needs no root.
    let mut limited = desk.command("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" snapshot", binary().to_str().unwrap()]);
    let ran = desk.finish(&mut limited).expect(1);
    assert_eq!(ran.err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", ran.err);
    desk.run("check").expect(0);
    assert_eq!(desk.run("list --json").expect(0).json()["snapshots"].as_array().unwrap().len(), 1);
    desk.run("snapshot").expect(0);
    desk.run("check --depth index").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_says_nothing_is_given_up_after_a_minute_by_every_command() {
    let (sandbox, desk) = scene().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Every connection is taken and kept, and none is answered.
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    let before = files_beside_audit(&desk.path("repository"));
    let restore = "restore --repo repository --to aws:eu-west-1 --plan";
    let drill = format!("drill run --to aws:eu-west-1 --yes {SHEETS}");
    std::thread::scope(|scope| {
        for (words, code) in [("snapshot", 1), ("diff", 1), (restore, 1), (drill.as_str(), 1), ("doctor --json", 3)] {
            let (desk, endpoint) = (&desk, &endpoint);
            scope.spawn(move || {
                let start = std::time::Instant::now();
                let mut command = desk.command(binary());
                let ran =
                    desk.finish(command.env("AWS_ENDPOINT_URL", endpoint).args(words.split_whitespace())).expect(code);
                assert!(format!("{}{}", ran.out, ran.err).contains("no answer in time"), "{words}: {}", ran.err);
                assert!(start.elapsed().as_secs() < 120, "{words} took {:?}", start.elapsed());
            });
        }
    });
    assert_eq!(files_beside_audit(&desk.path("repository")), before);
    sandbox.shutdown().await;
}
