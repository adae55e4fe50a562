//! From a desired state and what is there, the writes in between.
//!
//! AWS gives a label to one version at a time, and a put always carries at least one label. So an unlabelled
//! version is put under a scratch label that the next such put takes over and a last step removes.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Desired, DesiredVersion, Outcome, Planned, SecretPlan};
use crate::{
    model::{AWSCURRENT, AWSPREVIOUS, Step},
    provider::Existing,
};

/// The label that unlabelled versions pass through.
pub(super) const SCRATCH: &str = "lifeboat-restore";
/// Labels a secret can have at once (AWS: quotas of Secrets Manager).
const MOST_LABELS: usize = 20;

/// The labels and versions a secret has at a point of the plan.
#[derive(Default)]
struct State {
    labels: BTreeMap<String, String>,
    versions: BTreeSet<String>,
}

/// What is there, against what is to be.
pub(super) fn compare(desired: &Desired, existing: &Existing) -> Outcome {
    if existing.secret.deleted.is_some() {
        return Outcome::Conflict("a secret of this name is scheduled for deletion in the target".into());
    }
    let ours = |id: &str| desired.versions.iter().any(|version| version.id == id);
    if let Some(foreign) = existing.versions.iter().find(|version| !ours(&version.id)) {
        return Outcome::Conflict(format!("a secret of this name with another version ({}) is there", foreign.id));
    }
    let state = State::of(existing);
    let current = desired.versions.iter().find(|version| has(version, AWSCURRENT)).map(|version| &version.id);
    if state.labels.get(AWSCURRENT) != current {
        return Outcome::Conflict("a secret of this name with another AWSCURRENT version is there".into());
    }
    if existing.secret.description.as_deref().unwrap_or("") != desired.description.as_deref().unwrap_or("") {
        return Outcome::Conflict("a secret of this name with another description is there".into());
    }
    if existing.secret.policy.is_some() && existing.secret.policy != desired.policy {
        return Outcome::Conflict("a secret of this name with another resource policy is there".into());
    }
    if missing(desired, existing).is_empty() { Outcome::Present } else { Outcome::Complete }
}

/// Fills in the writes of a secret that is not there.
pub(super) fn create(plan: &mut SecretPlan) {
    let desired = &plan.desired;
    let current = desired.versions.iter().find(|version| has(version, AWSCURRENT));
    let write = Step::Create {
        name: desired.name.clone(),
        version: current.map(|version| version.id.clone()),
        description: desired.description.clone(),
        kms_key: desired.kms_key.clone(),
        tags: desired.tags.clone(),
        secret_type: desired.secret_type.clone(),
    };
    plan.first = vec![Planned { write, value: current.map(|version| version.value) }];
    let mut state = State::default();
    if let Some(current) = current {
        state.put(&current.id, &[AWSCURRENT.to_owned()]);
    }
    plan.then = versions(desired, &mut state);
    plan.then.extend(policy(desired));
}

/// Fills in the writes that an earlier run did not get to.
pub(super) fn complete(plan: &mut SecretPlan, existing: &Existing) {
    plan.then = missing(&plan.desired, existing);
}

fn missing(desired: &Desired, existing: &Existing) -> Vec<Planned> {
    let mut writes = Vec::new();
    let absent: Vec<_> = desired.tags.iter().filter(|tag| !existing.secret.tags.contains(tag)).cloned().collect();
    if !absent.is_empty() {
        writes.push(plain(Step::Tag { name: desired.name.clone(), tags: absent }));
    }
    writes.extend(versions(desired, &mut State::of(existing)));
    if existing.secret.policy.is_none() {
        writes.extend(policy(desired));
    }
    writes
}

/// The writes for versions and labels: AWSPREVIOUS, then the unlabelled ones, then the rest, then label moves.
fn versions(desired: &Desired, state: &mut State) -> Vec<Planned> {
    let mut writes = Vec::new();
    let put = |version: &DesiredVersion, stages: Vec<String>, state: &mut State, writes: &mut Vec<Planned>| {
        if state.versions.contains(&version.id) {
            return;
        }
        state.put(&version.id, &stages);
        let write = Step::PutVersion { name: desired.name.clone(), version: version.id.clone(), stages };
        writes.push(Planned { write, value: Some(version.value) });
    };
    let (unlabelled, labelled): (Vec<_>, Vec<_>) =
        desired.versions.iter().partition(|version| version.stages.is_empty());
    // The scratch label needs a free place among the labels, so with all of them in use it goes first.
    let labels: usize = desired.versions.iter().map(|version| version.stages.len()).sum();
    let (previous, others): (Vec<_>, Vec<_>) = labelled.into_iter().partition(|version| has(version, AWSPREVIOUS));
    if labels < MOST_LABELS {
        for version in &previous {
            put(version, version.stages.clone(), state, &mut writes);
        }
    }
    for version in &unlabelled {
        put(version, vec![SCRATCH.to_owned()], state, &mut writes);
    }
    if let Some(holder) = state.labels.remove(SCRATCH) {
        writes.push(plain(move_stage(desired, SCRATCH, None, Some(holder))));
    }
    for version in previous.iter().chain(&others) {
        put(version, version.stages.clone(), state, &mut writes);
    }
    for version in &desired.versions {
        for stage in &version.stages {
            let holder = state.labels.get(stage).cloned();
            if holder.as_deref() != Some(&version.id) {
                writes.push(plain(move_stage(desired, stage, Some(version.id.clone()), holder)));
                state.labels.insert(stage.clone(), version.id.clone());
            }
        }
    }
    writes
}

fn policy(desired: &Desired) -> Option<Planned> {
    let policy = desired.policy.clone()?;
    Some(plain(Step::PutPolicy { name: desired.name.clone(), policy }))
}

fn move_stage(desired: &Desired, stage: &str, to: Option<String>, from: Option<String>) -> Step {
    Step::MoveStage { name: desired.name.clone(), stage: stage.to_owned(), to, from }
}

fn plain(write: Step) -> Planned {
    Planned { write, value: None }
}

fn has(version: &DesiredVersion, label: &str) -> bool {
    version.stages.iter().any(|stage| stage == label)
}

impl State {
    fn of(existing: &Existing) -> Self {
        let mut state = Self::default();
        for version in &existing.versions {
            state.put(&version.id, &version.stages);
        }
        state
    }

    fn put(&mut self, version: &str, stages: &[String]) {
        self.versions.insert(version.to_owned());
        for stage in stages {
            self.labels.insert(stage.clone(), version.to_owned());
        }
    }
}
