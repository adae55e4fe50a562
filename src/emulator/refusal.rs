//! An answer that says no, as AWS says it.

use std::borrow::Cow;

/// An error answer: its code and text, as in the body.
pub(super) struct Refusal {
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

impl Refusal {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidRequestException", message)
    }

    pub fn invalid_parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("LimitExceededException", message)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    pub fn no_such_secret() -> Self {
        Self::not_found("Secrets Manager can't find the specified secret.")
    }

    /// A constraint of the service's model that the request breaks.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ValidationException", message)
    }

    /// `ValidationException` for one member, in the words of AWS's request validation.
    pub fn constraint(member: &str, constraint: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {constraint}"
        ))
    }

    pub fn missing(member: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    }

    /// Errors of the service are 400, except its own failures.
    pub fn status(&self) -> u16 {
        if self.code == "InternalServiceError" { 500 } else { 400 }
    }

    /// The body; errors of the framework in front of the service spell `message` small.
    pub fn body(&self) -> Vec<u8> {
        const FRAMEWORK: [&str; 5] = [
            "ValidationException",
            "ThrottlingException",
            "SerializationException",
            "UnknownOperationException",
            "MissingAuthenticationTokenException",
        ];
        let key = if FRAMEWORK.contains(&self.code.as_ref()) { "message" } else { "Message" };
        serde_json::json!({ "__type": self.code, key: self.message }).to_string().into_bytes()
    }
}
