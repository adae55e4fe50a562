//! `lifeboat drill`

mod clean;
mod evidence;
mod hooks;
mod key;
mod place;
mod records;
mod run;
mod schedule;

pub(super) use records::judged_of;
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
    Clean(Box<clean::Args>),
    List(records::ListArgs),
    Show(records::ShowArgs),
    Verify(records::VerifyArgs),
    Schedule(schedule::Args),
    Evidence(evidence::Args),
    Key(key::Args),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Run(args) => Box::pin(run::run(context, *args)).await,
        Action::Clean(args) => Box::pin(clean::run(context, *args)).await,
        Action::List(_) => records::list(context).await,
        Action::Verify(_) => records::verify(context).await,
        Action::Schedule(args) => schedule::run(context, &args),
        Action::Evidence(args) => evidence::run(context, args).await,
        Action::Key(args) => key::run(context, &args),
        Action::Show(args) => records::show(context, &args).await,
    }
}
