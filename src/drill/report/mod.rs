//! The report: the record in a form for people, on screen and on paper.

mod content;
mod page;
mod plot;
#[cfg(feature = "paper")]
mod print;

use super::{Past, Record};
use content::Content;

/// One HTML page that needs no network and no script. The same record gives the same bytes.
pub fn html(record: &Record, past: &[Past]) -> String {
    page::render(&Content::new(record, past))
}

/// The same to print, on A4.
///
/// # Errors
/// What the PDF library says; with the embedded fonts it has no reason to. A build without the feature `paper` refuses.
pub fn pdf(record: &Record, past: &[Past]) -> Result<Vec<u8>, String> {
    #[cfg(feature = "paper")]
    return print::render(&Content::new(record, past));
    #[cfg(not(feature = "paper"))]
    {
        let _ = (record, past);
        Err("this build makes no PDF: it lacks the feature paper (the HTML page can be printed)".into())
    }
}

/// `1 h 5 min`, `12.3 s`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a drill, never negative here")]
pub fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (12.34, "12.3 s"),
            (61.0, "1 min"),
            (3600.0, "1 h"),
            (3900.0, "1 h 5 min"),
            (86_400.0, "1 d"),
            (93_600.0, "1 d 2 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
