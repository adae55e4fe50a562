//! From enough shares to the key.

use sharks::Sharks;
use zeroize::Zeroizing;

use super::{KeyFingerprint, UntrustedShare};
use crate::crypto::RecoveryKey;

/// How many subsets of the sheets are tried to find out which of them are wrong.
const SUBSETS: usize = 1000;

/// Why there is no key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoQuorum {
    /// Too few sheets.
    #[error("have {have} of {need} sheets")]
    TooFew {
        /// Taken.
        have: usize,
        /// Needed; 0 when nothing was taken and no register is known.
        need: usize,
    },
    /// The shares do not give the key they claim; names those known to be wrong, if any can be told.
    #[error("the sheets do not fit together{}", suspects_text(.suspects))]
    Inconsistent {
        /// Sheets found to be wrong by cross-check with surplus sheets.
        suspects: Vec<String>,
    },
}

/// At least `threshold` distinct shares of one set that contradict neither each other nor the register.
pub struct Quorum {
    /// All of one set, threshold and fingerprint, no index twice; at least `need`, at least 2.
    taken: Vec<Taken>,
    need: usize,
    epoch: Option<u32>,
}

/// A share that was judged and taken.
pub(super) struct Taken {
    pub(super) share: UntrustedShare,
    /// The custodian, or `sheet 3`.
    pub(super) name: String,
}

/// Makes a quorum of shares that a gathering has judged.
pub(super) fn complete(taken: Vec<Taken>, need: usize, epoch: Option<u32>) -> Result<Quorum, NoQuorum> {
    if taken.is_empty() || taken.len() < need {
        return Err(NoQuorum::TooFew { have: taken.len(), need });
    }
    Ok(Quorum { taken, need, epoch })
}

impl Quorum {
    /// How many sheets, the surplus included.
    pub fn sheets(&self) -> usize {
        self.taken.len()
    }

    /// The epoch, when a register named it.
    pub fn epoch(&self) -> Option<u32> {
        self.epoch
    }

    /// The key: it counts only when its derived root key and recipient give the fingerprint on every
    /// share, and every surplus share lies on the same polynomial.
    ///
    /// # Errors
    /// [`NoQuorum::Inconsistent`].
    pub fn recover(&self) -> Result<RecoveryKey, NoQuorum> {
        let first: Vec<usize> = (0..self.need).collect();
        let key = self.key_of(&first);
        if self.is_the_key(&key) && self.outsiders(&first, &key).is_empty() {
            return Ok(key);
        }
        Err(NoQuorum::Inconsistent { suspects: self.suspects() })
    }

    /// Interpolates. Every condition the crate does not check holds by construction of a quorum.
    fn key_of(&self, members: &[usize]) -> RecoveryKey {
        let points: Vec<sharks::Share> = members
            .iter()
            .map(|&at| self.taken[at].share.bytes().point())
            .map(|point| sharks::Share::try_from(&point[..]).expect("33 bytes are a point"))
            .collect();
        let threshold = u8::try_from(self.need).expect("a threshold is at most 255");
        let secret = Sharks(threshold).recover(&points).expect("the indices are distinct and enough");
        let secret = Zeroizing::new(secret);
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&secret);
        RecoveryKey::from_bytes(&bytes)
    }

    fn is_the_key(&self, key: &RecoveryKey) -> bool {
        let fingerprint = KeyFingerprint::of_key(key);
        self.taken.iter().all(|taken| taken.share.fingerprint() == fingerprint)
    }

    /// The shares that do not lie on the polynomial of `members`, which give `key`: one of them replaced by such a
    /// share gives another secret, since the indices differ and none is 0.
    fn outsiders(&self, members: &[usize], key: &RecoveryKey) -> Vec<usize> {
        (0..self.taken.len())
            .filter(|at| !members.contains(at))
            .filter(|&at| {
                let mut replaced = members.to_vec();
                replaced[0] = at;
                self.key_of(&replaced).expose() != key.expose()
            })
            .collect()
    }

    /// The names of the shares outside the first subset that gives the key; empty when none does.
    fn suspects(&self) -> Vec<String> {
        subsets(self.taken.len(), self.need)
            .take(SUBSETS)
            .find_map(|members| {
                let key = self.key_of(&members);
                self.is_the_key(&key).then(|| self.outsiders(&members, &key))
            })
            .unwrap_or_default()
            .into_iter()
            .map(|at| self.taken[at].name.clone())
            .collect()
    }
}

/// The ascending `size`-element subsets of `0..of`, in lexicographic order.
fn subsets(of: usize, size: usize) -> impl Iterator<Item = Vec<usize>> {
    let first = (size <= of).then(|| (0..size).collect::<Vec<_>>());
    std::iter::successors(first, move |last| {
        let at = (0..size).rev().find(|&at| last[at] < of - size + at)?;
        let mut next = last.clone();
        for (offset, place) in next[at..].iter_mut().enumerate() {
            *place = last[at] + 1 + offset;
        }
        Some(next)
    })
}

fn suspects_text(suspects: &[String]) -> String {
    if suspects.is_empty() { String::new() } else { format!(": wrong is {}", suspects.join(", ")) }
}
