//! The integration tests, one binary.
#![expect(clippy::unwrap_used, reason = "where a helper of a test fails, the test fails")]

mod recover_py;
mod repo_check;
mod repo_crash;
mod repo_fixture;
mod repo_history;
mod repo_sample;
mod share_gather;
mod share_text;
mod share_vectors;
