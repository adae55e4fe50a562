//! The newest snapshot of every source, as the judge of the history lets it through.

use jiff::Timestamp;

use crate::{
    model::{Place, PlaceFilter},
    repo::{Chosen, Halt, Judgement, NoChoice, Trust},
};

/// Which snapshots are opened.
#[derive(Clone, Debug)]
pub enum Moment {
    /// The newest of every source.
    Newest,
    /// The newest of every source taken at `at` or before; `now` bounds which times are believed.
    At {
        /// The moment that is meant.
        at: Timestamp,
        /// The time of this machine.
        now: Timestamp,
    },
    /// One snapshot, by the beginning of its id.
    Snapshot(String),
}

/// The snapshots of an estate, one for each source, that may be read with one key.
#[derive(Clone, Debug)]
pub struct Estate {
    snapshots: Vec<Chosen>,
    closed: Vec<Closed>,
}

/// A snapshot that this key does not open: it is sealed to the key of another epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its source.
    pub place: Place,
    /// Its number.
    pub number: u64,
    /// The epoch whose key opens it.
    pub epoch: u32,
}

impl Estate {
    /// Chooses the snapshots. A signed record that forbids restoring forbids this too.
    ///
    /// # Errors
    /// [`NoChoice`]: the history does not allow it, or there is no snapshot.
    pub fn choose(
        judgement: &Judgement,
        trust: &Trust,
        moment: &Moment,
        source: Option<&PlaceFilter>,
    ) -> Result<Self, NoChoice> {
        judgement.refuse_halted(Halt::Restore)?;
        let chosen = match moment {
            Moment::Snapshot(id) => vec![judgement.by_id(id, source)?],
            Moment::Newest | Moment::At { .. } => of_every_source(judgement, moment, source)?,
        };
        let current = trust.current();
        let is_open = |chosen: &Chosen| {
            let sealed = trust.epochs().iter().find(|epoch| epoch.number == chosen.manifest().epoch);
            sealed.is_none_or(|epoch| epoch.recipient == current.recipient)
        };
        let (snapshots, closed): (Vec<Chosen>, Vec<Chosen>) = chosen.into_iter().partition(is_open);
        let closed = closed.iter().map(Chosen::manifest).map(|manifest| Closed {
            place: manifest.source.clone(),
            number: manifest.sequence,
            epoch: manifest.epoch,
        });
        Ok(Self { snapshots, closed: closed.collect() })
    }

    /// One snapshot of each source, by source.
    pub fn snapshots(&self) -> &[Chosen] {
        &self.snapshots
    }

    /// The sources whose snapshot is sealed to another key.
    pub fn closed(&self) -> &[Closed] {
        &self.closed
    }
}

fn of_every_source(
    judgement: &Judgement,
    moment: &Moment,
    source: Option<&PlaceFilter>,
) -> Result<Vec<Chosen>, NoChoice> {
    let one = |filter: Option<&PlaceFilter>| match moment {
        Moment::At { at, now } => judgement.at(filter, *at, *now),
        _ => judgement.newest(filter),
    };
    let places: Vec<Place> = judgement.chain().newest().into_keys().cloned().collect();
    let meant: Vec<&Place> = places.iter().filter(|place| source.is_none_or(|source| source.means(place))).collect();
    if meant.len() < 2 {
        // The judge's own words where there is none.
        return Ok(vec![one(source)?]);
    }
    let (mut found, mut none) = (Vec::new(), None);
    for place in meant {
        match one(Some(&PlaceFilter { account: place.account.clone(), region: Some(place.region.clone()) })) {
            Ok(chosen) => found.push(chosen),
            // A source may be younger than the moment.
            Err(reason @ NoChoice::NoneAt(_)) => none = Some(reason),
            Err(other) => return Err(other),
        }
    }
    match none {
        Some(reason) if found.is_empty() => Err(reason),
        _ => Ok(found),
    }
}
