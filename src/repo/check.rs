//! How sound a repository is, at three depths.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Chain, Fault, FaultKind, FileRef, MISSING, PackLists, RepoError, Repository, Restorable, StoredDrill, Subset,
    Tombstone, Trust, VerifiedManifest, VerifiedRecord, chain::PARALLEL, damaged, identity::Identity, layout,
    resolve::Expected, tally::ValuesByPack,
};
use crate::{
    cores,
    crypto::{IndexKey, Opener, RecoveryKey},
    progress::{Progress, Silent},
};

const SNAPSHOTS_BELOW: &str = "snapshots/";

/// How deep to look, and with which key.
#[derive(Clone, Copy)]
pub enum CheckDepth<'a> {
    /// Presence, digests, sizes, signatures, chain: no key.
    Structure,
    /// And every reference resolves: the index key.
    Index(&'a IndexKey),
    /// The same on a machine without the index key: a quorum, which opens no value here.
    IndexByQuorum(&'a RecoveryKey),
    /// And every value opens and is the one referred to: a quorum.
    Values(&'a RecoveryKey),
}

/// How a check goes about it; by default it reads everything, in memory, and nobody watches.
pub struct CheckOptions<'a> {
    /// Only the packs of this part are read; of the others presence and size are looked at. Everything else is checked whole.
    pub subset: Option<Subset>,
    /// The folder for what does not fit in memory; without one everything stays there.
    pub scratch: Option<&'a Path>,
    /// Who watches.
    pub progress: &'a dyn Progress,
    /// When it is; what is dated more than a day ahead of it proves nothing.
    pub now: Timestamp,
}

/// The history of a repository and its drill records, read once.
pub struct History {
    /// Every snapshot in chain order.
    pub chain: Chain,
    /// Every drill record, none of them believed.
    pub drills: Vec<StoredDrill>,
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
    /// Packs, lists, index files and configurations that no verified manifest names: what an interrupted run left, and no fault.
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

impl Default for CheckOptions<'_> {
    fn default() -> Self {
        Self { subset: None, scratch: None, progress: &Silent, now: Timestamp::MAX }
    }
}

impl CheckDepth<'_> {
    /// Where references are noted; only for [`Self::Values`] somebody looks at them.
    fn expected(&self, options: &CheckOptions<'_>) -> Option<Expected> {
        matches!(self, Self::Values(_)).then(|| Expected::new(options.scratch, options.subset))
    }

    fn opener(&self) -> Option<Opener<'_>> {
        match self {
            Self::Structure => None,
            Self::Index(key) => Some(Opener::Index(key)),
            Self::IndexByQuorum(key) | Self::Values(key) => Some(Opener::Recovery(key)),
        }
    }
}

impl Repository {
    /// Reads what a check rests on, from each file.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with the history is in the answer.
    pub async fn history(&self, trust: &Trust) -> Result<History, RepoError> {
        Ok(History { chain: self.chain_of_files(trust).await?, drills: self.drills().await? })
    }

    /// Checks everything the verified manifests refer to.
    ///
    /// # Errors
    /// [`RepoError::Storage`] when the storage fails; faults are in the report.
    pub async fn check(&self, trust: &Trust, depth: CheckDepth<'_>) -> Result<CheckReport, RepoError> {
        let history = self.history(trust).await?;
        self.check_history(trust, &history, depth, &CheckOptions::default()).await
    }

    /// The same for a history that was read just now. A unit of progress is a pack or an index.
    ///
    /// # Errors
    /// As [`Repository::check`]; [`RepoError::Spool`] when the scratch folder cannot be used.
    pub async fn check_history(
        &self,
        trust: &Trust,
        history: &History,
        depth: CheckDepth<'_>,
        options: &CheckOptions<'_>,
    ) -> Result<CheckReport, RepoError> {
        let History { chain, drills } = history;
        let mut report = CheckReport { subset: options.subset, ..CheckReport::default() };
        let tombstones = self.check_public(trust, options.now, &mut report).await?;
        check_tombstones(&tombstones, depth.opener(), &mut report)?;
        check_drills(trust, drills, &mut report);
        report.snapshots = chain.manifests.len() as u64;
        report.files += chain.record_files;
        report.faults.extend(chain.faults.iter().cloned());
        let lists = PackLists::default();
        self.check_sealed(&chain.manifests, &lists, options.progress, &mut report).await?;
        let values = match depth.opener() {
            Some(opener) => {
                let mut expected = depth.expected(options);
                let beside = (&lists, options.progress);
                let values =
                    self.check_records(&chain.manifests, opener, expected.as_mut(), beside, &mut report).await?;
                if let Some(expected) = expected {
                    self.check_values(opener, expected, options.progress, &mut report).await?;
                }
                values
            }
            None => ValuesByPack::default(),
        };
        report.restorable = self.restorable(&chain.manifests, &report.faults, &values, &lists).await?;
        report.faults.sort_by(|a, b| (&a.file, &a.detail).cmp(&(&b.file, &b.detail)));
        report.faults.dedup();
        report.unopened.sort();
        report.unopened.dedup();
        Ok(report)
    }

