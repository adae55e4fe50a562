//! From what a reader believes to the epochs and signers that count. Pure but for reading the files.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use super::{
    ClosingList, Epoch, Fault, FaultKind, Forgotten, RepoError, Repository, StoredDrill, StoredEpoch, damaged,
    epoch_files::EpochFiles, layout, untrusted,
};
use crate::{
    crypto::{Namespace, PublicKey, Recipient, verify},
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
/// its `previous` names by digest, back to the first. They have the numbers from 1 on, without a gap.
#[derive(Clone, Debug)]
pub struct Trust {
    epochs: Vec<Epoch>,
    digests: Vec<Digest>,
    /// By the number of the epoch that names it.
    closings: BTreeMap<u32, Closed>,
    faults: Vec<Fault>,
    junk: Vec<Fault>,
    superseded: Option<u32>,
}

/// A closing list as it is asked.
#[derive(Clone, Debug, Default)]
struct Closed {
    manifests: BTreeSet<Digest>,
    drills: BTreeSet<Digest>,
    attestations: BTreeSet<Digest>,
    records: BTreeSet<Digest>,
    excused: Vec<Forgotten>,
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

impl Repository {
    /// Verifies the epochs against what the reader believes.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when no epoch reaches the anchor, or one that should does not verify;
    /// [`RepoError::Damaged`] when one that is needed is missing or damaged; [`RepoError::Storage`]. What else is wrong is in
    /// [`Trust::faults`].
    pub async fn trust(&self, anchor: &TrustAnchor) -> Result<Trust, RepoError> {
        let files = self.epoch_files().await?;
        let mut trust = counting(anchor, &files)?;
        trust.judge_the_others(&files);
        for epoch in &trust.epochs {
            let Some(digest) = &epoch.closing else { continue };
            match self.closing_of(epoch.number, digest).await? {
                Ok(list) => drop(trust.closings.insert(epoch.number, Closed::of(list))),
                Err(fault) => trust.faults.push(fault),
            }
        }
        Ok(trust)
    }
}

/// The epochs that count: those of the anchor's root, and from each of them back to the first.
///
/// Two that count and have one number are two ceremonies that knew nothing of each other: the one that others follow is taken, or
/// else the one made later, and the other is a fault.
fn counting(anchor: &TrustAnchor, files: &EpochFiles) -> Result<Trust, RepoError> {
    let mut ours: Vec<(&Digest, &StoredEpoch)> = Vec::new();
    for (digest, stored) in &files.whole {
        if stored.epoch.root == anchor.root {
            if stored.epoch.recipient != anchor.recipient {
                return Err(untrusted(&name_of(stored, digest), "its recovery recipient does not belong to its root"));
            }
            ours.push((digest, stored));
        }
    }
    let newest = ours.iter().max_by_key(|(digest, stored)| (stored.epoch.number, stored.epoch.created, **digest));
    let Some((digest, stored)) = newest else {
        return Err(untrusted(layout::EPOCHS, "no key epoch here belongs to the expected recovery key"));
    };
    let mut found = vec![(**digest, *stored)];
    let (mut digest, mut stored) = (**digest, *stored);
    while let Some(before) = before(stored, &digest, files)? {
        found.push(before);
        (digest, stored) = before;
    }
    found.reverse();
    let digests: Vec<Digest> = found.iter().map(|(digest, _)| *digest).collect();
    let forks = ours.iter().filter(|(digest, _)| !digests.contains(digest)).map(|(digest, stored)| {
        let detail = format!("there are two epochs {} of the same key", stored.epoch.number);
        Fault::new(&name_of(stored, digest), FaultKind::Fork, detail)
    });
    Ok(Trust {
        faults: forks.collect(),
        epochs: found.into_iter().map(|(_, stored)| stored.epoch.clone()).collect(),
        digests,
        closings: BTreeMap::new(),
        junk: Vec::new(),
        superseded: None,
    })
}

/// The epoch before, which must be the one whose digest is named; `None` before the first.
fn before<'a>(
    stored: &StoredEpoch,
    digest: &Digest,
    files: &'a EpochFiles,
) -> Result<Option<(Digest, &'a StoredEpoch)>, RepoError> {
    let epoch = &stored.epoch;
    let Some(previous) = &epoch.previous else {
        let is_first = epoch.number == 1;
        return if is_first {
            Ok(None)
        } else {
            Err(untrusted(&name_of(stored, digest), "it names no previous epoch"))
        };
    };
    if previous.number.checked_add(1) != Some(epoch.number) {
        return Err(untrusted(&name_of(stored, digest), "the previous epoch does not have the previous number"));
    }
    let name = layout::epoch(previous.number, &previous.sha256);
    match files.whole.get(&previous.sha256) {
        Some(before) if before.epoch.number == previous.number => Ok(Some((previous.sha256, before))),
        Some(_) => Err(untrusted(&name, "the previous epoch does not have the previous number")),
        None => Err(match files.broken.iter().find(|(_, digest, _)| *digest == previous.sha256) {
            None => damaged(&name, super::MISSING),
            Some((.., fault)) if matches!(fault.kind, FaultKind::Damaged | FaultKind::Missing) => {
                damaged(&fault.file, fault.detail.clone())
            }
            Some((.., fault)) => untrusted(&fault.file, fault.detail.clone()),
        }),
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
        self.closings.keys().for_each(|number| hashing.update(&number.to_be_bytes()));
        hashing.finish().0
    }

    /// Every verified epoch, by number.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// When the repository was made.
    pub fn born(&self) -> Timestamp {
        self.epochs[0].created
    }

    /// Whether `key` is a signer of `epoch`; what it signed may not count all the same: see [`Self::counts`].
    pub fn allows(&self, epoch: u32, key: &PublicKey) -> bool {
        self.epoch(epoch).is_some_and(|epoch| has(epoch, key))
    }

    /// Whether `key` is a signer of the newest epoch.
    pub fn allows_now(&self, key: &PublicKey) -> bool {
        has(self.current(), key)
    }

    /// Whether a file with this digest, signed by `signer` for `epoch`, counts; or why it does not. The signature itself is the
    /// caller's to verify.
    ///
    /// # Errors
    /// When the signer may not sign for that epoch, or was removed later and the closing list does not name the file.
    pub fn counts(&self, what: Signed, epoch: u32, signer: &PublicKey, file: &Digest) -> Result<(), String> {
        if self.epoch(epoch).is_none() {
            return Err(format!("epoch {epoch} is not trusted"));
        }
        if !self.allows(epoch, signer) {
            return Err(format!("{} may not sign for epoch {epoch}", signer.fingerprint()));
        }
        let removed = self.epochs.iter().skip(epoch as usize).find(|later| !has(later, signer));
        match removed {
            Some(later) if !self.closings.get(&later.number).is_some_and(|list| list.lists(what, file)) => {
                Err(format!(
                    "{} may no longer sign since epoch {}, and its closing list does not name this file",
                    signer.fingerprint(),
                    later.number
                ))
            }
            _ => Ok(()),
        }
    }

    /// The same for files that name no epoch: the newest one of which `signer` is a signer is meant.
    ///
    /// # Errors
    /// As [`Self::counts`]; and when it is a signer of none.
    pub fn counts_by_signer(&self, what: Signed, signer: &PublicKey, file: &Digest) -> Result<(), String> {
        match self.epochs.iter().rev().find(|epoch| has(epoch, signer)) {
            Some(epoch) => self.counts(what, epoch.number, signer, file),
            None => Err(format!("{} may not sign for any epoch", signer.fingerprint())),
        }
    }

    /// Places of snapshots that are gone, by the word of the closing lists.
    pub fn excused(&self) -> impl Iterator<Item = &Forgotten> {
        self.closings.values().flat_map(|list| &list.excused)
    }

    /// What is wrong in `epochs/` and `closings/` and may hide that a right was removed.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Files in `epochs/` that have no effect.
    pub fn junk(&self) -> &[Fault] {
        &self.junk
    }

    /// The number of an epoch with another root that a signer of the newest epoch countersigned: this trust is an old one.
    pub fn superseded(&self) -> Option<u32> {
        self.superseded
    }

    pub(super) fn epoch(&self, number: u32) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| epoch.number == number)
    }

    /// Whether a signer made this drill record that counts.
    pub(super) fn signed_drill(&self, drill: &StoredDrill) -> bool {
        let signers: HashSet<&PublicKey> =
            self.epochs.iter().flat_map(|epoch| &epoch.signers).map(|signer| &signer.key).collect();
        let by = signers.into_iter().find(|key| verify(key, Namespace::Drill, &drill.bytes, &drill.signature).is_ok());
        by.is_some_and(|key| self.counts_by_signer(Signed::Drill, key, &Digest::of(&drill.bytes)).is_ok())
    }

    /// Files that do not count: the damaged successor of the newest epoch, one that supersedes it, and junk.
    fn judge_the_others(&mut self, files: &EpochFiles) {
        let successor = self.current().number.checked_add(1);
        for (number, _, fault) in &files.broken {
            let may_be_newest = Some(*number) == successor;
            if may_be_newest {
                let detail = format!("{}: it may be the newest epoch, which nobody can read", fault.detail);
                self.faults.push(Fault { detail, ..fault.clone() });
            } else {
                self.junk.push(Fault { kind: FaultKind::Junk, ..fault.clone() });
            }
        }
        for (digest, stored) in &files.whole {
            let name = name_of(stored, digest);
            if self.digests.contains(digest) || self.faults.iter().any(|fault| fault.file == name) {
                continue;
            }
            if self.is_followed_by(&stored.epoch) && self.is_countersigned(stored) {
                self.superseded = Some(stored.epoch.number);
                let detail =
                    format!("key epoch {} has another key, and a signer of this one confirmed it", stored.epoch.number);
                self.faults.push(Fault::new(&name, FaultKind::Superseded, detail));
            } else {
                let detail =
                    "it does not belong to the expected recovery key, and no signer of the newest epoch signed it";
                self.junk.push(Fault::new(&name, FaultKind::Junk, detail));
            }
        }
    }

    /// Whether an epoch that is not among these may be the one after the newest.
    pub(super) fn may_be_next(&self, stored: &StoredEpoch) -> bool {
        self.is_followed_by(&stored.epoch)
            && (stored.epoch.root == self.current().root || self.is_countersigned(stored))
    }

    fn is_countersigned(&self, stored: &StoredEpoch) -> bool {
        let Some(countersignature) = &stored.countersignature else { return false };
        let by = |key: &PublicKey| verify(key, Namespace::Epoch, &stored.bytes, countersignature).is_ok();
        self.current().signers.iter().any(|signer| by(&signer.key))
    }
}

