//! What drills leave in a sandbox: found by the journal and by marks, proven to be a drill's, destroyed by identifier, and
//! proven to be gone by looking each one up. Neither a listing nor the answer to a deletion proves anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    journal::Unfinished,
    mark::{self, Marker, NotOwn, Run},
    own::{Made, Own, Resolved},
};
use crate::{
    clock::to_seconds,
    model::{DRILL_TAG, Record, Secret, SnapshotId, Step},
    progress::Progress,
    provider::{ErrorKind, ProviderError, Rules, Source, Target, rules},
};

/// Secrets looked at or destroyed at once; the provider's limiter paces the calls.
const CONCURRENT: usize = 16;
/// How often, and how far apart, it is asked again what a name has.
const LOOKS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(400);

/// A secret that an earlier drill created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    pub name: String,
    pub id: String,
    /// The drill.
    pub run: Run,
    /// Whether its identifier was answered to that drill; its versions have to be looked at otherwise.
    pub answered: bool,
}

/// What is in a sandbox of earlier drills.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Theirs.
    pub own: Vec<Leftover>,
    /// Names that cannot be proven to be theirs, and why.
    pub others: BTreeMap<String, NotOwn>,
}

/// What came of a clean-up.
#[derive(Debug, Default)]
pub(super) struct Cleaned {
    /// Secrets that the drill created.
    pub created: u64,
    /// Of those, proven to be gone.
    pub destroyed: u64,
    /// What is not proven to be gone; and names that could not be looked at.
    pub left_over: BTreeSet<String>,
    /// Names of the drill that something else has: left alone.
    pub left_alone: BTreeSet<String>,
    /// Why the sandbox could not be asked at all.
    pub error: Option<ProviderError>,
}

/// Who asks, and where.
pub(super) struct Sandbox<'a> {
    pub target: &'a dyn Target,
    pub readback: &'a dyn Source,
    pub marker: &'a Marker,
    /// Before every name of this drill: what cannot be proven matters only there.
    pub prefix: &'a str,
}

impl Sandbox<'_> {
    /// Looks for what earlier drills left: what the journal of one that was killed names, then whatever has the tag.
    pub async fn find(&self, unfinished: Option<&Unfinished>) -> Result<Left, ProviderError> {
        let mut left = Left::default();
        let mut seen = BTreeSet::new();
        if let Some(unfinished) = unfinished {
            let asked = unfinished.made.iter().map(|(name, made)| made.id.clone().unwrap_or_else(|| name.clone()));
            let found = self.describe_all(asked.collect()).await?;
            for ((name, intent), secret) in unfinished.made.iter().zip(found) {
                let (run, answered) = (unfinished.run(), intent.id.as_deref());
                let own = |secret: Option<Secret>| {
                    let Some(secret) = secret else { return Ok(None) };
                    self.marker.is_own(&run, &secret, answered, intent.has_room)?;
                    Ok(Some(Leftover::new(&secret, run, answered.is_some())))
                };
                match secret.and_then(own) {
                    Ok(found) => left.own.extend(found),
                    Err(why) => drop(left.others.insert(name.clone(), why)),
                }
                seen.insert(name.clone());
            }
        }
        let mut tagged = self.tagged().await?;
        tagged.retain(|(name, _)| !seen.contains(name));
        let found = self.describe_all(tagged.iter().map(|(_, id)| id.clone()).collect()).await?;
        for ((name, _), secret) in tagged.into_iter().zip(found) {
            let own = |secret: Option<Secret>| {
                let Some(secret) = secret else { return Ok(None) };
                self.marker.run_of(&secret).map(|run| Some(Leftover::new(&secret, run, false)))
            };
            match secret.and_then(own) {
                Ok(found) => left.own.extend(found),
                Err(NotOwn::Unmarked) => {}
                Err(why) if name.starts_with(self.prefix) => drop(left.others.insert(name, why)),
                Err(_) => {}
            }
        }
        Ok(left)
    }

    /// What each is now; one that this caller may not look at proves nothing.
    async fn describe_all(&self, asked: Vec<String>) -> Result<Vec<Result<Option<Secret>, NotOwn>>, ProviderError> {
        let looks = asked.into_iter().map(|id| async move {
            match self.target.describe(&id).await {
                Err(error) if error.kind == ErrorKind::Denied => Ok(Err(NotOwn::Hidden)),
                other => other.map(Ok),
            }
        });
        stream::iter(looks).buffered(CONCURRENT).try_collect().await
    }

    /// Name and identifier of everything that a listing shows with the tag.
    async fn tagged(&self) -> Result<Vec<(String, String)>, ProviderError> {
        let mut listing = self.readback.list();
        let mut tagged = Vec::new();
        while let Some(listed) = listing.try_next().await? {
            if listed.secret.facets.tags.iter().any(|tag| tag.key == DRILL_TAG) {
                tagged.push((listed.name, listed.id));
            }
        }
        Ok(tagged)
    }

    /// Keeps what has no version but those of the snapshot that its drill restored.
    pub async fn prove(
        &self,
        left: &mut Left,
        records: &BTreeMap<SnapshotId, Vec<Record>>,
    ) -> Result<(), ProviderError> {
        let mut proven = Vec::new();
        for leftover in std::mem::take(&mut left.own) {
            match self.versions_fit(&leftover, records).await? {
                Ok(()) => proven.push(leftover),
                Err(why) => drop(left.others.insert(leftover.name, why)),
            }
        }
        left.own = proven;
        Ok(())
    }

    /// The rules of the target's kind.
    fn rules(&self) -> Result<&'static dyn Rules, ProviderError> {
        Ok(rules(&self.marker.place().provider)?)
    }

    async fn versions_fit(
        &self,
        leftover: &Leftover,
        records: &BTreeMap<SnapshotId, Vec<Record>>,
    ) -> Result<Result<(), NotOwn>, ProviderError> {
        if leftover.answered {
            return Ok(Ok(()));
        }
        let Some(records) = records.get(&leftover.run.snapshot) else { return Ok(Err(NotOwn::NoSnapshot)) };
        let existing = self.target.look_up(&leftover.name).await?;
        // What is gone, or has lost its name, is nobody's danger: it is destroyed by its identifier.
        let Some(existing) = existing.filter(|existing| existing.secret.id == leftover.id) else { return Ok(Ok(())) };
        let versions = existing.versions.into_iter().map(|version| version.id).collect();
        let fit = mark::are_versions_of(records, &leftover.name, &versions, self.rules()?);
        Ok(if fit { Ok(()) } else { Err(NotOwn::OtherVersions) })
    }
}

