//! From one kind into another and back by the whole pipeline: snapshot, plan, restore, verification, on the sandbox of AWS and on
//! its Vault. What the second snapshot gives back equal plus what the two plans named is everything that was there.
#![cfg(feature = "vault")]

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::TryStreamExt as _;
use lifeboat::{
    clock::SystemClock,
    crypto::Opener,
    emulator::{Sandbox, SandboxOptions, VaultControl, VaultSandbox, VaultSandboxOptions},
    model::Withheld,
    progress::Silent,
    provider::{
        Listed, Source, Target,
        aws::{Aws, AwsSettings, StaticCredentials},
        vault::{Vault, VaultAddress, VaultServer},
    },
    restore::{self, Options, Outcome, Values},
    snapshot::Rules,
};
use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value as Json, json};

use crate::{
    across_estates::{One, Plain, Told, aws, unaccounted, vault},
    repo_sample::chosen,
    round_trip::World,
};

const ACCOUNT: &str = "111111111111";
/// Estates in each direction, and secrets in each at most.
const ESTATES: usize = 12;
const SECRETS: usize = 8;

/// The sandbox of both kinds.
pub struct Both {
    pub aws: Sandbox,
    pub vault: VaultSandbox,
    secret_id: tempfile::NamedTempFile,
    role_id: String,
}

impl Both {
    pub async fn start() -> Self {
        let aws = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let vault = VaultSandbox::start(VaultSandboxOptions::default()).await.unwrap();
        let (role_id, secret_id) = sign_in(&vault.control());
        Self { aws, vault, secret_id, role_id }
    }

    async fn region(&self, region: &str) -> Aws {
        let credentials = StaticCredentials { access_key: ACCOUNT.into(), secret_key: "x".to_owned().into() };
        let settings = AwsSettings {
            endpoint: Some(self.aws.endpoint()),
            credentials: Some(credentials),
            ..AwsSettings::region(region)
        };
        Aws::connect(settings).await.unwrap()
    }

    /// A new engine.
    pub async fn engine(&self, path: &str) -> Vault {
        let kv = json!({ "type": "kv", "options": { "version": "2" } });
        self.vault.control().request("POST", &format!("sys/mounts/{path}"), &kv).unwrap();
        self.server().await.engine(path).await.unwrap()
    }

    /// The server, signed in.
    pub async fn server(&self) -> VaultServer {
        VaultServer::connect(&self.address("secret"), None).await.unwrap()
    }

    /// The address of an engine.
    pub fn address(&self, mount: &str) -> VaultAddress {
        let (role, file) = (&self.role_id, self.secret_id.path().display());
        let address = format!("{}?auth=approle&role_id={role}&secret_id_file={file}", self.vault.source(mount));
        address.parse().unwrap()
    }
}

/// A role that may do everything: its id, and the file of its secret id.
pub fn sign_in(control: &VaultControl) -> (String, tempfile::NamedTempFile) {
    let ask = |method: &str, path: &str, body: &Json| control.request(method, path, body).unwrap();
    let policy =
        json!({ "policy": "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] }" });
    ask("POST", "sys/policies/acl/all", &policy);
    ask("POST", "sys/auth/approle", &json!({ "type": "approle" }));
    ask("POST", "auth/approle/role/all", &json!({ "token_policies": ["all"] }));
    let role = ask("GET", "auth/approle/role/all/role-id", &Json::Null)["data"]["role_id"].as_str().unwrap().to_owned();
    let secret = ask("POST", "auth/approle/role/all/secret-id", &json!({}));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret["data"]["secret_id"].as_str().unwrap()).unwrap();
    (role, file)
}

/// Everything that is there, by name.
async fn read(source: &dyn Source) -> BTreeMap<String, One> {
    let listed: Vec<Listed> = source.list().try_collect().await.unwrap();
    let mut all = BTreeMap::new();
    for listed in listed {
        let fetched = source.fetch(&listed, &|_, _| false).await.unwrap();
        all.insert(listed.name, One::of(&fetched));
    }
    all
}

