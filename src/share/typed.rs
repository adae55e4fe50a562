//! A share on its way in from a keyboard: row after row, each judged as soon as it is there.
//!
//! Pure: what a terminal shows and which keys it knows is the command line's.

use zeroize::Zeroizing;

use super::{
    UntrustedShare, finding, keyboard,
    rows::{self, CHECKS, LENGTHS, Row, RowFault},
    text::{BODY, START},
};

/// More letters outside the alphabet are not replaced by guesses.
const MOST_GUESSES: usize = 4;

/// The rows of one share, as far as they are entered. No Debug, Clone or Serialize; wiped on drop.
#[derive(Default)]
pub struct TypedShare {
    /// Each without its number.
    rows: Vec<Zeroizing<String>>,
    /// The last row that was refused, to see whether the same is entered again.
    refused: Zeroizing<String>,
}

/// What one line came to.
pub enum Entered {
    /// Nothing yet: more is to come.
    Unfinished,
    /// The next row of the share.
    Row,
    /// The last row: the text of all four, to be presented like any other.
    Share(Zeroizing<String>),
    /// A row that would be right if letters no sheet has were read as others; [`TypedShare::accept`] takes it.
    Offer(Offer),
    /// Not a row; nothing was taken.
    Refused(RowRefusal),
}

/// A row as it may have been meant. No Debug, Clone or Serialize; wiped on drop.
pub struct Offer {
    row: Zeroizing<String>,
    /// What to read as what, such as `O` as `0`; each pair once.
    pub replaced: Vec<(char, char)>,
}

/// Why a line is not the row that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowRefusal {
    /// The number before it is another row's.
    Number {
        /// The number that was entered.
        given: usize,
    },
    /// Too few or too many characters, the checks included.
    Length {
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Characters that no sheet has, each once.
    Alphabet(Vec<char>),
    /// The checks do not match.
    Mismatch,
}

impl TypedShare {
    /// The number of the row that is expected, from 1.
    pub fn expected(&self) -> usize {
        self.rows.len() + 1
    }

    /// Characters of row `number`, its checks included.
    pub fn length_of(number: usize) -> usize {
        LENGTHS[number - 1] + CHECKS
    }

    /// The characters of a line that belong to a row, its checks included and its number not.
    pub fn characters(line: &str) -> Zeroizing<String> {
        let row = Row::read(&keyboard::plain(line));
        let mut characters = row.data;
        row.check.iter().for_each(|check| characters.push_str(check));
        characters
    }

    /// Judges a line that has not ended: taken only when nothing more can belong to it.
    pub fn so_far(&mut self, line: &str) -> Entered {
        let line = &*keyboard::plain(line);
        if let Some(share) = whole(line) {
            return Entered::Share(share);
        }
        let (number, row) = (self.expected(), Row::read(line));
        let is_labelled_right = row.label.is_none_or(|label| label == number);
        let is_checked = row.check.as_ref().is_some_and(|check| check.len() == CHECKS);
        if is_checked && is_labelled_right && !begins_whole(line) && row.fault(number).is_none() {
            return self.take(&row);
        }
        Entered::Unfinished
    }

    /// Judges a line that has ended: a row, a whole share in any form, or neither.
    pub fn entered(&mut self, line: &str) -> Entered {
        let line = &*keyboard::plain(line);
        if let Some(share) = whole(line) {
            return Entered::Share(share);
        }
        // Longer than any row: a whole share, or what was meant to be one. Its own rules say what is wrong with it.
        let given = rows::alphanumeric(line).len();
        if begins_whole(line) || given > Self::length_of(1) + "ROW1LB1".len() {
            return Entered::Share(Zeroizing::new(
                by_rows(line).map_or_else(|| line.to_owned(), |rows| (*rows).clone()),
            ));
        }
        let (number, row) = (self.expected(), Row::read(line));
        if let Some(given) = row.label.filter(|label| *label != number) {
            return Entered::Refused(RowRefusal::Number { given });
        }
        match row.fault(number) {
            None => self.take(&row),
            Some(RowFault::Length) => {
                let given = row.data.len() + row.check.as_ref().map_or(0, |check| check.len());
                Entered::Refused(RowRefusal::Length { given, expected: Self::length_of(number) })
            }
            Some(RowFault::Misread) => self.misread(number, &row),
        }
    }

