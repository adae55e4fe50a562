//! Text files as Windows, PowerShell and old Macs write them.

use zeroize::Zeroizing;

/// The text: UTF-8 with a mark or without, UTF-16 in both orders, or an 8-bit code whose letters of a sheet are ASCII.
/// Every line ends with a line feed. `None` when it is no text.
pub(super) fn decoded(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => narrow(rest)?,
        // PowerShell's `>` in older versions forgets the mark now and then: every second byte of ASCII is zero.
        [_, 0, _, 0, ..] => wide(bytes, u16::from_le_bytes)?,
        [0, _, 0, _, ..] => wide(bytes, u16::from_be_bytes)?,
        _ => narrow(bytes)?,
    };
    let mut lines = Zeroizing::new(String::with_capacity(text.len()));
    let mut after_return = false;
    for symbol in text.chars() {
        match symbol {
            '\r' => lines.push('\n'),
            '\n' if after_return => {}
            other => lines.push(other),
        }
        after_return = symbol == '\r';
    }
    Some(lines)
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len()));
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    if !rest.is_empty() {
        return None;
    }
    for symbol in char::decode_utf16(units) {
        text.push(symbol.ok().filter(|symbol| *symbol != '\0')?);
    }
    Some(text)
}

/// UTF-8, or Windows-1252, Mac Roman and their like: what is not ASCII there is a quote, a dash or a letter of a name, and no
/// letter of a sheet. More than a tenth of such bytes is no text.
fn narrow(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    if let Ok(utf8) = std::str::from_utf8(bytes) {
        text.push_str(utf8);
    } else {
        let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
        let strange = bytes.iter().filter(|byte| !byte.is_ascii() || is_control(byte)).count();
        if 10 * strange > bytes.len() || bytes.iter().any(is_control) {
            return None;
        }
        text.extend(bytes.iter().map(|&byte| if byte.is_ascii() { char::from(byte) } else { '\u{fffd}' }));
    }
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Held by Zoë\n1: QQQQ\n";

    #[test]
    fn what_other_systems_write_is_the_same_text() {
        let wide = |unit: fn(u16) -> [u8; 2]| TEXT.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        for bytes in [
            TEXT.as_bytes().to_vec(),
            TEXT.replace('\n', "\r\n").into_bytes(),
            TEXT.replace('\n', "\r").into_bytes(),
            marked(&[0xef, 0xbb, 0xbf], TEXT.as_bytes()),
            marked(&[0xff, 0xfe], &wide(u16::to_le_bytes)),
            marked(&[0xfe, 0xff], &wide(u16::to_be_bytes)),
            wide(u16::to_le_bytes),
            wide(u16::to_be_bytes),
        ] {
            assert_eq!(decoded(&bytes).unwrap().as_str(), TEXT);
        }
        let windows: Vec<u8> = b"Held by Zo\xeb \x96 2\r\n1: QQQQ\r\n".to_vec();
        assert_eq!(decoded(&windows).unwrap().as_str(), "Held by Zo\u{fffd} \u{fffd} 2\n1: QQQQ\n");
    }

    #[test]
    fn other_files_are_no_text() {
        for bytes in [&b"\xff\x00\x01"[..], b"a\0b", &[0xff; 40], b"\x7fELF\x02\x01\x01\0\0", &[0xff, 0xfe, 0, 0xd8]] {
            assert!(decoded(bytes).is_none(), "{bytes:?}");
        }
    }
}
