//! CreateSecret, PutSecretValue and UpdateSecret.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, Refusal, answer, named, new_arn, replication, tags::Tag};
use crate::emulator::{
    entry, labels, limits,
    secret::{Secret, Version},
};
use crate::model::SecretValue;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateSecret {
    name: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    tags: Option<Vec<Tag>>,
    #[serde(default)]
    add_replica_regions: Vec<replication::ReplicaRegion>,
    #[serde(default)]
    force_overwrite_replica_secret: bool,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutSecretValue {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateSecret {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    r#type: Option<String>,
}

pub(super) fn create_secret(call: &Call<'_>, request: CreateSecret) -> Answer {
    let token = limits::token(request.client_request_token)?;
    let name: Arc<str> = limits::new_name(request.name)?.into();
    let value = limits::value(request.secret_string, request.secret_binary)?;
    limits::description(request.description.as_deref())?;
    let tags = request.tags.unwrap_or_default();
    limits::tags(&[], tags.iter().map(Tag::pair))?;
    let mut secret = Secret::new(new_arn(call.region, call.account, &name), Arc::clone(&name), call.now);
    secret.description = filled(request.description);
    secret.kms_key_id = filled(request.kms_key_id);
    secret.kind = filled(request.r#type);
    secret.tags = Some(tags.into_iter().map(Tag::into_pair).collect()).filter(|tags: &Vec<_>| !tags.is_empty());
    if let Some(value) = value {
        call.world.keys.may_encrypt(secret.kms_key_id.as_deref())?;
        let version = Version::new(token.clone(), Some(value), call.now, secret.kms_key_id.clone());
        secret.add_version(version, None)?;
    }
    replication::must_be_targets(call.region, &request.add_replica_regions)?;
    let made = shelve(call, secret, &token)?;
    let replicas = request.add_replica_regions;
    if replicas.is_empty() {
        return answer(&made);
    }
    replication::add(call, &name, replicas, request.force_overwrite_replica_secret)?;
    call.read(Some(&name), |secret| {
        let mut made = made;
        made["ReplicationStatus"] = entry::replication(&secret.replicas).into();
        answer(&made)
    })
}

/// Puts a new secret on the shelf, or answers again if this very request was carried out before.
fn shelve(call: &Call<'_>, secret: Secret, token: &str) -> Result<Value, Refusal> {
    let mut shelf = call.home.write();
    if let Some(present) = shelf.by_name.get(&secret.name) {
        if present.deleted.is_some() {
            return Err(Refusal::invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ));
        }
        let before = present.version(token).and_then(|version| version.value.as_ref());
        let again = secret.version(token).and_then(|version| version.value.as_ref());
        return match (before, again) {
            (Some(before), Some(again)) if before.same_as(again) => Ok(created(present, Some(token))),
            _ => Err(Refusal::new(
                "ResourceExistsException",
                format!("The operation failed because the secret {} already exists.", secret.name),
            )),
        };
    }
    if shelf.by_name.len() >= limits::SECRETS {
        return Err(Refusal::limit("You've reached the maximum number of secrets in this Region."));
    }
    let made = created(&secret, secret.versions.first().map(|version| version.id.as_str()));
    shelf.insert(secret);
    Ok(made)
}

fn created(secret: &Secret, version: Option<&str>) -> Value {
    let mut made = named(secret);
    if let Some(version) = version {
        made["VersionId"] = version.into();
    }
    made
}

pub(super) fn put_secret_value(call: &Call<'_>, request: PutSecretValue) -> Answer {
    let token = limits::token(request.client_request_token)?;
    let value = limits::value(request.secret_string, request.secret_binary)?;
    let value = value.ok_or_else(|| {
        Refusal::invalid_request("You must provide either SecretString or SecretBinary to create a secret version.")
    })?;
    limits::stages(request.version_stages.as_deref())?;
    let stages = request.version_stages.as_deref();
    let put = call.write(request.secret_id.as_deref(), |secret| {
        may_take_values(call, secret)?;
        if let Some(version) = secret.version(&token).filter(|version| version.value.is_some()) {
            return same_again(version, &value).map(|()| put_answer(secret, &token));
        }
        call.world.keys.may_encrypt(secret.kms_key_id.as_deref())?;
        reserve(secret, &token);
        let version = Version::new(token.clone(), Some(value), call.now, secret.kms_key_id.clone());
        secret.add_version(version, stages)?;
        Ok(put_answer(secret, &token))
    })?;
    answer(&put)
}

/// A version that a rotation reserved gets its value by the same token: the empty place goes.
fn reserve(secret: &mut Secret, token: &str) {
    secret.versions.retain(|version| version.id != token);
}

fn put_answer(secret: &Secret, token: &str) -> Value {
    let mut put = created(secret, Some(token));
    let stages: Vec<&str> = secret.labels.of(token).collect();
    if !stages.is_empty() {
        put["VersionStages"] = json!(stages);
    }
    put
}

/// The same token with the same value is the same request again, and changes nothing.
fn same_again(version: &Version, value: &SecretValue) -> Result<(), Refusal> {
    if version.value.as_ref().is_some_and(|present| present.same_as(value)) { Ok(()) } else { Err(no_overwrite()) }
}

fn no_overwrite() -> Refusal {
    Refusal::new("ResourceExistsException", "You can't modify an existing version, you can only create a new version.")
}

pub(super) fn update_secret(call: &Call<'_>, request: UpdateSecret) -> Answer {
    let value = limits::value(request.secret_string, request.secret_binary)?;
    let token = match (&value, request.client_request_token) {
        (None, None) => None,
        (_, token) => Some(limits::token(token)?),
    };
    limits::description(request.description.as_deref())?;
    let updated = call.write(request.secret_id.as_deref(), |secret| {
        may_take_values(call, secret)?;
        if value.is_some() && token.as_ref().is_some_and(|token| secret.version(token).is_some()) {
            return Err(no_overwrite());
        }
        let key = request.kms_key_id.as_ref().map_or(secret.kms_key_id.clone(), |key| filled(Some(key.clone())));
        if value.is_some() || key != secret.kms_key_id {
            call.world.keys.may_encrypt(key.as_deref())?;
        }
        if let (Some(value), Some(token)) = (&value, &token) {
            let version = Version::new(token.clone(), Some(Arc::clone(value)), call.now, key.clone());
            secret.add_version(version, None)?;
        }
        if key != secret.kms_key_id {
            reencrypt(secret, key);
        }
        if let Some(text) = request.description {
            secret.description = filled(Some(text));
        }
        secret.kind = filled(request.r#type).or_else(|| secret.kind.take());
        Ok(created(secret, token.as_deref().filter(|_| value.is_some())))
    })?;
    answer(&updated)
}

/// A new key takes over the versions with AWS's own labels; others stay under theirs.
fn reencrypt(secret: &mut Secret, key: Option<String>) {
    for label in [labels::CURRENT, labels::PENDING, labels::PREVIOUS] {
        let holder = secret.labels.version(label);
        if let Some(version) = secret.versions.iter_mut().find(|version| Some(version.id.as_str()) == holder) {
            version.kms_key_id.clone_from(&key);
        }
    }
    secret.kms_key_id = key;
}

fn may_take_values(call: &Call<'_>, secret: &Secret) -> Result<(), Refusal> {
    secret.must_be_live()?;
    secret.must_be_primary(call.region)?;
    secret.must_be_unmanaged()?;
    call.must_not_cross_default_key(secret)
}

/// AWS treats an empty text as none.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
