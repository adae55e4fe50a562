//! What an answer means: the SDK's errors as the contract's kinds, without values.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::{call::Operation, proven::Unproven};
use crate::{
    isolation::Refused,
    outward,
    provider::{ErrorKind, ProviderError},
};

/// A failed call, and whether the service itself refused it.
#[derive(Debug)]
pub(super) struct Failure {
    /// The error as the caller sees it.
    pub(super) error: ProviderError,
    /// The service gave an answer about this very request.
    answered: bool,
}

impl Failure {
    /// Classifies the SDK's error.
    pub(super) fn of<E>(operation: Operation, secret: Option<&str>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(Unproven(error)) = chain(error).find_map(<dyn Error>::downcast_ref::<Unproven>) {
            return Self { error: error.clone(), answered: false };
        }
        match error.as_service_error().and_then(|e| e.code().map(|code| (code, e.message().unwrap_or_default()))) {
            Some((code, message)) => Self::refused(operation, secret, code, message),
            None => Self::unanswered(operation, secret, error),
        }
    }

    /// An error of our own about one secret.
    pub(super) fn own(kind: ErrorKind, operation: Operation, secret: &str, code: &str, message: &str) -> Self {
        Self { error: build(kind, operation, Some(secret), code, message), answered: true }
    }

    /// The same refusal as a conflict, explained in our own words.
    pub(super) fn conflict(refusal: &Self, message: &str) -> Self {
        let error = ProviderError { kind: ErrorKind::Conflict, message: message.to_owned(), ..refusal.error.clone() };
        Self { error, answered: true }
    }

