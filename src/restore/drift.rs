//! What a fail-over into a standby region would miss right now: the plan of a restore, read as a comparison. Holds no value.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    compare::same_keys,
    look::LookError,
    plan::{Outcome, Plan, SecretPlan},
    verify::Verification,
};
use crate::{
    model::Step,
    provider::{Rules, rules},
};

/// Findings that are named; the others are counted.
const MOST_NAMED: usize = 5_000;

/// How a standby place differs from a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Secrets of the backup that were looked for.
    pub compared: u64,
    /// Those that are there with everything that was compared.
    pub in_step: u64,
    /// Those of them that are replicas, which a fail-over has to promote.
    pub replicas: u64,
    /// Those that were left out by rule, and are not in the other numbers.
    pub left_out: u64,
    /// Values that were opened and compared; without a quorum the ids of versions stand for them.
    pub values: u64,
    /// How many findings there are, by what they are.
    pub counts: BTreeMap<&'static str, u64>,
    /// The findings by name.
    pub lacks: Vec<Lack>,
    /// How many more there are.
    pub more: u64,
}

/// One thing that a fail-over would miss.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lack {
    /// The secret's name at the target.
    pub name: String,
    /// `missing`, `incomplete`, `different`, `cannot`, `key`, `lost`, `unusable`, `value`.
    pub what: &'static str,
    /// More, never a value.
    pub detail: String,
}

impl Drift {
    /// Whether something was compared and nothing is missing or different.
    pub fn is_in_step(&self) -> bool {
        self.compared > 0 && self.in_step == self.compared && self.counts.is_empty()
    }

    /// Secrets that are not in step.
    pub fn lacking(&self) -> u64 {
        self.compared - self.in_step
    }

    fn find(&mut self, name: &str, what: &'static str, detail: String) {
        *self.counts.entry(what).or_default() += 1;
        if self.lacks.len() < MOST_NAMED {
            self.lacks.push(Lack { name: name.to_owned(), what, detail });
        } else {
            self.more += 1;
        }
    }
}

/// Reads a plan that was made for a standby place; `read` are the values that a quorum opened and compared.
///
/// # Errors
/// The kind of the target is not in this build, or the plan cannot be read.
pub fn drift(plan: &Plan, read: Option<&Verification>) -> Result<Drift, LookError> {
    let rules = rules(&plan.target.provider)?;
    let mut drift = Drift { values: read.map_or(0, |read| read.values), ..Drift::default() };
    let mut differing: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    // What is missing or has other settings is known from the plan.
    let about_values = |what: &str| matches!(what, "value" | "unreadable");
    for difference in read.iter().flat_map(|read| &read.differences).filter(|it| about_values(it.what)) {
        let version = difference.version.as_ref().map(|id| format!("version {id}: ")).unwrap_or_default();
        differing.entry(&difference.name).or_default().insert(format!("{version}{}", difference.detail));
    }
    for secret in plan.secrets.walk()? {
        let secret = secret?;
        if matches!(secret.outcome, Outcome::LeftOut(_)) {
            drift.left_out += 1;
            continue;
        }
        let name = secret.desired.name.as_str();
        let mut found = lacks(&secret, rules);
        found.extend(differing.remove(name).into_iter().flatten().map(|detail| ("value", detail)));
        drift.compared += 1;
        drift.in_step += u64::from(found.is_empty());
        let is_replica = secret.before.as_ref().is_some_and(|before| before.primary.is_some());
        drift.replicas += u64::from(found.is_empty() && is_replica);
        for (what, detail) in found {
            drift.find(name, what, detail);
        }
    }
    Ok(drift)
}

/// What one secret lacks at the target.
fn lacks(secret: &SecretPlan, rules: &dyn Rules) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = match &secret.outcome {
        Outcome::Create | Outcome::Recreate => vec![("missing", String::new())],
        Outcome::Conflict(reason) => vec![("different", reason.clone())],
        Outcome::Impossible(reason) => vec![("cannot", reason.clone())],
        Outcome::NewVersion | Outcome::Replace | Outcome::Complete => {
            // To promote a replica is the fail-over itself.
            let writes = secret.writes().filter(|planned| !matches!(planned.write, Step::Promote { .. }));
            let missing: BTreeSet<&str> = writes.map(|planned| part(&planned.write)).collect();
            let missing: Vec<&str> = missing.into_iter().collect();
            if missing.is_empty() { Vec::new() } else { vec![("incomplete", missing.join(", "))] }
        }
        Outcome::Present | Outcome::LeftOut(_) => Vec::new(),
    };
    if let Some(before) = secret.before.as_ref().filter(|_| secret.is_verified()) {
        let (wanted, is) = (rules.key_name(secret.desired.key()), rules.key_name(before.key()));
        let same = wanted.map_or(Some(is.is_none()), |wanted| same_keys(wanted, is));
        if same == Some(false) {
            let name = |key: Option<&str>| key.unwrap_or("the default key").to_owned();
            found.push(("key", format!("expected {}, found {}", name(wanted), name(is))));
        }
    }
    found.extend(secret.lost.iter().map(|lost| ("lost", format!("{}: {}", lost.what, lost.reason))));
    found.extend(secret.unusable.iter().map(|why| ("unusable", why.clone())));
    found
}

/// What a write would bring.
fn part(write: &Step) -> &'static str {
    match write {
        Step::Create { .. } => "the secret",
        Step::Append { .. } | Step::PutVersion { .. } | Step::Withhold { .. } => "versions",
        Step::MoveStage { .. } => "labels",
        Step::Configure { .. } => "settings",
        Step::Tag { .. } | Step::Untag { .. } => "tags",
        Step::Update { .. } => "description or key",
        Step::Replicate { .. } => "replicas",
        Step::Rotate { .. } => "rotation",
        Step::PutPolicy { .. } | Step::DeletePolicy { .. } => "policy",
        Step::ScheduleDeletion { .. } | Step::Undelete { .. } | Step::Destroy { .. } => "deletion",
        Step::Promote { .. } => "promotion",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_compared_is_not_in_step() {
        assert!(!Drift::default().is_in_step());
        assert!(Drift { compared: 2, in_step: 2, ..Drift::default() }.is_in_step());
        assert!(!Drift { compared: 2, in_step: 1, ..Drift::default() }.is_in_step());
        let found = Drift { compared: 1, in_step: 1, counts: [("lost", 1)].into(), ..Drift::default() };
        assert!(!found.is_in_step());
    }

    #[test]
    fn findings_beyond_the_named_ones_are_counted() {
        let mut drift = Drift::default();
        (0..MOST_NAMED + 3).for_each(|_| drift.find("a", "missing", String::new()));
        assert_eq!((drift.lacks.len(), drift.more), (MOST_NAMED, 3));
        assert_eq!(drift.counts["missing"], MOST_NAMED as u64 + 3);
    }
}
