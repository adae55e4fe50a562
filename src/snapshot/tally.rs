//! What a run counts while it goes: the manifest's completeness counts, and what could not be read, by name.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::UnreadableItem;
use crate::{
    model::{Record, Refusal},
    repo::{Counts, Excluded, ReadingCount, Readings, SweepArc, UnreadableCount},
};

pub(super) struct Tally {
    pub(super) listed: u64,
    named: Named,
    excluded: BTreeMap<String, u64>,
    records: Counts,
    readings: ReadingCount,
    /// The source's operation that reads a value.
    reads_value: &'static str,
}

/// What a run says by name.
#[derive(Default)]
pub(super) struct Named {
    pub(super) unreadable: Vec<UnreadableItem>,
    pub(super) vanished: Vec<String>,
    pub(super) replicas: Vec<String>,
}

impl Tally {
    /// For a run that began then and leaves these arcs.
    pub(super) fn new(started: Timestamp, arcs: &[SweepArc], reads_value: &'static str) -> Self {
        Self::of(ReadingCount::new(started, started, arcs), reads_value)
    }

    /// With readings that are counted already.
    pub(super) fn of(readings: ReadingCount, reads_value: &'static str) -> Self {
        Self {
            listed: 0,
            named: Named::default(),
            excluded: BTreeMap::new(),
            records: Counts::default(),
            readings,
            reads_value,
        }
    }

    /// Counts a secret that a rule leaves out.
    pub(super) fn exclude(&mut self, rule: String) {
        *self.excluded.entry(rule).or_default() += 1;
    }

    /// Counts a replica of another region, which is captured where its primary lives.
    pub(super) fn exclude_replica(&mut self, name: &str) {
        self.exclude("replica of another region".into());
        self.named.replicas.push(name.to_owned());
    }

    /// Counts a secret that is gone since it was listed.
    pub(super) fn vanish(&mut self, name: String) {
        self.named.vanished.push(name);
    }

    /// Counts a record of the new index.
    pub(super) fn add(&mut self, record: &Record) {
        self.records.add(record);
        self.readings.add(record);
        self.named.unreadable.extend(record.refused(self.reads_value).map(|refusal| UnreadableItem {
            name: record.secret.name.clone(),
            version: refusal.version.map(Into::into),
            part: refusal.part,
            operation: refusal.operation.into(),
            reason: refusal.reason.into(),
        }));
    }

    pub(super) fn counts(&self, values_read: u64) -> Counts {
        let excluded = self.excluded.values().sum();
        let vanished = self.named.vanished.len() as u64;
        Counts { listed: self.listed, excluded, vanished, ..self.records }.with_read(values_read)
    }

    /// How old the readings are.
    pub(super) fn readings(&self) -> Readings {
        self.readings.clone().finish()
    }

    pub(super) fn excluded(&self) -> Vec<Excluded> {
        self.excluded.iter().map(|(rule, secrets)| Excluded { rule: rule.clone(), secrets: *secrets }).collect()
    }

    pub(super) fn unreadable_counts(&self) -> Vec<UnreadableCount> {
        UnreadableCount::of(self.named.unreadable.iter().map(|item| Refusal {
            part: item.part,
            operation: &item.operation,
            version: item.version.as_deref(),
            reason: &item.reason,
        }))
    }

    pub(super) fn into_names(self) -> Named {
        self.named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Part, Secret, Unreadable};

    fn record(name: &str, refused: Option<&str>) -> Record {
        let refusal = |reason: &str| Unreadable {
            part: Part::Policy,
            operation: "GetResourcePolicy".into(),
            reason: reason.into(),
        };
        let secret = Secret {
            name: name.into(),
            id: format!("id:{name}"),
            unreadable: refused.map(refusal).into_iter().collect(),
            ..Secret::default()
        };
        Record { secret, versions: Vec::new(), read: Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn a_run_counts_by_rule_and_names_what_is_missing() {
        let mut tally = Tally::new(Timestamp::UNIX_EPOCH, &[], "GetSecretValue");
        tally.listed = 9;
        tally.exclude("dev/*".into());
        tally.exclude("dev/*".into());
        tally.exclude_replica("app/replica");
        tally.vanish("app/gone".into());
        tally.add(&record("app/whole", None));
        tally.add(&record("app/denied", Some("no")));
        let expected = Counts { listed: 9, excluded: 3, vanished: 1, captured: 1, unreadable: 1, ..Counts::default() };
        assert_eq!(tally.counts(0), expected);
        let excluded = |rule: &str, secrets| Excluded { rule: rule.into(), secrets };
        assert_eq!(tally.excluded(), [excluded("dev/*", 2), excluded("replica of another region", 1)]);
        assert_eq!((tally.readings().now, tally.readings().kept), (2, 0));
        let (part, operation, reason) = (Part::Policy, "GetResourcePolicy".to_owned(), "no".to_owned());
        let count = UnreadableCount { part, operation: operation.clone(), reason: reason.clone(), count: 1 };
        assert_eq!(tally.unreadable_counts(), [count]);
        let Named { unreadable, vanished, replicas } = tally.into_names();
        let item = UnreadableItem { name: "app/denied".into(), version: None, part, operation, reason };
        assert_eq!((unreadable, vanished, replicas), (vec![item], vec!["app/gone".into()], vec!["app/replica".into()]));
    }
}
