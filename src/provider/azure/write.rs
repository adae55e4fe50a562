//! Writing to one secret: each step may be sent twice, and none touches another incarnation than the one it is about.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;

use super::{
    Azure,
    client::{About, RETRIES, SET},
    rules::OF,
    versions::{Item, MARK, Row, Rows, split},
};
use crate::{
    model::{SecretValue, Step, Tag, Withheld},
    provider::{Applied, BASE64, ErrorKind, ProviderError, pace::pause},
};

/// What stands for a value that is not in the backup; its version is disabled from the first moment on.
const PLACEHOLDER: &str = "lifeboat: the value of this version is not in the backup";
/// How often is asked whether something deleted or recovered has arrived.
const ASKS: u32 = 60;
/// The longest wait between two questions.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// One version to be written.
struct New<'a> {
    id: &'a str,
    value: &'a SecretValue,
    /// Whether the value is bytes in base64, which its content type says.
    is_base64: bool,
    enabled: bool,
    tags: &'a [Tag],
    settings: &'a BTreeMap<String, String>,
}

/// The answer to a write, as far as it is compared.
#[derive(Deserialize)]
struct Written {
    value: Option<String>,
}

impl Azure {
    pub(super) async fn write(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let name = step.name();
        let about = About::of(operation(step), name);
        let bad = |words: &str| about.failed(ErrorKind::Invalid, "BadStep", words);
        let base64 = match value {
            Some(SecretValue::Bytes(bytes)) => Some(SecretValue::text(STANDARD.encode(bytes))),
            _ => None,
        };
        let is_base64 = base64.is_some();
        let value = base64.as_ref().or(value);
        match step {
            Step::Create { version: Some(id), tags, settings, .. } => {
                let value = value.ok_or_else(|| bad("a secret is made with its value"))?;
                return self.create(about, name, &New { id, value, is_base64, enabled: true, tags, settings }).await;
            }
            Step::Append { version: id, behind, placeholder, .. } => {
                let nothing = SecretValue::text(PLACEHOLDER.into());
                let value = if *placeholder { Some(&nothing) } else { value };
                let value = value.ok_or_else(|| bad("a version is made with its value"))?;
                let new = New { id, value, is_base64, enabled: !placeholder, tags: &[], settings: &BTreeMap::new() };
                self.append(about, (name, at), behind, &new).await?;
            }
            Step::Withhold { version, how: Withheld::Disabled, .. } => {
                let row = self.row(about, (name, at), version).await?;
                self.patch(about, name, &row, &json!({ "attributes": { "enabled": false } })).await?;
            }
            Step::Configure { settings, tags, .. } => {
                let id = settings.get(OF).ok_or_else(|| bad("no version is named"))?;
                let row = self.row(about, (name, at), id).await?;
                let mark = row.item.tags.as_ref().and_then(|tags| tags.get(MARK)).cloned();
                let body = Json::Object(properties(id, settings, tags, mark));
                self.patch(about, name, &row, &body).await?;
            }
            Step::ScheduleDeletion { .. } => self.delete(about, (name, at)).await?,
            Step::Undelete { .. } => self.recover(about, name).await?,
            Step::Destroy { .. } => {
                let at = at.ok_or_else(|| bad("what is deleted is named by its identifier"))?;
                self.destroy(about, name, at).await?;
            }
            _ => return Err(bad("this step is for another kind of target")),
        }
        Ok(Applied::default())
    }

    /// The versions of the secret that a step is about.
    async fn rows(&self, about: About<'_>, (name, at): (&str, Option<&str>)) -> Result<Option<Rows>, ProviderError> {
        let rows = self.versions(name).await?;
        if let Some(at) = at
            && rows.as_ref().is_none_or(|rows| !rows.is(at))
        {
            let words = "what has the name is not what the plan is about";
            return Err(about.failed(ErrorKind::Conflict, "OtherIncarnation", words));
        }
        Ok(rows)
    }

    async fn row(&self, about: About<'_>, what: (&str, Option<&str>), id: &str) -> Result<Row, ProviderError> {
        let found = self.rows(about, what).await?.and_then(|rows| rows.0.into_iter().find(|row| row.id == id));
        found.ok_or_else(|| about.failed(ErrorKind::NotFound, "NotFound", "there is no such version"))
    }

    async fn create(&self, about: About<'_>, name: &str, new: &New<'_>) -> Result<Applied, ProviderError> {
        if let Some(rows) = self.versions(name).await? {
            let Some(row) = rows.0.iter().find(|row| row.id == new.id && row.item.mark().is_some()) else {
                let words = "a secret with this name is there";
                return Err(about.failed(ErrorKind::Conflict, "AlreadyThere", words));
            };
            return self.is_same(about, name, row, new.value).await.map(|()| Applied::default());
        }
        let row = self.set(about, name, 1, new).await?;
        Ok(Applied { created: Some(format!("{name}@{row}")) })
    }

