//! Captures between two complete passes: what tells of changes, and who listens.

mod after;
mod owed;
pub(super) mod schedule;
pub(super) mod watch;
