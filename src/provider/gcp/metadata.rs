//! What Google keeps about a secret and its versions: kept as it came, and understood as far as it is needed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::client::About;
use crate::{
    model::{
        DRILL_TAG, Digest, Existing, Facets, Place, Rotation, Secret, Tag, ValueState, Version, VersionFacets, Withheld,
    },
    provider::{Listed, ProviderError},
};

/// The facet of a version that is disabled or destroyed, whatever is known of its value.
pub(super) const STATE: &str = "state";
/// When a version will be destroyed whose destruction was asked for.
pub(super) const DESTRUCTION: &str = "destruction";
/// The facet that holds what this kind calls settings, by its own names.
pub(super) const SETTINGS: &str = "settings";
/// What the key of a tag begins with that is an annotation: no label has a colon.
pub(super) const ANNOTATION: &str = "annotation:";
/// Annotations of our own, which are tags by their own names: no label has a point.
pub(super) const OWN: &str = "lifeboat.";
/// The annotation that stands for the tag of a drill.
const DRILL: &str = "lifeboat.drill";
/// Seconds in which each secret is looked at as a whole at least once.
const DAY: i64 = 86_400;

/// One secret, as the service says it.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// Its id.
    pub(super) id: String,
    /// All of it: later versions of the service say more.
    pub(super) raw: Json,
    created: Timestamp,
}

/// One version without its value.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) created: Timestamp,
    /// What keeps everybody from its value.
    pub(super) state: Option<Withheld>,
    raw: Json,
}

/// The newest version: its number, and its state.
pub(super) type Latest = (u64, Option<Withheld>);

impl Metadata {
    /// One of this place.
    pub(super) fn parse(raw: Json, place: &Place, about: About<'_>) -> Result<Self, ProviderError> {
        let name = raw["name"].as_str().unwrap_or_default();
        let id = name.rsplit_once("/secrets/").filter(|(parent, _)| is_parent(parent, place)).map(|(_, id)| id);
        let id = id.filter(|id| super::names::is_id(id)).ok_or_else(|| about.bad("the answer is of another secret"))?;
        let created = raw["createTime"].as_str().and_then(|time| time.parse().ok());
        let created = created.ok_or_else(|| about.bad("a secret has no time of creation"))?;
        Ok(Self { id: id.to_owned(), created, raw })
    }

    pub(super) fn created(&self) -> Timestamp {
        self.created
    }

    /// The identity: the id with the time it was made. A secret that was deleted and made anew begins at version 1 again.
    pub(super) fn incarnation(&self) -> String {
        format!("{}@{}", self.id, self.created)
    }

    pub(super) fn etag(&self) -> &str {
        self.raw["etag"].as_str().unwrap_or_default()
    }

    /// Whatever happens to the metadata or by a new version shows here. What happens to an older version does not, so it changes
    /// once a day, at an hour of its own.
    pub(super) fn fingerprint(&self, latest: Option<Latest>, now: Timestamp) -> Option<Digest> {
        let digest = Digest::of(self.id.as_bytes()).to_string();
        let hour = i64::from_str_radix(&digest[..8], 16).unwrap_or_default() % DAY;
        let day = (now.as_second() + hour).div_euclid(DAY);
        let what = (&self.raw, latest?, day);
        Some(Digest::of(&serde_json::to_vec(&what).expect("JSON is JSON")))
    }

    /// The secret, with what its versions say of it.
    pub(super) fn secret(&self, rows: &[Row]) -> Secret {
        let raw = &self.raw;
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let key = |holder: &Json| text(&holder["customerManagedEncryption"]["kmsKeyName"]);
        let rotation = &raw["rotation"];
        let mut facets = Facets {
            key: key(raw).or_else(|| key(&raw["replication"]["automatic"])),
            tags: self.tags(),
            rotation: rotation.is_object().then(|| Rotation {
                enabled: rotation["nextRotationTime"].is_string(),
                schedule: text(&rotation["rotationPeriod"]),
                ..Rotation::default()
            }),
            r#type: text(&raw["secretType"]).filter(|name| name != "SECRET_TYPE_UNSPECIFIED"),
            managed: (rotation["managedRotationStatus"]["state"] == "ACTIVE").then(|| "Cloud SQL".to_owned()),
            ..Facets::default()
        };
        let settings = self.settings(rows);
        if !settings.is_empty() {
            facets.other.insert(SETTINGS.into(), json!(settings));
        }
        let mut kept = json!({ "secret": raw });
        if !rows.is_empty() {
            kept["versions"] = rows.iter().map(|row| row.raw.clone()).collect();
        }
        Secret {
            name: self.id.clone(),
            id: self.incarnation(),
            facets,
            created: Some(self.created),
            raw: kept,
            ..Secret::default()
        }
    }

