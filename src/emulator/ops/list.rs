//! ListSecrets and BatchGetSecretValue: pages, in the time of a page.

use std::ops::Bound;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, Refusal, answer, filters, read};
use crate::emulator::{entry::Entry, limits, secret::Secret, state::Shelf};

/// Secrets that one page looks at, at most; a page can be empty and still not be the last.
const SCAN: usize = 20_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListSecrets {
    #[serde(default)]
    include_planned_deletion: bool,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<filters::Filter>,
    sort_order: Option<String>,
    sort_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchGetSecretValue {
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<filters::Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// What a listing asks for.
struct Listing<'a> {
    planned: bool,
    size: usize,
    filters: &'a [filters::Filter],
    order: Order,
    descending: bool,
    after: Option<String>,
    /// Secrets created from this moment on are not listed.
    until: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Created,
    Name,
    Changed,
    Accessed,
}

/// A page and the token of the next.
type Page<'a> = (Vec<&'a Secret>, Option<String>);

pub(super) fn list_secrets(call: &Call<'_>, request: ListSecrets) -> Answer {
    filters::check(&request.filters)?;
    let order = order(request.sort_by.as_deref())?;
    let empty = call.world.empty_first_page.load(std::sync::atomic::Ordering::Relaxed);
    let after = match request.next_token.as_deref() {
        Some("start") if empty => None,
        Some(token) => Some(cursor_of(token, order.letter())?),
        None if empty => return answer(&json!({ "SecretList": [], "NextToken": "start" })),
        None => None,
    };
    let listing = Listing {
        planned: request.include_planned_deletion,
        size: limits::page_size(request.max_results, 100)?,
        filters: &request.filters,
        order,
        descending: request.sort_order.as_deref() == Some("desc"),
        after,
        until: call.world.listed_until.load(std::sync::atomic::Ordering::Relaxed),
    };
    let shelf = call.home.read();
    let (page, next) = listing.page(&shelf);
    let entries: Vec<Entry<'_>> = page.iter().map(|secret| Entry { secret, listed: true }).collect();
    answer(&Listed { secret_list: entries, next_token: next })
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed<'a> {
    secret_list: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) fn batch_get_secret_value(call: &Call<'_>, request: BatchGetSecretValue) -> Answer {
    let filters = request.filters.unwrap_or_default();
    match (request.secret_id_list, filters.is_empty()) {
        (Some(_), false) | (None, true) => {
            Err(Refusal::invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."))
        }
        (Some(ids), true) => {
            if ids.is_empty() || ids.len() > 20 {
                return Err(Refusal::constraint("secretIdList", "have length between 1 and 20"));
            }
            if request.max_results.is_some() {
                return Err(Refusal::invalid_parameter("'Filters' must be provided if 'MaxResults' is provided."));
            }
            batch(call, &ids, None)
        }
        (None, false) => {
            filters::check(&filters)?;
            let after = request.next_token.as_deref().map(|token| cursor_of(token, 'c')).transpose()?;
            let size = limits::page_size(request.max_results, 20)?;
            let order = Order::Created;
            let until = i64::MAX;
            let listing = Listing { planned: false, size, filters: &filters, order, descending: false, after, until };
            let (ids, next) = {
                let shelf = call.home.read();
                let (page, next) = listing.page(&shelf);
                (page.iter().map(|secret| secret.name.to_string()).collect::<Vec<_>>(), next)
            };
            batch(call, &ids, next)
        }
    }
}

/// What cannot be read lands in `Errors`; the answer as a whole succeeds.
fn batch(call: &Call<'_>, ids: &[String], next: Option<String>) -> Answer {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        let value = call.read(Some(id), |secret| {
            let value = read::read(call, secret, None, None)?;
            serde_json::to_value(value).map_err(|_| Refusal::new("InternalServiceError", ""))
        });
        match value {
            Ok(value) => values.push(value),
            Err(refusal) => {
                errors.push(json!({ "SecretId": id, "ErrorCode": refusal.code, "Message": refusal.message }));
            }
        }
    }
    let mut body: Value = json!({ "SecretValues": values, "Errors": errors });
    if let Some(next) = next {
        body["NextToken"] = next.into();
    }
    answer(&body)
}

