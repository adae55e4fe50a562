//! A drill on a provider in memory: it passes, it can fail in every way, and it leaves nothing behind.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::Clock,
    crypto::Opener,
    drill::{
        self, Approval, Aspect, Digests, DrillError, DrillFile, Opening, Outcome, PLANTS, Plant, Record, Removed,
        Request, State, Trigger, Verdict,
    },
    isolation::Isolation,
    model::{Replica, Rotation, SecretValue},
    progress::Silent,
    provider::{
        Target,
        memory::{HeldVersion, Memory},
    },
    snapshot::Report,
};

use crate::round_trip::{NOW, World, estate, id, secret};

pub const FILE: &str = "scenario = \"a test\"\nevery_days = 31\nowner = \"the owner\"\n[target]\naccount = \"222222222222\"\nregion = \"eu-west-1\"\nprefix = \"drill/\"\n";

/// When a drill begins, by the clock of these tests.
pub const BEGAN: &str = "2026-11-24T07:00:00Z";

/// A clock on which every look takes a second.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let start: Timestamp = NOW.parse().unwrap();
        start.checked_add(SignedDuration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))).unwrap()
    }
}

pub struct Scene {
    pub world: World,
    pub sandbox: Arc<Memory>,
    pub file: DrillFile,
    pub approval: Approval,
    pub plants: Vec<Plant>,
    pub journal: Option<std::path::PathBuf>,
    /// What the drill writes through, where that is not the sandbox itself.
    pub through: Option<Arc<dyn Target>>,
}

/// The estate, captured before one of its secrets was scheduled for deletion, and afterwards.
async fn captured(world: &World, source: &Arc<Memory>) -> Report {
    estate(source);
    source.edit("app/going", |secret| secret.deleted = None);
    world.snapshot(source).await.unwrap();
    source.edit("app/going", |secret| secret.deleted = Some(NOW.parse().unwrap()));
    let report = world.snapshot(source).await.unwrap();
    assert_eq!(report.unreadable, []);
    report
}

impl Scene {
    pub async fn new() -> Self {
        let world = World::new().await;
        let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
        captured(&world, &source).await;
        Self::of(world)
    }

    pub fn of(world: World) -> Self {
        let sandbox = Arc::new(Memory::new("222222222222", "eu-west-1"));
        sandbox.set_time(BEGAN.parse().unwrap());
        let file = DrillFile::parse(FILE).unwrap();
        let (operator, how, time) = ("tester".into(), "--yes".into(), NOW.parse().unwrap());
        let approval = Approval { operator, how, time, ..Approval::default() };
        Self { world, sandbox, file, approval, plants: PLANTS.to_vec(), journal: None, through: None }
    }

    pub async fn drill(&self, spoil: &(dyn Fn() + Sync)) -> Result<Outcome, DrillError> {
        self.drill_until(spoil, std::future::pending()).await
    }

    async fn drill_until(
        &self,
        spoil: &(dyn Fn() + Sync),
        stop: impl Future<Output = ()>,
    ) -> Result<Outcome, DrillError> {
        self.with(spoil, async |request| {
            let ready = drill::preflight(request).await?;
            let approval = self.approval.clone();
            let opening = Opening::Quorum { key: &self.world.key, custodians: vec!["Ana".into(), "Bo".into()] };
            Box::pin(drill::hold(request, ready, approval, &opening, stop)).await
        })
        .await
    }

    /// Removes what drills left, without holding one.
    pub async fn clean(&self) -> Result<Removed, DrillError> {
        self.with(&|| {}, async |request| {
            let ready = drill::preflight(request).await?;
            Box::pin(drill::clean(request, ready, Opener::Index(&self.world.index_key))).await
        })
        .await
    }

