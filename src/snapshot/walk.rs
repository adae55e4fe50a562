//! The walk through the listing and the earlier index, side by side: what is known is kept, the rest is read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::TryStreamExt as _;
use tokio::task::JoinSet;

use super::{Known, Previous, Request, Shared, SnapshotError, Sweep, Tally, Writer};
use crate::{
    model::{Digest, Place, Record, Secret, ValueState},
    provider::{ErrorKind, Fetched, Listed, ProviderError},
    repo::{Sorted, Spool},
};

/// How many secrets are read at once; the provider's limiter paces the calls.
const CONCURRENT_SECRETS: usize = 64;
/// Failures in a row after which the source counts as gone, not as a source with a few bad secrets.
const GIVE_UP_AFTER: usize = 20;

/// Secrets that may vanish while a run reads: more are not deleted by anybody in those minutes, and the endpoint lies.
const MOST_VANISHED: usize = 1_000;

/// What a walk through the listing goes by.
pub(super) struct Pass<'p> {
    pub(super) request: &'p Request<'p>,
    pub(super) place: &'p Place,
    pub(super) shared: &'p Arc<Shared>,
    pub(super) sweep: Sweep,
}

/// What secrets are written to and counted in.
struct Sink<'s, 'w> {
    writer: &'s mut Writer<'w>,
    tally: &'s mut Tally,
    /// Failures in a row.
    failures: usize,
    /// Listed and then not there, by identifier.
    missing: HashMap<String, (Listed, Known, ProviderError)>,
}

/// One secret that was read, and what was known of it before.
pub(super) struct Read {
    pub(super) listed: Listed,
    pub(super) known: Known,
    pub(super) fetched: Result<Fetched, ProviderError>,
}

/// What is read while the listing goes on.
#[derive(Default)]
struct Begun {
    /// Identifiers, by the first bytes of their hash.
    secrets: HashSet<[u8; 16]>,
    /// Those that were read.
    done: u64,
}

type Reads = JoinSet<Read>;

