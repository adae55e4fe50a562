//! Key files of the backup host.

use super::Recipient;

/// The age identity that opens indexes, and nothing else.
pub struct IndexKey {}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not {expected}")]
pub struct KeyFileError {
    /// What the file should have held, such as "an age identity".
    pub expected: &'static str,
}

impl IndexKey {
    /// A new random key.
    pub fn generate() -> Self {
        todo!()
    }

    /// Reads the text of an age identity file (comments allowed, exactly one X25519 identity).
    ///
    /// # Errors
    /// When there is not exactly one identity.
    pub fn from_file(_text: &str) -> Result<Self, KeyFileError> {
        todo!()
    }

    /// The identity file's text: a comment with the recipient, then the identity.
    pub fn to_file(&self) -> zeroize::Zeroizing<String> {
        todo!()
    }

    /// The recipient indexes are sealed to.
    pub fn recipient(&self) -> Recipient {
        todo!()
    }
}
