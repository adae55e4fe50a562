//! How long a plan takes when AWS's request quotas are the only limit.
//!
//! Quotas per account and region, not adjustable:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::{Plan, Planned};
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

impl Plan {
    /// The least time at `rate_share` of the quotas; a slow network or a throttled account takes longer.
    pub fn estimate(&self, rate_share: f64) -> Estimate {
        let first = busiest(self.secrets.iter().flat_map(|secret| &secret.first));
        let rest = busiest(self.secrets.iter().flat_map(|secret| secret.then.iter().chain(&secret.last)));
        let verified: Vec<_> = self.secrets.iter().filter(|secret| secret.is_verified()).collect();
        let secrets = verified.len() as u64;
        let values = verified.iter().map(|secret| secret.desired.versions.len() as u64).sum();
        // DescribeSecret twice (its quota is 40,000), ListSecretVersionIds and GetResourcePolicy side by side.
        let reads = 4 * secrets + values;
        let verify = (seconds(secrets, SLOW)).max(seconds(values, VALUES));
        let current_seconds = first / rate_share;
        Estimate {
            writes: self.secrets.iter().map(|secret| secret.writes().count() as u64).sum(),
            reads,
            current_seconds,
            total_seconds: current_seconds + (rest + verify) / rate_share,
        }
    }
}

/// Seconds of the group with the most calls; groups run side by side.
fn busiest<'a>(writes: impl Iterator<Item = &'a Planned>) -> f64 {
    let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
    for planned in writes {
        *calls.entry(group(&planned.write)).or_default() += 1;
    }
    seconds(calls.into_values().max().unwrap_or_default(), SLOW)
}

/// The operations that AWS counts together.
fn group(step: &Step) -> &'static str {
    match step {
        Step::Create { .. } => "create",
        Step::PutVersion { .. } | Step::MoveStage { .. } | Step::Update { .. } | Step::Replicate { .. } => "write",
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
