//! `lifeboat compromise mark`

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::json;

use super::super::{
    Context, Exit, Failure,
    history::{self, AcceptArgs},
    moment,
    output::plural,
    quorum, trail,
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock, to_seconds},
    crypto::{IndexKey, Opener, Signer},
    model::{Record, name_matches},
    repo::{Chosen, Judgement, Mark, Marked, RepoError, Repository, Tombstone, Trust, VerifiedManifest},
};

/// Mark versions in the backup as leaked: restores, drills, `get` and servers then leave them out
///
/// The record is signed, its names are sealed, and `lifeboat copy` carries it to the copies.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat compromise mark --scope 'orrange-p2p/*' --since 2026-11-01 --reason 'laptop stolen'
  lifeboat compromise mark --scope orrange-p2p/api --version AWSCURRENT --reason 'in a log'
  lifeboat compromise mark --undo 20261101T030000Z-3f2a91c0

Take a snapshot first, so that the versions of today can be marked too. Mark before you rotate, or
use --until: what is made after it stays good. Needs the index key and the signing key of a host.")]
pub struct Args {
    /// Names that are leaked, with `*` and `?`; a trailing `/` means everything below (repeat)
    #[arg(long, value_name = "PATTERN", required_unless_present_any = ["undo", "reseal"])]
    scope: Vec<String>,
    /// Since when others know the values: what was gone before that is not marked (default: every version in the backup)
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// Do not mark what was made after this time (default: every version in the backup)
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// Mark only these versions, by id or label (repeat)
    #[arg(long, value_name = "ID|LABEL")]
    version: Vec<String>,
    /// Why, for those who can open the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Take a record back: the beginning of its name
    #[arg(long, value_name = "RECORD", conflicts_with_all = ["scope", "since", "until", "version", "reseal"])]
    undo: Option<String>,
    /// Seal every record again to the keys of today, after a change of the recovery key
    #[arg(long, conflicts_with_all = ["scope", "since", "until", "version"])]
    reseal: bool,
    #[command(flatten)]
    accept: AcceptArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What a host marks with.
struct Desk<'a> {
    context: &'a Context,
    repository: &'a Repository,
    trust: &'a Trust,
    judgement: &'a Judgement,
    index: IndexKey,
    signer: Signer,
    now: Timestamp,
}

/// What was found to mark.
#[derive(Default)]
struct Found {
    marks: BTreeSet<Mark>,
    /// Of these, those that are marked already.
    already: u64,
    /// Snapshots that this host's index key does not open.
    closed: u64,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let _lock = host.lock(repository.id())?;
    trail::begin(context, &repository, &trust);
    let judgement = repository.judge(&trust, &history::of_host(context, &repository)?).await?;
    let judgement = judgement.accepting(&args.accept.accepted);
    // What is not certain is not marked by mistake, and not left out by mistake.
    judgement.for_copying()?;
    let desk = Desk {
        context,
        repository: &repository,
        trust: &trust,
        judgement: &judgement,
        index: host.index_key()?,
        signer: host.signer()?,
        now: to_seconds(SystemClock.now()),
    };
    match &args.undo {
        Some(wanted) => desk.undo(wanted, args.yes).await,
        None if args.reseal => desk.reseal(&host, args.yes).await,
        None => desk.mark(&args).await,
    }
}

