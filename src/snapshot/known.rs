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

use super::{Sweep, Writer, journal::SealedBefore};
use crate::{
    crypto::{IndexKey, Opener, Recipient},
    model::{Digest, Place, Record, ValueState, Version, Withheld},
    provider::Listed,
    repo::{Appending, Chosen, FileRef, Layer, OpenSet, PackLists, RepoError, Repository, Trust},
};

/// The newest verified snapshot of the place, and the packs that it names.
pub(super) struct Earlier {
    pub(super) manifest: Chosen,
    pub(super) packs: OpenSet,
    /// Of the seal of the drill key, whichever it was.
    drill: OpenSet,
}

/// Its index, read once from the first name to the last.
pub(super) struct Previous<'a> {
    records: LocalBoxStream<'a, Result<Record, RepoError>>,
    head: Option<Record>,
    is_none: bool,
    /// Whether everything that was asked for could be read.
    is_whole: bool,
    /// Whether that is because of damage; an index that is sealed to another key of the host is none.
    is_damaged: bool,
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
    /// Whether the earlier index says something else, because a pack is gone.
    is_altered: bool,
    shared: Arc<Shared>,
    is_for_drills: bool,
}

/// What decides for every secret which values count as sealed.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) unfinished: Unfinished,
    /// The packs that the drill key opens. What drills open and is elsewhere is read and sealed again.
    pub(super) for_drills: BTreeSet<Digest>,
    /// Packs whose values are read and sealed again.
    pub(super) given_up: BTreeSet<Digest>,
    /// Packs that are not there any more: so are theirs, as far as the source still has them.
    pub(super) missing: BTreeSet<Digest>,
}

impl Earlier {
    /// The newest verified snapshot of `place`, if what it refers to is sealed to the key of today and its lists can be read.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub(super) async fn find(
        repository: &Repository,
        trust: &Trust,
        appending: &Appending<'_>,
        place: &Place,
    ) -> Result<Option<Self>, RepoError> {
        let usable = |number: u32| {
            let epoch = trust.epochs().iter().find(|epoch| epoch.number == number);
            epoch.is_some_and(|epoch| epoch.recipient == trust.current().recipient)
        };
        let newest = appending.newest(place);
        let Some(newest) = newest.filter(|found| usable(found.manifest().epoch)) else { return Ok(None) };
        match Self::open(repository, newest).await {
            Ok(earlier) => Ok(Some(earlier)),
            Err(error @ RepoError::Storage(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a list of the earlier snapshot cannot be read; reading every value again");
                Ok(None)
            }
        }
    }

    async fn open(repository: &Repository, newest: Chosen) -> Result<Self, RepoError> {
        let lists = PackLists::default();
        let packs = repository.packs_of(newest.manifest(), &lists).await?;
        let drill = match newest.manifest().drill() {
            Some(seal) => repository.open_set(&seal.packs, &lists).await?,
            None => OpenSet::default(),
        };
        Ok(Self { manifest: newest, packs, drill })
    }

    /// What a manifest says of it that was made after it: nothing, but where an event made it and everything it holds is still held.
    pub(super) fn held(&self, everything: bool) -> Option<Digest> {
        let is_by_event = !self.manifest.manifest().is_pass();
        (everything && is_by_event).then(|| self.manifest.verified().digest())
    }

    /// The packs that the drill key of today opens.
    pub(super) fn drill_packs(&self, recipient: &Recipient) -> BTreeSet<Digest> {
        let seal = self.manifest.manifest().drill().filter(|seal| seal.recipient == *recipient);
        seal.into_iter().flat_map(|_| self.drill.packs().map(|file| file.sha256)).collect()
    }

    /// Forgets packs that are not there any more.
    pub(super) fn give_up(&mut self, gone: &BTreeSet<Digest>) {
        if !gone.is_empty() {
            self.packs.give_up(gone);
            self.drill.give_up(gone);
        }
    }

    /// What the seal of the drill key names.
    pub(super) fn drill(&self) -> &OpenSet {
        &self.drill
    }

    /// The layers of its index.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.manifest.manifest().indexes
    }
}

impl<'a> Previous<'a> {
    /// The index of an earlier snapshot; of none it is empty.
    pub(super) fn new(repository: &'a Repository, earlier: Option<&Earlier>, key: &'a IndexKey) -> Self {
        let records = match earlier {
            Some(earlier) => repository.captured_stream(&earlier.manifest, Opener::Index(key)).boxed_local(),
            None => stream::empty().boxed_local(),
        };
        Self { records, head: None, is_none: earlier.is_none(), is_whole: earlier.is_some(), is_damaged: false }
    }

