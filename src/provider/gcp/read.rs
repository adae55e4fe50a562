//! Reading one secret: versions, values, metadata and policy of one moment and one incarnation.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Gcp, LARGEST,
    client::{ACCESS, About, Answer, Ask},
    listing::state_in,
    metadata::{Metadata, Row, number, split},
    pace::Bucket,
    pages, policy,
};
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Existing, Part, SecretValue, Unreadable},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Held, Known, Listed, ProviderError},
};

/// How often a secret that changes while it is read is read again.
const READS: u32 = 5;
/// The code recorded for one that never stood still.
const CHANGED: &str = "ChangedWhileReading";
/// The code recorded for a value that is not what its checksum says.
const DAMAGED: &str = "ChecksumMismatch";
/// Values of one secret read at the same time.
const AT_ONCE: usize = 8;
/// Versions of a page.
const PAGE: &str = "1000";

const GET: &str = "secrets.get";
const VERSIONS: &str = "versions.list";
const POLICY: &str = "secrets.getIamPolicy";

/// What an answer with a value says.
#[derive(Deserialize)]
struct Accessed<'a> {
    name: String,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow, default)]
    data: Cow<'a, str>,
    #[serde(default)]
    data_crc32c: Option<Json>,
}

/// What came of reading a value.
pub(super) enum Reading {
    Value(SecretValue),
    /// Its state is another one than was said.
    Moved,
    Unreadable(String),
}

impl Gcp {
    /// The metadata of a secret; `None`: there is none.
    pub(super) async fn metadata(&self, name: &str) -> Result<Option<Metadata>, ProviderError> {
        let about = About { operation: GET, secret: Some(name) };
        let answer = self.client.send(about, &Ask::get(self.location(), &self.path(&[name]))).await?;
        match answer.status {
            StatusCode::OK => {
                let found = Metadata::parse(answer.json(about)?, &self.place, about)?;
                if found.id == name { Ok(Some(found)) } else { Err(about.bad("the answer is of another secret")) }
            }
            // A service that is no Secret Manager does not say it so.
            StatusCode::NOT_FOUND if answer.code() == "NOT_FOUND" => Ok(None),
            StatusCode::NOT_FOUND => Err(about.bad("what answers is not Secret Manager")),
            _ => Err(about.refused(&answer)),
        }
    }

    /// The versions, the oldest first.
    pub(super) async fn rows(&self, name: &str) -> Result<Vec<Row>, ProviderError> {
        let about = About { operation: VERSIONS, secret: Some(name) };
        let path = self.path(&[name, "versions"]);
        let listed = pages::all(&self.client, about, self.location(), path, ("versions", PAGE));
        let rows = listed.and_then(|raw| async move { Row::parse(raw, &self.place, name, about) });
        let mut rows: Vec<Row> = rows.try_collect().await?;
        rows.sort_by_key(|row| row.number);
        if rows.windows(2).any(|two| two[0].number == two[1].number) {
            return Err(about.bad("a version is listed twice"));
        }
        Ok(rows)
    }

    /// The policy, or why there is none to be told.
    async fn policy(&self, name: &str) -> Result<Result<Option<(String, Json)>, Unreadable>, ProviderError> {
        let about = About { operation: POLICY, secret: Some(name) };
        let path = self.path(&[name]);
        let query = [("options.requestedPolicyVersion", "3")];
        let ask = Ask { verb: "getIamPolicy", query: &query, ..Ask::get(self.location(), &path) };
        let answer = self.client.send(about, &ask).await?;
        match answer.status {
            StatusCode::OK => {
                let raw = answer.json(about)?;
                Ok(Ok(policy::normal(&raw).map(|text| (text, raw))))
            }
            StatusCode::FORBIDDEN => {
                let (part, operation) = (Part::Policy, POLICY.to_owned());
                Ok(Err(Unreadable { part, operation, reason: answer.code() }))
            }
            _ => Err(about.refused(&answer)),
        }
    }

    /// Versions and values are read first and the metadata last: they say whether all of it is of one incarnation.
    pub(super) async fn read_secret(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let name = listed.name.as_str();
        let gone = || About { operation: GET, secret: Some(name) }.failed(ErrorKind::NotFound, "NOT_FOUND", "");
        let mut id = match split(&listed.id) {
            (_, Some(_)) => listed.id.clone(),
            _ => self.metadata(name).await?.ok_or_else(gone)?.incarnation(),
        };
        for read in 1..=READS {
            let rows = match self.rows(name).await {
                Err(error) if error.kind == ErrorKind::NotFound => return Err(gone()),
                rows => rows?,
            };
            let (mut values, held, mut is_settled) = self.values(name, &id, &rows, known).await?;
            let policy = match self.policy(name).await {
                Err(error) if error.kind == ErrorKind::NotFound => return Err(gone()),
                policy => policy?,
            };
            let metadata = self.metadata(name).await?.ok_or_else(gone)?;
            let is_same = metadata.incarnation() == id && rows.iter().all(|row| row.created >= metadata.created());
            id = metadata.incarnation();
            is_settled &= is_same;
            // Of another incarnation nothing is kept, not even at the last attempt.
            if !is_settled && (read < READS || !is_same) {
                continue;
            }
            let mut secret = metadata.secret(&rows);
            match policy {
                Ok(Some((text, raw))) => {
                    secret.facets.policy = Some(text);
                    secret.raw["policy"] = raw;
                }
                Ok(None) => {}
                Err(refused) => secret.unreadable.push(refused),
            }
            if !is_settled {
                let (part, operation) = (Part::Versions, VERSIONS.to_owned());
                secret.unreadable.push(Unreadable { part, operation, reason: CHANGED.into() });
            }
            let latest = rows.last().map_or((0, None), |row| (row.number, row.state));
            let fingerprint = metadata.fingerprint(Some(latest), SystemClock.now());
            let agrees = listed.fingerprint.is_some() && listed.fingerprint == fingerprint;
            let version = |row: &Row| FetchedVersion {
                id: row.number.to_string(),
                current: row.number == latest.0,
                labels: metadata.labels(row.number),
                created: Some(row.created),
                facets: row.facets(),
                value: values.remove(&row.number).unwrap_or(FetchedValue::None),
            };
            let versions = rows.iter().map(version).collect();
            return Ok(Fetched { secret, versions, agrees, held: Some(held) });
        }
        Err(About { operation: GET, secret: Some(name) }.failed(
            ErrorKind::Unavailable,
            CHANGED,
            "it is made anew again and again",
        ))
    }

