//! How sound a repository is, at three depths.

use serde::Serialize;

use super::{RepoError, Repository, Trust};
use crate::crypto::{IndexKey, RecoveryKey};

/// How deep to look, and with which key.
#[derive(Clone, Copy)]
pub enum CheckDepth<'a> {
    /// Presence, digests, sizes, signatures, chain: no key.
    Structure,
    /// And every reference resolves: the index key.
    Index(&'a IndexKey),
    /// And every value opens and is the one referred to: a quorum.
    Values(&'a RecoveryKey),
}

/// What is wrong with one file or with the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, relative to the repository.
    pub file: String,
    /// What kind.
    pub kind: FaultKind,
    /// One sentence's worth of detail.
    pub detail: String,
}

/// Kinds of faults; their names are stable in `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A file that is referred to is not there.
    Missing,
    /// The content is not what its name or the manifest says.
    Damaged,
    /// A manifest or epoch without a signature.
    Unsigned,
    /// A signature that does not match, or of a key that may not sign.
    Untrusted,
    /// A sequence number is missing: a snapshot was removed.
    Gap,
    /// Two manifests with one sequence number, or a previous digest that does not match.
    Fork,
    /// A reference that leads to no value or to another one.
    Dangling,
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
    /// Everything wrong.
    pub faults: Vec<Fault>,
}

impl Fault {
    pub(super) fn new(file: &str, kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { file: file.to_owned(), kind, detail: detail.into() }
    }
}

impl Repository {
    /// Checks everything the verified manifests refer to.
    ///
    /// # Errors
    /// [`RepoError::Storage`] when the storage fails; faults are in the report.
    pub async fn check(&self, _trust: &Trust, _depth: CheckDepth<'_>) -> Result<CheckReport, RepoError> {
        todo!()
    }
}
