//! `lifeboat compromise plan`

use std::path::PathBuf;

use clap::ValueEnum;
use futures::TryStreamExt as _;
use jiff::Timestamp;

use super::{
    super::{
        Context, Exit, Failure,
        history::{self, CompareArgs, Reach},
        hooks, moment,
        quorum::ShareArgs,
        show::{self, SourceArg, Trusted},
    },
    view,
};
use crate::{
    access::{self, Line},
    clock::{Clock, SystemClock, to_seconds},
    compromise::{self, Asked, LeakedKey, PlanSource, Playbook, Subject},
    config::Occasion,
    crypto::Opener,
    fsutil::{self, Access, Existing},
    glass::{self, Estate, Moment, Secrets},
    model::{OnLeaked, Record},
    repo::{Chosen, Judgement, Repository},
};

/// Plan the answer: what to contain, to rotate in which order, to revoke, and where to look back
///
/// Changes nothing and reads no value; with sheets, the names of keys within values are read too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat compromise plan --scope 'orrange-p2p/*' --since 2026-11-01 --out plan.json
  lifeboat compromise plan --readers-of api-service --since 'yesterday 03:00'
  lifeboat compromise plan --scope orrange-p2p/ --since 2026-11-01 --playbook playbook.toml --share sheets/
  lifeboat compromise plan --key signer

docs/compromise.md explains the playbook. The newest snapshot of every source is used: take one first.")]
pub struct Args {
    /// Names that are leaked, with `*` and `?`; a trailing `/` means everything below (repeat)
    #[arg(long, value_name = "PATTERN", required_unless_present_any = ["readers_of", "key"])]
    scope: Vec<String>,
    /// The secrets that the policy of the secret itself lets this role or user read (its name or ARN)
    #[arg(long, value_name = "ROLE")]
    readers_of: Option<String>,
    /// Since when others know the values
    #[arg(long, value_name = "TIME", value_parser = moment::parse, required_unless_present = "key")]
    since: Option<Timestamp>,
    /// What follows when a key of Lifeboat itself leaked
    #[arg(long, value_name = "KEY", conflicts_with_all = ["scope", "readers_of", "since", "playbook", "out"])]
    key: Option<Key>,
    /// What no provider tells: commands that rotate and probe, owners, order (TOML)
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
    /// Write the plan to a file, for `compromise run` and `verify`; it names secrets and holds no value
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    /// A custodian's sheet
    Sheet,
    /// The index key of a host
    Index,
    /// The signing key of a host
    Signer,
    /// The drill key
    Drill,
}

