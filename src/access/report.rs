//! From counts to what a person is to look at. Nothing is concluded from what a trail did not give.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::tally::{Seen, Tally, Use};
use crate::{
    model::Place,
    provider::{Reach, ReaderKind},
};

/// A reader with fewer readings than this reads not too often.
const MANY: u64 = 20;
/// So many times the readings of the month before are too many.
const TIMES: u64 = 3;

/// How much of a month is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Covered {
    /// All of it.
    Whole,
    /// A part: who is in it did read, who is not may have.
    Part,
    /// Nothing.
    Unknown,
}

/// What the trail of one place gave of one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The month.
    pub month: String,
    /// How much of it.
    pub covered: Covered,
    /// Events that were seen, each once.
    pub events: u64,
    /// Those that are readings.
    pub readings: u64,
    /// The first one.
    pub first: Option<Timestamp>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// Days with an event, and the days of the month.
    pub days: [u32; 2],
    /// Why it is not the whole month.
    pub reasons: Vec<String>,
}

/// How a reader stands to what was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A policy or the configuration names it.
    Known,
    /// It read in the month before, too.
    Seen,
    /// Nobody named it, and it did not read in the month before.
    New,
    /// Nobody named it, and the month before is not known in full.
    Unsure,
    /// It read in the month before and not in this one.
    Vanished,
    /// It read in the month before, and was not seen in what is known of this one.
    NotSeen,
}

/// What is unusual about a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusual {
    /// A user with keys of its own.
    User,
    /// The owner of the account.
    Root,
    /// A person of the console without a second factor.
    WithoutMfa,
    /// Not through the endpoint of the private network.
    Outside,
    /// Outside of the hours.
    Hours,
    /// Refused.
    Refused,
    /// Many more readings than in the month before.
    Many,
    /// The trail does not say who it is.
    Nobody,
}

/// A reader of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The secret; empty where the trail does not name it.
    pub secret: String,
    /// Whether the backup has it.
    pub in_backup: bool,
    /// The identifier of the reader; empty where the trail does not name it.
    pub reader: String,
    /// What it is.
    pub kind: ReaderKind,
    /// How it stands.
    pub standing: Standing,
    /// What is unusual.
    pub unusual: BTreeSet<Unusual>,
    /// Readings in the month.
    pub reads: u64,
    /// Refused attempts in the month.
    pub refused: u64,
    /// Their codes.
    pub codes: BTreeSet<String>,
    /// Readings in the month before.
    pub reads_before: u64,
    /// The first in the month.
    pub first: Option<Timestamp>,
    /// The last one; of a vanished reader that of the month before.
    pub last: Option<Timestamp>,
}

impl Row {
    /// Whether a person is to look at it.
    pub fn is_finding(&self) -> bool {
        !self.unusual.is_empty() || matches!(self.standing, Standing::New | Standing::Unsure | Standing::Vanished)
    }
}

/// One place's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The place.
    pub source: Place,
    /// The month, and the one before it.
    pub coverage: [Coverage; 2],
    /// Every reader of every secret.
    pub readers: Vec<Row>,
    /// Secrets of the backup that nobody read; not known where the month is not known in full.
    pub unread: Option<u64>,
    /// Events of neither month.
    pub other_time: u64,
    /// Readings of secrets of another account or region.
    pub foreign: u64,
    /// Readings that are in no row, because there are too many rows.
    pub beyond: u64,
}

/// What a trail was found to cover.
#[derive(Clone, Debug)]
pub enum Span {
    /// The provider was asked, and gave this.
    Asked(Reach),
    /// Files were read: what they cover is judged by what is in them. With what is wrong with them.
    Files(Vec<String>),
    /// There is none, and why.
    None(String),
}

