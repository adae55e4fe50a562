//! Copies: a whole repository kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    FileRef, Manifest, RepoError, Repository, chain::PARALLEL, damaged, file_ref, from_json, identity::Identity, layout,
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
/// Copies what verified or not verified manifests refer to: judging is `check`'s. A manifest that is not
/// readable or not signed stops the copy, and so does another repository at the far end.
///
/// # Errors
/// [`RepoError::Exists`] when `to` holds another repository; [`RepoError::Newer`] when it is of a newer version;
/// [`RepoError::Damaged`] when a file of the source does not have its digest (nothing is spread further),
/// or the copy holds another file under a name; [`RepoError::Storage`].
pub async fn copy(from: &Repository, to: &Storage) -> Result<CopyReport, RepoError> {
    copy_with(from, to, &Silent).await
}

/// The same while somebody watches: a unit of progress is a file.
///
/// # Errors
/// As [`copy`].
pub async fn copy_with(from: &Repository, to: &Storage, progress: &dyn Progress) -> Result<CopyReport, RepoError> {
    refuse_another(from, to).await?;
    let sizes = async |storage: &Storage| -> Result<BTreeMap<String, u64>, StorageError> {
        Ok(storage.list("").await?.into_iter().map(|entry| (entry.name, entry.size)).collect())
    };
    // Listed before anything is read: a snapshot that appears later is the next run's.
    let run = Copying { from, to, here: sizes(&from.storage).await?, there: sizes(to).await?, progress };
    let mut report = CopyReport::default();
    let snapshots = run.signed(layout::SNAPSHOTS);
    let records = [layout::DRILLS, layout::ATTESTATIONS, layout::FORGOTTEN].map(|folder| run.signed(folder)).concat();
    report.behind = snapshots.iter().filter(|name| !run.there.contains_key(*name)).count() as u64;
    for (name, _) in layout::GUIDES {
        run.public(name, &mut report).await?;
    }
    run.epochs(&mut report).await?;
    let mut manifests = run.manifests(&snapshots).await?;
    manifests.sort_by_key(|(manifest, name)| (manifest.sequence, *name));
    run.contents(&manifests, &mut report).await?;
    for (_, name) in &manifests {
        run.with_signature(name, &mut report).await?;
    }
    for record in &records {
        run.with_signature(record, &mut report).await?;
    }
    run.public(layout::IDENTITY, &mut report).await?;
    Ok(report)
}

struct Copying<'a> {
    from: &'a Repository,
    to: &'a Storage,
    /// What was to be copied when the run began, with sizes.
    here: BTreeMap<String, u64>,
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
    /// The signed files of a folder.
    fn signed(&self, folder: &str) -> Vec<String> {
        self.here.keys().filter(|name| layout::stem_of(folder, name).is_some()).cloned().collect()
    }

    /// Closing lists first, then each epoch that is whole, its signatures before it. What is not whole is not spread further.
    async fn epochs(&self, report: &mut CopyReport) -> Result<(), RepoError> {
        let whole = self.from.epoch_files().await?.whole;
        for (digest, stored) in &whole {
            let name = layout::epoch(stored.epoch.number, digest);
            if !self.here.contains_key(&name) {
                continue;
            }
            let closing = stored.epoch.closing.as_ref().map(layout::closing);
            for file in closing.iter().filter(|file| self.here.contains_key(*file)) {
                self.public(file, report).await?;
            }
            if stored.countersignature.is_some() {
                self.public(&layout::countersignature(&name), report).await?;
            }
            self.with_signature(&name, report).await?;
        }
        Ok(())
    }

    async fn manifests<'n>(&self, names: &'n [String]) -> Result<Vec<(Manifest, &'n str)>, RepoError> {
        let read = stream::iter(names).map(async |name| {
            let bytes = self.from.expect(name).await?;
            Ok((from_json(&bytes).map_err(|reason| damaged(name, reason))?, name.as_str()))
        });
        read.buffered(PARALLEL).try_collect().await
    }

    /// Packs and indexes, several at a time.
    async fn contents(&self, manifests: &[(Manifest, &str)], report: &mut CopyReport) -> Result<(), RepoError> {
        let files: BTreeSet<(String, FileRef)> = manifests.iter().flat_map(|(manifest, _)| manifest.files()).collect();
        let mut results =
            stream::iter(&files).map(async |(name, file)| self.content(name, file).await).buffer_unordered(PARALLEL);
        while let Some(written) = results.try_next().await? {
            report.note(written);
            self.progress.advance(1);
        }
        Ok(())
    }

    /// One pack or index; gives the bytes written, `None` when it was there. Its name is its digest: a file there with
    /// another size is damage of the copy.
    async fn content(&self, name: &str, file: &FileRef) -> Result<Option<u64>, RepoError> {
        match self.there.get(name) {
            Some(size) if *size == file.size => Ok(None),
            Some(_) => Err(self.other(name)),
            None => self.write(name, self.from.sealed(name, file).await?, file).await,
        }
    }

    async fn with_signature(&self, name: &str, report: &mut CopyReport) -> Result<(), RepoError> {
        self.public(&layout::signature(name), report).await?;
        self.public(name, report).await
    }

    /// A small file that has no digest in its name. One of a snapshot that is there is only looked at when its size differs:
    /// a year's manifests are not to be read every day.
    async fn public(&self, name: &str, report: &mut CopyReport) -> Result<(), RepoError> {
        let size = self.here.get(name);
        if name.starts_with(layout::SNAPSHOTS) && size.is_some() && size == self.there.get(name) {
            report.note(None);
            return Ok(());
        }
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
