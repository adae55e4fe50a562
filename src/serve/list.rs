//! ListSecrets and BatchGetSecretValue: pages of what the consumer was granted, by name.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    estate::Entry,
    ops::{Call, Refusal, answered, choose, decode, to_bytes},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSecrets {
    #[serde(default)]
    include_planned_deletion: bool,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    sort_order: Option<String>,
    sort_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetSecretValue {
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

/// Secrets of one page, and where the next one begins.
type Page<'a> = (Vec<(&'a Entry, Json)>, Option<String>);

pub(super) fn list(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: ListSecrets = decode(body)?;
    check(&request.filters)?;
    // Pages are by name, whatever order is asked for; only within one page could it be another.
    let is_known = |by: &str| ["created-date", "last-accessed-date", "last-changed-date", "name"].contains(&by);
    if request.sort_by.as_deref().is_some_and(|by| !is_known(by)) {
        return Err(Refusal::new(
            "ValidationException",
            "SortBy is not one of created-date, last-accessed-date, last-changed-date, name",
        ));
    }
    if request.sort_order.as_deref() == Some("desc") {
        return Err(Refusal::invalid("break-glass lists in ascending order of names only"));
    }
    let size = page_size(request.max_results, 100)?;
    let cursor = request.next_token.as_deref().map(cursor).transpose()?;
    let (entries, next) = page(call, &request.filters, request.include_planned_deletion, (size, cursor));
    let entries: Vec<Json> = entries.into_iter().map(|(_, described)| listed(described)).collect();
    let mut answer = json!({ "SecretList": entries });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    to_bytes(&answer)
}

/// What cannot be read lands in `Errors`; the answer as a whole succeeds.
pub(super) async fn batch(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let request: BatchGetSecretValue = decode(body)?;
    let filters = request.filters.unwrap_or_default();
    let (ids, next) = match (request.secret_id_list, filters.is_empty()) {
        (Some(_), false) | (None, true) => {
            return Err(Refusal::invalid("Either 'SecretIdList' or 'Filters' must be provided, but not both."));
        }
        (Some(ids), true) if ids.is_empty() || ids.len() > 20 => {
            return Err(Refusal::new("ValidationException", "SecretIdList must have between 1 and 20 entries"));
        }
        (Some(ids), true) => (ids, None),
        (None, false) => {
            check(&filters)?;
            let size = page_size(request.max_results, 20)?;
            let cursor = request.next_token.as_deref().map(cursor).transpose()?;
            let (entries, next) = page(call, &filters, false, (size, cursor));
            (entries.iter().map(|(entry, _)| entry.id.to_string()).collect(), next)
        }
    };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in &ids {
        match one(call, id).await {
            Ok(text) => values.push(text),
            Err(refusal) => {
                errors.push(json!({ "SecretId": id, "ErrorCode": refusal.code, "Message": refusal.message }));
            }
        }
    }
    // By hand: a tree of JSON would copy each value once more.
    let mut answer = b"{\"SecretValues\":[".to_vec();
    answer.extend(values.join(&b","[..]));
    answer.extend(b"],\"Errors\":");
    answer.extend(to_bytes(&errors)?);
    if let Some(next) = next {
        answer.extend(format!(",\"NextToken\":{}", json!(next)).into_bytes());
    }
    answer.push(b'}');
    Ok(answer)
}

async fn one(call: &mut Call<'_>, id: &str) -> Result<Vec<u8>, Refusal> {
    let entry = call.find(Some(id))?;
    let version = choose(entry, None, None)?;
    let value = call.value(entry, version).await?;
    to_bytes(&answered(entry, version, &value))
}

