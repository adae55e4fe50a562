//! One judge of the history: what may be read, what a snapshot may be added to, and what speaks against it.
//!
//! Nothing of a snapshot can be read without a [`Chosen`], and only a [`Judgement`] makes one. So no command believes less
//! carefully than another (docs/format.md, "What a fault means").

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    AcceptedFault, AllowedSigner, Chain, ConsumerMap, Fault, FaultKind, Forgotten, ForgottenBy, Manifest, Remembered,
    RepoError, Repository, Response, Severity, Tip, Tombstone, Trust, VerifiedManifest, VerifiedRecord, consumer_map,
    layout,
    record::{Halt, LaterRecords},
    retention::trusted,
    tombstone::Tombstones,
};
use crate::model::{Digest, Place, PlaceFilter};

/// Faults that one message names.
const NAMED: usize = 5;
/// Hex digits of an id that a file's name has.
const SHORT: usize = 8;

/// The whole history, judged.
#[derive(Clone, Debug)]
pub struct Judgement {
    chain: Chain,
    faults: Vec<Fault>,
    later: LaterRecords,
    tombstones: Arc<Vec<Tombstone>>,
    /// When each epoch was made.
    created: BTreeMap<u32, Timestamp>,
    /// The newest epoch that is believed, and the one of another key that follows it.
    superseded: Option<(u32, u32)>,
    accepted: Vec<AcceptedFault>,
    /// Heads that somebody outside remembers.
    compared: usize,
    /// Who holds a head that was compared.
    holders: Vec<String>,
    /// Who signs or signed, the newest epoch first.
    signers: Vec<AllowedSigner>,
}

/// A snapshot that may be read: its place in the history was judged.
#[derive(Clone, Debug)]
pub struct Chosen {
    manifest: VerifiedManifest,
    accepted: Vec<AcceptedFault>,
    is_compared: bool,
    pub(super) tombstones: Tombstones,
}

/// A history whose head is certain enough to add to.
pub struct Appending<'a> {
    judgement: &'a Judgement,
    accepted: Vec<AcceptedFault>,
}

/// What speaks against an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {}", named(.faults))]
pub struct Refusal {
    /// What is refused and why.
    pub what: String,
    /// Every fault that speaks against it.
    pub faults: Vec<Fault>,
    /// Whether a person may accept them; a manifest that is not believed never is.
    pub is_acceptable: bool,
    /// Who holds the newest head that was compared.
    pub holders: Vec<String>,
}

/// No snapshot was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoChoice {
    /// The history does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A newer key is in use.
    #[error("epoch {newest} has a newer key; this one opens only the snapshots up to epoch {known}")]
    Superseded {
        /// The newest epoch that is believed.
        known: u32,
        /// The one that follows it.
        newest: u32,
    },
    /// Several genuine snapshots have the number.
    #[error("several snapshots have number {0}, so the newest snapshot is not known")]
    Ambiguous(u64),
    /// There is none.
    #[error("there is no snapshot {0}")]
    None(String),
    /// A signed record forgot it.
    #[error("{0}")]
    Forgotten(ForgottenBy),
    /// None is of that time or before.
    #[error("there is no snapshot taken at or before {0}")]
    NoneAt(Timestamp),
    /// Several sources, and none is named.
    #[error("the repository has snapshots of {} sources", .0.len())]
    SeveralSources(Vec<Place>),
    /// There is no snapshot of the source.
    #[error("there is no snapshot of source {wanted}")]
    NoSuchSource {
        /// What was asked for.
        wanted: PlaceFilter,
        /// What there is.
        there: Vec<Place>,
    },
    /// The snapshot is of another source.
    #[error("snapshot {snapshot} is of {of}, not {wanted}")]
    OtherSource {
        /// What was asked for.
        snapshot: String,
        /// Whose it is.
        of: String,
        /// Whose was asked for.
        wanted: PlaceFilter,
    },
}

/// The first of the faults in words.
fn named(faults: &[Fault]) -> String {
    let mut words: Vec<String> = faults.iter().take(NAMED).map(ToString::to_string).collect();
    if faults.len() > NAMED {
        words.push(format!("and {} more", faults.len() - NAMED));
    }
    words.join("; ")
}

impl Refusal {
    /// How bad the worst of it is.
    pub fn severity(&self) -> Severity {
        Fault::worst(&self.faults).map_or(Severity::Refused, |worst| worst.max(Severity::Refused))
    }

