//! The versions of a secret: in which order, under which ids, and what a vault keeps about each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::client::About;
use crate::{
    model::{DRILL_TAG, Digest, Existing, Facets, Secret, Tag, ValueState, Version, VersionFacets, Withheld},
    provider::ProviderError,
};

/// The tag of a version that a restore wrote: its number in the order of writing, a point, and the id that it stands for.
pub(super) const MARK: &str = "lifeboat-version";
/// The facet of a version that is disabled, whatever is known of its value.
pub(super) const STATE: &str = "state";
/// The facet of a secret that holds what its versions have beside their values.
pub(super) const OWN: &str = "azure";
/// Who manages a secret that is the private key of a certificate.
const CERTIFICATE: &str = "a certificate of the vault";

/// The properties of a secret or a version, as a listing tells them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    id: String,
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) managed: Option<bool>,
    #[serde(default)]
    pub(super) deleted_date: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Attributes {
    pub(super) enabled: bool,
    pub(super) created: i64,
    pub(super) updated: i64,
    #[serde(default)]
    pub(super) nbf: Option<i64>,
    #[serde(default)]
    pub(super) exp: Option<i64>,
}

/// One version.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// As it came.
    pub(super) raw: Json,
    pub(super) item: Item,
    /// The service's own id.
    pub(super) version: String,
    /// The id that is told: the service's, or the one that it stands for.
    pub(super) id: String,
    mark: Option<(u64, String)>,
}

/// Every version of a secret, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Rows(pub(super) Vec<Row>);

impl Item {
    /// Understands one.
    pub(super) fn parse(raw: &Json, about: About<'_>) -> Result<Self, ProviderError> {
        Self::deserialize(raw).map_err(|_| about.bad("an entry is not that of a secret"))
    }

    /// The name, and the version where there is one.
    pub(super) fn name(&self, about: About<'_>) -> Result<(String, Option<String>), ProviderError> {
        let bad = || about.bad("an entry has no identifier of a secret");
        let url = Url::parse(&self.id).map_err(|_| bad())?;
        let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
        let (name, version) = match segments[..] {
            ["secrets", name] => (name, None),
            ["secrets", name, version] => (name, Some(version.to_ascii_lowercase())),
            _ => return Err(bad()),
        };
        let is_version = |id: &String| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !super::names::is_name(name) || !version.iter().all(is_version) {
            return Err(bad());
        }
        Ok((name.to_owned(), version))
    }

    /// What changes with a new version of the secret and with everything that is done to the current one.
    pub(super) fn fingerprint(raw: &Json) -> Digest {
        let mut fields = raw.clone();
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("id");
        }
        Digest::of(&serde_json::to_vec(&fields).expect("JSON is JSON"))
    }

    /// The tags but for our own.
    pub(super) fn shown_tags(&self) -> Vec<Tag> {
        let tags = self.tags.iter().flatten().filter(|(key, _)| *key != MARK);
        tags.map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
    }

    pub(super) fn mark(&self) -> Option<(u64, String)> {
        let (number, id) = self.tags.as_ref()?.get(MARK)?.split_once('.')?;
        Some((number.parse().ok()?, id.to_owned())).filter(|(_, id)| !id.is_empty())
    }
}

impl Rows {
    /// Brings entries into order and gives each its id. Dates have whole seconds, so versions of one second are in the order in
    /// which a restore wrote them, where one did.
    pub(super) fn of(found: Vec<(Json, Item)>, about: About<'_>) -> Result<Self, ProviderError> {
        let mut rows = Vec::new();
        for (raw, item) in found {
            let (_, version) = item.name(about)?;
            let version = version.ok_or_else(|| about.bad("a version has no id"))?;
            let mark = item.mark();
            rows.push(Row { raw, item, id: version.clone(), version, mark });
        }
        let order = |row: &Row| (row.item.attributes.created, row.mark.as_ref().map(|(number, _)| *number));
        rows.sort_by(|one, other| order(one).cmp(&order(other)).then_with(|| one.version.cmp(&other.version)));
        // Whoever copies the tags of a version to the next one copies the mark: it counts for the first that has it.
        let mut taken: BTreeSet<String> = rows.iter().map(|row| row.version.clone()).collect();
        for row in &mut rows {
            if let Some((_, id)) = &row.mark
                && taken.insert(id.clone())
            {
                row.id.clone_from(id);
            }
        }
        Ok(Self(rows))
    }

    /// Whether the order does not say which one is the current one: several of the newest second, and not all by a restore.
    pub(super) fn is_open(&self) -> bool {
        let newest = self.0.last().map(|row| row.item.attributes.created);
        let of_it = || self.0.iter().filter(|row| Some(row.item.attributes.created) == newest);
        of_it().count() > 1 && of_it().any(|row| row.mark.is_none())
    }

    /// The same where the vault says only that the current one is disabled.
    pub(super) fn settle_disabled(&mut self) {
        let newest = self.0.last().map(|row| row.item.attributes.created);
        let is_it = |row: &&Row| Some(row.item.attributes.created) == newest && row.is_disabled();
        if let Some(current) = self.0.iter().rfind(is_it).map(|row| row.version.clone()) {
            self.settle(&current);
        }
    }

    /// Puts the version that the vault says is the current one behind the others.
    pub(super) fn settle(&mut self, current: &str) {
        if let Some(at) = self.0.iter().position(|row| row.version == current) {
            let row = self.0.remove(at);
            self.0.push(row);
        }
    }

    /// The identity: the name with the first version, which is never deleted alone.
    pub(super) fn identity(&self, name: &str) -> String {
        format!("{name}@{}", self.0.first().map_or("", |row| &row.version))
    }

