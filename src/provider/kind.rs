//! A kind of place for secrets: what turns the text of an address into what connects. One value for each kind, in
//! [`kinds`](fn@super::kinds).

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    ErrorKind, Expanded, Members, Ops, ProviderError, Rules, Source, Target,
    kinds::{self, UnknownKind},
    ops::NO_OPS,
};
use crate::{isolation::Isolation, model::Place};

/// One kind. Everything about an address has a default but what connects; `address` is always one of this kind.
#[async_trait]
pub trait Kind: Send + Sync {
    /// The scheme of its addresses and places.
    fn scheme(&self) -> &'static str;

    /// Its judgement as a target.
    fn rules(&self) -> &'static dyn Rules;

    /// What belongs to it beside secrets: policies, rights, findings, advice.
    fn ops(&self) -> &'static dyn Ops {
        &NO_OPS
    }

    /// Whether what follows the scheme can be meant. The rest of an address is judged by [`settle`](Self::settle).
    fn is_plausible(&self, rest: &str) -> bool {
        let _ = rest;
        true
    }

    /// The address, complete: it means the same from every folder and with every environment. Nothing is connected.
    ///
    /// # Errors
    /// One that can lead nowhere.
    async fn settle(&self, address: &Address, purpose: Purpose) -> Result<Address, BadAddress>;

    /// The sources that an address stands for; `None` where it is one itself.
    async fn expand(&self, address: &Address, connection: &Connection<'_>) -> Option<Expanded> {
        let _ = (address, connection);
        None
    }

    /// Whether an address stands for as many sources as there are.
    fn is_of_many(&self, address: &Address) -> bool {
        let _ = address;
        false
    }

    /// What a place is called among those that one address stands for.
    fn part<'p>(&self, place: &'p Place) -> &'p str {
        &place.region
    }

    /// Whether there are estates of many accounts that a configuration asks for as one.
    fn has_organizations(&self) -> bool {
        false
    }

    /// The sources of such an estate.
    ///
    /// # Errors
    /// Any refusal: half a list would leave accounts out silently.
    async fn members(&self, members: &Members<'_>) -> Result<Expanded, ProviderError> {
        let _ = members;
        Err(bad_address(self.scheme(), "this kind has no organizations"))
    }

    /// Connects to a source.
    ///
    /// # Errors
    /// No credentials, or nothing there that is of this kind.
    async fn connect_source(
        &self,
        address: &Address,
        connection: &Connection<'_>,
    ) -> Result<Arc<dyn Source>, ProviderError>;

    /// Connects to a target: what writes to it, and what reads back.
    ///
    /// # Errors
    /// No credentials, or nothing there that is of this kind.
    async fn connect_target(&self, address: &Address, connection: &Connection<'_>) -> Result<Connected, ProviderError>;

    /// The account that an address leads to, as a place has it.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    async fn account_of(&self, address: &Address, connection: &Connection<'_>) -> Result<String, ProviderError> {
        Ok(self.connect_source(address, connection).await?.place().await?.account)
    }

    /// The place of an address in an account, where both say all of it: nobody needs to be asked then.
    fn place(&self, address: &Address, account: &str) -> Option<Place> {
        let _ = (address, account);
        None
    }

    /// Whether a place is what an address leads to, as far as the address tells.
    fn leads_to(&self, address: &Address, place: &Place) -> bool;

    /// The region of an address, in a kind that has regions.
    fn region<'a>(&self, address: &'a Address) -> Option<&'a str> {
        let _ = address;
        None
    }

    /// Makes sure that a region is one of this kind's; nothing is asked of it.
    ///
    /// # Errors
    /// There is no such region.
    async fn known_region(&self, region: &str) -> Result<(), NoSuchRegion> {
        let _ = region;
        Ok(())
    }

    /// The regions that this kind has, as far as this build knows; none in a kind without regions.
    fn regions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a source may say its `resource`.
    fn has_resource(&self) -> bool {
        false
    }

    /// What of a secret does not show in a listing, and so is as old as its last reading; `None` where all of it shows.
    fn hidden_from_listings(&self) -> Option<&'static str> {
        None
    }

    /// Tries to reach a region, or an endpoint in it, with credentials of nobody, to see that the guard of `isolation` refuses.
    /// `None` where this kind has no region.
    async fn knock(
        &self,
        region: &str,
        endpoint: Option<&str>,
        isolation: &Arc<Isolation>,
    ) -> Option<Result<(), ProviderError>> {
        let _ = (region, endpoint, isolation);
        None
    }
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read from.
    Source,
    /// To write to.
    Target,
}

/// Where secrets are, as a person writes it: `SCHEME:REST`, understood by its kind.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    kind: &'static dyn Kind,
    text: String,
}

/// Not an address of a kind that this build has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Of no kind.
    #[error("{0:?} is not an address (expected {forms})", forms = kinds::forms())]
    Unknown(String),
    /// Not the name of a region.
    #[error("{0:?} is not a provider address (expected aws:REGION, such as aws:eu-central-1)")]
    Region(String),
    /// Of a kind that this build was made without.
    #[error("this build cannot read {address}: it lacks the feature {feature}")]
    NotInThisBuild {
        /// The address.
        address: String,
        /// What the build would need.
        feature: &'static str,
    },
}

/// An address that can lead nowhere, told before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct BadAddress {
    sentence: String,
    remedy: &'static str,
}

/// A region that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no region {region}; did you mean {likely}?")]
pub struct NoSuchRegion {
    /// The name.
    pub region: String,
    /// The one that is most like it.
    pub likely: &'static str,
}

