//! The drill itself, from its approval to its record.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    DrillError, Opening, Request,
    checks::{self, Completeness},
    choose, clean,
    file::{Probe, TargetKind, What},
    glass, journal,
    leftovers::{self, Cleaned},
    mark::{self, Marker, Run},
    own::{self, Own},
    probe::{self, Ended},
    ready::Ready,
    record::{Approval, CleanUp, Phase, ProbeResult, Reason, Record as DrillRecord, State, Verdict},
    redact, seconds, verdict,
};
use crate::{
    clock::to_seconds,
    model::{Record, SecretValue, ValueState, Version},
    provider::{ErrorKind, FetchedValue, Listed, ProviderError, Source, Target, rules},
    repo::{FileRef, Manifest, OpenSet, PackLists, StoredDrill},
    restore::{self, Maps, Options, Plan, Values, Verification},
    text::plural,
};

/// Files fetched at once.
const PARALLEL: usize = 4;

/// A drill that was held.
pub struct Outcome {
    /// What is stored.
    pub record: DrillRecord,
    /// How it is stored.
    pub stored: StoredDrill,
    /// The record of an earlier drill that had been killed.
    pub aborted: Option<StoredDrill>,
    /// What ended it early.
    pub error: Option<DrillError>,
}

/// What a drill has done so far; it outlives the work that is given up.
#[derive(Default)]
pub(super) struct Work {
    phase: &'static str,
    /// The sandbox as this drill writes to it, from its first write on.
    own: Option<Arc<Own>>,
    /// The names in the snapshot, for redaction.
    pub(super) names: Vec<String>,
    pub(super) verification: Verification,
}

enum End {
    Done,
    Failed(DrillError),
    Stopped,
    Late,
}

/// Holds a drill. From the first write on there will be a record and a clean-up, whatever happens short of the end of
/// the process; and then the next drill does both.
///
/// # Errors
/// [`DrillError::NotEmpty`] and errors before the first write: then there is no record. An error after it is in the
/// [`Outcome`], beside a record that says that the drill did not pass.
pub async fn hold(
    request: &Request<'_>,
    mut ready: Ready,
    approval: Approval,
    opening: &Opening<'_>,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, DrillError> {
    opening.opens(ready.manifest.manifest()).map_err(DrillError::NotSealed)?;
    let draft = &mut ready.draft;
    draft.phases.push(Phase {
        name: "approve".into(),
        start: draft.phases.last().map_or(draft.started, |phase| phase.end),
        end: request.clock.now(),
    });
    draft.approval = approval;
    describe_opening(request, opening, draft);
    // The journal of a drill that was killed stays until what that one left is gone.
    let aborted = clean::before(request, &mut ready, opening.index()).await?;
    journal::note(request.journal, &ready.draft)?;

    let mut work = Work::default();
    let end = run_until(request, &mut ready, opening, &mut work, stop).await;
    if let End::Failed(error @ DrillError::NotEmpty(_)) = end {
        request.journal.map(journal::forget_unfinished).transpose()?;
        return Err(error);
    }
    let cleaned = clean_up(request, &mut ready, work.own.as_deref()).await;
    let error = settle(request, &mut ready, &work, end, cleaned);
    let stored = store(request, &mut ready, &work).await?;
    // What is still there is known by its identifier until it is gone.
    if ready.draft.clean_up.left_over.is_empty() && ready.draft.clean_up.left_alone.is_empty() {
        request.journal.map(journal::forget_unfinished).transpose()?;
    }
    Ok(Outcome { record: ready.draft, stored, aborted, error })
}

fn describe_opening(request: &Request<'_>, opening: &Opening<'_>, draft: &mut DrillRecord) {
    let (by, recipient, custodians) = match opening {
        Opening::Quorum { key, custodians } => ("quorum", key.recipient(), custodians.clone()),
        Opening::DrillKey { key, .. } => match request.file.open.by {
            super::OpenedBy::DrillKey => ("drill-key", key.recipient(), Vec::new()),
            _ => ("canary", key.recipient(), Vec::new()),
        },
    };
    draft.opening.by = by.into();
    draft.opening.recipient = recipient.to_string();
    draft.opening.sheets = custodians.len() as u64;
    draft.opening.custodians = custodians;
}

