//! Closing lists: what counts of the signers that an epoch removes. Public; the epoch names its list by digest, so the root signs it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Chain, FORMAT_VERSION, Forgotten, RepoError, Repository, Trust, Witness, layout, to_json};
use crate::model::{Digest, RepositoryId};

/// `closings/<digest>.json`: what was there when an epoch was made that removes a signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosingList {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// The epoch it closes.
    pub epoch: u32,
    /// The newest snapshot that counts.
    pub head: Option<Witness>,
    /// Every manifest up to the head in chain order, those that are forgotten and gone included.
    pub snapshots: Vec<Digest>,
    /// Places of snapshots that are gone by executed forget records.
    pub excused: Vec<Forgotten>,
    /// Drill records that count, sorted.
    pub drills: Vec<Digest>,
    /// Attestations that count, sorted.
    pub attestations: Vec<Digest>,
    /// Records of later kinds that count, and the heads of audit chains, sorted.
    pub records: Vec<Digest>,
}

impl ClosingList {
    /// The exact bytes of its file.
    pub fn to_bytes(&self) -> Bytes {
        to_json(self)
    }

    /// SHA-256 of these bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

impl Repository {
    /// What counts now, of whomever; up to the snapshot number `after` where that is given: what is newer then does not count if a
    /// removed signer made it.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn closing_list(
        &self,
        trust: &Trust,
        chain: &Chain,
        after: Option<u64>,
    ) -> Result<ClosingList, RepoError> {
        let within = |sequence: u64| after.is_none_or(|after| sequence <= after);
        let here: BTreeSet<Digest> = chain.manifests.iter().map(super::VerifiedManifest::digest).collect();
        let places = chain.excused().chain(trust.excused());
        let mut excused: Vec<Forgotten> =
            places.filter(|gone| within(gone.sequence) && !here.contains(&gone.manifest)).cloned().collect();
        excused.sort_by_key(|gone| (gone.sequence, gone.manifest));
        excused.dedup();
        let mut places: Vec<(u64, Digest)> = excused.iter().map(|gone| (gone.sequence, gone.manifest)).collect();
        let listed = chain.manifests.iter().filter(|found| within(found.manifest().sequence));
        places.extend(listed.map(|found| (found.manifest().sequence, found.digest())));
        places.sort_unstable();
        let last = chain.manifests.iter().rfind(|found| within(found.manifest().sequence));
        // With a cut, what is dated later than the last snapshot that counts is the thief's as well.
        let until = after.and(last).map(|found| layout::stem_time(found.manifest().finished));
        let kept = |stem: &str| until.as_ref().is_none_or(|until| stem < until.as_str());
        let mut drills = Vec::new();
        for drill in self.drills().await?.iter().filter(|drill| kept(&drill.name) && trust.signed_drill(drill)) {
            drills.push(Digest::of(&drill.bytes));
        }
        let attestations = self.attestations(trust).await?;
        let attestations = attestations.files_verified.into_iter().filter(|(stem, _)| kept(stem));
        let mut attestations: Vec<Digest> = attestations.map(|(_, digest)| digest).collect();
        let records = self.later_records(trust).await?.counting;
        let of_time = |name: &str| layout::stem_of(layout::RECORDS, name).is_some_and(&kept);
        let mut records: Vec<Digest> =
            records.into_iter().filter(|(name, _)| of_time(name)).map(|(_, digest)| digest).collect();
        let undoing = self.forget_records(trust).await?.undoing.into_iter();
        records.extend(undoing.filter(|(stem, _)| kept(stem)).map(|(_, digest)| digest));
        records.extend(self.audit_heads(trust, until.as_deref()).await?);
        records.sort_unstable();
        drills.sort_unstable();
        attestations.sort_unstable();
        Ok(ClosingList {
            version: FORMAT_VERSION,
            repository: self.id,
            epoch: trust.current().number,
            head: last.map(super::VerifiedManifest::witness),
            snapshots: places.into_iter().map(|(_, digest)| digest).collect(),
            excused,
            drills,
            attestations,
            records,
        })
    }
}
