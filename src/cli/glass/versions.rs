//! `lifeboat versions`

use serde_json::{Value as Json, json};

use super::super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    output::{plural, table},
    quorum::ShareArgs,
    show::{self, SourceArg, Trusted},
};
use crate::{
    crypto::Opener,
    glass::{Life, Name, Secrets, Span, Timeline, VersionLife, timeline},
    model::{Place, PlaceFilter, ValueState},
    repo::{Chosen, Judgement},
    text,
};

const HEADINGS: [&str; 5] = ["version", "there", "labels", "value", "made"];

/// Show every version that a secret ever had, over all snapshots; never values
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "history",
    after_help = "\
Examples:
  lifeboat versions app/db
  lifeboat versions app/db --repo /mnt/west/lifeboat --share sheets/ --json

The index key of the host is enough for versions and labels. With sheets it also shows which
versions have the same value; the value itself is never shown (`lifeboat get`)."
)]
pub struct Args {
    /// The secret: its name, or its ARN
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let trusted = show::trusted(context, &args.shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let judgement = history::judge(context, repository, trust, &args.compare, Reach::Whole).await?;
    let snapshots = snapshots(&judgement, args.source.source.as_ref())?;
    let opener = match &trusted {
        Trusted::Quorum(_, opened) => Opener::Recovery(&opened.key),
        Trusted::Host(_, _, key) => match key.as_ref() {
            Some(key) => Opener::Index(key),
            None => {
                return Err(Failure::usage("the index key is needed to read names").hint("use --share for a quorum"));
            }
        },
    };
    let name = Name::new(&args.name);
    let mut found = timeline(repository, opener, &snapshots, &name).await?;
    let is_compared = matches!(trusted, Trusted::Quorum(..));
    if is_compared {
        found.compare(&Secrets::new(repository, opener)).await?;
    }
    if found.closed > 0 {
        context.output.warn(&format!("{} sealed to another key and not looked at", are(found.closed, "snapshot")));
    }
    if found.lives.is_empty() {
        let message =
            format!("none of {} has a secret named {}", plural(found.snapshots, "snapshot"), text::line(&args.name));
        return Err(Failure::usage(message).hint("`lifeboat show` lists the names of a snapshot"));
    }
    let shown = json!({
        "name": args.name, "snapshots": found.snapshots, "not_opened": found.closed, "compared": is_compared,
        "secrets": found.lives.iter().map(life_json).collect::<Vec<_>>(),
    });
    context.output.result(&shown, || tables(&found, is_compared));
    context.output.note(&format!("looked at {}", plural(found.snapshots, "snapshot")));
    if !is_compared {
        context.output.note("values were not compared: that needs sheets (--share)");
    }
    Ok(if found.closed > 0 { Exit::Incomplete } else { Exit::Complete })
}

fn are(count: u64, noun: &str) -> String {
    format!("{} {}", plural(count, noun), if count == 1 { "is" } else { "are" })
}

/// Every snapshot that the judge lets through, the oldest first.
fn snapshots(judgement: &Judgement, source: Option<&PlaceFilter>) -> Result<Vec<Chosen>, Failure> {
    let places: Vec<Place> = judgement.chain().newest().into_keys().cloned().collect();
    let meant: Vec<&Place> = places.iter().filter(|place| source.is_none_or(|source| source.means(place))).collect();
    if meant.len() < 2 {
        let mut all = judgement.recent(source, usize::MAX)?;
        all.reverse();
        return Ok(all);
    }
    let mut all = Vec::new();
    for place in meant {
        let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
        all.extend(judgement.recent(Some(&filter), usize::MAX)?);
    }
    all.sort_by_key(|chosen| chosen.manifest().sequence);
    Ok(all)
}

fn tables(found: &Timeline, is_compared: bool) -> String {
    let one = |life: &Life| {
        let (name, id) = (text::line(&life.name), text::line(&life.id));
        let there = spans(&life.spans);
        let rows = life.versions.iter().map(|version| row(found, version, is_compared)).collect();
        format!("{name} in {}: {there}\n{id}\n{}", life.place, table(&HEADINGS, rows))
    };
    found.lives.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn row(found: &Timeline, each: &VersionLife, is_compared: bool) -> Vec<String> {
    let labels = each.labels.iter().map(|(label, there)| format!("{label}: {}", spans(there)));
    let made = each.version.created.map_or_else(String::new, |created| created.strftime("%Y-%m-%d %H:%M").to_string());
    vec![
        each.version.id.clone(),
        spans(&each.spans),
        labels.collect::<Vec<_>>().join("\n"),
        value(found, each, is_compared),
        made,
    ]
}

/// `same as ID`, `different` from all before it, or why there is none.
fn value(found: &Timeline, each: &VersionLife, is_compared: bool) -> String {
    match &each.version.value {
        ValueState::Stored { .. } if !is_compared => "stored".into(),
        ValueState::Stored { .. } => match same_as(found, each) {
            Some(first) => format!("same as {}", first.version.id),
            None if each.value == Some(1) => "the first".into(),
            None => "different".into(),
        },
        ValueState::None => "none".into(),
        ValueState::Withheld { reason } => format!("not readable: {reason}"),
        ValueState::Unreadable { reason } if each.version.value.leaked().is_some() => text::line(reason).into_owned(),
        ValueState::Unreadable { reason } => format!("NOT CAPTURED: {}", text::line(reason)),
    }
}

/// The first version with the same value, if that is another one.
fn same_as<'a>(found: &'a Timeline, each: &VersionLife) -> Option<&'a VersionLife> {
    let number = each.value?;
    let first = found.lives.iter().flat_map(|life| &life.versions).find(|version| version.value == Some(number))?;
    (!std::ptr::eq(first, each)).then_some(first)
}

/// `from 3 (2026-11-01 03:00) to 9 (…)`: the number of the first snapshot and the last one before it was gone.
fn spans(spans: &[Span]) -> String {
    let moment = |event: &crate::glass::Event| format!("{} ({})", event.number, event.time.strftime("%Y-%m-%d %H:%M"));
    let one = |span: &Span| match &span.until {
        Some(until) => format!("from {}, gone in {}", moment(&span.from), moment(until)),
        None => format!("since {}", moment(&span.from)),
    };
    spans.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn life_json(life: &Life) -> Json {
    json!({
        "source": life.place, "name": life.name, "id": life.id, "there": life.spans,
        "versions": life.versions.iter().map(version_json).collect::<Vec<_>>(),
    })
}

fn version_json(each: &VersionLife) -> Json {
    let labels = each.labels.iter().flat_map(|(label, there)| {
        there.iter().map(move |span| json!({ "label": label, "from": span.from, "until": span.until }))
    });
    let state = match &each.version.value {
        ValueState::Stored { .. } => "stored",
        ValueState::None => "none",
        ValueState::Withheld { .. } => "withheld",
        ValueState::Unreadable { .. } if each.version.value.leaked().is_some() => "leaked",
        ValueState::Unreadable { .. } => "unreadable",
    };
    json!({
        "version": each.version.id, "created": each.version.created, "there": each.spans,
        "labels": labels.collect::<Vec<_>>(), "state": state, "same_value": each.value,
    })
}
