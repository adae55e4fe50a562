//! Reads everything back and compares it with the snapshot: ids, values, labels, tags, description, policy.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{
    execute::ExecuteError,
    plan::{Desired, DesiredVersion, Plan, SecretPlan},
    values::Values,
};
use crate::{
    model::Tag,
    progress::Progress,
    provider::{Fetched, FetchedValue, FetchedVersion, Listed, ProviderError, Source},
};

const CONCURRENT_SECRETS: usize = 32;

/// What was compared and what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The secret.
    pub name: String,
    /// The version, when it is about one.
    pub version: Option<String>,
    /// What: `value`, `labels`, `tags`, `description`, `policy`, `missing`, `extra`, `unreadable`.
    pub what: &'static str,
    /// More, never a value.
    pub detail: String,
}

/// Compares every secret of `plan` that should be there now.
///
/// # Errors
/// The target or the repository fails as a whole; what differs is in the [`Verification`].
pub async fn verify(
    plan: &Plan,
    values: &Values<'_>,
    target: &dyn Source,
    progress: &dyn Progress,
) -> Result<Verification, ExecuteError> {
    let due: BTreeMap<&str, &SecretPlan> = plan
        .secrets
        .iter()
        .filter(|secret| secret.is_verified())
        .map(|secret| (secret.desired.name.as_str(), secret))
        .collect();
    progress.begin("verify", Some(due.len() as u64));
    let listed: Vec<Listed> = target
        .list()
        .try_filter(|listed| std::future::ready(due.contains_key(listed.name.as_str())))
        .try_collect()
        .await?;
    let mut verification = Verification::default();
    let there: BTreeSet<String> = listed.iter().map(|listed| listed.name.clone()).collect();
    for name in due.keys().filter(|name| !there.contains(**name)) {
        verification.differ(name, None, "missing", String::new());
    }
    let mut reads = stream::iter(listed)
        .map(|listed| async move {
            let fetched = target.fetch(&listed, &|_| false).await;
            (listed, fetched)
        })
        .buffer_unordered(CONCURRENT_SECRETS);
    while let Some((listed, fetched)) = reads.next().await {
        let secret = due[listed.name.as_str()];
        compare(&secret.desired, fetched, values, &mut verification).await?;
        progress.advance(1);
    }
    verification.differences.sort();
    Ok(verification)
}

impl Verification {
    /// Whether something was compared and everything was as it should be. Nothing compared is not a pass.
    pub fn passed(&self) -> bool {
        self.secrets > 0 && self.differences.is_empty()
    }

    fn differ(&mut self, name: &str, version: Option<&str>, what: &'static str, detail: String) {
        self.differences.push(Difference { name: name.into(), version: version.map(Into::into), what, detail });
    }
}

async fn compare(
    desired: &Desired,
    fetched: Result<Fetched, ProviderError>,
    values: &Values<'_>,
    verification: &mut Verification,
) -> Result<(), ExecuteError> {
    let name = &desired.name;
    let fetched = match fetched {
        Ok(fetched) => fetched,
        Err(error) => {
            verification.differ(name, None, "unreadable", error.to_string());
            return Ok(());
        }
    };
    verification.secrets += 1;
    compare_metadata(desired, &fetched, verification);
    let mut there: BTreeMap<&str, &FetchedVersion> =
        fetched.versions.iter().map(|version| (version.id.as_str(), version)).collect();
    for version in &desired.versions {
        match there.remove(version.id.as_str()) {
            Some(found) => compare_version(desired, version, found, values, verification).await?,
            None => verification.differ(name, Some(&version.id), "missing", String::new()),
        }
    }
    for id in there.keys() {
        verification.differ(name, Some(id), "extra", "a version that was not in the snapshot".into());
    }
    Ok(())
}

fn compare_metadata(desired: &Desired, fetched: &Fetched, verification: &mut Verification) {
    let (name, secret) = (&desired.name, &fetched.secret);
    for part in &secret.unreadable {
        verification.differ(name, None, "unreadable", format!("{}: {}", part.part, part.reason));
    }
    verification.tags += desired.tags.len() as u64;
    let sorted = |tags: &[Tag]| tags.iter().cloned().collect::<BTreeSet<_>>();
    if sorted(&desired.tags) != sorted(&secret.tags) {
        verification.differ(
            name,
            None,
            "tags",
            format!("{} expected, {} found", desired.tags.len(), secret.tags.len()),
        );
    }
    verification.descriptions += u64::from(desired.description.is_some());
    if desired.description.as_deref().unwrap_or("") != secret.description.as_deref().unwrap_or("") {
        verification.differ(name, None, "description", String::new());
    }
    verification.policies += u64::from(desired.policy.is_some());
    if desired.policy != secret.policy {
        verification.differ(name, None, "policy", String::new());
    }
    if desired.secret_type != secret.secret_type {
        verification.differ(name, None, "type", String::new());
    }
}

async fn compare_version(
    desired: &Desired,
    version: &DesiredVersion,
    found: &FetchedVersion,
    values: &Values<'_>,
    verification: &mut Verification,
) -> Result<(), ExecuteError> {
    let name = &desired.name;
    verification.versions += 1;
    verification.labels += version.stages.len() as u64;
    let sorted = |stages: &[String]| stages.iter().cloned().collect::<BTreeSet<_>>();
    if sorted(&version.stages) != sorted(&found.stages) {
        let detail = format!("expected [{}], found [{}]", version.stages.join(", "), found.stages.join(", "));
        verification.differ(name, Some(&version.id), "labels", detail);
    }
    match &found.value {
        FetchedValue::Value(value) => {
            let expected = values.get(&version.value, &desired.source_arn, &version.id).await?;
            verification.values += 1;
            if !expected.same_as(value) {
                verification.differ(name, Some(&version.id), "value", "the bytes are not those of the snapshot".into());
            }
        }
        FetchedValue::Unreadable(reason) => verification.differ(name, Some(&version.id), "unreadable", reason.clone()),
        _ => verification.differ(name, Some(&version.id), "value", "it holds no value".into()),
    }
    Ok(())
}
