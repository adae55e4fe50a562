//! Pacing: Vault's quotas are the operator's, by address and node, and nobody tells them before they are met.
//! <https://developer.hashicorp.com/vault/docs/concepts/resource-quotas>.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::provider::pace::{Growth, Pace};

/// Requests per second at first.
const FIRST: f64 = 100.0;
const LEAST: f64 = 1.0;
/// How the rate is found: the share is that of its rate which it gains in a second after a refusal.
const GROWTH: Growth = Growth::Search { most: 20_000.0, share: 0.05 };

/// One rate for all requests of a connection.
#[derive(Debug)]
pub(super) struct Limiter(Mutex<Pace>);

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Pace::new(FIRST, LEAST, GROWTH, now)))
    }

    /// Waits for the next slot.
    pub(super) async fn acquire(&self) {
        let wait = self.with(|pace| pace.reserve(Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells that a request was refused for the rate; none goes out before `pause` has passed.
    pub(super) fn throttled(&self, pause: Option<Duration>) {
        self.with(|pace| pace.throttled(Instant::now(), pause));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Pace) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
