//! One suite for every kind of provider: what holds of a source, of a target and of its rules, run on the provider in memory, the
//! embedded sandbox and its Vault, moto, OpenBao with its storage in memory and in raft, a folder, and a toy. Adding a provider
//! means passing it (docs/adding-a-provider.md).

use std::{collections::BTreeSet, sync::Arc};

use futures::TryStreamExt as _;
use lifeboat::{
    emulator::{Sandbox, SandboxOptions},
    model::{
        Desired, Digest, Existing, Maps, Moved, Options, Place, Planned, Record, SecretValue, State, Step, Tag,
        ValueKind, ValueState, Version, VersionFacets,
    },
    provider::{
        Context, ErrorKind, Fetched, FetchedValue, Goal, Listed, Relation, Rules, Source, Target,
        aws::{Aws, AwsSettings, StaticCredentials},
        codec,
        memory::Memory,
        rules,
    },
};

use crate::{
    servers::Moto,
    toy::{self, Shelf, ShelfRules},
};

/// A provider under test: what writes, what reads, and what it calls values.
struct Kind {
    target: Arc<dyn Target>,
    source: Arc<dyn Source>,
    rules: &'static dyn Rules,
    place: Place,
    /// The version id of a number, a name and a value.
    id: fn(usize, &str, &SecretValue) -> String,
    /// A text as a value of the kind.
    value: fn(&str) -> SecretValue,
    /// The labels of the current version and of the one before it, where the kind has labels.
    labels: [&'static [&'static str]; 2],
    /// Whether a secret keeps older versions. Where it does not, a version id stands for its bytes, and an incarnation needs
    /// none.
    has_history: bool,
    /// Whether a secret can have tags.
    has_tags: bool,
}

fn number(number: usize, _: &str, _: &SecretValue) -> String {
    number.to_string()
}

fn text(value: &str) -> SecretValue {
    SecretValue::text(value.into())
}

impl Kind {
    async fn new(both: impl Source + Target + Clone + 'static) -> Self {
        let place = Source::place(&both).await.unwrap();
        let rules = rules(&place.provider).expect("its rules are registered");
        Self::with(Arc::new(both.clone()), Arc::new(both), rules, place)
    }

    /// A kind that numbers its versions and has fields; others change what is different with them.
    fn with(target: Arc<dyn Target>, source: Arc<dyn Source>, rules: &'static dyn Rules, place: Place) -> Self {
        let value = |value: &str| SecretValue::fields(format!("{{\"v\":\"{value}\"}}"));
        let kind = Self {
            target,
            source,
            rules,
            place,
            id: number,
            value,
            labels: [&[]; 2],
            has_history: true,
            has_tags: true,
        };
        match (kind.place.provider.as_str(), kind.rules.has_text()) {
            ("aws", _) => kind.into_aws(),
            ("azure", _) => Self { value: text, ..kind },
            (_, true) => kind,
            (_, false) => Self { value: |value| SecretValue::bytes(value.as_bytes().to_vec()), ..kind },
        }
    }

    fn into_aws(self) -> Self {
        let id = |number: usize, _: &str, _: &SecretValue| format!("{number:08}-0000-4000-8000-000000000000");
        Self { id, value: text, labels: [&["AWSCURRENT"], &["AWSPREVIOUS"]], ..self }
    }
}

/// Of the characters that every kind takes.
const NAMES: [&str; 2] = ["conformance-one", "conformance-two"];

