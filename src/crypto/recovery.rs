//! The recovery key: the age identity that exists only while a quorum is present.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Recipient, Signer, VersionKey, locked::Locked};

const SECRET_KEY_PREFIX: bech32::Hrp = bech32::Hrp::parse_unchecked("AGE-SECRET-KEY-");
/// `AGE-SECRET-KEY-1`, 52 characters of data, 6 of checksum.
const SECRET_KEY_CHARS: usize = 74;
const ROOT_SIGNING: &[u8] = b"lifeboat/v1/root-signing";

/// 32 bytes that open everything. No Debug, Clone or Serialize; locked in memory where the system
/// allows it; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::RecoveryKey::generate();
/// println!("{key:?}");
/// ```
pub struct RecoveryKey(Locked);

impl RecoveryKey {
    /// A new random key.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub fn generate() -> Self {
        let mut key = Locked::zeroed();
        getrandom::fill(key.bytes_mut()).expect("the operating system gives randomness");
        Self(key)
    }

    /// The key from its bytes, which the caller wipes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Locked::zeroed();
        key.bytes_mut().copy_from_slice(bytes);
        Self(key)
    }

    /// The same key in locked memory of its own, for a task that outlives whoever has this one.
    pub(crate) fn again(&self) -> Self {
        Self::from_bytes(self.expose())
    }

    /// Whether the system keeps this key out of the swap space.
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// The bytes, for splitting only.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// The age recipient of this key.
    pub fn recipient(&self) -> Recipient {
        Recipient::of(&self.to_age())
    }

    /// The root signing key: ed25519 from HKDF-SHA-256 (RFC 5869, no salt), info `lifeboat/v1/root-signing`.
    pub fn root_signer(&self) -> Signer {
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.expose())
            .expand(ROOT_SIGNING, seed.as_mut())
            .expect("32 bytes is a valid length for HKDF-SHA-256");
        Signer::from_seed(&seed)
    }

    /// The key of version ids that every host of this recovery key gets when it is set up.
    pub fn version_key(&self) -> VersionKey {
        VersionKey::derive(self.expose())
    }

    /// The age crate takes an identity only as text; this text is wiped, the crate wipes its own copies.
    pub(super) fn to_age(&self) -> age::x25519::Identity {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_KEY_CHARS));
        bech32::encode_upper_to_fmt::<bech32::Bech32, _>(&mut *text, SECRET_KEY_PREFIX, self.expose())
            .expect("32 bytes fit a bech32 string");
        text.parse().expect("the text was encoded as age writes it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 32] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
        30, 31,
    ];

    #[test]
    fn derivations_match_age_keygen_and_an_independent_hkdf() {
        let key = RecoveryKey::from_bytes(&BYTES);
        assert_eq!(key.recipient().to_string(), "age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh");
        assert_eq!(
            hex::encode(key.root_signer().public().to_bytes()),
            "02551f39941d5a35a226d2bed3628feaf2399f09bd019101434840110d8dac7d"
        );
    }

    #[test]
    fn keys_differ_and_are_locked() {
        let (one, two) = (RecoveryKey::generate(), RecoveryKey::generate());
        assert_ne!(one.expose(), two.expose());
        assert_ne!(one.recipient(), two.recipient());
        assert_ne!(one.expose(), &[0; 32]);
        #[cfg(target_os = "linux")]
        assert!(one.is_locked() && two.is_locked());
    }
}
