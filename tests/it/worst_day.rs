//! The recovery as the person on call meets it: a clean machine, a copy, and what goes wrong under stress.

use lifeboat::emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions};

use crate::command::{Desk, SHEETS, with_a_copy};

const ACCOUNT: &str = "111111111111";
const OTHER: &str = "222222222222";
const RESTORE: &str = "restore --repo west --to aws:eu-west-1";

/// What a clean machine lacks.
fn forget_the_host(desk: &Desk) {
    for name in ["lifeboat.toml", "keys", "state", "repository"] {
        let path = desk.path(name);
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
}

fn writes(sandbox: &Sandbox) -> usize {
    sandbox.control().writes().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_than_the_sources_is_named_and_needs_its_number() {
    let (sandbox, desk) = with_a_copy().await;
    sandbox.control().reset_calls();
    let as_other = |words: &str| desk.run_as(OTHER, words);
    let plan = as_other(&format!("{RESTORE} {SHEETS} --plan")).expect(0);
    assert!(plan.err.contains(&format!("the target is account {OTHER}; the secrets came from account {ACCOUNT}")));
    let refused = as_other(&format!("{RESTORE} {SHEETS} --yes")).expect(4);
    assert!(refused.err.contains(&format!("--account {OTHER}")), "{}", refused.err);
    for words in ["--yes", "--plan", "--plan-out plan.json"] {
        let ran = as_other(&format!("{RESTORE} {SHEETS} --account {ACCOUNT} {words}")).expect(4);
        assert!(ran.err.contains(&format!("belong to account {OTHER}, not to account {ACCOUNT}")), "{}", ran.err);
        let ran = desk.run(&format!("{RESTORE} {SHEETS} --account {OTHER} {words}")).expect(4);
        assert!(ran.err.contains(&format!("belong to account {ACCOUNT}")), "{}", ran.err);
    }
    for number in ["", "12345", "11111111111x", "1111111111111"] {
        as_other(&format!("{RESTORE} {SHEETS} --account={number} --yes")).expect(2);
    }
    assert_eq!(writes(&sandbox), 0, "nothing was written");
    desk.run(&format!("{RESTORE} {SHEETS} --yes")).expect(0);
    as_other(&format!("{RESTORE} {SHEETS} --account {OTHER} --yes")).expect(0);
    as_other(&format!("restore --repo west --to aws:eu-west-2 {SHEETS} --plan-out plan.json")).expect(0);
    as_other(&format!("restore --repo west --plan plan.json {SHEETS} --yes")).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_exist_is_a_typo_said_at_once() {
    let (sandbox, desk) = with_a_copy().await;
    sandbox.control().reset_calls();
    let ran = desk.run(&format!("restore --repo west --to aws:eu-wset-1 {SHEETS} --yes")).expect(2);
    assert!(ran.err.contains("there is no region eu-wset-1; did you mean eu-west-1?"), "{}", ran.err);
    desk.run("runbook --to aws:eu-wset-1").expect(2).says("did you mean eu-west-1?");
    let init = "init --config other/lifeboat.toml --repo other/repository --source aws:eu-cental-1 --threshold 2 \
                --custodian A --custodian B --custodian C --sheets other/sheets --yes";
    desk.run(init).expect(2).says("did you mean eu-central-1?");
    assert!(!desk.path("other").exists());
    assert_eq!(writes(&sandbox), 0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_six_words_are_shown_everywhere_and_need_no_sheet() {
    let (sandbox, desk) = with_a_copy().await;
    let sheet = std::fs::read_to_string(desk.path("sheets/02-bo.txt")).unwrap();
    let words = sheet.lines().find_map(|line| line.trim().strip_prefix("In words")).unwrap().trim().to_owned();
    assert_eq!(words.split(' ').count(), 6);
    for command in ["words", "words --repo west", "list", "custody register", "custody verify sheets/02-bo.txt"] {
        let ran = desk.run(command).expect(0);
        assert!(ran.out.contains(&words) || ran.err.contains(&words), "{command}: {}{}", ran.out, ran.err);
    }
    for command in ["words", "list", "custody register"] {
        assert!(desk.run(&format!("{command} --json")).json().to_string().contains(&words), "{command}");
    }
    assert!(desk.run("runbook --to aws:eu-west-1").expect(0).out.contains(&words));
    forget_the_host(&desk);
    let ran = desk.run("words --repo west").expect(0);
    assert!(ran.out.contains(&words) && ran.err.contains("not verified"), "{}{}", ran.out, ran.err);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_is_printed_from_a_copy_alone_and_without_any_repository() {
    let (sandbox, desk) = with_a_copy().await;
    let whole = desk.run("runbook --to aws:eu-west-1 --to aws:eu-north-1 --call 'Ops: 1|2'").expect(2);
    assert!(whole.err.contains("unexpected"), "the shell of this test does not quote: {}", whole.err);
    let whole = desk.run("runbook --to aws:eu-west-1 --to aws:eu-north-1 --call Ops:+49-30-1").expect(0).out;
    for words in [
        "- Ops:+49-30-1",
        "lifeboat restore --repo",
        "--to aws:eu-north-1",
        "number 1, of",
        "LIFEBOAT RECOVERY SHEET",
        "lifeboat words --repo",
    ] {
        assert!(whole.contains(words), "{words}: {whole}");
    }
    // The repository is gone, its configuration is not.
    std::fs::rename(desk.path("repository"), desk.path("gone")).unwrap();
    let page = desk.run("runbook --to aws:eu-west-1").expect(3);
    for words in ["Incomplete", "west`", "Custodians: not known"] {
        assert!(page.out.contains(words), "{words}: {}", page.out);
    }
    std::fs::rename(desk.path("gone"), desk.path("repository")).unwrap();
    forget_the_host(&desk);
    let page = desk.run("runbook --repo west --to aws:eu-west-1").expect(0).out;
    for words in [
        "nothing on this page is verified",
        "| 4 | Dee |",
        "number 1, of",
        "restore --repo west --to aws:eu-west-1 --share sheets/ --expect-number 1 --plan",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    desk.run("runbook --to aws:eu-west-1").expect(2);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_written_as_people_write_it() {
    let (sandbox, desk) = with_a_copy().await;
    for at in ["2999-01-01", "today"] {
        let ran = desk.run(&format!("{RESTORE} {SHEETS} --plan --at {at}"));
        assert!(matches!(ran.code, Some(0 | 2)), "{at}: {}", ran.err);
    }
    desk.run(&format!("{RESTORE} {SHEETS} --plan --at today")).expect(0);
    for at in ["yesterday", "2020-01-01", "2020-01-01T03:00Z"] {
        desk.run(&format!("{RESTORE} {SHEETS} --plan --at {at}")).expect(2).says("no snapshot");
    }
    desk.run(&format!("{RESTORE} {SHEETS} --plan --at tomorrow")).expect(2).says("yesterday 03:00");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_gone_is_not_made_again_unasked() {
    let (sandbox, desk) = with_a_copy().await;
    std::fs::rename(desk.path("west"), desk.path("unmounted")).unwrap();
    for command in ["snapshot", "copy"] {
        let ran = desk.run(command).expect(3);
        assert!(ran.err.contains("the copy is gone: it had the snapshots up to number 1"), "{}", ran.err);
        assert!(ran.err.contains("copy --to") && ran.err.contains("--remake"), "{}", ran.err);
        assert!(!desk.path("west").exists(), "{command} made another copy beside it");
    }
    std::fs::rename(desk.path("unmounted"), desk.path("west")).unwrap();
    desk.run("copy").expect(0);
    std::fs::remove_dir_all(desk.path("west")).unwrap();
    desk.run("copy --remake").expect(0);
    desk.run("check --repo west").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_machine_checks_at_every_depth_with_sheets_alone() {
    let (sandbox, desk) = with_a_copy().await;
    forget_the_host(&desk);
    for depth in ["structure", "index", "values"] {
        let report = desk.run(&format!("check --repo west --depth {depth} {SHEETS} --json")).expect(0).json();
        assert_eq!(report["snapshots"], 1, "{depth}");
        assert_eq!(report["references"].as_u64().unwrap() > 0, depth != "structure", "{depth}");
        assert_eq!(report["values"].as_u64().unwrap() > 0, depth == "values", "{depth}");
    }
    for command in ["check --repo west", "list --repo west", "show --repo west", "status --repo west"] {
        let ran = desk.run(command).expect(2);
        assert!(ran.err.contains("use --repo URL and --share"), "{command}: {}", ran.err);
        assert!(!ran.err.contains("init"), "never during a recovery: {}", ran.err);
    }
    desk.run(&format!("list --repo nowhere {SHEETS}")).expect(1).says("there is no repository");
    assert!(!desk.run(&format!("list --repo nowhere {SHEETS}")).err.contains("init"));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sheets_in_the_files_of_other_systems_are_read() {
    let (sandbox, desk) = with_a_copy().await;
    let text = std::fs::read_to_string(desk.path("sheets/02-bo.txt")).unwrap();
    let string = text.split_whitespace().find(|word| word.starts_with("LB1") && word.len() == 90).unwrap().to_owned();
    let rows: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.contains(": ") && line.contains(" = ")).take(4).collect();
    let rows = rows.join("\n");
    let utf16 = |text: &str, mark: bool, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let mark: &[u16] = if mark { &[0xfeff] } else { &[] };
        mark.iter().copied().chain(text.encode_utf16()).flat_map(unit).collect()
    };
    let wide = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c })
            .collect()
    };
    let mut forms: Vec<Vec<u8>> = Vec::new();
    for body in [&text, &rows, &string] {
        let crlf = body.replace('\n', "\r\n");
        forms.extend([
            body.clone().into_bytes(),
            crlf.clone().into_bytes(),
            body.replace('\n', "\r").into_bytes(),
            body.to_lowercase().into_bytes(),
            [&[0xef, 0xbb, 0xbf][..], crlf.as_bytes()].concat(),
            utf16(&crlf, true, u16::to_le_bytes),
            utf16(&crlf, true, u16::to_be_bytes),
            utf16(&crlf, false, u16::to_le_bytes),
            utf16(body, false, u16::to_be_bytes),
            wide(body).into_bytes(),
            [&b"Zo\xeb \x96 the sheet\r\n"[..], crlf.as_bytes()].concat(),
            [b"> ", body.replace('\n', "\n> ").as_bytes()].concat(),
            body.replace('\n', "\n\n").into_bytes(),
            body.replace(' ', "\u{a0}").into_bytes(),
        ]);
    }
    assert!(forms.len() >= 40, "{}", forms.len());
    for (at, bytes) in forms.iter().enumerate() {
        std::fs::write(desk.path("form"), bytes).unwrap();
        let ran = desk.run("custody verify form --no-record");
        assert_eq!(
            ran.code,
            Some(0),
            "form {at} ({:?}…): {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)]),
            ran.err
        );
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_backup_host_joins_from_a_copy_and_a_quorum_in_one_command() {
    let (sandbox, desk) = with_a_copy().await;
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    std::fs::write(desk.path("lifeboat.toml"), format!("{config}\n[retention]\nkeep_daily = 14\n")).unwrap();
    desk.run("snapshot").expect(0);
    desk.run(&format!("host join --repo west --name backup-2 {SHEETS} --yes")).expect(4).says("is there already");
    forget_the_host(&desk);
    let join = format!("host join --repo west --name backup-2 {SHEETS}");
    let few = "host join --repo west --name backup-2 --share sheets/01-ana.txt --yes";
    desk.run(few).expect(5);
    desk.run(&join).expect(2).says("confirmation");
    let taken = ["host", "join", "--repo", "west", "--name", "backup host", "--yes"];
    let mut command = desk.command(crate::command::binary());
    desk.finish(command.args(taken).args(SHEETS.split(' '))).expect(2).says("already");
    assert!(
        !desk.path("lifeboat.toml").exists() && !desk.path("keys").exists(),
        "nothing is left of what did not happen"
    );
    let joined = desk.run(&format!("{join} --yes --json --expect-number 2")).expect(0).json();
    assert_eq!(joined["signers"].as_array().unwrap().len(), 2);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    assert!(config.contains("keep_daily = 14") && !config.contains("[[copy]]"), "{config}");
    let taken = desk.run("snapshot --json").expect(0).json();
    let counts = &taken["counts"];
    assert_eq!((&counts["values_read"], &counts["values_carried"]), (&1.into(), &0.into()), "a full snapshot: {taken}");
    desk.run("check --depth index").expect(3);
    assert_eq!(desk.run("list --json").expect(0).json()["snapshots"].as_array().unwrap().len(), 3);
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    desk.run(&format!("restore --to aws:eu-west-1 {SHEETS} --yes")).expect(0);
    sandbox.shutdown().await;
}

const NEW: &str = "--threshold 2 --custodian Fay --custodian Gus --custodian Hal --sheets new --yes";
const NEW_SHEETS: &str = "--share new/01-fay.txt --share new/03-hal.txt";

#[tokio::test(flavor = "multi_thread")]
async fn sheets_of_before_and_after_a_rotation_say_what_they_open() {
    let (sandbox, desk) = with_a_copy().await;
    let first = desk.run("list --json").expect(0).json()["snapshots"][0]["snapshot"].as_str().unwrap().to_owned();
    desk.run(&format!("custody rotate {NEW}")).expect(0);
    desk.run("custody rotate --confirm --share new").expect(0);
    // Before the next snapshot the newest one is of the old key.
    for command in [format!("{RESTORE} --plan"), "show --repo west".into(), format!("{RESTORE} --yes")] {
        let ran = desk.run(&format!("{command} {NEW_SHEETS}")).expect(5);
        assert!(
            ran.err.contains("number 1 is sealed to the key of epoch 1; these sheets hold the key of epoch 2"),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("use the sheets of epoch 1 (share set "), "{}", ran.err);
    }
    desk.run(&format!("{RESTORE} --snapshot {} {SHEETS} --yes", &first[..8])).expect(0);
    desk.run("snapshot").expect(0);
    desk.run(&format!("restore --repo west --to aws:eu-west-2 {NEW_SHEETS} --yes")).expect(0);
    let old = desk.run(&format!("restore --repo west --to aws:eu-west-3 {SHEETS} --yes")).expect(4);
    assert!(old.err.contains("opens only the snapshots up to epoch 1") && old.err.contains("by its id"), "{}", old.err);
    let checked = desk.run(&format!("check --repo west --depth values {SHEETS}")).expect(4);
    assert!(!checked.err.contains("damaged") && !checked.out.contains("damaged"), "{}{}", checked.out, checked.err);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_sheets_open_a_copy_that_is_older_than_they_are() {
    let (sandbox, desk) = with_a_copy().await;
    std::fs::rename(desk.path("west"), desk.path("shelf")).unwrap();
    desk.run("copy --remake").expect(0);
    desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    desk.run("custody reshare --confirm --share new").expect(0);
    // This host knows better; a clean machine cannot.
    desk.run(&format!("restore --repo shelf --to aws:eu-west-1 {NEW_SHEETS} --yes")).expect(5);
    std::fs::rename(desk.path("lifeboat.toml"), desk.path("away.toml")).unwrap();
    let ran = desk.run(&format!("restore --repo shelf --to aws:eu-west-1 {NEW_SHEETS} --yes")).expect(0);
    assert!(ran.err.contains("is not known here: this copy is older than the sheets"), "{}", ran.err);
    desk.run(&format!("restore --repo west --to aws:eu-west-2 {NEW_SHEETS} --yes")).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_found_here_then_in_the_home_folder() {
    let (sandbox, desk) = with_a_copy().await;
    let home = desk.path(".config/lifeboat");
    std::fs::create_dir_all(&home).unwrap();
    for name in ["lifeboat.toml", "keys", "state"] {
        std::fs::rename(desk.path(name), home.join(name)).unwrap();
    }
    desk.run("list").expect(0);
    desk.run("snapshot").expect(0);
    assert!(!desk.path("state").exists(), "state lies beside the configuration");
    // What is here counts first, and what is named counts alone.
    std::fs::write(desk.path("lifeboat.toml"), "nonsense").unwrap();
    desk.run("list").expect(2).says("lifeboat.toml");
    std::fs::remove_file(desk.path("lifeboat.toml")).unwrap();
    desk.run("list --config lifeboat.toml").expect(2).says("there is no configuration at lifeboat.toml");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_one_sentence_and_not_one_for_each_secret() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for n in 0..60 {
        sandbox.control().put(ACCOUNT, "eu-central-1", &format!("app/{n}"), "value").unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let denied = |secret: Option<&str>| Fault {
        operation: Some("CreateSecret".into()),
        secret: secret.map(str::to_owned),
        account: None,
        region: Some("eu-west-1".into()),
        when: FaultWhen::Always,
        kind: FaultKind::Error { code: "AccessDeniedException".into(), message: "not authorized".into() },
    };
    sandbox.control().add_fault(denied(None));
    sandbox.control().reset_calls();
    let ran = desk.run(&format!("{RESTORE} {SHEETS} --yes")).expect(1).says("CreateSecret");
    assert!(ran.err.contains("doctor --to") && ran.err.matches("AccessDenied").count() < 40, "{}", ran.err);
    assert!(sandbox.control().calls()["CreateSecret"] < 40, "it stops");
    // One name that is denied holds up none.
    sandbox.control().clear_faults();
    sandbox.control().add_fault(denied(Some("app/7")));
    let ran = desk.run(&format!("{RESTORE} {SHEETS} --yes --json")).expect(3).json();
    assert_eq!(ran["verification"]["values"], 59, "{ran}");
    sandbox.shutdown().await;
}

/// The shells of this machine.
fn shells() -> Vec<&'static str> {
    let there =
        |shell: &&str| std::process::Command::new(shell).args(["-c", "true"]).status().is_ok_and(|it| it.success());
    let shells: Vec<&str> = ["bash", "dash", "zsh"].into_iter().filter(there).collect();
    assert!(shells.contains(&"bash") && shells.len() > 1, "{shells:?}");
    shells
}

#[test]
fn printed_commands_paste_into_every_shell_and_hit_nothing_else() {
    let desk = Desk::offline(ACCOUNT);
    let words = |folder: &str, config: &str| -> Vec<String> {
        let init = "init --repo repository --source aws:eu-central-1 --threshold 2 --custodian A --custodian B --custodian C --yes";
        let more = ["--config", config, "--sheets", folder, "--copy", "s3://b/p?region=eu-west-1&profile=it's"];
        init.split(' ').chain(more).map(str::to_owned).collect()
    };
    for (n, shell) in shells().into_iter().enumerate() {
        let folder = format!("./key sheets {n} $(touch owned)");
        std::fs::write(desk.path("./key"), "another file").unwrap();
        std::fs::create_dir_all(desk.path("sheets")).unwrap();
        std::fs::write(desk.path("sheets/kept.txt"), "another file").unwrap();
        let config = format!("host {n}/it's lifeboat.toml");
        std::fs::create_dir_all(desk.path(&format!("host {n}"))).unwrap();
        let mut command = desk.command(crate::command::binary());
        let args: Vec<String> =
            words(&folder, &config).iter().map(|word| word.replace("repository", &format!("repository{n}"))).collect();
        let made = desk.finish(command.args(args)).expect(0);
        let shred = made.err.lines().map(str::trim).find(|line| line.starts_with("shred ")).unwrap().to_owned();
        let script = std::fs::read_to_string(desk.path(&format!("host {n}/ceremony.txt"))).unwrap();
        assert!(script.lines().any(|line| line.ends_with(&shred)), "one line on the script too: {script}");
        assert!(desk.path(&folder).exists());
        desk.finish(desk.command(shell).args(["-c", &shred])).expect(0);
        assert!(!desk.path(&folder).exists() && !desk.path("owned").exists(), "{shell}");
        assert!(desk.path("key").exists() && desk.path("sheets/kept.txt").exists(), "{shell} hit something else");

        // What the runbook prints reaches the program as words.
        let mut command = desk.command(crate::command::binary());
        let page = desk.finish(command.args(["runbook", "--to", "aws:eu-west-1", "--config", &config])).expect(0).out;
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("    lifeboat ")).collect();
        assert!(lines.len() >= 3, "{page}");
        for line in lines {
            let pasted = format!("lifeboat() {{ printf '%s\\n' \"$@\"; }}\n{line}");
            let given = desk.finish(desk.command(shell).args(["-c", &pasted])).expect(0).out;
            // A grant asks the server that runs, and no copy.
            let word = if line.contains(" grant ") { "PATTERN" } else { "s3://b/p?region=eu-west-1" };
            assert!(given.lines().any(|given| given == word), "{shell}: {line}: {given}");
        }
    }
}
