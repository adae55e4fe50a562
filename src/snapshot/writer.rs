//! Hands values on as they arrive; the records wait in a spool until every pack has its name.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    Known, Tally,
    lanes::{Lanes, Packs, Shelf},
};
use crate::{
    crypto::Recipient,
    model::{Digest, Part, Record, Secret, Unreadable, ValueState, Version},
    provider::{Fetched, FetchedValue, FetchedVersion, Listed, ProviderError},
    repo::{FileRef, RepoError, Repository, Spool},
};

pub(super) struct Writer<'a> {
    repository: &'a Repository,
    read: Timestamp,
    records: Spool<Record>,
    lanes: Lanes,
    values_read: u64,
}

pub(super) struct Written {
    /// Every pack the records refer to: the new ones, and the earlier ones still in use.
    pub(super) packs: Vec<FileRef>,
    /// Of the new packs, those that the drill key opens.
    pub(super) drill_packs: BTreeSet<Digest>,
    pub(super) indexes: Vec<FileRef>,
    pub(super) values_read: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(repository: &'a Repository, records: Spool<Record>, shelf: Shelf) -> Self {
        Self { repository, read: shelf.read, records, lanes: Lanes::new(shelf), values_read: 0 }
    }

    /// Takes one secret as read; its new values are on their way into a pack, and wiped when they are in it. What `known` says
    /// is the drill key's goes into packs of its own.
    pub(super) async fn push(
        &mut self,
        mut fetched: Fetched,
        listing: Option<Digest>,
        known: &Known,
    ) -> Result<(), RepoError> {
        keep_policy(&mut fetched.secret, known);
        let secret = &fetched.secret.id;
        let (mut versions, mut new, mut shapes) = (Vec::with_capacity(fetched.versions.len()), Vec::new(), Vec::new());
        for version in fetched.versions {
            let value = match (known.value(secret, &version.id), version.value) {
                (Some(known), _) => known.clone(),
                (None, FetchedValue::Value(value)) => {
                    shapes.push((versions.len(), value.kind(), value.size()));
                    new.push((version.id.clone(), value));
                    ValueState::None
                }
                (None, other) => without_value(other),
            };
            let FetchedVersion { id, current, labels, created, facets, .. } = version;
            versions.push(Version { id, current, labels, created, facets, value });
        }
        self.values_read += new.len() as u64;
        let lines = self.lanes.seal(secret, new, known.is_for_drills(), fetched.held).await?;
        for ((at, kind, size), (number, line)) in shapes.into_iter().zip(lines) {
            versions[at].value = ValueState::Stored { pack: name_to_come(number), line, kind, size };
        }
        self.records.push(Record { secret: fetched.secret, versions, read: self.read, listing })
    }

    /// When the run began.
    pub(super) fn started(&self) -> Timestamp {
        self.read
    }

    /// Takes over a record whose secret was not read, as it is.
    pub(super) fn push_kept(&mut self, record: Record) -> Result<(), RepoError> {
        self.records.push(record)
    }

    /// Takes a secret that could not be read at all: what an earlier snapshot knows of it stays referred to.
    pub(super) fn push_unread(&mut self, known: Known, listed: Listed, error: &ProviderError) -> Result<(), RepoError> {
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
        self.records.push(record)
    }

    /// Ends the last packs and writes the index. `earlier` are packs that are there already.
    pub(super) async fn finish(
        self,
        index_recipients: &[Recipient],
        earlier: impl Iterator<Item = FileRef>,
        tally: &mut Tally,
    ) -> Result<Written, RepoError> {
        let Packs { files, for_drills } = self.lanes.finish().await?;
        let known: HashMap<Digest, FileRef> =
            earlier.chain(files.values().copied()).map(|file| (file.sha256, file)).collect();
        let mut used = BTreeSet::new();
        let records = self.records.sorted()?.walk()?.map(|record| {
            let mut record = record?;
            for version in &mut record.versions {
                if let ValueState::Stored { pack, .. } = &mut version.value {
                    *pack = final_name(*pack, &files);
                    used.insert(*known.get(pack).ok_or_else(|| unlisted(*pack))?);
                }
            }
            tally.add(&record, self.read);
            Ok(record)
        });
        let indexes = self.repository.put_records(index_recipients, records).await?;
        let packs = used.into_iter().collect();
        Ok(Written { packs, drill_packs: for_drills, indexes, values_read: self.values_read })
    }
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

/// A policy that cannot be read while its secret is scheduled for deletion is the one that was read before.
fn keep_policy(secret: &mut Secret, known: &Known) {
    if secret.deleted.is_some() && secret.raw.get("GetResourcePolicy").is_none() && secret.facets.policy.is_none() {
        secret.facets.policy = known.record().and_then(|record| record.secret.facets.policy.clone());
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
        reason: "an index refers to it and its manifest does not list it".into(),
    }
}
