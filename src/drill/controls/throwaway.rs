//! A repository in memory, of which nobody keeps the key: made, restored from and forgotten.

use std::sync::Arc;

use futures::stream;
use jiff::Timestamp;

use super::super::{DrillError, checks::Completeness};
use crate::{
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    model::{Place, Record, RepositoryId, Secret, SnapshotId, ValueState, Version, VersionFacets},
    progress::Silent,
    provider::{
        Source, Target,
        memory::{CURRENT, HeldVersion, Memory},
    },
    repo::{
        AllowedSigner, Chosen, Counts, Epoch, FORMAT_VERSION, FullPass, IndexLine, Manifest, PackSet, PackWriter,
        ReadingCount, Repository, Trust, TrustAnchor, VerifiedManifest,
    },
    restore::{self, Options, Plan, Values, Verification},
    storage::Storage,
};

/// A secret and its versions, every one with a value.
pub(in super::super) type Kept = (Secret, Vec<HeldVersion>);

/// A repository with one snapshot, and the plan of its restore.
pub(in super::super) struct Throwaway {
    pub(in super::super) repository: Repository,
    pub(super) trust: Trust,
    pub(in super::super) key: RecoveryKey,
    pub(super) signer: Signer,
    pub(in super::super) plan: Plan,
    pub(in super::super) completeness: Completeness,
    pub(in super::super) chosen: Chosen,
    kept: Vec<Kept>,
}

impl Throwaway {
    /// Takes a snapshot of `kept` in account `control-a` and plans its restore into `control-b`.
    pub(in super::super) async fn new(mut kept: Vec<Kept>) -> Result<Self, DrillError> {
        kept.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let (key, signer) = (RecoveryKey::generate(), Signer::generate());
        let root = key.root_signer();
        let epoch = epoch(&key, &root, &signer);
        let repository = Repository::create(Storage::memory(), &epoch, &root).await?;
        let trust = repository.trust(&TrustAnchor { root: root.public(), recipient: key.recipient() }).await?;
        snapshot(&repository, &key, &signer, &kept).await?;
        let chosen = repository.judge(&trust, &[]).await?.newest(None)?;
        let records = repository.records(&chosen, Opener::Recovery(&key)).await?;
        let completeness = Completeness::of(chosen.manifest(), &records);
        let mut options = Options { rotation: true, replication: true, ..Options::default() };
        options.maps.account.insert(source().account, target().account);
        let records = stream::iter(records.into_iter().map(Ok));
        let place = memory();
        let found = restore::look(&place, &chosen, records, &options, None).await?;
        let plan = restore::make(&chosen, &found, &options)?;
        Ok(Self { repository, trust, key, signer, plan, completeness, chosen, kept })
    }

    /// Restores into an empty place, spoils that, and compares.
    pub(in super::super) async fn compared(&self, spoil: impl FnOnce(&Memory)) -> Result<Verification, DrillError> {
        let place = Arc::new(memory());
        let (target, readback): (Arc<dyn Target>, Arc<dyn Source>) = (place.clone(), place.clone());
        let values = Values::new(&self.repository, &self.chosen, &self.key);
        restore::execute(&self.plan, &values, &target, &Silent).await?;
        spoil(&place);
        Ok(restore::verify(&self.plan, &values, &readback, &Silent).await?)
    }

    /// Adds another snapshot of the same secrets.
    pub(super) async fn snapshot(&self, signer: &Signer) -> Result<VerifiedManifest, DrillError> {
        snapshot(&self.repository, &self.key, signer, &self.kept).await
    }
}

pub(super) fn source() -> Place {
    Place { provider: "aws".into(), account: "control-a".into(), region: "a".into() }
}

fn target() -> Place {
    Place { account: "control-b".into(), ..source() }
}

fn memory() -> Memory {
    Memory::new(&target().account, &target().region)
}

fn epoch(key: &RecoveryKey, root: &Signer, signer: &Signer) -> Epoch {
    Epoch {
        version: FORMAT_VERSION,
        repository: RepositoryId::from_bytes([0; 16]),
        number: 1,
        created: Timestamp::UNIX_EPOCH,
        recipient: key.recipient(),
        root: root.public(),
        threshold: 2,
        total: 3,
        share_set: "00000000".into(),
        custodians: Vec::new(),
        signers: vec![AllowedSigner { name: "control".into(), key: signer.public() }],
        previous: None,
        closing: None,
    }
}

