//! Secret Manager as source and target, against the sandbox: what is read, what comes back, and what goes across kinds. What is
//! there before and after is written and read by Google's own client.
#![cfg(feature = "gcp")]

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use lifeboat::{
    emulator::{FaultWhen, GcpFault, GcpFaultKind, GcpSandbox, Sandbox, SandboxOptions},
    model::{Digest, Lost, Maps, Options, Policies, Record, SecretValue, State, Step, ValueState, Version, Withheld},
    outward::GcpSettings,
    provider::{
        Context, ErrorKind, Fetched, FetchedValue, Goal, Listed, Relation, Source, Target,
        aws::{Aws, AwsSettings, StaticCredentials},
        codec,
        gcp::{Gcp, GcpProject},
        rules,
    },
};
use serde_json::{Value as Json, json};

use crate::gcp_face::{sandbox, script};

/// A connection to one place of a sandbox.
pub async fn connect(sandbox: &GcpSandbox, address: &str) -> Gcp {
    let address: lifeboat::provider::gcp::GcpAddress = address.parse().unwrap();
    let settings = GcpSettings::sandbox(&sandbox.endpoint());
    // The quotas are Google's: the sandbox has none unless it is told.
    let project = GcpProject::connect(&address, &settings, 1_000.0, None).await.unwrap();
    project.at(address.one_place().location.as_deref().unwrap())
}

/// A secret as read, as a snapshot would keep it, and its values.
struct Kept {
    record: Record,
    values: BTreeMap<String, SecretValue>,
}

async fn read(source: &dyn Source, name: &str) -> Fetched {
    source.fetch(&Listed::named(name), &|_, _| false).await.unwrap()
}

async fn keep(source: &dyn Source, name: &str) -> Kept {
    let fetched = read(source, name).await;
    let mut values = BTreeMap::new();
    let mut versions = Vec::new();
    for (line, version) in (0..).zip(fetched.versions) {
        let value = match version.value {
            FetchedValue::Value(value) => {
                let (kind, size, pack) = (value.kind(), value.size(), Digest::of(name.as_bytes()));
                values.insert(version.id.clone(), value);
                ValueState::Stored { pack, line, kind, size }
            }
            FetchedValue::Withheld(reason) => ValueState::Withheld { reason },
            FetchedValue::Unreadable(reason) => ValueState::Unreadable { reason },
            _ => ValueState::None,
        };
        let (id, current, labels) = (version.id, version.current, version.labels);
        versions.push(Version { id, current, labels, created: version.created, facets: version.facets, value });
    }
    let record =
        Record { secret: fetched.secret, versions, read: "2026-01-02T00:00:00Z".parse().unwrap(), listing: None };
    Kept { record, values }
}

/// What came of one secret.
struct Carried {
    name: String,
    lost: Vec<Lost>,
    notes: Vec<String>,
}

/// Restores one secret by the rules of the target alone, and sees that it is what was to be.
async fn restore(kept: &Kept, source: &dyn Source, target: &dyn Target, options: &Options) -> Carried {
    let (from, to) = (source.place().await.unwrap(), target.place().await.unwrap());
    let rules = rules(&to.provider).unwrap();
    let (presence, policies, moved) = Default::default();
    let context = Context {
        source: &from,
        target: &to,
        options,
        time: "2026-01-02T00:00:00Z".parse().unwrap(),
        presence: &presence,
        policies: &policies,
        moved: &moved,
    };
    let record = &kept.record;
    let name = rules.name(&record.secret, &from, &options.maps);
    assert_eq!(rules.name_fault(&from, &record.secret.name, &name), None);
    assert_eq!(rules.refusal(record, &context), None, "{name}");
    let wish = rules.wish(record, &context, false);
    assert_eq!((wish.refusal, &wish.desired.name), (None, &name));
    let writes = rules.writes(&wish.desired, &State::default(), Goal::Make);
    let mut imagined = State::default();
    for planned in writes.first.iter().chain(&writes.then).chain(&writes.last) {
        let value = planned.source.as_ref().map(|id| &kept.values[id]);
        let encoded = value.map(|value| codec::encode(&planned.codec, value).unwrap());
        let value = encoded.as_ref().and_then(Option::as_ref).or(value);
        target.apply(&planned.write, None, value).await.unwrap();
        rules.after(&mut imagined, &planned.write);
    }
    let there = target.look_up(&name).await.unwrap().unwrap();
    let is = rules.state(&there, &to);
    assert!(imagined.is_like(&is), "the rules imagine {imagined:?}, and it is {is:?}");
    assert_eq!(rules.relate(&wish.desired, &is), Relation::Same, "{name}");
    Carried { name, lost: wish.lost, notes: wish.notes }
}

