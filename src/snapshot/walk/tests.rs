use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};

use super::*;
use crate::{
    clock::FixedClock,
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    model::{Digest, RepositoryId, Secret, SecretValue, VersionFacets, Withheld},
    progress::Progress,
    provider::{FetchedValue, FetchedVersion, Known as KnownVersions, Pace, Source},
    repo::{AllowedSigner, Epoch, Repository, Trust, TrustAnchor},
    snapshot::{self, DrillSealing, Report, Rules},
    storage::Storage,
};

const NOW: &str = "2026-11-24T06:00:00Z";

/// A source whose listings are given one after the other; the last one stays.
#[derive(Default)]
struct Scripted {
    listings: Mutex<VecDeque<Vec<Listed>>>,
    /// Names whose reading fails.
    failing: BTreeMap<String, ErrorKind>,
    /// Whether each secret is another one of its name by the time it is read.
    is_anew: bool,
    /// The names that were read.
    read: Mutex<Vec<String>>,
    /// How many are read now, and how many were at once.
    reading: Mutex<(usize, usize)>,
}

impl Scripted {
    fn new(listings: &[Vec<Listed>]) -> Self {
        Self { listings: Mutex::new(listings.to_vec().into()), ..Self::default() }
    }

    fn failing(mut self, kind: ErrorKind, names: &[&str]) -> Self {
        self.failing.extend(names.iter().map(|name| ((*name).to_owned(), kind)));
        self
    }
}

#[async_trait]
impl Source for Scripted {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(Place { provider: "aws".into(), account: "1".into(), region: "r".into() })
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let mut listings = self.listings.lock().unwrap();
        let entries = if listings.len() > 1 { listings.pop_front() } else { listings.front().cloned() };
        stream::iter(entries.unwrap().into_iter().map(Ok)).boxed()
    }

    fn pace(&self) -> Option<Pace> {
        Some(Pace { listed: 100.0, read: 7.0 })
    }

    async fn fetch(&self, listed: &Listed, known: &KnownVersions<'_>) -> Result<Fetched, ProviderError> {
        self.read.lock().unwrap().push(listed.name.clone());
        {
            let mut reading = self.reading.lock().unwrap();
            *reading = (reading.0 + 1, reading.1.max(reading.0 + 1));
        }
        tokio::task::yield_now().await;
        self.reading.lock().unwrap().0 -= 1;
        if let Some(kind) = self.failing.get(&listed.name) {
            let (kind, code, message) = (*kind, "Failed".into(), String::new());
            return Err(ProviderError {
                provider: "aws",
                kind,
                operation: "DescribeSecret",
                secret: None,
                code,
                message,
            });
        }
        let mut secret = listed.secret.clone();
        if self.is_anew {
            secret.id = format!("anew:{}", listed.name);
        }
        let value = match &listed.secret.deleted {
            _ if known(&secret.id, "v1") => FetchedValue::Known,
            Some(_) => FetchedValue::Withheld(Withheld::ScheduledForDeletion),
            None => FetchedValue::Value(SecretValue::text("x".into())),
        };
        let (id, labels, facets) = ("v1".into(), vec!["AWSCURRENT".into()], VersionFacets::default());
        let version = FetchedVersion { id, current: true, labels, created: None, facets, value };
        let versions = if listed.name.contains("empty") { vec![] } else { vec![version] };
        let agrees = !listed.name.contains("vague");
        Ok(Fetched { secret, versions, agrees, held: None })
    }
}

fn entry(name: &str) -> Listed {
    let secret = Secret { name: name.into(), id: format!("id:{name}"), ..Secret::default() };
    let fingerprint = Some(Digest::of(name.as_bytes()));
    Listed { name: name.into(), id: secret.id.clone(), secret, fingerprint }
}

fn entries(names: &[&str]) -> Vec<Listed> {
    names.iter().map(|name| entry(name)).collect()
}

/// An entry that says something else than before.
fn changed(name: &str) -> Listed {
    Listed { fingerprint: None, ..entry(name) }
}

fn deleted(name: &str) -> Listed {
    let mut listed = changed(name);
    listed.secret.deleted = Some(NOW.parse().unwrap());
    listed
}

/// These and many that stay as they are, so that the next index is a layer of changes.
fn among_many(few: Vec<Listed>) -> Vec<Listed> {
    few.into_iter().chain((0..30).map(|number| entry(&format!("many/{number}")))).collect()
}

/// What does not change is not read again.
const LAYERED: Rules<'static> = Rules {
    exclude: &[],
    exclude_deleted: false,
    sweep_days: 30,
    sweep_minutes: 0,
    guard: crate::repo::LossGuard { share: 10, least: 5, expects_some: false },
    accept_drop: None,
};

