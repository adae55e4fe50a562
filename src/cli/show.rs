//! `lifeboat show`

use std::pin::pin;

use futures::TryStreamExt as _;
use serde::Serialize;

use super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    output::table,
    quorum::{self, Opened, ShareArgs},
    terminal,
};
use crate::{
    app::HostError,
    crypto::{IndexKey, Opener, VersionKey},
    custody,
    model::{Digest, PlaceFilter, Record, ValueState},
    repo::{AcceptedFault, Chosen, Manifest, Repository, Sorted, Spool, Trust},
    storage::Storage,
    text,
};

const HEADINGS: [&str; 4] = ["secret", "version", "labels", "value"];
/// Rows of one table.
const TABLE_ROWS: usize = 5_000;

/// Show what is in a snapshot: names, versions, labels; never values
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat show\n  lifeboat show 3f2a91c0 --json")]
pub struct Args {
    /// `latest` or the beginning of a snapshot's id
    #[arg(default_value = "latest")]
    snapshot: String,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

/// Which source is meant, where a repository has several.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SourceArg {
    /// The source of the snapshot, where the repository has several
    #[arg(long, value_name = "ACCOUNT[:REGION]")]
    pub(super) source: Option<PlaceFilter>,
}

/// A repository whose epochs are verified, and what opens its indexes.
pub(super) enum Trusted {
    /// By the host's configuration and index key.
    Host(Repository, Trust, Box<Option<IndexKey>>),
    /// By a quorum.
    Quorum(Repository, Box<Opened>),
}

impl Trusted {
    /// The key of version ids: that of this host, or on a machine that is none the one that every host of this recovery key
    /// began with.
    pub(super) fn version_key(&self, context: &Context) -> Result<VersionKey, HostError> {
        match (context.host(), self) {
            (Ok(host), _) => host.version_key(),
            (Err(_), Self::Quorum(_, opened)) => Ok(opened.key.version_key()),
            (Err(_), Self::Host(..)) => Ok(VersionKey::generate()),
        }
    }

    pub(super) fn repository(&self) -> &Repository {
        match self {
            Self::Host(repository, ..) | Self::Quorum(repository, _) => repository,
        }
    }

    pub(super) fn trust(&self) -> &Trust {
        match self {
            Self::Host(_, trust, _) => trust,
            Self::Quorum(_, opened) => &opened.trust,
        }
    }

    /// What reads the names of a snapshot. Sheets of another key than the one that it is sealed to open nothing of it: that is
    /// said by epoch and share set, before a file is tried.
    pub(super) fn opener(&self, chosen: &Chosen) -> Result<Opener<'_>, Failure> {
        match self {
            Self::Quorum(_, opened) => {
                refuse_other_key(&opened.trust, chosen)?;
                Ok(Opener::Recovery(&opened.key))
            }
            Self::Host(_, _, key) => match key.as_ref() {
                Some(key) => Ok(Opener::Index(key)),
                None => Err(Failure::usage("the index key is needed to read names").hint("use --share for a quorum")),
            },
        }
    }
}

/// After a rotation the snapshots of before stay sealed to the key of before.
fn refuse_other_key(trust: &Trust, chosen: &Chosen) -> Result<(), Failure> {
    let (sealed, current) = (chosen.manifest().epoch, trust.current());
    let Some(epoch) = trust.epochs().iter().find(|epoch| epoch.number == sealed) else { return Ok(()) };
    if epoch.recipient == current.recipient {
        return Ok(());
    }
    let message = format!(
        "snapshot number {} is sealed to the key of epoch {sealed}; these sheets hold the key of epoch {}",
        chosen.manifest().sequence,
        current.number
    );
    Err(Failure::new(Exit::NoQuorum, message).hint(format!(
        "use the sheets of epoch {sealed} (share set {}); these sheets open only the snapshots \
         taken after the rotation",
        custody::share_set(epoch)
    )))
}

