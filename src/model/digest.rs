//! Content digests and random identifiers.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Visitor};
use sha2::{Digest as _, Sha256};

/// Text that is not the lowercase hex of the expected length.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected} lowercase hex digits")]
pub struct ParseIdError {
    expected: usize,
}

/// Reads hex digits where they lie: indexes and manifests hold millions of them.
struct HexText<T>(PhantomData<T>);

impl<T: FromStr<Err = ParseIdError>> Visitor<'_> for HexText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Wraps raw bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first eight hex digits, for people.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 * $bytes];
                hex::encode_to_slice(self.0, &mut text).expect("the text is twice as long");
                f.write_str(std::str::from_utf8(&text).expect("hex digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $bytes];
                let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) if lower => Ok(Self(bytes)),
                    _ => Err(ParseIdError { expected: 2 * $bytes }),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(HexText(PhantomData))
            }
        }
    };
}

hex_id! {
    /// A SHA-256 digest, written as 64 lowercase hex digits.
    Digest, 32
}
hex_id! {
    /// The random identity of a repository; copies share it.
    RepositoryId, 16
}
hex_id! {
    /// The random identity of one snapshot or drill.
    SnapshotId, 16
}

macro_rules! random_id {
    ($($name:ident),+) => {
        $(impl $name {
            /// A new one.
            ///
            /// # Panics
            /// When the operating system gives no randomness.
            pub fn random() -> Self {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).expect("the operating system gives randomness");
                Self(bytes)
            }
        })+
    };
}

random_id!(RepositoryId, SnapshotId);

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The SHA-256 and the length of content that comes in pieces.
#[derive(Default)]
pub struct Hashing {
    state: Sha256,
    length: u64,
}

impl Hashing {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.length += piece.len() as u64;
    }

    /// Ends the content: its digest and its length in bytes.
    pub fn finish(self) -> (Digest, u64) {
        (Digest(self.state.finalize().into()), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole() {
        let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for size in [1, 63, 64, 65, 4096, 100_000] {
            let mut hashing = Hashing::default();
            content.chunks(size).for_each(|piece| hashing.update(piece));
            assert_eq!(hashing.finish(), (Digest::of(&content), 100_000), "pieces of {size}");
        }
        assert_eq!(Hashing::default().finish(), (Digest::of(b""), 0));
    }

    #[test]
    fn hex_is_strict() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{digest}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("7").is_err());
        for bad in ["", "e3b0", &digest.to_string().to_uppercase(), &format!("{digest}00")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
            assert!(serde_json::from_value::<Digest>(bad.into()).is_err(), "{bad}");
        }
    }
}
