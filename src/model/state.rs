//! What a secret is at a point of a plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Desired, Digest, Withheld};

/// Everything of a secret that a plan may change, except its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// Whether there is such a secret.
    pub there: bool,
    /// The provider's identifier of this incarnation.
    pub id: Option<String>,
    /// Whether it is scheduled for deletion.
    pub scheduled: bool,
    /// Its versions.
    pub versions: BTreeSet<String>,
    /// The version that an application gets that asks for none, where its kind says so without a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Those of them that are deleted or destroyed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<String, Withheld>,
    /// What its kind calls settings, by its own names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The version that has each label.
    pub labels: BTreeMap<String, String>,
    /// Free text.
    pub description: Option<String>,
    /// The key, as the provider states it.
    pub kms_key: Option<String>,
    /// The type of a managed external secret.
    pub secret_type: Option<String>,
    /// Tags that are not the provider's own.
    pub tags: BTreeMap<String, String>,
    /// The resource policy.
    pub policy: Option<String>,
    /// Whether rotation is on.
    pub rotates: bool,
    /// The regions of its replicas.
    pub replicas: BTreeSet<String>,
    /// The region it is a replica of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// The operations that do not answer while it is scheduled for deletion.
    pub hidden: BTreeSet<String>,
}

impl State {
    /// The key; `None` is the provider's default key.
    pub fn key(&self) -> Option<&str> {
        self.kms_key.as_deref()
    }

    /// The version that has `label`.
    pub fn holder(&self, label: &str) -> Option<&str> {
        self.labels.get(label).map(String::as_str)
    }

    /// The same secret as far as a step of a restore can bring it there. How a provider spells a key, and what else is
    /// its own doing, does not count.
    pub fn is_like(&self, other: &Self) -> bool {
        self.there == other.there
            && self.scheduled == other.scheduled
            && self.versions == other.versions
            && self.labels == other.labels
            && self.current == other.current
            && self.withheld == other.withheld
            && self.settings == other.settings
            && self.description == other.description
            && self.tags == other.tags
            && self.policy == other.policy
    }

    /// The state with the policy that is to be there where the provider hides it.
    #[must_use]
    pub fn assuming(&self, policy: Option<&String>) -> Self {
        let mut state = self.clone();
        if self.hidden.contains("GetResourcePolicy") {
            state.policy = policy.cloned();
        }
        state
    }

    /// The state without the versions that are not to be.
    #[must_use]
    pub fn only(&self, desired: &Desired) -> Self {
        let mut state = self.clone();
        state.versions.retain(|id| desired.versions.iter().any(|version| version.id == *id));
        state.labels.retain(|_, id| state.versions.contains(id));
        state
    }

    /// A number for all of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a state is plain data"))
    }
}
