//! What a plan comes to: how many secrets have each outcome, whether anything is missing, how long it takes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    estimate::Calls,
    plan::{Outcome, Plan, SecretPlan},
};
use crate::{
    model::Step,
    provider::{Quotas, Rules, rules},
    repo::RepoError,
};

/// A plan in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many secrets have each outcome, by its name.
    pub counts: BTreeMap<&'static str, u64>,
    /// Whether everything asked for will be there when the plan is executed.
    pub complete: bool,
    /// Secrets that are there afterwards, so that they can be verified.
    pub verified: u64,
    /// Names that something else has, and what that is.
    pub conflicts: Vec<String>,
    /// Regions in which replicas are made.
    #[serde(skip)]
    pub replica_regions: BTreeSet<String>,
    /// The request quotas of the target, where it has any.
    #[serde(skip)]
    pub quotas: Option<Quotas>,
    #[serde(skip)]
    pub(super) calls: Calls,
}

impl Plan {
    /// Walks through the plan once and counts.
    ///
    /// # Errors
    /// The folder it is in cannot be read.
    pub fn summary(&self) -> Result<Summary, RepoError> {
        let rules = rules(&self.target.provider).ok();
        let quotas = rules.and_then(Rules::quotas);
        let mut summary = Summary { complete: true, quotas, ..Summary::default() };
        for secret in self.secrets.walk()? {
            summary.add(&secret?, rules);
        }
        // Nothing is not everything.
        summary.complete &= summary.verified > 0;
        Ok(summary)
    }
}

impl Summary {
    /// Why nothing is restored; `None` when something is.
    pub fn nothing(&self) -> Option<String> {
        if self.verified > 0 {
            return None;
        }
        let counts = self.counts.iter().map(|(what, count)| format!("{count} {}", what.replace('_', " ")));
        let counts = counts.collect::<Vec<_>>().join(", ");
        Some(if counts.is_empty() { "the snapshot has no secret".to_owned() } else { counts })
    }

    fn add(&mut self, secret: &SecretPlan, rules: Option<&dyn Rules>) {
        *self.counts.entry(secret.outcome.name()).or_default() += 1;
        self.complete &= secret.lost.is_empty() && secret.unusable.is_empty() && !secret.is_refused();
        self.verified += u64::from(secret.is_verified());
        if let Outcome::Conflict(reason) = &secret.outcome {
            self.conflicts.push(format!("{}: {reason}", secret.desired.name));
        }
        for planned in secret.writes() {
            if let Step::Replicate { replicas, .. } = &planned.write {
                self.replica_regions.extend(replicas.iter().map(|replica| replica.region.clone()));
            }
        }
        if let Some(rules) = rules {
            self.calls.add(secret, rules);
        }
    }
}
