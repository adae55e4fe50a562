//! The public half of an age identity.

use std::{fmt, str::FromStr};

use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use serde::{Deserialize, Serialize};

const PREFIX: Hrp = Hrp::parse_unchecked("age");

/// An age X25519 recipient, `age1…` (<https://c2sp.org/age>).
///
/// Always the one canonical text of its 32 bytes, so equal keys are equal texts.
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
        decode(&self.0).expect("a recipient is made only from text that decodes")
    }

    pub(super) fn of(identity: &age::x25519::Identity) -> Self {
        Self(identity.to_public().to_string())
    }

    pub(super) fn to_age(&self) -> age::x25519::Recipient {
        self.0.parse().expect("a recipient is made only from text that age reads")
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

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let bytes = decode(text).ok_or(RecipientError)?;
        let canonical = bech32::encode_lower::<Bech32>(PREFIX, &bytes).map_err(|_| RecipientError)?;
        let readable = text.parse::<age::x25519::Recipient>().is_ok();
        if canonical == text && readable { Ok(Self(canonical)) } else { Err(RecipientError) }
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

fn decode(text: &str) -> Option<[u8; 32]> {
    let parsed = CheckedHrpstring::new::<Bech32>(text).ok()?;
    if parsed.hrp() != PREFIX {
        return None;
    }
    parsed.byte_iter().collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn text_and_bytes_are_one() {
        let recipient: Recipient = GOOD.parse().unwrap();
        assert_eq!(recipient.to_string(), GOOD);
        let bytes = recipient.to_bytes();
        assert_eq!(bech32::encode_lower::<Bech32>(PREFIX, &bytes).unwrap(), GOOD);
        assert_eq!(recipient.to_age().to_string(), GOOD);
    }

    #[test]
    fn anything_else_is_refused() {
        let with =
            |prefix: &str, bytes: &[u8]| bech32::encode_lower::<Bech32>(Hrp::parse_unchecked(prefix), bytes).unwrap();
        let bech32m = bech32::encode_lower::<bech32::Bech32m>(PREFIX, &[7; 32]).unwrap();
        for bad in [
            "",
            "age1",
            &GOOD.to_uppercase(),
            &format!(" {GOOD}"),
            &format!("{GOOD}\n"),
            &GOOD[..GOOD.len() - 1],
            &GOOD.replace("zvky", "zvkk"),
            &with("age", &[7; 31]),
            &with("age", &[7; 33]),
            &with("agf", &[7; 32]),
            &bech32m,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
        ] {
            assert!(bad.parse::<Recipient>().is_err(), "{bad:?}");
        }
    }
}
