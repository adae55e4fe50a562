//! Shares as people and cameras hand them over: every way of typing reads, every slip is named, nothing wrong is taken.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt::Write as _;

use lifeboat::{
    crypto::RecoveryKey,
    share::{Share, ShareFault, UntrustedShare, split},
};
use proptest::prelude::*;

const ALPHABET: &[u8; 32] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
const ROW_LENGTHS: [usize; 4] = [24, 24, 24, 15];

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count) }
}

fn share() -> Share {
    split(&RecoveryKey::generate(), 3, 5).unwrap().remove(3)
}

fn lines(share: &Share) -> Vec<String> {
    share.rows().iter().map(|row| row.to_string()).collect()
}

/// The data characters of the rows, without numbers and checks.
fn data(share: &Share) -> Vec<String> {
    let text = share.text();
    let mut rest = &text[3..];
    ROW_LENGTHS
        .iter()
        .map(|&length| {
            let (row, tail) = rest.split_at(length);
            rest = tail;
            row.to_owned()
        })
        .collect()
}

fn is(share: &Share, text: &str) -> bool {
    UntrustedShare::parse(text).is_ok_and(|read| {
        (read.index(), read.set(), read.fingerprint()) == (share.index(), share.set(), share.fingerprint())
            && read.threshold() == (3, 5)
    })
}

fn fault(text: &str) -> ShareFault {
    UntrustedShare::parse(text).err().expect("not a share")
}

/// Where the data characters of a printed row are.
fn places(row: &str) -> Vec<usize> {
    (3..row.find('=').unwrap()).filter(|&at| row.as_bytes()[at] != b' ').collect()
}

fn other_symbol(symbol: u8, shift: usize) -> u8 {
    let at = ALPHABET.iter().position(|&known| known == symbol).unwrap();
    ALPHABET[(at + 1 + shift % 31) % 32]
}

fn changed(row: &str, at: usize, symbol: u8) -> String {
    let mut bytes = row.as_bytes().to_vec();
    bytes[at] = symbol;
    String::from_utf8(bytes).unwrap()
}

/// A small generator, so that ten million corruptions need no other crate. Splitmix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

#[test]
fn every_way_of_typing_reads() {
    let share = share();
    let (text, rows, data) = (share.text(), lines(&share), data(&share));
    assert_eq!((text.len(), rows.len()), (90, 4));
    let spaced = |group: usize| {
        text.as_bytes().chunks(group).map(|part| std::str::from_utf8(part).unwrap()).collect::<Vec<_>>().join(" ")
    };
    let without = |gone: &str| rows.iter().map(|row| row.replace(gone, "")).collect::<Vec<_>>().join("\n");
    let unnumbered: Vec<&str> = rows.iter().map(|row| &row[3..]).collect();
    let bare: Vec<&str> = rows.iter().map(|row| row[3..].split(" =").next().unwrap()).collect();
    let mut shuffled = rows.clone();
    shuffled.rotate_left(1);
    for (what, typed) in [
        ("the string", text.to_string()),
        ("lower case", text.to_lowercase()),
        ("in groups", spaced(4)),
        ("one by one", spaced(1)),
        ("wrapped", spaced(30).replace(' ', "\r\n")),
        ("in a sentence", format!("My share is {}, keep it safe. (sheet 4 of 5)", text.as_str())),
        ("in quotes", format!("\"{}\"", text.as_str())),
        ("rows", rows.join("\n")),
        ("rows, lower case", rows.join("\r\n").to_lowercase()),
        ("rows apart", rows.join("\n\n  \n")),
        ("rows after the start", format!("LB1\n{}", rows.join("\n"))),
        ("rows with the start", format!("LB1 {}", unnumbered.join("\n"))),
        ("rows without spaces", without(" ")),
        ("rows without equals signs", without("=")),
        ("rows without colons", without(":")),
        (
            "rows without any punctuation",
            rows.iter().map(|row| row.replace([':', '='], "")).collect::<Vec<_>>().join("\n"),
        ),
        ("rows without numbers", unnumbered.join("\n")),
        ("rows without numbers and checks", bare.join("\n")),
        ("rows without anything", data.join("\n")),
        ("rows in another order", shuffled.join("\n")),
        ("quoted rows", rows.iter().map(|row| ["> ", row, " |\n"].concat()).collect()),
        ("rows called rows", rows.iter().map(|row| ["Row ", row, "\n"].concat()).collect()),
        ("rows with dashes", bare.iter().map(|row| row.replace(' ', "-") + "\n").collect()),
        ("both forms", format!("{}\n\n{}", text.as_str(), rows.join("\n"))),
        ("string wrong, rows right", format!("{}\n\n{}", &text[..80], rows.join("\n"))),
    ] {
        assert!(is(&share, &typed), "{what}");
    }
}

