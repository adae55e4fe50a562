//! One name in an index, without reading all of it: lines come in order, so few files of a layer can hold it.

use std::collections::{BTreeMap, HashMap};

use super::{Chosen, FileRef, IndexLine, IndexReader, Layer, RecordKey, RepoError, Repository, layout};
use crate::{crypto::Opener, model::Record};

/// What the layers of many snapshots have for one name. A layer that several snapshots share is read once.
pub struct Lookup<'a> {
    repository: &'a Repository,
    opener: Opener<'a>,
    name: String,
    known: HashMap<Layer, Vec<IndexLine>>,
    files_read: u64,
}

impl<'a> Lookup<'a> {
    /// Prepares; reads nothing.
    pub fn new(repository: &'a Repository, opener: Opener<'a>, name: &str) -> Self {
        Self { repository, opener, name: name.to_owned(), known: HashMap::new(), files_read: 0 }
    }

    /// The records with the name that a snapshot has: more than one where one secret took the name of another. A version that a
    /// tombstone marks as leaked has no value in it.
    ///
    /// # Errors
    /// As [`Repository::record_stream`].
    pub async fn records(&mut self, chosen: &Chosen) -> Result<Vec<Record>, RepoError> {
        let marks = chosen.tombstones.marks(&chosen.manifest().source, self.opener)?;
        let captured = self.captured(&chosen.manifest().indexes).await?;
        Ok(captured.into_iter().map(|record| marks.apply(record)).collect())
    }

    /// The records with the name that these layers, the oldest first, have together, as they were captured: to know what there is,
    /// never to give a value to anybody.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn captured(&mut self, layers: &[Layer]) -> Result<Vec<Record>, RepoError> {
        let mut found: BTreeMap<RecordKey, Option<Record>> = BTreeMap::new();
        for layer in layers {
            if !self.known.contains_key(layer) {
                let lines = self.read(layer).await?;
                self.known.insert(layer.clone(), lines);
            }
            for line in &self.known[layer] {
                found.insert(RecordKey::of(line.key()), line.clone().into_record());
            }
        }
        Ok(found.into_values().flatten().collect())
    }

    /// Index files that were read so far.
    pub fn files_read(&self) -> u64 {
        self.files_read
    }

    async fn read(&mut self, layer: &Layer) -> Result<Vec<IndexLine>, RepoError> {
        let mut open: BTreeMap<usize, (IndexReader, Option<IndexLine>)> = BTreeMap::new();
        // The first file whose first line comes after the name; what has the name is before it, or nowhere.
        let (mut low, mut high) = (0, layer.files.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let (reader, first) = self.open(&layer.files[middle]).await?;
            let is_after = first.as_ref().is_some_and(|line| line.key().0 > self.name.as_str());
            open.insert(middle, (reader, first));
            if is_after { high = middle } else { low = middle + 1 }
        }
        let mut lines = Vec::new();
        for at in (0..low).rev() {
            let (reader, first) = match open.remove(&at) {
                Some(known) => known,
                None => self.open(&layer.files[at]).await?,
            };
            // A name may end in one file and begin in the one before it.
            let goes_on = first.as_ref().is_none_or(|line| line.key().0 == self.name);
            for line in first.into_iter().map(Ok).chain(reader) {
                let line = line?;
                match line.key().0.cmp(&self.name) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => lines.push(line),
                    std::cmp::Ordering::Greater => break,
                }
            }
            if !goes_on {
                break;
            }
        }
        Ok(lines)
    }

    /// A file and its first line.
    async fn open(&mut self, file: &FileRef) -> Result<(IndexReader, Option<IndexLine>), RepoError> {
        self.files_read += 1;
        let sealed = self.repository.index(file).await?;
        let mut reader = IndexReader::open(&layout::index(&file.sha256), sealed, self.opener)?;
        let first = reader.next().transpose()?;
        Ok((reader, first))
    }
}