    /// What lets it through: each accepted fault once.
    pub fn flags(&self) -> Vec<AcceptedFault> {
        let mut flags: Vec<AcceptedFault> = self.faults.iter().map(Fault::accepted).collect();
        flags.sort();
        flags.dedup();
        flags
    }
}

impl Chosen {
    /// The content.
    pub fn manifest(&self) -> &Manifest {
        self.manifest.manifest()
    }

    /// The manifest with its place.
    pub fn verified(&self) -> &VerifiedManifest {
        &self.manifest
    }

    /// SHA-256 of the manifest's exact bytes.
    pub fn digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// The faults that a person accepted and that would have refused it.
    pub fn accepted(&self) -> &[AcceptedFault] {
        &self.accepted
    }

    /// Whether somebody outside the repository remembers a head that was compared: else a rollback cannot be excluded.
    pub fn is_compared(&self) -> bool {
        self.is_compared
    }
}

impl Repository {
    /// Reads and judges the whole history, and compares it with what others remember.
    ///
    /// # Errors
    /// [`RepoError::Storage`]; what is wrong with the history is in the answer.
    pub async fn judge(&self, trust: &Trust, remembered: &[Remembered]) -> Result<Judgement, RepoError> {
        self.judge_chain(trust, self.chain(trust).await?, remembered).await
    }

    /// The same of the newest part of the history, where this host remembers the rest: enough to tell the newest snapshots and
    /// where the next one goes ([`Repository::recent_chain`]).
    ///
    /// # Errors
    /// As [`Repository::judge`].
    pub async fn judge_recent(&self, trust: &Trust, remembered: &[Remembered]) -> Result<Judgement, RepoError> {
        self.judge_chain(trust, self.recent_chain(trust).await?, remembered).await
    }

    /// The same for a chain that was read just now.
    ///
    /// # Errors
    /// As [`Repository::judge`].
    pub async fn judge_chain(
        &self,
        trust: &Trust,
        chain: Chain,
        remembered: &[Remembered],
    ) -> Result<Judgement, RepoError> {
        let later = self.later_records(trust).await?;
        let mut faults = trust.faults().to_vec();
        faults.extend(trust.junk().iter().cloned());
        faults.extend(chain.faults.iter().cloned());
        faults.extend(later.faults.iter().cloned());
        faults.extend(later.in_force.iter().map(VerifiedRecord::fault));
        faults.extend(chain.compare(remembered));
        let newest = remembered.iter().filter(|other| other.holds).map(|other| other.head.sequence).max();
        let holds = |other: &&Remembered| other.holds && Some(other.head.sequence) == newest;
        Ok(Judgement {
            chain,
            faults,
            tombstones: Arc::new(later.tombstones.clone()),
            later,
            created: trust.epochs().iter().map(|epoch| (epoch.number, epoch.created)).collect(),
            superseded: trust.superseded().map(|newer| (trust.current().number, newer)),
            accepted: Vec::new(),
            compared: remembered.iter().filter(|other| other.outside).count(),
            holders: remembered.iter().filter(holds).map(|other| other.by.clone()).collect(),
            signers: trust.epochs().iter().rev().flat_map(|epoch| epoch.signers.clone()).collect(),
        })
    }
}

impl Judgement {
    /// The same, with faults that a person accepts.
    #[must_use]
    pub fn accepting(mut self, accepted: &[AcceptedFault]) -> Self {
        self.accepted.extend(accepted.iter().cloned());
        self
    }

    /// The same for somebody who was told the number of the newest snapshot: a lower one is a rollback.
    #[must_use]
    pub fn expecting(mut self, number: Option<u64>) -> Self {
        let newest = self.chain.head().map_or(0, |head| head.manifest().sequence);
        if let Some(number) = number {
            self.compared += 1;
            if newest < number {
                let detail =
                    format!("rolled back: the newest snapshot is number {newest}, number {number} was expected");
                self.faults.push(Fault::new(layout::SNAPSHOTS, FaultKind::RolledBack, detail));
            }
        }
        self
    }

    /// The same with a snapshot that was added just now, so that a test of many days need not read them all again.
    pub fn test_only_push(&mut self, manifest: VerifiedManifest) {
        self.chain.manifests.push(manifest);
    }

