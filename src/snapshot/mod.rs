//! One snapshot: read the source, seal what is new, refer to what is known, sign the manifest.
//!
//! The manifest is the last write. Whatever stops a run before it leaves packs that nothing refers to.

mod event;
mod hidden;
mod journal;
mod known;
mod lanes;
mod same;
mod small_packs;
mod sweep;
mod tally;
mod walk;
mod writer;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::Timestamp;

use crate::{
    clock::{Clock, to_seconds},
    crypto::{IndexKey, Opener, Recipient, Signer},
    model::{Digest, Part, Place, SnapshotId},
    progress::Progress,
    provider::{ProviderError, Source},
    repo::{
        Accepted, Appending, DRILL, Fault, FaultKind, FileRef, FullPass, LossGuard, Manifest, NoChoice, OpenSet,
        PackSet, Remembered, RepoError, Repository, Seal, Tip, Trust, VerifiedManifest, Witness, pack_name,
    },
};
pub use event::{EventReport, came_by_a_pass, capture};
use journal::Journal;
pub use journal::packs_of_unfinished_runs;
use known::{Earlier, Known, Previous, Shared, Unfinished};
use lanes::Shelf;
use sweep::{Sweep, SweepPace};
use tally::Tally;
use walk::Pass;
use writer::{Before, Writer, Written};

/// What a snapshot needs.
pub struct Request<'a> {
    /// Where it is written.
    pub repository: &'a Repository,
    /// What is captured.
    pub source: Arc<dyn Source>,
    /// The account the source must be, when the configuration names one.
    pub account: Option<&'a str>,
    /// The verified epochs.
    pub trust: &'a Trust,
    /// The newest snapshot this host knows of: a repository that has less was rolled back.
    pub witness: Option<&'a Witness>,
    /// Signs the manifest.
    pub signer: &'a Signer,
    /// Opens the earlier index and is a recipient of the new one.
    pub index_key: &'a IndexKey,
    /// What is left out and what is read again.
    pub rules: Rules<'a>,
    /// Where this host notes what an unfinished run has sealed; without it an interrupted run starts over.
    pub journal: Option<&'a Path>,
    /// A folder of this host for records that do not fit in memory; they are sealed there, and gone when the run ends.
    pub scratch: Option<&'a Path>,
    /// What a drill key opens.
    pub drill: Option<&'a DrillSealing>,
    /// The host's configuration, which the snapshot keeps sealed. It must hold no secret.
    pub config: Option<&'a [u8]>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Watches.
    pub progress: &'a dyn Progress,
}

/// What is left out, what is read again, and what is a loss.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules<'a> {
    /// Leave out names that match.
    pub exclude: &'a [String],
    /// Leave out what is scheduled for deletion and was never captured.
    pub exclude_deleted: bool,
    /// Read every secret again at least every so many days, also when its listing did not change; 0 reads everything now.
    pub sweep_days: u32,
    /// Minutes of the provider's quota that a day may spend on reading again what is older than 20 hours.
    pub sweep_minutes: u32,
    /// How much less a source may have.
    pub guard: LossGuard,
    /// A person accepts that the source lists no more than so many secrets.
    pub accept_drop: Option<u64>,
}

/// What is sealed to a drill key beside the recovery key.
#[derive(Clone, Debug)]
pub struct DrillSealing {
    /// The drill key's recipient.
    pub recipient: Recipient,
    /// Names, with `*` and `?`.
    pub names: Vec<String>,
    /// Every name.
    pub full: bool,
}

impl DrillSealing {
    fn opens(&self, name: &str) -> bool {
        self.full || self.names.iter().any(|pattern| wildmatch::WildMatch::new(pattern).matches(name))
    }

