//! Text that somebody else chose, on its way to people: names, labels, reasons, error texts of endpoints, names of files.
//!
//! One function for each kind of place. Templates of pages escape by their file's ending; paper has [`crate::custody`]'s own rule.
//! Whoever prints passes one of these, so that such text cannot steer a terminal, begin a line of its own, or turn the
//! direction of writing.

use std::borrow::Cow;

/// An endpoint's or another's sentence is cut after so many characters.
const MOST: usize = 1_000;

/// Characters that are seen by what they do: control characters (C0, DEL, C1), line and paragraph separators, and the
/// format characters of Unicode 16 (general category Cf) but for the two joiners that Persian, Hindi and emoji are written with.
fn steers(c: char) -> bool {
    // Nearly every character that is looked at is one of these.
    !matches!(c, ' '..='~') && steers_beyond_ascii(c)
}

fn steers_beyond_ascii(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// As a part of one line, on a terminal, in a log or in a cell of a table: what steers is written `\u{1b}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// The same, not longer than a person reads: for sentences that an endpoint or a server made.
pub fn sentence(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}…", line(&text[..end]))),
        None => line(text),
    }
}

/// The last gate before a terminal, for our own text of several lines: line breaks stay, nothing else that steers does.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && c != '\n')
}

/// JSON, as serde makes it, in which no byte steers a terminal: within its strings, where alone such characters can be, they
/// are written `\u009b`, which means the same.
pub fn json(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(|c| steers(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// A command as one physical line that every POSIX shell reads as these words.
pub fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(shell).collect::<Vec<_>>().join(" ")
}

/// One word of a shell: as it is where every shell reads it so, else quoted (POSIX, Shell Command Language, 2.2). What steers
/// becomes a `printf` that makes it again, since dash knows no ANSI-C quoting.
pub fn shell(word: &str) -> Cow<'_, str> {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "_-./@%+,:=".contains(c);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(is_bare) {
        return Cow::Borrowed(word);
    }
    if !word.contains(steers) {
        return Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")));
    }
    let mut format = String::new();
    for c in word.chars() {
        match c {
            '%' => format.push_str("%%"),
            '\\' => format.push_str(r"\\"),
            '\'' => format.push_str(r"\047"),
            c if steers(c) => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| format.push_str(&format!(r"\{byte:03o}")));
            }
            c => format.push(c),
        }
    }
    // A substitution loses the line breaks at its end; ANSI-C quoting does not, where there is any.
    if word.ends_with('\n') {
        return Cow::Owned(format!("$'{}'", format.replace("%%", "%")));
    }
    Cow::Owned(format!("\"$(printf '{format}')\""))
}

/// `1 copy`, `2 copies`, `3 secrets`, `4 days`: a count with its noun.
pub fn plural(count: u64, noun: &str) -> String {
    let stem = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match stem {
        _ if count == 1 => format!("1 {noun}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {noun}s"),
    }
}

/// Whether a word means itself in every file that starts programs: units of systemd, crontabs, workflows, shells.
pub fn is_plain_word(word: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@+=,".contains(c);
    !word.is_empty() && !word.starts_with(['-', '@', ':', '=']) && word.chars().all(is_plain)
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

/// How many letters have to be changed, added or taken away to make one word of another (Levenshtein).
pub fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in two.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[two.len()]
}

/// The word of a list, which has at least one, that is most like another.
pub fn likely(word: &str, known: &[&'static str]) -> &'static str {
    known.iter().min_by_key(|known| distance(word, known)).expect("the list has a word")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\r\n\u{9b}31m\u{202e}\u{2028}é\u{200c}";

    #[test]
    fn what_steers_is_written_out_and_everything_else_stays() {
        assert_eq!(line(HOSTILE), r"a\u{1b}]0;x\u{7}\u{d}\u{a}\u{9b}31m\u{202e}\u{2028}é".to_owned() + "\u{200c}");
        assert_eq!(lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
        for plain in ["", "prod/db–1", "héé €5 ✓ 数据、", "علی\u{200c}رضا", "👩\u{200d}🚒"] {
            assert!(matches!((line(plain), lines(plain)), (Cow::Borrowed(_), Cow::Borrowed(_))), "{plain}");
        }
        let long = "x".repeat(MOST);
        assert_eq!(sentence(&long), long);
        assert_eq!(sentence(&format!("{long}\u{1b}")), format!("{long}…"));
    }

    #[test]
    fn one_is_one_and_every_other_count_is_several() {
        for (count, noun, text) in [
            (0, "secret", "0 secrets"),
            (1, "secret", "1 secret"),
            (2, "copy", "2 copies"),
            (1, "copy", "1 copy"),
            (3, "day", "3 days"),
            (2, "key", "2 keys"),
            (2, "planted fault", "2 planted faults"),
        ] {
            assert_eq!(plural(count, noun), text);
        }
    }

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        for text in [HOSTILE, "\u{e0001}\u{7f}", "plain"] {
            let made = serde_json::to_string_pretty(&[text]).unwrap();
            let safe = json(&made);
            assert!(!safe.contains(|c| steers(c) && c != '\n'), "{safe}");
            assert_eq!(serde_json::from_str::<[String; 1]>(&safe).unwrap(), [text]);
        }
    }

    #[test]
    fn words_of_units_and_workflows_hold_nothing_that_means_something() {
        assert!(is_plain_word("/srv/höhle/lifeboat.toml") && is_plain_word("arn:aws:iam::1:role/x"));
        for word in
            ["", "a b", "a\nb", "-x", "$(x)", "a;b", "a&&b", "a%b", "a\"b", "a'b", "a#b", "${{x}}", "a\\b", "*", "[a]"]
        {
            assert!(!is_plain_word(word), "{word:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
        #[test]
        fn a_word_reaches_every_shell_as_it_is(word in "[^\u{0}]{0,12}") {
            for word in [word.as_str(), HOSTILE, "it's", "", "~", "*", "a\\'b", "!x", "-n"] {
                let quoted = shell(word);
                prop_assert!(!quoted.contains(steers));
                let script = format!("printf %s {quoted}");
                for shell in ["bash", "dash", "zsh"] {
                    let Ok(output) = Command::new(shell).args(["-c", &script]).env("LC_ALL", "C").output() else {
                        prop_assert!(shell != "bash", "the tests need bash");
                        continue;
                    };
                    if !word.ends_with('\n') || shell != "dash" {
                        prop_assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{}: {}", shell, quoted);
                    }
                }
            }
        }
    }
}
