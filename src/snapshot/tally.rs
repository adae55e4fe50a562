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
    pub(super) fn new(started: Timestamp, arcs: &[SweepArc]) -> Self {
        Self {
            listed: 0,
            named: Named::default(),
            excluded: BTreeMap::new(),
            records: Counts::default(),
            readings: ReadingCount::new(started, arcs),
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
        self.named.unreadable.extend(record.refused().map(|refusal| UnreadableItem {
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
