//! How old the readings are that records rest on: what records say themselves, and what sweeps say about them. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{Digest, Record};

/// A manifest's most arcs.
pub const MOST_ARCS: usize = 64;
const DAY: i64 = 86_400;

/// A part of the circle of hashes: at `time`, every secret whose hash is at least `from` and at most `to` was read, or could not be
/// read and its record says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepArc {
    /// The first hash.
    #[serde(with = "hex_hash")]
    pub from: u64,
    /// The last hash, not below `from`.
    #[serde(with = "hex_hash")]
    pub to: u64,
    /// The recovery point of the snapshot that read it.
    pub time: Timestamp,
}

/// How old readings are: what a listing shows is as new as the complete pass, policies, replicas and versions without labels are as
/// old as the last reading of their secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// Records whose last reading is at the snapshot's time.
    pub now: u64,
    /// The others, kept from earlier runs.
    pub kept: u64,
    /// The earliest reading that a record rests on; `None` without records. Of a snapshot that is no complete pass it is that of
    /// the pass, and no later than the earliest.
    #[serde(deserialize_with = "Option::deserialize")]
    pub oldest: Option<Timestamp>,
    /// How many were how old when the complete pass was made.
    pub ages: Vec<Age>,
}

/// Records whose reading was at least so many days old, and less than twice as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Age {
    /// 0, 1, 2, 4, 8, …
    pub days: u64,
    /// Records.
    pub records: u64,
}

/// Counts the readings of a snapshot's records.
#[derive(Clone, Debug)]
pub struct ReadingCount {
    time: Timestamp,
    pass: Timestamp,
    arcs: Vec<SweepArc>,
    readings: Readings,
    ages: BTreeMap<u64, u64>,
}

/// Where a secret is on the circle: the first eight bytes of SHA-256 of its identifier, big-endian.
pub fn hash_of(secret: &str) -> u64 {
    let digest = Digest::of(secret.as_bytes());
    u64::from_be_bytes(digest.as_bytes()[..8].try_into().expect("a digest is longer"))
}

impl SweepArc {
    /// The whole circle.
    pub fn whole(time: Timestamp) -> Self {
        Self { from: 0, to: u64::MAX, time }
    }

    /// Whether a hash is on it.
    pub fn holds(&self, hash: u64) -> bool {
        (self.from..=self.to).contains(&hash)
    }
}

impl ReadingCount {
    /// For the snapshot of `time`, which rests on the complete pass of `pass`, with these arcs, the newest first.
    pub fn new(time: Timestamp, pass: Timestamp, arcs: &[SweepArc]) -> Self {
        Self { time, pass, arcs: arcs.to_vec(), readings: Readings::default(), ages: BTreeMap::new() }
    }

    /// For a snapshot of `time` that takes over the records of an earlier one of the same pass, but for those that are taken out and
    /// added.
    pub fn after(time: Timestamp, pass: Timestamp, (arcs, earlier): (&[SweepArc], &Readings)) -> Self {
        let Readings { now, kept, oldest, ages } = earlier;
        let readings = Readings { now: 0, kept: now + kept, oldest: *oldest, ages: Vec::new() };
        let ages = ages.iter().map(|age| (age.days, age.records)).collect();
        Self { time, pass, arcs: arcs.to_vec(), readings, ages }
    }

    /// Takes out a record of the earlier snapshot; its reading stays the oldest one if it was.
    pub fn remove(&mut self, record: &Record) {
        let last = self.last(record.read, hash_of(&record.secret.id));
        self.readings.kept = self.readings.kept.saturating_sub(1);
        let days = class(self.pass, last);
        if let Some(records) = self.ages.get_mut(&days) {
            *records = records.saturating_sub(1);
            if *records == 0 {
                self.ages.remove(&days);
            }
        }
    }

    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        self.add_read(record.read, hash_of(&record.secret.id));
    }

    /// Counts a record that was first read at `read` and has this hash.
    pub(super) fn add_read(&mut self, read: Timestamp, hash: u64) {
        let last = self.last(read, hash);
        *if last == self.time { &mut self.readings.now } else { &mut self.readings.kept } += 1;
        self.readings.oldest = Some(self.readings.oldest.map_or(last, |oldest| oldest.min(last)));
        *self.ages.entry(class(self.pass, last)).or_default() += 1;
    }

    fn last(&self, read: Timestamp, hash: u64) -> Timestamp {
        let swept = self.arcs.iter().find(|arc| arc.holds(hash)).map(|arc| arc.time);
        swept.map_or(read, |swept| swept.max(read))
    }

    /// The result.
    pub fn finish(self) -> Readings {
        let ages = self.ages.into_iter().map(|(days, records)| Age { days, records }).collect();
        Readings { ages, ..self.readings }
    }
}

