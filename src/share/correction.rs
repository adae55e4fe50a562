//! Places up to four wrong characters of a share: the textbook decoder of a BCH code (Peterson, Gorenstein, Zierler).
//!
//! bech32's own `Corrector` panics on many texts with more than four wrong characters, and people do present such
//! texts.

use bech32::{
    Checksum, Fe32, Fe1024,
    primitives::{Field as _, checksum::PackedFe32 as _},
};

use super::text::{BODY, ShareChecksum};

/// How many wrong characters the code can place for certain.
const CORRECTABLE: usize = 4;

/// The places, counted from the end of the text, and what to add there; `None` when no four or fewer changes
/// explain `residue` (what is left of the text's checksum, the target taken away).
///
/// The caller checks the corrected text again.
pub(super) fn errors(residue: u128) -> Option<Vec<(usize, Fe32)>> {
    let powers: Vec<Fe1024> = ShareChecksum::ROOT_GENERATOR.powers().take(ShareChecksum::CODE_LENGTH).collect();
    let syndromes: Vec<Fe1024> =
        ShareChecksum::ROOT_EXPONENTS.map(|exponent| evaluate(residue, powers[exponent])).collect();
    (1..=CORRECTABLE).find_map(|count| explain(&syndromes, count, &powers))
}

/// Exactly `count` errors that give all these syndromes.
fn explain(syndromes: &[Fe1024], count: usize, powers: &[Fe1024]) -> Option<Vec<(usize, Fe32)>> {
    // Each syndrome is a combination of the `count` before it, the same for all: the locator polynomial.
    let rows = (0..count).map(|at| (syndromes[at..at + count].to_vec(), syndromes[at + count])).collect();
    let locator = solve(rows)?;
    let places: Vec<usize> = (0..BODY).filter(|&place| vanishes(&locator, powers[place])).collect();
    if places.len() != count {
        return None;
    }
    // An error of value v at place p adds v·β^(p·e) to the syndrome of exponent e.
    let share = |place: usize, at: usize| {
        powers[place * (ShareChecksum::ROOT_EXPONENTS.start() + at) % ShareChecksum::CODE_LENGTH]
    };
    let rows = (0..count).map(|at| (places.iter().map(|&place| share(place, at)).collect(), syndromes[at])).collect();
    let values = solve(rows)?;
    let explained =
        |at: usize| places.iter().zip(&values).map(|(&place, value)| share(place, at) * value).sum::<Fe1024>();
    if (0..syndromes.len()).any(|at| explained(at) != syndromes[at]) {
        return None;
    }
    places.iter().zip(values).map(|(&place, value)| Some((place, Fe32::try_from(value).ok()?))).collect()
}

/// Whether x^n = l₀ + l₁x + … holds at `x`.
fn vanishes(locator: &[Fe1024], x: Fe1024) -> bool {
    locator.iter().rev().fold(Fe1024::ONE, |sum, coefficient| sum * x + coefficient) == Fe1024::ZERO
}

fn evaluate(residue: u128, x: Fe1024) -> Fe1024 {
    (0..ShareChecksum::CHECKSUM_LENGTH)
        .rev()
        .map(|at| Fe32::try_from(residue.unpack(at)).expect("five bits are an element"))
        .fold(Fe1024::ZERO, |sum, coefficient| sum * x + Fe1024::from(coefficient))
}

/// Gauss–Jordan; `None` for a singular system.
fn solve(mut rows: Vec<(Vec<Fe1024>, Fe1024)>) -> Option<Vec<Fe1024>> {
    for column in 0..rows.len() {
        let pivot = (column..rows.len()).find(|&row| rows[row].0[column] != Fe1024::ZERO)?;
        rows.swap(column, pivot);
        let (mut left, mut right) = rows[column].clone();
        let scale = left[column].multiplicative_inverse();
        for value in &mut left {
            *value *= scale;
        }
        right *= scale;
        for (row, (values, sum)) in rows.iter_mut().enumerate() {
            let factor = values[column];
            if row != column && factor != Fe1024::ZERO {
                values.iter_mut().zip(&left).for_each(|(value, subtract)| *value += factor * subtract);
                *sum += factor * right;
            }
        }
        rows[column] = (left, right);
    }
    Some(rows.into_iter().map(|(_, right)| right).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_powers_repeat_at_the_length_of_the_code() {
        assert_eq!(ShareChecksum::ROOT_GENERATOR.multiplicative_order(), ShareChecksum::CODE_LENGTH);
    }

    #[test]
    fn no_residue_makes_it_fail() {
        let mut residue = 0x0001_2345_6789_abcd_ef01_u128;
        for _ in 0..2_000 {
            residue = residue.wrapping_mul(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f).wrapping_add(0x1357_9bdf);
            let errors = errors((residue >> 60) & ((1 << 65) - 1));
            assert!(errors.is_none_or(|errors| errors.len() <= CORRECTABLE && errors.iter().all(|(at, _)| *at < BODY)));
        }
        assert!(errors(0).is_none());
    }
}
