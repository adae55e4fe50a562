//! What people and machines see: data on stdout, everything else on stderr.

use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::{Failure, envelope, environment, streams};
use crate::text;
pub(super) use crate::text::plural;

/// Whether only results, warnings and failures are shown.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on only results, warnings and failures are shown.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether that is so.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Where output goes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// One JSON object on stdout and no human text there.
    pub json: bool,
}

impl Output {
    /// The result of a command: `json` as one object, or the text.
    pub(super) fn result<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) {
        if self.json {
            envelope::add(&serde_json::to_string(value).expect("results are plain data"));
        } else {
            line(&text::lines(text().trim_end()));
        }
    }

    /// The same for a result that may not fit in memory, written as it is read.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn large_result<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        if !self.json {
            line(&text::lines(text()?.trim_end()));
            return Ok(());
        }
        let mut read = Ok(());
        streams::with_stdout(|out| {
            envelope::stream(out, |out| match serde_json::to_writer(Safe(out), value) {
                Err(error) if !error.is_io() => {
                    read = Err(std::io::Error::from(error).into());
                    Ok(())
                }
                written => written.map_err(std::io::Error::from),
            })
        });
        read
    }

    /// Something to know while it runs.
    pub(super) fn note(self, text: &str) {
        if !QUIET.load(Ordering::Relaxed) {
            say(&text::lines(text));
        }
    }

    /// Generated text that somebody may redirect into a file: as it is, or as the field `text`.
    pub(super) fn artefact(self, text: &str) {
        if self.json {
            envelope::add(&serde_json::json!({ "text": text }).to_string());
        } else {
            streams::print(text.as_bytes());
        }
    }

    /// Something that happened in a long run: a line of JSON on stderr with `--json`, else a sentence.
    pub(super) fn event(self, event: &serde_json::Value, text: &str) {
        if self.json {
            say(&event.to_string());
        } else {
            self.note(text);
        }
    }

    /// A warning.
    pub(super) fn warn(self, text: &str) {
        say(&format!("{} {}", paint("warning:", "33"), text::line(text)));
        if self.json {
            envelope::finding(serde_json::json!({ "severity": "attention", "text": text }));
        }
    }

    /// A failure, last.
    pub(super) fn failure(self, failure: &Failure) {
        say(&format!("{} {}", paint("error:", "31"), message(&failure.message)));
        if let Some(hint) = &failure.hint {
            say(&format!("{} {}", paint("hint:", "36"), text::lines(hint)));
        }
        if self.json {
            envelope::add(&serde_json::json!({ "error": failure.message, "hint": failure.hint }).to_string());
        }
    }

    /// Generated text, as is.
    pub(super) fn raw(self, bytes: &[u8]) {
        streams::print(bytes);
    }
}

/// JSON on its way out. serde_json writes whole characters.
struct Safe<W>(W);

impl<W: Write> Write for Safe<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = str::from_utf8(bytes).map_err(std::io::Error::other)?;
        self.0.write_all(text::json(text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A parser's message may show the place in a few lines; none of them begins where ours do.
fn message(text: &str) -> String {
    text::lines(text.trim_end()).replace('\n', "\n  | ")
}

fn line(text: &str) {
    streams::print(format!("{text}\n").as_bytes());
}

/// A terminal that has closed must not end what is still to be cleaned up.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A table without colours or outer borders.
pub(super) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(line)).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| text::line(cell).into_owned()));
    }
    table.to_string()
}

fn paint(text: &str, colour: &str) -> String {
    if std::io::stderr().is_terminal() && environment::wants_colour() {
        format!("\x1b[1;{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
