//! Everything that a server answers, against the records and the packs of its snapshot.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde_json::{Value as Json, json};

use super::{From, Now, failed, value_of};
use crate::{
    clock::Clock,
    crypto::Opener,
    drill::DrillError,
    model::{Digest, Record, SecretValue, ValueState, Version},
    progress::Progress,
    restore::{Aspect, Difference, Tally, Verification},
    serve::{
        client::{Answer, Client, Keys},
        stages,
    },
};

/// Connections that read at the same time.
pub(super) const READERS: usize = 4;

/// An application that reads over one connection.
pub(super) struct Reader {
    client: Client,
    keys: Keys,
    region: String,
    requests: u64,
}

/// What was compared.
#[derive(Default)]
pub(in super::super) struct Found {
    pub(super) requests: u64,
    pub(super) packs: u64,
    secrets: u64,
    tally: Tally,
    differences: Vec<Difference>,
}

/// A version whose value is due.
struct Due<'a> {
    record: &'a Record,
    version: &'a Version,
    value: SecretValue,
}

/// Reads and compares all of `scope`. Descriptions first, one for each secret; then values, pack by pack, so that each is opened
/// once here and once by the server.
pub(super) async fn all(
    readers: &mut [Reader],
    from: &From<'_>,
    scope: &[Record],
    progress: &dyn Progress,
) -> Result<Found, DrillError> {
    progress.begin("compare", Some(scope.len() as u64));
    let mut found = Found::default();
    let share = scope.len().div_ceil(readers.len()).max(1);
    let shares = readers.iter_mut().zip(scope.chunks(share)).map(async |(reader, share)| {
        let mut found = Found::default();
        for record in share {
            found.described(reader, record).await?;
            progress.advance(1);
        }
        Ok::<_, DrillError>(found)
    });
    for part in try_join_all(shares).await? {
        found.add(part);
    }
    let gone: BTreeSet<String> =
        found.differences.iter().filter(|it| it.aspects.is_empty()).map(|it| it.name.clone()).collect();
    let mut packs: BTreeMap<Digest, Vec<(u32, &Record, &Version)>> = BTreeMap::new();
    for record in scope.iter().filter(|record| !gone.contains(&record.secret.name)) {
        for version in &record.versions {
            if let ValueState::Stored { pack, line, .. } = &version.value {
                packs.entry(*pack).or_default().push((*line, record, version));
            }
        }
    }
    for (pack, due) in packs {
        let due = opened(from, &pack, due).await?;
        let share = due.len().div_ceil(readers.len()).max(1);
        let shares = readers.iter_mut().zip(due.chunks(share)).map(async |(reader, share)| {
            let mut found = Found::default();
            for due in share {
                found.value(reader, due).await?;
            }
            Ok::<_, DrillError>(found)
        });
        for part in try_join_all(shares).await? {
            found.add(part);
        }
        found.packs += 1;
    }
    found.requests = readers.iter().map(|reader| reader.requests).sum();
    Ok(found)
}

/// The values of a pack that are due, read without the server.
async fn opened<'a>(
    from: &From<'_>,
    pack: &Digest,
    due: Vec<(u32, &'a Record, &'a Version)>,
) -> Result<Vec<Due<'a>>, DrillError> {
    let mut by_line: BTreeMap<u32, Vec<(&Record, &Version)>> = BTreeMap::new();
    for (line, record, version) in due {
        by_line.entry(line).or_default().push((record, version));
    }
    let mut found = Vec::new();
    for (line, entry) in (0_u32..).zip(from.repository.open_pack(pack, Opener::Recovery(from.key)).await?) {
        let entry = entry?;
        for (record, version) in by_line.remove(&line).unwrap_or_default() {
            let value = match &entry.value {
                SecretValue::Text(text) | SecretValue::Fields(text) => SecretValue::text(text.to_string()),
                SecretValue::Bytes(bytes) => SecretValue::bytes(bytes.to_vec()),
            };
            found.push(Due { record, version, value });
        }
    }
    Ok(found)
}

impl Reader {
    pub(super) fn new(client: Client, keys: Keys, region: String) -> Self {
        Self { client, keys, region, requests: 0 }
    }

