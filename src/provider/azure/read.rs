//! Reading one secret: its versions, and the values of those that are enabled.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use super::{
    Azure,
    client::{About, DISABLED},
    listing::HIDDEN,
    versions::{Item, Row, Rows, second},
};
use crate::{
    model::{Existing, Part, Secret, SecretValue, Unreadable, ValueState, Version, VersionFacets, Withheld},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Held, Known, Listed, ProviderError},
};

/// Values of one secret read at the same time.
const AT_ONCE: usize = 8;
/// What one value may take, for the budget.
const LARGEST: usize = 64 * 1024;
/// The operation that reads a value.
pub(super) const READS_VALUE: &str = "read";
/// The operation that a deleted secret hides.
const LISTS_VERSIONS: &str = "secrets/versions";

/// A version with its value.
#[derive(Deserialize)]
struct Bundle {
    value: Option<String>,
}

impl Azure {
    /// Versions are for ever and their values never change: whatever is added meanwhile is the next run's.
    pub(super) async fn read_secret(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let name = listed.name.as_str();
        let gone = || About::of(LISTS_VERSIONS, name).failed(ErrorKind::NotFound, "NotFound", "");
        if let Some(rows) = self.versions(name).await? {
            let (versions, held) = self.values(name, &rows, known).await?;
            let newest = rows.current().map(|row| Item::fingerprint(&row.raw));
            let agrees = listed.fingerprint.is_some() && listed.fingerprint == newest;
            let mut secret = rows.secret(name);
            if let Some(rights) = &self.rights {
                rights.add_to(&mut secret);
            }
            return Ok(Fetched { secret, versions, agrees, held: Some(held) });
        }
        let Existing { secret, versions } = self.deleted(name).await?.ok_or_else(gone)?;
        let version = |version: Version| {
            let value =
                if known(&secret.id, &version.id) { FetchedValue::Known } else { FetchedValue::Withheld(HIDDEN) };
            FetchedVersion::of(version, value)
        };
        let versions = versions.into_iter().map(version).collect();
        Ok(Fetched { secret, versions, agrees: false, held: None })
    }

    async fn values(
        &self,
        name: &str,
        rows: &Rows,
        known: &Known<'_>,
    ) -> Result<(Vec<FetchedVersion>, Held), ProviderError> {
        let identity = rows.identity(name);
        let mut values: BTreeMap<String, FetchedValue> = BTreeMap::new();
        let mut wanted = Vec::new();
        for row in &rows.0 {
            if known(&identity, &row.id) {
                values.insert(row.version.clone(), FetchedValue::Known);
            } else if row.is_disabled() {
                values.insert(row.version.clone(), FetchedValue::Withheld(Withheld::Disabled));
            } else {
                wanted.push(row.version.clone());
            }
        }
        let mut held = self.budget.reserve(wanted.len() * LARGEST).await;
        let reads = stream::iter(wanted).map(|version| async move {
            let read = self.value(name, &version).await;
            (version, read)
        });
        let mut reads = std::pin::pin!(reads.buffer_unordered(AT_ONCE));
        let mut bytes = 0;
        while let Some((version, read)) = reads.next().await {
            let value = match read {
                Ok(value) => FetchedValue::Value(value),
                // Disabled since it was listed.
                Err(error) if error.code == DISABLED => FetchedValue::Withheld(Withheld::Disabled),
                Err(error) if error.kind == ErrorKind::Denied => FetchedValue::Unreadable(error.code),
                Err(error) => return Err(error),
            };
            if let FetchedValue::Value(value) = &value {
                bytes += value.expose().len();
            }
            values.insert(version, value);
        }
        held.shrink(bytes);
        let newest = rows.0.len().saturating_sub(1);
        let version = |(at, row): (usize, &Row)| FetchedVersion {
            id: row.id.clone(),
            current: at == newest,
            labels: Vec::new(),
            created: second(row.item.attributes.created),
            facets: row.facets(),
            value: values.remove(row.version.as_str()).unwrap_or(FetchedValue::None),
        };
        Ok((rows.0.iter().enumerate().map(version).collect(), held))
    }

    /// The value of a version, by the service's own id.
    pub(super) async fn value(&self, name: &str, version: &str) -> Result<SecretValue, ProviderError> {
        let about = About::of(READS_VALUE, name);
        let answer = self.client.get(about, &["secrets", name, version], &[]).await?;
        let (found, id) = answer.json::<Item>(about)?.name(about)?;
        if !found.eq_ignore_ascii_case(name) || id.as_deref() != Some(version) {
            return Err(about.bad("the answer is of another version"));
        }
        let Bundle { value } = answer.json(about)?;
        let value = value.ok_or_else(|| about.bad("the answer has no value"))?;
        Ok(SecretValue::text(value))
    }

    /// What has a name, deleted or not.
    pub(super) async fn existing(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        if !super::names::is_name(name) {
            return Ok(None);
        }
        match self.versions(name).await? {
            Some(rows) => Ok(Some(rows.existing(name))),
            None => self.deleted(name).await,
        }
    }

    /// A deleted secret: a vault shows nothing of it but the properties of its current version.
    pub(super) async fn deleted(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        let about = About::of("deletedsecrets/get", name);
        let answer = match self.client.get(about, &["deletedsecrets", name], &[]).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let raw = answer.raw(about)?;
        let item = Item::parse(&raw, about)?;
        let deleted = item.deleted_date.and_then(second);
        let deleted = deleted.ok_or_else(|| about.bad("a deleted secret has no date of its deletion"))?;
        let (found, version) = item.name(about)?;
        if !found.eq_ignore_ascii_case(name) {
            return Err(about.bad("the answer is of another secret"));
        }
        let version = version.ok_or_else(|| about.bad("a deleted secret has no version"))?;
        let id = item.mark().map_or_else(|| version.clone(), |(_, id)| id);
        let mut secret = Secret { name: name.to_owned(), id: format!("{name}@{version}"), ..Secret::default() };
        secret.facets.tags = item.shown_tags();
        secret.deleted = Some(deleted);
        secret.changed = second(item.attributes.updated);
        secret.raw = json!({ "deleted": raw });
        let reason = HIDDEN.code().to_owned();
        secret.unreadable.push(Unreadable { part: Part::Versions, operation: LISTS_VERSIONS.into(), reason });
        let version = Version {
            id,
            current: true,
            labels: Vec::new(),
            created: second(item.attributes.created),
            facets: VersionFacets::default(),
            value: ValueState::None,
        };
        Ok(Some(Existing { secret, versions: vec![version] }))
    }
}
