//! Other users of the same host: what they could read, exchange or see in a list of processes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary, files},
};

const ACCOUNT: &str = "111111111111";
const INIT: &str =
    "init --repo repository --source aws:eu-central-1 --threshold 2 --custodian A --custodian B --sheets sheets --yes";

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_only_into_a_folder_that_nobody_else_can_write_to() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    fs::create_dir(desk.path("keys")).unwrap();
    for bits in [0o777, 0o775, 0o757] {
        mode(&desk.path("keys"), bits);
        let refused = desk.run(INIT).expect(4).says("other users can write to it");
        assert!(refused.err.contains("hint: chmod go-w keys"), "{}", refused.err);
        assert!(!desk.path("sheets").exists() && files(&desk.path("keys")).is_empty(), "nothing was begun");
    }
    fs::remove_dir(desk.path("keys")).unwrap();
    fs::create_dir_all(desk.path("elsewhere/keys")).unwrap();
    mode(&desk.path("elsewhere/keys"), 0o777);
    symlink(desk.path("elsewhere/keys"), desk.path("keys")).unwrap();
    desk.run(INIT).expect(4).says("elsewhere/keys");
    fs::remove_file(desk.path("keys")).unwrap();
    mode(desk.folder.path(), 0o777);
    desk.run(INIT).expect(4).says("and replace its files");
    desk.run("drill key --out drill.age").expect(4);
    mode(desk.folder.path(), 0o1777);
    desk.run(INIT).expect(0);

    mode(&desk.path("keys"), 0o755);
    fs::create_dir_all(desk.path("state")).unwrap();
    mode(&desk.path("state"), 0o777);
    desk.run("snapshot").expect(4).says("state (mode 0777): other users can write to it");
    mode(&desk.path("state"), 0o700);
    desk.run("snapshot").expect(0);
    assert_eq!(fs::metadata(desk.path("keys/signer")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_others_can_read_or_exchange_are_not_used() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    for (path, bits, words, remedy) in [
        ("keys", 0o777, "keys (mode 0777): other users can write to it", "chmod go-w keys"),
        ("keys/signer", 0o644, "keys/signer (mode 0644): other users can read it", "chmod go-rwx keys/signer"),
        ("keys/index.age", 0o660, "other users can write to it", "chmod go-rwx keys/index.age"),
    ] {
        let before = fs::metadata(desk.path(path)).unwrap().permissions();
        mode(&desk.path(path), bits);
        let refused = desk.run("snapshot").expect(4).says(words);
        assert!(refused.err.contains(&format!("hint: {remedy}, then run again")), "{}", refused.err);
        assert!(!desk.path("repository/snapshots").exists(), "nothing was written");
        desk.finish(desk.command("sh").args(["-c", remedy])).expect(0);
        fs::set_permissions(desk.path(path), before).unwrap();
    }
    // Behind a link the folder that holds the key counts, too.
    fs::create_dir(desk.path("vault")).unwrap();
    fs::rename(desk.path("keys/signer"), desk.path("vault/signer")).unwrap();
    symlink(desk.path("vault/signer"), desk.path("keys/signer")).unwrap();
    mode(&desk.path("vault"), 0o777);
    desk.run("snapshot").expect(4).says("vault (mode 0777): other users can write to it");
    mode(&desk.path("vault"), 0o755);
    desk.run("snapshot").expect(0);
    sandbox.shutdown().await;
}

#[test]
fn a_folder_that_is_there_keeps_its_mode() {
    let desk = Desk::offline(ACCOUNT);
    fs::create_dir(desk.path("shared")).unwrap();
    mode(&desk.path("shared"), 0o1777);
    desk.run("drill key --out shared/drill.age").expect(0);
    assert_eq!(fs::metadata(desk.path("shared")).unwrap().permissions().mode() & 0o7777, 0o1777);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_what_others_can_read_or_change() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let rows = |code: i32| {
        let checks = desk.run("doctor --json").expect(code).json()["checks"].clone();
        let rows = checks.as_array().unwrap().iter().filter(|row| row["check"] == "other users");
        rows.map(|row| format!("{} {}", row["state"].as_str().unwrap(), row["detail"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(0), ["ok "]);
    for (path, bits, words, remedy) in [
        ("keys/signer", 0o644, "(mode 0644): other users can read it", "chmod go-rwx keys/signer"),
        ("keys/index.age", 0o620, "(mode 0620): other users can write to it", "chmod go-rwx keys/index.age"),
        ("lifeboat.toml", 0o666, "(mode 0666): other users can write to it", "chmod go-w lifeboat.toml"),
        ("sheets/02-bo.txt", 0o644, "(mode 0644): other users can read it", "chmod go-rwx "),
        ("sheets/02-bo.pdf", 0o640, "(mode 0640): other users can read it", "chmod go-rwx "),
        ("keys", 0o770, "(mode 0770): other users can write to it", "chmod go-w keys"),
        ("state", 0o777, "(mode 0777): other users can write to it", "chmod go-w state"),
    ] {
        if path == "state" && !desk.path("state").exists() {
            fs::create_dir(desk.path("state")).unwrap();
        }
        let before = fs::metadata(desk.path(path)).unwrap().permissions();
        mode(&desk.path(path), bits);
        let found = rows(3);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert!(found[0].starts_with("wrong ") && found[0].contains(path) && found[0].contains(words), "{found:?}");
        // The remedy, as it stands there, ends it.
        let line = found[0].split_once("; ").unwrap().1;
        assert!(line.starts_with(remedy), "{line}");
        desk.finish(desk.command("sh").args(["-c", line])).expect(0);
        assert_eq!(rows(0), ["ok "], "{path}");
        fs::set_permissions(desk.path(path), before).unwrap();
    }
    // A key and a sheet behind links.
    fs::create_dir(desk.path("vault")).unwrap();
    fs::rename(desk.path("keys/signer"), desk.path("vault/signer")).unwrap();
    symlink(desk.path("vault/signer"), desk.path("keys/signer")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::copy(desk.path("sheets/01-ana.txt"), outside.path().join("ana.txt")).unwrap();
    symlink(outside.path().join("ana.txt"), desk.path("ana.txt")).unwrap();
    mode(&desk.path("vault/signer"), 0o644);
    mode(&outside.path().join("ana.txt"), 0o604);
    let found = rows(3);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("vault/signer (mode 0644)") && found[1].contains("ana.txt (mode 0604)"), "{found:?}");
}

/// The text of a sheet's share, as the code holds it.
fn share(desk: &Desk, sheet: &str) -> String {
    let text = fs::read_to_string(desk.path(sheet)).unwrap();
    text.split_whitespace().find(|word| word.len() == 90 && word.starts_with("LB1")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_given_as_an_argument_is_never_repeated() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let share = share(&desk, "sheets/02-bo.txt");
    let sheet = fs::read_to_string(desk.path("sheets/02-bo.txt")).unwrap();
    let row = |number: &str| sheet.lines().map(str::trim).find(|line| line.starts_with(number)).unwrap().to_owned();
    let rows = ["1: ", "2: ", "3: ", "4: "].map(row);
    let groups: Vec<&str> = rows[1].split_whitespace().filter(|word| word.len() == 4).collect();
    let (begin, end) = (groups[..2].join(" "), groups[2..4].join(" "));
    let misread = format!("{}O{}", &share[..20], &share[21..]);
    let split = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let pasted: Vec<Vec<String>> = vec![
        vec![share.clone()],
        vec![share.to_lowercase()],
        vec![misread],
        vec![share[..50].to_owned()],
        vec![rows.join("\n")],
        vec![rows.join(" ")],
        vec![rows[1].clone()],
        split(&rows.join(" ")),
        split(&rows[1]),
        vec![sheet.clone()],
    ];
    let before: Vec<Vec<String>> = [
        "restore --to aws:eu-west-1 --plan --share",
        "restore --json --to aws:eu-west-1 --plan --share",
        "show --snapshot",
        "show --json --snapshot",
        "custody verify",
        "list --repo",
        "--config",
        "list",
        "",
        "drill run --json",
        "list --no-such-option",
        "list --no-such-option --json",
    ]
    .map(split)
    .into();
    for given in &pasted {
        for words in &before {
            let ran = desk.finish(desk.command(binary()).args(words).args(given)).expect(2);
            let printed = format!("{}{}", ran.out, ran.err).to_uppercase();
            for part in [&share[3..27], &share[30..50], &share[60..80], &begin, &end] {
                assert!(!printed.contains(part), "{words:?}: {part} of {given:?} in {printed}");
            }
            assert!(ran.err.contains("it is not repeated here"), "{words:?} {given:?}: {}", ran.err);
            assert!(ran.err.contains("list of processes") && ran.err.contains("history"), "{}", ran.err);
            if words.iter().any(|word| word == "--json") {
                assert_eq!(ran.json()["exit"], 2);
            }
        }
        let glued = desk
            .finish(desk.command(binary()).args(["restore", "--plan"]).arg(format!("--share={}", given.join(" "))))
            .expect(2);
        assert!(!format!("{}{}", glued.out, glued.err).to_uppercase().contains(&end), "{}", glued.err);
        let mut command = desk.command(binary());
        command.env("LIFEBOAT_SHARE", given.join(" ")).args(["restore", "--to", "aws:eu-west-1", "--plan", "--json"]);
        let ran = desk.finish(&mut command).expect(2).says("LIFEBOAT_SHARE holds the text of a share");
        assert!(!format!("{}{}", ran.out, ran.err).to_uppercase().contains(&end), "{}", ran.err);
    }
    desk.run(&format!("restore --to aws:eu-west-1 --plan {SHEETS}")).expect(0);
}
