//! Faults on order: quotas, refusals, lost connections.

use serde::Deserialize;

use super::answer::Refusal;
use crate::emulator::faults::{FaultWhen, Faults, Ordered};

/// A fault and the requests it meets; a condition that is `None` meets every request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A part of the path, such as `/secrets/app/versions` or `:access`.
    #[serde(default)]
    pub path: Option<String>,
    /// Which of the requests that match.
    pub when: FaultWhen,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429, as of a quota.
    Exhausted,
    /// 503.
    Unavailable,
    /// 500.
    InternalError,
    /// 403, as for a caller who may not do this.
    Denied,
    /// 401, as for a token that has ended.
    TokenEnded,
    /// 400 `FAILED_PRECONDITION`, as for a value whose key is disabled.
    KeyDisabled,
    /// The connection closes without an answer, nothing is done.
    Drop,
    /// The request is carried out, and the connection closes without an answer.
    DropAfter,
}

/// What the faults say about one request.
pub(super) enum Verdict {
    Proceed,
    Refuse(Refusal),
    Drop,
    DropAfter,
}

impl Ordered for Fault {
    fn when(&self) -> FaultWhen {
        self.when
    }
}

impl Faults<Fault> {
    /// What is to be done with a request.
    pub(super) fn judge(&self, path: &str) -> Verdict {
        let matches = |fault: &Fault| fault.path.as_deref().is_none_or(|part| path.contains(part));
        self.first(matches).map_or(Verdict::Proceed, |fault| fault.kind.verdict(path))
    }
}

impl FaultKind {
    fn verdict(&self, path: &str) -> Verdict {
        let resource = path.trim_start_matches("/v1/").split(':').next().unwrap_or_default();
        Verdict::Refuse(match self {
            Self::Exhausted => Refusal::exhausted("secretmanager.googleapis.com/read_requests", "0"),
            Self::Unavailable => Refusal::unavailable(),
            Self::InternalError => Refusal::internal(),
            Self::Denied => {
                let is_access = path.ends_with(":access");
                let permission = if is_access { "secretmanager.versions.access" } else { "secretmanager.secrets.get" };
                Refusal::denied(permission, resource)
            }
            Self::TokenEnded => Refusal::unauthenticated(),
            Self::KeyDisabled => Refusal::precondition("The Cloud KMS key of the secret version is disabled."),
            Self::Drop => return Verdict::Drop,
            Self::DropAfter => return Verdict::DropAfter,
        })
    }
}
