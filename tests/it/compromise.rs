//! The emergency of an estate as one script: a folder of secrets is said to be leaked; it is marked, planned, rotated, proven, and a
//! restore passes the leaked versions over.

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, SHEETS, files},
    tombstones::sources_with,
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";
const LAMBDA: &str = "arn:aws:lambda:eu-central-1:111111111111:function:rotate";
const ROLE: &str = "arn:aws:iam::111111111111:role/api-service";
/// In every value that is leaked.
const MARKER: &str = "LEAKED-VALUE";

/// Gives a secret a new value as a script of a customer would.
const ROLL: &str = r#"
import json, os, urllib.request
body = json.dumps({"SecretId": os.environ["SECRET_ID"], "SecretString": "rolled", "ClientRequestToken": "f" * 36})
scope = "Credential=111111111111/20261127/%s/secretsmanager/aws4_request" % os.environ["SECRET_REGION"]
request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body.encode(), {
    "content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.PutSecretValue",
    "authorization": "AWS4-HMAC-SHA256 " + scope + ", SignedHeaders=host, Signature=x"})
urllib.request.urlopen(request).read()
print("rolled LEAKED-VALUE")
"#;

const PLAYBOOK: &str = r#"
[[secret]]
names = "orrange-p2p/mail"
rotate = ["/usr/bin/python3", "roll.py"]
probe = ["/bin/sh", "-c", "test -e revoked"]
revoke = "roll the key in the dashboard of the mail provider"

[[secret]]
names = "orrange-p2p/"
probe = ["/bin/sh", "-c", "test -e revoked"]
owner = "Payments"
consumers = ["ecs:orrange/api"]
"#;

fn version(id: char, labels: &[&str], value: &str) -> Json {
    json!({ "VersionId": id.to_string().repeat(36), "SecretString": value, "VersionStages": labels })
}

