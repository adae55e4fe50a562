//! The history: every manifest verified, and the chain they form.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    FORMAT_VERSION, Fault, FaultKind, ForgetRecords, Forgotten, Manifest, RepoError, Repository, Signed, Trust,
    VerifiedForget, VerifiedManifest, Witness,
    bundle::{Files, from_bundle},
    content::SignedFile,
    layout,
    memory::{self, Kept, Recall, Settled},
    untrusted,
};
use crate::{
    cores,
    crypto::{Namespace, Signer, verify},
    model::{Digest, Place, RepositoryId},
    storage::Entry,
};

/// Files read at the same time.
pub(super) const PARALLEL: usize = 8;

/// What signed files are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Bundles, as far as they hold them.
    Bundles,
    /// Themselves.
    Files,
}

/// Every snapshot in chain order, and everything that is wrong with the history.
///
/// A manifest after a gap or at a fork is still one a signer made; it stays, and the fault says what is missing.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Manifests whose signature reaches the root, oldest first; without those that are settled.
    pub manifests: Vec<VerifiedManifest>,
    /// What this host remembers of full folders; nothing when the whole history was read.
    pub(super) base: Settled,
    pub(super) settled_newest: Vec<VerifiedManifest>,
    /// Every place after what is settled, in order.
    pub(super) places: Vec<(u64, Digest)>,
    /// Records of what was forgotten, in force, oldest first. What they name may be here still, or gone.
    pub records: Vec<VerifiedForget>,
    /// Forged, unreadable or unsigned manifests; gaps, forks, late ones; names without meaning.
    pub faults: Vec<Fault>,
    /// Manifests of an epoch earlier than one before them: they have their place and are nobody's newest.
    late: BTreeSet<Digest>,
    /// The highest place that is taken, whoever's word it has.
    last: Option<Witness>,
    /// Places that a record in force or a closing list excuses, by the digest of their manifest.
    excused: BTreeMap<Digest, Forgotten>,
    /// Every name that was looked at below `snapshots/`.
    pub(super) names: BTreeSet<String>,
    /// Forget records that count, undone and undoing ones included.
    pub(super) forgets: Vec<String>,
    /// Files that the records were read from, signatures included.
    pub(super) record_files: u64,
}

impl Repository {
    /// Reads and verifies every manifest, as far as it can from bundles.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with the history is in the answer.
    pub async fn chain(&self, trust: &Trust) -> Result<Chain, RepoError> {
        self.chain_by(trust, By::Bundles).await
    }

    /// The same from each file: a bundle may hold in full what a file holds no longer.
    ///
    /// # Errors
    /// As [`Self::chain`].
    pub(super) async fn chain_of_files(&self, trust: &Trust) -> Result<Chain, RepoError> {
        self.chain_by(trust, By::Files).await
    }

    async fn chain_by(&self, trust: &Trust, by: By) -> Result<Chain, RepoError> {
        let entries = self.storage.list(layout::SNAPSHOTS).await?;
        let bundled = match by {
            By::Bundles => self.bundled(&entries).await?,
            By::Files => Files::new(),
        };
        let read = self.read_manifests(entries, trust, &BTreeMap::new(), &bundled).await?;
        let records = self.recalled_forget_records(trust, &mut Recall::default(), by).await?;
        Ok(assembled(read, Settled::default(), records, trust))
    }