/// Credentials beside those of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The full name of a role to take.
    pub role: Option<String>,
    /// The external id that the role asks for.
    pub role_external_id: Option<String>,
    /// A profile of the provider's own configuration.
    pub profile: Option<String>,
    /// The place in the provider's own management: its rights are captured too.
    pub resource: Option<String>,
}

/// Gives the version id of a name and a value, where the service has none. It must not tell the value to whoever sees the id.
pub type VersionIds = Arc<dyn Fn(&str, &[u8]) -> String + Send + Sync>;

/// Fetches what gives version ids; a sentence where it cannot be had.
pub type IdMaker<'a> = dyn Fn() -> Result<VersionIds, String> + Send + Sync + 'a;

/// What connecting needs from above.
pub struct Connection<'a> {
    /// Credentials beside those of the environment.
    pub access: Access,
    /// The share of every request quota to use, where there are any.
    pub rate_share: f64,
    /// The endpoint, instead of the provider's own.
    pub endpoint: Option<String>,
    /// What every connection has to pass.
    pub isolation: Option<Arc<Isolation>>,
    /// Asked for where the kind has no version ids of its own.
    pub ids: &'a IdMaker<'a>,
}

/// A place that is restored into.
#[derive(Clone)]
pub struct Connected {
    /// What writes to it.
    pub target: Arc<dyn Target>,
    /// What reads back from it.
    pub readback: Arc<dyn Source>,
}

impl Connected {
    /// One connection for both.
    pub fn new(both: impl Source + Target + Clone + 'static) -> Self {
        Self { target: Arc::new(both.clone()), readback: Arc::new(both) }
    }
}

impl Connection<'static> {
    /// One that keeps no version, for questions.
    pub fn plain() -> Self {
        Self { access: Access::default(), rate_share: 0.9, endpoint: None, isolation: None, ids: &nameless }
    }
}

impl Connection<'_> {
    /// What gives version ids.
    ///
    /// # Errors
    /// They cannot be had.
    pub fn version_ids(&self, scheme: &'static str) -> Result<VersionIds, ProviderError> {
        (self.ids)().map_err(|sentence| unusable(scheme, "VersionKey", &sentence))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "others cannot be had")]
fn nameless() -> Result<VersionIds, String> {
    Ok(Arc::new(|_: &str, _: &[u8]| String::new()))
}

impl BadAddress {
    /// One with a sentence, and what is to be done about it where it stands in the configuration.
    pub fn new(sentence: impl fmt::Display, remedy: &'static str) -> Self {
        Self { sentence: sentence.to_string(), remedy }
    }

    /// What is to be done where the configuration has it.
    pub fn remedy(&self) -> &'static str {
        self.remedy
    }
}

impl From<NoSuchRegion> for BadAddress {
    fn from(error: NoSuchRegion) -> Self {
        Self::new(error, "correct the region in the configuration")
    }
}

/// What cannot be connected to as its address or the host is.
pub(super) fn unusable(scheme: &'static str, code: &str, message: &str) -> ProviderError {
    let (provider, kind, operation, secret) = (scheme, ErrorKind::Invalid, "connect", None);
    ProviderError { provider, kind, operation, secret, code: code.into(), message: message.into() }
}

/// The same of an address.
pub(super) fn bad_address(scheme: &'static str, message: &str) -> ProviderError {
    unusable(scheme, "BadAddress", message)
}

impl Address {
    /// One whose kind is known. `text` has the scheme.
    pub(super) fn of(kind: &'static dyn Kind, text: String) -> Self {
        Self { kind, text }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    /// As a person writes it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What follows the scheme.
    pub fn rest(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, rest)| rest)
    }

    /// See [`Kind::settle`].
    ///
    /// # Errors
    /// One that can lead nowhere.
    pub async fn settle(&self, purpose: Purpose) -> Result<Self, BadAddress> {
        self.kind.settle(self, purpose).await
    }

    /// See [`Kind::connect_source`].
    ///
    /// # Errors
    /// No credentials, or nothing there that is of this kind.
    pub async fn connect_source(&self, connection: &Connection<'_>) -> Result<Arc<dyn Source>, ProviderError> {
        self.kind.connect_source(self, connection).await
    }

    /// See [`Kind::connect_target`].
    ///
    /// # Errors
    /// No credentials, or nothing there that is of this kind.
    pub async fn connect_target(&self, connection: &Connection<'_>) -> Result<Connected, ProviderError> {
        self.kind.connect_target(self, connection).await
    }

    /// The account that it leads to, as a place has it.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    pub async fn account(&self) -> Result<String, ProviderError> {
        self.kind.account_of(self, &Connection::plain()).await
    }

    /// Whether a place is what it leads to, as far as it tells: of some kinds not which account it is.
    pub fn leads_to(&self, place: &Place) -> bool {
        place.provider == self.kind.scheme() && self.kind.leads_to(self, place)
    }

    /// The region, where its kind has regions.
    pub fn region(&self) -> Option<&str> {
        self.kind.region(self)
    }

    /// Whether it stands for as many sources as there are.
    pub fn is_of_many(&self) -> bool {
        self.kind.is_of_many(self)
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let unknown = || NoAddress::Unknown(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(unknown)?;
        match kinds::kind(scheme) {
            Ok(kind) if kind.is_plausible(rest) => Ok(Self::of(kind, text.to_owned())),
            Err(UnknownKind::NotInThisBuild { feature, .. }) => {
                Err(NoAddress::NotInThisBuild { address: text.to_owned(), feature })
            }
            Ok(_) | Err(UnknownKind::Unknown(_)) => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = NoAddress;

    fn try_from(text: String) -> Result<Self, NoAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Address {}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}
