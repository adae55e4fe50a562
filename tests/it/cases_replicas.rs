//! Replicas that stand in the target, and one secret there whose policy cannot be read.

use aws_sdk_secretsmanager::types::ReplicaRegionType;
use lifeboat::{
    emulator::{Fault, FaultKind, FaultWhen},
    model::Step,
    provider::Target as _,
    restore::{OnConflict, OnReplica, Options, Outcome},
};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, SOURCE, TARGET, id, planned};

const KEY: &str = "arn:aws:kms:eu-west-1:111111111111:key/66666666-7777-8888-9999-000000000000";

fn simple(name: &str) -> Json {
    let version = json!({ "VersionId": id(1), "SecretString": "x", "VersionStages": ["AWSCURRENT"] });
    json!({ "Name": name, "Versions": [version] })
}

/// Replicas stand in the target before anything is restored.
async fn replicated(bench: &Bench) {
    let source = bench.client(SOURCE).await;
    let target = || ReplicaRegionType::builder().region(TARGET);
    for (name, versions, key) in [("one", 1_usize, Some(KEY)), ("two", 2, None)] {
        let create = source.create_secret().name(name).client_request_token(id(1)).secret_string("x");
        create.add_replica_regions(target().set_kms_key_id(key.map(Into::into)).build()).send().await.unwrap();
        for number in 2..=versions {
            let put = source.put_secret_value().secret_id(name).client_request_token(id(number));
            put.secret_string(format!("x{number}")).send().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_21_replicas_that_stand_in_the_target_are_promoted_and_keep_their_arns() {
    let mut bench = Bench::new().await;
    replicated(&bench).await;
    bench.seed(&simple("three"));
    let report = bench.snapshot().await;
    let west = bench.client(TARGET).await;
    let before = west.describe_secret().secret_id("two").send().await.unwrap();
    assert_eq!(before.primary_region(), Some(SOURCE));
    let asked = Options { on_replica: OnReplica::Promote, ..Options::default() };
    let restored = bench.restore(&report, &asked).await.expect_complete();
    for name in ["one", "two"] {
        let plan = planned(&restored.plan, name);
        assert_eq!(plan.outcome, Outcome::Complete);
        assert_eq!(plan.first.len(), 1, "{:?}", plan.first);
        assert!(plan.notes.iter().any(|note| note.contains("no longer follows its primary in eu-central-1")));
    }
    assert_eq!(planned(&restored.plan, "three").outcome, Outcome::Create);
    let after = west.describe_secret().secret_id("two").send().await.unwrap();
    assert_eq!((after.primary_region(), after.arn()), (None, before.arn()));
    west.put_secret_value().secret_id("two").secret_string("new").send().await.expect("it is a secret of its own");
    let again = bench.plan(&report, &asked).await;
    assert_eq!(planned(&again, "one").outcome, Outcome::Present, "nothing is promoted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_21_a_replica_with_newer_versions_stays_one_unless_it_may_be_changed() {
    let mut bench = Bench::new().await;
    replicated(&bench).await;
    let report = bench.snapshot().await;
    bench.may_write_to_source();
    let source = bench.client(SOURCE).await;
    source.put_secret_value().secret_id("two").client_request_token(id(9)).secret_string("x9").send().await.unwrap();
    let asked = Options { on_replica: OnReplica::Promote, on_conflict: OnConflict::Skip, ..Options::default() };
    let plan = bench.plan(&report, &asked).await;
    let outcome = planned(&plan, "two").outcome;
    assert!(
        matches!(&outcome, Outcome::Conflict(why) if why.ends_with("it stays a replica of eu-central-1")),
        "{outcome:?}"
    );
    let restored = bench.restore(&report, &asked).await;
    assert_eq!(restored.execution.done, 1, "the other one is promoted");
    let west = bench.client(TARGET).await;
    let primary = |name: &'static str| west.describe_secret().secret_id(name).send();
    assert_eq!(primary("two").await.unwrap().primary_region(), Some(SOURCE));
    assert_eq!(primary("one").await.unwrap().primary_region(), None);
    let replace = Options { on_conflict: OnConflict::Replace, ..asked };
    let restored = bench.restore(&report, &replace).await.expect_complete();
    assert_eq!(planned(&restored.plan, "two").outcome, Outcome::Replace);
    assert_eq!(primary("two").await.unwrap().primary_region(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_whose_answer_was_lost_is_not_repeated_in_vain() {
    let mut bench = Bench::new().await;
    replicated(&bench).await;
    let report = bench.snapshot().await;
    let asked = Options { on_replica: OnReplica::Promote, ..Options::default() };
    let plan = bench.plan(&report, &asked).await;
    let promote = planned(&plan, "one").first[0].write.clone();
    let target = bench.provider(TARGET).await;
    let at = planned(&plan, "one").before.and_then(|before| before.id);
    for _ in 0..2 {
        target.apply(&promote, at.as_deref(), None).await.expect("twice is the same as once");
    }
    let missing = Step::Promote { name: "none".into() };
    assert!(target.apply(&missing, None, None).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_policy_that_cannot_be_read_in_the_target_holds_up_no_other_secret() {
    let mut bench = Bench::new().await;
    for name in ["here", "there", "shut"] {
        bench.seed(&simple(name));
    }
    let report = bench.snapshot().await;
    bench.restore(&report, &Options { names: vec!["shut".into()], ..Options::default() }).await.expect_complete();
    let kind = FaultKind::Error { code: "AccessDeniedException".into(), message: "not authorized".into() };
    bench.control().add_fault(Fault {
        operation: Some("GetResourcePolicy".into()),
        secret: Some("shut".into()),
        account: None,
        region: Some(TARGET.into()),
        when: FaultWhen::Always,
        kind,
    });
    let restored = bench.restore(&report, &Options::default()).await;
    let outcome = planned(&restored.plan, "shut").outcome;
    assert!(
        matches!(&outcome, Outcome::Impossible(why) if why.contains("GetResourcePolicy is refused: AccessDenied")),
        "{outcome:?}"
    );
    assert_eq!(planned(&restored.plan, "here").outcome, Outcome::Create);
    assert_eq!(restored.execution.done, 2);
}
