//! What other users of this host can do with a file or a folder.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::text;

/// What others must not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Neither read nor write: keys, sheets.
    Nothing,
    /// Read only: configuration.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Read,
    Write,
    Own,
    /// A folder above it: whoever can write there can put another one in its place.
    Exchange,
}

/// Something that other users can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    path: PathBuf,
    mode: u32,
    way: Way,
    is_folder: bool,
    others: Others,
}

impl Exposed {
    /// The line that ends it.
    pub fn remedy(&self) -> String {
        let path = self.path.to_string_lossy();
        let path = text::shell(&path);
        match (self.way, self.is_folder, self.others) {
            (Way::Own, ..) => format!("chown \"$(id -u)\" {path}"),
            (Way::Exchange, ..) | (Way::Write, true, _) | (_, _, Others::Read) => format!("chmod go-w {path}"),
            (Way::Read | Way::Write, ..) => format!("chmod go-rwx {path}"),
        }
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.way {
            Way::Read => "other users can read it",
            Way::Write => "other users can write to it",
            Way::Own => "it belongs to another user",
            Way::Exchange => "other users can write to this folder and replace its files",
        };
        write!(f, "{} (mode {:04o}): {what}", self.path.display(), self.mode)
    }
}

impl std::error::Error for Exposed {}

/// What others can do with a file, or with the one behind a link; the folders are [`exposed_folder`]'s.
///
/// # Errors
/// The system's error.
pub fn exposed(path: &Path, others: Others) -> io::Result<Option<Exposed>> {
    let found = fs::metadata(path)?;
    let way = match others {
        _ if is_strangers(&found) => Some(Way::Own),
        _ if mode(&found) & 0o022 != 0 => Some(Way::Write),
        Others::Nothing if mode(&found) & 0o044 != 0 => Some(Way::Read),
        _ => None,
    };
    Ok(way.map(|way| report(&real(path), &found, way, others)))
}

/// Whether others can put files into a folder, or another folder into its place. One that does not exist is judged by
/// the folders above it.
///
/// # Errors
/// The system's error.
pub fn exposed_folder(path: &Path) -> io::Result<Option<Exposed>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(found) if is_strangers(&found) => return Ok(Some(report(&real(path), &found, Way::Own, Others::Read))),
        Ok(found) if is_open(&found, 0o022) => return Ok(Some(report(&real(path), &found, Way::Write, Others::Read))),
        Ok(_) => {}
    }
    let given = std::path::absolute(path)?;
    let real = fs::canonicalize(path).unwrap_or_else(|_| given.clone());
    // The folders above the name as it was given, too: they decide where a link leads.
    for above in given.ancestors().skip(1).chain(real.ancestors().skip(1)) {
        let Ok(found) = fs::metadata(above) else { continue };
        if is_open(&found, 0o002) {
            return Ok(Some(report(above, &found, Way::Exchange, Others::Read)));
        }
    }
    Ok(None)
}

/// Whether one of these bits is set and the folder is not sticky: there only the owner of a file may rename or remove it.
fn is_open(found: &fs::Metadata, bits: u32) -> bool {
    mode(found) & bits != 0 && mode(found) & 0o1000 == 0
}

fn report(path: &Path, found: &fs::Metadata, way: Way, others: Others) -> Exposed {
    Exposed { path: path.to_owned(), mode: mode(found) & 0o7777, way, is_folder: found.is_dir(), others }
}

fn real(path: &Path) -> PathBuf {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_symlink() => path.to_owned(),
        _ => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
    }
}

#[cfg(unix)]
fn mode(found: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(found)
}

#[cfg(unix)]
fn is_strangers(found: &fs::Metadata) -> bool {
    let owner = std::os::unix::fs::MetadataExt::uid(found);
    owner != 0 && owner != rustix::process::geteuid().as_raw()
}

/// Elsewhere the system's own access lists decide, which are not read.
#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}

#[cfg(not(unix))]
fn is_strangers(_: &fs::Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn modes_say_what_others_can_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's a file");
        fs::write(&path, "x").unwrap();
        let said = |mode: u32, others| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            exposed(&path, others).unwrap().map(|found| (found.to_string(), found.remedy()))
        };
        assert_eq!(said(0o600, Others::Nothing), None);
        assert_eq!(said(0o644, Others::Read), None);
        let (text, remedy) = said(0o640, Others::Nothing).unwrap();
        assert!(text.ends_with("file (mode 0640): other users can read it"), "{text}");
        assert!(remedy.starts_with("chmod go-rwx '/") && remedy.ends_with(r"it'\''s a file'"), "{remedy}");
        let (text, remedy) = said(0o664, Others::Read).unwrap();
        assert!(text.ends_with("(mode 0664): other users can write to it"), "{text}");
        assert!(remedy.starts_with("chmod go-w "), "{remedy}");
    }

    #[test]
    fn a_link_is_judged_by_what_is_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "x").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&real, &link).unwrap();
        let found = exposed(&link, Others::Nothing).unwrap().unwrap();
        assert!(found.remedy().ends_with("/real"), "{}", found.remedy());
    }
}