    async fn with<T>(
        &self,
        spoil: &(dyn Fn() + Sync),
        work: impl AsyncFnOnce(&Request<'_>) -> Result<T, DrillError>,
    ) -> Result<T, DrillError> {
        let past = drill::judge(self.world.repository.drills().await.unwrap(), &self.world.trust);
        assert!(past.iter().all(|past| past.fault.is_none()));
        let request = Request {
            name: "test",
            file: &self.file,
            digests: Digests::default(),
            repository: &self.world.repository,
            is_copy: false,
            trust: &self.world.trust,
            remembered: &[],
            expected: None,
            accepted: &[],
            target: self.through.clone().unwrap_or_else(|| self.sandbox.clone()),
            readback: self.sandbox.clone(),
            allowed_accounts: &["222222222222".to_owned()],
            canaries: &[],
            isolation: &Isolation::default(),
            signer: &self.world.signer,
            past: &past,
            plants: &self.plants,
            journal: self.journal.as_deref(),
            clock: &Ticking(AtomicI64::new(3600)),
            progress: &Silent,
            before_verify: spoil,
        };
        work(&request).await
    }

    /// A drill whose process ends after its restore, before anything is cleaned up.
    pub async fn kill(&self) {
        use futures::FutureExt as _;
        let killed = std::panic::AssertUnwindSafe(self.drill(&|| std::panic::resume_unwind(Box::new("killed"))));
        assert!(killed.catch_unwind().await.is_err());
    }

    pub async fn record(&self, spoil: &(dyn Fn() + Sync)) -> Record {
        let outcome = self.drill(spoil).await.unwrap();
        assert!(outcome.error.is_none());
        assert_eq!(Record::parse(&outcome.stored.bytes).unwrap(), outcome.record);
        outcome.record
    }
}

fn failed(record: &Record) -> Vec<Aspect> {
    record.checks.iter().filter(|check| check.state == State::Failed).map(|check| check.name).collect()
}

#[tokio::test]
async fn a_drill_passes_cleans_up_and_is_chained() {
    let scene = Scene::new().await;
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, &record.deviations), (Verdict::Passed, &vec![]));
    assert_eq!((record.clean_up.created, record.clean_up.destroyed), (3, 3));
    assert!(scene.sandbox.names().is_empty());
    let counted = |name| record.checks.iter().find(|check| check.name == name).unwrap();
    for (name, expected) in [
        (Aspect::Completeness, 11),
        (Aspect::Ids, 6),
        (Aspect::Values, 5),
        (Aspect::Binary, 1),
        (Aspect::Labels, 6),
        (Aspect::Tags, 5),
        (Aspect::Descriptions, 3),
        (Aspect::Policies, 1),
        (Aspect::Key, 0),
        (Aspect::Rotation, 0),
        (Aspect::Replicas, 0),
    ] {
        let check = counted(name);
        assert_eq!((check.expected, check.compared, check.equal), (expected, expected, expected), "{name:?}");
        let state = if expected > 0 { State::Passed } else { State::NotApplicable };
        assert_eq!((check.state, check.missing, check.unexpected, check.chosen), (state, 0, 0, true), "{name:?}");
    }
    assert_eq!(record.negative_controls.iter().filter(|control| control.state == State::Passed).count(), 16);
    assert_eq!((record.sample.population, record.sample.planned, record.sample.restored), (4, 3, 3));
    assert_eq!(record.isolation.looked_up, Some(4), "every name of the plan, and none existed");
    assert_eq!(record.left_out[0].reason, "scheduled for deletion in the source");
    let names: Vec<_> = record.phases.iter().map(|phase| phase.name.as_str()).collect();
    let expected =
        ["select", "preflight", "approve", "fetch", "open", "plan", "restore", "verify", "controls", "clean up"];
    assert_eq!(names, expected);
    assert!(record.phases.windows(2).all(|two| two[0].end <= two[1].start && two[0].start <= two[0].end));
    assert_eq!(record.opening.custodians, ["Ana", "Bo"]);
    assert!((record.rpo_seconds - 3600.0).abs() < 0.001);

    let second = scene.record(&|| {}).await;
    assert!(second.previous.is_some());
    assert_eq!((second.history.drills, second.history.passed), (1, 1));
    let third = scene.record(&|| scene.sandbox.remove("drill/app/single")).await;
    assert_eq!((third.result, third.history.drills), (Verdict::Failed, 2));
}

