//! The readers for which a line is a pair, whatever stands on it.

use zeroize::Zeroizing;

use super::{Caveat, FaultKind, Found, Text, kept, replaced};

/// `docker run --env-file` (docker/cli, `pkg/kvfile`): leading white space goes, and nothing else.
pub(super) fn docker(mut text: Text<'_>, found: &mut Found) {
    while !text.is_at_end() {
        let at = text.line();
        let line = text.take_line();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = match std::str::from_utf8(line) {
            Ok(line) => line.trim_start().as_bytes(),
            Err(_) => line.trim_ascii_start(),
        };
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        match split(line) {
            // The value comes from the environment of the client, if it has one.
            None => found.fault(at, FaultKind::NoValue),
            Some((name, value)) => {
                // Releases from 29 on take a pair of quotes off.
                let quote = value.first().filter(|first| b"'\"".contains(first));
                let is_quoted = value.len() >= 2 && quote.is_some() && quote == value.last();
                found.pair(at, name, kept(value), is_quoted.then_some(Caveat::Varies));
            }
        }
    }
}

/// sops (`stores/dotenv`): no quoting at all, and `\n` is a line break.
pub(super) fn sops(mut text: Text<'_>, found: &mut Found) {
    while !text.is_at_end() {
        let at = text.line();
        let line = text.take_line();
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        match split(line) {
            None => found.fault(at, FaultKind::NoValue),
            Some((name, value)) => {
                let value: Zeroizing<Vec<u8>> = replaced(value, &[(br"\n", b'\n')]);
                found.pair(at, name, value, None);
            }
        }
    }
}

/// Before and behind the first `=`.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    Some((&line[..at], &line[at + 1..]))
}
