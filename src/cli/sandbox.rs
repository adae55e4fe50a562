//! `lifeboat sandbox`

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Context, Exit, Failure, asked_to_stop, demo, envelope, streams};
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
    /// Fill it with the secrets of the demo: account 111111111111 in eu-central-1, the Vault's engine, Google's project
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
    let vault = match args.vault {
        Some(bind) => Some(Vault::start(bind, latency, token, args.seed).await?),
        None => None,
    };
    let gcp = match args.gcp {
        Some(bind) => Some(Gcp::start(bind, &args, token).await?),
        None => None,
    };
    if args.seed {
        demo::estate::Estate::new(&endpoint, demo::ACCOUNT, demo::REGION_A).seed().await?;
    }
    let mut told = serde_json::json!({ "endpoint": endpoint, "token": token });
    let mut lines = format!("export AWS_ENDPOINT_URL={endpoint}\nexport LIFEBOAT_SANDBOX_TOKEN={token}");
    if let Some(vault) = &vault {
        told["vault"] = vault.json();
        lines = format!("{lines}\n{}", vault.lines());
    }
    if let Some(gcp) = &gcp {
        told["gcp"] = gcp.json();
        lines = format!("{lines}\n{}", gcp.lines());
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
    if let Some(vault) = vault {
        vault.stop().await;
    }
    if let Some(gcp) = gcp {
        gcp.stop().await;
    }
    sandbox.shutdown().await;
    Ok(Exit::Complete)
}

fn unusable(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
}

/// The side that answers as a Vault does.
#[cfg(feature = "vault")]
struct Vault(crate::emulator::VaultSandbox);

#[cfg(feature = "vault")]
impl Vault {
    async fn start(bind: SocketAddr, latency: Duration, switches: &str, seed: bool) -> Result<Self, Failure> {
        use crate::emulator::{VaultSandbox, VaultSandboxOptions};
        let switches = Some(switches.to_owned());
        let options = VaultSandboxOptions { bind, clock: Arc::new(SystemClock), latency, switches };
        let vault = VaultSandbox::start(options).await.map_err(|error| unusable(bind, &error))?;
        if seed {
            demo::vault_estate::VaultEstate::new(vault.control()).seed()?;
        }
        Ok(Self(vault))
    }

    fn json(&self) -> serde_json::Value {
        let source = self.0.source(demo::vault_estate::MOUNT);
        serde_json::json!({ "address": self.0.endpoint(), "token": self.0.root_token(), "source": source })
    }

    fn lines(&self) -> String {
        let source = self.0.source(demo::vault_estate::MOUNT);
        let (address, token) = (self.0.endpoint(), self.0.root_token());
        format!("export VAULT_ADDR={address}\nexport VAULT_TOKEN={token}\n# lifeboat init --source {source}")
    }

    async fn stop(self) {
        self.0.shutdown().await;
    }
}

/// What a build without Vault has for it.
#[cfg(not(feature = "vault"))]
struct Vault;

#[cfg(not(feature = "vault"))]
impl Vault {
    async fn start(_: SocketAddr, _: Duration, _: &str, _: bool) -> Result<Self, Failure> {
        std::future::ready(Err(Failure::usage("this build has no Vault: it lacks the feature vault"))).await
    }

    fn json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn lines(&self) -> String {
        String::new()
    }

    async fn stop(self) {
        std::future::ready(()).await;
    }
}

/// The side that answers as Google's Secret Manager does.
#[cfg(feature = "gcp")]
struct Gcp(crate::emulator::GcpSandbox);

#[cfg(feature = "gcp")]
impl Gcp {
    async fn start(bind: SocketAddr, args: &Args, switches: &str) -> Result<Self, Failure> {
        use crate::emulator::{GcpSandbox, GcpSandboxOptions};
        let (switches, latency) = (Some(switches.to_owned()), Duration::from_millis(args.latency));
        let options = GcpSandboxOptions { bind, clock: Arc::new(SystemClock), quotas: args.quotas, latency, switches };
        let gcp = GcpSandbox::start(options).await.map_err(|error| unusable(bind, &error))?;
        if args.seed {
            demo::gcp_estate::GcpEstate::new(gcp.control()).seed()?;
        }
        Ok(Self(gcp))
    }

    fn source() -> String {
        format!("gcp:{}", demo::gcp_estate::PROJECT)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "endpoint": self.0.endpoint(), "source": Self::source() })
    }

    fn lines(&self) -> String {
        let (endpoint, source) = (self.0.endpoint(), Self::source());
        format!(
            "export CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER={endpoint}/\n\
             export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER={endpoint}/\n\
             export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true\n# lifeboat init --source {source}"
        )
    }

    async fn stop(self) {
        self.0.shutdown().await;
    }
}

/// What a build without Google has for it.
#[cfg(not(feature = "gcp"))]
struct Gcp;

#[cfg(not(feature = "gcp"))]
impl Gcp {
    async fn start(_: SocketAddr, _: &Args, _: &str) -> Result<Self, Failure> {
        std::future::ready(Err(Failure::usage("this build has no Google: it lacks the feature gcp"))).await
    }

    fn json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn lines(&self) -> String {
        String::new()
    }

    async fn stop(self) {
        std::future::ready(()).await;
    }
}
