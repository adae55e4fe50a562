//! Names: letters, digits and hyphens, at most 127 of them, and two that differ by case alone are one.
//!
//! Every other byte of a name of another kind is written `-xHH-`, and a hyphen that looks like the beginning of such a group is
//! too, so that no two names become one. What would be too long is cut and ends with a part of its digest.

use sha2::{Digest as _, Sha256};

/// The longest name.
const LONGEST: usize = 127;
/// Digits of the digest behind a name that was cut.
const DIGEST: usize = 10;

/// Whether a vault takes a name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The name here of a name of another kind.
pub(super) fn escaped(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut text = String::with_capacity(name.len());
    for (at, byte) in bytes.iter().enumerate() {
        let looks_escaped = *byte == b'-'
            && bytes.get(at + 1) == Some(&b'x')
            && bytes.get(at + 2..at + 4).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if (byte.is_ascii_alphanumeric() || *byte == b'-') && !looks_escaped {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("-x{byte:02X}-"));
        }
    }
    if text.len() > LONGEST {
        text.truncate(LONGEST - DIGEST - 1);
        text = format!("{text}-{}", &hex::encode(Sha256::digest(name))[..DIGEST]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Undoes it, where nothing was cut.
    fn plain(text: &str) -> String {
        let bytes = text.as_bytes();
        let (mut at, mut plain) = (0, Vec::new());
        while at < bytes.len() {
            let group = bytes.get(at..at + 5).filter(|it| it[0] == b'-' && it[1] == b'x' && it[4] == b'-');
            let byte = group.and_then(|it| u8::from_str_radix(std::str::from_utf8(&it[2..4]).ok()?, 16).ok());
            plain.push(byte.unwrap_or(bytes[at]));
            at += if byte.is_some() { 5 } else { 1 };
        }
        String::from_utf8(plain).unwrap()
    }

    #[test]
    fn what_a_vault_takes_stays_and_the_rest_can_be_read() {
        for (name, here) in [
            ("orders-db", "orders-db"),
            ("app/db", "app-x2F-db"),
            ("a--b", "a--b"),
            ("-x2F-", "-x2D-x2F-"),
            ("-x2F/", "-x2D-x2F-x2F-"),
            ("ü", "-xC3--xBC-"),
        ] {
            assert_eq!(escaped(name), here);
            assert!(is_name(here) && plain(here) == name);
        }
        let long = "a/".repeat(200);
        assert!(is_name(&escaped(&long)) && escaped(&long) != escaped(&format!("{long}a")));
        assert!(!is_name("") && !is_name("a/b") && !is_name(&"a".repeat(128)));
    }

    proptest! {
        #[test]
        fn no_two_names_become_one(name in "[a-cx0-9A-F/_.-]{1,20}") {
            prop_assert_eq!(plain(&escaped(&name)), name);
        }
    }
}
