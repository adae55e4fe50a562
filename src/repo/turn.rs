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
    Chain, FORMAT_VERSION, Manifest, RepoError, Repository, Trust, VerifiedManifest, Witness, chain::judge,
    content::SignedFile, from_json, layout, to_json, untrusted,
};
use crate::{
    crypto::{Namespace, Signer},
    model::{Digest, SnapshotId},
    storage::StorageError,
};

/// Tries for one number. Files that no signer made cost one each; so many of them are an attack, which has to be told.
const MOST_TRIES: u32 = 100;

/// The head of a history as one process knows it. Snapshots that it adds are added one after the other.
pub struct Tip(Mutex<Known>);

struct Known {
    /// The stems of everything that was looked at below `snapshots/`.
    stems: BTreeSet<String>,
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
        let head = self.head();
        Tip(Mutex::new(Known {
            stems: self.manifests.iter().map(|found| found.name().to_owned()).collect(),
            head: head.map(VerifiedManifest::witness),
            epoch: head.map_or(0, |head| head.manifest().epoch),
        }))
    }
}

impl Known {
    fn next(&self) -> u64 {
        self.head.map_or(1, |head| head.sequence + 1)
    }

    /// Takes note of a believed manifest; tells whether it is the head now.
    fn learn(&mut self, found: &VerifiedManifest) -> bool {
        self.stems.insert(found.name().to_owned());
        let manifest = found.manifest();
        let newer = manifest.sequence >= self.next() && manifest.epoch >= self.epoch;
        if newer {
            (self.head, self.epoch) = (Some(found.witness()), manifest.epoch);
        }
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
        let mut attempt = 1;
        while attempt <= MOST_TRIES {
            manifest.place(tip.next(), tip.head.map(|head| head.manifest), own_pass);
            let own = self.claim(&manifest, signer)?;
            let name = layout::turn(manifest.sequence, attempt);
            let holder = self.take_turn(&name, &own).await?;
            // A turn that was free, or that is there, means nothing if its number was given away before: to another, or to this
            // very manifest by somebody who found its turn.
            match self.look(trust, &mut tip, own.manifest.digest()).await? {
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
        let name = layout::turn(tip.next(), MOST_TRIES);
        Err(untrusted(&name, "no signer made the files that stand where the next snapshot's turn is taken"))
    }

    fn claim(&self, manifest: &Manifest, signer: &Signer) -> Result<Claim, RepoError> {
        let stem = layout::stem(manifest.time, manifest.snapshot);
        if manifest.repository != self.id || manifest.version != FORMAT_VERSION || manifest.signer != signer.public() {
            let name = layout::record(layout::SNAPSHOTS, &stem);
            return Err(untrusted(&name, "not a manifest of this repository and signer"));
        }
        let bytes = manifest.to_bytes(&layout::record(layout::SNAPSHOTS, &stem))?;
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
        match self.storage.get(name).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is new below `snapshots/`, which may be the manifest with the digest `own`.
    async fn look(&self, trust: &Trust, tip: &mut Known, own: Digest) -> Result<Seen, RepoError> {
        let mut seen = Seen::Nothing;
        for entry in self.storage.list(layout::SNAPSHOTS).await? {
            let Some(stem) = layout::stem_of(layout::SNAPSHOTS, &entry.name) else { continue };
            if !tip.stems.insert(stem.to_owned()) {
                continue;
            }
            let (bytes, signature) = (self.expect(&entry.name).await?, self.signature(&entry.name).await?);
            let file = SignedFile { name: entry.name.clone(), stem: stem.to_owned(), bytes, signature };
            if let Ok(found) = judge(self.id, &file, trust) {
                let is_head = tip.learn(&found);
                if found.digest() == own {
                    seen = Seen::Own;
                } else if is_head && seen != Seen::Own {
                    seen = Seen::NewHead;
                }
            }
        }
        Ok(seen)
    }

    /// A turn's manifest, if a signer made it and it may follow the head.
    fn believe(&self, bytes: &[u8], trust: &Trust, tip: &Known) -> Option<Claim> {
        let Turn { manifest, signature, .. } = from_json(bytes).ok()?;
        let parsed = Manifest::read(manifest.as_bytes()).ok()?;
        let stem = layout::stem(parsed.time, parsed.snapshot);
        let name = layout::record(layout::SNAPSHOTS, &stem);
        let bytes = Bytes::from(manifest);
        let file = SignedFile { name, stem, bytes: bytes.clone(), signature: Some(signature.clone()) };
        let found = judge(self.id, &file, trust).ok()?;
        let follows = parsed.sequence == tip.next() && parsed.previous == tip.head.map(|head| head.manifest);
        let claim = Claim { manifest: found, bytes, signature };
        (follows && parsed.epoch >= tip.epoch).then_some(claim)
    }

    /// Stores a manifest, its signature first; whoever did so before stored the same. Tells whether it is there: a name of its
    /// own that another file has, which only an attacker brings about, it can never get.
    async fn store(&self, claim: &Claim) -> Result<bool, RepoError> {
        let name = layout::record(layout::SNAPSHOTS, claim.manifest.name());
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