    /// Takes a row as it was offered.
    pub fn accept(&mut self, offer: &Offer) -> Entered {
        self.take(&Row::read(&offer.row))
    }

    /// Forgets the row before; whether there was one.
    pub fn back(&mut self) -> bool {
        self.refused = Zeroizing::default();
        self.rows.pop().is_some()
    }

    fn misread(&mut self, number: usize, row: &Row) -> Entered {
        let printed = printed(row);
        if let Some(offer) = offer(number, row) {
            return Entered::Offer(offer);
        }
        let strange = strange(&printed);
        // Entered twice the same: the paper itself may be wrong there, and the share's own checksum can find it.
        if strange.is_empty() && *self.refused == *printed {
            return self.take(row);
        }
        self.refused = printed;
        Entered::Refused(if strange.is_empty() { RowRefusal::Mismatch } else { RowRefusal::Alphabet(strange) })
    }

    fn take(&mut self, row: &Row) -> Entered {
        self.refused = Zeroizing::default();
        self.rows.push(printed(row));
        if self.rows.len() < LENGTHS.len() {
            return Entered::Row;
        }
        let mut text = Zeroizing::new(String::with_capacity(2 * BODY));
        for (number, row) in (1..).zip(std::mem::take(&mut self.rows)) {
            text.push_str(&format!("{number}: "));
            text.push_str(&row);
            text.push('\n');
        }
        Entered::Share(text)
    }
}

impl Offer {
    /// With each reading of the character at a byte.
    fn with(&self, at: usize, symbol: char) -> impl Iterator<Item = Self> + '_ {
        finding::look_alikes(symbol).iter().map(move |&alike| {
            let mut offer = Self { row: self.row.clone(), replaced: self.replaced.clone() };
            offer.row.replace_range(at..=at, alike.encode_utf8(&mut [0; 4]));
            if !offer.replaced.contains(&(symbol, alike)) {
                offer.replaced.push((symbol, alike));
            }
            offer
        })
    }
}

/// `DATA = XX`, or `DATA` where no checks were entered.
fn printed(row: &Row) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(BODY));
    text.push_str(&row.data);
    if let Some(check) = row.check.as_ref().filter(|check| !check.is_empty()) {
        text.push_str(" = ");
        text.push_str(check);
    }
    text
}

/// The text, when it holds an intact share.
fn whole(line: &str) -> Option<Zeroizing<String>> {
    UntrustedShare::parse(line).is_ok().then(|| Zeroizing::new(line.to_owned())).or_else(|| {
        let rows = by_rows(line)?;
        UntrustedShare::parse(&rows).is_ok().then_some(rows)
    })
}

/// Whether a line begins as the string of a code does.
fn begins_whole(line: &str) -> bool {
    rows::alphanumeric(line).starts_with(START)
}

