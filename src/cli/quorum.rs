//! From sheets (files, a folder, stdin, typing) to the recovery key.

use std::{
    fs,
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Context, Exit, Failure};
use crate::{
    crypto::RecoveryKey,
    custody, fsutil,
    repo::{Repository, Trust},
    share::{Gathering, Progress},
};

const LONGEST_SHEET: usize = 1 << 20;

/// Where sheets come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ShareArgs {
    /// A sheet: a text file, a folder of them, or `-` for stdin (repeat; without any, you are asked to type)
    #[arg(long = "share", value_name = "FILE", env = "LIFEBOAT_SHARE", value_delimiter = ',')]
    pub shares: Vec<PathBuf>,
}

/// A repository opened by a quorum.
pub(super) struct Opened {
    /// The key; wiped when this goes.
    pub key: RecoveryKey,
    /// The epochs that reach it.
    pub trust: Trust,
    /// How many sheets gave it.
    pub sheets: usize,
}

/// Gathers sheets until there is a quorum, then verifies the repository's epochs against the key.
pub(super) async fn open(context: &Context, repository: &Repository, args: &ShareArgs) -> Result<Opened, Failure> {
    let epochs = repository.epochs().await?;
    let mut gathering = Gathering::new(custody::registers(&epochs));
    let mut rejected = Vec::new();
    if args.shares.is_empty() {
        gathering = type_in(context, gathering)?;
    } else {
        for path in expand(&args.shares)? {
            let (origin, text) = read(&path)?;
            match gathering.add(&origin, &text) {
                Ok(progress) => context.output.note(&describe(&origin, &progress)),
                Err(rejection) => {
                    context.output.warn(&rejection.to_string());
                    rejected.push(rejection.to_string());
                }
            }
        }
    }
    let progress = gathering.progress();
    let quorum = gathering.quorum().map_err(|error| too_few(&error.to_string(), &progress, &rejected))?;
    let sheets = quorum.sheets();
    let key = quorum.recover()?;
    let trust = repository.trust(&custody::anchor(&key)).await?;
    Ok(Opened { key, trust, sheets })
}

fn too_few(reason: &str, progress: &Progress, rejected: &[String]) -> Failure {
    let mut message = reason.to_owned();
    if !rejected.is_empty() {
        message = format!("{message}; not taken: {}", rejected.join("; "));
    }
    let failure = Failure::new(Exit::NoQuorum, message);
    if progress.missing.is_empty() {
        failure.hint("give one --share for each sheet")
    } else {
        failure.hint(format!("a sheet of one of these is needed: {}", progress.missing.join(", ")))
    }
}

fn describe(origin: &str, progress: &Progress) -> String {
    let need = progress.threshold.map_or_else(|| "?".into(), |threshold| threshold.to_string());
    format!("  {origin}: have {} of {need} sheets ({})", progress.present.len(), progress.present.join(", "))
}

fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = fs::read_dir(path)?
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
                .collect();
            inside.sort();
            files.append(&mut inside);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Reads one sheet. A sheet is a page of text, so a megabyte of it is not one.
fn read(path: &Path) -> Result<(String, Zeroizing<String>), Failure> {
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

/// Asks for sheets one by one, without echo on a terminal.
fn type_in(context: &Context, mut gathering: Gathering) -> Result<Gathering, Failure> {
    let output = context.output;
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("no sheets given").hint("give one --share FILE for each sheet, or --share -"));
    }
    output.note("Type each sheet's rows on one line, or scan its code; nothing is shown. An empty line ends.");
    loop {
        let progress = gathering.progress();
        if progress.threshold.is_some_and(|threshold| progress.present.len() >= usize::from(threshold)) {
            return Ok(gathering);
        }
        let prompt = format!("sheet {}: ", progress.present.len() + 1);
        let typed = Zeroizing::new(rpassword::prompt_password(prompt)?);
        if typed.trim().is_empty() {
            return Ok(gathering);
        }
        match gathering.add("the typed sheet", &typed) {
            Ok(progress) => output.note(&describe("the typed sheet", &progress)),
            Err(rejection) => output.warn(&rejection.to_string()),
        }
    }
}

/// Asks for a yes.
pub(super) fn confirm(context: &Context, question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("this needs a confirmation").hint("look at the plan with --plan, then say --yes"));
    }
    context.output.note(&format!("{question} Type yes to go on:"));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::new(Exit::Failed, "not confirmed; nothing was written")) }
}
