//! What a restore writes first: current versions never wait for anything else.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use lifeboat::{
    crypto::Opener,
    model::{Existing, Place, Secret, SecretValue, Step},
    progress::Silent,
    provider::{
        Applied, ProviderError, Target,
        memory::{HeldVersion, Memory},
    },
    restore::{self, OnConflict, Options, Plan},
    snapshot::Report,
};

use crate::repo_sample::chosen;
use crate::round_trip::{World, id, secret};

const SECRETS: usize = 150;

/// A place that notes every write and never answers some.
struct Watched {
    place: Memory,
    written: Mutex<Vec<Step>>,
    never: fn(&Step) -> bool,
}

#[async_trait]
impl Target for Watched {
    async fn place(&self) -> Result<Place, ProviderError> {
        Target::place(&self.place).await
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        Target::names(&self.place)
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.place.look_up(name).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        self.place.describe(id).await
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        if (self.never)(step) {
            std::future::pending::<()>().await;
        }
        let applied = self.place.apply(step, at, value).await?;
        self.written.lock().unwrap().push(step.clone());
        Ok(applied)
    }
}

async fn captured() -> (World, Report) {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    for number in 0..SECRETS {
        let versions = vec![
            HeldVersion::text(&id(1), &["AWSPREVIOUS"], "before"),
            HeldVersion::text(&id(2), &["AWSCURRENT"], "now"),
        ];
        source.insert(secret(&format!("app/{number:03}")), versions);
    }
    let report = world.snapshot(&source).await.unwrap();
    (world, report)
}

async fn plan(world: &World, report: &Report, target: &dyn Target, options: &Options) -> Plan {
    let chosen = chosen(&world.repository, &world.trust, &report.manifest).await;
    let records = world.repository.record_stream(&chosen, Opener::Recovery(&world.key));
    let found = restore::look(target, &chosen, records, options, None).await.unwrap();
    restore::make(&chosen, &found, options).unwrap()
}

/// What is written within a moment, when some writes are never answered.
async fn written(first: &[String], never: fn(&Step) -> bool) -> Vec<Step> {
    let (world, report) = captured().await;
    let watched = Arc::new(Watched { place: Memory::new("1", "eu-west-1"), written: Mutex::default(), never });
    let options = Options { first: first.to_vec(), ..Options::default() };
    let plan = plan(&world, &report, &*watched, &options).await;
    let (target, values): (Arc<dyn Target>, _) = (watched.clone(), world.values(&report).await);
    let executing = restore::execute(&plan, &values, &target, &Silent);
    assert!(tokio::time::timeout(Duration::from_secs(3), executing).await.is_err(), "it waits for an answer");
    let written = watched.written.lock().unwrap();
    written.clone()
}

fn is_create(step: &Step) -> bool {
    matches!(step, Step::Create { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn current_versions_do_not_wait_for_the_others() {
    let written = written(&[], |step| !is_create(step)).await;
    assert_eq!(written.len(), SECRETS, "every current version is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_stay_behind_the_current_versions() {
    // In this order: seventy, then the one that is never answered, then the rest.
    let first: Vec<String> = (0..=6).map(|ten| format!("app/0{ten}?")).chain(["app/070".into()]).collect();
    let written = written(&first, |step| is_create(step) && step.name() == "app/070").await;
    let others: Vec<&Step> = written.iter().filter(|step| !is_create(step)).collect();
    assert_eq!(written.len() - others.len(), SECRETS - 1, "the other current versions do not wait");
    assert!(others.iter().all(|step| step.name() < "app/070"), "none of those behind it");
    assert_eq!(others.len(), 70, "and all of those before it");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_they_share_a_quota_every_current_version_comes_first() {
    let (world, report) = captured().await;
    let place = Memory::new("1", "eu-west-1");
    place.insert(secret("app/149"), vec![HeldVersion::text(&id(9), &["AWSCURRENT"], "theirs")]);
    let watched = Arc::new(Watched { place, written: Mutex::default(), never: |_| false });
    let options = Options { on_conflict: OnConflict::Replace, ..Options::default() };
    let plan = plan(&world, &report, &*watched, &options).await;
    let (target, values): (Arc<dyn Target>, _) = (watched.clone(), world.values(&report).await);
    let execution = restore::execute(&plan, &values, &target, &Silent).await.unwrap();
    assert_eq!(execution.failed, []);
    let written = watched.written.lock().unwrap();
    let current = |step: &Step| {
        is_create(step) || matches!(step, Step::PutVersion { stages, .. } if stages.contains(&"AWSCURRENT".into()))
    };
    assert_eq!(written.iter().take_while(|step| current(step)).count(), SECRETS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_refused_gets_no_other_version_and_holds_up_none() {
    let (world, report) = captured().await;
    let place = Memory::new("1", "eu-west-1");
    place.refuse("app/010", "CreateSecret", "AccessDeniedException");
    let watched = Arc::new(Watched { place, written: Mutex::default(), never: |_| false });
    let plan = plan(&world, &report, &*watched, &Options::default()).await;
    let (target, values): (Arc<dyn Target>, _) = (watched.clone(), world.values(&report).await);
    let execution = restore::execute(&plan, &values, &target, &Silent).await.unwrap();
    let failed: Vec<&str> = execution.failed.iter().map(|step| step.name.as_str()).collect();
    assert_eq!((failed, execution.done), (vec!["app/010"], 2 * (SECRETS as u64 - 1)));
}
