//! Values out of packs: a pack is opened when the first value of it is asked for, once, and the newest ones stay open.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::{
    crypto::{Opener, RecoveryKey},
    model::{Digest, SecretValue},
    repo::{PackReader, RepoError, Repository, pack_name},
};

/// Packs kept open: a pack holds at most some four megabytes of values.
const OPEN_PACKS: usize = 24;

/// Where values come from.
#[async_trait]
pub trait Values: Send + Sync {
    /// The value in line `line` of a pack, which must be that of `version` of `secret` (the provider's identifier).
    ///
    /// # Errors
    /// The reason, without a value.
    async fn value(&self, pack: &Digest, line: u32, secret: &str, version: &str) -> Result<Arc<SecretValue>, String>;
}

/// The packs of a repository. Holds the recovery key, in locked memory, as long as it is there.
pub struct Packs {
    repository: Repository,
    key: Arc<RecoveryKey>,
    open: Mutex<VecDeque<(Digest, Opening)>>,
}

type Opening = Arc<OnceCell<Arc<Vec<Row>>>>;

/// A line of a pack that is open.
struct Row {
    secret: String,
    version: String,
    value: Arc<SecretValue>,
}

impl Packs {
    /// Prepares; reads nothing.
    pub fn new(repository: Repository, key: Arc<RecoveryKey>) -> Self {
        Self { repository, key, open: Mutex::default() }
    }

    /// The place of a pack among those that are open; the oldest goes when there are too many.
    fn opening(&self, pack: &Digest) -> Opening {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, opening)) = open.iter().find(|(known, _)| known == pack) {
            return Arc::clone(opening);
        }
        if open.len() == OPEN_PACKS {
            open.pop_front();
        }
        let opening = Opening::default();
        open.push_back((*pack, Arc::clone(&opening)));
        opening
    }

    async fn read(&self, pack: &Digest) -> Result<Arc<Vec<Row>>, RepoError> {
        let sealed = self.repository.pack(pack).await?;
        let (key, name) = (Arc::clone(&self.key), pack_name(pack));
        let read = move || {
            let reader = PackReader::open(&name, sealed, Opener::Recovery(&key))?;
            let rows = reader.map(|line| {
                line.map(|line| Row { secret: line.secret, version: line.version, value: Arc::new(line.value) })
            });
            rows.collect::<Result<Vec<Row>, RepoError>>()
        };
        let rows = tokio::task::spawn_blocking(read).await.expect("reading a pack does not panic")?;
        Ok(Arc::new(rows))
    }
}

#[async_trait]
impl Values for Packs {
    async fn value(&self, pack: &Digest, line: u32, secret: &str, version: &str) -> Result<Arc<SecretValue>, String> {
        let opening = self.opening(pack);
        let rows = opening.get_or_try_init(|| self.read(pack)).await.map_err(|error| error.to_string())?;
        match rows.get(line as usize) {
            Some(row) if row.secret == secret && row.version == version => Ok(Arc::clone(&row.value)),
            _ => Err(format!("{}: line {line} is not the version that the index says", pack_name(pack))),
        }
    }
}
