//! `get`, `versions`, `exec` and `export` as a person runs them on a clean machine: a copy and three sheets, nothing else.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::command::{Desk, Ran, SHEETS, binary};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";
const DATABASE: &str =
    r#"{"host":"db.internal","port":5432,"password":"p w'\"$`\\n","old":null,"options":{"tls":true}}"#;

/// A desk whose sandbox is gone: what is left is a copy in `west` and the sheets.
pub struct Scene {
    pub desk: Desk,
}

impl Scene {
    /// With what `put` puts there, one snapshot.
    pub async fn new(put: impl Fn(&Sandbox)) -> Self {
        Self::of_days(&[&put]).await
    }

    /// One snapshot after each change.
    pub async fn of_days(days: &[&dyn Fn(&Sandbox)]) -> Self {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
        desk.init();
        for day in days {
            day(&sandbox);
            desk.run("snapshot").expect(0);
        }
        desk.run("copy").expect(0);
        // The provider, the configuration, the keys and the first repository are lost.
        sandbox.shutdown().await;
        for lost in ["repository", "keys", "state"] {
            let _ = std::fs::remove_dir_all(desk.path(lost));
        }
        std::fs::remove_file(desk.path("lifeboat.toml")).unwrap();
        Self { desk }
    }

    /// `lifeboat`, with nothing in its environment that leads to a provider.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.desk.folder.path()).stdin(Stdio::null());
        command.env("LIFEBOAT_REPO", "west").args(words);
        command
    }

    /// The same with three sheets; words after `--` are the command of `exec`.
    pub fn run(&self, words: &[&str]) -> Ran {
        let at = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        let sheets: Vec<&str> = SHEETS.split_whitespace().collect();
        let words: Vec<&str> = [&words[..at], &sheets, &words[at..]].concat();
        self.desk.finish(&mut self.command(&words))
    }
}

