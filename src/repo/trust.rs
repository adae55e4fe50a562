//! From what a reader believes to the epochs and signers that count.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    Epoch, Fault, FaultKind, RepoError, Repository, StoredDrill, StoredEpoch, damaged, from_json, layout, untrusted,
};
use crate::{
    crypto::{Namespace, PublicKey, Recipient, Signer, verify},
    model::Digest,
};

/// What a reader believes without asking the repository: pinned in the config, or derived from the recovered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// The root signing key's public half.
    pub root: PublicKey,
    /// The recovery recipient.
    pub recipient: Recipient,
}

/// Epochs whose signatures reach a [`TrustAnchor`], and so the signers that count.
///
/// An epoch counts when its root and recipient are the anchor's and its root signed it, and so does every epoch
/// its `previous` names by digest. An epoch of another root that no such chain leads to does not, however new.
#[derive(Clone, Debug)]
pub struct Trust {
    epochs: Vec<Epoch>,
    digests: Vec<Digest>,
    faults: Vec<Fault>,
    junk: Vec<Fault>,
    superseded: Option<u32>,
}

/// What `epochs/` holds: the epochs that parse, and what is wrong with the other files.
#[derive(Default)]
pub(super) struct EpochFiles {
    pub(super) parsed: BTreeMap<u32, StoredEpoch>,
    pub(super) unsigned: BTreeSet<u32>,
    pub(super) faults: Vec<Fault>,
    pub(super) bytes: u64,
}

impl Repository {
    /// The key epochs as stored, by number, none of them believed: for attributing sheets before there is a key.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when one cannot be parsed, [`RepoError::Storage`].
    pub async fn epochs(&self) -> Result<Vec<StoredEpoch>, RepoError> {
        let EpochFiles { parsed, faults, .. } = self.epoch_files().await?;
        match faults.into_iter().next() {
            Some(fault) => Err(damaged(&fault.file, fault.detail)),
            None => Ok(parsed.into_values().collect()),
        }
    }

    /// Verifies the epochs against what the reader believes.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when no epoch reaches the anchor or one that should does not verify.
    pub async fn trust(&self, anchor: &TrustAnchor) -> Result<Trust, RepoError> {
        let files = self.epoch_files().await?;
        let mut trusted = BTreeMap::new();
        for stored in files.parsed.values().rev() {
            let named = trusted.contains_key(&stored.epoch.number);
            if !named && stored.epoch.root != anchor.root {
                continue;
            }
            if !named && stored.epoch.recipient != anchor.recipient {
                return Err(untrusted(&name_of(stored), "it names another recovery recipient than its root's"));
            }
            let digest = self.verified(stored)?;
            trusted.insert(stored.epoch.number, digest);
            if let Some(previous) = previous(stored, &files.parsed)? {
                trusted.entry(previous).or_insert_with(|| Digest::of(&files.parsed[&previous].bytes));
            }
        }
        if trusted.is_empty() {
            return Err(untrusted(layout::EPOCHS, "no key epoch here belongs to the expected recovery key"));
        }
        let epochs = trusted.keys().map(|number| files.parsed[number].epoch.clone()).collect();
        let digests = trusted.into_values().collect();
        let mut trust = Trust { epochs, digests, faults: Vec::new(), junk: Vec::new(), superseded: None };
        trust.judge_the_others(&files);
        Ok(trust)
    }

    /// Signs and stores a key epoch; storing the same one again is no error.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when another epoch has its number; [`RepoError::Untrusted`] when it is another
    /// repository's or `root` is not its root; [`RepoError::Storage`].
    pub async fn put_epoch(&self, epoch: &Epoch, root: &Signer) -> Result<(), RepoError> {
        let name = layout::epoch(epoch.number);
        if epoch.repository != self.id || epoch.root != root.public() {
            return Err(untrusted(&name, "not an epoch of this repository signed by its own root"));
        }
        let bytes = epoch.to_bytes();
        let signature = root.sign(Namespace::Epoch, &bytes);
        self.put_same(&layout::signature(&name), Bytes::from(signature)).await?;
        self.put_same(&name, bytes).await.map(drop)
    }

    /// Stores an epoch that its root signed earlier, while the key was there; storing the same one again is no error.
    ///
    /// `expected` is the root the caller believes may sign it: the anchor's, or that of a ceremony the caller held.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] when it does not parse or another epoch has its number; [`RepoError::Untrusted`] when it
    /// is another repository's, `expected` did not sign it, or it does not follow the newest epoch of `trust`;
    /// [`RepoError::Storage`].
    pub async fn put_signed_epoch(
        &self,
        bytes: Bytes,
        signature: &str,
        expected: &PublicKey,
        trust: &Trust,
    ) -> Result<(), RepoError> {
        let epoch: Epoch = from_json(&bytes).map_err(|reason| damaged(layout::EPOCHS, reason))?;
        let name = layout::epoch(epoch.number);
        if epoch.root != *expected {
            return Err(untrusted(&name, "another key than the expected one is its root"));
        }
        let stored = StoredEpoch { epoch, bytes, signature: signature.to_owned() };
        let digest = self.verified(&stored)?;
        if trust.current_digest() != digest && !trust.is_followed_by(&stored.epoch) {
            return Err(untrusted(&name, "it does not follow the newest epoch of the repository"));
        }
        self.put_same(&layout::signature(&name), Bytes::from(stored.signature)).await?;
        self.put_same(&name, stored.bytes).await.map(drop)
    }

