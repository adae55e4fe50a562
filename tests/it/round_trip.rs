//! Snapshot and restore from end to end, on a provider in memory: what comes back is what was there.

use std::sync::Arc;

use lifeboat::{
    clock::{Clock, FixedClock},
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    model::{Facets, RepositoryId, Secret, SecretValue, Tag, ValueState},
    progress::Silent,
    provider::{
        Source, Target,
        memory::{HeldVersion, Memory},
    },
    repo::{AllowedSigner, Epoch, Repository, Trust, TrustAnchor, Witness},
    restore::{self, Options, Outcome, Plan, PlanError, Values, Verification},
    snapshot::{self, Report, Rules, SnapshotError},
    storage::Storage,
};
use proptest::prelude::*;

use crate::repo_sample::chosen;

pub const NOW: &str = "2026-11-24T06:00:00Z";

/// A host, its repository in memory, and the key that a quorum would give.
pub struct World {
    pub repository: Repository,
    pub trust: Trust,
    pub key: RecoveryKey,
    pub signer: Signer,
    pub index_key: IndexKey,
}

impl World {
    pub async fn new() -> Self {
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
        Self { repository, trust, key, signer, index_key: IndexKey::generate() }
    }

    pub async fn snapshot(&self, source: &Arc<Memory>) -> Result<Report, SnapshotError> {
        self.snapshot_with(source, None, &[], None).await
    }

    async fn snapshot_with(
        &self,
        source: &Arc<Memory>,
        account: Option<&str>,
        exclude: &[String],
        witness: Option<&Witness>,
    ) -> Result<Report, SnapshotError> {
        let source: Arc<dyn Source> = Arc::<Memory>::clone(source);
        let rules = Rules { exclude, ..Rules::default() };
        self.capture(source, (account, witness), rules, &FixedClock(NOW.parse().unwrap())).await
    }

    /// A snapshot of any source.
    pub async fn capture(
        &self,
        source: Arc<dyn Source>,
        (account, witness): (Option<&str>, Option<&Witness>),
        rules: Rules<'_>,
        clock: &dyn Clock,
    ) -> Result<Report, SnapshotError> {
        snapshot::run(&snapshot::Request {
            repository: &self.repository,
            source,
            account,
            trust: &self.trust,
            witness,
            signer: &self.signer,
            index_key: &self.index_key,
            rules,
            journal: None,
            scratch: None,
            drill: None,
            config: None,
            clock,
            progress: &Silent,
        })
        .await
    }

    async fn plan(&self, report: &Report, target: &Memory, options: &Options) -> Result<Plan, PlanError> {
        let opener = Opener::Recovery(&self.key);
        let chosen = chosen(&self.repository, &self.trust, &report.manifest).await;
        let records = self.repository.record_stream(&chosen, opener);
        let found = restore::look(target, &chosen, records, options, None).await.unwrap();
        restore::make(&chosen, &found, options)
    }

    /// The values of a snapshot, opened.
    pub async fn values(&self, report: &Report) -> Values<'_> {
        Values::new(&self.repository, &chosen(&self.repository, &self.trust, &report.manifest).await, &self.key)
    }

    async fn restore(&self, report: &Report, target: &Arc<Memory>) -> (Plan, Verification) {
        let plan = self.plan(report, target, &Options::default()).await.unwrap();
        let values = self.values(report).await;
        let (target, readback): (Arc<dyn Target>, Arc<dyn Source>) = (target.clone(), target.clone());
        let execution = restore::execute(&plan, &values, &target, &Silent).await.unwrap();
        assert_eq!(execution.failed, []);
        let verification = restore::verify(&plan, &values, &readback, &Silent).await.unwrap();
        (plan, verification)
    }
}

pub fn id(number: usize) -> String {
    format!("version-{number:032}")
}

pub fn secret(name: &str) -> Secret {
    let facets = Facets { description: Some(format!("about {name}")), ..Facets::default() };
    Secret { name: name.into(), facets, ..Secret::default() }
}

