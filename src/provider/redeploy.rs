//! What makes a program of the provider take other values: a new deployment, with references to where the secrets are now.

use async_trait::async_trait;

use super::{Address, Connection, Consumer, ProviderError};

/// Walks through the identifiers of secrets that changed: the old one, the new one. A sentence says why it cannot.
pub type Moves<'a> = dyn Fn(&mut dyn FnMut(&str, &str)) -> Result<(), String> + Sync + 'a;

/// A program that has values since its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A service of ECS.
    EcsService {
        /// Its cluster.
        cluster: String,
        /// Its name.
        service: String,
    },
    /// A function of Lambda.
    LambdaFunction {
        /// Its name.
        function: String,
    },
}

/// What is to be deployed again, and what changed before.
pub struct Redeployment<'a> {
    /// Where.
    pub address: &'a Address,
    /// How it is reached.
    pub connection: &'a Connection<'a>,
    /// The account that it must be; `None` where any is right.
    pub account: Option<&'a str>,
    /// What.
    pub workload: &'a Workload,
    /// What changed.
    pub moves: &'a Moves<'a>,
    /// Is told how far it is, for the case that it does not end in time. Never a value.
    pub tell: &'a (dyn Fn(String) + Sync),
}

/// A deployment that did not come to its end. Its sentence holds no value.
#[derive(Debug, thiserror::Error)]
pub enum NotRedeployed {
    /// The provider refused or did not answer.
    #[error("{0}")]
    Provider(#[from] ProviderError),
    /// An answer does not say what it must, or the deployment failed.
    #[error("{0}")]
    Failed(String),
}

/// What deploys again. Nothing is a success that the provider's own answers do not show.
#[async_trait]
pub trait Redeployer: Sync {
    /// Deploys again and waits for the end of it, however long that takes: the caller has the time limit. Gives what was
    /// done, in one sentence without a value.
    ///
    /// # Errors
    /// See [`NotRedeployed`].
    async fn redeploy(&self, wanted: &Redeployment<'_>) -> Result<String, NotRedeployed>;

    /// The least policy for these workloads, each in its region.
    fn policy(&self, account: &str, workloads: &[(String, Workload)], conditions: (bool, &[String])) -> String;
}

impl Workload {
    /// Whether a consumer that was found is this one.
    pub fn is(&self, consumer: &Consumer) -> bool {
        match self {
            Self::EcsService { cluster, service } => {
                // Old identifiers of services do not have the cluster.
                let is_it = consumer.id.ends_with(&format!(":service/{cluster}/{service}"))
                    || consumer.id.ends_with(&format!(":service/{service}"));
                consumer.kind == "ecs service" && is_it
            }
            Self::LambdaFunction { function } => {
                consumer.kind == "lambda function" && consumer.id.ends_with(&format!(":function:{function}"))
            }
        }
    }
}
