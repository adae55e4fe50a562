//! Every version that a name ever had: with the index key, with sheets, and over a thousand snapshots.

use std::{collections::BTreeSet, time::Instant};

use lifeboat::{
    crypto::Opener,
    emulator::Sandbox,
    glass::{Name, Secrets, timeline},
};
use serde_json::Value as Json;

use crate::{
    command::{Desk, SHEETS},
    glass::Scene,
    layers::Host,
    repo_sample::block_on,
    search::holds,
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

fn put(sandbox: &Sandbox, value: &str) {
    sandbox.control().put(ACCOUNT, REGION, "app/db", value).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_labels_and_sameness_over_snapshots_without_a_value() {
    let marks = ["mark-er-first", "mark-er-second"];
    let days: [&dyn Fn(&Sandbox); 5] = [
        &|sandbox| {
            sandbox.control().put(ACCOUNT, REGION, "app/other", "x").unwrap();
        },
        &|sandbox| put(sandbox, marks[0]),
        &|sandbox| put(sandbox, marks[1]),
        &|sandbox| put(sandbox, marks[0]),
        &|_| {},
    ];
    let scene = Scene::of_days(&days).await;
    let ran = scene.run(&["versions", "app/db", "--json"]).expect(0);
    let told = ran.json();
    assert_eq!((&told["snapshots"], &told["compared"], &told["not_opened"]), (&5.into(), &true.into(), &0.into()));
    let [secret] = &told["secrets"].as_array().unwrap()[..] else { panic!("one secret had the name") };
    assert_eq!((&secret["there"][0]["from"]["number"], &secret["there"][0]["until"]), (&2.into(), &Json::Null));
    let versions = secret["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 3);
    let same: Vec<&Json> = versions.iter().map(|version| &version["same_value"]).collect();
    assert_eq!(same, [&Json::from(1), &2.into(), &1.into()], "the third has the value of the first");
    let labels = |version: &Json, label: &str| {
        let all = version["labels"].as_array().unwrap().iter().filter(|each| each["label"] == label);
        all.map(|each| (each["from"]["number"].as_u64(), each["until"]["number"].as_u64())).collect::<Vec<_>>()
    };
    assert_eq!(labels(&versions[0], "AWSCURRENT"), [(Some(2), Some(3))]);
    assert_eq!(labels(&versions[0], "AWSPREVIOUS"), [(Some(3), Some(4))]);
    assert_eq!(labels(&versions[1], "AWSCURRENT"), [(Some(3), Some(4))]);
    assert_eq!(labels(&versions[2], "AWSCURRENT"), [(Some(4), None)]);
    let text = scene.run(&["history", "app/db"]).expect(0).out;
    let first = versions[0]["version"].as_str().unwrap();
    assert!(
        text.contains(&format!("same as {first}")) && text.contains("different") && text.contains("since 4"),
        "{text}"
    );
    let printed = scene.desk.printed();
    for mark in marks {
        assert!(!holds(&printed, mark), "no value is shown");
    }
    scene.run(&["versions", "app/none"]).expect(2).says("none of 5 snapshots has a secret named app/none");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_key_of_the_host_is_enough_for_everything_but_sameness() {
    let sandbox = crate::cli::estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let told = desk.run("versions app/database --json").expect(0).json();
    assert_eq!((&told["compared"], &told["secrets"][0]["versions"][0]["same_value"]), (&false.into(), &Json::Null));
    let ran = desk.run("versions app/database").expect(0);
    assert!(ran.out.contains("stored") && ran.err.contains("values were not compared"), "{}", ran.err);
    assert_eq!(desk.run(&format!("versions app/database {SHEETS} --json")).expect(0).json()["compared"], true);
    sandbox.shutdown().await;
}

#[test]
fn a_thousand_snapshots_cost_each_part_of_an_index_once() {
    const DAYS: i64 = 1_000;
    let host = Host::with(40, |number| format!("value {number}"));
    block_on(async {
        for day in 1..=DAYS {
            // Something changes every day, and the secret in question every hundred days.
            host.put(&format!("app/{:04}", 1 + day % 39), day, &format!("v{day}"));
            if day % 100 == 0 {
                host.put("app/0000", day, if day % 200 == 0 { "even" } else { "odd" });
            }
            host.run(day).await;
        }
        let (repository, trust) = (&host.sample.repository, host.sample.trust_now().await);
        let mut snapshots = repository.judge(&trust, &[]).await.unwrap().recent(None, usize::MAX).unwrap();
        snapshots.reverse();
        let opener = Opener::Recovery(&host.sample.recovery);
        let began = Instant::now();
        let mut found = timeline(repository, opener, &snapshots, &Name::new("app/0000")).await.unwrap();
        found.compare(&Secrets::new(repository, opener)).await.unwrap();
        let took = began.elapsed();
        let manifests = || snapshots.iter().map(lifeboat::repo::Chosen::manifest);
        let files: BTreeSet<_> = manifests().flat_map(lifeboat::repo::Manifest::index_files).collect();
        let all: usize = manifests().map(|manifest| manifest.index_files().count()).sum();
        println!(
            "{DAYS} snapshots: {} index files read of {} ({all} references) in {took:?}",
            found.files_read,
            files.len()
        );
        assert_eq!(found.snapshots, DAYS.unsigned_abs());
        assert!(found.files_read <= files.len() as u64, "each once");
        let [life] = &found.lives[..] else { panic!("one secret had the name") };
        let values: Vec<Option<u32>> = life.versions.iter().map(|version| version.value).collect();
        assert_eq!(values.len(), 11, "one at first, one each hundred days");
        assert_eq!(values[1..], [2, 3, 2, 3, 2, 3, 2, 3, 2, 3].map(Some));
    });
}
