//! RotateSecret and CancelRotateSecret. The function itself is played: it stores a fresh random value.

use std::sync::{Arc, atomic::Ordering};

use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Call, OnlyId, Refusal, answer, named, random_text};
use crate::emulator::{
    entry::days_of,
    labels, limits,
    secret::{Rotation, Secret, Version},
};
use crate::model::SecretValue;

const DAY: i64 = 24 * 60 * 60 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RotateSecret {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    #[serde(rename = "RotationLambdaARN")]
    rotation_lambda_arn: Option<String>,
    rotation_rules: Option<Rules>,
    rotate_immediately: Option<bool>,
    external_secret_rotation_role_arn: Option<String>,
    external_secret_rotation_metadata: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rules {
    automatically_after_days: Option<i64>,
    duration: Option<String>,
    schedule_expression: Option<String>,
}

pub(super) fn rotate_secret(call: &Call<'_>, mut request: RotateSecret) -> Answer {
    let Some(token) = request.client_request_token.take() else {
        return Err(Refusal::invalid_parameter(limits::TOKEN_MISSING));
    };
    let token = limits::token(Some(token))?;
    check_rules(request.rotation_rules.as_ref())?;
    let at_once = request.rotate_immediately.unwrap_or(true);
    if at_once {
        call.world.immediate_rotations.fetch_add(1, Ordering::Relaxed);
    }
    let id = request.secret_id.take();
    let rotated = call.write(id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        let rotation = configured(call, secret, request)?;
        must_not_be_under_way(secret)?;
        let mut body = named(secret);
        if at_once {
            body["VersionId"] = token.as_str().into();
            play_function(call, secret, token)?;
        }
        let days = rotation.after_days.or_else(|| rotation.schedule.as_deref().map(days_of));
        secret.next_rotation = days.map(|days| call.now + days * DAY);
        secret.rotation = Some(rotation);
        Ok(body)
    })?;
    answer(&rotated)
}

fn check_rules(rules: Option<&Rules>) -> Result<(), Refusal> {
    let Some(rules) = rules else { return Ok(()) };
    if rules.automatically_after_days.is_some() && rules.schedule_expression.is_some() {
        return Err(Refusal::invalid_parameter(
            "You can't specify both AutomaticallyAfterDays and ScheduleExpression in RotationRules.",
        ));
    }
    if rules.automatically_after_days.is_some_and(|days| !(1..=1000).contains(&days)) {
        return Err(Refusal::constraint("rotationRules.automaticallyAfterDays", "have value between 1 and 1000"));
    }
    let schedule = rules.schedule_expression.as_deref();
    if schedule.is_some_and(|text| !(text.starts_with("rate(") || text.starts_with("cron(")) || !text.ends_with(')')) {
        return Err(Refusal::invalid_parameter("The ScheduleExpression is not a rate() or cron() expression."));
    }
    Ok(())
}

/// The settings as they will be: those given, over those stored.
fn configured(call: &Call<'_>, secret: &Secret, request: RotateSecret) -> Result<Rotation, Refusal> {
    let mut rotation = secret.rotation.clone().unwrap_or_default();
    if let Some(arn) = request.rotation_lambda_arn {
        rotation.lambda = Some(arn);
    }
    rotation.external_role = request.external_secret_rotation_role_arn.or(rotation.external_role);
    rotation.external_metadata = request.external_secret_rotation_metadata.or(rotation.external_metadata);
    let managed = secret.owning_service.is_some() || rotation.external_role.is_some();
    match &rotation.lambda {
        None if managed => {}
        None => {
            return Err(Refusal::invalid_request("No Lambda rotation function ARN is associated with this secret."));
        }
        Some(arn) => must_be_function(call, arn)?,
    }
    if let Some(rules) = request.rotation_rules {
        rotation.after_days = rules.automatically_after_days;
        rotation.schedule = rules.schedule_expression;
        rotation.duration = rules.duration;
    }
    rotation.enabled = true;
    Ok(rotation)
}

fn must_be_function(call: &Call<'_>, arn: &str) -> Result<(), Refusal> {
    let here = format!("arn:aws:lambda:{}:{}:function:", call.region, call.account);
    if arn.starts_with(&here) && call.world.function_exists(arn) {
        return Ok(());
    }
    Err(Refusal::new(
        "AccessDeniedException",
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to \
         the principal secretsmanager.amazonaws.com.",
    ))
}

/// `AWSPENDING` on another version than `AWSCURRENT` means that an earlier rotation has not ended.
fn must_not_be_under_way(secret: &Secret) -> Result<(), Refusal> {
    match secret.labels.version(labels::PENDING) {
        Some(pending) if Some(pending) != secret.labels.version(labels::CURRENT) => {
            Err(Refusal::invalid_request("A previous rotation isn't complete. That rotation will be reattempted."))
        }
        _ => Ok(()),
    }
}

fn play_function(call: &Call<'_>, secret: &mut Secret, token: String) -> Result<(), Refusal> {
    if let Some(version) = secret.current() {
        secret.touch(version, call.now);
    }
    let value = Some(Arc::new(SecretValue::text(random_text(32))));
    let version = Version::new(token, value, call.now, secret.kms_key_id.clone());
    secret.add_version(version, None)?;
    secret.rotated = Some(call.now);
    Ok(())
}

/// The rules stay readable.
pub(super) fn cancel_rotate_secret(call: &Call<'_>, request: OnlyId) -> Answer {
    let cancelled = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        if let Some(rotation) = &mut secret.rotation {
            rotation.enabled = false;
        }
        secret.next_rotation = None;
        Ok(named(secret))
    })?;
    answer(&cancelled)
}
