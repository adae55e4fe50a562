//! The nasty cases of a KV engine, one by one: what comes back of each, and which test shows it. Read: as a source; back: after a
//! restore. Another client (hvac, `bao`) or the sandbox's own state is what is compared with.
//!
//! | case | what happens | shown by |
//! |---|---|---|
//! | a key and a folder of one name | both | `vault_restore::numbers_states_settings_and_values_come_back…` (seed `both`) |
//! | a key without versions, with metadata | the same | there (`only-metadata`) |
//! | all versions destroyed; the current one deleted | the same states | `across_pipeline`, `vault_sources::every_state…`, `vault_restore` (`app/all-deleted`) |
//! | an old version deleted, another destroyed | the same states | `vault_restore` (`app/gone`, `secret/lowered`) |
//! | a deletion to come | read until then; named, not set again | `vault_sources::every_state…`, `vault_restore` (`leaves-later`) |
//! | rows pruned, `max_versions` lowered | the same numbers from the oldest on | `vault_restore` (`pruned`, `secret/lowered`) |
//! | numbers above 200 | numbered from 1, named; deleted ones named | here, `numbers_beyond…` |
//! | a version deleted since it was captured | deleted again in a Vault, not alive in another kind | `across::any_key_of_a_vault…` |
//! | a value that AWS cannot hold between two others | a destroyed version in its place on the way back | `across::any_key_of_a_vault…` |
//! | 1 MiB and more: raft refuses it | that key fails by name, the others come back | here, `what_the_storage_refuses…` |
//! | an object of more strings than a request may have | one field, and back | here, `an_object_of_many_fields…` |
//! | numbers beyond 2^53, `1.10`, `1e400` | a text of them stays a text | `codec`, `across::any_secret_of_aws…`, `vault_restore` (`numbers`) |
//! | `1.0` that is read back as `1` | the same number | `codec::fields_are_compared…`, `across_pipeline` |
//! | a key twice in an object | a text | `codec::any_other_text…`, `across` |
//! | other order of keys, `<` escaped | the same object | `codec::fields_are_compared…`, `vault_restore` (`app/db`) |
//! | `null` as data; an empty object | an empty object | `vault_lies::null_is_a_value…`, `across`, `vault_restore` (`empty`) |
//! | NUL in a text, text of any script | the same | `vault_restore` (`odd name/with % and ?#+;`), `across` |
//! | spaces, `%`, `?`, `#`, `+`, `;`, `*`, `\`, any script in a path | the same path | `vault_restore`, `across_pipeline` |
//! | `//`, `..`, a slash at an end | refused by name, the others come back | `across::any_secret_of_aws…` |
//! | a namespace two deep, a mount with a space | places of their own | `vault_sources::namespaces_two_deep…`; back: here, `a_mount_with_a_space…` |
//! | child namespaces | named as not searched | here, `child_namespaces…` |
//! | KV version 1 as a source, with `ttl` | values as they are | `vault_sources::kv_version_1…` |
//! | KV version 1 as a target | refused, with what to do | here, `a_mount_with_a_space…` |
//! | the engine deletes versions by itself | named in the plan | here, `an_engine_that_deletes…` |
//! | sealed in the middle of a run, of a restore | the run ends; the restore goes on | `vault_face` ; here, `a_restore_that_a_seal_ended…` |
//! | 429 with and without `Retry-After`, a block | waited for | `vault_lies::a_quota…`, `vault_sources::a_quota_with_a_block…` |
//! | a token that ends in the middle | the run ends by name | `vault_sources::a_token_that_ends…` |
//! | two writers during a restore | the other's value stays, the key fails by name | here, `somebody_else_who_writes…` |
//! | a custom metadata key of ours by somebody else | kept as theirs | `across` (`lifeboat.0`) |
//! | a lost answer to a write | not written twice | `conformance` |
//! | another DNS name of the source | still the source | `vault_restore::a_regional_outage_drill…` |
#![cfg(feature = "vault")]

use std::{collections::BTreeMap, sync::Arc};

