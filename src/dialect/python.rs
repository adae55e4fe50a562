//! The package python-dotenv (`parser.py`, version 1.2).

use zeroize::Zeroizing;

use super::{Caveat, FaultKind, Found, Text, is_blank, is_space, room, trimmed_end, with_plain_breaks};

pub(super) fn read(text: &Text<'_>, found: &mut Found) {
    // The file is opened as text: every line break is a `\n` then.
    let plain = with_plain_breaks(text.bytes, true);
    let mut text = Text::new(&plain);
    loop {
        text.take_while(is_space);
        if text.is_at_end() {
            return;
        }
        let line = text.line();
        match binding(&mut text) {
            Ok(None) => {}
            Ok(Some((name, value))) => {
                let caveat = has_reference(&value).then_some(Caveat::Expanded);
                found.pair(line, name, value, caveat);
            }
            Err(kind) => {
                text.take_line();
                found.fault(line, kind);
            }
        }
    }
}

type Bound<'a> = Option<(&'a [u8], Zeroizing<Vec<u8>>)>;

/// One line, or more where a value has several; `None` for a comment.
fn binding<'a>(text: &mut Text<'a>) -> Result<Bound<'a>, FaultKind> {
    if text.rest().starts_with(b"export") && text.bytes.get(text.at + 6).copied().is_some_and(is_blank) {
        text.at += 6;
        text.take_while(is_blank);
    }
    let name = match text.peek() {
        Some(b'#') => None,
        Some(b'\'') => Some(quoted_name(text)?),
        _ => Some(text.take_while(|byte| !is_space(byte) && !b"=#".contains(&byte))),
    };
    if name.is_some_and(<[u8]>::is_empty) {
        return Err(FaultKind::Name);
    }
    text.take_while(is_blank);
    let value = if text.peek() == Some(b'=') {
        text.at += 1;
        let is_apart = !text.take_while(is_blank).is_empty();
        Some(if is_apart && text.peek() == Some(b'#') { Zeroizing::new(Vec::new()) } else { value(text)? })
    } else {
        None
    };
    let before = text.at;
    text.take_while(is_blank);
    if text.peek() == Some(b'#') {
        text.take_while(|byte| byte != b'\n');
    }
    if !matches!(text.peek(), None | Some(b'\n')) {
        text.at = before;
        return Err(if value.is_some() { FaultKind::Trailing } else { FaultKind::Name });
    }
    text.next();
    match (name, value) {
        (None, _) => Ok(None),
        (Some(name), Some(value)) => Ok(Some((name, value))),
        // It is there and has no value at all, which an environment cannot say. The line is passed already.
        (Some(_), None) => {
            text.at -= usize::from(text.bytes.get(text.at - 1) == Some(&b'\n'));
            Err(FaultKind::NoValue)
        }
    }
}

fn quoted_name<'a>(text: &mut Text<'a>) -> Result<&'a [u8], FaultKind> {
    let rest = &text.rest()[1..];
    let length = rest.iter().position(|byte| *byte == b'\'').ok_or(FaultKind::Name)?;
    text.at += length + 2;
    Ok(&rest[..length])
}

fn value(text: &mut Text<'_>) -> Result<Zeroizing<Vec<u8>>, FaultKind> {
    if let Some(quote @ (b'\'' | b'"')) = text.peek() {
        return quoted(text, quote);
    }
    let line = text.take_while(|byte| byte != b'\n');
    let comment = (1..line.len()).find(|at| line[*at] == b'#' && is_blank(line[at - 1]));
    Ok(Zeroizing::new(trimmed_end(&line[..comment.unwrap_or(line.len())]).to_vec()))
}

/// A quote ends at the first one that no backslash escapes; of other escapes, single quotes know `\\` alone.
fn quoted(text: &mut Text<'_>, quote: u8) -> Result<Zeroizing<Vec<u8>>, FaultKind> {
    let rest = text.rest();
    let mut value = Zeroizing::new(Vec::with_capacity(room(rest, quote)));
    let mut at = 1;
    loop {
        match (rest.get(at).copied(), rest.get(at + 1).copied()) {
            (None, _) | (Some(b'\\'), None) => return Err(FaultKind::Unterminated),
            (Some(b'\\'), Some(next)) => {
                match unescaped(next, quote) {
                    Some(byte) => value.push(byte),
                    None => value.extend([b'\\', next]),
                }
                at += 2;
            }
            (Some(byte), _) if byte == quote => break,
            (Some(byte), _) => {
                value.push(byte);
                at += 1;
            }
        }
    }
    text.at += at + 1;
    Ok(value)
}

fn unescaped(byte: u8, quote: u8) -> Option<u8> {
    match byte {
        b'\\' | b'\'' => Some(byte),
        _ if quote == b'\'' => None,
        b'"' => Some(byte),
        b'a' => Some(0x07),
        b'b' => Some(0x08),
        b'f' => Some(0x0c),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(0x0b),
        _ => None,
    }
}

/// Whether there is a `${NAME}` or `${NAME:-DEFAULT}`, which is expanded in every value, however it is quoted.
fn has_reference(value: &[u8]) -> bool {
    // From the right, so that each byte is looked at once: what ends a name is then known where the name begins.
    let (mut ends_name, mut has_brace) = (None, false);
    for at in (0..value.len()).rev() {
        match value[at] {
            b'{' if at > 0 && value[at - 1] == b'$' && ends_name == Some(true) => return true,
            b'}' => (ends_name, has_brace) = (Some(true), true),
            b':' => ends_name = Some(has_brace && value.get(at + 1) == Some(&b'-')),
            _ => {}
        }
    }
    false
}
