//! Hands values on as they arrive; the records wait in a spool until every pack has its name.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use jiff::Timestamp;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{
    Known, Tally,
    hidden::{keep_policy, keep_versions},
    known::{Earlier, Unfinished},
    lanes::{Lanes, Packs, Shelf},
    same::same_content,
};
use crate::{
    crypto::{Opener, Recipient},
    model::{Digest, Part, Record, Secret, Unreadable, ValueState, Version},
    provider::{Fetched, FetchedValue, FetchedVersion, Listed, ProviderError},
    repo::{
        FileRef, IndexLine, Layer, LayerPlan, RepoError, Repository, Spool, merge_layers, plan_addition, plan_layers,
    },
};

pub(super) struct Writer<'a> {
    repository: &'a Repository,
    read: Timestamp,
    entries: Spool<Entry>,
    /// Records that are not as they were in the earlier snapshot, and those that are gone.
    changed: u64,
    lanes: Lanes,
    values_read: u64,
    /// Versions of which the earlier snapshot holds a value, and this one too.
    still: u64,
}

/// A record of the new index, or one that is gone, and what became of it.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    change: Change,
    /// Of one that is gone, name and identifier alone.
    record: Record,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Change {
    Same,
    Changed,
    Removed,
}

/// What the new index is written after.
pub(super) struct Before<'e> {
    /// The earlier snapshot, and its index key's opener.
    pub(super) earlier: Option<(&'e Earlier, Opener<'e>)>,
    /// Whether its whole index was read.
    pub(super) is_whole: bool,
    /// Whether what was not pushed stays as it is.
    pub(super) is_addition: bool,
    pub(super) unfinished: &'e Unfinished,
}

pub(super) struct Written {
    /// Every pack the records refer to: the new ones, and the earlier ones still in use.
    pub(super) packs: BTreeSet<FileRef>,
    /// Of the new packs, those that the drill key opens.
    pub(super) drill_packs: BTreeSet<Digest>,
    pub(super) indexes: Vec<Layer>,
    pub(super) values_read: u64,
    /// Versions of which the earlier snapshot holds a value, and this one too.
    pub(super) still: u64,
}

impl<'a> Writer<'a> {
    /// Records that do not fit in memory wait in `scratch`.
    pub(super) fn new(repository: &'a Repository, scratch: Option<&Path>, shelf: Shelf) -> Self {
        let order = |a: &Entry, b: &Entry| by_name(&a.record).cmp(&by_name(&b.record));
        let entries = Spool::new(scratch, order);
        Self { repository, read: shelf.read, entries, changed: 0, lanes: Lanes::new(shelf), values_read: 0, still: 0 }
    }

    /// Takes one secret as read; its new values are on their way into a pack, and wiped when they are in it. What `known` says
    /// is the drill key's goes into packs of its own.
    pub(super) async fn push(
        &mut self,
        mut fetched: Fetched,
        listing: Option<Digest>,
        known: &Known,
    ) -> Result<(), RepoError> {
        keep_versions(&mut fetched, known);
        if let Some(before) = known.record().map(|record| &record.secret).filter(|it| it.id != fetched.secret.id) {
            // Deleted and made anew since it was listed.
            self.push_removed(&before.name, &before.id)?;
        }
        keep_policy(&mut fetched.secret, known);
        let secret = &fetched.secret.id;
        let (mut versions, mut new, mut shapes) = (Vec::with_capacity(fetched.versions.len()), Vec::new(), Vec::new());
        for version in fetched.versions {
            self.still += u64::from(known.sealed(secret, &version.id).is_some());
            let value = match (known.value(secret, &version.id), version.value) {
                (Some(known), _) => known.clone(),
                (None, FetchedValue::Value(value)) => {
                    shapes.push((versions.len(), value.kind(), value.size()));
                    new.push((version.id.clone(), value));
                    ValueState::None
                }
                // Nothing that is sealed is ever lost because it cannot be read again.
                (None, other) => known.sealed(secret, &version.id).cloned().unwrap_or_else(|| without_value(other)),
            };
            let FetchedVersion { id, current, labels, created, facets, .. } = version;
            versions.push(Version { id, current, labels, created, facets, value });
        }
        self.values_read += new.len() as u64;
        let lines = self.lanes.seal(secret, new, known.is_for_drills(), fetched.held).await?;
        for ((at, kind, size), (number, line)) in shapes.into_iter().zip(lines) {
            versions[at].value = ValueState::Stored { pack: name_to_come(number), line, kind, size };
        }
        let mut record = Record { secret: fetched.secret, versions, read: self.read, listing };
        match known.record() {
            Some(before) if !known.is_altered() && before.read <= self.read && same_content(before, &record) => {
                if before.listing == record.listing {
                    return self.push_entry(Change::Same, before.clone());
                }
                // The content was first read when it was captured by an event; now the listing shows it too.
                record.read = before.read;
            }
            _ => {}
        }
        self.push_entry(Change::Changed, record)
    }

    /// Takes over a record as it is.
    pub(super) fn push_kept(&mut self, record: Record) -> Result<(), RepoError> {
        self.still += stored(&record);
        self.push_entry(Change::Same, record)
    }

    /// Notes that a record of the earlier index is gone.
    pub(super) fn push_removed(&mut self, name: &str, id: &str) -> Result<(), RepoError> {
        let secret = Secret { name: name.to_owned(), id: id.to_owned(), ..Secret::default() };
        self.push_entry(Change::Removed, Record { secret, versions: Vec::new(), read: self.read, listing: None })
    }

    fn push_entry(&mut self, change: Change, record: Record) -> Result<(), RepoError> {
        self.changed += u64::from(change != Change::Same);
        self.entries.push(Entry { change, record })
    }