    pub(super) async fn epoch_files(&self) -> Result<EpochFiles, RepoError> {
        let mut files = EpochFiles::default();
        for entry in self.storage.list(layout::EPOCHS).await? {
            let Some(number) = layout::epoch_number(&entry.name) else { continue };
            let bytes = self.storage.get(&entry.name).await?;
            let signature = self.signature(&entry.name).await?;
            files.bytes += (bytes.len() + signature.as_ref().map_or(0, String::len)) as u64;
            if signature.is_none() {
                files.unsigned.insert(number);
            }
            match from_json::<Epoch>(&bytes) {
                Ok(epoch) if epoch.number == number => {
                    let signature = signature.unwrap_or_default();
                    files.parsed.insert(number, StoredEpoch { epoch, bytes, signature });
                }
                Ok(_) => files.faults.push(Fault::new(&entry.name, FaultKind::Damaged, "it has another number")),
                Err(reason) => files.faults.push(Fault::new(&entry.name, FaultKind::Damaged, reason)),
            }
        }
        Ok(files)
    }

    /// The digest of an epoch that its own root signed for this repository.
    fn verified(&self, stored: &StoredEpoch) -> Result<Digest, RepoError> {
        let StoredEpoch { epoch, bytes, signature } = stored;
        if epoch.repository != self.id {
            return Err(untrusted(&name_of(stored), "it belongs to another repository"));
        }
        verify(&epoch.root, Namespace::Epoch, bytes, signature)
            .map_err(|error| untrusted(&name_of(stored), error.to_string()))?;
        Ok(Digest::of(bytes))
    }
}

impl Trust {
    /// The epoch new snapshots are sealed to: the newest one.
    pub fn current(&self) -> &Epoch {
        self.epochs.last().expect("trust is made of at least one epoch")
    }

    /// SHA-256 of the newest epoch's exact bytes.
    pub fn current_digest(&self) -> Digest {
        *self.digests.last().expect("trust is made of at least one epoch")
    }

    /// Whether `epoch` names the newest epoch as the one before it.
    pub fn is_followed_by(&self, epoch: &Epoch) -> bool {
        let current = self.current().number;
        epoch.number.checked_sub(1) == Some(current)
            && epoch
                .previous
                .as_ref()
                .is_some_and(|before| before.number == current && before.sha256 == self.current_digest())
    }

    /// Everything that decides who may sign, as one digest.
    pub(super) fn digest(&self) -> Digest {
        let mut hashing = crate::model::Hashing::default();
        self.digests.iter().for_each(|digest| hashing.update(digest.as_bytes()));
        hashing.finish().0
    }

    /// Every verified epoch, by number.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Whether `key` may sign for `epoch`.
    pub fn allows(&self, epoch: u32, key: &PublicKey) -> bool {
        self.epoch(epoch).is_some_and(|epoch| epoch.signers.iter().any(|signer| signer.key == *key))
    }

    pub(super) fn epoch(&self, number: u32) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| epoch.number == number)
    }

    /// Whether a signer made this drill record that counts.
    pub(super) fn signed_drill(&self, drill: &StoredDrill) -> bool {
        let mut signers = self.epochs.iter().flat_map(|epoch| &epoch.signers);
        signers.any(|signer| verify(&signer.key, Namespace::Drill, &drill.bytes, &drill.signature).is_ok())
    }

    /// What is wrong with `epochs/`, as seen by this trust.
    pub(super) fn faults_of(&self, files: &EpochFiles) -> Vec<Fault> {
        let mut faults = files.faults.clone();
        for (number, stored) in &files.parsed {
            let name = layout::epoch(*number);
            let known = self.epochs.iter().position(|epoch| epoch.number == *number);
            let verdict = match known {
                _ if files.unsigned.contains(number) => Some((FaultKind::Unsigned, "it has no signature".to_owned())),
                None => Some((FaultKind::Untrusted, "it does not belong to the expected recovery key".to_owned())),
                Some(at) if Digest::of(&stored.bytes) != self.digests[at] => {
                    Some((FaultKind::Damaged, "it changed while being read".to_owned()))
                }
                Some(_) => verify(&stored.epoch.root, Namespace::Epoch, &stored.bytes, &stored.signature)
                    .err()
                    .map(|error| (FaultKind::Untrusted, error.to_string())),
            };
            faults.extend(verdict.map(|(kind, detail)| Fault::new(&name, kind, detail)));
        }
        let there = |number: &u32| files.parsed.contains_key(number);
        let missing = self.epochs.iter().map(|epoch| epoch.number).filter(|number| !there(number));
        let known_bad: BTreeSet<&str> = files.faults.iter().map(|fault| fault.file.as_str()).collect();
        let missing: Vec<_> = missing.map(layout::epoch).filter(|name| !known_bad.contains(name.as_str())).collect();
        faults.extend(missing.iter().map(|name| Fault::new(name, FaultKind::Missing, "it is missing")));
        faults
    }
}

