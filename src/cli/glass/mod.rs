//! Break glass: single secrets out of a repository, with sheets alone.

pub(super) mod doors;
pub(super) mod exec;
pub(super) mod export;
pub(super) mod get;
mod path;
pub(super) mod versions;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    moment,
    quorum::{self, Opened, ShareArgs},
    show::SourceArg,
    trail,
};
use crate::{
    clock::{Clock, SystemClock},
    crypto::Opener,
    glass::{
        self, Case, Entries, EntryError, Estate, FieldError, Found, Given, Moment, Name, NotFound, Pair, Secrets,
        Wanted,
    },
    model::{Place, SecretValue},
    repo::Repository,
    storage::Storage,
    text,
};

/// Labels and versions that one hint names.
const NAMED: usize = 20;

/// Which snapshots secrets are taken from, and the sheets that open them.
#[derive(Debug, clap::Args)]
pub(super) struct FromArgs {
    /// `latest` or the beginning of a snapshot's id
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    /// The newest snapshot taken at or before TIME (2026-11-01T03:00Z, 'yesterday 03:00')
    #[arg(long, value_name = "TIME", conflicts_with = "snapshot", value_parser = moment::parse)]
    at: Option<Timestamp>,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

/// An estate that a quorum opened. Nothing of it is in a configuration.
struct Glass {
    repository: Repository,
    opened: Opened,
    estate: Estate,
}

impl FromArgs {
    /// Opens the newest snapshot of every source, or those that were asked for. Only the sheets are needed.
    async fn open(&self, context: &Context) -> Result<Glass, Failure> {
        let repository = Repository::open(Storage::open(&context.address()?)?).await?;
        let opened = quorum::open(context, &repository, &self.shares).await?;
        let moment = match self.at {
            Some(at) => Moment::At { at, now: SystemClock.now() },
            None if self.snapshot == "latest" => Moment::Newest,
            None => Moment::Snapshot(self.snapshot.clone()),
        };
        let reach = if matches!(moment, Moment::Newest) { Reach::Newest } else { Reach::Whole };
        let judgement = history::judge(context, &repository, &opened.trust, &self.compare, reach).await?;
        let estate = Estate::choose(&judgement, &opened.trust, &moment, self.source.source.as_ref())?;
        estate.snapshots().iter().for_each(|chosen| trail::snapshot(chosen.manifest().snapshot));
        for closed in estate.closed() {
            context.output.warn(&format!(
                "snapshot number {} of {} is sealed to the key of epoch {}, which these sheets do not hold",
                closed.number, closed.place, closed.epoch
            ));
        }
        if let (true, Some(closed)) = (estate.snapshots().is_empty(), estate.closed().first()) {
            return Err(Failure::new(Exit::NoQuorum, "these sheets open none of the snapshots")
                .hint(format!("use the sheets of epoch {} (`lifeboat words` shows their words)", closed.epoch)));
        }
        Ok(Glass { repository, opened, estate })
    }
}

impl Glass {
    fn secrets(&self) -> Secrets<'_> {
        Secrets::new(&self.repository, Opener::Recovery(&self.opened.key))
    }

    /// Finds secrets, and says once of each snapshot how old it is.
    async fn find(&self, context: &Context, names: &[&Name]) -> Result<Vec<Found>, Failure> {
        let secrets = self.secrets();
        let mut all: Vec<Found> = Vec::with_capacity(names.len());
        for name in names {
            let found = secrets.find(&self.estate, name).await?;
            if !all.iter().any(|known| known.snapshot.digest() == found.snapshot.digest()) {
                history::tell(context, &found.snapshot);
            }
            if let Some(deleted) = found.record.secret.deleted {
                let name = text::line(&found.record.secret.name).into_owned();
                context.output.warn(&format!("{name} was scheduled for deletion at {deleted}"));
            }
            all.push(found);
        }
        Ok(all)
    }

    /// Finds secrets and reads the current value of each; each pack is opened once.
    async fn read(&self, context: &Context, given: &[Given]) -> Result<Vec<(Found, SecretValue)>, Failure> {
        let names: Vec<&Name> = given.iter().map(|each| &each.name).collect();
        let found = self.find(context, &names).await?;
        let mut wanted = Vec::with_capacity(found.len());
        for each in &found {
            wanted.push(Wanted::new(&each.record.secret, glass::current(&each.record)?));
        }
        match self.secrets().values(wanted).await {
            Ok(values) => {
                trail::count("secrets_opened", found.len() as u64);
                Ok(found.into_iter().zip(values).collect())
            }
            Err(error) => {
                let mut failure = Failure::from(error);
                for snapshot in self.estate.snapshots() {
                    failure = history::or_forgotten(&self.repository, &self.opened.trust, snapshot, failure).await;
                }
                Err(failure)
            }
        }
    }
}