    /// Labels by their keys, annotations behind a word.
    fn tags(&self) -> Vec<Tag> {
        let entries = |what: &str| self.raw[what].as_object().cloned().unwrap_or_default();
        let tag = |key: String, value: &Json| Tag { key, value: value.as_str().unwrap_or_default().to_owned() };
        let labels = entries("labels");
        let annotations = entries("annotations");
        let labels = labels.iter().map(|(key, value)| tag(key.clone(), value));
        let annotations = annotations.iter().map(|(key, value)| tag(tag_of(key), value));
        labels.chain(annotations).collect()
    }

    fn settings(&self, rows: &[Row]) -> BTreeMap<String, String> {
        let raw = &self.raw;
        let mut settings = BTreeMap::new();
        for (field, name) in [("expireTime", "expire_time"), ("versionDestroyTtl", "version_destroy_ttl")] {
            if let Some(value) = raw[field].as_str() {
                settings.insert(name.to_owned(), value.to_owned());
            }
        }
        for (value, name) in [(&raw["topics"], "topics"), (&raw["replication"]["userManaged"]["replicas"], "replicas")]
        {
            if value.as_array().is_some_and(|list| !list.is_empty()) {
                settings.insert(name.to_owned(), value.to_string());
            }
        }
        // Those of versions that can be read are their labels.
        let is_withheld = |number: u64| rows.iter().any(|row| row.number == number && row.state.is_some());
        let aliases: BTreeMap<String, u64> = self.aliases().filter(|(_, number)| is_withheld(*number)).collect();
        if !aliases.is_empty() {
            settings.insert("aliases".into(), json!(aliases).to_string());
        }
        settings
    }

    fn aliases(&self) -> impl Iterator<Item = (String, u64)> {
        let aliases = self.raw["versionAliases"].as_object().into_iter().flatten();
        aliases.filter_map(|(name, number)| {
            let number = number.as_u64().or_else(|| number.as_str()?.parse().ok())?;
            Some((name.clone(), number))
        })
    }

    /// The aliases of a version, sorted.
    pub(super) fn labels(&self, number: u64) -> Vec<String> {
        let mut labels: Vec<String> = self.aliases().filter(|(_, of)| *of == number).map(|(name, _)| name).collect();
        labels.sort();
        labels
    }

    /// As a target tells of it: its versions without their values.
    pub(super) fn existing(&self, rows: &[Row]) -> Existing {
        let newest = rows.iter().map(|row| row.number).max();
        let version = |row: &Row| Version {
            id: row.number.to_string(),
            current: Some(row.number) == newest,
            labels: self.labels(row.number),
            created: Some(row.created),
            facets: row.facets(),
            value: ValueState::None,
        };
        Existing { secret: self.secret(rows), versions: rows.iter().map(version).collect() }
    }

    /// The entry of a listing.
    pub(super) fn listed(&self, latest: Option<Latest>, now: Timestamp) -> Listed {
        let secret = self.secret(&[]);
        Listed { name: self.id.clone(), id: secret.id.clone(), fingerprint: self.fingerprint(latest, now), secret }
    }
}

impl Row {
    /// A version of a secret of this place.
    pub(super) fn parse(raw: Json, place: &Place, id: &str, about: About<'_>) -> Result<Self, ProviderError> {
        let number = raw["name"].as_str().and_then(|name| number(name, place, id));
        let number = number.ok_or_else(|| about.bad("a version is of another secret, or has no number"))?;
        let created = raw["createTime"].as_str().and_then(|time| time.parse().ok());
        let created = created.ok_or_else(|| about.bad("a version has no time of creation"))?;
        let state = match raw["state"].as_str() {
            Some("ENABLED") => None,
            Some("DISABLED") => Some(Withheld::Disabled),
            Some("DESTROYED") => Some(Withheld::Destroyed),
            _ => return Err(about.bad("a version is in no known state")),
        };
        Ok(Self { number, created, state, raw })
    }

    /// Its state as a facet: it stays true of a version whose value was captured before.
    pub(super) fn facets(&self) -> VersionFacets {
        let mut facets = VersionFacets::default();
        if let Some(state) = self.state {
            facets.other.insert(STATE.into(), json!(state));
        }
        if let Some(time) = self.raw["scheduledDestroyTime"].as_str() {
            facets.other.insert(DESTRUCTION.into(), json!(time));
        }
        keys(&self.raw, &mut facets.keys);
        facets
    }
}