#[test]
fn a_sheet_full_of_prose_reads() {
    let share = share();
    let mut sheet = String::from(
        "LIFEBOAT RECOVERY SHEET\nHolder: Zoë Müller = sheet 4 of 5\n\n1. Keep this sheet safe and dry.\n",
    );
    sheet.push_str("2. Do not photograph it.\n3. Bring it when you are asked.\n4. Nobody needs it on the phone.\n\n");
    for row in share.rows() {
        writeln!(sheet, "    {}", row.as_str()).unwrap();
    }
    sheet.push_str("\nFingerprint: ABCD-EF01\nDate: ______ Signature: ______\n");
    assert!(is(&share, &sheet));
    let broken = sheet.replace(&share.rows()[1][3..8], " QQQQ");
    assert_eq!(rows_of(&fault(&broken)), [2], "the numbered list is not taken for rows");
}

#[test]
fn what_is_no_share_is_said_to_be_none() {
    for text in [
        "",
        "\n\n",
        "LB1",
        "lb1 is how a share starts",
        "the quick brown fox\njumps over\nthe lazy dog\nand sleeps",
        "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
        "ms10testsxxxxxxxxxxxxxxxxxxxxxxxxxx4nzvca9cmczlw",
        "\u{feff}ſhare LB\u{0131} ÄÖÜ 日本語",
    ] {
        assert_eq!(fault(text), ShareFault::NotAShare, "{text}");
        assert!(UntrustedShare::suggest(text).is_none());
    }
}

#[test]
fn two_shares_in_one_text_are_refused_rather_than_one_ignored() {
    let shares = split(&RecoveryKey::generate(), 2, 3).unwrap();
    let both = format!("{}\n{}", shares[0].text().as_str(), shares[1].text().as_str());
    assert!(matches!(fault(&both), ShareFault::Impossible(_)));
}

#[test]
fn letters_the_alphabet_avoids_are_located_and_suggested() {
    let share = share();
    let mut rows = lines(&share);
    let (row, at, wrong) = (0..4)
        .flat_map(|row| places(&rows[row]).into_iter().map(move |at| (row, at)).collect::<Vec<_>>())
        .find_map(|(row, at)| match rows[row].as_bytes()[at] {
            b'0' => Some((row, at, b'O')),
            b'8' => Some((row, at, b'B')),
            b'L' => Some((row, at, b'1')),
            _ => None,
        })
        .expect("87 characters hold one of three");
    rows[row] = changed(&rows[row], at, wrong);
    let typed = rows.join("\n");
    assert_eq!(fault(&typed), ShareFault::Misread { rows: vec![row + 1], correctable: true });
    let suggestion = UntrustedShare::suggest(&typed).unwrap();
    assert_eq!((suggestion.text(), suggestion.rows()), (share.text(), &[row + 1][..]));
    let printed: String = share.rows()[row][3..].split(" =").next().unwrap().replace(' ', "");
    assert_eq!(suggestion.row(row + 1), Some(printed.as_str()));
    assert_eq!((suggestion.row(0), suggestion.row(5)), (None, None));
}

#[test]
fn a_wrong_length_of_the_string_is_named() {
    let share = share();
    let text = share.text();
    for typed in [&text[..89], &text[..40], &format!("{}Q", text.as_str()), &text.replacen("LB1", "LB1Q", 1)] {
        // One more character at the end leaves the share whole.
        if typed.len() == 91 && typed.starts_with(text.as_str()) {
            continue;
        }
        assert_eq!(fault(typed), ShareFault::Length { rows: vec![] });
        assert!(UntrustedShare::suggest(typed).is_none());
    }
}

