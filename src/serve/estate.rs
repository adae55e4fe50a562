//! What is served: every secret of the snapshots, how a name or an ARN leads to it, and what describes it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::model::{AWSCURRENT, Place, Record, SecretArn, SnapshotId, ValueState, Version};

/// One snapshot that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Shelf {
    /// Its source.
    pub place: Place,
    /// Its id.
    pub snapshot: SnapshotId,
    /// Its number.
    pub number: u64,
    /// When it was taken.
    pub taken: Timestamp,
}

/// Every secret of the snapshots that are served, without values.
#[derive(Default)]
pub struct Estate {
    shelves: Vec<Shelf>,
    entries: Vec<Entry>,
    by_id: HashMap<Arc<str>, usize>,
    by_name: BTreeMap<Arc<str>, Vec<usize>>,
}

/// One secret, in as few bytes as its answers need.
pub struct Entry {
    /// The name.
    pub name: Arc<str>,
    /// The provider's identifier: the ARN.
    pub id: Arc<str>,
    /// Every version.
    pub versions: Box<[Version]>,
    /// The snapshot that it is from.
    pub shelf: usize,
    /// The access policy.
    pub policy: Option<Box<str>>,
    /// Whether it is scheduled for deletion.
    pub is_deleted: bool,
    /// When its rotation was due next, as the source said at the time of the snapshot.
    pub rotation_due: Option<Timestamp>,
    /// The regions that have a replica.
    replicas: Box<[Box<str>]>,
    /// The answer of DescribeSecret, as JSON.
    described: Box<str>,
}

/// Why a name leads to no secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Unresolved {
    /// There is none.
    NoSuch,
    /// There are several: their ARNs.
    Several(Vec<String>),
}

/// A secret whose rotation was due after the snapshot: its value may be another one now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Overdue {
    /// The secret.
    pub name: String,
    /// The source.
    pub source: String,
    /// When its rotation was due.
    pub due: Timestamp,
}

impl Estate {
    /// Adds a snapshot; its records follow with [`Estate::add`].
    pub fn open(&mut self, shelf: Shelf) {
        self.shelves.push(shelf);
    }

    /// Adds a record of the snapshot that was opened last.
    pub fn add(&mut self, record: Record) {
        let shelf = self.shelves.len().saturating_sub(1);
        let entry = Entry::new(record, shelf);
        let at = self.entries.len();
        self.by_id.insert(Arc::clone(&entry.id), at);
        self.by_name.entry(Arc::clone(&entry.name)).or_default().push(at);
        self.entries.push(entry);
    }

    /// The snapshots.
    pub fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// The snapshot of a secret.
    pub fn shelf(&self, entry: &Entry) -> &Shelf {
        &self.shelves[entry.shelf]
    }

