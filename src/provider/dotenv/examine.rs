//! What is wrong with files of secrets where they lie: others can read them, or a repository of code has them.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use super::{Dotenv, at_rest, failed, file, walk};
use crate::provider::ProviderError;

/// Names given to one call of git: an argument list has an end.
const AT_ONCE: usize = 500;

/// What was found out about the files of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// How many files there are.
    pub files: usize,
    /// What is wrong or worth knowing, by file.
    pub findings: Vec<(String, Finding)>,
    /// Whether git was asked; where not, why.
    pub git: Option<String>,
}

/// Something about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Users beside the owner can read or write it.
    Exposed(u32),
    /// A git repository has it in its history, or will with the next commit.
    Tracked,
    /// It is encrypted; without its key a backup of it is no backup of its secrets.
    Encrypted(&'static str),
    /// It is meant and cannot be captured.
    Unreadable(&'static str),
}

/// Looks at every file of a source.
///
/// # Errors
/// A folder that cannot be read.
pub async fn examine(source: &Dotenv) -> Result<Examined, ProviderError> {
    source
        .blocking(|files| {
            let entries = walk::files(&files.root, &files.address)?;
            let mut examined = Examined { files: entries.len(), ..Examined::default() };
            for entry in &entries {
                let name = &entry.name;
                let read = file::read(&files.root, entry).map_err(|error| failed("read", Some(name), &error))?;
                let Some((look, outcome)) = read else { continue };
                let mut add = |finding| examined.findings.push((name.clone(), finding));
                if look.mode() & 0o077 != 0 {
                    add(Finding::Exposed(look.mode()));
                }
                match outcome.map(|bytes| at_rest::kind(name, &bytes)) {
                    Ok(Some(kind)) => add(Finding::Encrypted(kind)),
                    Ok(None) => {}
                    Err(refused) => add(Finding::Unreadable(refused.code())),
                }
            }
            let names: Vec<&str> = entries.iter().filter(|it| it.is_text).map(|it| it.name.as_str()).collect();
            match tracked(&files.root, &names) {
                Ok(tracked) => examined.findings.extend(tracked.into_iter().map(|name| (name, Finding::Tracked))),
                Err(reason) => examined.git = Some(reason),
            }
            Ok(examined)
        })
        .await
}

/// The files that a git repository around the folder, or one below it, tracks.
fn tracked(root: &Path, names: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut tracked = BTreeSet::new();
    // Each folder may be of a repository of its own.
    let mut folders: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for name in names {
        let (folder, file) = name.rsplit_once('/').unwrap_or((".", name));
        folders.entry(folder).or_default().push(file);
    }
    for (folder, files) in folders {
        for files in files.chunks(AT_ONCE) {
            let prefix = if folder == "." { String::new() } else { format!("{folder}/") };
            tracked.extend(ask(&root.join(folder), files)?.into_iter().map(|file| format!("{prefix}{file}")));
        }
    }
    Ok(tracked)
}

/// Asks git without a shell. Its configuration may come with the folder, so what would run a program is off.
fn ask(folder: &Path, files: &[&str]) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args([
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
            "--literal-pathspecs",
            "ls-files",
            "-z",
            "--",
        ])
        .args(files)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err("git is not installed".into()),
        other => other.map_err(|error| error.to_string())?,
    };
    if output.status.success() {
        let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        return Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("not a git repository") {
        return Ok(Vec::new());
    }
    Err(said.lines().next().unwrap_or("git failed").to_owned())
}
