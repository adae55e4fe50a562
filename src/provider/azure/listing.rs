//! Every secret of a vault, page by page, and behind them those that are deleted.

use std::collections::HashSet;

use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Azure,
    client::About,
    versions::{Item, Rows, second},
};
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Secret, Withheld},
    provider::{ErrorKind, Listed, ProviderError},
};

/// Entries of one page, at most.
const PAGE: &str = "25";
/// The same as a number.
pub(super) const PAGE_ENTRIES: f64 = 25.0;
/// Pages without an entry that follow each other: a service may skip, and not for ever.
const MOST_EMPTY: u32 = 1_000;
/// Seconds after a change within which another one may have the same date. Clocks differ too.
const TOO_FRESH: i64 = 300;

/// What a page says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    value: Option<Vec<Json>>,
    #[serde(default)]
    next_link: Option<String>,
}

/// A walk through the pages of one listing.
struct Walk {
    next: Option<Url>,
    /// What was there, by number: a page that brings nothing new ends it.
    seen: HashSet<u64>,
    empty: u32,
}

/// Which version the vault says is the current one.
enum Current {
    Is(String),
    /// It says so instead of giving it.
    IsDisabled,
    Unknown,
}

impl Azure {
    /// Whether the vault answers and may be listed.
    pub(super) async fn is_there(&self) -> Result<(), ProviderError> {
        let about = About { operation: "secrets/list", secret: None };
        let answer = self.client.get(about, &["secrets"], &[("maxresults", "1")]).await?;
        answer.json::<Page>(about).map(drop)
    }

    pub(super) fn listed(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let live = self.entries(About { operation: "secrets/list", secret: None }, &["secrets"]);
        let deleted = self.entries(About { operation: "deletedsecrets/list", secret: None }, &["deletedsecrets"]);
        let live = live.map(|entry| entry.and_then(|(raw, item)| live_entry(&raw, &item)));
        let deleted = deleted.map(|entry| entry.and_then(|(_, item)| deleted_entry(&item)));
        live.chain(deleted).boxed()
    }

    /// Every version of a secret; `None`: there is no such secret, or it is deleted.
    pub(super) async fn versions(&self, name: &str) -> Result<Option<Rows>, ProviderError> {
        let about = About::of("secrets/versions", name);
        let found: Result<Vec<(Json, Item)>, ProviderError> =
            self.entries(about, &["secrets", name, "versions"]).try_collect().await;
        let found = match found {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        for (_, item) in &found {
            if !item.name(about)?.0.eq_ignore_ascii_case(name) {
                return Err(about.bad("a version is another secret's"));
            }
        }
        // A secret without a version is none.
        if found.is_empty() {
            return Ok(None);
        }
        let mut rows = Rows::of(found, about)?;
        if rows.is_open() {
            match self.current(name).await? {
                Current::Is(version) => rows.settle(&version),
                Current::IsDisabled => rows.settle_disabled(),
                Current::Unknown => {}
            }
        }
        Ok(Some(rows))
    }

    /// What the vault itself says of the current version.
    async fn current(&self, name: &str) -> Result<Current, ProviderError> {
        let about = About::of(super::read::READS_VALUE, name);
        match self.client.get(about, &["secrets", name, ""], &[]).await {
            Ok(answer) => {
                let (_, version) = Item::parse(&answer.raw(about)?, about)?.name(about)?;
                Ok(version.map_or(Current::Unknown, Current::Is))
            }
            Err(error) if error.code == super::client::DISABLED => Ok(Current::IsDisabled),
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::NotFound) => Ok(Current::Unknown),
            Err(error) => Err(error),
        }
    }

    fn entries<'a>(&'a self, about: About<'a>, path: &[&'a str]) -> BoxStream<'a, Result<(Json, Item), ProviderError>> {
        let first = self.client.url(path, &[("maxresults", PAGE)]);
        let walk = Walk { next: Some(first.clone()), seen: HashSet::new(), empty: 0 };
        stream::try_unfold(walk, move |mut walk| {
            let first = first.clone();
            async move {
                let Some(url) = walk.next.take() else { return Ok(None) };
                let page: Page = self.client.get_at(about, url).await?.json(about)?;
                let value = page.value.ok_or_else(|| about.bad("the listing has no entries"))?;
                let next = page.next_link.filter(|link| !link.is_empty());
                walk.next = next.map(|link| continued(&link, &first, about)).transpose()?;
                let mut entries = Vec::with_capacity(value.len());
                let mut is_new = false;
                for raw in value {
                    let item = Item::parse(&raw, about)?;
                    let (name, version) = item.name(about)?;
                    is_new |= walk.seen.insert(number(&name.to_ascii_lowercase(), version.as_deref()));
                    entries.push(Ok((raw, item)));
                }
                walk.empty = if entries.is_empty() { walk.empty + 1 } else { 0 };
                if walk.next.is_some() && (walk.empty > MOST_EMPTY || (!is_new && walk.empty == 0)) {
                    return Err(about.bad("the pages of the listing do not continue"));
                }
                Ok(Some((stream::iter(entries), walk)))
            }
        })
        .try_flatten()
        .boxed()
    }
}

/// Where a listing goes on. The token goes there too, so it must be the same server and the same listing.
fn continued(link: &str, first: &Url, about: About<'_>) -> Result<Url, ProviderError> {
    let url = of_server(link, first, about)?;
    if url.path().eq_ignore_ascii_case(first.path()) { Ok(url) } else { Err(elsewhere(about)) }
}

/// A link to the same server.
pub(super) fn of_server(link: &str, server: &Url, about: About<'_>) -> Result<Url, ProviderError> {
    let url = Url::parse(link).map_err(|_| about.bad("the next page has no address"))?;
    let is_own = url.origin() == server.origin() && url.username().is_empty() && url.password().is_none();
    if is_own { Ok(url) } else { Err(elsewhere(about)) }
}

fn elsewhere(about: About<'_>) -> ProviderError {
    about.bad("the next page is elsewhere, and the token is not sent there")
}

fn number(name: &str, version: Option<&str>) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (name, version).hash(&mut hasher);
    hasher.finish()
}

/// A secret as the listing shows it: its current version. A change of an older one does not show.
fn live_entry(raw: &Json, item: &Item) -> Result<Listed, ProviderError> {
    let about = About { operation: "secrets/list", secret: None };
    let (name, _) = item.name(about)?;
    let changed = item.attributes.updated.max(item.attributes.created);
    let is_fresh = SystemClock.now().as_second() - changed < TOO_FRESH;
    let mut secret = Secret { name: name.clone(), id: name.clone(), ..Secret::default() };
    secret.facets.tags = item.shown_tags();
    secret.changed = second(item.attributes.updated);
    let fingerprint = (!is_fresh).then(|| Item::fingerprint(raw));
    Ok(Listed { id: name.clone(), name, secret, fingerprint })
}

fn deleted_entry(item: &Item) -> Result<Listed, ProviderError> {
    let about = About { operation: "deletedsecrets/list", secret: None };
    let (name, _) = item.name(about)?;
    let deleted = item.deleted_date.and_then(second);
    let deleted = deleted.ok_or_else(|| about.bad("a deleted secret has no date of its deletion"))?;
    let mut secret = Secret { name: name.clone(), id: name.clone(), deleted: Some(deleted), ..Secret::default() };
    secret.facets.tags = item.shown_tags();
    Ok(Listed { id: name.clone(), name, secret, fingerprint: None })
}

/// What nobody gets of a deleted secret before it is recovered.
pub(super) const HIDDEN: Withheld = Withheld::ScheduledForDeletion;
