//! A drill destroys what it created, by identity, and nothing else: whatever the sandbox holds, lists, loses or refuses.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use lifeboat::{
    drill::{self, DrillError, Record, TAG, Verdict},
    model::{Existing, Facets, Place, Secret, SecretValue, Step, Tag},
    provider::{
        Applied, ProviderError, Target,
        memory::{HeldVersion, Memory},
    },
};

use crate::{
    drill::{BEGAN, Scene},
    round_trip::{World, estate, id, secret},
};

const SINGLE: &str = "drill/app/single";
const VALUE: &str = "same id, other secret";

/// A secret that is somebody else's, with this value under the id that the snapshot has.
fn foreign(sandbox: &Memory, value: &str) -> String {
    let mut theirs = secret(SINGLE);
    theirs.id = format!("arn:aws:secretsmanager:eu-west-1:222222222222:secret:{SINGLE}-theirs");
    theirs.created = Some(BEGAN.parse().unwrap());
    let arn = theirs.id.clone();
    sandbox.insert(theirs, vec![HeldVersion::text(&id(1), &["AWSCURRENT"], value)]);
    arn
}

/// The sandbox, in which something happens before a secret is created.
struct Meddled {
    sandbox: Arc<Memory>,
    /// Gives the answer itself, or lets the creation go on.
    before: Box<dyn Fn(&Memory) -> Option<Applied> + Send + Sync>,
}

#[async_trait]
impl Target for Meddled {
    async fn place(&self) -> Result<Place, ProviderError> {
        Target::place(&*self.sandbox).await
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        Target::names(&*self.sandbox)
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.sandbox.look_up(name).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        self.sandbox.describe(id).await
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        if matches!(step, Step::Create { name, .. } if name == SINGLE)
            && let Some(answer) = (self.before)(&self.sandbox)
        {
            return Ok(answer);
        }
        self.sandbox.apply(step, at, value).await
    }
}

async fn meddled(before: impl Fn(&Memory) -> Option<Applied> + Send + Sync + 'static) -> Scene {
    let mut scene = Scene::new().await;
    scene.through = Some(Arc::new(Meddled { sandbox: scene.sandbox.clone(), before: Box::new(before) }));
    scene
}

fn clean_up(record: &Record) -> (u64, u64, Vec<&str>, Vec<&str>) {
    let up = &record.clean_up;
    (
        up.created,
        up.destroyed,
        up.left_over.iter().map(String::as_str).collect(),
        up.left_alone.iter().map(String::as_str).collect(),
    )
}

#[tokio::test]
async fn a_listing_that_lags_hides_nothing_that_was_created_or_is_left() {
    let scene = Scene::new().await;
    scene.sandbox.lag();
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, clean_up(&record)), (Verdict::Passed, (3, 3, vec![], vec![])));
    assert!(scene.sandbox.names().is_empty());

    for name in ["database", "empty", "single"] {
        scene.sandbox.refuse(&format!("drill/app/{name}"), "DeleteSecret", "AccessDeniedException");
    }
    let record = scene.record(&|| {}).await;
    let left = vec!["drill/app/database", "drill/app/empty", SINGLE];
    assert_eq!((record.result, clean_up(&record)), (Verdict::Failed, (3, 0, left, vec![])));
}

