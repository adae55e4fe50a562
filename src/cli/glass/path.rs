//! The program that a command means, found as a shell finds it.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::super::{Exit, Failure};
use crate::text;

/// Where programs are looked for when nothing says where.
const USUAL: &str = "/usr/local/bin:/usr/bin:/bin";

/// The file of a program: as it is where it has a slash, else the first in `path`.
///
/// # Errors
/// 127 where there is none, 126 where it cannot be run.
pub(super) fn program(word: &OsStr, path: Option<OsString>) -> Result<PathBuf, Failure> {
    let shown = text::line(&word.to_string_lossy()).into_owned();
    let not_found = || {
        let failure = Failure::new(Exit::NotThere, format!("the command {shown} is not found"));
        failure.hint("check its name and PATH")
    };
    let mut candidates = Vec::new();
    if word.to_string_lossy().contains('/') {
        candidates.push(PathBuf::from(word));
    } else if !word.is_empty() {
        let path = path.unwrap_or_else(|| USUAL.into());
        candidates.extend(std::env::split_paths(&path).map(|folder| folder.join(word)));
    }
    let there: Vec<&PathBuf> = candidates.iter().filter(|file| file.exists()).collect();
    if let Some(file) = there.iter().find(|file| may_run(file)) {
        return Ok((*file).clone());
    }
    if there.is_empty() {
        return Err(not_found());
    }
    Err(Failure::new(Exit::NotRunnable, format!("the command {shown} cannot be run"))
        .hint("check that it is a program"))
}

fn may_run(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}
