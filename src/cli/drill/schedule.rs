//! `lifeboat drill schedule`

use std::path::PathBuf;

use serde_json::json;

use super::super::{Context, Exit, Failure};
use crate::{
    drill::schedule::{self, Job, Scheduler},
    fsutil::{self, Access, Existing},
};

/// Write the files that start a drill on a schedule
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("scheduler").required(true)),
    after_help = "\
Examples:
  lifeboat drill schedule monthly --systemd --out /etc/systemd/system
  lifeboat drill schedule monthly --github --out .github/workflows"
)]
pub(super) struct Args {
    /// The drill file, drills/NAME.toml beside the configuration
    name: String,
    /// A service and a timer with a random delay; a missed start runs when the machine is on again
    #[arg(long, group = "scheduler")]
    systemd: bool,
    /// A file for /etc/cron.d
    #[arg(long, group = "scheduler")]
    cron: bool,
    /// A workflow of GitHub Actions
    #[arg(long, group = "scheduler")]
    github: bool,
    /// A task definition of ECS and a schedule of EventBridge
    #[arg(long, group = "scheduler")]
    ecs: bool,
    /// The folder to write to; files there are replaced
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (file, _) = host.drill_file(&args.name)?;
    let scheduler = match (args.systemd, args.cron, args.github) {
        (true, _, _) => Scheduler::Systemd,
        (_, true, _) => Scheduler::Cron,
        (_, _, true) => Scheduler::Github,
        _ => Scheduler::Ecs,
    };
    let config = std::path::absolute(&context.global.config)?;
    let program = std::env::current_exe()?;
    let folder = config.parent().unwrap_or(&config).to_string_lossy().into_owned();
    let (program, config) = (program.to_string_lossy().into_owned(), config.to_string_lossy().into_owned());
    let job = Job { name: &args.name, file: &file, program: &program, config: &config, folder: &folder };
    let files = schedule::files(&job, scheduler).map_err(|error| Failure::usage(error.to_string()))?;
    fsutil::create_folder(&args.out, Access::Public)?;
    let mut written = Vec::new();
    for file in files {
        let path = args.out.join(&file.name);
        fsutil::write(&path, file.text.as_bytes(), Access::Public, Existing::Replace)?;
        written.push(path);
    }
    context.output.result(&json!({ "files": written }), || {
        written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n")
    });
    Ok(Exit::Complete)
}
