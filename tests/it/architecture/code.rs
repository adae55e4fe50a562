//! Reads Rust text just well enough: words, paths from the root, what is code and what is under test.

/// Every room named by a path from the crate's root, be it `crate::` or enough `super::`.
pub fn crate_paths(code: &str, crate_name: &str, depth: usize) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let nesting = module_nesting(&chars);
    let mut found = Vec::new();
    for position in words(&chars, crate_name) {
        let after = position + crate_name.len();
        if let Some(start) = skip(&chars, after, "::") {
            found.extend(heads(&chars, start).into_iter().map(|head| (position, head)));
        }
    }
    for position in words(&chars, "super") {
        if position >= 2 && chars[position - 2..position] == [':', ':'] {
            continue;
        }
        let (mut at, mut steps) = (position, 0);
        while let Some(next) = skip(&chars, at, "super").and_then(|at| skip(&chars, at, "::")) {
            (at, steps) = (next, steps + 1);
        }
        if steps >= depth + nesting[position] {
            found.extend(heads(&chars, at).into_iter().map(|head| (position, head)));
        }
    }
    found
}

/// The first segments of the use tree at `start`: `a::b` is `a`; `{a::{b, c}, d}` is `a`, `d`.
fn heads(chars: &[char], start: usize) -> Vec<String> {
    if chars.get(start) != Some(&'{') {
        return vec![word_at(chars, start)];
    }
    let (mut found, mut depth, mut expects) = (Vec::new(), 0, false);
    for position in start..chars.len() {
        match chars[position] {
            '{' => (depth, expects) = (depth + 1, depth == 0),
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expects = depth == 1,
            c if c.is_whitespace() => {}
            _ if expects => {
                found.push(word_at(chars, position));
                expects = false;
            }
            _ => {}
        }
    }
    found
}

fn word_at(chars: &[char], start: usize) -> String {
    let word: String = chars[start..].iter().take_while(|c| is_word(**c)).collect();
    if word.is_empty() { chars[start..].iter().take(1).collect() } else { word }
}

/// At every position, how many `mod name { … }` of this file enclose it.
fn module_nesting(chars: &[char]) -> Vec<usize> {
    let mut opens: Vec<bool> = Vec::new();
    let mut opening = false;
    let mut nesting = Vec::with_capacity(chars.len());
    for position in 0..chars.len() {
        nesting.push(opens.iter().filter(|is_module| **is_module).count());
        match chars[position] {
            'm' if is_at_word(chars, position, "mod") => opening = true,
            ';' => opening = false,
            '{' => opens.push(std::mem::take(&mut opening)),
            '}' => drop(opens.pop()),
            _ => {}
        }
    }
    nesting
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip(chars: &[char], start: usize, what: &str) -> Option<usize> {
    let end = start + what.chars().count();
    (chars.len() >= end && chars[start..end].iter().copied().eq(what.chars())).then_some(end)
}

/// Whether `what` stands at `start`, not as a part of a longer word.
fn is_at_word(chars: &[char], start: usize, what: &str) -> bool {
    let Some(end) = skip(chars, start, what) else { return false };
    let continues = |inside: Option<char>, outside: Option<&char>| {
        inside.is_some_and(is_word) && outside.is_some_and(|c| is_word(*c))
    };
    let before = start.checked_sub(1).and_then(|before| chars.get(before));
    !continues(what.chars().next(), before) && !continues(what.chars().last(), chars.get(end))
}

pub fn words(chars: &[char], what: &str) -> Vec<usize> {
    (0..chars.len()).filter(|start| is_at_word(chars, *start, what)).collect()
}

/// The items under `#[cfg(test)]`, each from its attribute to its closing brace or semicolon.
pub fn test_items(code: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    for start in words(&chars, "#[cfg(") {
        let condition: String = chars[start..].iter().take_while(|c| **c != ']').collect();
        let names: Vec<char> = condition.chars().collect();
        if words(&names, "test").is_empty() || condition.contains("not(test") {
            continue;
        }
        let end = item_end(&chars, start + names.len() + 1);
        found.push((start, chars[start..end].iter().collect()));
    }
    found
}

fn item_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    for (position, c) in chars.iter().enumerate().skip(start) {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return position + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return position + 1,
            _ => {}
        }
    }
    chars.len()
}

pub fn blank_tests(code: &str) -> String {
    let mut chars: Vec<char> = code.chars().collect();
    for (start, item) in test_items(code) {
        blank(&mut chars, start, start + item.chars().count());
    }
    chars.into_iter().collect()
}

fn blank(chars: &mut [char], start: usize, end: usize) {
    let end = end.min(chars.len());
    for c in chars[start..end].iter_mut().filter(|c| **c != '\n') {
        *c = ' ';
    }
}

/// Blanks comments, strings and characters, so that what is left is code.
pub fn blank_literals(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if let Some(end) = end {
            blank(&mut chars, at, end);
        }
        at = end.unwrap_or(at + 1);
    }
    chars.into_iter().collect()
}

/// Where the comment or literal that starts at `at` ends, if one does.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let next = rest.get(1).copied();
    match rest[0] {
        '/' if next == Some('/') => Some(at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        '/' if next == Some('*') => Some(at + block_comment(rest)),
        'r' if (at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b') && matches!(next, Some('"' | '#')) => {
            raw_string(rest).map(|length| at + length)
        }
        '"' => Some(at + quoted(rest, '"')),
        '\'' if next == Some('\\') || rest.get(2) == Some(&'\'') => Some(at + quoted(rest, '\'')),
        _ => None,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (1, 2),
            ('*', Some('/')) => (-1, 2),
            _ => (0, 1),
        };
        (depth, at) = (depth + step.0, at + step.1);
        if depth == 0 {
            break;
        }
    }
    at
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some(())?;
    let close: String = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    let end = (start..rest.len()).find_map(|at| skip(rest, at, &close));
    Some(end.unwrap_or(rest.len()))
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}