use lifeboat::{
    clock::SystemClock,
    crypto::Opener,
    emulator::{FaultWhen, VaultFault, VaultFaultKind},
    progress::Silent,
    provider::{
        Listed, Source, Target,
        memory::{HeldVersion, Memory},
        vault::{Vault, VaultServer},
    },
    restore::{self, ExecuteError, Execution, Options, SecretPlan, Values},
    snapshot::{Report, Rules},
};
use serde_json::{Value as Json, json};

use crate::{
    across_estates::{One, Plain},
    across_pipeline::Both,
    repo_sample::chosen,
    round_trip::World,
};

/// A snapshot that was taken.
struct Taken {
    world: World,
    report: Report,
}

impl Taken {
    async fn of(source: Arc<dyn Source>) -> Self {
        let world = World::new().await;
        let report = world.capture(source, (None, None), Rules::default(), &SystemClock).await.unwrap();
        Self { world, report }
    }

    /// Plans a restore, lets `meanwhile` happen, and carries it out; a restore that came to its end is verified.
    async fn restore(
        &self,
        target: &Vault,
        meanwhile: impl FnOnce(),
    ) -> (Vec<SecretPlan>, Result<Execution, ExecuteError>) {
        let world = &self.world;
        let chosen = chosen(&world.repository, &world.trust, &self.report.manifest).await;
        let records = world.repository.record_stream(&chosen, Opener::Recovery(&world.key));
        let found = restore::look(target, &chosen, records, &Options::default(), None).await.unwrap();
        let plan = restore::make(&chosen, &found, &Options::default()).unwrap();
        meanwhile();
        let values = Values::new(&world.repository, &chosen, &world.key);
        let (writer, readback): (Arc<dyn Target>, Arc<dyn Source>) =
            (Arc::new(target.clone()), Arc::new(target.clone()));
        let done = restore::execute(&plan, &values, &writer, &Silent).await;
        if done.as_ref().is_ok_and(|done| done.failed.is_empty()) {
            let verification = restore::verify(&plan, &values, &readback, &Silent).await.unwrap();
            assert!(verification.passed(), "{:?}", verification.differences);
        }
        (plan.secrets.to_vec().unwrap(), done)
    }
}

fn failed(done: &Execution) -> BTreeMap<&str, &str> {
    done.failed.iter().map(|failed| (failed.name.as_str(), failed.reason.as_str())).collect()
}

/// A source of AWS with these secrets.
fn memory(secrets: &[(&str, &str)]) -> Arc<Memory> {
    let memory = Arc::new(Memory::new("111111111111", "eu-central-1"));
    for (name, value) in secrets {
        let secret = lifeboat::model::Secret { name: (*name).into(), ..Default::default() };
        memory.insert(secret, vec![HeldVersion::text(&format!("version-{name:0>32}"), &["AWSCURRENT"], value)]);
    }
    memory
}

impl Both {
    fn ask(&self, method: &str, path: &str, body: &Json) -> Json {
        self.vault.control().request(method, path, body).unwrap_or_else(|error| panic!("{path}: {error}"))["data"]
            .clone()
    }
}

