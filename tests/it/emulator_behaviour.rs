//! The emulator beyond the recordings: outages, faults, quotas, hooks, accounts, paging and the HTTP face.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lifeboat::{
    clock::FixedClock,
    emulator::{ControlError, Fault, FaultKind, FaultWhen, KeyState, Sandbox, SandboxOptions},
};
use serde_json::{Value, json};

use crate::emulator_wire::{ACCOUNT, REGION, Wire};

const OTHER: &str = "222222222222";
const NOBODY: &str = "000000000000";

async fn sandbox() -> (Sandbox, Wire) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let wire = Wire::connect(sandbox.address()).await;
    (sandbox, wire)
}

fn fault(operation: &str, when: FaultWhen, kind: FaultKind) -> Fault {
    Fault { operation: Some(operation.into()), secret: None, account: None, region: None, when, kind }
}

async fn create(wire: &mut Wire, name: &str, value: &str) -> Value {
    wire.ok("CreateSecret", json!({ "Name": name, "SecretString": value })).await
}

fn token(n: u32) -> String {
    format!("token-that-is-long-enough-for-aws-{n:04}")
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let bind: SocketAddr = address.parse().unwrap();
        let refused = Sandbox::start(SandboxOptions { bind, ..SandboxOptions::default() }).await.err().unwrap();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{address}");
    }
}

