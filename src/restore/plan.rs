//! The plan: everything a restore will do, decided before anything is written. Pure; holds no value.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::steps;
use crate::{
    crypto::Opener,
    model::{AWSCURRENT, Digest, Place, Record, SnapshotId, Step, Tag, ValueKind, ValueState, Version},
    provider::Existing,
    repo::{IndexReader, RepoError, Repository, VerifiedManifest},
};

/// The most versions a secret can hold when all of them are younger than a day (AWS: quotas of Secrets Manager).
const MOST_VERSIONS: usize = 100;

/// What to restore and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name patterns (`*`, `?`); empty means all.
    pub names: Vec<String>,
    /// Keys of the source by keys of the target.
    pub kms: BTreeMap<String, String>,
    /// Whether the place the secrets came from may be the target.
    pub allow_source: bool,
}

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
    /// One entry for each secret of the snapshot that was asked for, by name.
    pub secrets: Vec<SecretPlan>,
}

/// What happens to one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretPlan {
    /// What it is to be.
    pub desired: Desired,
    /// What is done about it.
    pub outcome: Outcome,
    /// The writes that bring AWSCURRENT back: done for every secret before anything else is.
    pub first: Vec<Planned>,
    /// The other writes, in order.
    pub then: Vec<Planned>,
    /// What of it cannot come back, and why.
    pub lost: Vec<Lost>,
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
    /// Something else is there: nothing is done.
    Conflict(String),
    /// Left out by rule: nothing is done, and nothing is missing.
    LeftOut(String),
    /// It cannot be restored.
    Impossible(String),
}

/// The state a secret has when it is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// The name.
    pub name: String,
    /// The provider's identifier in the source.
    pub source_arn: String,
    /// Free text.
    pub description: Option<String>,
    /// The key in the target; `None` is the provider's default key.
    pub kms_key: Option<String>,
    /// The tags.
    pub tags: Vec<Tag>,
    /// The resource policy.
    pub policy: Option<String>,
    /// The type of a managed external secret.
    pub secret_type: Option<String>,
    /// The versions, oldest first.
    pub versions: Vec<DesiredVersion>,
}

/// A version as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesiredVersion {
    /// The version id.
    pub id: String,
    /// The labels, sorted.
    pub stages: Vec<String>,
    /// Where its value is.
    pub value: ValueRef,
}

/// Where a value is in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRef {
    /// The pack.
    pub pack: Digest,
    /// The line, from 0.
    pub line: u32,
    /// String or binary.
    pub kind: ValueKind,
}

/// A part that cannot come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The version, or the part of the metadata.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One write and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The write.
    pub write: Step,
    /// The value it writes.
    pub value: Option<ValueRef>,
}

/// A plan that is not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// The target is where the secrets came from.
    #[error("the target is the source itself, {0}")]
    TargetIsSource(Place),
    /// Nothing in the snapshot matches.
    #[error("no secret of the snapshot matches {0}")]
    NothingMatches(String),
}

/// Reads every record of a snapshot.
///
/// # Errors
/// A damaged index, or one sealed to another key.
pub async fn records(
    repository: &Repository,
    manifest: &VerifiedManifest,
    opener: Opener<'_>,
) -> Result<Vec<Record>, RepoError> {
    let mut records = Vec::new();
    for file in &manifest.manifest().indexes {
        let sealed = repository.index(file).await?;
        for record in IndexReader::open(&format!("indexes/{}.age", file.sha256), sealed, opener)? {
            records.push(record?);
        }
    }
    Ok(records)
}

/// The records a restore is asked for.
pub fn wanted<'a>(records: &'a [Record], options: &Options) -> Vec<&'a Record> {
    let patterns: Vec<_> = options.names.iter().map(|pattern| wildmatch::WildMatch::new(pattern)).collect();
    let matches = |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name));
    records.iter().filter(|record| matches(&record.secret.name)).collect()
}

/// Makes the plan from the snapshot, what is in the target, and the options.
///
/// # Errors
/// See [`PlanError`].
pub fn make(
    manifest: &VerifiedManifest,
    records: &[Record],
    target: &Place,
    existing: &[Existing],
    options: &Options,
) -> Result<Plan, PlanError> {
    let source = &manifest.manifest().source;
    if source == target && !options.allow_source {
        return Err(PlanError::TargetIsSource(target.clone()));
    }
    let wanted = wanted(records, options);
    if wanted.is_empty() && !options.names.is_empty() {
        return Err(PlanError::NothingMatches(options.names.join(", ")));
    }
    let by_name: BTreeMap<&str, &Existing> =
        existing.iter().map(|existing| (existing.secret.name.as_str(), existing)).collect();
    let plan_one = |record: &&Record| {
        let there = by_name.get(record.secret.name.as_str()).copied();
        plan_secret(record, there, source, target, options)
    };
    Ok(Plan {
        snapshot: manifest.manifest().snapshot,
        manifest: manifest.digest(),
        source: source.clone(),
        target: target.clone(),
        secrets: wanted.iter().map(plan_one).collect(),
    })
}

impl Plan {
    /// The names whose state in the target decides the plan.
    pub fn names(&self) -> BTreeSet<String> {
        self.secrets.iter().map(|secret| secret.desired.name.clone()).collect()
    }

    /// Whether everything asked for will be there when the plan is executed.
    pub fn is_complete(&self) -> bool {
        self.secrets.iter().all(|secret| secret.lost.is_empty() && !secret.is_refused())
    }
}

impl SecretPlan {
    /// Whether it stays unrestored although it was asked for.
    pub fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Conflict(_) | Outcome::Impossible(_))
    }

    /// Whether it is there afterwards, so that it can be verified.
    pub fn is_verified(&self) -> bool {
        matches!(self.outcome, Outcome::Create | Outcome::Complete | Outcome::Present)
    }
}

