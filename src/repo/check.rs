//! How sound a repository is, at three depths.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::Serialize;

use super::{
    FileRef, IndexReader, MISSING, PackReader, RepoError, Repository, Restorable, Subset, Trust, VerifiedManifest,
    chain::PARALLEL,
    damaged,
    identity::Identity,
    layout,
    resolve::{Expected, Tally},
    restorable::{ValuesByPack, restorable},
};
use crate::{
    crypto::{IndexKey, Opener, RecoveryKey},
    model::Digest,
    progress::{Progress, Silent},
};

/// How deep to look, and with which key.
#[derive(Clone, Copy)]
pub enum CheckDepth<'a> {
    /// Presence, digests, sizes, signatures, chain: no key.
    Structure,
    /// And every reference resolves: the index key.
    Index(&'a IndexKey),
    /// And every value opens and is the one referred to: a quorum.
    Values(&'a RecoveryKey),
}

/// What is wrong with one file or with the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, relative to the repository.
    pub file: String,
    /// What kind.
    pub kind: FaultKind,
    /// One sentence's worth of detail.
    pub detail: String,
}

/// Kinds of faults; their names are stable in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A file that is referred to is not there.
    Missing,
    /// The content is not what its name or the manifest says.
    Damaged,
    /// A manifest or epoch without a signature.
    Unsigned,
    /// A signature that does not match, or of a key that may not sign.
    Untrusted,
    /// A sequence number is missing: a snapshot was removed.
    Gap,
    /// The newest snapshots that somebody remembers are gone.
    RolledBack,
    /// A genuine manifest under the name of another.
    Reordered,
    /// Two manifests with one sequence number, or a previous digest that does not match.
    Fork,
    /// A reference that leads to no value or to another one.
    Dangling,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CheckReport {
    /// Snapshots looked at.
    pub snapshots: u64,
    /// Files whose content was read and compared.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// References that were resolved (depth index and deeper).
    pub references: u64,
    /// Values that were opened (depth values).
    pub values: u64,
    /// Packs and indexes that no verified manifest refers to: what an interrupted run left, and no fault.
    pub orphans: u64,
    /// Files sealed to a key of another epoch or host, so neither read nor faulted (depth index and deeper).
    pub unopened: Vec<String>,
    /// The part of the packs whose content was read; all of them without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// Packs outside that part: there, and as long as they should be.
    pub skipped: u64,
    /// What can still be restored, oldest snapshot first.
    pub restorable: Vec<Restorable>,
    /// Everything wrong.
    pub faults: Vec<Fault>,
}

impl Fault {
    pub(super) fn new(file: &str, kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { file: file.to_owned(), kind, detail: detail.into() }
    }
}

impl CheckDepth<'_> {
    fn opener(&self) -> Option<Opener<'_>> {
        match self {
            Self::Structure => None,
            Self::Index(key) => Some(Opener::Index(key)),
            Self::Values(key) => Some(Opener::Recovery(key)),
        }
    }
}

impl Repository {
    /// Checks everything the verified manifests refer to.
    ///
    /// # Errors
    /// [`RepoError::Storage`] when the storage fails; faults are in the report.
    pub async fn check(&self, trust: &Trust, depth: CheckDepth<'_>) -> Result<CheckReport, RepoError> {
        self.check_part(trust, depth, None, &Silent).await
    }

    /// The same, but only the packs of one part are read; of the others presence and size are looked at. Everything else
    /// is checked whole. A unit of progress is a pack or an index.
    ///
    /// # Errors
    /// As [`Repository::check`].
    pub async fn check_part(
        &self,
        trust: &Trust,
        depth: CheckDepth<'_>,
        subset: Option<Subset>,
        progress: &dyn Progress,
    ) -> Result<CheckReport, RepoError> {
        let mut report = CheckReport { subset, ..CheckReport::default() };
        self.check_public(trust, &mut report).await?;
        let chain = self.chain(trust).await?;
        report.snapshots = chain.manifests.len() as u64;
        report.files += chain.record_files;
        report.faults.extend(chain.faults);
        self.check_sealed(&chain.manifests, progress, &mut report).await?;
        let mut values = ValuesByPack::new();
        if let Some(opener) = depth.opener() {
            let mut expected = Expected::default();
            progress.begin("resolve references", Some(report.snapshots));
            for found in &chain.manifests {
                let by_pack = self.check_index(found, opener, &mut expected, &mut report).await?;
                values.extend(by_pack.map(|by_pack| (found.manifest().sequence, by_pack)));
                progress.advance(1);
            }
            if matches!(depth, CheckDepth::Values(_)) {
                self.check_values(opener, expected, progress, &mut report).await?;
            }
        }
        report.restorable = restorable(&chain.manifests, &report.faults, &values);
        report.faults.sort_by(|a, b| (&a.file, &a.detail).cmp(&(&b.file, &b.detail)));
        report.faults.dedup();
        report.unopened.sort();
        report.unopened.dedup();
        Ok(report)
    }

