//! Reports of answers to a compromise: signed, their names sealed, beside the drills.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    RepoError, Repository, Trust, VerifiedRecord,
    tombstone::{closed, decode, new_record, open_sealed, seal},
};
use crate::{
    crypto::{Opener, PublicKey, Recipient, Signer},
    model::Digest,
};

/// The kind of the record.
pub(super) const KIND: &str = "compromise_response";

/// The body of the record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// SHA-256 of the plan.
    plan: Digest,
    /// Whether everything was proven.
    passed: bool,
    /// How many secrets it is about.
    secrets: u64,
    /// Of these, how many are proven.
    proven: u64,
    /// Whose keys open it.
    readers: Vec<Recipient>,
    /// The report, sealed, in base64.
    sealed: String,
}

/// A report that counts.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its file.
    pub file: String,
    /// When it was made.
    pub time: Timestamp,
    /// Who signed it.
    pub signer: PublicKey,
    /// SHA-256 of the plan.
    pub plan: Digest,
    /// Whether everything was proven.
    pub passed: bool,
    /// How many secrets it is about.
    pub secrets: u64,
    /// Of these, how many are proven.
    pub proven: u64,
    sealed: Vec<u8>,
}

impl Response {
    /// Reads a verified record of this kind.
    pub(super) fn read(found: &VerifiedRecord) -> Result<Self, String> {
        let record = &found.record;
        if !record.halts.is_empty() || record.undoes.is_some() {
            return Err("a report forbids nothing and takes nothing back".into());
        }
        let body = serde_json::Value::Object(record.body.clone());
        let body: Body = serde_json::from_value(body).map_err(|error| format!("not the body of a report: {error}"))?;
        Ok(Self {
            file: found.file.clone(),
            time: record.time,
            signer: record.signer.clone(),
            plan: body.plan,
            passed: body.passed,
            secrets: body.secrets,
            proven: body.proven,
            sealed: decode(&body.sealed)?,
        })
    }

    /// The report.
    ///
    /// # Errors
    /// [`RepoError::TombstoneClosed`] when it is sealed to other keys, [`RepoError::Damaged`].
    pub fn open(&self, opener: Opener<'_>) -> Result<Vec<u8>, RepoError> {
        open_sealed(&self.file, &self.sealed, opener)
    }
}

impl Repository {
    /// Signs and stores a report of `secrets`, of which so many are `proven`; its text is sealed to `readers`. Gives the file.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when the key may not sign for the newest epoch, or the report is too long for a signed file;
    /// [`RepoError::Storage`].
    pub async fn put_response(
        &self,
        trust: &Trust,
        (plan, secrets, proven): (Digest, u64, u64),
        report: &[u8],
        readers: &[Recipient],
        (time, signer): (Timestamp, &Signer),
    ) -> Result<String, RepoError> {
        let sealed = closed(&seal(report, readers));
        let (passed, readers) = (secrets > 0 && proven == secrets, readers.to_vec());
        let body = Body { plan, passed, secrets, proven, readers, sealed };
        let record = new_record(self, trust, time, signer, KIND, &body)?;
        self.put_record(&record, signer).await
    }
}
