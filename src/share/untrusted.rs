//! A share as someone presented it.

use zeroize::Zeroizing;

use super::{
    KeyFingerprint, ShareSetId,
    bytes::ShareBytes,
    finding::{self, Attempt},
    keyboard,
    rows::{self, RowFault},
    text,
};
use crate::model::Digest;

/// A share as someone presented it: well-formed, its checksum right, nothing else believed.
/// No Debug, Clone or Serialize; wiped on drop.
///
/// ```compile_fail
/// let share = lifeboat::share::UntrustedShare::parse("").unwrap();
/// println!("{share:?}");
/// ```
pub struct UntrustedShare(ShareBytes);

/// A share close to a misread text. No Debug, Clone or Serialize; wiped on drop.
pub struct Suggestion {
    body: Zeroizing<String>,
    rows: Vec<usize>,
}

/// Why a presented text is not a share. Never holds a character of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareFault {
    /// No `LB1` text found at all.
    #[error("has no share in it")]
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
    #[error("is not a share that this tool makes ({0})")]
    Impossible(&'static str),
}

impl UntrustedShare {
    /// Reads one share from text: the QR string or the typed rows, anywhere in surrounding text, in any case and
    /// spacing.
    ///
    /// The same share twice (as string and as rows) is one share; two different shares in one text are refused.
    ///
    /// # Errors
    /// See [`ShareFault`].
    pub fn parse(text: &str) -> Result<Self, ShareFault> {
        let text = keyboard::plain(text);
        match finding::intact(&text).as_slice() {
            [] => Err(diagnosis(&text)),
            [body] => text::decode(body).map(Self),
            _ => Err(ShareFault::Impossible("two different shares in one text")),
        }
    }

    /// The corrected text (`LB1…`) of a misread share, when at most 4 characters are wrong.
    ///
    /// A suggestion to be compared with the paper by a person and then presented like any other text: with more than
    /// 4 wrong characters it may be a share nobody made. `None` also when the text needs no correction.
    pub fn suggest(text: &str) -> Option<Suggestion> {
        let text = keyboard::plain(text);
        if !finding::intact(&text).is_empty() {
            return None;
        }
        let attempt = finding::attempt(&text)?;
        let body = corrected(&attempt)?;
        // A letter that the alphabet avoids is a fault of its row even where the body is read as if it were right.
        let mut rows = faulty(&attempt, RowFault::Misread);
        rows.extend(attempt.body().map(|typed| rows::differing(&typed, &body)).unwrap_or_default());
        rows.sort_unstable();
        rows.dedup();
        Some(Suggestion { body, rows })
    }

    /// The index x.
    pub fn index(&self) -> u8 {
        self.0.index()
    }

    /// The share set.
    pub fn set(&self) -> ShareSetId {
        self.0.common().set
    }

    /// Threshold and total as the share states them.
    pub fn threshold(&self) -> (u8, u8) {
        let common = self.0.common();
        (common.threshold, common.total)
    }

    /// The key as the share states it.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.0.common().fingerprint
    }

    /// SHA-256 of the 46 bytes, to be compared with a register's.
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    pub(super) fn bytes(&self) -> &ShareBytes {
        &self.0
    }
}

impl Suggestion {
    /// The whole text, `LB1…`.
    pub fn text(&self) -> Zeroizing<String> {
        text::whole(&self.body)
    }

    /// The rows (from 1) that were typed wrongly.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Row `number` (from 1), for a person to compare with the paper.
    pub fn row(&self, number: usize) -> Option<&str> {
        rows::part(&self.body, number)
    }
}

/// What is wrong with a text that holds no intact share.
fn diagnosis(text: &str) -> ShareFault {
    let Some(attempt) = finding::attempt(text) else { return ShareFault::NotAShare };
    let length = match &attempt {
        Attempt::SomeRows(numbers) => Some(numbers.clone()),
        Attempt::Rows(_) => Some(faulty(&attempt, RowFault::Length)).filter(|numbers| !numbers.is_empty()),
        Attempt::Whole(body) => (body.len() != text::BODY).then(Vec::new),
    };
    if let Some(rows) = length {
        return ShareFault::Length { rows };
    }
    let corrected = corrected(&attempt);
    let mut rows = faulty(&attempt, RowFault::Misread);
    if let (Attempt::Rows(_), true, Some(corrected), Some(body)) =
        (&attempt, rows.is_empty(), &corrected, attempt.body())
    {
        rows = rows::differing(&body, corrected);
    }
    ShareFault::Misread { rows, correctable: corrected.is_some() }
}

/// An intact body close to the attempt, whose fields make a share.
fn corrected(attempt: &Attempt) -> Option<Zeroizing<String>> {
    let body = attempt.body()?;
    let corrected = if text::is_intact(&body) { body } else { text::correct(&body)? };
    text::decode(&corrected).is_ok().then_some(corrected)
}

/// The rows with this fault.
fn faulty(attempt: &Attempt, fault: RowFault) -> Vec<usize> {
    match attempt {
        Attempt::Rows(rows) => {
            rows.iter().zip(1..).filter(|(row, number)| row.fault(*number) == Some(fault)).map(|(_, n)| n).collect()
        }
        Attempt::SomeRows(_) | Attempt::Whole(_) => Vec::new(),
    }
}

fn rows_text(rows: &[usize]) -> String {
    let numbers: Vec<String> = rows.iter().map(usize::to_string).collect();
    match numbers.split_last() {
        None => String::new(),
        Some((only, [])) => format!(" in row {only}"),
        Some((last, others)) => format!(" in rows {} and {last}", others.join(", ")),
    }
}