    /// Whether there is no earlier snapshot to follow.
    pub(super) fn is_none(&self) -> bool {
        self.is_none
    }

    /// The record of this very secret. Secrets are asked for in the order of the index, by name and then by identifier; the ones
    /// before it that nobody asked for are gone.
    pub(super) async fn find(&mut self, listed: &Listed, writer: &mut Writer<'_>) -> Result<Option<Record>, RepoError> {
        let wanted = (listed.name.as_str(), listed.id.as_str());
        loop {
            if self.head.is_none() {
                self.head = self.next().await;
            }
            let Some(head) = self.head.as_ref().map(|head| &head.secret) else { return Ok(None) };
            match (head.name.as_str(), head.id.as_str()).cmp(&wanted) {
                std::cmp::Ordering::Less => {
                    writer.push_removed(&head.name, &head.id)?;
                    self.head = None;
                }
                std::cmp::Ordering::Equal => return Ok(self.head.take()),
                // An entry that is known by its name alone says nothing of the incarnation: what was captured under that name
                // stays referred to.
                _ if listed.is_name_alone() && head.name == listed.name => return Ok(self.head.take()),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
    }

    /// Nothing more is asked for: the records that are left are gone. Tells whether all of them could be read.
    pub(super) async fn end(mut self, writer: &mut Writer<'_>) -> Result<(bool, bool), RepoError> {
        let mut head = self.head.take();
        loop {
            let Some(record) = head.take() else {
                head = self.next().await;
                if head.is_none() {
                    return Ok((self.is_whole, self.is_damaged));
                }
                continue;
            };
            writer.push_removed(&record.secret.name, &record.secret.id)?;
        }
    }

    /// The next record; whatever prevents that makes the rest of the run a full one.
    async fn next(&mut self) -> Option<Record> {
        match self.records.try_next().await {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, "the earlier index cannot be read; reading every value again");
                self.records = stream::empty().boxed_local();
                self.is_whole = false;
                self.is_damaged = matches!(error, RepoError::Damaged { .. });
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

    /// A pack that it stored.
    pub(super) fn find(&self, pack: &Digest) -> Option<&FileRef> {
        self.packs.iter().find(|file| file.sha256 == *pack)
    }
}

/// Takes note that the packs of values are gone; tells whether any was.
fn without_packs(record: &mut Record, missing: &BTreeSet<Digest>) -> bool {
    let mut any = false;
    for version in &mut record.versions {
        if matches!(&version.value, ValueState::Stored { pack, .. } if missing.contains(pack)) {
            version.value = ValueState::Unreadable { reason: "PackMissing".into() };
            any = true;
        }
    }
    any
}

impl Known {
    /// What is known of a secret, which drills may open.
    pub(super) fn new(mut record: Option<Record>, shared: &Arc<Shared>, is_for_drills: bool) -> Self {
        let is_altered = record.as_mut().is_some_and(|record| without_packs(record, &shared.missing));
        Self { record, is_altered, shared: shared.clone(), is_for_drills }
    }

    /// Whether the earlier index says something else than its record here.
    pub(super) fn is_altered(&self) -> bool {
        self.is_altered
    }

    /// Whether drills open it.
    pub(super) fn is_for_drills(&self) -> bool {
        self.is_for_drills
    }

    /// Whether a value is where it has to be.
    fn counts(&self, value: &ValueState) -> bool {
        let Shared { for_drills, given_up, .. } = &*self.shared;
        match value {
            ValueState::Stored { pack, .. } => {
                !given_up.contains(pack) && (!self.is_for_drills || for_drills.contains(pack))
            }
            ValueState::None | ValueState::Withheld { .. } | ValueState::Unreadable { .. } => false,
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
        let unfinished = || {
            let values = &self.shared.unfinished.values;
            if values.is_empty() { None } else { values.get(&(secret.to_owned(), version.to_owned())) }
        };
        let counts = |value: &&ValueState| self.counts(value);
        self.earlier(secret, version).filter(counts).or_else(|| unfinished().filter(counts))
    }

    /// Where the value of a version is that was to be sealed again and could not be read again.
    pub(super) fn sealed(&self, secret: &str, version: &str) -> Option<&ValueState> {
        self.earlier(secret, version).filter(|value| matches!(value, ValueState::Stored { .. }))
    }

    /// Of this incarnation alone: another one's version of that id is another value.
    fn earlier(&self, secret: &str, version: &str) -> Option<&ValueState> {
        let record = self.record.as_ref().filter(|record| record.secret.id == secret)?;
        record.versions.iter().find(|known| known.id == version).map(|known| &known.value)
    }

    pub(super) fn has(&self, secret: &str, version: &str) -> bool {
        self.value(secret, version).is_some()
    }
}
