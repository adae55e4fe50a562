//! Lifeboat: offline backup and disaster recovery for production secrets.
//!
//! The rooms, lowest first (imports go down only; `tests/it/architecture.rs` holds the table):
//!
//! | level | rooms | duty |
//! |---|---|---|
//! | 5 | [`cli`] | arguments, printing, prompts, exit codes |
//! | 4 | [`app`] | from configuration to objects |
//! | 3 | [`access`] [`audit`] [`snapshot`] [`restore`] [`drill`] [`custody`] [`compromise`] [`emulator`] [`glass`] [`hooks`] [`serve`] [`status`] | use cases |
//! | 2 | [`repo`] [`share`] | formats |
//! | 1 | [`provider`] [`storage`] [`outward`] [`crypto`] [`config`] [`scan`] [`paper`] | adapters and primitives |
//! | 0 | [`model`] [`clock`] [`cores`] [`dialect`] [`fsutil`] [`isolation`] [`progress`] [`text`] | leaves |
//!
//! Below `cli` nothing prints, prompts, exits, or reads the environment or the home directory; but [`outward`] reads the
//! variables of every tool that connects, and the AWS SDK its own.

#[cfg(not(all(feature = "aws", feature = "s3")))]
compile_error!("every build has a provider and a storage so far: add --features aws,s3");

pub mod access;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod compromise;
pub mod config;
pub mod cores;
pub mod crypto;
pub mod custody;
pub mod dialect;
pub mod drill;
pub mod emulator;
pub mod fsutil;
pub mod glass;
pub mod hooks;
pub mod isolation;
pub mod model;
pub mod outward;
#[cfg(feature = "paper")]
pub mod paper;
pub mod progress;
pub mod provider;
pub mod repo;
pub mod restore;
pub mod scan;
pub mod serve;
pub mod share;
pub mod snapshot;
pub mod status;
pub mod storage;
pub mod text;
