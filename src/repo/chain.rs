//! The history: every manifest verified, and the chain they form.

use std::collections::BTreeMap;

use super::{
    FORMAT_VERSION, Fault, FaultKind, ForgetRecords, Forgotten, Manifest, RepoError, Repository, Signed, Trust,
    VerifiedForget, VerifiedManifest, content::SignedFile, from_json, layout, to_json, untrusted,
};
use crate::{
    cores,
    crypto::{Namespace, Signer, verify},
    model::{Digest, Place, RepositoryId},
};

/// Files read at the same time.
pub(super) const PARALLEL: usize = 8;

/// Every snapshot in chain order, and everything that is wrong with the history.
///
/// A manifest after a gap or at a fork is still one a signer made; it stays, and the fault says what is missing.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Manifests whose signature reaches the root, oldest first.
    pub manifests: Vec<VerifiedManifest>,
    /// Records of what was forgotten, in force, oldest first. What they name may be here still, or gone.
    pub records: Vec<VerifiedForget>,
    /// Forged, unreadable or unsigned manifests; gaps, forks, wrong order.
    pub faults: Vec<Fault>,
    /// Files that the records were read from, signatures included.
    pub(super) record_files: u64,
}

impl Repository {
    /// Reads and verifies every manifest.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with the history is in the answer.
    pub async fn chain(&self, trust: &Trust) -> Result<Chain, RepoError> {
        let mut faults = Vec::new();
        let mut manifests = Vec::new();
        let files = self.signed_files(layout::SNAPSHOTS).await?;
        let (repository, signers) = (self.id, trust.clone());
        for judged in cores::each(files, move |file| judge(repository, &file, &signers)).await {
            match judged {
                Ok(manifest) => manifests.push(manifest),
                Err(fault) => faults.push(fault),
            }
        }
        manifests.sort_by_key(|found| (found.manifest().sequence, found.name().to_owned()));
        let manifests = epochs_in_order(manifests, &mut faults);
        let records = self.forget_records(trust).await?;
        faults.extend(links(&places(&manifests, &records)));
        faults.extend(records.faults);
        Ok(Chain { manifests, records: records.in_force, faults, record_files: records.files })
    }

    /// Signs and stores a manifest: the moment a snapshot exists. Gives the stored, verified form.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when it is another repository's or another signer's; [`RepoError::Storage`];
    /// `AlreadyExists` when another run took the place.
    pub async fn put_manifest(&self, manifest: Manifest, signer: &Signer) -> Result<VerifiedManifest, RepoError> {
        let stem = layout::stem(manifest.time, manifest.snapshot);
        let name = layout::record(layout::SNAPSHOTS, &stem);
        if manifest.repository != self.id || manifest.version != FORMAT_VERSION || manifest.signer != signer.public() {
            return Err(untrusted(&name, "not a manifest of this repository and signer"));
        }
        let bytes = to_json(&manifest);
        let digest = Digest::of(&bytes);
        self.put_signed(&name, bytes, Namespace::Manifest, signer).await?;
        Ok(VerifiedManifest::new(manifest, digest, stem))
    }

    /// Until when the storage keeps a manifest from being removed, where it says so.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn locked_until(&self, manifest: &VerifiedManifest) -> Result<Option<jiff::Timestamp>, RepoError> {
        Ok(self.storage.locked_until(&layout::record(layout::SNAPSHOTS, manifest.name())).await?)
    }
}

impl Chain {
    /// The newest verified snapshot: the highest sequence number, never the newest file.
    pub fn head(&self) -> Option<&VerifiedManifest> {
        self.manifests.last()
    }

    /// The newest verified snapshot of each source.
    pub fn newest(&self) -> BTreeMap<&Place, &VerifiedManifest> {
        self.manifests.iter().map(|found| (&found.manifest().source, found)).collect()
    }

    /// Whether it is the newest one.
    pub(super) fn is_head(&self, found: &VerifiedManifest) -> bool {
        self.head().is_some_and(|head| head.digest() == found.digest())
    }

    /// Places that a record in force or a closing list excuses, whether the snapshot is here still or gone.
    pub fn excused(&self) -> impl Iterator<Item = &Forgotten> {
        self.records.iter().flat_map(|each| &each.record.snapshots)
    }

    /// The record that forgets a snapshot which is still here.
    pub fn forgotten(&self, found: &VerifiedManifest) -> Option<&VerifiedForget> {
        self.records.iter().find(|each| each.record.snapshots.iter().any(|gone| gone.manifest == found.digest()))
    }

    /// Finds a snapshot by `latest` or an unambiguous prefix (at least four hex digits) of its id.
    pub fn find(&self, wanted: &str) -> Option<&VerifiedManifest> {
        if wanted == "latest" {
            return self.head();
        }
        let wanted = wanted.to_ascii_lowercase();
        let mut found = self.manifests.iter().filter(|each| each.manifest().snapshot.to_string().starts_with(&wanted));
        let first = found.next().filter(|_| wanted.len() >= 4);
        if found.next().is_some() { None } else { first }
    }
}

