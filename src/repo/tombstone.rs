//! Tombstones: versions that are known to be leaked. A signed record names them, sealed; whoever reads a snapshot with a
//! [`Chosen`] gets such a version without its value, and no command can go around that (docs/compromise.md).

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read as _, Write as _},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AllowedSigner, Chosen, FORMAT_VERSION, LaterRecord, RepoError, Repository, Trust, VerifiedRecord, damaged,
};
use crate::{
    crypto::{OpenError, Opener, PublicKey, Recipient, Sealer, Signer, open},
    model::{Digest, LEAKED, OnLeaked, Place, Record, SnapshotId, ValueState, Version},
    text::{line, plural},
};

/// The kind of the record.
pub(super) const KIND: &str = "tombstone";
/// Marks of one record: so that it stays far below the 64 KiB of a signed file.
const MOST_MARKS: usize = 256;
/// The longest plaintext that is read.
const MOST_PLAIN: u64 = 4 << 20;

/// One version that is known to be leaked: of this incarnation of the secret, at this place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Where the secret is.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// The provider's identifier of this very incarnation.
    pub id: String,
    /// The version.
    pub version: String,
}

/// What a tombstone says to those who can open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marked {
    /// In the words of the person who marked them.
    pub reason: String,
    /// Since when the values are known to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The versions.
    pub marks: Vec<Mark>,
}

/// The body of the record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// How many versions it marks.
    versions: u64,
    /// Whose keys open it.
    readers: Vec<Recipient>,
    /// [`Marked`], sealed, in base64.
    sealed: String,
}

/// A tombstone in force.
#[derive(Clone, Debug)]
pub struct Tombstone {
    /// Its file.
    pub file: String,
    /// When it was made.
    pub time: Timestamp,
    /// Who signed it, as the epochs name them.
    pub by: String,
    /// Their key.
    pub signer: PublicKey,
    /// How many versions it marks.
    pub versions: u64,
    /// Whose keys open it.
    pub readers: Vec<Recipient>,
    sealed: Vec<u8>,
    digest: Digest,
}

/// The tombstones that a snapshot is read with, and what becomes of what they mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Tombstones {
    pub(super) all: Arc<Vec<Tombstone>>,
    pub(super) policy: OnLeaked,
}

/// The versions of one place that are known to be leaked, and who said so.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// By the secret's identifier and the version's.
    leaked: BTreeMap<(String, String), Arc<str>>,
    policy: OnLeaked,
}

/// One sentence for each signer: how many versions they marked, and when last.
pub fn told(tombstones: &[Tombstone]) -> Vec<String> {
    let mut signers: BTreeMap<String, (u64, &Tombstone)> = BTreeMap::new();
    for each in tombstones {
        let (count, last) = signers.entry(each.signer.fingerprint()).or_insert((0, each));
        *count += each.versions;
        *last = if each.time >= last.time { each } else { last };
    }
    let sentence = |(fingerprint, (count, last)): (String, (u64, &Tombstone))| {
        let verb = if count == 1 { "is" } else { "are" };
        let (versions, day) = (plural(count, "version"), last.time.strftime("%Y-%m-%d"));
        format!("{versions} {verb} marked as leaked by {} ({fingerprint}), last on {day}", last.by)
    };
    signers.into_iter().map(sentence).collect()
}

impl Tombstone {
    /// Reads a verified record of this kind; `None` for one that only takes another back.
    pub(super) fn read<'a>(
        found: &VerifiedRecord,
        mut signers: impl Iterator<Item = &'a AllowedSigner>,
    ) -> Result<Option<Self>, String> {
        let record = &found.record;
        if !record.halts.is_empty() {
            return Err("a tombstone forbids nothing by itself".into());
        }
        if record.undoes.is_some() {
            return if record.body.is_empty() {
                Ok(None)
            } else {
                Err("it takes another back and marks versions".into())
            };
        }
        let body = serde_json::Value::Object(record.body.clone());
        let body: Body =
            serde_json::from_value(body).map_err(|error| format!("not the body of a tombstone: {error}"))?;
        let sealed = decode(&body.sealed)?;
        let by = signers.find(|known| known.key == record.signer).map_or("a removed signer", |known| &known.name);
        Ok(Some(Self {
            file: found.file.clone(),
            time: record.time,
            by: line(by).into_owned(),
            signer: record.signer.clone(),
            versions: body.versions,
            readers: body.readers,
            sealed,
            digest: found.digest,
        }))
    }

    /// What it says.
    ///
    /// # Errors
    /// [`RepoError::TombstoneClosed`] when it is sealed to other keys, [`RepoError::Damaged`].
    pub fn open(&self, opener: Opener<'_>) -> Result<Marked, RepoError> {
        let plain = open_sealed(&self.file, &self.sealed, opener)?;
        let marked: Marked = serde_json::from_slice(&plain)
            .map_err(|_| damaged(&self.file, "what is sealed in it is no list of marks"))?;
        if marked.marks.len() as u64 == self.versions {
            return Ok(marked);
        }
        Err(damaged(&self.file, format!("it states {} marks and holds {}", self.versions, marked.marks.len())))
    }

    /// Whether it does not open with a key that it is not sealed to, and that opens names alone: such a reader goes on without it.
    fn is_for_others(&self, opener: Opener<'_>) -> bool {
        match opener {
            // It opens every value.
            Opener::Recovery(_) => false,
            Opener::Index(key) => !self.readers.contains(&key.recipient()),
            Opener::Drill(key) => !self.readers.contains(&key.recipient()),
        }
    }

    /// Who said so and when, as a version without its value says it.
    fn reason(&self) -> String {
        format!("{LEAKED} by {} on {}", self.by, self.time.strftime("%Y-%m-%d"))
    }
}

