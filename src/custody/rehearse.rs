//! The ceremony and the way back on a throw-away key, for people who do it for the first time.

use zeroize::Zeroizing;

use super::{Ceremony, CeremonyError, CeremonyRequest, Successor, anchor, hold, register};
use crate::{
    model::RepositoryId,
    repo::{Epoch, TrustAnchor},
    share::{Gathering, Rejection},
};

/// What every custodian of a rehearsal is called first, so that every form of the sheet shows it.
pub(super) const MARK: &str = "REHEARSAL";

/// Holds a ceremony for a repository that does not exist. Its sheets open nothing.
///
/// # Errors
/// See [`CeremonyError`].
///
/// # Panics
/// When the operating system gives no randomness.
pub fn rehearse(successor: &Successor) -> Result<Ceremony, CeremonyError> {
    hold(&CeremonyRequest {
        paper: successor.paper,
        repository: RepositoryId::random(),
        threshold: successor.threshold,
        custodians: successor.custodians.iter().map(|name| rehearsed(name)).collect(),
        signers: Vec::new(),
        created: successor.created,
        contact: successor.contact.clone(),
    })
}

/// What a custodian is called on a sheet of a rehearsal.
pub fn rehearsed(name: &str) -> String {
    format!("{MARK} {name}")
}

/// Whether sheets, read back, give the key of `epoch`; `false` while they are too few.
///
/// # Errors
/// A sheet that is not taken, or sheets that give no key or another one.
pub fn gives_key(epoch: &Epoch, sheets: &[(String, Zeroizing<String>)]) -> Result<bool, CeremonyError> {
    let proof = |error: &dyn std::fmt::Display| CeremonyError::Proof(error.to_string());
    let mut gathering = Gathering::new(register(epoch, None).into_iter().collect());
    for (origin, text) in sheets {
        match gathering.add(origin, text) {
            Ok(_) | Err(Rejection::Duplicate { .. }) => {}
            Err(rejection) => return Err(proof(&rejection)),
        }
    }
    if gathering.progress().present.len() < usize::from(epoch.threshold) {
        return Ok(false);
    }
    let key = gathering.quorum().map_err(|none| proof(&none))?.recover().map_err(|none| proof(&none))?;
    let expected = TrustAnchor { root: epoch.root.clone(), recipient: epoch.recipient.clone() };
    if anchor(&key) == expected {
        Ok(true)
    } else {
        Err(CeremonyError::Proof("the sheets recovered another key".into()))
    }
}
