//! `lifeboat snapshot`

mod print;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, stream};

use super::{
    Context, Exit, Failure,
    copying::{Copied, copy_to},
    history::{self, AcceptArgs, Reach},
    output::plural,
    trail,
    watch::Watch,
};
use crate::{
    app::{self, Estate, Found, Host},
    clock::{Clock, SystemClock},
    config::{CaptureSection, Sources},
    crypto::{IndexKey, Signer},
    model::{Digest, Place, PlaceFilter},
    progress::Progress,
    provider::{LeftOut, Source},
    repo::{Appending, Chain, LossGuard, Repository, Subset, Tip, Trust, Witness},
    snapshot::{self, DrillSealing, Report, Request, Rules},
};

/// Sources captured at the same time; each has its own quotas.
const AT_ONCE: usize = 4;
/// Sources whose account is asked for at the same time.
const ASKED_AT_ONCE: usize = 16;

/// Capture every version of every secret in a sealed snapshot, and bring the copies up to date
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat snapshot
  lifeboat snapshot --config /etc/lifeboat/lifeboat.toml --json
  lifeboat snapshot --source 111111111111:eu-central-1
  lifeboat snapshot --accept-drop 111111111111:eu-central-1=240
  lifeboat snapshot --shard $((JOB_COMPLETION_INDEX + 1))/8 --no-copy

On a terminal, progress shows the rate, the provider's quota and the time left. With --json,
progress is lines on stderr: {\"event\": \"progress\", \"state\": \"begin\" | \"running\" | \"end\",
source, phase, done, total, per_second, limit_per_second, seconds_left}.
A phase writes at most one line a second. A field that is not known is null.

Each source is captured into its own snapshot, several at the same time. A source that fails
does not stop the others. Exit code 3: a secret or a whole source is missing, or a source
lists no secret; the message names it.")]
pub struct Args {
    /// Do not write the configured copies
    #[arg(long)]
    no_copy: bool,
    /// Read every secret again, even if the listing shows no change
    #[arg(long)]
    full: bool,
    /// Capture only this source (repeat)
    #[arg(long = "source", value_name = "ACCOUNT[:REGION]")]
    sources: Vec<PlaceFilter>,
    /// Capture only part PART of OF parts, from 1; each source is in the same part on every host
    #[arg(long, value_name = "PART/OF", value_parser = shard)]
    shard: Option<Subset>,
    /// Accept that a source has lost secrets or versions, down to this number of listed secrets (repeat)
    #[arg(long = "accept-drop", value_name = "ACCOUNT:REGION=COUNT", value_parser = accepted_drop)]
    drops: Vec<AcceptedDrop>,
    #[command(flatten)]
    accept: AcceptArgs,
}

/// A loss that a person accepts, for one run.
#[derive(Clone, Debug)]
struct AcceptedDrop {
    place: PlaceFilter,
    down_to: u64,
}

fn accepted_drop(text: &str) -> Result<AcceptedDrop, String> {
    let parts = text.rsplit_once('=').and_then(|(place, count)| Some((place.parse().ok()?, count.parse().ok()?)));
    let (place, down_to) = parts.filter(|_| text.contains(':')).ok_or_else(|| {
        format!(
            "{text:?} is not a loss to accept (expected ACCOUNT:REGION=COUNT, such as 111111111111:eu-central-1=240)"
        )
    })?;
    Ok(AcceptedDrop { place, down_to })
}

fn shard(text: &str) -> Result<Subset, String> {
    text.parse().map_err(|_| format!("{text:?} is not a shard (expected PART/OF, from 1/OF to OF/OF, such as 3/8)"))
}

/// What a run captures.
struct Chosen {
    found: Vec<Found>,
    estate: Estate,
    /// Every account that is named anywhere.
    accounts: Vec<String>,
}

