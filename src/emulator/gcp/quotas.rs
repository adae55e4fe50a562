//! Request quotas of a project: <https://docs.cloud.google.com/secret-manager/quotas>.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::answer::Refusal;

/// What requests are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bucket {
    Access,
    Read,
    Write,
    /// Not counted.
    Free,
}

/// How many of them a minute.
const ACCESS: f64 = 90_000.0;
const READ: f64 = 600.0;
const WRITE: f64 = 600.0;
/// Changes of one global secret.
const OF_ONE_SECRET: f64 = 120.0;
const MINUTE: f64 = 60.0;

/// What is used of the quotas. A project may use up a minute's worth at once.
pub(super) struct Quotas {
    pub(super) are_enforced: bool,
    left: BTreeMap<(String, Bucket), (f64, Timestamp)>,
}

impl Quotas {
    pub(super) fn new(are_enforced: bool) -> Self {
        Self { are_enforced, left: BTreeMap::new() }
    }

    /// Takes a request of a project, or refuses it; `secret` is what it changes, where that is counted for itself.
    pub(super) fn take(
        &mut self,
        project: &str,
        bucket: Bucket,
        secret: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (most, metric) = match bucket {
            Bucket::Free => return Ok(()),
            Bucket::Access => (ACCESS, "secretmanager.googleapis.com/access_requests"),
            Bucket::Read => (READ, "secretmanager.googleapis.com/read_requests"),
            Bucket::Write => (WRITE, "secretmanager.googleapis.com/write_requests"),
        };
        if !self.are_enforced {
            return Ok(());
        }
        let is_in = self.one(project, bucket, most, now)
            && secret.is_none_or(|secret| self.one(secret, bucket, OF_ONE_SECRET, now));
        if is_in { Ok(()) } else { Err(Refusal::exhausted(metric, project)) }
    }

    fn one(&mut self, of: &str, bucket: Bucket, most: f64, now: Timestamp) -> bool {
        let (left, at) = self.left.entry((of.to_owned(), bucket)).or_insert((most, now));
        *left = (*left + now.duration_since(*at).as_secs_f64() * most / MINUTE).min(most);
        *at = now;
        let is_in = *left >= 1.0;
        if is_in {
            *left -= 1.0;
        }
        is_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_and_then_ten_a_second() {
        let at = |milli: i64| Timestamp::from_millisecond(milli).unwrap();
        let mut quotas = Quotas::new(true);
        let mut read = |project: &str, milli: i64| quotas.take(project, Bucket::Read, None, at(milli)).is_ok();
        assert_eq!((0..700).filter(|_| read("1", 0)).count(), 600);
        assert!(read("2", 0), "each project has its own");
        assert_eq!((0..100).filter(|_| read("1", 1_000)).count(), 10);
        let mut write = |milli: i64| quotas.take("1", Bucket::Write, Some("1/s"), at(milli)).is_ok();
        assert_eq!((0..200).filter(|_| write(0)).count(), 120);
        let mut access = || quotas.take("1", Bucket::Access, None, at(0)).is_ok();
        assert!((0..10_000).all(|_| access()));
    }
}
