//! Copies: a whole repository kept elsewhere.

use super::{RepoError, Repository};
use crate::storage::Storage;

/// What a copy run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Files written.
    pub copied: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that were there already, their content the same.
    pub present: u64,
}

/// Brings `to` up to date: everything a manifest refers to before the manifest, the manifest before its
/// signature, lifeboat.json last. Each file is read back from the far end and its digest compared. Resumable.
///
/// # Errors
/// [`RepoError::Damaged`] when a file of the source does not have its digest (nothing is spread further),
/// or the copy holds another file under a name; [`RepoError::Storage`].
pub async fn copy(_from: &Repository, _to: &Storage) -> Result<CopyReport, RepoError> {
    todo!()
}