/// What all captures of a run share.
struct Run<'a> {
    host: &'a Host,
    repository: &'a Repository,
    trust: &'a Trust,
    appending: Appending<'a>,
    tip: Tip,
    witness: Option<Witness>,
    signer: Signer,
    index_key: IndexKey,
    sealing: Option<DrillSealing>,
    full: bool,
    /// Losses that a person accepts.
    drops: &'a [AcceptedDrop],
    /// Whether the configuration means one source, whose run is the source's.
    alone: bool,
    /// The newest snapshot of this run that the host remembers.
    remembered: Mutex<u64>,
}

/// What became of one source.
struct Captured {
    name: String,
    outcome: Result<Report, Failure>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let _lock = host.lock(repository.id())?;
    trail::begin(context, &repository, &trust);
    let mut chosen = choose(&host, &args).await?;
    refuse_strange_drops(&args.drops, &chosen.found)?;
    let sealing = host.drill_sealing()?;
    if host.config.drill.full && sealing.is_some() {
        context.output.note(
            "every value is sealed to the drill key too ([drill] full): anyone with that key can read every secret",
        );
    }
    let judgement = repository.judge_recent(&trust, &history::of_host(context, &repository)?).await?;
    let judgement = judgement.accepting(&args.accept.accepted);
    let appending = judgement.for_appending()?;
    host.see_forgotten(repository.id(), &judgement.chain().records, SystemClock.now())?;
    for accepted in appending.accepted() {
        context.output.warn(&format!("fault accepted: {accepted}"));
    }
    chosen.estate.miss(judgement.chain().newest().into_keys(), &host.config.sources);
    tell_left_out(context, &host, &chosen, judgement.chain());
    let alone = chosen.estate.is_one(&host.config.sources);
    let run = Run {
        host: &host,
        repository: &repository,
        trust: &trust,
        tip: appending.tip(),
        appending,
        witness: host.witness(repository.id())?,
        signer: host.signer()?,
        index_key: host.index_key()?,
        sealing,
        full: args.full,
        drops: &args.drops,
        alone,
        remembered: Mutex::new(0),
    };
    let mut captured = run.capture(context, chosen.found).await;
    if alone && let Some(failure) = captured.pop_if(|one| one.outcome.is_err()).and_then(|one| one.outcome.err()) {
        return Err(failure);
    }
    // For readers that remember nothing; a later run makes up for what fails.
    let number = |one: &Captured| one.outcome.as_ref().ok().map(|report| report.manifest.manifest().sequence);
    let (before, last) = (judgement.chain().last_number(), captured.iter().filter_map(number).max());
    if let Err(error) = repository.bundle_after(before, last.unwrap_or(before)).await {
        tracing::warn!(%error, "no bundle of manifests was written");
    }
    let is_there = captured.iter().any(|one| one.outcome.is_ok());
    note(&captured);
    let sections = if args.no_copy || !is_there { &[][..] } else { &host.config.copies };
    let copies = copy_to(context, &host, &repository, &trust, sections, &args.accept, (Reach::Newest, false)).await?;
    print::print(context, &captured, &chosen.estate.left_out, &copies, alone);
    let exit = exit(&captured, &copies);
    let is_missed = chosen.estate.left_out.iter().any(LeftOut::is_missed);
    Ok(if is_missed && exit == Exit::Complete { Exit::Incomplete } else { exit })
}

/// A loss is accepted of a source that this run captures, or the word was for nothing.
fn refuse_strange_drops(drops: &[AcceptedDrop], found: &[Found]) -> Result<(), Failure> {
    let means = |drop: &AcceptedDrop| {
        found.iter().any(|found| found.outcome.as_ref().is_ok_and(|(_, place)| drop.place.means(place)))
    };
    match drops.iter().find(|drop| !means(drop)) {
        Some(drop) => Err(Failure::usage(format!("--accept-drop: no source of this run is {}", drop.place))),
        None => Ok(()),
    }
}

