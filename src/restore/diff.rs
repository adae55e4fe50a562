//! What differs between two captures: two snapshots, or a snapshot and the live source.
//!
//! Names, versions, labels and metadata are compared from records, which hold no value. Two references to one place in a
//! pack are one value; other values are compared only where both sides can be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{plan::ValueRef, values::Values};
use crate::{
    model::{Record, Secret, SecretValue, Tag, ValueState, Version},
    progress::Progress,
    provider::{ErrorKind, FetchedValue, ProviderError, Source},
    repo::RepoError,
};

const CONCURRENT_SECRETS: usize = 32;

/// One side of a comparison.
pub struct Side {
    /// The records.
    pub records: Vec<Record>,
    /// Values that were read alive, by ARN and version id.
    pub values: BTreeMap<(String, String), SecretValue>,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Secrets that only the newer side has.
    pub added: Vec<String>,
    /// Secrets that only the older side has.
    pub removed: Vec<String>,
    /// What changed in secrets that both have.
    pub changes: Vec<Change>,
    /// Secrets that are equal in everything that was compared.
    pub same: u64,
    /// Values found equal.
    pub values_same: u64,
    /// Values that could not be compared: that needs a quorum.
    pub values_unknown: u64,
    /// What could not be read on either side, by name.
    pub unread: Vec<String>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// The secret.
    pub name: String,
    /// The version, when it is about one.
    pub version: Option<String>,
    /// What: `version added`, `version removed`, `labels`, `value`, `tags`, `description`, `policy`, `key`, …
    pub what: &'static str,
    /// More, never a value.
    pub detail: String,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changes.is_empty()
    }

    fn change(&mut self, name: &str, version: Option<&str>, what: &'static str, detail: String) {
        self.changes.push(Change { name: name.to_owned(), version: version.map(Into::into), what, detail });
    }
}

impl Side {
    /// A snapshot.
    pub fn of(records: Vec<Record>) -> Self {
        Self { records, values: BTreeMap::new() }
    }
}