    /// How many secrets there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Every secret, by name, from the first after `after` on.
    pub fn walk<'a>(&'a self, after: Option<(&str, usize)>) -> impl Iterator<Item = (usize, &'a Entry)> {
        use std::ops::Bound::{Included, Unbounded};
        let start = after.map_or(Unbounded, |(name, _)| Included(name));
        let passed = after.map(|(name, at)| (name.to_owned(), at));
        let all = self.by_name.range::<str, _>((start, Unbounded)).flat_map(|(_, all)| all.iter().copied());
        let is_passed = move |at: usize| {
            passed.as_ref().is_some_and(|(name, last)| *self.entries[at].name == **name && at <= *last)
        };
        all.filter(move |at| !is_passed(*at)).map(|at| (at, &self.entries[at]))
    }

    /// Finds a secret by its name, its ARN, or its ARN without the six characters at its end. A name that several sources
    /// have means that of `region`.
    ///
    /// # Errors
    /// See [`Unresolved`].
    pub fn find(&self, id: &str, region: &str) -> Result<&Entry, Unresolved> {
        if let Some(at) = self.by_id.get(id) {
            return Ok(&self.entries[*at]);
        }
        if id.starts_with("arn:") {
            return self.by_arn(id).ok_or(Unresolved::NoSuch);
        }
        let all: Vec<&Entry> = self.named(id).collect();
        let here: Vec<&Entry> = all.iter().copied().filter(|entry| self.shelf(entry).place.region == region).collect();
        match (&all[..], &here[..]) {
            ([], _) => Err(Unresolved::NoSuch),
            ([one], _) | (_, [one]) => Ok(one),
            _ => Err(Unresolved::Several(all.iter().map(|entry| entry.id.to_string()).collect())),
        }
    }

    /// The ARN of a replica has the region of the replica, and the rest of the primary's.
    fn by_arn(&self, arn: &str) -> Option<&Entry> {
        let SecretArn { region, account, resource } = SecretArn::parse(arn)?;
        let of_account = || self.shelves.iter().filter(move |shelf| shelf.place.account == account);
        if of_account().any(|shelf| shelf.place.region == region) {
            let here = |entry: &&Entry| {
                let place = &self.shelf(entry).place;
                place.account == account && place.region == region
            };
            if let Some(found) = self.named(resource).find(here) {
                return Some(found);
            }
        }
        let swap = |shelf: &Shelf| arn.replacen(&format!(":{region}:"), &format!(":{}:", shelf.place.region), 1);
        let primary = of_account().find_map(|shelf| self.by_id.get(swap(shelf).as_str()));
        let partial = || {
            let mut named = self.named(resource).filter(|entry| self.shelf(entry).place.account == account);
            named.find(|entry| entry.has_replica(region))
        };
        match primary {
            Some(at) => Some(&self.entries[*at]).filter(|entry| entry.has_replica(region)),
            None => partial(),
        }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.by_name.get(name).into_iter().flatten().map(|at| &self.entries[*at])
    }

    /// The secrets whose rotation was due before `now`: their source may have another value by now.
    pub fn overdue(&self, now: Timestamp) -> Vec<Overdue> {
        let of = |(_, entry): (usize, &Entry)| {
            let due = entry.rotation_due.filter(|due| *due <= now)?;
            let source = self.shelf(entry).place.short();
            Some(Overdue { name: entry.name.to_string(), source, due })
        };
        self.walk(None).filter_map(of).collect()
    }

    /// When the oldest of the snapshots was taken.
    pub fn oldest(&self) -> Option<&Shelf> {
        self.shelves.iter().min_by_key(|shelf| shelf.taken)
    }
}

impl Entry {
    fn new(record: Record, shelf: usize) -> Self {
        let described = describe(&record).to_string().into();
        let Record { secret, versions, .. } = record;
        Self {
            name: secret.name.as_str().into(),
            id: secret.id.as_str().into(),
            versions: versions.into(),
            shelf,
            policy: secret.facets.policy.as_deref().map(Into::into),
            is_deleted: secret.deleted.is_some(),
            rotation_due: rotation_due(&secret.raw["DescribeSecret"], &secret),
            replicas: secret.facets.replicas.iter().map(|replica| replica.region.as_str().into()).collect(),
            described,
        }
    }

    fn has_replica(&self, region: &str) -> bool {
        self.replicas.iter().any(|replica| **replica == *region)
    }

    /// The answer of DescribeSecret.
    pub fn describe(&self) -> Json {
        serde_json::from_str(&self.described).unwrap_or_default()
    }

    /// The same as its text.
    pub fn described(&self) -> &str {
        &self.described
    }

    /// The version with a label; the current one has `AWSCURRENT`, whatever its source calls it.
    pub fn labelled(&self, label: &str) -> Option<&Version> {
        let current = || self.versions.iter().find(|version| version.current).filter(|_| label == AWSCURRENT);
        self.versions.iter().find(|version| version.has(label)).or_else(current)
    }

    /// The version with an id.
    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }
}

/// The labels that clients see.
pub fn stages(version: &Version) -> Vec<&str> {
    let mut stages: Vec<&str> = version.labels.iter().map(String::as_str).collect();
    if version.current && !stages.contains(&AWSCURRENT) {
        stages.push(AWSCURRENT);
    }
    stages
}

/// The date format of AWS JSON 1.1: seconds since 1970, with milliseconds.
pub(super) fn seconds(time: Timestamp) -> f64 {
    let whole = i32::try_from(time.as_second()).map_or(f64::from(i32::MAX), f64::from);
    whole + f64::from(time.subsec_millisecond()) / 1000.0
}