/// A record of another place of the same kind, with the values that its kind has. Its versions are numbered from `first`.
fn record(kind: &Kind, name: &str, first: usize, values: &[&str]) -> (Record, Vec<SecretValue>) {
    let mut values: Vec<SecretValue> = values.iter().map(|value| (kind.value)(value)).collect();
    if !kind.has_history {
        values = values.split_off(values.len() - 1);
    }
    let newest = first + values.len() - 1;
    let version = |(number, value): (usize, &SecretValue)| Version {
        id: (kind.id)(number, name, value),
        current: number == newest,
        labels: kind.labels.get(newest - number).copied().unwrap_or_default().iter().map(ToString::to_string).collect(),
        created: Some(format!("2026-01-01T00:00:{number:02}Z").parse().unwrap()),
        facets: VersionFacets::default(),
        value: ValueState::Stored {
            pack: Digest::of(name.as_bytes()),
            line: u32::try_from(number).unwrap(),
            kind: value.kind(),
            size: value.size(),
        },
    };
    let mut secret = lifeboat::model::Secret { name: name.into(), id: format!("{name}@before"), ..Default::default() };
    if kind.has_tags {
        secret.facets.tags = vec![Tag { key: "team".into(), value: "a".into() }];
    }
    let versions = (first..).zip(&values).map(version).collect();
    (Record { secret, versions, read: "2026-01-02T00:00:00Z".parse().unwrap(), listing: None }, values)
}

/// What a plan says of a record, made by the rules alone.
fn plan(kind: &Kind, record: &Record, state: &State, goal: Goal) -> (Desired, Vec<Planned>) {
    let source = Place { account: "elsewhere".into(), ..kind.place.clone() };
    let (presence, policies, moved) = Default::default();
    let moved: Moved = moved;
    let options = Options { maps: Maps::default(), ..Options::default() };
    let time = "2026-01-02T00:00:00Z".parse().unwrap();
    let context = Context {
        source: &source,
        target: &kind.place,
        options: &options,
        time,
        presence: &presence,
        policies: &policies,
        moved: &moved,
    };
    assert_eq!(kind.rules.refusal(record, &context), None);
    let wish = kind.rules.wish(record, &context, false);
    assert!(wish.lost.is_empty() && wish.refusal.is_none(), "a record of the kind itself is carried whole");
    let mut desired = wish.desired;
    kind.rules.settle(&mut desired, state, goal);
    let writes = kind.rules.writes(&desired, state, goal);
    (desired, writes.first.into_iter().chain(writes.then).chain(writes.last).collect())
}

async fn look(kind: &Kind, name: &str) -> Option<Existing> {
    kind.target.look_up(name).await.unwrap()
}

async fn state(kind: &Kind, name: &str) -> State {
    look(kind, name).await.map_or_else(State::default, |existing| kind.rules.state(&existing, &kind.place))
}

async fn read(kind: &Kind, name: &str) -> Fetched {
    kind.source.fetch(&Listed::named(name), &|_, _| false).await.unwrap()
}

async fn apply(kind: &Kind, planned: &Planned, record: &Record, values: &[SecretValue]) -> Option<String> {
    let at = |id: &String| record.versions.iter().position(|version| version.id == *id).unwrap();
    let value = planned.source.as_ref().map(|id| &values[at(id)]);
    let encoded = value.map(|value| codec::encode(&planned.codec, value).unwrap());
    let value = encoded.as_ref().and_then(Option::as_ref).or(value);
    kind.target.apply(&planned.write, None, value).await.unwrap().created
}

/// Everything that must hold, on an empty place.
async fn conforms(kind: &Kind) {
    nothing_is_an_answer(kind).await;
    what_is_planned_is_made_and_each_step_may_be_sent_twice(kind).await;
    another_secret_is_not_taken_for_the_same(kind).await;
    known_values_are_not_read_and_a_new_incarnation_is(kind).await;
    destruction_is_by_identity(kind).await;
}

async fn nothing_is_an_answer(kind: &Kind) {
    assert_eq!(Target::place(&*kind.target).await.unwrap(), kind.place, "both say where they are");
    let listed: Vec<Listed> = kind.source.list().try_collect().await.unwrap();
    let names: Vec<String> = kind.target.names().try_collect().await.unwrap();
    assert!(listed.is_empty() && names.is_empty());
    assert!(look(kind, NAMES[0]).await.is_none());
    assert!(kind.target.describe(NAMES[0]).await.unwrap().is_none());
    let error = kind.source.fetch(&Listed::named(NAMES[0]), &|_, _| false).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::NotFound);
}

