//! The operations of Secrets Manager that read, on snapshots. The others are refused.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    audit::Touched,
    entry::{Entry, is_stored, seconds, stages},
    estate::{Estate, Unreadable, Unresolved},
    grants::Grant,
    list,
    values::Values,
};
use crate::{
    crypto::{PasswordRequest, random_password},
    model::{AWSCURRENT, SecretArn, SecretValue, ValueState, Version},
};

/// The operations that write: refused by name, and known by name in the log.
const WRITES: [&str; 16] = [
    "CancelRotateSecret",
    "CreateSecret",
    "DeleteResourcePolicy",
    "DeleteSecret",
    "PutResourcePolicy",
    "PutSecretValue",
    "RemoveRegionsFromReplication",
    "ReplicateSecretToRegions",
    "RestoreSecret",
    "RotateSecret",
    "StopReplicationToReplica",
    "TagResource",
    "UntagResource",
    "UpdateSecret",
    "UpdateSecretVersionStage",
    "ValidateResourcePolicy",
];
/// The operations that are answered.
pub(super) const READS: [&str; 7] = [
    "BatchGetSecretValue",
    "DescribeSecret",
    "GetRandomPassword",
    "GetResourcePolicy",
    "GetSecretValue",
    "ListSecretVersionIds",
    "ListSecrets",
];

/// An answer that says no, as AWS says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

/// What an operation gave, and what it is about.
pub(super) struct Done {
    pub(super) outcome: Result<Vec<u8>, Refusal>,
    pub(super) touched: Vec<Touched>,
}

/// What every operation needs.
pub(super) struct Call<'a> {
    pub(super) estate: &'a Estate,
    pub(super) values: &'a dyn Values,
    pub(super) grant: &'a Grant,
    pub(super) region: &'a str,
    pub(super) now: Timestamp,
    pub(super) touched: Vec<Touched>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OnlyId {
    secret_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSecretVersionIds {
    secret_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    include_deprecated: bool,
}

/// What a write that is refused is about. Nothing else of it is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteName {
    secret_id: Option<String>,
    name: Option<String>,
}

/// The answer of GetSecretValue, and an entry of BatchGetSecretValue. No Debug: it holds a value.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Answered<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    created_date: Option<f64>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn denied() -> Self {
        Self::new("AccessDeniedException", "this consumer was not granted this secret")
    }

    /// What cannot be read is said in full where the server runs, and to nobody else.
    pub(super) fn unreadable(reason: &Unreadable) -> Self {
        tracing::warn!("the index of a snapshot cannot be read: {}", crate::text::line(&reason.0));
        Self::new("InternalServiceError", "the index of the snapshot cannot be read")
    }

    fn no_such_secret() -> Self {
        Self::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// Errors are 400, which no client tries again, except the server's own.
    pub(super) fn status(&self) -> u16 {
        if self.code == "InternalServiceError" { 500 } else { 400 }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        json!({ "__type": self.code, "Message": self.message, "message": self.message }).to_string().into_bytes()
    }
}

/// The operation in the log: one that is known, or the word for all others, since a client can write anything.
pub(super) fn known_name(name: &str) -> &'static str {
    READS.iter().chain(&WRITES).find(|known| **known == name).copied().unwrap_or("unknown")
}

/// Carries out one call.
pub(super) async fn dispatch(mut call: Call<'_>, operation: &str, body: &[u8]) -> Done {
    let outcome = match operation {
        "GetSecretValue" => call.get_secret_value(body).await,
        "BatchGetSecretValue" => list::batch(&mut call, body).await,
        "ListSecrets" => list::list(&call, body).await,
        "DescribeSecret" => call.of_one(body, |entry| Ok(entry.described().as_bytes().to_vec())).await,
        "GetResourcePolicy" => call.of_one(body, policy).await,
        "ListSecretVersionIds" => call.list_versions(body).await,
        "GetRandomPassword" => decode(body).and_then(|request| password(&request)),
        _ => call.refuse(operation, body).await,
    };
    Done { outcome, touched: call.touched }
}

fn policy(entry: &Entry) -> Result<Vec<u8>, Refusal> {
    let mut answer = json!({ "ARN": &*entry.id, "Name": &*entry.name });
    if let Some(policy) = &entry.policy {
        answer["ResourcePolicy"] = json!(policy);
    }
    to_bytes(&answer)
}

