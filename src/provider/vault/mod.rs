//! HashiCorp Vault and OpenBao: secrets of one KV engine of either version, or of every one that a server has.
//!
//! A place is the cluster, the namespace and the mount with its UUID: an address is a name that another address may share.
//! Reading changes nothing: no undelete, no renewal beyond the token's own.
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>.

mod address;
mod client;
mod kind;
mod listing;
mod login;
mod metadata;
mod mounts;
mod ops;
mod pace;
mod plain;
mod read;
mod rules;
mod server;
mod wish;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};

pub use address::{BadVaultAddress, Login, VaultAddress};
pub use kind::VaultKind;
pub use rules::VaultRules;
pub use server::{Mounted, VaultServer};

use super::{
    Applied, ErrorKind, Fetched, Known, Listed, Pace, ProviderError, Source, Target, VersionIds, held::Budget,
};
use crate::{
    isolation::Isolation,
    model::{Existing, Place, Presence, Secret, SecretValue, Step},
};
use client::Client;
use mounts::Mount;

/// The scheme of its addresses and places.
pub(super) const SCHEME: &str = "vault";
/// Values that may be in memory at once, in bytes.
const VALUES: u32 = 64 * 1024 * 1024;

/// A connection to one KV engine. Clones share its pacing and its token.
#[derive(Clone)]
pub struct Vault {
    client: Arc<Client>,
    mount: Mount,
    place: Place,
    budget: Budget,
    /// For an engine that gives no version ids itself.
    ids: Option<VersionIds>,
}

impl Vault {
    /// Signs in, and finds the engine, which must be of version 2.
    ///
    /// # Errors
    /// No token, none that works, no such engine, or one of another version.
    pub async fn connect(address: &VaultAddress, isolation: Option<Arc<Isolation>>) -> Result<Self, ProviderError> {
        let vault = VaultServer::connect(address, isolation).await?.engine(&address.mount).await?;
        if vault.mount.has_versions {
            return Ok(vault);
        }
        let about = client::About { operation: "connect", secret: None };
        let words = format!(
            "{} is KV version 1, which is a source only: restore into a mount of version 2 (vault secrets enable kv-v2)",
            address.mount
        );
        Err(about.failed(ErrorKind::Invalid, "KvVersion1", &words))
    }

    /// Whether the engine gives no version ids: [`with_version_ids`](Self::with_version_ids) must come before a reading.
    pub fn needs_version_ids(&self) -> bool {
        !self.mount.has_versions
    }

    /// One that makes version ids by `ids`.
    #[must_use]
    pub fn with_version_ids(self, ids: VersionIds) -> Self {
        Self { ids: Some(ids), ..self }
    }
}

#[async_trait]
impl Source for Vault {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        self.listed()
    }

    fn pace(&self) -> Option<Pace> {
        None
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        if self.mount.has_versions {
            self.read_secret(listed, known).await
        } else {
            self.read_plain(listed, known).await
        }
    }
}

#[async_trait]
impl Target for Vault {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        Box::pin(self.listed().map(|listed| listed.map(|listed| listed.name)))
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        Ok(self.metadata(name).await?.map(|metadata| metadata.existing(name)))
    }

    async fn presence(&self, reference: &str) -> Result<Presence, ProviderError> {
        if reference == rules::ENGINE {
            return self.deletes_by_itself().await;
        }
        Ok(Presence::Unknown("a Vault has no such thing".into()))
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        self.described(id).await
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        self.write(step, at, value).await
    }
}
