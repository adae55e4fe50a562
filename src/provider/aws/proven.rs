//! Credentials reach the signer only after GetCallerIdentity, asked with exactly these, named the account of this
//! connection: a credential process, a profile or an endpoint that answers anew may lead somewhere else.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future::ProvideCredentials as Providing,
};
use aws_sdk_secretsmanager::config::{Credentials, IdentityCache};

use super::{call::Operation, failure::Failure};
use crate::{
    model::Digest,
    provider::{ErrorKind, ProviderError},
};

/// Proofs remembered: each client of a connection may hold credentials of its own.
const REMEMBERED: usize = 16;
/// The code of the refusal.
const OTHER_ACCOUNT: &str = "OtherAccount";

/// Hands out what another provider gives, once it is proven. Only digests are kept.
pub(super) struct Proven {
    inner: SharedCredentialsProvider,
    config: SdkConfig,
    account: OnceLock<String>,
    seen: Mutex<VecDeque<Digest>>,
}

/// Credentials that were not proven; found again in the SDK's error by its type.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unproven(pub(super) ProviderError);

impl Proven {
    /// Puts the proof before what `inner` gives; the account of the first credentials is the account from then on.
    pub(super) fn wrap(inner: SharedCredentialsProvider, config: &SdkConfig) -> SharedCredentialsProvider {
        let proven = Self { inner, config: config.clone(), account: OnceLock::new(), seen: Mutex::default() };
        SharedCredentialsProvider::new(proven)
    }

    async fn provide(&self) -> Result<Credentials, CredentialsError> {
        let given = self.inner.provide_credentials().await?;
        let name = digest(&given);
        if !self.remembered().contains(&name) {
            let account = self.ask(&given).await.map_err(CredentialsError::provider_error)?;
            self.compare(&account).map_err(CredentialsError::provider_error)?;
            let mut remembered = self.remembered();
            remembered.truncate(REMEMBERED - 1);
            remembered.push_front(name);
        }
        Ok(given)
    }

    /// The account that these credentials lead to, by the provider's own word.
    async fn ask(&self, given: &Credentials) -> Result<String, Unproven> {
        // The call that needs the credentials is made again when this one fails: attempts of its own would multiply.
        let config = aws_sdk_sts::config::Builder::from(&self.config)
            .retry_config(RetryConfig::disabled())
            .identity_cache(IdentityCache::no_cache())
            .credentials_provider(given.clone());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let operation = Operation::GetCallerIdentity;
        let answer = client.get_caller_identity().send().await;
        let answer = answer.map_err(|error| Unproven(Failure::of(operation, None, &error).into()))?;
        let account = answer.account().filter(|account| !account.is_empty());
        account
            .map(str::to_owned)
            .ok_or_else(|| unproven(ErrorKind::Unavailable, "BadAnswer", "the answer names no account".into()))
    }

    fn compare(&self, account: &str) -> Result<(), Unproven> {
        let pinned = self.account.get_or_init(|| account.to_owned());
        if pinned == account {
            return Ok(());
        }
        let message = format!("the credentials lead to account {account} now, and led to account {pinned} before");
        Err(unproven(ErrorKind::Credentials, OTHER_ACCOUNT, message))
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, VecDeque<Digest>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvideCredentials for Proven {
    fn provide_credentials<'a>(&'a self) -> Providing<'a>
    where
        Self: 'a,
    {
        Providing::new(self.provide())
    }
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proven")
    }
}

/// What tells credentials apart: key id and session token.
fn digest(given: &Credentials) -> Digest {
    let token = given.session_token().unwrap_or_default();
    Digest::of(&[given.access_key_id().as_bytes(), &[0], token.as_bytes()].concat())
}

fn unproven(kind: ErrorKind, code: &str, message: String) -> Unproven {
    let operation = Operation::GetCallerIdentity.name();
    Unproven(ProviderError { provider: "aws", kind, operation, secret: None, code: code.into(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(key: &str, token: Option<&str>) -> Credentials {
        Credentials::new(key, "x", token.map(str::to_owned), None, "test")
    }

    #[test]
    fn the_first_account_is_the_account_and_another_is_named() {
        let inner = SharedCredentialsProvider::new(credentials("key", None));
        let config = SdkConfig::builder().build();
        let proven = Proven { inner, config, account: OnceLock::new(), seen: Mutex::default() };
        proven.compare("111111111111").unwrap();
        proven.compare("111111111111").unwrap();
        let Unproven(error) = proven.compare("222222222222").unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, OTHER_ACCOUNT));
        assert!(error.message.contains("222222222222 now, and led to account 111111111111"), "{error}");
        proven.compare("111111111111").unwrap();
    }

    #[test]
    fn credentials_are_told_apart_by_key_and_token() {
        let all =
            [credentials("a", None), credentials("b", None), credentials("a", Some("b")), credentials("a", Some("c"))];
        let digests: std::collections::BTreeSet<_> = all.iter().map(digest).collect();
        assert_eq!(digests.len(), 4);
        assert_eq!(digest(&all[2]), digest(&credentials("a", Some("b"))));
    }
}
