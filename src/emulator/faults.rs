//! Faults on order: throttles, failures, lost connections.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use serde::Deserialize;

use super::{ops::Operation, refusal::Refusal};

/// A fault and the calls it meets; a condition that is `None` meets every call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `GetSecretValue` and so on.
    #[serde(default)]
    pub operation: Option<String>,
    /// The name of the secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// The caller's account.
    #[serde(default)]
    pub account: Option<String>,
    /// The called region.
    #[serde(default)]
    pub region: Option<String>,
    /// Which of the calls that match.
    pub when: FaultWhen,
    /// What happens.
    pub kind: FaultKind,
}

/// Which of the matching calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultWhen {
    /// This share of them, 0 to 1; the same sequence in every run.
    Rate(f64),
    /// The nth only, counting from 1.
    Nth(u64),
    /// All of them.
    Always,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// `ThrottlingException`, nothing is done.
    Throttle,
    /// `InternalServiceError` (HTTP 500), nothing is done.
    InternalError,
    /// The connection closes without an answer, nothing is done.
    Drop,
    /// The call is carried out, and the connection closes without an answer.
    DropAfter,
    /// Any other error answer, nothing is done.
    Error {
        /// `AccessDeniedException` and so on.
        code: String,
        /// The text of the answer.
        message: String,
    },
}

/// What the faults say about one call.
pub(super) enum Verdict {
    Proceed,
    Refuse(Refusal),
    Drop,
    DropAfter,
}

/// One call, as faults see it.
pub(super) struct Subject<'a> {
    pub operation: Operation,
    pub account: &'a str,
    pub region: &'a str,
    pub body: &'a [u8],
}

/// A fault, as far as the list of them goes.
pub(super) trait Ordered {
    /// Which of the requests that match it.
    fn when(&self) -> FaultWhen;
}

impl Ordered for Fault {
    fn when(&self) -> FaultWhen {
        self.when
    }
}

/// The faults on order, each with the requests that it has matched.
pub(super) struct Faults<F> {
    any: AtomicBool,
    list: Mutex<Vec<(F, u64)>>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), list: Mutex::default() }
    }
}

impl<F: Ordered + Clone> Faults<F> {
    pub(super) fn add(&self, fault: F) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push((fault, 0));
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.any.store(false, Ordering::Release);
    }

    /// The first fault that meets the request; all that match count it.
    pub(super) fn first(&self, matches: impl Fn(&F) -> bool) -> Option<F> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = None;
        for (fault, seen) in list.iter_mut().filter(|(fault, _)| matches(fault)) {
            *seen += 1;
            if first.is_none() && strikes(fault.when(), *seen) {
                first = Some(fault.clone());
            }
        }
        first
    }
}

impl Faults<Fault> {
    /// What is to be done with a call. Its name is looked for only where a fault asks for one.
    pub(super) fn judge(&self, subject: &Subject<'_>) -> Verdict {
        let name = std::cell::OnceCell::new();
        let name = |fault: &Fault| {
            fault.secret.as_ref()?;
            name.get_or_init(|| named(subject.body)).as_deref()
        };
        self.first(|fault| matches(fault, subject, name(fault))).map_or(Verdict::Proceed, |fault| fault.kind.verdict())
    }
}

impl FaultKind {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Throttle => Verdict::Refuse(Refusal::new("ThrottlingException", "Rate exceeded")),
            Self::InternalError => {
                Verdict::Refuse(Refusal::new("InternalServiceError", "An error occurred on the server side."))
            }
            Self::Drop => Verdict::Drop,
            Self::DropAfter => Verdict::DropAfter,
            Self::Error { code, message } => Verdict::Refuse(Refusal::new(code.clone(), message.clone())),
        }
    }
}

fn matches(fault: &Fault, subject: &Subject<'_>, name: Option<&str>) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    is(&fault.operation, subject.operation.name())
        && is(&fault.account, subject.account)
        && is(&fault.region, subject.region)
        && fault.secret.as_deref().is_none_or(|secret| name.is_some_and(|name| is_named(name, secret)))
}

/// Whether a `SecretId` means the secret of this name: the name, or an ARN of it.
fn is_named(id: &str, secret: &str) -> bool {
    let resource = id.strip_prefix("arn:").and_then(|arn| arn.splitn(6, ':').nth(5)).unwrap_or(id);
    resource.strip_prefix(secret).is_some_and(|rest| rest.is_empty() || (rest.len() == 7 && rest.starts_with('-')))
}

fn named(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named {
        secret_id: Option<String>,
        name: Option<String>,
    }
    let named: Named = serde_json::from_slice(body).ok()?;
    named.secret_id.or(named.name)
}

/// Whether a fault meets the nth of the calls that match it.
fn strikes(when: FaultWhen, seen: u64) -> bool {
    match when {
        FaultWhen::Always => true,
        FaultWhen::Nth(nth) => seen == nth,
        FaultWhen::Rate(rate) => share(seen) < rate,
    }
}

/// The nth number of a fixed sequence in 0..1 (SplitMix64).
fn share(n: u64) -> f64 {
    let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let high = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(when: FaultWhen) -> Fault {
        Fault { operation: None, secret: None, account: None, region: None, when, kind: FaultKind::Drop }
    }

    fn call(body: &[u8]) -> Subject<'_> {
        Subject { operation: Operation::GetSecretValue, account: "1", region: "r", body }
    }

    #[test]
    fn the_nth_call_only() {
        let faults = Faults::default();
        faults.add(fault(FaultWhen::Nth(3)));
        let dropped: Vec<bool> = (0..5).map(|_| matches!(faults.judge(&call(b"{}")), Verdict::Drop)).collect();
        assert_eq!(dropped, [false, false, true, false, false]);
    }

    #[test]
    fn a_rate_is_about_that_share_and_repeats() {
        let hits = |rate| (1..=10_000).filter(|n| strikes(FaultWhen::Rate(rate), *n)).count();
        assert!((900..1100).contains(&hits(0.1)), "{}", hits(0.1));
        assert_eq!((hits(0.0), hits(1.0)), (0, 10_000));
    }

    #[test]
    fn a_fault_on_a_secret_spares_others_of_similar_name() {
        let faults = Faults::default();
        faults.add(Fault { secret: Some("db/x".into()), ..fault(FaultWhen::Always) });
        let met = |id: &str| {
            let body = format!(r#"{{"SecretId":"{id}"}}"#);
            matches!(faults.judge(&call(body.as_bytes())), Verdict::Drop)
        };
        assert!(met("db/x") && met("arn:aws:secretsmanager:r:1:secret:db/x-AbCdEf"));
        assert!(!met("db/xy") && !met("db") && !met("other/db/x"));
    }
}
