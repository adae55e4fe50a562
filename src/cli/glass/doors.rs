//! The commands that give values out, in one list. Nothing else of the program puts a value on stdout, into a file, into an
//! environment or on a socket. The hygiene test reads this list.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use super::super::{Failure, streams};
use crate::fsutil::{self, Access, Existing};

/// A way out for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The command.
    pub command: &'static str,
    /// The one file of the command line that hands values over.
    pub file: &'static str,
    /// Where they go.
    pub gives: &'static str,
}

/// `lifeboat get`
pub(super) const GET: Door =
    Door { command: "get", file: "src/cli/glass/get.rs", gives: "one value, to stdout or to a file of mode 0600" };
/// `lifeboat exec`
pub(super) const EXEC: Door = Door {
    command: "exec",
    file: "src/cli/glass/exec.rs",
    gives: "values of secrets that are named, to the environment, or to files in memory, of the process that it becomes",
};
/// `lifeboat export`
pub(super) const EXPORT: Door = Door {
    command: "export",
    file: "src/cli/glass/export.rs",
    gives: "values of secrets that are named, to stdout or to files of mode 0600",
};

/// `lifeboat break-glass serve`
const SERVE: Door = Door {
    command: "break-glass serve",
    file: "src/cli/break_glass/serve.rs",
    gives: "values of secrets that a consumer was granted, on the address where it listens",
};

/// Every one.
pub const DOORS: [Door; 4] = [GET, EXEC, EXPORT, SERVE];

impl Door {
    /// Writes a value, or text that holds values, to stdout as it is. A line end is added where stdout is a terminal and the text
    /// has none.
    ///
    /// # Errors
    /// Stdout is a terminal and the bytes would steer it.
    pub(super) fn to_stdout(self, bytes: &[u8]) -> Result<(), Failure> {
        debug_assert!(DOORS.contains(&self));
        let is_terminal = io::stdout().is_terminal();
        if is_terminal && steers(bytes) {
            return Err(Failure::usage("the value would steer the terminal: it is binary or has control characters")
                .hint("use --output FILE, or send it to another program: | COMMAND"));
        }
        let end: &[u8] = if is_terminal && !bytes.ends_with(b"\n") { b"\n" } else { b"" };
        streams::with_stdout(|out| out.write_all(bytes).and_then(|()| out.write_all(end)));
        Ok(())
    }

    /// Writes a file of mode 0600 so that a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// Something that is no regular file has the name, or the system's error.
    pub(super) fn to_file(self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        debug_assert!(DOORS.contains(&self));
        refuse_odd(path)?;
        Ok(fsutil::write(path, bytes, Access::Private, Existing::Replace)?)
    }
}

/// Refuses what a rename would replace and nobody means to replace: devices, pipes, links, folders.
pub(super) fn refuse_odd(path: &Path) -> Result<(), Failure> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => Err(Failure::usage(format!("{} is no regular file", path.display()))
            .hint("give --output another name; without --output the value goes to stdout")),
        _ => Ok(()),
    }
}

/// Whether a terminal would do something else than show it.
fn steers(bytes: &[u8]) -> bool {
    let shown = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    !std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_not_shown() {
        for (bytes, is) in [
            (&b"plain"[..], false),
            ("line\n\ttab é".as_bytes(), false),
            (b"\x1b[2J", true),
            (b"a\rb", true),
            (b"\xff", true),
            ("\u{9b}1A".as_bytes(), true),
            (b"\0", true),
        ] {
            assert_eq!(steers(bytes), is, "{bytes:?}");
        }
    }
}
