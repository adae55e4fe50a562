//! What the model says of harm: seen or without effect, and never another snapshot than the right one. Harm is done to a copy of the
//! storage, so that the history goes on whole. And what a restore brings back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    crypto::Opener,
    model::{Digest, SecretValue, SnapshotId},
    progress::Silent,
    provider::{Source, Target, memory::Memory},
    repo::{Chosen, FaultKind, ForgetError, Judgement, Manifest, NoChoice, Repository, Sweep, Trust, copy},
    restore::{self, Options, Values},
    storage::Storage,
};

use crate::{
    model::{Harm, Wanted},
    model_world::{Files, OWN_WINDOW, World, anchor, days, files, filter, keep_last, severe, stored},
};

static NEVER_SEEN: BTreeMap<Digest, Timestamp> = BTreeMap::new();
static NOTHING: BTreeSet<Digest> = BTreeSet::new();

const FOLDERS: [&str; 4] = ["snapshots/", "epochs/", "closings/", "forgotten/"];
const STEM: &str = "20990101T000000Z-00000000.json";

impl World {
    /// Harms a copy of the storage and looks at what every reader says of it.
    pub(crate) async fn tamper(&mut self, harm: Harm, pick: usize) {
        let mut harmed = files(&self.storage).await;
        let must_refuse = match harm {
            Harm::RollBack => {
                let Some(save) = self.saves.get(pick % self.saves.len().max(1)) else { return };
                let lacks = self.head().is_some_and(|(_, entry)| !save.contains_key(&entry.file));
                harmed = save.clone();
                lacks
            }
            Harm::Remove | Harm::Alter | Harm::Rename => {
                let is_in = |name: &&String| FOLDERS.iter().any(|folder| name.starts_with(folder));
                let names: Vec<String> = harmed.keys().filter(is_in).cloned().collect();
                let name = &names[pick % names.len()];
                let must = self.is_seen(harm, name, &harmed);
                do_harm(&mut harmed, harm, name, pick);
                must
            }
        };
        self.note(if must_refuse { "harm that is seen" } else { "harm" });
        let what = || format!("{harm:?} {pick}, {:?}", self.head().map(|(number, _)| number));
        let storage = stored(&harmed).await;
        let repository = Repository::open(storage.clone()).await.unwrap();
        let Ok(trust) = repository.trust(&anchor(self.key())).await else { return };
        let judgement = repository.judge(&trust, &self.remembered()).await.unwrap();
        self.never_another(&judgement, must_refuse, &what());
        self.others_by_id(&repository, &judgement, harm).await;
        self.concludes_nothing(&repository, &trust, &judgement).await;
        // The host that remembers: nothing that the model does not know, nothing but the newest.
        let memory = self.folder.path().join("harmed");
        drop(std::fs::copy(self.hosts[0].memory.clone().unwrap(), &memory));
        let recent = repository.remembering(memory).judge_recent(&trust, &self.remembered()).await.unwrap();
        self.numbers_of(&recent);
        self.never_another(&recent, false, &what());
    }

    /// Whether harm to this file must refuse the newest snapshot.
    fn is_seen(&self, harm: Harm, name: &str, all: &Files) -> bool {
        let bare = name.strip_suffix(".sig").unwrap_or(name);
        let (is_signature, is_removed) = (bare != name, matches!(harm, Harm::Remove | Harm::Rename));
        if name.contains("junk") || name.ends_with(".countersig") || !all.contains_key(bare) {
            return false;
        }
        if name.starts_with("snapshots/") {
            let Some((number, _)) = self.here().find(|(_, entry)| entry.file == bare) else { return false };
            let is_ordered = self.in_force().any(|order| order.numbers.contains(&number));
            return !(is_ordered && matches!(harm, Harm::Remove) && !is_signature);
        }
        if name.starts_with("forgotten/") {
            let Some(order) = self.orders.iter().find(|order| bare == format!("forgotten/{}.json", order.name)) else {
                return false;
            };
            let gone = order.numbers.iter().any(|number| self.entries[number].is_gone);
            return !order.lapsed && (is_signature || !is_removed || (gone && !order.undone && self.closings() == 0));
        }
        if name.starts_with("epochs/") {
            return !name.contains("/900-") && (is_signature || !is_removed);
        }
        true
    }

    fn closings(&self) -> usize {
        self.trusts.iter().filter(|(trust, _)| trust.current().closing.is_some()).count()
    }

    /// The newest of each source is refused, or it is the right one.
    fn never_another(&self, judgement: &Judgement, must_refuse: bool, what: &str) {
        for estate in &self.estates {
            let Some((_, entry)) = self.newest(&estate.place) else { continue };
            match judgement.newest(Some(&filter(&estate.place))) {
                Ok(found) => {
                    assert_eq!(found.digest(), entry.digest, "{what}: another one is the newest");
                    assert!(!must_refuse, "{what}: nothing is said");
                }
                Err(NoChoice::Refused(_)) => {}
                Err(error) => assert!(!severe(judgement.faults()).is_empty(), "{what}: {error}"),
            }
        }
    }

