//! Finds a share anywhere in a text: prose around it, wrapped or spaced, as the QR code's string or as typed rows.
//!
//! An intact share is recognised by its checksum alone, whatever surrounds it. Only when there is none do the looks
//! of lines count, to say what is wrong and where.

use bech32::Fe32;
use zeroize::Zeroizing;

use super::{
    rows::{self, LENGTHS, Row, RowFault},
    text::{self, BODY, START},
};

/// Fewer characters after `LB1` are not even the beginning of a share.
const BEGINNING: usize = 20;

/// The intact bodies in `text`, each once.
pub(super) fn intact(text: &str) -> Vec<Zeroizing<String>> {
    let mut found: Vec<Zeroizing<String>> = Vec::new();
    let kept = rows::alphanumeric(text);
    let after_starts = kept.match_indices(START).map(|(at, _)| {
        let rest = &kept[at + START.len()..];
        Zeroizing::new(rest[..rest.len().min(BODY)].to_owned())
    });
    let in_rows = windows(text).into_iter().map(|rows| joined(&rows));
    for body in after_starts.chain(in_rows) {
        if text::is_intact(&body) && !found.iter().any(|known| **known == *body) {
            found.push(body);
        }
    }
    found
}

/// Whether a text holds a share or a good part of one, misread or not. Meant for what must not be repeated: it rather
/// takes something else for a share than a share for something else.
pub fn resembles_share(text: &str) -> bool {
    !intact(text).is_empty() || text.split(|c: char| !c.is_ascii_alphanumeric()).any(has_long_start) || has_groups(text)
}

/// `LB1` and the beginning of a share directly after it, in one case: base64 mixes them.
fn has_long_start(word: &str) -> bool {
    let upper = rows::alphanumeric(word);
    let starts = upper.match_indices(START).chain(upper.match_indices("L81"));
    let mut starts = starts.filter_map(|(at, _)| word.get(at..at + START.len() + BEGINNING));
    starts.any(|start| {
        let is_one_case =
            !start.contains(|c: char| c.is_ascii_lowercase()) || !start.contains(|c: char| c.is_ascii_uppercase());
        let misread = start.chars().skip(START.len()).filter(|symbol| !in_alphabet(symbol.to_ascii_uppercase()));
        is_one_case && misread.count() <= 2
    })
}

/// Groups of four as rows are printed and typed: [`BEGINNING`] characters or more in a row, with a digit among them, or
/// with the number or the `=` of a row.
fn has_groups(text: &str) -> bool {
    let (mut length, mut has_sign) = (0, false);
    for word in text.split_whitespace() {
        let is_number = word.len() <= 2 && word.starts_with(|c: char| c.is_ascii_digit());
        if is_number || word == "=" {
            has_sign = true;
        } else if word.len() == 2 || START.eq_ignore_ascii_case(word) {
            // The checks of a row stand between its groups and those of the next.
        } else if matches!(word.len(), 3 | 4) && word.chars().all(|symbol| in_alphabet(symbol.to_ascii_uppercase())) {
            length += word.len();
            has_sign |= word.bytes().any(|byte| byte.is_ascii_digit());
        } else {
            (length, has_sign) = (0, false);
        }
        if length >= BEGINNING && has_sign {
            return true;
        }
    }
    false
}

pub(super) fn in_alphabet(symbol: char) -> bool {
    Fe32::from_char(symbol).is_ok()
}

/// What looks most like a share in a text without an intact one.
pub(super) enum Attempt {
    /// Four rows, all of about the right length.
    Rows(Box<[Row; 4]>),
    /// Rows are there, but not all four: these numbers are missing or of a wrong length.
    SomeRows(Vec<usize>),
    /// What follows `LB1`.
    Whole(Zeroizing<String>),
}

/// The best attempt at a share in `text`, if anything in it looks like one.
pub(super) fn attempt(text: &str) -> Option<Attempt> {
    let best = windows(text)
        .into_iter()
        .filter(|rows| rows.iter().zip(1..).all(|(row, number)| looks_like(row, number)))
        .max_by_key(score);
    if let Some(rows) = best {
        return Some(Attempt::Rows(Box::new(rows)));
    }
    let whole = after_start(text);
    match lost_rows(text) {
        Some(numbers) => Some(Attempt::SomeRows(numbers)),
        None => whole.map(Attempt::Whole),
    }
}

impl Attempt {
    /// The 87 characters as meant, letters that the alphabet avoids replaced by what they look like.
    pub(super) fn body(&self) -> Option<Zeroizing<String>> {
        let read = match self {
            Self::Rows(rows) => joined(rows),
            Self::SomeRows(_) => return None,
            Self::Whole(body) => body.clone(),
        };
        let mut meant = Zeroizing::new(String::with_capacity(BODY));
        meant.extend(read.chars().map(look_alike));
        (meant.len() == BODY).then_some(meant)
    }
}

/// Every four lines that follow each other, blank ones and a lone `LB1` left out; put in order when they are numbered.
fn windows(text: &str) -> Vec<[Row; 4]> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| {
            let kept = rows::alphanumeric(line);
            !kept.is_empty() && *kept != *START
        })
        .collect();
    lines
        .windows(LENGTHS.len())
        .map(|lines| {
            let mut rows = [0, 1, 2, 3].map(|at| Row::read(lines[at]));
            let numbered = (1..=LENGTHS.len()).all(|number| rows.iter().any(|row| row.label == Some(number)));
            if numbered {
                rows.sort_by_key(|row| row.label);
            }
            rows
        })
        .collect()
}

