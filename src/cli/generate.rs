//! `lifeboat completions` and `lifeboat man`.

use std::path::PathBuf;

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
    context.output.raw(&bytes);
    Exit::Complete
}

pub(super) fn man(context: &Context, args: &ManArgs) -> Result<Exit, Failure> {
    let command = super::command();
    let Some(out) = &args.out else {
        context.output.raw(&page(command)?);
        return Ok(Exit::Complete);
    };
    fsutil::create_folder(out, Access::Public)?;
    for sub in command.get_subcommands() {
        let name = format!("lifeboat-{}", sub.get_name());
        let bytes = page(sub.clone().name(name.clone()))?;
        fsutil::write(&out.join(format!("{name}.1")), &bytes, Access::Public, Existing::Replace)?;
    }
    let bytes = page(command)?;
    fsutil::write(&out.join("lifeboat.1"), &bytes, Access::Public, Existing::Replace)?;
    Ok(Exit::Complete)
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command).render(&mut bytes)?;
    Ok(bytes)
}
