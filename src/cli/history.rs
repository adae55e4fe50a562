//! The history as every command judges it: with what this host and others remember, and what a person accepts of it.

use jiff::Timestamp;
use serde::Serialize;

use super::{Context, Exit, Failure, survey};
use crate::{
    app::{self, Host},
    clock::{Clock, SystemClock},
    drill,
    model::{Place, PlaceFilter, RepositoryId},
    repo::{self, Accepted, AcceptedFault, Chosen, Judgement, Remembered, RepoError, Repository, Trust},
    status::span,
    storage::Storage,
};

/// What a person lets through.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AcceptArgs {
    /// Continue despite this fault, written exactly as the refusal shows it (repeat)
    #[arg(long = "accept-fault", value_name = "FILE:KIND")]
    pub(super) accepted: Vec<AcceptedFault>,
}

/// What a person knows of the newest snapshot, on a machine that remembers nothing.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CompareArgs {
    /// Compare with another copy: its newest snapshot must be in this history (repeat)
    #[arg(long, value_name = "URL")]
    pub(super) compare: Vec<String>,
    /// The newest snapshot has at least this number (the runbook or the register of custodians shows it)
    #[arg(long, value_name = "NUMBER")]
    pub(super) expect_number: Option<u64>,
    #[command(flatten)]
    pub(super) accept: AcceptArgs,
}

/// How much of the history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The newest part, where this host remembers the rest: enough for the newest snapshots.
    Newest,
    /// All of it.
    Whole,
}

impl Reach {
    /// What a snapshot that is asked for so needs.
    pub(super) fn of(wanted: &str) -> Self {
        if wanted == "latest" { Self::Newest } else { Self::Whole }
    }

    pub(super) async fn judge(
        self,
        repository: &Repository,
        trust: &Trust,
        remembered: &[Remembered],
    ) -> Result<Judgement, RepoError> {
        match self {
            Self::Newest => repository.judge_recent(trust, remembered).await,
            Self::Whole => repository.judge(trust, remembered).await,
        }
    }
}

/// The chosen snapshot for a person who approves it, and for `--json`.
#[derive(Serialize)]
pub(super) struct About<'a> {
    number: u64,
    time: Timestamp,
    age_seconds: i64,
    place: &'a Place,
    /// The oldest reading that its records rest on: what a listing does not show is that old.
    oldest_reading: Option<Timestamp>,
    /// What its source had, where it lost more than it may and nobody accepted that.
    loss: Option<Accepted>,
    /// Faults that were accepted.
    accepted: &'a [AcceptedFault],
    /// Whether somebody outside remembers the newest snapshot: otherwise it may have been removed unseen.
    rollback_excluded: bool,
}

impl<'a> About<'a> {
    pub(super) fn new(chosen: &'a Chosen) -> Self {
        let manifest = chosen.manifest();
        Self {
            number: manifest.sequence,
            time: manifest.time,
            age_seconds: SystemClock.now().duration_since(manifest.time).as_secs(),
            place: &manifest.source,
            oldest_reading: manifest.readings.oldest,
            loss: manifest.loss(),
            accepted: chosen.accepted(),
            rollback_excluded: chosen.is_compared(),
        }
    }
}

/// Says which snapshot it is, what was accepted, and what could not be excluded.
pub(super) fn tell(context: &Context, chosen: &Chosen) {
    let manifest = chosen.manifest();
    context.output.note(&format!(
        "snapshot {}, number {}, of {}, taken {} ({} ago)",
        manifest.snapshot.short(),
        manifest.sequence,
        manifest.source,
        manifest.time,
        span(SystemClock.now().duration_since(manifest.time)),
    ));
    let oldest = manifest.readings.oldest.filter(|oldest| *oldest < manifest.time);
    if let (Some(oldest), Some(hidden)) = (oldest, app::hidden_from_listings(&manifest.source)) {
        context
            .output
            .note(&format!("{hidden} were last read up to {} before that", span(manifest.time.duration_since(oldest))));
    }
    if manifest.loss().is_some_and(|had| had.never_had_any()) {
        context.output.warn("the source of this snapshot listed no secret");
    } else if let Some(had) = manifest.loss() {
        context.output.warn(&format!(
            "the source of this snapshot lost more than is allowed: {} of {} secrets were listed; an earlier snapshot may have more",
            manifest.counts.listed, had.listed
        ));
    }
    for accepted in chosen.accepted() {
        context.output.warn(&format!("fault accepted: {accepted}"));
    }
    if !chosen.is_compared() {
        context.output.warn(
            "a rollback could not be excluded: this machine does not know the newest snapshot (--compare URL, --expect-number NUMBER)",
        );
    }
}

