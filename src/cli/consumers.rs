//! `lifeboat consumers`

use std::{collections::BTreeSet, pin::pin};

use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Context, Exit, Failure,
    compromise::readers,
    history::{self, CompareArgs, Reach},
    output::{plural, table},
    quorum::ShareArgs,
    show::{self, SourceArg, Trusted},
};
use crate::{
    access::{Line, Todo, Used, Uses, is_whole, words},
    app::{self, Estate, Host},
    clock::{Clock as _, SystemClock, to_seconds},
    config::SourceSection,
    crypto::{IndexKey, Opener},
    model::{Place, PlaceFilter, Secret},
    provider::{self, AccessLog, Asked, ConsumerFinder, Entry, Kind, Looked, Ops, Surveyed},
    repo::{ConsumerMap, Judgement, Repository, Trust},
    text,
};

/// Rows of one table; `--json` has all.
const TABLE_ROWS: usize = 5_000;

/// Find out who uses each secret, and what must be changed before or after a restore in another region
///
/// Reads task definitions of ECS, environments of Lambda, captured resource policies, key policies and
/// CloudTrail. No value is kept. The map is sealed and stored in the repository.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat consumers                 ask, show, and store the map
  lifeboat consumers --show          show the stored map, without the provider
  lifeboat consumers --days 7        ask CloudTrail for a week only; 0 asks it for nothing

What cannot be asked is unknown, and the map says so. Needs the permissions of
`lifeboat doctor --policy consumers`.

The policies of roles are not read: who may read by them is found when it reads.

Exit codes: 0 everything was looked at and nothing is to be changed before an outage,
3 something is unknown, or something is to be changed. docs/access.md explains each line.")]
pub struct Args {
    /// Show the stored map and ask nobody
    #[arg(long)]
    show: bool,
    /// Days of CloudTrail that are asked for
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=90))]
    days: u32,
    /// Stop asking CloudTrail after so many events of one kind
    #[arg(long, value_name = "COUNT", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_events: u64,
    /// Do not store the map
    #[arg(long)]
    no_store: bool,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let trusted = show::trusted(context, &args.shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    // Records are judged with the whole history.
    let judgement = history::judge(context, repository, trust, &CompareArgs::default(), Reach::Newest).await?;
    if args.show {
        return show_stored(context, &trusted, &judgement);
    }
    let host = context.host()?;
    let now = SystemClock.now();
    let estate = host.estate().await?;
    let mut lines = Vec::new();
    for place in judgement.chain().newest().into_keys() {
        if args.source.source.as_ref().is_none_or(|filter| filter.means(place)) {
            let secrets = secrets(&trusted, &judgement, place).await?;
            let asking = Asking { context, host: &host, estate: &estate, args: &args, now };
            lines.extend(asking.place(place, &secrets).await);
        }
    }
    if lines.is_empty() {
        return Err(Failure::usage("no snapshot of such a source").hint("`lifeboat list` shows the sources"));
    }
    let stored = if args.no_store || args.source.source.is_some() {
        Vec::new()
    } else {
        store(&host, (repository, trust), &judgement, &lines).await?
    };
    Ok(tell(context, &lines, now, &stored))
}

/// The secrets of the newest snapshot of a place.
async fn secrets(trusted: &Trusted, judgement: &Judgement, place: &Place) -> Result<Vec<Secret>, Failure> {
    let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
    let chosen = history::find(judgement, "latest", Some(&filter))?;
    let mut records = pin!(trusted.repository().record_stream(&chosen, trusted.opener(&chosen)?));
    let mut secrets = Vec::new();
    while let Some(record) = records.try_next().await? {
        secrets.push(record.secret);
    }
    Ok(secrets)
}

struct Asking<'a> {
    context: &'a Context,
    host: &'a Host,
    estate: &'a Estate,
    args: &'a Args,
    now: Timestamp,
}

