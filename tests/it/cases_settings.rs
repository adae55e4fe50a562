//! The cases of docs/fidelity.md about metadata, policies, keys, rotation and replicas, and about what goes wrong on the
//! way: on the embedded sandbox, and on moto where it can represent them.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::types::Tag;
use lifeboat::{
    emulator::{Fault, FaultKind, FaultWhen, KeyState},
    model::ValueState,
    restore::{Maps, OnConflict, Options, Outcome, Policies},
};
use serde_json::{Value as Json, json};

use crate::{
    bench::{ACCOUNT, Bench, OTHER, SOURCE, TARGET, id, labels, new_arn, planned, reason},
    stub::{Reply, Stub},
};

const KEY: &str = "arn:aws:kms:eu-central-1:111111111111:key/11111111-2222-3333-4444-555555555555";
const LAMBDA: &str = "arn:aws:lambda:eu-central-1:111111111111:function:rotate";

/// A secret with one current text version.
fn simple(name: &str, more: &Json) -> Json {
    let mut secret = json!({ "Name": name, "Versions": [
        { "VersionId": id(1), "SecretString": format!("value of {name}"), "VersionStages": ["AWSCURRENT"] } ] });
    for (key, value) in more.as_object().into_iter().flatten() {
        secret[key] = value.clone();
    }
    secret
}

fn fault(operation: &str, secret: Option<&str>, when: FaultWhen, kind: FaultKind) -> Fault {
    let (operation, secret) = (Some(operation.to_owned()), secret.map(str::to_owned));
    Fault { operation, secret, account: None, region: None, when, kind }
}

fn denied() -> FaultKind {
    FaultKind::Error { code: "AccessDeniedException".into(), message: "not authorized".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_05_pending_without_a_value() {
    let mut bench = Bench::new().await;
    let mut secret = simple("app", &json!({}));
    let pending = json!({ "VersionId": id(2), "VersionStages": ["AWSPENDING"] });
    secret["Versions"].as_array_mut().unwrap().push(pending);
    bench.seed(&secret);
    let restored = bench.round_trip().await;
    let notes = &planned(&restored.plan, "app").notes;
    assert!(notes.iter().any(|note| note.contains(&id(2)) && note.contains("no value")), "{notes:?}");
    assert_eq!(labels(&bench.client(TARGET).await, "app").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_07_all_twenty_labels_in_use() {
    let mut bench = Bench::new().await;
    let label = |number: usize| format!("L{number:02}");
    let first: Vec<String> = (0..9).map(label).chain(["AWSCURRENT".to_owned()]).collect();
    let second: Vec<String> = (9..18).map(label).chain(["AWSPREVIOUS".to_owned()]).collect();
    bench.seed(&json!({ "Name": "app", "Versions": [
        { "VersionId": id(1), "SecretString": "old", "CreatedDate": 1.0 },
        { "VersionId": id(2), "SecretString": "older", "CreatedDate": 2.0 },
        { "VersionId": id(3), "SecretString": "previous", "VersionStages": second, "CreatedDate": 3.0 },
        { "VersionId": id(4), "SecretString": "current", "VersionStages": first, "CreatedDate": 4.0 } ] }));
    let restored = bench.round_trip().await;
    assert_eq!((restored.verification.versions, restored.verification.labels), (4, 20));
    let found = labels(&bench.client(TARGET).await, "app").await;
    assert_eq!(found.values().flatten().count(), 20, "the scratch label is gone: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_14_the_suffix_of_an_arn_changes() {
    let mut bench = Bench::new().await;
    let arn = format!("arn:aws:secretsmanager:{SOURCE}:{ACCOUNT}:secret:app-AbCdEf");
    let policy = format!(
        r#"{{ "Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:role/app"}},
   "Action":"secretsmanager:GetSecretValue","Resource":"{arn}"}}] }}"#
    );
    bench.seed(&simple("app", &json!({ "ARN": arn, "ResourcePolicy": policy })));
    bench.seed(&json!({ "Name": "refers", "Versions": [ { "VersionId": id(1), "VersionStages": ["AWSCURRENT"],
        "SecretString": format!("{{\"secret\":\"{arn}\"}}") } ] }));
    let restored = bench.round_trip().await;
    let pattern = format!("arn:aws:secretsmanager:{TARGET}:{ACCOUNT}:secret:app-??????");
    assert_eq!(planned(&restored.plan, "app").desired.policy, Some(policy.replace(&arn, &pattern)));
    let new = new_arn(&restored.verification, &arn);
    assert!(new.starts_with(&format!("arn:aws:secretsmanager:{TARGET}:{ACCOUNT}:secret:app-")) && new != arn);
    let old: Vec<_> = restored
        .verification
        .leading_back
        .iter()
        .map(|old| (old.name.as_str(), old.version.is_some(), old.references.len()))
        .collect();
    assert_eq!(old, [("refers", true, 0)], "named, and what the value says is not told");
}

