//! A secret as DescribeSecret and ListSecrets show it: only fields that have a value.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::secret::{Millis, Replica, Rotation, Secret, Version};

/// The date format of AWS JSON 1.1: seconds since 1970, with fraction.
pub(super) fn seconds(millis: Millis) -> f64 {
    let whole = i32::try_from(millis.div_euclid(1000)).map_or(f64::from(i32::MAX), f64::from);
    let rest = i32::try_from(millis.rem_euclid(1000)).map_or(0.0, f64::from);
    whole + rest / 1000.0
}

/// The key a version is under, as ListSecretVersionIds says it.
pub(super) fn key_ids(version: &Version) -> [&str; 1] {
    [version.kms_key_id.as_deref().unwrap_or("DefaultEncryptionKey")]
}

/// One entry of ListSecrets, or the answer of DescribeSecret.
pub(super) struct Entry<'a> {
    pub secret: &'a Secret,
    pub listed: bool,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let it = self.secret;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ARN", &it.arn)?;
        map.serialize_entry("Name", &*it.name)?;
        some(&mut map, "Type", it.kind.as_ref())?;
        some(&mut map, "Description", it.description.as_ref())?;
        some(&mut map, "KmsKeyId", it.kms_key_id.as_ref())?;
        some(&mut map, "OwningService", it.owning_service.as_ref())?;
        some(&mut map, "PrimaryRegion", it.primary_region.as_ref())?;
        rotation(&mut map, it.rotation.as_ref())?;
        dates(&mut map, it)?;
        if let Some(tags) = &it.tags {
            map.serialize_entry("Tags", &tags_json(tags))?;
        }
        let stages = stages(it);
        if !stages.is_empty() {
            map.serialize_entry(if self.listed { "SecretVersionsToStages" } else { "VersionIdsToStages" }, &stages)?;
        }
        if !self.listed && !it.replicas.is_empty() {
            map.serialize_entry("ReplicationStatus", &replication(&it.replicas))?;
        }
        for (key, value) in &it.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The labelled versions with their labels, also those without a value.
fn stages(secret: &Secret) -> BTreeMap<&str, Vec<&str>> {
    let labelled = secret.versions.iter().filter(|version| secret.labels.on(&version.id));
    labelled.map(|version| (version.id.as_str(), secret.labels.of(&version.id).collect())).collect()
}

fn tags_json(tags: &[(String, String)]) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// `ReplicationStatus`, as the primary shows it.
pub(super) fn replication(replicas: &[Replica]) -> Vec<Value> {
    let status = |it: &Replica| {
        let (status, message) = match &it.failed {
            Some(why) => ("Failed", why.as_str()),
            None => ("InSync", "Replication succeeded"),
        };
        json!({
            "Region": it.region,
            "KmsKeyId": it.kms_key_id.as_deref().unwrap_or("alias/aws/secretsmanager"),
            "Status": status,
            "StatusMessage": message,
        })
    };
    replicas.iter().map(status).collect()
}

fn dates<M: SerializeMap>(map: &mut M, secret: &Secret) -> Result<(), M::Error> {
    map.serialize_entry("CreatedDate", &seconds(secret.created))?;
    map.serialize_entry("LastChangedDate", &seconds(secret.changed))?;
    some(map, "LastAccessedDate", secret.accessed().map(seconds))?;
    some(map, "LastRotatedDate", secret.rotated.map(seconds))?;
    some(map, "NextRotationDate", secret.next_rotation.map(seconds))?;
    some(map, "DeletedDate", secret.deleted.map(seconds))
}

fn rotation<M: SerializeMap>(map: &mut M, rotation: Option<&Rotation>) -> Result<(), M::Error> {
    let Some(it) = rotation else { return Ok(()) };
    map.serialize_entry("RotationEnabled", &it.enabled)?;
    some(map, "RotationLambdaARN", it.lambda.as_ref())?;
    some(map, "ExternalSecretRotationRoleArn", it.external_role.as_ref())?;
    some(map, "ExternalSecretRotationMetadata", it.external_metadata.as_ref())?;
    let mut rules = serde_json::Map::new();
    let days = it.after_days.or_else(|| it.schedule.as_deref().map(days_of));
    days.map(|days| rules.insert("AutomaticallyAfterDays".into(), days.into()));
    it.duration.as_ref().map(|text| rules.insert("Duration".into(), text.as_str().into()));
    it.schedule.as_ref().map(|text| rules.insert("ScheduleExpression".into(), text.as_str().into()));
    if rules.is_empty() { Ok(()) } else { map.serialize_entry("RotationRules", &rules) }
}

/// The days between rotations that AWS derives from a schedule; for `cron()` a rough figure.
pub(super) fn days_of(schedule: &str) -> i64 {
    let inside = schedule.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let fields: Vec<&str> = inside.split_whitespace().collect();
    if schedule.starts_with("rate(") {
        let count = fields.first().and_then(|count| count.parse().ok()).unwrap_or(1);
        let hours = fields.get(1).is_some_and(|unit| unit.starts_with("hour"));
        return if hours { count / 24 + i64::from(count % 24 != 0) } else { count };
    }
    let plain = |index: usize| fields.get(index).is_none_or(|field| matches!(*field, "*" | "?"));
    match (plain(2), plain(4)) {
        (true, true) => 1,
        (true, false) => 7,
        _ => 30,
    }
}

fn some<M: SerializeMap, T: Serialize>(map: &mut M, key: &'static str, value: Option<T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_keep_their_milliseconds() {
        assert_eq!(json!(seconds(1_763_963_442_123)).to_string(), "1763963442.123");
        assert_eq!(json!(seconds(1_763_942_400_000)).to_string(), "1763942400.0");
    }

    #[test]
    fn schedules_become_days() {
        assert_eq!([days_of("rate(10 days)"), days_of("rate(36 hours)")], [10, 2]);
        assert_eq!(
            [days_of("cron(0 8 * * ? *)"), days_of("cron(0 8 ? * SUN *)"), days_of("cron(0 8 1 * ? *)")],
            [1, 7, 30]
        );
    }
}
