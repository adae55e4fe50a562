//! Before a drill: which snapshot, and whether the target is a sandbox. Writes nothing.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    DrillError, Request, choose,
    file::TargetKind,
    journal::{self, Unfinished},
    leftovers::{Left, Sandbox},
    mark::Marker,
    past::days,
    random,
    record::{
        Approval, CleanUp, History, Inventory, IsolationFacts, ObjectiveFacts, OpeningFacts, Phase, PlanFacts,
        RECORD_VERSION, Reason, Record, RecoveryPoint, Sample, Verdict, controls,
    },
    report, review, seconds,
    target::{self, Claim},
};
use crate::{
    clock::{Clock, to_seconds},
    model::{Digest, Place, SnapshotId},
    provider::rules,
    repo::{Chain, Chosen, Halt, Manifest, NoChoice, Trust},
    text::plural,
};

/// Records of the same plan that a trend looks at.
const TREND: usize = 12;

/// A drill that may be held: the target is a sandbox, the snapshot is chosen and its history verified.
pub struct Ready {
    /// The record so far.
    pub(super) draft: Record,
    pub(super) manifest: Chosen,
    /// What earlier drills left there.
    pub(super) left: Left,
    /// A drill that was killed.
    pub(super) unfinished: Option<Unfinished>,
    /// The snapshots that those restored, as far as they are still there.
    pub(super) snapshots: BTreeMap<SnapshotId, Chosen>,
    /// Makes the marks of this drill.
    pub(super) marker: Arc<Marker>,
    /// Faults of the history.
    pub(super) history_faults: Vec<String>,
}

impl Ready {
    /// What is going to happen, in sentences, for whoever approves it.
    pub fn sentences(&self) -> Vec<String> {
        let Record { plan, recovery_point: point, isolation, .. } = &self.draft;
        let mut lines = vec![
            plan.scenario.clone(),
            format!(
                "snapshot {}, number {}, of {} ({} ago; {}), from {}",
                self.draft.snapshot,
                self.draft.sequence,
                point.time,
                report::duration(self.draft.rpo_seconds),
                point.selected,
                point.storage
            ),
            format!("into {}", self.draft.target),
        ];
        if !self.manifest.is_compared() {
            lines.push("a rollback could not be excluded: this machine does not know the newest snapshot".into());
        }
        lines.extend(point.accepted.iter().map(|accepted| format!("fault accepted: {accepted}")));
        if !isolation.lost.is_empty() {
            lines.push(format!("lost: {}", isolation.lost));
        }
        if !self.left.own.is_empty() {
            let secrets = plural(self.left.own.len() as u64, "secret");
            lines.push(format!("removed first, of earlier drills: {secrets}"));
        }
        lines
    }

    /// A drill is not held beside what looks like a drill's and is not proven to be.
    ///
    /// # Errors
    /// [`DrillError::NotOurs`].
    pub fn refuse_others(&self) -> Result<(), DrillError> {
        if self.left.others.is_empty() {
            return Ok(());
        }
        let others: Vec<String> = self.left.others.iter().map(|(name, why)| format!("{name} ({why})")).collect();
        Err(DrillError::NotOurs(others.join(", ")))
    }
}

