//! `lifeboat demo`: the whole story on the embedded sandbox.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::builder::{PossibleValue, PossibleValuesParser};
use jiff::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Context, Exit, Failure, drill::summary, handover, init, made::Made, output::plural, restore as cli_restore,
    watch::Watch,
};
use crate::{
    clock::{Clock, SystemClock, to_seconds},
    config::{
        AlarmsSection, Config, CustodySection, DEFAULT_SWEEP_DAYS, DrillSection, KeysSection, PolicySection,
        RepositorySection, RestoreSection, RetentionSection, SourceSection, Sources, StatusSection, TrustSection,
    },
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    custody::{self, CeremonyRequest, Held, Paper},
    drill::{self, Verdict},
    emulator::{Across, DATABASE, STAGES, Stage, stage},
    fsutil::{self, Access, Existing},
    isolation::Isolation,
    model::RepositoryId,
    provider::Connected,
    repo::{self, AllowedSigner, Repository, Trust},
    restore::{self, Options, Values, Verification},
    share::Gathering,
    snapshot::{self, Rules},
    storage::Storage,
};

const CUSTODIANS: [&str; 5] = ["Ana Torres", "Bora Çelik", "Chloé Martin", "Đặng An", "Eli Novak"];
/// The sheets that come to the room: not the first three.
const PRESENT: [usize; 3] = [1, 3, 4];

/// Tell the whole story on the embedded sandbox, in about a minute
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat demo
  lifeboat demo --source vault     the same with a Vault that is lost
  lifeboat demo --break value      must end with exit code 3 and name what differs

No cloud account, no network beyond loopback. The folder it leaves can be looked at and thrown
away.")]
pub struct Args {
    /// The folder it leaves (default: lifeboat-demo/TIME)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the secrets are that get lost
    #[arg(long, value_name = "KIND", default_value = STAGES[0].0,
        value_parser = PossibleValuesParser::new(STAGES.map(|(name, lost)| PossibleValue::new(name).help(lost))))]
    source: String,
    /// Plant a fault in the restored side, to see that the comparison can fail
    #[arg(long = "break", value_enum, value_name = "WHAT")]
    plant: Option<Plant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Plant {
    /// One wrong byte in one restored value
    Value,
}

/// The scene: what is lost and what takes its place, and a folder for what is left behind.
struct Scene {
    side: Box<dyn Stage>,
    out: PathBuf,
    watch: Watch,
}

/// What the ceremony leaves on the backup host.
struct Host {
    repository: Repository,
    trust: Trust,
    signer: Signer,
    index_key: IndexKey,
    sheets: Vec<PathBuf>,
}

/// What the recovery measured.
struct Recovery {
    key: RecoveryKey,
    copy: Repository,
    trust: Trust,
    verification: Verification,
    complete: bool,
    rto_seconds: f64,
    rpo_seconds: f64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let started = Instant::now();
    if !cfg!(feature = "paper") {
        return Err(Failure::usage("this build makes no sheets: the feature paper is missing")
            .hint("use a build with the feature paper; `lifeboat --version` lists those of this one"));
    }
    let out = args.out.unwrap_or_else(default_folder);
    if out.is_dir() && std::fs::read_dir(&out)?.next().is_some() {
        return Err(Failure::new(Exit::Refused, format!("the folder {} is not empty", out.display())));
    }
    fsutil::create_folder(&out, Access::Private)?;
    let side = stage(&args.source, &out).await?;
    let scene = Scene { side, out, watch: Watch::new(context.output.json) };

    step(context, "1 ", &format!("{}, on the embedded sandbox", scene.side.live()));
    scene.side.seed().await?;
    step(context, "2 ", "init: a recovery key, split among 5 custodians of whom 3 are needed, then forgotten");
    let host = ceremony(&scene).await?;
    step(
        context,
        "3 ",
        "two days: snapshot, a rotation and a deletion, snapshot; each copied to the other region's storage",
    );
    two_days(context, &scene, &host).await?;
    let lost = scene.side.lost();
    step(context, "4 ", &format!("{lost} is gone: every call to it fails, and the storage there with it"));
    let lost = lose_region(&scene).await?;
    step(context, "5 ", "a clean machine, the copy, and three sheets of paper");
    let recovery = Box::pin(recover(context, &scene, &host, args.plant, lost)).await?;
    step(
        context,
        "6 ",
        &format!("the monthly drill: the same into {}, compared, cleaned up, signed", scene.side.drill_place()),
    );
    let (record, stored) = Box::pin(hold_drill(&scene, &host, &recovery)).await?;
    let has_crossed = across(context, &scene, &recovery).await?;
    scene.watch.done();