impl Closed {
    fn of(list: ClosingList) -> Self {
        Self {
            manifests: list.snapshots.into_iter().collect(),
            drills: list.drills.into_iter().collect(),
            attestations: list.attestations.into_iter().collect(),
            records: list.records.into_iter().collect(),
            excused: list.excused,
        }
    }

    /// Of forget records, those that take another one back: what the others removed stands in `excused`.
    fn lists(&self, what: Signed, file: &Digest) -> bool {
        match what {
            Signed::Manifest => self.manifests.contains(file),
            Signed::Drill => self.drills.contains(file),
            Signed::Attestation => self.attestations.contains(file),
            Signed::Record | Signed::Forget => self.records.contains(file),
        }
    }
}

fn has(epoch: &Epoch, key: &PublicKey) -> bool {
    epoch.signers.iter().any(|signer| signer.key == *key)
}

fn name_of(stored: &StoredEpoch, digest: &Digest) -> String {
    layout::epoch(stored.epoch.number, digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{RecoveryKey, Signer},
        model::RepositoryId,
        repo::AllowedSigner,
    };

    #[test]
    fn the_digest_changes_with_every_epoch_and_closing_list() {
        let digest = |epochs: &[&[u8]], closings: &[u32]| {
            let trust = Trust {
                epochs: Vec::new(),
                digests: epochs.iter().map(|bytes| Digest::of(bytes)).collect(),
                closings: closings.iter().map(|number| (*number, Closed::default())).collect(),
                faults: Vec::new(),
                junk: Vec::new(),
                superseded: None,
            };
            trust.digest()
        };
        let all = [digest(&[b"1"], &[]), digest(&[b"1", b"2"], &[]), digest(&[b"1", b"2"], &[2])];
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 3);
        assert_ne!(digest(&[b"1", b"2"], &[1]), digest(&[b"1", b"2"], &[2]));
    }

    #[test]
    fn a_signer_that_came_back_is_judged_by_the_newest_epoch_that_has_it() {
        let (root, host, other) = (Signer::generate(), Signer::generate(), Signer::generate());
        let epoch = |number, signers: &[&Signer]| Epoch {
            version: 1,
            repository: RepositoryId::from_bytes([7; 16]),
            number,
            created: jiff::Timestamp::UNIX_EPOCH,
            recipient: RecoveryKey::generate().recipient(),
            root: root.public(),
            threshold: 3,
            total: 5,
            share_set: "0a1b2c3d".into(),
            custodians: Vec::new(),
            signers: signers.iter().map(|each| AllowedSigner { name: "host".into(), key: each.public() }).collect(),
            previous: None,
            closing: None,
        };
        let mut trust = Trust {
            epochs: vec![epoch(1, &[&host]), epoch(2, &[&other]), epoch(3, &[&other, &host])],
            digests: Vec::new(),
            closings: BTreeMap::new(),
            faults: Vec::new(),
            junk: Vec::new(),
            superseded: None,
        };
        let (key, file) = (host.public(), Digest::of(b"drill"));
        assert!(trust.counts_by_signer(Signed::Drill, &key, &file).is_ok());
        assert!(trust.counts(Signed::Drill, 1, &key, &file).is_err(), "what it signed before it was removed");
        assert!(trust.counts(Signed::Drill, 2, &other.public(), &file).is_ok());
        assert!(trust.allows_now(&key) && !trust.allows_now(&root.public()));
        trust.epochs.truncate(2);
        assert!(trust.counts_by_signer(Signed::Drill, &key, &file).is_err());
        assert!(!trust.allows_now(&key) && trust.allows_now(&other.public()));
    }
}
