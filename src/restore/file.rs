//! A plan as a file, to be looked at and approved by one person and executed by another.
//!
//! It holds no value. Whoever executes it makes the plan anew from the snapshot and the options in the file; the file is
//! only what that has to agree with. So a file changed by hand cannot make anything happen.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::{Inventory, Plan, SecretPlan};
use crate::{
    config::AfterSection,
    model::{Options, Place, RepositoryId, State},
    provider::{Rules, rules},
    repo::{ForgottenBy, RepoError},
};

const FORMAT: &str = "lifeboat-plan";
const VERSION: u32 = 1;

/// A plan, and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    format: String,
    version: u32,
    /// The repository the values are in.
    pub repository: RepositoryId,
    /// When it was made.
    pub made: Timestamp,
    /// The choices.
    pub options: Options,
    /// The target's address as it was given, where a place is not known by its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The hooks that run afterwards, as the configuration had them; `None` where none is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<AfterSection>>,
    /// The plan.
    pub plan: Plan,
}

/// A plan file that is not executed.
#[derive(Debug, thiserror::Error)]
pub enum StalePlan {
    /// Not a plan, or a newer one.
    #[error("it is not a plan of this version of lifeboat: {0}")]
    Unreadable(String),
    /// For another repository.
    #[error("it was made for repository {0}")]
    OtherRepository(RepositoryId),
    /// For another target.
    #[error("it is for {planned}, but the target is {found}")]
    OtherTarget {
        /// The plan's.
        planned: Box<Place>,
        /// The target's own word.
        found: Box<Place>,
    },
    /// The snapshot it names is another one.
    #[error("it was made from another snapshot")]
    OtherSnapshot,
    /// The snapshot is gone.
    #[error("{0}")]
    Forgotten(ForgottenBy),
    /// The target changed.
    #[error("the target changed after the plan was made: {0}")]
    TargetChanged(String),
    /// What was approved to run afterwards is not what the configuration has.
    #[error("the hooks in it are not those of the configuration")]
    OtherHooks,
    /// Nothing changed, and yet it says something else.
    #[error("it differs from the plan that lifeboat makes: {0}")]
    NotOurs(String),
    /// A plan that does not fit in memory cannot be read back.
    #[error(transparent)]
    Spool(#[from] RepoError),
}

impl PlanFile {
    /// Wraps a plan.
    pub fn new(repository: RepositoryId, made: Timestamp, options: Options, plan: Plan, to: Option<String>) -> Self {
        Self { format: FORMAT.into(), version: VERSION, repository, made, options, to, after: None, plan }
    }

    /// The same with the hooks that are approved with it.
    #[must_use]
    pub fn with_hooks(self, after: Option<Vec<AfterSection>>) -> Self {
        Self { after, ..self }
    }

    /// Writes the file's bytes.
    ///
    /// # Errors
    /// Those of `output`, and of the folder a large plan is in.
    pub fn write(&self, output: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *output, self)?;
        output.write_all(b"\n")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`StalePlan::Unreadable`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StalePlan> {
        let file: Self = serde_json::from_slice(bytes).map_err(|error| StalePlan::Unreadable(error.to_string()))?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(StalePlan::Unreadable(format!("{} {}", file.format, file.version)));
        }
        Ok(file)
    }

    /// Whether `fresh`, made now with the same options, is this plan or the rest of it. What is there must be what was
    /// there, or a state that this plan itself leads through: an interrupted execution goes on.
    ///
    /// # Errors
    /// See [`StalePlan`].
    pub fn agree(&self, fresh: &Plan) -> Result<(), StalePlan> {
        let planned = &self.plan;
        if planned.target != fresh.target {
            return Err(StalePlan::OtherTarget {
                planned: Box::new(planned.target.clone()),
                found: Box::new(fresh.target.clone()),
            });
        }
        if (planned.snapshot, planned.manifest, &planned.source) != (fresh.snapshot, fresh.manifest, &fresh.source) {
            return Err(StalePlan::OtherSnapshot);
        }
        let rules = rules(&fresh.target.provider).map_err(|unknown| StalePlan::Unreadable(unknown.to_string()))?;
        let mut inventory = Inventory::default();
        for secret in planned.secrets.walk()? {
            inventory.add(&secret?);
        }
        if planned.inventory != inventory.digest() {
            return Err(StalePlan::NotOurs("the counts in its inventory do not match".into()));
        }
        if planned.secrets.count() != fresh.secrets.count() {
            return Err(StalePlan::NotOurs("it has other secrets".into()));
        }
        for (planned, secret) in planned.secrets.walk()?.zip(fresh.secrets.walk()?) {
            let (planned, secret) = (planned?, secret?);
            let name = &secret.desired.name;
            let same_name = planned.desired.name == *name;
            if !same_name || (secret.before == planned.before && secret != planned) {
                return Err(StalePlan::NotOurs(name.clone()));
            }
            if secret.before != planned.before
                && (!leads_through(&planned, &secret.before.clone().unwrap_or_default(), rules) || secret.is_refused())
            {
                return Err(StalePlan::TargetChanged(name.clone()));
            }
        }
        Ok(())
    }
}

/// Whether the plan brings the secret into this state at some point.
fn leads_through(planned: &SecretPlan, now: &State, rules: &dyn Rules) -> bool {
    let mut state = planned.before.clone().unwrap_or_default();
    planned.writes().any(|planned| {
        rules.after(&mut state, &planned.write);
        state.is_like(now)
    })
}