async fn estate() -> Scene {
    Scene::new(|sandbox| {
        for (name, value) in [
            ("app/db", DATABASE),
            ("app/plain", "line one\nline two"),
            ("app/empty-end", "ends\n"),
            ("app/evil", r#"{"LD_PRELOAD":"/tmp/x.so","GOOD":"1"}"#),
            ("app/steers", "\u{1b}[2J"),
            ("app/a=b", "equal"),
        ] {
            sandbox.control().put(ACCOUNT, REGION, name, value).unwrap();
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_comes_out_exactly_with_a_copy_and_sheets_alone() {
    let scene = estate().await;
    let get = |words: &str| scene.run(&format!("get {words}").split_whitespace().collect::<Vec<_>>());
    for (name, value) in [("app/db", DATABASE), ("app/plain", "line one\nline two"), ("app/empty-end", "ends\n")] {
        let ran = get(name).expect(0);
        assert!(ran.out == value, "{name} is not what it was");
        assert!(ran.err.contains("snapshot") && ran.err.contains("ago"), "the age is shown: {}", ran.err);
    }
    assert!(get("app/steers").expect(0).out == "\u{1b}[2J", "a pipe gets every byte");
    // By field.
    for (field, text) in
        [("/host", "db.internal"), ("/port", "5432"), ("/password", "p w'\"$`\\n"), ("/options", r#"{"tls":true}"#)]
    {
        assert!(get(&format!("app/db --field {field}")).expect(0).out == text, "{field}");
    }
    assert_eq!(get("app/db --field /options/tls").expect(0).out, "true");
    let ran = get("app/db --field password").expect(2).says("a JSON pointer begins with /");
    assert!(ran.err.contains("--field /password"), "{}", ran.err);
    get("app/db --field /none").expect(2).says("no field /none");
    get("app/plain --field /a").expect(2).says("not JSON");
    // By ARN, of a region that is gone.
    let shown = get("app/db --json").expect(0).json();
    let arn = shown["id"].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:secretsmanager:eu-central-1:") && shown["value"] == DATABASE);
    assert!(get(&arn).expect(0).out == DATABASE && get(&arn[..arn.len() - 7]).expect(0).out == DATABASE);
    get(&arn.replace("eu-central-1", "eu-west-9")).expect(2).says("no secret is named");
    // By version.
    let version = shown["version"].as_str().unwrap();
    assert!(get(&format!("app/db --version {version}")).expect(0).out == DATABASE);
    assert!(get("app/db --version AWSCURRENT").expect(0).out == DATABASE);
    let ran = get("app/db --version AWSPREVIOUS").expect(2).says("no version or label AWSPREVIOUS");
    assert!(ran.err.contains("AWSCURRENT"), "{}", ran.err);
    get("app/d").expect(2).says("no secret is named app/d");
    get("app/db --at 2020-01-01").expect(2).says("at or before");
    // Without enough sheets, nothing.
    let ran = scene.desk.finish(&mut scene.command(&["get", "app/db", "--share", "sheets/01-ana.txt"])).expect(5);
    assert!(ran.out.is_empty(), "nothing is printed");
    scene.desk.finish(&mut scene.command(&["get", "app/db"])).expect(2).says("no sheets given");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_private_whole_and_never_a_device() {
    let scene = estate().await;
    let path = scene.desk.path("db.json");
    scene.run(&["get", "app/db", "--output", "db.json"]).expect(0);
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == DATABASE && std::fs::metadata(&path).unwrap().permissions().mode() & 0o777 == 0o600);
    // Again, over a file that others could read.
    std::fs::write(&path, "before").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = scene.run(&["get", "app/db", "--output", "db.json", "--field", "/host", "--json"]).expect(0);
    assert!(std::fs::read_to_string(&path).unwrap() == "db.internal" && !ran.out.contains("db.internal"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::os::unix::fs::symlink("db.json", scene.desk.path("link")).unwrap();
    for odd in ["/dev/stdout", "/dev/null", "sheets", "link"] {
        scene.run(&["get", "app/db", "--output", odd]).expect(2).says("no regular file");
    }
    scene.run(&["get", "app/db", "--output", "nowhere/db.json"]).expect(1);
}

/// What a shell makes of the command with its stdout somewhere.
fn through_shell(scene: &Scene, script: &str) -> Ran {
    let mut shell = Command::new("bash");
    shell.env_clear().env("PATH", "/usr/bin:/bin").env("LIFEBOAT_REPO", "west");
    shell.current_dir(scene.desk.folder.path()).stdin(Stdio::null());
    shell.arg("-c").arg(script.replace("SHEETS", SHEETS)).arg(binary());
    scene.desk.finish(&mut shell)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_nobody_took_is_no_success() {
    let scene = estate().await;
    through_shell(&scene, "\"$0\" get app/db SHEETS >/dev/full").expect(1).says("the output was lost");
    through_shell(&scene, "\"$0\" get app/db SHEETS >&-").expect(1).says("the output was lost");
    through_shell(&scene, "set -o pipefail; { sleep 0.3; \"$0\" get app/db SHEETS; } | :").expect(141);
    let ran = through_shell(&scene, "\"$0\" get app/plain SHEETS | head -1").expect(0);
    assert_eq!(ran.out, "line one\n");
    through_shell(&scene, "\"$0\" export --format json --secret app/db SHEETS >/dev/full").expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_gets_a_line_end_and_nothing_that_steers_it() {
    let scene = estate().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/converse.py");
    let talk = |words: &str, steps: &[Json]| {
        let mut command = Command::new("python3");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LIFEBOAT_REPO", "west");
        command.current_dir(scene.desk.folder.path()).stdin(Stdio::null());
        command.arg(script).arg(json!(steps).to_string()).arg(binary()).args(words.split_whitespace());
        scene.desk.finish(&mut command)
    };
    let ran = talk(&format!("get app/db --field /host {SHEETS}"), &[]).expect(0);
    assert!(ran.out.contains("db.internal\r\n"), "the prompt begins on a line of its own");
    let ran = talk(&format!("get app/steers {SHEETS}"), &[]).expect(2);
    assert!(!ran.out.contains("\u{1b}[2J") && ran.out.contains("would steer the terminal"), "{}", ran.out);
    // The sheets typed, on a machine that has nothing else.
    let sheet = |name: &str| {
        let text = std::fs::read_to_string(scene.desk.path(&format!("sheets/{name}.txt"))).unwrap();
        text.split_whitespace().find(|word| word.starts_with("LB1") && word.len() == 90).unwrap().to_owned()
    };
    let steps: Vec<Json> = (1..)
        .zip(["02-bo", "04-dee", "05-eli"])
        .map(|(at, name)| json!([format!("Sheet {at} of 3, row 1: "), format!("{}\r", sheet(name))]))
        .collect();
    let ran = talk("get app/db --field /host", &steps).expect(0);
    assert!(ran.out.contains("db.internal"), "typed sheets open it");
    assert!(!ran.out.contains(&sheet("02-bo")), "no sheet is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_several_sources_is_never_guessed() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for (region, value) in [("eu-central-1", "central"), ("eu-west-1", "west")] {
        sandbox.control().put(ACCOUNT, region, "app/both", value).unwrap();
        sandbox.control().put(ACCOUNT, region, &format!("app/{region}"), value).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let section = |region: &str| format!("[[source]]\nurl = \"aws:{region}\"\n");
    crate::sources::configure(&desk, &format!("{}{}", section("eu-central-1"), section("eu-west-1")));
    desk.run("snapshot").expect(0);
    let get = |words: &str| desk.run(&format!("get {words} --repo repository {SHEETS}"));
    let ran = get("app/both").expect(2).says("2 sources have a secret named app/both");
    assert!(ran.out.is_empty() && ran.err.contains("--source") && ran.err.contains("111111111111:eu-west-1"));
    assert_eq!(get("app/both --source 111111111111:eu-west-1").expect(0).out, "west");
    assert_eq!(get("app/both --source 111111111111:eu-central-1").expect(0).out, "central");
    assert_eq!(get("app/eu-west-1").expect(0).out, "west");
    desk.run(&format!("exec --secret X=app/both --repo repository {SHEETS} -- true")).expect(125).says("2 sources");
    let found = desk.run(&format!("versions app/both --repo repository {SHEETS} --json")).expect(0).json();
    assert_eq!(found["secrets"].as_array().unwrap().len(), 2, "the history shows both");
    sandbox.shutdown().await;
}