/// Names the accounts that are not captured though they were, or though nobody excluded them.
fn tell_left_out(context: &Context, host: &Host, chosen: &Chosen, chain: &Chain) {
    for left in chosen.estate.left_out.iter().filter(|left| !left.is_excluded()) {
        let words = left.to_string();
        if left.is_missed() { context.output.warn(&words) } else { context.output.note(&words) }
    }
    if matches!(host.config.sources, Sources::Organization(_)) {
        let known = |account: &str| chosen.accounts.iter().any(|known| known == account);
        let before: BTreeSet<&str> = chain.newest().into_keys().map(|place| place.account.as_str()).collect();
        for account in before.into_iter().filter(|account| !known(account)) {
            context.output.note(&format!("account {account} was captured before and is no longer in the organization"));
        }
    }
}

/// The sources of the configuration, of the shard, and of `--source`.
async fn choose(host: &Host, args: &Args) -> Result<Chosen, Failure> {
    let estate = host.estate().await?;
    let may_be = |found: &&crate::config::SourceSection| {
        args.sources.is_empty() || args.sources.iter().any(|filter| app::may_be(found, filter))
    };
    let sections: Vec<_> = estate.sections.iter().filter(may_be).cloned().collect();
    let found = stream::iter(sections).map(|section| estate.find(section, host)).buffered(ASKED_AT_ONCE);
    let mut found: Vec<Found> = found.collect().await;
    app::refuse_twins(&found)?;
    let wanted = |place: &Place| {
        let shard = args.shard.is_none_or(|shard| shard.holds(&Digest::of(place.short().as_bytes())));
        shard && (args.sources.is_empty() || args.sources.iter().any(|filter| filter.means(place)))
    };
    // One that does not say where it leads is everybody's failure: nobody may take it for another's.
    found.retain(|found| found.outcome.as_ref().map_or(true, |(_, place)| wanted(place)));
    if found.is_empty() && !args.sources.is_empty() && args.shard.is_none() {
        let filters: Vec<String> = args.sources.iter().map(ToString::to_string).collect();
        return Err(Failure::usage(format!("no configured source matches {}", filters.join(" or ")))
            .hint("[source] of the configuration, or the organization, lists the sources"));
    }
    let accounts = estate.sections.iter().filter_map(|section| section.account.clone());
    let accounts = accounts.chain(estate.left_out.iter().map(|left| left.account.clone())).collect();
    Ok(Chosen { found, estate, accounts })
}

impl Run<'_> {
    /// Captures the sources side by side, in the order of the configuration.
    async fn capture(&self, context: &Context, found: Vec<Found>) -> Vec<Captured> {
        let watch = Watch::new(context.output.json);
        let several = found.len() > 1;
        // One of several, by --source or --shard, is named too.
        let named = several || !self.alone;
        let captures = stream::iter(found).map(async |found| {
            let name = name(&found);
            let outcome =
                if named { self.one(found, &*watch.part(&name)).await } else { self.one(found, &watch).await };
            if several {
                context.output.note(&format!("{name}: {}", said(&outcome)));
            }
            Captured { name, outcome }
        });
        let captured = captures.buffered(AT_ONCE).collect().await;
        watch.done();
        captured
    }

    async fn one(&self, found: Found, progress: &dyn Progress) -> Result<Report, Failure> {
        let Found { section, is_one_of_many, outcome } = found;
        let role = section.access.role.as_ref();
        let by_role = |failure: Failure| match role {
            Some(role) => Failure { message: format!("{} (by {role})", failure.message), ..failure },
            None => failure,
        };
        let (source, place) = outcome.map_err(|error| by_role(error.into()))?;
        let source: Arc<dyn Source> = source;
        let request = Request {
            repository: self.repository,
            source,
            account: section.account.as_deref(),
            trust: self.trust,
            witness: self.witness.as_ref(),
            signer: &self.signer,
            index_key: &self.index_key,
            rules: self.rules(&section.capture, &place, !is_one_of_many),
            journal: Some(&self.journal(&place)),
            scratch: Some(&self.host.scratch()),
            drill: self.sealing.as_ref(),
            config: Some(self.host.config_file()),
            clock: &SystemClock,
            progress,
        };
        let report =
            snapshot::run_after(&request, &self.appending, &self.tip).await.map_err(|error| by_role(error.into()))?;
        self.remember(&report)?;
        Ok(report)
    }

    fn rules<'s>(&self, capture: &'s CaptureSection, place: &Place, expects_some: bool) -> Rules<'s> {
        Rules {
            exclude: &capture.exclude,
            exclude_deleted: capture.exclude_deleted,
            sweep_days: if self.full { 0 } else { capture.sweep_days },
            sweep_minutes: capture.sweep_minutes,
            guard: LossGuard { share: capture.drop_percent, least: capture.drop_minimum, expects_some },
            accept_drop: self.drops.iter().find(|drop| drop.place.means(place)).map(|drop| drop.down_to),
        }
    }

    /// One source alone keeps the folder it always had; several have one each.
    fn journal(&self, place: &Place) -> PathBuf {
        let folder = self.host.journal_path(self.repository.id());
        if self.alone { folder } else { folder.join(folder_name(place)) }
    }

    fn remember(&self, report: &Report) -> Result<(), Failure> {
        let mut newest = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = report.manifest.manifest().sequence;
        if sequence > *newest {
            self.host.remember(&report.manifest)?;
            *newest = sequence;
        }
        Ok(())
    }
}

