//! bash, by `set -a; . FILE`. The file is a program: what is more than an assignment is a fault, and nothing is run.

use zeroize::Zeroizing;

use super::{Caveat, FaultKind, Found, Text};

/// One word of an assignment: its bytes, and whether the shell would put something else in the place of a part.
type Word = (Zeroizing<Vec<u8>>, Option<Caveat>);

pub(super) fn read(mut text: Text<'_>, found: &mut Found) {
    while !text.is_at_end() {
        text.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b';'));
        let line = text.line();
        if text.peek() == Some(b'#') {
            text.take_line();
        } else if !text.is_at_end()
            && let Err(kind) = statement(&mut text, found, line)
        {
            text.take_line();
            found.fault(line, kind);
        }
    }
}

/// Assignments up to the end of a line or a `;`. They count only if nothing else is there.
fn statement(text: &mut Text<'_>, found: &mut Found, line: usize) -> Result<(), FaultKind> {
    let is_blank = |byte: u8| byte == b' ' || byte == b'\t';
    if text.rest().starts_with(b"export") && text.bytes.get(text.at + 6).copied().is_some_and(is_blank) {
        text.at += 6;
        text.take_while(is_blank);
    }
    let mut assigned = Vec::new();
    loop {
        let name = text.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || name[0].is_ascii_digit() || text.peek() != Some(b'=') {
            return Err(FaultKind::Command);
        }
        text.at += 1;
        let (value, caveat) = word(text)?;
        assigned.push((name, value, caveat));
        text.take_while(is_blank);
        match text.peek() {
            None | Some(b'\n' | b';') => break,
            Some(b'#') => {
                text.take_while(|byte| byte != b'\n');
                break;
            }
            Some(_) => {}
        }
    }
    for (name, value, caveat) in assigned {
        found.pair(line, name, value, caveat);
    }
    Ok(())
}

fn word(text: &mut Text<'_>) -> Result<Word, FaultKind> {
    let mut value = Zeroizing::new(Vec::with_capacity(room(text.rest())));
    let mut caveat = None;
    let mut is_tilde_place = true;
    while let Some(byte) = text.peek() {
        let follows_colon = byte == b':';
        match byte {
            b' ' | b'\t' | b'\n' | b';' => break,
            b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'`' => return Err(FaultKind::Command),
            b'\'' => single(text, &mut value)?,
            b'"' => double(text, &mut value, &mut caveat)?,
            b'\\' => {
                text.at += 1;
                match text.next() {
                    // A line that goes on, or a backslash at the end of the file.
                    Some(b'\n') => {}
                    Some(next) => value.push(next),
                    None => value.push(b'\\'),
                }
            }
            b'$' => dollar(text, &mut value, &mut caveat, true)?,
            _ => {
                if byte == b'~' && is_tilde_place {
                    caveat = Some(Caveat::Expanded);
                }
                value.push(byte);
                text.at += 1;
            }
        }
        is_tilde_place = follows_colon;
    }
    Ok((value, caveat))
}

/// Room for a word of the usual length: up to the next white space.
fn room(rest: &[u8]) -> usize {
    rest.iter().take(256).take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n')).count()
}

fn single(text: &mut Text<'_>, value: &mut Zeroizing<Vec<u8>>) -> Result<(), FaultKind> {
    let inside = &text.rest()[1..];
    let length = inside.iter().position(|byte| *byte == b'\'').ok_or(FaultKind::Unterminated)?;
    value.extend_from_slice(&inside[..length]);
    text.at += length + 2;
    Ok(())
}

fn double(text: &mut Text<'_>, value: &mut Zeroizing<Vec<u8>>, caveat: &mut Option<Caveat>) -> Result<(), FaultKind> {
    let start = text.at;
    let unterminated = |text: &mut Text<'_>| {
        text.at = start;
        FaultKind::Unterminated
    };
    text.at += 1;
    while let Some(byte) = text.peek() {
        match byte {
            b'"' => {
                text.at += 1;
                return Ok(());
            }
            b'\\' => {
                text.at += 1;
                match text.next() {
                    Some(b'\n') => {}
                    Some(next @ (b'"' | b'\\' | b'$' | b'`')) => value.push(next),
                    Some(next) => value.extend([b'\\', next]),
                    None => return Err(unterminated(text)),
                }
            }
            b'$' => dollar(text, value, caveat, false)?,
            _ => {
                value.push(byte);
                text.at += 1;
            }
        }
    }
    Err(unterminated(text))
}

/// A `$`: alone it is itself; before a name it is a variable, which is left as it stands; else a command, or a quoting of
/// which this reader knows nothing.
fn dollar(
    text: &mut Text<'_>,
    value: &mut Zeroizing<Vec<u8>>,
    caveat: &mut Option<Caveat>,
    is_bare: bool,
) -> Result<(), FaultKind> {
    match text.bytes.get(text.at + 1).copied() {
        Some(b'(') => return Err(FaultKind::Command),
        Some(b'\'' | b'"') if is_bare => return Err(FaultKind::Command),
        Some(b'{') => {
            let rest = text.rest();
            let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let end = 2 + rest[2..].iter().take_while(|byte| is_of_name(byte)).count();
            // Anything else inside the braces may hold quotes and commands of its own.
            if end == 2 || rest.get(end) != Some(&b'}') {
                return Err(FaultKind::Command);
            }
            *caveat = Some(Caveat::Expanded);
            value.extend_from_slice(&rest[..=end]);
            text.at += end + 1;
            return Ok(());
        }
        Some(byte) if byte.is_ascii_alphanumeric() || b"_*@#?-$!".contains(&byte) => *caveat = Some(Caveat::Expanded),
        _ => {}
    }
    value.push(b'$');
    text.at += 1;
    Ok(())
}
