//! Secret values: no Debug, no Clone, no Serialize, wiped on drop.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Whether a value is text or bytes; the two are never mixed up, even when the bytes are valid text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// `SecretString`.
    String,
    /// `SecretBinary`.
    Binary,
}

/// The value of one version, byte-exact.
pub enum SecretValue {
    /// Text.
    String(Zeroizing<String>),
    /// Bytes.
    Binary(Zeroizing<Vec<u8>>),
}

impl SecretValue {
    /// Wraps text.
    pub fn string(text: String) -> Self {
        Self::String(Zeroizing::new(text))
    }

    /// Wraps bytes.
    pub fn binary(bytes: Vec<u8>) -> Self {
        Self::Binary(Zeroizing::new(bytes))
    }

    /// Text or bytes.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::String(_) => ValueKind::String,
            Self::Binary(_) => ValueKind::Binary,
        }
    }

    /// The bytes, for sealing and for the provider's request only.
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::String(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Whether kind and bytes are the same; time depends on the length only.
    pub fn same_as(&self, other: &Self) -> bool {
        self.kind() == other.kind() && bool::from(self.expose().ct_eq(other.expose()))
    }
}
