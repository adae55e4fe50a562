//! `node --env-file` (`src/node_dotenv.cc`, as Node 20 and 22 have it): a quote ends at the next one, whatever stands before it.

use super::{FaultKind, Found, Text, kept, replaced};

pub(super) fn read(text: &Text<'_>, found: &mut Found) {
    // Node drops every carriage return, and the spaces at the end of the file.
    let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(text.bytes.len()));
    plain.extend(text.bytes.iter().filter(|byte| **byte != b'\r'));
    let end = plain.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    let mut text = Text::new(&plain[..end]);
    text.take_while(|byte| byte == b' ');
    while let Some(first) = text.peek() {
        let line = text.line();
        if first == b'\n' || first == b'#' {
            text.take_line();
            continue;
        }
        let rest = text.rest();
        let break_at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let Some(equal) = rest[..break_at].iter().position(|byte| *byte == b'=') else {
            // Node takes this line for the beginning of the next name.
            if !rest[..break_at].iter().all(|byte| *byte == b' ') || text.at + break_at < text.bytes.len() {
                found.fault(line, FaultKind::NoValue);
            }
            text.take_line();
            continue;
        };
        let name = without_spaces(&rest[..equal]);
        let name = name.strip_prefix(b"export ").unwrap_or(name);
        text.at += equal + 1;
        value(&mut text, found, line, name);
    }
}

fn value(text: &mut Text<'_>, found: &mut Found, line: usize, name: &[u8]) {
    text.take_while(|byte| byte == b' ');
    let rest = text.rest();
    if let Some(quote) = text.peek().filter(|byte| b"'\"`".contains(byte)) {
        if let Some(length) = rest[1..].iter().position(|byte| *byte == quote) {
            let inside = &rest[1..=length];
            let value = if quote == b'"' { replaced(inside, &[(br"\n", b'\n')]) } else { kept(inside) };
            found.pair(line, name, value, None);
            text.at += length + 2;
            text.take_line();
            return;
        }
        if !rest.contains(&b'\n') {
            found.fault(line, FaultKind::Unterminated);
            text.take_line();
            return;
        }
        let value = text.take_line();
        return found.pair(line, name, kept(value), None);
    }
    let value = text.take_line();
    let end = value.iter().position(|byte| *byte == b'#').unwrap_or(value.len());
    found.pair(line, name, kept(without_spaces(&value[..end])), None);
}

fn without_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
    &bytes[start..end]
}
