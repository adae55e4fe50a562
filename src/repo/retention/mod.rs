//! Which snapshots to keep: a pure plan made from the verified chain alone.
//!
//! The rules count complete passes. A snapshot that an event made between two of them is kept until the next pass, which has
//! everything that the source still has. Of those that go then, the ones whose values a later snapshot holds too go without a window
//! in which they could be taken back: what they alone have is how labels and settings were in between.
//!
//! A snapshot whose source lost more than it may takes nobody's place either: it stays while it is the newest, or within a period.
//!
//! Times are the snapshots' own, and a snapshot whose time contradicts the chain or lies in the future is kept and takes
//! nobody's place: a clock that was wrong, or somebody who forges times, cannot make a good snapshot go. Ages are measured from the
//! newest trusted snapshot, not from today.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Manifest, VerifiedManifest};
use crate::{
    crypto::PublicKey,
    model::{Digest, Place},
};

/// A restore that began while a capture was the newest snapshot has read its index by then.
const SETTLED: SignedDuration = SignedDuration::from_hours(1);

/// How many to keep. A rule of 0 keeps nothing by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/config.md explains them")]
pub struct Retention {
    pub keep_last: u32,
    pub keep_daily: u32,
    pub keep_weekly: u32,
    pub keep_monthly: u32,
    pub keep_yearly: u32,
    pub keep_within: Option<SignedDuration>,
}

/// What happens to one snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fate {
    /// The file name below `snapshots/`.
    pub name: String,
    /// Whose it is.
    pub source: Place,
    /// Its number.
    pub sequence: u64,
    /// Its recovery point.
    pub time: Timestamp,
    /// Whether nothing was left out.
    pub complete: bool,
    /// Whether it is a complete pass; else an event made it.
    pub pass: bool,
    /// Why it is kept; empty: it goes.
    pub reasons: Vec<String>,
    /// Which later snapshot holds every value that it holds; only of one that an event made.
    #[serde(skip)]
    pub held: Option<Held>,
}

/// The names of snapshots that a plan lets go now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Going {
    /// Without a window.
    pub at_once: BTreeSet<String>,
    /// After a window in which it can be taken back.
    pub later: BTreeSet<String>,
}

/// Every value of a snapshot is in a later one too.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// When the later one was finished.
    pub since: Timestamp,
    /// Who signed it.
    pub by: PublicKey,
}

/// Every snapshot and what happens to it, in chain order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RetentionPlan {
    /// All of them.
    pub snapshots: Vec<Fate>,
}

impl Retention {
    /// Whether there is any rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Fate {
    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        !self.reasons.is_empty()
    }
}

impl Going {
    /// How many there are.
    pub fn count(&self) -> u64 {
        (self.at_once.len() + self.later.len()) as u64
    }
}

impl RetentionPlan {
    /// Those that go.
    pub fn forgets(&self) -> impl Iterator<Item = &Fate> {
        self.snapshots.iter().filter(|fate| !fate.is_kept())
    }

    /// The names of those that go with a window, and of those that go at once: a later snapshot by this signer holds all of them for
    /// longer than an hour. What it holds since then goes the next time. Another's word may be that of a thief, and is good for no more
    /// than an order of his.
    pub fn going(&self, now: Timestamp, own: &PublicKey) -> Going {
        let mut going = Going::default();
        for fate in self.forgets() {
            let names = match fate.held.as_ref().filter(|held| held.by == *own) {
                None => &mut going.later,
                Some(held) if now.duration_since(held.since) > SETTLED => &mut going.at_once,
                Some(_) => continue,
            };
            names.insert(fate.name.clone());
        }
        going
    }

    /// The same by source, each in chain order.
    pub fn by_source(&self) -> BTreeMap<&Place, Vec<&Fate>> {
        let mut by_source: BTreeMap<&Place, Vec<&Fate>> = BTreeMap::new();
        for fate in &self.snapshots {
            by_source.entry(&fate.source).or_default().push(fate);
        }
        by_source
    }
}

/// Plans. Each source has its own history. Without any rule everything is kept.
pub fn plan(chain: &[&VerifiedManifest], retention: &Retention, now: Timestamp) -> RetentionPlan {
    let mut kept: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut by_source: BTreeMap<&Place, Vec<&VerifiedManifest>> = BTreeMap::new();
    for found in chain {
        by_source.entry(&found.manifest().source).or_default().push(found);
    }
    for history in by_source.values() {
        for (sequence, reason) in reasons(history, retention, now) {
            kept.entry(sequence).or_default().push(reason);
        }
    }
    let mut held: BTreeMap<u64, Held> = by_source.values().flat_map(|history| held(history)).collect();
    let fate = |found: &&VerifiedManifest| {
        let manifest = found.manifest();
        Fate {
            name: found.name().to_owned(),
            source: manifest.source.clone(),
            sequence: manifest.sequence,
            time: manifest.time,
            complete: manifest.is_complete(),
            pass: manifest.is_pass(),
            reasons: kept.remove(&manifest.sequence).unwrap_or_default(),
            held: held.remove(&manifest.sequence),
        }
    };
    RetentionPlan { snapshots: chain.iter().map(fate).collect() }
}