#[tokio::test]
async fn each_thing_by_itself_makes_the_drill_fail_and_is_named() {
    let text = |value: &str, stages: &[&str]| vec![HeldVersion::text(&id(1), stages, value)];
    let good = "same id, other secret";
    let spoils: [(&[Aspect], &(dyn Fn(&Memory) + Sync)); 10] = [
        (&[Aspect::Values], &|to| to.insert(marked(to, "single"), text("same id, other secre.", &["AWSCURRENT"]))),
        (&[Aspect::Labels], &|to| to.insert(marked(to, "single"), text(good, &["AWSCURRENT", "EXTRA"]))),
        (&[Aspect::Ids], &|to| {
            let mut versions = text(good, &["AWSCURRENT"]);
            versions.push(HeldVersion::text(&id(2), &[], "more"));
            to.insert(marked(to, "single"), versions);
        }),
        (&[Aspect::Tags], &|to| to.edit("drill/app/database", |secret| secret.facets.tags[1].value = "x".into())),
        (&[Aspect::Descriptions], &|to| to.edit("drill/app/database", |secret| secret.facets.description = None)),
        (&[Aspect::Policies], &|to| to.edit("drill/app/database", |secret| secret.facets.policy = None)),
        (&[Aspect::Binary], &|to| to.insert(marked(to, "database"), database(b"{\"text\":2}"))),
        (&[Aspect::Key], &|to| to.edit("drill/app/single", |secret| secret.facets.key = Some("alias/x".into()))),
        (&[Aspect::Rotation], &|to| to.edit("drill/app/single", |secret| secret.facets.rotation = Some(rotation()))),
        (&[Aspect::Replicas], &|to| to.edit("drill/app/single", |secret| secret.facets.replicas.push(replica()))),
    ];
    for (aspects, spoil) in spoils {
        let scene = Scene::new().await;
        let record = scene.record(&|| spoil(&scene.sandbox)).await;
        assert_eq!((record.result, failed(&record)), (Verdict::Failed, aspects.to_vec()), "{:?}", record.differences);
        assert_eq!(record.deviations.len(), 1, "{:?}", record.deviations);
        assert_eq!(record.deviations[0].owner.as_deref(), Some("the owner"));
        assert!(record.deviations[0].retest.is_some());
        assert!(scene.sandbox.names().is_empty(), "{:?}", scene.sandbox.names());
    }
}

/// The secret as the drill made it, its tag included.
fn marked(sandbox: &Memory, name: &str) -> lifeboat::model::Secret {
    let mut found = None;
    sandbox.edit(&format!("drill/app/{name}"), |secret| found = Some(secret.clone()));
    found.unwrap()
}

fn database(binary: &[u8]) -> Vec<HeldVersion> {
    vec![
        HeldVersion::text(&id(1), &[], "one\r\n"),
        HeldVersion::text(&id(2), &["AWSCURRENT", "BLUE", "GREEN"], "zwei — \u{1f6a3}\0 "),
        HeldVersion::text(&id(3), &["AWSPREVIOUS"], "{\"a\":1,\"a\":2}"),
        HeldVersion::text(&id(4), &[], ""),
        HeldVersion { value: Some(SecretValue::bytes(binary.to_vec())), ..HeldVersion::text(&id(5), &["ROLL"], "") },
    ]
}

fn rotation() -> Rotation {
    Rotation { enabled: true, lambda: None, schedule: None, window: None, after_days: None }
}

fn replica() -> Replica {
    Replica { region: "us-east-1".into(), key: None, status: None }
}

/// As it was seen: without `ids` a missing secret passed, "24 of 24".
#[tokio::test]
async fn a_secret_that_is_missing_fails_every_drill_whatever_it_checks() {
    for run in [&[Aspect::Values][..], &[Aspect::Labels], &[Aspect::Binary], &[Aspect::Values, Aspect::Policies]] {
        let mut scene = Scene::new().await;
        scene.file.checks.run = run.to_vec();
        assert_eq!(scene.record(&|| {}).await.result, Verdict::Passed, "{run:?}");
        let record = scene.record(&|| scene.sandbox.remove("drill/app/single")).await;
        assert_eq!((record.result, record.sample.planned, record.sample.restored), (Verdict::Failed, 3, 2), "{run:?}");
        let unread = record.deviations.iter().find(|it| it.what == "not every restored secret was read back").unwrap();
        assert_eq!(unread.cause, "1 of 3 are missing or cannot be read");
        assert_eq!((record.differences.len(), record.differences[0].what.as_str()), (1, "missing"));
        let values = record.checks.iter().find(|check| check.name == Aspect::Values).unwrap();
        let numbers = (values.expected, values.compared, values.equal, values.missing);
        assert_eq!(numbers, if values.chosen { (5, 4, 4, 1) } else { (5, 0, 0, 0) }, "{run:?}");
        let planted = |state| record.negative_controls.iter().filter(|control| control.state == state).count();
        assert_eq!(planted(State::Failed) + planted(State::NotRun), 0);
        assert!(planted(State::NotApplicable) > 0, "what no check looks at is not planted");
        assert_eq!(
            (record.negative_controls[0].planted.as_str(), record.negative_controls[0].state),
            ("a missing secret", State::Passed)
        );
    }
}

