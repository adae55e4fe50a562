//! Which permissions there are, asked with calls that change nothing, and how far the clocks are apart.
//!
//! Every call is about a name that does not exist: AWS looks at the permission before it looks for the secret, so
//! "not found" means allowed. CreateSecret would make one; it is sent with a token that AWS must refuse.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_secretsmanager::{
    config::{ConfigBag, Intercept, RuntimeComponents},
    types::Tag,
};
use aws_smithy_runtime_api::{
    box_error::BoxError, client::interceptors::context::AfterDeserializationInterceptorContextRef,
};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use serde::Serialize;

use super::super::{Aws, call::Operation, failure::Failure};
use crate::provider::{ErrorKind, ProviderError, Role};

/// Too short for AWS (32 to 64 characters).
const BAD_TOKEN: &str = "lifeboat-doctor";
const NO_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

/// Whether a call is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The answer does not tell.
    Unknown(String),
    /// The request was refused before the permission was looked at; only making a secret would tell.
    Untold,
}

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// The provider's operation.
    pub operation: &'static str,
    /// Whether it is there.
    pub allowed: Allowed,
}

impl Aws {
    /// Asks for every permission that `role` needs, about names beginning with `prefix`.
    ///
    /// # Errors
    /// Credentials that do not work, or no answer at all.
    pub async fn permissions(&self, role: Role, prefix: &str) -> Result<Vec<Permission>, ProviderError> {
        let name = absent_name(prefix);
        let mut found = vec![self.may_list().await?];
        for operation in reads().into_iter().chain(writes(role)) {
            let answer = self.probe(operation, &name).await;
            found.push(judge(operation, answer)?);
        }
        Ok(found)
    }

    async fn may_list(&self) -> Result<Permission, ProviderError> {
        let send = || self.client.list_secrets().max_results(1).send();
        judge(Operation::ListSecrets, self.call(Operation::ListSecrets, None, send).await.map(drop))
    }

    async fn probe(&self, operation: Operation, id: &str) -> Result<(), Failure> {
        let client = &self.client;
        let named = Some(id);
        macro_rules! ask {
            ($call:expr) => {
                self.call(operation, named, || $call.send()).await.map(drop)
            };
        }
        match operation {
            Operation::DescribeSecret => ask!(client.describe_secret().secret_id(id)),
            Operation::ListSecretVersionIds => ask!(client.list_secret_version_ids().secret_id(id)),
            Operation::GetSecretValue => ask!(client.get_secret_value().secret_id(id)),
            Operation::GetResourcePolicy => ask!(client.get_resource_policy().secret_id(id)),
            Operation::CreateSecret => ask!(client.create_secret().name(id).client_request_token(BAD_TOKEN)),
            Operation::PutSecretValue => {
                ask!(client.put_secret_value().secret_id(id).secret_string("-"))
            }
            Operation::UpdateSecretVersionStage => {
                ask!(client.update_secret_version_stage().secret_id(id).version_stage("lifeboat-doctor"))
            }
            Operation::TagResource => {
                ask!(client.tag_resource().secret_id(id).tags(Tag::builder().key("lifeboat-doctor").value("").build()))
            }
            Operation::ValidateResourcePolicy => {
                ask!(client.validate_resource_policy().secret_id(id).resource_policy(NO_POLICY))
            }
            Operation::PutResourcePolicy => ask!(client.put_resource_policy().secret_id(id).resource_policy(NO_POLICY)),
            // With a window, never by force.
            Operation::DeleteSecret => ask!(client.delete_secret().secret_id(id).recovery_window_in_days(30)),
            _ => Ok(()),
        }
    }

    /// What the provider's clock says, by the `Date` of an answer.
    ///
    /// # Errors
    /// No credentials, no answer.
    pub async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        let date = Date::default();
        let send = || self.sts.get_caller_identity().customize().interceptor(date.clone()).send();
        self.call(Operation::GetCallerIdentity, None, send).await?;
        let text = date.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(DateTimeParser::new().parse_timestamp(&text).ok())
    }
}

fn reads() -> [Operation; 4] {
    [
        Operation::DescribeSecret,
        Operation::ListSecretVersionIds,
        Operation::GetSecretValue,
        Operation::GetResourcePolicy,
    ]
}

fn writes(role: Role) -> Vec<Operation> {
    let mut writes = Vec::new();
    if role != Role::Backup {
        writes.extend([
            Operation::CreateSecret,
            Operation::TagResource,
            Operation::PutSecretValue,
            Operation::UpdateSecretVersionStage,
            Operation::ValidateResourcePolicy,
            Operation::PutResourcePolicy,
        ]);
    }
    if role == Role::Drill {
        writes.push(Operation::DeleteSecret);
    }
    writes
}

fn judge(operation: Operation, answer: Result<(), Failure>) -> Result<Permission, ProviderError> {
    let allowed = match answer {
        Ok(()) => Allowed::Yes,
        Err(failure) => match failure.kind() {
            ErrorKind::Invalid
                if operation == Operation::CreateSecret && failure.error.code == "ValidationException" =>
            {
                Allowed::Untold
            }
            ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict => Allowed::Yes,
            ErrorKind::Denied => Allowed::No,
            ErrorKind::Credentials => return Err(failure.into()),
            _ => Allowed::Unknown(failure.error.code),
        },
    };
    Ok(Permission { operation: operation.name(), allowed })
}

/// A name that nothing has.
fn absent_name(prefix: &str) -> String {
    let number = getrandom::u64().unwrap_or(0x006c_6966_6562_6f61);
    format!("{prefix}lifeboat-doctor/{number:016x}")
}

/// Keeps the `Date` of an answer.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<String>>);

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "KeepDate"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            date.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(())
    }
}
