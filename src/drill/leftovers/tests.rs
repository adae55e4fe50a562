use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::*;
use crate::{
    crypto::Signer,
    drill::{journal::Intent, own::Planned},
    model::{Existing, Facets, Place, RepositoryId, SecretValue, Tag},
    progress::Silent,
    provider::{
        Applied,
        memory::{HeldVersion, Memory},
    },
};

fn sandbox() -> (Memory, Marker, Run) {
    let place = Place { provider: "aws".into(), account: "222222222222".into(), region: "eu-west-1".into() };
    let marker = Marker::new(&Signer::generate(), RepositoryId::from_bytes([3; 16]), place);
    let (drill, snapshot) = (SnapshotId::from_bytes([1; 16]), SnapshotId::from_bytes([2; 16]));
    let run = Run { drill, started: "2026-11-24T07:00:00Z".parse().unwrap(), snapshot };
    (Memory::new("222222222222", "eu-west-1"), marker, run)
}

fn put(memory: &Memory, name: &str, tag: Option<Tag>, version: &str) -> String {
    let id = format!("arn:aws:secretsmanager:eu-west-1:222222222222:secret:{name}-AbCdEf");
    let facets = Facets { tags: tag.into_iter().collect(), ..Facets::default() };
    let created = Some("2026-11-24T07:00:01Z".parse().unwrap());
    let secret = Secret { name: name.into(), id: id.clone(), facets, created, ..Secret::default() };
    memory.insert(secret, vec![HeldVersion::text(version, &["AWSCURRENT"], "x")]);
    id
}

fn at<'a>(memory: &'a Memory, marker: &'a Marker) -> Sandbox<'a> {
    Sandbox { target: memory, readback: memory, marker, prefix: "drill/" }
}

#[tokio::test]
async fn what_has_the_tag_is_a_leftover_or_is_named_and_other_prefixes_are_left_out() {
    let (memory, marker, run) = sandbox();
    let own = put(&memory, "drill/own", Some(marker.tag(&run, "drill/own")), "v");
    put(&memory, "drill/copied", Some(marker.tag(&run, "drill/own")), "v");
    put(&memory, "other/copied", Some(marker.tag(&run, "drill/own")), "v");
    put(&memory, "drill/plain", None, "v");
    for name in ["drill/hidden", "other/hidden"] {
        put(&memory, name, Some(marker.tag(&run, name)), "v");
        memory.refuse(name, "DescribeSecret", "AccessDeniedException");
    }
    let left = at(&memory, &marker).find(None).await.unwrap();
    let leftover = Leftover { name: "drill/own".into(), id: own, run, answered: false };
    let others = [("drill/copied".to_owned(), NotOwn::Forged), ("drill/hidden".to_owned(), NotOwn::Hidden)].into();
    assert_eq!(left, Left { own: vec![leftover], others });
}

/// What a killed drill was about to create, with the identifiers that were answered.
fn unfinished(run: Run, made: &[(&str, bool, Option<&str>)]) -> Unfinished {
    let mut record = crate::drill::plain::record();
    (record.drill, record.started, record.snapshot) = (run.drill, run.started, run.snapshot);
    let intent = |(name, has_room, id): &(&str, bool, Option<&str>)| {
        ((*name).to_owned(), Intent { has_room: *has_room, id: id.map(Into::into) })
    };
    Unfinished { record, made: made.iter().map(intent).collect(), embedded: false }
}

#[tokio::test]
async fn what_a_killed_drill_created_is_told_by_its_journal_and_named_once() {
    let (memory, marker, run) = sandbox();
    let marked = |name: &str| put(&memory, name, Some(marker.tag(&run, name)), "v");
    let (answered, unanswered) = (marked("drill/answered"), marked("drill/unanswered"));
    let full = put(&memory, "drill/full", None, "v");
    put(&memory, "drill/theirs", Some(marker.tag(&run, "drill/another")), "v");
    let journal = unfinished(
        run,
        &[
            ("drill/answered", true, Some(&answered)),
            ("drill/full", false, Some(&full)),
            ("drill/never", true, None),
            ("drill/theirs", true, None),
            ("drill/unanswered", true, None),
        ],
    );
    let left = at(&memory, &marker).find(Some(&journal)).await.unwrap();
    let leftover = |name: &str, id, answered| Leftover { name: name.into(), id, run, answered };
    let own = vec![
        leftover("drill/answered", answered, true),
        leftover("drill/full", full, true),
        leftover("drill/unanswered", unanswered, false),
    ];
    assert_eq!(left, Left { own, others: [("drill/theirs".to_owned(), NotOwn::Forged)].into() });
}

