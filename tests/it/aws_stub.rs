//! The AWS provider against a scripted endpoint: answers that no emulator gives.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use futures::StreamExt as _;
use lifeboat::{
    model::{Secret, SecretValue, Step},
    provider::{
        ErrorKind, Fetched, FetchedValue, Listed, ProviderError, Source, Target,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};
use serde_json::{Value as Json, json};

use crate::{
    servers::free_port,
    stub::{Reply, Stub},
};

async fn connect(endpoint: &str) -> Aws {
    let credentials = StaticCredentials { access_key: "AKIDEXAMPLE".into(), secret_key: "secret".to_owned().into() };
    let endpoint = Some(endpoint.to_owned());
    Aws::connect(AwsSettings { endpoint, credentials: Some(credentials), ..AwsSettings::region("eu-central-1") })
        .await
        .unwrap()
}

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:app-AbCdEf";
const V1: &str = "11111111-1111-1111-1111-111111111111";
const V2: &str = "22222222-2222-2222-2222-222222222222";

fn arn_of(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:111111111111:secret:{name}-AbCdEf")
}

fn listed() -> Listed {
    Listed {
        name: "app".into(),
        id: ARN.into(),
        secret: Secret { name: "app".into(), id: ARN.into(), ..Secret::default() },
        fingerprint: None,
    }
}

/// A healthy secret with one version; a test overrides what it is about.
fn healthy(operation: &str, body: &Json) -> Reply {
    Reply::Ok(match operation {
        "DescribeSecret" => json!({ "ARN": ARN, "Name": "app", "LastChangedDate": 1_700_000_000.123,
            "VersionIdsToStages": { V1: ["AWSCURRENT"] } }),
        "ListSecretVersionIds" => {
            json!({ "ARN": ARN, "Name": "app", "Versions": [{ "VersionId": V1, "VersionStages": ["AWSCURRENT"],
            "KmsKeyIds": ["DefaultEncryptionKey"], "CreatedDate": 1_700_000_000.5 }] })
        }
        "GetSecretValue" => {
            json!({ "ARN": ARN, "Name": "app", "VersionId": body["VersionId"],
            "SecretString": format!("value of {}", body["VersionId"].as_str().unwrap()) })
        }
        "GetResourcePolicy" => json!({ "ARN": ARN, "Name": "app" }),
        _ => return Reply::Error("UnknownOperationException", ""),
    })
}

async fn fetch(stub: &Stub) -> Result<Fetched, ProviderError> {
    connect(&stub.endpoint).await.fetch(&listed(), &|_, _| false).await
}

fn text(value: &FetchedValue) -> &str {
    match value {
        FetchedValue::Value(value) => std::str::from_utf8(value.expose()).unwrap(),
        FetchedValue::Unreadable(code) => code,
        FetchedValue::Known => "(known)",
        FetchedValue::None => "(none)",
        FetchedValue::Withheld(_) => "(scheduled)",
    }
}

fn unreadable(fetched: &Fetched) -> Vec<(&str, &str)> {
    fetched.secret.unreadable.iter().map(|part| (part.operation.as_str(), part.reason.as_str())).collect()
}

fn entry(name: &str) -> Json {
    json!({ "ARN": arn_of(name), "Name": name, "FutureField": { "a": 1 } })
}

async fn names(stub: &Stub) -> Vec<Result<String, ProviderError>> {
    let aws = connect(&stub.endpoint).await;
    aws.list().map(|listed| listed.map(|listed| listed.name)).collect().await
}

#[tokio::test]
async fn an_empty_page_is_not_the_end_and_an_empty_token_is() {
    let stub = Stub::start(|_, body| {
        Reply::Ok(match body["NextToken"].as_str() {
            None => json!({ "SecretList": [entry("a")], "NextToken": "1" }),
            Some("1") => json!({ "SecretList": [], "NextToken": "2" }),
            Some("2") => json!({ "SecretList": [entry("a"), entry("b")], "NextToken": "" }),
            other => panic!("asked for {other:?}"),
        })
    })
    .await;
    let names: Vec<_> = names(&stub).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(names, ["a", "b"]);
    for body in stub.bodies("ListSecrets") {
        assert_eq!((&body["IncludePlannedDeletion"], &body["MaxResults"]), (&json!(true), &json!(100)));
    }
}

#[tokio::test]
async fn a_repeated_token_ends_in_an_error_and_not_in_a_loop() {
    let stub = Stub::start(|_, _| Reply::Ok(json!({ "SecretList": [entry("a")], "NextToken": "same" }))).await;
    let names = names(&stub).await;
    assert_eq!(names[0].as_ref().unwrap(), "a");
    assert_eq!(names.last().unwrap().as_ref().unwrap_err().code, "RepeatedToken");
    assert_eq!(names.len(), 2);
    assert!(stub.count("ListSecrets") <= 3);
}

#[tokio::test]
async fn replicas_are_listed_and_marked() {
    let stub = Stub::start(|_, _| {
        Reply::Ok(json!({ "SecretList": [{ "ARN": arn_of("a"), "Name": "a", "PrimaryRegion": "us-east-1" }] }))
    })
    .await;
    let listed = connect(&stub.endpoint).await.list().next().await.unwrap().unwrap();
    assert_eq!(listed.secret.facets.primary_region.as_deref(), Some("us-east-1"));
}

#[tokio::test]
async fn fields_unknown_today_survive_and_values_stay_out_of_the_raw_answers() {
    let stub = Stub::start(|operation, body| match (operation, healthy(operation, body)) {
        ("ListSecrets", _) => {
            Reply::Ok(json!({ "SecretList": [{ "ARN": ARN, "Name": "app", "FutureField": [1, null] }] }))
        }
        (_, Reply::Ok(mut answer)) => {
            answer["FutureField"] = json!({ "nested": ["x", 7] });
            answer["CrossAccountReplicas"] = json!([{ "ReplicaSecretARN": "arn:other" }]);
            if let Some(version) = answer["Versions"].get_mut(0) {
                version["FutureField"] = json!("of a version");
            }
            Reply::Ok(answer)
        }
        (_, other) => other,
    })
    .await;
    let aws = connect(&stub.endpoint).await;
    let listed = aws.list().next().await.unwrap().unwrap();
    let fetched = aws.fetch(&listed, &|_, _| false).await.unwrap();
    let raw = &fetched.secret.raw;
    assert_eq!(raw["ListSecrets"]["FutureField"], json!([1, null]));
    assert_eq!(raw["DescribeSecret"]["FutureField"], json!({ "nested": ["x", 7] }));
    assert_eq!(raw["DescribeSecret"]["CrossAccountReplicas"][0]["ReplicaSecretARN"], "arn:other");
    assert_eq!(raw["ListSecretVersionIds"][0]["FutureField"], "of a version");
    assert_eq!(raw["GetResourcePolicy"]["FutureField"]["nested"][1], 7);
    assert!(raw.get("GetSecretValue").is_none() && !raw.to_string().contains("value of"));
    assert_eq!(fetched.secret.changed.unwrap().to_string(), "2023-11-14T22:13:20.123Z");
    assert_eq!(fetched.versions[0].created.unwrap().to_string(), "2023-11-14T22:13:20.5Z");
    assert_eq!(fetched.versions[0].facets.keys, ["DefaultEncryptionKey"]);
}

#[tokio::test]
async fn a_version_that_was_not_written_is_no_success() {
    let stub = Stub::start(|operation, _| match operation {
        "PutSecretValue" => Reply::Error("ResourceExistsException", "a version of this id exists"),
        _ => Reply::Error("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    })
    .await;
    let step = Step::PutVersion { name: "app".into(), version: V1.into(), stages: vec!["AWSCURRENT".into()] };
    let value = SecretValue::text("value".into());
    let error = connect(&stub.endpoint).await.apply(&step, None, Some(&value)).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Conflict, "PutSecretValue"));
}

#[tokio::test]
async fn throttling_passes_and_a_limit_does_not() {
    let mut refusals = 3;
    let stub = Stub::start(move |operation, body| {
        if operation == "DescribeSecret" && refusals > 0 {
            refusals -= 1;
            return Reply::Error("ThrottlingException", "Rate exceeded");
        }
        match operation {
            "UpdateSecretVersionStage" => Reply::Error("LimitExceededException", "too many labels"),
            _ => healthy(operation, body),
        }
    })
    .await;
    assert_eq!(text(&fetch(&stub).await.unwrap().versions[0].value), format!("value of {V1}"));
    assert_eq!(stub.count("DescribeSecret"), 3 + 2);
    let step = Step::MoveStage { name: "app".into(), stage: "x".into(), to: Some(V1.into()), from: None };
    let error = connect(&stub.endpoint).await.apply(&step, None, None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Limit);
    assert_eq!(stub.count("UpdateSecretVersionStage"), 1, "a limit is not lifted by asking again");
}

#[tokio::test]
async fn a_rotation_during_the_read_is_read_again() {
    let mut describes = 0;
    let stub = Stub::start(move |operation, body| {
        describes += u32::from(operation == "DescribeSecret");
        let rotated = describes >= 2;
        match (operation, rotated) {
            ("DescribeSecret", true) => {
                Reply::Ok(json!({ "ARN": ARN, "Name": "app", "LastChangedDate": 1_700_000_001.0,
                "LastAccessedDate": 1_700_000_000 + describes,
                "VersionIdsToStages": { V1: ["AWSPREVIOUS"], V2: ["b", "AWSCURRENT", "a"] } }))
            }
            ("ListSecretVersionIds", true) => {
                Reply::Ok(json!({ "ARN": ARN, "Name": "app", "Versions": [{ "VersionId": V1 }, { "VersionId": V2 }], "NextToken": "" }))
            }
            _ => healthy(operation, body),
        }
    })
    .await;
    let fetched = fetch(&stub).await.unwrap();
    assert_eq!(fetched.versions.len(), 2);
    assert_eq!(fetched.versions[0].labels, ["AWSPREVIOUS"]);
    assert_eq!(fetched.versions[1].labels, ["AWSCURRENT", "a", "b"]);
    assert_eq!(text(&fetched.versions[1].value), format!("value of {V2}"));
    assert_eq!(stub.count("GetSecretValue"), 2, "a value that was read is not read again");
    assert!(unreadable(&fetched).is_empty());
    assert!(stub.bodies("GetSecretValue").iter().all(|body| body["SecretId"] == ARN && body["VersionStage"].is_null()));
}

#[tokio::test]
async fn a_secret_that_never_stands_still_is_recorded_as_such() {
    let mut describes = 0;
    let stub = Stub::start(move |operation, body| match operation {
        "DescribeSecret" => {
            describes += 1;
            Reply::Ok(json!({ "ARN": ARN, "Name": "app", "LastChangedDate": describes, "VersionIdsToStages": { V1: ["AWSCURRENT"] } }))
        }
        _ => healthy(operation, body),
    })
    .await;
    let fetched = fetch(&stub).await.unwrap();
    assert_eq!(unreadable(&fetched), [("DescribeSecret", "ChangedWhileReading")]);
    assert_eq!(text(&fetched.versions[0].value), format!("value of {V1}"));
    assert_eq!(stub.count("GetSecretValue"), 1);
}

#[tokio::test]
async fn every_refusal_is_recorded_and_the_rest_is_read() {
    let stub = Stub::start(|operation, body| match (operation, body["VersionId"].as_str()) {
        ("DescribeSecret", _) => Reply::Ok(json!({ "ARN": ARN, "Name": "app",
            "VersionIdsToStages": { V1: ["AWSPREVIOUS"], V2: ["AWSCURRENT"] } })),
        ("ListSecretVersionIds" | "GetResourcePolicy", _) => Reply::Error("AccessDeniedException", "no"),
        ("GetSecretValue", Some(V1)) => Reply::Error("DecryptionFailure", "key disabled: value of it"),
        _ => healthy(operation, body),
    })
    .await;
    let fetched = fetch(&stub).await.unwrap();
    let denied = "AccessDeniedException";
    assert_eq!(unreadable(&fetched), [("ListSecretVersionIds", denied), ("GetResourcePolicy", denied)]);
    let values: Vec<_> = fetched.versions.iter().map(|version| text(&version.value).to_owned()).collect();
    assert_eq!(values, ["DecryptionFailure".to_owned(), format!("value of {V2}")]);
}

#[tokio::test]
async fn a_refused_describe_falls_back_to_the_listing() {
    let stub = Stub::start(|operation, body| match operation {
        "DescribeSecret" => Reply::Error("AccessDeniedException", "no"),
        _ => healthy(operation, body),
    })
    .await;
    let mut listed = listed();
    listed.secret.facets.description = Some("as listed".into());
    let fetched = connect(&stub.endpoint).await.fetch(&listed, &|_, _| false).await.unwrap();
    assert_eq!(unreadable(&fetched), [("DescribeSecret", "AccessDeniedException")]);
    assert_eq!(fetched.secret.facets.description.as_deref(), Some("as listed"));
    assert_eq!(fetched.versions[0].labels, ["AWSCURRENT"]);
    assert_eq!(text(&fetched.versions[0].value), format!("value of {V1}"));
}

#[tokio::test]
async fn a_pending_version_without_a_value_is_kept() {
    let stub = Stub::start(|operation, body| match (operation, body["VersionId"].as_str()) {
        ("DescribeSecret", _) => Reply::Ok(json!({ "ARN": ARN, "Name": "app",
            "VersionIdsToStages": { V1: ["AWSCURRENT"], V2: ["AWSPENDING"] } })),
        ("GetSecretValue", Some(V2)) => Reply::Error("ResourceNotFoundException", "can't find the value"),
        _ => healthy(operation, body),
    })
    .await;
    let fetched = fetch(&stub).await.unwrap();
    assert_eq!(
        (fetched.versions[1].id.as_str(), &fetched.versions[1].labels[..]),
        (V2, &["AWSPENDING".to_owned()][..])
    );
    assert_eq!(text(&fetched.versions[1].value), "(none)");
    assert!(unreadable(&fetched).is_empty());
}

#[tokio::test]
async fn a_listed_version_that_is_pruned_meanwhile_is_dropped_and_a_lost_value_is_not() {
    let mut lists = 0;
    let stub = Stub::start(move |operation, body| match (operation, body["VersionId"].as_str()) {
        ("ListSecretVersionIds", _) => {
            lists += 1;
            let all = [json!({ "VersionId": V1 }), json!({ "VersionId": V2 })];
            Reply::Ok(json!({ "ARN": ARN, "Name": "app", "Versions": if lists == 1 { &all[..] } else { &all[..1] } }))
        }
        ("GetSecretValue", Some(V2)) => Reply::Error("ResourceNotFoundException", "gone"),
        _ => healthy(operation, body),
    })
    .await;
    assert_eq!(fetch(&stub).await.unwrap().versions.len(), 1);

    let stub = Stub::start(|operation, body| match operation {
        "GetSecretValue" => Reply::Error("ResourceNotFoundException", "listed and not there"),
        _ => healthy(operation, body),
    })
    .await;
    let fetched = fetch(&stub).await.unwrap();
    assert_eq!(text(&fetched.versions[0].value), "ResourceNotFoundException", "a listed version must have a value");
    assert!(unreadable(&fetched).is_empty(), "the metadata stood still");
}

#[tokio::test]
async fn a_deletion_during_the_read_is_a_state_and_a_vanished_secret_an_error() {
    let mut describes = 0;
    let stub = Stub::start(move |operation, body| match operation {
        "DescribeSecret" => {
            describes += 1;
            let mut answer = json!({ "ARN": ARN, "Name": "app", "VersionIdsToStages": { V1: ["AWSCURRENT"] } });
            if describes > 1 {
                answer["DeletedDate"] = json!(1_700_000_000);
            }
            Reply::Ok(answer)
        }
        _ if describes > 1 || operation == "GetSecretValue" => Reply::Error(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ),
        _ => healthy(operation, body),
    })
    .await;
    let fetched = fetch(&stub).await.unwrap();
    assert!(fetched.secret.deleted.is_some());
    assert_eq!((fetched.versions[0].id.as_str(), text(&fetched.versions[0].value)), (V1, "(scheduled)"));
    assert!(unreadable(&fetched).is_empty());

    let stub = Stub::start(|_, _| Reply::Error("ResourceNotFoundException", "gone")).await;
    assert_eq!(fetch(&stub).await.err().unwrap().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn expired_credentials_end_the_run_and_so_does_silence() {
    let stub = Stub::start(|operation, body| match operation {
        "GetSecretValue" => {
            Reply::Error("ExpiredTokenException", "The security token included in the request is expired")
        }
        _ => healthy(operation, body),
    })
    .await;
    assert_eq!(fetch(&stub).await.err().unwrap().kind, ErrorKind::Credentials);
    assert_eq!(stub.count("GetSecretValue"), 1);

    let aws = connect(&format!("http://127.0.0.1:{}", free_port())).await;
    let error = aws.fetch(&listed(), &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Unavailable, "connection refused"));
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_a_matter_of_credentials() {
    let stub = Stub::start(|_, _| Reply::Status(403)).await;
    let credentials = StaticCredentials { access_key: "AKIDEXAMPLE".into(), secret_key: "secret".to_owned().into() };
    let settings = AwsSettings {
        endpoint: Some(stub.endpoint.clone()),
        credentials: Some(credentials),
        role: Some("arn:aws:iam::111111111111:role/absent".into()),
        ..AwsSettings::region("eu-central-1")
    };
    let error = Aws::connect(settings).await.unwrap().fetch(&listed(), &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "NoCredentials"));
    assert_eq!(stub.count("DescribeSecret"), 0);
}

#[tokio::test]
async fn a_broken_answer_is_asked_for_again() {
    let mut left = vec![Reply::Hangup, Reply::Status(502), Reply::Error("InternalServiceError", "sorry")];
    let stub = Stub::start(move |operation, body| match operation {
        "DescribeSecret" => left.pop().unwrap_or_else(|| healthy(operation, body)),
        _ => healthy(operation, body),
    })
    .await;
    assert!(unreadable(&fetch(&stub).await.unwrap()).is_empty());
    assert_eq!(stub.count("DescribeSecret"), 3 + 2);
}

fn create() -> Step {
    Step::Create {
        name: "app".into(),
        version: Some(V1.into()),
        description: None,
        kms_key: None,
        tags: Vec::new(),
        secret_type: Some("MyType".into()),
        settings: std::collections::BTreeMap::new(),
    }
}

/// The first write is done and its answer lost; every later one meets what exists.
fn lost_answer(operation: &'static str) -> impl FnMut(&str, &Json) -> Reply + Send + 'static {
    let mut writes = 0;
    move |asked, body| {
        if asked != operation {
            return healthy(asked, body);
        }
        writes += 1;
        if writes == 1 { Reply::Hangup } else { Reply::Error("ResourceExistsException", "exists: hunter2") }
    }
}

#[tokio::test]
async fn a_lost_answer_is_success_only_with_the_same_value() {
    let put = Step::PutVersion { name: "app".into(), version: V1.into(), stages: vec!["x".into()] };
    for (operation, step) in [("CreateSecret", create()), ("PutSecretValue", put)] {
        let stub = Stub::start(lost_answer(operation)).await;
        let same = SecretValue::text(format!("value of {V1}"));
        connect(&stub.endpoint).await.apply(&step, None, Some(&same)).await.unwrap();
        assert_eq!(stub.count(operation), 2);
        assert!(stub.bodies(operation).iter().all(|body| body["ClientRequestToken"] == V1));
        let bytes = SecretValue::bytes(format!("value of {V1}").into_bytes());
        for other in [SecretValue::text("hunter2".into()), bytes] {
            let stub = Stub::start(lost_answer(operation)).await;
            let error = connect(&stub.endpoint).await.apply(&step, None, Some(&other)).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}

#[tokio::test]
async fn a_create_sends_what_the_step_says() {
    let stub = Stub::start(|operation, body| match operation {
        "CreateSecret" => Reply::Ok(json!({ "ARN": ARN })),
        _ => healthy(operation, body),
    })
    .await;
    connect(&stub.endpoint).await.apply(&create(), None, Some(&SecretValue::bytes(vec![0, 255]))).await.unwrap();
    let body = &stub.bodies("CreateSecret")[0];
    assert_eq!((&body["SecretBinary"], &body["Type"]), (&json!("AP8="), &json!("MyType")));
    assert!(body["SecretString"].is_null() && body["Tags"].is_null() && body["KmsKeyId"].is_null());
}

#[tokio::test]
async fn steps_that_would_do_something_else_are_not_sent() {
    let stub = Stub::start(|_, _| panic!("nothing may be asked")).await;
    let aws = connect(&stub.endpoint).await;
    let value = SecretValue::text("x".into());
    let unlabelled = Step::PutVersion { name: "app".into(), version: V1.into(), stages: Vec::new() };
    for (step, value) in [(&unlabelled, Some(&value)), (&create(), None)] {
        assert_eq!(aws.apply(step, None, value).await.unwrap_err().kind, ErrorKind::Invalid);
    }
    // What deletes names an incarnation, never whatever has the name by then.
    for step in [Step::Destroy { name: "app".into() }, Step::ScheduleDeletion { name: "app".into(), days: 7 }] {
        assert_eq!(aws.apply(&step, None, None).await.unwrap_err().kind, ErrorKind::Invalid);
    }
    assert!(stub.is_unasked());
}

#[tokio::test]
async fn a_name_scheduled_for_deletion_is_a_conflict_that_says_so() {
    let stub = Stub::start(|operation, body| match operation {
        "CreateSecret" => Reply::Error(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        ),
        "DescribeSecret" => Reply::Ok(json!({ "ARN": ARN, "Name": "app", "DeletedDate": 1_700_000_000 })),
        _ => healthy(operation, body),
    })
    .await;
    let error =
        connect(&stub.endpoint).await.apply(&create(), None, Some(&SecretValue::text("x".into()))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.to_string().contains("scheduled for deletion"), "{error}");
    assert_eq!(stub.count("GetSecretValue"), 0);
}

#[tokio::test]
async fn a_label_that_is_where_it_belongs_is_success_and_elsewhere_is_not() {
    let stub = Stub::start(|operation, body| match operation {
        "UpdateSecretVersionStage" => Reply::Error("InvalidParameterException", "the label is not attached"),
        _ => healthy(operation, body),
    })
    .await;
    let aws = connect(&stub.endpoint).await;
    let step = |to: Option<&str>, from: Option<&str>| Step::MoveStage {
        name: "app".into(),
        stage: "AWSCURRENT".into(),
        to: to.map(Into::into),
        from: from.map(Into::into),
    };
    for (to, from) in [(Some(V1), Some(V2)), (Some(V1), None), (None, Some(V2))] {
        aws.apply(&step(to, from), None, None).await.unwrap();
    }
    for (to, from) in [(Some(V2), Some(V1)), (None, Some(V1)), (None, None)] {
        assert_eq!(aws.apply(&step(to, from), None, None).await.unwrap_err().kind, ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn an_inventory_with_a_hole_says_so() {
    let refusing = |refused: &'static str, code: &'static str| {
        Stub::start(move |operation, body| match operation {
            _ if operation == refused => Reply::Error(code, "no"),
            _ => healthy(operation, body),
        })
    };
    // What one secret's own policy hides is named; nothing is decided about it.
    let stub = refusing("GetResourcePolicy", "AccessDeniedException").await;
    let found = connect(&stub.endpoint).await.look_up("app").await.unwrap().expect("it is there");
    let hidden: Vec<_> = found.secret.unreadable.iter().map(|part| part.operation.as_str()).collect();
    assert_eq!(hidden, ["GetResourcePolicy"]);
    assert_eq!(stub.count("ListSecrets"), 0);
    // Whether there is a secret at all is not guessed, and no other failure is a part that is hidden.
    for (operation, code, kind) in [
        ("DescribeSecret", "AccessDeniedException", ErrorKind::Denied),
        ("GetResourcePolicy", "ValidationException", ErrorKind::Invalid),
        ("ListSecretVersionIds", "ValidationException", ErrorKind::Invalid),
    ] {
        let stub = refusing(operation, code).await;
        let error = connect(&stub.endpoint).await.look_up("app").await.unwrap_err();
        assert_eq!((error.operation, error.kind), (operation, kind));
    }
}

#[tokio::test]
async fn a_rate_share_that_makes_no_sense_is_refused() {
    for rate_share in [0.0, -1.0, 1.1, f64::NAN] {
        let settings = AwsSettings { rate_share, ..AwsSettings::region("eu-central-1") };
        assert_eq!(Aws::connect(settings).await.err().unwrap().kind, ErrorKind::Invalid);
        let endpoint = Some("http://127.0.0.1:1".to_owned());
        let elsewhere = AwsSettings { rate_share, endpoint, ..AwsSettings::region("eu-central-1") };
        assert_eq!(Aws::connect(elsewhere).await.is_ok(), rate_share > 1.0, "{rate_share}");
    }
}
