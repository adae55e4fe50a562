//! However a command ends: with its output closed or full, with a variable that makes no sense, it does not panic, and
//! it is not complete when its output was lost.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use crate::{
    cli::estate,
    command::{Desk, Ran, SHEETS, binary},
};

const ACCOUNT: &str = "111111111111";

/// What becomes of an output, as a shell writes it, and the code of a command that is complete and printed something.
const OUTPUTS: [(&str, i32); 7] = [
    (">&-", 1),
    (">/dev/full", 1),
    (">/dev/full 2>/dev/full", 1),
    (">&- 2>&- <&-", 1),
    ("2>&-", 0),
    ("| :", 141),
    ("2>&1 | :", 141),
];

/// A way to run a command: complete or not, quick, and without an effect that the next run would miss.
fn commands() -> Vec<String> {
    let plain = [
        "--help",
        "--version",
        "",
        "nonsense --json",
        "completions bash",
        "man",
        "list",
        "list --json",
        "list --repo nowhere --json",
        "show",
        "show --json",
        "versions app/database",
        "check --json",
        "status",
        "forget --keep-last 9 --plan",
        "drill list",
        "custody verify sheets/01-ana.txt",
        "doctor --policy backup",
        "runbook",
        "alarms",
        "schedule events",
        "audit verify",
        "snapshot",
        "sandbox --listen 127.0.0.1:0 --json",
    ];
    let restore = format!("restore --to aws:eu-west-1 --plan {SHEETS}");
    let mut commands: Vec<String> = plain.map(str::to_owned).into();
    commands.extend([format!("{restore} --json"), restore]);
    commands
}

/// Runs a command with its outputs as the shell is told, and gives the command's own code.
fn through_shell(desk: &Desk, words: &str, outputs: &str) -> Ran {
    let mut shell = desk.command("bash");
    let script = match outputs.strip_suffix("| :") {
        // The reader is gone before the command begins.
        Some(before) => format!("{{ sleep 0.1; \"$0\" {words} {before}; echo $? >code; }} | :"),
        None => format!("\"$0\" {words} {outputs}; echo $? >code"),
    };
    let mut ran = desk.finish(shell.arg("-c").arg(script).arg(binary()));
    ran.code = std::fs::read_to_string(desk.path("code")).unwrap().trim().parse().ok();
    ran
}

#[track_caller]
fn assert_no_panic(ran: &Ran, what: &str) {
    let code = ran.code.unwrap_or_else(|| panic!("{what}: ended by a signal: {}", ran.err));
    assert!(code != 101 && code != 134, "{what}: {code}: {}", ran.err);
    for word in ["panicked", "bug in itself", "half-way"] {
        assert!(!ran.err.contains(word), "{what}: {}", ran.err);
    }
}

