//! What is publicly known of a share set.

use jiff::Timestamp;

use super::{KeyFingerprint, ShareSetId};
use crate::model::Digest;

/// What is publicly known of one share set; custody makes it from a key epoch.
#[derive(Clone, Debug)]
pub struct Register {
    /// The epoch's number.
    pub epoch: u32,
    /// The share set.
    pub set: ShareSetId,
    /// Shares needed.
    pub threshold: u8,
    /// Shares made.
    pub total: u8,
    /// Which key.
    pub fingerprint: KeyFingerprint,
    /// Who holds what.
    pub holders: Vec<Holder>,
    /// Set when a later epoch replaced this one.
    pub retired: Option<Timestamp>,
}

/// A custodian's entry in a [`Register`].
#[derive(Clone, Debug)]
pub struct Holder {
    /// The share's index x.
    pub index: u8,
    /// The custodian's name.
    pub name: String,
    /// SHA-256 of the 46 bytes of the share.
    pub digest: Digest,
}

impl Register {
    pub(super) fn holder(&self, index: u8) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.index == index)
    }
}
