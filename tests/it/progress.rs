//! What a run tells while it is at work: events with `--json`, nothing where nobody looks.

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::command::{Desk, binary};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";
const SECRETS: u32 = 160;

fn events(stderr: &str) -> Vec<Json> {
    let lines = stderr.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).expect("an event is one line of JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_phases_quota_and_time_left_and_nothing_is_told_without_json() {
    let sandbox = Sandbox::start(SandboxOptions { quotas: true, ..SandboxOptions::default() }).await.unwrap();
    sandbox.control().put_estate(ACCOUNT, REGION, 0..SECRETS, 1).unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let run = |words: &str| {
        desk.finish(desk.command(binary()).env_remove("RUST_LOG").args(words.split_whitespace())).expect(0)
    };

    let ran = run("snapshot --json");
    assert_eq!(ran.json()["counts"]["captured"], SECRETS, "stdout is the result alone");
    let events = events(&ran.err);
    assert!(events.iter().all(|event| event["event"] == "progress" && event["source"].is_null()), "{events:#?}");
    let of = |phase: &str, state: &str| -> Vec<&Json> {
        events.iter().filter(|event| event["phase"] == phase && event["state"] == state).collect()
    };
    for phase in ["list secrets", "read secrets", "write index"] {
        let [begin, end] = [of(phase, "begin"), of(phase, "end")];
        assert_eq!((begin.len(), end.len()), (1, 1), "{phase}: {events:#?}");
    }
    // 90 % of 100 pages of 100, and of 50 ListSecretVersionIds.
    assert_eq!(of("list secrets", "begin")[0]["limit_per_second"], 9_000.0);
    let begin = of("read secrets", "begin")[0];
    assert_eq!(
        (&begin["limit_per_second"], &begin["total"], &begin["done"]),
        (&json!(45.0), &json!(SECRETS), &json!(0))
    );
    assert_eq!(begin["seconds_left"], 4, "160 at 45 a second");
    let running = of("read secrets", "running");
    assert!((2..=10).contains(&running.len()), "about four seconds: {running:#?}");
    for event in running {
        let (left, rate) = (event["seconds_left"].as_u64().unwrap(), event["per_second"].as_f64().unwrap());
        let expected = (u64::from(SECRETS) - event["done"].as_u64().unwrap()).div_ceil(45);
        assert!(left.abs_diff(expected) <= 1 && rate < 60.0, "{event}");
    }
    let end = of("read secrets", "end")[0];
    assert_eq!((&end["done"], &end["seconds_left"]), (&json!(SECRETS), &json!(0)));

    // Nothing changed: what is kept is no work, and promises no rate.
    let ran = run("snapshot --json");
    let again = self::events(&ran.err);
    let end = again.iter().find(|event| event["phase"] == "read secrets" && event["state"] == "end").unwrap();
    assert_eq!((&end["done"], &end["seconds_left"]), (&json!(SECRETS), &json!(0)));
    assert!(end["per_second"].as_f64().unwrap_or_default() < 1.0, "{end}");

    let quiet = run("snapshot");
    assert_eq!(quiet.err, "", "stderr is no terminal");
    sandbox.shutdown().await;
}
