//! Seals values as they arrive and keeps the records until their packs are named.

use jiff::Timestamp;

use super::{Carried, Journal};
use crate::{
    crypto::{IndexKey, Recipient},
    model::{Digest, Record, Secret, Unreadable, ValueState, Version},
    provider::{Fetched, FetchedValue, FetchedVersion, Listed, ProviderError},
    repo::{FileRef, IndexWriter, PackWriter, RepoError, Repository},
};

/// Plaintext after which a pack is ended: thousands of ordinary values, and little to hold in memory.
const PACK_PLAINTEXT: u64 = 4 << 20;

pub(super) struct Writer<'a> {
    repository: &'a Repository,
    recipients: Vec<Recipient>,
    read: Timestamp,
    records: Vec<Record>,
    packs: Vec<FileRef>,
    values_read: u64,
    open: Option<OpenPack>,
    journal: Option<(Journal, &'a IndexKey)>,
}

pub(super) struct Written {
    pub(super) records: Vec<Record>,
    pub(super) packs: Vec<FileRef>,
    pub(super) indexes: Vec<FileRef>,
    pub(super) values_read: u64,
}

/// A pack that has no digest yet, and the versions waiting for it: (record, version) positions.
struct OpenPack {
    pack: PackWriter,
    waiting: Vec<(usize, usize)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        recipients: Vec<Recipient>,
        read: Timestamp,
        journal: Option<(Journal, &'a IndexKey)>,
    ) -> Self {
        Self { repository, recipients, read, records: vec![], packs: vec![], values_read: 0, open: None, journal }
    }

    /// Takes one secret as read; its new values are sealed and wiped before this returns.
    pub(super) async fn push(
        &mut self,
        mut fetched: Fetched,
        listing: Option<Digest>,
        carried: &Carried,
    ) -> Result<(), RepoError> {
        keep_policy(&mut fetched.secret, carried);
        let arn = fetched.secret.arn.clone();
        let position = self.records.len();
        let mut versions = Vec::with_capacity(fetched.versions.len());
        for (number, version) in fetched.versions.into_iter().enumerate() {
            let value = match carried.value(&arn, &version.id) {
                Some(known) => known.clone(),
                None => self.seal(&arn, &version, (position, number)),
            };
            versions.push(Version {
                id: version.id,
                stages: version.stages,
                created: version.created,
                kms_keys: version.kms_keys,
                value,
            });
        }
        self.records.push(Record { secret: fetched.secret, versions, read: self.read, listing });
        if self.open.as_ref().is_some_and(|open| open.pack.plaintext_len() >= PACK_PLAINTEXT) {
            self.end_pack().await?;
        }
        Ok(())
    }

    /// When the run began.
    pub(super) fn started(&self) -> Timestamp {
        self.read
    }

    /// Takes over a record whose secret was not read, as it is.
    pub(super) fn push_kept(&mut self, known: &Record) {
        self.records.push(known.clone());
    }

    /// Takes a secret that could not be read at all: what an earlier snapshot knows of it stays referred to.
    pub(super) fn push_unread(&mut self, known: Option<&Record>, listed: Listed, error: &ProviderError) {
        let mut record = known.cloned().unwrap_or_else(|| Record {
            secret: listed.secret,
            versions: Vec::new(),
            read: self.read,
            listing: None,
        });
        record.listing = None;
        record.secret.unreadable = vec![Unreadable { part: error.operation.to_owned(), reason: error.code.clone() }];
        self.records.push(record);
    }

    pub(super) async fn finish(mut self, index_recipients: &[Recipient]) -> Result<Written, RepoError> {
        self.end_pack().await?;
        self.records.sort_by(|a, b| (&a.secret.name, &a.secret.arn).cmp(&(&b.secret.name, &b.secret.arn)));
        let mut index = IndexWriter::new(index_recipients);
        for record in &self.records {
            index.push(record);
        }
        let sealed = index.finish();
        let indexes = vec![sealed.file];
        self.repository.put_index(sealed).await?;
        Ok(Written { records: self.records, packs: self.packs, indexes, values_read: self.values_read })
    }

    fn seal(&mut self, arn: &str, version: &FetchedVersion, position: (usize, usize)) -> ValueState {
        let value = match &version.value {
            FetchedValue::Value(value) => value,
            FetchedValue::None => return ValueState::None,
            FetchedValue::ScheduledForDeletion => return ValueState::ScheduledForDeletion,
            FetchedValue::Unreadable(reason) => return ValueState::Unreadable { reason: reason.clone() },
            // Only said of versions that `carried` knows, and those never come here.
            FetchedValue::Known => return ValueState::Unreadable { reason: "NotRead".into() },
        };
        let open =
            self.open.get_or_insert_with(|| OpenPack { pack: PackWriter::new(&self.recipients), waiting: Vec::new() });
        let line = open.pack.push(arn, &version.id, value);
        open.waiting.push(position);
        self.values_read += 1;
        ValueState::Stored { pack: UNNAMED, line, kind: value.kind() }
    }

    async fn end_pack(&mut self) -> Result<(), RepoError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let sealed = open.pack.finish();
        let waiting = open.waiting;
        for &(record, version) in &waiting {
            if let ValueState::Stored { pack, .. } = &mut self.records[record].versions[version].value {
                *pack = sealed.file.sha256;
            }
        }
        let file = sealed.file;
        self.packs.push(file);
        self.repository.put_pack(sealed).await?;
        if let Some((journal, key)) = &self.journal {
            // Without it the work is done again should the run be interrupted; the run itself goes on.
            if let Err(error) = journal.note(&file, &self.sealed_in(&waiting), key) {
                tracing::warn!(%error, "the journal of the run cannot be written");
            }
        }
        Ok(())
    }

    /// Where the values of one pack are, as far as a later run needs to know.
    fn sealed_in(&self, waiting: &[(usize, usize)]) -> Vec<Record> {
        let of = |&(record, version): &(usize, usize)| {
            let Record { secret, versions, .. } = &self.records[record];
            let Version { id, value, .. } = &versions[version];
            let version =
                Version { id: id.clone(), stages: vec![], created: None, kms_keys: vec![], value: value.clone() };
            let secret = Secret { arn: secret.arn.clone(), ..Secret::default() };
            Record { secret, versions: vec![version], read: self.read, listing: None }
        };
        waiting.iter().map(of).collect()
    }
}

/// A policy that cannot be read while its secret is scheduled for deletion is the one that was read before.
fn keep_policy(secret: &mut Secret, carried: &Carried) {
    if secret.deleted.is_some() && secret.raw.get("GetResourcePolicy").is_none() && secret.policy.is_none() {
        secret.policy = carried.record(&secret.arn).and_then(|record| record.secret.policy.clone());
    }
}

/// Stands for the digest of the pack that is still open.
const UNNAMED: crate::model::Digest = crate::model::Digest::from_bytes([0; 32]);
