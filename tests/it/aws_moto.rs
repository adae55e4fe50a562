//! The AWS provider against moto, a Secrets Manager that others wrote.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    primitives::Blob,
    types::Tag as SdkTag,
};
use futures::{StreamExt as _, TryStreamExt as _};
use lifeboat::{
    model::{AWSCURRENT, SecretValue, Step, ValueKind, Withheld},
    provider::{
        ErrorKind, Fetched, FetchedValue, Source, Target,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};

use crate::servers::Moto;

const SOURCE: &str = "eu-central-1";
const TARGET: &str = "us-west-2";
const POLICY: &str = r#"{ "Version": "2012-10-17",  "Statement": [] }"#;

fn id(n: u32) -> String {
    format!("terraform-{n:0>40}")
}

fn seeder(moto: &Moto) -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(SOURCE))
        .endpoint_url(&moto.endpoint)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"));
    Client::from_conf(config.build())
}

async fn connect(moto: &Moto, region: &str, role: Option<&str>) -> Aws {
    let credentials = StaticCredentials { access_key: "AKIDEXAMPLE".into(), secret_key: "secret".to_owned().into() };
    let settings = AwsSettings {
        endpoint: Some(moto.endpoint.clone()),
        credentials: Some(credentials),
        role: role.map(Into::into),
        ..AwsSettings::region(region)
    };
    Aws::connect(settings).await.unwrap()
}

