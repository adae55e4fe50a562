//! Carries a plan out. Makes no choices: what to do was decided, and every step may be repeated.

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

/// Executes `plan`: AWSCURRENT of everything first, then the rest.
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
    let mut execution = Execution::default();
    let first: Vec<_> = plan.secrets.iter().map(|secret| (secret, secret.first.as_slice())).collect();
    run(first, "restore current versions", values, target, progress, &mut execution).await?;
    let failed = |secret: &SecretPlan| execution.failed.iter().any(|step| step.name == secret.desired.name);
    let then: Vec<_> =
        plan.secrets.iter().filter(|secret| !failed(secret)).map(|secret| (secret, secret.then.as_slice())).collect();
    run(then, "restore other versions, labels, policies", values, target, progress, &mut execution).await?;
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
