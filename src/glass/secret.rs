//! One secret of an estate: found by its name, its version, its value.

use std::collections::BTreeMap;

use super::{Estate, Name};
use crate::{
    crypto::Opener,
    model::{AWSCURRENT, Digest, Place, Record, Secret, SecretValue, ValueState, Version},
    repo::{Chosen, Lookup, RepoError, Repository, pack_name},
    text,
};

/// Reads secrets of an estate with a key that opens it.
pub struct Secrets<'a> {
    repository: &'a Repository,
    opener: Opener<'a>,
}

/// A secret, and the snapshot that has it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The snapshot.
    pub snapshot: Chosen,
    /// The secret with its versions.
    pub record: Record,
}

impl Found {
    /// The source.
    pub fn place(&self) -> &Place {
        &self.snapshot.manifest().source
    }
}

/// A value that is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'r> {
    /// The secret's name, for messages.
    pub name: &'r str,
    /// The provider's identifier.
    pub id: &'r str,
    /// The version.
    pub version: &'r Version,
}

/// No single value is meant, or there is none.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// No source has the name.
    #[error("no secret is named {} in {}", text::line(name), looked_at(.snapshots))]
    NoSecret {
        /// As it was given.
        name: String,
        /// Source and number of the snapshots that were looked at.
        snapshots: Vec<(Place, u64)>,
    },
    /// Several sources have it.
    #[error("{} sources have a secret named {}", places.len(), text::line(name))]
    SeveralSources {
        /// As it was given.
        name: String,
        /// Those that have it.
        places: Vec<Place>,
    },
    /// One source has several secrets of this name.
    #[error("the source has {} secrets named {}", ids.len(), text::line(name))]
    SeveralSecrets {
        /// As it was given.
        name: String,
        /// Their identifiers.
        ids: Vec<String>,
    },
    /// The secret has no such version.
    #[error("{} has no version or label {}", text::line(name), text::line(wanted))]
    NoVersion {
        /// The secret.
        name: String,
        /// What was asked for.
        wanted: String,
        /// Labels, and ids of versions without one.
        there: Vec<String>,
    },
    /// No version is the current one.
    #[error("{} has no current version", text::line(name))]
    NoCurrent {
        /// The secret.
        name: String,
        /// Labels, and ids of versions without one.
        there: Vec<String>,
    },
    /// The version has no value in the snapshot.
    #[error("the snapshot has no value of {}, version {}: {reason}", text::line(name), text::line(version))]
    NoValue {
        /// The secret.
        name: String,
        /// The version's id.
        version: String,
        /// Why.
        reason: String,
    },
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

fn looked_at(snapshots: &[(Place, u64)]) -> String {
    match snapshots {
        [(place, number)] => format!("snapshot number {number} of {place}"),
        several => format!("the snapshots of {} sources", several.len()),
    }
}

impl<'a> Secrets<'a> {
    /// Prepares; reads nothing.
    pub fn new(repository: &'a Repository, opener: Opener<'a>) -> Self {
        Self { repository, opener }
    }

    /// Every secret of this name in a snapshot.
    ///
    /// # Errors
    /// [`RepoError`].
    pub async fn in_snapshot(&self, snapshot: &Chosen, name: &Name) -> Result<Vec<Record>, RepoError> {
        let manifest = snapshot.manifest();
        let mut found = Vec::new();
        if !name.may_be_in(&manifest.source) {
            return Ok(found);
        }
        for candidate in name.candidates() {
            let records = Lookup::new(self.repository, self.opener, candidate).records(snapshot).await?.into_iter();
            found.extend(records.filter(|record| name.means(&manifest.source, &record.secret)));
        }
        Ok(found)
    }

