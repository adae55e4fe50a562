//! The typed form: a share's 87 characters after `LB1` in four rows, each with two check characters.
//!
//! ```text
//! 1: QQQQ QQQQ QQQQ QQQQ QQQQ QQQQ = XX      24 characters
//! 2: QQQQ QQQQ QQQQ QQQQ QQQQ QQQQ = XX      24
//! 3: QQQQ QQQQ QQQQ QQQQ QQQQ QQQQ = XX      24
//! 4: QQQQ QQQQ QQQQ QQQ = XX                 15
//! ```
//!
//! The checks are a Reed–Solomon code over GF(32), the field of bech32: the row number, the row's characters and the
//! two checks are the coefficients (highest first) of a multiple of (x + a)(x + a²), where a is the element 2, written
//! `Z`. It detects any two wrong characters of a row, so any substitution, any swap of neighbours, and a row in
//! another's place; a dropped or doubled character shows by length.
//!
//! Case, spacing and punctuation do not matter when reading. A row may have lost its number, its `=` or its checks:
//! the checksum of the whole share decides, the checks only say which row is wrong.

use bech32::Fe32;
use zeroize::Zeroizing;

use super::text::START;

/// Characters of each row.
pub(super) const LENGTHS: [usize; 4] = [24, 24, 24, 15];
const GROUP: usize = 4;
pub(super) const CHECKS: usize = 2;

/// One line of text, read as a row.
pub(super) struct Row {
    /// The number before it, when it has one.
    pub(super) label: Option<usize>,
    /// Its letters and digits, uppercase, of any alphabet and number.
    pub(super) data: Zeroizing<String>,
    /// Whatever letters and digits stand where the checks should.
    pub(super) check: Option<Zeroizing<String>>,
    /// Whether the line has the `=` of the printed form.
    pub(super) has_equals: bool,
    /// Whether it is one word, or short groups, as no four lines of prose are.
    pub(super) is_grouped: bool,
}

/// What is wrong with a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFault {
    /// Not the right number of characters.
    Length,
    /// A character outside the alphabet, or checks that do not match.
    Misread,
}

/// The four rows of `body`, as printed.
pub(super) fn print(body: &str) -> Vec<Zeroizing<String>> {
    let mut rest = body;
    let mut rows = Vec::with_capacity(LENGTHS.len());
    for (number, length) in (1..).zip(LENGTHS) {
        let (data, tail) = rest.split_at(length);
        rest = tail;
        let mut row = Zeroizing::new(String::with_capacity(2 * length));
        row.push_str(&number.to_string());
        row.push(':');
        for (at, symbol) in data.chars().enumerate() {
            if at % GROUP == 0 {
                row.push(' ');
            }
            row.push(symbol);
        }
        row.push_str(" = ");
        row.extend(checks(number, data).into_iter().flatten());
        rows.push(row);
    }
    rows
}

impl Row {
    /// Reads any line; whether it is a row at all is for the caller to judge.
    pub(super) fn read(line: &str) -> Self {
        let (label, line) = split_label(line);
        let (left, right) = match line.split_once('=') {
            Some((left, right)) => (left, Some(right)),
            None => (line, None),
        };
        let mut data = alphanumeric(left);
        if data.starts_with(START) {
            data.drain(..START.len());
        }
        let mut check = right.map(alphanumeric);
        if check.is_none() && LENGTHS.iter().any(|length| data.len() == length + CHECKS) {
            let at = data.len() - CHECKS;
            check = Some(Zeroizing::new(data.split_off(at)));
        }
        let mut words = left.split_whitespace();
        let is_grouped = words.clone().count() == 1 || words.all(|word| word.len() <= GROUP + 1);
        Self { label, data, check, has_equals: right.is_some(), is_grouped }
    }

    /// Judges it as row `number` (from 1).
    pub(super) fn fault(&self, number: usize) -> Option<RowFault> {
        let check = self.check.as_ref().filter(|check| !check.is_empty());
        if self.data.len() != LENGTHS[number - 1] || check.is_some_and(|check| check.len() != CHECKS) {
            return Some(RowFault::Length);
        }
        let Some(expected) = checks(number, &self.data) else { return Some(RowFault::Misread) };
        let matches = check.is_none_or(|check| check.chars().eq(expected));
        if matches { None } else { Some(RowFault::Misread) }
    }
}

/// The two checks of row `number`; `None` when a character is outside the alphabet.
fn checks(number: usize, data: &str) -> Option<[char; CHECKS]> {
    let a = Fe32::Z;
    // (x + a)(x + a²) = x² + (a + a²)x + a³: the remainder after dividing, one coefficient at a time.
    let (linear, constant) = (a + a * a, a * a * a);
    let mut remainder = [Fe32::Q; CHECKS];
    let row = Fe32::try_from(u8::try_from(number).ok()?).ok()?;
    for symbol in std::iter::once(Some(row)).chain(data.chars().map(|symbol| Fe32::from_char(symbol).ok())) {
        let lead = symbol? + remainder[0];
        remainder = [remainder[1] + lead * linear, lead * constant];
    }
    Some(remainder.map(|element| element.to_char().to_ascii_uppercase()))
}

/// Row `number` (from 1) of a body.
pub(super) fn part(body: &str, number: usize) -> Option<&str> {
    let before = LENGTHS.get(..number.checked_sub(1)?)?.iter().sum::<usize>();
    body.get(before..before + LENGTHS.get(number - 1)?)
}

/// The rows in which two bodies differ.
pub(super) fn differing(one: &str, two: &str) -> Vec<usize> {
    (1..=LENGTHS.len()).filter(|&number| part(one, number) != part(two, number)).collect()
}

/// Takes `2:`, `2.`, `Row 2)` or `2 ` off the front. Without punctuation it is a label only when the rest has the
/// length of a row.
fn split_label(line: &str) -> (Option<usize>, &str) {
    let line = line.trim_start_matches(|symbol: char| !symbol.is_ascii_alphanumeric());
    let line = match line.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("row") => line[3..].trim_start(),
        _ => line,
    };
    let mut symbols = line.chars();
    let Some(first) = symbols.next().filter(char::is_ascii_alphanumeric) else { return (None, line) };
    let rest = symbols.as_str();
    let label = first.to_digit(10).map(|digit| digit as usize).filter(|digit| (1..=LENGTHS.len()).contains(digit));
    let marked = rest.trim_start().starts_with([':', '.', ')', ']', '|', '>']);
    let spaced = rest.starts_with(|symbol: char| !symbol.is_ascii_alphanumeric());
    if marked || (spaced && label.is_some() && has_row_length(rest) && !has_row_length(line)) {
        (label, rest)
    } else {
        (None, line)
    }
}

/// Whether the data of `line` is as long as that of a row.
fn has_row_length(line: &str) -> bool {
    let count = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).count();
    match line.split_once('=') {
        Some((data, _)) => LENGTHS.contains(&count(data)),
        None => LENGTHS.iter().any(|length| [*length, length + CHECKS].contains(&count(line))),
    }
}

/// The letters and digits of `text`, uppercase.
pub(super) fn alphanumeric(text: &str) -> Zeroizing<String> {
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(text.chars().filter(char::is_ascii_alphanumeric).map(|symbol| symbol.to_ascii_uppercase()));
    kept
}
