//! Every key of an engine with its metadata, several folders at a time.
//!
//! OpenBao tells a folder's names and their metadata in pages of one request each (`detailed-metadata`); where that is
//! missing or not allowed, names come alone and each key is asked for. Its `SCAN`, which goes through all folders at once, has no
//! pages: an answer as large as the engine is the server's memory, and is not asked for.

use std::collections::BTreeMap;

use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Vault, client::About, metadata::Metadata};
use crate::provider::{ErrorKind, Listed, ProviderError};

/// Keys in one page.
const PAGE: &str = "1000";
/// Keys asked for at the same time; the limiter paces them.
const AT_ONCE: usize = 32;
/// Folders asked for at the same time: each answer holds the metadata of a page.
const FOLDERS_AT_ONCE: usize = 8;
/// Folders below one another, at most: a server that answers a folder with itself would never end.
const DEEPEST: usize = 512;

/// A walk through the folders.
struct Walk<'a> {
    /// The last one is the next, so that few wait at a time.
    waiting: Vec<Folder>,
    asked: FuturesUnordered<BoxFuture<'a, Result<Found, ProviderError>>>,
    /// Whether metadata come with the names; not known before the first answer.
    is_detailed: Option<bool>,
}

/// One folder, and after which of its names to go on.
struct Folder {
    /// Ends in `/`; the top is empty.
    path: String,
    after: Option<String>,
}

/// What one answer had.
#[derive(Default)]
struct Found {
    keys: Vec<(String, Option<Metadata>)>,
    folders: Vec<Folder>,
}

#[derive(Deserialize)]
struct Page {
    keys: Vec<String>,
    #[serde(default)]
    key_info: BTreeMap<String, Json>,
}

impl Vault {
    pub(super) fn listed(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let top = Folder { path: String::new(), after: None };
        let walk = Walk { waiting: vec![top], asked: FuturesUnordered::new(), is_detailed: None };
        stream::try_unfold(walk, move |walk| self.next_page(walk))
            .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .map_ok(move |(name, metadata)| async move {
                let metadata = match metadata {
                    None if self.mount.has_versions => self.metadata(&name).await,
                    known => Ok(known),
                };
                match metadata {
                    Ok(metadata) => {
                        // A name without a key is for the reading, which finds nothing, and for a second listing: it is not
                        // passed over.
                        Ok(metadata.map_or_else(|| Listed::named(&name), |metadata| metadata.listed(&name)))
                    }
                    // The reading is denied as well, and names it.
                    Err(error) if error.kind == ErrorKind::Denied => Ok(Listed::named(&name)),
                    Err(error) => Err(error),
                }
            })
            .try_buffered(AT_ONCE)
            .boxed()
    }

    /// The keys of the next answer.
    async fn next_page<'a>(
        &'a self,
        mut walk: Walk<'a>,
    ) -> Result<Option<(Vec<(String, Option<Metadata>)>, Walk<'a>)>, ProviderError> {
        let is_detailed = match walk.is_detailed {
            Some(known) => known,
            None => *walk.is_detailed.insert(self.mount.has_versions && self.tells_details().await?),
        };
        while walk.asked.len() < FOLDERS_AT_ONCE
            && let Some(folder) = walk.waiting.pop()
        {
            walk.asked.push(self.folder(folder, is_detailed).boxed());
        }
        let Some(Found { keys, folders }) = walk.asked.try_next().await? else { return Ok(None) };
        walk.waiting.extend(folders);
        Ok(Some((keys, walk)))
    }

    /// One page of a folder.
    async fn folder(&self, folder: Folder, is_detailed: bool) -> Result<Found, ProviderError> {
        let about = folder.about();
        let mut found = Found::default();
        let Some(page) = self.page(&folder, is_detailed).await? else { return Ok(found) };
        let Page { keys, mut key_info } = page;
        let last = keys.last().cloned();
        if is_detailed && keys.len() >= PAGE.parse().expect("a number") {
            if last <= folder.after {
                return Err(about.bad("the pages of a folder do not continue"));
            }
            found.folders.push(Folder { path: folder.path.clone(), after: last });
        }
        for key in keys {
            let name = format!("{}{key}", folder.path);
            if key.is_empty() || key == "/" || name.matches('/').count() > DEEPEST {
                return Err(about.bad("the listing has an entry that is not a name"));
            }
            if key.ends_with('/') {
                found.folders.push(Folder { path: name, after: None });
                continue;
            }
            let metadata = key_info.remove(&key).filter(|_| is_detailed);
            found.keys.push((name, metadata.map(|raw| Metadata::parse(raw, about)).transpose()?));
        }
        Ok(found)
    }

    /// Whether names come with their metadata here.
    async fn tells_details(&self) -> Result<bool, ProviderError> {
        let about = About { operation: "list", secret: None };
        let query = [("list", "true"), ("limit", "1")];
        match self.client.get(about, &self.path("detailed-metadata", ""), &query).await {
            Ok(answer) => Ok(answer.data::<Page>(about).is_ok_and(|page| page.is_some())),
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::NotFound) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// `None`: there is nothing.
    async fn page(&self, folder: &Folder, is_detailed: bool) -> Result<Option<Page>, ProviderError> {
        let about = folder.about();
        let mut query = vec![("list", "true")];
        if is_detailed {
            query.push(("limit", PAGE));
            query.extend(folder.after.as_deref().map(|after| ("after", after)));
        }
        let path = match (self.mount.has_versions, is_detailed) {
            (false, _) => self.plain_path(&folder.path),
            (true, false) => self.path("metadata", &folder.path),
            (true, true) => self.path("detailed-metadata", &folder.path),
        };
        self.client.get(about, &path, &query).await?.of_engine(about, "the listing has no names")
    }

    /// The segments of what is below a part of an engine with versions; a folder ends in an empty one.
    pub(super) fn path<'a>(&'a self, kind: &'a str, name: &'a str) -> Vec<&'a str> {
        self.mount.path.split('/').chain([kind]).chain(name.split('/')).collect()
    }
}

impl Folder {
    fn about(&self) -> About<'_> {
        About { operation: "list", secret: Some(self.path.as_str()).filter(|path| !path.is_empty()) }
    }
}
