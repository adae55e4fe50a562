//! Every version that a name ever had, over all snapshots: when it was there, which labels it had when, and which values are the
//! same. Reads each layer of an index once, however many snapshots share it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Name, NotFound, Secrets, Wanted};
use crate::{
    crypto::{Opener, VersionKey},
    model::{Place, Record, SecretValue, ValueKind, ValueState, Version},
    repo::{Chosen, Lookup, RepoError, Repository},
};

/// Values that are in memory at a time while they are compared.
const COMPARED: usize = 64;
/// The label of a current version where the provider itself labels none.
const CURRENT: &str = "current";

/// A snapshot, as a point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its number.
    pub number: u64,
    /// When reading the source began.
    pub time: Timestamp,
}

/// From the first snapshot that shows something to the first that does not show it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first snapshot that shows it.
    pub from: Event,
    /// The first one after it without it; `None` while the newest snapshot shows it.
    pub until: Option<Event>,
}

/// Everything known about a name.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Each secret that had the name, by source and identifier.
    pub lives: Vec<Life>,
    /// Snapshots that were looked at.
    pub snapshots: u64,
    /// Snapshots that this key does not open.
    pub closed: u64,
    /// Index files that were read.
    pub files_read: u64,
}

/// One secret: two of one name are told apart by the provider's identifier.
#[derive(Clone, Debug)]
pub struct Life {
    /// The source.
    pub place: Place,
    /// The name.
    pub name: String,
    /// The provider's identifier.
    pub id: String,
    /// When it was there.
    pub spans: Vec<Span>,
    /// Its versions, in the order in which they appeared.
    pub versions: Vec<VersionLife>,
}

/// One version of a secret.
#[derive(Clone, Debug)]
pub struct VersionLife {
    /// The version as the newest snapshot with its value shows it, else as the newest one.
    pub version: Version,
    /// When it was there.
    pub spans: Vec<Span>,
    /// When it had which label.
    pub labels: BTreeMap<String, Vec<Span>>,
    /// Versions of one number have the same value; `None` where the value is not known, or was not compared.
    pub value: Option<u32>,
}

/// Reads what the snapshots, the oldest first, have for a name. They may be of several sources.
///
/// # Errors
/// [`RepoError`]; a snapshot that is sealed to another key is counted instead.
pub async fn timeline(
    repository: &Repository,
    opener: Opener<'_>,
    snapshots: &[Chosen],
    name: &Name,
) -> Result<Timeline, RepoError> {
    let candidates = name.candidates();
    let mut lookups: Vec<Lookup<'_>> =
        candidates.iter().map(|candidate| Lookup::new(repository, opener, candidate)).collect();
    let mut timeline = Timeline::default();
    for snapshot in snapshots {
        let manifest = snapshot.manifest();
        if !name.may_be_in(&manifest.source) {
            continue;
        }
        let event = Event { number: manifest.sequence, time: manifest.time };
        match records(&mut lookups, snapshot, name).await {
            Ok(records) => timeline.add(&manifest.source, records, &event),
            Err(RepoError::WrongKey { .. }) => timeline.closed += 1,
            Err(error) => return Err(error),
        }
    }
    timeline.files_read = lookups.iter().map(Lookup::files_read).sum();
    Ok(timeline)
}

async fn records(lookups: &mut [Lookup<'_>], snapshot: &Chosen, name: &Name) -> Result<Vec<Record>, RepoError> {
    let manifest = snapshot.manifest();
    let mut found = Vec::new();
    for lookup in lookups {
        let records = lookup.records(snapshot).await?.into_iter();
        found.extend(records.filter(|record| name.means(&manifest.source, &record.secret)));
    }
    Ok(found)
}

impl Timeline {
    /// Adds what the next snapshot of a source shows.
    fn add(&mut self, place: &Place, records: Vec<Record>, event: &Event) {
        self.snapshots += 1;
        for life in self.lives.iter_mut().filter(|life| life.place == *place) {
            if !records.iter().any(|record| record.secret.id == life.id) {
                life.end(event);
            }
        }
        for record in records {
            let known = self.lives.iter().position(|life| life.place == *place && life.id == record.secret.id);
            let at = known.unwrap_or_else(|| {
                self.lives.push(Life {
                    place: place.clone(),
                    name: record.secret.name.clone(),
                    id: record.secret.id.clone(),
                    spans: Vec::new(),
                    versions: Vec::new(),
                });
                self.lives.len() - 1
            });
            self.lives[at].see(&record, event);
        }
    }

    /// Gives versions with the same value the same number. The values are compared by an HMAC with a key that is made for this and
    /// leaves nothing behind.
    ///
    /// # Errors
    /// A value that cannot be read.
    pub async fn compare(&mut self, secrets: &Secrets<'_>) -> Result<(), NotFound> {
        let key = VersionKey::generate();
        let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
        for life in &mut self.lives {
            let Life { name, id, versions, .. } = life;
            for part in versions.chunks_mut(COMPARED) {
                let mut stored: Vec<&mut VersionLife> = part.iter_mut().filter(|each| each.is_stored()).collect();
                let wanted = stored.iter().map(|each| Wanted { name, id, version: &each.version });
                let values = secrets.values(wanted).await?;
                for (each, value) in stored.iter_mut().zip(values) {
                    let tag = key.version_id(kind(&value), value.expose());
                    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
                    each.value = Some(*numbers.entry(tag).or_insert(next));
                }
            }
        }
        Ok(())
    }
}

/// The same bytes of another kind are another value.
fn kind(value: &SecretValue) -> &'static str {
    match value.kind() {
        ValueKind::Text => "text",
        ValueKind::Bytes => "bytes",
        ValueKind::Fields => "fields",
    }
}

