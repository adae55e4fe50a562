//! From configured sources to connections: each account and region once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{Host, HostError};
use crate::{
    config::{SourceSection, Sources},
    crypto::VersionKey,
    model::{Place, PlaceFilter},
    provider::{
        self, Address, BadAddress, Connection, Expanded, LeftOut, Part, ProviderError, Purpose, Reached, Source,
        VersionIds,
    },
};

/// What a run is to capture.
#[derive(Clone, Default)]
pub struct Estate {
    /// One entry for each account and region, or mount.
    pub sections: Vec<SourceSection>,
    /// Accounts and mounts that are no source, and why.
    pub left_out: Vec<LeftOut>,
    /// Whether one address of the configuration stands for several sources.
    pub is_expanded: bool,
    /// The ways that are open already.
    reached: BTreeMap<Address, Arc<dyn Reached>>,
}

impl fmt::Debug for Estate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sections, left_out, is_expanded, reached } = self;
        f.debug_struct("Estate")
            .field("sections", sections)
            .field("left_out", left_out)
            .field("is_expanded", is_expanded)
            .field("reached", &reached.keys())
            .finish()
    }
}

/// A source that was found, or why it was not.
pub struct Found {
    /// What the configuration says.
    pub section: SourceSection,
    /// Whether it is one of several that the configuration asks for without naming them: one that is empty is no sign of a mistake.
    pub is_one_of_many: bool,
    /// The connection and where it leads.
    pub outcome: Result<(Arc<dyn Source>, Place), ProviderError>,
}

/// A configuration that an organization contradicts.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    /// The organization cannot be asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// An address that leads nowhere.
    #[error("[source]: {0}")]
    Address(#[from] BadAddress),
    /// Nothing is left.
    #[error("every account of the organization is excluded, so there is nothing to capture")]
    Empty,
    /// The same account and region twice.
    #[error("two sources lead to the same place, {0}")]
    Twice(Place),
}

impl Host {
    /// Every source, an organization's accounts and a server's mounts included.
    ///
    /// # Errors
    /// See [`EstateError`].
    pub async fn estate(&self) -> Result<Estate, EstateError> {
        let mut estate = Estate::default();
        for section in self.config.sources.listed() {
            let url = section.url.settle(Purpose::Source).await?;
            let section = SourceSection { url, ..section.clone() };
            match section.url.kind().expand(&section.url, &plain(&section)).await {
                Some(expanded) => {
                    estate.is_expanded = true;
                    estate.take(expanded, |Part { address, account, access, .. }| SourceSection {
                        url: address,
                        account: account.or_else(|| section.account.clone()),
                        access: access.unwrap_or_else(|| section.access.clone()),
                        capture: section.capture.clone(),
                        queue: section.queue.clone(),
                    });
                }
                None => estate.sections.push(section),
            }
        }
        let Sources::Organization(section) = &self.config.sources else { return Ok(estate) };
        let members = section.members();
        let kind = provider::kinds().find(|kind| kind.has_organizations()).ok_or(EstateError::Empty)?;
        for region in &section.regions {
            kind.known_region(region).await.map_err(BadAddress::from)?;
        }
        estate.take(kind.members(&members).await?, |Part { address, account, access, .. }| SourceSection {
            capture: section.capture.clone(),
            access: access.unwrap_or_else(|| members.access.clone()),
            ..SourceSection::new(address, account)
        });
        if estate.sections.is_empty() { Err(EstateError::Empty) } else { Ok(estate) }
    }
}

impl Estate {
    /// Whether it is one source and can be no more.
    pub fn is_one(&self, sources: &Sources) -> bool {
        matches!(sources, Sources::One(_)) && !self.is_expanded
    }

    /// Adds several sources, each with what the configuration says of it.
    fn take(&mut self, expanded: Expanded, section: impl Fn(Part) -> SourceSection) {
        self.left_out.extend(expanded.left_out);
        for mut part in expanded.parts {
            if let Some(reached) = part.reached.take() {
                self.reached.insert(part.address.clone(), reached);
            }
            self.sections.push(section(part));
        }
    }