    /// What there is, to be listed.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Everything that is wrong, accepted or not, and what has no meaning.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Records of kinds that this build does not know, in force.
    pub fn later_records(&self) -> &[VerifiedRecord] {
        &self.later.in_force
    }

    /// Reports of answers to a compromise, oldest first.
    pub fn responses(&self) -> &[Response] {
        &self.later.responses
    }

    /// The newest map of consumers that is there whole.
    pub fn consumer_map(&self) -> Option<ConsumerMap> {
        consumer_map::newest(&self.later.maps)
    }

    /// Tombstones in force: versions that are known to be leaked.
    pub fn tombstones(&self) -> &[Tombstone] {
        &self.tombstones
    }

    /// Heads that somebody outside the repository remembers and that were compared.
    pub fn compared(&self) -> usize {
        self.compared
    }

    /// Files of records that count, each after its signature.
    pub(super) fn record_files(&self) -> impl Iterator<Item = String> {
        let names = self.chain.forgets.iter().chain(self.later.counting.iter().map(|(name, _)| name));
        names.flat_map(|name| [layout::signature(name), name.clone()])
    }

    /// The newest snapshot of the one source that is meant.
    ///
    /// # Errors
    /// See [`NoChoice`]: any fault with a severity refuses.
    pub fn newest(&self, source: Option<&PlaceFilter>) -> Result<Chosen, NoChoice> {
        let accepted = self.certain("the newest snapshot is not certain")?;
        let place = self.one_source(source)?.ok_or_else(|| NoChoice::None("latest".into()))?;
        let found = self.chain.newest().remove(&place).ok_or_else(|| NoChoice::None("latest".into()))?;
        self.alone(found)?;
        Ok(self.chosen(found, accepted))
    }

    /// The newest `last` snapshots of the one source that is meant, the newest first.
    ///
    /// # Errors
    /// As [`Self::newest`].
    pub fn recent(&self, source: Option<&PlaceFilter>, last: usize) -> Result<Vec<Chosen>, NoChoice> {
        let accepted = self.certain("the newest snapshots are not certain")?;
        let place = self.one_source(source)?;
        let of =
            |found: &&VerifiedManifest| place.as_ref() == Some(&found.manifest().source) && !self.chain.is_late(found);
        let found = self.chain.manifests.iter().rev().filter(of).take(last);
        found.map(|found| self.alone(found).map(|()| self.chosen(found, accepted.clone()))).collect()
    }

    /// The newest snapshot of the one source that is meant, of all whose time is `at` or before. Times count that are not
    /// before their epoch, not after `now`, and agree with the chain.
    ///
    /// # Errors
    /// As [`Self::newest`].
    pub fn at(&self, source: Option<&PlaceFilter>, at: Timestamp, now: Timestamp) -> Result<Chosen, NoChoice> {
        let accepted = self.certain(&format!("the newest snapshot at {at} is not certain"))?;
        let place = self.one_source(source)?;
        let is_dated = |found: &VerifiedManifest| {
            let manifest = found.manifest();
            self.created.get(&manifest.epoch).is_some_and(|created| manifest.time >= *created)
        };
        let of = |found: &&VerifiedManifest| {
            place.as_ref() == Some(&found.manifest().source) && !self.chain.is_late(found) && is_dated(found)
        };
        let history: Vec<&VerifiedManifest> = self.chain.manifests.iter().filter(of).collect();
        let trusted = trusted(&history, now);
        let counts =
            |found: &&&VerifiedManifest| trusted.contains(&found.manifest().sequence) && found.manifest().time <= at;
        let found = history.iter().rev().find(counts).ok_or(NoChoice::NoneAt(at))?;
        self.alone(found)?;
        Ok(self.chosen(found, accepted))
    }

