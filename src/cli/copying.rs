//! Bringing copies up to date: what `snapshot`, `copy` and a change of sheets have in common.

use futures::future::join_all;
use serde_json::json;

use super::{Context, Exit, Failure, output::plural, watch::Watch};
use crate::{
    app::{self, CopySeen, Host},
    config::CopySection,
    progress::Progress,
    repo::{self, Chain, CopyReport, RepoError, Repository, Trust},
    storage::Storage,
};

/// What became of one copy.
pub(super) struct Copied {
    /// Where it is.
    pub(super) url: String,
    /// What was written, or why it is not up to date.
    pub(super) outcome: Result<CopyReport, Failure>,
    /// Snapshots it lacks now.
    pub(super) behind: u64,
}

impl Copied {
    pub(super) fn is_up_to_date(&self) -> bool {
        self.outcome.is_ok()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        match &self.outcome {
            Ok(report) => json!({
                "url": self.url, "ok": true, "files": report.copied, "bytes": report.bytes, "present": report.present,
                "was_behind": report.behind, "behind": self.behind,
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
) -> Result<Vec<Copied>, Failure> {
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    // Before copying: what appears while it runs is the next run's.
    let chain = repository.chain(trust).await?;
    let seen = host.copies_seen(repository.id())?;
    let watch = Watch::new(context.output.json);
    watch.begin("copy", None);
    let runs = copies.iter().map(|section| async {
        let outcome = one(host, repository, section, &watch).await;
        let held = if outcome.is_ok() { u64::MAX } else { seen.get(&section.url).map_or(0, |seen| seen.head.sequence) };
        Copied { url: section.url.clone(), outcome, behind: newer(&chain, held) }
    });
    let copied = join_all(runs).await;
    watch.done();
    if let Some(head) = chain.head() {
        let seen = CopySeen { head: head.witness(), time: head.manifest().time };
        let written = copied.iter().filter(|copied| copied.is_up_to_date());
        host.remember_copies(repository.id(), written.map(|copied| (copied.url.clone(), seen)).collect())?;
    }
    Ok(copied)
}

fn newer(chain: &Chain, held: u64) -> u64 {
    chain.manifests.iter().filter(|found| found.manifest().sequence > held).count() as u64
}

async fn one(
    host: &Host,
    repository: &Repository,
    section: &CopySection,
    progress: &dyn Progress,
) -> Result<CopyReport, Failure> {
    let storage = Storage::open(&section.url)?;
    let found = app::whereabouts(section, &storage).await;
    app::apart(&host.config.sources, section, &found)?;
    let report = repo::copy_with(repository, &storage, progress).await;
    report.map_err(|error| match error {
        // Damage of the source and of the copy look the same here; `check` of each tells.
        RepoError::Damaged { .. } => {
            Failure::from(error).hint("`lifeboat check` and `lifeboat check --repo COPY` tell which")
        }
        other => other.into(),
    })
}

/// Says which copies are not up to date, and why.
pub(super) fn warn(context: &Context, copied: &[Copied]) {
    for Copied { url, outcome, behind } in copied {
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
        Exit::Complete
    } else if failures.iter().all(|failure| failure.exit == Exit::Refused) {
        Exit::Refused
    } else {
        Exit::Incomplete
    }
}
