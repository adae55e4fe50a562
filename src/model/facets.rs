//! What a secret is beside its values: one field for each thing that a provider can keep about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The metadata of a secret. A facet that a secret does not have is not in the JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facets {
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The key new versions are encrypted under, as the provider states it; `None` is its default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Tags in the provider's order; keys differ by case and values may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The access policy, character for character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rotation settings, present also while rotation is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The regions this secret is replicated to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
    /// The type of the secret (AWS: of a managed external secret).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The service that manages this secret (`rds`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<String>,
    /// The region of the primary, when this is or has replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_region: Option<String>,
    /// Facets that this build does not know. They are kept as they are, never dropped.
    #[serde(flatten)]
    pub other: BTreeMap<String, Json>,
}

/// The metadata of one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionFacets {
    /// The keys this version is encrypted under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Facets that this build does not know. They are kept as they are, never dropped.
    #[serde(flatten)]
    pub other: BTreeMap<String, Json>,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value, possibly empty.
    pub value: String,
}

/// Rotation settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Whether rotation is on.
    pub enabled: bool,
    /// The rotation function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<String>,
    /// `rate(…)` or `cron(…)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The window, such as `3h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Days between rotations; derived by AWS when `schedule` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_days: Option<i64>,
}

/// One replica of a primary secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The replica's region.
    pub region: String,
    /// The replica's key; `None` is the provider's default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The status as stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl Facets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl VersionFacets {
    /// Those of a version that is encrypted under `keys`.
    pub fn of_keys(keys: Vec<String>) -> Self {
        Self { keys, other: BTreeMap::new() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.other.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facets_of_a_later_build_are_kept() {
        let text = r#"{"description":"d","type":"t","annotations":{"a":[1,null]},"expiry":"2030-01-01T00:00:00Z"}"#;
        let facets: Facets = serde_json::from_str(text).unwrap();
        assert_eq!((facets.description.as_deref(), facets.r#type.as_deref()), (Some("d"), Some("t")));
        assert_eq!(facets.other.keys().collect::<Vec<_>>(), ["annotations", "expiry"]);
        assert_eq!(serde_json::to_string(&facets).unwrap(), text);
        let text = r#"{"keys":["k"],"content_type":"text/plain"}"#;
        let facets: VersionFacets = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&facets).unwrap(), text);
        assert!(!facets.is_empty() && VersionFacets::default().is_empty());
    }

    #[test]
    fn no_facets_are_an_empty_object() {
        assert_eq!(serde_json::to_string(&Facets::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<Facets>("{}").unwrap().is_empty());
        assert!(!Facets { tags: vec![Tag { key: "k".into(), value: String::new() }], ..Facets::default() }.is_empty());
    }
}
