//! The kinds of providers, by the scheme of their addresses.

#[cfg(all(unix, feature = "dotenv"))]
use super::dotenv;
#[cfg(feature = "vault")]
use super::vault;
use super::{Rules, aws};

/// The rules of a kind; `None` for one that this build does not know.
pub fn rules(scheme: &str) -> Option<&'static dyn Rules> {
    match scheme {
        aws::SCHEME => Some(&aws::AwsRules),
        #[cfg(feature = "vault")]
        vault::SCHEME => Some(&vault::VaultRules),
        #[cfg(all(unix, feature = "dotenv"))]
        dotenv::SCHEME => Some(&dotenv::DotenvRules),
        _ => None,
    }
}