#[tokio::test]
async fn a_creation_that_meets_somebody_elses_secret_never_destroys_it() {
    // Another value; the same value, so that the creation counts as done; the same, and AWS answers as if it had created it.
    type Case = (&'static str, bool);
    let cases: [Case; 3] = [("theirs", false), (VALUE, false), (VALUE, true)];
    for (value, answers) in cases {
        let scene = meddled(move |sandbox| {
            let created = Some(foreign(sandbox, value));
            answers.then_some(Applied { created })
        })
        .await;
        let outcome = scene.drill(&|| {}).await.unwrap();
        let record = outcome.record;
        assert_eq!(clean_up(&record), (2, 2, vec![], vec![SINGLE]), "{value} {answers}");
        assert_eq!(record.result, Verdict::Failed);
        assert!(record.deviations.iter().any(|it| it.cause == SINGLE), "{:?}", record.deviations);
        assert_eq!(scene.sandbox.names(), [SINGLE]);
        assert!(scene.sandbox.holds(SINGLE, &id(1), &SecretValue::text(value.into())));
    }
}

#[tokio::test]
async fn what_takes_a_name_during_the_drill_is_left_alone_and_named() {
    let scene = Scene::new().await;
    let record = scene
        .record(&|| {
            scene.sandbox.remove(SINGLE);
            foreign(&scene.sandbox, VALUE);
        })
        .await;
    assert_eq!((record.result, clean_up(&record)), (Verdict::Failed, (3, 3, vec![], vec![SINGLE])));
    assert_eq!(scene.sandbox.names(), [SINGLE]);
}

#[tokio::test]
async fn a_lost_answer_is_made_good_by_the_mark_and_by_nothing_else() {
    let scene = Scene::new().await;
    scene.sandbox.lose_answer(SINGLE);
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, clean_up(&record)), (Verdict::Partial, (3, 3, vec![], vec![])));
    assert!(scene.sandbox.names().is_empty());

    let text = |version: usize| vec![HeldVersion::text(&id(version), &["AWSCURRENT"], VALUE)];
    let tampered: [&(dyn Fn(&Memory) + Sync); 5] = [
        &|sandbox| sandbox.edit(SINGLE, |it| it.facets.tags.retain(|tag| tag.key != TAG)),
        &|sandbox| sandbox.edit(SINGLE, |it| it.created = Some("2026-11-24T06:54:00Z".parse().unwrap())),
        &|sandbox| sandbox.edit(SINGLE, |it| it.created = None),
        &|sandbox| {
            let mut found = None;
            sandbox.edit("drill/app/empty", |it| found = it.facets.tags.iter().find(|tag| tag.key == TAG).cloned());
            sandbox.edit(SINGLE, |it| it.facets.tags = vec![found.clone().unwrap()]);
        },
        &|sandbox| {
            let mut found = None;
            sandbox.edit(SINGLE, |it| found = Some(it.clone()));
            sandbox.insert(found.unwrap(), text(7));
        },
    ];
    for (number, tamper) in tampered.iter().enumerate() {
        let scene = Scene::new().await;
        scene.sandbox.lose_answer(SINGLE);
        let record = scene.record(&|| tamper(&scene.sandbox)).await;
        assert_eq!((record.result, clean_up(&record)), (Verdict::Failed, (2, 2, vec![], vec![SINGLE])), "{number}");
        assert_eq!(scene.sandbox.names(), [SINGLE], "{number}");
    }
}

/// An estate with one secret that has no room for a mark.
async fn full_of_tags() -> Scene {
    let world = World::new().await;
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    estate(&source);
    let tags = (0..50).map(|number| Tag { key: format!("tag-{number}"), value: String::new() }).collect();
    let full = Secret { name: "app/full".into(), facets: Facets { tags, ..Facets::default() }, ..Secret::default() };
    source.insert(full, vec![HeldVersion::text(&id(1), &["AWSCURRENT"], "fifty")]);
    world.snapshot(&source).await.unwrap();
    Scene::of(world)
}

const FULL: &str = "drill/app/full";

#[tokio::test]
async fn a_secret_with_fifty_tags_is_drilled_and_cleaned_up_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = full_of_tags().await;
    let record = scene.record(&|| assert_eq!(scene.sandbox.names().len(), 4)).await;
    assert_eq!((record.result, clean_up(&record)), (Verdict::Passed, (4, 4, vec![], vec![])));
    assert_eq!((record.sample.chosen, record.sample.restored), (5, 4), "all but the one that is leaving");
    assert!(scene.sandbox.names().is_empty());

    // Killed: the journal has its identifier.
    scene.journal = Some(folder.path().join("x.drill.json"));
    scene.kill().await;
    let next = scene.record(&|| {}).await;
    assert_eq!((next.result, next.isolation.leftovers_removed), (Verdict::Passed, 4));

    // Its answer is lost: nothing proves whose it is.
    scene.sandbox.lose_answer(FULL);
    let record = scene.record(&|| {}).await;
    assert_eq!((record.result, clean_up(&record)), (Verdict::Failed, (3, 3, vec![], vec![FULL])));
    assert_eq!(scene.sandbox.names(), [FULL]);
    let next = scene.drill(&|| {}).await;
    assert!(matches!(next, Err(DrillError::NotOurs(names)) if names.starts_with(FULL)));
}

#[tokio::test]
async fn killed_between_a_creation_and_its_line_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = full_of_tags().await;
    let path = folder.path().join("x.drill.json");
    scene.journal = Some(path.clone());
    scene.kill().await;
    let list = path.with_extension("made");
    let text = std::fs::read_to_string(&list).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("arn:")).count(), 4, "{text}");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("arn:")).collect();
    let cut = kept.join("\n") + "\n";
    std::fs::write(&list, cut).unwrap();

    match scene.drill(&|| {}).await {
        Err(DrillError::NotOurs(names)) => assert!(names.starts_with(FULL) && !names.contains(SINGLE), "{names}"),
        _ => panic!("it was held"),
    }
    assert_eq!(scene.sandbox.names().len(), 4, "nothing is destroyed before that is looked at");
    let cleaned = scene.clean().await.unwrap();
    assert_eq!((cleaned.removed, cleaned.left_alone.len()), (3, 1));
    assert!(cleaned.left_alone[FULL].contains("no mark") && cleaned.aborted.is_some());
    assert_eq!(scene.sandbox.names(), [FULL]);
    scene.sandbox.remove(FULL);
    assert_eq!(scene.record(&|| {}).await.result, Verdict::Passed);
}

