//! A new key, and what only the old sheets opened: sealed again, whole or not at all.

use std::sync::Arc;

use jiff::Timestamp;
use lifeboat::{
    crypto::RecoveryKey,
    custody::{self, Ceremony, Kind, Pending, Reseal, ResealError, Resealed, Successor},
    emulator::{Fault, FaultKind, FaultWhen, Sandbox},
    progress::Silent,
    repo::{CheckDepth, Repository, Trust, TrustAnchor},
    share::Gathering,
    storage::{Storage, faults::Faults},
};
use serde_json::json;

use crate::{
    cli::estate,
    command::{Desk, SHEETS, files},
    emulator_wire::Wire,
    repo_sample::{Sample, altered, block_on, time, values},
};

const ACCOUNT: &str = "111111111111";
const NEW: &str = "--threshold 2 --custodian Ana --custodian Bo --custodian Fay --custodian Gus --sheets new --yes";
const NEW_SHEETS: &str = "--share new/02-bo.txt --share new/04-gus.txt";

async fn desk() -> (Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

fn rotate(desk: &Desk) {
    desk.run(&format!("custody rotate {NEW}")).expect(0);
    desk.run(&format!("custody rotate --reseal {SHEETS}")).expect(4).says("wait to be read back");
    desk.run("custody rotate --confirm --share new").expect(0);
}

fn deny_values(sandbox: &Sandbox) {
    sandbox.control().add_fault(Fault {
        operation: Some("GetSecretValue".into()),
        secret: Some("app/api".into()),
        account: None,
        region: Some("eu-central-1".into()),
        when: FaultWhen::Always,
        kind: FaultKind::Error { code: "AccessDeniedException".into(), message: "no".into() },
    });
}

fn restores(desk: &Desk, region: &str, sheets: &str, values: u64) {
    let restored = desk.run(&format!("restore --repo west --to aws:{region} --yes --json {sheets}")).expect(0).json();
    assert_eq!(restored["verification"]["values"], values);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_snapshot_opens_with_the_new_sheets_alone_though_the_source_is_gone() {
    let (sandbox, desk) = desk().await;
    desk.run(&format!("custody rotate --reseal {SHEETS}")).expect(5).says("the key in force");
    rotate(&desk);
    sandbox.control().set_region_down("eu-central-1", true);
    desk.run(&format!("restore --repo west --to aws:eu-west-1 --yes {NEW_SHEETS}")).expect(5);
    desk.run("custody rotate --reseal --share sheets/02-bo.txt --share sheets/04-dee.txt").expect(5);
    desk.run(&format!("custody rotate --reseal {NEW_SHEETS}")).expect(5).says("the key in force");
    desk.run(&format!("custody rotate {SHEETS} --threshold 2 --custodian A --custodian B --sheets x --yes")).expect(2);

    let done = desk.run(&format!("custody rotate --reseal --json {SHEETS}")).expect(0);
    assert!(done.err.contains("Older snapshots do not"), "{}", done.err);
    let done = done.json();
    assert_eq!((&done["resealed"][0]["values"], &done["resealed"][0]["sequence"]), (&5.into(), &2.into()));
    assert_eq!(done["resealed"][0]["counts"]["values_carried"], 0);
    desk.run("check --depth index").expect(0);
    restores(&desk, "eu-west-1", NEW_SHEETS, 5);
    let again = desk.run(&format!("custody rotate --reseal --json {SHEETS}")).expect(0).json();
    assert_eq!(again["resealed"].as_array().unwrap().len(), 0, "there is nothing left to do");

    sandbox.control().set_region_down("eu-central-1", false);
    let next = desk.run("snapshot --json").expect(0).json();
    assert_eq!(next["counts"]["values_carried"], 5, "what was sealed again is not read again");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_gives_no_more_is_added_to_what_it_gave() {
    for why in ["denied", "scheduled for deletion"] {
        let (sandbox, desk) = desk().await;
        rotate(&desk);
        if why == "denied" {
            deny_values(&sandbox);
        } else {
            let mut wire = Wire::connect_as(sandbox.address(), ACCOUNT, "eu-central-1").await;
            wire.ok("DeleteSecret", json!({ "SecretId": "app/api" })).await;
        }
        let lacking = desk.run("snapshot --json").expect(3).json();
        assert_eq!(lacking["counts"]["values_read"], 4, "{why}");
        let opened =
            || desk.run(&format!("check --depth values --json {NEW_SHEETS}")).expect(3).json()["values"].clone();
        assert_eq!(opened(), 4, "{why}");
        let done = desk.run(&format!("custody rotate --reseal --json {SHEETS}")).expect(0).json();
        assert_eq!((&done["resealed"][0]["values"], &done["complete"]), (&1.into(), &true.into()), "{why}");
        assert_eq!(opened(), 5, "{why}");
        desk.run("check --depth index").expect(0);
        if why == "denied" {
            restores(&desk, "eu-west-2", NEW_SHEETS, 5);
        }
        sandbox.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_and_rollback_are_refused_and_nothing_is_written() {
    let (sandbox, desk) = desk().await;
    rotate(&desk);
    let before = files(&desk.path("repository/snapshots"));
    let pack = files(&desk.path("repository/packs")).remove(0);
    let mut damaged = pack.1.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(&pack.0, damaged).unwrap();
    desk.run(&format!("custody rotate --reseal {SHEETS}")).expect(6);
    std::fs::write(&pack.0, &pack.1).unwrap();
    assert_eq!(files(&desk.path("repository/snapshots")), before);
    let aside: Vec<_> = before.iter().map(|(path, _)| path).collect();
    for path in aside {
        std::fs::remove_file(path).unwrap();
    }
    desk.run(&format!("custody rotate --reseal {SHEETS}")).expect(4).says("rolled back");
    for (path, bytes) in &before {
        std::fs::write(path, bytes).unwrap();
    }
    desk.run(&format!("custody rotate --reseal {SHEETS}")).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_refuses_to_seal_again_until_it_is_accepted() {
    let (sandbox, desk) = desk().await;
    let state = desk.path("state");
    let aside: Vec<_> = files(&state);
    // A second host that knows nothing of snapshot 2 makes another one of that number.
    let first: Vec<_> = files(&desk.path("repository/snapshots"));
    desk.run("snapshot --no-copy").expect(0);
    let second: Vec<_> =
        files(&desk.path("repository/snapshots")).into_iter().filter(|file| !first.contains(file)).collect();
    for (path, _) in files(&desk.path("repository/turns")).iter().chain(&second) {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    for (path, bytes) in &aside {
        std::fs::write(path, bytes).unwrap();
    }
    desk.run("snapshot --no-copy").expect(0);
    for (path, bytes) in &second {
        std::fs::write(path, bytes).unwrap();
    }
    desk.run(&format!("custody rotate {NEW}")).expect(0);
    // The copy is not brought up to date while the head is not certain.
    desk.run("custody rotate --confirm --share new").expect(3);
    let refused = desk.run(&format!("custody rotate --reseal {SHEETS}")).expect(4);
    let flag = refused.err.lines().find(|line| line.contains("--accept-fault")).unwrap();
    let fault = flag.split("--accept-fault ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    assert!(fault.ends_with(":fork"), "{}", refused.err);
    desk.run(&format!("custody rotate --reseal --accept-fault {}:gap {SHEETS}", fault.trim_end_matches(":fork")))
        .expect(4);
    desk.run(&format!("custody rotate --abort --accept-fault {fault}")).expect(2);
    let done = desk.run(&format!("custody rotate --reseal --accept-fault {fault} --json {SHEETS}")).expect(3).json();
    assert_eq!((&done["resealed"][0]["sequence"], &done["accepted"][0]), (&3.into(), &fault.as_str().into()));
    sandbox.shutdown().await;
}

/// A repository with a snapshot sealed to one key and a later epoch of another.
struct Rotated {
    storage: Storage,
    sample: Sample,
    new: Ceremony,
    anchor: TrustAnchor,
}

impl Rotated {
    fn new() -> Self {
        let storage = Storage::memory();
        let sample = Sample::new(storage.clone(), 2);
        let trust = sample.trust();
        let successor = Successor {
            threshold: 2,
            custodians: ["Ana", "Bo", "Fay"].map(String::from).into(),
            created: time(50),
            paper: custody::Paper::default(),
            contact: lifeboat::custody::Contact::default(),
        };
        let new = custody::rotate(&successor, &trust).unwrap();
        let mut pending = Pending::new(Kind::Rotate, &new);
        for sheet in &new.sheets {
            pending.confirm("x", &sheet.text, time(51)).unwrap();
        }
        block_on(pending.switch(&sample.repository, &trust, &sample.signer)).unwrap();
        let anchor = TrustAnchor { root: new.epoch.root.clone(), recipient: new.epoch.recipient.clone() };
        Self { storage, sample, new, anchor }
    }

    async fn open(&self, storage: &Storage) -> (Repository, Trust) {
        let repository = Repository::open(storage.clone()).await.unwrap();
        let trust = repository.trust(&self.anchor).await.unwrap();
        (repository, trust)
    }

    async fn reseal(&self, storage: Storage) -> Result<Resealed, ResealError> {
        let (repository, trust) = self.open(&storage).await;
        custody::reseal(&Reseal {
            repository: &repository,
            trust: &trust,
            key: &self.sample.recovery,
            index_key: &self.sample.index,
            signer: &self.sample.signer,
            accepted: &[],
            known: None,
            now: Timestamp::from_second(1_790_100_000).unwrap(),
            progress: &Silent,
        })
        .await
    }

    /// The new key, by its last two sheets.
    fn key(&self) -> RecoveryKey {
        let mut gathering = Gathering::new(Vec::new());
        for sheet in &self.new.sheets[1..] {
            gathering.add(&sheet.custodian, &sheet.text).unwrap();
        }
        gathering.quorum().unwrap().recover().unwrap()
    }

    /// Values that the key opens in the newest snapshot, and whether nothing is wrong.
    async fn opens(&self, storage: &Storage, key: &RecoveryKey) -> (u64, bool) {
        let (repository, trust) = self.open(storage).await;
        let report = repository.check(&trust, CheckDepth::Values(key)).await.unwrap();
        (report.values, report.faults.is_empty())
    }
}

#[test]
fn a_run_cut_at_any_write_leaves_the_old_snapshots_whole_and_the_next_one_finishes() {
    let house = Rotated::new();
    let (key, all) = (house.key(), values().len() as u64);
    block_on(async {
        let copy = || altered(&house.storage, |_, bytes| Some(bytes));
        assert_eq!(house.opens(&copy().await, &key).await, (0, true));
        let counted = Arc::new(Faults::none());
        let storage = copy().await;
        house.reseal(storage.clone().with_faults(Arc::clone(&counted))).await.unwrap();
        assert_eq!((counted.puts(), house.opens(&storage, &key).await), (5, (all, true)));
        for n in 1..=5 {
            for faults in [Faults::from_put(n), Faults::put(n), Faults::put_unanswered(n)] {
                let storage = copy().await;
                assert!(house.reseal(storage.clone().with_faults(Arc::new(faults))).await.is_err(), "put {n}");
                assert_eq!(house.opens(&storage, &house.sample.recovery).await, (all, true), "the old sheets still do");
                let (opened, sound) = house.opens(&storage, &key).await;
                assert!(sound && (opened == 0 || opened == all), "put {n}: {opened} is not all or nothing");
                // A turn that was taken: the next run stores that snapshot too.
                let turns = storage.list("turns").await.unwrap().len() as u64;
                let twice = if opened == 0 { turns * all } else { 0 };
                let finished = house.reseal(storage.clone()).await.unwrap();
                assert_eq!(finished.snapshots.is_empty(), opened == all, "only a lost answer had stored the manifest");
                assert_eq!(house.opens(&storage, &key).await, (all + twice, true), "put {n}");
            }
        }
    });
}

#[test]
fn the_new_snapshot_is_the_same_moment_and_the_next_number() {
    let house = Rotated::new();
    block_on(async {
        let done = house.reseal(house.storage.clone()).await.unwrap().snapshots.remove(0);
        let (repository, trust) = house.open(&house.storage).await;
        let chain = repository.chain(&trust).await.unwrap();
        assert_eq!((chain.manifests.len(), chain.faults.len()), (3, 0));
        let (before, after) = (chain.manifests[1].manifest(), chain.head().unwrap().manifest());
        assert_eq!(*after, *done.manifest.manifest());
        assert_eq!((done.of, after.sequence, after.epoch), (before.snapshot, 3, 2));
        assert_eq!((after.time, &after.source), (before.time, &before.source), "the recovery point is the old one");
        assert!(after.packs.new.iter().all(|pack| !before.packs.new.contains(pack)));
        assert_eq!(
            (after.indexes.len(), after.full),
            (1, before.full),
            "a base, and the pass of the snapshot it completes"
        );
        assert_eq!((after.counts.values_read, after.counts.listed), (values().len() as u64, before.counts.listed));
    });
}
