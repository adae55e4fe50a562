//! What a secret is at a point of a plan: the rules by which AWS moves labels, without AWS.

use crate::model::{AWSCURRENT, AWSPREVIOUS, DRILL_TAG, Existing, State, Step, Tag};

/// What is there, in `region`.
pub(super) fn of(existing: &Existing, region: &str) -> State {
    let secret = &existing.secret;
    let primary = secret.facets.primary_region.clone().filter(|primary| primary != region);
    let mut state = State {
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
        ..State::default()
    };
    for version in &existing.versions {
        state.versions.insert(version.id.clone());
        state.labels.extend(version.labels.iter().map(|label| (label.clone(), version.id.clone())));
    }
    state
}

/// What it is after `step`.
pub(super) fn after(state: &mut State, step: &Step) {
    match step {
        Step::Create { version, description, kms_key, tags, secret_type, .. } if !state.there => {
            *state = State {
                there: true,
                description: description.clone().filter(|text| !text.is_empty()),
                kms_key: kms_key.clone(),
                secret_type: secret_type.clone(),
                ..State::default()
            };
            set_tags(state, tags);
            if let Some(version) = version {
                put(state, version, &[AWSCURRENT.to_owned()]);
            }
        }
        Step::PutVersion { version, stages, .. } => put(state, version, stages),
        Step::MoveStage { stage, to: Some(to), .. } => attach(state, stage, to),
        Step::MoveStage { stage, to: None, .. } => drop(state.labels.remove(stage)),
        Step::Tag { tags, .. } => set_tags(state, tags),
        Step::Untag { keys, .. } => state.tags.retain(|key, _| !keys.contains(key)),
        Step::Update { description, kms_key, .. } => {
            let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            state.description = description.as_ref().map_or(state.description.take(), filled);
            state.kms_key = kms_key.as_ref().map_or(state.kms_key.take(), filled);
        }
        Step::Replicate { replicas, .. } => {
            state.replicas.extend(replicas.iter().map(|replica| replica.region.clone()));
        }
        Step::Rotate { rotation, .. } => state.rotates = rotation.enabled,
        Step::PutPolicy { policy, .. } => state.policy = Some(policy.clone()),
        Step::DeletePolicy { .. } => state.policy = None,
        Step::ScheduleDeletion { .. } => state.scheduled = true,
        Step::Undelete { .. } => state.scheduled = false,
        Step::Promote { .. } => state.primary = None,
        // What is there stays; the other three are steps of other kinds of targets.
        Step::Create { .. } | Step::Append { .. } | Step::Withhold { .. } | Step::Configure { .. } => {}
        Step::Destroy { .. } => *state = State::default(),
    }
}

fn put(state: &mut State, version: &str, stages: &[String]) {
    if !state.versions.insert(version.to_owned()) {
        return;
    }
    if !state.labels.contains_key(AWSCURRENT) {
        attach(state, AWSCURRENT, version);
    }
    for stage in stages {
        attach(state, stage, version);
    }
}

/// AWSPREVIOUS follows AWSCURRENT.
fn attach(state: &mut State, stage: &str, to: &str) {
    let before = state.labels.insert(stage.to_owned(), to.to_owned());
    if let Some(before) = before.filter(|before| stage == AWSCURRENT && before != to) {
        state.labels.insert(AWSPREVIOUS.to_owned(), before);
    }
}

fn set_tags(state: &mut State, tags: &[Tag]) {
    state.tags.extend(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
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
