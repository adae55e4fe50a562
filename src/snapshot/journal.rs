//! What an unfinished run has sealed, so that the next one does not read it again.
//!
//! A file for each stored pack: which versions are on which line, sealed to the index key. No values. Only believed
//! for packs that are in the repository with the digest in the file's name; without it the next run reads everything again, and
//! nothing else is lost.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    crypto::{IndexKey, Opener, Recipient},
    fsutil::{self, Access, Existing},
    model::{Digest, Record},
    repo::{FileRef, IndexReader, IndexWriter, Repository},
};

/// A folder of the host.
#[derive(Clone)]
pub(super) struct Journal {
    folder: PathBuf,
    /// Who can read what is noted.
    reader: Recipient,
    /// Which recovery key the packs are sealed to.
    epoch: String,
}

/// A pack of an unfinished run and where its values are.
pub(super) struct SealedBefore {
    pub(super) pack: FileRef,
    /// Only identifiers and references are filled in.
    pub(super) records: Vec<Record>,
}

impl Journal {
    /// The journal of runs that seal to `recipient`, to be read with the index key of `reader`.
    pub(super) fn new(folder: &Path, recipient: &Recipient, reader: Recipient) -> Self {
        let epoch = Digest::of(recipient.to_string().as_bytes()).short();
        Self { folder: folder.to_owned(), reader, epoch }
    }

    /// Notes a pack that is stored.
    pub(super) fn note(&self, pack: &FileRef, records: &[Record]) -> io::Result<()> {
        let mut by_secret: BTreeMap<&str, Record> = BTreeMap::new();
        for record in records {
            match by_secret.entry(&record.secret.id) {
                Entry::Occupied(mut known) => known.get_mut().versions.extend(record.versions.iter().cloned()),
                Entry::Vacant(place) => drop(place.insert(record.clone())),
            }
        }
        let mut writer = IndexWriter::new(std::slice::from_ref(&self.reader));
        for record in by_secret.values() {
            writer.push(record);
        }
        fsutil::create_folder(&self.folder, Access::Private)?;
        let path = self.folder.join(format!("{}-{}.age", self.epoch, pack.sha256));
        fsutil::write(&path, &writer.finish().bytes, Access::Private, Existing::Replace)
    }

    /// What earlier runs sealed and never referred to. Whatever cannot be read or is not in the repository does not count.
    pub(super) async fn load(&self, repository: &Repository, key: &IndexKey) -> Vec<SealedBefore> {
        let mut found = Vec::new();
        for (digest, path) in self.files() {
            let Ok(pack) = repository.pack(&digest).await else { continue };
            let pack = FileRef { sha256: digest, size: pack.len() as u64 };
            let Some(records) = read(&path, key).filter(|records| refer_to(records, digest)) else { continue };
            found.push(SealedBefore { pack, records });
        }
        found
    }

    /// Forgets everything: a manifest refers to the packs now.
    pub(super) fn clear(&self) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries {
            let path = entry?.path();
            // The folders of other sources are theirs.
            if !path.is_dir() {
                fsutil::remove(&path)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Vec<(Digest, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let named = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let digest = path.file_name()?.to_str()?.strip_prefix(&self.epoch)?.strip_prefix('-')?;
            Some((digest.strip_suffix(".age")?.parse().ok()?, path))
        });
        let mut files: Vec<(Digest, PathBuf)> = named.collect();
        files.sort();
        files
    }
}

/// The packs that a folder's files name, whatever key they are sealed to: nobody may take them for garbage.
pub fn packs_of_unfinished_runs(folder: &Path) -> Vec<Digest> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let packs = entries.filter_map(Result::ok).flat_map(|entry| match entry.path() {
        // Of several sources each has its own.
        path if path.is_dir() => packs_of_unfinished_runs(&path),
        path => path.file_stem().and_then(|stem| stem.to_str()?.rsplit('-').next()?.parse().ok()).into_iter().collect(),
    });
    packs.collect()
}

fn read(path: &Path, key: &IndexKey) -> Option<Vec<Record>> {
    let bytes = Bytes::from(fsutil::read(path).ok()?);
    IndexReader::open("the journal", bytes, Opener::Index(key)).ok()?.records().collect::<Result<_, _>>().ok()
}

fn refer_to(records: &[Record], pack: Digest) -> bool {
    use crate::model::ValueState::Stored;
    let mut versions = records.iter().flat_map(|record| &record.versions);
    versions.all(|version| matches!(version.value, Stored { pack: found, .. } if found == pack))
}
