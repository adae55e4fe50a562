//! A drill: a restore into another account, compared, cleaned up, measured and signed.
//!
//! There is no second restore path: plan, execution and verification are [`crate::restore`]'s.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, to_seconds},
    crypto::{Opener, PublicKey, RecoveryKey, Signer},
    model::{Digest, Place, RepositoryId, SnapshotId, Step},
    progress::Progress,
    provider::{ProviderError, Source, Target},
    repo::{RepoError, Repository, StoredDrill, VerifiedManifest},
    restore::{self, Difference, ExecuteError, Options, Outcome, Plan, PlanError, Values, Verification},
};

/// What a drill needs.
pub struct Request<'a> {
    /// The repository or copy the drill restores from, and where its record goes.
    pub repository: &'a Repository,
    /// The snapshot.
    pub manifest: &'a VerifiedManifest,
    /// Opened by a quorum.
    pub key: &'a RecoveryKey,
    /// How many sheets opened it.
    pub sheets: usize,
    /// The sandbox, written to.
    pub target: &'a dyn Target,
    /// The same sandbox, read back.
    pub readback: &'a dyn Source,
    /// Signs the record.
    pub signer: &'a Signer,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Watches.
    pub progress: &'a dyn Progress,
    /// Done between restore and verification; a planted fault proves that the comparison can fail.
    pub before_verify: &'a (dyn Fn() + Sync),
}

/// The record of a drill, as signed. Holds no value; names only of what went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format version, 1.
    pub version: u32,
    /// The drill.
    pub drill: SnapshotId,
    /// The repository.
    pub repository: RepositoryId,
    /// Which copy it was fetched from.
    pub storage: String,
    /// The tool that ran it.
    pub tool: String,
    /// Who signs.
    pub signer: PublicKey,
    /// SHA-256 of the record before this one in the repository.
    pub previous: Option<Digest>,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// Its place in the chain: the witness against rollback.
    pub sequence: u64,
    /// The recovery point.
    pub recovery_point: Timestamp,
    /// How it was opened: `quorum`.
    pub opened_by: String,
    /// How many sheets.
    pub sheets: usize,
    /// Where the secrets came from.
    pub source: Place,
    /// Where they were restored to; never the source's account.
    pub target: Place,
    /// Phases in order.
    pub phases: Vec<Phase>,
    /// Secrets in the snapshot.
    pub population: u64,
    /// Secrets restored.
    pub restored: u64,
    /// Secrets left out by rule, with how many.
    pub left_out: Vec<Reason>,
    /// Secrets and parts that could not be restored.
    pub not_restored: Vec<Reason>,
    /// What was compared.
    pub compared: Compared,
    /// What differed.
    pub differences: Vec<RecordedDifference>,
    /// What was created and destroyed again.
    pub clean_up: CleanUp,
    /// Seconds from the start of the drill to the end of verification.
    pub rto_seconds: f64,
    /// Seconds from the recovery point to the start of the drill.
    pub rpo_seconds: f64,
    /// Passed only if something was compared, nothing differed, nothing is missing and nothing was left behind.
    pub result: Verdict,
}

/// The verdict of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything held.
    Passed,
    /// Something did not.
    Failed,
}

/// One timed phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// `select`, `plan`, `restore`, `verify`, `clean up`.
    pub name: String,
    /// Start, UTC.
    pub start: Timestamp,
    /// End, UTC.
    pub end: Timestamp,
}

/// A reason, and how many secrets it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why.
    pub reason: String,
    /// How many.
    pub secrets: u64,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Compared {
    pub secrets: u64,
    pub versions: u64,
    pub values: u64,
    pub labels: u64,
    pub tags: u64,
    pub descriptions: u64,
    pub policies: u64,
}

/// A difference as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "see restore::Difference")]
pub struct RecordedDifference {
    pub name: String,
    pub version: Option<String>,
    pub what: String,
    pub detail: String,
}

/// The proof that the sandbox is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanUp {
    /// Secrets created.
    pub created: u64,
    /// Of those, destroyed again.
    pub destroyed: u64,
    /// Of those, still there.
    pub left_over: Vec<String>,
}

/// A drill that did not take place.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The target is the account the secrets came from.
    #[error("the drill's target is account {0}, where the secrets came from; a drill needs another account")]
    SourceAccount(String),
    /// The sandbox holds secrets of these names.
    #[error("the sandbox is not empty: {0} exists there")]
    NotEmpty(String),
    /// No plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The target failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The restore failed as a whole.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

