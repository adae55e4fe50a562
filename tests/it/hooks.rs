//! `[[after]]`: what runs after a restore and after a rotation, against servers that nobody here wrote, services that lie, and
//! processes that tell what they were given.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, SHEETS, binary},
    servers::{self, Ministack},
    stub::{Reply, Stub},
};

const ACCOUNT: &str = "111111111111";
const SOURCE: &str = "eu-central-1";
const TARGET: &str = "eu-west-1";

/// Adds text to the configuration.
fn configure(desk: &Desk, more: &str) {
    let path = desk.path("lifeboat.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}\n{more}")).unwrap();
}

/// A sandbox with two secrets, a desk whose configuration has these hooks, and one snapshot.
async fn with_hooks(hooks: &str) -> (Sandbox, Desk) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for name in ["app/one", "web/two"] {
        sandbox.control().put(ACCOUNT, SOURCE, name, "MARKER-value").unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    configure(&desk, hooks);
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

fn restore() -> String {
    format!("restore --to aws:{TARGET} --yes --json {SHEETS}")
}

/// A program in the folder `bin` of a desk.
fn program(desk: &Desk, name: &str, script: &str) -> PathBuf {
    let path = desk.path("bin").join(name);
    fs::create_dir_all(desk.path("bin")).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs with the desk's own programs before the others.
fn run(desk: &Desk, words: &str) -> Ran {
    let mut command = desk.command(binary());
    command.env("PATH", format!("{}:/usr/bin:/bin", desk.path("bin").display()));
    command.env("AWS_SESSION_TOKEN", "MARKER-credential").env("MARKER_VARIABLE", "MARKER-variable");
    desk.finish(command.args(words.split_whitespace()))
}

/// The outcome of each hook: its name, what became of it.
fn outcomes(report: &Json) -> Vec<(&str, &str)> {
    let hooks = report["after"]["hooks"].as_array().unwrap_or_else(|| panic!("no hooks in {report}"));
    hooks.iter().map(|hook| (hook["name"].as_str().unwrap(), hook["outcome"].as_str().unwrap())).collect()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn command_hook(name: &str, argv: &[&str], more: &str) -> String {
    // What JSON escapes, TOML does the same way.
    let (name, argv) = (json!(name), json!(argv));
    format!("[[after]]\nname = {name}\non = [\"restore\"]\nkind = \"command\"\ncommand = {argv}\n{more}\n")
}

const ECS: &str = "[[after]]\nname = \"web\"\non = [\"restore\", \"compromise\"]\nkind = \"ecs\"\ncluster = \"main\"\n\
                   service = \"web\"\ntimeout = \"60s\"\n";
const LAMBDA: &str =
    "[[after]]\nname = \"mailer\"\non = [\"restore\"]\nkind = \"lambda\"\nfunction = \"mailer\"\ntimeout = \"60s\"\n";

/// Asks the services themselves, by their own SDK.
fn services(desk: &Desk, endpoint: &str, key: &str, words: &[&str]) -> Json {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/hooks.py");
    let mut command = desk.command(servers::program("python"));
    let command = command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_ACCESS_KEY_ID", key);
    let out = command.arg("-B").arg(&script).arg(endpoint).args(words).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The identifier of a secret of the newest snapshot.
fn identifier(desk: &Desk, name: &str) -> String {
    let shown = desk.run(&format!("restore --to aws:{TARGET} --plan --json --no-hooks")).expect(0).json();
    let all = shown["secrets"].as_array().unwrap();
    let found = all.iter().find(|secret| secret["desired"]["name"] == name).unwrap();
    found["desired"]["source_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_into_another_region_deploys_with_the_new_identifiers() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start(folder.path());
    let (sandbox, desk) = with_hooks(&format!("{ECS}{LAMBDA}")).await;
    let old = identifier(&desk, "app/one");
    services(&desk, &ministack.endpoint, ACCOUNT, &[TARGET, "plant", &old]);
    let look = || services(&desk, &ministack.endpoint, ACCOUNT, &[TARGET, "look"]);
    let before = look();
    let restore = || {
        let mut command = desk.command(binary());
        command.env("AWS_ENDPOINT_URL_ECS", &ministack.endpoint).env("AWS_ENDPOINT_URL_LAMBDA", &ministack.endpoint);
        desk.finish(command.args(format!("{} --arn-map map.json", restore()).split_whitespace()))
    };
    let report = restore().expect(0).json();
    assert_eq!(outcomes(&report), [("web", "done"), ("mailer", "done")], "{report}");
    assert!(
        report["after"]["hooks"][0]["what"].as_str().unwrap().contains("with 1 task; 3 references changed in web:2")
    );
    let found = look();
    let map: Json = serde_json::from_slice(&fs::read(desk.path("map.json")).unwrap()).unwrap();
    let new = map[&old].as_str().unwrap();
    assert!(new.contains(TARGET) && old.contains(SOURCE), "{map}");
    let container = &found["container"];
    assert_eq!(container["secrets"][0]["valueFrom"], format!("{new}:password::"), "{found}");
    assert_eq!(container["repositoryCredentials"]["credentialsParameter"], new[..new.len() - 7], "{found}");
    assert_eq!(container["logConfiguration"]["secretOptions"][0]["valueFrom"], new, "{found}");
    assert_eq!(container["environment"][0]["value"], "MARKER-of-ecs");
    assert_eq!((&found["tags"], &found["revision"]), (&before["tags"], &json!(2)), "{found}");
    assert_ne!(found["deployments"], before["deployments"]);
    assert_eq!(found["variables"], json!({ "ARN": new, "PASSWORD": "MARKER-of-lambda" }));
    assert_ne!(found["update"], before["update"]);
    // A second run of the same plan deploys nothing.
    assert_eq!(outcomes(&restore().expect(0).json()), [("web", "already_ran"), ("mailer", "already_ran")]);
    assert_eq!(look(), found);
    assert!(!String::from_utf8_lossy(&desk.printed()).contains("MARKER-"));
    sandbox.shutdown().await;
}

#[test]
fn after_a_rotation_a_role_of_its_own_deploys() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start(folder.path());
    let desk = Desk::new(&ministack.endpoint, "test");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/put_value.py");
    let python = servers::program("python");
    let seed = "import boto3\nc = boto3.client('secretsmanager', 'eu-central-1')\n\
                print(c.create_secret(Name='app/one', SecretString='MARKER-one')['ARN'])";
    let arn = desk.finish(desk.command(&python).args(["-B", "-c", seed])).expect(0).out;
    services(&desk, &ministack.endpoint, "test", &[SOURCE, "plant", arn.trim()]);
    desk.init();
    configure(&desk, &format!("{ECS}{}", LAMBDA.replace("\"restore\"", "\"compromise\"")));
    desk.run("snapshot").expect(0);
    let rotate = ["/usr/bin/env", "ROTATOR=test", python.to_str().unwrap(), "-B", script.to_str().unwrap()];
    fs::write(desk.path("playbook.toml"), format!("[[secret]]\nnames = \"*\"\nrotate = {rotate:?}\n")).unwrap();
    let plan = "compromise plan --scope * --since 2026-01-01 --playbook playbook.toml --out plan.json --json";
    assert_eq!(desk.run(plan).expect(0).json()["after"].as_array().unwrap().len(), 2);

    // Two users: one by the policy of the response alone, one that also has that of the hooks.
    let statements = |words: &str| -> Vec<Json> {
        let policy: Json = serde_json::from_str(&desk.run(words).expect(0).out).unwrap();
        policy["Statement"].as_array().unwrap().clone()
    };
    let response = statements("compromise run plan.json --policy");
    let mut hooks = statements(&format!("doctor --policy hooks --to aws:{SOURCE} --account 000000000000"));
    assert_eq!(hooks[0]["Resource"], json!(["arn:aws:ecs:eu-central-1:000000000000:service/main/web"]));
    // For AWS the service is the resource of these calls; this server evaluates them with the cluster.
    hooks[0]["Resource"] = json!(["arn:aws:ecs:eu-central-1:000000000000:cluster/main"]);
    for (name, statements) in [("response", response.clone()), ("both", [response, hooks].concat())] {
        fs::write(desk.path(name), json!({ "Version": "2012-10-17", "Statement": statements }).to_string()).unwrap();
    }
    let users = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/iam_user.py");
    let mut command = desk.command(&python);
    command.arg("-B").arg(users).args([ministack.endpoint.as_str(), SOURCE, "response=response", "both=both"]);
    let keys: Json = serde_json::from_str(&desk.finish(&mut command).expect(0).out).unwrap();
    let run = |user: &str| {
        let (access, secret) = (keys[user][0].as_str().unwrap(), keys[user][1].as_str().unwrap());
        desk.run_with(access, secret, "compromise run plan.json --yes --json")
    };
    let refused = run("response").expect(3);
    let report = refused.json();
    assert_eq!((&report["done"], outcomes(&report)), (&json!(1), vec![("web", "failed"), ("mailer", "failed")]));
    assert!(refused.err.contains("1 secret rotated; the hook web failed: ") && refused.err.contains("AccessDenied"));
    let before = services(&desk, &ministack.endpoint, "test", &[SOURCE, "look"]);
    let done = run("both").expect(0).json();
    assert_eq!(outcomes(&done), [("web", "done"), ("mailer", "done")], "{done}");
    let after = services(&desk, &ministack.endpoint, "test", &[SOURCE, "look"]);
    assert_eq!(
        (&after["container"], &after["revision"]),
        (&before["container"], &before["revision"]),
        "no reference changed"
    );
    assert!(after["deployments"] != before["deployments"] && after["update"] != before["update"], "{after}");
    assert_eq!(outcomes(&run("both").expect(0).json()), [("web", "already_ran"), ("mailer", "already_ran")]);
    assert!(!String::from_utf8_lossy(&desk.printed()).contains("MARKER-"));
}

/// A service of ECS that is asked about: its deployments, and how many tasks run.
fn service(deployments: &Json, running: u64) -> Json {
    json!({ "services": [{ "serviceName": "web", "status": "ACTIVE", "taskDefinition": "arn:aws:ecs:::task-definition/web:1",
        "desiredCount": 2, "runningCount": running, "deployments": deployments }], "failures": [] })
}

fn deployment(id: &str, state: &str, running: u64) -> Json {
    json!({ "id": id, "status": "PRIMARY", "taskDefinition": "arn:aws:ecs:::task-definition/web:1", "rolloutState": state,
        "rolloutStateReason": "tasks \u{1b}[2J failed to start", "runningCount": running })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_lies_is_a_failure() {
    let (sandbox, desk) = with_hooks(&ECS.replace("60s", "3s")).await;
    let definition = json!({ "taskDefinition": { "taskDefinitionArn": "arn:aws:ecs:::task-definition/web:1",
        "containerDefinitions": [] } });
    let old = json!([deployment("ecs-svc/1", "COMPLETED", 2)]);
    let new = |state: &str, running: u64| json!([deployment("ecs-svc/2", state, running)]);
    let updated = json!({ "service": { "deployments": new("IN_PROGRESS", 0) } });
    // What DescribeServices says at first and later, what UpdateService says, and what is said of it.
    let cases: [(Json, Json, Json, &str); 9] = [
        (json!({ "services": [], "failures": [] }), json!({}), json!({}), "0 services instead of one"),
        (json!({ "services": [], "failures": [{ "reason": "MISSING" }] }), json!({}), json!({}), "MISSING"),
        (json!({}), json!({}), json!({}), "an answer without services"),
        (service(&old, 2), json!({}), json!({}), "UpdateService: an answer without a deployment"),
        (service(&old, 2), json!({}), json!({ "service": { "deployments": old } }), "names no new deployment"),
        (service(&old, 2), service(&new("FAILED", 0), 2), updated.clone(), "the deployment failed: tasks"),
        (service(&old, 2), service(&old, 2), updated.clone(), "another deployment took the place"),
        (service(&old, 2), service(&new("IN_PROGRESS", 1), 2), updated.clone(), "took longer than 3 seconds"),
        (service(&old, 2), json!({ "services": [], "failures": [] }), updated, "0 services instead of one"),
    ];
    for (first, later, update, says) in cases {
        let (definition, mut is_updated) = (definition.clone(), false);
        let stub = Stub::start(move |operation, _| {
            Reply::Ok(match operation {
                "DescribeServices" if is_updated => later.clone(),
                "DescribeServices" => first.clone(),
                "DescribeTaskDefinition" => definition.clone(),
                "UpdateService" => {
                    is_updated = true;
                    update.clone()
                }
                _ => json!({}),
            })
        })
        .await;
        let mut command = desk.command(binary());
        command.env("AWS_ENDPOINT_URL_ECS", &stub.endpoint).args(restore().split_whitespace());
        let ran = desk.finish(&mut command).expect(3);
        let report = ran.json();
        let hook = &report["after"]["hooks"][0];
        assert!(hook["what"].as_str().unwrap().contains(says), "{says}: {hook}");
        assert_eq!((&report["complete"], hook["outcome"] == "done"), (&json!(true), false), "{says}");
        assert!(ran.err.contains("the restore itself is complete and verified; the hook web failed"), "{}", ran.err);
        assert!(!ran.err.contains('\u{1b}') && !ran.out.contains('\u{1b}'), "{says}");
        assert_eq!(stub.count("RegisterTaskDefinition"), 0, "no reference changed");
    }
    // And one that does not lie.
    let mut is_updated = false;
    let stub = Stub::start(move |operation, _| {
        Reply::Ok(match operation {
            "DescribeServices" if is_updated => service(&new("COMPLETED", 2), 2),
            "DescribeServices" => service(&old, 2),
            "DescribeTaskDefinition" => definition.clone(),
            _ => {
                is_updated = true;
                json!({ "service": { "deployments": new("IN_PROGRESS", 0) } })
            }
        })
    })
    .await;
    let mut command = desk.command(binary());
    command.env("AWS_ENDPOINT_URL_ECS", &stub.endpoint).args(restore().split_whitespace());
    assert_eq!(outcomes(&desk.finish(&mut command).expect(0).json()), [("web", "done")]);
    assert_eq!(stub.bodies("UpdateService")[0]["forceNewDeployment"], true);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_gets_exactly_these_words_and_has_to_show_what_it_did() {
    let hook = "[[after]]\nname = \"pods\"\non = [\"restore\"]\nkind = \"kubernetes\"\ncontext = \"west\"\nnamespace = \"shop\"\n\
                restart = [\"deployment/web\", \"statefulset/db\"]\nexternal_secrets = [\"web-env\"]\ntimeout = \"30s\"\n";
    let (sandbox, desk) = with_hooks(hook).await;
    let asked = desk.path("asked");
    let log = format!("printf '%s|' \"$@\" >> {0}; echo >> {0}\nenv > {0}.env\n", asked.display());
    // One that ends with 0 at once and did nothing.
    program(&desk, "kubectl", &log);
    let lied = run(&desk, &restore()).expect(3).json();
    assert_eq!(outcomes(&lied), [("pods", "failed")]);
    assert!(lied["after"]["hooks"][0]["what"].as_str().unwrap().contains("does not show that it did anything"));
    // One that is refused.
    program(&desk, "kubectl", &format!("{log}echo 'error: deployments.apps \"web\" is forbidden' >&2; exit 1"));
    let refused = run(&desk, &restore()).expect(3).json();
    assert!(refused["after"]["hooks"][0]["what"].as_str().unwrap().contains("ended with 1: error: deployments.apps"));
    fs::remove_file(&asked).unwrap();
    // One whose ExternalSecret is not read again: no workload is started with the old values.
    let reads = desk.path("reads");
    let honest = |states: &[&str]| {
        let states: Vec<String> = (0..).zip(states).map(|(at, state)| format!("{at}) printf '{state}';;")).collect();
        format!(
            "case \"$4\" in\nstatus) echo 'Waiting...'; echo \"deployment \\\"x\\\" successfully rolled out\";;\nesac\n\
             case \"$3\" in\nannotate) echo externalsecret.external-secrets.io/web-env;;\n\
             get) echo web-env; echo >> {0}; case $(($(wc -l < {0}) - 1)) in\n{1}\nesac;;\nesac\n\
             case \"$4\" in\nrestart) echo \"things.apps/${{6#*/}}\";;\nesac",
            reads.display(),
            states.join("\n"),
        )
    };
    program(&desk, "kubectl", &format!("{log}{}", honest(&["1-a\\nTrue\\nSecretSynced"; 40])));
    let limit = |from: &str, to: &str| {
        let path = desk.path("lifeboat.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace(from, to)).unwrap();
    };
    limit("\"30s\"", "\"3s\"");
    let waited = run(&desk, &restore()).expect(3).json();
    assert_eq!(outcomes(&waited), [("pods", "timed_out")], "{waited}");
    let what = waited["after"]["hooks"][0]["what"].as_str().unwrap();
    assert!(what.contains("externalsecret/web-env was not read again (Ready is True: SecretSynced)"), "{what}");
    assert!(lines(&asked).iter().all(|line| !line.contains("rollout")), "{:?}", lines(&asked));
    limit("\"3s\"", "\"30s\"");
    fs::remove_file(&asked).unwrap();
    fs::remove_file(&reads).unwrap();
    // One that is read again a moment later, in the second attempt.
    let states = ["1-a\\nTrue\\nOk", "1-a\\nTrue\\nOk", "1-a\\nFalse\\nSecretSyncedError", "1-b\\nTrue\\nOk"];
    program(&desk, "kubectl", &format!("{log}{}", honest(&states)));
    let report = run(&desk, &restore()).expect(0).json();
    assert_eq!(outcomes(&report), [("pods", "done")], "{report}");
    let asked_for = lines(&asked);
    let place = "--context=west|--namespace=shop";
    let mark = asked_for[1].split("force-sync=").nth(1).unwrap().trim_end_matches('|').to_owned();
    assert!(mark.split_once('-').unwrap().0.parse::<i64>().unwrap() > 1_700_000_000);
    let get = format!(
        "{place}|get|externalsecret/web-env|--output=jsonpath={{.metadata.name}}{{\"\\n\"}}{{.status.syncedResourceVersion}}\
         {{\"\\n\"}}{{.status.conditions[?(@.type==\"Ready\")].status}}{{\"\\n\"}}\
         {{.status.conditions[?(@.type==\"Ready\")].reason}}|"
    );
    assert_eq!(
        asked_for,
        [
            get.clone(),
            format!("{place}|annotate|--overwrite|--output=name|externalsecret/web-env|force-sync={mark}|"),
            get.clone(),
            get.clone(),
            get,
            format!("{place}|rollout|restart|--output=name|deployment/web|"),
            format!("{place}|rollout|restart|--output=name|statefulset/db|"),
            format!("{place}|rollout|status|--watch=true|deployment/web|"),
            format!("{place}|rollout|status|--watch=true|statefulset/db|"),
        ]
    );
    let environment = fs::read_to_string(desk.path("asked.env")).unwrap();
    assert!(!environment.contains("MARKER") && !environment.contains("AWS_SECRET_ACCESS_KEY"), "{environment}");
    // A second run of the same plan starts nothing.
    assert_eq!(outcomes(&run(&desk, &restore()).expect(0).json()), [("pods", "already_ran")]);
    assert_eq!(lines(&asked).len(), 9);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_files_and_nothing_secret() {
    let (sandbox, desk) = with_hooks("").await;
    let (given, log) = (desk.path("given"), desk.path("log"));
    let script = program(
        &desk,
        "hook",
        &format!(
            "printf '%s|' \"$@\" >> {log}; echo >> {log}\nmkdir -p {given}; env > {given}/env\n\
             for file in \"$LIFEBOAT_PLAN\" \"$LIFEBOAT_NAMES\" \"$LIFEBOAT_ARN_MAP\"; do cp \"$file\" {given}/; done\n\
             stat -c '%a' \"$LIFEBOAT_PLAN\" \"$LIFEBOAT_NAMES\" \"$LIFEBOAT_ARN_MAP\" \"${{LIFEBOAT_PLAN%/*}}\" > {given}/modes\n\
             echo \"MARKER-printed $(cat {given}/names.json)\"; echo 3 > \"$LIFEBOAT_DONE\"",
            log = log.display(),
            given = given.display()
        ),
    );
    let words = [script.to_str().unwrap(), "a b", "$HOME; rm -rf x"];
    configure(&desk, &command_hook("one", &words, "counted = true\nenvironment = [\"MARKER_VARIABLE\"]"));
    configure(&desk, &command_hook("web only", &words, "secrets = [\"web/*\"]"));
    configure(&desk, &command_hook("others", &words, "secrets = [\"db/*\"]"));
    let report = run(&desk, &restore()).expect(0).json();
    let all = [("one", "done"), ("web only", "done"), ("others", "not_needed")];
    assert_eq!(outcomes(&report), all, "{report}");
    assert!(report["after"]["hooks"][0]["what"].as_str().unwrap().contains("it counted 3"), "{report}");
    // The words as they are, without a shell.
    assert_eq!(lines(&log), ["a b|$HOME; rm -rf x|", "a b|$HOME; rm -rf x|"]);
    assert_eq!(lines(&given.join("modes")), ["600", "600", "600", "700"]);
    let json = |name: &str| serde_json::from_slice::<Json>(&fs::read(given.join(name)).unwrap()).unwrap();
    assert_eq!(json("names.json"), json!(["app/one", "web/two"]));
    let map = json("arns.json");
    assert_eq!(map.as_object().unwrap().len(), 2);
    assert!(
        map.as_object()
            .unwrap()
            .iter()
            .all(|(old, new)| old.contains(SOURCE) && new.as_str().unwrap().contains(TARGET))
    );
    assert_eq!(
        (&json("plan.json")["occasion"], &json("plan.json")["target"]["region"]),
        (&json!("restore"), &json!(TARGET))
    );
    // The last one that ran names no variable: it has none that could be a secret, and no value is in any file.
    let environment = fs::read_to_string(given.join("env")).unwrap();
    for hidden in ["MARKER", "AWS_", "LIFEBOAT_SHARE"] {
        assert!(!environment.contains(hidden), "{hidden}: {environment}");
    }
    for name in ["plan.json", "names.json", "arns.json"] {
        assert!(!fs::read_to_string(given.join(name)).unwrap().contains("MARKER"), "{name}");
    }
    assert!(!String::from_utf8_lossy(&desk.printed()).contains("MARKER"));
    let left: Vec<_> = fs::read_dir(desk.path("state")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("given-")), "{left:?}");
    // Nothing was written since, so nothing runs; when something of the web is written again, that hook does.
    let again = run(&desk, &restore()).expect(0).json();
    assert_eq!(outcomes(&again), [("one", "already_ran"), ("web only", "already_ran"), ("others", "not_needed")]);
    assert_eq!(lines(&log).len(), 2);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_or_fails_keeps_no_other_from_running() {
    let (sandbox, desk) = with_hooks("").await;
    let mark = desk.path("mark");
    let hang =
        program(&desk, "hang", &format!("trap '' TERM\n(trap '' TERM; sleep 8; touch {}) &\nsleep 60", mark.display()));
    configure(&desk, &command_hook("hangs", &[hang.to_str().unwrap()], "timeout = \"1s\""));
    configure(&desk, &command_hook("fails", &["/bin/false"], ""));
    configure(&desk, &command_hook("is missing", &["/nonexistent/program"], ""));
    configure(&desk, &command_hook("counts nothing", &["/bin/true"], "counted = true"));
    configure(&desk, &command_hook("works", &["/bin/true"], ""));
    let begun = Instant::now();
    let ran = run(&desk, &restore()).expect(3);
    let report = ran.json();
    let [hangs, fails, missing, counts] =
        [("hangs", "timed_out"), ("fails", "failed"), ("is missing", "failed"), ("counts nothing", "failed")];
    assert_eq!(outcomes(&report), [hangs, fails, missing, counts, ("works", "done")], "{report}");
    assert_eq!((&report["complete"], &report["verification"]["differences"]), (&json!(true), &json!([])));
    assert!(ran.err.contains("the restore itself is complete and verified; the hook fails failed: "), "{}", ran.err);
    let seconds = report["after"]["hooks"][0]["seconds"].as_f64().unwrap();
    assert!((1.0..6.0).contains(&seconds), "{seconds}");
    // Again: what ended well does not run again, what failed does.
    let again = run(&desk, &restore()).expect(3).json();
    assert_eq!(outcomes(&again), [hangs, fails, missing, counts, ("works", "already_ran")]);
    let text = run(&desk, &restore().replace("--json ", "")).expect(3);
    assert!(text.out.contains("restored and verified in") && text.out.contains("TIMED OUT"), "{}", text.out);
    assert!(text.out.contains("already ran"), "{}", text.out);
    std::thread::sleep(Duration::from_secs(8).saturating_sub(begun.elapsed()) + Duration::from_secs(1));
    assert!(!mark.exists(), "a child of the command that hung is still there");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_after_a_restore_that_is_not_verified() {
    let (sandbox, desk) = with_hooks("").await;
    let log = desk.path("log");
    let hook = program(&desk, "hook", &format!("echo ran >> {}", log.display()));
    configure(&desk, &command_hook("one", &[hook.to_str().unwrap()], ""));
    let meddle = |control: &lifeboat::emulator::Control| {
        control.put(ACCOUNT, TARGET, "app/one", "somebody else's").unwrap();
    };
    sandbox.control().on_call("CreateSecret", 2, Box::new(meddle)).unwrap();
    let ran = run(&desk, &restore()).expect(3);
    assert_eq!(outcomes(&ran.json()), [("one", "not_run")]);
    assert!(ran.err.contains("the restore is not complete; the hook one did not run: "), "{}", ran.err);
    assert!(!log.exists());
    // Once it is as it should be, the same restore runs it, although it writes less.
    let repaired = run(&desk, &format!("{} --on-conflict replace", restore())).expect(0).json();
    assert_eq!(outcomes(&repaired), [("one", "done")], "{repaired}");
    assert_eq!(lines(&log), ["ran"]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_ends_the_command_and_says_so() {
    let (sandbox, desk) = with_hooks("").await;
    let child = desk.path("child");
    let hook = program(&desk, "hook", &format!("sleep 60 &\necho $! > {0}.new; mv {0}.new {0}\nwait", child.display()));
    configure(&desk, &command_hook("first", &["/bin/true"], ""));
    configure(&desk, &command_hook("long", &[hook.to_str().unwrap()], ""));
    configure(&desk, &command_hook("last", &["/bin/true"], ""));
    let mut command = desk.command(binary());
    command.args(restore().split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    let begun = Instant::now();
    while !child.exists() {
        assert!(begun.elapsed() < Duration::from_mins(1), "the command does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&running), rustix::process::Signal::INT).unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcomes(&report), [("first", "done"), ("long", "interrupted"), ("last", "not_run")]);
    assert_eq!((&report["complete"], &report["error"]), (&json!(true), &json!("interrupted")), "{report}");
    // Whoever adopted it may not have looked yet.
    let pid = fs::read_to_string(&child).unwrap();
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat} still runs");
    // The next run goes on with those that are left.
    program(&desk, "hook", "exit 0");
    let next = run(&desk, &restore()).expect(0).json();
    assert_eq!(outcomes(&next), [("first", "already_ran"), ("long", "done"), ("last", "done")]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_approved_with_the_plan_and_change_with_nothing_else() {
    let (sandbox, desk) = with_hooks("").await;
    let log = desk.path("log");
    let hook = program(&desk, "hook", &format!("echo ran >> {}", log.display()));
    let plain = fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    configure(
        &desk,
        &command_hook("one\n\u{1b}[31m\"'", &[hook.to_str().unwrap(), "a\u{1b}b"], "secrets = [\"app/*\"]"),
    );
    let configured = fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let shown = run(&desk, &format!("restore --to aws:{TARGET} --plan-out plan.json")).expect(0);
    assert!(shown.out.contains("1. one\\u{a}\\u{1b}[31m\"' (command): command "), "{}", shown.out);
    assert!(shown.out.contains("none depends on another") && shown.out.contains("only for app/*"), "{}", shown.out);
    assert!(!shown.out.contains('\u{1b}') && !shown.err.contains('\u{1b}'));
    let json = run(&desk, &format!("restore --to aws:{TARGET} --plan --json")).expect(0);
    assert_eq!(json.json()["hooks"][0]["kind"], "command");
    assert!(!json.out.contains('\u{1b}'));
    let execute = |file: &str, more: &str| run(&desk, &format!("restore --plan {file} --yes --json {SHEETS} {more}"));
    // Neither a file that was changed, nor another configuration, starts what was not approved.
    let file = fs::read_to_string(desk.path("plan.json")).unwrap();
    fs::write(desk.path("tampered.json"), file.replace("a\\u001bb", "b")).unwrap();
    assert_ne!(file, fs::read_to_string(desk.path("tampered.json")).unwrap());
    execute("tampered.json", "").expect(4).says("the hooks in it are not those of the configuration");
    fs::write(desk.path("lifeboat.toml"), &plain).unwrap();
    execute("plan.json", "").expect(4).says("the hooks in it are not those of the configuration");
    run(&desk, &format!("restore --to aws:{TARGET} --plan-out without.json")).expect(0);
    fs::write(desk.path("lifeboat.toml"), &configured).unwrap();
    let without = execute("without.json", "").expect(0);
    assert!(without.err.contains("the plan has none") && without.json()["after"].is_null(), "{}", without.err);
    assert!(!log.exists());
    // What another plan wrote before is there: nothing that this one names is written.
    assert_eq!(outcomes(&execute("plan.json", "").expect(0).json())[0].1, "not_needed");
    assert!(execute("plan.json", "--no-hooks").expect(0).json()["after"].is_null());
    assert!(!log.exists());
    for bad in ["kind = \"fax\"", "kind = \"command\"", "kind = \"command\"\ncommand = [\"x\"]\nregion = \"eu-west-1\""]
    {
        fs::write(desk.path("lifeboat.toml"), format!("{plain}\n[[after]]\nname = \"x\"\non = [\"restore\"]\n{bad}\n"))
            .unwrap();
        run(&desk, &restore()).expect(2);
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_prints_hooks_and_starts_only_what_is_dry() {
    let (sandbox, desk) = with_hooks("").await;
    let (log, dry) = (desk.path("log"), desk.path("dry"));
    let hook = program(&desk, "hook", &format!("echo ran >> {}", log.display()));
    let dry_hook = program(&desk, "dry", &format!("echo $LIFEBOAT_OCCASION >> {}", dry.display()));
    program(&desk, "kubectl", &format!("echo ran >> {}", log.display()));
    let kubernetes = "[[after]]\nname = \"pods\"\non = [\"restore\"]\nkind = \"kubernetes\"\ncontext = \"c\"\nnamespace = \"n\"\n\
                      restart = [\"deployment/web\"]\n";
    let command =
        command_hook("one", &[hook.to_str().unwrap()], &format!("dry_command = [{:?}]", dry_hook.to_str().unwrap()));
    configure(&desk, &format!("{ECS}{LAMBDA}{kubernetes}{command}"));
    let plain = fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let stub = Stub::start(|_, _| Reply::Error("AccessDeniedException", "no")).await;
    let drill = |words: &str| {
        let mut command = desk.command(binary());
        command.env("PATH", format!("{}:/usr/bin:/bin", desk.path("bin").display()));
        command.env("AWS_ENDPOINT_URL_ECS", &stub.endpoint).env("AWS_ENDPOINT_URL_LAMBDA", &stub.endpoint);
        desk.finish(command.args(format!("drill run --target sandbox {words} --yes {SHEETS}").split_whitespace()))
    };
    crate::drill_cli::write(&desk, "plain", "scenario = \"a test\"\n[target]\nsandbox = true\n");
    let ran = drill("plain").expect(0);
    for said in
        ["service web in cluster main", "Lambda function mailer", "rollout restart", "no map of consumers is stored"]
    {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert!(stub.is_unasked() && !log.exists() && !dry.exists());
    fs::write(desk.path("lifeboat.toml"), plain.replacen("[[after]]", "[drill]\nhooks = \"dry\"\n\n[[after]]", 1))
        .unwrap();
    let found = drill("plain --json").expect(0).json();
    assert_eq!(found["hooks"]["would"].as_array().unwrap().len(), 4, "{}", found["hooks"]);
    assert_eq!(found["hooks"]["dry"][0]["outcome"], "done");
    assert_eq!(lines(&dry), ["drill"]);
    assert!(stub.is_unasked() && !log.exists());
    program(&desk, "dry", "exit 9");
    drill("plain").expect(3);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_they_run_once_all_their_secrets_are_new() {
    let (sandbox, desk) = with_hooks("").await;
    let log = desk.path("log");
    let hook = program(&desk, "hook", &format!("cat \"$LIFEBOAT_NAMES\" >> {}", log.display()));
    let hooks =
        [("all", ""), ("app", "secrets = [\"app/*\"]"), ("none", "secrets = [\"db/*\"]")].map(|(name, more)| {
            command_hook(name, &[hook.to_str().unwrap()], more).replace("\"restore\"", "\"compromise\"")
        });
    configure(&desk, &hooks.concat());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/put_value.py");
    let python = servers::program("python");
    let rotate: Vec<String> = [python.to_str().unwrap(), "-B", script.to_str().unwrap()].map(str::to_owned).into();
    fs::write(desk.path("playbook.toml"), format!("[[secret]]\nnames = \"*\"\nrotate = {rotate:?}\n")).unwrap();
    let plan = "compromise plan --scope * --since 2026-01-01 --playbook playbook.toml --out plan.json";
    let shown = desk.run(plan).expect(0);
    assert!(shown.out.contains("1. all (command)") && shown.out.contains("2. app (command)"), "{}", shown.out);
    let first = desk.run("compromise run plan.json --yes --json --only app/one").expect(3).json();
    assert_eq!(outcomes(&first), [("all", "not_run"), ("app", "done"), ("none", "not_needed")], "{first}");
    let second = desk.run("compromise run plan.json --yes --json").expect(0).json();
    assert_eq!(outcomes(&second), [("all", "done"), ("app", "already_ran"), ("none", "not_needed")], "{second}");
    let log: String = fs::read_to_string(&log).unwrap().split_whitespace().collect();
    assert_eq!(log, "[\"app/one\"][\"app/one\",\"web/two\"]");
    // Hooks that nobody approved do not run.
    configure(&desk, &command_hook("more", &["/bin/true"], "").replace("\"restore\"", "\"compromise\""));
    desk.run("compromise run plan.json --yes").expect(4).says("the hooks in the plan are not those");
    desk.run("compromise run plan.json --yes --no-hooks").expect(0);
    sandbox.shutdown().await;
}
