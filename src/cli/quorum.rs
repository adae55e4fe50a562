//! From sheets (files, a folder, stdin, typing) to the recovery key.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Context, Exit, Failure, Output,
    sheets::{self, Presented},
    terminal::{self, Mode},
    trail,
    typing::{Typed, Typist},
};
use crate::{
    crypto::{self, RecoveryKey},
    custody,
    repo::{Repository, Trust},
    share::{Gathering, Progress, Rejection, Suggestion, UntrustedShare, other_layout},
    text,
};

/// Where sheets come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ShareArgs {
    /// A sheet: a text, a photo or scan (JPEG, PNG), a PDF, a folder of them, or `-` for stdin (repeat; without any,
    /// you are asked to type)
    #[arg(long = "share", value_name = "FILE", env = "LIFEBOAT_SHARE", value_delimiter = '\n')]
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
    // A backup host knows every set that is in force; a clean machine may have a copy that is older than the sheets.
    let gathering = Gathering::new(custody::registers(&epochs));
    let gathering = if context.global.config.exists() { gathering } else { gathering.taking_newer() };
    let (gathering, rejected) = if args.shares.is_empty() {
        (type_in(context, gathering).await?, Vec::new())
    } else {
        let mut desk = Desk { output: context.output, gathering, rejected: Vec::new() };
        for path in &args.shares {
            desk.take(path).await?;
        }
        (desk.gathering, desk.rejected)
    };
    let progress = gathering.progress();
    if let Some(set) = gathering.unregistered() {
        context.output.warn(&format!(
            "the share set {set} of these sheets is not known here: this copy is older than the sheets, or the set was abandoned"
        ));
    }
    let quorum = gathering.quorum().map_err(|error| too_few(&error.to_string(), &progress, &rejected))?;
    let key = quorum.recover()?;
    warn_if_exposed(context, &key);
    let trust = repository.trust(&custody::anchor(&key)).await?;
    let opened = Opened { key, trust, present: progress.present };
    trail::begin_by_quorum(context, repository, &opened);
    Ok(opened)
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
        message = format!("{message}; not accepted: {}", rejected.join("; "));
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
    async fn take(&mut self, path: &Path) -> Result<(), Failure> {
        if !path.is_dir() {
            return self.take_file(path, None).await;
        }
        let mut here = BTreeSet::new();
        let (files, others) = sheets::inside(path)?;
        for file in files {
            self.take_file(&file, Some(&mut here)).await?;
        }
        sheets::tell_others(self.output, &others);
        Ok(())
    }

    async fn take_file(&mut self, path: &Path, mut here: Option<&mut BTreeSet<u8>>) -> Result<(), Failure> {
        if path == Path::new("-") && terminal::is_there() {
            let Some(text) = type_one().await? else { return Ok(()) };
            return self.judge(&Presented { origin: "the typed sheet".into(), text }, here).await;
        }
        match sheets::read(path)? {
            Ok(texts) => {
                for given in &texts {
                    self.judge(given, here.as_deref_mut()).await?;
                }
            }
            Err(unread) => {
                self.reject(format!("{} {}", unread.origin, unread.fault));
                self.output.note(&format!("  {}", unread.fault.hint()));
            }
        }
        Ok(())
    }

    /// Takes one text; `here` are the sheets already taken from the same folder.
    async fn judge(&mut self, given: &Presented, here: Option<&mut BTreeSet<u8>>) -> Result<(), Failure> {
        match add(self.output, &mut self.gathering, &given.origin, &given.text, None).await? {
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
        Ok(())
    }

    fn reject(&mut self, reason: String) {
        self.output.warn(&reason);
        self.rejected.push(reason);
    }
}

/// Adds a text. One that a person can make right, since the checksum says how, is added when they agree; never without
/// asking.
async fn add(
    output: Output,
    gathering: &mut Gathering,
    origin: &str,
    text: &str,
    mut typist: Option<&mut Typist>,
) -> Result<Result<Progress, Rejection>, Failure> {
    let rejection = match gathering.add(origin, text) {
        Err(rejection @ Rejection::Fault { .. }) => rejection,
        other => return Ok(other),
    };
    if let Some((layout, meant)) = other_layout(text) {
        let question = format!("{origin} was typed by {}. Use it as it was meant?", layout.name());
        if agrees(output, &question, &mut typist).await? {
            return Ok(gathering.add(origin, &meant));
        }
        output.note(&format!("  {origin} was typed by {}: set the scanner to this machine's keyboard", layout.name()));
        return Ok(Err(rejection));
    }
    let Some(suggestion) = UntrustedShare::suggest(text) else { return Ok(Err(rejection)) };
    let named = suggestion.rows();
    if !named.is_empty() && (typist.is_some() || can_ask(output)) {
        for &number in named {
            if !agrees(output, &row_question(origin, number, &suggestion), &mut typist).await? {
                return Ok(Err(rejection));
            }
        }
        return Ok(gathering.add(origin, &suggestion.text()));
    }
    let numbers: Vec<String> = named.iter().map(usize::to_string).collect();
    if !numbers.is_empty() {
        output.note(&format!(
            "  a correction is known for row {} of {origin}: compare it with the paper, or use a terminal to be asked",
            numbers.join(", ")
        ));
    }
    Ok(Err(rejection))
}