    for line in cli_restore::differences(&recovery.verification) {
        context.output.warn(&line);
    }
    let is_restored = recovery.complete && recovery.verification.passed();
    let held = is_restored && record.result == Verdict::Passed && has_crossed;
    let record_file = scene.out.join("region-b/repository/drills").join(format!("{}.json", stored.name));
    let value = json!({
        "complete": held, "verification": recovery.verification, "drill": record, "rto_seconds": recovery.rto_seconds,
        "rpo_seconds": recovery.rpo_seconds, "seconds": started.elapsed().as_secs_f64(), "folder": scene.out,
        "sheets": scene.out.join("sheets"), "repository": scene.out.join("region-b/repository"), "record": record_file,
    });
    context.output.result(&value, || {
        let state = if held { "Every comparison held." } else { "A COMPARISON FAILED: see the warnings above." };
        format!(
            "\n{}\n{state}\n\nRTO {:.1} s (lost → everything restored and verified), RPO {:.1} s (age of the snapshot)\n{}\n\n\
             sheets      {}\nscript      {}\nrepository  {}\nrecord      {}",
            cli_restore::verified_table(&recovery.verification),
            recovery.rto_seconds,
            recovery.rpo_seconds,
            summary(&record, &stored),
            scene.out.join("sheets").display(),
            scene.out.join("ceremony.txt").display(),
            scene.out.join("region-b/repository").display(),
            record_file.display(),
        )
    });
    Ok(if held { Exit::Complete } else { Exit::Incomplete })
}

fn default_folder() -> PathBuf {
    Path::new("lifeboat-demo").join(SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string())
}

fn step(context: &Context, number: &str, text: &str) {
    context.output.note(&format!("\n{number} {text}"));
}

impl Scene {
    fn storage(&self, region: &str) -> Result<Storage, Failure> {
        Ok(Storage::open(&self.out.join(region).join("repository").to_string_lossy())?)
    }
}

async fn ceremony(scene: &Scene) -> Result<Host, Failure> {
    let (signer, index_key) = (Signer::generate(), IndexKey::generate());
    let ceremony = custody::hold(&CeremonyRequest {
        repository: RepositoryId::random(),
        threshold: 3,
        custodians: CUSTODIANS.map(String::from).to_vec(),
        signers: vec![AllowedSigner { name: "backup host".into(), key: signer.public() }],
        created: to_seconds(SystemClock.now()),
        paper: Paper::A4,
        contact: custody::Contact::default(),
    })?;
    let folder = scene.out.join("sheets");
    let mut made = Made::default();
    let sheets = handover::write_sheets(&folder, &ceremony, &mut made)?;
    let held = Held { kind: None, folder: Some(&folder), sealed: &[] };
    let script = custody::script(&ceremony.epoch, held);
    fsutil::write(&scene.out.join("ceremony.txt"), script.as_bytes(), Access::Public, Existing::Keep)?;
    let sheets = sheets.into_iter().map(|sheet| sheet.text).collect();
    let config_path = scene.out.join("lifeboat.toml");
    let keys = init::write_keys(&config_path, &signer, &index_key, &ceremony.versions, &mut made)?;
    made.keep();
    fsutil::create_folder(&scene.out.join("region-a"), Access::Public)?;
    let repository = Repository::create(scene.storage("region-a")?, &ceremony.epoch, &ceremony.root).await?;
    write_config(&config_path, keys, &ceremony.epoch, scene.side.address())?;
    let trust = repository
        .trust(&repo::TrustAnchor { root: ceremony.epoch.root.clone(), recipient: ceremony.epoch.recipient.clone() })
        .await?;
    Ok(Host { repository, trust, signer, index_key, sheets })
}