#[tokio::test]
async fn without_a_journal_the_mark_and_the_snapshot_prove_it() {
    let scene = Scene::new().await;
    scene.kill().await;
    let cleaned = scene.clean().await.unwrap();
    assert_eq!((cleaned.removed, cleaned.left_alone.len()), (3, 0));
    assert!(scene.sandbox.names().is_empty() && cleaned.aborted.is_none());

    scene.kill().await;
    let mut found = None;
    scene.sandbox.edit(SINGLE, |it| found = Some(it.clone()));
    let versions = vec![HeldVersion::text(&id(1), &[], VALUE), HeldVersion::text(&id(8), &["AWSCURRENT"], "in use")];
    scene.sandbox.insert(found.unwrap(), versions);
    match scene.drill(&|| {}).await {
        Err(DrillError::NotOurs(names)) => assert!(names.starts_with(SINGLE) && names.contains("versions"), "{names}"),
        _ => panic!("it was held"),
    }
    assert_eq!(scene.clean().await.unwrap().left_alone[SINGLE], "it has versions that the snapshot does not have");
    assert_eq!(scene.sandbox.names(), [SINGLE]);
}

#[tokio::test]
async fn an_invented_or_a_copied_tag_is_no_mark() {
    let scene = Scene::new().await;
    scene.kill().await;
    let mut copied = None;
    scene.sandbox.edit(SINGLE, |it| copied = it.facets.tags.iter().find(|tag| tag.key == TAG).cloned());
    let copied = copied.unwrap();
    scene.clean().await.unwrap();
    for tag in [copied, Tag { key: TAG.into(), value: "00000000000000000000000000000000".into() }] {
        for (name, refused) in [("drill/production", true), ("production", false)] {
            let mut theirs = secret(name);
            theirs.created = Some(BEGAN.parse().unwrap());
            theirs.facets.tags.push(tag.clone());
            scene.sandbox.insert(theirs, vec![HeldVersion::text(&id(1), &["AWSCURRENT"], "in use")]);
            let held = scene.drill(&|| {}).await;
            assert_eq!(matches!(&held, Err(DrillError::NotOurs(names)) if names.contains(name)), refused, "{name}");
            assert_eq!(held.is_ok_and(|held| held.record.result == Verdict::Passed), !refused);
            assert_eq!(scene.clean().await.unwrap().left_alone.len(), usize::from(refused));
            assert_eq!(scene.sandbox.names(), [name]);
            scene.sandbox.remove(name);
        }
    }
}

#[tokio::test]
async fn a_drill_killed_elsewhere_is_cleaned_up_there_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new().await;
    scene.journal = Some(folder.path().join("x.drill.json"));
    scene.kill().await;
    let there = std::mem::replace(&mut scene.sandbox, Arc::new(Memory::new("222222222222", "eu-west-2")));
    match scene.drill(&|| {}).await {
        Err(DrillError::Elsewhere { drill, count: 3, place }) => {
            assert_eq!((drill.as_str(), place.region.as_str()), ("test", "eu-west-1"));
        }
        _ => panic!("it was held"),
    }
    assert!(drill::unfinished(scene.journal.as_ref().unwrap()).unwrap().is_some());
    scene.sandbox = there;
    assert_eq!(scene.clean().await.unwrap().removed, 3);
    assert!(drill::unfinished(scene.journal.as_ref().unwrap()).unwrap().is_none());
}

/// What could not be removed stays known by its identifier, and is removed as soon as it can be.
#[tokio::test]
async fn what_is_left_over_stays_in_the_journal_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = full_of_tags().await;
    let journal = folder.path().join("x.drill.json");
    scene.journal = Some(journal.clone());
    scene.sandbox.refuse(FULL, "DeleteSecret", "AccessDeniedException");
    assert_eq!(scene.record(&|| {}).await.clean_up.left_over, [FULL]);
    assert!(matches!(scene.clean().await, Err(DrillError::NotEmpty(name)) if name == FULL));
    scene.sandbox.heal();
    let cleaned = scene.clean().await.unwrap();
    assert_eq!((cleaned.removed, cleaned.aborted.is_none(), journal.exists()), (1, true, false));
    assert!(scene.sandbox.names().is_empty());
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_looked_at_is_not_clean() {
    let scene = Scene::new().await;
    let refuse = |operation| scene.sandbox.refuse(SINGLE, operation, "AccessDeniedException");
    let outcome = scene.drill(&|| ["DescribeSecret", "DeleteSecret"].map(refuse).iter().for_each(drop)).await;
    let record = outcome.unwrap().record;
    assert_eq!((record.result, clean_up(&record)), (Verdict::Failed, (3, 2, vec![SINGLE], vec![])));
}
