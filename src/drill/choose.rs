//! Which snapshot and which secrets: chance that anybody can repeat. Pure.
//!
//! A choice by chance takes what has the smallest SHA-256 of `SEED:NAME`, which stock tools can recompute.

use std::collections::BTreeSet;

use jiff::Timestamp;
use wildmatch::WildMatch;

use super::file::{RestoreSection, Select, SnapshotSection, What};
use crate::{
    model::{Digest, Record},
    repo::{Chosen, Judgement, NoChoice},
};

/// Chooses a snapshot and says how; `chance` decides where the file has no seed.
///
/// # Errors
/// As [`Judgement`]'s own.
pub(super) fn snapshot(
    judgement: &Judgement,
    section: &SnapshotSection,
    chance: u64,
    now: Timestamp,
) -> Result<(Chosen, String), NoChoice> {
    let source = section.source.as_ref();
    match section.select {
        Select::Newest => Ok((judgement.newest(source)?, "newest by the chain".into())),
        Select::Id => Ok((judgement.by_id(section.id.as_deref().unwrap_or_default(), source)?, "by id".into())),
        Select::Time => {
            let time = section.time.ok_or_else(|| NoChoice::None("without a time".into()))?;
            Ok((judgement.at(source, time, now)?, format!("the newest taken at or before {time}")))
        }
        Select::Random => {
            let (last, seed) = (section.last.unwrap_or(1), section.seed.unwrap_or(chance));
            let recent = judgement.recent(source, last as usize)?;
            let drawn = recent.into_iter().min_by_key(|found| draw(seed, &found.manifest().snapshot.to_string()));
            let drawn = drawn.ok_or_else(|| NoChoice::None("latest".into()))?;
            Ok((drawn, format!("random of the last {last}, seed {seed}")))
        }
    }
}

/// The names a drill restores, out of all records.
pub(super) fn names(records: &[Record], section: &RestoreSection, canaries: &[String], seed: u64) -> BTreeSet<String> {
    let all = records.iter().map(|record| record.secret.name.as_str());
    let matching = |patterns: &[String]| {
        let patterns: Vec<WildMatch> = patterns.iter().map(|pattern| WildMatch::new(pattern)).collect();
        let found = all.clone().filter(|name| patterns.iter().any(|pattern| pattern.matches(name)));
        found.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    match section.what {
        What::All => all.map(str::to_owned).collect(),
        What::Canaries if section.canaries.is_empty() => matching(canaries),
        What::Canaries => matching(&section.canaries),
        What::Sample => {
            let mut names = matching(&section.always);
            let size = section.sample.as_ref().map_or(0, |size| size.of(records.len() as u64));
            let mut drawn: Vec<_> = all.map(|name| (draw(seed, name), name)).collect();
            drawn.sort_unstable();
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            names.extend(drawn.into_iter().take(size).map(|(_, name)| name.to_owned()));
            names
        }
    }
}

fn draw(seed: u64, name: &str) -> Digest {
    Digest::of(format!("{seed}:{name}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{drill::file::Size, model::Secret};

    fn records(count: usize) -> Vec<Record> {
        let record = |number: usize| Record {
            secret: Secret { name: format!("app/{number:03}"), ..Secret::default() },
            versions: Vec::new(),
            read: jiff::Timestamp::UNIX_EPOCH,
            listing: None,
        };
        (0..count).map(record).collect()
    }

    fn sample(size: Size, always: &[&str]) -> RestoreSection {
        let always = always.iter().map(ToString::to_string).collect();
        RestoreSection { what: What::Sample, sample: Some(size), always, ..RestoreSection::default() }
    }

    #[test]
    fn a_seed_gives_the_same_sample_and_another_seed_another() {
        let records = records(200);
        let ten = sample(Size::Count(10), &[]);
        let first = names(&records, &ten, &[], 7);
        assert_eq!(first.len(), 10);
        assert_eq!(first, names(&records, &ten, &[], 7));
        assert_ne!(first, names(&records, &ten, &[], 8));
        let mut reversed = records.clone();
        reversed.reverse();
        assert_eq!(first, names(&reversed, &ten, &[], 7), "the order of an index does not matter");
    }

    #[test]
    fn always_comes_on_top_and_every_secret_has_its_turn() {
        let records = records(50);
        let always = sample(Size::Count(1), &["app/00?"]);
        assert!(names(&records, &always, &[], 3).len() >= 10);
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            seen.extend(names(&records, &sample(Size::Percent("10%".into()), &[]), &[], seed));
        }
        assert_eq!(seen.len(), 50);
    }

    #[test]
    fn canaries_are_those_of_the_drill_or_of_the_configuration() {
        let records = records(20);
        let canaries = RestoreSection { what: What::Canaries, ..RestoreSection::default() };
        assert_eq!(names(&records, &canaries, &["app/01*".into()], 0).len(), 10);
        let own = RestoreSection { canaries: vec!["app/002".into()], ..canaries };
        assert_eq!(names(&records, &own, &["app/01*".into()], 0).len(), 1);
        let none = RestoreSection { canaries: vec!["nothing".into()], ..own };
        assert!(names(&records, &none, &[], 0).is_empty());
    }
}