#[tokio::test]
async fn what_the_target_does_not_let_be_read_is_not_run_and_the_drill_fails() {
    let mut scene = Scene::new().await;
    scene.file.checks.run = vec![Aspect::Ids, Aspect::Values];
    let record = scene.record(&|| scene.sandbox.refuse("drill/app/single", "GetSecretValue", "AccessDenied")).await;
    let values = record.checks.iter().find(|check| check.name == Aspect::Values).unwrap();
    assert_eq!((values.state, values.expected, values.compared, values.equal), (State::NotRun, 5, 4, 4));
    assert_eq!(record.result, Verdict::Failed);
    let said: Vec<_> = record.deviations.iter().map(|it| (it.what.as_str(), it.cause.as_str())).collect();
    assert_eq!(said, [("check \"values\" did not run to its end", "1 of 5 could not be compared")]);
}

#[tokio::test]
async fn approver_trigger_ticket_and_reviews_are_in_the_record() {
    let mut scene = Scene::new().await;
    scene.approval.approver = Some("head of security".into());
    scene.approval.ticket = Some("OPS-7".into());
    scene.approval.trigger = Trigger::Scheduled;
    let first = scene.drill(&|| scene.sandbox.remove("drill/app/single")).await.unwrap();
    assert_eq!(first.record.approval, scene.approval);
    assert!(first.record.deviations.iter().all(|it| it.ticket.as_deref() == Some("OPS-7")));
    assert!(String::from_utf8_lossy(&first.stored.bytes).contains("\"trigger\": \"scheduled\""));

    let review = |record: &str, reviewer: &str, date: &str| drill::ReviewSection {
        record: record.into(),
        reviewer: reviewer.into(),
        date: date.parse().unwrap(),
        note: Some("the runbook is mended".into()),
    };
    let name = first.stored.name.clone();
    scene.approval.approver = Some("Tester".into());
    scene.file.reviews = vec![
        review(&name, "auditor", "2026-11-24"),
        review(&name, "tester", "2026-11-24"),
        review(&name, "auditor", "2026-11-23"),
        review(&name, "auditor", "2026-11-26"),
        review("20260101T000000Z-00000000", "auditor", "2026-11-24"),
    ];
    let record = scene.record(&|| {}).await;
    assert_eq!(record.result, Verdict::Passed, "a deviation of the paperwork is named and fails nothing");
    assert_eq!(record.reviews.iter().map(|it| it.reviewer.as_str()).collect::<Vec<_>>(), ["auditor"]);
    let causes: Vec<_> = record.deviations.iter().map(|it| it.cause.as_str()).collect();
    let expected = [
        "tester ran the drill, so they cannot review it",
        "2026-11-23 is before the drill",
        "2026-11-26 is in the future",
        "this plan has no such record, or the record does not verify",
        "Tester",
    ];
    assert_eq!(causes, expected);
    assert_eq!(record.deviations[4].what, "the approver is the operator");
    let page = drill::report::html(&record, &[]);
    for words in ["auditor on 2026-11-24", "OPS-7", "started by a timer", "4 names of the plan were checked"] {
        assert!(page.contains(words), "{words}");
    }
}

#[tokio::test]
async fn a_check_that_is_not_run_is_recorded_as_such() {
    let mut scene = Scene::new().await;
    scene.file.checks.run = vec![Aspect::Values, Aspect::Ids];
    let record = scene.record(&|| scene.sandbox.edit("drill/app/database", |secret| secret.facets.policy = None)).await;
    assert_eq!(record.result, Verdict::Passed);
    let not_run = record.checks.iter().filter(|check| check.state == State::NotRun).count();
    assert_eq!((not_run, record.differences.len()), (9, 0));
}

