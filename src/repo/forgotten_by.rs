//! A snapshot that a signed record forgot: gone by order, which is not damage.

use std::fmt;

use jiff::Timestamp;

use super::{AllowedSigner, Chosen, Forgotten, RepoError, Repository, Trust, VerifiedForget, layout};
use crate::{model::SnapshotId, text};

/// Which snapshot is gone, and by whose order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenBy {
    snapshot: SnapshotId,
    sequence: u64,
    /// The signer's name and fingerprint, and when they signed; `None` when only a closing list excuses the snapshot.
    order: Option<(String, String, Timestamp)>,
}

impl ForgottenBy {
    /// By the first of the records that names the snapshot; `signers` name them.
    pub(super) fn of<'a>(
        gone: &Forgotten,
        records: &[VerifiedForget],
        mut signers: impl Iterator<Item = &'a AllowedSigner>,
    ) -> Self {
        let orders = |each: &&VerifiedForget| each.record.snapshots.iter().any(|it| it.manifest == gone.manifest);
        let order = records.iter().find(orders).map(|each| {
            let (signer, time) = (&each.record.signer, each.record.time);
            let name = signers.find(|known| known.key == *signer).map_or("an unknown signer", |known| &known.name);
            (text::line(name).into_owned(), signer.fingerprint(), time)
        });
        Self { snapshot: gone.snapshot, sequence: gone.sequence, order }
    }
}

impl fmt::Display for ForgottenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot {}, number {}, was forgotten by ", self.snapshot.short(), self.sequence)?;
        match &self.order {
            Some((name, fingerprint, time)) => write!(f, "{name} ({fingerprint}) on {}", time.strftime("%Y-%m-%d")),
            None => f.write_str("a signer that was removed since"),
        }
    }
}

impl Repository {
    /// Whether a snapshot that was chosen is gone by a record in force. One that is still there was not removed by it, so
    /// what it lacks is damage.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn forgotten_since(&self, trust: &Trust, chosen: &Chosen) -> Result<Option<ForgottenBy>, RepoError> {
        let manifest = chosen.manifest();
        let name = layout::manifest(manifest.sequence, &layout::stem(manifest.time, manifest.snapshot));
        if self.storage.exists(&name).await? {
            return Ok(None);
        }
        let records = self.forget_records(trust).await?.in_force;
        let named = records.iter().flat_map(|each| &each.record.snapshots).find(|it| it.manifest == chosen.digest());
        let signers = trust.epochs().iter().rev().flat_map(|epoch| &epoch.signers);
        Ok(named.map(|gone| ForgottenBy::of(gone, &records, signers)))
    }
}