struct Host {
    repository: Repository,
    trust: Trust,
    signer: Signer,
    index_key: IndexKey,
    told: Told,
}

impl Host {
    async fn new() -> Self {
        let (key, signer) = (RecoveryKey::generate(), Signer::generate());
        let root = key.root_signer();
        let epoch = Epoch {
            version: 1,
            repository: RepositoryId::from_bytes([3; 16]),
            number: 1,
            created: NOW.parse().unwrap(),
            recipient: key.recipient(),
            root: root.public(),
            threshold: 2,
            total: 3,
            share_set: "01020304".into(),
            custodians: Vec::new(),
            signers: vec![AllowedSigner { name: "host".into(), key: signer.public() }],
            previous: None,
            closing: None,
        };
        let repository = Repository::create(Storage::memory(), &epoch, &root).await.unwrap();
        let anchor = TrustAnchor { root: root.public(), recipient: key.recipient() };
        let trust = repository.trust(&anchor).await.unwrap();
        Self { repository, trust, signer, index_key: IndexKey::generate(), told: Told::default() }
    }

    async fn run(&self, source: Scripted, rules: Rules<'_>) -> Result<Report, SnapshotError> {
        self.run_of(&Arc::new(source), rules).await
    }

    async fn run_of(&self, source: &Arc<Scripted>, rules: Rules<'_>) -> Result<Report, SnapshotError> {
        self.run_for_drills(source, rules, None).await
    }

    async fn run_for_drills(
        &self,
        source: &Arc<Scripted>,
        rules: Rules<'_>,
        drill: Option<&DrillSealing>,
    ) -> Result<Report, SnapshotError> {
        snapshot::run(&Request {
            repository: &self.repository,
            source: Arc::<Scripted>::clone(source),
            account: None,
            trust: &self.trust,
            witness: None,
            signer: &self.signer,
            index_key: &self.index_key,
            rules,
            journal: None,
            scratch: None,
            drill,
            config: None,
            clock: &FixedClock(NOW.parse().unwrap()),
            progress: &self.told,
        })
        .await
    }

    /// The names in the newest index.
    async fn names(&self) -> Vec<String> {
        let chosen = self.repository.judge(&self.trust, &[]).await.unwrap().newest(None).unwrap();
        let records = self.repository.records(&chosen, Opener::Index(&self.index_key)).await.unwrap();
        let names = records.into_iter().map(|record| record.secret.name);
        names.filter(|name| !name.starts_with("many/")).collect()
    }
}

/// What somebody who watches is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Progress for Told {
    fn limit(&self, per_second: f64) {
        self.note(format!("limit {per_second}"));
    }

    fn begin(&self, phase: &'static str, total: Option<u64>) {
        self.note(format!("{phase} {total:?}"));
    }

    fn advance(&self, done: u64) {
        self.note(format!("advance {done}"));
    }

    fn skip(&self, done: u64) {
        self.note(format!("skip {done}"));
    }

    fn part(&self, _: &str) -> Arc<dyn Progress> {
        unreachable!("a snapshot has no parts")
    }
}

fn unreadable(report: &Report) -> Vec<(&str, &str)> {
    report.unreadable.iter().map(|item| (item.name.as_str(), item.reason.as_str())).collect()
}

#[tokio::test]
async fn twenty_failures_in_a_row_end_the_run_and_a_success_begins_anew() {
    let failing = |names: Vec<String>, good: &'static [&'static str]| async move {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut all = [names.as_slice(), good].concat();
        all.sort_unstable();
        let source = Scripted::new(&[entries(&all)]).failing(ErrorKind::Unavailable, &names);
        Host::new().await.run(source, Rules::default()).await
    };
    let numbered = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("{number:02}")).collect();
    let report = failing(numbered(0..19), &[]).await.unwrap();
    assert_eq!((report.unreadable.len(), unreadable(&report)[18]), (19, ("18", "Failed")));
    let ended = failing(numbered(0..20), &[]).await.err().unwrap();
    assert!(matches!(&ended, SnapshotError::Provider(error) if error.kind == ErrorKind::Unavailable), "{ended}");
    let report = failing(numbered(0..38), &["18-good"]).await.unwrap();
    assert_eq!((report.unreadable.len(), report.manifest.manifest().counts.captured), (38, 1));
}