    /// lifeboat.json, the guides, epochs, and the signatures of drill records and attestations; counts what `chain` will read.
    async fn check_public(&self, trust: &Trust, report: &mut CheckReport) -> Result<(), RepoError> {
        let identity = self.read(layout::IDENTITY, report).await?;
        let expected = trust.epoch(1).map(|first| Identity::of(first).to_bytes());
        if identity.is_some() && expected.is_some() && identity != expected {
            report.faults.push(Fault::new(layout::IDENTITY, FaultKind::Damaged, "its content is altered"));
        }
        for (name, text) in layout::GUIDES {
            let found = self.read(name, report).await?;
            if found.is_some_and(|bytes| !layout::is_known_guide(text, &bytes)) {
                let detail = "not one this build knows: do not use it, take it from the release";
                report.faults.push(Fault::new(name, FaultKind::Damaged, detail));
            }
        }
        let epochs = self.epoch_files().await?;
        report.files += 2 * epochs.parsed.len() as u64;
        report.bytes += epochs.bytes;
        report.faults.extend(trust.faults_of(&epochs));
        for entry in self.storage.list(layout::SNAPSHOTS).await? {
            report.files += 1;
            report.bytes += entry.size;
        }
        self.check_drills(trust, report).await?;
        let attestations = self.attestations(trust).await?;
        report.files += attestations.files;
        report.bytes += attestations.bytes;
        report.faults.extend(attestations.faults);
        Ok(())
    }

    /// A drill record is signed by a signer of any epoch; what it says is not the repository's to judge.
    async fn check_drills(&self, trust: &Trust, report: &mut CheckReport) -> Result<(), RepoError> {
        for drill in self.drills().await? {
            let name = layout::record(layout::DRILLS, &drill.name);
            report.files += 2;
            report.bytes += (drill.bytes.len() + drill.signature.len()) as u64;
            if drill.signature.is_empty() {
                report.faults.push(Fault::new(&name, FaultKind::Unsigned, "it has no signature"));
            } else if !trust.signed_drill(&drill) {
                report.faults.push(Fault::new(&name, FaultKind::Untrusted, "no allowed signer signed this content"));
            }
        }
        Ok(())
    }

    /// Every pack and index: there, and as long and with the digest that a manifest says.
    async fn check_sealed(
        &self,
        manifests: &[VerifiedManifest],
        progress: &dyn Progress,
        report: &mut CheckReport,
    ) -> Result<(), RepoError> {
        let files = sealed_files(manifests);
        let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let mut there = BTreeMap::new();
        for folder in [layout::PACKS, layout::INDEXES] {
            there.extend(self.storage.list(folder).await?.into_iter().map(|entry| (entry.name, entry.size)));
        }
        report.orphans = there.keys().filter(|name| !names.contains(name.as_str())).count() as u64;
        let read = |name: &str, file: &FileRef| {
            name.starts_with(layout::INDEXES) || report.subset.is_none_or(|subset| subset.holds(&file.sha256))
        };
        let (read, skipped): (Vec<_>, Vec<_>) = files.iter().partition(|(name, file)| read(name, file));
        report.skipped = skipped.len() as u64;
        for (name, file) in skipped {
            let found = there.get(name).map_or(Err(damaged(name, MISSING)), |size| of_size(name, file, *size));
            if let Err(error) = found {
                report.faults.push(fault_of(name, error)?);
            }
        }
        progress.begin("read", Some(read.len() as u64));
        let mut results = stream::iter(read)
            .map(async |(name, file)| (name, self.sealed(name, file).await))
            .buffer_unordered(PARALLEL);
        while let Some((name, result)) = results.next().await {
            progress.advance(1);
            match result {
                Ok(bytes) => {
                    report.files += 1;
                    report.bytes += bytes.len() as u64;
                }
                Err(error) => report.faults.push(fault_of(name, error)?),
            }
        }
        Ok(())
    }

