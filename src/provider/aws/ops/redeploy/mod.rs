//! New deployments of ECS services and updates of Lambda functions, with references to where the secrets are now.
//!
//! Environments hold values of others: an answer is searched for identifiers, sent back with new ones, and dropped.

mod ecs;
mod lambda;
mod mapping;
mod policy;

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use serde_json::Value as Json;

use super::super::{
    Aws,
    call::Operation,
    direct::{Direct, ECS, LAMBDA, Service},
    kind::settings,
    sdk_config,
};
use crate::{
    provider::{NotRedeployed, Redeployer, Redeployment, Source as _, Workload},
    text,
};

/// Between two looks at a deployment: the first one, and the longest.
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// AWS's.
pub(super) struct Deployer;

/// A connection for the calls of one hook.
struct Calls {
    aws: Aws,
    config: SdkConfig,
    endpoint: Option<String>,
}

#[async_trait]
impl Redeployer for Deployer {
    async fn redeploy(&self, wanted: &Redeployment<'_>) -> Result<String, NotRedeployed> {
        let settings = settings(wanted.address, wanted.connection);
        let config = sdk_config(&settings).await?;
        let endpoint = settings.endpoint.clone();
        let aws = Aws::connect(settings).await?;
        if let Some(account) = wanted.account {
            let found = aws.place().await?;
            if found.account != account {
                return Err(failed(format!("the credentials are for {found}, not for account {account}")));
            }
        }
        let calls = Calls { aws, config, endpoint };
        match wanted.workload {
            Workload::EcsService { cluster, service } => ecs::deploy(&calls, (cluster, service), wanted).await,
            Workload::LambdaFunction { function } => lambda::update(&calls, function, wanted).await,
        }
    }

    fn policy(&self, account: &str, workloads: &[(String, Workload)], conditions: (bool, &[String])) -> String {
        super::page(&policy::policy(account, workloads, conditions))
    }
}

impl Calls {
    async fn ecs(&self, operation: Operation, body: &Json) -> Result<Json, NotRedeployed> {
        self.send(ECS, operation, body).await
    }

    async fn lambda(&self, operation: Operation, body: &Json) -> Result<Json, NotRedeployed> {
        self.send(LAMBDA, operation, body).await
    }

    async fn send(&self, service: Service, operation: Operation, body: &Json) -> Result<Json, NotRedeployed> {
        let direct = Direct::new(&self.config, self.endpoint.as_deref(), service, operation)?;
        let answer = self.aws.call(operation, None, || direct.send(body.clone())).await;
        answer.map_err(|failure| NotRedeployed::Provider(failure.into()))
    }
}

/// The pauses between looks: short at first, never longer than [`LONGEST_LOOK`].
struct Looks(Duration);

impl Looks {
    fn new() -> Self {
        Self(FIRST_LOOK)
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(LONGEST_LOOK);
    }
}

fn failed(sentence: impl Into<String>) -> NotRedeployed {
    NotRedeployed::Failed(sentence.into())
}

/// An answer that lacks what it must have.
fn half(operation: Operation, lacks: &str) -> NotRedeployed {
    failed(format!("{}: an answer without {lacks}", operation.name()))
}

/// A text of the provider's, as a part of a sentence.
fn said(json: &Json) -> String {
    text::sentence(json.as_str().unwrap_or("no reason is given")).into_owned()
}
