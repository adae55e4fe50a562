//! What differs between two captures: two snapshots, or a snapshot and the live source.
//!
//! Names, versions, labels and metadata are compared from records, which hold no value. Two references to one place in a
//! pack are one value; other values are compared only where both sides can be read.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    pin::pin,
    sync::Arc,
};

use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{execute::on_any_thread, look::LookError, values::Values};
use crate::{
    model::{Record, Secret, SecretValue, Tag, ValueRef, ValueState, Version},
    progress::Progress,
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Listed, Source},
    repo::{RepoError, Spool},
};

const CONCURRENT_SECRETS: usize = 32;

/// A secret of one side.
pub struct Held {
    record: Record,
    /// Values that were read alive, by version id.
    values: BTreeMap<String, SecretValue>,
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

impl Held {
    /// A secret of a snapshot.
    pub fn stored(record: Record) -> Self {
        Self { record, values: BTreeMap::new() }
    }

    /// A secret as it is now.
    fn alive(fetched: Fetched) -> Self {
        let mut values = BTreeMap::new();
        let versions =
            fetched.versions.into_iter().map(|FetchedVersion { id, current, labels, created, facets, value }| {
                let value = match value {
                    FetchedValue::Value(value) => {
                        values.insert(id.clone(), value);
                        ValueState::None
                    }
                    FetchedValue::Unreadable(reason) => ValueState::Unreadable { reason },
                    _ => ValueState::None,
                };
                Version { id, current, labels, created, facets, value }
            });
        let versions = versions.collect();
        let record = Record { secret: fetched.secret, versions, read: jiff::Timestamp::UNIX_EPOCH, listing: None };
        Self { record, values }
    }

    fn name(&self) -> &str {
        &self.record.secret.name
    }
}

/// The source as it is now, by name; values too when `with_values`. The names wait in `scratch`, one secret is read after
/// the other.
///
/// # Errors
/// The source fails as a whole. A part that is refused is named in its record.
pub async fn live<'a>(
    source: &'a Arc<dyn Source>,
    with_values: bool,
    scratch: Option<&Path>,
    progress: &'a dyn Progress,
) -> Result<impl Stream<Item = Result<Held, LookError>> + use<'a>, LookError> {
    let mut spool = Spool::of_records(scratch);
    let mut listing = source.list();
    while let Some(listed) = listing.try_next().await? {
        spool.push(listed.into())?;
    }
    let listed = spool.sorted()?;
    source.pace().iter().for_each(|pace| progress.limit(pace.read));
    progress.begin("read the source", Some(listed.count()));
    let mut last = None;
    let once = move |record: &Result<Record, RepoError>| match record {
        Ok(record) => last.replace(record.secret.id.clone()).is_none_or(|last| last != record.secret.id),
        Err(_) => true,
    };
    let read = move |record: Result<Record, RepoError>| async move {
        let listed = Listed::from(record?);
        let source = Arc::clone(source);
        let fetched = on_any_thread(async move { source.fetch(&listed, &|_, _| !with_values).await }).await;
        progress.advance(1);
        match fetched {
            Ok(fetched) => Ok(Some(Held::alive(fetched))),
            // It vanished since it was listed.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let reads = stream::iter(listed.walk()?.filter(once)).map(read).buffered(CONCURRENT_SECRETS);
    Ok(reads.try_filter_map(|held| async { Ok(held) }))
}

/// Compares `older` with `newer`, which come by name; `values` opens what is stored, when there is a quorum.
///
/// # Errors
/// The first error of either side; a damaged pack.
pub async fn diff(
    older: impl Stream<Item = Result<Held, LookError>>,
    newer: impl Stream<Item = Result<Held, LookError>>,
    values: Option<&Values<'_>>,
) -> Result<Diff, LookError> {
    let (mut older, mut newer) = (pin!(older), pin!(newer));
    let (mut old, mut new) = (older.try_next().await?, newer.try_next().await?);
    let mut diff = Diff::default();
    loop {
        let order = match (&old, &new) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.name().cmp(new.name()),
        };
        let (one, other) = (old.take_if(|_| order.is_le()), new.take_if(|_| order.is_ge()));
        diff.take(one.as_ref(), other.as_ref(), values).await?;
        if old.is_none() {
            old = older.try_next().await?;
        }
        if new.is_none() {
            new = newer.try_next().await?;
        }
    }
    diff.unread.dedup();
    Ok(diff)
}

