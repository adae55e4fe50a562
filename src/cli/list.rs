//! `lifeboat list`

use serde_json::json;

use super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    output::{plural, table},
    quorum::ShareArgs,
};
use crate::{
    custody,
    repo::{Chain, Fault, Tombstone, Trust, VerifiedForget},
    text,
};

/// How many of the newest snapshots are listed unless all are asked for.
const SHOWN: usize = 100;

/// List the snapshots whose signatures reach the root
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  lifeboat list\n  lifeboat list --repo /mnt/west/lifeboat --share ana.txt --share cy.txt --share eli.txt"
)]
pub struct Args {
    /// Every snapshot, not only the newest hundred
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

/// Who marked how many versions as leaked, for `--json`.
pub(super) fn tombstones(all: &[Tombstone]) -> Vec<serde_json::Value> {
    let one = |each: &Tombstone| {
        json!({
            "file": each.file, "time": each.time, "by": each.by, "signer": each.signer.fingerprint(),
            "versions": each.versions,
        })
    };
    all.iter().map(one).collect()
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let trusted = super::show::trusted(context, &args.shares).await?;
    let reach = if args.all { Reach::Whole } else { Reach::Newest };
    let judgement = history::judge(context, trusted.repository(), trusted.trust(), &args.compare, reach).await?;
    let (chain, faults) = (judgement.chain(), judgement.faults());
    for fault in faults.iter().filter(|fault| fault.severity().is_some()) {
        context.output.warn(&fault.to_string());
    }
    for (each, count) in chain.pending() {
        context.output.note(&pending(trusted.trust(), each, count));
    }
    let most = if args.all { usize::MAX } else { SHOWN };
    let listed = &chain.manifests[chain.manifests.len().saturating_sub(most)..];
    let earlier = chain.count() - listed.len() as u64;
    let value = json!({
        "snapshots": listed.iter().map(|verified| {
            let manifest = verified.manifest();
            json!({
                "snapshot": manifest.snapshot, "sequence": manifest.sequence, "time": manifest.time,
                "source": manifest.source, "epoch": manifest.epoch, "counts": manifest.counts,
                "complete": manifest.is_complete(), "full_pass": manifest.full.sequence,
                "forgotten": chain.forgotten(verified).map(|each| each.record.after), "late": chain.is_late(verified),
            })
        }).collect::<Vec<_>>(),
        "words": custody::words(trusted.trust().current()), "earlier": earlier, "faults": faults, "pending": pending_json(chain),
        "tombstones": tombstones(judgement.tombstones()),
    });
    context.output.result(&value, || {
        let row = |verified: &crate::repo::VerifiedManifest| {
            let manifest = verified.manifest();
            let counts = &manifest.counts;
            let complete = match manifest.loss() {
                _ if !counts.is_complete() => format!("{} not readable", counts.unreadable),
                Some(had) => had.word().to_owned(),
                None => "complete".to_owned(),
            };
            let complete = if manifest.is_pass() { complete } else { format!("{complete}; by an event") };
            let complete = if chain.is_late(verified) { format!("{complete}; LATE") } else { complete };
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
        table(&headings, listed.iter().map(row).collect())
    });
    context.output.note(&format!("words on every sheet: {}", custody::words(trusted.trust().current())));
    if earlier > 0 {
        context.output.note(&format!("{} before these: lifeboat list --all", plural(earlier, "snapshot")));
    }
    Ok(Exit::of(Fault::worst(faults)))
}

/// A removal that is ordered: what, from when on, and by whom.
pub(super) fn pending(trust: &Trust, each: &VerifiedForget, count: u64) -> String {
    let record = &each.record;
    let signers = trust.epochs().iter().rev().flat_map(|epoch| &epoch.signers);
    let name = signers.into_iter().find(|signer| signer.key == record.signer).map(|signer| signer.name.as_str());
    format!(
        "record {} forgets {}: removed after {}, signed by {} ({}); `lifeboat forget --undo {}` undoes it",
        each.name,
        plural(count, "snapshot"),
        record.after,
        text::line(name.unwrap_or("an unknown signer")),
        record.signer.fingerprint(),
        each.name,
    )
}

pub(super) fn pending_json(chain: &Chain) -> Vec<serde_json::Value> {
    let one = |(each, count): (&VerifiedForget, u64)| json!({ "record": each.name, "after": each.record.after, "signer": each.record.signer, "snapshots": count });
    chain.pending().into_iter().map(one).collect()
}