    /// What was not touched is read by its id.
    async fn others_by_id(&self, repository: &Repository, judgement: &Judgement, harm: Harm) {
        let there = self.numbers_of_harmed(judgement);
        for (number, entry) in self.here().filter(|(number, _)| there.contains(number)).take(3) {
            let found = judgement.by_id(&entry.id, None).unwrap();
            assert_eq!(found.digest(), entry.digest, "number {number}");
            if !matches!(harm, Harm::RollBack) {
                assert_eq!(self.read(repository, &found).await, entry.content, "number {number}");
            }
        }
    }

    fn numbers_of_harmed(&self, judgement: &Judgement) -> Vec<u64> {
        let numbers: Vec<u64> = self.numbers_of(judgement).into_iter().collect();
        let faults = severe(judgement.faults());
        let is_of = |number: &u64| faults.iter().any(|fault| fault.file == self.entries[number].file);
        // One file at most was touched; a gap is told of the file after it.
        let lost = self.here().filter(|(number, _)| !numbers.contains(number)).count();
        if faults.iter().all(|fault| fault.file.starts_with("snapshots")) && !self.saves.is_empty() {
            assert!(
                lost <= 1 || faults.iter().any(|fault| fault.kind == FaultKind::RolledBack),
                "{lost} lost: {faults:?}"
            );
        }
        numbers.into_iter().filter(|number| !is_of(number)).collect()
    }

    /// Of a history with faults nothing is removed, and only what counts is copied.
    async fn concludes_nothing(&self, repository: &Repository, trust: &Trust, judgement: &Judgement) {
        if severe(judgement.faults()).is_empty() {
            return;
        }
        let outcome = repository.sweep(judgement, &self.long_after(0)).await;
        assert!(matches!(outcome, Err(ForgetError::Refused(_))), "a sweep of a history with faults: {outcome:?}");
        let far = Storage::memory();
        if copy(repository, trust, &far).await.is_ok() {
            let there = Repository::open(far).await.unwrap();
            self.numbers_of(&there.judge(trust, &[]).await.unwrap());
        }
    }

