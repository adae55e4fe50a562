//! What people get wrong, and the one sentence, the hint and the exit code that each gets: docs/messages.md.

use std::path::PathBuf;

use lifeboat::emulator::{Sandbox, SandboxOptions};

use crate::{
    command::{Desk, SHEETS, binary},
    messages::{Half, hold},
    scan_picture::Picture,
};

const ACCOUNT: &str = "111111111111";
const TWO: &str = "--share sheets/02-bo.txt --share sheets/04-dee.txt";

/// One mistake: what it is, files that are otherwise while it is made, variables, the command, and how it ends.
struct Mistake {
    area: &'static str,
    what: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    gone: Vec<&'static str>,
    variables: Vec<(&'static str, String)>,
    words: String,
    exit: i32,
}

fn mistake(area: &'static str, what: &'static str, words: impl Into<String>, exit: i32) -> Mistake {
    Mistake { area, what, files: Vec::new(), gone: Vec::new(), variables: Vec::new(), words: words.into(), exit }
}

impl Mistake {
    fn with(mut self, name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, bytes.into()));
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.gone.push(name);
        self
    }

    fn under(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn mistakes(desk: &Desk) -> Vec<Mistake> {
    let text = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    let sheet = text("sheets/05-eli.txt");
    let string = sheet.split_whitespace().find(|word| word.starts_with("LB1") && word.len() == 90).unwrap().to_owned();
    let rows: Vec<&str> =
        sheet.lines().map(str::trim).filter(|line| line.contains(": ") && line.contains(" = ")).take(4).collect();
    let (first, last) = (rows[1].chars().nth(3).unwrap(), rows[1].chars().nth(4).unwrap());
    let other = |symbol: char| if symbol == 'Q' { 'P' } else { 'Q' };
    let misread =
        rows.join("\n").replacen(&format!("2: {first}{last}"), &format!("2: {}{}", other(first), other(last)), 1);
    let config = text("lifeboat.toml");
    let restore = |rest: &str| format!("restore --repo west --to aws:eu-west-1 {rest}");
    let plan = |rest: &str| restore(&format!("{SHEETS} --plan {rest}"));
    let third = |name: &str| restore(&format!("{TWO} --plan --share {name}"));
    let init = |rest: &str| {
        format!(
            "init --config other/lifeboat.toml --repo other/repository --source aws:eu-central-1 --sheets other/sheets --yes {rest}"
        )
    };
    let three = "--custodian Ana --custodian Bo --custodian Cy";
    vec![
        mistake(
            "Places",
            "a region that does not exist",
            format!("restore --repo west --to aws:eu-wset-1 {SHEETS} --plan"),
            2,
        ),
        mistake(
            "Places",
            "the source's region mistyped",
            init(&format!("--threshold 2 {three} --source aws:eu-cental-1")).replacen(
                "--source aws:eu-central-1 ",
                "",
                1,
            ),
            2,
        ),
        mistake("Places", "an unknown provider", format!("restore --repo west --to fax:europe {SHEETS} --plan"), 2),
        mistake("Places", "no target", format!("restore --repo west {SHEETS} --plan"), 2),
        mistake(
            "Places",
            "a folder that is not a repository",
            format!("restore --repo sheets --to aws:eu-west-1 {SHEETS} --plan"),
            1,
        ),
        mistake("Places", "a folder that does not exist", format!("list --repo nowhere {SHEETS}"), 1),
        mistake("Places", "a file instead of a folder", format!("list --repo lifeboat.toml {SHEETS}"), 1),
        mistake("Places", "an address of an unknown kind", format!("list --repo ftp://example.com/x {SHEETS}"), 2),
        mistake(
            "Places",
            "a bucket whose endpoint answers nothing",
            format!("list --repo s3://b/p?region=eu-west-1&endpoint=http://127.0.0.1:9 {SHEETS}"),
            1,
        ),
        mistake(
            "Places",
            "the source itself as the target",
            format!("restore --repo west --to aws:eu-central-1 {SHEETS} --yes"),
            4,
        ),
        mistake("Places", "a copy of another repository", plan("--compare other-repository"), 1),
        mistake("Sheets", "too few sheets", restore(&format!("{TWO} --plan")), 5),
        mistake("Sheets", "one sheet twice", third("sheets/02-bo.txt"), 5),
        mistake("Sheets", "a file that is not a sheet", third("lifeboat.toml"), 5),
        mistake("Sheets", "a missing file", third("sheets/09-nobody.txt"), 5),
        mistake("Sheets", "a sheet with typing errors", third("sheet"), 5).with("sheet", misread),
        mistake("Sheets", "a sheet without its last row", third("sheet"), 5).with("sheet", rows[..3].join("\n")),
        mistake("Sheets", "a cut code", third("sheet"), 5).with("sheet", string[..60].to_owned()),
        mistake("Sheets", "a HEIC photo", third("sheet.heic"), 5)
            .with("sheet.heic", b"\0\0\0\x18ftypheic\0\0\0\0".to_vec()),
        mistake("Sheets", "a GIF", third("sheet.gif"), 5).with("sheet.gif", b"GIF89a\x01\0\x01\0".to_vec()),
        mistake("Sheets", "a damaged PNG", third("sheet.png"), 5).with("sheet.png", b"\x89PNG\r\n\x1a\n".to_vec()),
        mistake("Sheets", "a photo without a code in it", third("sheet.jpg"), 5)
            .with("sheet.jpg", Picture::plain(400, 300, 200).jpeg(80)),
        mistake("Sheets", "a program instead of a sheet", third("sheet"), 5)
            .with("sheet", b"\x7fELF\x02\x01\x01\0\0\0".to_vec()),
        mistake("Sheets", "a sealed sheet that was not opened", third("05-eli.txt.age"), 5)
            .with("05-eli.txt.age", b"age-encryption.org/v1\n".to_vec()),
        mistake("Sheets", "no sheet and no terminal", restore("--yes"), 2),
        mistake("Sheets", "a file that is not a sheet, verified", "custody verify lifeboat.toml", 5),
        mistake("Accounts", "credentials of another account", restore(&format!("{SHEETS} --yes")), 4)
            .under("AWS_ACCESS_KEY_ID", "222222222222"),
        mistake(
            "Accounts",
            "another account than the one that was named",
            restore(&format!("{SHEETS} --account 222222222222 --plan")),
            4,
        ),
        mistake(
            "Accounts",
            "an account number with a typo",
            restore(&format!("{SHEETS} --account 22222222222 --plan")),
            2,
        ),
        mistake("Accounts", "an AWS profile that is not defined", plan(""), 2)
            .under("AWS_ACCESS_KEY_ID", "")
            .under("AWS_PROFILE", "prodd"),
        mistake("Accounts", "no credentials", plan(""), 1)
            .under("AWS_ACCESS_KEY_ID", "")
            .under("AWS_SECRET_ACCESS_KEY", ""),
        mistake("Accounts", "a snapshot with another account's credentials", "snapshot", 4)
            .under("AWS_ACCESS_KEY_ID", "222222222222"),
        mistake(
            "Accounts",
            "a drill in the account of the source",
            format!("drill run --to aws:eu-west-1 {SHEETS} --yes"),
            4,
        ),
        mistake("Environment", "an endpoint that is not an address", plan(""), 2)
            .under("AWS_ENDPOINT_URL", "localhost"),
        mistake("Environment", "a region with a space", plan(""), 2).under("AWS_REGION", "eu west 1"),
        mistake("Environment", "a number that is not a number", plan(""), 2).under("AWS_MAX_ATTEMPTS", "many"),
        mistake("Environment", "a switch that is neither on nor off", "list", 2).under("LIFEBOAT_JSON", "maybe"),
        mistake("Environment", "an empty variable", "list", 2).under("LIFEBOAT_REPO", ""),
        mistake("Environment", "a proxy that is not an address", plan(""), 2).under("HTTPS_PROXY", "://"),
        mistake("Environment", "a missing file of certificate authorities", plan(""), 2)
            .under("AWS_CA_BUNDLE", "/nowhere/ca.pem"),
        mistake("Environment", "a share in a variable", "list", 2).under("LIFEBOAT_SHARE", string.clone()),
        mistake("Choices", "a time before the first snapshot", plan("--at 2020-01-01"), 2),
        mistake("Choices", "a time that cannot be read", plan("--at tomorrow"), 2),
        mistake("Choices", "a snapshot that does not exist", plan("--snapshot ffffffff"), 2),
        mistake("Choices", "an expected number above the newest one", plan("--expect-number 99"), 4),
        mistake("Choices", "a fault to accept, not written as printed", plan("--accept-fault everything"), 2),
        mistake("Choices", "a missing plan file", format!("restore --repo west --plan plan.json {SHEETS}"), 1),
        mistake(
            "Choices",
            "a file that is not a plan",
            format!("restore --repo west --plan lifeboat.toml {SHEETS} --yes"),
            2,
        ),
        mistake("Choices", "names that match nothing", restore(&format!("{SHEETS} --include nothing/* --yes")), 2),
        mistake("Choices", "no --yes and no terminal", restore(SHEETS), 2),
        mistake("Choices", "a source that is not configured", "snapshot --source 999999999999", 2),
        mistake("Choices", "a subset that does not exist", "check --subset 5/3", 2),
        mistake("Choices", "an unknown depth", "check --depth deep", 2),
        mistake("Choices", "a command with a typo", "snapshoot", 2),
        mistake("Choices", "an option with a typo", "snapshot --jsn", 2),
        mistake("Choices", "forgetting without a rule", "forget --yes", 2),
        mistake(
            "Choices",
            "a signer that does not exist",
            format!("custody signer remove --name nobody {SHEETS} --yes"),
            2,
        ),
        mistake("Choices", "a missing drill file", "drill run monthly", 2),
        mistake("Choices", "a sandbox open to the network", "sandbox --listen 0.0.0.0:0", 1),
        mistake("Compromise", "a scope that matches nothing", "compromise plan --scope nothing/ --since 2026-01-01", 2),
        mistake("Compromise", "a plan without a time", "compromise plan --scope app/one", 2),
        mistake("Compromise", "a file that is not a plan", "compromise run lifeboat.toml --yes", 2),
        mistake("Compromise", "a mark that matches nothing", "compromise mark --scope nothing/ --yes", 2),
        mistake("Compromise", "a record that does not exist", "compromise mark --undo nothing --yes", 2),
        mistake(
            "Compromise",
            "a playbook with a typo",
            "compromise plan --scope app/one --since 2026-01-01 --playbook playbook.toml",
            2,
        )
        .with("playbook.toml", "[[secret]]\nname = \"app/one\"\n"),
        mistake("Configuration", "no configuration", "snapshot", 2).without("lifeboat.toml"),
        mistake("Configuration", "a key with a typo", "list", 2)
            .with("lifeboat.toml", format!("{config}\n[retention]\nkeep_dayly = 14\n")),
        mistake("Configuration", "a missing section", "list", 2)
            .with("lifeboat.toml", config.replace("[trust]", "[trusted]")),
        mistake("Configuration", "a file that is not TOML", "list", 2).with("lifeboat.toml", "repository: here"),
        mistake("Configuration", "a root key that is not a key", "list", 2)
            .with("lifeboat.toml", config.replace("ssh-ed25519 ", "ssh-dsa ")),
        mistake("Configuration", "the index key is gone", "show", 2).without("keys/index.age"),
        mistake("Configuration", "a signer file with something else in it", "snapshot", 2)
            .with("keys/signer", "nothing"),
        mistake(
            "Configuration",
            "a second repository in the same place",
            init("")
                .replace("other/repository", "repository")
                .replace("--yes", &format!("--yes --threshold 2 {three}")),
            4,
        ),
        mistake("Ceremonies", "a threshold above the number of custodians", init(&format!("--threshold 4 {three}")), 2),
        mistake("Ceremonies", "a threshold of one", init(&format!("--threshold 1 {three}")), 2),
        mistake(
            "Ceremonies",
            "the same custodian twice",
            init("--threshold 2 --custodian Ana --custodian Ana --custodian Cy"),
            2,
        ),
        mistake(
            "Ceremonies",
            "a private key to seal to",
            init(&format!("--threshold 2 {three} --seal-to Ana=AGE-SECRET-KEY-1")),
            2,
        ),
        mistake("Ceremonies", "nothing to confirm", "custody reshare --confirm --share sheets/01-ana.txt", 2),
        mistake("Ceremonies", "new sheets without a threshold", format!("custody reshare --sheets new {SHEETS}"), 2),
        mistake(
            "Ceremonies",
            "sheets into a folder with other files",
            format!("custody reshare --threshold 2 {three} --sheets sheets {SHEETS} --yes"),
            4,
        ),
    ]
}

/// What differs from run to run.
fn steady(text: &str, desk: &Desk) -> String {
    let folder = desk.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let text = text.replace(&folder, "FOLDER").replace("/private", "");
    let mut steady = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let stem = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_id = stem.len() >= 8
            && stem.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
            && stem.bytes().any(|b| b.is_ascii_digit());
        let is_account = stem.len() == 12 && stem.bytes().all(|b| b.is_ascii_digit());
        if is_id && !is_account && stem != "ffffffff" {
            steady.push_str(&word.replace(stem, "ID"));
        } else {
            steady.push_str(word);
        }
    }
    steady
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_gets_one_sentence_a_hint_and_its_exit_code() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "marker-value").unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let mut page = String::from(
        "# Mistakes, and what they get\n\nWritten by the test that makes them (`cargo test --features full --test it mistakes::`; `LIFEBOAT_WRITE_DOCS=1` writes it).\n\
         The first line is the error, the second the hint. FOLDER is a path, ID an id.\n",
    );
    let mut wrong = Vec::new();
    let (all, mut area) = (mistakes(&desk), "");
    assert!(all.len() >= 60, "{}", all.len());
    for each in &all {
        let kept: Vec<(PathBuf, Option<Vec<u8>>)> = each
            .files
            .iter()
            .map(|(name, _)| *name)
            .chain(each.gone.iter().copied())
            .map(|name| (desk.path(name), std::fs::read(desk.path(name)).ok()))
            .collect();
        each.files.iter().for_each(|(name, bytes)| std::fs::write(desk.path(name), bytes).unwrap());
        each.gone.iter().for_each(|name| std::fs::remove_file(desk.path(name)).unwrap());
        let mut command = desk.command(binary());
        command.args(each.words.split_whitespace()).env_remove("RUST_LOG");
        for (name, value) in &each.variables {
            if value.is_empty() && !name.starts_with("LIFEBOAT") {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        let ran = desk.finish(&mut command);
        for (path, bytes) in kept {
            match bytes {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        if ran.code != Some(each.exit) {
            wrong.push(format!("{}: {:?}: {}\n{}{}", each.what, ran.code, each.words, ran.out, ran.err));
            continue;
        }
        assert!(!ran.err.contains("marker-value") && !ran.err.contains("panicked"), "{}", ran.err);
        let line =
            |start: &str| ran.err.lines().find_map(|line| line.strip_prefix(start)).map(|line| steady(line, &desk));
        // What is incomplete is no error: its warning says what.
        let Some(error) = line("error: ").or_else(|| line("warning: ")) else {
            wrong.push(format!("{}: no sentence: {}{}", each.what, ran.out, ran.err));
            continue;
        };
        assert!(!error.ends_with('.') || error.ends_with("…"), "{}: {error}", each.what);
        assert!(error.len() < 400, "{}: {error}", each.what);
        if area != each.area {
            area = each.area;
            page.push_str(&format!("\n## {area}\n\n| mistake | exit | error, and hint |\n|---|---|---|\n"));
        }
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "\\<");
        let hint =
            line("hint: ").or_else(|| line("tip: ")).map_or_else(String::new, |hint| format!("<br>{}", cell(&hint)));
        page.push_str(&format!("| {} | {} | {}{hint} |\n", each.what, each.exit, cell(&error)));
    }
    sandbox.shutdown().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    hold(&Half::Mistakes, &page);
}
