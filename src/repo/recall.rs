//! The history as a run needs it that comes every day: what this host verified before is not read again.
//!
//! The cost is that of the last folders of manifests, however long the history is. `check`, `forget` and every restore read the
//! whole history instead ([`Repository::chain`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Chain, History, RepoError, Repository, StoredDrill, Trust, VerifiedManifest, Witness,
    chain::{By, assembled},
    layout,
    memory::{self, Memory, Recall, Settled},
};
use crate::storage::Entry;

/// A full folder is settled when this many snapshots came after it: until then another run may be about to add to it.
const SETTLED_AFTER: u64 = 16;

/// What is below `snapshots/` after the settled folders.
struct Look {
    entries: Vec<Entry>,
    /// By folder, for those that may be settled now.
    by_folder: BTreeMap<u64, Vec<Entry>>,
}

impl Repository {
    /// The newest part of the history, and what this host remembers of the rest. Where it remembers nothing, or something is no
    /// longer as it was, this is the whole history.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with the history is in the answer.
    pub async fn recent_chain(&self, trust: &Trust) -> Result<Chain, RepoError> {
        match &self.memory {
            Some(path) => self.recall(path, trust, None).await,
            None => self.chain(trust).await,
        }
    }

    /// The same with every drill record.
    ///
    /// # Errors
    /// As [`Repository::history`].
    pub async fn recent_history(&self, trust: &Trust) -> Result<History, RepoError> {
        let Some(path) = &self.memory else {
            return Ok(History { chain: self.chain(trust).await?, drills: self.drills().await? });
        };
        let mut drills = Vec::new();
        let chain = self.recall(path, trust, Some(&mut drills)).await?;
        Ok(History { chain, drills })
    }

    async fn recall(
        &self,
        path: &Path,
        trust: &Trust,
        drills: Option<&mut Vec<StoredDrill>>,
    ) -> Result<Chain, RepoError> {
        let memory = Memory::load(path, trust);
        let (memory, look) = if let Some(look) = self.look_after(&memory.settled).await? {
            (memory, look)
        } else {
            let memory = memory.unsettled();
            let look = self.look_after(&memory.settled).await?.unwrap_or_else(|| Look::of(Vec::new()));
            (memory, look)
        };
        let is_known = |entry: &&Entry| memory.kept.contains_key(layout::unsigned(&entry.name));
        let unknown: Vec<Entry> = look.entries.iter().filter(|entry| !is_known(entry)).cloned().collect();
        let bundled = self.bundled(&unknown).await?;
        let read = self.read_manifests(look.entries, trust, &memory.kept, &bundled).await?;
        let mut recall = Recall::of(memory.records.clone());
        let mut looked_at = vec![layout::FORGOTTEN];
        let records = self.recalled_forget_records(trust, &mut recall, By::Bundles).await?;
        if let Some(drills) = drills {
            *drills = self.recalled_drills(&mut recall).await?;
            looked_at.push(layout::DRILLS);
            for drill in drills.iter().filter(|drill| trust.signed_drill(drill)) {
                recall.keep(&layout::record(layout::DRILLS, &drill.name), &drill.bytes, &drill.signature);
            }
        }
        let kept = read.kept.clone();
        let mut chain = assembled(read, memory.settled.clone(), records, trust);
        let mut now = memory.keeping(kept, recall.finish(&looked_at));
        now.settled.next = (now.settled.next + 1).checked_rem(now.settled.folders.len() as u64).unwrap_or_default();
        settle(&mut now, &mut chain, look.by_folder);
        if now != memory
            && let Err(error) = now.save(path)
        {
            // The next run reads more; nothing else is lost.
            tracing::debug!(%error, "what was verified cannot be remembered");
        }
        Ok(chain)
    }

    /// What is listed after the settled folders; `None` when one of these is not as it was.
    async fn look_after(&self, settled: &Settled) -> Result<Option<Look>, RepoError> {
        let full = settled.folders.len() as u64;
        if full == 0 {
            // What records of forgetting left may be in many folders, a file or two in each.
            return Ok(Some(Look::of(self.storage.list(layout::SNAPSHOTS).await?)));
        }
        let (folders, mut entries) = self.storage.folders(layout::SNAPSHOTS).await?;
        let folders: BTreeSet<String> = folders.into_iter().collect();
        let known: BTreeSet<String> = (0..full).map(layout::folder).collect();
        if let Some(remembered) = usize::try_from(settled.next).ok().and_then(|at| settled.folders.get(at)) {
            let there = self.storage.list(&layout::folder(settled.next)).await?;
            if memory::listing(&there) != *remembered {
                return Ok(None);
            }
        }
        if !known.is_subset(&folders) {
            return Ok(None);
        }
        for folder in folders.difference(&known) {
            entries.extend(self.storage.list(folder).await?);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(Look::of(entries)))
    }
}

impl Look {
    fn of(entries: Vec<Entry>) -> Self {
        let mut by_folder: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
        for entry in &entries {
            if let Some(folder) = layout::manifest_folder(&entry.name) {
                by_folder.entry(folder).or_default().push(entry.clone());
            }
        }
        Self { entries, by_folder }
    }
}

/// Moves full folders of a history without any fault into what is settled.
fn settle(memory: &mut Memory, chain: &mut Chain, mut by_folder: BTreeMap<u64, Vec<Entry>>) {
    // What a forget record names may go from any folder: then nothing is settled.
    let is_clean = chain.faults.is_empty() && chain.forgets.is_empty();
    let Some(last) = chain.last() else { return };
    let from = memory.settled.folders.len() as u64;
    let until = last.sequence.saturating_sub(SETTLED_AFTER) / layout::FOLDER;
    if !is_clean || until <= from {
        return;
    }
    let through = until * layout::FOLDER;
    let settled = &mut memory.settled;
    for folder in from..until {
        settled.folders.push(memory::listing(&by_folder.remove(&folder).unwrap_or_default()));
    }
    for (sequence, digest) in chain.places.iter().filter(|(sequence, _)| *sequence <= through) {
        settled.push_place(digest);
        settled.last = Some(Witness { sequence: *sequence, manifest: *digest });
    }
    let old = |found: &VerifiedManifest| found.manifest().sequence <= through;
    let mut newest: BTreeMap<_, (u64, String)> = BTreeMap::new();
    for found in settled.newest().unwrap_or_default() {
        let manifest = found.manifest();
        newest.insert(manifest.source.clone(), (manifest.sequence, text_of(&found)));
    }
    for found in chain.manifests.iter().filter(|found| old(found)) {
        let manifest = found.manifest();
        settled.manifests += 1;
        settled.epoch = settled.epoch.max(manifest.epoch);
        settled.note_first(&manifest.source, manifest.time);
        newest.insert(manifest.source.clone(), (manifest.sequence, text_of(found)));
    }
    settled.newest = newest.into_values().map(|(_, text)| text).collect();
    memory.kept.retain(|_, kept| memory::verified(&kept.text).is_some_and(|found| !old(&found)));
    chain.settle(settled.clone(), through);
}

fn text_of(found: &VerifiedManifest) -> String {
    String::from_utf8(super::to_json(found.manifest()).into()).expect("JSON is UTF-8")
}

impl Chain {
    /// Forgets the manifests up to a number: they are in `settled` now.
    fn settle(&mut self, settled: Settled, through: u64) {
        self.manifests.retain(|found| found.manifest().sequence > through);
        self.places.retain(|(sequence, _)| *sequence > through);
        self.settled_newest = settled.newest().unwrap_or_default();
        self.base = settled;
    }
}
