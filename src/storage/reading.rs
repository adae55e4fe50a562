//! Reading files: one whole, many small ones, or one for its digest alone.
//!
//! What is in a local folder is read beside the runtime's threads, in one hop a file or a batch of files.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, local::LocalFileSystem, path::Path};

use super::{Place, Storage, StorageError, local};
use crate::{
    cores,
    model::{Digest, Hashing},
};

/// The most bytes of any file.
const MOST: u64 = 128 << 20;
/// Small local files read in one hop.
const BATCH: usize = 64;
/// Small files asked of a service at the same time.
const REQUESTS: usize = 64;

/// What reading one of many files gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Its content.
    Whole(Bytes),
    /// There is no such file.
    Missing,
    /// It is no file, or larger than it may be: why.
    Unfit(String),
}

impl Storage {
    /// Reads a whole file of a repository, none of which is larger than 128 MiB.
    ///
    /// # Errors
    /// As [`Self::get_at_most`].
    pub async fn get(&self, name: &str) -> Result<Bytes, StorageError> {
        self.get_at_most(name, MOST).await
    }

    /// Reads a whole file of at most `most` bytes; nothing of a larger one.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Unfit`], [`StorageError::Unavailable`].
    pub async fn get_at_most(&self, name: &str, most: u64) -> Result<Bytes, StorageError> {
        self.planned(name)?;
        let path = self.path(name)?;
        let bytes = if let Some(store) = self.folder(name)? {
            cores::aside(move || local::read(&store, &path, most)).await
        } else {
            let Some(store) = self.existing(name).await? else { return Err(self.not_found(name)) };
            let read = async {
                let found = store.get(&path).await?;
                if found.meta.size > most { Err(super::larger(found.meta.size, most)) } else { found.bytes().await }
            };
            read.await
        };
        let bytes = bytes.map_err(|error| self.error(name, &error))?;
        Ok(match &self.faults {
            Some(faults) => faults.on_bytes(name, bytes),
            None => bytes,
        })
    }

    /// The same for a file that has `size` bytes, if it is what it should be.
    ///
    /// # Errors
    /// As [`Self::get_at_most`].
    pub async fn get_sized(&self, name: &str, size: u64) -> Result<Bytes, StorageError> {
        let Some(store) = self.folder(name)?.filter(|_| self.faults.is_none() && size <= MOST) else {
            return self.get_at_most(name, size).await;
        };
        let path = self.path(name)?;
        let room = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let read = cores::aside(move || local::read_into(room, &store, &path, size)).await;
        read.map_err(|error| self.error(name, &error))
    }

    /// Reads many small files of at most `most` bytes, several at a time.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn get_all(&self, names: &[String], most: u64) -> Result<Vec<Read>, StorageError> {
        if self.faults.is_none()
            && let Some(store) = self.folder("")?
        {
            return self.local_batches(&store, names, most).await;
        }
        let read: Vec<_> = names.iter().map(|name| async move { sorted(self.get_at_most(name, most).await) }).collect();
        stream::iter(read).buffered(REQUESTS).try_collect().await
    }

    /// A file's digest and length. Its content is looked at in pieces and not kept.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Unavailable`].
    pub async fn measure(&self, name: &str) -> Result<(Digest, u64), StorageError> {
        if self.faults.is_some() {
            let bytes = self.get(name).await?;
            return Ok((Digest::of(&bytes), bytes.len() as u64));
        }
        let path = self.path(name)?;
        let measured = if let Some(store) = self.folder(name)? {
            cores::aside(move || local::measure(&store, &path)).await
        } else {
            let Some(store) = self.existing(name).await? else { return Err(self.not_found(name)) };
            let hash = async {
                let mut pieces = store.get(&path).await?.into_stream();
                let mut hashing = Hashing::default();
                while let Some(piece) = pieces.try_next().await? {
                    hashing.update(&piece);
                }
                Ok(hashing.finish())
            };
            hash.await
        };
        measured.map_err(|error| self.error(name, &error))
    }

    /// The local folder, when it is one and there.
    pub(super) fn folder(&self, name: &str) -> Result<Option<Arc<LocalFileSystem>>, StorageError> {
        match &*self.place {
            Place::Local { folder, .. } => {
                folder.existing().map_err(|error| self.unavailable(name, super::reason(&error)))
            }
            _ => Ok(None),
        }
    }

    async fn local_batches(
        &self,
        store: &Arc<LocalFileSystem>,
        names: &[String],
        most: u64,
    ) -> Result<Vec<Read>, StorageError> {
        let batches = names.chunks(BATCH).map(|batch| {
            let paths: Vec<_> = batch.iter().map(|name| Path::parse(name.as_str())).collect();
            let store = Arc::clone(store);
            let read =
                move |path: object_store::Result<Path, object_store::path::Error>| local::read(&store, &path?, most);
            async move { (batch, cores::aside(move || paths.into_iter().map(read).collect()).await) }
        });
        let mut batches = stream::iter(batches).buffered(cores::count());
        let mut found = Vec::with_capacity(names.len());
        while let Some((batch, files)) = batches.next().await {
            let files: Vec<_> = files;
            for (name, file) in batch.iter().zip(files) {
                found.push(sorted(file.map_err(|error| self.error(name, &error)))?);
            }
        }
        Ok(found)
    }

    pub(super) fn planned(&self, name: &str) -> Result<(), StorageError> {
        match self.faults.as_ref().and_then(|faults| faults.on_get(name)) {
            Some(reason) => Err(self.unavailable(name, reason)),
            None => Ok(()),
        }
    }
}

fn sorted(read: Result<Bytes, StorageError>) -> Result<Read, StorageError> {
    match read {
        Ok(bytes) => Ok(Read::Whole(bytes)),
        Err(StorageError::NotFound { .. }) => Ok(Read::Missing),
        Err(StorageError::Unfit { reason, .. }) => Ok(Read::Unfit(reason)),
        Err(error) => Err(error),
    }
}
