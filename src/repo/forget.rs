//! Forgetting snapshots: a signed record first, the files only after a window in which it can be undone.
//!
//! A record names each snapshot with its place in the chain, so that the chain stays verifiable without it: what a
//! record names is forgotten, what no record names was removed. It also names the files that only those snapshots need, so
//! that a sweep cut short is finished by the next one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Chain, FORMAT_VERSION, Fault, FaultKind, Going, Judgement, PackLists, Refusal, RepoError, Repository, Retention,
    Signed, Trust, VerifiedManifest, chain::By, content::SignedFile, from_json, layout, memory::Recall, to_json,
};
use crate::{
    clock::to_seconds,
    crypto::{Namespace, PublicKey, Signer, verify},
    model::{Digest, RepositoryId, SnapshotId},
    storage::StorageError,
};

/// What one record names at most, so that it stays far below the size that every reader takes. Files that it does not name any more
/// are found by the next one.
const MOST_SNAPSHOTS: usize = 10_000;
const MOST_FILES: usize = 100_000;

/// `forgotten/<UTC time>-<short id>.json`, signed by a signer of its epoch (namespace `lifeboat-forget`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgetRecord {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// This record.
    pub forget: SnapshotId,
    /// When it was made, whole seconds, UTC.
    pub time: Timestamp,
    /// From when on files may be removed: the end of the window.
    pub after: Timestamp,
    /// The digest of an earlier record that this one takes back; then it forgets nothing itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Digest>,
    /// The rules by which it was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<ForgetRules>,
    /// What is forgotten, in chain order.
    pub snapshots: Vec<Forgotten>,
    /// Packs, lists, index files and configurations that no other snapshot needed when it was made.
    pub files: Vec<String>,
    /// The key epoch of the signer.
    pub epoch: u32,
    /// Who signs.
    pub signer: PublicKey,
}

/// A snapshot's place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forgotten {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Its number.
    pub sequence: u64,
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// SHA-256 of the manifest before it.
    pub previous: Option<Digest>,
    /// Its recovery point.
    pub time: Timestamp,
}

/// [`Retention`] as a record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the rules' own names")]
pub struct ForgetRules {
    pub keep_last: u32,
    pub keep_daily: u32,
    pub keep_weekly: u32,
    pub keep_monthly: u32,
    pub keep_yearly: u32,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_within: Option<u64>,
}

/// A record whose signature reaches the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedForget {
    /// The content.
    pub record: ForgetRecord,
    /// SHA-256 of the exact bytes.
    pub digest: Digest,
    /// The file name below `forgotten/`, without `.json`.
    pub name: String,
    /// When the storage says that the file appeared.
    pub appeared: Timestamp,
}

/// The records that carry out a plan.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Names what goes without a window.
    pub at_once: Option<VerifiedForget>,
    /// Names what can be taken back for a time.
    pub later: Option<VerifiedForget>,
}

/// The records of a repository.
#[derive(Clone, Debug, Default)]
pub struct ForgetRecords {
    /// Those that count and were not taken back, oldest first.
    pub in_force: Vec<VerifiedForget>,
    /// What is wrong with the others.
    pub faults: Vec<Fault>,
    /// The files of those that count, undone and undoing ones included.
    pub(super) counting: Vec<String>,
    /// Those that take another one back, by stem and digest.
    pub(super) undoing: Vec<(String, Digest)>,
    /// Files read, signatures included.
    pub(super) files: u64,
}

/// A forgetting that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The history is not whole, so nothing may be concluded from it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The newest snapshot never goes.
    #[error("the newest snapshot cannot be forgotten")]
    Newest,
    /// This host's key may not sign for the newest epoch.
    #[error("this host's signing key is not allowed by key epoch {0}")]
    NotASigner(u32),
    /// There is no such record in force.
    #[error("there is nothing to undo: {0}")]
    NoRecord(String),
    /// The files are gone already.
    #[error("snapshot number {0} is already removed and cannot be recovered")]
    Gone(u64),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

