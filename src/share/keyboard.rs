//! Texts that a keyboard changed on their way: full-width letters of an input method, and code scanners, which type as
//! keyboards do, set to another layout than the machine.

use zeroize::Zeroizing;

use super::finding;

/// Which keys were taken for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Y and Z exchanged: English and German.
    Qwertz,
    /// The scanner is English, the machine French.
    AzertyMachine,
    /// The scanner is French, the machine English.
    AzertyScanner,
}

impl Layout {
    const ALL: [Self; 3] = [Self::Qwertz, Self::AzertyMachine, Self::AzertyScanner];

    /// In words for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwertz => "a keyboard with Y and Z exchanged (QWERTZ)",
            Self::AzertyMachine => "an English scanner on a French keyboard (AZERTY)",
            Self::AzertyScanner => "a French scanner on an English keyboard (AZERTY)",
        }
    }

    /// What the key that gave `typed` was meant for.
    fn meant(self, typed: char) -> char {
        let pairs = match self {
            Self::Qwertz => "YZZY",
            Self::AzertyMachine => "AQQAWZZW?M,M&1É2\"3'4(5-6È7_8Ç9À0",
            Self::AzertyScanner => "AQQAWZZW:M;M!1@2#3$4%5^6&7*8(9)0",
        };
        let upper = typed.to_uppercase().next().unwrap_or(typed);
        let mut symbols = pairs.chars();
        while let (Some(from), Some(to)) = (symbols.next(), symbols.next()) {
            if from == upper {
                return to;
            }
        }
        upper
    }
}

/// The text as another layout would have typed it, when that holds an intact share and the text as it is holds none.
///
/// The share's checksum has confirmed it; a person agrees before it is presented.
pub fn other_layout(text: &str) -> Option<(Layout, Zeroizing<String>)> {
    let text = plain(text);
    if !finding::intact(&text).is_empty() {
        return None;
    }
    Layout::ALL.into_iter().find_map(|layout| {
        let mut meant = Zeroizing::new(String::with_capacity(2 * text.len()));
        meant.extend(text.chars().map(|typed| layout.meant(typed)));
        (!finding::intact(&meant).is_empty()).then_some((layout, meant))
    })
}

/// With the full-width forms of Unicode's block FF00 as the ASCII they stand for.
pub(super) fn plain(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().map(|symbol| match symbol {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(symbol) - 0xfee0).unwrap_or(symbol),
        '\u{3000}' => ' ',
        other => other,
    }));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::UntrustedShare;

    const SHARE: &str = "LB1ZQPS2PQPQGPSGZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFQ5ZS2PG9Q5HYVVJLCLEJFZ6";

    /// What a machine shows for the keys of `SHARE`.
    fn typed(pairs: &[(&str, &str)]) -> String {
        let swap = |symbol: char| {
            let of = |from: &str| from.chars().position(|known| known == symbol);
            pairs.iter().find_map(|(from, to)| to.chars().nth(of(from)?)).unwrap_or(symbol)
        };
        SHARE.chars().map(swap).collect()
    }

    #[test]
    fn a_scanner_of_another_layout_is_found_out() {
        let cases = [
            (Layout::Qwertz, typed(&[("YZ", "ZY")])),
            (Layout::AzertyMachine, typed(&[("QAZWM", "AQWZ?"), ("1234567890", "&é\"'(-è_çà")])),
            (Layout::AzertyScanner, typed(&[("QAZWM", "AQWZ:"), ("1234567890", "!@#$%^&*()")])),
        ];
        for (layout, typed) in cases {
            for typed in [typed.clone(), typed.to_lowercase()] {
                assert!(UntrustedShare::parse(&typed).is_err(), "{typed}");
                let (found, meant) = other_layout(&typed).unwrap();
                assert_eq!(
                    (found, UntrustedShare::parse(&meant).map(|share| share.index())),
                    (layout, Ok(4)),
                    "{typed}"
                );
            }
        }
        assert!(other_layout(SHARE).is_none());
        assert!(other_layout(&SHARE.replace('P', "X")).is_none());
    }

    #[test]
    fn full_width_letters_are_letters() {
        let wide: String = SHARE.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect();
        assert_eq!(UntrustedShare::parse(&wide).map(|share| share.index()), Ok(4));
    }
}