/// A folder for a place: what a server calls itself is no path.
fn folder_name(place: &Place) -> String {
    let name = format!("{}.{}", place.account, place.region);
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') && !name.contains("..");
    if is_plain { name } else { Digest::of(name.as_bytes()).to_string() }
}

/// A source for people: the account is the configuration's word, or what was found.
fn name(found: &Found) -> String {
    let section = &found.section;
    match (&found.outcome, &section.access.role, &section.access.profile) {
        (Ok((_, place)), ..) => place.short(),
        (_, Some(role), _) => format!("{} by {role}", section.url),
        (_, _, Some(profile)) => format!("{} with profile {profile}", section.url),
        _ => section.url.to_string(),
    }
}

fn said(outcome: &Result<Report, Failure>) -> String {
    match outcome {
        Ok(report) => {
            let manifest = report.manifest.manifest();
            let secrets = plural(manifest.counts.captured, "secret");
            format!("snapshot {} (number {}), {secrets}", manifest.snapshot.short(), manifest.sequence)
        }
        Err(failure) => format!("NOT CAPTURED: {}", failure.message),
    }
}

/// What was captured, for the audit trail.
fn note(captured: &[Captured]) {
    trail::count("sources", captured.len() as u64);
    for report in captured.iter().filter_map(|one| one.outcome.as_ref().ok()) {
        let manifest = report.manifest.manifest();
        trail::snapshot(manifest.snapshot);
        trail::count("secrets", manifest.counts.captured);
        trail::count("secrets_unreadable", manifest.counts.unreadable);
        trail::count("values_read", manifest.counts.values_read);
    }
}

fn is_complete(report: &Report) -> bool {
    report.unreadable.is_empty() && report.history.is_empty() && report.loss.is_none()
}

/// Complete, incomplete, or what all of them failed with.
fn exit(captured: &[Captured], copies: &[Copied]) -> Exit {
    let failed: Vec<Exit> = captured.iter().filter_map(|one| Some(one.outcome.as_ref().err()?.exit)).collect();
    match failed.first() {
        Some(first) if failed.len() == captured.len() => {
            if failed.iter().all(|exit| exit == first) {
                *first
            } else {
                Exit::Failed
            }
        }
        None if captured.iter().filter_map(|one| one.outcome.as_ref().ok()).all(is_complete)
            && copies.iter().all(Copied::is_up_to_date) =>
        {
            Exit::Complete
        }
        _ => Exit::Incomplete,
    }
}
