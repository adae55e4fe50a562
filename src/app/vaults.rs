//! Vaults as sources: one engine, or every one that a server has.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    HostError,
    sources::{BadSource, Estate, LeftOut, unusable},
};
use crate::{
    config::{SourceAddress, SourceSection},
    crypto::VersionKey,
    isolation::Isolation,
    model::Place,
    outward::VaultSettings,
    provider::{
        ErrorKind, ProviderError, Source,
        vault::{self, Vault, VaultAddress, VaultServer},
    },
};

/// Servers that are signed in already, by the address of each of their engines; or why one is not.
#[derive(Clone, Default)]
pub(super) struct SignedIn(BTreeMap<SourceAddress, Result<(VaultServer, String), ProviderError>>);

impl SignedIn {
    /// Whether a source is one of those that an address of every mount stands for.
    pub(super) fn holds(&self, url: &SourceAddress) -> bool {
        self.0.contains_key(url)
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The address, complete: what a variable says of it stands in it.
pub(super) fn settled(address: &str) -> Result<SourceAddress, BadSource> {
    Ok(SourceAddress::Vault(understood(address)?.to_string()))
}

/// The same of an address that must name a mount.
pub(super) fn one_engine(address: &str) -> Result<SourceAddress, BadSource> {
    let address: VaultAddress = understood(address)?.to_string().parse()?;
    Ok(SourceAddress::Vault(address.to_string()))
}

fn understood(address: &str) -> Result<VaultAddress, BadSource> {
    Ok(VaultAddress::of_source(address, &VaultSettings::of_process()?)?)
}

fn usable(address: &str) -> Result<VaultAddress, ProviderError> {
    understood(address).map_err(|bad| unusable("BadAddress", &bad.to_string()))
}

/// Adds a source to an estate; where its address names no mount, each engine of the server. A server that cannot be asked is a
/// source that fails.
pub(super) async fn expand(section: &SourceSection, address: &str, estate: &mut Estate) {
    let Ok(address) = usable(address).map(|it| Some(it).filter(VaultAddress::is_of_every_mount)) else { return };
    let Some(address) = address else { return estate.sections.push(section.clone()) };
    estate.is_expanded = true;
    match mounted(&address).await {
        Ok((server, mounted)) => {
            for mount in mounted.engines {
                let left = |reason: &str| LeftOut::mount(server.account(), &mount, reason);
                if address.is_excepted(&mount) {
                    estate.left_out.push(left(LeftOut::EXCLUDED));
                    continue;
                }
                let url = SourceAddress::Vault(address.at(&mount).to_string());
                estate.signed_in.0.insert(url.clone(), Ok((server.clone(), mount)));
                estate.sections.push(SourceSection { url, ..section.clone() });
            }
            for (mount, kind) in mounted.others.iter().filter(|(mount, _)| !address.is_excepted(mount)) {
                estate.left_out.push(LeftOut::mount(server.account(), mount, &format!("it is no KV engine ({kind})")));
            }
        }
        Err(error) => {
            estate.signed_in.0.insert(section.url.clone(), Err(error));
            estate.sections.push(section.clone());
        }
    }
}

async fn mounted(address: &VaultAddress) -> Result<(VaultServer, vault::Mounted), ProviderError> {
    let server = VaultServer::connect(address, None).await?;
    let mounted = server.mounted().await?;
    if mounted.engines.iter().all(|mount| address.is_excepted(mount)) {
        let words = "the token sees no KV engine";
        return Err(ProviderError { kind: ErrorKind::Denied, ..unusable("NoMount", words) });
    }
    Ok((server, mounted))
}

/// Connects to an engine.
pub(super) async fn connect(
    url: &SourceAddress,
    address: &str,
    signed_in: &SignedIn,
    versions: impl FnOnce() -> Result<VersionKey, HostError> + Send,
) -> Result<Arc<dyn Source>, ProviderError> {
    let vault = match signed_in.0.get(url) {
        Some(Ok((server, mount))) => server.engine(mount).await?,
        Some(Err(error)) => return Err(error.clone()),
        None => {
            let address = usable(address)?;
            if address.is_of_every_mount() {
                return Err(unusable("BadAddress", "the address has no mount, and one source is asked for"));
            }
            VaultServer::connect(&address, None).await?.engine(&address.mount).await?
        }
    };
    Ok(Arc::new(with_ids(vault, versions)?))
}

/// A connection to an engine that is restored into, and read back.
pub(super) async fn target_at(address: &str, isolation: Option<Arc<Isolation>>) -> Result<Vault, ProviderError> {
    let address = usable(address)?;
    if address.is_of_every_mount() {
        return Err(unusable("BadAddress", "the address has no mount"));
    }
    Vault::connect(&address, isolation).await
}

/// An engine without versions gets its version ids by the host's key.
fn with_ids(vault: Vault, versions: impl FnOnce() -> Result<VersionKey, HostError>) -> Result<Vault, ProviderError> {
    if !vault.needs_version_ids() {
        return Ok(vault);
    }
    let key = versions().map_err(|error| unusable("VersionKey", &error.to_string()))?;
    Ok(vault.with_version_ids(Arc::new(move |name: &str, value: &[u8]| key.version_id(name, value))))
}

/// The account that an address leads to: whatever its mounts, it is the cluster and the namespace.
pub(super) async fn account(address: &str) -> Result<String, ProviderError> {
    let address = usable(address)?;
    let server = VaultServer::connect(&address, None).await?;
    if !address.is_of_every_mount() {
        server.engine(&address.mount).await?;
    }
    Ok(server.account().to_owned())
}

/// The least policy of a backup of a Vault, in its own language; `None` where none can be written.
pub fn vault_policy(address: &str) -> Option<String> {
    vault::backup_policy(&understood(address).ok()?)
}

/// Whether a place may be of a mount that an address means.
pub(super) fn may_be(address: &str, place: &Place) -> bool {
    understood(address).is_ok_and(|address| address.may_be(place))
}

/// Whether an address means every mount.
pub(super) fn is_of_every_mount(address: &str) -> bool {
    understood(address).is_ok_and(|address| address.is_of_every_mount())
}