fn plan_secret(
    record: &Record,
    existing: Option<&Existing>,
    source: &Place,
    target: &Place,
    options: &Options,
) -> SecretPlan {
    let mut lost = Vec::new();
    let mut notes = Vec::new();
    let desired = desire(record, source, target, options, &mut lost, &mut notes);
    let mut plan = SecretPlan { desired, outcome: Outcome::Create, first: Vec::new(), then: Vec::new(), lost, notes };
    plan.outcome = match refusal(record) {
        Some(outcome) => outcome,
        None => match existing {
            None => Outcome::Create,
            Some(existing) => steps::compare(&plan.desired, existing),
        },
    };
    match plan.outcome {
        Outcome::Create => steps::create(&mut plan),
        Outcome::Complete => steps::complete(&mut plan, existing.expect("only what exists is completed")),
        // Nothing of a refused secret comes back: the reason stands in the outcome.
        _ => plan.lost.retain(|_| matches!(plan.outcome, Outcome::Present)),
    }
    plan
}

/// Why a record is not restored, whatever the target holds.
fn refusal(record: &Record) -> Option<Outcome> {
    let secret = &record.secret;
    if secret.deleted.is_some() {
        return Some(Outcome::LeftOut("scheduled for deletion in the source".into()));
    }
    if let Some(service) = &secret.owning_service {
        return Some(Outcome::Impossible(format!("managed by {service}: recreate it in that service")));
    }
    if record.versions.is_empty() && !secret.unreadable.is_empty() {
        return Some(Outcome::Impossible(format!("it could not be read: {}", secret.unreadable[0].reason)));
    }
    let current = record.versions.iter().find(|version| version.has(AWSCURRENT));
    match current.map(|version| &version.value) {
        Some(ValueState::Unreadable { reason }) => {
            Some(Outcome::Impossible(format!("its AWSCURRENT value could not be read: {reason}")))
        }
        Some(ValueState::Stored { .. }) => None,
        Some(_) => Some(Outcome::Impossible("its AWSCURRENT value is not in the backup".into())),
        // The first value put into a secret always becomes AWSCURRENT, so the others cannot be put back as they were.
        None if record.versions.iter().any(is_stored) => {
            Some(Outcome::Impossible("no version of it is labelled AWSCURRENT".into()))
        }
        None => None,
    }
}

fn desire(
    record: &Record,
    source: &Place,
    target: &Place,
    options: &Options,
    lost: &mut Vec<Lost>,
    notes: &mut Vec<String>,
) -> Desired {
    let secret = &record.secret;
    for part in &secret.unreadable {
        lost.push(Lost { what: part.part.clone(), reason: part.reason.clone() });
    }
    let (system, tags): (Vec<Tag>, Vec<Tag>) =
        secret.tags.iter().cloned().partition(|tag| tag.key.to_lowercase().starts_with("aws:"));
    if !system.is_empty() {
        notes.push(format!(
            "{} system tags (aws:…) belong to the services that set them and are left out",
            system.len()
        ));
    }
    if secret.rotation.as_ref().is_some_and(|rotation| rotation.enabled) {
        notes.push("rotation was on; it is left off so that nothing rotates a live credential".into());
    }
    if !secret.replicas.is_empty() {
        notes.push("replicas are not restored".into());
    }
    Desired {
        name: secret.name.clone(),
        source_arn: secret.arn.clone(),
        description: secret.description.clone(),
        kms_key: map_key(secret.kms_key.as_deref(), source, target, options, notes),
        tags,
        policy: secret.policy.clone(),
        secret_type: secret.secret_type.clone(),
        versions: desired_versions(record, lost, notes),
    }
}

fn desired_versions(record: &Record, lost: &mut Vec<Lost>, notes: &mut Vec<String>) -> Vec<DesiredVersion> {
    let mut versions = Vec::new();
    let mut ordered: Vec<&Version> = record.versions.iter().collect();
    ordered.sort_by_key(|version| (version.created, version.id.clone()));
    for version in ordered {
        match &version.value {
            ValueState::Stored { pack, line, kind } => versions.push(DesiredVersion {
                id: version.id.clone(),
                stages: version.stages.clone(),
                value: ValueRef { pack: *pack, line: *line, kind: *kind },
            }),
            ValueState::None => notes.push(format!("version {} holds no value and is not recreated", version.id)),
            ValueState::ScheduledForDeletion => {
                lost.push(Lost {
                    what: version.id.clone(),
                    reason: "not readable while scheduled for deletion".into(),
                });
            }
            ValueState::Unreadable { reason } => {
                lost.push(Lost { what: version.id.clone(), reason: format!("it could not be read: {reason}") });
            }
        }
    }
    let mut surplus = versions.len().saturating_sub(MOST_VERSIONS);
    versions.retain(|version| {
        let drop = surplus > 0 && version.stages.is_empty();
        if drop {
            surplus -= 1;
            let reason = format!("a secret takes {MOST_VERSIONS} versions in a day");
            lost.push(Lost { what: version.id.clone(), reason });
        }
        !drop
    });
    versions
}

/// A key of one region or account does not exist in another; an alias and a multi-Region key may.
fn map_key(
    key: Option<&str>,
    source: &Place,
    target: &Place,
    options: &Options,
    notes: &mut Vec<String>,
) -> Option<String> {
    let key = key?;
    if let Some(mapped) = options.kms.get(key) {
        return Some(mapped.clone());
    }
    if source == target || key.starts_with("alias/") {
        return Some(key.to_owned());
    }
    notes.push(format!("its key {key} belongs to {source}; the target's default key is used (--kms-map changes that)"));
    None
}

fn is_stored(version: &Version) -> bool {
    matches!(version.value, ValueState::Stored { .. })
}
