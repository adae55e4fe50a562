//! A drill, and a restore, by hand: credentials that lead elsewhere, a terminal that closes, a listing that lags, and what
//! `drill clean` does about what is left.

use lifeboat::{
    emulator::{Fault, FaultKind, FaultWhen, Sandbox},
    isolation::REGIONS,
};
use serde_json::json;

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary},
    drill_cli::{ACCOUNT, OUTAGE, into_account, names, started, write},
};

const TARGET: &str = "999999999999";
const REGION: &str = "eu-west-1";

/// A credential process that leads to the target's account `good` times and to the source's from then on. What it gives is
/// stale at once, so that every call asks it.
fn turning(desk: &Desk, good: usize) {
    let script = format!(
        "n=$(cat {0} 2>/dev/null || echo 0)\necho $((n + 1)) > {0}\nkey={ACCOUNT}\n[ \"$n\" -lt {good} ] && key={TARGET}\n\
         echo \"{{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"$key\\\",\\\"SecretAccessKey\\\":\\\"x\\\",\
         \\\"SessionToken\\\":\\\"t$n\\\",\\\"Expiration\\\":\\\"$(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ)\\\"}}\"\n",
        desk.path("asked").display()
    );
    std::fs::write(desk.path("turning.sh"), script).unwrap();
    let _ = std::fs::remove_file(desk.path("asked"));
    std::fs::create_dir_all(desk.path(".aws")).unwrap();
    let process = format!("[profile turning]\ncredential_process = /bin/sh {}\n", desk.path("turning.sh").display());
    std::fs::write(desk.path(".aws/config"), process).unwrap();
}

fn run_turning(desk: &Desk, words: &str) -> crate::command::Ran {
    let mut command = desk.command(binary());
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("AWS_PROFILE", "turning");
    desk.finish(command.args(words.split_whitespace()))
}

/// Production secrets of the source's account in the region of the drill, with the very names and versions.
async fn prepared() -> (Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    for name in names(&sandbox, ACCOUNT, "eu-central-1").await {
        sandbox.control().put(ACCOUNT, REGION, &name, "production").unwrap();
    }
    write(&desk, "turning", &into_account(""));
    (sandbox, desk)
}

