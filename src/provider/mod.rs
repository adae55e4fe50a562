//! Where secrets live: two traits, so that a snapshot cannot write.

mod access;
mod alarms;
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
mod carried;
pub mod codec;
mod consumers;
#[cfg(all(unix, feature = "dotenv"))]
pub mod dotenv;
mod events;
#[cfg(any(feature = "vault", feature = "gcp", feature = "azure"))]
mod exchange;
mod expand;
#[cfg(feature = "gcp")]
pub mod gcp;
mod held;
mod imports;
mod incident;
mod keys;
mod kind;
mod kinds;
pub mod memory;
#[cfg(any(feature = "vault", feature = "gcp", feature = "azure"))]
mod numbered;
mod ops;
mod pace;
mod redeploy;
mod rules;
#[cfg(feature = "vault")]
pub mod vault;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;

pub use self::{
    access::{AccessLog, Asked, Entry, Event, Named, Reach, Reader, ReaderKind, Reading, Sink},
    alarms::{AlarmFormat, BadAlarm, Watched},
    carried::Carried,
    consumers::{Consumer, ConsumerFinder, Fixes, Follows, Looked, Surveyed},
    events::{EventFeed, EventQueue, FeedPlan, Hint, Message, Told},
    expand::{Expanded, LeftOut, Members, Part, Reached, Unreached},
    held::Held,
    imports::{Identifiers, ImportFormat, Imports},
    incident::{Advice, Incident, NoIncident, Rotator, Way, incident, rotator},
    kind::{
        Access, Address, BadAddress, Connected, Connection, IdMaker, Kind, NoAddress, NoSuchRegion, Purpose, VersionIds,
    },
    kinds::{FORMS, UnknownKind, kind, kinds, of_region, rules},
    ops::{BAD_SETTING, Entries, Exam, Finding, NO_OPS, NoOps, NoPolicy, Ops, PolicyRequest, Role, State},
    redeploy::{Moves, NotRedeployed, Redeployer, Redeployment, Workload},
    rules::{Context, Goal, Questions, Quotas, Relation, Rules, Wish, Writes},
};
use crate::{
    model::{
        Codec, Digest, Existing, Facets, Place, PolicyVerdict, Presence, Record, Secret, SecretValue, Step, Version,
        VersionFacets, Withheld,
    },
    text,
};

/// Tells whether the caller has a value already: by the identifier of the incarnation as the reading itself found it, and the
/// id of the version. A listing may be minutes old, and where a service numbers versions, a secret that was made anew begins
/// at 1 again.
pub type Known<'a> = dyn Fn(&str, &str) -> bool + Sync + 'a;

/// A place secrets are read from.
#[async_trait]
pub trait Source: Send + Sync {
    /// Asks the provider which account and region this is.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    async fn place(&self) -> Result<Place, ProviderError>;

    /// Lists every secret, those scheduled for deletion included, in any order.
    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>>;

    /// How fast the provider's quotas let it be read; `None` where there are none.
    fn pace(&self) -> Option<Pace> {
        None
    }

    /// Reads one secret consistently: labels, versions and values of one moment.
    /// Values for which `known(incarnation, version)` holds are not read.
    ///
    /// A part that is refused is recorded in the answer and does not fail the call.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the secret has vanished since it was listed; any error
    /// that concerns the whole run (network, expired credentials).
    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError>;
}

/// A place secrets are written to.
#[async_trait]
pub trait Target: Send + Sync {
    /// Asks the provider which account and region this is.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    async fn place(&self) -> Result<Place, ProviderError>;

    /// How many writes of one kind the provider's quotas allow per second; `None` where there are none.
    fn write_pace(&self) -> Option<f64> {
        None
    }

    /// Every name there is, those scheduled for deletion included, in any order, some perhaps twice.
    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>>;

    /// What has this name, also when it is scheduled for deletion. Reads no values.
    ///
    /// # Errors
    /// Any refusal: a plan made on half an inventory would be wrong.
    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError>;