/// Chooses the snapshot and asks the target who it is. Writes nothing.
///
/// # Errors
/// See [`DrillError`]: everything that speaks against the target is named at once.
pub async fn preflight(request: &Request<'_>) -> Result<Ready, DrillError> {
    let started = request.clock.now();
    let judgement = request.repository.judge(request.trust, request.remembered).await?;
    let judgement = judgement.accepting(request.accepted).expecting(request.expected);
    judgement.refuse_halted(Halt::Restore).map_err(NoChoice::Refused)?;
    let chance = u64::from(u32::from_le_bytes(random()));
    let chosen = choose::snapshot(&judgement, &request.file.snapshot, chance, started);
    let (manifest, how) = chosen.map_err(|why| no_snapshot(request, why))?;
    let selected = request.clock.now();

    let place = request.target.place().await?;
    let source = &manifest.manifest().source;
    let sure = match request.file.target.kind {
        TargetKind::Provider => target::judge(&claim(request, source, &place)).map_err(DrillError::NotASandbox)?,
        TargetKind::BreakGlass => vec!["nothing is written: a server on loopback answers, and a client reads".into()],
    };
    refuse_other_sources(request, judgement.chain(), &place).map_err(|why| DrillError::NotASandbox(vec![why]))?;
    let marker = Arc::new(Marker::new(request.signer, request.repository.id(), place.clone()));
    let unfinished = unfinished(request, &place)?;
    let prefix = &request.file.target.prefix;
    let sandbox = Sandbox { target: &*request.target, readback: &*request.readback, marker: &marker, prefix };
    let left = sandbox.find(unfinished.as_ref()).await?;
    let found = left.own.iter().filter_map(|left| {
        let snapshot = left.run.snapshot;
        Some((snapshot, judgement.by_id(&snapshot.to_string(), None).ok()?))
    });
    let snapshots = found.collect();
    let mut draft = draft(request, &manifest, place, started, how);
    draft.isolation.made_sure = sure;
    review::take(request, &mut draft);
    draft.phases = vec![
        Phase { name: "select".into(), start: started, end: selected },
        Phase { name: "preflight".into(), start: selected, end: request.clock.now() },
    ];
    let counts = |fault: &&crate::repo::Fault| {
        fault.severity().is_some() && !request.accepted.iter().any(|accepted| accepted.accepts(fault))
    };
    let history_faults = judgement.faults().iter().filter(counts).map(ToString::to_string).collect();
    Ok(Ready { draft, manifest, left, unfinished, snapshots, marker, history_faults })
}

/// The drill that was killed. What one created elsewhere can only be removed there.
fn unfinished(request: &Request<'_>, place: &Place) -> Result<Option<Unfinished>, DrillError> {
    let found = request.journal.map(journal::unfinished).transpose()?.flatten();
    let Some(mut unfinished) = found else { return Ok(None) };
    if unfinished.embedded || unfinished.record.repository != request.repository.id() {
        unfinished.made.clear();
    }
    let Unfinished { record, made, .. } = &unfinished;
    if made.is_empty() || record.target == *place {
        return Ok(Some(unfinished));
    }
    Err(DrillError::Elsewhere { drill: record.plan.name.clone(), count: made.len(), place: record.target.clone() })
}

/// A refusal stays one; an absence names where.
fn no_snapshot(request: &Request<'_>, why: NoChoice) -> DrillError {
    let storage = request.repository.storage().address();
    match why {
        NoChoice::Refused(_)
        | NoChoice::Superseded { .. }
        | NoChoice::Ambiguous(_)
        | NoChoice::SeveralSources(_)
        | NoChoice::NoSuchSource { .. } => why.into(),
        other => DrillError::NoSnapshot(format!("no snapshot matches [snapshot], in {storage}: {other}")),
    }
}

/// An account that is captured too is somebody's production, unless the configuration says that drills may write there.
fn refuse_other_sources(request: &Request<'_>, chain: &Chain, landed: &Place) -> Result<(), String> {
    let allowed = is_own(request) || request.allowed_accounts.contains(&landed.account);
    if let Some(rules) = rules(&landed.provider).ok().filter(|rules| !rules.is_by_credentials()) {
        let source = chain.newest().into_keys().find(|source| rules.overlaps(source, landed));
        return match source {
            Some(source) if *source == *landed => Err(format!("{landed} is a source of this repository")),
            Some(source) => Err(format!("{landed} is within {source} or around it, a source of this repository")),
            None => Ok(()),
        };
    }
    if allowed || chain.newest().into_keys().all(|source| source.account != landed.account) {
        return Ok(());
    }
    Err(format!("account {} is a source of this repository; [drill] accounts does not list it", landed.account))
}

/// Whether the target is a part of this process.
fn is_own(request: &Request<'_>) -> bool {
    request.file.target.sandbox || request.file.target.kind == TargetKind::BreakGlass
}

fn claim<'a>(request: &Request<'a>, source: &'a Place, landed: &'a Place) -> Claim<'a> {
    let target = &request.file.target;
    Claim {
        source,
        landed,
        account: target.account.as_deref(),
        allowed: if is_own(request) { &[] } else { request.allowed_accounts },
        role: target.role.as_deref(),
        endpoint: target.endpoint.as_deref().or_else(|| target.url.as_deref()?.split_once(':').map(|(_, url)| url)),
        prefix: &target.prefix,
        embedded: is_own(request),
        lost: request.isolation.lost(),
    }
}