/// Current on an older version (a rollback), a previous, a custom label, two unlabelled, a binary that is valid text.
pub fn estate(place: &Memory) {
    let mut first = secret("app/database");
    first.facets.tags =
        vec![Tag { key: "team".into(), value: "core".into() }, Tag { key: "Team".into(), value: String::new() }];
    first.facets.policy = Some("{ \"Version\" :\"2012-10-17\",\n \"Statement\":[] }".into());
    place.insert(
        first,
        vec![
            HeldVersion::text(&id(1), &[], "one\r\n"),
            HeldVersion::text(&id(2), &["AWSCURRENT", "BLUE", "GREEN"], "zwei — \u{1f6a3}\0 "),
            HeldVersion::text(&id(3), &["AWSPREVIOUS"], "{\"a\":1,\"a\":2}"),
            HeldVersion::text(&id(4), &[], ""),
            HeldVersion {
                value: Some(SecretValue::bytes(b"{\"text\":1}".to_vec())),
                ..HeldVersion::text(&id(5), &["ROLL"], "")
            },
        ],
    );
    place.insert(secret("app/empty"), Vec::new());
    place.insert(secret("app/single"), vec![HeldVersion::text(&id(1), &["AWSCURRENT"], "same id, other secret")]);
    let mut going = secret("app/going");
    going.deleted = Some(NOW.parse().unwrap());
    place.insert(going, vec![HeldVersion::text(&id(9), &["AWSCURRENT"], "leaving")]);
}

#[tokio::test]
async fn everything_comes_back_in_another_region() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("111111111111", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    // What is scheduled for deletion was never captured before.
    let named: Vec<_> = report.unreadable.iter().map(|item| (item.name.as_str(), item.reason.as_str())).collect();
    assert_eq!(named, [("app/going", "ScheduledForDeletion")]);
    let counts = report.manifest.manifest().counts;
    assert_eq!((counts.listed, counts.captured, counts.versions, counts.values_read), (4, 3, 7, 6));

    let target = Arc::new(Memory::new("111111111111", "eu-west-1"));
    let (plan, verification) = world.restore(&report, &target).await;
    assert!(verification.passed(), "{:?}", verification.differences);
    assert_eq!((verification.secrets, verification.values, verification.policies), (3, 6, 1));
    assert!(plan.secrets.to_vec().unwrap().iter().any(|secret| secret.desired.name == "app/going"
        && matches!(&secret.outcome, Outcome::LeftOut(reason) if reason.contains("deletion"))));
    assert_eq!(target.labels("app/database", &id(2)).unwrap(), ["AWSCURRENT", "BLUE", "GREEN"]);
    assert_eq!(target.labels("app/database", &id(1)).unwrap(), Vec::<String>::new());
    assert!(target.holds("app/database", &id(5), &SecretValue::bytes(b"{\"text\":1}".to_vec())));
}

#[tokio::test]
async fn a_second_restore_finds_everything_there_and_writes_nothing() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let target = Arc::new(Memory::new("1", "eu-west-1"));
    world.restore(&report, &target).await;
    let (plan, verification) = world.restore(&report, &target).await;
    assert!(verification.passed());
    for secret in plan.secrets.to_vec().unwrap().iter().filter(|secret| secret.is_verified()) {
        assert_eq!(secret.outcome, Outcome::Present, "{}", secret.desired.name);
        assert!(secret.first.is_empty() && secret.then.is_empty());
    }
}

#[tokio::test]
async fn a_restore_cut_off_after_any_call_is_finished_by_the_next_one() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let mut cut_off = 0;
    for calls in 0..40 {
        let target = Arc::new(Memory::new("1", "eu-west-1"));
        let plan = world.plan(&report, &target, &Options::default()).await.unwrap();
        let values = world.values(&report).await;
        target.fail_after(calls);
        cut_off +=
            usize::from(restore::execute(&plan, &values, &(target.clone() as Arc<dyn Target>), &Silent).await.is_err());
        target.heal();
        let (_, verification) = world.restore(&report, &target).await;
        assert!(verification.passed(), "after {calls} calls: {:?}", verification.differences);
    }
    assert!(cut_off > 5, "the faults never struck");
}

