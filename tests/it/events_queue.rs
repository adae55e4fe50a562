//! A queue as `watch` meets it: one that answers, and those that lie, say half or nothing.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, binary, files},
    stub::{Reply, Stub},
};

const ACCOUNT: &str = "111111111111";

/// Names the queue in the configuration of a desk.
pub fn name_queue(desk: &Desk) {
    name_queue_in(&desk.path("lifeboat.toml"));
}

/// The same in a configuration anywhere.
pub fn name_queue_in(path: &Path) {
    let config = std::fs::read_to_string(path).unwrap();
    let url = "url = \"aws:eu-central-1\"\n";
    assert!(config.contains(url), "{config}");
    std::fs::write(path, config.replacen(url, &format!("{url}queue = \"changes\"\n"), 1)).unwrap();
}

fn message(name: &str) -> Json {
    let body = json!({ "source": "aws.secretsmanager", "detail-type": "Secret Label Updated", "account": ACCOUNT,
        "region": "eu-central-1", "time": "2026-01-01T00:00:00Z", "resources": [], "detail": { "name": name } });
    json!({ "MessageId": "1", "ReceiptHandle": format!("receipt of {name}"), "Body": body.to_string() })
}

/// A queue with these messages, which takes each away that it is told to.
pub async fn queue(names: &[&str]) -> Stub {
    queue_of(names.iter().map(|name| message(name)).collect()).await
}

async fn queue_of(mut left: Vec<Json>) -> Stub {
    Stub::start(move |operation, body| match operation {
        "GetQueueUrl" => Reply::Ok(json!({ "QueueUrl": "https://queue.invalid/changes" })),
        "ReceiveMessage" if left.is_empty() => Reply::Ok(json!({})),
        "ReceiveMessage" => Reply::Ok(json!({ "Messages": std::mem::take(&mut left) })),
        "DeleteMessageBatch" => Reply::Ok(json!({ "Successful": body["Entries"], "Failed": [] })),
        _ => Reply::Error("InvalidAction", "no such action"),
    })
    .await
}

/// Captures what waits in a queue, once.
pub fn watch(desk: &Desk, queue: &Stub) -> Ran {
    let mut command = desk.command(binary());
    command.env("AWS_ENDPOINT_URL_SQS", &queue.endpoint);
    desk.finish(command.args(["watch", "--once", "--json"]))
}

/// The file of the newest snapshot, and its content.
fn newest_manifest(desk: &Desk) -> (PathBuf, Vec<u8>) {
    let mut manifests = files(&desk.path("repository/snapshots"));
    manifests.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "json"));
    let number = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).unwrap()["sequence"].as_u64();
    manifests.into_iter().max_by_key(|(_, bytes)| number(bytes)).unwrap()
}

/// What a queue answers instead, where it lies.
type Lie = fn(&str, usize) -> Option<Reply>;

async fn prepared() -> (Sandbox, Desk) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for name in ["app/one", "app/two"] {
        sandbox.control().put(ACCOUNT, "eu-central-1", name, "MARKER-one").unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    name_queue(&desk);
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_captured_leaves_the_queue_and_what_cannot_be_read_stays() {
    let (sandbox, desk) = prepared().await;
    let control = sandbox.control();
    for name in ["app/one", "app/two"] {
        control.put(ACCOUNT, "eu-central-1", name, "MARKER-two").unwrap();
    }
    let good = queue(&["app/one", "app/one", "app/none"]).await;
    let totals = watch(&desk, &good).expect(0).json();
    assert_eq!((&totals["messages"], &totals["secrets_changed"], &totals["gone"]), (&json!(3), &json!(1), &json!(1)));
    let asked = good.bodies("ReceiveMessage");
    assert!(asked.iter().all(|body| body["QueueUrl"] == "https://queue.invalid/changes"), "{asked:?}");
    let removed: usize =
        good.bodies("DeleteMessageBatch").iter().map(|it| it["Entries"].as_array().unwrap().len()).sum();
    assert_eq!(removed, 3);

    // The other one is in the next snapshot of an event, and nothing is read twice.
    let totals = watch(&desk, &queue(&["app/two", "app/one"]).await).expect(0).json();
    assert_eq!((&totals["secrets_read"], &totals["secrets_changed"]), (&json!(2), &json!(1)));
    let shown = desk.run("list --json").expect(0).json();
    let all = shown["snapshots"].as_array().unwrap();
    assert_eq!(all.iter().map(|it| it["full_pass"].clone()).collect::<Vec<_>>(), [json!(1), json!(1), json!(1)]);
    desk.run("check --depth index").expect(0);
    // A full pass reads what events changed once more, since no listing was read, and seals the values of both together.
    let pass = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&pass["counts"]["values_read"], &pass["counts"]["versions"]), (&json!(2), &json!(4)));
    assert!(!String::from_utf8_lossy(&desk.printed()).contains("MARKER"));
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hooks_that_a_killed_watch_did_not_reach_run_first_in_the_next_one() {
    let (sandbox, desk) = prepared().await;
    let path = desk.path("lifeboat.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    // The first hook notes that it ran; the second kills its parent, which is `watch`, as long as there is a file.
    let hook = |name: &str, script: &str| {
        format!(
            "\n[[after]]\nname = \"{name}\"\non = [\"event\"]\nkind = \"command\"\ncommand = [\"bash\", \"-c\", {script:?}]\n"
        )
    };
    let (ran, deadly) = (desk.path("ran"), desk.path("deadly"));
    let first = hook("first", &format!("echo first >>{}", ran.display()));
    let kill = format!("if rm {}; then kill -9 $PPID; sleep 5; fi; echo second >>{}", deadly.display(), ran.display());
    std::fs::write(&path, config + &first + &hook("second", &kill)).unwrap();
    std::fs::write(&deadly, "").unwrap();
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "MARKER-two").unwrap();
    let told = queue(&["app/one"]).await;
    assert_eq!(watch(&desk, &told).code, None, "it was killed");
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "first\n");
    assert_eq!(desk.run("list --json").expect(0).json()["snapshots"].as_array().unwrap().len(), 2);

    // The message is gone: nothing but the note knows of the change.
    let again = watch(&desk, &queue(&[]).await).expect(0);
    assert!(again.err.contains("they run now"), "{}", again.err);
    assert_eq!(again.json()["captures"], 0);
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "first\nsecond\n", "each once");
    watch(&desk, &queue(&[]).await).expect(0);
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "first\nsecond\n");
    sandbox.shutdown().await;
}

