//! The cases of docs/fidelity.md about versions, labels and values: each on the embedded sandbox and on moto.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::{Client, primitives::Blob};
use lifeboat::{
    model::{Record, ValueKind, ValueState},
    restore::{OnConflict, OnScheduled, Options, Outcome},
};

use crate::bench::{Bench, SOURCE, TARGET, id, labels, planned, reason};

/// Makes one test on the sandbox and one on moto of each case.
macro_rules! on_both {
    ($($(#[$doc:meta])* $name:ident => $case:ident;)*) => {
        mod sandbox {
            use crate::bench::Bench;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$case(&mut Bench::new().await).await; })*
        }
        mod moto {
            use crate::bench::Bench;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$case(&mut Bench::moto().await).await; })*
        }
    };
}

on_both! {
    case_01_unlabelled_versions => unlabelled;
    case_02_a_secret_without_a_version => no_version;
    case_03_rolled_back_to_an_older_version => rolled_back;
    case_04_current_without_previous => no_previous;
    case_05_pending_with_a_value => pending;
    case_06_several_labels_on_one_version => several_labels;
    case_08_binary_and_text_in_one_secret => mixed_kinds;
    case_09_binary_that_is_valid_text => binary_text;
    case_10_bytes_that_tools_change => odd_bytes;
    case_11_values_of_the_largest_size => largest;
    case_12_scheduled_for_deletion_in_the_source => scheduled_source;
    case_13_a_name_scheduled_for_deletion_in_the_target => scheduled_target;
    case_15_ids_that_are_no_uuids_and_not_unique => odd_ids;
    case_16_a_restore_that_is_run_again => run_again;
    case_24_names_that_look_like_arns => suffixed_names;
    case_25_edits_that_move_no_date => silent_edits;
}

async fn create(client: &Client, name: &str, number: usize, value: &str) {
    let create = client.create_secret().name(name).client_request_token(id(number));
    create.secret_string(value).send().await.unwrap();
}

async fn put(client: &Client, name: &str, number: usize, value: &str, stages: &[&str]) {
    let put = client.put_secret_value().secret_id(name).client_request_token(id(number)).secret_string(value);
    let stages = (!stages.is_empty()).then(|| stages.iter().map(ToString::to_string).collect());
    put.set_version_stages(stages).send().await.unwrap();
}

async fn move_label(client: &Client, name: &str, label: &str, to: usize, from: Option<usize>) {
    let update = client.update_secret_version_stage().secret_id(name).version_stage(label);
    update.move_to_version_id(id(to)).set_remove_from_version_id(from.map(id)).send().await.unwrap();
}

async fn text(client: &Client, name: &str, number: usize) -> String {
    let get = client.get_secret_value().secret_id(name).version_id(id(number)).send().await.unwrap();
    get.secret_string().unwrap().to_owned()
}

/// The same versions with the same labels in both regions, told by the service itself.
async fn same_labels(bench: &Bench, name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (source, target) = (bench.client(SOURCE).await, bench.client(TARGET).await);
    let (source, target) = (labels(&source, name).await, labels(&target, name).await);
    assert_eq!(source, target, "{name}");
    target
}

fn set(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(ToString::to_string).collect()
}

async fn unlabelled(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "one").await;
    for number in 2..=5 {
        put(&source, "app", number, &format!("value {number}"), &[]).await;
    }
    let restored = bench.round_trip().await;
    assert_eq!(restored.verification.versions, 5);
    let found = same_labels(bench, "app").await;
    assert_eq!((&found[&id(1)], &found[&id(3)], &found[&id(5)]), (&set(&[]), &set(&[]), &set(&["AWSCURRENT"])));
    assert_eq!(text(&bench.client(TARGET).await, "app", 2).await, "value 2");
}

async fn no_version(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    source.create_secret().name("empty").description("no value yet").send().await.unwrap();
    let restored = bench.round_trip().await;
    assert_eq!((restored.verification.secrets, restored.verification.versions), (1, 0));
    let found = bench.client(TARGET).await.describe_secret().secret_id("empty").send().await.unwrap();
    assert_eq!(found.description(), Some("no value yet"));
    assert!(found.version_ids_to_stages().is_none_or(std::collections::HashMap::is_empty));
}

async fn rolled_back(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "good").await;
    put(&source, "app", 2, "bad", &[]).await;
    move_label(&source, "app", "AWSCURRENT", 1, Some(2)).await;
    bench.round_trip().await;
    let found = same_labels(bench, "app").await;
    assert!(found[&id(1)].contains("AWSCURRENT"), "{found:?}");
    let current = bench.client(TARGET).await.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(current.secret_string(), Some("good"), "the newest is not the current one");
}

async fn no_previous(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "current").await;
    put(&source, "app", 2, "beside", &["BESIDE"]).await;
    bench.round_trip().await;
    let found = same_labels(bench, "app").await;
    assert_eq!(found, BTreeMap::from([(id(1), set(&["AWSCURRENT"])), (id(2), set(&["BESIDE"]))]));
}

