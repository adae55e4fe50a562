//! Files below a folder as a source and as a target; a build without the feature refuses them.

use std::sync::Arc;

use super::{HostError, sources::BadSource, targets::Connected};
#[cfg(all(unix, feature = "dotenv"))]
use crate::provider::dotenv::{self, Dotenv, EnvAddress, Examined};
use crate::{
    config::SourceAddress,
    crypto::VersionKey,
    model::Place,
    provider::{ErrorKind, ProviderError, Source},
};

/// The address, complete: a relative path would mean another folder elsewhere.
#[cfg(all(unix, feature = "dotenv"))]
pub(super) fn settled(address: &str) -> Result<SourceAddress, BadSource> {
    Ok(SourceAddress::Env(address.parse::<EnvAddress>()?.absolute().to_string()))
}

#[cfg(all(unix, feature = "dotenv"))]
pub(super) fn connect(
    address: &str,
    versions: impl FnOnce() -> Result<VersionKey, HostError>,
) -> Result<Arc<dyn Source>, ProviderError> {
    let (address, key) = understood(address, versions)?;
    Ok(Arc::new(Dotenv::connect(&address, key)?))
}

#[cfg(all(unix, feature = "dotenv"))]
pub(super) fn target(
    address: &str,
    versions: impl FnOnce() -> Result<VersionKey, HostError>,
) -> Result<Connected, ProviderError> {
    let (address, key) = understood(address, versions)?;
    Ok(Connected::new(Dotenv::connect_target(&address, key)?))
}

/// The host that a place of an address has.
#[cfg(all(unix, feature = "dotenv"))]
pub(super) async fn account(address: &str) -> Result<String, ProviderError> {
    let source = connect(address, || Ok(VersionKey::generate()))?;
    Ok(source.place().await?.account)
}

#[cfg(all(unix, feature = "dotenv"))]
pub(super) fn may_be(address: &str, place: &Place) -> bool {
    address.parse::<EnvAddress>().is_ok_and(|address| address.may_be(place))
}

/// What is wrong with the files of a source where they lie. No key of the host is needed: nothing of it is kept.
///
/// # Errors
/// A folder that is not there or cannot be read.
#[cfg(all(unix, feature = "dotenv"))]
pub async fn examine_files(address: &str) -> Result<Examined, ProviderError> {
    let (address, key) = understood(address, || Ok(VersionKey::generate()))?;
    dotenv::examine(&Dotenv::connect(&address, key)?).await
}

#[cfg(all(unix, feature = "dotenv"))]
fn understood(
    address: &str,
    versions: impl FnOnce() -> Result<VersionKey, HostError>,
) -> Result<(EnvAddress, VersionKey), ProviderError> {
    let address = address.parse().map_err(|bad: dotenv::BadEnvAddress| unusable("BadAddress", &bad.to_string()))?;
    Ok((address, versions().map_err(|error| unusable("VersionKey", &error.to_string()))?))
}

#[cfg(not(all(unix, feature = "dotenv")))]
pub(super) fn settled(address: &str) -> Result<SourceAddress, BadSource> {
    Ok(SourceAddress::Env(address.to_owned()))
}

#[cfg(not(all(unix, feature = "dotenv")))]
pub(super) fn connect(
    _: &str,
    _: impl FnOnce() -> Result<VersionKey, HostError>,
) -> Result<Arc<dyn Source>, ProviderError> {
    Err(unusable("NotInThisBuild", "this build lacks the feature dotenv"))
}

#[cfg(not(all(unix, feature = "dotenv")))]
pub(super) fn target(_: &str, _: impl FnOnce() -> Result<VersionKey, HostError>) -> Result<Connected, ProviderError> {
    Err(unusable("NotInThisBuild", "this build lacks the feature dotenv"))
}

#[cfg(not(all(unix, feature = "dotenv")))]
pub(super) async fn account(_: &str) -> Result<String, ProviderError> {
    Err(unusable("NotInThisBuild", "this build lacks the feature dotenv"))
}

#[cfg(not(all(unix, feature = "dotenv")))]
pub(super) fn may_be(_: &str, _: &Place) -> bool {
    false
}

/// A folder that cannot be used as its address is.
pub(super) fn unusable(code: &str, message: &str) -> ProviderError {
    let (provider, kind, operation, secret) = ("env", ErrorKind::Invalid, "connect", None);
    ProviderError { provider, kind, operation, secret, code: code.into(), message: message.into() }
}
