//! The command line: arguments, printing, prompts, exit codes. One file per subcommand.

mod access;
mod alarms;
mod audit;
mod break_glass;
mod check;
mod compromise;
mod consumers;
mod copy;
mod copying;
mod custody;
mod demo;
mod diff;
mod doctor;
mod drift;
mod drill;
mod envelope;
mod environment;
mod events;
mod exit;
mod failure;
mod forget;
mod generate;
mod glass;
mod handover;
mod history;
mod hooks;
mod host;
mod init;
mod list;
mod made;
mod moment;
mod onlookers;
mod output;
mod quorum;
mod restore;
mod runbook;
mod sandbox;
mod sheets;
mod show;
mod snapshot;
mod status;
mod streams;
mod survey;
mod terminal;
mod trail;
mod typing;
mod watch;
mod words;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::Exit;
pub use failure::Failure;
pub use glass::doors::{DOORS, Door};
pub use output::Output;

use crate::{
    app::Host,
    crypto,
    repo::{Repository, Trust},
    scan, text,
};

const DEFAULT_CONFIG: &str = "lifeboat.toml";
const ABOUT: &str = "Offline backup and disaster recovery for production secrets";
const AFTER: &str = "\
Examples:
  lifeboat demo
  lifeboat init --repo /srv/lifeboat --source aws:eu-central-1 --threshold 3 \\
      --custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli \\
      --sheets ./sheets --yes
  lifeboat snapshot
  lifeboat restore --repo /mnt/west/lifeboat --to aws:eu-west-1 \\
      --share ana.txt --share cy.txt --share eli.txt

Exit codes: 0 complete, 1 failed, 2 usage, 3 incomplete, 4 refused for safety, 5 no quorum,
6 repository damaged, 7 locked, 125 to 127 as `lifeboat exec` explains, 130 interrupted,
141 nobody read the output to its end";

/// The arguments.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, long_version = version(), about = ABOUT, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// With what this build has (Cargo.toml says what each is).
fn version() -> String {
    let features = [
        ("aws", cfg!(feature = "aws")),
        ("sso", cfg!(feature = "sso")),
        ("s3", cfg!(feature = "s3")),
        ("gcs", cfg!(feature = "gcs")),
        ("azure-blob", cfg!(feature = "azure-blob")),
        ("vault", cfg!(feature = "vault")),
        ("gcp", cfg!(feature = "gcp")),
        ("azure", cfg!(feature = "azure")),
        ("dotenv", cfg!(all(unix, feature = "dotenv"))),
        ("scan", cfg!(feature = "scan")),
        ("paper", cfg!(feature = "paper")),
    ];
    let with = |has: bool| {
        let names: Vec<&str> = features.iter().filter(|(_, is_in)| *is_in == has).map(|(name, _)| *name).collect();
        if names.is_empty() { "nothing".into() } else { names.join(" ") }
    };
    format!("{}\nfeatures: {}\nwithout: {}", env!("CARGO_PKG_VERSION"), with(true), with(false))
}

#[derive(Clone, Debug, clap::Args)]
struct Global {
    /// Print one JSON object on stdout and no human text there; progress is JSON lines on stderr
    #[arg(long, global = true, env = "LIFEBOAT_JSON", value_parser = environment::parse_switch)]
    json: bool,
    /// The configuration file; without it ./lifeboat.toml, ~/.config/lifeboat/lifeboat.toml, /etc/lifeboat/lifeboat.toml
    #[arg(long, global = true, value_name = "FILE", env = "LIFEBOAT_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The repository: a path, or the URL of a folder or bucket (default: the configured one)
    #[arg(long, global = true, value_name = "URL", env = "LIFEBOAT_REPO")]
    repo: Option<String>,
    /// Show more: each request to a provider with -vv
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Show results, warnings and failures alone
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Sandbox(sandbox::Args),
    Init(init::Args),
    Snapshot(snapshot::Args),
    Watch(events::watch::Args),
    Schedule(events::schedule::Args),
    List(list::Args),
    Show(show::Args),
    Get(glass::get::Args),
    Versions(glass::versions::Args),
    Exec(glass::exec::Args),
    Export(glass::export::Args),
    Diff(diff::Args),
    Drift(Box<drift::Args>),
    Check(check::Args),
    Status(status::Args),
    Copy(copy::Args),
    Forget(forget::Args),
    Restore(Box<restore::Args>),
    Drill(drill::Args),
    Compromise(Box<compromise::Args>),
    BreakGlass(break_glass::Args),
    Runbook(runbook::Args),
    Alarms(alarms::Args),
    Audit(audit::Args),
    Access(access::Args),
    Consumers(consumers::Args),
    Words(words::Args),
    Custody(custody::Args),
    Host(Box<host::Args>),
    Doctor(doctor::Args),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// What every subcommand gets.
struct Context {
    output: Output,
    global: Global,
}

impl Context {
    fn host(&self) -> Result<Host, Failure> {
        if self.global.config.exists() {
            return Ok(Host::load(&self.global.config)?);
        }
        let message = format!("there is no configuration at {}", self.global.config.display());
        Err(Failure::usage(message)
            .hint("use --config FILE; on a machine without one, use --repo URL and --share for each sheet"))
    }

