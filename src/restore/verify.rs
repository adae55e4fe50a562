//! Reads everything back and compares it with the plan: ids, values, labels, tags, description, policy and the rest.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    aspect::{Aspect, Tally},
    compare::{Comparing, Left},
    execute::{ExecuteError, on_any_thread},
    plan::{Outcome, Plan, SecretPlan},
    values::Values,
};
use crate::{
    model::Moved,
    progress::Progress,
    provider::{self, Listed, ProviderError, Source},
    repo::{RepoError, Sorted, Spool},
};

const CONCURRENT_SECRETS: usize = 32;

/// What was compared and what differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Secrets that are to be there.
    pub planned: u64,
    /// Secrets that were read back.
    pub secrets: u64,
    /// Versions that are there, unlabelled ones included.
    pub versions: u64,
    /// Values compared byte by byte.
    pub values: u64,
    /// Labels compared.
    pub labels: u64,
    /// Tags compared.
    pub tags: u64,
    /// Descriptions, types and scheduled deletions compared.
    pub descriptions: u64,
    /// Policies compared.
    pub policies: u64,
    /// Every comparison, by what was compared. The numbers above are taken from it.
    pub checks: Tally,
    /// Everything that is not as it was.
    pub differences: Vec<Difference>,
    /// How many versions are in each state.
    #[serde(skip)]
    pub version_counts: BTreeMap<&'static str, u64>,
    /// Each version, and how it is.
    pub states: Sorted<VersionState>,
    /// The identifiers of the secrets that are there, by the old ones.
    #[serde(rename = "arns")]
    pub moved: Sorted<NewId>,
    /// Values and policies that still lead back to the old place.
    #[serde(rename = "old_arns")]
    pub leading_back: Vec<LeadingBack>,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The secret.
    pub name: String,
    /// The version, when it is about one.
    pub version: Option<String>,
    /// What: `value`, `labels`, `tags`, `description`, `policy`, `type`, `key`, `rotation`, `replicas`, `deletion`,
    /// `missing`, `extra`, `unreadable`.
    pub what: &'static str,
    /// More, never a value.
    pub detail: String,
    /// What it is a difference of; empty when it is the whole secret.
    #[serde(skip)]
    pub aspects: Vec<Aspect>,
}

/// How one version is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionState {
    /// The secret.
    pub name: String,
    /// The version.
    pub version: String,
    /// `restored` by this run, `identical` before it, `different`, `missing`, or `unread`: it may not be read any more.
    pub state: Cow<'static, str>,
}

/// What a secret was called by the provider, and what it is called now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NewId {
    /// In the source.
    pub old: String,
    /// In the target.
    pub new: String,
}

/// Something that leads back to the old place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeadingBack {
    /// The secret.
    pub name: String,
    /// The version whose value it is in; `None` for the policy.
    pub version: Option<String>,
    /// Where a policy leads; what a value says is never told.
    #[serde(rename = "arns")]
    pub references: Vec<String>,
}

/// Compares every secret of `plan` that should be there now. Each is read by its name: a listing may be minutes behind.
///
/// # Errors
/// The target or the repository fails as a whole; what differs is in the [`Verification`].
pub async fn verify(
    plan: &Plan,
    values: &Values<'_>,
    target: &Arc<dyn Source>,
    progress: &dyn Progress,
) -> Result<Verification, ExecuteError> {
    let due = plan.secrets.reordered(by_pack, |secret| secret.is_verified().then_some(secret))?;
    target.pace().iter().for_each(|pace| progress.limit(pace.read));
    progress.begin("verify", Some(due.count()));
    let moved = moved(plan)?;
    let rules = provider::rules(&plan.target.provider).map_err(ProviderError::from)?;
    // Of a kind that this build lacks, nobody knows what leads to it.
    let of_source = provider::rules(&plan.source.provider).ok();
    let left = Left { rules: of_source, source: &plan.source, target: &plan.target, moved: &moved };
    let mut found = Verification::default();
    let folder = plan.secrets.folder();
    let (mut states, mut new_ids) = (Spool::new(folder, VersionState::cmp), Spool::new(folder, NewId::cmp));
    let mut reads = stream::iter(due.walk()?)
        .map(|secret| async move {
            let secret = secret?;
            let (target, listed) = (Arc::clone(target), Listed::named(&secret.desired.name));
            let fetched = on_any_thread(async move { target.fetch(&listed, &|_, _| false).await }).await;
            Ok::<_, RepoError>((secret, fetched))
        })
        .buffer_unordered(CONCURRENT_SECRETS);
    while let Some((secret, fetched)) = reads.try_next().await? {
        let (states, new_ids) = (&mut states, &mut new_ids);
        let comparing =
            Comparing { secret: &secret, values, rules, left: &left, verification: &mut found, states, new_ids };
        comparing.all(fetched).await?;
        progress.advance(1);
    }
    (found.states, found.moved) = (states.sorted()?, new_ids.sorted()?);
    found.take_sums();
    found.differences.sort();
    found.leading_back.sort();
    Ok(found)
}

/// Those of one pack beside each other.
pub(super) fn by_pack(one: &SecretPlan, other: &SecretPlan) -> Ordering {
    let place = |secret: &SecretPlan| secret.desired.versions.first().map(|it| (it.value.pack, it.value.line));
    place(one).cmp(&place(other)).then_with(|| one.desired.name.cmp(&other.desired.name))
}

/// The identifiers that are gone: those of the snapshot that nothing had under the planned names.
fn moved(plan: &Plan) -> Result<Moved, RepoError> {
    let mut moved = Moved::default();
    for secret in plan.secrets.walk()? {
        let secret = secret?;
        let id = secret.before.as_ref().and_then(|state| state.id.as_ref());
        if id != Some(&secret.desired.source_id) || secret.outcome == Outcome::Recreate {
            moved.add(&secret.desired.source_id);
        }
    }
    Ok(moved.sorted())
}

impl Verification {
    fn take_sums(&mut self) {
        let compared = |aspect| self.checks.of(aspect).compared;
        self.versions = compared(Aspect::Ids);
        self.values = compared(Aspect::Values) + compared(Aspect::Binary);
        self.labels = compared(Aspect::Labels);
        self.tags = compared(Aspect::Tags);
        self.descriptions = compared(Aspect::Descriptions);
        self.policies = compared(Aspect::Policies);
    }

    /// Whether something was compared and everything was as it should be. Nothing compared is not a pass.
    pub fn passed(&self) -> bool {
        self.secrets > 0 && self.differences.is_empty()
    }
}