#[tokio::test]
async fn a_listing_that_lags_names_nothing_and_only_what_it_shows_with_the_tag_is_looked_at() {
    let (memory, marker, run) = sandbox();
    let tag = || Some(marker.tag(&run, "drill/own"));
    let own = put(&memory, "drill/own", tag(), "v");
    let team = Tag { key: "team".into(), value: "core".into() };
    memory.edit("drill/own", |secret| secret.facets.tags.push(team.clone()));
    put(&memory, "drill/plain", None, "v");
    put(&memory, "drill/tagged", Some(team), "v");
    put(&memory, "drill/untagged", None, "v");
    // The listing still shows a tag that is gone.
    let (behind, ..) = sandbox();
    for (name, tag) in [("drill/own", tag()), ("drill/plain", None), ("drill/untagged", tag())] {
        put(&behind, name, tag, "v");
    }
    let sandbox = Sandbox { readback: &behind, ..at(&memory, &marker) };
    let left = sandbox.find(None).await.unwrap();
    let leftover = Leftover { name: "drill/own".into(), id: own, run, answered: false };
    assert_eq!(left, Left { own: vec![leftover.clone()], others: BTreeMap::new() });
    assert_eq!(memory.calls(), 2, "one look at each that has the tag in the listing");
    assert_eq!(at(&memory, &marker).find(None).await.unwrap().own, [leftover]);
    assert_eq!(memory.calls(), 2 + 2, "a listing and one look");
    memory.fail_after(1);
    assert_eq!(at(&memory, &marker).find(None).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_leftover_is_proven_by_the_versions_of_its_snapshot() {
    let (memory, marker, run) = sandbox();
    let leftover = |name: &str, id: String, answered| Leftover { name: name.into(), id, run, answered };
    let fits = put(&memory, "drill/fits", None, "v1");
    let grown = put(&memory, "drill/grown", None, "v9");
    let answered = put(&memory, "drill/answered", None, "v9");
    let record = |name: &str| Record {
        secret: Secret { name: name.into(), ..Secret::default() },
        versions: Vec::new(),
        read: jiff::Timestamp::UNIX_EPOCH,
        listing: None,
    };
    let existing = memory.look_up("drill/fits").await.unwrap().unwrap();
    let records = vec![Record { versions: existing.versions, ..record("fits") }, record("grown"), record("gone")];
    let all = vec![
        leftover("drill/fits", fits, false),
        leftover("drill/grown", grown, false),
        leftover("drill/answered", answered, true),
        leftover("drill/gone", "arn:gone".into(), false),
        // Something else has its name by now: it has lost it.
        leftover("drill/grown", "arn:renamed".into(), false),
    ];
    let mut left = Left { own: all.clone(), others: BTreeMap::new() };
    at(&memory, &marker).prove(&mut left, &[(run.snapshot, records)].into()).await.unwrap();
    let names: Vec<&str> = left.own.iter().map(|leftover| leftover.name.as_str()).collect();
    assert_eq!(names, ["drill/fits", "drill/answered", "drill/gone", "drill/grown"]);
    assert_eq!(left.own[3].id, "arn:renamed");
    assert_eq!(left.others, [("drill/grown".to_owned(), NotOwn::OtherVersions)].into());
    let mut left = Left { own: all, others: BTreeMap::new() };
    at(&memory, &marker).prove(&mut left, &BTreeMap::new()).await.unwrap();
    assert_eq!((left.own.len(), left.others["drill/fits"]), (1, NotOwn::NoSnapshot));
}

async fn fates(memory: &dyn Target, doomed: &[(&str, &str)]) -> BTreeMap<String, &'static str> {
    let doomed = doomed.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect();
    let fates = destroy(&doomed, memory, &Silent).await.into_iter().map(|(name, fate)| {
        let fate = match fate {
            Fate::Gone => "gone",
            Fate::There => "there",
            Fate::Taken => "taken",
            Fate::Unknown(_) => "unknown",
        };
        (name, fate)
    });
    fates.collect()
}

#[tokio::test]
async fn only_the_identifier_is_destroyed_and_each_name_is_looked_up() {
    let (memory, ..) = sandbox();
    let one = put(&memory, "one", None, "v");
    put(&memory, "two", None, "v");
    let refused = put(&memory, "refused", None, "v");
    let scheduled = put(&memory, "scheduled", None, "v");
    let hidden = put(&memory, "hidden", None, "v");
    memory.edit("scheduled", |secret| secret.deleted = Some(jiff::Timestamp::UNIX_EPOCH));
    for (name, operation) in [
        ("refused", "DeleteSecret"),
        ("scheduled", "DeleteSecret"),
        ("hidden", "DeleteSecret"),
        ("hidden", "DescribeSecret"),
    ] {
        memory.refuse(name, operation, "AccessDeniedException");
    }
    let found = fates(
        &memory,
        &[
            ("one", &one),
            ("two", "arn:another"),
            ("refused", &refused),
            ("scheduled", &scheduled),
            ("hidden", &hidden),
            ("never", "arn:never"),
        ],
    )
    .await;
    let expected = [
        ("hidden", "unknown"),
        ("never", "gone"),
        ("one", "gone"),
        ("refused", "there"),
        // Somebody else scheduled it: it can be taken back.
        ("scheduled", "there"),
        ("two", "taken"),
    ];
    assert_eq!(found, expected.map(|(name, fate)| (name.to_owned(), fate)).into());
    assert_eq!(memory.names(), ["hidden", "refused", "scheduled", "two"]);
    assert_eq!(
        memory.calls(),
        6 + 6 + 1,
        "a refused deletion is not waited for; one more look at what has a taken name"
    );
}

#[tokio::test]
async fn what_the_deletion_left_scheduled_is_gone() {
    let memory = Arc::new(Memory::new("222222222222", "eu-west-1"));
    let id = put(&memory, "one", None, "v");
    memory.edit("one", |secret| secret.deleted = Some(jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(fates(&Late { memory, after: None }, &[("one", &id)]).await["one"], "gone");
}

#[tokio::test]
async fn a_clean_up_counts_what_it_destroyed_and_names_what_it_leaves() {
    let (memory, marker, run) = sandbox();
    let memory = Arc::new(memory);
    memory.set_time(run.started);
    let names = ["drill/own", "drill/refused", "drill/theirs"];
    let planned = names.map(|name| (name.to_owned(), Planned { has_room: true, versions: BTreeSet::new() }));
    let tags = names.map(|name| vec![marker.tag(&run, name)]);
    put(&memory, "drill/theirs", None, "v");
    let own = Own::new(memory.clone(), Arc::new(marker), run, planned.into(), None);
    for (name, tags) in names.into_iter().zip(tags) {
        let create = Step::Create {
            name: name.into(),
            version: None,
            description: None,
            kms_key: None,
            tags,
            secret_type: None,
            settings: std::collections::BTreeMap::new(),
        };
        assert_eq!(own.apply(&create, None, None).await.is_ok(), name != "drill/theirs");
    }
    memory.refuse("drill/refused", "DeleteSecret", "AccessDeniedException");
    let seen = Seen::default();
    let cleaned = clean_up(&own, &*memory, &seen).await;
    let named = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!((cleaned.created, cleaned.destroyed), (2, 1));
    assert_eq!((cleaned.left_over, cleaned.left_alone), (named("drill/refused"), named("drill/theirs")));
    assert_eq!(*seen.0.lock().unwrap(), ["clean up of 2", "1", "1"]);
}

/// What somebody who watches is told.
#[derive(Default)]
struct Seen(std::sync::Mutex<Vec<String>>);

impl Progress for Seen {
    fn begin(&self, phase: &'static str, total: Option<u64>) {
        self.0.lock().unwrap().push(format!("{phase} of {}", total.unwrap()));
    }

    fn advance(&self, done: u64) {
        self.0.lock().unwrap().push(done.to_string());
    }

    fn part(&self, _: &str) -> Arc<dyn Progress> {
        unreachable!("a clean-up has no parts")
    }
}

/// A place that carries out creations and deletions late: a moment after its answer, or after none.
struct Late {
    memory: Arc<Memory>,
    /// After how many milliseconds; never without any.
    after: Option<u64>,
}

#[async_trait]
impl Target for Late {
    async fn place(&self) -> Result<Place, ProviderError> {
        Target::place(&*self.memory).await
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        Target::names(&*self.memory)
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.memory.look_up(name).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        self.memory.describe(id).await
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        assert!(value.is_none());
        let (memory, step, at) = (Arc::clone(&self.memory), step.clone(), at.map(str::to_owned));
        let creates = matches!(step, Step::Create { .. });
        if let Some(after) = self.after {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                memory.apply(&step, at.as_deref(), None).await.unwrap();
            });
        }
        if creates { Err(error(ErrorKind::Unavailable)) } else { Ok(Applied::default()) }
    }
}

#[tokio::test]
async fn a_deletion_is_waited_for_and_not_for_ever() {
    let late = |after| async move {
        let memory = Arc::new(Memory::new("222222222222", "eu-west-1"));
        let id = put(&memory, "one", None, "v");
        fates(&Late { memory, after }, &[("one", &id)]).await["one"]
    };
    let begun = std::time::Instant::now();
    let (soon, never) = futures::join!(late(Some(600)), late(None));
    assert_eq!((soon, never), ("gone", "there"));
    assert!(begun.elapsed() >= PAUSE * (1 + 2 + 3 + 4 + 5), "each pause is longer than the one before");
}

#[tokio::test]
async fn a_creation_without_an_answer_is_waited_for() {
    let begun = std::time::Instant::now();
    for (after, created) in [(Some(500), 1), (None, 0)] {
        let (_, marker, run) = sandbox();
        let memory = Arc::new(Memory::new("222222222222", "eu-west-1"));
        memory.set_time(run.started);
        let late = Arc::new(Late { memory: Arc::clone(&memory), after });
        let tags = vec![marker.tag(&run, "drill/one")];
        let planned = [("drill/one".to_owned(), Planned { has_room: true, versions: BTreeSet::new() })].into();
        let own = Own::new(late.clone(), Arc::new(marker), run, planned, None);
        let create = Step::Create {
            name: "drill/one".into(),
            version: None,
            description: None,
            kms_key: None,
            tags,
            secret_type: None,
            settings: std::collections::BTreeMap::new(),
        };
        assert_eq!(own.apply(&create, None, None).await.unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(own.made()["drill/one"], Made::Unknown);
        let cleaned = clean_up(&own, &*late, &Silent).await;
        assert_eq!((cleaned.created, cleaned.destroyed), (created, created));
        assert!(cleaned.left_over.is_empty() && cleaned.left_alone.is_empty() && memory.names().is_empty());
    }
    assert!(begun.elapsed() >= PAUSE * (1 + 2 + 3 + 4 + 5), "each pause is longer than the one before");
}

/// Nothing but what the drill created is written to, whatever the step.
#[tokio::test]
async fn a_drill_writes_to_nothing_else() {
    let (memory, marker, run) = sandbox();
    put(&memory, "drill/theirs", None, "v");
    let memory = Arc::new(memory);
    let own = Own::new(memory.clone(), Arc::new(marker), run, BTreeMap::new(), None);
    let name = || "drill/theirs".to_owned();
    for step in [
        Step::Untag { name: name(), keys: Vec::new() },
        Step::Destroy { name: name() },
        Step::DeletePolicy { name: name() },
    ] {
        assert_eq!(own.apply(&step, Some("arn"), None).await.unwrap_err().code, "NotOurs");
    }
    assert_eq!(memory.calls(), 0);
}

fn error(kind: ErrorKind) -> ProviderError {
    let (code, message) = (String::new(), String::new());
    ProviderError { provider: "aws", kind, operation: "DescribeSecret", secret: None, code, message }
}

#[test]
fn only_a_sandbox_that_does_not_answer_is_an_error() {
    for (kind, fatal) in [
        (ErrorKind::Denied, false),
        (ErrorKind::Invalid, false),
        (ErrorKind::Credentials, true),
        (ErrorKind::Unavailable, true),
    ] {
        let mut cleaned = Cleaned::default();
        cleaned.unknown("a".into(), error(kind));
        assert_eq!((cleaned.error.is_some(), cleaned.left_over.len()), (fatal, 1), "{kind:?}");
    }
}
