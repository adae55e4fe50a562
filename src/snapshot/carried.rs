//! What an earlier snapshot of the same place already holds.
//!
//! A version's value is immutable within one incarnation of a secret (its ARN), so a value sealed once is
//! referred to ever after. Without an earlier index, or without the key to it, the run is a full one and nothing else changes.
//! So it is after a change of the recovery key: what is sealed to the old one would be lost with the old sheets.

use std::collections::{BTreeSet, HashMap};

use crate::{
    crypto::{IndexKey, Opener},
    model::{Digest, Place, Record, ValueState},
    repo::{Chain, FileRef, IndexReader, RepoError, Repository, Trust},
};

#[derive(Default)]
pub(super) struct Carried {
    records: HashMap<String, Record>,
    packs: HashMap<Digest, FileRef>,
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
        Ok(Self { records, packs })
    }

    pub(super) fn record(&self, arn: &str) -> Option<&Record> {
        self.records.get(arn)
    }

    /// Where the value of a version is, if an earlier snapshot holds it.
    pub(super) fn value(&self, arn: &str, version: &str) -> Option<&ValueState> {
        let versions = &self.records.get(arn)?.versions;
        let value = &versions.iter().find(|known| known.id == version)?.value;
        matches!(value, ValueState::Stored { .. }).then_some(value)
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
