//! Shamir shares of the recovery key: their bytes, their text, and the way from paper back to the key.
//!
//! [`UntrustedShare`] (someone typed it) → [`Gathering`] (each judged on arrival) → [`Quorum`] (complete and
//! consistent) → [`RecoveryKey`] (derives what the shares and the epoch say). The only way to a key is through all of them.

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{
    crypto::{PublicKey, Recipient, RecoveryKey},
    model::Digest,
};

/// The random identity of one share set, shown as two groups: `A1B2-C3D4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareSetId(pub [u8; 4]);

/// The first 6 bytes of SHA-256(root public key ‖ recipient): which key a share belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyFingerprint(pub [u8; 6]);

/// A share as made by [`split`]. No Debug, Clone or Serialize; wiped on drop.
pub struct Share {}

/// A share as someone presented it: well-formed, its checksum right, nothing else believed.
pub struct UntrustedShare {}

/// What is publicly known of one share set; custody makes it from a key epoch.
#[derive(Clone, Debug)]
pub struct Register {
    /// The epoch's number.
    pub epoch: u32,
    /// The share set.
    pub set: ShareSetId,
    /// Shares needed.
    pub threshold: u8,
    /// Shares made.
    pub total: u8,
    /// Which key.
    pub fingerprint: KeyFingerprint,
    /// Who holds what.
    pub holders: Vec<Holder>,
    /// Set when a later epoch replaced this one.
    pub retired: Option<Timestamp>,
}

/// A custodian's entry in a [`Register`].
#[derive(Clone, Debug)]
pub struct Holder {
    /// The share's index x.
    pub index: u8,
    /// The custodian's name.
    pub name: String,
    /// SHA-256 of the 46 bytes of the share.
    pub digest: Digest,
}

/// Parameters no share set can have.
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
}

/// Why a presented text is not a share. Never holds a character of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// No `LB1` text found at all.
    #[error("no share found in it")]
    NotAShare,
    /// The checksum is wrong; the typed rows (from 1) whose own check fails, if rows were given.
    #[error("has a typing or reading error{}", rows_text(.rows))]
    Misread {
        /// Rows at fault, from 1; empty when it cannot be said.
        rows: Vec<usize>,
        /// A corrected text exists (at most 4 wrong characters); the caller may offer it, never apply it.
        correctable: bool,
    },
    /// Too few or too many characters in a row, or in all.
    #[error("has a missing or doubled character{}", rows_text(.rows))]
    Length {
        /// Rows at fault, from 1.
        rows: Vec<usize>,
    },
    /// A version this build does not know.
    #[error("was made by a newer version of the tool")]
    Newer,
    /// The fields contradict each other: x = 0, x > n, k < 2, k > n.
    #[error("is not a share this tool would make ({0})")]
    Impossible(&'static str),
}

/// Why a well-formed share is not taken. Texts name the sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not readable as a share.
    #[error("{origin} {fault}")]
    Fault {
        /// Where it came from, such as a file name.
        origin: String,
        /// What is wrong.
        fault: ShareFault,
    },
    /// Another company's, or another repository's.
    #[error("{origin} belongs to another key (share set {set}), not to this repository")]
    Foreign {
        /// Where it came from.
        origin: String,
        /// Its set.
        set: String,
    },
    /// A set that a later one replaced, while a current one is being gathered.
    #[error("{origin} (sheet {index}{}) belongs to epoch {epoch}, retired", held_by(.holder))]
    Retired {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
        /// The custodian, when known.
        holder: Option<String>,
        /// The retired epoch.
        epoch: u32,
    },
    /// The same sheet again.
    #[error("{origin} is sheet {index}{} again", held_by(.holder))]
    Duplicate {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
        /// The custodian, when known.
        holder: Option<String>,
    },
    /// Its checksum is right but it is not the share that was made: forged, or its set or threshold contradicts the others.
    #[error("{origin} (sheet {index}{}) is not the sheet that was made: {reason}", held_by(.holder))]
    Forged {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
        /// The custodian, when known.
        holder: Option<String>,
        /// What contradicts.
        reason: String,
    },
}

/// Where a gathering stands, by custodian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sheets needed; `None` until the first share is taken and no register is known.
    pub threshold: Option<u8>,
    /// Who is here (names, or `sheet 3`).
    pub present: Vec<String>,
    /// Who else could come.
    pub missing: Vec<String>,
}

