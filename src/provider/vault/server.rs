//! One server and namespace, signed in once for all its engines.

use std::sync::Arc;

use super::{SCHEME, VALUES, Vault, VaultAddress, client::Client};
use crate::{
    isolation::Isolation,
    model::Place,
    provider::{ProviderError, held::Budget},
};

/// A server, signed in. What is connected by it shares its token, its pace and its memory: a quota is of the client, not of the
/// engine.
#[derive(Clone)]
pub struct VaultServer {
    client: Arc<Client>,
    account: String,
    budget: Budget,
}

/// The type of a child namespace among what is no engine: each is a source of its own.
pub(super) const NAMESPACE: &str = "namespace";

/// What a server has mounted, as far as the token is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounted {
    /// The KV engines by path.
    pub engines: Vec<String>,
    /// Everything else by path, with its type.
    pub others: Vec<(String, String)>,
}

impl VaultServer {
    /// Signs in.
    ///
    /// # Errors
    /// No token, none that works, or no answer.
    pub async fn connect(address: &VaultAddress, isolation: Option<Arc<Isolation>>) -> Result<Self, ProviderError> {
        let client = Client::connect(address, isolation).await?;
        let cluster = client.cluster().await?;
        let account = match &address.namespace {
            Some(namespace) => format!("{cluster}/{namespace}"),
            None => cluster,
        };
        Ok(Self { client: Arc::new(client), account, budget: Budget::new(VALUES) })
    }

    /// The cluster and the namespace, as a place has them.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Everything that is mounted.
    ///
    /// # Errors
    /// Any refusal.
    pub async fn mounted(&self) -> Result<Mounted, ProviderError> {
        self.client.mounts().await
    }

    /// One engine.
    ///
    /// # Errors
    /// No such engine.
    pub async fn engine(&self, path: &str) -> Result<Vault, ProviderError> {
        let mount = self.client.mount(path).await?;
        let region = format!("{}@{}", mount.path, mount.uuid);
        let place = Place { provider: SCHEME.into(), account: self.account.clone(), region };
        Ok(Vault { client: Arc::clone(&self.client), mount, place, budget: self.budget.clone(), ids: None })
    }
}
