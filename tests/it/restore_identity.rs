//! A restore writes to the incarnation that its plan saw, and to no other secret that has the name by then.

use std::sync::Arc;

use lifeboat::{
    emulator::WriteCall,
    model::DRILL_TAG,
    progress::Silent,
    provider::Target,
    restore::{self, Execution, OnConflict, OnScheduled, Options, Plan},
};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, SOURCE, TARGET, id, labels, planned};

fn of(name: &str, number: usize, value: &str) -> Json {
    json!({ "Name": name, "Versions": [
        { "VersionId": id(number), "SecretString": value, "VersionStages": ["AWSCURRENT"] } ] })
}

async fn execute(bench: &Bench, plan: &Plan) -> Execution {
    let target: Arc<dyn Target> = Arc::new(bench.provider(TARGET).await);
    restore::execute(plan, &bench.values().await, &target, &Silent).await.unwrap()
}

/// The writes to the target since the plan, and what they named.
fn written(bench: &Bench) -> Vec<WriteCall> {
    bench.control().writes().into_iter().filter(|call| call.region == TARGET).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_meets_the_secret_that_the_plan_saw_or_none() {
    let mut bench = Bench::new().await;
    for name in ["app", "kept"] {
        bench.seed(&of(name, 1, "ours"));
    }
    let report = bench.snapshot().await;
    let kept = bench.seed_target(&of("kept", 8, "seen"));
    bench.seed_target(&of("app", 8, "seen"));
    let plan = bench.plan(&report, &Options { on_conflict: OnConflict::Replace, ..Options::default() }).await;
    // Deleted and made anew, by somebody else.
    bench.seed_target(&of("app", 9, "theirs"));
    let done = execute(&bench, &plan).await;
    assert_eq!(done.failed.iter().map(|failed| failed.name.as_str()).collect::<Vec<_>>(), ["app"]);
    let target = bench.client(TARGET).await;
    let value = target.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!((value.secret_string(), labels(&target, "app").await.len()), (Some("theirs"), 1));
    let value = target.get_secret_value().secret_id("kept").send().await.unwrap();
    assert_eq!(value.secret_string(), Some("ours"));
    let arns: Vec<_> = written(&bench).into_iter().filter_map(|call| call.secret).collect();
    assert!(!arns.is_empty() && arns.iter().all(|id| id.starts_with("arn:")), "{arns:?}");
    assert!(arns.contains(&kept));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_replacement_destroys_what_the_plan_saw_and_not_what_came_after() {
    let mut bench = Bench::new().await;
    bench.may_destroy();
    bench.seed(&of("app", 1, "ours"));
    let report = bench.snapshot().await;
    let mut going = of("app", 8, "seen");
    going["DeletedDate"] = json!(1_900_000_000);
    let seen = bench.seed_target(&going);
    let options = Options { on_scheduled: OnScheduled::ForceReplace, ..Options::default() };
    let plan = bench.plan(&report, &options).await;
    bench.seed_target(&of("app", 9, "theirs"));
    let done = execute(&bench, &plan).await;
    assert_eq!(done.failed.len(), 1, "{done:?}");
    let target = bench.client(TARGET).await;
    let value = target.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(value.secret_string(), Some("theirs"));
    let deletions: Vec<_> = written(&bench).into_iter().filter(|call| call.operation == "DeleteSecret").collect();
    assert!(deletions.iter().all(|call| call.secret.as_ref() == Some(&seen)), "{deletions:?}");
    assert!(!deletions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_scheduled_for_deletion_is_named_by_its_arn() {
    let mut bench = Bench::new().await;
    let arn = bench.seed(&of("app", 1, "ours"));
    bench.snapshot().await;
    let mut going = of("app", 1, "ours");
    going["ARN"] = arn.into();
    going["DeletedDate"] = json!(1_900_000_000);
    bench.seed(&going);
    let report = bench.snapshot().await;
    let options = Options { deletion: true, ..Options::default() };
    let restored = bench.restore(&report, &options).await;
    assert_eq!(restored.execution.failed, []);
    let deletions: Vec<_> = written(&bench).into_iter().filter(|call| call.operation == "DeleteSecret").collect();
    assert_eq!(deletions.len(), 1);
    assert!(deletions[0].secret.as_ref().is_some_and(|id| id.starts_with("arn:")), "{deletions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drills_mark_is_not_restored_and_is_no_difference() {
    let mut bench = Bench::new().await;
    bench.may_write_to_source();
    let mut marked = of("app", 1, "ours");
    marked["Tags"] = json!([{ "Key": DRILL_TAG, "Value": "x" }, { "Key": "team", "Value": "core" }]);
    bench.seed(&marked);
    let restored = bench.round_trip().await;
    let plan = planned(&restored.plan, "app");
    assert!(plan.notes.iter().any(|note| note.contains(DRILL_TAG)), "{:?}", plan.notes);
    let described = bench.client(TARGET).await.describe_secret().secret_id("app").send().await.unwrap();
    let keys: Vec<_> = described.tags().iter().filter_map(|tag| tag.key()).collect();
    assert_eq!(keys, ["team"]);
    let report = bench.snapshot().await;
    let options = Options { allow_source: true, ..Options::default() };
    let plan = bench.plan_for(&report, &bench.provider(SOURCE).await, &options).await.unwrap();
    assert_eq!(planned(&plan, "app").outcome, restore::Outcome::Present);
}
