//! Questions that change nothing: whether a key or a secret is there, what AWS thinks of a policy.

use serde_json::json;

use super::{Aws, call::Operation, failure::Failure};
use crate::{
    model::{PolicyVerdict, Presence},
    provider::{ErrorKind, ProviderError},
};

impl Aws {
    /// A key by DescribeKey, a secret by DescribeSecret; nothing else can be asked for without further permissions.
    pub(super) async fn ask_presence(&self, reference: &str) -> Result<Presence, ProviderError> {
        match service(reference) {
            "kms" => presence(self.ask_key(reference).await),
            "secretsmanager" => presence(self.describe(reference, reference).await.map(|_| Presence::There)),
            other => Ok(Presence::Unknown(format!("nothing harmless tells whether something of {other} exists"))),
        }
    }

    async fn ask_key(&self, key: &str) -> Result<Presence, Failure> {
        let send = || self.describe_key.send(json!({ "KeyId": key }));
        let answer = self.call(Operation::DescribeKey, Some(key), send).await?;
        Ok(match answer["KeyMetadata"]["KeyState"].as_str() {
            Some("Enabled") => Presence::There,
            Some(state) => Presence::Unusable(state.to_owned()),
            None => Presence::Unknown("the answer tells no state".into()),
        })
    }

    /// ValidateResourcePolicy without a secret: syntax, public access, and whether it would lock this caller out.
    pub(super) async fn ask_policy(&self, policy: &str) -> Result<PolicyVerdict, ProviderError> {
        let operation = Operation::ValidateResourcePolicy;
        let send = || self.client.validate_resource_policy().resource_policy(policy).send();
        let answer = match self.call(operation, None, send).await {
            Ok(answer) => answer,
            Err(failure) if failure.kind() == ErrorKind::Credentials => return Err(failure.into()),
            Err(failure) if failure.error.code == "MalformedPolicyDocumentException" => {
                return Ok(PolicyVerdict::Refused(vec![format!("malformed: {}", failure.error.message)]));
            }
            Err(failure) => return Ok(PolicyVerdict::Unknown(failure.error.code)),
        };
        if answer.policy_validation_passed() {
            return Ok(PolicyVerdict::Accepted);
        }
        let faults = answer.validation_errors().iter().map(|fault| {
            format!("{}: {}", fault.check_name().unwrap_or("?"), fault.error_message().unwrap_or_default())
        });
        Ok(PolicyVerdict::Refused(faults.collect()))
    }
}

/// The service of an ARN; what is no ARN is a key's id or alias.
fn service(reference: &str) -> &str {
    match reference.strip_prefix("arn:") {
        Some(rest) => rest.split(':').nth(1).unwrap_or_default(),
        None => "kms",
    }
}

fn presence(answer: Result<Presence, Failure>) -> Result<Presence, ProviderError> {
    match answer {
        Ok(presence) => Ok(presence),
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(Presence::Missing),
        Err(failure) if failure.kind() == ErrorKind::Credentials => Err(failure.into()),
        Err(failure) => Ok(Presence::Unknown(failure.error.code)),
    }
}
