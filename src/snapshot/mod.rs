//! One snapshot: read the source, seal what is new, refer to what is known, sign the manifest.
//!
//! The manifest is the last write. Whatever stops a run before it leaves packs that nothing refers to.

mod carried;
mod journal;
mod sweep;
mod writer;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures::{SinkExt, StreamExt, channel::mpsc};
use jiff::Timestamp;

use crate::{
    clock::{Clock, to_seconds},
    crypto::{IndexKey, Signer},
    model::{Place, Record, SnapshotId},
    progress::Progress,
    provider::{ErrorKind, Fetched, Listed, ProviderError, Source},
    repo::{
        Chain, Counts, Excluded, Manifest, Readings, Remembered, RepoError, Repository, Trust, UnreadableCount,
        VerifiedManifest, Witness,
    },
};
use carried::Carried;
use journal::Journal;
pub use journal::packs_of_unfinished_runs;
use sweep::Sweep;
use writer::Writer;

/// How many secrets are read at once; the provider's limiter paces the calls.
const CONCURRENT_SECRETS: usize = 64;
/// Failures in a row after which the source counts as gone, not as a source with a few bad secrets.
const GIVE_UP_AFTER: usize = 20;

/// What a snapshot needs.
pub struct Request<'a> {
    /// Where it is written.
    pub repository: &'a Repository,
    /// What is captured.
    pub source: Arc<dyn Source>,
    /// The account the source must be, when the configuration names one.
    pub account: Option<&'a str>,
    /// The verified epochs.
    pub trust: &'a Trust,
    /// The newest snapshot this host knows of: a repository that has less was rolled back.
    pub witness: Option<&'a Witness>,
    /// Signs the manifest.
    pub signer: &'a Signer,
    /// Opens the earlier index and is a recipient of the new one.
    pub index_key: &'a IndexKey,
    /// Leave out names that match.
    pub exclude: &'a [String],
    /// Read every secret again at least every so many days, also when its listing did not change; 0 reads everything now.
    pub sweep_days: u32,
    /// Where this host notes what an unfinished run has sealed; without it an interrupted run starts over.
    pub journal: Option<&'a Path>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Watches.
    pub progress: &'a dyn Progress,
}

/// A snapshot that exists.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its manifest.
    pub manifest: VerifiedManifest,
    /// What could not be read, by name.
    pub unreadable: Vec<UnreadableItem>,
    /// Faults of the history it was added to.
    pub history: Vec<crate::repo::Fault>,
}

/// One part of one secret that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnreadableItem {
    /// The secret's name.
    pub name: String,
    /// The version, when it is a value.
    pub version: Option<String>,
    /// The provider's operation.
    pub operation: String,
    /// The provider's error code.
    pub reason: String,
}

/// A snapshot that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The source failed as a whole.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The source is another account than the configuration says.
    #[error("the source is account {found}, the configuration says {expected}")]
    WrongAccount {
        /// The provider's word.
        found: String,
        /// The configuration's.
        expected: String,
    },
    /// The repository does not hold what this host wrote: rolled back, forked, or a snapshot removed.
    #[error("{0}")]
    OtherHistory(String),
    /// This host's key is not among the epoch's signers.
    #[error("this host's signing key is not allowed by key epoch {0}")]
    NotASigner(u32),
}

