//! The integration tests, one binary.

mod recover_py;
mod repo_check;
mod repo_crash;
mod repo_history;
mod repo_sample;
