//! Reading one key: states, metadata and values of one moment.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};

use super::{
    Vault,
    client::{About, Answer},
    metadata::{Metadata, Row},
};
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Part, SecretValue, Unreadable, Withheld},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Known, Listed, ProviderError},
};

/// How often a key that changes while it is read is read again.
const READS: u32 = 5;
/// The code recorded for one that never stood still.
const CHANGED: &str = "ChangedWhileReading";
/// Values of one key read at the same time.
const AT_ONCE: usize = 8;
/// What one value may take, for the budget: an entry of a storage is no longer.
pub(super) const LARGEST: usize = 1024 * 1024;
/// The operation that reads a value.
pub(super) const READS_VALUE: &str = "read";

/// What a version's answer says.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Option<SaidAbout>,
}

#[derive(Deserialize)]
struct SaidAbout {
    version: u64,
    #[serde(default)]
    created_time: Option<Timestamp>,
    #[serde(default)]
    destroyed: bool,
    #[serde(default)]
    deletion_time: String,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    data: Option<Said<'a>>,
}

impl Vault {
    /// The metadata of a key; `None`: there is no such key.
    pub(super) async fn metadata(&self, name: &str) -> Result<Option<Metadata>, ProviderError> {
        let about = About { operation: "metadata", secret: Some(name) };
        let answer = self.client.get(about, &self.path("metadata", name), &[]).await?;
        let raw = answer.of_engine::<Json>(about, "the answer has no metadata")?;
        raw.map(|raw| Metadata::parse(raw, about)).transpose()
    }

    /// What the metadata say is read once; that the values are of the same moment and incarnation, the answers with the values
    /// say: each has its version's own time and state. Where one does not agree, all of it is read again.
    pub(super) async fn read_secret(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let name = listed.name.as_str();
        let gone = || About { operation: "metadata", secret: Some(name) }.failed(ErrorKind::NotFound, "NotFound", "");
        for read in 1..=READS {
            let metadata = self.metadata(name).await?.ok_or_else(gone)?;
            let (versions, held, is_settled) = self.versions(name, &metadata, known).await?;
            if is_settled || read == READS {
                let mut secret = metadata.secret(name);
                if !is_settled {
                    let (part, operation) = (Part::Versions, "metadata".to_owned());
                    secret.unreadable.push(Unreadable { part, operation, reason: CHANGED.into() });
                }
                let agrees = listed.fingerprint == Some(metadata.fingerprint());
                return Ok(Fetched { secret, versions, agrees, held: Some(held) });
            }
        }
        Err(gone())
    }

    /// Every version with its value; whether all of them are as the metadata say.
    async fn versions(
        &self,
        name: &str,
        metadata: &Metadata,
        known: &Known<'_>,
    ) -> Result<(Vec<FetchedVersion>, crate::provider::Held, bool), ProviderError> {
        let (id, now) = (metadata.id(name), SystemClock.now());
        let state = |number: u64, row: &Row| {
            if known(&id, &number.to_string()) {
                Some(FetchedValue::Known)
            } else {
                row.state(now).map(FetchedValue::Withheld)
            }
        };
        let rows = metadata.rows();
        let mut values: BTreeMap<u64, FetchedValue> =
            rows.iter().filter_map(|(number, row)| Some((*number, state(*number, row)?))).collect();
        let wanted: Vec<u64> = rows.iter().map(|(number, _)| *number).filter(|it| !values.contains_key(it)).collect();
        let mut held = self.budget.reserve(wanted.len() * LARGEST).await;
        let mut reads = stream::iter(wanted).map(|number| async move { (number, self.answer(name, number).await) });
        let mut reads = std::pin::pin!(reads.by_ref().buffer_unordered(AT_ONCE));
        let (mut is_settled, mut bytes) = (true, 0);
        while let Some((number, read)) = reads.next().await {
            let value = match read {
                Ok(Some((value, created))) => {
                    let row = metadata.row(number).map(|row| row.created_time);
                    is_settled &= matches!(value, FetchedValue::Value(_)) && created.is_some() && created == row;
                    value
                }
                Ok(None) => {
                    is_settled = false;
                    FetchedValue::None
                }
                Err(error) if error.kind == ErrorKind::Denied => FetchedValue::Unreadable(error.code),
                Err(error) => return Err(error),
            };
            if let FetchedValue::Value(value) = &value {
                bytes += value.expose().len();
            }
            values.insert(number, value);
        }
        held.shrink(bytes);
        let version = |(number, row): (u64, &Row)| FetchedVersion {
            id: number.to_string(),
            current: number == metadata.known.current_version,
            labels: Vec::new(),
            created: Some(row.created_time),
            facets: row.facets(now),
            value: values.remove(&number).unwrap_or(FetchedValue::None),
        };
        Ok((rows.into_iter().map(version).collect(), held, is_settled))
    }

    /// The value of a version, or the state that it is in by now; `None`: there is no such version any more.
    pub(super) async fn value(&self, name: &str, number: u64) -> Result<Option<FetchedValue>, ProviderError> {
        Ok(self.answer(name, number).await?.map(|(value, _)| value))
    }

    /// And when the version that answers was made.
    async fn answer(
        &self,
        name: &str,
        number: u64,
    ) -> Result<Option<(FetchedValue, Option<Timestamp>)>, ProviderError> {
        let about = About { operation: READS_VALUE, secret: Some(name) };
        let text = number.to_string();
        let answer = self.client.get(about, &self.path("data", name), &[("version", &text)]).await?;
        // The body of a 404 tells a deleted or destroyed version from none.
        value_of(&answer, number, about)
    }
}

fn value_of(
    answer: &Answer,
    number: u64,
    about: About<'_>,
) -> Result<Option<(FetchedValue, Option<Timestamp>)>, ProviderError> {
    let said: Wrapped<'_> =
        serde_json::from_slice(answer.bytes()).map_err(|_| about.bad("the answer is not the JSON of this request"))?;
    let Some(Said { data, metadata }) = said.data else {
        return if answer.status.is_success() { Err(about.bad("the answer has no version")) } else { Ok(None) };
    };
    let metadata = metadata.filter(|metadata| metadata.version == number);
    let metadata = metadata.ok_or_else(|| about.bad("the answer is of another version"))?;
    let created = metadata.created_time;
    if answer.status.is_success() {
        // Exactly the server's text: to read a number is to change it. What was written as null is null.
        let text = data.map_or("null", RawValue::get).to_owned();
        return Ok(Some((FetchedValue::Value(SecretValue::fields(text)), created)));
    }
    let state = match metadata {
        SaidAbout { destroyed: true, .. } => Withheld::Destroyed,
        SaidAbout { deletion_time, .. } if !deletion_time.is_empty() => Withheld::Deleted,
        _ => return Err(about.bad("the answer denies a version and does not say that it is deleted")),
    };
    Ok(Some((FetchedValue::Withheld(state), created)))
}
