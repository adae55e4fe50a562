//! A daily run costs the changes, an interrupted one is resumed, and losing what the host remembers costs only time.

use std::{path::Path, sync::Arc, time::Duration};

use lifeboat::{
    clock::FixedClock,
    crypto::{IndexKey, Opener},
    model::{Facets, Record, Secret},
    progress::Silent,
    provider::{
        Source,
        memory::{HeldVersion, Memory},
    },
    repo::{CheckDepth, IndexReader, Repository},
    snapshot::{self, Report, Rules, SnapshotError},
    storage::{Storage, faults::Faults},
};

use crate::{
    command::{Desk, SHEETS, binary, files},
    repo_sample::Sample,
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

/// Text that does not compress, a different one for each seed.
pub fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    };
    (0..length).map(|_| next()).collect()
}

fn sizes(folder: &Path) -> u64 {
    if folder.exists() { files(folder).iter().map(|(_, content)| content.len() as u64).sum() } else { 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_percent_changed_costs_the_listing_and_the_changed() {
    const SECRETS: u64 = 300;
    let sandbox = lifeboat::emulator::Sandbox::start(lifeboat::emulator::SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    for number in 0..SECRETS {
        let name = format!("app/{number:04}");
        for version in 0..2 {
            control.put(ACCOUNT, REGION, &name, &noise(number * 2 + version, 3000)).unwrap();
        }
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let first = desk.run("snapshot --json").expect(0).json();
    assert_eq!(first["counts"]["values_read"], 2 * SECRETS);
    assert_eq!(first["readings"]["now"], SECRETS);
    let (packs, all) = (sizes(&desk.path("repository/packs")), sizes(&desk.path("repository")));
    let index = sizes(&desk.path("repository/indexes"));

    for number in [7, 120, 299] {
        control.put(ACCOUNT, REGION, &format!("app/{number:04}"), &noise(9_000 + number, 3000)).unwrap();
    }
    control.reset_calls();
    let second = desk.run("snapshot --json").expect(0).json();
    let calls = control.calls();
    println!("calls for 3 of {SECRETS} changed: {calls:?}");
    let count = |operation: &str| calls.get(operation).copied().unwrap_or_default();
    assert_eq!(count("ListSecrets"), SECRETS.div_ceil(100));
    assert_eq!((count("GetSecretValue"), count("ListSecretVersionIds"), count("GetResourcePolicy")), (3, 3, 3));
    assert_eq!(count("DescribeSecret"), 6, "before and after each reading");
    assert_eq!((&second["counts"]["values_read"], &second["counts"]["captured"]), (&3.into(), &SECRETS.into()));
    assert_eq!((&second["readings"]["now"], &second["readings"]["kept"]), (&3.into(), &(SECRETS - 3).into()));
    assert_eq!(second["readings"]["oldest"], first["time"]);
    let added = sizes(&desk.path("repository")) - all;
    println!("stored first: {all} bytes ({packs} in packs, {index} in the index); added by the second run: {added}");
    assert!(added * 100 < packs * 3 + index * 110, "{added} bytes added");

    control.reset_calls();
    desk.run("snapshot --full").expect(0);
    assert_eq!(control.calls()["DescribeSecret"], 2 * SECRETS);
    assert_eq!(control.calls().get("GetSecretValue"), None, "values are immutable: a full run reads none again");
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);

    // The index key lost: the next run is a full one, and nothing else.
    let old = std::fs::read(desk.path("keys/index.age")).unwrap();
    std::fs::write(desk.path("keys/index.age"), IndexKey::generate().to_file().as_bytes()).unwrap();
    let again = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&again["counts"]["values_read"], &again["sequence"]), (&(2 * SECRETS + 3).into(), &4.into()));
    assert_ne!(old, std::fs::read(desk.path("keys/index.age")).unwrap());
    // The state lost: not even that.
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    assert_eq!(desk.run("snapshot --json").expect(0).json()["counts"]["values_read"], 0);
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_resumed_from_what_it_sealed() {
    const SECRETS: u64 = 240;
    let sandbox = lifeboat::emulator::Sandbox::start(lifeboat::emulator::SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    for number in 0..SECRETS {
        control.put(ACCOUNT, REGION, &format!("app/{number:04}"), &noise(number, 60_000)).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    control.set_latency(Duration::from_millis(60));
    let mut run = desk.command(binary()).arg("snapshot").stderr(std::process::Stdio::null()).spawn().unwrap();
    let journal =
        || files(&desk.path("state")).into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "age"));
    let begun = std::time::Instant::now();
    while !desk.path("state").exists() || journal().count() < 2 {
        assert!(begun.elapsed() < Duration::from_mins(1) && run.try_wait().unwrap().is_none(), "no pack was sealed");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(files(&desk.path("repository/packs")).len() >= 2 && !desk.path("repository/snapshots").exists());
    for (path, content) in journal() {
        assert!(!String::from_utf8_lossy(&content).contains("app/0"), "{} is not sealed", path.display());
    }
    desk.run("check").expect(0);

    control.set_latency(Duration::ZERO);
    // An entry that lies about its pack, one of another key and one of a pack that is gone do not count.
    let (one, content) = journal().next().unwrap();
    let text = one.to_str().unwrap();
    let (stem, digest) = text.rsplit_once('-').unwrap();
    std::fs::write(format!("{stem}-{}.age", "0".repeat(64)), &content).unwrap();
    std::fs::write(text.replace(digest, &digest.replacen(&digest[..4], "ffff", 1)), b"age-encryption.org/v1").unwrap();
    control.reset_calls();
    let resumed = desk.run("snapshot --json").expect(0).json();
    let read = control.calls()["GetSecretValue"];
    println!("{read} of {SECRETS} values read by the run after the kill");
    assert!(read < SECRETS && read > 0, "{read}");
    assert_eq!((&resumed["counts"]["captured"], &resumed["counts"]["values_read"]), (&SECRETS.into(), &read.into()));
    assert_eq!(journal().count(), 0, "a manifest refers to the packs now");
    let checked = desk.run(&format!("check --json --depth values {SHEETS}")).expect(0).json();
    assert_eq!(checked["values"], SECRETS);
    sandbox.shutdown().await;
}

/// A host in memory that runs on any day.
struct Host {
    sample: Sample,
    source: Arc<Memory>,
}

impl Host {
    fn new() -> Self {
        let sample = tokio::task::block_in_place(|| Sample::empty(Storage::memory()));
        let source = Arc::new(Memory::new(ACCOUNT, REGION));
        for number in 0..60 {
            let secret = Secret { name: format!("s{number:02}"), ..Secret::default() };
            source.insert(secret, vec![HeldVersion::text("v1", &["AWSCURRENT"], "one")]);
        }
        Self { sample, source }
    }

    async fn run(&self, time: &str, sweep_days: u32) -> Report {
        self.run_on(&self.sample.repository, time, sweep_days, None).await.unwrap()
    }

    async fn run_with(&self, time: &str, sweep_days: u32, scratch: Option<&Path>) -> Report {
        self.run_on(&self.sample.repository, time, sweep_days, scratch).await.unwrap()
    }

    async fn run_on(
        &self,
        repository: &Repository,
        time: &str,
        sweep_days: u32,
        scratch: Option<&Path>,
    ) -> Result<Report, SnapshotError> {
        let sample = &self.sample;
        let trust = sample.repository.trust(&sample.anchor()).await.unwrap();
        let source: Arc<dyn Source> = Arc::<Memory>::clone(&self.source);
        snapshot::run(&snapshot::Request {
            repository,
            source,
            account: None,
            trust: &trust,
            witness: None,
            signer: &sample.signer,
            index_key: &sample.index,
            rules: Rules { sweep_days, ..Rules::default() },
            journal: None,
            scratch,
            drill: None,
            config: None,
            clock: &FixedClock(time.parse().unwrap()),
            progress: &Silent,
        })
        .await
    }

    async fn record(&self, report: &Report, name: &str) -> Record {
        let repository = &self.sample.repository;
        let trust = repository.trust(&self.sample.anchor()).await.unwrap();
        let chosen = crate::repo_sample::chosen(repository, &trust, &report.manifest).await;
        let records = repository.records(&chosen, Opener::Index(&self.sample.index));
        records.await.unwrap().into_iter().find(|record| record.secret.name == name).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_listing_does_not_show_is_seen_by_the_sweep_and_its_age_is_told() {
    let host = Host::new();
    host.run("2026-11-01T03:00:00Z", 10).await;
    host.source.edit("s07", |secret| secret.facets.policy = Some("{}".into()));
    let mut seen = None;
    for day in 2..=11 {
        let report = host.run(&format!("2026-11-{day:02}T03:00:00Z"), 10).await;
        let readings = report.manifest.manifest().readings.clone();
        assert_eq!(readings.now + readings.kept, 60);
        assert!(readings.now < 20, "{} read on day {day}", readings.now);
        let record = host.record(&report, "s07").await;
        if record.secret.facets.policy.is_some() {
            seen = seen.or(Some(day));
        } else {
            assert_eq!(record.read.to_string(), "2026-11-01T03:00:00Z", "an old reading says how old it is");
        }
    }
    assert!(seen.is_some_and(|day| day <= 11), "the sweep never came round");
    // What the listing shows is seen at once.
    host.source.edit("s08", |secret| secret.facets.description = Some("new".into()));
    host.source.insert(
        Secret { name: "s09".into(), ..Secret::default() },
        vec![HeldVersion::text("v1", &["AWSPREVIOUS"], "one"), HeldVersion::text("v2", &["AWSCURRENT"], "two")],
    );
    let report = host.run("2026-11-12T03:00:00Z", 1000).await;
    assert_eq!(report.manifest.manifest().readings.clone().now, 2);
    assert_eq!(host.record(&report, "s08").await.secret.facets.description.as_deref(), Some("new"));
    assert_eq!(host.record(&report, "s09").await.versions.len(), 2);
    assert_eq!(report.manifest.manifest().counts.values_read, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_estate_is_sorted_outside_memory_into_several_indexes() {
    const SECRETS: usize = 9_000;
    let host = Host::new();
    for number in 0..SECRETS {
        // Listed in this order, which is not the order of names.
        let name = format!("large/{:05}", number * 7_919 % SECRETS);
        let secret = Secret {
            name,
            facets: Facets { description: Some("d".repeat(2_000)), ..Facets::default() },
            ..Secret::default()
        };
        host.source.insert(secret, vec![HeldVersion::text("v1", &["AWSCURRENT"], "one")]);
    }
    let folder = tempfile::tempdir().unwrap();
    let scratch = Some(folder.path());
    let first = host.run_with("2026-11-01T03:00:00Z", 1000, scratch).await;
    let manifest = first.manifest.manifest();
    let [layer] = &manifest.indexes[..] else { panic!("the first index is one layer") };
    assert!(layer.files.len() >= 3, "{} indexes", layer.files.len());
    let mut names = Vec::new();
    for file in &layer.files {
        let sealed = host.sample.repository.index(file).await.unwrap();
        let records = IndexReader::open("i", sealed, Opener::Index(&host.sample.index)).unwrap();
        names.extend(records.records().map(|record| record.unwrap().secret.name));
    }
    assert_eq!(names.len(), SECRETS + 60);
    assert!(names.is_sorted(), "one order across all indexes");

    host.source.edit("large/04000", |secret| secret.facets.description = Some("new".into()));
    let second = host.run_with("2026-11-01T04:00:00Z", 1000, scratch).await;
    assert_eq!(second.manifest.manifest().readings.clone().now, 1);
    assert_eq!(second.manifest.manifest().counts.values_carried, SECRETS as u64 + 60);
    let trust = host.sample.repository.trust(&host.sample.anchor()).await.unwrap();
    let depth = lifeboat::repo::CheckDepth::Index(&host.sample.index);
    let report = host.sample.repository.check(&trust, depth).await.unwrap();
    assert_eq!(report.faults, []);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_incomplete_is_read_again_at_once() {
    let host = Host::new();
    host.source.refuse("s01", "GetSecretValue", "AccessDeniedException");
    host.source.refuse("s02", "GetResourcePolicy", "AccessDeniedException");
    let pending = HeldVersion { value: None, ..HeldVersion::text("v2", &["AWSPENDING"], "") };
    host.source.insert(
        Secret { name: "s03".into(), ..Secret::default() },
        vec![HeldVersion::text("v1", &["AWSCURRENT"], "one"), pending],
    );
    let first = host.run("2026-11-01T03:00:00Z", 1000).await;
    assert_eq!(first.unreadable.len(), 2);
    host.source.heal();
    let second = host.run("2026-11-01T04:00:00Z", 1000).await;
    assert_eq!(second.unreadable, []);
    let readings = second.manifest.manifest().readings.clone();
    // The third was read again too, and is as it was.
    assert_eq!((readings.now, second.manifest.manifest().counts.values_read), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_or_jumps_back_costs_a_reading_and_no_order() {
    let host = Host::new();
    host.run("2026-11-02T03:00:00Z", 30).await;
    let ahead = host.run("2026-11-20T03:00:00Z", 30).await;
    let back = host.run("2026-11-03T03:00:00Z", 30).await;
    let (ahead, back) = (ahead.manifest.manifest(), back.manifest.manifest());
    assert_eq!((ahead.sequence, back.sequence), (2, 3));
    // What was "read" in the future is read again: nothing is known about its age.
    let future = ahead.readings.now;
    assert!(back.readings.now >= future && future > 0, "{future}");
    let trust = host.sample.repository.trust(&host.sample.anchor()).await.unwrap();
    let chain = host.sample.repository.chain(&trust).await.unwrap();
    assert_eq!(chain.head().unwrap().manifest().sequence, 3, "the chain says what is newest, not the clock");
    assert!(chain.faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_write_may_fail() {
    for n in 1..=5 {
        for faults in [Faults::from_put(n), Faults::put(n), Faults::put_unanswered(n)] {
            let host = Host::new();
            host.run("2026-11-01T03:00:00Z", 30).await;
            let changed = vec![HeldVersion::text("v2", &["AWSCURRENT"], "two")];
            host.source.insert(Secret { name: "s05".into(), ..Secret::default() }, changed);
            let repository = &host.sample.repository;
            let cut = Repository::open(repository.storage().with_faults(Arc::new(faults))).await.unwrap();
            let outcome = host.run_on(&cut, "2026-11-01T04:00:00Z", 30, None).await;
            assert!(matches!(outcome, Err(SnapshotError::Repository(_))), "put {n}");
            let trust = repository.trust(&host.sample.anchor()).await.unwrap();
            let check = async || repository.check(&trust, CheckDepth::Values(&host.sample.recovery)).await.unwrap();
            let report = check().await;
            assert_eq!(report.faults, [], "put {n}");
            // The last write is the manifest: it exists also when its answer was lost.
            assert!(report.snapshots == 1 || (report.snapshots == 2 && n == 5), "put {n}");
            // The next run stores the snapshot of a turn that was taken, and its own, which read the value again.
            let turns = repository.storage().list("turns").await.unwrap().len() as u64;
            let finished = if report.snapshots == 1 { turns } else { 0 };
            host.run("2026-11-01T05:00:00Z", 30).await;
            let report = check().await;
            assert_eq!((report.faults.len(), report.values), (0, 61 + finished), "put {n}");
            assert_eq!(repository.storage().list("turns").await.unwrap(), [], "put {n}");
        }
    }
    let host = Host::new();
    host.run("2026-11-01T03:00:00Z", 30).await;
    let faults = Arc::new(Faults::none());
    let counted = Repository::open(host.sample.repository.storage().with_faults(Arc::clone(&faults))).await.unwrap();
    host.source.insert(
        Secret { name: "s05".into(), ..Secret::default() },
        vec![HeldVersion::text("v2", &["AWSCURRENT"], "two")],
    );
    host.run_on(&counted, "2026-11-01T04:00:00Z", 30, None).await.unwrap();
    assert_eq!(faults.puts(), 5, "a pack, an index, a turn, a signature, a manifest: each was cut");
}
