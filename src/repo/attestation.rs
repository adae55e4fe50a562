//! Attestations: that one sheet was looked at on one day. Public; they hold nothing of the share.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    FORMAT_VERSION, Fault, FaultKind, RepoError, Repository, Signed, Trust, from_json, layout, to_json, untrusted,
};
use crate::{
    crypto::{Namespace, PublicKey, Signer, verify},
    model::{Digest, RepositoryId, SnapshotId},
};

/// `attestations/<UTC time>-<short id>.json`, signed by a signer of any epoch (namespace `lifeboat-audit`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The format version, 1.
    pub version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// This attestation.
    pub attestation: SnapshotId,
    /// The key epoch the sheet belongs to.
    pub epoch: u32,
    /// The share's index x.
    pub share: u8,
    /// The custodian, as the epoch names them.
    pub custodian: String,
    /// When the sheet was read, whole seconds, UTC.
    pub time: Timestamp,
    /// What was found.
    pub result: Finding,
    /// Who signs.
    pub signer: PublicKey,
}

/// What a look at a sheet found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Readable, and the share that was made.
    Intact,
    /// Readable, and not the share that was made.
    Altered,
}

/// Attestations whose signature reaches the root, oldest first, and what is wrong with the other files.
#[derive(Clone, Debug, Default)]
pub struct Attestations {
    /// Those that count.
    pub verified: Vec<Attestation>,
    /// Their stems and digests.
    pub(super) files_verified: Vec<(String, Digest)>,
    /// Unsigned, forged, unreadable ones.
    pub faults: Vec<Fault>,
    /// Files read, signatures included.
    pub(super) files: u64,
    /// Bytes read.
    pub(super) bytes: u64,
}

impl Attestations {
    /// As somebody sees them whose clock shows `now`: one that is dated more than a day ahead proves nothing.
    #[must_use]
    pub fn as_of(mut self, now: Timestamp) -> Self {
        let latest = now.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        let (ahead, verified): (Vec<_>, Vec<_>) = self.verified.into_iter().partition(|each| each.time > latest);
        self.verified = verified;
        let fault = |each: &Attestation| {
            let stem = layout::stem(each.time, each.attestation);
            let detail = format!("it is dated in the future: {}", each.time);
            Fault::new(&layout::record(layout::ATTESTATIONS, &stem), FaultKind::Untrusted, detail)
        };
        self.faults.extend(ahead.iter().map(fault));
        self
    }
}

impl Repository {
    /// Signs and stores an attestation: first the signature, then the file. Gives the file's name.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when it is another repository's or another signer's; [`RepoError::Storage`].
    pub async fn put_attestation(&self, attestation: &Attestation, signer: &Signer) -> Result<String, RepoError> {
        let stem = layout::stem(attestation.time, attestation.attestation);
        let name = layout::record(layout::ATTESTATIONS, &stem);
        let own = attestation.repository == self.id && attestation.signer == signer.public();
        if !own || attestation.version != FORMAT_VERSION {
            return Err(untrusted(&name, "not an attestation of this repository and signer"));
        }
        self.put_signed(&name, to_json(attestation), Namespace::Audit, signer).await?;
        Ok(name)
    }

    /// Reads and verifies every attestation.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with single ones is in the answer.
    pub async fn attestations(&self, trust: &Trust) -> Result<Attestations, RepoError> {
        let mut found = Attestations::default();
        for file in self.signed_files(layout::ATTESTATIONS, &mut found.faults).await? {
            found.files += file.files();
            found.bytes += (file.bytes.len() + file.signature.as_ref().map_or(0, String::len)) as u64;
            match self.judge_attestation(&file.stem, &file.bytes, file.signature.as_deref(), trust) {
                Ok(attestation) => {
                    found.verified.push(attestation);
                    found.files_verified.push((file.stem, Digest::of(&file.bytes)));
                }
                Err((kind, detail)) => found.faults.push(Fault::new(&file.name, kind, detail)),
            }
        }
        found.verified.sort_by_key(|attestation| attestation.time);
        Ok(found)
    }

    fn judge_attestation(
        &self,
        stem: &str,
        bytes: &[u8],
        signature: Option<&str>,
        trust: &Trust,
    ) -> Result<Attestation, (FaultKind, String)> {
        let attestation: Attestation = from_json(bytes).map_err(|reason| (FaultKind::Damaged, reason))?;
        let Some(signature) = signature else { return Err((FaultKind::Unsigned, "it has no signature".into())) };
        if attestation.repository != self.id {
            return Err((FaultKind::Untrusted, "it belongs to another repository".into()));
        }
        trust
            .counts_by_signer(Signed::Attestation, &attestation.signer, &Digest::of(bytes))
            .map_err(|reason| (FaultKind::Untrusted, reason))?;
        verify(&attestation.signer, Namespace::Audit, bytes, signature)
            .map_err(|error| (FaultKind::Untrusted, error.to_string()))?;
        if layout::stem(attestation.time, attestation.attestation) != stem {
            return Err((FaultKind::Damaged, "its name is not its time and id".into()));
        }
        let Some(epoch) = trust.epoch(attestation.epoch) else {
            return Err((FaultKind::Untrusted, format!("epoch {} is not trusted", attestation.epoch)));
        };
        let mut custodians = epoch.custodians.iter();
        let names_the_holder =
            custodians.any(|known| known.share == attestation.share && known.name == attestation.custodian);
        if names_the_holder { Ok(attestation) } else { Err((FaultKind::Damaged, "its epoch has no such sheet".into())) }
    }
}