/// A snapshot of `source` restored into `target`; what the plan says of each secret goes into `told`.
async fn carry(
    source: impl Source + 'static,
    target: impl Source + Target + Clone + 'static,
    told: &mut BTreeMap<String, Told>,
) {
    let world = World::new().await;
    let report = world.capture(Arc::new(source), (None, None), Rules::default(), &SystemClock).await.unwrap();
    let chosen = chosen(&world.repository, &world.trust, &report.manifest).await;
    let records = world.repository.record_stream(&chosen, Opener::Recovery(&world.key));
    let found = restore::look(&target, &chosen, records, &Options::default(), None).await.unwrap();
    let plan = restore::make(&chosen, &found, &Options::default()).unwrap();
    let values = Values::new(&world.repository, &chosen, &world.key);
    let (writer, readback): (Arc<dyn Target>, Arc<dyn Source>) = (Arc::new(target.clone()), Arc::new(target));
    let execution = restore::execute(&plan, &values, &writer, &Silent).await.unwrap();
    assert_eq!(execution.failed, [], "what the rules plan the server takes");
    let verification = restore::verify(&plan, &values, &readback, &Silent).await.unwrap();
    assert!(verification.passed(), "{:?}", verification.differences);
    for secret in plan.secrets.to_vec().unwrap() {
        let known = told.entry(secret.desired.source_name.clone()).or_default();
        let mut lost = secret.lost;
        for lost in &mut lost {
            // On the way back the versions of the stay are named.
            if let Some(version) = known.stay.get(&lost.what) {
                lost.what.clone_from(version);
            }
        }
        known.lost.extend(lost);
        known.notes.extend(secret.notes);
        match secret.outcome {
            Outcome::Create => {}
            Outcome::Impossible(why) | Outcome::LeftOut(why) | Outcome::Conflict(why) => known.refused = Some(why),
            other => panic!("nothing was there: {other:?}"),
        }
        let versions = secret.desired.versions.into_iter();
        known.stay = versions.map(|version| (version.id, version.source)).collect();
    }
}

fn judge(before: &BTreeMap<String, One>, after: &BTreeMap<String, One>, told: &BTreeMap<String, Told>) {
    for (name, one) in before {
        let told = told.get(name).unwrap_or_else(|| panic!("no plan speaks of {name}"));
        let missing = unaccounted(one, after.get(name), told);
        assert!(
            missing.is_empty(),
            "{name}: {missing:?}\nbefore: {one:?}\nback: {:?}\ntold: {told:?}",
            after.get(name)
        );
    }
    let made_up: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(made_up.is_empty(), "{made_up:?}");
}

/// One estate after the other, by the names of its secrets.
fn estates(one: impl proptest::strategy::Strategy<Value = One>) -> Vec<Vec<One>> {
    let mut runner = TestRunner::deterministic();
    let mut estate = || {
        let secrets: BTreeMap<String, One> = (0..SECRETS)
            .map(|_| one.new_tree(&mut runner).unwrap().current())
            .map(|one| (one.name.clone(), one))
            .collect();
        secrets.into_values().collect()
    };
    (0..ESTATES).map(|_| estate()).collect()
}

/// As the sandbox of AWS takes it, past the rules of its calls.
fn seed(one: &One) -> Json {
    let version = |item: &crate::across_estates::Item| {
        let mut version = json!({ "VersionId": item.id, "VersionStages": item.labels });
        version["CreatedDate"] = json!(item.created.unwrap_or(1_700_000_000));
        match &item.value {
            Plain::Text(text) => version["SecretString"] = json!(text),
            Plain::Bytes(bytes) => version["SecretBinary"] = json!(STANDARD.encode(bytes)),
            _ => {}
        }
        version
    };
    let facets = &one.facets;
    let tags = facets.tags.iter().map(|tag| json!({ "Key": tag.key, "Value": tag.value }));
    let mut seed = json!({
        "Name": one.name,
        "Description": facets.description,
        "KmsKeyId": facets.key,
        "Type": facets.r#type,
        "ResourcePolicy": facets.policy,
        "Tags": tags.collect::<Vec<_>>(),
        "Versions": one.versions.iter().map(version).collect::<Vec<_>>(),
    });
    if let Some(rotation) = &facets.rotation {
        seed["RotationEnabled"] = json!(rotation.enabled);
        seed["RotationLambdaARN"] = json!(rotation.lambda);
        seed["RotationRules"] = json!({ "ScheduleExpression": rotation.schedule });
    }
    seed
}

