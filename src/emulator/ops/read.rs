//! DescribeSecret and GetSecretValue.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Answer, Call, OnlyId, Refusal, answer};
use crate::emulator::{
    entry::{Entry, seconds},
    labels::CURRENT,
    secret::{Secret, Version},
};
use crate::model::SecretValue;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetSecretValue {
    secret_id: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

/// The answer of GetSecretValue, and an entry of BatchGetSecretValue.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Read<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    version_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_string: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_binary: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<&'a str>,
    created_date: f64,
}

pub(super) fn describe_secret(call: &Call<'_>, request: OnlyId) -> Answer {
    call.read(request.secret_id.as_deref(), |secret| answer(&Entry { secret, listed: false }))
}

pub(super) fn get_secret_value(call: &Call<'_>, request: GetSecretValue) -> Answer {
    call.read(request.secret_id.as_deref(), |secret| {
        answer(&read(call, secret, request.version_id.as_deref(), request.version_stage.as_deref())?)
    })
}

/// Reads one value and notes the access.
pub(super) fn read<'a>(
    call: &Call<'_>,
    secret: &'a Secret,
    id: Option<&str>,
    stage: Option<&str>,
) -> Result<Read<'a>, Refusal> {
    secret.must_be_live()?;
    call.must_not_cross_default_key(secret)?;
    let version = find(secret, id, stage)?;
    let Some(value) = &version.value else { return Err(no_value_for(id, stage)) };
    call.world.keys.may_decrypt(version.kms_key_id.as_deref())?;
    secret.touch(version, call.now);
    let (text, binary) = match &**value {
        SecretValue::Text(text) | SecretValue::Fields(text) => (Some(text.as_str()), None),
        SecretValue::Bytes(bytes) => (None, Some(STANDARD.encode(bytes))),
    };
    Ok(Read {
        arn: &secret.arn,
        name: &secret.name,
        version_id: &version.id,
        secret_string: text,
        secret_binary: binary,
        version_stages: secret.labels.of(&version.id).collect(),
        created_date: seconds(version.created),
    })
}

fn find<'a>(secret: &'a Secret, id: Option<&str>, stage: Option<&str>) -> Result<&'a Version, Refusal> {
    if let Some(id) = id {
        let version = secret.version(id).ok_or_else(|| no_value_for(Some(id), None))?;
        if stage.is_some_and(|stage| secret.labels.version(stage) != Some(id)) {
            return Err(Refusal::invalid_request(
                "You provided a VersionStage that is not associated to the provided VersionId.",
            ));
        }
        return Ok(version);
    }
    let stage = stage.unwrap_or(CURRENT);
    let holder = secret.labels.version(stage).and_then(|holder| secret.version(holder));
    holder.ok_or_else(|| no_value_for(None, Some(stage)))
}

fn no_value_for(id: Option<&str>, stage: Option<&str>) -> Refusal {
    let what = match id {
        Some(id) => format!("VersionId: {id}"),
        None => format!("staging label: {}", stage.unwrap_or(CURRENT)),
    };
    Refusal::not_found(format!("Secrets Manager can't find the specified secret value for {what}"))
}
