//! What this host remembers of its comparisons with standby places.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Host, HostError};
use crate::model::{Place, RepositoryId, SnapshotId};

const DRIFT: &str = "drift";

/// The newest comparison of one source with one standby place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftSeen {
    /// The address of the standby place.
    pub to: String,
    /// Whose backup was compared.
    pub source: Place,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When.
    pub time: Timestamp,
    /// Secrets compared.
    pub compared: u64,
    /// Secrets that were missing or different.
    pub lacking: u64,
}

impl Host {
    /// The newest comparisons, each of another source or place.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn drifts(&self, repository: RepositoryId) -> Result<Vec<DriftSeen>, HostError> {
        Ok(self.recall(repository, DRIFT)?.unwrap_or_default())
    }

    /// Remembers a comparison in the place of an earlier one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn remember_drift(&self, repository: RepositoryId, seen: DriftSeen) -> Result<(), HostError> {
        let mut all = self.drifts(repository)?;
        all.retain(|other| (&other.to, &other.source) != (&seen.to, &seen.source));
        all.push(seen);
        self.keep(repository, DRIFT, &all)
    }

    /// Forgets the comparisons with a place; how many there were.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn forget_drift(&self, repository: RepositoryId, to: &str) -> Result<usize, HostError> {
        let mut all = self.drifts(repository)?;
        let before = all.len();
        all.retain(|seen| seen.to != to);
        self.keep(repository, DRIFT, &all)?;
        Ok(before - all.len())
    }
}
