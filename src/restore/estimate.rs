//! How long a plan takes when the target's request quotas are the only limit.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{plan::SecretPlan, summary::Summary};
use crate::{
    model::Planned,
    provider::{Quotas, Rules},
};

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
    /// All writes.
    writes: u64,
    /// Secrets read back.
    secrets: u64,
    /// Values read back.
    values: u64,
}

impl Calls {
    /// Adds those of one secret.
    pub fn add(&mut self, secret: &SecretPlan, rules: &dyn Rules) {
        let count = |calls: &mut BTreeMap<_, u64>, planned: &Planned| {
            if let Some(group) = rules.quota(&planned.write) {
                *calls.entry(group).or_default() += 1;
            }
        };
        secret.first.iter().for_each(|planned| count(&mut self.first, planned));
        secret.then.iter().chain(&secret.last).for_each(|planned| count(&mut self.rest, planned));
        self.writes += secret.writes().count() as u64;
        if secret.is_verified() {
            self.secrets += 1;
            self.values += secret.desired.versions.len() as u64;
        }
    }
}

impl Summary {
    /// The least time at `rate_share` of the quotas; a slow network or a throttled account takes longer.
    pub fn estimate(&self, rate_share: f64) -> Estimate {
        let Calls { first, rest, writes, secrets, values } = &self.calls;
        let Some(Quotas { calls: slow, values: fast, .. }) = self.quotas else {
            // A server without quotas is as fast as it is.
            return Estimate { writes: *writes, reads: 4 * secrets + values, current_seconds: 0.0, total_seconds: 0.0 };
        };
        // AWS: DescribeSecret twice (its quota is 40,000), ListSecretVersionIds and GetResourcePolicy side by side.
        let verify = (seconds(*secrets, slow)).max(seconds(*values, fast));
        // Groups run side by side.
        let busiest = |calls: &BTreeMap<&str, u64>| seconds(calls.values().copied().max().unwrap_or_default(), slow);
        let current_seconds = busiest(first) / rate_share;
        let rest_seconds = busiest(rest) / rate_share;
        // Creations are counted apart from all else, so the rest goes on beside them.
        let side_by_side = first.keys().all(|group| *group == CREATE);
        let writing = if side_by_side { current_seconds.max(rest_seconds) } else { current_seconds + rest_seconds };
        Estimate {
            writes: *writes,
            reads: 4 * secrets + values,
            current_seconds,
            total_seconds: writing + verify / rate_share,
        }
    }
}

const CREATE: &str = "create";

#[expect(clippy::cast_precision_loss, reason = "an estimate of seconds, far below 2^52 calls")]
fn seconds(calls: u64, per_second: f64) -> f64 {
    calls as f64 / per_second
}