/// Written as any client would write it.
fn put(control: &VaultControl, mount: &str, one: &One) {
    let escaped: Vec<String> = one
        .name
        .split('/')
        .map(|segment| {
            segment.bytes().fold(String::new(), |mut text, byte| {
                write!(text, "%{byte:02X}").unwrap();
                text
            })
        })
        .collect();
    let ask = |what: &str, body: &Json| {
        let path = format!("{mount}/{what}/{}", escaped.join("/"));
        control.request("POST", &path, body).unwrap_or_else(|error| panic!("{error}: {body}"));
    };
    let tags: serde_json::Map<String, Json> =
        one.facets.tags.iter().map(|tag| (tag.key.clone(), json!(tag.value))).collect();
    let keep = one.facets.other.get("keep");
    let after = keep.map_or("0s", |keep| keep["delete_after"].as_str().unwrap());
    let most = keep.map_or(0, |keep| keep["most_versions"].as_u64().unwrap());
    let mut metadata = json!({ "custom_metadata": tags, "max_versions": most, "delete_version_after": after });
    ask("metadata", &metadata);
    let number = |item: &crate::across_estates::Item| item.id.parse::<u64>().unwrap();
    let oldest = one.versions.first().map_or(1, number);
    for _ in 1..oldest {
        ask("data", &json!({ "data": {} }));
    }
    for item in &one.versions {
        let Plain::Fields(text) = &item.value else {
            ask("data", &json!({ "data": { "gone": true } }));
            continue;
        };
        ask("data", &json!({ "data": serde_json::from_str::<Json>(text).unwrap() }));
    }
    for item in &one.versions {
        match &item.value {
            Plain::Withheld(Withheld::Deleted) => ask("delete", &json!({ "versions": [number(item)] })),
            Plain::Withheld(_) => ask("destroy", &json!({ "versions": [number(item)] })),
            _ => {}
        }
    }
    metadata["cas_required"] = json!(one.facets.other.contains_key("check_and_set"));
    ask("metadata", &metadata);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_estate_of_aws_comes_back_from_a_vault_or_is_named() {
    let (mut secrets, mut came_back) = (0, 0);
    for (number, estate) in estates(aws(true)).into_iter().enumerate() {
        let both = Both::start().await;
        let control = both.aws.control();
        for one in &estate {
            control.seed_raw(ACCOUNT, "eu-central-1", &seed(one)).unwrap();
        }
        let mut told = BTreeMap::new();
        let engine = both.engine(&format!("kv-{number}")).await;
        let before = read(&both.region("eu-central-1").await).await;
        assert_eq!(before.len(), estate.len());
        carry(both.region("eu-central-1").await, engine.clone(), &mut told).await;
        carry(engine, both.region("us-west-2").await, &mut told).await;
        let after = read(&both.region("us-west-2").await).await;
        judge(&before, &after, &told);
        secrets += before.len();
        came_back += after.len();
    }
    // The strategies must not be so odd that hardly anything is carried at all.
    assert!(secrets > ESTATES * SECRETS / 2 && came_back * 10 > secrets * 7, "{came_back} of {secrets}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_estate_of_a_vault_comes_back_from_aws_or_is_named() {
    let (mut secrets, mut came_back) = (0, 0);
    for estate in estates(vault(true)) {
        let both = Both::start().await;
        let (from, back) = (both.engine("from").await, both.engine("back").await);
        for one in &estate {
            put(&both.vault.control(), "from", one);
        }
        let mut told = BTreeMap::new();
        let before = read(&from).await;
        assert_eq!(before.len(), estate.len());
        carry(from, both.region("eu-west-1").await, &mut told).await;
        carry(both.region("eu-west-1").await, back.clone(), &mut told).await;
        let after = read(&back).await;
        judge(&before, &after, &told);
        secrets += before.len();
        came_back += after.len();
    }
    assert!(secrets > ESTATES * SECRETS / 2 && came_back * 10 > secrets * 4, "{came_back} of {secrets}");
}
