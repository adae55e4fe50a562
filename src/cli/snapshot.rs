//! `lifeboat snapshot`

use std::sync::Arc;

use serde_json::json;

use super::{
    Context, Exit, Failure,
    copying::{self, Copied, copy_to},
    output::{plural, table},
    watch::Watch,
};
use crate::{
    clock::SystemClock,
    provider::Source,
    snapshot::{self, Report, Request},
};

/// Capture every version of every secret, seal, write, and bring the copies up to date
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat snapshot
  lifeboat snapshot --config /etc/lifeboat/lifeboat.toml --json

On a terminal, progress shows the rate against the provider's quota and the time left at it. With --json it is
lines on stderr, {\"event\": \"progress\", \"state\": \"begin\" | \"running\" | \"end\", source, phase, done, total, per_second,
limit_per_second, seconds_left}, at most one a second while a phase runs; what is not known is null.

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
    let sealing = host.drill_sealing()?;
    if host.config.drill.full && sealing.is_some() {
        context
            .output
            .note("every value is sealed to the drill key too ([drill] full): whoever has it can read every secret");
    }
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
        drill: sealing.as_ref(),
        clock: &SystemClock,
        progress: &watch,
    })
    .await;
    watch.done();
    let report = report?;
    host.remember(&report.manifest)?;
    let sections = if args.no_copy { &[][..] } else { &host.config.copies };
    let copies = copy_to(context, &host, &repository, &trust, sections).await?;
    print(context, &report, &copies);
    let complete =
        copies.iter().all(Copied::is_up_to_date) && report.unreadable.is_empty() && report.history.is_empty();
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

fn print(context: &Context, report: &Report, copies: &[Copied]) {
    let manifest = report.manifest.manifest();
    for item in &report.unreadable {
        let version = item.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
        context.output.warn(&format!("{}{version} was not captured: {}: {}", item.name, item.operation, item.reason));
    }
    for fault in &report.history {
        context.output.warn(&format!("history: {}: {}", fault.file, fault.detail));
    }
    copying::warn(context, copies);
    let value = json!({
        "snapshot": manifest.snapshot, "sequence": manifest.sequence, "time": manifest.time,
        "manifest": report.manifest.digest(), "source": manifest.source, "counts": manifest.counts, "readings": manifest.readings,
        "unreadable": report.unreadable, "history": report.history, "copies": copies.iter().map(Copied::json).collect::<Vec<_>>(),
        "complete": report.unreadable.is_empty() && report.history.is_empty() && copies.iter().all(Copied::is_up_to_date),
    });
    context.output.result(&value, || summary(report, copies));
}

fn summary(report: &Report, copies: &[Copied]) -> String {
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
    let written = copies.iter().filter(|copied| copied.is_up_to_date()).count() as u64;
    format!(
        "snapshot {} (number {}) of {}\n{}\n{} up to date",
        manifest.snapshot.short(),
        manifest.sequence,
        manifest.source,
        table(&["what", "how many"], rows),
        plural(written, "copy"),
    )
}
