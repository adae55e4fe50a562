//! `lifeboat sandbox`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Context, Exit, Failure, asked_to_stop, envelope, streams};
use crate::{
    clock::SystemClock,
    emulator::{FaceOptions, Sandbox, SandboxOptions, StageError, face},
};

/// Run the embedded Secrets Manager endpoint: several accounts and regions, on loopback, in memory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat sandbox
  lifeboat sandbox --listen 127.0.0.1:0 --quotas
  lifeboat sandbox --seed --vault            with the demo's secrets, and a Vault beside it
  lifeboat sandbox --seed --gcp              the same with Google's Secret Manager

In another terminal, after the two lines that it prints:
  export AWS_ACCESS_KEY_ID=111111111111 AWS_SECRET_ACCESS_KEY=x
  aws secretsmanager create-secret --region eu-central-1 --name app/one --secret-string value
  curl -H \"x-lifeboat-sandbox: $LIFEBOAT_SANDBOX_TOKEN\" $AWS_ENDPOINT_URL/_sandbox/calls

A 12-digit access key id is the account. Signatures are not checked. Nothing is kept after it
stops.

With --gcp it prints the variables of gcloud that lead to it, and the --source of its project. That
side answers as Google Cloud Secret Manager does; Google's own clients can use it.

With --azure it prints what a client of Azure Key Vault needs: where to sign in and as whom, and the
file of the certificate to trust. Each name below vault.localhost is a vault.

With --vault it prints VAULT_ADDR, VAULT_TOKEN and the --source of its engine `secret`, too. That
side answers as OpenBao does; vault and bao can use it.

Web pages get no answer: a request with an Origin, or for another Host than the address, is 403.
The switches under /_sandbox/ need the printed token, in the header x-lifeboat-sandbox.")]
pub struct Args {
    /// The loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4599")]
    listen: SocketAddr,
    /// Run a Vault as well, at this loopback address; without one at 127.0.0.1:4598
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:4598")]
    vault: Option<SocketAddr>,
    /// Run Google's Secret Manager as well, at this loopback address; without one at 127.0.0.1:4597
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:4597")]
    gcp: Option<SocketAddr>,
    /// Run key vaults of Azure as well, at this loopback address; without one at 127.0.0.1:4596
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:4596")]
    azure: Option<SocketAddr>,
    /// Fill it with the secrets of the demo: account 111111111111 in eu-central-1, the Vault's engine, Google's project, a key vault
    #[arg(long)]
    seed: bool,
    /// Enforce the request quotas of AWS, and of Google
    #[arg(long)]
    quotas: bool,
    /// Answer after this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let latency = Duration::from_millis(args.latency);
    let options = SandboxOptions { bind: args.listen, clock: Arc::new(SystemClock), quotas: args.quotas, latency };
    let sandbox = Sandbox::start(options).await.map_err(|error| unusable(args.listen, &error))?;
    let (endpoint, token) = (sandbox.endpoint(), sandbox.token());
    // One line for each flag.
    let asked = [("vault", args.vault), ("gcp", args.gcp), ("azure", args.azure)];
    let mut faces = Vec::new();
    for (name, bind) in asked.into_iter().filter_map(|(name, bind)| Some((name, bind?))) {
        let options = FaceOptions { bind, latency, quotas: args.quotas, switches: token.to_owned(), seed: args.seed };
        let started = face(name, options).await.map_err(|error| match error {
            StageError::Io(error) => unusable(bind, &error),
            other => other.into(),
        })?;
        faces.extend(started.map(|face| (name, face)));
    }
    if args.seed {
        sandbox.seed().await?;
    }
    let mut told = serde_json::json!({ "endpoint": endpoint, "token": token });
    let mut lines = format!("export AWS_ENDPOINT_URL={endpoint}\nexport LIFEBOAT_SANDBOX_TOKEN={token}");
    for (name, face) in &faces {
        told[*name] = face.json();
        lines = format!("{lines}\n{}", face.lines());
    }
    context.output.result(&told, || lines);
    if context.output.json {
        envelope::send();
    }
    // Without its address and its token nobody could use it.
    if !streams::is_lost() {
        context.output.note("The sandbox runs until ^C.");
        asked_to_stop().await;
    }
    for (_, face) in faces {
        face.stop().await;
    }
    sandbox.shutdown().await;
    Ok(Exit::Complete)
}

fn unusable(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
}
