//! Standard output as it really is: what was lost, and whether it was there at all.

use std::{
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::Exit;

/// The first error of a write to stdout.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);
/// Whether the process was started without a stdout.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes to stdout and flushes. Remembers the first failure instead of answering with it: a command goes on to its
/// end, and [`settle`] decides how it ends.
pub(super) fn print(bytes: &[u8]) {
    with_stdout(|out| out.write_all(bytes));
}

/// Writes a line after the end of a result, which nobody has to read: that it could not be written is no failure.
pub(super) fn offer(bytes: &[u8]) {
    if is_lost() || CLOSED.load(Ordering::Relaxed) {
        return;
    }
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// The same for what is written as it is read. After a failure nothing more is written.
pub(super) fn with_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    if is_lost() {
        return;
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written =
        if CLOSED.load(Ordering::Relaxed) { Err(closed()) } else { write(&mut out).and_then(|()| out.flush()) };
    // A buffer that is dropped tries to write once more.
    let _ = out.into_parts();
    note(written);
}

/// Remembers whether somebody else's write to stdout failed.
pub(super) fn note_print(print: impl FnOnce() -> io::Result<()>) {
    let is_closed = CLOSED.load(Ordering::Relaxed);
    note(if is_closed { Err(closed()) } else { print().and_then(|()| io::stdout().flush()) });
}

fn closed() -> io::Error {
    io::Error::other("it is closed")
}

fn note(written: io::Result<()>) {
    if let Err(error) = written {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Whether something that was to be printed was not.
pub(super) fn is_lost() -> bool {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// The exit of a command that ended with `exit`: complete is only what was printed too. Gives the sentence to say about
/// it; a reader that had enough, as `head` has, gets none.
pub(super) fn settle(exit: Exit) -> (Exit, Option<String>) {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(error) = lost.as_ref() else { return (exit, None) };
    let (instead, sentence) = if error.kind() == io::ErrorKind::BrokenPipe {
        (Exit::NoReader, None)
    } else {
        (Exit::Failed, Some(format!("the output was lost: standard output cannot be written: {error}")))
    };
    (if exit == Exit::Complete { instead } else { exit }, sentence)
}

/// Before `main`: afterwards the runtime has put `/dev/null` where no stdout was, and whatever is printed seems to be
/// written.
#[cfg(target_os = "linux")]
mod before_main {
    #![expect(unsafe_code, reason = "the one way to see the file descriptors as they were given")]

    use std::{os::fd::BorrowedFd, sync::atomic::Ordering};

    extern "C" fn look() {
        // SAFETY: the descriptor is asked for its flags and nothing else, and that may fail.
        let stdout = unsafe { BorrowedFd::borrow_raw(1) };
        if rustix::io::fcntl_getfd(stdout) == Err(rustix::io::Errno::BADF) {
            super::CLOSED.store(true, Ordering::Relaxed);
        }
    }

    #[used]
    // SAFETY: the loader calls each function listed here once, on the only thread; this one allocates nothing.
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;
}