    /// The manifests of a listing, verified. What is `kept` was verified before and is as it was; what bundles hold need not be
    /// read.
    pub(super) async fn read_manifests(
        &self,
        entries: Vec<Entry>,
        trust: &Trust,
        kept: &BTreeMap<String, Kept>,
        bundled: &Files,
    ) -> Result<ReadManifests, RepoError> {
        let mut read =
            ReadManifests { names: entries.iter().map(|entry| entry.name.clone()).collect(), ..Default::default() };
        let (known, strange): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| layout::manifest_stem(layout::unsigned(&entry.name)).is_some());
        let (signatures, named): (Vec<Entry>, Vec<Entry>) =
            known.into_iter().partition(|entry| entry.name.ends_with(layout::SIGNATURE));
        let signatures: HashMap<&str, &Entry> =
            signatures.iter().map(|entry| (layout::unsigned(&entry.name), entry)).collect();
        let mut fresh = Vec::new();
        for entry in named {
            let signature = signatures.get(entry.name.as_str()).copied();
            let known = kept.get(&entry.name).filter(|kept| kept.is_as_it_was(&entry, signature));
            match (known.and_then(|kept| memory::verified(&kept.text)), known) {
                (Some(manifest), Some(kept)) => {
                    read.kept.insert(entry.name, kept.clone());
                    read.manifests.push(manifest);
                }
                _ => fresh.push((entry, signature.cloned())),
            }
        }
        self.read_fresh(fresh, trust, bundled, &mut read).await?;
        read.faults.extend(self.strangers(strange, trust).await?);
        read.manifests.sort_by_key(|found| (found.manifest().sequence, found.name().to_owned()));
        Ok(read)
    }

    async fn read_fresh(
        &self,
        fresh: Vec<(Entry, Option<Entry>)>,
        trust: &Trust,
        bundled: &Files,
        read: &mut ReadManifests,
    ) -> Result<(), RepoError> {
        let by_name: HashMap<String, (Entry, Option<Entry>)> =
            fresh.iter().map(|pair| (pair.0.name.clone(), pair.clone())).collect();
        let fresh = fresh.into_iter().map(|(entry, _)| entry).collect();
        let files = self.signed_of(fresh, bundled, &mut read.faults).await?;
        let (repository, signers) = (self.id, trust.clone());
        let judged = cores::each(files, move |file| {
            let judged = judge(repository, &file, &signers);
            (file, judged)
        });
        for (file, judged) in judged.await {
            match judged {
                Ok(manifest) => {
                    if let (Some((entry, Some(signature))), Ok(text)) =
                        (by_name.get(&file.name), String::from_utf8(file.bytes.to_vec()))
                    {
                        read.kept.insert(file.name, Kept::new(entry, signature, text));
                    }
                    read.manifests.push(manifest);
                }
                Err(fault) => read.faults.push(fault),
            }
        }
        Ok(())
    }

    /// The manifests of a listing with their signatures: from bundles as far as these hold them, else file by file.
    pub(super) async fn signed_of(
        &self,
        entries: Vec<Entry>,
        bundled: &Files,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<SignedFile>, RepoError> {
        let (mut files, mut named) = (Vec::new(), Vec::new());
        for entry in entries {
            let Some(stem) = layout::manifest_stem(&entry.name).map(str::to_owned) else { continue };
            match from_bundle(bundled, &stem, &entry) {
                Some(file) => files.push(file),
                None => named.push((stem, entry)),
            }
        }
        files.extend(self.read_signed(named, faults).await?);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Files below `snapshots/` whose name is no manifest's: unknown, unless somebody renamed a genuine manifest.
    async fn strangers(&self, entries: Vec<Entry>, trust: &Trust) -> Result<Vec<Fault>, RepoError> {
        let mut faults = Vec::new();
        for Entry { name, .. } in entries {
            let unknown = Fault::new(&name, FaultKind::Unknown, "no file of a repository has such a name");
            faults.push(self.renamed(&name, trust).await?.unwrap_or(unknown));
        }
        Ok(faults)
    }

    /// Whether a file holds a genuine manifest, whose signature may be beside it or where it always was.
    async fn renamed(&self, name: &str, trust: &Trust) -> Result<Option<Fault>, RepoError> {
        let Some(bytes) = self.if_there(name).await? else { return Ok(None) };
        let Ok(manifest) = Manifest::read(&bytes) else { return Ok(None) };
        let stem = layout::stem(manifest.time, manifest.snapshot);
        let own = layout::manifest(manifest.sequence, &stem);
        for beside in [name, own.as_str()] {
            let signature = self.signature(beside).await?;
            let file = SignedFile::new(own.clone(), stem.clone(), bytes.clone(), signature);
            if judge(self.id, &file, trust).is_ok() {
                return Ok(Some(renamed(name, &own).about(manifest.sequence)));
            }
        }
        Ok(None)
    }

    /// Signs and stores a manifest: the moment a snapshot exists. Gives the stored, verified form.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when it is another repository's or another signer's; [`RepoError::Storage`];
    /// `AlreadyExists` when another run took the place.
    pub async fn put_manifest(&self, mut manifest: Manifest, signer: &Signer) -> Result<VerifiedManifest, RepoError> {
        let stem = layout::stem(manifest.time, manifest.snapshot);
        let name = layout::manifest(manifest.sequence, &stem);
        if manifest.repository != self.id || manifest.version != FORMAT_VERSION || manifest.signer != signer.public() {
            return Err(untrusted(&name, "not a manifest of this repository and signer"));
        }
        let (sequence, previous, own_pass) = (manifest.sequence, manifest.previous, manifest.full.sequence == 0);
        manifest.place(sequence, previous, own_pass);
        let bytes = manifest.to_bytes(&name)?;
        let digest = Digest::of(&bytes);
        self.put_signed(&name, bytes, Namespace::Manifest, signer).await?;
        Ok(VerifiedManifest::new(manifest, digest, stem))
    }

    /// Until when the storage keeps a manifest from being removed, where it says so.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn locked_until(&self, manifest: &VerifiedManifest) -> Result<Option<jiff::Timestamp>, RepoError> {
        Ok(self.storage.locked_until(&manifest.file()).await?)
    }
}

