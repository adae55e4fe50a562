//! Packs, index files, configurations and drill records, stored and fetched whole.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
};

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Fault, FaultKind, FileRef, MISSING, Manifest, PackLists, PackReader, RepoError, Repository, SealedFile, chain::By,
    damaged, file_ref, layout, memory::Recall,
};
use crate::{
    cores,
    crypto::{self, Namespace, OpenError, Opener, Recipient, Sealer, Signer},
    model::{Digest, SnapshotId},
    storage::{Entry, Read, StorageError},
};

/// Readers of armor are lenient about what follows it; here every byte counts.
const SIGNATURE_END: &str = "\n-----END SSH SIGNATURE-----\n";

/// A configuration's most bytes, opened.
const MOST_CONFIG: u64 = 16 << 20;

/// A signed record of a drill as stored. The repository does not look inside.
#[derive(Clone, Debug)]
pub struct StoredDrill {
    /// The file name below `drills/`, without `.json`.
    pub name: String,
    /// The exact signed bytes.
    pub bytes: Bytes,
    /// The armored signature; empty when there is none.
    pub signature: String,
}

/// A record as stored.
pub(super) struct SignedFile {
    /// Its name in the repository.
    pub(super) name: String,
    /// The name within its folder, without `.json`.
    pub(super) stem: String,
    pub(super) bytes: Bytes,
    /// As [`Repository::signature`] gives it.
    pub(super) signature: Option<String>,
    /// When the storage says that it appeared.
    pub(super) modified: Timestamp,
    /// Whether this host verified it before, and it is as it was.
    pub(super) is_known: bool,
}

impl SignedFile {
    /// One whose time of appearance does not matter.
    pub(super) fn new(name: String, stem: String, bytes: Bytes, signature: Option<String>) -> Self {
        Self { name, stem, bytes, signature, modified: Timestamp::UNIX_EPOCH, is_known: false }
    }

    /// Files it was read from.
    pub(super) fn files(&self) -> u64 {
        1 + u64::from(self.signature.is_some())
    }
}

impl Repository {
    /// Stores a sealed pack under its digest; storing it again is no error.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when another file has its name, [`RepoError::Storage`].
    pub async fn put_pack(&self, pack: SealedFile) -> Result<(), RepoError> {
        self.put_same(&layout::pack(&pack.file.sha256), pack.bytes).await.map(drop)
    }

    /// Stores a sealed index under its digest; storing it again is no error.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when another file has its name, [`RepoError::Storage`].
    pub async fn put_index(&self, index: SealedFile) -> Result<(), RepoError> {
        self.put_same(&layout::index(&index.file.sha256), index.bytes).await.map(drop)
    }