async fn what_is_planned_is_made_and_each_step_may_be_sent_twice(kind: &Kind) {
    for name in NAMES {
        let (record, values) = record(kind, name, 1, &["one", "two", "three"]);
        let mut imagined = State::default();
        let (desired, writes) = plan(kind, &record, &imagined, Goal::Make);
        let mut created = None;
        for (number, planned) in writes.iter().enumerate() {
            let id = apply(kind, planned, &record, &values).await;
            created = created.or(id);
            kind.rules.after(&mut imagined, &planned.write);
            let is = state(kind, name).await;
            assert!(
                imagined.is_like(&is),
                "after {:?} the rules imagine {imagined:?}, and it is {is:?}",
                planned.write
            );
            apply(kind, planned, &record, &values).await;
            assert!(imagined.is_like(&state(kind, name).await), "sent twice it is the same: {:?}", planned.write);
            if number + 1 < writes.len() {
                let relation = kind.rules.relate(&desired, &is);
                assert_eq!(relation, Relation::Begun, "after write {number} of {}", writes.len());
            }
        }
        let existing = look(kind, name).await.unwrap();
        let (id, is) = (existing.secret.id.clone(), kind.rules.state(&existing, &kind.place));
        assert_eq!(created.as_deref(), Some(id.as_str()), "a creation answers whom it created");
        assert!(
            kind.rules.is_identifier(&id, name, &kind.place) && !kind.rules.is_identifier(&id, "other", &kind.place)
        );
        assert_eq!(kind.rules.relate(&desired, &is), Relation::Same);
        assert!(is.versions.iter().all(|version| kind.rules.may_become(&record, version)));
        assert_eq!(kind.target.describe(&id).await.unwrap().unwrap().name, name);
        let fetched = read(kind, name).await;
        let ids: BTreeSet<&String> = fetched.versions.iter().map(|version| &version.id).collect();
        assert_eq!(ids, desired.versions.iter().map(|version| &version.id).collect());
        assert_eq!(fetched.versions.iter().filter(|version| version.current).count(), 1);
        for (wanted, value) in desired.versions.iter().zip(&values) {
            let found = fetched.versions.iter().find(|version| version.id == wanted.id).unwrap();
            assert_eq!(found.current, wanted.current);
            assert!(matches!(&found.value, FetchedValue::Value(found) if codec::is_same(value, found)));
        }
        assert_eq!(fetched.secret.facets.tags, record.secret.facets.tags, "and no mark of ours");
    }
    let listed: Vec<Listed> = kind.source.list().try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<BTreeSet<_>>(), NAMES.into());
    let mut names: Vec<String> = kind.target.names().try_collect().await.unwrap();
    names.sort();
    names.dedup();
    assert_eq!(names, NAMES);
}

async fn another_secret_is_not_taken_for_the_same(kind: &Kind) {
    let name = NAMES[0];
    let (other, _) = record(kind, name, 1, &["one", "two"]);
    let is = state(kind, name).await;
    let (desired, _) = plan(kind, &other, &State::default(), Goal::Make);
    assert!(matches!(kind.rules.relate(&desired, &is), Relation::Other(_)));
    // Its current value alone is added, and the rest stays.
    let (other, values) = record(kind, name, 9, &["four"]);
    let (desired, writes) = plan(kind, &other, &is, Goal::AddCurrent);
    for planned in &writes {
        apply(kind, planned, &other, &values).await;
    }
    let fetched = read(kind, name).await;
    let current = fetched.versions.iter().find(|version| version.current).unwrap();
    assert_eq!(current.id, desired.versions[0].id);
    assert!(matches!(&current.value, FetchedValue::Value(found) if codec::is_same(&values[0], found)));
    assert_eq!(fetched.versions.len(), if kind.has_history { is.versions.len() + 1 } else { 1 });
}

