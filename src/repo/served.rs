//! Logs of what was served in break glass: a signed record without names in the open, and the log itself in sealed parts.

use std::io::{self, Read, Write as _};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    FORMAT_VERSION, Fault, FaultKind, FileRef, RepoError, Repository, SealedFile, Trust, check::fault_of, damaged,
    file_ref, from_json, layout, to_json,
};
use crate::{
    clock::to_seconds,
    cores,
    crypto::{self, Namespace, OpenError, Opener, PublicKey, Recipient, Sealer, Signer, verify},
    model::{Digest, RepositoryId, SnapshotId},
};

/// Plain bytes of a log in one part.
const PART: u64 = 32 << 20;

/// `served/<UTC time>-<short id>.json`, signed by the root or a signer of any epoch (namespace `lifeboat-audit`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedLog {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// The key that signed the heads of the log; the first line of the log holds what the root certified about it.
    pub session: PublicKey,
    /// The time of the first line.
    pub started: Timestamp,
    /// The time of the last line.
    pub ended: Timestamp,
    /// Lines.
    pub lines: u64,
    /// Whether the log has its end: without one the server was killed.
    pub closed: bool,
    /// Digest of the log.
    pub sha256: Digest,
    /// Bytes of the log.
    pub size: u64,
    /// The log, cut into parts in their order, each sealed: `served/<digest>.age`.
    pub parts: Vec<FileRef>,
}

/// What is known of a log before it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedFacts {
    /// The key that signed its heads.
    pub session: PublicKey,
    /// The time of the first line.
    pub started: Timestamp,
    /// The time of the last line.
    pub ended: Timestamp,
    /// Lines.
    pub lines: u64,
    /// Whether it has its end.
    pub closed: bool,
}

/// The logs that count, oldest first, and what is wrong with the other files.
#[derive(Clone, Debug, Default)]
pub struct ServedLogs {
    /// Those that count, with the name of their file below `served/`, without `.json`.
    pub verified: Vec<(String, ServedLog)>,
    /// Unsigned, forged, unreadable ones.
    pub faults: Vec<Fault>,
    /// Files read, signatures included.
    pub(super) files: u64,
    /// Bytes read.
    pub(super) bytes: u64,
}

impl ServedFacts {
    /// The name that such a log has: from its time and the key of its session, so that it is stored once.
    pub fn stem(&self) -> String {
        let digest = Sha256::digest(self.session.to_string().as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        layout::stem(to_seconds(self.started), SnapshotId::from_bytes(id))
    }
}

impl Repository {
    /// Whether a log is stored here.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn has_served(&self, facts: &ServedFacts) -> Result<bool, RepoError> {
        Ok(self.storage.exists(&layout::record(layout::SERVED, &facts.stem())).await?)
    }

    /// Stores a log: its parts, the signature, the record. Gives the name of the record.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; [`RepoError::Damaged`] when the log cannot be read.
    pub async fn put_served(
        &self,
        facts: &ServedFacts,
        mut log: impl Read + Send + 'static,
        (recipients, signer): (&[Recipient], &Signer),
    ) -> Result<String, RepoError> {
        let name = layout::record(layout::SERVED, &facts.stem());
        let (mut whole, mut size, mut parts) = (Sha256::new(), 0, Vec::new());
        loop {
            let to = recipients.to_vec();
            let read = cores::aside(move || {
                let part = part(&mut log, &to);
                (log, part)
            });
            let (rest, part) = read.await;
            log = rest;
            let Some((plain, sealed)) = part.map_err(|error| damaged(&name, error.to_string()))? else { break };
            size += plain.len() as u64;
            whole.update(&plain);
            self.put_same(&layout::served_part(&sealed.file.sha256), sealed.bytes).await?;
            parts.push(sealed.file);
        }
        let record = ServedLog {
            version: FORMAT_VERSION,
            repository: self.id,
            session: facts.session.clone(),
            started: facts.started,
            ended: facts.ended,
            lines: facts.lines,
            closed: facts.closed,
            sha256: Digest::from_bytes(whole.finalize().into()),
            size,
            parts,
        };
        self.put_signed(&name, to_json(&record), Namespace::Audit, signer).await?;
        Ok(name)
    }

