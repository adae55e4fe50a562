//! The repository, its hosts, its sources and its copy, and what the model in memory says of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::FixedClock,
    crypto::{IndexKey, Namespace, Opener, RecoveryKey, Signer},
    model::{Digest, Place, PlaceFilter, Secret, ValueState},
    progress::Silent,
    provider::{
        Source,
        memory::{HeldVersion, Memory},
    },
    repo::{
        AllowedSigner, CheckDepth, Chosen, ClosingList, Epoch, Fault, FaultKind, ForgetError, Judgement, NoChoice,
        PreviousEpoch, Remembered, RepoError, Repository, Retention, SignedEpoch, Sweep, Trust, TrustAnchor, Witness,
        copy_with, plan,
    },
    restore::{ValueRef, Values},
    snapshot::{self, Report, Rules, SnapshotError},
    storage::{Storage, faults::Faults},
};

use crate::{
    model::{Cut, Op},
    repo_sample::epoch,
};

/// By name: the provider's identifier, and the values by version.
pub(crate) type Content = BTreeMap<String, (String, BTreeMap<String, String>)>;
pub(crate) type Files = BTreeMap<String, Bytes>;

const START: i64 = 2_200_000_000;
pub(crate) const OWN_WINDOW: i64 = 1;

pub(crate) struct Host {
    pub(crate) signer: Signer,
    pub(crate) index: IndexKey,
    pub(crate) witness: Option<Witness>,
    /// Only the first one remembers the history.
    pub(crate) memory: Option<std::path::PathBuf>,
    pub(crate) journal: std::path::PathBuf,
}

pub(crate) struct Estate {
    pub(crate) provider: Arc<Memory>,
    pub(crate) place: Place,
    /// What is there: identifier, versions with values, the oldest first.
    pub(crate) secrets: BTreeMap<String, (String, Vec<(String, String)>)>,
}

/// A run that was begun, whether or not it says that it succeeded.
pub(crate) struct Attempt {
    signer: usize,
    place: Place,
    time: Timestamp,
    content: Content,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    pub(crate) id: String,
    pub(crate) file: String,
    pub(crate) place: Place,
    pub(crate) time: Timestamp,
    pub(crate) epoch: usize,
    pub(crate) is_gone: bool,
    pub(crate) content: Content,
}

pub(crate) struct Order {
    pub(crate) digest: Digest,
    pub(crate) name: String,
    pub(crate) by: usize,
    pub(crate) numbers: BTreeSet<u64>,
    pub(crate) keep: u32,
    pub(crate) time: Timestamp,
    pub(crate) after: Timestamp,
    pub(crate) undone: bool,
    pub(crate) lapsed: bool,
}

pub struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) now: Timestamp,
    pub(crate) storage: Storage,
    pub(crate) far: Storage,
    /// The head up to which a run brought the copy, and what the copy has.
    pub(crate) far_head: Option<Witness>,
    pub(crate) far_here: BTreeSet<u64>,
    pub(crate) far_was_cut: bool,
    pub(crate) hosts: [Host; 2],
    pub(crate) estates: [Estate; 2],
    /// By epoch.
    pub(crate) keys: Vec<Arc<RecoveryKey>>,
    pub(crate) signers: BTreeSet<usize>,
    pub(crate) trusts: Vec<(Trust, BTreeSet<usize>)>,
    pub(crate) begun: Option<(Trust, Judgement)>,
    pub(crate) counter: u64,
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) orders: Vec<Order>,
    /// What this step may remove, and must.
    pub(crate) may_go: BTreeSet<u64>,
    pub(crate) must_go: BTreeSet<u64>,
    pub(crate) saves: Vec<Files>,
    pub(crate) last_removed: u64,
    pub(crate) last_head: u64,
    /// How often what was asked for happened.
    pub tally: BTreeMap<&'static str, u64>,
}

pub(crate) async fn files(storage: &Storage) -> Files {
    let mut files = Files::new();
    for entry in storage.list("").await.unwrap() {
        files.insert(entry.name.clone(), storage.get(&entry.name).await.unwrap());
    }
    files
}

pub(crate) async fn stored(files: &Files) -> Storage {
    let storage = Storage::memory();
    for (name, bytes) in files {
        storage.put_new(name, bytes.clone()).await.unwrap();
    }
    storage
}

pub(crate) fn severe(faults: &[Fault]) -> Vec<&Fault> {
    faults.iter().filter(|fault| fault.severity().is_some()).collect()
}

pub(crate) fn filter(place: &Place) -> PlaceFilter {
    PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) }
}

