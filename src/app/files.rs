//! Files below a folder as a source and as a target; a build without the feature refuses them.

use std::sync::Arc;

use super::{HostError, sources::BadSource, targets::Connected};
#[cfg(all(unix, feature = "dotenv"))]
use crate::provider::dotenv::{self, Dotenv, EnvAddress, Examined, VersionIds};
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
    Ok(Arc::new(Dotenv::connect(&understood(address)?, ids(versions)?)?))
}

#[cfg(all(unix, feature = "dotenv"))]
pub(super) fn target(
    address: &str,
    versions: impl FnOnce() -> Result<VersionKey, HostError>,
) -> Result<Connected, ProviderError> {
    Ok(Connected::new(Dotenv::connect_target(&understood(address)?, ids(versions)?)?))
}

/// The host that a place of an address has.
#[cfg(all(unix, feature = "dotenv"))]
pub(super) async fn account(address: &str) -> Result<String, ProviderError> {
    Ok(Dotenv::connect(&understood(address)?, nameless())?.place().await?.account)
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
    dotenv::examine(&Dotenv::connect(&understood(address)?, nameless())?).await
}

#[cfg(all(unix, feature = "dotenv"))]
fn understood(address: &str) -> Result<EnvAddress, ProviderError> {
    address.parse().map_err(|bad: dotenv::BadEnvAddress| unusable("BadAddress", &bad.to_string()))
}

#[cfg(all(unix, feature = "dotenv"))]
fn ids(versions: impl FnOnce() -> Result<VersionKey, HostError>) -> Result<VersionIds, ProviderError> {
    let key = versions().map_err(|error| unusable("VersionKey", &error.to_string()))?;
    Ok(Arc::new(move |name: &str, value: &[u8]| key.version_id(name, value)))
}

/// For whoever keeps no version.
#[cfg(all(unix, feature = "dotenv"))]
fn nameless() -> VersionIds {
    Arc::new(|_: &str, _: &[u8]| String::new())
}

#[cfg(not(all(unix, feature = "dotenv")))]
#[expect(clippy::unnecessary_wraps, reason = "its other form can fail")]
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
#[expect(clippy::unused_async, reason = "its other form asks the machine")]
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
