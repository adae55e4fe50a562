//! `lifeboat exec`

use std::{collections::BTreeSet, ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use super::{
    super::{Context, Exit, Failure, output::plural},
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

The keys of a JSON object become variables as they are. A value that is no object needs a name:
VARIABLE=NAME. lifeboat becomes the command: its process has the values, and no other process has
them. So signals reach the command, and the exit code is the command's own. 125: it was not
started; 126: it cannot be run; 127: it is not found.")]
pub struct Args {
    /// A secret whose JSON keys become variables, or VARIABLE=NAME for the whole value (repeat)
    #[arg(long = "secret", value_name = "[VARIABLE=]NAME", required = true)]
    secrets: Vec<Given>,
    #[command(flatten)]
    case: CaseArg,
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
    let found = pairs_of(context, &glass.read(context, &args.secrets).await?, &args.secrets, args.case.case())?;
    let present: BTreeSet<String> = if args.pristine {
        BTreeSet::new()
    } else {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    };
    let rules = VariableRules { allowed: args.allowed.clone(), replaces: args.replace, present };
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
    become_it(command, &args.command[0])
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
