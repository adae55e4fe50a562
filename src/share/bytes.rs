//! The 46 bytes of a share.
//!
//! | bytes | field |
//! |---|---|
//! | 0 | version (high nibble, 1) and key kind (low nibble, 0 is age X25519) |
//! | 1, 2, 3 | threshold k, total n, index x |
//! | 4..8 | share-set id |
//! | 8..40 | y: the share of the 32 secret bytes, GF(2^8), polynomial 0x11d |
//! | 40..46 | key fingerprint |

use zeroize::Zeroizing;

use super::{KeyFingerprint, ShareFault, ShareSetId};
use crate::model::Digest;

/// How many bytes a share has.
pub(super) const LENGTH: usize = 46;
const VERSION_AND_KIND: u8 = 0x10;

/// The bytes of a share whose fields do not contradict each other. No Debug, Clone or Serialize; wiped on drop.
pub(super) struct ShareBytes(Zeroizing<[u8; LENGTH]>);

/// What all shares of one set have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Common {
    pub(super) threshold: u8,
    pub(super) total: u8,
    pub(super) set: ShareSetId,
    pub(super) fingerprint: KeyFingerprint,
}

impl ShareBytes {
    pub(super) fn new(common: Common, index: u8, y: &[u8; 32]) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..4].copy_from_slice(&[VERSION_AND_KIND, common.threshold, common.total, index]);
        bytes[4..8].copy_from_slice(&common.set.0);
        bytes[8..40].copy_from_slice(y);
        bytes[40..].copy_from_slice(&common.fingerprint.0);
        Self(bytes)
    }

    /// Takes bytes whose checksum was right.
    pub(super) fn checked(bytes: Zeroizing<[u8; LENGTH]>) -> Result<Self, ShareFault> {
        let [head, threshold, total, index] = [bytes[0], bytes[1], bytes[2], bytes[3]];
        match head {
            VERSION_AND_KIND => {}
            0x00..0x10 => return Err(ShareFault::Impossible("version 0")),
            _ => return Err(ShareFault::Newer),
        }
        if threshold < 2 {
            return Err(ShareFault::Impossible("a threshold below 2"));
        }
        if threshold > total {
            return Err(ShareFault::Impossible("a threshold above the number of sheets"));
        }
        if index == 0 || index > total {
            return Err(ShareFault::Impossible("a sheet number outside its set"));
        }
        Ok(Self(bytes))
    }

    pub(super) fn all(&self) -> &[u8; LENGTH] {
        &self.0
    }

    pub(super) fn common(&self) -> Common {
        let mut fingerprint = [0; 6];
        fingerprint.copy_from_slice(&self.0[40..]);
        Common {
            threshold: self.0[1],
            total: self.0[2],
            set: ShareSetId([self.0[4], self.0[5], self.0[6], self.0[7]]),
            fingerprint: KeyFingerprint(fingerprint),
        }
    }

    pub(super) fn index(&self) -> u8 {
        self.0[3]
    }

    /// x, then y: the order the Shamir crates and `gfcombine` use.
    pub(super) fn point(&self) -> Zeroizing<[u8; 33]> {
        let mut point = Zeroizing::new([0; 33]);
        point[0] = self.index();
        point[1..].copy_from_slice(&self.0[8..40]);
        point
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut [u8; LENGTH])) -> Option<ShareFault> {
        let common =
            Common { threshold: 3, total: 5, set: ShareSetId([1, 2, 3, 4]), fingerprint: KeyFingerprint([5; 6]) };
        let mut bytes = Zeroizing::new(*ShareBytes::new(common, 4, &[9; 32]).all());
        change(&mut bytes);
        ShareBytes::checked(bytes).err()
    }

    #[test]
    fn the_layout_is_frozen() {
        let common =
            Common { threshold: 3, total: 5, set: ShareSetId([1, 2, 3, 4]), fingerprint: KeyFingerprint([5; 6]) };
        let share = ShareBytes::new(common, 4, &[9; 32]);
        assert_eq!(hex::encode(share.all()), format!("1003050401020304{}{}", "09".repeat(32), "05".repeat(6)));
        assert!(share.common() == common && share.index() == 4);
        assert_eq!(share.point()[..2], [4, 9]);
        assert_eq!(fault(|_| ()), None);
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        let impossible = |change: fn(&mut [u8; LENGTH])| matches!(fault(change), Some(ShareFault::Impossible(_)));
        assert!(impossible(|bytes| bytes[3] = 0), "x = 0 would decide the secret");
        assert!(impossible(|bytes| bytes[3] = 6));
        assert!(impossible(|bytes| bytes[1] = 0));
        assert!(impossible(|bytes| bytes[1] = 1));
        assert!(impossible(|bytes| bytes[1] = 6));
        assert!(impossible(|bytes| bytes[2] = 0));
        assert!(impossible(|bytes| bytes[0] = 0));
        for head in [0x11, 0x1f, 0x20, 0xff] {
            assert_eq!(fault(|bytes| bytes[0] = head), Some(ShareFault::Newer));
        }
    }
}