fn joined(rows: &[Row; 4]) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::with_capacity(rows.iter().map(|row| row.data.len()).sum()));
    for row in rows {
        body.push_str(&row.data);
    }
    body
}

/// Whether a line may be a mistyped row `number`: about the length, and a shape that prose does not have.
fn looks_like(row: &Row, number: usize) -> bool {
    row.data.len().abs_diff(LENGTHS[number - 1]) <= 3 && (row.label == Some(number) || row.has_equals || row.is_grouped)
}

fn score(rows: &[Row; 4]) -> usize {
    rows.iter()
        .zip(1..)
        .map(|(row, number)| {
            usize::from(row.label == Some(number))
                + usize::from(row.has_equals)
                + usize::from(row.check.is_some())
                + 2 * usize::from(row.fault(number) != Some(RowFault::Length))
                + 2 * usize::from(row.fault(number).is_none())
        })
        .sum()
}

/// Which rows are missing or cut, when lines with a number and an `=` show that rows were typed.
fn lost_rows(text: &str) -> Option<Vec<usize>> {
    let rows: Vec<Row> = text.lines().map(Row::read).filter(|row| row.label.is_some() && row.has_equals).collect();
    let good = |number| rows.iter().any(|row| row.label == Some(number) && row.data.len() == LENGTHS[number - 1]);
    let lost: Vec<usize> = (1..=LENGTHS.len()).filter(|&number| !good(number)).collect();
    (!rows.is_empty() && !lost.is_empty()).then_some(lost)
}

/// What follows `LB1` (or what looks like it) in the first word long enough, or else up to the next blank line.
fn after_start(text: &str) -> Option<Zeroizing<String>> {
    let words = text.split_whitespace().map(rows::alphanumeric).filter_map(|word| {
        let start: String = word.chars().take(START.len()).map(start_alike).collect();
        (start == START).then(|| Zeroizing::new(word[START.len()..].to_owned()))
    });
    let paragraphs = text.split("\n\n").map(rows::alphanumeric).filter_map(|paragraph| {
        let at = paragraph.find(START)?;
        Some(Zeroizing::new(paragraph[at + START.len()..].to_owned()))
    });
    words.chain(paragraphs).find(|body| body.len() >= BEGINNING)
}

/// The character of the alphabet that one outside it is most often misread for.
fn look_alike(symbol: char) -> char {
    look_alikes(symbol).first().copied().unwrap_or(symbol)
}

/// What a character outside the alphabet is written for, most often first.
pub(super) fn look_alikes(symbol: char) -> &'static [char] {
    match symbol {
        'O' => &['0'],
        'I' | '1' => &['L', '7'],
        'B' => &['8'],
        _ => &[],
    }
}

/// Undoes misreadings of the three characters of `LB1`.
fn start_alike(symbol: char) -> char {
    match symbol {
        '8' => 'B',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: &str = "LB1ZQPS2PQPQGPSGZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFQ5ZS2PG9Q5HYVVJLCLEJFZ6";

    #[test]
    fn a_share_is_recognised_whole_cut_misread_and_in_groups() {
        let rows: Vec<String> = rows::print(&SHARE[3..]).iter().map(|row| row.to_string()).collect();
        let misread = SHARE.replace("QPQG", "QO1G");
        let grouped: Vec<&str> = SHARE.as_bytes().chunks(4).map(|group| std::str::from_utf8(group).unwrap()).collect();
        for text in [
            SHARE,
            &SHARE.to_lowercase(),
            &SHARE[..40],
            &misread,
            &format!("sheets/{SHARE}.txt"),
            &format!("--share={SHARE}"),
            &rows.join("\n"),
            &rows.join(" "),
            &rows[0],
            &rows[1].to_lowercase(),
            &format!("LB1 {}", rows[0]),
            &grouped.join(" "),
            &grouped.join("-"),
            &SHARE.replace('Z', "Z\n"),
        ] {
            assert!(resembles_share(text), "{text}");
        }
    }

    #[test]
    fn what_people_give_as_arguments_is_no_share() {
        for text in [
            "",
            "LB1",
            "s3://lb1-archive-west/lifeboat?region=eu-central-1",
            "/srv/lb1/sheets/02-dee.txt",
            "file:///mnt/lb1.example/very/long/path/to/the/repository/of/the/team",
            "restore --repo west --to aws:eu-west-1 --share sheets/02-bo.txt --share sheets/04-dee.txt --yes",
            "init --custodian Ana --custodian Dee --custodian Cy --custodian Eli --custodian Jan --threshold 3",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Dn0TgPBhXQ6rGj0H2bF7s8u0n3H4v2Yt7m9k6J5qL",
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "Ana=ssh-ed25519 AAAALb1zQpS2pQpQgPsGzGfPyYsJzGf",
            "20261124T080427Z-bf1f48ea 3f2a91c0 9000 2026 1000 2000",
            "the last year went past when they sent that text here",
        ] {
            assert!(!resembles_share(text), "{text}");
        }
    }
}
