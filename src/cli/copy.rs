//! `lifeboat copy`

use serde_json::json;

use super::{
    Context, Exit, Failure,
    output::table,
    snapshot::{copy_all, copy_json, copy_to},
};
use crate::repo;

/// Bring the copies up to date, every file read back and compared
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat copy\n  lifeboat copy --to /mnt/west/lifeboat")]
pub struct Args {
    /// One storage to copy to, instead of the configured copies
    #[arg(long, value_name = "URL")]
    to: Option<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let _lock = host.lock(repository.id())?;
    if let Some(url) = args.to {
        let report = copy_to(&host, &repository, &trust, &[url]).await?;
        return Ok(print(context, &report));
    }
    if host.config.copies.is_empty() {
        return Err(
            Failure::usage("no copy is configured").hint("add a [[copy]] to the configuration, or say --to URL")
        );
    }
    Ok(print(context, &copy_all(&host, &repository, &trust).await?))
}

fn print(context: &Context, copies: &[(String, Result<repo::CopyReport, String>)]) -> Exit {
    let complete = copies.iter().all(|(_, outcome)| outcome.is_ok());
    let value = json!({ "copies": copies.iter().map(copy_json).collect::<Vec<_>>(), "complete": complete });
    context.output.result(&value, || {
        let row = |(url, outcome): &(String, Result<repo::CopyReport, String>)| match outcome {
            Ok(report) => vec![url.clone(), report.copied.to_string(), report.present.to_string(), "up to date".into()],
            Err(error) => vec![url.clone(), String::new(), String::new(), error.clone()],
        };
        table(&["copy", "written", "already there", "state"], copies.iter().map(row).collect())
    });
    if complete { Exit::Complete } else { Exit::Incomplete }
}
