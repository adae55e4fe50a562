//! Secret values: no Debug, no Clone, no Serialize, wiped on drop.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a value is; kinds are never mixed up, even when the bytes are valid text, or the text is a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// Text (AWS: `SecretString`).
    Text,
    /// Bytes (AWS: `SecretBinary`).
    Bytes,
    /// One JSON object, as canonical text.
    Fields,
}

/// The value of one version, byte-exact.
pub enum SecretValue {
    /// Text.
    Text(Zeroizing<String>),
    /// Bytes.
    Bytes(Zeroizing<Vec<u8>>),
    /// One JSON object, as canonical text.
    Fields(Zeroizing<String>),
}

impl SecretValue {
    /// Wraps text.
    pub fn text(text: String) -> Self {
        Self::Text(Zeroizing::new(text))
    }

    /// Wraps bytes.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes(Zeroizing::new(bytes))
    }

    /// Wraps the canonical text of a JSON object; it is not looked into.
    pub fn fields(text: String) -> Self {
        Self::Fields(Zeroizing::new(text))
    }

    /// What it is.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Text(_) => ValueKind::Text,
            Self::Bytes(_) => ValueKind::Bytes,
            Self::Fields(_) => ValueKind::Fields,
        }
    }

    /// The length in bytes, as a record states it.
    ///
    /// # Panics
    /// Beyond 4 GiB; a pack has no room for 16 MiB.
    pub fn size(&self) -> u32 {
        u32::try_from(self.expose().len()).expect("no provider's value, and no line of a pack, is that long")
    }

    /// The bytes, for sealing and for the provider's request only.
    pub fn expose(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::Fields(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Whether kind and bytes are the same; time depends on the length only.
    pub fn same_as(&self, other: &Self) -> bool {
        self.kind() == other.kind() && bool::from(self.expose().ct_eq(other.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_of_another_kind_are_another_value() {
        let all =
            || [SecretValue::text("{}".into()), SecretValue::bytes(b"{}".to_vec()), SecretValue::fields("{}".into())];
        for (at, one) in all().iter().enumerate() {
            assert_eq!((one.size(), one.expose()), (2, b"{}".as_slice()));
            assert!(all().iter().enumerate().all(|(other, value)| one.same_as(value) == (at == other)));
        }
    }
}
