//! The audit trail of this host: where its chain is, what of it waits to be stored, and which runs ended without a word.

use std::{fs, io, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Host, HostError};
use crate::{
    crypto::Signer,
    fsutil::{self, Access, Existing, Lock},
    model::RepositoryId,
    repo::{AuditHead, AuditRun, Note, Put, RepoError, Repository, chain_of},
};

/// What a host remembers of its chain.
const TRAIL: &str = "audit.json";
/// Which entry of a chain is the last one of a folder.
const FOLDER: u64 = 64;
/// How often other runs of this host may be faster.
const TRIES: u32 = 3;
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// The file of a run that has not ended: `<repository>.open.<seconds>.<random>.<words-of-the-command>`.
const OPEN: &str = "open.";
/// What the outcome of a run is called that ended without a word.
const KILLED: &str = "killed";

/// The chain of this host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Its name.
    chain: String,
    /// The newest entry.
    head: Option<AuditHead>,
    /// The newest that is stored.
    sent: Option<AuditHead>,
    /// Those after it, oldest first.
    unsent: Vec<String>,
}

/// A run that has not ended. When the process ends however it ends, the next run notices.
pub struct OpenRun {
    path: PathBuf,
    _lock: Lock,
}

/// What became of an entry.
#[derive(Debug, Default)]
pub struct Left {
    /// Entries that wait on this host, and why.
    pub waiting: Option<(usize, String)>,
    /// The newest stored entry is gone from the repository.
    pub cut: Option<u64>,
}

impl OpenRun {
    /// Forgets it: nobody may sign that it was.
    pub fn forget(self) {
        if let Err(error) = fsutil::remove(&self.path) {
            tracing::warn!(%error, "a file of the state folder is left");
        }
    }
}

impl Host {
    /// The newest entry of this host's chain that is stored, and how many wait.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn audit_head(&self, repository: RepositoryId) -> Result<Option<(String, AuditHead, usize)>, HostError> {
        let kept: Option<Kept> = self.recall(repository, TRAIL)?;
        Ok(kept.and_then(|kept| Some((kept.chain, kept.sent?, kept.unsent.len()))))
    }

    /// Notes that a run began.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn begin_run(&self, repository: RepositoryId, action: &str, now: Timestamp) -> Result<OpenRun, HostError> {
        fsutil::create_folder(&self.scratch(), Access::Private)?;
        let random = crate::model::SnapshotId::random().short();
        let name = format!("{OPEN}{}.{random}.{}", now.as_second(), action.replace(' ', "-"));
        let path = self.state_file(repository, &name);
        let lock = fsutil::lock(&path)?.ok_or(HostError::Locked(repository))?;
        Ok(OpenRun { path, _lock: lock })
    }

    /// Signs what a run did as the next entry of this host's chain, keeps it here, and stores it with those that wait. Where
    /// `repository` is none, it waits.
    ///
    /// # Errors
    /// When the state folder cannot be read or written; what keeps the entry from being stored is in the answer.
    pub async fn leave_entry(
        &self,
        (id, repository): (RepositoryId, Option<&Repository>),
        (epoch, signer): (u32, &Signer),
        run: AuditRun,
        open: Option<OpenRun>,
    ) -> Result<Left, HostError> {
        let _lock = self.lock_trail(id).await?;
        let chain = chain_of(&signer.public());
        let kept: Option<Kept> = self.recall(id, TRAIL)?;
        let mut kept = kept.filter(|kept| kept.chain == chain).unwrap_or(Kept { chain, ..Kept::default() });
        if let (None, Some(repository)) = (kept.head, repository)
            && let Ok(Some(head)) = repository.newest_note(&kept.chain, &signer.public()).await
        {
            (kept.head, kept.sent) = (Some(head), Some(head));
        }
        let own = open.as_ref().map(|open| open.path.clone());
        let killed = self.killed(id, own.as_ref(), &run)?;
        for run in killed.iter().map(|(_, run)| run.clone()).chain([run]) {
            kept.add(id, epoch, run, signer);
        }
        self.keep(id, TRAIL, &kept)?;
        for path in killed.into_iter().map(|(path, _)| path).chain(own) {
            fsutil::remove(&path)?;
        }
        let mut left = Left::default();
        let sent = match repository {
            None => Err("the repository itself was not opened".to_owned()),
            Some(repository) => {
                let sent = kept.send((id, repository), (epoch, signer), &mut left).await;
                self.keep(id, TRAIL, &kept)?;
                sent.map_err(|error| error.to_string())
            }
        };
        left.waiting = sent.err().map(|reason| (kept.unsent.len(), reason));
        Ok(left)
    }

    async fn lock_trail(&self, repository: RepositoryId) -> Result<Lock, HostError> {
        fsutil::create_folder(&self.scratch(), Access::Private)?;
        let path = self.state_file(repository, "audit.turn");
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = fsutil::lock(&path)? {
                return Ok(lock);
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Err(HostError::Locked(repository))
    }

    /// Runs that began and of which no process is left, the oldest first.
    fn killed(
        &self,
        repository: RepositoryId,
        own: Option<&PathBuf>,
        now: &AuditRun,
    ) -> Result<Vec<(PathBuf, AuditRun)>, HostError> {
        let beginning = format!("{repository}.{OPEN}");
        let mut found = Vec::new();
        for entry in fs::read_dir(self.scratch())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(&beginning).filter(|_| own != Some(&path)) else { continue };
            let mut parts = rest.splitn(3, '.');
            let (Some(seconds), _, Some(words)) = (parts.next(), parts.next(), parts.next()) else { continue };
            if fsutil::is_locked(&path)? {
                continue;
            }
            let started = seconds.parse().ok().and_then(|at| Timestamp::from_second(at).ok()).unwrap_or(now.ended);
            let begun = AuditRun::begun(words.replace('-', " "), started);
            let run = AuditRun { ended: now.ended, outcome: KILLED.into(), ..begun };
            found.push((path, run));
        }
        found.sort_by_key(|(path, run)| (run.started, path.clone()));
        Ok(found)
    }
}

