//! `lifeboat sandbox`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Context, Exit, Failure, asked_to_stop, envelope, streams};
use crate::{
    clock::SystemClock,
    emulator::{Sandbox, SandboxOptions},
};

/// Run the embedded Secrets Manager endpoint: several accounts and regions, on loopback, in memory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat sandbox
  lifeboat sandbox --listen 127.0.0.1:0 --quotas

In another terminal, after the two lines that it prints:
  export AWS_ACCESS_KEY_ID=111111111111 AWS_SECRET_ACCESS_KEY=x
  aws secretsmanager create-secret --region eu-central-1 --name app/one --secret-string value
  curl -H \"x-lifeboat-sandbox: $LIFEBOAT_SANDBOX_TOKEN\" $AWS_ENDPOINT_URL/_sandbox/calls

A 12-digit access key id is the account. Signatures are not checked. Nothing is kept after it
stops.

Web pages get no answer: a request with an Origin, or for another Host than the address, is 403.
The switches under /_sandbox/ need the printed token, in the header x-lifeboat-sandbox.")]
pub struct Args {
    /// The loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4599")]
    listen: SocketAddr,
    /// Enforce the request quotas of AWS
    #[arg(long)]
    quotas: bool,
    /// Answer after this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let options = SandboxOptions {
        bind: args.listen,
        clock: Arc::new(SystemClock),
        quotas: args.quotas,
        latency: Duration::from_millis(args.latency),
    };
    let sandbox = Sandbox::start(options)
        .await
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot listen on {}: {error}", args.listen)))?;
    let (endpoint, token) = (sandbox.endpoint(), sandbox.token());
    context.output.result(&serde_json::json!({ "endpoint": endpoint, "token": token }), || {
        format!("export AWS_ENDPOINT_URL={endpoint}\nexport LIFEBOAT_SANDBOX_TOKEN={token}")
    });
    if context.output.json {
        envelope::send();
    }
    // Without its address and its token nobody could use it.
    if !streams::is_lost() {
        context.output.note("The sandbox runs until ^C.");
        asked_to_stop().await;
    }
    sandbox.shutdown().await;
    Ok(Exit::Complete)
}
