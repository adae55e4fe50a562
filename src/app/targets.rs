//! From the address of a target to a connection that writes, and one that reads back.

use std::sync::Arc;

#[cfg(not(feature = "vault"))]
use super::vaults::missing;
#[cfg(feature = "vault")]
use super::vaults::target_at;
use super::{HostError, files};
use crate::{
    config::SourceAddress,
    crypto::VersionKey,
    isolation::Isolation,
    provider::{
        ProviderError, Source, Target,
        aws::{Aws, AwsSettings},
    },
};

/// A place that is restored into.
#[derive(Clone)]
pub struct Connected {
    /// What writes to it.
    pub target: Arc<dyn Target>,
    /// What reads back from it.
    pub readback: Arc<dyn Source>,
}

impl Connected {
    /// One connection for both.
    pub fn new(both: impl Source + Target + Clone + 'static) -> Self {
        Self { target: Arc::new(both.clone()), readback: Arc::new(both) }
    }
}

/// Connects to a target, at this share of its request quotas where it has any.
///
/// # Errors
/// No credentials, or nothing there that is of the address's kind.
pub async fn connect_target(
    to: &SourceAddress,
    rate_share: f64,
    isolation: Option<Arc<Isolation>>,
    versions: impl FnOnce() -> Result<VersionKey, HostError> + Send,
) -> Result<Connected, ProviderError> {
    match to {
        SourceAddress::Aws(address) => {
            let settings = AwsSettings { rate_share, isolation, ..AwsSettings::region(&address.region) };
            Ok(Connected::new(Aws::connect(settings).await?))
        }
        #[cfg(feature = "vault")]
        SourceAddress::Vault(address) => Ok(Connected::new(target_at(address, isolation).await?)),
        #[cfg(not(feature = "vault"))]
        SourceAddress::Vault(_) => Err(missing()),
        SourceAddress::Env(_) if isolation.is_some() => {
            Err(files::unusable("NoDrill", "a drill marks what it makes with tags, and files have none"))
        }
        SourceAddress::Env(address) => files::target(address, versions),
    }
}