impl Tombstones {
    /// What they mark at a place, with what `opener` opens.
    pub(super) fn marks(&self, place: &Place, opener: Opener<'_>) -> Result<Marks, RepoError> {
        let mut leaked = BTreeMap::new();
        if self.policy == OnLeaked::Include {
            return Ok(Marks::default());
        }
        for tombstone in self.all.iter() {
            let marked = match tombstone.open(opener) {
                Err(RepoError::TombstoneClosed { .. }) if tombstone.is_for_others(opener) => continue,
                other => other?,
            };
            let reason: Arc<str> = tombstone.reason().into();
            let here = marked.marks.into_iter().filter(|mark| mark.place == *place);
            for mark in here {
                leaked.entry((mark.id, mark.version)).or_insert_with(|| Arc::clone(&reason));
            }
        }
        Ok(Marks { leaked, policy: self.policy })
    }
}

impl Marks {
    /// The record as a reader gets it: a version that is marked has no value, and says who marked it.
    pub(super) fn apply(&self, mut record: Record) -> Record {
        if self.leaked.is_empty() {
            return record;
        }
        for version in &mut record.versions {
            let key = (record.secret.id.clone(), version.id.clone());
            if let (ValueState::Stored { .. }, Some(reason)) = (&version.value, self.leaked.get(&key)) {
                version.value = ValueState::Unreadable { reason: reason.to_string() };
            }
        }
        if self.policy == OnLeaked::Older {
            promote(&mut record.versions);
        }
        record
    }
}

/// Makes the newest older version that is not marked the current one, where the current one is marked: only when a person asks for
/// it. What is marked and newer goes, since a target that takes the newest version for the current one must not see it.
fn promote(versions: &mut Vec<Version>) {
    let Some(current) = versions.iter().position(Version::is_current) else { return };
    if versions[current].value.leaked().is_none() {
        return;
    }
    let created = versions[current].created;
    let is_older = |version: &Version| {
        matches!(version.value, ValueState::Stored { .. }) && (created.is_none() || version.created <= created)
    };
    let older = (0..versions.len()).filter(|at| *at != current && is_older(&versions[*at]));
    let Some(older) = older.max_by_key(|at| (versions[*at].created, *at)) else { return };
    let labels = std::mem::take(&mut versions[current].labels);
    let is_current = std::mem::take(&mut versions[current].current);
    (versions[older].labels, versions[older].current) = (labels, is_current);
    let id = versions[older].id.clone();
    let newest = versions[older].created;
    versions.retain(|version| version.id == id || version.value.leaked().is_none() || version.created < newest);
}

impl Chosen {
    /// The tombstones in force: some may mark versions of other sources or of other snapshots.
    pub fn tombstones(&self) -> &[Tombstone] {
        &self.tombstones.all
    }

    /// The same snapshot for somebody who decided what becomes of versions that are marked as leaked.
    #[must_use]
    pub fn with_leaked(mut self, policy: OnLeaked) -> Self {
        self.tombstones.policy = policy;
        self
    }
}

impl Repository {
    /// Signs and stores tombstones, as many as the marks need; the names are sealed to `readers`. Gives the files.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when the key may not sign for the newest epoch; [`RepoError::Storage`].
    pub async fn put_tombstones(
        &self,
        trust: &Trust,
        marked: &Marked,
        readers: &[Recipient],
        time: Timestamp,
        signer: &Signer,
    ) -> Result<Vec<String>, RepoError> {
        let mut files = Vec::new();
        let marks: Vec<Mark> = marked.marks.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        for part in marks.chunks(MOST_MARKS) {
            let part = Marked { marks: part.to_vec(), ..marked.clone() };
            let body = Body {
                versions: part.marks.len() as u64,
                readers: readers.to_vec(),
                sealed: closed(&seal(&super::to_json(&part), readers)),
            };
            files.push(self.put_record(&new_record(self, trust, time, signer, KIND, &body)?, signer).await?);
        }
        Ok(files)
    }

    /// Takes a tombstone back: its versions have their values again. Gives the file that says so.
    ///
    /// # Errors
    /// As [`Self::put_tombstones`].
    pub async fn undo_tombstone(
        &self,
        trust: &Trust,
        tombstone: &Tombstone,
        time: Timestamp,
        signer: &Signer,
    ) -> Result<String, RepoError> {
        let undoing = new_record(self, trust, time, signer, KIND, &serde_json::json!({}))?;
        self.put_record(&LaterRecord { undoes: Some(tombstone.digest), ..undoing }, signer).await
    }
}