/// The pass of the day holds the lock when a secret is rotated, and captures it before `watch` may.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_complete_pass_captured_first_gets_its_hooks_too() {
    let (sandbox, desk) = prepared().await;
    let ran = desk.path("ran");
    let path = desk.path("lifeboat.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let script = format!("tr -d '[]\" \\n' <\"$LIFEBOAT_NAMES\" >>{0}; echo >>{0}", ran.display());
    let hook = format!(
        "\n[[after]]\nname = \"note\"\non = [\"event\"]\nkind = \"command\"\ncommand = [\"bash\", \"-c\", {script:?}]\n"
    );
    std::fs::write(&path, config + &hook).unwrap();
    let lines = || std::fs::read_to_string(&ran).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let put = |name: &str, value: &str| sandbox.control().put(ACCOUNT, "eu-central-1", name, value).unwrap();

    put("app/one", "MARKER-two");
    desk.run("snapshot").expect(0);
    let done = watch(&desk, &queue(&["app/one"]).await).expect(0);
    assert_eq!((lines(), &done.json()["secrets_changed"]), (vec!["app/one".to_owned()], &json!(0)));
    assert!(done.err.contains("a complete snapshot has 1 change already"), "{}", done.err);

    // What a capture had got its hooks from it, and a message that comes again changes nothing.
    put("app/two", "MARKER-two");
    watch(&desk, &queue(&["app/two"]).await).expect(0);
    watch(&desk, &queue(&["app/two"]).await).expect(0);
    assert_eq!(lines(), ["app/one", "app/two"]);
    // Nor does a message of later than the pass that leaves the secret as it was.
    let mut later = message("app/one");
    later["Body"] = later["Body"].as_str().unwrap().replace("2026-01-01", "2099-01-01").into();
    watch(&desk, &queue_of(vec![later]).await).expect(0);
    assert_eq!(lines().len(), 2);

    // A capture that fails owes its hooks: its snapshot may be there.
    put("app/one", "MARKER-three");
    let (newest, whole) = newest_manifest(&desk);
    std::fs::remove_file(&newest).unwrap();
    assert_ne!(watch(&desk, &queue(&["app/one", "app/two"]).await).code, Some(0));
    std::fs::write(&newest, whole).unwrap();
    assert_eq!(lines().len(), 2);
    let made_up = watch(&desk, &queue(&[]).await).expect(0);
    assert!(made_up.err.contains("they run now"), "{}", made_up.err);
    assert_eq!(lines()[2..], ["app/one,app/two"]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_captured_also_where_nobody_reads_what_is_printed() {
    let (sandbox, desk) = prepared().await;
    for (number, (outputs, code)) in [(">/dev/full", 1), ("| :", 141), (">&- 2>&-", 1)].into_iter().enumerate() {
        sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", &format!("MARKER-{number}")).unwrap();
        let queue = queue(&["app/one"]).await;
        let run = "\"$0\" watch --once";
        let script = match outputs {
            "| :" => format!("{{ sleep 0.1; {run}; echo $? >code; }} | :"),
            _ => format!("{run} {outputs}; echo $? >code"),
        };
        let mut shell = desk.command("bash");
        shell.env("AWS_ENDPOINT_URL_SQS", &queue.endpoint);
        let ran = desk.finish(shell.arg("-c").arg(script).arg(binary()));
        let found: i32 = std::fs::read_to_string(desk.path("code")).unwrap().trim().parse().unwrap();
        assert_eq!(found, code, "{outputs}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{outputs}: {}", ran.err);
        let shown = desk.run("list --json").expect(0).json();
        assert_eq!(shown["snapshots"].as_array().unwrap().len(), number + 2, "{outputs}: {}", ran.err);
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_lies_or_says_half_is_a_failure() {
    let (sandbox, desk) = prepared().await;
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "MARKER-two").unwrap();
    let url = || Reply::Ok(json!({ "QueueUrl": "https://queue.invalid/changes" }));
    let given = |name: &'static str| Reply::Ok(json!({ "Messages": [message(name)] }));
    let lies: [(&str, Lie); 7] = [
        ("no url", |operation, _| (operation == "GetQueueUrl").then(|| Reply::Ok(json!({})))),
        ("no queue", |operation, _| {
            (operation == "GetQueueUrl")
                .then_some(Reply::Error("QueueDoesNotExist", "The specified queue does not exist."))
        }),
        ("an error with 200", |operation, _| {
            (operation == "ReceiveMessage").then(|| Reply::Ok(json!({ "message": "not now" })))
        }),
        ("half a message", |operation, _| {
            (operation == "ReceiveMessage").then(|| Reply::Ok(json!({ "Messages": [{ "Body": "x" }] })))
        }),
        ("denied", |operation, _| {
            (operation == "ReceiveMessage").then_some(Reply::Error("AccessDeniedException", "not allowed"))
        }),
        ("nothing removed", |operation, _| {
            (operation == "DeleteMessageBatch")
                .then(|| Reply::Ok(json!({ "Successful": [], "Failed": [{ "Id": "0" }] })))
        }),
        ("an empty answer to a removal", |operation, _| {
            (operation == "DeleteMessageBatch").then(|| Reply::Ok(json!({})))
        }),
    ];
    for (what, lie) in lies {
        let asked = AtomicUsize::new(0);
        let stub = Stub::start(move |operation, body| {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            lie(operation, number).unwrap_or_else(|| match operation {
                "GetQueueUrl" => url(),
                "ReceiveMessage" if number < 2 => given("app/one"),
                "ReceiveMessage" => Reply::Ok(json!({})),
                _ => Reply::Ok(json!({ "Successful": body["Entries"] })),
            })
        })
        .await;
        let ran = watch(&desk, &stub);
        assert_eq!(ran.code, Some(1), "{what}: {} {}", ran.out, ran.err);
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_complete_snapshot_nothing_is_captured() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "MARKER-one").unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    name_queue(&desk);
    let waiting = queue(&["app/one"]).await;
    watch(&desk, &waiting)
        .expect(3)
        .says("no complete snapshot of")
        .says("there is none that is sealed to the key of today");
    assert_eq!(waiting.count("DeleteMessageBatch"), 0, "the message stays");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_of_the_history_is_asked_before_each_capture() {
    let (sandbox, desk) = prepared().await;
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "MARKER-two").unwrap();
    desk.run("snapshot").expect(0);
    sandbox.control().put(ACCOUNT, "eu-central-1", "app/one", "MARKER-three").unwrap();
    // The newest snapshot is taken away: what this host remembers says so, and nothing is added.
    let (newest, bytes) = newest_manifest(&desk);
    std::fs::remove_file(&newest).unwrap();
    let waiting = queue(&["app/one"]).await;
    assert_eq!(watch(&desk, &waiting).code, desk.run("snapshot").expect(4).code, "as every run that adds a snapshot");
    assert_eq!(waiting.count("DeleteMessageBatch"), 0, "the message stays");
    std::fs::write(&newest, bytes).unwrap();
    watch(&desk, &queue(&["app/one"]).await).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_needs_a_kind_that_tells_of_changes_and_a_proper_name() {
    let (sandbox, desk) = prepared().await;
    let path = desk.path("lifeboat.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    for name in ["https://queue.invalid/changes", "", "a b", "../x"] {
        std::fs::write(&path, config.replace("\"changes\"", &json!(name).to_string())).unwrap();
        let ran = desk.run("watch --once").expect(2);
        assert!(ran.err.contains("queue must be the name of a queue of the source's account"), "{}", ran.err);
    }
    std::fs::write(&path, &config).unwrap();
    let template: Json = serde_json::from_str(&desk.run("schedule events --trail").expect(0).out).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    assert_eq!(resources["Queue"]["Properties"]["QueueName"], "changes");
    assert_eq!(resources.keys().filter(|name| name.ends_with("Rule")).count(), 2);
    desk.run("schedule events --source 999999999999").expect(2).says("no such source is configured");
    desk.run("schedule events --queue a/b").expect(2).says("up to 80 letters, digits, - and _");
    let (fits, long) = ("q".repeat(75), "q".repeat(76));
    desk.run(&format!("schedule events --queue {fits}")).expect(0);
    desk.run(&format!("schedule events --queue {long}")).expect(2).says("more than 75 characters");
    sandbox.shutdown().await;
}