    /// The snapshot whose id begins so (at least four hex digits). Faults of others do not matter; a fork at its number, and
    /// that it is late, do.
    ///
    /// # Errors
    /// See [`NoChoice`].
    pub fn by_id(&self, wanted: &str, source: Option<&PlaceFilter>) -> Result<Chosen, NoChoice> {
        let wanted = wanted.to_ascii_lowercase();
        let Some(found) = self.chain.find(&wanted).filter(|_| wanted != "latest") else {
            return Err(self.not_believed(&wanted));
        };
        let manifest = found.manifest();
        if let Some(source) = source.filter(|source| !source.means(&manifest.source)) {
            let (snapshot, of) = (wanted, manifest.source.short());
            return Err(NoChoice::OtherSource { snapshot, of, wanted: source.clone() });
        }
        let file = found.file();
        let own = |fault: &Fault| match fault.kind {
            FaultKind::Fork => fault.number == Some(manifest.sequence),
            FaultKind::Late => fault.file == file,
            _ => false,
        };
        let accepted = self.let_through(&format!("snapshot {} is not certain", manifest.snapshot.short()), own)?;
        Ok(self.chosen(found, accepted))
    }

    /// What a snapshot may be added to: a head that is certain. What is wrong beside it is for the report.
    ///
    /// # Errors
    /// [`NoChoice::Refused`] at a fork, after a rollback, and where a signed record forbids it; [`NoChoice::Superseded`].
    pub fn for_appending(&self) -> Result<Appending<'_>, NoChoice> {
        self.refuse_halted(Halt::Snapshot)?;
        Ok(Appending { judgement: self, accepted: self.for_copying()? })
    }

    /// That the head is certain, so that what counts may be spread: what does not count never is. Gives what was accepted.
    ///
    /// # Errors
    /// [`NoChoice::Refused`] at a fork and after a rollback; [`NoChoice::Superseded`].
    pub fn for_copying(&self) -> Result<Vec<AcceptedFault>, NoChoice> {
        self.refuse_superseded()?;
        let uncertain = |fault: &Fault| matches!(fault.kind, FaultKind::Fork | FaultKind::RolledBack);
        Ok(self.let_through("nothing is added to the history because its newest snapshot is not certain", uncertain)?)
    }

    /// A history from which something may be concluded for good, such as what to remove: without any fault.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn sound(&self) -> Result<&Chain, Refusal> {
        self.let_through("nothing is removed while the history has faults", |fault| fault.kind != FaultKind::Halted)?;
        Ok(&self.chain)
    }

    /// That no signed record of a kind unknown to this build forbids something. Gives what was accepted.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn refuse_halted(&self, what: Halt) -> Result<Vec<AcceptedFault>, Refusal> {
        let forbids = |each: &&VerifiedRecord| each.record.halts.contains(&what);
        let files: Vec<&str> = self.later.in_force.iter().filter(forbids).map(|each| each.file.as_str()).collect();
        self.let_through("a signed record forbids it", |fault| files.contains(&fault.file.as_str()))
    }

    /// That nothing with a severity is wrong but what was accepted.
    fn certain(&self, what: &str) -> Result<Vec<AcceptedFault>, NoChoice> {
        self.refuse_superseded()?;
        Ok(self.let_through(what, |fault| fault.kind != FaultKind::Halted)?)
    }

    fn refuse_superseded(&self) -> Result<(), NoChoice> {
        match self.superseded {
            Some((known, newest)) => Err(NoChoice::Superseded { known, newest }),
            None => Ok(()),
        }
    }

    /// Gives the accepted ones among the faults that matter; refuses by the others.
    fn let_through(&self, what: &str, matters: impl Fn(&Fault) -> bool) -> Result<Vec<AcceptedFault>, Refusal> {
        let mut accepted = Vec::new();
        let mut faults = Vec::new();
        for fault in self.faults.iter().filter(|fault| fault.severity().is_some() && matters(fault)) {
            if self.accepted.iter().any(|accepted| accepted.accepts(fault)) {
                accepted.push(fault.accepted());
            } else {
                faults.push(fault.clone());
            }
        }
        if faults.is_empty() {
            accepted.sort();
            accepted.dedup();
            return Ok(accepted);
        }
        faults.sort_by_key(|fault| std::cmp::Reverse(fault.severity()));
        Err(Refusal { what: what.to_owned(), faults, is_acceptable: true, holders: self.holders.clone() })
    }

    /// A snapshot that is there and not believed is a refusal, not an absence.
    fn not_believed(&self, wanted: &str) -> NoChoice {
        let short = wanted.get(..SHORT).unwrap_or(wanted);
        let is_own = |fault: &&Fault| {
            let stem = layout::manifest_stem(&fault.file).and_then(|stem| stem.rsplit_once('-'));
            wanted.len() >= 4 && stem.is_some_and(|(_, id)| id.starts_with(short))
        };
        let own: Vec<Fault> = self.faults.iter().filter(is_own).cloned().collect();
        let begins = |gone: &&Forgotten| wanted.len() >= 4 && gone.snapshot.to_string().starts_with(wanted);
        if let Some(gone) = self.chain.excused().find(begins).filter(|_| own.is_empty()) {
            return NoChoice::Forgotten(ForgottenBy::of(gone, &self.chain.records, self.signers.iter()));
        }
        let severe = || self.faults.iter().filter(|fault| fault.severity().is_some()).cloned().collect::<Vec<_>>();
        let faults = if own.is_empty() { severe() } else { own };
        if faults.is_empty() {
            return NoChoice::None(wanted.to_owned());
        }
        let what = format!("no trusted snapshot {wanted}");
        Refusal { what, faults, is_acceptable: false, holders: self.holders.clone() }.into()
    }

    /// The one source that is meant; `None` when there is no snapshot of any. Which of several is never guessed: a restore of
    /// the wrong account's secrets looks like a good one.
    fn one_source(&self, wanted: Option<&PlaceFilter>) -> Result<Option<Place>, NoChoice> {
        let all: Vec<Place> = self.chain.newest().into_keys().cloned().collect();
        let means = |place: &&Place| wanted.is_none_or(|wanted| wanted.means(place));
        let meant: Vec<Place> = all.iter().filter(means).cloned().collect();
        match (meant.as_slice(), wanted) {
            ([], Some(wanted)) if !all.is_empty() => Err(NoChoice::NoSuchSource { wanted: wanted.clone(), there: all }),
            ([] | [_], _) => Ok(meant.into_iter().next()),
            _ => Err(NoChoice::SeveralSources(meant)),
        }
    }

    /// That no other genuine snapshot has the same number: an accepted fork is no choice between its sides.
    fn alone(&self, found: &VerifiedManifest) -> Result<(), NoChoice> {
        let number = found.manifest().sequence;
        let same = self.chain.manifests.iter().filter(|other| other.manifest().sequence == number);
        if same.count() == 1 { Ok(()) } else { Err(NoChoice::Ambiguous(number)) }
    }

    fn chosen(&self, found: &VerifiedManifest, accepted: Vec<AcceptedFault>) -> Chosen {
        let tombstones = Tombstones { all: Arc::clone(&self.tombstones), ..Tombstones::default() };
        Chosen { manifest: found.clone(), accepted, is_compared: self.compared > 0, tombstones }
    }
}

