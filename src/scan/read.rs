//! Pictures and PDFs, on a thread of their own.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use zeroize::Zeroizing;

use lifeboat_pixels::{Fault, Read};

use super::{Kind, ScanFault, THREAD};

/// A file that takes longer is not a sheet.
const LONGEST: Duration = Duration::from_mins(1);

/// PDF pages nest; the decoders recurse.
const STACK: usize = 32 << 20;

/// The texts of the codes in a file that is no text.
pub(super) fn codes(kind: &Kind, bytes: &[u8]) -> Result<Vec<Zeroizing<String>>, ScanFault> {
    let bytes = Arc::new(Zeroizing::new(bytes.to_vec()));
    let damaged = ScanFault::Damaged(kind.name());
    let read = match kind {
        Kind::Jpeg => apart(move || lifeboat_pixels::jpeg(&bytes)),
        Kind::Png => apart(move || lifeboat_pixels::png(&bytes)),
        Kind::WebP => apart(move || lifeboat_pixels::webp(&bytes)),
        Kind::Tiff => apart(move || lifeboat_pixels::tiff(&bytes)),
        Kind::Pdf | Kind::Text(_) => apart(move || lifeboat_pixels::pdf(&bytes)),
    };
    read.ok_or(damaged)?.map_err(ScanFault::from)
}

impl From<Fault> for ScanFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(what) => Self::Damaged(what),
            Fault::TooLarge => Self::TooLarge,
            Fault::Locked => Self::Locked,
            Fault::NoCode => Self::NoCode,
        }
    }
}

/// Runs `work` where it may panic or hang; `None` after a panic.
fn apart(work: impl FnOnce() -> Read + Send + 'static) -> Option<Read> {
    let (send, receive) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(THREAD.into()).stack_size(STACK).spawn(move || {
        let _ = send.send(work());
    });
    thread.ok()?;
    match receive.recv_timeout(LONGEST) {
        Ok(read) => Some(read),
        Err(mpsc::RecvTimeoutError::Timeout) => Some(Err(Fault::TooLarge)),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
    }
}
