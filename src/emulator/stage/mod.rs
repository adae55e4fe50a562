//! Stages on the sandbox, for `lifeboat demo`: places with made-up secrets that are lost, and others that take them.

#[cfg(feature = "azure")]
mod azure_estate;
mod estate;
#[cfg(feature = "gcp")]
mod gcp_estate;
mod regions;
#[cfg(feature = "vault")]
mod vault_estate;
#[cfg(feature = "vault")]
mod vaults;

use std::{io, path::Path, sync::Arc};

use async_trait::async_trait;

#[cfg(feature = "azure")]
pub(super) use self::azure_estate::{KEY_VAULT, fill as fill_key_vault};
pub(super) use self::estate::Estate;
#[cfg(feature = "gcp")]
pub(super) use self::gcp_estate::{GcpEstate, PROJECT};
#[cfg(feature = "vault")]
pub(super) use self::vault_estate::{MOUNT, VaultEstate};
pub use self::{
    estate::DATABASE,
    regions::{ACCOUNT, REGION_A},
};
use crate::provider::{Connected, ProviderError, Source};

/// Every stage by its name, and what is lost there.
pub const STAGES: [(&str, &str); 2] = [
    ("aws", "AWS Secrets Manager: one of two regions is lost"),
    ("vault", "A Vault: it is lost, and another one takes its secrets"),
];

/// A stage that cannot be set up or does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Another build has it.
    #[error("this build has no {name}: it lacks the feature {feature}")]
    NotInThisBuild {
        /// What it has not.
        name: &'static str,
        /// What the build would need.
        feature: &'static str,
    },
    /// A connection to the sandbox.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A file or a port.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The sandbox refused something.
    #[error("{0}")]
    Refused(String),
}

/// A place whose secrets are lost, one into which they are restored, and one for drills.
#[async_trait]
pub trait Stage: Send + Sync {
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
    async fn seed(&self) -> Result<(), StageError>;
    /// The second day: a rotation and a deletion.
    async fn second_day(&self) -> Result<(), StageError>;
    /// Connects to what is lost later.
    async fn source(&self) -> Result<Arc<dyn Source>, StageError>;
    /// Connects to what is restored into.
    async fn target(&self) -> Result<Connected, StageError>;
    /// Connects to the place for drills.
    async fn drill_target(&self) -> Result<Connected, StageError>;
    /// Takes the source away.
    fn lose(&self);
    /// Plants one wrong byte in a restored value; answers its version.
    ///
    /// # Errors
    /// See [`StageError`].
    fn corrupt(&self) -> Result<String, StageError>;

    /// A place of another kind; `None` where this build has no other. What signs in to it goes into `out`.
    ///
    /// # Errors
    /// See [`StageError`].
    async fn across(&self, out: &Path) -> Result<Option<Across>, StageError> {
        let _ = out;
        Ok(None)
    }
}

/// A place of another kind.
pub struct Across {
    /// What it is, for people.
    pub name: &'static str,
    /// The way to it.
    pub connected: Connected,
    /// It is there as long as this is.
    pub held: Box<dyn std::any::Any + Send + Sync>,
}

/// Sets up the stage of a name; what signs in to it goes into `out`.
///
/// # Errors
/// See [`StageError`].
pub async fn stage(name: &str, out: &Path) -> Result<Box<dyn Stage>, StageError> {
    match name {
        #[cfg(feature = "vault")]
        "vault" => Ok(Box::new(vaults::Vaults::start(out).await?)),
        #[cfg(not(feature = "vault"))]
        "vault" => {
            let _ = out;
            Err(StageError::NotInThisBuild { name: "Vault", feature: "vault" })
        }
        _ => Ok(Box::new(regions::Regions::start().await?)),
    }
}
