//! KV version 1: a value for each name, without versions and without metadata.
//!
//! The server tells nothing of a value but the value: it is read in every run, and its id is made of it by a key of the host's.

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    Vault,
    client::About,
    read::{LARGEST, READS_VALUE},
};
use crate::{
    model::{Secret, SecretValue, VersionFacets},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Known, Listed, ProviderError},
};

/// The facet that says which engine it was.
const ENGINE: &str = "engine";

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    lease_duration: u64,
}

impl Vault {
    /// The one version of a name. What is read in every run is not stored twice: its id is known.
    pub(super) async fn read_plain(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let name = listed.name.as_str();
        let about = About { operation: READS_VALUE, secret: Some(name) };
        let ids = self.ids.as_ref().ok_or_else(|| {
            about.failed(ErrorKind::Invalid, "KvVersion1", "KV version 1 can be read as a source only")
        })?;
        let mut held = self.budget.reserve(LARGEST).await;
        let answer = self.client.get(about, &self.plain_path(name), &[]).await?;
        if answer.of_engine::<serde::de::IgnoredAny>(about, "the answer has no value")?.is_none() {
            return Err(about.failed(ErrorKind::NotFound, "NotFound", ""));
        }
        let Said { data, lease_duration } = serde_json::from_slice(answer.bytes())
            .map_err(|_| about.bad("the answer is not the JSON of this request"))?;
        // Exactly the server's text: to read a number is to change it.
        let text = data.ok_or_else(|| about.bad("the answer has no value"))?.get();
        let id = ids(name, text.as_bytes());
        let value = if known(name, &id) {
            FetchedValue::Known
        } else {
            FetchedValue::Value(SecretValue::fields(text.to_owned()))
        };
        held.shrink(text.len());
        let mut secret = Secret { name: name.to_owned(), id: name.to_owned(), ..Secret::default() };
        secret.facets.other.insert(ENGINE.into(), json!("kv-1"));
        // A field `ttl` of the value shows here, and nothing else does.
        secret.raw = json!({ "read": { "lease_duration": lease_duration } });
        let (current, facets) = (true, VersionFacets::default());
        let version = FetchedVersion { id, current, labels: Vec::new(), created: None, facets, value };
        Ok(Fetched { secret, versions: vec![version], agrees: false, held: Some(held) })
    }

    /// The segments of a name; a folder ends in an empty one.
    pub(super) fn plain_path<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        self.mount.path.split('/').chain(name.split('/')).collect()
    }
}