    async fn call(&mut self, operation: &str, body: &Json) -> Result<Answer, DrillError> {
        self.requests += 1;
        let target = (self.region.as_str(), operation);
        Ok(self.client.call(Some(&self.keys), target, &body.to_string(), Now.now()).await?)
    }

    /// What an operation answers; `None` where it refuses.
    async fn json(&mut self, operation: &str, body: &Json) -> Result<Option<Json>, DrillError> {
        let answer = self.call(operation, body).await?;
        if answer.status != 200 {
            return Ok(None);
        }
        serde_json::from_slice(&answer.body).map(Some).map_err(|_| failed("an answer of the server is not JSON"))
    }

    /// A value; of the current version unless an id is given.
    pub(super) async fn value(&mut self, id: &str, version: Option<&str>) -> Result<Option<SecretValue>, DrillError> {
        let answer = self.version(id, version).await?;
        Ok(answer.as_ref().and_then(value_of))
    }

    async fn version(&mut self, id: &str, version: Option<&str>) -> Result<Option<Json>, DrillError> {
        let mut body = json!({ "SecretId": id });
        if let Some(version) = version {
            body["VersionId"] = json!(version);
        }
        self.json("GetSecretValue", &body).await
    }

    /// The ids of every version that has a value.
    async fn ids(&mut self, id: &str) -> Result<BTreeSet<String>, DrillError> {
        let (mut ids, mut next) = (BTreeSet::new(), Json::Null);
        loop {
            let mut body = json!({ "SecretId": id, "IncludeDeprecated": true });
            if !next.is_null() {
                body["NextToken"] = next;
            }
            let Some(mut page) = self.json("ListSecretVersionIds", &body).await? else { return Ok(ids) };
            let versions = page["Versions"].as_array().into_iter().flatten();
            ids.extend(versions.filter_map(|version| version["VersionId"].as_str().map(str::to_owned)));
            next = page["NextToken"].take();
            if next.is_null() {
                return Ok(ids);
            }
        }
    }
}

impl Found {
    fn add(&mut self, other: Self) {
        for aspect in Aspect::ALL {
            let (to, from) = (self.tally.at(aspect), other.tally.of(aspect));
            to.expected += from.expected;
            to.compared += from.compared;
            to.equal += from.equal;
            to.missing += from.missing;
            to.unexpected += from.unexpected;
        }
        self.secrets += other.secrets;
        self.differences.extend(other.differences);
    }

    /// In the form that the checks of every drill take.
    pub(in super::super) fn verification(self, planned: u64) -> Verification {
        let compared = |aspect| self.tally.of(aspect).compared;
        Verification {
            planned,
            secrets: self.secrets,
            versions: compared(Aspect::Ids),
            values: compared(Aspect::Values) + compared(Aspect::Binary),
            labels: compared(Aspect::Labels),
            tags: compared(Aspect::Tags),
            descriptions: compared(Aspect::Descriptions),
            policies: compared(Aspect::Policies),
            checks: self.tally,
            differences: self.differences,
            ..Verification::default()
        }
    }

    fn differs(&mut self, record: &Record, version: Option<&str>, what: &'static str, aspects: &[Aspect]) {
        self.differences.push(Difference {
            name: record.secret.name.clone(),
            version: version.map(str::to_owned),
            what,
            detail: "the server answers something else than the snapshot holds".into(),
            aspects: aspects.into(),
        });
    }

    fn compared(&mut self, aspect: Aspect, expected: u64, is_equal: bool) {
        let count = self.tally.at(aspect);
        count.expected += expected;
        count.compared += expected;
        count.equal += if is_equal { expected } else { 0 };
    }