/// What the provider itself said, where it is AWS; else what the record has.
fn describe(record: &Record) -> Json {
    let secret = &record.secret;
    let raw = &secret.raw["DescribeSecret"];
    if raw.is_object() {
        return raw.clone();
    }
    let facets = &secret.facets;
    let mut map = serde_json::Map::new();
    map.insert("ARN".into(), json!(secret.id));
    map.insert("Name".into(), json!(secret.name));
    let mut some = |key: &str, value: Option<Json>| value.map(|value| map.insert(key.into(), value));
    some("Description", facets.description.as_ref().map(|text| json!(text)));
    some("KmsKeyId", facets.key.as_ref().map(|text| json!(text)));
    some("CreatedDate", secret.created.map(|time| json!(seconds(time))));
    some("LastChangedDate", secret.changed.map(|time| json!(seconds(time))));
    some("DeletedDate", secret.deleted.map(|time| json!(seconds(time))));
    let tags: Vec<Json> = facets.tags.iter().map(|tag| json!({ "Key": tag.key, "Value": tag.value })).collect();
    some("Tags", (!tags.is_empty()).then(|| json!(tags)));
    let labelled = record.versions.iter().map(|version| (version.id.as_str(), stages(version)));
    let labelled: BTreeMap<&str, Vec<&str>> = labelled.filter(|(_, stages)| !stages.is_empty()).collect();
    some("VersionIdsToStages", (!labelled.is_empty()).then(|| json!(labelled)));
    Json::Object(map)
}

/// When the rotation after the snapshot was due: as the provider said, else the days of the settings after the last one.
fn rotation_due(raw: &Json, secret: &crate::model::Secret) -> Option<Timestamp> {
    let rotation = secret.facets.rotation.as_ref().filter(|rotation| rotation.enabled)?;
    let date = |key: &str| {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a date, rounded down")]
        raw[key].as_f64().and_then(|seconds| Timestamp::from_second(seconds as i64).ok())
    };
    date("NextRotationDate").or_else(|| {
        let last = date("LastRotatedDate").or(secret.created)?;
        last.checked_add(SignedDuration::from_hours(24 * rotation.after_days?)).ok()
    })
}

/// Whether a value is there to be read.
pub(super) fn is_stored(version: &Version) -> bool {
    matches!(version.value, ValueState::Stored { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::sample;

    fn found(estate: &Estate, id: &str, region: &str) -> Result<String, Unresolved> {
        estate.find(id, region).map(|entry| entry.id.to_string())
    }

    #[test]
    fn names_and_arns_of_every_source_lead_to_a_secret() {
        let estate = sample::estate();
        let (east, west) = (sample::arn("us-east-1", "app/db"), sample::arn("eu-west-1", "app/db"));
        assert_eq!(found(&estate, &east, "ap-south-1").as_deref(), Ok(&*east));
        assert_eq!(found(&estate, &east[..east.len() - 7], "ap-south-1").as_deref(), Ok(&*east));
        assert_eq!(found(&estate, "app/db", "us-east-1").as_deref(), Ok(&*east));
        assert_eq!(found(&estate, "app/db", "eu-west-1").as_deref(), Ok(&*west));
        assert_eq!(found(&estate, "app/db", "ap-south-1"), Err(Unresolved::Several(vec![east.clone(), west])));
        assert_eq!(found(&estate, "app/only", "ap-south-1").as_deref(), Ok(&*sample::arn("us-east-1", "app/only")));
        for wrong in ["app", "", "arn:aws:secretsmanager:us-east-1:111111111111:secret:", "arn:aws:s3:::b", "app/DB"] {
            assert_eq!(found(&estate, wrong, "us-east-1"), Err(Unresolved::NoSuch), "{wrong}");
        }
        let other = east.replace("111111111111", "222222222222");
        assert_eq!(found(&estate, &other, "us-east-1"), Err(Unresolved::NoSuch));
        let replica = sample::arn("us-east-1", "app/only").replace("us-east-1", "us-west-2");
        assert_eq!(found(&estate, &replica, "us-west-2").as_deref(), Ok(&*sample::arn("us-east-1", "app/only")));
        let nowhere = replica.replace("us-west-2", "us-west-1");
        assert_eq!(found(&estate, &nowhere, "us-west-1"), Err(Unresolved::NoSuch));
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped() {
        let estate = sample::estate();
        let all: Vec<usize> = estate.walk(None).map(|(at, _)| at).collect();
        assert_eq!(all.len(), estate.count());
        for (index, at) in all.iter().enumerate() {
            let after = (&*estate.entries[*at].name, *at);
            assert_eq!(estate.walk(Some(after)).map(|(at, _)| at).collect::<Vec<_>>(), all[index + 1..]);
        }
    }

    #[test]
    fn a_rotation_that_was_due_since_is_named() {
        let estate = sample::estate();
        let names = |now: &str| estate.overdue(now.parse().unwrap()).into_iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!(names("2030-01-05T00:00:00Z"), Vec::<String>::new());
        assert_eq!(names("2030-02-01T00:00:00Z"), ["app/only"]);
    }
}
