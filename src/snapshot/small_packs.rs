//! Small packs become few: of those with a value or two of a quiet day, some are read from the source again and sealed together, and
//! those of the events of a day all of them.
//! Pure but for one walk through the earlier index.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use jiff::Timestamp;

use super::known::Earlier;
use crate::{
    crypto::{IndexKey, Opener},
    model::{Digest, Record, ValueState},
    repo::{Appending, FileRef, OpenSet, PackLists, RepoError, Repository, VerifiedManifest},
};

/// A pack that is smaller is small, in bytes.
const SMALL: u64 = 64 << 10;
/// Small packs that a snapshot may refer to.
const MOST: usize = 256;
/// Packs that one run gives up by size and age, beside those that are too many: what many captures of a day left becomes few with
/// the next run, and not with those of a week.
const BY_AGE: usize = 48;
/// Values that one run reads again for this at most, unless `BY_AGE` packs hold more.
const MOST_VALUES: u64 = 2_048;
/// Packs that one run gives up by turns, so that those whose values cannot be read again do not stand before all others.
const BY_TURN: usize = 16;

/// Bytes of the packs of events that one pass seals together.
const MOST_BYTES: u64 = 8 << 20;

/// Small packs, with the earliest reading of what they hold and the number of its values; no reading where something of it cannot be
/// read again.
type Candidates = BTreeMap<Digest, (Option<Timestamp>, u64)>;

/// The packs whose values this run reads and seals again.
///
/// # Errors
/// What keeps the earlier index from being read.
pub(super) async fn to_be_given_up(
    repository: &Repository,
    earlier: &Earlier,
    key: &IndexKey,
    now: Timestamp,
) -> Result<BTreeSet<Digest>, RepoError> {
    let small = |set: &OpenSet| set.packs().filter(|file| file.size < SMALL).count();
    if small(&earlier.packs) <= MOST {
        return Ok(BTreeSet::new());
    }
    let mut found = Candidates::new();
    let mut records = std::pin::pin!(repository.captured_stream(&earlier.manifest, Opener::Index(key)));
    while let Some(record) = records.try_next().await? {
        note(&mut found, &record, &earlier.packs);
    }
    Ok(choose(&found, &earlier.packs, now))
}

/// The small packs that captures stored since the last complete pass, the smallest first: the pass that follows seals their values
/// together, so that a day of events leaves one pack, as a day without them does.
///
/// # Errors
/// What keeps a list of the pass before from being read.
pub(super) async fn of_events(
    repository: &Repository,
    earlier: &Earlier,
    appending: &Appending<'_>,
) -> Result<BTreeSet<Digest>, RepoError> {
    let newest = earlier.manifest.manifest();
    let is_base = |found: &VerifiedManifest| found.manifest().is_pass() && found.manifest().time == newest.full.time;
    let base = if newest.is_pass() { None } else { appending.newest_where(&newest.source, is_base) };
    let Some(base) = base else { return Ok(BTreeSet::new()) };
    let before = repository.packs_of(base.manifest(), &PackLists::default()).await?;
    Ok(added(&earlier.packs, &before))
}

fn added(packs: &OpenSet, before: &OpenSet) -> BTreeSet<Digest> {
    let is_new = |file: &&FileRef| file.size < SMALL && before.find(&file.sha256).is_none();
    let mut new: Vec<(u64, Digest)> = packs.packs().filter(is_new).map(|file| (file.size, file.sha256)).collect();
    new.sort_unstable();
    new.dedup();
    let mut sum = 0;
    let affordable = new.into_iter().take_while(|(size, _)| {
        sum += size;
        sum <= MOST_BYTES
    });
    let given_up: BTreeSet<Digest> = affordable.map(|(_, pack)| pack).collect();
    if given_up.len() > 1 { given_up } else { BTreeSet::new() }
}

fn note(found: &mut Candidates, record: &Record, packs: &OpenSet) {
    let readable = record.secret.deleted.is_none() && !record.is_incomplete();
    for version in &record.versions {
        let ValueState::Stored { pack, .. } = &version.value else { continue };
        if packs.find(pack).is_some_and(|file| file.size < SMALL) {
            let (read, values) = found.entry(*pack).or_insert((Some(record.read), 0));
            *read = read.filter(|_| readable).map(|read| read.min(record.read));
            *values += 1;
        }
    }
}

/// The smallest and oldest, and some whose turn it is.
fn choose(found: &Candidates, packs: &OpenSet, now: Timestamp) -> BTreeSet<Digest> {
    let Some(too_many) = found.len().checked_sub(MOST).filter(|more| *more > 0) else { return BTreeSet::new() };
    let class = |pack: &Digest| packs.find(pack).map_or(0, |file| file.size.max(1).ilog2());
    let mut candidates: Vec<_> =
        found.iter().filter_map(|(pack, (read, values))| Some((class(pack), (*read)?, *pack, *values))).collect();
    candidates.sort_unstable();
    let mut sum = 0;
    let affordable = candidates.iter().take_while(|(.., values)| {
        sum += values;
        sum <= MOST_VALUES
    });
    let by_age = affordable.take(BY_AGE + too_many).count().max(BY_AGE.min(candidates.len()));
    let rest = candidates.split_off(by_age);
    let turn = |pack: &Digest| Digest::of(&[pack.as_bytes().as_slice(), &now.as_second().to_be_bytes()].concat());
    let mut rest: Vec<_> = rest.into_iter().map(|(_, _, pack, _)| (turn(&pack), pack)).collect();
    rest.sort_unstable();
    let by_turn = rest.into_iter().take(BY_TURN).map(|(_, pack)| pack);
    candidates.into_iter().map(|(_, _, pack, _)| pack).chain(by_turn).collect()
}