async fn known_values_are_not_read_and_a_new_incarnation_is(kind: &Kind) {
    let name = NAMES[1];
    let before = read(kind, name).await;
    let id = before.secret.id.clone();
    let versions: BTreeSet<String> = before.versions.iter().map(|version| version.id.clone()).collect();
    let known = |incarnation: &str, version: &str| incarnation == id && versions.contains(version);
    let again = kind.source.fetch(&Listed::named(name), &known).await.unwrap();
    assert!(again.versions.iter().all(|version| matches!(version.value, FetchedValue::Known)));
    kind.target.apply(&Step::Destroy { name: name.into() }, Some(&id), None).await.unwrap();
    let (record, values) = record(kind, name, 1, &["anew"]);
    let (_, writes) = plan(kind, &record, &State::default(), Goal::Make);
    for planned in &writes {
        apply(kind, planned, &record, &values).await;
    }
    let anew = kind.source.fetch(&Listed::named(name), &known).await.unwrap();
    assert!(anew.secret.id != id || !kind.has_history, "it is another incarnation");
    assert!(anew.versions.iter().all(|version| matches!(version.value, FetchedValue::Value(_))), "so it is read");
}

async fn destruction_is_by_identity(kind: &Kind) {
    let name = NAMES[1];
    let step = Step::Destroy { name: name.into() };
    let there = read(kind, name).await.secret.id;
    assert!(kind.target.apply(&step, None, None).await.is_err(), "never by name");
    let other = format!("{there}x");
    drop(kind.target.apply(&step, Some(&other), None).await);
    assert!(look(kind, name).await.is_some(), "another identifier destroys nothing");
    kind.target.apply(&step, Some(&there), None).await.unwrap();
    assert!(look(kind, name).await.is_none());
}