/// Every key that a version is encrypted under.
fn keys(value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(key) if name == "kmsKeyVersionName" => found.push(key.to_owned()),
                    _ => keys(value, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// Whether a name is that of the project, by its number or its id, and of the place's location.
fn is_parent(parent: &str, place: &Place) -> bool {
    let Some(rest) = parent.strip_prefix("projects/") else { return false };
    let (project, location) = match rest.split_once("/locations/") {
        Some((project, location)) => (project, location),
        None => (rest, super::GLOBAL),
    };
    let is_number = project.bytes().all(|byte| byte.is_ascii_digit());
    location == place.region && !project.is_empty() && (!is_number || project == place.account)
}

/// The number in the name of a version of this secret.
pub(super) fn number(name: &str, place: &Place, id: &str) -> Option<u64> {
    let (secret, number) = name.rsplit_once("/versions/")?;
    let (parent, of) = secret.rsplit_once("/secrets/")?;
    (of == id && is_parent(parent, place)).then_some(())?;
    number.parse().ok().filter(|number| *number > 0)
}

/// A name, and the time that stands behind it where it is an identifier.
pub(super) fn split(id: &str) -> (&str, Option<Timestamp>) {
    match id.rsplit_once('@') {
        Some((name, made)) => made.parse().map_or((id, None), |made| (name, Some(made))),
        None => (id, None),
    }
}

/// The tag that an annotation is.
pub(super) fn tag_of(annotation: &str) -> String {
    match annotation {
        DRILL => DRILL_TAG.to_owned(),
        own if own.starts_with(OWN) => own.to_owned(),
        other => format!("{ANNOTATION}{other}"),
    }
}

/// The annotation that a tag is to be; `None`: it is a label.
pub(super) fn annotation_of(tag: &str) -> Option<&str> {
    match tag {
        DRILL_TAG => Some(DRILL),
        own if own.starts_with(OWN) => Some(own),
        other => other.strip_prefix(ANNOTATION),
    }
}

/// Labels and annotations as the service takes them.
pub(super) fn split_tags(tags: &[Tag]) -> (Map<String, Json>, Map<String, Json>) {
    let (mut labels, mut annotations) = (Map::new(), Map::new());
    for tag in tags {
        match annotation_of(&tag.key) {
            Some(key) => annotations.insert(key.to_owned(), json!(tag.value)),
            None => labels.insert(tag.key.clone(), json!(tag.value)),
        };
    }
    (labels, annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(region: &str) -> Place {
        Place { provider: "gcp".into(), account: "123".into(), region: region.into() }
    }

    fn about() -> About<'static> {
        About { operation: "test", secret: None }
    }

    #[test]
    fn a_name_of_another_project_location_or_secret_is_none() {
        let global = place("global");
        assert_eq!(number("projects/123/secrets/a/versions/7", &global, "a"), Some(7));
        for other in [
            "projects/124/secrets/a/versions/7",
            "projects/123/secrets/b/versions/7",
            "projects/123/locations/us-east1/secrets/a/versions/7",
            "projects/123/secrets/a/versions/0",
            "projects/123/secrets/a/versions/latest",
        ] {
            assert_eq!(number(other, &global, "a"), None, "{other}");
        }
        let regional = place("us-east1");
        assert_eq!(number("projects/123/locations/us-east1/secrets/a/versions/7", &regional, "a"), Some(7));
    }

    #[test]
    fn labels_and_annotations_are_tags_that_come_back() {
        let raw = json!({
            "name": "projects/123/secrets/a", "createTime": "2026-01-01T00:00:00.000001Z", "etag": "\"1\"",
            "labels": { "team": "a" },
            "annotations": { "team": "b", "lifeboat.0": "c", "lifeboat.drill": "d" },
        });
        let found = Metadata::parse(raw.clone(), &place("global"), about()).unwrap();
        assert_eq!(found.incarnation(), "a@2026-01-01T00:00:00.000001Z");
        let tags = found.secret(&[]).facets.tags;
        let keys: Vec<&str> = tags.iter().map(|tag| tag.key.as_str()).collect();
        assert_eq!(keys, ["team", "lifeboat.0", "lifeboat:drill", "annotation:team"]);
        let (labels, annotations) = split_tags(&tags);
        assert_eq!((json!(labels), json!(annotations)), (raw["labels"].clone(), raw["annotations"].clone()));
    }

    #[test]
    fn a_fingerprint_changes_with_a_version_and_once_a_day() {
        let raw = |etag: &str| json!({ "name": "projects/123/secrets/a", "createTime": "2026-01-01T00:00:00Z", "etag": etag });
        let entry = |etag: &str| Metadata::parse(raw(etag), &place("global"), about()).unwrap();
        let at = |hour: i64| Timestamp::from_second(1_800_000_000 + hour * 3_600).unwrap();
        let is = entry("1").fingerprint(Some((1, None)), at(0));
        assert!(is.is_some() && is == entry("1").fingerprint(Some((1, None)), at(0)));
        for other in [
            entry("2").fingerprint(Some((1, None)), at(0)),
            entry("1").fingerprint(Some((2, None)), at(0)),
            entry("1").fingerprint(Some((1, Some(Withheld::Disabled))), at(0)),
            entry("1").fingerprint(Some((1, None)), at(24)),
            entry("1").fingerprint(None, at(0)),
        ] {
            assert_ne!(is, other);
        }
        let changes = (1..24).filter(|hour| {
            let of = |hour| entry("1").fingerprint(Some((1, None)), at(hour));
            of(*hour) != of(hour - 1)
        });
        assert!(changes.count() <= 1);
    }
}
