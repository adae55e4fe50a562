//! Lists of packs on a storage: written once, shared by the manifests after them, and read once by whoever reads many manifests.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    FileRef, Manifest, RepoError, Repository, SealedFile, damaged, file_ref, from_json, layout,
    pack_set::{OpenSet, PackList, PackSet},
    to_json,
};
use crate::model::Digest;

/// A list's most bytes.
const MOST_BYTES: u64 = 16 << 20;
/// Packs of lists that are kept in memory, at 40 bytes each.
const MOST_KEPT: usize = 1 << 19;

/// Lists that were read, so that one which many manifests share is read once. Memory is bounded: what was not used for the longest
/// time goes first.
#[derive(Default)]
pub struct PackLists(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    lists: HashMap<Digest, (u64, Arc<[FileRef]>)>,
    packs: usize,
    uses: u64,
}

impl PackLists {
    fn find(&self, list: &Digest) -> Option<Arc<[FileRef]>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let (used, packs) = kept.lists.get_mut(list)?;
        *used = now;
        Some(packs.clone())
    }

    fn keep(&self, list: Digest, packs: &Arc<[FileRef]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        if kept.lists.insert(list, (now, packs.clone())).is_none() {
            kept.packs += packs.len();
        }
        while kept.packs > MOST_KEPT && kept.lists.len() > 1 {
            let oldest = kept.lists.iter().min_by_key(|(_, (used, _))| *used).map(|(list, _)| *list);
            let gone = oldest.and_then(|list| kept.lists.remove(&list));
            kept.packs -= gone.map_or(0, |(_, packs)| packs.len());
        }
    }
}

impl Repository {
    /// Every pack that a snapshot names.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when a list is missing or not what it was; [`RepoError::Storage`].
    pub async fn packs_of(&self, manifest: &Manifest, lists: &PackLists) -> Result<OpenSet, RepoError> {
        self.open_set(&manifest.packs, lists).await
    }

    /// The same for any pack set, such as that of a seal.
    ///
    /// # Errors
    /// As [`Self::packs_of`].
    pub async fn open_set(&self, set: &PackSet, lists: &PackLists) -> Result<OpenSet, RepoError> {
        let mut open = Vec::with_capacity(set.lists.len());
        for file in &set.lists {
            open.push((*file, self.list(file, lists).await?));
        }
        Ok(OpenSet::new(set.new.clone(), open))
    }

    /// Every file that a snapshot names, by its name in the repository: packs, lists, index files, configuration, and what its seals
    /// name. Some may come twice.
    ///
    /// # Errors
    /// As [`Self::packs_of`].
    pub async fn files_of(&self, manifest: &Manifest, lists: &PackLists) -> Result<Vec<(String, FileRef)>, RepoError> {
        let mut files = named_files(manifest);
        for file in manifest.pack_sets().flat_map(|set| &set.lists) {
            let packs = self.list(file, lists).await?;
            files.extend(packs.iter().map(|pack| (layout::pack(&pack.sha256), *pack)));
        }
        Ok(files)
    }

    /// Every file that any of these snapshots names, each once, and what is wrong with lists; each list is read once.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub(super) async fn files_of_all(
        &self,
        manifests: impl Iterator<Item = &Manifest>,
        lists: &PackLists,
    ) -> Result<(BTreeSet<(String, FileRef)>, Vec<RepoError>), RepoError> {
        let (mut files, mut seen, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for manifest in manifests {
            files.extend(named_files(manifest));
            for file in manifest.pack_sets().flat_map(|set| &set.lists) {
                if !seen.insert(*file) {
                    continue;
                }
                match self.list(file, lists).await {
                    Ok(packs) => files.extend(packs.iter().map(|pack| (layout::pack(&pack.sha256), *pack))),
                    Err(error @ RepoError::Storage(_)) => return Err(error),
                    Err(error) => wrong.push(error),
                }
            }
        }
        Ok((files, wrong))
    }

    /// Stores what is new of the set of a snapshot that needs these packs and follows one with the set `before`.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when another file has a list's name, [`RepoError::Storage`].
    pub async fn put_pack_set(&self, before: &OpenSet, needed: &BTreeSet<FileRef>) -> Result<PackSet, RepoError> {
        let plan = before.plan(needed);
        let mut lists = plan.kept;
        for packs in plan.written {
            lists.push(self.put_list(packs).await?);
        }
        lists.sort_unstable();
        Ok(PackSet { new: plan.new, lists })
    }

    async fn put_list(&self, packs: Vec<FileRef>) -> Result<FileRef, RepoError> {
        let bytes = to_json(&PackList::of(packs));
        let list = SealedFile { file: file_ref(&bytes), bytes };
        self.put_same(&layout::list(&list.file.sha256), list.bytes).await?;
        Ok(list.file)
    }

    async fn list(&self, file: &FileRef, lists: &PackLists) -> Result<Arc<[FileRef]>, RepoError> {
        if let Some(packs) = lists.find(&file.sha256) {
            return Ok(packs);
        }
        let name = layout::list(&file.sha256);
        if file.size > MOST_BYTES {
            return Err(damaged(&name, format!("it has {} bytes; a list has at most {MOST_BYTES}", file.size)));
        }
        let bytes = self.sealed(&name, file).await?;
        let list: PackList = from_json(&bytes).map_err(|reason| damaged(&name, reason))?;
        let packs: Arc<[FileRef]> = list.check().map_err(|reason| damaged(&name, reason))?.into();
        lists.keep(file.sha256, &packs);
        Ok(packs)
    }
}

/// What a manifest names itself: everything but the packs that its lists name.
pub(super) fn named_files(manifest: &Manifest) -> Vec<(String, FileRef)> {
    let mut files = Vec::new();
    for set in manifest.pack_sets() {
        files.extend(set.new.iter().map(|file| (layout::pack(&file.sha256), *file)));
        files.extend(set.lists.iter().map(|file| (layout::list(&file.sha256), *file)));
    }
    let indexes = manifest.layers().flat_map(|layer| &layer.files);
    files.extend(indexes.map(|file| (layout::index(&file.sha256), *file)));
    files.extend(manifest.config.iter().map(|file| (layout::config(&file.sha256), *file)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_were_not_used_for_long_give_way() {
        let lists = PackLists::default();
        let packs: Arc<[FileRef]> = vec![FileRef { sha256: Digest::of(b"p"), size: 1 }; MOST_KEPT / 4].into();
        let digest = |number: u8| Digest::of(&[number]);
        for number in 0..4 {
            lists.keep(digest(number), &packs);
        }
        assert!(lists.find(&digest(0)).is_some());
        lists.keep(digest(4), &packs);
        let there: Vec<bool> = (0..5).map(|number| lists.find(&digest(number)).is_some()).collect();
        assert_eq!(there, [true, false, true, true, true]);
        lists.keep(digest(9), &vec![packs[0]; 2 * MOST_KEPT].into());
        assert!(lists.find(&digest(9)).is_some(), "the newest one stays, however long");
    }
}