/// Works until it is done, asked to stop, or late.
async fn run_until(
    request: &Request<'_>,
    ready: &mut Ready,
    opening: &Opening<'_>,
    work: &mut Work,
    stop: impl Future<Output = ()>,
) -> End {
    let limit = Duration::try_from(request.file.time_limit).unwrap_or_default();
    let begun = std::time::Instant::now();
    let work = async {
        match request.file.target.kind {
            TargetKind::Provider => Box::pin(body(request, ready, opening, work)).await,
            TargetKind::BreakGlass => Box::pin(glass::body(request, ready, opening, work)).await,
        }
    };
    tokio::select! {
        biased;
        () = stop => End::Stopped,
        () = tokio::time::sleep(limit) => End::Late,
        // On the heap: it holds everything a restore holds.
        done = Box::pin(work) => match done {
            // Work that never waits leaves the timer no moment to say so.
            Ok(()) if begun.elapsed() > limit => End::Late,
            Ok(()) => End::Done,
            Err(error) => End::Failed(error),
        },
    }
}

async fn body(
    request: &Request<'_>,
    ready: &mut Ready,
    opening: &Opening<'_>,
    work: &mut Work,
) -> Result<(), DrillError> {
    let draft = &mut ready.draft;
    let manifest = ready.manifest.manifest();
    draft.recovery_point.files = phase(request, draft, work, "fetch", fetch(request, manifest)).await?;
    let opened = request.repository.records(&ready.manifest, opening.index());
    let records = phase(request, draft, work, "open", opened).await?;
    let completeness = Completeness::of(manifest, &records);
    work.names = records.iter().map(|record| record.secret.name.clone()).collect();
    let run = Run { drill: draft.drill, started: to_seconds(draft.started), snapshot: draft.snapshot };
    let marking = (&*ready.marker, &run);
    let sealed = sealed(request, manifest, opening).await?;
    let planning = plan(request, (&ready.manifest, sealed.as_ref()), records, marking);
    let plan = phase(request, draft, work, "plan", planning).await;
    let (plan, sample) = plan?;
    draft.sample = sample;
    // None of them existed, or there would be no plan.
    draft.isolation.looked_up = Some(plan.secrets.count());
    let planned = plan.secrets.to_vec()?;
    let own = own(request, &ready.marker, run, &planned)?;
    work.own = Some(Arc::clone(&own));

    let values = Values::with(request.repository, &ready.manifest, opening.packs());
    let target: Arc<dyn Target> = own;
    let restoring = restore::execute(&plan, &values, &target, request.progress);
    let execution = phase(request, draft, work, "restore", restoring).await?;
    (request.before_verify)();
    let comparing = restore::verify(&plan, &values, &request.readback, request.progress);
    work.verification = phase(request, draft, work, "verify", comparing).await?;
    draft.rto_seconds = Some(seconds(draft.started, request.clock.now()));
    draft.left_out = verdict::left_out(&planned);
    draft.not_restored = verdict::not_restored(&planned, &execution);
    (draft.sample.planned, draft.sample.restored) = (work.verification.planned, work.verification.secrets);
    let run = &request.file.checks.run;
    draft.checks = checks::all(&work.verification, completeness, run);
    draft.differences = checks::differences(&work.verification, run);
    if !request.file.probes.is_empty() {
        draft.probes = phase(request, draft, work, "probe", probes(request)).await?;
    }
    draft.negative_controls = phase(request, draft, work, "controls", async {
        let mut all = Vec::new();
        for fault in request.plants {
            all.push(Box::pin(super::plant(*fault, run)).await?);
        }
        Ok::<_, DrillError>(all)
    })
    .await?;
    Ok(())
}

/// The sandbox as this drill writes to it. What is about to be created is in the journal before the first write.
fn own(
    request: &Request<'_>,
    marker: &Arc<Marker>,
    run: Run,
    plan: &[restore::SecretPlan],
) -> Result<Arc<Own>, DrillError> {
    let planned = own::planned(plan);
    let names = planned.iter().map(|(name, planned)| (name.as_str(), planned.has_room));
    journal::plan(request.journal, run.drill, request.file.target.sandbox, names)?;
    let journal = request.journal.map(Path::to_path_buf);
    Ok(Arc::new(Own::new(Arc::clone(&request.target), Arc::clone(marker), run, planned, journal)))
}

pub(super) async fn phase<T>(
    request: &Request<'_>,
    draft: &mut DrillRecord,
    work: &mut Work,
    name: &'static str,
    doing: impl Future<Output = T>,
) -> T {
    work.phase = name;
    let start = request.clock.now();
    let outcome = Box::pin(doing).await;
    draft.phases.push(Phase { name: name.into(), start, end: request.clock.now() });
    if let Err(error) = journal::note(request.journal, draft) {
        tracing::warn!(%error, "the drill's journal cannot be written");
    }
    outcome
}

