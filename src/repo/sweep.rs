//! Removing what was forgotten: only what a signer of today orders, after a window, and what rules agree to.
//!
//! A record is an order of whoever signed it, and a signer may be stolen. So another's record is planned anew on the verified
//! chain, by this host's own rules and by the record's, and nothing goes that both would keep. The window counts from when the
//! record appeared, never from the time it claims.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Chain, ForgetError, ForgetRules, Judgement, PackLists, RepoError, Repository, Retention, VerifiedForget,
    VerifiedManifest, layout, plan, record::Halt,
};
use crate::{crypto::PublicKey, model::Digest, storage::StorageError};

/// What a host brings along to remove something.
pub struct Sweep<'a> {
    /// When it is.
    pub now: Timestamp,
    /// The host's own rules; without any it removes nothing that another host's record names.
    pub rules: Retention,
    /// The host's own window, the shortest that another's record gets.
    pub window: SignedDuration,
    /// The host's own signing key: its own records are not judged again.
    pub signer: PublicKey,
    /// When this host first saw each record, by its digest.
    pub seen: &'a BTreeMap<Digest, Timestamp>,
    /// Packs that an unfinished run of this host refers to.
    pub keep: &'a BTreeSet<Digest>,
    /// The record of this very run, which a later one carries out: until then it can be taken back.
    pub but: Option<Digest>,
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Snapshots whose manifest is gone.
    pub snapshots: u64,
    /// Packs, indexes and bundles removed.
    pub files: u64,
    /// Files that the storage does not let go: a retention lock, or a permission this host does not have. No error: the
    /// next sweep tries again.
    pub refused: Vec<String>,
    /// Records whose window has not passed.
    pub waiting: u64,
    /// Manifests that another host's record orders to go and that the rules keep: they stay.
    pub disagreed: Vec<String>,
}

impl Sweep<'_> {
    /// When a record's window ends: it lasts as long as the record says, and another's as long as this host's own at least, from
    /// when the file appeared or this host first saw it.
    fn due(&self, each: &VerifiedForget) -> Timestamp {
        let record = &each.record;
        let claimed = record.after.duration_since(record.time).max(SignedDuration::ZERO);
        let window = if self.is_own(each) { claimed } else { claimed.max(self.window) };
        let since = self.seen.get(&each.digest).copied().unwrap_or(each.appeared).max(each.appeared);
        since.saturating_add(window).unwrap_or(Timestamp::MAX).max(record.after)
    }

    fn is_own(&self, each: &VerifiedForget) -> bool {
        each.record.signer == self.signer
    }

    /// The manifests that rules would let go.
    fn forgets(&self, chain: &Chain, rules: &Retention) -> BTreeSet<String> {
        let all: Vec<&VerifiedManifest> = chain.manifests.iter().collect();
        let plan = plan(&all, rules, self.now);
        plan.forgets().map(|fate| fate.name.clone()).collect()
    }

    /// Of what a record names, what goes by it, and what it names and must stay.
    fn agreed<'c>(
        &self,
        chain: &'c Chain,
        each: &VerifiedForget,
    ) -> (Vec<&'c VerifiedManifest>, Vec<&'c VerifiedManifest>) {
        let named: BTreeSet<Digest> = each.record.snapshots.iter().map(|forgotten| forgotten.manifest).collect();
        let here = chain.manifests.iter().filter(|found| named.contains(&found.digest()) && !chain.is_head(found));
        if self.is_own(each) {
            return (here.collect(), Vec::new());
        }
        let mut agreed = self.forgets(chain, &self.rules);
        if let Some(rules) = each.record.rules.as_ref().map(ForgetRules::retention) {
            agreed.extend(self.forgets(chain, &rules));
        }
        here.partition(|found| agreed.contains(found.name()))
    }
}

