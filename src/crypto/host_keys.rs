//! Key files of the backup host.

use age::secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::Recipient;

/// The age identity that opens indexes, and nothing else. No Debug, Clone or Serialize; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::IndexKey::generate();
/// println!("{key:?}");
/// ```
pub struct IndexKey(age::x25519::Identity);

/// The age identity of a sandbox: opens what snapshots sealed to it for drills, and nothing else. No Debug, Clone or
/// Serialize; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::DrillKey::generate();
/// println!("{key:?}");
/// ```
pub struct DrillKey(IndexKey);

impl DrillKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(IndexKey::generate())
    }

    /// Reads the text of an age identity file.
    ///
    /// # Errors
    /// When there is not exactly one identity.
    pub fn from_file(text: &str) -> Result<Self, KeyFileError> {
        IndexKey::from_file(text).map(Self)
    }

    /// The identity file's text.
    pub fn to_file(&self) -> Zeroizing<String> {
        self.0.to_file()
    }

    /// The recipient that snapshots seal to.
    pub fn recipient(&self) -> Recipient {
        self.0.recipient()
    }

    pub(super) fn as_age(&self) -> &age::x25519::Identity {
        self.0.as_age()
    }
}

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
        Self(age::x25519::Identity::generate())
    }

    /// Reads the text of an age identity file (comments allowed, exactly one X25519 identity).
    ///
    /// # Errors
    /// When there is not exactly one identity.
    pub fn from_file(text: &str) -> Result<Self, KeyFileError> {
        const WRONG: KeyFileError = KeyFileError { expected: "an age identity file with exactly one X25519 identity" };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.parse().map(Self).map_err(|_| WRONG),
            _ => Err(WRONG),
        }
    }

    /// The identity file's text: a comment with the recipient, then the identity.
    pub fn to_file(&self) -> Zeroizing<String> {
        let identity = self.0.to_string();
        // The exact capacity: a growing string would leave unwiped copies behind.
        let comment = format!("# public key: {}\n", self.recipient());
        let mut text = String::with_capacity(comment.len() + identity.expose_secret().len() + 1);
        text.push_str(&comment);
        text.push_str(identity.expose_secret());
        text.push('\n');
        Zeroizing::new(text)
    }

    /// The recipient indexes are sealed to.
    pub fn recipient(&self) -> Recipient {
        Recipient::of(&self.0)
    }

    pub(super) fn as_age(&self) -> &age::x25519::Identity {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back() {
        let key = IndexKey::generate();
        let text = key.to_file();
        assert!(text.starts_with("# public key: age1"));
        assert!(text.lines().nth(1).unwrap().starts_with("AGE-SECRET-KEY-1"));
        assert_eq!(IndexKey::from_file(&text).unwrap().recipient(), key.recipient());
        let windows = text.replace('\n', "\r\n");
        assert_eq!(IndexKey::from_file(&windows).unwrap().recipient(), key.recipient());
    }

    #[test]
    fn exactly_one_identity() {
        let (one, two) = (IndexKey::generate().to_file(), IndexKey::generate().to_file());
        let twice = format!("{}{}", *one, *two);
        let recipient = IndexKey::generate().recipient().to_string();
        let cut = &one[..one.len() - 5];
        for bad in ["", "# nothing\n", &twice, &recipient, cut, "AGE-PLUGIN-YUBIKEY-1QQQ"] {
            let error = IndexKey::from_file(bad).err().expect("refused");
            assert!(!error.to_string().contains("SECRET"), "the text names no key");
        }
    }
}