#[tokio::test]
async fn one_wrong_byte_label_tag_or_version_is_found() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let spoil: [(&str, &dyn Fn(&Memory)); 6] = [
        ("value", &|target| {
            target.insert(
                secret("app/single"),
                vec![HeldVersion::text(&id(1), &["AWSCURRENT"], "same id, other secre.")],
            );
        }),
        ("labels", &|target| {
            let value = "same id, other secret";
            target.insert(secret("app/single"), vec![HeldVersion::text(&id(1), &["AWSCURRENT", "EXTRA"], value)]);
        }),
        ("extra", &|target| {
            let versions = vec![
                HeldVersion::text(&id(1), &["AWSCURRENT"], "same id, other secret"),
                HeldVersion::text(&id(2), &[], "more"),
            ];
            target.insert(secret("app/single"), versions);
        }),
        ("tags", &|target| target.edit("app/database", |secret| secret.facets.tags[1].value = "x".into())),
        ("policy", &|target| target.edit("app/database", |secret| secret.facets.policy = Some("{}".into()))),
        ("missing", &|target| target.remove("app/empty")),
    ];
    for (what, spoil) in spoil {
        let target = Arc::new(Memory::new("1", "eu-west-1"));
        let (plan, verification) = world.restore(&report, &target).await;
        assert!(verification.passed());
        spoil(&target);
        let values = world.values(&report).await;
        let verification =
            restore::verify(&plan, &values, &(target.clone() as Arc<dyn Source>), &Silent).await.unwrap();
        let found: Vec<_> = verification.differences.iter().map(|difference| difference.what).collect();
        assert_eq!(found, [what]);
        assert!(!verification.passed());
    }
}

#[tokio::test]
async fn the_next_snapshot_reads_only_what_changed() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    world.snapshot(&source).await.unwrap();
    let versions = vec![
        HeldVersion::text(&id(1), &["AWSPREVIOUS"], "same id, other secret"),
        HeldVersion::text(&id(2), &["AWSCURRENT"], "rotated"),
    ];
    source.insert(secret("app/single"), versions);
    source.edit("app/database", |secret| secret.deleted = Some(NOW.parse().unwrap()));
    let report = world.snapshot(&source).await.unwrap();
    let counts = report.manifest.manifest().counts;
    assert_eq!((counts.values_read, counts.values_carried), (1, 6));
    assert_eq!(report.manifest.manifest().sequence, 2);
    let opener = Opener::Index(&world.index_key);
    let records = world
        .repository
        .records(&chosen(&world.repository, &world.trust, &report.manifest).await, opener)
        .await
        .unwrap();
    let database = records.iter().find(|record| record.secret.name == "app/database").unwrap();
    assert!(
        database.versions.iter().all(|version| matches!(version.value, ValueState::Stored { .. })),
        "values of a secret that is now scheduled for deletion are carried forward"
    );
}

#[tokio::test]
async fn what_is_denied_is_named_and_the_rest_is_captured() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    source.refuse("app/single", "GetSecretValue", "AccessDeniedException");
    let report = world.snapshot(&source).await.unwrap();
    let named: Vec<_> = report.unreadable.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(named, ["app/going", "app/single"]);
    let manifest = report.manifest.manifest();
    assert_eq!((manifest.counts.captured, manifest.counts.unreadable), (2, 2));
    assert!(manifest.unreadable.iter().any(|count| count.reason == "AccessDeniedException" && count.count == 1));
    assert!(!serde_json::to_string(manifest).unwrap().contains("app/single"), "a manifest names no secret");
    let target = Arc::new(Memory::new("1", "eu-west-1"));
    let plan = world.plan(&report, &target, &Options::default()).await.unwrap();
    assert!(!plan.summary().unwrap().complete);
}

#[tokio::test]
async fn conflicts_and_the_source_itself_are_not_written_to() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let same = world.plan(&report, &source, &Options::default()).await;
    assert!(matches!(same, Err(PlanError::TargetIsSource(_))));

    let target = Arc::new(Memory::new("1", "eu-west-1"));
    target.insert(secret("app/single"), vec![HeldVersion::text(&id(7), &["AWSCURRENT"], "someone else's")]);
    let mut scheduled = secret("app/empty");
    scheduled.deleted = Some(NOW.parse().unwrap());
    target.insert(scheduled, Vec::new());
    let plan = world.plan(&report, &target, &Options::default()).await.unwrap();
    let secrets = plan.secrets.to_vec().unwrap();
    let conflicts = secrets.iter().filter(|secret| matches!(secret.outcome, Outcome::Conflict(_)));
    assert_eq!(conflicts.clone().count(), 2);
    assert!(conflicts.clone().all(|secret| secret.first.is_empty() && secret.then.is_empty()));

    let nothing = Options { names: vec!["nobody/*".into()], ..Options::default() };
    assert!(matches!(world.plan(&report, &target, &nothing).await, Err(PlanError::NothingMatches(_))));
}

