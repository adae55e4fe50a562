//! Entries of the audit trail: what each run of lifeboat did, one hash-chained and signed line for each run, without a name of a
//! secret and without a value (docs/design/0013-audit.md).

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{FORMAT_VERSION, Fault, FaultKind, RepoError, Repository, Trust, Witness, content, from_json, layout};
use crate::{
    crypto::{Namespace, PublicKey, Signer, verify},
    model::{Digest, Place, RepositoryId, SnapshotId},
    storage::StorageError,
};

/// This program and its version, as manifests, records and entries name it.
const TOOL: &str = concat!("lifeboat ", env!("CARGO_PKG_VERSION"));
/// Hex digits of the name of a chain.
const CHAIN: usize = 16;

/// The first line of `audit/<chain>/<f>/<number>.entry`. The signature over this line follows in the same file, namespace
/// `lifeboat-audit`. Fields that this build does not know are allowed: the bytes are what is signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// Which chain: [`chain_of`] the signer, or a random one where the root signs.
    pub chain: String,
    /// Its place in the chain, from 1, without gaps.
    pub number: u64,
    /// SHA-256 of the line of the entry before; `None` for the first.
    #[serde(deserialize_with = "Option::deserialize")]
    pub previous: Option<Digest>,
    /// The key epoch of the signer.
    pub epoch: u32,
    /// Who signs: a signer of the epoch, or its root for a quorum on a machine that is no backup host.
    pub signer: PublicKey,
    /// What was run and what came of it.
    #[serde(flatten)]
    pub run: AuditRun,
    /// The tool.
    pub tool: String,
}

/// What one run did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRun {
    /// When it began, whole seconds.
    pub started: Timestamp,
    /// When it ended; for a run that was killed, when that was noticed.
    pub ended: Timestamp,
    /// The words of the command, such as `drill run`.
    pub action: String,
    /// How it ended: the name of its exit code, or `killed`.
    pub outcome: String,
    /// Its exit code; none for a run that was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// Whether it was asked only to show what it would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan: bool,
    /// The newest snapshot that this host knew of when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Witness>,
    /// Snapshots that it made, or opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotId>,
    /// Where it wrote secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Place>,
    /// Whose sheets gave the key, as the epoch names the custodians.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quorum: Vec<String>,
    /// How many of what.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// Signed files that it stored in the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl AuditRun {
    /// A run that has begun and of which nothing else is known yet.
    pub fn begun(action: String, started: Timestamp) -> Self {
        Self {
            started,
            ended: started,
            action,
            outcome: String::new(),
            exit: None,
            plan: false,
            head: None,
            snapshots: Vec::new(),
            target: None,
            quorum: Vec::new(),
            counts: BTreeMap::new(),
            files: Vec::new(),
        }
    }
}

/// The newest entry of a chain, for whoever remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// Its number.
    pub number: u64,
    /// SHA-256 of its line.
    pub entry: Digest,
}

/// An entry as it is stored: its line, then the armored signature over the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its file.
    pub file: String,
    /// What a later entry and manifests refer to.
    pub head: AuditHead,
    /// The content of the file.
    pub text: String,
}

/// What became of an entry that was to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Stored,
    /// Another one is there under its number.
    Taken,
}

/// The chain of a signer: the beginning of the SHA-256 of its public key's text.
pub fn chain_of(signer: &PublicKey) -> String {
    let mut name = hex::encode(Sha256::digest(signer.to_string().as_bytes()));
    name.truncate(CHAIN);
    name
}

/// A chain for one run that a root signs.
pub fn random_chain() -> String {
    let mut name = SnapshotId::random().to_string();
    name.truncate(CHAIN);
    name
}

/// The tool as manifests and drill records name it: with the head of the audit chain of whoever signs them.
pub(super) fn tool(head: Option<&AuditHead>) -> String {
    head.map_or_else(|| TOOL.to_owned(), |head| format!("{TOOL} (audit {} {})", head.number, head.entry))
}

/// The head of an audit chain in the name of the tool.
pub(super) fn head_in(tool: &str) -> Option<AuditHead> {
    let (number, entry) = tool.strip_suffix(')')?.rsplit_once(" (audit ")?.1.split_once(' ')?;
    let head = AuditHead { number: number.parse().ok()?, entry: entry.parse().ok()? };
    (head.number > 0 && head.number.to_string() == number).then_some(head)
}