    async fn append(
        &self,
        about: About<'_>,
        what: (&str, Option<&str>),
        behind: &str,
        new: &New<'_>,
    ) -> Result<(), ProviderError> {
        let rows = self.rows(about, what).await?;
        let rows = rows.as_ref().map_or(&[][..], |rows| &rows.0);
        if let Some(row) = rows.iter().find(|row| row.id == new.id && row.item.mark().is_some()) {
            return self.is_same(about, what.0, row, new.value).await;
        }
        let newest = rows.last().map_or("", |row| &row.id);
        if newest != behind {
            let words = "the newest version is not the one that the plan is about: somebody else writes to this secret";
            return Err(about.failed(ErrorKind::Conflict, "NotBehind", words));
        }
        self.set(about, what.0, rows.len() + 1, new).await.map(drop)
    }

    /// Whether a version that has our mark is what was to be written; one that is disabled by now was compared before.
    async fn is_same(&self, about: About<'_>, name: &str, row: &Row, value: &SecretValue) -> Result<(), ProviderError> {
        if row.is_disabled() || self.value(name, &row.version).await?.same_as(value) {
            return Ok(());
        }
        Err(about.failed(ErrorKind::Conflict, "AlreadyThere", "a version of this id is there with another value"))
    }

    /// Makes a version and answers the service's id of it. A request whose answer is lost may have been carried out: the mark
    /// tells, and it is not sent again before that was looked at.
    async fn set(&self, about: About<'_>, name: &str, number: usize, new: &New<'_>) -> Result<String, ProviderError> {
        let mut body = properties(new.id, new.settings, new.tags, Some(format!("{number}.{}", new.id)));
        if new.is_base64 {
            body.insert("contentType".into(), json!(BASE64));
        }
        let attributes = body.entry("attributes").or_insert_with(|| json!({}));
        attributes["enabled"] = new.enabled.into();
        let SecretValue::Text(text) = new.value else {
            return Err(about.failed(ErrorKind::Invalid, "BadStep", "a value of a key vault is text"));
        };
        let quoted = Zeroizing::new(serde_json::to_vec(text.as_str()).expect("text is JSON"));
        let rest = serde_json::to_vec(&body).expect("JSON is JSON");
        let mut sent = Zeroizing::new(Vec::with_capacity(quoted.len() + rest.len() + 16));
        sent.extend_from_slice(b"{\"value\":");
        sent.extend_from_slice(&quoted);
        sent.push(b',');
        sent.extend_from_slice(&rest[1..]);
        let mut failures = 0;
        loop {
            let failure = match self.client.put(about, &["secrets", name], &sent).await {
                Ok(answer) => {
                    let item: Item = answer.json(about)?;
                    let Written { value } = answer.json(about)?;
                    let value = value.map(SecretValue::text).filter(|value| value.same_as(new.value));
                    let is_said = !new.is_base64 || item.content_type.as_deref() == Some(BASE64);
                    let (Some(_), Some((_, id)), true) = (value, item.mark(), is_said) else {
                        return Err(about.bad("the answer is not the version that was written"));
                    };
                    let (_, version) = item.name(about)?;
                    return version
                        .filter(|_| id == new.id)
                        .ok_or_else(|| about.bad("the answer is of another version"));
                }
                Err(failure) if failure.kind == ErrorKind::Unavailable => failure,
                Err(failure) => return Err(failure),
            };
            let rows = self.versions(name).await?;
            if let Some(row) = rows.iter().flat_map(|rows| &rows.0).find(|row| row.id == new.id) {
                self.is_same(about, name, row, new.value).await?;
                return Ok(row.version.clone());
            }
            if failures == RETRIES {
                return Err(failure);
            }
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    /// Changes what a version has beside its value, and looks at the answer.
    async fn patch(&self, about: About<'_>, name: &str, row: &Row, body: &Json) -> Result<(), ProviderError> {
        let bytes = Zeroizing::new(serde_json::to_vec(body).expect("JSON is JSON"));
        let path = ["secrets", name, &row.version];
        let answer = self.client.change(about, Method::PATCH, &path, Some(bytes)).await?.raw(about)?;
        let item = Item::parse(&answer, about)?;
        let is_empty = |value: &Json| value.as_object().is_some_and(Map::is_empty);
        let is_so = |field: &str| match body.get(field) {
            None => true,
            Some(wanted) if is_empty(wanted) => answer.get(field).is_none_or(is_empty),
            Some(wanted) => answer.get(field) == Some(wanted),
        };
        let attributes = body.get("attributes").and_then(Json::as_object).into_iter().flatten();
        let mut attributes = attributes.map(|(name, wanted)| answer["attributes"].get(name) == Some(wanted));
        let is_it = item.name(about)?.1.is_none_or(|version| version == row.version);
        if is_it && is_so("tags") && is_so("contentType") && attributes.all(|is| is) {
            return Ok(());
        }
        Err(about.bad("the answer is not the version that was changed"))
    }

    async fn delete(&self, about: About<'_>, what: (&str, Option<&str>)) -> Result<(), ProviderError> {
        if self.rows(about, (what.0, None)).await?.is_none() && self.deleted(what.0).await?.is_some() {
            return Ok(());
        }
        self.rows(about, what).await?;
        self.client.change(about, Method::DELETE, &["secrets", what.0], None).await?;
        self.arrives(about, || async { Ok(self.deleted(what.0).await?.is_some()) }).await
    }

    async fn recover(&self, about: About<'_>, name: &str) -> Result<(), ProviderError> {
        if self.versions(name).await?.is_some() {
            return Ok(());
        }
        let path = ["deletedsecrets", name, "recover"];
        match self.client.change(about, Method::POST, &path, None).await {
            // On its way already.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => {}
            other => drop(other?),
        }
        self.arrives(about, || async { Ok(self.versions(name).await?.is_some()) }).await
    }

    /// Deletes and purges what has this identity, and nothing else.
    async fn destroy(&self, about: About<'_>, name: &str, at: &str) -> Result<(), ProviderError> {
        let other = || {
            let words = "what has the name is not what the plan is about";
            about.failed(ErrorKind::Conflict, "OtherIncarnation", words)
        };
        let purged = match self.versions(name).await? {
            Some(rows) if !rows.is(at) => return Err(other()),
            Some(rows) => {
                self.client.change(about, Method::DELETE, &["secrets", name], None).await?;
                self.arrives(about, || async { Ok(self.deleted(name).await?.is_some()) }).await?;
                // Between the two somebody may have recovered it and deleted another one.
                let found = self.deleted(name).await?;
                found.filter(|found| {
                    split(&found.secret.id).is_some_and(|(_, it)| rows.0.iter().any(|row| row.version == it))
                })
            }
            None => match self.deleted(name).await? {
                None => return Ok(()),
                found => found.filter(|found| found.secret.id == at),
            },
        };
        purged.ok_or_else(other)?;
        match self.client.change(about, Method::DELETE, &["deletedsecrets", name], None).await {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            other => drop(other?),
        }
        self.arrives(about, || async { Ok(self.deleted(name).await?.is_none()) }).await
    }

    /// Waits for something that the service has promised and not done yet.
    async fn arrives<F: Future<Output = Result<bool, ProviderError>>>(
        &self,
        about: About<'_>,
        mut is_there: impl FnMut() -> F,
    ) -> Result<(), ProviderError> {
        for ask in 1..=ASKS {
            if is_there().await? {
                return Ok(());
            }
            tokio::time::sleep(pause(ask).min(LONGEST_WAIT)).await;
        }
        Err(about.failed(ErrorKind::Unavailable, "NotDone", "the vault accepted it and has not done it"))
    }
}

/// What a version has beside its value, as the service takes it; the tags are all of them.
fn properties(id: &str, settings: &BTreeMap<String, String>, tags: &[Tag], mark: Option<String>) -> Map<String, Json> {
    let of = |field: &str| settings.get(&format!("{id}.{field}"));
    let mut body = Map::new();
    if let Some(text) = of("content_type") {
        body.insert("contentType".into(), json!(text));
    }
    let times = [("nbf", of("not_before")), ("exp", of("expires"))];
    let times: Map<String, Json> =
        times.into_iter().filter_map(|(name, time)| Some((name.into(), json!(time?.parse::<i64>().ok()?)))).collect();
    if !times.is_empty() {
        body.insert("attributes".into(), Json::Object(times));
    }
    let mut all: Map<String, Json> = tags.iter().map(|tag| (tag.key.clone(), json!(tag.value))).collect();
    all.extend(mark.map(|mark| (MARK.to_owned(), json!(mark))));
    body.insert("tags".into(), Json::Object(all));
    body
}

fn operation(step: &Step) -> &'static str {
    match step {
        Step::Create { .. } | Step::Append { .. } => SET,
        Step::Withhold { .. } | Step::Configure { .. } => "secrets/update",
        Step::Undelete { .. } => "deletedsecrets/recover",
        Step::Destroy { .. } => "deletedsecrets/purge",
        _ => "secrets/delete",
    }
}
