//! Carries a plan out. Makes no choices: what to do was decided, and every step may be repeated.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use serde::Serialize;

use super::{
    plan::{Plan, Planned, SecretPlan},
    values::Values,
};
use crate::{
    model::Place,
    progress::Progress,
    provider::{ErrorKind, ProviderError, Target},
    repo::RepoError,
};

/// Secrets written at once; the provider's limiter paces the calls.
const CONCURRENT_SECRETS: usize = 16;

/// A pass over all secrets: its name, and its writes of one secret.
type Phase = (&'static str, fn(&SecretPlan) -> &[Planned]);

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
/// last what may shut the door.
///
/// # Errors
/// See [`ExecuteError`]; a write that one secret refuses is in the [`Execution`].
pub async fn execute(
    plan: &Plan,
    values: &Values<'_>,
    target: &dyn Target,
    progress: &dyn Progress,
) -> Result<Execution, ExecuteError> {
    let found = target.place().await?;
    if found != plan.target {
        return Err(ExecuteError::OtherTarget { planned: plan.target.clone(), found });
    }
    let mut urgent: Vec<&SecretPlan> = plan.secrets.iter().collect();
    urgent.sort_by_key(|secret| secret.rank);
    let phases: [Phase; 3] = [
        ("restore current versions", |secret| &secret.first),
        ("restore other versions, labels, tags", |secret| &secret.then),
        ("restore replicas, rotation, policies", |secret| &secret.last),
    ];
    let mut execution = Execution::default();
    for (phase, writes) in phases {
        let failed: BTreeSet<String> = execution.failed.iter().map(|step| step.name.clone()).collect();
        let whole = urgent.iter().filter(|secret| !failed.contains(&secret.desired.name));
        let work: Vec<_> = whole.map(|secret| (*secret, writes(secret))).filter(|(_, it)| !it.is_empty()).collect();
        if !work.is_empty() {
            run(work, phase, values, target, progress, &mut execution).await?;
        }
    }
    Ok(execution)
}

async fn run(
    work: Vec<(&SecretPlan, &[Planned])>,
    phase: &'static str,
    values: &Values<'_>,
    target: &dyn Target,
    progress: &dyn Progress,
    execution: &mut Execution,
) -> Result<(), ExecuteError> {
    progress.begin(phase, Some(work.iter().map(|(_, writes)| writes.len() as u64).sum()));
    let mut running = stream::iter(work)
        .map(|(secret, writes)| async move { (secret, write_all(secret, writes, values, target, progress).await) })
        .buffer_unordered(CONCURRENT_SECRETS);
    while let Some((secret, (done, outcome))) = running.next().await {
        execution.done += done;
        match outcome {
            Ok(()) => {}
            Err(ExecuteError::Provider(error)) if !is_fatal(&error) => {
                execution.failed.push(FailedStep { name: secret.desired.name.clone(), reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn write_all(
    secret: &SecretPlan,
    writes: &[Planned],
    values: &Values<'_>,
    target: &dyn Target,
    progress: &dyn Progress,
) -> (u64, Result<(), ExecuteError>) {
    let mut done = 0;
    for planned in writes {
        if let Err(error) = write_one(secret, planned, values, target).await {
            return (done, Err(error));
        }
        done += 1;
        progress.advance(1);
    }
    (done, Ok(()))
}

async fn write_one(
    secret: &SecretPlan,
    planned: &Planned,
    values: &Values<'_>,
    target: &dyn Target,
) -> Result<(), ExecuteError> {
    let value = match (&planned.value, planned.write.writes_version()) {
        (Some(at), Some(version)) => Some(values.get(at, &secret.desired.source_arn, version).await?),
        _ => None,
    };
    Ok(target.apply(&planned.write, value.as_deref()).await?)
}

/// Whether going on with other secrets makes no sense.
fn is_fatal(error: &ProviderError) -> bool {
    matches!(error.kind, ErrorKind::Credentials | ErrorKind::Unavailable)
}
