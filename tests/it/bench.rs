//! A source, a backup and a target, with the real provider in between: against the embedded sandbox or against moto.
//!
//! Whatever a test does on a sandbox, its diary is read at the end: nothing was rotated at once, nothing was destroyed
//! without a test saying so, and nothing was written to the place the secrets came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use lifeboat::{
    clock::FixedClock,
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    emulator::{Control, Sandbox, SandboxOptions, WriteCall},
    model::{Record, RepositoryId},
    progress::Silent,
    provider::{
        Source, Target,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
    repo::{AllowedSigner, Epoch, Repository, Trust, TrustAnchor, VerifiedManifest},
    restore::{self, Execution, Options, Outcome, Plan, PlanError, SecretPlan, Values, Verification},
    snapshot::{self, Report, Rules},
    storage::Storage,
};
use serde_json::Value as Json;

use crate::repo_sample::chosen;
use crate::servers::Moto;

/// The account the secrets live in.
pub const ACCOUNT: &str = "111111111111";
/// Another one.
pub const OTHER: &str = "222222222222";
/// Where the secrets live.
pub const SOURCE: &str = "eu-central-1";
/// Where they are restored.
pub const TARGET: &str = "eu-west-1";
/// The recovery point.
pub const NOW: &str = "2026-11-24T06:00:00Z";

static MOTO: Mutex<Weak<Moto>> = Mutex::new(Weak::new());

/// One of these and everything around it.
pub struct Bench {
    endpoint: String,
    sandbox: Option<Sandbox>,
    _moto: Option<Arc<Moto>>,
    account: String,
    repository: Repository,
    trust: Trust,
    key: RecoveryKey,
    signer: Signer,
    index_key: IndexKey,
    /// Writes in the diary when the first snapshot was taken.
    seeded: Option<usize>,
    may: May,
}

/// What a test says may be in the diary.
#[derive(Clone, Copy, Default)]
struct May {
    destroy: bool,
    write_to_source: bool,
}

/// A restore that was carried out.
pub struct Restored {
    pub plan: Plan,
    pub execution: Execution,
    pub verification: Verification,
}

impl Restored {
    /// Everything asked for is there and equal.
    pub fn expect_complete(self) -> Self {
        assert_eq!(self.execution.failed, []);
        assert!(self.verification.passed(), "{:#?}", self.verification.differences);
        assert!(self.plan.summary().unwrap().complete, "{:#?}", self.plan.secrets);
        self
    }
}

impl Bench {
    /// In front of the embedded sandbox.
    pub async fn new() -> Self {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        Self::on(sandbox.endpoint(), Some(sandbox), None, ACCOUNT.into()).await
    }