impl Life {
    fn see(&mut self, record: &Record, event: &Event) {
        begin(&mut self.spans, event);
        for known in &mut self.versions {
            if !record.versions.iter().any(|version| version.id == known.version.id) {
                known.end(event);
            }
        }
        for version in &record.versions {
            if let Some(known) = self.versions.iter_mut().find(|known| known.version.id == version.id) {
                known.see(version, event);
                continue;
            }
            let (spans, labels) = (Vec::new(), BTreeMap::new());
            let mut new = VersionLife { version: version.clone(), spans, labels, value: None };
            new.see(version, event);
            self.versions.push(new);
        }
    }

    fn end(&mut self, event: &Event) {
        end(&mut self.spans, event);
        self.versions.iter_mut().for_each(|version| version.end(event));
    }
}

impl VersionLife {
    /// Whether some snapshot holds its value.
    pub fn is_stored(&self) -> bool {
        matches!(self.version.value, ValueState::Stored { .. })
    }

    fn see(&mut self, version: &Version, event: &Event) {
        begin(&mut self.spans, event);
        if matches!(version.value, ValueState::Stored { .. }) || !self.is_stored() {
            self.version = version.clone();
        }
        let implied = (version.current && version.labels.is_empty()).then_some(CURRENT);
        let labels: Vec<&str> = version.labels.iter().map(String::as_str).chain(implied).collect();
        for (label, spans) in &mut self.labels {
            if !labels.contains(&label.as_str()) {
                end(spans, event);
            }
        }
        for label in labels {
            begin(self.labels.entry(label.to_owned()).or_default(), event);
        }
    }

    fn end(&mut self, event: &Event) {
        end(&mut self.spans, event);
        self.labels.values_mut().for_each(|spans| end(spans, event));
    }
}

fn begin(spans: &mut Vec<Span>, event: &Event) {
    if spans.last().is_none_or(|last| last.until.is_some()) {
        spans.push(Span { from: event.clone(), until: None });
    }
}

fn end(spans: &mut [Span], event: &Event) {
    if let Some(last) = spans.last_mut().filter(|last| last.until.is_none()) {
        last.until = Some(event.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Secret, VersionFacets};

    fn version(id: &str, labels: &[&str]) -> Version {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let value = ValueState::None;
        Version { id: id.into(), current: false, labels, created: None, facets: VersionFacets::default(), value }
    }

    fn record(id: &str, versions: Vec<Version>) -> Record {
        let secret = Secret { name: "app".into(), id: id.into(), ..Secret::default() };
        Record { secret, versions, read: Timestamp::UNIX_EPOCH, listing: None }
    }

    fn spans(spans: &[Span]) -> Vec<(u64, Option<u64>)> {
        spans.iter().map(|span| (span.from.number, span.until.as_ref().map(|event| event.number))).collect()
    }

    #[test]
    fn versions_and_labels_come_and_go() {
        let place = |region: &str| Place { provider: "aws".into(), account: "1".into(), region: region.into() };
        let (home, other) = (place("eu-west-1"), place("eu-west-2"));
        let mut all = Timeline::default();
        let days: [(&Place, Vec<Record>); 6] = [
            (&home, vec![record("x", vec![version("1", &["AWSCURRENT"])])]),
            (&other, vec![]),
            (&home, vec![record("x", vec![version("1", &["AWSPREVIOUS"]), version("2", &["AWSCURRENT"])])]),
            (&home, vec![record("x", vec![version("2", &["AWSCURRENT"])])]),
            (&home, vec![]),
            (&home, vec![record("y", vec![version("1", &["AWSCURRENT"])])]),
        ];
        for (number, (place, records)) in (1..).zip(days) {
            all.add(place, records, &Event { number, time: Timestamp::UNIX_EPOCH });
        }
        assert_eq!((all.snapshots, all.lives.len()), (6, 2));
        let [first, second] = &all.lives[..] else { panic!("two secrets had the name") };
        assert_eq!((spans(&first.spans), spans(&second.spans)), (vec![(1, Some(5))], vec![(6, None)]));
        let [one, two] = &first.versions[..] else { panic!("the first had two versions") };
        assert_eq!((spans(&one.spans), spans(&two.spans)), (vec![(1, Some(4))], vec![(3, Some(5))]));
        assert_eq!(spans(&one.labels["AWSCURRENT"]), [(1, Some(3))]);
        assert_eq!(spans(&one.labels["AWSPREVIOUS"]), [(3, Some(4))]);
        assert_eq!(spans(&two.labels["AWSCURRENT"]), [(3, Some(5))]);
    }
}