    /// The one secret of this name in the whole estate; which of several is never guessed. Of two with one name in one source, one
    /// of them scheduled for deletion, it is the other.
    ///
    /// # Errors
    /// [`NotFound`].
    pub async fn find(&self, estate: &Estate, name: &Name) -> Result<Found, NotFound> {
        let mut found: Vec<(&Chosen, Vec<Record>)> = Vec::new();
        for snapshot in estate.snapshots() {
            let records = self.in_snapshot(snapshot, name).await?;
            if !records.is_empty() {
                found.push((snapshot, records));
            }
        }
        let given = || name.as_str().to_owned();
        let Some((snapshot, records)) = found.pop() else {
            let looked_at = estate.snapshots().iter().map(Chosen::manifest);
            let snapshots = looked_at.map(|manifest| (manifest.source.clone(), manifest.sequence)).collect();
            return Err(NotFound::NoSecret { name: given(), snapshots });
        };
        if !found.is_empty() {
            let all = found.iter().map(|(snapshot, _)| *snapshot).chain([snapshot]);
            let places = all.map(|snapshot| snapshot.manifest().source.clone()).collect();
            return Err(NotFound::SeveralSources { name: given(), places });
        }
        let (alive, deleted): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| record.secret.deleted.is_none());
        let mut meant = if alive.is_empty() { deleted } else { alive };
        match meant.pop() {
            Some(record) if meant.is_empty() => Ok(Found { snapshot: snapshot.clone(), record }),
            last => {
                let ids = meant.into_iter().chain(last).map(|record| record.secret.id).collect();
                Err(NotFound::SeveralSecrets { name: given(), ids })
            }
        }
    }

    /// The value of one version. Of the pack that holds it nothing else is kept.
    ///
    /// # Errors
    /// [`NotFound::NoValue`], [`RepoError`].
    pub async fn value(&self, record: &Record, version: &Version) -> Result<SecretValue, NotFound> {
        let mut values = self.values([Wanted::new(&record.secret, version)]).await?;
        Ok(values.pop().expect("one value is given for each that is asked for"))
    }

    /// The values of these versions, in their order; each pack is opened once.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub async fn values<'r>(&self, wanted: impl IntoIterator<Item = Wanted<'r>>) -> Result<Vec<SecretValue>, NotFound> {
        let mut lines: BTreeMap<Digest, Vec<(usize, u32, Wanted<'r>)>> = BTreeMap::new();
        let mut count = 0;
        for one in wanted {
            let (pack, line) = match &one.version.value {
                ValueState::Stored { pack, line, .. } => (*pack, *line),
                other => return Err(one.no_value(other)),
            };
            lines.entry(pack).or_default().push((count, line, one));
            count += 1;
        }
        let mut values: Vec<Option<SecretValue>> = (0..count).map(|_| None).collect();
        for (pack, mut wanted) in lines {
            wanted.sort_by_key(|(_, line, _)| *line);
            self.take_lines(&pack, &wanted, &mut values).await?;
        }
        Ok(values.into_iter().flatten().collect())
    }

    /// Takes the wanted lines of a pack, sorted.
    async fn take_lines(
        &self,
        pack: &Digest,
        wanted: &[(usize, u32, Wanted<'_>)],
        values: &mut [Option<SecretValue>],
    ) -> Result<(), RepoError> {
        let mut entries = (0_u32..).zip(self.repository.open_pack(pack, self.opener).await?);
        let mut last: Option<(u32, usize)> = None;
        for (at, wanted, one) in wanted {
            let damaged = || RepoError::Damaged {
                file: pack_name(pack),
                reason: format!("line {wanted} is not version {} of {}", one.version.id, one.id),
            };
            // Asked for twice.
            if let Some((line, before)) = last
                && line == *wanted
            {
                values[*at] = values[before].as_ref().map(copy_of);
                continue;
            }
            loop {
                let Some((line, entry)) = entries.next() else { return Err(damaged()) };
                let entry = entry?;
                if line < *wanted {
                    continue;
                }
                let is_it = entry.secret == one.id && entry.version == one.version.id;
                if !is_it || !one.is_shaped_as(&entry.value) {
                    return Err(damaged());
                }
                values[*at] = Some(entry.value);
                last = Some((line, *at));
                break;
            }
        }
        Ok(())
    }
}

impl<'r> Wanted<'r> {
    /// A version of a secret.
    pub fn new(secret: &'r Secret, version: &'r Version) -> Self {
        Self { name: &secret.name, id: &secret.id, version }
    }

    fn is_shaped_as(&self, value: &SecretValue) -> bool {
        matches!(&self.version.value, ValueState::Stored { kind, size, .. } if *kind == value.kind() && *size == value.size())
    }

    fn no_value(&self, state: &ValueState) -> NotFound {
        let reason = match state {
            ValueState::Unreadable { reason } if state.leaked().is_some() => format!("it is {reason}"),
            ValueState::Stored { .. } | ValueState::None => "it never had one".to_owned(),
            ValueState::Withheld { reason } => format!("it was {reason} when the snapshot was taken"),
            ValueState::Unreadable { reason } => format!("the provider refused it ({})", text::line(reason)),
        };
        NotFound::NoValue { name: self.name.to_owned(), version: self.version.id.clone(), reason }
    }
}

fn copy_of(value: &SecretValue) -> SecretValue {
    match value {
        SecretValue::Text(text) => SecretValue::Text(text.clone()),
        SecretValue::Bytes(bytes) => SecretValue::Bytes(bytes.clone()),
        SecretValue::Fields(text) => SecretValue::Fields(text.clone()),
    }
}

/// The version that an application gets which asks for none.
///
/// # Errors
/// [`NotFound::NoCurrent`].
pub fn current(record: &Record) -> Result<&Version, NotFound> {
    let stated = record.versions.iter().find(|version| version.current);
    let labelled = || record.versions.iter().find(|version| version.has(AWSCURRENT));
    stated
        .or_else(labelled)
        .ok_or_else(|| NotFound::NoCurrent { name: record.secret.name.clone(), there: there(record) })
}

/// The version with this label or id.
///
/// # Errors
/// [`NotFound::NoVersion`].
pub fn version<'r>(record: &'r Record, wanted: &str) -> Result<&'r Version, NotFound> {
    let labelled = record.versions.iter().find(|version| version.has(wanted));
    let named = || record.versions.iter().find(|version| version.id == wanted);
    labelled.or_else(named).ok_or_else(|| NotFound::NoVersion {
        name: record.secret.name.clone(),
        wanted: wanted.to_owned(),
        there: there(record),
    })
}

fn there(record: &Record) -> Vec<String> {
    let word = |version: &Version| match version.labels.as_slice() {
        [] => vec![version.id.clone()],
        labels => labels.to_vec(),
    };
    record.versions.iter().flat_map(word).collect()
}
