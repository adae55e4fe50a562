//! `lifeboat break-glass env`

use super::runtime_folder;
use crate::{
    cli::{Context, Exit, Failure},
    serve::{self, Language},
};

/// Print how an application is pointed at the server: variables alone, nothing in its code
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat break-glass env --for js --consumer web
  lifeboat break-glass env --for eso --endpoint https://glass.internal:4590")]
pub(super) struct Args {
    /// The language or tool that reads secrets
    #[arg(long = "for", value_name = "CLIENT", value_parser = languages())]
    client: String,
    /// The address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4590")]
    endpoint: String,
    /// The name that was given to `break-glass grant`
    #[arg(long, value_name = "NAME", default_value = "CONSUMER")]
    consumer: String,
    /// The file that the grant wrote (default: CONSUMER.token beside the socket)
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
}

/// The words for `--for`.
fn languages() -> clap::builder::PossibleValuesParser {
    Language::ALL.map(Language::word).into()
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let token = match &args.token_file {
        Some(file) => file.clone(),
        None => runtime_folder()?.join(format!("{}.token", args.consumer)),
    };
    let language = Language::named(&args.client).ok_or_else(|| Failure::usage("--for names no known client"))?;
    let endpoint = args.endpoint.trim_end_matches('/');
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(Failure::usage("--endpoint is not an address of the form http://HOST:PORT or https://HOST:PORT"));
    }
    context.output.artefact(&serve::recipe(language, endpoint, &token.to_string_lossy()));
    Ok(Exit::Complete)
}
