//! What a caller may say of a secret, at its creation and later.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::{
    answer::Refusal,
    check,
    request::{Request, Scope},
    secrets::matches_etag,
    state::{State, etag, time},
};

/// What can be changed, in both spellings of a field mask.
const CHANGEABLE: [(&str, &str); 9] = [
    ("labels", "labels"),
    ("annotations", "annotations"),
    ("versionAliases", "version_aliases"),
    ("topics", "topics"),
    ("rotation", "rotation"),
    ("expireTime", "expire_time"),
    ("ttl", "ttl"),
    ("versionDestroyTtl", "version_destroy_ttl"),
    ("customerManagedEncryption", "customer_managed_encryption"),
];
/// What is said once.
const IMMUTABLE: [&str; 3] = ["replication", "secretType", "tags"];
/// What the service says.
const OUTPUT: [&str; 4] = ["name", "createTime", "etag", "policyMember"];
/// The shortest delay of a destruction, in seconds.
const SHORTEST_DELAY: i64 = 86_400;

/// The fields of a secret that is made.
pub(super) fn created(body: &Map<String, Json>, scope: &Scope, now: Timestamp) -> Result<Map<String, Json>, Refusal> {
    let mut fields = Map::new();
    for (name, value) in body {
        let is_changeable = CHANGEABLE.iter().any(|(known, _)| known == name);
        if is_changeable || IMMUTABLE.contains(&name.as_str()) {
            set(&mut fields, name, value, now)?;
        } else if !OUTPUT.contains(&name.as_str()) {
            return Err(unknown(name));
        }
    }
    match (fields.get("replication"), &scope.location) {
        (Some(replication), None) => check::replication(replication)?,
        (None, None) => return Err(Refusal::invalid("Field [secret.replication] is required.")),
        (Some(_), Some(_)) => return Err(Refusal::invalid("A regional secret has no replication.")),
        (None, Some(_)) => {}
    }
    whole(&fields, scope)?;
    Ok(fields)
}

pub(super) fn patch(
    state: &mut State,
    scope: &Scope,
    id: &str,
    request: &Request,
    now: Timestamp,
) -> Result<Json, Refusal> {
    let mask = request.text("updateMask").ok_or_else(|| Refusal::invalid("Field [update_mask] is required."))?;
    let change = state.change();
    let secret = state.secret(scope, id)?;
    matches_etag(request.body.get("etag").and_then(Json::as_str), &secret.etag)?;
    let mut fields = secret.fields.clone();
    for path in mask.split(',').map(str::trim) {
        let name = CHANGEABLE.iter().find(|(camel, snake)| path == *camel || path == *snake).map(|(camel, _)| *camel);
        let name = name.ok_or_else(|| Refusal::invalid(format!("The field [{path}] cannot be updated.")))?;
        fields.remove(if name == "ttl" { "expireTime" } else { name });
        if let Some(value) = request.body.get(name) {
            set(&mut fields, name, value, now)?;
        }
    }
    whole(&fields, scope)?;
    let before = std::mem::replace(&mut secret.fields, fields);
    if secret.has_wrong_alias() {
        secret.fields = before;
        return Err(Refusal::invalid("A version alias leads to no version."));
    }
    secret.etag = etag(change);
    Ok(secret.json(scope, id))
}

fn set(fields: &mut Map<String, Json>, name: &str, value: &Json, now: Timestamp) -> Result<(), Refusal> {
    let object = || value.as_object().ok_or_else(|| Refusal::invalid(format!("The field [{name}] is no map.")));
    let text = || value.as_str().ok_or_else(|| Refusal::invalid(format!("The field [{name}] is no text.")));
    let mut value = value.clone();
    let mut name = name;
    match name {
        "labels" => check::labels(object()?)?,
        "annotations" => check::annotations(object()?)?,
        "versionAliases" => {
            let mut aliases = object()?.clone();
            check::aliases(&aliases)?;
            // A number of 64 bits is a text in JSON.
            for number in aliases.values_mut().filter(|number| number.is_number()) {
                *number = json!(number.to_string());
            }
            value = Json::Object(aliases);
        }
        "topics" => check::topics(&value)?,
        "rotation" => check::rotation(&value, now)?,
        "secretType" => {
            let name = check::secret_type(&value)?;
            if name == check::TYPES[0].0 {
                return Ok(());
            }
            value = json!(name);
        }
        "expireTime" if check::time(text()?)? <= now => {
            return Err(Refusal::invalid("The expiration time must be in the future."));
        }
        "ttl" => {
            let end = now + SignedDuration::from_secs(check::seconds(text()?)?.max(0));
            (name, value) = ("expireTime", json!(time(end)));
        }
        "versionDestroyTtl" if check::seconds(text()?)? < SHORTEST_DELAY => {
            return Err(Refusal::invalid("The version destroy TTL must be at least 1 day."));
        }
        // Never told again.
        "tags" => return Ok(()),
        _ => {}
    }
    let is_empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    if !is_empty {
        fields.insert(name.to_owned(), value);
    }
    Ok(())
}

/// What holds of all fields together.
fn whole(fields: &Map<String, Json>, scope: &Scope) -> Result<(), Refusal> {
    if fields.contains_key("rotation") && !fields.contains_key("topics") {
        return Err(Refusal::invalid("A rotation needs topics."));
    }
    if fields.contains_key("customerManagedEncryption") && scope.location.is_none() {
        return Err(Refusal::invalid("The key of a global secret is part of its replication."));
    }
    Ok(())
}

fn unknown(name: &str) -> Refusal {
    Refusal::invalid(format!("Invalid JSON payload received. Unknown name \"{name}\" at 'secret': Cannot find field."))
}
