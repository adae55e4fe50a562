//! From the address of a target to a connection that writes, and one that reads back.

use std::sync::Arc;

use super::{HostError, sources::ids};
use crate::{
    crypto::VersionKey,
    isolation::Isolation,
    provider::{Address, Connected, Connection, ProviderError},
};

/// Connects to a target, at this share of its request quotas where it has any.
///
/// # Errors
/// No credentials, or nothing there that is of the address's kind.
pub async fn connect_target(
    to: &Address,
    rate_share: f64,
    isolation: Option<Arc<Isolation>>,
    versions: impl Fn() -> Result<VersionKey, HostError> + Send + Sync,
) -> Result<Connected, ProviderError> {
    let maker = || ids(&versions);
    let connection = Connection { rate_share, isolation, ids: &maker, ..Connection::plain() };
    to.connect_target(&connection).await
}