    /// A command for a person to run: one line, quoted, with the configuration of this run.
    fn command(&self, words: &[&str]) -> String {
        let config = self.global.config.to_string_lossy();
        let is_default = config == DEFAULT_CONFIG;
        let with: &[&str] = if is_default { &[] } else { &["--config", &config] };
        text::command(["lifeboat"].iter().chain(with).chain(words).copied())
    }

    /// Where what does not fit in memory waits, sealed and without a name: the host's own folder, or the system's where
    /// there is no host.
    fn scratch(&self) -> PathBuf {
        let host = self.global.config.exists().then(|| Host::load(&self.global.config).ok()).flatten();
        host.map_or_else(std::env::temp_dir, |host| host.scratch())
    }

    /// The address asked for, or the configured one.
    fn address(&self) -> Result<String, Failure> {
        match &self.global.repo {
            Some(address) => Ok(address.clone()),
            None => Ok(self.host()?.config.repository.url),
        }
    }

    /// The repository asked for, its epochs verified against the host's pinned trust.
    async fn repository(&self, host: &Host) -> Result<(Repository, Trust), Failure> {
        match &self.global.repo {
            Some(address) => Ok(host.repository_at(address).await?),
            None => Ok(host.repository().await?),
        }
    }
}

/// Parses, runs, and gives the exit code.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(report_panic));
    crypto::harden_process();
    let is_json = environment::asks_for_json();
    let exit = match started() {
        // A command that is not started must not seem to have ended with a code of its own.
        exit if environment::asks_to_exec() && !HELPED.load(Ordering::Relaxed) => exit.of_exec(),
        exit => exit,
    };
    // Help and the version are printed as they are.
    if is_json && !HELPED.load(Ordering::Relaxed) {
        envelope::finish(exit);
    }
    let (exit, lost) = streams::settle(exit);
    if let Some(sentence) = lost {
        Output { json: false }
            .failure(&Failure::new(exit, sentence).hint("what the command did is done; see docs/exit-codes.md"));
    }
    exit.into()
}

/// Whether help or the version was asked for.
static HELPED: AtomicBool = AtomicBool::new(false);

/// Whether nobody gave this argument.
fn is_default(matches: &clap::ArgMatches, argument: &str) -> bool {
    let deepest = std::iter::successors(Some(matches), |at| at.subcommand().map(|(_, below)| below)).last();
    deepest.is_some_and(|at| at.value_source(argument) == Some(clap::parser::ValueSource::DefaultValue))
}

/// `drill run`
fn command_of(matches: &clap::ArgMatches) -> String {
    let mut names = Vec::new();
    let mut at = matches;
    while let Some((name, below)) = at.subcommand() {
        names.push(name);
        at = below;
    }
    names.join(" ")
}

/// From the arguments to the end of the command.
fn started() -> Exit {
    let failed = |failure: &Failure| {
        Output { json: environment::asks_for_json() }.failure(failure);
        failure.exit
    };
    if let Err(failure) = environment::refuse_shares() {
        return failed(&failure);
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        envelope::begin(command_of(&matches));
        let mut cli = Cli::from_arg_matches(&matches)?;
        // What makes a configuration makes it here.
        let makes_one = matches!(cli.command, Command::Init(_) | Command::Host(_) | Command::Demo(_));
        if is_default(&matches, "config") && !makes_one {
            cli.global.config = environment::configuration(DEFAULT_CONFIG);
        }
        Ok(cli)
    });
    if let Err(help) = &parsed
        && !help.use_stderr()
    {
        HELPED.store(true, Ordering::Relaxed);
        streams::note_print(|| help.print());
        return Exit::Complete;
    }
    if let Err(failure) = environment::refuse_empty() {
        return failed(&failure);
    }
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            if environment::asks_for_json() {
                let text = error.render().to_string();
                let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                envelope::add(&serde_json::json!({ "error": sentence, "hint": null }).to_string());
            }
            return Exit::Usage;
        }
    };
    log_to_stderr(cli.global.verbose);
    if cli.global.quiet {
        output::be_quiet();
    }
    let output = Output { json: cli.global.json };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&Failure::from(error));
            return Exit::Failed;
        }
    };
    let exit = catch_unwind(AssertUnwindSafe(|| runtime.block_on(finished(cli)))).unwrap_or_else(|_| {
        // The hook has shown where.
        output.failure(&Failure::new(Exit::Failed, "the command stopped half-way").hint("run the same command again"));
        Exit::Failed
    });
    runtime.shutdown_background();
    exit
}

/// Runs the command, until it ends or is asked to.
async fn finished(cli: Cli) -> Exit {
    let output = Output { json: cli.global.json };
    // The sandbox is meant to be stopped by ^C and sees to it itself.
    // So is a drill, which has to clean up.
    let stops_itself = match &cli.command {
        Command::Sandbox(_) | Command::Drill(_) | Command::Watch(_) => true,
        Command::BreakGlass(args) => args.stops_itself(),
        _ => false,
    };
    let exit = tokio::select! {
        outcome = dispatch(cli) => outcome.unwrap_or_else(|failure| {
            output.failure(&failure);
            failure.exit
        }),
        () = asked_to_end(), if !stops_itself => {
            output.failure(&terminal::interrupted());
            Exit::Interrupted
        }
    };
    trail::finish(output, exit).await;
    exit
}