impl Readings {
    /// Whether they are what was counted from the records of a snapshot, which is a complete pass itself or rests on one.
    pub(super) fn are(&self, counted: &Self, is_pass: bool) -> bool {
        let oldest = if is_pass {
            self.oldest == counted.oldest
        } else {
            counted.oldest.is_none_or(|counted| self.oldest.is_some_and(|stated| stated <= counted))
        };
        oldest && Self { oldest: None, ..self.clone() } == Self { oldest: None, ..counted.clone() }
    }
}

/// The number of whole days, rounded down to 0 or a power of two; what was read later than `time` is not old.
fn class(time: Timestamp, read: Timestamp) -> u64 {
    let days = time.as_second().saturating_sub(read.as_second()).div_euclid(DAY);
    match u64::try_from(days) {
        Ok(days @ 1..) => 1 << days.ilog2(),
        _ => 0,
    }
}

/// Whether arcs are as they may be.
pub(super) fn check_arcs(arcs: &[SweepArc]) -> Result<(), String> {
    if arcs.len() > MOST_ARCS {
        return Err(format!("it has {} arcs; at most {MOST_ARCS} are allowed", arcs.len()));
    }
    if arcs.iter().any(|arc| arc.from > arc.to) {
        return Err("an arc ends before it begins".into());
    }
    if arcs.is_sorted_by(|newer, older| newer.time >= older.time) {
        Ok(())
    } else {
        Err("its arcs are not in order of time, newest first".into())
    }
}

mod hex_hash {
    use serde::de::Error as _;

    use super::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hash = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let hash = u64::from_str_radix(&text, 16).ok().filter(|_| is_hash);
        hash.ok_or_else(|| D::Error::custom("expected 16 lowercase hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 3_600 * hours).unwrap()
    }

    fn arc(from: u64, to: u64, hours: i64) -> SweepArc {
        SweepArc { from, to, time: at(hours) }
    }

    #[test]
    fn a_reading_is_the_later_one_of_the_record_and_the_newest_arc() {
        let arcs = [arc(0, 9, 240), arc(5, 29, 216), arc(0, u64::MAX, 0)];
        let mut count = ReadingCount::new(at(240), at(240), &arcs);
        for (read, hash) in [(0, 7), (0, 20), (0, 40), (230, 40), (239, 20), (240, 50), (300, 3)] {
            count.add_read(at(read), hash);
        }
        let readings = count.finish();
        assert_eq!((readings.now, readings.kept, readings.oldest), (2, 5, Some(at(0))));
        let ages: Vec<_> = readings.ages.iter().map(|age| (age.days, age.records)).collect();
        assert_eq!(ages, [(0, 5), (1, 1), (8, 1)]);
        assert_eq!(ReadingCount::new(at(0), at(0), &[]).finish(), Readings::default());
    }

    #[test]
    fn days_are_counted_in_classes() {
        let class = |hours| super::class(at(hours), at(0));
        let classes = [-5, 0, 23, 24, 47, 48, 95, 96, 24 * 31, 24 * 32, 24 * 400].map(class);
        assert_eq!(classes, [0, 0, 0, 1, 1, 2, 2, 4, 16, 32, 256]);
    }

    #[test]
    fn arcs_are_written_as_hex_and_read_strictly() {
        let text = serde_json::to_string(&arc(10, u64::MAX, 0)).unwrap();
        assert!(text.starts_with(r#"{"from":"000000000000000a","to":"ffffffffffffffff","time":""#), "{text}");
        assert_eq!(serde_json::from_str::<SweepArc>(&text).unwrap(), arc(10, u64::MAX, 0));
        for bad in ["a", "000000000000000A", "+00000000000000a", "00000000000000000"] {
            assert!(serde_json::from_str::<SweepArc>(&text.replace("000000000000000a", bad)).is_err(), "{bad}");
        }
        assert!(check_arcs(&[arc(0, 1, 2), arc(3, 3, 2), arc(0, 1, 1)]).is_ok());
        for bad in [vec![arc(2, 1, 0)], vec![arc(0, 1, 1), arc(0, 1, 2)], vec![arc(0, 1, 0); 65]] {
            assert!(check_arcs(&bad).is_err());
        }
    }

    #[test]
    fn a_hash_is_the_beginning_of_the_digest() {
        assert_eq!(format!("{:016x}", hash_of("")), "e3b0c44298fc1c14");
    }
}
