//! What belongs to a key vault beside secrets: roles, advice.

use async_trait::async_trait;

use super::{
    kind::{source, understood},
    role,
};
use crate::provider::{ErrorKind, Exam, Finding, NoPolicy, Ops, PolicyRequest, ProviderError, Role, ops};

/// Key Vault's.
pub struct AzureOps;

#[async_trait]
impl Ops for AzureOps {
    /// A role is assigned vault by vault.
    fn has_policy_of_each(&self) -> bool {
        true
    }

    async fn policy(&self, request: &PolicyRequest<'_>) -> Result<String, NoPolicy> {
        let address = understood(request.address).map_err(crate::provider::BadAddress::from)?;
        if matches!(request.role, Role::Access | Role::Consumers) {
            return Err(NoPolicy::no_trail(request.address));
        }
        Ok(role::definition(&address, request.role))
    }

    /// Whether the rights can be read that a snapshot is to capture.
    async fn beside(&self, exam: &Exam<'_>) -> Vec<Finding> {
        if exam.connection.access.resource.is_none() {
            return Vec::new();
        }
        match source(exam.address, exam.connection).await {
            Ok(azure) => azure.rights.iter().map(|rights| rights.finding()).collect(),
            Err(error) => vec![Finding::failed("rights", error)],
        }
    }

    fn remedy(&self, error: &ProviderError) -> Option<String> {
        let words = match (error.kind, error.code.as_str()) {
            (ErrorKind::Credentials, _) => {
                "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or sign in with az login (docs/azure.md)"
            }
            (_, "ForbiddenByFirewall") => "add this host's address or network to the vault's firewall (docs/azure.md)",
            (_, "RequestDisallowedByPolicy") => {
                "an Azure Policy of the subscription refuses such a secret: ask its owner for an exemption"
            }
            (_, "ObjectIsDeletedButRecoverable") => {
                "use --on-scheduled undelete to recover it, force-replace to purge it, or --name-map for another name"
            }
            (ErrorKind::Denied, _) => "`lifeboat doctor --policy` prints the role that is needed (docs/azure.md)",
            (ErrorKind::Throttled, _) => {
                "run again later, or with a smaller rate_share: a vault takes 4,000 requests in 10 seconds"
            }
            _ => return ops::remedy(error),
        };
        Some(words.to_owned())
    }
}
