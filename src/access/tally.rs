//! Events, counted by secret and reader.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    str::FromStr,
};

use jiff::{Timestamp, tz::TimeZone};
use wildmatch::WildMatch;

use super::Month;
use crate::{
    model::{Digest, Place},
    provider::{AccessLog, Event, Reader, Reading},
};

/// Pairs of a secret and a reader that are kept apart. A trail is written by whoever calls, so that names have no end.
const MOST_PAIRS: usize = 200_000;
/// Events whose ids are remembered, so that one that is in two files counts once.
const MOST_IDS: usize = 4_000_000;

/// Hours of a day, UTC, in which people work: from the first until before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours(u8, u8);

/// Not hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write FROM-TO in hours, UTC, such as 6-20")]
pub struct NoHours;

impl Hours {
    fn has(self, hour: u8) -> bool {
        if self.0 < self.1 { (self.0..self.1).contains(&hour) } else { hour >= self.0 || hour < self.1 }
    }
}

impl FromStr for Hours {
    type Err = NoHours;

    fn from_str(text: &str) -> Result<Self, NoHours> {
        let (from, to) = text.split_once('-').ok_or(NoHours)?;
        let (from, to): (u8, u8) = (from.parse().map_err(|_| NoHours)?, to.parse().map_err(|_| NoHours)?);
        if from > 23 || to > 24 || from == to { Err(NoHours) } else { Ok(Self(from, to)) }
    }
}

/// What the estate says is usual.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Readers that may read everything, with `*`.
    pub readers: Vec<String>,
    /// The role of the backup.
    pub backup_role: Option<String>,
    /// The hours in which it runs; empty for all.
    pub backup_hours: Vec<u8>,
    /// Whether every reading comes through an endpoint of a private network.
    pub vpc_endpoint: bool,
    /// When people work.
    pub hours: Option<Hours>,
}

/// What one reader did with one secret in one month.
#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    pub(super) reads: u64,
    pub(super) refused: u64,
    pub(super) codes: BTreeSet<String>,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) outside: u64,
    pub(super) without_mfa: u64,
    pub(super) at_odd_hours: u64,
}

/// The codes of one reader's refusals that are kept.
const MOST_CODES: usize = 8;

/// What is counted of one month.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Events of any kind.
    pub(super) events: u64,
    /// Readings.
    pub(super) readings: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// A bit for each day with an event.
    pub(super) days: u32,
    /// Readings that do not say of what.
    pub(super) nameless: u64,
}

/// The readings of one place.
pub struct Tally {
    pub(super) place: Place,
    pub(super) months: [Month; 2],
    pub(super) rules: Rules,
    /// Every way to name a secret, to its name.
    ids: BTreeMap<String, String>,
    /// The secrets of the backup, and who may read each by its own policy.
    pub(super) secrets: BTreeMap<String, Vec<String>>,
    pub(super) uses: BTreeMap<(String, Reader), [Use; 2]>,
    pub(super) seen: [Seen; 2],
    ids_seen: HashSet<[u8; 16]>,
    /// Readings that found no room of their own.
    pub(super) beyond: u64,
    /// Events of neither month.
    pub(super) other_time: u64,
    /// Readings of secrets of another account or region.
    pub(super) foreign: u64,
    usual: Vec<WildMatch>,
}

impl Tally {
    /// For the month, and the one before it.
    pub fn new(place: Place, month: Month, rules: Rules) -> Self {
        Self {
            place,
            months: [month, month.before()],
            usual: rules.readers.iter().chain(&rules.backup_role).map(|reader| WildMatch::new(reader)).collect(),
            rules,
            ids: BTreeMap::new(),
            secrets: BTreeMap::new(),
            uses: BTreeMap::new(),
            seen: [Seen::default(), Seen::default()],
            ids_seen: HashSet::new(),
            beyond: 0,
            other_time: 0,
            foreign: 0,
        }
    }

    /// A secret of the backup, every way to name it, and who may read it.
    pub fn secret(&mut self, name: &str, ids: Vec<String>, readers: Vec<String>) {
        self.ids.extend(ids.into_iter().map(|id| (id, name.to_owned())));
        self.secrets.insert(name.to_owned(), readers);
    }