#[test]
fn a_lost_or_repeated_row_is_named() {
    let share = share();
    let rows = lines(&share);
    for gone in 0..4 {
        let mut kept = rows.clone();
        kept.remove(gone);
        assert_eq!(fault(&kept.join("\n")), ShareFault::Length { rows: vec![gone + 1] });
    }
    let twice = [&rows[0], &rows[1], &rows[1], &rows[3]].map(String::as_str).join("\n");
    assert_eq!(rows_of(&fault(&twice)), [3]);
    // Without their numbers, swapped rows are told by the checks.
    let swapped = [&rows[1], &rows[0], &rows[2], &rows[3]].map(|row| row[3..].to_owned()).join("\n");
    assert_eq!(rows_of(&fault(&swapped)), [1, 2]);
}

fn rows_of(fault: &ShareFault) -> Vec<usize> {
    match fault {
        ShareFault::Misread { rows, .. } | ShareFault::Length { rows } => rows.clone(),
        _ => Vec::new(),
    }
}

/// Whether any six characters in a row of the share stand in `message`.
fn leaks(share: &Share, message: &str) -> bool {
    let message = message.to_uppercase();
    share.text().as_bytes().windows(6).any(|part| message.contains(std::str::from_utf8(part).unwrap()))
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_wrong_character_is_located_to_its_row(row in 0_usize..4, place in 0_usize..24, shift in 0_usize..31) {
        let share = share();
        let mut rows = lines(&share);
        let places = places(&rows[row]);
        let at = places[place % places.len()];
        rows[row] = changed(&rows[row], at, other_symbol(rows[row].as_bytes()[at], shift));
        let typed = rows.join("\n");
        let fault = fault(&typed);
        prop_assert_eq!(&fault, &ShareFault::Misread { rows: vec![row + 1], correctable: true });
        let said = format!("{fault} {fault:?}");
        prop_assert!(!leaks(&share, &said));
        prop_assert_eq!(UntrustedShare::suggest(&typed).unwrap().text(), share.text());
        let unchecked: Vec<&str> = rows.iter().map(|row| row.split(" =").next().unwrap()).collect();
        let fault = UntrustedShare::parse(&unchecked.join("\n")).err().unwrap();
        prop_assert_eq!(rows_of(&fault), vec![row + 1], "also without the checks");
    }

    #[test]
    fn any_swap_of_neighbours_is_located_to_its_row(row in 0_usize..4, place in 0_usize..23) {
        let share = share();
        let mut rows = lines(&share);
        let places = places(&rows[row]);
        let at = place % (places.len() - 1);
        let mut bytes = rows[row].clone().into_bytes();
        bytes.swap(places[at], places[at + 1]);
        prop_assume!(bytes != rows[row].as_bytes());
        rows[row] = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(fault(&rows.join("\n")), ShareFault::Misread { rows: vec![row + 1], correctable: true });
    }

    #[test]
    fn any_dropped_or_doubled_character_is_located_to_its_row(row in 0_usize..4, place in 0_usize..24, drop: bool) {
        let share = share();
        let mut rows = lines(&share);
        let places = places(&rows[row]);
        let at = places[place % places.len()];
        let symbol = char::from(rows[row].as_bytes()[at]);
        if drop { rows[row].remove(at); } else { rows[row].insert(at, symbol); }
        prop_assert_eq!(fault(&rows.join("\n")), ShareFault::Length { rows: vec![row + 1] });
        let plain: Vec<String> = rows.iter().map(|row| row[3..].replace(" =", "")).collect();
        prop_assert_eq!(rows_of(&fault(&plain.join("\n"))), vec![row + 1], "also without numbers and equals signs");
    }

    #[test]
    fn a_wrong_check_alone_does_not_stop_an_intact_share(row in 0_usize..4, check in 0_usize..2, shift in 0_usize..31) {
        let share = share();
        let mut rows = lines(&share);
        let at = rows[row].len() - 1 - check;
        rows[row] = changed(&rows[row], at, other_symbol(rows[row].as_bytes()[at], shift));
        prop_assert!(is(&share, &rows.join("\n")));
    }

    #[test]
    fn up_to_four_wrong_characters_are_suggested_right(
        wrong in proptest::collection::btree_map(3_usize..90, 0_usize..31, 1..=4)
    ) {
        let share = share();
        let mut text = share.text().to_string();
        for (&at, &shift) in &wrong {
            text = changed(&text, at, other_symbol(text.as_bytes()[at], shift));
        }
        prop_assert_eq!(fault(&text), ShareFault::Misread { rows: vec![], correctable: true });
        let suggestion = UntrustedShare::suggest(&text).unwrap();
        prop_assert_eq!(suggestion.text(), share.text());
        let rows: std::collections::BTreeSet<usize> = wrong.keys().map(|at| ((at - 3) / 24).min(3) + 1).collect();
        prop_assert!(suggestion.rows().iter().eq(&rows), "the rows to compare with the paper are named");
    }

    #[test]
    fn five_to_eight_wrong_characters_are_never_taken(
        wrong in proptest::collection::btree_map(3_usize..90, 0_usize..31, 5..=8)
    ) {
        let share = share();
        let mut text = share.text().to_string();
        for (&at, &shift) in &wrong {
            text = changed(&text, at, other_symbol(text.as_bytes()[at], shift));
        }
        prop_assert!(UntrustedShare::parse(&text).is_err());
        prop_assert!(UntrustedShare::suggest(&text).is_none_or(|suggested| suggested.text() != share.text()));
    }

    #[test]
    fn no_text_makes_the_reader_fail(text in "(?s).{0,400}", spliced in 0_usize..90) {
        let _ = (UntrustedShare::parse(&text), UntrustedShare::suggest(&text));
        let mixed = format!("LB1{text}\n1: {text} = QQ\n2: {}", &share().text()[..spliced]);
        let _ = (UntrustedShare::parse(&mixed), UntrustedShare::suggest(&mixed));
    }
}

