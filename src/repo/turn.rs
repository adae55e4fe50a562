//! Turns: which snapshot gets the next number, agreed on by hosts that know nothing of each other.
//!
//! A turn is a whole signed manifest under `turns/<number>-<try>.json`, created only if absent. The first try that can be believed
//! and stored has its number for good, whatever becomes of its writer: whoever finds it stores that manifest on the writer's
//! behalf and asks for the number after it. So nobody waits, no clock matters, and a run that is stopped or killed between
//! its turn and its manifest cannot fork the history (docs/design/0002-turns.md).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    Chain, FORMAT_VERSION, Manifest, RepoError, Repository, Trust, TrustAnchor, VerifiedManifest, Witness,
    chain::judge, content::SignedFile, from_json, layout, to_json, untrusted,
};
use crate::{
    crypto::{Namespace, Signer},
    model::{Digest, SnapshotId},
    storage::{Entry, StorageError},
};

/// Tries for one number. Files that no signer made cost one each; so many of them are an attack, which has to be told.
const MOST_TRIES: u32 = 100;

/// The head of a history as one process knows it. Snapshots that it adds are added one after the other.
pub struct Tip(Mutex<Known>);

struct Known {
    /// Everything that was looked at below `snapshots/`.
    names: BTreeSet<String>,
    head: Option<Witness>,
    epoch: u32,
}

/// `turns/<number>-<try>.json`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    version: u32,
    /// The exact text of the manifest.
    manifest: String,
    /// Its armored signature.
    signature: String,
}

/// What a look at the history shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Somebody else's manifest is the head.
    NewHead,
    /// The manifest that is to be added is there.
    Own,
}

/// A manifest that is to be stored, and its signature.
struct Claim {
    manifest: VerifiedManifest,
    bytes: Bytes,
    signature: String,
}

impl Chain {
    /// Where the next snapshot is added.
    pub fn tip(&self) -> Tip {
        let epochs = self.manifests.iter().map(|found| found.manifest().epoch);
        Tip(Mutex::new(Known { names: self.names.clone(), head: self.last(), epoch: epochs.max().unwrap_or_default() }))
    }
}

impl Known {
    /// The next number: that of the head and one; there is a last one.
    fn next(&self) -> Result<u64, RepoError> {
        let next = self.head.map_or(Some(1), |head| head.sequence.checked_add(1));
        next.filter(|next| *next <= layout::MOST_SNAPSHOTS)
            .ok_or_else(|| untrusted(layout::SNAPSHOTS, "the newest snapshot has the highest possible number"))
    }

    /// Takes note of a believed manifest; tells whether it is the head now. A late one is: it has its place.
    fn learn(&mut self, found: &VerifiedManifest) -> bool {
        self.names.insert(found.file());
        let manifest = found.manifest();
        let newer = self.head.is_none_or(|head| manifest.sequence > head.sequence);
        if newer {
            self.head = Some(found.witness());
        }
        self.epoch = self.epoch.max(manifest.epoch);
        newer
    }
}

impl Repository {
    /// Signs and stores a manifest as the newest one of the history: the moment a snapshot exists. Its number, that of a pass which it made itself, and
    /// the digest before it are filled in; its id may be exchanged. What others added meanwhile is before it.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when it is another repository's or another signer's, or when too many files stand where turns
    /// are taken; [`RepoError::Storage`].
    pub async fn append(
        &self,
        mut manifest: Manifest,
        trust: &Trust,
        signer: &Signer,
        tip: &Tip,
    ) -> Result<VerifiedManifest, RepoError> {
        let mut tip = tip.0.lock().await;
        let own_pass = manifest.full.sequence == 0;
        if self.audited.is_some() {
            manifest.tool = self.tool(&signer.public());
        }
        let mut attempt = 1;
        while attempt <= MOST_TRIES {
            manifest.place(tip.next()?, tip.head.map(|head| head.manifest), own_pass);
            let own = self.claim(&manifest, signer)?;
            let name = layout::turn(manifest.sequence, attempt);
            let holder = self.take_turn(&name, &own).await?;
            // A turn that was free, or that is there, means nothing if its number was given away before: to another, or to this
            // very manifest by somebody who found its turn.
            let seen = self.look(trust, &mut tip, own.manifest.digest()).await?;
            self.refuse_old_trust(trust).await?;
            match seen {
                Seen::Own => {
                    self.clear_turns(manifest.sequence).await;
                    return Ok(own.manifest);
                }
                Seen::NewHead => {
                    attempt = 1;
                    continue;
                }
                Seen::Nothing => {}
            }
            let Some(holder) = holder else { continue };
            let is_own = holder == own.turn();
            let claim = if is_own { Some(own) } else { self.believe(&holder, trust, &tip) };
            let stored = match &claim {
                Some(claim) => self.store(claim).await?,
                None => false,
            };
            let Some(claim) = claim.filter(|_| stored) else {
                attempt += 1;
                manifest.snapshot = SnapshotId::random();
                continue;
            };
            tip.learn(&claim.manifest);
            attempt = 1;
            if is_own {
                self.clear_turns(manifest.sequence).await;
                return Ok(claim.manifest);
            }
        }
        let name = layout::turn(tip.next()?, MOST_TRIES);
        Err(untrusted(&name, "no allowed signer wrote the files that reserve the next snapshot number"))
    }