#[tokio::test]
async fn a_downed_region_answers_nothing_sts_included_and_others_go_on() {
    let (sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    let control = sandbox.control();
    control.set_region_down(REGION, true);
    assert!(wire.try_call("GetSecretValue", &json!({ "SecretId": "a" })).await.is_none());
    let mut sts = Wire::connect(sandbox.address()).await;
    let scope = format!("Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/d/{REGION}/sts/aws4_request\r\n");
    assert!(sts.send("POST", "/", &scope, b"Action=GetCallerIdentity").await.is_none());
    assert_eq!(control.refused(), 2);
    let mut elsewhere = Wire::connect_as(sandbox.address(), ACCOUNT, "eu-west-1").await;
    elsewhere.ok("ListSecrets", json!({})).await;
    control.set_region_down(REGION, false);
    let mut wire = Wire::connect(sandbox.address()).await;
    assert_eq!(wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "x");
}

#[tokio::test]
async fn a_call_dropped_before_is_not_done_and_one_dropped_after_is() {
    let (sandbox, mut wire) = sandbox().await;
    let control = sandbox.control();
    control.add_fault(fault("CreateSecret", FaultWhen::Nth(1), FaultKind::Drop));
    control.add_fault(fault("CreateSecret", FaultWhen::Nth(2), FaultKind::DropAfter));
    for name in ["before", "after"] {
        let request = json!({ "Name": name, "SecretString": "x", "ClientRequestToken": token(1) });
        assert!(wire.try_call("CreateSecret", &request).await.is_none());
        wire = Wire::connect(sandbox.address()).await;
    }
    assert_eq!(wire.refused("DescribeSecret", json!({ "SecretId": "before" })).await, "ResourceNotFoundException");
    wire.ok("DescribeSecret", json!({ "SecretId": "after" })).await;
    let again = json!({ "Name": "after", "SecretString": "x", "ClientRequestToken": token(1) });
    assert_eq!(wire.ok("CreateSecret", again).await["VersionId"], token(1));
    let other = json!({ "Name": "after", "SecretString": "y", "ClientRequestToken": token(1) });
    assert_eq!(wire.refused("CreateSecret", other).await, "ResourceExistsException");
    assert_eq!(control.calls()["CreateSecret"], 4);
}

#[tokio::test]
async fn faults_answer_as_aws_does() {
    let (sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    create(&mut wire, "ab", "x").await;
    let control = sandbox.control();
    let denied = FaultKind::Error { code: "AccessDeniedException".into(), message: "no".into() };
    control.add_fault(Fault { secret: Some("a".into()), ..fault("GetSecretValue", FaultWhen::Always, denied) });
    control.add_fault(fault("DescribeSecret", FaultWhen::Always, FaultKind::Throttle));
    control.add_fault(fault("ListSecrets", FaultWhen::Always, FaultKind::InternalError));
    assert_eq!(wire.refused("GetSecretValue", json!({ "SecretId": "a" })).await, "AccessDeniedException");
    wire.ok("GetSecretValue", json!({ "SecretId": "ab" })).await;
    let (status, body) = wire.call("DescribeSecret", json!({ "SecretId": "a" })).await;
    assert_eq!((status, &body["message"]), (400, &json!("Rate exceeded")));
    assert_eq!(wire.call("ListSecrets", json!({})).await.0, 500);
    control.clear_faults();
    wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await;
    let unknown = control.try_add_fault(fault("Nonsense", FaultWhen::Always, FaultKind::Throttle));
    assert_eq!(unknown, Err(ControlError::NoOperation("Nonsense".into())));
}

#[tokio::test]
async fn quotas_throttle_per_account_and_region_and_only_when_on() {
    let (sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    for _ in 0..200 {
        wire.ok("ListSecretVersionIds", json!({ "SecretId": "a" })).await;
    }
    sandbox.control().set_quotas(true);
    let started = Instant::now();
    let mut granted = 0_u32;
    for _ in 0..200 {
        granted += u32::from(wire.call("ListSecretVersionIds", json!({ "SecretId": "a" })).await.0 == 200);
    }
    let most = 51.0 + started.elapsed().as_secs_f64() * 50.0;
    assert!(granted >= 50 && f64::from(granted) <= most, "{granted} of at most {most}");
    wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await;
    let mut other = Wire::connect_as(sandbox.address(), OTHER, REGION).await;
    assert_eq!(other.refused("ListSecretVersionIds", json!({ "SecretId": "a" })).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn latency_is_added_to_every_answer() {
    let (sandbox, mut wire) = sandbox().await;
    sandbox.control().set_latency(Duration::from_millis(60));
    let started = Instant::now();
    wire.ok("ListSecrets", json!({})).await;
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_hook_changes_the_secret_between_two_reads() {
    let (sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "old").await;
    let rotate = Box::new(|control: &lifeboat::emulator::Control| {
        control.put(ACCOUNT, REGION, "a", "new").unwrap();
    });
    sandbox.control().on_call("GetSecretValue", 2, rotate).unwrap();
    let mut read = Vec::new();
    for _ in 0..4 {
        read.push(wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"].clone());
    }
    assert_eq!(read, ["old", "old", "new", "new"]);
}

#[tokio::test]
async fn a_corrupted_value_differs_and_keeps_everything_else() {
    let (sandbox, mut wire) = sandbox().await;
    let made = create(&mut wire, "a", "value").await;
    let before = wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await;
    let described = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await;
    let control = sandbox.control();
    assert_eq!(control.corrupt_value(ACCOUNT, REGION, "a", None).unwrap(), made["VersionId"]);
    let after = wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await;
    assert_ne!(after["SecretString"], before["SecretString"]);
    assert_eq!(after["VersionId"], before["VersionId"]);
    assert_eq!(wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await, described);
    assert!(control.corrupt_value(ACCOUNT, REGION, "absent", None).is_err());
    assert!(control.corrupt_value(ACCOUNT, REGION, "a", Some("absent")).is_err());
    assert!(control.corrupt_value(OTHER, REGION, "a", None).is_err());
}

#[tokio::test]
async fn accounts_and_regions_are_apart_and_default_keys_do_not_cross() {
    let (sandbox, mut wire) = sandbox().await;
    let arn = create(&mut wire, "a", "x").await["ARN"].clone();
    let keyed = json!({ "Name": "k", "SecretString": "y", "KmsKeyId": "arn:aws:kms:us-east-1:111111111111:key/1" });
    let keyed = wire.ok("CreateSecret", keyed).await["ARN"].clone();
    let mut other = Wire::connect_as(sandbox.address(), OTHER, REGION).await;
    assert_eq!(other.refused("GetSecretValue", json!({ "SecretId": "a" })).await, "ResourceNotFoundException");
    assert_eq!(other.refused("DescribeSecret", json!({ "SecretId": arn })).await, "AccessDeniedException");
    let principal = format!("arn:aws:iam::{OTHER}:root");
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "secretsmanager:*", "Resource": "*" },
    ]})
    .to_string();
    for id in [&arn, &keyed] {
        wire.ok("PutResourcePolicy", json!({ "SecretId": id, "ResourcePolicy": policy })).await;
    }
    other.ok("DescribeSecret", json!({ "SecretId": arn })).await;
    let (_, body) = other.call("GetSecretValue", json!({ "SecretId": arn })).await;
    assert_eq!(
        body["Message"],
        "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS \
         service key."
    );
    let put = json!({ "SecretId": arn, "SecretString": "z" });
    assert_eq!(other.refused("PutSecretValue", put).await, "InvalidRequestException");
    assert_eq!(other.ok("GetSecretValue", json!({ "SecretId": keyed })).await["SecretString"], "y");
    assert_eq!(other.ok("ListSecrets", json!({})).await["SecretList"], json!([]));
    let mut third = Wire::connect_as(sandbox.address(), "333333333333", REGION).await;
    assert_eq!(third.refused("DescribeSecret", json!({ "SecretId": arn })).await, "AccessDeniedException");
    let mut west = Wire::connect_as(sandbox.address(), ACCOUNT, "us-west-2").await;
    assert_eq!(west.refused("GetSecretValue", json!({ "SecretId": arn })).await, "ResourceNotFoundException");
    let mut nobody = Wire::connect_as(sandbox.address(), "AKIAIOSFODNN7EXAMPLE", REGION).await;
    let arn = create(&mut nobody, "a", "x").await["ARN"].clone();
    assert!(arn.as_str().unwrap().contains(NOBODY));
}

#[tokio::test]
async fn pages_cover_everything_once_in_each_order() {
    let (sandbox, mut wire) = sandbox().await;
    let control = sandbox.control();
    for n in 0..250 {
        control.put(ACCOUNT, REGION, &format!("s{:03}", (n * 7) % 250), "x").unwrap();
    }
    for order in ["created-date", "name", "last-changed-date", "last-accessed-date"] {
        for sort in ["asc", "desc"] {
            let request = json!({ "SortBy": order, "SortOrder": sort, "MaxResults": 100 });
            let (names, pages) = list_all(&mut wire, request).await;
            assert_eq!((names.len(), pages), (250, 3), "{order} {sort}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 250, "{order} {sort}");
            let sorted = names.is_sorted_by(|a, b| if sort == "asc" { a < b } else { a > b });
            assert!(sorted || order != "name", "{order} {sort}");
        }
    }
    let filter = json!({ "SortBy": "name", "MaxResults": 4, "Filters": [{ "Key": "name", "Values": ["s01"] }] });
    let (names, _) = list_all(&mut wire, filter).await;
    assert_eq!(names, (10..20).map(|n| format!("s{n:03}")).collect::<Vec<_>>());
    for (field, bad) in [("NextToken", json!("bogus")), ("MaxResults", json!(101)), ("SortBy", json!("colour"))] {
        let code = wire.refused("ListSecrets", json!({ field: bad })).await;
        assert!(["InvalidNextTokenException", "ValidationException"].contains(&code.as_str()), "{field}: {code}");
    }
    control.set_empty_first_page(true);
    let first = wire.ok("ListSecrets", json!({})).await;
    assert!(first["SecretList"] == json!([]) && first["NextToken"].is_string());
    assert_eq!(list_all(&mut wire, json!({})).await.0.len(), 250);
}

async fn list_all(wire: &mut Wire, mut request: Value) -> (Vec<String>, usize) {
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let page = wire.ok("ListSecrets", request.clone()).await;
        pages += 1;
        names.extend(page["SecretList"].as_array().unwrap().iter().map(|it| it["Name"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("NextToken") else { return (names, pages) };
        request["NextToken"] = next.clone();
    }
}

#[tokio::test]
async fn versions_page_and_deprecated_ones_stay_readable() {
    let (sandbox, mut wire) = sandbox().await;
    let first = create(&mut wire, "a", "0").await["VersionId"].clone();
    for n in 1..150 {
        sandbox.control().put(ACCOUNT, REGION, "a", &n.to_string()).unwrap();
    }
    assert_eq!(wire.ok("GetSecretValue", json!({ "SecretId": "a", "VersionId": first })).await["SecretString"], "0");
    let put = json!({ "SecretId": "a", "SecretString": "one too many" });
    assert_eq!(wire.refused("PutSecretValue", put.clone()).await, "LimitExceededException");
    let mut request = json!({ "SecretId": "a", "IncludeDeprecated": true, "MaxResults": 60 });
    let mut ids = BTreeSet::new();
    for size in [60, 60, 30] {
        let page = wire.ok("ListSecretVersionIds", request.clone()).await;
        let versions = page["Versions"].as_array().unwrap().clone();
        assert_eq!(versions.len(), size);
        ids.extend(versions.iter().map(|it| it["VersionId"].as_str().unwrap().to_owned()));
        request["NextToken"] = page["NextToken"].clone();
    }
    assert_eq!((ids.len(), &request["NextToken"]), (150, &Value::Null));
    sandbox.control().set_created(ACCOUNT, REGION, "a", first.as_str().unwrap(), 0.0).unwrap();
    wire.ok("PutSecretValue", put).await;
    let pruned = json!({ "SecretId": "a", "VersionId": first });
    assert_eq!(wire.refused("GetSecretValue", pruned).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn every_change_moves_the_date_of_change_and_no_read_does() {
    let clock = Arc::new(FixedClock("2026-11-24T12:34:56.789Z".parse().unwrap()));
    let sandbox = Sandbox::start(SandboxOptions { clock, ..SandboxOptions::default() }).await.unwrap();
    let mut wire = Wire::connect(sandbox.address()).await;
    create(&mut wire, "a", "x").await;
    let described = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await;
    assert_eq!(described["CreatedDate"], json!(1_795_523_696.789));
    let mut last = described["LastChangedDate"].as_f64().unwrap();
    let policy =
        r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}}"#;
    for (operation, mut request, moves) in [
        ("GetSecretValue", json!({}), false),
        ("ListSecretVersionIds", json!({}), false),
        ("TagResource", json!({ "Tags": [{ "Key": "k", "Value": "" }] }), true),
        ("UntagResource", json!({ "TagKeys": ["k"] }), true),
        ("PutResourcePolicy", json!({ "ResourcePolicy": policy }), true),
        ("GetResourcePolicy", json!({}), false),
        ("DeleteResourcePolicy", json!({}), true),
        ("UpdateSecret", json!({}), true),
        ("PutSecretValue", json!({ "SecretString": "y" }), true),
        ("DeleteSecret", json!({}), true),
        ("RestoreSecret", json!({}), true),
    ] {
        request["SecretId"] = json!("a");
        wire.ok(operation, request).await;
        let now = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await["LastChangedDate"].as_f64().unwrap();
        assert_eq!(now > last, moves, "{operation}");
        last = now;
    }
    let accessed = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await["LastAccessedDate"].clone();
    assert_eq!(accessed, json!(1_795_478_400.0));
}

#[tokio::test]
async fn a_broken_key_fails_only_the_versions_under_it() {
    let (sandbox, mut wire) = sandbox().await;
    let made = json!({ "Name": "a", "SecretString": "1", "KmsKeyId": "old" });
    let first = wire.ok("CreateSecret", made).await["VersionId"].clone();
    for value in ["2", "3"] {
        wire.ok("PutSecretValue", json!({ "SecretId": "a", "SecretString": value })).await;
    }
    wire.ok("UpdateSecret", json!({ "SecretId": "a", "KmsKeyId": "new" })).await;
    let listed = json!({ "SecretId": "a", "IncludeDeprecated": true });
    let listed = wire.ok("ListSecretVersionIds", listed).await;
    let keys: Vec<&Value> = listed["Versions"].as_array().unwrap().iter().map(|it| &it["KmsKeyIds"][0]).collect();
    assert_eq!(keys, ["old", "new", "new"]);
    let control = sandbox.control();
    control.set_key_state("old", Some(KeyState::Disabled));
    let deprecated = json!({ "SecretId": "a", "VersionId": first });
    assert_eq!(wire.refused("GetSecretValue", deprecated.clone()).await, "DecryptionFailure");
    assert_eq!(wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "3");
    control.set_key_state("old", Some(KeyState::Denied));
    assert_eq!(wire.refused("GetSecretValue", deprecated.clone()).await, "AccessDeniedException");
    control.set_key_state("new", Some(KeyState::Missing));
    let put = json!({ "SecretId": "a", "SecretString": "4" });
    assert_eq!(wire.refused("PutSecretValue", put).await, "EncryptionFailure");
    control.set_key_state("old", None);
    wire.ok("GetSecretValue", deprecated).await;
}

#[tokio::test]
async fn the_http_face() {
    let (sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    let answered = wire.try_call("GetSecretValue", &json!({ "SecretId": "a" })).await.unwrap();
    assert!(answered.head.contains("content-type: application/x-amz-json-1.1"), "{}", answered.head);
    assert!(answered.head.contains("x-amzn-requestid: ") && !answered.head.contains("connection: close"));
    assert_eq!(wire.refused("ListResourcePolicies", json!({})).await, "UnknownOperationException");
    let unsigned = wire.send("POST", "/", "X-Amz-Target: secretsmanager.ListSecrets\r\n", b"{}").await.unwrap();
    assert_eq!(unsigned.json()["__type"], "MissingAuthenticationTokenException");
    let scope = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/d/{REGION}/secretsmanager/aws4_request\r\n\
         X-Amz-Target: secretsmanager.CreateSecret\r\n"
    );
    let broken = wire.send("POST", "/", &scope, br#"{"Name":"b","SecretString":"hunter2"#).await.unwrap();
    assert_eq!((broken.status, broken.json()["__type"].as_str().unwrap()), (400, "SerializationException"));
    assert!(!String::from_utf8(broken.body).unwrap().contains("hunter2"));
    let address = sandbox.address();
    assert_eq!(sandbox.endpoint(), format!("http://{address}"));
    sandbox.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(wire.try_call("ListSecrets", &json!({})).await.is_none());
}

#[tokio::test]
async fn the_switches_over_http() {
    let (sandbox, mut wire) = sandbox().await;
    let token = format!("X-Lifeboat-Sandbox: {}\r\n", sandbox.token());
    let control = async |wire: &mut Wire, body: Value| {
        wire.send("POST", "/_sandbox/control", &token, body.to_string().as_bytes()).await.unwrap()
    };
    let secret = json!({
        "Name": "rds!db", "OwningService": "rds", "Extra": { "FutureField": 1 },
        "Versions": [{ "VersionId": "v1", "SecretString": "x", "VersionStages": ["AWSCURRENT"] },
                     { "VersionId": "v2", "VersionStages": ["AWSPENDING"] }],
    });
    let seed = json!({ "seed_raw": { "account": ACCOUNT, "region": REGION, "secret": secret } });
    assert_eq!(control(&mut wire, seed).await.status, 200);
    let described = wire.ok("DescribeSecret", json!({ "SecretId": "rds!db" })).await;
    assert_eq!((&described["OwningService"], &described["FutureField"]), (&json!("rds"), &json!(1)));
    assert_eq!(described["VersionIdsToStages"], json!({ "v1": ["AWSCURRENT"], "v2": ["AWSPENDING"] }));
    let listed = wire.ok("ListSecretVersionIds", json!({ "SecretId": "rds!db" })).await;
    assert_eq!(listed["Versions"].as_array().unwrap().len(), 1);
    let update = json!({ "SecretId": "rds!db", "SecretString": "y" });
    assert_eq!(wire.refused("UpdateSecret", update).await, "InvalidRequestException");
    let corrupt = json!({ "corrupt": { "account": ACCOUNT, "region": REGION, "secret": "rds!db" } });
    assert_eq!(control(&mut wire, corrupt).await.json()["corrupted"], "v1");
    let read = wire.ok("GetSecretValue", json!({ "SecretId": "rds!db" })).await;
    assert_ne!(read["SecretString"], "x");
    let fault = json!({ "fault": { "operation": "GetSecretValue", "when": { "nth": 1 }, "kind": "throttle" } });
    assert_eq!(control(&mut wire, fault).await.status, 200);
    assert_eq!(wire.refused("GetSecretValue", json!({ "SecretId": "rds!db" })).await, "ThrottlingException");
    for bad in [
        json!({ "dwon": [] }),
        json!({ "corrupt": { "region": REGION, "secret": "absent" } }),
        json!({ "fault": { "operation": "Nope", "when": "always", "kind": "drop" } }),
        json!({ "seed_raw": { "region": REGION, "secret": { "Nmae": "x" } } }),
    ] {
        assert_eq!(control(&mut wire, bad.clone()).await.status, 400, "{bad}");
    }
    let calls = wire.send("GET", "/_sandbox/calls", &token, b"").await.unwrap().json();
    assert_eq!(calls["calls"]["GetSecretValue"], 2);
    assert_eq!(control(&mut wire, json!({ "reset_calls": true })).await.status, 200);
    assert_eq!(wire.send("GET", "/_sandbox/calls", &token, b"").await.unwrap().json()["calls"], json!({}));
    assert_eq!(wire.send("GET", "/_sandbox/nothing", &token, b"").await.unwrap().status, 404);
}
