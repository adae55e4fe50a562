//! Sheets typed at the terminal: row by row, each judged when it is there; pasted or scanned ones at once.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Failure,
    terminal::{Mode, Terminal},
};
use crate::share::{Entered, Offer, RowRefusal, TypedShare, UntrustedShare, other_layout};

/// A scanner and a paste type faster than this; only when nothing more comes a row is judged.
const PAUSE: Duration = Duration::from_millis(40);
const GROUP: usize = 4;
/// A longer line is shown by its length.
const MOST_SHOWN: usize = 32;
const HELP: &str = "\
Type the rows as they stand on the paper: no Enter, spaces and capitals do not matter. A dot stands for a character.
Tab shows the row, Backspace corrects it, Enter judges it, `back` and Enter returns to the row before, ^C stops.
A code scanner or a paste works too.
";
const ESCAPE: u8 = 0x1b;

/// How typing a sheet ended.
pub(super) enum Typed {
    /// A text that may be a share.
    Sheet(Zeroizing<String>),
    /// The terminal closed, or ^D.
    End,
}

/// Reads sheets from the terminal, one after the other.
pub(super) struct Typist {
    terminal: Terminal,
    share: TypedShare,
    line: Line,
    /// What arrived and is not yet looked at.
    waiting: Zeroizing<Vec<u8>>,
}

/// The line that is being typed.
#[derive(Default)]
struct Line {
    text: Zeroizing<String>,
    /// The row that was refused last, to be looked at.
    refused: Zeroizing<String>,
    is_shown: bool,
    is_paste: bool,
    /// The bytes of a character that has not ended.
    partial: Zeroizing<Vec<u8>>,
    /// An escape sequence that has not ended.
    escape: Vec<u8>,
}

/// What one byte meant.
enum Key {
    Nothing,
    Enter,
    Back,
    End,
}

impl Typist {
    /// Opens the terminal and says how it goes.
    pub(super) fn open() -> std::io::Result<Self> {
        let terminal = Terminal::open(Mode::Keys)?;
        terminal.show(HELP);
        Ok(Self { terminal, share: TypedShare::default(), line: Line::default(), waiting: Zeroizing::default() })
    }

    /// Says something on a line of its own.
    pub(super) fn say(&self, text: &str) {
        self.terminal.show(&format!("\r\x1b[K{}\n", crate::text::lines(text)));
    }

    /// The next sheet; `title` names it in front of each row, such as `sheet 2 of 3`.
    pub(super) async fn sheet(&mut self, title: &str) -> Result<Typed, Failure> {
        self.share = TypedShare::default();
        loop {
            self.draw(title);
            match self.key().await? {
                Key::End => {
                    self.say("");
                    return Ok(Typed::End);
                }
                Key::Back => self.back(title),
                Key::Enter => {
                    if let Some(share) = self.enter(title).await? {
                        return Ok(Typed::Sheet(share));
                    }
                }
                Key::Nothing => {
                    if !self.waiting.is_empty() || self.line.is_paste {
                        continue;
                    }
                    if let Some(more) = self.terminal.typed_within(PAUSE).await? {
                        self.waiting = more;
                        continue;
                    }
                    let entered = self.share.so_far(&self.line.text);
                    if let Some(share) = self.took(title, entered) {
                        return Ok(Typed::Sheet(share));
                    }
                }
            }
        }
    }

    /// Asks a question that `y` or `yes` answers.
    pub(super) async fn agrees(&mut self, question: &str) -> Result<bool, Failure> {
        self.terminal.show(&format!("\r\x1b[K{question} Type yes or no: "));
        let mut answer = Zeroizing::new(String::new());
        loop {
            let Some(byte) = self.byte().await? else { return Ok(false) };
            match byte {
                b'\r' | b'\n' => break,
                0x7f | 0x08 if answer.pop().is_some() => self.terminal.show("\x08 \x08"),
                byte if byte.is_ascii_graphic() => {
                    answer.push(char::from(byte));
                    self.terminal.show(&char::from(byte).to_string());
                }
                _ => {}
            }
        }
        self.terminal.show("\n");
        Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }

    async fn byte(&mut self) -> Result<Option<u8>, Failure> {
        if self.waiting.is_empty() {
            self.waiting = self.terminal.typed().await?;
        }
        Ok(if self.waiting.is_empty() { None } else { Some(self.waiting.remove(0)) })
    }

    async fn key(&mut self) -> Result<Key, Failure> {
        let Some(byte) = self.byte().await? else { return Ok(Key::End) };
        Ok(self.line.press(byte))
    }

    fn back(&mut self, title: &str) {
        self.line.clear();
        if !self.share.back() {
            self.say(&format!("{title}: this is its first row"));
        }
    }

