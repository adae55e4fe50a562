//! Where the demo's secrets are: an account with two regions, or Vaults.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ACCOUNT, REGION_A, REGION_B, SANDBOX_ACCOUNT,
    estate::{DATABASE, Estate},
};
use crate::{
    cli::{Exit, Failure},
    emulator::{Sandbox, SandboxOptions},
    provider::{Connected, Source},
};

/// A place whose secrets are lost, one into which they are restored, and one for drills.
#[async_trait]
pub(super) trait Side: Send + Sync {
    /// What is there at first.
    fn live(&self) -> String;
    /// What is lost.
    fn lost(&self) -> String;
    /// Where drills are held.
    fn drill_place(&self) -> String;
    /// The drill of the demo.
    fn drill_file(&self) -> String;
    /// The address of the source, and its account where it has a number.
    fn address(&self) -> (String, Option<&'static str>);
    /// The first day: secrets with a history.
    async fn seed(&self) -> Result<(), Failure>;
    /// The second day: a rotation and a deletion.
    async fn second_day(&self) -> Result<(), Failure>;
    /// Connects to what is lost later.
    async fn source(&self) -> Result<Arc<dyn Source>, Failure>;
    /// Connects to what is restored into.
    async fn target(&self) -> Result<Connected, Failure>;
    /// Connects to the place for drills.
    async fn drill_target(&self) -> Result<Connected, Failure>;
    /// Takes the source away.
    fn lose(&self);
    /// Plants one wrong byte in a restored value; answers its version.
    fn corrupt(&self) -> Result<String, Failure>;
}

/// AWS: two regions of one account, and a second account.
pub(super) struct Regions {
    sandbox: Sandbox,
    estate: Estate,
}

impl Regions {
    pub(super) async fn start() -> Result<Self, Failure> {
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        let estate = Estate::new(&sandbox.endpoint(), ACCOUNT, REGION_A);
        Ok(Self { sandbox, estate })
    }
}

#[async_trait]
impl Side for Regions {
    fn live(&self) -> String {
        format!("a live account: {ACCOUNT} in {REGION_A}")
    }

    fn lost(&self) -> String {
        REGION_A.into()
    }

    fn drill_place(&self) -> String {
        format!("account {SANDBOX_ACCOUNT}")
    }

    fn drill_file(&self) -> String {
        let target = format!("account = \"{SANDBOX_ACCOUNT}\"\nregion = \"{REGION_B}\"");
        format!("scenario = \"the region is gone\"\n[target]\n{target}\n")
    }

    fn address(&self) -> (String, Option<&'static str>) {
        (format!("aws:{REGION_A}"), Some(ACCOUNT))
    }

    async fn seed(&self) -> Result<(), Failure> {
        self.estate.seed().await
    }

    async fn second_day(&self) -> Result<(), Failure> {
        self.estate.second_day().await
    }

    async fn source(&self) -> Result<Arc<dyn Source>, Failure> {
        Ok(self.sandbox.connect(ACCOUNT, REGION_A, None).await?.readback)
    }

    async fn target(&self) -> Result<Connected, Failure> {
        Ok(self.sandbox.connect(ACCOUNT, REGION_B, None).await?)
    }

    async fn drill_target(&self) -> Result<Connected, Failure> {
        Ok(self.sandbox.connect(SANDBOX_ACCOUNT, REGION_B, None).await?)
    }

    fn lose(&self) {
        self.sandbox.control().set_region_down(REGION_A, true);
    }

    fn corrupt(&self) -> Result<String, Failure> {
        let corrupted = self.sandbox.control().corrupt_value(ACCOUNT, REGION_B, DATABASE, None);
        corrupted.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }
}
