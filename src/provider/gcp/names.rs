//! Names, labels and aliases that Google takes, and those that stand for others.

use sha2::{Digest as _, Sha256};

/// The longest id of a secret.
const LONGEST: usize = 255;
/// How much of a longer name is kept before the part of its digest.
const KEPT: usize = LONGEST - DIGEST;
const DIGEST: usize = 8;
/// The longest key and value of a label, in characters and in bytes.
const LABEL: (usize, usize) = (63, 128);
/// The longest key of an annotation and name of an alias.
const LONGEST_KEY: usize = 63;

/// Whether a text can be the id of a secret.
pub(super) fn is_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A name in the characters that Google takes: every other one, and `_` itself, is `_XX` in hexadecimal digits. What is too long
/// ends in a part of its digest.
pub(super) fn escaped(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            id.push(char::from(byte));
        } else {
            id.push_str(&format!("_{byte:02X}"));
        }
    }
    if id.len() > LONGEST {
        id.truncate(KEPT);
        id.push_str(&hex::encode(Sha256::digest(name))[..DIGEST]);
    }
    id
}

/// Letters without a case, and small ones.
fn is_small(c: char) -> bool {
    c.is_lowercase() || (c.is_alphabetic() && !c.is_uppercase())
}

fn is_of_label(text: &str) -> bool {
    text.chars().count() <= LABEL.0
        && text.len() <= LABEL.1
        && text.chars().all(|c| is_small(c) || c.is_numeric() || c == '_' || c == '-')
}

/// Whether a key and a value can be a label.
pub(super) fn is_label(key: &str, value: &str) -> bool {
    key.chars().next().is_some_and(is_small) && is_of_label(key) && is_of_label(value)
}

/// Whether a key can be one of an annotation.
pub(super) fn is_annotation(key: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (1..=LONGEST_KEY).contains(&key.len())
        && is_end(key.bytes().next())
        && is_end(key.bytes().last())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether a text can be an alias of a version.
pub(super) fn is_alias(text: &str) -> bool {
    text.len() <= LONGEST_KEY
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !["latest", "new"].contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// What [`escaped`] undoes.
    fn unescaped(id: &str) -> Option<String> {
        let mut bytes = id.bytes();
        let mut plain = Vec::new();
        while let Some(byte) = bytes.next() {
            let digits = |bytes: &mut std::str::Bytes<'_>| Some([bytes.next()?, bytes.next()?]);
            plain.push(match byte {
                b'_' => u8::from_str_radix(std::str::from_utf8(&digits(&mut bytes)?).ok()?, 16).ok()?,
                byte => byte,
            });
        }
        String::from_utf8(plain).ok()
    }

    #[test]
    fn a_name_is_escaped_so_that_it_can_be_undone() {
        assert_eq!(escaped("orrange-p2p/database/production"), "orrange-p2p_2Fdatabase_2Fproduction");
        assert_eq!(escaped("a_b.c"), "a_5Fb_2Ec");
        let long = escaped(&"x/".repeat(200));
        assert!(is_id(&long) && long.len() == LONGEST && long != escaped(&"x/".repeat(201)));
        let names = ["A", "a", "a/b", "a_2Fb", "a--b"];
        assert_eq!(names.map(escaped).into_iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn labels_are_in_small_letters() {
        assert!(is_label("team", "a-b_1") && is_label("größe", "日本") && is_label("a", ""));
        for (key, value) in [("Team", "a"), ("1a", "a"), ("a", "B"), ("a.b", "c"), ("", "a"), ("a:b", "c"), ("_a", "")]
        {
            assert!(!is_label(key, value), "{key}={value}");
        }
        assert!(!is_label(&"a".repeat(64), "") && !is_label(&"é".repeat(65), ""));
        assert!(is_annotation("lifeboat.0") && !is_annotation(".a") && !is_annotation("a/b"));
        assert!(
            is_alias("AWSCURRENT") && !is_alias("Latest") && !is_alias("new") && !is_alias("1a") && !is_alias("a.b")
        );
    }

    proptest! {
        #[test]
        fn every_name_that_is_not_too_long_comes_back(name in ".{1,60}") {
            let id = escaped(&name);
            prop_assert!(is_id(&id));
            if id.len() < LONGEST {
                prop_assert_eq!(unescaped(&id), Some(name));
            }
        }
    }
}
