//! Resource policies.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, OnlyId, Refusal, answer, named};
use crate::emulator::limits;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutResourcePolicy {
    secret_id: Option<String>,
    resource_policy: Option<String>,
    #[serde(default)]
    block_public_policy: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ValidateResourcePolicy {
    secret_id: Option<String>,
    resource_policy: Option<String>,
}

pub(super) fn get_resource_policy(call: &Call<'_>, request: OnlyId) -> Answer {
    call.read(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        let mut body = named(secret);
        if let Some(policy) = &secret.policy {
            body["ResourcePolicy"] = policy.as_str().into();
        }
        answer(&body)
    })
}

/// The text is kept to the byte.
pub(super) fn put_resource_policy(call: &Call<'_>, request: PutResourcePolicy) -> Answer {
    let text = request.resource_policy.ok_or_else(|| Refusal::missing("resourcePolicy"))?;
    limits::policy(&text)?;
    let put = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        let policy = parse(&text)?;
        if request.block_public_policy == Some(true) && is_public(&policy) {
            return Err(Refusal::new(
                "PublicPolicyException",
                "You can't attach the resource policy because it allows broad access to the secret.",
            ));
        }
        secret.policy = Some(text);
        Ok(named(secret))
    })?;
    answer(&put)
}

pub(super) fn delete_resource_policy(call: &Call<'_>, request: OnlyId) -> Answer {
    let deleted = call.write(request.secret_id.as_deref(), |secret| {
        secret.must_be_live()?;
        secret.must_be_primary(call.region)?;
        secret.policy = None;
        Ok(named(secret))
    })?;
    answer(&deleted)
}

pub(super) fn validate_resource_policy(call: &Call<'_>, request: ValidateResourcePolicy) -> Answer {
    if let Some(id) = &request.secret_id {
        call.read(Some(id), |_| Ok(()))?;
    }
    let text = request.resource_policy.ok_or_else(|| Refusal::missing("resourcePolicy"))?;
    limits::policy(&text)?;
    let policy = parse(&text)?;
    let mut errors = Vec::new();
    if is_public(&policy) {
        errors.push(json!({ "CheckName": "BlockPublicPolicy", "ErrorMessage": "The policy allows public access." }));
    }
    if locks_out(&policy) {
        errors.push(json!({ "CheckName": "LockOut", "ErrorMessage": "The policy would lock the caller out." }));
    }
    answer(&json!({ "PolicyValidationPassed": errors.is_empty(), "ValidationErrors": errors }))
}

/// Whether a policy lets another account in: any `Allow` for everyone or for that account.
pub(super) fn admits(policy: Option<&str>, account: &str) -> bool {
    let Some(policy) = policy.and_then(|text| serde_json::from_str::<Value>(text).ok()) else { return false };
    statements(&policy)
        .iter()
        .filter(|it| it["Effect"] == "Allow")
        .any(|it| principals(it).iter().any(|who| *who == "*" || who.split(':').nth(4).unwrap_or(who) == account))
}

fn parse(text: &str) -> Result<Value, Refusal> {
    let malformed = || {
        Refusal::new("MalformedPolicyDocumentException", "This resource policy contains invalid JSON or is no policy.")
    };
    let policy: Value = serde_json::from_str(text).map_err(|_| malformed())?;
    let statements = statements(&policy);
    let good = |it: &&Value| {
        (it["Effect"] == "Allow" || it["Effect"] == "Deny")
            && (it.get("Action").is_some() || it.get("NotAction").is_some())
            && (it.get("Principal").is_some() || it.get("NotPrincipal").is_some())
            && (it.get("Resource").is_some() || it.get("NotResource").is_some())
    };
    if policy.get("Statement").is_none() || !statements.iter().all(good) { Err(malformed()) } else { Ok(policy) }
}

fn is_public(policy: &Value) -> bool {
    statements(policy)
        .iter()
        .any(|it| it["Effect"] == "Allow" && it.get("Condition").is_none() && principals(it).contains(&"*"))
}

fn locks_out(policy: &Value) -> bool {
    let everything = |it: &Value| texts(&it["Action"]).iter().any(|action| matches!(*action, "*" | "secretsmanager:*"));
    statements(policy).iter().any(|it| {
        it["Effect"] == "Deny" && it.get("Condition").is_none() && principals(it).contains(&"*") && everything(it)
    })
}

fn statements(policy: &Value) -> Vec<&Value> {
    match &policy["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one @ Value::Object(_) => vec![one],
        _ => Vec::new(),
    }
}

fn principals(statement: &Value) -> Vec<&str> {
    match &statement["Principal"] {
        Value::Object(kinds) => kinds.values().flat_map(texts).collect(),
        plain => texts(plain),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