    /// Whose it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The time of both months.
    pub fn asked(&self) -> (Timestamp, Timestamp) {
        (self.months[1].start(), self.months[0].end())
    }

    /// Whether an event is of this place's trail.
    pub fn is_of(&self, event: &Event) -> bool {
        event.account == self.place.account && event.region == self.place.region
    }

    /// Counts an event of this place.
    pub fn take(&mut self, log: &dyn AccessLog, event: &Event) {
        if let Some(id) = &event.id {
            let digest = Digest::of(id.as_bytes());
            let mut short = [0; 16];
            short.copy_from_slice(&digest.as_bytes()[..16]);
            if self.ids_seen.contains(&short) {
                return;
            }
            if self.ids_seen.len() < MOST_IDS {
                self.ids_seen.insert(short);
            }
        }
        let Some(at) = self.months.iter().position(|month| month.has(event.time)) else {
            self.other_time += 1;
            return;
        };
        let seen = &mut self.seen[at];
        seen.events += 1;
        seen.first = Some(seen.first.map_or(event.time, |first| first.min(event.time)));
        seen.last = Some(seen.last.map_or(event.time, |last| last.max(event.time)));
        seen.days |= 1 << self.months[at].day(event.time);
        if let Some(reading) = &event.reading {
            seen.readings += 1;
            seen.nameless += u64::from(reading.secrets.is_empty());
            self.count(log, at, event.time, reading);
        }
    }

    fn count(&mut self, log: &dyn AccessLog, at: usize, time: Timestamp, reading: &Reading) {
        let names: Vec<Option<String>> = reading.secrets.iter().map(|id| self.name(log, id)).collect();
        let nameless = names.is_empty().then(|| Some(String::new()));
        for name in names.into_iter().chain(nameless) {
            let Some(name) = name else {
                self.foreign += 1;
                continue;
            };
            let key = (name, reading.reader.clone());
            if self.uses.len() >= MOST_PAIRS && !self.uses.contains_key(&key) {
                self.beyond += 1;
                continue;
            }
            let is_odd = self.is_odd_hour(time, reading);
            let outside = self.rules.vpc_endpoint && reading.is_outside;
            self.uses.entry(key).or_default()[at].add(time, reading, (is_odd, outside));
        }
    }

    /// The name of the secret; `None` for one of another account or region.
    fn name(&self, log: &dyn AccessLog, id: &str) -> Option<String> {
        if let Some(name) = self.ids.get(id) {
            return Some(name.clone());
        }
        let named = log.named(id);
        match named.place {
            Some((account, region)) if account != self.place.account || region != self.place.region => None,
            _ => Some(named.name),
        }
    }

    fn is_odd_hour(&self, time: Timestamp, reading: &Reading) -> bool {
        let hour = time.to_zoned_datetime(TimeZone::UTC).hour().unsigned_abs();
        let is_backup = self.rules.backup_role.as_deref() == Some(reading.reader.id.as_str());
        if is_backup && !self.rules.backup_hours.is_empty() {
            return !self.rules.backup_hours.contains(&hour);
        }
        reading.by_person && self.rules.hours.is_some_and(|hours| !hours.has(hour))
    }

    /// Whether somebody said that this reader may read this secret.
    pub(super) fn is_known(&self, secret: &str, reader: &Reader) -> bool {
        self.usual.iter().any(|pattern| pattern.matches(&reader.id))
            || self.secrets.get(secret).is_some_and(|readers| readers.contains(&reader.id))
    }
}

impl Use {
    fn add(&mut self, time: Timestamp, reading: &Reading, (is_odd, outside): (bool, bool)) {
        match &reading.refused {
            Some(code) => {
                self.refused += 1;
                if self.codes.len() < MOST_CODES {
                    self.codes.insert(code.clone());
                }
            }
            None => self.reads += 1,
        }
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        self.outside += u64::from(outside);
        self.without_mfa += u64::from(reading.lacks_mfa);
        self.at_odd_hours += u64::from(is_odd);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reads == 0 && self.refused == 0
    }
}
