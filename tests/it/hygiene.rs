//! No value, share or key anywhere it does not belong: planted, then looked for in everything that was printed or written.

use base64::{Engine, prelude::BASE64_STANDARD};
use lifeboat::{
    cli::DOORS,
    emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions},
};

use crate::{
    command::{Desk, SHEETS, files},
    search::holds,
};

const ACCOUNT: &str = "111111111111";
const MARKERS: [&str; 4] =
    ["mark-er-current-7Qx", "mark-er-older-9Zv", "mark-er-\u{e7}\u{11f}-unicode", "{\"pass\":\"mark-er-json\"}"];

/// A text in the forms it could leak in.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let base64 = BASE64_STANDARD.encode(text);
    vec![
        text.as_bytes().to_vec(),
        text.to_uppercase().into_bytes(),
        base64.trim_end_matches('=').as_bytes()[..base64.trim_end_matches('=').len() - 2].to_vec(),
        hex::encode(text).into_bytes(),
        format!("{text:?}").trim_matches('"').as_bytes().to_vec(),
        format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).as_bytes().to_vec(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_printed_or_left_in_a_file() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for marker in MARKERS {
        sandbox.control().put(ACCOUNT, "eu-central-1", "app/marked", marker).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    run_everything(&desk, &sandbox);

    let mut secrets: Vec<Vec<u8>> = MARKERS.iter().flat_map(|marker| forms(marker)).collect();
    for (_, sheet) in files(&desk.path("sheets")).into_iter().filter(|(path, _)| path.extension().unwrap() == "txt") {
        let text = String::from_utf8(sheet).unwrap();
        let share = text.split_whitespace().find(|word| word.starts_with("LB1") && word.len() > 60).unwrap();
        secrets.push(share.as_bytes()[20..60].to_vec());
        secrets.push(share[20..60].to_lowercase().into_bytes());
    }
    for key in ["keys/signer", "keys/index.age", "keys/versions"] {
        let text = std::fs::read_to_string(desk.path(key)).unwrap();
        let line =
            text.lines().rfind(|line| line.len() > 30 && !line.starts_with('-') && !line.starts_with('#')).unwrap();
        secrets.push(line.as_bytes().to_vec());
    }
    let printed = desk.printed();
    assert!(printed.len() > 10_000 && holds(&printed, b"app/marked"), "the commands printed what they should");
    for secret in &secrets {
        assert!(!holds(&printed, secret), "printed: {}", String::from_utf8_lossy(secret));
    }
    let keys = |path: &std::path::Path| {
        path.components().any(|part| ["sheets", "keys"].iter().any(|known| part.as_os_str() == *known))
    };
    let written = files(desk.folder.path());
    assert!(written.len() > 20);
    for (path, content) in written.iter().filter(|(path, _)| !keys(path)) {
        for secret in &secrets {
            assert!(!holds(content, secret), "{} holds {}", path.display(), String::from_utf8_lossy(secret));
        }
    }
    sandbox.shutdown().await;
}

/// What gives values out is one list, and the command line hands none over elsewhere.
#[test]
fn values_leave_by_the_doors_of_one_list_alone() {
    let command = lifeboat::cli::command();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let doors: Vec<(&str, &str)> = DOORS.iter().map(|door| (door.command, door.file)).collect();
    assert!(doors.len() >= 3);
    for door in DOORS {
        let found = door.command.split(' ').try_fold(&command, |at, word| at.find_subcommand(word));
        assert!(found.is_some(), "{} is no command", door.command);
        assert!(root.join(door.file).is_file() && !door.gives.is_empty(), "{}", door.file);
    }
    let mut looked_at = 0;
    for (path, content) in files(&root.join("src/cli")) {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8(content).unwrap();
        let is_door = doors.iter().any(|(_, file)| *file == name);
        assert!(is_door || !text.contains(".expose()"), "{name} exposes a value");
        looked_at += 1;
    }
    assert!(looked_at > 40, "{looked_at} files");
}

/// The doors give values where they should, and nowhere else: never on stderr, and into files that only the owner can read.
#[tokio::test(flavor = "multi_thread")]
async fn what_gives_values_out_gives_them_where_it_says_and_nowhere_else() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/marked", MARKERS[0]).unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let before: Vec<std::path::PathBuf> = files(desk.folder.path()).into_iter().map(|(path, _)| path).collect();
    let tries = [
        ("get", format!("get app/marked {SHEETS} -vv"), ""),
        ("get", format!("get app/marked {SHEETS} -vv --output got"), "got"),
        ("exec", format!("exec -vv --secret MARKED=app/marked {SHEETS} -- printenv MARKED"), ""),
        ("export", format!("export -vv --format json --secret MARKED=app/marked {SHEETS}"), ""),
        (
            "export",
            format!("export -vv --format docker-secrets --secret MARKED=app/marked {SHEETS} --output run"),
            "run/MARKED",
        ),
    ];
    for (door, words, file) in &tries {
        assert!(DOORS.iter().any(|known| known.command == *door));
        let ran = desk.run(words).expect(0);
        assert_eq!(ran.out.contains(MARKERS[0]), file.is_empty(), "{door}");
        for form in forms(MARKERS[0]) {
            assert!(!holds(ran.err.as_bytes(), &form), "{door} prints a value to stderr");
        }
    }
    for door in DOORS.iter().filter(|door| !door.command.contains(' ')) {
        assert!(tries.iter().any(|(tried, ..)| *tried == door.command), "{} is not tried", door.command);
    }
    for (path, content) in files(desk.folder.path()) {
        let name = path.strip_prefix(desk.folder.path()).unwrap().to_string_lossy().into_owned();
        let is_asked_for = tries.iter().any(|(_, _, file)| *file == name);
        assert!(is_asked_for || !holds(&content, MARKERS[0].as_bytes()), "{name} holds a value");
        if is_asked_for {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        } else {
            // Each run leaves an entry of the audit trail.
            assert!(before.contains(&path) || name.starts_with("repository/audit/"), "{name} is new");
        }
    }
    sandbox.shutdown().await;
}

