//! A secret as it is to be in a target, and the writes that lead there. Holds no value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Codec, Digest, Edits, Replica, Rotation, State, Step, Tag, ValueKind, ValueState, Version, Withheld};

/// The state a secret has when it is restored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// The name in the target.
    pub name: String,
    /// The name in the source.
    pub source_name: String,
    /// The provider's identifier in the source.
    pub source_id: String,
    /// Free text.
    pub description: Option<String>,
    /// The key in the target; `None` is the provider's default key.
    pub kms_key: Option<String>,
    /// The tags.
    pub tags: Vec<Tag>,
    /// The resource policy, its ARNs rewritten.
    pub policy: Option<String>,
    /// Whether the provider shall refuse the policy if it lets everyone in.
    pub block_public: bool,
    /// The type of a managed external secret.
    pub secret_type: Option<String>,
    /// The versions whose values are written, oldest first.
    pub versions: Vec<DesiredVersion>,
    /// Versions that are to be deleted or destroyed, oldest first, where the target's kind has such states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<WithheldVersion>,
    /// What the target's kind calls settings, by its own names (Vault: `max_versions`, `cas_required`,
    /// `delete_version_after`; files: `mode`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Rotation to switch on.
    pub rotation: Option<Rotation>,
    /// Replicas to make.
    pub replicas: Vec<Replica>,
    /// Text that changes inside its values.
    #[serde(default, skip_serializing_if = "Edits::is_empty")]
    pub edits: Edits,
    /// The recovery window of a secret that is to be scheduled for deletion, in days.
    pub deletion_days: Option<i64>,
}

/// A version as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredVersion {
    /// The version id in the target.
    pub id: String,
    /// The version id in the source.
    pub source: String,
    /// Whether an application that asks for no version is to get this one.
    pub current: bool,
    /// The labels, sorted.
    pub labels: Vec<String>,
    /// Where its value is.
    pub value: ValueRef,
    /// How the value is written where its kind does not exist.
    #[serde(default, skip_serializing_if = "Codec::is_as_is")]
    pub codec: Codec,
}

/// A version without a value that can be read, as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithheldVersion {
    /// The version id in the target.
    pub id: String,
    /// The version id in the source.
    pub source: String,
    /// What it is to be.
    pub how: Withheld,
    /// Where its value is, when it was read before: what an undelete would give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueRef>,
}

/// Where a value is in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRef {
    /// The pack.
    pub pack: Digest,
    /// The line, from 0.
    pub line: u32,
    /// Text, bytes or fields.
    pub kind: ValueKind,
}

impl ValueRef {
    /// Where a version's value is, when there is one.
    pub fn of(version: &Version) -> Option<Self> {
        match version.value {
            ValueState::Stored { pack, line, kind, size: _ } => Some(Self { pack, line, kind }),
            ValueState::None | ValueState::Withheld { .. } | ValueState::Unreadable { .. } => None,
        }
    }
}

/// A part that cannot come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The version, or the part of the metadata.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One write and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The write.
    pub write: Step,
    /// The value it writes.
    pub value: Option<ValueRef>,
    /// The id in the source of the version whose value it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How the value is written.
    #[serde(default, skip_serializing_if = "Codec::is_as_is")]
    pub codec: Codec,
}

impl Planned {
    /// A write without a value.
    pub fn plain(write: Step) -> Self {
        Self { write, value: None, source: None, codec: Codec::AsIs }
    }

    /// A write of a version's value.
    pub fn of(write: Step, version: &DesiredVersion) -> Self {
        let source = Some(version.source.clone());
        Self { write, value: Some(version.value), source, codec: version.codec.clone() }
    }
}

impl Desired {
    /// The key in the target; `None` is the provider's default key.
    pub fn key(&self) -> Option<&str> {
        self.kms_key.as_deref()
    }

    /// Leaves the key that is there.
    pub fn keep_key_of(&mut self, state: &State) {
        self.kms_key.clone_from(&state.kms_key);
    }
}

impl DesiredVersion {
    /// Whether `label` is to be attached.
    pub fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|attached| attached == label)
    }
}
