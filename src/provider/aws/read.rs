//! Reading one secret consistently.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use futures::{StreamExt as _, stream};
use serde_json::Value as Json;

use super::{
    AT_ONCE, Aws,
    answers::{Described, ListedVersion, Stages, is_current, listed_stages},
    call::{Operation, Raw},
    failure::Failure,
    request::{Asked, LARGEST, is_arn_of},
};
use crate::{
    model::{Facets, Part, Secret, SecretValue, Unreadable, VersionFacets, Withheld},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, Held, Known, Listed, ProviderError},
};

/// Entries per page, the most AWS gives.
pub(super) const PAGE: i32 = 100;
/// Pages in a row that may bring nothing new: an answer that never ends is none.
const IDLE_PAGES: u32 = 1_000;
/// Versions of one secret; AWS keeps about a hundred that have no label.
const MOST_VERSIONS: usize = 100_000;
/// How often a secret that changes while it is read is read again.
const READS: u32 = 5;
/// The code recorded for a secret that never stood still.
const CHANGED: &str = "ChangedWhileReading";

/// What one answer gave, or the code it was refused with.
type Answer<T> = Result<T, String>;

impl Aws {
    /// One secret, read until labels, dates and values belong together.
    pub(super) async fn read_secret(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let (mut values, mut held) = (HashMap::new(), None);
        let mut before = part(self.describe(&listed.name, &listed.id).await)?;
        let mut reads = 1;
        loop {
            let parts = self.read_parts(listed, &before, known, (&mut values, &mut held)).await?;
            let Ok(described) = &before else { return Ok(assemble(listed, before, parts, (values, held), None)) };
            let after = part(self.describe(&listed.name, &listed.id).await)?;
            match after {
                Ok(after) => {
                    let settled = described.is_same_moment(&after);
                    if settled && !parts.version_vanished {
                        return Ok(assemble(listed, Ok(after), parts, (values, held), None));
                    }
                    if reads == READS {
                        let unsettled = (!settled).then(|| CHANGED.to_owned());
                        return Ok(assemble(listed, Ok(after), parts, (values, held), unsettled));
                    }
                    before = Ok(after);
                    reads += 1;
                }
                Err(code) => return Ok(assemble(listed, before, parts, (values, held), Some(code))),
            }
        }
    }

    async fn read_parts(
        &self,
        listed: &Listed,
        before: &Answer<Described>,
        known: &Known<'_>,
        (values, held): (&mut HashMap<String, FetchedValue>, &mut Option<Held>),
    ) -> Result<Parts, ProviderError> {
        let (listing, policy) =
            tokio::join!(self.version_ids(&listed.name, &listed.id), self.policy(&listed.name, &listed.id));
        let (listing, policy) = (part(listing)?, part(policy)?);
        let (mut versions, raw_versions, refused) = match listing {
            Ok(Versions { entries, raw, incomplete }) => (entries, raw, incomplete),
            Err(code) => (Vec::new(), Json::Null, Some(code)),
        };
        let listed_ids: BTreeSet<String> = versions.iter().map(|version| version.id.clone()).collect();
        let stages = before.as_ref().map_or_else(|_| listed_stages(&listed.secret), |d| d.stages.clone());
        // A rotation attaches AWSPENDING to an id before there is a value; only Describe shows it.
        let unlisted = stages.iter().filter(|(id, _)| !listed_ids.contains(*id));
        versions.extend(unlisted.map(|(id, labels)| ListedVersion::bare(id, labels)));
        let secret = before.as_ref().map_or(&listed.secret, |described| &described.secret);
        let known = |version: &str| known(&secret.id, version);
        let wanted = values_to_read(&versions, secret.deleted.is_some(), &known, values);
        if held.is_none() && !wanted.is_empty() {
            // Once: who reads again would wait for others that wait for it. What comes then is a version or two.
            *held = Some(self.budget.reserve(wanted.len() * LARGEST).await);
        }
        let version_vanished = self.read_values(listed, wanted, &listed_ids, values).await?;
        Ok(Parts { versions, raw_versions, refused, policy, version_vanished })
    }

