//! Restore: look at the target, plan (pure), then execute, then verify by reading everything back.

mod arns;
mod aspect;
mod compare;
mod decide;
mod desire;
mod diff;
mod estimate;
mod execute;
mod file;
mod inventory;
mod look;
mod names;
mod options;
mod plan;
mod policy;
mod secrets;
mod state;
mod steps;
mod summary;
mod values;
mod verify;

pub use aspect::{Aspect, Count, Tally};
pub use diff::{Change, Diff, Held, diff, live};
pub use estimate::Estimate;
pub use execute::{ExecuteError, Execution, FailedStep, execute};
pub use file::{PlanFile, StalePlan};
pub use look::{Found, LookError, is_unchanged, look};
pub use options::{Maps, OnConflict, OnReplica, OnScheduled, Options, Policies};
pub use plan::{
    Desired, DesiredVersion, Lost, Outcome, Plan, PlanError, Planned, Reference, SecretPlan, ValueRef, make,
};
pub use secrets::Secrets;
pub use state::State;
pub use summary::Summary;
pub use values::Values;
pub use verify::{Difference, NewArn, OldArns, Verification, VersionState, verify};
