//! Carries a plan out. Makes no choices: what to do was decided, and every step may be repeated.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinSet};

use super::{
    plan::{Plan, SecretPlan},
    values::Values,
};
use crate::{
    model::{Edits, Place, Planned, SecretValue, Step, ValueRef, edited},
    progress::Progress,
    provider::{ErrorKind, ProviderError, Rules, Target, codec, rules},
    repo::{RepoError, Sorted},
};

/// Secrets written at once; the provider's limiter paces the calls.
const CONCURRENT_SECRETS: usize = 64;

/// The writes of one secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Work {
    /// How urgent it is, from 0.
    rank: usize,
    /// Where its first value is.
    place: Option<ValueRef>,
    name: String,
    source_id: String,
    /// Text that changes inside its values.
    edits: Edits,
    /// What had the name when the plan was made: the writes are about that incarnation and no other.
    before: Option<String>,
    /// Whether `before` is destroyed first, so that only this is about it.
    recreated: bool,
    /// Those of each pass.
    passes: [Vec<Planned>; 3],
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

/// So many denied creations, and not one that was allowed, end a restore.
const HOPELESS: u64 = 5;

/// A plan that could not be carried out as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The target is not the one the plan was made for.
    #[error("the plan is for {planned}, but the target is {found}")]
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
/// last what may shut the door. The packs are gone through one after the other.
///
/// Where every current version comes back by CreateSecret, which AWS counts apart from all other writes, the others follow
/// close behind: no current version waits for them, and they need not wait for the last one.
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
    let mut totals = [0; 3];
    let mut only_creates = true;
    let work = plan.secrets.reordered(by_urgency, |secret| {
        let work = Work::of(secret)?;
        totals.iter_mut().zip(&work.passes).for_each(|(total, writes)| *total += writes.len() as u64);
        only_creates &= work.passes[0].iter().all(|planned| matches!(planned.write, Step::Create { .. }));
        Some(work)
    })?;
    let rules = rules(&plan.target.provider).map_err(ProviderError::from)?;
    let run = Run { work, values, rules, target, progress, outcome: Mutex::default() };
    if only_creates && totals[0] > 0 && totals[1] > 0 {
        run.limit(totals[0] + totals[1], totals[0].max(totals[1]));
        progress.begin("restore current versions, and the others behind them", Some(totals[0] + totals[1]));
        let created = Passed::default();
        tokio::try_join!(run.pass(0, None, Some(&created)), run.pass(1, Some(&created), None))?;
    } else {
        run.whole_pass(0, "restore current versions", totals[0]).await?;
        run.whole_pass(1, "restore other versions, labels, tags", totals[1]).await?;
    }
    run.whole_pass(2, "restore replicas, rotation, policies", totals[2]).await?;
    if run.outcome().failed.is_empty() {
        target.finish().await?;
    }
    let Outcome { done, failed, .. } = run.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = failed.into_iter().map(|(name, reason)| FailedStep { name, reason }).collect();
    Ok(Execution { done, failed })
}

/// The most urgent first; those of one pack beside each other.
fn by_urgency(one: &Work, other: &Work) -> Ordering {
    let key = |work: &Work| (work.rank, work.place.map(|at| (at.pack, at.line)));
    key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
}

impl Work {
    fn of(secret: SecretPlan) -> Option<Self> {
        let place = secret.writes().find_map(|planned| planned.value);
        let recreated = secret.outcome == super::plan::Outcome::Recreate;
        let SecretPlan { desired, before, rank, first, then, last, .. } = secret;
        let before = before.and_then(|before| before.id);
        let (name, source_id, edits) = (desired.name, desired.source_id, desired.edits);
        let work = Self { rank, place, name, source_id, edits, before, recreated, passes: [first, then, last] };
        work.passes.iter().any(|writes| !writes.is_empty()).then_some(work)
    }

    /// Whether it ends scheduled for deletion.
    fn is_going(&self) -> bool {
        self.passes[2].iter().any(|planned| matches!(planned.write, Step::ScheduleDeletion { .. }))
    }
}

/// A plan under way.
struct Run<'a> {
    work: Sorted<Work>,
    values: &'a Values<'a>,
    rules: &'static dyn Rules,
    target: &'a Arc<dyn Target>,
    progress: &'a dyn Progress,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    done: u64,
    /// Identifiers of what was created and is to be deleted again at the end, by name: few, and never by name alone.
    going: BTreeMap<String, String>,
    /// Creations that were denied.
    denied: u64,
    /// Why, by name.
    failed: BTreeMap<String, String>,
}

