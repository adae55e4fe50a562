//! One sheet alone: whose it is, whether it is the one that was made, and whether it is in force.

use serde::Serialize;

use super::{register as registered, sheet};
use crate::{
    repo::{Epoch, Finding},
    share::{ShareFault, UntrustedShare},
};

/// What one sheet says of itself and what the register says of it. Nothing of the share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SheetReport {
    /// The share set, in groups.
    pub share_set: String,
    /// The key's fingerprint, in groups.
    pub key: String,
    /// The same in six words.
    pub words: String,
    /// The share's index.
    pub index: u8,
    /// Sheets needed, as the sheet says.
    pub threshold: u8,
    /// Sheets made, as the sheet says.
    pub total: u8,
    /// The epoch of its set, when registered.
    pub epoch: Option<u32>,
    /// The custodian, when registered.
    pub custodian: Option<String>,
    /// The verdict.
    pub state: SheetState,
}

/// The verdict on one sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SheetState {
    /// Intact and in force.
    Current,
    /// Intact, of a set that a later one of the same key replaced: it still opens everything, and must be destroyed.
    Retired,
    /// Intact, of a key that a later one replaced: it opens the snapshots of its time.
    EarlierKey,
    /// Intact, of a new set that is not in force before all of its sheets were read back.
    Pending,
    /// Readable, but not the share that was made.
    Altered,
    /// Of this key, in a set nobody registered: of an abandoned reshare, or made behind the register's back.
    Unregistered,
    /// Of another key.
    Foreign,
}

/// Judges one sheet by the public register. `epochs` are all that count; `pending` is one waiting for confirmation.
///
/// # Errors
/// When the text holds no readable share; the fault says in which row.
pub fn verify(text: &str, epochs: &[Epoch], pending: Option<&Epoch>) -> Result<SheetReport, ShareFault> {
    let share = UntrustedShare::parse(text)?;
    let set = hex::encode(share.set().0);
    // Several epochs have one set when only the signers changed: the newest of them counts.
    let newest = epochs.iter().filter(|epoch| epoch.share_set == set).max_by_key(|epoch| epoch.number);
    let found = newest.or(pending.filter(|epoch| epoch.share_set == set));
    let custodian = found.and_then(|epoch| epoch.custodians.iter().find(|known| known.share == share.index()));
    let (threshold, total) = share.threshold();
    let state = match found {
        None if of_this_key(&share, epochs, pending) => SheetState::Unregistered,
        None => SheetState::Foreign,
        Some(_) if custodian.is_none_or(|known| known.sha256 != share.digest()) => SheetState::Altered,
        Some(epoch) => in_force(epoch, epochs, pending),
    };
    Ok(SheetReport {
        share_set: share.set().to_string(),
        key: share.fingerprint().to_string(),
        words: sheet::words(share.fingerprint()),
        index: share.index(),
        threshold,
        total,
        epoch: found.map(|epoch| epoch.number),
        custodian: custodian.map(|known| known.name.clone()),
        state,
    })
}

impl SheetReport {
    /// What an attestation of this look says; `None` when no epoch in force knows the sheet.
    pub fn finding(&self) -> Option<Finding> {
        match self.state {
            SheetState::Current | SheetState::Retired | SheetState::EarlierKey => Some(Finding::Intact),
            SheetState::Altered if self.custodian.is_some() => Some(Finding::Altered),
            _ => None,
        }
    }
}

fn in_force(epoch: &Epoch, epochs: &[Epoch], pending: Option<&Epoch>) -> SheetState {
    let newest = epochs.iter().max_by_key(|known| known.number);
    if newest.is_some_and(|newest| newest.number == epoch.number) {
        return SheetState::Current;
    }
    if pending.is_some_and(|pending| pending.share_set == epoch.share_set) {
        return SheetState::Pending;
    }
    let replaced = epochs.iter().any(|later| later.number > epoch.number && later.root == epoch.root);
    if replaced { SheetState::Retired } else { SheetState::EarlierKey }
}

fn of_this_key(share: &UntrustedShare, epochs: &[Epoch], pending: Option<&Epoch>) -> bool {
    let mut known = epochs.iter().chain(pending).filter_map(|epoch| registered(epoch, None));
    known.any(|register| register.fingerprint == share.fingerprint())
}
