//! What belongs to a Vault beside secrets: policies in HCL, advice.

mod policy;

use async_trait::async_trait;

use self::policy::backup_policy;
use super::kind::understood;
use crate::provider::{ErrorKind, NoPolicy, Ops, PolicyRequest, ProviderError, Role, ops};

/// A Vault's.
pub struct VaultOps;

#[async_trait]
impl Ops for VaultOps {
    /// A policy names the paths of one engine.
    fn has_policy_of_each(&self) -> bool {
        true
    }

    async fn policy(&self, request: &PolicyRequest<'_>) -> Result<String, NoPolicy> {
        let none = |sentence: String| NoPolicy::None { sentence, remedy: "write it by hand (docs/vault.md)" };
        let address = request.address;
        if request.role != Role::Backup {
            return Err(none(format!("no policy is known for a restore into {address}")));
        }
        let known = understood(address).ok().and_then(|address| backup_policy(&address));
        known.ok_or_else(|| none(format!("no policy can name what {address} leads to")))
    }

    fn remedy(&self, error: &ProviderError) -> Option<String> {
        let words = match error.kind {
            ErrorKind::Credentials => {
                "set VAULT_TOKEN, sign in again, or check the role of the address (docs/vault.md)"
            }
            ErrorKind::Unavailable => {
                "check the network, the address, and that the server is not sealed; run again to continue"
            }
            ErrorKind::Denied => "`lifeboat doctor --policy backup` prints the policy that is needed (docs/vault.md)",
            ErrorKind::Throttled => {
                "run again later, or ask for a larger quota (sys/quotas/rate-limit); VAULT_RATE_LIMIT sets a slower pace"
            }
            _ => return ops::remedy(error),
        };
        Some(words.to_owned())
    }
}
