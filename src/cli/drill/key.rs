//! `lifeboat drill key`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::{Context, Exit, Failure};
use crate::{
    crypto::DrillKey,
    fsutil::{self, Access, Existing},
};

/// Make a drill key: the file stays where drills run, its recipient goes into the configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill key --out keys/drill.age

Whoever has the file can read the canaries and the sample that [drill] canaries names, and with [drill] full = true every secret.")]
pub(super) struct Args {
    /// The file to write; one that exists is kept
    #[arg(long, value_name = "FILE", default_value = "keys/drill.age")]
    out: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let key = DrillKey::generate();
    match args.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fsutil::create_folder(folder, Access::Private)?,
        None => fsutil::check_folder(Path::new("."))?,
    }
    fsutil::write(&args.out, key.to_file().as_bytes(), Access::Private, Existing::Keep)?;
    let recipient = key.recipient().to_string();
    context.output.result(&json!({ "file": args.out, "recipient": recipient }), || {
        format!(
            "{} is written. Into the configuration goes:\n\n[drill]\nrecipient = {recipient:?}\nkey = {:?}\ncanaries = [\"canary/*\"]",
            args.out.display(),
            args.out.display().to_string(),
        )
    });
    Ok(Exit::Complete)
}