    /// What the key opens of a snapshot; `opened` are the earlier packs that it opens.
    async fn seal(
        &self,
        repository: &Repository,
        (earlier, opened): (&OpenSet, &BTreeSet<Digest>),
        written: &Written,
    ) -> Result<Seal, RepoError> {
        let opens = |file: &&FileRef| written.drill_packs.contains(&file.sha256) || opened.contains(&file.sha256);
        let packs = written.packs.iter().filter(opens).copied().collect();
        let packs = repository.put_pack_set(earlier, &packs).await?;
        Ok(Seal { purpose: DRILL.into(), recipient: self.recipient.clone(), full: self.full, packs, indexes: None })
    }
}

/// A snapshot that exists.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its manifest.
    pub manifest: VerifiedManifest,
    /// What could not be read, by name.
    pub unreadable: Vec<UnreadableItem>,
    /// Names that were listed and then gone, in a second listing too.
    pub vanished: Vec<String>,
    /// What the source had, where it lost more than it may.
    pub loss: Option<Accepted>,
    /// Replicas of other regions, which are captured where their primary lives.
    pub replicas: Vec<String>,
    /// Faults of the history it was added to.
    pub history: Vec<crate::repo::Fault>,
}

/// One part of one secret that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnreadableItem {
    /// The secret's name.
    pub name: String,
    /// The version, when it is a value.
    pub version: Option<String>,
    /// Which part.
    pub part: Part,
    /// The provider's operation.
    pub operation: String,
    /// The provider's error code.
    pub reason: String,
}

/// A snapshot that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The source failed as a whole.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The source is another account than the configuration says.
    #[error("the source is account {found}, but the configuration has {expected}")]
    WrongAccount {
        /// The provider's word.
        found: String,
        /// The configuration's.
        expected: String,
    },
    /// The newest snapshot is not certain: rolled back, forked, or a newer key is in use.
    #[error(transparent)]
    Choice(#[from] NoChoice),
    /// A pack that the snapshot refers to was removed while it was taken.
    #[error("{0} was removed while the snapshot was taken")]
    Gone(String),
    /// A change is captured on top of a complete pass, and there is none to use.
    #[error("no complete snapshot of {0} to add to: {1}")]
    NoPass(String, String),
    /// This host's key is not among the epoch's signers.
    #[error("this host's signing key is not allowed by key epoch {0}")]
    NotASigner(u32),
}

/// Takes a snapshot.
///
/// # Errors
/// See [`SnapshotError`]. What could not be read is not an error: it is in the [`Report`] and the manifest.
pub async fn run(request: &Request<'_>) -> Result<Report, SnapshotError> {
    let own =
        request.witness.map(|head| Remembered { by: "this host".into(), head: *head, holds: false, outside: true });
    let judgement = request.repository.judge(request.trust, own.as_slice()).await?;
    let appending = judgement.for_appending()?;
    run_after(request, &appending, &appending.tip()).await
}

