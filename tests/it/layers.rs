//! What a run stores does not grow with the years: layers of changes, lists of packs, arcs of sweeps, few packs.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Instant};

use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::FixedClock,
    crypto::{IndexKey, Opener, RecoveryKey},
    model::{Digest, Record, Secret, ValueState},
    progress::Silent,
    provider::{
        Hint, Source,
        memory::{HeldVersion, Memory},
    },
    repo::{
        self, CheckDepth, CheckReport, Extent, FaultKind, FileRef, Judgement, Manifest, PackLists, Repository,
        Retention, SweepArc, Tip, Trust, VerifiedManifest,
    },
    snapshot::{self, DrillSealing, EventReport, Report, Rules, SnapshotError},
    storage::{Storage, faults::Faults},
};

use crate::{
    incremental::noise,
    repo_sample::{Sample, altered, block_on, later, sweep},
};

/// A host in memory that runs on any day.
pub struct Host {
    pub sample: Sample,
    pub source: Arc<Memory>,
    drill: Option<DrillSealing>,
    config: Option<&'static [u8]>,
    exclude: [String; 1],
    sweep_days: u32,
    /// The history as the host's own runs leave it, so that years of them do not each read all of it.
    known: tokio::sync::Mutex<Option<(Judgement, Tip, Trust)>>,
}

pub fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 86_400 * number).unwrap()
}

pub fn name(number: u64) -> String {
    format!("app/{number:04}")
}

impl Host {
    pub fn with(secrets: u64, value: impl Fn(u64) -> String) -> Self {
        let host = Self {
            sample: Sample::empty(Storage::memory()),
            source: Arc::new(Memory::new("111111111111", "eu-central-1")),
            drill: None,
            config: None,
            exclude: ["hidden/*".to_owned()],
            sweep_days: 1_000,
            known: tokio::sync::Mutex::new(None),
        };
        (0..secrets).for_each(|number| host.put(&name(number), 0, &value(number)));
        host
    }

    /// Puts a secret with one version there; another version each day.
    pub fn put(&self, name: &str, day: i64, value: &str) {
        let version = HeldVersion::text(&format!("v{day}"), &["AWSCURRENT"], value);
        self.source.insert(Secret { name: name.into(), ..Secret::default() }, vec![version]);
    }

    /// Gives a secret another current version; those before it stay.
    pub fn rotate(&self, name: &str, number: i64, value: &str) {
        self.source.edit_versions(name, |versions| {
            for (before, label) in versions.iter_mut().rev().zip([Some("AWSPREVIOUS"), None]) {
                before.labels = label.into_iter().map(Into::into).collect();
            }
            versions.push(HeldVersion::text(&format!("v{number}"), &["AWSCURRENT"], value));
        });
    }