pub(crate) fn anchor(key: &RecoveryKey) -> TrustAnchor {
    TrustAnchor { root: key.root_signer().public(), recipient: key.recipient() }
}

pub(crate) fn keep_last(keep_last: u32) -> Retention {
    Retention { keep_last, ..Retention::default() }
}

pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

impl Estate {
    fn new(region: &str) -> Self {
        let provider = Memory::new("111111111111", region);
        let place = Place { provider: "aws".into(), account: "111111111111".into(), region: region.into() };
        Self { provider: Arc::new(provider), place, secrets: BTreeMap::new() }
    }

    /// Puts the model's secret into the provider: the last version is the current one.
    fn show(&self, name: &str) {
        let Some((id, versions)) = self.secrets.get(name) else { return self.provider.remove(name) };
        let last = versions.len() - 1;
        let held = versions.iter().enumerate().map(|(at, (id, value))| {
            let label: &[&str] = match last - at {
                0 => &["AWSCURRENT"],
                1 => &["AWSPREVIOUS"],
                _ => &[],
            };
            HeldVersion::text(id, label, value)
        });
        let secret = Secret { name: name.into(), id: id.clone(), ..Secret::default() };
        self.provider.insert(secret, held.collect());
    }

    fn content(&self) -> Content {
        let bare = |(name, (id, versions)): (&String, &(String, Vec<(String, String)>))| {
            (name.clone(), (id.clone(), versions.iter().cloned().collect()))
        };
        self.secrets.iter().map(bare).collect()
    }
}