/// A key can shorten what the engine does to every version, and not switch it off: a plan says it, and says too when it cannot know.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_deletes_versions_by_itself_is_named() {
    let both = Both::start().await;
    let target = both.engine("kv").await;
    let taken = Taken::of(memory(&[("app", "x")])).await;
    let (plans, _) = taken.restore(&target, || {}).await;
    assert_eq!(plans[0].notes, Vec::<String>::new(), "an engine that deletes nothing is no matter");
    both.ask("POST", "kv/config", &json!({ "delete_version_after": "24h" }));
    let (plans, _) = taken.restore(&target, || {}).await;
    assert_eq!(plans[0].notes, ["the engine deletes each version 24h0m0s after it was written"]);
    let fault = VaultFault { path: Some("kv/config".into()), when: FaultWhen::Always, kind: VaultFaultKind::Denied };
    both.vault.control().add_fault(fault);
    let (plans, _) = taken.restore(&target, || {}).await;
    assert!(plans[0].notes[0].contains("cannot check whether the engine deletes versions"), "{:?}", plans[0].notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_writes_at_the_same_moment_keeps_their_value() {
    let both = Both::start().await;
    let target = both.engine("kv").await;
    let taken = Taken::of(memory(&[("app", "ours"), ("other", "ours")])).await;
    let theirs = || drop(both.ask("POST", "kv/data/app", &json!({ "data": { "v": "theirs" } })));
    let (_, done) = taken.restore(&target, theirs).await;
    let done = done.unwrap();
    assert_eq!(failed(&done).keys().collect::<Vec<_>>(), [&"app"], "{:?}", done.failed);
    assert!(!done.failed[0].reason.contains("theirs") && !done.failed[0].reason.contains("ours"));
    assert_eq!(both.ask("GET", "kv/data/app", &Json::Null)["data"], json!({ "v": "theirs" }));
    assert_eq!(both.ask("GET", "kv/data/other", &Json::Null)["data"], json!({ "value": "ours" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_a_seal_ended_goes_on() {
    let both = Both::start().await;
    let (from, target) = (both.engine("from").await, both.engine("kv").await);
    for number in 1..=5 {
        both.ask("POST", "from/data/app", &json!({ "data": { "v": number } }));
    }
    both.ask("POST", "from/destroy/app", &json!({ "versions": [2] }));
    let taken = Taken::of(Arc::new(from)).await;
    let control = both.vault.control();
    let fault = VaultFault { path: Some("kv/destroy/".into()), when: FaultWhen::Always, kind: VaultFaultKind::Sealed };
    control.add_fault(fault);
    let (_, done) = taken.restore(&target, || {}).await;
    assert!(matches!(done, Err(ExecuteError::Provider(error)) if error.code == "Sealed"));
    control.clear_faults();
    let (plans, done) = taken.restore(&target, || {}).await;
    assert_eq!((plans[0].outcome.name(), done.unwrap().failed.len()), ("completed", 0));
    let metadata = both.ask("GET", "kv/metadata/app", &Json::Null);
    assert_eq!((&metadata["current_version"], &metadata["versions"]["2"]["destroyed"]), (&json!(5), &json!(true)));
    assert!(metadata["custom_metadata"].as_object().is_none_or(serde_json::Map::is_empty), "no mark of ours stays");
}

/// An object of more keys and texts than a request may have is one text.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_many_fields_is_one_field() {
    let both = Both::start().await;
    let target = both.engine("kv").await;
    let object = |count: u32| {
        let fields: serde_json::Map<String, Json> =
            (0..count).map(|n| (format!("k{n:03}"), json!(n.to_string()))).collect();
        Json::Object(fields).to_string()
    };
    let (wide, narrow) = (object(600), object(400));
    let taken = Taken::of(memory(&[("wide", &wide), ("narrow", &narrow)])).await;
    taken.restore(&target, || {}).await.1.unwrap();
    assert_eq!(both.ask("GET", "kv/data/wide", &Json::Null)["data"], json!({ "value": wide }));
    assert_eq!(both.ask("GET", "kv/data/narrow", &Json::Null)["data"]["k399"], "399");
}

/// What the storage does not take fails by its name, and holds up no other.
#[cfg(all(unix, feature = "dotenv"))]
#[tokio::test(flavor = "multi_thread")]
async fn what_the_storage_refuses_fails_by_name_and_the_rest_comes_back() {
    let both = Both::start().await;
    let target = both.engine("kv").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "A=1\n").unwrap();
    std::fs::write(folder.path().join(".env.large"), "x".repeat(1 << 20)).unwrap();
    let address = format!("env:{}?host=web-1", folder.path().display()).parse().unwrap();
    let ids = Arc::new(|name: &str, bytes: &[u8]| format!("{name}-{}", bytes.len()));
    let source = lifeboat::provider::dotenv::Dotenv::connect(&address, ids).unwrap();
    let taken = Taken::of(Arc::new(source)).await;
    let done = taken.restore(&target, || {}).await.1.unwrap();
    let failed = failed(&done);
    assert_eq!(failed.keys().collect::<Vec<_>>(), [&".env.large"], "{failed:?}");
    assert_eq!(both.ask("GET", "kv/data/.env", &Json::Null)["data"], json!({ "value": "A=1\n" }));
}

/// More numbers than are written one by one: from 1, and what gets no number is named.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_what_is_written_one_by_one_are_compact_and_named() {
    let both = Both::start().await;
    let (from, target) = (both.engine("from").await, both.engine("kv").await);
    both.ask("POST", "from/metadata/app", &json!({ "max_versions": 4 }));
    for number in 1..=205 {
        both.ask("POST", "from/data/app", &json!({ "data": { "v": number } }));
    }
    both.ask("POST", "from/destroy/app", &json!({ "versions": [203] }));
    let taken = Taken::of(Arc::new(from)).await;
    let (plans, done) = taken.restore(&target, || {}).await;
    assert_eq!(done.unwrap().failed, []);
    let notes = plans[0].notes.join("; ");
    assert!(notes.contains("numbered from 1") && notes.contains("version 203 is destroyed"), "{notes}");
    let there = One::of(&target.fetch(&Listed::named("app"), &|_, _| false).await.unwrap());
    let found: Vec<(&str, &Plain)> = there.versions.iter().map(|item| (item.id.as_str(), &item.value)).collect();
    let value = |number: u32| Plain::Fields(format!("{{\"v\":{number}}}"));
    assert_eq!(found, [("1", &value(202)), ("2", &value(204)), ("3", &value(205))]);
    assert_eq!(both.ask("GET", "kv/metadata/app", &Json::Null)["current_version"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_with_a_space_is_a_target_and_version_1_is_refused_with_what_to_do() {
    let both = Both::start().await;
    both.ask("POST", "sys/mounts/a%20b/kv", &json!({ "type": "kv", "options": { "version": "2" } }));
    let target = both.server().await.engine("a b/kv").await.unwrap();
    let taken = Taken::of(memory(&[("app", "x")])).await;
    assert_eq!(taken.restore(&target, || {}).await.1.unwrap().failed, []);
    assert_eq!(both.ask("GET", "a%20b/kv/data/app", &Json::Null)["data"], json!({ "value": "x" }));
    both.ask("POST", "sys/mounts/old", &json!({ "type": "kv", "options": { "version": "1" } }));
    let refused = Vault::connect(&both.address("old"), None).await.err().unwrap();
    assert_eq!(refused.code, "KvVersion1");
    assert!(refused.message.contains("restore into a mount of version 2"), "{refused}");
}

/// What a source of every engine does not search is named.
#[tokio::test(flavor = "multi_thread")]
async fn child_namespaces_are_named_among_what_is_no_engine() {
    let bao = crate::servers::Bao::start();
    bao.run(&["namespace", "create", "team"]);
    bao.run(&["auth", "enable", "approle"]);
    let folder = tempfile::tempdir().unwrap();
    let (policy, file) = (folder.path().join("all.hcl"), folder.path().join("secret-id"));
    std::fs::write(&policy, "path \"*\" { capabilities = [\"read\", \"list\"] }").unwrap();
    bao.run(&["policy", "write", "all", policy.to_str().unwrap()]);
    bao.run(&["write", "auth/approle/role/all", "token_policies=all"]);
    let role = bao.run(&["read", "-field=role_id", "auth/approle/role/all/role-id"]);
    std::fs::write(&file, bao.run(&["write", "-f", "-field=secret_id", "auth/approle/role/all/secret-id"])).unwrap();
    let address =
        format!("vault:{}?auth=approle&role_id={}&secret_id_file={}", bao.endpoint, role.trim(), file.display());
    let address =
        lifeboat::provider::vault::VaultAddress::of_source(&address, &lifeboat::outward::VaultSettings::default())
            .unwrap();
    let mounted = VaultServer::connect(&address, None).await.unwrap().mounted().await.unwrap();
    assert_eq!(mounted.engines, ["secret"]);
    assert!(mounted.others.contains(&("team".to_owned(), "namespace".to_owned())), "{:?}", mounted.others);
}