impl Kept {
    fn add(&mut self, repository: RepositoryId, epoch: u32, run: AuditRun, signer: &Signer) {
        let note = Note::sign(repository, (&self.chain, self.head), epoch, run, signer);
        self.head = Some(note.head);
        self.unsent.push(note.text);
    }

    /// Stores what waits. Where the repository has newer entries of this very key, as after the state of a host was put back, these
    /// come after them.
    async fn send(
        &mut self,
        (id, repository): (RepositoryId, &Repository),
        (epoch, signer): (u32, &Signer),
        left: &mut Left,
    ) -> Result<(), RepoError> {
        if let Some(sent) = self.sent
            && !repository.has_note(&self.chain, sent.number).await?
        {
            left.cut = Some(sent.number);
        }
        let mut tries = 0;
        while let Some(note) = self.unsent.first().and_then(|text| Note::read(text)) {
            match repository.put_note(&note).await? {
                Put::Stored => {
                    self.unsent.remove(0);
                    self.sent = Some(note.head);
                    if note.head.number.is_multiple_of(FOLDER)
                        && let Err(error) = repository.bundle_notes(&self.chain, note.head.number / FOLDER - 1).await
                    {
                        // Only readers of years miss it.
                        tracing::warn!(%error, "no bundle of audit entries was written");
                    }
                }
                Put::Taken => {
                    tries += 1;
                    let newest = repository.newest_note(&self.chain, &signer.public()).await?;
                    if tries > TRIES || newest.is_none_or(|newest| newest.number < note.head.number) {
                        return Err(repository.taken(&note));
                    }
                    let runs: Vec<AuditRun> =
                        self.unsent.iter().filter_map(|text| Note::entry(text)).map(|entry| entry.run).collect();
                    (self.head, self.sent, self.unsent) = (newest, newest, Vec::new());
                    for run in runs {
                        self.add(id, epoch, run, signer);
                    }
                }
            }
        }
        match self.unsent.len() {
            0 => Ok(()),
            _ => Err(RepoError::Damaged { file: TRAIL.into(), reason: "what waits in it is no entry".into() }),
        }
    }
}

/// Stores an entry that no host signed, and those that an earlier run left in `folder`; keeps it there where that fails, and gives
/// the file and why.
///
/// # Errors
/// When it can be kept nowhere.
pub async fn leave_alone(
    repository: &Repository,
    note: &Note,
    folder: Option<PathBuf>,
) -> io::Result<Option<(PathBuf, String)>> {
    let beginning = format!("{}-", repository.id());
    let entries = folder.as_ref().and_then(|folder| fs::read_dir(folder).ok());
    for path in entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
        let is_of = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&beginning));
        let earlier = is_of.then(|| fsutil::read(&path).ok()).flatten().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(earlier) = earlier.and_then(|text| Note::read(&text))
            && matches!(repository.put_note(&earlier).await, Ok(Put::Stored))
        {
            fsutil::remove(&path)?;
        }
    }
    let reason = match repository.put_note(note).await {
        Ok(Put::Stored) => return Ok(None),
        Ok(Put::Taken) => "another entry has its name".to_owned(),
        Err(error) => error.to_string(),
    };
    let Some(folder) = folder else { return Err(io::Error::other(reason)) };
    fsutil::create_folder(&folder, Access::Private)?;
    let path = folder.join(format!("{beginning}{}", note.file.replace('/', "-")));
    fsutil::write(&path, note.text.as_bytes(), Access::Private, Existing::Keep)?;
    Ok(Some((path, reason)))
}
