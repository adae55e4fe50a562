//! One secret: its metadata, its versions, and where their values are.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{AWSCURRENT, Digest, Facets, LEAKED, ValueKind, VersionFacets};

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

/// One secret without its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// The name, unique within a [`Place`](super::Place).
    pub name: String,
    /// The provider's identifier of this very incarnation (AWS: the ARN with its random suffix).
    pub id: String,
    /// The metadata.
    #[serde(default, skip_serializing_if = "Facets::is_empty")]
    pub facets: Facets,
    /// Creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Last change of any kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// When deletion was requested; values cannot be read while this is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Parts of the secret, other than values, that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// The provider's own answers, by operation, kept so that fields unknown today survive.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub raw: Json,
}

/// A part of a secret that the provider refused to give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Which part.
    pub part: Part,
    /// The provider's operation (AWS: `DescribeSecret`, `ListSecretVersionIds`, `GetResourcePolicy`).
    pub operation: String,
    /// The provider's error code.
    pub reason: String,
}

/// What of a secret a provider can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Everything about the secret that is not one of the others.
    Metadata,
    /// The list of its versions.
    Versions,
    /// The value of a version.
    Value,
    /// The access policy.
    Policy,
}

/// One refusal, as [`Record::refused`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Which part.
    pub part: Part,
    /// The provider's operation.
    pub operation: &'a str,
    /// The version, when the part is a value.
    pub version: Option<&'a str>,
    /// The provider's error code.
    pub reason: &'a str,
}

/// One version of a secret: immutable value, movable labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The version id, unique only within its secret (AWS: 32 to 64 characters, not always a UUID).
    pub id: String,
    /// Whether an application that asks for no version gets this one, as the provider states it; at most one of a secret.
    #[serde(default, skip_serializing_if = "is_false")]
    pub current: bool,
    /// Labels, sorted (AWS: staging labels; a deprecated version has none).
    pub labels: Vec<String>,
    /// Creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// The metadata of this version.
    #[serde(default, skip_serializing_if = "VersionFacets::is_empty")]
    pub facets: VersionFacets,
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
        /// Text, bytes or fields.
        kind: ValueKind,
        /// The length of the value in bytes (fields: of their canonical text).
        size: u32,
    },
    /// The version exists and has no value (a rotation made the id first).
    None,
    /// The state of the version keeps its value from being read, and no earlier snapshot holds it.
    Withheld {
        /// The state.
        reason: Withheld,
    },
    /// The provider refused; `reason` is its error code.
    Unreadable {
        /// The provider's error code.
        reason: String,
    },
}

/// A state in which nobody gets a version's value: a fact that the record keeps, not a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The secret is scheduled for deletion.
    ScheduledForDeletion,
    /// The version is disabled.
    Disabled,
    /// The version is deleted and can be undeleted.
    Deleted,
    /// The value is destroyed for good.
    Destroyed,
}

impl Withheld {
    /// The word for it where a provider's own error code would stand.
    pub fn code(self) -> &'static str {
        match self {
            Self::ScheduledForDeletion => "ScheduledForDeletion",
            Self::Disabled => "Disabled",
            Self::Deleted => "Deleted",
            Self::Destroyed => "Destroyed",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScheduledForDeletion => "scheduled for deletion",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        })
    }
}

impl ValueState {
    /// Who marked the version as leaked, and when, where a tombstone stands for the value.
    pub fn leaked(&self) -> Option<&str> {
        match self {
            Self::Unreadable { reason } => reason.strip_prefix(LEAKED).map(|_| reason.as_str()),
            Self::Stored { .. } | Self::None | Self::Withheld { .. } => None,
        }
    }
}

impl Version {
    /// The facet that says what keeps everybody from its value in the source, whatever is known of the value.
    pub const STATE: &'static str = "state";

    /// The facet that says when the source deletes it of its own accord.
    pub const UNTIL: &'static str = "until";

    /// When the source deletes it of its own accord.
    pub fn until(&self) -> Option<&str> {
        self.facets.other.get(Self::UNTIL)?.as_str()
    }

    /// What keeps everybody from its value in the source, also where the value was captured before that.
    pub fn withheld(&self) -> Option<Withheld> {
        let told = self.facets.other.get(Self::STATE).and_then(|state| Withheld::deserialize(state).ok());
        match (&self.value, told) {
            (_, Some(how)) => Some(how),
            (ValueState::Withheld { reason }, None) => Some(*reason),
            _ => None,
        }
    }

    /// The same of one whose value was captured before that.
    pub fn withheld_since(&self) -> Option<Withheld> {
        self.withheld().filter(|_| matches!(self.value, ValueState::Stored { .. }))
    }

