//! What belongs to a kind beside secrets: least policies, what is found out about rights and clocks, what to do about an error.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;

use super::{
    AccessLog, Address, AlarmFormat, BadAddress, BadAlarm, Connected, Connection, ConsumerFinder, ErrorKind, EventFeed,
    Imports, Incident, NoIncident, ProviderError, Redeployer, Rotator, Watched,
};
use crate::{
    model::{Place, Secret},
    text,
};

/// The code of an error that a setting of the environment or of a provider's own configuration makes.
pub const BAD_SETTING: &str = "BadSetting";

/// What the caller is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read the source.
    Backup,
    /// Write a restore target.
    Restore,
    /// Write a sandbox and clean it up.
    Drill,
    /// Read the trail of who read what, and no value.
    Access,
    /// The same, and look for whoever uses secrets.
    Consumers,
}

/// What a finding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is as it should be.
    Well,
    /// It is worth a word.
    Remark,
    /// It could not be found out.
    Unknown,
    /// It is wrong.
    Wrong,
}

/// Something that was found out.
#[derive(Clone, Debug)]
pub struct Finding {
    /// About what.
    pub what: String,
    /// How it is, in a sentence where one is needed; or what kept it from being found out.
    pub found: Result<(State, String), ProviderError>,
}

/// What is looked at.
pub struct Exam<'a> {
    /// Where.
    pub address: &'a Address,
    /// How it is reached.
    pub connection: &'a Connection<'a>,
    /// What it is called.
    pub what: &'a str,
    /// The account that it must be.
    pub account: Option<&'a str>,
    /// What is to be done there.
    pub role: Role,
    /// Names that are made there begin with this.
    pub name_prefix: &'a str,
    /// The regions of the sources, which a target may have to do without.
    pub source_regions: &'a [String],
}

/// What a policy is to allow.
pub struct PolicyRequest<'a> {
    /// The duty.
    pub role: Role,
    /// Where.
    pub address: &'a Address,
    /// The account; that of the credentials without it.
    pub account: Option<String>,
    /// Only names that begin with this; empty for all.
    pub name_prefix: &'a str,
    /// Keys; empty for every key of the account.
    pub keys: &'a [String],
    /// Also rotation.
    pub rotation: bool,
    /// Also replicas.
    pub replication: bool,
    /// Also promotion of replicas.
    pub promotion: bool,
    /// Also changes of what is there.
    pub replace: bool,
    /// Only for sessions with a second factor.
    pub mfa: bool,
    /// Only through these endpoints of a private network; empty for every way.
    pub vpc_endpoints: &'a [String],
}

/// What a host takes to enter its sources.
pub struct Entries<'a> {
    /// Roles by their full names.
    pub roles: &'a [String],
    /// The name of the role in each account of an organization, and the accounts if not all are meant.
    pub organization: Option<(&'a str, &'a [String])>,
}

/// A policy that cannot be written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The address leads nowhere.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The account cannot be asked for.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The kind has none for this.
    #[error("{sentence}")]
    None {
        /// Why.
        sentence: String,
        /// What to do instead.
        remedy: &'static str,
    },
}

#[cfg(any(feature = "gcp", feature = "azure"))]
impl NoPolicy {
    /// Where Lifeboat reads no trail, there is nothing to be allowed.
    pub(super) fn no_trail(address: &Address) -> Self {
        let sentence = format!("Lifeboat cannot read the audit trail of {address}");
        Self::None { sentence, remedy: "look at the audit log of the provider itself" }
    }
}

/// What belongs to a kind beside secrets.
#[async_trait]
pub trait Ops: Send + Sync {
    /// What a source has to be for a backup. `None` where nothing is special: it is connected to, and its listing begun.
    async fn source(&self, exam: &Exam<'_>) -> Option<Vec<Finding>> {
        let _ = exam;
        None
    }

    /// What its kind finds out beside that of a source that can be listed: who reads secrets where they lie, whether rights can be
    /// read.
    async fn beside(&self, exam: &Exam<'_>) -> Vec<Finding> {
        let _ = exam;
        Vec::new()
    }

    /// What a target has to be for a restore or a drill.
    ///
    /// # Errors
    /// What leaves nothing to be looked at.
    async fn target(&self, exam: &Exam<'_>) -> Result<Vec<Finding>, ProviderError> {
        let Connected { target, .. } = exam.address.connect_target(exam.connection).await?;
        let place = match target.place().await {
            Ok(place) => place,
            Err(error) => return Ok(vec![Finding::failed(exam.what, error)]),
        };
        let first = target.names().try_next().await.map(drop);
        Ok(vec![
            Finding::well(exam.what),
            Finding::account(&place, exam.account),
            Finding::attempt(format!("list {}", text::line(&place.region)), first),
        ])
    }