impl Note {
    /// Signs what a run did as the next entry of a chain.
    pub fn sign(
        repository: RepositoryId,
        (chain, before): (&str, Option<AuditHead>),
        epoch: u32,
        run: AuditRun,
        signer: &Signer,
    ) -> Self {
        let entry = AuditEntry {
            version: FORMAT_VERSION,
            repository,
            chain: chain.to_owned(),
            number: before.map_or(0, |head| head.number) + 1,
            previous: before.map(|head| head.entry),
            epoch,
            signer: signer.public(),
            run,
            tool: TOOL.into(),
        };
        let mut line = serde_json::to_string(&entry).expect("an entry is plain data");
        line.push('\n');
        let signature = signer.sign(Namespace::Audit, line.as_bytes());
        let head = AuditHead { number: entry.number, entry: Digest::of(line.as_bytes()) };
        Self { file: layout::audit_entry(chain, entry.number), head, text: line + &signature }
    }

    /// Reads the content of a file. Nothing of it is verified.
    pub(super) fn parse(bytes: &Bytes) -> Result<(AuditEntry, Digest, Bytes, String), (FaultKind, String)> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return Err((FaultKind::Damaged, "it is no line and its signature".into()));
        };
        let (line, signature) = (bytes.slice(..=end), bytes.slice(end + 1..));
        let entry = from_json(&line).map_err(|reason| (FaultKind::Damaged, reason))?;
        if signature.is_empty() {
            return Err((FaultKind::Unsigned, "it has no signature".into()));
        }
        Ok((entry, Digest::of(&line), line, content::armored(signature)))
    }

    /// The content of a file as it waits to be stored, for whoever has it from a place that nobody else writes to.
    pub fn read(text: &str) -> Option<Self> {
        let (entry, digest, ..) = Self::parse(&Bytes::copy_from_slice(text.as_bytes())).ok()?;
        let head = AuditHead { number: entry.number, entry: digest };
        Some(Self { file: layout::audit_entry(&entry.chain, entry.number), head, text: text.to_owned() })
    }

    /// The entry in the content of a file, for whoever has it from a place that nobody else writes to.
    pub fn entry(text: &str) -> Option<AuditEntry> {
        Self::parse(&Bytes::copy_from_slice(text.as_bytes())).ok().map(|parsed| parsed.0)
    }
}

/// Judges one file by itself: whose it is and that it is whole. Whether its signer still counts, its chain tells.
pub(super) fn judge(
    repository: RepositoryId,
    (name, bytes): (&str, &Bytes),
    trust: &Trust,
) -> Result<(AuditEntry, Digest), (FaultKind, String)> {
    let untrusted = |detail: String| (FaultKind::Untrusted, detail);
    let (entry, digest, line, signature) = Note::parse(bytes)?;
    if entry.repository != repository {
        return Err(untrusted("it belongs to another repository".into()));
    }
    let is_root = trust.epochs().iter().any(|epoch| epoch.number == entry.epoch && epoch.root == entry.signer);
    if !is_root && !trust.allows(entry.epoch, &entry.signer) {
        return Err(untrusted(format!("{} may not sign for epoch {}", entry.signer.fingerprint(), entry.epoch)));
    }
    verify(&entry.signer, Namespace::Audit, &line, &signature).map_err(|error| untrusted(error.to_string()))?;
    if layout::audit_entry(&entry.chain, entry.number) != name || (!is_root && entry.chain != chain_of(&entry.signer)) {
        return Err((FaultKind::Renamed, "it is genuine, but has the name of another file".into()));
    }
    if is_root && (entry.number != 1 || entry.previous.is_some()) {
        return Err((FaultKind::Damaged, "a chain of the root has one entry".into()));
    }
    Ok((entry, digest))
}

impl Repository {
    /// The same repository for a run of a host whose audit chain has this head: what is stored then carries it.
    #[must_use]
    pub fn audited(self, head: Option<(String, AuditHead)>) -> Self {
        Self { audited: head, ..self }
    }

    /// The tool as what `signer` signs names it.
    pub fn tool(&self, signer: &PublicKey) -> String {
        let own = self.audited.as_ref().filter(|(chain, _)| *chain == chain_of(signer));
        tool(own.map(|(_, head)| head))
    }