#[tokio::test]
async fn a_secret_made_anew_between_listing_and_reading_is_read_although_its_version_has_a_known_id() {
    let host = Host::new().await;
    host.run(Scripted::new(&[among_many(entries(&["app"]))]), LAYERED).await.unwrap();
    let again = host.run(Scripted::new(&[among_many(vec![changed("app")])]), LAYERED).await.unwrap();
    assert_eq!(again.manifest.manifest().counts.values_read, 0, "the same incarnation is known");
    let anew = Scripted { is_anew: true, ..Scripted::new(&[among_many(vec![changed("app")])]) };
    let report = host.run(anew, LAYERED).await.unwrap();
    assert_eq!(report.manifest.manifest().counts.values_read, 1);
    let chosen = host.repository.judge(&host.trust, &[]).await.unwrap().newest(None).unwrap();
    let records = host.repository.records(&chosen, Opener::Index(&host.index_key)).await.unwrap();
    let ids: Vec<_> = records.iter().filter(|it| it.secret.name == "app").map(|it| it.secret.id.as_str()).collect();
    assert_eq!(ids, ["anew:app"], "the other one is gone");
}

#[tokio::test]
async fn credentials_that_fail_end_the_run_at_once() {
    let source = Scripted::new(&[entries(&["a", "b"])]).failing(ErrorKind::Credentials, &["a"]);
    let ended = Host::new().await.run(source, Rules::default()).await.err().unwrap();
    assert!(matches!(&ended, SnapshotError::Provider(error) if error.kind == ErrorKind::Credentials), "{ended}");
}

