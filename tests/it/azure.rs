//! Azure Key Vault as a source and a target, on the sandbox, seeded by Microsoft's client. The nasty cases, and where each is:
//!
//! 25 a page: `everything_that_a_client_wrote_is_read` (55 versions) · versions of one second: the same, and
//! `azure::versions` · a disabled current version: the same, and `a_placeholder_stands_for_a_value_that_nobody_has` · a
//! soft-deleted name: `a_deleted_name_is_in_the_way` · managed: `what_a_certificate_manages_is_read_and_not_restored` · a storm of
//! 429: `a_limit_is_waited_for` · another tenant in the middle of a run: `a_vault_that_moves_to_another_tenant_is_followed` · a
//! firewall: `a_firewall_is_told_from_a_missing_right` · the 16th tag: `the_fifteenth_tag_is_named` · 25,601 bytes:
//! `what_is_too_large_is_refused_by_name` · a lost answer to a write: `a_lost_answer_makes_no_second_version`.
#![cfg(feature = "azure")]

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use lifeboat::{
    emulator::{AzureFault, AzureFaultKind, FaultWhen},
    model::{
        Codec, Desired, Digest, Moved, Options, Place, Planned, Record, Secret, SecretValue, State, Step, Tag,
        ValueKind, ValueState, Version, VersionFacets, Withheld,
    },
    provider::{
        Context, ErrorKind, Fetched, FetchedValue, Goal, Listed, Relation, Source as _, Target as _, Wish,
        azure::Azure, codec, rules,
    },
};
use serde_json::{Value as Json, json};

use crate::azure_face::World;

const SOURCE: &str = "source";
const COPY: &str = "copy";

async fn read(azure: &Azure, name: &str) -> Fetched {
    azure.fetch(&Listed::named(name), &|_, _| false).await.unwrap()
}

async fn names(azure: &Azure) -> BTreeMap<String, Listed> {
    let listed: Vec<Listed> = azure.list().try_collect().await.unwrap();
    listed.into_iter().map(|listed| (listed.name.clone(), listed)).collect()
}

fn text(value: &FetchedValue) -> String {
    match value {
        FetchedValue::Value(value) => String::from_utf8(value.expose().to_vec()).unwrap(),
        FetchedValue::Withheld(how) => format!("[{how}]"),
        FetchedValue::Unreadable(code) => format!("[{code}]"),
        FetchedValue::Known => "[known]".into(),
        FetchedValue::None => "[none]".into(),
    }
}

