//! Secrets put in place as they are, past the rules of the API: managed ones, old ones, odd ones.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ControlError,
    ops::new_arn,
    secret::{Millis, Rotation, Secret, Version},
    state::World,
};
use crate::model::SecretValue;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Seed {
    name: String,
    #[serde(rename = "ARN")]
    arn: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    r#type: Option<String>,
    owning_service: Option<String>,
    primary_region: Option<String>,
    tags: Option<Vec<SeedTag>>,
    resource_policy: Option<String>,
    created_date: Option<f64>,
    last_changed_date: Option<f64>,
    deleted_date: Option<f64>,
    rotation_enabled: Option<bool>,
    #[serde(rename = "RotationLambdaARN")]
    rotation_lambda_arn: Option<String>,
    rotation_rules: Option<SeedRules>,
    #[serde(default)]
    versions: Vec<SeedVersion>,
    #[serde(default)]
    extra: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SeedTag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SeedRules {
    automatically_after_days: Option<i64>,
    duration: Option<String>,
    schedule_expression: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SeedVersion {
    version_id: String,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    #[serde(default)]
    version_stages: Vec<String>,
    created_date: Option<f64>,
    kms_key_id: Option<String>,
}

/// Puts a secret on the shelf, replacing one of the same name; answers its ARN.
pub(super) fn plant(world: &World, account: &str, region: &str, json: &Value) -> Result<String, ControlError> {
    let seed =
        Seed::deserialize(json).map_err(|_| ControlError::BadRequest("the secret to seed is not in the known form"))?;
    let now = world.now();
    let arn = seed.arn.unwrap_or_else(|| new_arn(region, account, &seed.name));
    let mut secret = Secret::new(arn.clone(), seed.name.into(), seed.created_date.map_or(now, millis));
    secret.changed = seed.last_changed_date.map_or(now, millis);
    secret.deleted = seed.deleted_date.map(millis);
    secret.description = seed.description;
    secret.kms_key_id = seed.kms_key_id;
    secret.kind = seed.r#type;
    secret.owning_service = seed.owning_service;
    secret.primary_region = seed.primary_region;
    secret.policy = seed.resource_policy;
    secret.tags = seed.tags.map(|tags| tags.into_iter().map(|tag| (tag.key, tag.value)).collect());
    secret.extra = seed.extra;
    secret.rotation = rotation(seed.rotation_enabled, seed.rotation_lambda_arn, seed.rotation_rules);
    for version in seed.versions {
        add(&mut secret, version, now)?;
    }
    world.region(account, region).write().insert(secret);
    Ok(arn)
}

fn add(secret: &mut Secret, seed: SeedVersion, now: Millis) -> Result<(), ControlError> {
    let value = match (seed.secret_string, seed.secret_binary) {
        (Some(text), _) => Some(SecretValue::text(text)),
        (None, Some(binary)) => {
            let bytes = STANDARD.decode(binary).map_err(|_| ControlError::BadRequest("SecretBinary is not base64"))?;
            Some(SecretValue::bytes(bytes))
        }
        (None, None) => None,
    };
    for stage in &seed.version_stages {
        secret.labels.attach(stage, &seed.version_id);
    }
    let created = seed.created_date.map_or(now, millis);
    let key = seed.kms_key_id.or_else(|| secret.kms_key_id.clone());
    secret.versions.push(Version::new(seed.version_id, value.map(Arc::new), created, key));
    Ok(())
}

fn rotation(enabled: Option<bool>, lambda: Option<String>, rules: Option<SeedRules>) -> Option<Rotation> {
    if enabled.is_none() && lambda.is_none() && rules.is_none() {
        return None;
    }
    let mut rotation = Rotation { enabled: enabled.unwrap_or(false), lambda, ..Rotation::default() };
    if let Some(rules) = rules {
        rotation.after_days = rules.automatically_after_days;
        rotation.duration = rules.duration;
        rotation.schedule = rules.schedule_expression;
    }
    Some(rotation)
}

/// Seconds since 1970 as milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "a date beyond i64 milliseconds is clamped by the cast")]
pub(super) fn millis(seconds: f64) -> Millis {
    (seconds * 1000.0).round() as Millis
}