#[tokio::test]
async fn probes_objectives_and_leftovers_make_it_fail() {
    let probe = |command: &str| {
        format!(
            "{FILE}[[probe]]\nname = \"login\"\nsecret = \"app/single\"\ncommand = [\"/bin/sh\", \"-c\", {command:?}]\ntime_limit = \"2s\"\n"
        )
    };
    let mut scene = Scene::new().await;
    scene.file = DrillFile::parse(&probe("test \"$(cat)\" = 'same id, other secret'")).unwrap();
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, record.probes[0].state), (Verdict::Passed, State::Passed));
    for (command, detail) in [("exit 3", "ended with 3, not with 0"), ("sleep 9", "did not end within 2s")] {
        scene.file = DrillFile::parse(&probe(command)).unwrap();
        let record = scene.record(&|| {}).await;
        assert_eq!((record.result, record.probes[0].detail.as_str()), (Verdict::Failed, detail));
    }
    scene.file = DrillFile::parse(&probe("true").replace("app/single", "app/nobody")).unwrap();
    assert_eq!(scene.record(&|| {}).await.probes[0].state, State::NotRun);

    for (objective, what) in [("rto = \"1s\"", "the RTO was missed"), ("rpo = \"59m\"", "the RPO was missed")] {
        scene.file = DrillFile::parse(&format!("{FILE}[objectives]\n{objective}\n")).unwrap();
        let record = scene.record(&|| {}).await;
        assert_eq!((record.result, record.deviations[0].what.as_str()), (Verdict::Failed, what));
    }
    scene.file = DrillFile::parse(&format!("{FILE}[objectives]\nrto = \"1h\"\nrpo = \"1h\"\n")).unwrap();
    assert_eq!(scene.record(&|| {}).await.result, Verdict::Passed);

    scene.sandbox.refuse("drill/app/single", "DeleteSecret", "AccessDeniedException");
    let record = scene.record(&|| {}).await;
    assert_eq!(
        (record.result, record.clean_up.left_over.as_slice()),
        (Verdict::Failed, ["drill/app/single".to_owned()].as_slice())
    );
    assert!(matches!(scene.drill(&|| {}).await, Err(DrillError::NotEmpty(name)) if name == "drill/app/single"));
    scene.sandbox.heal();
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, record.isolation.leftovers_removed), (Verdict::Passed, 1));
}

#[tokio::test]
async fn a_fault_that_is_not_caught_and_no_fault_at_all_make_it_void() {
    let mut scene = Scene::new().await;
    let planted = scene.record(&|| {}).await.negative_controls;
    for (place, name) in planted.into_iter().map(|control| control.planted).enumerate() {
        scene.plants = drill::PLANTS.to_vec();
        scene.plants[place] = Plant::TestOnlyMissed(place);
        let record = scene.record(&|| {}).await;
        assert_eq!(record.result, Verdict::Void, "{name}");
        let said: Vec<_> = record.deviations.iter().map(|it| (it.what.as_str(), it.cause.as_str())).collect();
        assert_eq!(said, [("a planted fault was not caught", name.as_str())]);
    }
    scene.plants.clear();
    assert_eq!(scene.record(&|| {}).await.result, Verdict::Void);
}

#[tokio::test]
async fn nothing_compared_is_never_a_pass() {
    let mut scene = Scene::new().await;
    scene.file =
        DrillFile::parse(&format!("{FILE}[restore]\nwhat = \"canaries\"\ncanaries = [\"nobody/*\"]\n")).unwrap();
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, record.sample.chosen), (Verdict::Failed, 0));
    assert_eq!(record.deviations[0].what, "no compared value, id or label was equal");

    scene.file = DrillFile::parse(&format!("{FILE}[checks]\nrun = [\"completeness\", \"tags\"]\n")).unwrap();
    assert_eq!(scene.record(&|| {}).await.result, Verdict::Failed, "tags alone prove nothing about values");
}

#[tokio::test]
async fn what_could_not_be_captured_makes_it_partial() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    estate(&source);
    source.refuse("app/single", "GetSecretValue", "DecryptionFailure");
    let report: Report = world.snapshot(&source).await.unwrap();
    assert_eq!(report.unreadable.len(), 2, "and what is scheduled for deletion");
    let record = Scene::of(world).record(&|| {}).await;
    assert_eq!(record.result, Verdict::Partial);
    assert!(record.not_restored.iter().any(|it| it.reason.contains("DecryptionFailure")));
    assert_eq!(record.inventory.unreadable.len(), 2);
}

