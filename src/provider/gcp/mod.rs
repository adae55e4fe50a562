//! Google Cloud Secret Manager: the secrets of a project, global or of one location.
//!
//! A place is the project's number and a location, or `global`. Reading changes nothing: a disabled version is never enabled for
//! a backup. <https://docs.cloud.google.com/secret-manager/docs/reference/rest>.

mod address;
mod auth;
mod client;
mod iam;
mod kind;
mod listing;
mod metadata;
mod names;
mod ops;
mod pace;
mod pages;
mod policy;
mod project;
mod read;
mod rules;
mod wish;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};

pub use address::{BadGcpAddress, GcpAddress};
pub use iam::{backup_roles, restore_roles};
pub use kind::GcpKind;
pub use project::GcpProject;
pub use rules::GcpRules;

use super::{Applied, Fetched, Known, Listed, Pace, ProviderError, Source, Target, held::Budget};
use crate::model::{Existing, Place, Secret, SecretValue, Step};
use client::Client;

/// The scheme of its addresses and places.
pub(super) const SCHEME: &str = "gcp";
/// The region of a place that is bound to no location.
pub const GLOBAL: &str = "global";
/// Values that may be in memory at once, in bytes.
const VALUES: u32 = 64 * 1024 * 1024;
/// The longest value, in bytes (Secret Manager: quotas and limits).
const LARGEST: u32 = 65_536;

/// A connection to the secrets of one project and location. Clones share its pacing and its token.
#[derive(Clone)]
pub struct Gcp {
    client: Arc<Client>,
    place: Place,
    budget: Budget,
}

impl Gcp {
    /// The location; `None` where secrets are global.
    fn location(&self) -> Option<&str> {
        Some(self.place.region.as_str()).filter(|region| *region != GLOBAL)
    }

    /// The segments of a path below the project and the location.
    fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["projects", self.place.account.as_str()];
        if let Some(location) = self.location() {
            path.extend(["locations", location]);
        }
        path.push("secrets");
        path.extend(rest);
        path
    }
}

#[async_trait]
impl Source for Gcp {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        self.listed()
    }

    fn pace(&self) -> Option<Pace> {
        Some(self.client.limiter.pace())
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        self.read_secret(listed, known).await
    }
}

#[async_trait]
impl Target for Gcp {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn write_pace(&self) -> Option<f64> {
        Some(self.client.limiter.writes())
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        Box::pin(self.entries().map(|entry| entry.map(|entry| entry.id)))
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.existing(name).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let (name, incarnation) = metadata::split(id);
        let found = self.metadata(name).await?.filter(|found| incarnation.is_none_or(|_| found.incarnation() == id));
        Ok(found.map(|found| found.secret(&[])))
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        self.write(step, at, value).await
    }
}
