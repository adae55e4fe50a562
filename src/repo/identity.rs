//! lifeboat.json: that this is a repository, which one, and of which version.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Epoch, FORMAT_VERSION, RepoError, damaged, from_json, layout, to_json};
use crate::{
    model::RepositoryId,
    storage::{Storage, StorageError},
};

/// The content of lifeboat.json. Every field follows from the first epoch, so `check` can tell its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    version: u32,
    pub(super) repository: RepositoryId,
    created: Timestamp,
}

impl Identity {
    pub(super) fn of(epoch: &Epoch) -> Self {
        Self { version: FORMAT_VERSION, repository: epoch.repository, created: epoch.created }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        to_json(self)
    }

    /// Reads it; `None` when there is none.
    pub(super) async fn read(storage: &Storage) -> Result<Option<Self>, RepoError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bytes = match storage.get_at_most(layout::IDENTITY, layout::MOST_BYTES).await {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let newer = serde_json::from_slice(&bytes).ok().filter(|Version { version }| *version > FORMAT_VERSION);
        if let Some(Version { version: found }) = newer {
            return Err(RepoError::Newer { address: storage.address().to_owned(), found });
        }
        from_json(&bytes).map(Some).map_err(|reason| damaged(layout::IDENTITY, reason))
    }
}
