//! Copies: a whole repository kept elsewhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    FileRef, Judgement, PackLists, RepoError, Repository, StoredEpoch, Trust, VerifiedManifest, chain::PARALLEL,
    damaged, file_ref, identity::Identity, layout,
};
use crate::{
    cores,
    progress::{Progress, Silent},
    storage::{Storage, StorageError},
};

/// What a copy run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Files written.
    pub copied: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that were there already.
    pub present: u64,
    /// Snapshots it lacked when the run began.
    pub behind: u64,
}

/// Brings `to` up to date: everything a manifest refers to before the manifest, a signature before what it
/// signs, lifeboat.json last. Each file written is read back from the far end and its digest compared. Resumable.
///
/// A file that is there with the size it should have is not read again: that is what `check` of the copy is for.
/// Only what counts is copied; whether the history is fit to be copied is the caller's question ([`Judgement::for_copying`]).
/// Another repository at the far end stops the copy.
///
/// # Errors
/// [`RepoError::Exists`] when `to` holds another repository; [`RepoError::Newer`] when it is of a newer version;
/// [`RepoError::Damaged`] when a file of the source does not have its digest (nothing is spread further),
/// or the copy holds another file under a name; [`RepoError::Storage`].
pub async fn copy(from: &Repository, trust: &Trust, to: &Storage) -> Result<CopyReport, RepoError> {
    copy_with(from, trust, &from.judge(trust, &[]).await?, to, &Silent).await
}

/// The same of a history that was judged just now, while somebody watches: a unit of progress is a file.
///
/// # Errors
/// As [`copy`].
pub async fn copy_with(
    from: &Repository,
    trust: &Trust,
    judgement: &Judgement,
    to: &Storage,
    progress: &dyn Progress,
) -> Result<CopyReport, RepoError> {
    refuse_another(from, to).await?;
    let there = to.list("").await?.into_iter().map(|entry| (entry.name, entry.size)).collect();
    let run = Copying { from, to, there, progress };
    let mut report = CopyReport::default();
    let manifests = &judgement.chain().manifests;
    report.behind = manifests.iter().filter(|found| !run.there.contains_key(&found.file())).count() as u64;
    for (name, _) in layout::GUIDES {
        run.public(name, &mut report).await?;
    }
    run.epochs(trust, &mut report).await?;
    run.contents(manifests, &mut report).await?;
    run.manifests(manifests, &mut report).await?;
    for record in run.records(trust).await?.into_iter().chain(judgement.record_files()) {
        run.public(&record, &mut report).await?;
    }
    run.public(layout::IDENTITY, &mut report).await?;
    Ok(report)
}

struct Copying<'a> {
    from: &'a Repository,
    to: &'a Storage,
    /// What the copy held then.
    there: BTreeMap<String, u64>,
    progress: &'a dyn Progress,
}

async fn refuse_another(from: &Repository, to: &Storage) -> Result<(), RepoError> {
    match Identity::read(to).await? {
        Some(there) if there.repository != from.id => {
            let (address, id) = (to.address(), there.repository.short());
            Err(RepoError::Exists(format!("{address} (another one, {id})")))
        }
        _ => Ok(()),
    }
}

