//! Durations as the server writes and understands them: `1h30m0s`, `90`, `2d`.

/// Nanoseconds.
pub(super) type Nanos = i64;

const SECOND: Nanos = 1_000_000_000;

/// What a field says; or the server's words for what is none.
pub(super) fn parse(text: &str) -> Result<Nanos, String> {
    let seconds = |digits: &str, each: i64| {
        let number: i64 =
            digits.parse().map_err(|_| format!("strconv.ParseInt: parsing \"{digits}\": invalid syntax"))?;
        number.checked_mul(each * SECOND).ok_or_else(|| bad(text))
    };
    match text {
        "" => Ok(0),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => seconds(text, 1),
        _ => match text.strip_suffix('d') {
            Some(days) => seconds(days, 24 * 3600),
            None => go(text).ok_or_else(|| bad(text)),
        },
    }
}

fn bad(text: &str) -> String {
    format!("time: invalid duration \"{text}\"")
}

/// `-1h2m3.5s`.
fn go(text: &str) -> Option<Nanos> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
        let (unit, size) = units.into_iter().find(|(unit, _)| {
            rest.strip_prefix(unit)
                .is_some_and(|after| after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        })?;
        total += number * size;
        rest = &rest[unit.len()..];
    }
    // A float of this size is a whole number of nanoseconds for all durations of practice.
    #[expect(clippy::cast_possible_truncation, reason = "looked at before")]
    (total < 9e18).then_some(sign * total as i64)
}

/// As Go writes it.
pub(super) fn text(nanos: Nanos) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    let second = SECOND.unsigned_abs();
    if size != 0 && size < second {
        let (unit, each) = if size < 1000 {
            ("ns", 1)
        } else if size < 1_000_000 {
            ("µs", 1000)
        } else {
            ("ms", 1_000_000)
        };
        return format!("{sign}{}{unit}", fraction(size, each));
    }
    let (hours, minutes) = (size / second / 3600, size / second / 60 % 60);
    let seconds = fraction(size % (60 * second), second);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn fraction(size: u64, each: u64) -> String {
    let (whole, rest) = (size / each, size % each);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = each.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0digits$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_by_go() {
        for (written, told) in [
            ("1h", "1h0m0s"),
            ("90", "1m30s"),
            ("2d", "48h0m0s"),
            ("-1s", "-1s"),
            ("1h30m", "1h30m0s"),
            ("1.5s", "1.5s"),
            ("250ms", "250ms"),
            ("", "0s"),
            ("0", "0s"),
        ] {
            assert_eq!(parse(written).map(text), Ok(told.to_owned()), "{written}");
        }
        assert_eq!(parse("zzz"), Err("time: invalid duration \"zzz\"".into()));
        assert_eq!(parse("bad"), Err("strconv.ParseInt: parsing \"ba\": invalid syntax".into()));
        assert!(parse("1").is_ok() && parse("-").is_err() && parse("5").is_ok() && parse("1x").is_err());
    }
}