fn draft(request: &Request<'_>, found: &Chosen, target: Place, started: Timestamp, how: String) -> Record {
    let manifest = found.manifest();
    Record {
        version: RECORD_VERSION,
        drill: SnapshotId::random(),
        repository: request.repository.id(),
        tool: request.repository.tool(&request.signer.public()),
        tool_sha256: request.digests.tool,
        config_sha256: request.digests.config,
        plan: plan(request),
        approval: Approval { time: started, ..Approval::default() },
        controls: controls(),
        signer: request.signer.public(),
        previous: request.past.last().map(|past| Digest::of(&past.stored.bytes)),
        started,
        ended: started,
        phases: Vec::new(),
        source: manifest.source.clone(),
        target,
        isolation: IsolationFacts {
            lost: request.isolation.lost().clone(),
            prefix: request.file.target.prefix.clone(),
            ..IsolationFacts::default()
        },
        snapshot: manifest.snapshot,
        manifest: found.digest(),
        sequence: manifest.sequence,
        recovery_point: RecoveryPoint {
            time: manifest.time,
            pass: (!manifest.is_pass()).then_some(manifest.full.time),
            oldest_reading: manifest.readings.oldest,
            selected: how,
            signer: manifest.signer.fingerprint(),
            epoch: manifest.epoch,
            storage: request.repository.storage().address().to_owned(),
            is_copy: request.is_copy,
            files: 0,
            accepted: found.accepted().to_vec(),
        },
        opening: OpeningFacts {
            by: String::new(),
            recipient: String::new(),
            sheets: 0,
            threshold: threshold(request.trust, manifest.epoch),
            custodians: Vec::new(),
        },
        inventory: inventory(manifest),
        sample: Sample::default(),
        left_out: Vec::new(),
        not_restored: Vec::new(),
        checks: Vec::new(),
        negative_controls: Vec::new(),
        probes: Vec::new(),
        differences: Vec::new(),
        redacted: request.file.report.redact_names,
        rto_seconds: None,
        served: None,
        rpo_seconds: seconds(manifest.time, to_seconds(started)),
        objectives: ObjectiveFacts {
            rto_seconds: request.file.objectives.rto.map(|rto| rto.as_secs_f64()),
            rpo_seconds: request.file.objectives.rpo.map(|rpo| rpo.as_secs_f64()),
            first_secret_seconds: request.file.objectives.first_secret.map(|time| time.as_secs_f64()),
            ..ObjectiveFacts::default()
        },
        result: Verdict::Aborted,
        deviations: Vec::new(),
        clean_up: CleanUp::default(),
        history: history(request),
        reviews: Vec::new(),
    }
}

fn threshold(trust: &Trust, number: u32) -> u8 {
    trust.epochs().iter().find(|epoch| epoch.number == number).map_or(0, |epoch| epoch.threshold)
}

fn plan(request: &Request<'_>) -> PlanFacts {
    let file = request.file;
    PlanFacts {
        name: request.name.to_owned(),
        version: file.version.clone(),
        sha256: request.digests.file,
        scenario: file.scenario.clone(),
        every_days: file.every_days,
        owner: file.owner.clone(),
        reviewer: file.reviewer.clone(),
        runbook_sha256: request.digests.runbook,
        retention: file.retention.clone(),
    }
}

fn inventory(manifest: &Manifest) -> Inventory {
    let counts = manifest.counts;
    let excluded = manifest.excluded.iter().map(|each| Reason { reason: each.rule.clone(), count: each.secrets });
    let unreadable = manifest
        .unreadable
        .iter()
        .map(|each| Reason { reason: format!("{}: {}", each.operation, each.reason), count: each.count });
    Inventory {
        listed: counts.listed,
        captured: counts.captured,
        excluded: excluded.collect(),
        unreadable: unreadable.collect(),
        vanished: counts.vanished,
        versions: counts.versions,
    }
}

/// The last drills of the same plan.
fn history(request: &Request<'_>) -> History {
    let same: Vec<_> =
        request.past.iter().filter_map(super::Past::verified).filter(|facts| facts.plan() == request.name).collect();
    let recent = &same[same.len().saturating_sub(TREND)..];
    History {
        drills: recent.len() as u64,
        passed: recent.iter().filter(|facts| facts.result == Verdict::Passed).count() as u64,
        rto_seconds: recent.iter().filter_map(|facts| facts.rto_seconds).collect(),
    }
}

/// When the next drill shows whether something is mended.
pub(super) fn retest(every_days: Option<u32>, clock: &dyn Clock) -> Option<Timestamp> {
    to_seconds(clock.now()).checked_add(days(every_days?)).ok()
}
