//! Faults on order: limits, refusals, lost connections.

use serde::Deserialize;

use super::answer::Answer;
use crate::emulator::faults::{FaultWhen, Faults, Ordered};

/// A fault and the requests it meets; a condition that is `None` meets every request to a vault or to the Resource Manager.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What method and path begin with, such as `PUT /secrets/app`.
    #[serde(default)]
    pub request: Option<String>,
    /// Which of the requests that match.
    pub when: FaultWhen,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 with `Retry-After`, in seconds.
    Throttled(u64),
    /// 403, as for a role that is missing.
    Denied,
    /// 403, as of the vault's firewall.
    Firewall,
    /// 403, as of a policy of the organization.
    Policy,
    /// 401 with a challenge, whatever the token.
    Unauthorized,
    /// 500.
    InternalError,
    /// The connection closes without an answer, nothing is done.
    Drop,
    /// The request is carried out, and the connection closes without an answer.
    DropAfter,
}

/// What the faults say about one request.
pub(super) enum Verdict {
    Proceed,
    Refuse(Answer),
    Challenge,
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
    pub(super) fn judge(&self, request: &str) -> Verdict {
        let matches = |fault: &Fault| fault.request.as_deref().is_none_or(|prefix| request.starts_with(prefix));
        self.first(matches).map_or(Verdict::Proceed, |fault| fault.kind.verdict())
    }
}

impl FaultKind {
    fn verdict(&self) -> Verdict {
        let forbidden = |words: &str, inner: &str| Answer::because(403, "Forbidden", words, inner);
        Verdict::Refuse(match self {
            Self::Throttled(seconds) => Answer::throttled(*seconds),
            Self::Denied => forbidden(
                "Caller is not authorized to perform action on resource. If role assignments, deny assignments or role \
                 definitions were changed recently, please observe propagation time.",
                "ForbiddenByRbac",
            ),
            Self::Firewall => forbidden(
                "Client address is not authorized and caller is not a trusted service.",
                "ForbiddenByFirewall",
            ),
            Self::Policy => forbidden("Resource was disallowed by policy.", "RequestDisallowedByPolicy"),
            Self::InternalError => Answer::error(500, "InternalServerError", "An internal error occurred."),
            Self::Unauthorized => return Verdict::Challenge,
            Self::Drop => return Verdict::Drop,
            Self::DropAfter => return Verdict::DropAfter,
        })
    }
}
