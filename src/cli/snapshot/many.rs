//! One progress line for several sources.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::progress::Progress;

/// The sum of what all sources have to do. Only what has an end counts.
pub(super) struct Together<'a> {
    watch: &'a dyn Progress,
    /// All, and what of it is done.
    sum: Mutex<(u64, u64)>,
}

/// One of the sources.
pub(super) struct Part<'a> {
    together: &'a Together<'a>,
    counts: AtomicBool,
}

impl<'a> Together<'a> {
    pub(super) fn new(watch: &'a dyn Progress) -> Self {
        Self { watch, sum: Mutex::new((0, 0)) }
    }

    pub(super) fn part(&'a self) -> Part<'a> {
        Part { together: self, counts: AtomicBool::new(false) }
    }
}

impl Progress for Part<'_> {
    fn begin(&self, _phase: &'static str, total: Option<u64>) {
        self.counts.store(total.is_some(), Ordering::Relaxed);
        let Some(total) = total else { return };
        let mut sum = self.together.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.0 += total;
        self.together.watch.begin("read secrets of all sources", Some(sum.0));
        self.together.watch.advance(sum.1);
    }

    fn advance(&self, done: u64) {
        if self.counts.load(Ordering::Relaxed) {
            let mut sum = self.together.sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.1 += done;
            self.together.watch.advance(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<(Option<u64>, u64)>);

    impl Progress for Seen {
        fn begin(&self, _phase: &'static str, total: Option<u64>) {
            *self.0.lock().unwrap() = (total, 0);
        }

        fn advance(&self, done: u64) {
            self.0.lock().unwrap().1 += done;
        }
    }

    #[test]
    fn sources_add_up_and_what_has_no_end_does_not_count() {
        let seen = Seen::default();
        let together = Together::new(&seen);
        let (one, two) = (together.part(), together.part());
        one.begin("list", None);
        one.advance(5);
        one.begin("read", Some(5));
        one.advance(2);
        two.begin("read", Some(10));
        two.advance(3);
        assert_eq!(*seen.0.lock().unwrap(), (Some(15), 5));
        one.begin("write", None);
        one.advance(7);
        assert_eq!(*seen.0.lock().unwrap(), (Some(15), 5));
    }
}
