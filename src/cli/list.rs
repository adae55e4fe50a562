//! `lifeboat list`

use serde_json::json;

use super::{Context, Exit, Failure, output::table, quorum::ShareArgs};
use crate::repo::Chain;

/// List the snapshots whose signatures reach the root
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lifeboat list\n  lifeboat list --repo /mnt/west/lifeboat --share ana.txt --share cy.txt --share eli.txt"
)]
pub struct Args {
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let chain = chain(context, &args.shares).await?;
    for fault in &chain.faults {
        context.output.warn(&format!("{}: {}", fault.file, fault.detail));
    }
    let value = json!({
        "snapshots": chain.manifests.iter().map(|verified| {
            let manifest = verified.manifest();
            json!({
                "snapshot": manifest.snapshot, "sequence": manifest.sequence, "time": manifest.time,
                "source": manifest.source, "epoch": manifest.epoch, "counts": manifest.counts,
                "complete": manifest.counts.is_complete(),
                "forgotten": chain.forgotten(verified).map(|each| each.record.after),
            })
        }).collect::<Vec<_>>(),
        "faults": chain.faults,
    });
    context.output.result(&value, || {
        let row = |verified: &crate::repo::VerifiedManifest| {
            let manifest = verified.manifest();
            let counts = &manifest.counts;
            let complete =
                if counts.is_complete() { "complete".into() } else { format!("{} not readable", counts.unreadable) };
            let complete = match chain.forgotten(verified) {
                Some(each) => format!("{complete}; forgotten, removed after {}", each.record.after),
                None => complete,
            };
            vec![
                manifest.sequence.to_string(),
                manifest.snapshot.short(),
                manifest.time.to_string(),
                manifest.source.to_string(),
                counts.captured.to_string(),
                counts.versions.to_string(),
                complete,
            ]
        };
        let headings = ["no", "id", "time", "source", "secrets", "versions", "state"];
        table(&headings, chain.manifests.iter().map(row).collect())
    });
    Ok(if chain.faults.is_empty() { Exit::Complete } else { Exit::Damaged })
}

/// The verified history, by the host's pinned trust or by a quorum.
async fn chain(context: &Context, shares: &ShareArgs) -> Result<Chain, Failure> {
    let (repository, trust) = super::show::trusted(context, shares).await?.into_parts();
    Ok(repository.chain(&trust).await?)
}
