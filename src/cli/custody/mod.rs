//! `lifeboat custody`: the life of the sheets after the ceremony.

mod finish;
mod reading;
mod register;
mod rehearse;
mod renew;
mod reseal;
pub(super) mod signer;
mod verify;

use super::{Context, Exit, Failure};

/// Manage the sheets after the ceremony: prove one, show all, replace them
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Verify(verify::Args),
    Register(register::RegisterArgs),
    Policy(register::PolicyArgs),
    Reshare(renew::ReshareArgs),
    Rotate(renew::RotateArgs),
    Rehearse(rehearse::Args),
    Signer(signer::Args),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Verify(args) => verify::run(context, args).await,
        Action::Register(_) => register::register(context).await,
        Action::Policy(_) => register::policy(context).await,
        Action::Reshare(args) => renew::reshare(context, args).await,
        Action::Rotate(args) => renew::rotate(context, args).await,
        Action::Rehearse(args) => rehearse::run(context, args).await,
        Action::Signer(args) => signer::run(context, args).await,
    }
}
