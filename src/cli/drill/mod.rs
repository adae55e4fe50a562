//! `lifeboat drill`

mod place;
mod records;
mod run;

pub(super) use records::judged_in;
pub(super) use run::summary;

use super::{Context, Exit, Failure};

/// Restore drills: into a sandbox, compared, tried, cleaned up, measured, signed
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Run(Box<run::Args>),
    List(records::ListArgs),
    Show(records::ShowArgs),
    Verify(records::VerifyArgs),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Run(args) => run::run(context, *args).await,
        Action::List(_) => records::list(context).await,
        Action::Verify(_) => records::verify(context).await,
        Action::Show(args) => records::show(context, &args).await,
    }
}
