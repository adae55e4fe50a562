//! From a desired state and what is there, the writes in between.
//!
//! AWS gives a label to one version at a time, and a put always carries at least one label. So an unlabelled
//! version is put under a scratch label that the next such put takes over and a last step removes.

use super::state;
use crate::{
    model::{AWSCURRENT, AWSPREVIOUS, Desired, DesiredVersion, Planned, Replica, State, Step, Tag},
    provider::{Goal, Relation, Writes},
};

/// The label that unlabelled versions pass through.
pub(super) const SCRATCH: &str = "lifeboat-restore";
/// Labels a secret can have at once (AWS: quotas of Secrets Manager).
const MOST_LABELS: usize = 20;

/// Compares without values: a version id stands for its value.
pub(super) fn relate(desired: &Desired, state: &State) -> Relation {
    let mut differences = Vec::new();
    let ours = |id: &str| desired.versions.iter().any(|version| version.id == id);
    let foreign = state.versions.iter().filter(|id| !ours(id)).count();
    if foreign > 0 {
        differences.push(format!("versions that are not in the snapshot ({foreign})"));
    }
    let current = desired.versions.iter().find(|version| version.has(AWSCURRENT)).map(|version| version.id.as_str());
    if state.holder(AWSCURRENT) != current {
        differences.push("AWSCURRENT on another version".into());
    }
    let misplaced = |label: &&String, id: &String| {
        *label != AWSCURRENT && *label != SCRATCH && !desired.versions.iter().any(|it| it.id == *id && it.has(label))
    };
    let labels: Vec<&str> =
        state.labels.iter().filter(|(label, id)| misplaced(label, id)).map(|(label, _)| label.as_str()).collect();
    if !labels.is_empty() {
        differences.push(format!("labels on other versions ({})", labels.join(", ")));
    }
    if state.description != desired.description {
        differences.push("description".into());
    }
    if state.tags != tag_map(&desired.tags) {
        differences.push("tags".into());
    }
    if state.policy.is_some() && state.policy != desired.policy {
        differences.push("resource policy".into());
    }
    if state.secret_type != desired.secret_type {
        differences.push("type".into());
    }
    if !differences.is_empty() {
        return Relation::Other(differences);
    }
    let mut state = state.clone();
    let begun = !then(desired, &mut state, false).is_empty() || !last(desired, &state, false).is_empty();
    if begun { Relation::Begun } else { Relation::Same }
}

/// The writes from what is there to what is to be.
pub(super) fn writes(desired: &Desired, state: &State, goal: Goal) -> Writes {
    let mut state = state.clone();
    let mut writes = Writes::default();
    if goal == Goal::Remake {
        push(&mut writes.first, &mut state, plain(Step::Destroy { name: desired.name.clone() }));
    }
    if state.primary.is_some() {
        push(&mut writes.first, &mut state, plain(Step::Promote { name: desired.name.clone() }));
    }
    if state.scheduled {
        push(&mut writes.first, &mut state, plain(Step::Undelete { name: desired.name.clone() }));
    }
    if let Some(planned) = current(desired, &state) {
        push(&mut writes.first, &mut state, planned);
    }
    if goal != Goal::AddCurrent {
        let exact = goal == Goal::Replace;
        writes.then = then(desired, &mut state, exact);
        writes.last = last(desired, &state, exact);
    }
    writes
}

/// The write that brings AWSCURRENT back.
fn current(desired: &Desired, state: &State) -> Option<Planned> {
    let current = desired.versions.iter().find(|version| version.has(AWSCURRENT));
    if !state.there {
        let write = Step::Create {
            name: desired.name.clone(),
            version: current.map(|version| version.id.clone()),
            description: desired.description.clone(),
            kms_key: desired.kms_key.clone(),
            tags: desired.tags.clone(),
            secret_type: desired.secret_type.clone(),
            settings: std::collections::BTreeMap::new(),
        };
        return Some(current.map_or_else(|| plain(write.clone()), |version| Planned::of(write.clone(), version)));
    }
    let current = current?;
    let holder = state.holder(AWSCURRENT);
    if holder == Some(&current.id) {
        return None;
    }
    if state.versions.contains(&current.id) {
        return Some(plain(move_stage(desired, AWSCURRENT, Some(&current.id), holder)));
    }
    Some(put(desired, current, vec![AWSCURRENT.to_owned()]))
}

/// Versions, labels, tags, description and key; `exact` also takes away what is not to be.
fn then(desired: &Desired, state: &mut State, exact: bool) -> Vec<Planned> {
    let mut writes = Vec::new();
    if exact {
        remove_labels(desired, state, &mut writes);
        update(desired, state, &mut writes);
    }
    versions(desired, state, &mut writes);
    labels(desired, state, &mut writes);
    let wrong = |tag: &&Tag| state.tags.get(&tag.key) != Some(&tag.value);
    let tags: Vec<Tag> = desired.tags.iter().filter(wrong).cloned().collect();
    let wanted = tag_map(&desired.tags);
    let keys: Vec<String> = state.tags.keys().filter(|key| exact && !wanted.contains_key(*key)).cloned().collect();
    // Tags go before they come: there is room for fifty.
    if !keys.is_empty() {
        push(&mut writes, state, plain(Step::Untag { name: desired.name.clone(), keys }));
    }
    if !tags.is_empty() {
        push(&mut writes, state, plain(Step::Tag { name: desired.name.clone(), tags }));
    }
    writes
}

