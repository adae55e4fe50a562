//! Versions: added, listed, read, and turned from one state into another.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{
    answer::Refusal,
    check,
    request::{Request, Scope},
    secrets::{matches_etag, page},
    state::{State, Version, VersionState, etag, name},
};

pub(super) fn add(
    state: &mut State,
    scope: &Scope,
    id: &str,
    request: &Request,
    now: Timestamp,
) -> Result<Json, Refusal> {
    let change = state.change();
    let secret = state.secret(scope, id)?;
    let payload = request.body.get("payload").cloned().unwrap_or_default();
    let data = payload["data"].as_str().unwrap_or_default();
    let data = STANDARD.decode(data).map_err(|_| Refusal::invalid("Base64 decoding failed."))?;
    let data = Zeroizing::new(data);
    if data.is_empty() {
        return Err(Refusal::invalid("Field [payload] is required."));
    }
    if data.len() > check::LARGEST {
        return Err(Refusal::invalid(format!("The payload is larger than {} bytes.", check::LARGEST)));
    }
    let given = &payload["dataCrc32c"];
    if !given.is_null() {
        let given = given.as_i64().or_else(|| given.as_str()?.parse().ok());
        if given != Some(i64::from(crc32c::crc32c(&data))) {
            return Err(Refusal::invalid("The provided CRC32C checksum does not match the payload."));
        }
    }
    secret.versions.push(Version {
        created: now,
        state: VersionState::Enabled,
        destroyed: None,
        scheduled: None,
        etag: etag(change),
        has_checksum: !given.is_null(),
        data: Some(data),
    });
    let number = secret.versions.len();
    Ok(secret.versions[number - 1].json(scope, id, number, &secret.fields))
}

pub(super) fn list(state: &mut State, scope: &Scope, id: &str, request: &Request) -> Result<Json, Refusal> {
    let filter = request.text("filter");
    let wanted = match filter.map(|filter| filter.strip_prefix("state:").ok_or(filter)) {
        Some(Err(_)) => return Err(Refusal::invalid("The sandbox knows the filter state:STATE alone.")),
        Some(Ok(state)) => Some(state),
        None => None,
    };
    let secret = state.secret(scope, id)?;
    let mut found = Vec::new();
    for (at, version) in secret.versions.iter().enumerate().rev() {
        if wanted.is_none_or(|wanted| version.state.name() == wanted) {
            found.push((at as u64 + 1, version.json(scope, id, at + 1, &secret.fields)));
        }
    }
    page("versions", found, request, filter.is_some())
}

pub(super) fn get(state: &mut State, scope: &Scope, (id, version): (&str, &str)) -> Result<Json, Refusal> {
    let secret = state.secret(scope, id)?;
    let at = secret.position(scope, id, version)?;
    Ok(secret.versions[at].json(scope, id, at + 1, &secret.fields))
}

pub(super) fn access(state: &mut State, scope: &Scope, (id, version): (&str, &str)) -> Result<Json, Refusal> {
    let secret = state.secret(scope, id)?;
    let at = secret.position(scope, id, version)?;
    let full = format!("{}/versions/{}", name(scope, id), at + 1);
    let found = &secret.versions[at];
    match (&found.state, &found.data) {
        (VersionState::Enabled, Some(data)) => Ok(json!({
            "name": full,
            "payload": { "data": STANDARD.encode(data), "dataCrc32c": crc32c::crc32c(data).to_string() },
        })),
        (is, _) => Err(in_state(&full, *is)),
    }
}

fn in_state(full: &str, state: VersionState) -> Refusal {
    Refusal::precondition(format!("Secret Version [{full}] is in {} state.", state.name()))
}

/// Enables, disables or destroys.
pub(super) fn turn(
    state: &mut State,
    scope: &Scope,
    (id, version, verb): (&str, &str, &str),
    request: &Request,
    now: Timestamp,
) -> Result<Json, Refusal> {
    let change = state.change();
    let secret = state.secret(scope, id)?;
    let at = secret.position(scope, id, version)?;
    let delay = secret.delay();
    let full = format!("{}/versions/{}", name(scope, id), at + 1);
    let found = &mut secret.versions[at];
    matches_etag(request.body.get("etag").and_then(Json::as_str), &found.etag)?;
    if found.state == VersionState::Destroyed {
        return Err(in_state(&full, found.state));
    }
    match (verb, delay) {
        ("enable", _) => (found.state, found.scheduled) = (VersionState::Enabled, None),
        ("disable", _) => found.state = VersionState::Disabled,
        ("destroy", Some(seconds)) => {
            found.state = VersionState::Disabled;
            found.scheduled = Some(now + SignedDuration::from_secs(seconds));
        }
        ("destroy", None) => found.destroy(now),
        _ => return Err(Refusal::unknown()),
    }
    found.etag = etag(change);
    Ok(secret.versions[at].json(scope, id, at + 1, &secret.fields))
}
