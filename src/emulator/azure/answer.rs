//! Answers: a status, headers, and errors in the form of the service.

use serde_json::{Value as Json, json};

/// One answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Something to say.
    pub(super) fn json(status: u16, value: &Json) -> Self {
        Self { status, headers: Vec::new(), body: value.to_string().into_bytes() }
    }

    /// Done, and nothing to say.
    pub(super) fn done() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new() }
    }

    /// An error.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({ "error": { "code": code, "message": message } }))
    }

    /// An error with a reason of its own inside.
    pub(super) fn because(status: u16, code: &str, message: &str, inner: &str) -> Self {
        Self::json(status, &json!({ "error": { "code": code, "message": message, "innererror": { "code": inner } } }))
    }

    /// The request says something that cannot be.
    pub(super) fn bad(message: &str) -> Self {
        Self::error(400, "BadParameter", message)
    }

    /// Nothing has this name.
    pub(super) fn missing(name: &str) -> Self {
        let words = format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be \
             able to recover it using the correct recovery command."
        );
        Self::error(404, "SecretNotFound", &words)
    }

    /// More requests than the service takes.
    pub(super) fn throttled(seconds: u64) -> Self {
        let words =
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
        Self::error(429, "Throttled", words).with("retry-after", seconds.to_string())
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
