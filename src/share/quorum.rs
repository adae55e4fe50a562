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
    #[error("the sheets do not match each other{}", suspects_text(.suspects))]
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
    if suspects.is_empty() { String::new() } else { format!("; wrong sheets: {}", suspects.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::{
        Gathering, Share,
        bytes::{LENGTH, ShareBytes},
        split, text,
    };

    /// A share with a right checksum whose bytes somebody changed.
    fn forged(share: &Share, change: impl FnOnce(&mut [u8; LENGTH])) -> Zeroizing<String> {
        let whole = share.text();
        let mut bytes = Zeroizing::new(*text::decode(&whole[text::START.len()..]).ok().unwrap().all());
        change(&mut bytes);
        text::encode(&ShareBytes::checked(bytes).ok().unwrap())
    }

    fn quorum(texts: &[Zeroizing<String>]) -> Quorum {
        let mut gathering = Gathering::new(Vec::new());
        for text in texts {
            gathering.add("a file", text).unwrap();
        }
        gathering.quorum().unwrap()
    }

    fn suspects(texts: &[Zeroizing<String>]) -> Vec<String> {
        match quorum(texts).recover() {
            Err(NoQuorum::Inconsistent { suspects }) => suspects,
            _ => panic!("a forged share was not noticed"),
        }
    }

    #[test]
    fn a_forged_share_never_gives_a_key() {
        let shares = split(&RecoveryKey::generate(), 3, 5).unwrap();
        for at in 8..40 {
            let bad = forged(&shares[3], |bytes| bytes[at] ^= 1);
            assert_eq!(suspects(&[shares[1].text(), bad, shares[4].text()]), [""; 0], "byte {at}: nobody can be told");
        }
    }

    #[test]
    fn one_surplus_sheet_shows_that_something_is_wrong_two_show_what() {
        let shares = split(&RecoveryKey::generate(), 3, 6).unwrap();
        let bad = || forged(&shares[3], |bytes| bytes[20] ^= 0x80);
        let [b, c, e, f] = [1, 2, 4, 5].map(|at| shares[at].text());
        // Whether it comes first, amid or last.
        assert_eq!(suspects(&[bad(), b.clone(), c.clone(), e.clone()]), ["sheet 4"]);
        assert_eq!(suspects(&[b.clone(), c.clone(), e.clone(), bad()]), ["sheet 4"]);
        assert_eq!(suspects(&[b.clone(), bad(), c.clone(), e.clone(), f.clone()]), ["sheet 4"]);
        let worse = forged(&shares[0], |bytes| bytes[8] ^= 1);
        assert_eq!(suspects(&[worse, bad(), b, c, f]), ["sheet 1", "sheet 4"]);
    }

    #[test]
    fn a_lower_threshold_on_every_sheet_gives_no_key() {
        let shares = split(&RecoveryKey::generate(), 3, 5).unwrap();
        let lowered: Vec<_> = [1, 3].map(|at| forged(&shares[at], |bytes| bytes[1] = 2)).into();
        assert!(suspects(&lowered).is_empty());
    }

    #[test]
    fn another_number_on_a_sheet_gives_no_key() {
        let shares = split(&RecoveryKey::generate(), 2, 5).unwrap();
        let renumbered = forged(&shares[3], |bytes| bytes[3] = 5);
        assert!(suspects(&[shares[1].text(), renumbered]).is_empty());
    }

    #[test]
    fn consistent_shares_of_another_key_do_not_pass_for_this_one() {
        let (own, other) = (RecoveryKey::generate(), RecoveryKey::generate());
        let (own, other) = (split(&own, 2, 3).unwrap(), split(&other, 2, 3).unwrap());
        let claimed = [1, 2].map(|at| {
            forged(&other[at], |bytes| {
                bytes[4..8].copy_from_slice(&own[0].set().0);
                bytes[40..].copy_from_slice(&own[0].fingerprint().0);
            })
        });
        assert!(suspects(&claimed).is_empty());
        let mixed = [own[0].text(), own[1].text(), claimed[1].clone()];
        assert_eq!(suspects(&mixed), ["sheet 3"]);
    }

    #[test]
    fn subsets_are_all_there() {
        let of = |of, size| subsets(of, size).collect::<Vec<_>>();
        assert_eq!(of(4, 2), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!(of(3, 3), [[0, 1, 2]]);
        assert_eq!(of(2, 3).len(), 0);
        assert_eq!(of(9, 4).len(), 126);
    }

    #[test]
    fn a_hopeless_search_ends() {
        let shares = split(&RecoveryKey::generate(), 20, 40).unwrap();
        let texts: Vec<_> = shares.iter().map(|share| forged(share, |bytes| bytes[30] ^= bytes[3] | 0x80)).collect();
        assert!(suspects(&texts).is_empty());
    }
}
