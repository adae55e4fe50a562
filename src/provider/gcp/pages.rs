//! Listings, page by page.

use std::collections::HashSet;

use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::Value as Json;

use super::client::{About, Client};
use crate::provider::ProviderError;

/// Pages of one listing, at most: a server that never ends would be asked for ever.
const MOST_PAGES: usize = 100_000;

/// A listing on its way.
struct Walk {
    token: Option<String>,
    seen: HashSet<String>,
}

/// Everything that is listed below a path under `what`, in pages of `size`.
pub(super) fn all<'a>(
    client: &'a Client,
    about: About<'a>,
    location: Option<&'a str>,
    path: Vec<&'a str>,
    (what, size): (&'static str, &'static str),
) -> BoxStream<'a, Result<Json, ProviderError>> {
    let walk = Walk { token: Some(String::new()), seen: HashSet::new() };
    stream::try_unfold((walk, path), move |(mut walk, path)| async move {
        let Some(token) = walk.token.take() else { return Ok::<_, ProviderError>(None) };
        let mut query = vec![("pageSize", size)];
        if !token.is_empty() {
            query.push(("pageToken", token.as_str()));
        }
        let mut page = client.get(about, location, &path, &query).await?.json(about)?;
        let entries = match page[what].take() {
            Json::Array(entries) => entries,
            Json::Null => Vec::new(),
            _ => return Err(about.bad("the listing is not a list")),
        };
        match &page["nextPageToken"] {
            Json::Null => {}
            Json::String(next) if next.is_empty() => {}
            Json::String(next) => {
                if !walk.seen.insert(next.clone()) || walk.seen.len() > MOST_PAGES {
                    return Err(about.bad("the pages of the listing do not end"));
                }
                walk.token = Some(next.clone());
            }
            _ => return Err(about.bad("the listing has no readable token of its next page")),
        }
        Ok(Some((stream::iter(entries.into_iter().map(Ok)), (walk, path))))
    })
    .try_flatten()
    .boxed()
}