    /// Whether going on with other secrets makes no sense.
    pub(super) fn ends_the_run(&self) -> bool {
        !self.answered || self.error.kind == ErrorKind::Credentials
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.error.kind, ErrorKind::Throttled | ErrorKind::Unavailable)
    }

    /// The kind.
    pub(super) fn kind(&self) -> ErrorKind {
        self.error.kind
    }

    fn refused(operation: Operation, secret: Option<&str>, code: &str, message: &str) -> Self {
        // Emulators and proxies send namespaced codes: the last part is the code.
        let code = code.rsplit(['#', '.']).next().unwrap_or(code);
        if kind_of(code) == ErrorKind::Invalid && message.contains("deletion") {
            return Self {
                error: build(ErrorKind::Conflict, operation, secret, code, "it is scheduled for deletion"),
                answered: true,
            };
        }
        let message = if operation.carries_value() { "" } else { message };
        Self { error: build(kind_of(code), operation, secret, code, message), answered: true }
    }

    fn unanswered<E>(operation: Operation, secret: Option<&str>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (kind, code, message, answered) = match error {
            SdkError::ServiceError(answer) => match answer.raw().status().as_u16() {
                status @ (401 | 403) => (ErrorKind::Denied, format!("Http{status}"), "", false),
                status @ (429 | 503) => (ErrorKind::Throttled, format!("Http{status}"), "", false),
                status => (ErrorKind::Unavailable, format!("Http{status}"), "", false),
            },
            SdkError::ResponseError(_) => {
                (ErrorKind::Unavailable, "BadAnswer".into(), "the answer is cut or not JSON", true)
            }
            SdkError::TimeoutError(_) => (ErrorKind::Unavailable, "Timeout".into(), "no answer in time", false),
            _ if chain(error).any(<dyn Error>::is::<Refused>) => {
                (ErrorKind::Denied, "Lost".into(), "it counts as lost in this run; no connection was made", false)
            }
            // Also where credentials are asked for on the way.
            _ if outward::reason(error).is_some_and(outward::is_final) => {
                (ErrorKind::Invalid, "NoConnection".into(), outward::silence(error), false)
            }
            _ if outward::reason(error).is_some() => {
                (ErrorKind::Unavailable, "NoAnswer".into(), outward::silence(error), false)
            }
            _ if chain(error).any(<dyn Error>::is::<CredentialsError>) => {
                (ErrorKind::Credentials, "NoCredentials".into(), "no usable AWS credentials", false)
            }
            SdkError::ConstructionFailure(_) => {
                (ErrorKind::Invalid, "BadRequest".into(), "the request cannot be built", true)
            }
            _ => (ErrorKind::Unavailable, "NoAnswer".into(), outward::silence(error), false),
        };
        Self { error: build(kind, operation, secret, &code, message), answered }
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

fn build(kind: ErrorKind, operation: Operation, secret: Option<&str>, code: &str, message: &str) -> ProviderError {
    ProviderError {
        provider: "aws",
        kind,
        operation: operation.name(),
        secret: secret.map(str::to_owned),
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

/// The kind of an error code, see
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html>.
fn kind_of(code: &str) -> ErrorKind {
    match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "DecryptionFailure"
        | "EncryptionFailure"
        | "PublicPolicyException"
        | "OptInRequired"
        | "NotAuthorized" => ErrorKind::Denied,
        "ResourceNotFoundException" | "NotFoundException" => ErrorKind::NotFound,
        "ResourceExistsException" => ErrorKind::Conflict,
        "LimitExceededException" => ErrorKind::Limit,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown" => ErrorKind::Throttled,
        "InternalServiceError"
        | "InternalServiceErrorException"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => ErrorKind::Unavailable,
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired" => ErrorKind::Credentials,
        // Key trouble has many codes: KMSAccessDeniedException, KMSDisabledException, KMSInvalidStateException …
        _ if code.starts_with("KMS") => ErrorKind::Denied,
        _ => ErrorKind::Invalid,
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_permanent_and_throttling_is_not() {
        let limit = Failure::refused(Operation::PutSecretValue, Some("a"), "LimitExceededException", "too many");
        assert_eq!(limit.kind(), ErrorKind::Limit);
        assert!(!limit.may_pass());
        for code in ["ThrottlingException", "RequestLimitExceeded", "com.amazon#ThrottlingException"] {
            let throttled = Failure::refused(Operation::DescribeSecret, None, code, "Rate exceeded");
            assert_eq!(throttled.kind(), ErrorKind::Throttled, "{code}");
            assert!(throttled.may_pass() && !throttled.ends_the_run(), "{code}");
        }
    }

    #[test]
    fn only_credentials_and_silence_end_the_run() {
        for code in
            ["AccessDeniedException", "DecryptionFailure", "KMSDisabledException", "InternalServiceError", "New"]
        {
            assert!(!Failure::refused(Operation::GetSecretValue, Some("a"), code, "").ends_the_run(), "{code}");
        }
        for code in ["ExpiredTokenException", "UnrecognizedClientException"] {
            assert!(Failure::refused(Operation::GetSecretValue, Some("a"), code, "").ends_the_run(), "{code}");
        }
    }

    #[test]
    fn the_text_of_operations_with_values_is_dropped() {
        let text = "1 validation error: value 'hunter2' at 'secretString'";
        for operation in [Operation::CreateSecret, Operation::PutSecretValue, Operation::GetSecretValue] {
            let failure = Failure::refused(operation, Some("a"), "ValidationException", text);
            assert!(!format!("{failure:?} {}", failure.error).contains("hunter2"), "{operation:?}");
        }
        let failure =
            Failure::refused(Operation::PutResourcePolicy, Some("a"), "MalformedPolicyDocumentException", "why");
        assert_eq!(failure.error.message, "why");
    }

    #[test]
    fn a_name_scheduled_for_deletion_is_a_conflict_that_says_so() {
        let text = "You can't create this secret because a secret with this name is already scheduled for deletion.";
        let failure = Failure::refused(Operation::CreateSecret, Some("a"), "InvalidRequestException", text);
        assert_eq!(failure.kind(), ErrorKind::Conflict);
        assert!(failure.error.to_string().contains("scheduled for deletion"));
    }
}
