//! Writing: one step of a plan, so that applying it twice is the same as once.

use aws_sdk_secretsmanager::{primitives::Blob, types::Tag as SdkTag};

use super::{Aws, call::Operation, failure::Failure};
use crate::{
    model::{SecretValue, Step, Tag},
    provider::ErrorKind,
};

impl Aws {
    /// Applies one step.
    pub(super) async fn write(&self, step: &Step, value: Option<&SecretValue>) -> Result<(), Failure> {
        match step {
            Step::Create { .. } => Box::pin(self.create(step, value)).await,
            Step::PutVersion { name, version, stages } => {
                Box::pin(self.put_version(name, version, stages, value)).await
            }
            Step::MoveStage { name, stage, to, from } => {
                self.move_stage(name, stage, to.as_deref(), from.as_deref()).await
            }
            Step::Tag { name, tags } => self.tag(name, tags).await,
            Step::PutPolicy { name, policy } => self.put_policy(name, policy).await,
            Step::Destroy { name } => self.destroy(name).await,
        }
    }

    async fn create(&self, step: &Step, value: Option<&SecretValue>) -> Result<(), Failure> {
        let Step::Create { name, version, description, kms_key, tags, secret_type } = step else { return Ok(()) };
        let operation = Operation::CreateSecret;
        if version.is_some() != value.is_some() {
            return Err(misuse(operation, name, "a version and its value go together"));
        }
        let send = || {
            let (text, bytes) = wire(value);
            self.client
                .create_secret()
                .name(name)
                .set_client_request_token(version.clone())
                .set_description(description.clone())
                .set_kms_key_id(kms_key.clone())
                .set_tags((!tags.is_empty()).then(|| sdk_tags(tags)))
                .set_type(secret_type.clone())
                .set_secret_string(text)
                .set_secret_binary(bytes)
                .send()
        };
        match self.call(operation, Some(name), send).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.kind() == ErrorKind::Conflict => {
                self.accept_existing(name, version.as_deref(), value, failure).await
            }
            Err(failure) => Err(failure),
        }
    }

    async fn put_version(
        &self,
        name: &str,
        version: &str,
        stages: &[String],
        value: Option<&SecretValue>,
    ) -> Result<(), Failure> {
        let operation = Operation::PutSecretValue;
        if value.is_none() {
            return Err(misuse(operation, name, "a version needs its value"));
        }
        if stages.is_empty() {
            // Without labels AWS would move AWSCURRENT to this version.
            return Err(misuse(operation, name, "a version needs at least one label"));
        }
        let send = || {
            let (text, bytes) = wire(value);
            self.client
                .put_secret_value()
                .secret_id(name)
                .client_request_token(version)
                .set_version_stages(Some(stages.to_vec()))
                .set_secret_string(text)
                .set_secret_binary(bytes)
                .send()
        };
        match self.call(operation, Some(name), send).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.kind() == ErrorKind::Conflict => {
                self.accept_existing(name, Some(version), value, failure).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// A write met something that exists: it is success only when that is what the write makes.
    async fn accept_existing(
        &self,
        name: &str,
        version: Option<&str>,
        value: Option<&SecretValue>,
        failure: Failure,
    ) -> Result<(), Failure> {
        let described = match self.describe(name, name).await {
            Ok(described) => described,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(failure),
            Err(error) => return Err(error),
        };
        let conflict = |message| Failure::conflict(&failure, message);
        if described.secret.deleted.is_some() {
            return Err(conflict("it is scheduled for deletion"));
        }
        match (version, value) {
            (Some(version), Some(value)) => match self.value(name, name, version).await {
                Ok(Some(existing)) if existing.same_as(value) => Ok(()),
                Ok(_) => Err(conflict("it exists with this version id and another value")),
                Err(error) if error.kind() == ErrorKind::NotFound => Err(conflict("it exists without this version")),
                Err(error) => Err(error),
            },
            _ if described.stages.is_empty() => Ok(()),
            _ => Err(conflict("it exists and has versions")),
        }
    }

    async fn move_stage(&self, name: &str, stage: &str, to: Option<&str>, from: Option<&str>) -> Result<(), Failure> {
        let send = || {
            self.client
                .update_secret_version_stage()
                .secret_id(name)
                .version_stage(stage)
                .set_move_to_version_id(to.map(str::to_owned))
                .set_remove_from_version_id(from.map(str::to_owned))
                .send()
        };
        let failure = match self.call(Operation::UpdateSecretVersionStage, Some(name), send).await {
            Err(failure) if failure.kind() == ErrorKind::Invalid => failure,
            other => return other.map(drop),
        };
        // A label that is already where it belongs is refused by AWS and fine for us.
        let described = self.describe(name, name).await?;
        let has = |id: &str| described.stages.get(id).is_some_and(|labels| labels.iter().any(|label| label == stage));
        let done = match (to, from) {
            (Some(to), _) => has(to),
            (None, Some(from)) => !has(from),
            (None, None) => false,
        };
        if done { Ok(()) } else { Err(failure) }
    }

    async fn tag(&self, name: &str, tags: &[Tag]) -> Result<(), Failure> {
        let send = || self.client.tag_resource().secret_id(name).set_tags(Some(sdk_tags(tags))).send();
        self.call(Operation::TagResource, Some(name), send).await.map(drop)
    }

    async fn put_policy(&self, name: &str, policy: &str) -> Result<(), Failure> {
        let send = || self.client.put_resource_policy().secret_id(name).resource_policy(policy).send();
        self.call(Operation::PutResourcePolicy, Some(name), send).await.map(drop)
    }

    async fn destroy(&self, name: &str) -> Result<(), Failure> {
        let send = || self.client.delete_secret().secret_id(name).force_delete_without_recovery(true).send();
        match self.call(Operation::DeleteSecret, Some(name), send).await {
            Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The value as the request carries it; made anew for every attempt, so no copy waits between them.
fn wire(value: Option<&SecretValue>) -> (Option<String>, Option<Blob>) {
    match value {
        Some(SecretValue::String(text)) => (Some(text.as_str().to_owned()), None),
        Some(SecretValue::Binary(bytes)) => (None, Some(Blob::new(bytes.as_slice()))),
        None => (None, None),
    }
}

fn sdk_tags(tags: &[Tag]) -> Vec<SdkTag> {
    tags.iter().map(|tag| SdkTag::builder().key(&tag.key).value(&tag.value).build()).collect()
}

fn misuse(operation: Operation, name: &str, message: &str) -> Failure {
    Failure::own(ErrorKind::Invalid, operation, name, "BadStep", message)
}
