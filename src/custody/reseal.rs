//! After a change of the key: what only the old sheets open is sealed to the new key, as a new snapshot.
//!
//! Nothing is read from the source. The new snapshot has the time of the one it repeats, because that is its recovery
//! point; it is the newest by its number. Packs, index, manifest, in that order: a run that was cut leaves packs that
//! nothing refers to, and the next one does all of it again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::stream;
use jiff::Timestamp;

use crate::{
    crypto::{IndexKey, Opener, Recipient, RecoveryKey, Signer},
    model::{Digest, Place, Record, SnapshotId, ValueState},
    progress::Progress,
    repo::{
        AcceptedFault, Appending, Counts, Fault, FileRef, IndexLine, Manifest, NoChoice, OpenSet, PackEntry, PackLists,
        PackWriter, ReadingCount, Remembered, RepoError, Repository, Seal, Tip, Trust, UnreadableCount,
        VerifiedManifest, Witness, pack_name,
    },
};

/// What resealing needs.
pub struct Reseal<'a> {
    /// Where it is read and written.
    pub repository: &'a Repository,
    /// The verified epochs; the newest one is what is sealed to.
    pub trust: &'a Trust,
    /// The key of an earlier epoch, from its quorum.
    pub key: &'a RecoveryKey,
    /// Opens the newest index and is a recipient of the new one.
    pub index_key: &'a IndexKey,
    /// Signs the new manifest.
    pub signer: &'a Signer,
    /// The newest manifest this host knows of; a repository without it was rolled back.
    pub known: Option<Witness>,
    /// Faults of the history that a person accepts.
    pub accepted: &'a [AcceptedFault],
    /// When the run began.
    pub now: Timestamp,
    /// Watches.
    pub progress: &'a dyn Progress,
}

/// What one run did.
#[derive(Clone, Debug)]
pub struct Resealed {
    /// One for each place that had values only the earlier key opens; empty when none had.
    pub snapshots: Vec<ResealedSnapshot>,
    /// Faults of the history it was added to.
    pub history: Vec<Fault>,
    /// Those that would have refused it, and that a person accepted.
    pub accepted: Vec<AcceptedFault>,
}

/// A snapshot that the new key alone opens.
#[derive(Clone, Debug)]
pub struct ResealedSnapshot {
    /// Its manifest.
    pub manifest: VerifiedManifest,
    /// The snapshot it completes or repeats.
    pub of: SnapshotId,
    /// Values sealed again.
    pub values: u64,
}

/// Nothing was resealed.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The repository failed, or holds something damaged.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The sheets are those in force.
    #[error("these are sheets of the key in force; the sheets of an earlier key are needed")]
    CurrentKey,
    /// A key between the two sealed the newest snapshot.
    #[error(
        "the newest snapshot of {place} is sealed to the key of epoch {epoch}, which is neither the old nor the new key"
    )]
    OtherKey {
        /// What was captured.
        place: Place,
        /// The epoch whose sheets are needed.
        epoch: u32,
    },
    /// This host's key is not among the epoch's signers.
    #[error("this host's signing key is not allowed by key epoch {0}")]
    NotASigner(u32),
    /// The newest snapshot is not certain, as after a rollback or at a fork.
    #[error(transparent)]
    Choice(#[from] NoChoice),
}

/// A value in an earlier pack, and the record and version that need it.
struct Needed {
    line: u32,
    record: usize,
    version: usize,
}

/// Seals to the current key what the newest snapshot of each place lacks without the earlier one.
///
/// # Errors
/// See [`ResealError`]; the repository then has no new snapshot of the place in question.
pub async fn reseal(request: &Reseal<'_>) -> Result<Resealed, ResealError> {
    let current = request.trust.current();
    if request.key.recipient() == current.recipient {
        return Err(ResealError::CurrentKey);
    }
    if !request.trust.allows(current.number, &request.signer.public()) {
        return Err(ResealError::NotASigner(current.number));
    }
    let own = request.known.map(|head| Remembered { by: "this host".into(), head, holds: false, outside: true });
    let judgement = request.repository.judge(request.trust, own.as_slice()).await?.accepting(request.accepted);
    let appending = judgement.for_appending()?;
    let tip = appending.tip();
    let mut places: Vec<&Place> = Vec::new();
    for manifest in &appending.chain().manifests {
        if !places.contains(&&manifest.manifest().source) {
            places.push(&manifest.manifest().source);
        }
    }
    let mut snapshots = Vec::new();
    for place in places {
        snapshots.extend(reseal_place(request, &appending, &tip, place).await?);
    }
    Ok(Resealed { snapshots, history: appending.faults(), accepted: appending.accepted().to_vec() })
}