/// Opens with a quorum when sheets are given, with the host's configuration otherwise.
pub(super) async fn trusted(context: &Context, shares: &ShareArgs) -> Result<Trusted, Failure> {
    // A clean machine has no configuration: the sheets are given, or typed.
    let is_clean = context.global.repo.is_some() && !context.global.config.exists() && terminal::is_there();
    if shares.shares.is_empty() && !is_clean {
        let host = context.host()?;
        let (repository, trust) = context.repository(&host).await?;
        let key = host.index_key().ok();
        return Ok(Trusted::Host(repository, trust, Box::new(key)));
    }
    let repository = Repository::open(Storage::open(&context.address()?)?).await?;
    let opened = quorum::open(context, &repository, shares).await?;
    Ok(Trusted::Quorum(repository, Box::new(opened)))
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let trusted = trusted(context, &args.shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let judgement = history::judge(context, repository, trust, &args.compare, Reach::of(&args.snapshot)).await?;
    let manifest = history::find(&judgement, &args.snapshot, args.source.source.as_ref())?;
    history::tell(context, &manifest);
    let read = records(context, &trusted, &manifest).await;
    let (records, complete) = match read {
        Err(failure) => return Err(history::or_forgotten(repository, trust, &manifest, failure).await),
        Ok(read) => read,
    };
    let several = judgement.chain().newest().len() > 1;
    let (accepted, digest) = (manifest.accepted(), manifest.digest());
    let tombstones = super::list::tombstones(judgement.tombstones());
    let value = Shown { manifest: manifest.manifest(), digest, accepted, tombstones, records: &records };
    if context.output.json {
        context.output.large_result(&value, || Ok(String::new()))?;
    } else {
        if several {
            let source = manifest.manifest().source.short();
            context.output.raw(format!("source {}\n", text::line(&source)).as_bytes());
        }
        print_tables(context, &records)?;
    }
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

/// Every record by name, and whether all of it was captured.
async fn records(context: &Context, trusted: &Trusted, chosen: &Chosen) -> Result<(Sorted<Record>, bool), Failure> {
    let mut records = pin!(trusted.repository().record_stream(chosen, trusted.opener(chosen)?));
    let mut shown = Spool::of_records(Some(&context.scratch()));
    let mut complete = true;
    while let Some(record) = records.try_next().await? {
        complete &= !record.is_incomplete();
        shown.push(record)?;
    }
    Ok((shown.sorted()?, complete))
}

/// One table, or several when the snapshot is large: a table is as wide as its widest row, and is held in memory.
fn print_tables(context: &Context, records: &Sorted<Record>) -> Result<(), Failure> {
    let mut all = Vec::new();
    let show = |rows| context.output.raw(format!("{}\n", table(&HEADINGS, rows)).as_bytes());
    for record in records.walk()? {
        all.extend(rows(&record?));
        if all.len() >= TABLE_ROWS {
            show(std::mem::take(&mut all));
        }
    }
    if !all.is_empty() || records.count() == 0 {
        show(all);
    }
    Ok(())
}

/// A snapshot as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    manifest: &'a Manifest,
    digest: Digest,
    accepted: &'a [AcceptedFault],
    tombstones: Vec<serde_json::Value>,
    records: &'a Sorted<Record>,
}

fn rows(record: &Record) -> Vec<Vec<String>> {
    let mut name = record.secret.name.clone();
    if record.secret.deleted.is_some() {
        name.push_str("\n(scheduled for deletion)");
    }
    if record.versions.is_empty() {
        return vec![vec![name, String::new(), String::new(), "no version".into()]];
    }
    let row = |(number, version): (usize, &crate::model::Version)| {
        let value = match &version.value {
            ValueState::Stored { kind, .. } => format!("{kind:?}").to_lowercase(),
            ValueState::None => "none".into(),
            ValueState::Withheld { reason } => format!("not readable: {reason}"),
            ValueState::Unreadable { reason } if version.value.leaked().is_some() => reason.clone(),
            ValueState::Unreadable { reason } => format!("NOT CAPTURED: {reason}"),
        };
        let name = if number == 0 { name.clone() } else { String::new() };
        vec![name, version.id.clone(), version.labels.join(", "), value]
    };
    record.versions.iter().enumerate().map(row).collect()
}
