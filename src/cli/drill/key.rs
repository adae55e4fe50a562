//! `lifeboat drill key`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::{Context, Exit, Failure};
use crate::{
    crypto::DrillKey,
    fsutil::{self, Access, Existing},
};

/// Make a drill key: keep the file where drills run, and add its recipient to the configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill key --out keys/drill.age

Anyone with the file can read the canaries and the sample that [drill] canaries names. With
[drill] full = true, they can read every secret.")]
pub(super) struct Args {
    /// The file to write; an existing file is not replaced
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
            "{} is written. Add this to the configuration:\n\n[drill]\nrecipient = {recipient:?}\nkey = {:?}\ncanaries = [\"canary/*\"]",
            args.out.display(),
            args.out.display().to_string(),
        )
    });
    Ok(Exit::Complete)
}
