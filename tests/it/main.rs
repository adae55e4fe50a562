//! The one integration binary.

mod repo_check;
mod repo_crash;
mod repo_history;
mod repo_sample;
