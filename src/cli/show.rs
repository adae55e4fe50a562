//! `lifeboat show`

use std::pin::pin;

use futures::TryStreamExt as _;
use serde::Serialize;

use super::{
    Context, Exit, Failure,
    output::table,
    quorum::{self, Opened, ShareArgs},
};
use crate::{
    crypto::{IndexKey, Opener},
    model::{Digest, Place, PlaceFilter, Record, ValueState},
    repo::{Chain, Manifest, Repository, Sorted, Spool, Trust, VerifiedManifest},
    storage::Storage,
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
    pub(super) fn into_parts(self) -> (Repository, Trust) {
        match self {
            Self::Host(repository, trust, _) => (repository, trust),
            Self::Quorum(repository, opened) => (repository, opened.trust),
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

    pub(super) fn opener(&self) -> Result<Opener<'_>, Failure> {
        match self {
            Self::Quorum(_, opened) => Ok(Opener::Recovery(&opened.key)),
            Self::Host(_, _, key) => match key.as_ref() {
                Some(key) => Ok(Opener::Index(key)),
                None => Err(Failure::usage("the index key is needed to read names").hint("say --share for a quorum")),
            },
        }
    }
}

/// Opens with a quorum when sheets are given, with the host's configuration otherwise.
pub(super) async fn trusted(context: &Context, shares: &ShareArgs) -> Result<Trusted, Failure> {
    if shares.shares.is_empty() {
        let host = context.host()?;
        let (repository, trust) = context.repository(&host).await?;
        let key = host.index_key().ok();
        return Ok(Trusted::Host(repository, trust, Box::new(key)));
    }
    let address = match &context.global.repo {
        Some(address) => address.clone(),
        None => context.host()?.config.repository.url,
    };
    let repository = Repository::open(Storage::open(&address)?).await?;
    let opened = quorum::open(context, &repository, shares).await?;
    Ok(Trusted::Quorum(repository, Box::new(opened)))
}

/// Finds a snapshot in the verified history; `latest` is one source's.
pub(super) async fn find(
    repository: &Repository,
    trust: &Trust,
    wanted: &str,
    source: Option<&PlaceFilter>,
) -> Result<VerifiedManifest, Failure> {
    if wanted == "latest" {
        refuse_earlier_key(repository, trust).await?;
    }
    let chain = repository.chain(trust).await?;
    let found = if wanted == "latest" {
        let only = one_source(&chain, source)?;
        only.and_then(|place| chain.newest().remove(&place))
    } else {
        chain.find(wanted)
    };
    if let Some(found) = found {
        return match source.filter(|source| !source.means(&found.manifest().source)) {
            Some(source) => Err(Failure::usage(format!(
                "snapshot {wanted} is of {}, not {source}",
                found.manifest().source.short()
            ))),
            None => Ok(found.clone()),
        };
    }
    // A snapshot that is there and not believed is a refusal, not an absence.
    match chain.faults.first() {
        Some(fault) => {
            Err(Failure::new(Exit::Refused, format!("no trusted snapshot {wanted}; {}: {}", fault.file, fault.detail))
                .hint("`lifeboat check` lists everything that is wrong; a copy may be whole (--repo)"))
        }
        None => Err(Failure::usage(format!("there is no snapshot {wanted}")).hint("`lifeboat list` shows them")),
    }
}

/// The one source that is meant; `None` when there is no snapshot of any.
///
/// Which of several is never guessed: a restore of the wrong account's secrets looks like a good one.
fn one_source(chain: &Chain, wanted: Option<&PlaceFilter>) -> Result<Option<Place>, Failure> {
    let all: Vec<&Place> = chain.newest().into_keys().collect();
    let meant = all.iter().filter(|place| wanted.is_none_or(|wanted| wanted.means(place)));
    let meant: Vec<Place> = meant.map(|place| (*place).clone()).collect();
    let names = |places: &[Place]| places.iter().map(Place::short).collect::<Vec<_>>().join(", ");
    match (meant.as_slice(), wanted) {
        ([], Some(wanted)) if !all.is_empty() => {
            let all: Vec<Place> = all.into_iter().cloned().collect();
            Err(Failure::usage(format!("there is no snapshot of source {wanted}"))
                .hint(format!("there are: {}", names(&all))))
        }
        ([] | [_], _) => Ok(meant.into_iter().next()),
        (several, _) => Err(Failure::usage(format!("the repository holds snapshots of {} sources", several.len()))
            .hint(format!("say --source with one of: {}", names(several)))),
    }
}

/// Finds the newest snapshot of one source whose recovery point is `at` or before.
pub(super) async fn find_at(
    repository: &Repository,
    trust: &Trust,
    at: jiff::Timestamp,
    source: Option<&PlaceFilter>,
) -> Result<VerifiedManifest, Failure> {
    let chain = repository.chain(trust).await?;
    let only = one_source(&chain, source)?;
    let of = |found: &&VerifiedManifest| only.as_ref() == Some(&found.manifest().source);
    let found = chain.manifests.iter().rev().filter(of).find(|found| found.manifest().time <= at);
    if let Some(fault) = chain.faults.first() {
        // What is missing may be the very snapshot that was asked for.
        let message = format!(
            "the history has faults, so what was newest at {at} is not known; {}: {}",
            fault.file, fault.detail
        );
        return Err(Failure::new(Exit::Refused, message)
            .hint("name a snapshot by its id (--snapshot ID), or use a copy (--repo)"));
    }
    found.cloned().ok_or_else(|| {
        Failure::usage(format!("there is no snapshot of {at} or before")).hint("`lifeboat list` shows them")
    })
}

/// The newest snapshot an earlier key can see is not the newest one, so it must be asked for by name.
async fn refuse_earlier_key(repository: &Repository, trust: &Trust) -> Result<(), Failure> {
    let known = trust.current().number;
    let newest = repository.epochs().await?.into_iter().map(|stored| stored.epoch.number).max();
    match newest.filter(|newest| *newest > known) {
        Some(newest) => Err(Failure::new(
            Exit::Refused,
            format!("epoch {newest} has a newer key; this one opens only the snapshots up to epoch {known}"),
        )
        .hint("use the sheets of the newer key, or name an older snapshot by its id (--snapshot ID)")),
        None => Ok(()),
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let trusted = trusted(context, &args.shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let manifest = find(repository, trust, &args.snapshot, args.source.source.as_ref()).await?;
    let mut records = pin!(repository.record_stream(&manifest, trusted.opener()?));
    let mut shown = Spool::of_records(Some(&context.scratch()));
    let mut complete = true;
    while let Some(record) = records.try_next().await? {
        complete &= !record.is_incomplete();
        shown.push(record)?;
    }
    let records = shown.sorted()?;
    let value = Shown { manifest: manifest.manifest(), digest: manifest.digest(), records: &records };
    if context.output.json {
        context.output.large_result(&value, || Ok(String::new()))?;
    } else {
        print_tables(context, &records)?;
    }
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
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
            ValueState::Unreadable { reason } => format!("NOT CAPTURED: {reason}"),
        };
        let name = if number == 0 { name.clone() } else { String::new() };
        vec![name, version.id.clone(), version.labels.join(", "), value]
    };
    record.versions.iter().enumerate().map(row).collect()
}
