//! Who uses secrets of AWS: task definitions of ECS, environments of Lambda, and the policies of secrets and keys.
//! Environments hold values of others: each answer is searched for references and dropped.

mod asking;
mod policy;
pub(super) mod reference;

use async_trait::async_trait;

use super::super::{Aws, kind::settings, sdk_config};
use crate::{
    model::Secret,
    provider::{Address, Connection, Consumer, ConsumerFinder, Follows, Looked, ProviderError, Surveyed},
};

/// AWS's.
pub(super) struct Finder;

#[async_trait]
impl ConsumerFinder for Finder {
    fn of_policy(&self, secret: &Secret) -> Vec<Consumer> {
        policy::of_secret(secret)
    }

    fn reader(&self, id: &str, reference: &str) -> Consumer {
        Consumer {
            kind: "reader".into(),
            id: id.to_owned(),
            at: "CloudTrail".into(),
            reference: reference.to_owned(),
            fixes: reference::fixes(reference),
            follows: Follows::ByItself,
        }
    }

    async fn survey(
        &self,
        address: &Address,
        connection: &Connection<'_>,
        surveyed: Surveyed<'_>,
        sink: &mut (dyn FnMut(Consumer) + Send),
    ) -> Result<Vec<Looked>, ProviderError> {
        let settings = settings(address, connection);
        let config = sdk_config(&settings).await?;
        let endpoint = settings.endpoint.clone();
        let aws = Aws::connect(settings).await?;
        let asking = asking::Asking { aws: &aws, config: &config, endpoint: endpoint.as_deref() };
        let known = reference::Known::of(surveyed.secrets);
        Ok(vec![
            asking.tasks(&known, sink).await,
            asking.functions(&known, sink).await,
            asking.keys(surveyed.secrets, sink).await,
        ])
    }
}
