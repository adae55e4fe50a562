//! How long work tells where it is, without knowing who watches; and the arithmetic of how long it will take.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

/// Over which the present rate is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Before that a measured rate says little.
const SETTLED: Duration = Duration::from_secs(5);

/// Somebody who watches a long run. Called often; must not block.
pub trait Progress: Send + Sync {
    /// Tells how many units of the next phase, in its own unit, a quota allows per second.
    fn limit(&self, per_second: f64) {
        let _ = per_second;
    }

    /// A phase begins, and the one before ends; `total` is in the phase's own unit, when it is known.
    fn begin(&self, phase: &'static str, total: Option<u64>);

    /// `done` more units of the current phase are finished.
    fn advance(&self, done: u64);

    /// `done` more units are finished that no quota counts, because there was nothing to do.
    fn skip(&self, done: u64) {
        self.advance(done);
    }

    /// One of several runs at once, with its own phases, by the name of what it works on.
    fn part(&self, label: &str) -> Arc<dyn Progress>;
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: &'static str, _total: Option<u64>) {}

    fn advance(&self, _done: u64) {}

    fn part(&self, _label: &str) -> Arc<dyn Progress> {
        Arc::new(Self)
    }
}

/// Counts one phase. Pure: the time is a parameter.
#[derive(Clone, Debug)]
pub struct Meter {
    phase: &'static str,
    total: Option<u64>,
    done: u64,
    skipped: u64,
    limit: Option<f64>,
    begun: Instant,
    /// Units that took work, at moments a second apart.
    samples: VecDeque<(Instant, u64)>,
}

/// Where a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reading {
    /// Its name.
    pub phase: &'static str,
    /// Units that are finished.
    pub done: u64,
    /// All units, when known.
    pub total: Option<u64>,
    /// Units per second of the last ten seconds, without those that were skipped.
    pub per_second: Option<f64>,
    /// What the quota allows.
    pub limit_per_second: Option<f64>,
    /// What is left at the pace of the quota, or at the measured one where that is lower.
    pub seconds_left: Option<u64>,
}

impl Meter {
    /// A phase that begins now, and what the quota allows per second.
    pub fn new(phase: &'static str, total: Option<u64>, limit: Option<f64>, now: Instant) -> Self {
        let limit = limit.filter(|rate| *rate > 0.0);
        Self { phase, total, done: 0, skipped: 0, limit, begun: now, samples: [(now, 0)].into() }
    }

    /// Counts units; `skipped` of them took no work.
    pub fn advance(&mut self, done: u64, skipped: u64, now: Instant) {
        self.done += done;
        self.skipped += skipped;
        let last = self.samples.back().map_or(self.begun, |(time, _)| *time);
        if now.saturating_duration_since(last) >= Duration::from_secs(1) {
            self.samples.push_back((now, self.worked()));
            while self.samples.len() > 1 && now.saturating_duration_since(self.samples[1].0) >= WINDOW {
                self.samples.pop_front();
            }
        }
    }

    /// Where it is now.
    pub fn reading(&self, now: Instant) -> Reading {
        let per_second = self.rate(now);
        Reading {
            phase: self.phase,
            done: self.done,
            total: self.total,
            per_second: per_second.map(|rate| (rate * 10.0).round() / 10.0),
            limit_per_second: self.limit,
            seconds_left: self.seconds_left(per_second, now),
        }
    }

    fn worked(&self) -> u64 {
        self.done - self.skipped.min(self.done)
    }

    fn rate(&self, now: Instant) -> Option<f64> {
        let (since, before) = self.samples.front().copied()?;
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        (seconds >= 0.2).then(|| as_f64(self.worked() - before) / seconds)
    }

    /// Of what is left, as large a part takes work as of what is done.
    fn seconds_left(&self, measured: Option<f64>, now: Instant) -> Option<u64> {
        let left = self.total?.saturating_sub(self.done);
        let share = if self.done == 0 { 1.0 } else { as_f64(self.worked()) / as_f64(self.done) };
        let settled = now.saturating_duration_since(self.begun) >= SETTLED;
        let pace = match (self.limit, measured) {
            (Some(limit), Some(measured)) if settled => limit.min(measured),
            (Some(limit), _) => limit,
            (None, measured) => measured?,
        };
        let seconds = as_f64(left) * share / pace;
        if left == 0 || share == 0.0 {
            return Some(0);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, positive and clamped")]
        seconds.is_finite().then(|| seconds.ceil().min(1e15) as u64)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A phase that was advanced by `each` a second for `seconds`.
    fn run(total: u64, limit: Option<f64>, each: u64, skipped: u64, seconds: u64) -> Reading {
        let start = Instant::now();
        let mut meter = Meter::new("read secrets", Some(total), limit, start);
        for second in 1..=seconds {
            meter.advance(each, skipped, start + Duration::from_secs(second));
        }
        meter.reading(start + Duration::from_secs(seconds))
    }

    #[test]
    fn before_anything_is_done_the_quota_tells_how_long_it_takes() {
        let reading = run(90_000, Some(45.0), 0, 0, 0);
        assert_eq!((reading.seconds_left, reading.per_second), (Some(2_000), None));
        assert_eq!(run(90_000, None, 0, 0, 0).seconds_left, None, "nothing is known");
    }

    #[test]
    fn a_burst_promises_nothing_and_a_slow_pace_is_believed() {
        assert_eq!(
            run(9_000, Some(45.0), 450, 0, 2).seconds_left,
            Some(8_100 / 45),
            "faster than the quota cannot last"
        );
        assert_eq!(run(9_000, Some(45.0), 45, 0, 20).seconds_left, Some(8_100 / 45));
        let slow = run(9_000, Some(45.0), 9, 0, 20);
        assert_eq!((slow.seconds_left, slow.per_second), (Some(8_820 / 9), Some(9.0)));
        let stuck = run(9_000, Some(45.0), 0, 0, 20);
        assert_eq!((stuck.seconds_left, stuck.per_second), (None, Some(0.0)));
    }

    #[test]
    fn what_is_skipped_is_no_work() {
        let daily = run(100_000, Some(45.0), 4_500, 4_455, 10);
        assert_eq!(daily.per_second, Some(45.0));
        assert_eq!(daily.seconds_left, Some(13), "one in a hundred of 55,000, at 45 a second");
        assert_eq!(run(100_000, Some(45.0), 4_500, 4_500, 3).seconds_left, Some(0));
        assert_eq!(run(900, Some(45.0), 900, 0, 1).seconds_left, Some(0), "nothing is left");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut meter = Meter::new("read", None, None, start);
        for second in 1..=60 {
            meter.advance(if second <= 30 { 100 } else { 10 }, 0, start + Duration::from_secs(second));
        }
        let reading = meter.reading(start + Duration::from_mins(1));
        assert_eq!((reading.per_second, reading.seconds_left, reading.done), (Some(10.0), None, 3_300));
    }
}
