//! What a plan has to know about the target, asked before anything is decided. Changes nothing.

use std::{collections::BTreeMap, path::Path, pin::pin};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    inventory::inventory,
    plan::{Plan, SecretPlan},
};
use crate::{
    model::{Existing, Moved, Options, Place, PolicyVerdict, Presence, Record},
    provider::{Context, ProviderError, Questions, Rules, Target, UnknownKind, rules},
    repo::{Chosen, RepoError, Sorted, Spool},
};

/// Keys, ARNs and policies asked about at the same time; the provider's limiter paces the calls.
const ASKED_AT_ONCE: usize = 16;

/// What was asked for and what is in a target, as far as a plan depends on it.
#[derive(Clone)]
pub struct Found {
    /// Who and where it says it is.
    pub place: Place,
    /// What has the wanted names, by name.
    pub existing: Sorted<Existing>,
    /// Keys and ARNs, and whether they are there.
    pub presence: BTreeMap<String, Presence>,
    /// Policies, and what the target thinks of them.
    pub policies: BTreeMap<String, PolicyVerdict>,
    /// The records that were asked for, by their name in the target.
    pub(super) wanted: Sorted<Wanted>,
    /// The ARNs of the snapshot that nothing in the target will have. A secret that is still there, or is taken back, keeps
    /// its own.
    pub(super) moved: Moved,
    /// The rules of the target's kind.
    pub(super) rules: &'static dyn Rules,
}

/// A record that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// Its name in the target.
    pub name: String,
    pub record: Record,
}

/// Something that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The target is of a kind whose rules this build does not have.
    #[error(transparent)]
    UnknownKind(#[from] UnknownKind),
    /// The target, or the source.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The repository, or the host's folder for what does not fit in memory.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

/// Asks the target who it is, what has the wanted names, and about every key, ARN and risky policy. `records` may come in any
/// order; what does not fit in memory waits in `scratch`.
///
/// # Errors
/// The target cannot be asked. That one thing cannot be told is in the answer.
pub async fn look(
    target: &dyn Target,
    manifest: &Chosen,
    records: impl Stream<Item = Result<Record, RepoError>>,
    options: &Options,
    scratch: Option<&Path>,
) -> Result<Found, LookError> {
    let place = target.place().await?;
    let source = &manifest.manifest().source;
    let rules = rules(&place.provider)?;
    let name_of = |record: &Record| rules.name(&record.secret, source, &options.maps);
    let mut wanted = Spool::new(scratch, |a: &Wanted, b| by_name(a).cmp(&by_name(b)));
    let mut moved = Moved::default();
    let mut records = pin!(records);
    while let Some(record) = records.try_next().await? {
        let wants = options.wants(&record.secret.name);
        // In the same place a secret that is not asked for was not looked for, and is taken to be there.
        if wants || *source != place {
            moved.add(&record.secret.id);
        }
        if wants {
            wanted.push(Wanted { name: name_of(&record), record })?;
        }
    }
    let wanted = wanted.sorted()?;
    // A name that the target would refuse cannot be asked for, and nothing has it.
    let names = wanted.walk()?.filter_map(|wanted| match wanted {
        Ok(wanted) => {
            let fault = rules.name_fault(source, &wanted.record.secret.name, &wanted.name);
            fault.is_none().then_some(Ok(wanted.name))
        }
        Err(error) => Some(Err(error)),
    });
    let existing = inventory(target, wanted.count(), names, scratch).await?;
    for there in existing.walk()? {
        moved.remove(&there?.secret.id);
    }
    let (presence, policies, moved) = (BTreeMap::new(), BTreeMap::new(), moved.sorted());
    let mut found = Found { place, existing, presence, policies, wanted, moved, rules };
    let Questions { references, policies } = questions(manifest, &found, options)?;
    let asked = |reference: String| async {
        let presence = target.presence(&reference).await?;
        Ok::<_, ProviderError>((reference, presence))
    };
    found.presence = stream::iter(references).map(asked).buffered(ASKED_AT_ONCE).try_collect().await?;
    let judged = |policy: String| async {
        let verdict = target.judge_policy(&policy).await?;
        Ok::<_, ProviderError>((policy, verdict))
    };
    found.policies = stream::iter(policies).map(judged).buffered(ASKED_AT_ONCE).try_collect().await?;
    Ok(found)
}

fn by_name(wanted: &Wanted) -> (&str, &str) {
    (&wanted.name, &wanted.record.secret.name)
}

/// Whether what decided a plan is still so: what has its names, and what that is.
///
/// # Errors
/// The target cannot be asked.
pub async fn is_unchanged(target: &dyn Target, plan: &Plan) -> Result<bool, LookError> {
    let rules = rules(&plan.target.provider)?;
    let names = plan.secrets.walk()?.filter_map(|secret| match secret {
        Ok(SecretPlan { desired: it, .. }) => {
            rules.name_fault(&plan.source, &it.source_name, &it.name).is_none().then_some(Ok(it.name))
        }
        Err(error) => Some(Err(error)),
    });
    let now = inventory(target, plan.secrets.count(), names, plan.secrets.folder()).await?;
    let mut now = now.walk()?.peekable();
    for secret in plan.secrets.walk()? {
        let secret = secret?;
        let there = now.next_if(|it| it.as_ref().is_ok_and(|it| it.secret.name == secret.desired.name));
        if secret.before != there.transpose()?.as_ref().map(|there| rules.state(there, &plan.target)) {
            return Ok(false);
        }
    }
    // What is left is an error of the walk.
    now.next().transpose()?;
    Ok(true)
}

impl Found {
    /// What every decision depends on.
    pub(super) fn context<'a>(&'a self, source: &'a Place, options: &'a Options, time: Timestamp) -> Context<'a> {
        let Self { place: target, presence, policies, moved, .. } = self;
        Context { source, target, options, time, presence, policies, moved }
    }
}

fn questions(manifest: &Chosen, found: &Found, options: &Options) -> Result<Questions, RepoError> {
    let manifest = manifest.manifest();
    let context = found.context(&manifest.source, options, manifest.time);
    let mut all = Questions::default();
    for wanted in found.wanted.walk()? {
        let Questions { references, policies } = found.rules.questions(&wanted?.record.secret, &context);
        all.references.extend(references);
        all.policies.extend(policies);
    }
    Ok(all)
}