    /// Reads and verifies the record of every log; no part is read.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with single ones is in the answer.
    pub async fn served_logs(&self, trust: &Trust) -> Result<ServedLogs, RepoError> {
        let mut found = ServedLogs::default();
        for file in self.signed_files(layout::SERVED, &mut found.faults).await? {
            found.files += file.files();
            found.bytes += (file.bytes.len() + file.signature.as_ref().map_or(0, String::len)) as u64;
            match self.judge_served(&file.stem, &file.bytes, file.signature.as_deref(), trust) {
                Ok(log) => found.verified.push((file.stem, log)),
                Err((kind, detail)) => found.faults.push(Fault::new(&file.name, kind, detail)),
            }
        }
        Ok(found)
    }

    fn judge_served(
        &self,
        stem: &str,
        bytes: &[u8],
        signature: Option<&str>,
        trust: &Trust,
    ) -> Result<ServedLog, (FaultKind, String)> {
        let log: ServedLog = from_json(bytes).map_err(|reason| (FaultKind::Damaged, reason))?;
        let Some(signature) = signature else { return Err((FaultKind::Unsigned, "it has no signature".into())) };
        if log.repository != self.id {
            return Err((FaultKind::Untrusted, "it belongs to another repository".into()));
        }
        let roots = trust.epochs().iter().map(|epoch| &epoch.root);
        let signers = trust.epochs().iter().flat_map(|epoch| &epoch.signers).map(|signer| &signer.key);
        if !roots.chain(signers).any(|key| verify(key, Namespace::Audit, bytes, signature).is_ok()) {
            let detail = "neither the root nor an allowed signer signed this content";
            return Err((FaultKind::Untrusted, detail.into()));
        }
        let ServedLog { session, started, ended, lines, closed, .. } = log.clone();
        if (ServedFacts { session, started, ended, lines, closed }).stem() != stem {
            return Err((FaultKind::Damaged, "its name is not its time and session".into()));
        }
        Ok(log)
    }

    /// The text of a log.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn open_served(&self, log: &ServedLog, opener: Opener<'_>) -> Result<Vec<u8>, RepoError> {
        let mut text = Vec::new();
        let mut last = String::new();
        for part in &log.parts {
            let name = layout::served_part(&part.sha256);
            let sealed = self.sealed(&name, part).await?;
            let opened = crypto::open(opener, io::Cursor::new(sealed)).map_err(|error| match error {
                OpenError::WrongKey => RepoError::WrongKey { file: name.clone() },
                damage @ OpenError::Damaged(_) => damaged(&name, damage.to_string()),
            })?;
            opened.take(PART + 1).read_to_end(&mut text).map_err(|error| damaged(&name, error.to_string()))?;
            last = name;
        }
        let is_it = text.len() as u64 == log.size && Digest::of(&text) == log.sha256;
        if is_it { Ok(text) } else { Err(damaged(&last, "the parts are not the log that the record names")) }
    }

    /// The record of every log, and every part of it: there, and with its digest.
    pub(super) async fn check_served(&self, trust: &Trust) -> Result<ServedLogs, RepoError> {
        let mut found = self.served_logs(trust).await?;
        for part in found.verified.iter().flat_map(|(_, log)| &log.parts) {
            let name = layout::served_part(&part.sha256);
            match self.measured(&name, part).await {
                Ok(()) => {
                    found.files += 1;
                    found.bytes += part.size;
                }
                Err(error) => found.faults.push(fault_of(&name, error)?),
            }
        }
        Ok(found)
    }
}