impl Chain {
    /// The newest verified snapshot: the highest sequence number, never the newest file, and never a late one.
    pub fn head(&self) -> Option<&VerifiedManifest> {
        let settled = || self.settled_newest.iter().max_by_key(|found| found.manifest().sequence);
        self.manifests.iter().rev().find(|found| !self.is_late(found)).or_else(settled)
    }

    /// Snapshots that are there, settled ones included.
    pub fn count(&self) -> u64 {
        self.base.manifests + self.manifests.len() as u64
    }

    /// Whether every manifest is in [`Self::manifests`].
    pub fn is_whole(&self) -> bool {
        self.base.manifests == 0
    }

    /// Snapshots after a number.
    pub fn newer_than(&self, sequence: u64) -> u64 {
        let settled = self.base.through().saturating_sub(sequence).min(self.base.manifests);
        settled + self.manifests.iter().filter(|found| found.manifest().sequence > sequence).count() as u64
    }

    /// The newest verified snapshot of each source.
    pub fn newest(&self) -> BTreeMap<&Place, &VerifiedManifest> {
        let timely = self.settled_newest.iter().chain(self.manifests.iter().filter(|found| !self.is_late(found)));
        timely.map(|found| (&found.manifest().source, found)).collect()
    }

    /// The recovery point of the first snapshot of each source, as far as it is still there.
    pub fn first(&self) -> BTreeMap<&Place, Timestamp> {
        let settled = self.base.first.iter().map(|(place, time)| (place, *time));
        let kept = self.manifests.iter().map(|found| (&found.manifest().source, found.manifest().time));
        let mut first = BTreeMap::new();
        for (place, time) in settled.chain(kept) {
            first.entry(place).and_modify(|first: &mut Timestamp| *first = time.min(*first)).or_insert(time);
        }
        first
    }

    /// Whether a host made it that did not know the newest epoch.
    pub fn is_late(&self, found: &VerifiedManifest) -> bool {
        self.late.contains(&found.digest())
    }

    /// The last place in the chain, which the next snapshot follows: a late snapshot's or a removed one's too.
    pub(super) fn last(&self) -> Option<Witness> {
        self.last
    }

    /// The number of the last place in the chain, 0 when there is none.
    pub fn last_number(&self) -> u64 {
        self.last.map_or(0, |last| last.sequence)
    }

    /// Whether it is the newest one, or the last of the chain.
    pub(super) fn is_head(&self, found: &VerifiedManifest) -> bool {
        let digest = Some(found.digest());
        digest == self.head().map(VerifiedManifest::digest) || digest == self.last.map(|last| last.manifest)
    }

    /// Whether a snapshot is here, or gone with an excuse.
    pub(super) fn knows(&self, manifest: &Digest) -> bool {
        self.excused.contains_key(manifest) || self.manifests.iter().any(|found| found.digest() == *manifest)
    }

