//! Captures between two complete passes: what tells of changes, and who listens.

mod after;
pub(super) mod schedule;
pub(super) mod watch;
