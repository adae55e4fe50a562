//! The audit trail, read and judged: which entries count, where a chain has a hole, and what others know of it.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read as _,
};

use bytes::Bytes;

use super::{
    AuditEntry, AuditHead, Chain, Fault, FaultKind, RepoError, Repository, Signed, StoredDrill, Trust, audit, layout,
};
use crate::{
    cores,
    crypto::PublicKey,
    model::Digest,
    storage::{Entry, Read},
};

/// Files of one folder that are tried as its bundle: others are junk that somebody put there.
const TRIED: usize = 4;
/// The plain bytes of a bundle: 64 entries of the largest size.
const MOST: u64 = layout::FOLDER * layout::MOST_BYTES;
/// What ends the signature of an entry, and so the entry.
const END: &[u8] = b"-----END SSH SIGNATURE-----\n";

/// An entry that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedEntry {
    /// The content.
    pub entry: AuditEntry,
    /// Its file.
    pub file: String,
    /// SHA-256 of its line.
    pub digest: Digest,
}

/// The entries of one chain.
#[derive(Clone, Debug)]
pub struct AuditChain {
    /// Its name.
    pub id: String,
    /// Who signs it, as the epochs name them.
    pub by: String,
    /// Their key.
    pub signer: PublicKey,
    /// Whether it is one run of a quorum on a machine that is no backup host.
    pub is_of_root: bool,
    /// The entries that count, by number.
    pub entries: Vec<VerifiedEntry>,
}

/// Every chain of a repository, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct AuditTrail {
    /// Chains with at least one entry that counts.
    pub chains: Vec<AuditChain>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Signed files that know the head of a chain and were compared.
    pub compared: u64,
}

/// Somebody who knows an entry: a snapshot or a drill by the same signer, or the host itself.
#[derive(Clone, Debug)]
pub struct AuditAnchor {
    /// Who, in words.
    pub by: String,
    /// Whose chain.
    pub signer: PublicKey,
    /// What they know of it.
    pub head: AuditHead,
}

/// The files of one chain as a listing shows them.
#[derive(Default)]
struct Listed {
    entries: BTreeMap<u64, Entry>,
    bundles: BTreeMap<u64, Vec<(Digest, String)>>,
}

impl AuditTrail {
    /// Entries that count.
    pub fn entries(&self) -> u64 {
        self.chains.iter().map(|chain| chain.entries.len() as u64).sum()
    }

    /// Compares the chains with what others know of them: what is cut off at the end leaves no hole.
    pub fn compare(&mut self, anchors: &[AuditAnchor]) {
        for AuditAnchor { by, signer, head } in anchors {
            self.compared += 1;
            let id = audit::chain_of(signer);
            let chain = self.chains.iter().find(|chain| chain.id == id);
            let newest = chain.and_then(|chain| chain.entries.last()).map_or(0, |last| last.entry.number);
            let name = layout::audit_entry(&id, head.number);
            let found = chain.and_then(|chain| chain.entries.iter().find(|each| each.entry.number == head.number));
            let number = head.number;
            let fault = match found {
                Some(found) if found.digest == head.entry => continue,
                Some(_) => (FaultKind::Fork, format!("{by} knows another entry {number} of this chain")),
                None if newest < number => {
                    (FaultKind::RolledBack, format!("{by} knows entry {number} of this chain; the newest is {newest}"))
                }
                None => (FaultKind::Gap, format!("{by} knows entry {number} of this chain, and it is not here")),
            };
            // One for each entry, however many know it.
            if !self.faults.iter().any(|known| known.file == name && known.kind == fault.0) {
                self.faults.push(audit::fault(&name, fault));
            }
        }
        self.faults.sort();
    }