async fn seed(client: &Client) {
    let tag = |key: &str, value: &str| SdkTag::builder().key(key).value(value).build();
    let create = client.create_secret().name("prod/db").client_request_token(id(1)).secret_string("v1\u{feff}\0\r\n ");
    create.description("a database").tags(tag("Team", "")).tags(tag("team", "b")).send().await.unwrap();
    for n in 2..=5 {
        let put = client.put_secret_value().secret_id("prod/db").client_request_token(id(n));
        put.secret_string(format!("v{n}")).send().await.unwrap();
    }
    for (label, n) in [("zeta", 2), ("alpha", 2)] {
        let label = client.update_secret_version_stage().secret_id("prod/db").version_stage(label);
        label.move_to_version_id(id(n)).send().await.unwrap();
    }
    client.put_resource_policy().secret_id("prod/db").resource_policy(POLICY).send().await.unwrap();
    let binary = client.create_secret().name("binary").client_request_token(id(1));
    binary.secret_binary(Blob::new(br#"{"valid":"json"}"#)).send().await.unwrap();
    client.create_secret().name("empty").send().await.unwrap();
    client.create_secret().name("leaving").client_request_token(id(1)).secret_string("x").send().await.unwrap();
    client.delete_secret().secret_id("leaving").recovery_window_in_days(7).send().await.unwrap();
}

async fn fetch_all(aws: &Aws) -> BTreeMap<String, Fetched> {
    let mut all = BTreeMap::new();
    let mut listing = aws.list();
    while let Some(listed) = listing.next().await {
        let listed = listed.unwrap();
        let fetched = aws.fetch(&listed, &|_, _| false).await.unwrap();
        assert!(fetched.secret.unreadable.is_empty(), "{}: {:?}", listed.name, fetched.secret.unreadable);
        assert!(all.insert(listed.name, fetched).is_none());
    }
    all
}

fn value(fetched: &Fetched, id: &str) -> SecretValue {
    let version = fetched.versions.iter().find(|version| version.id == id).expect("the version is there");
    let FetchedValue::Value(value) = &version.value else { panic!("{id} has no value") };
    match value.kind() {
        ValueKind::Text => SecretValue::text(String::from_utf8(value.expose().to_vec()).unwrap()),
        ValueKind::Bytes => SecretValue::bytes(value.expose().to_vec()),
        ValueKind::Fields => panic!("AWS has no fields"),
    }
}

/// The current version first, then the labelled ones, then the deprecated ones by a label for the moment.
fn steps(fetched: &Fetched) -> Vec<Step> {
    let name = fetched.secret.name.clone();
    let has_current = |stages: &[String]| stages.iter().any(|stage| stage == AWSCURRENT);
    let current = fetched.versions.iter().find(|version| has_current(&version.labels));
    let mut steps = vec![Step::Create {
        name: name.clone(),
        version: current.map(|version| version.id.clone()),
        description: fetched.secret.facets.description.clone(),
        kms_key: fetched.secret.facets.key.clone(),
        tags: fetched.secret.facets.tags.clone(),
        secret_type: None,
        settings: std::collections::BTreeMap::new(),
    }];
    for version in fetched.versions.iter().filter(|version| !has_current(&version.labels)) {
        let (name, id) = (name.clone(), version.id.clone());
        if version.labels.is_empty() {
            let stage = "x-restore".to_owned();
            steps.push(Step::PutVersion { name: name.clone(), version: id.clone(), stages: vec![stage.clone()] });
            steps.push(Step::MoveStage { name, stage, to: None, from: Some(id) });
        } else {
            steps.push(Step::PutVersion { name, version: id, stages: version.labels.clone() });
        }
    }
    steps.extend(fetched.secret.facets.policy.clone().map(|policy| Step::PutPolicy {
        name,
        policy,
        block_public: true,
    }));
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_secret_is_captured_and_restored_elsewhere() {
    let moto = Moto::start();
    seed(&seeder(&moto)).await;
    let source = connect(&moto, SOURCE, None).await;
    let captured = fetch_all(&source).await;
    assert_captured(&captured);

    let target = connect(&moto, TARGET, None).await;
    for fetched in captured.values().filter(|fetched| fetched.secret.deleted.is_none()) {
        // Twice: a restore that was interrupted is run again.
        for step in [steps(fetched), steps(fetched)].concat() {
            let value = step.writes_version().map(|id| value(fetched, id));
            target.apply(&step, None, value.as_ref()).await.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        }
    }
    let restored = fetch_all(&target).await;
    assert_eq!(restored.keys().collect::<Vec<_>>(), ["binary", "empty", "prod/db"]);
    for (name, restored) in &restored {
        assert_same(&captured[name], restored);
    }
    assert_inventory(&target).await;
}

fn assert_captured(captured: &BTreeMap<String, Fetched>) {
    let database = &captured["prod/db"];
    let labels: BTreeMap<_, _> = database.versions.iter().map(|v| (v.id.clone(), v.labels.clone())).collect();
    assert_eq!(labels.len(), 5, "deprecated versions are captured: {labels:?}");
    assert_eq!(labels[&id(5)], ["AWSCURRENT"]);
    assert_eq!(labels[&id(4)], ["AWSPREVIOUS"]);
    assert_eq!(labels[&id(2)], ["alpha", "zeta"]);
    assert!(labels[&id(1)].is_empty() && labels[&id(3)].is_empty());
    assert_eq!(value(database, &id(1)).expose(), "v1\u{feff}\0\r\n ".as_bytes());
    assert_eq!(value(database, &id(3)).expose(), b"v3");
    assert_eq!(database.secret.facets.policy.as_deref(), Some(POLICY));
    let tags: Vec<_> = database.secret.facets.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    assert_eq!(tags, [("Team", ""), ("team", "b")]);
    assert!(value(&captured["binary"], &id(1)).same_as(&SecretValue::bytes(br#"{"valid":"json"}"#.to_vec())));
    assert!(captured["empty"].versions.is_empty());
    let leaving = &captured["leaving"];
    assert!(leaving.secret.deleted.is_some());
    assert_eq!(leaving.versions.len(), 1, "ids of a secret scheduled for deletion are known");
    assert!(matches!(leaving.versions[0].value, FetchedValue::Withheld(Withheld::ScheduledForDeletion)));
}

fn assert_same(captured: &Fetched, restored: &Fetched) {
    let name = &captured.secret.name;
    assert_eq!(captured.secret.facets.description, restored.secret.facets.description, "{name}");
    assert_eq!(captured.secret.facets.tags, restored.secret.facets.tags, "{name}");
    assert_eq!(captured.secret.facets.policy, restored.secret.facets.policy, "{name}");
    assert_ne!(captured.secret.id, restored.secret.id, "{name}");
    let labels = |fetched: &Fetched| -> BTreeMap<_, _> {
        fetched.versions.iter().map(|version| (version.id.clone(), version.labels.clone())).collect()
    };
    assert_eq!(labels(captured), labels(restored), "{name}");
    for version in labels(captured).keys() {
        assert!(value(captured, version).same_as(&value(restored, version)), "{name} {version}");
    }
}

async fn assert_inventory(target: &Aws) {
    let mut existing = Vec::new();
    for name in ["absent", "empty", "prod/db"] {
        existing.extend(target.look_up(name).await.unwrap());
    }
    let names: Vec<_> = existing.iter().map(|existing| existing.secret.name.as_str()).collect();
    assert_eq!(names, ["empty", "prod/db"]);
    assert_eq!(existing[1].versions.len(), 5);
    assert!(existing[1].versions.iter().any(|version| version.id == id(5) && version.has(AWSCURRENT)));
    assert_eq!(existing[1].secret.facets.policy.as_deref(), Some(POLICY));
    let names: BTreeSet<String> = target.names().try_collect().await.unwrap();
    assert_eq!(names, BTreeSet::from(["binary", "empty", "prod/db"].map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_told_and_nothing_is_overwritten() {
    let moto = Moto::start();
    let client = seeder(&moto);
    seed(&client).await;
    let aws = connect(&moto, SOURCE, None).await;
    let step = |name: &str| Step::Create {
        name: name.into(),
        version: Some(id(9)),
        description: None,
        kms_key: None,
        tags: Vec::new(),
        secret_type: None,
        settings: std::collections::BTreeMap::new(),
    };
    let value = SecretValue::text("other".into());
    let scheduled = aws.apply(&step("leaving"), None, Some(&value)).await.unwrap_err();
    assert_eq!(scheduled.kind, ErrorKind::Conflict);
    assert!(scheduled.to_string().contains("scheduled for deletion"), "{scheduled}");
    let taken = aws.apply(&step("prod/db"), None, Some(&value)).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Conflict, "{taken}");
    let put = Step::PutVersion { name: "prod/db".into(), version: id(5), stages: vec!["x".into()] };
    let changed = aws.apply(&put, None, Some(&value)).await.unwrap_err();
    assert_eq!(changed.kind, ErrorKind::Conflict, "{changed}");
    let current = client.get_secret_value().secret_id("prod/db").send().await.unwrap();
    assert_eq!(current.secret_string(), Some("v5"));

    for name in ["prod/db", "leaving", "never-there"] {
        let never = || format!("arn:aws:secretsmanager:{TARGET}:123456789012:secret:{name}-AbCdEf");
        let id = aws.describe(name).await.unwrap().map_or_else(never, |secret| secret.id);
        for _ in 0..2 {
            let destroyed = aws.apply(&Step::Destroy { name: name.into() }, Some(&id), None).await;
            destroyed.unwrap_or_else(|error| panic!("{error}"));
        }
    }
    let left = fetch_all(&aws).await;
    assert_eq!(left.keys().collect::<Vec<_>>(), ["binary", "empty"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_is_what_the_provider_says() {
    let moto = Moto::start();
    let own = Source::place(&connect(&moto, SOURCE, None).await).await.unwrap();
    assert_eq!((own.account.as_str(), own.region.as_str()), ("123456789012", SOURCE));
    let role = Some("arn:aws:iam::222222222222:role/restore");
    let other = Target::place(&connect(&moto, TARGET, role).await).await.unwrap();
    assert_eq!((other.account.as_str(), other.region.as_str()), ("222222222222", TARGET));
}
