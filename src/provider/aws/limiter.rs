//! Pacing: one rate per AWS quota bucket, halved on throttling, recovered with time.
//!
//! Quotas are per account and region and not adjustable, see
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Unused time that may be caught up, so that coarse timers do not lower the rate.
const CATCH_UP: Duration = Duration::from_millis(50);
/// Throttling answers that arrive within this time of the last halving belong to the same congestion.
const ONE_CONGESTION: Duration = Duration::from_millis(500);
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
}

impl Bucket {
    const ALL: [Self; 14] = [
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
    ];

    /// Calls per second.
    fn quota(self) -> f64 {
        match self {
            Self::Describe => 40_000.0,
            Self::Value => 10_000.0,
            Self::List | Self::Key | Self::Identity => 100.0,
            // AWS publishes no rate for it; 20 accounts a page leave room for any organization.
            Self::Organization => 5.0,
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
        let pace = |bucket: Bucket| Mutex::new(Pace::new(bucket.quota() * share, now));
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
        self.with(bucket, |pace| pace.full)
    }

    /// Tells that AWS throttled a call of this bucket.
    pub(super) fn throttled(&self, bucket: Bucket) {
        self.with(bucket, |pace| pace.throttled(Instant::now()));
    }

    fn with<T>(&self, bucket: Bucket, f: impl FnOnce(&mut Pace) -> T) -> T {
        f(&mut self.paces[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The pace of one bucket: a virtual schedule of slots (GCRA).
#[derive(Debug)]
struct Pace {
    full: f64,
    rate: f64,
    next: Instant,
    recovered: Instant,
    halved: Option<Instant>,
}

impl Pace {
    fn new(full: f64, now: Instant) -> Self {
        Self { full, rate: full, next: now, recovered: now, halved: None }
    }

    /// Takes the next slot and tells how long to wait for it.
    fn reserve(&mut self, now: Instant) -> Duration {
        self.recover(now);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let slot = self.next.max(earliest);
        self.next = slot + Duration::from_secs_f64(1.0 / self.rate);
        slot.saturating_duration_since(now)
    }

    fn throttled(&mut self, now: Instant) {
        self.recover(now);
        if self.halved.is_none_or(|halved| now.saturating_duration_since(halved) >= ONE_CONGESTION) {
            self.rate = (self.rate / 2.0).max(self.full * FLOOR);
            self.halved = Some(now);
        }
    }

    fn recover(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.recovered).as_secs_f64();
        self.rate = (self.rate + passed * RECOVERY_PER_SECOND * self.full).min(self.full);
        self.recovered = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many calls `tasks` callers get through in `seconds` of simulated time.
    fn calls_within(pace: &mut Pace, start: Instant, seconds: u64) -> u32 {
        let end = start + Duration::from_secs(seconds);
        let (mut now, mut calls) = (start, 0);
        while now < end {
            now += pace.reserve(now);
            calls += u32::from(now < end);
        }
        calls
    }

    #[test]
    fn every_bucket_is_its_own_index() {
        for (index, bucket) in Bucket::ALL.into_iter().enumerate() {
            assert_eq!(bucket as usize, index);
        }
    }

    #[test]
    fn a_bucket_reaches_its_rate_and_never_exceeds_it() {
        let start = Instant::now();
        for rate in [45.0, 9_000.0, 36_000.0] {
            let calls = f64::from(calls_within(&mut Pace::new(rate, start), start, 10));
            assert!(calls <= rate * 10.0 + rate * CATCH_UP.as_secs_f64() + 1.0, "{calls} at {rate}");
            assert!(calls >= rate * 9.9, "{calls} at {rate}");
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let start = Instant::now();
        let mut pace = Pace::new(45.0, start);
        pace.reserve(start);
        let later = start + Duration::from_hours(1);
        let free = (0..100).filter(|_| pace.reserve(later).is_zero()).count();
        assert!(free <= 4, "{free} calls at once after an hour of rest");
    }

    #[test]
    fn throttling_halves_once_per_congestion_and_time_heals() {
        let start = Instant::now();
        let mut pace = Pace::new(40.0, start);
        for _ in 0..32 {
            pace.throttled(start);
        }
        assert!((pace.rate - 20.0).abs() < 0.01, "{}", pace.rate);
        pace.throttled(start + ONE_CONGESTION);
        assert!(pace.rate < 11.0, "{}", pace.rate);
        pace.recover(start + Duration::from_mins(1));
        assert!((pace.rate - 40.0).abs() < 0.01, "{}", pace.rate);
    }

    #[test]
    fn throttling_forever_still_leaves_a_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(50.0, start);
        for step in 0..1_000 {
            pace.throttled(start + ONE_CONGESTION * step);
        }
        assert!(pace.rate >= 50.0 * FLOOR);
        assert!(pace.reserve(start + ONE_CONGESTION * 1_000) < Duration::from_secs(5));
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
