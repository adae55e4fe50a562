//! `lifeboat drill evidence`

use std::{collections::BTreeMap, path::PathBuf};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::json;

use super::{
    super::{Context, Exit, Failure},
    records,
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock},
    drill::evidence,
    fsutil::{self, Access, Existing},
    repo::Repository,
    text::plural,
};

/// Write one archive with the evidence of an audit period, verifiable offline with stock tools
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill evidence --from 2026-01-01 --to 2026-12-31 evidence-2026.tar

The host's key signs the list of all files in it.
Turns are counted from `since` of the drill file, or from the day the repository was made.
A turn belongs to the period in which it ends. A turn that is not over is not due.

Exit code 3: a due drill did not run and [missed] of its drill file has no reason, or a record
does not verify.
The archive shows this too.")]
pub(super) struct Args {
    /// The first day
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Date,
    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Date,
    /// The archive to write (.tar)
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    if args.to < args.from {
        return Err(Failure::usage("the last day is before the first"));
    }
    let to = args.to.tomorrow().map_err(|error| Failure::usage(error.to_string()))?;
    let (repository, trust) = context.repository(&host).await?;
    let now = SystemClock.now();
    within(&args, trust.born(), now)?;
    let signer = host.signer()?;
    if !trust.allows_now(&signer.public()) {
        let message =
            "this host's signing key is not one of the newest key epoch, so it cannot sign the list of the evidence";
        return Err(Failure::new(Exit::Refused, message).hint("use a host whose key `custody signer list` shows"));
    }
    let past = records::judged_of(context, &host, &repository, &trust).await?;
    let plans = plans(&host)?;
    let attestations = attestations(&repository, args.from, to).await?;
    let epochs = repository.epochs().await?;
    let request = evidence::Request {
        from: args.from,
        to,
        now,
        past: &past,
        plans: &plans,
        attestations: &attestations,
        epochs: &epochs,
        trust: &trust,
    };
    let summary = evidence::summary(&request);
    fsutil::write(&args.out, &evidence::archive(&request, &summary, &signer), Access::Public, Existing::Replace)?;
    for plan in &summary.plans {
        for turn in plan.turns.iter().filter(|turn| turn.is_missed()) {
            context
                .output
                .warn(&format!("{} did not run in {}, and its drill file has no reason", plan.name, turn.turn));
        }
    }
    summary.faults.iter().for_each(|fault| context.output.warn(fault));
    context.output.result(&json!({ "file": args.out, "summary": summary }), || {
        format!(
            "{}: {}, {} passed, {}",
            args.out.display(),
            plural(summary.drills, "drill"),
            summary.passed,
            plural(summary.attestations, "attestation"),
        )
    });
    Ok(if summary.is_complete() { Exit::Complete } else { Exit::Incomplete })
}

/// An archive of days on which nothing could be held would say nothing, and look as if all were well.
fn within(args: &Args, born: Timestamp, now: Timestamp) -> Result<(), Failure> {
    let day = |time: Timestamp| TimeZone::UTC.to_datetime(time).date();
    let (born, today) = (day(born), day(now));
    if args.to < born {
        return Err(Failure::usage(format!("the period ends before the repository was made, on {born}")));
    }
    if args.from > today {
        return Err(Failure::usage(format!("the period begins after today, {today}")));
    }
    Ok(())
}

fn plans(host: &Host) -> Result<BTreeMap<String, crate::drill::DrillFile>, Failure> {
    let mut plans = BTreeMap::new();
    for name in host.drill_names() {
        let (file, _) = host.drill_plan(&name)?;
        plans.insert(name, file);
    }
    Ok(plans)
}

/// The files of the period, by the time in their names.
async fn attestations(
    repository: &Repository,
    from: Date,
    to: Date,
) -> Result<BTreeMap<String, bytes::Bytes>, Failure> {
    let mut files = BTreeMap::new();
    let day = |name: &str| -> Option<Date> {
        let digits = name.strip_prefix("attestations/")?.get(..8)?;
        format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..8]).parse().ok()
    };
    for entry in repository.storage().list("attestations").await? {
        if day(&entry.name).is_some_and(|day| (from..to).contains(&day)) {
            files.insert(entry.name.clone(), repository.storage().get(&entry.name).await?);
        }
    }
    Ok(files)
}