    /// Reads the wanted values; tells whether one that was listed is not there.
    async fn read_values(
        &self,
        listed: &Listed,
        wanted: Vec<String>,
        listed_ids: &BTreeSet<String>,
        values: &mut HashMap<String, FetchedValue>,
    ) -> Result<bool, ProviderError> {
        let reads: Vec<_> = wanted
            .into_iter()
            .map(|id| async move {
                let read = self.value(&listed.name, &listed.id, &id).await;
                (id, read)
            })
            .collect();
        let mut reads = stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut vanished = false;
        while let Some((id, read)) = reads.next().await {
            let value = match read {
                Ok(value) => FetchedValue::Value(value),
                Err(failure) if failure.kind() == ErrorKind::NotFound && !listed_ids.contains(&id) => {
                    FetchedValue::None
                }
                Err(failure) if failure.ends_the_run() => return Err(failure.into()),
                Err(failure) => {
                    // Gone, or scheduled for deletion since: the next Describe tells.
                    vanished |= matches!(failure.kind(), ErrorKind::NotFound | ErrorKind::Conflict);
                    FetchedValue::Unreadable(failure.error.code)
                }
            };
            values.insert(id, value);
        }
        Ok(vanished)
    }

    /// DescribeSecret by name or ARN.
    pub(super) async fn describe(&self, name: &str, id: &str) -> Result<Described, Failure> {
        let raw = Raw::default();
        let send = || self.client.describe_secret().secret_id(id).customize().interceptor(raw.clone()).send();
        let answer = self.call(Operation::DescribeSecret, Some(name), send).await?;
        let asked = Asked { name, id };
        asked.answered(Operation::DescribeSecret, answer.name(), answer.arn())?;
        let described = Described::of(&answer, raw.take());
        let Secret { name, id: arn, .. } = &described.secret;
        // Where the credentials lead is known by now, and an answer from elsewhere is no answer.
        match self.account.get() {
            Some(account) if !is_arn_of(arn, name, Some(account), &self.region) => {
                Err(asked.other(Operation::DescribeSecret, "the answer is of another account or region"))
            }
            _ => Ok(described),
        }
    }

    /// Every version of a secret, deprecated ones included, each once.
    pub(super) async fn version_ids(&self, name: &str, id: &str) -> Result<Versions, Failure> {
        let operation = Operation::ListSecretVersionIds;
        let mut pages = Pages::default();
        let (mut seen, mut entries, mut raws) = (HashSet::new(), Vec::new(), Vec::new());
        let mut incomplete = None;
        while !pages.ended {
            let raw = Raw::default();
            let send = || {
                let request = self.client.list_secret_version_ids().secret_id(id).include_deprecated(true);
                let request = request.max_results(PAGE).set_next_token(pages.token.clone());
                request.customize().interceptor(raw.clone()).send()
            };
            let answer = self.call(operation, Some(name), send).await?;
            let asked = Asked { name, id };
            asked.answered(operation, answer.name(), answer.arn())?;
            let page = raw_entries(raw.take(), "Versions", answer.versions().len());
            let page = page.map_err(|why| asked.bad(operation, why))?;
            if answer.versions().iter().any(|entry| entry.version_id().unwrap_or_default().is_empty()) {
                return Err(asked.bad(operation, "a version without an id"));
            }
            let page = answer.versions().iter().map(ListedVersion::of).zip(page);
            let new: Vec<_> = page.filter(|(entry, _)| seen.insert(entry.id.clone())).collect();
            pages.note(new.len(), seen.len(), MOST_VERSIONS);
            for (entry, raw) in new {
                entries.push(entry);
                raws.push(raw);
            }
            if let Err(failure) = pages.turn(operation, Some(name), answer.next_token()) {
                incomplete = Some(failure.error.code);
                break;
            }
        }
        Ok(Versions { entries, raw: Json::Array(raws), incomplete })
    }

    /// The resource policy, and the answer as it came.
    pub(super) async fn policy(&self, name: &str, id: &str) -> Result<(Option<String>, Json), Failure> {
        let raw = Raw::default();
        let send = || self.client.get_resource_policy().secret_id(id).customize().interceptor(raw.clone()).send();
        let answer = self.call(Operation::GetResourcePolicy, Some(name), send).await?;
        Asked { name, id }.answered(Operation::GetResourcePolicy, answer.name(), answer.arn())?;
        Ok((answer.resource_policy, raw.take()))
    }

    /// The value of one version. A version without a value is refused by AWS, so that an answer without one is none.
    pub(super) async fn value(&self, name: &str, id: &str, version: &str) -> Result<SecretValue, Failure> {
        let send = || self.client.get_secret_value().secret_id(id).version_id(version).send();
        let answer = Box::pin(self.call(Operation::GetSecretValue, Some(name), send)).await?;
        value_of(Asked { name, id }, version, answer)
    }
}

