//! What an earlier snapshot of the same place already holds.
//!
//! A version's value is immutable within one incarnation of a secret (its ARN), so a value sealed once is
//! referred to ever after. Without an earlier index, or without the key to it, the run is a full one and nothing else changes.
//! So it is after a change of the recovery key: what is sealed to the old one would be lost with the old sheets.

use std::collections::{BTreeSet, HashMap};

use super::{Sweep, journal::SealedBefore};
use crate::{
    crypto::{IndexKey, Opener},
    model::{Digest, Place, Record, ValueState, Version},
    provider::Listed,
    repo::{Chain, FileRef, IndexReader, RepoError, Repository, Trust},
};

#[derive(Default)]
pub(super) struct Carried {
    records: HashMap<String, Record>,
    packs: HashMap<Digest, FileRef>,
    /// What an unfinished run sealed, by secret and version.
    unfinished: HashMap<(String, String), ValueState>,
}

impl Carried {
    /// Reads the newest verified snapshot of `place`; whatever prevents that makes the run a full one.
    pub(super) async fn load(
        repository: &Repository,
        trust: &Trust,
        chain: &Chain,
        place: &Place,
        key: &IndexKey,
    ) -> Self {
        match Self::read(repository, trust, chain, place, key).await {
            Ok(carried) => carried,
            Err(error) => {
                tracing::warn!(%error, "the earlier index cannot be read; reading every value again");
                Self::default()
            }
        }
    }

    async fn read(
        repository: &Repository,
        trust: &Trust,
        chain: &Chain,
        place: &Place,
        key: &IndexKey,
    ) -> Result<Self, RepoError> {
        let Some(manifest) = chain.manifests.iter().rev().find(|manifest| manifest.manifest().source == *place) else {
            return Ok(Self::default());
        };
        let manifest = manifest.manifest();
        let epoch = trust.epochs().iter().find(|epoch| epoch.number == manifest.epoch);
        if epoch.is_none_or(|epoch| epoch.recipient != trust.current().recipient) {
            return Ok(Self::default());
        }
        let mut records = HashMap::new();
        for file in &manifest.indexes {
            let sealed = repository.index(file).await?;
            for record in IndexReader::open(&file.sha256.to_string(), sealed, Opener::Index(key))? {
                let record = record?;
                records.insert(record.secret.arn.clone(), record);
            }
        }
        let packs = manifest.packs.iter().map(|file| (file.sha256, *file)).collect();
        Ok(Self { records, packs, unfinished: HashMap::new() })
    }

    /// Adds what an unfinished run sealed.
    pub(super) fn resume(&mut self, sealed: Vec<SealedBefore>) {
        for SealedBefore { pack, records } in sealed {
            self.packs.insert(pack.sha256, pack);
            for Record { secret, versions, .. } in records {
                let arn = secret.arn;
                let values = versions.into_iter().map(|version| ((arn.clone(), version.id), version.value));
                self.unfinished.extend(values);
            }
        }
    }

    /// The record to keep as it is, when its secret need not be read: the listing says the same as when it was last read,
    /// nothing of it was missing, and it is not its turn in the sweep.
    pub(super) fn keeps(&self, listed: &Listed, sweep: &Sweep) -> Option<&Record> {
        let record = self.records.get(&listed.arn)?;
        let same = listed.fingerprint.is_some() && record.listing == listed.fingerprint;
        let whole = |version: &Version| match version.value {
            ValueState::Stored { .. } => true,
            ValueState::ScheduledForDeletion => listed.secret.deleted.is_some(),
            ValueState::None | ValueState::Unreadable { .. } => false,
        };
        let keeps = same && !record.is_incomplete() && record.versions.iter().all(whole) && !sweep.is_due(record);
        keeps.then_some(record)
    }

    pub(super) fn record(&self, arn: &str) -> Option<&Record> {
        self.records.get(arn)
    }

    /// Where the value of a version is, if an earlier snapshot holds it.
    pub(super) fn value(&self, arn: &str, version: &str) -> Option<&ValueState> {
        let earlier = self.records.get(arn).and_then(|record| record.versions.iter().find(|known| known.id == version));
        let stored = |value: &&ValueState| matches!(value, ValueState::Stored { .. });
        let unfinished = || self.unfinished.get(&(arn.to_owned(), version.to_owned()));
        earlier.map(|known| &known.value).filter(stored).or_else(unfinished)
    }

    pub(super) fn has(&self, arn: &str, version: &str) -> bool {
        self.value(arn, version).is_some()
    }

    /// Every pack the records refer to: the new ones, and the earlier ones still in use.
    pub(super) fn sizes(&self, new: &[FileRef], records: &[Record]) -> Result<Vec<FileRef>, RepoError> {
        let known: HashMap<Digest, FileRef> = self
            .packs
            .iter()
            .map(|(digest, file)| (*digest, *file))
            .chain(new.iter().map(|f| (f.sha256, *f)))
            .collect();
        let mut used = BTreeSet::new();
        for version in records.iter().flat_map(|record| &record.versions) {
            if let ValueState::Stored { pack, .. } = version.value {
                let file = known.get(&pack).ok_or_else(|| RepoError::Damaged {
                    file: format!("packs/{pack}"),
                    reason: "an index refers to it and its manifest does not list it".into(),
                })?;
                used.insert(*file);
            }
        }
        Ok(used.into_iter().collect())
    }
}