    /// Connects to one of its sources and finds out where it leads: the configuration's word where it names the account, which the
    /// snapshot holds it to; else the provider's.
    pub async fn find(&self, section: SourceSection, host: &Host) -> Found {
        let outcome = async {
            let maker = || ids(&|| host.version_key());
            let connection = Connection { ids: &maker, ..plain(&section) };
            let source = match self.reached.get(&section.url) {
                Some(reached) => reached.connect(&connection).await?,
                None => section.url.connect_source(&connection).await?,
            };
            let told = section.account.as_ref().and_then(|account| section.url.kind().place(&section.url, account));
            let place = match told {
                Some(place) => place,
                None => source.place().await?,
            };
            Ok((source, place))
        };
        let outcome = outcome.await;
        let is_one_of_many =
            matches!(host.config.sources, Sources::Organization(_)) || self.reached.contains_key(&section.url);
        Found { section, is_one_of_many, outcome }
    }

    /// Takes note of mounts that were captured before and are not among its sources any more: a policy that lost a line must not
    /// make the backup shorter without a word.
    pub fn miss<'p>(&mut self, before: impl Iterator<Item = &'p Place>, sources: &Sources) {
        let of_all: Vec<&SourceSection> = sources.listed().iter().filter(|section| section.url.is_of_many()).collect();
        let is_there = |place: &Place| self.sections.iter().any(|section| section.url.leads_to(place));
        let meaning = |place: &Place| {
            of_all.iter().find(|section| {
                section.account.as_ref().is_none_or(|account| *account == place.account) && section.url.leads_to(place)
            })
        };
        let gone = before.filter(|place| !is_there(place)).filter_map(|place| {
            let part = meaning(place)?.url.kind().part(place);
            Some(LeftOut::mount(&place.account, part, LeftOut::GONE))
        });
        let gone: Vec<LeftOut> = gone.collect();
        self.left_out.extend(gone);
    }
}

/// A connection for questions, as a section of the configuration has it.
pub fn plain(section: &SourceSection) -> Connection<'static> {
    Connection { access: section.access.clone(), rate_share: section.capture.rate_share, ..Connection::plain() }
}

/// What gives version ids, by the host's key.
pub(super) fn ids(versions: &dyn Fn() -> Result<VersionKey, HostError>) -> Result<VersionIds, String> {
    let key = versions().map_err(|error| error.to_string())?;
    Ok(Arc::new(move |name: &str, value: &[u8]| key.version_id(name, value)))
}

/// Connects to a source. The key of version ids is asked for where the kind has none of its own.
///
/// # Errors
/// When no credentials can be found, or the key cannot be read.
pub async fn connect(
    section: &SourceSection,
    versions: impl Fn() -> Result<VersionKey, HostError> + Send + Sync,
) -> Result<Arc<dyn Source>, ProviderError> {
    let maker = || ids(&versions);
    section.url.connect_source(&Connection { ids: &maker, ..plain(section) }).await
}

/// Refuses two sources that lead to one place: each would keep the other's journal and index for its own.
///
/// # Errors
/// [`EstateError::Twice`].
pub fn refuse_twins(found: &[Found]) -> Result<(), EstateError> {
    let mut seen = BTreeSet::new();
    let places = found.iter().filter_map(|found| found.outcome.as_ref().ok());
    match places.map(|(_, place)| place).find(|place| !seen.insert(*place)) {
        Some(place) => Err(EstateError::Twice(place.clone())),
        None => Ok(()),
    }
}

/// What of a secret does not show in a listing of its kind, and so is as old as its last reading; `None` where all of it shows.
pub fn hidden_from_listings(place: &Place) -> Option<&'static str> {
    provider::kind(&place.provider).ok().and_then(provider::Kind::hidden_from_listings)
}

/// Whether a filter may mean a source, before anybody is asked where it leads.
pub fn may_be(section: &SourceSection, filter: &PlaceFilter) -> bool {
    let account = section.account.as_ref().is_none_or(|account| *account == filter.account);
    let region = |wanted: &String| section.url.region().is_none_or(|region| wanted == region);
    account && filter.region.as_ref().is_none_or(region)
}
