//! Pacing: 4,000 transactions of a vault in 10 seconds, whatever they are.
//! <https://learn.microsoft.com/azure/key-vault/general/service-limits>.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::provider::pace::{Growth, Pace};

/// Transactions of a vault in a second. A schedule that is late catches up 50 ms, and no window of ten seconds may have more than
/// 4,000 with them: one too many costs seconds.
pub(super) const QUOTA: f64 = 3_999.0 / 10.05;
/// The share of the full rate regained per second.
const RECOVERY_PER_SECOND: f64 = 0.05;
/// The lowest rate, as a share of the full one.
const FLOOR: f64 = 1.0 / 64.0;

/// One rate for all requests of a connection.
#[derive(Debug)]
pub(super) struct Limiter(Mutex<Pace>);

impl Limiter {
    /// At this share of the quota.
    pub(super) fn new(share: f64, now: Instant) -> Self {
        let full = QUOTA * share;
        let growth = Growth::Back { to: full, per_second: full * RECOVERY_PER_SECOND };
        Self(Mutex::new(Pace::new(full, full * FLOOR, growth, now)))
    }

    /// Waits for the next slot.
    pub(super) async fn acquire(&self) {
        let wait = self.with(|pace| pace.reserve(Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Requests in a second, where nobody else uses the vault.
    pub(super) fn rate(&self) -> f64 {
        self.with(|pace| pace.most())
    }

    /// Tells that a request was refused for the rate; none goes out before `pause` has passed.
    pub(super) fn throttled(&self, pause: Option<Duration>) {
        self.with(|pace| pace.throttled(Instant::now(), pause));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Pace) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
