//! A day on a server that nobody here wrote: a signing key rotates, EventBridge tells of it, the backup has it within a minute, and
//! ECS is asked for a new deployment.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, SHEETS, binary},
    servers::{self, Ministack},
};

const REGION: &str = "eu-central-1";
const NAME: &str = "orrange-p2p/api/production";

const HOOK: &str = "[[after]]\nname = \"api\"\non = [\"event\"]\nkind = \"ecs\"\ncluster = \"orrange\"\nservice = \"api\"\n\
                    secrets = [\"orrange-p2p/api/*\"]\ntimeout = \"60s\"\n";

fn act(desk: &Desk, words: &[&str]) -> Json {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/seeds_day.py");
    let mut command = desk.command(servers::program("python"));
    let out = command.arg("-B").arg(&script).args([desk.endpoint(), REGION]).args(words).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A desk with the estate, a snapshot of it, and a queue that the printed template made.
fn prepared(ministack: &Ministack) -> Desk {
    let desk = Desk::new(&ministack.endpoint, "test");
    act(&desk, &["plant"]);
    desk.init();
    fs::write(desk.path("events.json"), desk.run("schedule events").expect(0).out).unwrap();
    assert_eq!(
        act(&desk, &["deploy", desk.path("events.json").to_str().unwrap()]),
        json!({ "status": "CREATE_COMPLETE" })
    );
    desk.run("watch --once").expect(2).says("no source that is meant has a queue");
    let config = fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let url = format!("url = \"aws:{REGION}\"\n");
    assert!(config.contains(&url), "{config}");
    let config = config.replacen(&url, &format!("{url}queue = \"lifeboat-events\"\n"), 1);
    fs::write(desk.path("lifeboat.toml"), format!("{config}\n{HOOK}")).unwrap();
    desk
}

fn events(desk: &Desk) -> Vec<Json> {
    let listed = desk.run("list --json").expect(0).json();
    let all = listed["snapshots"].as_array().unwrap().iter();
    all.filter(|snapshot| snapshot["full_pass"] != snapshot["sequence"]).cloned().collect()
}

#[test]
fn a_rotation_is_in_the_backup_within_a_minute_and_its_consumer_is_deployed() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start(folder.path());
    let desk = prepared(&ministack);
    desk.run("snapshot").expect(0);
    let before = act(&desk, &["look"]);
    let mut watch = desk.command(binary());
    watch.args(["watch", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let watch = watch.spawn().unwrap();

    act(&desk, &["rotate"]);
    let rotated = Instant::now();
    let deployed = || act(&desk, &["look"])["deployments"] != before["deployments"];
    while events(&desk).is_empty() || !deployed() {
        assert!(rotated.elapsed() < Duration::from_mins(1), "a minute is over");
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("in the backup and deployed {:.1} s after the rotation", rotated.elapsed().as_secs_f64());
    // The copy comes last.
    while desk.run("status --json").json()["facts"]["copies"][0]["behind"] != 0 {
        assert!(rotated.elapsed() < Duration::from_mins(1), "the copy is not up to date");
        std::thread::sleep(Duration::from_millis(200));
    }
    let id = watch.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let ended = watch.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}{err}");
    let totals: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&totals["captures"], &totals["secrets_changed"], &totals["hooks_failed"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert!(totals["slowest_seconds"].as_u64().unwrap() < 60, "{totals}");
    assert!(err.contains("\"event\":\"captured\""), "{err}");
    assert!(!format!("{out}{err}").contains("MARKER"), "no value is said");

    // The value of before is kept in the secret, and the version of before in the backup.
    let get = |field: &str| desk.run(&format!("get {NAME} --field {field} {SHEETS}")).expect(0).out;
    assert_eq!((get("/jwt_secret"), get("/jwt_secret_previous")), ("MARKER-jwt-two".into(), "MARKER-jwt-one".into()));
    let first = desk.run(&format!("get {NAME} --version AWSPREVIOUS --field /jwt_secret {SHEETS}")).expect(0).out;
    assert_eq!(first, "MARKER-jwt-one");
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    assert_eq!(act(&desk, &["look"])["messages"], 0, "what is captured has left the queue");
    assert_eq!(desk.run("audit verify --json").expect(0).json()["exit"], 0);
}

#[test]
fn messages_of_strangers_stay_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start(folder.path());
    let desk = prepared(&ministack);
    desk.run("snapshot").expect(0);
    let files = crate::command::files_beside_audit(&desk.path("repository"));
    let event = |account: &str, name: &str| {
        json!({ "source": "aws.secretsmanager", "detail-type": "Secret Label Updated", "account": account, "region": REGION,
            "resources": [], "detail": { "name": name } })
    };
    let hostile = "\u{1b}[2Jrm -rf\n";
    for body in ["no event".into(), event("222222222222", NAME).to_string(), event("000000000000", "").to_string()] {
        act(&desk, &["send", &body]);
    }
    // Names that are not there, and one that is as it was.
    for name in [hostile, "orrange-p2p/nothing", NAME] {
        act(&desk, &["send", &event("000000000000", name).to_string()]);
    }
    let ran = desk.run("watch --once --json").expect(3);
    let totals = ran.json();
    assert_eq!(
        (&totals["messages"], &totals["captures"], &totals["gone"]),
        (&json!(6), &json!(0), &json!(2)),
        "{totals}"
    );
    assert_eq!(totals["strange"].as_object().unwrap().values().filter_map(Json::as_u64).sum::<u64>(), 3, "{totals}");
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
    assert_eq!(act(&desk, &["look"])["messages"], 3, "they stay for whoever looks into it");
    assert_eq!(crate::command::files_beside_audit(&desk.path("repository")), files);
}
