//! Rust as far as a message needs it: words, signs and texts, blocks and the arms of a match.

/// A piece of a source, without comments, characters and lifetimes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or a number.
    Word(String),
    /// A text as a person meets it: `…` for each placeholder.
    Text(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    pub(crate) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

pub(crate) fn lex(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            let length = text_length(rest);
            tokens.push(Token::Text(shown(&rest[1..length - 1])));
            length
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            let length = raw.find("\"#").unwrap();
            tokens.push(Token::Text(shown(&raw[..length])));
            length + 5
        } else if first == '\'' {
            quoted_length(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// A text with its quotes.
fn text_length(rest: &str) -> usize {
    let mut is_escaped = true;
    for (at, letter) in rest.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    panic!("a text does not end: {rest:.60}")
}

/// A character, or only the mark of a lifetime.
fn quoted_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => 2 + rest[3..].find('\'').unwrap() + 2,
        _ => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
    }
}

/// A text of the sources as it is read: escapes undone, lines joined, `…` for what is filled in.
fn shown(source: &str) -> String {
    let mut text = String::new();
    let mut letters = source.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => text.push('\n'),
                Some('\n') => while letters.next_if(|c| c.is_whitespace()).is_some() {},
                Some(other @ ('"' | '\'' | '\\')) => text.push(other),
                _ => text.push(' '),
            },
            '{' if letters.next_if_eq(&'{').is_some() => text.push('{'),
            '}' if letters.next_if_eq(&'}').is_some() => text.push('}'),
            '{' => {
                let _ = letters.by_ref().find(|c| *c == '}');
                text.push('…');
            }
            other => text.push(other),
        }
    }
    text
}

/// Whether it is a message of its own: at least two words.
pub(crate) fn is_sentence(text: &str) -> bool {
    let is_word = |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() >= 2;
    text.split_whitespace().filter(is_word).count() >= 2
}

pub(crate) fn sentences(tokens: &[Token]) -> Vec<String> {
    let text = |token: &Token| if let Token::Text(text) = token { Some(text.clone()) } else { None };
    tokens.iter().filter_map(text).filter(|text| is_sentence(text)).collect()
}

/// Where the bracket at `open` is closed.
pub(crate) fn close(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a bracket is not closed: {:?}", &tokens[open..tokens.len().min(open + 9)])
}

/// An arm of a match.
pub(crate) struct Arm<'a> {
    pub(crate) pattern: &'a [Token],
    pub(crate) result: &'a [Token],
}

/// The arms of every match in it, also of those within others.
pub(crate) fn arms(body: &[Token]) -> Vec<Arm<'_>> {
    let is_arrow = |at: &usize| body[*at] == Token::Sign('=') && body[at + 1] == Token::Sign('>');
    let arrows = (0..body.len().saturating_sub(2)).filter(is_arrow);
    arrows.map(|at| Arm { pattern: &body[pattern_start(body, at)..at], result: result(body, at + 2) }).collect()
}

fn pattern_start(body: &[Token], arrow: usize) -> usize {
    let mut at = arrow;
    while at > 0 {
        match &body[at - 1] {
            Token::Sign(',' | '{' | ';') => return at,
            Token::Sign('}' | ')' | ']') => {
                let open = (0..at - 1).rev().find(|&open| is_open(&body[open]) && close(body, open) == at - 1).unwrap();
                // `Variant { field }` belongs to the pattern, the block of the arm before does not.
                if body[at - 1] == Token::Sign('}') && (open == 0 || body[open - 1].word().is_none()) {
                    return at;
                }
                at = open;
            }
            _ => at -= 1,
        }
    }
    0
}

fn result(body: &[Token], from: usize) -> &[Token] {
    let mut at = from;
    while at < body.len() {
        match &body[at] {
            Token::Sign(',' | '}') => break,
            token if is_open(token) => at = close(body, at) + 1,
            _ => at += 1,
        }
    }
    &body[from..at]
}

fn is_open(token: &Token) -> bool {
    matches!(token, Token::Sign('(' | '[' | '{'))
}
