//! Every key of an engine with its metadata, folder by folder.
//!
//! OpenBao tells a folder's names and their metadata in pages of one request each (`detailed-metadata`); where that is
//! missing or not allowed, names come alone and each key is asked for.

use std::collections::{BTreeMap, VecDeque};

use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Vault, client::About, metadata::Metadata};
use crate::provider::{ErrorKind, Listed, ProviderError};

/// Keys in one page.
const PAGE: &str = "1000";
/// Keys asked for at the same time; the limiter paces them.
const AT_ONCE: usize = 32;
/// Folders below one another, at most: a server that answers a folder with itself would never end.
const DEEPEST: usize = 512;

/// A walk through the folders.
struct Walk {
    folders: VecDeque<Folder>,
    /// Whether metadata come with the names; not known before the first answer.
    is_detailed: Option<bool>,
}

/// One folder, and after which of its names to go on.
struct Folder {
    /// Ends in `/`; the top is empty.
    path: String,
    after: Option<String>,
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
        let walk = Walk { folders: VecDeque::from([top]), is_detailed: None };
        stream::try_unfold(walk, move |mut walk| async move {
            let Some(folder) = walk.folders.pop_front() else { return Ok(None) };
            let found = self.folder(folder, &mut walk).await?;
            Ok::<_, ProviderError>(Some((found, walk)))
        })
        .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
        .try_flatten()
        .map_ok(move |(name, metadata)| async move {
            let metadata = match metadata {
                Some(metadata) => Some(metadata),
                None => self.metadata(&name).await?,
            };
            // A name without a key is for the reading, which finds nothing, and for a second listing: it is not passed over.
            Ok(metadata.map_or_else(|| Listed::named(&name), |metadata| metadata.listed(&name)))
        })
        .try_buffered(AT_ONCE)
        .boxed()
    }

    /// One page of a folder; what is below it waits in the walk.
    async fn folder(&self, folder: Folder, walk: &mut Walk) -> Result<Vec<(String, Option<Metadata>)>, ProviderError> {
        let is_detailed = match walk.is_detailed {
            Some(known) => known,
            None => *walk.is_detailed.insert(self.tells_details().await?),
        };
        let about = About { operation: "list", secret: None };
        let Some(page) = self.page(&folder, is_detailed).await? else { return Ok(Vec::new()) };
        let Page { keys, mut key_info } = page;
        let last = keys.last().cloned();
        if is_detailed && keys.len() >= PAGE.parse().expect("a number") {
            if last <= folder.after {
                return Err(about.bad("the pages of a folder do not continue"));
            }
            walk.folders.push_front(Folder { path: folder.path.clone(), after: last });
        }
        let mut found = Vec::new();
        for key in keys {
            let name = format!("{}{key}", folder.path);
            if key.is_empty() || key == "/" || name.matches('/').count() > DEEPEST {
                return Err(about.bad("the listing has an entry that is not a name"));
            }
            if key.ends_with('/') {
                walk.folders.push_back(Folder { path: name, after: None });
                continue;
            }
            let metadata = key_info.remove(&key).filter(|_| is_detailed);
            found.push((name, metadata.map(|raw| Metadata::parse(raw, about)).transpose()?));
        }
        Ok(found)
    }

    /// Whether names come with their metadata here.
    async fn tells_details(&self) -> Result<bool, ProviderError> {
        let about = About { operation: "list", secret: None };
        let top = Folder { path: String::new(), after: None };
        match self
            .client
            .get(about, &self.path("detailed-metadata", &top.path), &[("list", "true"), ("limit", "1")])
            .await
        {
            Ok(answer) => Ok(answer.data::<Page>(about).is_ok_and(|page| page.is_some())),
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::NotFound) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// `None`: there is nothing.
    async fn page(&self, folder: &Folder, is_detailed: bool) -> Result<Option<Page>, ProviderError> {
        let about = About { operation: "list", secret: None };
        let kind = if is_detailed { "detailed-metadata" } else { "metadata" };
        let mut query = vec![("list", "true")];
        if is_detailed {
            query.push(("limit", PAGE));
            query.extend(folder.after.as_deref().map(|after| ("after", after)));
        }
        let answer = self.client.get(about, &self.path(kind, &folder.path), &query).await?;
        answer.of_engine(about, "the listing has no names")
    }

    /// The segments of what is below a part of the engine; a folder ends in an empty one.
    pub(super) fn path<'a>(&'a self, kind: &'a str, name: &'a str) -> Vec<&'a str> {
        self.mount.path.split('/').chain([kind]).chain(name.split('/')).collect()
    }
}