/// The next part of a log, plain and sealed; `None` at its end.
fn part(log: &mut impl Read, recipients: &[Recipient]) -> io::Result<Option<(Vec<u8>, SealedFile)>> {
    let mut plain = Vec::new();
    log.take(PART).read_to_end(&mut plain)?;
    if plain.is_empty() {
        return Ok(None);
    }
    let mut sealer = Sealer::new(recipients, Vec::new())?;
    sealer.write_all(&plain)?;
    let bytes = Bytes::from(sealer.finish()?);
    Ok(Some((plain, SealedFile { file: file_ref(&bytes), bytes })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::RecoveryKey,
        repo::{AllowedSigner, Epoch, TrustAnchor, copy},
        storage::Storage,
    };

    fn facts() -> ServedFacts {
        let time = |text: &str| text.parse().unwrap();
        ServedFacts {
            session: Signer::generate().public(),
            started: time("2030-01-01T00:00:00Z"),
            ended: time("2030-01-01T01:00:00Z"),
            lines: 3,
            closed: true,
        }
    }

    async fn made(key: &RecoveryKey, signer: &Signer) -> (Repository, Trust) {
        let root = key.root_signer();
        let epoch = Epoch {
            version: FORMAT_VERSION,
            repository: RepositoryId::from_bytes([0; 16]),
            number: 1,
            created: Timestamp::UNIX_EPOCH,
            recipient: key.recipient(),
            root: root.public(),
            threshold: 2,
            total: 3,
            share_set: "00000000".into(),
            custodians: Vec::new(),
            signers: vec![AllowedSigner { name: "host".into(), key: signer.public() }],
            previous: None,
            closing: None,
        };
        let repository = Repository::create(Storage::memory(), &epoch, &root).await.unwrap();
        let anchor = TrustAnchor { root: root.public(), recipient: key.recipient() };
        let trust = repository.trust(&anchor).await.unwrap();
        (repository, trust)
    }

    #[tokio::test]
    async fn a_log_is_stored_sealed_once_and_comes_into_copies() {
        let (key, signer) = (RecoveryKey::generate(), Signer::generate());
        let (repository, trust) = made(&key, &signer).await;
        let (facts, to) = (facts(), [key.recipient()]);
        let log = b"a line with a name\n".repeat(3);
        assert!(!repository.has_served(&facts).await.unwrap());
        let name =
            repository.put_served(&facts, io::Cursor::new(log.clone()), (&to, &key.root_signer())).await.unwrap();
        assert!(repository.has_served(&facts).await.unwrap());
        let again = repository.put_served(&facts, io::Cursor::new(log.clone()), (&to, &signer)).await;
        assert!(again.is_err(), "a record is never replaced");

        let far = Storage::memory();
        copy(&repository, &trust, &far).await.unwrap();
        for place in [&repository, &Repository::open(far).await.unwrap()] {
            let found = place.check_served(&trust).await.unwrap();
            assert!(found.faults.is_empty(), "{:?}", found.faults);
            let [(stem, record)] = &found.verified[..] else { panic!("{found:?}") };
            assert_eq!(layout::record(layout::SERVED, stem), name);
            assert_eq!(place.open_served(record, Opener::Recovery(&key)).await.unwrap(), log);
            for part in &record.parts {
                let sealed = place.storage.get_at_most(&layout::served_part(&part.sha256), 1 << 20).await.unwrap();
                assert!(!sealed.windows(6).any(|window| window == b"a name"));
            }
        }
    }

    #[tokio::test]
    async fn what_a_stranger_signed_does_not_count_and_a_host_may_sign() {
        let (key, signer) = (RecoveryKey::generate(), Signer::generate());
        let (repository, trust) = made(&key, &signer).await;
        let to = [key.recipient()];
        repository.put_served(&facts(), io::Cursor::new(b"x".to_vec()), (&to, &signer)).await.unwrap();
        repository.put_served(&facts(), io::Cursor::new(b"y".to_vec()), (&to, &Signer::generate())).await.unwrap();
        let found = repository.served_logs(&trust).await.unwrap();
        assert_eq!((found.verified.len(), found.faults.len()), (1, 1));
        assert_eq!(found.faults[0].kind, FaultKind::Untrusted);
    }
}
