//! A provider in memory that keeps AWS's rules for labels and fails on demand, for tests and drills.

mod change;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use jiff::Timestamp;

use self::change::{copy, created};
use super::{
    Applied, ErrorKind, Existing, Fetched, FetchedValue, FetchedVersion, Known, Listed, ProviderError, Source, Target,
};
use crate::model::{
    AWSCURRENT, AWSPREVIOUS, Digest, Part, Place, Secret, SecretValue, Step, Unreadable, ValueState, Version,
    VersionFacets, Withheld,
};

/// The label of the current version in a place of the kind that this one plays.
pub const CURRENT: &str = AWSCURRENT;
/// That of the one before it.
pub const PREVIOUS: &str = AWSPREVIOUS;

/// What of a secret can be refused, other than values, and the operation that reads it.
const PARTS: [(Part, &str); 3] =
    [(Part::Metadata, "DescribeSecret"), (Part::Versions, "ListSecretVersionIds"), (Part::Policy, "GetResourcePolicy")];

/// A provider in memory. Shared by reference, so that a test can change it while it is used.
pub struct Memory {
    place: Place,
    state: Mutex<State>,
}

/// One version to put into [`Memory`].
pub struct HeldVersion {
    /// The version id.
    pub id: String,
    /// The labels.
    pub labels: Vec<String>,
    /// Creation time.
    pub created: Option<Timestamp>,
    /// The value; `None` for an id that a rotation made first.
    pub value: Option<SecretValue>,
}

impl HeldVersion {
    /// A version with a text value.
    pub fn text(id: &str, labels: &[&str], value: &str) -> Self {
        let value = Some(SecretValue::text(value.to_owned()));
        let labels = labels.iter().map(|&label| label.into()).collect();
        Self { id: id.into(), labels, created: None, value }
    }
}

#[derive(Default)]
struct State {
    secrets: BTreeMap<String, Held>,
    refusals: BTreeMap<(String, String), String>,
    calls: usize,
    calls_left: Option<usize>,
    /// When what is created from now on is created.
    now: Option<Timestamp>,
    created: usize,
    /// Secrets that a listing does not show yet.
    unlisted: BTreeSet<String>,
    lagging: bool,
    lost_answers: BTreeSet<String>,
}

struct Held {
    secret: Secret,
    versions: Vec<HeldVersion>,
}

impl Memory {
    /// An empty place.
    pub fn new(account: &str, region: &str) -> Self {
        let place = Place { provider: "aws".into(), account: account.into(), region: region.into() };
        Self { place, state: Mutex::default() }
    }

    /// Puts a secret there, replacing what has its name. An empty identifier is filled in.
    pub fn insert(&self, mut secret: Secret, versions: Vec<HeldVersion>) {
        if secret.id.is_empty() {
            secret.id = self.arn(&secret.name, "AbCdEf");
        }
        self.state().secrets.insert(secret.name.clone(), Held { secret, versions });
    }

    /// Takes a secret away.
    pub fn remove(&self, name: &str) {
        self.state().secrets.remove(name);
    }

