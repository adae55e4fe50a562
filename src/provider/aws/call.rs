//! One call: paced, retried, traced, and its answer kept as the provider wrote it.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::{
    config::{ConfigBag, Intercept, RuntimeComponents},
    error::{BoxError, ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::client::{
    interceptors::context::{AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut},
    orchestrator::HttpResponse,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use serde_json::Value as Json;

use super::{Aws, failure::Failure, limiter::Bucket};
use crate::provider::{ErrorKind, pace::pause};

/// Attempts while the service throttles.
const THROTTLED_ATTEMPTS: u32 = 10;
/// Attempts while there is no answer or the service is broken.
const BROKEN_ATTEMPTS: u32 = 6;
/// No further attempt is begun after this time.
const MAX_TIME: Duration = Duration::from_mins(1);

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListSecrets,
    DescribeSecret,
    ListSecretVersionIds,
    GetSecretValue,
    GetResourcePolicy,
    CreateSecret,
    PutSecretValue,
    UpdateSecretVersionStage,
    TagResource,
    PutResourcePolicy,
    DeleteSecret,
    UpdateSecret,
    UntagResource,
    ReplicateSecretToRegions,
    StopReplicationToReplica,
    RotateSecret,
    ValidateResourcePolicy,
    DeleteResourcePolicy,
    RestoreSecret,
    DescribeKey,
    GetCallerIdentity,
    ListAccounts,
    LookupEvents,
    ListTaskDefinitionFamilies,
    DescribeTaskDefinition,
    ListClusters,
    ListServices,
    DescribeServices,
    ListFunctions,
    GetKeyPolicy,
    GetQueueUrl,
    ReceiveMessage,
    DeleteMessageBatch,
    RegisterTaskDefinition,
    UpdateService,
    GetFunctionConfiguration,
    UpdateFunctionConfiguration,
}

impl Operation {
    /// The provider's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ListSecrets => "ListSecrets",
            Self::DescribeSecret => "DescribeSecret",
            Self::ListSecretVersionIds => "ListSecretVersionIds",
            Self::GetSecretValue => "GetSecretValue",
            Self::GetResourcePolicy => "GetResourcePolicy",
            Self::CreateSecret => "CreateSecret",
            Self::PutSecretValue => "PutSecretValue",
            Self::UpdateSecretVersionStage => "UpdateSecretVersionStage",
            Self::TagResource => "TagResource",
            Self::PutResourcePolicy => "PutResourcePolicy",
            Self::DeleteSecret => "DeleteSecret",
            Self::UpdateSecret => "UpdateSecret",
            Self::UntagResource => "UntagResource",
            Self::ReplicateSecretToRegions => "ReplicateSecretToRegions",
            Self::StopReplicationToReplica => "StopReplicationToReplica",
            Self::RotateSecret => "RotateSecret",
            Self::ValidateResourcePolicy => "ValidateResourcePolicy",
            Self::DeleteResourcePolicy => "DeleteResourcePolicy",
            Self::RestoreSecret => "RestoreSecret",
            Self::DescribeKey => "DescribeKey",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::ListAccounts => "ListAccounts",
            Self::LookupEvents => "LookupEvents",
            Self::ListTaskDefinitionFamilies => "ListTaskDefinitionFamilies",
            Self::DescribeTaskDefinition => "DescribeTaskDefinition",
            Self::ListClusters => "ListClusters",
            Self::ListServices => "ListServices",
            Self::DescribeServices => "DescribeServices",
            Self::ListFunctions => "ListFunctions",
            Self::GetKeyPolicy => "GetKeyPolicy",
            Self::GetQueueUrl => "GetQueueUrl",
            Self::ReceiveMessage => "ReceiveMessage",
            Self::DeleteMessageBatch => "DeleteMessageBatch",
            Self::RegisterTaskDefinition => "RegisterTaskDefinition",
            Self::UpdateService => "UpdateService",
            Self::GetFunctionConfiguration => "GetFunctionConfiguration",
            Self::UpdateFunctionConfiguration => "UpdateFunctionConfiguration",
        }
    }

    /// Whether request or answer hold a value, so that the service's text may echo it. People put values into environments.
    pub(super) fn carries_value(self) -> bool {
        matches!(
            self,
            Self::GetSecretValue
                | Self::CreateSecret
                | Self::PutSecretValue
                | Self::RegisterTaskDefinition
                | Self::UpdateFunctionConfiguration
        )
    }

    fn bucket(self) -> Bucket {
        match self {
            Self::ListSecrets => Bucket::List,
            Self::DescribeSecret => Bucket::Describe,
            Self::ListSecretVersionIds => Bucket::VersionIds,
            Self::GetSecretValue => Bucket::Value,
            Self::GetResourcePolicy
            | Self::PutResourcePolicy
            | Self::ValidateResourcePolicy
            | Self::DeleteResourcePolicy => Bucket::Policy,
            Self::CreateSecret => Bucket::Create,
            Self::PutSecretValue
            | Self::UpdateSecret
            | Self::UpdateSecretVersionStage
            | Self::ReplicateSecretToRegions
            | Self::StopReplicationToReplica => Bucket::Write,
            Self::TagResource | Self::UntagResource => Bucket::Tag,
            Self::DeleteSecret => Bucket::Delete,
            Self::RestoreSecret => Bucket::Undelete,
            Self::RotateSecret => Bucket::Rotate,
            Self::DescribeKey => Bucket::Key,
            Self::GetCallerIdentity => Bucket::Identity,
            Self::ListAccounts => Bucket::Organization,
            Self::LookupEvents => Bucket::Trail,
            Self::ListTaskDefinitionFamilies
            | Self::DescribeTaskDefinition
            | Self::ListClusters
            | Self::ListServices
            | Self::DescribeServices
            | Self::ListFunctions
            | Self::GetKeyPolicy
            | Self::RegisterTaskDefinition
            | Self::UpdateService
            | Self::GetFunctionConfiguration
            | Self::UpdateFunctionConfiguration => Bucket::Consumer,
            Self::GetQueueUrl | Self::ReceiveMessage | Self::DeleteMessageBatch => Bucket::Queue,
        }
    }
}