impl Copying<'_> {
    /// Closing lists first, then each epoch that counts, its signatures before it.
    async fn epochs(&self, trust: &Trust, report: &mut CopyReport) -> Result<(), RepoError> {
        let whole = self.from.epoch_files().await?.whole;
        let counts = |stored: &StoredEpoch| trust.epoch(stored.epoch.number) == Some(&stored.epoch);
        for (digest, stored) in whole.iter().filter(|(_, stored)| counts(stored)) {
            let name = layout::epoch(stored.epoch.number, digest);
            if let Some(closing) = &stored.epoch.closing {
                self.public(&layout::closing(closing), report).await?;
            }
            if stored.countersignature.is_some() {
                self.public(&layout::countersignature(&name), report).await?;
            }
            self.public(&layout::signature(&name), report).await?;
            self.public(&name, report).await?;
        }
        Ok(())
    }

    /// Drill records and attestations that count, each after its signature.
    async fn records(&self, trust: &Trust) -> Result<Vec<String>, RepoError> {
        let drills = self.from.drills().await?.into_iter().filter(|drill| trust.signed_drill(drill));
        let drills = drills.map(|drill| layout::record(layout::DRILLS, &drill.name));
        let looks = self.from.attestations(trust).await?.files_verified.into_iter();
        let looks = looks.map(|(stem, _)| layout::record(layout::ATTESTATIONS, &stem));
        Ok(drills.chain(looks).flat_map(|name| [layout::signature(&name), name]).collect())
    }

    /// One that is there is only looked at when its size differs: a year's manifests are not to be read every day.
    async fn manifests(&self, manifests: &[VerifiedManifest], report: &mut CopyReport) -> Result<(), RepoError> {
        for found in manifests {
            let (name, bytes) = (found.file(), found.manifest().to_bytes(found.name())?);
            let is_there = self.there.contains_key(&layout::signature(&name));
            if is_there && self.there.get(&name) == Some(&(bytes.len() as u64)) {
                report.note(None);
                report.note(None);
                continue;
            }
            self.public(&layout::signature(&name), report).await?;
            self.public(&name, report).await?;
        }
        Ok(())
    }

    /// Packs, lists, index files and configurations, several at a time.
    async fn contents(&self, manifests: &[VerifiedManifest], report: &mut CopyReport) -> Result<(), RepoError> {
        let manifests = manifests.iter().map(VerifiedManifest::manifest);
        let (files, wrong) = self.from.files_of_all(manifests, &PackLists::default()).await?;
        if let Some(error) = wrong.into_iter().next() {
            return Err(error);
        }
        let mut results =
            stream::iter(&files).map(async |(name, file)| self.content(name, file).await).buffer_unordered(PARALLEL);
        while let Some(written) = results.try_next().await? {
            report.note(written);
            self.progress.advance(1);
        }
        Ok(())
    }

    /// One of them; gives the bytes written, `None` when it was there. Its name is its digest: a file there with
    /// another size is damage of the copy.
    async fn content(&self, name: &str, file: &FileRef) -> Result<Option<u64>, RepoError> {
        match self.there.get(name) {
            Some(size) if *size == file.size => Ok(None),
            Some(_) => Err(self.other(name)),
            None => self.write(name, self.from.sealed(name, file).await?, file).await,
        }
    }

    /// A small file that has no digest in its name.
    async fn public(&self, name: &str, report: &mut CopyReport) -> Result<(), RepoError> {
        let bytes = self.from.expect(name).await?;
        let file = file_ref(&bytes);
        let written = match self.there.get(name) {
            Some(_) if self.far_ref(name).await? == Some(file) => None,
            Some(_) => return Err(self.other(name)),
            None => self.write(name, bytes, &file).await?,
        };
        report.note(written);
        Ok(())
    }

    /// Writes and reads back.
    async fn write(&self, name: &str, bytes: Bytes, file: &FileRef) -> Result<Option<u64>, RepoError> {
        match self.to.put_new(name, bytes).await {
            // Another run's, or our own whose answer was lost: reading it back tells.
            Err(StorageError::AlreadyExists { .. }) => {}
            other => other?,
        }
        match self.far_ref(name).await? {
            Some(found) if found == *file => Ok(Some(file.size)),
            _ => Err(self.other(name)),
        }
    }

    async fn far_ref(&self, name: &str) -> Result<Option<FileRef>, RepoError> {
        let bytes = match self.to.get(name).await {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        Ok(Some(cores::aside(move || file_ref(&bytes)).await))
    }

    fn other(&self, name: &str) -> RepoError {
        damaged(name, format!("{} has other content under this name", self.to.address()))
    }
}

impl CopyReport {
    fn note(&mut self, written: Option<u64>) {
        match written {
            Some(bytes) => {
                self.copied += 1;
                self.bytes += bytes;
            }
            None => self.present += 1,
        }
    }
}
