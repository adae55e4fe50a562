//! The plan: everything a restore will do, decided before anything is written. Pure; holds no value.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    decide::{decide, is_untouched, refuse},
    look::{Found, Wanted},
    references::References,
    secrets::Secrets,
};
use crate::{
    model::{
        Desired, DesiredVersion, Digest, Existing, Lost, OnReplica, Options, Place, Planned, Presence, Record,
        SnapshotId, State,
    },
    provider::{Context, Goal, Rules, Wish, Writes},
    repo::{Chosen, RepoError},
};

/// A complete restore, ready to be shown, stored or executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// Where the secrets came from.
    pub source: Place,
    /// Where they go.
    pub target: Place,
    /// A number for everything of these names that was in the target.
    pub inventory: Digest,
    /// One entry for each secret of the snapshot that was asked for, by name.
    pub secrets: Secrets,
    /// Keys, principals and other ARNs that the restored secrets refer to, and whether the target has them.
    pub references: Vec<Reference>,
}

/// Something outside a secret that it needs or lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The key, or the ARN.
    pub reference: String,
    /// Whether it is there.
    pub presence: Presence,
    /// The secrets that refer to it, by their names in the target: the first few.
    pub secrets: Vec<String>,
    /// How many more there are.
    #[serde(default)]
    pub more: u64,
}

/// What happens to one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretPlan {
    /// What it is to be.
    pub desired: Desired,
    /// What is done about it.
    pub outcome: Outcome,
    /// What has its name in the target.
    pub before: Option<State>,
    /// Its place in the order of urgency, from 0.
    pub rank: usize,
    /// The writes that bring AWSCURRENT back: done for every secret before anything else is.
    pub first: Vec<Planned>,
    /// Versions, labels, tags.
    pub then: Vec<Planned>,
    /// What may shut the door or start a clock: replicas, rotation, the policy, deletion.
    pub last: Vec<Planned>,
    /// Versions of another secret of this name that stay, without labels.
    pub kept: Vec<String>,
    /// What of it cannot come back, and why.
    pub lost: Vec<Lost>,
    /// Why nobody could use it at the target, although all of it comes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusable: Vec<String>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// What is done about a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Outcome {
    /// It is not there: created.
    Create,
    /// An earlier run of this restore began it: completed.
    Complete,
    /// It is there with the same versions and labels: only verified.
    Present,
    /// Another secret is there and gets the snapshot's AWSCURRENT as a version; all else of it stays.
    NewVersion,
    /// Another secret is there and is made what the snapshot says.
    Replace,
    /// What is scheduled for deletion under its name is destroyed for good, and it is created.
    Recreate,
    /// Something else is there: nothing is done.
    Conflict(String),
    /// Left out by rule: nothing is done, and nothing is missing.
    LeftOut(String),
    /// It cannot be restored.
    Impossible(String),
}

/// A plan that is not made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The target is where the secrets came from.
    #[error("the target is the source itself, {0}")]
    TargetIsSource(Place),
    /// Nothing in the snapshot matches.
    #[error("no secret of the snapshot matches {0}")]
    NothingMatches(String),
    /// Two secrets of the snapshot would get one name.
    #[error("{first} and {second} would have the same name, {name}")]
    Clash {
        /// The name in the target.
        name: String,
        /// A name in the source.
        first: String,
        /// Another.
        second: String,
    },
    /// It does not fit in memory, and the folder for that cannot be used.
    #[error(transparent)]
    Spool(#[from] RepoError),
}

