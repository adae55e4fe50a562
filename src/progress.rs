//! How long work tells where it is, without knowing who watches.

/// Somebody who watches a long run. Called often; must not block.
pub trait Progress: Send + Sync {
    /// A phase begins; `total` is in the phase's own unit, when it is known.
    fn begin(&self, phase: &'static str, total: Option<u64>);

    /// `done` more units of the current phase are finished.
    fn advance(&self, done: u64);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: &'static str, _total: Option<u64>) {}

    fn advance(&self, _done: u64) {}
}
