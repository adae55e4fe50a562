//! Progress on a terminal; silence elsewhere.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

/// A progress line on stderr.
pub(super) struct Watch {
    bar: Mutex<ProgressBar>,
    shown: bool,
}

impl Watch {
    pub(super) fn new(json: bool) -> Self {
        let shown = !json && std::io::stderr().is_terminal();
        Self { bar: Mutex::new(ProgressBar::hidden()), shown }
    }

    /// Clears the line.
    pub(super) fn done(&self) {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).finish_and_clear();
    }
}

impl Progress for Watch {
    fn begin(&self, phase: &'static str, total: Option<u64>) {
        if !self.shown {
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = if total.is_some() {
            "  {spinner} {msg} {wide_bar} {pos}/{len} {per_sec} {eta}"
        } else {
            "  {spinner} {msg} {pos} {per_sec}"
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the templates are constants"));
        bar.set_message(phase);
        bar.enable_steady_tick(Duration::from_millis(120));
        let mut current = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        current.finish_and_clear();
        *current = bar;
    }

    fn advance(&self, done: u64) {
        if self.shown {
            self.bar.lock().unwrap_or_else(PoisonError::into_inner).inc(done);
        }
    }
}