/// How the keys of JSON objects become names.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CaseArg {
    /// How the keys of a JSON object become names
    #[arg(long, value_name = "CASE", default_value = "keep", value_parser = ["keep", "upper"])]
    case: String,
    /// Give bytes that are no text as base64 instead of refusing them
    #[arg(long, value_name = "CODE", value_parser = ["base64"])]
    binary: Option<String>,
}

impl CaseArg {
    fn case(&self) -> Case {
        if self.case == "upper" { Case::Upper } else { Case::Keep }
    }

    /// Writes what is no text as base64, where that was asked for.
    fn coded(&self, pairs: &mut [Pair]) {
        let is_bytes = |pair: &&mut Pair| self.binary.is_some() && std::str::from_utf8(&pair.value).is_err();
        for pair in pairs.iter_mut().filter(is_bytes) {
            pair.value = Zeroizing::new(BASE64_STANDARD.encode(&*pair.value).into_bytes());
        }
    }
}

/// The names and values of secrets, in the order in which these were given.
fn pairs_of(
    context: &Context,
    read: &[(Found, SecretValue)],
    given: &[Given],
    args: &CaseArg,
) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::new();
    for ((found, value), given) in read.iter().zip(given) {
        let name = &found.record.secret.name;
        let Entries { pairs: own, nulls } = glass::entries(given, name, value, args.case())?;
        pairs.extend(own);
        if !nulls.is_empty() {
            let keys: Vec<_> = nulls.iter().map(|key| text::line(key)).collect();
            context.output.warn(&format!(
                "left out because they are null in {}: {}",
                text::line(name),
                keys.join(", ")
            ));
        }
    }
    args.coded(&mut pairs);
    Ok(pairs)
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        let message = error.to_string();
        let listed = |there: &[String]| {
            let shown: Vec<_> = there.iter().take(NAMED).map(|word| text::line(word)).collect();
            match shown.as_slice() {
                [] => "it has no version at all".to_owned(),
                _ => format!("use --version with one of: {}", shown.join(", ")),
            }
        };
        match error {
            NotFound::Repository(error) => error.into(),
            NotFound::NoSecret { name, .. } => Self::usage(message).hint(format!(
                "`lifeboat show` lists the names of a snapshot; `{}` shows whether an earlier one has it",
                text::command(["lifeboat", "versions", &name])
            )),
            NotFound::SeveralSources { places, .. } => {
                let places: Vec<String> = places.iter().map(Place::short).collect();
                Self::usage(message).hint(format!("use --source with one of: {}", places.join(", ")))
            }
            NotFound::SeveralSecrets { ids, .. } => {
                let ids: Vec<_> = ids.iter().map(|id| text::line(id)).collect();
                Self::usage(message).hint(format!("name one by its identifier: {}", ids.join(", ")))
            }
            NotFound::NoVersion { there, .. } | NotFound::NoCurrent { there, .. } => {
                Self::usage(message).hint(listed(&there))
            }
            NotFound::NoValue { name, .. } => Self::new(Exit::Failed, message).hint(format!(
                "`{}` shows which versions have a value",
                text::command(["lifeboat", "versions", &name])
            )),
        }
    }
}

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Self {
        let failure = Self::usage(error.to_string());
        match error {
            EntryError::NoKeys(secret) => {
                failure.hint(format!("name the variable: --secret VARIABLE={}", text::shell(&secret)))
            }
            EntryError::Field { .. } => failure.hint("`lifeboat get` gives the value as it is"),
        }
    }
}

/// A field that the value does not have.
fn no_field(name: &str, pointer: &str, error: &FieldError) -> Failure {
    let failure = Failure::usage(format!("{}: {}", text::line(name), text::line(&error.to_string())));
    match error {
        FieldError::NotAPointer => failure.hint(format!("use --field {}", text::shell(&format!("/{pointer}")))),
        FieldError::NotJson | FieldError::NotAnObject => failure.hint("leave --field out to get the whole value"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_base64_where_that_is_asked_for_and_text_stays() {
        let pair = |value: &[u8]| Pair {
            name: "A".into(),
            value: Zeroizing::new(value.to_vec()),
            json: None,
            secret: "app".into(),
        };
        for (binary, bytes) in [(Some("base64".to_owned()), &b"/wA="[..]), (None, b"\xff\0")] {
            let mut pairs = [pair(b"\xff\0"), pair(b"text")];
            CaseArg { case: "keep".into(), binary }.coded(&mut pairs);
            assert_eq!((&**pairs[0].value, &**pairs[1].value), (bytes, &b"text"[..]));
        }
    }
}
