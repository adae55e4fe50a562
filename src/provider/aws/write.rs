//! Writing: one step of a plan, so that applying it twice is the same as once.

use std::time::Duration;

use aws_sdk_secretsmanager::{
    primitives::Blob,
    types::{ReplicaRegionType, RotationRulesType, Tag as SdkTag},
};

use super::{Aws, call::Operation, failure::Failure};
use crate::{
    model::{Replica, Rotation, SecretValue, Step, Tag},
    provider::ErrorKind,
};

/// How often, and how far apart, it is asked whether a destroyed secret has given its name back.
const GONE_ATTEMPTS: u32 = 30;
const GONE_PAUSE: Duration = Duration::from_secs(1);

/// The secret that a step is about: what people call it, and what the request names.
#[derive(Clone, Copy)]
struct On<'a> {
    name: &'a str,
    id: &'a str,
}

impl Aws {
    /// Applies one step to the secret `at`, or to the one that has the name; the ARN of what it created.
    pub(super) async fn write(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Option<String>, Failure> {
        let on = On { name: step.name(), id: at.unwrap_or(step.name()) };
        match step {
            Step::Create { .. } => return Box::pin(self.create(step, value)).await,
            Step::PutVersion { version, stages, .. } => Box::pin(self.put_version(on, version, stages, value)).await,
            Step::MoveStage { stage, to, from, .. } => self.move_stage(on, stage, to.as_deref(), from.as_deref()).await,
            Step::Tag { tags, .. } => self.tag(on, tags).await,
            Step::Update { description, kms_key, .. } => {
                self.update(on, description.as_deref(), kms_key.as_deref()).await
            }
            Step::Untag { keys, .. } => self.untag(on, keys).await,
            Step::Replicate { replicas, .. } => self.replicate(on, replicas).await,
            Step::Promote { .. } => Box::pin(self.promote(on)).await,
            Step::Rotate { rotation, .. } => Box::pin(self.rotate(on, rotation)).await,
            Step::PutPolicy { policy, block_public, .. } => self.put_policy(on, policy, *block_public).await,
            Step::DeletePolicy { .. } => self.delete_policy(on).await,
            Step::Undelete { .. } => self.undelete(on).await,
            Step::ScheduleDeletion { .. } | Step::Destroy { .. } if at.is_none() => {
                Err(misuse(Operation::DeleteSecret, on.name, "what is deleted is named by its ARN"))
            }
            Step::ScheduleDeletion { days, .. } => self.schedule_deletion(on, *days).await,
            Step::Destroy { .. } => self.destroy(on).await,
            Step::Append { .. } | Step::Withhold { .. } | Step::Configure { .. } => {
                Err(misuse(Operation::PutSecretValue, on.name, "this step is for another kind of target"))
            }
        }?;
        Ok(None)
    }

    async fn create(&self, step: &Step, value: Option<&SecretValue>) -> Result<Option<String>, Failure> {
        let Step::Create { name, version, description, kms_key, tags, secret_type, settings: _ } = step else {
            return Ok(None);
        };
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
        for _ in 0..GONE_ATTEMPTS {
            let failure = match self.call(operation, Some(name), send).await {
                Ok(answer) => return Ok(answer.arn().map(str::to_owned).filter(|arn| !arn.is_empty())),
                Err(failure) if failure.kind() == ErrorKind::Conflict => failure,
                Err(failure) => return Err(failure),
            };
            match self.accept_existing(On { name, id: name }, version.as_deref(), value, &failure).await {
                // The name is taken and nothing has it: what was destroyed a moment ago is not wholly gone.
                Err(gone) if gone.kind() == ErrorKind::NotFound => tokio::time::sleep(GONE_PAUSE).await,
                done => return done.map(|()| None),
            }
        }
        Err(Failure::own(ErrorKind::Conflict, operation, name, "StillThere", "a destroyed secret still holds the name"))
    }

    async fn put_version(
        &self,
        on: On<'_>,
        version: &str,
        stages: &[String],
        value: Option<&SecretValue>,
    ) -> Result<(), Failure> {
        let operation = Operation::PutSecretValue;
        if value.is_none() {
            return Err(misuse(operation, on.name, "a version needs its value"));
        }
        if stages.is_empty() {
            // Without labels AWS would move AWSCURRENT to this version.
            return Err(misuse(operation, on.name, "a version needs at least one label"));
        }
        let send = || {
            let (text, bytes) = wire(value);
            self.client
                .put_secret_value()
                .secret_id(on.id)
                .client_request_token(version)
                .set_version_stages(Some(stages.to_vec()))
                .set_secret_string(text)
                .set_secret_binary(bytes)
                .send()
        };
        match self.call(operation, Some(on.name), send).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.kind() == ErrorKind::Conflict => {
                match self.accept_existing(on, Some(version), value, &failure).await {
                    Err(gone) if gone.kind() == ErrorKind::NotFound => Err(failure),
                    done => done,
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// A write met something that exists: it is success only when that is what the write makes. `NotFound`: nothing has
    /// the name after all.
    async fn accept_existing(
        &self,
        on: On<'_>,
        version: Option<&str>,
        value: Option<&SecretValue>,
        failure: &Failure,
    ) -> Result<(), Failure> {
        let described = self.describe(on.name, on.id).await?;
        let conflict = |message| Failure::conflict(failure, message);
        if described.secret.deleted.is_some() {
            return Err(conflict("it is scheduled for deletion"));
        }
        match (version, value) {
            (Some(version), Some(value)) => match self.value(on.name, on.id, version).await {
                Ok(existing) if existing.same_as(value) => Ok(()),
                Ok(_) => Err(conflict("it exists with this version id and another value")),
                Err(error) if error.kind() == ErrorKind::NotFound => Err(conflict("it exists without this version")),
                Err(error) => Err(error),
            },
            _ if described.stages.is_empty() => Ok(()),
            _ => Err(conflict("it exists and has versions")),
        }
    }

    async fn move_stage(&self, on: On<'_>, stage: &str, to: Option<&str>, from: Option<&str>) -> Result<(), Failure> {
        let send = || {
            self.client
                .update_secret_version_stage()
                .secret_id(on.id)
                .version_stage(stage)
                .set_move_to_version_id(to.map(str::to_owned))
                .set_remove_from_version_id(from.map(str::to_owned))
                .send()
        };
        let failure = match self.call(Operation::UpdateSecretVersionStage, Some(on.name), send).await {
            Err(failure) if failure.kind() == ErrorKind::Invalid => failure,
            other => return other.map(drop),
        };
        // A label that is already where it belongs is refused by AWS and fine for us.
        let described = self.describe(on.name, on.id).await?;
        let has = |id: &str| described.stages.get(id).is_some_and(|labels| labels.iter().any(|label| label == stage));
        let done = match (to, from) {
            (Some(to), _) => has(to),
            (None, Some(from)) => !has(from),
            (None, None) => false,
        };
        if done { Ok(()) } else { Err(failure) }
    }

    async fn tag(&self, on: On<'_>, tags: &[Tag]) -> Result<(), Failure> {
        let send = || self.client.tag_resource().secret_id(on.id).set_tags(Some(sdk_tags(tags))).send();
        self.call(Operation::TagResource, Some(on.name), send).await.map(drop)
    }

    async fn update(&self, on: On<'_>, description: Option<&str>, kms_key: Option<&str>) -> Result<(), Failure> {
        let send = || {
            let update = self.client.update_secret().secret_id(on.id).set_description(description.map(str::to_owned));
            update.set_kms_key_id(kms_key.map(str::to_owned)).send()
        };
        self.call(Operation::UpdateSecret, Some(on.name), send).await.map(drop)
    }

    async fn untag(&self, on: On<'_>, keys: &[String]) -> Result<(), Failure> {
        let send = || self.client.untag_resource().secret_id(on.id).set_tag_keys(Some(keys.to_vec())).send();
        self.call(Operation::UntagResource, Some(on.name), send).await.map(drop)
    }

    async fn replicate(&self, on: On<'_>, replicas: &[Replica]) -> Result<(), Failure> {
        let region = |replica: &Replica| {
            ReplicaRegionType::builder().region(&replica.region).set_kms_key_id(replica.key.clone()).build()
        };
        let send = || {
            let regions = replicas.iter().map(region).collect();
            self.client.replicate_secret_to_regions().secret_id(on.id).set_add_replica_regions(Some(regions)).send()
        };
        self.call(Operation::ReplicateSecretToRegions, Some(on.name), send).await.map(drop)
    }

    /// The identifier stays; it is done once the region itself no longer names a primary.
    async fn promote(&self, on: On<'_>) -> Result<(), Failure> {
        let operation = Operation::StopReplicationToReplica;
        let send = || self.client.stop_replication_to_replica().secret_id(on.id).send();
        let refusal = match self.call(operation, Some(on.name), send).await {
            Ok(_) => None,
            // What an earlier run promoted is no replica.
            Err(failure) if failure.kind() == ErrorKind::Invalid => Some(failure),
            Err(failure) => return Err(failure),
        };
        for _ in 0..GONE_ATTEMPTS {
            let primary = self.describe(on.name, on.id).await?.secret.facets.primary_region;
            if primary.is_none_or(|primary| primary == self.region) {
                return Ok(());
            }
            if let Some(failure) = refusal {
                return Err(failure);
            }
            tokio::time::sleep(GONE_PAUSE).await;
        }
        Err(Failure::own(ErrorKind::Conflict, operation, on.name, "StillReplica", "it is promoted and still a replica"))
    }

    /// Switches rotation on. `RotateImmediately` defaults to true at AWS, so it is always said to be false.
    async fn rotate(&self, on: On<'_>, rotation: &Rotation) -> Result<(), Failure> {
        // AWS derives the days from a schedule, and takes one of the two.
        let days = rotation.after_days.filter(|_| rotation.schedule.is_none());
        let rules = RotationRulesType::builder()
            .set_schedule_expression(rotation.schedule.clone())
            .set_duration(rotation.window.clone())
            .set_automatically_after_days(days)
            .build();
        let send = || {
            let rotate = self.client.rotate_secret().secret_id(on.id).set_rotation_lambda_arn(rotation.lambda.clone());
            rotate.rotation_rules(rules.clone()).rotate_immediately(false).send()
        };
        self.call(Operation::RotateSecret, Some(on.name), send).await.map(drop)
    }

    async fn put_policy(&self, on: On<'_>, policy: &str, block_public: bool) -> Result<(), Failure> {
        let send = || {
            let put = self.client.put_resource_policy().secret_id(on.id).resource_policy(policy);
            put.block_public_policy(block_public).send()
        };
        self.call(Operation::PutResourcePolicy, Some(on.name), send).await.map(drop)
    }

    async fn delete_policy(&self, on: On<'_>) -> Result<(), Failure> {
        let send = || self.client.delete_resource_policy().secret_id(on.id).send();
        self.call(Operation::DeleteResourcePolicy, Some(on.name), send).await.map(drop)
    }

    async fn schedule_deletion(&self, on: On<'_>, days: i64) -> Result<(), Failure> {
        let send = || self.client.delete_secret().secret_id(on.id).recovery_window_in_days(days).send();
        match self.call(Operation::DeleteSecret, Some(on.name), send).await {
            // It is scheduled already: an earlier run did this.
            Err(failure) if failure.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }

    async fn undelete(&self, on: On<'_>) -> Result<(), Failure> {
        let send = || self.client.restore_secret().secret_id(on.id).send();
        self.call(Operation::RestoreSecret, Some(on.name), send).await.map(drop)
    }

    async fn destroy(&self, on: On<'_>) -> Result<(), Failure> {
        let send = || self.client.delete_secret().secret_id(on.id).force_delete_without_recovery(true).send();
        match self.call(Operation::DeleteSecret, Some(on.name), send).await {
            Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map(drop)?,
        }
        // AWS answers before the name is free.
        for _ in 0..GONE_ATTEMPTS {
            match self.describe(on.name, on.id).await {
                Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(()),
                Err(failure) => return Err(failure),
                Ok(_) => tokio::time::sleep(GONE_PAUSE).await,
            }
        }
        Err(Failure::own(
            ErrorKind::Conflict,
            Operation::DeleteSecret,
            on.name,
            "StillThere",
            "it is destroyed and still there",
        ))
    }
}

/// The value as the request carries it; made anew for every attempt, so no copy waits between them.
fn wire(value: Option<&SecretValue>) -> (Option<String>, Option<Blob>) {
    match value {
        Some(SecretValue::Text(text) | SecretValue::Fields(text)) => (Some(text.as_str().to_owned()), None),
        Some(SecretValue::Bytes(bytes)) => (None, Some(Blob::new(bytes.as_slice()))),
        None => (None, None),
    }
}

fn sdk_tags(tags: &[Tag]) -> Vec<SdkTag> {
    tags.iter().map(|tag| SdkTag::builder().key(&tag.key).value(&tag.value).build()).collect()
}

fn misuse(operation: Operation, name: &str, message: &str) -> Failure {
    Failure::own(ErrorKind::Invalid, operation, name, "BadStep", message)
}