/// The same for a command that does not see to it itself. While hooks run they do, and what they started ends with a report.
fn asked_to_end() -> impl Future<Output = ()> + Send + 'static {
    let asked = asked_to_stop();
    async move {
        asked.await;
        if hooks::are_running() {
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for ^C, for SIGTERM as a service manager sends it, or for SIGHUP as a terminal that closes sends it. What arrives
/// after the call counts, also before the wait.
fn asked_to_stop() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let received = {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        // Under nohup the process is to outlive its terminal.
        kinds.extend((!ignores_hangup()).then(SignalKind::hangup));
        let signals = kinds.into_iter().filter_map(|kind| signal(kind).ok());
        signals.map(|mut signal| Box::pin(async move { signal.recv().await })).collect::<Vec<_>>()
    };
    async move {
        #[cfg(unix)]
        if !received.is_empty() {
            let _ = futures::future::select_all(received).await;
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Whether the process was started with SIGHUP ignored, as nohup does. Where the system does not tell, it was not.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = crate::fsutil::read(std::path::Path::new("/proc/self/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The command definition, for the reference and the man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

async fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let context = Context { output: Output { json: cli.global.json }, global: cli.global };
    if !matches!(cli.command, Command::Completions(_) | Command::Man(_)) {
        environment::check().await?;
    }
    match cli.command {
        Command::Demo(args) => Box::pin(demo::run(&context, args)).await,
        Command::Sandbox(args) => sandbox::run(&context, args).await,
        Command::Init(args) => init::run(&context, args).await,
        Command::Snapshot(args) => Box::pin(snapshot::run(&context, args)).await,
        Command::Watch(args) => Box::pin(events::watch::run(&context, args)).await,
        Command::Schedule(args) => events::schedule::run(&context, args).await,
        Command::List(args) => list::run(&context, args).await,
        Command::Show(args) => show::run(&context, args).await,
        Command::Get(args) => Box::pin(glass::get::run(&context, args)).await,
        Command::Versions(args) => Box::pin(glass::versions::run(&context, args)).await,
        Command::Exec(args) => Box::pin(glass::exec::run(&context, args)).await,
        Command::Export(args) => Box::pin(glass::export::run(&context, args)).await,
        Command::Diff(args) => Box::pin(diff::run(&context, args)).await,
        Command::Drift(args) => drift::run(&context, *args).await,
        Command::Check(args) => check::run(&context, args).await,
        Command::Status(args) => status::run(&context, args).await,
        Command::Copy(args) => copy::run(&context, args).await,
        Command::Forget(args) => forget::run(&context, args).await,
        Command::Restore(args) => Box::pin(restore::run(&context, *args)).await,
        Command::Drill(args) => Box::pin(drill::run(&context, args)).await,
        Command::Compromise(args) => Box::pin(compromise::run(&context, *args)).await,
        Command::BreakGlass(args) => break_glass::run(&context, args).await,
        Command::Runbook(args) => runbook::run(&context, args).await,
        Command::Alarms(args) => alarms::run(&context, args).await,
        Command::Audit(args) => audit::run(&context, args).await,
        Command::Consumers(args) => Box::pin(consumers::run(&context, args)).await,
        Command::Access(args) => Box::pin(access::run(&context, args)).await,
        Command::Words(args) => words::run(&context, args).await,
        Command::Custody(args) => custody::run(&context, args).await,
        Command::Host(args) => Box::pin(host::run(&context, *args)).await,
        Command::Doctor(args) => Box::pin(doctor::run(&context, args)).await,
        Command::Completions(args) => Ok(generate::completions(&context, &args)),
        Command::Man(args) => generate::man(&context, &args),
    }
}

/// Shows where, never what: a panic's message could hold anything. On the thread that reads pictures it means a
/// damaged picture, which is told apart there.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    if std::thread::current().name() == Some(scan::THREAD) {
        return;
    }
    let place =
        info.location().map_or_else(String::new, |location| format!(" at {}:{}", location.file(), location.line()));
    Output { json: false }.warn(&format!("lifeboat found a bug in itself{place}; please report it"));
}

#[expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]
/// Shows lifeboat's own events, at the level of `RUST_LOG`; never a library's, whatever is asked for.
fn log_to_stderr(verbose: u8) {
    use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let level = asked.rsplit(['=', ',']).next().and_then(|word| word.parse().ok());
    let asked_by_flag = match verbose {
        0 => None,
        1 => Some(tracing::Level::INFO),
        _ => Some(tracing::Level::DEBUG),
    };
    let Some(level) = asked_by_flag.or(level) else { return };
    let targets = Targets::new().with_target("lifeboat", tracing_subscriber::filter::LevelFilter::from_level(level));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // It would be told to a stderr that cannot be written.
    let layer = layer.log_internal_errors(false).with_filter(targets);
    tracing_subscriber::registry().with(layer).init();
}