impl Aws {
    /// Sends until there is an answer that a retry would not change.
    ///
    /// The SDK's own retries are off: they would bypass the pacing, share one retry budget between
    /// all buckets, and take LimitExceededException for throttling.
    pub(super) async fn call<T, E, Answer>(
        &self,
        operation: Operation,
        secret: Option<&str>,
        send: impl Fn() -> Answer + Send,
    ) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
        E: ProvideErrorMetadata + Error + 'static,
    {
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            self.limiter.acquire(operation.bucket()).await;
            let asked = Instant::now();
            let answer = send().await.map_err(|error| Failure::of(operation, secret, &error));
            let failure = match answer {
                Ok(answer) => {
                    trace(operation, secret, attempt, asked, "ok");
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            trace(operation, secret, attempt, asked, &failure.error.code);
            let attempts = if failure.kind() == ErrorKind::Throttled {
                self.limiter.throttled(operation.bucket());
                THROTTLED_ATTEMPTS
            } else {
                BROKEN_ATTEMPTS
            };
            if !failure.may_pass() || attempt >= attempts || begun.elapsed() >= MAX_TIME {
                return Err(failure);
            }
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }
}

/// Bytes of the longest answer that is read: a page of a hundred secrets has a few megabytes at most.
const LONGEST_ANSWER: usize = 16 << 20;

/// Ends the reading of an answer that is too long to be one.
#[derive(Debug)]
pub(super) struct Bounded;

impl Intercept for Bounded {
    fn name(&self) -> &'static str {
        "BoundedAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let body = response.take_body();
        *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, LONGEST_ANSWER));
        Ok(())
    }
}

/// Keeps the body of a successful answer, so that fields the SDK does not know survive.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw(Arc<Mutex<Json>>);

impl Raw {
    /// The last answer; null when there was none.
    pub(super) fn take(&self) -> Json {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Raw {
    fn name(&self) -> &'static str {
        "KeepRawAnswer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.output_or_error().is_ok() {
            let body = context.response().body().bytes().unwrap_or_default();
            let json = serde_json::from_slice(body).unwrap_or(Json::Null);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = json;
        }
        Ok(())
    }
}

fn trace(operation: Operation, secret: Option<&str>, attempt: u32, asked: Instant, code: &str) {
    let millis = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(
        target: "lifeboat::aws",
        operation = operation.name(),
        secret = secret.unwrap_or_default(),
        attempt,
        millis,
        code
    );
}
