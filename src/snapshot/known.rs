//! What an earlier snapshot of the same place already holds.
//!
//! A version's value is immutable within one incarnation of a secret (AWS: its ARN), so a value sealed once is
//! referred to ever after. Without an earlier index, or without the key to it, the run is a full one and nothing else changes.
//! So it is after a change of the recovery key: what is sealed to the old one would be lost with the old sheets.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, LocalBoxStream},
};

use super::{Sweep, journal::SealedBefore};
use crate::{
    crypto::{IndexKey, Opener, Recipient},
    model::{Digest, Place, Record, ValueState, Version, Withheld},
    provider::Listed,
    repo::{Chain, DrillSeal, FileRef, Manifest, RepoError, Repository, Trust},
};

/// The newest verified index of the place, read once from the first name to the last.
pub(super) struct Previous<'a> {
    packs: Vec<FileRef>,
    drill: Option<DrillSeal>,
    records: LocalBoxStream<'a, Result<Record, RepoError>>,
    head: Option<Record>,
}

/// What an unfinished run sealed.
#[derive(Default)]
pub(super) struct Unfinished {
    packs: Vec<FileRef>,
    /// By secret and version.
    values: HashMap<(String, String), ValueState>,
}

/// What is known of one secret.
pub(super) struct Known {
    record: Option<Record>,
    unfinished: Arc<Unfinished>,
    /// For a secret that drills open: the packs that the drill key opens. What is elsewhere is read and sealed again.
    for_drills: Option<Arc<BTreeSet<Digest>>>,
}

impl<'a> Previous<'a> {
    /// The newest verified snapshot of `place`, if what it refers to is sealed to the key of today.
    pub(super) fn new(
        repository: &'a Repository,
        trust: &Trust,
        chain: &Chain,
        place: &Place,
        key: &'a IndexKey,
    ) -> Self {
        let usable = |number: u32| {
            let epoch = trust.epochs().iter().find(|epoch| epoch.number == number);
            epoch.is_some_and(|epoch| epoch.recipient == trust.current().recipient)
        };
        let newest = chain.manifests.iter().rev().find(|found| found.manifest().source == *place);
        let Some(newest) = newest.filter(|found| usable(found.manifest().epoch)) else {
            return Self { packs: Vec::new(), drill: None, records: stream::empty().boxed_local(), head: None };
        };
        let Manifest { packs, drill, .. } = newest.manifest().clone();
        let records = repository.record_stream(newest, Opener::Index(key)).boxed_local();
        Self { packs, drill, records, head: None }
    }

    /// The record of this very secret. Secrets are asked for in the order of the index, by name and then by identifier.
    pub(super) async fn find(&mut self, listed: &Listed) -> Option<Record> {
        let wanted = (listed.name.as_str(), listed.id.as_str());
        loop {
            if self.head.is_none() {
                self.head = self.next().await;
            }
            let head = &self.head.as_ref()?.secret;
            match (head.name.as_str(), head.id.as_str()).cmp(&wanted) {
                std::cmp::Ordering::Less => self.head = None,
                std::cmp::Ordering::Equal => return self.head.take(),
                std::cmp::Ordering::Greater => return None,
            }
        }
    }

    /// The packs that the drill key of today opens.
    pub(super) fn drill_packs(&self, recipient: &Recipient) -> BTreeSet<Digest> {
        let seal = self.drill.as_ref().filter(|seal| seal.recipient == *recipient);
        seal.into_iter().flat_map(|seal| seal.packs.iter().copied()).collect()
    }

    /// The packs that the records refer to.
    pub(super) fn packs(&self) -> impl Iterator<Item = FileRef> {
        self.packs.iter().copied()
    }

    /// The next record; whatever prevents that makes the rest of the run a full one.
    async fn next(&mut self) -> Option<Record> {
        match self.records.try_next().await {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, "the earlier index cannot be read; reading every value again");
                self.records = stream::empty().boxed_local();
                None
            }
        }
    }
}

impl Unfinished {
    pub(super) fn of(sealed: Vec<SealedBefore>) -> Self {
        let mut unfinished = Self::default();
        for SealedBefore { pack, records } in sealed {
            unfinished.packs.push(pack);
            for Record { secret, versions, .. } in records {
                let id = secret.id;
                let values = versions.into_iter().map(|version| ((id.clone(), version.id), version.value));
                unfinished.values.extend(values);
            }
        }
        unfinished
    }

    /// The packs it stored.
    pub(super) fn packs(&self) -> impl Iterator<Item = FileRef> {
        self.packs.iter().copied()
    }
}

impl Known {
    pub(super) fn new(record: Option<Record>, unfinished: &Arc<Unfinished>) -> Self {
        Self { record, unfinished: unfinished.clone(), for_drills: None }
    }

    /// Of a secret that drills open: only what is in `packs` counts as sealed.
    pub(super) fn for_drills(self, packs: Option<Arc<BTreeSet<Digest>>>) -> Self {
        Self { for_drills: packs, ..self }
    }

    /// Whether drills open it.
    pub(super) fn is_for_drills(&self) -> bool {
        self.for_drills.is_some()
    }

    /// Whether a value is where it has to be.
    fn counts(&self, value: &ValueState) -> bool {
        match (value, &self.for_drills) {
            (ValueState::Stored { pack, .. }, Some(packs)) => packs.contains(pack),
            (ValueState::Stored { .. }, None) => true,
            (ValueState::None | ValueState::Withheld { .. } | ValueState::Unreadable { .. }, _) => false,
        }
    }

    /// The record to keep as it is, when its secret need not be read: the listing says the same as when it was last read,
    /// nothing of it was missing, and it is not its turn in the sweep.
    pub(super) fn kept(&mut self, listed: &Listed, sweep: &Sweep) -> Option<Record> {
        let whole = |version: &Version| match version.value {
            ValueState::Stored { .. } => self.counts(&version.value),
            ValueState::Withheld { reason: Withheld::ScheduledForDeletion } => listed.secret.deleted.is_some(),
            // The listing would have changed with the state.
            ValueState::Withheld { reason: Withheld::Disabled | Withheld::Deleted | Withheld::Destroyed } => true,
            ValueState::None | ValueState::Unreadable { .. } => false,
        };
        let keeps = |record: &Record| {
            let same = listed.fingerprint.is_some() && record.listing == listed.fingerprint;
            same && !record.is_incomplete() && record.versions.iter().all(whole) && !sweep.is_due(record)
        };
        if self.record.as_ref().is_some_and(keeps) { self.record.take() } else { None }
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    pub(super) fn into_record(self) -> Option<Record> {
        self.record
    }

    /// Where the value of a version is, if it is sealed already.
    pub(super) fn value(&self, secret: &str, version: &str) -> Option<&ValueState> {
        let earlier = self.record.as_ref().and_then(|record| record.versions.iter().find(|known| known.id == version));
        let unfinished = || {
            if self.unfinished.values.is_empty() {
                None
            } else {
                self.unfinished.values.get(&(secret.to_owned(), version.to_owned()))
            }
        };
        let counts = |value: &&ValueState| self.counts(value);
        earlier.map(|known| &known.value).filter(counts).or_else(|| unfinished().filter(counts))
    }

    pub(super) fn has(&self, secret: &str, version: &str) -> bool {
        self.value(secret, version).is_some()
    }
}