    /// Every record of one snapshot: its references lead to packs of the manifest, and the counts are right. Gives how many
    /// values are in each pack, unless the index cannot be read.
    async fn check_index(
        &self,
        found: &VerifiedManifest,
        opener: Opener<'_>,
        expected: &mut Expected,
        report: &mut CheckReport,
    ) -> Result<Option<BTreeMap<Digest, u64>>, RepoError> {
        let mut tally = Tally::new(found);
        for file in &found.manifest().indexes {
            let name = layout::index(&file.sha256);
            let read = self.index(file).await.and_then(|sealed| {
                IndexReader::open(&name, sealed, opener)?.try_for_each(|record| {
                    tally.add(&record?, expected);
                    Ok(())
                })
            });
            match read {
                Ok(()) => {}
                Err(RepoError::WrongKey { file }) => {
                    report.unopened.push(file);
                    return Ok(None);
                }
                Err(error) => {
                    report.faults.push(fault_of(&name, error)?);
                    return Ok(None);
                }
            }
        }
        report.references += tally.references();
        let by_pack = tally.take_by_pack();
        report.faults.extend(tally.faults());
        Ok(Some(by_pack))
    }

    /// Every value referred to: there, and of the secret, version and kind the record says.
    async fn check_values(
        &self,
        opener: Opener<'_>,
        expected: Expected,
        progress: &dyn Progress,
        report: &mut CheckReport,
    ) -> Result<(), RepoError> {
        let mut packs: BTreeMap<Digest, _> = expected.into_packs();
        packs.retain(|pack, _| report.subset.is_none_or(|subset| subset.holds(pack)));
        progress.begin("open values", Some(packs.len() as u64));
        let mut packs_read = stream::iter(&packs)
            .map(async |(digest, lines)| {
                let name = layout::pack(digest);
                let sealed = self.pack(digest).await?;
                let entries = PackReader::open(&name, sealed, opener)?;
                lines.compare(&name, entries)
            })
            .buffer_unordered(PARALLEL);
        while let Some(result) = packs_read.next().await {
            progress.advance(1);
            match result {
                Ok((values, faults)) => {
                    report.values += values;
                    report.faults.extend(faults);
                }
                Err(RepoError::WrongKey { file }) => report.unopened.push(file),
                Err(error) => report.faults.push(fault_of("", error)?),
            }
        }
        Ok(())
    }

    async fn read(&self, name: &str, report: &mut CheckReport) -> Result<Option<Bytes>, RepoError> {
        match self.expect(name).await {
            Ok(bytes) => {
                report.files += 1;
                report.bytes += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(error) => {
                report.faults.push(fault_of(name, error)?);
                Ok(None)
            }
        }
    }
}

/// Every pack and index of `manifests` by name, once.
pub(super) fn sealed_files(manifests: &[VerifiedManifest]) -> BTreeSet<(String, FileRef)> {
    manifests.iter().flat_map(|found| found.manifest().files()).collect()
}

fn of_size(name: &str, file: &FileRef, size: u64) -> Result<(), RepoError> {
    if size == file.size { Ok(()) } else { Err(damaged(name, format!("it has {size} bytes, not {}", file.size))) }
}

/// Damage is a fault; a failing storage is not.
fn fault_of(name: &str, error: RepoError) -> Result<Fault, RepoError> {
    match error {
        RepoError::Damaged { file, reason } if reason == MISSING => Ok(Fault::new(&file, FaultKind::Missing, reason)),
        RepoError::Damaged { file, reason } => Ok(Fault::new(&file, FaultKind::Damaged, reason)),
        RepoError::Storage(error) => Err(error.into()),
        other => Ok(Fault::new(name, FaultKind::Damaged, other.to_string())),
    }
}
