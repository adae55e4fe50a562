//! ListSecrets and BatchGetSecretValue: pages of what the consumer was granted, by name.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    entry::Entry,
    estate::{Position, Step},
    ops::{Call, Refusal, answered, choose, decode, to_bytes},
    reach::Reach,
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
type Page = (Vec<(Box<Entry>, Json)>, Option<String>);

pub(super) async fn list(call: &Call<'_>, body: &[u8]) -> Result<Vec<u8>, Refusal> {
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
    let (entries, next) = page(call, &request.filters, request.include_planned_deletion, (size, cursor)).await?;
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
            let (entries, next) = page(call, &filters, false, (size, cursor)).await?;
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
    let entry = call.find(Some(id)).await?;
    let version = choose(&entry, None, None)?;
    let value = call.value(&entry, version).await?;
    to_bytes(&answered(&entry, version, &value))
}

/// The next secrets, by name, that were granted and pass the filters. Fewer than asked for, or none, where many others lie
/// between them: then too there is a token.
async fn page(
    call: &Call<'_>,
    filters: &[Filter],
    planned: bool,
    (size, from): (usize, Option<Position>),
) -> Result<Page, Refusal> {
    let by_name = filters.iter().filter_map(Filter::beginnings);
    let reach = Reach::new(call.grant, by_name);
    let mut walk = call.estate.walk(from.as_ref(), &reach);
    let mut found = Vec::new();
    loop {
        let (position, entry) = match walk.next().await.map_err(|reason| Refusal::unreadable(&reason))? {
            Step::Entry(position, entry) => (position, entry),
            Step::Pause(position) => return Ok((found, Some(token(&position)))),
            Step::End => return Ok((found, None)),
        };
        if entry.is_deleted && !planned {
            continue;
        }
        let described = entry.describe();
        if !filters.iter().all(|filter| filter.passes(&entry.name, &described)) {
            continue;
        }
        if found.len() == size {
            return Ok((found, Some(token(&position))));
        }
        found.push((entry, described));
    }
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

/// Where the next page begins.
fn token(position: &Position) -> String {
    let Position { name, shelf, id } = position;
    BASE64_URL_SAFE_NO_PAD.encode(format!("{shelf}:{}:{name}{id}", name.len()))
}

fn cursor(token: &str) -> Result<Position, Refusal> {
    let text = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let position = |text: String| {
        let (shelf, rest) = text.split_once(':')?;
        let (length, rest) = rest.split_once(':')?;
        let (name, id) = rest.split_at_checked(length.parse().ok()?)?;
        Some(Position { name: name.to_owned(), shelf: shelf.parse().ok()?, id: id.to_owned() })
    };
    text.and_then(position).ok_or_else(bad_token)
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
    /// What names begin with, where nothing else can pass it.
    fn beginnings(&self) -> Option<Vec<&str>> {
        let yes: Vec<&str> = self.values.iter().map(String::as_str).filter(|value| !value.starts_with('!')).collect();
        (self.key == "name" && !yes.is_empty()).then_some(yes)
    }

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