    /// The history, read where it is not known.
    async fn known(&self) -> tokio::sync::MutexGuard<'_, Option<(Judgement, Tip, Trust)>> {
        let mut known = self.known.lock().await;
        let (repository, anchor) = (&self.sample.repository, self.sample.anchor());
        if known.is_none() {
            let trust = repository.trust(&anchor).await.unwrap();
            let judgement = repository.judge(&trust, &[]).await.unwrap();
            let tip = judgement.for_appending().unwrap().tip();
            *known = Some((judgement, tip, trust));
        }
        known
    }

    pub async fn run(&self, number: i64) -> Report {
        let mut known = self.known().await;
        let Some((judgement, tip, trust)) = known.as_mut() else { panic!("it is known now") };
        let clock = FixedClock(day(number));
        let request = self.request(&self.sample.repository, trust, &self.sample.index, &clock);
        let appending = judgement.for_appending().unwrap();
        let report = snapshot::run_after(&request, &appending, tip).await.unwrap();
        judgement.test_only_push(report.manifest.clone());
        report
    }

    /// Captures what was told of at a time, on top of the newest snapshot.
    pub async fn event(&self, at: Timestamp, names: &[String]) -> Result<EventReport, SnapshotError> {
        let mut known = self.known().await;
        let Some((judgement, tip, trust)) = known.as_mut() else { panic!("it is known now") };
        let clock = FixedClock(at);
        let request = self.request(&self.sample.repository, trust, &self.sample.index, &clock);
        let hints: Vec<Hint> = names.iter().map(|name| Hint { name: name.clone(), id: None }).collect();
        let appending = judgement.for_appending().unwrap();
        let report = snapshot::capture(&request, (&appending, tip), &hints).await?;
        report.manifest.iter().for_each(|manifest| judgement.test_only_push(manifest.clone()));
        Ok(report)
    }

    /// Forgets what the rules let go, and removes what may be removed by now.
    pub async fn forget(&self, rules: &Retention, undo_days: i64, now: Timestamp) {
        *self.known.lock().await = None;
        let (repository, trust) = (&self.sample.repository, self.sample.trust_now().await);
        let judgement = repository.judge(&trust, &[]).await.unwrap();
        let chain = judgement.chain();
        let here: Vec<_> = chain.manifests.iter().filter(|found| chain.forgotten(found).is_none()).collect();
        let plan = repo::plan(&here, rules, now);
        let times = (now, SignedDuration::from_hours(24 * undo_days));
        let signer = &self.sample.signer;
        let made = repository
            .forget_by(&judgement, &trust, &plan.going(now, &signer.public()), times, rules, signer)
            .await
            .unwrap();
        if !chain.records.is_empty() || made.iter().next().is_some() {
            sweep(repository, &trust, signer, later(), &BTreeSet::new()).await.unwrap();
        }
        let judgement = repository.judge(&trust, &[]).await.unwrap();
        let tip = judgement.for_appending().unwrap().tip();
        *self.known.lock().await = Some((judgement, tip, trust));
    }

    async fn run_on(&self, to: &Repository, number: i64, index_key: &IndexKey) -> Result<Report, SnapshotError> {
        *self.known.lock().await = None;
        let trust = to.trust(&self.sample.anchor()).await.unwrap();
        snapshot::run(&self.request(to, &trust, index_key, &FixedClock(day(number)))).await
    }

    fn request<'a>(
        &'a self,
        repository: &'a Repository,
        trust: &'a Trust,
        index_key: &'a IndexKey,
        clock: &'a FixedClock,
    ) -> snapshot::Request<'a> {
        let source: Arc<dyn Source> = Arc::<Memory>::clone(&self.source);
        snapshot::Request {
            repository,
            source,
            account: None,
            trust,
            witness: None,
            signer: &self.sample.signer,
            index_key,
            rules: Rules { exclude: &self.exclude, sweep_days: self.sweep_days, ..Rules::default() },
            journal: None,
            scratch: None,
            drill: self.drill.as_ref(),
            config: self.config,
            clock,
            progress: &Silent,
        }
    }

    /// What a reading of everything captures, without where values are and when they were read.
    pub async fn full(&self, number: i64) -> Vec<Record> {
        let empty = self.sample.twin(Storage::memory()).await;
        let report = self.run_on(&empty, number, &self.sample.index).await.unwrap();
        self.content(&empty, &report).await
    }

    pub async fn content(&self, repository: &Repository, report: &Report) -> Vec<Record> {
        self.records(repository, &report.manifest).await
    }

    pub async fn records(&self, repository: &Repository, manifest: &VerifiedManifest) -> Vec<Record> {
        let trust = repository.trust(&self.sample.anchor()).await.unwrap();
        let chosen = crate::repo_sample::chosen(repository, &trust, manifest).await;
        let records = repository.records(&chosen, Opener::Index(&self.sample.index)).await.unwrap();
        records.into_iter().map(bare).collect()
    }

    pub async fn check(&self, depth: CheckDepth<'_>) -> CheckReport {
        let trust = self.sample.repository.trust(&self.sample.anchor()).await.unwrap();
        self.sample.repository.check(&trust, depth).await.unwrap()
    }

    /// Bytes below a folder.
    async fn stored(&self, folder: &str) -> u64 {
        self.sample.repository.storage().list(folder).await.unwrap().iter().map(|entry| entry.size).sum()
    }

    async fn packs(&self, manifest: &Manifest) -> BTreeSet<FileRef> {
        let set = self.sample.repository.packs_of(manifest, &PackLists::default()).await.unwrap();
        set.packs().copied().collect()
    }
}