    /// Snapshots of signers who have a chain, newer than the newest that any entry of their chain knows: a run that was killed
    /// before it left its entry, or a chain that was cut.
    ///
    /// The entry of a run comes into a copy with the run after it: in a copy, the last run of each signer is not asked for.
    pub fn uncovered<'a>(&self, chain: &'a Chain, is_copy: bool) -> Vec<&'a super::VerifiedManifest> {
        let newest = |signer: &PublicKey| {
            let of = |found: &&super::VerifiedManifest| found.manifest().signer == *signer;
            chain.manifests.iter().rfind(of).and_then(|found| audit::head_in(&found.manifest().tool))
        };
        let known = |signer: &PublicKey| {
            let of = self.chains.iter().filter(|each| each.signer == *signer);
            of.flat_map(|each| &each.entries).filter_map(|each| each.entry.run.head).map(|head| head.sequence).max()
        };
        let is_newer = |found: &&super::VerifiedManifest| {
            let manifest = found.manifest();
            let head = audit::head_in(&manifest.tool);
            let is_last = is_copy && head == newest(&manifest.signer);
            head.is_some() && !is_last && known(&manifest.signer).unwrap_or(0) < manifest.sequence
        };
        chain.manifests.iter().filter(is_newer).collect()
    }
}

/// What snapshots and drill records know of the chains of their signers. Records of drills are brought to every copy at once, entries
/// with the next snapshot: in a copy, a record counts that knows no more than a snapshot there.
pub fn audit_anchors(chain: &Chain, drills: &[StoredDrill], trust: &Trust, is_copy: bool) -> Vec<AuditAnchor> {
    let of_snapshot = |found: &super::VerifiedManifest| {
        let manifest = found.manifest();
        let (by, signer) = (format!("snapshot number {}", manifest.sequence), manifest.signer.clone());
        Some(AuditAnchor { by, signer, head: audit::head_in(&manifest.tool)? })
    };
    let of_drill = |drill: &StoredDrill| {
        #[derive(serde::Deserialize)]
        struct Facts {
            tool: String,
            signer: PublicKey,
        }
        let Facts { tool, signer } = serde_json::from_slice(&drill.bytes).ok()?;
        let head = audit::head_in(&tool).filter(|_| trust.signed_drill(drill))?;
        Some(AuditAnchor { by: format!("drill {}", drill.name), signer, head })
    };
    let mut anchors: Vec<AuditAnchor> = chain.manifests.iter().filter_map(of_snapshot).collect();
    let newest = |signer: &PublicKey| {
        anchors.iter().filter(|it| it.signer == *signer).map(|it| it.head.number).max().unwrap_or_default()
    };
    let counts = |anchor: &AuditAnchor| !is_copy || anchor.head.number <= newest(&anchor.signer);
    let drills: Vec<AuditAnchor> = drills.iter().filter_map(of_drill).filter(counts).collect();
    anchors.extend(drills);
    anchors
}

impl Repository {
    /// Reads and judges every chain; `by_bundles` where full folders may be read from their bundle instead of file by file.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with single entries is in the answer.
    pub async fn audit_trail(&self, trust: &Trust, by_bundles: bool) -> Result<AuditTrail, RepoError> {
        let mut trail = AuditTrail::default();
        for (id, listed) in listed(self.storage.list(layout::AUDIT).await?) {
            self.audit_chain(trust, (&id, &listed), by_bundles, &mut trail).await?;
        }
        trail.faults.sort();
        Ok(trail)
    }

    async fn audit_chain(
        &self,
        trust: &Trust,
        (id, listed): (&str, &Listed),
        by_bundles: bool,
        trail: &mut AuditTrail,
    ) -> Result<(), RepoError> {
        let mut bytes = HashMap::new();
        if by_bundles {
            self.read_bundles(listed, &mut bytes, trail).await?;
        }
        let rest: Vec<String> = listed
            .entries
            .iter()
            .filter(|(number, _)| !bytes.contains_key(*number))
            .map(|(_, it)| it.name.clone())
            .collect();
        for (name, read) in rest.iter().zip(self.storage.get_all(&rest, layout::MOST_BYTES).await?) {
            let Some((_, number)) = layout::audit_parts(name) else { continue };
            match read {
                Read::Whole(content) => {
                    trail.files += 1;
                    trail.bytes += content.len() as u64;
                    bytes.insert(number, content);
                }
                Read::Missing => {}
                Read::Unfit(reason) => trail.faults.push(Fault::new(name, FaultKind::Damaged, reason)),
            }
        }
        let mut found = Vec::new();
        let files = listed.entries.iter().filter_map(|(number, it)| Some((it.name.clone(), bytes.remove(number)?)));
        let (repository, trust_of) = (self.id, trust.clone());
        let files: Vec<(String, Bytes)> = files.collect();
        let judged = cores::aside(move || {
            let one = |(name, bytes): (String, Bytes)| {
                let judged = audit::judge(repository, (&name, &bytes), &trust_of);
                (name, judged)
            };
            files.into_iter().map(one).collect::<Vec<_>>()
        });
        for (file, judged) in judged.await {
            match judged {
                Ok((entry, digest)) => found.push(VerifiedEntry { entry, file, digest }),
                Err(wrong) => trail.faults.push(audit::fault(&file, wrong)),
            }
        }
        linked(&found, id, trail);
        let entries = counting(found, trust, trail);
        if let Some(first) = entries.first() {
            let signer = first.entry.signer.clone();
            let is_of_root = trust.epochs().iter().any(|epoch| epoch.root == signer);
            let mut signers = trust.epochs().iter().rev().flat_map(|epoch| &epoch.signers);
            let name = signers.find(|known| known.key == signer).map(|known| known.name.clone());
            let by = name.unwrap_or_else(|| "a quorum".into());
            trail.chains.push(AuditChain { id: id.to_owned(), by, signer, is_of_root, entries });
        }
        Ok(())
    }

