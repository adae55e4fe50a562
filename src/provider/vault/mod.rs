//! HashiCorp Vault and OpenBao: secrets of one KV engine, version 2.
//!
//! A place is the cluster, the namespace and the mount with its UUID: an address is a name that another address may share.
//! Reading changes nothing: no undelete, no renewal beyond the token's own.
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>.

mod address;
mod client;
mod listing;
mod login;
mod metadata;
mod mounts;
mod pace;
mod policy;
mod read;
mod rules;
mod wish;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};

pub use address::{BadVaultAddress, Login, VaultAddress};
pub use policy::backup_policy;
pub use rules::VaultRules;

use super::{Applied, Fetched, Known, Listed, Pace, ProviderError, Source, Target, held::Budget};
use crate::{
    isolation::Isolation,
    model::{Existing, Place, Secret, SecretValue, Step},
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
}

impl Vault {
    /// Signs in, and finds the engine.
    ///
    /// # Errors
    /// No token, none that works, no such engine, or one of another version.
    pub async fn connect(address: &VaultAddress, isolation: Option<Arc<Isolation>>) -> Result<Self, ProviderError> {
        let client = Client::connect(address, isolation).await?;
        let mount = client.mount(&address.mount).await?;
        let cluster = client.cluster().await?;
        let account = match &address.namespace {
            Some(namespace) => format!("{cluster}/{namespace}"),
            None => cluster,
        };
        let place = Place { provider: SCHEME.into(), account, region: format!("{}@{}", mount.path, mount.uuid) };
        Ok(Self { client: Arc::new(client), mount, place, budget: Budget::new(VALUES) })
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
        self.read_secret(listed, known).await
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