async fn pending(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "current").await;
    put(&source, "app", 2, "half rotated", &["AWSPENDING"]).await;
    let restored = bench.round_trip().await;
    assert!(planned(&restored.plan, "app").notes.iter().any(|note| note.contains("AWSPENDING")));
    assert_eq!(same_labels(bench, "app").await[&id(2)], set(&["AWSPENDING"]));
}

async fn several_labels(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "one").await;
    put(&source, "app", 2, "two", &["zeta", "AWSCURRENT", "alpha"]).await;
    move_label(&source, "app", "blue", 1, None).await;
    bench.round_trip().await;
    let found = same_labels(bench, "app").await;
    assert_eq!(found[&id(2)], set(&["AWSCURRENT", "alpha", "zeta"]));
    assert!(found[&id(1)].contains("blue"));
}

async fn put_binary(client: &Client, name: &str, number: usize, bytes: &[u8]) {
    let put = client.put_secret_value().secret_id(name).client_request_token(id(number));
    put.secret_binary(Blob::new(bytes)).send().await.unwrap();
}

async fn mixed_kinds(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "text").await;
    put_binary(&source, "app", 2, &[0, 255, 1, 254]).await;
    put(&source, "app", 3, "text again", &[]).await;
    let restored = bench.round_trip().await;
    let kinds: Vec<ValueKind> =
        planned(&restored.plan, "app").desired.versions.iter().map(|version| version.value.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == ValueKind::Bytes).count(), 1);
    let target = bench.client(TARGET).await;
    let binary = target.get_secret_value().secret_id("app").version_id(id(2)).send().await.unwrap();
    assert_eq!(binary.secret_binary().unwrap().as_ref(), [0, 255, 1, 254]);
    assert_eq!(text(&target, "app", 3).await, "text again");
}

async fn binary_text(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    let create = source.create_secret().name("app").client_request_token(id(1));
    create.secret_binary(Blob::new(br#"{"valid":"json"}"#)).send().await.unwrap();
    bench.round_trip().await;
    let found = bench.client(TARGET).await.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(found.secret_string(), None, "bytes do not become text");
    assert_eq!(found.secret_binary().unwrap().as_ref(), br#"{"valid":"json"}"#);
}

async fn odd_bytes(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    let texts = [
        "\u{feff}bom",
        "nul\0inside",
        "line\r\nend\r\n",
        "astral \u{1f6a3}\u{1f3fd}",
        "trailing  \t ",
        "{\"a\":1,\"a\":2, \"b\" : 1.0e5}",
        "$(not run) `nor this`",
        "\n",
    ];
    create(&source, "app", 0, texts[0]).await;
    for (number, value) in texts.iter().enumerate().skip(1) {
        put(&source, "app", number, value, &[]).await;
    }
    bench.round_trip().await;
    let target = bench.client(TARGET).await;
    for (number, value) in texts.iter().enumerate() {
        assert_eq!(text(&target, "app", number).await, *value);
    }
}

async fn largest(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    let two_byte = "é".repeat(32_768);
    assert_eq!(two_byte.len(), 65_536);
    create(&source, "app", 1, &two_byte).await;
    put_binary(&source, "app", 2, &vec![0xA5; 65_536]).await;
    let restored = bench.round_trip().await;
    assert_eq!(restored.verification.values, 2);
    assert_eq!(text(&bench.client(TARGET).await, "app", 1).await, two_byte);
}

async fn scheduled_source(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "stays", 1, "here").await;
    create(&source, "leaves", 1, "carried").await;
    create(&source, "never-read", 1, "x").await;
    source.delete_secret().secret_id("never-read").recovery_window_in_days(7).send().await.unwrap();
    bench.snapshot().await;
    source.delete_secret().secret_id("leaves").recovery_window_in_days(30).send().await.unwrap();
    let report = bench.snapshot().await;
    let named: Vec<_> = report.unreadable.iter().map(|item| (item.name.as_str(), item.reason.as_str())).collect();
    assert_eq!(
        named,
        [("never-read", "ScheduledForDeletion")],
        "being scheduled for deletion is a state of what was read"
    );
    let leaves = record(bench.records(&report.manifest).await, "leaves");
    assert!(matches!(leaves.versions[0].value, ValueState::Stored { .. }), "its value is carried forward");

    let restored = bench.restore(&report, &Options::default()).await.expect_complete();
    assert!(reason(&planned(&restored.plan, "leaves")).contains("scheduled for deletion in the source"));
    let asked = Options { deletion: true, names: vec!["leaves".into(), "never-read".into()], ..Options::default() };
    let restored = bench.restore(&report, &asked).await;
    assert!(restored.verification.passed(), "{:?}", restored.verification.differences);
    assert!(reason(&planned(&restored.plan, "never-read")).contains("not in the backup"));
    let found = bench.client(TARGET).await.describe_secret().secret_id("leaves").send().await.unwrap();
    assert!(found.deleted_date().is_some());
    let again = bench.restore(&report, &asked).await;
    assert_eq!((again.execution.done, &planned(&again.plan, "leaves").outcome), (0, &Outcome::Present));
}

fn record(records: Vec<Record>, name: &str) -> Record {
    records.into_iter().find(|record| record.secret.name == name).expect("it is captured")
}

async fn scheduled_target(bench: &mut Bench) {
    bench.may_destroy();
    let (source, target) = (bench.client(SOURCE).await, bench.client(TARGET).await);
    for name in ["undeleted", "replaced", "same"] {
        create(&source, name, 1, "the backup's").await;
    }
    for (name, number, value) in [("undeleted", 8, "another"), ("replaced", 9, "another"), ("same", 1, "the backup's")]
    {
        create(&target, name, number, value).await;
        target.delete_secret().secret_id(name).recovery_window_in_days(7).send().await.unwrap();
    }
    let arn = target.describe_secret().secret_id("undeleted").send().await.unwrap().arn().unwrap().to_owned();
    let report = bench.snapshot().await;
    let plan = bench.plan(&report, &Options::default()).await;
    for name in ["undeleted", "replaced", "same"] {
        assert!(reason(&planned(&plan, name)).contains("scheduled for deletion in the target"));
        assert_eq!(planned(&plan, name).writes().count(), 0, "nothing by default");
    }

    let undelete = Options {
        names: vec!["undeleted".into(), "same".into()],
        on_scheduled: OnScheduled::Undelete,
        on_conflict: OnConflict::Replace,
        ..Options::default()
    };
    let restored = bench.restore(&report, &undelete).await.expect_complete();
    assert_eq!(planned(&restored.plan, "same").writes().count(), 1, "only taken back");
    let found = target.describe_secret().secret_id("undeleted").send().await.unwrap();
    assert_eq!((found.arn(), found.deleted_date()), (Some(arn.as_str()), None), "it keeps its ARN");
    assert_eq!(text(&target, "undeleted", 1).await, "the backup's");

    let force =
        Options { names: vec!["replaced".into()], on_scheduled: OnScheduled::ForceReplace, ..Options::default() };
    let restored = bench.restore(&report, &force).await.expect_complete();
    assert_eq!(planned(&restored.plan, "replaced").outcome, Outcome::Recreate);
    assert_eq!(labels(&target, "replaced").await.into_keys().collect::<Vec<_>>(), [id(1)]);
}

async fn odd_ids(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "one", 1, "first secret").await;
    create(&source, "two", 1, "second secret").await;
    let long = "x".repeat(64);
    let put = source.put_secret_value().secret_id("one").client_request_token(&long).secret_string("long id");
    put.send().await.unwrap();
    bench.round_trip().await;
    let target = bench.client(TARGET).await;
    assert_eq!(text(&target, "one", 1).await, "first secret");
    assert_eq!(text(&target, "two", 1).await, "second secret");
    assert!(labels(&target, "one").await[&long].contains("AWSCURRENT"));
}

async fn run_again(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "one").await;
    put(&source, "app", 2, "two", &[]).await;
    put(&source, "app", 3, "three", &["GREEN"]).await;
    let report = bench.snapshot().await;
    bench.restore(&report, &Options::default()).await.expect_complete();
    let before = same_labels(bench, "app").await;
    let again = bench.restore(&report, &Options::default()).await.expect_complete();
    assert_eq!(again.execution.done, 0);
    // Every write of the first run once more, as after a crash that lost the answers.
    let target = bench.client(TARGET).await;
    put(&target, "app", 1, "one", &["AWSPREVIOUS"]).await;
    put(&target, "app", 3, "three", &["GREEN"]).await;
    assert_eq!(labels(&target, "app").await, before, "a replayed put moves no label");
    assert_eq!(again.verification.version_counts.get("identical"), Some(&3));
}

