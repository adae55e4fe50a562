//! A secret and its versions.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::Value;

use super::{labels::Labels, limits, refusal::Refusal};
use crate::model::SecretValue;

/// Milliseconds since 1970, as every date here.
pub(super) type Millis = i64;
const DAY: Millis = 24 * 60 * 60 * 1000;

/// One version. Without a value it is a place that a rotation has reserved.
pub(super) struct Version {
    pub id: String,
    pub value: Option<Arc<SecretValue>>,
    pub created: Millis,
    pub kms_key_id: Option<String>,
    accessed: AtomicI64,
}

impl Version {
    pub fn new(id: String, value: Option<Arc<SecretValue>>, created: Millis, kms_key_id: Option<String>) -> Self {
        Self { id, value, created, kms_key_id, accessed: AtomicI64::new(0) }
    }

    pub fn accessed(&self) -> Option<Millis> {
        Some(self.accessed.load(Ordering::Relaxed)).filter(|day| *day != 0)
    }
}

impl Clone for Version {
    fn clone(&self) -> Self {
        Self::new(self.id.clone(), self.value.clone(), self.created, self.kms_key_id.clone())
    }
}

/// A replica of a primary secret, as the primary sees it.
#[derive(Clone)]
pub(super) struct Replica {
    pub region: String,
    pub kms_key_id: Option<String>,
    /// Why there is none: the text of `StatusMessage`.
    pub failed: Option<String>,
}

/// What RotateSecret stored.
#[derive(Clone, Default)]
pub(super) struct Rotation {
    pub enabled: bool,
    pub lambda: Option<String>,
    pub after_days: Option<i64>,
    pub duration: Option<String>,
    pub schedule: Option<String>,
    pub external_role: Option<String>,
    pub external_metadata: Option<Value>,
}

/// One secret in one region.
pub(super) struct Secret {
    pub seq: u64,
    pub arn: String,
    pub name: Arc<str>,
    pub description: Option<String>,
    pub kms_key_id: Option<String>,
    pub kind: Option<String>,
    pub owning_service: Option<String>,
    /// `None` if never tagged: AWS then answers no `Tags` at all.
    pub tags: Option<Vec<(String, String)>>,
    pub policy: Option<String>,
    pub created: Millis,
    pub changed: Millis,
    pub rotated: Option<Millis>,
    pub next_rotation: Option<Millis>,
    /// The end of the recovery window.
    pub deleted: Option<Millis>,
    pub rotation: Option<Rotation>,
    pub versions: Vec<Version>,
    pub labels: Labels,
    pub primary_region: Option<String>,
    pub replicas: Vec<Replica>,
    /// Fields an answer has beyond those known here.
    pub extra: BTreeMap<String, Value>,
    accessed: AtomicI64,
}

impl Secret {
    pub fn new(arn: String, name: Arc<str>, now: Millis) -> Self {
        Self {
            seq: 0,
            arn,
            name,
            description: None,
            kms_key_id: None,
            kind: None,
            owning_service: None,
            tags: None,
            policy: None,
            created: now,
            changed: now,
            rotated: None,
            next_rotation: None,
            deleted: None,
            rotation: None,
            versions: Vec::new(),
            labels: Labels::default(),
            primary_region: None,
            replicas: Vec::new(),
            extra: BTreeMap::new(),
            accessed: AtomicI64::new(0),
        }
    }

    /// Notes that a value was read; dates of access have the resolution of a day.
    pub fn touch(&self, version: &Version, now: Millis) {
        let day = now - now.rem_euclid(DAY);
        self.accessed.store(day, Ordering::Relaxed);
        version.accessed.store(day, Ordering::Relaxed);
    }

    pub fn accessed(&self) -> Option<Millis> {
        Some(self.accessed.load(Ordering::Relaxed)).filter(|day| *day != 0)
    }

    /// Moves `LastChangedDate`, always forward.
    pub fn touch_changed(&mut self, now: Millis) {
        self.changed = now.max(self.changed + 1);
    }

    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version that carries `AWSCURRENT`.
    pub fn current(&self) -> Option<&Version> {
        self.labels.version(super::labels::CURRENT).and_then(|id| self.version(id))
    }

    /// Whether this is a replica.
    pub fn is_replica(&self, region: &str) -> bool {
        self.primary_region.as_deref().is_some_and(|primary| primary != region)
    }

    pub fn must_be_live(&self) -> Result<(), Refusal> {
        if self.deleted.is_none() {
            return Ok(());
        }
        Err(Refusal::invalid_request(
            "You can't perform this operation on the secret because it was marked for deletion.",
        ))
    }

    pub fn must_be_primary(&self, region: &str) -> Result<(), Refusal> {
        if !self.is_replica(region) {
            return Ok(());
        }
        Err(Refusal::invalid_request(
            "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
        ))
    }

    pub fn must_be_unmanaged(&self) -> Result<(), Refusal> {
        if self.owning_service.is_none() {
            return Ok(());
        }
        Err(Refusal::invalid_request(
            "This secret is managed by an AWS service, and you must use that service to update it.",
        ))
    }

    /// Adds a version and moves labels; beyond a hundred, the oldest deprecated versions of more than a day go.
    ///
    /// If the version is refused, its labels are not moved.
    pub fn add_version(&mut self, version: Version, stages: Option<&[String]>) -> Result<(), Refusal> {
        let now = version.created;
        let mut labels = self.labels.clone();
        labels.put(&version.id, stages)?;
        while self.versions.len() >= limits::VERSIONS {
            let old = |it: &Version| now - it.created > limits::PRUNE_AGE && !labels.on(&it.id);
            let Some(index) = self.versions.iter().position(old) else { break };
            self.versions.remove(index);
        }
        if self.versions.len() >= limits::VERSIONS_QUOTA {
            return Err(Refusal::limit(
                "The secret has too many versions that are less than 24 hours old, or that have staging labels.",
            ));
        }
        self.versions.push(version);
        self.labels = labels;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(n: i64, created: Millis) -> Version {
        Version::new(format!("v{n}"), Some(Arc::new(SecretValue::text("x".into()))), created, None)
    }

    #[test]
    fn versions_younger_than_a_day_are_never_pruned() {
        let mut secret = Secret::new("arn".into(), "n".into(), 0);
        for n in 0..150 {
            assert!(secret.add_version(version(n, n), None).is_ok());
        }
        let refusal = secret.add_version(version(150, 151), None).err().unwrap();
        assert_eq!(refusal.code, "LimitExceededException");
        assert_eq!((secret.versions.len(), secret.labels.version("AWSCURRENT")), (150, Some("v149")));
        assert!(secret.add_version(version(151, limits::PRUNE_AGE + 1), None).is_ok());
        assert!(secret.version("v0").is_none() && secret.version("v1").is_some());
        assert!(secret.add_version(version(152, 2 * limits::PRUNE_AGE), None).is_ok());
        assert_eq!(secret.versions.len(), 100);
    }

    #[test]
    fn labelled_versions_survive_pruning_however_old() {
        let mut secret = Secret::new("arn".into(), "n".into(), 0);
        assert!(secret.add_version(version(0, 0), Some(&["keep".into()])).is_ok());
        for n in 1..150 {
            assert!(secret.add_version(version(n, n * 2 * limits::PRUNE_AGE), None).is_ok());
        }
        assert_eq!(secret.versions.len(), 100);
        assert!(secret.version("v0").is_some());
    }
}
