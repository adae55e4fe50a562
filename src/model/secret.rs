//! One secret: its metadata, its versions, and where their values are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Digest, ValueKind};

/// A record: one secret's metadata and its version list, as an index stores it. Holds no value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The metadata.
    pub secret: Secret,
    /// Every version the provider knows, in the provider's order.
    pub versions: Vec<Version>,
    /// When this secret was last read from the provider.
    pub read: Timestamp,
    /// SHA-256 of its entry in the listing of that day: while it stays the same, nothing the listing shows has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Digest>,
}

/// The metadata of one secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// The name, unique within a [`Place`](super::Place).
    pub name: String,
    /// The provider's identifier of this very incarnation (AWS: the ARN with its random suffix).
    pub arn: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The key new versions are encrypted under, as the provider states it; `None` is its default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Tags in the provider's order; keys differ by case and values may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The resource policy, character for character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rotation settings, present also while rotation is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The regions this secret is replicated to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
    /// The type of a managed external secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// The service that manages this secret (`rds`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owning_service: Option<String>,
    /// The region of the primary, when this is or has replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_region: Option<String>,
    /// Creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Last change of any kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// When deletion was requested; values cannot be read while this is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Parts of the metadata that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// The provider's own answers, by operation, kept so that fields unknown today survive.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub raw: Json,
}

/// A part of a secret that the provider refused to give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The provider's operation (`DescribeSecret`, `ListSecretVersionIds`, `GetResourcePolicy`).
    pub part: String,
    /// The provider's error code.
    pub reason: String,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value, possibly empty.
    pub value: String,
}

/// Rotation settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Whether rotation is on.
    pub enabled: bool,
    /// The rotation function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<String>,
    /// `rate(…)` or `cron(…)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The window, such as `3h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Days between rotations; derived by AWS when `schedule` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_days: Option<i64>,
}

/// One replica of a primary secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The replica's region.
    pub region: String,
    /// The replica's key; `None` is the provider's default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The status as stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// One version of a secret: immutable value, movable labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The version id: 32 to 64 characters, not always a UUID, unique only within its secret.
    pub id: String,
    /// Staging labels, sorted; empty for a deprecated version.
    pub stages: Vec<String>,
    /// Creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The keys this version is encrypted under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kms_keys: Vec<String>,
    /// Where the value is.
    pub value: ValueState,
}

/// Where the value of a version is, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ValueState {
    /// Sealed in a pack, at a line counted from 0.
    Stored {
        /// The SHA-256 of the pack's ciphertext.
        pack: Digest,
        /// The line within the pack's plaintext, from 0.
        line: u32,
        /// String or binary.
        kind: ValueKind,
    },
    /// The version exists and has no value (a rotation made the id first).
    None,
    /// The secret is scheduled for deletion, so its values cannot be read, and no earlier snapshot holds this one.
    ScheduledForDeletion,
    /// The provider refused; `reason` is its error code.
    Unreadable {
        /// The provider's error code.
        reason: String,
    },
}

impl Version {
    /// Whether `label` is attached.
    pub fn has(&self, label: &str) -> bool {
        self.stages.iter().any(|stage| stage == label)
    }
}

impl Record {
    /// What the provider refused to give: the operation, the version if it is a value, the error code.
    pub fn refused(&self) -> impl Iterator<Item = (&str, Option<&str>, &str)> {
        let parts = self.secret.unreadable.iter().map(|part| (part.part.as_str(), None, part.reason.as_str()));
        let values = self.versions.iter().filter_map(|version| match &version.value {
            ValueState::Unreadable { reason } => Some(("GetSecretValue", Some(version.id.as_str()), reason.as_str())),
            _ => None,
        });
        parts.chain(values)
    }

    /// Whether anything of this secret should have been captured and was not.
    pub fn is_incomplete(&self) -> bool {
        self.refused().next().is_some()
    }
}
