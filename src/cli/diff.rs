//! `lifeboat diff`

use std::{str::FromStr, sync::Arc};

use futures::TryStreamExt as _;
use serde_json::json;

use super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    output::{plural, table},
    quorum::ShareArgs,
    show::{self, Trusted},
    watch::Watch,
};
use crate::{
    app,
    config::{SourceSection, Sources},
    model::{NoPlace, Place, PlaceFilter},
    provider::{Address, Purpose, Source},
    repo::Chosen,
    restore::{self, Change, Diff, Held, LookError, Values},
};

/// Show what changed between two snapshots, or since a snapshot; values are shown only as same or different
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat diff                      the newest snapshot and the source as it is now
  lifeboat diff 3f2a91c0             that snapshot and the source as it is now
  lifeboat diff 3f2a91c0 latest      two snapshots
  lifeboat diff --share sheets/      also values

Exit codes: 0 nothing differs, 3 something differs or could not be read,
4 the source is another account or region.")]
pub struct Args {
    /// The older side: `latest` or the beginning of a snapshot's id
    #[arg(default_value = "latest")]
    older: String,
    /// The newer side: a snapshot; without it, the source as it is now
    newer: Option<String>,
    /// The source of the snapshots, where the repository has several; or its address, without a configuration
    #[arg(long, value_name = "ACCOUNT[:REGION]|aws:REGION")]
    source: Option<Of>,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

/// One source of several, or the address of the only one.
#[derive(Clone, Debug)]
enum Of {
    Place(PlaceFilter),
    Address(Address),
}

impl FromStr for Of {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        text.parse().map(Self::Address).or_else(|_| text.parse().map(Self::Place))
    }
}

impl Args {
    fn place(&self) -> Option<&PlaceFilter> {
        match &self.source {
            Some(Of::Place(filter)) => Some(filter),
            _ => None,
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let trusted = show::trusted(context, &args.shares).await?;
    let repository = trusted.repository();
    let is_newest = [Some(&args.older), args.newer.as_ref()].into_iter().flatten().all(|wanted| wanted == "latest");
    let reach = if is_newest { Reach::Newest } else { Reach::Whole };
    let judgement = history::judge(context, repository, trusted.trust(), &args.compare, reach).await?;
    let manifest = history::find(&judgement, &args.older, args.place())?;
    let stored = |manifest: &Chosen| {
        let records = repository.record_stream(manifest, trusted.opener(manifest)?);
        Ok::<_, Failure>(records.map_ok(Held::stored).map_err(LookError::from))
    };
    let older = stored(&manifest)?;
    let values = match &trusted {
        Trusted::Quorum(repository, opened) => Some(Values::new(repository, &manifest, &opened.key)),
        Trusted::Host(..) => None,
    };
    let place = manifest.manifest().source.clone();
    let several = (judgement.chain().newest().len() > 1).then(|| place.short());
    let watch = Watch::of(context.output.json, several.clone());
    let (diff, against) = if let Some(wanted) = &args.newer {
        let manifest = history::find(&judgement, wanted, args.place())?;
        (restore::diff(older, stored(&manifest)?, values.as_ref()).await, manifest.manifest().snapshot.short())
    } else {
        let source: Arc<dyn Source> = source(context, &args, &place, &trusted).await?;
        refuse_other(&source.place().await?, &place)?;
        let newer = restore::live(&source, values.is_some(), Some(&context.scratch()), &watch).await?;
        (restore::diff(older, newer, values.as_ref()).await, "the source".to_owned())
    };
    watch.done();
    let diff = diff?;
    let older = manifest.manifest().snapshot.short();
    let value = json!({ "source": place, "older": older, "newer": against, "differs": !diff.is_empty(), "accepted": manifest.accepted(), "diff": diff });
    let of = several.map(|place| format!("{place}: ")).unwrap_or_default();
    context.output.result(&value, || describe(&of, &older, &against, &diff));
    let complete = diff.is_empty() && diff.unread.is_empty();
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

async fn source(context: &Context, args: &Args, place: &Place, trusted: &Trusted) -> Result<Arc<dyn Source>, Failure> {
    if let Some(Of::Address(address)) = &args.source {
        let section = SourceSection::new(address.settle(Purpose::Source).await?, None);
        return Ok(app::connect(&section, || trusted.version_key(context)).await?);
    }
    let host = context.host()?;
    let estate = host.estate().await?;
    if let (Sources::One(_), [section]) = (&host.config.sources, &estate.sections[..]) {
        return Ok(estate.find(section.clone(), &host).await.outcome?.0);
    }
    let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
    let may_be = |section: &&SourceSection| app::may_be(section, &filter) && section.url.leads_to(place);
    for section in estate.sections.iter().filter(may_be) {
        let (source, found) = estate.find(section.clone(), &host).await.outcome?;
        if found == *place {
            return Ok(source);
        }
    }
    Err(Failure::usage(format!("no configured source matches {}", place.short())))
}

fn refuse_other(live: &Place, captured: &Place) -> Result<(), Failure> {
    if live == captured {
        return Ok(());
    }
    let message = format!("the snapshot is of {captured}, the credentials are for {live}");
    Err(Failure::new(Exit::Refused, message).hint("use the credentials and the region of the source"))
}

fn describe(of: &str, older: &str, newer: &str, diff: &Diff) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    rows.extend(diff.removed.iter().map(|name| vec![name.clone(), String::new(), "only in the older".into()]));
    rows.extend(diff.added.iter().map(|name| vec![name.clone(), String::new(), "only in the newer".into()]));
    rows.extend(diff.changes.iter().map(|change: &Change| {
        let what = format!("{} {}", change.what, change.detail).trim_end().to_owned();
        vec![change.name.clone(), change.version.clone().unwrap_or_default(), what]
    }));
    rows.extend(
        diff.unread.iter().map(|name| vec![name.clone(), String::new(), "could not be read completely".into()]),
    );
    let unknown = match diff.values_unknown {
        0 => String::new(),
        count => format!("; {} not compared (this needs a quorum: --share)", plural(count, "value")),
    };
    let summary = format!(
        "{of}{older} → {newer}: {} added, {} removed, {}, {} the same, {} the same{unknown}",
        diff.added.len(),
        diff.removed.len(),
        plural(diff.changes.len() as u64, "change"),
        plural(diff.same, "secret"),
        plural(diff.values_same, "value"),
    );
    if rows.is_empty() { summary } else { format!("{}\n{summary}", table(&["secret", "version", "what"], rows)) }
}
