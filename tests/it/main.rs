//! The integration tests, one binary.

mod recover_py;
mod repo_check;
mod repo_crash;
mod repo_history;
mod repo_sample;
mod share_gather;
mod share_text;
