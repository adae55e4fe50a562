//! Which secrets must be read again although their entry in the listing did not change. Pure.
//!
//! Resource policies, replicas and deprecated versions do not show in a listing, so every secret is read again at least
//! every so many days, and as much of them a day as a budget of calls allows. Secrets lie on a circle by the hash of their
//! identifier. Each run reads the arc whose reading is the oldest, as long as is due, and writes down the arc instead of every record.

use jiff::Timestamp;

use crate::{
    model::Record,
    repo::{MOST_ARCS, SweepArc, hash_of},
};

const DAY: i64 = 86_400;
/// An arc that is younger is enough for today.
const ENOUGH: i64 = 20 * 3_600;
/// From this many days on, arcs of several days become one that counts as old as its oldest part.
const MANY_DAYS: i64 = 48;
const CIRCLE: u128 = 1 << 64;

/// How much is read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct SweepPace {
    /// Every secret at least every so many days; 0 reads everything.
    pub(super) days: u32,
    /// Secrets that may be read again in a day, whatever their age beyond 20 hours.
    pub(super) budget: u64,
    /// Secrets that there are.
    pub(super) secrets: u64,
}

/// What one run reads again, and what is known afterwards of when every secret was read.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    now: Timestamp,
    due: Vec<SweepArc>,
    /// After the run, the newest first.
    arcs: Vec<SweepArc>,
}

/// A part of the circle in which every secret was read at one time, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    from: u64,
    to: u64,
    read: Option<Timestamp>,
}

impl Sweep {
    /// Everything is read.
    pub(super) fn whole(now: Timestamp) -> Self {
        Self { now, due: vec![SweepArc::whole(now)], arcs: vec![SweepArc::whole(now)] }
    }

    /// At this pace, after runs that read these arcs.
    pub(super) fn new(arcs: &[SweepArc], pace: SweepPace, now: Timestamp) -> Self {
        let segments = segments(arcs, now);
        let mut due: Vec<SweepArc> = segments
            .iter()
            .filter(|segment| segment.read.is_none())
            .map(|unknown| SweepArc { from: unknown.from, to: unknown.to, time: now })
            .collect();
        let length = length(&segments, pace.days, now).max(within_budget(&segments, pace, now));
        if length >= CIRCLE {
            return Self::whole(now);
        }
        if let Some(from) = oldest(&segments).filter(|_| length > 0) {
            due.extend(arc(from, length, now));
        }
        let all: Vec<SweepArc> = due.iter().chain(arcs).copied().collect();
        let arcs = arcs_of(few(self::segments(&all, now)));
        Self { now, due, arcs }
    }

    /// Whether a secret is to be read again: it is its turn, or its reading is from the future, so that nothing is known of its age.
    pub(super) fn is_due(&self, record: &Record) -> bool {
        let hash = hash_of(&record.secret.id);
        record.read > self.now || self.due.iter().any(|arc| arc.holds(hash))
    }

    /// What the manifest says.
    pub(super) fn into_arcs(self) -> Vec<SweepArc> {
        self.arcs
    }
}

/// How much of the circle is to be read: the share that the time since the newest reading has of `days` days.
fn length(segments: &[Segment], days: u32, now: Timestamp) -> u128 {
    let Some(newest) = segments.iter().filter_map(|segment| segment.read).max() else { return CIRCLE };
    let elapsed = now.as_second() - newest.as_second();
    // What merged arcs make older is made up for by going round faster.
    let days = i64::from(days);
    let days = if days > MANY_DAYS { days - days / 16 } else { days };
    match (u128::try_from(elapsed), u128::try_from(days * DAY)) {
        (_, Ok(0)) => CIRCLE,
        (Ok(elapsed), Ok(period)) if elapsed >= ENOUGH.unsigned_abs().into() => (elapsed * CIRCLE).div_ceil(period),
        _ => 0,
    }
}

/// How much of the circle the budget of a day still allows: what was read in the last 20 hours has used it, and is not read again.
fn within_budget(segments: &[Segment], pace: SweepPace, now: Timestamp) -> u128 {
    let SweepPace { budget, secrets, .. } = pace;
    let young = |segment: &&Segment| segment.read.is_some_and(|read| now.as_second() - read.as_second() < ENOUGH);
    let length = |segment: &Segment| u128::from(segment.to - segment.from) + 1;
    let used: u128 = segments.iter().filter(young).map(length).sum();
    let share = (u128::from(budget.min(secrets)) * CIRCLE).checked_div(secrets.into()).unwrap_or_default();
    share.saturating_sub(used)
}

