//! Copies: a whole repository kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Chain, FileRef, Judgement, PackLists, RepoError, Repository, StoredEpoch, Trust, VerifiedManifest, Witness,
    chain::PARALLEL, damaged, file_ref, identity::Identity, layout,
};
use crate::{
    cores,
    model::RepositoryId,
    progress::{Progress, Silent},
    storage::{Entry, Storage, StorageError},
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
    copy_with(from, trust, &from.judge(trust, &[]).await?, to, (None, &Silent)).await
}

/// The same of a history that was judged just now, while somebody watches: a unit of progress is a file.
///
/// `held` is the head up to which an earlier run brought this copy. If it is there still, only what is newer is looked at, so
/// that a daily copy costs what is new. Of a history of which only the newest part was read, `held` must be in that part, or the
/// copy is refused as one that needs the whole.
///
/// # Errors
/// As [`copy`].
pub async fn copy_with(
    from: &Repository,
    trust: &Trust,
    judgement: &Judgement,
    to: &Storage,
    (held, progress): (Option<Witness>, &dyn Progress),
) -> Result<CopyReport, RepoError> {
    let there = who_is_at(to).await?;
    copy_known(from, trust, judgement, (to, there), (held, progress)).await
}

/// Which repository a storage holds, if it holds one.
///
/// # Errors
/// As [`Repository::open`], which refuses a storage without one.
pub async fn who_is_at(to: &Storage) -> Result<Option<RepositoryId>, RepoError> {
    Ok(Identity::read(to).await?.map(|identity| identity.repository))
}

