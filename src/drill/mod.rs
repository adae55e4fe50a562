//! A drill: a restore into a sandbox, compared, tried, cleaned up, measured and signed.
//!
//! There is no second restore path: plan, execution and verification are [`crate::restore`]'s. [`preflight`] writes
//! nothing; [`hold()`] does the rest and leaves a record whatever happens.

mod checks;
mod choose;
mod clean;
mod controls;
pub mod evidence;
mod file;
mod glass;
mod hold;
mod journal;
mod leftovers;
mod mark;
#[cfg(test)]
mod meddled;
mod notify;
mod own;
mod parse;
mod past;
#[cfg(test)]
mod plain;
mod probe;
mod ready;
mod record;
mod redact;
pub mod report;
mod review;
pub mod schedule;
mod target;
mod verdict;

use std::{path::Path, sync::Arc};

use crate::{
    clock::Clock,
    crypto::{DrillKey, IndexKey, Opener, RecoveryKey, Signer},
    isolation::Isolation,
    model::{Digest, Place},
    progress::Progress,
    provider::{ProviderError, Source, Target},
    repo::{AcceptedFault, Manifest, NoChoice, Remembered, RepoError, Repository, Trust},
    restore::{ExecuteError, LookError, PlanError},
};

pub use crate::restore::Aspect;
pub use clean::{Removed, clean};
pub use controls::{PLANTS, Plant, plant};
pub use file::{
    ChecksSection, DrillFile, Notifier, Objectives, On, OpenSection, OpenedBy, Probe, ReportSection, RestoreSection,
    ReviewSection, Select, Size, SnapshotSection, TargetKind, TargetSection, What,
};
pub use hold::{Outcome, hold};
pub use journal::{Unfinished, unfinished};
pub use notify::tell;
pub use parse::DrillFileError;
pub use past::{Facts, Past, Rhythm, Turn, as_of, judge, missed, turns};
pub use ready::{Ready, preflight};
pub use record::*;

/// The key of the tag; its value is the drill's mark.
pub use crate::model::DRILL_TAG as TAG;

/// What a drill needs.
pub struct Request<'a> {
    /// The name of the drill file, without `.toml`; empty for a drill described on the command line.
    pub name: &'a str,
    /// The description.
    pub file: &'a DrillFile,
    /// Digests for the record.
    pub digests: Digests,
    /// The repository or copy the drill restores from.
    pub repository: &'a Repository,
    /// Whether that is a copy.
    pub is_copy: bool,
    /// Its verified epochs.
    pub trust: &'a Trust,
    /// Heads that others remember of it.
    pub remembered: &'a [Remembered],
    /// The number that the newest snapshot has at least, where somebody was told it.
    pub expected: Option<u64>,
    /// Faults of its history that a person accepts.
    pub accepted: &'a [AcceptedFault],
    /// The sandbox, written to.
    pub target: Arc<dyn Target>,
    /// The same sandbox, read back.
    pub readback: Arc<dyn Source>,
    /// The accounts the configuration allows; empty allows every one but the source's.
    pub allowed_accounts: &'a [String],
    /// The canaries of the configuration.
    pub canaries: &'a [String],
    /// What every connection of this drill passes.
    pub isolation: &'a Isolation,
    /// Signs the record.
    pub signer: &'a Signer,
    /// The drills before this one.
    pub past: &'a [Past],
    /// The faults to plant; [`PLANTS`].
    pub plants: &'a [Plant],
    /// Where an unfinished drill is remembered.
    pub journal: Option<&'a Path>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Watches.
    pub progress: &'a dyn Progress,
    /// Done between restore and verification; a planted fault proves that the comparison can fail.
    pub before_verify: &'a (dyn Fn() + Sync),
}

/// Digests of what the record names and does not hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digests {
    /// The program.
    pub tool: Option<Digest>,
    /// The configuration.
    pub config: Option<Digest>,
    /// The drill file.
    pub file: Option<Digest>,
    /// The runbook.
    pub runbook: Option<Digest>,
}

/// Who opens the packs.
pub enum Opening<'a> {
    /// A quorum.
    Quorum {
        /// What it gave.
        key: &'a RecoveryKey,
        /// Whose sheets.
        custodians: Vec<String>,
    },
    /// The sandbox's own key; records are read with the index key.
    DrillKey {
        /// Opens the packs that are sealed to it.
        key: &'a DrillKey,
        /// Opens the index.
        index: &'a IndexKey,
    },
}

impl<'a> Opening<'a> {
    fn index(&self) -> Opener<'a> {
        match self {
            Self::Quorum { key, .. } => Opener::Recovery(key),
            Self::DrillKey { index, .. } => Opener::Index(index),
        }
    }

    /// Whether it can open values of a snapshot at all; why not.
    fn opens(&self, manifest: &Manifest) -> Result<(), String> {
        let Self::DrillKey { key, .. } = self else { return Ok(()) };
        let number = manifest.sequence;
        match manifest.drill() {
            None => Err(format!(
                "no value of snapshot number {number} is sealed to a drill key: [drill] recipient was not set when it was taken"
            )),
            Some(seal) if seal.recipient != key.recipient() => Err(format!(
                "the canaries of snapshot number {number} are sealed to another drill key than [drill] key"
            )),
            Some(_) => Ok(()),
        }
    }

    fn packs(&self) -> Opener<'a> {
        match self {
            Self::Quorum { key, .. } => Opener::Recovery(key),
            Self::DrillKey { key, .. } => Opener::Drill(key),
        }
    }
}

/// A drill that did not take place.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The target is no sandbox; every reason.
    #[error("{}", .0.join("; "))]
    NotASandbox(Vec<String>),
    /// The sandbox holds secrets of these names.
    #[error("the sandbox is not empty: {0} exists there")]
    NotEmpty(String),
    /// Something in the sandbox has a drill's tag or a drill's name, and nothing proves that a drill made it; names and why.
    #[error("the sandbox has secrets without proof that a drill of this host made them: {0}")]
    NotOurs(String),
    /// A drill was killed in another place, and what it created there is not removed yet.
    #[error("drill {drill:?} was killed and left {} in {place}", secrets(*.count))]
    Elsewhere {
        /// The name of its drill file.
        drill: String,
        /// How many creations it had begun.
        count: usize,
        /// Where.
        place: Place,
    },
    /// No snapshot is as the drill file wants it.
    #[error("there is no snapshot to drill with: {0}")]
    NoSnapshot(String),
    /// The drill key does not open what is to be restored; why.
    #[error("{0}")]
    NotSealed(String),
    /// The history does not allow the choice.
    #[error(transparent)]
    Choice(#[from] NoChoice),
    /// The guard let something through, or the negative controls could not be made.
    #[error("the safeguards of the drill do not work: {0}")]
    Control(String),
    /// The server of break glass, or its client.
    #[error("the server of the drill failed: {0}")]
    Glass(String),
    /// No plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The sandbox cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The target failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The restore failed as a whole.
    #[error(transparent)]
    Execute(Box<ExecuteError>),
    /// The journal cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<ExecuteError> for DrillError {
    fn from(error: ExecuteError) -> Self {
        Self::Execute(Box::new(error))
    }
}

fn secrets(count: usize) -> String {
    crate::text::plural(count as u64, "secret")
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

fn seconds(from: jiff::Timestamp, to: jiff::Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
