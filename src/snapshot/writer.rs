//! Seals values as they arrive; the records wait in a spool until every pack has its name.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{Journal, Known, Tally};
use crate::{
    crypto::{IndexKey, Recipient},
    model::{Digest, Record, Secret, Unreadable, ValueState, Version},
    provider::{Fetched, FetchedValue, FetchedVersion, Listed, ProviderError},
    repo::{FileRef, PackWriter, RepoError, Repository, Spool},
};

pub(super) struct Writer<'a> {
    repository: &'a Repository,
    recipients: Vec<Recipient>,
    read: Timestamp,
    records: Spool<Record>,
    /// Ended packs by their number.
    packs: HashMap<u64, FileRef>,
    /// The number of the next pack.
    next: u64,
    values_read: u64,
    open: Option<OpenPack>,
    /// The open pack of what the drill key opens, and all of them by digest.
    drill: Option<OpenPack>,
    drill_recipient: Option<Recipient>,
    drill_packs: BTreeSet<Digest>,
    journal: Option<(Journal, &'a IndexKey)>,
}

pub(super) struct Written {
    /// Every pack the records refer to: the new ones, and the earlier ones still in use.
    pub(super) packs: Vec<FileRef>,
    /// Of the new packs, those that the drill key opens.
    pub(super) drill_packs: BTreeSet<Digest>,
    pub(super) indexes: Vec<FileRef>,
    pub(super) values_read: u64,
}

/// A pack that has no digest yet, and what it holds.
struct OpenPack {
    number: u64,
    pack: PackWriter,
    values: Vec<Sealed>,
}

/// A value of the open pack.
struct Sealed {
    arn: String,
    version: String,
    value: ValueState,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        recipients: Vec<Recipient>,
        read: Timestamp,
        records: Spool<Record>,
        journal: Option<(Journal, &'a IndexKey)>,
    ) -> Self {
        Self {
            repository,
            recipients,
            read,
            records,
            packs: HashMap::new(),
            next: 0,
            values_read: 0,
            open: None,
            drill: None,
            drill_recipient: None,
            drill_packs: BTreeSet::new(),
            journal,
        }
    }

    /// Puts values that are asked for it into packs of their own, which `recipient` opens too.
    pub(super) fn with_drill(mut self, recipient: Option<Recipient>) -> Self {
        self.drill_recipient = recipient;
        self
    }

    /// Takes one secret as read; its new values are sealed and wiped before this returns. What `known` says is the drill
    /// key's goes into packs of its own.
    pub(super) async fn push(
        &mut self,
        mut fetched: Fetched,
        listing: Option<Digest>,
        known: &Known,
    ) -> Result<(), RepoError> {
        keep_policy(&mut fetched.secret, known);
        let arn = &fetched.secret.arn;
        let mut versions = Vec::with_capacity(fetched.versions.len());
        for version in fetched.versions {
            let value = match known.value(arn, &version.id) {
                Some(known) => known.clone(),
                None => self.seal(arn, &version, known.is_for_drills()),
            };
            versions.push(Version {
                id: version.id,
                stages: version.stages,
                created: version.created,
                kms_keys: version.kms_keys,
                value,
            });
        }
        self.records.push(Record { secret: fetched.secret, versions, read: self.read, listing })?;
        let full = |open: &Option<OpenPack>| open.as_ref().is_some_and(|open| open.pack.is_full());
        if full(&self.open) || full(&self.drill) {
            self.end_packs().await?;
        }
        Ok(())
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
        record.secret.unreadable = vec![Unreadable { part: error.operation.to_owned(), reason: error.code.clone() }];
        self.records.push(record)
    }