    /// The entries that bundles hold, as long as the listing says that they are.
    async fn read_bundles(
        &self,
        listed: &Listed,
        bytes: &mut HashMap<u64, Bytes>,
        trail: &mut AuditTrail,
    ) -> Result<(), RepoError> {
        let last = listed.entries.keys().next_back().map_or(0, |number| (number - 1) / layout::FOLDER);
        for (folder, bundles) in listed.bundles.range(..last) {
            let names: Vec<String> = bundles.iter().take(TRIED).map(|(_, name)| name.clone()).collect();
            for ((digest, name), read) in
                bundles.iter().zip(self.storage.get_all(&names, layout::most_bytes(&names[0])).await?)
            {
                let Read::Whole(content) = read else { continue };
                trail.files += 1;
                trail.bytes += content.len() as u64;
                let (digest, folder) = (*digest, *folder);
                let Some(held) = cores::aside(move || unbundled(&content, folder, &digest)).await else {
                    let detail = "it is not the bundle that its name says";
                    trail.faults.push(Fault::new(name, FaultKind::Junk, detail));
                    continue;
                };
                let is_listed = |number: u64, content: &Bytes| {
                    listed.entries.get(&number).is_some_and(|entry| entry.size == content.len() as u64)
                };
                bytes.extend(held.into_iter().filter(|(number, content)| is_listed(*number, content)));
                break;
            }
        }
        Ok(())
    }

    /// What a copy lacks and what counts: names of entries, each judged, and of bundles.
    pub(super) async fn notes_to_copy(
        &self,
        trust: &Trust,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Bytes)>, RepoError> {
        let mut new = Vec::new();
        for (id, listed) in listed(self.storage.list(layout::AUDIT).await?) {
            let names: Vec<String> =
                listed.entries.values().map(|it| it.name.clone()).filter(|name| !is_there(name)).collect();
            let read = self.storage.get_all(&names, layout::MOST_BYTES).await?;
            let files: Vec<(String, Bytes)> = names
                .into_iter()
                .zip(read)
                .filter_map(|(name, read)| if let Read::Whole(bytes) = read { Some((name, bytes)) } else { None })
                .collect();
            let mut counts: Vec<String> = Vec::new();
            let judged = |(name, bytes): &(String, Bytes)| {
                let (entry, _) = audit::judge(self.id, (name, bytes), trust).ok()?;
                Some((name.clone(), trust.allows_now(&entry.signer) || trust.current().root == entry.signer))
            };
            let judged: Vec<(String, bool)> = files.iter().filter_map(judged).collect();
            if judged.iter().all(|(_, is_in_force)| *is_in_force) {
                counts.extend(judged.into_iter().map(|(name, _)| name));
            } else {
                // Of a signer who was removed, the whole chain tells what counts.
                let mut trail = AuditTrail::default();
                self.audit_chain(trust, (&id, &listed), true, &mut trail).await?;
                counts.extend(trail.chains.into_iter().flat_map(|chain| chain.entries).map(|each| each.file));
            }
            new.extend(files.into_iter().filter(|(name, _)| counts.contains(name)));
            for (digest, name) in listed.bundles.into_values().flatten().filter(|(_, name)| !is_there(name)) {
                let bytes = self.expect(&name).await?;
                if Digest::of(&bytes) == digest {
                    new.push((name, bytes));
                }
            }
        }
        Ok(new)
    }