/// Makes the plan from the snapshot, what was found in the target, and the options.
///
/// # Errors
/// See [`PlanError`].
pub fn make(manifest: &Chosen, found: &Found, options: &Options) -> Result<Plan, PlanError> {
    let source = &manifest.manifest().source;
    if *source == found.place && !options.allow_source {
        return Err(PlanError::TargetIsSource(found.place.clone()));
    }
    // A snapshot that holds no secret is no slip of a pattern.
    let selects = !(options.names.is_empty() && options.exclude.is_empty()) && manifest.manifest().counts.captured > 0;
    if found.wanted.count() == 0 && selects {
        let without = |names: &str| format!("{names} without {}", options.exclude.join(", "));
        let names = if options.names.is_empty() { "*".to_owned() } else { options.names.join(", ") };
        return Err(PlanError::NothingMatches(if options.exclude.is_empty() { names } else { without(&names) }));
    }
    let (rules, context) = (found.rules, found.context(source, options, manifest.manifest().time));
    let mut there = found.existing.walk()?.peekable();
    let mut secrets = Secrets::spool(found.wanted.folder());
    let (mut references, mut inventory) = (References::default(), Inventory::default());
    let mut last: Option<(String, String)> = None;
    let mut all_left_out = true;
    let mut seen = HashSet::new();
    for wanted in found.wanted.walk()? {
        let Wanted { name, record } = wanted?;
        if let Some((_, first)) = last.take_if(|(taken, _)| *taken == name) {
            return Err(PlanError::Clash { name, first, second: record.secret.name });
        }
        // Two that differ by case alone are one there: the first of them has the name.
        let folded = rules.folds_case().then(|| Digest::of(name.to_ascii_lowercase().as_bytes()));
        let is_taken = folded.is_some_and(|folded| !seen.insert(folded));
        let existing = there.next_if(|it| it.as_ref().is_ok_and(|it| it.secret.name == name)).transpose()?;
        let mut secret = plan_secret(&record, existing.as_ref(), rules, &context);
        if is_taken && secret.is_verified() {
            secret =
                secret.refused("another secret has this name but for capitals, and here they are one (--name-map)");
        }
        last = Some((name, record.secret.name));
        all_left_out &= matches!(secret.outcome, Outcome::LeftOut(_));
        references.add(&secret, rules);
        inventory.add(&secret);
        secrets.push(secret)?;
    }
    // What is left is an error of the walk.
    there.next().transpose()?;
    if let Some(version) = options.version.as_ref().filter(|_| last.is_some() && all_left_out) {
        return Err(PlanError::NothingMatches(format!("version {version}")));
    }
    Ok(Plan {
        snapshot: manifest.manifest().snapshot,
        manifest: manifest.digest(),
        source: source.clone(),
        target: found.place.clone(),
        inventory: inventory.digest(),
        secrets: secrets.sorted()?.into(),
        references: references.all(&context),
    })
}

impl Outcome {
    /// What is to be written for it; `None` when nothing is.
    fn goal(&self) -> Option<Goal> {
        match self {
            Self::Create | Self::Complete => Some(Goal::Make),
            Self::NewVersion => Some(Goal::AddCurrent),
            Self::Replace => Some(Goal::Replace),
            Self::Recreate => Some(Goal::Remake),
            Self::Present | Self::Conflict(_) | Self::LeftOut(_) | Self::Impossible(_) => None,
        }
    }

    /// One word for it, as in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Complete => "completed",
            Self::Present => "identical",
            Self::NewVersion => "new_version",
            Self::Replace => "replaced",
            Self::Recreate => "recreated",
            Self::Conflict(_) => "conflict",
            Self::LeftOut(_) => "left_out",
            Self::Impossible(_) => "cannot",
        }
    }
}

