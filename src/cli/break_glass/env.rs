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
    #[arg(long = "for", value_name = "CLIENT")]
    client: Client,
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

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Client {
    Js,
    Python,
    Java,
    Go,
    Cli,
    Eso,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let token = match &args.token_file {
        Some(file) => file.clone(),
        None => runtime_folder()?.join(format!("{}.token", args.consumer)),
    };
    let language = match args.client {
        Client::Js => Language::Js,
        Client::Python => Language::Python,
        Client::Java => Language::Java,
        Client::Go => Language::Go,
        Client::Cli => Language::Cli,
        Client::Eso => Language::Eso,
    };
    let endpoint = args.endpoint.trim_end_matches('/');
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(Failure::usage("--endpoint is not an address of the form http://HOST:PORT or https://HOST:PORT"));
    }
    context.output.artefact(&serve::recipe(language, endpoint, &token.to_string_lossy()));
    Ok(Exit::Complete)
}
