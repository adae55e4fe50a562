//! Docker Compose (compose-go, `dotenv/parser.go`). One fault ends its reading; ours goes on with the next line.

use zeroize::Zeroizing;

use super::{Caveat, FaultKind, Found, Text, is_blank, is_space, room, trimmed_end};

pub(super) fn read(mut text: Text<'_>, found: &mut Found) {
    loop {
        text.take_while(is_space);
        let line = text.line();
        match text.peek() {
            None => return,
            Some(b'#') => {
                text.take_line();
            }
            Some(_) => {
                if let Err(kind) = statement(&mut text, found, line) {
                    text.take_line();
                    found.fault(line, kind);
                }
            }
        }
    }
}

fn statement(text: &mut Text<'_>, found: &mut Found, line: usize) -> Result<(), FaultKind> {
    if text.rest().starts_with(b"export") && text.bytes.get(text.at + 6).copied().is_some_and(is_space) {
        text.at += 6;
        text.take_while(is_blank);
    }
    let rest = text.rest();
    let end = rest.iter().position(|byte| b"=:\n".contains(byte)).ok_or(FaultKind::NoValue)?;
    if rest[end] == b'\n' {
        // The value comes from the environment of the reader, if it has one.
        return Err(FaultKind::NoValue);
    }
    text.at += end + 1;
    text.take_while(is_blank);
    let name = trimmed_end(&rest[..end]);
    if let Some(quote @ (b'\'' | b'"')) = text.peek() {
        let Some(value) = quoted(text, quote) else {
            text.at -= usize::from(text.peek().is_none());
            return Err(FaultKind::Unterminated);
        };
        let (value, caveat) = if quote == b'"' { plain(&value, true) } else { (value, None) };
        found.pair(line, name, value, caveat);
        let tail = text.take_while(|byte| byte != b'\n').trim_ascii();
        if !tail.is_empty() && tail[0] != b'#' {
            found.fault(text.line(), FaultKind::Trailing);
        }
    } else {
        let value = text.take_while(|byte| byte != b'\n');
        let comment = value.windows(2).position(|two| two == b" #").unwrap_or(value.len());
        let (value, caveat) = plain(trimmed_end(&value[..comment]), false);
        found.pair(line, name, value, caveat);
    }
    Ok(())
}

/// What is between quotes; a backslash takes the meaning of the quote and is kept before everything else.
fn quoted(text: &mut Text<'_>, quote: u8) -> Option<Zeroizing<Vec<u8>>> {
    let rest = text.rest();
    let mut value = Zeroizing::new(Vec::with_capacity(room(rest, quote)));
    let mut is_escaped = false;
    for (at, byte) in rest.iter().copied().enumerate().skip(1) {
        if byte == quote && !is_escaped {
            text.at += at + 1;
            return Some(value);
        }
        if byte == b'\\' && !is_escaped {
            is_escaped = true;
            continue;
        }
        if is_escaped && byte != quote {
            value.push(b'\\');
        }
        is_escaped = false;
        value.push(byte);
    }
    None
}

/// Without the escapes of double quotes, and `$$` as `$`. Any other `$` is a variable, which is left as it stands.
fn plain(value: &[u8], is_double: bool) -> (Zeroizing<Vec<u8>>, Option<Caveat>) {
    let mut plain = Zeroizing::new(Vec::with_capacity(value.len()));
    let (mut at, mut caveat) = (0, None);
    while at < value.len() {
        let next = value.get(at + 1).copied();
        let (byte, length) = match (value[at], next) {
            (b'\\', Some(next)) if is_double => escape(&value[at + 1..]).unwrap_or_else(|| {
                plain.push(b'\\');
                (next, 2)
            }),
            (b'$', Some(b'$')) => (b'$', 2),
            (b'$', _) => {
                caveat = Some(Caveat::Expanded);
                (b'$', 1)
            }
            (byte, _) => (byte, 1),
        };
        plain.push(byte);
        at += length;
    }
    (plain, caveat)
}

/// The byte of an escape, and the length of both.
fn escape(rest: &[u8]) -> Option<(u8, usize)> {
    let byte = match rest[0] {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        byte @ (b'$' | b'"' | b'\\') => byte,
        b'0' => {
            let digits = rest.get(1..4).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)))?;
            let number = digits.iter().fold(0_u32, |number, digit| number * 8 + u32::from(digit - b'0'));
            return u8::try_from(number).ok().map(|byte| (byte, 5));
        }
        _ => return None,
    };
    Some((byte, 2))
}