impl From<Key> for LeakedKey {
    fn from(key: Key) -> Self {
        match key {
            Key::Sheet => Self::Sheet,
            Key::Index => Self::Index,
            Key::Signer => Self::Signer,
            Key::Drill => Self::Drill,
        }
    }
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let playbook = playbook(&args)?;
    let trusted = show::trusted(context, &args.shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let reach = if args.key.is_some() { Reach::Whole } else { Reach::Newest };
    let judgement = history::judge(context, repository, trust, &args.compare, reach).await?;
    if let Some(key) = args.key {
        let answer = compromise::about_key(key.into(), trust, judgement.chain());
        context.output.result(&answer, || view::key(&answer));
        return Ok(Exit::Complete);
    }
    let since = args.since.ok_or_else(|| Failure::usage("use --since TIME"))?;
    let asked = Asked { scope: args.scope.clone(), readers_of: args.readers_of.clone(), since };
    let estate = Estate::choose(&judgement, trust, &Moment::Newest, args.source.source.as_ref())?;
    for closed in estate.closed() {
        let said = format!(
            "snapshot number {} of {} is sealed to the key of epoch {}",
            closed.number, closed.place, closed.epoch
        );
        context.output.warn(&format!("{said}: its secrets are not in this plan"));
    }
    let (mut sources, mut subjects) = (Vec::new(), Vec::new());
    for chosen in estate.snapshots() {
        // A plan is about what is leaked, so it reads that too; it gives no value to anybody.
        let chosen = chosen.clone().with_leaked(OnLeaked::Include);
        let manifest = chosen.manifest();
        let (place, snapshot) = (manifest.source.clone(), manifest.snapshot);
        sources.push(PlanSource { place, snapshot, number: manifest.sequence, time: manifest.time });
        subjects.extend(look(&trusted, &chosen, &asked).await?);
    }
    let (id, now) = (repository.id(), to_seconds(SystemClock.now()));
    let mut plan = compromise::make(id, &asked, sources, &subjects, &playbook, now)?;
    if let Some(uses) = stored_uses(context, &trusted, &judgement) {
        plan.consumed_by(|place, name| access::consumers_of(&uses, place, name));
    }
    if context.global.config.exists() {
        plan.after = hooks::configured(&context.host()?, Occasion::Compromise);
    }
    let hooks = super::after::hooks(&plan)?;
    if let Some(path) = &args.out {
        fsutil::write_with(path, Access::Private, Existing::Keep, |output| output.write_all(&plan.to_bytes()))?;
    }
    context.output.result(&plan, || {
        view::plan(&plan) + &hooks::describe(&hooks, "each once all secrets that it is about are rotated")
    });
    if let Some(path) = &args.out {
        let command = context.command(&["compromise", "run", &path.to_string_lossy()]);
        context.output.note(&format!("the plan is in {}:\n  {command}", path.display()));
    }
    let complete = estate.closed().is_empty();
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

/// The stored map of consumers, where it can be opened: without it the plan has what the policies say.
fn stored_uses(context: &Context, trusted: &Trusted, judgement: &Judgement) -> Option<Vec<Line>> {
    let map = judgement.consumer_map()?;
    let opener = match trusted {
        Trusted::Quorum(_, opened) => Opener::Recovery(&opened.key),
        Trusted::Host(_, _, key) => Opener::Index(key.as_ref().as_ref()?),
    };
    match map.open(opener) {
        Ok(lines) => Some(lines),
        Err(error) => {
            context.output.warn(&format!("the map of consumers of {} is not used: {error}", map.time));
            None
        }
    }
}

fn playbook(args: &Args) -> Result<Playbook, Failure> {
    let Some(path) = &args.playbook else { return Ok(Playbook::default()) };
    let bytes = fsutil::read(path)?;
    Playbook::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display())).hint("docs/compromise.md shows every field")
    })
}

async fn look(trusted: &Trusted, chosen: &Chosen, asked: &Asked) -> Result<Vec<Subject>, Failure> {
    let place = &chosen.manifest().source;
    let opener = trusted.opener(chosen)?;
    let mut records = std::pin::pin!(trusted.repository().record_stream(chosen, opener));
    let mut subjects = Vec::new();
    while let Some(record) = records.try_next().await? {
        if !asked.wants(place, &record) {
            continue;
        }
        let (masters, overlaps) = match trusted {
            Trusted::Quorum(repository, _) => references(repository, opener, &record).await?,
            Trusted::Host(..) => (Vec::new(), Vec::new()),
        };
        subjects.push(Subject { place: place.clone(), record, masters, overlaps });
    }
    Ok(subjects)
}

/// What the current value tells of other secrets, by the names of its keys: which one is its master's, and which of its keys has
/// the one of before beside it. Nothing else of it leaves this function.
async fn references(
    repository: &Repository,
    opener: Opener<'_>,
    record: &Record,
) -> Result<(Vec<String>, Vec<String>), Failure> {
    let nothing = || Ok((Vec::new(), Vec::new()));
    let Ok(version) = glass::current(record) else { return nothing() };
    if version.unavailable("current").is_some() {
        return nothing();
    }
    let value = Secrets::new(repository, opener).value(record, version).await?;
    let (names, masters) = glass::structure(&value);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok((masters, compromise::overlaps(&names)))
}