/// The value in an answer, if it is one about this version.
fn value_of(asked: Asked<'_>, version: &str, answer: GetSecretValueOutput) -> Result<SecretValue, Failure> {
    let operation = Operation::GetSecretValue;
    asked.answered(operation, answer.name(), answer.arn())?;
    if answer.version_id() != Some(version) {
        return Err(asked.other(operation, "the answer is about another version"));
    }
    let GetSecretValueOutput { secret_string, secret_binary, .. } = answer;
    let value = match (secret_string, secret_binary) {
        (Some(text), None) => SecretValue::text(text),
        (None, Some(blob)) => SecretValue::bytes(blob.into_inner()),
        (None, None) => return Err(asked.bad(operation, "the answer has no value")),
        (Some(_), Some(_)) => return Err(asked.bad(operation, "the answer has two values")),
    };
    if value.expose().len() > LARGEST {
        return Err(Failure::own(ErrorKind::Limit, operation, asked.name, "TooLarge", "no restore could write it"));
    }
    Ok(value)
}

/// The versions ListSecretVersionIds gave.
pub(super) struct Versions {
    pub(super) entries: Vec<ListedVersion>,
    raw: Json,
    /// Why there may be more.
    pub(super) incomplete: Option<String>,
}

/// What was read between two Describes.
struct Parts {
    versions: Vec<ListedVersion>,
    raw_versions: Json,
    refused: Option<String>,
    policy: Answer<(Option<String>, Json)>,
    version_vanished: bool,
}

/// Where a listing stands.
#[derive(Default)]
pub(super) struct Pages {
    pub(super) token: Option<String>,
    used: HashSet<String>,
    /// Pages in a row that brought nothing new.
    idle: u32,
    pub(super) ended: bool,
}

impl Pages {
    /// Takes note of what a page brought that was not there before, and of everything that is there now. What is beyond
    /// `most` is as if it were nothing.
    pub(super) fn note(&mut self, new: usize, all: usize, most: usize) {
        self.idle = if new > 0 && all <= most { 0 } else { self.idle + 1 };
    }

    /// Takes the token of the next page. A token that was already used would go round in circles
    /// and leave the rest unlisted, which is a failure and not the end.
    pub(super) fn turn(
        &mut self,
        operation: Operation,
        secret: Option<&str>,
        next: Option<&str>,
    ) -> Result<(), Failure> {
        self.token = next.filter(|token| !token.is_empty()).map(str::to_owned);
        self.ended = self.token.is_none();
        let Some(token) = &self.token else { return Ok(()) };
        let (code, why) = match self.used.insert(token.clone()) {
            false => ("RepeatedToken", "the pages repeat"),
            true if self.idle >= IDLE_PAGES => ("EndlessPages", "the pages do not end and bring nothing new"),
            true => return Ok(()),
        };
        self.ended = true;
        Err(Failure::own(ErrorKind::Unavailable, operation, secret.unwrap_or("the listing"), code, why))
    }
}

/// Parts belong together from here on: metadata, labels of the confirmed Describe, values.
fn assemble(
    listed: &Listed,
    described: Answer<Described>,
    parts: Parts,
    (mut values, mut held): (HashMap<String, FetchedValue>, Option<Held>),
    unsettled: Option<String>,
) -> Fetched {
    if let Some(held) = &mut held {
        held.shrink(values.values().map(size).sum());
    }
    let agrees = unsettled.is_none() && described.as_ref().is_ok_and(|described| agrees(listed, described));
    let denied = described.as_ref().err().cloned().or(unsettled);
    let labels = described.as_ref().ok().map(|described| described.stages.clone());
    let mut secret = described.map_or_else(|_| listed.secret.clone(), |described| described.secret);
    merge_raw(&mut secret, &listed.secret, &parts);
    // Being scheduled for deletion is a state that the record tells, not a refusal.
    let scheduled = secret.deleted.is_some();
    let refusal = |code: &String| !(scheduled && code == "InvalidRequestException");
    let (policy, no_policy) = match parts.policy {
        Ok((policy, _)) => (policy, None),
        Err(code) => (None, Some(code).filter(refusal)),
    };
    let refused = [
        (Part::Metadata, Operation::DescribeSecret, denied),
        (Part::Versions, Operation::ListSecretVersionIds, parts.refused.filter(refusal)),
        (Part::Policy, Operation::GetResourcePolicy, no_policy),
    ];
    secret.unreadable.extend(refused.into_iter().filter_map(|(part, operation, reason)| {
        Some(Unreadable { part, operation: operation.name().into(), reason: reason? })
    }));
    secret.facets.policy = policy;
    let versions = parts.versions.into_iter().map(|version| {
        let ListedVersion { id, stages, created, kms_keys } = version;
        let labels = labels.as_ref().map_or(stages, |labels| labels.get(&id).cloned().unwrap_or_default());
        let value = values.remove(&id).unwrap_or(FetchedValue::None);
        let facets = VersionFacets::of_keys(kms_keys);
        FetchedVersion { id, current: is_current(&labels), labels, created, facets, value }
    });
    Fetched { versions: versions.collect(), secret, agrees, held }
}