impl Call<'_> {
    /// Finds a secret that the consumer was granted. Who was not granted a name learns nothing about it.
    pub(super) async fn find(&mut self, id: Option<&str>) -> Result<Arc<Entry>, Refusal> {
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| {
            Refusal::new(
                "ValidationException",
                "Value null at 'secretId' failed to satisfy constraint: Member must not be null",
            )
        })?;
        match self.estate.find(id, self.region).await {
            Ok(entry) => {
                self.touched.push(touched(self.estate, &entry));
                if self.grant.opens(&entry.name) { Ok(entry) } else { Err(Refusal::denied()) }
            }
            Err(unresolved) => {
                let name = SecretArn::parse(id).map_or(id, |arn| arn.resource);
                self.touched.push(asked_for(id));
                // Before the grant is looked at: whoever runs the server has to know, whoever asked for it.
                let unreadable = match &unresolved {
                    Unresolved::Unreadable(reason) => Some(Refusal::unreadable(reason)),
                    _ => None,
                };
                if !self.grant.opens(name) {
                    return Err(Refusal::denied());
                }
                Err(match (unresolved, unreadable) {
                    (_, Some(unreadable)) => unreadable,
                    (Unresolved::Several(arns), None) => Refusal::new(
                        "InvalidRequestException",
                        format!(
                            "several sources of the snapshot have this name: use one of the ARNs {}",
                            arns.join(", ")
                        ),
                    ),
                    (_, None) => Refusal::no_such_secret(),
                })
            }
        }
    }

    async fn of_one(
        &mut self,
        body: &[u8],
        answer: impl FnOnce(&Entry) -> Result<Vec<u8>, Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let request: OnlyId = decode(body)?;
        answer(&*self.find(request.secret_id.as_deref()).await?)
    }

    async fn get_secret_value(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: GetSecretValue = decode(body)?;
        let entry = self.find(request.secret_id.as_deref()).await?;
        let version = choose(&entry, request.version_id.as_deref(), request.version_stage.as_deref())?;
        let value = self.value(&entry, version).await?;
        to_bytes(&answered(&entry, version, &value))
    }

    /// The value of a version that the consumer was granted.
    pub(super) async fn value(&mut self, entry: &Entry, version: &Version) -> Result<Arc<SecretValue>, Refusal> {
        if entry.is_deleted {
            return Err(Refusal::new(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            ));
        }
        let ValueState::Stored { pack, line, .. } = &version.value else {
            return Err(no_value(Some(&version.id), None));
        };
        let value = self.values.value(pack, *line, &entry.id, &version.id).await.map_err(|reason| {
            tracing::warn!("a value cannot be read: {}", crate::text::line(&reason));
            Refusal::new("InternalServiceError", "the value cannot be read from the snapshot")
        })?;
        if let Some(last) = self.touched.last_mut() {
            last.version = Some(version.id.clone());
            last.value = true;
        }
        Ok(value)
    }

    async fn list_versions(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: ListSecretVersionIds = decode(body)?;
        let size = list::page_size(request.max_results, 100)?;
        let entry = self.find(request.secret_id.as_deref()).await?;
        let shown = |it: &&Version| is_stored(it) && (request.include_deprecated || !stages(it).is_empty());
        let all: Vec<&Version> = entry.versions.iter().filter(shown).collect();
        let start = match request.next_token.as_deref() {
            None => 0,
            Some(token) => 1 + all.iter().position(|it| it.id == token).ok_or_else(list::bad_token)?,
        };
        let page = &all[start..all.len().min(start + size)];
        let versions: Vec<Json> = page.iter().map(|it| shown_as(it)).collect();
        let mut answer = json!({ "ARN": &*entry.id, "Name": &*entry.name, "Versions": versions });
        if let Some(last) = page.last().filter(|_| start + page.len() < all.len()) {
            answer["NextToken"] = json!(last.id);
        }
        to_bytes(&answer)
    }

    /// A write, or nothing that there is. The log keeps the name; what was to be written is not looked at.
    async fn refuse(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        if !WRITES.contains(&operation) {
            return Err(Refusal::new("UnknownOperationException", "there is no such operation"));
        }
        let request: WriteName = serde_json::from_slice(body).unwrap_or(WriteName { secret_id: None, name: None });
        if let Some(id) = request.secret_id.or(request.name) {
            let known = self.estate.find(&id, self.region).await.map(|entry| touched(self.estate, &entry));
            self.touched.push(known.unwrap_or_else(|_| asked_for(&id)));
        }
        Err(Refusal::new("AccessDeniedException", self.read_only()))
    }

    fn read_only(&self) -> String {
        let Some(oldest) = self.estate.oldest() else { return "read-only: break-glass".into() };
        let age = self.now.duration_since(oldest.taken);
        format!("read-only: break-glass of snapshot {} taken {} ({})", oldest.snapshot.short(), oldest.taken, ago(age))
    }
}