/// A manifest as far as its own file tells: of this repository, signed by a signer of its epoch, under its own name.
pub(super) fn judge(repository: RepositoryId, file: &SignedFile, trust: &Trust) -> Result<VerifiedManifest, Fault> {
    let SignedFile { name, stem, bytes, signature } = file;
    let fault = |kind, detail: &str| Err(Fault::new(name, kind, detail));
    let manifest: Manifest = from_json(bytes).map_err(|reason| Fault::new(name, FaultKind::Damaged, reason))?;
    let Some(signature) = signature else { return fault(FaultKind::Unsigned, "it has no signature") };
    if manifest.repository != repository {
        return fault(FaultKind::Untrusted, "it belongs to another repository");
    }
    if let Err(reason) = trust.counts(Signed::Manifest, manifest.epoch, &manifest.signer, &Digest::of(bytes)) {
        return fault(FaultKind::Untrusted, &reason);
    }
    if let Err(error) = verify(&manifest.signer, Namespace::Manifest, bytes, signature) {
        return fault(FaultKind::Untrusted, &error.to_string());
    }
    if layout::stem(manifest.time, manifest.snapshot) != *stem {
        return fault(
            FaultKind::Reordered,
            "it is genuine and has the name of another: its name is not its time and id",
        );
    }
    if manifest.sequence == 0 {
        return fault(FaultKind::Damaged, "sequence numbers start at 1");
    }
    Ok(VerifiedManifest::new(manifest, Digest::of(bytes), stem.clone()))
}

/// Leaves out what a signer of an earlier epoch signed after a later epoch was in use: that signer may be revoked.
fn epochs_in_order(manifests: Vec<VerifiedManifest>, faults: &mut Vec<Fault>) -> Vec<VerifiedManifest> {
    let mut newest = 0;
    let (kept, late): (Vec<_>, Vec<_>) = manifests.into_iter().partition(|found| {
        newest = newest.max(found.manifest().epoch);
        found.manifest().epoch == newest
    });
    faults.extend(late.iter().map(|found| {
        let detail = format!("signed for epoch {} after a later epoch was in use", found.manifest().epoch);
        Fault::new(&layout::record(layout::SNAPSHOTS, found.name()), FaultKind::Untrusted, detail)
    }));
    kept
}

/// A snapshot's place in the chain: its own word, or that of the record that forgot it.
struct Link {
    file: String,
    sequence: u64,
    digest: Digest,
    previous: Option<Digest>,
}

/// Every place that is taken, in chain order.
fn places(manifests: &[VerifiedManifest], records: &ForgetRecords) -> Vec<Link> {
    let mut gone = records.forgotten();
    let mut links = Vec::new();
    for found in manifests {
        gone.remove(&found.digest());
        let manifest = found.manifest();
        links.push(Link {
            file: layout::record(layout::SNAPSHOTS, found.name()),
            sequence: manifest.sequence,
            digest: found.digest(),
            previous: manifest.previous,
        });
    }
    links.extend(gone.into_values().map(|forgotten| Link {
        file: layout::record(layout::SNAPSHOTS, &layout::stem(forgotten.time, forgotten.snapshot)),
        sequence: forgotten.sequence,
        digest: forgotten.manifest,
        previous: forgotten.previous,
    }));
    links.sort_by(|a, b| (a.sequence, &a.file).cmp(&(b.sequence, &b.file)));
    links
}

/// Gaps and forks of places sorted by sequence number.
fn links(places: &[Link]) -> Vec<Fault> {
    let mut by_sequence: BTreeMap<u64, Vec<&Link>> = BTreeMap::new();
    for link in places {
        by_sequence.entry(link.sequence).or_default().push(link);
    }
    let mut faults = Vec::new();
    let mut before: Option<(u64, &[&Link])> = None;
    for (&sequence, found) in &by_sequence {
        let file = &found[0].file;
        let expected = before.map_or(1, |(last, _)| last + 1);
        if sequence != expected {
            let detail = match sequence - expected {
                1 => format!("snapshot {expected} is missing before it"),
                _ => format!("snapshots {expected} to {} are missing before it", sequence - 1),
            };
            faults.push(Fault::new(file, FaultKind::Gap, detail));
        }
        for other in &found[1..] {
            let detail = format!("{file} has its sequence number {sequence} too");
            faults.push(Fault::new(&other.file, FaultKind::Fork, detail));
        }
        let siblings = before.filter(|_| sequence == expected).map_or(&[][..], |(_, siblings)| siblings);
        let broken = found.iter().filter(|each| !follows(each, expected, siblings));
        faults.extend(
            broken.map(|each| {
                Fault::new(&each.file, FaultKind::Fork, "it follows another snapshot than the one before it")
            }),
        );
        before = Some((sequence, found));
    }
    faults
}

/// Whether `previous` is the digest of one of `siblings`; after a gap nothing can be said.
fn follows(found: &Link, expected: u64, siblings: &[&Link]) -> bool {
    match found.previous {
        None => found.sequence == 1,
        Some(_) if found.sequence == 1 => false,
        Some(_) if found.sequence != expected => true,
        Some(previous) => siblings.iter().any(|before| before.digest == previous),
    }
}
