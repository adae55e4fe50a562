//! The files of key epochs, read without believing any, and written so that nobody can stand in the way.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    ClosingList, Epoch, Fault, FaultKind, RepoError, Repository, StoredEpoch, Trust, damaged, from_json, layout,
    untrusted,
};
use crate::{
    crypto::{Namespace, PublicKey, Signer, verify},
    model::Digest,
    storage::StorageError,
};

/// A list of digests.
const MOST_CLOSING_BYTES: u64 = 16 << 20;

/// What `epochs/` holds.
#[derive(Default)]
pub(super) struct EpochFiles {
    /// Epochs whose bytes have the digest in their name and which their own root signed, by digest.
    pub(super) whole: BTreeMap<Digest, StoredEpoch>,
    /// What is wrong with each of the others, and the number in its name.
    pub(super) broken: Vec<(u32, Digest, Fault)>,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// A next epoch as a ceremony leaves it, with everything that belongs to it.
#[derive(Clone, Copy)]
pub struct SignedEpoch<'a> {
    /// Its exact bytes.
    pub bytes: &'a [u8],
    /// The signature of its own root.
    pub signature: &'a str,
    /// The exact bytes of its closing list, where it names one.
    pub closing: Option<&'a [u8]>,
    /// Signs it beside a new root: a signer of the epoch in force.
    pub countersigner: Option<&'a Signer>,
}

