//! What a restore does about what is there already, what it selects, maps and refuses; and that faults change nothing.

use std::{collections::BTreeSet, sync::Arc};

use lifeboat::{
    emulator::{Fault, FaultKind, FaultWhen},
    model::Presence,
    progress::Silent,
    provider::{Target, aws::Aws},
    restore::{self, Maps, OnConflict, Options, Outcome, PlanError, PlanFile, StalePlan},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value as Json, json};

use crate::bench::{ACCOUNT, Bench, NOW, OTHER, SOURCE, TARGET, id, labels, new_arn, planned, reason};

fn version(number: usize, value: &str, stages: &[&str]) -> Json {
    json!({ "VersionId": id(number), "SecretString": value, "VersionStages": stages, "CreatedDate": number })
}

/// Two versions in the backup.
fn backed_up(name: &str) -> Json {
    json!({ "Name": name, "Description": "ours", "Tags": [{ "Key": "team", "Value": "core" }],
        "Versions": [version(1, "old", &["AWSPREVIOUS"]), version(2, "current", &["AWSCURRENT", "BLUE"])] })
}

/// Something else under that name.
fn other(name: &str) -> Json {
    json!({ "Name": name, "Description": "theirs", "Tags": [{ "Key": "owner", "Value": "them" }],
        "ResourcePolicy": r#"{"Statement":[]}"#,
        "Versions": [version(8, "theirs before", &["AWSPREVIOUS", "BLUE"]), version(9, "theirs", &["AWSCURRENT"])] })
}

async fn conflicting() -> (Bench, lifeboat::snapshot::Report) {
    let mut bench = Bench::new().await;
    bench.seed(&backed_up("app"));
    bench.seed(&backed_up("free"));
    let report = bench.snapshot().await;
    bench.seed_target(&other("app"));
    (bench, report)
}

