//! Bringing copies up to date: what `snapshot`, `copy` and a change of sheets have in common.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::{
    Context, Exit, Failure,
    history::{self, AcceptArgs, Reach},
    output::plural,
    trail,
    watch::Watch,
};
use crate::{
    app::{self, CopySeen, Host, Neighbours},
    config::CopySection,
    progress::Progress,
    repo::{self, CopyReport, Fault, Judgement, RepoError, Repository, Trust, Witness},
    storage::Storage,
    text,
};

/// What became of one copy.
pub(super) struct Copied {
    /// Where it is.
    pub(super) url: String,
    /// What was written, or why it is not up to date.
    pub(super) outcome: Result<CopyReport, Failure>,
    /// Snapshots it lacks now.
    pub(super) behind: u64,
    /// What is wrong in the repository beside what was copied.
    pub(super) beside: Vec<Fault>,
    /// That a key of a source encrypts it, in a sentence.
    pub(super) key: Option<String>,
}

impl Copied {
    pub(super) fn is_up_to_date(&self) -> bool {
        self.outcome.is_ok()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match &self.outcome {
            Ok(report) => json!({
                "url": self.url, "ok": true, "files": report.copied, "bytes": report.bytes, "present": report.present,
                "was_behind": report.behind, "behind": self.behind, "key_of_a_source": self.key,
            }),
            Err(failure) => {
                json!({ "url": self.url, "ok": false, "error": failure.message, "behind": self.behind })
            }
        }
    }
}

/// Brings copies up to date at the same time and remembers what they hold now; one that fails does not stop the others.
pub(super) async fn copy_to(
    context: &Context,
    host: &Host,
    repository: &Repository,
    trust: &Trust,
    copies: &[CopySection],
    accept: &AcceptArgs,
    (reach, remakes): (Reach, bool),
) -> Result<Vec<Copied>, Failure> {
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    // Before copying: what appears while it runs is the next run's.
    let remembered = history::of_host(context, repository)?;
    let judgement = reach.judge(repository, trust, &remembered).await?.accepting(&accept.accepted);
    let chain = judgement.chain();
    let outcome = judgement.for_copying();
    let beside: Vec<Fault> = judgement.faults().iter().filter(|fault| fault.severity().is_some()).cloned().collect();
    let seen = host.copies_seen(repository.id())?;
    let watch = Watch::new(context.output.json);
    watch.begin("copy", None);
    let neighbours = Neighbours::new(&host.config, chain.newest().into_keys());
    let runs = copies.iter().map(|section| async {
        let mut key = None;
        let outcome = match &outcome {
            Ok(_) => {
                let held = seen.get(&section.url).map(|seen| seen.head).filter(|_| reach == Reach::Newest);
                let gone = seen.get(&section.url).map(|seen| seen.head).filter(|_| !remakes);
                let copied = one(&neighbours, (repository, trust, &judgement), section, (held, &watch), gone).await;
                copied.map(|(report, found)| {
                    key = found;
                    report
                })
            }
            Err(refusal) => Err(refusal.clone().into()),
        };
        let held = if outcome.is_ok() { u64::MAX } else { seen.get(&section.url).map_or(0, |seen| seen.head.sequence) };
        Copied { url: section.url.clone(), outcome, behind: chain.newer_than(held), beside: beside.clone(), key }
    });
    let copied = join_all(runs).await;
    watch.done();
    for report in copied.iter().filter_map(|copied| copied.outcome.as_ref().ok()) {
        trail::count("copies", 1);
        trail::count("files_copied", report.copied);
    }
    if let Some(head) = chain.head() {
        let seen = CopySeen { head: head.witness(), time: head.manifest().time };
        let written = copied.iter().filter(|copied| copied.is_up_to_date());
        host.remember_copies(repository.id(), written.map(|copied| (copied.url.clone(), seen)).collect())?;
    }
    Ok(copied)
}

async fn one(
    neighbours: &Neighbours,
    (repository, trust, judgement): (&Repository, &Trust, &Judgement),
    section: &CopySection,
    watched: (Option<Witness>, &dyn Progress),
    known: Option<Witness>,
) -> Result<(CopyReport, Option<String>), Failure> {
    let storage = Storage::open(&section.url)?;
    let found = app::whereabouts(neighbours, section, &storage).await;
    app::apart(neighbours, section, &found)?;
    let failed = |error: RepoError| match error {
        // Damage of the source and of the copy look the same here; `check` of each tells.
        RepoError::Damaged { .. } => Failure::from(error)
            .hint("`lifeboat check` and `lifeboat check --repo COPY` show which of the two is damaged"),
        other => other.into(),
    };
    let there = repo::who_is_at(&storage).await.map_err(failed)?;
    // A disk that is not mounted looks like an empty place for a new copy, and the copy would be made beside it.
    if let (Some(known), None) = (known, there) {
        let message =
            format!("the copy is gone: it had the snapshots up to number {} when it was last seen", known.sequence);
        return Err(Failure::new(Exit::Incomplete, message).hint(format!(
            "check that its disk is mounted or its bucket is the right one; to make a new copy there: {}",
            text::command(["lifeboat", "copy", "--to", &section.url, "--remake"])
        )));
    }
    let report = repo::copy_known(repository, trust, judgement, (&storage, there), watched).await.map_err(failed)?;
    // Now there is a file to ask about.
    Ok((report, app::key_of_a_source(neighbours, section, &storage).await))
}

/// Says what is wrong in the repository beside what was copied.
pub(super) fn warn_beside(context: &Context, copied: &[Copied]) {
    for fault in copied.iter().flat_map(|copied| &copied.beside).collect::<BTreeSet<_>>() {
        context.output.warn(&format!("history: {fault}"));
    }
}

/// Says which copies are not up to date, and why.
pub(super) fn warn(context: &Context, copied: &[Copied]) {
    for Copied { url, outcome, behind, key, .. } in copied {
        if let Some(key) = key {
            context.output.warn(key);
        }
        if let Err(failure) = outcome {
            let behind = plural(*behind, "snapshot");
            let words = format!("the copy at {url} is not up to date, {behind} behind: {}", failure.message);
            context.output.warn(&words);
            if let Some(hint) = &failure.hint {
                context.output.note(&format!("  {hint}"));
            }
        }
    }
}

/// Complete when every copy is up to date; refused when safety alone kept one from it.
pub(super) fn exit(copied: &[Copied]) -> Exit {
    let failures: Vec<&Failure> = copied.iter().filter_map(|copied| copied.outcome.as_ref().err()).collect();
    if failures.is_empty() {
        let is_whole = copied.iter().all(|copied| copied.beside.is_empty() && copied.key.is_none());
        if is_whole { Exit::Complete } else { Exit::Incomplete }
    } else if failures.iter().all(|failure| failure.exit == Exit::Refused) {
        Exit::Refused
    } else {
        Exit::Incomplete
    }
}
