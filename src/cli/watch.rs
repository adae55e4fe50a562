//! Progress: lines on a terminal, events with `--json`, silence elsewhere.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Output, output};
use crate::progress::{Meter, Progress, Reading};

/// At most one event of a phase that is running in this time.
const BETWEEN: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

/// Somebody who watches on stderr.
pub(super) struct Watch {
    label: Option<String>,
    face: Face,
    phase: Mutex<Option<Phase>>,
    /// Of the next phase.
    limit: Mutex<Option<f64>>,
}

/// How it is shown.
#[derive(Clone)]
enum Face {
    Bars(MultiProgress),
    Events,
    Quiet,
}

struct Phase {
    meter: Meter,
    bar: ProgressBar,
    told: Instant,
}

impl Watch {
    pub(super) fn new(json: bool) -> Self {
        Self::of(json, None)
    }

    /// Of work on one source, named where there are several.
    pub(super) fn of(json: bool, label: Option<String>) -> Self {
        let face = match (json, std::io::stderr().is_terminal() && !output::is_quiet()) {
            (true, _) => Face::Events,
            (false, true) => Face::Bars(MultiProgress::new()),
            (false, false) => Face::Quiet,
        };
        Self { label, face, phase: Mutex::default(), limit: Mutex::default() }
    }

    /// Ends the current phase and clears its line.
    pub(super) fn done(&self) {
        let ended = self.phase().take();
        let Some(phase) = ended else { return };
        self.tell("end", &phase.meter.reading(Instant::now()));
        phase.bar.finish_and_clear();
    }

    fn phase(&self) -> MutexGuard<'_, Option<Phase>> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &str, reading: &Reading) {
        if !matches!(self.face, Face::Events) {
            return;
        }
        let mut event = json!({ "event": "progress", "state": state, "source": self.label });
        if let (Some(event), Ok(serde_json::Value::Object(reading))) =
            (event.as_object_mut(), serde_json::to_value(reading))
        {
            event.extend(reading);
        }
        Output { json: true }.note(&event.to_string());
    }

    fn count(&self, done: u64, skipped: u64) {
        if matches!(self.face, Face::Quiet) {
            return;
        }
        let now = Instant::now();
        let mut phase = self.phase();
        let Some(phase) = phase.as_mut() else { return };
        phase.meter.advance(done, skipped, now);
        phase.bar.inc(done);
        let pause = if matches!(self.face, Face::Events) { BETWEEN } else { TICK };
        if now.saturating_duration_since(phase.told) >= pause {
            phase.told = now;
            let reading = phase.meter.reading(now);
            phase.bar.set_message(words(&reading));
            self.tell("running", &reading);
        }
    }

    fn bar(&self, phase: &str, total: Option<u64>) -> ProgressBar {
        let Face::Bars(bars) = &self.face else { return ProgressBar::hidden() };
        let bar = bars.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = if total.is_some() {
            "  {spinner} {prefix} {wide_bar} {pos}/{len} {msg}"
        } else {
            "  {spinner} {prefix} {pos} {msg}"
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the templates are constants"));
        bar.set_prefix(self.label.as_ref().map_or_else(|| phase.to_owned(), |label| format!("{label}: {phase}")));
        bar.enable_steady_tick(TICK);
        bar
    }
}

impl Progress for Watch {
    fn limit(&self, per_second: f64) {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = Some(per_second);
    }

    fn begin(&self, phase: &'static str, total: Option<u64>) {
        self.done();
        let now = Instant::now();
        let limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner).take();
        let begun = Phase { meter: Meter::new(phase, total, limit, now), bar: self.bar(phase, total), told: now };
        self.tell("begin", &begun.meter.reading(now));
        *self.phase() = Some(begun);
    }

    fn advance(&self, done: u64) {
        self.count(done, 0);
    }

    fn skip(&self, done: u64) {
        self.count(done, done);
    }

    fn part(&self, label: &str) -> Arc<dyn Progress> {
        Arc::new(Self {
            label: Some(label.to_owned()),
            face: self.face.clone(),
            phase: Mutex::default(),
            limit: Mutex::default(),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done();
    }
}

/// `44.8/s of 45/s, 3 min left`
fn words(reading: &Reading) -> String {
    let rate = reading.per_second.map(|rate| match reading.limit_per_second {
        Some(limit) => format!("{rate}/s of {}/s", (limit * 10.0).round() / 10.0),
        None => format!("{rate}/s"),
    });
    let left = reading.seconds_left.map(|seconds| match seconds {
        0..=119 => format!("{seconds} s left"),
        120..=7_199 => format!("{} min left", seconds.div_ceil(60)),
        _ => format!("{} h {} min left", seconds / 3_600, seconds % 3_600 / 60),
    });
    rate.into_iter().chain(left).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_quota_and_time_are_said_as_far_as_they_are_known() {
        let reading = |per_second, limit_per_second, seconds_left| {
            let (phase, done, total) = ("read secrets", 1, Some(2));
            words(&Reading { phase, done, total, per_second, limit_per_second, seconds_left })
        };
        assert_eq!(reading(Some(44.8), Some(45.0), Some(90)), "44.8/s of 45/s, 90 s left");
        assert_eq!(reading(Some(44.8), None, Some(121)), "44.8/s, 3 min left");
        assert_eq!(reading(None, Some(45.0), Some(9_999)), "2 h 46 min left");
        assert_eq!(reading(None, None, None), "");
    }
}