fn with(on_conflict: OnConflict) -> Options {
    Options { on_conflict, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_told_with_every_difference_and_nothing_is_written_to_it() {
    let (bench, report) = conflicting().await;
    let before = labels(&bench.client(TARGET).await, "app").await;
    for mode in [OnConflict::Fail, OnConflict::Skip] {
        let plan = bench.plan(&report, &with(mode)).await;
        let app = planned(&plan, "app");
        for difference in
            ["versions that are not in the snapshot (2)", "AWSCURRENT", "BLUE", "description", "tags", "policy"]
        {
            assert!(reason(&app).contains(difference), "{difference} in {}", reason(&app));
        }
        assert_eq!(app.writes().count(), 0);
    }
    let restored = bench.restore(&report, &with(OnConflict::Skip)).await;
    assert!(restored.verification.passed() && !restored.plan.summary().unwrap().complete);
    assert_eq!(labels(&bench.client(TARGET).await, "app").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_leaves_everything_else_as_it_is() {
    let (bench, report) = conflicting().await;
    let options = with(OnConflict::NewVersion);
    let restored = bench.restore(&report, &options).await.expect_complete();
    assert_eq!(planned(&restored.plan, "app").outcome, Outcome::NewVersion);
    let target = bench.client(TARGET).await;
    let found = labels(&target, "app").await;
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), BTreeSet::from([id(2), id(8), id(9)]));
    assert!(
        found[&id(2)].contains("AWSCURRENT") && found[&id(9)].contains("AWSPREVIOUS") && found[&id(8)].contains("BLUE")
    );
    let described = target.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.description(), Some("theirs"));
    let current = target.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(current.secret_string(), Some("current"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_is_the_snapshots_and_other_versions_lose_their_labels() {
    let (bench, report) = conflicting().await;
    let restored = bench.restore(&report, &with(OnConflict::Replace)).await.expect_complete();
    assert_eq!(planned(&restored.plan, "app").kept, [id(8), id(9)]);
    let target = bench.client(TARGET).await;
    let found = labels(&target, "app").await;
    assert!(found[&id(8)].is_empty() && found[&id(9)].is_empty(), "{found:?}");
    let described = target.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.description(), Some("ours"));
    assert_eq!(described.tags().len(), 1);
    assert_eq!(target.get_resource_policy().secret_id("app").send().await.unwrap().resource_policy(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_version_id_with_another_value_is_found() {
    let mut bench = Bench::new().await;
    bench.seed(&json!({ "Name": "app", "Versions": [version(1, "ours", &["AWSCURRENT"])] }));
    let report = bench.snapshot().await;
    bench.seed_target(&json!({ "Name": "app", "Versions": [version(1, "forged", &["AWSCURRENT"])] }));
    let restored = bench.restore(&report, &Options::default()).await;
    assert_eq!(restored.verification.differences[0].what, "value");
    assert_eq!(restored.verification.states.walk().unwrap().next().unwrap().unwrap().state, "different");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_version_is_restored_as_the_current_one() {
    let (bench, report) = conflicting().await;
    let one = Options { version: Some("AWSPREVIOUS".into()), names: vec!["free".into()], ..Options::default() };
    bench.restore(&report, &one).await.expect_complete();
    let target = bench.client(TARGET).await;
    assert_eq!(
        labels(&target, "free").await.into_iter().collect::<Vec<_>>(),
        [(id(1), BTreeSet::from(["AWSCURRENT".into()]))]
    );
    let by_id = Options { version: Some(id(1)), names: vec!["app".into()], ..with(OnConflict::NewVersion) };
    bench.restore(&report, &by_id).await.expect_complete();
    assert!(labels(&target, "app").await[&id(1)].contains("AWSCURRENT"));
    let nowhere = Options { version: Some("NOWHERE".into()), ..Options::default() };
    let provider = bench.provider(TARGET).await;
    assert!(matches!(bench.plan_for(&report, &provider, &nowhere).await, Err(PlanError::NothingMatches(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_accounts_and_regions_are_mapped_and_clashes_refused() {
    let mut bench = Bench::new().await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/app");
    let policy = format!(
        r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"AWS":["{role}","{ACCOUNT}"]}},"Action":"*","Resource":"*"}}]}}"#
    );
    let mut secret = backed_up("prod/app");
    secret["ResourcePolicy"] = policy.into();
    bench.seed(&secret);
    bench.seed(&backed_up("prod/db"));
    let report = bench.snapshot().await;
    let target = bench.provider_of(OTHER, TARGET).await;

    let plan = bench.plan_for(&report, &target, &Options::default()).await.unwrap();
    let notes = &planned(&plan, "prod/app").notes;
    assert!(notes.iter().any(|note| note.contains("still names") && note.contains(&role)), "{notes:?}");
    let principal = plan.references.iter().find(|it| it.reference == role).unwrap();
    assert!(matches!(principal.presence, Presence::Unknown(_)), "it cannot be asked for, and is not guessed");

    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let maps = Maps {
        name_prefix: "dr/".into(),
        account: map(&[(ACCOUNT, OTHER)]),
        name: map(&[("prod/*", "west/*")]),
        ..Maps::default()
    };
    let options = Options { maps, ..Options::default() };
    let restored = bench.restore_to(&report, &target, &options).await.expect_complete();
    let desired = &planned(&restored.plan, "dr/west/app").desired;
    assert_eq!(desired.source_name, "prod/app");
    let policy = desired.policy.as_deref().unwrap();
    assert!(policy.contains(OTHER) && !policy.contains(ACCOUNT), "{policy}");

    let clash = Maps { name: map(&[("prod/app", "prod/db")]), ..Maps::default() };
    let clash = bench.plan_for(&report, &target, &Options { maps: clash, ..Options::default() }).await;
    assert!(matches!(clash, Err(PlanError::Clash { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_place_is_refused_unless_it_is_asked_for() {
    let mut bench = Bench::new().await;
    let arn = bench.seed(&backed_up("app"));
    bench.seed(&backed_up("gone"));
    let report = bench.snapshot().await;
    bench.may_write_to_source();
    let source = bench.provider(SOURCE).await;
    let refused = bench.plan_for(&report, &source, &Options::default()).await;
    assert!(matches!(refused, Err(PlanError::TargetIsSource(_))));
    let prefixed = Options { maps: Maps { name_prefix: "copy/".into(), ..Maps::default() }, ..Options::default() };
    let refused = bench.plan_for(&report, &source, &prefixed).await;
    assert!(matches!(refused, Err(PlanError::TargetIsSource(_))), "also under other names");
    assert_eq!(bench.control().writes(), []);

    let client = bench.client(SOURCE).await;
    client.delete_secret().secret_id("gone").force_delete_without_recovery(true).send().await.unwrap();
    bench.may_destroy();
    let allowed = Options { allow_source: true, ..Options::default() };
    let restored = bench.restore_to(&report, &source, &allowed).await.expect_complete();
    assert_eq!(planned(&restored.plan, "app").outcome, Outcome::Present);
    assert_eq!(new_arn(&restored.verification, &arn), arn, "what is still there keeps its ARN");
    assert_eq!(planned(&restored.plan, "gone").outcome, Outcome::Create);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_urgent_come_first() {
    let mut bench = Bench::new().await;
    for number in 0..199 {
        bench.seed(&backed_up(&format!("a/{number:03}")));
    }
    bench.seed(&backed_up("z/urgent"));
    let report = bench.snapshot().await;
    let options = Options { first: vec!["z/*".into()], ..Options::default() };
    bench.restore(&report, &options).await.expect_complete();
    let writes: Vec<_> = bench.control().writes().into_iter().filter(|call| call.region == TARGET).collect();
    let creates: Vec<&str> = writes
        .iter()
        .filter(|call| call.operation == "CreateSecret")
        .filter_map(|call| call.secret.as_deref())
        .collect();
    assert_eq!(creates.len(), 200);
    // It is begun first, with 63 others beside it; by name it would be the last one.
    assert!(creates.iter().position(|name| *name == "z/urgent").unwrap() < 128, "{creates:?}");
    let estimate = bench
        .plan_for(&report, &bench.provider("us-east-1").await, &options)
        .await
        .unwrap()
        .summary()
        .unwrap()
        .estimate(1.0);
    assert!((estimate.current_seconds - 200.0 / 50.0).abs() < 0.001, "{estimate:?}");
    assert!(estimate.total_seconds > estimate.current_seconds && estimate.writes == 200 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_awss_quotas_it_takes_about_the_estimated_time() {
    let mut bench = Bench::new().await;
    for number in 0..60 {
        bench.seed(&backed_up(&format!("app/{number:02}")));
    }
    let report = bench.snapshot().await;
    bench.control().set_quotas(true);
    let target = bench.provider(TARGET).await;
    let plan = bench.plan_for(&report, &target, &Options::default()).await.unwrap();
    let estimate = plan.summary().unwrap().estimate(0.9).total_seconds;
    let begun = std::time::Instant::now();
    bench.restore_to(&report, &target, &Options::default()).await.expect_complete();
    let took = begun.elapsed().as_secs_f64();
    println!("estimated {estimate:.1} s, took {took:.1} s");
    assert!(took > estimate * 0.8 && took < estimate * 3.0 + 5.0, "estimated {estimate:.1} s, took {took:.1} s");
}

fn bytes(file: &PlanFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.write(&mut bytes).unwrap();
    bytes
}

async fn fresh(bench: &Bench, report: &lifeboat::snapshot::Report, target: &Aws, file: &PlanFile) -> restore::Plan {
    bench.plan_for(report, target, &file.options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_plan_is_executed_only_if_it_still_holds() {
    let (bench, report) = conflicting().await;
    let target = bench.provider(TARGET).await;
    let options = with(OnConflict::Replace);
    let plan = bench.plan(&report, &options).await;
    let repository = report.manifest.manifest().repository;
    let file = PlanFile::new(repository, NOW.parse().unwrap(), options, plan.clone(), None);
    let file = PlanFile::parse(&bytes(&file)).unwrap();
    file.agree(&fresh(&bench, &report, &target, &file).await).unwrap();
    let text = String::from_utf8(bytes(&file)).unwrap();
    assert!(!text.contains("theirs before") && !text.contains(": \"current\""), "a plan holds no value");

    // Cut off anywhere, it is still this plan.
    let secrets = plan.secrets.to_vec().unwrap();
    let writes: Vec<_> = secrets.iter().flat_map(restore::SecretPlan::writes).cloned().collect();
    assert!(writes.len() > 8);
    let values = bench.values().await;
    for planned in &writes {
        let secret = secrets.iter().find(|secret| secret.desired.name == planned.write.name()).unwrap();
        let value = match (&planned.value, planned.write.writes_version()) {
            (Some(at), Some(version)) => Some(values.get(at, &secret.desired.source_id, version).await.unwrap()),
            _ => None,
        };
        let at = target.describe(planned.write.name()).await.unwrap().map(|secret| secret.id);
        target.apply(&planned.write, at.as_deref(), value.as_deref()).await.unwrap();
        let now = fresh(&bench, &report, &target, &file).await;
        file.agree(&now).unwrap_or_else(|error| panic!("after {:?}: {error}", planned.write));
    }
    let rest = bench.restore(&report, &file.options).await.expect_complete();
    assert_eq!(rest.execution.done, 0);

    bench.control().put(ACCOUNT, TARGET, "free", "someone else was here").unwrap();
    let stale = file.agree(&fresh(&bench, &report, &target, &file).await);
    assert!(matches!(&stale, Err(StalePlan::TargetChanged(name)) if name == "free"), "{stale:?}");
    let elsewhere = bench.provider("us-east-1").await;
    let stale = file.agree(&fresh(&bench, &report, &elsewhere, &file).await);
    assert!(matches!(stale, Err(StalePlan::OtherTarget { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changed_by_hand_is_not_ours() {
    let (bench, report) = conflicting().await;
    let target = bench.provider(TARGET).await;
    let options = with(OnConflict::Replace);
    let plan = bench.plan(&report, &options).await;
    let file = PlanFile::new(report.manifest.manifest().repository, NOW.parse().unwrap(), options, plan, None);
    let good: Json = serde_json::from_slice(&bytes(&file)).unwrap();
    let spoil: [(&str, &dyn Fn(&mut Json)); 4] = [
        ("a step more", &|json| {
            json["plan"]["secrets"][0]["first"] =
                json!([{ "write": { "step": "destroy", "name": "app" }, "value": null }]);
        }),
        ("another name", &|json| json["plan"]["secrets"][1]["desired"]["name"] = "other".into()),
        ("another outcome", &|json| json["plan"]["secrets"][1]["outcome"] = json!({ "outcome": "present" })),
        ("a secret less", &|json| drop(json["plan"]["secrets"].as_array_mut().unwrap().pop())),
    ];
    for (what, spoil) in spoil {
        let mut json = good.clone();
        spoil(&mut json);
        let file = PlanFile::parse(json.to_string().as_bytes()).unwrap();
        let verdict = file.agree(&fresh(&bench, &report, &target, &file).await);
        assert!(matches!(verdict, Err(StalePlan::NotOurs(_))), "{what}: {verdict:?}");
    }
    for (what, text) in
        [("no plan", "{}".to_owned()), ("newer", good.to_string().replace("\"version\":1", "\"version\":2"))]
    {
        assert!(matches!(PlanFile::parse(text.as_bytes()), Err(StalePlan::Unreadable(_))), "{what}");
    }
}

fn trouble(kind: FaultKind, rate: f64) -> Fault {
    let (region, when) = (Some(TARGET.to_owned()), FaultWhen::Rate(rate));
    Fault { operation: None, secret: None, account: None, region, when, kind }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_all_calls_failing_changes_nothing_in_the_end() {
    let mut bench = Bench::new().await;
    for number in 0..30 {
        let mut secret = backed_up(&format!("app/{number:02}"));
        secret["Versions"].as_array_mut().unwrap().push(version(3, "unlabelled", &[]));
        secret["ResourcePolicy"] = r#"{"Statement":[]}"#.into();
        bench.seed(&secret);
    }
    let report = bench.snapshot().await;
    for kind in [FaultKind::Throttle, FaultKind::InternalError, FaultKind::Drop, FaultKind::DropAfter] {
        bench.control().add_fault(trouble(kind, 0.025));
    }
    bench.control().reset_calls();
    let mut restored = bench.restore(&report, &Options::default()).await;
    for _ in 0..5 {
        if restored.execution.failed.is_empty() && restored.verification.passed() {
            break;
        }
        restored = bench.restore(&report, &Options::default()).await;
    }
    let restored = restored.expect_complete();
    assert_eq!(restored.verification.versions, 90);
    bench.control().clear_faults();
    let (source, target) = (bench.client(SOURCE).await, bench.client(TARGET).await);
    for number in 0..30 {
        let name = format!("app/{number:02}");
        assert_eq!(labels(&source, &name).await, labels(&target, &name).await, "no version twice, no label elsewhere");
    }
    let calls: u64 = bench.control().calls().values().sum();
    println!("{calls} calls, a tenth of those to the target failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_and_a_network_that_goes_stop_it_and_the_next_run_ends_it() {
    let mut bench = Bench::new().await;
    for number in 0..6 {
        bench.seed(&backed_up(&format!("app/{number}")));
    }
    let report = bench.snapshot().await;
    let plan = bench.plan(&report, &Options::default()).await;
    let expired = FaultKind::Error { code: "ExpiredTokenException".into(), message: "expired".into() };
    let when = FaultWhen::Nth(3);
    bench.control().add_fault(Fault { when, operation: Some("PutSecretValue".into()), ..trouble(expired, 1.0) });
    let target = bench.provider(TARGET).await;
    let values = bench.values().await;
    let stopped = restore::execute(&plan, &values, &(Arc::new(target.clone()) as Arc<dyn Target>), &Silent).await;
    assert!(stopped.is_err(), "going on without credentials makes no sense");
    bench.control().clear_faults();
    let restored = bench.restore(&report, &Options::default()).await.expect_complete();
    assert_eq!(restored.verification.versions, 12);
    let creates = bench.control().writes().iter().filter(|call| call.operation == "CreateSecret").count();
    assert_eq!(creates, 6, "nothing is created twice");
}

/// A random secret within AWS's limits, as the sandbox is seeded.
fn any_secret() -> impl Strategy<Value = Json> {
    let value = prop_oneof![
        4 => "\\PC{1,40}".prop_map(|text| json!({ "SecretString": text })),
        1 => "[\\x00-\\x1f\u{feff}\u{1f6a3}]{1,20}".prop_map(|text| json!({ "SecretString": text })),
        2 => prop::collection::vec(any::<u8>(), 1..60).prop_map(|bytes| json!({ "SecretBinary": base64(&bytes) })),
        1 => Just(json!({ "SecretString": "é".repeat(32_768) })),
    ];
    let tags = prop::collection::btree_map("[a-zA-Z0-9 ._:/=+@-]{5,20}", "[ -~]{0,20}", 0..6);
    (
        prop::collection::vec(value, 1..8),
        any::<prop::sample::Index>(),
        prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 19),
        tags,
        prop::option::of("\\PC{1,60}"),
        any::<bool>(),
    )
        .prop_map(|(values, current, labels, tags, description, policy)| {
            let count = values.len();
            let mut stages = vec![Vec::new(); count];
            let current = current.index(count);
            stages[current].push("AWSCURRENT".to_owned());
            for (number, holder) in labels.iter().enumerate() {
                let Some(holder) = holder.map(|holder| holder.index(count)) else { continue };
                let previous = number == 0 && holder != current;
                stages[holder].push(if previous { "AWSPREVIOUS".into() } else { format!("label-{number}") });
            }
            let versions: Vec<Json> = values
                .into_iter()
                .zip(stages)
                .enumerate()
                .map(|(number, (mut value, stages))| {
                    value["VersionId"] = id(number).into();
                    value["VersionStages"] = stages.into();
                    value["CreatedDate"] = json!(number);
                    value
                })
                .collect();
            let tags: Vec<Json> = tags
                .into_iter()
                .filter(|(key, _)| !key.to_lowercase().starts_with("aws:"))
                .map(|(key, value)| json!({ "Key": key, "Value": value }))
                .collect();
            let mut secret = json!({ "Versions": versions, "Tags": tags });
            if let Some(description) = description {
                secret["Description"] = description.into();
            }
            if policy {
                secret["ResourcePolicy"] = "{ \"Statement\" : [ ] }".into();
            }
            secret
        })
}

fn base64(bytes: &[u8]) -> String {
    use aws_sdk_secretsmanager::primitives::Blob;
    let mut text = String::new();
    for chunk in Blob::new(bytes).as_ref().chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let digit = DIGITS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Random estates through the real provider: what comes back is what was there, and a second run writes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn any_estate_comes_back_equal_through_the_real_provider() {
    let mut runner = TestRunner::deterministic();
    let names = prop::collection::btree_set("[a-zA-Z0-9/_+=.@-]{1,60}", 1..4);
    for round in 0..12 {
        let mut bench = Bench::new().await;
        let mut seeded = 0;
        for name in names.new_tree(&mut runner).unwrap().current() {
            let mut secret = any_secret().new_tree(&mut runner).unwrap().current();
            secret["Name"] = name.into();
            seeded += secret["Versions"].as_array().unwrap().len() as u64;
            bench.seed(&secret);
        }
        let report = bench.snapshot().await;
        let restored = bench.restore(&report, &Options::default()).await.expect_complete();
        assert_eq!(restored.verification.values, seeded, "round {round}");
        let again = bench.restore(&report, &Options::default()).await.expect_complete();
        assert_eq!(again.execution.done, 0, "round {round}");
    }
}

/// Whatever has the name, the snapshot's state comes of it: the plan's own rules for labels are those of the service.
#[tokio::test(flavor = "multi_thread")]
async fn any_other_secret_can_be_replaced_or_given_a_new_version() {
    let mut runner = TestRunner::deterministic();
    for round in 0..10 {
        let mut bench = Bench::new().await;
        let mut ours = any_secret().new_tree(&mut runner).unwrap().current();
        let mut theirs = any_secret().new_tree(&mut runner).unwrap().current();
        for (number, version) in theirs["Versions"].as_array_mut().unwrap().iter_mut().enumerate() {
            version["VersionId"] = id(100 + number).into();
        }
        theirs["KmsKeyId"] = "alias/theirs".into();
        (ours["Name"], theirs["Name"]) = ("app".into(), "app".into());
        bench.seed(&ours);
        let report = bench.snapshot().await;
        for (region, mode) in [(TARGET, OnConflict::Replace), ("us-east-1", OnConflict::NewVersion)] {
            bench.control().seed_raw(ACCOUNT, region, &theirs).unwrap();
            let target = bench.provider(region).await;
            let restored = bench.restore_to(&report, &target, &with(mode)).await;
            assert_eq!(restored.execution.failed, [], "round {round}");
            assert!(restored.verification.passed(), "round {round}: {:#?}", restored.verification.differences);
        }
        let target = bench.provider(TARGET).await;
        let again = bench.restore_to(&report, &target, &with(OnConflict::Replace)).await.expect_complete();
        assert_eq!(again.execution.done, 0, "round {round}: {:#?}", again.plan.secrets);
    }
}

/// The same on a server nobody here wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_on_moto() {
    let mut bench = Bench::moto().await;
    let (source, target) = (bench.client(SOURCE).await, bench.client(TARGET).await);
    for (client, first) in [(&source, 1), (&target, 11)] {
        let create = client.create_secret().name("app").client_request_token(id(first)).description(first.to_string());
        create.secret_string(format!("value {first}")).send().await.unwrap();
        for number in first + 1..first + 4 {
            let put = client.put_secret_value().secret_id("app").client_request_token(id(number));
            put.secret_string(format!("value {number}")).send().await.unwrap();
        }
    }
    let pin = target.update_secret_version_stage().secret_id("app").version_stage("PINNED").move_to_version_id(id(12));
    pin.send().await.unwrap();
    let report = bench.snapshot().await;
    assert!(reason(&planned(&bench.plan(&report, &Options::default()).await, "app")).contains("PINNED"));
    bench.restore(&report, &with(OnConflict::Replace)).await.expect_complete();
    let found = labels(&target, "app").await;
    assert!(found[&id(4)].contains("AWSCURRENT") && found[&id(3)].contains("AWSPREVIOUS"), "{found:?}");
    assert!((11..15).all(|number| found[&id(number)].is_empty()), "{found:?}");
    assert_eq!(found.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_of_the_diary_finds_what_must_never_be_sent() {
    let mut bench = Bench::new().await;
    bench.seed(&backed_up("app"));
    bench.snapshot().await;
    let (source, target) = (bench.client(SOURCE).await, bench.client(TARGET).await);
    let lambda = format!("arn:aws:lambda:{TARGET}:{ACCOUNT}:function:rotate");
    // Rotation at once is what AWS does when nothing is said.
    drop(target.rotate_secret().secret_id("app").rotation_lambda_arn(lambda).send().await);
    drop(target.delete_secret().secret_id("app").force_delete_without_recovery(true).send().await);
    drop(source.put_secret_value().secret_id("app").secret_string("x").send().await);
    let found: Vec<_> = bench.violations().into_iter().map(|call| call.operation).collect();
    assert_eq!(found, ["RotateSecret", "DeleteSecret", "PutSecretValue"]);
    bench.control().reset_calls();
}
