//! Where secrets live.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One account and region of a provider: the scope of a snapshot, a plan and a drill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The provider's scheme: `aws`.
    pub provider: String,
    /// The account as the provider itself reports it (AWS: STS GetCallerIdentity).
    pub account: String,
    /// The region.
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (account {})", self.provider, self.region, self.account)
    }
}
