//! `.env` files from the first command to a clean machine, by the binary.
#![cfg(all(unix, feature = "dotenv"))]

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    command::{Desk, PEOPLE, SHEETS, files},
    search::holds,
};

/// A value that must never be printed or lie anywhere in the clear but in its own file.
const MARKER: &str = "marker-7f3a-of-a-password";

/// A desk whose source is `app` beside it.
fn desk() -> Desk {
    let desk = Desk::offline("111111111111");
    put(&desk, "app/.env", format!("PASSWORD='{MARKER}'\r\nPIN=1234\n\u{0}").as_bytes(), 0o600);
    put(&desk, "app/web/.env.production", b"A=\xff\xfe\n", 0o600);
    put(&desk, "app/.env.example", b"PASSWORD=\n", 0o644);
    desk.run(&format!("init --repo repository {PEOPLE} --sheets sheets --copy west --yes --source env:app?host=web-1"))
        .expect(0);
    desk
}

fn put(desk: &Desk, name: &str, bytes: &[u8], mode: u32) {
    let path = desk.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Until the clock of the file system has gone on, so that the next look at a file can be relied upon.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(3_500));
}

#[test]
fn a_host_backs_up_files_from_the_first_command_to_the_second_day() {
    let desk = desk();
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let app = desk.path("app").canonicalize().unwrap();
    assert!(config.contains(&format!("url = \"env:{}?host=web-1\"", desk.path("app").display())), "{config}");
    assert!(config.contains("account = \"web-1\""), "{config}");
    let first = desk.run("snapshot --json").expect(0).json();
    assert_eq!(first["source"]["provider"], "env");
    assert_eq!((&first["source"]["account"], first["source"]["region"].as_str()), (&"web-1".into(), app.to_str()));
    assert_eq!((&first["counts"]["captured"], &first["counts"]["values_read"]), (&2.into(), &2.into()), "{first}");
    settle();
    let second = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&second["counts"]["values_read"], &second["counts"]["values_carried"]), (&0.into(), &2.into()));
    put(&desk, "app/.env", b"PASSWORD=another\n", 0o640);
    let differs = desk.run("diff --json").expect(3).json();
    assert_eq!(differs["diff"]["changes"][0]["name"], ".env", "{differs}");
    let third = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&third["counts"]["values_read"], &third["counts"]["values_carried"]), (&1.into(), &1.into()));
    desk.run("diff").expect(0);
    std::fs::remove_file(desk.path("app/web/.env.production")).unwrap();
    let gone = desk.run("snapshot --json").expect(0).json();
    assert_eq!(gone["counts"]["captured"], 1, "{gone}");
    let shown = desk.run(&format!("show --source web-1:{}", app.display())).expect(0).out;
    assert!(shown.contains(".env"), "{shown}");
    desk.run("copy").expect(0);
    desk.run("check").expect(0);
    desk.run("check --depth index").expect(0);
    assert_eq!(desk.run(&format!("check --json --depth values {SHEETS}")).expect(0).json()["values"], 3);
    let status = desk.run("status --json").json();
    assert!(status.to_string().contains("web-1"), "{status}");
    assert_nothing_shows(&desk);
}

/// The host is gone; what is left is the copy, the sheets and the folder.
#[test]
fn on_a_clean_machine_a_quorum_compares_the_files_with_the_backup() {
    let desk = desk();
    desk.run("snapshot").expect(0);
    desk.run("copy").expect(0);
    for name in ["lifeboat.toml", "keys/signer", "keys/index.age", "keys/versions"] {
        std::fs::remove_file(desk.path(name)).unwrap();
    }
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    let diff = format!("diff --json --repo west --source env:app?host=web-1 {SHEETS}");
    let same = desk.run(&diff).expect(0).json();
    assert_eq!((&same["differs"], &same["diff"]["values_same"]), (&false.into(), &2.into()), "{same}");
    put(&desk, "app/.env", b"PIN=1235\n", 0o600);
    assert_eq!(desk.run(&diff).expect(3).json()["differs"], true);
    // A new host reads every value again and continues with the old version ids: nothing but the change differs.
    let join = format!("host join --repo west --name backup-2 --yes {SHEETS}");
    desk.run(&join).expect(0);
    let counts = desk.run("snapshot --json").expect(0).json()["counts"].clone();
    assert_eq!(counts["values_read"], 2, "{counts}");
    let listed = desk.run("list --json").expect(0).json();
    let ids: Vec<&str> =
        listed["snapshots"].as_array().unwrap().iter().map(|it| it["snapshot"].as_str().unwrap()).collect();
    let differs = desk.run(&format!("diff --json {} {} {SHEETS}", &ids[0][..8], &ids[1][..8])).expect(3).json();
    assert_eq!(differs["diff"]["values_same"], 1, "{differs}");
    assert!(!differs["diff"]["changes"].to_string().contains("production"), "{differs}");
    assert_nothing_shows(&desk);
}