impl Report {
    /// Judges what was counted.
    pub fn new(tally: &Tally, span: &Span) -> Self {
        let coverage = [0, 1].map(|at| coverage(tally, at, span));
        let [now, before] = [coverage[0].covered, coverage[1].covered];
        let mut readers = Vec::new();
        for ((secret, reader), uses) in &tally.uses {
            let [used, used_before] = uses;
            let standing = match (used.is_empty(), used_before.is_empty()) {
                (true, true) => continue,
                (true, false) if now == Covered::Whole => Standing::Vanished,
                (true, false) => Standing::NotSeen,
                _ if tally.is_known(secret, reader) => Standing::Known,
                (false, false) => Standing::Seen,
                (false, true) if before == Covered::Whole => Standing::New,
                (false, true) => Standing::Unsure,
            };
            let last = if used.is_empty() { used_before.last } else { used.last };
            readers.push(Row {
                secret: secret.clone(),
                in_backup: tally.secrets.contains_key(secret),
                reader: reader.id.clone(),
                kind: reader.kind,
                standing,
                unusual: if used.is_empty() {
                    BTreeSet::new()
                } else {
                    unusual(reader.kind, used, used_before, before)
                },
                reads: used.reads,
                refused: used.refused,
                codes: used.codes.clone(),
                reads_before: used_before.reads,
                first: used.first,
                last,
            });
        }
        let read: BTreeSet<&str> = readers.iter().filter(|row| row.reads > 0).map(|row| &*row.secret).collect();
        let unread = tally.secrets.keys().filter(|name| !read.contains(name.as_str())).count() as u64;
        // A batch that names no secret, or a row that is missing, may have been the reading.
        let is_sure = now == Covered::Whole && tally.seen[0].nameless == 0 && tally.beyond == 0;
        Self {
            source: tally.place.clone(),
            coverage,
            readers,
            unread: is_sure.then_some(unread),
            other_time: tally.other_time,
            foreign: tally.foreign,
            beyond: tally.beyond,
        }
    }

    /// Whether everything that was asked is known.
    pub fn is_whole(&self) -> bool {
        self.beyond == 0 && self.coverage.iter().all(|month| month.covered == Covered::Whole)
    }
}

fn unusual(kind: ReaderKind, used: &Use, used_before: &Use, before: Covered) -> BTreeSet<Unusual> {
    let many = before == Covered::Whole
        && used_before.reads > 0
        && used.reads >= MANY
        && used.reads > used_before.reads.saturating_mul(TIMES);
    let all = [
        (Unusual::User, kind == ReaderKind::User),
        (Unusual::Root, kind == ReaderKind::Root),
        (Unusual::Nobody, kind == ReaderKind::Unknown),
        (Unusual::WithoutMfa, used.without_mfa > 0),
        (Unusual::Outside, used.outside > 0),
        (Unusual::Hours, used.at_odd_hours > 0),
        (Unusual::Refused, used.refused > 0),
        (Unusual::Many, many),
    ];
    all.into_iter().filter(|(_, holds)| *holds).map(|(what, _)| what).collect()
}

fn coverage(tally: &Tally, at: usize, span: &Span) -> Coverage {
    let (month, seen) = (tally.months[at], &tally.seen[at]);
    let days = [seen.days.count_ones(), u32::from(month.days())];
    let (covered, reasons) = match span {
        Span::None(reason) => (Covered::Unknown, vec![reason.clone()]),
        Span::Asked(reach) => of_reach(reach, month.start(), month.end(), seen),
        Span::Files(reasons) => of_files(reasons.clone(), days, seen),
    };
    let Seen { events, readings, first, last, .. } = *seen;
    Coverage { month: month.to_string(), covered, events, readings, first, last, days, reasons }
}

fn of_reach(reach: &Reach, start: Timestamp, end: Timestamp, seen: &Seen) -> (Covered, Vec<String>) {
    let (from, until) = (reach.from.max(start), reach.until.min(end));
    if from >= until {
        return (Covered::Unknown, reach.reasons.clone());
    }
    // The backup itself reads. A trail without any reading is none of this place, or one that hides them.
    if seen.readings == 0 {
        return (Covered::Unknown, vec!["no reading at all was given, not even one of the backup".into()]);
    }
    if (from, until) == (start, end) { (Covered::Whole, Vec::new()) } else { (Covered::Part, reach.reasons.clone()) }
}

/// A trail has an event on every day: whoever lists a bucket or signs in writes one. A day without any is not in the files.
fn of_files(mut reasons: Vec<String>, [with, all]: [u32; 2], seen: &Seen) -> (Covered, Vec<String>) {
    if seen.events == 0 {
        reasons.insert(0, "the files have no event of this account and region in this month".into());
        return (Covered::Unknown, reasons);
    }
    if with < all {
        reasons.insert(0, format!("the files have events on {with} of {all} days"));
    }
    if seen.readings == 0 {
        reasons.insert(0, "the files have no reading at all, not even one of the backup".into());
        return (Covered::Unknown, reasons);
    }
    if reasons.is_empty() { (Covered::Whole, reasons) } else { (Covered::Part, reasons) }
}
