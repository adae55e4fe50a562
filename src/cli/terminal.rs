//! The person at the terminal: questions, and keys one by one. Every wait ends at once with ^C, SIGTERM or a closed
//! terminal, and the terminal is then as it was.

use std::{
    io::{self, IsTerminal, Read, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Exit, Failure, asked_to_stop};
use crate::fsutil::{self, TerminalFile};

/// How long the reading thread sleeps before it looks whether anybody still waits.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Pastes are marked (xterm's bracketed paste), so that their line breaks are not taken for Enter.
const MARK_PASTES: &str = "\x1b[?2004h";
const MARK_NO_PASTES: &str = "\x1b[?2004l";

/// How keys arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A line at a time, shown while it is typed.
    Lines,
    /// Every key at once, not shown; the terminal's own editing is off.
    Keys,
}

/// The terminal of this process, in one mode until it is dropped.
pub(super) struct Terminal {
    file: Arc<TerminalFile>,
    before: Termios,
    mode: Mode,
    keys: mpsc::UnboundedReceiver<Zeroizing<Vec<u8>>>,
    is_over: Arc<AtomicBool>,
    /// Heard from before the first question is shown.
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Whether somebody can be asked: stdin is a terminal.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal()
}

impl Terminal {
    /// Opens the terminal that controls this process.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open(mode: Mode) -> io::Result<Self> {
        let stop = Box::pin(asked_to_stop());
        let file = Arc::new(fsutil::terminal()?);
        let before = tcgetattr(&file)?;
        let mut wanted = before.clone();
        match mode {
            Mode::Lines => wanted.local_modes |= LocalModes::ICANON | LocalModes::ECHO,
            Mode::Keys => {
                wanted.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
                wanted.special_codes[SpecialCodeIndex::VMIN] = 1;
                wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
                // A suspended program would leave the terminal mute.
                wanted.special_codes[SpecialCodeIndex::VSUSP] = 0;
            }
        }
        tcsetattr(&file, OptionalActions::Drain, &wanted)?;
        let (sender, keys) = mpsc::unbounded_channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = (file.clone(), is_over.clone());
        let terminal = Self { file, before, mode, keys, is_over, stop };
        if mode == Mode::Keys {
            terminal.show(MARK_PASTES);
        }
        std::thread::Builder::new().name("terminal".into()).spawn(move || read(&reader.0, &reader.1, &sender))?;
        Ok(terminal)
    }

    /// Writes to the terminal itself, nowhere else.
    pub(super) fn show(&self, text: &str) {
        let _ = (&*self.file).write_all(text.as_bytes());
    }

    /// Columns, as the terminal says.
    pub(super) fn width(&self) -> usize {
        tcgetwinsize(&self.file).ok().map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(80)
    }

    /// What was typed since the last time; empty when the terminal has closed or ^D ended it.
    ///
    /// # Errors
    /// Asked to stop.
    pub(super) async fn typed(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        tokio::select! {
            biased;
            () = &mut self.stop => Err(interrupted()),
            typed = self.keys.recv() => Ok(typed.unwrap_or_default()),
        }
    }

    /// The same, when something comes within `pause`.
    ///
    /// # Errors
    /// Asked to stop.
    pub(super) async fn typed_within(&mut self, pause: Duration) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match tokio::time::timeout(pause, self.typed()).await {
            Ok(typed) => typed.map(Some),
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if self.mode == Mode::Keys {
            self.show(MARK_NO_PASTES);
        }
        let _ = tcsetattr(&self.file, OptionalActions::Now, &self.before);
    }
}

/// Reads until nobody waits any more. Not one read is begun that may not end: what is typed later is somebody else's.
fn read(file: &TerminalFile, is_over: &AtomicBool, sender: &mpsc::UnboundedSender<Zeroizing<Vec<u8>>>) {
    while !is_over.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(file, PollFlags::IN)];
        match poll(&mut waiting, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let mut bytes = Zeroizing::new(vec![0; 1024]);
        match (&*file).read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                bytes.truncate(length);
                if sender.send(bytes).is_err() {
                    return;
                }
            }
        }
    }
}

/// Asks one question and gives the line that was typed, without its end; `None` when there is no terminal.
///
/// # Errors
/// Asked to stop.
pub(super) async fn ask(question: &str, mode: Mode) -> Result<Option<Zeroizing<String>>, Failure> {
    let Ok(mut terminal) = Terminal::open(mode) else { return Ok(None) };
    terminal.show(question);
    let typed = terminal.typed().await?;
    let text = Zeroizing::new(String::from_utf8_lossy(&typed).trim().to_owned());
    if typed.is_empty() {
        terminal.show("\n");
    }
    Ok(Some(text))
}

pub(super) fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted").hint("run the same command again to go on")
}