impl Repository {
    /// Removes what records in force name and whose window has passed: by `now`, and by a newer snapshot, so that nothing
    /// goes while backups stand still or one clock is wrong. Bundles first, which hold the same text; then manifests; then what
    /// only they needed; never a file that another manifest or `keep` names. A crash leaves files that nobody refers to, and the next sweep finds them.
    ///
    /// # Errors
    /// [`ForgetError::Refused`] when the history is not whole; [`ForgetError::Repository`] when the storage fails.
    pub async fn sweep(&self, judgement: &Judgement, sweep: &Sweep<'_>) -> Result<SweepReport, ForgetError> {
        self.sweep_but(judgement, sweep, &BTreeSet::new()).await
    }

    /// The same of a copy of `main`: what is there still stays here too. The copy's records may be old ones, which somebody took
    /// back since or whose signer was removed.
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub async fn sweep_copy(
        &self,
        judgement: &Judgement,
        sweep: &Sweep<'_>,
        main: &Self,
    ) -> Result<SweepReport, ForgetError> {
        let here = main.storage.list(layout::SNAPSHOTS).await?;
        self.sweep_but(judgement, sweep, &here.into_iter().map(|entry| entry.name).collect()).await
    }

    async fn sweep_but(
        &self,
        judgement: &Judgement,
        sweep: &Sweep<'_>,
        stays: &BTreeSet<String>,
    ) -> Result<SweepReport, ForgetError> {
        let chain = judgement.sound()?;
        let head = chain.head().map(|head| head.manifest().time);
        let is_due = |each: &&VerifiedForget| {
            let is_mine = sweep.is_own(each) || !sweep.rules.is_empty();
            is_mine
                && sweep.but != Some(each.digest)
                && sweep.due(each) <= sweep.now
                && head.is_some_and(|head| head >= each.record.after)
        };
        let (due, waiting): (Vec<_>, Vec<_>) = chain.records.iter().partition(is_due);
        let mut report = SweepReport { waiting: waiting.len() as u64, ..SweepReport::default() };
        if due.is_empty() {
            return Ok(report);
        }
        judgement.refuse_halted(Halt::Remove)?;
        let (mut going, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for each in &due {
            let (goes, stays) = sweep.agreed(chain, each);
            going.extend(goes.into_iter().map(VerifiedManifest::digest));
            kept.extend(stays.into_iter().map(VerifiedManifest::digest));
        }
        let is_kept = |found: &&VerifiedManifest| kept.contains(&found.digest()) && !going.contains(&found.digest());
        report.disagreed = chain.manifests.iter().filter(is_kept).map(VerifiedManifest::file).collect();
        let goes = |found: &&VerifiedManifest| going.contains(&found.digest()) && !stays.contains(&found.file());
        let (going, staying): (Vec<_>, Vec<_>) = chain.manifests.iter().partition(goes);
        let lists = PackLists::default();
        let mut needed = self.names_of(&staying, &lists).await?;
        needed.extend(sweep.keep.iter().map(layout::pack));
        let bundles = self.remove_bundles_of(going.iter().map(|found| found.manifest().sequence), &mut report).await?;
        for found in going {
            let name = found.file();
            if self.remove(&name, &mut report).await? {
                report.snapshots += 1;
                self.remove(&layout::signature(&name), &mut report).await?;
            } else {
                needed.extend(self.names_of(&[found], &lists).await?);
            }
        }
        let there = self.sealed_names().await?;
        let files: BTreeSet<&String> = due.iter().flat_map(|each| &each.record.files).collect();
        for name in files.into_iter().filter(|name| there.contains(*name) && !needed.contains(*name)) {
            report.files += u64::from(self.remove(name, &mut report).await?);
        }
        if let Err(error) = self.put_bundles_again(bundles).await {
            tracing::warn!(%error, "no bundle of the manifests that stay was written");
        }
        Ok(report)
    }

    pub(super) async fn remove(&self, name: &str, report: &mut SweepReport) -> Result<bool, RepoError> {
        match self.storage.remove(name).await {
            Ok(()) => Ok(true),
            Err(StorageError::Refused { .. }) => {
                report.refused.push(name.to_owned());
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
