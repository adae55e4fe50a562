//! Carries a plan out. Makes no choices: what to do was decided, and every step may be repeated.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{
    plan::{Plan, Planned, SecretPlan, ValueRef},
    values::Values,
};
use crate::{
    model::Place,
    progress::Progress,
    provider::{ErrorKind, ProviderError, Target},
    repo::{RepoError, Sorted},
};

/// Secrets written at once; the provider's limiter paces the calls.
const CONCURRENT_SECRETS: usize = 64;

/// A pass over all secrets: its name, and its writes of one secret.
type Phase = (&'static str, fn(SecretPlan) -> Vec<Planned>);

/// The writes of one secret in one pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Work {
    /// How urgent it is, from 0.
    rank: usize,
    /// Where its first value is.
    place: Option<ValueRef>,
    name: String,
    source_arn: String,
    writes: Vec<Planned>,
}

/// What came of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// Writes done.
    pub done: u64,
    /// Writes that failed; the later writes of the same secret were not tried.
    pub failed: Vec<FailedStep>,
}

/// A write that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedStep {
    /// The secret.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A plan that could not be carried out as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The target is not the one the plan was made for.
    #[error("the plan is for {planned}, the target is {found}")]
    OtherTarget {
        /// The plan's target.
        planned: Place,
        /// The target's own word.
        found: Place,
    },
    /// No credentials, or the target is gone.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A value cannot be read from the repository.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

/// Executes `plan`: AWSCURRENT of everything first, the most urgent first of all; then other versions, labels and tags;
/// last what may shut the door. Within a pass the packs are gone through one after the other.
///
/// # Errors
/// See [`ExecuteError`]; a write that one secret refuses is in the [`Execution`].
pub async fn execute(
    plan: &Plan,
    values: &Values<'_>,
    target: &Arc<dyn Target>,
    progress: &dyn Progress,
) -> Result<Execution, ExecuteError> {
    let found = target.place().await?;
    if found != plan.target {
        return Err(ExecuteError::OtherTarget { planned: plan.target.clone(), found });
    }
    let phases: [Phase; 3] = [
        ("restore current versions", |secret| secret.first),
        ("restore other versions, labels, tags", |secret| secret.then),
        ("restore replicas, rotation, policies", |secret| secret.last),
    ];
    let mut execution = Execution::default();
    for (phase, writes) in phases {
        let failed: BTreeSet<String> = execution.failed.iter().map(|step| step.name.clone()).collect();
        let mut total = 0;
        let work = plan.secrets.reordered(by_urgency, |secret| {
            let work = Work::of(secret, writes).filter(|work| !failed.contains(&work.name))?;
            total += work.writes.len() as u64;
            Some(work)
        })?;
        if total > 0 {
            progress.begin(phase, Some(total));
            run(work, values, target, progress, &mut execution).await?;
        }
    }
    Ok(execution)
}

/// The most urgent first; those of one pack beside each other.
fn by_urgency(one: &Work, other: &Work) -> Ordering {
    let key = |work: &Work| (work.rank, work.place.map(|at| (at.pack, at.line)));
    key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
}

impl Work {
    fn of(secret: SecretPlan, writes: fn(SecretPlan) -> Vec<Planned>) -> Option<Self> {
        let (rank, name) = (secret.rank, secret.desired.name.clone());
        let source_arn = secret.desired.source_arn.clone();
        let writes = writes(secret);
        let place = writes.iter().find_map(|planned| planned.value);
        (!writes.is_empty()).then_some(Self { rank, place, name, source_arn, writes })
    }
}

async fn run(
    work: Sorted<Work>,
    values: &Values<'_>,
    target: &Arc<dyn Target>,
    progress: &dyn Progress,
    execution: &mut Execution,
) -> Result<(), ExecuteError> {
    let mut running = stream::iter(work.walk()?)
        .map(|work| async move {
            let work = work?;
            let (done, outcome) = write_all(&work, values, target, progress).await;
            Ok::<_, RepoError>((work.name, done, outcome))
        })
        .buffer_unordered(CONCURRENT_SECRETS);
    while let Some((name, done, outcome)) = running.try_next().await? {
        execution.done += done;
        match outcome {
            Ok(()) => {}
            Err(ExecuteError::Provider(error)) if !is_fatal(&error) => {
                execution.failed.push(FailedStep { name, reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn write_all(
    work: &Work,
    values: &Values<'_>,
    target: &Arc<dyn Target>,
    progress: &dyn Progress,
) -> (u64, Result<(), ExecuteError>) {
    let mut done = 0;
    for planned in &work.writes {
        if let Err(error) = write_one(work, planned, values, target).await {
            return (done, Err(error));
        }
        done += 1;
        progress.advance(1);
    }
    (done, Ok(()))
}

async fn write_one(
    work: &Work,
    planned: &Planned,
    values: &Values<'_>,
    target: &Arc<dyn Target>,
) -> Result<(), ExecuteError> {
    let value = match (&planned.value, planned.write.writes_version()) {
        (Some(at), Some(version)) => Some(values.get(at, &work.source_arn, version).await?),
        _ => None,
    };
    let (target, write) = (Arc::clone(target), planned.write.clone());
    Ok(on_any_thread(async move { target.apply(&write, value.as_deref()).await }).await?)
}

/// Leaves the work to whichever of the runtime's threads is free; it ends when this is dropped.
pub(super) async fn on_any_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new();
    task.spawn(work);
    task.join_next().await.expect("there is a task").expect("a provider does not panic")
}

/// Whether going on with other secrets makes no sense.
fn is_fatal(error: &ProviderError) -> bool {
    matches!(error.kind, ErrorKind::Credentials | ErrorKind::Unavailable)
}