fn set(world: &World, vault: &str, name: &str, body: &Json) -> String {
    let told = world.sandbox.control().request(vault, "PUT", &format!("secrets/{name}"), body).unwrap();
    told["id"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned()
}

/// A record and its values as a snapshot would keep them.
fn record(fetched: Fetched) -> (Record, BTreeMap<String, SecretValue>) {
    let mut values = BTreeMap::new();
    let version = |(line, version): (u32, lifeboat::provider::FetchedVersion)| {
        let value = match version.value {
            FetchedValue::Value(value) => {
                let (kind, size) = (value.kind(), value.size());
                values.insert(version.id.clone(), value);
                ValueState::Stored { pack: Digest::of(b"pack"), line, kind, size }
            }
            FetchedValue::Withheld(reason) => ValueState::Withheld { reason },
            FetchedValue::Unreadable(reason) => ValueState::Unreadable { reason },
            FetchedValue::None | FetchedValue::Known => ValueState::None,
        };
        let lifeboat::provider::FetchedVersion { id, current, labels, created, facets, .. } = version;
        Version { id, current, labels, created, facets, value }
    };
    let versions = (0..).zip(fetched.versions).map(version).collect();
    let read = "2026-01-02T00:00:00Z".parse().unwrap();
    (Record { secret: fetched.secret, versions, read, listing: None }, values)
}

/// What the rules of a kind make of a record.
fn wish(record: &Record, from: &Place, to: &Place, options: &Options) -> Wish {
    let (presence, policies, moved) = (BTreeMap::new(), BTreeMap::new(), Moved::default());
    let (presence, policies, moved) = (&presence, &policies, &moved);
    let time = "2026-01-02T00:00:00Z".parse().unwrap();
    let context = Context { source: from, target: to, options, time, presence, policies, moved };
    let rules = rules(&to.provider).unwrap();
    let mut wish = rules.wish(record, &context, false);
    wish.refusal = rules.refusal(record, &context).or(wish.refusal);
    wish
}

/// Makes in a vault what is wished for; every step twice.
async fn make(azure: &Azure, desired: &Desired, values: &BTreeMap<String, SecretValue>) -> Vec<Planned> {
    let writes = rules("azure").unwrap().writes(desired, &State::default(), Goal::Make);
    assert!(writes.then.is_empty() && writes.last.is_empty());
    for planned in &writes.first {
        for _ in 0..2 {
            let value = planned.source.as_ref().map(|id| &values[id]);
            let encoded = value.map(|value| codec::encode(&planned.codec, value).unwrap());
            let value = encoded.as_ref().and_then(Option::as_ref).or(value);
            azure.apply(&planned.write, None, value).await.unwrap();
        }
    }
    writes.first
}

async fn state(azure: &Azure, name: &str) -> State {
    let existing = azure.look_up(name).await.unwrap().unwrap();
    rules("azure").unwrap().state(&existing, &azure.place_of().await)
}

trait PlaceOf {
    async fn place_of(&self) -> Place;
}

impl PlaceOf for Azure {
    async fn place_of(&self) -> Place {
        lifeboat::provider::Source::place(self).await.unwrap()
    }
}

fn fault(request: &str, when: FaultWhen, kind: AzureFaultKind) -> AzureFault {
    AzureFault { request: Some(request.into()), when, kind }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_client_wrote_is_read() {
    let world = World::start().await;
    let told = world.python("azure_seed.py", SOURCE).await;
    let azure = world.connect(SOURCE).await;
    let listed = names(&azure).await;
    let live: Vec<&String> =
        listed.iter().filter(|(_, it)| it.secret.deleted.is_none()).map(|(name, _)| name).collect();
    assert_eq!(json!(live), told["names"]);
    assert!(listed["gone"].secret.deleted.is_some());
    assert!(listed.values().all(|listed| listed.fingerprint.is_none()), "a change of this moment may hide another one");
    let orders = read(&azure, "orders-db").await;
    let values: Vec<String> = orders.versions.iter().map(|version| text(&version.value)).collect();
    assert_eq!(values.len(), 3);
    assert_eq!(values.iter().filter(|value| *value == "[disabled]").count(), 1);
    assert_eq!(
        text(&orders.versions.iter().find(|it| it.current).unwrap().value),
        r#"{"user": "app", "password": "three"}"#
    );
    assert_eq!(orders.secret.facets.tags, [Tag { key: "team".into(), value: "b".into() }]);
    let when = "2031-05-06T07:08:09Z".parse::<jiff::Timestamp>().unwrap().as_second();
    let own = &orders.secret.facets.other["azure"]["versions"];
    assert_eq!(own.as_object().unwrap().values().filter(|fields| fields["tags"]["team"] == "a").count(), 2);
    assert_eq!(own.as_object().unwrap().values().filter(|fields| fields["not_before"] == when).count(), 1);
    let history = read(&azure, "history").await;
    let all: std::collections::BTreeSet<String> = history.versions.iter().map(|version| text(&version.value)).collect();
    assert_eq!((history.versions.len(), all.len()), (55, 55));
    assert_eq!(text(&history.versions.last().unwrap().value), "value 54");
    assert_eq!(text(&read(&azure, "empty").await.versions[0].value), "");
    assert_eq!(text(&read(&azure, "expired").await.versions[0].value), "still readable");
    assert_eq!(text(&read(&azure, "current-disabled").await.versions[0].value), "[disabled]");
    let gone = read(&azure, "gone").await;
    assert!(gone.secret.deleted.is_some());
    assert!(gone.versions.iter().all(|it| matches!(it.value, FetchedValue::Withheld(Withheld::ScheduledForDeletion))));
    assert_eq!(azure.fetch(&Listed::named("never"), &|_, _| false).await.err().unwrap().kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_vault_gets_everything_as_another_client_reads_it() {
    let world = World::start().await;
    world.python("azure_seed.py", SOURCE).await;
    let (source, copy) = (world.connect(SOURCE).await, world.connect(COPY).await);
    let before = world.python("azure_dump.py", SOURCE).await;
    let mut lost = Vec::new();
    for (name, _) in names(&source).await.into_iter().filter(|(_, it)| it.secret.deleted.is_none()) {
        let (record, values) = record(read(&source, &name).await);
        let wish = wish(&record, &source.place_of().await, &copy.place_of().await, &Options::default());
        assert_eq!(wish.refusal, None, "{name}");
        lost.extend(wish.lost.iter().map(|lost| format!("{name}: {}", lost.reason)));
        make(&copy, &wish.desired, &values).await;
        let is = state(&copy, &name).await;
        assert_eq!(
            rules("azure").unwrap().relate(&wish.desired, &is),
            Relation::Same,
            "{name}: {is:?} {:?}",
            wish.desired
        );
    }
    // Of a disabled version nobody can read the value.
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost.iter().all(|lost| lost.contains("not in the backup (disabled)")), "{lost:?}");
    let mut after = world.python("azure_dump.py", COPY).await;
    for (_, secret) in after.as_object_mut().unwrap() {
        for version in secret["versions"].as_array_mut().unwrap() {
            assert!(version["tags"].as_object_mut().unwrap().remove("lifeboat-version").is_some());
        }
    }
    // In the source versions of one second have no order: what is compared is what they are.
    let sorted = |estate: &Json| {
        let mut estate = estate.clone();
        for (_, secret) in estate.as_object_mut().unwrap() {
            secret["versions"].as_array_mut().unwrap().sort_by_key(Json::to_string);
        }
        estate
    };
    assert_eq!(sorted(&after), sorted(&before));
    let third = world.connect("third").await;
    let (record, values) = record(read(&copy, "orders-db").await);
    let ids: Vec<&String> = record.versions.iter().map(|version| &version.id).collect();
    let wish = wish(&record, &copy.place_of().await, &third.place_of().await, &Options::default());
    make(&third, &wish.desired, &values).await;
    let again = read(&third, "orders-db").await;
    assert_eq!(
        again.versions.iter().map(|version| &version.id).collect::<Vec<_>>(),
        ids,
        "ids are those of the first vault"
    );
    assert_eq!(again.secret.facets.tags, record.secret.facets.tags, "and no mark is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_stands_for_a_value_that_nobody_has() {
    let world = World::start().await;
    set(&world, SOURCE, "a", &json!({ "value": "old" }));
    set(&world, SOURCE, "a", &json!({ "value": "x", "attributes": { "enabled": false } }));
    let (source, copy) = (world.connect(SOURCE).await, world.connect(COPY).await);
    let (record, values) = record(read(&source, "a").await);
    let wish = wish(&record, &source.place_of().await, &copy.place_of().await, &Options::default());
    assert_eq!((wish.lost.len(), wish.desired.withheld.len()), (1, 1));
    make(&copy, &wish.desired, &values).await;
    let restored = read(&copy, "a").await;
    let current = restored.versions.iter().find(|version| version.current).unwrap();
    assert_eq!(text(&current.value), "[disabled]", "an old value does not become the current one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_tells_a_new_version_once_it_is_old_enough() {
    let clock = std::sync::Arc::new(lifeboat::clock::FixedClock("2026-01-01T00:00:00Z".parse().unwrap()));
    let options = lifeboat::emulator::AzureSandboxOptions { clock, ..Default::default() };
    let world = World::with(options).await;
    set(&world, SOURCE, "a", &json!({ "value": "1" }));
    // Tokens of that time have ended long ago for the tool, which signs in again for every request.
    let azure = world.connect(SOURCE).await;
    let first = names(&azure).await.remove("a").unwrap();
    assert!(first.fingerprint.is_some());
    let fetched = azure.fetch(&first, &|_, _| false).await.unwrap();
    assert!(fetched.agrees);
    set(&world, SOURCE, "a", &json!({ "value": "2", "tags": { "k": "v" } }));
    assert_ne!(names(&azure).await.remove("a").unwrap().fingerprint, first.fingerprint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_name_is_in_the_way() {
    let world = World::start().await;
    let control = world.sandbox.control();
    set(&world, COPY, "a", &json!({ "value": "theirs" }));
    control.set_lag(2);
    control.request(COPY, "DELETE", "secrets/a", &Json::Null).unwrap();
    let azure = world.connect(COPY).await;
    control.request(COPY, "GET", "deletedsecrets/a", &Json::Null).unwrap_err();
    control.request(COPY, "GET", "deletedsecrets/a", &Json::Null).unwrap_err();
    let there = azure.look_up("a").await.unwrap().unwrap();
    let is = state(&azure, "a").await;
    assert!(is.scheduled && !is.hidden.is_empty());
    let step = Step::Create {
        name: "a".into(),
        version: Some("id".into()),
        description: None,
        kms_key: None,
        tags: Vec::new(),
        secret_type: None,
        settings: BTreeMap::new(),
    };
    let value = SecretValue::text("v".into());
    let error = azure.apply(&step, None, Some(&value)).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Conflict, "ObjectIsDeletedButRecoverable"));
    // Taken back, with everything that it had; then purged, by its identity alone.
    let (name, id) = ("a".to_owned(), there.secret.id);
    azure.apply(&Step::Undelete { name: name.clone() }, Some(&id), None).await.unwrap();
    assert_eq!(text(&read(&azure, "a").await.versions[0].value), "theirs");
    control.protect(COPY);
    let error = azure.apply(&Step::Destroy { name: name.clone() }, Some(&id), None).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("purge protection"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_certificate_manages_is_read_and_not_restored() {
    let world = World::start().await;
    set(&world, SOURCE, "tls", &json!({ "value": "pfx", "contentType": "application/x-pkcs12" }));
    world.sandbox.control().set_managed(SOURCE, "tls").unwrap();
    let azure = world.connect(SOURCE).await;
    let (record, _) = record(read(&azure, "tls").await);
    assert!(record.secret.facets.managed.is_some());
    let copy = Place { account: "copy.vault.localhost".into(), ..azure.place_of().await };
    let mut options = Options::default();
    let refusal = wish(&record, &azure.place_of().await, &copy, &options).refusal.unwrap();
    assert!(refusal.contains("import the certificate"), "{refusal}");
    options.maps.name.insert("tls".into(), "tls-value".into());
    assert_eq!(wish(&record, &azure.place_of().await, &copy, &options).refusal, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_waited_for() {
    let world = World::start().await;
    set(&world, SOURCE, "a", &json!({ "value": "1" }));
    let azure = world.connect(SOURCE).await;
    world.sandbox.control().add_fault(fault("GET /secrets/a", FaultWhen::Nth(1), AzureFaultKind::Throttled(1)));
    world.sandbox.control().add_fault(fault("GET /secrets/a", FaultWhen::Nth(2), AzureFaultKind::Drop));
    world.sandbox.control().add_fault(fault("GET /secrets/a", FaultWhen::Nth(3), AzureFaultKind::InternalError));
    let begun = std::time::Instant::now();
    assert_eq!(text(&read(&azure, "a").await.versions[0].value), "1");
    assert!(begun.elapsed().as_secs_f64() >= 1.0, "the pause that is asked for is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_moves_to_another_tenant_is_followed() {
    let world = World::start().await;
    set(&world, SOURCE, "a", &json!({ "value": "1" }));
    let azure = world.connect(SOURCE).await;
    world.sandbox.control().set_tenant(SOURCE, "99999999-2222-4333-8444-555555555555");
    assert_eq!(text(&read(&azure, "a").await.versions[0].value), "1");
    world.sandbox.control().end_tokens();
    assert_eq!(text(&read(&azure, "a").await.versions[0].value), "1");
    // One that takes no token is no endless conversation.
    world.sandbox.control().add_fault(fault("GET /secrets/a", FaultWhen::Always, AzureFaultKind::Unauthorized));
    let error = azure.fetch(&Listed::named("a"), &|_, _| false).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
    let settings =
        lifeboat::provider::azure::AzureSettings { client_secret: Some("wrong".to_owned().into()), ..world.settings() };
    let address = world.sandbox.source(SOURCE).parse().unwrap();
    let error = Azure::connect_by(&address, settings, 1.0, None).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "SignInFailed"));
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_is_told_from_a_missing_right() {
    let world = World::start().await;
    set(&world, SOURCE, "a", &json!({ "value": "1" }));
    let azure = world.connect(SOURCE).await;
    let control = world.sandbox.control();
    control.add_fault(fault("GET /secrets/a/", FaultWhen::Always, AzureFaultKind::Denied));
    control.clear_faults();
    control.add_fault(fault("GET /secrets", FaultWhen::Always, AzureFaultKind::Firewall));
    let error = azure.fetch(&Listed::named("a"), &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Denied, "ForbiddenByFirewall"));
    assert!(error.to_string().contains("no role changes that"), "{error}");
    control.clear_faults();
    let version = read(&azure, "a").await.versions[0].id.clone();
    control.add_fault(fault(&format!("GET /secrets/a/{version}"), FaultWhen::Always, AzureFaultKind::Denied));
    assert_eq!(text(&read(&azure, "a").await.versions[0].value), "[ForbiddenByRbac]");
    control.clear_faults();
    control.add_fault(fault("PUT", FaultWhen::Always, AzureFaultKind::Policy));
    let (record, values) = record(read(&azure, "a").await);
    let copy = world.connect(COPY).await;
    let wish = wish(&record, &azure.place_of().await, &copy.place_of().await, &Options::default());
    let planned = &rules("azure").unwrap().writes(&wish.desired, &State::default(), Goal::Make).first[0];
    let error = copy.apply(&planned.write, None, Some(&values[&version])).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Denied, "RequestDisallowedByPolicy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fifteenth_tag_is_named() {
    let world = World::start().await;
    let tags: BTreeMap<String, String> = (0..15).map(|number| (format!("t{number:02}"), "v".into())).collect();
    set(&world, SOURCE, "a", &json!({ "value": "1", "tags": tags }));
    let (source, copy) = (world.connect(SOURCE).await, world.connect(COPY).await);
    let (record, values) = record(read(&source, "a").await);
    assert_eq!(record.secret.facets.tags.len(), 15);
    let wish = wish(&record, &source.place_of().await, &copy.place_of().await, &Options::default());
    assert_eq!(wish.lost.iter().map(|lost| lost.what.as_str()).collect::<Vec<_>>(), ["tag t14"]);
    make(&copy, &wish.desired, &values).await;
    assert_eq!(read(&copy, "a").await.secret.facets.tags.len(), 14);
}

/// A record of AWS with one version.
fn aws(name: &str, value: &SecretValue) -> (Record, Place) {
    let secret = Secret { name: name.into(), id: "arn".into(), ..Secret::default() };
    let value = ValueState::Stored { pack: Digest::of(b"p"), line: 0, kind: value.kind(), size: value.size() };
    let id = "00000001-0000-4000-8000-000000000000".to_owned();
    let (labels, facets) = (vec!["AWSCURRENT".into()], VersionFacets::default());
    let version = Version { id, current: true, labels, created: None, facets, value };
    let read = "2026-01-02T00:00:00Z".parse().unwrap();
    let place = Place { provider: "aws".into(), account: "1".into(), region: "eu-west-1".into() };
    (Record { secret, versions: vec![version], read, listing: None }, place)
}

#[test]
fn what_is_too_large_is_refused_by_name() {
    let to = Place { provider: "azure".into(), account: "copy.vault.azure.net".into(), region: "public".into() };
    for (value, fits) in [
        (SecretValue::text("x".repeat(25_600)), true),
        (SecretValue::text("x".repeat(25_601)), false),
        (SecretValue::bytes(vec![0; 19_200]), true),
        (SecretValue::bytes(vec![0; 19_201]), false),
    ] {
        let (record, from) = aws("app/db", &value);
        let wish = wish(&record, &from, &to, &Options::default());
        assert_eq!(wish.refusal.is_none(), fits, "{:?} of {}", value.kind(), value.size());
        assert!(fits || wish.refusal.unwrap().contains("at most 25600"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn across_aws_and_back_nothing_is_missing() {
    let world = World::start().await;
    let azure = world.connect(COPY).await;
    let value = SecretValue::bytes(vec![0, 1, 2, 255]);
    let (mut record_of_aws, from) = aws("app/db-x2F", &value);
    let tags = (0..50).map(|number| Tag { key: format!("tag-{number}"), value: format!("value {number}") });
    record_of_aws.secret.facets.tags = tags.collect();
    record_of_aws.secret.facets.description = Some("of the orders".into());
    let there = wish(&record_of_aws, &from, &azure.place_of().await, &Options::default());
    assert_eq!((there.refusal.as_ref(), there.lost.len()), (None, 0), "{:?}", there.lost);
    assert_eq!(there.desired.name, "app-x2F-db-x2D-x2F");
    let id = record_of_aws.versions[0].id.clone();
    make(&azure, &there.desired, &[(id.clone(), value)].into()).await;
    let (record_of_azure, values) = record(read(&azure, &there.desired.name).await);
    let back = wish(&record_of_azure, &azure.place_of().await, &from, &Options::default());
    assert_eq!((back.refusal.as_ref(), back.desired.name.as_str()), (None, "app/db-x2F"));
    assert_eq!(back.desired.description.as_deref(), Some("of the orders"));
    let map = |tags: &[Tag]| tags.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(map(&back.desired.tags), map(&record_of_aws.secret.facets.tags));
    let [version] = &back.desired.versions[..] else { panic!("one version") };
    assert_eq!((&version.id, &version.labels[..]), (&id, &["AWSCURRENT".to_owned()][..]));
    let written = codec::encode(&version.codec, &values[&record_of_azure.versions[0].id]).unwrap().unwrap();
    assert_eq!(
        (version.codec.clone(), written.kind(), written.expose()),
        (Codec::Base64, ValueKind::Bytes, &[0, 1, 2, 255][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_version() {
    let world = World::start().await;
    let azure = world.connect(COPY).await;
    let value = SecretValue::text("v".into());
    let (record, from) = aws("a", &value);
    let wish = wish(&record, &from, &azure.place_of().await, &Options::default());
    world.sandbox.control().add_fault(fault("PUT /secrets/a", FaultWhen::Nth(1), AzureFaultKind::DropAfter));
    make(&azure, &wish.desired, &[(record.versions[0].id.clone(), value)].into()).await;
    assert_eq!(read(&azure, "a").await.versions.len(), 1);
    assert_eq!(world.sandbox.control().calls()["PUT secret"], 1);
}
