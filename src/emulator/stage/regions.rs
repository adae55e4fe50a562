//! Two regions of one account of AWS, and a second account.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    super::{Sandbox, SandboxOptions},
    Stage, StageError,
    estate::{DATABASE, Estate},
};
#[cfg(feature = "vault")]
use super::{Across, vaults::Server};
use crate::provider::{Connected, Source};

/// The account whose secrets are lost.
pub const ACCOUNT: &str = "111111111111";
const SANDBOX_ACCOUNT: &str = "999999999999";
/// The region that is lost.
pub const REGION_A: &str = "eu-central-1";
const REGION_B: &str = "eu-west-1";

/// AWS: two regions of one account, and a second account.
pub(super) struct Regions {
    sandbox: Sandbox,
    estate: Estate,
}

impl Regions {
    pub(super) async fn start() -> Result<Self, StageError> {
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        let estate = Estate::new(&sandbox.endpoint(), ACCOUNT, REGION_A);
        Ok(Self { sandbox, estate })
    }
}

#[async_trait]
impl Stage for Regions {
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

    async fn seed(&self) -> Result<(), StageError> {
        self.estate.seed().await
    }

    async fn second_day(&self) -> Result<(), StageError> {
        self.estate.second_day().await
    }

    async fn source(&self) -> Result<Arc<dyn Source>, StageError> {
        Ok(self.sandbox.connect(ACCOUNT, REGION_A, None).await?.readback)
    }

    async fn target(&self) -> Result<Connected, StageError> {
        Ok(self.sandbox.connect(ACCOUNT, REGION_B, None).await?)
    }

    async fn drill_target(&self) -> Result<Connected, StageError> {
        Ok(self.sandbox.connect(SANDBOX_ACCOUNT, REGION_B, None).await?)
    }

    fn lose(&self) {
        self.sandbox.control().set_region_down(REGION_A, true);
    }

    fn corrupt(&self) -> Result<String, StageError> {
        let corrupted = self.sandbox.control().corrupt_value(ACCOUNT, REGION_B, DATABASE, None);
        corrupted.map_err(|error| StageError::Refused(error.to_string()))
    }

    #[cfg(feature = "vault")]
    async fn across(&self, out: &std::path::Path) -> Result<Option<Across>, StageError> {
        let server = Server::writable(&out.join("secret-id.across")).await?;
        let connected = Connected::new(server.connect().await?);
        Ok(Some(Across { name: "a Vault", connected, held: Box::new(server) }))
    }
}