    fn long_after(&self, host: usize) -> Sweep<'static> {
        Sweep {
            now: self.now + SignedDuration::from_hours(24 * 3_650),
            rules: keep_last(1),
            window: days(OWN_WINDOW),
            signer: self.hosts[host].signer.public(),
            seen: &NEVER_SEEN,
            keep: &NOTHING,
            but: None,
        }
    }

    /// A removed signer signs a snapshot, a forgetting, an undo: none of it counts, and nothing goes by it.
    pub(crate) async fn thief(&mut self, kind: u8) {
        let Some(thief) = (0..2).find(|at| !self.signers.contains(at)) else { return };
        let old = self.trusts.iter().rev().find(|(_, signers)| signers.contains(&thief));
        let (Some((old, _)), Some((sequence, head))) = (old, self.head()) else { return };
        let (storage, head) = (stored(&files(&self.storage).await).await, head.clone());
        let repository = Repository::open(storage).await.unwrap();
        let before = repository.judge(&self.trust(&self.storage).await.unwrap(), &[]).await.unwrap();
        let signer = &self.hosts[thief].signer;
        match kind {
            0 => {
                let found = before.by_id(&head.id, None).unwrap();
                let manifest = Manifest {
                    sequence: sequence + 1,
                    previous: Some(head.digest),
                    snapshot: SnapshotId::random(),
                    epoch: old.current().number,
                    signer: signer.public(),
                    ..found.manifest().clone()
                };
                repository.put_manifest(manifest, signer).await.unwrap();
            }
            1 => {
                let all = before.chain().manifests.iter().rev().skip(1).map(|found| found.name().to_owned()).collect();
                repository.forget(&before, old, &all, (self.now, self.now), None, signer).await.unwrap();
            }
            _ => drop(repository.undo_forget(old, "latest", self.now, signer).await),
        }
        let trust = repository.trust(&anchor(self.key())).await.unwrap();
        let judgement = repository.judge(&trust, &self.remembered()).await.unwrap();
        self.never_another(&judgement, kind == 0, "a removed signer's work");
        let count = self.here().count();
        assert_eq!(self.numbers_of(&judgement).len(), count);
        assert_eq!(judgement.chain().records.len(), self.in_force().count());
        let flags: Vec<_> = severe(judgement.faults()).into_iter().map(lifeboat::repo::Fault::accepted).collect();
        let judgement = judgement.accepting(&flags);
        self.never_another(&judgement, false, "a removed signer's work, accepted");
        let ordered: usize = {
            let head = self.head().map(|(number, _)| number);
            let all = self.in_force().flat_map(|order| order.numbers.iter().copied());
            all.filter(|number| Some(*number) != head && !self.entries[number].is_gone).collect::<BTreeSet<_>>().len()
        };
        let honest = *self.signers.first().unwrap();
        self.note("thieves");
        let swept = repository.sweep(&judgement, &self.long_after(honest)).await.unwrap();
        assert!(swept.snapshots <= ordered as u64, "{} went by a removed signer's word", swept.snapshots);
    }

    /// A restore brings exactly what the snapshot has.
    pub(crate) async fn restore(&mut self, wanted: Wanted, pick: usize) {
        let repository = self.repository(&self.storage).await;
        let judgement = repository.judge(&self.trust(&self.storage).await.unwrap(), &[]).await.unwrap();
        let Some((number, entry)) = self.here().nth(pick % self.here().count().max(1)) else { return };
        let source = filter(&entry.place);
        let chosen = match wanted {
            Wanted::Newest => judgement.newest(Some(&source)).unwrap(),
            Wanted::Id => judgement.by_id(&entry.id, Some(&source)).unwrap(),
            Wanted::Time => match judgement.at(Some(&source), entry.time, self.now) {
                Ok(chosen) => chosen,
                // Its time contradicts the chain, its epoch, or the clock.
                Err(NoChoice::NoneAt(_)) if !self.is_in_order() => return,
                Err(error) => panic!("number {number} at its time: {error}"),
            },
        };
        let found = chosen.manifest().sequence;
        let expected = &self.entries[&found];
        match wanted {
            Wanted::Newest => assert_eq!(Some(found), self.newest(&entry.place).map(|(number, _)| number)),
            Wanted::Id => assert_eq!(found, number),
            Wanted::Time => {
                assert!(expected.time <= entry.time && expected.place == entry.place && expected.time <= self.now);
                assert!(found == number || !self.is_in_order(), "number {found} for the time of {number}");
            }
        }
        if !expected.content.is_empty() {
            self.bring_back(&repository, &chosen).await;
            self.note("restores");
        }
    }

    /// Whether the clock never went back.
    fn is_in_order(&self) -> bool {
        let times: Vec<_> = self.entries.values().map(|entry| entry.time).collect();
        let after_epoch =
            self.entries.values().all(|entry| self.trusts[entry.epoch - 1].0.current().created <= entry.time);
        times.is_sorted() && after_epoch && times.last().is_none_or(|last| *last <= self.now)
    }

    async fn bring_back(&self, repository: &Repository, chosen: &Chosen) {
        let (manifest, options) = (chosen.manifest(), Options::default());
        let content = &self.entries[&manifest.sequence].content;
        let key = &self.keys[manifest.epoch as usize - 1];
        let memory = Arc::new(Memory::new("222222222222", "eu-west-1"));
        let target: Arc<dyn Target> = Arc::<Memory>::clone(&memory);
        let readback: Arc<dyn Source> = Arc::<Memory>::clone(&memory);
        let records = repository.record_stream(chosen, Opener::Recovery(key));
        let found = restore::look(&*target, chosen, records, &options, None).await.unwrap();
        let plan = restore::make(chosen, &found, &options).unwrap();
        let values = Values::new(repository, chosen, key);
        let done = restore::execute(&plan, &values, &target, &Silent).await.unwrap();
        assert_eq!(done.failed, []);
        let verified = restore::verify(&plan, &values, &readback, &Silent).await.unwrap();
        assert!(verified.passed(), "{:?}", verified.differences);
        assert_eq!(memory.names(), content.keys().cloned().collect::<Vec<_>>());
        for (name, (_, versions)) in content {
            let there = target.look_up(name).await.unwrap().unwrap();
            for version in &there.versions {
                let value = SecretValue::text(versions[&version.id].clone());
                assert!(memory.holds(name, &version.id, &value), "{name} {}", version.id);
            }
            let last = format!("v{}", versions.len() - 1);
            assert!(memory.labels(name, &last).unwrap().contains(&"AWSCURRENT".to_owned()), "{name} {last}");
        }
    }
}

fn do_harm(all: &mut Files, harm: Harm, name: &str, pick: usize) {
    let bytes = all.remove(name).unwrap();
    match harm {
        Harm::Remove | Harm::RollBack => {}
        Harm::Alter => {
            let (mut bytes, at) = (bytes.to_vec(), pick / 7 % bytes.len().max(1));
            bytes[at] ^= 1 << (pick % 7);
            all.insert(name.to_owned(), Bytes::from(bytes));
        }
        Harm::Rename => {
            let (folder, _) = name.rsplit_once('/').unwrap();
            let to = if name.starts_with("epochs/") || name.starts_with("closings/") {
                format!("{folder}/99-{}.json", "0".repeat(64))
            } else {
                format!("{folder}/{STEM}")
            };
            let ending = if name.strip_suffix(".sig").is_some() { ".sig" } else { "" };
            all.insert(format!("{to}{ending}"), bytes);
        }
    }
}
