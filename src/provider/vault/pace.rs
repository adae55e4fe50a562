//! Pacing: Vault's quotas are the operator's, by address and node, and nobody tells them before they are met.
//! <https://developer.hashicorp.com/vault/docs/concepts/resource-quotas>.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::provider::pace::{Growth, Pace};

/// Requests per second at first.
const FIRST: f64 = 50.0;
const LEAST: f64 = 1.0;
/// The highest that is looked for.
const MOST: f64 = 20_000.0;
/// The share of its rate that is gained in a second after a refusal.
const SHARE: f64 = 0.05;

/// One rate for all requests of a connection.
#[derive(Debug)]
pub(super) struct Limiter(Mutex<Pace>);

impl Limiter {
    /// At most `most` requests per second, where a person says so.
    pub(super) fn new(most: Option<f64>, now: Instant) -> Self {
        let most = most.unwrap_or(MOST).min(MOST);
        let growth = Growth::Search { most, share: SHARE };
        Self(Mutex::new(Pace::new(FIRST.min(most), LEAST.min(most), growth, now)))
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

    /// Takes the server's word that nothing is left of its quota: nothing goes out before it begins again.
    pub(super) fn used_up(&self, until: Duration) {
        self.with(|pace| pace.hold(Instant::now(), until));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Pace) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