async fn scene() -> (lifeboat::emulator::Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_makes_a_command_panic_or_complete() {
    let (_sandbox, desk) = scene().await;
    for words in commands() {
        let runs_on = words.starts_with("sandbox");
        let whole = if runs_on { None } else { Some(desk.run(&words)) };
        for (outputs, code) in OUTPUTS.into_iter().filter(|(_, code)| !runs_on || *code != 0) {
            let what = format!("lifeboat {words} {outputs}");
            let ran = through_shell(&desk, &words, outputs);
            assert_no_panic(&ran, &what);
            let expected = match &whole {
                Some(whole) if whole.code != Some(0) => whole.code,
                Some(whole) if whole.out.is_empty() => Some(0),
                _ => Some(code),
            };
            assert_eq!(ran.code, expected, "{what}\n{}", ran.err);
            let said = ran.err.lines().filter(|line| line.starts_with("error: ")).count();
            if expected == Some(1)
                && code == 1
                && !outputs.contains("2>")
                && whole.as_ref().is_none_or(|whole| whole.code == Some(0))
            {
                assert!(said == 1 && ran.err.contains("the output was lost"), "{what}: {}", ran.err);
            }
            assert!(code != 141 || expected != Some(141) || said == 0, "quiet: {what}: {}", ran.err);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_early_ends_nothing_badly() {
    let (sandbox, desk) = scene().await;
    // More than a pipe holds.
    for number in 0..900 {
        sandbox.control().put(ACCOUNT, "eu-central-1", &format!("many/{number:04}-{}", "x".repeat(60)), "v").unwrap();
    }
    desk.run("snapshot").expect(0);
    for (words, outputs) in [
        ("show", "| head -1"),
        ("show --json", "| head -c 1"),
        ("show --json", "2>&1 | head -1"),
        ("completions bash", "| head -1"),
    ] {
        let mut shell = desk.command("bash");
        shell.arg("-c").arg(format!("\"$0\" {words} {outputs} >seen; echo ${{PIPESTATUS[0]}}")).arg(binary());
        // The log of everything would fill the pipe before the result.
        let ran = desk.finish(shell.env_remove("RUST_LOG"));
        assert_no_panic(&ran, words);
        let code: i32 = ran.out.trim().parse().unwrap();
        assert!(code == 141 || (code == 0 && !words.starts_with("show")), "{words} {outputs}: {code} {}", ran.err);
        assert!(!ran.err.contains("error: ") && !ran.err.contains("pipe"), "quiet: {words} {outputs}: {}", ran.err);
    }
    sandbox.shutdown().await;
}

/// Variables that are read, values that make no sense, and whether they are refused.
fn variables() -> Vec<(&'static str, Vec<&'static str>, bool)> {
    vec![
        ("AWS_MAX_ATTEMPTS", vec!["abc", "0", "-1", "99999999999"], true),
        ("AWS_RETRY_MODE", vec!["legacy", "garbage"], true),
        ("AWS_ENDPOINT_URL", vec!["localhost", "127.0.0.1:1", "://", "http://", "http://a b", "ftp://x"], true),
        ("AWS_ENDPOINT_URL_S3", vec!["localhost:9000", "minio", "://x"], true),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", vec!["localhost", "://"], true),
        ("AWS_ENDPOINT_URL_STS", vec!["x"], true),
        ("AWS_REGION", vec!["eu central 1", "../x", "ü"], true),
        ("AWS_DEFAULT_REGION", vec!["eu central 1"], true),
        ("AWS_CA_BUNDLE", vec!["/nowhere/ca.pem"], true),
        ("SSL_CERT_FILE", vec!["/nowhere/ca.pem", "/dev/null"], true),
        ("SSL_CERT_DIR", vec!["/nowhere"], true),
        ("HTTP_PROXY", vec!["://", "a b"], true),
        ("HTTPS_PROXY", vec!["://", "http://"], true),
        ("ALL_PROXY", vec!["::::"], true),
        ("http_proxy", vec!["gopher://x"], true),
        ("AWS_ACCESS_KEY_ID", vec!["AK\nIA", "schlüssel"], true),
        ("AWS_SESSION_TOKEN", vec!["to\nken"], true),
        ("AWS_USE_FIPS_ENDPOINT", vec!["maybe"], true),
        ("AWS_USE_DUALSTACK_ENDPOINT", vec!["maybe"], true),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", vec!["nowhere"], true),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", vec!["nowhere"], true),
        ("LIFEBOAT_JSON", vec!["", "maybe", "2"], true),
        ("LIFEBOAT_CONFIG", vec!["", "/nowhere/x.toml", "."], false),
        ("LIFEBOAT_REPO", vec!["", "sftp://x", "s3://", "s3://b?x=y"], false),
        ("LIFEBOAT_SHARE", vec!["", "/nowhere", ","], false),
        ("LIFEBOAT_SOURCE", vec!["", "aws", "fax:x"], false),
        ("LIFEBOAT_OPERATOR", vec![""], false),
        ("LIFEBOAT_APPROVER", vec![""], false),
        ("AWS_PROFILE", vec!["nobody", "", "a b", "]"], false),
        ("AWS_CONFIG_FILE", vec!["/nowhere", "/dev/null", "."], false),
        ("AWS_SHARED_CREDENTIALS_FILE", vec!["/nowhere", "."], false),
        ("AWS_ROLE_ARN", vec!["x"], false),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", vec!["/nowhere"], false),
        ("AWS_SECRET_ACCESS_KEY", vec!["", "a\nb", "ü"], false),
        ("AWS_SDK_UA_APP_ID", vec!["a b\n", "ü"], false),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", vec!["IPv5"], false),
        ("AWS_ACCOUNT_ID_ENDPOINT_MODE", vec!["x"], false),
        ("AWS_DEFAULTS_MODE", vec!["x"], false),
        ("AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", vec!["x", "-1"], false),
        ("AWS_DISABLE_REQUEST_COMPRESSION", vec!["x"], false),
        ("NO_PROXY", vec!["::::", "*,,"], false),
        ("TZ", vec!["garbage", ":/nowhere", ""], false),
        ("RUST_LOG", vec!["garbage", "=,=", "lifeboat=loud"], false),
        ("RUST_BACKTRACE", vec!["full"], false),
        ("NO_COLOR", vec!["x"], false),
        ("COLUMNS", vec!["0", "x"], false),
        ("HOME", vec!["", "/nowhere"], false),
        ("TMPDIR", vec!["/nowhere"], false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_makes_no_sense_is_one_sentence() {
    let (_sandbox, desk) = scene().await;
    let restore = format!("restore --to aws:eu-west-1 --plan {SHEETS}");
    let given = "restore --to aws:eu-west-1 --plan";
    for (name, values, is_refused) in variables() {
        let mut values: Vec<OsString> = values.into_iter().map(OsString::from).collect();
        values.push(OsString::from_vec(vec![0xff, 0xfe]));
        for value in values {
            let words: &[&str] = match name {
                "LIFEBOAT_SHARE" => &[given],
                "LIFEBOAT_SOURCE" => &[
                    "init --repo new --threshold 2 --custodian A --custodian B --sheets new-sheets --config new/c.toml --yes",
                ],
                // Everything is looked at before there is a command.
                _ if is_refused => &["list"],
                _ => &["snapshot", &restore],
            };
            for words in words {
                let what = format!("{name}={} lifeboat {words}", value.display());
                let mut command = desk.command(binary());
                command.env_remove("RUST_LOG").env(name, &value).args(words.split_whitespace());
                let ran = desk.finish(command.env("AWS_EC2_METADATA_DISABLED", "true"));
                assert_no_panic(&ran, &what);
                let said = ran.err.lines().filter(|line| line.starts_with("error: ")).count();
                assert_eq!(said, usize::from(!matches!(ran.code, Some(0 | 3))), "{what}: {:?} {}", ran.code, ran.err);
                if is_refused {
                    assert_eq!(ran.code, Some(2), "{what}: {}", ran.err);
                    assert!(ran.err.contains(name) || name == "LIFEBOAT_JSON", "{what}: {}", ran.err);
                    let shown = value.to_string_lossy();
                    assert!(
                        name.starts_with("LIFEBOAT") || shown.len() < 8 || !ran.err.contains(&*shown),
                        "{what}: {}",
                        ran.err
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_for_json_has_many_words() {
    let (_sandbox, desk) = scene().await;
    for (text, is_json) in [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false), ("no", false)] {
        let ran = desk.finish(desk.command(binary()).env("LIFEBOAT_JSON", text).arg("list")).expect(0);
        assert_eq!(ran.out.starts_with('{'), is_json, "{text}: {}", ran.out);
    }
    let refused =
        desk.finish(desk.command(binary()).env("LIFEBOAT_JSON", "yes").env("AWS_MAX_ATTEMPTS", "abc").arg("list"));
    assert_eq!(refused.expect(2).json()["exit"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_the_sdk_would_panic_at_is_refused() {
    let (_sandbox, desk) = scene().await;
    for (line, key) in [
        ("max_attempts = abc", "max_attempts"),
        ("retry_mode = legacy", "retry_mode"),
        ("region = eu central 1", "region"),
        ("endpoint_url = localhost", "endpoint_url"),
    ] {
        std::fs::write(desk.path("aws"), format!("[default]\n{line}\n[profile good]\nmax_attempts = 2\n")).unwrap();
        let run = |profile: &str| {
            let mut command = desk.command(binary());
            desk.finish(command.env("AWS_CONFIG_FILE", "aws").env("AWS_PROFILE", profile).arg("snapshot"))
        };
        run("default").expect(2).says(key);
        run("good").expect(0);
    }
    // One that the configuration names is read by the SDK alone.
    let text = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    std::fs::write(desk.path("lifeboat.toml"), text.replace("[source]\n", "[source]\nprofile = \"bad\"\n")).unwrap();
    std::fs::write(desk.path("aws"), "[profile bad]\nmax_attempts = abc\nretry_mode = legacy\n").unwrap();
    assert_no_panic(&desk.finish(desk.command(binary()).env("AWS_CONFIG_FILE", "aws").arg("snapshot")), "profile");
}