/// Runs a drill and stores its signed record. Nothing is written before the target is known to be another account
/// that holds none of the secrets' names; what the drill creates it destroys, also when the restore fails.
///
/// # Errors
/// See [`DrillError`]; a drill that ran and failed is a [`Record`] with [`Verdict::Failed`].
pub async fn run(request: &Request<'_>) -> Result<(Record, StoredDrill), DrillError> {
    let mut timer = Timer { clock: request.clock, phases: Vec::new() };
    let started = request.clock.now();
    let (plan, population) = timer.phase("plan", prepare(request)).await?;
    let values = Values::new(request.repository, request.key);
    let restored = timer.phase("restore", restore::execute(&plan, &values, request.target, request.progress)).await;
    (request.before_verify)();
    let verified = match &restored {
        Ok(_) => timer.phase("verify", restore::verify(&plan, &values, request.readback, request.progress)).await,
        Err(_) => Ok(Verification::default()),
    };
    let recovered = request.clock.now();
    let clean_up = timer.phase("clean up", clean_up(request, &plan)).await?;
    let (restored, verification) = (restored?, verified?);
    let not_restored = not_restored(&plan, &restored);
    let complete = verification.passed() && not_restored.is_empty() && clean_up.left_over.is_empty();
    let manifest = request.manifest.manifest();
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the operating system gives randomness");
    let record = Record {
        version: crate::repo::FORMAT_VERSION,
        drill: SnapshotId::from_bytes(id),
        repository: request.repository.id(),
        storage: request.repository.storage().address().to_owned(),
        tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into(),
        signer: request.signer.public(),
        previous: request.repository.drills().await?.last().map(|drill| Digest::of(&drill.bytes)),
        snapshot: manifest.snapshot,
        manifest: request.manifest.digest(),
        sequence: manifest.sequence,
        recovery_point: manifest.time,
        opened_by: "quorum".into(),
        sheets: request.sheets,
        source: plan.source.clone(),
        target: plan.target.clone(),
        phases: timer.phases,
        population,
        restored: plan.secrets.iter().filter(|secret| secret.is_verified()).count() as u64,
        left_out: left_out(&plan),
        not_restored,
        compared: compared(&verification),
        differences: verification.differences.iter().map(recorded).collect(),
        clean_up,
        rto_seconds: seconds(started, recovered),
        rpo_seconds: seconds(manifest.time, started),
        result: if complete { Verdict::Passed } else { Verdict::Failed },
    };
    let mut bytes = serde_json::to_vec_pretty(&record).expect("a record is plain data");
    bytes.push(b'\n');
    let at = to_seconds(started);
    let stored = request.repository.put_drill(at, record.drill, Bytes::from(bytes), request.signer).await?;
    Ok((record, stored))
}

async fn prepare(request: &Request<'_>) -> Result<(Plan, u64), DrillError> {
    let place = request.target.place().await?;
    let source = &request.manifest.manifest().source;
    if place.account == source.account {
        return Err(DrillError::SourceAccount(place.account));
    }
    let records = restore::records(request.repository, request.manifest, Opener::Recovery(request.key)).await?;
    let options = Options::default();
    let found = restore::look(request.target, request.manifest, &records, &options).await?;
    if let Some(there) = found.existing.first() {
        return Err(DrillError::NotEmpty(there.secret.name.clone()));
    }
    let plan = restore::make(request.manifest, &records, &found, &options)?;
    Ok((plan, records.len() as u64))
}

async fn clean_up(request: &Request<'_>, plan: &Plan) -> Result<CleanUp, DrillError> {
    let created: Vec<&str> = plan
        .secrets
        .iter()
        .filter(|secret| secret.outcome == Outcome::Create)
        .map(|secret| secret.desired.name.as_str())
        .collect();
    request.progress.begin("clean up", Some(created.len() as u64));
    for name in &created {
        // A refusal shows in the inventory below, by name.
        if let Err(error) = request.target.apply(&Step::Destroy { name: (*name).to_owned() }, None).await {
            tracing::warn!(%error, "clean-up of a drill");
        }
        request.progress.advance(1);
    }
    let names = created.iter().map(ToString::to_string).collect();
    let left_over: Vec<String> =
        request.target.inventory(&names).await?.into_iter().map(|existing| existing.secret.name).collect();
    let created = created.len() as u64;
    Ok(CleanUp { created, destroyed: created - left_over.len() as u64, left_over })
}

fn left_out(plan: &Plan) -> Vec<Reason> {
    tally(plan.secrets.iter().filter_map(|secret| match &secret.outcome {
        Outcome::LeftOut(reason) => Some(reason.clone()),
        _ => None,
    }))
}

fn not_restored(plan: &Plan, execution: &restore::Execution) -> Vec<Reason> {
    let refused = plan.secrets.iter().filter_map(|secret| match &secret.outcome {
        Outcome::Conflict(reason) | Outcome::Impossible(reason) => Some(reason.clone()),
        _ => None,
    });
    let lost = plan.secrets.iter().flat_map(|secret| secret.lost.iter().map(|lost| lost.reason.clone()));
    let failed = execution.failed.iter().map(|step| step.reason.clone());
    tally(refused.chain(lost).chain(failed))
}

fn tally(reasons: impl Iterator<Item = String>) -> Vec<Reason> {
    let mut counts = std::collections::BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    counts.into_iter().map(|(reason, secrets)| Reason { reason, secrets }).collect()
}

fn compared(verification: &Verification) -> Compared {
    Compared {
        secrets: verification.secrets,
        versions: verification.versions,
        values: verification.values,
        labels: verification.labels,
        tags: verification.tags,
        descriptions: verification.descriptions,
        policies: verification.policies,
    }
}

fn recorded(difference: &Difference) -> RecordedDifference {
    RecordedDifference {
        name: difference.name.clone(),
        version: difference.version.clone(),
        what: difference.what.into(),
        detail: difference.detail.clone(),
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

struct Timer<'a> {
    clock: &'a dyn Clock,
    phases: Vec<Phase>,
}

impl Timer<'_> {
    async fn phase<T>(&mut self, name: &str, work: impl Future<Output = T>) -> T {
        let start = self.clock.now();
        let outcome = work.await;
        self.phases.push(Phase { name: name.into(), start, end: self.clock.now() });
        outcome
    }
}