async fn aws(endpoint: String) -> Aws {
    let credentials = StaticCredentials { access_key: "111111111111".into(), secret_key: "x".to_owned().into() };
    let credentials = Some(credentials);
    let settings = AwsSettings { endpoint: Some(endpoint), credentials, ..AwsSettings::region("eu-west-1") };
    Aws::connect(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_sandbox_conforms() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    conforms(&Kind::new(aws(sandbox.endpoint()).await).await).await;
}

#[cfg(feature = "gcp")]
#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_of_google_conforms() {
    let sandbox = crate::gcp_face::sandbox().await;
    conforms(&Kind::new(crate::gcp::connect(&sandbox, "gcp:conformance-test").await).await).await;
    conforms(&Kind::new(crate::gcp::connect(&sandbox, "gcp:conformance-test/us-east1").await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_conforms() {
    let moto = Moto::start();
    conforms(&Kind::new(aws(moto.endpoint.clone()).await).await).await;
}

#[tokio::test]
async fn the_provider_in_memory_conforms() {
    let memory = Arc::new(Memory::new("111111111111", "eu-west-1"));
    let (target, source): (Arc<dyn Target>, Arc<dyn Source>) = (memory.clone(), memory.clone());
    let place = Source::place(&*memory).await.unwrap();
    conforms(&Kind::with(target, source, rules("aws").unwrap(), place).into_aws()).await;
}

/// What docs/adding-a-provider.md walks through.
#[tokio::test]
async fn a_toy_conforms() {
    let shelf = Shelf::default();
    let place = Source::place(&shelf).await.unwrap();
    assert_eq!(place.provider, toy::SCHEME);
    let (target, source): (Arc<dyn Target>, Arc<dyn Source>) = (Arc::new(shelf.clone()), Arc::new(shelf));
    conforms(&Kind { value: text, ..Kind::with(target, source, &ShelfRules, place) }).await;
}

#[cfg(all(unix, feature = "dotenv"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms() {
    use lifeboat::provider::dotenv::Dotenv;
    fn id_of(name: &str, bytes: &[u8]) -> String {
        Digest::of(&[name.as_bytes(), b"\0", bytes].concat()).to_string()[..32].to_owned()
    }
    let folder = tempfile::tempdir().unwrap();
    let address = format!("env:{}?include=*&host=web-1", folder.path().display()).parse().unwrap();
    let files = Dotenv::connect_target(&address, Arc::new(id_of)).unwrap();
    let kind = Kind::new(files).await;
    let id = |_: usize, name: &str, value: &SecretValue| id_of(name, value.expose());
    let value = |value: &str| SecretValue::bytes(value.as_bytes().to_vec());
    conforms(&Kind { id, value, has_history: false, has_tags: false, ..kind }).await;
}

/// Signs in to a server with the rights that docs/vault.md names, and no other.
#[cfg(feature = "vault")]
async fn openbao(bao: &crate::servers::Bao) -> Kind {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret-id");
    bao.run(&["auth", "enable", "approle"]);
    let policy = folder.path().join("all.hcl");
    std::fs::write(&policy, RESTORE).unwrap();
    bao.run(&["policy", "write", "restore", policy.to_str().unwrap()]);
    bao.run(&["write", "auth/approle/role/restore", "token_policies=restore"]);
    let role = bao.run(&["read", "-field=role_id", "auth/approle/role/restore/role-id"]);
    std::fs::write(&file, bao.run(&["write", "-f", "-field=secret_id", "auth/approle/role/restore/secret-id"]))
        .unwrap();
    let address = format!(
        "vault:{}/secret?auth=approle&role_id={}&secret_id_file={}",
        bao.endpoint,
        role.trim(),
        file.to_str().unwrap()
    );
    Kind::new(lifeboat::provider::vault::Vault::connect(&address.parse().unwrap(), None).await.unwrap()).await
}

#[cfg(feature = "vault")]
#[tokio::test(flavor = "multi_thread")]
async fn a_real_openbao_server_conforms() {
    let bao = crate::servers::Bao::start();
    conforms(&openbao(&bao).await).await;
}

#[cfg(feature = "vault")]
#[tokio::test(flavor = "multi_thread")]
async fn openbao_with_raft_storage_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let bao = crate::servers::Bao::start_raft(folder.path());
    conforms(&openbao(&bao).await).await;
}

#[cfg(feature = "vault")]
#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_of_a_vault_conforms() {
    use lifeboat::emulator::{VaultSandbox, VaultSandboxOptions};
    let sandbox = VaultSandbox::start(VaultSandboxOptions::default()).await.unwrap();
    let (role, file) = crate::across_pipeline::sign_in(&sandbox.control());
    let address =
        format!("{}?auth=approle&role_id={role}&secret_id_file={}", sandbox.source("secret"), file.path().display());
    conforms(
        &Kind::new(lifeboat::provider::vault::Vault::connect(&address.parse().unwrap(), None).await.unwrap()).await,
    )
    .await;
}

#[cfg(feature = "azure")]
#[tokio::test(flavor = "multi_thread")]
async fn the_sandboxs_key_vault_conforms() {
    let world = crate::azure_face::World::start().await;
    let kind = Kind::new(world.connect("conformance").await).await;
    conforms(&kind).await;
}

/// The rights that docs/vault.md names, and no other.
#[cfg(feature = "vault")]
const RESTORE: &str = r#"
path "secret/data/*" { capabilities = ["create", "read", "update"] }
path "secret/metadata/*" { capabilities = ["create", "read", "update", "list", "delete"] }
path "secret/delete/*" { capabilities = ["update"] }
path "secret/destroy/*" { capabilities = ["update"] }
"#;

#[test]
fn every_kind_that_can_be_named_has_rules() {
    assert!(rules("aws").is_ok() && rules("nowhere").is_err());
    #[cfg(feature = "vault")]
    assert!(rules("vault").is_ok());
    assert_eq!(ValueKind::Text, SecretValue::text(String::new()).kind());
}
