//! Secrets: made, listed, read and deleted.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{
    answer::Refusal,
    request::{Request, Scope},
    state::{Secret, State, etag, name},
    update,
};

/// Entries of a page, where the caller does not say; and at most.
const PAGE: usize = 100;
const MOST: usize = 25_000;

pub(super) fn create(state: &mut State, scope: &Scope, request: &Request, now: Timestamp) -> Result<Json, Refusal> {
    let id = request.text("secretId").ok_or_else(|| Refusal::invalid("Field [secret_id] is required."))?;
    super::check::secret_id(id)?;
    if state.scopes.get(scope).is_some_and(|secrets| secrets.contains_key(id)) {
        return Err(Refusal::exists(&name(scope, id)));
    }
    let fields = update::created(&request.body, scope, now)?;
    let order = state.change();
    let secret = Secret { created: now, order, etag: etag(order), fields, versions: Vec::new(), policy: None };
    if secret.has_wrong_alias() {
        return Err(Refusal::invalid("A version alias leads to no version."));
    }
    let json = secret.json(scope, id);
    state.scopes.entry(scope.clone()).or_default().insert(id.to_owned(), secret);
    Ok(json)
}

pub(super) fn delete(state: &mut State, scope: &Scope, id: &str, request: &Request) -> Result<Json, Refusal> {
    matches_etag(request.text("etag"), &state.secret(scope, id)?.etag)?;
    state.scopes.get_mut(scope).and_then(|secrets| secrets.remove(id));
    Ok(json!({}))
}

/// Refuses a change that is about another state than there is.
pub(super) fn matches_etag(given: Option<&str>, is: &str) -> Result<(), Refusal> {
    match given.filter(|given| !given.is_empty()) {
        Some(given) if given != is => {
            Err(Refusal::precondition("The etag provided in the request does not match the resource's etag."))
        }
        _ => Ok(()),
    }
}

pub(super) fn list(state: &State, scope: &Scope, request: &Request) -> Result<Json, Refusal> {
    let filter = request.text("filter");
    let wanted = match filter.map(|filter| filter.strip_prefix("name:").ok_or(filter)) {
        Some(Err(_)) => return Err(Refusal::invalid("The sandbox knows the filter name:TEXT alone.")),
        Some(Ok(text)) => text,
        None => "",
    };
    let secrets = state.scopes.get(scope);
    let mut found: Vec<(u64, Json)> = secrets
        .into_iter()
        .flatten()
        .filter(|(id, _)| id.contains(wanted))
        .map(|(id, secret)| (secret.order, secret.json(scope, id)))
        .collect();
    found.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
    page("secrets", found, request, filter.is_some())
}

/// A page of what there is, the newest first; each with a number that the next page begins below.
pub(super) fn page(what: &str, found: Vec<(u64, Json)>, request: &Request, is_filtered: bool) -> Result<Json, Refusal> {
    let size = match request.text("pageSize").map(str::parse::<i64>) {
        None | Some(Ok(0)) => PAGE,
        Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(MOST).min(MOST),
        _ => return Err(Refusal::invalid("The page size is not a number.")),
    };
    let below = match request.text("pageToken") {
        None => u64::MAX,
        Some(token) => {
            let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let number = text.and_then(|text| text.parse().ok());
            number.ok_or_else(|| Refusal::invalid("The page token is not valid."))?
        }
    };
    let total = if is_filtered { 0 } else { found.len() };
    let mut rest = found.into_iter().filter(|(order, _)| *order < below);
    let page: Vec<(u64, Json)> = rest.by_ref().take(size).collect();
    let mut answer = json!({ "totalSize": total });
    if rest.next().is_some()
        && let Some((last, _)) = page.last()
    {
        answer["nextPageToken"] = URL_SAFE_NO_PAD.encode(last.to_string()).into();
    }
    if !page.is_empty() {
        answer[what] = page.into_iter().map(|(_, json)| json).collect();
    }
    Ok(answer)
}