fn bare(mut record: Record) -> Record {
    record.read = Timestamp::UNIX_EPOCH;
    for version in &mut record.versions {
        if let ValueState::Stored { pack, line, .. } = &mut version.value {
            (*pack, *line) = (Digest::of(b""), 0);
        }
    }
    record
}

fn referred(records: &[Record]) -> BTreeSet<Digest> {
    let versions = records.iter().flat_map(|record| &record.versions);
    let packs = versions.filter_map(|version| match version.value {
        ValueState::Stored { pack, .. } => Some(pack),
        _ => None,
    });
    packs.collect()
}

/// A day's changes, another one each day: values, metadata, secrets that come, go, or come back as another one.
fn change(host: &Host, number: i64) {
    let pick = |salt: u64| (number.unsigned_abs() * 7_919 + salt * 104_729) % 150;
    host.put(&name(pick(1)), number, &format!("value {number}"));
    if number % 3 == 0 {
        host.source.edit(&name(pick(2)), |secret| secret.facets.description = Some(format!("day {number}")));
    }
    if number % 4 == 0 {
        host.source.remove(&name(pick(3)));
    }
    if number % 5 == 0 {
        host.put(&format!("new/{number:04}"), number, "new");
    }
    if number % 7 == 0 {
        // The name of today, another secret.
        let id = format!("id-{number}");
        let again = Secret { name: name(pick(4)), id, ..Secret::default() };
        host.source.insert(again, vec![HeldVersion::text("v1", &["AWSCURRENT"], "another")]);
    }
    if number % 11 == 0 {
        host.put(&format!("hidden/{number:04}"), number, "left out by rule");
    }
    if number % 60 == 0 {
        (0..60).for_each(|at| host.put(&name(at), number, &format!("all anew {number} {at}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_days_of_layers_are_as_a_full_reading_each_day() {
    let host = tokio::task::block_in_place(|| Host::with(120, |number| format!("first {number}")));
    let (mut most, mut bases, mut same) = (0, 0, 0);
    let mut before: Option<Manifest> = None;
    for number in 0..200 {
        if number > 0 && number % 13 != 0 {
            change(&host, number);
        }
        let report = host.run(number).await;
        let manifest = report.manifest.manifest();
        most = most.max(manifest.indexes.len());
        if let Some(before) = &before {
            same += u64::from(before.indexes == manifest.indexes);
            bases += u64::from(before.indexes[0] != manifest.indexes[0]);
        }
        if number % 4 == 0 || number % 7 == 0 || number > 190 {
            assert_eq!(host.content(&host.sample.repository, &report).await, host.full(number).await, "day {number}");
        }
        before = Some(manifest.clone());
    }
    println!("200 days: at most {most} layers, {bases} new bases, {same} days without a layer");
    assert!(most <= 10 && (2..20).contains(&bases) && same >= 10, "{most} {bases} {same}");
    let report = host.check(CheckDepth::Values(&host.sample.recovery)).await;
    assert_eq!((report.faults, report.orphans), (vec![], 0));
    assert!(report.restorable.iter().all(|each| each.extent == Extent::Whole && each.values_lost == Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_one_percent_changed_stores_less_than_three_percent() {
    const SECRETS: u64 = 3_000;
    const DAYS: u64 = 20;
    let value = |number: u64| noise(number, 200);
    let host = tokio::task::block_in_place(|| Host::with(SECRETS, value));
    host.run(0).await;
    let (full, index) = (host.stored("").await, host.stored("indexes").await);
    for number in 1..=DAYS {
        for at in 0..SECRETS / 100 {
            let number = number.cast_signed();
            host.put(
                &name((number.unsigned_abs() * 151 + at * 101) % SECRETS),
                number,
                &value(at + 5_000 * number.unsigned_abs()),
            );
        }
        host.run(number.cast_signed()).await;
    }
    let (all, indexes) = (host.stored("").await, host.stored("indexes").await);
    let (percent, of_index) = (share(all - full, DAYS, full), share(indexes - index, DAYS, index));
    println!(
        "1 % of {SECRETS} changed a day: {percent:.2} % of {full} bytes a day; the index {of_index:.2} % of {index}"
    );
    assert!(percent < 3.0, "{percent}");
    assert_eq!(host.check(CheckDepth::Index(&host.sample.index)).await.faults, []);
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn share(bytes: u64, days: u64, of: u64) -> f64 {
    100.0 * bytes as f64 / days as f64 / of as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_a_day_for_600_days_takes_few_packs_and_loses_nothing() {
    const SECRETS: u64 = 300;
    let host = tokio::task::block_in_place(|| Host::with(SECRETS, |number| noise(number, 40)));
    // Its value cannot be read again, ever: it keeps the pack that it is in.
    host.run(0).await;
    host.source.edit(&name(299), |secret| secret.deleted = Some(Timestamp::UNIX_EPOCH));
    let (mut most, mut read) = (0, 0);
    for number in 1..=600_i64 {
        host.put(&name((number.unsigned_abs() * 7) % (SECRETS - 1)), number, &noise(number.unsigned_abs() + 9_000, 40));
        let report = host.run(number).await;
        let manifest = report.manifest.manifest();
        assert_eq!((manifest.counts.captured, manifest.counts.values_absent), (SECRETS, 0));
        read += manifest.counts.values_read;
        if number % 10 == 0 || number > 595 {
            let packs = host.packs(manifest).await;
            most = most.max(packs.len());
            let repository = &host.sample.repository;
            let trust = repository.trust(&host.sample.anchor()).await.unwrap();
            let chosen = crate::repo_sample::chosen(repository, &trust, &report.manifest).await;
            let records = repository.records(&chosen, Opener::Index(&host.sample.index)).await.unwrap();
            let named: BTreeSet<Digest> = packs.iter().map(|file| file.sha256).collect();
            assert!(referred(&records).is_subset(&named) && referred(&records).len() <= 257 + 64);
        }
        assert!(manifest.packs.lists.len() <= 12);
    }
    println!("600 days: at most {most} packs named, {read} values read");
    assert!(most < 420, "{most}");
    assert!(read < 600 + 600 * 4, "{read}");
    let report = host.check(CheckDepth::Values(&host.sample.recovery)).await;
    assert_eq!((report.faults, report.snapshots), (vec![], 601));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_of_a_day_that_merges_layers_and_lists_may_fail() {
    for cut in 1..=7 {
        for faults in [Faults::from_put(cut), Faults::put_unanswered(cut)] {
            let host = tokio::task::block_in_place(|| Host::with(60, |number| format!("{number}")));
            for number in 0..17_i64 {
                host.put(&name(number.unsigned_abs()), number, "changed");
                host.run(number).await;
            }
            host.put(&name(30), 17, "changed");
            let storage = host.sample.repository.storage().with_faults(Arc::new(faults));
            let failing = Repository::open(storage).await.unwrap();
            let outcome = host.run_on(&failing, 17, &host.sample.index).await;
            let report = host.check(CheckDepth::Values(&host.sample.recovery)).await;
            assert_eq!(report.faults, [], "write {cut}");
            assert!(outcome.is_err() || report.snapshots == 18, "write {cut}");
            let report = host.run(18).await;
            assert_eq!(host.content(&host.sample.repository, &report).await, host.full(18).await, "write {cut}");
            assert_eq!(host.check(CheckDepth::Values(&host.sample.recovery)).await.faults, [], "write {cut}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_read_is_written_as_a_whole() {
    let host = tokio::task::block_in_place(|| Host::with(50, |number| format!("{number}")));
    host.run(0).await;
    host.put(&name(7), 1, "changed");
    let second = host.run(1).await;
    let layers = &second.manifest.manifest().indexes;
    assert_eq!((layers.len(), layers[1].records, layers[1].removed), (2, 1, 0));
    // Another index key: a base, and every value anew.
    let other = IndexKey::generate();
    let third = host.run_on(&host.sample.repository, 2, &other).await.unwrap();
    let manifest = third.manifest.manifest();
    assert_eq!((manifest.indexes.len(), manifest.indexes[0].records, manifest.counts.values_read), (1, 50, 50));
    assert_eq!((manifest.readings.now, manifest.full.sequence), (50, 3));
    // A layer is lost: the next run reads what it does not know, and writes a base.
    host.put(&name(8), 3, "changed");
    let fourth = host.run_on(&host.sample.repository, 3, &other).await.unwrap();
    let lost = format!("indexes/{}.age", fourth.manifest.manifest().indexes[1].files[0].sha256);
    let storage = altered(host.sample.repository.storage(), |name, bytes| (name != lost).then_some(bytes)).await;
    let broken = Repository::open(storage).await.unwrap();
    let fifth = host.run_on(&broken, 4, &other).await.unwrap();
    assert_eq!((fifth.manifest.manifest().indexes.len(), fifth.manifest.manifest().counts.captured), (1, 50));
    let trust = broken.trust(&host.sample.anchor()).await.unwrap();
    let report = broken.check(&trust, CheckDepth::Values(&host.sample.recovery)).await.unwrap();
    let extents: Vec<Extent> = report.restorable.iter().map(|each| each.extent).collect();
    assert_eq!(extents, [Extent::Whole, Extent::Whole, Extent::Whole, Extent::Nothing, Extent::Whole]);
    assert!(report.faults.iter().all(|fault| fault.kind == FaultKind::Missing && fault.file == lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_finds_the_same_is_an_arc_and_no_record() {
    let mut host = tokio::task::block_in_place(|| Host::with(200, |number| format!("{number}")));
    host.sweep_days = 10;
    let first = host.run(0).await;
    assert_eq!(first.manifest.manifest().sweeps, [SweepArc::whole(day(0))]);
    let mut read = 0;
    for number in 1..=30 {
        let report = host.run(number).await;
        let manifest = report.manifest.manifest();
        assert_eq!(manifest.indexes, first.manifest.manifest().indexes, "nothing changed");
        assert!((5..50).contains(&manifest.readings.now), "{}", manifest.readings.now);
        assert!(manifest.sweeps.len() <= 12 && manifest.sweeps[0].time == day(number));
        assert!(manifest.readings.oldest.unwrap() >= day(number - 10));
        assert_eq!(manifest.readings.ages.iter().map(|age| age.records).sum::<u64>(), 200);
        read += manifest.readings.now;
    }
    assert_eq!(read, 600, "everything three times in three cycles");
    // What no listing shows is a record, once.
    host.source.edit(&name(9), |secret| secret.facets.policy = Some("{}".into()));
    let mut changed = 0;
    for number in 31..=41 {
        let report = host.run(number).await;
        changed = report.manifest.manifest().indexes[1..].iter().map(|layer| layer.records).sum();
    }
    assert_eq!(changed, 1);
    assert_eq!(host.check(CheckDepth::Index(&host.sample.index)).await.faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_key_opens_its_secrets_on_every_day() {
    let drill = RecoveryKey::generate();
    for full in [false, true] {
        let mut host = tokio::task::block_in_place(|| Host::with(60, |number| format!("{number}")));
        host.drill = Some(DrillSealing { recipient: drill.recipient(), names: vec!["app/000?".into()], full });
        for number in 0..40_i64 {
            host.put(&name(number.unsigned_abs() % 60), number, "changed");
            let report = host.run(number).await;
            let manifest = report.manifest.manifest();
            let [seal] = &manifest.seals[..] else { panic!("one seal") };
            assert_eq!((&*seal.purpose, &seal.recipient, seal.full), ("drill", &drill.recipient(), full));
            let opened = host.sample.repository.open_set(&seal.packs, &PackLists::default()).await.unwrap();
            let repository = &host.sample.repository;
            let trust = repository.trust(&host.sample.anchor()).await.unwrap();
            let chosen = crate::repo_sample::chosen(repository, &trust, &report.manifest).await;
            let records = repository.records(&chosen, Opener::Index(&host.sample.index)).await.unwrap();
            let (ours, others): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|record| full || record.secret.name.starts_with("app/000"));
            for pack in referred(&ours) {
                assert!(opened.find(&pack).is_some(), "day {number}");
                host.sample.repository.open_pack(&pack, Opener::Recovery(&drill)).await.unwrap();
            }
            assert!(referred(&others).iter().all(|pack| opened.find(pack).is_none()));
            assert!(!full || seal.packs == manifest.packs, "the lists are shared");
        }
        assert_eq!(host.check(CheckDepth::Values(&host.sample.recovery)).await.faults, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_kept_sealed_and_written_when_it_changes() {
    let mut host = tokio::task::block_in_place(|| Host::with(3, |number| format!("{number}")));
    let kept = async |host: &Host, number| host.run(number).await.manifest.manifest().config;
    assert_eq!(kept(&host, 0).await, None);
    host.config = Some(b"[source]\n");
    let first = kept(&host, 1).await.unwrap();
    assert_eq!(kept(&host, 2).await, Some(first));
    host.config = Some(b"[source]\nurl = 1\n");
    let second = kept(&host, 3).await.unwrap();
    assert_ne!(second, first);
    for opener in [Opener::Index(&host.sample.index), Opener::Recovery(&host.sample.recovery)] {
        assert_eq!(host.sample.repository.config(&first, opener).await.unwrap(), b"[source]\n");
    }
    assert_eq!(host.stored("configs").await, first.size + second.size);
    let gone = format!("configs/{}.age", first.sha256);
    let storage = altered(host.sample.repository.storage(), |name, bytes| (name != gone).then_some(bytes)).await;
    let repository = Repository::open(storage).await.unwrap();
    let trust = repository.trust(&host.sample.anchor()).await.unwrap();
    let report = repository.check(&trust, CheckDepth::Structure).await.unwrap();
    let faults: Vec<_> = report.faults.iter().map(|fault| (&*fault.file, fault.kind)).collect();
    assert_eq!(faults, [(&*gone, FaultKind::Missing)]);
    assert!(report.restorable.iter().all(|each| each.extent == Extent::Whole));
}

#[test]
fn a_list_that_is_gone_or_altered_is_its_own_fault_and_copies_hold_lists_too() {
    let host = Host::with(30, |number| format!("{number}"));
    block_on(async {
        for number in 0..20_i64 {
            host.put(&name(number.unsigned_abs()), number, "changed");
            host.run(number).await;
        }
        let storage = host.sample.repository.storage();
        let lists = storage.list("lists").await.unwrap();
        assert!(!lists.is_empty(), "more than sixteen packs");
        let to = Storage::memory();
        lifeboat::repo::copy(
            &host.sample.repository,
            &host.sample.repository.trust(&host.sample.anchor()).await.unwrap(),
            &to,
        )
        .await
        .unwrap();
        assert_eq!(to.list("lists").await.unwrap().len(), lists.len());
        let list = &lists[0].name;
        let trust = host.sample.repository.trust(&host.sample.anchor()).await.unwrap();
        for (change, kind) in [(None, FaultKind::Missing), (Some(b"{}".as_slice()), FaultKind::Damaged)] {
            let seen = altered(storage, |name, bytes| match change {
                _ if name != *list => Some(bytes),
                change => change.map(Into::into),
            });
            let seen = Repository::open(seen.await).await.unwrap();
            for depth in [CheckDepth::Structure, CheckDepth::Index(&host.sample.index)] {
                let report = seen.check(&trust, depth).await.unwrap();
                let faults: Vec<_> = report.faults.iter().map(|fault| (&fault.file, fault.kind)).collect();
                assert_eq!(faults, [(list, kind)]);
                let newest = report.restorable.last().unwrap();
                assert_eq!(newest.extent, Extent::Partly);
                assert!(newest.values_lost.is_none_or(|lost| (10..=30).contains(&lost)), "{newest:?}");
                assert_eq!(report.restorable[0].extent, Extent::Whole);
            }
            assert!(lifeboat::repo::copy(&seen, &trust, &Storage::memory()).await.is_err());
        }
    });
}

#[test]
fn a_pack_that_is_gone_is_sealed_again_and_no_later_manifest_names_it() {
    let host = Host::with(60, |number| format!("value {number}"));
    block_on(async {
        for number in 0..40_i64 {
            host.put(&name(number.unsigned_abs()), number + 1, "changed");
            host.run(number).await;
        }
        let before = host.run(40).await;
        let repository = &host.sample.repository;
        let listed: Vec<FileRef> = host.packs(before.manifest.manifest()).await.into_iter().collect();
        assert!(before.manifest.manifest().packs.new.len() < listed.len(), "most are in lists");
        // One that the source still has, and one of a secret that cannot be read at all.
        for gone in [&listed[3], &listed[listed.len() - 2]] {
            repository.storage().remove(&lifeboat::repo::pack_name(&gone.sha256)).await.unwrap();
        }
        *host.known.lock().await = None;
        for number in 41..44 {
            let report = host.run(number).await;
            let named = host.packs(report.manifest.manifest()).await;
            assert!(!named.contains(&listed[3]) && !named.contains(&listed[listed.len() - 2]), "day {number}");
            assert!(report.manifest.manifest().counts.is_complete(), "the source has them all");
        }
        let trust = repository.trust(&host.sample.anchor()).await.unwrap();
        let newest = repository.check(&trust, CheckDepth::Values(&host.sample.recovery)).await.unwrap();
        assert_eq!(newest.restorable.last().unwrap().extent, Extent::Whole);
    });
}

#[test]
fn a_manifest_of_five_thousand_packs_is_small_and_one_too_large_is_refused() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (records, _) = sample.seal().await;
        let packs: Vec<FileRef> =
            (0..5_000_u32).map(|number| FileRef { sha256: Digest::of(&number.to_be_bytes()), size: 70_000 }).collect();
        let mut manifest = sample.manifest(1, None, &records, &packs).await;
        let layer = manifest.indexes[0].clone();
        manifest.indexes = vec![layer.clone(); 14];
        manifest.sweeps = vec![SweepArc::whole(day(0)); 32];
        let written = sample.repository.put_manifest(manifest.clone(), &sample.signer).await.unwrap();
        let name = written.file();
        let length = sample.repository.storage().get(&name).await.unwrap().len();
        println!("a manifest of 5,000 packs, 14 layers and 32 arcs has {length} bytes");
        assert!(length < 16 << 10, "{length}");
        manifest.indexes = vec![layer; 400];
        manifest.snapshot = lifeboat::model::SnapshotId::random();
        let refused = sample.repository.put_manifest(manifest, &sample.signer).await.unwrap_err();
        assert!(refused.to_string().contains("a manifest has at most 65536"), "{refused}");
    });
}

/// `cargo test --release --test it -- --ignored --nocapture a_thousand_snapshots`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; worth its time in release only"]
async fn a_thousand_snapshots_are_checked_in_seconds_and_little_memory() {
    let host = tokio::task::block_in_place(|| Host::with(300, |number| noise(number, 40)));
    let begun = Instant::now();
    for number in 0..1_000_i64 {
        host.put(&name(number.unsigned_abs() % 300), number, &noise(number.unsigned_abs(), 40));
        host.run(number).await;
    }
    println!("1,000 runs took {:?}; {} bytes stored", begun.elapsed(), host.stored("").await);
    let before = memory("VmRSS");
    let begun = Instant::now();
    let report = host.check(CheckDepth::Index(&host.sample.index)).await;
    let (took, after) = (begun.elapsed(), memory("VmHWM"));
    println!("check --depth index took {took:?}; {before} KiB before, {after} KiB at most");
    assert_eq!((report.faults, report.references), (vec![], 300_000));
    assert!(took.as_secs() < 10);
}

/// A line of this process's status, in KiB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
