//! `.env` files as a kind: an address is a folder, or one file.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BadEnvAddress, Dotenv, DotenvRules, EnvAddress, SCHEME, ops::DotenvOps};
use crate::{
    model::Place,
    provider::{
        Address, BadAddress, Connected, Connection, Kind, Ops, ProviderError, Purpose, Rules, Source, kind::bad_address,
    },
};

/// The kind.
pub struct DotenvKind;

#[async_trait]
impl Kind for DotenvKind {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn rules(&self) -> &'static dyn Rules {
        &DotenvRules
    }

    fn ops(&self) -> &'static dyn Ops {
        &DotenvOps
    }

    /// A relative path would mean another folder elsewhere.
    async fn settle(&self, address: &Address, _: Purpose) -> Result<Address, BadAddress> {
        let complete = address.as_str().parse::<EnvAddress>()?.absolute();
        Ok(Address::of(&DotenvKind, complete.to_string()))
    }

    async fn connect_source(
        &self,
        address: &Address,
        connection: &Connection<'_>,
    ) -> Result<Arc<dyn Source>, ProviderError> {
        Ok(Arc::new(reached(address, connection)?))
    }

    async fn connect_target(&self, address: &Address, connection: &Connection<'_>) -> Result<Connected, ProviderError> {
        let (address, ids) = (understood(address)?, connection.version_ids(SCHEME)?);
        // A drill knows again what it made.
        let is_drill = connection.isolation.is_some();
        let connect = if is_drill { Dotenv::connect_sandbox } else { Dotenv::connect_target };
        Ok(Connected::new(connect(&address, ids)?))
    }

    fn leads_to(&self, address: &Address, place: &Place) -> bool {
        understood(address).is_ok_and(|address| address.may_be(place))
    }
}

impl From<BadEnvAddress> for BadAddress {
    fn from(bad: BadEnvAddress) -> Self {
        Self::new(bad, "correct the address in the configuration (docs/dotenv.md)")
    }
}

fn understood(address: &Address) -> Result<EnvAddress, ProviderError> {
    address.as_str().parse().map_err(|bad: BadEnvAddress| bad_address(SCHEME, &bad.to_string()))
}

/// A connection to the files that an address means.
pub(super) fn reached(address: &Address, connection: &Connection<'_>) -> Result<Dotenv, ProviderError> {
    Dotenv::connect(&understood(address)?, connection.version_ids(SCHEME)?)
}