async fn reseal_place(
    request: &Reseal<'_>,
    appending: &Appending<'_>,
    tip: &Tip,
    place: &Place,
) -> Result<Option<ResealedSnapshot>, ResealError> {
    let Some(newest) = appending.newest(place) else { return Ok(None) };
    let is_earlier = |manifest: &VerifiedManifest| request.is_sealed_to(manifest, &request.key.recipient());
    let Some(earlier) = appending.newest_where(place, is_earlier) else { return Ok(None) };
    let old = request.repository.captured(&earlier, Opener::Recovery(request.key)).await?;
    let (mut records, needed) = if newest.digest() == earlier.digest() {
        let needed = every_value(&old);
        (old, needed)
    } else if request.is_sealed_to(newest.verified(), &request.trust.current().recipient) {
        let mut records = request.repository.captured(&newest, Opener::Index(request.index_key)).await?;
        let needed = what_is_missing(&mut records, &old);
        (records, needed)
    } else {
        return Err(ResealError::OtherKey { place: place.clone(), epoch: newest.manifest().epoch });
    };
    if needed.is_empty() {
        return Ok(None);
    }
    let values = needed.values().map(Vec::len).sum::<usize>() as u64;
    let lists = PackLists::default();
    let before = if newest.digest() == earlier.digest() {
        OpenSet::default()
    } else {
        request.repository.packs_of(newest.manifest(), &lists).await?
    };
    let new = request.seal_again(&mut records, needed).await?;
    let packs: BTreeMap<Digest, FileRef> = before.packs().chain(&new).map(|file| (file.sha256, *file)).collect();
    let parts = Parts { records, before, packs, values };
    let manifest = request.put(tip, newest.manifest(), parts, &lists).await?;
    Ok(Some(ResealedSnapshot { manifest, of: newest.manifest().snapshot, values }))
}

/// What a resealed snapshot is made of.
struct Parts {
    records: Vec<Record>,
    /// The packs of the snapshot it completes, where today's key opens them.
    before: OpenSet,
    /// These and the new ones.
    packs: BTreeMap<Digest, FileRef>,
    /// Values sealed again.
    values: u64,
}