fn can_ask(output: Output) -> bool {
    !output.json && terminal::is_there() && io::stderr().is_terminal()
}

/// Whether the person at the terminal says yes; without one, no.
async fn agrees(output: Output, question: &str, typist: &mut Option<&mut Typist>) -> Result<bool, Failure> {
    if let Some(typist) = typist {
        return typist.agrees(question).await;
    }
    if !can_ask(output) {
        return Ok(false);
    }
    let answer = terminal::ask(&format!("{question} Type yes or no: "), Mode::Lines).await?;
    Ok(answer.is_some_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes")))
}

/// Asks whether the paper agrees with one row. It holds the row: for the terminal itself, nowhere else.
fn row_question(origin: &str, number: usize, suggestion: &Suggestion) -> Zeroizing<String> {
    let mut question = Zeroizing::new(String::with_capacity(512));
    question.push_str(&format!("{origin} is misread. Does row {number} of the paper say exactly"));
    for (at, symbol) in suggestion.row(number).unwrap_or_default().chars().enumerate() {
        if at % 4 == 0 {
            question.push(' ');
        }
        question.push(symbol);
    }
    question.push('?');
    question
}

/// Asks for sheets at the terminal until there are enough.
async fn type_in(context: &Context, mut gathering: Gathering) -> Result<Gathering, Failure> {
    let no_terminal = || Failure::usage("no sheets given").hint("give one --share FILE for each sheet, or --share -");
    if !terminal::is_there() {
        return Err(no_terminal());
    }
    let mut typist = Typist::open().map_err(|_| no_terminal())?;
    loop {
        let progress = gathering.progress();
        let number = progress.present.len() + 1;
        let title = match progress.threshold {
            Some(threshold) if progress.present.len() >= usize::from(threshold) => return Ok(gathering),
            Some(threshold) => format!("Sheet {number} of {threshold}"),
            None => format!("Sheet {number}"),
        };
        let Typed::Sheet(text) = typist.sheet(&title).await? else { return Ok(gathering) };
        match add(context.output, &mut gathering, "the typed sheet", &text, Some(&mut typist)).await? {
            Ok(progress) => typist.say(&here(&progress)),
            Err(rejection) => typist.say(&format!("{rejection}; type this sheet again, or another one")),
        }
    }
}

/// Reads one sheet from the terminal; `None` when it was ended instead.
pub(super) async fn type_one() -> Result<Option<Zeroizing<String>>, Failure> {
    let mut typist = Typist::open()?;
    Ok(match typist.sheet("Sheet").await? {
        Typed::Sheet(text) => Some(text),
        Typed::End => None,
    })
}

/// `Ana's sheet is right: 1 of 3; one of Bo, Cy is needed too`
fn here(progress: &Progress) -> String {
    let last = progress.present.last().map_or("", String::as_str);
    let need = progress.threshold.map_or_else(|| "?".into(), |threshold| threshold.to_string());
    let mut text = format!("{last}: sheet taken, {} of {need}", progress.present.len());
    if progress.threshold.is_some_and(|threshold| progress.present.len() < usize::from(threshold)) {
        text.push_str(&format!("; next, one of {}", progress.missing.join(", ")));
    }
    text
}

/// Asks for the number of the account that is written to: a yes is given too easily.
pub(super) async fn confirm_account(question: &str, account: &str) -> Result<(), Failure> {
    let no_terminal = || {
        let failure = Failure::usage("this needs a confirmation");
        failure.hint(format!("look at the plan with --plan, then use --account {account} --yes"))
    };
    if !terminal::is_there() {
        return Err(no_terminal());
    }
    let question = format!("{} Type the number of the account to go on: ", text::lines(question));
    if *terminal::ask(&question, Mode::Lines).await?.ok_or_else(no_terminal)? == account {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "not confirmed; nothing was written"))
}

/// Asks for a yes.
pub(super) async fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let no_terminal = || {
        Failure::usage("this needs a confirmation").hint("run it at a terminal, or add --yes when it is what you want")
    };
    if !terminal::is_there() {
        return Err(no_terminal());
    }
    let question = format!("{} Type yes to go on: ", text::lines(question));
    match terminal::ask(&question, Mode::Lines).await?.ok_or_else(no_terminal)?.as_str() {
        "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Failed, "not confirmed; nothing was written")),
    }
}