/// Takes a snapshot.
///
/// # Errors
/// See [`SnapshotError`]. What could not be read is not an error: it is in the [`Report`] and the manifest.
pub async fn run(request: &Request<'_>) -> Result<Report, SnapshotError> {
    let epoch = request.trust.current();
    if !request.trust.allows(epoch.number, &request.signer.public()) {
        return Err(SnapshotError::NotASigner(epoch.number));
    }
    let started = to_seconds(request.clock.now());
    let place = request.source.place().await?;
    check_account(request.account, &place)?;
    let chain = request.repository.chain(request.trust).await?;
    check_witness(request.witness, &chain)?;

    let mut carried = Carried::load(request.repository, request.trust, &chain, &place, request.index_key).await;
    let journal = || request.journal.map(|folder| Journal::new(folder, &epoch.recipient));
    if let Some(journal) = journal() {
        carried.resume(journal.load(request.repository, request.index_key).await);
    }
    let packs = vec![epoch.recipient.clone()];
    let noted = journal().map(|journal| (journal, request.index_key));
    let mut writer = Writer::new(request.repository, packs, started, noted);
    let mut tally = Tally::default();
    read_all(request, &place, &carried, &mut writer, &mut tally).await?;

    let recipients = [epoch.recipient.clone(), request.index_key.recipient()];
    request.progress.begin("write index", None);
    let written = writer.finish(&recipients).await?;
    let unreadable = unreadable_items(&written.records);
    let manifest = Manifest {
        version: crate::repo::FORMAT_VERSION,
        repository: request.repository.id(),
        snapshot: random_id(),
        sequence: chain.head().map_or(1, |head| head.manifest().sequence + 1),
        previous: chain.head().map(VerifiedManifest::digest),
        time: started,
        finished: to_seconds(request.clock.now()),
        epoch: epoch.number,
        signer: request.signer.public(),
        source: place,
        counts: count(&written.records, &tally, written.values_read),
        readings: Some(readings(&written.records, started)),
        packs: carried.sizes(&written.packs, &written.records)?,
        indexes: written.indexes,
        excluded: tally.excluded.into_iter().map(|(rule, secrets)| Excluded { rule, secrets }).collect(),
        unreadable: unreadable_counts(&unreadable),
        tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into(),
    };
    let manifest = request.repository.put_manifest(manifest, request.signer).await?;
    if let Some(Err(error)) = journal().map(|journal| journal.clear()) {
        tracing::warn!(%error, "the journal of the run cannot be cleared");
    }
    Ok(Report { manifest, unreadable, history: chain.faults })
}

/// What happened to the secrets that have no record.
#[derive(Default)]
struct Tally {
    listed: u64,
    vanished: u64,
    excluded: BTreeMap<String, u64>,
}

/// What becomes of one entry of the listing.
enum Outcome<'a> {
    Excluded(String),
    Kept(&'a Record),
    Read(Box<Result<Fetched, ProviderError>>),
}

/// Lists and reads in parallel; one writer takes what arrives, so that memory is bounded by the queue.
async fn read_all(
    request: &Request<'_>,
    place: &Place,
    carried: &Carried,
    writer: &mut Writer<'_>,
    tally: &mut Tally,
) -> Result<(), SnapshotError> {
    request.progress.begin("read secrets", None);
    let (mut sender, mut receiver) = mpsc::channel(CONCURRENT_SECRETS);
    let sweep = Sweep::new(request.sweep_days, writer.started());
    let source = &request.source;
    let producer = async move {
        let mut reads = source
            .list()
            .map(|listed| async move {
                let listed = listed?;
                let outcome = match (exclusion(&listed, place, request.exclude), carried.keeps(&listed, &sweep)) {
                    (Some(rule), _) => Outcome::Excluded(rule),
                    (None, Some(record)) => Outcome::Kept(record),
                    (None, None) => Outcome::Read(Box::new(
                        source.fetch(&listed, &|version| carried.has(&listed.arn, version)).await,
                    )),
                };
                Ok::<_, ProviderError>((listed, outcome))
            })
            .buffer_unordered(CONCURRENT_SECRETS);
        while let Some(read) = reads.next().await {
            if sender.send(read).await.is_err() {
                break;
            }
        }
    };
    let consumer = async move {
        let mut failures = 0;
        while let Some(read) = receiver.next().await {
            let (listed, outcome) = read?;
            tally.listed += 1;
            request.progress.advance(1);
            match outcome {
                Outcome::Excluded(rule) => *tally.excluded.entry(rule).or_default() += 1,
                Outcome::Kept(record) => writer.push_kept(record),
                Outcome::Read(read) => match *read {
                    Err(error) if error.kind == ErrorKind::NotFound => tally.vanished += 1,
                    Err(error) => {
                        failures += 1;
                        if error.kind == ErrorKind::Credentials || failures >= GIVE_UP_AFTER {
                            return Err(error.into());
                        }
                        writer.push_unread(carried.record(&listed.arn), listed, &error);
                    }
                    Ok(fetched) => {
                        failures = 0;
                        writer.push(fetched, listed.fingerprint, carried).await?;
                    }
                },
            }
        }
        Ok(())
    };
    futures::join!(producer, consumer).1
}

