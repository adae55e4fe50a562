//! `lifeboat watch`

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::{after, owed::Note};
use crate::{
    app::{self, Host, HostError},
    cli::{
        Context, Exit, Failure, asked_to_stop,
        copying::{self, copy_to},
        history::{self, AcceptArgs, Reach},
        hooks,
        output::plural,
        streams, terminal, trail,
    },
    clock::{Clock as _, SystemClock},
    config::SourceSection,
    fsutil,
    model::{Place, PlaceFilter, RepositoryId, SnapshotId},
    progress::Silent,
    provider::{EventQueue, Hint, Message, ProviderError, Source, Told},
    repo::{Fault, LossGuard, VerifiedManifest},
    snapshot::{self, EventReport, Request, Rules, SnapshotError},
    text,
};

/// How long one request waits for a message: the longest that SQS allows.
const WAIT: Duration = Duration::from_secs(20);
/// The same where nobody is to wait; less would ask a part of the queue alone.
const SHORT: Duration = Duration::from_secs(2);
/// How long a message that was given is hidden from others: until it is captured. After that it comes again.
const HIDDEN: Duration = Duration::from_mins(10);
/// How long a capture waits for another run of this host. What comes after is given again.
const LOCK: Duration = Duration::from_mins(8);
/// Messages that become one snapshot. A rotation of many secrets comes as many messages in a few seconds.
const MOST: usize = 500;
/// How long messages are gathered.
const GATHER: Duration = Duration::from_secs(5);
/// Between two tries of a queue that cannot be asked.
const PAUSES: [u64; 6] = [1, 2, 5, 15, 30, 60];

/// Capture secrets within a minute of a change, until ^C
///
/// Waits at the queue that each source names, and captures the secrets of which its messages tell. Such a snapshot is complete:
/// it takes over everything else from the newest one. `lifeboat snapshot` stays the daily pass over everything.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat schedule events           print what brings changes to the queue
  lifeboat watch
  lifeboat watch --once              capture what waits in the queue, and stop
  lifeboat watch --source 111111111111:eu-central-1

A message is a hint and nothing more: the secret is read as always. Messages leave the queue when
the snapshot is stored. What cannot be read comes again; a message that is none stays, and SQS
moves it to the queue for dead letters.