impl Asking<'_> {
    async fn place(&self, place: &Place, secrets: &[Secret]) -> Vec<Line> {
        let ops: &dyn Ops = provider::kind(&place.provider).map_or(&provider::NO_OPS, Kind::ops);
        let (log, finder) = (ops.access_log(), ops.consumers());
        let mut uses = Uses::new(place.clone(), secrets, log);
        let unknown = |what: &str, reason: String| Looked { what: what.into(), count: None, reason: Some(reason) };
        let Some(finder) = finder else {
            let reason = format!("Lifeboat cannot find consumers of {}", place.provider);
            return uses.lines(vec![unknown("consumers", reason)]);
        };
        let policies = secrets.iter().filter(|secret| secret.facets.policy.is_some()).count() as u64;
        secrets.iter().flat_map(|secret| finder.of_policy(secret)).for_each(|found| uses.take(log, found));
        let mut looked =
            vec![Looked { what: "captured resource policies".into(), count: Some(policies), reason: None }];
        match self.section(place).await {
            Err(reason) => looked.push(unknown("the provider", reason)),
            Ok(section) => {
                let note = format!("looking for consumers in {}", text::line(&place.short()));
                self.context.output.note(&note);
                let connection = app::plain(&section);
                let mut sink = |found| uses.take(log, found);
                match finder.survey(&section.url, &connection, Surveyed { secrets }, &mut sink).await {
                    Ok(found) => looked.extend(found),
                    Err(error) => looked.push(unknown("services", error.to_string())),
                }
                if let Some(log) = log {
                    looked.push(self.trail(&section, (log, finder), &mut uses).await);
                }
            }
        }
        if uses.beyond > 0 {
            looked.push(unknown("more consumers", format!("{} are not in the map", plural(uses.beyond, "consumer"))));
        }
        uses.lines(looked)
    }

    /// The configured source that leads to a place.
    async fn section(&self, place: &Place) -> Result<SourceSection, String> {
        let filter = PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) };
        let may_be = |section: &&SourceSection| app::may_be(section, &filter) && section.url.leads_to(place);
        let mut reason = "no configured source leads there".to_owned();
        for section in self.estate.sections.iter().filter(may_be) {
            match self.estate.find(section.clone(), self.host).await.outcome {
                Ok((_, found)) if found == *place => return Ok(section.clone()),
                Ok((_, found)) => reason = format!("the credentials are for {found}"),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// Those who read in the last days.
    async fn trail(
        &self,
        section: &SourceSection,
        (log, finder): (&'static dyn AccessLog, &'static dyn ConsumerFinder),
        uses: &mut Uses,
    ) -> Looked {
        let what = format!("readings in {} days of {}", self.args.days, log.title());
        if self.args.days == 0 {
            return Looked { what, count: None, reason: Some("not asked".into()) };
        }
        let from = self.now - SignedDuration::from_hours(24 * i64::from(self.args.days));
        let asked = Asked { from, until: self.now, now: self.now, most: self.args.max_events };
        let mut count = 0;
        let mut seen = BTreeSet::new();
        let mut sink = |entry: Entry| {
            let Some(reading) = entry.and_then(|event| event.reading).filter(|reading| reading.refused.is_none())
            else {
                return;
            };
            count += 1;
            for id in reading.secrets {
                if seen.insert((reading.reader.id.clone(), id.clone())) {
                    uses.take(Some(log), finder.reader(&reading.reader.id, &id));
                }
            }
        };
        let found = log.look_up(&section.url, &app::plain(section), asked, &mut sink).await;
        match found {
            // The last minutes are never there; a reader of theirs is found tomorrow.
            Ok(reach) if count > 0 && reach.from <= from => Looked { what, count: Some(count), reason: None },
            Ok(_) if count == 0 => Looked { what, count: None, reason: Some("no reading at all was given".into()) },
            Ok(reach) => Looked { what, count: Some(count), reason: Some(reach.reasons.join("; ")) },
            Err(error) => Looked { what, count: None, reason: Some(format!("{}: {}", error.operation, error.code)) },
        }
    }
}

/// Stores the map, unless the newest one says the same. Gives the files.
async fn store(
    host: &Host,
    (repository, trust): (&Repository, &Trust),
    judgement: &Judgement,
    lines: &[Line],
) -> Result<Vec<String>, Failure> {
    let (index, signer) = (host.index_key()?, host.signer()?);
    if stored(judgement.consumer_map(), &index).is_some_and(|known| known == lines) {
        return Ok(Vec::new());
    }
    let (readers, now) = (readers(trust, judgement, &index), to_seconds(SystemClock.now()));
    Ok(repository.put_consumer_map(trust, lines, &readers, (now, &signer)).await?)
}

/// The stored map, where this host can open it.
fn stored(map: Option<ConsumerMap>, index: &IndexKey) -> Option<Vec<Line>> {
    map?.open(Opener::Index(index)).ok()
}

fn show_stored(context: &Context, trusted: &Trusted, judgement: &Judgement) -> Result<Exit, Failure> {
    let none =
        || Failure::usage("no map of consumers is stored").hint("`lifeboat consumers` makes it on the backup host");
    let map = judgement.consumer_map().ok_or_else(none)?;
    let lines: Vec<Line> = match trusted {
        Trusted::Quorum(_, opened) => map.open(Opener::Recovery(&opened.key))?,
        Trusted::Host(_, _, key) => match key.as_ref() {
            Some(key) => map.open(Opener::Index(key))?,
            None => {
                return Err(Failure::usage("the index key is needed to read names").hint("use --share for a quorum"));
            }
        },
    };
    Ok(tell(context, &lines, map.time, &[]))
}

fn tell(context: &Context, lines: &[Line], made: Timestamp, stored: &[String]) -> Exit {
    let uses: Vec<&Used> =
        lines.iter().filter_map(|line| if let Line::Used(used) = line { Some(used) } else { None }).collect();
    let looked: Vec<_> = lines
        .iter()
        .filter_map(|line| if let Line::Looked(place, looked) = line { Some((place, looked)) } else { None })
        .collect();
    let before = uses.iter().filter(|used| used.todo() == Todo::WidenBefore).count();
    let whole = is_whole(lines);
    let consumers: Vec<_> = uses.iter().map(|used| json!({ "use": used, "todo": used.todo() })).collect();
    let looked_json: Vec<_> =
        looked.iter().map(|(place, looked)| json!({ "source": place, "looked": looked })).collect();
    let value = json!({ "made": to_seconds(made), "consumers": consumers, "looked": looked_json, "whole": whole,
        "before": before, "stored": stored });
    context.output.result(&value, || {
        let mut out = format!("as of {}\n", to_seconds(made));
        if !uses.is_empty() {
            let rows = uses.iter().take(TABLE_ROWS).map(|used| cells(used)).collect();
            out.push_str(&table(&["secret", "consumer", "where", "fixes", "what to do"], rows));
            out.push('\n');
        }
        for (place, looked) in &looked {
            let count = looked.count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
            let reason =
                looked.reason.as_ref().map(|reason| format!(" ({})", text::sentence(reason))).unwrap_or_default();
            out.push_str(&format!("{}: {}: {count}{reason}\n", text::line(&place.short()), looked.what));
        }
        let consumers = plural(uses.len() as u64, "consumer");
        out.push_str(&format!("{consumers}; {} to be widened before an outage\n", plural(before as u64, "policy")));
        out
    });
    if before == 0 && whole { Exit::Complete } else { Exit::Incomplete }
}

fn cells(used: &Used) -> Vec<String> {
    let todo = match used.todo() {
        Todo::WidenBefore => "WIDEN BEFORE an outage",
        Todo::ChangeAndDeploy => "change the reference, then deploy",
        Todo::Deploy => "deploy",
        Todo::ChangeOrServe => "change what it asks for, or serve",
        Todo::Nothing => "nothing",
    };
    let mut secret = used.secret.clone();
    if !used.in_backup {
        secret.push_str(" (not in the backup)");
    }
    let consumer = &used.consumer;
    let who = format!("{} {}", consumer.kind, consumer.id);
    vec![secret, who, consumer.at.clone(), words(&consumer.fixes), todo.to_owned()]
}
