//! How fast requests go out: a schedule of slots, halved on throttling, grown with time; and the pauses between attempts.

use std::time::{Duration, Instant};

/// Unused time that may be caught up, so that coarse timers do not lower the rate.
const CATCH_UP: Duration = Duration::from_millis(50);
/// Throttling answers that arrive within this time of the last halving belong to the same congestion.
const ONE_CONGESTION: Duration = Duration::from_millis(500);
/// The longest first pause between attempts; every further one is up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// One rate: a virtual schedule of slots (GCRA).
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    least: f64,
    growth: Growth,
    next: Instant,
    grown: Instant,
    halved: Option<Instant>,
}

/// How a rate comes to be what it can be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Growth {
    /// The quota is published: back to it, by so many requests per second in each second.
    Back {
        /// The full rate.
        to: f64,
        /// What is regained per second.
        per_second: f64,
    },
    /// It is nobody's word: twice as fast each second until the first throttling, then by this share of itself.
    #[cfg_attr(not(any(feature = "vault", test)), expect(dead_code, reason = "AWS publishes its quotas"))]
    Search {
        /// The highest rate.
        most: f64,
        /// The share that is gained per second after a throttling.
        share: f64,
    },
}

impl Pace {
    pub(super) fn new(rate: f64, least: f64, growth: Growth, now: Instant) -> Self {
        Self { rate, least, growth, next: now, grown: now, halved: None }
    }

    /// The highest rate that it grows to.
    pub(super) fn most(&self) -> f64 {
        match self.growth {
            Growth::Back { to, .. } => to,
            Growth::Search { most, .. } => most,
        }
    }

    /// Takes the next slot and tells how long to wait for it.
    pub(super) fn reserve(&mut self, now: Instant) -> Duration {
        self.grow(now);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let slot = self.next.max(earliest);
        self.next = slot + Duration::from_secs_f64(1.0 / self.rate);
        slot.saturating_duration_since(now)
    }

    /// A request was refused for the rate; none goes out before `pause` has passed.
    pub(super) fn throttled(&mut self, now: Instant, pause: Option<Duration>) {
        self.grow(now);
        if self.halved.is_none_or(|halved| now.saturating_duration_since(halved) >= ONE_CONGESTION) {
            self.rate = (self.rate / 2.0).max(self.least);
            self.halved = Some(now);
        }
        if let Some(pause) = pause {
            self.hold(now, pause);
        }
    }

    /// None goes out before `pause` has passed; the rate stays.
    pub(super) fn hold(&mut self, now: Instant, pause: Duration) {
        self.next = self.next.max(now + pause);
    }

    fn grow(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.grown).as_secs_f64();
        let grown = match self.growth {
            Growth::Back { per_second, .. } => self.rate + passed * per_second,
            // More doublings than that are beyond every rate.
            Growth::Search { .. } if self.halved.is_none() => self.rate * 2.0_f64.powf(passed.min(32.0)),
            Growth::Search { share, .. } => self.rate * (1.0 + share * passed),
        };
        self.rate = grown.min(self.most());
        self.grown = now;
    }
}

/// The pause after `attempt`: doubling, and between half and all of it by chance, so that not all come back at once.
pub(super) fn pause(attempt: u32) -> Duration {
    // Without randomness the pauses are only less spread.
    let chance = getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX));
    pause_by(attempt, chance)
}

fn pause_by(attempt: u32, chance: f64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(MAX_PAUSE);
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A published quota.
    fn aws(full: f64, now: Instant) -> Pace {
        Pace::new(full, full / 64.0, Growth::Back { to: full, per_second: full * 0.05 }, now)
    }

    /// A quota that nobody tells.
    fn vault(now: Instant) -> Pace {
        Pace::new(100.0, 1.0, Growth::Search { most: 20_000.0, share: 0.05 }, now)
    }

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
    fn a_bucket_reaches_its_rate_and_never_exceeds_it() {
        let start = Instant::now();
        for rate in [45.0, 9_000.0, 36_000.0] {
            let calls = f64::from(calls_within(&mut aws(rate, start), start, 10));
            assert!(calls <= rate * 10.0 + rate * CATCH_UP.as_secs_f64() + 1.0, "{calls} at {rate}");
            assert!(calls >= rate * 9.9, "{calls} at {rate}");
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let start = Instant::now();
        let mut pace = aws(45.0, start);
        pace.reserve(start);
        let later = start + Duration::from_hours(1);
        let free = (0..100).filter(|_| pace.reserve(later).is_zero()).count();
        assert!(free <= 4, "{free} calls at once after an hour of rest");
    }

    #[test]
    fn throttling_halves_once_per_congestion_and_time_heals() {
        let start = Instant::now();
        let mut pace = aws(40.0, start);
        for _ in 0..32 {
            pace.throttled(start, None);
        }
        assert!((pace.rate - 20.0).abs() < 0.01, "{}", pace.rate);
        pace.throttled(start + ONE_CONGESTION, None);
        assert!(pace.rate < 11.0, "{}", pace.rate);
        pace.grow(start + Duration::from_mins(1));
        assert!((pace.rate - 40.0).abs() < 0.01, "{}", pace.rate);
    }

    #[test]
    fn throttling_forever_still_leaves_a_rate() {
        let start = Instant::now();
        let mut pace = aws(50.0, start);
        for step in 0..1_000 {
            pace.throttled(start + ONE_CONGESTION * step, None);
        }
        assert!(pace.rate >= 50.0 / 64.0);
        assert!(pace.reserve(start + ONE_CONGESTION * 1_000) < Duration::from_secs(5));
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause_by(1, 0.0), Duration::from_millis(50));
        assert_eq!(pause_by(1, 1.0), Duration::from_millis(100));
        assert_eq!(pause_by(3, 1.0), Duration::from_millis(400));
        for attempt in 8..40 {
            assert!(pause_by(attempt, 1.0) <= MAX_PAUSE);
            assert!(pause_by(attempt, 0.0) >= MAX_PAUSE / 2);
        }
    }

    #[test]
    fn a_rate_that_nobody_tells_doubles_until_it_is_refused_and_then_grows_slowly() {
        let start = Instant::now();
        let mut pace = vault(start);
        pace.reserve(start + Duration::from_secs(3));
        assert!((pace.rate - 800.0).abs() < 1.0, "{}", pace.rate);
        let at = start + Duration::from_secs(3);
        for _ in 0..32 {
            pace.throttled(at, None);
        }
        assert!((pace.rate - 400.0).abs() < 1.0, "one congestion halves once: {}", pace.rate);
        pace.reserve(at + Duration::from_secs(1));
        assert!((pace.rate - 420.0).abs() < 1.0, "{}", pace.rate);
    }

    #[test]
    fn a_pause_that_the_server_asks_for_is_kept() {
        let start = Instant::now();
        let mut pace = vault(start);
        pace.throttled(start, Some(Duration::from_secs(7)));
        assert!(pace.reserve(start + Duration::from_secs(1)) >= Duration::from_millis(5_900));
        for step in 0..1_000 {
            pace.throttled(start + ONE_CONGESTION * step, None);
        }
        assert!(pace.rate >= 1.0);
    }
}