/// Reads the source as it is now; values too when `with_values`.
///
/// # Errors
/// The source fails as a whole. A part that is refused is named in its record.
pub async fn live(source: &dyn Source, with_values: bool, progress: &dyn Progress) -> Result<Side, ProviderError> {
    progress.begin("read the source", None);
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut side = Side { records: Vec::new(), values: BTreeMap::new() };
    let reads = source.list().map_ok(|listed| async move {
        match source.fetch(&listed, &|_| !with_values).await {
            Ok(fetched) => Ok(Some(fetched)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    });
    let mut reads = Box::pin(reads.try_buffer_unordered(CONCURRENT_SECRETS));
    while let Some(fetched) = reads.try_next().await? {
        progress.advance(1);
        let Some(fetched) = fetched else { continue };
        let mut versions = Vec::new();
        for version in fetched.versions {
            let value = match version.value {
                FetchedValue::Value(value) => {
                    side.values.insert((fetched.secret.arn.clone(), version.id.clone()), value);
                    ValueState::None
                }
                FetchedValue::Unreadable(reason) => ValueState::Unreadable { reason },
                _ => ValueState::None,
            };
            let (id, stages, created, kms_keys) = (version.id, version.stages, version.created, version.kms_keys);
            versions.push(Version { id, stages, created, kms_keys, value });
        }
        side.records.push(Record { secret: fetched.secret, versions, read: now, listing: None });
    }
    Ok(side)
}

/// Compares `older` with `newer`, secret by secret; `values` opens what is stored, when there is a quorum.
///
/// # Errors
/// A damaged pack.
pub async fn diff(older: &Side, newer: &Side, values: Option<&Values<'_>>) -> Result<Diff, RepoError> {
    let by_name = |side: &Side| -> BTreeMap<String, usize> {
        side.records.iter().enumerate().map(|(at, record)| (record.secret.name.clone(), at)).collect()
    };
    let (old, new) = (by_name(older), by_name(newer));
    let mut diff = Diff::default();
    diff.added.extend(new.keys().filter(|name| !old.contains_key(*name)).cloned());
    diff.removed.extend(old.keys().filter(|name| !new.contains_key(*name)).cloned());
    let unread = older.records.iter().chain(&newer.records).filter(|record| record.is_incomplete());
    diff.unread = unread.map(|record| record.secret.name.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let both = old.iter().filter_map(|(name, at)| Some((&older.records[*at], &newer.records[*new.get(name)?])));
    let mut work = stream::iter(both);
    while let Some((old, new)) = work.next().await {
        let before = diff.changes.len();
        metadata(&old.secret, &new.secret, &mut diff);
        versions(old, new, &mut diff);
        for (one, other) in common(old, new) {
            compare_values((older, old, one), (newer, new, other), values, &mut diff).await?;
        }
        diff.same += u64::from(diff.changes.len() == before);
    }
    Ok(diff)
}

fn metadata(old: &Secret, new: &Secret, diff: &mut Diff) {
    let sorted = |tags: &[Tag]| tags.iter().cloned().collect::<BTreeSet<_>>();
    let regions = |secret: &Secret| secret.replicas.iter().map(|it| it.region.clone()).collect::<BTreeSet<_>>();
    let name = &old.name;
    let mut check = |what: &'static str, differs: bool| {
        if differs {
            diff.change(name, None, what, String::new());
        }
    };
    check("recreated", old.arn != new.arn);
    check("description", old.description.as_deref().unwrap_or("") != new.description.as_deref().unwrap_or(""));
    check("key", old.kms_key != new.kms_key);
    check("tags", sorted(&old.tags) != sorted(&new.tags));
    check("policy", old.policy != new.policy);
    check("rotation", old.rotation != new.rotation);
    check("replicas", regions(old) != regions(new));
    check("type", old.secret_type != new.secret_type);
    check("deletion", old.deleted.is_some() != new.deleted.is_some());
}

fn versions(old: &Record, new: &Record, diff: &mut Diff) {
    let name = &old.secret.name;
    let labels = |version: &Version| version.stages.iter().cloned().collect::<BTreeSet<_>>();
    let list = |version: &Version| labels(version).into_iter().collect::<Vec<_>>().join(", ");
    for version in &new.versions {
        match old.versions.iter().find(|known| known.id == version.id) {
            None => diff.change(name, Some(&version.id), "version added", format!("[{}]", list(version))),
            Some(known) if labels(known) != labels(version) => {
                diff.change(name, Some(&version.id), "labels", format!("[{}] → [{}]", list(known), list(version)));
            }
            Some(_) => {}
        }
    }
    for gone in old.versions.iter().filter(|version| new.versions.iter().all(|it| it.id != version.id)) {
        diff.change(name, Some(&gone.id), "version removed", format!("[{}]", list(gone)));
    }
}

fn common<'a>(old: &'a Record, new: &'a Record) -> Vec<(&'a Version, &'a Version)> {
    let pair = |version: &'a Version| Some((version, new.versions.iter().find(|it| it.id == version.id)?));
    old.versions.iter().filter_map(pair).collect()
}

type Held<'a> = (&'a Side, &'a Record, &'a Version);

async fn compare_values(
    old: Held<'_>,
    new: Held<'_>,
    values: Option<&Values<'_>>,
    diff: &mut Diff,
) -> Result<(), RepoError> {
    if let (Some(one), Some(other)) = (ValueRef::of(old.2), ValueRef::of(new.2))
        && one == other
    {
        diff.values_same += 1;
        return Ok(());
    }
    let (Some(one), Some(other)) = (bytes(old, values).await?, bytes(new, values).await?) else {
        let holds = |held: Held<'_>| ValueRef::of(held.2).is_some();
        diff.values_unknown += u64::from(holds(old) || holds(new));
        return Ok(());
    };
    if one.value().same_as(other.value()) {
        diff.values_same += 1;
    } else {
        diff.change(&old.1.secret.name, Some(&old.2.id), "value", String::new());
    }
    Ok(())
}

/// A value of either side.
enum Bytes<'a> {
    Alive(&'a SecretValue),
    Stored(Arc<SecretValue>),
}

impl Bytes<'_> {
    fn value(&self) -> &SecretValue {
        match self {
            Self::Alive(value) => value,
            Self::Stored(value) => value,
        }
    }
}

async fn bytes<'a>(
    (side, record, version): Held<'a>,
    values: Option<&Values<'_>>,
) -> Result<Option<Bytes<'a>>, RepoError> {
    let arn = &record.secret.arn;
    if let Some(value) = side.values.get(&(arn.clone(), version.id.clone())) {
        return Ok(Some(Bytes::Alive(value)));
    }
    match (values, ValueRef::of(version)) {
        (Some(values), Some(at)) => Ok(Some(Bytes::Stored(values.get(&at, arn, &version.id).await?))),
        _ => Ok(None),
    }
}
