//! The emulator's rules on what is refused and on replication, rotation, policies and deletion.

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

use crate::emulator_wire::{ACCOUNT, REGION, Wire};

const WEST: &str = "us-west-2";

async fn sandbox() -> (Sandbox, Wire) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let wire = Wire::connect(sandbox.address()).await;
    (sandbox, wire)
}

async fn create(wire: &mut Wire, name: &str, value: &str) -> Value {
    wire.ok("CreateSecret", json!({ "Name": name, "SecretString": value })).await
}

fn token(n: u32) -> String {
    format!("token-that-is-long-enough-for-aws-{n:04}")
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let (_sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    let long = |count: usize| "x".repeat(count);
    for (operation, request, code) in [
        ("CreateSecret", json!({ "Name": "a", "SecretString": "x" }), "ResourceExistsException"),
        ("CreateSecret", json!({ "Name": "rds!x" }), "ValidationException"),
        ("CreateSecret", json!({ "Name": long(513) }), "ValidationException"),
        ("CreateSecret", json!({ "Name": "b", "Description": long(2049) }), "ValidationException"),
        ("CreateSecret", json!({ "Name": "b", "SecretString": long(65_537) }), "ValidationException"),
        (
            "CreateSecret",
            json!({ "Name": "b", "SecretString": "x", "SecretBinary": "eA==" }),
            "InvalidParameterException",
        ),
        ("CreateSecret", json!({ "Name": "b", "ClientRequestToken": long(31) }), "InvalidParameterException"),
        ("CreateSecret", json!({ "Name": "b", "ClientRequestToken": long(65) }), "InvalidParameterException"),
        (
            "CreateSecret",
            json!({ "Name": "b", "Tags": [{ "Key": "aws:x", "Value": "" }] }),
            "InvalidParameterException",
        ),
        ("CreateSecret", json!({ "Name": "b", "SecretString": 5 }), "SerializationException"),
        ("PutSecretValue", json!({ "SecretId": "a" }), "InvalidRequestException"),
        ("PutSecretValue", json!({ "SecretId": "a", "SecretString": "x", "VersionStages": [] }), "ValidationException"),
        ("PutSecretValue", json!({ "SecretId": "absent", "SecretString": "x" }), "ResourceNotFoundException"),
        ("PutResourcePolicy", json!({ "SecretId": "a", "ResourcePolicy": "{" }), "MalformedPolicyDocumentException"),
        ("PutResourcePolicy", json!({ "SecretId": "a", "ResourcePolicy": long(20_481) }), "ValidationException"),
        ("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 6 }), "InvalidParameterException"),
        ("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 31 }), "InvalidParameterException"),
        ("DeleteSecret", json!({ "SecretId": "absent" }), "ResourceNotFoundException"),
        ("RestoreSecret", json!({ "SecretId": "absent" }), "ResourceNotFoundException"),
        ("ListSecretVersionIds", json!({ "SecretId": "a", "NextToken": "bogus" }), "InvalidNextTokenException"),
        ("BatchGetSecretValue", json!({}), "InvalidParameterException"),
        ("BatchGetSecretValue", json!({ "SecretIdList": vec!["a"; 21] }), "ValidationException"),
        ("GetRandomPassword", json!({ "PasswordLength": 4097 }), "InvalidParameterException"),
        ("GetSecretValue", json!({}), "ValidationException"),
    ] {
        assert_eq!(wire.refused(operation, request.clone()).await, code, "{operation}");
    }
    assert_eq!(wire.ok("ListSecrets", json!({})).await["SecretList"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_is_the_version_and_repeats_harmlessly() {
    let (_sandbox, mut wire) = sandbox().await;
    let made = json!({ "Name": "a", "SecretString": "1", "ClientRequestToken": token(1) });
    assert_eq!(wire.ok("CreateSecret", made.clone()).await["VersionId"], token(1));
    let put = |value: &str, n: u32| json!({ "SecretId": "a", "SecretString": value, "ClientRequestToken": token(n) });
    wire.ok("PutSecretValue", put("2", 2)).await;
    wire.ok("CreateSecret", made).await;
    wire.ok("PutSecretValue", put("1", 1)).await;
    assert_eq!(wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "2", "labels stayed");
    assert_eq!(wire.refused("PutSecretValue", put("other", 1)).await, "ResourceExistsException");
    assert_eq!(wire.refused("UpdateSecret", put("1", 1)).await, "ResourceExistsException");
    let binary = json!({ "SecretId": "a", "SecretBinary": "MQ==", "ClientRequestToken": token(1) });
    assert_eq!(wire.refused("PutSecretValue", binary).await, "ResourceExistsException", "same bytes, other kind");
}

#[tokio::test]
async fn values_come_back_to_the_byte() {
    let (_sandbox, mut wire) = sandbox().await;
    for (n, text) in
        ["\u{feff}bom", "nul\0crlf\r\n ", "{\"a\":1,\"a\":2}", "🛟é", &"é".repeat(32_768)].iter().enumerate()
    {
        let name = format!("t{n}");
        create(&mut wire, &name, text).await;
        assert_eq!(wire.ok("GetSecretValue", json!({ "SecretId": name })).await["SecretString"], **text);
    }
    wire.ok("CreateSecret", json!({ "Name": "b", "SecretBinary": "eyJhIjoxfQ==" })).await;
    let read = wire.ok("GetSecretValue", json!({ "SecretId": "b" })).await;
    assert_eq!((read.get("SecretString"), &read["SecretBinary"]), (None, &json!("eyJhIjoxfQ==")));
}

#[tokio::test]
async fn a_scheduled_secret_shows_itself_and_yields_nothing() {
    let (_sandbox, mut wire) = sandbox().await;
    let made = create(&mut wire, "a", "x").await;
    wire.ok("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await;
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#;
    for (operation, request) in [
        ("GetSecretValue", json!({ "VersionId": made["VersionId"] })),
        ("PutSecretValue", json!({ "SecretString": "y" })),
        ("UpdateSecret", json!({ "Description": "y" })),
        ("UpdateSecretVersionStage", json!({ "VersionStage": "X", "MoveToVersionId": made["VersionId"] })),
        ("TagResource", json!({ "Tags": [] })),
        ("GetResourcePolicy", json!({})),
        ("PutResourcePolicy", json!({ "ResourcePolicy": policy })),
        ("RotateSecret", json!({})),
        ("ReplicateSecretToRegions", json!({ "AddReplicaRegions": [{ "Region": WEST }] })),
        ("DeleteSecret", json!({})),
    ] {
        let mut request = request;
        request["SecretId"] = json!("a");
        assert_eq!(wire.refused(operation, request).await, "InvalidRequestException", "{operation}");
    }
    assert!(wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await["DeletedDate"].is_number());
    assert_eq!(
        wire.ok("ListSecretVersionIds", json!({ "SecretId": "a" })).await["Versions"].as_array().unwrap().len(),
        1
    );
    assert_eq!(wire.ok("ListSecrets", json!({})).await["SecretList"], json!([]));
    let planned = wire.ok("ListSecrets", json!({ "IncludePlannedDeletion": true })).await;
    assert_eq!(planned["SecretList"].as_array().unwrap().len(), 1);
    let batch = wire.ok("BatchGetSecretValue", json!({ "SecretIdList": ["a", "absent"] })).await;
    let codes: Vec<&Value> = batch["Errors"].as_array().unwrap().iter().map(|it| &it["ErrorCode"]).collect();
    assert_eq!(codes, ["InvalidRequestException", "ResourceNotFoundException"]);
    assert_eq!(wire.ok("RestoreSecret", json!({ "SecretId": "a" })).await["ARN"], made["ARN"]);
    wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await;
}

#[tokio::test]
async fn replicas_follow_refuse_writes_and_can_be_promoted() {
    let (sandbox, mut wire) = sandbox().await;
    let mut west = Wire::connect_as(sandbox.address(), ACCOUNT, WEST).await;
    let arn = create(&mut wire, "a", "1").await["ARN"].as_str().unwrap().to_owned();
    let add = |overwrite: bool| json!({ "SecretId": "a", "AddReplicaRegions": [{ "Region": WEST }], "ForceOverwriteReplicaSecret": overwrite });
    create(&mut west, "a", "in the way").await;
    let status = wire.ok("ReplicateSecretToRegions", add(false)).await;
    assert_eq!(status["ReplicationStatus"][0]["Status"], "Failed");
    assert_eq!(west.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "in the way");
    let status = wire.ok("ReplicateSecretToRegions", add(true)).await;
    assert_eq!(status["ReplicationStatus"][0]["Status"], "InSync");
    wire.ok("PutSecretValue", json!({ "SecretId": "a", "SecretString": "2" })).await;
    assert_eq!(west.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "2");
    let replica = west.ok("DescribeSecret", json!({ "SecretId": "a" })).await;
    assert_eq!(replica["ARN"], arn.replace(REGION, WEST));
    assert_eq!((&replica["PrimaryRegion"], replica.get("ReplicationStatus")), (&json!(REGION), None));
    for (operation, request) in [
        ("PutSecretValue", json!({ "SecretId": "a", "SecretString": "3" })),
        ("TagResource", json!({ "SecretId": "a", "Tags": [] })),
        ("DeleteSecret", json!({ "SecretId": "a" })),
    ] {
        assert_eq!(west.refused(operation, request).await, "InvalidRequestException", "{operation}");
    }
    assert_eq!(wire.refused("DeleteSecret", json!({ "SecretId": "a" })).await, "InvalidRequestException");
    let own = json!({ "SecretId": "a", "AddReplicaRegions": [{ "Region": REGION }] });
    assert_eq!(wire.refused("ReplicateSecretToRegions", own).await, "InvalidParameterException");
    assert_eq!(wire.refused("StopReplicationToReplica", json!({ "SecretId": "a" })).await, "InvalidRequestException");
    west.ok("StopReplicationToReplica", json!({ "SecretId": "a" })).await;
    west.ok("PutSecretValue", json!({ "SecretId": "a", "SecretString": "own" })).await;
    let primary = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await;
    assert_eq!((primary.get("ReplicationStatus"), primary.get("PrimaryRegion")), (None, None));
    wire.ok("ReplicateSecretToRegions", add(true)).await;
    let remove = json!({ "SecretId": "a", "RemoveReplicaRegions": [WEST] });
    assert_eq!(wire.ok("RemoveRegionsFromReplication", remove).await["ReplicationStatus"], json!([]));
    assert_eq!(west.refused("DescribeSecret", json!({ "SecretId": "a" })).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn rotation_without_haste_stores_the_rules_and_touches_no_value() {
    let (sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    let function = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:f");
    let rotate = |at_once: bool| {
        json!({ "SecretId": "a", "RotationLambdaARN": function, "RotateImmediately": at_once,
                "RotationRules": { "ScheduleExpression": "rate(10 days)", "Duration": "3h" } })
    };
    wire.ok("RotateSecret", rotate(false)).await;
    assert_eq!(sandbox.control().immediate_rotations(), 0);
    assert_eq!(wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "x");
    let described = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await;
    let rules = json!({ "AutomaticallyAfterDays": 10, "Duration": "3h", "ScheduleExpression": "rate(10 days)" });
    assert_eq!((&described["RotationEnabled"], &described["RotationRules"]), (&json!(true), &rules));
    assert_eq!(described.get("LastRotatedDate"), None);
    wire.ok("CancelRotateSecret", json!({ "SecretId": "a" })).await;
    let described = wire.ok("DescribeSecret", json!({ "SecretId": "a" })).await;
    assert_eq!((&described["RotationEnabled"], &described["RotationRules"]), (&json!(false), &rules));
    wire.ok("RotateSecret", rotate(true)).await;
    assert_eq!(sandbox.control().immediate_rotations(), 1);
    assert_ne!(wire.ok("GetSecretValue", json!({ "SecretId": "a" })).await["SecretString"], "x");
    let mut both = rotate(false);
    both["RotationRules"]["AutomaticallyAfterDays"] = json!(5);
    assert_eq!(wire.refused("RotateSecret", both).await, "InvalidParameterException");
    let mut foreign = rotate(false);
    foreign["RotationLambdaARN"] = json!(function.replace(ACCOUNT, "222222222222"));
    assert_eq!(wire.refused("RotateSecret", foreign).await, "AccessDeniedException");
    let pending = json!({ "SecretId": "a", "SecretString": "p", "VersionStages": ["AWSPENDING"] });
    wire.ok("PutSecretValue", pending).await;
    assert_eq!(wire.refused("RotateSecret", rotate(false)).await, "InvalidRequestException");
}

#[tokio::test]
async fn policies_keep_their_text_and_public_ones_can_be_blocked() {
    let (_sandbox, mut wire) = sandbox().await;
    create(&mut wire, "a", "x").await;
    assert_eq!(wire.ok("GetResourcePolicy", json!({ "SecretId": "a" })).await.get("ResourcePolicy"), None);
    let public = "{ \"Version\":\"2012-10-17\",\n\t\"Statement\": [{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"*\"]},\"Action\":\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}] }";
    let blocked = json!({ "SecretId": "a", "ResourcePolicy": public, "BlockPublicPolicy": true });
    assert_eq!(wire.refused("PutResourcePolicy", blocked).await, "PublicPolicyException");
    wire.ok("PutResourcePolicy", json!({ "SecretId": "a", "ResourcePolicy": public })).await;
    assert_eq!(wire.ok("GetResourcePolicy", json!({ "SecretId": "a" })).await["ResourcePolicy"], public);
    let validate = async |wire: &mut Wire, policy: &str| {
        wire.ok("ValidateResourcePolicy", json!({ "ResourcePolicy": policy })).await["PolicyValidationPassed"].clone()
    };
    assert_eq!(validate(&mut wire, public).await, false);
    assert_eq!(validate(&mut wire, &public.replace("\"*\"]", "\"arn:aws:iam::111111111111:root\"]")).await, true);
    let lockout = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"secretsmanager:*","Resource":"*"}}"#;
    assert_eq!(validate(&mut wire, lockout).await, false);
    wire.ok("DeleteResourcePolicy", json!({ "SecretId": "a" })).await;
    assert_eq!(wire.ok("GetResourcePolicy", json!({ "SecretId": "a" })).await.get("ResourcePolicy"), None);
}

#[tokio::test]
async fn force_on_a_missing_name_succeeds_and_frees_a_scheduled_one() {
    let (_sandbox, mut wire) = sandbox().await;
    let force = json!({ "SecretId": "a", "ForceDeleteWithoutRecovery": true });
    assert_eq!(wire.ok("DeleteSecret", force.clone()).await["Name"], "a");
    let first = create(&mut wire, "a", "x").await;
    wire.ok("DeleteSecret", json!({ "SecretId": "a" })).await;
    let made = json!({ "Name": "a", "SecretString": "x" });
    assert_eq!(wire.refused("CreateSecret", made).await, "InvalidRequestException");
    wire.ok("DeleteSecret", force).await;
    assert_ne!(create(&mut wire, "a", "x").await["ARN"], first["ARN"]);
    assert_eq!(wire.refused("DescribeSecret", json!({ "SecretId": first["ARN"] })).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_batch_reads_by_ids_or_filters_and_pages() {
    let (_sandbox, mut wire) = sandbox().await;
    for n in 0..25 {
        create(&mut wire, &format!("b/{n:02}"), &n.to_string()).await;
    }
    let mut request = json!({ "Filters": [{ "Key": "name", "Values": ["b/"] }], "MaxResults": 20 });
    let first = wire.ok("BatchGetSecretValue", request.clone()).await;
    assert_eq!(first["SecretValues"].as_array().unwrap().len(), 20);
    request["NextToken"] = first["NextToken"].clone();
    let second = wire.ok("BatchGetSecretValue", request).await;
    assert_eq!((second["SecretValues"].as_array().unwrap().len(), second.get("NextToken")), (5, None));
    let both = json!({ "SecretIdList": ["b/00"], "Filters": [{ "Key": "name", "Values": ["b"] }] });
    assert_eq!(wire.refused("BatchGetSecretValue", both).await, "InvalidParameterException");
}

#[tokio::test]
async fn passwords_have_what_was_asked_for() {
    let (_sandbox, mut wire) = sandbox().await;
    for _ in 0..50 {
        let request = json!({ "PasswordLength": 5, "IncludeSpace": true, "ExcludeCharacters": "abc" });
        let made = wire.ok("GetRandomPassword", request).await["RandomPassword"].as_str().unwrap().to_owned();
        assert_eq!(made.chars().count(), 5);
        for (what, has) in [
            ("lower", made.chars().any(|c| c.is_ascii_lowercase())),
            ("upper", made.chars().any(|c| c.is_ascii_uppercase())),
            ("digit", made.chars().any(|c| c.is_ascii_digit())),
            ("punctuation", made.chars().any(|c| c.is_ascii_punctuation())),
            ("space", made.contains(' ')),
            ("no abc", !made.contains(['a', 'b', 'c'])),
        ] {
            assert!(has, "{what}");
        }
    }
}