impl Desk<'_> {
    async fn mark(&self, args: &Args) -> Result<Exit, Failure> {
        let mut found = Found::default();
        for chosen in self.snapshots(args.since)? {
            self.look(&chosen, args, &mut found).await?;
        }
        for tombstone in self.judgement.tombstones() {
            let Ok(marked) = tombstone.open(Opener::Index(&self.index)) else { continue };
            for mark in &marked.marks {
                found.already += u64::from(found.marks.remove(mark));
            }
        }
        if found.closed > 0 {
            let snapshots = plural(found.closed, "snapshot");
            let said =
                format!("{snapshots} cannot be opened with this host's index key; mark them on their own host too");
            self.context.output.warn(&said);
        }
        if found.marks.is_empty() && found.already == 0 {
            return Err(
                Failure::usage("no version in the backup matches").hint("`lifeboat show` lists names and versions")
            );
        }
        let secrets = found.marks.iter().map(|mark| (&mark.place, &mark.id)).collect::<BTreeSet<_>>().len() as u64;
        let versions = plural(found.marks.len() as u64, "version");
        let mut records = Vec::new();
        if !found.marks.is_empty() {
            let question = format!("Mark {versions} of {} as leaked?", plural(secrets, "secret"));
            quorum::confirm(&question, args.yes).await?;
            let marks = found.marks.iter().cloned().collect();
            let marked = Marked { reason: args.reason.clone(), since: args.since, marks };
            let readers = super::readers(self.trust, self.judgement, &self.index);
            let made = self.repository.put_tombstones(self.trust, &marked, &readers, self.now, &self.signer);
            records = made.await?;
            for record in &records {
                trail::file(record);
            }
            trail::count("versions_marked", marked.marks.len() as u64);
        }
        let value = json!({
            "records": records, "versions": found.marks.len(), "secrets": secrets, "already": found.already,
            "closed_snapshots": found.closed,
        });
        self.context.output.result(&value, || {
            let already = if found.already > 0 { format!("; {} already marked", found.already) } else { String::new() };
            let files = records.join("\n");
            format!("{versions} of {} marked as leaked{already}\n{files}", plural(secrets, "secret"))
                .trim_end()
                .to_owned()
        });
        self.context.output.note("run `lifeboat copy`: until then the copies do not know it");
        Ok(if found.closed > 0 { Exit::Incomplete } else { Exit::Complete })
    }

    /// The snapshots whose versions were there since a moment: of each source all that are newer, and the last one before.
    fn snapshots(&self, since: Option<Timestamp>) -> Result<Vec<Chosen>, Failure> {
        let chain = self.judgement.chain();
        let mut chosen = Vec::new();
        for place in chain.newest().into_keys() {
            let of: Vec<&VerifiedManifest> =
                chain.manifests.iter().filter(|found| found.manifest().source == *place).collect();
            let is_before = |found: &&VerifiedManifest| since.is_some_and(|since| found.manifest().time < since);
            let first = of.iter().rposition(is_before).unwrap_or(0);
            for found in &of[first..] {
                chosen.push(self.judgement.by_id(&found.manifest().snapshot.to_string(), None)?);
            }
        }
        Ok(chosen)
    }

    async fn look(&self, chosen: &Chosen, args: &Args, found: &mut Found) -> Result<(), Failure> {
        let patterns = super::patterns(&args.scope);
        let mut records = std::pin::pin!(self.repository.captured_stream(chosen, Opener::Index(&self.index)));
        loop {
            let record = match records.try_next().await {
                Err(RepoError::WrongKey { .. }) => {
                    found.closed += 1;
                    return Ok(());
                }
                other => other?,
            };
            let Some(record) = record else { return Ok(()) };
            if patterns.iter().any(|pattern| name_matches(pattern, &record.secret.name)) {
                found.marks.extend(marks_of(chosen, &record, args));
            }
        }
    }

    fn find(&self, wanted: &str) -> Result<&Tombstone, Failure> {
        let stem = |each: &Tombstone| each.file.trim_start_matches("records/").to_owned();
        let mut found = self.judgement.tombstones().iter().filter(|each| stem(each).starts_with(wanted));
        match (found.next(), found.next()) {
            (Some(one), None) if !wanted.is_empty() => Ok(one),
            (None, _) => Err(Failure::usage(format!("no record in force begins with {wanted}"))
                .hint("`lifeboat list --json` names the records")),
            _ => Err(Failure::usage(format!("several records begin with {wanted}"))),
        }
    }

    async fn undo(&self, wanted: &str, yes: bool) -> Result<Exit, Failure> {
        let found = self.find(wanted)?;
        let versions = plural(found.versions, "version");
        quorum::confirm(&format!("Give {versions} back that {} marked as leaked?", found.by), yes).await?;
        let record = self.repository.undo_tombstone(self.trust, found, self.now, &self.signer).await?;
        trail::file(&record);
        let value = json!({ "undone": found.file, "record": record, "versions": found.versions });
        self.context
            .output
            .result(&value, || format!("{versions} no longer marked as leaked: {} is undone", found.file));
        Ok(Exit::Complete)
    }

    /// Each record first again, then the old one is taken back: whoever reads in between sees both.
    async fn reseal(&self, host: &Host, yes: bool) -> Result<Exit, Failure> {
        let readers = super::readers(self.trust, self.judgement, &self.index);
        let lacks = |each: &&Tombstone| readers.iter().any(|reader| !each.readers.contains(reader));
        let due: Vec<&Tombstone> = self.judgement.tombstones().iter().filter(lacks).collect();
        let opened = due.iter().map(|each| each.open(Opener::Index(&self.index)).map(|marked| (*each, marked)));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        if !due.is_empty() {
            quorum::confirm(&format!("Seal {} again?", plural(due.len() as u64, "record")), yes).await?;
        }
        for (old, marked) in opened {
            self.repository.put_tombstones(self.trust, &marked, &readers, self.now, &self.signer).await?;
            self.repository.undo_tombstone(self.trust, old, self.now, &self.signer).await?;
        }
        let value = json!({ "resealed": due.len(), "repository": host.config.repository.url });
        self.context.output.result(&value, || format!("{} sealed again", plural(due.len() as u64, "record")));
        Ok(Exit::Complete)
    }
}

/// The versions of one secret that were there and are meant. One whose age nobody states is meant: a doubt is no proof.
fn marks_of(chosen: &Chosen, record: &Record, args: &Args) -> Vec<Mark> {
    let is_meant = |version: &&crate::model::Version| {
        let is_wanted = |wanted: &String| version.id == *wanted || version.has(wanted);
        (args.version.is_empty() || args.version.iter().any(is_wanted))
            // Without a limit the host's clock has no say: that of the provider may be ahead of it.
            && args.until.is_none_or(|until| version.created.is_none_or(|created| created <= until))
    };
    let mark = |version: &crate::model::Version| Mark {
        place: chosen.manifest().source.clone(),
        name: record.secret.name.clone(),
        id: record.secret.id.clone(),
        version: version.id.clone(),
    };
    record.versions.iter().filter(is_meant).map(mark).collect()
}