/// Reads every index file and pack of the snapshot once and holds it against its digest.
async fn fetch(request: &Request<'_>, manifest: &Manifest) -> Result<u64, DrillError> {
    let set = request.repository.packs_of(manifest, &PackLists::default()).await?;
    let all: BTreeSet<&FileRef> = set.packs().collect();
    let files = (manifest.index_files().count() + all.len()) as u64;
    request.progress.begin("fetch", Some(files));
    for index in manifest.index_files() {
        request.repository.index(index).await?;
        request.progress.advance(1);
    }
    let mut packs = stream::iter(all).map(|pack| request.repository.pack(&pack.sha256)).buffer_unordered(PARALLEL);
    while packs.try_next().await?.is_some() {
        request.progress.advance(1);
    }
    Ok(files)
}

/// The packs that the drill key opens; `None` for a quorum, which opens all.
async fn sealed(
    request: &Request<'_>,
    manifest: &Manifest,
    opening: &Opening<'_>,
) -> Result<Option<OpenSet>, DrillError> {
    let Some(seal) = manifest.drill().filter(|_| matches!(opening, Opening::DrillKey { .. })) else { return Ok(None) };
    Ok(Some(request.repository.open_set(&seal.packs, &PackLists::default()).await?))
}

/// Names secrets that the drill key does not open, before the first is written.
fn refuse_closed(chosen: &[Record], sealed: &OpenSet, sequence: u64) -> Result<(), DrillError> {
    let is_closed = |version: &Version| match &version.value {
        ValueState::Stored { pack, .. } => sealed.find(pack).is_none(),
        _ => false,
    };
    let closed: Vec<&str> = chosen
        .iter()
        .filter(|record| record.versions.iter().any(is_closed))
        .map(|record| record.secret.name.as_str())
        .collect();
    let Some(first) = closed.first() else { return Ok(()) };
    let closed = plural(closed.len() as u64, "secret");
    Err(DrillError::NotSealed(format!(
        "the drill key does not open {closed} of snapshot number {sequence}, such as {first}: when it was taken, [drill] \
         canaries did not name them and [drill] full was not set"
    )))
}

/// Chooses, renames and marks records, and plans their restore into an empty place.
async fn plan(
    request: &Request<'_>,
    (manifest, sealed): (&crate::repo::Chosen, Option<&OpenSet>),
    records: Vec<Record>,
    (marker, run): (&Marker, &Run),
) -> Result<(Plan, super::Sample), DrillError> {
    let section = &request.file.restore;
    let seed = section.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(super::random())));
    let population = records.len() as u64;
    let names = choose::names(&records, section, request.canaries, seed);
    let mut chosen: Vec<Record> = records.into_iter().filter(|record| names.contains(&record.secret.name)).collect();
    if let Some(sealed) = sealed {
        refuse_closed(&chosen, sealed, manifest.manifest().sequence)?;
    }
    let maps = Maps { name_prefix: request.file.target.prefix.clone(), ..Maps::default() };
    let place = request.target.place().await?;
    let rules = rules(&place.provider).map_err(ProviderError::from)?;
    for record in &mut chosen {
        // One with fifty tags is known by its identifier alone.
        let name = rules.name(&record.secret, &manifest.manifest().source, &maps);
        mark::mark(record, marker, run, &name);
    }
    let sample = super::Sample {
        population,
        chosen: names.len() as u64,
        planned: 0,
        restored: 0,
        method: match section.what {
            What::All => "all",
            What::Sample => "sample",
            What::Canaries => "canaries",
        }
        .into(),
        seed: (section.what == What::Sample).then_some(seed),
    };
    // A sandbox is nobody's standby region: whether its policies let anybody in is asked of plants of their own.
    let options = Options { maps, marks: true, accept_unusable: true, ..Options::default() };
    let chosen = stream::iter(chosen.into_iter().map(Ok));
    let found = restore::look(&*request.target, manifest, chosen, &options, None).await?;
    if let Some(there) = found.existing.walk()?.next() {
        return Err(DrillError::NotEmpty(there?.secret.name));
    }
    Ok((restore::make(manifest, &found, &options)?, sample))
}

/// Gives each probe the current value of its restored secret, one after the other.
async fn probes(request: &Request<'_>) -> Result<Vec<ProbeResult>, DrillError> {
    let mut results = Vec::new();
    for probe in &request.file.probes {
        let name = format!("{}{}", request.file.target.prefix, probe.secret);
        let begun = Instant::now();
        let (state, detail) = match current(&*request.readback, &Listed::named(&name)).await {
            Ok(Some(value)) => judge(probe, probe::run(&probe.command, value.expose(), probe.time_limit).await),
            Ok(None) => (State::NotRun, "its secret has no current version".into()),
            Err(error) if error.kind == ErrorKind::NotFound => (State::NotRun, "its secret was not restored".into()),
            Err(error) => return Err(error.into()),
        };
        results.push(ProbeResult { name: probe.name.clone(), state, detail, seconds: begun.elapsed().as_secs_f64() });
    }
    Ok(results)
}