/// [`copy_with`] to a storage of which [`who_is_at`] was asked just now.
///
/// # Errors
/// As [`copy`].
pub async fn copy_known(
    from: &Repository,
    trust: &Trust,
    judgement: &Judgement,
    (to, there): (&Storage, Option<RepositoryId>),
    (held, progress): (Option<Witness>, &dyn Progress),
) -> Result<CopyReport, RepoError> {
    if let Some(other) = there.filter(|there| *there != from.id) {
        let (address, id) = (to.address(), other.short());
        return Err(RepoError::Exists(format!("{address} (another repository, {id})")));
    }
    let chain = judgement.chain();
    let since = match held {
        Some(held) => newer_than(chain, held, to).await?,
        None => None,
    };
    if since.is_none() && !chain.is_whole() {
        let chain = from.chain(trust).await?;
        let judgement = from.judge_chain(trust, chain, &[]).await?;
        return Box::pin(copy_known(from, trust, &judgement, (to, there), (None, progress))).await;
    }
    let there = match since {
        Some(_) => newest_part(to, chain).await?,
        None => to.list("").await?,
    };
    let there = there.into_iter().map(|entry| (entry.name, entry.size)).collect();
    let run = Copying { from, to, there, progress };
    let mut report = CopyReport::default();
    let is_new = |found: &&VerifiedManifest| since.is_none_or(|since| found.manifest().sequence > since);
    let (new, old): (Vec<&VerifiedManifest>, Vec<&VerifiedManifest>) = chain.manifests.iter().partition(is_new);
    report.behind = new.iter().filter(|found| !run.there.contains_key(&found.file())).count() as u64;
    for (name, _) in layout::GUIDES {
        run.public(name, &mut report).await?;
    }
    run.epochs(trust, &mut report).await?;
    let known = if since.is_some() {
        run.files_of(old.into_iter().chain(&chain.settled_newest)).await?
    } else {
        BTreeSet::new()
    };
    let files: Vec<_> = run.files_of(new.iter().copied()).await?.difference(&known).cloned().collect();
    run.contents(&files, &mut report).await?;
    run.manifests(&new, &mut report).await?;
    run.bundles(&mut report).await?;
    run.served(trust, &mut report).await?;
    for record in run.records(trust).await?.into_iter().chain(judgement.record_files()) {
        run.public(&record, &mut report).await?;
    }
    run.audit(trust, &mut report).await?;
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

/// The number after which a copy lacks something; `None` where that is not certain and everything has to be looked at.
async fn newer_than(chain: &Chain, held: Witness, to: &Storage) -> Result<Option<u64>, RepoError> {
    let found = chain.manifests.iter().find(|found| found.witness() == held);
    match found {
        Some(found) if to.exists(&found.file()).await? => Ok(Some(held.sequence)),
        _ => Ok(None),
    }
}

/// Everything in a copy but the contents, and manifests in folders that are full: those of what is new are asked for one by one.
async fn newest_part(to: &Storage, chain: &Chain) -> Result<Vec<Entry>, RepoError> {
    let mut entries = to.folders("").await?.1;
    for folder in layout::PUBLIC {
        entries.extend(to.list(folder).await?);
    }
    for folder in to.folders(layout::SNAPSHOTS).await?.0 {
        if layout::folder_number(&folder).is_some_and(|number| number >= chain.base.through() / layout::FOLDER) {
            entries.extend(to.list(&folder).await?);
        }
    }
    Ok(entries)
}

impl Copying<'_> {
    /// Every epoch that counts by number: its closing list first, then its signatures.
    async fn epochs(&self, trust: &Trust, report: &mut CopyReport) -> Result<(), RepoError> {
        let whole = self.from.epoch_files().await?.whole;
        let counts = |stored: &StoredEpoch| trust.epoch(stored.epoch.number) == Some(&stored.epoch);
        let mut counting: Vec<_> = whole.iter().filter(|(_, stored)| counts(stored)).collect();
        // The earlier ones first: without the one before it, an epoch makes the whole copy unbelieved.
        counting.sort_by_key(|(_, stored)| stored.epoch.number);
        for (digest, stored) in counting {
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

    /// Logs of break glass that count: the parts of each, then its signature and its record. One that is there may have been
    /// stored there by the server itself, sealed once more and signed by another key: it is the same log.
    async fn served(&self, trust: &Trust, report: &mut CopyReport) -> Result<(), RepoError> {
        for (stem, log) in self.from.served_logs(trust).await?.verified {
            let name = layout::record(layout::SERVED, &stem);
            if self.there.contains_key(&name) && self.there.contains_key(&layout::signature(&name)) {
                report.note(None);
                report.note(None);
                continue;
            }
            let parts = log.parts.into_iter().map(|part| (layout::served_part(&part.sha256), part));
            self.contents(&parts.collect::<Vec<_>>(), report).await?;
            self.public(&layout::signature(&name), report).await?;
            self.public(&name, report).await?;
        }
        Ok(())
    }

    /// Entries of the audit trail that the copy lacks. One that is there is not read again, whatever it says: `audit verify` of the
    /// copy does that, and a forged one must not keep snapshots from being copied.
    async fn audit(&self, trust: &Trust, report: &mut CopyReport) -> Result<(), RepoError> {
        for (name, bytes) in self.from.notes_to_copy(trust, |name| self.there.contains_key(name)).await? {
            let file = file_ref(&bytes);
            report.note(self.write(&name, bytes, &file).await?);
        }
        Ok(())
    }

    /// One that is there is only looked at when its size differs: a year's manifests are not to be read every day.
    async fn manifests(&self, manifests: &[&VerifiedManifest], report: &mut CopyReport) -> Result<(), RepoError> {
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

    /// What manifests name. A list that cannot be read stops the copy.
    async fn files_of(
        &self,
        manifests: impl Iterator<Item = &VerifiedManifest>,
    ) -> Result<BTreeSet<(String, FileRef)>, RepoError> {
        let manifests = manifests.map(VerifiedManifest::manifest);
        let (files, wrong) = self.from.files_of_all(manifests, &PackLists::default()).await?;
        match wrong.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(files),
        }
    }

    /// Bundles of manifests: each has its digest in its name, and no reader believes it.
    async fn bundles(&self, report: &mut CopyReport) -> Result<(), RepoError> {
        for (digest, name) in self.from.bundles().await? {
            if self.there.contains_key(&name) {
                report.note(None);
                continue;
            }
            // A newer one may have taken its place since it was listed.
            let Some(bytes) = self.from.if_there(&name).await? else { continue };
            let file = file_ref(&bytes);
            if file.sha256 == digest {
                report.note(self.write(&name, bytes, &file).await?);
            }
        }
        Ok(())
    }

    /// Packs, lists, index files and configurations, several at a time.
    async fn contents(&self, files: &[(String, FileRef)], report: &mut CopyReport) -> Result<(), RepoError> {
        let mut results =
            stream::iter(files).map(async |(name, file)| self.content(name, file).await).buffer_unordered(PARALLEL);
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
        let bytes = match self.to.get_at_most(name, layout::most_bytes(name)).await {
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