/// The secrets, sealed and signed as a snapshot does it.
async fn snapshot(
    repository: &Repository,
    key: &RecoveryKey,
    signer: &Signer,
    kept: &[Kept],
) -> Result<VerifiedManifest, DrillError> {
    let recipients = [key.recipient(), IndexKey::generate().recipient()];
    let mut pack = PackWriter::new(&recipients[..1]);
    let lines: Vec<Vec<Option<u32>>> = kept
        .iter()
        .map(|(secret, versions)| {
            let line = |held: &HeldVersion| Some(pack.push(&secret.id, &held.id, held.value.as_ref()?));
            versions.iter().map(line).collect()
        })
        .collect();
    let pack = pack.finish();
    let version = |(held, line): (&HeldVersion, &Option<u32>)| Version {
        id: held.id.clone(),
        current: held.labels.iter().any(|label| label == CURRENT),
        labels: held.labels.clone(),
        created: None,
        facets: VersionFacets::default(),
        value: match (held.value.as_ref(), line) {
            (Some(value), Some(line)) => {
                ValueState::Stored { pack: pack.file.sha256, line: *line, kind: value.kind(), size: value.size() }
            }
            _ => ValueState::None,
        },
    };
    let record = |((secret, versions), lines): (&Kept, &Vec<Option<u32>>)| Record {
        secret: secret.clone(),
        versions: versions.iter().zip(lines).map(version).collect(),
        read: Timestamp::UNIX_EPOCH,
        listing: None,
    };
    let records: Vec<Record> = kept.iter().zip(&lines).map(record).collect();
    let mut readings = ReadingCount::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, &[]);
    for record in &records {
        readings.add(record);
    }
    let values = lines.iter().flatten().flatten().count() as u64;
    let counts = Counts { listed: records.len() as u64, ..Counts::default() }.of_records(&records, values);
    let layer =
        repository.put_layer(&recipients, stream::iter(records.into_iter().map(IndexLine::Record).map(Ok))).await?;
    let manifest = Manifest {
        version: FORMAT_VERSION,
        repository: repository.id(),
        snapshot: SnapshotId::random(),
        sequence: 1,
        previous: None,
        time: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        epoch: 1,
        signer: signer.public(),
        source: source(),
        packs: PackSet { new: vec![pack.file], lists: Vec::new() },
        indexes: vec![layer],
        counts,
        accepted: None,
        full: FullPass { sequence: 1, time: Timestamp::UNIX_EPOCH },
        holds: None,
        readings: readings.finish(),
        sweeps: Vec::new(),
        seals: Vec::new(),
        config: None,
        excluded: Vec::new(),
        unreadable: Vec::new(),
        tool: String::new(),
    };
    repository.put_pack(pack).await?;
    Ok(repository.put_manifest(manifest, signer).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_throwaway_is_in_the_order_of_names_and_counts_as_a_snapshot_does() {
        let secret = |name: &str| Secret { name: name.into(), id: format!("arn:{name}"), ..Secret::default() };
        let versions = |labels: [&[&str]; 3]| {
            let version = |(number, labels): (usize, &[&str])| HeldVersion::text(&number.to_string(), labels, "x");
            labels.into_iter().enumerate().map(version).collect()
        };
        let kept = vec![
            (secret("b"), versions([&[], &[CURRENT, "blue"], &["green"]])),
            (secret("a"), versions([&[CURRENT], &[], &[]])),
        ];
        let made = Throwaway::new(kept).await.unwrap();
        let records = made.repository.records(&made.chosen, Opener::Recovery(&made.key)).await.unwrap();
        let current = |record: &Record| record.versions.iter().map(|version| version.current).collect::<Vec<_>>();
        let found: Vec<_> = records.iter().map(|record| (record.secret.name.as_str(), current(record))).collect();
        assert_eq!(found, [("a", vec![true, false, false]), ("b", vec![false, true, false])]);
        let Manifest { counts, readings, .. } = made.chosen.manifest();
        assert_eq!((counts.listed, counts.captured, counts.versions, counts.values_read), (2, 2, 6, 6));
        assert_eq!((readings.now, readings.kept, readings.oldest), (2, 0, Some(Timestamp::UNIX_EPOCH)));
    }
}
