//! Azure Key Vault: the secrets of one vault.
//!
//! A place is the vault's DNS name. Everything that Key Vault keeps beside a value belongs to a version: tags, content type,
//! dates, whether it is enabled. Versions have random ids that the service chooses, so a restore names each by a tag, `MARK`;
//! reading gives a version that has one the id of it, and never shows the tag.
//! <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>.

mod address;
mod challenge;
mod client;
mod credentials;
mod kind;
mod listing;
mod names;
mod ops;
mod pace;
mod read;
mod rights;
mod role;
mod rules;
mod versions;
mod wish;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};

pub use address::{AzureAddress, BadAzureAddress};
pub use kind::AzureKind;
pub use rules::AzureRules;

pub use crate::outward::AzureSettings;

use super::{
    Applied, BAD_SETTING, ErrorKind, Fetched, Known, Listed, Pace, ProviderError, Source, Target, held::Budget,
};
use crate::{
    isolation::Isolation,
    model::{Existing, Place, Secret, SecretValue, Step},
};
use client::Client;
use rights::{Resource, Rights};

/// The scheme of its addresses and places.
pub(super) const SCHEME: &str = "azure";
/// Values that may be in memory at once, in bytes.
const VALUES: u32 = 64 * 1024 * 1024;

/// A connection to one vault. Clones share its pacing and its token.
#[derive(Clone)]
pub struct Azure {
    client: Arc<Client>,
    place: Place,
    budget: Budget,
    /// Those of the vault, where they are captured.
    rights: Option<Arc<Rights>>,
}

impl Azure {
    /// Signs in, and looks whether the vault lets itself be listed.
    ///
    /// # Errors
    /// No credentials, none that work, no such vault, or no right to list its secrets.
    pub async fn connect(
        address: &AzureAddress,
        rate_share: f64,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Self, ProviderError> {
        let about = client::About { operation: "connect", secret: None };
        let settings = AzureSettings::of_process()
            .map_err(|error| about.failed(ErrorKind::Invalid, BAD_SETTING, &error.to_string()))?;
        Self::connect_by(address, settings, rate_share, isolation).await
    }

    /// The same with an identity that the environment does not say.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_by(
        address: &AzureAddress,
        settings: AzureSettings,
        rate_share: f64,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Self, ProviderError> {
        let client = Arc::new(Client::new(address, settings, rate_share, isolation)?);
        let azure = Self { client, place: address.place(), budget: Budget::new(VALUES), rights: None };
        azure.is_there().await?;
        Ok(azure)
    }

    /// The same, with the rights of the vault: `resource` is its id in the Resource Manager.
    ///
    /// # Errors
    /// The id is none, or that of another vault. Rights that cannot be read are a part of each secret that cannot be read.
    pub async fn with_rights(self, address: &AzureAddress, resource: &str) -> Result<Self, ProviderError> {
        let about = client::About { operation: "vaults/get", secret: None };
        let resource = Resource::parse(resource, address)
            .map_err(|why| about.failed(ErrorKind::Invalid, BAD_SETTING, &format!("`resource`: {why}")))?;
        let rights = Some(Arc::new(resource.rights(&self.client).await?));
        Ok(Self { rights, ..self })
    }
}

#[async_trait]
impl Source for Azure {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        self.listed()
    }

    /// A secret of one new version takes two requests.
    fn pace(&self) -> Option<Pace> {
        let rate = self.client.limiter.rate();
        Some(Pace { listed: rate * listing::PAGE_ENTRIES, read: rate / 2.0 })
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        self.read_secret(listed, known).await
    }
}

#[async_trait]
impl Target for Azure {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    /// A version is a listing and a write.
    fn write_pace(&self) -> Option<f64> {
        Some(self.client.limiter.rate() / 2.0)
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        self.listed().map(|listed| listed.map(|listed| listed.name)).boxed()
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.existing(name).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let name = versions::split(id).map_or(id, |(name, _)| name);
        let found = self.existing(name).await?.map(|existing| existing.secret);
        Ok(found.filter(|secret| name == id || secret.id == id))
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