#[tokio::test]
async fn stopped_or_late_it_cleans_up_and_says_so() {
    let scene = Scene::new().await;
    let outcome = scene.drill_until(&|| {}, std::future::ready(())).await.unwrap();
    assert_eq!(outcome.record.result, Verdict::Aborted);
    let mut scene = Scene::new().await;
    scene.file.time_limit = SignedDuration::from_nanos(1);
    let record = scene.record(&|| std::thread::sleep(std::time::Duration::from_millis(30))).await;
    assert_eq!(record.result, Verdict::TimedOut);
    assert!(record.deviations[0].what.contains("time limit") && scene.sandbox.names().is_empty());
}

#[tokio::test]
async fn a_target_that_fails_midway_is_recorded_and_cleaned_up() {
    for calls in 2..12 {
        let scene = Scene::new().await;
        scene.sandbox.fail_after(calls);
        let outcome = scene.drill(&|| scene.sandbox.heal()).await;
        scene.sandbox.heal();
        if let Ok(outcome) = outcome {
            assert_ne!(outcome.record.result, Verdict::Void);
            assert!(outcome.error.is_none() || outcome.record.result == Verdict::Failed);
        }
        let next = scene.record(&|| {}).await;
        assert_eq!(next.result, Verdict::Passed, "after {calls} calls");
        assert!(scene.sandbox.names().is_empty());
    }
}

#[tokio::test]
async fn a_sandbox_that_is_none_or_is_full_is_left_alone() {
    let mut scene = Scene::new().await;
    scene.sandbox.insert(secret("drill/app/single"), vec![HeldVersion::text(&id(1), &["AWSCURRENT"], "kept")]);
    assert!(matches!(scene.drill(&|| {}).await, Err(DrillError::NotEmpty(_))));
    assert!(scene.sandbox.holds("drill/app/single", &id(1), &SecretValue::text("kept".into())));
    for (account, region, says) in [
        ("111111111111", "ap-southeast-2", "another account"),
        ("333333333333", "eu-west-1", "not in [drill] accounts"),
    ] {
        scene.sandbox = Arc::new(Memory::new(account, region));
        match scene.drill(&|| {}).await {
            Err(DrillError::NotASandbox(reasons)) => assert!(reasons.join(" ").contains(says), "{reasons:?}"),
            _ => panic!("{account} was taken"),
        }
        assert!(scene.sandbox.names().is_empty());
    }
    assert!(scene.world.repository.drills().await.unwrap().is_empty(), "what did not take place has no record");
}

#[tokio::test]
async fn a_drill_that_was_killed_is_recorded_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new().await;
    scene.journal = Some(folder.path().join("drill.json"));
    let journal = scene.journal.clone().unwrap();
    let copy = folder.path().join("copy.json");
    scene.kill().await;
    std::fs::copy(&journal, &copy).unwrap();
    assert_eq!(scene.sandbox.names().len(), 3);

    let outcome = scene.drill(&|| {}).await.unwrap();
    assert_eq!(outcome.record.result, Verdict::Passed);
    let aborted = Record::parse(&outcome.aborted.unwrap().bytes).unwrap();
    assert_eq!((aborted.result, aborted.clean_up.destroyed), (Verdict::Aborted, 3));
    assert!(aborted.deviations[0].what.contains("restore"), "{:?}", aborted.deviations);
    assert!(scene.sandbox.names().is_empty() && !journal.exists());
    // The end between the record and the forgetting of the journal: nothing is recorded twice.
    std::fs::copy(&copy, &journal).unwrap();
    assert!(scene.drill(&|| {}).await.unwrap().aborted.is_none());
    let past = drill::judge(scene.world.repository.drills().await.unwrap(), &scene.world.trust);
    assert!(past.iter().all(|past| past.fault.is_none()));
}

#[tokio::test]
async fn redacted_records_name_nothing() {
    let mut scene = Scene::new().await;
    scene.file.report.redact_names = true;
    scene.sandbox.refuse("drill/app/empty", "CreateSecret", "AccessDeniedException");
    let record = scene.record(&|| scene.sandbox.edit("drill/app/database", |secret| secret.facets.policy = None)).await;
    assert_eq!(record.differences.iter().find(|found| found.what == "policy").unwrap().name, "secret 1");
    assert!(record.not_restored[0].reason.contains("secret 2"), "{:?}", record.not_restored);
    let text = String::from_utf8(record.to_bytes()).unwrap();
    assert!(!text.contains("app/database") && !text.contains("app/empty"), "{text}");
}

