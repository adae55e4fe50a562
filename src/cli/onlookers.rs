//! Which keys, sheets and configuration of this host its other users can read or change.

use std::path::{Path, PathBuf};

use super::sheets;
use crate::{
    app::Host,
    fsutil::{self, Exposed, Others, exposed, exposed_folder},
    share,
};

/// How far below the folder of the configuration sheets are looked for.
const DEPTH: usize = 3;
/// Files looked at in search of sheets; a host has few beside its configuration.
const MOST_FILES: usize = 2_000;
/// The text of a sheet is shorter.
const LONGEST_TEXT: usize = 64 << 10;

/// Everything found, each once. What does not exist is not looked at.
pub(super) fn find(host: &Host, config: &Path) -> Vec<Exposed> {
    let mut found = Vec::new();
    let mut add = |one: std::io::Result<Option<Exposed>>| match one {
        Ok(Some(one)) if !found.contains(&one) => found.push(one),
        _ => {}
    };
    let drills = host.drill_names().into_iter().map(|name| host.path(format!("drills/{name}.toml")));
    for file in std::iter::once(config.to_owned()).chain(drills) {
        add(exposed(&file, Others::Read));
        add(exposed_folder(folder_of(&file)));
    }
    let (keys, versions) = (&host.config.keys, host.version_key_path());
    let drill = host.config.drill.key.as_ref();
    for key in [Some(&keys.signer), Some(&keys.index), Some(&versions), drill].into_iter().flatten() {
        let key = host.path(key);
        add(exposed(&key, Others::Nothing));
        add(exposed_folder(folder_of(&key)));
    }
    add(exposed_folder(&host.scratch()));
    for sheet in sheets_below(host) {
        add(exposed(&sheet, Others::Nothing));
    }
    found
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Files that are or may be sheets, below the folder of the configuration; not in a repository, which holds none.
fn sheets_below(host: &Host) -> Vec<PathBuf> {
    let urls = host.config.copies.iter().map(|copy| &copy.url).chain([&host.config.repository.url]);
    let repositories: Vec<PathBuf> =
        urls.filter_map(|url| std::fs::canonicalize(url.strip_prefix("file://").unwrap_or(url)).ok()).collect();
    let mut waiting = vec![(folder_of(&host.path("x")).to_owned(), 0)];
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while let Some((folder, depth)) = waiting.pop() {
        let is_repository = std::fs::canonicalize(&folder).is_ok_and(|folder| repositories.contains(&folder));
        let Ok(entries) = std::fs::read_dir(&folder).map(|entries| entries.filter_map(Result::ok)) else { continue };
        for path in entries.map(|entry| entry.path()).filter(|_| !is_repository).take(MOST_FILES - looked_at) {
            looked_at += 1;
            if path.is_dir() {
                waiting.extend((depth < DEPTH).then(|| (path, depth + 1)));
            } else if is_sheet(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// By its text, or where that takes a scan, by the name that a ceremony gives: `02-bo.pdf`.
fn is_sheet(path: &Path) -> bool {
    // A sealed one is nobody else's to read.
    if !sheets::may_be_sheet(path) || path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("age")) {
        return false;
    }
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt")) {
        let text = fsutil::read_secret(path, LONGEST_TEXT);
        return text.is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok_and(share::resembles_share));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    matches!(name.as_bytes(), [a, b, b'-', ..] if a.is_ascii_digit() && b.is_ascii_digit())
}
