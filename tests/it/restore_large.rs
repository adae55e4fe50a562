//! A restore that does not fit in memory: everything waits in a folder, and comes out the same.

use std::{fs, sync::Arc};

use lifeboat::{
    crypto::Opener,
    progress::Silent,
    provider::{
        Source, Target,
        memory::{HeldVersion, Memory},
    },
    repo::RepoError,
    restore::{self, LookError, Options, Outcome, Plan, PlanFile},
    snapshot::Report,
};

use crate::repo_sample::chosen;
use crate::round_trip::{NOW, World, id, secret};

const SECRETS: usize = 1_500;

/// Twelve kilobytes of metadata each.
fn estate(place: &Memory) {
    for number in 0..SECRETS {
        let mut secret = secret(&format!("app/{number:05}"));
        secret.facets.policy = Some(format!("{{\"Statement\":[],\"Id\":\"{}\"}}", "x".repeat(12_000)));
        place.insert(
            secret,
            vec![
                HeldVersion::text(&id(1), &["AWSPREVIOUS"], &format!("before {number}")),
                HeldVersion::text(&id(2), &["AWSCURRENT"], &format!("now {number}")),
            ],
        );
    }
}

async fn plan(world: &World, report: &Report, target: &Memory, folder: &std::path::Path) -> Result<Plan, LookError> {
    let chosen = chosen(&world.repository, &world.trust, &report.manifest).await;
    let records = world.repository.record_stream(&chosen, Opener::Recovery(&world.key));
    let found = restore::look(target, &chosen, records, &Options::default(), Some(folder)).await?;
    Ok(restore::make(&chosen, &found, &Options::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_beside_memory_comes_back_equal_and_leaves_nothing() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let place = Arc::new(Memory::new("111111111111", "eu-west-1"));
    let (target, readback): (Arc<dyn Target>, Arc<dyn Source>) = (place.clone(), place.clone());
    let values = world.values(&report).await;
    let folder = tempfile::tempdir().unwrap();

    let first = plan(&world, &report, &place, folder.path()).await.unwrap();
    assert_eq!(format!("{:?}", first.secrets), format!("Secrets([{SECRETS} lines])"), "it does not fit in memory");
    let execution = restore::execute(&first, &values, &target, &Silent).await.unwrap();
    assert_eq!((execution.failed, execution.done), (vec![], 3 * SECRETS as u64));
    let verification = restore::verify(&first, &values, &readback, &Silent).await.unwrap();
    assert!(verification.passed(), "{:?}", verification.differences.first());
    assert_eq!(verification.version_counts["restored"], 2 * SECRETS as u64);
    let arns: Vec<_> = verification.moved.walk().unwrap().map(|arn| arn.unwrap().old).collect();
    assert_eq!(arns.len(), SECRETS);
    assert!(arns.is_sorted());

    assert!(!restore::is_unchanged(&*target, &first).await.unwrap());
    let second = plan(&world, &report, &place, folder.path()).await.unwrap();
    assert!(second.secrets.walk().unwrap().all(|secret| secret.unwrap().outcome == Outcome::Present));
    assert!(restore::is_unchanged(&*target, &second).await.unwrap());
    place.edit("app/00777", |secret| secret.facets.description = None);
    assert!(!restore::is_unchanged(&*target, &second).await.unwrap(), "one of many changed");

    let file = PlanFile::new(world.repository.id(), NOW.parse().unwrap(), Options::default(), first.clone(), None);
    let mut bytes = Vec::new();
    file.write(&mut bytes).unwrap();
    let file = PlanFile::parse(&bytes).unwrap();
    assert!(file.plan == first, "a plan is the same in a file, in memory and beside it");
    assert!(file.agree(&first).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its files have no name");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = plan(&world, &report, &Memory::new("1", "eu-west-1"), &file.path().join("folder")).await;
    assert!(matches!(refused, Err(LookError::Repository(RepoError::Spool(_)))), "{refused:?}");
}
