//! Reads everything back and compares it with the plan: ids, values, labels, tags, description, policy and the rest.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    arns::{Moved, Rewriting},
    execute::{ExecuteError, on_any_thread},
    options::Maps,
    plan::{DesiredVersion, Outcome, Plan, SecretPlan},
    state::own_tags,
    steps::same_key,
    values::Values,
};
use crate::{
    model::{AWSCURRENT, Tag, Withheld},
    progress::Progress,
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Listed, ProviderError, Source},
    repo::{RepoError, Sorted, Spool},
};

const CONCURRENT_SECRETS: usize = 32;

/// What was compared and what differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    /// Secrets compared.
    pub secrets: u64,
    /// Versions compared, unlabelled ones included.
    pub versions: u64,
    /// Values compared byte by byte.
    pub values: u64,
    /// Labels compared.
    pub labels: u64,
    /// Tags compared.
    pub tags: u64,
    /// Descriptions compared.
    pub descriptions: u64,
    /// Policies compared.
    pub policies: u64,
    /// Everything that is not as it was.
    pub differences: Vec<Difference>,
    /// How many versions are in each state.
    #[serde(skip)]
    pub version_counts: BTreeMap<&'static str, u64>,
    /// Each version, and how it is.
    pub states: Sorted<VersionState>,
    /// The ARNs of the secrets that are there, by the old ones.
    pub arns: Sorted<NewArn>,
    /// Values and policies that still contain an ARN of the old place.
    pub old_arns: Vec<OldArns>,
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
pub struct NewArn {
    /// In the source.
    pub old: String,
    /// In the target.
    pub new: String,
}

/// A place where an ARN of the old place is left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OldArns {
    /// The secret.
    pub name: String,
    /// The version whose value it is in; `None` for the policy.
    pub version: Option<String>,
    /// The ARNs of a policy; what a value says is never told.
    pub arns: Vec<String>,
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
    let maps = Maps::default();
    let rewriting = Rewriting { maps: &maps, source: &plan.source, target: &plan.target, moved: &moved };
    let mut found = Verification::default();
    let folder = plan.secrets.folder();
    let (mut states, mut arns) = (Spool::new(folder, VersionState::cmp), Spool::new(folder, NewArn::cmp));
    let mut reads = stream::iter(due.walk()?)
        .map(|secret| async move {
            let secret = secret?;
            let (target, listed) = (Arc::clone(target), Listed::named(&secret.desired.name));
            let fetched = on_any_thread(async move { target.fetch(&listed, &|_| false).await }).await;
            Ok::<_, RepoError>((secret, fetched))
        })
        .buffer_unordered(CONCURRENT_SECRETS);
    while let Some((secret, fetched)) = reads.try_next().await? {
        let (states, arns) = (&mut states, &mut arns);
        let comparing =
            Comparing { secret: &secret, values, rewriting: &rewriting, verification: &mut found, states, arns };
        comparing.all(fetched).await?;
        progress.advance(1);
    }
    (found.states, found.arns) = (states.sorted()?, arns.sorted()?);
    found.differences.sort();
    found.old_arns.sort();
    Ok(found)
}

/// Those of one pack beside each other.
fn by_pack(one: &SecretPlan, other: &SecretPlan) -> Ordering {
    let place = |secret: &SecretPlan| secret.desired.versions.first().map(|it| (it.value.pack, it.value.line));
    place(one).cmp(&place(other)).then_with(|| one.desired.name.cmp(&other.desired.name))
}

/// The ARNs that are gone: those of the snapshot that nothing had under the planned names.
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
    /// Whether something was compared and everything was as it should be. Nothing compared is not a pass.
    pub fn passed(&self) -> bool {
        self.secrets > 0 && self.differences.is_empty()
    }
}

/// One secret under comparison.
struct Comparing<'a, 'v> {
    secret: &'a SecretPlan,
    values: &'a Values<'a>,
    rewriting: &'a Rewriting<'a>,
    verification: &'v mut Verification,
    states: &'v mut Spool<VersionState>,
    arns: &'v mut Spool<NewArn>,
}

