//! ListSecretVersionIds.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, Refusal, answer, list::cursor_of, named};
use crate::emulator::{
    entry::{key_ids, seconds},
    limits,
    secret::{Secret, Version},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListSecretVersionIds {
    secret_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    include_deprecated: bool,
}

/// Versions in the order of their creation; those without a value are not shown.
pub(super) fn list_secret_version_ids(call: &Call<'_>, request: ListSecretVersionIds) -> Answer {
    let size = limits::page_size(request.max_results, 100)?;
    let after = match &request.next_token {
        None => None,
        Some(token) => Some(cursor_of(token, 'v')?),
    };
    call.read(request.secret_id.as_deref(), |secret| {
        let start = match after {
            None => 0,
            Some(after) => secret.versions.iter().position(|version| version.id == after).ok_or_else(stale)? + 1,
        };
        let shown = |it: &&Version| it.value.is_some() && (request.include_deprecated || secret.labels.on(&it.id));
        let mut rest = secret.versions[start..].iter().filter(shown).peekable();
        let page: Vec<&Version> = rest.by_ref().take(size).collect();
        let mut body = named(secret);
        body["Versions"] = page.iter().map(|version| shown_as(secret, version)).collect();
        if let (Some(last), Some(_)) = (page.last(), rest.peek()) {
            body["NextToken"] = super::list::token_of('v', &last.id).into();
        }
        answer(&body)
    })
}

fn stale() -> Refusal {
    Refusal::new("InvalidNextTokenException", "The NextToken value is invalid.")
}

fn shown_as(secret: &Secret, version: &Version) -> Value {
    let mut shown = json!({
        "VersionId": version.id,
        "CreatedDate": seconds(version.created),
        "KmsKeyIds": key_ids(version),
    });
    let stages: Vec<&str> = secret.labels.of(&version.id).collect();
    if !stages.is_empty() {
        shown["VersionStages"] = json!(stages);
    }
    if let Some(day) = version.accessed() {
        shown["LastAccessedDate"] = json!(seconds(day));
    }
    shown
}
