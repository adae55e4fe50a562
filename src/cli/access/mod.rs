//! `lifeboat access`

mod gather;
mod view;

use std::path::PathBuf;

use serde_json::json;

use self::gather::Gathered;
use super::{Context, Exit, Failure, quorum::ShareArgs, show::SourceArg};
use crate::{
    access::{Hours, Month, Report, Rules},
    clock::{Clock as _, SystemClock},
    config::AlarmsSection,
};

/// Find out who reads secrets, from the audit trail of the provider
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Report(Box<ReportArgs>),
}

/// Report the new, vanished and unusual readers of each secret in a month
///
/// Each reader is compared with the month before, with the captured policies, and with the section `alarms` in
/// the configuration. What the trail does not cover is reported as unknown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat access report                         the last month that is over
  lifeboat access report --month 2026-10 --json
  lifeboat access report --month 2026-03 --log trail/2026/02/ --log trail/2026/03/
  lifeboat access report --hours 6-20 --all

Asks CloudTrail for at most 90 days back, or reads exported files (.json, .json.gz, folders of them).
No value is read. Needs cloudtrail:LookupEvents: `lifeboat doctor --policy access`.

Exit codes: 0 both months are known in full and nobody new, vanished or unusual was found,
3 somebody was found, or something is unknown. docs/access.md explains each finding.")]
pub struct ReportArgs {
    /// The month, UTC (default: the last one that is over)
    #[arg(long, value_name = "YEAR-MONTH")]
    month: Option<Month>,
    /// Read this exported file, or the files in this folder, instead of asking the provider (repeat)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    log: Vec<PathBuf>,
    /// The hours, UTC, in which people work: a person who reads at another hour is unusual
    #[arg(long, value_name = "FROM-TO")]
    hours: Option<Hours>,
    /// Every reading must come through a VPC endpoint, as with `vpc_endpoint` in the section `alarms`
    #[arg(long)]
    vpc_endpoint: bool,
    /// A role that may read, by ARN with `*` (repeat), beside `readers` in the section `alarms`
    #[arg(long, value_name = "ARN")]
    reader: Vec<String>,
    /// Show every reader, not only those to look at
    #[arg(long)]
    all: bool,
    /// Stop asking the provider after so many events of one kind
    #[arg(long, value_name = "COUNT", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_events: u64,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Report(args) => Box::pin(report(context, *args)).await,
    }
}

async fn report(context: &Context, args: ReportArgs) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let month = args.month.unwrap_or_else(|| Month::last(now));
    if month.start() >= now {
        return Err(Failure::usage(format!("{month} has not begun")).hint("use --month YEAR-MONTH"));
    }
    let section = if context.global.config.exists() { context.host()?.config.alarms } else { AlarmsSection::default() };
    let rules = rules(&args, section);
    let mut tallies = gather::tallies(context, &args, month, &rules).await?;
    let gathered = if args.log.is_empty() {
        gather::ask(context, &mut tallies, now, args.max_events).await?
    } else {
        let (read, gathered) = gather::files(tallies, &args.log).await?;
        tallies = read;
        gathered
    };
    let Gathered { spans, unclear, strangers, files } = gathered;
    let reports: Vec<Report> = tallies.iter().zip(&spans).map(|(tally, span)| Report::new(tally, span)).collect();
    let found = reports.iter().flat_map(|report| &report.readers).filter(|row| row.is_finding()).count();
    let is_whole = reports.iter().all(Report::is_whole) && unclear == 0;
    let value = json!({
        "month": month.to_string(), "before": month.before().to_string(), "reports": reports, "found": found,
        "whole": is_whole, "files": files, "unclear": unclear, "strangers": strangers,
    });
    context.output.result(&value, || view::describe(month, &reports, args.all));
    view::tell(context, &reports, (unclear, strangers));
    Ok(if found == 0 && is_whole { Exit::Complete } else { Exit::Incomplete })
}

fn rules(args: &ReportArgs, section: AlarmsSection) -> Rules {
    let mut readers = section.readers;
    readers.extend(args.reader.iter().cloned());
    Rules {
        readers,
        backup_role: section.backup_role,
        backup_hours: section.backup_hours,
        vpc_endpoint: section.vpc_endpoint || args.vpc_endpoint,
        hours: args.hours,
    }
}