impl Pass<'_> {
    /// Walks through the listing and the earlier index side by side; secrets are read in parallel and written as they come, so
    /// that memory is bounded by what is in flight.
    pub(super) async fn walk(
        &self,
        previous: &mut Previous<'_>,
        writer: &mut Writer<'_>,
        tally: &mut Tally,
    ) -> Result<(), SnapshotError> {
        let request = self.request;
        let (mut reads, mut sink) = (Reads::new(), Sink { writer, tally, failures: 0, missing: HashMap::new() });
        // Boxed: the future of every caller would be larger by it.
        let (entries, begun) = Box::pin(self.list(previous.is_none(), &mut reads, &mut sink)).await?;
        request.source.pace().iter().for_each(|pace| request.progress.limit(pace.read));
        request.progress.begin("read secrets", Some(entries.count()));
        if begun.done > 0 {
            request.progress.skip(begun.done);
        }
        let mut entries = entries.walk()?.map(|entry| entry.map(Listed::from));
        let mut last = None;
        loop {
            while reads.len() < CONCURRENT_SECRETS {
                let Some(listed) = entries.next().transpose()? else { break };
                if last.replace(listed.id.clone()).is_some_and(|last| last == listed.id) {
                    request.progress.skip(1);
                    continue;
                }
                sink.tally.listed += 1;
                if begun.secrets.contains(&short(&listed.id)) {
                    continue;
                }
                if !self.is_excluded(&listed, sink.tally) {
                    let record = previous.find(&listed, sink.writer).await?;
                    if let Some((listed, known)) = self.to_be_read(listed, record, &mut sink)? {
                        reads.spawn(read(request.source.clone(), listed, known));
                        continue;
                    }
                }
                request.progress.skip(1);
            }
            let Some(read) = reads.join_next().await else { return self.confirm(sink).await };
            sink.take(read.expect("reading does not panic")).await?;
            request.progress.advance(1);
        }
    }

    /// The whole listing in the order of an index, each entry as a record without versions. A secret that moved to another page
    /// while it was listed is there twice. Where nothing is known (`is_first`), secrets are read meanwhile.
    async fn list(
        &self,
        is_first: bool,
        reads: &mut Reads,
        sink: &mut Sink<'_, '_>,
    ) -> Result<(Sorted<Record>, Begun), SnapshotError> {
        let request = self.request;
        request.source.pace().iter().for_each(|pace| request.progress.limit(pace.listed));
        request.progress.begin("list secrets", None);
        let mut spool = Spool::of_records(request.scratch);
        let (mut entries, mut begun) = (request.source.list(), Begun::default());
        loop {
            tokio::select! {
                biased;
                entry = entries.try_next() => {
                    let Some(listed) = entry? else { return Ok((spool.sorted()?, begun)) };
                    let is_wanted = is_first && reads.len() < CONCURRENT_SECRETS && self.is_read_for_sure(&listed);
                    if is_wanted && begun.secrets.insert(short(&listed.id)) {
                        let known = Known::new(None, self.shared, self.is_for_drills(&listed));
                        reads.spawn(read(request.source.clone(), listed.clone(), known));
                    }
                    spool.push(listed.into())?;
                    request.progress.advance(1);
                }
                Some(read) = reads.join_next(), if !reads.is_empty() => {
                    sink.take(read.expect("reading does not panic")).await?;
                    begun.done += 1;
                }
            }
        }
    }

    /// Whether no rule leaves it out.
    fn is_read_for_sure(&self, listed: &Listed) -> bool {
        let is_deleted = listed.secret.deleted.is_some();
        !is_deleted && self.excluding(&listed.name).is_none() && !is_replica_of(&listed.secret, self.place)
    }

    fn is_for_drills(&self, listed: &Listed) -> bool {
        self.request.drill.is_some_and(|drill| drill.opens(&listed.name))
    }

    /// The pattern that leaves a name out.
    fn excluding(&self, name: &str) -> Option<&String> {
        self.request.rules.exclude.iter().find(|pattern| wildmatch::WildMatch::new(pattern).matches(name))
    }

    /// Whether a rule leaves a secret out, which is counted.
    fn is_excluded(&self, listed: &Listed, tally: &mut Tally) -> bool {
        if let Some(pattern) = self.excluding(&listed.name) {
            tally.exclude(pattern.clone());
            return true;
        }
        // A replica is captured where its primary lives; a restored twin would be a writable stranger.
        let is_replica = is_replica_of(&listed.secret, self.place);
        if is_replica {
            tally.exclude_replica(&listed.name);
        }
        is_replica
    }

    /// A secret that has to be read, and what is known of it; the others are taken over or left out.
    fn to_be_read(
        &self,
        listed: Listed,
        record: Option<Record>,
        sink: &mut Sink<'_, '_>,
    ) -> Result<Option<(Listed, Known)>, SnapshotError> {
        let request = self.request;
        if request.rules.exclude_deleted
            && listed.secret.deleted.is_some()
            && !record.as_ref().is_some_and(holds_a_value)
        {
            sink.tally.exclude("scheduled for deletion".into());
            if let Some(Record { secret, .. }) = record {
                sink.writer.push_removed(&secret.name, &secret.id)?;
            }
            return Ok(None);
        }
        let mut known = Known::new(record, self.shared, self.is_for_drills(&listed));
        match known.kept(&listed, &self.sweep) {
            Some(record) => sink.writer.push_kept(record).map(|()| None).map_err(SnapshotError::from),
            None => Ok(Some((listed, known))),
        }
    }

    /// What was listed and then not there is gone only if a second listing does not show it either; else it is a secret that could
    /// not be read.
    async fn confirm(&self, sink: Sink<'_, '_>) -> Result<(), SnapshotError> {
        let Sink { writer, tally, missing, .. } = sink;
        if missing.is_empty() {
            return Ok(());
        }
        self.request.progress.begin("list missing secrets again", None);
        let mut still = HashSet::new();
        let mut entries = self.request.source.list();
        while let Some(listed) = entries.try_next().await? {
            // One that was known by its name alone may have an identifier by now.
            for id in [listed.id, listed.name] {
                if missing.contains_key(&id) {
                    still.insert(id);
                }
            }
        }
        for (id, (listed, known, mut error)) in missing {
            if still.contains(&id) {
                error.code = "ListedAndNotFound".into();
                writer.push_unread(known, listed, &error)?;
            } else {
                tally.vanish(listed.name);
                if let Some(Record { secret, .. }) = known.into_record() {
                    writer.push_removed(&secret.name, &secret.id)?;
                }
            }
        }
        Ok(())
    }
}

impl Sink<'_, '_> {
    async fn take(&mut self, read: Read) -> Result<(), SnapshotError> {
        let Read { listed, known, fetched } = read;
        match fetched {
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.missing.insert(listed.id.clone(), (listed, known, error.clone()));
                if self.missing.len() > MOST_VANISHED {
                    return Err(error.into());
                }
            }
            Err(error) => {
                // A refusal by name is an answer: whoever may read nothing at all is refused the listing.
                self.failures += usize::from(error.kind != ErrorKind::Denied);
                if error.kind == ErrorKind::Credentials || self.failures >= GIVE_UP_AFTER {
                    return Err(error.into());
                }
                self.writer.push_unread(known, listed, &error)?;
            }
            Ok(fetched) => {
                self.failures = 0;
                let listing = listed.fingerprint.filter(|_| fetched.agrees);
                self.writer.push(fetched, listing, &known).await?;
            }
        }
        Ok(())
    }
}

/// 128 bits that stand for an identifier, so that those of a long listing are few megabytes.
fn short(id: &str) -> [u8; 16] {
    Digest::of(id.as_bytes()).as_bytes()[..16].try_into().expect("a digest has 32 bytes")
}

/// Whether it is a replica of a secret of another region.
pub(super) fn is_replica_of(secret: &Secret, place: &Place) -> bool {
    secret.facets.primary_region.as_ref().is_some_and(|primary| *primary != place.region)
}

pub(super) async fn read(source: Arc<dyn crate::provider::Source>, listed: Listed, known: Known) -> Read {
    let fetched = source.fetch(&listed, &|secret, version| known.has(secret, version)).await;
    Read { listed, known, fetched }
}

/// Whether a record has a value that is sealed.
fn holds_a_value(record: &Record) -> bool {
    record.versions.iter().any(|version| matches!(version.value, ValueState::Stored { .. }))
}

#[cfg(test)]
mod tests;
