//! How long a plan takes when AWS's request quotas are the only limit.
//!
//! Quotas per account and region, not adjustable:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{plan::SecretPlan, summary::Summary};
use crate::model::Step;

/// Calls a second of each group of operations that AWS counts together, except the two below.
const SLOW: f64 = 50.0;
/// Calls a second of GetSecretValue.
const VALUES: f64 = 10_000.0;

/// The least time a plan takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Writes.
    pub writes: u64,
    /// Reads of the verification.
    pub reads: u64,
    /// Seconds until AWSCURRENT of everything is back.
    pub current_seconds: f64,
    /// Seconds until everything is back and verified.
    pub total_seconds: f64,
}

/// The calls of a plan, by the group that AWS counts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    /// Until AWSCURRENT of everything is back.
    first: BTreeMap<&'static str, u64>,
    /// After that.
    rest: BTreeMap<&'static str, u64>,
    /// Secrets read back.
    secrets: u64,
    /// Values read back.
    values: u64,
}

impl Calls {
    /// Adds those of one secret.
    pub fn add(&mut self, secret: &SecretPlan) {
        for planned in &secret.first {
            *self.first.entry(group(&planned.write)).or_default() += 1;
        }
        for planned in secret.then.iter().chain(&secret.last) {
            *self.rest.entry(group(&planned.write)).or_default() += 1;
        }
        if secret.is_verified() {
            self.secrets += 1;
            self.values += secret.desired.versions.len() as u64;
        }
    }
}

impl Summary {
    /// The least time at `rate_share` of the quotas; a slow network or a throttled account takes longer.
    pub fn estimate(&self, rate_share: f64) -> Estimate {
        let Calls { first, rest, secrets, values } = &self.calls;
        // DescribeSecret twice (its quota is 40,000), ListSecretVersionIds and GetResourcePolicy side by side.
        let verify = (seconds(*secrets, SLOW)).max(seconds(*values, VALUES));
        let current_seconds = busiest(first) / rate_share;
        let rest_seconds = busiest(rest) / rate_share;
        // Creations are counted apart from all else, so the rest goes on beside them.
        let side_by_side = first.keys().all(|group| *group == CREATE);
        let writing = if side_by_side { current_seconds.max(rest_seconds) } else { current_seconds + rest_seconds };
        Estimate {
            writes: first.values().chain(rest.values()).sum(),
            reads: 4 * secrets + values,
            current_seconds,
            total_seconds: writing + verify / rate_share,
        }
    }
}

/// Seconds of the group with the most calls; groups run side by side.
fn busiest(calls: &BTreeMap<&str, u64>) -> f64 {
    seconds(calls.values().copied().max().unwrap_or_default(), SLOW)
}

const CREATE: &str = "create";

/// The operations that AWS counts together.
fn group(step: &Step) -> &'static str {
    match step {
        Step::Create { .. } => CREATE,
        Step::PutVersion { .. }
        | Step::MoveStage { .. }
        | Step::Update { .. }
        | Step::Replicate { .. }
        | Step::Promote { .. } => "write",
        Step::Tag { .. } | Step::Untag { .. } => "tag",
        Step::Rotate { .. } => "rotate",
        Step::PutPolicy { .. } | Step::DeletePolicy { .. } => "policy",
        Step::Undelete { .. } => "undelete",
        Step::ScheduleDeletion { .. } | Step::Destroy { .. } => "delete",
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate of seconds, far below 2^52 calls")]
fn seconds(calls: u64, per_second: f64) -> f64 {
    calls as f64 / per_second
}
