//! Values out of packs, one pack at a time, a few packs kept open.

use std::{collections::VecDeque, sync::Arc};

use futures::lock::Mutex;

use crate::{
    crypto::{Opener, RecoveryKey},
    model::{Digest, SecretValue, ValueRef},
    repo::{Chosen, PackEntry, RepoError, Repository, pack_name},
};

/// Packs kept open: enough for neighbours, and a bounded amount of plaintext in memory.
const OPEN_PACKS: usize = 8;

/// Reads values with a key that opens their packs.
pub struct Values<'a> {
    repository: &'a Repository,
    opener: Opener<'a>,
    open: Mutex<VecDeque<(Digest, Arc<Vec<Entry>>)>>,
}

/// A line of a pack that is open.
struct Entry {
    secret: String,
    version: String,
    value: Arc<SecretValue>,
}

impl<'a> Values<'a> {
    /// Prepares; reads nothing. Without a snapshot that was chosen there is nothing to read.
    pub fn new(repository: &'a Repository, chosen: &Chosen, key: &'a RecoveryKey) -> Self {
        Self::with(repository, chosen, Opener::Recovery(key))
    }

    /// The same with another key.
    pub fn with(repository: &'a Repository, _chosen: &Chosen, opener: Opener<'a>) -> Self {
        Self { repository, opener, open: Mutex::new(VecDeque::new()) }
    }

    /// The value at `at`, which must be that of `version` of `secret` (the provider's identifier).
    ///
    /// # Errors
    /// A damaged or missing pack, or a line that holds something else.
    pub async fn get(&self, at: &ValueRef, secret: &str, version: &str) -> Result<Arc<SecretValue>, RepoError> {
        let pack = self.pack(&at.pack).await?;
        let line = at.line as usize;
        match pack.get(line) {
            Some(entry) if entry.secret == secret && entry.version == version && entry.value.kind() == at.kind => {
                Ok(Arc::clone(&entry.value))
            }
            _ => Err(RepoError::Damaged {
                file: pack_name(&at.pack),
                reason: format!("line {line} is not version {version} of {secret}"),
            }),
        }
    }

    async fn pack(&self, digest: &Digest) -> Result<Arc<Vec<Entry>>, RepoError> {
        let mut open = self.open.lock().await;
        if let Some((_, pack)) = open.iter().find(|(known, _)| known == digest) {
            return Ok(Arc::clone(pack));
        }
        let reader = self.repository.open_pack(digest, self.opener).await?;
        let entry = |PackEntry { secret, version, value }| Entry { secret, version, value: Arc::new(value) };
        let pack = Arc::new(reader.map(|line| line.map(entry)).collect::<Result<Vec<_>, _>>()?);
        if open.len() == OPEN_PACKS {
            open.pop_front();
        }
        open.push_back((*digest, Arc::clone(&pack)));
        Ok(pack)
    }
}