    /// Takes a secret that could not be read at all: what an earlier snapshot knows of it stays referred to.
    pub(super) fn push_unread(&mut self, known: Known, listed: Listed, error: &ProviderError) -> Result<(), RepoError> {
        let before = known.record().filter(|_| !known.is_altered()).cloned();
        let mut record = known.into_record().unwrap_or_else(|| Record {
            secret: listed.secret,
            versions: Vec::new(),
            read: self.read,
            listing: None,
        });
        record.listing = None;
        record.secret.unreadable = vec![Unreadable {
            part: Part::Metadata,
            operation: error.operation.to_owned(),
            reason: error.code.clone(),
        }];
        self.still += stored(&record);
        let change = if before.is_some_and(|before| before == record) { Change::Same } else { Change::Changed };
        self.push_entry(change, record)
    }

    /// Records that are not as they were, so far.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// Ends the last packs and writes the index, as a layer of what changed where that is enough.
    pub(super) async fn finish(
        self,
        recipients: &[Recipient],
        before: &Before<'_>,
        tally: &mut Tally,
    ) -> Result<Written, RepoError> {
        let Packs { files, for_drills } = self.lanes.finish().await?;
        let own: HashMap<Digest, FileRef> = files.values().map(|file| (file.sha256, *file)).collect();
        let known = |pack: &Digest| own.get(pack).or_else(|| before.find(pack)).copied();
        let mut packs = BTreeSet::new();
        let (plan, layers) = before.plan(self.changed);
        let entries = self.entries.sorted()?;
        let lines = entries.walk()?.map(|entry| {
            let Entry { change, mut record } = entry?;
            if change == Change::Removed {
                return Ok((change, IndexLine::removal(&record.secret.name, &record.secret.id)));
            }
            for version in &mut record.versions {
                if let ValueState::Stored { pack, .. } = &mut version.value {
                    *pack = final_name(*pack, &files);
                    packs.insert(known(pack).ok_or_else(|| unlisted(*pack))?);
                }
            }
            tally.add(&record);
            Ok((change, IndexLine::Record(record)))
        });
        let lines = stream::iter(lines).try_filter_map(async |(change, line)| {
            let is_part = match plan {
                LayerPlan::Same => false,
                LayerPlan::Base => change != Change::Removed,
                LayerPlan::Delta { .. } => change != Change::Same,
            };
            Ok(is_part.then_some(line))
        });
        let mut indexes = layers.to_vec();
        match plan {
            LayerPlan::Same => lines.try_for_each(async |_| Ok(())).await?,
            LayerPlan::Base => indexes = vec![self.repository.put_layer(recipients, lines).await?],
            LayerPlan::Delta { keep } => {
                let merged = indexes.split_off(keep);
                let opener = before.earlier.map(|(_, opener)| opener).expect("a delta follows an earlier snapshot");
                let merged = merged.iter().map(|layer| self.repository.layer_lines(layer, opener));
                let all = merged.chain([lines.boxed_local()]).collect();
                indexes.push(self.repository.put_layer(recipients, merge_layers(all, true)).await?);
            }
        }
        Ok(Written { packs, drill_packs: for_drills, indexes, values_read: self.values_read, still: self.still })
    }
}

impl<'e> Before<'e> {
    /// How the index is written, and the layers it follows. Without the whole earlier index it is written as a whole.
    fn plan(&self, changed: u64) -> (LayerPlan, &'e [Layer]) {
        match self.earlier.filter(|_| self.is_whole) {
            Some((earlier, _)) if self.is_addition => (plan_addition(earlier.layers(), changed), earlier.layers()),
            Some((earlier, _)) => (plan_layers(earlier.layers(), changed), earlier.layers()),
            None => (LayerPlan::Base, &[]),
        }
    }

    /// A pack that was there before this run.
    fn find(&self, pack: &Digest) -> Option<&FileRef> {
        let earlier = self.earlier.and_then(|(earlier, _)| earlier.packs.find(pack));
        earlier.or_else(|| self.unfinished.find(pack))
    }
}

fn by_name(record: &Record) -> (&str, &str) {
    (&record.secret.name, &record.secret.id)
}

/// Versions of which a record holds a value.
pub(super) fn stored(record: &Record) -> u64 {
    record.versions.iter().filter(|version| matches!(version.value, ValueState::Stored { .. })).count() as u64
}

/// What is recorded of a version whose value did not come.
fn without_value(value: FetchedValue) -> ValueState {
    match value {
        FetchedValue::None => ValueState::None,
        FetchedValue::Withheld(reason) => ValueState::Withheld { reason },
        FetchedValue::Unreadable(reason) => ValueState::Unreadable { reason },
        // Only said of versions that are known, and those never come here.
        FetchedValue::Known | FetchedValue::Value(_) => ValueState::Unreadable { reason: "NotRead".into() },
    }
}

/// Stands for the digest of this run's pack of that number until the pack is ended: no SHA-256 has 24 zero bytes in front.
fn name_to_come(number: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Digest::from_bytes(bytes)
}

fn final_name(name: Digest, packs: &HashMap<u64, FileRef>) -> Digest {
    let (front, number) = name.as_bytes().split_at(24);
    if front.iter().any(|byte| *byte != 0) {
        return name;
    }
    let number = u64::from_be_bytes(number.try_into().expect("eight bytes are left"));
    packs.get(&number).map_or(name, |file| file.sha256)
}

fn unlisted(pack: Digest) -> RepoError {
    RepoError::Damaged {
        file: format!("packs/{pack}"),
        reason: "an index refers to it, but its manifest does not list it".into(),
    }
}