fn exclusion(listed: &Listed, place: &Place, patterns: &[String]) -> Option<String> {
    if let Some(pattern) = patterns.iter().find(|pattern| wildmatch::WildMatch::new(pattern).matches(&listed.name)) {
        return Some(pattern.clone());
    }
    // A replica is captured where its primary lives; a restored twin would be a writable stranger.
    match &listed.secret.primary_region {
        Some(primary) if *primary != place.region => Some("replica of another region".into()),
        _ => None,
    }
}

fn check_account(expected: Option<&str>, place: &Place) -> Result<(), SnapshotError> {
    match expected {
        Some(expected) if expected != place.account => {
            Err(SnapshotError::WrongAccount { found: place.account.clone(), expected: expected.into() })
        }
        _ => Ok(()),
    }
}

fn check_witness(witness: Option<&Witness>, chain: &Chain) -> Result<(), SnapshotError> {
    let Some(witness) = witness else { return Ok(()) };
    let remembered = Remembered { by: "this host".into(), head: *witness, holds: false };
    match chain.compare(&[remembered]).pop() {
        Some(fault) => Err(SnapshotError::OtherHistory(fault.detail)),
        None => Ok(()),
    }
}

fn unreadable_items(records: &[Record]) -> Vec<UnreadableItem> {
    let mut items = Vec::new();
    for record in records {
        let name = &record.secret.name;
        for part in &record.secret.unreadable {
            items.push(UnreadableItem {
                name: name.clone(),
                version: None,
                operation: part.part.clone(),
                reason: part.reason.clone(),
            });
        }
        for version in &record.versions {
            if let crate::model::ValueState::Unreadable { reason } = &version.value {
                items.push(UnreadableItem {
                    name: name.clone(),
                    version: Some(version.id.clone()),
                    operation: "GetSecretValue".into(),
                    reason: reason.clone(),
                });
            }
        }
    }
    items
}

fn unreadable_counts(items: &[UnreadableItem]) -> Vec<UnreadableCount> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for item in items {
        *counts.entry((&item.operation, &item.reason)).or_default() += 1;
    }
    let count = |((operation, reason), count): ((&str, &str), u64)| UnreadableCount {
        operation: operation.into(),
        reason: reason.into(),
        count,
    };
    counts.into_iter().map(count).collect()
}

fn count(records: &[Record], tally: &Tally, values_read: u64) -> Counts {
    use crate::model::ValueState;
    let mut counts = Counts {
        listed: tally.listed,
        excluded: tally.excluded.values().sum(),
        vanished: tally.vanished,
        values_read,
        ..Counts::default()
    };
    let mut stored = 0;
    for record in records {
        if record.is_incomplete() {
            counts.unreadable += 1;
        } else {
            counts.captured += 1;
        }
        for version in &record.versions {
            counts.versions += 1;
            match version.value {
                ValueState::Stored { .. } => stored += 1,
                ValueState::None | ValueState::ScheduledForDeletion => counts.values_absent += 1,
                ValueState::Unreadable { .. } => counts.values_unreadable += 1,
            }
        }
    }
    counts.values_carried = stored - values_read;
    counts
}

/// How old the readings are.
fn readings(records: &[Record], started: Timestamp) -> Readings {
    let now = records.iter().filter(|record| record.read == started).count() as u64;
    let oldest = records.iter().map(|record| record.read).min();
    Readings { now, kept: records.len() as u64 - now, oldest }
}

fn random_id() -> SnapshotId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    SnapshotId::from_bytes(bytes)
}
