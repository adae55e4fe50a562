//! Vault as a kind: an address is a mount of a server, or every mount that the token sees.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    SCHEME, Vault, VaultAddress, VaultRules, VaultServer,
    ops::VaultOps,
    server::{Mounted, NAMESPACE},
};
use crate::{
    model::Place,
    outward::{BadSetting, VaultSettings},
    provider::{
        Address, BadAddress, Connected, Connection, ErrorKind, Expanded, Kind, LeftOut, Ops, Part, ProviderError,
        Purpose, Reached, Rules, Source, Unreached,
        kind::{bad_address, unusable},
        vault::BadVaultAddress,
    },
};

/// The kind.
pub struct VaultKind;

/// An engine of a server that is signed in already.
struct Engine {
    server: VaultServer,
    mount: String,
}

#[async_trait]
impl Reached for Engine {
    async fn connect(&self, connection: &Connection<'_>) -> Result<Arc<dyn Source>, ProviderError> {
        Ok(Arc::new(with_ids(self.server.engine(&self.mount).await?, connection)?))
    }
}

#[async_trait]
impl Kind for VaultKind {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn rules(&self) -> &'static dyn Rules {
        &VaultRules
    }

    fn ops(&self) -> &'static dyn Ops {
        &VaultOps
    }

    /// What a variable says of it stands in it then. A target must name a mount.
    async fn settle(&self, address: &Address, purpose: Purpose) -> Result<Address, BadAddress> {
        let mut complete = understood(address)?;
        if purpose == Purpose::Target {
            complete = complete.to_string().parse()?;
        }
        Ok(Address::of(&VaultKind, complete.to_string()))
    }

    /// Each engine of the server, where the address names no mount. A server that cannot be asked is a source that fails.
    async fn expand(&self, address: &Address, _: &Connection<'_>) -> Option<Expanded> {
        let every = understood(address).ok().filter(VaultAddress::is_of_every_mount)?;
        let part = |address: Address, reached: Arc<dyn Reached>| Part {
            address,
            account: None,
            access: None,
            reached: Some(reached),
        };
        let (server, mounted) = match mounted(&every).await {
            Ok(found) => found,
            Err(error) => {
                let unreached = part(address.clone(), Arc::new(Unreached(error)));
                return Some(Expanded { parts: vec![unreached], left_out: Vec::new() });
            }
        };
        let mut expanded = Expanded::default();
        for mount in mounted.engines {
            if every.is_excepted(&mount) {
                expanded.left_out.push(LeftOut::mount(server.account(), &mount, LeftOut::EXCLUDED));
                continue;
            }
            let own = Address::of(&VaultKind, every.at(&mount).to_string());
            expanded.parts.push(part(own, Arc::new(Engine { server: server.clone(), mount })));
        }
        for (mount, kind) in mounted.others.iter().filter(|(mount, _)| !every.is_excepted(mount)) {
            let reason = match kind.as_str() {
                NAMESPACE => "child namespaces are not searched: add a source for it".to_owned(),
                kind => format!("it is no KV engine ({kind})"),
            };
            expanded.left_out.push(LeftOut::mount(server.account(), mount, &reason));
        }
        Some(expanded)
    }

    fn is_of_many(&self, address: &Address) -> bool {
        understood(address).is_ok_and(|address| address.is_of_every_mount())
    }

    /// The mount, without its UUID.
    fn part<'p>(&self, place: &'p Place) -> &'p str {
        place.region.rsplit_once('@').map_or(&*place.region, |(mount, _)| mount)
    }

    async fn connect_source(
        &self,
        address: &Address,
        connection: &Connection<'_>,
    ) -> Result<Arc<dyn Source>, ProviderError> {
        let address = usable(address)?;
        if address.is_of_every_mount() {
            return Err(bad_address(SCHEME, "the address has no mount, and one source is asked for"));
        }
        let server = VaultServer::connect(&address, connection.isolation.clone()).await?;
        Ok(Arc::new(with_ids(server.engine(&address.mount).await?, connection)?))
    }

    async fn connect_target(&self, address: &Address, connection: &Connection<'_>) -> Result<Connected, ProviderError> {
        let address = usable(address)?;
        if address.is_of_every_mount() {
            return Err(bad_address(SCHEME, "the address has no mount"));
        }
        Ok(Connected::new(Vault::connect(&address, connection.isolation.clone()).await?))
    }

    /// Whatever its mounts, it is the cluster and the namespace.
    async fn account_of(&self, address: &Address, _: &Connection<'_>) -> Result<String, ProviderError> {
        let address = usable(address)?;
        let server = VaultServer::connect(&address, None).await?;
        if !address.is_of_every_mount() {
            server.engine(&address.mount).await?;
        }
        Ok(server.account().to_owned())
    }

    /// Not which cluster it is.
    fn leads_to(&self, address: &Address, place: &Place) -> bool {
        understood(address).is_ok_and(|address| address.may_be(place))
    }
}

impl From<BadVaultAddress> for BadAddress {
    fn from(bad: BadVaultAddress) -> Self {
        Self::new(bad, "correct the address in the configuration (docs/vault.md)")
    }
}

impl From<BadSetting> for BadAddress {
    fn from(bad: BadSetting) -> Self {
        Self::new(bad, "correct the variable (docs/vault.md)")
    }
}

pub(super) fn understood(address: &Address) -> Result<VaultAddress, BadAddress> {
    Ok(VaultAddress::of_source(address.as_str(), &VaultSettings::of_process()?)?)
}

fn usable(address: &Address) -> Result<VaultAddress, ProviderError> {
    understood(address).map_err(|bad| bad_address(SCHEME, &bad.to_string()))
}

async fn mounted(address: &VaultAddress) -> Result<(VaultServer, Mounted), ProviderError> {
    let server = VaultServer::connect(address, None).await?;
    let mounted = server.mounted().await?;
    if mounted.engines.iter().all(|mount| address.is_excepted(mount)) {
        let words = "the token sees no KV engine";
        return Err(ProviderError { kind: ErrorKind::Denied, ..unusable(SCHEME, "NoMount", words) });
    }
    Ok((server, mounted))
}

/// An engine without versions gets its version ids by the host's key.
fn with_ids(vault: Vault, connection: &Connection<'_>) -> Result<Vault, ProviderError> {
    if !vault.needs_version_ids() {
        return Ok(vault);
    }
    Ok(vault.with_version_ids(connection.version_ids(SCHEME)?))
}