    /// The line has ended. Gives the text of a share.
    async fn enter(&mut self, title: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        let text = self.line.text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.eq_ignore_ascii_case("back") {
            self.back(title);
            return Ok(None);
        }
        // Lines that are no share together are rows one by one, up to the first that is not right.
        if text.contains('\n') && UntrustedShare::parse(text).is_err() && other_layout(text).is_none() {
            let lines = std::mem::take(&mut self.line.text);
            for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                let entered = self.share.entered(line);
                let goes_on = matches!(entered, Entered::Row);
                let share = self.took(title, entered);
                if share.is_some() || !goes_on {
                    return Ok(share);
                }
            }
            return Ok(None);
        }
        let mut entered = self.share.entered(&self.line.text);
        if let Entered::Offer(offer) = &entered {
            let question = offered(offer, self.share.expected());
            entered = if self.agrees(&question).await? { self.share.accept(offer) } else { Entered::Unfinished };
            self.line.clear();
        }
        Ok(self.took(title, entered))
    }

    /// Shows what a line came to. Gives the text of a share.
    fn took(&mut self, title: &str, entered: Entered) -> Option<Zeroizing<String>> {
        match entered {
            Entered::Unfinished | Entered::Offer(_) => None,
            Entered::Row => {
                self.say(&format!("{title}, row {}: right", self.share.expected() - 1));
                self.line.clear();
                None
            }
            Entered::Share(text) => {
                self.line.clear();
                self.terminal.show("\r\x1b[K");
                Some(text)
            }
            Entered::Refused(refusal) => {
                self.say(&refused(&refusal, self.share.expected()));
                let text = std::mem::take(&mut self.line.text);
                self.line.clear();
                self.line.refused = text;
                None
            }
        }
    }

    fn draw(&self, title: &str) {
        // A burst is drawn once, at its end.
        if !self.waiting.is_empty() {
            return;
        }
        let mut text = Zeroizing::new(format!("\r\x1b[K{title}, row {}: ", self.share.expected()));
        let most = self.terminal.width().saturating_sub(text.len() + MOST_SHOWN / GROUP).min(MOST_SHOWN);
        let kept = TypedShare::characters(&self.line.text);
        let length = kept.len();
        if length > most {
            text.push_str(&format!("{length} characters"));
        } else {
            for (at, symbol) in kept.chars().enumerate() {
                if at > 0 && at % GROUP == 0 {
                    text.push(' ');
                }
                text.push(if self.line.is_shown { symbol } else { '•' });
            }
        }
        if length >= TypedShare::length_of(self.share.expected()) && length <= most {
            text.push_str("  does not match: Tab shows it, Enter refuses it");
        }
        self.terminal.show(&text);
    }
}

impl Line {
    fn clear(&mut self) {
        self.text = Zeroizing::new(String::with_capacity(512));
        self.is_shown = false;
    }

    fn press(&mut self, byte: u8) -> Key {
        if !self.escape.is_empty() || byte == ESCAPE {
            return self.escape(byte);
        }
        match byte {
            b'\r' | b'\n' if self.is_paste => self.text.push('\n'),
            b'\r' | b'\n' => return Key::Enter,
            // ^D
            0x04 if self.text.is_empty() => return Key::End,
            b'\t' if self.is_paste => self.text.push(' '),
            b'\t' if self.text.is_empty() && !self.refused.is_empty() => {
                self.text = std::mem::take(&mut self.refused);
                self.is_shown = true;
            }
            b'\t' => self.is_shown = !self.is_shown,
            0x7f | 0x08 => {
                // Spaces are not shown, so they are not what somebody takes back.
                while self.text.pop().is_some_and(|symbol| symbol == ' ') {}
            }
            // ^U
            0x15 => self.clear(),
            byte if byte.is_ascii_graphic() || byte == b' ' => self.text.push(char::from(byte)),
            byte if byte >= 0x80 => self.part_of_a_character(byte),
            _ => {}
        }
        Key::Nothing
    }

    /// UTF-8; what is none is left out.
    fn part_of_a_character(&mut self, byte: u8) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(character) => self.text.push_str(character),
            Err(error) if error.error_len().is_none() => return,
            Err(_) => {}
        }
        self.partial.clear();
    }

    /// An arrow up returns to the row before; a paste is marked at both ends; other sequences mean nothing.
    fn escape(&mut self, byte: u8) -> Key {
        self.escape.push(byte);
        let is_over = match self.escape.as_slice() {
            [_] | [_, b'[' | b'O'] => false,
            [_, b'[' | b'O', .., last] => (0x40..=0x7e).contains(last),
            _ => true,
        };
        if !is_over {
            return Key::Nothing;
        }
        match std::mem::take(&mut self.escape).as_slice() {
            b"\x1b[A" | b"\x1bOA" => Key::Back,
            b"\x1b[200~" => {
                self.is_paste = true;
                Key::Nothing
            }
            b"\x1b[201~" => {
                self.is_paste = false;
                // One row that was pasted is judged as one that was typed, several as a whole.
                if self.text.trim().contains('\n') { Key::Enter } else { Key::Nothing }
            }
            _ => Key::Nothing,
        }
    }
}

/// Why a row is not taken, and what to do.
fn refused(refusal: &RowRefusal, row: usize) -> String {
    match refusal {
        RowRefusal::Number { given } => format!("row {row} comes now, and this is row {given}: type row {row}"),
        RowRefusal::Length { given, expected } => {
            format!(
                "row {row} has {expected} characters with the two after the =, and {given} were typed: type row {row} again"
            )
        }
        RowRefusal::Alphabet(strange) => {
            let named: Vec<String> = strange.iter().map(char::to_string).collect();
            format!(
                "no sheet has {}: 0 is a zero, 1 does not occur (it is L or 7), B is 8: type row {row} again",
                named.join(" or ")
            )
        }
        RowRefusal::Mismatch => {
            format!("row {row} has a wrong character: type row {row} again (Tab shows what was typed)")
        }
    }
}

fn offered(offer: &Offer, row: usize) -> String {
    let replaced: Vec<String> =
        offer.replaced.iter().map(|(given, meant)| format!("{given} is read as {meant}")).collect();
    format!("No sheet has these letters. Row {row} is right if {}. Does the paper agree?", replaced.join(" and "))
}