fn writes_to_source(sandbox: &Sandbox) -> usize {
    sandbox.control().writes().iter().filter(|call| call.account == ACCOUNT).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_turn_to_another_account_never_reach_the_signer() {
    let (sandbox, desk) = prepared().await;
    let before = names(&sandbox, ACCOUNT, REGION).await;
    let mut refused = 0;
    for good in [1, 3, 6, 9, 14, 20, 28, 40, 1000] {
        sandbox.control().reset_calls();
        turning(&desk, good);
        let ran = run_turning(&desk, &format!("drill run turning --yes {SHEETS}"));
        assert_eq!(writes_to_source(&sandbox), 0, "after {good}: {:?}", sandbox.control().writes());
        assert_eq!(names(&sandbox, ACCOUNT, REGION).await, before);
        match ran.code {
            Some(4) => {
                refused += 1;
                ran.says(&format!("the credentials lead to account {ACCOUNT} now"));
            }
            _ => drop(ran.expect(0)),
        }
        // With credentials that hold, what is left is removed.
        desk.run_as(TARGET, "drill clean turning").expect(0);
        assert!(names(&sandbox, TARGET, REGION).await.is_empty(), "after {good}");
    }
    assert!(refused >= 5, "{refused}");

    let mut refused = 0;
    for good in [1, 4, 7, 10, 1000] {
        sandbox.control().reset_calls();
        turning(&desk, good);
        let ran = run_turning(&desk, &format!("restore --to aws:{REGION} --account {TARGET} --yes {SHEETS}"));
        assert_eq!(writes_to_source(&sandbox), 0, "after {good}: {:?}", sandbox.control().writes());
        match ran.code {
            Some(4) => refused += 1,
            // Turned while it was read back: nothing was written, and nothing is verified.
            Some(3) => assert!(ran.err.contains("OtherAccount"), "{}", ran.err),
            _ => drop(ran.expect(0)),
        }
    }
    assert!(refused >= 2, "{refused}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_closes_is_a_stop_like_any_other() {
    let sandbox = estate().await;
    for number in 0..12 {
        sandbox.control().put(ACCOUNT, "eu-central-1", &format!("more/{number}"), "value").unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "slow", &into_account(""));
    for signal in ["-HUP", "-TERM"] {
        let mut child = started(&desk, &sandbox, "plan");
        while names(&sandbox, TARGET, REGION).await.is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before its first write");
        }
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        sandbox.control().set_latency(std::time::Duration::ZERO);
        assert!(names(&sandbox, TARGET, REGION).await.is_empty(), "{signal} cleans up");
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deletion_behind_a_listing_that_lags_is_named_and_cleaned_up_later() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "lag", &into_account("prefix = \"drill/\"\n"));
    sandbox.control().set_listing_lag(true);
    let run = || desk.run_as(TARGET, &format!("drill run lag --yes --json {SHEETS}"));
    let passed = run().expect(0).json();
    assert_eq!(passed["record"]["clean_up"], json!({ "created": 2, "destroyed": 2, "left_over": [] }));

    sandbox.control().add_fault(Fault {
        operation: Some("DeleteSecret".into()),
        secret: None,
        account: None,
        region: None,
        when: FaultWhen::Always,
        kind: FaultKind::Error { code: "AccessDeniedException".into(), message: "not allowed".into() },
    });
    let failed = run().expect(3).json();
    let up = &failed["record"]["clean_up"];
    assert_eq!(
        (&up["created"], &up["destroyed"], up["left_over"].as_array().unwrap().len()),
        (&json!(2), &json!(0), 2)
    );
    assert_eq!(failed["record"]["result"], "failed");
    desk.run_as(TARGET, "drill clean lag").expect(4).says("is not empty");
    sandbox.control().clear_faults();
    // The listing still lags: the journal knows them.
    let cleaned = desk.run_as(TARGET, "drill clean lag --json").expect(0).json();
    assert_eq!((&cleaned["removed"], &cleaned["left_alone"]), (&json!(2), &json!({})));
    sandbox.control().set_listing_lag(false);
    assert!(names(&sandbox, TARGET, REGION).await.is_empty());

    let tags = json!([{ "Key": "lifeboat:drill", "Value": "0123456789abcdef0123456789abcdef" }]);
    let theirs = json!({ "Name": "drill/theirs", "Tags": tags });
    sandbox.control().seed_raw(TARGET, REGION, &theirs).unwrap();
    run().expect(4).says("drill/theirs");
    let ran = desk.run_as(TARGET, "drill clean lag --json").expect(4);
    assert!(ran.err.contains("drill/theirs is left alone"), "{}", ran.err);
    assert_eq!(names(&sandbox, TARGET, REGION).await, ["drill/theirs"]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_region_is_one_that_exists_however_it_is_written() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    for (region, exit, says) in [
        ("eu-cental-1", 2, "did you mean eu-central-1"),
        ("", 2, "no region"),
        ("mars-north-1", 2, "no region mars-north-1"),
    ] {
        write(&desk, "outage", &OUTAGE.replace("eu-central-1\"]", &format!("{region}\"]")));
        desk.run(&format!("drill run outage --yes {SHEETS}")).expect(exit).says(says);
    }
    write(&desk, "outage", &OUTAGE.replace("\"eu-central-1\"]", "\" EU-Central-1 \"]"));
    std::fs::rename(desk.path("repository"), desk.path("gone")).unwrap();
    sandbox.control().reset_calls();
    let drill = desk.run(&format!("drill run outage --json {SHEETS}")).expect(0).json();
    assert!(sandbox.control().calls().is_empty());
    assert_eq!(drill["record"]["isolation"]["lost"]["regions"], json!(["eu-central-1"]));
    assert_eq!(drill["record"]["isolation"]["refused"], 2, "the region and the storage");
    sandbox.shutdown().await;
}

/// By the partition data of AWS's own SDK for Python.
#[test]
fn every_region_that_aws_knows_is_known() {
    let words = "import json, botocore, os\n\
        data = json.load(open(os.path.join(os.path.dirname(botocore.__file__), 'data', 'partitions.json')))\n\
        print(*[region for partition in data['partitions'] for region in partition['regions'] if 'global' not in region])";
    let output = std::process::Command::new(crate::servers::program("python")).args(["-c", words]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let theirs: Vec<&str> = text.split_whitespace().collect();
    assert!(theirs.len() > 30, "{text}");
    for region in theirs {
        assert!(REGIONS.contains(&region), "{region}");
    }
}