    /// Whether an identity is of this secret: each of its versions stands for it.
    pub(super) fn is(&self, identity: &str) -> bool {
        split(identity).is_some_and(|(_, version)| self.0.iter().any(|row| row.version == version))
    }

    pub(super) fn current(&self) -> Option<&Row> {
        self.0.last()
    }

    /// The secret.
    pub(super) fn secret(&self, name: &str) -> Secret {
        let mut facets = Facets::default();
        let mut own = Map::new();
        let newest = self.0.len().saturating_sub(1);
        let mut before = "";
        for (at, row) in self.0.iter().enumerate() {
            let fields = row.fields(at == newest, before);
            if !fields.is_empty() {
                own.insert(row.id.clone(), Json::Object(fields));
            }
            before = &row.id;
        }
        if !own.is_empty() {
            facets.other.insert(OWN.into(), json!({ "versions": own }));
        }
        if let Some(current) = self.current() {
            facets.tags = current.item.shown_tags();
            facets.managed = current.item.managed.filter(|is| *is).map(|_| CERTIFICATE.to_owned());
        }
        let created = self.0.first().and_then(|row| second(row.item.attributes.created));
        let changed = self.0.iter().map(|row| row.item.attributes.updated).max().and_then(second);
        let raw: Vec<&Json> = self.0.iter().map(|row| &row.raw).collect();
        let id = self.identity(name);
        Secret {
            name: name.to_owned(),
            id,
            facets,
            created,
            changed,
            raw: json!({ "versions": raw }),
            ..Secret::default()
        }
    }

    /// The secret as a target tells of it.
    pub(super) fn existing(&self, name: &str) -> Existing {
        let newest = self.0.len().saturating_sub(1);
        let version = |(at, row): (usize, &Row)| Version {
            id: row.id.clone(),
            current: at == newest,
            labels: Vec::new(),
            created: second(row.item.attributes.created),
            facets: row.facets(),
            value: ValueState::None,
        };
        Existing { secret: self.secret(name), versions: self.0.iter().enumerate().map(version).collect() }
    }
}

impl Row {
    /// What the vault keeps about a version, other than the value; the tags of the current one are the secret's.
    fn fields(&self, is_current: bool, before: &str) -> Map<String, Json> {
        let (item, mut fields) = (&self.item, Map::new());
        if let Some(text) = item.content_type.as_ref().filter(|text| !text.is_empty()) {
            fields.insert("content_type".into(), json!(text));
        }
        for (name, time) in [("not_before", item.attributes.nbf), ("expires", item.attributes.exp)] {
            if let Some(time) = time {
                fields.insert(name.into(), json!(time));
            }
        }
        if !item.attributes.enabled {
            fields.insert("after".into(), json!(before));
        }
        let tags: BTreeMap<String, String> =
            item.shown_tags().into_iter().filter(|tag| tag.key != DRILL_TAG).map(|tag| (tag.key, tag.value)).collect();
        if !is_current && !tags.is_empty() {
            fields.insert("tags".into(), json!(tags));
        }
        fields
    }

    pub(super) fn is_disabled(&self) -> bool {
        !self.item.attributes.enabled
    }

    /// Its state as a facet: it stays true of a version whose value was captured before.
    pub(super) fn facets(&self) -> VersionFacets {
        let state = self.is_disabled().then(|| (STATE.to_owned(), json!(Withheld::Disabled)));
        VersionFacets { keys: Vec::new(), other: state.into_iter().collect() }
    }
}

/// A time of the service: whole seconds.
pub(super) fn second(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

/// The name and the version of an identity.
pub(super) fn split(id: &str) -> Option<(&str, &str)> {
    let (name, version) = id.rsplit_once('@')?;
    (version.len() == 32 && version.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[(&str, i64, Option<&str>)]) -> Rows {
        let about = About { operation: "test", secret: None };
        let entry = |(digit, created, mark): &(&str, i64, Option<&str>)| {
            let mut raw = json!({
                "id": format!("https://v.vault.azure.net/secrets/app/{}", digit.repeat(32)),
                "attributes": { "enabled": true, "created": created, "updated": created }
            });
            if let Some(mark) = mark {
                raw["tags"] = json!({ MARK: mark });
            }
            let item = Item::parse(&raw, about).unwrap();
            (raw, item)
        };
        Rows::of(all.iter().map(entry).collect(), about).unwrap()
    }

    fn ids(rows: &Rows) -> Vec<&str> {
        rows.0.iter().map(|row| if row.id.len() == 32 { &row.id[..1] } else { &row.id }).collect()
    }

    #[test]
    fn versions_of_one_second_are_in_the_order_of_their_writing() {
        let found =
            rows(&[("c", 5, Some("1.one")), ("a", 5, Some("3.three")), ("b", 5, Some("2.two")), ("d", 1, None)]);
        assert_eq!(ids(&found), ["d", "one", "two", "three"]);
        assert!(!found.is_open() && found.identity("app").starts_with("app@dd") && found.is(&found.identity("app")));
        let mut open = rows(&[("a", 5, None), ("b", 5, None)]);
        assert!(open.is_open());
        open.settle(&"a".repeat(32));
        assert_eq!(ids(&open), ["b", "a"]);
    }

    #[test]
    fn a_mark_that_somebody_copied_counts_once() {
        let found = rows(&[("a", 1, Some("1.one")), ("b", 2, Some("1.one")), ("c", 3, Some("nonsense"))]);
        assert_eq!(ids(&found), ["one", "b", "c"]);
        assert!(found.secret("app").facets.tags.iter().all(|tag| tag.key != MARK));
    }
}
