//! The public half of an age identity.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An age X25519 recipient, `age1…` (<https://c2sp.org/age>).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient(String);

/// Text that is not an age X25519 recipient.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not an age X25519 recipient (expected age1…)")]
pub struct RecipientError;

impl Recipient {
    /// The 32 bytes of the X25519 public key, as the share fingerprint hashes them.
    pub fn to_bytes(&self) -> [u8; 32] {
        todo!()
    }

    pub(super) fn to_age(&self) -> age::x25519::Recipient {
        todo!()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(_text: &str) -> Result<Self, RecipientError> {
        todo!()
    }
}

impl TryFrom<String> for Recipient {
    type Error = RecipientError;

    fn try_from(text: String) -> Result<Self, RecipientError> {
        text.parse()
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> String {
        recipient.0
    }
}