    /// Ends the last pack and writes the index. `earlier` are packs that are there already.
    pub(super) async fn finish(
        mut self,
        index_recipients: &[Recipient],
        earlier: impl Iterator<Item = FileRef>,
        tally: &mut Tally,
    ) -> Result<Written, RepoError> {
        self.end_packs().await?;
        let known: HashMap<Digest, FileRef> =
            earlier.chain(self.packs.values().copied()).map(|file| (file.sha256, file)).collect();
        let mut used = BTreeSet::new();
        let records = self.records.sorted()?.walk()?.map(|record| {
            let mut record = record?;
            for version in &mut record.versions {
                if let ValueState::Stored { pack, .. } = &mut version.value {
                    *pack = final_name(*pack, &self.packs);
                    used.insert(*known.get(pack).ok_or_else(|| unlisted(*pack))?);
                }
            }
            tally.add(&record, self.read);
            Ok(record)
        });
        let indexes = self.repository.put_records(index_recipients, records).await?;
        let (packs, drill_packs) = (used.into_iter().collect(), self.drill_packs);
        Ok(Written { packs, drill_packs, indexes, values_read: self.values_read })
    }

    fn seal(&mut self, arn: &str, version: &FetchedVersion, for_drills: bool) -> ValueState {
        let value = match &version.value {
            FetchedValue::Value(value) => value,
            FetchedValue::None => return ValueState::None,
            FetchedValue::ScheduledForDeletion => return ValueState::ScheduledForDeletion,
            FetchedValue::Unreadable(reason) => return ValueState::Unreadable { reason: reason.clone() },
            // Only said of versions that are known, and those never come here.
            FetchedValue::Known => return ValueState::Unreadable { reason: "NotRead".into() },
        };
        let own = self.drill_recipient.as_ref().filter(|_| for_drills);
        let recipients = self.recipients.iter().chain(own).cloned().collect::<Vec<_>>();
        let place = if own.is_some() { &mut self.drill } else { &mut self.open };
        let open = place.get_or_insert_with(|| {
            self.next += 1;
            OpenPack { number: self.next, pack: PackWriter::new(&recipients), values: Vec::new() }
        });
        let line = open.pack.push(arn, &version.id, value);
        let value = ValueState::Stored { pack: name_to_come(open.number), line, kind: value.kind() };
        open.values.push(Sealed { arn: arn.to_owned(), version: version.id.clone(), value: value.clone() });
        self.values_read += 1;
        value
    }

    async fn end_packs(&mut self) -> Result<(), RepoError> {
        if let Some(open) = self.open.take() {
            self.end_pack(open).await?;
        }
        if let Some(open) = self.drill.take() {
            let number = open.number;
            self.end_pack(open).await?;
            self.drill_packs.insert(self.packs[&number].sha256);
        }
        Ok(())
    }

    async fn end_pack(&mut self, open: OpenPack) -> Result<(), RepoError> {
        let sealed = open.pack.finish();
        let file = sealed.file;
        self.packs.insert(open.number, file);
        self.repository.put_pack(sealed).await?;
        if let Some((journal, key)) = &self.journal {
            let noted: Vec<Record> = open.values.into_iter().map(|value| self.as_noted(value)).collect();
            // Without it the work is done again should the run be interrupted; the run itself goes on.
            if let Err(error) = journal.note(&file, &noted, key) {
                tracing::warn!(%error, "the journal of the run cannot be written");
            }
        }
        Ok(())
    }

    /// Where a value is, as far as a later run needs to know.
    fn as_noted(&self, Sealed { arn, version, mut value }: Sealed) -> Record {
        if let ValueState::Stored { pack, .. } = &mut value {
            *pack = final_name(*pack, &self.packs);
        }
        let version = Version { id: version, stages: vec![], created: None, kms_keys: vec![], value };
        let secret = Secret { arn, ..Secret::default() };
        Record { secret, versions: vec![version], read: self.read, listing: None }
    }
}

/// A policy that cannot be read while its secret is scheduled for deletion is the one that was read before.
fn keep_policy(secret: &mut Secret, known: &Known) {
    if secret.deleted.is_some() && secret.raw.get("GetResourcePolicy").is_none() && secret.policy.is_none() {
        secret.policy = known.record().and_then(|record| record.secret.policy.clone());
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