impl Leftover {
    fn new(secret: &Secret, run: Run, answered: bool) -> Self {
        Self { name: secret.name.clone(), id: secret.id.clone(), run, answered }
    }
}

impl Unfinished {
    /// The drill.
    pub(super) fn run(&self) -> Run {
        let Self { record, .. } = self;
        Run { drill: record.drill, started: to_seconds(record.started), snapshot: record.snapshot }
    }
}

/// Destroys what a drill created, and nothing else.
pub(super) async fn clean_up(own: &Own, target: &dyn Target, progress: &dyn Progress) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let looks = own.made().into_iter().map(|(name, made)| async move {
        let resolved = resolve(own, &name, made).await;
        (name, resolved)
    });
    let resolved: Vec<_> = stream::iter(looks).buffered(CONCURRENT).collect().await;
    let mut doomed = BTreeMap::new();
    for (name, resolved) in resolved {
        match resolved {
            Ok(Resolved::Own(id)) => drop(doomed.insert(name, id)),
            Ok(Resolved::Nothing) => {}
            Ok(Resolved::Other(why)) => {
                tracing::warn!(%name, %why, "a name of the drill is something else's");
                cleaned.left_alone.insert(name);
            }
            Err(error) => cleaned.unknown(name, error),
        }
    }
    cleaned.created = doomed.len() as u64;
    for (name, fate) in destroy(&doomed, target, progress).await {
        match fate {
            Fate::Gone => cleaned.destroyed += 1,
            Fate::There => drop(cleaned.left_over.insert(name)),
            Fate::Taken => {
                cleaned.destroyed += 1;
                cleaned.left_alone.insert(name);
            }
            Fate::Unknown(error) => cleaned.unknown(name, error),
        }
    }
    cleaned
}

impl Cleaned {
    fn unknown(&mut self, name: String, error: ProviderError) {
        self.left_over.insert(name);
        if matches!(error.kind, ErrorKind::Credentials | ErrorKind::Unavailable) {
            self.error.get_or_insert(error);
        }
    }
}

/// What has a name that a creation was sent for. A creation without an answer may be carried out a moment later.
async fn resolve(own: &Own, name: &str, made: Made) -> Result<Resolved, ProviderError> {
    let looks = match made {
        Made::Own(id) => return Ok(Resolved::Own(id)),
        Made::Answered(id) => return own.resolve_answered(name, &id).await,
        Made::Not => 1,
        Made::Unknown => LOOKS,
    };
    for look in 1..looks {
        match own.resolve(name).await? {
            Resolved::Nothing => tokio::time::sleep(PAUSE * look).await,
            found => return Ok(found),
        }
    }
    own.resolve(name).await
}

/// What became of something that was to be destroyed.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is not there, or it was deleted and waits for its end.
    Gone,
    /// It is still there.
    There,
    /// It is gone, and something else has its name.
    Taken,
    /// Nobody told.
    Unknown(ProviderError),
}

/// Destroys by identifier; what became of each name.
pub(super) async fn destroy(
    doomed: &BTreeMap<String, String>,
    target: &dyn Target,
    progress: &dyn Progress,
) -> Vec<(String, Fate)> {
    progress.begin("clean up", Some(doomed.len() as u64));
    let one = |(name, id): (&String, &String)| {
        let (name, id) = (name.clone(), id.clone());
        async move {
            let deleted = target.apply(&Step::Destroy { name: name.clone() }, Some(&id), None).await;
            if let Err(error) = &deleted {
                // What it left shows by looking.
                tracing::warn!(%error, "clean-up of a drill");
            }
            let fate = look(target, &name, &id, deleted.is_ok()).await;
            progress.advance(1);
            (name, fate)
        }
    };
    stream::iter(doomed).map(one).buffer_unordered(CONCURRENT).collect().await
}

/// Looks a name up until it is free, or has been looked at often enough.
async fn look(target: &dyn Target, name: &str, id: &str, deleted: bool) -> Fate {
    let looks = if deleted { LOOKS } else { 1 };
    let mut fate = Fate::There;
    for look in 1..=looks {
        fate = match target.describe(name).await {
            Err(error) => Fate::Unknown(error),
            Ok(None) => return Fate::Gone,
            Ok(Some(secret)) if secret.id != id => return taken(target, id).await,
            Ok(Some(secret)) if deleted && secret.deleted.is_some() => return Fate::Gone,
            Ok(Some(_)) => Fate::There,
        };
        if look < looks {
            tokio::time::sleep(PAUSE * look).await;
        }
    }
    fate
}

/// Something else has the name: whether what had it is gone, only its identifier tells.
async fn taken(target: &dyn Target, id: &str) -> Fate {
    match target.describe(id).await {
        Ok(None) => Fate::Taken,
        Ok(Some(_)) => Fate::There,
        Err(error) => Fate::Unknown(error),
    }
}

#[cfg(test)]
mod tests;
