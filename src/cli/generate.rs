//! `lifeboat completions` and `lifeboat man`.

use std::path::{Path, PathBuf};

use super::{Context, Exit, Failure};
use crate::fsutil::{self, Access, Existing};

/// Print shell completions
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat completions bash > /etc/bash_completion.d/lifeboat")]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Write man pages
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat man --out /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The folder to write to (default: print the main page)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn completions(context: &Context, args: &CompletionsArgs) -> Exit {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "lifeboat", &mut bytes);
    context.output.artefact(&String::from_utf8_lossy(&bytes));
    Exit::Complete
}

pub(super) fn man(context: &Context, args: &ManArgs) -> Result<Exit, Failure> {
    let command = super::command();
    let Some(out) = &args.out else {
        context.output.artefact(&String::from_utf8_lossy(&page(command)?));
        return Ok(Exit::Complete);
    };
    fsutil::create_folder(out, Access::Public)?;
    // Built, so that every page has the global flags too.
    let mut command = command;
    command.build();
    let mut written = Vec::new();
    write_pages(&command, "lifeboat", out, &mut written)?;
    context.output.result(&serde_json::json!({ "files": written }), || written.join("\n"));
    Ok(Exit::Complete)
}

/// `lifeboat.1`, `lifeboat-drill.1`, `lifeboat-drill-run.1` …
fn write_pages(command: &clap::Command, name: &str, out: &Path, written: &mut Vec<String>) -> Result<(), Failure> {
    let file = format!("{name}.1");
    let bytes = page(command.clone().name(name.to_owned()).display_name(name))?;
    fsutil::write(&out.join(&file), &bytes, Access::Public, Existing::Replace)?;
    written.push(file);
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write_pages(sub, &format!("{name}-{}", sub.get_name()), out, written)?;
    }
    Ok(())
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command).render(&mut bytes)?;
    Ok(bytes)
}