    /// The newest entry that counts of each chain, dated before `until`: a closing list names them, and with them all before.
    pub(super) async fn audit_heads(&self, trust: &Trust, until: Option<&str>) -> Result<Vec<Digest>, RepoError> {
        let trail = self.audit_trail(trust, true).await?;
        let is_kept =
            |each: &&VerifiedEntry| until.is_none_or(|until| layout::stem_time(each.entry.run.ended).as_str() < until);
        let head = |chain: &AuditChain| chain.entries.iter().rfind(is_kept).map(|each| each.digest);
        Ok(trail.chains.iter().filter(|chain| !chain.is_of_root).filter_map(head).collect())
    }
}

/// The files of each chain.
fn listed(entries: Vec<Entry>) -> BTreeMap<String, Listed> {
    let mut chains: BTreeMap<String, Listed> = BTreeMap::new();
    for entry in entries {
        if let Some((chain, number)) = layout::audit_parts(&entry.name) {
            chains.entry(chain.to_owned()).or_default().entries.insert(number, entry);
        } else if let Some((chain, folder, digest)) = layout::audit_bundle_parts(&entry.name) {
            let bundles = &mut chains.entry(chain.to_owned()).or_default().bundles;
            bundles.entry(folder).or_default().push((digest, entry.name));
        }
    }
    chains
}

/// Holes in a chain, and entries that do not follow the one before.
fn linked(found: &[VerifiedEntry], id: &str, trail: &mut AuditTrail) {
    let mut before: Option<&VerifiedEntry> = None;
    for each in found {
        let expected = before.map_or(1, |before| before.entry.number + 1);
        let number = each.entry.number;
        if number > expected {
            let last = number - 1;
            let (which, verb) = if last > expected {
                (format!("entries {expected} to {last}"), "are")
            } else {
                (format!("entry {last}"), "is")
            };
            let detail = format!("{which} of this chain {verb} missing; entry {number} is there");
            trail.faults.push(Fault::new(&layout::audit_entry(id, expected), FaultKind::Gap, detail));
        } else if each.entry.previous != before.map(|before| before.digest) {
            let detail = if number == 1 {
                "the first entry of a chain follows none".to_owned()
            } else {
                format!("it does not follow entry {} as it is here", number - 1)
            };
            trail.faults.push(Fault::new(&each.file, FaultKind::Fork, detail));
        }
        before = Some(each);
    }
}

/// Those of a chain that count: of a signer who was removed, what a closing list names, and what came before that.
fn counting(found: Vec<VerifiedEntry>, trust: &Trust, trail: &mut AuditTrail) -> Vec<VerifiedEntry> {
    let mut next: Option<Digest> = None;
    let mut counting = Vec::with_capacity(found.len());
    for each in found.into_iter().rev() {
        let entry = &each.entry;
        let is_root = trust.epochs().iter().any(|epoch| epoch.root == entry.signer);
        let is_vouched = next == Some(each.digest);
        let judged = if is_root || is_vouched {
            Ok(())
        } else {
            trust.counts(Signed::Record, entry.epoch, &entry.signer, &each.digest)
        };
        match judged {
            Ok(()) => {
                next = entry.previous;
                counting.push(each);
            }
            Err(reason) => {
                next = None;
                trail.faults.push(Fault::new(&each.file, FaultKind::Untrusted, reason));
            }
        }
    }
    counting.reverse();
    counting
}

/// The entries of a bundle by their number; `None` when it is none.
fn unbundled(bytes: &[u8], folder: u64, digest: &Digest) -> Option<Vec<(u64, Bytes)>> {
    if Digest::of(bytes) != *digest {
        return None;
    }
    let mut text = Vec::new();
    zstd::Decoder::new(bytes).ok()?.take(MOST + 1).read_to_end(&mut text).ok()?;
    let text = Bytes::from(text);
    let mut held = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() && text.len() as u64 <= MOST {
        let line = text[at..].iter().position(|byte| *byte == b'\n').map(|length| at + length + 1)?;
        if &text[at..line] == END {
            held.push((folder * layout::FOLDER + held.len() as u64 + 1, text.slice(start..line)));
            start = line;
        }
        at = line;
    }
    (start == text.len() && held.len() as u64 == layout::FOLDER).then_some(held)
}