/// Replicas, rotation, policy, deletion.
fn last(desired: &Desired, state: &State, exact: bool) -> Vec<Planned> {
    let name = || desired.name.clone();
    let mut writes = Vec::new();
    let missing = |replica: &&Replica| !state.replicas.contains(&replica.region);
    let replicas: Vec<Replica> = desired.replicas.iter().filter(missing).cloned().collect();
    if !replicas.is_empty() {
        writes.push(plain(Step::Replicate { name: name(), replicas }));
    }
    if let Some(rotation) = desired.rotation.clone().filter(|_| !state.rotates) {
        writes.push(plain(Step::Rotate { name: name(), rotation }));
    }
    match &desired.policy {
        Some(policy) if state.policy.as_ref() != Some(policy) => {
            let block_public = desired.block_public;
            writes.push(plain(Step::PutPolicy { name: name(), policy: policy.clone(), block_public }));
        }
        None if exact && state.policy.is_some() => writes.push(plain(Step::DeletePolicy { name: name() })),
        _ => {}
    }
    if let Some(days) = desired.deletion_days.filter(|_| !state.scheduled) {
        writes.push(plain(Step::ScheduleDeletion { name: name(), days }));
    }
    writes
}

/// Labels that no version is to have; AWSCURRENT always has a version and moves instead.
fn remove_labels(desired: &Desired, state: &mut State, writes: &mut Vec<Planned>) {
    let unwanted = |label: &String| label != AWSCURRENT && desired.versions.iter().all(|version| !version.has(label));
    let labels: Vec<(String, String)> =
        state.labels.iter().filter(|(label, _)| unwanted(label)).map(|(l, id)| (l.clone(), id.clone())).collect();
    for (label, holder) in labels {
        push(writes, state, plain(move_stage(desired, &label, None, Some(&holder))));
    }
}

fn update(desired: &Desired, state: &mut State, writes: &mut Vec<Planned>) {
    let described = state.description == desired.description;
    let keyed = same_key(desired.kms_key.as_deref(), state.kms_key.as_deref());
    if !(described && keyed) {
        let description = (!described).then(|| desired.description.clone().unwrap_or_default());
        let kms_key = (!keyed).then(|| desired.kms_key.clone().unwrap_or_default());
        push(writes, state, plain(Step::Update { name: desired.name.clone(), description, kms_key }));
    }
}

/// Whether two names of a key may mean the same: an id, an alias and an ARN of either can stand for each other.
pub(super) fn same_key(one: Option<&str>, other: Option<&str>) -> bool {
    key_name(one) == key_name(other)
}

/// The alias or id in the name of a key; `None` is the provider's default key.
pub(super) fn key_name(key: Option<&str>) -> Option<&str> {
    let key = key.filter(|key| !key.ends_with("alias/aws/secretsmanager"))?;
    Some(key.rsplit(':').next().unwrap_or(key).trim_start_matches("key/"))
}

/// AWSPREVIOUS, then the unlabelled ones, then the rest.
fn versions(desired: &Desired, state: &mut State, writes: &mut Vec<Planned>) {
    let (unlabelled, labelled): (Vec<_>, Vec<_>) =
        desired.versions.iter().partition(|version| version.labels.is_empty());
    let (previous, others): (Vec<_>, Vec<_>) = labelled.into_iter().partition(|version| version.has(AWSPREVIOUS));
    let absent = |version: &DesiredVersion, state: &State| !state.versions.contains(&version.id);
    // The scratch label needs a free place among the labels, so with all of them in use it goes first.
    let labels: usize = desired.versions.iter().map(|version| version.labels.len()).sum();
    if labels < MOST_LABELS {
        for version in &previous {
            if absent(version, state) {
                push(writes, state, put(desired, version, version.labels.clone()));
            }
        }
    }
    for version in unlabelled {
        if absent(version, state) {
            push(writes, state, put(desired, version, vec![SCRATCH.to_owned()]));
        }
    }
    if let Some(holder) = state.labels.get(SCRATCH).cloned() {
        push(writes, state, plain(move_stage(desired, SCRATCH, None, Some(&holder))));
    }
    for version in previous.iter().chain(&others) {
        if absent(version, state) {
            push(writes, state, put(desired, version, version.labels.clone()));
        }
    }
}

/// Every label to the version that is to have it.
fn labels(desired: &Desired, state: &mut State, writes: &mut Vec<Planned>) {
    for version in &desired.versions {
        for stage in &version.labels {
            let holder = state.labels.get(stage).cloned();
            if holder.as_deref() != Some(&version.id) {
                push(writes, state, plain(move_stage(desired, stage, Some(&version.id), holder.as_deref())));
            }
        }
    }
}

fn push(writes: &mut Vec<Planned>, state: &mut State, planned: Planned) {
    state::after(state, &planned.write);
    writes.push(planned);
}

fn put(desired: &Desired, version: &DesiredVersion, stages: Vec<String>) -> Planned {
    let write = Step::PutVersion { name: desired.name.clone(), version: version.id.clone(), stages };
    Planned::of(write, version)
}

fn move_stage(desired: &Desired, stage: &str, to: Option<&str>, from: Option<&str>) -> Step {
    Step::MoveStage {
        name: desired.name.clone(),
        stage: stage.to_owned(),
        to: to.map(str::to_owned),
        from: from.map(str::to_owned),
    }
}

fn plain(write: Step) -> Planned {
    Planned::plain(write)
}

fn tag_map(tags: &[Tag]) -> std::collections::BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}
