//! What a run counts while it goes: the manifest's completeness counts, and what could not be read, by name.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::UnreadableItem;
use crate::{
    model::{Record, ValueState},
    repo::{Counts, Excluded, Readings, UnreadableCount},
};

#[derive(Default)]
pub(super) struct Tally {
    pub(super) listed: u64,
    pub(super) vanished: u64,
    excluded: BTreeMap<String, u64>,
    records: Counts,
    stored: u64,
    read_now: u64,
    oldest: Option<Timestamp>,
    unreadable: Vec<UnreadableItem>,
}

impl Tally {
    /// Counts a secret that a rule leaves out.
    pub(super) fn exclude(&mut self, rule: String) {
        *self.excluded.entry(rule).or_default() += 1;
    }

    /// Counts a record of the new index.
    pub(super) fn add(&mut self, record: &Record, started: Timestamp) {
        if record.is_incomplete() {
            self.records.unreadable += 1;
            self.note_unreadable(record);
        } else {
            self.records.captured += 1;
        }
        self.read_now += u64::from(record.read == started);
        self.oldest = Some(self.oldest.map_or(record.read, |oldest| oldest.min(record.read)));
        for version in &record.versions {
            self.records.versions += 1;
            match version.value {
                ValueState::Stored { .. } => self.stored += 1,
                ValueState::None | ValueState::ScheduledForDeletion => self.records.values_absent += 1,
                ValueState::Unreadable { .. } => self.records.values_unreadable += 1,
            }
        }
    }

    pub(super) fn counts(&self, values_read: u64) -> Counts {
        Counts {
            listed: self.listed,
            excluded: self.excluded.values().sum(),
            vanished: self.vanished,
            values_read,
            values_carried: self.stored - values_read,
            ..self.records
        }
    }

    /// How old the readings are.
    pub(super) fn readings(&self) -> Readings {
        let records = self.records.captured + self.records.unreadable;
        Readings { now: self.read_now, kept: records - self.read_now, oldest: self.oldest }
    }

    pub(super) fn excluded(&self) -> Vec<Excluded> {
        self.excluded.iter().map(|(rule, secrets)| Excluded { rule: rule.clone(), secrets: *secrets }).collect()
    }

    pub(super) fn unreadable_counts(&self) -> Vec<UnreadableCount> {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for item in &self.unreadable {
            *counts.entry((&item.operation, &item.reason)).or_default() += 1;
        }
        let count = |((operation, reason), count): ((&str, &str), u64)| UnreadableCount {
            operation: operation.into(),
            reason: reason.into(),
            count,
        };
        counts.into_iter().map(count).collect()
    }

    pub(super) fn into_unreadable(self) -> Vec<UnreadableItem> {
        self.unreadable
    }

    fn note_unreadable(&mut self, record: &Record) {
        let name = &record.secret.name;
        let parts = record.secret.unreadable.iter().map(|part| UnreadableItem {
            name: name.clone(),
            version: None,
            operation: part.part.clone(),
            reason: part.reason.clone(),
        });
        self.unreadable.extend(parts);
        for version in &record.versions {
            if let ValueState::Unreadable { reason } = &version.value {
                self.unreadable.push(UnreadableItem {
                    name: name.clone(),
                    version: Some(version.id.clone()),
                    operation: "GetSecretValue".into(),
                    reason: reason.clone(),
                });
            }
        }
    }
}
