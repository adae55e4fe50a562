//! `lifeboat check`

use super::{
    Context, Exit, Failure,
    output::table,
    quorum::{self, ShareArgs},
};
use crate::repo::{CheckDepth, CheckReport, FaultKind};

/// Check that the repository is whole, at one of three depths
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat check                                  presence, digests, signatures, chain: no key needed
  lifeboat check --depth index                    and every reference resolves: the index key
  lifeboat check --depth values --share a.txt --share b.txt --share c.txt")]
pub struct Args {
    /// How deep to look
    #[arg(long, value_enum, default_value_t = Depth::Structure)]
    depth: Depth,
    #[command(flatten)]
    shares: ShareArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Depth {
    Structure,
    Index,
    Values,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let report = if args.depth == Depth::Values {
        let address = match &context.global.repo {
            Some(address) => address.clone(),
            None => context.host()?.config.repository.url,
        };
        let storage = crate::storage::Storage::open(&address)?;
        let repository = crate::repo::Repository::open(storage).await?;
        let opened = quorum::open(context, &repository, &args.shares).await?;
        repository.check(&opened.trust, CheckDepth::Values(&opened.key)).await?
    } else {
        let host = context.host()?;
        let (repository, trust) = context.repository(&host).await?;
        let mut report = match args.depth {
            Depth::Index => repository.check(&trust, CheckDepth::Index(&host.index_key()?)).await?,
            _ => repository.check(&trust, CheckDepth::Structure).await?,
        };
        let chain = repository.chain(&trust).await?;
        if let Some(witness) = host.witness(repository.id())?
            && !chain.manifests.iter().any(|manifest| manifest.digest() == witness.manifest)
        {
            report.faults.push(crate::repo::Fault {
                file: "snapshots".into(),
                kind: FaultKind::Gap,
                detail: format!("snapshot number {}, which this host wrote, is gone", witness.sequence),
            });
        }
        report
    };
    context.output.result(&report, || text(&report, args.depth));
    Ok(if !report.faults.is_empty() {
        Exit::Damaged
    } else if report.unopened.is_empty() {
        Exit::Complete
    } else {
        Exit::Incomplete
    })
}

fn text(report: &CheckReport, depth: Depth) -> String {
    let mut rows = vec![("snapshots", report.snapshots), ("files", report.files), ("bytes", report.bytes)];
    if depth != Depth::Structure {
        rows.push(("references", report.references));
    }
    if depth == Depth::Values {
        rows.push(("values", report.values));
    }
    rows.push(("faults", report.faults.len() as u64));
    let mut text = table(
        &["checked", "how many"],
        rows.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]).collect(),
    );
    for file in &report.unopened {
        text.push_str(&format!("\n{file}: not looked into: sealed to another key"));
    }
    for fault in &report.faults {
        text.push_str(&format!("\n{}: {}", fault.file, fault.detail));
    }
    text
}
