//! The package dotenv of npm (`lib/main.js`): one regular expression, searched for from line to line.

use super::{FaultKind, Found, Text, is_space, kept, replaced, trimmed, with_plain_breaks};

pub(super) fn read(text: &Text<'_>, found: &mut Found) {
    let plain = with_plain_breaks(text.bytes, true);
    let mut text = Text::new(&plain);
    while !text.is_at_end() {
        // The white space before a name may be empty lines.
        text.take_while(is_space);
        let line = text.line();
        match text.peek() {
            None => return,
            Some(b'#') => {
                text.take_line();
            }
            Some(_) => {
                if let Some(name) = name(&mut text) {
                    value(&mut text, found, line, name);
                } else {
                    let rest = text.take_line();
                    let kind = if rest.contains(&b'=') { FaultKind::Name } else { FaultKind::NoValue };
                    found.fault(line, kind);
                }
            }
        }
    }
}

/// The name, and what stands between it and the value; where there is none, the position stays.
fn name<'a>(text: &mut Text<'a>) -> Option<&'a [u8]> {
    let start = text.at;
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    for has_export in [true, false] {
        text.at = start;
        if has_export {
            if !text.rest().starts_with(b"export") {
                continue;
            }
            text.at += 6;
            if text.take_while(is_space).is_empty() {
                continue;
            }
        }
        let name = text.take_while(is_of_name);
        if name.is_empty() {
            continue;
        }
        if text.peek() == Some(b':') && text.bytes.get(text.at + 1).copied().is_some_and(is_space) {
            text.at += 2;
            return Some(name);
        }
        text.take_while(is_space);
        if text.peek() == Some(b'=') {
            text.at += 1;
            return Some(name);
        }
    }
    text.at = start;
    None
}

fn value(text: &mut Text<'_>, found: &mut Found, line: usize, name: &[u8]) {
    let start = text.at;
    // A quote may stand some lines below: the expression says so.
    text.take_while(is_space);
    if let Some(quote) = text.peek().filter(|byte| b"'\"`".contains(byte))
        && let Some(end) = closing(text.rest(), quote)
    {
        let inside = &text.rest()[1..end];
        let plain = if quote == b'"' { replaced(inside, &BREAKS) } else { kept(inside) };
        found.pair(line, name, plain, None);
        text.at += end + 1;
        text.take_line();
        return;
    }
    text.at = start;
    let rest = text.take_line();
    let end = rest.iter().position(|byte| *byte == b'#').unwrap_or(rest.len());
    let plain = trimmed(&rest[..end]);
    let quote = plain.first().copied().filter(|byte| b"'\"`".contains(byte));
    let inside = match quote {
        Some(quote) if plain.len() >= 2 && plain.last() == Some(&quote) => &plain[1..plain.len() - 1],
        _ => plain,
    };
    found.pair(line, name, if quote == Some(b'"') { replaced(inside, &BREAKS) } else { kept(inside) }, None);
}

const BREAKS: [(&[u8; 2], u8); 2] = [(br"\n", b'\n'), (br"\r", b'\r')];

/// Where the quote that begins `text` ends: at the first one without a backslash before it, or else at the last one with
/// it, if nothing but a comment follows on the line.
fn closing(text: &[u8], quote: u8) -> Option<usize> {
    let mut escaped = Vec::new();
    let mut at = 1;
    while at < text.len() {
        if text[at] == b'\\' && text.get(at + 1) == Some(&quote) {
            escaped.push(at + 1);
            at += 2;
            continue;
        }
        if text[at] == quote {
            if ends_line(&text[at + 1..]) {
                return Some(at);
            }
            break;
        }
        at += 1;
    }
    escaped.into_iter().rev().find(|at| ends_line(&text[at + 1..]))
}

fn ends_line(rest: &[u8]) -> bool {
    let blank = rest.iter().position(|byte| *byte == b'\n' || !is_space(*byte)).unwrap_or(rest.len());
    matches!(rest.get(blank), None | Some(b'\n' | b'#'))
}