/// How far a pass has come: every secret before this one is done.
#[derive(Default)]
struct Passed {
    leading: watch::Sender<u64>,
    /// Done before their turn.
    beyond: Mutex<BTreeSet<u64>>,
}

impl Passed {
    fn mark(&self, at: u64) {
        let mut beyond = self.beyond.lock().unwrap_or_else(PoisonError::into_inner);
        beyond.insert(at);
        self.leading.send_modify(|leading| {
            while beyond.remove(leading) {
                *leading += 1;
            }
        });
    }

    async fn reached(&self, at: u64) {
        // It cannot be closed while it is borrowed.
        let _ = self.leading.subscribe().wait_for(|leading| *leading > at).await;
    }
}

impl Run<'_> {
    /// Tells the pace of `all` writes, of which `most` are counted together.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn limit(&self, all: u64, most: u64) {
        if let Some(pace) = self.target.write_pace() {
            self.progress.limit(pace * all as f64 / most as f64);
        }
    }

    async fn whole_pass(&self, number: usize, phase: &'static str, total: u64) -> Result<(), ExecuteError> {
        if total > 0 {
            self.limit(total, total);
            self.progress.begin(phase, Some(total));
            self.pass(number, None, None).await?;
        }
        Ok(())
    }

    /// One pass over all secrets, each after the pass `ahead` is done with it and with all before it.
    async fn pass(&self, number: usize, ahead: Option<&Passed>, own: Option<&Passed>) -> Result<(), ExecuteError> {
        let one = |(at, work): (u64, Result<Work, RepoError>)| async move {
            let work = work?;
            if let Some(ahead) = ahead {
                ahead.reached(at).await;
            }
            let failed = self.outcome().failed.contains_key(&work.name);
            let outcome = if failed { Ok(()) } else { self.write_all(&work, &work.passes[number]).await };
            let outcome = match outcome {
                Err(ExecuteError::Provider(error)) if !is_fatal(&error) => {
                    let mut outcome = self.outcome();
                    outcome.denied += u64::from(self.rules.denies_creation(&error));
                    outcome.failed.insert(work.name, error.to_string());
                    // Nothing was written and nothing may be: one sentence, and not one for each secret.
                    let is_hopeless = outcome.done == 0 && outcome.denied >= HOPELESS;
                    if is_hopeless { Err(ExecuteError::Provider(error)) } else { Ok(()) }
                }
                other => other,
            };
            if let Some(own) = own {
                own.mark(at);
            }
            outcome
        };
        let running = stream::iter((0..).zip(self.work.walk()?)).map(one).buffer_unordered(CONCURRENT_SECRETS);
        running.try_for_each(|()| async { Ok(()) }).await
    }

    async fn write_all(&self, work: &Work, writes: &[Planned]) -> Result<(), ExecuteError> {
        for planned in writes {
            self.write(work, planned).await?;
            self.outcome().done += 1;
            self.progress.advance(1);
        }
        Ok(())
    }

    async fn write(&self, work: &Work, planned: &Planned) -> Result<(), ExecuteError> {
        let value = self.value(work, planned).await?;
        let (target, write, at) = (Arc::clone(self.target), planned.write.clone(), self.at(work, &planned.write));
        let applied = on_any_thread(async move { target.apply(&write, at.as_deref(), value.as_deref()).await }).await?;
        if let Some(id) = applied.created.filter(|_| work.is_going()) {
            self.outcome().going.insert(work.name.clone(), id);
        }
        Ok(())
    }

    /// The value of a write, as the target's kind takes it.
    async fn value(&self, work: &Work, planned: &Planned) -> Result<Option<Arc<SecretValue>>, ExecuteError> {
        let (Some(at), Some(version)) = (&planned.value, &planned.source) else { return Ok(None) };
        let value = self.values.get(at, &work.source_id, version).await?;
        let value = edited(&work.edits, &value).map_or(value, Arc::new);
        match codec::encode(&planned.codec, &value) {
            Ok(None) => Ok(Some(value)),
            Ok(Some(value)) => Ok(Some(Arc::new(value))),
            Err(message) => Err(ExecuteError::Provider(ProviderError {
                provider: "target",
                kind: ErrorKind::Invalid,
                operation: "write",
                secret: Some(work.name.clone()),
                code: "NoForm".into(),
                message,
            })),
        }
    }

    /// The incarnation that a write is about, where one is known.
    fn at(&self, work: &Work, write: &Step) -> Option<String> {
        let before = work.before.as_ref().filter(|_| !work.recreated || matches!(write, Step::Destroy { .. }));
        before.cloned().or_else(|| self.outcome().going.get(&work.name).cloned())
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