#[tokio::test]
async fn a_thousand_secrets_may_vanish_and_one_more_is_a_lie() {
    let vanishing = |count: u32| async move {
        let names: Vec<String> = (0..count).map(|number| format!("{number:04}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let source = Scripted::new(&[entries(&names), vec![]]).failing(ErrorKind::NotFound, &names);
        Host::new().await.run(source, Rules::default()).await
    };
    assert_eq!(vanishing(1_000).await.unwrap().vanished.len(), 1_000);
    let ended = vanishing(1_001).await.err().unwrap();
    assert!(matches!(&ended, SnapshotError::Provider(error) if error.kind == ErrorKind::NotFound), "{ended}");
}

#[tokio::test]
async fn a_run_tells_where_it_is_and_counts_an_entry_that_is_listed_twice_once() {
    let host = Host::new().await;
    let names = ["left-out", "good", "vanished", "good", "another"];
    let source = Scripted::new(&[entries(&names), entries(&["good"])]).failing(ErrorKind::NotFound, &["vanished"]);
    let exclude = ["left-*".to_owned()];
    let report = host.run(source, Rules { exclude: &exclude, ..Rules::default() }).await.unwrap();
    let counts = report.manifest.manifest().counts;
    assert_eq!((counts.listed, counts.captured, counts.excluded, counts.vanished), (4, 2, 1, 1));
    assert_eq!(report.vanished, ["vanished"]);
    let told = host.told.0.lock().unwrap();
    let expected = [
        "limit 100",
        "list secrets None",
        "advance 1",
        "advance 1",
        "advance 1",
        "advance 1",
        "advance 1",
        "limit 7",
        "read secrets Some(5)",
        "skip 1",
        "skip 1",
        "advance 1",
        "advance 1",
        "advance 1",
        "list missing secrets again None",
        "write index None",
    ];
    assert_eq!(told[..], expected);
}

#[tokio::test]
async fn nothing_is_listed_again_when_nothing_is_gone() {
    let host = Host::new().await;
    host.run(Scripted::new(&[entries(&["good"])]), Rules::default()).await.unwrap();
    assert!(!host.told.0.lock().unwrap().iter().any(|what| what.starts_with("list missing")));
}

#[tokio::test]
async fn what_is_gone_leaves_the_index_and_what_is_listed_again_could_not_be_read() {
    let host = Host::new().await;
    let first = among_many(entries(&["left", "lurking", "stays"]));
    host.run(Scripted::new(&[first]), LAYERED).await.unwrap();
    let second = among_many(vec![changed("left"), changed("lurking"), entry("stays")]);
    let third = among_many(entries(&["lurking", "stays", "younger"]));
    let source = Scripted::new(&[second, third]).failing(ErrorKind::NotFound, &["left", "lurking"]);
    let report = host.run(source, LAYERED).await.unwrap();
    assert_eq!(report.manifest.manifest().indexes.len(), 2);
    assert_eq!(unreadable(&report), [("lurking", "ListedAndNotFound")]);
    assert_eq!(
        (report.vanished.as_slice(), host.names().await.as_slice()),
        (&["left".to_owned()][..], &["lurking".to_owned(), "stays".to_owned()][..])
    );
}

#[tokio::test]
async fn what_is_scheduled_for_deletion_is_left_out_by_the_rule_unless_a_value_was_captured() {
    let host = Host::new().await;
    host.run(Scripted::new(&[among_many(entries(&["empty", "stays", "was"]))]), LAYERED).await.unwrap();
    let later = vec![deleted("empty"), deleted("never"), entry("new"), entry("stays"), deleted("was")];
    let later = among_many(later);
    let rules = Rules { exclude_deleted: true, ..LAYERED };
    let report = host.run(Scripted::new(std::slice::from_ref(&later)), rules).await.unwrap();
    let manifest = report.manifest.manifest();
    let excluded: Vec<_> = manifest.excluded.iter().map(|it| (it.rule.as_str(), it.secrets)).collect();
    assert_eq!((excluded, manifest.counts.excluded), (vec![("scheduled for deletion", 2)], 2));
    assert_eq!((unreadable(&report), host.names().await), (vec![], ["new", "stays", "was"].map(Into::into).to_vec()));
    assert_eq!(manifest.indexes.len(), 2);
    let report = host.run(Scripted::new(&[later]), LAYERED).await.unwrap();
    assert_eq!(unreadable(&report), [("never", "ScheduledForDeletion")]);
    assert_eq!(host.names().await, ["empty", "never", "new", "stays", "was"]);
}

#[tokio::test]
async fn an_entry_stands_for_a_secret_only_where_it_said_what_was_read() {
    let host = Host::new().await;
    let all = entries(&["clear", "vague"]);
    host.run(Scripted::new(std::slice::from_ref(&all)), Rules::default()).await.unwrap();
    let source = Arc::new(Scripted::new(&[all]));
    host.run_of(&source, Rules { sweep_days: 30, ..Rules::default() }).await.unwrap();
    assert_eq!(*source.read.lock().unwrap(), ["vague"]);
    assert_eq!(host.names().await, ["clear", "vague"]);
}

#[tokio::test]
async fn what_drills_open_is_read_again_for_a_new_drill_key_and_nothing_else() {
    let host = Host::new().await;
    let all = entries(&["drilled", "other"]);
    host.run(Scripted::new(std::slice::from_ref(&all)), Rules::default()).await.unwrap();
    let source = Arc::new(Scripted::new(&[all]));
    let (recipient, names) = (IndexKey::generate().recipient(), vec!["drill*".to_owned()]);
    let drill = DrillSealing { recipient, names, full: false };
    let rules = Rules { sweep_days: 30, ..Rules::default() };
    let report = host.run_for_drills(&source, rules, Some(&drill)).await.unwrap();
    assert_eq!(*source.read.lock().unwrap(), ["drilled"]);
    let counts = report.manifest.manifest().counts;
    assert_eq!((counts.values_read, counts.values_carried), (1, 1));
}

#[tokio::test]
async fn sixty_four_secrets_are_read_at_once() {
    let names: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let source = Arc::new(Scripted::new(&[entries(&names)]));
    Host::new().await.run_of(&source, Rules::default()).await.unwrap();
    assert_eq!(*source.reading.lock().unwrap(), (0, 64));
    assert_eq!(source.read.lock().unwrap().len(), 200);
}

#[tokio::test]
async fn a_replica_is_left_out_by_name_and_its_primary_is_captured() {
    let replicated = |name: &str, primary: &str| {
        let mut listed = entry(name);
        listed.secret.facets.primary_region = Some(primary.into());
        listed
    };
    let host = Host::new().await;
    let source = Scripted::new(&[vec![replicated("here", "r"), replicated("there", "s")]]);
    let report = host.run(source, Rules::default()).await.unwrap();
    assert_eq!((report.replicas, host.names().await), (vec!["there".to_owned()], vec!["here".to_owned()]));
}

#[test]
fn a_record_holds_a_value_when_one_of_its_versions_does() {
    let version = |value| crate::model::Version {
        id: "v".into(),
        current: false,
        labels: Vec::new(),
        created: None,
        facets: VersionFacets::default(),
        value,
    };
    let stored = || {
        let (pack, kind) = (Digest::of(b"pack"), SecretValue::text("x".into()).kind());
        ValueState::Stored { pack, line: 0, kind, size: 1 }
    };
    let holds = |values: Vec<ValueState>| {
        let versions = values.into_iter().map(version).collect();
        holds_a_value(&Record { versions, ..entry("a").into() })
    };
    assert!(holds(vec![ValueState::None, stored()]) && holds(vec![stored()]));
    assert!(!holds(vec![]) && !holds(vec![ValueState::None]));
}
