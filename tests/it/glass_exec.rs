//! `exec` and `export`: values into an environment and into files, or refused by name.

use std::{
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    process::{Command, Stdio},
    time::Duration,
};

use lifeboat::emulator::Sandbox;
use serde_json::Value as Json;

use crate::{command::SHEETS, glass::Scene};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";
const HOST: &str = "mark-er-host";

async fn estate() -> Scene {
    Scene::new(|sandbox: &Sandbox| {
        let long = "x".repeat(60_000);
        for (name, value) in [
            ("app/db", r#"{"host":"mark-er-host","port":5432,"old":null,"list":[1,2]}"#),
            ("app/plain", "p w'\"$`\\\n\u{e9}"),
            ("app/evil", r#"{"LD_PRELOAD":"/tmp/x.so","PATH":"/tmp","GOOD":"1"}"#),
            ("app/nul", "a\0b"),
            ("app/twice", r#"{"a":1,"a":2}"#),
            ("app/long", &long),
            ("app/home", r#"{"HOME":"/nowhere"}"#),
        ] {
            sandbox.control().put(ACCOUNT, REGION, name, value).unwrap();
        }
    })
    .await
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_the_keys_as_its_environment_and_keeps_its_exit_code() {
    let scene = estate().await;
    let shell = |options: &str, script: &str| {
        let mut all = words("exec");
        all.extend(words(options));
        all.extend(["--", "sh", "-c", script]);
        scene.run(&all)
    };
    let ran = shell("--secret app/db", "printf '%s|%s|%s|%s' \"$host\" \"$port\" \"$list\" \"${old-unset}\"").expect(0);
    assert_eq!(ran.out, format!("{HOST}|5432|[1,2]|unset"));
    assert!(ran.err.contains("left out because they are null in app/db: old"), "{}", ran.err);
    let ran = shell("--secret app/db --case upper", "printf %s \"$HOST-$PORT\"").expect(0);
    assert_eq!(ran.out, format!("{HOST}-5432"));
    let ran = shell("--secret ONE=app/plain", "printf %s \"$ONE\"").expect(0);
    assert!(ran.out == "p w'\"$`\\\n\u{e9}", "exact");
    let ran = shell("--secret PORT=app/db#/port --secret FIRST=app/db#/list/0", "printf %s \"$PORT-$FIRST\"").expect(0);
    assert_eq!(ran.out, "5432-1");
    shell("--secret X=app/db#/none", "true").expect(125).says("no field /none");
    // In files: what no variable can hold too.
    let ran =
        shell("--files --secret NUL=app/nul --secret app/db", "od -An -c \"$NUL_FILE\"; cat \"$host_FILE\"").expect(0);
    assert!(ran.out.contains("a  \\0   b") && ran.out.ends_with(HOST), "{}", ran.out);
    assert_ne!(shell("--files --secret NUL=app/nul", "echo x >> \"$NUL_FILE\"").code, Some(0), "nobody changes it");
    for code in [0, 1, 3, 42, 125, 255] {
        shell("--secret app/db", &format!("exit {code}")).expect(code);
    }
    // Its own environment stays, or goes.
    let mut command = scene.command(&words(&format!("exec --secret app/db {SHEETS} -- env")));
    let ran = scene.desk.finish(command.env("MINE", "here")).expect(0);
    assert!(ran.out.contains("MINE=here") && ran.out.contains("port=5432"));
    let mut command = scene.command(&words(&format!("exec --pristine --secret app/db {SHEETS} -- /usr/bin/env")));
    let ran = scene.desk.finish(command.env("MINE", "here")).expect(0);
    let mut names: Vec<&str> = ran.out.lines().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "list", "port"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_run_code_or_replace_something_is_refused_by_name() {
    let scene = estate().await;
    let exec = |options: &str| scene.run(&words(&format!("exec {options} -- sh -c true")));
    let ran = exec("--secret app/evil").expect(125).says("LD_PRELOAD changes which code programs run");
    assert!(ran.err.contains("PATH changes") && !ran.err.contains("x.so") && !ran.err.contains("GOOD"), "{}", ran.err);
    exec("--secret app/evil --allow-name LD_PRELOAD").expect(125).says("PATH changes");
    exec("--secret BASH_ENV=app/plain").expect(125).says("BASH_ENV changes");
    exec("--secret app/plain").expect(125).says("is no JSON object");
    exec("--secret X=app/nul").expect(125).says("the value for X has a NUL byte");
    exec("--secret app/twice").expect(125).says("has the key a twice");
    exec("--secret X=app/plain --secret X=app/long").expect(125).says("X is given by two secrets");
    exec("--secret app/none").expect(125).says("no secret is named app/none");
    // What is there already.
    let home = |options: &str| {
        let mut command = scene.command(&words(&format!("exec --secret app/home {options} {SHEETS} -- printenv HOME")));
        scene.desk.finish(command.env("HOME", "/home/ana"))
    };
    let ran = home("").expect(125).says("HOME is set already (--override replaces it)");
    assert!(ran.out.is_empty());
    assert_eq!(home("--override").expect(0).out, "/nowhere\n");
    // Nothing is asked, and nothing opened, for a command that is not there.
    let run = |options: &str, command: &str| {
        scene.desk.finish(&mut scene.command(&words(&format!("exec --secret app/db {options} -- {command}"))))
    };
    run("", "no-such-command").expect(127).says("the command no-such-command is not found");
    run("", "./sheets").expect(126).says("cannot be run");
    run("", "./sheets/02-bo.txt").expect(126).says("cannot be run");
    run("--nonsense", "true").expect(125);
    run("--share sheets/01-ana.txt", "true").expect(125);
    scene.desk.finish(&mut scene.command(&["exec", "--", "true"])).expect(125);
    let told = run("--json --share sheets/01-ana.txt", "true").expect(125).json();
    assert_eq!((&told["exit"], &told["outcome"]), (&125.into(), &"not_started".into()));
    scene.desk.finish(&mut scene.command(&["exec", "--help"])).expect(0);
    // A script whose interpreter is gone.
    let script = scene.desk.path("script");
    std::fs::write(&script, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    run(SHEETS, "./script").expect(126).says("cannot be run");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_becomes_the_command_so_signals_are_the_commands() {
    let scene = estate().await;
    let script = "trap 'echo heard; exit 7' TERM; echo ready >started; while :; do sleep 0.05; done";
    let mut all = words("exec --secret app/db");
    all.extend(words(SHEETS));
    all.extend(["--", "sh", "-c", script]);
    let mut command = scene.command(&all);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let started = scene.desk.path("started");
    for _ in 0..2_000 {
        if started.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = child.id();
    // The values are in the environment of this process, and in no argument of any.
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
    assert!(arguments.starts_with(b"sh\0-c\0") && !String::from_utf8_lossy(&arguments).contains(HOST));
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains(HOST));
    Command::new("kill").arg("-TERM").arg(id.to_string()).status().unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(7), &b"heard\n"[..]));
    // A command that a signal ends is ended by it.
    let mut all = words("exec --secret app/db");
    all.extend(words(SHEETS));
    all.extend(["--", "sh", "-c", "kill -KILL $$"]);
    let mut command = scene.command(&all);
    assert_eq!(command.stderr(Stdio::null()).status().unwrap().signal(), Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_read_back_and_what_does_not_fit_is_named() {
    let scene = estate().await;
    let export = |options: &str| scene.run(&words(&format!("export {options}")));
    let json: Json = serde_json::from_str(&export("--format json --secret app/db").expect(0).out).unwrap();
    assert_eq!((&json["host"], &json["port"], &json["list"]), (&HOST.into(), &5432.into(), &serde_json::json!([1, 2])));
    let file = "--format json --secret app/db --secret P=app/plain --output app.json";
    let ran = export(file).expect(0);
    assert!(ran.out.is_empty(), "nothing but the file");
    let path = scene.desk.path("app.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let json: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(json["P"] == "p w'\"$`\\\n\u{e9}");
    // Kubernetes.
    let manifest: Json =
        serde_json::from_str(&export("--format k8s --name app --secret app/db --secret NUL=app/nul").expect(0).out)
            .unwrap();
    assert_eq!((&manifest["kind"], &manifest["data"]["NUL"]), (&"Secret".into(), &"YQBi".into()));
    export("--format k8s --name App --secret app/db").expect(2).says("no name for an object");
    // A folder of files.
    export("--format docker-secrets --secret app/db").expect(2).says("are files");
    export("--format docker-secrets --secret app/db --secret tls=app/nul --output run").expect(0);
    assert_eq!(std::fs::read(scene.desk.path("run/tls")).unwrap(), b"a\0b");
    assert_eq!(std::fs::read(scene.desk.path("run/port")).unwrap(), b"5432");
    assert_eq!(std::fs::metadata(scene.desk.path("run")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(scene.desk.path("run/tls")).unwrap().permissions().mode() & 0o777, 0o600);
    // The aws CLI.
    let input: Json = serde_json::from_str(&export("--format aws-cli --secret app/plain").expect(0).out).unwrap();
    assert!(input["Name"] == "app/plain" && input["SecretString"] == "p w'\"$`\\\n\u{e9}");
    export("--format aws-cli --secret app/plain --secret app/db").expect(2).says("one secret from a file");
    export("--format aws-cli --secret app/plain --secret app/db --output cli").expect(0);
    assert!(scene.desk.path("cli/app_db.json").exists());
    // What two secrets give is neither's.
    let ran = export("--format json --secret app/db --secret host=app/plain --json").expect(3);
    let told = ran.json();
    assert_eq!((&told["refused"], &told["exported"]), (&serde_json::json!(["host"]), &2.into()));
    assert!(ran.err.contains("not exported: host: two secrets give this name"), "{}", ran.err);
    export("--format json --secret X=app/plain --secret X=app/long").expect(3).says("nothing was exported");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_a_reader_are_written_or_the_name_is_refused() {
    let scene = estate().await;
    let export = |options: &str| scene.run(&words(&format!("export --format env {options}")));
    let ran = export("--secret app/db --case upper").expect(0);
    assert_eq!(ran.out, format!("HOST={HOST}\nPORT=5432\nLIST='[1,2]'\n"));
    let ran = export("--dialect shell --secret P=app/plain --output p.sh").expect(0);
    assert!(ran.out.is_empty());
    let mut shell = Command::new("bash");
    shell.args(["-c", "set -a; . ./p.sh; printenv P"]).current_dir(scene.desk.folder.path());
    assert!(shell.output().unwrap().stdout == "p w'\"$`\\\n\u{e9}\n".as_bytes(), "bash reads it back");
    // What docker cannot hold is named; the rest is there.
    let ran = export("--dialect docker --secret app/db --secret P=app/plain --secret N=app/nul").expect(3);
    assert_eq!(ran.out, format!("host={HOST}\nport=5432\nlist=[1,2]\n"));
    for why in ["P: the dialect docker would not read the value back equal", "N: the value has a NUL byte"] {
        assert!(ran.err.contains(&format!("not exported: {why}")), "{}", ran.err);
    }
    export("--dialect systemd --secret N=app/nul").expect(3).says("nothing was exported");
    export("--dialect csh --secret app/db").expect(2);
}
