//! Restore: look at the target, plan (pure), then execute, then verify by reading everything back.

mod arns;
mod decide;
mod desire;
mod diff;
mod estimate;
mod execute;
mod file;
mod look;
mod options;
mod plan;
mod policy;
mod state;
mod steps;
mod values;
mod verify;

pub use diff::{Change, Diff, Side, SideError, diff, live};
pub use estimate::Estimate;
pub use execute::{ExecuteError, Execution, FailedStep, execute};
pub use file::{PlanFile, StalePlan};
pub use look::{Found, is_unchanged, look};
pub use options::{Maps, OnConflict, OnScheduled, Options, Policies};
pub use plan::{
    Desired, DesiredVersion, Lost, Outcome, Plan, PlanError, Planned, Reference, SecretPlan, ValueRef, make,
};
pub use state::State;
pub use values::{Value, Values};
pub use verify::{Difference, OldArns, Verification, VersionState, verify};
