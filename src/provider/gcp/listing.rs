//! Every secret with its metadata and the number of its newest version.
//!
//! A listing tells metadata and not versions, and a secret's etag need not change with a version. So the newest version of each
//! secret is asked for by reading it, from the quota of values, which is the largest: the answer has its number.

use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use reqwest::StatusCode;

use super::{
    Gcp,
    client::{ACCESS, About, Answer, Ask},
    metadata::{Latest, Metadata, number},
    pace::Bucket,
    pages,
};
use crate::{
    clock::{Clock as _, SystemClock},
    model::Withheld,
    provider::{Listed, ProviderError},
};

/// Entries of a page.
const PAGE: &str = "1000";
/// Secrets whose newest version is asked for at the same time; the limiter paces them.
const AT_ONCE: usize = 128;

impl Gcp {
    /// Every secret, as the listing tells of it.
    pub(super) fn entries(&self) -> BoxStream<'_, Result<Metadata, ProviderError>> {
        let about = About { operation: "secrets.list", secret: None };
        let listed = pages::all(&self.client, about, self.location(), self.path(&[]), ("secrets", PAGE));
        listed.map(move |raw| Metadata::parse(raw?, &self.place, about)).boxed()
    }

    pub(super) fn listed(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        self.entries()
            .map_ok(move |entry| async move {
                let latest = self.latest(&entry.id).await?;
                Ok(entry.listed(latest, SystemClock.now()))
            })
            .try_buffered(AT_ONCE)
            .boxed()
    }

    /// The newest version; `None`: it cannot be told.
    async fn latest(&self, id: &str) -> Result<Option<Latest>, ProviderError> {
        let about = About { operation: ACCESS, secret: Some(id) };
        let path = self.path(&[id, "versions", "latest"]);
        let ask = Ask { verb: "access", bucket: Bucket::Access, ..Ask::get(self.location(), &path) };
        let answer = self.client.send(about, &ask).await?;
        match answer.status {
            StatusCode::OK => {
                let name = super::read::named(&answer, about)?;
                let number = number(&name, &self.place, id);
                number.map(|number| Some((number, None))).ok_or_else(|| about.bad("the answer is of another version"))
            }
            // It has no version, or it is gone: then the reading says so.
            StatusCode::NOT_FOUND => Ok(Some((0, None))),
            StatusCode::BAD_REQUEST => Ok(state_in(&answer, id)),
            // The reading is denied as well, and names it.
            StatusCode::FORBIDDEN => Ok(None),
            _ => Err(about.refused(&answer)),
        }
    }
}

/// The version and the state that a refusal names: `Secret Version [projects/1/secrets/a/versions/4] is in DESTROYED state.`
pub(super) fn state_in(answer: &Answer, id: &str) -> Option<Latest> {
    if answer.code() != "FAILED_PRECONDITION" {
        return None;
    }
    let message = answer.message();
    let rest = message.split_once(&format!("/secrets/{id}/versions/"))?.1;
    let number = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let state = if rest.contains("DESTROYED state") {
        Withheld::Destroyed
    } else if rest.contains("DISABLED state") {
        Withheld::Disabled
    } else {
        return None;
    };
    Some((number, Some(state)))
}