/// Reads and judges the history, with what this host remembers, the drills of the repository, and what the arguments name.
pub(super) async fn judge(
    context: &Context,
    repository: &Repository,
    trust: &Trust,
    args: &CompareArgs,
    reach: Reach,
) -> Result<Judgement, Failure> {
    let mut remembered = of_host(context, repository)?;
    let drills = drill::judge(repository.drills().await?, trust);
    remembered.extend(survey::remembered(None, &[], &drills));
    for url in &args.compare {
        remembered.extend(head_of(url, Storage::open(url)?, repository, trust).await?);
    }
    let judgement = reach.judge(repository, trust, &remembered).await?;
    for said in repo::told(judgement.tombstones()) {
        context.output.warn(&said);
    }
    Ok(judgement.accepting(&args.accept.accepted).expecting(args.expect_number))
}

/// The head of another copy, verified by the same trust.
pub(super) async fn head_of(
    url: &str,
    storage: Storage,
    repository: &Repository,
    trust: &Trust,
) -> Result<Option<Remembered>, Failure> {
    let other = Repository::open(storage).await?;
    if other.id() != repository.id() {
        return Err(Failure::usage(format!("{url} is another repository")));
    }
    let chain = other.chain(trust).await?;
    let head = chain.witness();
    if head.is_none() {
        return Err(Failure::usage(format!("{url} has no snapshot to compare with")));
    }
    let by = format!("the copy at {}", other.storage().address());
    Ok(head.map(|head| Remembered { by, head, holds: true, outside: true }))
}

/// What this host remembers, without asking anybody: its own newest snapshot and what it last saw in the copies; of a copy, what
/// it saw there, because a copy may lag.
pub(super) fn of_host(context: &Context, repository: &Repository) -> Result<Vec<Remembered>, Failure> {
    if !context.global.config.exists() {
        return Ok(Vec::new());
    }
    let host = context.host()?;
    match &context.global.repo {
        Some(address) if *address != host.config.repository.url => {
            let seen = host.copies_seen(repository.id())?.get(address).map(|seen| seen.head);
            Ok(survey::remembered(seen, &[], &[]))
        }
        _ => everywhere(&host, repository.id()),
    }
}

/// What this host remembers of the repository and of every copy.
pub(super) fn everywhere(host: &Host, repository: RepositoryId) -> Result<Vec<Remembered>, Failure> {
    let mut remembered = survey::remembered(host.witness(repository)?, &[], &[]);
    for (url, seen) in host.copies_seen(repository)? {
        let by = format!("the copy at {url} as this host last saw it");
        remembered.push(Remembered { by, head: seen.head, holds: true, outside: true });
    }
    Ok(remembered)
}

/// What went wrong with a snapshot that was being read; another host may have forgotten it meanwhile, and that is no damage.
pub(super) async fn or_forgotten(repository: &Repository, trust: &Trust, chosen: &Chosen, failure: Failure) -> Failure {
    if failure.exit != Exit::Damaged {
        return failure;
    }
    match repository.forgotten_since(trust, chosen).await {
        Ok(Some(gone)) => Failure::new(Exit::Failed, format!("{gone}, while it was read: {}", failure.message))
            .hint("choose another snapshot (`lifeboat list`); a locked copy may still have this one (--repo)"),
        _ => failure,
    }
}

/// Finds a snapshot: `latest` of one source, or by the beginning of its id.
pub(super) fn find(judgement: &Judgement, wanted: &str, source: Option<&PlaceFilter>) -> Result<Chosen, Failure> {
    let found = if wanted == "latest" { judgement.newest(source) } else { judgement.by_id(wanted, source) };
    Ok(found?)
}
