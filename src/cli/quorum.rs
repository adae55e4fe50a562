//! From sheets (files, a folder, stdin, typing) to the recovery key.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Context, Exit, Failure, Output,
    sheets::{self, Presented},
};
use crate::{
    crypto::{self, RecoveryKey},
    custody,
    repo::{Repository, Trust},
    share::{Gathering, Progress, Rejection, ShareFault, Suggestion, UntrustedShare},
};

/// Where sheets come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ShareArgs {
    /// A sheet: a text, a photo or scan (JPEG, PNG), a PDF, a folder of them, or `-` for stdin (repeat; without any,
    /// you are asked to type)
    #[arg(long = "share", value_name = "FILE", env = "LIFEBOAT_SHARE", value_delimiter = ',')]
    pub shares: Vec<PathBuf>,
}

/// A repository opened by a quorum.
pub(super) struct Opened {
    /// The key; wiped when this goes.
    pub key: RecoveryKey,
    /// The epochs that reach it.
    pub trust: Trust,
    /// Whose sheets gave it.
    pub present: Vec<String>,
}

/// Gathers sheets until there is a quorum, then verifies the repository's epochs against the key.
pub(super) async fn open(context: &Context, repository: &Repository, args: &ShareArgs) -> Result<Opened, Failure> {
    let epochs = repository.epochs().await?;
    let gathering = Gathering::new(custody::registers(&epochs));
    let (gathering, rejected) = if args.shares.is_empty() {
        (type_in(context, gathering)?, Vec::new())
    } else {
        let mut desk = Desk { output: context.output, gathering, rejected: Vec::new() };
        for path in &args.shares {
            desk.take(path)?;
        }
        (desk.gathering, desk.rejected)
    };
    let progress = gathering.progress();
    let quorum = gathering.quorum().map_err(|error| too_few(&error.to_string(), &progress, &rejected))?;
    let key = quorum.recover()?;
    warn_if_exposed(context, &key);
    let trust = repository.trust(&custody::anchor(&key)).await?;
    Ok(Opened { key, trust, present: progress.present })
}

/// Goes on where the system refuses, and says so.
fn warn_if_exposed(context: &Context, key: &RecoveryKey) {
    if !key.is_locked() {
        context.output.warn("the key's memory could not be locked (ulimit -l): it may be written to the swap space");
    }
    let hardening = crypto::harden_process();
    if !hardening.core_dumps_off {
        context.output.warn("core dumps could not be switched off: a crash may write the key to a file");
    }
    if !hardening.tracing_off {
        context.output.warn("other processes of this user can read the memory of this one");
    }
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

/// Where sheets are laid, one file after the other.
struct Desk {
    output: Output,
    gathering: Gathering,
    rejected: Vec<String>,
}

impl Desk {
    /// Takes a file, or all sheets of a folder; there the text, the PDF and the photo of one sheet are one.
    fn take(&mut self, path: &Path) -> Result<(), Failure> {
        if !path.is_dir() {
            return self.take_file(path, None);
        }
        let mut here = BTreeSet::new();
        for file in sheets::inside(path)? {
            self.take_file(&file, Some(&mut here))?;
        }
        Ok(())
    }

    fn take_file(&mut self, path: &Path, mut here: Option<&mut BTreeSet<u8>>) -> Result<(), Failure> {
        match sheets::read(path)? {
            Ok(texts) => texts.iter().for_each(|given| self.judge(given, here.as_deref_mut())),
            Err(unread) => {
                self.reject(format!("{} {}", unread.origin, unread.fault));
                self.output.note(&format!("  {}", unread.fault.hint()));
            }
        }
        Ok(())
    }

    /// Takes one text; `here` are the sheets already taken from the same folder.
    fn judge(&mut self, given: &Presented, here: Option<&mut BTreeSet<u8>>) {
        match add(self.output, &mut self.gathering, &given.origin, &given.text) {
            Ok(progress) => {
                if let (Some(here), Ok(share)) = (here, UntrustedShare::parse(&given.text)) {
                    here.insert(share.index());
                }
                self.output.note(&describe(&given.origin, &progress));
            }
            Err(Rejection::Duplicate { origin, index, .. }) if here.is_some_and(|here| here.contains(&index)) => {
                self.output.note(&format!("  {origin}: the same sheet"));
            }
            Err(rejection) => self.reject(rejection.to_string()),
        }
    }

    fn reject(&mut self, reason: String) {
        self.output.warn(&reason);
        self.rejected.push(reason);
    }
}

/// Adds a text. A misread one whose correction is known is added as corrected when the person who holds the paper
/// says that it is what the paper shows; never without asking.
fn add(output: Output, gathering: &mut Gathering, origin: &str, text: &str) -> Result<Progress, Rejection> {
    let rejection = match gathering.add(origin, text) {
        Err(rejection @ Rejection::Fault { fault: ShareFault::Misread { correctable: true, .. }, .. }) => rejection,
        other => return other,
    };
    let Some(suggestion) = UntrustedShare::suggest(text) else { return Err(rejection) };
    let named = suggestion.rows();
    let at_terminal = !output.json && io::stdin().is_terminal() && io::stderr().is_terminal();
    if !named.is_empty() && at_terminal {
        let is_so = named.iter().all(|&number| asks_row(origin, number, &suggestion));
        return if is_so { gathering.add(origin, &suggestion.text()) } else { Err(rejection) };
    }
    let numbers: Vec<String> = named.iter().map(usize::to_string).collect();
    if !numbers.is_empty() {
        output.note(&format!(
            "  a correction is known for row {} of {origin}: compare it with the paper, or use a terminal to be asked",
            numbers.join(", ")
        ));
    }
    Err(rejection)
}

/// Shows one row on the terminal itself, nowhere else, and asks whether the paper says so.
fn asks_row(origin: &str, number: usize, suggestion: &Suggestion) -> bool {
    let Some(row) = suggestion.row(number) else { return false };
    let mut question = Zeroizing::new(String::with_capacity(512));
    question.push_str(&format!("{origin} is misread. Does row {number} of the paper say exactly"));
    for (at, symbol) in row.chars().enumerate() {
        if at % 4 == 0 {
            question.push(' ');
        }
        question.push(symbol);
    }
    question.push_str("? Type yes (nothing is shown): ");
    rpassword::prompt_password(question.as_str()).is_ok_and(|answer| answer.trim() == "yes")
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
        match add(output, &mut gathering, "the typed sheet", &typed) {
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