    /// Whether `label` is attached.
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|attached| attached == label)
    }

    /// Whether an application that asks for no version gets this one.
    pub fn is_current(&self) -> bool {
        self.current || self.has(AWSCURRENT)
    }

    /// Why there is no value of it to restore; `None` when there is one.
    pub fn loss(&self) -> Option<String> {
        match &self.value {
            ValueState::Stored { .. } => None,
            ValueState::Unreadable { reason } if self.value.leaked().is_some() => Some(format!("it is {reason}")),
            ValueState::Unreadable { reason } => Some(format!("it could not be read: {reason}")),
            ValueState::Withheld { reason } => Some(format!("cannot be read: {reason}")),
            ValueState::None => Some("it has no value".to_owned()),
        }
    }

    /// Why the value of what a person calls `what` is not there; `None` when it is.
    pub fn unavailable(&self, what: &str) -> Option<String> {
        match &self.value {
            ValueState::Stored { .. } => None,
            ValueState::Unreadable { reason } if self.value.leaked().is_some() => {
                Some(format!("its {what} version is {reason}"))
            }
            ValueState::Unreadable { reason } => Some(format!("its {what} value could not be read: {reason}")),
            ValueState::None => Some(format!("its {what} version has no value")),
            ValueState::Withheld { .. } => Some(format!("its {what} value is not in the backup")),
        }
    }
}

impl Record {
    /// What the provider refused to give. A version whose value is refused records the error code alone: `reads_value` is the
    /// operation of this provider that reads one.
    pub fn refused<'a>(&'a self, reads_value: &'a str) -> impl Iterator<Item = Refusal<'a>> {
        let parts = self.secret.unreadable.iter().map(|refused| Refusal {
            part: refused.part,
            operation: &refused.operation,
            version: None,
            reason: &refused.reason,
        });
        let values = self.versions.iter().filter_map(move |version| match &version.value {
            // It was captured; a tombstone keeps it from whoever reads.
            ValueState::Unreadable { .. } if version.value.leaked().is_some() => None,
            ValueState::Unreadable { reason } => {
                Some(Refusal { part: Part::Value, operation: reads_value, version: Some(&version.id), reason })
            }
            // What is scheduled for deletion can be had back for some days, and nobody holds it.
            ValueState::Withheld { reason: reason @ Withheld::ScheduledForDeletion } => {
                let reason = reason.code();
                Some(Refusal { part: Part::Value, operation: reads_value, version: Some(&version.id), reason })
            }
            ValueState::Stored { .. } | ValueState::None | ValueState::Withheld { .. } => None,
        });
        parts.chain(values)
    }

    /// Whether anything of this secret should have been captured and was not.
    pub fn is_incomplete(&self) -> bool {
        self.refused("").next().is_some()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_has_the_names_of_the_format() {
        let text = json!({
            "secret": {
                "name": "app", "id": "app-1",
                "facets": {
                    "description": "d", "key": "k", "tags": [{"key": "a", "value": ""}], "policy": "p",
                    "rotation": {"enabled": true}, "replicas": [{"region": "r", "key": "k"}], "type": "t",
                    "managed": "rds", "primary_region": "r"
                },
                "created": "2030-01-01T00:00:00Z",
                "unreadable": [{"part": "policy", "operation": "GetResourcePolicy", "reason": "Denied"}],
                "raw": {"Describe": 1}
            },
            "versions": [
                {
                    "id": "1", "current": true, "labels": ["AWSCURRENT"], "facets": {"keys": ["k"]},
                    "value": {"state": "stored", "pack": Digest::of(b"p"), "line": 1, "kind": "fields", "size": 7}
                },
                {"id": "2", "labels": [], "value": {"state": "withheld", "reason": "scheduled_for_deletion"}},
                {"id": "3", "labels": [], "value": {"state": "unreadable", "reason": "Denied"}},
                {"id": "4", "labels": [], "value": {"state": "none"}}
            ],
            "read": "2030-01-02T00:00:00Z"
        });
        let record: Record = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), text);
        let refused: Vec<_> =
            record.refused("GetSecretValue").map(|it| (it.part, it.operation, it.version, it.reason)).collect();
        let policy = (Part::Policy, "GetResourcePolicy", None, "Denied");
        let scheduled = (Part::Value, "GetSecretValue", Some("2"), "ScheduledForDeletion");
        assert_eq!(refused, [policy, scheduled, (Part::Value, "GetSecretValue", Some("3"), "Denied")]);
    }

    #[test]
    fn what_a_secret_does_not_have_is_not_in_its_json() {
        let secret = Secret { name: "a".into(), id: "b".into(), ..Secret::default() };
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#"{"name":"a","id":"b"}"#);
    }
}