/// A record of a kind that says `body`.
pub(super) fn new_record(
    repository: &Repository,
    trust: &Trust,
    time: Timestamp,
    signer: &Signer,
    kind: &str,
    body: &impl Serialize,
) -> Result<LaterRecord, RepoError> {
    let epoch = trust.current().number;
    if !trust.allows(epoch, &signer.public()) {
        let detail = format!("this host's signing key is not allowed by key epoch {epoch}");
        return Err(super::untrusted(super::layout::RECORDS, detail));
    }
    let body = serde_json::to_value(body).expect("a body is plain data");
    Ok(LaterRecord {
        version: FORMAT_VERSION,
        repository: repository.id(),
        record: SnapshotId::random(),
        kind: kind.to_owned(),
        time,
        epoch,
        signer: signer.public(),
        halts: Vec::new(),
        undoes: None,
        body: body.as_object().cloned().unwrap_or_default(),
    })
}

/// Seals what a record keeps from those who only see the repository.
pub(super) fn seal(plain: &[u8], readers: &[Recipient]) -> Vec<u8> {
    let mut sealer = Sealer::new(readers, Vec::new()).expect("there is a reader, and memory does not fail");
    sealer.write_all(plain).expect("memory does not fail");
    sealer.finish().expect("memory does not fail")
}

/// What is sealed in a record.
pub(super) fn open_sealed(file: &str, sealed: &[u8], opener: Opener<'_>) -> Result<Vec<u8>, RepoError> {
    let opened = open(opener, Cursor::new(sealed)).map_err(|error| match error {
        OpenError::WrongKey => RepoError::TombstoneClosed { file: file.to_owned() },
        damage @ OpenError::Damaged(_) => damaged(file, damage.to_string()),
    })?;
    let mut plain = Vec::new();
    opened.take(MOST_PLAIN).read_to_end(&mut plain).map_err(|error| damaged(file, error.to_string()))?;
    Ok(plain)
}

/// Sealed bytes as a record holds them.
pub(super) fn closed(sealed: &[u8]) -> String {
    STANDARD.encode(sealed)
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| "what is sealed in it is not base64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Secret, VersionFacets};

    fn version(id: &str, day: &str, labels: &[&str]) -> Version {
        Version {
            id: id.into(),
            current: false,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            created: Some(format!("2030-01-{day}T00:00:00Z").parse().unwrap()),
            facets: VersionFacets::default(),
            value: ValueState::Stored { pack: Digest::of(b"p"), line: 0, kind: crate::model::ValueKind::Text, size: 1 },
        }
    }

    fn record() -> Record {
        Record {
            secret: Secret { name: "app".into(), id: "app-1".into(), ..Secret::default() },
            versions: vec![version("a", "01", &[]), version("b", "02", &["OLD"]), version("c", "03", &["AWSCURRENT"])],
            read: "2030-02-01T00:00:00Z".parse().unwrap(),
            listing: None,
        }
    }

    fn marks(versions: &[&str], policy: OnLeaked) -> Marks {
        let leaked = versions.iter().map(|id| (("app-1".into(), (*id).into()), format!("{LEAKED} by x").into()));
        Marks { leaked: leaked.collect(), policy }
    }

    fn said(record: &Record) -> Vec<String> {
        let one = |version: &Version| {
            let value = if version.value.leaked().is_some() { "-" } else { "+" };
            format!("{}{value}{}", version.id, version.labels.join(","))
        };
        record.versions.iter().map(one).collect()
    }

    #[test]
    fn a_marked_version_stays_without_its_value_and_the_others_are_untouched() {
        let passed = marks(&["a", "c"], OnLeaked::PassOver).apply(record());
        assert_eq!(said(&passed), ["a-", "b+OLD", "c-AWSCURRENT"]);
        assert!(!passed.is_incomplete(), "it was captured");
        assert_eq!(passed.versions[2].loss().unwrap(), "it is marked as leaked by x");
        assert_eq!(marks(&[], OnLeaked::PassOver).apply(record()), record());
        let mut other = record();
        other.secret.id = "app-2".into();
        assert_eq!(
            marks(&["a"], OnLeaked::PassOver).apply(other.clone()),
            other,
            "another incarnation is another secret"
        );
    }

    #[test]
    fn an_older_version_takes_the_place_only_when_asked_and_only_if_one_is_not_marked() {
        assert_eq!(said(&marks(&["c"], OnLeaked::Older).apply(record())), ["a+", "b+AWSCURRENT"]);
        assert_eq!(said(&marks(&["b", "c"], OnLeaked::Older).apply(record())), ["a+AWSCURRENT"]);
        assert_eq!(said(&marks(&["a", "b", "c"], OnLeaked::Older).apply(record())), ["a-", "b-OLD", "c-AWSCURRENT"]);
        assert_eq!(said(&marks(&["a"], OnLeaked::Older).apply(record())), ["a-", "b+OLD", "c+AWSCURRENT"]);
    }
}