    /// The values that are wanted; whether each is in the state that its row says.
    async fn values(
        &self,
        name: &str,
        id: &str,
        rows: &[Row],
        known: &Known<'_>,
    ) -> Result<(BTreeMap<u64, FetchedValue>, Held, bool), ProviderError> {
        let mut values = BTreeMap::new();
        let mut wanted = Vec::new();
        for row in rows {
            if known(id, &row.number.to_string()) {
                values.insert(row.number, FetchedValue::Known);
            } else if let Some(state) = row.state {
                values.insert(row.number, FetchedValue::Withheld(state));
            } else {
                wanted.push(row.number);
            }
        }
        let mut held = self.budget.reserve(wanted.len() * LARGEST as usize).await;
        let reads = stream::iter(wanted).map(|number| async move { (number, self.value(name, number).await) });
        let mut reads = std::pin::pin!(reads.buffer_unordered(AT_ONCE));
        let (mut is_settled, mut bytes) = (true, 0);
        while let Some((number, read)) = reads.next().await {
            let value = match read? {
                Reading::Value(value) => {
                    bytes += value.expose().len();
                    FetchedValue::Value(value)
                }
                Reading::Moved => {
                    is_settled = false;
                    FetchedValue::None
                }
                Reading::Unreadable(code) => FetchedValue::Unreadable(code),
            };
            values.insert(number, value);
        }
        held.shrink(bytes);
        Ok((values, held, is_settled))
    }

    /// The value of a version. One that is not what its checksum says is read once more.
    pub(super) async fn value(&self, name: &str, version: u64) -> Result<Reading, ProviderError> {
        let about = About { operation: ACCESS, secret: Some(name) };
        let text = version.to_string();
        let path = self.path(&[name, "versions", &text]);
        let ask = Ask { verb: "access", bucket: Bucket::Access, ..Ask::get(self.location(), &path) };
        for _ in 0..2 {
            let answer = self.client.send(about, &ask).await?;
            return Ok(match answer.status {
                StatusCode::OK => {
                    if number(&named(&answer, about)?, &self.place, name) != Some(version) {
                        return Err(about.bad("the answer is of another version"));
                    }
                    match payload(&answer, about)? {
                        Some(value) => Reading::Value(value),
                        None => continue,
                    }
                }
                StatusCode::NOT_FOUND => Reading::Moved,
                StatusCode::BAD_REQUEST if state_in(&answer, name).is_some() => Reading::Moved,
                // A key that is disabled keeps its versions from being read, and no others.
                StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN if !answer.code().is_empty() => {
                    Reading::Unreadable(answer.code())
                }
                _ => return Err(about.refused(&answer)),
            });
        }
        Ok(Reading::Unreadable(DAMAGED.into()))
    }

    /// As a target tells of it.
    pub(super) async fn existing(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        let Some(metadata) = self.metadata(name).await? else { return Ok(None) };
        let rows = self.rows(name).await?;
        let mut existing = metadata.existing(&rows);
        match self.policy(name).await? {
            Ok(policy) => existing.secret.facets.policy = policy.map(|(text, _)| text),
            Err(refused) => existing.secret.unreadable.push(refused),
        }
        Ok(Some(existing))
    }
}

/// The name of the version that an answer is of.
pub(super) fn named(answer: &Answer, about: About<'_>) -> Result<String, ProviderError> {
    let accessed: Accessed<'_> =
        serde_json::from_slice(answer.bytes()).map_err(|_| about.bad("the answer is not the JSON of this request"))?;
    Ok(accessed.name)
}

/// The value of an answer; `None`: it is not what its checksum says.
fn payload(answer: &Answer, about: About<'_>) -> Result<Option<SecretValue>, ProviderError> {
    let bad = || about.bad("the answer has no value");
    let accessed: Accessed<'_> = serde_json::from_slice(answer.bytes()).map_err(|_| bad())?;
    let payload = accessed.payload.ok_or_else(bad)?;
    let data = STANDARD.decode(payload.data.as_ref()).map_err(|_| bad())?;
    let value = SecretValue::bytes(data);
    if value.expose().is_empty() {
        // Nobody can write one.
        return Err(bad());
    }
    let Some(told) = payload.data_crc32c else { return Ok(Some(value)) };
    let told = told.as_i64().or_else(|| told.as_str()?.parse().ok());
    Ok((told == Some(i64::from(crc32c::crc32c(value.expose())))).then_some(value))
}