#[tokio::test]
async fn a_plan_is_for_its_target_only() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    let report = world.snapshot(&source).await.unwrap();
    let target = Arc::new(Memory::new("1", "eu-west-1"));
    let plan = world.plan(&report, &target, &Options::default()).await.unwrap();
    let other = Arc::new(Memory::new("2", "eu-west-1"));
    let values = world.values(&report).await;
    assert!(restore::execute(&plan, &values, &(other.clone() as Arc<dyn Target>), &Silent).await.is_err());
    assert!(other.names().is_empty());
}

#[tokio::test]
async fn a_snapshot_refuses_the_wrong_account_a_foreign_signer_and_a_rolled_back_repository() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    let wrong = world.snapshot_with(&source, Some("2"), &[], None).await;
    assert!(matches!(wrong, Err(SnapshotError::WrongAccount { .. })));

    let witness = Witness { sequence: 4, manifest: lifeboat::model::Digest::of(b"gone") };
    let rolled_back = world.snapshot_with(&source, None, &[], Some(&witness)).await;
    let Err(SnapshotError::Choice(refusal)) = rolled_back else { panic!("not refused") };
    let detail = refusal.to_string();
    assert!(detail.contains("rolled back: nothing is left, number 4 is known to this host"), "{detail}");

    let stranger = World { signer: Signer::generate(), ..world };
    assert!(matches!(stranger.snapshot(&source).await, Err(SnapshotError::NotASigner(1))));
}

#[tokio::test]
async fn rules_leave_out_and_are_counted() {
    let world = World::new().await;
    let source = Arc::new(Memory::new("1", "eu-central-1"));
    estate(&source);
    source.edit("app/single", |secret| secret.facets.primary_region = Some("us-east-1".into()));
    let report = world.snapshot_with(&source, None, &["app/e*".into()], None).await.unwrap();
    let manifest = report.manifest.manifest();
    assert_eq!((manifest.counts.listed, manifest.counts.excluded, manifest.counts.captured), (4, 2, 1));
    let rules: Vec<_> = manifest.excluded.iter().map(|excluded| excluded.rule.as_str()).collect();
    assert_eq!(rules, ["app/e*", "replica of another region"]);
}

/// A random secret: up to 12 versions, labels on distinct versions, any bytes.
fn any_secret() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<bool>, usize, Vec<Option<usize>>, Option<String>)> {
    (1_usize..12).prop_flat_map(|versions| {
        (
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), versions),
            prop::collection::vec(any::<bool>(), versions),
            0..versions,
            prop::collection::vec(prop::option::of(0..versions), 0..18),
            prop::option::of("[ -~]{1,30}"),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_estate_comes_back_equal(secrets in prop::collection::vec(any_secret(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let passed = runtime.block_on(async {
            let world = World::new().await;
            let source = Arc::new(Memory::new("1", "eu-central-1"));
            for (number, (values, binary, current, labels, policy)) in secrets.into_iter().enumerate() {
                let mut stages = vec![Vec::new(); values.len()];
                stages[current].push("AWSCURRENT".to_owned());
                for (label, holder) in labels.into_iter().enumerate() {
                    if let Some(holder) = holder {
                        let name = if label == 0 && holder != current { "AWSPREVIOUS".into() } else { format!("L{label}") };
                        stages[holder].push(name);
                    }
                }
                let versions = values.into_iter().zip(binary).zip(stages).enumerate().map(|(version, ((bytes, binary), stages))| {
                    let value = if binary { SecretValue::bytes(bytes) } else { SecretValue::text(String::from_utf8_lossy(&bytes).into_owned()) };
                    HeldVersion { id: id(version), labels: stages, created: None, value: Some(value) }
                });
                let mut described = secret(&format!("any/{number}"));
                described.facets.policy = policy;
                source.insert(described, versions.collect());
            }
            let report = world.snapshot(&source).await.unwrap();
            let target = Arc::new(Memory::new("1", "eu-west-1"));
            let (_, verification) = world.restore(&report, &target).await;
            verification.differences
        });
        prop_assert_eq!(passed, []);
    }
}
