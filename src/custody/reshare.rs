//! A new set of sheets for the same key, or a new key, as the successor of the current epoch.
//!
//! Nothing here changes what is in force: that is [`super::Pending::switch`], once every new sheet was read back.

use jiff::Timestamp;

use super::{Ceremony, CeremonyError, CeremonyRequest, Paper, issue};
use crate::{
    crypto::RecoveryKey,
    repo::{PreviousEpoch, Trust},
};

/// Who shall hold the next set of sheets.
#[derive(Clone, Debug)]
pub struct Successor {
    /// Sheets needed to recover.
    pub threshold: u8,
    /// One sheet each, in the order of the share index.
    pub custodians: Vec<String>,
    /// The time of the ceremony.
    pub created: Timestamp,
    /// What the sheets are printed on.
    pub paper: Paper,
}

/// Splits the same key anew: a new polynomial and a new set. The old sheets keep opening everything until they are
/// destroyed; a sheet of one set is worth nothing beside sheets of the other.
///
/// # Errors
/// See [`CeremonyError`]; [`CeremonyError::OtherKey`] when `key` is not the current epoch's.
pub fn reshare(key: &RecoveryKey, successor: &Successor, trust: &Trust) -> Result<Ceremony, CeremonyError> {
    let current = trust.current();
    if key.recipient() != current.recipient || key.root_signer().public() != current.root {
        return Err(CeremonyError::OtherKey(current.number));
    }
    succeed(key, successor, trust)
}

/// Makes a new key. Snapshots taken before stay sealed to the old one.
///
/// # Errors
/// See [`CeremonyError`].
pub fn rotate(successor: &Successor, trust: &Trust) -> Result<Ceremony, CeremonyError> {
    succeed(&RecoveryKey::generate(), successor, trust)
}

fn succeed(key: &RecoveryKey, successor: &Successor, trust: &Trust) -> Result<Ceremony, CeremonyError> {
    let current = trust.current();
    let request = CeremonyRequest {
        paper: successor.paper,
        repository: current.repository,
        threshold: successor.threshold,
        custodians: successor.custodians.clone(),
        signers: current.signers.clone(),
        created: successor.created,
    };
    let previous = PreviousEpoch { number: current.number, sha256: trust.current_digest() };
    issue(key, &request, current.number + 1, Some(previous))
}