/// Takes a snapshot beside others of this process: the history is judged once for all, and each is added at `tip` when it is
/// ready.
///
/// # Errors
/// As [`run`].
pub async fn run_after(request: &Request<'_>, appending: &Appending<'_>, tip: &Tip) -> Result<Report, SnapshotError> {
    let epoch = request.trust.current();
    let started = to_seconds(request.clock.now());
    let place = request.admitted().await?;

    let newest = appending.newest(&place);
    let held_against = newest.map(|newest| newest.manifest().held_against());
    let mut earlier = Earlier::find(request.repository, request.trust, appending, &place).await?;
    let journal = || {
        let reader = request.index_key.recipient();
        request.journal.map(|folder| Journal::new(folder, &epoch.recipient, reader))
    };
    let shared = Arc::new(shared(request, (appending, earlier.as_ref()), journal(), started).await?);
    if let Some(earlier) = &mut earlier {
        earlier.give_up(&shared.missing);
    }
    let mut writer = request.writer(journal(), started);
    let sweep = match &earlier {
        Some(earlier) => Sweep::new(&earlier.manifest.manifest().sweeps, request.pace(earlier), started),
        None => Sweep::whole(started),
    };
    let arcs = sweep.clone().into_arcs();
    let mut tally = Tally::new(started, &arcs, place.reads_value());
    let mut previous = Previous::new(request.repository, earlier.as_ref(), request.index_key);
    let pass = Pass { request, place: &place, shared: &shared, sweep };
    pass.walk(&mut previous, &mut writer, &mut tally).await?;
    let (is_whole, is_damaged) = previous.end(&mut writer).await?;

    request.progress.begin("write index", None);
    let recipients = [epoch.recipient.clone(), request.index_key.recipient()];
    let opener = Opener::Index(request.index_key);
    let before = Before {
        earlier: earlier.as_ref().map(|earlier| (earlier, opener)),
        is_whole,
        is_addition: false,
        unfinished: &shared.unfinished,
    };
    let written = writer.finish(&recipients, &before, &mut tally).await?;
    let contents = Contents::put(request, earlier.as_ref(), &shared.for_drills, &written, &recipients).await?;
    let counts = tally.counts(written.values_read);
    let accepted = request.rules.guard.judge(held_against.as_ref(), &counts, request.rules.accept_drop);
    let manifest = Manifest {
        version: crate::repo::FORMAT_VERSION,
        repository: request.repository.id(),
        snapshot: SnapshotId::random(),
        sequence: 0,
        previous: None,
        time: started,
        finished: to_seconds(request.clock.now()),
        epoch: epoch.number,
        signer: request.signer.public(),
        source: place,
        packs: contents.packs,
        indexes: written.indexes,
        counts,
        accepted: Some(accepted),
        // A run goes through the whole listing: the pass is its own, and gets its number with the snapshot.
        full: FullPass { sequence: 0, time: started },
        holds: earlier
            .as_ref()
            .and_then(|earlier| earlier.held(is_whole && written.still == earlier.manifest.manifest().counts.stored())),
        readings: tally.readings(),
        sweeps: arcs,
        seals: contents.seals,
        config: contents.config,
        excluded: tally.excluded(),
        unreadable: tally.unreadable_counts(),
        tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into(),
    };
    let lost = lost(earlier.as_ref(), &shared.missing, is_damaged);
    if let Some(gone) = request.repository.missing_of(&manifest).await? {
        return Err(SnapshotError::Gone(gone));
    }
    let manifest = request.repository.append(manifest, request.trust, request.signer, tip).await?;
    if let Some(Err(error)) = journal().map(|journal| journal.clear()) {
        tracing::warn!(%error, "the journal of the run cannot be cleared");
    }
    let tally::Named { unreadable, vanished, replicas } = tally.into_names();
    let loss = accepted.lost.then_some(accepted);
    Ok(Report { manifest, unreadable, vanished, loss, replicas, history: [appending.faults(), lost].concat() })
}

impl<'a> Request<'a> {
    /// The source, where this host may sign and the source is of the account that it must be.
    async fn admitted(&self) -> Result<Place, SnapshotError> {
        let epoch = self.trust.current();
        if !self.trust.allows(epoch.number, &self.signer.public()) {
            return Err(SnapshotError::NotASigner(epoch.number));
        }
        let place = self.source.place().await?;
        check_account(self.account, &place)?;
        Ok(place)
    }

    /// Seals to the recovery key of today; `started` is the time of what it reads.
    fn writer(&self, journal: Option<Journal>, started: Timestamp) -> Writer<'a> {
        let shelf = Shelf {
            repository: self.repository.clone(),
            recipients: vec![self.trust.current().recipient.clone()],
            drill: self.drill.map(|drill| drill.recipient.clone()),
            journal,
            read: started,
        };
        Writer::new(self.repository, self.scratch, shelf)
    }

    /// How much of an earlier snapshot is read again.
    fn pace(&self, earlier: &Earlier) -> SweepPace {
        let counts = earlier.manifest.manifest().counts;
        // What has no quota has no share of it to spend.
        let read = self.source.pace().map_or(0.0, |pace| pace.read);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is not negative"
        )]
        let budget = (read * 60.0 * f64::from(self.rules.sweep_minutes)) as u64;
        SweepPace { days: self.rules.sweep_days, budget, secrets: counts.captured + counts.unreadable }
    }
}

