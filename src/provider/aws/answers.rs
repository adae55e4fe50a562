//! The SDK's answers as the model's nouns.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_secretsmanager::{
    operation::describe_secret::DescribeSecretOutput,
    primitives::DateTime,
    types::{ReplicationStatusType, RotationRulesType, SecretListEntry, SecretVersionsListEntry, Tag as SdkTag},
};
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::model::{AWSCURRENT, Digest, Facets, Replica, Rotation, Secret, Tag};

/// Labels by version id; ids without labels are there where the provider names them.
pub(super) type Stages = BTreeMap<String, Vec<String>>;

/// One DescribeSecret answer.
#[derive(Clone, Debug)]
pub(super) struct Described {
    /// The metadata; `raw` holds this answer only.
    pub(super) secret: Secret,
    /// The labels.
    pub(super) stages: Stages,
}

impl Described {
    pub(super) fn of(answer: &DescribeSecretOutput, raw: Json) -> Self {
        let secret = Secret {
            name: answer.name().unwrap_or_default().into(),
            id: answer.arn().unwrap_or_default().into(),
            facets: Facets {
                description: text(answer.description()),
                key: text(answer.kms_key_id().filter(|key| !key.is_empty())),
                tags: tags(answer.tags()),
                rotation: rotation(answer.rotation_enabled(), answer.rotation_lambda_arn(), answer.rotation_rules()),
                replicas: answer.replication_status().iter().map(replica).collect(),
                r#type: text(answer.r#type()),
                managed: text(answer.owning_service()),
                primary_region: text(answer.primary_region()),
                ..Facets::default()
            },
            created: answer.created_date().and_then(timestamp),
            changed: answer.last_changed_date().and_then(timestamp),
            deleted: answer.deleted_date().and_then(timestamp),
            raw: Json::Object([("DescribeSecret".to_owned(), raw)].into_iter().collect()),
            ..Secret::default()
        };
        Self { secret, stages: stages(answer.version_ids_to_stages()) }
    }

    /// Whether nothing that concerns versions happened between the two answers. The date of the
    /// last access moves by reading and does not count.
    pub(super) fn is_same_moment(&self, other: &Self) -> bool {
        self.stages == other.stages
            && self.secret.changed == other.secret.changed
            && self.secret.deleted == other.secret.deleted
            && self.secret.id == other.secret.id
    }
}

/// One version as ListSecretVersionIds tells it.
#[derive(Clone, Debug)]
pub(super) struct ListedVersion {
    pub(super) id: String,
    pub(super) stages: Vec<String>,
    pub(super) created: Option<Timestamp>,
    pub(super) kms_keys: Vec<String>,
}

impl ListedVersion {
    pub(super) fn of(entry: &SecretVersionsListEntry) -> Self {
        Self {
            id: entry.version_id().unwrap_or_default().into(),
            stages: sorted(entry.version_stages()),
            created: entry.created_date().and_then(timestamp),
            kms_keys: entry.kms_key_ids().to_vec(),
        }
    }

    /// A version of which only id and labels are known.
    pub(super) fn bare(id: &str, stages: &[String]) -> Self {
        Self { id: id.to_owned(), stages: sorted(stages), created: None, kms_keys: Vec::new() }
    }
}

/// One entry of ListSecrets.
pub(super) fn listed_secret(entry: &SecretListEntry, raw: Json) -> Secret {
    Secret {
        name: entry.name().unwrap_or_default().into(),
        id: entry.arn().unwrap_or_default().into(),
        facets: Facets {
            description: text(entry.description()),
            key: text(entry.kms_key_id().filter(|key| !key.is_empty())),
            tags: tags(entry.tags()),
            rotation: rotation(entry.rotation_enabled(), entry.rotation_lambda_arn(), entry.rotation_rules()),
            r#type: text(entry.r#type()),
            managed: text(entry.owning_service()),
            primary_region: text(entry.primary_region()),
            ..Facets::default()
        },
        created: entry.created_date().and_then(timestamp),
        changed: entry.last_changed_date().and_then(timestamp),
        deleted: entry.deleted_date().and_then(timestamp),
        raw: Json::Object([("ListSecrets".to_owned(), raw)].into_iter().collect()),
        ..Secret::default()
    }
}