/// Substitutions, swaps, drops, doubles, and stretches of noise; none may pass as a share.
fn corrupt_many(count: usize, seed: u64) {
    let share = share();
    let text = share.text();
    let rows = lines(&share).join("\n");
    let mut numbers = Numbers(seed);
    for round in 0..count {
        let original = if round % 2 == 0 { &text[3..] } else { &rows[..] };
        let mut bytes = original.as_bytes().to_vec();
        for _ in 0..=numbers.below(12) {
            let at = numbers.below(bytes.len());
            match numbers.below(8) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, bytes[at]),
                2 if at + 1 < bytes.len() => bytes.swap(at, at + 1),
                _ => bytes[at] = ALPHABET[numbers.below(32)],
            }
        }
        let corrupt = String::from_utf8(bytes).unwrap();
        let typed = if round % 2 == 0 { format!("LB1{corrupt}") } else { corrupt };
        if let Ok(read) = UntrustedShare::parse(&typed) {
            // What was changed was outside the characters, such as a check or where a row ends.
            assert!(read.digest() == share.digest(), "a corrupt share was taken: seed {seed}, round {round}\n{typed}");
        }
    }
}

#[test]
fn no_random_corruption_is_taken() {
    corrupt_many(100_000, 1);
}

#[test]
#[ignore = "ten million rounds"]
fn no_random_corruption_is_taken_in_ten_million() {
    corrupt_many(10_000_000, 2);
}

/// What tesseract 5.3 makes of the page of a rehearsal, at 150 and 300 dots per inch and two ways of taking the page apart:
/// it reads a 0 as O, and 2: as nothing. The pages say where, and the row that is meant is the only one offered.
#[test]
fn a_page_read_by_tesseract_is_located_to_its_row_and_offered_right() {
    let string = "LB1ZQPQXQWKXGFCEM5WCM9H8MZFQU5WFN3DJLWD5ELANHDPWMTSWY7GNR4E8JSWH26Y2THKP6AX4S0LCNHFVDJ9F2C";
    assert!(UntrustedShare::parse(string).is_ok());
    for page in ["150-3", "150-6", "300-3", "300-4"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ocr");
        let text = std::fs::read_to_string(folder.join(format!("{page}.txt"))).unwrap();
        let fault = fault(&text);
        assert_eq!(fault.to_string(), "has a typing or reading error in row 4", "{page}");
        assert!(UntrustedShare::parse(&text.replace("4SOL", "4S0L")).is_ok(), "{page} and nothing else is wrong");
    }
}
