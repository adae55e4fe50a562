//! From the key to its shares.

use std::convert::Infallible;

use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use sharks::Sharks;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Gathering, KeyFingerprint, ShareSetId,
    bytes::{Common, ShareBytes},
    rows, text,
};
use crate::{crypto::RecoveryKey, model::Digest};

/// A share as made by [`split`]. No Debug, Clone or Serialize; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::RecoveryKey::generate();
/// println!("{:?}", lifeboat::share::split(&key, 2, 3).unwrap());
/// ```
pub struct Share(ShareBytes);

/// Why there are no shares.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SplitError {
    /// Not 2 ≤ threshold ≤ total ≤ 255.
    #[error("threshold {threshold} of {total} is not possible (2 ≤ threshold ≤ shares ≤ 255)")]
    Threshold {
        /// Asked threshold.
        threshold: u32,
        /// Asked total.
        total: u32,
    },
    /// The shares were read back and did not give the key: faulty memory, or a bug. None may be used.
    #[error("the new shares do not recover the key, so no sheet was made")]
    NotProven,
}

/// Splits `key` into `total` shares of which `threshold` recover it. Proves before it returns that shares recover the
/// key: each is read back from its text and takes part in a recovery.
///
/// # Errors
/// See [`SplitError`].
///
/// # Panics
/// When the operating system gives no randomness.
pub fn split(key: &RecoveryKey, threshold: u8, total: u8) -> Result<Vec<Share>, SplitError> {
    let mut set = [0; 4];
    SystemRandom.try_fill_bytes(&mut set).expect("it cannot fail");
    split_with(key, threshold, total, ShareSetId(set), &mut SystemRandom)
}

/// [`split`] with the set and the randomness as parameters.
pub(super) fn split_with<R: CryptoRng>(
    key: &RecoveryKey,
    threshold: u8,
    total: u8,
    set: ShareSetId,
    random: &mut R,
) -> Result<Vec<Share>, SplitError> {
    if threshold < 2 || threshold > total {
        return Err(SplitError::Threshold { threshold: threshold.into(), total: total.into() });
    }
    let common = Common { threshold, total, set, fingerprint: KeyFingerprint::of_key(key) };
    let shares: Vec<Share> = Sharks(threshold)
        .dealer_rng(key.expose(), random)
        .take(total.into())
        .map(|point| share(common, &point))
        .collect();
    if proven(&shares, key, threshold.into()) { Ok(shares) } else { Err(SplitError::NotProven) }
}

impl Share {
    /// The index x, 1..=255.
    pub fn index(&self) -> u8 {
        self.0.index()
    }

    /// The share set.
    pub fn set(&self) -> ShareSetId {
        self.0.common().set
    }

    /// The key.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.0.common().fingerprint
    }

    /// SHA-256 of the 46 bytes; safe to publish, since 32 of them are random.
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    /// The whole text in one piece, `LB1…`, as the QR code holds it.
    pub fn text(&self) -> Zeroizing<String> {
        text::encode(&self.0)
    }

    /// The text as rows for typing: groups of four and a check at the end of each row.
    ///
    /// `LB1` is not part of them; reading does not need it.
    pub fn rows(&self) -> Vec<Zeroizing<String>> {
        rows::print(&self.text()[text::START.len()..])
    }
}

fn share(common: Common, point: &sharks::Share) -> Share {
    let point = Zeroizing::new(Vec::from(point));
    let mut y = Zeroizing::new([0; 32]);
    y.copy_from_slice(&point[1..]);
    Share(ShareBytes::new(common, point[0], &y))
}

/// Whether every share, read back from its own text, takes part in a quorum that gives `key`.
fn proven(shares: &[Share], key: &RecoveryKey, threshold: usize) -> bool {
    (0..shares.len()).step_by(threshold).all(|from| {
        let mut gathering = Gathering::new(Vec::new());
        let members = shares.iter().cycle().skip(from).take(threshold);
        let taken = members.into_iter().all(|share| gathering.add("a new sheet", &share.text()).is_ok());
        let recovered = gathering.quorum().and_then(|quorum| quorum.recover());
        taken && recovered.is_ok_and(|recovered| bool::from(recovered.expose().ct_eq(key.expose())))
    })
}

/// The operating system's randomness, nothing between.
struct SystemRandom;

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        getrandom::fill(bytes).expect("the operating system gives randomness");
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::fsutil::{self, Access, Existing};

    /// Repeats one byte: shares that can be known beforehand.
    struct Constant(u8);

    impl TryRng for Constant {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(u32::from_le_bytes([self.0; 4]))
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(u64::from_le_bytes([self.0; 8]))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    impl TryCryptoRng for Constant {}

    #[test]
    fn the_polynomial_is_over_the_field_11d() {
        let key = RecoveryKey::from_bytes(&[0x53; 32]);
        let shares = split_with(&key, 2, 3, ShareSetId([0; 4]), &mut Constant(0x80)).unwrap();
        let y = |at: usize| shares[at].0.point()[1];
        let slope = y(0) ^ 0x53;
        assert!(slope & 0x80 != 0, "the product overflows, so the polynomial shows");
        // 2 · slope in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1.
        assert_eq!(y(1), 0x53 ^ (slope << 1) ^ 0x1d);
        assert_eq!(y(2), 0x53 ^ slope ^ (slope << 1) ^ 0x1d);
    }

    #[test]
    fn the_coefficients_are_not_used_twice() {
        let key = RecoveryKey::generate();
        let (one, two) = (split(&key, 2, 2).unwrap(), split(&key, 2, 2).unwrap());
        assert_ne!(one[0].set(), two[0].set());
        assert_ne!(one[0].0.point()[1..], two[0].0.point()[1..]);
        assert_eq!(one[0].fingerprint(), two[0].fingerprint());
    }

    #[test]
    fn shares_that_do_not_recover_are_not_handed_out() {
        let key = RecoveryKey::generate();
        let mut shares = split(&key, 2, 3).unwrap();
        assert!(proven(&shares, &key, 2));
        assert!(!proven(&shares, &RecoveryKey::generate(), 2));
        let common = shares[2].0.common();
        shares[2] = Share(ShareBytes::new(common, 3, &[7; 32]));
        assert!(!proven(&shares, &key, 2), "the last one takes part too");
    }

    /// Debian's libgfshare knows nothing of this tool.
    #[test]
    fn gfcombine_recovers_the_same_key() {
        let key = RecoveryKey::generate();
        let shares = split(&key, 3, 7).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for members in [[2, 4, 5], [1, 6, 7], [7, 3, 2]] {
            let names: Vec<String> = members.iter().map(|x| format!("share.{x:03}")).collect();
            for (name, x) in names.iter().zip(members) {
                let point = shares[x - 1].0.point();
                fsutil::write(&folder.path().join(name), &point[1..], Access::Private, Existing::Replace).unwrap();
            }
            let status = Command::new("gfcombine").args(["-o", "key"]).args(&names).current_dir(&folder).status();
            assert!(status.expect("gfcombine is installed (libgfshare-bin)").success());
            assert_eq!(fsutil::read(&folder.path().join("key")).unwrap(), key.expose());
        }
    }
}
