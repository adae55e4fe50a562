//! In a build without the feature `vault` no Vault is a source, and every way to one says so.

use std::sync::Arc;

use super::{
    HostError,
    sources::{BadSource, Estate, unusable},
};
use crate::{
    config::{SourceAddress, SourceSection},
    crypto::VersionKey,
    model::Place,
    provider::{ProviderError, Source},
};

/// Nobody is signed in.
#[derive(Clone, Debug, Default)]
pub(super) struct SignedIn(());

impl SignedIn {
    /// Nothing.
    #[expect(clippy::unused_self, reason = "its other form holds something")]
    pub(super) fn holds(&self, _: &SourceAddress) -> bool {
        false
    }
}

/// As it is.
#[expect(clippy::unnecessary_wraps, reason = "its other form can fail")]
pub(super) fn settled(address: &str) -> Result<SourceAddress, BadSource> {
    Ok(SourceAddress::Vault(address.to_owned()))
}

/// As it is.
pub(super) fn one_engine(address: &str) -> Result<SourceAddress, BadSource> {
    settled(address)
}

/// As it is: connecting refuses it.
#[expect(clippy::unused_async, reason = "its other form asks the server")]
pub(super) async fn expand(section: &SourceSection, _: &str, estate: &mut Estate) {
    estate.sections.push(section.clone());
}

/// Refuses.
#[expect(clippy::unused_async, reason = "its other form asks the server")]
pub(super) async fn connect(
    _: &SourceAddress,
    _: &str,
    _: &SignedIn,
    _: impl FnOnce() -> Result<VersionKey, HostError> + Send,
) -> Result<Arc<dyn Source>, ProviderError> {
    Err(missing())
}

/// Refuses.
#[expect(clippy::unused_async, reason = "its other form asks the server")]
pub(super) async fn account(_: &str) -> Result<String, ProviderError> {
    Err(missing())
}

/// What every way to a Vault says.
pub(super) fn missing() -> ProviderError {
    unusable("NotInThisBuild", "this build lacks the feature vault")
}

/// None is known.
pub fn vault_policy(_: &str) -> Option<String> {
    None
}

/// None is.
pub(super) fn may_be(_: &str, _: &Place) -> bool {
    false
}

/// None does.
pub(super) fn is_of_every_mount(_: &str) -> bool {
    false
}