fn order(sort_by: Option<&str>) -> Result<Order, Refusal> {
    match sort_by {
        None | Some("created-date") => Ok(Order::Created),
        Some("name") => Ok(Order::Name),
        Some("last-changed-date") => Ok(Order::Changed),
        Some("last-accessed-date") => Ok(Order::Accessed),
        Some(_) => Err(Refusal::constraint(
            "sortBy",
            "satisfy enum value set: [created-date, last-accessed-date, last-changed-date, name]",
        )),
    }
}

impl Order {
    fn letter(self) -> char {
        match self {
            Self::Created => 'c',
            Self::Name => 'n',
            Self::Changed => 'l',
            Self::Accessed => 'a',
        }
    }

    fn key(self, secret: &Secret) -> String {
        match self {
            Self::Created => secret.seq.to_string(),
            Self::Name => secret.name.to_string(),
            Self::Changed => format!("{:020}.{:020}", secret.changed, secret.seq),
            Self::Accessed => format!("{:020}.{:020}", secret.accessed().unwrap_or(0), secret.seq),
        }
    }
}

impl Listing<'_> {
    /// By creation and by name the shelf has an order to walk along; by the other dates all of it is sorted.
    fn page<'a>(&self, shelf: &'a Shelf) -> Page<'a> {
        let named = |name: &std::sync::Arc<str>| shelf.by_name.get(name);
        match self.order {
            Order::Created => {
                let after = self.after.as_deref().and_then(|seq| seq.parse::<u64>().ok());
                let walk = shelf.by_seq.range(bounds(after, self.descending));
                if self.descending {
                    self.take(walk.rev().filter_map(|(_, name)| named(name)))
                } else {
                    self.take(walk.filter_map(|(_, name)| named(name)))
                }
            }
            Order::Name => {
                let prefix = filters::name_prefix(self.filters).unwrap_or_default();
                // No name holds the last character of all.
                let end = (!prefix.is_empty()).then(|| format!("{prefix}\u{10ffff}"));
                let (after, end) = (self.after.as_deref(), end.as_deref());
                let (first, last) = if self.descending { (None, after.or(end)) } else { (after, end) };
                if last.is_some_and(|last| last <= first.unwrap_or(prefix)) {
                    return (Vec::new(), None);
                }
                let start = first.map_or(Bound::Included(prefix), Bound::Excluded);
                let range = (start, last.map_or(Bound::Unbounded, Bound::Excluded));
                let walk = shelf.by_name.range::<str, _>(range).map(|(_, secret)| secret);
                if self.descending { self.take(walk.rev()) } else { self.take(walk) }
            }
            Order::Changed | Order::Accessed => {
                let mut all: Vec<(String, &Secret)> =
                    shelf.by_name.values().map(|secret| (self.order.key(secret), secret)).collect();
                all.sort_by(|a, b| if self.descending { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) });
                let passed = |key: &str| match self.after.as_deref() {
                    Some(after) if self.descending => key >= after,
                    Some(after) => key <= after,
                    None => false,
                };
                self.take(all.into_iter().skip_while(|(key, _)| passed(key)).map(|(_, secret)| secret))
            }
        }
    }

    fn take<'a>(&self, mut walk: impl Iterator<Item = &'a Secret>) -> Page<'a> {
        let mut page = Vec::new();
        let mut last = None;
        for secret in walk.by_ref().take(SCAN) {
            last = Some(secret);
            let shows = (self.planned || secret.deleted.is_none()) && secret.created < self.until;
            if shows && filters::pass(self.filters, secret) {
                page.push(secret);
            }
            if page.len() == self.size {
                break;
            }
        }
        let more = walk.next().is_some();
        let next = last.filter(|_| more).map(|secret| token_of(self.order.letter(), &self.order.key(secret)));
        (page, next)
    }
}

fn bounds<T>(after: Option<T>, descending: bool) -> (Bound<T>, Bound<T>) {
    match (after, descending) {
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
        (Some(after), false) => (Bound::Excluded(after), Bound::Unbounded),
        (Some(after), true) => (Bound::Unbounded, Bound::Excluded(after)),
    }
}

/// A `NextToken`: what is listed, and the last key shown.
pub(super) fn token_of(kind: char, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{key}"))
}

/// The key in a `NextToken` of the same kind of listing.
pub(super) fn cursor_of(token: &str, kind: char) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.and_then(|text| text.strip_prefix(kind)?.strip_prefix(':').map(str::to_owned));
    key.ok_or_else(|| Refusal::new("InvalidNextTokenException", "The NextToken value is invalid."))
}
