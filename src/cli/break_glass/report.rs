//! `lifeboat break-glass report`

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
};

use serde::Serialize;

use super::keep::{self, Keeper};
use crate::{
    cli::{
        Context, Exit, Failure,
        output::{plural, table},
        quorum::{self, ShareArgs},
    },
    clock::{Clock, SystemClock},
    crypto::Opener,
    fsutil,
    repo::{RepoError, Repository, ServedLog, Trust},
    serve::{self, LogFault, Report},
    storage::Storage,
};

/// Verify an audit log and show who read what, what must be rotated now, and who still points here
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat break-glass report
  lifeboat break-glass report 2026-11-28T031500Z-4711.jsonl
  lifeboat break-glass report LOG --cloudtrail > Records.json
  lifeboat break-glass report --stored 20261128T031500Z-1a2b3c4d --share sheets/

With a configuration it also stores the logs of this machine that the repository lacks, as a server
does when it stops. A stored log is sealed: sheets open it, or the index key of the host.")]
pub(super) struct Args {
    /// The audit log (default: the newest one of this machine)
    #[arg(value_name = "FILE")]
    log: Option<PathBuf>,
    /// A log in the repository, by the name that was shown when it was stored
    #[arg(long, value_name = "NAME", conflicts_with = "log")]
    stored: Option<String>,
    /// Print the requests in the shape of CloudTrail instead
    #[arg(long)]
    cloudtrail: bool,
    #[command(flatten)]
    shares: ShareArgs,
}

/// A report as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Whether the root is the one that this host trusts; null where there is no configuration.
    root_is_ours: Option<bool>,
    /// Its name in the repository; null where it is not known to be there.
    stored: Option<&'a str>,
}

/// Where the log is.
enum Log {
    File(PathBuf),
    /// Opened, out of the repository.
    Stored(String, Vec<u8>),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let log = find(context, &args).await?;
    let report = serve::read_log(log.open()?, SystemClock.now()).map_err(|fault| log.refused(&fault))?;
    let anchor = if context.global.config.exists() { Some(context.host()?.anchor()?) } else { None };
    let root_is_ours = anchor.map(|anchor| anchor.root == report.seal.root);
    if root_is_ours == Some(false) {
        let name = log.name();
        let message = format!("{name} does not count: its session was certified by another root than this host's");
        return Err(Failure::new(Exit::Refused, message).hint("compare it with the configuration of its repository"));
    }
    let stored = match &log {
        Log::Stored(name, _) => Some(name.clone()),
        Log::File(path) if root_is_ours.is_some() => match Keeper::of_host(context).await {
            Ok(keeper) => keeper.keep(context, path).await.0,
            Err(failure) => {
                let reason = failure.message;
                context.output.warn(&format!("the repository does not answer, so no log is stored there: {reason}"));
                None
            }
        },
        Log::File(_) => None,
    };
    if args.cloudtrail {
        let records = serve::cloud_trail(log.open()?).map_err(|fault| log.refused(&fault))?;
        context.output.artefact(&format!("{records}\n"));
    } else {
        let shown = Shown { report: &report, root_is_ours, stored: stored.as_deref() };
        context.output.result(&shown, || text(&report));
    }
    Ok(finish(context, &report, root_is_ours))
}

async fn find(context: &Context, args: &Args) -> Result<Log, Failure> {
    if let Some(name) = &args.stored {
        let text = open_stored(context, args, name).await?;
        return Ok(Log::Stored(name.clone(), text));
    }
    let newest = || keep::logs().pop();
    args.log.clone().or_else(newest).map(Log::File).ok_or_else(|| {
        Failure::usage("no server has left an audit log on this machine")
            .hint("name its file, or use --stored NAME for one in the repository")
    })
}

/// Opens a log of the repository: by the index key of a configured host if it was sealed to it, else by sheets.
async fn open_stored(context: &Context, args: &Args, name: &str) -> Result<Vec<u8>, Failure> {
    if args.shares.shares.is_empty() && context.global.config.exists() {
        let host = context.host()?;
        let (repository, trust) = context.repository(&host).await?;
        let log = stored(&repository, &trust, name).await?;
        match repository.open_served(&log, Opener::Index(&host.index_key()?)).await {
            Err(RepoError::WrongKey { .. }) => {}
            other => return Ok(other?),
        }
    }
    let repository = Repository::open(Storage::open(&context.address()?)?).await?;
    let opened = quorum::open(context, &repository, &args.shares).await?;
    let log = stored(&repository, &opened.trust, name).await?;
    Ok(repository.open_served(&log, Opener::Recovery(&opened.key)).await?)
}

async fn stored(repository: &Repository, trust: &Trust, name: &str) -> Result<ServedLog, Failure> {
    let name = name.strip_prefix("served/").unwrap_or(name);
    let name = name.strip_suffix(".json").unwrap_or(name);
    let mut logs = repository.served_logs(trust).await?.verified;
    if let Some(at) = logs.iter().position(|(stem, _)| stem == name) {
        return Ok(logs.swap_remove(at).1);
    }
    let known: Vec<String> = logs.into_iter().map(|(stem, _)| stem).collect();
    let known = if known.is_empty() { "it has none".into() } else { format!("there are: {}", known.join(", ")) };
    Err(Failure::usage("the repository has no such log that counts").hint(known))
}

impl Log {
    fn open(&self) -> Result<Box<dyn BufRead + '_>, Failure> {
        Ok(match self {
            Self::File(path) => Box::new(BufReader::with_capacity(1 << 20, fsutil::open_at_once(path)?)),
            Self::Stored(_, text) => Box::new(&text[..]),
        })
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stored(name, _) => name.clone(),
        }
    }

    fn refused(&self, fault: &LogFault) -> Failure {
        Failure::new(Exit::Refused, format!("{} does not count: {fault}", self.name()))
            .hint("use the file as the server wrote it; what a changed log says proves nothing")
    }
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
