//! Answers and refusals: JSON, and `google.rpc.Status` for what is refused.

use serde_json::{Value as Json, json};

/// A refusal: `google.rpc.Status` with the HTTP status that it is sent with.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    status: &'static str,
    message: String,
    details: Vec<Json>,
}

impl Refusal {
    fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: Vec::new() }
    }

    /// The request is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    /// The state of what is asked about does not allow it.
    pub(super) fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", message)
    }

    /// There is no such secret, version or location.
    pub(super) fn missing(kind: &str, name: &str) -> Self {
        Self::new(404, "NOT_FOUND", format!("{kind} [{name}] not found."))
    }

    /// It is there already.
    pub(super) fn exists(name: &str) -> Self {
        Self::new(409, "ALREADY_EXISTS", format!("Secret [{name}] already exists."))
    }

    /// Somebody else changed it at the same time.
    pub(super) fn aborted(message: &str) -> Self {
        Self::new(409, "ABORTED", message)
    }

    /// The caller may not do this.
    pub(super) fn denied(permission: &str, resource: &str) -> Self {
        let message = format!("Permission '{permission}' denied for resource '{resource}' (or it may not exist).");
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED",
            "domain": "iam.googleapis.com", "metadata": { "permission": permission, "resource": resource },
        });
        Self { details: vec![info], ..Self::new(403, "PERMISSION_DENIED", message) }
    }

    /// No token, or none that works.
    pub(super) fn unauthenticated() -> Self {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                       other valid authentication credential.";
        Self::new(401, "UNAUTHENTICATED", message)
    }

    /// More calls than a quota allows.
    pub(super) fn exhausted(metric: &str, project: &str) -> Self {
        let message = format!(
            "Quota exceeded for quota metric '{metric}' and limit '{metric} per minute' of service \
             'secretmanager.googleapis.com' for consumer 'project_number:{project}'."
        );
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": { "service": "secretmanager.googleapis.com", "quota_metric": metric },
        });
        Self { details: vec![info], ..Self::new(429, "RESOURCE_EXHAUSTED", message) }
    }

    /// The service is not there for the moment.
    pub(super) fn unavailable() -> Self {
        Self::new(503, "UNAVAILABLE", "The service is currently unavailable.")
    }

    /// Something is wrong in the service.
    pub(super) fn internal() -> Self {
        Self::new(500, "INTERNAL", "Internal error encountered.")
    }

    /// There is no such method.
    pub(super) fn unknown() -> Self {
        Self::new(404, "NOT_FOUND", "Method not found.")
    }

    /// The method is there, and not in a sandbox.
    pub(super) fn unimplemented() -> Self {
        Self::new(501, "UNIMPLEMENTED", "The sandbox rotates nothing.")
    }

    /// As it is sent.
    pub(super) fn body(&self) -> Json {
        let mut error = json!({ "code": self.code, "message": self.message, "status": self.status });
        if !self.details.is_empty() {
            error["details"] = self.details.clone().into();
        }
        json!({ "error": error })
    }
}

/// Enums as numbers, for the clients that ask for them.
pub(super) fn numbered(answer: &mut Json) {
    const STATES: [(&str, u64); 4] = [("STATE_UNSPECIFIED", 0), ("ENABLED", 1), ("DISABLED", 2), ("DESTROYED", 3)];
    match answer {
        Json::Array(items) => items.iter_mut().for_each(numbered),
        Json::Object(fields) => {
            for (name, value) in fields {
                let known: &[(&str, u64)] = match name.as_str() {
                    "state" => &STATES,
                    "secretType" => &super::check::TYPES,
                    // Maps of the caller's own words.
                    "labels" | "annotations" | "versionAliases" => continue,
                    _ => &[],
                };
                let number = value.as_str().and_then(|text| known.iter().find(|(name, _)| *name == text));
                match number {
                    Some((_, number)) => *value = json!(number),
                    None => numbered(value),
                }
            }
        }
        _ => {}
    }
}
