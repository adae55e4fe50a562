//! The run of this process for the audit trail: what it did, in counts, left as one entry when it ends.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Context, Exit, Failure, Output, audit::is_of, envelope, environment, quorum::Opened};
use crate::{
    app::{Host, OpenRun, leave_alone},
    clock::{Clock, SystemClock, to_seconds},
    crypto::Signer,
    model::{Place, SnapshotId},
    repo::{AuditRun, Note, Repository, Trust, random_chain},
    text,
};

/// A storage that does not answer must not hold a run that is done.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nor somebody who asked for the end.
const IMPATIENCE: Duration = Duration::from_secs(5);
/// Snapshots and files that one entry names; the others are counted.
const NAMED: usize = 64;

static OPEN: Mutex<Option<Open>> = Mutex::new(None);

/// A run that leaves an entry.
struct Open {
    repository: Repository,
    epoch: u32,
    by: By,
    run: AuditRun,
}

/// Who signs.
enum By {
    /// This host; `is_main`: the repository that was opened is the configured one.
    Host { host: Box<Host>, signer: Signer, open: Option<OpenRun>, is_main: bool },
    /// The root, by a quorum on a machine that is no backup host of this repository.
    Root(Signer),
}

fn open() -> MutexGuard<'static, Option<Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on this run leaves an entry, signed by this host.
pub(super) fn begin(context: &Context, repository: &Repository, trust: &Trust) {
    if open().is_some() || is_exempt() {
        return;
    }
    let begun = of_host(context, repository, trust);
    match begun {
        Ok(Some(begun)) => *open() = Some(begun),
        // The command itself says what is wrong with the key.
        Ok(None) => {}
        Err(failure) => context.output.warn(&format!("this run leaves no audit entry: {}", failure.message)),
    }
}

/// The same for a run that a quorum opened: by this host where it is one of the repository, by the root otherwise.
pub(super) fn begin_by_quorum(context: &Context, repository: &Repository, opened: &Opened) {
    if is_exempt() {
        return;
    }
    if context.global.config.exists() {
        begin(context, repository, &opened.trust);
    }
    let mut open = open();
    let begun = open.get_or_insert_with(|| Open {
        repository: repository.clone(),
        epoch: opened.trust.current().number,
        by: By::Root(opened.key.root_signer()),
        run: started(),
    });
    begun.run.quorum.clone_from(&opened.present);
}

/// A demonstration is no run on anybody's secrets.
fn is_exempt() -> bool {
    envelope::command() == "demo"
}

fn started() -> AuditRun {
    AuditRun::begun(envelope::command(), to_seconds(SystemClock.now()))
}

/// `None` where this host is none of the repository, or may not sign.
fn of_host(context: &Context, repository: &Repository, trust: &Trust) -> Result<Option<Open>, Failure> {
    let host = context.host()?;
    let Ok(signer) = host.signer() else { return Ok(None) };
    if !trust.allows_now(&signer.public()) {
        return Ok(None);
    }
    let is_main = is_of(&host, repository);
    let run = started();
    let open = Some(host.begin_run(repository.id(), &run.action, run.started)?);
    let by = By::Host { host: Box::new(host), signer, open, is_main };
    Ok(Some(Open { repository: repository.clone(), epoch: trust.current().number, by, run }))
}

fn note(change: impl FnOnce(&mut AuditRun)) {
    if let Some(open) = open().as_mut() {
        change(&mut open.run);
    }
}

/// How many of what; counts of one name add up.
pub(super) fn count(what: &str, many: u64) {
    note(|run| *run.counts.entry(what.to_owned()).or_default() += many);
}

/// A snapshot that this run made or opened.
pub(super) fn snapshot(id: SnapshotId) {
    note(|run| {
        if run.snapshots.len() < NAMED && !run.snapshots.contains(&id) {
            run.snapshots.push(id);
        }
    });
}

/// Where secrets are written.
pub(super) fn target(place: &Place) {
    note(|run| run.target = Some(place.clone()));
}

/// A signed file that this run stored.
pub(super) fn file(name: &str) {
    note(|run| {
        if run.files.len() < NAMED {
            run.files.push(name.to_owned());
        }
    });
}

/// That it only shows what it would do.
pub(super) fn plan() {
    note(|run| run.plan = true);
}

/// The signers or the key are others now: the entry is of the new epoch, or nobody may sign it.
pub(super) fn after_change(context: &Context, trust: &Trust) {
    let mut open = open();
    let Some(begun) = open.as_mut() else { return };
    begun.epoch = trust.current().number;
    let may_sign = match &begun.by {
        By::Host { signer, .. } => trust.allows_now(&signer.public()),
        By::Root(signer) => trust.current().root == signer.public(),
    };
    if !may_sign {
        context.output.warn("this run leaves no audit entry: this host may no longer sign");
        if let Some(Open { by: By::Host { open: Some(run), .. }, .. }) = open.take() {
            run.forget();
        }
    }
}

/// Leaves the entry. What keeps it from being stored is said, and changes nothing of how the run ended.
pub(super) async fn finish(output: Output, exit: Exit) {
    // Nothing may wait for the lock while the entry is stored.
    let Some(mut open) = open().take() else { return };
    open.run.ended = to_seconds(SystemClock.now()).max(open.run.started);
    (open.run.outcome, open.run.exit) = (exit.name().into(), Some(exit as u8));
    let patience = if exit == Exit::Interrupted { IMPATIENCE } else { PATIENCE };
    let left = match tokio::time::timeout(patience, open.leave(output)).await {
        Ok(left) => left,
        Err(_) => Some("the storage did not answer in time; the entry goes with the next run".into()),
    };
    if let Some(sentence) = left {
        output.warn(&sentence);
    }
}

impl Open {
    /// What is to be said about it.
    async fn leave(self, output: Output) -> Option<String> {
        let Self { repository, epoch, by, mut run } = self;
        match by {
            By::Host { host, signer, open, is_main } => {
                run.head = host.witness(repository.id()).ok().flatten();
                let to = (repository.id(), is_main.then_some(&repository));
                match host.leave_entry(to, (epoch, &signer), run, open).await {
                    Err(error) => Some(format!("this run left no audit entry: {error}")),
                    Ok(_) if !is_main => {
                        output.note("the audit entry of this run is stored with the next run on the repository itself");
                        None
                    }
                    Ok(left) => said(&left),
                }
            }
            By::Root(signer) => {
                let note = Note::sign(repository.id(), (&random_chain(), None), epoch, run, &signer);
                drop(signer);
                let folder = environment::state_folder().map(|folder| folder.join("audit"));
                match leave_alone(&repository, &note, folder).await {
                    Ok(None) => None,
                    Ok(Some((path, reason))) => {
                        let path = text::line(&path.to_string_lossy()).into_owned();
                        Some(format!("the audit entry of this run is not stored: {reason}; it is kept in {path}"))
                    }
                    Err(error) => Some(format!("this run left no audit entry: {error}")),
                }
            }
        }
    }
}

fn said(left: &crate::app::Left) -> Option<String> {
    if let Some((count, reason)) = &left.waiting {
        let entries = text::plural(*count as u64, "audit entry");
        return Some(format!("{entries} of this host wait until the repository can be written: {reason}"));
    }
    let number = left.cut?;
    Some(format!("the audit trail was cut: entry {number} of this host is no longer in the repository"))
}
