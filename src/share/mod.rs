//! Shamir shares of the recovery key: their bytes, their text, and the way from paper back to the key.
//!
//! [`UntrustedShare`] (someone typed it) → [`Gathering`] (each judged on arrival) → [`Quorum`] (complete and
//! consistent) → [`RecoveryKey`] (derives what the shares and the epoch say). The only way
//! to a key is through all of them.
//!
//! The Shamir crate is never asked to judge: it returns a wrong secret, and no error, for a corrupt byte, a
//! threshold set too low or the same share twice, and a share with x = 0 would decide the secret. Everything is
//! checked before it is called, and its result counts only when it gives the key the shares name.

mod bytes;
mod correction;
mod finding;
mod gather;
mod keyboard;
mod quorum;
mod register;
mod rows;
mod split;
mod text;
mod typed;
mod untrusted;

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::crypto::{PublicKey, Recipient, RecoveryKey};

pub use finding::resembles_share;
pub use gather::{Gathering, Progress, Rejection};
pub use keyboard::{Layout, other_layout};
pub use quorum::{NoQuorum, Quorum};
pub use register::{Holder, Register};
pub use split::{Share, SplitError, split};
pub use typed::{Entered, Offer, RowRefusal, TypedShare};
pub use untrusted::{ShareFault, Suggestion, UntrustedShare};

/// The random identity of one share set, shown as two groups: `A1B2-C3D4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareSetId(pub [u8; 4]);

/// The first 6 bytes of SHA-256(root public key ‖ recipient): which key a share belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyFingerprint(pub [u8; 6]);

impl KeyFingerprint {
    /// The fingerprint of a key by its public halves.
    pub fn of(root: &PublicKey, recipient: &Recipient) -> Self {
        let digest: [u8; 32] =
            Sha256::new().chain_update(root.to_bytes()).chain_update(recipient.to_bytes()).finalize().into();
        let mut first = [0; 6];
        first.copy_from_slice(&digest[..6]);
        Self(first)
    }

    fn of_key(key: &RecoveryKey) -> Self {
        Self::of(&key.root_signer().public(), &key.recipient())
    }
}

impl fmt::Display for ShareSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(&self.0))
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&grouped(&self.0))
    }
}

/// Two bytes a group: `A1B2-C3D4`.
fn grouped(bytes: &[u8]) -> String {
    bytes.chunks(2).map(hex::encode_upper).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_can_be_read_aloud() {
        assert_eq!(ShareSetId([0xa1, 0xb2, 0, 0xd4]).to_string(), "A1B2-00D4");
        assert_eq!(KeyFingerprint([1, 2, 3, 4, 5, 6]).to_string(), "0102-0304-0506");
    }

    #[test]
    fn both_halves_decide_the_fingerprint() {
        let (one, two) = (RecoveryKey::generate(), RecoveryKey::generate());
        let of = |root: &RecoveryKey, recipient: &RecoveryKey| {
            KeyFingerprint::of(&root.root_signer().public(), &recipient.recipient())
        };
        assert_eq!(of(&one, &one), KeyFingerprint::of_key(&one));
        assert_ne!(of(&one, &one), of(&one, &two));
        assert_ne!(of(&one, &one), of(&two, &one));
    }
}