    /// Places that a record in force or a closing list excuses, whether the snapshot is here still or gone.
    pub fn excused(&self) -> impl Iterator<Item = &Forgotten> {
        self.excused.values()
    }

    /// The record that forgets a snapshot which is still here.
    pub fn forgotten(&self, found: &VerifiedManifest) -> Option<&VerifiedForget> {
        self.records.iter().find(|each| each.record.snapshots.iter().any(|gone| gone.manifest == found.digest()))
    }

    /// Removals that are ordered and not done: each record and how many of its snapshots are still here.
    pub fn pending(&self) -> Vec<(&VerifiedForget, u64)> {
        let here: BTreeSet<Digest> = self.manifests.iter().map(VerifiedManifest::digest).collect();
        let count = |each: &VerifiedForget| {
            each.record.snapshots.iter().filter(|forgotten| here.contains(&forgotten.manifest)).count() as u64
        };
        self.records.iter().map(|each| (each, count(each))).filter(|(_, count)| *count > 0).collect()
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

/// Manifests as they were read, in chain order.
#[derive(Default)]
pub(super) struct ReadManifests {
    pub(super) manifests: Vec<VerifiedManifest>,
    pub(super) faults: Vec<Fault>,
    names: BTreeSet<String>,
    /// The verified ones, to be remembered.
    pub(super) kept: BTreeMap<String, Kept>,
}

/// The chain that manifests form after what is settled.
pub(super) fn assembled(read: ReadManifests, base: Settled, records: ForgetRecords, trust: &Trust) -> Chain {
    let ReadManifests { manifests, mut faults, names, .. } = read;
    let (late, of_late) = late(&manifests, base.epoch);
    faults.extend(of_late);
    let places = places(&manifests, &records, trust, base.through());
    faults.extend(links(&places, base.last));
    faults.extend(records.faults);
    let excused = records.in_force.iter().flat_map(|each| &each.record.snapshots);
    let last = places.last().map(|link| Witness { sequence: link.sequence, manifest: link.digest });
    Chain {
        late,
        last: last.or(base.last),
        excused: excused.chain(trust.excused()).map(|gone| (gone.manifest, gone.clone())).collect(),
        places: places.iter().map(|link| (link.sequence, link.digest)).collect(),
        manifests,
        settled_newest: base.newest().unwrap_or_default(),
        base,
        records: records.in_force,
        faults,
        names,
        forgets: records.counting,
        record_files: records.files,
    }
}

fn renamed(name: &str, own: &str) -> Fault {
    Fault::new(
        name,
        FaultKind::Renamed,
        format!("it is genuine, but has the name of another file: its own name is {own}"),
    )
}

/// A manifest as far as its own file tells: of this repository, signed by a signer that counts, under its own name.
pub(super) fn judge(repository: RepositoryId, file: &SignedFile, trust: &Trust) -> Result<VerifiedManifest, Fault> {
    let SignedFile { name, bytes, signature, .. } = file;
    let fault = |kind, detail: &str| Err(Fault::new(name, kind, detail));
    let manifest = Manifest::read(bytes).map_err(|reason| Fault::new(name, FaultKind::Damaged, reason))?;
    let Some(signature) = signature else { return fault(FaultKind::Unsigned, "it has no signature") };
    if manifest.repository != repository {
        return fault(FaultKind::Untrusted, "it belongs to another repository");
    }
    let digest = Digest::of(bytes);
    if let Err(reason) = trust.counts(Signed::Manifest, manifest.epoch, &manifest.signer, &digest) {
        return fault(FaultKind::Untrusted, &reason);
    }
    if let Err(error) = verify(&manifest.signer, Namespace::Manifest, bytes, signature) {
        return fault(FaultKind::Untrusted, &error.to_string());
    }
    if !(1..=layout::MOST_SNAPSHOTS).contains(&manifest.sequence) {
        let detail = format!("sequence numbers are 1 to {}", layout::MOST_SNAPSHOTS);
        return fault(FaultKind::Damaged, &detail);
    }
    let stem = layout::stem(manifest.time, manifest.snapshot);
    let own = layout::manifest(manifest.sequence, &stem);
    if own != *name {
        return Err(renamed(name, &own).about(manifest.sequence));
    }
    Ok(VerifiedManifest::new(manifest, digest, stem))
}

/// What was signed for an earlier epoch than something before it, or than `newest`: by a host that did not know of the change.
fn late(manifests: &[VerifiedManifest], mut newest: u32) -> (BTreeSet<Digest>, Vec<Fault>) {
    let (mut late, mut faults) = (BTreeSet::new(), Vec::new());
    for found in manifests {
        let Manifest { epoch, sequence, .. } = *found.manifest();
        if epoch < newest {
            late.insert(found.digest());
            let detail = format!("signed for epoch {epoch} after epoch {newest} was in use");
            faults.push(Fault::new(&found.file(), FaultKind::Late, detail).about(sequence));
        }
        newest = newest.max(epoch);
    }
    (late, faults)
}

/// A snapshot's place in the chain: its own word, or that of the record that forgot it.
struct Link {
    file: String,
    sequence: u64,
    digest: Digest,
    previous: Option<Digest>,
}

/// Every place after the number `settled` that is taken, in chain order.
fn places(manifests: &[VerifiedManifest], records: &ForgetRecords, trust: &Trust, settled: u64) -> Vec<Link> {
    let mut gone = records.forgotten();
    gone.extend(trust.excused().map(|excused| (excused.manifest, excused)));
    gone.retain(|_, forgotten| (settled + 1..=layout::MOST_SNAPSHOTS).contains(&forgotten.sequence));
    let mut links = Vec::new();
    for found in manifests {
        gone.remove(&found.digest());
        let manifest = found.manifest();
        links.push(Link {
            file: found.file(),
            sequence: manifest.sequence,
            digest: found.digest(),
            previous: manifest.previous,
        });
    }
    links.extend(gone.into_values().map(|forgotten| Link {
        file: layout::manifest(forgotten.sequence, &layout::stem(forgotten.time, forgotten.snapshot)),
        sequence: forgotten.sequence,
        digest: forgotten.manifest,
        previous: forgotten.previous,
    }));
    links.sort_by(|a, b| (a.sequence, &a.file).cmp(&(b.sequence, &b.file)));
    links
}

/// Gaps and forks of places sorted by sequence number, the first of which follows `settled`.
fn links(places: &[Link], settled: Option<Witness>) -> Vec<Fault> {
    let settled = settled.map(|last| Link {
        file: String::new(),
        sequence: last.sequence,
        digest: last.manifest,
        previous: None,
    });
    let mut by_sequence: BTreeMap<u64, Vec<&Link>> = BTreeMap::new();
    for link in places {
        by_sequence.entry(link.sequence).or_default().push(link);
    }
    let mut faults = Vec::new();
    let mut before: Option<(u64, Vec<&Link>)> = settled.as_ref().map(|last| (last.sequence, vec![last]));
    for (sequence, found) in by_sequence {
        let file = &found[0].file;
        let expected = before.as_ref().map_or(1, |(last, _)| last + 1);
        if sequence != expected {
            let detail = match sequence - expected {
                1 => format!("snapshot {expected} is missing before it"),
                _ => format!("snapshots {expected} to {} are missing before it", sequence - 1),
            };
            faults.push(Fault::new(file, FaultKind::Gap, detail).about(sequence));
        }
        for other in &found[1..] {
            let detail = format!("{file} has its sequence number {sequence} too");
            faults.push(Fault::new(&other.file, FaultKind::Fork, detail).about(sequence));
        }
        let siblings = before.as_ref().map_or(&[][..], |(_, siblings)| siblings);
        let broken = found.iter().filter(|each| !follows(each, expected, siblings));
        let detail = "it does not follow the snapshot before it";
        faults.extend(broken.map(|each| Fault::new(&each.file, FaultKind::Fork, detail).about(sequence)));
        before = Some((sequence, found));
    }
    faults
}

/// Whether `previous` is the digest of one of `siblings`; after a gap nothing can be said.
fn follows(found: &Link, expected: u64, siblings: &[&Link]) -> bool {
    match found.previous {
        None => found.sequence == 1,
        Some(_) if found.sequence != expected => true,
        Some(previous) => siblings.iter().any(|before| before.digest == previous),
    }
}

#[cfg(test)]
mod tests;