/// Four rows that stand on one line, with their checks or without, numbered or not, on lines of their own.
fn by_rows(line: &str) -> Option<Zeroizing<String>> {
    let lengths = |checks: usize| LENGTHS.map(|length| length + checks);
    let numbered = |word: &str| {
        let digit = word.trim_end_matches([':', '.', ')', ']', '|', '>']);
        matches!(digit, "1" | "2" | "3" | "4") && (digit.len() < word.len() || word == "1")
    };
    let mut kept = Zeroizing::new(String::with_capacity(line.len()));
    for word in line.split_whitespace().filter(|word| !numbered(word)) {
        // `1:QQQQ` and `=XX2:QQQQ`, without a space between them: nothing but a number stands before a colon.
        let mut parts = word.split(':').peekable();
        while let Some(part) = parts.next() {
            kept.push_str(&rows::alphanumeric(part));
            if parts.peek().is_some() {
                kept.pop();
            }
        }
    }
    let kept = kept.strip_prefix(START).unwrap_or(&kept);
    let checks = match kept.len() {
        BODY => 0,
        length if length == BODY + CHECKS * LENGTHS.len() => CHECKS,
        _ => return None,
    };
    let mut rest = kept;
    let mut text = Zeroizing::new(String::with_capacity(2 * BODY));
    for (number, length) in (1..).zip(lengths(checks)) {
        let (row, tail) = rest.split_at(length);
        let (data, check) = row.split_at(length - checks);
        rest = tail;
        text.push_str(&format!("{number}: "));
        text.push_str(data);
        if checks > 0 {
            text.push_str(" = ");
            text.push_str(check);
        }
        text.push('\n');
    }
    Some(text)
}

/// Characters that no sheet has, each once.
fn strange(text: &str) -> Vec<char> {
    let mut strange: Vec<char> =
        text.chars().filter(|symbol| symbol.is_ascii_alphanumeric() && !finding::in_alphabet(*symbol)).collect();
    strange.sort_unstable();
    strange.dedup();
    strange
}

