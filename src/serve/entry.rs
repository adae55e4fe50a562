//! One secret as clients see it: its versions, and what describes it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::model::{AWSCURRENT, Record, ValueState, Version};

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
    /// The regions that have a replica.
    replicas: Box<[Box<str>]>,
    /// The answer of DescribeSecret, as JSON.
    described: Box<str>,
}

impl Entry {
    pub(super) fn new(record: Record, shelf: usize) -> Self {
        let described = describe(&record).to_string().into();
        let Record { secret, versions, .. } = record;
        Self {
            name: secret.name.as_str().into(),
            id: secret.id.as_str().into(),
            versions: versions.into(),
            shelf,
            policy: secret.facets.policy.as_deref().map(Into::into),
            is_deleted: secret.deleted.is_some(),
            replicas: secret.facets.replicas.iter().map(|replica| replica.region.as_str().into()).collect(),
            described,
        }
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let version = |version: &Version| {
            let labels = version.labels.iter().map(|label| label.len() + size_of::<String>()).sum::<usize>();
            let keys = version.facets.keys.iter().map(|key| key.len() + size_of::<String>()).sum::<usize>();
            size_of::<Version>() + version.id.len() + labels + keys
        };
        let texts =
            self.name.len() + self.id.len() + self.described.len() + self.policy.as_ref().map_or(0, |it| it.len());
        let replicas: usize = self.replicas.iter().map(|region| region.len() + size_of::<Box<str>>()).sum();
        size_of::<Self>() + texts + replicas + self.versions.iter().map(version).sum::<usize>()
    }

    pub(super) fn has_replica(&self, region: &str) -> bool {
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
pub(super) fn rotation_due(raw: &Json, secret: &crate::model::Secret) -> Option<Timestamp> {
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
