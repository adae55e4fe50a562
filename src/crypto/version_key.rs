//! The key behind version ids that the service does not give: of a file, of a KV engine without versions.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{KeyFileError, mark::hmac_of_fields};

const DERIVED: &[u8] = b"lifeboat/v1/version-key";
const VERSION_ID: &[u8] = b"lifeboat/v1/version-id";
const PREFIX: &str = "LIFEBOAT-VERSION-KEY-1-";
const COMMENT: &str = "# This key turns a value into a version id. Keep it as secret as the index key: with both, weak values can be guessed.\n";
/// Bytes of the HMAC in an id.
const ID_BYTES: usize = 16;

/// Names a value without saying anything about it: a plain digest in an index would let the holder of the index key guess
/// weak values. No Debug, Clone or Serialize; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::VersionKey::generate();
/// println!("{key:?}");
/// ```
pub struct VersionKey(Zeroizing<[u8; 32]>);

impl VersionKey {
    /// A new random key, for a host that was set up without one.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub fn generate() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut()).expect("the operating system gives randomness");
        Self(key)
    }

    /// HKDF-SHA-256 (RFC 5869, no salt) of the recovery key, info `lifeboat/v1/version-key`: every host of one recovery key
    /// gets the same.
    pub(super) fn derive(secret: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, secret)
            .expand(DERIVED, key.as_mut())
            .expect("32 bytes is a valid length for HKDF-SHA-256");
        Self(key)
    }

    /// Reads the text of a key file: comments, and one line `LIFEBOAT-VERSION-KEY-1-` with 64 hex digits.
    ///
    /// # Errors
    /// When there is not exactly one key.
    pub fn from_file(text: &str) -> Result<Self, KeyFileError> {
        const WRONG: KeyFileError = KeyFileError { expected: "a file with exactly one LIFEBOAT-VERSION-KEY" };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(WRONG) };
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(line.strip_prefix(PREFIX).ok_or(WRONG)?, &mut key[..]).map_err(|_| WRONG)?;
        Ok(Self(key))
    }

    /// The key file's text.
    pub fn to_file(&self) -> Zeroizing<String> {
        let mut digits = Zeroizing::new([0; 64]);
        hex::encode_to_slice(&self.0[..], &mut digits[..]).expect("the text is twice as long");
        // The exact capacity: a growing string would leave unwiped copies behind.
        let mut text = Zeroizing::new(String::with_capacity(COMMENT.len() + PREFIX.len() + digits.len() + 1));
        text.push_str(COMMENT);
        text.push_str(PREFIX);
        text.push_str(std::str::from_utf8(&digits[..]).expect("hex digits are ASCII"));
        text.push('\n');
        text
    }

    /// The version id of a value: 32 hex digits, the first half of HMAC-SHA-256 over a word of its own, the secret's name
    /// and the value, each after its length. The same value under another name has another id.
    pub fn version_id(&self, name: &str, value: &[u8]) -> String {
        let mac = hmac_of_fields(&self.0, &[VERSION_ID, name.as_bytes(), value]);
        hex::encode(&mac[..ID_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recomputed with Python's hmac module: PRK = HMAC(32 zeros, key), key = HMAC(PRK, "lifeboat/v1/version-key" 01),
    /// id = HMAC(key, 00000016 "lifeboat/v1/version-id" 00000004 ".env" 00000003 "A=1" 01), first 16 bytes.
    #[test]
    fn an_id_is_what_an_independent_hmac_says() {
        let key = VersionKey::derive(&[7; 32]);
        assert_eq!(key.version_id(".env", b"A=1"), "889216f93bfd382400077847e67eb723");
    }

    #[test]
    fn an_id_belongs_to_one_key_name_and_value() {
        let key = VersionKey::derive(&[1; 32]);
        let id = key.version_id("ab", b"c");
        assert_eq!(key.version_id("ab", b"c"), id);
        for other in [key.version_id("a", b"bc"), key.version_id("abc", b""), key.version_id("ab", b"d")] {
            assert!(other != id && other.len() == 32);
        }
        assert_ne!(VersionKey::derive(&[2; 32]).version_id("ab", b"c"), id);
        assert_ne!(VersionKey::generate().version_id("ab", b"c"), VersionKey::generate().version_id("ab", b"c"));
    }

    #[test]
    fn a_file_reads_back_and_others_are_refused() {
        let key = VersionKey::generate();
        let text = key.to_file();
        let read = VersionKey::from_file(&text.replace('\n', "\r\n")).unwrap();
        assert_eq!(read.version_id("n", b"v"), key.version_id("n", b"v"));
        let twice = format!("{}{}", *text, *text);
        for bad in ["", "# nothing\n", &twice, &text[..text.len() - 2], &text.replace("KEY-1-", "KEY-2-")] {
            let error = VersionKey::from_file(bad).err().expect("refused");
            assert!(error.to_string().len() < 80, "the text names no key");
        }
    }
}