Hooks of the configuration with on = [\"event\"] run after a capture (docs/standby.md).

Exit codes: 0 everything of which a message told was captured, 3 something was not, a copy is not
up to date, a hook failed, or something is wrong in the history of the repository.")]
pub struct Args {
    /// Capture what waits in the queues and stop
    #[arg(long)]
    once: bool,
    /// Do not write the configured copies
    #[arg(long)]
    no_copy: bool,
    /// Watch only this source (repeat)
    #[arg(long = "source", value_name = "ACCOUNT[:REGION]")]
    sources: Vec<PlaceFilter>,
    #[command(flatten)]
    accept: AcceptArgs,
}

/// A source and its queue.
struct Watched {
    repository: RepositoryId,
    section: SourceSection,
    source: Arc<dyn Source>,
    place: Place,
    queue: Arc<dyn EventQueue>,
}

/// A snapshot that messages led to.
pub(super) struct Capture {
    pub(super) repository: RepositoryId,
    /// `None` where it is not known whether an earlier run came to it.
    pub(super) snapshot: Option<SnapshotId>,
    pub(super) place: Place,
    /// The secrets that were different.
    pub(super) changed: Vec<String>,
    /// What it owes to hooks.
    pub(super) note: Option<Note>,
}

/// What a queue gave.
struct Batch {
    /// Whose.
    at: usize,
    given: Result<Vec<Message>, ProviderError>,
}

/// What a run did.
#[derive(Default, Serialize)]
struct Totals {
    messages: u64,
    /// Messages that are none of the source, by why.
    strange: BTreeMap<&'static str, u64>,
    captures: u64,
    secrets_read: u64,
    secrets_changed: u64,
    /// Readings that failed; their messages come again.
    failed: u64,
    /// Secrets that were not there.
    gone: u64,
    excluded: u64,
    /// Parts of secrets that could not be read.
    unreadable: u64,
    /// Requests to a queue, and captures, that failed.
    errors: u64,
    copies_behind: u64,
    /// Hooks that left something undone.
    hooks_failed: u64,
    /// From a change to the snapshot that has it: the longest.
    slowest_seconds: Option<i64>,
    newest_snapshot: Option<String>,
    /// What is wrong in the history beside its head: each fault once.
    history: Vec<Fault>,
}

pub(in crate::cli) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let mut stop = pin!(asked_to_stop());
    let host = context.host()?;
    let watched = tokio::select! {
        watched = connect(context, &host, &args) => watched?,
        () = &mut stop => return Err(terminal::interrupted()),
    };
    let (sender, mut batches) = mpsc::channel(1);
    for (at, watched) in watched.iter().enumerate() {
        tokio::spawn(listen(at, Arc::clone(&watched.queue), args.once, sender.clone()));
    }
    drop(sender);
    let mut totals = Totals::default();
    make_up(context, &host, &watched, &mut totals).await?;
    loop {
        let batch = tokio::select! {
            batch = batches.recv() => batch,
            () = &mut stop => break,
        };
        let Some(Batch { at, given }) = batch else { break };
        let watched = &watched[at];
        let captured = match given {
            Err(error) => Err(error.into()),
            Ok(messages) => tokio::select! {
                captured = take(context, (&host, watched), &args, (messages, &mut totals)) => captured,
                // The messages are still in the queue.
                () = &mut stop => return Err(terminal::interrupted()),
            },
        };
        let followed = match captured {
            // What is captured is followed also where its messages could not be removed: given again, they tell of nothing new.
            Ok((Some(capture), removed)) => follow(context, &host, &args, (&capture, &mut totals)).await.and(removed),
            Ok((None, removed)) => removed,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = followed {
            if args.once || ends_the_run(&failure) {
                return Err(failure);
            }
            totals.errors += 1;
            context.output.warn(&format!("{}: {}", watched.place.short(), failure.message));
        }
        if streams::is_lost() {
            break;
        }
    }
    Ok(tell(context, &totals))
}

/// What no later try changes.
fn ends_the_run(failure: &Failure) -> bool {
    matches!(failure.exit, Exit::Refused | Exit::Usage | Exit::Damaged | Exit::Interrupted)
}

/// Connects to every source that has a queue.
async fn connect(context: &Context, host: &Host, args: &Args) -> Result<Vec<Watched>, Failure> {
    let (repository, trust) = context.repository(host).await?;
    trail::begin(context, &repository, &trust);
    let estate = host.estate().await?;
    let may_be = |section: &&SourceSection| {
        args.sources.is_empty() || args.sources.iter().any(|filter| app::may_be(section, filter))
    };
    let sections: Vec<SourceSection> = estate.sections.iter().filter(may_be).cloned().collect();
    let mut watched = Vec::new();
    for section in sections {
        let Some(name) = section.queue.clone() else {
            context
                .output
                .note(&format!("{} has no queue: its changes come with the next `lifeboat snapshot`", section.url));
            continue;
        };
        let kind = section.url.kind();
        let feed = kind.ops().events().ok_or_else(|| {
            Failure::usage(format!("Lifeboat knows of nothing that tells of changes in {}", section.url))
                .hint("remove `queue` from this source; `lifeboat snapshot` captures it")
        })?;
        let found = estate.find(section, host).await;
        let (source, place) = found.outcome?;
        if !(args.sources.is_empty() || args.sources.iter().any(|filter| filter.means(&place))) {
            continue;
        }
        let connection = app::plain(&found.section);
        let queue = feed.open(&name, (&found.section.url, &place.account), &connection).await?;
        let (repository, queue) = (repository.id(), Arc::from(queue));
        watched.push(Watched { repository, section: found.section, source, place, queue });
    }
    if watched.is_empty() {
        return Err(Failure::usage("no source that is meant has a queue")
            .hint("`lifeboat schedule events` prints what to set up; then add queue = \"NAME\" to the source"));
    }
    let named: Vec<String> = watched.iter().map(|it| text::line(&it.place.short()).into_owned()).collect();
    context.output.note(&format!("watching {}", named.join(", ")));
    Ok(watched)
}

/// Hands over what a queue gives, until nobody takes it, or once until it is empty.
async fn listen(at: usize, queue: Arc<dyn EventQueue>, once: bool, sender: mpsc::Sender<Batch>) {
    let mut failures = 0;
    loop {
        let given = match queue.receive(if once { SHORT } else { WAIT }, HIDDEN).await {
            Ok(messages) if messages.is_empty() => {
                failures = 0;
                if once {
                    return;
                }
                continue;
            }
            Ok(messages) => {
                failures = 0;
                Ok(gather(&*queue, messages).await)
            }
            Err(error) => {
                failures += 1;
                Err(error)
            }
        };
        let is_failed = given.is_err();
        if sender.send(Batch { at, given }).await.is_err() || (once && is_failed) {
            return;
        }
        if is_failed {
            let pause = PAUSES[(failures - 1).min(PAUSES.len() - 1)];
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }
}

/// More messages that come in the next seconds: one snapshot has all of them.
async fn gather(queue: &dyn EventQueue, mut messages: Vec<Message>) -> Vec<Message> {
    let begun = Instant::now();
    while messages.len() < MOST && begun.elapsed() < GATHER {
        // What fails now fails again, and is told then.
        match queue.receive(Duration::from_secs(1), HIDDEN).await {
            Ok(more) if !more.is_empty() => messages.extend(more),
            _ => break,
        }
    }
    messages
}

/// Captures what messages tell of, and takes them out of the queue; that this failed is told beside what was captured.
async fn take(
    context: &Context,
    (host, watched): (&Host, &Watched),
    args: &Args,
    (messages, totals): (Vec<Message>, &mut Totals),
) -> Result<(Option<Capture>, Result<(), Failure>), Failure> {
    totals.messages += messages.len() as u64;
    trail::count("messages", messages.len() as u64);
    let mut hints: Vec<Hint> = Vec::new();
    let mut settled = Vec::new();
    let mut changes: Vec<(String, String, Option<Timestamp>)> = Vec::new();
    for Message { receipt, told, happened } in messages {
        match told {
            Told::Change(hint) => {
                changes.push((hint.name.clone(), receipt, happened));
                hints.push(hint);
            }
            Told::Nothing => settled.push(receipt),
            Told::Strange(why) => *totals.strange.entry(why).or_default() += 1,
        }
    }
    let mut captured = None;
    if !hints.is_empty() {
        let names = hints.iter().map(|hint| hint.name.clone()).collect();
        let note = after::owe(host, watched.repository, &watched.place, names)?;
        let of = (watched.repository, &watched.place);
        let mut times: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for (name, _, happened) in &changes {
            let Some(happened) = *happened else { continue };
            times.entry(name).and_modify(|first| *first = happened.min(*first)).or_insert(happened);
        }
        let (report, by_a_pass) = match capture(context, (host, watched), args, (&hints, &times)).await {
            Ok(done) => done,
            Err(failure) => {
                // Its snapshot may be there all the same, and the next one then finds nothing new: the note stays.
                if let Err(error) = after::leave(host, of) {
                    context.output.warn(&error.message);
                }
                return Err(failure);
            }
        };
        let is_failed = |name: &str| report.failed.iter().any(|(failed, _)| failed == name);
        let done = || changes.iter().filter(|(name, ..)| !is_failed(name));
        let slowest = done().filter_map(|(.., happened)| *happened).min();
        settled.extend(done().map(|(_, receipt, _)| receipt.clone()));
        tell_of(context, watched, &report, (slowest, totals));
        let mut changed = report.changed;
        if let Some(note) = &note {
            let names: Vec<String> = done().map(|(name, ..)| name.clone()).collect();
            if !by_a_pass.is_empty() {
                let what = plural(by_a_pass.len() as u64, "change");
                context.output.note(&format!("{}: a complete snapshot has {what} already", watched.place.short()));
            }
            changed.extend(by_a_pass);
            changed.extend(after::take_over(host, of, note, &names)?);
            changed.sort_unstable();
            changed.dedup();
        }
        if report.manifest.is_none() && changed.is_empty() {
            note.as_ref().map_or(Ok(()), Note::settle)?;
        } else {
            captured = Some(Capture {
                repository: watched.repository,
                snapshot: report.manifest.map(|manifest| manifest.manifest().snapshot),
                place: watched.place.clone(),
                changed,
                note,
            });
        }
    }
    let removed = watched.queue.remove(&settled).await.map_err(Failure::from);
    Ok((captured, removed))
}

/// What follows a capture: the hooks, and the copies.
async fn follow(
    context: &Context,
    host: &Host,
    args: &Args,
    (capture, totals): (&Capture, &mut Totals),
) -> Result<(), Failure> {
    run_hooks(context, host, capture, totals).await?;
    if args.no_copy { Ok(()) } else { copy(context, host, args, totals).await }
}

async fn run_hooks(context: &Context, host: &Host, capture: &Capture, totals: &mut Totals) -> Result<(), Failure> {
    let reports = after::run(context, host, capture).await?;
    if hooks::are_interrupted(&reports) {
        return Err(terminal::interrupted());
    }
    totals.hooks_failed += reports.iter().filter(|report| report.outcome.is_fault()).count() as u64;
    Ok(())
}

/// The hooks that runs which were killed did not reach.
async fn make_up(context: &Context, host: &Host, watched: &[Watched], totals: &mut Totals) -> Result<(), Failure> {
    let places: Vec<&Place> = watched.iter().map(|watched| &watched.place).collect();
    let Some(repository) = watched.first().map(|watched| watched.repository) else { return Ok(()) };
    for capture in after::left(host, repository, &places)? {
        context.output.note("an earlier run ended before the hooks of a change: they run now");
        run_hooks(context, host, &capture, totals).await?;
    }
    Ok(())
}

/// Captures secrets; also gives those whose change a complete pass captured before anybody told of it.
async fn capture(
    context: &Context,
    (host, watched): (&Host, &Watched),
    args: &Args,
    (hints, times): (&[Hint], &BTreeMap<&str, Timestamp>),
) -> Result<(EventReport, Vec<String>), Failure> {
    // Signers and keys may be others since the last capture.
    let (repository, trust) = context.repository(host).await?;
    let _lock = lock(context, host, repository.id()).await?;
    let judgement = repository.judge_recent(&trust, &history::of_host(context, &repository)?).await?;
    let judgement = judgement.accepting(&args.accept.accepted);
    let appending = judgement.for_appending()?;
    host.see_forgotten(repository.id(), &judgement.chain().records, SystemClock.now())?;
    let (sealing, witness) = (host.drill_sealing()?, host.witness(repository.id())?);
    let (signer, index_key, scratch) = (host.signer()?, host.index_key()?, host.scratch());
    let section = &watched.section;
    let request = Request {
        repository: &repository,
        source: Arc::clone(&watched.source),
        account: section.account.as_deref(),
        trust: &trust,
        witness: witness.as_ref(),
        signer: &signer,
        index_key: &index_key,
        rules: Rules {
            exclude: &section.capture.exclude,
            exclude_deleted: section.capture.exclude_deleted,
            sweep_days: section.capture.sweep_days,
            sweep_minutes: section.capture.sweep_minutes,
            guard: LossGuard { share: 100, least: u64::MAX, expects_some: false },
            accept_drop: None,
        },
        journal: None,
        scratch: Some(&scratch),
        drill: sealing.as_ref(),
        config: Some(host.config_file()),
        clock: &SystemClock,
        progress: &Silent,
    };
    let report = snapshot::capture(&request, (&appending, &appending.tip()), hints).await.map_err(not_now)?;
    if let Some(manifest) = &report.manifest {
        host.remember(manifest)?;
        trail::snapshot(manifest.manifest().snapshot);
        let last = manifest.manifest().sequence;
        if let Err(error) = repository.bundle_after(last - 1, last).await {
            tracing::warn!(%error, "no bundle of manifests was written");
        }
    }
    let is_by_a_pass = |(name, read): &&(String, Timestamp)| {
        let happened = times.get(name.as_str());
        happened.is_some_and(|time| snapshot::came_by_a_pass(judgement.chain(), &watched.place, *read, *time))
    };
    let by_a_pass = report.still.iter().filter(is_by_a_pass).map(|(name, _)| name.clone()).collect();
    Ok((report, by_a_pass))
}

/// What is missing for a capture comes with the next pass: until then the messages stay in the queue.
fn not_now(error: SnapshotError) -> Failure {
    let is_healed = matches!(error, SnapshotError::NoPass(..) | SnapshotError::Gone(_));
    let failure = Failure::from(error);
    if is_healed { Failure { exit: Exit::Incomplete, ..failure } } else { failure }
}

/// The right to write, which a long snapshot of this host may have for hours.
async fn lock(context: &Context, host: &Host, repository: crate::model::RepositoryId) -> Result<fsutil::Lock, Failure> {
    let begun = Instant::now();
    loop {
        match host.lock(repository) {
            Err(HostError::Locked(_)) if begun.elapsed() < LOCK => {
                if begun.elapsed() < Duration::from_secs(2) {
                    context.output.note("waiting for another run of this host");
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            other => return Ok(other?),
        }
    }
}

fn tell_of(
    context: &Context,
    watched: &Watched,
    report: &EventReport,
    (slowest, totals): (Option<Timestamp>, &mut Totals),
) {
    let EventReport { manifest, read, changed, still: _, excluded, gone, failed, unreadable, history } = report;
    for fault in history {
        if !totals.history.contains(fault) {
            context.output.warn(&format!("history: {fault}"));
            totals.history.push(fault.clone());
        }
    }
    let seconds = slowest.map(|happened| SystemClock.now().duration_since(happened).as_secs().max(0));
    totals.secrets_read += read.len() as u64;
    totals.secrets_changed += changed.len() as u64;
    totals.excluded += excluded.len() as u64;
    totals.gone += gone.len() as u64;
    totals.failed += failed.len() as u64;
    totals.unreadable += unreadable.len() as u64;
    trail::count("secrets", read.len() as u64);
    let place = watched.place.short();
    for (name, reason) in failed {
        context.output.warn(&format!("{place}: {name} could not be read and is tried again: {reason}"));
    }
    for name in gone {
        context.output.note(&format!("{place}: {name} is not there; the next `lifeboat snapshot` decides"));
    }
    for item in unreadable {
        context.output.warn(&format!("{place}: {} of {}: {}", item.operation, item.name, item.reason));
    }
    let Some(manifest) = manifest.as_ref().map(VerifiedManifest::manifest) else {
        let text = format!("{place}: {} as the newest snapshot has them", plural(read.len() as u64, "secret"));
        context.output.note(&text);
        return;
    };
    totals.captures += 1;
    totals.slowest_seconds = totals.slowest_seconds.max(seconds);
    totals.newest_snapshot = Some(manifest.snapshot.to_string());
    let after = seconds.map(|seconds| format!(", {seconds} s after the first change")).unwrap_or_default();
    let what = plural(changed.len() as u64, "changed secret");
    let event = json!({
        "event": "captured", "source": place, "snapshot": manifest.snapshot, "sequence": manifest.sequence,
        "time": manifest.time, "secrets": changed.len(), "seconds_after_change": seconds,
    });
    let text = format!("{place}: snapshot {} (number {}), {what}{after}", manifest.snapshot.short(), manifest.sequence);
    context.output.event(&event, &text);
}

async fn copy(context: &Context, host: &Host, args: &Args, totals: &mut Totals) -> Result<(), Failure> {
    let sections = &host.config.copies;
    if sections.is_empty() {
        return Ok(());
    }
    let (repository, trust) = context.repository(host).await?;
    let _lock = lock(context, host, repository.id()).await?;
    let copied = copy_to(context, host, &repository, &trust, sections, &args.accept, (Reach::Newest, false)).await?;
    copying::warn(context, &copied);
    totals.copies_behind = copied.iter().filter(|copied| !copied.is_up_to_date()).count() as u64;
    Ok(())
}

fn tell(context: &Context, totals: &Totals) -> Exit {
    trail::count("secrets_unreadable", totals.unreadable);
    let strange: u64 = totals.strange.values().sum();
    for (why, count) in &totals.strange {
        let messages = plural(*count, "message");
        context.output.warn(&format!("{messages} left in the queue: {why}"));
    }
    context.output.result(totals, || {
        format!(
            "{}, {}, {} changed{}",
            plural(totals.messages, "message"),
            plural(totals.captures, "snapshot"),
            plural(totals.secrets_changed, "secret"),
            totals.slowest_seconds.map(|seconds| format!(", at most {seconds} s after the change")).unwrap_or_default()
        )
    });
    let undone =
        strange + totals.failed + totals.unreadable + totals.errors + totals.copies_behind + totals.hooks_failed;
    if undone == 0 && totals.history.is_empty() { Exit::Complete } else { Exit::Incomplete }
}
