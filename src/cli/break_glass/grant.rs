//! `lifeboat break-glass grant`

use std::path::PathBuf;

use jiff::SignedDuration;

use super::{parse_duration, socket};
use crate::{
    cli::{Context, Exit, Failure},
    fsutil::{self, Access, Existing},
    serve::{self, GrantRequest, Language},
};

/// Let an application read some secrets of the running server, for some hours
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat break-glass grant web --secrets 'app/*' --for 4h
  lifeboat break-glass grant billing --secrets billing/db --secrets 'shared/*' --for 12h --json

The token is in a file that only this user can read. Whoever has the token or the keys reads these
secrets until the grant ends, or the server stops.")]
pub(super) struct Args {
    /// The name of the application, for the audit log
    #[arg(value_name = "CONSUMER")]
    consumer: String,
    /// Names of secrets that it may read; `*` and `?` stand for other characters (repeat)
    #[arg(long, value_name = "PATTERN", required = true)]
    secrets: Vec<String>,
    /// How long, at most 12h
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: SignedDuration,
    /// The socket of the server (default: $XDG_RUNTIME_DIR/lifeboat/break-glass.sock)
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// Where the token is written (default: CONSUMER.token beside the socket)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let socket = socket(args.socket)?;
    let seconds = u32::try_from(args.time.as_secs()).unwrap_or(u32::MAX);
    let request = GrantRequest { consumer: args.consumer, secrets: args.secrets, seconds };
    let credentials = serve::ask(&socket, &request).await?;
    let file = args.token_file.unwrap_or_else(|| socket.with_file_name(format!("{}.token", request.consumer)));
    fsutil::write(&file, credentials.container_token.as_bytes(), Access::Private, Existing::Replace)?;
    let path = std::path::absolute(&file).unwrap_or(file);
    let shown = serde_json::json!({
        "consumer": request.consumer,
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
        "session_token": credentials.session_token,
        "expiration": credentials.expiration,
        "container_token_file": path,
        "endpoint": credentials.endpoint,
    });
    context.output.result(&shown, || serve::recipe(Language::Cli, &credentials.endpoint, &path.to_string_lossy()));
    context.output.note(&format!(
        "{} may read {} until {}",
        request.consumer,
        request.secrets.join(", "),
        credentials.expiration
    ));
    Ok(Exit::Complete)
}