async fn estate() -> (Sandbox, Desk) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": ROLE }, "Action": "secretsmanager:GetSecretValue", "Resource": "*" },
    ] });
    let rotated = |name: &str, value: &str| {
        json!({
            "Name": name, "RotationEnabled": true, "RotationLambdaARN": LAMBDA, "ResourcePolicy": policy.to_string(),
            "RotationRules": { "AutomaticallyAfterDays": 30 },
            "Versions": [version('a', &["AWSPREVIOUS"], MARKER), version('b', &["AWSCURRENT"], value)],
        })
    };
    let plain = |name: &str, value: &str| json!({ "Name": name, "Versions": [version('c', &["AWSCURRENT"], value)] });
    let master = r#"{"username":"root","password":"LEAKED-VALUE"}"#;
    let arn = sandbox.control().seed_raw(ACCOUNT, REGION, &rotated("orrange-p2p/db/master", master)).unwrap();
    let user = format!(r#"{{"username":"api","password":"{MARKER}","masterarn":"{arn}"}}"#);
    let keys = format!(r#"{{"signing_key":"{MARKER}","signing_key_previous":"{MARKER}"}}"#);
    for secret in [
        rotated("orrange-p2p/db/a-user", &user),
        plain("orrange-p2p/mail", MARKER),
        plain("orrange-p2p/jwt_secret", &keys),
        plain("orrange-p2p/jwt_secret_previous", MARKER),
        plain("orrange-p2p/hot-wallet", MARKER),
        plain("app/other", "fine"),
    ] {
        sandbox.control().seed_raw(ACCOUNT, REGION, &secret).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    std::fs::write(desk.path("playbook.toml"), PLAYBOOK).unwrap();
    std::fs::write(desk.path("roll.py"), ROLL).unwrap();
    (sandbox, desk)
}

fn names(plan: &Json) -> Vec<&str> {
    let secrets = plan["secrets"].as_array().unwrap();
    secrets.iter().map(|item| item["name"].as_str().unwrap().trim_start_matches("orrange-p2p/")).collect()
}

fn fates(run: &Json) -> String {
    let one = |step: &Json| format!("{} {}", step["name"].as_str().unwrap(), step["fate"].as_str().unwrap());
    let all: Vec<String> = run["secrets"].as_array().unwrap().iter().map(one).collect();
    all.join("; ").replace("orrange-p2p/", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_folder_is_marked_planned_rotated_proven_and_not_restored() {
    let (sandbox, desk) = estate().await;
    let since = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1)).to_string();
    // 1. What leaked is marked: rotated secrets have two versions each.
    let marked = desk.run(&format!("compromise mark --scope orrange-p2p/ --since {since} --reason theft --yes --json"));
    assert_eq!(marked.expect(0).json()["versions"], 8);

    // 2. The plan: masters before users, keys of before after theirs, funds first. Without sheets no value is read.
    let words = format!("compromise plan --scope orrange-p2p/* --since {since} --playbook playbook.toml");
    let blind = desk.run(&format!("{words} --json")).expect(0).json();
    assert_eq!(names(&blind)[..2], ["hot-wallet", "db/a-user"], "without its value nobody knows its master");
    let plan = desk.run(&format!("{words} --out plan.json --json {SHEETS}")).expect(0).json();
    let order = ["hot-wallet", "db/master", "db/a-user", "mail", "jwt_secret", "jwt_secret_previous"];
    assert_eq!(names(&plan), order);
    let ways: Vec<&str> = plan["secrets"].as_array().unwrap().iter().map(|it| it["way"].as_str().unwrap()).collect();
    assert_eq!(ways, ["never", "rotatable", "rotatable", "scripted", "manual", "manual"]);
    assert_eq!(plan["secrets"][1]["consumers"], json!([ROLE, "ecs:orrange/api"]));
    assert!(plan["secrets"][4]["notes"].to_string().contains("beside signing_key"));
    let text = desk.run(&words).expect(0).out;
    for part in [
        "1. Contain",
        "aws iam put-role-policy --role-name api-service",
        "--rotate-immediately",
        "aws cloudtrail lookup-events",
        "FROM cloudtrail_logs",
        "filter eventSource",
        "4. Prove",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let role = desk.run(&format!("compromise plan --readers-of api-service --since {since} --json")).expect(0).json();
    assert_eq!(names(&role), ["db/a-user", "db/master"]);
    desk.run(&format!("compromise plan --scope nothing/ --since {since}"))
        .expect(2)
        .says("no secret of the newest snapshots");

    // 3. The role of its own reads no value.
    let policy: Json = serde_json::from_str(&desk.run("compromise run plan.json --policy").expect(0).out).unwrap();
    for statement in policy["Statement"].as_array().unwrap() {
        let reads = statement["Action"].to_string().contains("GetSecretValue");
        assert_eq!(reads, statement["Effect"] == "Deny", "{statement}");
    }

    // 4. The run: what can be rotated is, once; what only a person can do waits.
    desk.run("compromise run plan.json").expect(2).says("this needs a confirmation");
    assert_eq!(sandbox.control().immediate_rotations(), 0);
    desk.run_as("222222222222", "compromise run plan.json --yes").expect(4).says("the credentials are for");
    let run = || desk.run("compromise run plan.json --yes --json");
    let first = run().expect(3).json();
    assert_eq!(
        fates(&first),
        "hot-wallet waits; db/master rotated; db/a-user rotated; mail rotated; jwt_secret waits; jwt_secret_previous waits"
    );
    assert_eq!(sandbox.control().immediate_rotations(), 2);
    let early = desk.run("compromise verify plan.json --json").expect(3).json();
    let found =
        |proof: &Json, at: usize| proof["proof"]["secrets"][at]["result"]["finding"].as_str().unwrap().to_owned();
    assert_eq!((found(&early, 0), found(&early, 1)), ("not_rotated".into(), "still_works".into()));
    // A journal that is lost changes nothing: a rotation that is done is seen.
    std::fs::remove_file(desk.path("plan.json.journal")).unwrap();
    for name in ["orrange-p2p/hot-wallet", "orrange-p2p/jwt_secret"] {
        sandbox.control().put(ACCOUNT, REGION, name, "by a person").unwrap();
    }
    let second = run().expect(3).json();
    let done = "hot-wallet already; db/master already; db/a-user already; mail already; jwt_secret already";
    assert_eq!(fates(&second), format!("{done}; jwt_secret_previous waits"));
    sandbox.control().put(ACCOUNT, REGION, "orrange-p2p/jwt_secret_previous", "by a person").unwrap();
    run().expect(0);
    assert_eq!(sandbox.control().immediate_rotations(), 2, "nothing is rotated twice");

    // 5. The proof: signed, stored, and in the copies.
    desk.run("compromise verify plan.json").expect(3);
    std::fs::write(desk.path("revoked"), "").unwrap();
    let proof = desk.run("compromise verify plan.json --json").expect(0).json();
    assert_eq!((&proof["passed"], proof["proof"]["secrets"].as_array().unwrap().len()), (&true.into(), 6));
    desk.run("copy").expect(0);
    let record = proof["record"].as_str().unwrap();
    assert!(desk.path("west").join(record).exists() && desk.path("west").join(format!("{record}.sig")).exists());
    desk.run("check").expect(0);
    desk.run("check --repo west").expect(0);

    // 6. A restore passes the leaked versions over, and brings the new ones back.
    desk.run("snapshot").expect(0);
    let restore = desk.run(&format!("restore --to aws:eu-west-1 --yes --json {SHEETS}")).expect(3);
    assert!(restore.err.contains("8 versions are marked as leaked by"), "{}", restore.err);
    assert_eq!(restore.json()["counts"]["created"], 7, "{}", restore.out);
    assert_eq!(desk.run(&format!("get orrange-p2p/mail {SHEETS}")).expect(0).out, "rolled");
    desk.run(&format!("get orrange-p2p/mail --version AWSPREVIOUS {SHEETS}")).expect(1).says("marked as leaked by");
    assert_eq!(sandbox.control().immediate_rotations(), 2, "a restore rotates nothing");

    // 7. No value in anything that was printed or written.
    assert!(!String::from_utf8_lossy(&desk.printed()).contains(MARKER));
    for place in ["repository", "west", "state"] {
        for (path, bytes) in files(&desk.path(place)) {
            assert!(!String::from_utf8_lossy(&bytes).contains(MARKER), "{}", path.display());
        }
    }
    for file in ["plan.json", "plan.json.journal"] {
        assert!(!std::fs::read_to_string(desk.path(file)).unwrap().contains(MARKER), "{file}");
    }
    let clear = files(&desk.path("repository/records"));
    assert!(clear.len() >= 8 && !clear.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("orrange")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_of_lifeboat_has_an_answer_with_the_numbers_of_this_repository() {
    let (_sandbox, desk) = estate().await;
    for (key, words) in [
        ("sheet", "3 or more of the 5: every value of 1 snapshots"),
        ("index", "nothing: anyone can seal"),
        ("signer", "lifeboat custody signer remove --name NAME --after N"),
        ("drill", "of 0 of 1 snapshots"),
    ] {
        let text = desk.run(&format!("compromise plan --key {key}")).expect(0).out;
        assert!(text.contains(words) && text.contains("What follows"), "{key}: {text}");
        assert_eq!(desk.run(&format!("compromise plan --key {key} --json")).expect(0).json()["key"], key);
    }
    desk.run("compromise plan --key signer --scope a").expect(2);
    desk.run("compromise plan --scope a").expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_changed_or_is_of_another_repository_is_not_carried_out() {
    let (sandbox, desk) = estate().await;
    desk.run("compromise plan --scope orrange-p2p/mail --since 2026-01-01 --out plan.json").expect(0);
    desk.run("compromise plan --scope orrange-p2p/mail --since 2026-01-01 --out plan.json").expect(1).says("plan.json");
    let text = std::fs::read_to_string(desk.path("plan.json")).unwrap();
    let mut plan: Json = serde_json::from_str(&text).unwrap();
    plan["repository"] = "00".repeat(16).into();
    std::fs::write(desk.path("other.json"), plan.to_string()).unwrap();
    desk.run("compromise run other.json --yes").expect(4).says("the plan was made for repository");
    std::fs::write(desk.path("none.json"), "{}").unwrap();
    desk.run("compromise verify none.json").expect(2).says("not a plan of this version");
    desk.run("compromise run plan.json --only app/other --yes").expect(2).says("the plan has no secret");
    // Another secret took the name.
    let taken = json!({ "Name": "orrange-p2p/mail", "Versions": [version('d', &["AWSCURRENT"], "new")] });
    sandbox.control().seed_raw(ACCOUNT, REGION, &taken).unwrap();
    let run = desk.run("compromise run plan.json --yes --json").expect(3).json();
    assert_eq!(run["secrets"][0]["why"], "another secret has its name now");
    assert_eq!(sandbox.control().writes().len(), 0);
}

#[test]
fn one_place_can_rotate_at_once_and_one_asks_it_to() {
    let one = |words: &[&str]| sources_with(words).into_iter().collect::<Vec<_>>();
    assert_eq!(one(&["rotate_immediately(true)"]), ["src/provider/aws/ops/incident.rs"]);
    assert_eq!(one(&[".rotate_now("]), ["src/compromise/work.rs"]);
    assert_eq!(
        one(&["rotator("]),
        ["src/cli/compromise/mod.rs", "src/provider/aws/ops/mod.rs", "src/provider/incident.rs", "src/provider/ops.rs"]
    );
}
