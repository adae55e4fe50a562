//! The writes a plan is made of. A provider applies them; none of them holds a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Replica, Rotation, Tag, Withheld};

/// One write to a target. Every step may be applied twice with the same outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Creates the secret; with `version`, its first value under that id, labelled AWSCURRENT.
    Create {
        /// The name in the target.
        name: String,
        /// The id of the first version; `None` creates a secret without a value.
        version: Option<String>,
        /// Free text.
        description: Option<String>,
        /// The key in the target; `None` is the provider's default key.
        kms_key: Option<String>,
        /// The tags.
        tags: Vec<Tag>,
        /// The type of a managed external secret.
        secret_type: Option<String>,
        /// Settings that the target's kind has, by its own names.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        settings: BTreeMap<String, String>,
    },
    /// Adds the version that comes next where the service numbers versions, and only if `behind` is the newest one: sent
    /// twice it is there once.
    Append {
        /// The name in the target.
        name: String,
        /// The number that it gets.
        version: String,
        /// The newest version before it; `0` is none.
        behind: String,
        /// Whether it holds nothing, so that the next ones get their numbers.
        placeholder: bool,
    },
    /// Deletes or destroys one version, so that it is what it was.
    Withhold {
        /// The name in the target.
        name: String,
        /// The version.
        version: String,
        /// What it is afterwards.
        how: Withheld,
    },
    /// Sets what the target's kind calls settings, and replaces all tags.
    Configure {
        /// The name in the target.
        name: String,
        /// The settings by their names; others stay.
        settings: BTreeMap<String, String>,
        /// The tags, all of them.
        tags: Vec<Tag>,
    },
    /// Adds a version under its original id, with exactly these labels (at least one).
    PutVersion {
        /// The name in the target.
        name: String,
        /// The version id.
        version: String,
        /// The labels, never empty.
        stages: Vec<String>,
    },
    /// Moves, attaches (`from` is `None`) or removes (`to` is `None`) one label.
    MoveStage {
        /// The name in the target.
        name: String,
        /// The label.
        stage: String,
        /// The version that has it afterwards.
        to: Option<String>,
        /// The version that has it before.
        from: Option<String>,
    },
    /// Adds or overwrites tags.
    Tag {
        /// The name in the target.
        name: String,
        /// The tags.
        tags: Vec<Tag>,
    },
    /// Changes description and key and nothing about the values: `None` leaves it, an empty text is none, or the default
    /// key.
    Update {
        /// The name in the target.
        name: String,
        /// Free text.
        description: Option<String>,
        /// The key in the target.
        kms_key: Option<String>,
    },
    /// Removes tags.
    Untag {
        /// The name in the target.
        name: String,
        /// The keys.
        keys: Vec<String>,
    },
    /// Adds replicas in other regions; never overwrites a secret there.
    Replicate {
        /// The name in the target.
        name: String,
        /// The regions and their keys.
        replicas: Vec<Replica>,
    },
    /// Switches rotation on without rotating: there is no way to say `RotateImmediately` here.
    Rotate {
        /// The name in the target.
        name: String,
        /// The settings, with a rotation function of the target.
        rotation: Rotation,
    },
    /// Sets the resource policy.
    PutPolicy {
        /// The name in the target.
        name: String,
        /// The policy, character for character.
        policy: String,
        /// Whether the provider shall refuse a policy that lets everyone in.
        block_public: bool,
    },
    /// Removes the resource policy.
    DeletePolicy {
        /// The name in the target.
        name: String,
    },
    /// Schedules the secret for deletion; it can be undeleted.
    ScheduleDeletion {
        /// The name in the target.
        name: String,
        /// The recovery window, 7 to 30.
        days: i64,
    },
    /// Takes a secret back that is scheduled for deletion.
    Undelete {
        /// The name in the target.
        name: String,
    },
    /// Makes a replica a secret of its own: it keeps its identifier and is no longer kept in step with its primary.
    Promote {
        /// The name in the target.
        name: String,
    },
    /// Removes a secret at once and for good: what a drill itself created, or what a person said to replace by force.
    Destroy {
        /// The name in the target.
        name: String,
    },
}

impl Step {
    /// The name of the secret in the target.
    pub fn name(&self) -> &str {
        match self {
            Self::Create { name, .. }
            | Self::Append { name, .. }
            | Self::Withhold { name, .. }
            | Self::Configure { name, .. }
            | Self::PutVersion { name, .. }
            | Self::MoveStage { name, .. }
            | Self::Tag { name, .. }
            | Self::Update { name, .. }
            | Self::Untag { name, .. }
            | Self::Replicate { name, .. }
            | Self::Rotate { name, .. }
            | Self::PutPolicy { name, .. }
            | Self::DeletePolicy { name }
            | Self::ScheduleDeletion { name, .. }
            | Self::Undelete { name }
            | Self::Promote { name }
            | Self::Destroy { name } => name,
        }
    }

    /// The version whose value this step writes.
    pub fn writes_version(&self) -> Option<&str> {
        match self {
            Self::Create { version, .. } => version.as_deref(),
            Self::PutVersion { version, .. } | Self::Append { version, placeholder: false, .. } => Some(version),
            _ => None,
        }
    }
}
