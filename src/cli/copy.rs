//! `lifeboat copy`

use serde_json::json;

use super::{
    Context, Exit, Failure,
    copying::{self, Copied, copy_to},
    history::{AcceptArgs, Reach},
    output::table,
    trail,
};
use crate::config::CopySection;

/// Bring the copies up to date; every written file is read back and compared
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat copy
  lifeboat copy --to /mnt/west/lifeboat
  lifeboat copy --to 's3://backups-west/prod?region=eu-west-1&profile=backup'

A copy in the region or account of the source is refused. To allow it, set it in [[copy]], or
use --allow-same-region or --allow-same-account. Exit codes: 3 a copy is not up to date, 4 a
copy was refused.")]
pub struct Args {
    /// One storage to copy to, instead of the configured copies
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Accept a copy in the region of the source
    #[arg(long)]
    allow_same_region: bool,
    /// Accept a copy in the account of the source
    #[arg(long)]
    allow_same_account: bool,
    /// Make a new copy where an earlier copy is gone
    #[arg(long)]
    remake: bool,
    #[command(flatten)]
    accept: AcceptArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let _lock = host.lock(repository.id())?;
    trail::begin(context, &repository, &trust);
    let mut sections = match &args.to {
        Some(url) => vec![configured(&host.config.copies, url.clone())],
        None => host.config.copies.clone(),
    };
    if sections.is_empty() {
        return Err(
            Failure::usage("no copy is configured").hint("add a [[copy]] to the configuration, or use --to URL")
        );
    }
    for section in &mut sections {
        section.allow_same_region |= args.allow_same_region;
        section.allow_same_account |= args.allow_same_account;
    }
    let copied =
        copy_to(context, &host, &repository, &trust, &sections, &args.accept, (Reach::Whole, args.remake)).await?;
    copying::warn_beside(context, &copied);
    copying::warn(context, &copied);
    print(context, &copied);
    Ok(copying::exit(&copied))
}

fn configured(copies: &[CopySection], url: String) -> CopySection {
    copies.iter().find(|section| section.url == url).cloned().unwrap_or_else(|| CopySection::new(url))
}

fn print(context: &Context, copied: &[Copied]) {
    let complete = copied.iter().all(Copied::is_up_to_date);
    let value = json!({ "copies": copied.iter().map(Copied::json).collect::<Vec<_>>(), "complete": complete });
    context.output.result(&value, || {
        let row = |copied: &Copied| match &copied.outcome {
            Ok(report) => {
                let state = format!("up to date, was {} behind", report.behind);
                vec![copied.url.clone(), report.copied.to_string(), report.present.to_string(), state]
            }
            Err(failure) => vec![copied.url.clone(), String::new(), String::new(), failure.message.clone()],
        };
        table(&["copy", "written", "already there", "state"], copied.iter().map(row).collect())
    });
}