/// What of the snapshot before is gone. Its values were read again as far as the source still has them; the others are lost.
fn lost(earlier: Option<&Earlier>, missing: &BTreeSet<Digest>, is_damaged: bool) -> Vec<Fault> {
    let Some(earlier) = earlier else { return Vec::new() };
    let read_again = "its content was read again, if the source still has it";
    let packs = missing.iter().map(|pack| Fault::new(&pack_name(pack), FaultKind::Missing, read_again));
    let index = is_damaged.then(|| {
        let file = earlier.manifest.verified().file();
        Fault::new(&file, FaultKind::Damaged, "its index cannot be read; every value was read again")
    });
    packs.chain(index).collect()
}

/// What decides which values count as sealed. Where small packs cannot be looked for, none is given up.
async fn shared(
    request: &Request<'_>,
    (appending, earlier): (&Appending<'_>, Option<&Earlier>),
    journal: Option<Journal>,
    now: Timestamp,
) -> Result<Shared, RepoError> {
    let mut shared = Shared::default();
    if let Some(journal) = journal {
        shared.unfinished = Unfinished::of(journal.load(request.repository, request.index_key).await);
    }
    let Some(earlier) = earlier else { return Ok(shared) };
    shared.missing = request.repository.missing_packs(earlier.packs.packs()).await?;
    if let Some(drill) = request.drill {
        shared.for_drills = earlier.drill_packs(&drill.recipient);
    }
    let given_up = async {
        let mut packs = small_packs::to_be_given_up(request.repository, earlier, request.index_key, now).await?;
        packs.extend(small_packs::of_events(request.repository, earlier, appending).await?);
        Ok::<_, RepoError>(packs)
    };
    match given_up.await {
        Ok(packs) => shared.given_up = packs,
        Err(error) => tracing::warn!(%error, "the earlier index cannot be read; small packs stay as they are"),
    }
    Ok(shared)
}

/// What a manifest names beside its index.
struct Contents {
    packs: PackSet,
    seals: Vec<Seal>,
    config: Option<FileRef>,
}

impl Contents {
    /// Stores what is new of it.
    async fn put(
        request: &Request<'_>,
        earlier: Option<&Earlier>,
        opened: &BTreeSet<Digest>,
        written: &Written,
        recipients: &[Recipient],
    ) -> Result<Self, RepoError> {
        let none = OpenSet::default();
        let before = earlier.map_or((&none, &none), |earlier| (&earlier.packs, earlier.drill()));
        let packs = request.repository.put_pack_set(before.0, &written.packs).await?;
        let mut seals = Vec::new();
        if let Some(drill) = request.drill {
            seals.push(drill.seal(request.repository, (before.1, opened), written).await?);
        }
        let config = match request.config {
            Some(config) => Some(put_config(request, earlier, config, recipients).await?),
            None => None,
        };
        Ok(Self { packs, seals, config })
    }
}

/// The configuration: the file of the earlier snapshot where its content is the same.
async fn put_config(
    request: &Request<'_>,
    earlier: Option<&Earlier>,
    config: &[u8],
    recipients: &[Recipient],
) -> Result<FileRef, RepoError> {
    if let Some(file) = earlier.and_then(|earlier| earlier.manifest.manifest().config) {
        let before = request.repository.config(&file, Opener::Index(request.index_key)).await;
        if before.is_ok_and(|before| before == config) {
            return Ok(file);
        }
    }
    request.repository.put_config(config, recipients).await
}

fn check_account(expected: Option<&str>, place: &Place) -> Result<(), SnapshotError> {
    match expected {
        Some(expected) if expected != place.account => {
            Err(SnapshotError::WrongAccount { found: place.account.clone(), expected: expected.into() })
        }
        _ => Ok(()),
    }
}