async fn current(readback: &dyn Source, listed: &Listed) -> Result<Option<SecretValue>, ProviderError> {
    let fetched = readback.fetch(listed, &|_, _| false).await?;
    let current = fetched.versions.into_iter().find(|version| version.current);
    Ok(current.and_then(|version| match version.value {
        FetchedValue::Value(value) => Some(value),
        _ => None,
    }))
}

pub(super) fn judge(probe: &Probe, ended: Ended) -> (State, String) {
    match ended {
        Ended::Code(code) if code == probe.exit => (State::Passed, format!("ended with {code}")),
        Ended::Code(code) => (State::Failed, format!("ended with {code}, not with {}", probe.exit)),
        Ended::Signal => (State::Failed, "was stopped by a signal".into()),
        Ended::Late => (State::Failed, format!("did not end within {:#}", probe.time_limit)),
        Ended::NotStarted(error) => (State::Failed, format!("could not be started: {error}")),
    }
}

/// Destroys what this drill created, and nothing else.
async fn clean_up(request: &Request<'_>, ready: &mut Ready, own: Option<&Own>) -> (CleanUp, Option<DrillError>) {
    let start = request.clock.now();
    let cleaned = match own {
        Some(own) => leftovers::clean_up(own, &*request.target, request.progress).await,
        None => Cleaned::default(),
    };
    ready.draft.phases.push(Phase { name: "clean up".into(), start, end: request.clock.now() });
    let Cleaned { created, destroyed, left_over, left_alone, error } = cleaned;
    let clean_up = CleanUp {
        created,
        destroyed,
        left_over: left_over.into_iter().collect(),
        left_alone: left_alone.into_iter().collect(),
    };
    (clean_up, error.map(DrillError::from))
}

/// Writes down how it ended, and gives the error that ended it.
fn settle(
    request: &Request<'_>,
    ready: &mut Ready,
    work: &Work,
    end: End,
    (cleaned, mut error): (CleanUp, Option<DrillError>),
) -> Option<DrillError> {
    let draft = &mut ready.draft;
    draft.clean_up = cleaned;
    if let Some(failure) = &error {
        verdict::deviate(request, draft, "the clean-up failed", &failure.to_string());
    }
    for name in draft.clean_up.left_alone.clone() {
        verdict::deviate(request, draft, "a name of the drill has something that it did not create", &name);
    }
    let base = match end {
        End::Done => None,
        End::Stopped => {
            verdict::deviate(request, draft, "it was interrupted", &format!("asked to stop during {:?}", work.phase));
            Some(Verdict::Aborted)
        }
        End::Late => {
            let limit = format!("{:#} had passed during {:?}", request.file.time_limit, work.phase);
            verdict::deviate(request, draft, "it was stopped at its time limit", &limit);
            Some(Verdict::TimedOut)
        }
        End::Failed(failure) => {
            verdict::deviate(request, draft, &format!("phase {:?} failed", work.phase), &failure.to_string());
            error = Some(failure);
            Some(Verdict::Failed)
        }
    };
    verdict::decide(request, draft, &ready.history_faults, base);
    if !draft.clean_up.left_alone.is_empty() && matches!(draft.result, Verdict::Passed | Verdict::Partial) {
        draft.result = Verdict::Failed;
    }
    error
}

async fn store(request: &Request<'_>, ready: &mut Ready, work: &Work) -> Result<StoredDrill, DrillError> {
    let draft = &mut ready.draft;
    draft.isolation.refused = request.isolation.refused();
    draft.isolation.contacted = request.isolation.contacted();
    draft.ended = request.clock.now();
    if draft.redacted {
        redact::names(draft, &work.names);
    }
    let (at, bytes) = (to_seconds(draft.started), Bytes::from(draft.to_bytes()));
    Ok(request.repository.put_drill(at, draft.drill, bytes, request.signer).await?)
}

/// How many secrets a plan leaves out or cannot restore, by reason.
pub(super) fn tally(reasons: impl Iterator<Item = String>) -> Vec<Reason> {
    let mut counts = std::collections::BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_insert(0) += 1;
    }
    counts.into_iter().map(|(reason, count)| Reason { reason, count }).collect()
}