impl From<StorageError> for ForgetError {
    fn from(error: StorageError) -> Self {
        Self::Repository(error.into())
    }
}

impl Repository {
    /// Reads and verifies every forget record.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with single ones is in the answer.
    pub async fn forget_records(&self, trust: &Trust) -> Result<ForgetRecords, RepoError> {
        self.recalled_forget_records(trust, &mut Recall::default(), By::Bundles).await
    }

    /// The same; what this host verified before is not read again.
    pub(super) async fn recalled_forget_records(
        &self,
        trust: &Trust,
        recall: &mut Recall,
        by: By,
    ) -> Result<ForgetRecords, RepoError> {
        let mut found = ForgetRecords::default();
        let mut all = Vec::new();
        for file in self.recalled_files(layout::FORGOTTEN, recall, by, &mut found.faults).await? {
            found.files += file.files();
            match self.judge_forget(&file, trust) {
                Ok(record) => {
                    recall.keep(&file.name, &file.bytes, file.signature.as_deref().unwrap_or_default());
                    // Times of the format are whole seconds, and so is the clock that this is held against.
                    let (digest, appeared) = (Digest::of(&file.bytes), to_seconds(file.modified));
                    if record.undoes.is_some() {
                        found.undoing.push((file.stem.clone(), digest));
                    }
                    all.push(VerifiedForget { record, digest, name: file.stem, appeared });
                    found.counting.push(file.name);
                }
                Err((kind, detail)) => found.faults.push(Fault::new(&file.name, kind, detail)),
            }
        }
        let undone: BTreeSet<Digest> = all.iter().filter_map(|each| each.record.undoes).collect();
        all.retain(|each| each.record.undoes.is_none() && !undone.contains(&each.digest));
        // Listings are sorted by name, and a name begins with the time: oldest first.
        found.in_force = all;
        Ok(found)
    }

    /// A record counts while its signer may sign. When that right is removed, its order lapses; what was removed by it until then
    /// is in the closing list.
    fn judge_forget(&self, file: &SignedFile, trust: &Trust) -> Result<ForgetRecord, (FaultKind, String)> {
        let record: ForgetRecord = from_json(&file.bytes).map_err(|reason| (FaultKind::Damaged, reason))?;
        let Some(signature) = &file.signature else {
            return Err((FaultKind::Unsigned, "it has no signature".into()));
        };
        if record.repository != self.id {
            return Err((FaultKind::Untrusted, "it belongs to another repository".into()));
        }
        let (epoch, signer) = (record.epoch, &record.signer);
        if !trust.allows(epoch, signer) {
            let detail = format!("{} may not sign for epoch {epoch}", signer.fingerprint());
            return Err((FaultKind::Untrusted, detail));
        }
        if !file.is_known {
            verify(signer, Namespace::Forget, &file.bytes, signature)
                .map_err(|error| (FaultKind::Untrusted, error.to_string()))?;
        }
        if layout::stem(record.time, record.forget) != file.stem {
            return Err((FaultKind::Renamed, "it is genuine, but has the name of another file".into()));
        }
        // What one that was removed since took back stays taken back, if the closing list says so; what it ordered lapses.
        let counts = trust.counts(Signed::Forget, epoch, signer, &Digest::of(&file.bytes));
        if counts.is_err() || (record.undoes.is_none() && !trust.allows_now(signer)) {
            return Err((FaultKind::Junk, "its signer may not sign any more: it has no effect".into()));
        }
        Ok(record)
    }

