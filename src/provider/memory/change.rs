//! What a step makes of a secret in memory: AWS's rules for labels.

use jiff::Timestamp;

use super::{Held, HeldVersion, error, not_found, operation, scheduled};
use crate::{
    model::{AWSCURRENT, AWSPREVIOUS, Secret, SecretValue, Step, Tag},
    provider::{ErrorKind, ProviderError},
};

impl Held {
    /// A write met this secret: fine only when it is what the write makes.
    pub(super) fn accept(
        &self,
        operation: &'static str,
        version: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<(), ProviderError> {
        if self.secret.deleted.is_some() {
            return Err(scheduled(operation, &self.secret.name));
        }
        let same = match (version, value) {
            (Some(version), Some(value)) => self
                .versions
                .iter()
                .any(|held| held.id == version && held.value.as_ref().is_some_and(|held| held.same_as(value))),
            _ => self.versions.is_empty(),
        };
        let conflict = || error(ErrorKind::Conflict, operation, Some(&self.secret.name), "ResourceExistsException", "");
        if same { Ok(()) } else { Err(conflict()) }
    }

    pub(super) fn change(&mut self, step: &Step, value: Option<&SecretValue>) -> Result<(), ProviderError> {
        let name = self.secret.name.clone();
        let invalid = |code| error(ErrorKind::Invalid, operation(step), Some(&name), code, "");
        match step {
            Step::PutVersion { version, stages, .. } => {
                let value = value.filter(|_| !stages.is_empty()).ok_or_else(|| invalid("BadStep"))?;
                if self.versions.iter().any(|held| held.id == *version && held.value.is_some()) {
                    return self.accept(operation(step), Some(version), Some(value));
                }
                let first = self.versions.is_empty();
                self.versions.retain(|held| held.id != *version);
                let value = Some(copy(value));
                self.versions.push(HeldVersion { id: version.clone(), labels: Vec::new(), created: None, value });
                for label in stages.iter().map(String::as_str).chain(first.then_some(AWSCURRENT)) {
                    self.attach(label, version);
                }
            }
            Step::MoveStage { stage, to: Some(to), .. } => {
                if self.versions.iter().all(|held| held.id != *to) {
                    return Err(not_found(operation(step), &name));
                }
                self.attach(stage, to);
            }
            Step::MoveStage { stage, to: None, .. } if stage == AWSCURRENT => {
                return Err(invalid("InvalidParameterException"));
            }
            Step::MoveStage { stage, to: None, .. } => self.detach(stage),
            Step::Tag { tags, .. } => tags.iter().for_each(|tag| set_tag(&mut self.secret.facets.tags, tag)),
            Step::Update { description, kms_key, .. } => {
                let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
                self.secret.facets.description =
                    description.as_ref().map_or(self.secret.facets.description.take(), filled);
                self.secret.facets.key = kms_key.as_ref().map_or(self.secret.facets.key.take(), filled);
            }
            Step::Untag { keys, .. } => self.secret.facets.tags.retain(|tag| !keys.contains(&tag.key)),
            Step::Replicate { replicas, .. } => self.secret.facets.replicas.extend(replicas.iter().cloned()),
            Step::Rotate { rotation, .. } => self.secret.facets.rotation = Some(rotation.clone()),
            Step::PutPolicy { policy, .. } => self.secret.facets.policy = Some(policy.clone()),
            Step::DeletePolicy { .. } => self.secret.facets.policy = None,
            Step::ScheduleDeletion { .. } => self.secret.deleted = Some(Timestamp::UNIX_EPOCH),
            Step::Promote { .. } => self.secret.facets.primary_region = None,
            Step::Append { .. } | Step::Withhold { .. } | Step::Configure { .. } => return Err(invalid("BadStep")),
            Step::Create { .. } | Step::Undelete { .. } | Step::Destroy { .. } => {}
        }
        Ok(())
    }

    /// Moves a label. AWSPREVIOUS follows AWSCURRENT, as AWS does.
    fn attach(&mut self, label: &str, version: &str) {
        let before = self.versions.iter().find(|held| held.labels.iter().any(|attached| attached == label));
        let before = before.map(|held| held.id.clone()).filter(|id| id != version);
        self.detach(label);
        if let Some(held) = self.versions.iter_mut().find(|held| held.id == version) {
            held.labels.push(label.to_owned());
        }
        if let Some(before) = before.filter(|_| label == AWSCURRENT) {
            self.attach(AWSPREVIOUS, &before);
        }
    }

    fn detach(&mut self, label: &str) {
        self.versions.iter_mut().for_each(|held| held.labels.retain(|attached| attached != label));
    }
}

pub(super) fn created(step: &Step, id: String, value: Option<&SecretValue>) -> Held {
    let mut secret = Secret { name: step.name().into(), id, ..Secret::default() };
    if let Step::Create { description, kms_key, tags, secret_type, .. } = step {
        secret.facets.description.clone_from(description);
        secret.facets.key.clone_from(kms_key);
        secret.facets.tags.clone_from(tags);
        secret.facets.r#type.clone_from(secret_type);
    }
    let versions = step.writes_version().map(|id| HeldVersion {
        id: id.into(),
        labels: vec![AWSCURRENT.into()],
        created: None,
        value: value.map(copy),
    });
    Held { secret, versions: versions.into_iter().collect() }
}

fn set_tag(tags: &mut Vec<Tag>, tag: &Tag) {
    match tags.iter_mut().find(|held| held.key == tag.key) {
        Some(held) => held.value.clone_from(&tag.value),
        None => tags.push(tag.clone()),
    }
}

pub(super) fn copy(value: &SecretValue) -> SecretValue {
    match value {
        SecretValue::Text(text) => SecretValue::Text(text.clone()),
        SecretValue::Bytes(bytes) => SecretValue::Bytes(bytes.clone()),
        SecretValue::Fields(text) => SecretValue::Fields(text.clone()),
    }
}
