//! `lifeboat check`

use super::{
    Context, Exit, Failure, drill,
    output::table,
    quorum::{self, ShareArgs},
    survey,
};
use crate::{
    app::Host,
    repo::{CheckDepth, CheckReport, Fault, Repository, Trust},
};

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
        report.faults.extend(compared(context, &host, &repository, &trust).await?);
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

/// The history against the heads that this host, the copies and the drills remember.
///
/// A copy may lag: it is held to what this host saw there, and the repository to all of them.
async fn compared(
    context: &Context,
    host: &Host,
    repository: &Repository,
    trust: &Trust,
) -> Result<Vec<Fault>, Failure> {
    let drills = drill::judged_in(repository, trust).await?;
    let chain = repository.chain(trust).await?;
    let elsewhere = context.global.repo.as_ref().filter(|address| **address != host.config.repository.url);
    let remembered = match elsewhere {
        Some(address) => {
            let seen = host.copies_seen(repository.id())?.get(address).map(|seen| seen.head);
            survey::remembered(seen, &[], &drills)
        }
        None => {
            let copies = survey::copies(host, repository.id()).await?;
            for copy in &copies {
                if let Err(error) = &copy.chain {
                    context.output.warn(&format!("not compared with the copy at {}: {error}", copy.section.url));
                }
            }
            survey::remembered(host.witness(repository.id())?, &copies, &drills)
        }
    };
    Ok(chain.compare(&remembered))
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