    /// A pack's ciphertext, its digest checked.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn pack(&self, digest: &Digest) -> Result<Bytes, RepoError> {
        let name = layout::pack(digest);
        let (bytes, found) = hashed(self.expect(&name).await?).await;
        if found.sha256 == *digest { Ok(bytes) } else { Err(damaged(&name, "its content does not have its digest")) }
    }

    /// Those of these packs that are not there; whether the others are whole is a check's business. A folder is asked for each, a
    /// bucket lists them, which takes fewer requests.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn missing_packs(&self, packs: impl Iterator<Item = &FileRef>) -> Result<BTreeSet<Digest>, RepoError> {
        let wanted: BTreeSet<Digest> = packs.map(|file| file.sha256).collect();
        if wanted.is_empty() {
            return Ok(wanted);
        }
        if self.storage.is_folder() {
            let mut missing = BTreeSet::new();
            for pack in wanted {
                if !self.storage.exists(&layout::pack(&pack)).await? {
                    missing.insert(pack);
                }
            }
            return Ok(missing);
        }
        let entries = self.storage.list(layout::PACKS).await?;
        let there: BTreeSet<Digest> = entries.iter().filter_map(|entry| layout::pack_digest(&entry.name)).collect();
        Ok(wanted.difference(&there).copied().collect())
    }

    /// A file of a manifest that is not there, a pack or a part of its index: it must not be published.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when a list cannot be read; [`RepoError::Storage`].
    pub async fn missing_of(&self, manifest: &Manifest) -> Result<Option<String>, RepoError> {
        let set = self.packs_of(manifest, &PackLists::default()).await?;
        if let Some(pack) = self.missing_packs(set.packs()).await?.first() {
            return Ok(Some(layout::pack(pack)));
        }
        let indexes = manifest.index_files().map(|file| layout::index(&file.sha256));
        for name in indexes.chain(manifest.config.map(|file| layout::config(&file.sha256))) {
            if !self.storage.exists(&name).await? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Opens a pack, its digest checked.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn open_pack(&self, digest: &Digest, opener: Opener<'_>) -> Result<PackReader, RepoError> {
        PackReader::open(&layout::pack(digest), self.pack(digest).await?, opener)
    }

    /// Stores the configuration of a host, sealed to `recipients`. It must hold no secret: the index key opens it.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn put_config(&self, config: &[u8], recipients: &[Recipient]) -> Result<FileRef, RepoError> {
        let mut sealer = Sealer::new(recipients, Vec::new()).expect("there is a recipient, and memory does not fail");
        sealer.write_all(config).expect("memory does not fail");
        let bytes = Bytes::from(sealer.finish().expect("memory does not fail"));
        let file = file_ref(&bytes);
        self.put_same(&layout::config(&file.sha256), bytes).await?;
        Ok(file)
    }

    /// The configuration that a snapshot keeps. Nothing that it names is run or asked without a person who agrees.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn config(&self, file: &FileRef, opener: Opener<'_>) -> Result<Vec<u8>, RepoError> {
        let name = layout::config(&file.sha256);
        let sealed = self.sealed(&name, file).await?;
        let opened = crypto::open(opener, io::Cursor::new(sealed)).map_err(|error| match error {
            OpenError::WrongKey => RepoError::WrongKey { file: name.clone() },
            damage @ OpenError::Damaged(_) => damaged(&name, damage.to_string()),
        })?;
        let mut config = Vec::new();
        let read = opened.take(MOST_CONFIG + 1).read_to_end(&mut config);
        match read {
            Err(error) => Err(damaged(&name, error.to_string())),
            Ok(_) if config.len() as u64 > MOST_CONFIG => Err(damaged(&name, "it is too long for a configuration")),
            Ok(_) => Ok(config),
        }
    }

    /// An index's ciphertext, its digest and size checked.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn index(&self, file: &FileRef) -> Result<Bytes, RepoError> {
        self.sealed(&layout::index(&file.sha256), file).await
    }

    /// Stores a drill record and its signature.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn put_drill(
        &self,
        time: Timestamp,
        id: SnapshotId,
        bytes: Bytes,
        signer: &Signer,
    ) -> Result<StoredDrill, RepoError> {
        let name = layout::stem(time, id);
        let file = layout::record(layout::DRILLS, &name);
        let signature = self.put_signed(&file, bytes.clone(), Namespace::Drill, signer).await?;
        Ok(StoredDrill { name, bytes, signature })
    }

    /// Stores a record that another storage of this repository holds, as it is; storing it again is no error.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when another record has its name, [`RepoError::Storage`].
    pub async fn put_stored_drill(&self, drill: &StoredDrill) -> Result<bool, RepoError> {
        let file = layout::record(layout::DRILLS, &drill.name);
        self.put_same(&layout::signature(&file), Bytes::from(drill.signature.clone())).await?;
        self.put_same(&file, drill.bytes.clone()).await
    }

    /// Every file of a folder of signed records with its signature, by name. Nothing is verified. What is too large to be read is
    /// in `faults`; names that are no record's are left out.
    pub(super) async fn signed_files(
        &self,
        folder: &'static str,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<SignedFile>, RepoError> {
        self.recalled_files(folder, &mut Recall::default(), By::Files, faults).await
    }

    /// The same; what this host remembers and is as it was is not read again.
    pub(super) async fn recalled_files(
        &self,
        folder: &'static str,
        recall: &mut Recall,
        by: By,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<SignedFile>, RepoError> {
        let listing = self.storage.list(folder).await?;
        let (mut files, mut fresh) = recall.split(folder, &listing);
        if by == By::Bundles {
            let (bundled, unread) = self.bundled_records(&listing, fresh).await?;
            files.extend(bundled);
            fresh = unread;
        }
        files.extend(self.read_signed(fresh, faults).await?);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// The files of a listing with their signatures.
    pub(super) async fn read_signed(
        &self,
        entries: Vec<(String, Entry)>,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<SignedFile>, RepoError> {
        let most = entries.first().map_or(0, |(_, entry)| layout::most_bytes(&entry.name));
        let (entries, unfit): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(_, entry)| entry.is_file && entry.size <= most);
        let damaged = |name: &str, detail: &str| Fault::new(name, FaultKind::Damaged, detail);
        faults.extend(unfit.iter().map(|(_, entry)| {
            if entry.is_file {
                damaged(&entry.name, &format!("it has {} bytes; such a file has at most {most}", entry.size))
            } else {
                damaged(&entry.name, "it is not a regular file")
            }
        }));
        // A file and its signature side by side: as little time as can be between the two.
        let pairs: Vec<String> =
            entries.iter().flat_map(|(_, entry)| [entry.name.clone(), layout::signature(&entry.name)]).collect();
        let mut files = self.storage.get_all(&pairs, most).await?.into_iter();
        let mut found = Vec::with_capacity(entries.len());
        for (stem, Entry { name, modified, .. }) in entries {
            let signature = match (files.next(), files.next()) {
                (Some(Read::Whole(bytes)), Some(Read::Whole(signature))) => (bytes, Some(armored(signature))),
                (Some(Read::Whole(bytes)), Some(Read::Missing)) => (bytes, None),
                (Some(Read::Unfit(reason)), _) => {
                    faults.push(damaged(&name, &reason));
                    continue;
                }
                (Some(Read::Whole(_)), Some(Read::Unfit(reason))) => {
                    faults.push(damaged(&name, &format!("its signature: {reason}")));
                    continue;
                }
                _ => {
                    let address = self.storage.address().to_owned();
                    return Err(StorageError::NotFound { address, name }.into());
                }
            };
            let (bytes, signature) = signature;
            found.push(SignedFile { name, stem, bytes, signature, modified, is_known: false });
        }
        Ok(found)
    }

    /// A signed file's bytes; `None` when it is not there, or no file.
    pub(super) async fn if_there(&self, name: &str) -> Result<Option<Bytes>, RepoError> {
        match self.storage.get_at_most(name, layout::most_bytes(name)).await {
            Err(StorageError::NotFound { .. } | StorageError::Unfit { .. }) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    /// Every drill record, oldest first. None of them is believed: the reader verifies the signatures.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn drills(&self) -> Result<Vec<StoredDrill>, RepoError> {
        self.recalled_drills(&mut Recall::default()).await
    }

    pub(super) async fn recalled_drills(&self, recall: &mut Recall) -> Result<Vec<StoredDrill>, RepoError> {
        let mut unread = Vec::new();
        let files = self.recalled_files(layout::DRILLS, recall, By::Files, &mut unread).await?.into_iter();
        let drill = |SignedFile { stem, bytes, signature, .. }| StoredDrill {
            name: stem,
            bytes,
            signature: signature.unwrap_or_default(),
        };
        // What cannot be read is there all the same, and no record.
        let unread = unread.iter().filter_map(|fault| layout::stem_of(layout::DRILLS, &fault.file));
        let empty = |stem: &str| StoredDrill { name: stem.to_owned(), bytes: Bytes::new(), signature: String::new() };
        Ok(files.map(drill).chain(unread.map(empty)).collect())
    }

    /// A file whose digest and size must be those of `file`.
    pub(super) async fn sealed(&self, name: &str, file: &FileRef) -> Result<Bytes, RepoError> {
        let bytes = match self.storage.get_sized(name, file.size).await {
            Err(StorageError::NotFound { .. }) => return Err(damaged(name, MISSING)),
            // In the words of every other file that has another size.
            Err(StorageError::Unfit { size: Some(size), .. }) => return Err(of_other_size(name, size, file)),
            other => other?,
        };
        let (bytes, found) = hashed(bytes).await;
        same(name, &found, file)?;
        Ok(bytes)
    }

    /// Looks whether a file has the digest and size of `file`; its content is not kept.
    pub(super) async fn measured(&self, name: &str, file: &FileRef) -> Result<(), RepoError> {
        match self.storage.measure(name).await {
            Err(StorageError::NotFound { .. }) => Err(damaged(name, MISSING)),
            other => {
                let (sha256, size) = other?;
                same(name, &FileRef { sha256, size }, file)
            }
        }
    }

    /// The armored signature beside a file; `None` when there is none, empty when it is not one to its last byte.
    pub(super) async fn signature(&self, name: &str) -> Result<Option<String>, RepoError> {
        self.armor(&layout::signature(name)).await
    }

    /// The armored signature in a file of this name; `None` when there is none, empty when it is not one to its last byte.
    pub(super) async fn armor(&self, name: &str) -> Result<Option<String>, RepoError> {
        match self.storage.get_at_most(name, layout::MOST_BYTES).await {
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(StorageError::Unfit { .. }) => Ok(Some(String::new())),
            other => Ok(Some(armored(other?))),
        }
    }
}

/// A file's bytes, hashed beside the runtime's threads.
async fn hashed(bytes: Bytes) -> (Bytes, FileRef) {
    cores::aside(move || {
        let found = file_ref(&bytes);
        (bytes, found)
    })
    .await
}

fn of_other_size(name: &str, size: u64, file: &FileRef) -> RepoError {
    damaged(name, format!("it has {size} bytes, not {}", file.size))
}

fn same(name: &str, found: &FileRef, file: &FileRef) -> Result<(), RepoError> {
    if found.size != file.size {
        Err(of_other_size(name, found.size, file))
    } else if found.sha256 != file.sha256 {
        Err(damaged(name, "its content does not have its digest"))
    } else {
        Ok(())
    }
}

/// A signature's text; empty when it is not one to its last byte.
pub(super) fn armored(bytes: Bytes) -> String {
    let text = String::from_utf8(bytes.into()).unwrap_or_default();
    if text.ends_with(SIGNATURE_END) { text } else { String::new() }
}
