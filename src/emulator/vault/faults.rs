//! Faults on order: quotas, seals, refusals, lost connections.

use serde::Deserialize;

use super::answer::Answer;
use crate::emulator::faults::{FaultWhen, Faults, Ordered};

/// A fault and the requests it meets; a condition that is `None` meets every request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What the path begins with, such as `secret/data/`.
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
    /// 429 with `Retry-After`, in seconds.
    RateLimited(u64),
    /// 503, as of a sealed server.
    Sealed,
    /// 403, as for a token that may not do this.
    Denied,
    /// 403, as for a token that has ended; looking it up fails too only if the fault meets that as well.
    TokenEnded,
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
        let matches = |fault: &Fault| fault.path.as_deref().is_none_or(|prefix| path.starts_with(prefix));
        self.first(matches).map_or(Verdict::Proceed, |fault| fault.kind.verdict(path))
    }
}

impl FaultKind {
    fn verdict(&self, path: &str) -> Verdict {
        Verdict::Refuse(match self {
            Self::RateLimited(seconds) => rate_limited(path).with("retry-after", seconds.to_string()),
            Self::Sealed => Answer::refused(503, "Vault is sealed"),
            Self::Denied => Answer::denied(),
            Self::TokenEnded => Answer::no_token(),
            Self::InternalError => Answer::refused(500, "internal error"),
            Self::Drop => return Verdict::Drop,
            Self::DropAfter => return Verdict::DropAfter,
        })
    }
}

/// More requests than a quota allows.
pub(super) fn rate_limited(path: &str) -> Answer {
    Answer::refused(429, &format!("request path \"{path}\": rate limit quota exceeded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_request_below_a_path_and_no_other() {
        let faults = Faults::default();
        faults.add(Fault {
            path: Some("secret/data/".into()),
            when: FaultWhen::Nth(2),
            kind: FaultKind::RateLimited(3),
        });
        let status = |path: &str| match faults.judge(path) {
            Verdict::Refuse(answer) => answer.status,
            _ => 0,
        };
        assert_eq!([status("secret/data/a"), status("secret/metadata/a"), status("secret/data/b")], [0, 0, 429]);
        assert_eq!(status("secret/data/c"), 0);
        faults.clear();
    }
}