/// The numbers of captures by events whose values a later snapshot holds too: that one says so, and no more of it could not be read.
fn held(history: &[&VerifiedManifest]) -> Vec<(u64, Held)> {
    let later = history.iter().filter_map(|found| Some((found.manifest().holds?, found.manifest())));
    let later: BTreeMap<Digest, &Manifest> = later.collect();
    let by_later = |found: &&VerifiedManifest| {
        let (this, later) = (found.manifest(), later.get(&found.digest())?);
        let is_whole = later.counts.unreadable <= this.counts.unreadable;
        let held = Held { since: later.finished, by: later.signer.clone() };
        (is_whole && !this.is_pass() && this.sequence < later.sequence).then_some((this.sequence, held))
    };
    history.iter().filter_map(by_later).collect()
}

/// Why snapshots of one source are kept.
fn reasons(history: &[&VerifiedManifest], retention: &Retention, now: Timestamp) -> Vec<(u64, String)> {
    let mut reasons = Vec::new();
    let mut keep = |found: &VerifiedManifest, reason: String| reasons.push((found.manifest().sequence, reason));
    let trusted = trusted(history, now);
    for found in history {
        let sequence = found.manifest().sequence;
        if retention.is_empty() {
            keep(found, "there is no rule".into());
        } else if !trusted.contains(&sequence) {
            keep(found, "its time contradicts the chain or today".into());
        }
    }
    if let Some(newest) = history.last() {
        keep(newest, "newest".into());
    }
    if let Some(newest) = history.iter().rev().find(|found| found.manifest().is_complete()) {
        keep(newest, "newest complete one".into());
    }
    let whole = |found: &&&VerifiedManifest| found.manifest().loss().is_none() && found.manifest().is_pass();
    let pass = history.iter().rev().filter(whole).find(|found| trusted.contains(&found.manifest().sequence));
    if history.last().is_some_and(|newest| !newest.manifest().is_pass())
        && let Some(pass) = pass
    {
        keep(pass, "newest complete pass".into());
    }
    // By its time and not by its number: a pass that began before the event need not have what the event told of.
    let is_since = |found: &VerifiedManifest| pass.is_none_or(|pass| found.manifest().time > pass.manifest().time);
    for found in history.iter().filter(|found| !found.manifest().is_pass() && is_since(found)) {
        keep(found, "since the last complete pass".into());
    }
    for (number, found) in history.iter().rev().filter(whole).take(retention.keep_last as usize).enumerate() {
        keep(found, format!("last {}", number + 1));
    }
    let is_dated =
        |found: &VerifiedManifest| trusted.contains(&found.manifest().sequence) && found.manifest().is_pass();
    let dated: Vec<&VerifiedManifest> = history.iter().rev().filter(|found| is_dated(found)).copied().collect();
    if let (Some(within), Some(newest)) = (retention.keep_within, dated.first()) {
        let since = newest.manifest().time.checked_sub(within).unwrap_or(Timestamp::MIN);
        for found in dated.iter().filter(|found| found.manifest().time >= since) {
            keep(found, "within the period".into());
        }
    }
    let whole: Vec<&VerifiedManifest> = dated.into_iter().filter(|found| found.manifest().loss().is_none()).collect();
    let rules: [(&str, u32, &str); 4] = [
        ("daily", retention.keep_daily, "%Y-%m-%d"),
        ("weekly", retention.keep_weekly, "%G-W%V"),
        ("monthly", retention.keep_monthly, "%Y-%m"),
        ("yearly", retention.keep_yearly, "%Y"),
    ];
    for (name, count, slot) in rules {
        for (slot, found) in slots(&whole, slot).into_iter().take(count as usize) {
            keep(found, format!("{name} {slot}"));
        }
    }
    reasons
}

/// The snapshots of each calendar slot, newest slot first: the newest complete one of it, or else the newest.
fn slots<'m>(dated: &[&'m VerifiedManifest], format: &str) -> Vec<(String, &'m VerifiedManifest)> {
    let complete = |found: &VerifiedManifest| found.manifest().is_complete();
    let mut slots: Vec<(String, &VerifiedManifest)> = Vec::new();
    for found in dated {
        let slot = found.manifest().time.strftime(format).to_string();
        match slots.last_mut().filter(|(last, _)| *last == slot) {
            Some((_, chosen)) if !complete(chosen) && complete(found) => *chosen = found,
            Some(_) => {}
            None => slots.push((slot, found)),
        }
    }
    slots
}

/// The numbers whose times fit together: the longest run of times that never decreases along the chain, none of them
/// ahead of `now`.
pub(super) fn trusted(history: &[&VerifiedManifest], now: Timestamp) -> BTreeSet<u64> {
    let past: Vec<(Timestamp, u64)> = history
        .iter()
        .map(|found| (found.manifest().time, found.manifest().sequence))
        .filter(|(time, _)| *time <= now)
        .collect();
    // ends[n]: the position whose time ends the best run of n + 1; before: the position before each in its run.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for (at, (time, _)) in past.iter().enumerate() {
        let length = ends.partition_point(|end| past[*end].0 <= *time);
        before.push(length.checked_sub(1).map(|previous| ends[previous]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut trusted = BTreeSet::new();
    let mut next = ends.last().copied();
    while let Some(at) = next {
        trusted.insert(past[at].1);
        next = before[at];
    }
    trusted
}

#[cfg(test)]
pub(super) mod tests;
