//! `lifeboat compromise`

mod mark;

use super::{Context, Exit, Failure};

/// Answer a compromise: mark leaked versions, plan, rotate, prove
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Mark(mark::Args),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Mark(args) => Box::pin(mark::run(context, args)).await,
    }
}

/// Names that a scope means: `*` and `?`; a trailing `/` means everything below.
fn patterns(scope: &[String]) -> Vec<String> {
    scope.iter().map(|one| if one.ends_with('/') { format!("{one}*") } else { one.clone() }).collect()
}