impl<'a> Comparing<'a, '_> {
    async fn all(mut self, fetched: Result<Fetched, ProviderError>) -> Result<(), ExecuteError> {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.differ(None, "missing", String::new());
                for version in self.due_versions() {
                    self.state(version, "missing")?;
                }
                return Ok(());
            }
            Err(error) => {
                self.differ(None, "unreadable", error.to_string());
                return Ok(());
            }
        };
        let secret = self.secret;
        self.verification.secrets += 1;
        self.arns.push(NewArn { old: secret.desired.source_id.clone(), new: fetched.secret.id.clone() })?;
        let whole = secret.outcome != Outcome::NewVersion;
        if whole {
            self.metadata(&fetched);
            self.settings(&fetched);
        }
        let mut there: BTreeMap<&str, &FetchedVersion> =
            fetched.versions.iter().map(|version| (version.id.as_str(), version)).collect();
        for version in self.due_versions() {
            if let Some(found) = there.remove(version.id.as_str()) {
                self.version(version, found).await?;
            } else {
                self.differ(Some(&version.id), "missing", String::new());
                self.state(version, "missing")?;
            }
        }
        // What another secret of this name had stays, and must have lost its labels.
        let is_replaced = secret.outcome == Outcome::Replace;
        let stays = |id: &str, extra: &FetchedVersion| {
            secret.kept.iter().any(|kept| kept == id) && (!is_replaced || extra.labels.is_empty())
        };
        for (id, _) in there.iter().filter(|(id, extra)| whole && !stays(id, extra)) {
            self.differ(Some(id), "extra", "a version that was not in the snapshot".into());
        }
        Ok(())
    }

    /// The versions that are to be as in the snapshot.
    fn due_versions(&self) -> Vec<&'a DesiredVersion> {
        let only_current = self.secret.outcome == Outcome::NewVersion;
        self.secret.desired.versions.iter().filter(|version| !only_current || version.has(AWSCURRENT)).collect()
    }

    fn metadata(&mut self, fetched: &Fetched) {
        let (desired, secret) = (&self.secret.desired, &fetched.secret);
        for part in &secret.unreadable {
            self.differ(None, "unreadable", format!("{}: {}", part.operation, part.reason));
        }
        self.verification.tags += desired.tags.len() as u64;
        let wanted: BTreeSet<&Tag> = desired.tags.iter().collect();
        let found: BTreeSet<&Tag> = own_tags(&secret.facets.tags).collect();
        if wanted != found {
            self.differ(None, "tags", format!("{} expected, {} found", wanted.len(), found.len()));
        }
        self.verification.descriptions += u64::from(desired.description.is_some());
        if desired.description.as_deref().unwrap_or("") != secret.facets.description.as_deref().unwrap_or("") {
            self.differ(None, "description", String::new());
        }
        let unshown = secret.deleted.is_some() && desired.deletion_days.is_some();
        if !unshown {
            self.verification.policies += u64::from(desired.policy.is_some());
            if desired.policy != secret.facets.policy {
                self.differ(None, "policy", String::new());
            }
        }
        if let Some(policy) = &desired.policy {
            self.old_arns(None, policy.as_bytes());
        }
    }

    fn settings(&mut self, fetched: &Fetched) {
        let (desired, secret) = (&self.secret.desired, &fetched.secret);
        if desired.secret_type != secret.facets.r#type {
            self.differ(None, "type", String::new());
        }
        let (wanted, found) = (desired.kms_key.as_deref(), secret.facets.key.as_deref());
        // An alias and a key's id cannot be compared; that there is a key at all can.
        if !same_key(wanted, found) && (same_key(wanted, None) || same_key(found, None)) {
            let name = |key: Option<&str>| key.unwrap_or("the default key").to_owned();
            self.differ(None, "key", format!("expected {}, found {}", name(wanted), name(found)));
        }
        if let Some(wanted) = &desired.rotation {
            let same = secret.facets.rotation.as_ref().is_some_and(|found| {
                found.enabled && found.lambda == wanted.lambda && found.schedule == wanted.schedule
            });
            if !same {
                self.differ(None, "rotation", String::new());
            }
        }
        for replica in &desired.replicas {
            let found = secret.facets.replicas.iter().find(|found| found.region == replica.region);
            match found.map(|found| found.status.as_deref().unwrap_or("unknown")) {
                Some("Failed") => self.differ(None, "replicas", format!("{}: Failed", replica.region)),
                Some(_) => {}
                None => self.differ(None, "replicas", format!("{} is missing", replica.region)),
            }
        }
        if desired.deletion_days.is_some() != secret.deleted.is_some() {
            self.differ(None, "deletion", String::new());
        }
    }

    async fn version(&mut self, version: &DesiredVersion, found: &FetchedVersion) -> Result<(), ExecuteError> {
        let before = self.verification.differences.len();
        self.verification.versions += 1;
        let mut expected: BTreeSet<&str> = version.labels.iter().map(String::as_str).collect();
        let mut labels: BTreeSet<&str> = found.labels.iter().map(String::as_str).collect();
        if self.secret.outcome == Outcome::NewVersion {
            expected.retain(|label| *label == AWSCURRENT);
            labels.retain(|label| *label == AWSCURRENT);
        }
        self.verification.labels += expected.len() as u64;
        if expected != labels {
            let list = |labels: &BTreeSet<&str>| labels.iter().copied().collect::<Vec<_>>().join(", ");
            let detail = format!("expected [{}], found [{}]", list(&expected), list(&labels));
            self.differ(Some(&version.id), "labels", detail);
        }
        let read = self.value(version, found).await?;
        let written = self.secret.writes().any(|planned| planned.write.writes_version() == Some(version.id.as_str()));
        let state = match (self.verification.differences.len() > before, read, written) {
            (true, ..) => "different",
            (false, false, _) => "unread",
            (false, true, true) => "restored",
            (false, true, false) => "identical",
        };
        Ok(self.state(version, state)?)
    }

    /// Compares the value; tells whether it could be read at all.
    async fn value(&mut self, version: &DesiredVersion, found: &FetchedVersion) -> Result<bool, ExecuteError> {
        let desired = &self.secret.desired;
        match &found.value {
            FetchedValue::Value(value) => {
                let expected = self.values.get(&version.value, &desired.source_id, &version.id).await?;
                self.verification.values += 1;
                if !expected.same_as(value) {
                    let detail = "the bytes are not those of the snapshot".into();
                    self.differ(Some(&version.id), "value", detail);
                }
                self.old_arns(Some(&version.id), expected.expose());
                return Ok(true);
            }
            FetchedValue::Withheld(Withheld::ScheduledForDeletion) if desired.deletion_days.is_some() => {
                return Ok(false);
            }
            FetchedValue::Unreadable(reason) => self.differ(Some(&version.id), "unreadable", reason.clone()),
            _ => self.differ(Some(&version.id), "value", "it holds no value".into()),
        }
        Ok(true)
    }

    fn old_arns(&mut self, version: Option<&str>, text: &[u8]) {
        let arns = self.rewriting.old(text);
        if !arns.is_empty() {
            // What a value says is never told.
            let arns = if version.is_some() { Vec::new() } else { arns.into_iter().collect() };
            let name = self.secret.desired.name.clone();
            self.verification.old_arns.push(OldArns { name, version: version.map(Into::into), arns });
        }
    }

    fn differ(&mut self, version: Option<&str>, what: &'static str, detail: String) {
        let name = self.secret.desired.name.clone();
        self.verification.differences.push(Difference { name, version: version.map(Into::into), what, detail });
    }

    fn state(&mut self, version: &DesiredVersion, state: &'static str) -> Result<(), RepoError> {
        *self.verification.version_counts.entry(state).or_default() += 1;
        let (name, version) = (self.secret.desired.name.clone(), version.id.clone());
        self.states.push(VersionState { name, version, state: state.into() })
    }
}