impl Appending<'_> {
    /// Where the next snapshot is added.
    pub fn tip(&self) -> Tip {
        self.judgement.chain.tip()
    }

    /// The history.
    pub fn chain(&self) -> &Chain {
        &self.judgement.chain
    }

    /// The newest snapshot of a source, to go on from.
    pub fn newest(&self, place: &Place) -> Option<Chosen> {
        let found = self.chain().newest().remove(place)?;
        Some(self.judgement.chosen(found, self.accepted.clone()))
    }

    /// The newest snapshot of a source that `is` what is looked for.
    pub fn newest_where(&self, place: &Place, is: impl Fn(&VerifiedManifest) -> bool) -> Option<Chosen> {
        let of =
            |found: &&VerifiedManifest| found.manifest().source == *place && !self.chain().is_late(found) && is(found);
        let found = self.chain().manifests.iter().rev().find(of)?;
        Some(self.judgement.chosen(found, self.accepted.clone()))
    }

    /// What is wrong beside the head: for the report.
    pub fn faults(&self) -> Vec<Fault> {
        self.judgement.faults.iter().filter(|fault| fault.severity().is_some()).cloned().collect()
    }

    /// What a person accepted of it.
    pub fn accepted(&self) -> &[AcceptedFault] {
        &self.accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_five_faults_and_counts_the_others() {
        let said = |count: usize| {
            let fault = |number| Fault::new(&format!("f{number}"), FaultKind::Gap, "gone");
            let faults = (1..=count).map(fault).collect();
            Refusal { what: "no".into(), faults, is_acceptable: true, holders: Vec::new() }.to_string()
        };
        assert_eq!(said(1), "no: f1: gap: gone");
        assert!(said(5).ends_with("; f5: gap: gone"), "{}", said(5));
        assert_eq!(said(7), format!("{}; and 2 more", said(5)));
    }
}
