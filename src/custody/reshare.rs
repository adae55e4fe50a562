//! A new set of sheets for the same key, or a new key, as the successor of the current epoch.
//!
//! Nothing here changes what is in force: that is [`super::Pending::switch`], once every new sheet was read back.

use jiff::Timestamp;

use super::{Ceremony, CeremonyError, CeremonyRequest, Contact, Paper, issue};
use crate::{
    crypto::RecoveryKey,
    repo::{AllowedSigner, ClosingList, Epoch, PreviousEpoch, Trust},
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
    /// What the sheets say of whom to ask.
    pub contact: Contact,
}

/// Splits the same key anew: a new polynomial and a new set. The old sheets keep opening everything until they are
/// destroyed; a sheet of one set is worth nothing beside sheets of the other.
///
/// # Errors
/// See [`CeremonyError`]; [`CeremonyError::OtherKey`] when `key` is not the current epoch's.
pub fn reshare(key: &RecoveryKey, successor: &Successor, trust: &Trust) -> Result<Ceremony, CeremonyError> {
    check_key(key, trust)?;
    succeed(key, successor, trust)
}

/// Makes a new key. Snapshots taken before stay sealed to the old one.
///
/// # Errors
/// See [`CeremonyError`].
pub fn rotate(successor: &Successor, trust: &Trust) -> Result<Ceremony, CeremonyError> {
    succeed(&RecoveryKey::generate(), successor, trust)
}

/// The same key and the same sheets, other hosts that may sign: for a host that is new, replaced or not trusted any more.
/// `closing` says what still counts of those that are removed; it is needed when one is, and only then.
///
/// # Errors
/// [`CeremonyError::Closing`] when it is missing or too much;
/// [`CeremonyError::OtherKey`] when `key` is not the current epoch's; [`CeremonyError::Signers`] for no signer at all, or
/// one name or key twice.
pub fn change_signers(
    key: &RecoveryKey,
    signers: &[AllowedSigner],
    closing: Option<ClosingList>,
    created: Timestamp,
    trust: &Trust,
) -> Result<Ceremony, CeremonyError> {
    check_key(key, trust)?;
    let twice = |at: usize| signers[..at].iter().any(|one| one.name == signers[at].name || one.key == signers[at].key);
    if signers.is_empty() || (0..signers.len()).any(twice) {
        return Err(CeremonyError::Signers);
    }
    let current = trust.current();
    let removes = current.signers.iter().any(|before| !signers.iter().any(|after| after.key == before.key));
    if removes != closing.is_some() {
        return Err(CeremonyError::Closing);
    }
    let epoch = Epoch {
        number: current.number + 1,
        created,
        signers: signers.to_vec(),
        closing: closing.as_ref().map(ClosingList::digest),
        previous: Some(PreviousEpoch { number: current.number, sha256: trust.current_digest() }),
        ..current.clone()
    };
    Ok(Ceremony { epoch, closing, root: key.root_signer(), versions: key.version_key(), sheets: Vec::new() })
}

/// Whether it is the key of the epoch in force.
fn check_key(key: &RecoveryKey, trust: &Trust) -> Result<(), CeremonyError> {
    let current = trust.current();
    let is_current = key.recipient() == current.recipient && key.root_signer().public() == current.root;
    if is_current { Ok(()) } else { Err(CeremonyError::OtherKey(current.number)) }
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
        contact: successor.contact.clone(),
    };
    let previous = PreviousEpoch { number: current.number, sha256: trust.current_digest() };
    issue(key, &request, current.number + 1, Some(previous))
}