    /// Changes a secret's metadata in place.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Secret)) {
        if let Some(held) = self.state().secrets.get_mut(name) {
            change(&mut held.secret);
        }
    }

    /// Changes a secret's versions in place.
    pub fn edit_versions(&self, name: &str, change: impl FnOnce(&mut Vec<HeldVersion>)) {
        if let Some(held) = self.state().secrets.get_mut(name) {
            change(&mut held.versions);
        }
    }

    /// Lets `operation` (AWS's name) on the named secret be refused with `code` from now on.
    pub fn refuse(&self, name: &str, operation: &str, code: &str) {
        self.state().refusals.insert((name.into(), operation.into()), code.into());
    }

    /// Lets `calls` more calls succeed; every later one gets no answer.
    pub fn fail_after(&self, calls: usize) {
        self.state().calls_left = Some(calls);
    }

    /// Sets the time at which secrets are created from now on.
    pub fn set_time(&self, now: Timestamp) {
        self.state().now = Some(now);
    }

    /// Keeps what is created from now on out of listings, as AWS may for minutes.
    pub fn lag(&self) {
        self.state().lagging = true;
    }

    /// Lets the creation of this secret be carried out, and its answer be lost.
    pub fn lose_answer(&self, name: &str) {
        self.state().lost_answers.insert(name.into());
    }

    /// Takes all faults back.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.calls_left, state.lagging) = (None, false);
        state.refusals.clear();
        state.unlisted.clear();
        state.lost_answers.clear();
    }

    /// How many calls were made: one per listing, fetch, inventory and step.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// The names that are there, sorted.
    pub fn names(&self) -> Vec<String> {
        self.state().secrets.keys().cloned().collect()
    }

    /// The labels of a version.
    pub fn labels(&self, name: &str, version: &str) -> Option<Vec<String>> {
        let state = self.state();
        let version = state.secrets.get(name)?.versions.iter().find(|held| held.id == version)?;
        Some(sorted(&version.labels))
    }

    /// Whether the version has exactly this value.
    pub fn holds(&self, name: &str, version: &str, value: &SecretValue) -> bool {
        let state = self.state();
        let held = state.secrets.get(name).and_then(|held| held.versions.iter().find(|held| held.id == version));
        held.and_then(|held| held.value.as_ref()).is_some_and(|held| held.same_as(value))
    }

    fn create(
        &self,
        state: &mut State,
        step: &Step,
        version: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let (operation, name) = (operation(step), step.name());
        if let Some(held) = state.secrets.get(name) {
            return held.accept(operation, version, value).map(|()| Applied::default());
        }
        state.created += 1;
        let arn = self.arn(name, &format!("{:06}", state.created));
        let mut held = created(step, arn.clone(), value);
        held.secret.created = state.now;
        state.secrets.insert(name.into(), held);
        if state.lagging {
            state.unlisted.insert(name.into());
        }
        if state.lost_answers.remove(name) {
            return Err(error(ErrorKind::Limit, operation, Some(name), "NoAnswer", "connection lost"));
        }
        Ok(Applied { created: Some(arn) })
    }

    fn arn(&self, name: &str, suffix: &str) -> String {
        format!("arn:aws:secretsmanager:{}:{}:secret:{name}-{suffix}", self.place.region, self.place.account)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, operation: &'static str, name: Option<&str>) -> Result<MutexGuard<'_, State>, ProviderError> {
        let mut state = self.state();
        state.calls += 1;
        match &mut state.calls_left {
            Some(0) => return Err(error(ErrorKind::Unavailable, operation, name, "NoAnswer", "connection lost")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }
}

#[async_trait]
impl Source for Memory {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let entries = match self.begin("ListSecrets", None) {
            Ok(state) => {
                let shown = state.secrets.iter().filter(|(name, _)| !state.unlisted.contains(*name));
                shown.map(|(_, held)| Ok(listed(held))).collect()
            }
            Err(error) => vec![Err(error)],
        };
        stream::iter(entries).boxed()
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let state = self.begin("DescribeSecret", Some(&listed.name))?;
        let held = state.secrets.get(&listed.name).filter(|held| [&held.secret.id, &listed.name].contains(&&listed.id));
        let held = held.ok_or_else(|| not_found("DescribeSecret", &listed.name))?;
        let mut secret = held.secret.clone();
        for (part, operation) in PARTS {
            if let Some(reason) = state.refusal(&listed.name, operation) {
                secret.unreadable.push(Unreadable { part, operation: operation.into(), reason });
                if part == Part::Policy {
                    secret.facets.policy = None;
                }
            }
        }
        let no_value = state.refusal(&listed.name, "GetSecretValue");
        let no_ids = state.refusal(&listed.name, "ListSecretVersionIds").is_some();
        let shown = held.versions.iter().filter(|version| !no_ids || !version.labels.is_empty());
        let versions = shown.map(|version| FetchedVersion {
            id: version.id.clone(),
            current: is_current(&version.labels),
            labels: sorted(&version.labels),
            created: version.created,
            facets: VersionFacets::default(),
            value: match (&version.value, &no_value) {
                _ if known(&secret.id, &version.id) => FetchedValue::Known,
                (None, _) => FetchedValue::None,
                _ if secret.deleted.is_some() => FetchedValue::Withheld(Withheld::ScheduledForDeletion),
                (_, Some(code)) => FetchedValue::Unreadable(code.clone()),
                (Some(value), None) => FetchedValue::Value(copy(value)),
            },
        });
        Ok(Fetched { versions: versions.collect(), secret, agrees: true, held: None })
    }
}

#[async_trait]
impl Target for Memory {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        let names = self.begin("ListSecrets", None).map(|state| state.secrets.keys().cloned().collect::<Vec<_>>());
        match names {
            Ok(names) => stream::iter(names.into_iter().map(Ok)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        let state = self.begin("DescribeSecret", Some(name))?;
        let Some(held) = state.secrets.get(name) else { return Ok(None) };
        match state.refusal(name, "DescribeSecret") {
            Some(code) => Err(error(ErrorKind::Denied, "DescribeSecret", Some(name), &code, "")),
            None => Ok(Some(Existing {
                secret: held.secret.clone(),
                versions: held.versions.iter().map(version_without_value).collect(),
            })),
        }
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let state = self.begin("DescribeSecret", Some(id))?;
        let held = state.secrets.get(id).or_else(|| state.secrets.values().find(|held| held.secret.id == id));
        let Some(held) = held else { return Ok(None) };
        match state.refusal(&held.secret.name, "DescribeSecret") {
            Some(code) => Err(error(ErrorKind::Denied, "DescribeSecret", Some(id), &code, "")),
            None => Ok(Some(held.secret.clone())),
        }
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let (operation, name) = (operation(step), step.name());
        let mut state = self.begin(operation, Some(name))?;
        if let Some(code) = state.refusal(name, operation) {
            return Err(error(ErrorKind::Denied, operation, Some(name), &code, ""));
        }
        if let Step::Create { version, .. } = step {
            return self.create(&mut state, step, version.as_deref(), value);
        }
        if matches!(step, Step::Destroy { .. } | Step::ScheduleDeletion { .. }) && at.is_none() {
            return Err(error(ErrorKind::Invalid, operation, Some(name), "BadStep", ""));
        }
        let met = |held: &Held| at.is_none_or(|at| held.secret.id == at);
        if matches!(step, Step::Destroy { .. }) {
            if state.secrets.get(name).is_some_and(met) {
                state.secrets.remove(name);
            }
            return Ok(Applied::default());
        }
        let held = state.secrets.get_mut(name).filter(|held| met(held)).ok_or_else(|| not_found(operation, name))?;
        if matches!(step, Step::Undelete { .. }) {
            held.secret.deleted = None;
            return Ok(Applied::default());
        }
        if held.secret.deleted.is_some() {
            return Err(scheduled(operation, name));
        }
        held.change(step, value).map(|()| Applied::default())
    }
}

impl State {
    fn refusal(&self, name: &str, operation: &str) -> Option<String> {
        self.refusals.get(&(name.to_owned(), operation.to_owned())).cloned()
    }
}

/// As AWS lists: labelled versions, but neither policy nor replicas nor deprecated versions.
fn listed(held: &Held) -> Listed {
    let mut secret = held.secret.clone();
    (secret.facets.policy, secret.facets.replicas) = (None, Vec::new());
    let labelled = held.versions.iter().filter(|version| !version.labels.is_empty());
    let labels: Vec<_> = labelled.map(|version| (&version.id, sorted(&version.labels))).collect();
    let entry = serde_json::to_vec(&(&secret, labels)).expect("metadata is plain data");
    let fingerprint = Some(Digest::of(&entry));
    Listed { name: secret.name.clone(), id: secret.id.clone(), secret, fingerprint }
}

fn version_without_value(held: &HeldVersion) -> Version {
    Version {
        id: held.id.clone(),
        current: is_current(&held.labels),
        labels: sorted(&held.labels),
        created: held.created,
        facets: VersionFacets::default(),
        value: ValueState::None,
    }
}

fn operation(step: &Step) -> &'static str {
    match step {
        Step::Create { .. } => "CreateSecret",
        Step::PutVersion { .. } | Step::Append { .. } | Step::Withhold { .. } => "PutSecretValue",
        Step::MoveStage { .. } => "UpdateSecretVersionStage",
        Step::Tag { .. } => "TagResource",
        Step::Update { .. } | Step::Configure { .. } => "UpdateSecret",
        Step::Untag { .. } => "UntagResource",
        Step::Replicate { .. } => "ReplicateSecretToRegions",
        Step::Rotate { .. } => "RotateSecret",
        Step::PutPolicy { .. } => "PutResourcePolicy",
        Step::DeletePolicy { .. } => "DeleteResourcePolicy",
        Step::Undelete { .. } => "RestoreSecret",
        Step::Promote { .. } => "StopReplicationToReplica",
        Step::ScheduleDeletion { .. } | Step::Destroy { .. } => "DeleteSecret",
    }
}

fn is_current(labels: &[String]) -> bool {
    labels.iter().any(|label| label == AWSCURRENT)
}

fn sorted(labels: &[String]) -> Vec<String> {
    let mut labels = labels.to_vec();
    labels.sort();
    labels
}

fn not_found(operation: &'static str, name: &str) -> ProviderError {
    error(ErrorKind::NotFound, operation, Some(name), "ResourceNotFoundException", "")
}

fn scheduled(operation: &'static str, name: &str) -> ProviderError {
    error(ErrorKind::Conflict, operation, Some(name), "InvalidRequestException", "it is scheduled for deletion")
}

fn error(kind: ErrorKind, operation: &'static str, name: Option<&str>, code: &str, message: &str) -> ProviderError {
    ProviderError {
        provider: "aws",
        kind,
        operation,
        secret: name.map(str::to_owned),
        code: code.into(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_one() -> Memory {
        let memory = Memory::new("111111111111", "eu-central-1");
        let versions = vec![
            HeldVersion::text("v1", &[], "one"),
            HeldVersion::text("v2", &[AWSPREVIOUS], "two"),
            HeldVersion::text("v3", &["b", "a", AWSCURRENT], "three"),
        ];
        memory.insert(Secret { name: "app".into(), ..Secret::default() }, versions);
        memory
    }

    async fn first(memory: &Memory) -> Listed {
        memory.list().next().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn reads_what_was_put_in() {
        let memory = with_one();
        let fetched = memory.fetch(&first(&memory).await, &|_, id| id == "v2").await.unwrap();
        assert_eq!(fetched.versions.len(), 3);
        assert!(matches!(fetched.versions[1].value, FetchedValue::Known));
        assert_eq!(fetched.versions[2].labels, [AWSCURRENT, "a", "b"]);
        let FetchedValue::Value(value) = &fetched.versions[0].value else { panic!("no value") };
        assert!(value.same_as(&SecretValue::text("one".into())));
    }

    #[tokio::test]
    async fn faults_hit_what_they_name_and_nothing_else() {
        let memory = with_one();
        let listed = first(&memory).await;
        memory.refuse("app", "GetSecretValue", "AccessDeniedException");
        let fetched = memory.fetch(&listed, &|_, _| false).await.unwrap();
        assert!(
            fetched
                .versions
                .iter()
                .all(|v| matches!(&v.value, FetchedValue::Unreadable(code) if code == "AccessDeniedException"))
        );
        memory.heal();
        memory.fail_after(1);
        assert!(memory.fetch(&listed, &|_, _| false).await.is_ok());
        assert_eq!(memory.fetch(&listed, &|_, _| false).await.err().unwrap().kind, ErrorKind::Unavailable);
        memory.remove("app");
        memory.heal();
        assert_eq!(memory.fetch(&listed, &|_, _| false).await.err().unwrap().kind, ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn steps_may_be_repeated_but_never_overwrite() {
        let memory = with_one();
        let put = Step::PutVersion { name: "app".into(), version: "v4".into(), stages: vec![AWSCURRENT.into()] };
        let value = SecretValue::text("four".into());
        memory.apply(&put, None, Some(&value)).await.unwrap();
        memory.apply(&put, None, Some(&value)).await.unwrap();
        assert_eq!(memory.labels("app", "v3").unwrap(), [AWSPREVIOUS, "a", "b"]);
        assert_eq!(memory.labels("app", "v2").unwrap(), [""; 0]);
        let other = SecretValue::text("other".into());
        assert_eq!(memory.apply(&put, None, Some(&other)).await.unwrap_err().kind, ErrorKind::Conflict);
        assert!(memory.holds("app", "v4", &value));
        let bare = Step::PutVersion { name: "app".into(), version: "v5".into(), stages: Vec::new() };
        assert_eq!(memory.apply(&bare, None, Some(&value)).await.unwrap_err().kind, ErrorKind::Invalid);
    }

    #[tokio::test]
    async fn a_name_scheduled_for_deletion_is_a_conflict() {
        let memory = with_one();
        memory.edit("app", |secret| secret.deleted = Some(Timestamp::UNIX_EPOCH));
        let fetched = memory.fetch(&first(&memory).await, &|_, _| false).await.unwrap();
        assert!(
            fetched.versions.iter().all(|v| matches!(v.value, FetchedValue::Withheld(Withheld::ScheduledForDeletion)))
        );
        let step = Step::MoveStage { name: "app".into(), stage: "x".into(), to: Some("v1".into()), from: None };
        let error = memory.apply(&step, None, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.to_string().contains("scheduled for deletion"));
    }
}
