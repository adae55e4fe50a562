//! Which secrets must be read again although their entry in the listing did not change. Pure.
//!
//! Resource policies, replicas and deprecated versions do not show in a listing, so every secret is read again at least
//! every so many days, spread evenly and the same way on every host.

use jiff::Timestamp;

use crate::model::{Digest, Record};

const DAY: i64 = 86_400;

/// A rolling sweep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    days: i64,
    today: i64,
}

impl Sweep {
    /// Every secret at least every `days` days, seen from `now`; 0 reads everything.
    pub(super) fn new(days: u32, now: Timestamp) -> Self {
        Self { days: days.into(), today: day(now) }
    }

    /// Whether a secret last read then is to be read again: on its own day, or when that was missed.
    pub(super) fn is_due(&self, record: &Record) -> bool {
        let age = self.today - day(record.read);
        // Read in the future: a clock was wrong, and nothing is known about the age.
        let known = (0..self.days).contains(&age);
        !known || (age > 0 && self.today.rem_euclid(self.days) == slot(&record.secret.id, self.days))
    }
}

fn day(time: Timestamp) -> i64 {
    time.as_second().div_euclid(DAY)
}

/// The day of the cycle on which a secret is read: by its identifier, so that the secrets spread evenly.
fn slot(id: &str, days: i64) -> i64 {
    let digest = Digest::of(id.as_bytes());
    let head: [u8; 8] = digest.as_bytes()[..8].try_into().expect("a digest is longer");
    i64::from_be_bytes(head).rem_euclid(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(20_000 * DAY + day * DAY + 3_600).unwrap()
    }

    fn record(number: u32, read: i64) -> Record {
        let secret = Secret { id: format!("arn:{number}"), ..Secret::default() };
        Record { secret, versions: vec![], read: at(read), listing: None }
    }

    #[test]
    fn daily_runs_read_each_secret_once_in_a_cycle_and_evenly() {
        const DAYS: u32 = 30;
        let mut records: Vec<Record> = (0..3_000).map(|number| record(number, 0)).collect();
        let mut reads = vec![0; records.len()];
        for today in 1..=60 {
            let sweep = Sweep::new(DAYS, at(today));
            let mut count = 0;
            for (number, record) in records.iter_mut().enumerate().filter(|(_, record)| sweep.is_due(record)) {
                record.read = at(today);
                reads[number] += 1;
                count += 1;
            }
            assert!((50..150).contains(&count), "{count} on day {today}");
        }
        assert!(reads.iter().all(|count| *count == 2), "each secret twice in two cycles");
    }

    #[test]
    fn missed_days_are_made_up_for_and_the_same_day_reads_nothing_twice() {
        let due =
            |read, today| (0..100).filter(|number| Sweep::new(30, at(today)).is_due(&record(*number, read))).count();
        assert_eq!(due(0, 0), 0);
        assert_eq!(due(0, 30), 100);
        assert_eq!(due(0, 400), 100);
        assert_eq!(due(1, 0), 100, "read in the future");
        assert!((0..100).all(|number| Sweep::new(1, at(1)).is_due(&record(number, 0))));
        assert!((0..100).all(|number| Sweep::new(0, at(0)).is_due(&record(number, 0))));
    }
}