impl World {
    pub async fn new() -> Self {
        // Where syncing costs nothing, if there is such a place.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let host = |at: usize| Host {
            signer: Signer::generate(),
            index: IndexKey::generate(),
            witness: None,
            memory: (at == 0).then(|| folder.path().join("history")),
            journal: folder.path().join(format!("journal-{at}")),
        };
        let hosts = [host(0), host(1)];
        let (key, storage) = (Arc::new(RecoveryKey::generate()), Storage::memory());
        let now = Timestamp::from_second(START).unwrap();
        let first = Epoch { created: now, ..epoch(&key, &hosts[0].signer) };
        Repository::create(storage.clone(), &first, &key.root_signer()).await.unwrap();
        let mut world = Self {
            folder,
            now,
            storage,
            far: Storage::memory(),
            far_head: None,
            far_here: BTreeSet::new(),
            far_was_cut: false,
            hosts,
            estates: [Estate::new("eu-central-1"), Estate::new("us-east-1")],
            keys: vec![key],
            signers: [0].into(),
            trusts: Vec::new(),
            begun: None,
            counter: 0,
            entries: BTreeMap::new(),
            attempts: Vec::new(),
            orders: Vec::new(),
            may_go: BTreeSet::new(),
            must_go: BTreeSet::new(),
            saves: Vec::new(),
            last_head: 0,
            last_removed: 0,
            tally: BTreeMap::new(),
        };
        let trust = world.trust(&world.storage).await.unwrap();
        world.trusts.push((trust, world.signers.clone()));
        for (source, secret) in [(0, 0), (1, 1), (0, 2)] {
            world.put(source, secret);
            let first = Op::Snapshot { host: 0, source, cut: None };
            world.step(&first).await;
            world.check(&first).await;
        }
        (world.tally, world.last_removed) = Default::default();
        world
    }

    pub(crate) fn key(&self) -> &Arc<RecoveryKey> {
        self.keys.last().unwrap()
    }

    pub(crate) async fn repository(&self, storage: &Storage) -> Repository {
        Repository::open(storage.clone()).await.unwrap()
    }

    pub(crate) async fn trust(&self, storage: &Storage) -> Result<Trust, RepoError> {
        self.repository(storage).await.trust(&anchor(self.key())).await
    }

    pub(crate) fn here(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().filter(|(_, entry)| !entry.is_gone).map(|(number, entry)| (*number, entry))
    }

    pub(crate) fn head(&self) -> Option<(u64, &Entry)> {
        self.here().last()
    }

    pub(crate) fn newest(&self, place: &Place) -> Option<(u64, &Entry)> {
        self.here().filter(|(_, entry)| entry.place == *place).last()
    }

    pub(crate) fn in_force(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| !order.undone && !order.lapsed)
    }

    pub(crate) fn remembered(&self) -> Vec<Remembered> {
        let Some((sequence, entry)) = self.head() else { return Vec::new() };
        let head = Witness { sequence, manifest: entry.digest };
        vec![Remembered { by: "the model".into(), head, holds: false, outside: true }]
    }

    fn put(&mut self, source: usize, secret: u8) {
        self.counter += 1;
        let (number, name) = (self.counter, format!("app/{secret}"));
        let estate = &mut self.estates[source];
        let fresh = || (format!("id-{number}"), Vec::new());
        let (_, versions) = estate.secrets.entry(name.clone()).or_insert_with(fresh);
        versions.push((format!("v{}", versions.len()), format!("value {number} of {name}")));
        estate.show(&name);
    }

    pub(crate) fn note(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub async fn step(&mut self, op: &Op) {
        self.now += SignedDuration::from_secs(1);
        (self.may_go, self.must_go) = Default::default();
        match *op {
            Op::Put { source, secret } => self.put(source, secret),
            Op::Vanish { source, secret, again } => {
                let name = format!("app/{secret}");
                self.estates[source].secrets.remove(&name);
                self.estates[source].show(&name);
                if again {
                    self.put(source, secret);
                }
            }
            Op::Snapshot { host, source, cut } => self.snapshot(host, source, cut).await,
            Op::Begin => {
                let trust = self.trust(&self.storage).await.unwrap();
                let judgement = self.repository(&self.storage).await.judge(&trust, &[]).await.unwrap();
                self.begun = Some((trust, judgement));
            }
            Op::Finish { host, source } => self.finish(host, source).await,
            Op::Copy { host, whole, cut } => self.copy(host, whole, cut).await,
            Op::Forget { host, keep, days, cut } => self.forget(host, keep, days, cut).await,
            Op::Undo { host, cut } => self.undo(host, cut).await,
            Op::Sweep { host, keep, cut } => self.sweep(host, keep, cut).await,
            Op::Reshare => self.succeed(Arc::clone(self.key()), self.signers.clone()).await,
            Op::AddSigner => self.succeed(Arc::clone(self.key()), [0, 1].into()).await,
            Op::RemoveSigner { which } => {
                let signers: BTreeSet<usize> = self.signers.iter().copied().filter(|at| *at != which).collect();
                if !signers.is_empty() {
                    self.succeed(Arc::clone(self.key()), signers).await;
                }
            }
            Op::Rotate => {
                let old = Arc::clone(self.key());
                self.succeed(Arc::new(RecoveryKey::generate()), self.signers.clone()).await;
                let before = self.repository(&self.storage).await.trust(&anchor(&old)).await.unwrap();
                assert_eq!(before.superseded(), Some(u32::try_from(self.keys.len()).unwrap()));
                let judgement = self.repository(&self.storage).await.judge(&before, &[]).await.unwrap();
                assert!(matches!(judgement.for_appending().err(), Some(NoChoice::Superseded { .. })));
            }
            Op::Clock { hours } => self.now += SignedDuration::from_hours(hours),
            Op::Tamper { harm, pick } => self.tamper(harm, pick).await,
            Op::Junk { kind } => self.junk(kind).await,
            Op::Thief { kind } => self.thief(kind).await,
            Op::Restore { wanted, pick } => self.restore(wanted, pick).await,
        }
    }

    async fn take(
        &mut self,
        repository: &Repository,
        trust: &Trust,
        judgement: &Judgement,
        (host, source): (usize, usize),
    ) -> Result<Report, SnapshotError> {
        let estate = &self.estates[source];
        let provider: Arc<dyn Source> = Arc::<Memory>::clone(&estate.provider);
        let (place, content) = (estate.place.clone(), estate.content());
        self.attempts.push(Attempt { signer: host, place, time: self.now, content });
        let host = &self.hosts[host];
        let clock = FixedClock(self.now);
        let request = snapshot::Request {
            repository,
            source: provider,
            account: None,
            trust,
            witness: None,
            signer: &host.signer,
            index_key: &host.index,
            rules: Rules { sweep_days: 2, ..Rules::default() },
            journal: Some(&host.journal),
            scratch: None,
            drill: None,
            config: Some(b"[source]\n"),
            clock: &clock,
            progress: &Silent,
        };
        let appending = judgement.for_appending()?;
        snapshot::run_after(&request, &appending, &appending.tip()).await
    }

    /// The history as a host reads it before it writes.
    async fn judged_by(&self, host: usize, repository: Repository, trust: &Trust) -> Judgement {
        let own = self.hosts[host].witness.map(|head| Remembered {
            by: "this host".into(),
            head,
            holds: false,
            outside: true,
        });
        match &self.hosts[host].memory {
            Some(memory) => repository.remembering(memory.clone()).judge_recent(trust, own.as_slice()).await.unwrap(),
            None => repository.judge(trust, own.as_slice()).await.unwrap(),
        }
    }

    async fn snapshot(&mut self, host: usize, source: usize, cut: Option<Cut>) {
        let trust = self.trust(&self.storage).await.unwrap();
        let judgement = self.judged_by(host, self.repository(&self.storage).await, &trust).await;
        let storage = match cut {
            Some(cut) => self.storage.with_faults(Arc::new(cut.faults())),
            None => self.storage.clone(),
        };
        let outcome = self.take(&self.repository(&storage).await, &trust, &judgement, (host, source)).await;
        match outcome {
            Ok(report) => {
                assert!(self.signers.contains(&host), "a removed signer took a snapshot");
                assert_eq!(report.unreadable, []);
                self.hosts[host].witness = Some(report.manifest.witness());
                self.note("snapshots");
            }
            Err(SnapshotError::NotASigner(_)) if !self.signers.contains(&host) => {}
            Err(SnapshotError::Repository(RepoError::Storage(_))) if cut.is_some() => self.note("snapshots cut off"),
            Err(error) => panic!("a snapshot failed: {error}"),
        }
    }

    /// A run that judged the history at an earlier step.
    async fn finish(&mut self, host: usize, source: usize) {
        let Some((trust, judgement)) = self.begun.take() else { return };
        let is_old = trust.current().number as usize != self.keys.len();
        let repository = self.repository(&self.storage).await;
        match self.take(&repository, &trust, &judgement, (host, source)).await {
            Ok(report) => {
                assert!(!is_old, "a snapshot in flight over a change of the key was written");
                self.hosts[host].witness = Some(report.manifest.witness());
                self.note("long runs");
            }
            Err(SnapshotError::NotASigner(_)) => assert!(is_old || !self.signers.contains(&host)),
            Err(SnapshotError::Gone(_)) => assert!(self.entries.values().any(|entry| entry.is_gone)),
            Err(SnapshotError::Repository(RepoError::Untrusted { .. })) if is_old => self.note("long runs refused"),
            Err(error) => panic!("a run that took long failed: {error}"),
        }
    }

    async fn copy(&mut self, host: usize, whole: bool, cut: Option<Cut>) {
        let trust = self.trust(&self.storage).await.unwrap();
        let repository = self.repository(&self.storage).await;
        let judgement = if whole {
            repository.judge(&trust, &[]).await.unwrap()
        } else {
            self.judged_by(host, repository.clone(), &trust).await
        };
        judgement.for_copying().unwrap();
        let far = match cut {
            Some(cut) => self.far.with_faults(Arc::new(cut.faults())),
            None => self.far.clone(),
        };
        let held = self.far_head.filter(|_| !whole);
        match copy_with(&repository, &trust, &judgement, &far, (held, &Silent)).await {
            Ok(_) => {
                self.far_was_cut = false;
                self.note("copies");
                self.far_head = judgement.chain().witness();
                let there = self.repository(&self.far).await;
                let judged = there.judge(&self.trust(&self.far).await.unwrap(), &self.remembered()).await.unwrap();
                assert!(severe(judged.faults()).is_empty(), "the copy: {:?}", judged.faults());
                assert_eq!(judged.chain().witness(), judgement.chain().witness(), "the head of the copy");
                let numbers = self.numbers_of(&judged);
                let lacking: Vec<u64> =
                    self.here().map(|(number, _)| number).filter(|n| !numbers.contains(n)).collect();
                assert!(lacking.is_empty(), "the copy lacks {lacking:?} after a copy");
                self.far_here = numbers;
                let names: Vec<String> = self.far.list("").await.unwrap().into_iter().map(|entry| entry.name).collect();
                assert!(names.iter().all(|name| !name.contains("junk") && !name.starts_with("turns")), "{names:?}");
            }
            Err(RepoError::Storage(_)) if cut.is_some() => {
                self.far_was_cut = true;
                self.note("copies cut off");
            }
            Err(error) => panic!("a copy failed: {error}"),
        }
    }

    /// The numbers of a judged history, all of which the model must know.
    pub(crate) fn numbers_of(&self, judged: &Judgement) -> BTreeSet<u64> {
        let of = |found: &lifeboat::repo::VerifiedManifest| {
            let number = found.manifest().sequence;
            let known = self.entries.get(&number).map(|entry| entry.digest);
            assert_eq!(known, Some(found.digest()), "number {number} is not the model's");
            number
        };
        judged.chain().manifests.iter().map(of).collect()
    }

    async fn forget(&mut self, host: usize, keep: u32, window: i64, cut: Option<Cut>) {
        let (trust, repository) = (self.trust(&self.storage).await.unwrap(), self.repository(&self.storage).await);
        let judgement = repository.judge(&trust, &[]).await.unwrap();
        let chain = judgement.sound().unwrap();
        let here: Vec<_> = chain.manifests.iter().filter(|found| chain.forgotten(found).is_none()).collect();
        let rules = keep_last(keep);
        let names: BTreeSet<String> = plan(&here, &rules, self.now).forgets().map(|fate| fate.name.clone()).collect();
        let numbers: BTreeSet<u64> =
            here.iter().filter(|found| names.contains(found.name())).map(|found| found.manifest().sequence).collect();
        for estate in &self.estates {
            let newest = self.newest(&estate.place).map(|(number, _)| number);
            assert!(newest.is_none_or(|newest| !numbers.contains(&newest)), "the newest of a source is planned to go");
        }
        if names.is_empty() {
            return;
        }
        let through = match cut {
            Some(cut) => Repository::open(self.storage.with_faults(Arc::new(cut.faults()))).await.unwrap(),
            None => repository,
        };
        let times = (self.now, self.now + days(window));
        let signer = &self.hosts[host].signer;
        let outcome = through.forget(&judgement, &trust, &names, times, Some(&rules), signer).await;
        let order = |digest, name| Order {
            digest,
            name,
            by: host,
            numbers,
            keep,
            time: times.0,
            after: times.1,
            undone: false,
            lapsed: false,
        };
        match outcome {
            Ok(made) => {
                assert!(self.signers.contains(&host));
                self.orders.push(order(made.digest, made.name));
                self.note("orders");
            }
            Err(ForgetError::NotASigner(_)) if !self.signers.contains(&host) => {}
            Err(ForgetError::Repository(RepoError::Storage(_))) if cut.is_some() => {
                let known: BTreeSet<Digest> = self.orders.iter().map(|order| order.digest).collect();
                let found = self.repository(&self.storage).await.forget_records(&trust).await.unwrap().in_force;
                if let Some(made) = found.into_iter().find(|each| !known.contains(&each.digest)) {
                    self.orders.push(order(made.digest, made.name));
                }
            }
            Err(error) => panic!("a forgetting failed: {error}"),
        }
    }

    async fn undo(&mut self, host: usize, cut: Option<Cut>) {
        let trust = self.trust(&self.storage).await.unwrap();
        let last = self.in_force().map(|order| (order.time, order.name.clone())).max();
        let storage = match cut {
            Some(cut) => self.storage.with_faults(Arc::new(cut.faults())),
            None => self.storage.clone(),
        };
        let repository = self.repository(&storage).await;
        let outcome = repository.undo_forget(&trust, "latest", self.now, &self.hosts[host].signer).await;
        let Some((_, name)) = last else {
            assert!(matches!(outcome, Err(ForgetError::NoRecord(_))));
            return;
        };
        let gone = |number: &u64| self.entries[number].is_gone;
        let is_gone = self.orders.iter().any(|order| order.name == name && order.numbers.iter().any(gone));
        match outcome {
            Ok(undone) => {
                assert!(undone.name == name && !is_gone && self.signers.contains(&host));
                self.orders.iter_mut().filter(|order| order.name == name).for_each(|order| order.undone = true);
                self.note("undone");
            }
            Err(ForgetError::Gone(_)) => assert!(is_gone, "an undo was refused inside its window"),
            Err(ForgetError::NotASigner(_)) => assert!(!self.signers.contains(&host)),
            Err(ForgetError::Repository(RepoError::Storage(_))) if cut.is_some() => {
                let found = self.repository(&self.storage).await.forget_records(&trust).await.unwrap().in_force;
                if found.iter().all(|each| each.name != name) {
                    self.orders.iter_mut().filter(|order| order.name == name).for_each(|order| order.undone = true);
                }
            }
            Err(error) => panic!("an undo failed: {error}"),
        }
    }

    /// What a sweep by a host may remove and, where it is the host's own order, must; of a history that ends at `head`.
    fn due(&self, host: usize, keep: u32, head: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut may, mut must) = (BTreeSet::new(), BTreeSet::new());
        let Some(head_time) = self.entries.get(&head).map(|entry| entry.time) else { return (may, must) };
        for order in self.in_force() {
            let is_own = order.by == host;
            let window = order.after.duration_since(order.time);
            let window = if is_own { window } else { window.max(days(OWN_WINDOW)) };
            if (order.time + window).max(order.after) > self.now || head_time < order.after || (!is_own && keep == 0) {
                continue;
            }
            let mut numbers = order.numbers.clone();
            numbers.remove(&head);
            if is_own {
                must.extend(numbers.iter().copied());
            } else {
                for estate in &self.estates {
                    let of: Vec<u64> = self
                        .here()
                        .filter(|(_, entry)| entry.place == estate.place)
                        .map(|(number, _)| number)
                        .collect();
                    let kept = keep.min(order.keep) as usize;
                    numbers.retain(|number| !of.iter().rev().take(kept).any(|kept| kept == number));
                }
            }
            may.extend(numbers);
        }
        (may, must)
    }

    async fn sweep(&mut self, host: usize, keep: u32, cut: Option<u64>) {
        let trust = self.trust(&self.storage).await.unwrap();
        let repository = self.repository(&self.storage).await;
        let judgement = repository.judge(&trust, &[]).await.unwrap();
        let Some((head, _)) = self.head() else { return };
        let (may, must) = self.due(host, keep, head);
        let unfinished = snapshot::packs_of_unfinished_runs(&self.hosts[host].journal).into_iter().collect();
        let seen: BTreeMap<Digest, Timestamp> = self.orders.iter().map(|order| (order.digest, order.time)).collect();
        let signer = self.hosts[host].signer.public();
        let orders = Sweep {
            now: self.now,
            rules: keep_last(keep),
            window: days(OWN_WINDOW),
            signer,
            seen: &seen,
            keep: &unfinished,
            but: None,
        };
        self.may_go = may;
        let through = match cut {
            Some(n) => Repository::open(self.storage.with_faults(Arc::new(Faults::from_remove(n)))).await.unwrap(),
            None => repository,
        };
        match through.sweep(&judgement, &orders).await {
            Ok(_) => self.must_go = must,
            Err(ForgetError::Repository(RepoError::Storage(_))) if cut.is_some() => return,
            Err(error) => panic!("a sweep failed: {error}"),
        }
        if self.far_head.is_none() {
            return;
        }
        let far = self.repository(&self.far).await;
        let Ok(trust) = self.trust(&self.far).await else { return };
        let judgement = far.judge(&trust, &[]).await.unwrap();
        let main = self.repository(&self.storage).await;
        match far.sweep_copy(&judgement, &orders, &main).await {
            Ok(_) => {}
            Err(ForgetError::Refused(_)) if self.far_was_cut => return,
            Err(error) => panic!("a sweep of the copy failed: {error}"),
        }
        let judgement = far.judge(&trust, &[]).await.unwrap();
        let left = self.numbers_of(&judgement);
        *self.tally.entry("removed from the copy").or_default() += self.far_here.difference(&left).count() as u64;
        for number in self.far_here.difference(&left) {
            let is_gone =
                self.entries[number].is_gone || !main.storage().exists(&self.entries[number].file).await.unwrap();
            assert!(is_gone, "the copy lost {number}, which the repository has");
        }
        self.far_here = left;
    }

    /// Puts the next key epoch in force, as a ceremony does.
    async fn succeed(&mut self, key: Arc<RecoveryKey>, signers: BTreeSet<usize>) {
        let trust = self.trust(&self.storage).await.unwrap();
        let repository = self.repository(&self.storage).await;
        let number = trust.current().number;
        let closing = if self.signers.is_subset(&signers) {
            None
        } else {
            let chain = repository.chain(&trust).await.unwrap();
            Some(repository.closing_list(&trust, &chain, None).await.unwrap())
        };
        let allowed = |at: &usize| AllowedSigner { name: format!("backup-{at}"), key: self.hosts[*at].signer.public() };
        let host = &self.hosts[*self.signers.first().unwrap()].signer;
        let next = Epoch {
            number: number + 1,
            created: self.now,
            share_set: format!("{number:08x}"),
            previous: Some(PreviousEpoch { number, sha256: trust.current_digest() }),
            closing: closing.as_ref().map(ClosingList::digest),
            signers: signers.iter().map(allowed).collect(),
            ..epoch(&key, host)
        };
        let (bytes, root) = (next.to_bytes(), key.root_signer());
        let closing = closing.map(|list| list.to_bytes());
        let signature = root.sign(Namespace::Epoch, &bytes);
        let signed = SignedEpoch {
            bytes: &bytes,
            signature: &signature,
            closing: closing.as_deref(),
            countersigner: Some(host),
        };
        repository.put_signed_epoch(signed, &root.public(), &trust).await.unwrap();
        for order in self.orders.iter_mut().filter(|order| !signers.contains(&order.by)) {
            order.lapsed = true;
        }
        self.note(if closing.is_some() { "signers removed" } else { "other epochs" });
        self.keys.push(key);
        self.signers = signers;
        let trust = self.trust(&self.storage).await.unwrap();
        self.trusts.push((trust, self.signers.clone()));
    }

    async fn junk(&mut self, kind: u8) {
        let (zeros, next) = ("0".repeat(64), self.entries.len() + 1);
        let name = match kind {
            0 => "snapshots/junk-é.json".to_owned(),
            1 => "snapshots/0/junk".into(),
            2 => format!("epochs/900-{zeros}.json"),
            3 => "epochs/junk".into(),
            4 => format!("turns/{next}-1.json"),
            5 => "forgotten/junk.json".into(),
            6 => "closings/junk".into(),
            7 => format!("turns/{}-1.json", next + 1),
            _ => "snapshots/0/junk.json.sig".into(),
        };
        drop(self.storage.put_new(&name, Bytes::from_static(b"{\"version\":1}\n")).await);
    }

    /// Everything that must hold after every step.
    pub async fn check(&mut self, op: &Op) {
        let repository = self.repository(&self.storage).await;
        let trust = self.trust(&self.storage).await.unwrap();
        let judgement = repository.judge(&trust, &[]).await.unwrap();
        assert!(severe(judgement.faults()).is_empty(), "{:?}", judgement.faults());
        self.learn(&judgement);
        self.lose(&judgement);
        self.orders_agree(&judgement);
        let head = self.head().map(|(sequence, entry)| Witness { sequence, manifest: entry.digest });
        assert_eq!(judgement.chain().witness(), head, "the head");
        let number = head.map_or(0, |head| head.sequence);
        assert!(number >= self.last_head, "the head went back from {} to {number}", self.last_head);
        let is_new = number > self.last_head;
        self.last_head = number;
        for host in &self.hosts {
            let own = host.witness.map(|head| Remembered { by: "host".into(), head, holds: false, outside: true });
            assert_eq!(judgement.chain().compare(own.as_slice()), []);
        }
        self.recent_agrees(&repository, &trust, &judgement).await;
        let removed = self.tally.get("removed").copied().unwrap_or_default();
        let is_less = std::mem::replace(&mut self.last_removed, removed) < removed;
        let touched = is_less || is_new;
        let numbers: Vec<u64> =
            self.here().map(|(number, _)| number).filter(|n| is_less || (is_new && *n == number)).collect();
        for number in numbers {
            self.opens(&repository, &judgement, number).await;
        }
        if touched {
            let report = repository.check(&trust, CheckDepth::Index(&self.hosts[0].index)).await.unwrap();
            assert!(severe(&report.faults).is_empty(), "check: {:?}", report.faults);
        }
        if touched || matches!(op, Op::Forget { .. } | Op::RemoveSigner { .. }) {
            self.saves.push(files(&self.storage).await);
        }
        for estate in &self.estates {
            let found = judgement.newest(Some(&filter(&estate.place)));
            let expected = self.newest(&estate.place).map(|(_, entry)| entry.digest);
            assert_eq!(found.ok().map(|found| found.digest()), expected, "the newest of {}", estate.place);
        }
        if matches!(op, Op::Copy { .. } | Op::Sweep { .. }) {
            self.far_holds().await;
        }
    }

    /// Takes note of new snapshots: each is of a run that was begun, and has the next number.
    fn learn(&mut self, judgement: &Judgement) {
        for found in &judgement.chain().manifests {
            let manifest = found.manifest();
            let number = manifest.sequence;
            if let Some(entry) = self.entries.get(&number) {
                assert!(entry.digest == found.digest() && !entry.is_gone, "number {number} is another one now");
                continue;
            }
            assert_eq!(number, self.entries.len() as u64 + 1, "numbers have no gap");
            let signer = self.hosts.iter().position(|host| host.signer.public() == manifest.signer).unwrap();
            let is_of = |attempt: &Attempt| {
                attempt.signer == signer && attempt.time == manifest.time && attempt.place == manifest.source
            };
            let attempt = self.attempts.iter().position(is_of).expect("a run of this time");
            let Attempt { place, time, content, .. } = self.attempts.remove(attempt);
            assert!(self.trusts[manifest.epoch as usize - 1].1.contains(&signer) && self.signers.contains(&signer));
            let entry = Entry {
                digest: found.digest(),
                id: manifest.snapshot.to_string(),
                file: found.file(),
                place,
                time,
                epoch: manifest.epoch as usize,
                is_gone: false,
                content,
            };
            self.entries.insert(number, entry);
        }
    }

    fn lose(&mut self, judgement: &Judgement) {
        let there = self.numbers_of(judgement);
        let mut removed = 0;
        for (number, entry) in self.entries.iter_mut().filter(|(number, _)| !there.contains(number)) {
            assert!(entry.is_gone || self.may_go.contains(number), "number {number} is gone inside its window");
            removed += u64::from(!entry.is_gone);
            entry.is_gone = true;
        }
        *self.tally.entry("removed").or_default() += removed;
        for number in &self.must_go {
            assert!(self.entries[number].is_gone, "number {number} was not removed");
        }
    }

    fn orders_agree(&self, judgement: &Judgement) {
        let found: BTreeSet<Digest> = judgement.chain().records.iter().map(|each| each.digest).collect();
        let expected: BTreeSet<Digest> = self.in_force().map(|order| order.digest).collect();
        assert_eq!(found, expected, "forget records in force");
    }

    async fn recent_agrees(&self, repository: &Repository, trust: &Trust, judgement: &Judgement) {
        let memory = self.hosts[0].memory.clone().unwrap();
        let recent = repository.clone().remembering(memory).recent_chain(trust).await.unwrap();
        let chain = judgement.chain();
        assert_eq!((recent.count(), recent.witness()), (chain.count(), chain.witness()));
        assert_eq!(recent.faults, chain.faults);
        let newest = |chain: &lifeboat::repo::Chain| {
            chain.newest().into_iter().map(|(place, found)| (place.clone(), found.witness())).collect::<Vec<_>>()
        };
        assert_eq!(newest(&recent), newest(chain));
    }

    /// A snapshot by its id opens with its quorum and holds what the model says.
    async fn opens(&self, repository: &Repository, judgement: &Judgement, number: u64) {
        let entry = &self.entries[&number];
        let chosen = judgement.by_id(&entry.id, None).unwrap();
        assert_eq!(chosen.digest(), entry.digest);
        assert_eq!(self.read(repository, &chosen).await, entry.content, "the content of number {number}");
    }

    pub(crate) async fn read(&self, repository: &Repository, chosen: &Chosen) -> Content {
        let key = &self.keys[chosen.manifest().epoch as usize - 1];
        let values = Values::new(repository, chosen, key);
        let mut content = Content::new();
        for record in repository.records(chosen, Opener::Recovery(key)).await.unwrap() {
            let mut versions = BTreeMap::new();
            for version in &record.versions {
                let ValueState::Stored { pack, line, kind, .. } = version.value else {
                    panic!("no value: {version:?}")
                };
                let at = ValueRef { pack, line, kind };
                let value = values.get(&at, &record.secret.id, &version.id).await.unwrap();
                versions.insert(version.id.clone(), String::from_utf8(value.expose().to_vec()).unwrap());
            }
            content.insert(record.secret.name.clone(), (record.secret.id.clone(), versions));
        }
        content
    }

    /// What the copy has counts; a copy that was cut off may lack something until the next one.
    async fn far_holds(&self) {
        let Ok(far) = Repository::open(self.far.clone()).await else { return };
        let mut trust = None;
        for key in self.keys.iter().rev() {
            trust = trust.or(far.trust(&anchor(key)).await.ok());
        }
        let judgement = far.judge(&trust.unwrap(), &[]).await.unwrap();
        let faults = severe(judgement.faults());
        let is_expected = |fault: &&Fault| self.far_was_cut && fault.kind == FaultKind::Gap;
        assert!(faults.iter().all(is_expected), "the copy: {faults:?}");
        self.numbers_of(&judgement);
    }

    /// At the end everything is opened, in the repository and in its copy.
    pub async fn end(&mut self) {
        let repository = self.repository(&self.storage).await;
        let trust = self.trust(&self.storage).await.unwrap();
        let judgement = repository.judge(&trust, &[]).await.unwrap();
        let numbers: Vec<u64> = self.here().map(|(number, _)| number).collect();
        for number in numbers {
            self.opens(&repository, &judgement, number).await;
        }
        let report = repository.check(&trust, CheckDepth::Values(self.key())).await.unwrap();
        assert!(severe(&report.faults).is_empty(), "check: {:?}", report.faults);
        self.step(&Op::Copy { host: 0, whole: false, cut: None }).await;
        let far = self.repository(&self.far).await;
        let trust = self.trust(&self.far).await.unwrap();
        let judgement = far.judge(&trust, &self.remembered()).await.unwrap();
        for number in self.numbers_of(&judgement) {
            self.opens(&far, &judgement, number).await;
        }
        let report = far.check(&trust, CheckDepth::Values(self.key())).await.unwrap();
        assert!(severe(&report.faults).is_empty(), "check of the copy: {:?}", report.faults);
    }
}