/// The next secrets, by name, that were granted and pass the filters.
fn page<'a>(
    call: &Call<'a>,
    filters: &[Filter],
    planned: bool,
    (size, after): (usize, Option<(String, usize)>),
) -> Page<'a> {
    let estate = call.estate;
    let mut found = Vec::new();
    let mut last = None;
    for (at, entry) in estate.walk(after.as_ref().map(|(name, at)| (name.as_str(), *at))) {
        if !call.grant.opens(&entry.name) || (entry.is_deleted && !planned) {
            continue;
        }
        let described = entry.describe();
        if !filters.iter().all(|filter| filter.passes(&entry.name, &described)) {
            continue;
        }
        if found.len() == size {
            return (found, last.map(|(entry, at)| token(entry, at)));
        }
        found.push((entry, described));
        last = Some((entry, at));
    }
    (found, None)
}

/// An entry of a listing differs from a description in two fields.
fn listed(mut described: Json) -> Json {
    if let Some(map) = described.as_object_mut() {
        map.remove("ReplicationStatus");
        if let Some(stages) = map.remove("VersionIdsToStages") {
            map.insert("SecretVersionsToStages".into(), stages);
        }
    }
    described
}

fn token(entry: &Entry, at: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{at}:{}", entry.name))
}

fn cursor(token: &str) -> Result<(String, usize), Refusal> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let cursor = text.as_deref().and_then(|text| text.split_once(':'));
    let cursor = cursor.and_then(|(at, name)| Some((name.to_owned(), at.parse().ok()?)));
    cursor.ok_or_else(bad_token)
}

pub(super) fn bad_token() -> Refusal {
    Refusal::new("InvalidNextTokenException", "The NextToken value is invalid.")
}

pub(super) fn page_size(asked: Option<i64>, most: usize) -> Result<usize, Refusal> {
    let Some(asked) = asked else { return Ok(most) };
    let size = usize::try_from(asked).ok().filter(|size| (1..=most).contains(size));
    size.ok_or_else(|| Refusal::new("ValidationException", format!("MaxResults must be between 1 and {most}")))
}

fn check(filters: &[Filter]) -> Result<(), Refusal> {
    const KEYS: [&str; 7] = ["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"];
    let is_fine = |filter: &Filter| KEYS.contains(&filter.key.as_str()) && (1..=10).contains(&filter.values.len());
    if filters.len() <= 10 && filters.iter().all(is_fine) {
        return Ok(());
    }
    Err(Refusal::new(
        "ValidationException",
        format!("a filter has one of the keys {} and 1 to 10 values", KEYS.join(", ")),
    ))
}

impl Filter {
    /// Whether one of the values fits; those with `!` must all not fit.
    fn passes(&self, name: &str, described: &Json) -> bool {
        let (no, yes): (Vec<&str>, Vec<&str>) =
            self.values.iter().map(String::as_str).partition(|value| value.starts_with('!'));
        let fits = |value: &str| fits(&self.key, value, name, described);
        !no.iter().any(|value| fits(&value[1..])) && (yes.is_empty() || yes.into_iter().any(fits))
    }
}

fn fits(key: &str, value: &str, name: &str, described: &Json) -> bool {
    let text = |key: &str| described[key].as_str().unwrap_or_default();
    let tags = |part: &str, is: &dyn Fn(&str) -> bool| {
        let tags = described["Tags"].as_array().into_iter().flatten();
        tags.filter_map(|tag| tag[part].as_str()).any(is)
    };
    match key {
        "name" => name.starts_with(value),
        "description" => words(text("Description"), value),
        "tag-key" => tags("Key", &|tag| tag.starts_with(value)),
        "tag-value" => tags("Value", &|tag| tag.starts_with(value)),
        "primary-region" => text("PrimaryRegion").starts_with(value),
        "owning-service" => text("OwningService").starts_with(value),
        _ => {
            let is = |text: &str| words(text, value);
            is(name) || is(text("Description")) || tags("Key", &is) || tags("Value", &is)
        }
    }
}

/// Whether every word of the value begins some word of the text, whatever the case.
fn words(text: &str, value: &str) -> bool {
    let text = text.to_lowercase();
    value.split_whitespace().map(str::to_lowercase).all(|word| {
        text.starts_with(&word) || text.split(|c: char| !c.is_alphanumeric()).any(|it| it.starts_with(&word))
    })
}
