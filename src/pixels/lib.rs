//! The texts of the QR codes in photos, scans and PDF pages. Bytes from anywhere come here: the decoders may panic or never
//! end, so whoever calls them does so on a thread of its own.

mod codes;
mod luma;
mod pdf;
mod picture;
mod picture_more;

use zeroize::Zeroizing;

use luma::Luma;
pub use {
    pdf::read as pdf,
    picture::{jpeg, png},
    picture_more::{tiff, webp},
};

/// The largest picture that is read, in pixels; phones make up to 200 million.
const MOST_PIXELS: usize = 210_000_000;

/// The most bytes a picture may take when it is not grey.
const MOST_BYTES: usize = 640 << 20;

/// A scan of a whole folder of sheets has fewer pages.
const MOST_PAGES: usize = 32;

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It begins like one of these and does not go on like one.
    #[error("a damaged {0}")]
    Damaged(&'static str),
    /// More pixels or pages than any sheet.
    #[error("too large")]
    TooLarge,
    /// A PDF with a password.
    #[error("a PDF with a password")]
    Locked,
    /// Nothing in it can be read.
    #[error("no code")]
    NoCode,
}

/// The texts, each once.
pub type Read = Result<Vec<Zeroizing<String>>, Fault>;

/// The texts of one picture, if it holds any.
fn of_picture(picture: &Luma) -> Read {
    let texts = codes::find(picture);
    if texts.is_empty() { Err(Fault::NoCode) } else { Ok(texts) }
}