    /// Description, tags, policy and the ids of one secret. One that is not there has everything missing.
    async fn described(&mut self, reader: &mut Reader, record: &Record) -> Result<(), DrillError> {
        let (secret, facets) = (&record.secret, &record.secret.facets);
        let by_id = json!({ "SecretId": secret.id });
        let stored: Vec<&Version> = record.versions.iter().filter(|it| is_stored(it)).collect();
        let Some(described) = reader.json("DescribeSecret", &by_id).await? else {
            self.missing(record, &stored);
            return Ok(());
        };
        self.secrets += 1;
        if let Some(description) = &facets.description {
            let is_equal = described["Description"] == json!(description);
            self.compared(Aspect::Descriptions, 1, is_equal);
            if !is_equal {
                self.differs(record, None, "description", &[Aspect::Descriptions]);
            }
        }
        let pair = |tag: &Json| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned()));
        let tags: BTreeSet<(String, String)> =
            described["Tags"].as_array().into_iter().flatten().filter_map(pair).collect();
        let due: BTreeSet<(String, String)> =
            facets.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
        self.compared(Aspect::Tags, due.len() as u64, tags == due);
        if tags != due {
            self.tally.at(Aspect::Tags).unexpected += u64::from(due.is_empty());
            self.differs(record, None, "tags", &[Aspect::Tags]);
        }
        let policy = reader.json("GetResourcePolicy", &by_id).await?.unwrap_or_default();
        let is_equal = policy["ResourcePolicy"].as_str() == facets.policy.as_deref();
        self.compared(Aspect::Policies, u64::from(facets.policy.is_some()), is_equal);
        if !is_equal {
            self.tally.at(Aspect::Policies).unexpected += u64::from(facets.policy.is_none());
            self.differs(record, None, "policy", &[Aspect::Policies]);
        }
        let there = reader.ids(&secret.id).await?;
        let extra = there.iter().filter(|id| !stored.iter().any(|version| version.id == **id)).count();
        if extra > 0 {
            self.tally.at(Aspect::Ids).unexpected += extra as u64;
            self.differs(record, None, "extra", &[Aspect::Ids]);
        }
        Ok(())
    }

    fn missing(&mut self, record: &Record, stored: &[&Version]) {
        let facets = &record.secret.facets;
        let mut lacks = |aspect, count: usize| {
            let found = self.tally.at(aspect);
            found.expected += count as u64;
            found.missing += count as u64;
        };
        for version in stored {
            lacks(Aspect::Ids, 1);
            lacks(kind_of(version), 1);
            lacks(Aspect::Labels, labels(version).len());
        }
        lacks(Aspect::Tags, facets.tags.len());
        lacks(Aspect::Descriptions, usize::from(facets.description.is_some()));
        lacks(Aspect::Policies, usize::from(facets.policy.is_some()));
        self.differs(record, None, "missing", &[]);
    }

    /// One version: its id, its labels, its value.
    async fn value(&mut self, reader: &mut Reader, due: &Due<'_>) -> Result<(), DrillError> {
        let Due { record, version, value } = due;
        let (id, kind, expected) = (version.id.as_str(), kind_of(version), labels(version));
        let Some(answer) = reader.version(&record.secret.id, Some(id)).await? else {
            for (aspect, count) in [(Aspect::Ids, 1), (kind, 1), (Aspect::Labels, expected.len() as u64)] {
                let found = self.tally.at(aspect);
                found.expected += count;
                found.missing += count;
            }
            self.differs(record, Some(id), "missing", &[Aspect::Ids, kind]);
            return Ok(());
        };
        let is_equal = answer["VersionId"] == json!(id) && answer["Name"] == json!(record.secret.name);
        self.compared(Aspect::Ids, 1, is_equal);
        if !is_equal {
            self.differs(record, Some(id), "extra", &[Aspect::Ids]);
        }
        let stages = answer["VersionStages"].as_array().into_iter().flatten();
        let stages: BTreeSet<&str> = stages.filter_map(Json::as_str).collect();
        self.compared(Aspect::Labels, expected.len() as u64, stages == expected);
        if stages != expected {
            self.tally.at(Aspect::Labels).unexpected += u64::from(expected.is_empty());
            self.differs(record, Some(id), "labels", &[Aspect::Labels]);
        }
        let served = value_of(&answer);
        let is_equal = served.is_some_and(|served| served.kind() == value.kind() && served.expose() == value.expose());
        self.compared(kind, 1, is_equal);
        if !is_equal {
            self.differs(record, Some(id), "value", &[kind]);
        }
        Ok(())
    }
}

fn is_stored(version: &Version) -> bool {
    matches!(version.value, ValueState::Stored { .. })
}

fn kind_of(version: &Version) -> Aspect {
    match &version.value {
        ValueState::Stored { kind, .. } => Aspect::of_kind(*kind),
        _ => Aspect::Values,
    }
}

/// The labels that an application sees.
fn labels(version: &Version) -> BTreeSet<&str> {
    stages(version).into_iter().collect()
}
