//! Writing files that are never replaced: in a folder, in a bucket, and in one that has to be tried first.

use std::{io, time::Duration};

use bytes::Bytes;
use object_store::{ObjectStore, PutMode, path::Path};

use super::{Place, Storage, StorageError, local, local::LocalFolder, reason};
use crate::cores;

/// Every repository has it and its content never changes: it is put once more to see whether the storage refuses.
const PROBE: &str = "lifeboat.json";
/// How often a conditional write is tried that a service could neither do nor refuse, because of another one at the same moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

impl Storage {
    /// Writes a new file, durably, in one step: it is there whole or not at all.
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`], [`StorageError::Unavailable`].
    pub async fn put_new(&self, name: &str, bytes: Bytes) -> Result<(), StorageError> {
        let planned = self.faults.as_ref().and_then(|faults| faults.on_put(name));
        if let Some((reason, false)) = planned {
            return Err(self.unavailable(name, reason));
        }
        match &*self.place {
            Place::Local { folder, .. } => self.put_local(folder, name, bytes).await?,
            _ => self.put_elsewhere(name, bytes).await?,
        }
        match planned {
            Some((reason, _)) => Err(self.unavailable(name, reason)),
            None => Ok(()),
        }
    }

    async fn put_local(&self, folder: &LocalFolder, name: &str, bytes: Bytes) -> Result<(), StorageError> {
        let (root, path) = (folder.path().to_owned(), self.path(name)?);
        let written = cores::aside(move || local::put_new(&root, &path, &bytes)).await;
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StorageError::AlreadyExists { address: self.address().into(), name: name.into() }
            }
            _ => self.unavailable(name, reason(&error)),
        })
    }

    async fn put_elsewhere(&self, name: &str, bytes: Bytes) -> Result<(), StorageError> {
        let store = self.existing(name).await?.ok_or_else(|| self.not_found(name))?;
        let path = self.path(name)?;
        if let Some(connected) = self.connected(name).await? {
            if connected.is_single_writer {
                return self.put_alone(&*store, &path, bytes).await;
            }
            if name != PROBE {
                connected.tried.get_or_try_init(async || self.prove_exclusive().await.map(drop)).await?;
            }
        }
        self.put_exclusively(&*store, &path, bytes).await
    }

    /// A conditional write. S3 answers 409 where another one to the same name is under way, whether that one succeeds or not, so an
    /// answer that the file exists is believed when it does.
    async fn put_exclusively(&self, store: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<(), StorageError> {
        let name = path.as_ref();
        for attempt in 1.. {
            match store.put_opts(path, bytes.clone().into(), PutMode::Create.into()).await {
                Ok(_) => return Ok(()),
                Err(error @ object_store::Error::AlreadyExists { .. }) => {
                    if self.exists(name).await? {
                        return Err(self.error(name, &error));
                    }
                    if attempt == TRIES {
                        return Err(self.unavailable(
                            name,
                            "the storage reports another writer of this file, but the file does not appear",
                        ));
                    }
                    tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
                }
                Err(error) if knows_no_conditions(&error) => {
                    let reason = "it does not support If-None-Match";
                    return Err(StorageError::NotExclusive { address: self.address().into(), reason });
                }
                Err(error) => return Err(self.error(name, &error)),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// For a service without conditional writes that nobody else writes to.
    async fn put_alone(&self, store: &dyn ObjectStore, path: &Path, bytes: Bytes) -> Result<(), StorageError> {
        let name = path.as_ref();
        if self.exists(name).await? {
            return Err(StorageError::AlreadyExists { address: self.address().into(), name: name.into() });
        }
        let put = store.put_opts(path, bytes.into(), PutMode::Overwrite.into()).await;
        put.map(drop).map_err(|error| self.error(name, &error))
    }

    /// Proves that files can be written there and are not replaced; nothing is left there. Gives whether it is proven: not before
    /// there is a repository.
    ///
    /// # Errors
    /// [`StorageError::NotExclusive`], [`StorageError::Unavailable`].
    pub async fn prove_exclusive(&self) -> Result<bool, StorageError> {
        self.prove_exclusive_by(PROBE).await
    }

    /// The same by another file that is there.
    ///
    /// # Errors
    /// As there.
    pub async fn prove_exclusive_by(&self, name: &str) -> Result<bool, StorageError> {
        let connected = self.connected(name).await?;
        if connected.is_some_and(|connected| connected.is_single_writer) {
            return Ok(true);
        }
        let bytes = match self.get(name).await {
            Err(StorageError::NotFound { .. }) => return Ok(false),
            other => other?,
        };
        let put = match (&*self.place, connected) {
            (Place::Local { folder, .. }, _) => self.put_local(folder, name, bytes).await,
            (_, Some(connected)) => self.put_exclusively(&*connected.store, &self.path(name)?, bytes).await,
            (_, None) => return Ok(true),
        };
        match put {
            Err(StorageError::AlreadyExists { .. }) => Ok(true),
            Ok(()) => {
                let reason = "it replaced a file despite If-None-Match";
                Err(StorageError::NotExclusive { address: self.address().into(), reason })
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a service says that it does not know conditional writes: 501 of Backblaze B2 and old gateways, 400 of others.
fn knows_no_conditions(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("501 Not Implemented") || text.contains("<Code>NotImplemented</Code>")
}
