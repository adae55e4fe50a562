//! The recovery key: the age identity that exists only while a quorum is present.

use super::{Recipient, Signer};

/// 32 bytes that open everything. No Debug, Clone or Serialize; locked in memory where the system
/// allows it; wiped on drop.
pub struct RecoveryKey {
    // the helper decides: a boxed, mlocked, zeroising 32-byte buffer
}

impl RecoveryKey {
    /// A new random key.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub fn generate() -> Self {
        todo!()
    }

    /// The key from its bytes, which the caller wipes.
    pub fn from_bytes(_bytes: &[u8; 32]) -> Self {
        todo!()
    }

    /// The bytes, for splitting only.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        todo!()
    }

    /// The age recipient of this key.
    pub fn recipient(&self) -> Recipient {
        todo!()
    }

    /// The root signing key: ed25519 from HKDF-SHA-256 (RFC 5869, no salt), info `lifeboat/v1/root-signing`.
    pub fn root_signer(&self) -> Signer {
        todo!()
    }
}