    /// Whether a key (id, ARN or alias) or a secret's ARN exists here; asked without changing anything.
    ///
    /// # Errors
    /// What concerns the whole run; a refusal is [`Presence::Unknown`].
    async fn presence(&self, reference: &str) -> Result<Presence, ProviderError> {
        let _ = reference;
        Ok(Presence::Unknown("this provider has no way to ask".into()))
    }

    /// What the provider itself thinks of a resource policy; nothing is attached.
    ///
    /// # Errors
    /// What concerns the whole run; a refusal is [`PolicyVerdict::Unknown`].
    async fn judge_policy(&self, policy: &str) -> Result<PolicyVerdict, ProviderError> {
        let _ = policy;
        Ok(PolicyVerdict::Unknown("this provider has no way to ask".into()))
    }

    /// What has this name or identifier now, by one call; scheduled for deletion or not. An identifier finds its own
    /// incarnation and never another secret of the same name.
    ///
    /// # Errors
    /// Any refusal.
    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError>;

    /// Applies one step, with the value when the step writes a version. Applying a step twice is
    /// the same as applying it once; a lost answer followed by "already exists" with the same
    /// id and value is success.
    ///
    /// With `at`, the identifier of an incarnation, the step meets that one or nothing; without it, whatever has the
    /// name. What deletes is applied to an identifier only.
    ///
    /// # Errors
    /// The provider's refusal, after retries where a retry can help.
    async fn apply(&self, step: &Step, at: Option<&str>, value: Option<&SecretValue>)
    -> Result<Applied, ProviderError>;

    /// Ends a restore that was carried out whole: what was noted so that it could be continued is not needed any more.
    ///
    /// # Errors
    /// It cannot be taken away.
    async fn finish(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// What came of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The identifier in the answer to a creation; `None` where nothing was created, or what is there was met and is the
    /// same.
    pub created: Option<String>,
}

impl Listed {
    /// A secret known by its name alone: to read it without a listing, which may be minutes behind.
    pub fn named(name: &str) -> Self {
        let secret = Secret { name: name.to_owned(), id: name.to_owned(), ..Secret::default() };
        Self { name: name.to_owned(), id: name.to_owned(), secret, fingerprint: None }
    }

    /// Whether nothing says which incarnation it is: the listing of a key vault has names alone.
    pub fn is_name_alone(&self) -> bool {
        self.id == self.name
    }
}

/// An entry that waits among records, without versions.
impl From<Listed> for Record {
    fn from(Listed { secret, fingerprint, .. }: Listed) -> Self {
        Self { secret, versions: Vec::new(), read: Timestamp::UNIX_EPOCH, listing: fingerprint }
    }
}

/// The entry again.
impl From<Record> for Listed {
    fn from(Record { secret, listing, .. }: Record) -> Self {
        Self { name: secret.name.clone(), id: secret.id.clone(), secret, fingerprint: listing }
    }
}

/// What quotas allow, at the share of them that is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Entries of a listing per second.
    pub listed: f64,
    /// Secrets read per second: of the calls that each takes, those of the slowest quota.
    pub read: f64,
}

/// One entry of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// The provider's identifier of this incarnation.
    pub id: String,
    /// The metadata as far as the listing tells.
    pub secret: Secret,
    /// Over everything the entry says that does not move by reading; `None` when it cannot be relied upon.
    pub fingerprint: Option<Digest>,
}

/// One secret as read: metadata, versions in the provider's order, and the values that were asked for.
pub struct Fetched {
    /// The metadata.
    pub secret: Secret,
    /// The versions.
    pub versions: Vec<FetchedVersion>,
    /// Whether the entry of the listing says the same as what was read: only then may it stand for that another time.
    pub agrees: bool,
    /// What its values take of the memory that values may take; whoever keeps many of them at once keeps it from others.
    pub held: Option<Held>,
}