impl Reseal<'_> {
    fn is_sealed_to(&self, manifest: &VerifiedManifest, recipient: &Recipient) -> bool {
        let mut epochs = self.trust.epochs().iter();
        epochs.any(|epoch| epoch.number == manifest.manifest().epoch && epoch.recipient == *recipient)
    }

    /// Opens each earlier pack once and writes what is needed of it into new ones, whose names the records get.
    async fn seal_again(
        &self,
        records: &mut [Record],
        needed: BTreeMap<Digest, Vec<Needed>>,
    ) -> Result<Vec<FileRef>, RepoError> {
        self.progress.begin("seal again", Some(needed.values().map(Vec::len).sum::<usize>() as u64));
        let recipients = [self.trust.current().recipient.clone()];
        let (mut packs, mut open) = (Vec::new(), PackWriter::new(&recipients));
        let mut waiting = Vec::new();
        for (pack, wanted) in needed {
            let mut wanted: HashMap<u32, Vec<Needed>> = wanted.into_iter().fold(HashMap::new(), |mut lines, needed| {
                lines.entry(needed.line).or_default().push(needed);
                lines
            });
            let file = pack_name(&pack);
            let entries = self.repository.open_pack(&pack, Opener::Recovery(self.key)).await?;
            for (line, entry) in (0..).zip(entries) {
                let entry = entry?;
                for needed in wanted.remove(&line).unwrap_or_default() {
                    let record = &records[needed.record];
                    check(&entry, record, needed.version, &file, line)?;
                    let id = &record.versions[needed.version].id;
                    waiting.push((needed.record, needed.version, open.push(&record.secret.id, id, &entry.value)));
                    self.progress.advance(1);
                }
                if open.is_full() {
                    let full = std::mem::replace(&mut open, PackWriter::new(&recipients));
                    packs.push(self.end(full, &mut waiting, records).await?);
                }
            }
            if let Some(line) = wanted.keys().min() {
                return Err(RepoError::Damaged { file, reason: format!("line {line} does not exist") });
            }
        }
        if !waiting.is_empty() {
            packs.push(self.end(open, &mut waiting, records).await?);
        }
        Ok(packs)
    }

    /// Stores a pack and tells the records that wait for its name.
    async fn end(
        &self,
        pack: PackWriter,
        waiting: &mut Vec<(usize, usize, u32)>,
        records: &mut [Record],
    ) -> Result<FileRef, RepoError> {
        let sealed = pack.finish();
        let file = sealed.file;
        self.repository.put_pack(sealed).await?;
        for (record, version, at) in waiting.drain(..) {
            if let ValueState::Stored { pack, line, .. } = &mut records[record].versions[version].value {
                (*pack, *line) = (file.sha256, at);
            }
        }
        Ok(file)
    }

    async fn put(
        &self,
        tip: &Tip,
        base: &Manifest,
        parts: Parts,
        lists: &PackLists,
    ) -> Result<VerifiedManifest, RepoError> {
        let current = self.trust.current();
        let Parts { records, before, packs, values } = parts;
        let counts: Counts = base.counts.of_records(&records, values);
        let unreadable =
            UnreadableCount::of(records.iter().flat_map(|record| record.refused(base.source.reads_value())));
        let mut readings = ReadingCount::new(base.time, base.full.time, &base.sweeps);
        for record in &records {
            readings.add(record);
        }
        let used = used(&records, &packs);
        let recipients = [current.recipient.clone(), self.index_key.recipient()];
        let lines = records.into_iter().map(|record| Ok(IndexLine::Record(record)));
        let manifest = Manifest {
            snapshot: SnapshotId::random(),
            sequence: 0,
            previous: None,
            finished: self.now,
            epoch: current.number,
            signer: self.signer.public(),
            indexes: vec![self.repository.put_layer(&recipients, stream::iter(lines)).await?],
            packs: self.repository.put_pack_set(&before, &used).await?,
            counts,
            holds: None,
            readings: readings.finish(),
            seals: self.narrowed(base, &used, lists).await?,
            config: self.config(base, &recipients).await?,
            unreadable,
            tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into(),
            ..base.clone()
        };
        self.repository.append(manifest, self.trust, self.signer, tip).await
    }

    /// What a drill key still opens: of the packs that stay. An index sealed to it is of other records, and goes.
    async fn narrowed(
        &self,
        base: &Manifest,
        used: &BTreeSet<FileRef>,
        lists: &PackLists,
    ) -> Result<Vec<Seal>, RepoError> {
        let mut seals = Vec::with_capacity(base.seals.len());
        for seal in &base.seals {
            let before = self.repository.open_set(&seal.packs, lists).await?;
            let stay = before.packs().filter(|file| used.contains(file)).copied().collect();
            let packs = self.repository.put_pack_set(&before, &stay).await?;
            seals.push(Seal { packs, indexes: None, ..seal.clone() });
        }
        Ok(seals)
    }

    /// The configuration, sealed to the key of today. One that no key at hand opens is left out.
    async fn config(&self, base: &Manifest, recipients: &[Recipient]) -> Result<Option<FileRef>, RepoError> {
        let Some(file) = base.config else { return Ok(None) };
        for opener in [Opener::Index(self.index_key), Opener::Recovery(self.key)] {
            match self.repository.config(&file, opener).await {
                Ok(config) => return self.repository.put_config(&config, recipients).await.map(Some),
                Err(RepoError::WrongKey { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The packs that records refer to.
fn used(records: &[Record], packs: &BTreeMap<Digest, FileRef>) -> BTreeSet<FileRef> {
    let versions = records.iter().flat_map(|record| &record.versions);
    let files = versions.filter_map(|version| match &version.value {
        ValueState::Stored { pack, .. } => packs.get(pack).copied(),
        ValueState::None | ValueState::Withheld { .. } | ValueState::Unreadable { .. } => None,
    });
    files.collect()
}

/// Every stored value, by pack.
fn every_value(records: &[Record]) -> BTreeMap<Digest, Vec<Needed>> {
    let mut needed: BTreeMap<Digest, Vec<Needed>> = BTreeMap::new();
    for (record, found) in records.iter().enumerate() {
        for (version, found) in found.versions.iter().enumerate() {
            if let ValueState::Stored { pack, line, .. } = found.value {
                needed.entry(pack).or_default().push(Needed { line, record, version });
            }
        }
    }
    needed
}

/// What the newest snapshot knows of and could not read, and the earlier one holds: put into `records`, by pack.
///
/// A secret that could not be read at all gets the earlier record, as a snapshot with the old key would have kept it; so
/// does a policy that is hidden while its secret is scheduled for deletion.
fn what_is_missing(records: &mut [Record], old: &[Record]) -> BTreeMap<Digest, Vec<Needed>> {
    let old: HashMap<&str, &Record> = old.iter().map(|record| (record.secret.id.as_str(), record)).collect();
    let mut needed: BTreeMap<Digest, Vec<Needed>> = BTreeMap::new();
    for (at, record) in records.iter_mut().enumerate() {
        let Some(known) = old.get(record.secret.id.as_str()) else { continue };
        if record.versions.is_empty() && !record.secret.unreadable.is_empty() {
            let unreadable = std::mem::take(&mut record.secret.unreadable);
            *record = (*known).clone();
            record.secret.unreadable = unreadable;
            for (version, found) in record.versions.iter().enumerate() {
                if let ValueState::Stored { pack, line, .. } = found.value {
                    needed.entry(pack).or_default().push(Needed { line, record: at, version });
                }
            }
            continue;
        }
        if record.secret.deleted.is_some() && record.secret.facets.policy.is_none() {
            record.secret.facets.policy.clone_from(&known.secret.facets.policy);
        }
        for (version, found) in record.versions.iter_mut().enumerate() {
            let lacks = matches!(found.value, ValueState::Unreadable { .. } | ValueState::Withheld { .. });
            let held = known.versions.iter().find(|version| version.id == found.id).map(|version| &version.value);
            if let (true, Some(value @ ValueState::Stored { pack, line, .. })) = (lacks, held) {
                needed.entry(*pack).or_default().push(Needed { line: *line, record: at, version });
                found.value = value.clone();
            }
        }
    }
    needed
}

/// A line must hold what the record says; anything else is damage.
fn check(entry: &PackEntry, record: &Record, version: usize, file: &str, line: u32) -> Result<(), RepoError> {
    let expected = &record.versions[version];
    let kind = matches!(expected.value, ValueState::Stored { kind, .. } if kind == entry.value.kind());
    if kind && entry.secret == record.secret.id && entry.version == expected.id {
        return Ok(());
    }
    let reason = format!("line {line} is not version {} of {}", expected.id, record.secret.name);
    Err(RepoError::Damaged { file: file.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Part, Secret, Unreadable, ValueKind, Version, VersionFacets, Withheld};

    fn stored(line: u32) -> ValueState {
        ValueState::Stored { pack: Digest::of(b"old"), line, kind: ValueKind::Text, size: 1 }
    }

    fn record(name: &str, values: &[ValueState]) -> Record {
        let versions = values.iter().enumerate().map(|(at, value)| Version {
            id: format!("v{at}"),
            current: false,
            labels: Vec::new(),
            created: None,
            facets: VersionFacets::default(),
            value: value.clone(),
        });
        let secret = Secret { name: name.into(), id: format!("arn:{name}"), ..Secret::default() };
        Record { secret, versions: versions.collect(), read: Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn only_what_is_lacking_and_was_held_is_needed() {
        let refused = || ValueState::Unreadable { reason: "AccessDenied".into() };
        let own = ValueState::Stored { pack: Digest::of(b"new"), line: 9, kind: ValueKind::Bytes, size: 1 };
        let old = [
            record("a", &[stored(1), stored(2), ValueState::None, stored(3)]),
            record("gone", &[stored(4)]),
            record("unread", &[stored(5), ValueState::None]),
        ];
        let mut unread = record("unread", &[]);
        unread.secret.unreadable =
            vec![Unreadable { part: Part::Metadata, operation: "DescribeSecret".into(), reason: "Timeout".into() }];
        let mut records = [
            record(
                "a",
                &[
                    own.clone(),
                    refused(),
                    refused(),
                    ValueState::Withheld { reason: Withheld::ScheduledForDeletion },
                    refused(),
                ],
            ),
            record("born", &[refused()]),
            unread.clone(),
        ];
        let needed = what_is_missing(&mut records, &old);
        let lines: Vec<u32> = needed[&Digest::of(b"old")].iter().map(|needed| needed.line).collect();
        assert_eq!((needed.len(), lines), (1, vec![2, 3, 5]));
        let states: Vec<ValueState> = records[0].versions.iter().map(|version| version.value.clone()).collect();
        assert_eq!(states, [own, stored(2), refused(), stored(3), refused()], "what it has itself stays");
        assert_eq!(records[1].versions[0].value, refused());
        assert_eq!((records[2].versions.len(), &records[2].secret.unreadable), (2, &unread.secret.unreadable));
        assert!(what_is_missing(&mut records, &old[1..2]).is_empty(), "a secret that is gone is not brought back");
    }
}