    /// Marks what goes: what a later snapshot of this signer holds without a window, so that it may be removed at once, and
    /// the rest so that nothing is removed for the time of `undo`. Gives a record of each kind, where there is something to name.
    ///
    /// # Errors
    /// As [`Self::forget`].
    pub async fn forget_by(
        &self,
        judgement: &Judgement,
        trust: &Trust,
        going: &Going,
        (now, undo): (Timestamp, SignedDuration),
        rules: &Retention,
        signer: &Signer,
    ) -> Result<Orders, ForgetError> {
        let chain = judgement.sound()?;
        let (Going { at_once, later }, rules) = (going, ForgetRules::of(rules));
        let mut orders = Orders::default();
        // Not after the newest snapshot: a sweep waits for one that is newer than the end of the window.
        if let Some(head) = chain.head().filter(|_| !at_once.is_empty()) {
            let times = (now, now.min(head.manifest().time));
            orders.at_once = Some(self.order(chain, trust, (at_once, false), times, Some(rules), signer).await?);
        }
        if !later.is_empty() {
            let times = (now, now + undo);
            orders.later = Some(self.order(chain, trust, (later, true), times, Some(rules), signer).await?);
        }
        Ok(orders)
    }

    /// Marks snapshots as forgotten: nothing is removed before `after`. Gives the record: of
    /// very many snapshots it names the oldest, and a later one names the others.
    ///
    /// # Errors
    /// [`ForgetError::Refused`] when the history is not whole, [`ForgetError::Newest`], [`ForgetError::NotASigner`].
    pub async fn forget(
        &self,
        judgement: &Judgement,
        trust: &Trust,
        names: &BTreeSet<String>,
        window: (Timestamp, Timestamp),
        rules: Option<&Retention>,
        signer: &Signer,
    ) -> Result<VerifiedForget, ForgetError> {
        self.order(judgement.sound()?, trust, (names, true), window, rules.map(ForgetRules::of), signer).await
    }

    /// `unfinished`: also what no manifest names, such as the packs of a run that was given up. A run that is still going on has such
    /// packs too, so they need a window.
    async fn order(
        &self,
        chain: &Chain,
        trust: &Trust,
        (names, unfinished): (&BTreeSet<String>, bool),
        window: (Timestamp, Timestamp),
        rules: Option<ForgetRules>,
        signer: &Signer,
    ) -> Result<VerifiedForget, ForgetError> {
        if chain.head().is_some_and(|head| names.contains(head.name())) {
            return Err(ForgetError::Newest);
        }
        let named = chain.manifests.iter().filter(|found| names.contains(found.name()));
        let names: BTreeSet<&str> = named.take(MOST_SNAPSHOTS).map(VerifiedManifest::name).collect();
        let (going, staying): (Vec<_>, Vec<_>) = chain.manifests.iter().partition(|found| names.contains(found.name()));
        let lists = PackLists::default();
        let needed = self.names_of(&staying, &lists).await?;
        let mut files = self.names_of(&going, &lists).await?;
        if unfinished {
            files.extend(self.sealed_names().await?);
        }
        let record = ForgetRecord {
            rules,
            snapshots: going.iter().map(|found| Forgotten::of(found)).collect(),
            files: files.difference(&needed).take(MOST_FILES).cloned().collect(),
            ..self.empty_record(trust, window, signer)?
        };
        self.put_forget(record, signer).await
    }

    /// Takes a record back: `latest`, or the beginning of its name.
    ///
    /// # Errors
    /// [`ForgetError::NoRecord`]; [`ForgetError::Gone`] when a file is removed already.
    pub async fn undo_forget(
        &self,
        trust: &Trust,
        wanted: &str,
        now: Timestamp,
        signer: &Signer,
    ) -> Result<VerifiedForget, ForgetError> {
        let records = self.forget_records(trust).await?.in_force;
        let found = match wanted {
            // Of two that were made at the same time, the one that waits longer.
            "latest" => records.iter().max_by_key(|each| (each.record.time, each.record.after)),
            prefix => records.iter().find(|each| each.name.starts_with(prefix)),
        };
        let found = found.ok_or_else(|| ForgetError::NoRecord(wanted.to_owned()))?;
        for gone in &found.record.snapshots {
            let name = layout::manifest(gone.sequence, &layout::stem(gone.time, gone.snapshot));
            if !self.storage.exists(&name).await? {
                return Err(ForgetError::Gone(gone.sequence));
            }
        }
        let record = ForgetRecord { undoes: Some(found.digest), ..self.empty_record(trust, (now, now), signer)? };
        self.put_forget(record, signer).await?;
        Ok(found.clone())
    }