/// A digest over an entry of ListSecrets but for the date of the last access, which reading moves. The order of labels says
/// nothing. LastChangedDate alone would not do: edits of tags, labels and deletion need not move it.
pub(super) fn fingerprint(entry: &Json) -> Option<Digest> {
    let mut entry = entry.as_object()?.clone();
    entry.remove("LastAccessedDate");
    if let Some(Json::Object(stages)) = entry.get_mut("SecretVersionsToStages") {
        for labels in stages.values_mut().filter_map(Json::as_array_mut) {
            labels.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
    Some(Digest::of(&serde_json::to_vec(&entry).ok()?))
}

/// The labels a ListSecrets entry tells, for when DescribeSecret is refused.
pub(super) fn listed_stages(secret: &Secret) -> Stages {
    let entry = &secret.raw["ListSecrets"]["SecretVersionsToStages"];
    serde_json::from_value::<HashMap<String, Vec<String>>>(entry.clone())
        .map(|by_id| stages(Some(&by_id)))
        .unwrap_or_default()
}

/// Whether a version with these labels is the one that an application gets that asks for none.
pub(super) fn is_current(labels: &[String]) -> bool {
    labels.iter().any(|label| label == AWSCURRENT)
}

fn stages(by_id: Option<&HashMap<String, Vec<String>>>) -> Stages {
    by_id.into_iter().flatten().map(|(id, labels)| (id.clone(), sorted(labels))).collect()
}

fn sorted(labels: &[String]) -> Vec<String> {
    let mut labels = labels.to_vec();
    labels.sort();
    labels.dedup();
    labels
}

/// Milliseconds are what AWS keeps; below them a JSON number's rounding would show.
fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let millis = i64::from(time.subsec_nanos()).saturating_add(500_000) / 1_000_000;
    Timestamp::from_millisecond(time.secs().checked_mul(1_000)?.checked_add(millis)?).ok()
}

fn text(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn tags(tags: &[SdkTag]) -> Vec<Tag> {
    let tag =
        |tag: &SdkTag| Tag { key: tag.key().unwrap_or_default().into(), value: tag.value().unwrap_or_default().into() };
    tags.iter().map(tag).collect()
}

fn rotation(enabled: Option<bool>, lambda: Option<&str>, rules: Option<&RotationRulesType>) -> Option<Rotation> {
    let rotation = Rotation {
        enabled: enabled.unwrap_or_default(),
        lambda: text(lambda.filter(|arn| !arn.is_empty())),
        schedule: rules.and_then(|rules| text(rules.schedule_expression())),
        window: rules.and_then(|rules| text(rules.duration())),
        after_days: rules.and_then(RotationRulesType::automatically_after_days).filter(|days| *days > 0),
    };
    (rotation != Rotation::default()).then_some(rotation)
}

fn replica(status: &ReplicationStatusType) -> Replica {
    Replica {
        region: status.region().unwrap_or_default().into(),
        key: text(status.kms_key_id()),
        status: status.status().map(|status| status.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractional_seconds_keep_their_milliseconds() {
        for (epoch, text) in [
            (1_523_477_145.713, "2018-04-11T20:05:45.713Z"),
            (1_700_000_000.001, "2023-11-14T22:13:20.001Z"),
            (1_700_000_000.999, "2023-11-14T22:13:20.999Z"),
            (1_700_000_000.0, "2023-11-14T22:13:20Z"),
            (1_700_000_000.999_9, "2023-11-14T22:13:21Z"),
        ] {
            let time = timestamp(&DateTime::from_secs_f64(epoch)).unwrap();
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn impossible_times_are_no_times() {
        assert!(timestamp(&DateTime::from_secs(i64::MAX)).is_none());
        assert!(timestamp(&DateTime::from_secs(i64::MIN)).is_none());
    }

    #[test]
    fn rotation_that_was_never_set_up_is_none() {
        assert_eq!(rotation(Some(false), Some(""), None), None);
        assert_eq!(rotation(None, None, Some(&RotationRulesType::builder().automatically_after_days(0).build())), None);
        let rules = RotationRulesType::builder().schedule_expression("rate(4 days)").build();
        let off = rotation(Some(false), None, Some(&rules)).unwrap();
        assert!(!off.enabled && off.schedule.as_deref() == Some("rate(4 days)"));
    }

    #[test]
    fn the_fingerprint_changes_with_everything_but_access() {
        let entry = |text: &str| fingerprint(&serde_json::from_str(text).unwrap()).unwrap();
        let one = entry(r#"{"Name":"a","LastAccessedDate":1,"SecretVersionsToStages":{"v1":["A","B"],"v2":["C"]}}"#);
        assert_eq!(one, entry(r#"{"SecretVersionsToStages":{"v2":["C"],"v1":["B","A"]},"Name":"a"}"#));
        for other in [
            r#"{"Name":"b","SecretVersionsToStages":{"v1":["A","B"],"v2":["C"]}}"#,
            r#"{"Name":"a","SecretVersionsToStages":{"v1":["A"],"v2":["C"]}}"#,
            r#"{"Name":"a","SecretVersionsToStages":{"v1":["A","B"],"v3":["C"]}}"#,
            r#"{"Name":"a","SecretVersionsToStages":{"v1":["A","B"],"v2":["C"]},"Tags":[]}"#,
            r#"{"Name":"a","SecretVersionsToStages":{"v1":["A","B"],"v2":["C"]},"New":null}"#,
        ] {
            assert_ne!(one, entry(other), "{other}");
        }
        assert_eq!(fingerprint(&Json::Null), None);
    }

    #[test]
    fn the_moment_changes_with_labels_and_not_with_access() {
        let describe = |label: &str, accessed: i64, changed: i64| {
            let answer = DescribeSecretOutput::builder()
                .arn("arn")
                .last_accessed_date(DateTime::from_secs(accessed))
                .last_changed_date(DateTime::from_secs(changed))
                .version_ids_to_stages("v1", vec![label.to_owned(), "b".to_owned()])
                .build();
            Described::of(&answer, Json::Null)
        };
        assert!(describe("a", 1, 1).is_same_moment(&describe("a", 2, 1)));
        assert!(!describe("a", 1, 1).is_same_moment(&describe("c", 1, 1)));
        assert!(!describe("a", 1, 1).is_same_moment(&describe("a", 1, 2)));
    }
}
