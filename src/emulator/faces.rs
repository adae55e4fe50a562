//! What the sandbox can answer as, beside AWS: one entry for each kind.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;

use super::{Sandbox, StageError, stage};

/// How a face starts.
pub struct FaceOptions {
    /// Where to listen; loopback only.
    pub bind: SocketAddr,
    /// Added to every answer.
    pub latency: Duration,
    /// Whether the request quotas are enforced, where the kind has any.
    pub quotas: bool,
    /// The token of the switches under `/_sandbox/`.
    pub switches: String,
    /// Whether the secrets of the demo are in it.
    pub seed: bool,
}

/// A side of the sandbox that answers as a kind does.
#[async_trait]
pub trait Face: Send + Sync {
    /// Where it is and how one signs in, for programs.
    fn json(&self) -> serde_json::Value;
    /// The same for a shell.
    fn lines(&self) -> String;
    /// Stops listening.
    async fn stop(self: Box<Self>);
}

/// Starts the face of a name; `None` where there is none of the name.
///
/// # Errors
/// [`StageError::NotInThisBuild`], and what binding says.
pub async fn face(name: &str, options: FaceOptions) -> Result<Option<Box<dyn Face>>, StageError> {
    match name {
        "vault" => vault(options).await.map(Some),
        "gcp" => gcp(options).await.map(Some),
        "azure" => azure(options).await.map(Some),
        _ => Ok(None),
    }
}

impl Sandbox {
    /// Puts the secrets of the demo into it.
    ///
    /// # Errors
    /// [`StageError::Refused`].
    pub async fn seed(&self) -> Result<(), StageError> {
        stage::Estate::new(&self.endpoint(), stage::ACCOUNT, stage::REGION_A).seed().await
    }
}

#[cfg(feature = "vault")]
async fn vault(options: FaceOptions) -> Result<Box<dyn Face>, StageError> {
    use std::sync::Arc;

    use super::{VaultSandbox, VaultSandboxOptions};
    use crate::clock::SystemClock;

    let FaceOptions { bind, latency, switches, seed, .. } = options;
    let options = VaultSandboxOptions { bind, clock: Arc::new(SystemClock), latency, switches: Some(switches) };
    let vault = VaultSandbox::start(options).await?;
    if seed {
        stage::VaultEstate::new(vault.control()).seed()?;
    }
    Ok(Box::new(vault))
}

#[cfg(not(feature = "vault"))]
async fn vault(_: FaceOptions) -> Result<Box<dyn Face>, StageError> {
    std::future::ready(Err(StageError::NotInThisBuild { name: "Vault", feature: "vault" })).await
}

#[cfg(feature = "vault")]
#[async_trait]
impl Face for super::VaultSandbox {
    fn json(&self) -> serde_json::Value {
        let source = self.source(stage::MOUNT);
        serde_json::json!({ "address": self.endpoint(), "token": self.root_token(), "source": source })
    }

    fn lines(&self) -> String {
        let source = self.source(stage::MOUNT);
        let (address, token) = (self.endpoint(), self.root_token());
        format!("export VAULT_ADDR={address}\nexport VAULT_TOKEN={token}\n# lifeboat init --source {source}")
    }

    async fn stop(self: Box<Self>) {
        self.shutdown().await;
    }
}

#[cfg(feature = "gcp")]
async fn gcp(options: FaceOptions) -> Result<Box<dyn Face>, StageError> {
    use std::sync::Arc;

    use super::{GcpSandbox, GcpSandboxOptions};
    use crate::clock::SystemClock;

    let FaceOptions { bind, latency, quotas, switches, seed } = options;
    let (clock, switches) = (Arc::new(SystemClock), Some(switches));
    let gcp = GcpSandbox::start(GcpSandboxOptions { bind, clock, quotas, latency, switches }).await?;
    if seed {
        stage::GcpEstate::new(gcp.control()).seed()?;
    }
    Ok(Box::new(gcp))
}

#[cfg(not(feature = "gcp"))]
async fn gcp(_: FaceOptions) -> Result<Box<dyn Face>, StageError> {
    std::future::ready(Err(StageError::NotInThisBuild { name: "Google", feature: "gcp" })).await
}

#[cfg(feature = "gcp")]
#[async_trait]
impl Face for super::GcpSandbox {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "endpoint": self.endpoint(), "source": format!("gcp:{}", stage::PROJECT) })
    }

    fn lines(&self) -> String {
        let (endpoint, project) = (self.endpoint(), stage::PROJECT);
        format!(
            "export CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER={endpoint}/\n\
             export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER={endpoint}/\n\
             export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true\n# lifeboat init --source gcp:{project}"
        )
    }

    async fn stop(self: Box<Self>) {
        self.shutdown().await;
    }
}

/// The sandbox, and the file of its certificate, without which no client would trust it.
#[cfg(feature = "azure")]
struct KeyVaults {
    sandbox: super::AzureSandbox,
    folder: tempfile::TempDir,
}

#[cfg(feature = "azure")]
async fn azure(options: FaceOptions) -> Result<Box<dyn Face>, StageError> {
    use std::sync::Arc;

    use super::{AzureSandbox, AzureSandboxOptions};
    use crate::{
        clock::SystemClock,
        fsutil::{self, Access, Existing},
    };

    let FaceOptions { bind, latency, quotas, switches, seed } = options;
    let (clock, switches) = (Arc::new(SystemClock), Some(switches));
    let sandbox = AzureSandbox::start(AzureSandboxOptions { bind, clock, quotas, latency, switches }).await?;
    let face = KeyVaults { sandbox, folder: tempfile::tempdir()? };
    let file = face.folder.path().join(CERTIFICATE);
    fsutil::write(&file, face.sandbox.certificate().as_bytes(), Access::Private, Existing::Keep)?;
    if seed {
        stage::fill_key_vault(&face.sandbox.control())?;
    }
    Ok(Box::new(face))
}

#[cfg(not(feature = "azure"))]
async fn azure(_: FaceOptions) -> Result<Box<dyn Face>, StageError> {
    std::future::ready(Err(StageError::NotInThisBuild { name: "key vault", feature: "azure" })).await
}

#[cfg(feature = "azure")]
const CERTIFICATE: &str = "sandbox.pem";

#[cfg(feature = "azure")]
impl KeyVaults {
    fn certificate(&self) -> String {
        self.folder.path().join(CERTIFICATE).display().to_string()
    }
}

#[cfg(feature = "azure")]
#[async_trait]
impl Face for KeyVaults {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "authority": self.sandbox.authority(), "tenant": self.sandbox.tenant(), "client": "sandbox",
            "secret": self.sandbox.client_secret(), "certificate": self.certificate(),
            "vault": self.sandbox.vault(stage::KEY_VAULT), "source": self.sandbox.source(stage::KEY_VAULT),
        })
    }

    fn lines(&self) -> String {
        let (authority, tenant) = (self.sandbox.authority(), self.sandbox.tenant());
        let (secret, source) = (self.sandbox.client_secret(), self.sandbox.source(stage::KEY_VAULT));
        let certificate = self.certificate();
        format!(
            "export AZURE_AUTHORITY_HOST={authority} AZURE_TENANT_ID={tenant} AZURE_CLIENT_ID=sandbox\n\
             export AZURE_CLIENT_SECRET={secret}\n\
             export AWS_CA_BUNDLE={certificate} REQUESTS_CA_BUNDLE={certificate} NODE_EXTRA_CA_CERTS={certificate}\n\
             # lifeboat init --source {source}"
        )
    }

    async fn stop(self: Box<Self>) {
        self.sandbox.shutdown().await;
    }
}
