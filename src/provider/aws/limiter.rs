//! Pacing: one rate per AWS quota bucket, halved on throttling, recovered with time.
//!
//! Quotas are per account and region and not adjustable, see
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::provider::pace::{Growth, Pace};

/// The share of the full rate regained per second.
const RECOVERY_PER_SECOND: f64 = 0.05;
/// The lowest rate, as a share of the full one.
const FLOOR: f64 = 1.0 / 64.0;

/// The calls that AWS counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    Describe,
    Value,
    List,
    VersionIds,
    Policy,
    Write,
    Create,
    Delete,
    Tag,
    Undelete,
    Rotate,
    Key,
    Identity,
    Organization,
    Trail,
    Consumer,
    Queue,
}

impl Bucket {
    const ALL: [Self; 17] = [
        Self::Describe,
        Self::Value,
        Self::List,
        Self::VersionIds,
        Self::Policy,
        Self::Write,
        Self::Create,
        Self::Delete,
        Self::Tag,
        Self::Undelete,
        Self::Rotate,
        Self::Key,
        Self::Identity,
        Self::Organization,
        Self::Trail,
        Self::Consumer,
        Self::Queue,
    ];

    /// Calls per second.
    fn quota(self) -> f64 {
        match self {
            Self::Describe => 40_000.0,
            Self::Value => 10_000.0,
            Self::List | Self::Key | Self::Identity | Self::Queue => 100.0,
            // AWS publishes no rate for it; 20 accounts a page leave room for any organization.
            Self::Organization => 5.0,
            Self::Trail => 2.0,
            // The lowest of ECS, Lambda and KMS, whose quotas deployments need too.
            Self::Consumer => 10.0,
            Self::VersionIds
            | Self::Policy
            | Self::Write
            | Self::Create
            | Self::Delete
            | Self::Tag
            | Self::Undelete
            | Self::Rotate => 50.0,
        }
    }
}

/// The paces of all buckets of one connection.
#[derive(Debug)]
pub(super) struct Limiter {
    paces: Vec<Mutex<Pace>>,
}

impl Limiter {
    /// Paces every bucket at `share` of its quota.
    pub(super) fn new(share: f64, now: Instant) -> Self {
        let pace = |bucket: Bucket| {
            let full = bucket.quota() * share;
            let growth = Growth::Back { to: full, per_second: full * RECOVERY_PER_SECOND };
            Mutex::new(Pace::new(full, full * FLOOR, growth, now))
        };
        Self { paces: Bucket::ALL.into_iter().map(pace).collect() }
    }

    /// Waits for the bucket's next slot; no other bucket's calls matter.
    pub(super) async fn acquire(&self, bucket: Bucket) {
        let wait = self.with(bucket, |pace| pace.reserve(Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Calls per second of a bucket that nobody else uses.
    pub(super) fn rate(&self, bucket: Bucket) -> f64 {
        self.with(bucket, |pace| pace.most())
    }

    /// Tells that AWS throttled a call of this bucket.
    pub(super) fn throttled(&self, bucket: Bucket) {
        self.with(bucket, |pace| pace.throttled(Instant::now(), None));
    }

    fn with<T>(&self, bucket: Bucket, f: impl FnOnce(&mut Pace) -> T) -> T {
        f(&mut self.paces[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_bucket_is_its_own_index() {
        for (index, bucket) in Bucket::ALL.into_iter().enumerate() {
            assert_eq!(bucket as usize, index);
        }
    }

    #[tokio::test]
    async fn a_bucket_never_waits_for_another() {
        let limiter = Limiter::new(0.9, Instant::now());
        for _ in 0..10_000 {
            limiter.with(Bucket::VersionIds, |pace| pace.reserve(Instant::now()));
        }
        let waits_long = tokio::time::timeout(Duration::from_millis(50), limiter.acquire(Bucket::VersionIds)).await;
        assert!(waits_long.is_err(), "the used up bucket has to wait");
        for bucket in [Bucket::Value, Bucket::Describe, Bucket::Policy, Bucket::Write] {
            tokio::time::timeout(Duration::from_millis(50), limiter.acquire(bucket)).await.expect("no wait");
        }
    }
}
