//! One snapshot: read the source, seal what is new, refer to what is known, sign the manifest.
//!
//! The manifest is the last write. Whatever stops a run before it leaves packs that nothing refers to.

mod carried;
mod writer;

use std::{collections::BTreeMap, sync::Arc};

use futures::{SinkExt, StreamExt, channel::mpsc};

use crate::{
    clock::{Clock, to_seconds},
    crypto::{IndexKey, Signer},
    model::{Place, Record, SnapshotId},
    progress::Progress,
    provider::{ErrorKind, Listed, ProviderError, Source},
    repo::{Chain, Counts, Excluded, Manifest, RepoError, Repository, Trust, UnreadableCount, VerifiedManifest},
};
use carried::Carried;
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
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Watches.
    pub progress: &'a dyn Progress,
}

/// The head of a chain, as remembered outside the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Witness {
    /// The sequence number.
    pub sequence: u64,
    /// SHA-256 of the manifest.
    pub manifest: crate::model::Digest,
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
    /// The repository holds less than this host wrote.
    #[error("the repository was rolled back: this host wrote snapshot number {expected}, the newest there is {found}")]
    RolledBack {
        /// The witness.
        expected: u64,
        /// The repository's head; 0 for none.
        found: u64,
    },
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

    let carried = Carried::load(request.repository, request.trust, &chain, &place, request.index_key).await;
    let packs = vec![epoch.recipient.clone()];
    let mut writer = Writer::new(request.repository, packs, started);
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
        counts: tally.counts().of_records(&written.records, written.values_read),
        packs: carried.sizes(&written.packs, &written.records)?,
        indexes: written.indexes,
        excluded: tally.excluded.into_iter().map(|(rule, secrets)| Excluded { rule, secrets }).collect(),
        unreadable: UnreadableCount::of_records(&written.records),
        tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into(),
    };
    let manifest = request.repository.put_manifest(manifest, request.signer).await?;
    Ok(Report { manifest, unreadable, history: chain.faults })
}

/// What happened to the secrets that have no record.
#[derive(Default)]
struct Tally {
    listed: u64,
    vanished: u64,
    excluded: BTreeMap<String, u64>,
}

impl Tally {
    /// The secrets; what the records hold is not counted yet.
    fn counts(&self) -> Counts {
        let excluded = self.excluded.values().sum();
        Counts { listed: self.listed, excluded, vanished: self.vanished, ..Counts::default() }
    }
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
    let source = &request.source;
    let producer = async move {
        let mut reads = source
            .list()
            .map(|listed| async move {
                let listed = listed?;
                let rule = exclusion(&listed, place, request.exclude);
                let fetched = match &rule {
                    Some(_) => None,
                    None => Some(source.fetch(&listed, &|version| carried.has(&listed.arn, version)).await),
                };
                Ok::<_, ProviderError>((listed, rule, fetched))
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
            let (listed, rule, fetched) = read?;
            tally.listed += 1;
            request.progress.advance(1);
            match (rule, fetched) {
                (Some(rule), _) => *tally.excluded.entry(rule).or_default() += 1,
                (None, Some(Err(error))) if error.kind == ErrorKind::NotFound => tally.vanished += 1,
                (None, Some(Err(error))) => {
                    failures += 1;
                    if error.kind == ErrorKind::Credentials || failures >= GIVE_UP_AFTER {
                        return Err(error.into());
                    }
                    writer.push_unread(carried.record(&listed.arn), listed, &error);
                }
                (None, Some(Ok(fetched))) => {
                    failures = 0;
                    writer.push(fetched, carried).await?;
                }
                (None, None) => {}
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
    let known = chain.manifests.iter().any(|manifest| manifest.digest() == witness.manifest);
    if known {
        return Ok(());
    }
    let found = chain.head().map_or(0, |head| head.manifest().sequence);
    Err(SnapshotError::RolledBack { expected: witness.sequence, found })
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

fn random_id() -> SnapshotId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    SnapshotId::from_bytes(bytes)
}