/// Whether an entry of the listing says what was read afterwards: only then does the same entry, the next time, tell that
/// nothing has changed. A listing may be minutes behind, and a label may have moved there and back.
fn agrees(listed: &Listed, described: &Described) -> bool {
    let labelled = |stages: &Stages| -> Stages {
        stages
            .iter()
            .filter(|(_, labels)| !labels.is_empty())
            .map(|(id, labels)| (id.clone(), labels.clone()))
            .collect()
    };
    // Replicas show in DescribeSecret alone.
    let shown = |secret: &Secret| {
        let facets = Facets { replicas: Vec::new(), policy: None, ..secret.facets.clone() };
        (secret.name.clone(), secret.id.clone(), facets, secret.created, secret.changed, secret.deleted)
    };
    shown(&listed.secret) == shown(&described.secret)
        && labelled(&listed_stages(&listed.secret)) == labelled(&described.stages)
}

fn size(value: &FetchedValue) -> usize {
    match value {
        FetchedValue::Value(value) => value.expose().len(),
        _ => 0,
    }
}

/// The ids whose values have to be read; the others get their state. Values that are already read
/// are kept: they are immutable.
fn values_to_read(
    versions: &[ListedVersion],
    scheduled: bool,
    known: &dyn Fn(&str) -> bool,
    values: &mut HashMap<String, FetchedValue>,
) -> Vec<String> {
    values.retain(|_, value| matches!(value, FetchedValue::Value(_)));
    let mut wanted = Vec::new();
    for ListedVersion { id, .. } in versions {
        if values.contains_key(id) {
            continue;
        }
        if known(id) {
            values.insert(id.clone(), FetchedValue::Known);
        } else if scheduled {
            values.insert(id.clone(), FetchedValue::Withheld(Withheld::ScheduledForDeletion));
        } else {
            wanted.push(id.clone());
        }
    }
    wanted
}

/// Every operation's own answer under its name; values' answers are never kept.
fn merge_raw(secret: &mut Secret, listed: &Secret, parts: &Parts) {
    let mut answers = BTreeMap::new();
    for raw in [&listed.raw, &secret.raw] {
        answers.extend(raw.as_object().into_iter().flatten().map(|(name, json)| (name.clone(), json.clone())));
    }
    if !parts.raw_versions.is_null() {
        answers.insert(Operation::ListSecretVersionIds.name().into(), parts.raw_versions.clone());
    }
    if let Ok((_, raw)) = &parts.policy {
        answers.insert(Operation::GetResourcePolicy.name().into(), raw.clone());
    }
    secret.raw = Json::Object(answers.into_iter().collect());
}

/// Separates what concerns the run from what concerns this part; a secret that is gone concerns the caller.
fn part<T>(answer: Result<T, Failure>) -> Result<Answer<T>, ProviderError> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(failure) if failure.ends_the_run() || failure.kind() == ErrorKind::NotFound => Err(failure.into()),
        Err(failure) => Ok(Err(failure.error.code)),
    }
}

/// The entries of a list as they came, as many as the SDK understood: otherwise an entry would be kept with the fields of another.
pub(super) fn raw_entries(mut answer: Json, field: &str, understood: usize) -> Result<Vec<Json>, &'static str> {
    match answer.get_mut(field).map(Json::take) {
        Some(Json::Array(entries)) if entries.len() == understood => Ok(entries),
        Some(Json::Array(_)) => Err("an entry of the list cannot be read"),
        _ => Err("the answer has no list"),
    }
}

#[cfg(test)]
mod tests;
