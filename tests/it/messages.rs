//! Every other message, gathered from the sources: the second half of docs/messages.md. The first is that of `mistakes`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::message_source::{Arm, Token, arms, close, is_sentence, lex, sentences};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/messages.md");
/// Where the second half begins.
const SECOND: &str = "# Every other message\n";
/// One test at a time writes the page.
static WRITING: Mutex<()> = Mutex::new(());

/// The halves of docs/messages.md; each is held by a test of its own.
pub(crate) enum Half {
    Mistakes,
    Others,
}

/// Compares one half with what it should be, or writes it.
pub(crate) fn hold(half: &Half, text: &str) {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    let (first, second) = page.split_at(page.find(SECOND).unwrap_or(page.len()));
    let (written, whole, filter) = match half {
        Half::Mistakes => (first.trim_end(), format!("{}\n\n{second}", text.trim_end()), "mistakes::"),
        Half::Others => (second.trim_end(), format!("{}\n\n{text}", first.trim_end()), "messages::"),
    };
    if std::env::var_os("LIFEBOAT_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{}\n", whole.trim_end())).unwrap();
        return;
    }
    let (mut written, mut made) = (written.lines(), text.trim_end().lines());
    loop {
        match (written.next(), made.next()) {
            (None, None) => return,
            (old, new) => assert_eq!(
                old, new,
                "docs/messages.md is not what the program says; this writes it: \
                 LIFEBOAT_WRITE_DOCS=1 cargo test --features full --test it {filter}"
            ),
        }
    }
}

/// One message: the exit code where the sources have it beside it, and the hint.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    text: String,
    from: String,
    exit: Option<String>,
    hint: Option<String>,
}

#[test]
fn every_other_message_is_on_the_page() {
    let sources = sources();
    let codes = exit_codes(&sources);
    let known = endings(&sources);
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    let mistakes = &page[..page.find(SECOND).unwrap_or(page.len())];
    let mut rooms: BTreeMap<String, BTreeSet<Message>> = BTreeMap::new();
    for (file, tokens) in &sources {
        let mut found = declared(tokens, &known);
        // The answers of the embedded Secrets Manager are AWS's own.
        if !file.starts_with("emulator") {
            found.extend(made(tokens));
        }
        found.retain(|message| is_sentence(&message.text) && !is_among(&message.text, mistakes));
        let room = rooms.entry(room(file)).or_default();
        for message in found {
            // One that is made in two ways is there once, the way that comes first in the alphabet.
            let is_twice = |other: &Message| (&other.text, &other.exit) == (&message.text, &message.exit);
            match room.iter().find(|other| is_twice(other)).map(|other| other.from <= message.from) {
                Some(true) => continue,
                Some(false) => room.retain(|other| !is_twice(other)),
                None => {}
            }
            room.insert(message);
        }
    }
    rooms.retain(|_, messages| !messages.is_empty());
    let count: usize = rooms.values().map(BTreeSet::len).sum();
    assert!(rooms.len() >= 15 && count >= 400, "{count} messages in {} rooms: the scan is blind", rooms.len());
    let mut text = format!(
        "{SECOND}\n\
         From the sources, one table for each folder under `src/` (`cargo test --features full --test it messages::`;\n\
         `LIFEBOAT_WRITE_DOCS=1` writes it). … stands for a name, path, number or reason. The second line is the hint.\n\
         An `error` ends the command with its exit code; a `warning` or `note` does not end it. A `fault` is what `check` prints\n\
         of a file. A message without an exit code is a part of another one, which has the code, and a `hint` follows one.\n\
         [Exit codes](exit-codes.md) explains them.\n"
    );
    for (room, messages) in rooms {
        text.push_str(&format!("\n## {room}\n\n| from | exit | message, and hint |\n|---|---|---|\n"));
        for Message { text: message, from, exit, hint } in messages {
            let exit = exit.map_or("", |exit| &*codes[&exit]);
            let hint = hint.map_or_else(String::new, |hint| format!("<br>{}", cell(&hint)));
            text.push_str(&format!("| {from} | {exit} | {}{hint} |\n", cell(&message)));
        }
    }
    hold(&Half::Others, &text);
}

fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('<', "\\<").replace('\n', "<br>")
}

