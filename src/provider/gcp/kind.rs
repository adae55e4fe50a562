//! Secret Manager as a kind: an address is a location of a project, or every one that has secrets.

use std::sync::Arc;

use async_trait::async_trait;

use super::{GLOBAL, Gcp, GcpAddress, GcpProject, GcpRules, SCHEME, ops::GcpOps};
use crate::{
    model::Place,
    outward::GcpSettings,
    provider::{
        Address, BadAddress, Connected, Connection, Expanded, Kind, Ops, Part, ProviderError, Purpose, Reached, Rules,
        Source, expand::Unreached, gcp::BadGcpAddress, kind::bad_address,
    },
};

/// The kind.
pub struct GcpKind;

/// A location of a project that is signed in already.
struct Location(Gcp);

#[async_trait]
impl Reached for Location {
    async fn connect(&self, _: &Connection<'_>) -> Result<Arc<dyn Source>, ProviderError> {
        Ok(Arc::new(self.0.clone()))
    }
}

#[async_trait]
impl Kind for GcpKind {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn rules(&self) -> &'static dyn Rules {
        &GcpRules
    }

    fn ops(&self) -> &'static dyn Ops {
        &GcpOps
    }

    /// A target without a location is global.
    async fn settle(&self, address: &Address, purpose: Purpose) -> Result<Address, BadAddress> {
        let known = understood(address)?;
        let known = if purpose == Purpose::Target { known.one_place() } else { known };
        Ok(Address::of(&GcpKind, known.to_string()))
    }

    /// Global and each location that has secrets, where the address names none. A project that cannot be asked is a source that
    /// fails.
    async fn expand(&self, address: &Address, connection: &Connection<'_>) -> Option<Expanded> {
        let every = understood(address).ok().filter(|known| known.location.is_none())?;
        let part = |address: Address, reached: Arc<dyn Reached>| Part {
            address,
            account: None,
            access: None,
            reached: Some(reached),
        };
        let found = async {
            let project = connect(&every, connection).await?;
            let locations = project.locations().await?;
            Ok::<_, ProviderError>((project, locations))
        };
        let parts = match found.await {
            Ok((project, locations)) => locations
                .iter()
                .map(|location| {
                    let own = Address::of(&GcpKind, every.at(location).to_string());
                    part(own, Arc::new(Location(project.at(location))))
                })
                .collect(),
            Err(error) => vec![part(address.clone(), Arc::new(Unreached(error)))],
        };
        Some(Expanded { parts, left_out: Vec::new() })
    }

    fn is_of_many(&self, address: &Address) -> bool {
        understood(address).is_ok_and(|known| known.location.is_none())
    }

    async fn connect_source(
        &self,
        address: &Address,
        connection: &Connection<'_>,
    ) -> Result<Arc<dyn Source>, ProviderError> {
        Ok(Arc::new(one(address, connection).await?))
    }

    async fn connect_target(&self, address: &Address, connection: &Connection<'_>) -> Result<Connected, ProviderError> {
        Ok(Connected::new(one(address, connection).await?))
    }

    /// Whatever its location, it is the project's number.
    async fn account_of(&self, address: &Address, connection: &Connection<'_>) -> Result<String, ProviderError> {
        Ok(connect(&usable(address)?, connection).await?.number().to_owned())
    }

    /// Not which number an id has.
    fn leads_to(&self, address: &Address, place: &Place) -> bool {
        understood(address).is_ok_and(|known| known.may_be(place))
    }

    fn region<'a>(&self, address: &'a Address) -> Option<&'a str> {
        // What is global is in no region that can be lost.
        address.rest().split_once('/').map(|(_, location)| location).filter(|location| *location != GLOBAL)
    }

    fn hidden_from_listings(&self) -> Option<&'static str> {
        Some("policies and the states of older versions")
    }
}

impl From<BadGcpAddress> for BadAddress {
    fn from(bad: BadGcpAddress) -> Self {
        Self::new(bad, "correct the address in the configuration (docs/gcp.md)")
    }
}

pub(super) fn understood(address: &Address) -> Result<GcpAddress, BadAddress> {
    Ok(address.as_str().parse::<GcpAddress>()?)
}

fn usable(address: &Address) -> Result<GcpAddress, ProviderError> {
    understood(address).map_err(|bad| bad_address(SCHEME, &bad.to_string()))
}

async fn connect(address: &GcpAddress, connection: &Connection<'_>) -> Result<GcpProject, ProviderError> {
    let settings = GcpSettings::of_process().map_err(|bad| bad_address(SCHEME, &bad.to_string()))?;
    let endpoint = connection.endpoint.clone().or(settings.endpoint.clone());
    let settings = GcpSettings { endpoint, ..settings };
    GcpProject::connect(address, &settings, connection.rate_share, connection.isolation.clone()).await
}

async fn one(address: &Address, connection: &Connection<'_>) -> Result<Gcp, ProviderError> {
    let known = usable(address)?.one_place();
    let project = connect(&known, connection).await?;
    Ok(project.at(known.location.as_deref().unwrap_or(GLOBAL)))
}
