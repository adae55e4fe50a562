//! `lifeboat drill list`, `show` and `verify`

use serde_json::json;

use super::super::{
    Context, Exit, Failure,
    output::{plural, table},
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock},
    drill::{self, Past, report},
    repo::{Repository, StoredDrill, Trust},
};

/// List the drill records of the repository and of its copies, with result, signature and chain verified
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat drill list\n  lifeboat drill list --json")]
pub(super) struct ListArgs {}

/// Show one drill record, or write its report
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill show
  lifeboat drill show 20261101 --html report.html --pdf report.pdf")]
pub(super) struct ShowArgs {
    /// `latest` or the beginning of a record's name
    #[arg(default_value = "latest")]
    drill: String,
    /// Write the report as one page that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
    /// Write the report as a PDF to print
    #[arg(long, value_name = "FILE")]
    pdf: Option<std::path::PathBuf>,
}

/// Check record, signature and chain of every drill
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill verify

Exit code 4: a record does not verify.")]
pub(super) struct VerifyArgs {}

/// The records of the repository and of every copy that answers, each once.
async fn judged_everywhere(context: &Context) -> Result<Vec<Past>, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    judged_of(context, &host, &repository, &trust).await
}

/// The same for a repository that is open.
pub(in crate::cli) async fn judged_of(
    context: &Context,
    host: &Host,
    repository: &Repository,
    trust: &Trust,
) -> Result<Vec<Past>, Failure> {
    let mut stored = repository.drills().await?;
    if context.global.repo.is_none() {
        stored.extend(elsewhere(context, host, repository).await);
    }
    Ok(drill::as_of(drill::judge(stored, trust), SystemClock.now()))
}

/// What copies hold; one that does not answer is said and left out.
async fn elsewhere(context: &Context, host: &Host, repository: &Repository) -> Vec<StoredDrill> {
    let mut found = Vec::new();
    for copy in &host.config.copies {
        let asked = async {
            let (copy, _) = host.repository_at(&copy.url).await?;
            if copy.id() == repository.id() { Ok(copy.drills().await?) } else { Ok::<_, Failure>(Vec::new()) }
        };
        match asked.await {
            Ok(mut drills) => found.append(&mut drills),
            Err(failure) => {
                let words = format!("the copy at {} was not read: {}", copy.url, failure.message);
                context.output.note(&words);
            }
        }
    }
    found
}

pub(super) async fn list(context: &Context) -> Result<Exit, Failure> {
    let drills = judged_everywhere(context).await?;
    let record = |past: &Past| serde_json::from_slice::<serde_json::Value>(&past.stored.bytes).ok();
    let value = json!({ "drills": drills.iter().map(|past| json!({
        "name": past.stored.name, "record": record(past), "fault": past.fault,
    })).collect::<Vec<_>>() });
    context.output.result(&value, || {
        let row = |past: &Past| {
            let mut row = vec![past.stored.name.clone()];
            row.extend(past.facts.as_ref().map_or_else(Vec::new, |facts| {
                let rto = facts.rto_seconds.map_or_else(|| "–".into(), report::duration);
                vec![facts.plan().to_owned(), facts.result.as_str().into(), rto, report::duration(facts.rpo_seconds)]
            }));
            row.resize(5, String::new());
            row.push(past.fault.clone().unwrap_or_else(|| "verified".into()));
            row
        };
        table(&["drill", "plan", "result", "RTO", "RPO", "signature and chain"], drills.iter().map(row).collect())
    });
    Ok(exit(&drills))
}

pub(super) async fn verify(context: &Context) -> Result<Exit, Failure> {
    let drills = judged_everywhere(context).await?;
    for past in drills.iter().filter(|past| past.fault.is_some()) {
        context.output.warn(&format!("{}: {}", past.stored.name, past.fault.as_deref().unwrap_or_default()));
    }
    let faults = drills.iter().filter(|past| past.fault.is_some()).count();
    let value = json!({ "drills": drills.len(), "faults": faults });
    context.output.result(&value, || match (drills.len(), faults) {
        (0, _) => "there is no drill record".into(),
        (1, 0) => "1 record, signed by an allowed signer".into(),
        (count, 0) => format!("{count} records, each signed by an allowed signer and chained to the one before it"),
        (count, faults) => format!("of {}, {faults} do not verify", plural(count as u64, "record")),
    });
    Ok(exit(&drills))
}

fn exit(drills: &[Past]) -> Exit {
    if drills.iter().all(|past| past.fault.is_none()) { Exit::Complete } else { Exit::Refused }
}

pub(super) async fn show(context: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let drills = judged_everywhere(context).await?;
    let found = match args.drill.as_str() {
        "latest" => drills.len().checked_sub(1),
        name => drills.iter().position(|past| past.stored.name.starts_with(name)),
    };
    let Some(position) = found else {
        let message = format!("there is no drill {}", args.drill);
        return Err(Failure::usage(message).hint("`lifeboat drill list` shows them"));
    };
    let past = &drills[position];
    if let Some(fault) = &past.fault {
        context.output.warn(&format!("{}: {fault}", past.stored.name));
    }
    if args.html.is_some() || args.pdf.is_some() {
        let Some(record) = past.record() else {
            return Err(Failure::new(Exit::Refused, "this record does not verify, so it has no report")
                .hint("records of the first builds have no report"));
        };
        super::run::write_reports(&record, &drills[..position], args.html.as_deref(), args.pdf.as_deref())?;
    } else {
        // The exact signed bytes are in the repository.
        let bytes: serde_json::Value = serde_json::from_slice(&past.stored.bytes).unwrap_or_default();
        context.output.result(
            &json!({ "name": past.stored.name, "fault": past.fault, "record": bytes }),
            || match past.record() {
                Some(record) => {
                    let more =
                        record.deviations.iter().map(|deviation| format!("\n{}: {}", deviation.what, deviation.cause));
                    super::summary(&record, &past.stored) + &more.collect::<String>()
                }
                None => serde_json::to_string_pretty(&bytes).unwrap_or_default(),
            },
        );
    }
    Ok(if past.fault.is_none() { Exit::Complete } else { Exit::Refused })
}
