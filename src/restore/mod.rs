//! Restore: look at the target, plan (pure), then execute, then verify by reading everything back.

mod aspect;
mod compare;
mod decide;
mod diff;
mod drift;
mod estimate;
mod execute;
mod file;
mod inventory;
mod look;
mod plan;
mod references;
mod rehearse;
mod secrets;
mod summary;
mod values;
mod verify;

pub use aspect::{Aspect, Count, Tally};
pub use diff::{Change, Diff, Held, diff, live};
pub use drift::{Drift, Lack, drift};
pub use estimate::Estimate;
pub use execute::{ExecuteError, Execution, FailedStep, execute};
pub use file::{PlanFile, StalePlan};
pub use look::{Found, LookError, is_unchanged, look};
pub use plan::{Outcome, Plan, PlanError, Reference, SecretPlan, make};
pub use rehearse::{Rehearsal, RuleReport, Unchanged, rehearse};
pub use secrets::Secrets;
pub use summary::Summary;
pub use values::Values;
pub use verify::{Difference, LeadingBack, NewId, Verification, VersionState, verify};

pub use crate::model::{
    Desired, DesiredVersion, Lost, Maps, OnConflict, OnLeaked, OnReplica, OnScheduled, Options, Planned, Policies,
    State, ValueRef, VersionNumbers,
};
