//! `lifeboat exec`

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::Command,
};

use zeroize::Zeroizing;

use super::{
    super::{Context, Exit, Failure, output::plural, trail},
    CaseArg, FromArgs, doors, pairs_of, path,
};
use crate::{
    glass::{Given, Pair, VariableRules, unfit},
    text,
};

/// Names that one message lists.
const NAMED: usize = 20;

/// Run a command with secrets as its environment, with sheets alone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat exec --repo /mnt/west/lifeboat --share sheets/ \\
      --secret orrange-p2p/database/production --case upper -- node server.js
  lifeboat exec --share sheets/ --secret API_KEY=app/api-key --pristine -- ./job.sh
  lifeboat exec --share sheets/ --secret DB=app/db#/password --files -- psql-login   # reads $DB_FILE

The keys of a JSON object become variables as they are. A value that is no object needs a name:
VARIABLE=NAME. lifeboat becomes the command: its process has the values, and no other process has
them. So signals reach the command, and the exit code is the command's own. 125: it was not
started; 126: it cannot be run; 127: it is not found.")]
pub struct Args {
    /// A secret whose JSON keys become variables; VARIABLE=NAME for the whole value, or VARIABLE=NAME#/POINTER for one
    /// field (repeat)
    #[arg(long = "secret", value_name = "[VARIABLE=]NAME", required = true)]
    secrets: Vec<Given>,
    #[command(flatten)]
    case: CaseArg,
    /// Give each value in a file in memory instead: the variable NAME_FILE has its path
    #[arg(long)]
    files: bool,
    /// Replace variables that are set already
    #[arg(long = "override")]
    replace: bool,
    /// Give the command no variable of the present environment
    #[arg(long)]
    pristine: bool,
    /// Let through a name that changes which code programs run, such as NODE_OPTIONS (repeat)
    #[arg(long = "allow-name", value_name = "VARIABLE")]
    allowed: Vec<String>,
    #[command(flatten)]
    from: FromArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    // Before anybody types a sheet for nothing.
    let program =
        path::program(&args.command[0], std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, path)| path))?;
    let glass = args.from.open(context).await?;
    let mut found = pairs_of(context, &glass.read(context, &args.secrets).await?, &args.secrets, &args.case)?;
    let present: BTreeSet<String> = if args.pristine {
        BTreeSet::new()
    } else {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    };
    let rules = VariableRules { allowed: args.allowed.clone(), replaces: args.replace, present };
    // What is in memory is held until this process has become the command, which inherits it.
    let held = if args.files { in_memory(&mut found)? } else { Vec::new() };
    refuse_unfit(&found, &rules)?;
    let mut command = Command::new(program);
    command.args(&args.command[1..]);
    if args.pristine {
        command.env_clear();
    }
    command.envs(found.iter().map(|pair| (pair.name.as_str(), variable(&pair.value))));
    let count = found.len() as u64;
    drop((glass, found));
    context.output.note(&format!(
        "{} given to {}",
        plural(count, "variable"),
        text::line(&args.command[0].to_string_lossy())
    ));
    // The values are given away now, and nothing of this process is left afterwards.
    trail::finish(context.output, Exit::Complete).await;
    let failed = become_it(command, &args.command[0]);
    drop(held);
    failed
}

/// Puts each value into a file that is in memory alone, has no name, and ends with the last process that has it open. The pair
/// then has the path instead.
#[cfg(target_os = "linux")]
fn in_memory(pairs: &mut [Pair]) -> Result<Vec<OwnedFd>, Failure> {
    let mut held = Vec::with_capacity(pairs.len());
    for pair in pairs {
        // No flag: the command is to have it.
        let file =
            rustix::fs::memfd_create("lifeboat", rustix::fs::MemfdFlags::ALLOW_SEALING).map_err(io::Error::from)?;
        let mut rest = pair.value.as_slice();
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest).map_err(io::Error::from)?;
            rest = &rest[written..];
        }
        let seals = rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::GROW | rustix::fs::SealFlags::SHRINK;
        rustix::fs::fcntl_add_seals(&file, seals).map_err(io::Error::from)?;
        pair.name.push_str("_FILE");
        pair.json = None;
        pair.value = Zeroizing::new(format!("/dev/fd/{}", file.as_raw_fd()).into_bytes());
        held.push(file);
    }
    Ok(held)
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_pairs: &mut [Pair]) -> Result<Vec<OwnedFd>, Failure> {
    Err(Failure::usage("--files needs Linux").hint("`lifeboat export --format docker-secrets` writes files"))
}

fn refuse_unfit(pairs: &[Pair], rules: &VariableRules) -> Result<(), Failure> {
    let refused = unfit(pairs, rules);
    if pairs.is_empty() {
        return Err(Failure::usage("the secrets have no key that could become a variable"));
    }
    if refused.is_empty() {
        return Ok(());
    }
    let mut reasons: Vec<String> = refused.iter().take(NAMED).map(ToString::to_string).collect();
    if refused.len() > NAMED {
        reasons.push(format!("and {} more", refused.len() - NAMED));
    }
    Err(Failure::new(Exit::Refused, format!("the command is not started: {}", reasons.join("; ")))
        .hint("`lifeboat export` writes files, which can hold what no variable can"))
}

/// The value as the system takes it. It is text: anything else was refused.
fn variable(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or_default()
}

/// This process becomes the command. There is no second process that holds the values, and none that has to pass signals on.
fn become_it(mut command: Command, word: &OsString) -> Result<Exit, Failure> {
    debug_assert!(doors::DOORS.contains(&doors::EXEC));
    let error = command.arg0(word).exec();
    let word = text::line(&word.to_string_lossy()).into_owned();
    Err(match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::TOOBIG) => Failure::new(
            Exit::NotRunnable,
            "the environment and the arguments together are longer than the system allows",
        )
        .hint("give fewer secrets, or use --pristine; `lifeboat export` writes files"),
        _ => Failure::new(Exit::NotRunnable, format!("the command {word} cannot be run: {error}"))
            .hint("check that it is a program, and that the interpreter in its first line is there"),
    })
}
