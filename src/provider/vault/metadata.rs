//! What KV version 2 keeps about a key: kept as it came, and understood as far as it is needed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::client::About;
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Digest, Existing, Facets, Secret, Tag, ValueState, Version, VersionFacets, Withheld},
    provider::{Listed, ProviderError},
};

/// The metadata of one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metadata {
    /// All of it, as the server says it: later versions say more.
    pub(super) raw: Json,
    pub(super) known: Known,
}

/// What of it is needed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Known {
    pub(super) created_time: Timestamp,
    updated_time: Timestamp,
    pub(super) current_version: u64,
    #[serde(default)]
    custom_metadata: Option<BTreeMap<String, Json>>,
    #[serde(default)]
    max_versions: u64,
    #[serde(default)]
    cas_required: bool,
    #[serde(default)]
    delete_version_after: String,
    #[serde(default)]
    versions: BTreeMap<String, Row>,
}

/// One version: its state without its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Row {
    pub(super) created_time: Timestamp,
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    pub(super) destroyed: bool,
}

impl Metadata {
    pub(super) fn parse(raw: Json, about: About<'_>) -> Result<Self, ProviderError> {
        let known: Known = serde_json::from_value(raw.clone()).map_err(|_| about.bad("the metadata is not a key's"))?;
        if known.versions.keys().any(|number| number.parse::<u64>().is_err()) {
            return Err(about.bad("a version has no number"));
        }
        Ok(Self { raw, known })
    }

    /// The versions by number.
    pub(super) fn rows(&self) -> Vec<(u64, &Row)> {
        let number = |text: &String| text.parse().expect("looked at when it was read");
        let mut rows: Vec<(u64, &Row)> = self.known.versions.iter().map(|(text, row)| (number(text), row)).collect();
        rows.sort_by_key(|(number, _)| *number);
        rows
    }

    /// One version.
    pub(super) fn row(&self, number: u64) -> Option<&Row> {
        self.known.versions.get(&number.to_string())
    }

    /// The identity: the path with the time it was made. A key that was deleted and made anew begins at version 1 again.
    pub(super) fn id(&self, name: &str) -> String {
        format!("{name}@{}", self.known.created_time)
    }

    /// Whatever happens to a version, its state or the metadata shows here.
    pub(super) fn fingerprint(&self) -> Digest {
        Digest::of(&serde_json::to_vec(&self.raw).expect("JSON is JSON"))
    }

    /// The secret.
    pub(super) fn secret(&self, name: &str) -> Secret {
        let known = &self.known;
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let tags =
            known.custom_metadata.iter().flatten().map(|(key, value)| Tag { key: key.clone(), value: text(value) });
        let mut facets = Facets { tags: tags.collect(), ..Facets::default() };
        let keep = json!({ "most_versions": known.max_versions, "delete_after": known.delete_version_after });
        if known.max_versions > 0 || !["", "0s"].contains(&known.delete_version_after.as_str()) {
            facets.other.insert("keep".into(), keep);
        }
        if known.cas_required {
            facets.other.insert("check_and_set".into(), json!(true));
        }
        Secret {
            name: name.to_owned(),
            id: self.id(name),
            facets,
            created: Some(known.created_time),
            changed: Some(known.updated_time),
            raw: json!({ "metadata": self.raw }),
            ..Secret::default()
        }
    }

    /// The key as a target tells of it: its versions without their values.
    pub(super) fn existing(&self, name: &str) -> Existing {
        let now = SystemClock.now();
        let version = |(number, row): (u64, &Row)| Version {
            id: number.to_string(),
            current: number == self.known.current_version,
            labels: Vec::new(),
            created: Some(row.created_time),
            facets: row.facets(now),
            value: ValueState::None,
        };
        Existing { secret: self.secret(name), versions: self.rows().into_iter().map(version).collect() }
    }

    /// The entry of a listing.
    pub(super) fn listed(&self, name: &str) -> Listed {
        let secret = self.secret(name);
        Listed { name: name.to_owned(), id: secret.id.clone(), secret, fingerprint: Some(self.fingerprint()) }
    }
}

impl Row {
    /// What keeps everybody from its value.
    pub(super) fn state(&self, now: Timestamp) -> Option<Withheld> {
        if self.destroyed {
            Some(Withheld::Destroyed)
        } else if self.is_deleted(now) {
            Some(Withheld::Deleted)
        } else {
            None
        }
    }

    /// Its state as a facet: it stays true of a version whose value was captured before.
    pub(super) fn facets(&self, now: Timestamp) -> VersionFacets {
        let state = self.state(now).map(|state| (Version::STATE.to_owned(), json!(state)));
        let is_to_come = state.is_none() && !self.deletion_time.is_empty();
        let until = is_to_come.then(|| (Version::UNTIL.to_owned(), json!(self.deletion_time)));
        VersionFacets { keys: Vec::new(), other: state.into_iter().chain(until).collect() }
    }

    /// Whether it is deleted by now. A time to come is a deletion that is to happen: until then it can be read.
    pub(super) fn is_deleted(&self, now: Timestamp) -> bool {
        !self.deletion_time.is_empty() && self.deletion_time.parse::<Timestamp>().is_ok_and(|time| time <= now)
    }
}