#[tokio::test]
async fn an_index_that_holds_less_than_the_manifest_says_fails_and_nothing_else_is_wrong() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    let report = captured(&world, &source).await;
    let mut stated = report.manifest.manifest().clone();
    (stated.sequence, stated.previous) = (3, Some(report.manifest.digest()));
    stated.snapshot = lifeboat::model::SnapshotId::from_bytes([7; 16]);
    (stated.counts.captured, stated.counts.listed) = (stated.counts.captured + 1, stated.counts.listed + 1);
    world.repository.put_manifest(stated, &world.signer).await.unwrap();
    let record = Scene::of(world).record(&|| {}).await;
    assert_eq!((record.result, failed(&record)), (Verdict::Failed, vec![Aspect::Completeness]));
    assert_eq!(record.deviations.len(), 1, "{:?}", record.deviations);
}

/// A server that answers one request after another and keeps their first lines and bodies.
fn listener(answer: &'static str) -> (String, std::sync::mpsc::Receiver<(String, String)>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = found.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            write!(stream.get_mut(), "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if sender.send((first.trim().to_owned(), String::from_utf8(body).unwrap())).is_err() {
                break;
            }
        }
    });
    (url, heard)
}

fn notifier(command: &[&str], on: Vec<drill::On>) -> drill::Notifier {
    let command = command.iter().map(ToString::to_string).collect();
    drill::Notifier { command, time_limit: SignedDuration::from_secs(30), on }
}

/// A webhook is curl with the summary on its stdin, and the summary has the `text` that chats show.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_and_one_that_refuses_is_reported() {
    for (answer, faults) in [("200 OK", 0), ("500 Broken", 1)] {
        let (url, heard) = listener(answer);
        let hook = notifier(&["curl", "--fail", "--silent", "--data", "@-", &format!("{url}/hook")], vec![]);
        let summary = serde_json::json!({ "text": "drill passed" });
        let found = drill::tell(&[hook], drill::On::Success, &summary).await;
        assert_eq!(found.len(), faults, "{found:?}");
        assert_eq!(heard.recv().unwrap(), ("POST /hook HTTP/1.1".into(), "{\"text\":\"drill passed\"}".into()));
    }
}

/// A monitor that waits for a ping hears of the start, and then of a success or a failure, never of both.
#[tokio::test(flavor = "multi_thread")]
async fn pings_of_start_success_and_failure_each_go_where_they_should() {
    let (url, heard) = listener("200 OK");
    let ping = |path: &str, on| notifier(&["curl", "--fail", "--silent", &format!("{url}/check{path}")], vec![on]);
    let pings = [ping("/start", drill::On::Start), ping("", drill::On::Success), ping("/fail", drill::On::Failure)];
    for (on, path) in
        [(drill::On::Start, "/check/start"), (drill::On::Success, "/check"), (drill::On::Failure, "/check/fail")]
    {
        assert_eq!(drill::tell(&pings, on, &serde_json::json!({})).await, Vec::<String>::new());
        assert_eq!(heard.recv().unwrap().0, format!("GET {path} HTTP/1.1"));
        assert!(heard.try_recv().is_err(), "one ping only");
    }
}

/// SNS is the aws command, which signs the request and reads the summary from its stdin.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_gets_the_summary() {
    let moto = crate::servers::Moto::start();
    let aws = crate::servers::program("aws").display().to_string();
    let env = ["env", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=s", "AWS_DEFAULT_REGION=eu-west-1", aws.as_str()];
    let endpoint = ["--endpoint-url", moto.endpoint.as_str(), "sns"];
    let run = |words: &[&str]| {
        let words: Vec<&str> = env.iter().chain(&endpoint).chain(words).copied().collect();
        std::process::Command::new(words[0]).args(&words[1..]).output().unwrap()
    };
    assert!(run(&["create-topic", "--name", "drills"]).status.success());
    for (topic, faults) in [("drills", 0), ("nowhere", 1)] {
        let arn = format!("arn:aws:sns:eu-west-1:123456789012:{topic}");
        let publish = ["publish", "--topic-arn", &arn, "--message", "file:///dev/stdin"];
        let words: Vec<&str> = env.iter().chain(&endpoint).chain(&publish).copied().collect();
        let summary = serde_json::json!({ "text": "drill passed" });
        let found = drill::tell(&[notifier(&words, vec![])], drill::On::Success, &summary).await;
        assert_eq!(found.len(), faults, "{topic}: {found:?}");
    }
}
