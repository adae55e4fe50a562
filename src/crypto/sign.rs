//! OpenSSH signatures (SSHSIG, ed25519), which `ssh-keygen -Y verify` checks on any machine
//! (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig>).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::KeyFileError;

/// What a signature is for; a signature for one purpose never counts for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `lifeboat-epoch`: key epochs, by their root.
    Epoch,
    /// `lifeboat-manifest`: snapshots, by a signer.
    Manifest,
    /// `lifeboat-drill`: drill records, by a signer.
    Drill,
    /// `lifeboat-audit`: audit entries, by a signer.
    Audit,
}

impl Namespace {
    /// The SSHSIG namespace.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "lifeboat-epoch",
            Self::Manifest => "lifeboat-manifest",
            Self::Drill => "lifeboat-drill",
            Self::Audit => "lifeboat-audit",
        }
    }
}

/// An ed25519 public key, written `ssh-ed25519 AAAA…` without a comment.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

/// An ed25519 signing key: a root's, or the backup host's. No Debug, Clone or Serialize.
pub struct Signer {}

/// A signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not an armored SSHSIG.
    #[error("not an OpenSSH signature")]
    Malformed,
    /// Made by a key that is not the expected one.
    #[error("signed by another key ({0})")]
    OtherKey(String),
    /// Made for another purpose.
    #[error("signed for another purpose ({0})")]
    OtherNamespace(String),
    /// The bytes are not what was signed.
    #[error("the signature does not match the content")]
    Mismatch,
}

impl PublicKey {
    /// The 32 bytes of the ed25519 key, as the share fingerprint hashes them.
    pub fn to_bytes(&self) -> [u8; 32] {
        todo!()
    }

    /// `SHA256:…`, as ssh-keygen -l prints it.
    pub fn fingerprint(&self) -> String {
        todo!()
    }
}

impl Signer {
    /// A new random key.
    pub fn generate() -> Self {
        todo!()
    }

    /// From a 32-byte ed25519 seed.
    pub(super) fn from_seed(_seed: &[u8; 32]) -> Self {
        todo!()
    }

    /// Reads an unencrypted OpenSSH private key file.
    ///
    /// # Errors
    /// When it is not one, is encrypted, or is not ed25519.
    pub fn from_file(_text: &str) -> Result<Self, KeyFileError> {
        todo!()
    }

    /// The OpenSSH private key file's text.
    pub fn to_file(&self) -> zeroize::Zeroizing<String> {
        todo!()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        todo!()
    }

    /// An armored SSHSIG over `message`.
    pub fn sign(&self, _namespace: Namespace, _message: &[u8]) -> String {
        todo!()
    }
}

/// Checks that `signature` (armored SSHSIG) is `key`'s, for `namespace`, over exactly `message`.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify(
    _key: &PublicKey,
    _namespace: Namespace,
    _message: &[u8],
    _signature: &str,
) -> Result<(), SignatureError> {
    todo!()
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicKey {
    type Err = KeyFileError;

    fn from_str(_text: &str) -> Result<Self, KeyFileError> {
        todo!()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyFileError;

    fn try_from(text: String) -> Result<Self, KeyFileError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.0
    }
}