/// Everything of a source, into a target.
async fn restore_all(source: &(dyn Source + Sync), target: &dyn Target, options: &Options) -> Vec<Carried> {
    let listed: Vec<Listed> = source.list().try_collect().await.unwrap();
    let mut carried = Vec::new();
    for listed in listed {
        let kept = keep(source, &listed.name).await;
        carried.push(restore(&kept, source, target, options).await);
    }
    carried
}

/// Versions with their labels, states and values, and the metadata that lasts.
async fn seen(source: &dyn Source, name: &str) -> Json {
    let kept = keep(source, name).await;
    let mut versions: Vec<Json> = kept
        .record
        .versions
        .iter()
        .map(|version| {
            let value = kept.values.get(&version.id).map(|value| (format!("{:?}", value.kind()), hex(value.expose())));
            let state = version.facets.other.get("state");
            json!({ "id": version.id, "labels": version.labels, "current": version.current, "value": value, "state": state })
        })
        .collect();
    // Some kinds list them in no order.
    versions.sort_by_key(|version| version["id"].as_str().unwrap().to_owned());
    let facets = &kept.record.secret.facets;
    let tags: BTreeSet<_> = facets.tags.iter().map(|tag| (&tag.key, &tag.value)).collect();
    json!({
        "versions": versions, "tags": tags, "description": facets.description, "policy": facets.policy,
        "type": facets.r#type, "settings": facets.other.get("settings"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_googles_client_seeds_comes_back_as_it_reads_it() {
    let sandbox = sandbox().await;
    let before = script("gcp_seed.py", vec![sandbox.endpoint(), "projects/source-project".into()]).await;
    let source = connect(&sandbox, "gcp:source-project").await;
    let target = connect(&sandbox, "gcp:target-project").await;
    let maps = Maps { account: [("source-project".to_owned(), "target-project".to_owned())].into(), ..Maps::default() };
    let options = Options { maps, ..Options::default() };
    let carried = restore_all(&source, &target, &options).await;
    let after = script("gcp_dump.py", vec![sandbox.endpoint(), "projects/target-project".into()]).await;
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before.len() >= 9, "{}", before.len());
    for (name, before) in before {
        let mut before = before.clone();
        let of = |name: &str| carried.iter().find(|it| it.name == name).unwrap();
        // What is off unless a person says otherwise is in the notes.
        for (field, word) in [("topics", "topics"), ("rotation", "rotation"), ("expire_time", "expire")] {
            if before["secret"].as_object_mut().unwrap().remove(field).is_some() {
                assert!(of(name).notes.iter().any(|note| note.contains(word)), "{name}: {:?}", of(name).notes);
            }
        }
        let text = before.to_string().replace("@source-project.", "@target-project.");
        let mut before: Json = serde_json::from_str(&text).unwrap();
        if name == "public" {
            assert_eq!(of(name).lost.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(), ["policy"]);
            before["bindings"] = json!([]);
        } else if name == "disabled" {
            assert_eq!(of(name).lost.len(), 1, "its value was never captured: {:?}", of(name).lost);
        } else if name == "encrypted" {
            assert!(of(name).notes.iter().any(|note| note.contains("--kms-map")), "{:?}", of(name).notes);
            before["secret"]["replication"] = json!({ "automatic": {} });
        } else {
            assert!(of(name).lost.is_empty(), "{name}: {:?}", of(name).lost);
        }
        assert_eq!(&before, &after[name], "{name}");
    }
    let latest_gone = carried.iter().find(|it| it.name == "destroyed").unwrap();
    assert!(latest_gone.notes.iter().any(|note| note.contains("`latest`")), "{:?}", latest_gone.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_has_secrets_of_its_own_and_the_project_is_known_by_its_number() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    let make = |parent: &str, id: &str, body: Json| {
        control.request("POST", &format!("/v1/projects/{parent}/secrets?secretId={id}"), &body).unwrap();
        let data = json!({ "payload": { "data": "YQ==" } });
        control.request("POST", &format!("/v1/projects/{parent}/secrets/{id}:addVersion"), &data).unwrap();
    };
    make("regional-test", "app", json!({ "replication": { "automatic": {} } }));
    make("regional-test/locations/europe-west3", "app", json!({ "labels": { "here": "yes" } }));
    let address = "gcp:regional-test".parse().unwrap();
    let settings = GcpSettings::sandbox(&sandbox.endpoint());
    let project = GcpProject::connect(&address, &settings, 1_000.0, None).await.unwrap();
    assert_eq!(project.number(), control.project_number("regional-test"));
    assert_eq!(project.locations().await.unwrap(), ["global", "europe-west3"]);
    let regional = project.at("europe-west3");
    assert_eq!(seen(&regional, "app").await["tags"], json!([["here", "yes"]]));
    let kept = keep(&regional, "app").await;
    let other = project.at("us-east1");
    let carried = restore(&kept, &regional, &other, &Options::default()).await;
    assert!(carried.lost.is_empty() && carried.notes.is_empty(), "{:?} {:?}", carried.lost, carried.notes);
    assert_eq!(seen(&other, "app").await, seen(&regional, "app").await);
    // From a location to the global secrets of another project, of which nothing is there.
    let global = connect(&sandbox, "gcp:empty-project/global").await;
    restore(&kept, &regional, &global, &Options::default()).await;
    assert_eq!(seen(&global, "app").await["tags"], json!([["here", "yes"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_found_by_the_listing_and_known_values_are_not_read_again() {
    let sandbox = sandbox().await;
    script("gcp_seed.py", vec![sandbox.endpoint(), "projects/source-project".into()]).await;
    let source = connect(&sandbox, "gcp:source-project").await;
    let list = || async {
        let listed: Vec<Listed> = source.list().try_collect().await.unwrap();
        listed.into_iter().map(|it| (it.name.clone(), it)).collect::<BTreeMap<_, _>>()
    };
    let first = list().await;
    let fetched = source.fetch(&first["app"], &|_, _| false).await.unwrap();
    assert!(fetched.agrees && first["app"].fingerprint.is_some());
    sandbox.control().reset_calls();
    let id = fetched.secret.id.clone();
    let again = source.fetch(&first["app"], &|incarnation, _| incarnation == id).await.unwrap();
    assert!(again.versions.iter().all(|version| matches!(version.value, FetchedValue::Known)));
    let calls = sandbox.control().calls();
    assert_eq!(calls.get("versions.access"), None, "{calls:?}");
    let reads = ["versions.list", "secrets.get", "secrets.getIamPolicy"].map(|name| calls.get(name).copied());
    assert_eq!(reads, [Some(1); 3], "three reads for a secret");
    let path = "/v1/projects/source-project/secrets/app:addVersion";
    sandbox.control().request("POST", path, &json!({ "payload": { "data": "bmV3" } })).unwrap();
    let second = list().await;
    assert_ne!(first["app"].fingerprint, second["app"].fingerprint);
    assert_eq!(first["binary"].fingerprint, second["binary"].fingerprint);
    let stale = source.fetch(&first["app"], &|_, _| false).await.unwrap();
    assert!(!stale.agrees, "the entry is older than what was read");
    let number = second["app"].secret.name.len();
    assert!(number > 0);
    // The newest one is disabled: the listing sees that too.
    let count = stale.versions.len();
    let path = format!("/v1/projects/source-project/secrets/app/versions/{count}:disable");
    sandbox.control().request("POST", &path, &json!({})).unwrap();
    assert_ne!(list().await["app"].fingerprint, second["app"].fingerprint);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_named_and_holds_up_nothing_else() {
    let sandbox = sandbox().await;
    script("gcp_seed.py", vec![sandbox.endpoint(), "projects/source-project".into()]).await;
    let source = connect(&sandbox, "gcp:source-project").await;
    let fault = |path: &str, kind| GcpFault { path: Some(path.into()), when: FaultWhen::Always, kind };
    sandbox.control().add_fault(fault("/secrets/app/versions/1:access", GcpFaultKind::KeyDisabled));
    sandbox.control().add_fault(fault("/secrets/app:getIamPolicy", GcpFaultKind::Denied));
    let fetched = read(&source, "app").await;
    let unreadable = |version: &lifeboat::provider::FetchedVersion| matches!(&version.value, FetchedValue::Unreadable(code) if code == "FAILED_PRECONDITION");
    assert_eq!(fetched.versions.iter().filter(|version| unreadable(version)).count(), 1);
    assert_eq!(fetched.secret.unreadable[0].reason, "PERMISSION_DENIED");
    sandbox.control().clear_faults();
    // A quota, an outage and a lost answer are waited out.
    for kind in [GcpFaultKind::Exhausted, GcpFaultKind::Unavailable, GcpFaultKind::InternalError, GcpFaultKind::Drop] {
        let when = FaultWhen::Nth(1);
        sandbox.control().add_fault(GcpFault { path: Some("/secrets/app".into()), when, kind });
    }
    assert!(read(&source, "app").await.secret.unreadable.is_empty());
    sandbox.control().clear_faults();
    sandbox.control().add_fault(fault("/secrets", GcpFaultKind::TokenEnded));
    let error = source.fetch(&Listed::named("app"), &|_, _| false).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "UNAUTHENTICATED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_no_second_version() {
    let sandbox = sandbox().await;
    let target = connect(&sandbox, "gcp:target-project").await;
    let name = || "app".to_owned();
    let create = Step::Create {
        name: name(),
        version: None,
        description: None,
        kms_key: None,
        tags: Vec::new(),
        secret_type: None,
        settings: BTreeMap::new(),
    };
    target.apply(&create, None, None).await.unwrap();
    for (number, kind) in [(1, GcpFaultKind::DropAfter), (2, GcpFaultKind::Drop)] {
        sandbox.control().add_fault(GcpFault { path: Some(":addVersion".into()), when: FaultWhen::Nth(1), kind });
        let append = Step::Append {
            name: name(),
            version: number.to_string(),
            behind: (number - 1).to_string(),
            placeholder: false,
        };
        let value = SecretValue::bytes(vec![number]);
        target.apply(&append, None, Some(&value)).await.unwrap();
        sandbox.control().clear_faults();
        assert_eq!(read(&target, "app").await.versions.len(), usize::from(number));
    }
    // Somebody else's version is in the way, and stays.
    let path = "/v1/projects/target-project/secrets/app:addVersion";
    sandbox.control().request("POST", path, &json!({ "payload": { "data": "YQ==" } })).unwrap();
    let append = Step::Append { name: name(), version: "3".into(), behind: "2".into(), placeholder: false };
    let error = target.apply(&append, None, Some(&SecretValue::bytes(vec![9]))).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Conflict, "NotBehind"));
    assert_eq!(read(&target, "app").await.versions.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_public_only_if_a_person_says_so_and_a_value_that_is_too_large_is_named() {
    let sandbox = sandbox().await;
    script("gcp_seed.py", vec![sandbox.endpoint(), "projects/source-project".into()]).await;
    let source = connect(&sandbox, "gcp:source-project").await;
    let target = connect(&sandbox, "gcp:target-project").await;
    let kept = keep(&source, "public").await;
    let options = Options { policies: Policies::All, ..Options::default() };
    let carried = restore(&kept, &source, &target, &options).await;
    assert!(carried.lost.is_empty(), "{:?}", carried.lost);
    assert!(seen(&target, "public").await["policy"].as_str().unwrap().contains("allUsers"));
    // A disabled version whose value an earlier snapshot holds comes back with it, disabled.
    let mut kept = keep(&source, "disabled").await;
    let withheld = kept
        .record
        .versions
        .iter_mut()
        .find(|version| version.value == ValueState::Withheld { reason: Withheld::Disabled });
    let version = withheld.unwrap();
    let value = SecretValue::bytes(b"captured before".to_vec());
    let (pack, line, kind, size) = (Digest::of(b"x"), 0, value.kind(), value.size());
    version.value = ValueState::Stored { pack, line, kind, size };
    let id = version.id.clone();
    kept.values.insert(id.clone(), value);
    let carried = restore(&kept, &source, &target, &Options::default()).await;
    assert!(carried.lost.is_empty(), "{:?}", carried.lost);
    let path = format!("/v1/projects/target-project/secrets/disabled/versions/{id}");
    sandbox.control().request("POST", &format!("{path}:enable"), &json!({})).unwrap();
    let told = sandbox.control().request("GET", &format!("{path}:access"), &Json::Null).unwrap();
    assert_eq!(told["payload"]["data"], "Y2FwdHVyZWQgYmVmb3Jl");
}

async fn aws(sandbox: &Sandbox, region: &str) -> Aws {
    let credentials = StaticCredentials { access_key: "111111111111".into(), secret_key: "x".to_owned().into() };
    let (endpoint, credentials) = (Some(sandbox.endpoint()), Some(credentials));
    Aws::connect(AwsSettings { endpoint, credentials, ..AwsSettings::region(region) }).await.unwrap()
}

/// Across kinds: what goes from AWS to Google and back is what it was.
#[tokio::test(flavor = "multi_thread")]
async fn across_aws_to_google_and_back_everything_is_what_it_was() {
    let amazon = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let google = sandbox().await;
    let (before, after) = (aws(&amazon, "eu-central-1").await, aws(&amazon, "eu-west-1").await);
    let between = connect(&google, "gcp:between-project").await;
    let control = amazon.control();
    let put = |name: &str, value: &str| control.put("111111111111", "eu-central-1", name, value).unwrap();
    put("orrange-p2p/database/production", "{\"user\": \"a\", \"n\": 1.50}");
    put("orrange-p2p/database/production", "second");
    put("orrange-p2p/database/production", "third");
    put("with_underscore.and.points", "ü🔑");
    let bytes = SecretValue::bytes(b"text that is binary".to_vec());
    let id = "00000001-0000-4000-8000-000000000000";
    let create = Step::Create {
        name: "binary/Key=1".into(),
        version: Some(id.into()),
        description: Some("Größe".into()),
        kms_key: None,
        tags: vec![
            lifeboat::model::Tag { key: "Team".into(), value: "A b".into() },
            lifeboat::model::Tag { key: "tier".into(), value: "1".into() },
        ],
        secret_type: None,
        settings: BTreeMap::new(),
    };
    before.apply(&create, None, Some(&bytes)).await.unwrap();
    let there = restore_all(&before, &between, &Options::default()).await;
    let names: BTreeSet<&str> = there.iter().map(|it| it.name.as_str()).collect();
    let expected = ["binary_2FKey_3D1", "orrange-p2p_2Fdatabase_2Fproduction", "with_5Funderscore_2Eand_2Epoints"];
    assert_eq!(names, expected.into());
    assert!(there.iter().all(|it| it.lost.is_empty()), "nothing is lost");
    let middle = seen(&between, "orrange-p2p_2Fdatabase_2Fproduction").await;
    assert_eq!(middle["versions"][2]["labels"], json!(["AWSCURRENT"]), "{middle}");
    assert_eq!(middle["versions"][2]["current"], true);
    let back = restore_all(&between, &after, &Options::default()).await;
    assert!(back.iter().all(|it| it.lost.is_empty()), "nothing is lost on the way back");
    for name in ["orrange-p2p/database/production", "with_underscore.and.points", "binary/Key=1"] {
        assert_eq!(seen(&after, name).await, seen(&before, name).await, "{name}");
    }
}

/// Across kinds: from Google to AWS and back. What AWS cannot say is named, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn across_google_to_aws_and_back_numbers_states_and_metadata_come_back() {
    let google = sandbox().await;
    let amazon = Sandbox::start(SandboxOptions::default()).await.unwrap();
    script("gcp_seed.py", vec![google.endpoint(), "projects/source-project".into()]).await;
    let source = connect(&google, "gcp:source-project").await;
    let between = aws(&amazon, "eu-central-1").await;
    let target = connect(&google, "gcp:target-project").await;
    for name in ["app", "binary", "labelled"] {
        let kept = keep(&source, name).await;
        let there = restore(&kept, &source, &between, &Options::default()).await;
        let policy = there.lost.iter().any(|lost| lost.what == "policy");
        assert_eq!(policy, kept.record.secret.facets.policy.is_some(), "{:?}", there.lost);
        let kept = keep(&between, &there.name).await;
        restore(&kept, &between, &target, &Options::default()).await;
        let (mut before, mut after) = (seen(&source, name).await, seen(&target, name).await);
        for side in [&mut before, &mut after] {
            side["policy"] = Json::Null;
        }
        if let Some(settings) = before["settings"].as_object_mut() {
            settings.retain(|name, _| name != "topics" && name != "expire_time");
        }
        if before["settings"] == json!({}) {
            before["settings"] = Json::Null;
        }
        assert_eq!(after, before, "{name}");
    }
}

/// Across kinds: from a Vault to Google and back.
#[cfg(feature = "vault")]
#[tokio::test(flavor = "multi_thread")]
async fn across_vault_to_google_and_back_everything_is_what_it_was() {
    use lifeboat::emulator::{VaultSandbox, VaultSandboxOptions};
    let vault = VaultSandbox::start(VaultSandboxOptions::default()).await.unwrap();
    let google = sandbox().await;
    let control = vault.control();
    let post = |path: &str, body: Json| control.request("POST", path, &body).unwrap();
    post("sys/mounts/copy", json!({ "type": "kv", "options": { "version": "2" } }));
    for number in 1..=4 {
        post("secret/data/app/db", json!({ "data": { "v": number, "text": "ü" } }));
    }
    post(
        "secret/metadata/app/db",
        json!({ "custom_metadata": { "Owner": "team é", "tier": "gold" }, "max_versions": 9 }),
    );
    post("secret/destroy/app/db", json!({ "versions": [1] }));
    let (source, target) = (vault_at(&vault, "secret").await, vault_at(&vault, "copy").await);
    let between = connect(&google, "gcp:between-project").await;
    let there = restore_all(&source, &between, &Options::default()).await;
    assert_eq!(there[0].name, "app_2Fdb");
    assert!(there[0].lost.is_empty(), "{:?}", there[0].lost);
    let back = restore_all(&between, &target, &Options::default()).await;
    assert!(back[0].lost.is_empty() && back[0].name == "app/db", "{:?}", back[0].lost);
    let (before, after) = (seen(&source, "app/db").await, seen(&target, "app/db").await);
    assert_eq!(after["tags"], before["tags"]);
    assert_eq!(after["settings"], before["settings"]);
    for (after, before) in after["versions"].as_array().unwrap().iter().zip(before["versions"].as_array().unwrap()) {
        let text = |side: &Json| {
            let hex = side["value"][1].as_str().unwrap_or_default().to_owned();
            let bytes: Vec<u8> =
                (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect();
            serde_json::from_slice::<Json>(&bytes).unwrap_or_default()
        };
        assert_eq!((&after["id"], &after["state"], text(after)), (&before["id"], &before["state"], text(before)));
    }
}

#[cfg(feature = "vault")]
async fn vault_at(vault: &lifeboat::emulator::VaultSandbox, mount: &str) -> lifeboat::provider::vault::Vault {
    let folder = tempfile::tempdir().unwrap();
    let control = vault.control();
    let post = |path: &str, body: Json| drop(control.request("POST", path, &body));
    post("sys/auth/approle", json!({ "type": "approle" }));
    let all = "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"list\", \"delete\"] }";
    post("sys/policies/acl/all", json!({ "policy": all }));
    post("auth/approle/role/all", json!({ "token_policies": "all" }));
    let role = control.request("GET", "auth/approle/role/all/role-id", &Json::Null).unwrap();
    let secret = control.request("POST", "auth/approle/role/all/secret-id", &json!({})).unwrap();
    let file = folder.path().join("secret-id");
    std::fs::write(&file, secret["data"]["secret_id"].as_str().unwrap()).unwrap();
    let role = role["data"]["role_id"].as_str().unwrap();
    let address =
        format!("vault:{}/{mount}?auth=approle&role_id={role}&secret_id_file={}", vault.endpoint(), file.display());
    lifeboat::provider::vault::Vault::connect(&address.parse().unwrap(), None).await.unwrap()
}