/// The number of the epoch before, which must be the one whose digest is named.
fn previous(stored: &StoredEpoch, files: &BTreeMap<u32, StoredEpoch>) -> Result<Option<u32>, RepoError> {
    let epoch = &stored.epoch;
    let Some(previous) = &epoch.previous else {
        return if epoch.number == 1 { Ok(None) } else { Err(untrusted(&name_of(stored), "it names no epoch before")) };
    };
    if previous.number.checked_add(1) != Some(epoch.number) {
        return Err(untrusted(&name_of(stored), "the epoch before does not have the number before"));
    }
    match files.get(&previous.number) {
        Some(before) if Digest::of(&before.bytes) == previous.sha256 => Ok(Some(previous.number)),
        Some(_) => Err(untrusted(&layout::epoch(previous.number), "the epoch after it names another one")),
        None => Err(untrusted(&layout::epoch(previous.number), "it is missing or damaged")),
    }
}

fn name_of(stored: &StoredEpoch) -> String {
    layout::epoch(stored.epoch.number)
}

/// What a signed file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// A manifest.
    Manifest,
    /// A forget record.
    Forget,
    /// A record of a later kind.
    Record,
    /// A drill record.
    Drill,
    /// An attestation.
    Attestation,
}

impl Trust {
    /// Whether `key` is a signer of the newest epoch.
    pub fn allows_now(&self, key: &PublicKey) -> bool {
        self.allows(self.current().number, key)
    }

    /// Whether a file with this digest, signed by `signer` for `epoch`, counts; or why it does not. The signature itself is the
    /// caller's to verify.
    ///
    /// # Errors
    /// When the signer may not sign for that epoch.
    pub fn counts(&self, _what: Signed, epoch: u32, signer: &PublicKey, _file: &Digest) -> Result<(), String> {
        if self.epoch(epoch).is_none() {
            return Err(format!("epoch {epoch} is not trusted"));
        }
        if self.allows(epoch, signer) {
            Ok(())
        } else {
            Err(format!("{} may not sign for epoch {epoch}", signer.fingerprint()))
        }
    }

    /// The same for files that name no epoch: the newest one of which `signer` is a signer is meant.
    ///
    /// # Errors
    /// When it is a signer of none.
    pub fn counts_by_signer(&self, what: Signed, signer: &PublicKey, file: &Digest) -> Result<(), String> {
        match self.epochs.iter().rev().find(|epoch| self.allows(epoch.number, signer)) {
            Some(epoch) => self.counts(what, epoch.number, signer, file),
            None => Err(format!("{} may not sign for any epoch", signer.fingerprint())),
        }
    }

    /// Places of snapshots that are gone, by the word of the closing lists.
    pub fn excused(&self) -> impl Iterator<Item = &super::Forgotten> {
        std::iter::empty()
    }

    /// What is wrong in `epochs/` and `closings/` and may hide that a right was removed.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Files in `epochs/` that have no effect.
    pub fn junk(&self) -> &[Fault] {
        &self.junk
    }

    /// The number of an epoch with another root that follows the newest one: this trust is an old one.
    pub fn superseded(&self) -> Option<u32> {
        self.superseded
    }

    /// The files of the epochs that count, each after what has to be there before it.
    pub(super) fn files(&self) -> Vec<String> {
        let names = self.epochs.iter().map(|epoch| layout::epoch(epoch.number));
        names.flat_map(|name| [layout::signature(&name), name]).collect()
    }

    /// Files that do not count: the damaged successor of the newest epoch, one that supersedes it, and junk.
    fn judge_the_others(&mut self, files: &EpochFiles) {
        let successor = layout::epoch(self.current().number.saturating_add(1));
        for fault in &files.faults {
            if fault.file == successor {
                let detail = format!("{}: it may be the newest epoch, which nobody can read", fault.detail);
                self.faults.push(Fault { detail, ..fault.clone() });
            } else {
                self.junk.push(Fault { kind: FaultKind::Junk, ..fault.clone() });
            }
        }
        for (number, stored) in &files.parsed {
            if self.epoch(*number).is_some() {
                continue;
            }
            let is_signed = verify(&stored.epoch.root, Namespace::Epoch, &stored.bytes, &stored.signature).is_ok();
            if self.is_followed_by(&stored.epoch) && is_signed {
                self.superseded = Some(*number);
            } else {
                self.junk.push(Fault::new(&name_of(stored), FaultKind::Junk, "it does not belong to the expected recovery key"));
            }
        }
    }
}
