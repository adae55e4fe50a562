//! Packs, indexes and drill records, stored and fetched whole.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{FileRef, RepoError, Repository, SealedFile, chain::PARALLEL, damaged, file_ref, layout};
use crate::{
    crypto::{Namespace, Signer},
    model::{Digest, SnapshotId},
    storage::StorageError,
};

/// Readers of armor are lenient about what follows it; here every byte counts.
const SIGNATURE_END: &str = "\n-----END SSH SIGNATURE-----\n";

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
        let (bytes, found) = self.hashed(&name).await?;
        if found.sha256 == *digest { Ok(bytes) } else { Err(damaged(&name, "its content does not have its digest")) }
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
        time: jiff::Timestamp,
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

    /// Every drill record, oldest first. None of them is believed: the reader verifies the signatures.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn drills(&self) -> Result<Vec<StoredDrill>, RepoError> {
        let entries = self.storage.list(layout::DRILLS).await?;
        let stems = entries.iter().filter_map(|entry| layout::stem_of(layout::DRILLS, &entry.name).map(str::to_owned));
        let read = stream::iter(stems.collect::<Vec<_>>()).map(async |stem| {
            let name = layout::record(layout::DRILLS, &stem);
            let (bytes, signature) = (self.storage.get(&name).await?, self.signature(&name).await?);
            Ok(StoredDrill { name: stem, bytes, signature: signature.unwrap_or_default() })
        });
        read.buffered(PARALLEL).try_collect().await
    }

    /// A file whose digest and size must be those of `file`.
    pub(super) async fn sealed(&self, name: &str, file: &FileRef) -> Result<Bytes, RepoError> {
        let (bytes, found) = self.hashed(name).await?;
        if found.size != file.size {
            return Err(damaged(name, format!("it has {} bytes, not {}", found.size, file.size)));
        }
        if found.sha256 != file.sha256 {
            return Err(damaged(name, "its content does not have its digest"));
        }
        Ok(bytes)
    }

    /// A file's bytes, hashed beside the runtime's threads.
    async fn hashed(&self, name: &str) -> Result<(Bytes, FileRef), RepoError> {
        let bytes = self.expect(name).await?;
        let copy = bytes.clone();
        let found = tokio::task::spawn_blocking(move || file_ref(&copy)).await.expect("hashing does not panic");
        Ok((bytes, found))
    }

    /// The armored signature beside a file; `None` when there is none, empty when it is not one to its last byte.
    pub(super) async fn signature(&self, name: &str) -> Result<Option<String>, RepoError> {
        match self.storage.get(&layout::signature(name)).await {
            Err(StorageError::NotFound { .. }) => Ok(None),
            other => {
                let text = String::from_utf8(other?.into()).unwrap_or_default();
                Ok(Some(if text.ends_with(SIGNATURE_END) { text } else { String::new() }))
            }
        }
    }
}
