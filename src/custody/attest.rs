//! The public note that somebody looked at one sheet.

use crate::{
    clock::to_seconds,
    crypto::PublicKey,
    model::{RepositoryId, SnapshotId},
    repo::{Attestation, Custodian, FORMAT_VERSION, Finding},
};

/// An attestation of `result` for one custodian's sheet of an epoch, with a random id.
///
/// # Panics
/// When the operating system gives no randomness.
pub fn attestation(
    repository: RepositoryId,
    epoch: u32,
    custodian: &Custodian,
    time: jiff::Timestamp,
    result: Finding,
    signer: PublicKey,
) -> Attestation {
    Attestation {
        version: FORMAT_VERSION,
        repository,
        attestation: SnapshotId::random(),
        epoch,
        share: custodian.share,
        custodian: custodian.name.clone(),
        time: to_seconds(time),
        result,
        signer,
    }
}
