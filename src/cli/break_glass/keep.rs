//! The logs of this machine, brought into the repository: when serving stops, and by whoever reads a log later.

use std::{
    io::{BufReader, Seek as _},
    path::{Path, PathBuf},
};

use crate::{
    cli::{Context, Failure, environment},
    clock::{Clock, SystemClock},
    crypto::{Recipient, RecoveryKey, Signer},
    fsutil,
    repo::{RepoError, Repository, Trust},
    serve::{self, Report},
    text,
};

/// Where logs are stored, who signs that they were, and who can read them.
pub(super) struct Keeper {
    repository: Repository,
    signer: Signer,
    recipients: Vec<Recipient>,
}

/// A log that was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// The file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It does not count.
    #[error("it does not count: {0}")]
    Fault(#[from] serve::LogFault),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

impl Keeper {
    /// For whoever has a quorum: the root signs. A host that is configured for this repository can read the logs too.
    pub(super) fn with_root(context: &Context, repository: &Repository, key: &RecoveryKey, trust: &Trust) -> Self {
        let signer = key.root_signer();
        let mut recipients = vec![trust.current().recipient.clone()];
        if context.global.config.exists()
            && let Ok(host) = context.host()
            && host.anchor().is_ok_and(|anchor| anchor.root == signer.public())
            && let Ok(index) = host.index_key()
        {
            recipients.push(index.recipient());
        }
        Self { repository: repository.clone(), signer, recipients }
    }

    /// For a configured host: its signer signs.
    pub(super) async fn of_host(context: &Context) -> Result<Self, Failure> {
        let host = context.host()?;
        let (repository, trust) = context.repository(&host).await?;
        let recipients = vec![trust.current().recipient.clone(), host.index_key()?.recipient()];
        Ok(Self { repository, signer: host.signer()?, recipients })
    }

    /// Stores the log at `path` and every other one that a crash left on this machine, each once; says which.
    /// Gives the name of the first in the repository, `None` where it is another repository's or in use, and whether all that
    /// belong there are there.
    pub(super) async fn keep(&self, context: &Context, path: &Path) -> (Option<String>, bool) {
        let (mut first, mut whole) = (None, true);
        let own = std::iter::once(path.to_owned());
        for (number, file) in own.chain(logs().into_iter().filter(|other| other != path)).enumerate() {
            let shown = text::line(&file.to_string_lossy()).into_owned();
            match self.keep_one(&file).await {
                Ok(Some((name, is_new))) => {
                    if is_new {
                        let place = self.repository.storage().address();
                        context.output.note(&format!("the audit log {shown} is stored as {name} in {place}"));
                    }
                    if number == 0 {
                        first = Some(name);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    whole = false;
                    context.output.warn(&format!(
                        "the audit log {shown} is not stored in {}: {error}; `lifeboat break-glass report` tries again",
                        self.repository.storage().address()
                    ));
                }
            }
        }
        (first, whole)
    }

    /// The name of a log in the repository and whether it was stored now.
    async fn keep_one(&self, path: &Path) -> Result<Option<(String, bool)>, NotKept> {
        if fsutil::is_locked(path)? {
            return Ok(None);
        }
        let report = read(path)?;
        if report.seal.repository != self.repository.id() {
            return Ok(None);
        }
        let facts = report.facts();
        if self.repository.has_served(&facts).await? {
            return Ok(Some((format!("served/{}.json", facts.stem()), false)));
        }
        let mut log = fsutil::open_at_once(path)?;
        log.rewind()?;
        let name = self.repository.put_served(&facts, log, (&self.recipients, &self.signer)).await?;
        Ok(Some((name, true)))
    }
}

/// Reads and verifies a log, however large.
pub(super) fn read(path: &Path) -> Result<Report, NotKept> {
    let log = BufReader::with_capacity(1 << 20, fsutil::open_at_once(path)?);
    Ok(serve::read_log(log, SystemClock.now())?)
}

/// The folder in which a server makes its logs unless another file is named.
pub(super) fn folder() -> Option<PathBuf> {
    environment::state_folder().map(|folder| folder.join("break-glass"))
}

/// The logs in it, oldest first.
pub(super) fn logs() -> Vec<PathBuf> {
    let Some(entries) = folder().and_then(|folder| std::fs::read_dir(folder).ok()) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut logs: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    logs.sort();
    logs
}
