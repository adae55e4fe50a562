//! What a secret is at a point of a plan: the rules by which AWS moves labels, without AWS.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::plan::Desired;
use crate::{
    model::{AWSCURRENT, AWSPREVIOUS, DRILL_TAG, Digest, Step, Tag},
    provider::Existing,
};

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
    /// What is there, in `region`.
    pub fn of(existing: &Existing, region: &str) -> Self {
        let secret = &existing.secret;
        let primary = secret.facets.primary_region.clone().filter(|primary| primary != region);
        let mut state = Self {
            there: true,
            id: Some(secret.id.clone()),
            scheduled: secret.deleted.is_some(),
            description: secret.facets.description.clone().filter(|text| !text.is_empty()),
            kms_key: secret.facets.key.clone(),
            secret_type: secret.facets.r#type.clone(),
            tags: comparable(&secret.facets.tags).map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
            policy: secret.facets.policy.clone(),
            rotates: secret.facets.rotation.as_ref().is_some_and(|rotation| rotation.enabled),
            // What a replica says of others is its primary's.
            replicas: secret.facets.replicas.iter().filter(|_| primary.is_none()).map(|it| it.region.clone()).collect(),
            primary,
            hidden: secret.unreadable.iter().map(|part| part.operation.clone()).collect(),
            ..Self::default()
        };
        for version in &existing.versions {
            state.versions.insert(version.id.clone());
            state.labels.extend(version.labels.iter().map(|label| (label.clone(), version.id.clone())));
        }
        state
    }

    /// What it is after `step`.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { version, description, kms_key, tags, secret_type, .. } if !self.there => {
                *self = Self {
                    there: true,
                    description: description.clone().filter(|text| !text.is_empty()),
                    kms_key: kms_key.clone(),
                    secret_type: secret_type.clone(),
                    ..Self::default()
                };
                self.set_tags(tags);
                if let Some(version) = version {
                    self.put(version, &[AWSCURRENT.to_owned()]);
                }
            }
            Step::Create { .. } => {}
            Step::PutVersion { version, stages, .. } => self.put(version, stages),
            Step::MoveStage { stage, to: Some(to), .. } => self.attach(stage, to),
            Step::MoveStage { stage, to: None, .. } => drop(self.labels.remove(stage)),
            Step::Tag { tags, .. } => self.set_tags(tags),
            Step::Untag { keys, .. } => self.tags.retain(|key, _| !keys.contains(key)),
            Step::Update { description, kms_key, .. } => {
                let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
                self.description = description.as_ref().map_or(self.description.take(), filled);
                self.kms_key = kms_key.as_ref().map_or(self.kms_key.take(), filled);
            }
            Step::Replicate { replicas, .. } => {
                self.replicas.extend(replicas.iter().map(|replica| replica.region.clone()));
            }
            Step::Rotate { rotation, .. } => self.rotates = rotation.enabled,
            Step::PutPolicy { policy, .. } => self.policy = Some(policy.clone()),
            Step::DeletePolicy { .. } => self.policy = None,
            Step::ScheduleDeletion { .. } => self.scheduled = true,
            Step::Undelete { .. } => self.scheduled = false,
            Step::Promote { .. } => self.primary = None,
            Step::Destroy { .. } => *self = Self::default(),
        }
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
            && self.description == other.description
            && self.tags == other.tags
            && self.policy == other.policy
    }

    /// The state with the policy that is to be there where the provider hides it.
    pub(super) fn assuming(&self, policy: Option<&String>) -> Self {
        let mut state = self.clone();
        if self.hidden.contains("GetResourcePolicy") {
            state.policy = policy.cloned();
        }
        state
    }

    /// The state without the versions that are not to be.
    pub(super) fn only(&self, desired: &Desired) -> Self {
        let mut state = self.clone();
        state.versions.retain(|id| desired.versions.iter().any(|version| version.id == *id));
        state.labels.retain(|_, id| state.versions.contains(id));
        state
    }

    /// A number for all of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).expect("a state is plain data"))
    }

    fn put(&mut self, version: &str, stages: &[String]) {
        if !self.versions.insert(version.to_owned()) {
            return;
        }
        if !self.labels.contains_key(AWSCURRENT) {
            self.attach(AWSCURRENT, version);
        }
        for stage in stages {
            self.attach(stage, version);
        }
    }

    /// AWSPREVIOUS follows AWSCURRENT.
    fn attach(&mut self, stage: &str, to: &str) {
        let before = self.labels.insert(stage.to_owned(), to.to_owned());
        if let Some(before) = before.filter(|before| stage == AWSCURRENT && before != to) {
            self.labels.insert(AWSPREVIOUS.to_owned(), before);
        }
    }

    fn set_tags(&mut self, tags: &[Tag]) {
        self.tags.extend(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
    }
}

/// The tags that a restore brings back: a drill's mark is none of them.
fn comparable(tags: &[Tag]) -> impl Iterator<Item = &Tag> {
    own_tags(tags).filter(|tag| tag.key != DRILL_TAG)
}

/// The tags that are not the provider's own: AWS refuses to take those it calls `aws:…`.
pub(super) fn own_tags(tags: &[Tag]) -> impl Iterator<Item = &Tag> {
    tags.iter().filter(|tag| !is_system(tag))
}

/// Whether a tag is the provider's own.
pub(super) fn is_system(tag: &Tag) -> bool {
    tag.key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}
