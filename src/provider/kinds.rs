//! The kinds of providers, by the scheme of their addresses.

#[cfg(all(unix, feature = "dotenv"))]
use super::dotenv;
#[cfg(feature = "vault")]
use super::vault;
use super::{ErrorKind, ProviderError, Rules, aws};

/// A kind whose rules this build does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing can be restored into {0} by this build")]
pub struct UnknownKind(String);

impl From<UnknownKind> for ProviderError {
    fn from(unknown: UnknownKind) -> Self {
        Self {
            provider: "target",
            kind: ErrorKind::Invalid,
            operation: "rules",
            secret: None,
            code: "UnknownKind".into(),
            message: unknown.to_string(),
        }
    }
}

/// The rules of a kind.
///
/// # Errors
/// [`UnknownKind`].
pub fn rules(scheme: &str) -> Result<&'static dyn Rules, UnknownKind> {
    match scheme {
        aws::SCHEME => Ok(&aws::AwsRules),
        #[cfg(feature = "vault")]
        vault::SCHEME => Ok(&vault::VaultRules),
        #[cfg(all(unix, feature = "dotenv"))]
        dotenv::SCHEME => Ok(&dotenv::DotenvRules),
        _ => Err(UnknownKind(scheme.to_owned())),
    }
}
