//! From a provider or from files to counts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    pin::pin,
};

use futures::TryStreamExt as _;
use jiff::Timestamp;

use super::{
    super::{
        Context, Failure,
        history::{self, CompareArgs, Reach},
        show,
    },
    ReportArgs,
};
use crate::{
    access::{Month, Rules, Span, Tally},
    app, fsutil,
    model::{Place, PlaceFilter},
    provider::{self, AccessLog, Asked, Entry, Kind, Ops},
    text,
};

/// Folders within folders that are looked into: accounts, services, regions, years, months, days.
const DEEPEST: usize = 16;
/// Sentences about files that are printed.
const MOST_REASONS: usize = 20;

/// What was found out about each tally, and about what belongs to none.
pub(super) struct Gathered {
    /// What each place's trail covers.
    pub(super) spans: Vec<Span>,
    /// Entries that are no event.
    pub(super) unclear: u64,
    /// Events of places that are no source.
    pub(super) strangers: u64,
    /// Files that were read.
    pub(super) files: u64,
}

/// A tally for each source, with the secrets of its newest snapshot and those whom their policies name.
pub(super) async fn tallies(
    context: &Context,
    args: &ReportArgs,
    month: Month,
    rules: &Rules,
) -> Result<Vec<Tally>, Failure> {
    let trusted = show::trusted(context, &args.shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let judgement = history::judge(context, repository, trust, &CompareArgs::default(), Reach::Newest).await?;
    let mut tallies = Vec::new();
    for place in judgement.chain().newest().into_keys() {
        if args.source.source.as_ref().is_some_and(|filter| !filter.means(place)) {
            continue;
        }
        let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
        let chosen = history::find(&judgement, "latest", Some(&filter))?;
        let mut tally = Tally::new(place.clone(), month, rules.clone());
        if let Some(log) = log_of(place) {
            let ops: &dyn Ops = provider::kind(&place.provider).map_or(&provider::NO_OPS, Kind::ops);
            let mut records = pin!(repository.record_stream(&chosen, trusted.opener(&chosen)?));
            while let Some(record) = records.try_next().await? {
                let secret = &record.secret;
                tally.secret(&secret.name, log.ids(secret), ops.known_readers(secret));
            }
        }
        tallies.push(tally);
    }
    if tallies.is_empty() {
        return Err(Failure::usage("no snapshot of such a source").hint("`lifeboat list` shows the sources"));
    }
    Ok(tallies)
}

fn log_of(place: &Place) -> Option<&'static dyn AccessLog> {
    provider::kind(&place.provider).ok()?.ops().access_log()
}

/// Asks the provider of each place.
pub(super) async fn ask(
    context: &Context,
    tallies: &mut [Tally],
    now: Timestamp,
    most: u64,
) -> Result<Gathered, Failure> {
    let host = context.host().map_err(|failure| failure.also("or read exported files with --log"))?;
    let estate = host.estate().await?;
    let mut gathered = Gathered { spans: Vec::new(), unclear: 0, strangers: 0, files: 0 };
    for tally in tallies {
        let place = tally.place().clone();
        let Some(log) = log_of(&place) else {
            let reason = format!("Lifeboat cannot read the audit trail of {}", place.provider);
            gathered.spans.push(Span::None(reason));
            continue;
        };
        let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
        let may_be =
            |section: &&crate::config::SourceSection| app::may_be(section, &filter) && section.url.leads_to(&place);
        let mut span = Span::None("no configured source leads there".into());
        for section in estate.sections.iter().filter(may_be) {
            match estate.find(section.clone(), &host).await.outcome {
                Ok((_, found)) if found == place => {
                    context.output.note(&format!("asking {} about {}", log.title(), text::line(&place.short())));
                    let (from, until) = tally.asked();
                    let asked = Asked { from, until, now, most };
                    let mut sink = |entry: Entry| match entry {
                        Some(event) if tally.is_of(&event) => tally.take(log, &event),
                        Some(_) => gathered.strangers += 1,
                        None => gathered.unclear += 1,
                    };
                    let connection = app::plain(section);
                    span = match log.look_up(&section.url, &connection, asked, &mut sink).await {
                        Ok(reach) => Span::Asked(reach),
                        Err(error) => Span::None(format!("{} cannot be asked: {error}", log.title())),
                    };
                    break;
                }
                Ok((_, found)) => span = Span::None(format!("the credentials are for {found}")),
                Err(error) => span = Span::None(error.to_string()),
            }
        }
        gathered.spans.push(span);
    }
    Ok(gathered)
}

/// Reads exported files, away from what waits for signals.
pub(super) async fn files(tallies: Vec<Tally>, paths: &[PathBuf]) -> Result<(Vec<Tally>, Gathered), Failure> {
    let files = listed(paths)?;
    if files.is_empty() {
        return Err(
            Failure::usage("no file of a trail is there").hint("use --log FILE: its name ends in .json or .json.gz")
        );
    }
    let read = tokio::task::spawn_blocking(move || read_all(tallies, &files)).await;
    read.map_err(|_| Failure::new(super::Exit::Failed, "the reading of the files ended"))
}

fn read_all(mut tallies: Vec<Tally>, files: &BTreeSet<PathBuf>) -> (Vec<Tally>, Gathered) {
    let log = tallies.iter().find_map(|tally| log_of(tally.place()));
    let mut gathered = Gathered { spans: Vec::new(), unclear: 0, strangers: 0, files: 0 };
    let (mut reasons, mut more) = (Vec::new(), 0_u64);
    for path in files {
        let Some(log) = log else { continue };
        let mut sink = |entry: Entry| {
            let Some(event) = entry else {
                gathered.unclear += 1;
                return;
            };
            match tallies.iter_mut().find(|tally| tally.is_of(&event)) {
                Some(tally) => tally.take(log, &event),
                None => gathered.strangers += 1,
            }
        };
        let read = match fsutil::open(path) {
            Ok(file) => log.read_file(Box::new(file), &mut sink),
            Err(error) => Err(error.to_string()),
        };
        gathered.files += 1;
        match read {
            Ok(()) => {}
            Err(why) if reasons.len() < MOST_REASONS => reasons.push(format!("{}: {why}", path.display())),
            Err(_) => more += 1,
        }
    }
    if more > 0 {
        reasons.push(format!("{} more", text::plural(more, "file")));
    }
    gathered.spans = tallies
        .iter()
        .map(|tally| match log_of(tally.place()) {
            Some(_) => Span::Files(reasons.clone()),
            None => Span::None(format!("Lifeboat cannot read the audit trail of {}", tally.place().provider)),
        })
        .collect();
    (tallies, gathered)
}

/// The files, each once, and those in folders that have the ending of a trail's.
fn listed(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    for path in paths {
        if fs::metadata(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?.is_dir() {
            walk(path, DEEPEST, &mut files)?;
        } else {
            files.insert(path.clone());
        }
    }
    Ok(files)
}

fn walk(folder: &Path, deepest: usize, files: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_log = [".json", ".json.gz"].iter().any(|end| name.ends_with(end));
        if kind.is_dir() && deepest > 0 {
            walk(&path, deepest - 1, files)?;
        } else if kind.is_file() && is_log {
            files.insert(path);
        }
    }
    Ok(())
}
