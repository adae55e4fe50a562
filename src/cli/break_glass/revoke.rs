//! `lifeboat break-glass revoke`

use std::path::PathBuf;

use super::socket;
use crate::{
    cli::{Context, Exit, Failure, output::plural},
    serve,
};

/// Take back every grant of an application at once: its keys and its token are worth nothing any more
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat break-glass revoke web

What it has read, it has: `lifeboat break-glass report` names what must be rotated.")]
pub(super) struct Args {
    /// The name that was given to `break-glass grant`
    #[arg(value_name = "CONSUMER")]
    consumer: String,
    /// The socket of the server (default: $XDG_RUNTIME_DIR/lifeboat/break-glass.sock)
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let count = serve::revoke(&socket(args.socket)?, &args.consumer).await?;
    let shown = serde_json::json!({ "consumer": args.consumer, "revoked": count });
    context.output.result(&shown, || format!("{} of {} taken back", plural(count, "grant"), args.consumer));
    Ok(Exit::Complete)
}
