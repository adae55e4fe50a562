//! One project, signed in once for all its locations: its quotas are the project's, not the location's.

use std::sync::Arc;

use futures::TryStreamExt as _;
use serde_json::Value as Json;

use super::{
    GLOBAL, Gcp, GcpAddress, SCHEME, VALUES,
    client::{About, Client},
    pages,
};
use crate::{
    isolation::Isolation,
    model::Place,
    outward::GcpSettings,
    provider::{ErrorKind, ProviderError, held::Budget},
};

/// A project, signed in.
#[derive(Clone)]
pub struct GcpProject {
    client: Arc<Client>,
    number: String,
    budget: Budget,
}

impl GcpProject {
    /// Signs in, and finds the project's number.
    ///
    /// # Errors
    /// No credentials, none that work, or no such project.
    pub async fn connect(
        address: &GcpAddress,
        settings: &GcpSettings,
        rate_share: f64,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Self, ProviderError> {
        let client = Client::new(settings, rate_share, isolation)?;
        let number = if address.has_number() { address.project.clone() } else { number(&client, address).await? };
        Ok(Self { client: Arc::new(client), number, budget: Budget::new(VALUES) })
    }

    /// The project's number, as a place has it.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The locations that have secrets of their own, `global` first whether it has any or not.
    ///
    /// # Errors
    /// Any refusal.
    pub async fn locations(&self) -> Result<Vec<String>, ProviderError> {
        let about = About { operation: "locations.list", secret: None };
        let path = vec!["projects", self.number.as_str(), "locations"];
        let all: Vec<Json> = pages::all(&self.client, about, None, path, ("locations", "500")).try_collect().await?;
        let mut found = vec![GLOBAL.to_owned()];
        for location in all {
            let id = location["locationId"].as_str().filter(|id| !id.is_empty() && *id != GLOBAL);
            let Some(id) = id else { continue };
            if self.has_secrets(id).await? {
                found.push(id.to_owned());
            }
        }
        Ok(found)
    }

    async fn has_secrets(&self, location: &str) -> Result<bool, ProviderError> {
        let about = About { operation: "secrets.list", secret: None };
        let path = ["projects", self.number.as_str(), "locations", location, "secrets"];
        let page = self.client.get(about, Some(location), &path, &[("pageSize", "1")]).await?.json(about)?;
        Ok(page["secrets"].as_array().is_some_and(|secrets| !secrets.is_empty()))
    }

    /// The secrets of one location, or the global ones.
    pub fn at(&self, location: &str) -> Gcp {
        let place = Place { provider: SCHEME.into(), account: self.number.clone(), region: location.to_owned() };
        Gcp { client: Arc::clone(&self.client), place, budget: self.budget.clone() }
    }
}

/// The number of a project that is named by its id: the name of any secret has it; of an empty project another service knows it.
async fn number(client: &Client, address: &GcpAddress) -> Result<String, ProviderError> {
    let about = About { operation: "secrets.list", secret: None };
    let location = address.location.as_deref().filter(|location| *location != GLOBAL);
    let mut path = vec!["projects", address.project.as_str()];
    if let Some(location) = location {
        path.extend(["locations", location]);
    }
    path.push("secrets");
    let page = client.get(about, location, &path, &[("pageSize", "1")]).await?.json(about)?;
    if let Some(number) = page["secrets"][0]["name"].as_str().and_then(number_in) {
        return Ok(number);
    }
    let about = About { operation: "projects.get", secret: None };
    let answer = client.project(about, &address.project).await.map_err(|error| {
        let words = format!(
            "the project has no secrets here, and its number cannot be read ({}): use gcp:NUMBER, or allow resourcemanager.projects.get",
            error.code
        );
        ProviderError { message: words, kind: ErrorKind::Denied, ..error }
    })?;
    let said = answer.json(about)?;
    if said["projectId"] != address.project.as_str() {
        return Err(about.bad("the answer is of another project"));
    }
    said["name"].as_str().and_then(number_in).ok_or_else(|| about.bad("the answer has no project number"))
}

fn number_in(name: &str) -> Option<String> {
    let number = name.strip_prefix("projects/")?.split('/').next()?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| number.to_owned())
}