/// One version as read.
pub struct FetchedVersion {
    /// The version id.
    pub id: String,
    /// Whether an application that asks for no version gets this one.
    pub current: bool,
    /// Labels, sorted.
    pub labels: Vec<String>,
    /// Creation time.
    pub created: Option<jiff::Timestamp>,
    /// The metadata of this version.
    pub facets: VersionFacets,
    /// The value, or why there is none.
    pub value: FetchedValue,
}

impl FetchedVersion {
    /// A version as it is known, with what is told of its value.
    pub fn of(version: Version, value: FetchedValue) -> Self {
        let Version { id, current, labels, created, facets, value: _ } = version;
        Self { id, current, labels, created, facets, value }
    }
}

/// The value of a version as read.
pub enum FetchedValue {
    /// Read.
    Value(SecretValue),
    /// Not asked for: the caller has it.
    Known,
    /// The version holds no value.
    None,
    /// The state of the version keeps its value from being read.
    Withheld(Withheld),
    /// The provider refused, with this error code.
    Unreadable(String),
}

/// What a kind calls settings of a secret, by its own names, as a record keeps them; those that say nothing are left out.
pub fn settings(facets: &Facets) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut settings = BTreeMap::new();
    let keep = facets.other.get("keep");
    for (field, name) in [("most_versions", "max_versions"), ("delete_after", "delete_version_after")] {
        if let Some(value) =
            keep.and_then(|keep| keep.get(field)).map(text).filter(|it| !["0", "0s", ""].contains(&&**it))
        {
            settings.insert(name.to_owned(), value);
        }
    }
    if facets.other.get("check_and_set").and_then(serde_json::Value::as_bool) == Some(true) {
        settings.insert("cas_required".to_owned(), "true".to_owned());
    }
    for (id, of_version) in facets.other.get("azure").and_then(|own| own["versions"].as_object()).into_iter().flatten()
    {
        for (name, value) in of_version.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(tags) => settings.extend(tags.iter().map(|(key, value)| (format!("{id}.tag.{key}"), text(value)))),
                None => drop(settings.insert(format!("{id}.{name}"), text(value))),
            }
        }
    }
    if let Some(mode) = facets.other.get("file").and_then(|file| file.get("mode")).map(text) {
        settings.insert("mode".to_owned(), mode);
    }
    for (name, value) in facets.other.get("settings").and_then(serde_json::Value::as_object).into_iter().flatten() {
        settings.insert(name.clone(), text(value));
    }
    settings
}

/// How a version is written whose value is bytes that a kind of texts keeps as base64, and says so.
fn decoded(facets: &Facets, version: &Version) -> Option<Codec> {
    let of_version = &facets.other.get("azure")?["versions"][&version.id];
    (of_version["content_type"].as_str()? == BASE64).then_some(Codec::Base64)
}

/// The content type of bytes as base64.
const BASE64: &str = "application/octet-stream;base64";

/// What kind of failure a provider reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Permission: the policy or the key does not allow it.
    Denied,
    /// It is not there.
    NotFound,
    /// Something is there that is not what the step would create.
    Conflict,
    /// A limit of the provider that waiting does not lift.
    Limit,
    /// The rate is exceeded, still after retries.
    Throttled,
    /// No answer: network, TLS, timeout, 5xx.
    Unavailable,
    /// No credentials, or expired ones.
    Credentials,
    /// The provider says the request is wrong.
    Invalid,
}

/// A provider's refusal. The text never holds a value.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ProviderError {
    /// The provider's scheme, as a [`Place`] has it.
    pub provider: &'static str,
    /// What kind.
    pub kind: ErrorKind,
    /// The operation, as the provider names it.
    pub operation: &'static str,
    /// The secret, where there is one.
    pub secret: Option<String>,
    /// The provider's error code, or a word of our own for failures without one.
    pub code: String,
    /// The provider's text, only for operations that carry no value.
    pub message: String,
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(secret) = &self.secret {
            write!(f, " of {}", text::line(secret))?;
        }
        write!(f, ": {}", text::sentence(&self.code))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, " ({})", text::sentence(&self.message)) }
    }
}
