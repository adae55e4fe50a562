//! Pacing: Vault's quotas are the operator's, by address and node, and nobody tells them before they are met. So the rate
//! begins low, doubles while nothing is refused, halves with a refusal, and from then on grows slowly.
//! <https://developer.hashicorp.com/vault/docs/concepts/resource-quotas>.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Requests per second at first.
const FIRST: f64 = 100.0;
const LEAST: f64 = 1.0;
const MOST: f64 = 20_000.0;
/// Refusals within this time belong together.
const ONE_CONGESTION: Duration = Duration::from_millis(500);
/// The share of its rate that it gains in a second after a refusal.
const GROWTH: f64 = 0.05;

/// One rate for all requests of a connection.
#[derive(Debug)]
pub(super) struct Limiter(Mutex<State>);

#[derive(Debug)]
struct State {
    rate: f64,
    next: Instant,
    grown: Instant,
    refused: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State { rate: FIRST, next: now, grown: now, refused: None }))
    }

    /// Waits for the next slot.
    pub(super) async fn acquire(&self) {
        let wait = self.with(|state| state.reserve(Instant::now()));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells that a request was refused for the rate; none goes out before `pause` has passed.
    pub(super) fn throttled(&self, pause: Option<Duration>) {
        self.with(|state| state.throttled(Instant::now(), pause));
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn reserve(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.grown).as_secs_f64();
        let factor = if self.refused.is_some() { 1.0 + GROWTH * passed } else { 2.0_f64.powf(passed.min(8.0)) };
        self.rate = (self.rate * factor).min(MOST);
        self.grown = now;
        let slot = self.next.max(now);
        self.next = slot + Duration::from_secs_f64(1.0 / self.rate);
        slot.saturating_duration_since(now)
    }

    fn throttled(&mut self, now: Instant, pause: Option<Duration>) {
        if self.refused.is_none_or(|refused| now.saturating_duration_since(refused) >= ONE_CONGESTION) {
            self.rate = (self.rate / 2.0).max(LEAST);
            self.refused = Some(now);
        }
        if let Some(pause) = pause {
            self.next = self.next.max(now + pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(now: Instant) -> State {
        State { rate: FIRST, next: now, grown: now, refused: None }
    }

    #[test]
    fn it_doubles_until_it_is_refused_and_then_grows_slowly() {
        let start = Instant::now();
        let mut state = state(start);
        state.reserve(start + Duration::from_secs(3));
        assert!((state.rate - 800.0).abs() < 1.0, "{}", state.rate);
        let at = start + Duration::from_secs(3);
        for _ in 0..32 {
            state.throttled(at, None);
        }
        assert!((state.rate - 400.0).abs() < 1.0, "one congestion halves once: {}", state.rate);
        state.reserve(at + Duration::from_secs(1));
        assert!((state.rate - 420.0).abs() < 1.0, "{}", state.rate);
    }

    #[test]
    fn a_pause_that_the_server_asks_for_is_kept() {
        let start = Instant::now();
        let mut state = state(start);
        state.throttled(start, Some(Duration::from_secs(7)));
        assert!(state.reserve(start + Duration::from_secs(1)) >= Duration::from_millis(5_900));
        for step in 0..1_000 {
            state.throttled(start + ONE_CONGESTION * step, None);
        }
        assert!(state.rate >= LEAST);
    }
}
