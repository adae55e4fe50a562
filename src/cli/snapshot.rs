//! `lifeboat snapshot`

use std::sync::Arc;

use serde_json::json;

use super::{
    Context, Exit, Failure,
    output::{plural, table},
    watch::Watch,
};
use crate::{
    app::{CopySeen, Host},
    clock::SystemClock,
    provider::Source,
    repo::{self, Repository, Trust},
    snapshot::{self, Report, Request},
    storage::Storage,
};

/// Capture every version of every secret, seal, write, and bring the copies up to date
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat snapshot
  lifeboat snapshot --config /etc/lifeboat/lifeboat.toml --json

Exit code 3 means a snapshot exists and something in it is missing; the message names it.")]
pub struct Args {
    /// Do not write the configured copies
    #[arg(long)]
    no_copy: bool,
    /// Read every secret again, also where the listing shows no change
    #[arg(long)]
    full: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let _lock = host.lock(repository.id())?;
    let (signer, index_key) = (host.signer()?, host.index_key()?);
    let witness = host.witness(repository.id())?;
    let source: Arc<dyn Source> = host.source().await?;
    let watch = Watch::new(context.output.json);
    let report = snapshot::run(&Request {
        repository: &repository,
        source,
        account: host.config.source.account.as_deref(),
        trust: &trust,
        witness: witness.as_ref(),
        signer: &signer,
        index_key: &index_key,
        exclude: &host.config.source.exclude,
        sweep_days: if args.full { 0 } else { host.config.source.sweep_days },
        journal: Some(&host.journal_path(repository.id())),
        scratch: Some(&host.scratch()),
        clock: &SystemClock,
        progress: &watch,
    })
    .await;
    watch.done();
    let report = report?;
    host.remember(&report.manifest)?;
    let copies = if args.no_copy { Vec::new() } else { copy_all(&host, &repository, &trust).await? };
    print(context, &report, &copies);
    let copied = copies.iter().all(|(_, outcome)| outcome.is_ok());
    let complete = copied && report.unreadable.is_empty() && report.history.is_empty();
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

type CopyOutcome = (String, Result<repo::CopyReport, String>);

/// Brings every configured copy up to date; one that fails does not stop the others.
pub(super) async fn copy_all(host: &Host, repository: &Repository, trust: &Trust) -> Result<Vec<CopyOutcome>, Failure> {
    let urls: Vec<String> = host.config.copies.iter().map(|copy| copy.url.clone()).collect();
    copy_to(host, repository, trust, &urls).await
}

/// Brings copies up to date and remembers what they hold now.
pub(super) async fn copy_to(
    host: &Host,
    repository: &Repository,
    trust: &Trust,
    urls: &[String],
) -> Result<Vec<CopyOutcome>, Failure> {
    // Before copying: what appears while it runs is the next run's.
    let chain = repository.chain(trust).await?;
    let copies = urls.iter().map(|url| async move {
        let outcome = async {
            let storage = Storage::open(url).map_err(|error| error.to_string())?;
            repo::copy(repository, &storage).await.map_err(|error| error.to_string())
        };
        (url.clone(), outcome.await)
    });
    let outcomes = futures::future::join_all(copies).await;
    if let Some(head) = chain.head() {
        let seen = CopySeen { head: head.witness(), time: head.manifest().time };
        let written = outcomes.iter().filter(|(_, outcome)| outcome.is_ok());
        host.remember_copies(repository.id(), written.map(|(url, _)| (url.clone(), seen)).collect())?;
    }
    Ok(outcomes)
}

fn print(context: &Context, report: &Report, copies: &[CopyOutcome]) {
    let manifest = report.manifest.manifest();
    for item in &report.unreadable {
        let version = item.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
        context.output.warn(&format!("{}{version} was not captured: {}: {}", item.name, item.operation, item.reason));
    }
    for fault in &report.history {
        context.output.warn(&format!("history: {}: {}", fault.file, fault.detail));
    }
    for (url, outcome) in copies {
        if let Err(error) = outcome {
            context.output.warn(&format!("the copy at {url} is not up to date: {error}"));
        }
    }
    let value = json!({
        "snapshot": manifest.snapshot, "sequence": manifest.sequence, "time": manifest.time,
        "manifest": report.manifest.digest(), "source": manifest.source, "counts": manifest.counts, "readings": manifest.readings,
        "unreadable": report.unreadable, "history": report.history, "copies": copies.iter().map(copy_json).collect::<Vec<_>>(),
        "complete": report.unreadable.is_empty() && report.history.is_empty() && copies.iter().all(|(_, outcome)| outcome.is_ok()),
    });
    context.output.result(&value, || summary(report, copies));
}

pub(super) fn copy_json((url, outcome): &CopyOutcome) -> serde_json::Value {
    match outcome {
        Ok(report) => {
            json!({ "url": url, "ok": true, "files": report.copied, "bytes": report.bytes, "present": report.present })
        }
        Err(error) => json!({ "url": url, "ok": false, "error": error }),
    }
}

fn summary(report: &Report, copies: &[CopyOutcome]) -> String {
    let manifest = report.manifest.manifest();
    let counts = &manifest.counts;
    let rows = [
        ("secrets listed", counts.listed),
        ("captured", counts.captured),
        ("not readable", counts.unreadable),
        ("left out by rule", counts.excluded),
        ("versions", counts.versions),
        ("values read now", counts.values_read),
        ("values kept from before", counts.values_carried),
        ("secrets read again", manifest.readings.map_or(counts.captured + counts.unreadable, |readings| readings.now)),
    ];
    let rows = rows.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]).collect();
    let written = copies.iter().filter(|(_, outcome)| outcome.is_ok()).count() as u64;
    format!(
        "snapshot {} (number {}) of {}\n{}\n{} up to date",
        manifest.snapshot.short(),
        manifest.sequence,
        manifest.source,
        table(&["what", "how many"], rows),
        plural(written, "copy"),
    )
}
