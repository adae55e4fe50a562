//! One address or organization that stands for several sources.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{Access, Address, Connection, ProviderError, Source};
use crate::text;

/// The sources that one address, or an organization, stands for.
#[derive(Default)]
pub struct Expanded {
    /// Those that are captured.
    pub parts: Vec<Part>,
    /// Those that are not, and why.
    pub left_out: Vec<LeftOut>,
}

/// One source of several.
pub struct Part {
    /// Its own address.
    pub address: Address,
    /// The account that it must be; `None` leaves what the configuration says.
    pub account: Option<String>,
    /// Its own credentials; `None` leaves what the configuration says.
    pub access: Option<Access>,
    /// The way to it that is open already; `None` connects by the address.
    pub reached: Option<Arc<dyn Reached>>,
}

/// A source that was reached when the others were asked for, or why it was not.
#[async_trait]
pub trait Reached: Send + Sync {
    /// Connects to it.
    ///
    /// # Errors
    /// As [`Kind::connect_source`](super::Kind::connect_source).
    async fn connect(&self, connection: &Connection<'_>) -> Result<Arc<dyn Source>, ProviderError>;
}

/// The accounts of an organization, each entered by a role of the same name.
pub struct Members<'a> {
    /// The role's name in every account.
    pub role: &'a str,
    /// The regions of every account.
    pub regions: &'a [String],
    /// These accounts alone; empty for all.
    pub accounts: &'a [String],
    /// Not these accounts.
    pub exclude_accounts: &'a [String],
    /// The profile and the external id.
    pub access: Access,
}

/// One that could not be reached: it fails with the reason.
pub struct Unreached(pub ProviderError);

#[async_trait]
impl Reached for Unreached {
    async fn connect(&self, _: &Connection<'_>) -> Result<Arc<dyn Source>, ProviderError> {
        Err(self.0.clone())
    }
}

/// An account of an organization, or a mount of a server, that is not captured.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// The account.
    pub account: String,
    /// The mount, where it is one of the account that is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// `excluded`, `not in the organization`, or the provider's word for its state.
    pub reason: String,
}

impl LeftOut {
    /// The configuration's own word.
    pub const EXCLUDED: &str = "excluded";
    /// An account that the organization does not have.
    pub const STRANGER: &str = "not in the organization";
    /// One that is not seen any more.
    pub const GONE: &str = "it was captured before, and this host does not see it any more";

    /// An account.
    pub fn account(account: &str, reason: &str) -> Self {
        Self { account: account.to_owned(), mount: None, reason: reason.to_owned() }
    }

    /// A part of an account.
    pub fn mount(account: &str, mount: &str, reason: &str) -> Self {
        Self { mount: Some(mount.to_owned()), ..Self::account(account, reason) }
    }

    /// What it is, for people.
    pub fn name(&self) -> String {
        match &self.mount {
            None => format!("account {}", text::line(&self.account)),
            Some(mount) => format!("mount {}", text::line(mount)),
        }
    }

    /// Whether the configuration itself leaves it out.
    pub fn is_excluded(&self) -> bool {
        self.reason == Self::EXCLUDED
    }

    /// Whether the configuration asks for it.
    pub fn is_missed(&self) -> bool {
        self.reason == Self::STRANGER || self.reason == Self::GONE
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.name(), text::line(&self.reason))
    }
}