/// Why there is no key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoQuorum {
    /// Too few sheets.
    #[error("have {have} of {need} sheets")]
    TooFew {
        /// Taken.
        have: usize,
        /// Needed; 0 when nothing was taken.
        need: usize,
    },
    /// The shares do not give the key they claim; names those known to be wrong, if any can be told.
    #[error("the sheets do not fit together{}", suspects_text(.suspects))]
    Inconsistent {
        /// Sheets found to be wrong by cross-check with surplus sheets.
        suspects: Vec<String>,
    },
}

/// Shares on their way to a quorum.
pub struct Gathering {}

/// At least `threshold` distinct shares of one set that contradict neither each other nor the register.
pub struct Quorum {}

/// Splits `key` into `total` shares of which `threshold` recover it. Proves before it returns that shares recover the key.
///
/// # Errors
/// See [`SplitError`].
pub fn split(_key: &RecoveryKey, _threshold: u8, _total: u8) -> Result<Vec<Share>, SplitError> {
    todo!()
}

impl KeyFingerprint {
    /// The fingerprint of a key by its public halves.
    pub fn of(_root: &PublicKey, _recipient: &Recipient) -> Self {
        todo!()
    }
}

impl Share {
    /// The index x, 1..=255.
    pub fn index(&self) -> u8 {
        todo!()
    }

    /// The share set.
    pub fn set(&self) -> ShareSetId {
        todo!()
    }

    /// The key.
    pub fn fingerprint(&self) -> KeyFingerprint {
        todo!()
    }

    /// SHA-256 of the 46 bytes; safe to publish, since 32 of them are random.
    pub fn digest(&self) -> Digest {
        todo!()
    }

    /// The whole text in one piece, `LB1…`, as the QR code holds it.
    pub fn text(&self) -> Zeroizing<String> {
        todo!()
    }

    /// The text as rows for typing: groups of four and a check at the end of each row.
    pub fn rows(&self) -> Vec<Zeroizing<String>> {
        todo!()
    }
}

impl UntrustedShare {
    /// Reads one share from text: the QR string or the typed rows, anywhere in surrounding text, in any case and spacing.
    ///
    /// # Errors
    /// See [`ShareFault`].
    pub fn parse(_text: &str) -> Result<Self, ShareFault> {
        todo!()
    }

    /// The index x.
    pub fn index(&self) -> u8 {
        todo!()
    }

    /// The share set.
    pub fn set(&self) -> ShareSetId {
        todo!()
    }

    /// Threshold and total as the share states them.
    pub fn threshold(&self) -> (u8, u8) {
        todo!()
    }

    /// The key as the share states it.
    pub fn fingerprint(&self) -> KeyFingerprint {
        todo!()
    }
}

impl Gathering {
    /// Starts with what is publicly known; an empty list accepts any one set (nothing but the shares is there).
    pub fn new(_registers: Vec<Register>) -> Self {
        todo!()
    }

    /// Judges one presented text at once.
    ///
    /// # Errors
    /// See [`Rejection`]; a rejected share changes nothing.
    pub fn add(&mut self, _origin: &str, _text: &str) -> Result<Progress, Rejection> {
        todo!()
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        todo!()
    }

    /// The quorum, once enough shares are here.
    ///
    /// # Errors
    /// [`NoQuorum::TooFew`].
    pub fn quorum(self) -> Result<Quorum, NoQuorum> {
        todo!()
    }
}

impl Quorum {
    /// How many sheets, the surplus included.
    pub fn sheets(&self) -> usize {
        todo!()
    }

    /// The epoch, when a register named it.
    pub fn epoch(&self) -> Option<u32> {
        todo!()
    }

    /// The key: it counts only when its derived root key and recipient give the fingerprint on every
    /// share, and every surplus share lies on the same polynomial.
    ///
    /// # Errors
    /// [`NoQuorum::Inconsistent`].
    pub fn recover(&self) -> Result<RecoveryKey, NoQuorum> {
        todo!()
    }
}

fn rows_text(_rows: &[usize]) -> String {
    todo!()
}

fn held_by(_holder: &Option<String>) -> String {
    todo!()
}

fn suspects_text(_suspects: &[String]) -> String {
    todo!()
}