    /// In front of moto, in an account of its own; tests that run at the same time share the server.
    pub async fn moto() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let moto = {
            let mut shared = MOTO.lock().unwrap_or_else(PoisonError::into_inner);
            let running = shared.upgrade().unwrap_or_else(|| Arc::new(Moto::start()));
            *shared = Arc::downgrade(&running);
            running
        };
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self::on(moto.endpoint.clone(), None, Some(moto), format!("{:012}", 300_000_000_000_u64 + u64::from(number)))
            .await
    }

    async fn on(endpoint: String, sandbox: Option<Sandbox>, moto: Option<Arc<Moto>>, account: String) -> Self {
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
        let index_key = IndexKey::generate();
        let may = May::default();
        Self { endpoint, sandbox, _moto: moto, account, repository, trust, key, signer, index_key, seeded: None, may }
    }

    /// The switches of the sandbox.
    pub fn control(&self) -> Control {
        self.sandbox.as_ref().expect("a sandbox").control()
    }

    /// Says that this test destroys on purpose.
    pub fn may_destroy(&mut self) {
        self.may.destroy = true;
    }

    /// Says that this test restores to the place the secrets came from on purpose.
    pub fn may_write_to_source(&mut self) {
        self.may.write_to_source = true;
    }

    /// Puts a secret into the source as it is (sandbox only).
    pub fn seed(&self, secret: &Json) -> String {
        self.control().seed_raw(&self.account, SOURCE, secret).unwrap()
    }

    /// Puts a secret into the target as it is (sandbox only).
    pub fn seed_target(&self, secret: &Json) -> String {
        self.control().seed_raw(&self.account, TARGET, secret).unwrap()
    }

    /// A client nobody here wrote, to seed and to look.
    pub async fn client(&self, region: &'static str) -> Client {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(&self.endpoint)
            .credentials_provider(self.credentials().await);
        Client::from_conf(config.build())
    }

    async fn credentials(&self) -> Credentials {
        if self.sandbox.is_some() {
            return Credentials::new(&self.account, "x", None, None, "test");
        }
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(SOURCE))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new("AKIDEXAMPLE", "x", None, None, "test"));
        let role = format!("arn:aws:iam::{}:role/test", self.account);
        let assume = aws_sdk_sts::Client::from_conf(config.build()).assume_role().role_arn(role);
        let answer = assume.role_session_name("test").send().await.unwrap();
        let given = answer.credentials().unwrap();
        Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            None,
            "test",
        )
    }

    /// The real provider.
    pub async fn provider(&self, region: &str) -> Aws {
        self.provider_of(&self.account, region).await
    }

    /// The real provider in an account.
    pub async fn provider_of(&self, account: &str, region: &str) -> Aws {
        let (access_key, role) = match &self.sandbox {
            Some(_) => (account.to_owned(), None),
            None => ("AKIDEXAMPLE".to_owned(), Some(format!("arn:aws:iam::{account}:role/test"))),
        };
        let settings = AwsSettings {
            endpoint: Some(self.endpoint.clone()),
            credentials: Some(StaticCredentials { access_key, secret_key: "x".to_owned().into() }),
            role,
            ..AwsSettings::region(region)
        };
        Aws::connect(settings).await.unwrap()
    }

    /// Takes a snapshot; from here on nothing may be written to the source.
    pub async fn snapshot(&mut self) -> Report {
        let source: Arc<dyn Source> = Arc::new(self.provider(SOURCE).await);
        let report = snapshot::run(&snapshot::Request {
            repository: &self.repository,
            source,
            account: None,
            trust: &self.trust,
            witness: None,
            signer: &self.signer,
            index_key: &self.index_key,
            rules: Rules::default(),
            journal: None,
            scratch: None,
            drill: None,
            config: None,
            clock: &FixedClock(NOW.parse().unwrap()),
            progress: &Silent,
        })
        .await
        .unwrap();
        self.seeded = self.sandbox.as_ref().map(|sandbox| sandbox.control().writes().len());
        report
    }

    /// The records of a snapshot.
    pub async fn records(&self, manifest: &VerifiedManifest) -> Vec<Record> {
        self.repository
            .records(&chosen(&self.repository, &self.trust, manifest).await, Opener::Recovery(&self.key))
            .await
            .unwrap()
    }

    /// The plan for a target.
    pub async fn plan_for(&self, report: &Report, target: &Aws, options: &Options) -> Result<Plan, PlanError> {
        let chosen = chosen(&self.repository, &self.trust, &report.manifest).await;
        let records = self.repository.record_stream(&chosen, Opener::Recovery(&self.key));
        let found = restore::look(target, &chosen, records, options, None).await.unwrap();
        restore::make(&chosen, &found, options)
    }

    /// The plan for the target region of the same account.
    pub async fn plan(&self, report: &Report, options: &Options) -> Plan {
        self.plan_for(report, &self.provider(TARGET).await, options).await.unwrap()
    }

    /// The values, opened.
    pub async fn values(&self) -> Values<'_> {
        let judgement = self.repository.judge(&self.trust, &[]).await.unwrap();
        Values::new(&self.repository, &judgement.newest(None).unwrap(), &self.key)
    }

    /// Plans, executes and verifies into a target.
    pub async fn restore_to(&self, report: &Report, target: &Aws, options: &Options) -> Restored {
        let plan = self.plan_for(report, target, options).await.unwrap();
        let values = self.values().await;
        let (target, readback): (Arc<dyn Target>, Arc<dyn Source>) =
            (Arc::new(target.clone()), Arc::new(target.clone()));
        let execution = restore::execute(&plan, &values, &target, &Silent).await.unwrap();
        let verification = restore::verify(&plan, &values, &readback, &Silent).await.unwrap();
        Restored { plan, execution, verification }
    }

    /// Plans, executes and verifies into the target region of the same account.
    pub async fn restore(&self, report: &Report, options: &Options) -> Restored {
        self.restore_to(report, &self.provider(TARGET).await, options).await
    }

    /// Snapshot, restore, everything equal.
    pub async fn round_trip(&mut self) -> Restored {
        let report = self.snapshot().await;
        assert_eq!(report.unreadable, []);
        self.restore(&report, &Options::default()).await.expect_complete()
    }

    /// What the diary holds that no test may cause.
    pub fn violations(&self) -> Vec<WriteCall> {
        let Some(sandbox) = &self.sandbox else { return Vec::new() };
        let after = sandbox.control().writes().into_iter().skip(self.seeded.unwrap_or_default());
        after
            .filter(|call| {
                let to_source = call.account == self.account && call.region == SOURCE && self.seeded.is_some();
                call.rotates_at_once || (call.by_force && !self.may.destroy) || (to_source && !self.may.write_to_source)
            })
            .collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.violations(), [], "the diary of the sandbox holds what must never be sent");
        }
    }
}

/// The plan of one secret.
pub fn planned(plan: &Plan, name: &str) -> SecretPlan {
    let mut secrets = plan.secrets.walk().unwrap().map(Result::unwrap);
    secrets.find(|secret| secret.desired.name == name).unwrap_or_else(|| panic!("{name} is in the plan"))
}

/// What the provider calls a secret now.
pub fn new_arn(verification: &Verification, old: &str) -> String {
    let mut arns = verification.moved.walk().unwrap().map(Result::unwrap);
    arns.find(|arn| arn.old == old).unwrap_or_else(|| panic!("{old} was verified")).new
}

/// The reason of an outcome that has one.
pub fn reason(secret: &SecretPlan) -> &str {
    match &secret.outcome {
        Outcome::Conflict(reason) | Outcome::LeftOut(reason) | Outcome::Impossible(reason) => reason,
        other => panic!("{}: {other:?}", secret.desired.name),
    }
}

/// The version ids of a live secret and their labels, unlabelled ones included.
pub async fn labels(client: &Client, name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let answer = client.list_secret_version_ids().secret_id(name).include_deprecated(true).send().await.unwrap();
    let versions = answer
        .versions()
        .iter()
        .map(|version| (version.version_id().unwrap().to_owned(), version.version_stages().iter().cloned().collect()));
    versions.collect()
}

/// A version id that is no UUID.
pub fn id(number: usize) -> String {
    format!("terraform-{number:0>40}")
}
