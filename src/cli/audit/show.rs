//! `lifeboat audit show`

use serde_json::{Value as Json, json};

use super::super::{
    Context, Exit, Failure,
    output::{plural, table},
    quorum::ShareArgs,
};
use crate::{
    audit::Row,
    repo::{AuditRun, Fault},
};

/// Show the entries of the audit trail, the newest last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat audit show
  lifeboat audit show --last 5 --json
  lifeboat audit show --by 'backup host'
  lifeboat audit show --repo /mnt/west/lifeboat --share sheets/

Entries that do not count are not shown; each is named in a warning. `lifeboat audit verify` judges
the whole trail.")]
pub(super) struct Args {
    /// Show so many of the newest entries
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    last: usize,
    /// Only entries of this signer, by its name in the key epoch
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let seen = super::see(context, &args.shares).await?;
    for fault in &seen.trail.faults {
        context.output.warn(&fault.to_string());
    }
    let mut rows = Row::all(&seen.trail.chains);
    if let Some(by) = &args.by {
        rows.retain(|row| row.chain.by == *by);
    }
    let all = rows.len();
    let shown = &rows[all.saturating_sub(args.last)..];
    let value = json!({
        "entries": shown.iter().map(one).collect::<Vec<_>>(), "earlier": all - shown.len(), "faults": seen.trail.faults,
    });
    context.output.result(&value, || {
        let headings = ["time", "by", "no", "action", "outcome", "what"];
        table(&headings, shown.iter().map(cells).collect())
    });
    if shown.len() < all {
        let earlier = plural((all - shown.len()) as u64, "entry");
        context.output.note(&format!("{earlier} before these: lifeboat audit show --last {all}"));
    }
    if all == 0 {
        return Err(Failure::new(Exit::Incomplete, "there is no audit entry"));
    }
    Ok(Exit::of(Fault::worst(&seen.trail.faults)))
}

fn one(row: &Row<'_>) -> Json {
    json!({ "by": row.chain.by, "file": row.found.file, "sha256": row.found.digest, "entry": row.found.entry })
}

fn cells(row: &Row<'_>) -> Vec<String> {
    let (entry, run) = (&row.found.entry, &row.found.entry.run);
    let action = if run.plan { format!("{} (plan only)", run.action) } else { run.action.clone() };
    vec![
        run.ended.to_string(),
        row.chain.by.clone(),
        entry.number.to_string(),
        action,
        run.exit.map_or_else(|| run.outcome.clone(), |exit| format!("{} ({exit})", run.outcome)),
        what(run),
    ]
}

/// The rest of it in a few words.
fn what(run: &AuditRun) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(run.snapshots.first().map(|id| match run.snapshots.len() {
        1 => format!("snapshot {}", id.short()),
        many => format!("{many} snapshots"),
    }));
    parts.extend(run.target.as_ref().map(|target| format!("into {target}")));
    if !run.quorum.is_empty() {
        parts.push(format!("sheets of {}", run.quorum.join(", ")));
    }
    parts.extend(run.counts.iter().map(|(what, many)| format!("{what} {many}")));
    parts.extend(run.files.first().cloned());
    parts.join("; ")
}
