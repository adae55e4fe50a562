//! `lifeboat break-glass report`

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    cli::{
        Context, Exit, Failure,
        output::{plural, table},
    },
    clock::{Clock, SystemClock},
    fsutil,
    serve::{self, Report},
};

/// Verify an audit log and show who read what, what must be rotated now, and who still points here
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat break-glass report 2026-11-28T031500Z-4711.jsonl
  lifeboat break-glass report LOG --cloudtrail > Records.json")]
pub(super) struct Args {
    /// The audit log
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// Print the requests in the shape of CloudTrail instead
    #[arg(long)]
    cloudtrail: bool,
}

/// A report as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Whether the root is the one that this host trusts; null where there is no configuration.
    root_is_ours: Option<bool>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let name = args.log.display();
    let bytes = fsutil::read(&args.log)?;
    let log = String::from_utf8_lossy(&bytes);
    let refused = |fault: serve::LogFault| {
        Failure::new(Exit::Refused, format!("{name} does not count: {fault}"))
            .hint("use the file as the server wrote it; what a changed log says proves nothing")
    };
    let report = serve::read_log(&log, SystemClock.now()).map_err(refused)?;
    let anchor = if context.global.config.exists() { Some(context.host()?.anchor()?) } else { None };
    let root_is_ours = anchor.map(|anchor| anchor.root == report.seal.root);
    if root_is_ours == Some(false) {
        let message = format!("{name} does not count: its session was certified by another root than this host's");
        return Err(Failure::new(Exit::Refused, message).hint("compare it with the configuration of its repository"));
    }
    if args.cloudtrail {
        let records = serve::cloud_trail(&log).map_err(refused)?;
        context.output.artefact(&format!("{records}\n"));
    } else {
        context.output.result(&Shown { report: &report, root_is_ours }, || text(&report));
    }
    Ok(finish(context, &report, root_is_ours))
}

/// What does not show in a table.
fn finish(context: &Context, report: &Report, root_is_ours: Option<bool>) -> Exit {
    let seal = &report.seal;
    if root_is_ours.is_none() {
        context.output.note(&format!(
            "certified by the root {} of repository {}: compare it with the runbook, or use --config",
            seal.root.fingerprint(),
            seal.repository.short()
        ));
    }
    if seal.is_torn {
        context.output.warn("the last line was cut off, as a crash leaves it: it was not answered");
    }
    if seal.unsigned > 0 {
        let lines = plural(seal.unsigned, "line");
        context.output.warn(&format!("nothing signs the last {lines}: the server was killed"));
    }
    if seal.is_closed {
        return Exit::Complete;
    }
    context.output.warn("the log has no end: the server runs, was killed, or lines were removed from the end");
    Exit::Incomplete
}

fn text(report: &Report) -> String {
    let Report { seal, snapshots, started, ended, consumers, rotate, refused_writes, strangers } = report;
    let mut text = format!("served from {started} to {ended}, opened by {}\n", seal.present.join(", "));
    for each in snapshots {
        text.push_str(&format!("snapshot {} of {}, taken {}\n", each.snapshot, each.source, each.taken));
    }
    let join = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    text.push_str("\nRotate now: these values left\n");
    let rows = rotate.iter().map(|it| {
        vec![it.name.clone(), join(&it.versions), join(&it.consumers), it.times.to_string(), it.last.to_string()]
    });
    text.push_str(&table(&["secret", "versions", "read by", "times", "last"], rows.collect()));
    text.push_str("\n\nApplications: point those that are still here back to the provider\n");
    let rows = consumers.iter().map(|it| {
        let last = it.last.map_or_else(|| "never".into(), |last| last.to_string());
        let here = if it.still_here { "yes" } else { "no" };
        vec![it.name.clone(), it.requests.to_string(), it.refused.to_string(), last, join(&it.from), here.into()]
    });
    let headings = ["application", "requests", "refused", "last", "from", "still here"];
    text.push_str(&table(&headings, rows.collect()));
    if !refused_writes.is_empty() {
        text.push_str("\n\nWrites that were refused: repeat them at the provider\n");
        let rows = refused_writes
            .iter()
            .map(|it| vec![it.time.to_string(), it.consumer.clone(), it.operation.clone(), it.secret.clone()]);
        text.push_str(&table(&["time", "application", "operation", "secret"], rows.collect()));
    }
    text.push_str(&format!("\n\n{}, {} without good keys", plural(seal.lines, "line"), plural(*strangers, "request")));
    text
}