    fn claim(&self, manifest: &Manifest, signer: &Signer) -> Result<Claim, RepoError> {
        let stem = layout::stem(manifest.time, manifest.snapshot);
        if manifest.repository != self.id || manifest.version != FORMAT_VERSION || manifest.signer != signer.public() {
            let name = layout::manifest(manifest.sequence, &stem);
            return Err(untrusted(&name, "not a manifest of this repository and signer"));
        }
        let bytes = manifest.to_bytes(&layout::manifest(manifest.sequence, &stem))?;
        let signature = signer.sign(Namespace::Manifest, &bytes);
        let manifest = VerifiedManifest::new(manifest.clone(), Digest::of(&bytes), stem);
        Ok(Claim { manifest, bytes, signature })
    }

    /// Tries to take a turn; gives who has it: nobody if it went away meanwhile.
    async fn take_turn(&self, name: &str, own: &Claim) -> Result<Option<Bytes>, RepoError> {
        match self.storage.put_new(name, own.turn()).await {
            Ok(()) => return Ok(Some(own.turn())),
            Err(StorageError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.storage.get_at_most(name, layout::most_bytes(name)).await {
            Ok(bytes) => Ok(Some(bytes)),
            // Nobody believes it, so it costs a try.
            Err(StorageError::Unfit { .. }) => Ok(Some(Bytes::new())),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is new below `snapshots/`, which may be the manifest with the digest `own`.
    async fn look(&self, trust: &Trust, tip: &mut Known, own: Digest) -> Result<Seen, RepoError> {
        let mut found = Vec::new();
        for entry in self.listed_from(tip.next()?).await? {
            let Some(stem) = layout::manifest_stem(&entry.name) else { continue };
            if !tip.names.insert(entry.name.clone()) || !entry.is_file || entry.size > layout::MOST_BYTES {
                continue;
            }
            let (bytes, signature) = (self.expect(&entry.name).await?, self.signature(&entry.name).await?);
            let file = SignedFile::new(entry.name.clone(), stem.to_owned(), bytes, signature);
            found.extend(judge(self.id, &file, trust).ok());
        }
        let mut seen = Seen::Nothing;
        for found in found {
            let is_head = tip.learn(&found);
            if found.digest() == own {
                seen = Seen::Own;
            } else if is_head && seen != Seen::Own {
                seen = Seen::NewHead;
            }
        }
        Ok(seen)
    }

    /// What is below `snapshots/` in the folder of a number and in later ones.
    async fn listed_from(&self, number: u64) -> Result<Vec<Entry>, RepoError> {
        let mut entries = Vec::new();
        for folder in self.storage.folders(layout::SNAPSHOTS).await?.0 {
            if layout::folder_number(&folder).is_some_and(|found| found >= (number - 1) / layout::FOLDER) {
                entries.extend(self.storage.list(&folder).await?);
            }
        }
        Ok(entries)
    }

    /// A snapshot in flight over a change of signers or of the key does not count afterwards: so it is not written at all.
    async fn refuse_old_trust(&self, trust: &Trust) -> Result<(), RepoError> {
        let current = trust.current();
        let anchor = TrustAnchor { root: current.root.clone(), recipient: current.recipient.clone() };
        let now = self.trust(&anchor).await?;
        let newer = now.superseded().or(Some(now.current().number).filter(|number| *number != current.number));
        match newer {
            Some(number) => Err(untrusted(layout::EPOCHS, format!("key epoch {number} was added during this run"))),
            None => Ok(()),
        }
    }

    /// A turn's manifest, if a signer made it and it may follow the head.
    fn believe(&self, bytes: &[u8], trust: &Trust, tip: &Known) -> Option<Claim> {
        let Turn { manifest, signature, .. } = from_json(bytes).ok()?;
        let parsed = Manifest::read(manifest.as_bytes()).ok()?;
        let stem = layout::stem(parsed.time, parsed.snapshot);
        let name = layout::manifest(parsed.sequence, &stem);
        let bytes = Bytes::from(manifest);
        let file = SignedFile::new(name, stem, bytes.clone(), Some(signature.clone()));
        let found = judge(self.id, &file, trust).ok()?;
        let follows = Some(parsed.sequence) == tip.next().ok() && parsed.previous == tip.head.map(|head| head.manifest);
        let claim = Claim { manifest: found, bytes, signature };
        (follows && parsed.epoch >= tip.epoch).then_some(claim)
    }

    /// Stores a manifest, its signature first; whoever did so before stored the same. Tells whether it is there: a name of its
    /// own that another file has, which only an attacker brings about, it can never get.
    async fn store(&self, claim: &Claim) -> Result<bool, RepoError> {
        let name = claim.manifest.file();
        let signature = Bytes::from(claim.signature.clone());
        for (name, bytes) in [(layout::signature(&name), signature), (name, claim.bytes.clone())] {
            match self.put_same(&name, bytes).await {
                Ok(_) => {}
                Err(RepoError::Damaged { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Turns up to a number whose manifest is stored say nothing any more. What cannot be removed may stay.
    async fn clear_turns(&self, number: u64) {
        let Ok(entries) = self.storage.list(layout::TURNS).await else { return };
        let old = entries.iter().filter(|entry| layout::turn_number(&entry.name).is_some_and(|found| found <= number));
        for entry in old {
            if let Err(error) = self.storage.remove(&entry.name).await {
                tracing::debug!(%error, "an old turn stays");
            }
        }
    }
}

impl Claim {
    fn turn(&self) -> Bytes {
        let manifest = String::from_utf8_lossy(&self.bytes).into_owned();
        to_json(&Turn { version: FORMAT_VERSION, manifest, signature: self.signature.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::RepositoryId, repo::retention::tests::snapshot, storage::Storage};

    fn known(head: Option<Witness>) -> Known {
        Known { names: BTreeSet::new(), head, epoch: 1 }
    }

    #[test]
    fn the_last_number_is_given_away_and_none_after_it() {
        let last = layout::MOST_SNAPSHOTS;
        let next = |sequence| known(Some(Witness { sequence, manifest: Digest::of(b"head") })).next().ok();
        assert_eq!([0, last - 1, last, u64::MAX].map(next), [Some(1), Some(last), None, None]);
    }

    #[test]
    fn a_manifest_of_a_number_that_is_taken_is_known_and_not_the_head() {
        let found = |sequence| snapshot(sequence, jiff::Timestamp::UNIX_EPOCH, true);
        let (second, third) = (found(2), found(3));
        let twin = VerifiedManifest::new(third.manifest().clone(), Digest::of(b"twin"), "twin".into());
        let mut known = known(None);
        assert!(known.learn(&third) && !known.learn(&second) && !known.learn(&twin));
        assert_eq!(known.head.map(|head| (head.sequence, head.manifest)), Some((3, third.digest())));
        assert_eq!(known.names, [second.file(), third.file(), twin.file()].into());
    }

    #[tokio::test]
    async fn folders_before_the_next_number_are_not_listed() {
        let storage = Storage::memory();
        let files = ["snapshots/0/a", "snapshots/1/b", "snapshots/2/c", "snapshots/x/d"];
        for name in files {
            storage.put_new(name, Bytes::new()).await.unwrap();
        }
        let repository = Repository { storage, id: RepositoryId::from_bytes([1; 16]), memory: None, audited: None };
        for (number, expected) in [(1, &files[..3]), (64, &files[..3]), (65, &files[1..3]), (128, &files[1..3])] {
            let entries = repository.listed_from(number).await.unwrap();
            let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
            assert_eq!(names, expected, "{number}");
        }
    }
}
