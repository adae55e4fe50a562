//! Sheets one by one, each on its own: for proving and for confirming, where no quorum is wanted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    cli::{Exit, Failure},
    fsutil,
};

const LONGEST_SHEET: usize = 1 << 20;

/// A name for people, and the text.
pub(super) type SheetText = (String, Zeroizing<String>);

/// Reads every sheet of the given files and folders.
pub(super) fn sheets(paths: &[PathBuf]) -> Result<Vec<SheetText>, Failure> {
    let mut texts = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = fs::read_dir(path)?
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
                .collect();
            inside.sort();
            for path in inside {
                texts.push(sheet(&path)?);
            }
        } else {
            texts.push(sheet(path)?);
        }
    }
    Ok(texts)
}

/// Reads one sheet: a file, or `-` for stdin.
pub(super) fn sheet(path: &Path) -> Result<SheetText, Failure> {
    let (origin, bytes) = if path == Path::new("-") {
        ("stdin".to_owned(), fsutil::read_secret_from(io::stdin(), LONGEST_SHEET)?)
    } else {
        let bytes = fsutil::read_secret(path, LONGEST_SHEET)
            .map_err(|error| Failure::new(Exit::NoQuorum, error.to_string()))?;
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes)
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    Ok((origin, Zeroizing::new(text.to_owned())))
}