impl Repository {
    /// The key epochs as stored, by number, none of them believed: for attributing sheets before there is a key. What is damaged
    /// is left out.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn epochs(&self) -> Result<Vec<StoredEpoch>, RepoError> {
        let mut epochs: Vec<StoredEpoch> = self.epoch_files().await?.whole.into_values().collect();
        epochs.sort_by_key(|stored| stored.epoch.number);
        Ok(epochs)
    }

    /// Signs and stores a key epoch; storing the same one again is no error.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when another file has its name; [`RepoError::Untrusted`] when it is another
    /// repository's or `root` is not its root; [`RepoError::Storage`].
    pub async fn put_epoch(&self, epoch: &Epoch, root: &Signer) -> Result<(), RepoError> {
        let bytes = epoch.to_bytes();
        let name = layout::epoch(epoch.number, &Digest::of(&bytes));
        if epoch.repository != self.id || epoch.root != root.public() {
            return Err(untrusted(&name, "not an epoch of this repository signed by its own root"));
        }
        let signature = root.sign(Namespace::Epoch, &bytes);
        self.put_same(&layout::signature(&name), Bytes::from(signature)).await?;
        self.put_same(&name, bytes).await.map(drop)
    }

    /// Stores an epoch that its root signed earlier, while the key was there; storing the same one again is no error. First its
    /// closing list, then the signatures, then the epoch, which is the commit.
    ///
    /// `expected` is the root the caller believes may sign it: the anchor's, or that of a ceremony the caller held.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when it does not parse or another file has a name that it needs; [`RepoError::Untrusted`] when it
    /// is another repository's, `expected` did not sign it, it does not follow the newest epoch of `trust`, a new root is not
    /// countersigned by a signer of that epoch, or it has another closing list; [`RepoError::Storage`].
    pub async fn put_signed_epoch(
        &self,
        next: SignedEpoch<'_>,
        expected: &PublicKey,
        trust: &Trust,
    ) -> Result<(), RepoError> {
        let epoch: Epoch = from_json(next.bytes).map_err(|reason| damaged(layout::EPOCHS, reason))?;
        let digest = Digest::of(next.bytes);
        let name = layout::epoch(epoch.number, &digest);
        if epoch.root != *expected {
            return Err(untrusted(&name, "its root is not the expected key"));
        }
        if epoch.repository != self.id {
            return Err(untrusted(&name, "it belongs to another repository"));
        }
        verify(&epoch.root, Namespace::Epoch, next.bytes, next.signature)
            .map_err(|error| untrusted(&name, error.to_string()))?;
        if trust.current_digest() == digest {
            return Ok(());
        }
        if !trust.is_followed_by(&epoch) {
            return Err(untrusted(&name, "it does not follow the newest epoch of the repository"));
        }
        let others = self.epoch_files().await?.whole;
        if let Some(taken) = others.values().find(|other| other.bytes != next.bytes && trust.may_be_next(other)) {
            let name = layout::epoch(taken.epoch.number, &Digest::of(&taken.bytes));
            return Err(damaged(&name, "another epoch has this number"));
        }
        if epoch.closing != next.closing.map(Digest::of) {
            return Err(untrusted(&name, "it has another closing list"));
        }
        if let (Some(digest), Some(closing)) = (&epoch.closing, next.closing) {
            self.put_same(&layout::closing(digest), Bytes::copy_from_slice(closing)).await?;
        }
        if epoch.root != trust.current().root {
            let signer = next.countersigner.filter(|signer| trust.allows_now(&signer.public()));
            let Some(signer) = signer else {
                return Err(untrusted(&name, "a new key needs the signature of a host that may sign now"));
            };
            let countersignature = signer.sign(Namespace::Epoch, next.bytes);
            self.put_same(&layout::countersignature(&name), Bytes::from(countersignature)).await?;
        }
        self.put_same(&layout::signature(&name), Bytes::from(next.signature.to_owned())).await?;
        self.put_same(&name, Bytes::copy_from_slice(next.bytes)).await.map(drop)
    }

    pub(super) async fn epoch_files(&self) -> Result<EpochFiles, RepoError> {
        let mut files = EpochFiles::default();
        let entries = self.storage.list(layout::EPOCHS).await?;
        let named = entries.iter().filter_map(|entry| Some((entry, layout::epoch_parts(&entry.name)?)));
        for (entry, (number, digest)) in named {
            files.files += 1;
            match self.epoch_file(&entry.name, entry.size, digest).await? {
                Ok(stored) => {
                    files.files += 1 + u64::from(stored.countersignature.is_some());
                    files.bytes += (stored.bytes.len() + stored.signature.len()) as u64;
                    files.whole.insert(digest, stored);
                }
                Err((kind, detail)) => {
                    files.broken.push((number, digest, Fault::new(&entry.name, kind, detail)));
                }
            }
        }
        Ok(files)
    }

    async fn epoch_file(
        &self,
        name: &str,
        size: u64,
        digest: Digest,
    ) -> Result<Result<StoredEpoch, (FaultKind, String)>, RepoError> {
        if size > layout::MOST_BYTES {
            let detail = format!("it has {size} bytes; an epoch has at most {}", layout::MOST_BYTES);
            return Ok(Err((FaultKind::Damaged, detail)));
        }
        let bytes = match self.storage.get_at_most(name, layout::MOST_BYTES).await {
            Err(StorageError::NotFound { .. }) => return Ok(Err((FaultKind::Missing, super::MISSING.into()))),
            Err(StorageError::Unfit { reason, .. }) => return Ok(Err((FaultKind::Damaged, reason))),
            other => other?,
        };
        if Digest::of(&bytes) != digest {
            return Ok(Err((FaultKind::Damaged, "its content does not have its digest".into())));
        }
        let epoch: Epoch = match from_json(&bytes) {
            Ok(epoch) => epoch,
            Err(reason) => return Ok(Err((FaultKind::Damaged, reason))),
        };
        let Some(signature) = self.signature(name).await? else {
            return Ok(Err((FaultKind::Unsigned, "it has no signature".into())));
        };
        if Some((epoch.number, digest)) != layout::epoch_parts(name) || epoch.repository != self.id {
            return Ok(Err((FaultKind::Untrusted, "it is of another number or repository".into())));
        }
        if let Err(error) = verify(&epoch.root, Namespace::Epoch, &bytes, &signature) {
            return Ok(Err((FaultKind::Untrusted, error.to_string())));
        }
        let countersignature = self.armor(&layout::countersignature(name)).await?;
        Ok(Ok(StoredEpoch { epoch, bytes, signature, countersignature }))
    }

    /// The closing list that an epoch names, or what is wrong with its file.
    pub(super) async fn closing_of(
        &self,
        number: u32,
        digest: &Digest,
    ) -> Result<Result<ClosingList, Fault>, RepoError> {
        let name = layout::closing(digest);
        let fault = |kind, detail: String| Ok(Err(Fault::new(&name, kind, detail)));
        let bytes = match self.storage.get_at_most(&name, MOST_CLOSING_BYTES).await {
            Err(StorageError::NotFound { .. }) => return fault(FaultKind::Missing, super::MISSING.into()),
            Err(StorageError::Unfit { reason, .. }) => return fault(FaultKind::Damaged, reason),
            other => other?,
        };
        if Digest::of(&bytes) != *digest {
            return fault(FaultKind::Damaged, "its content does not have its digest".into());
        }
        match from_json::<ClosingList>(&bytes) {
            Ok(list) if list.repository == self.id && list.epoch.checked_add(1) == Some(number) => Ok(Ok(list)),
            Ok(_) => fault(FaultKind::Untrusted, "it is of another epoch or repository".into()),
            Err(reason) => fault(FaultKind::Damaged, reason),
        }
    }
}
