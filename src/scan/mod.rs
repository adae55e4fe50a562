//! Texts of sheets out of files: photos and scans (JPEG, PNG), PDFs, plain text.
//!
//! What a file is, its content says, never its name. Nothing read here is believed: a text goes to
//! [`share`](crate::share) like a typed one, and its checksum decides. The decoders are other people's and see bytes
//! from anywhere, so they run on a thread of their own, whose panic or endless loop is a [`ScanFault`].

#[cfg(feature = "scan")]
mod read;
mod text;

use zeroize::Zeroizing;

/// The name of the thread that reads pictures: a panic there is a damaged file, not a fault of the program.
pub const THREAD: &str = "scan";

/// The largest file that is read.
pub const LARGEST: usize = 128 << 20;

/// Why no text came out of a file. Names what it is, never what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanFault {
    /// Neither a picture, nor a PDF, nor text.
    #[error("is neither a picture (JPEG, PNG, WebP, TIFF), nor a PDF, nor text")]
    Unknown,
    /// A picture in a format that is not read.
    #[error("is a {0} picture, which lifeboat cannot read")]
    Unsupported(&'static str),
    /// What phones make of photos by default; its readers are C libraries or under other licences.
    #[error("is a HEIC or AVIF picture, which lifeboat cannot read")]
    Heic,
    /// It begins like one of these and does not go on like one.
    #[error("is a damaged {0}")]
    Damaged(&'static str),
    /// More bytes, pixels or time than any sheet.
    #[error("is too large to be a sheet")]
    TooLarge,
    /// A sheet sealed to its custodian's own key.
    #[error("is sealed to a custodian's own key")]
    Sealed,
    /// A PDF with a password.
    #[error("is a PDF with a password")]
    Locked,
    /// A picture without a code that can be read.
    #[error("has no QR code that can be read")]
    NoCode,
    /// A picture or a PDF, in a build without the feature `scan`.
    #[error("is a {0}, and this build reads only text: it lacks the feature scan")]
    NotBuilt(&'static str),
}

impl ScanFault {
    /// What may help.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoCode => {
                "lay the sheet flat, use more and even light, fill the frame with it and take the photo again, \
                 or type its rows"
            }
            Self::Unknown | Self::Unsupported(_) => "save it as JPEG, PNG or PDF, or type the sheet's rows",
            Self::Heic => {
                "export it as JPEG. iPhone: Settings, Camera, Formats, Most Compatible, and take the photo again. Android: \
                 camera settings, advanced picture options, switch HEIF off. Or type the sheet's rows"
            }
            Self::Damaged(_) => "copy the file again, or type the sheet's rows",
            Self::TooLarge => "photograph or scan the sheet alone at a lower resolution, or type its rows",
            Self::Sealed => {
                "its custodian opens it: age -d -i KEY FILE | lifeboat … --share - (KEY is their private key)"
            }
            Self::Locked => "save it without a password, or type the sheet's rows",
            Self::NotBuilt(_) => "type the sheet's rows, or use a build that has the feature",
        }
    }
}

/// The texts in a file: the file itself when it is text, else of every QR code found, each once.
///
/// The search ends with the first code that begins like a share, but takes every code seen on the way.
///
/// # Errors
/// See [`ScanFault`].
pub fn texts(bytes: &[u8]) -> Result<Vec<Zeroizing<String>>, ScanFault> {
    if bytes.len() > LARGEST {
        return Err(ScanFault::TooLarge);
    }
    let kind = Kind::of(bytes)?;
    if let Kind::Text(text) = kind {
        return Ok(vec![text]);
    }
    #[cfg(feature = "scan")]
    return read::codes(&kind, bytes);
    #[cfg(not(feature = "scan"))]
    Err(ScanFault::NotBuilt(kind.name()))
}

/// What a file is.
#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Jpeg,
    Png,
    WebP,
    Tiff,
    Pdf,
    Text(Zeroizing<String>),
}

impl Kind {
    fn of(bytes: &[u8]) -> Result<Self, ScanFault> {
        let has = |at: usize, mark: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(mark));
        // A PDF may have up to a kilobyte before its header (ISO 32000, annex H).
        let head = &bytes[..bytes.len().min(1024)];
        if has(0, b"\xff\xd8\xff") {
            Ok(Self::Jpeg)
        } else if has(0, b"\x89PNG\r\n\x1a\n") {
            Ok(Self::Png)
        } else if head.windows(5).any(|window| window == b"%PDF-") {
            Ok(Self::Pdf)
        } else if has(4, b"ftyp") {
            Err(ScanFault::Heic)
        } else if has(0, b"RIFF") && has(8, b"WEBP") {
            Ok(Self::WebP)
        } else if has(0, b"II*\0") || has(0, b"MM\0*") {
            Ok(Self::Tiff)
        } else if has(0, b"GIF8") {
            Err(ScanFault::Unsupported("GIF"))
        } else if has(0, b"BM") && bytes.get(6..10) == Some(&[0; 4]) {
            Err(ScanFault::Unsupported("BMP"))
        } else if has(0, b"age-encryption.org/") || has(0, b"-----BEGIN AGE ENCRYPTED FILE-----") {
            Err(ScanFault::Sealed)
        } else {
            text::decoded(bytes).map(Self::Text).ok_or(ScanFault::Unknown)
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Pdf => "PDF",
            Self::Text(_) => "text",
        }
    }
}
