//! `lifeboat consumers`: against the services' own APIs on a server that nobody here wrote, and against services that lie.

use std::{fs, path::Path};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, binary},
    servers::{self, Moto},
    stub::{Reply, Stub},
};

const REGION: &str = "eu-central-1";

/// The consumers of a secret: kind, where, what it fixes, what to do.
fn of(map: &Json, secret: &str) -> Vec<(String, String, Vec<String>, String)> {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let all = map["consumers"].as_array().unwrap().iter().filter(|one| one["use"]["secret"] == secret);
    all.map(|one| {
        let consumer = &one["use"]["consumer"];
        let fixes = consumer["fixes"].as_array().unwrap().iter().map(text).collect();
        (text(&consumer["kind"]), text(&consumer["at"]), fixes, text(&one["todo"]))
    })
    .collect()
}

fn line(kind: &str, at: &str, fixes: &[&str], todo: &str) -> (String, String, Vec<String>, String) {
    (kind.into(), at.into(), fixes.iter().map(|&one| one.into()).collect(), todo.into())
}

/// What was looked at: the count, and why it is not known.
fn looked(map: &Json, what: &str) -> (Json, Json) {
    let all = map["looked"].as_array().unwrap();
    let found = all.iter().map(|one| &one["looked"]).find(|one| one["what"].as_str().unwrap().contains(what));
    let found = found.unwrap_or_else(|| panic!("{what} is not in {all:?}"));
    (found["count"].clone(), found["reason"].clone())
}

#[test]
fn real_services_give_a_map_that_is_shown_without_them() {
    let moto = Moto::start();
    let desk = Desk::new(&moto.endpoint, "test");
    desk.init();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/consumers.py");
    let mut python = desk.command(servers::program("python"));
    let made = desk.finish(python.arg("-B").arg(script).args([&moto.endpoint, REGION])).expect(0).json();
    desk.run("snapshot").expect(0);
    let map = desk.run("consumers --days 0 --json").expect(3).json();
    let all = &["ending", "region", "account"][..];
    let key = made["key"].as_str().unwrap();
    assert_eq!(
        of(&map, "app/one"),
        [
            line("ecs service", "web: PASSWORD", all, "change_and_deploy"),
            line("ecs task definition", "web: PASSWORD", all, "change_and_deploy"),
            line("key policy", key, &["region"], "widen_before"),
            line("lambda function", "NAME", &[], "nothing"),
        ]
    );
    assert_eq!(
        of(&map, "app/two"),
        [
            line("ecs service", "web: PARTIAL", &["region", "account"], "change_and_deploy"),
            line("lambda function", "ARN", all, "change_and_deploy"),
            line("resource policy", "", all, "widen_before"),
        ]
    );
    for (what, count) in [("ECS", 2), ("Lambda", 1), ("KMS", 1), ("resource policies", 1)] {
        assert_eq!(looked(&map, what), (json!(count), Json::Null), "{what}");
    }
    assert_eq!(looked(&map, "readings"), (Json::Null, json!("not asked")));
    assert_eq!((&map["before"], map["stored"].as_array().unwrap().len()), (&json!(2), 1));

    // The same map is not stored again, and the trail that this server has not is unknown.
    assert_eq!(desk.run("consumers --days 0 --json").expect(3).json()["stored"], json!([]));
    let with_trail = desk.run("consumers --json --no-store").expect(3).json();
    assert_eq!(looked(&with_trail, "readings").0, Json::Null);
    desk.run("check").expect(0);
    let plan = desk.run("compromise plan --scope app/ --since 2026-01-01 --json").expect(0).json();
    let consumers = plan["secrets"][0]["consumers"].to_string();
    assert!(consumers.contains("ecs service arn:") && consumers.contains("lambda function arn:"), "{consumers}");
    drop(moto);
    let shown = desk.run("consumers --show --json").expect(3).json();
    assert_eq!((&shown["consumers"], &shown["looked"]), (&map["consumers"], &map["looked"]));
    let page = desk.run("consumers --show").expect(3);
    assert!(page.out.contains("WIDEN BEFORE an outage"), "{}", page.out);
    // No value of an environment is anywhere, and no name is in clear.
    for hidden in ["hunter2", "value-one"] {
        assert!(!String::from_utf8_lossy(&desk.printed()).contains(hidden), "{hidden} was printed");
    }
    let stored = everything_in(&desk.path("repository"));
    for hidden in ["hunter2", "app/one", "mailer", "worker"] {
        assert!(!String::from_utf8_lossy(&stored).contains(hidden), "{hidden} is in the repository");
    }
}

/// Every byte of every file below a folder.
fn everything_in(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { everything_in(&path) } else { fs::read(&path).unwrap() });
    }
    bytes
}

/// Lifeboat in front of a sandbox for secrets and a script for everything else.
fn ask(desk: &Desk, stub: &Stub) -> Ran {
    let mut command = desk.command(binary());
    for service in ["ECS", "LAMBDA", "KMS", "CLOUDTRAIL"] {
        command.env(format!("AWS_ENDPOINT_URL_{service}"), &stub.endpoint);
    }
    desk.finish(command.args(["consumers", "--json", "--no-store"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_refuse_or_lie_are_unknown() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put("111111111111", REGION, "app/one", "value").unwrap();
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("consumers --show").expect(2).says("no map of consumers is stored");

    let denied = Stub::start(|_, _| Reply::Error("AccessDeniedException", "no")).await;
    let map = ask(&desk, &denied).expect(3).json();
    assert_eq!((&map["consumers"], &map["whole"]), (&json!([]), &json!(false)));
    for what in ["ECS", "Lambda", "readings"] {
        let (count, reason) = looked(&map, what);
        assert!(count.is_null() && reason.as_str().unwrap().contains("AccessDeniedException"), "{what}: {reason}");
    }
    // 200 with an error in it, and pages that name themselves.
    let odd = Stub::start(|_, _| Reply::Ok(json!({ "__type": "InternalFailure", "Message": "oops" }))).await;
    let map = ask(&desk, &odd).expect(3).json();
    for what in ["ECS", "Lambda"] {
        assert!(looked(&map, what).1.as_str().unwrap().contains("an answer without"), "{what}");
    }
    let endless = Stub::start(|operation, _| match operation {
        "ListTaskDefinitionFamilies" => Reply::Ok(json!({ "families": [], "nextToken": "again" })),
        "ListClusters" => Reply::Ok(json!({ "clusterArns": [] })),
        "" => Reply::Ok(json!({ "Functions": [{}, 7, { "Environment": null }], "NextMarker": "again" })),
        _ => Reply::Ok(json!({ "Events": [] })),
    })
    .await;
    let map = ask(&desk, &endless).expect(3).json();
    for what in ["ECS", "Lambda"] {
        assert!(looked(&map, what).1.as_str().unwrap().contains("names itself"), "{what}: {:?}", looked(&map, what));
    }
    assert_eq!(looked(&map, "readings"), (Json::Null, json!("no reading at all was given")));
    sandbox.shutdown().await;
}