impl Diff {
    /// Takes a secret of one side, or of both.
    async fn take(
        &mut self,
        old: Option<&Held>,
        new: Option<&Held>,
        values: Option<&Values<'_>>,
    ) -> Result<(), RepoError> {
        let incomplete = [old, new].into_iter().flatten().filter(|held| held.record.is_incomplete());
        self.unread.extend(incomplete.map(|held| held.name().to_owned()));
        match (old, new) {
            (Some(old), Some(new)) => {
                let before = self.changes.len();
                metadata(&old.record.secret, &new.record.secret, self);
                versions(&old.record, &new.record, self);
                for (one, other) in common(&old.record, &new.record) {
                    compare_values((old, one), (new, other), values, self).await?;
                }
                self.same += u64::from(self.changes.len() == before);
            }
            (Some(old), None) => self.removed.push(old.name().to_owned()),
            (None, Some(new)) => self.added.push(new.name().to_owned()),
            (None, None) => {}
        }
        Ok(())
    }
}

fn metadata(old: &Secret, new: &Secret, diff: &mut Diff) {
    let sorted = |tags: &[Tag]| tags.iter().cloned().collect::<BTreeSet<_>>();
    let regions = |secret: &Secret| secret.facets.replicas.iter().map(|it| it.region.clone()).collect::<BTreeSet<_>>();
    let name = &old.name;
    let mut check = |what: &'static str, differs: bool| {
        if differs {
            diff.change(name, None, what, String::new());
        }
    };
    check("recreated", old.id != new.id);
    check(
        "description",
        old.facets.description.as_deref().unwrap_or("") != new.facets.description.as_deref().unwrap_or(""),
    );
    check("key", old.facets.key != new.facets.key);
    check("tags", sorted(&old.facets.tags) != sorted(&new.facets.tags));
    check("policy", old.facets.policy != new.facets.policy);
    check("rotation", old.facets.rotation != new.facets.rotation);
    check("replicas", regions(old) != regions(new));
    check("type", old.facets.r#type != new.facets.r#type);
    check("deletion", old.deleted.is_some() != new.deleted.is_some());
}

fn versions(old: &Record, new: &Record, diff: &mut Diff) {
    let name = &old.secret.name;
    let labels = |version: &Version| version.labels.iter().cloned().collect::<BTreeSet<_>>();
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

type HeldVersion<'a> = (&'a Held, &'a Version);

async fn compare_values(
    old: HeldVersion<'_>,
    new: HeldVersion<'_>,
    values: Option<&Values<'_>>,
    diff: &mut Diff,
) -> Result<(), RepoError> {
    if let (Some(one), Some(other)) = (ValueRef::of(old.1), ValueRef::of(new.1))
        && one == other
    {
        diff.values_same += 1;
        return Ok(());
    }
    let (Some(one), Some(other)) = (bytes(old, values).await?, bytes(new, values).await?) else {
        let holds = |held: HeldVersion<'_>| ValueRef::of(held.1).is_some();
        diff.values_unknown += u64::from(holds(old) || holds(new));
        return Ok(());
    };
    if one.value().same_as(other.value()) {
        diff.values_same += 1;
    } else {
        diff.change(old.0.name(), Some(&old.1.id), "value", String::new());
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
    (held, version): HeldVersion<'a>,
    values: Option<&Values<'_>>,
) -> Result<Option<Bytes<'a>>, RepoError> {
    if let Some(value) = held.values.get(&version.id) {
        return Ok(Some(Bytes::Alive(value)));
    }
    match (values, ValueRef::of(version)) {
        (Some(values), Some(at)) => {
            let secret = &held.record.secret.id;
            Ok(Some(Bytes::Stored(values.get(&at, secret, &version.id).await?)))
        }
        _ => Ok(None),
    }
}
