//! The operations on secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;

use super::{
    answer::Answer,
    blob,
    state::{Deleted, Secret, Vault, Version, hex32},
};

/// Entries of a page.
pub(super) const MOST_PAGE: usize = 25;
/// The longest value, in characters: 25 KB.
const LONGEST: usize = 25 * 1024;
const LONGEST_NAME: usize = 127;
const LONGEST_CONTENT_TYPE: usize = 255;
const MOST_TAGS: usize = 15;
const LONGEST_TAG: usize = 512;

type Answered = Result<Answer, Answer>;

/// One request to a vault.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) segments: &'a [&'a str],
    pub(super) body: &'a Json,
    pub(super) most: usize,
    pub(super) skip: Option<&'a str>,
    pub(super) version: &'a str,
    pub(super) address: &'a str,
    pub(super) now: Timestamp,
    pub(super) lag: u32,
}

/// Carries out a request: what it was about, and the answer.
pub(super) fn answer(vault: &mut Vault, call: &Call<'_>) -> (&'static str, Answered) {
    match (call.method, call.segments) {
        ("GET", ["secrets"]) => ("secrets", Ok(list(vault, call))),
        ("GET", ["deletedsecrets"]) => ("deletedsecrets", Ok(list_deleted(vault, call))),
        ("POST", ["secrets", "restore"]) => ("restore", restore(vault, call)),
        ("PUT", ["secrets", name]) => ("secret", set(vault, call, name)),
        ("DELETE", ["secrets", name]) => ("secret", delete(vault, call, name)),
        ("GET", ["secrets", name]) => ("secret", get(vault, call, name, "")),
        ("GET", ["secrets", name, "versions"]) => ("versions", list_versions(vault, call, name)),
        ("POST", ["secrets", name, "backup"]) => ("backup", backup(vault, name)),
        ("GET", ["secrets", name, version]) => ("secret", get(vault, call, name, version)),
        ("PATCH", ["secrets", name]) => ("secret", update(vault, call, name, "")),
        ("PATCH", ["secrets", name, version]) => ("secret", update(vault, call, name, version)),
        ("GET", ["deletedsecrets", name]) => ("deletedsecret", get_deleted(vault, call, name)),
        ("DELETE", ["deletedsecrets", name]) => ("deletedsecret", purge(vault, name)),
        ("POST", ["deletedsecrets", name, "recover"]) => ("recover", recover(vault, call, name)),
        _ => ("other", Err(Answer::error(404, "NotFound", "There is no such operation."))),
    }
}

fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A secret that is there and is past its lag.
fn found<'v>(vault: &'v mut Vault, name: &str) -> Result<&'v mut Secret, Answer> {
    let secret = vault.secrets.get_mut(&key(name)).ok_or_else(|| Answer::missing(name))?;
    if secret.lag > 0 {
        secret.lag -= 1;
        return Err(Answer::missing(name));
    }
    Ok(secret)
}

fn set(vault: &mut Vault, call: &Call<'_>, name: &str) -> Answered {
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name {
        return Err(Answer::bad(&format!("The request URI contains an invalid name: {name}")));
    }
    if vault.deleted.contains_key(&key(name)) {
        let words = format!(
            "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, \
             the secret can only be recovered or purged."
        );
        return Err(Answer::because(409, "Conflict", &words, "ObjectIsDeletedButRecoverable"));
    }
    let Some(value) = call.body["value"].as_str() else {
        return Err(Answer::bad("Property value is required"));
    };
    if value.chars().count() > LONGEST {
        return Err(Answer::bad(&format!("The length of the secret value exceeds the maximum of {LONGEST}.")));
    }
    let seconds = call.now.as_second();
    let mut version = Version {
        id: hex32(),
        value: Zeroizing::new(value.to_owned()),
        content_type: None,
        tags: BTreeMap::new(),
        enabled: true,
        not_before: None,
        expires: None,
        created: seconds,
        updated: seconds,
    };
    version.change(call.body)?;
    let fresh = || Secret { name: name.to_owned(), versions: Vec::new(), is_managed: false, lag: 0 };
    let days = vault.recoverable_days;
    let secret = vault.secrets.entry(key(name)).or_insert_with(fresh);
    if secret.is_managed {
        let words = "Operation \"set\" is not allowed on this secret, since it is associated with a certificate.";
        return Err(Answer::error(403, "Forbidden", words));
    }
    secret.versions.push(version);
    let version = secret.current().expect("one was put there");
    Ok(Answer::json(200, &bundle(secret, version, call, days)))
}

fn get(vault: &mut Vault, call: &Call<'_>, name: &str, version: &str) -> Answered {
    let days = vault.recoverable_days;
    let secret = found(vault, name)?;
    let version = version_of(secret, name, version)?;
    if !version.enabled {
        let words = "Operation get is not allowed on a disabled secret.";
        return Err(Answer::because(403, "Forbidden", words, "SecretDisabled"));
    }
    Ok(Answer::json(200, &bundle(secret, version, call, days)))
}

