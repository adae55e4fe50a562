//! Key Vault as a kind: an address is a vault.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Azure, AzureAddress, AzureRules, BadAzureAddress, SCHEME, ops::AzureOps};
use crate::{
    model::Place,
    provider::{
        Address, BadAddress, Connected, Connection, Kind, Ops, ProviderError, Purpose, Rules, Source, kind::bad_address,
    },
};

/// The kind.
pub struct AzureKind;

#[async_trait]
impl Kind for AzureKind {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn rules(&self) -> &'static dyn Rules {
        &AzureRules
    }

    fn ops(&self) -> &'static dyn Ops {
        &AzureOps
    }

    async fn settle(&self, address: &Address, _: Purpose) -> Result<Address, BadAddress> {
        Ok(Address::of(&AzureKind, understood(address)?.to_string()))
    }

    async fn connect_source(
        &self,
        address: &Address,
        connection: &Connection<'_>,
    ) -> Result<Arc<dyn Source>, ProviderError> {
        Ok(Arc::new(source(address, connection).await?))
    }

    fn has_resource(&self) -> bool {
        true
    }

    async fn connect_target(&self, address: &Address, connection: &Connection<'_>) -> Result<Connected, ProviderError> {
        Ok(Connected::new(connect(address, connection).await?))
    }

    fn leads_to(&self, address: &Address, place: &Place) -> bool {
        understood(address).is_ok_and(|address| address.place() == *place)
    }

    fn hidden_from_listings(&self) -> Option<&'static str> {
        Some("changes of older versions")
    }
}

impl From<BadAzureAddress> for BadAddress {
    fn from(bad: BadAzureAddress) -> Self {
        Self::new(bad, "correct the address in the configuration (docs/azure.md)")
    }
}

pub(super) fn understood(address: &Address) -> Result<AzureAddress, BadAzureAddress> {
    address.as_str().parse()
}

/// A source: with the rights of the vault, where its resource is named.
pub(super) async fn source(address: &Address, connection: &Connection<'_>) -> Result<Azure, ProviderError> {
    let azure = connect(address, connection).await?;
    let Some(resource) = &connection.access.resource else { return Ok(azure) };
    let address = understood(address).map_err(|bad| bad_address(SCHEME, &bad.to_string()))?;
    azure.with_rights(&address, resource).await
}

async fn connect(address: &Address, connection: &Connection<'_>) -> Result<Azure, ProviderError> {
    let address = understood(address).map_err(|bad| bad_address(SCHEME, &bad.to_string()))?;
    Azure::connect(&address, connection.rate_share, connection.isolation.clone()).await
}
