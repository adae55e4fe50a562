//! What belongs to Secret Manager beside secrets: roles, advice.

use async_trait::async_trait;

use super::{
    iam::{backup_roles, restore_roles},
    kind::understood,
};
use crate::provider::{ErrorKind, NoPolicy, Ops, PolicyRequest, ProviderError, Role, ops};

/// Google's.
pub struct GcpOps;

#[async_trait]
impl Ops for GcpOps {
    /// A role is bound to one project.
    fn has_policy_of_each(&self) -> bool {
        true
    }

    async fn policy(&self, request: &PolicyRequest<'_>) -> Result<String, NoPolicy> {
        let address = understood(request.address)?;
        Ok(match request.role {
            Role::Backup => backup_roles(&address),
            Role::Restore | Role::Drill => restore_roles(&address),
            Role::Access | Role::Consumers => return Err(NoPolicy::no_trail(request.address)),
        })
    }

    fn remedy(&self, error: &ProviderError) -> Option<String> {
        let words = match error.kind {
            ErrorKind::Credentials => {
                "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login` (docs/gcp.md)"
            }
            ErrorKind::Denied => "`lifeboat doctor --policy backup` prints the role that is needed (docs/gcp.md)",
            ErrorKind::Throttled => "run again later, with a smaller rate_share, or ask Google for a larger quota",
            _ => return ops::remedy(error),
        };
        Some(words.to_owned())
    }
}