/// The sources without tests, as tokens.
fn sources() -> Vec<(PathBuf, Vec<Token>)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        (file.strip_prefix(&root).unwrap().to_owned(), lex(code))
    };
    files.into_iter().map(read).collect()
}

/// `repo` of `repo/chain.rs`; `config` of `config.rs`.
fn room(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// `Usage` → `2`, as src/cli/exit.rs has it.
fn exit_codes(sources: &[(PathBuf, Vec<Token>)]) -> BTreeMap<String, String> {
    let (_, tokens) = sources.iter().find(|(file, _)| file.ends_with("cli/exit.rs")).unwrap();
    let code = |part: &[Token]| match part {
        [Token::Word(name), Token::Sign('='), Token::Word(number), Token::Sign(',')] => {
            number.bytes().all(|byte| byte.is_ascii_digit()).then(|| (name.clone(), number.clone()))
        }
        _ => None,
    };
    tokens.windows(4).filter_map(code).collect()
}

/// Exit and hint of an error type's variants; those of `_` are what the others get.
#[derive(Default)]
struct Endings {
    exits: BTreeMap<String, String>,
    hints: BTreeMap<String, String>,
}

/// From `impl From<TYPE> for Failure` of src/cli/failure.rs, for each type.
fn endings(sources: &[(PathBuf, Vec<Token>)]) -> BTreeMap<String, Endings> {
    let (_, tokens) = sources.iter().find(|(file, _)| file.ends_with("cli/failure.rs")).unwrap();
    let mut known = BTreeMap::new();
    for (at, part) in tokens.windows(7).enumerate() {
        let words: Vec<&str> = part.iter().filter_map(Token::word).collect();
        if let (["impl", "From", name, "for", "Failure"], true) = (&words[..], part[2] == Token::Sign('<')) {
            let open = (at..tokens.len()).find(|&at| tokens[at] == Token::Sign('{')).unwrap();
            known.insert((*name).to_owned(), endings_of(name, &tokens[open + 1..close(tokens, open)]));
        }
    }
    known
}

fn endings_of(name: &str, body: &[Token]) -> Endings {
    let mut endings = Endings::default();
    let mut by_exit: BTreeMap<String, String> = BTreeMap::new();
    let arms = arms(body);
    for Arm { pattern, result } in &arms {
        let (exit, hint) = (exit_of(result), hint_of(result));
        // An arm with nothing but a text is a hint too.
        let is_bare = result.iter().all(|token| token.word().is_none());
        let hint = hint.or_else(|| sentences(result).pop().filter(|_| is_bare));
        for pair in pattern.windows(4).filter(|part| part[0].word() == Some("Exit")) {
            by_exit.extend(pair[3].word().map(str::to_owned).zip(hint.clone()));
        }
        let named = pattern.windows(4).filter(|part| part[0].word() == Some(name)).filter_map(|part| part[3].word());
        let default = matches!(pattern, [Token::Word(word)] if word == "_").then_some("_");
        for variant in named.chain(default) {
            endings.exits.extend(exit.clone().map(|exit| (variant.to_owned(), exit)));
            if let Some(hint) = &hint {
                let of_variant = endings.hints.entry(variant.to_owned()).or_default();
                *of_variant = if of_variant.is_empty() { hint.clone() } else { format!("{of_variant}; or: {hint}") };
            }
            if exit.is_none() && result.iter().any(|token| token.word() == Some("into")) {
                endings.exits.insert(variant.to_owned(), String::new());
            }
        }
    }
    conditions(name, body, &mut endings.exits);
    if arms.is_empty() || !endings.exits.values().any(|exit| !exit.is_empty()) {
        let exit = exit_of(body).unwrap_or_default();
        endings.exits.entry("_".into()).or_insert(exit);
    }
    if arms.is_empty() {
        endings.hints.extend(hint_of(body).map(|hint| ("_".to_owned(), hint)));
    }
    let of_exits: Vec<_> = endings
        .exits
        .iter()
        .filter_map(|(variant, exit)| Some((variant.clone(), by_exit.get(exit)?.clone())))
        .collect();
    endings.hints.extend(of_exits);
    endings
}

/// `if matches!(error, A | B) { Exit::X } else { Exit::Y }`.
fn conditions(name: &str, body: &[Token], exits: &mut BTreeMap<String, String>) {
    for at in 0..body.len() {
        let block = |from: usize| {
            let open = (from..body.len()).find(|&at| body[at] == Token::Sign('{'))?;
            match &body[open + 1..close(body, open)] {
                [Token::Word(exit), _, _, Token::Word(which)] if exit == "Exit" => Some(which.clone()),
                _ => None,
            }
        };
        match body[at].word() {
            Some("matches") => {
                let end = close(body, at + 2);
                let Some(exit) = block(end) else { continue };
                let named = body[at..end].windows(4).filter(|part| part[0].word() == Some(name));
                exits.extend(named.filter_map(|part| Some((part[3].word()?.to_owned(), exit.clone()))));
            }
            Some("else") if body.get(at + 1) == Some(&Token::Sign('{')) => {
                exits.extend(block(at).map(|exit| ("_".to_owned(), exit)));
            }
            _ => {}
        }
    }
}

/// The first `Exit::X`, or `usage`.
fn exit_of(tokens: &[Token]) -> Option<String> {
    let at = tokens.iter().position(|token| matches!(token.word(), Some("Exit" | "usage")))?;
    if tokens[at].word() == Some("usage") { Some("Usage".into()) } else { Some(tokens.get(at + 3)?.word()?.to_owned()) }
}

/// What stands in `.hint(…)`, or in the `hint` that is made for it.
fn hint_of(tokens: &[Token]) -> Option<String> {
    let at = tokens.windows(3).position(|part| {
        part[0] == Token::Sign('.') && part[1].word() == Some("hint") && part[2] == Token::Sign('(')
    })?;
    let given = sentences(&tokens[at + 3..close(tokens, at + 2)]);
    let given = if given.is_empty() { bound("hint", &tokens[..at]) } else { given };
    (!given.is_empty()).then(|| given.join("; or: "))
}

/// The sentences of the last `let NAME = …;`.
fn bound(name: &str, tokens: &[Token]) -> Vec<String> {
    let is_bound = |part: &[Token]| part[0].word() == Some(name) && part[1] == Token::Sign('=');
    let Some(at) = tokens.windows(2).rposition(is_bound) else { return Vec::new() };
    let length = tokens[at..].iter().position(|token| *token == Token::Sign(';')).unwrap_or(tokens.len() - at);
    sentences(&tokens[at..at + length])
}

/// Those of `#[error("…")]`, with the exit and hint that src/cli/failure.rs gives to the type.
fn declared(tokens: &[Token], known: &BTreeMap<String, Endings>) -> Vec<Message> {
    let mut found = Vec::new();
    let mut of_enum = String::new();
    for at in 0..tokens.len().saturating_sub(4) {
        if tokens[at].word() == Some("enum") {
            tokens[at + 1].word().unwrap_or_default().clone_into(&mut of_enum);
        }
        let (Token::Sign('['), Some("error"), Token::Sign('('), Token::Text(text)) =
            (&tokens[at], tokens[at + 1].word(), &tokens[at + 2], &tokens[at + 3])
        else {
            continue;
        };
        let mut after = close(tokens, at) + 1;
        while tokens[after] == Token::Sign('#') {
            after = close(tokens, after + 1) + 1;
        }
        let names: Vec<&str> = tokens[after..].iter().take(6).filter_map(Token::word).collect();
        let (name, variant) = match names.iter().position(|name| *name == "struct") {
            Some(at) if names[..at].iter().all(|word| matches!(*word, "pub" | "crate" | "super")) => {
                (names[at + 1].to_owned(), "_".to_owned())
            }
            _ => (of_enum.clone(), names[0].to_owned()),
        };
        let of = |map: &BTreeMap<String, String>| map.get(&variant).or_else(|| map.get("_")).cloned();
        let exit = known.get(&name).and_then(|endings| of(&endings.exits)).filter(|exit| !exit.is_empty());
        let hint = known.get(&name).and_then(|endings| of(&endings.hints)).filter(|_| exit.is_some());
        let from = if variant == "_" { format!("`{name}`") } else { format!("`{name}::{variant}`") };
        found.push(Message { text: text.clone(), from, exit, hint });
    }
    found
}

/// Those that a function makes where it finds what is wrong.
fn made(tokens: &[Token]) -> Vec<Message> {
    let mut found = Vec::new();
    for at in 1..tokens.len().saturating_sub(1) {
        let Some(word) = tokens[at].word() else { continue };
        let is_call = tokens[at + 1] == Token::Sign('(');
        let is_path = tokens[at - 1] == Token::Sign(':');
        let owner = if is_path && at >= 3 { tokens[at - 3].word() } else { None };
        let from = match (word, owner) {
            ("new", Some("Failure")) | ("usage", _) if is_call => "error",
            ("new", Some("Self")) if is_call && tokens[at + 2].word() == Some("Exit") => "error",
            ("warn", None) if is_call && tokens[at - 1] == Token::Sign('.') => "warning",
            ("note", None) if is_call && tokens[at - 1] == Token::Sign('.') => "note",
            ("remedy" | "advice" | "hint", None) if tokens[at - 1].word() == Some("fn") => {
                let open = (at..tokens.len()).find(|&at| tokens[at] == Token::Sign('{')).unwrap();
                let texts = sentences(&tokens[open..close(tokens, open)]);
                found.extend(texts.into_iter().map(|text| Message {
                    text,
                    from: "hint".into(),
                    exit: None,
                    hint: None,
                }));
                continue;
            }
            ("new", Some("Fault")) | ("damaged" | "untrusted", _) if is_call => "fault",
            ("Err" | "ok_or" | "ok_or_else" | "BadSetting" | "refuse" | "unavailable", _) if is_call => "reason",
            ("detail" | "reason", None) if tokens[at - 1].word() == Some("let") => "reason",
            _ => continue,
        };
        if !is_call {
            let length = tokens[at..].iter().position(|token| *token == Token::Sign(';')).unwrap_or(0);
            let texts = own_sentences(&tokens[at..at + length]);
            found.extend(texts.into_iter().map(|text| Message { text, from: from.into(), exit: None, hint: None }));
            continue;
        }
        let end = close(tokens, at + 1);
        let (mut exit, mut hint) = (None, None);
        if from == "error" {
            exit = exit_of(&tokens[at..end]);
            hint = hint_of(&tokens[end + 1..chain_end(tokens, end + 1)]).or_else(|| {
                let is_bound = tokens[end + 1..].iter().take(5).filter_map(Token::word).eq(["hint", "hint"]);
                is_bound.then(|| bound("hint", &tokens[..at]).join("; or: ")).filter(|hint| !hint.is_empty())
            });
        }
        let mut texts = own_sentences(&tokens[at + 2..end]);
        if from == "error"
            && texts.is_empty()
            && tokens[at + 2..end].iter().any(|token| token.word() == Some("message"))
        {
            texts = bound("message", &tokens[..at]);
        }
        let message = |text| Message { text, from: from.into(), exit: exit.clone(), hint: hint.clone() };
        found.extend(texts.into_iter().map(message));
    }
    found
}

/// The sentences of a call's arguments, without those of a call within it that has messages of its own.
fn own_sentences(tokens: &[Token]) -> Vec<String> {
    let is_own = |token: &Token| {
        matches!(
            token.word(),
            Some("Failure" | "Fault" | "BadSetting" | "damaged" | "untrusted" | "usage" | "unavailable")
        )
    };
    if tokens.iter().any(is_own) { Vec::new() } else { sentences(tokens) }
}

/// Where the calls end that follow one another from here: `.hint(…).also(…)`.
fn chain_end(tokens: &[Token], mut at: usize) -> usize {
    while at + 2 < tokens.len() && tokens[at] == Token::Sign('.') && tokens[at + 2] == Token::Sign('(') {
        at = close(tokens, at + 2) + 1;
    }
    at
}

/// Whether the first half of the page has it already: all its words, in order, on one line.
fn is_among(text: &str, mistakes: &str) -> bool {
    let pieces: Vec<String> = text.split('…').map(cell).filter(|piece| !piece.is_empty()).collect();
    mistakes.lines().filter(|line| line.starts_with("| ")).any(|line| {
        let mut rest = line;
        pieces.iter().all(|piece| match rest.find(piece.as_str()) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    })
}