async fn policy_text(bench: &mut Bench) {
    let policy = "{\n  \"Version\" : \"2012-10-17\",\t\"Statement\":[ ]  ,\"Id\":\"a\"}";
    let source = bench.client(SOURCE).await;
    source.create_secret().name("app").client_request_token(id(1)).secret_string("x").send().await.unwrap();
    source.put_resource_policy().secret_id("app").resource_policy(policy).send().await.unwrap();
    bench.round_trip().await;
    let found = bench.client(TARGET).await.get_resource_policy().secret_id("app").send().await.unwrap();
    assert_eq!(found.resource_policy(), Some(policy), "to the character");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_17_a_policy_keeps_its_spaces() {
    policy_text(&mut Bench::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_17_a_policy_keeps_its_spaces_on_moto() {
    policy_text(&mut Bench::moto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_18_policies_that_are_public_or_lock_out() {
    let mut bench = Bench::new().await;
    let statement = |effect: &str, action: &str| {
        format!(r#"{{"Statement":[{{"Effect":"{effect}","Principal":"*","Action":"{action}","Resource":"*"}}]}}"#)
    };
    for (name, policy) in [
        ("public", statement("Allow", "secretsmanager:GetSecretValue")),
        ("locks", statement("Deny", "secretsmanager:*")),
        ("harmless", statement("Deny", "secretsmanager:DeleteSecret")),
    ] {
        bench.seed(&simple(name, &json!({ "ResourcePolicy": policy })));
    }
    let report = bench.snapshot().await;
    let plan = bench.plan(&report, &Options::default()).await;
    assert!(!plan.summary().unwrap().complete);
    for (name, says) in [("public", "BlockPublicPolicy"), ("locks", "LockOut")] {
        let lost = &planned(&plan, name).lost;
        assert!(lost.len() == 1 && lost[0].what == "policy" && lost[0].reason.contains(says), "{lost:?}");
    }
    assert!(planned(&plan, "harmless").lost.is_empty());
    let restored = bench.restore(&report, &Options::default()).await;
    assert!(restored.verification.passed() && restored.execution.failed.is_empty());
    let target = bench.client(TARGET).await;
    let policy = async |name: &str| {
        let found = target.get_resource_policy().secret_id(name).send().await.unwrap();
        found.resource_policy().map(str::to_owned)
    };
    assert_eq!((policy("public").await, policy("locks").await), (None, None));
    assert!(policy("harmless").await.is_some());

    let all = Options { policies: Policies::All, on_conflict: OnConflict::Replace, ..Options::default() };
    let restored = bench.restore(&report, &all).await.expect_complete();
    assert!(planned(&restored.plan, "locks").notes.iter().any(|note| note.contains("because of --policies all")));
    assert!(policy("public").await.is_some() && policy("locks").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn case_18_when_the_target_does_not_judge_the_text_is_looked_at() {
    let mut bench = Bench::new().await;
    let policy = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#;
    bench.seed(&simple("locks", &json!({ "ResourcePolicy": policy })));
    let report = bench.snapshot().await;
    bench.control().add_fault(fault("ValidateResourcePolicy", None, FaultWhen::Always, denied()));
    let plan = bench.plan(&report, &Options::default()).await;
    let locks = planned(&plan, "locks");
    assert!(locks.lost[0].reason.contains("deny access to the account of the restore"), "{:?}", locks.lost);
    assert!(locks.notes.iter().any(|note| note.contains("did not check")), "{:?}", locks.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_19_system_tags_stay_out() {
    let mut bench = Bench::new().await;
    let tags = json!([{ "Key": "aws:cloudformation:stack-name", "Value": "s" }, { "Key": "Aws:x", "Value": "y" },
        { "Key": "team", "Value": "core" }]);
    bench.seed(&simple("app", &json!({ "Tags": tags })));
    let restored = bench.round_trip().await;
    let app = planned(&restored.plan, "app");
    assert_eq!(app.desired.tags.len(), 1);
    assert!(app.notes.iter().any(|note| note.contains("aws:cloudformation:stack-name")), "{:?}", app.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_20_managed_secrets() {
    let mut bench = Bench::new().await;
    bench.seed(&simple("rds!db-1", &json!({ "OwningService": "rds" })));
    let report = bench.snapshot().await;
    let plan = bench.plan(&report, &Options::default()).await;
    let managed = planned(&plan, "rds!db-1");
    assert!(matches!(managed.outcome, Outcome::Impossible(_)) && reason(&managed).contains("managed by rds"));
    assert_eq!((managed.writes().count(), plan.summary().unwrap().complete), (0, false));
    let name = [("rds!*".to_owned(), "was-managed/*".to_owned())].into();
    let named = Options { maps: Maps { name, ..Maps::default() }, ..Options::default() };
    let restored = bench.restore(&report, &named).await.expect_complete();
    let copy = planned(&restored.plan, "was-managed/db-1");
    assert!(copy.notes.iter().any(|note| note.contains("value of a managed secret under another name")));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_21_replicas() {
    let mut bench = Bench::new().await;
    let source = bench.client(SOURCE).await;
    let create = source.create_secret().name("primary").client_request_token(id(1)).secret_string("x");
    let region = |name: &str| aws_sdk_secretsmanager::types::ReplicaRegionType::builder().region(name).build();
    create.add_replica_regions(region("us-east-1")).add_replica_regions(region(TARGET)).send().await.unwrap();
    bench.seed(&simple("replica", &json!({ "PrimaryRegion": "ap-south-1" })));
    let report = bench.snapshot().await;
    let excluded = &report.manifest.manifest().excluded;
    assert_eq!(
        (excluded.len(), excluded[0].rule.as_str()),
        (1, "replica of another region"),
        "it is captured where its primary is"
    );
    let plan = bench.plan(&report, &Options::default()).await;
    assert!(reason(&planned(&plan, "primary")).contains("a replica of eu-central-1"), "a replica cannot be written to");

    let west = bench.provider("us-west-2").await;
    let restored = bench.restore_to(&report, &west, &Options::default()).await.expect_complete();
    assert!(planned(&restored.plan, "primary").notes.iter().any(|note| note.contains("--replication")));
    let elsewhere = bench.provider_of(OTHER, "us-west-2").await;
    let asked = Options { replication: true, ..Options::default() };
    let restored = bench.restore_to(&report, &elsewhere, &asked).await.expect_complete();
    assert_eq!(planned(&restored.plan, "primary").desired.replicas.len(), 2);
    let again = bench.restore_to(&report, &elsewhere, &asked).await.expect_complete();
    assert_eq!(again.execution.done, 0);
}

fn rotating(name: &str, schedule: &str) -> Json {
    simple(
        name,
        &json!({ "RotationEnabled": true, "RotationLambdaARN": LAMBDA,
        "RotationRules": { "ScheduleExpression": schedule, "Duration": "3h" } }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn case_22_rotation_is_off_unless_asked_and_never_at_once() {
    let mut bench = Bench::new().await;
    bench.seed(&rotating("app", "cron(0 8 1 * ? *)"));
    bench.seed(&rotating("rate", "rate(10 days)"));
    let mut half = rotating("half", "cron(0 8 1 * ? *)");
    let pending = json!({ "VersionId": id(2), "SecretString": "half", "VersionStages": ["AWSPENDING"] });
    half["Versions"].as_array_mut().unwrap().push(pending);
    bench.seed(&half);
    let report = bench.snapshot().await;
    let off = bench.restore(&report, &Options::default()).await.expect_complete();
    assert!(planned(&off.plan, "app").notes.iter().any(|note| note.contains("stays off")));
    assert!(bench.control().writes().iter().all(|call| call.operation != "RotateSecret"));

    let foreign = bench.plan(&report, &Options { rotation: true, ..Options::default() }).await;
    assert!(
        planned(&foreign, "app")
            .lost
            .iter()
            .any(|lost| lost.what == "rotation" && lost.reason.contains("--lambda-map"))
    );

    let west = LAMBDA.replace(SOURCE, TARGET);
    let lambda = [(LAMBDA.to_owned(), west.clone())].into();
    let on = Options { rotation: true, maps: Maps { lambda, ..Maps::default() }, ..Options::default() };
    let restored = bench.restore(&report, &on).await;
    assert!(restored.verification.passed(), "{:?}", restored.verification.differences);
    assert!(planned(&restored.plan, "half").lost[0].reason.contains("AWSPENDING"));
    assert!(planned(&restored.plan, "rate").notes.iter().any(|note| note.contains("cron()")));
    let found = bench.client(TARGET).await.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!((found.rotation_enabled(), found.rotation_lambda_arn()), (Some(true), Some(west.as_str())));
    assert_eq!(found.rotation_rules().unwrap().schedule_expression(), Some("cron(0 8 1 * ? *)"));
    assert_eq!(bench.control().immediate_rotations(), 0);
    assert_eq!(labels(&bench.client(TARGET).await, "app").await.len(), 1, "nothing was rotated");
    let rotations: Vec<_> =
        bench.control().writes().into_iter().filter(|call| call.operation == "RotateSecret").collect();
    assert!(rotations.len() == 2 && rotations.iter().all(|call| !call.rotates_at_once));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_22_a_missing_function_is_told_and_the_rest_is_there() {
    let mut bench = Bench::new().await;
    bench.seed(&rotating("app", "cron(0 8 1 * ? *)"));
    let report = bench.snapshot().await;
    let west = LAMBDA.replace(SOURCE, TARGET);
    bench.control().set_function_missing(&west, true);
    let lambda = [(LAMBDA.to_owned(), west)].into();
    let on = Options { rotation: true, maps: Maps { lambda, ..Maps::default() }, ..Options::default() };
    let restored = bench.restore(&report, &on).await;
    assert!(restored.execution.failed[0].reason.contains("AccessDeniedException"));
    assert_eq!(restored.verification.differences.iter().map(|it| it.what).collect::<Vec<_>>(), ["rotation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_23_more_than_a_hundred_versions() {
    let mut bench = Bench::new().await;
    let versions: Vec<Json> = (0..230)
        .map(|number: u32| {
            let stages = match number {
                229 => json!(["AWSCURRENT"]),
                228 => json!(["AWSPREVIOUS"]),
                3 => json!(["PINNED"]),
                _ => json!([]),
            };
            json!({ "VersionId": id(number as usize), "SecretString": number.to_string(), "VersionStages": stages,
                "CreatedDate": f64::from(number) })
        })
        .collect();
    bench.seed(&json!({ "Name": "many", "Versions": versions }));
    bench.control().set_empty_first_page(true);
    let report = bench.snapshot().await;
    assert_eq!(report.manifest.manifest().counts.versions, 230, "every page is read, an empty one is not the end");
    let restored = bench.restore(&report, &Options::default()).await;
    assert!(restored.verification.passed(), "{:?}", restored.verification.differences);
    let many = planned(&restored.plan, "many");
    assert_eq!((many.desired.versions.len(), many.lost.len()), (98, 132));
    assert!(many.desired.versions.iter().any(|version| version.id == id(3)), "labelled ones come first of all");
    assert!(many.lost.iter().all(|lost| lost.reason.contains("98 versions")));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_26_a_server_with_other_manners() {
    // moto: whole-second dates, text/html, 404 for a missing secret, an empty NextToken.
    let mut bench = Bench::moto().await;
    let source = bench.client(SOURCE).await;
    for number in 0..3 {
        let create = source.create_secret().name(format!("app/{number}")).client_request_token(id(1));
        create.secret_string("x").send().await.unwrap();
    }
    assert_eq!(bench.round_trip().await.verification.secrets, 3);
}

async fn fifty_tags(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    let tag = |key: String, value: &str| Tag::builder().key(key).value(value).build();
    let tags = (0..48)
        .map(|number| tag(format!("key-{number}"), "v"))
        .chain([tag("Case".into(), ""), tag("case".into(), "x")]);
    let create = source.create_secret().name("app").client_request_token(id(1)).secret_string("x");
    create.set_tags(Some(tags.collect())).send().await.unwrap();
    let restored = bench.round_trip().await;
    assert_eq!(restored.verification.tags, 50);
    let found = bench.client(TARGET).await.describe_secret().secret_id("app").send().await.unwrap();
    let empty = found.tags().iter().find(|tag| tag.key() == Some("Case")).unwrap();
    assert_eq!((empty.value(), found.tags().len()), (Some(""), 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_27_fifty_tags_empty_and_alike() {
    fifty_tags(&mut Bench::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_27_fifty_tags_empty_and_alike_on_moto() {
    fifty_tags(&mut Bench::moto().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_28_fields_of_the_future() {
    let mut bench = Bench::new().await;
    let extra = json!({ "CrossAccountReplicas": [{ "ReplicaSecretARN": "arn:x" }], "FutureField": { "a": 1 } });
    bench.seed(&simple("app", &json!({ "Type": "SalesforceClientSecret", "Extra": extra })));
    let report = bench.snapshot().await;
    let records = bench.records(&report.manifest).await;
    assert_eq!(records[0].secret.raw["DescribeSecret"]["FutureField"]["a"], 1, "kept as AWS said it");
    let restored = bench.restore(&report, &Options::default()).await.expect_complete();
    let app = planned(&restored.plan, "app");
    assert!(app.notes.iter().any(|note| note.contains("CrossAccountReplicas, FutureField")), "{:?}", app.notes);
    assert_eq!(app.desired.secret_type.as_deref(), Some("SalesforceClientSecret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_29_versions_under_keys_that_do_not_work() {
    let mut bench = Bench::new().await;
    for key in ["key/old", "key/gone"] {
        bench.control().set_key_state(key, Some(if key == "key/old" { KeyState::Disabled } else { KeyState::Denied }));
    }
    bench.seed(&json!({ "Name": "app", "Versions": [
        { "VersionId": id(1), "SecretString": "a", "KmsKeyId": "key/old" },
        { "VersionId": id(2), "SecretString": "b", "KmsKeyId": "key/gone", "VersionStages": ["AWSPREVIOUS"] },
        { "VersionId": id(3), "SecretString": "c", "VersionStages": ["AWSCURRENT"] } ] }));
    bench.seed(&json!({ "Name": "lost", "Versions": [
        { "VersionId": id(1), "SecretString": "a", "KmsKeyId": "key/old", "VersionStages": ["AWSCURRENT"] } ] }));
    let report = bench.snapshot().await;
    let reasons: BTreeSet<_> = report.unreadable.iter().map(|item| item.reason.as_str()).collect();
    assert_eq!(reasons, BTreeSet::from(["AccessDeniedException", "DecryptionFailure"]));
    let restored = bench.restore(&report, &Options::default()).await;
    assert!(restored.verification.passed() && !restored.plan.summary().unwrap().complete);
    assert_eq!(planned(&restored.plan, "app").lost.len(), 2);
    assert!(reason(&planned(&restored.plan, "lost")).contains("DecryptionFailure"));
}

/// The key of the secret in the source, and what the plan does about it.
#[tokio::test(flavor = "multi_thread")]
async fn case_29_keys_missing_disabled_and_foreign_in_the_target() {
    let mut bench = Bench::new().await;
    for (name, key) in [("foreign", KEY), ("alias", "alias/app"), ("multi", "mrk-1234"), ("lost-alias", "alias/lost")] {
        bench.seed(&simple(name, &json!({ "KmsKeyId": key })));
    }
    let report = bench.snapshot().await;
    bench.control().set_key_state("alias/lost", Some(KeyState::Missing));
    let plan = bench.plan(&report, &Options::default()).await;
    let key = |name: &str| planned(&plan, name).desired.kms_key.clone();
    assert_eq!((key("foreign"), key("alias"), key("multi")), (None, Some("alias/app".into()), Some("mrk-1234".into())));
    assert_eq!(key("lost-alias"), None);
    for (name, says) in [("foreign", "--kms-map"), ("lost-alias", "does not exist")] {
        assert!(planned(&plan, name).notes.iter().any(|note| note.contains(says)), "{name}");
    }
    for (state, says) in [(KeyState::Missing, "does not exist"), (KeyState::Disabled, "Disabled")] {
        bench.control().set_key_state("alias/west", Some(state));
        let kms = [(KEY.to_owned(), "alias/west".to_owned())].into();
        let mapped =
            Options { names: vec!["foreign".into()], maps: Maps { kms, ..Maps::default() }, ..Options::default() };
        let plan = bench.plan(&report, &mapped).await;
        assert!(
            reason(&planned(&plan, "foreign")).contains(says),
            "a key that was asked for is not replaced by another"
        );
        assert_eq!(planned(&plan, "foreign").writes().count(), 0);
    }
    bench.control().set_key_state("alias/app", Some(KeyState::Denied));
    let plan = bench.plan(&report, &Options { names: vec!["alias".into()], ..Options::default() }).await;
    assert!(planned(&plan, "alias").notes.iter().any(|note| note.contains("in the target: AccessDeniedException")));
    assert!(plan.references.iter().any(|it| it.reference == "alias/app"));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_30_labels_that_move_while_they_are_read() {
    let mut bench = Bench::new().await;
    let control = bench.control();
    for value in ["one", "two"] {
        control.put(ACCOUNT, SOURCE, "app", value).unwrap();
    }
    // A rotation right after the versions were listed and before the values are read.
    let rotate = |control: &lifeboat::emulator::Control| drop(control.put(ACCOUNT, SOURCE, "app", "three"));
    control.on_call("ListSecretVersionIds", 1, Box::new(rotate)).unwrap();
    let report = bench.snapshot().await;
    let records = bench.records(&report.manifest).await;
    assert_eq!(records[0].versions.len(), 3, "what was read belongs to one moment");
    let current: Vec<_> = records[0].versions.iter().filter(|version| version.has("AWSCURRENT")).collect();
    assert_eq!(current.len(), 1);
    bench.restore(&report, &Options::default()).await.expect_complete();
    let found = bench.client(TARGET).await.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(found.secret_string(), Some("three"));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_31_only_the_current_version_may_be_read() {
    use lifeboat::provider::{
        FetchedValue, Listed, Source,
        aws::{Aws, AwsSettings, StaticCredentials},
    };
    let (old, new) = (id(1), id(2));
    let arn = "arn:aws:secretsmanager:r:1:secret:app-AbCdEf";
    let script = move |operation: &str, body: &Json| match operation {
        "DescribeSecret" => Reply::Ok(json!({ "ARN": arn, "Name": "app",
            "VersionIdsToStages": { old.as_str(): ["AWSPREVIOUS"], new.as_str(): ["AWSCURRENT"] } })),
        "ListSecretVersionIds" => {
            Reply::Ok(json!({ "ARN": arn, "Name": "app", "Versions": [{ "VersionId": old }, { "VersionId": new }] }))
        }
        "GetSecretValue" if body["VersionId"] == new.as_str() => {
            Reply::Ok(json!({ "ARN": arn, "Name": "app", "VersionId": new, "SecretString": "current" }))
        }
        "GetSecretValue" => Reply::Error("AccessDeniedException", "no identity-based policy allows it"),
        _ => Reply::Ok(json!({ "ARN": arn, "Name": "app" })),
    };
    let stub = Stub::start(script).await;
    let credentials = StaticCredentials { access_key: "AKIDEXAMPLE".into(), secret_key: "x".to_owned().into() };
    let (endpoint, credentials) = (Some(stub.endpoint.clone()), Some(credentials));
    let aws = Aws::connect(AwsSettings { endpoint, credentials, ..AwsSettings::region(SOURCE) }).await.unwrap();
    let fetched = aws.fetch(&Listed::named("app"), &|_, _| false).await.unwrap();
    let value = |id: String| &fetched.versions.iter().find(|version| version.id == id).unwrap().value;
    assert!(matches!(value(id(2)), FetchedValue::Value(_)));
    assert!(
        matches!(value(id(1)), FetchedValue::Unreadable(code) if code == "AccessDeniedException"),
        "named, not skipped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn case_32_one_refused_value_among_many() {
    let mut bench = Bench::new().await;
    for name in ["a", "b", "c"] {
        bench.seed(&simple(name, &json!({})));
    }
    bench.control().add_fault(fault("GetSecretValue", Some("b"), FaultWhen::Always, denied()));
    let report = bench.snapshot().await;
    assert_eq!(report.unreadable.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["b"]);
    let records = bench.records(&report.manifest).await;
    assert!(records.iter().any(
        |it| matches!(&it.versions[0].value, ValueState::Unreadable { reason } if reason == "AccessDeniedException")
    ));
    assert!(!bench.control().calls().contains_key("BatchGetSecretValue"), "the call that hides refusals is not used");
    bench.control().clear_faults();
    let plan = bench.plan(&report, &Options::default()).await;
    assert!(reason(&planned(&plan, "b")).contains("AccessDeniedException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_33_answers_that_get_lost() {
    let mut bench = Bench::new().await;
    for name in ["a", "b"] {
        let mut secret = simple(name, &json!({}));
        let second = json!({ "VersionId": id(2), "SecretString": "two", "VersionStages": ["AWSPREVIOUS"] });
        secret["Versions"].as_array_mut().unwrap().push(second);
        bench.seed(&secret);
    }
    let report = bench.snapshot().await;
    for operation in ["CreateSecret", "PutSecretValue"] {
        bench.control().add_fault(fault(operation, None, FaultWhen::Nth(1), FaultKind::DropAfter));
    }
    let restored = bench.restore(&report, &Options::default()).await.expect_complete();
    assert_eq!(restored.verification.versions, 4);
    for name in ["a", "b"] {
        assert_eq!(labels(&bench.client(TARGET).await, name).await.len(), 2, "nothing twice");
    }
}
