//! No value, share or key anywhere it does not belong: planted, then looked for in everything that was printed or written.

use base64::{Engine, prelude::BASE64_STANDARD};
use lifeboat::emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions};

use crate::command::{Desk, SHEETS, files};

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

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
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
