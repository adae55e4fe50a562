//! Restore: plan (pure), then execute, then verify by reading everything back.

mod execute;
mod plan;
mod steps;
mod values;
mod verify;

pub use execute::{ExecuteError, Execution, FailedStep, execute};
pub use plan::{
    Desired, DesiredVersion, Lost, Options, Outcome, Plan, PlanError, Planned, SecretPlan, ValueRef, make, records,
};
pub use values::Values;
pub use verify::{Difference, Verification, verify};