/// Where the oldest reading begins.
fn oldest(segments: &[Segment]) -> Option<u64> {
    let least = segments.iter().filter_map(|segment| segment.read).min()?;
    let before = segments.iter().skip(segments.len() - 1).chain(segments);
    let begins = before.zip(segments).find(|(before, here)| here.read == Some(least) && before.read != Some(least));
    Some(begins.map_or(0, |(_, here)| here.from))
}

/// The arc from `from` on, in two pieces where it passes the end of the circle.
fn arc(from: u64, length: u128, time: Timestamp) -> Vec<SweepArc> {
    let last = u128::from(from) + length - 1;
    if let Ok(to) = u64::try_from(last) {
        return vec![SweepArc { from, to, time }];
    }
    let to = u64::try_from(last % CIRCLE).expect("a remainder is smaller");
    vec![SweepArc { from, to: u64::MAX, time }, SweepArc { from: 0, to, time }]
}

/// The circle in pieces, each with its newest reading. What was read in the future is not known.
fn segments(arcs: &[SweepArc], now: Timestamp) -> Vec<Segment> {
    let begins = arcs.iter().flat_map(|arc| [Some(arc.from), arc.to.checked_add(1)]).flatten();
    let mut begins: Vec<u64> = std::iter::once(0).chain(begins).collect();
    begins.sort_unstable();
    begins.dedup();
    let ends = begins.iter().skip(1).map(|next| next - 1).chain([u64::MAX]);
    let mut segments: Vec<Segment> = Vec::new();
    for (from, to) in begins.iter().copied().zip(ends) {
        let newest = arcs.iter().find(|arc| arc.holds(from)).map(|arc| arc.time);
        let read = newest.filter(|time| *time <= now);
        match segments.last_mut() {
            Some(last) if last.read == read => last.to = to,
            _ => segments.push(Segment { from, to, read }),
        }
    }
    segments
}

/// As few segments as a manifest may have: neighbours that are closest in time become one, which counts as old as the older.
fn few(mut segments: Vec<Segment>) -> Vec<Segment> {
    while segments.len() > MOST_ARCS {
        let apart = |at: usize| {
            let second = |segment: &Segment| segment.read.map_or(i64::MIN / 4, Timestamp::as_second);
            let (one, other) = (second(&segments[at]), second(&segments[at + 1]));
            ((one - other).abs(), one.min(other))
        };
        let Some(closest) = (0..segments.len() - 1).min_by_key(|at| apart(*at)) else { break };
        let gone = segments.remove(closest + 1);
        let stays = &mut segments[closest];
        (stays.to, stays.read) = (gone.to, stays.read.min(gone.read));
    }
    segments
}