/// The configuration a host would have; it points at the copy, which is what is left in the end.
fn write_config(
    path: &Path,
    keys: KeysSection,
    epoch: &repo::Epoch,
    (address, account): (String, Option<&'static str>),
) -> Result<(), Failure> {
    let folder = std::path::absolute(path)?.parent().unwrap_or(Path::new(".")).to_owned();
    let url = |region: &str| folder.join(region).join("repository").to_string_lossy().into_owned();
    let config = Config {
        repository: RepositorySection { url: url("region-b") },
        sources: Sources::One(SourceSection::new(address.parse()?, account.map(str::to_owned))),
        trust: TrustSection { root: epoch.root.to_string(), recipient: epoch.recipient.to_string() },
        keys,
        restore: RestoreSection::default(),
        policy: PolicySection::default(),
        retention: RetentionSection::default(),
        status: StatusSection::default(),
        drill: DrillSection::default(),
        custody: CustodySection::default(),
        alarms: AlarmsSection::default(),
        hooks: Vec::new(),
        copies: Vec::new(),
    };
    Ok(fsutil::write(path, config.to_text().as_bytes(), Access::Public, Existing::Keep)?)
}

async fn two_days(context: &Context, scene: &Scene, host: &Host) -> Result<(), Failure> {
    for day in 1..=2 {
        if day == 2 {
            scene.side.second_day().await?;
        }
        let report = snapshot::run(&snapshot::Request {
            repository: &host.repository,
            source: scene.side.source().await?,
            account: scene.side.address().1,
            trust: &host.trust,
            witness: None,
            signer: &host.signer,
            index_key: &host.index_key,
            rules: Rules { sweep_days: DEFAULT_SWEEP_DAYS, ..Rules::default() },
            journal: None,
            scratch: None,
            drill: None,
            config: None,
            clock: &SystemClock,
            progress: &scene.watch,
        })
        .await?;
        let copied = repo::copy(&host.repository, &host.trust, &scene.storage("region-b")?).await?;
        let counts = report.manifest.manifest().counts;
        context.output.note(&format!(
            "   day {day}: {}, {}; {} read, {} kept from before; {} copied and read back",
            plural(counts.captured, "secret"),
            plural(counts.versions, "version"),
            plural(counts.values_read, "value"),
            counts.values_carried,
            plural(copied.copied, "file"),
        ));
    }
    Ok(())
}

/// Takes region A and its storage away, and proves that they are.
async fn lose_region(scene: &Scene) -> Result<Timestamp, Failure> {
    scene.side.lose();
    fsutil::move_folder(&scene.out.join("region-a"), &scene.out.join("region-a.lost"))?;
    let lost = SystemClock.now();
    let reachable = match scene.side.source().await {
        Ok(provider) => provider.place().await.is_ok(),
        Err(_) => false,
    };
    let storage = Repository::open(scene.storage("region-a")?).await.is_ok();
    if reachable || storage {
        return Err(Failure::new(Exit::Failed, "what is lost still answers"));
    }
    Ok(lost)
}

async fn recover(
    context: &Context,
    scene: &Scene,
    host: &Host,
    plant: Option<Plant>,
    lost: Timestamp,
) -> Result<Recovery, Failure> {
    let copy = Repository::open(scene.storage("region-b")?).await?;
    let mut gathering = Gathering::new(custody::registers(&copy.epochs().await?));
    for sheet in PRESENT.map(|position| &host.sheets[position]) {
        let text = Zeroizing::new(fsutil::read(sheet)?);
        let progress = gathering.add(&sheet.to_string_lossy(), std::str::from_utf8(&text).unwrap_or_default())?;
        context.output.note(&format!(
            "   have {} of 3 sheets: {}",
            progress.present.len(),
            progress.present.join(", ")
        ));
    }
    let key = gathering.quorum()?.recover()?;
    let trust = copy.trust(&custody::anchor(&key)).await?;
    let manifest = copy.judge(&trust, &[]).await?.newest(None)?;
    let records = copy.record_stream(&manifest, Opener::Recovery(&key));
    let Connected { target, readback } = scene.side.target().await?;
    let options = Options::default();
    let found = restore::look(&*target, &manifest, records, &options, None).await?;
    let plan = restore::make(&manifest, &found, &options)?;
    let summary = plan.summary()?;
    context.output.note(&format!("\n{}", cli_restore::describe(&plan, &summary, 0.9)?));

    let values = Values::new(&copy, &manifest, &key);
    let execution = restore::execute(&plan, &values, &target, &scene.watch).await?;
    if plant == Some(Plant::Value) {
        let version = scene.side.corrupt()?;
        context.output.note(&format!("   planted: one wrong byte in {DATABASE} version {version}"));
    }
    let verification = restore::verify(&plan, &values, &readback, &scene.watch).await?;
    let now = SystemClock.now();
    drop(values);
    Ok(Recovery {
        key,
        copy,
        trust,
        complete: summary.complete && execution.failed.is_empty(),
        verification,
        rto_seconds: now.duration_since(lost).as_secs_f64(),
        rpo_seconds: lost.duration_since(manifest.manifest().time).as_secs_f64(),
    })
}

/// Restores one of the secrets into a place of another kind, where this build has one; whether it is equal there.
async fn across(context: &Context, scene: &Scene, recovery: &Recovery) -> Result<bool, Failure> {
    let Some(Across { name, connected, held: _held }) = scene.side.across(&scene.out).await? else { return Ok(true) };
    step(context, "7 ", &format!("across kinds: {DATABASE} into {name}, as long as the provider is away"));
    let Connected { target, readback } = connected;
    let manifest = recovery.copy.judge(&recovery.trust, &[]).await?.newest(None)?;
    let records = recovery.copy.record_stream(&manifest, Opener::Recovery(&recovery.key));
    let options = Options { names: vec![DATABASE.to_owned()], ..Options::default() };
    let found = restore::look(&*target, &manifest, records, &options, None).await?;
    let plan = restore::make(&manifest, &found, &options)?;
    let values = Values::new(&recovery.copy, &manifest, &recovery.key);
    let execution = restore::execute(&plan, &values, &target, &scene.watch).await?;
    let verification = restore::verify(&plan, &values, &readback, &scene.watch).await?;
    for line in cli_restore::differences(&verification) {
        context.output.warn(&line);
    }
    let is_equal = verification.passed() && execution.failed.is_empty();
    context.output.note(&format!(
        "   {} and {} compared with the snapshot: {}",
        plural(verification.versions, "version"),
        plural(verification.values, "value"),
        if is_equal { "all equal" } else { "NOT EQUAL" },
    ));
    Ok(is_equal)
}

async fn hold_drill(
    scene: &Scene,
    host: &Host,
    recovery: &Recovery,
) -> Result<(drill::Record, repo::StoredDrill), Failure> {
    let Connected { target, readback } = scene.side.drill_target().await?;
    let account = target.place().await?.account;
    let file = drill::DrillFile::parse(&scene.side.drill_file())
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let request = drill::Request {
        name: "demo",
        file: &file,
        digests: drill::Digests::default(),
        repository: &recovery.copy,
        is_copy: true,
        trust: &recovery.trust,
        remembered: &[],
        expected: None,
        accepted: &[],
        target,
        readback,
        allowed_accounts: &[account],
        canaries: &[],
        isolation: &Isolation::default(),
        signer: &host.signer,
        past: &[],
        plants: &drill::PLANTS,
        journal: None,
        clock: &SystemClock,
        progress: &scene.watch,
        before_verify: &|| {},
    };
    let ready = drill::preflight(&request).await?;
    let (operator, how, time) = ("lifeboat demo".into(), "--yes".into(), SystemClock.now());
    let approval = drill::Approval { operator, how, time, ..drill::Approval::default() };
    let custodians = PRESENT.map(|position| CUSTODIANS[position].to_owned()).to_vec();
    let opening = drill::Opening::Quorum { key: &recovery.key, custodians };
    let outcome = Box::pin(drill::hold(&request, ready, approval, &opening, std::future::pending())).await?;
    match outcome.error {
        Some(error) => Err(error.into()),
        None => Ok((outcome.record, outcome.stored)),
    }
}
