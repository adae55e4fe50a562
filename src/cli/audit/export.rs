//! `lifeboat audit export`

use clap::ValueEnum;
use jiff::Timestamp;

use super::super::{Context, Exit, Failure, moment, output::plural, quorum::ShareArgs};
use crate::{
    audit::{Row, cloudtrail, ocsf, syslog},
    repo::Fault,
};

/// Print the audit trail for another tool
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat audit export --format ocsf > trail.ocsf.jsonl
  lifeboat audit export --format cloudtrail --since 2026-11-01
  lifeboat audit export --format syslog | logger --file - --rfc5424

ocsf: one event of class API Activity (6003) on each line. cloudtrail: a log file with Records.
syslog: one line of RFC 5424 each. Only entries that count are printed; the exit code is that of
`lifeboat audit verify` where one does not.")]
pub(super) struct Args {
    /// How to print it
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Only entries of runs that ended at TIME or later (2026-11-01T03:00Z, 2026-11-01, 'yesterday 03:00')
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    #[command(flatten)]
    shares: ShareArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// OCSF, API Activity
    Ocsf,
    /// As a log file of CloudTrail
    Cloudtrail,
    /// RFC 5424
    Syslog,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let seen = super::see(context, &args.shares).await?;
    for fault in &seen.trail.faults {
        context.output.warn(&fault.to_string());
    }
    let mut rows = Row::all(&seen.trail.chains);
    rows.retain(|row| args.since.is_none_or(|since| row.found.entry.run.ended >= since));
    if rows.is_empty() {
        return Err(Failure::new(Exit::Incomplete, "there is no audit entry to export"));
    }
    let lines = |one: &dyn Fn(&Row<'_>) -> String| rows.iter().map(|row| one(row) + "\n").collect::<String>();
    let text = match args.format {
        Format::Ocsf => lines(&|row| ocsf(row).to_string()),
        Format::Syslog => lines(&syslog),
        Format::Cloudtrail => cloudtrail(&rows).to_string() + "\n",
    };
    context.output.artefact(&crate::text::json(&text));
    context.output.note(&plural(rows.len() as u64, "entry"));
    Ok(Exit::of(Fault::worst(&seen.trail.faults)))
}