fn version_of<'s>(secret: &'s Secret, name: &str, version: &str) -> Result<&'s Version, Answer> {
    let found = match version {
        "" => secret.current(),
        id => secret.versions.iter().find(|version| version.id.eq_ignore_ascii_case(id)),
    };
    found.ok_or_else(|| Answer::missing(&format!("{name}/{version}")))
}

fn update(vault: &mut Vault, call: &Call<'_>, name: &str, version: &str) -> Answered {
    let (days, seconds) = (vault.recoverable_days, call.now.as_second());
    let secret = found(vault, name)?;
    let id = version_of(secret, name, version)?.id.clone();
    let at = secret.versions.iter().position(|version| version.id == id).unwrap_or_default();
    let mut changed = secret.versions[at].clone();
    changed.change(call.body)?;
    changed.updated = seconds.max(changed.updated);
    secret.versions[at] = changed;
    let mut answer = bundle(secret, &secret.versions[at], call, days);
    answer.as_object_mut().map(|fields| fields.remove("value"));
    Ok(Answer::json(200, &answer))
}

impl Version {
    /// What a body says of it; what is absent stays.
    fn change(&mut self, body: &Json) -> Result<(), Answer> {
        if let Some(text) = body["contentType"].as_str() {
            if text.len() > LONGEST_CONTENT_TYPE {
                return Err(Answer::bad("The content type is too long."));
            }
            self.content_type = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
        if let Some(tags) = body["tags"].as_object() {
            if tags.len() > MOST_TAGS {
                return Err(Answer::bad(&format!("Too many tags: at most {MOST_TAGS} are supported.")));
            }
            let mut all = BTreeMap::new();
            for (name, value) in tags {
                let value = value.as_str().ok_or_else(|| Answer::bad("The value of a tag is not a string."))?;
                if name.is_empty() || name.chars().count() > LONGEST_TAG || value.chars().count() > LONGEST_TAG {
                    return Err(Answer::bad("A tag has a name or a value of a length that is not supported."));
                }
                all.insert(name.clone(), value.to_owned());
            }
            self.tags = all;
        }
        let attributes = &body["attributes"];
        if let Some(enabled) = attributes["enabled"].as_bool() {
            self.enabled = enabled;
        }
        for (name, field) in [("nbf", &mut self.not_before), ("exp", &mut self.expires)] {
            match &attributes[name] {
                Json::Null => {}
                Json::Number(number) if number.is_i64() => *field = number.as_i64(),
                _ => return Err(Answer::bad(&format!("The attribute {name} is not a whole number of seconds."))),
            }
        }
        Ok(())
    }
}

/// A page of entries in the order of their keys, and where the next one begins.
fn page(call: &Call<'_>, path: &str, entries: &BTreeMap<String, Json>) -> Answer {
    let from = call.skip.map(|skip| String::from_utf8(hex::decode(skip).unwrap_or_default()).unwrap_or_default());
    let rest = entries.iter().filter(|(key, _)| from.as_ref().is_none_or(|from| *key > from));
    let shown: Vec<(&String, &Json)> = rest.take(call.most + 1).collect();
    let next = shown.get(call.most.wrapping_sub(1)).filter(|_| shown.len() > call.most).map(|(key, _)| {
        let (address, version, most) = (call.address, call.version, call.most);
        format!("{address}/{path}?api-version={version}&$skiptoken={}&maxresults={most}", hex::encode(key))
    });
    let value: Vec<&Json> = shown.into_iter().take(call.most).map(|(_, entry)| entry).collect();
    Answer::json(200, &json!({ "value": value, "nextLink": next }))
}

fn list(vault: &Vault, call: &Call<'_>) -> Answer {
    let entry = |secret: &Secret| Some(item(secret, secret.current()?, "", call, vault.recoverable_days));
    let entries = vault.secrets.iter().filter(|(_, secret)| secret.lag == 0);
    let entries = entries.filter_map(|(key, secret)| Some((key.clone(), entry(secret)?))).collect();
    page(call, "secrets", &entries)
}

fn list_versions(vault: &mut Vault, call: &Call<'_>, name: &str) -> Answered {
    let days = vault.recoverable_days;
    let secret = found(vault, name)?;
    // By id, which is in no order of time.
    let entry = |version: &Version| (version.id.clone(), item(secret, version, &version.id, call, days));
    let entries = secret.versions.iter().map(entry).collect();
    Ok(page(call, &format!("secrets/{}/versions", secret.name), &entries))
}

fn delete(vault: &mut Vault, call: &Call<'_>, name: &str) -> Answered {
    let days = vault.recoverable_days;
    let secret = found(vault, name)?;
    if secret.is_managed {
        let words = "Operation \"delete\" is not allowed on this secret, since it is associated with a certificate.";
        return Err(Answer::error(403, "Forbidden", words));
    }
    let mut secret = secret.clone();
    secret.lag = call.lag;
    vault.secrets.remove(&key(name));
    let deleted = Deleted { secret, at: call.now };
    let answer = deleted.bundle(call, days);
    vault.deleted.insert(key(name), deleted);
    Ok(Answer::json(200, &answer))
}

fn list_deleted(vault: &Vault, call: &Call<'_>) -> Answer {
    let shown = vault.deleted.iter().filter(|(_, deleted)| deleted.secret.lag == 0);
    let entries = shown.map(|(key, deleted)| (key.clone(), deleted.item(call, vault.recoverable_days))).collect();
    page(call, "deletedsecrets", &entries)
}

fn get_deleted(vault: &mut Vault, call: &Call<'_>, name: &str) -> Answered {
    let days = vault.recoverable_days;
    let missing = || Answer::error(404, "SecretNotFound", &format!("Deleted Secret not found: {name}"));
    let deleted = vault.deleted.get_mut(&key(name)).ok_or_else(missing)?;
    if deleted.secret.lag > 0 {
        deleted.secret.lag -= 1;
        return Err(missing());
    }
    Ok(Answer::json(200, &deleted.bundle(call, days)))
}

fn purge(vault: &mut Vault, name: &str) -> Answered {
    if vault.is_protected {
        let words = "Operation \"purge\" is not allowed because purge protection is enabled for this vault.";
        return Err(Answer::error(403, "Forbidden", words));
    }
    match vault.deleted.remove(&key(name)) {
        Some(_) => Ok(Answer::done()),
        None => Err(Answer::error(404, "SecretNotFound", &format!("Deleted Secret not found: {name}"))),
    }
}

fn recover(vault: &mut Vault, call: &Call<'_>, name: &str) -> Answered {
    let missing = || Answer::error(404, "SecretNotFound", &format!("Deleted Secret not found: {name}"));
    let mut secret = vault.deleted.remove(&key(name)).ok_or_else(missing)?.secret;
    secret.lag = call.lag;
    let answer = secret.current().map(|version| item(&secret, version, &version.id, call, vault.recoverable_days));
    vault.secrets.insert(key(name), secret);
    Ok(Answer::json(200, &answer.unwrap_or_default()))
}

fn backup(vault: &mut Vault, name: &str) -> Answered {
    let secret = found(vault, name)?;
    Ok(Answer::json(200, &json!({ "value": blob::seal(secret) })))
}

fn restore(vault: &mut Vault, call: &Call<'_>) -> Answered {
    let secret = call.body["value"].as_str().and_then(blob::open);
    let secret = secret.ok_or_else(|| Answer::bad("The backup blob is not valid."))?;
    let key = key(&secret.name);
    if vault.secrets.contains_key(&key) || vault.deleted.contains_key(&key) {
        let words = format!("The name {} is already in use.", secret.name);
        return Err(Answer::error(409, "Conflict", &words));
    }
    let answer = secret.current().map(|version| item(&secret, version, &version.id, call, vault.recoverable_days));
    vault.secrets.insert(key, secret);
    Ok(Answer::json(200, &answer.unwrap_or_default()))
}

/// The properties of a version; with an empty id those of the secret.
fn item(secret: &Secret, version: &Version, id: &str, call: &Call<'_>, days: u32) -> Json {
    let mut attributes = json!({
        "enabled": version.enabled, "created": version.created, "updated": version.updated,
        "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": days,
    });
    for (name, time) in [("nbf", version.not_before), ("exp", version.expires)] {
        if let Some(time) = time {
            attributes[name] = time.into();
        }
    }
    let id = if id.is_empty() { String::new() } else { format!("/{id}") };
    let mut fields = Map::new();
    fields.insert("id".into(), format!("{}/secrets/{}{id}", call.address, secret.name).into());
    fields.insert("attributes".into(), attributes);
    if let Some(text) = &version.content_type {
        fields.insert("contentType".into(), text.clone().into());
    }
    if !version.tags.is_empty() {
        fields.insert("tags".into(), json!(version.tags));
    }
    if secret.is_managed {
        fields.insert("managed".into(), true.into());
    }
    Json::Object(fields)
}

/// The same with the value.
fn bundle(secret: &Secret, version: &Version, call: &Call<'_>, days: u32) -> Json {
    let mut bundle = item(secret, version, &version.id, call, days);
    bundle["value"] = version.value.as_str().into();
    if bundle.get("tags").is_none() {
        bundle["tags"] = json!({});
    }
    if secret.is_managed {
        bundle["kid"] = format!("{}/keys/{}/{}", call.address, secret.name, version.id).into();
    }
    bundle
}

impl Deleted {
    fn item(&self, call: &Call<'_>, days: u32) -> Json {
        let Some(version) = self.secret.current() else { return Json::Null };
        self.more(item(&self.secret, version, "", call, days), call, days)
    }

    fn bundle(&self, call: &Call<'_>, days: u32) -> Json {
        let Some(version) = self.secret.current() else { return Json::Null };
        self.more(item(&self.secret, version, &version.id, call, days), call, days)
    }

    fn more(&self, mut fields: Json, call: &Call<'_>, days: u32) -> Json {
        let at = self.at.as_second();
        fields["recoveryId"] = format!("{}/deletedsecrets/{}", call.address, self.secret.name).into();
        fields["deletedDate"] = at.into();
        fields["scheduledPurgeDate"] = (at + i64::from(days) * 86_400).into();
        fields
    }
}
