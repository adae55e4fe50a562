//! `lifeboat check`

use serde::Serialize;

use super::{
    Context, Exit, Failure, list,
    output::{plural, table},
    quorum::{self, ShareArgs},
    survey,
    watch::Watch,
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock},
    drill,
    repo::{
        Chain, CheckDepth, CheckOptions, CheckReport, Extent, Fault, History, Judgement, Remembered, Repository,
        Restorable, SubsetRule, Trust, VerifiedRecord,
    },
    storage::Storage,
};

/// Check that the repository is whole, at one of three depths
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat check                           presence, digests, signatures, chain; needs no key
  lifeboat check --depth index             also every reference; needs the index key
  lifeboat check --depth values --share a.txt --share b.txt --share c.txt
  lifeboat check --repo /mnt/west/lifeboat --share sheets/   on a clean machine, at any depth
  lifeboat check --subset weekly           run daily: every pack is read once a week

The report lists every fault and what can still be restored from each snapshot. Exit codes:
6 files are damaged or missing, 4 the history was tampered with, 3 a snapshot is late, or files
are sealed to another key.")]
pub struct Args {
    /// How deep to check
    #[arg(long, value_enum, default_value_t = Depth::Structure)]
    depth: Depth,
    /// Read only a part of the packs: PART/OF (3/12), or that of the day: weekly, monthly, yearly
    #[arg(long, value_name = "PART")]
    subset: Option<SubsetRule>,
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
    let watch = Watch::new(context.output.json);
    let host = context.host();
    let scratch = host.as_ref().ok().map(Host::scratch);
    let options = CheckOptions {
        subset: args.subset.map(|rule| rule.on(SystemClock.now())),
        scratch: scratch.as_deref(),
        progress: &watch,
        now: SystemClock.now(),
    };
    let mut pending = Vec::new();
    // With sheets a clean machine checks at every depth; a host checks with its own keys up to the index.
    let (report, judgement) = if args.depth == Depth::Values || !args.shares.shares.is_empty() {
        let repository = Repository::open(Storage::open(&context.address()?)?).await?;
        let opened = quorum::open(context, &repository, &args.shares).await?;
        let history = repository.history(&opened.trust).await?;
        let depth = match args.depth {
            Depth::Structure => CheckDepth::Structure,
            // The recovery key opens the index too, and values are not read.
            Depth::Index => CheckDepth::IndexByQuorum(&opened.key),
            Depth::Values => CheckDepth::Values(&opened.key),
        };
        let report = repository.check_history(&opened.trust, &history, depth, &options).await?;
        // On a clean machine nobody remembers anything; a host does.
        let remembered = match &host {
            Ok(host) => remembered(context, host, &repository, &history, &opened.trust).await?,
            Err(_) => Vec::new(),
        };
        pending.extend(removals(&opened.trust, &history.chain));
        (report, repository.judge_chain(&opened.trust, history.chain, &remembered).await?)
    } else {
        let host = host.map_err(|failure| failure.also("or use --share for each sheet of a quorum"))?;
        let (repository, trust) = context.repository(&host).await?;
        let key = if args.depth == Depth::Index { Some(host.index_key()?) } else { None };
        let depth = key.as_ref().map_or(CheckDepth::Structure, CheckDepth::Index);
        let history = repository.history(&trust).await?;
        let report = repository.check_history(&trust, &history, depth, &options).await?;
        let remembered = remembered(context, &host, &repository, &history, &trust).await?;
        pending.extend(removals(&trust, &history.chain));
        (report, repository.judge_chain(&trust, history.chain, &remembered).await?)
    };
    watch.done();
    let report = with_judgement(report, &judgement);
    let shown =
        Shown { report: &report, pending: list::pending_json(judgement.chain()), records: judgement.later_records() };
    context.output.result(&shown, || text(&report, args.depth));
    for words in pending {
        context.output.note(&words);
    }
    let unopened = if report.unopened.is_empty() { Exit::Complete } else { Exit::Incomplete };
    Ok(Exit::of(Fault::worst(&report.faults)).and(unopened))
}

/// A report as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a CheckReport,
    /// Removals that are ordered and not done.
    pending: Vec<serde_json::Value>,
    /// Signed records of kinds that this build does not know.
    records: &'a [VerifiedRecord],
}

/// What the judge of every command finds belongs into the report, once.
fn with_judgement(mut report: CheckReport, judgement: &Judgement) -> CheckReport {
    for fault in judgement.faults() {
        let is_new =
            |known: &Fault| (&known.file, known.kind, &known.detail) != (&fault.file, fault.kind, &fault.detail);
        if report.faults.iter().all(is_new) {
            report.faults.push(fault.clone());
        }
    }
    report
}

fn removals(trust: &Trust, chain: &Chain) -> Vec<String> {
    chain.pending().into_iter().map(|(each, count)| list::pending(trust, each, count)).collect()
}

/// The heads that this host, the copies and the drills remember.
///
/// A copy may lag: it is held to what this host saw there, and the repository to all of them.
async fn remembered(
    context: &Context,
    host: &Host,
    repository: &Repository,
    history: &History,
    trust: &Trust,
) -> Result<Vec<Remembered>, Failure> {
    let drills = drill::judge(history.drills.clone(), trust);
    let elsewhere = context.global.repo.as_ref().filter(|address| **address != host.config.repository.url);
    Ok(if let Some(address) = elsewhere {
        let seen = host.copies_seen(repository.id())?.get(address).map(|seen| seen.head);
        survey::remembered(seen, &[], &drills)
    } else {
        let copies = survey::copies(host, repository.id()).await?;
        for copy in &copies {
            if let Err(error) = &copy.chain {
                context.output.warn(&format!("not compared with the copy at {}: {error}", copy.section.url));
            }
        }
        survey::remembered(host.witness(repository.id())?, &copies, &drills)
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
    if report.subset.is_some() {
        rows.push(("packs not read this time", report.skipped));
    }
    let faults: Vec<&Fault> = report.faults.iter().filter(|fault| fault.severity().is_some()).collect();
    rows.push(("faults", faults.len() as u64));
    let mut text = table(
        &["checked", "how many"],
        rows.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]).collect(),
    );
    for file in &report.unopened {
        text.push_str(&format!("\n{file}: not checked: sealed to another key"));
    }
    for fault in &report.faults {
        text.push_str(&format!("\n{fault}"));
    }
    if !faults.is_empty() {
        text.push_str("\n\nwhat can still be restored:\n");
        let several = report.restorable.windows(2).any(|two| two[0].source != two[1].source);
        let headings: &[&str] =
            if several { &["no", "time", "source", "how much"] } else { &["no", "time", "how much"] };
        let row = |snapshot: &Restorable| restorable(snapshot, several);
        text.push_str(&table(headings, report.restorable.iter().map(row).collect()));
    }
    text
}

fn restorable(snapshot: &Restorable, several: bool) -> Vec<String> {
    let packs = plural(snapshot.bad_packs, "pack");
    let extent = match (snapshot.extent, snapshot.values_lost) {
        (Extent::Whole, _) => "all of it".into(),
        (Extent::Nothing, _) => "NOTHING: its index is bad".into(),
        (Extent::Partly, Some(lost)) => format!("all except {} in {packs}", plural(lost, "value")),
        (Extent::Partly, None) => format!("all except the values in {packs}"),
    };
    let source = several.then(|| snapshot.source.short());
    let row = [snapshot.sequence.to_string(), snapshot.time.to_string()];
    row.into_iter().chain(source).chain([extent]).collect()
}
