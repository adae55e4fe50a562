//! Pacing: three quotas of a project, counted by the minute: <https://docs.cloud.google.com/secret-manager/quotas>.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::provider::{
    Pace as Speed,
    pace::{Growth, Pace},
};

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    /// Values.
    Access,
    /// Everything else that reads.
    Read,
    /// Everything that changes something.
    Write,
}

/// Requests per second of each, at its whole quota.
pub(super) const ACCESS: f64 = 90_000.0 / 60.0;
pub(super) const READ: f64 = 600.0 / 60.0;
pub(super) const WRITE: f64 = 600.0 / 60.0;
/// The share of its rate that a bucket gains back in a second after a refusal.
const RECOVERY: f64 = 0.05;
/// The share of its rate that a bucket never falls below.
const FLOOR: f64 = 1.0 / 64.0;
/// Requests that count as reading, for each secret: its versions, itself and its policy.
pub(super) const READS: f64 = 3.0;

/// The paces of all buckets of a project.
#[derive(Debug)]
pub(super) struct Limiter {
    access: Mutex<Pace>,
    read: Mutex<Pace>,
    write: Mutex<Pace>,
}

impl Limiter {
    /// Paces every bucket at `share` of its quota.
    pub(super) fn new(share: f64, now: Instant) -> Self {
        let pace = |rate: f64| {
            let full = rate * share;
            Mutex::new(Pace::new(full, full * FLOOR, Growth::Back { to: full, per_second: full * RECOVERY }, now))
        };
        Self { access: pace(ACCESS), read: pace(READ), write: pace(WRITE) }
    }

    /// Waits for the next slot of a bucket.
    pub(super) async fn acquire(&self, bucket: Bucket) {
        let wait = self.with(bucket, |pace| pace.reserve(Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells that a request was refused for the rate; none of its bucket goes out before `pause` has passed.
    pub(super) fn throttled(&self, bucket: Bucket, pause: Duration) {
        self.with(bucket, |pace| pace.throttled(Instant::now(), Some(pause)));
    }

    /// How fast it can be read. The listing asks for the latest version of each secret.
    pub(super) fn pace(&self) -> Speed {
        let most = |bucket| self.with(bucket, |pace| pace.most());
        Speed { listed: most(Bucket::Access), read: most(Bucket::Read) / READS }
    }

    /// Writes per second.
    pub(super) fn writes(&self) -> f64 {
        self.with(Bucket::Write, |pace| pace.most())
    }

    fn with<T>(&self, bucket: Bucket, f: impl FnOnce(&mut Pace) -> T) -> T {
        let pace = match bucket {
            Bucket::Access => &self.access,
            Bucket::Read => &self.read,
            Bucket::Write => &self.write,
        };
        f(&mut pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