fn arcs_of(segments: Vec<Segment>) -> Vec<SweepArc> {
    let read = |Segment { from, to, read }| read.map(|time| SweepArc { from, to, time });
    let mut arcs: Vec<SweepArc> = segments.into_iter().filter_map(read).collect();
    arcs.sort_by_key(|arc| (std::cmp::Reverse(arc.time), arc.from));
    arcs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{model::Secret, repo::ReadingCount};

    const HOUR: i64 = 3_600;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * HOUR).unwrap()
    }

    fn records(count: u32) -> Vec<Record> {
        let secret = |number: u32| Secret { id: format!("id:{number}"), ..Secret::default() };
        (0..count)
            .map(|number| Record { secret: secret(number), versions: vec![], read: at(0), listing: None })
            .collect()
    }

    /// Without a budget.
    fn days(days: u32) -> SweepPace {
        SweepPace { days, budget: 0, secrets: 1 }
    }

    /// Runs at these hours after a first one; gives how many were read at each, and asserts that nothing is told to be as old as
    /// `days` days, or younger than it is.
    fn run(days: u32, hours: impl Iterator<Item = i64>, records: &[Record]) -> Vec<usize> {
        let mut arcs = Sweep::whole(at(0)).into_arcs();
        let mut read = vec![0; records.len()];
        let mut counts = Vec::new();
        for hour in hours {
            let sweep = Sweep::new(&arcs, self::days(days), at(hour));
            let mut due = 0;
            for (record, read) in records.iter().zip(&mut read).filter(|(record, _)| sweep.is_due(record)) {
                assert!(record.read <= at(hour));
                *read = hour;
                due += 1;
            }
            counts.push(due);
            arcs = sweep.into_arcs();
            assert!(arcs.len() <= MOST_ARCS);
            for (record, read) in records.iter().zip(&read) {
                let mut count = ReadingCount::new(at(hour), at(hour), &arcs);
                count.add(record);
                let told = count.finish().oldest.unwrap();
                assert!(told <= at(*read), "younger than it is, at hour {hour}");
                let age = (at(hour).as_second() - told.as_second()) / HOUR;
                assert!(age <= i64::from(days) * 24, "{age} hours old at hour {hour}, {days} days wanted");
            }
        }
        counts
    }

    #[test]
    fn daily_runs_read_everything_once_in_a_cycle_and_evenly() {
        let records = records(3_000);
        let counts = run(30, (1..=90).map(|day| 24 * day), &records);
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
        for cycle in counts.chunks(30) {
            let all = cycle.iter().sum::<usize>();
            assert_eq!(all, 3_000, "each secret once in each cycle");
        }
    }

    #[test]
    fn long_cycles_keep_few_arcs_and_the_promise() {
        let records = records(60);
        for days in [1, 2, 47, 48, 49, 64, 100, 365, 400] {
            run(days, (1..=2 * i64::from(days) + 40).map(|day| 24 * day), &records);
        }
    }

    #[test]
    fn missed_days_are_made_up_for_and_the_same_day_reads_nothing_twice() {
        let records = records(1_000);
        let counts = run(10, [1, 19, 24, 25, 43, 48].into_iter(), &records);
        assert_eq!((counts[0], counts[1], counts[3], counts[4]), (0, 0, 0, 0), "less than 20 hours after an arc");
        assert!((60..140).contains(&counts[2]) && (60..140).contains(&counts[5]), "{counts:?}");
        let due = |days, hour| {
            let sweep = Sweep::new(&Sweep::whole(at(0)).into_arcs(), self::days(days), at(hour));
            records.iter().filter(|record| sweep.is_due(record)).count()
        };
        assert!((400..600).contains(&due(10, 120)), "five days missed");
        assert_eq!((due(10, 240), due(10, 9_999), due(1, 24), due(0, 0)), (1_000, 1_000, 1_000, 1_000));
    }

    #[test]
    fn what_is_not_known_is_read() {
        let all = records(100);
        assert!(all.iter().all(|record| Sweep::new(&[], days(30), at(24)).is_due(record)), "no arcs");
        // The clock was ahead when an arc was read, and when a record was.
        let ahead = SweepArc { from: 0, to: u64::MAX / 2, time: at(9_000) };
        let sweep = Sweep::new(&[ahead, SweepArc::whole(at(0))], days(30), at(10));
        let due = all.iter().filter(|record| sweep.is_due(record)).count();
        assert!((25..75).contains(&due), "{due}");
        assert!(sweep.into_arcs().iter().all(|arc| arc.time <= at(10)));
        let read = |hour| Record { read: at(hour), ..all[0].clone() };
        let sweep = Sweep::new(&[SweepArc::whole(at(10))], days(30), at(10));
        assert!(sweep.is_due(&read(11)) && !sweep.is_due(&read(10)));
    }

    #[test]
    fn a_budget_reads_what_is_old_and_no_more_than_it_has_in_a_day() {
        let records = records(1_000);
        let due = |arcs: &[SweepArc], budget, hour| {
            let sweep = Sweep::new(arcs, SweepPace { days: 30, budget, secrets: 1_000 }, at(hour));
            (records.iter().filter(|record| sweep.is_due(record)).count(), sweep.into_arcs())
        };
        let fresh = Sweep::whole(at(0)).into_arcs();
        assert_eq!(due(&fresh, 5_000, 19).0, 0, "nothing is younger than 20 hours");
        assert_eq!(due(&fresh, 1_000, 20).0, 1_000, "a small estate is read every day");
        assert_eq!(due(&fresh, 0, 20).0, due(&fresh, 1, 20).0, "at least what the days ask for");
        let (first, arcs) = due(&fresh, 250, 24);
        assert!((200..300).contains(&first), "{first}");
        let (second, arcs) = due(&arcs, 250, 25);
        assert_eq!(second, 0, "the day's budget is used");
        let (third, arcs) = due(&arcs, 250, 48);
        assert!((200..300).contains(&third), "{third}");
        let (_, arcs) = due(&arcs, 250, 72);
        let (_, arcs) = due(&arcs, 250, 96);
        assert!(arcs.iter().all(|arc| arc.time >= at(24)), "round in four days: {arcs:?}");
    }

    #[test]
    fn a_budget_of_nothing_and_of_everything() {
        let segments = segments(&[SweepArc::whole(at(0))], at(24));
        let pace = |budget, secrets| SweepPace { days: 30, budget, secrets };
        assert_eq!(within_budget(&segments, pace(0, 10), at(24)), 0);
        assert_eq!(within_budget(&segments, pace(9, 0), at(24)), 0);
        assert_eq!(within_budget(&segments, pace(5, 10), at(24)), CIRCLE / 2);
        assert_eq!(within_budget(&segments, pace(u64::MAX, 10), at(24)), CIRCLE);
        assert_eq!(within_budget(&segments, pace(u64::MAX, 10), at(19)), 0);
        let half = [SweepArc { from: 0, to: u64::MAX / 2, time: at(20) }, SweepArc::whole(at(0))];
        let segments = self::segments(&half, at(24));
        assert_eq!(within_budget(&segments, pace(6, 10), at(24)), 6 * CIRCLE / 10 - CIRCLE / 2);
        assert_eq!(within_budget(&segments, pace(10, 10), at(24)), CIRCLE / 2);
        let unknown = circle(&[(0, None), (1 << 63, Some(0))]);
        assert_eq!(within_budget(&unknown, pace(5, 10), at(24)), CIRCLE / 2, "what is not known has used nothing");
    }

    /// A segment from here to the next one, and when it was read.
    fn circle(segments: &[(u64, Option<i64>)]) -> Vec<Segment> {
        let ends = segments.iter().skip(1).map(|(next, _)| next - 1).chain([u64::MAX]);
        let segment = |(&(from, hour), to): (&(u64, Option<i64>), u64)| Segment { from, to, read: hour.map(at) };
        segments.iter().zip(ends).map(segment).collect()
    }

    #[test]
    fn the_length_is_the_share_of_the_days_that_passed_and_nothing_before_20_hours() {
        let due = |days, seconds: i64| {
            let now = Timestamp::from_second(at(0).as_second() + seconds).unwrap();
            length(&circle(&[(0, Some(-24)), (7, Some(0)), (9, None)]), days, now)
        };
        let share = |of: u128, days: u128| (of * CIRCLE).div_ceil(days * 86_400);
        assert_eq!((due(30, ENOUGH - 1), due(30, ENOUGH)), (0, share(72_000, 30)));
        assert_eq!(
            (due(48, DAY), due(49, DAY), due(80, DAY)),
            (share(86_400, 48), share(86_400, 46), share(86_400, 75))
        );
        assert_eq!((due(0, 0), due(0, DAY)), (CIRCLE, CIRCLE));
        assert_eq!(length(&circle(&[(0, None)]), 30, at(0)), CIRCLE, "nothing is known");
    }

    #[test]
    fn all_is_due_when_more_than_all_of_it_would_be() {
        let half = [SweepArc { from: 0, to: u64::MAX / 2, time: at(24) }, SweepArc::whole(at(0))];
        let sweep = Sweep::new(&half, days(30), at(24 + 48 * 24));
        assert!(records(300).iter().all(|record| sweep.is_due(record)));
        assert_eq!(sweep.into_arcs(), [SweepArc::whole(at(24 + 48 * 24))]);
    }

    #[test]
    fn the_oldest_reading_begins_where_the_one_before_is_younger() {
        for (segments, begins) in [
            (&[(0, None)][..], None),
            (&[(0, Some(5))], Some(0)),
            (&[(0, Some(5)), (10, Some(3)), (20, Some(4))], Some(10)),
            (&[(0, Some(3)), (10, Some(5)), (20, Some(3))], Some(20)),
            (&[(0, Some(3)), (10, None), (20, Some(3)), (30, None)], Some(0)),
            (&[(0, None), (10, Some(3)), (20, Some(4)), (30, Some(3))], Some(10)),
        ] {
            assert_eq!(oldest(&circle(segments)), begins, "{segments:?}");
        }
    }

    #[test]
    fn an_arc_goes_on_at_the_beginning_of_the_circle() {
        let time = at(1);
        assert_eq!(arc(5, 1, time), [SweepArc { from: 5, to: 5, time }]);
        assert_eq!(arc(5, 10, time), [SweepArc { from: 5, to: 14, time }]);
        assert_eq!(arc(u64::MAX - 1, 2, time), [SweepArc { from: u64::MAX - 1, to: u64::MAX, time }]);
        let around = [SweepArc { from: u64::MAX - 1, to: u64::MAX, time }, SweepArc { from: 0, to: 2, time }];
        assert_eq!(arc(u64::MAX - 1, 5, time), around);
    }

    #[test]
    fn the_first_arc_that_holds_a_hash_counts_and_neighbours_of_one_time_are_one_segment() {
        let held = |from, to, hour| SweepArc { from, to, time: at(hour) };
        let arcs = [held(30, 39, 9), held(10, 29, 3), held(5, 19, 2), held(40, u64::MAX, 3), held(30, 49, 1)];
        let expected = circle(&[(0, None), (5, Some(2)), (10, Some(3)), (30, None), (40, Some(3))]);
        assert_eq!(segments(&arcs, at(8)), expected, "what was read in the future is not known");
        let expected = circle(&[(0, None), (5, Some(2)), (10, Some(3)), (30, Some(9)), (40, Some(3))]);
        assert_eq!(segments(&arcs, at(9)), expected);
        assert_eq!(segments(&[held(0, 9, 1), held(10, u64::MAX, 1)], at(1)), circle(&[(0, Some(1))]));
    }

    #[test]
    fn the_closest_neighbours_become_one_that_is_as_old_as_the_older() {
        // A day apart, the newest first.
        let hours = |count: usize| {
            (0..count).map(|number| (number as u64 * 10, Some(-24 * i64::try_from(number).unwrap()))).collect()
        };
        let most: Vec<(u64, Option<i64>)> = hours(MOST_ARCS);
        assert_eq!(few(circle(&most)), circle(&most));
        let more: Vec<(u64, Option<i64>)> = hours(MOST_ARCS + 1);
        let mut oldest_two = more.clone();
        oldest_two[MOST_ARCS - 1].1 = more[MOST_ARCS].1;
        oldest_two.pop();
        assert_eq!(few(circle(&more)), circle(&oldest_two), "as far apart as the others, and the oldest");
        let mut close = more.clone();
        close[7].1 = Some(-24 * 6 - 23);
        let mut merged = close.clone();
        merged[6].1 = close[7].1;
        merged.remove(7);
        assert_eq!(few(circle(&close)), circle(&merged));
        let mut unknown = circle(&more);
        (unknown[0].read, unknown[1].read) = (None, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(few(unknown.clone())[..2], unknown[..2], "what is not known is close to nothing");
    }

    #[test]
    fn arcs_are_written_the_newest_first() {
        let arcs = arcs_of(circle(&[(0, Some(1)), (10, Some(3)), (20, None), (30, Some(3)), (40, Some(2))]));
        let found: Vec<(u64, Timestamp)> = arcs.iter().map(|arc| (arc.from, arc.time)).collect();
        assert_eq!(found, [(10, at(3)), (30, at(3)), (40, at(2)), (0, at(1))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]
        #[test]
        fn runs_a_day_apart_more_or_less_keep_the_promise(days in 2_u32..90, gaps in proptest::collection::vec(20_i64..28, 1..150)) {
            let mut hour = 0;
            let hours: Vec<i64> = gaps.into_iter().map(|gap| { hour += gap; hour }).collect();
            run(days, hours.into_iter(), &records(30));
        }
    }
}