async fn suffixed_names(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    for name in ["db", "db-AbCdEf", "db-AbCdEf-xYz123"] {
        create(&source, name, 1, &format!("value of {name}")).await;
    }
    let restored = bench.round_trip().await;
    assert_eq!(restored.verification.secrets, 3);
    let target = bench.client(TARGET).await;
    for name in ["db", "db-AbCdEf", "db-AbCdEf-xYz123"] {
        assert_eq!(text(&target, name, 1).await, format!("value of {name}"));
    }
}

async fn silent_edits(bench: &mut Bench) {
    let source = bench.client(SOURCE).await;
    create(&source, "app", 1, "one").await;
    put(&source, "app", 2, "two", &[]).await;
    bench.snapshot().await;
    move_label(&source, "app", "BLUE", 1, None).await;
    let tag = aws_sdk_secretsmanager::types::Tag::builder().key("team").value("core").build();
    source.tag_resource().secret_id("app").tags(tag).send().await.unwrap();
    let policy = r#"{ "Version":"2012-10-17", "Statement":[] }"#;
    source.put_resource_policy().secret_id("app").resource_policy(policy).send().await.unwrap();
    let report = bench.snapshot().await;
    let captured = record(bench.records(&report.manifest).await, "app");
    assert_eq!(captured.secret.facets.policy.as_deref(), Some(policy));
    assert_eq!(captured.secret.facets.tags.len(), 1);
    assert!(captured.versions.iter().any(|version| version.id == id(1) && version.has("BLUE")));
    let counts = report.manifest.manifest().counts;
    assert_eq!((counts.values_read, counts.values_carried), (0, 2), "and no value is read again for it");
}
