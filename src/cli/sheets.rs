//! The texts of sheets out of files, folders and stdin.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Exit, Failure, Output};
use crate::{
    fsutil,
    scan::{self, ScanFault},
    text,
};

/// Where a share's string begins, and its length.
const START: &str = "LB1";
const WHOLE: usize = 90;

/// What a folder of sheets is searched for.
const ENDINGS: [&str; 13] =
    ["txt", "pdf", "jpg", "jpeg", "png", "webp", "tif", "tiff", "heic", "heif", "avif", "gif", "age"];

/// One text to be judged.
pub(super) struct Presented {
    /// What to call it.
    pub(super) origin: String,
    /// What it says.
    pub(super) text: Zeroizing<String>,
}

/// A file that gave no text.
pub(super) struct Unread {
    /// What to call it.
    pub(super) origin: String,
    /// Why.
    pub(super) fault: ScanFault,
}

/// The files in a folder that may be sheets, and those that are something else, sorted. Hidden ones are neither.
pub(super) fn inside(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Failure> {
    let is_hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let entries = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file() && !is_hidden(path)).collect();
    files.sort();
    Ok(files.into_iter().partition(|path| may_be_sheet(path)))
}

/// Names what a folder holds and nobody looked at.
pub(super) fn tell_others(output: Output, others: &[PathBuf]) {
    for file in others {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        output.note(&format!(
            "  {}: not read, because its name is not that of a sheet; use --share FILE to read it",
            text::line(&name)
        ));
    }
}

/// Whether a file has the ending of a sheet.
pub(super) fn may_be_sheet(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ENDINGS.contains(&ending.as_str()) && path.is_file()
}

/// The texts in one file, or in stdin for `-`.
pub(super) fn read(path: &Path) -> Result<Result<Vec<Presented>, Unread>, Failure> {
    let (origin, bytes) = if path == Path::new("-") {
        ("stdin".to_owned(), fsutil::read_secret_from(io::stdin(), scan::LARGEST + 1)?)
    } else {
        let size = fs::metadata(path).map_or(0, |known| usize::try_from(known.len()).unwrap_or(usize::MAX));
        let bytes = fsutil::read_secret(path, size.min(scan::LARGEST + 1))
            .map_err(|error| Failure::new(Exit::NoQuorum, error.to_string()))?;
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes)
    };
    Ok(match scan::texts(&bytes) {
        Ok(texts) => Ok(named(&origin, texts)),
        Err(fault) => Err(Unread { origin, fault }),
    })
}

/// Gives each share a name of its own; other codes in a picture count only when there is nothing else.
fn named(origin: &str, texts: Vec<Zeroizing<String>>) -> Vec<Presented> {
    let mut shares: Vec<Zeroizing<String>> = Vec::new();
    for text in texts.iter().flat_map(|text| whole_lines(text)) {
        if !shares.iter().any(|known| **known == *text) {
            shares.push(text);
        }
    }
    let texts = if shares.len() > 1 || texts.len() > 1 && !shares.is_empty() { shares } else { texts };
    let name = |number| match number {
        1 => origin.to_owned(),
        2 => format!("{origin} (2nd code)"),
        3 => format!("{origin} (3rd code)"),
        _ => format!("{origin} ({number}th code)"),
    };
    (1..).zip(texts).map(|(number, text)| Presented { origin: name(number), text }).collect()
}

/// The lines that hold a whole string of a share, as a scanner on stdin types them.
fn whole_lines(text: &str) -> Vec<Zeroizing<String>> {
    let strings = text.lines().flat_map(str::split_whitespace).filter(|word| {
        word.len() == WHOLE && word.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
    });
    strings.map(|word| Zeroizing::new(word.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(letter: &str) -> String {
        format!("LB1{}", letter.repeat(87))
    }

    fn origins(text: &[&str]) -> Vec<(String, usize)> {
        let texts = text.iter().map(|text| Zeroizing::new((*text).to_owned())).collect();
        named("x", texts).iter().map(|given| (given.origin.clone(), given.text.len())).collect()
    }

    #[test]
    fn a_scanner_may_type_several_shares() {
        let typed = format!("{}\r\n{}\n\n{}\n{}\n", share("Q"), share("p").to_lowercase(), share("Z"), share("Q"));
        let expected = [("x", 90), ("x (2nd code)", 90), ("x (3rd code)", 90)].map(|(name, len)| (name.into(), len));
        assert_eq!(origins(&[&typed]), expected);
    }

    #[test]
    fn one_share_keeps_the_text_around_it() {
        let typed = format!("rows\n{}\n", share("Q"));
        assert_eq!(origins(&[&typed]), [("x".into(), typed.len())]);
        assert_eq!(origins(&["1: QQQQ"]), [("x".into(), 7)]);
    }

    #[test]
    fn a_foreign_code_beside_a_share_is_left_out_and_alone_it_is_presented() {
        assert_eq!(origins(&["https://example.com", &share("Q")]), [("x".into(), 90)]);
        assert_eq!(origins(&["https://example.com"]), [("x".into(), 19)]);
    }

    #[test]
    fn a_folder_gives_sheets_in_any_case() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.TXT", "a.Jpeg", "c.pdf", "d.PNG", "e.md", "f", ".g.tmp"] {
            fsutil::write(&folder.path().join(name), b"", fsutil::Access::Private, fsutil::Existing::Keep).unwrap();
        }
        fsutil::create_folder(&folder.path().join("z.txt"), fsutil::Access::Public).unwrap();
        let names: Vec<_> =
            inside(folder.path()).ok().unwrap().0.iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.Jpeg", "b.TXT", "c.pdf", "d.PNG"]);
    }
}
