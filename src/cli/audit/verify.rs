//! `lifeboat audit verify`

use serde_json::json;

use super::super::{
    Context, Exit, Failure,
    output::{plural, table},
    quorum::ShareArgs,
};
use crate::repo::{AuditChain, Fault};

/// Verify the audit trail: every chain whole, every signature, and the heads that snapshots and drills know
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat audit verify
  lifeboat audit verify --json
  lifeboat audit verify --repo /mnt/west/lifeboat --share sheets/

Exit codes: 0 the trail is whole, 3 there is no entry, or a snapshot that no entry knows, 4 an
entry was forged or removed, 6 an entry is damaged.")]
pub(super) struct Args {
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let super::Seen { trail, uncovered } = super::see(context, &args.shares).await?;
    for fault in &trail.faults {
        context.output.warn(&fault.to_string());
    }
    let without: Vec<u64> = uncovered.iter().map(|found| found.manifest().sequence).collect();
    if let (Some(first), count) = (without.first(), without.len() as u64) {
        context.output.warn(&format!(
            "{} from number {first} on, and no entry knows of it: the run was killed and the next one will say so, or the \
             newest entries were removed",
            plural(count, "snapshot")
        ));
    }
    let entries = trail.entries();
    let exit = match Exit::of(Fault::worst(&trail.faults)) {
        Exit::Complete if entries == 0 || !without.is_empty() => Exit::Incomplete,
        other => other,
    };
    let value = json!({
        "chains": trail.chains.iter().map(one).collect::<Vec<_>>(), "entries": entries, "compared": trail.compared,
        "files": trail.files, "bytes": trail.bytes, "snapshots_without_entry": without, "faults": trail.faults,
        "whole": exit == Exit::Complete,
    });
    context.output.result(&value, || {
        let state = if exit == Exit::Complete { "whole" } else { "NOT WHOLE" };
        let counts = format!(
            "{} in {}, {} compared: {state}",
            plural(entries, "entry"),
            plural(trail.chains.len() as u64, "chain"),
            plural(trail.compared, "head")
        );
        format!(
            "{}\n\n{counts}",
            table(&["by", "chain", "entries", "newest"], trail.chains.iter().map(cells).collect())
        )
    });
    if entries == 0 && exit == Exit::Incomplete {
        return Err(Failure::new(Exit::Incomplete, "there is no audit entry")
            .hint("runs of an older lifeboat left none; the next `lifeboat snapshot` leaves one"));
    }
    Ok(exit)
}

fn one(chain: &AuditChain) -> serde_json::Value {
    let newest = chain.entries.last();
    json!({
        "chain": chain.id, "by": chain.by, "signer": chain.signer, "of_root": chain.is_of_root,
        "entries": chain.entries.len(), "newest": newest.map(|it| it.entry.number), "sha256": newest.map(|it| it.digest),
        "time": newest.map(|it| it.entry.run.ended),
    })
}

fn cells(chain: &AuditChain) -> Vec<String> {
    let newest = chain.entries.last().map(|newest| format!("{} at {}", newest.entry.number, newest.entry.run.ended));
    vec![chain.by.clone(), chain.id.clone(), chain.entries.len().to_string(), newest.unwrap_or_default()]
}
