//! The text of a share: `LB1`, 74 characters of data, 13 of checksum, all from the bech32 alphabet.
//!
//! The checksum is the BCH code of codex32 (BIP-93) over the bech32 expansion of the prefix `lb` and the data: it
//! detects any 8 wrong characters and can place up to 4. codex32's own prefix is `ms`, so no codex32 string is a
//! share and no share is a codex32 string.

use bech32::{
    Checksum, Fe32, Fe1024, Hrp,
    primitives::{checksum::Engine, decode::CheckedHrpstring, gf32_ext::Fe32Ext},
};
use zeroize::Zeroizing;

use super::{
    ShareFault,
    bytes::{self, ShareBytes},
    correction,
};

/// What every share starts with: the prefix and bech32's separator.
pub(super) const START: &str = "LB1";
/// Characters after [`START`].
pub(super) const BODY: usize = 87;
const PREFIX: Hrp = Hrp::parse_unchecked("lb");

/// The regular codex32 code. The constants are those of BIP-93.
pub(super) enum ShareChecksum {}

impl Checksum for ShareChecksum {
    type MidstateRepr = u128;
    type CorrectionField = Fe32Ext<2>;
    const ROOT_GENERATOR: Self::CorrectionField = Fe1024::new([Fe32::_9, Fe32::_9]);
    const ROOT_EXPONENTS: core::ops::RangeInclusive<usize> = 9..=16;
    const CHECKSUM_LENGTH: usize = 13;
    const CODE_LENGTH: usize = 93;
    const GENERATOR_SH: [u128; 5] = [
        0x0001_9dc5_00ce_73fd_e210,
        0x0001_bfae_00de_f77f_e529,
        0x0001_fbd9_20ff_fe7b_ee52,
        0x0001_7396_40bd_eee3_fdad,
        0x0000_7729_a039_cfc7_5f5a,
    ];
    const TARGET_RESIDUE: u128 = 0x0001_0ce0_795c_2fd1_e62a;
}

/// The whole text, `LB1…`.
pub(super) fn encode(share: &ShareBytes) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(START.len() + BODY));
    bech32::encode_upper_to_fmt::<ShareChecksum, _>(&mut *text, PREFIX, share.all()).expect("46 bytes fit the code");
    text
}

/// Whether `body` (what follows `LB1`) has the right length, alphabet and checksum.
pub(super) fn is_intact(body: &str) -> bool {
    residue(body) == Some(0)
}

/// The share in an intact `body`.
pub(super) fn decode(body: &str) -> Result<ShareBytes, ShareFault> {
    let text = whole(body);
    let parsed = CheckedHrpstring::new::<ShareChecksum>(&text)
        .map_err(|_| ShareFault::Misread { rows: Vec::new(), correctable: false })?;
    let mut bytes = Zeroizing::new([0; bytes::LENGTH]);
    for (byte, value) in bytes.iter_mut().zip(parsed.byte_iter()) {
        *byte = value;
    }
    let share = ShareBytes::checked(bytes)?;
    // 74 characters are 370 bits, 46 bytes are 368: a second text of the same share is not a share.
    if *encode(&share) == *text { Ok(share) } else { Err(ShareFault::Impossible("padding that is not zero")) }
}

/// The one intact body within four substitutions of `body`, if there is one.
///
/// Only ever a suggestion: with more wrong characters it can be a share that nobody made.
pub(super) fn correct(body: &str) -> Option<Zeroizing<String>> {
    let mut symbols: Zeroizing<Vec<u8>> = Zeroizing::new(body.as_bytes().to_vec());
    for (from_end, difference) in correction::errors(residue(body)?)? {
        let at = BODY - 1 - from_end;
        let wrong = Fe32::from_char(char::from(symbols[at])).ok()?;
        symbols[at] = u8::try_from((wrong + difference).to_char().to_ascii_uppercase()).ok()?;
    }
    let mut corrected = Zeroizing::new(String::with_capacity(BODY));
    corrected.extend(symbols.iter().copied().map(char::from));
    is_intact(&corrected).then_some(corrected)
}

/// `LB1` and `body`.
pub(super) fn whole(body: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(START.len() + body.len()));
    text.push_str(START);
    text.push_str(body);
    text
}

/// What is left of the checksum after the target is taken away: 0 for an intact body; `None` for a wrong length or
/// alphabet.
fn residue(body: &str) -> Option<u128> {
    if body.len() != BODY {
        return None;
    }
    let mut engine = Engine::<ShareChecksum>::new();
    engine.input_hrp(PREFIX);
    for symbol in body.chars() {
        engine.input_fe(Fe32::from_char(symbol).ok()?);
    }
    Some(*engine.residue() ^ ShareChecksum::TARGET_RESIDUE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::{KeyFingerprint, ShareSetId, bytes::Common};

    fn share() -> ShareBytes {
        let common =
            Common { threshold: 3, total: 5, set: ShareSetId([1, 2, 3, 4]), fingerprint: KeyFingerprint([5; 6]) };
        ShareBytes::new(common, 4, &[9; 32])
    }

    #[test]
    fn the_code_is_the_one_of_bip_93() {
        ShareChecksum::sanity_check();
        // BIP-93's first vector: the same engine over the prefix `ms` accepts a codex32 secret.
        let mut engine = Engine::<ShareChecksum>::new();
        engine.input_hrp(Hrp::parse_unchecked("ms"));
        for symbol in "10testsxxxxxxxxxxxxxxxxxxxxxxxxxx4nzvca9cmczlw".chars().skip(1) {
            engine.input_fe(Fe32::from_char(symbol).unwrap());
        }
        assert_eq!(*engine.residue(), ShareChecksum::TARGET_RESIDUE);
    }

    #[test]
    fn a_second_text_of_the_same_bytes_is_not_a_share() {
        let text = encode(&share());
        // The last data character's two lowest bits are padding: set them, and make the checksum right again.
        let data: Vec<Fe32> = text[3..77].chars().map(|symbol| Fe32::from_char(symbol).unwrap()).collect();
        for padding in 1..4 {
            let mut symbols = data.clone();
            symbols[73] += Fe32::try_from(padding).unwrap();
            let mut engine = Engine::<ShareChecksum>::new();
            engine.input_hrp(PREFIX);
            for symbol in &symbols {
                engine.input_fe(*symbol);
            }
            engine.input_target_residue();
            symbols.extend((0..13).rev().map(|at| Fe32::try_from((*engine.residue() >> (5 * at)) & 31).unwrap()));
            let body: String = symbols.iter().map(|symbol| symbol.to_char().to_ascii_uppercase()).collect();
            assert!(is_intact(&body));
            assert!(matches!(decode(&body), Err(ShareFault::Impossible(_))));
        }
    }

    #[test]
    fn the_text_is_frozen() {
        let text = encode(&share());
        assert_eq!(
            text.as_str(),
            "LB1ZQPS2PQPQGPSGZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFQ5ZS2PG9Q5HYVVJLCLEJFZ6"
        );
        assert_eq!(decode(&text[3..]).ok().unwrap().all(), share().all());
    }
}