    /// That another entry has the number of this one.
    pub fn taken(&self, note: &Note) -> RepoError {
        super::damaged(&note.file, "another entry has this number, and this host's key did not sign it")
    }

    /// Stores an entry under its number, which nobody else can take then.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn put_note(&self, note: &Note) -> Result<Put, RepoError> {
        let bytes = Bytes::copy_from_slice(note.text.as_bytes());
        match self.storage.put_new(&note.file, bytes.clone()).await {
            Ok(()) => Ok(Put::Stored),
            // Our own whose answer was lost, or another one.
            Err(StorageError::AlreadyExists { .. }) => {
                let there = self.if_there(&note.file).await?;
                Ok(if there == Some(bytes) { Put::Stored } else { Put::Taken })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the entry that somebody remembers is there under its number. What it says is not read.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn has_note(&self, chain: &str, number: u64) -> Result<bool, RepoError> {
        Ok(self.storage.exists(&layout::audit_entry(chain, number)).await?)
    }

    /// That the entry which a host remembers as stored is gone, as a fault of the history.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn cut_note(&self, chain: &str, head: &AuditHead) -> Result<Option<Fault>, RepoError> {
        let name = layout::audit_entry(chain, head.number);
        let detail = "the audit trail was cut: this host stored this entry, and it is gone";
        let is_there = self.has_note(chain, head.number).await?;
        Ok((!is_there).then(|| Fault::new(&name, FaultKind::RolledBack, detail)))
    }

    /// The head of a signer's own chain as the repository has it, for a host that remembers less: the newest entry that this key
    /// signed.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; [`RepoError::Damaged`] when the newest entry is not one of this key.
    pub async fn newest_note(&self, chain: &str, signer: &PublicKey) -> Result<Option<AuditHead>, RepoError> {
        let entries = self.storage.list(&format!("{}/{chain}", layout::AUDIT)).await?;
        let numbers = entries.iter().filter_map(|entry| Some(layout::audit_parts(&entry.name)?.1));
        let Some(number) = numbers.max() else { return Ok(None) };
        let name = layout::audit_entry(chain, number);
        let bytes = self.expect(&name).await?;
        let is_own = |entry: &AuditEntry, line: &Bytes, signature: &str| {
            entry.signer == *signer
                && entry.number == number
                && entry.repository == self.id
                && verify(signer, Namespace::Audit, line, signature).is_ok()
        };
        match Note::parse(&bytes) {
            Ok((entry, digest, line, signature)) if is_own(&entry, &line, &signature) => {
                Ok(Some(AuditHead { number, entry: digest }))
            }
            _ => Err(super::damaged(&name, "this host's key did not sign it")),
        }
    }

    /// Puts the entries of a full folder into one file, so that whoever reads years of them asks once for 64.
    ///
    /// # Errors
    /// [`RepoError::Storage`], [`RepoError::Damaged`] when one is missing.
    pub async fn bundle_notes(&self, chain: &str, folder: u64) -> Result<(), RepoError> {
        let first = folder * layout::FOLDER + 1;
        let mut all = Vec::new();
        for number in first..first + layout::FOLDER {
            all.extend_from_slice(&self.expect(&layout::audit_entry(chain, number)).await?);
        }
        let bytes: Bytes = zstd::bulk::compress(&all, 3).expect("memory does not fail").into();
        let name = layout::audit_bundle(chain, folder, &Digest::of(&bytes));
        self.put_same(&name, bytes).await.map(drop)
    }
}

/// The fault of a file of the trail.
pub(super) fn fault(name: &str, (kind, detail): (FaultKind, String)) -> Fault {
    Fault::new(name, kind, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_tool_carries_a_head_and_says_nothing_else() {
        let head = AuditHead { number: 37, entry: Digest::of(b"x") };
        assert_eq!(head_in(&tool(Some(&head))), Some(head));
        assert_eq!(head_in(&tool(None)), None);
        let digest = Digest::of(b"x").to_string();
        for other in ["", "(audit", " (audit 1 )", &format!("x (audit 0 {digest})"), &format!("x (audit 01 {digest})")]
        {
            assert_eq!(head_in(other), None, "{other}");
        }
    }
}
