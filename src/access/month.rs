//! A month of the calendar, in UTC, as audit trails count time.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, date},
    tz::TimeZone,
};

/// A month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

/// Not a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write YEAR-MONTH, such as 2026-10")]
pub struct NoMonth;

impl Month {
    /// The month before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1.month()))
    }

    /// The month after.
    #[must_use]
    pub fn after(self) -> Self {
        Self(self.0.saturating_add(1.month()))
    }

    /// The last month that is over.
    pub fn last(now: Timestamp) -> Self {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        Self(today.first_of_month()).before()
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        self.0.to_zoned_datetime(TimeZone::UTC).map_or(Timestamp::MAX, |first| first.timestamp())
    }

    /// The first moment after it.
    pub fn end(self) -> Timestamp {
        self.after().start()
    }

    /// Whether a moment is in it.
    pub fn has(self, time: Timestamp) -> bool {
        self.start() <= time && time < self.end()
    }

    /// The days that it has.
    pub fn days(self) -> u8 {
        self.0.days_in_month().unsigned_abs()
    }

    /// The number of the day of a moment that is in it, from 0.
    pub fn day(self, time: Timestamp) -> u8 {
        (time.to_zoned_datetime(TimeZone::UTC).day() - 1).unsigned_abs()
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let (year, month) =
            text.split_once('-').filter(|(year, month)| (year.len(), month.len()) == (4, 2)).ok_or(NoMonth)?;
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(year) || !is_number(month) {
            return Err(NoMonth);
        }
        let (year, month): (i16, i8) = (year.parse().map_err(|_| NoMonth)?, month.parse().map_err(|_| NoMonth)?);
        if year < 1970 || !(1..=12).contains(&month) {
            return Err(NoMonth);
        }
        Ok(Self(date(year, month, 1)))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_its_days_and_its_neighbours() {
        let month: Month = "2026-03".parse().unwrap();
        assert_eq!((month.days(), month.before().days(), month.before().to_string()), (31, 28, "2026-02".into()));
        assert_eq!("2026-01".parse::<Month>().unwrap().before().to_string(), "2025-12");
        assert!(month.has("2026-03-31T23:59:59Z".parse().unwrap()) && !month.has(month.end()));
        assert_eq!(month.day("2026-03-31T23:59:59Z".parse().unwrap()), 30);
        assert_eq!(Month::last("2026-11-29T00:00:00Z".parse().unwrap()).to_string(), "2026-10");
        for text in ["", "2026", "2026-13", "2026-00", "2026-1", "26-01", "2026-10-01", "+026-10", "1969-12"] {
            assert_eq!(text.parse::<Month>(), Err(NoMonth), "{text}");
        }
    }
}
