//! The key behind the marks of drills: only who has the signer can make one, and one fits a single purpose.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const DRILL_MARK: &[u8] = b"lifeboat/v1/drill-mark";

/// Makes and checks marks. No Debug, Clone or Serialize; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::Signer::generate().mark_key();
/// println!("{key:?}");
/// ```
pub struct MarkKey(Zeroizing<[u8; 32]>);

impl MarkKey {
    /// Derived by HKDF-SHA-256 (RFC 5869, no salt) from an ed25519 seed, info `lifeboat/v1/drill-mark`.
    pub(super) fn derive(seed: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, seed)
            .expand(DRILL_MARK, key.as_mut())
            .expect("32 bytes is a valid length for HKDF-SHA-256");
        Self(key)
    }

    /// HMAC-SHA-256 over the fields: HKDF-Expand with this key and, as info, each field after its length in four bytes.
    pub fn mark(&self, fields: &[&[u8]]) -> [u8; 32] {
        hmac_of_fields(&self.0, fields)
    }

    /// Whether `mark` is the one of these fields.
    pub fn is_mark(&self, fields: &[&[u8]], mark: &[u8]) -> bool {
        self.mark(fields)[..].ct_eq(mark).into()
    }
}

/// HMAC-SHA-256 over fields, each after its length in four bytes, so that no two lists of fields are the same message.
pub(super) fn hmac_of_fields(key: &[u8; 32], fields: &[&[u8]]) -> [u8; 32] {
    let lengths: Vec<[u8; 4]> =
        fields.iter().map(|field| u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes()).collect();
    let info: Vec<&[u8]> = lengths.iter().zip(fields).flat_map(|(length, field)| [&length[..], field]).collect();
    let mut mac = [0; 32];
    Hkdf::<Sha256>::from_prk(key)
        .expect("32 bytes is the length of a SHA-256")
        .expand_multi_info(&info, &mut mac)
        .expect("32 bytes is a valid length for HKDF-SHA-256");
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recomputed with Python's hmac module: PRK = HMAC(32 zeros, seed), key = HMAC(PRK, "lifeboat/v1/drill-mark" 01),
    /// mark = HMAC(key, 00000002 "ab" 00000001 "c" 01).
    #[test]
    fn a_mark_is_what_an_independent_hmac_says() {
        let key = MarkKey::derive(&[7; 32]);
        assert_eq!(
            hex::encode(key.mark(&[b"ab", b"c"])),
            "a7074cdeebc2bf0c7a0f0f94d19c2959655b477787acdec017a2094d85fe0641"
        );
    }

    #[test]
    fn a_mark_fits_its_key_and_its_fields_alone() {
        let (key, other) = (MarkKey::derive(&[1; 32]), MarkKey::derive(&[2; 32]));
        let mark = key.mark(&[b"ab", b"c"]);
        assert!(key.is_mark(&[b"ab", b"c"], &mark));
        assert!(!other.is_mark(&[b"ab", b"c"], &mark));
        for fields in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""], &[b"ab", b"d"], &[]] {
            assert!(!key.is_mark(fields, &mark), "{fields:?}");
        }
        assert!(!key.is_mark(&[b"ab", b"c"], &mark[..31]) && !key.is_mark(&[b"ab", b"c"], &[]));
    }
}