    /// Every file that these snapshots name. A list that cannot be read is an error: what it names must not go.
    pub(super) async fn names_of(
        &self,
        found: &[&VerifiedManifest],
        lists: &PackLists,
    ) -> Result<BTreeSet<String>, RepoError> {
        let (files, wrong) = self.files_of_all(found.iter().map(|found| found.manifest()), lists).await?;
        match wrong.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(files.into_iter().map(|(name, _)| name).collect()),
        }
    }

    /// Packs, lists, index files and configurations that are there.
    pub(super) async fn sealed_names(&self) -> Result<BTreeSet<String>, RepoError> {
        let mut names = BTreeSet::new();
        for folder in layout::CONTENTS {
            names.extend(self.storage.list(folder).await?.into_iter().map(|entry| entry.name));
        }
        Ok(names)
    }

    fn empty_record(
        &self,
        trust: &Trust,
        (time, after): (Timestamp, Timestamp),
        signer: &Signer,
    ) -> Result<ForgetRecord, ForgetError> {
        let epoch = trust.current().number;
        if !trust.allows(epoch, &signer.public()) {
            return Err(ForgetError::NotASigner(epoch));
        }
        Ok(ForgetRecord {
            version: FORMAT_VERSION,
            repository: self.id,
            forget: SnapshotId::random(),
            time,
            after,
            undoes: None,
            rules: None,
            snapshots: Vec::new(),
            files: Vec::new(),
            epoch,
            signer: signer.public(),
        })
    }

    async fn put_forget(&self, record: ForgetRecord, signer: &Signer) -> Result<VerifiedForget, ForgetError> {
        let name = layout::stem(record.time, record.forget);
        let file = layout::record(layout::FORGOTTEN, &name);
        let bytes = to_json(&record);
        let digest = Digest::of(&bytes);
        self.put_signed(&file, bytes, Namespace::Forget, signer).await?;
        let appeared = record.time;
        Ok(VerifiedForget { record, digest, name, appeared })
    }
}

impl Orders {
    /// Both.
    pub fn iter(&self) -> impl Iterator<Item = &VerifiedForget> {
        self.at_once.iter().chain(&self.later)
    }
}

impl Forgotten {
    fn of(found: &VerifiedManifest) -> Self {
        let manifest = found.manifest();
        Self {
            snapshot: manifest.snapshot,
            sequence: manifest.sequence,
            manifest: found.digest(),
            previous: manifest.previous,
            time: manifest.time,
        }
    }
}

impl ForgetRecords {
    /// Every forgotten snapshot by its manifest's digest.
    pub(super) fn forgotten(&self) -> BTreeMap<Digest, &Forgotten> {
        let snapshots = self.in_force.iter().flat_map(|each| &each.record.snapshots);
        snapshots.map(|forgotten| (forgotten.manifest, forgotten)).collect()
    }
}

impl ForgetRules {
    fn of(rules: &Retention) -> Self {
        let Retention { keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, keep_within } = *rules;
        let keep_within = keep_within.map(|within| within.as_secs().unsigned_abs());
        Self { keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, keep_within }
    }

    /// As a plan takes them.
    pub fn retention(&self) -> Retention {
        let Self { keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, keep_within } = *self;
        // Longer than any history is as good as for ever.
        let seconds = |within: u64| SignedDuration::from_secs(i64::try_from(within.min(1 << 40)).unwrap_or(i64::MAX));
        Retention {
            keep_last,
            keep_daily,
            keep_weekly,
            keep_monthly,
            keep_yearly,
            keep_within: keep_within.map(seconds),
        }
    }
}