    /// lifeboat.json, the guides, epochs, and the signatures of attestations and later records; counts what `chain` reads. Gives
    /// the tombstones.
    async fn check_public(
        &self,
        trust: &Trust,
        now: Timestamp,
        report: &mut CheckReport,
    ) -> Result<Vec<Tombstone>, RepoError> {
        let identity = self.read(layout::IDENTITY, report).await?;
        let expected = trust.epoch(1).map(|first| Identity::of(first).to_bytes());
        if identity.is_some() && expected.is_some() && identity != expected {
            report.faults.push(Fault::new(layout::IDENTITY, FaultKind::Damaged, "its content is altered"));
        }
        for (name, text) in layout::GUIDES {
            let found = self.read(name, report).await?;
            if found.is_some_and(|bytes| !layout::is_known_guide(text, &bytes)) {
                let detail = "this build does not know this version of it: do not use it, take it from a release";
                report.faults.push(Fault::new(name, FaultKind::Damaged, detail));
            }
        }
        let epochs = self.epoch_files().await?;
        report.files += epochs.files;
        report.bytes += epochs.bytes;
        report.faults.extend(trust.faults().iter().chain(trust.junk()).cloned());
        for entry in self.storage.list("").await? {
            if entry.name.starts_with(SNAPSHOTS_BELOW) {
                report.files += 1;
                report.bytes += entry.size;
            } else if !layout::is_known(&entry.name) {
                let detail = "no file of a repository has such a name";
                report.faults.push(Fault::new(&entry.name, FaultKind::Unknown, detail));
            }
        }
        let later = self.later_records(trust).await?;
        report.files += 2 * later.counting.len() as u64;
        report.faults.extend(later.faults);
        report.faults.extend(later.in_force.iter().map(VerifiedRecord::fault));
        let served = self.check_served(trust).await?;
        report.files += served.files;
        report.bytes += served.bytes;
        report.faults.extend(served.faults);
        let audit = self.audit_trail(trust, false).await?;
        report.files += audit.files;
        report.bytes += audit.bytes;
        report.faults.extend(audit.faults);
        let attestations = self.attestations(trust).await?.as_of(now);
        report.files += attestations.files;
        report.bytes += attestations.bytes;
        report.faults.extend(attestations.faults);
        Ok(later.tombstones)
    }

    /// Every pack, list, index file and configuration: there, and as long and with the digest that a manifest or list says.
    async fn check_sealed(
        &self,
        manifests: &[VerifiedManifest],
        lists: &PackLists,
        progress: &dyn Progress,
        report: &mut CheckReport,
    ) -> Result<(), RepoError> {
        let manifests = manifests.iter().map(VerifiedManifest::manifest);
        let (files, wrong) = self.files_of_all(manifests, lists).await?;
        for error in wrong {
            report.faults.push(fault_of("", error)?);
        }
        let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let mut there = BTreeMap::new();
        for folder in layout::CONTENTS {
            there.extend(self.storage.list(folder).await?.into_iter().map(|entry| (entry.name, entry.size)));
        }
        report.orphans = there.keys().filter(|name| !names.contains(name.as_str())).count() as u64;
        let read = |name: &str, file: &FileRef| {
            !name.starts_with(layout::PACKS) || report.subset.is_none_or(|subset| subset.holds(&file.sha256))
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
            .map(async |(name, file)| (name, file, self.looked_at(name, file, there.get(name)).await))
            .buffer_unordered(at_once());
        while let Some((name, file, result)) = results.next().await {
            progress.advance(1);
            match result {
                Ok(()) => {
                    report.files += 1;
                    report.bytes += file.size;
                }
                Err(error) => report.faults.push(fault_of(name, error)?),
            }
        }
        Ok(())
    }

    /// Looks at a file that the listing gave so many bytes. One of another size is not read: it may be of any size.
    async fn looked_at(&self, name: &str, file: &FileRef, listed: Option<&u64>) -> Result<(), RepoError> {
        listed.map_or(Ok(()), |size| of_size(name, file, *size))?;
        self.measured(name, file).await
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

/// What is sealed in tombstones, as far as the key at hand opens it.
fn check_tombstones(
    tombstones: &[Tombstone],
    opener: Option<Opener<'_>>,
    report: &mut CheckReport,
) -> Result<(), RepoError> {
    let Some(opener) = opener else { return Ok(()) };
    for tombstone in tombstones {
        match tombstone.open(opener) {
            Ok(_) => {}
            Err(RepoError::TombstoneClosed { file }) => report.unopened.push(file),
            Err(error) => report.faults.push(fault_of(&tombstone.file, error)?),
        }
    }
    Ok(())
}

/// A drill record is signed by a signer of any epoch; what it says is not the repository's to judge.
fn check_drills(trust: &Trust, drills: &[StoredDrill], report: &mut CheckReport) {
    for drill in drills {
        let name = layout::record(layout::DRILLS, &drill.name);
        report.files += 2;
        report.bytes += (drill.bytes.len() + drill.signature.len()) as u64;
        if drill.signature.is_empty() {
            report.faults.push(Fault::new(&name, FaultKind::Unsigned, "it has no signature"));
        } else if !trust.signed_drill(drill) {
            report.faults.push(Fault::new(&name, FaultKind::Untrusted, "no allowed signer signed this content"));
        }
    }
}

/// Files read at the same time: enough for a storage far away, and for every core here.
fn at_once() -> usize {
    (2 * PARALLEL).max(cores::count())
}

fn of_size(name: &str, file: &FileRef, size: u64) -> Result<(), RepoError> {
    if size == file.size { Ok(()) } else { Err(damaged(name, format!("it has {size} bytes, not {}", file.size))) }
}

/// Damage is a fault; a failing storage or host is not.
pub(super) fn fault_of(name: &str, error: RepoError) -> Result<Fault, RepoError> {
    match error {
        RepoError::Damaged { file, reason } if reason == MISSING => Ok(Fault::new(&file, FaultKind::Missing, reason)),
        RepoError::Damaged { file, reason } => Ok(Fault::new(&file, FaultKind::Damaged, reason)),
        RepoError::Storage(_) | RepoError::Spool(_) => Err(error),
        other => Ok(Fault::new(name, FaultKind::Damaged, other.to_string())),
    }
}