    /// Whether each source has a policy of its own, and none stands for all.
    fn has_policy_of_each(&self) -> bool {
        false
    }

    /// The least policy for a duty, in the kind's own language.
    ///
    /// # Errors
    /// [`NoPolicy`].
    async fn policy(&self, request: &PolicyRequest<'_>) -> Result<String, NoPolicy> {
        let sentence = format!("no policy is known for {}", request.address);
        Err(NoPolicy::None { sentence, remedy: "write it by hand" })
    }

    /// The least policy of a host that enters its sources by roles; `None` where there are no roles.
    fn entry_policy(&self, entries: &Entries<'_>) -> Option<String> {
        let _ = entries;
        None
    }

    /// Alarms on what happens to secrets and on their backup, for others to apply; `None` where the kind has none.
    fn alarms(&self, watched: &Watched, format: AlarmFormat) -> Option<Result<String, BadAlarm>> {
        let _ = (watched, format);
        None
    }

    /// Those whom a secret's own policy lets read it, as far as an alarm can tell them from strangers.
    fn known_readers(&self, secret: &Secret) -> Vec<String> {
        let _ = secret;
        Vec::new()
    }

    /// The provider's own record of who read what; `None` where Lifeboat cannot read it.
    fn access_log(&self) -> Option<&'static dyn AccessLog> {
        None
    }

    /// What finds out who uses secrets; `None` where the kind has nothing of the sort.
    fn consumers(&self) -> Option<&'static dyn ConsumerFinder> {
        None
    }

    /// What tells of changes at once; `None` where Lifeboat knows of nothing.
    fn events(&self) -> Option<&'static dyn EventFeed> {
        None
    }

    /// What deploys programs again, so that they take other values; `None` where the kind has no programs.
    fn redeployer(&self) -> Option<&'static dyn Redeployer> {
        None
    }

    /// What writes restored secrets for tools that keep infrastructure as code; `None` where there is none.
    fn imports(&self) -> Option<&'static dyn Imports> {
        None
    }

    /// What the kind knows about answering a compromise.
    fn incident(&self) -> &'static dyn Incident {
        &NoIncident
    }

    /// What rotates the secrets of a place at once; `None` where the kind has no such call.
    ///
    /// # Errors
    /// No credentials.
    async fn rotator(&self, place: &Place) -> Result<Option<Arc<dyn Rotator>>, ProviderError> {
        let _ = place;
        Ok(None)
    }

    /// What to do about an error, where its kind alone does not say it.
    fn remedy(&self, error: &ProviderError) -> Option<String> {
        remedy(error)
    }
}

/// What to do about an error of any kind.
pub(super) fn remedy(error: &ProviderError) -> Option<String> {
    let words = match error.kind {
        ErrorKind::Throttled => "run again later, or with a smaller rate_share",
        ErrorKind::Unavailable => "check the network and the address; run again to continue",
        _ => return None,
    };
    Some(words.to_owned())
}

/// A kind with nothing of its own.
pub struct NoOps;

/// The one value.
pub static NO_OPS: NoOps = NoOps;

impl Ops for NoOps {}

impl Finding {
    /// Whether a place is of the account that it must be.
    pub fn account(place: &Place, expected: Option<&str>) -> Self {
        match expected {
            Some(expected) if expected != place.account => {
                Self::new("account", State::Wrong, format!("{place}; the configuration has account {expected}"))
            }
            _ => Self::new("account", State::Well, place.to_string()),
        }
    }

    /// Something that was found out.
    pub fn new(what: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self { what: what.into(), found: Ok((state, detail.into())) }
    }

    /// Something that is as it should be.
    pub fn well(what: impl Into<String>) -> Self {
        Self::new(what, State::Well, "")
    }

    /// Something that an error kept from being found out.
    pub fn failed(what: impl Into<String>, error: ProviderError) -> Self {
        Self { what: what.into(), found: Err(error) }
    }

    /// What an attempt came to.
    pub fn attempt(what: impl Into<String>, outcome: Result<(), ProviderError>) -> Self {
        Self { what: what.into(), found: outcome.map(|()| (State::Well, String::new())) }
    }
}