impl SecretPlan {
    /// Whether it stays unrestored although it was asked for.
    pub fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Conflict(_) | Outcome::Impossible(_))
    }

    /// The same without a write, for a reason.
    fn refused(self, reason: &str) -> Self {
        let outcome = Outcome::Impossible(reason.to_owned());
        let (first, then, last, lost, unusable) = Default::default();
        Self { outcome, first, then, last, lost, unusable, ..self }
    }

    /// Whether it is there afterwards, so that it can be verified.
    pub fn is_verified(&self) -> bool {
        !self.is_refused() && !matches!(self.outcome, Outcome::LeftOut(_))
    }

    /// The versions that are to be as in the snapshot: where only the current one comes back, that one.
    pub fn due_versions(&self) -> impl Iterator<Item = &DesiredVersion> {
        let only_current = self.outcome == Outcome::NewVersion;
        self.desired.versions.iter().filter(move |version| !only_current || version.current)
    }

    /// The labels that a version is to have; where only the current version comes back, the one that marks it.
    pub fn due_labels<'a>(&self, version: &'a DesiredVersion, rules: &'a dyn Rules) -> impl Iterator<Item = &'a str> {
        let only_current = self.outcome == Outcome::NewVersion;
        version.labels.iter().map(String::as_str).filter(move |label| !only_current || rules.marks_current(label))
    }

    /// Every write, in order.
    pub fn writes(&self) -> impl Iterator<Item = &Planned> {
        self.first.iter().chain(&self.then).chain(&self.last)
    }
}

/// A number for what was found under the plan's names, taken secret by secret.
#[derive(Default)]
pub(super) struct Inventory(Vec<u8>);

impl Inventory {
    /// Takes the next secret.
    pub fn add(&mut self, secret: &SecretPlan) {
        let before = secret.before.as_ref().map_or_else(|| State::default().digest(), State::digest);
        let line = [&self.0, secret.desired.name.as_bytes(), &[0], before.as_bytes()].concat();
        self.0 = Digest::of(&line).as_bytes().to_vec();
    }

    /// The number.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

fn plan_secret(record: &Record, existing: Option<&Existing>, rules: &dyn Rules, context: &Context<'_>) -> SecretPlan {
    let untouched = existing.is_some_and(|existing| is_untouched(record, existing, rules, context));
    let Wish { mut desired, lost, mut unusable, mut notes, refusal } = rules.wish(record, context, untouched);
    let before = existing.map(|existing| rules.state(existing, context.target));
    // Versions that hold no value are in no wish, and stay.
    let seen = before.as_ref().map(|state| if untouched { state.only(&desired) } else { state.clone() });
    let refusal = refuse(record, rules, context).or_else(|| refusal.map(Outcome::Impossible));
    let outcome = match (refusal, existing.zip(seen.as_ref())) {
        (Some(outcome), _) => outcome,
        (None, None) => Outcome::Create,
        (None, Some((existing, state))) => decide(&desired, existing, state, (rules, context), &mut notes),
    };
    if context.options.on_replica == OnReplica::Promote
        && matches!(outcome, Outcome::Complete | Outcome::Present)
        && let Some(before) = &before
        && (before.primary.is_some() || !context.options.compares)
    {
        // A replica was given its key for its region by whoever made it, and is promoted with it. A restore that goes on may
        // have promoted it before.
        desired.keep_key_of(before);
    }
    let state = before.clone().unwrap_or_default();
    let goal = outcome.goal();
    if let Some(goal) = goal {
        rules.settle(&mut desired, &state, goal);
    }
    let kept = match (&before, &seen, goal) {
        (_, _, Some(Goal::AddCurrent | Goal::Replace)) => {
            state.versions.iter().filter(|id| desired.versions.iter().all(|it| it.id != **id)).cloned().collect()
        }
        (Some(before), Some(seen), _) => before.versions.difference(&seen.versions).cloned().collect(),
        _ => Vec::new(),
    };
    let Writes { first, then, last } = goal.map(|goal| rules.writes(&desired, &state, goal)).unwrap_or_default();
    if goal == Some(Goal::AddCurrent) {
        // Its policy is the one that is there.
        unusable.clear();
    }
    if context.options.accept_unusable {
        notes.extend(unusable.drain(..).map(|why| format!("accepted: {why}")));
    }
    let rank = context.options.rank(&desired.source_name);
    let mut plan = SecretPlan { desired, outcome, before, rank, first, then, last, kept, lost, unusable, notes };
    if !plan.is_verified() {
        // Nothing of a refused secret comes back: the reason stands in the outcome.
        plan.lost.clear();
        plan.unusable.clear();
    }
    plan
}