/// Every command, with `RUST_LOG=trace`, as text and as JSON, succeeding and failing.
fn run_everything(desk: &Desk, sandbox: &Sandbox) {
    desk.init();
    let fault = |operation: &str, kind| Fault {
        operation: Some(operation.into()),
        secret: None,
        account: None,
        region: None,
        when: FaultWhen::Nth(1),
        kind,
    };
    let invalid = FaultKind::Error {
        code: "ValidationException".into(),
        message: format!("Value '{}' at 'secretString'", MARKERS[0]),
    };
    for json in ["", " --json"] {
        let run = |words: &str| desk.run(&format!("{words}{json}"));
        run("snapshot").expect(0);
        for words in ["list", "show", "check", "check --depth index", "copy", "drill list", "man", "completions zsh"] {
            run(words).expect(0);
        }
        run(&format!("check --depth values {SHEETS}")).expect(0);
        run(&format!("versions app/marked {SHEETS}")).expect(0);
        run("versions app/marked").expect(0);
        // What gives values out, where it fails: with a bad field, a bad name, no command, no variable, too few sheets.
        run(&format!("get app/marked {SHEETS} --field /none")).expect(2);
        run(&format!("get app/marked {SHEETS} --version none")).expect(2);
        run("get app/marked --share sheets/01-ana.txt").expect(5);
        desk.run(&format!("exec --secret LD_PRELOAD=app/marked {SHEETS}{json} -- true")).expect(125);
        desk.run(&format!("exec --secret app/marked --secret app/none {SHEETS}{json} -- true")).expect(125);
        desk.run(&format!("exec --secret MARKED=app/marked {SHEETS}{json} -- true")).expect(0);
        run(&format!("export --format k8s --name UP --secret app/marked {SHEETS}")).expect(2);
        run(&format!("export --format json --secret A=app/marked --secret A=app/marked {SHEETS}")).expect(3);
        run("check --depth values --share sheets/01-ana.txt").expect(5);
        run(&format!("restore --repo west --to aws:eu-central-1 {SHEETS} --yes")).expect(4);
        run(&format!("restore --repo west --to aws:eu-west-1 {SHEETS} --plan")).expect(0);
    }
    for (region, operation, kind) in [
        ("eu-west-1", "CreateSecret", invalid.clone()),
        ("eu-west-2", "PutSecretValue", invalid),
        ("eu-west-3", "PutSecretValue", FaultKind::InternalError),
        ("eu-north-1", "CreateSecret", FaultKind::DropAfter),
        ("eu-south-1", "GetSecretValue", FaultKind::Drop),
    ] {
        sandbox.control().clear_faults();
        sandbox.control().add_fault(fault(operation, kind));
        desk.run(&format!("restore --repo west --to aws:{region} {SHEETS} --yes"));
    }
    sandbox.control().clear_faults();
    desk.run(&format!("restore --repo west --to aws:us-west-1 {SHEETS} --yes --json")).expect(0);
    sandbox.control().corrupt_value(ACCOUNT, "us-west-1", "app/marked", None).unwrap();
    desk.run(&format!("restore --repo west --to aws:us-west-1 {SHEETS} --yes")).expect(3);
    desk.run_as("999999999999", &format!("drill run --to aws:us-east-1 {SHEETS} --json")).expect(0);
    desk.run("drill show").expect(0);
    let drills = desk.path("drills");
    std::fs::create_dir_all(&drills).unwrap();
    let probe = "[[probe]]\nname = \"p\"\nsecret = \"app/marked\"\ncommand = [\"/bin/sh\", \"-c\", \"cat; cat >&2\"]\n";
    let file = format!(
        "scenario = \"s\"\nevery_days = 31\n[target]\nsandbox = true\n{probe}[[notify]]\ncommand = [\"/bin/sh\", \"-c\", \"cat >> heard\"]\n"
    );
    std::fs::write(drills.join("marked.toml"), file).unwrap();
    desk.run(&format!("drill run marked {SHEETS} --html report.html --pdf report.pdf")).expect(0);
    desk.run("drill verify").expect(0);
    desk.run("drill evidence --from 2020-01-01 --to 2020-01-31 evidence.tar").expect(2);
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    desk.run(&format!("drill evidence --from {today} --to {today} evidence.tar")).expect(0);
    desk.run("frobnicate --share LB1QQQ").expect(2);
}
