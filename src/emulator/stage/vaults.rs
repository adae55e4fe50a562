//! Three Vaults: one that is lost, one into which its secrets are restored, and one for drills.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::{
    super::{VaultControlError, VaultSandbox, VaultSandboxOptions},
    Stage, StageError,
    estate::DATABASE,
    vault_estate::{MOUNT, VaultEstate},
};
use crate::{
    fsutil::{self, Access, Existing},
    provider::{
        Connected, Source,
        vault::{Login, Vault, VaultAddress},
    },
};

/// The role by which the tool signs in.
const ROLE: &str = "lifeboat";
/// It may read the first, and write the others.
const READ: &str = "path \"secret/*\" { capabilities = [\"read\", \"list\"] }";
const WRITE: &str =
    "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \"list\"] }";

/// The servers, each with its address.
pub(super) struct Vaults {
    live: Server,
    spare: Server,
    drills: Server,
}

pub(super) struct Server {
    sandbox: VaultSandbox,
    address: VaultAddress,
}

impl Vaults {
    /// Starts them; the secret ids of the role go into `out`.
    pub(super) async fn start(out: &Path) -> Result<Self, StageError> {
        Ok(Self {
            live: Server::start(READ, &out.join("secret-id.live")).await?,
            spare: Server::start(WRITE, &out.join("secret-id.spare")).await?,
            drills: Server::start(WRITE, &out.join("secret-id.drills")).await?,
        })
    }
}

impl Server {
    /// Starts one that may be written to.
    pub(super) async fn writable(file: &Path) -> Result<Self, StageError> {
        Self::start(WRITE, file).await
    }

    /// Starts one, with a role that has this policy and whose secret id is in a file.
    async fn start(policy: &str, file: &Path) -> Result<Self, StageError> {
        let sandbox = VaultSandbox::start(VaultSandboxOptions::default()).await?;
        let control = sandbox.control();
        let send = |path: &str, body: Json| control.request("POST", path, &body).map_err(|error| failed(&error));
        send(&format!("sys/policies/acl/{ROLE}"), json!({ "policy": policy }))?;
        send("sys/auth/approle", json!({ "type": "approle" }))?;
        let role = format!("auth/approle/role/{ROLE}");
        send(&role, json!({ "token_policies": [ROLE], "token_ttl": "1h" }))?;
        send(&format!("{role}/role-id"), json!({ "role_id": ROLE }))?;
        let made = send(&format!("{role}/secret-id"), json!({}))?;
        let secret = made["data"]["secret_id"].as_str().unwrap_or_default();
        fsutil::write(file, secret.as_bytes(), Access::Private, Existing::Keep)?;
        let mut address: VaultAddress = sandbox.source(MOUNT).parse().expect("the sandbox knows its address");
        address.login = Login::AppRole {
            mount: "approle".into(),
            role_id: ROLE.into(),
            is_wrapped: false,
            secret_id_file: std::path::absolute(file)?.to_string_lossy().into_owned(),
        };
        Ok(Self { sandbox, address })
    }

    pub(super) async fn connect(&self) -> Result<Vault, StageError> {
        Ok(Vault::connect(&self.address, None).await?)
    }
}

fn failed(error: &VaultControlError) -> StageError {
    StageError::Refused(error.to_string())
}

#[async_trait]
impl Stage for Vaults {
    fn live(&self) -> String {
        format!("a live Vault: its engine {MOUNT}")
    }

    fn lost(&self) -> String {
        "the Vault".into()
    }

    fn drill_place(&self) -> String {
        "a third Vault".into()
    }

    fn drill_file(&self) -> String {
        format!("scenario = \"the Vault is gone\"\n[target]\nurl = \"{}\"\n", self.drills.address)
    }

    fn address(&self) -> (String, Option<&'static str>) {
        (self.live.address.to_string(), None)
    }

    async fn seed(&self) -> Result<(), StageError> {
        VaultEstate::new(self.live.sandbox.control()).seed()
    }

    async fn second_day(&self) -> Result<(), StageError> {
        VaultEstate::new(self.live.sandbox.control()).second_day()
    }

    async fn source(&self) -> Result<Arc<dyn Source>, StageError> {
        Ok(Arc::new(self.live.connect().await?))
    }

    async fn target(&self) -> Result<Connected, StageError> {
        Ok(Connected::new(self.spare.connect().await?))
    }

    async fn drill_target(&self) -> Result<Connected, StageError> {
        Ok(Connected::new(self.drills.connect().await?))
    }

    fn lose(&self) {
        self.live.sandbox.control().set_down(true);
    }

    fn corrupt(&self) -> Result<String, StageError> {
        let corrupted = self.spare.sandbox.control().corrupt_value(MOUNT, DATABASE, 0);
        corrupted.map(|version| version.to_string()).map_err(|error| failed(&error))
    }
}
