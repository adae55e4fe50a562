//! Faults on order: limits, refusals, lost connections.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::answer::Answer;
use crate::emulator::faults::{FaultWhen, strikes};

/// A fault and the requests it meets; a condition that is `None` meets every request to a vault.
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

/// The faults on order.
#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<(Fault, u64)>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((fault, 0));
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The first fault that meets the request decides; all that match count it.
    pub(super) fn judge(&self, request: &str) -> Verdict {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut verdict = Verdict::Proceed;
        let matching = |fault: &Fault| fault.request.as_deref().is_none_or(|prefix| request.starts_with(prefix));
        for (fault, seen) in list.iter_mut().filter(|(fault, _)| matching(fault)) {
            *seen += 1;
            if matches!(verdict, Verdict::Proceed) && strikes(fault.when, *seen) {
                verdict = fault.kind.verdict();
            }
        }
        verdict
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