#[test]
fn doctor_names_files_that_others_can_read_or_git_has() {
    let desk = desk();
    put(&desk, "app/web/.env.production", b"A=x\n", 0o644);
    put(&desk, "app/.env.sops", b"A=ENC[x]\nsops_mac=ENC[y]\n", 0o600);
    let git = |arguments: &[&str]| {
        let done = desk.finish(desk.command("git").arg("-C").arg(desk.path("app")).args(arguments));
        done.expect(0);
    };
    git(&["init", "-q"]);
    git(&["add", "web/.env.production"]);
    let told = desk.run("doctor --json").json();
    let rows = told["checks"].as_array().unwrap();
    let row = |what: &str, words: &str| {
        let is = |row: &&serde_json::Value| {
            row["check"] == what && row["detail"].as_str().is_some_and(|detail| detail.contains(words))
        };
        rows.iter().find(is).unwrap_or_else(|| panic!("no {what} with {words:?}: {told:#}"))["state"].clone()
    };
    assert_eq!(row("file web/.env.production", "mode 0644"), "wrong");
    assert_eq!(row("file web/.env.production", "git tracks it"), "wrong");
    assert_eq!(row("file .env.sops", "encrypted by sops"), "note");
    assert_eq!(row("git", ""), "ok");
    let without_git =
        desk.command(crate::command::binary()).env("PATH", "/nowhere").args(["doctor", "--json"]).output();
    let told = String::from_utf8(without_git.unwrap().stdout).unwrap();
    assert!(told.contains("git is not installed"), "{told}");
    assert_nothing_shows(&desk);
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_captured() {
    let desk = desk();
    std::os::unix::fs::symlink("/etc/hostname", desk.path("app/.env.link")).unwrap();
    let told = desk.run("snapshot").expect(3);
    assert!(told.err.contains(".env.link") && told.err.contains("LinkLeavesTheFolder"), "{}", told.err);
    std::fs::remove_file(desk.path("app/.env.link")).unwrap();
    desk.run("snapshot").expect(0);
    std::fs::rename(desk.path("app"), desk.path("moved")).unwrap();
    let told = desk.run("snapshot").expect(1);
    assert!(told.err.contains("check the path, and that the disk"), "{}", told.err);
    for (address, words) in [
        ("env:", "the address has no path"),
        ("env:app?depth=deep", "is not a number"),
        ("env:app?token=x", "token is not an option"),
    ] {
        let init =
            format!("init --repo other --config other/lifeboat.toml {PEOPLE} --sheets others --yes --source {address}");
        desk.run(&init).expect(2).says(words);
        assert!(!desk.path("other").exists(), "nothing was made");
    }
}

fn assert_nothing_shows(desk: &Desk) {
    let shows = |bytes: &[u8]| holds(bytes, MARKER);
    assert!(!shows(&desk.printed()), "a value was printed");
    for (path, bytes) in files(desk.folder.path()) {
        let is_source = path.starts_with(desk.path("app")) || path.starts_with(Path::new("moved"));
        assert!(is_source || !shows(&bytes), "{} holds a value", path.display());
    }
}

/// Files come back byte for byte and with their mode, into the folder they were in and into one that is not there yet.
#[test]
fn files_are_restored_with_their_bytes_and_modes() {
    let desk = desk();
    put(&desk, "app/web/.env.production", b"A=\xff\xfe\n", 0o640);
    desk.run("snapshot").expect(0);
    let before: Vec<_> =
        [".env", "web/.env.production"].map(|name| std::fs::read(desk.path("app").join(name)).unwrap()).into();
    std::fs::remove_dir_all(desk.path("app/web")).unwrap();
    put(&desk, "app/.env", b"PASSWORD=other\n", 0o600);
    let restore = format!("restore --to env:app?host=web-1 --into-source --yes {SHEETS}");
    // Another file has the name: nothing is overwritten unless that is asked for.
    let told = desk.run(&restore).expect(4);
    assert!(told.err.contains("its bytes"), "{}", told.err);
    assert_eq!(std::fs::read(desk.path("app/.env")).unwrap(), b"PASSWORD=other\n");
    desk.run(&format!("{restore} --on-conflict replace")).expect(0);
    assert_eq!(std::fs::read(desk.path("app/.env")).unwrap(), before[0]);
    let again = desk.run(&format!("{restore} --json")).expect(0).json();
    assert_eq!(again["writes"], 0, "nothing is written twice: {again}");
    let elsewhere = desk.run(&format!("restore --to env:new/place?host=web-2 --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(
        (&elsewhere["complete"], &elsewhere["verification"]["values"]),
        (&true.into(), &2.into()),
        "{elsewhere}"
    );
    for (name, bytes) in [".env", "web/.env.production"].into_iter().zip(before) {
        for root in ["app", "new/place"] {
            assert_eq!(std::fs::read(desk.path(root).join(name)).unwrap(), bytes, "{root}/{name}");
        }
    }
    let mode = |name: &str| std::fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("new/place/web/.env.production"), mode("new/place/.env")), (0o640, 0o600));
    assert_eq!(mode("new/place"), 0o700, "a folder that is made is its owner's alone");
    let renamed = format!("restore --to env:renamed?host=web-2 --name-prefix old/ --yes --json {SHEETS}");
    assert_eq!(desk.run(&renamed).expect(0).json()["verification"]["values"], 2);
    assert!(desk.path("renamed/old/web/.env.production").is_file());
    // A link on the way leads out of the folder.
    std::fs::create_dir(desk.path("trap")).unwrap();
    std::fs::create_dir(desk.path("outside")).unwrap();
    std::os::unix::fs::symlink(desk.path("outside"), desk.path("trap/web")).unwrap();
    let told = desk.run(&format!("restore --to env:trap?host=web-2 --yes {SHEETS}"));
    assert_ne!(told.code, Some(0));
    assert_eq!(std::fs::read_dir(desk.path("outside")).unwrap().count(), 0, "{}", told.err);
}

/// A secret of another kind becomes a file with its bytes, and a file a secret of AWS.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_cross_between_aws_and_files() {
    let (sandbox, aws) = crate::command::with_a_copy().await;
    let told = aws.run(&format!("restore --to env:files?host=web-1 --yes --json {SHEETS}"));
    assert_eq!(told.json()["verification"]["values"], 1, "{}", told.out);
    assert_eq!(std::fs::read(aws.path("files/app/one")).unwrap(), b"value");
    sandbox.shutdown().await;
}