/// The one reading of letters outside the alphabet with which the row's checks match.
fn offer(number: usize, row: &Row) -> Option<Offer> {
    let text = printed(row);
    let places: Vec<(usize, char)> = text
        .char_indices()
        .filter(|(_, symbol)| symbol.is_ascii_alphanumeric() && !finding::in_alphabet(*symbol))
        .collect();
    if places.is_empty() || places.len() > MOST_GUESSES || row.check.is_none() {
        return None;
    }
    let mut readings = vec![Offer { row: text, replaced: Vec::new() }];
    for (at, symbol) in places {
        readings = readings.iter().flat_map(|reading| reading.with(at, symbol)).collect();
    }
    readings.retain(|reading| Row::read(&reading.row).fault(number).is_none());
    readings.pop().filter(|_| readings.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: &str = "LB1ZQPS2PQPQGPSGZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFQ5ZS2PG9Q5HYVVJLCLEJFZ6";

    fn rows() -> Vec<String> {
        rows::print(&SHARE[3..]).iter().map(|row| row.to_string()).collect()
    }

    /// The row without its number.
    fn bare(number: usize) -> String {
        rows()[number - 1][3..].to_owned()
    }

    fn is_the_share(entered: Entered) -> bool {
        matches!(entered, Entered::Share(text) if UntrustedShare::parse(&text).is_ok_and(|share| share.index() == 4))
    }

    #[test]
    fn right_rows_need_no_enter_and_no_number() {
        for with_number in [true, false] {
            let mut typed = TypedShare::default();
            for number in 1..=4 {
                assert_eq!(typed.expected(), number);
                let row = if with_number { rows()[number - 1].clone() } else { bare(number) };
                for (end, _) in row.char_indices().skip(1) {
                    assert!(matches!(typed.so_far(&row[..end]), Entered::Unfinished), "{number}: {end}");
                }
                let last = typed.so_far(&row);
                assert!(if number < 4 { matches!(last, Entered::Row) } else { is_the_share(last) }, "{number}");
            }
            assert_eq!(typed.expected(), 1);
        }
    }

    #[test]
    fn a_whole_share_is_taken_in_every_form_on_one_line() {
        let rows = rows();
        let body = &SHARE[3..];
        let spaced: Vec<String> =
            body.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into()).collect();
        let bare: Vec<String> = (1..=4).map(bare).collect();
        for text in [
            SHARE.to_owned(),
            SHARE.to_lowercase(),
            rows.join(" "),
            rows.join("\r"),
            rows.join("  ").replace(' ', ""),
            bare.join(" "),
            bare.join(" ").replace('=', ""),
            spaced.join(" "),
            spaced.join("-"),
            body.to_owned(),
            format!("LB1 {}", rows.join(" ")).to_lowercase(),
        ] {
            assert!(is_the_share(TypedShare::default().so_far(&text)), "{text}");
            assert!(is_the_share(TypedShare::default().entered(&text)), "{text}");
        }
    }

    #[test]
    fn a_row_without_its_checks_waits_for_the_end_of_the_line() {
        let mut typed = TypedShare::default();
        let without = bare(1).split(" =").next().unwrap().to_owned();
        assert!(matches!(typed.so_far(&without), Entered::Unfinished));
        assert!(matches!(typed.entered(&without), Entered::Row));
    }

    #[test]
    fn a_wrong_row_is_refused_alone_with_its_reason() {
        let mut typed = TypedShare::default();
        assert!(matches!(typed.so_far(&rows()[0]), Entered::Row));
        let refusal = |typed: &mut TypedShare, line: &str| match typed.entered(line) {
            Entered::Refused(refusal) => refusal,
            _ => panic!("{line} was taken"),
        };
        assert_eq!(refusal(&mut typed, &rows()[2]), RowRefusal::Number { given: 3 });
        assert_eq!(refusal(&mut typed, &bare(2)[1..]), RowRefusal::Length { given: 25, expected: 26 });
        assert_eq!(refusal(&mut typed, "zq"), RowRefusal::Length { given: 2, expected: 26 });
        assert_eq!(refusal(&mut typed, &bare(2).replacen('Z', "X", 1)), RowRefusal::Mismatch);
        assert_eq!(refusal(&mut typed, &bare(2).replacen("GF", "FG", 1)), RowRefusal::Mismatch);
        assert_eq!(refusal(&mut typed, &bare(2).replacen('Z', "B", 1)), RowRefusal::Alphabet(vec!['B']));
        assert_eq!(typed.expected(), 2, "nothing was taken");
        assert!(matches!(typed.so_far(&bare(2)), Entered::Row));
        assert!(typed.back() && typed.back() && !typed.back());
        assert_eq!(typed.expected(), 1);
    }

    #[test]
    fn letters_that_no_sheet_has_are_offered_and_never_taken_silently() {
        for (number, from, wrong) in [(1, '2', None), (1, 'P', None), (4, 'L', Some('1')), (4, 'L', Some('I'))] {
            let Some(wrong) = wrong else {
                assert!(offer(number, &Row::read(&bare(number))).is_none(), "{from}: nothing to replace");
                continue;
            };
            let mut typed = TypedShare::default();
            (1..number).for_each(|number| assert!(matches!(typed.so_far(&bare(number)), Entered::Row)));
            let line = bare(number).replacen(from, &wrong.to_string(), 1);
            assert!(matches!(typed.so_far(&line), Entered::Unfinished), "not silently");
            let Entered::Offer(offer) = typed.entered(&line) else { panic!("{line} was not offered") };
            assert_eq!(offer.replaced, [(wrong, from)]);
            assert!(is_the_share(typed.accept(&offer)));
        }
    }

    #[test]
    fn what_is_entered_twice_the_same_is_left_to_the_checksum_of_the_share() {
        let mut typed = TypedShare::default();
        let wrong = bare(1).replacen('S', "X", 1);
        assert!(matches!(typed.entered(&wrong), Entered::Refused(RowRefusal::Mismatch)));
        assert!(matches!(typed.entered(&wrong), Entered::Row));
        (2..4).for_each(|number| assert!(matches!(typed.so_far(&bare(number)), Entered::Row)));
        let Entered::Share(text) = typed.so_far(&bare(4)) else { panic!("four rows are a share") };
        assert!(UntrustedShare::parse(&text).is_err());
        assert_eq!(*UntrustedShare::suggest(&text).unwrap().text(), SHARE);
    }
}
