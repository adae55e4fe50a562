//! Parts of a repository's packs, so that reading all of them can be spread over days.

use std::str::FromStr;

use jiff::{Timestamp, tz::Offset};
use serde::Serialize;

use crate::model::Digest;

/// Part `part` (from 1) of `of`: by the packs' digests, so that the parts are even and the same for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subset {
    /// Which part, from 1.
    pub part: u32,
    /// Of how many.
    pub of: u32,
}

/// What part is meant: a fixed one, or that of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubsetRule {
    /// `3/12`
    Fixed(Subset),
    /// `weekly`: with a run a day, everything in a week.
    Weekly,
    /// `monthly`: with a run a day, everything in a month.
    Monthly,
    /// `yearly`: with a run a month, everything in a year.
    Yearly,
}

/// Not a subset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a subset (expected PART/OF such as 3/12, or weekly, monthly, yearly)")]
pub struct NoSubset(String);

impl Subset {
    /// Whether a pack belongs to it; or anything else that has a digest.
    pub fn holds(&self, pack: &Digest) -> bool {
        let head: [u8; 8] = pack.as_bytes()[..8].try_into().expect("a digest is longer");
        u64::from_be_bytes(head) % u64::from(self.of) == u64::from(self.part - 1)
    }
}

impl SubsetRule {
    /// The part of the day `now` is in, by the calendar in UTC.
    pub fn on(&self, now: Timestamp) -> Subset {
        let day = Offset::UTC.to_datetime(now);
        let part = |part: i8, of: u32| Subset { part: u32::from(part.unsigned_abs()).min(of), of };
        match self {
            Self::Fixed(subset) => *subset,
            Self::Weekly => part(day.weekday().to_monday_one_offset(), 7),
            // Every month has 28 days; on those after them the last part is read once more.
            Self::Monthly => part(day.day(), 28),
            Self::Yearly => part(day.month(), 12),
        }
    }
}

impl FromStr for Subset {
    type Err = NoSubset;

    fn from_str(text: &str) -> Result<Self, NoSubset> {
        let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            _ => Err(NoSubset(text.to_owned())),
        }
    }
}

impl FromStr for SubsetRule {
    type Err = NoSubset;

    fn from_str(text: &str) -> Result<Self, NoSubset> {
        match text {
            "weekly" => Ok(Self::Weekly),
            "monthly" => Ok(Self::Monthly),
            "yearly" => Ok(Self::Yearly),
            _ => text.parse().map(Self::Fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_everything_once_and_even() {
        let digests: Vec<Digest> = (0..4_000_u32).map(|n| Digest::of(&n.to_be_bytes())).collect();
        for of in [1, 7, 12, 28] {
            let counts: Vec<usize> =
                (1..=of).map(|part| digests.iter().filter(|each| Subset { part, of }.holds(each)).count()).collect();
            assert_eq!(counts.iter().sum::<usize>(), digests.len());
            let mean = digests.len() / of as usize;
            assert!(counts.iter().all(|count| (mean / 2..=2 * mean).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn the_calendar_comes_round() {
        let on = |rule: SubsetRule, day: &str| rule.on(format!("{day}T12:00:00Z").parse().unwrap());
        assert_eq!(on(SubsetRule::Weekly, "2026-11-23"), Subset { part: 1, of: 7 });
        assert_eq!(on(SubsetRule::Weekly, "2026-11-29"), Subset { part: 7, of: 7 });
        assert_eq!(on(SubsetRule::Monthly, "2026-02-28"), Subset { part: 28, of: 28 });
        assert_eq!(on(SubsetRule::Monthly, "2026-01-31"), Subset { part: 28, of: 28 });
        assert_eq!(on(SubsetRule::Yearly, "2026-12-01"), Subset { part: 12, of: 12 });
    }

    #[test]
    fn only_a_part_is_a_part() {
        assert_eq!("3/12".parse(), Ok(SubsetRule::Fixed(Subset { part: 3, of: 12 })));
        assert_eq!("monthly".parse(), Ok(SubsetRule::Monthly));
        for text in ["", "0/3", "4/3", "3", "1/0", "-1/3", "1/3/4", "a/b", "daily", "0/0"] {
            assert!(text.parse::<SubsetRule>().is_err(), "{text}");
        }
    }
}
