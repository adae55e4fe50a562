//! Moments as people write them. What has no time zone is this machine's local time.

use jiff::{
    Span, Timestamp, ZonedDateTime,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::clock::{Clock, SystemClock};

const FORMS: &str =
    "write 2026-11-01T03:00Z, '2026-11-01 03:00', 2026-11-01 (the end of that day), 'yesterday 03:00' or '3 hours ago'";

/// The moment a text means; a day alone means its last moment, since what is asked for is the newest before it.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let now = SystemClock.now().to_zoned_datetime(TimeZone::system());
    meaning(text.trim(), &now).ok_or_else(|| FORMS.to_owned())
}

fn meaning(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    if let Some(ago) = ago(text, now) {
        return Some(ago);
    }
    let (day, rest) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let date = match day.to_ascii_lowercase().as_str() {
        "today" => now.date(),
        "yesterday" => now.date().yesterday().ok()?,
        _ => day.parse::<Date>().ok()?,
    };
    let time = if rest.trim().is_empty() { Time::MAX } else { rest.trim().parse().ok()? };
    let local = DateTime::from_parts(date, time).to_zoned_datetime(now.time_zone().clone()).ok()?;
    Some(local.timestamp())
}

/// `3 hours ago`
fn ago(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let mut words = text.strip_suffix(" ago")?.split_whitespace();
    let (count, unit) = (words.next()?.parse::<u32>().ok()?, words.next()?);
    let span = match unit.trim_end_matches('s') {
        "minute" => Span::new().minutes(count),
        "hour" => Span::new().hours(count),
        "day" => Span::new().days(count),
        "week" => Span::new().weeks(count),
        _ => return None,
    };
    words.next().is_none().then(|| now.checked_sub(span).ok().map(|then| then.timestamp()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_what_people_mean() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let now = "2026-11-28T09:30:00Z".parse::<Timestamp>().unwrap().to_zoned_datetime(zone);
        for (text, meant) in [
            ("2026-11-01T03:00Z", "2026-11-01T03:00:00Z"),
            ("2026-11-01T03:00:00+05:00", "2026-10-31T22:00:00Z"),
            ("2026-11-01 03:00", "2026-11-01T01:00:00Z"),
            ("2026-11-01T03:00", "2026-11-01T01:00:00Z"),
            ("2026-11-01", "2026-11-01T21:59:59.999999999Z"),
            ("today", "2026-11-28T21:59:59.999999999Z"),
            ("yesterday 03:00", "2026-11-27T01:00:00Z"),
            ("Yesterday", "2026-11-27T21:59:59.999999999Z"),
            ("3 hours ago", "2026-11-28T06:30:00Z"),
            ("1 day ago", "2026-11-27T09:30:00Z"),
        ] {
            assert_eq!(meaning(text, &now).map(|moment| moment.to_string()).as_deref(), Some(meant), "{text}");
        }
        for text in ["", "tomorrow", "03:00", "2026-13-01", "yesterday 25:00", "ago", "x hours ago", "2026-11-01 x"] {
            assert_eq!(meaning(text, &now), None, "{text}");
        }
    }
}