/// `26 h ago`
pub(super) fn ago(age: jiff::SignedDuration) -> String {
    match age.as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..259_200 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// Reads a request. Texts of the parser are kept back: they can quote the request.
pub(super) fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|_| Refusal::new("SerializationException", "The request could not be read."))
}

fn password(request: &PasswordRequest) -> Result<Vec<u8>, Refusal> {
    let password = random_password(request).map_err(|none| Refusal::invalid(none.to_string()))?;
    to_bytes(&json!({ "RandomPassword": *password }))
}

pub(super) fn to_bytes(answer: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(answer).map_err(|_| Refusal::new("InternalServiceError", "The answer could not be written."))
}

fn touched(estate: &Estate, entry: &Entry) -> Touched {
    Touched {
        name: entry.name.to_string(),
        arn: entry.id.to_string(),
        version: None,
        snapshot: Some(estate.shelf(entry).snapshot.short()),
        value: false,
    }
}

/// A name that is not in the snapshot, if it looks like one: a client may send anything in its place.
fn asked_for(id: &str) -> Touched {
    let is_name =
        id.len() <= 2_048 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&byte));
    let name = if is_name { id.to_owned() } else { "(not a name)".into() };
    Touched { name, arn: String::new(), version: None, snapshot: None, value: false }
}

/// The version that is asked for.
pub(super) fn choose<'a>(entry: &'a Entry, id: Option<&str>, stage: Option<&str>) -> Result<&'a Version, Refusal> {
    match (id, stage) {
        (Some(id), stage) => {
            let version = entry.version(id).ok_or_else(|| no_value(Some(id), None))?;
            if stage.is_some_and(|stage| !stages(version).contains(&stage)) {
                return Err(Refusal::new(
                    "InvalidRequestException",
                    "You provided a VersionStage that is not associated to the provided VersionId.",
                ));
            }
            Ok(version)
        }
        (None, stage) => {
            let stage = stage.unwrap_or(AWSCURRENT);
            entry.labelled(stage).ok_or_else(|| no_value(None, Some(stage)))
        }
    }
}

fn no_value(id: Option<&str>, stage: Option<&str>) -> Refusal {
    let what = match id {
        Some(id) => format!("VersionId: {id}"),
        None => format!("staging label: {}", stage.unwrap_or(AWSCURRENT)),
    };
    let message = format!("Secrets Manager can't find the specified secret value for {what}");
    Refusal::new("ResourceNotFoundException", message)
}

pub(super) fn answered<'a>(entry: &'a Entry, version: &'a Version, value: &'a SecretValue) -> Answered<'a> {
    let (text, binary) = match value {
        SecretValue::Text(text) | SecretValue::Fields(text) => (Some(text.as_str()), None),
        SecretValue::Bytes(bytes) => (None, Some(BASE64_STANDARD.encode(bytes.as_slice()))),
    };
    Answered {
        arn: &entry.id,
        name: &entry.name,
        version_id: &version.id,
        secret_string: text,
        secret_binary: binary,
        version_stages: stages(version),
        created_date: version.created.map(seconds),
    }
}

fn shown_as(version: &Version) -> Json {
    let mut shown = json!({ "VersionId": version.id });
    if let Some(created) = version.created {
        shown["CreatedDate"] = json!(seconds(created));
    }
    if !version.facets.keys.is_empty() {
        shown["KmsKeyIds"] = json!(version.facets.keys);
    }
    let stages = stages(version);
    if !stages.is_empty() {
        shown["VersionStages"] = json!(stages);
    }
    shown
}
